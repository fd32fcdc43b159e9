/*
 * match: what it costs. Counts, never times: how many queries are tried for an event, how much
 * memory a hostile document takes, and that lists which grow long are left for better places, which
 * must hold whatever comes and goes.
 */
#include "match.h"

#include "match_trial.h"
#include "random.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- memory that is counted ------------------------------------------------------------------ */

struct meter {
	size_t live, peak; /* bytes */
};

/* A piece's size stands before it. */
static void *meter_hook(void *ctx, void *pointer, size_t size)
{
	struct meter *meter = ctx;
	const size_t head = 16;
	char *piece = pointer ? (char *)pointer - head : NULL;
	size_t old = 0;
	if (piece) {
		memcpy(&old, piece, sizeof(old));
	}
	meter->live += size - old;
	meter->peak = meter->peak > meter->live ? meter->peak : meter->live;
	if (size == 0) {
		free(piece);
		return NULL;
	}
	piece = realloc(piece, head + size);
	assert_non_null(piece);
	memcpy(piece, &size, sizeof(size));
	return piece + head;
}

/* ---- queries by the thousand ----------------------------------------------------------------- */

struct crowd {
	struct match *match;
	struct metrics metrics;
	struct match_query **queries;
	size_t count;
};

static void crowd_open(struct crowd *crowd, size_t capacity)
{
	*crowd = (struct crowd){0};
	crowd->queries = calloc(capacity, sizeof(struct match_query *));
	assert_non_null(crowd->queries);
	assert_int_equal(
		match_new(&test_match_limits, 7, NULL, &crowd->metrics, &crowd->match), OK);
}

static void crowd_add(struct crowd *crowd, const char *text)
{
	const struct model_subscription subscription = {.database = bytes_of("d"),
		.collection = bytes_of("c"),
		.expression = bytes_of(text)};
	struct match_refusal refusal = {0};
	if (match_query_get(crowd->match, &subscription, &refusal, &crowd->queries[crowd->count]) !=
		OK) {
		fail_msg("%s: %s", text, refusal.text);
	}
	crowd->count++;
}

static void crowd_remove(struct crowd *crowd, size_t place)
{
	match_query_put(crowd->match, crowd->queries[place]);
	crowd->queries[place] = crowd->queries[--crowd->count];
}

static void crowd_close(struct crowd *crowd)
{
	while (crowd->count > 0) {
		crowd_remove(crowd, crowd->count - 1);
	}
	assert_int_equal(metrics_get(&crowd->metrics, METRIC_queries_active), 0);
	assert_int_equal(metrics_get(&crowd->metrics, METRIC_residuals_active), 0);
	assert_false(match_wants(crowd->match, bytes_of("d"), bytes_of("c")));
	match_free(crowd->match);
	free(crowd->queries);
}

