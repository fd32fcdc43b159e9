/*
 * match: with every way of being filed, each allocation of a life fails once: what was there still
 * works, what was refused leaves no trace, and nothing is lost or leaked.
 */
#include "match.h"

#include "failing.h"
#include "match_limits.h"
#include "match_rig.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define X10 "xxxxxxxxxx"
#define X70 X10 X10 X10 X10 X10 X10 X10

static const char *const texts[] = {"true", "false", "a == 1", "a == 9007199254740993",
	"a in [1, 'x', 9007199254740992, 9007199254740993]", "a in [[1], {}]", "1 in l", "'k' in n",
	"s.startsWith('x')", "s.startsWith('" X70 "')", "a > 0", "a > 0 && a < 3",
	"s > 'x' && s < 'y'", "f > false", "has(doc.a)", "!has(doc.zz)", "a != 2",
	"n.k.i == 1 || s == 'x'", "(a == 1) != (f == false)", "(a == 1) == (f == true)",
	"size(l) > 1", "size(l) > 1 && a == 9007199254740993", "_id == 'u1'",
	"_id in ['u1', 'u2'] && a > 0", "_id == 'u1' || a == 3", "b == 1 && a > 0",
	"b == 1 && s > 'w'", "(b == 1 || a == 7) && a > -9"};
static const char document[] = "{\"a\":1,\"b\":1,\"s\":\"" X70 "\",\"f\":true,\"l\":[1,2,1],"
			       "\"n\":{\"k\":{\"i\":1}}}";

/*
 * Behind them, so many of a range at the root, and then so many that rather stand under `b == 1`:
 * its list grows long, and is emptied into ranges.
 */
enum { AT_ROOT = 40, UNDER_KEY = 20, ALL = COUNT(texts) + AT_ROOT + UNDER_KEY };

static const char *text_at(size_t place, char *room, size_t size)
{
	if (place < COUNT(texts)) {
		return texts[place];
	}
	bool is_at_root = place < COUNT(texts) + AT_ROOT;
	(void)snprintf(room, size, "%sa > -%zu", is_at_root ? "" : "b == 1 && ", place);
	return room;
}

struct life {
	struct failing failing;
	bool has_failed; /* the failure has been met: from then on there is memory */
	struct match *match;
	struct match_query *queries[ALL];
	size_t count;
	size_t expected; /* hits of the event */
};

static void meet(struct life *life, enum err err)
{
	assert_int_equal(err, ERR_MEMORY);
	assert_false(life->has_failed);
	life->has_failed = true;
	life->failing.fail_at = SIZE_MAX - 1;
}

static void look(struct life *life, struct event *event)
{
	struct event *batch[] = {event, event};
	const struct match_hit *hits = NULL;
	size_t count = 0;
	enum err err = match_events(life->match, batch, COUNT(batch), &hits, &count);
	if (err != OK) {
		assert_null(hits);
		meet(life, err);
		err = match_events(life->match, batch, COUNT(batch), &hits, &count);
	}
	assert_int_equal(err, OK);
	assert_int_equal(count, life->expected * COUNT(batch));
}

static void ask(struct life *life, const char *text)
{
	const struct model_subscription subscription = {.database = bytes_of("d"),
		.collection = bytes_of("c"),
		.expression = bytes_of(text)};
	struct match_refusal refusal = {0};
	struct match_query *query = NULL;
	enum err err = match_query_get(life->match, &subscription, &refusal, &query);
	if (err != OK) {
		assert_null(query);
		assert_int_equal(refusal.code, MODEL_ACCEPTED);
		meet(life, err);
		err = match_query_get(life->match, &subscription, &refusal, &query);
	}
	assert_int_equal(err, OK);
	life->queries[life->count++] = query;
}

/* Queries come, half of them go, they come again, and all go. */
static void live(struct life *life, struct metrics *metrics, struct event *event)
{
	enum err err = match_new(&test_match_limits, 5, NULL, metrics, &life->match);
	if (err != OK) {
		meet(life, err);
		assert_null(life->match);
		return;
	}
	for (int turn = 0; turn < 2; turn++) {
		while (life->count < ALL) {
			char room[60];
			ask(life, text_at(life->count, room, sizeof(room)));
			struct match_query *query = life->queries[life->count - 1];
			life->expected += match_query_holds(life->match, query, event);
			look(life, event);
		}
		while (life->count > ALL / 2) {
			struct match_query *query = life->queries[--life->count];
			life->expected -= match_query_holds(life->match, query, event);
			match_query_put(life->match, query);
		}
		look(life, event);
	}
	while (life->count > 0) {
		match_query_put(life->match, life->queries[--life->count]);
	}
	match_free(life->match);
}

static void test_each_allocation_fails_once(void **state)
{
	(void)state;
	struct event *event = rig_event(MODEL_UPDATE, "d", "c", "u1", document);
	size_t fail_at = 0;
	for (bool failed = true; failed; fail_at++) {
		static struct life life;
		struct metrics metrics = {0};
		life = (struct life){0};
		failing_start(&life.failing, fail_at);
		live(&life, &metrics, event);
		/* some failures are swallowed: then a list stays longer than it need be */
		failed = life.has_failed || failing_stop(&life.failing);
		(void)failing_stop(&life.failing);
		assert_int_equal(life.failing.live, 0);
		assert_int_equal(metrics_get(&metrics, METRIC_queries_active), 0);
		assert_int_equal(metrics_get(&metrics, METRIC_residuals_active), 0);
	}
	assert_true(fail_at > 3 * COUNT(texts));
	event_unref(event);
}

/* What a lack of memory changes is nothing: neither what is a residual nor what is refused. */
static void test_residuals_are_the_same_without_memory(void **state)
{
	(void)state;
	for (size_t fail_at = 0; fail_at < 200; fail_at++) {
		for (size_t i = 0; i < COUNT(texts); i++) {
			struct match *match = NULL;
			struct failing failing;
			struct match_refusal refusal = {0};
			struct match_query *queries[2] = {NULL, NULL};
			const struct model_subscription subscription = {.database = bytes_of("d"),
				.collection = bytes_of("c"),
				.expression = bytes_of(texts[i])};
			assert_int_equal(match_new(&test_match_limits, 5, NULL, NULL, &match), OK);
			assert_int_equal(
				match_query_get(match, &subscription, &refusal, &queries[0]), OK);
			bool is_residual = match_query_is_residual(queries[0]);
			match_query_put(match, queries[0]);
			failing_start(&failing, fail_at);
			enum err err = match_query_get(match, &subscription, &refusal, &queries[1]);
			(void)failing_stop(&failing);
			if (err == OK) {
				assert_int_equal(match_query_is_residual(queries[1]), is_residual);
			} else {
				assert_int_equal(err, ERR_MEMORY);
			}
			match_free(match);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_allocation_fails_once),
		cmocka_unit_test(test_residuals_are_the_same_without_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
