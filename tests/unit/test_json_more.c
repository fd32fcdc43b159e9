/*
 * JSON through value.h: tables of texts, and random and mutated texts, each against a second
 * reader, which is written below for clarity only.
 */
#include "value.h"

#include "random.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEPTH_MAX 20
#define TEXT(literal) ((struct bytes){(literal), sizeof(literal) - 1})
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- a second reader, naive ------------------------------------------------------------------ */

struct naive {
	const char *at; /* NUL-terminated; a NUL inside is refused by the grammar anyway */
	struct tape tape;
	struct arena arena;
};

static bool naive_value(struct naive *naive, int depth);

static void naive_space(struct naive *naive)
{
	naive->at += strspn(naive->at, " \t\r\n");
}

static bool naive_take(struct naive *naive, const char *word)
{
	if (strncmp(naive->at, word, strlen(word)) != 0) {
		return false;
	}
	naive->at += strlen(word);
	return true;
}

static bool naive_push(struct naive *naive, struct value value)
{
	assert_int_equal(tape_push(&naive->tape, value), OK);
	return true;
}

static bool naive_unit(struct naive *naive, unsigned *ret_unit)
{
	char digits[5] = {0};
	for (int i = 0; i < 4; i++) {
		digits[i] = naive->at[i];
		if (!digits[i] || !strchr("0123456789abcdefABCDEF", digits[i])) {
			return false;
		}
	}
	naive->at += 4;
	*ret_unit = (unsigned)strtoul(digits, NULL, 16);
	return true;
}

static void naive_point(struct buffer *buffer, unsigned point)
{
	unsigned char utf8[4];
	size_t size = 0;
	if (point < 0x80) {
		utf8[size++] = (unsigned char)point;
	} else if (point < 0x800) {
		utf8[size++] = (unsigned char)(0xC0 | point >> 6);
	} else if (point < 0x10000) {
		utf8[size++] = (unsigned char)(0xE0 | point >> 12);
		utf8[size++] = (unsigned char)(0x80 | (point >> 6 & 0x3F));
	} else {
		utf8[size++] = (unsigned char)(0xF0 | point >> 18);
		utf8[size++] = (unsigned char)(0x80 | (point >> 12 & 0x3F));
		utf8[size++] = (unsigned char)(0x80 | (point >> 6 & 0x3F));
	}
	if (point >= 0x80) {
		utf8[size++] = (unsigned char)(0x80 | (point & 0x3F));
	}
	assert_int_equal(buffer_append(buffer, (struct bytes){(char *)utf8, size}), OK);
}

static bool naive_escape(struct naive *naive, struct buffer *buffer)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	char letter = *naive->at;
	const char *place = letter ? strchr(letters, letter) : NULL;
	if (place) {
		naive->at++;
		naive_point(buffer, (unsigned char)meanings[place - letters]);
		return true;
	}
	unsigned unit = 0;
	unsigned second = 0;
	if (!naive_take(naive, "u") || !naive_unit(naive, &unit)) {
		return false;
	}
	if (unit >= 0xD800 && unit < 0xE000) {
		if (unit >= 0xDC00 || !naive_take(naive, "\\u") || !naive_unit(naive, &second) ||
			second < 0xDC00 || second > 0xDFFF) {
			return false;
		}
		unit = 0x10000 + (unit - 0xD800) * 0x400 + (second - 0xDC00);
	}
	naive_point(buffer, unit);
	return true;
}

static bool naive_string(struct naive *naive)
{
	struct buffer buffer = {0};
	bool fine = naive_take(naive, "\"");
	while (fine && *naive->at != '"') {
		unsigned char byte = (unsigned char)*naive->at;
		if (byte < 0x20) {
			fine = false;
		} else if (byte == '\\') {
			naive->at++;
			fine = naive_escape(naive, &buffer);
		} else {
			assert_int_equal(buffer_append(&buffer, (struct bytes){naive->at, 1}), OK);
			naive->at++;
		}
	}
	fine = fine && bytes_are_utf8(buffer_bytes(&buffer));
	if (fine) {
		naive->at++;
		(void)naive_push(
			naive, value_string(arena_copy(&naive->arena, buffer_bytes(&buffer))));
	}
	buffer_fini(&buffer);
	return fine;
}

static size_t naive_digits(struct naive *naive)
{
	size_t count = strspn(naive->at, "0123456789");
	naive->at += count;
	return count;
}

