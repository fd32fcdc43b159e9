/* cel: the library strings: positions, parts, text that is made, and format. */
#include "cel_eval.h"

#include "random.h"

#include <stdlib.h>

static void test_positions(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"'tacocat'.charAt(3)", "\"o\""},
		{"'tacocat'.charAt(7)", "\"\""},
		{"'tacocat'.charAt(8)", "error"},
		{"'tacocat'.charAt(-1)", "error"},
		{"'a🐱b'.charAt(1)", "\"🐱\""},
		{"'a🐱b'.charAt(2)", "\"b\""},
		{"'🐱'.charAt(2)", "error"},
		{"''.charAt(0)", "\"\""},
		{"'x'.charAt(9223372036854775807)", "error"},
		{"42.charAt(2) == ''", "error"},
		{"'tacocat'.indexOf('')", "0"},
		{"'tacocat'.indexOf('ac')", "1"},
		{"'tacocat'.indexOf('none')", "-1"},
		{"'tacocat'.indexOf('', 3)", "3"},
		{"'tacocat'.indexOf('', 7)", "7"},
		{"'tacocat'.indexOf('a', 7)", "-1"},
		{"'tacocat'.indexOf('a', 30)", "error"},
		{"'tacocat'.indexOf('a', -1)", "error"},
		{"'tacocat'.indexOf('at', 3)", "5"},
		{"'ta©o©αT'.indexOf('©')", "2"},
		{"'ta©o©αT'.indexOf('©αT', 3)", "4"},
		{"'hello'.indexOf(true)", "error"},
		{"'tacocat'.lastIndexOf('')", "7"},
		{"'tacocat'.lastIndexOf('', 3)", "3"},
		{"'tacocat'.lastIndexOf('at')", "5"},
		{"'tacocat'.lastIndexOf('tacocat!')", "-1"},
		{"'tacocat'.lastIndexOf('tacocat', 0)", "0"},
		{"'tacocat'.lastIndexOf('a', 30)", "error"},
		{"'tacocat'.lastIndexOf('a', -1)", "error"},
		{"'ta©o©αT'.lastIndexOf('©', 3)", "2"},
		{"'ta©o©αT'.lastIndexOf('©α', 4)", "4"},
		{"'bananananana'.lastIndexOf('nana', 7)", "6"},
		{"''.lastIndexOf('')", "0"},
		{"'tacocat'.substring(4)", "\"cat\""},
		{"'tacocat'.substring(7)", "\"\""},
		{"'tacocat'.substring(0, 4)", "\"taco\""},
		{"'tacocat'.substring(4, 4)", "\"\""},
		{"'ta©o©αT'.substring(2, 6)", "\"©o©α\""},
		{"'tacocat'.substring(8)", "error"},
		{"'tacocat'.substring(-1)", "error"},
		{"'tacocat'.substring(1, 8)", "error"},
		{"'tacocat'.substring(1, -1)", "error"},
		{"'tacocat'.substring(4, 3)", "error"},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_case_and_space(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"'TacoCÆt @[`{ Xii'.lowerAscii()", "\"tacocÆt @[`{ xii\""},
		{"'tacoCæt @[`{ Xii'.upperAscii()", "\"TACOCæT @[`{ XII\""},
		{"''.upperAscii()", "\"\""},
		{"' \\f\\n\\r\\t\\vtext  '.trim()", "\"text\""},
		{"'  '.trim()", "\"\""},
		{"''.trim()", "\"\""},
		{"' a b '.trim()", "\"a b\""},
		{"'\\u0085\\u00a0\\u1680text\\u2000\\u200a\\u3000'.trim()", "\"text\""},
		{"'\\u2028\\u2029\\u202f\\u205f'.trim()", "\"\""},
		{"size('\\u180e\\u200b\\u200c\\u200d\\u2060\\ufeff'.trim())", "6"},
		{"size('\\u0000 \\u001c'.trim())", "3"},
		{"'gums'.reverse()", "\"smug\""},
		{"'a🐱©'.reverse()", "\"©🐱a\""},
		{"''.reverse()", "\"\""},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_replace(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"'{0} days {0} hours'.replace('{0}', '2')", "\"2 days 2 hours\""},
		{"'{0} days {0} hours'.replace('{0}', '2', 1)", "\"2 days {0} hours\""},
		{"'{0} days'.replace('{0}', '2', 0)", "\"{0} days\""},
		{"'aaa'.replace('a', 'bb', -1)", "\"bbbbbb\""},
		{"'aaaa'.replace('aa', 'b')", "\"bb\""},
		{"'aaa'.replace('aa', '')", "\"a\""},
		{"'a🐱'.replace('', '-')", "\"-a-🐱-\""},
		{"'ab'.replace('', '-', 2)", "\"-a-b\""},
		{"''.replace('', 'x')", "\"x\""},
		{"''.replace('a', 'x')", "\"\""},
		{"'1 ©αT taco'.replace('αT', 'o©α')", "\"1 ©o©α taco\""},
		{"'42'.replace(2, 1)", "error"},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_split_and_join(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"'a b c'.split(' ')", "[\"a\", \"b\", \"c\"]"},
		{"'a b c'.split(' ', 0)", "[]"},
		{"'a b c'.split(' ', 1)", "[\"a b c\"]"},
		{"'a b c'.split(' ', 2)", "[\"a\", \"b c\"]"},
		{"'a b c'.split(' ', 99)", "[\"a\", \"b\", \"c\"]"},
		{"'a b c'.split(' ', -1)", "[\"a\", \"b\", \"c\"]"},
		{"' a '.split(' ')", "[\"\", \"a\", \"\"]"},
		{"'a🐱c'.split('')", "[\"a\", \"🐱\", \"c\"]"},
		{"'a🐱c'.split('', 2)", "[\"a\", \"🐱c\"]"},
		{"'a🐱c'.split('', 1)", "[\"a🐱c\"]"},
		{"'a'.split('')", "[\"a\"]"},
		{"''.split('')", "[]"},
		{"''.split(',')", "[\"\"]"},
		{"'abc'.split('abc')", "[\"\", \"\"]"},
		{"'aaa'.split('aa')", "[\"\", \"a\"]"},
		{"'42'.split(2)", "error"},
		{"[].join()", "\"\""},
		{"[].join('-')", "\"\""},
		{"['x'].join('-')", "\"x\""},
		{"['x', '', 'z'].join()", "\"xz\""},
		{"['x', '', 'z'].join('-')", "\"x--z\""},
		{"['x', 1].join('-')", "error"},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_quote(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"strings.quote('')", "\"\\\"\\\"\""},
		{"strings.quote('\\a\\b\\f\\n\\r\\t\\v\\\\\\\"') == "
		 "r'\"\\a\\b\\f\\n\\r\\t\\v\\\\\\\"\"'",
			"true"},
		{"strings.quote(\"size('πέντε')\") == '\"size(\\'πέντε\\')\"'", "true"},
		{"size(strings.quote('\\u0000'))", "3"},
	};
	CEL_EVAL_ROWS(rows);
}

