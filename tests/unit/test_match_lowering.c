/*
 * match: an expression taken apart, indexed and evaluated in pieces means what it means as one
 * program. Random expressions over random documents; the judge compiles the whole expression, and
 * only `true` matches.
 */
#include "cel.h"
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
	"true", "false", "doc.l.exists(doc, doc == 'a')"};

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
	uint64_t kind = depth > 0 ? test_random_below(random, 8) : 7;
	if (kind == 0) {
		put(text, size, "!(");
		put_expression(random, depth - 1, text, size);
		put(text, size, ")");
	} else if (kind < 6) {
		put(text, size, "(");
		put_expression(random, depth - 1, text, size);
		put(text, size, kind < 4 ? " && " : " || ");
		put_expression(random, depth - 1, text, size);
		put(text, size, ")");
	} else if (test_random_below(random, 4) == 0) {
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

/* NULL: it is no expression that gives a bool. */
static struct cel_program *compile(struct judge *judge, const char *text)
{
	struct cel_variable variables[MATCH_NAMES_MAX];
	for (size_t i = 0; i < MATCH_NAMES_MAX; i++) {
		const struct match_name *name = match_name_at(i);
		variables[i] =
			(struct cel_variable){bytes_of(name->name), (enum cel_type)name->type};
	}
	const struct cel_scope scope = {
		.variables = variables, .variables_count = MATCH_NAMES_MAX, .has_document = true};
	const struct cel_limits limits = {.source_bytes = 16384,
		.depth = 100,
		.nodes = 4096,
		.comprehensions = 4,
		.literal_bytes = 65536,
		.regex_bytes = 262144,
		.memory_bytes = 1 << 20,
		.cost = 10000000,
		.steps = 200000};
	struct cel_problem problem = {0};
	struct cel_expression *expression = NULL;
	struct cel_program *program = NULL;
	enum err err = cel_parse(&judge->arena, bytes_of(text), &limits, &problem, &expression);
	if (err == OK) {
		err = cel_check(&judge->arena, expression, &scope, &limits, &problem);
	}
	enum cel_type type = err == OK ? cel_result_type(expression) : CEL_ERROR;
	if (type == CEL_BOOL || type == CEL_DYN) {
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

static bool judge_holds(
	struct judge *judge, const struct cel_program *program, const struct event *event)
{
	const struct cel_value none = {
		.type = CEL_ERROR, .size = CEL_FAILED_NAME, .as.text = "not known"};
	const struct cel_value slots[MATCH_NAMES_MAX] = {cel_of_document(event->document),
		event->id_is_unknown ? none : text_value(event->document_id),
		text_value(event->change.event_id),
		text_value(bytes_of(model_operation_name(event->operation))), none,
		text_value(event->collection), text_value(event->change.database)};
	struct cel_run run = {
		.arena = &judge->arena, .slots = slots, .steps = 200000, .memory_bytes = 1 << 20};
	struct cel_value value = cel_run_program(program, &run);
	bool holds = value.type == CEL_BOOL && value.as.boolean;
	arena_reset(&judge->arena);
	return holds;
}

/* ---- the comparison -------------------------------------------------------------------------- */

struct wish {
	char text[1000];
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
		cmocka_unit_test(test_lowering),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
