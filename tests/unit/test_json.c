/* JSON through value.h: error texts, number borders, printing, members, lack of memory. */
#include "value.h"

#include "failing.h"
#include "random.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TEXT(literal) ((struct bytes){(literal), sizeof(literal) - 1})
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- errors ---------------------------------------------------------------------------------- */

static void test_errors_speak(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum err err;
		uint32_t position;
		const char *says;
	} rows[] = {
		{"{\"a\":1 x}", ERR_CORRUPT, 7, "at byte 7: expected ',' or '}', found 0x78 (x})"},
		{"[1,2", ERR_CORRUPT, 4,
			"at byte 4: expected ',' or ']', found the end of the text"},
		{"{\"a\":1,}", ERR_CORRUPT, 7, "expected a member's name in quotes"},
		{"[tru]", ERR_CORRUPT, 1, "expected true, false, null or another value"},
		{"", ERR_CORRUPT, 0, "expected a value, found the end of the text"},
		{"[1e999]", ERR_CORRUPT, 1, "expected a number that a double can hold"},
		{"[-]", ERR_CORRUPT, 2, "expected a digit"},
		{"[12, 012]", ERR_CORRUPT, 5, "expected a number without leading zeros"},
		{"\"ab\xFF\"", ERR_CORRUPT, 3, "expected UTF-8, found 0xff"},
		{"\"ab\n\"", ERR_CORRUPT, 3, "expected control characters to be escaped"},
		{"\"a\\q\"", ERR_CORRUPT, 2, "expected an escape"},
		{"\"a\\u00x0\"", ERR_CORRUPT, 6, "expected four hexadecimal digits"},
		{"\"a\\ud800\"", ERR_CORRUPT, 2, "expected a surrogate pair"},
		{"\"a", ERR_CORRUPT, 2, "expected a closing quote, found the end of the text"},
		{"1 2", ERR_CORRUPT, 2, "expected the end of the text"},
		{"[[[[1]]]]", ERR_LIMIT, 3, "expected at most 3 levels of nesting"},
	};
	struct arena arena = {0};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct err_info info = {0};
		const struct value *value = NULL;
		enum err err = json_parse(bytes_of(rows[i].text), 3, &arena, &value, &info);
		assert_int_equal(err, rows[i].err);
		assert_null(value);
		if (info.position != rows[i].position || !strstr(info.text, rows[i].says)) {
			fail_msg("%s: %s", rows[i].text, info.text);
		}
		assert_int_equal(
			json_parse(bytes_of(rows[i].text), 3, &arena, &value, NULL), rows[i].err);
	}
	arena_fini(&arena);
}

static void test_appends_to_tape(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct tape tape = {0};
	assert_int_equal(tape_push(&tape, value_int(7)), OK);
	assert_int_equal(json_read(TEXT("[1,[2]]"), 5, &arena, &tape, NULL), OK);
	assert_int_equal(tape.count, 5);
	assert_int_equal(tape.cells[1].as.span, 4);
	assert_int_equal(json_read(TEXT("[1,[2]"), 5, &arena, &tape, NULL), ERR_CORRUPT);
	assert_int_equal(tape.count, 5);
	assert_int_equal(json_read((struct bytes){NULL, 0}, 5, &arena, &tape, NULL), ERR_CORRUPT);
	tape_fini(&tape);
	arena_fini(&arena);
}

/* ---- numbers --------------------------------------------------------------------------------- */

static struct value read_number(const char *text)
{
	struct arena arena = {0};
	const struct value *value = NULL;
	struct err_info info;
	if (json_parse(bytes_of(text), 1, &arena, &value, &info) != OK) {
		fail_msg("%s: %s", text, info.text);
	}
	struct value number = *value;
	arena_fini(&arena);
	return number;
}

static void expect_int(const char *text, int64_t expected)
{
	struct value number = read_number(text);
	assert_int_equal(number.kind, VALUE_INT);
	assert_true(number.as.integer == expected);
}

static void expect_uint(const char *text, uint64_t expected)
{
	struct value number = read_number(text);
	assert_int_equal(number.kind, VALUE_UINT);
	assert_true(number.as.unsigned_integer == expected);
}

static void expect_double(const char *text, double expected)
{
	struct value number = read_number(text);
	assert_int_equal(number.kind, VALUE_DOUBLE);
	if (memcmp(&number.as.real, &expected, sizeof(expected)) != 0) {
		fail_msg("%.60s: %a, not %a", text, number.as.real, expected);
	}
}