/* What a program finds and cuts is the same as by the plainest way to do it. */
static void test_parts_at_random(void **state)
{
	(void)state;
	struct test_random random = test_random_start("parts of text");
	static const char *const letters[] = {"a", "b", "é", "€", "🐱"};
	struct cel_eval eval = {0};
	const struct cel_variable variables[] = {
		{bytes_of("s"), CEL_STRING}, {bytes_of("t"), CEL_STRING}};
	eval.variables = variables;
	eval.variables_count = 2;
	for (int i = 0; i < 500; i++) {
		char texts[2][64] = {"", ""};
		for (uint64_t k = test_random_below(&random, 12); k > 0; k--) {
			(void)strcat(texts[0], letters[test_random_below(&random, 5)]);
		}
		for (uint64_t k = test_random_below(&random, 3); k > 0; k--) {
			(void)strcat(texts[1], letters[test_random_below(&random, 5)]);
		}
		struct cel_value slots[2];
		for (int k = 0; k < 2; k++) {
			const struct value value = value_string(bytes_of(texts[k]));
			slots[k] = cel_of_document(&value);
		}
		eval.slots = slots;
		cel_eval_assert(&eval, bytes_of("s.split(t).join(t) == s"), "true");
		cel_eval_assert(&eval, bytes_of("s.split(t, 2).join(t) == s"), "true");
		cel_eval_assert(&eval, bytes_of("s.reverse().reverse() == s"), "true");
		cel_eval_assert(&eval, bytes_of("s.replace(t, t) == s"), "true");
		cel_eval_assert(&eval,
			bytes_of("s.contains(t) == (s.indexOf(t) >= 0) && "
				 "s.contains(t) == (s.lastIndexOf(t) >= 0)"),
			"true");
		cel_eval_assert(&eval,
			bytes_of("s.indexOf(t) < 0 || "
				 "s.substring(s.indexOf(t), s.indexOf(t) + size(t)) == t"),
			"true");
		cel_eval_assert(&eval,
			bytes_of("t == '' || s.lastIndexOf(t) < 0 || s.indexOf(t, "
				 "s.lastIndexOf(t)) == s.lastIndexOf(t)"),
			"true");
	}
	buffer_fini(&eval.text);
}

