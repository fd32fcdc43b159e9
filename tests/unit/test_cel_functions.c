/* cel: the standard functions, conversions, and the library math. */
#include "cel_eval.h"

#include "failing.h"
#include "random.h"

#include <inttypes.h>
#include <locale.h>

/* A row out of its order would not be found by those who look for it. */
static void test_list_is_sorted(void **state)
{
	(void)state;
	static const struct {
		const char *library, *name, *style, *help;
	} rows[] = {
#define FUNCTION(library, name, style, parameters, result, function, cost, help)                   \
	{#library, name, #style, help},
#include "functions.def"
#undef FUNCTION
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(strlen(rows[i].library) > 0 && strlen(rows[i].help) > 0);
		int order = i > 0 ? strcmp(rows[i - 1].name, rows[i].name) : -1;
		if (order > 0 || (order == 0 && strcmp(rows[i - 1].style, rows[i].style) > 0)) {
			fail_msg("%s is behind %s", rows[i].name, rows[i - 1].name);
		}
	}
}

static void test_sizes(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"size('')", "0"},
		{"size('four')", "4"},
		{"'\\u00ff'.size()", "1"},
		{"size('🐱😀😛')", "3"},
		{"size(b'\\xff\\xfe')", "2"},
		{"b'abc'.size()", "3"},
		{"size([])", "0"},
		{"[1, 'a', null].size()", "3"},
		{"size({})", "0"},
		{"{1: 2, 'a': 3}.size()", "2"},
		{"size(1)", "error"},
		{"size(null)", "error"},
		{"size('a', 'b')", "error"},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_searches(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"'hello'.contains('ell')", "true"},
		{"'hello'.contains('ol')", "false"},
		{"'hello'.contains('')", "true"},
		{"''.contains('')", "true"},
		{"''.contains('x')", "false"},
		{"'a\\u0000b'.contains('\\u0000b')", "true"},
		{"'a\\u0000b'.contains('\\u0000c')", "false"},
		{"'hello'.startsWith('hel')", "true"},
		{"'hello'.startsWith('hello!')", "false"},
		{"'hello'.startsWith('')", "true"},
		{"'hello'.startsWith('el')", "false"},
		{"'hello'.endsWith('lo')", "true"},
		{"'hello'.endsWith('')", "true"},
		{"'hello'.endsWith('xhello')", "false"},
		{"'hello'.endsWith('el')", "false"},
		{"'hello'.endsWith('hello')", "true"},
		{"'hello'.startsWith('hello')", "true"},
		{"''.endsWith('')", "true"},
		{"'a'.contains(1)", "error"},
		{"b'abc'.contains(b'b')", "error"},
		{"'завтра'.startsWith('за')", "true"},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_to_bool(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"bool(true)", "true"},
		{"['1', 't', 'true', 'TRUE', 'True'].all(t, bool(t))", "true"},
		{"['0', 'f', 'false', 'FALSE', 'False'].exists(t, bool(t))", "false"},
		{"bool('TrUe')", "error"},
		{"bool('')", "error"},
		{"bool('true ')", "error"},
		{"bool(1)", "error"},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_to_int(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"int(42)", "42"},
		{"int(42u)", "42"},
		{"int(9223372036854775807u)", "9223372036854775807"},
		{"int(9223372036854775808u)", "error"},
		{"int(-7.9)", "-7"},
		{"int(11.5)", "11"},
		{"int(1e99)", "error"},
		{"int(0.0 / 0.0)", "error"},
		{"int(-1.0 / 0.0)", "error"},
		/* both ends are refused, the doubles next to them are not */
		{"int(-9223372036854775808.0)", "error"},
		{"int(9223372036854775808.0)", "error"},
		{"int(9223372036854774784.0)", "9223372036854774784"},
		{"int(-9223372036854774784.0)", "-9223372036854774784"},
		{"int('987')", "987"},
		{"int('+5')", "5"},
		{"int('-0')", "0"},
		{"int('-9223372036854775808')", "-9223372036854775808"},
		{"int('-9223372036854775809')", "error"},
		{"int('9223372036854775807')", "9223372036854775807"},
		{"int('9223372036854775808')", "error"},
		{"int('18446744073709551617')", "error"},
		{"int('99999999999999999999999x')", "error"},
		{"int('')", "error"},
		{"int('-')", "error"},
		{"int('--1')", "error"},
		{"int(' 1')", "error"},
		{"int('1 ')", "error"},
		{"int('0x10')", "error"},
		{"int('1.0')", "error"},
		{"int('٣')", "error"},
		{"int(true)", "error"},
		{"int(timestamp('2009-02-13T23:31:30.999Z'))", "1234567890"},
		{"int(timestamp('1969-12-31T23:59:59.5Z'))", "-1"},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_to_uint(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"uint(1u)", "1u"},
		{"uint(1729)", "1729u"},
		{"uint(-1)", "error"},
		{"uint(1.9)", "1u"},
		{"uint(-0.0)", "0u"},
		{"uint(-0.5)", "error"},
		{"uint(18446744073709551616.0)", "error"},
		{"uint(18446744073709549568.0)", "18446744073709549568u"},
		{"uint(0.0 / 0.0)", "error"},
		{"uint('300')", "300u"},
		{"uint('18446744073709551615')", "18446744073709551615u"},
		{"uint('18446744073709551616')", "error"},
		{"uint('-1')", "error"},
		{"uint('+1')", "error"},
		{"uint('1u')", "error"},
		{"uint('')", "error"},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_to_double(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"double(1.5) == 1.5", "true"},
		{"double(-3) == -3.0", "true"},
		{"double(18446744073709551615u) == 18446744073709551616.0", "true"},
		{"double('0') == 0.0", "true"},
		{"double('123.456') == 123.456", "true"},
		{"double('-987.654') == -987.654", "true"},
		{"double('+1') == 1.0", "true"},
		{"double('007') == 7.0", "true"},
		{"double('.5') == 0.5", "true"},
		{"double('1.') == 1.0", "true"},
		{"double('000.5e1') == 5.0", "true"},
		{"double('6.02214e23') == 6.02214e23", "true"},
		{"double('1E-2') == 0.01", "true"},
		{"double('1e-400') == 0.0", "true"},
		{"1.0 / double('-0') == -1.0 / 0.0", "true"},
		{"double('NaN') == double('NaN')", "false"},
		{"double('Infinity') == 1.0 / 0.0", "true"},
		{"double('-Infinity') == -1.0 / 0.0", "true"},
		{"double('1e400')", "error"},
		{"double('')", "error"},
		{"double('.')", "error"},
		{"double('-')", "error"},
		{"double('e5')", "error"},
		{"double('1e')", "error"},
		{"double('1e+')", "error"},
		{"double('1.2.3')", "error"},
		{"double(' 1')", "error"},
		{"double('1,5')", "error"},
		{"double('0x1p3')", "error"},
		{"double('1e5 ')", "error"},
		{"double('1\\u0000')", "error"},
		{"double(true)", "error"},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_to_string(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"string('a')", "\"a\""},
		{"string(true)", "\"true\""},
		{"string(-456)", "\"-456\""},
		{"string(9876u)", "\"9876\""},
		{"string(123.456)", "\"123.456\""},
		{"string(-0.0045)", "\"-0.0045\""},
		{"string(2.0)", "\"2\""},
		{"string(0.1 + 0.2)", "\"0.30000000000000004\""},
		{"string(0.0 / 0.0)", "\"NaN\""},
		{"string(-1.0 / 0.0)", "\"-Infinity\""},
		{"double(string(1.0 / 0.0)) == 1.0 / 0.0", "true"},
		{"double(string(1e300)) == 1e300", "true"},
		{"double(string(5e-324)) == 5e-324", "true"},
		{"string(b'\\303\\277') == '\\u00ff'", "true"},
		{"string(b'\\000\\xff')", "error"},
		{"string(b'\\xed\\xa0\\x80')", "error"},
		{"string(null)", "error"},
		{"string([1])", "error"},
		{"bytes('\\u00ff') == b'\\303\\277'", "true"},
		{"bytes(b'abc') == b'abc'", "true"},
		{"bytes(1)", "error"},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_types(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"type(1) == int", "true"},
		{"type(1u) == uint", "true"},
		{"type(null) == null_type", "true"},
		{"type(type(1)) == type", "true"},
		{"type([1]) == type(['a'])", "true"},
		{"type({}) == map", "true"},
		{"type(timestamp(0)) == google.protobuf.Timestamp", "true"},
		{"type(duration('1s')) == google.protobuf.Duration", "true"},
		{"type(dyn(1)) == int", "true"},
		{"dyn([1, 'a'])[1]", "\"a\""},
	};
	CEL_EVAL_ROWS(rows);
}