static void test_integer_borders(void **state)
{
	(void)state;
	expect_int("0", 0);
	expect_int("-0", 0);
	expect_int("9007199254740993", INT64_C(9007199254740993));
	expect_int("-9007199254740993", -INT64_C(9007199254740993));
	expect_int("9223372036854775807", INT64_MAX);
	expect_int("-9223372036854775808", INT64_MIN);
	expect_int("-9223372036854775807", INT64_MIN + 1);
	expect_uint("9223372036854775808", (uint64_t)INT64_MAX + 1);
	expect_uint("9999999999999999999", UINT64_C(9999999999999999999));
	expect_uint("10000000000000000000", UINT64_C(10000000000000000000));
	expect_uint("18446744073709551615", UINT64_MAX);
	expect_double("18446744073709551616", 0x1p64);
	expect_double("18446744073709551617", 0x1p64);
	expect_double("19999999999999999999", 2e19);
	expect_double("20000000000000000000", 2e19);
	expect_double("28446744073709551616", 28446744073709551616.0);
	expect_double("99999999999999999999", 1e20);
	expect_double("100000000000000000000", 1e20);
	expect_double("-9223372036854775809", -0x1p63);
	expect_double("-18446744073709551615", -0x1p64);
	expect_double("-18446744073709551616", -0x1p64);
}

static void test_double_borders(void **state)
{
	(void)state;
	expect_double("25.0", 25.0);
	expect_double("2.5e3", 2500.0);
	expect_double("-0.0", -0.0);
	expect_double("0e5", 0.0);
	expect_double("0e999999999999999999999999", 0.0);
	expect_double("-0.000e-99", -0.0);
	expect_double("9007199254740991.0", 9007199254740991.0);
	expect_double("9007199254740992.0", 9007199254740992.0);
	expect_double("9007199254740993.0", 9007199254740992.0);
	expect_double("9007199254740994.0", 9007199254740994.0);
	expect_double("9007199254740995.0", 9007199254740996.0);
	expect_double("0.1", 0.1);
	expect_double("0.30000000000000004", 0.30000000000000004);
	expect_double("123456789012345.6e-5", 1234567890.123456);
	expect_double("1e22", 1e22);
	expect_double("1e23", 1e23);
	expect_double("1e-22", 1e-22);
	expect_double("1e-23", 1e-23);
	expect_double("1e308", 1e308);
	expect_double("1.7976931348623157e308", DBL_MAX);
	expect_double("1.7976931348623158e308", DBL_MAX);
	expect_double("17976931348623157e292", DBL_MAX);
	expect_double("2.2250738585072014e-308", DBL_MIN);
	expect_double("2.2250738585072011e-308", 0x0.fffffffffffffp-1022);
	expect_double("4.9e-324", 0x1p-1074);
	expect_double("2.4703282292062328e-324", 0x1p-1074);
	expect_double("2.4703282292062327e-324", 0.0);
	expect_double("1e-400", 0.0);
	expect_double("-1e-400", -0.0);
	expect_double("1e-99999999999999999999", 0.0);
	expect_double("0.00000000000000000000000000000000000001e38", 1.0);
	static const char *const refused[] = {"1e309", "-1e309", "1.7976931348623159e308", "2e308",
		"1e99999999999999999999", "0.001e312"};
	struct arena arena = {0};
	const struct value *value = NULL;
	for (size_t i = 0; i < COUNT_OF(refused); i++) {
		assert_int_equal(
			json_parse(bytes_of(refused[i]), 1, &arena, &value, NULL), ERR_CORRUPT);
	}
	arena_fini(&arena);
}

static void append_zeros(struct buffer *buffer, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(buffer_append_text(buffer, "0"), OK);
	}
}

/* head, zeros, tail: read back as `expected` */
static void expect_long(const char *head, size_t zeros, const char *tail, double expected)
{
	struct buffer buffer = {0};
	assert_int_equal(buffer_append_text(&buffer, head), OK);
	append_zeros(&buffer, zeros);
	assert_int_equal(buffer_append(&buffer, (struct bytes){tail, strlen(tail) + 1}), OK);
	expect_double(buffer.data, expected);
	buffer_fini(&buffer);
}

