/* match: what the index says of a query: its places, what they prove, what is left, who shares. */
#include "match.h"

#include "failing.h"
#include "match_limits.h"
#include "match_rig.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void explain(struct match *match, struct arena *arena, const char *filters,
	const char *expression, struct match_explanation *ret_explanation)
{
	struct model_subscription subscription = rig_subscription(arena, "d", "c", filters);
	subscription.expression = bytes_of(expression);
	struct match_refusal refusal = {0};
	if (match_explain(match, &subscription, arena, &refusal, ret_explanation) != OK) {
		fail_msg("%s %s: %s", filters, expression, refusal.text);
	}
}

static void assert_text(struct bytes found, const char *wanted)
{
	if (!bytes_equal(found, bytes_of(wanted))) {
		fail_msg("found %.*s, expected %s", BYTES_FORMAT(found), wanted);
	}
}

struct row {
	const char *filters, *expression;
	const char *place, *left; /* of the first place; NULL: there is none */
	const char *advice;       /* a part of the first piece; NULL: there is none */
	size_t places;
	uint64_t steps;
	bool is_residual;
};

static void assert_row(const struct row *row)
{
	struct match *match = NULL;
	struct arena arena = {0};
	struct match_explanation explanation;
	assert_int_equal(match_new(&test_match_limits, 1, NULL, NULL, &match), OK);
	explain(match, &arena, row->filters, row->expression, &explanation);
	print_message("%s %s\n", row->filters, row->expression);
	assert_int_equal(explanation.places_count, row->places);
	if (row->place) {
		assert_text(explanation.places->text, row->place);
		assert_text(explanation.places->left, row->left);
		assert_int_equal(explanation.places->is_proof, row->left[0] == '\0');
		assert_int_equal(explanation.places->queries, 1);
	}
	assert_int_equal(explanation.steps, row->steps);
	assert_int_equal(explanation.is_residual, row->is_residual);
	assert_int_equal(explanation.advice_count > 0, row->advice != NULL);
	if (row->advice) {
		char text[400];
		(void)snprintf(text, sizeof(text), "%.*s", BYTES_FORMAT(explanation.advice[0]));
		assert_non_null(strstr(text, row->advice));
	}
	assert_false(match_wants(match, bytes_of("d"), bytes_of("c"))); /* put back */
	match_free(match);
	arena_fini(&arena);
}

