/* subs: how many subscriptions a database may have, and how much memory one and all may take. */
#include "match_limits.h"
#include "match_rig.h"
#include "subs.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What the tables may grow by at once: a segment, and its like in the other tables. */
#define TABLES_GROW ((size_t)512 << 10)

static const struct subs_limits wide = {.id_bytes_max = 100,
	.per_stream_max = SIZE_MAX,
	.per_database_max = SIZE_MAX,
	.total_max = SIZE_MAX,
	.bytes_max = SIZE_MAX,
	.residuals_per_stream_max = SIZE_MAX};

struct bench {
	struct metrics metrics;
	struct match *match;
	struct subs *subs;
	struct arena arena;
	struct model_answer answer; /* the last */
};

static void bench_open(struct bench *bench, const struct subs_limits *limits, size_t one_bytes)
{
	struct match_limits of_match = test_match_limits;
	of_match.subscription_bytes = one_bytes;
	*bench = (struct bench){0};
	assert_int_equal(match_new(&of_match, 1, NULL, &bench->metrics, &bench->match), OK);
	assert_int_equal(subs_new(limits, 2, bench->match, &bench->metrics, &bench->subs), OK);
}

static int64_t metric(const struct bench *bench, enum metric metric)
{
	return metrics_get(&bench->metrics, metric);
}

static void bench_close(struct bench *bench)
{
	assert_int_equal(metric(bench, METRIC_subscriptions_bytes), subs_bytes(bench->subs));
	subs_free(bench->subs);
	assert_int_equal(metric(bench, METRIC_subscriptions_active), 0);
	assert_int_equal(metric(bench, METRIC_subscriptions_bytes), 0);
	assert_int_equal(metric(bench, METRIC_queries_active), 0);
	match_free(bench->match);
	arena_fini(&bench->arena);
}

static struct subs_stream *open_stream(struct bench *bench)
{
	struct subs_stream *stream = NULL;
	assert_int_equal(subs_stream_new(bench->subs, bench, &stream), OK);
	return stream;
}

static void close_stream(struct bench *bench, struct subs_stream *stream)
{
	subs_stream_free(bench->subs, stream);
	while (subs_sweep(bench->subs, 7)) {
	}
}

struct asked {
	const char *id, *database, *filters, *expression;
};

static bool add(struct bench *bench, struct subs_stream *stream, const struct asked *asked)
{
	const struct err_info nothing_found = {0};
	struct model_subscription subscription =
		rig_subscription(&bench->arena, asked->database, "c", asked->filters);
	subscription.id = bytes_of(asked->id);
	subscription.expression = bytes_of(asked->expression);
	subs_add(bench->subs, stream, &subscription, &nothing_found, &bench->answer);
	return bench->answer.refusal == MODEL_ACCEPTED;
}

static bool add_to(struct bench *bench, struct subs_stream *stream, const char *id,
	const char *database, const char *filters)
{
	return add(bench, stream, &(struct asked){id, database, filters, ""});
}

static void remove_id(struct bench *bench, struct subs_stream *stream, const char *id)
{
	assert_int_equal(subs_remove(bench->subs, stream, bytes_of(id)), OK);
}

static bool text_has(struct bytes text, const char *part)
{
	return memmem(text.data, text.size, part, strlen(part)) != NULL;
}

static void assert_limit(const struct bench *bench, const char *text)
{
	assert_int_equal(bench->answer.refusal, MODEL_REFUSED_LIMIT);
	if (!text_has(bench->answer.text, text)) {
		fail_msg("%.*s: no %s", BYTES_FORMAT(bench->answer.text), text);
	}
	assert_true(bench->answer.hint.size > 0);
}

/* ---- how many -------------------------------------------------------------------------------- */

