/*
 * JSON at the borders of what is read many bytes at a time: strings, white space, containers that
 * are skipped and numbers, in every length around sixteen and sixty-four bytes, with whatever is
 * special at every place. Texts end where their memory ends.
 */
#include "value.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STEP 16
#define LENGTH_MAX 70
#define WALK_MAX 150
#define DEPTH 4

/* A text at an offset from an aligned place, with nothing behind it. */
struct placed {
	char *memory;
	struct bytes text;
};

static struct placed place(const char *text, size_t size, size_t offset)
{
	struct placed placed = {.memory = malloc(offset + size + 1)};
	check(placed.memory);
	memcpy(placed.memory + offset, text, size);
	placed.memory = realloc(placed.memory, offset + size);
	check(placed.memory);
	placed.text = (struct bytes){placed.memory + offset, size};
	return placed;
}

/* ---- strings --------------------------------------------------------------------------------- */

/* Something in a string, and what becomes of it: bytes, or what is expected in its place. */
struct special {
	const char *written;
	const char *read;
	const char *refusal;
};

static const struct special specials[] = {
	{"", "", NULL},
	{"\x7f", "\x7f", NULL},
	{"\xc3\xa9", "\xc3\xa9", NULL},
	{"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", NULL},
	{"\\n", "\n", NULL},
	{"\\\"", "\"", NULL},
	{"\\\\", "\\", NULL},
	{"\\u00e9", "\xc3\xa9", NULL},
	{"\xc3\xa9\\t", "\xc3\xa9\t", NULL},
	{"\x1f", NULL, "control characters to be escaped"},
	{"\xff", NULL, "UTF-8"},
	{"\xc3", NULL, "UTF-8"},
	{"\x80", NULL, "UTF-8"},
	{"\\x", NULL, "an escape"},
	{"\"", NULL, "the end of the text"},
};

static const char plain[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !#$%&'()*";

static void check_string(const struct special *special, size_t length, size_t at, size_t offset)
{
	char text[LENGTH_MAX + 32];
	char expected[LENGTH_MAX + 32];
	int size = snprintf(text, sizeof(text), "\"%.*s%s%.*s\"", (int)at, plain, special->written,
		(int)(length - at), plain);
	int left = snprintf(expected, sizeof(expected), "%.*s%s%.*s", (int)at, text + 1,
		special->read ? special->read : "", (int)(length - at), plain);
	struct placed placed = place(text, (size_t)size, offset);
	struct arena arena = {0};
	struct err_info info = {0};
	const struct value *value = NULL;
	enum err err = json_parse(placed.text, DEPTH, &arena, &value, &info);
	if (special->read) {
		assert_int_equal(err, OK);
		assert_int_equal(value->kind, VALUE_STRING);
		assert_int_equal(value->size, left);
		assert_memory_equal(value->as.text, expected, left);
	} else {
		bool ends = special->written[0] == '"';
		assert_int_equal(err, ERR_CORRUPT);
		assert_int_equal(info.position, 1 + at + (ends ? 1 : 0));
		assert_non_null(strstr(info.text, special->refusal));
	}
	arena_fini(&arena);
	free(placed.memory);
}

static void test_strings(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++) {
		for (size_t length = 0; length <= LENGTH_MAX; length++) {
			for (size_t at = 0; at <= length; at++) {
				check_string(&specials[i], length, at, (length + at) % STEP);
			}
		}
	}
	for (size_t offset = 0; offset < STEP; offset++) {
		for (size_t length = 0; length <= LENGTH_MAX; length++) {
			check_string(&specials[0], length, 0, offset);
		}
	}
}

static void test_strings_without_end(void **state)
{
	(void)state;
	static const char *const ends[] = {"", "\xc3\xa9", "\\", "\\\"", "\\\\"};
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		for (size_t length = 0; length <= LENGTH_MAX; length++) {
			char text[LENGTH_MAX + 32];
			int size =
				snprintf(text, sizeof(text), "\"%0*d%s", (int)length, 0, ends[i]);
			struct placed placed = place(text, (size_t)size, 0);
			struct arena arena = {0};
			struct err_info info = {0};
			const struct value *value = NULL;
			assert_int_equal(
				json_parse(placed.text, DEPTH, &arena, &value, &info), ERR_CORRUPT);
			assert_int_equal(info.position, size);
			assert_non_null(strstr(info.text, "a closing quote"));
			arena_fini(&arena);
			free(placed.memory);
		}
	}
}

/* ---- white space ----------------------------------------------------------------------------- */

static const char *const parts[] = {"[", "1", ",", "{", "\"a\"", ":", "2", "}", "]"};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