static void test_rows(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"", "", "every change of the collection", "", NULL, 1, 1000, false},
		{"room == \"a\"", "", "doc.room == \"a\"", "", NULL, 1, 10, false},
		{"a.b.c == 1", "", "doc.a.b.c == 1", "", NULL, 1, 10, false},
		{"", "_id == 'u'", "_id == \"u\"", "", NULL, 1, 10, false},
		{"", "name.startsWith('ab')", "doc.name.startsWith(\"ab\")", "", NULL, 1, 10,
			false},
		{"tags contains \"x\"", "", "\"x\" in doc.tags", "", NULL, 1, 10, false},
		{"a == 1", "b == 'x'", "doc.b == \"x\"", "doc.a == 1", NULL, 1, 20, false},
		{"a == 1", "size(b) > 2", "doc.a == 1", "size(doc.b) > 2", NULL, 1, 170, false},
		{"", "a > 1", "range of doc.a", "", NULL, 1, 250, false},
		{"", "a > 1 && a <= 5", "range of doc.a", "", NULL, 1, 62, false},
		{"", "a > 1 && a <= 5 && b != 1", "range of doc.a", "doc.b != 1", NULL, 1, 124,
			false},
		{"", "a >= 9007199254740993", "range of doc.a", "doc.a >= 9007199254740993", NULL,
			1, 500, false},
		{"", "a > 'abc'", "range of doc.a", "doc.a > \"abc\"", NULL, 1, 500, false},
		{"", "a > 'abcdefghi'", "range of doc.a", "doc.a > \"abcdefghi\"", "8 bytes", 1,
			500, false},
		{"", "a == 9007199254740993", "doc.a == 9007199254740992.0",
			"doc.a == 9007199254740993", NULL, 1, 20, false},
		{"a in [1, 2, 3]", "", "doc.a == 1", "", NULL, 3, 30, false},
		{"", "(a == 1 || b == 2) && size(c) == 3", "doc.a == 1", "size(doc.c) == 3", NULL,
			2, 340, false},
		{"", "(a == 1 && x == 2) || b == 2", "doc.a == 1",
			"(doc.a == 1 && doc.x == 2) || doc.b == 2", NULL, 2, 50, false},
		{"", "a >= 'abc' && b != 1", "range of doc.a", "doc.b != 1 && doc.a >= \"abc\"",
			NULL, 1, 750, false},
		{"", "a >= 9007199254740993 && b != 1", "range of doc.a",
			"doc.b != 1 && doc.a >= 9007199254740993", NULL, 1, 750, false},
		{"", "a > 1 || b > 2", "range of doc.a", "", NULL, 2, 500, false},
		{"", "a in [1, 2] && b != 1", "doc.a == 1", "doc.b != 1", NULL, 2, 40, false},
		{"", "a in [9007199254740992, 9007199254740994] && b != 1",
			"doc.a == 9007199254740992.0",
			"doc.b != 1 && doc.a in [9007199254740992, 9007199254740994]", NULL, 2, 60,
			false},
		{"a != 1", "", "existence of doc.a", "doc.a != 1", "for each document", 1, 2000,
			true},
		{"", "!(a in [1, 2])", "existence of doc.a", "!(doc.a in [1, 2])",
			"for each document", 1, 2000, true},
		{"", "has(doc.a)", "existence of doc.a", "", "no value leads to it", 1, 1000, true},
		{"", "a.lowerAscii() == 'x'", "every change of the collection",
			"doc.a.lowerAscii() == \"x\"", "cannot be indexed", 1, 17000, true},
		{"", "false", NULL, NULL, "never holds", 0, 0, false},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_row(&rows[i]);
	}
}

/* A list that is longer than the places that are told, and one that is too long for places. */
static void test_long_lists(void **state)
{
	(void)state;
	static char list[60000];
	for (int length = 300; length <= 5000; length += 4700) {
		size_t size = (size_t)snprintf(list, sizeof(list), "a in [0");
		for (int i = 1; i < length; i++) {
			size += (size_t)snprintf(list + size, sizeof(list) - size, ",%d", i);
		}
		(void)snprintf(list + size, sizeof(list) - size, "]");
		struct match *match = NULL;
		struct arena arena = {0};
		struct match_explanation explanation;
		assert_int_equal(match_new(&test_match_limits, 1, NULL, NULL, &match), OK);
		explain(match, &arena, list, "", &explanation);
		assert_int_equal(explanation.places_count, length == 300 ? 300 : 1);
		assert_int_equal(explanation.steps, length == 300 ? 3000 : 2000);
		assert_int_equal(explanation.is_residual, length != 300);
		assert_int_equal(explanation.advice_count, length == 300 ? 0 : 2);
		match_free(match);
		arena_fini(&arena);
	}
}