/* ---- math ------------------------------------------------------------------------------------ */

static void test_greatest_and_least(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"math.greatest(5)", "5"},
		{"math.greatest(-5, 3u)", "3u"},
		{"math.greatest(9223372036854775807, 1)", "9223372036854775807"},
		{"math.greatest(5.4, 10, 3u, -5.0, 1.5) == 10", "true"},
		{"math.greatest([5.4, 10u, 3u, -5.0, 3.5]) == 10u", "true"},
		{"math.least(1, -9223372036854775808)", "-9223372036854775808"},
		{"math.least(1u, 18446744073709551615u)", "1u"},
		{"math.least([dyn(5.4), dyn(10), dyn(3u), dyn(-5.0)]) == -5.0", "true"},
		{"math.least(-1, 18446744073709551615u)", "-1"},
		{"math.greatest([])", "error"},
		{"math.greatest(dyn('a'))", "error"},
		{"math.greatest(1, dyn('a'))", "error"},
		{"math.greatest([1, 'a'])", "error"},
		{"math.greatest()", "error"},
		{"math.greatest(1.0, 0.0 / 0.0)", "error"},
		{"math.least(0.0 / 0.0, 1.0)", "error"},
		{"math.least([0.0 / 0.0])", "error"},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_rounding(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"math.ceil(1.2) == 2.0 && math.ceil(-1.2) == -1.0", "true"},
		{"math.floor(1.2) == 1.0 && math.floor(-1.2) == -2.0", "true"},
		{"math.round(1.5) == 2.0 && math.round(2.5) == 3.0", "true"},
		{"math.round(-1.5) == -2.0 && math.round(-1.4) == -1.0", "true"},
		{"math.round(0.49999999999999994) == 0.0", "true"},
		{"math.trunc(-1.9) == -1.0 && math.trunc(1.9) == 1.0", "true"},
		{"math.isNaN(math.round(0.0 / 0.0))", "true"},
		{"math.isInf(-1.0 / 0.0) && !math.isInf(1.0)", "true"},
		{"math.isFinite(1.0) && !math.isFinite(1.0 / 0.0)", "true"},
		{"math.isFinite(0.0 / 0.0) || math.isNaN(1.0)", "false"},
		{"math.floor(dyn(1))", "error"},
		{"math.isNaN(dyn(true))", "error"},
		{"math.abs(-11)", "11"},
		{"math.abs(7u)", "7u"},
		{"math.abs(-1.5) == 1.5", "true"},
		{"math.abs(-9223372036854775807)", "9223372036854775807"},
		{"math.abs(-9223372036854775808)", "error"},
		{"[math.sign(-3), math.sign(0), math.sign(9)]", "[-1, 0, 1]"},
		{"[math.sign(0u), math.sign(9u)]", "[0u, 1u]"},
		{"math.sign(-32.0) == -1.0 && math.sign(0.5) == 1.0", "true"},
		{"math.isNaN(math.sign(0.0 / 0.0))", "true"},
		{"math.sqrt(49) == 7.0 && math.sqrt(2.25) == 1.5", "true"},
		{"math.sqrt(81u) == 9.0", "true"},
		{"math.isNaN(math.sqrt(-1))", "true"},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_bits(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"math.bitAnd(6, 3)", "2"},
		{"math.bitAnd(1, -1)", "1"},
		{"math.bitAnd(6u, 3u)", "2u"},
		{"math.bitAnd(2u, dyn(''))", "error"},
		{"math.bitAnd(1, 2u)", "error"},
		{"math.bitOr(1, 2)", "3"},
		{"math.bitOr(dyn(1.2), 1)", "error"},
		{"math.bitXor(5u, 3u)", "6u"},
		{"math.bitNot(1)", "-2"},
		{"math.bitNot(0u)", "18446744073709551615u"},
		{"math.bitShiftLeft(1, 63)", "-9223372036854775808"},
		{"math.bitShiftLeft(1, 64)", "0"},
		{"math.bitShiftLeft(-1, 200)", "0"},
		{"math.bitShiftLeft(1u, 2)", "4u"},
		{"math.bitShiftLeft(1u, -1)", "error"},
		{"math.bitShiftRight(-1024, 3)", "2305843009213693824"},
		{"math.bitShiftRight(1024, 64)", "0"},
		{"math.bitShiftRight(1024, 9223372036854775807)", "0"},
		{"math.bitShiftRight(-1, 0)", "-1"},
		{"math.bitShiftRight(1024u, 9)", "2u"},
		{"math.bitShiftRight(1u, -1)", "error"},
	};
	CEL_EVAL_ROWS(rows);
}

