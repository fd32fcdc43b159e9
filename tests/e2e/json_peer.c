/*
 * Our reader of JSON as other readers can be compared with it. Of every text on stdin (its size in
 * four bytes, least first, then its bytes) one line: "refused", or the value in two forms. The
 * exact form keeps kinds, bits and repeated members; the merged one is what a reader sees that
 * knows only doubles and the last of the members of one name, sorted. What we print of a value must
 * read back as the same: otherwise the line is "printed wrong".
 */
#include "value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 100

static void put_text(struct buffer *out, struct bytes text)
{
	check(buffer_append_text(out, "\"") == OK);
	for (size_t i = 0; i < text.size; i++) {
		check(buffer_printf(out, "%02x", (unsigned)(unsigned char)text.data[i]) == OK);
	}
	check(buffer_append_text(out, "\"") == OK);
}

static void put_double(struct buffer *out, double real)
{
	uint64_t bits;
	memcpy(&bits, &real, sizeof(bits));
	check(buffer_printf(out, "d%016" PRIx64, bits) == OK);
}

static double as_double(const struct value *value)
{
	if (value->kind == VALUE_INT) {
		return (double)value->as.integer;
	}
	return value->kind == VALUE_UINT ? (double)value->as.unsigned_integer : value->as.real;
}

static void put_scalar(struct buffer *out, const struct value *value, bool merged)
{
	if (value_is_number(value) && merged) {
		put_double(out, as_double(value) == 0.0 ? 0.0 : as_double(value));
		return;
	}
	switch ((enum value_kind)value->kind) {
	case VALUE_BOOL:
		check(buffer_append_text(out, value->as.boolean ? "t" : "f") == OK);
		return;
	case VALUE_INT:
		check(buffer_printf(out, "i%" PRId64, value->as.integer) == OK);
		return;
	case VALUE_UINT:
		check(buffer_printf(out, "u%" PRIu64, value->as.unsigned_integer) == OK);
		return;
	case VALUE_DOUBLE:
		put_double(out, value->as.real);
		return;
	case VALUE_STRING:
		put_text(out, value_text(value));
		return;
	case VALUE_NONE:
	case VALUE_NULL:
	case VALUE_LIST:
	case VALUE_OBJECT:
		break;
	}
	check(buffer_append_text(out, "n") == OK);
}

static void put_value(struct buffer *out, const struct value *value, bool merged);

static int order_keys(const void *a, const void *b)
{
	int order = 0;
	check(value_compare(*(const struct value *const *)a, *(const struct value *const *)b,
		      &order) == OK);
	return order;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most DEPTH_MAX deep */
static void put_members(struct buffer *out, const struct value *object, bool merged)
{
	const struct value **keys = calloc((size_t)object->size + 1, sizeof(const struct value *));
	check(keys);
	size_t count = 0;
	const struct value *key = object + 1;
	for (uint32_t i = 0; i < object->size; i++, key = value_after(key + 1)) {
		if (!merged || value_member(object, value_text(key)) == key + 1) {
			keys[count++] = key;
		}
	}
	if (merged) {
		qsort(keys, count, sizeof(const struct value *), order_keys);
	}
	for (size_t i = 0; i < count; i++) {
		put_text(out, value_text(keys[i]));
		put_value(out, keys[i] + 1, merged);
	}
	free(keys);
}

/* NOLINTNEXTLINE(misc-no-recursion): at most DEPTH_MAX deep */
static void put_value(struct buffer *out, const struct value *value, bool merged)
{
	if (value->kind == VALUE_OBJECT) {
		check(buffer_append_text(out, "{") == OK);
		put_members(out, value, merged);
		check(buffer_append_text(out, "}") == OK);
	} else if (value->kind == VALUE_LIST) {
		check(buffer_append_text(out, "[") == OK);
		const struct value *item = value + 1;
		for (uint32_t i = 0; i < value->size; i++, item = value_after(item)) {
			put_value(out, item, merged);
		}
		check(buffer_append_text(out, "]") == OK);
	} else {
		put_scalar(out, value, merged);
	}
}

static bool prints_the_same(const struct value *value, struct bytes exact, struct arena *arena)
{
	struct buffer printed = {0};
	struct buffer again = {0};
	const struct value *copy = NULL;
	check(json_print(&printed, value) == OK);
	bool same = json_parse(buffer_bytes(&printed), DEPTH_MAX, arena, &copy, NULL) == OK;
	if (same) {
		put_value(&again, copy, false);
		same = bytes_equal(buffer_bytes(&again), exact);
	}
	buffer_fini(&printed);
	buffer_fini(&again);
	return same;
}

static void put_line(struct bytes exact, struct bytes merged)
{
	check(fwrite(exact.data, 1, exact.size, stdout) == exact.size);
	check(putchar(' ') == ' ');
	check(fwrite(merged.data, 1, merged.size, stdout) == merged.size);
	check(putchar('\n') == '\n');
}

static void answer(struct bytes text, struct arena *arena)
{
	const struct value *value = NULL;
	if (json_parse(text, DEPTH_MAX, arena, &value, NULL) != OK) {
		puts("refused");
		return;
	}
	struct buffer exact = {0};
	struct buffer merged = {0};
	put_value(&exact, value, false);
	put_value(&merged, value, true);
	if (prints_the_same(value, buffer_bytes(&exact), arena)) {
		put_line(buffer_bytes(&exact), buffer_bytes(&merged));
	} else {
		puts("printed wrong");
	}
	buffer_fini(&exact);
	buffer_fini(&merged);
}

int main(void)
{
	struct arena arena = {0};
	unsigned char head[4];
	while (fread(head, 1, sizeof(head), stdin) == sizeof(head)) {
		size_t size = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 |
			(size_t)head[3] << 24;
		char *text = malloc(size + 1); /* of its own, so that sanitizers see its end */
		check(text);
		check(fread(text, 1, size, stdin) == size);
		answer((struct bytes){text, size}, &arena);
		free(text);
		arena_reset(&arena);
	}
	arena_fini(&arena);
	return 0;
}
