/*
 * Fuzzes the Puller's markers as a peer sends them. An input that begins with '{' is the JSON in a
 * marker and gets its base64url here. The event id that a marker names for a backend is the one
 * that is read from the marker printed of both; so is any text.
 */
#include "fuzz.h"
#include "puller.h"

#define BACKEND "default_mongo"

/* A marker of both names, and of no other backend. */
static void check_names(struct bytes backend, struct bytes event_id, struct arena *arena)
{
	struct buffer marker = {0};
	struct bytes found = {0};
	check(puller_marker_print(&marker, backend, event_id) == OK);
	check(puller_marker_parse(buffer_bytes(&marker), backend, arena, &found) == OK);
	check(bytes_equal(found, event_id));
	check(puller_marker_parse(buffer_bytes(&marker), bytes_of("other"), arena, &found) ==
		ERR_NOT_FOUND);
	buffer_fini(&marker);
}

static void check_marker(struct bytes marker, struct bytes backend)
{
	struct arena arena = {0};
	struct bytes event_id = {0};
	enum err err = puller_marker_parse(marker, backend, &arena, &event_id);
	check(!err || err == ERR_CORRUPT || err == ERR_LIMIT || err == ERR_NOT_FOUND);
	if (!err) {
		check(bytes_are_utf8(event_id));
		check_names(backend, event_id, &arena);
	} else if (bytes_are_utf8(marker)) {
		check_names(backend, marker, &arena);
	}
	arena_fini(&arena);
}

static void encode(struct bytes text, struct buffer *marker)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0;
	unsigned have = 0;
	for (size_t i = 0; i < text.size; i++) {
		bits = bits << 8 | (unsigned char)text.data[i];
		for (have += 8; have >= 6; have -= 6) {
			struct bytes digit = {&digits[bits >> (have - 6) & 63], 1};
			check(buffer_append(marker, digit) == OK);
		}
	}
	if (have > 0) {
		struct bytes digit = {&digits[bits << (6 - have) & 63], 1};
		check(buffer_append(marker, digit) == OK);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes text = fuzz_text(data, size);
	struct buffer encoded = {0};
	if (size > 0 && data[0] == '{') {
		encode(text, &encoded);
		text = buffer_bytes(&encoded);
	}
	check_marker(text, bytes_of(BACKEND));
	check_marker(text, (struct bytes){NULL, 0});
	buffer_fini(&encoded);
	return 0;
}
