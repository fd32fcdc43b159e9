/* match: what a subscription may not ask, and what it is told, through match.h. */
#include "match.h"

#include "failing.h"
#include "match_limits.h"
#include "match_rig.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct match *new_match(struct interest *interest, struct metrics *metrics)
{
	struct match *match = NULL;
	assert_int_equal(match_new(&test_match_limits, 11, interest, metrics, &match), OK);
	return match;
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void assert_refused(struct match *match, const struct model_subscription *subscription,
	const char *text, uint32_t number)
{
	struct match_query *const untouched = (struct match_query *)(void *)match;
	struct match_query *query = untouched;
	struct match_refusal refusal = {0};
	assert_int_equal(match_query_get(match, subscription, &refusal, &query), ERR_INVALID);
	assert_ptr_equal(query, untouched);
	assert_int_equal(refusal.filter, number);
	assert_int_equal(refusal.code, MODEL_REFUSED_FILTER);
	const char *advice = strstr(refusal.text, "; ");
	if (strncmp(refusal.text, text, strlen(text)) != 0 || !advice) {
		fail_msg("\"%s\" is not \"%s\"", refusal.text, text);
	}
	assert_string_equal(refusal.hint, advice + 2);
}

static void test_refusals(void **state)
{
	(void)state;
	static const struct {
		const char *filters, *text;
		uint32_t number;
	} rows[] = {
		{"a eq 1",
			"unsupported operator: eq; use one of == != > >= < <= in contains, for "
			"example ==",
			1},
		{"a = 1", "unsupported operator: =; ", 1},
		{"a array-contains 1",
			"unsupported operator: array-contains; use one of == != > >= < <= in "
			"contains, "
			"for example contains",
			1},
		{"a gte 1",
			"unsupported operator: gte; use one of == != > >= < <= in contains, for "
			"example >=",
			1},
		{"a IN [1]", "unsupported operator: IN; ", 1},
		{"a  1", "unsupported operator: ; ", 1},
		{"a == 1 & b ==", "value is nil; give a string, ", 2},
		/* the value is looked at before the operator, the first bad filter before others */
		{"a eq", "value is nil; ", 1},
		{"a == 1 & b eq 1 & c ==", "unsupported operator: eq; ", 2},
		{"a == 1 & b == 1 & c < [1]",
			"found no matching overload for '_<_' applied to '(dyn, list)'; ", 3},
		{"a in 1", "found no matching overload for '@in' applied to '(dyn, int)'; ", 1},
		{"a in \"x\"", "found no matching overload for '@in' applied to '(dyn, string)'; ",
			1},
		/* ids are strings */
		{"_id == 1", "_id cannot be compared with a value of kind int; use a string", 1},
		{"_id == [\"x\"]", "_id cannot be compared with a value of kind list; use a string",
			1},
		{"_id != null", "_id cannot be compared with a value of kind null; use a string",
			1},
		{"_id > true", "_id cannot be compared with a value of kind bool; use a string", 1},
		{"_id in [\"x\", 1]",
			"_id cannot be compared with a value of kind int; use a string in each "
			"place",
			1},
		{"_id in [[\"x\"]]",
			"_id cannot be compared with a value of kind list; use a string in each "
			"place",
			1},
		{"_id in \"x\"", "found no matching overload for '@in'", 1},
		{"_id contains \"x\"", "contains cannot be used with _id, which is a string; ", 1},
	};
	struct interest *interest = NULL;
	assert_int_equal(interest_new(3, &interest), OK);
	struct match *match = new_match(interest, NULL);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena arena = {0};
		struct model_subscription subscription =
			rig_subscription(&arena, "d", "c", rows[i].filters);
		assert_refused(match, &subscription, rows[i].text, rows[i].number);
		arena_fini(&arena);
	}
	assert_false(match_wants(match, bytes_of("d"), bytes_of("c")));
	assert_false(interest_has(interest, bytes_of("d"), bytes_of("c")));
	match_free(match);
	interest_free(interest);
}

static void test_refused_values(void **state)
{
	(void)state;
	struct match *match = new_match(NULL, NULL);
	struct value none_inside[] = {
		{.kind = VALUE_LIST, .size = 1, .as.span = 2}, {.kind = VALUE_NONE}};
	struct value nan_inside[] = {
		none_inside[0], {.kind = VALUE_DOUBLE, .as.real = strtod("nan", NULL)}};
	const struct value infinite = {.kind = VALUE_DOUBLE, .as.real = -strtod("inf", NULL)};
	const struct {
		const char *op;
		const struct value *value;
		const char *text;
	} rows[] = {
		{"==", &none_inside[1], "unsupported proto value type: <nil>; give a string"},
		{"eq", &none_inside[1], "unsupported proto value type: <nil>; give a string"},
		{"in", none_inside, "unsupported proto value type: <nil>; give a string"},
		{"in", nan_inside, "NaN cannot be compared with; use a finite number"},
		{"<", &infinite, "infinity cannot be compared with; use a finite number"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct model_filter filter = {
			bytes_of("a"), bytes_of(rows[i].op), rows[i].value};
		const struct model_subscription subscription = {
			.filters = &filter, .filters_count = 1};
		assert_refused(match, &subscription, rows[i].text, 1);
	}
	match_free(match);
}

/* An operator of any length is shown as far as there is room, and in whole characters. */
static void test_refused_long_operator(void **state)
{
	(void)state;
	struct match *match = new_match(NULL, NULL);
	char op[1000];
	memset(op, 'x', sizeof(op));
	op[63] = "\xC3"[0];
	op[64] = "\xA9"[0];
	const struct value one = value_int(1);
	const struct model_filter filter = {bytes_of("a"), {op, sizeof(op)}, &one};
	const struct model_subscription subscription = {.filters = &filter, .filters_count = 1};
	char expected[200];
	(void)snprintf(expected, sizeof(expected),
		"unsupported operator: %.63s; use one of == != > >= < <= in contains, for example "
		"==",
		op);
	assert_refused(match, &subscription, expected, 1);
	match_free(match);
}

/* A path of as many parts as it may have, and of more, up to a mebibyte of them. */
static void test_long_paths(void **state)
{
	(void)state;
	static char path[1 << 20];
	memset(path, '.', sizeof(path));
	const struct value one = value_int(1);
	struct match *match = new_match(NULL, NULL);
	for (size_t size = 254; size <= sizeof(path); size = size < 258 ? size + 1 : size * 2) {
		const struct model_filter filter = {{path, size}, bytes_of("=="), &one};
		const struct model_subscription subscription = {
			.filters = &filter, .filters_count = 1};
		if (size < 256) {
			struct match_query *query = NULL;
			struct match_refusal refusal = {0};
			assert_int_equal(
				match_query_get(match, &subscription, &refusal, &query), OK);
			match_query_put(match, query);
		} else {
			assert_refused(
				match, &subscription, "a field has more than 256 parts; ", 1);
		}
	}
	match_free(match);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_refused_values),
		cmocka_unit_test(test_refused_long_operator),
		cmocka_unit_test(test_long_paths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