static void test_long_numbers(void **state)
{
	(void)state;
	static const size_t lengths[] = {1, 5, 700, 750, 751, 752, 753, 800, 5000};
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		/* Halfway, and the least bit over it. */
		char exponent[32];
		expect_long("9007199254740993.", lengths[i], "", 9007199254740992.0);
		expect_long("9007199254740993.", lengths[i], "1", 9007199254740994.0);
		(void)snprintf(exponent, sizeof(exponent), "e-%zu", lengths[i]);
		expect_long("9007199254740993", lengths[i], exponent, 9007199254740992.0);
		(void)snprintf(exponent, sizeof(exponent), "1e-%zu", lengths[i] + 1);
		expect_long("9007199254740993", lengths[i], exponent, 9007199254740994.0);
		(void)snprintf(exponent, sizeof(exponent), "1e%zu", lengths[i] + 1);
		expect_long("0.", lengths[i], exponent, 1.0);
	}
	/* Halfway between 0 and the least double: 2^-1075 has 752 digits. */
	char text[1200];
	int size = snprintf(text, sizeof(text), "%.1075f", 0x1p-1074);
	assert_int_equal(size, 1077);
	expect_double(text, 0x1p-1074);
	/* 800 digits */
	size = snprintf(text, sizeof(text), "%.799f", 1.0 / 3);
	assert_int_equal(size, 801);
	expect_double(text, 1.0 / 3);
}

static void test_random_decimals(void **state)
{
	(void)state;
	struct test_random random = test_random_start("decimals");
	for (int round = 0; round < 200000; round++) {
		char text[128];
		size_t size = 0;
		size_t digits = 1 + test_random_below(&random, round % 10 == 0 ? 60 : 20);
		size_t point = test_random_below(&random, digits + 1);
		for (size_t i = 0; i < digits; i++) {
			if (i == point && i > 0) {
				text[size++] = '.';
			}
			text[size++] = (char)((i == 0 ? '1' : '0') +
				test_random_below(&random, i == 0 ? 9 : 10));
		}
		int spread = round % 3 == 0 ? 700 : 40;
		int exponent = (int)test_random_below(&random, (uint64_t)spread) - spread / 2;
		(void)snprintf(text + size, sizeof(text) - size, "e%d", exponent);
		double expected = strtod(text, NULL);
		if (!isinf(expected)) {
			expect_double(text, expected);
		}
	}
}

/* ---- printing -------------------------------------------------------------------------------- */

static void expect_printed(struct value value, const char *expected)
{
	struct buffer buffer = {0};
	assert_int_equal(json_print(&buffer, &value), OK);
	assert_int_equal(buffer_append(&buffer, (struct bytes){"", 1}), OK);
	assert_string_equal(buffer.data, expected);
	buffer_fini(&buffer);
}

static struct value real_value(double real)
{
	return (struct value){.kind = VALUE_DOUBLE, .as.real = real};
}

static void test_print_numbers(void **state)
{
	(void)state;
	expect_printed(value_int(0), "0");
	expect_printed(value_int(INT64_MIN), "-9223372036854775808");
	expect_printed((struct value){.kind = VALUE_UINT, .as.unsigned_integer = UINT64_MAX},
		"18446744073709551615");
	expect_printed(real_value(25.0), "25.0");
	expect_printed(real_value(-25.0), "-25.0");
	expect_printed(real_value(0.0), "0.0");
	expect_printed(real_value(-0.0), "-0.0");
	expect_printed(real_value(0.1), "0.1");
	expect_printed(real_value(0.1 + 0.2), "0.30000000000000004");
	expect_printed(real_value(2500.5), "2500.5");
	expect_printed(real_value(1.0 / 3), "0.3333333333333333");
	expect_printed(real_value(100), "100.0");
	expect_printed(real_value(1e16), "10000000000000000.0");
	expect_printed(real_value(9007199254740993.0), "9007199254740992.0");
	expect_printed(real_value(1e17), "1e17");
	expect_printed(real_value(1.5e300), "1.5e300");
	expect_printed(real_value(0.00001), "0.00001");
	expect_printed(real_value(0.000001), "1e-6");
	expect_printed(real_value(-1.25e-7), "-1.25e-7");
	expect_printed(real_value(DBL_MAX), "1.7976931348623157e308");
	expect_printed(real_value(DBL_MIN), "2.2250738585072014e-308");
	expect_printed(real_value(0x1p-1074), "5e-324");
	struct buffer buffer = {0};
	assert_int_equal(buffer_append_text(&buffer, "kept"), OK);
	struct value cells[] = {
		{.kind = VALUE_LIST, .size = 2, .as.span = 3}, value_int(1), real_value(NAN)};
	assert_int_equal(json_print(&buffer, cells), ERR_INVALID);
	cells[2] = real_value(-INFINITY);
	assert_int_equal(json_print(&buffer, cells), ERR_INVALID);
	cells[2] = (struct value){.kind = VALUE_NONE};
	assert_int_equal(json_print(&buffer, cells), ERR_INVALID);
	assert_int_equal(buffer.size, 4);
	buffer_fini(&buffer);
}

