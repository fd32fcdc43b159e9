/*
 * The file is text, for whoever has to look into it:
 *   streamer-state 1
 *   saved_us 1764144000000000
 *   marker 7b7d
 *   position 01…            (missing: none)
 *   at_marker 0
 *   hash 0123456789abcdef   (XXH3 of all lines before)
 */
#include "state_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_LINE "streamer-state 1"
#define FILE_BYTES_MAX 1048576

struct state_file {
	int folder; /* descriptors */
	int lock;
};

void state_left_fini(struct state_left *legacy)
{
	buffer_fini(&legacy->marker);
}

bool state_left_equal(const struct state_left *a, const struct state_left *b)
{
	return bytes_equal(buffer_bytes(&a->marker), buffer_bytes(&b->marker)) &&
		a->has_position == b->has_position && a->is_at_marker == b->is_at_marker &&
		(!a->has_position || memcmp(a->position, b->position, sizeof(a->position)) == 0);
}

/* ---- the folder ------------------------------------------------------------------------------ */

static enum err failed(struct err_info *info, const char *what, const char *name)
{
	return err_set(
		info, ERR_IO, 0, "state: cannot %s %s: %s", what, name, strerrordesc_np(errno));
}

static enum err take_lock(struct state_file *state, const char *folder, struct err_info *info)
{
	state->lock = openat(state->folder, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (state->lock < 0) {
		return failed(info, "open the lock in", folder);
	}
	if (flock(state->lock, LOCK_EX | LOCK_NB) == 0) {
		return OK;
	}
	return errno == EWOULDBLOCK
		? err_set(info, ERR_EXISTS, 0,
			  "state: another process uses %s; give each Streamer a folder of its own",
			  folder)
		: failed(info, "lock", folder);
}

enum err state_file_open(const char *folder, struct err_info *info, struct state_file **ret_state)
{
	struct state_file *state = mem_alloc(sizeof(*state));
	if (!state) {
		return ERR_MEMORY;
	}
	*state = (struct state_file){-1, -1};
	enum err err = OK;
	if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
		err = failed(info, "make", folder);
	}
	if (err == OK) {
		state->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		err = state->folder < 0 ? failed(info, "open", folder) : OK;
	}
	if (err == OK) {
		err = take_lock(state, folder, info);
	}
	if (err != OK) {
		state_file_free(state);
		return err;
	}
	*ret_state = state;
	return OK;
}