/* Hits and, in *ret_tried, the queries that had to be evaluated. */
static size_t crowd_match(struct crowd *crowd, const char *document, int64_t *ret_tried)
{
	int64_t before = metrics_get(&crowd->metrics, METRIC_match_candidates);
	struct event *event = rig_event(MODEL_UPDATE, "d", "c", "u1", document);
	const struct match_hit *hits = NULL;
	size_t count = 0;
	assert_int_equal(match_events(crowd->match, &event, 1, &hits, &count), OK);
	event_unref(event);
	*ret_tried = metrics_get(&crowd->metrics, METRIC_match_candidates) - before;
	return count;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
/* `form` has up to three %d, all the same number. */
static void crowd_fill(struct crowd *crowd, const char *form, int count)
{
	for (int i = 0; i < count; i++) {
		char text[300];
		(void)snprintf(text, sizeof(text), form, i, i, i);
		crowd_add(crowd, text);
	}
}
#pragma GCC diagnostic pop

/* ---- few are tried --------------------------------------------------------------------------- */

static const struct {
	const char *form, *document;
	size_t hits;
	int64_t tried_max;
} crowds[] = {
	{"a == %d", "{\"a\":5}", 1, 0},
	{"a in [%d, 'x%d']", "{\"a\":\"x5\"}", 1, 0},
	{"%d in a", "{\"a\":[5,5,5]}", 1, 0},
	{"a.startsWith('%d-')", "{\"a\":\"5-\"}", 1, 0},
	{"a > %d", "{\"a\":5}", 5, 0},
	{"a >= %d && a <= %d", "{\"a\":5}", 1, 0},
	{"a > 'k%d'", "{\"a\":\"k\"}", 0, 0},
	/* a list under `b` grows long, and its queries go to what is rare, or by their range */
	{"b == 1 && a == %d", "{\"a\":5,\"b\":1}", 1, 16},
	{"b == 1 && a >= %d && a <= %d", "{\"a\":5,\"b\":1}", 1, 2},
	{"b == 1 && a > %d", "{\"a\":5,\"b\":1}", 5, 6},
	{"b == 1 && a.startsWith('%d-')", "{\"a\":\"5-\",\"b\":1}", 1, 16},
	{"b == 1 && %d in a", "{\"a\":[5],\"b\":1}", 1, 16},
	{"b == 1 && (a == %d || c == %d)", "{\"a\":5,\"b\":1,\"c\":6}", 2, 16},
	{"has(doc.b) && a == %d", "{\"a\":5,\"b\":1}", 1, 16},
	{"b != 1 && a == %d", "{\"a\":5,\"b\":2}", 1, 16},
	{"c == 1 && b != %d", "{\"b\":5,\"c\":2}", 0, 0},
	{"(a == %d) != (b == %d)", "{\"a\":5,\"b\":6}", 2, 2},
	{"_id == 'u%d' && b == 1", "{\"b\":1}", 1, 1},
	{"_id == 'u%d' || a == %d", "{\"a\":5}", 2, 0},
};

static void test_few_are_tried(void **state)
{
	(void)state;
	const int size = 2000;
	for (size_t i = 0; i < COUNT(crowds); i++) {
		struct crowd crowd;
		crowd_open(&crowd, (size_t)size);
		crowd_fill(&crowd, crowds[i].form, size);
		int64_t tried = 0;
		size_t hits = crowd_match(&crowd, crowds[i].document, &tried);
		if (hits != crowds[i].hits || tried > crowds[i].tried_max) {
			fail_msg(
				"%s: %zu hits, %lld tried", crowds[i].form, hits, (long long)tried);
		}
		crowd_close(&crowd);
	}
}

/* Who has an equality is no residual, however crowded the place that it leads to. */
static void test_crowded_equality_is_no_residual(void **state)
{
	(void)state;
	struct crowd crowd;
	crowd_open(&crowd, 3000);
	crowd_fill(&crowd, "b == 1 && a != %d", 3000);
	assert_int_equal(metrics_get(&crowd.metrics, METRIC_residuals_active), 0);
	crowd_close(&crowd);
}

/* ---- trees that have no canonical form ------------------------------------------------------- */

/*
 * `depth` joins one within the other, whose innermost is `inner`. What is drawn out of them makes
 * the tree deeper, so that from some depth on it stays as it was written.
 */
static void put_deep(char *text, size_t size, const char *inner, int depth, const char *join)
{
	size_t used = 0;
	for (int i = 0; i < depth; i++) {
		used += (size_t)snprintf(text + used, size - used, "a%d != %d %s (", i, i, join);
	}
	used += (size_t)snprintf(text + used, size - used, "%s", inner);
	for (int i = 0; i < depth; i++) {
		used += (size_t)snprintf(text + used, size - used, ")");
	}
	assert_true(used < size);
}

static void test_trees_as_they_are_written(void **state)
{
	(void)state;
	static const char *const inners[] = {"!(!(true)) && b == 1", "!(!(!(true))) || b == 1",
		"(b == 1) == true", "!(!(b == 1)) && !(!true)", "(b == 1) != (!(!true))",
		"!((b == 1) != (!(!false)))", "b == 1 && (b == 1 && (b == 1 && !false))",
		"b in [2, 1, 1, 2] || b == 1", "!(!(!(true)) && b == 1)",
		"x != 1 && x != 2 && b == 1", "!(x in [1, 2]) && x != 3 && (b == 1 || b > 1)"};
	static const char *const joins[] = {"==", "!=", "&&", "||"};
	for (size_t i = 0; i < COUNT(inners) * COUNT(joins); i++) {
		for (int depth = 50; depth < 66; depth++) {
			char text[4000];
			struct trial trial;
			trial_open(&trial, 1);
			put_deep(text, sizeof(text), inners[i / COUNT(joins)], depth,
				joins[i % COUNT(joins)]);
			char joined[4100];
			(void)snprintf(joined, sizeof(joined), "!(!(true)) && %s", text);
			(void)trial_try(&trial, text);
			(void)trial_try(&trial, joined);
			(void)snprintf(joined, sizeof(joined), "(%s) && !(!(true))", text);
			(void)trial_try(&trial, joined);
			assert_true(trial.count > 0 || depth > 60);
			trial_document(&trial, "{\"b\":1}");
			trial_document(&trial, "{\"b\":2,\"a0\":1,\"a1\":1}");
			trial_close(&trial);
		}
	}
}

/* ---- coming and going ------------------------------------------------------------------------ */

static const char *const churn_forms[] = {"b == %d && a > %d", "b == %d && a >= %d && a < 900",
	"b == %d && c == %d", "b == %d && a.startsWith('%d')", "a > %d && c < %d", "a in [%d, %d]",
	"a == %d || c == %d", "%d in l || %d in m", "b == %d && a != %d", "_id == 'u%d' && a > %d",
	"b == %d && a > 'k%d'", "(a == %d) != (c == %d)", "b == %d || b == 1 && a > %d",
	"b == %d && (a == %d || c > 5)"};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void churn_text(struct test_random *random, char *text, size_t size)
{
	const char *form = churn_forms[test_random_below(random, COUNT(churn_forms))];
	(void)snprintf(text, size, form, (int)test_random_below(random, 4),
		(int)test_random_below(random, 1000));
}
#pragma GCC diagnostic pop

static void churn_documents(struct trial *trial, struct test_random *random)
{
	for (int i = 0; i < 4; i++) {
		char document[200];
		(void)snprintf(document, sizeof(document),
			"{\"a\":%d,\"b\":%d,\"c\":%d,\"l\":[%d,1,1],\"m\":[%d]}",
			(int)test_random_below(random, 1000), (int)test_random_below(random, 4),
			(int)test_random_below(random, 1000), (int)test_random_below(random, 4),
			(int)test_random_below(random, 1000));
		trial_document(trial, document);
	}
}

/* Few queries in each order of removal that there is: what is left is found after each. */
static void test_every_order_of_removal(void **state)
{
	(void)state;
	static const char *const texts[] = {"b == 1 && a > 1", "b == 1 && a > 2",
		"b == 1 && c == 1", "b == 1 || a > 1", "a in [1, 2, 3]"};
	enum { TEXTS = COUNT(texts) };
	for (int order = 0; order < 5 * 4 * 3 * 2; order++) {
		struct trial trial;
		trial_open(&trial, 1);
		for (size_t i = 0; i < TEXTS; i++) {
			trial_add(&trial, texts[i]);
		}
		int rest = order;
		while (trial.count > 0) {
			trial_document(&trial, "{\"a\":3,\"b\":1,\"c\":1}");
			trial_document(&trial, "{\"a\":2,\"b\":1,\"c\":2}");
			size_t place = (size_t)rest % trial.count;
			rest /= (int)trial.count;
			trial_remove(&trial, place);
		}
		trial_close(&trial);
	}
}

static void test_crowds_come_and_go(void **state)
{
	(void)state;
	struct test_random random = test_random_start("crowds");
	static const size_t sizes[] = {20, 300, 20000};
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct trial trial;
		trial_open(&trial, test_random_next(&random));
		for (int wave = 0; wave < 3; wave++) {
			size_t target = wave == 1 ? sizes[i] / 10 : sizes[i];
			while (trial.count != target) {
				char text[200];
				churn_text(&random, text, sizeof(text));
				if (trial.count < target || test_random_below(&random, 4) == 0) {
					trial_add(&trial, text);
				} else {
					trial_remove(
						&trial, test_random_below(&random, trial.count));
				}
			}
			churn_documents(&trial, &random);
		}
		while (trial.count > 10) {
			trial_remove(&trial, test_random_below(&random, trial.count));
		}
		churn_documents(&trial, &random);
		assert_true(trial.hits > 0);
		trial_close(&trial);
	}
}