/* ---- format ---------------------------------------------------------------------------------- */

static void test_format(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"'no substitution'.format([])", "\"no substitution\""},
		{"''.format([])", "\"\""},
		{"'%%%s%%'.format(['text'])", "\"%text%\""},
		{"'%d %d, %s'.format([1, 2u, 'A'])", "\"1 2, A\""},
		{"'%d'.format([-9223372036854775808])", "\"-9223372036854775808\""},
		{"'%d'.format([double('NaN')])", "\"NaN\""},
		{"'%b'.format([5])", "\"101\""},
		{"'%b'.format([-5])", "\"-101\""},
		{"'%b'.format([0])", "\"0\""},
		{"'%b'.format([true])", "\"1\""},
		{"size('%b'.format([-9223372036854775808]))", "65"},
		{"'%o %o'.format([11, 8u])", "\"13 10\""},
		{"'%x %X'.format([30, 30u])", "\"1e 1E\""},
		{"'%x'.format([-30])", "\"-1e\""},
		{"'%x'.format(['Hello'])", "\"48656c6c6f\""},
		{"'%X'.format([b'\\xff\\x0a'])", "\"FF0A\""},
		{"'%f'.format([2])", "\"2.000000\""},
		{"'%f'.format([3u])", "\"3.000000\""},
		{"'%.3f'.format([1.2345])", "\"1.234\""},
		{"'%.0f'.format([1.5])", "\"2\""},
		{"'%.0f'.format([2.5])", "\"2\""},
		{"'%.3f'.format([-123.4999])", "\"-123.500\""},
		{"'%e'.format([2.71828])", "\"2.718280e+00\""},
		{"'%.6e'.format([1052.032911275])", "\"1.052033e+03\""},
		{"'%e %f'.format([double('Infinity'), double('-Infinity')])",
			"\"Infinity -Infinity\""},
		{"size('%.1000f'.format([1e308]))", "1310"},
		{"'%s'.format([null])", "\"null\""},
		{"'%s %s'.format([1.5, 2.0])", "\"1.5 2\""},
		{"'%s'.format([type(1)])", "\"int\""},
		{"'%s'.format([b'xyz'])", "\"xyz\""},
		{"'%s'.format([['abc', 3.14, null, [9, 8], timestamp(0)]])",
			"\"[abc, 3.14, null, [9, 8], 1970-01-01T00:00:00Z]\""},
		{"'%s'.format([{'strKey': 'x', 6: duration('422s'), true: 42}])",
			"\"{6: 422s, strKey: x, true: 42}\""},
		{"'%s %s'.format([[], {}])", "\"[] {}\""},
		{"'%s'.format([1, 2])", "\"1\""},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_format_refusals(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"'%s'.format([])", "error"},
		{"'%'.format([1])", "error"},
		{"'%5d'.format([1])", "error"},
		{"'%E'.format([0.5])", "error"},
		{"'%.f'.format([0.5])", "error"},
		{"'%.1001f'.format([0.5])", "error"},
		{"'%.99999999999999999999f'.format([0.5])", "error"},
		{"'%.3'.format([0.5])", "error"},
		{"'%.3d'.format([1])", "error"},
		{"'%n'.format([1])", "error"},
		{"'%\\u0000'.format([1])", "error"},
		{"'%b'.format(['abc'])", "error"},
		{"'%d'.format([duration('30m2s')])", "error"},
		{"'%d'.format(['1'])", "error"},
		{"'%o'.format(['a'])", "error"},
		{"'%e'.format([null])", "error"},
		{"'%f'.format(['1'])", "error"},
		{"'%x'.format([null])", "error"},
		{"'%x'.format([1.5])", "error"},
		{"'%s'.format([b'\\xff'])", "error"},
		{"'%s'.format(1)", "error"},
	};
	CEL_EVAL_ROWS(rows);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

