/* match: expressions in subscriptions: what they share with filters, refusals, failures, memory. */
#include "match.h"

#include "failing.h"
#include "match_limits.h"
#include "match_rig.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct match *new_match(const struct match_limits *limits, struct metrics *metrics)
{
	struct match *match = NULL;
	assert_int_equal(match_new(limits, 11, NULL, metrics, &match), OK);
	return match;
}

static enum err try_get(struct match *match, const char *filters, const char *expression,
	struct match_refusal *ret_refusal, struct match_query **ret_query)
{
	struct arena arena = {0};
	struct model_subscription subscription = rig_subscription(&arena, "d", "c", filters);
	subscription.expression = bytes_of(expression);
	enum err err = match_query_get(match, &subscription, ret_refusal, ret_query);
	arena_fini(&arena);
	return err;
}

static struct match_query *get(struct match *match, const char *filters, const char *expression)
{
	struct match_refusal refusal = {0};
	struct match_query *query = NULL;
	if (try_get(match, filters, expression, &refusal, &query) != OK) {
		fail_msg("%s: %s", expression, refusal.text);
	}
	return query;
}

/* Whether the event reaches the query, by both ways; the event is given up. */
static bool reaches(struct match *match, const struct match_query *query, struct event *event)
{
	const struct match_hit *hits = NULL;
	size_t count = 0;
	assert_int_equal(match_events(match, &event, 1, &hits, &count), OK);
	bool found = false;
	for (size_t i = 0; i < count; i++) {
		found = found || hits[i].query == query;
	}
	assert_int_equal(match_query_holds(match, query, event), found);
	event_unref(event);
	return found;
}

static struct event *update(const char *document)
{
	struct event *event = rig_event(MODEL_UPDATE, "d", "c", "u1", document);
	event->change.event_id = bytes_of("e1");
	event->change.timestamp_ms = 1500;
	return event;
}

/* ---- what they mean -------------------------------------------------------------------------- */

static void test_names(void **state)
{
	(void)state;
	static const struct {
		const char *expression;
		bool holds;
	} rows[] = {
		{"doc.room == 'a'", true},
		{"room == 'a' && n.x == 1", true},
		{"doc[\"in\"] == 2", true},
		{"type == 'text'", true},
		{"_id == 'u1'", true},
		{"_id.startsWith('u')", true},
		{"_id == 'u2'", false},
		{"event.id == 'e1'", true},
		{"event.operation == 'UPDATE'", true},
		{"event.timestamp == timestamp('1970-01-01T00:00:01.5Z')", true},
		{"event.collection == 'c' && event.database == 'd'", true},
		{"event.operation == 'DELETE'", false},
		/* an error never matches, nor does its opposite */
		{"missing == 1", false},
		{"missing != 1", false},
		{"!(missing == 1)", false},
		{"room > 1", false},
		{"n.x / 0 == 1", false},
		{"missing == 1 || room == 'a'", true},
		{"room.deep == 1", false},
	};
	struct match *match = new_match(&test_match_limits, NULL);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct match_query *query = get(match, "", rows[i].expression);
		struct event *event = update("{\"room\":\"a\",\"n\":{\"x\":1},\"in\":2,\"type\":"
					     "\"text\",\"id\":\"u1\"}");
		if (reaches(match, query, event) != rows[i].holds) {
			fail_msg("%s", rows[i].expression);
		}
		match_query_put(match, query);
	}
	match_free(match);
}

/* However it is written, and whether as filter or as expression, it is one query. */
static void test_same_query(void **state)
{
	(void)state;
	static const char *const rows[][3] = {
		{"room == \"a\"", "", "room == 'a'"},
		{"room == \"a\"", "", "\"a\" == doc.room"},
		{"room == \"a\"", "", "doc[\"room\"] == 'a'"},
		{"room == \"a\"", "", "room in ['a']"},
		{"room == \"a\"", "", "!(doc.room != 'a') && true"},
		{"room == \"a\"", "room == \"a\"", "room == 'a'"},
		{"age > 18 & room == \"a\"", "age > 18", "room == 'a'"},
		{"age > 18 & room == \"a\"", "", "18 < age && 'a' == room"},
		{"tags contains \"x\"", "", "'x' in tags"},
		{"_id in [\"a\", \"b\"]", "", "_id in ['b', 'a', 'b']"},
		{"", "", "true"},
	};
	struct metrics metrics = {0};
	struct match *match = new_match(&test_match_limits, &metrics);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct match_query *filters = get(match, rows[i][0], "");
		struct match_query *expression = get(match, rows[i][1], rows[i][2]);
		if (filters != expression) {
			fail_msg("%s is not %s", rows[i][2], rows[i][0]);
		}
		assert_int_equal(metrics_get(&metrics, METRIC_queries_active), 1);
		match_query_put(match, filters);
		match_query_put(match, expression);
		assert_int_equal(metrics_get(&metrics, METRIC_queries_active), 0);
	}
	match_free(match);
}