static bool naive_number(struct naive *naive)
{
	const char *start = naive->at;
	(void)naive_take(naive, "-");
	if (!naive_take(naive, "0") && naive_digits(naive) == 0) {
		return false;
	}
	bool integer = *naive->at != '.' && *naive->at != 'e' && *naive->at != 'E';
	if (naive_take(naive, ".") && naive_digits(naive) == 0) {
		return false;
	}
	if (naive_take(naive, "e") || naive_take(naive, "E")) {
		(void)(naive_take(naive, "+") || naive_take(naive, "-"));
		if (naive_digits(naive) == 0) {
			return false;
		}
	}
	errno = 0;
	long long whole = strtoll(start, NULL, 10);
	if (integer && errno == 0) {
		return naive_push(naive, value_int(whole));
	}
	errno = 0;
	unsigned long long large = strtoull(start, NULL, 10);
	if (integer && errno == 0 && *start != '-') {
		return naive_push(
			naive, (struct value){.kind = VALUE_UINT, .as.unsigned_integer = large});
	}
	double real = strtod(start, NULL);
	return !isinf(real) &&
		naive_push(naive, (struct value){.kind = VALUE_DOUBLE, .as.real = real});
}

static bool naive_container(struct naive *naive, bool object, int depth)
{
	size_t place = 0;
	size_t count = 0;
	const char *end = object ? "}" : "]";
	if (depth == DEPTH_MAX) {
		return false;
	}
	assert_int_equal(tape_open(&naive->tape, object ? VALUE_OBJECT : VALUE_LIST, &place), OK);
	naive_space(naive);
	bool closed = naive_take(naive, end);
	while (!closed) {
		naive_space(naive);
		if (object) {
			if (!naive_string(naive)) {
				return false;
			}
			naive_space(naive);
			if (!naive_take(naive, ":")) {
				return false;
			}
		}
		if (!naive_value(naive, depth + 1)) {
			return false;
		}
		count++;
		naive_space(naive);
		closed = naive_take(naive, end);
		if (!closed && !naive_take(naive, ",")) {
			return false;
		}
	}
	tape_close(&naive->tape, place, count);
	return true;
}

static bool naive_value(struct naive *naive, int depth)
{
	naive_space(naive);
	if (*naive->at == '"') {
		return naive_string(naive);
	}
	if (naive_take(naive, "{")) {
		return naive_container(naive, true, depth);
	}
	if (naive_take(naive, "[")) {
		return naive_container(naive, false, depth);
	}
	if (naive_take(naive, "true")) {
		return naive_push(naive, value_bool(true));
	}
	if (naive_take(naive, "false")) {
		return naive_push(naive, value_bool(false));
	}
	if (naive_take(naive, "null")) {
		return naive_push(naive, (struct value){.kind = VALUE_NULL});
	}
	return naive_number(naive);
}

static bool same_cell(const struct value *a, const struct value *b)
{
	if (a->kind != b->kind || a->size != b->size) {
		return false;
	}
	if (a->kind == VALUE_STRING) {
		return bytes_equal(value_text(a), value_text(b));
	}
	if (a->kind == VALUE_LIST || a->kind == VALUE_OBJECT) {
		return a->as.span == b->as.span;
	}
	if (a->kind == VALUE_BOOL) {
		return a->as.boolean == b->as.boolean;
	}
	return a->kind == VALUE_NULL || memcmp(&a->as, &b->as, sizeof(a->as)) == 0;
}

/* Both readers on one text, in memory of its very size, so that a read beyond it is seen by a
 * sanitizer. */
static bool compare_readers(struct bytes text)
{
	char *exact = malloc(text.size > 0 ? text.size : 1);
	char *terminated = calloc(text.size + 1, 1);
	assert_true(exact && terminated);
	if (text.size > 0) {
		memcpy(exact, text.data, text.size);
		memcpy(terminated, text.data, text.size);
	}
	struct naive naive = {.at = terminated};
	bool expected = naive_value(&naive, 0);
	naive_space(&naive);
	expected = expected && naive.at == terminated + text.size;
	struct arena arena = {0};
	struct tape tape = {0};
	struct err_info info = {0};
	enum err err = json_read((struct bytes){exact, text.size}, DEPTH_MAX, &arena, &tape, &info);
	bool same = (err == OK) == expected;
	if (err == OK) {
		same = same && tape.count == naive.tape.count;
		for (size_t i = 0; same && i < tape.count; i++) {
			same = same_cell(&tape.cells[i], &naive.tape.cells[i]);
		}
	} else {
		assert_int_equal(tape.count, 0);
		assert_true(info.position <= text.size);
		assert_true(strlen(info.text) > 20);
		assert_int_equal(info.code, err);
	}
	if (!same) {
		fail_msg("the readers differ: %s (%s)", terminated, err == OK ? "ok" : info.text);
	}
	tape_fini(&tape);
	tape_fini(&naive.tape);
	arena_fini(&arena);
	arena_fini(&naive.arena);
	free(exact);
	free(terminated);
	return expected;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void test_accepted(void **state)
{
	(void)state;
	static const char *const texts[] = {"0", "-0", "1", " 1 ", "\t\r\n 1\n", "-1", "10", "1.5",
		"1e5", "1E+5", "1e-5", "0.1", "0e0", "0.0e-0", "true", "false", "null", "\"\"",
		"\"a\"", "[]", "{}", "[ ]", "{ }", "[1,2]", "[[],[[]]]", "{\"a\":1}",
		" { \"a\" : 1 , \"b\" : [ true , null ] } ", "{\"a\":{\"b\":{}}}", "{\"\":0}",
		"{\"a\":1,\"a\":2}", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u0000\\u001f\\u007F\"",
		"\"\\u00e9\\u20AC\\uD83D\\uDE00\"", "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"",
		"\"\x7F\"", "\"\\uFFFF\"", "\"\\uD7FF\\uE000\"", "\"\xEF\xBF\xBF\"",
		"\"0123456789abcdef0123456789abcde\\n0123456789abcdef\xC3\xA9\"",
		"\"0123456789abcde\\u00e9\"", "[1e-999, 4.9e-324, 2e-324]",
		"[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]"};
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		if (!compare_readers(bytes_of(texts[i]))) {
			fail_msg("refused: %s", texts[i]);
		}
	}
}