/* The parts with white space before the one at `gap`, or behind all of them; gives its place. */
static size_t write_parts(size_t gap, size_t spaces, struct buffer *text)
{
	size_t at = 0;
	for (size_t i = 0; i <= PARTS; i++) {
		if (i == gap) {
			at = text->size;
		}
		for (size_t space = 0; i == gap && space < spaces; space++) {
			const char *byte = &" \n\t\r"[(space + spaces) % 4];
			assert_int_equal(buffer_append(text, (struct bytes){byte, 1}), OK);
		}
		assert_int_equal(buffer_append_text(text, i < PARTS ? parts[i] : ""), OK);
	}
	return at;
}

static void check_white_space(size_t gap, size_t spaces)
{
	struct buffer text = {0};
	struct arena arena = {0};
	struct err_info info = {0};
	const struct value *value = NULL;
	size_t at = write_parts(gap, spaces, &text);
	struct placed placed = place(text.data, text.size, 0);
	assert_int_equal(json_parse(placed.text, DEPTH, &arena, &value, NULL), OK);
	assert_int_equal(value->as.span, 5);
	assert_int_equal(value[4].as.integer, 2);
	if (spaces > 0) {
		/* What only looks like white space is refused where it stands. */
		size_t last = at + spaces - 1;
		text.data[last] = '\v';
		assert_int_equal(
			json_parse(buffer_bytes(&text), DEPTH, &arena, &value, &info), ERR_CORRUPT);
		assert_int_equal(info.position, last);
	}
	arena_fini(&arena);
	free(placed.memory);
	buffer_fini(&text);
}

static void test_white_space(void **state)
{
	(void)state;
	for (size_t gap = 0; gap <= PARTS; gap++) {
		for (size_t spaces = 0; spaces <= LENGTH_MAX; spaces++) {
			check_white_space(gap, spaces);
		}
	}
}

/* ---- the walk -------------------------------------------------------------------------------- */

/* A container with a string that has `inside` at a place, between two members. */
static void check_walk(const char *inside, size_t length, size_t at)
{
	char text[WALK_MAX + 64];
	char padding[WALK_MAX + 1];
	memset(padding, 'x', sizeof(padding));
	int size = snprintf(text, sizeof(text), "{\"a\":[{\"%.*s%s%.*s\":[]},\"\"],\"b\":{}}",
		(int)at, padding, inside, (int)(length - at), padding);
	struct placed placed = place(text, (size_t)size, length % STEP);
	struct json_member member;
	size_t cursor = 0;
	assert_int_equal(json_next_member(placed.text, &cursor, &member), OK);
	assert_int_equal(member.value.size, length + strlen(inside) + 12);
	assert_int_equal(json_next_member(placed.text, &cursor, &member), OK);
	assert_true(json_name_is(&member, (struct bytes){"b", 1}));
	assert_int_equal(member.value.size, 2);
	assert_int_equal(json_next_member(placed.text, &cursor, &member), ERR_EMPTY);
	/* Cut anywhere in the first member, it does not end. */
	cursor = 0;
	size_t cut = 5 + (at + length) % (length + strlen(inside) + 12);
	placed.text.size = cut;
	assert_int_equal(json_next_member(placed.text, &cursor, &member), ERR_CORRUPT);
	free(placed.memory);
}