static void test_quota_of_a_database(void **state)
{
	(void)state;
	struct bench bench;
	struct subs_limits limits = wide;
	limits.per_database_max = 3;
	bench_open(&bench, &limits, SIZE_MAX);
	struct subs_stream *a = open_stream(&bench);
	struct subs_stream *b = open_stream(&bench);
	assert_true(add_to(&bench, a, "1", "d", "x == 1"));
	assert_true(add_to(&bench, a, "2", "d", "x == 1"));
	assert_true(add_to(&bench, b, "1", "d", "x == 2"));
	/* whichever stream asks */
	assert_false(add_to(&bench, a, "3", "d", "x == 1"));
	assert_limit(&bench, "this database: database_subscriptions_max is 3");
	assert_false(add_to(&bench, b, "3", "d", "x == 3"));
	assert_int_equal(metric(&bench, METRIC_database_subscriptions_refused), 2);
	assert_int_equal(metric(&bench, METRIC_subscribes_refused), 2);
	assert_int_equal(metric(&bench, METRIC_queries_active), 2);
	/* others have their own; a name that begins alike is another */
	assert_true(add_to(&bench, a, "3", "e", "x == 1"));
	assert_true(add_to(&bench, a, "4", "dd", "x == 1"));
	/* a place is free when one goes, by itself or with its stream */
	remove_id(&bench, a, "2");
	assert_true(add_to(&bench, b, "2", "d", "x == 1"));
	assert_false(add_to(&bench, b, "3", "d", "x == 1"));
	close_stream(&bench, b);
	assert_true(add_to(&bench, a, "5", "d", "x == 1"));
	assert_true(add_to(&bench, a, "6", "d", "x == 1"));
	assert_false(add_to(&bench, a, "7", "d", "x == 1"));
	close_stream(&bench, a);
	bench_close(&bench);
}

static void test_each_quota_counts_its_own(void **state)
{
	(void)state;
	struct bench bench;
	struct subs_limits limits = wide;
	limits.per_stream_max = 1;
	limits.total_max = 2;
	bench_open(&bench, &limits, SIZE_MAX);
	struct subs_stream *streams[] = {
		open_stream(&bench), open_stream(&bench), open_stream(&bench)};
	assert_true(add_to(&bench, streams[0], "1", "d", ""));
	assert_false(add_to(&bench, streams[0], "2", "d", ""));
	assert_limit(&bench, "this stream: stream_subscriptions_max is 1");
	assert_true(add_to(&bench, streams[1], "1", "d", ""));
	assert_false(add_to(&bench, streams[2], "1", "d", ""));
	assert_limit(&bench, "too many subscriptions: subscriptions_max is 2");
	assert_int_equal(metric(&bench, METRIC_stream_subscriptions_refused), 1);
	assert_int_equal(metric(&bench, METRIC_subscriptions_refused), 1);
	assert_int_equal(metric(&bench, METRIC_database_subscriptions_refused), 0);
	for (size_t i = 0; i < COUNT(streams); i++) {
		close_stream(&bench, streams[i]);
	}
	bench_close(&bench);
}

/* ---- how much -------------------------------------------------------------------------------- */

/* `x in ["a0", "a1", ...]` of so many. */
static char *make_in(size_t count)
{
	struct buffer text = {0};
	assert_int_equal(buffer_append_text(&text, "x in ["), OK);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(buffer_printf(&text, "%s\"a%zu\"", i > 0 ? "," : "", i), OK);
	}
	assert_int_equal(buffer_append_text(&text, "]"), OK);
	assert_int_equal(buffer_reserve(&text, 1), OK);
	text.data[text.size] = '\0';
	return text.data;
}

/* A refusal leaves nothing behind: no query, no predicate, no byte. */
static void test_one_that_takes_too_much(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide, 20000);
	struct subs_stream *stream = open_stream(&bench);
	char *small = make_in(20);
	char *large = make_in(2000);
	assert_true(add_to(&bench, stream, "1", "d", small));
	size_t bytes = 0;
	for (int i = 0; i < 10; i++) {
		assert_false(add_to(&bench, stream, "2", "d", large));
		assert_limit(&bench, "subscription_bytes_max is 20000");
		bytes = i < 5 ? subs_bytes(bench.subs) : bytes; /* room to compile stays */
		assert_int_equal(subs_bytes(bench.subs), bytes);
	}
	assert_int_equal(metric(&bench, METRIC_subscription_bytes_refused), 10);
	assert_int_equal(metric(&bench, METRIC_subscribes_refused), 10);
	assert_int_equal(metric(&bench, METRIC_queries_active), 1);
	assert_int_equal(subs_stream_count(stream), 1);
	assert_true(add_to(&bench, stream, "2", "d", small));
	mem_free(small);
	mem_free(large);
	close_stream(&bench, stream);
	bench_close(&bench);
}

/* What the refusal says that it would take. */
static size_t weight_of(const struct asked *asked)
{
	struct bench bench;
	bench_open(&bench, &wide, 0);
	struct subs_stream *stream = open_stream(&bench);
	assert_false(add(&bench, stream, asked));
	assert_limit(&bench, "subscription_bytes_max is 0");
	const char *number =
		memmem(bench.answer.text.data, bench.answer.text.size, "about ", strlen("about "));
	assert_non_null(number);
	size_t weight = strtoull(number + strlen("about "), NULL, 10);
	close_stream(&bench, stream);
	bench_close(&bench);
	return weight;
}