/* Counts are those of the lists and facets at hand; sharers are queries, not places. */
static void test_neighbours(void **state)
{
	(void)state;
	struct match *match = NULL;
	struct arena arena = {0};
	struct match_explanation explanation;
	assert_int_equal(match_new(&test_match_limits, 1, NULL, NULL, &match), OK);
	enum { LIVE = 20, RANGES = 100 }; /* a range alone is crowded too */
	struct match_query *queries[LIVE + RANGES];
	for (int i = 0; i < LIVE + RANGES; i++) {
		char filters[64];
		(void)snprintf(filters, sizeof(filters), "%sage > %d",
			i < RANGES ? "" : "room == \"a\" & ", i);
		queries[i] = rig_get(match, "d", "c", filters);
	}
	explain(match, &arena, "room == \"a\" & age > 500", "", &explanation);
	assert_int_equal(explanation.places_count, 1);
	assert_text(explanation.places->text, "range of doc.age under doc.room == \"a\"");
	assert_text(explanation.places->left, "");
	assert_true(explanation.places->queries > 1 && explanation.places->queries <= LIVE + 1);
	assert_int_equal(explanation.steps, 3);
	assert_int_equal(explanation.parts_count, 2);
	assert_text(explanation.parts[0].text, "doc.room == \"a\"");
	assert_int_equal(explanation.parts[0].others, LIVE);
	assert_text(explanation.parts[1].text, "doc.age > 500");
	assert_int_equal(explanation.parts[1].others, 0);
	explain(match, &arena, "room == \"a\" & age > 105", "",
		&explanation); /* is there already */
	assert_int_equal(explanation.parts[0].others, LIVE - 1);
	for (int i = 0; i < LIVE + RANGES; i++) {
		match_query_put(match, queries[i]);
	}
	match_free(match);
	arena_fini(&arena);
}

/* ---- lack of memory -------------------------------------------------------------------------- */

/* Explained among others, each allocation failing once: all or nothing, and no trace is left. */
static void explain_without_memory(
	struct failing *failing, size_t fail_at, const char *filters, const char *expression)
{
	struct match *match = NULL;
	struct arena arena = {0};
	assert_int_equal(match_new(&test_match_limits, 1, NULL, NULL, &match), OK);
	struct match_query *neighbour = rig_get(match, "d", "c", "room == \"a\"");
	struct model_subscription subscription = rig_subscription(&arena, "d", "c", filters);
	subscription.expression = bytes_of(expression);
	struct match_refusal refusal = {0};
	struct match_explanation explanation = {0};
	failing->fail_at = failing->count + fail_at;
	enum err err = match_explain(match, &subscription, &arena, &refusal, &explanation);
	bool has_failed = failing->count > failing->fail_at;
	failing->fail_at = SIZE_MAX - 1;
	assert_int_equal(err, has_failed ? ERR_MEMORY : OK);
	assert_int_equal(explanation.places_count > 0, !has_failed);
	match_query_put(match, neighbour);
	assert_false(match_wants(match, bytes_of("d"), bytes_of("c")));
	match_free(match); /* which checks that no predicate and no path is left */
	arena_fini(&arena);
	failing->fail_at = has_failed ? 0 : SIZE_MAX;
}

static void test_lack_of_memory(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"room == \"a\" & age > 5 & kind in [\"x\", \"y\"]", ""},
		{"", "a == 1 || b.c.startsWith('x') && !(d == 2)"},
		{"", "room == 'a' && size(l) > 2 && doc.s.matches('^a+$')"}, {"", "a != 1"},
		{"", "(a == 1) != (b == 2) || 'x' in doc.tags"}};
	for (size_t i = 0; i < COUNT(rows); i++) {
		bool has_failed = true;
		size_t fail_at = 0;
		for (; has_failed; fail_at++) {
			struct failing failing;
			failing_start(&failing, SIZE_MAX - 1);
			explain_without_memory(&failing, fail_at, rows[i][0], rows[i][1]);
			has_failed = failing.fail_at == 0;
			mem_set_hook(NULL, NULL);
			assert_int_equal(failing.live, 0);
		}
		assert_in_range(fail_at, 10, 5000);
	}
}

/* ---- where a query is filed among many of its like ------------------------------------------- */

#define CROWD 400

static bool begins_with(struct bytes text, const char *beginning)
{
	size_t size = strlen(beginning);
	return text.size >= size && memcmp(text.data, beginning, size) == 0;
}

static bool ends_with(struct bytes text, const char *end)
{
	size_t size = strlen(end);
	return text.size >= size && memcmp(text.data + text.size - size, end, size) == 0;
}

/* Of a crowd, one of which is `format` with two numbers, how many are filed where `is_there` says.
 */