/* ---- hostile documents ----------------------------------------------------------------------- */

#define MEGABYTE ((size_t)1 << 20)

/* Room that one document makes match take, above what it has before. */
static size_t room_for(struct meter *meter, struct crowd *crowd, struct event *event)
{
	const struct match_hit *hits = NULL;
	size_t count = 0;
	meter->peak = meter->live;
	size_t before = meter->live;
	assert_int_equal(match_events(crowd->match, &event, 1, &hits, &count), OK);
	return meter->peak - before;
}

/* {"a":[item,item,...]} */
static struct event *list_event(const char *item, int count)
{
	struct buffer text = {0};
	assert_int_equal(buffer_append_text(&text, "{\"a\":["), OK);
	for (int i = 0; i < count; i++) {
		assert_int_equal(buffer_printf(&text, "%s%s", i > 0 ? "," : "", item), OK);
	}
	assert_int_equal(buffer_printf(&text, "]}%c", '\0'), OK);
	struct event *event = rig_event(MODEL_UPDATE, "d", "c", "u1", text.data);
	buffer_fini(&text);
	return event;
}

/* An element that stands there a hundred thousand times leads to its queries once. */
static void test_a_repeated_element_leads_once(void **state)
{
	(void)state;
	struct meter meter = {0};
	struct crowd crowd;
	mem_set_hook(meter_hook, &meter);
	crowd_open(&crowd, 1001);
	crowd_fill(&crowd, "'x' in a && b != %d", 1000);
	crowd_add(&crowd, "'x' in a");
	struct event *event = list_event("\"x\"", 100000);
	size_t room = room_for(&meter, &crowd, event);
	event_unref(event);
	crowd_close(&crowd);
	mem_set_hook(NULL, NULL);
	assert_int_equal(meter.live, 0);
	if (room > 40 * MEGABYTE) {
		fail_msg("%zu bytes", room);
	}
}

