/*
 * match: random expressions that come and go, some hundred at a time, over random documents in
 * batches, against the program that each expression is. TEST_ROUNDS makes it longer: a round is one
 * batch; 1,200 rounds compare about a million pairs.
 */
#include "match.h"

#include "match_random.h"
#include "match_trial.h"

enum { LIVE_MAX = 300, LIFE = 100, ROUNDS = 400, DEPTH = 3 };

/*
 * What lists grow long by: few fields and many constants, beside what is taken from everywhere. An
 * expression that the language refuses is not counted.
 */
static void add(struct trial *trial, struct test_random *random)
{
	static const char *const crowded[] = {"b == 1 && %s", "a == 1 && (%s)", "a > 0 && (%s)",
		"has(doc.b) && (%s)", "b in [1, 'a'] && a >= -1 && (%s)",
		"n.x > 0 && n.x < 3 && (%s)", "(a == 1 || b == 1) && (%s)"};
	char text[2000] = "";
	char joined[2100] = "";
	size_t kind = test_random_below(random, 2 * RANDOM_COUNT(crowded));
	random_put_expression(
		random, (int)test_random_below(random, DEPTH + 1), text, sizeof(text));
	if (kind >= RANDOM_COUNT(crowded)) {
		(void)trial_try(trial, text);
		return;
	}
	const char *hole = strstr(crowded[kind], "%s");
	(void)snprintf(joined, sizeof(joined), "%.*s%s%s", (int)(hole - crowded[kind]),
		crowded[kind], text, hole + 2);
	(void)trial_try(trial, joined);
}

static void churn(struct trial *trial, struct test_random *random)
{
	size_t changes = test_random_below(random, 60);
	for (size_t i = 0; i < changes; i++) {
		size_t place = test_random_below(random, LIVE_MAX);
		if (place < trial->count) {
			trial_remove(trial, place);
		} else {
			add(trial, random);
		}
	}
}

static void look(struct trial *trial, struct test_random *random)
{
	struct event *events[MATCH_BATCH_MAX];
	size_t count = 1 + test_random_below(random, MATCH_BATCH_MAX);
	for (size_t i = 0; i < count; i++) {
		events[i] = random_event(random);
	}
	trial_events(trial, events, count);
	for (size_t i = 0; i < count; i++) {
		event_unref(events[i]);
	}
}

static void test_random_churn(void **state)
{
	(void)state;
	const char *given = getenv("TEST_ROUNDS");
	unsigned long rounds = given ? strtoul(given, NULL, 10) : ROUNDS;
	struct test_random random = test_random_start("churn");
	uint64_t pairs = 0;
	uint64_t hits = 0;
	for (unsigned long i = 0; i < rounds; i += LIFE) {
		struct trial trial;
		trial_open(&trial, test_random_next(&random));
		for (unsigned long k = 0; k < LIFE && i + k < rounds; k++) {
			churn(&trial, &random);
			look(&trial, &random);
		}
		pairs += trial.pairs;
		hits += trial.hits;
		trial_close(&trial);
	}
	(void)fprintf(stderr, "%llu pairs, %llu hits\n", (unsigned long long)pairs,
		(unsigned long long)hits);
	assert_true(hits > rounds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_churn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