static size_t count_filed(const char *format, int distinct,
	bool (*is_there)(struct bytes text, const char *wanted), const char *wanted)
{
	struct match *match = NULL;
	struct arena arena = {0};
	static struct match_query *queries[CROWD];
	assert_int_equal(match_new(&test_match_limits, 1, NULL, NULL, &match), OK);
	for (int i = 0; i < CROWD; i++) {
		char expression[200];
		(void)snprintf(expression, sizeof(expression), format, i % distinct, i);
		struct model_subscription subscription = rig_subscription(&arena, "d", "c", "");
		subscription.expression = bytes_of(expression);
		struct match_refusal refusal = {0};
		assert_int_equal(match_query_get(match, &subscription, &refusal, &queries[i]), OK);
	}
	size_t count = 0;
	for (int i = 0; i < CROWD; i++) {
		struct match_explanation explanation;
		assert_int_equal(match_query_explain(queries[i], &arena, &explanation), OK);
		assert_int_equal(explanation.places_count, 1);
		count += is_there(explanation.places->text, wanted);
		match_query_put(match, queries[i]);
	}
	match_free(match);
	arena_fini(&arena);
	return count;
}

/* A range alone is met by nearly every change, an equality by few: not once is the range cheaper.
 */
static void test_equality_before_range(void **state)
{
	(void)state;
	static const char format[] = "room == 'r%d' && age > %d";
	assert_int_equal(count_filed(format, 1, ends_with, "doc.room == \"r0\""), CROWD);
	assert_int_equal(count_filed(format, 20, ends_with, "doc.age"), 0);
	assert_int_equal(count_filed("room == 'r%d' && age > %d && age < 1000", CROWD, begins_with,
				 "doc.room == "),
		CROWD);
	assert_int_equal(count_filed("kind == 'k%d' && tags.exists(t, t > %d)", 2, begins_with,
				 "doc.kind == "),
		CROWD);
}

/* However crowded a value is, what has it is no more than what has some field. */
static void test_equality_before_existence(void **state)
{
	(void)state;
	assert_int_equal(count_filed("kind == 'text' && has(doc.f%d) && size(doc.body) > %d", 40,
				 begins_with, "doc.kind == "),
		CROWD);
	assert_int_equal(
		count_filed("kind == 'text' && owner%d != 'x%d'", 3, begins_with, "doc.kind == "),
		CROWD);
	assert_int_equal(count_filed("tags%d.exists(t, t == 'x') && path.startsWith('/%d/')", 3,
				 begins_with, "doc.path.startsWith"),
		CROWD);
}

/* Of two equalities, the one that tells more apart; those that came before many did may be left. */
static void test_rarer_equality(void **state)
{
	(void)state;
	const size_t few = 16;
	assert_in_range(count_filed("type == 't%d' && room == 'r%d'", 4, begins_with, "doc.room"),
		CROWD - few, CROWD);
	assert_in_range(count_filed("room == 't%d' && n == %d", 4, begins_with, "doc.n"),
		CROWD - few, CROWD);
	assert_in_range(count_filed("type == 't%d' && 'x%d' in tags", 1, ends_with, "in doc.tags"),
		CROWD - few, CROWD);
}

/* Of ranges, the one with two sides; of two that are alike, that of the field few ask for. */
static void test_narrower_range(void **state)
{
	(void)state;
	assert_int_equal(
		count_filed("a%d > 5 && b > 1 && b < %d", 1, begins_with, "range of doc.b"), CROWD);
	assert_in_range(count_filed("a > %2$d && b%1$d > 5", 40, begins_with, "range of doc.b"),
		CROWD - CROWD / 10, CROWD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_long_lists),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_lack_of_memory),
		cmocka_unit_test(test_equality_before_range),
		cmocka_unit_test(test_equality_before_existence),
		cmocka_unit_test(test_rarer_equality),
		cmocka_unit_test(test_narrower_range),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