/* ---- what holds for all ---------------------------------------------------------------------- */

/* Every double's text reads back as the same double. */
static void test_doubles_at_random(void **state)
{
	(void)state;
	struct test_random random = test_random_start("doubles as text");
	struct cel_eval eval = {0};
	for (int i = 0; i < 2000; i++) {
		double real = 0;
		uint64_t bits = test_random_next(&random);
		memcpy(&real, &bits, sizeof(real));
		const struct cel_variable variable = {bytes_of("x"), CEL_DOUBLE};
		const struct cel_value slot = {.type = CEL_DOUBLE, .as.real = real};
		eval.variables = &variable;
		eval.slots = &slot;
		eval.variables_count = 1;
		cel_eval_assert(&eval, bytes_of("double(string(x)) == x || math.isNaN(x)"), "true");
	}
	buffer_fini(&eval.text);
}

/* Numbers read and print alike where the locale has a comma. Passed over where there is none. */
static void test_locale(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"double('1.5') == 1.5", "true"},
		{"double('1,5')", "error"},
		{"string(1.5)", "\"1.5\""},
		{"'%.2f %e'.format([1.5, 0.25])", "\"1.50 2.500000e-01\""},
	};
	static const char *const locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8"};
	for (size_t i = 0; i < sizeof(locales) / sizeof(locales[0]); i++) {
		if (setlocale(LC_ALL, locales[i])) {
			CEL_EVAL_ROWS(rows);
		}
	}
	(void)setlocale(LC_ALL, "C");
	CEL_EVAL_ROWS(rows);
}

