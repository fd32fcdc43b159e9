/*
 * match: an expression taken apart, indexed and evaluated in pieces means what it means as one
 * program. Random expressions over random documents; the judge compiles the whole expression. Trees
 * are compared with it by true, false and error; of what match finds, only `true` matches.
 */
#include "condition.h"
#include "match.h"

#include "match_limits.h"
#include "match_rig.h"
#include "random.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PICK(random, texts) ((texts)[test_random_below(random, COUNT(texts))])

enum { ROUNDS = 400, LIVE = 24, EVENTS = 12, DEPTH = 3 };

/* ---- expressions ----------------------------------------------------------------------------- */

static const char *const fields[] = {"doc.a", "a", "doc[\"a\"]", "b", "doc.n.x", "n['x']", "doc.n",
	"doc.l", "l", "doc.m", "_id", "_id", "id", "doc.missing", "doc.a.deep", "event.id",
	"event.operation"};
static const char *const constants[] = {"0", "-0.0", "1", "1u", "1.0", "2", "2.5", "-3",
	"18446744073709551615u", "9007199254740992", "9007199254740993", "9007199254740992.0",
	"9223372036854775807", "9223372036854775808u", "9223372036854775808.0", "1e300", "\"\"",
	"\"a\"", "'b'", "\"ab\"", "\"u1\"", "\"u2\"", "true", "false", "null", "b\"a\"",
	"1.0 / 0.0"};
static const char *const lists[] = {"[]", "[1]", "[1.0, \"a\"]", "['a', 'b', 'ab']", "[[1], []]",
	"[null, true, 0]", "[9007199254740992, 2u]", "[9007199254740993, 2.0]", "[\"u1\"]",
	"[\"u1\", \"u2\"]", "['u1', 1]", "[doc.b, 1]", "{\"a\": 1, \"b\": 2}", "{1: 2}"};
static const char *const orders[] = {"==", "!=", "<", "<=", ">", ">="};
static const char *const whole[] = {"has(doc.a)", "has(n.x)", "!has(doc.missing)",
	"doc.l.exists(x, x == 1)", "l.all(x, x != 'a')", "doc.a.startsWith('a')",
	"_id.endsWith('1')", "doc.b.size() > 1", "a + 1 == 2", "a * 2 > doc.b", "doc.a", "!doc.b",
	"a == b", "doc.a ? b == 1 : b == 2", "dyn(doc.a) == 1", "doc.l[0] == 1",
	"doc['n']['x'] == 1", "n.?x.orValue(1) == 1", "string(a) == '1'", "type(doc.a) == int",
	"true", "false", "doc.l.exists(doc, doc == 'a')", "has(doc.n.x)", "has(doc['n'].x)",
	"has(doc.missing.x)", "has(doc.a.b)", "has(doc.?n.x)", "has(doc.n.x.a)",
	"_id.startsWith('u')", "_id.startsWith('')", "n.x.startsWith('a')", "b.startsWith('ab')",
	"m.startsWith('')", "doc.missing.startsWith('a')", "a.startsWith(b)", "'ab'.startsWith(a)",
	"(a == 1) == b", "a != 1 && a != 2", "a == 1 || a in [2, 'a']", "!(a in [0, 1]) && a != 2",
	"_id == 'u1' || _id in ['u2', 'a']"};

/* Appends to `text`. */
static void put(char *text, size_t size, const char *piece)
{
	size_t used = strlen(text);
	assert_true(used + strlen(piece) < size);
	(void)snprintf(text + used, size - used, "%s", piece);
}

static void put_comparison(struct test_random *random, char *text, size_t size)
{
	const char *field = PICK(random, fields);
	const char *constant =
		test_random_below(random, 4) == 0 ? PICK(random, lists) : PICK(random, constants);
	const char *operation = test_random_below(random, 2) ? "==" : PICK(random, orders);
	if (test_random_below(random, 4) == 0) {
		operation = "in";
		constant = test_random_below(random, 4) ? PICK(random, lists) : constant;
	}
	bool is_turned = test_random_below(random, 3) == 0;
	put(text, size, is_turned ? constant : field);
	put(text, size, " ");
	put(text, size, operation);
	put(text, size, " ");
	put(text, size, is_turned ? field : constant);
}

/* NOLINTNEXTLINE(misc-no-recursion): DEPTH deep */
static void put_expression(struct test_random *random, int depth, char *text, size_t size)
{
	static const char *const joins[] = {
		") && (", ") && (", ") && (", ") || (", ") || (", ") == (", ") != ("};
	uint64_t kind = depth > 0 ? test_random_below(random, 8) : 7;
	if (kind == 0) {
		put(text, size, "!(");
		put_expression(random, depth - 1, text, size);
		put(text, size, ")");
	} else if (kind < 6) {
		put(text, size, "((");
		put_expression(random, depth - 1, text, size);
		put(text, size, PICK(random, joins));
		put_expression(random, depth - 1, text, size);
		put(text, size, "))");
	} else if (test_random_below(random, 3) == 0) {
		put(text, size, PICK(random, whole));
	} else {
		put_comparison(random, text, size);
	}
}