/* Programs are told apart by how they are printed, which must say which name means what. */
static void test_different_programs(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"size(a) == 1", "size(a) == 1.0"},
		{"size(a) == 1", "size(b) == 1"},
		{"l.exists(doc, doc.a > 1)", "l.exists(doc, a > 1)"},
		{"l.exists(x, x.a > 1)", "l.exists(y, x.a > 1)"},
		{"_id.size() > 1", "doc._id.size() > 1"},
		{"a.contains('x')", "a.contains(b'x')"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct match *match = new_match(&test_match_limits, NULL);
		struct match_refusal refusal = {0};
		struct match_query *a = get(match, "", rows[i][0]);
		struct match_query *b = NULL;
		if (try_get(match, "", rows[i][1], &refusal, &b) == OK && a == b) {
			fail_msg("%s is %s", rows[i][0], rows[i][1]);
		}
		match_free(match);
	}
}

static void test_equality_finds_programs(void **state)
{
	(void)state;
	struct metrics metrics = {0};
	struct match *match = new_match(&test_match_limits, &metrics);
	struct match_query *query = get(match, "", "room == 'a' && text.startsWith('x')");
	assert_false(reaches(match, query, update("{\"room\":\"b\",\"text\":\"xy\"}")));
	assert_int_equal(metrics_get(&metrics, METRIC_match_candidates), 0);
	assert_true(reaches(match, query, update("{\"room\":\"a\",\"text\":\"xy\"}")));
	assert_false(reaches(match, query, update("{\"room\":\"a\",\"text\":\"y\"}")));
	assert_int_equal(metrics_get(&metrics, METRIC_match_candidates), 2);
	match_free(match);
}

/* Who asks for certain documents hears of their end, whatever else it asks. */
static void test_document_ids(void **state)
{
	(void)state;
	static const struct {
		const char *expression;
		bool gets_purge;
	} rows[] = {
		{"_id == 'u1'", true},
		{"'u1' == _id && true", true},
		{"_id in ['u1', 'u2']", true},
		{"collection == 'c' && _id in ['u1', 'u2']", true},
		{"collection == 'c' && 'u1' == _id", true},
		{"collection == 'c'", false},
		{"_id.startsWith('u')", false},
		{"_id == 'u2'", false},
		/* the id itself is not known, and no stranger's subscription makes it so */
		{"_id == 'u1' && id == 'u1'", false},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct match *match = new_match(&test_match_limits, NULL);
		struct match_query *query = get(match, "", rows[i].expression);
		struct event *purge = rig_purge("d", "c", "u1");
		purge->document =
			rig_value(&purge->arena, bytes_of("{\"id\":\"\",\"collection\":\"c\"}"));
		if (reaches(match, query, purge) != rows[i].gets_purge) {
			fail_msg("%s", rows[i].expression);
		}
		match_free(match);
	}
}