static void test_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {"", " ", "01", "-01", "00", "-", "+1", ".5", "1.",
		"1.e5", "1e", "1e+", "1e1.5", "0x10", "1_000", "1 2", "1,", "NaN", "Infinity",
		"-Infinity", "tru", "truex", "True", "nul", "nan", "[", "]", "[1", "[1,", "[1,]",
		"[,1]", "[1 2]", "[1}", "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,",
		"{\"a\":1,}", "{,}", "{\"a\" 1}", "{\"a\":}", "{a:1}", "{'a':1}", "{1:1}",
		"{\"a\":1]", "{\"a\":1 \"b\":2}", "[1]]", "{}}", "\"", "\"a", "\"\\", "\"\\\"",
		"\"\\x\"", "\"\\u\"", "\"\\u12\"", "\"\\u12G4\"", "\"\\U0041\"", "\"\n\"", "\"\t\"",
		"\"\x01\"", "\"\x1f\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\ud800\"",
		"\"\\ud800x\"", "\"\\ud800\\n\"", "\"\\ud800\\u0041\"", "\"\\udc00\\ud800\"",
		"\"\x80\"", "\"\xC3\"", "\"\xC3\\u0041\"", "\"\xED\xA0\x80\"", "\"\xC0\x80\"",
		"\"\xF5\x80\x80\x80\"", "\"\xFF\"",
		("\xEF\xBB\xBF"
		 "1"),
		("\xC2\xA0"
		 "1"),
		"\v1", "\f1", "//x\n1", "/**/1", "1e999", "-1e999", "[1e400]",
		"\"0123456789abcde\x80\"", "\"0123456789abcdef\n\"", "{\"\x80\":1}",
		"{\"\\ud800\":1}", "[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]", "\"a\"\"b\"",
		"\"\\\n\"", "'a'"};
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		if (compare_readers(bytes_of(texts[i]))) {
			fail_msg("accepted: %s", texts[i]);
		}
	}
	assert_false(compare_readers(TEXT("1\0")));
	assert_false(compare_readers(TEXT("\"a\0b\"")));
	assert_false(compare_readers(TEXT("[\0]")));
}

/* ---- random texts ---------------------------------------------------------------------------- */

static void write_random_string(struct test_random *random, struct buffer *buffer)
{
	static const char *const pieces[] = {"a", "room", "0123456789abcdef", "\\n", "\\\"",
		"\\u00e9", "\\ud83d\\ude00", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", " ",
		"{", "]", "\\\\", "/"};
	assert_int_equal(buffer_append_text(buffer, "\""), OK);
	for (uint64_t i = test_random_below(random, 6); i > 0; i--) {
		const char *piece = pieces[test_random_below(random, COUNT_OF(pieces))];
		assert_int_equal(buffer_append_text(buffer, piece), OK);
	}
	assert_int_equal(buffer_append_text(buffer, "\""), OK);
}

