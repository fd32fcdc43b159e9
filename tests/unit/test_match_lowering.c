/*
 * match: an expression taken apart, indexed and evaluated in pieces means what it means as one
 * program. Random expressions over random documents; the judge compiles the whole expression. Trees
 * are compared with it by true, false and error; of what match finds, only `true` matches.
 */
#include "condition.h"
#include "match.h"

#include "match_judge.h"
#include "match_limits.h"
#include "match_random.h"
#include "match_rig.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { ROUNDS = 400, LIVE = 24, EVENTS = 12, DEPTH = 3 };

/* ---- trees ----------------------------------------------------------------------------------- */

/* A letter for each node, in the order of enum cel_kind, and its children in parentheses. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the tree */
static void put_shape(const struct cel_node *node, char *text, size_t size)
{
	static const char letters[] = "T&|!~=#<{>}icshP";
	const char letter[] = {letters[node->kind], '\0'};
	random_put(text, size, letter);
	if (node->children_count > 0) {
		random_put(text, size, "(");
		for (uint32_t i = 0; i < node->children_count; i++) {
			put_shape(node->children[i], text, size);
		}
		random_put(text, size, ")");
	}
}

/* What becomes a node of the tree, and what a program. */
static void test_shapes(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"true", "T"},
		{"a == 1", "="},
		{"1 < doc.a", ">"},
		{"'x' in a", "c"},
		{"a == b", "P"},
		{"doc.a.startsWith('x')", "s"},
		{"a['b'].startsWith(\"\")", "s"},
		{"_id.startsWith('x')", "s"},
		{"id.startsWith('x') && !a.startsWith('y')", "&(s!(s))"},
		{"a.startsWith(b)", "P"},
		{"'xy'.startsWith(a)", "P"},
		{"a.startsWith('x' + 'y')", "P"},
		{"event.id.startsWith('x')", "P"},
		{"a.endsWith('x')", "P"},
		{"has(doc.a)", "h"},
		{"has(doc.a.b)", "h"},
		{"has(a.b.c)", "h"},
		{"has(doc['in'].b)", "h"},
		{"!has(doc.a) || has(doc.b)", "|(!(h)h)"},
		{"has(doc.?a.b)", "P"},
		{"has(doc.a[0].b)", "P"},
		{"has({'a': 1}.a)", "P"},
		{"(a == 1) == (b == 2)", "~(==)"},
		{"(a == 1) != (b == 2)", "!(~(==))"},
		{"(a == 1) == (b + 1 == 2)", "~(=P)"},
		{"(a + 1 == 2) == (b + 1 == 2)", "P"},
		{"(a + 1 == 2) != (b + 1 == 2)", "P"},
		{"has(doc.a) == !(b == 2 || c == 3)", "~(h!(|(==)))"},
		{"has(doc.a) == true", "~(hT)"},
		{"(a == 1) == b", "P"},
		{"b == (a == 1)", "P"},
		{"!b == (a == 1)", "~(!(P)=)"},
		{"(a == 1) == null", "P"},
		{"(a == 1) == (b == 2) == has(doc.c)", "~(~(==)h)"},
	};
	struct judge judge;
	judge_open(&judge);
	for (size_t i = 0; i < COUNT(rows); i++) {
		char shape[100] = "";
		const struct cel_node *tree = NULL;
		const struct cel_expression *expression = judge_check(&judge, rows[i][0]);
		if (!expression) {
			fail_msg("%s is refused", rows[i][0]);
		}
		assert_int_equal(cel_condition(&judge.arena, expression, judge.regexes,
					 &judge_limits, &tree),
			OK);
		put_shape(tree, shape, sizeof(shape));
		if (strcmp(shape, rows[i][1]) != 0) {
			fail_msg("%s is %s, not %s", rows[i][0], shape, rows[i][1]);
		}
		cel_release(tree);
		arena_reset(&judge.arena);
	}
	judge_close(&judge);
}

static void fail_outcome(const char *text, const struct cel_node *tree, const struct event *event,
	enum cel_outcome outcome)
{
	struct buffer written = {0};
	(void)!cel_print(&written, tree);
	(void)!buffer_append_text(&written, " over ");
	if (event->document) {
		(void)!json_print(&written, event->document);
	}
	fail_msg("%s is not %c as %.*s, _id \"%.*s\"", text, "FTE"[outcome],
		BYTES_FORMAT(buffer_bytes(&written)), BYTES_FORMAT(event->document_id));
}

/* The tree of a tree's text. */
static const struct cel_node *printed(struct judge *judge, const struct cel_node *tree)
{
	struct buffer text = {0};
	const struct cel_node *made = NULL;
	assert_int_equal(cel_print(&text, tree), OK);
	assert_int_equal(buffer_append(&text, (struct bytes){"", 1}), OK);
	struct bytes copy = arena_copy(&judge->arena, buffer_bytes(&text));
	buffer_fini(&text);
	const struct cel_expression *expression = judge_check(judge, copy.data);
	if (!expression) {
		fail_msg("%s is refused", copy.data);
	}
	assert_int_equal(
		cel_condition(&judge->arena, expression, judge->regexes, &judge_limits, &made), OK);
	return made;
}

/*
 * The tree, its canonical form and what that is printed as have the program's outcome; one
 * comparison, its failure too.
 */
