/* cel: programs run: logic, look-ups, equality, macros, budgets, and lack of memory. */
#include "cel.h"

#include "cel_eval.h"
#include "failing.h"

#include <pthread.h>

static void test_logic(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"(1/0 > 0) && false", "false"},
		{"false && 32", "false"},
		{"true && 32", "error"},
		{"'horses' || true", "true"},
		{"'a' || 'b'", "error"},
		{"f_unknown(17) || x", "error"},
		{"f_unknown(17) || true", "true"},
		{"true ? 1 : 1/0", "1"},
		{"1/0 == 0 ? true : true", "error"},
		{"[1, 0].exists(x, 2/x == 2)", "true"},
		{"[0, 1].exists(x, 2/x == 2)", "true"},
		{"[0, 1].exists(x, 2/x == 3)", "error"},
		{"[0, 1].all(x, 2/x == 3)", "false"},
		{"[0, 1].exists_one(x, 2/x == 2)", "error"},
		{"[0, 1].map(x, 2/x)", "error"},
		{"[1, 2, 3].filter(x, x > 1)", "[2, 3]"},
		{"{'a': 1, 'b': 2}.map(k, k)", "[\"a\", \"b\"]"},
		{"cel.bind(x, 1/0, true)", "true"},
		{"cel.bind(x, 1/0, x == 1 || true)", "true"},
		{"cel.bind(x, 1/0, x)", "error"},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_values(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"[1.0, 2u] == [1, 2]", "true"},
		{"{1: 1.0} == {1u: 1}", "true"},
		{"[double('NaN')] != [double('NaN')]", "true"},
		{"-0.0 == 0.0", "true"},
		{"dyn(9223372036854775807) < 9223372036854775808.0", "false"},
		{"dyn(9223372036854775807) <= 9223372036854775808.0", "true"},
		{"dyn(-1) < 18446744073709551615u", "true"},
		{"{0: 1, 0u: 2}", "error"},
		{"{dyn(1.5): 1}", "error"},
		{"{1u: 'a'}[dyn(1.0)]", "\"a\""},
		{"[7, 8][dyn(1u)]", "8"},
		{"[7, 8][dyn(0.5)]", "error"},
		{"[7, 8][2]", "error"},
		{"has({'a': null}.a)", "true"},
		{"has(dyn({}).a.b)", "error"},
		{"{'a': {}}.?a.b.c", "optional.none()"},
		{"{'a': {'b': [5]}}.?a.b[0]", "optional.of(5)"},
		{"dyn({'a': null}).?a.b", "error"},
		{"[1, ?optional.none(), ?optional.of(2)]", "[1, 2]"},
		{"{?'a': optional.none(), ?'b': optional.of(1)}", "{\"b\": 1}"},
		{"-9223372036854775808 - 1", "error"},
		{"dyn(-9223372036854775808) / -1", "error"},
		{"dyn(-9223372036854775808) % -1", "error"},
		{"-3 % 5", "-3"},
		{"15.75 / 0.0", "double(\"Infinity\")"},
		{"b'\\xff' + b'a'", "b\"\\xffa\""},
		{"M{a: 1}.a == 1 || true", "true"},
		{"type(1) == int", "true"},
	};
	CEL_EVAL_ROWS(rows);
}

/* What is repeated in a document counts once, and its last value. */
static void test_document(void **state)
{
	(void)state;
	static const char text[] = "{\"a\": 1, \"b\": {\"c\": 2}, \"a\": 3, \"\": 4}";
	static const struct cel_eval_row rows[] = {
		{"doc.a", "3"},
		{"size(doc)", "3"},
		{"doc == {'a': 3, 'b': {'c': 2}, '': 4}", "true"},
		{"doc.map(k, k)", "[\"b\", \"a\", \"\"]"},
		{"doc['']", "4"},
		{"doc.b.c + doc.a", "5"},
		{"doc.a.b", "error"},
		{"doc.b.x", "error"},
		{"'b' in doc && !('c' in doc)", "true"},
		{"doc.exists_one(k, k == 'a')", "true"},
		{"doc.filter(k, k == 'a').size()", "1"},
		{"doc.transformMap(k, v, v)", "{\"b\": {\"c\": 2}, \"a\": 3, \"\": 4}"},
		{"doc.transformList(k, v, k + string(size(k)))", "[\"b1\", \"a1\", \"0\"]"},
		{"doc", "{\"b\": {\"c\": 2}, \"a\": 3, \"\": 4}"},
		{"has(doc.b.c) && !has(doc.b.x)", "true"},
		{"has(doc.a.b)", "error"},
		{"doc.?b.?c.orValue(0) + doc.?x.?y.orValue(5)", "7"},
		{"[doc.a, doc.x][0]", "error"},
		{"doc.x == 1 || doc.a == 3", "true"},
	};
	struct arena arena = {0};
	struct err_info info;
	const struct value *document = NULL;
	assert_int_equal(json_parse(bytes_of(text), 10, &arena, &document, &info), OK);
	const struct cel_variable variables[] = {{bytes_of("doc"), CEL_MAP}};
	const struct cel_value slots[] = {cel_of_document(document)};
	struct cel_eval eval = {
		.variables = variables, .slots = slots, .variables_count = 1, .has_document = true};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cel_eval_assert(&eval, bytes_of(rows[i].source), rows[i].value);
	}
	buffer_fini(&eval.text);
	arena_fini(&arena);
}