/* Much within much, and many members: each value is looked up a bounded number of times. */
static void test_hostile_shapes(void **state)
{
	(void)state;
	struct buffer nested = {0};
	struct buffer members = {0};
	assert_int_equal(buffer_append_text(&nested, "{\"a\":"), OK);
	for (int i = 0; i < 900; i++) {
		assert_int_equal(buffer_append_text(&nested, "[[],"), OK);
	}
	for (int i = 0; i < (int)(MEGABYTE / 4); i++) {
		assert_int_equal(buffer_append_text(&nested, "[],"), OK);
	}
	assert_int_equal(buffer_append_text(&nested, "1"), OK);
	for (int i = 0; i < 900; i++) {
		assert_int_equal(buffer_append_text(&nested, "]"), OK);
	}
	assert_int_equal(buffer_printf(&nested, "}%c", '\0'), OK);
	assert_int_equal(buffer_append_text(&members, "{\"a\":{\"x\":1"), OK);
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(buffer_printf(&members, ",\"k\":%d,\"k%d\":{}", i, i), OK);
	}
	assert_int_equal(buffer_printf(&members, "}}%c", '\0'), OK);
	struct meter meter = {0};
	struct crowd crowd;
	mem_set_hook(meter_hook, &meter);
	crowd_open(&crowd, 1000);
	crowd_fill(&crowd, "%d in a", 100);
	crowd_fill(&crowd, "a == [%d]", 100);
	crowd_fill(&crowd, "a.k%d == 1", 100);
	crowd_fill(&crowd, "a.startsWith('%d')", 100);
	crowd_add(&crowd, "'k1999' in a");
	struct event *event = rig_event(MODEL_UPDATE, "d", "c", "u1", nested.data);
	assert_true(room_for(&meter, &crowd, event) < MEGABYTE);
	event_unref(event);
	event = rig_event(MODEL_UPDATE, "d", "c", "u1", members.data);
	assert_true(room_for(&meter, &crowd, event) < MEGABYTE);
	int64_t tried = 0;
	assert_int_equal(crowd_match(&crowd, members.data, &tried), 1);
	assert_int_equal(tried, 0);
	event_unref(event);
	crowd_close(&crowd);
	mem_set_hook(NULL, NULL);
	assert_int_equal(meter.live, 0);
	buffer_fini(&nested);
	buffer_fini(&members);
}