/* An id is a text: nothing else beside `_id` is taken for one. */
static void test_ids_that_are_no_texts(void **state)
{
	(void)state;
	static const char *const rows[] = {"_id in [1]", "_id == 1", "_id == null",
		"_id in ['x', 1]", "_id in [null]", "_id == dyn(1)", "_id in [['x']]"};
	struct match *match = new_match(&test_match_limits, NULL);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct match_refusal refusal = {0};
		struct match_query *query = NULL;
		if (try_get(match, "", rows[i], &refusal, &query) == OK) {
			assert_false(reaches(match, query, rig_purge("d", "c", "u1")));
			assert_false(reaches(match, query, update("{}")));
		}
	}
	match_free(match);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void test_refusals(void **state)
{
	(void)state;
	static const struct {
		const char *expression;
		uint32_t line, column;
		bool has_hint;
	} rows[] = {
		{"room ==", 1, 8, false},
		{"room == 'a' &&\n  n = 1", 2, 5, true},
		{"size(1)", 1, 1, false},
		{"1 + 2", 1, 1, true},
		{"'a'", 1, 1, true},
		{"nothing(1)", 1, 1, false},
		/* what an id can never be, as in filters */
		{"_id == 1", 1, 5, true},
		{"a == 1 ||\n _id < 5", 2, 6, true},
		{"_id in [1, 2]", 1, 5, true},
		{"_id in [1, 2.5, true]", 1, 5, true},
		{"a.exists(x, _id in [1])", 1, 17, true},
	};
	struct metrics metrics = {0};
	struct match *match = new_match(&test_match_limits, &metrics);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct match_refusal refusal = {0};
		struct match_query *query = NULL;
		assert_int_equal(try_get(match, "a == 1", rows[i].expression, &refusal, &query),
			ERR_INVALID);
		assert_int_equal(refusal.code, MODEL_REFUSED_EXPRESSION);
		assert_int_equal(refusal.filter, 0);
		if (refusal.line != rows[i].line || refusal.column != rows[i].column) {
			fail_msg("%s: %s", rows[i].expression, refusal.text);
		}
		assert_true(strncmp(refusal.text, "expression", strlen("expression")) == 0);
		assert_true(!rows[i].has_hint || refusal.hint[0] != '\0');
		assert_int_equal(metrics_get(&metrics, METRIC_expressions_refused), i + 1);
	}
	assert_int_equal(metrics_get(&metrics, METRIC_expressions_too_large), 0);
	assert_int_equal(metrics_get(&metrics, METRIC_queries_active), 0);
	match_free(match);
}

static void assert_over(struct match_limits limits, const char *expression, enum model_refusal code,
	enum metric counter)
{
	struct metrics metrics = {0};
	struct match_refusal refusal = {0};
	struct match_query *query = NULL;
	struct match *match = new_match(&test_match_limits, NULL);
	match_query_put(match, get(match, "", expression));
	match_free(match);
	match = new_match(&limits, &metrics);
	enum err err = try_get(match, "", expression, &refusal, &query);
	if (err != ERR_INVALID || refusal.code != code || refusal.line != 1 ||
		metrics_get(&metrics, counter) != 1) {
		fail_msg("%s: %d, %d, \"%s\"", expression, (int)err, (int)refusal.code,
			refusal.text);
	}
	match_free(match);
}

static void test_limits(void **state)
{
	(void)state;
	struct match_limits limits = test_match_limits;
	limits.source_bytes = 16;
	assert_over(
		limits, "room == 'abcdefghi'", MODEL_REFUSED_LIMIT, METRIC_expressions_too_large);
	limits = test_match_limits;
	limits.depth = 8;
	assert_over(limits, "size([[[[[[[[[a]]]]]]]]]) == 1", MODEL_REFUSED_LIMIT,
		METRIC_expressions_too_large);
	limits = test_match_limits;
	limits.nodes = 16;
	assert_over(limits, "a in [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]", MODEL_REFUSED_LIMIT,
		METRIC_expressions_too_large);
	limits = test_match_limits;
	limits.macros = 1;
	assert_over(limits, "a.exists(x, x.exists(y, y == 1))", MODEL_REFUSED_LIMIT,
		METRIC_expressions_too_large);
	limits = test_match_limits;
	limits.literal = 16;
	assert_over(limits, "a == '12345678901234567'", MODEL_REFUSED_LIMIT,
		METRIC_expressions_too_large);
	limits = test_match_limits;
	limits.cost = 1000;
	assert_over(limits, "a.exists(x, x == 1)", MODEL_REFUSED_COST, METRIC_expressions_too_dear);
}