static void check_tree(struct judge *judge, struct test_random *random, const char *text,
	const struct cel_program *program)
{
	struct arena arena = {0};
	const struct cel_node *forms[3] = {NULL, NULL, NULL};
	const struct cel_expression *expression = judge_check(judge, text);
	assert_int_equal(
		cel_condition(&judge->arena, expression, judge->regexes, &judge_limits, &forms[0]),
		OK);
	assert_int_equal(cel_normalise(&judge->arena, forms[0], &forms[1]), OK);
	forms[2] = printed(judge, forms[1]);
	for (int i = 0; i < EVENTS; i++) {
		struct event *event = random_event(random);
		if (test_random_below(random, 8) == 0) {
			event->document = NULL;
		}
		for (size_t k = 0; k < COUNT(forms); k++) {
			struct judge_view view;
			judge_view_of(&arena, event, &view);
			enum cel_outcome outcome = judge_run(program, &view);
			enum cel_failure failure = view.run.failure;
			bool is_same = cel_evaluate(forms[k], &view.input) == outcome &&
				(outcome != CEL_IS_ERROR || !cel_is_comparison(forms[k]) ||
					view.run.failure == failure);
			if (!is_same) {
				fail_outcome(text, forms[k], event, outcome);
			}
		}
		event_unref(event);
		arena_reset(&arena);
	}
	cel_release(forms[0]);
	cel_release(forms[2]);
	arena_reset(&judge->arena);
	arena_fini(&arena);
}

static void test_outcomes(void **state)
{
	(void)state;
	struct test_random random = test_random_start("outcomes");
	struct judge judge;
	size_t made = 0;
	judge_open(&judge);
	for (int i = 0; i < ROUNDS * LIVE; i++) {
		char text[2000] = "";
		random_put_expression(&random, i % (DEPTH + 1), text, sizeof(text));
		struct cel_program *program = judge_compile(&judge, text);
		if (program) {
			check_tree(&judge, &random, text, program);
			made++;
		}
		cel_program_unref(program);
	}
	assert_true(made > ROUNDS * LIVE / 4);
	judge_close(&judge);
}

/* ---- the comparison -------------------------------------------------------------------------- */

struct wish {
	char text[2000];
	struct match_query *query;
	struct cel_program *program;
};

/* Whether both accept it, or neither does. */
static bool make_wish(
	struct match *match, struct judge *judge, struct test_random *random, struct wish *ret_wish)
{
	*ret_wish = (struct wish){0};
	random_put_expression(random, DEPTH, ret_wish->text, sizeof(ret_wish->text));
	const struct model_subscription subscription = {.database = bytes_of("d"),
		.collection = bytes_of("c"),
		.expression = bytes_of(ret_wish->text)};
	struct match_refusal refusal = {0};
	enum err err = match_query_get(match, &subscription, &refusal, &ret_wish->query);
	ret_wish->program = judge_compile(judge, ret_wish->text);
	if ((err == OK) != (ret_wish->program != NULL)) {
		fail_msg("%s: %s", ret_wish->text, refusal.text);
	}
	return err == OK;
}

static bool has_hit(const struct match_hit *hits, size_t count, const struct wish *wish)
{
	for (size_t i = 0; i < count; i++) {
		if (hits[i].query == wish->query) {
			return true;
		}
	}
	return false;
}

static size_t check_event(struct match *match, struct judge *judge, const struct wish *wishes,
	size_t wishes_count, struct event *event)
{
	const struct match_hit *hits = NULL;
	size_t count = 0;
	assert_int_equal(match_events(match, &event, 1, &hits, &count), OK);
	for (size_t i = 0; i < wishes_count; i++) {
		bool holds = judge_holds(judge, wishes[i].program, event);
		bool hit = has_hit(hits, count, &wishes[i]);
		if (hit != holds || match_query_holds(match, wishes[i].query, event) != holds) {
			struct buffer text = {0};
			(void)!json_print(&text, event->document);
			fail_msg("%s is %s over %.*s, _id \"%.*s\"", wishes[i].text,
				holds ? "true" : "not true", BYTES_FORMAT(buffer_bytes(&text)),
				BYTES_FORMAT(event->document_id));
		}
	}
	return count;
}

static void test_lowering(void **state)
{
	(void)state;
	struct test_random random = test_random_start("lowering");
	struct judge judge;
	size_t hits = 0;
	size_t made = 0;
	judge_open(&judge);
	for (int round = 0; round < ROUNDS; round++) {
		struct match *match = NULL;
		struct wish wishes[LIVE];
		size_t count = 0;
		assert_int_equal(match_new(&test_match_limits, test_random_next(&random), NULL,
					 NULL, &match),
			OK);
		for (int i = 0; i < LIVE; i++) {
			count += make_wish(match, &judge, &random, &wishes[count]);
		}
		for (int i = 0; i < EVENTS; i++) {
			struct event *event = random_event(&random);
			hits += check_event(match, &judge, wishes, count, event);
			event_unref(event);
		}
		made += count;
		for (size_t i = 0; i < count; i++) {
			match_query_put(match, wishes[i].query);
			cel_program_unref(wishes[i].program);
		}
		match_free(match);
	}
	assert_true(made > ROUNDS * LIVE / 4);
	assert_true(hits > ROUNDS);
	judge_close(&judge);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_lowering),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