/* What it takes where there is nothing to share, but all tables are there. */
static size_t measure(const struct asked *asked)
{
	struct bench bench;
	bench_open(&bench, &wide, SIZE_MAX);
	struct subs_stream *stream = open_stream(&bench);
	for (int i = 0; i < 5; i++) { /* and the room to compile has its size */
		assert_true(add(&bench, stream, asked));
		remove_id(&bench, stream, asked->id);
	}
	size_t before = subs_bytes(bench.subs);
	assert_true(add(&bench, stream, asked));
	size_t bytes = subs_bytes(bench.subs) - before;
	remove_id(&bench, stream, asked->id);
	/* The tables may have other shapes: their hashes are of addresses. */
	assert_true(subs_bytes(bench.subs) < before + 8192);
	assert_true(before < subs_bytes(bench.subs) + 8192);
	close_stream(&bench, stream);
	bench_close(&bench);
	return bytes;
}

static void test_weights_are_about_true(void **state)
{
	(void)state;
	char *in = make_in(300);
	char *long_in = make_in(5000);
	const struct asked rows[] = {
		{"i", "d", "", ""},
		{"i", "d", "room == \"a\"", ""},
		{"a-rather-long-id-of-a-subscription-that-somebody-has-chosen", "d",
			"a.b.c.d.e == \"a text of some length, of which a copy is made\"", ""},
		{"i", "d", "a == 1 & b == 2 & c == 3 & e > 4 & f != 5", "g.startsWith('h')"},
		{"i", "d", "tags contains \"x\" & n > 1 & n < 9", ""},
		{"i", "d", in, ""},
		{"i", "d", long_in, ""},
		{"i", "d", "", "a == 1 || b == 2 || c == 3 || !(e == 4 && f == 5)"},
		{"i", "d", "", "doc.a.matches('^[a-z]+[0-9]{3,9}$') && size(doc.b) > 3"},
		{"i", "d", "", "doc.list.exists(x, x.name == 'n' && x.size * 3 > 7)"},
		{"i", "d", "", "_id in ['u1', 'u2', 'u3', 'u4']"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t weight = weight_of(&rows[i]);
		size_t bytes = measure(&rows[i]);
		print_message("%.60s%.60s: said %zu, took %zu\n", rows[i].filters,
			rows[i].expression, weight, bytes);
		assert_true(bytes <= weight + weight / 4 + 1024);
		assert_true(weight <= bytes * 3 + 2048);
	}
	mem_free(in);
	mem_free(long_in);
}

static void test_all_that_take_too_much(void **state)
{
	(void)state;
	enum { MOST = 4 << 20 };
	struct bench bench;
	struct subs_limits limits = wide;
	limits.bytes_max = MOST;
	bench_open(&bench, &limits, SIZE_MAX);
	struct subs_stream *stream = open_stream(&bench);
	char text[64];
	char id[32];
	size_t count = 0;
	for (;; count++) {
		(void)snprintf(text, sizeof(text), "x == \"%zu\"", count);
		(void)snprintf(id, sizeof(id), "%zu", count);
		if (!add_to(&bench, stream, id, "d", text)) {
			break;
		}
		assert_true(subs_bytes(bench.subs) < MOST + TABLES_GROW);
	}
	assert_limit(&bench, "too much memory: subscriptions_bytes_max is 4194304");
	assert_int_equal(metric(&bench, METRIC_subscriptions_bytes_refused), 1);
	assert_true(count > 4000);
	assert_int_equal(metric(&bench, METRIC_subscriptions_active), count);
	/* what is there lives on, and what goes makes room */
	assert_int_equal(subs_stream_count(stream), count);
	for (size_t i = 0; i < count / 2; i++) {
		(void)snprintf(id, sizeof(id), "%zu", i);
		remove_id(&bench, stream, id);
	}
	assert_true(subs_bytes(bench.subs) < MOST * 3 / 4);
	assert_true(add_to(&bench, stream, "again", "d", "x == \"again\""));
	close_stream(&bench, stream);
	assert_true(subs_bytes(bench.subs) < 64 << 10);
	assert_int_equal(subs_bytes(bench.subs), metric(&bench, METRIC_subscriptions_bytes));
	bench_close(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quota_of_a_database),
		cmocka_unit_test(test_each_quota_counts_its_own),
		cmocka_unit_test(test_one_that_takes_too_much),
		cmocka_unit_test(test_weights_are_about_true),
		cmocka_unit_test(test_all_that_take_too_much),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