/* A pattern that is written out and is none, or is too large, is refused: nobody waits in vain. */
static void test_constant_patterns(void **state)
{
	(void)state;
	static const struct {
		const char *expression;
		uint32_t line, column;
		enum model_refusal code;
	} rows[] = {
		{"a.matches('(')", 1, 11, MODEL_REFUSED_EXPRESSION},
		{"matches(a, '(?=x)')", 1, 12, MODEL_REFUSED_EXPRESSION},
		{"b == 1 ||\n  a.matches(r'(a)\\1')", 2, 13, MODEL_REFUSED_EXPRESSION},
		{"regex.extract(a, '[') == optional.of('x')", 1, 18, MODEL_REFUSED_EXPRESSION},
		{"regex.extractAll(a, '[').size() == 1", 1, 21, MODEL_REFUSED_EXPRESSION},
		{"regex.replace(a, '[', 'x', 1) == 'x'", 1, 18, MODEL_REFUSED_EXPRESSION},
		{"a.exists(x, x.matches('*'))", 1, 23, MODEL_REFUSED_EXPRESSION},
		{"a.matches('([a-z]{50}[0-9]{50}){4}')", 1, 11, MODEL_REFUSED_LIMIT},
		{"a.matches('a{300}')", 1, 11, MODEL_REFUSED_LIMIT},
	};
	struct match_limits limits = test_match_limits;
	limits.regex_bytes = 4096;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct metrics metrics = {0};
		struct match_refusal refusal = {0};
		struct match_query *query = NULL;
		struct match *match = new_match(&limits, &metrics);
		(void)get(match, "", "a.matches('a{30}')");
		enum err err = try_get(match, "", rows[i].expression, &refusal, &query);
		if (err != ERR_INVALID || refusal.code != rows[i].code ||
			refusal.line != rows[i].line || refusal.column != rows[i].column ||
			!refusal.hint[0]) {
			fail_msg("%s: %d, %s (%s)", rows[i].expression, (int)err, refusal.text,
				refusal.hint);
		}
		bool is_large = rows[i].code == MODEL_REFUSED_LIMIT;
		assert_int_equal(
			metrics_get(&metrics, METRIC_expressions_too_large), is_large ? 1 : 0);
		assert_int_equal(
			metrics_get(&metrics, METRIC_expressions_refused), is_large ? 0 : 1);
		match_free(match); /* aborts if a pattern is still held */
	}
}

/* A pattern that a change brings is a value like others: it fails when it is used. */
static void test_patterns_of_changes(void **state)
{
	(void)state;
	static const char *const documents[] = {
		"{\"a\":\"x\",\"b\":\"[\"}", "{\"a\":\"x\",\"b\":\"([a-z]{50}[0-9]{50}){4}\"}"};
	struct match_limits limits = test_match_limits;
	limits.regex_bytes = 4096;
	for (size_t i = 0; i < COUNT(documents); i++) {
		struct metrics metrics = {0};
		struct match *match = new_match(&limits, &metrics);
		struct match_query *query = get(match, "", "a.matches(b)");
		assert_false(reaches(match, query, update(documents[i])));
		assert_int_equal(metrics_get(&metrics, METRIC_expression_errors_argument), 1);
		assert_true(reaches(match, query, update("{\"a\":\"x\",\"b\":\"[x]\"}")));
		match_free(match);
	}
}

/* As deep as a tree may be, and joined with a filter besides. */
static void test_deep_trees(void **state)
{
	(void)state;
	for (int depth = 55; depth < 70; depth++) {
		char text[2000] = "";
		size_t used = 0;
		for (int i = 0; i < depth; i++) {
			used += (size_t)snprintf(text + used, sizeof(text) - used, "a == %d %s (",
				i, i % 2 ? "&&" : "||");
		}
		used += (size_t)snprintf(text + used, sizeof(text) - used, "b == 1");
		memset(text + used, ')', (size_t)depth);
		struct match *match = new_match(&test_match_limits, NULL);
		struct match_query *query = get(match, "x == 1", text);
		assert_true(reaches(match, query, update("{\"x\":1,\"a\":0,\"b\":1}")));
		assert_false(reaches(match, query, update("{\"x\":1,\"a\":1,\"b\":2}")));
		match_free(match);
	}
}

/* ---- failures -------------------------------------------------------------------------------- */

static void test_failure_kinds(void **state)
{
	(void)state;
	static const struct {
		const char *expression;
		enum metric counter;
	} rows[] = {
		{"zero == 0 && missing > 1", METRIC_expression_errors_name},
		{"zero == 0 && missing.deep > 1", METRIC_expression_errors_name},
		{"zero == 0 && room.deep > 1", METRIC_expression_errors_type},
		{"zero == 0 && room > 1", METRIC_expression_errors_type},
		{"(1 in room) == (zero == 0)", METRIC_expression_errors_type},
		{"missing + 1 == 1", METRIC_expression_errors_name},
		{"room + 1 == 1", METRIC_expression_errors_type},
		{"room", METRIC_expression_errors_type},
		{"1 / zero == 1", METRIC_expression_errors_range},
		{"int(room) == 1", METRIC_expression_errors_argument},
		{"l.map(x, l.map(y, l.map(z, x + y + z))).size() == 1",
			METRIC_expression_stops_memory},
		{"l.all(x, l.all(y, l.all(z, x + y + z > 0)))", METRIC_expression_stops_steps},
	};
	struct match_limits limits = test_match_limits;
	limits.steps = 2000;
	limits.memory_bytes = 4096;
	limits.cost = UINT64_MAX;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct metrics metrics = {0};
		struct match *match = new_match(&limits, &metrics);
		/* another's failure is no concern of it */
		(void)get(match, "", "1 in l && room.deep != 1");
		struct match_query *query = get(match, "", rows[i].expression);
		int64_t before = rows[i].counter == METRIC_expression_errors_type;
		struct event *event = update("{\"room\":\"a\",\"zero\":0,\"l\":[1,2,3,4,5,6,7,8,9,"
					     "10,11,12,13,14,15,16,17,18,19,20]}");
		assert_false(reaches(match, query, event));
		if (metrics_get(&metrics, rows[i].counter) != before + 1) {
			fail_msg("%s: %d", rows[i].expression,
				(int)metrics_get(&metrics, rows[i].counter));
		}
		match_free(match);
	}
}