static void test_large_document(void **state)
{
	(void)state;
	struct buffer text = {0};
	assert_int_equal(buffer_append_text(&text, "{\"k\": -1"), OK);
	for (int i = 0; i < 3000; i++) {
		assert_int_equal(buffer_printf(&text, ", \"k%d\": %d", i, i), OK);
	}
	assert_int_equal(buffer_append_text(&text, ", \"k7\": [7]}"), OK);
	static const struct cel_eval_row rows[] = {
		{"size(doc)", "3001"},
		{"doc.k2999", "2999"},
		{"doc.k7", "[7]"},
		{"doc['k' + '3000']", "error"},
		{"'k3000' in doc", "false"},
		{"doc.filter(k, k.endsWith('321'))", "[\"k321\", \"k1321\", \"k2321\"]"},
		{"doc.exists_one(k, k == 'k7')", "true"},
		{"doc == doc", "true"},
	};
	struct arena arena = {0};
	const struct value *document = NULL;
	assert_int_equal(json_parse(buffer_bytes(&text), 10, &arena, &document, NULL), OK);
	const struct cel_variable variable = {bytes_of("doc"), CEL_MAP};
	const struct cel_value slot = cel_of_document(document);
	struct cel_eval eval = {.variables = &variable, .slots = &slot, .variables_count = 1};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cel_eval_assert(&eval, bytes_of(rows[i].source), rows[i].value);
	}
	buffer_fini(&eval.text);
	arena_fini(&arena);
	buffer_fini(&text);
}

/* What an optional has is enough: the alternative is not evaluated, and costs nothing. */
static void test_alternative_is_not_evaluated(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"optional.of(1).orValue(1 / 0)", "1"},
		{"optional.of(1).or(1 / 0)", "optional.of(1)"},
		{"optional.of(1).orValue(unknown)", "1"},
		{"optional.none().orValue(1 / 0)", "error"},
		{"optional.none().or(1 / 0)", "error"},
		{"optional.none().or(dyn(1))", "error"},
		{"(1 / 0).orValue(1)", "error"},
		{"dyn(1).orValue(2)", "error"},
		{"{'a': null}.?a.orValue(1 / 0)", "null"},
		{"[1, 2].map(i, {1: 'a'}[?i].orValue('none'))", "[\"a\", \"none\"]"},
	};
	CEL_EVAL_ROWS(rows);

	struct cel_eval eval = {0};
	cel_eval_assert(&eval, bytes_of("[0].map(i, optional.of(i).orValue(7))"), "[0]");
	uint64_t steps = eval.steps;
	cel_eval_assert(&eval,
		bytes_of("[0].map(i, optional.of(i).orValue([1, 2, 3].map(x, x).size()))"), "[0]");
	assert_int_equal(eval.steps, steps);
	buffer_fini(&eval.text);
}

/* Neither `||` nor a macro absorbs that a run has stopped. */
static void test_budgets(void **state)
{
	(void)state;
	struct cel_limits limits = cel_eval_limits;
	struct cel_eval eval = {.limits = &limits};
	static const char loop[] = "lists.range(1000).map(x, x + 1).size() > 0 || true";
	cel_eval_assert(&eval, bytes_of(loop), "true");
	limits.steps = 500;
	cel_eval_assert(&eval, bytes_of(loop), "error");
	assert_int_equal(eval.failure, CEL_FAILED_BUDGET);
	limits.steps = cel_eval_limits.steps;
	limits.memory_bytes = 1000;
	cel_eval_assert(&eval, bytes_of(loop), "error");
	assert_int_equal(eval.failure, CEL_FAILED_MEMORY);
	buffer_fini(&eval.text);
}

static void *evaluate(void *ctx)
{
	struct cel_eval *eval = ctx;
	struct bytes source = buffer_bytes(&eval->text);
	struct buffer kept = eval->text;
	eval->text = (struct buffer){0};
	cel_eval(eval, source);
	buffer_fini(&kept);
	return NULL;
}