/* ---- documents ------------------------------------------------------------------------------- */

static const char *const values[] = {"0", "-0.0", "1", "1.0", "2", "2.5", "-3", "9007199254740992",
	"9007199254740993", "9007199254740992.0", "9223372036854775807", "9223372036854775808",
	"9223372036854775808.0", "18446744073709551615", "1e300", "\"\"", "\"a\"", "\"b\"",
	"\"ab\"", "\"u1\"", "true", "false", "null", "[]", "[1]", "[1.0,\"a\"]", "[null,true,0]",
	"[[1],[]]", "{}", "{\"a\":1}", "{\"b\":1,\"x\":1}", "{\"a\":2,\"a\":1.0,\"b\":2}"};

static struct event *random_event(struct test_random *random)
{
	static const enum model_operation operations[] = {
		MODEL_INSERT, MODEL_UPDATE, MODEL_UPDATE, MODEL_DELETE};
	static const char *const ids[] = {"u1", "u2", "", "a"};
	static const char *const members[] = {"a", "b", "n", "l", "m", "_id"};
	char document[1000] = "{";
	for (size_t i = 0; i < COUNT(members); i++) {
		if (test_random_below(random, 3) > 0) {
			char member[100];
			bool is_nested = i == 2 && test_random_below(random, 2);
			(void)snprintf(member, sizeof(member),
				is_nested ? "\"%s\":{\"x\":%s}," : "\"%s\":%s,", members[i],
				PICK(random, values));
			put(document, sizeof(document), member);
		}
	}
	put(document, sizeof(document), "\"id\":\"u1\"}");
	struct event *event =
		rig_event(PICK(random, operations), "d", "c", PICK(random, ids), document);
	event->change.event_id = bytes_of("a");
	return event;
}

/* ---- the judge ------------------------------------------------------------------------------- */

struct judge {
	struct arena arena;
	struct cel_regexes *regexes;
};

static const struct cel_limits limits = {.source_bytes = 16384,
	.depth = 100,
	.nodes = 4096,
	.comprehensions = 4,
	.literal_bytes = 65536,
	.regex_bytes = 262144,
	.memory_bytes = 1 << 20,
	.cost = 10000000,
	.steps = 200000};

/* In the judge's arena; NULL: it is no expression that gives a bool. */
static const struct cel_expression *check_text(struct judge *judge, const char *text)
{
	struct cel_variable variables[MATCH_NAMES_MAX];
	for (size_t i = 0; i < MATCH_NAMES_MAX; i++) {
		const struct match_name *name = match_name_at(i);
		variables[i] =
			(struct cel_variable){bytes_of(name->name), (enum cel_type)name->type};
	}
	const struct cel_scope scope = {
		.variables = variables, .variables_count = MATCH_NAMES_MAX, .has_document = true};
	struct cel_problem problem = {0};
	struct cel_expression *expression = NULL;
	enum err err = cel_parse(&judge->arena, bytes_of(text), &limits, &problem, &expression);
	if (err == OK) {
		err = cel_check(&judge->arena, expression, &scope, &limits, &problem);
	}
	enum cel_type type = err == OK ? cel_result_type(expression) : CEL_ERROR;
	return type == CEL_BOOL || type == CEL_DYN ? expression : NULL;
}

/* NULL as for check_text. */
static struct cel_program *compile(struct judge *judge, const char *text)
{
	const struct cel_expression *expression = check_text(judge, text);
	struct cel_program *program = NULL;
	if (expression) {
		assert_int_equal(cel_compile(expression, judge->regexes, &limits, &program), OK);
	}
	arena_reset(&judge->arena);
	return program;
}

static struct cel_value text_value(struct bytes text)
{
	return (struct cel_value){
		.type = CEL_STRING, .size = (uint32_t)text.size, .as.text = text.data};
}

/* What an expression sees of an event: its slots, and what `run` and `input` are for. */
struct view {
	struct cel_value slots[MATCH_NAMES_MAX];
	struct cel_run run;
	struct cel_input input;
};

static void view_of(struct arena *arena, const struct event *event, struct view *ret_view)
{
	const struct cel_value none = {
		.type = CEL_ERROR, .size = CEL_FAILED_NAME, .as.text = "not known"};
	*ret_view = (struct view){
		.slots = {event->document ? cel_of_document(event->document) : none,
			event->id_is_unknown ? none : text_value(event->document_id),
			text_value(event->change.event_id),
			text_value(bytes_of(model_operation_name(event->operation))), none,
			text_value(event->collection), text_value(event->change.database)},
		.run = {.arena = arena, .steps = 200000, .memory_bytes = 1 << 20},
		.input = {.document = event->document,
			.id = event->document_id,
			.id_is_unknown = event->id_is_unknown}};
	ret_view->run.slots = ret_view->slots;
	ret_view->input.run = &ret_view->run;
}