static size_t troubles_of(struct match *match, struct event *event)
{
	const struct match_hit *hits = NULL;
	size_t count = 0;
	assert_int_equal(match_events(match, &event, 1, &hits, &count), OK);
	event_unref(event);
	(void)match_troubles(match, &count);
	return count;
}

/* Once, after so many failures in a row; filters fail in silence, and so does what the index passes
   over. */
static void test_failing_trouble(void **state)
{
	(void)state;
	struct match_limits limits = test_match_limits;
	limits.failures = 3;
	struct match *match = new_match(&limits, NULL);
	(void)get(match, "missing == 1", "");
	(void)get(match, "missing > 1", "");
	(void)get(match, "", "missing > 2");
	struct match_query *query = get(match, "", "a + 0 > 0");
	assert_int_equal(troubles_of(match, update("{}")), 0);
	assert_int_equal(troubles_of(match, update("{}")), 0);
	assert_int_equal(troubles_of(match, update("{\"a\":1}")), 0);
	assert_int_equal(troubles_of(match, update("{}")), 0);
	assert_int_equal(troubles_of(match, update("{}")), 0);
	assert_int_equal(troubles_of(match, update("{}")), 1);
	size_t count = 0;
	const struct match_trouble *trouble = match_troubles(match, &count);
	assert_ptr_equal(trouble->query, query);
	assert_int_equal(trouble->code, MODEL_NOTICE_FAILING);
	assert_non_null(strstr(trouble->text, "missing"));
	for (int i = 0; i < 5; i++) {
		assert_int_equal(troubles_of(match, update("{}")), 0);
	}
	match_free(match);
}

/* At most 64 at once, the others the next time; each once. */
static void test_many_troubles(void **state)
{
	(void)state;
	struct match_limits limits = test_match_limits;
	limits.failures = 1;
	struct match *match = new_match(&limits, NULL);
	for (int i = 0; i < 100; i++) {
		char text[40];
		(void)snprintf(text, sizeof(text), "a + 0 > %d", i);
		(void)get(match, "", text);
	}
	assert_int_equal(troubles_of(match, update("{}")), 64);
	assert_int_equal(troubles_of(match, update("{}")), 36);
	assert_int_equal(troubles_of(match, update("{}")), 0);
	match_free(match);
}

static void test_stopped_trouble(void **state)
{
	(void)state;
	struct match_limits limits = test_match_limits;
	limits.steps = 20;
	limits.failures = 2;
	struct match *match = new_match(&limits, NULL);
	struct match_query *query = get(match, "", "l.all(x, x + 1 > 0)");
	const char *document = "{\"l\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21]}";
	assert_int_equal(troubles_of(match, update(document)), 1);
	size_t count = 0;
	const struct match_trouble *trouble = match_troubles(match, &count);
	assert_ptr_equal(trouble->query, query);
	assert_int_equal(trouble->code, MODEL_NOTICE_STOPPED);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(troubles_of(match, update(document)), 0);
	}
	match_free(match);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* What the canonical form drops is let go of, what it keeps stays; the sanitizers look. */
static void test_dropped_programs(void **state)
{
	(void)state;
	static const struct {
		const char *expression;
		bool holds;
	} rows[] = {
		{"size(a) == 1 || size(a) == 1", true},
		{"true || size(a) == 1", true},
		{"size(a) == 1 && false", false},
		{"size(a) == 1 && size(b) == 2 && size(a) == 1", true},
		{"!!(size(a) == 1)", true},
		{"!(size(a) == 1 && true)", false},
		{"(size(a) == 1 && false) || size(b) == 2", true},
	};
	struct match *match = new_match(&test_match_limits, NULL);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct match_query *query = get(match, "", rows[i].expression);
		assert_ptr_equal(get(match, "", rows[i].expression), query);
		match_query_put(match, query);
		if (reaches(match, query, update("{\"a\":\"x\",\"b\":\"xy\"}")) != rows[i].holds) {
			fail_msg("%s", rows[i].expression);
		}
		match_query_put(match, query);
	}
	(void)get(match, "", "size(a) == 1");
	match_free(match);
}

