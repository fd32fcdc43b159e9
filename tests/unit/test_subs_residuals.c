/* subs: how many queries that no value leads to one stream may have. */
#include "match_limits.h"
#include "subs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct bench {
	struct metrics metrics;
	struct match *match;
	struct subs *subs;
	struct model_answer answer; /* the last */
};

static void bench_open(struct bench *bench, uint32_t in_all, size_t per_stream)
{
	struct match_limits limits = test_match_limits;
	limits.residuals = in_all;
	const struct subs_limits wide = {.id_bytes_max = 100,
		.per_stream_max = SIZE_MAX,
		.per_database_max = SIZE_MAX,
		.total_max = SIZE_MAX,
		.bytes_max = SIZE_MAX,
		.residuals_per_stream_max = per_stream};
	*bench = (struct bench){0};
	assert_int_equal(match_new(&limits, 1, NULL, &bench->metrics, &bench->match), OK);
	assert_int_equal(subs_new(&wide, 2, bench->match, &bench->metrics, &bench->subs), OK);
}

static void bench_close(struct bench *bench)
{
	subs_free(bench->subs);
	assert_int_equal(metrics_get(&bench->metrics, METRIC_residuals_active), 0);
	assert_int_equal(metrics_get(&bench->metrics, METRIC_queries_active), 0);
	match_free(bench->match);
}

static struct subs_stream *open_stream(struct bench *bench)
{
	struct subs_stream *stream = NULL;
	assert_int_equal(subs_stream_new(bench->subs, bench, &stream), OK);
	return stream;
}

static bool add_with(struct bench *bench, struct subs_stream *stream, const char *id,
	const char *text, bool is_bare)
{
	const struct err_info nothing_found = {0};
	const struct model_subscription subscription = {.id = bytes_of(id),
		.database = bytes_of("d"),
		.collection = bytes_of("c"),
		.expression = bytes_of(text),
		.omit_document = is_bare};
	subs_add(bench->subs, stream, &subscription, &nothing_found, &bench->answer);
	return bench->answer.refusal == MODEL_ACCEPTED;
}

static bool add(struct bench *bench, struct subs_stream *stream, const char *id, const char *text)
{
	return add_with(bench, stream, id, text, false);
}

static bool text_has(struct bytes text, const char *part)
{
	return memmem(text.data, text.size, part, strlen(part)) != NULL;
}

static void remove_id(struct bench *bench, struct subs_stream *stream, const char *id)
{
	assert_int_equal(subs_remove(bench->subs, stream, bytes_of(id)), OK);
}

static void test_quota_of_one_stream(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, 100, 2);
	struct subs_stream *a = open_stream(&bench);
	struct subs_stream *b = open_stream(&bench);
	assert_true(add(&bench, a, "1", "x != 1"));
	assert_true(add(&bench, a, "2", "x != 2"));
	assert_false(add(&bench, a, "3", "x != 3"));
	assert_int_equal(bench.answer.refusal, MODEL_REFUSED_LIMIT);
	assert_true(text_has(bench.answer.text, "stream_residuals_max is 2"));
	assert_true(text_has(bench.answer.hint, "doc.kind == \"x\""));
	assert_int_equal(metrics_get(&bench.metrics, METRIC_residuals_refused), 1);
	assert_int_equal(metrics_get(&bench.metrics, METRIC_residuals_active), 2);
	/* what it has already, what a value leads to, and what another stream asks */
	assert_true(add(&bench, a, "4", "x != 2"));
	assert_true(add(&bench, a, "5", "x == 3"));
	assert_true(add(&bench, b, "1", "x != 3"));
	/* the query goes with the last that asks for it */
	remove_id(&bench, a, "2");
	assert_false(add(&bench, a, "6", "x != 4"));
	remove_id(&bench, a, "4");
	assert_true(add(&bench, a, "6", "x != 4"));
	assert_false(add(&bench, a, "7", "x != 5"));
	/* with the document and without it is once */
	assert_true(add_with(&bench, a, "8", "x != 4", true));
	remove_id(&bench, a, "1");
	assert_true(add_with(&bench, a, "9", "x != 5", true));
	remove_id(&bench, a, "6");
	assert_false(add(&bench, a, "10", "x != 6"));
	remove_id(&bench, a, "8");
	assert_true(add(&bench, a, "10", "x != 6"));
	assert_false(add(&bench, a, "11", "x != 7"));
	subs_stream_free(bench.subs, a);
	subs_stream_free(bench.subs, b);
	assert_false(subs_sweep(bench.subs, 100));
	bench_close(&bench);
}

/* So many streams behind one query that most of their holders are in the map. */
static void test_quota_of_many_streams(void **state)
{
	enum { STREAMS = 20 };
	(void)state;
	struct bench bench;
	struct subs_stream *streams[STREAMS];
	bench_open(&bench, 100, 1);
	for (size_t i = 0; i < STREAMS; i++) {
		streams[i] = open_stream(&bench);
		assert_true(add_with(&bench, streams[i], "1", "x != 1", i % 2 == 0));
		assert_true(add_with(&bench, streams[i], "2", "x != 1", i % 2 == 1));
		assert_false(add(&bench, streams[i], "3", "x != 2"));
	}
	for (size_t i = 0; i < STREAMS; i++) {
		remove_id(&bench, streams[i], "1");
		assert_false(add(&bench, streams[i], "3", "x != 2"));
		remove_id(&bench, streams[i], "2");
		assert_true(add(&bench, streams[i], "3", "x != 2"));
		assert_false(add(&bench, streams[i], "4", "x != 1"));
		subs_stream_free(bench.subs, streams[i]);
	}
	bench_close(&bench);
}

static void test_quota_in_all_is_freed_by_a_streams_end(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, 2, 100);
	struct subs_stream *a = open_stream(&bench);
	struct subs_stream *b = open_stream(&bench);
	assert_true(add(&bench, a, "1", "x != 1"));
	assert_true(add(&bench, a, "2", "x != 2"));
	assert_false(add(&bench, b, "1", "x != 3"));
	assert_int_equal(bench.answer.refusal, MODEL_REFUSED_LIMIT);
	assert_true(text_has(bench.answer.text, "residuals_max is 2"));
	assert_true(bench.answer.hint.size > 0);
	assert_true(add(&bench, b, "1", "x != 1"));
	subs_stream_free(bench.subs, a);
	assert_false(subs_sweep(bench.subs, 100));
	assert_int_equal(metrics_get(&bench.metrics, METRIC_residuals_active), 1);
	assert_true(add(&bench, b, "2", "x != 3"));
	assert_false(add(&bench, b, "3", "x != 4"));
	subs_stream_free(bench.subs, b);
	assert_false(subs_sweep(bench.subs, 100));
	bench_close(&bench);
}

static void test_quota_of_none(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, 100, 0);
	struct subs_stream *stream = open_stream(&bench);
	assert_false(add(&bench, stream, "1", "x != 1"));
	assert_true(add(&bench, stream, "1", "x == 1"));
	assert_int_equal(metrics_get(&bench.metrics, METRIC_residuals_active), 0);
	subs_stream_free(bench.subs, stream);
	assert_false(subs_sweep(bench.subs, 100));
	bench_close(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quota_of_one_stream),
		cmocka_unit_test(test_quota_of_many_streams),
		cmocka_unit_test(test_quota_in_all_is_freed_by_a_streams_end),
		cmocka_unit_test(test_quota_of_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