static void test_print_random_doubles(void **state)
{
	(void)state;
	struct test_random random = test_random_start("doubles");
	struct buffer buffer = {0};
	for (int round = 0; round < 100000; round++) {
		uint64_t bits = test_random_next(&random);
		if (round % 5 == 0) {
			bits &= UINT64_C(0x800FFFFFFFFFFFFF); /* below the normal ones */
		}
		struct value value = real_value(0);
		memcpy(&value.as.real, &bits, sizeof(bits));
		if (round % 7 == 0) {
			value.as.real = (double)(int64_t)test_random_below(&random, 1000000) / 100;
		}
		if (!isfinite(value.as.real)) {
			continue;
		}
		buffer.size = 0;
		assert_int_equal(json_print(&buffer, &value), OK);
		assert_int_equal(buffer_append(&buffer, (struct bytes){"", 1}), OK);
		expect_double(buffer.data, value.as.real);
		/* One digit less does not read back the same. */
		char text[64];
		size_t digits = 0;
		for (const char *at = buffer.data; *at && *at != 'e'; at++) {
			digits += *at >= '0' && *at <= '9' && (digits > 0 || *at != '0');
		}
		if (digits > 3 && !strstr(buffer.data, ".0")) {
			(void)snprintf(text, sizeof(text), "%.*e", (int)digits - 2, value.as.real);
			assert_true(strtod(text, NULL) != value.as.real);
		}
	}
	buffer_fini(&buffer);
}

static void test_print_strings(void **state)
{
	(void)state;
	expect_printed(value_string(TEXT("")), "\"\"");
	expect_printed(value_string(TEXT("a\"b\\c/d")), "\"a\\\"b\\\\c/d\"");
	expect_printed(value_string(TEXT("\b\f\n\r\t\x01\x1f\x7f\0")),
		"\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\u0000\"");
	expect_printed(value_string(TEXT("\xC3\xA9")), "\"\xC3\xA9\"");
	struct buffer buffer = {0};
	assert_int_equal(json_print_string(&buffer, TEXT("0123456789abcdef\n")), OK);
	assert_int_equal(json_print_string(&buffer, (struct bytes){NULL, 0}), OK);
	assert_true(bytes_equal(buffer_bytes(&buffer), TEXT("\"0123456789abcdef\\n\"\"\"")));
	buffer_fini(&buffer);
}

static void test_print_containers(void **state)
{
	(void)state;
	static const char *const texts[] = {"[]", "{}", "[1,2.5,\"x\",null,true,false]",
		"{\"a\":[],\"b\":{\"c\":[{}]},\"a\":1}", "[[[]],{\"\":{}}]"};
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct arena arena = {0};
		const struct value *value = NULL;
		assert_int_equal(json_parse(bytes_of(texts[i]), 9, &arena, &value, NULL), OK);
		struct buffer buffer = {0};
		assert_int_equal(json_print(&buffer, value), OK);
		assert_true(bytes_equal(buffer_bytes(&buffer), bytes_of(texts[i])));
		buffer_fini(&buffer);
		arena_fini(&arena);
	}
}

/* ---- members --------------------------------------------------------------------------------- */

static void test_members(void **state)
{
	(void)state;
	struct bytes text =
		TEXT(" { \"id\" : \"a\\\"}\" ,\"n\":-1.5e3,\"\\u0064ata\":{\"x\":[1,{\"]\":"
		     "\"}\\\\\"}]}, \"l\":[[],[]]\t,\"t\":true\n} ");
	static const struct {
		const char *name;
		const char *value;
	} expected[] = {{"id", "\"a\\\"}\""}, {"n", "-1.5e3"},
		{"data", "{\"x\":[1,{\"]\":\"}\\\\\"}]}"}, {"l", "[[],[]]"}, {"t", "true"}};
	size_t cursor = 0;
	struct json_member member;
	for (size_t i = 0; i < COUNT_OF(expected); i++) {
		assert_int_equal(json_next_member(text, &cursor, &member), OK);
		assert_true(json_name_is(&member, bytes_of(expected[i].name)));
		assert_false(json_name_is(&member, bytes_of("other")));
		assert_false(json_name_is(&member, TEXT("")));
		assert_true(bytes_equal(member.value, bytes_of(expected[i].value)));
		assert_int_equal(text.data[member.start], '"');
		assert_ptr_equal(text.data + member.start + 1, member.name.data);
	}
	assert_int_equal(json_next_member(text, &cursor, &member), ERR_EMPTY);
	assert_int_equal(json_next_member(text, &cursor, &member), ERR_EMPTY);
	assert_true(json_name_is(&member, TEXT("t")));
}