static void write_random(struct test_random *random, struct buffer *buffer, int depth)
{
	static const char *const scalars[] = {"null", "true", "false", "0", "-0", "1", "-1.5",
		"1e308", "2.5e-3", "9223372036854775807", "9223372036854775808", "-0.0",
		"18446744073709551616", "0.30000000000000004", "12345678901234567890.5"};
	static const char *const spaces[] = {"", "", "", " ", "\n\t", "  "};
	uint64_t kind = test_random_below(random, depth > 0 ? 4 : 2);
	assert_int_equal(buffer_append_text(buffer, spaces[test_random_below(random, 6)]), OK);
	if (kind == 0) {
		const char *scalar = scalars[test_random_below(random, COUNT_OF(scalars))];
		assert_int_equal(buffer_append_text(buffer, scalar), OK);
	} else if (kind == 1) {
		write_random_string(random, buffer);
	} else {
		bool object = kind == 2;
		uint64_t count = test_random_below(random, 5);
		assert_int_equal(buffer_append_text(buffer, object ? "{" : "["), OK);
		for (uint64_t i = 0; i < count; i++) {
			assert_int_equal(buffer_append_text(buffer, i > 0 ? "," : ""), OK);
			if (object) {
				write_random_string(random, buffer);
				assert_int_equal(buffer_append_text(buffer, " :"), OK);
			}
			write_random(random, buffer, depth - 1);
		}
		assert_int_equal(buffer_append_text(buffer, object ? "}" : "]"), OK);
	}
	assert_int_equal(buffer_append_text(buffer, spaces[test_random_below(random, 6)]), OK);
}

/* The members of any object that json_read accepts are those of its tape. */
static void compare_members(struct bytes text)
{
	struct arena arena = {0};
	const struct value *object = NULL;
	struct json_member member;
	size_t cursor = 0;
	if (json_parse(text, DEPTH_MAX, &arena, &object, NULL) == OK &&
		object->kind == VALUE_OBJECT) {
		const struct value *key = object + 1;
		for (uint32_t i = 0; i < object->size; i++) {
			assert_int_equal(json_next_member(text, &cursor, &member), OK);
			assert_true(json_name_is(&member, value_text(key)));
			const struct value *value = NULL;
			assert_int_equal(
				json_parse(member.value, DEPTH_MAX, &arena, &value, NULL), OK);
			for (ptrdiff_t j = 0; j < value_after(value) - value; j++) {
				assert_true(same_cell(value + j, key + 1 + j));
			}
			key = value_after(key + 1);
		}
		assert_int_equal(json_next_member(text, &cursor, &member), ERR_EMPTY);
	} else {
		while (json_next_member(text, &cursor, &member) == OK) {
			assert_true(cursor <= text.size);
		}
	}
	arena_fini(&arena);
}

/* What is printed reads back cell by cell. */
static void check_round_trip(struct bytes text)
{
	struct arena arena = {0};
	const struct value *value = NULL;
	const struct value *again = NULL;
	struct buffer printed = {0};
	assert_int_equal(json_parse(text, DEPTH_MAX, &arena, &value, NULL), OK);
	assert_int_equal(json_print(&printed, value), OK);
	assert_int_equal(json_parse(buffer_bytes(&printed), DEPTH_MAX, &arena, &again, NULL), OK);
	ptrdiff_t count = value_after(value) - value;
	assert_int_equal(value_after(again) - again, count);
	for (ptrdiff_t i = 0; i < count; i++) {
		assert_true(same_cell(value + i, again + i));
	}
	assert_true(value_equal(value, again));
	buffer_fini(&printed);
	arena_fini(&arena);
}

static void mutate(struct test_random *random, struct buffer *text)
{
	static const char letters[] =
		"{}[]\",:\\ 0123456789eE+-.utfnalrs\x80\xC3\xED\xF0\xFF\n\x01";
	size_t at = text->size > 0 ? test_random_below(random, text->size) : 0;
	char letter = letters[test_random_below(random, sizeof(letters) - 1)];
	uint64_t kind = test_random_below(random, 4);
	if (text->size == 0 || kind == 0) {
		assert_int_equal(buffer_append(text, (struct bytes){&letter, 1}), OK);
		memmove(text->data + at + 1, text->data + at, text->size - at - 1);
		text->data[at] = letter;
	} else if (kind == 1) {
		text->data[at] = letter;
	} else if (kind == 2) {
		memmove(text->data + at, text->data + at + 1, text->size - at - 1);
		text->size--;
	} else {
		text->size = at;
	}
}

static void test_random_texts(void **state)
{
	(void)state;
	struct test_random random = test_random_start("texts");
	struct buffer text = {0};
	int accepted = 0;
	for (int round = 0; round < 8000; round++) {
		text.size = 0;
		write_random(&random, &text, 4);
		assert_true(compare_readers(buffer_bytes(&text)));
		check_round_trip(buffer_bytes(&text));
		compare_members(buffer_bytes(&text));
		for (int i = 0; i < 6; i++) {
			mutate(&random, &text);
			accepted += compare_readers(buffer_bytes(&text));
			compare_members(buffer_bytes(&text));
		}
	}
	assert_true(accepted > 500);
	buffer_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_random_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