/* Whichever allocation fails, nothing is left behind, and the answer is right or says so. */
static void test_without_memory(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"double('1.5') == 1.5", "true"},
		{"string(1.5) + string(timestamp(0))", "\"1.51970-01-01T00:00:00Z\""},
		{"'a-b'.replace('-', '+').split('+').join('%s')", "\"a%sb\""},
		{"'%s %.3f'.format([{'b': [1], 'a': 2}, 1.5])", "\"{a: 2, b: [1]} 1.500\""},
		{"timestamp(0).getHours('Europe/Berlin')", "1"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool has_failed = true;
		for (size_t fail_at = 0; has_failed; fail_at++) {
			struct failing failing;
			struct cel_eval eval = {0};
			/* a place for the answer that no failure reaches */
			assert_int_equal(buffer_reserve(&eval.text, 200), OK);
			size_t capacity = eval.text.capacity;
			failing_start(&failing, fail_at);
			cel_eval(&eval, bytes_of(rows[i].source));
			has_failed = failing_stop(&failing);
			assert_int_equal(failing.live, 0);
			assert_int_equal(eval.text.capacity, capacity);
			bool is_right =
				bytes_equal(buffer_bytes(&eval.text), bytes_of(rows[i].value));
			assert_true(is_right || eval.err == ERR_MEMORY ||
				(eval.is_error && eval.failure == CEL_FAILED_MEMORY));
			assert_true(has_failed || is_right);
			buffer_fini(&eval.text);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list_is_sorted),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_searches),
		cmocka_unit_test(test_to_bool),
		cmocka_unit_test(test_to_int),
		cmocka_unit_test(test_to_uint),
		cmocka_unit_test(test_to_double),
		cmocka_unit_test(test_to_string),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_greatest_and_least),
		cmocka_unit_test(test_rounding),
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_doubles_at_random),
		cmocka_unit_test(test_locale),
		cmocka_unit_test(test_without_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