static void test_without_memory(void **state)
{
	(void)state;
	for (size_t fail_at = 0;; fail_at++) {
		struct failing failing;
		struct match *match = NULL;
		struct match_refusal refusal = {0};
		struct match_query *query = NULL;
		static const struct value one = {.kind = VALUE_INT, .as.integer = 1};
		const struct model_filter filter = {bytes_of("x"), bytes_of("=="), &one};
		const struct model_subscription subscription = {.database = bytes_of("d"),
			.collection = bytes_of("c"),
			.filters = &filter,
			.filters_count = 1,
			.expression = bytes_of("a == 'b' && (size(a) == 1 || a.matches('b+')) && "
					       "b in [1, 2] && !(size(a) == 2)")};
		failing_start(&failing, fail_at);
		enum err err = match_new(&test_match_limits, 11, NULL, NULL, &match);
		if (err == OK) {
			err = match_query_get(match, &subscription, &refusal, &query);
		}
		if (err == OK) {
			match_query_put(match, query);
		}
		match_free(match);
		assert_int_equal(failing.live, 0);
		if (!failing_stop(&failing)) {
			assert_int_equal(err, OK);
			break;
		}
		assert_int_equal(err, ERR_MEMORY);
	}
}

/* ---- members -----------------------------------------------------------------------------------
 */

static uint64_t bit_of(const char *name)
{
	return (uint64_t)1 << event_member_bit(bytes_of(name));
}

/* The members that queries look at, and no others; interest is told the same. */
static void test_members_are_told(void **state)
{
	static const struct {
		const char *expression;
		const char *names[3];
		bool is_whole;
	} rows[] = {
		{"doc.room == 'a'", {"room"}, false},
		{"doc.room.floor == 1 || doc.kind in ['x', 'y']", {"room", "kind"}, false},
		{"has(doc.author.name)", {"author"}, false},
		{"(doc.likes * 31 + size(doc.text)) % 7 == 3", {"likes", "text"}, false},
		{"doc.room == 'a' && doc.tags.exists(t, t > 2)", {"room", "tags"}, false},
		{"has(doc.a) == has(doc.b.c)", {"a", "b"}, false},
		{"doc.exists(k, k == 'a')", {NULL}, true},
		{"doc['ro' + doc.m] == 1", {NULL}, true},
		{"'a' in doc", {NULL}, true},
		{"_id == 'u1'", {NULL}, false},
	};
	(void)state;
	struct interest *interest = NULL;
	assert_int_equal(interest_new(7, &interest), OK);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct match *match = NULL;
		assert_int_equal(match_new(&test_match_limits, 11, interest, NULL, &match), OK);
		uint64_t expected = rows[i].is_whole ? UINT64_MAX : 0;
		for (size_t k = 0; k < COUNT(rows[i].names) && rows[i].names[k]; k++) {
			expected |= bit_of(rows[i].names[k]);
		}
		struct match_query *query = get(match, "", rows[i].expression);
		struct match_query *other = get(match, "other == 1", "");
		expected |= bit_of("other");
		assert_true(match_members(match) == expected);
		assert_true(interest_members(interest) == expected);
		match_query_put(match, query);
		assert_true(match_members(match) == bit_of("other"));
		assert_true(interest_members(interest) == bit_of("other"));
		match_query_put(match, other);
		assert_true(match_members(match) == 0);
		assert_true(interest_members(interest) == 0);
		match_free(match);
	}
	interest_free(interest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members_are_told),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_same_query),
		cmocka_unit_test(test_different_programs),
		cmocka_unit_test(test_equality_finds_programs),
		cmocka_unit_test(test_document_ids),
		cmocka_unit_test(test_ids_that_are_no_texts),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_constant_patterns),
		cmocka_unit_test(test_patterns_of_changes),
		cmocka_unit_test(test_deep_trees),
		cmocka_unit_test(test_failure_kinds),
		cmocka_unit_test(test_failing_trouble),
		cmocka_unit_test(test_many_troubles),
		cmocka_unit_test(test_stopped_trouble),
		cmocka_unit_test(test_dropped_programs),
		cmocka_unit_test(test_without_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