void state_file_free(struct state_file *state)
{
	if (!state) {
		return;
	}
	if (state->lock >= 0) {
		(void)close(state->lock); /* and unlocks */
	}
	if (state->folder >= 0) {
		(void)close(state->folder);
	}
	mem_free(state);
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum err append_hex(struct buffer *text, const char *name, struct bytes bytes)
{
	static const char digits[] = "0123456789abcdef";
	enum err err = buffer_append_text(text, name);
	if (err == OK) {
		err = buffer_reserve(text, 2 * bytes.size + 1);
	}
	for (size_t i = 0; i < bytes.size && err == OK; i++) {
		unsigned char byte = (unsigned char)bytes.data[i];
		const char pair[] = {digits[byte >> 4], digits[byte & 15]};
		err = buffer_append(text, (struct bytes){pair, 2});
	}
	return err == OK ? buffer_append_text(text, "\n") : err;
}

static enum err append_number(struct buffer *text, const char *format, uint64_t number)
{
	char line[64];
	(void)snprintf(line, sizeof(line), format, number);
	return buffer_append_text(text, line);
}

static enum err print(const struct state_left *legacy, struct buffer *text)
{
	enum err err = append_number(
		text, FIRST_LINE "\nsaved_us %" PRIu64 "\n", (uint64_t)legacy->followed_us);
	if (err == OK) {
		err = append_hex(text, "marker ", buffer_bytes(&legacy->marker));
	}
	if (err == OK && legacy->has_position) {
		err = append_hex(text, "position ",
			(struct bytes){legacy->position, sizeof(legacy->position)});
	}
	if (err == OK) {
		err = append_number(text, "at_marker %" PRIu64 "\n", legacy->is_at_marker);
	}
	uint64_t hash = bytes_hash(buffer_bytes(text), 0);
	return err == OK ? append_number(text, "hash %016" PRIx64 "\n", hash) : err;
}

static bool write_all(int file, struct bytes bytes)
{
	while (bytes.size > 0) {
		ssize_t written = write(file, bytes.data, bytes.size);
		if (written < 0 && errno != EINTR) {
			return false;
		}
		size_t size = written > 0 ? (size_t)written : 0;
		bytes = (struct bytes){bytes.data + size, bytes.size - size};
	}
	return true;
}

static enum err write_aside(
	const struct state_file *state, struct bytes text, struct err_info *info)
{
	int file = openat(state->folder, "state.new",
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0) {
		return failed(info, "open", "state.new");
	}
	enum err err = OK;
	if (!write_all(file, text) || fsync(file) != 0) {
		err = failed(info, "write", "state.new");
	}
	if (close(file) != 0 && err == OK) {
		err = failed(info, "close", "state.new");
	}
	return err;
}

enum err state_file_write(
	const struct state_file *state, const struct state_left *legacy, struct err_info *info)
{
	struct buffer text = {0};
	enum err err = print(legacy, &text);
	if (err == OK && text.size > FILE_BYTES_MAX) {
		err = err_set(info, ERR_LIMIT, 0, "state: a marker of %zu bytes is not kept",
			legacy->marker.size);
	}
	if (err == OK) {
		err = write_aside(state, buffer_bytes(&text), info);
	}
	if (err == OK &&
		(renameat(state->folder, "state.new", state->folder, "state") != 0 ||
			fsync(state->folder) != 0)) {
		err = failed(info, "rename", "state.new");
	}
	buffer_fini(&text);
	return err;
}

/* ---- reading --------------------------------------------------------------------------------- */

static enum err corrupt(struct err_info *info, const char *what)
{
	return err_set(info, ERR_CORRUPT, 0, "state: the file \"state\" is no state: %s", what);
}

/* The rest of the next line behind `name` and a space; false: it is another line. */
static bool next_line(struct bytes *text, const char *name, struct bytes *ret_rest)
{
	const char *end = text->size > 0 ? memchr(text->data, '\n', text->size) : NULL;
	size_t size = strlen(name);
	if (!end || (size_t)(end - text->data) < size || memcmp(text->data, name, size) != 0) {
		return false;
	}
	*ret_rest = (struct bytes){text->data + size, (size_t)(end - text->data) - size};
	*text = (struct bytes){end + 1, text->size - (size_t)(end + 1 - text->data)};
	return true;
}

static bool parse_number(struct bytes digits, int base, uint64_t *ret_number)
{
	char text[32] = {0};
	char *end = NULL;
	if (digits.size == 0 || digits.size >= sizeof(text)) {
		return false;
	}
	memcpy(text, digits.data, digits.size);
	errno = 0;
	*ret_number = strtoull(text, &end, base);
	return errno == 0 && *end == '\0' && text[0] != '-' && text[0] != '+' && text[0] != ' ';
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `place` has room for half of it. */
static bool parse_hex(struct bytes digits, char *place)
{
	for (size_t i = 0; i < digits.size; i += 2) {
		int high = digit_of(digits.data[i]);
		int low = i + 1 < digits.size ? digit_of(digits.data[i + 1]) : -1;
		if (high < 0 || low < 0) {
			return false;
		}
		place[i / 2] = (char)(unsigned char)(high << 4 | low);
	}
	return true;
}

/* Cuts the last line off; false: what stands before it is not what it was written for. */
static bool check_hash(struct bytes *text)
{
	static const size_t size = sizeof("hash 0123456789abcdef\n") - 1;
	struct bytes digits;
	uint64_t hash = 0;
	if (text->size < size) {
		return false;
	}
	struct bytes last = {text->data + text->size - size, size};
	text->size -= size;
	return next_line(&last, "hash ", &digits) && parse_number(digits, 16, &hash) &&
		hash == bytes_hash(*text, 0);
}

static enum err parse(struct bytes text, struct state_left *legacy, struct err_info *info)
{
	struct bytes rest;
	uint64_t followed_us = 0;
	uint64_t at_marker = 0;
	if (!check_hash(&text)) {
		return corrupt(info, "its hash does not fit");
	}
	if (!next_line(&text, FIRST_LINE, &rest) || rest.size > 0) {
		return corrupt(info, "it does not begin with \"" FIRST_LINE "\"");
	}
	if (!next_line(&text, "saved_us ", &rest) || !parse_number(rest, 10, &followed_us)) {
		return corrupt(info, "the time is missing");
	}
	if (!next_line(&text, "marker ", &rest)) {
		return corrupt(info, "the marker is missing");
	}
	enum err err = buffer_reserve(&legacy->marker, rest.size / 2 + 1);
	if (err != OK) {
		return err;
	}
	if (!parse_hex(rest, legacy->marker.data)) {
		return corrupt(info, "the marker is no hexadecimal number");
	}
	legacy->marker.size = rest.size / 2;
	if (next_line(&text, "position ", &rest)) {
		legacy->has_position = rest.size == sizeof(legacy->position) * 2 &&
			parse_hex(rest, legacy->position);
	}
	if (!next_line(&text, "at_marker ", &rest) || !parse_number(rest, 10, &at_marker)) {
		return corrupt(info, "its end is missing");
	}
	legacy->followed_us = (int64_t)followed_us;
	legacy->is_at_marker = at_marker == 1;
	return OK;
}

static enum err read_file(int file, struct buffer *text, struct err_info *info)
{
	for (;;) {
		enum err err = buffer_reserve(text, 4096);
		if (err != OK) {
			return err;
		}
		ssize_t size = read(file, text->data + text->size, 4096);
		if (size < 0 && errno != EINTR) {
			return failed(info, "read", "state");
		}
		if (size == 0) {
			return OK;
		}
		text->size += size > 0 ? (size_t)size : 0;
		if (text->size > FILE_BYTES_MAX) {
			return corrupt(info, "it is too large");
		}
	}
}

enum err state_file_read(
	const struct state_file *state, struct state_left *ret_legacy, struct err_info *info)
{
	struct buffer text = {0};
	struct state_left legacy = {0};
	int file = openat(state->folder, "state", O_RDONLY | O_CLOEXEC);
	if (file < 0) {
		return errno == ENOENT ? ERR_EMPTY : failed(info, "open", "state");
	}
	enum err err = read_file(file, &text, info);
	(void)close(file);
	if (err == OK) {
		err = parse(buffer_bytes(&text), &legacy, info);
	}
	buffer_fini(&text);
	if (err != OK) {
		state_left_fini(&legacy);
		return err;
	}
	*ret_legacy = legacy;
	return OK;
}