static void test_walk(void **state)
{
	(void)state;
	static const char *const insides[] = {"", "]", "}", "[{", "\\\"", "\\\\", "\\\\\\\"]",
		"\\\"}\\\"", "\xc3\xa9", ":,", "\\u005d"};
	for (size_t i = 0; i < sizeof(insides) / sizeof(insides[0]); i++) {
		for (size_t length = 0; length <= WALK_MAX; length++) {
			for (size_t at = 0; at <= length; at++) {
				check_walk(insides[i], length, at);
			}
		}
	}
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void check_number(const char *number)
{
	char text[128];
	/* The end of the text, and something else behind it, are told apart. */
	for (int form = 0; form < 2; form++) {
		int size = snprintf(text, sizeof(text), form == 0 ? "%s" : "[%s,0]", number);
		struct placed placed = place(text, (size_t)size, 0);
		struct arena arena = {0};
		const struct value *value = NULL;
		assert_int_equal(json_parse(placed.text, DEPTH, &arena, &value, NULL), OK);
		value += form;
		char *end = NULL;
		if (value->kind == VALUE_INT) {
			assert_int_equal(value->as.integer, strtoll(number, &end, 10));
		} else if (value->kind == VALUE_UINT) {
			assert_int_equal(value->as.unsigned_integer, strtoull(number, &end, 10));
		} else {
			double expected = strtod(number, &end);
			assert_int_equal(value->kind, VALUE_DOUBLE);
			assert_memory_equal(&value->as.real, &expected, sizeof(expected));
		}
		assert_true(*end == '\0');
		bool is_integer = !strpbrk(number, ".eE") && strlen(number) <= 18;
		assert_true(!is_integer || value->kind == VALUE_INT);
		arena_fini(&arena);
		free(placed.memory);
	}
}

/* The first digits with a point behind some of them, if it is not behind all, with each sign. */
static void check_digits(const char *digits, int count, int point, const char *exponent)
{
	char text[64];
	(void)snprintf(text, sizeof(text), "-%.*s%s%.*s%s", point, digits, point < count ? "." : "",
		count - point, digits + point, exponent);
	check_number(text);
	check_number(text + 1);
}

static void check_exponents(const char *digits, const char *exponent)
{
	for (int count = 1; count <= 25; count++) {
		for (int point = 1; point <= count; point++) {
			check_digits(digits, count, point, exponent);
		}
	}
}

static void test_numbers(void **state)
{
	(void)state;
	static const char *const digits[] = {"1234567890123456789012345",
		"9999999999999999999999999", "1000000000000000000000001",
		"9007199254740993123456789", "9223372036854775808123456",
		"1844674407370955161612345"};
	static const char *const exponents[] = {"", "e0", "E+5", "e-7", "e22", "e-23"};
	for (size_t i = 0; i < sizeof(digits) / sizeof(digits[0]); i++) {
		for (size_t e = 0; e < sizeof(exponents) / sizeof(exponents[0]); e++) {
			check_exponents(digits[i], exponents[e]);
		}
	}
	static const char *const others[] = {"0", "-0", "0.0", "-0.0", "0e5",
		"0.000000000000000001", "0.00000000000000001", "9007199254740992",
		"9007199254740992.0", "9007199254740993.0", "900719925474099.3",
		"0.9007199254740993", "9223372036854775807", "-9223372036854775808",
		"-9223372036854775809", "18446744073709551615", "18446744073709551616", "0.1",
		"0.3", "123456.789"};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		check_number(others[i]);
	}
}

static void test_wrong_numbers(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint32_t position;
		const char *expected;
	} wrong[] = {
		{"[-]", 2, "a digit"},
		{"[-a,0]", 2, "a digit"},
		{"[01,0]", 1, "a number without leading zeros"},
		{"[00.5,0]", 1, "a number without leading zeros"},
		{"[-012345678,0]", 2, "a number without leading zeros"},
		{"[1.,0]", 3, "a digit"},
		{"[12345678.,0]", 10, "a digit"},
		{"[1.e5,0]", 3, "a digit"},
		{"[1e,0]", 3, "a digit of the exponent"},
		{"[12345678e+,0]", 11, "a digit of the exponent"},
		{"[1234567:,0]", 8, "',' or ']'"},
		{"[1234567/,0]", 8, "',' or ']'"},
		{"[1.2.3,0]", 4, "',' or ']'"},
		{"[1E400,0]", 1, "a number that a double can hold"},
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct arena arena = {0};
		struct err_info info = {0};
		const struct value *value = NULL;
		assert_int_equal(json_parse(bytes_of(wrong[i].text), DEPTH, &arena, &value, &info),
			ERR_CORRUPT);
		assert_int_equal(info.position, wrong[i].position);
		assert_non_null(strstr(info.text, wrong[i].expected));
		arena_fini(&arena);
	}
}

/* ---- the tape -------------------------------------------------------------------------------- */

/* More cells than there was room for at first, in texts dense and sparse. */
static void test_tape_grows(void **state)
{
	(void)state;
	static const size_t counts[] = {0, 1, 62, 63, 64, 65, 127, 128, 4094, 4095, 4096, 20000};
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct buffer text = {0};
		assert_int_equal(buffer_append_text(&text, "["), OK);
		for (size_t item = 0; item < counts[i]; item++) {
			assert_int_equal(buffer_append_text(&text, item > 0 ? ",7" : "7"), OK);
		}
		assert_int_equal(buffer_append_text(&text, "]"), OK);
		struct arena arena = {0};
		const struct value *value = NULL;
		assert_int_equal(json_parse(buffer_bytes(&text), DEPTH, &arena, &value, NULL), OK);
		assert_int_equal(value->size, counts[i]);
		assert_int_equal(value->as.span, counts[i] + 1);
		assert_true(counts[i] == 0 || value[counts[i]].as.integer == 7);
		arena_fini(&arena);
		buffer_fini(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_strings_without_end),
		cmocka_unit_test(test_white_space),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_wrong_numbers),
		cmocka_unit_test(test_tape_grows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