/* A short program whose value would be large ends by its budget of steps or memory. */
static void test_bounds(void **state)
{
	(void)state;
	struct cel_limits limits = cel_eval_limits;
	limits.memory_bytes = 1 << 16;
	static const char *const large[] = {
		"cel.bind(a, 'aaaaaaaaaaaaaaaa', cel.bind(b, a.replace('a', a), "
		"cel.bind(c, b.replace('a', b), c.replace('a', c))))",
		"cel.bind(a, 'aaaaaaaaaaaaaaaa', cel.bind(b, a.replace('', a), "
		"b.split('').join(b)))",
		"'%.1000f%.1000f'.format([1.0, 1.0]).replace('0', '%.1000f'.format([1.0]))",
		"cel.bind(b, '%.1000f'.format([1.0]), '%s%s%s%s'.format([[b, b, b, b], [b, b, b, "
		"b], {1: [b, b, b, b]}, [b, b, b, b]]).split('').map(c, b).join())",
	};
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
		struct cel_eval eval = {.limits = &limits};
		cel_eval_assert(&eval, bytes_of(large[i]), "error");
		assert_int_equal(eval.failure, CEL_FAILED_MEMORY);
		buffer_fini(&eval.text);
	}
	limits.memory_bytes = 1 << 24;
	limits.steps = 1000;
	for (size_t i = 0; i < 2; i++) {
		struct cel_eval eval = {.limits = &limits};
		cel_eval_assert(&eval, bytes_of(large[i]), "error");
		assert_int_equal(eval.failure, CEL_FAILED_BUDGET);
		buffer_fini(&eval.text);
	}
}

static void *largest_hook(void *ctx, void *pointer, size_t size)
{
	size_t *largest = ctx;
	*largest = size > *largest ? size : *largest;
	if (size == 0) {
		free(pointer);
		return NULL;
	}
	return realloc(pointer, size);
}

/* 8 MB of text from a short program: it is given up long before it has been made. */
static void test_format_stops_early(void **state)
{
	(void)state;
	struct cel_limits limits = cel_eval_limits;
	limits.memory_bytes = 1 << 16;
	struct cel_eval eval = {.limits = &limits};
	size_t largest = 0;
	mem_set_hook(largest_hook, &largest);
	cel_eval_assert(&eval,
		bytes_of("cel.bind(a, '%.1000f'.format([1.0]), cel.bind(b, [a, a, a, a, a, a, a, "
			 "a], "
			 "cel.bind(c, [b, b, b, b, b, b, b, b], cel.bind(d, [c, c, c, c, c, c, c, "
			 "c], '%s'.format([[d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d]])))))"),
		"error");
	assert_int_equal(eval.failure, CEL_FAILED_MEMORY);
	buffer_fini(&eval.text);
	mem_set_hook(NULL, NULL);
	assert_true(largest < 1 << 20);
}

/* What is nested so deep that printing it would take too much of the stack. */
static void test_format_depth(void **state)
{
	(void)state;
	enum { DEPTH = 20000 };
	struct arena arena = {0};
	struct tape tape = {0};
	for (int depth = 0; depth < DEPTH; depth++) {
		size_t place = 0;
		assert_int_equal(tape_open(&tape, VALUE_LIST, &place), OK);
	}
	for (size_t depth = DEPTH; depth-- > 0;) {
		tape_close(&tape, depth, depth + 1 < DEPTH ? 1 : 0);
	}
	const struct value *value = NULL;
	assert_int_equal(tape_finish(&tape, &arena, &value), OK);
	const struct cel_variable variable = {bytes_of("v"), CEL_DYN};
	struct cel_value slot = cel_of_document(value);
	struct cel_eval eval = {.variables = &variable, .slots = &slot, .variables_count = 1};
	cel_eval_assert(&eval, bytes_of("'%s'.format([v])"), "error");
	assert_int_equal(eval.failure, CEL_FAILED_ARGUMENT);
	slot = cel_of_document(value + DEPTH - 500);
	cel_eval_assert(&eval, bytes_of("size('%s'.format([v]))"), "1000");
	buffer_fini(&eval.text);
	tape_fini(&tape);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_case_and_space),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_split_and_join),
		cmocka_unit_test(test_quote),
		cmocka_unit_test(test_parts_at_random),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_format_refusals),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_format_stops_early),
		cmocka_unit_test(test_format_depth),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