/* ---- the quota ------------------------------------------------------------------------------- */

static enum err ask(struct match *match, const char *text, struct match_refusal *ret_refusal,
	struct match_query **ret_query)
{
	const struct model_subscription subscription = {.database = bytes_of("d"),
		.collection = bytes_of("c"),
		.expression = bytes_of(text)};
	*ret_refusal = (struct match_refusal){0};
	return match_query_get(match, &subscription, ret_refusal, ret_query);
}

static void test_quota_of_residuals(void **state)
{
	(void)state;
	struct match_limits limits = test_match_limits;
	limits.residuals = 2;
	struct metrics metrics = {0};
	struct match *match = NULL;
	struct match_refusal refusal;
	struct match_query *queries[5] = {NULL};
	assert_int_equal(match_new(&limits, 1, NULL, &metrics, &match), OK);
	assert_int_equal(ask(match, "a != 1", &refusal, &queries[0]), OK);
	assert_int_equal(ask(match, "size(a) > 1", &refusal, &queries[1]), OK);
	assert_int_equal(metrics_get(&metrics, METRIC_residuals_active), 2);
	assert_int_equal(ask(match, "a != 2", &refusal, &queries[2]), ERR_LIMIT);
	assert_null(queries[2]);
	assert_int_equal(refusal.code, MODEL_REFUSED_LIMIT);
	assert_non_null(strstr(refusal.text, "residuals_max is 2"));
	assert_non_null(strstr(refusal.hint, "doc.kind == \"x\""));
	assert_int_equal(metrics_get(&metrics, METRIC_residuals_refused), 1);
	assert_int_equal(metrics_get(&metrics, METRIC_residuals_active), 2);
	assert_int_equal(metrics_get(&metrics, METRIC_queries_active), 2);
	/* the same again is nothing more, nor is what a value leads to */
	assert_int_equal(ask(match, "a != 1", &refusal, &queries[2]), OK);
	assert_ptr_equal(queries[2], queries[0]);
	assert_int_equal(ask(match, "a != 2 && b == 1", &refusal, &queries[3]), OK);
	assert_false(match_query_is_residual(queries[3]));
	match_query_put(match, queries[1]);
	assert_int_equal(ask(match, "a != 2", &refusal, &queries[1]), OK);
	assert_true(match_query_is_residual(queries[1]));
	assert_int_equal(ask(match, "a != 3", &refusal, &queries[4]), ERR_LIMIT);
	for (int i = 0; i < 4; i++) {
		match_query_put(match, queries[i]);
	}
	assert_int_equal(metrics_get(&metrics, METRIC_residuals_active), 0);
	match_free(match);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few_are_tried),
		cmocka_unit_test(test_crowded_equality_is_no_residual),
		cmocka_unit_test(test_trees_as_they_are_written),
		cmocka_unit_test(test_every_order_of_removal),
		cmocka_unit_test(test_crowds_come_and_go),
		cmocka_unit_test(test_a_repeated_element_leads_once),
		cmocka_unit_test(test_hostile_shapes),
		cmocka_unit_test(test_quota_of_residuals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