/* Each is evaluated within the one before, which is deep itself: the stack must not add them up. */
static void test_chain_of_bindings(void **state)
{
	(void)state;
	enum { BINDINGS = 120, DEPTH = 60 };
	struct buffer source = {0};
	enum err err = OK;
	for (int i = 0; err == OK && i < BINDINGS; i++) {
		err = buffer_printf(&source, "cel.bind(v%d, ", i);
		for (int level = 0; err == OK && level < DEPTH; level++) {
			err = buffer_append_text(&source, "[");
		}
		err = err == OK ? (i == 0 ? buffer_append_text(&source, "1")
					  : buffer_printf(&source, "v%d", i - 1))
				: err;
		for (int level = 0; err == OK && level < DEPTH; level++) {
			err = buffer_append_text(&source, "][0]");
		}
		err = err == OK ? buffer_append_text(&source, ", ") : err;
	}
	err = err == OK ? buffer_printf(&source, "v%d", BINDINGS - 1) : err;
	for (int i = 0; err == OK && i < BINDINGS; i++) {
		err = buffer_append_text(&source, ")");
	}
	assert_int_equal(err, OK);
	struct cel_eval eval = {.text = source};
	pthread_attr_t attributes;
	pthread_t thread;
	assert_int_equal(pthread_attr_init(&attributes), 0);
	assert_int_equal(pthread_attr_setstacksize(&attributes, 1 << 20), 0);
	assert_int_equal(pthread_create(&thread, &attributes, evaluate, &eval), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(pthread_attr_destroy(&attributes), 0);
	if (eval.err != OK) {
		fail_msg("%s", eval.problem.text);
	}
	assert_true(bytes_equal(buffer_bytes(&eval.text), bytes_of("1")));
	buffer_fini(&eval.text);
}

/* Lists that constants make are not all kept by the program. */
static void test_constants_are_bounded(void **state)
{
	(void)state;
	enum { LISTS = 200 };
	struct buffer source = {0};
	enum err err = buffer_append_text(&source, "-1");
	for (int i = 0; err == OK && i < LISTS; i++) {
		err = buffer_append_text(&source, " in lists.range(2000) || -1");
	}
	err = err == OK ? buffer_append_text(&source, " in [0]") : err;
	assert_int_equal(err, OK);
	struct arena arena = {0};
	struct cel_problem problem = {0};
	struct cel_expression *expression = NULL;
	struct cel_regexes *regexes = NULL;
	struct cel_program *program = NULL;
	const struct cel_scope scope = {0};
	assert_int_equal(cel_regexes_new(1 << 16, &regexes), OK);
	assert_int_equal(
		cel_parse(&arena, buffer_bytes(&source), &cel_eval_limits, &problem, &expression),
		OK);
	assert_int_equal(cel_check(&arena, expression, &scope, &cel_eval_limits, &problem), OK);
	assert_int_equal(cel_compile(expression, regexes, &cel_eval_limits, &program), OK);
	struct arena memory = {0};
	struct cel_run run = {.arena = &memory, .steps = 1000000, .memory_bytes = 1 << 24};
	struct cel_value value = cel_run_program(program, &run);
	assert_int_equal(value.type, CEL_BOOL);
	assert_false(value.as.boolean);
	/* what is not kept is made again, 16 bytes an item */
	assert_true(run.memory_bytes < (1 << 24) - (LISTS - 10) * 2000 * 16);
	cel_program_unref(program);
	cel_regexes_free(regexes);
	arena_fini(&memory);
	arena_fini(&arena);
	buffer_fini(&source);
}

static void test_lack_of_memory(void **state)
{
	(void)state;
	static const char source[] = "['ab', 'cd'].map(x, x + '!').exists(x, x.matches('b.$')) && "
				     "{'k': [1, 2]}.k.sortBy(x, -x)[0] == 2";
	struct failing failing;
	bool has_failed = true;
	for (size_t fail_at = 0; has_failed; fail_at++) {
		struct cel_eval eval = {0};
		failing_start(&failing, fail_at);
		cel_eval(&eval, bytes_of(source));
		bool is_true = bytes_equal(buffer_bytes(&eval.text), bytes_of("true"));
		bool is_lack = eval.err == ERR_MEMORY ||
			(eval.is_error && eval.failure == CEL_FAILED_MEMORY);
		buffer_fini(&eval.text);
		has_failed = failing_stop(&failing);
		assert_int_equal(failing.live, 0);
		/* a constant that could not be folded is evaluated when it is needed */
		assert_true(is_true || (has_failed && is_lack));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_logic),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_document),
		cmocka_unit_test(test_alternative_is_not_evaluated),
		cmocka_unit_test(test_large_document),
		cmocka_unit_test(test_budgets),
		cmocka_unit_test(test_chain_of_bindings),
		cmocka_unit_test(test_constants_are_bounded),
		cmocka_unit_test(test_lack_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