static enum cel_outcome run_view(const struct cel_program *program, struct view *view)
{
	struct cel_run run = view->run;
	struct cel_value value = cel_run_program(program, &run);
	view->run.failure = value.type == CEL_ERROR ? run.failure : CEL_FAILED_TYPE;
	if (value.type != CEL_BOOL) {
		return CEL_IS_ERROR;
	}
	return value.as.boolean ? CEL_IS_TRUE : CEL_IS_FALSE;
}

static bool judge_holds(
	struct judge *judge, const struct cel_program *program, const struct event *event)
{
	struct view view;
	view_of(&judge->arena, event, &view);
	bool holds = run_view(program, &view) == CEL_IS_TRUE;
	arena_reset(&judge->arena);
	return holds;
}

/* ---- trees ----------------------------------------------------------------------------------- */

/* A letter for each node, in the order of enum cel_kind, and its children in parentheses. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the tree */
static void put_shape(const struct cel_node *node, char *text, size_t size)
{
	static const char letters[] = "T&|!~=#<{>}icshP";
	const char letter[] = {letters[node->kind], '\0'};
	put(text, size, letter);
	if (node->children_count > 0) {
		put(text, size, "(");
		for (uint32_t i = 0; i < node->children_count; i++) {
			put_shape(node->children[i], text, size);
		}
		put(text, size, ")");
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
	struct judge judge = {0};
	assert_int_equal(cel_regexes_new(262144, &judge.regexes), OK);
	for (size_t i = 0; i < COUNT(rows); i++) {
		char shape[100] = "";
		const struct cel_node *tree = NULL;
		const struct cel_expression *expression = check_text(&judge, rows[i][0]);
		if (!expression) {
			fail_msg("%s is refused", rows[i][0]);
		}
		assert_int_equal(
			cel_condition(&judge.arena, expression, judge.regexes, &limits, &tree), OK);
		put_shape(tree, shape, sizeof(shape));
		if (strcmp(shape, rows[i][1]) != 0) {
			fail_msg("%s is %s, not %s", rows[i][0], shape, rows[i][1]);
		}
		cel_release(tree);
		arena_reset(&judge.arena);
	}
	cel_regexes_free(judge.regexes);
	arena_fini(&judge.arena);
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
	const struct cel_expression *expression = check_text(judge, copy.data);
	if (!expression) {
		fail_msg("%s is refused", copy.data);
	}
	assert_int_equal(
		cel_condition(&judge->arena, expression, judge->regexes, &limits, &made), OK);
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
	const struct cel_expression *expression = check_text(judge, text);
	assert_int_equal(
		cel_condition(&judge->arena, expression, judge->regexes, &limits, &forms[0]), OK);
	assert_int_equal(cel_normalise(&judge->arena, forms[0], &forms[1]), OK);
	forms[2] = printed(judge, forms[1]);
	for (int i = 0; i < EVENTS; i++) {
		struct event *event = random_event(random);
		if (test_random_below(random, 8) == 0) {
			event->document = NULL;
		}
		for (size_t k = 0; k < COUNT(forms); k++) {
			struct view view;
			view_of(&arena, event, &view);
			enum cel_outcome outcome = run_view(program, &view);
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
	struct judge judge = {0};
	size_t made = 0;
	assert_int_equal(cel_regexes_new(262144, &judge.regexes), OK);
	for (int i = 0; i < ROUNDS * LIVE; i++) {
		char text[2000] = "";
		put_expression(&random, i % (DEPTH + 1), text, sizeof(text));
		struct cel_program *program = compile(&judge, text);
		if (program) {
			check_tree(&judge, &random, text, program);
			made++;
		}
		cel_program_unref(program);
	}
	assert_true(made > ROUNDS * LIVE / 4);
	cel_regexes_free(judge.regexes);
	arena_fini(&judge.arena);
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
	put_expression(random, DEPTH, ret_wish->text, sizeof(ret_wish->text));
	const struct model_subscription subscription = {.database = bytes_of("d"),
		.collection = bytes_of("c"),
		.expression = bytes_of(ret_wish->text)};
	struct match_refusal refusal = {0};
	enum err err = match_query_get(match, &subscription, &refusal, &ret_wish->query);
	ret_wish->program = compile(judge, ret_wish->text);
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
	struct judge judge = {0};
	size_t hits = 0;
	size_t made = 0;
	assert_int_equal(cel_regexes_new(262144, &judge.regexes), OK);
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
	cel_regexes_free(judge.regexes);
	arena_fini(&judge.arena);
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