static void test_member_names(void **state)
{
	(void)state;
	struct json_member member = {.name = TEXT("\\uD83D\\uDE00\\n")};
	assert_true(json_name_is(&member, TEXT("\xF0\x9F\x98\x80\n")));
	assert_false(json_name_is(&member, TEXT("\xF0\x9F\x98\x80")));
	assert_false(json_name_is(&member, TEXT("\xF0\x9F\x98\x80\nx")));
	member.name = TEXT("a\\q");
	assert_false(json_name_is(&member, TEXT("aq")));
	member.name = TEXT("");
	assert_true(json_name_is(&member, (struct bytes){NULL, 0}));
	assert_false(json_name_is(&member, TEXT("a")));
}

static void test_members_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {"", " ", "1", "[]", "\"a\"", "{", "{\"", "{\"a",
		"{\"a\"", "{\"a\":", "{\"a\":}", "{\"a\":,", "{a:1}", "{,", "{\"a\":\"",
		"{\"a\":\"\\\"", "{\"a\":[", "{\"a\":[1", "{\"a\":{\"b\":\"", "{\"a\":{\"b\":\"}",
		"{\"a\" 1}"};
	struct json_member member;
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		size_t cursor = 0;
		if (json_next_member(bytes_of(texts[i]), &cursor, &member) != ERR_CORRUPT) {
			fail_msg("not refused: %s", texts[i]);
		}
		assert_int_equal(cursor, 0);
	}
	static const char *const later[] = {"{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{\"a\":1 2}",
		"{\"a\":1]", "{\"a\":1,2}", "{\"a\":\"x\"\"b\":1}"};
	for (size_t i = 0; i < COUNT_OF(later); i++) {
		size_t cursor = 0;
		assert_int_equal(json_next_member(bytes_of(later[i]), &cursor, &member), OK);
		if (json_next_member(bytes_of(later[i]), &cursor, &member) != ERR_CORRUPT) {
			fail_msg("not refused: %s", later[i]);
		}
	}
	size_t cursor = 0;
	assert_int_equal(json_next_member(TEXT(" {\n} "), &cursor, &member), ERR_EMPTY);
}

/* ---- lack of memory -------------------------------------------------------------------------- */

static void test_without_memory(void **state)
{
	(void)state;
	struct buffer text = {0};
	assert_int_equal(buffer_append_text(&text, "[\"\\n\""), OK);
	for (int i = 0; i < 300; i++) {
		assert_int_equal(buffer_printf(&text, ",{\"k%d\":[\"a\\t\xC3\xA9\",2.5]}", i), OK);
	}
	assert_int_equal(buffer_append_text(&text, "]"), OK);
	bool failed = true;
	size_t fail_at = 0;
	for (; failed; fail_at++) {
		struct arena arena = {0};
		struct buffer printed = {0};
		const struct value *value = NULL;
		struct err_info info = {0};
		struct failing failing;
		failing_start(&failing, fail_at);
		enum err err = json_parse(buffer_bytes(&text), 9, &arena, &value, &info);
		bool parsed = err == OK;
		if (parsed) {
			err = json_print(&printed, value);
		}
		bool printed_all = printed.size > 0;
		buffer_fini(&printed);
		arena_fini(&arena);
		failed = failing_stop(&failing);
		assert_int_equal(err, failed ? ERR_MEMORY : OK);
		assert_int_equal(info.code, parsed ? OK : ERR_MEMORY);
		assert_int_equal(value != NULL, parsed);
		assert_int_equal(printed_all, !failed);
		assert_int_equal(failing.live, 0);
	}
	assert_true(fail_at > 10);
	buffer_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors_speak),
		cmocka_unit_test(test_appends_to_tape),
		cmocka_unit_test(test_integer_borders),
		cmocka_unit_test(test_double_borders),
		cmocka_unit_test(test_long_numbers),
		cmocka_unit_test(test_random_decimals),
		cmocka_unit_test(test_print_numbers),
		cmocka_unit_test(test_print_random_doubles),
		cmocka_unit_test(test_print_strings),
		cmocka_unit_test(test_print_containers),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_member_names),
		cmocka_unit_test(test_members_refused),
		cmocka_unit_test(test_without_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
