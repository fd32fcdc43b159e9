/* subs through its header, and match's for the queries: who stands behind which query. */
#include "failing.h"
#include "match_limits.h"
#include "random.h"
#include "subs.h"
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct err_info nothing_found = {0};
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
	struct model_answer answer; /* the last */
};

static enum err bench_try(struct bench *bench, const struct subs_limits *limits)
{
	*bench = (struct bench){0};
	enum err err = match_new(&test_match_limits, 1, NULL, &bench->metrics, &bench->match);
	if (err == OK) {
		err = subs_new(limits, 2, bench->match, &bench->metrics, &bench->subs);
	}
	return err;
}

static void bench_open(struct bench *bench, const struct subs_limits *limits)
{
	assert_int_equal(bench_try(bench, limits), OK);
}

static void bench_close(struct bench *bench)
{
	subs_free(bench->subs);
	assert_int_equal(metrics_get(&bench->metrics, METRIC_subscriptions_active), 0);
	assert_int_equal(metrics_get(&bench->metrics, METRIC_queries_active), 0);
	match_free(bench->match);
}

static struct subs_stream *open_stream(struct bench *bench, void *handle)
{
	struct subs_stream *stream = NULL;
	assert_int_equal(subs_stream_new(bench->subs, handle, &stream), OK);
	return stream;
}

static struct model_subscription about(const char *id, const char *collection)
{
	return (struct model_subscription){
		.id = bytes_of(id), .database = bytes_of("d"), .collection = bytes_of(collection)};
}

static enum model_refusal add(
	struct bench *bench, struct subs_stream *stream, const char *id, const char *collection)
{
	const struct model_subscription subscription = about(id, collection);
	subs_add(bench->subs, stream, &subscription, &nothing_found, &bench->answer);
	return bench->answer.refusal;
}

static enum model_refusal ensure(struct bench *bench, struct subs_stream *stream,
	const struct model_subscription *subscription)
{
	subs_ensure(bench->subs, stream, subscription, &nothing_found, &bench->answer);
	assert_true(bytes_equal(bench->answer.id, subscription->id));
	return bench->answer.refusal;
}

static bool text_has(struct bytes text, const char *part)
{
	return memmem(text.data, text.size, part, strlen(part)) != NULL;
}

/* The whole collection's query; it must exist, and does not by this. */
static struct match_query *query_of(struct bench *bench, const char *collection)
{
	const struct model_subscription subscription = about("", collection);
	struct match_refusal refusal = {0};
	struct match_query *query = NULL;
	int64_t before = metrics_get(&bench->metrics, METRIC_queries_active);
	assert_int_equal(match_query_get(bench->match, &subscription, &refusal, &query), OK);
	assert_int_equal(metrics_get(&bench->metrics, METRIC_queries_active), before);
	match_query_put(bench->match, query);
	return query;
}

/* How often an id stands in the runs of a stream behind a query. */
static unsigned count_id(struct match_query *query, const void *handle, const char *id)
{
	unsigned count = 0;
	const struct subs_holder *holder = NULL;
	struct subs_run run;
	while ((holder = subs_next_run(query, holder, &run)) != NULL) {
		uint32_t ids = 0;
		struct bytes rest = subs_run_ids(&run);
		struct bytes found;
		while (wire_id_next(&rest, &found)) {
			ids++;
			count += run.handle == handle && bytes_equal(found, bytes_of(id));
		}
		assert_int_equal(ids, run.count);
		assert_true(ids > 0);
	}
	return count;
}

/* How many runs a stream has behind a query. */
static unsigned count_runs(struct match_query *query, const void *handle)
{
	unsigned count = 0;
	const struct subs_holder *holder = NULL;
	struct subs_run run;
	while ((holder = subs_next_run(query, holder, &run)) != NULL) {
		count += run.handle == handle;
	}
	return count;
}

/* All ids behind a query; `ret_longest` is the most of them in one run. */
static size_t count_ids(struct match_query *query, uint32_t *ret_longest)
{
	size_t count = 0;
	const struct subs_holder *holder = NULL;
	struct subs_run run;
	*ret_longest = 0;
	while ((holder = subs_next_run(query, holder, &run)) != NULL) {
		count += run.count;
		*ret_longest = run.count > *ret_longest ? run.count : *ret_longest;
	}
	return count;
}

static size_t count_all(struct match_query *query)
{
	uint32_t longest = 0;
	return count_ids(query, &longest);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void test_ids_belong_to_their_stream(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	char handles[2];
	struct subs_stream *one = open_stream(&bench, &handles[0]);
	struct subs_stream *two = open_stream(&bench, &handles[1]);
	assert_int_equal(add(&bench, one, "a", "users"), MODEL_ACCEPTED);
	assert_true(bytes_equal(bench.answer.id, bytes_of("a")));
	assert_int_equal(bench.answer.text.size, 0);
	assert_int_equal(add(&bench, one, "a", "users"), MODEL_REFUSED_DUPLICATE);
	assert_true(bytes_equal(bench.answer.id, bytes_of("a")));
	assert_true(bytes_equal(bench.answer.text, bytes_of("subscription ID already exists")));
	assert_int_equal(add(&bench, one, "a", "orders"), MODEL_REFUSED_DUPLICATE);
	assert_int_equal(add(&bench, two, "a", "users"), MODEL_ACCEPTED);
	assert_int_equal(add(&bench, one, "b", "users"), MODEL_ACCEPTED);
	assert_int_equal(subs_stream_count(one), 2);
	assert_int_equal(subs_stream_count(two), 1);

	struct match_query *query = query_of(&bench, "users");
	assert_int_equal(count_id(query, &handles[0], "a"), 1);
	assert_int_equal(count_id(query, &handles[1], "a"), 1);
	assert_int_equal(subs_remove(bench.subs, one, bytes_of("a")), OK);
	assert_int_equal(subs_remove(bench.subs, one, bytes_of("a")), ERR_NOT_FOUND);
	assert_int_equal(subs_remove(bench.subs, two, bytes_of("b")), ERR_NOT_FOUND);
	assert_int_equal(count_id(query, &handles[0], "a"), 0);
	assert_int_equal(count_id(query, &handles[1], "a"), 1);
	assert_int_equal(add(&bench, one, "a", "orders"), MODEL_ACCEPTED); /* it is free again */
	assert_int_equal(metrics_get(&bench.metrics, METRIC_subscribes), 4);
	assert_int_equal(metrics_get(&bench.metrics, METRIC_subscribes_refused), 2);
	assert_int_equal(metrics_get(&bench.metrics, METRIC_unsubscribes), 1);
	assert_int_equal(metrics_get(&bench.metrics, METRIC_subscriptions_active), 3);
	subs_stream_free(bench.subs, one);
	subs_stream_free(bench.subs, two);
	bench_close(&bench);
}

/* Ids that are alike are told apart, and each goes out as it came. */
static void test_ids_that_are_uuids(void **state)
{
	(void)state;
	static const char *const ids[] = {
		"0f1e2d3c-4b5a-4697-8877-665544332211",
		"0f1e2d3c-4b5a-4697-8877-665544332212",
		"0F1e2d3c-4b5a-4697-8877-665544332211", /* not as they are usually written */
		"0f1e2d3c-4b5a-4697-8877-66554433221g",
		"0f1e2d3c04b5a-4697-8877-665544332211",
		"0f1e2d3c-4b5a-4697-8877-6655443322-1",
		"0f1e2d3c-4b5a-4697-8877-66554433221",
		"0f1e2d3c-4b5a-4697-8877-6655443322111",
		"0123456789abcdef",
	};
	enum { COUNT = sizeof(ids) / sizeof(*ids) };
	struct bench bench;
	bench_open(&bench, &wide);
	int handle = 0;
	struct subs_stream *stream = open_stream(&bench, &handle);
	for (size_t i = 0; i < COUNT; i++) { /* in a run of several */
		assert_int_equal(add(&bench, stream, ids[i], "users"), MODEL_ACCEPTED);
		assert_int_equal(add(&bench, stream, ids[i], "users"), MODEL_REFUSED_DUPLICATE);
	}
	for (size_t i = 0; i < COUNT; i++) {
		assert_int_equal(count_id(query_of(&bench, "users"), &handle, ids[i]), 1);
		assert_int_equal(subs_remove(bench.subs, stream, bytes_of(ids[i])), OK);
		char collection[8];
		(void)snprintf(collection, sizeof(collection), "c%zu", i);
		assert_int_equal(add(&bench, stream, ids[i], collection), MODEL_ACCEPTED);
		assert_int_equal(count_id(query_of(&bench, collection), &handle, ids[i]), 1);
	}
	assert_int_equal(metrics_get(&bench.metrics, METRIC_queries_active), COUNT);
	assert_int_equal(subs_stream_count(stream), COUNT);
	subs_stream_free(bench.subs, stream);
	bench_close(&bench);
}

static void test_limits(void **state)
{
	(void)state;
	const struct subs_limits limits = {.id_bytes_max = 8,
		.per_stream_max = 2,
		.per_database_max = SIZE_MAX,
		.total_max = 3,
		.bytes_max = SIZE_MAX,
		.residuals_per_stream_max = 3};
	struct bench bench;
	bench_open(&bench, &limits);
	struct subs_stream *one = open_stream(&bench, &bench);
	struct subs_stream *two = open_stream(&bench, &bench);
	assert_int_equal(add(&bench, one, "12345678", "users"), MODEL_ACCEPTED);
	assert_int_equal(add(&bench, one, "123456789", "users"), MODEL_REFUSED_ID);
	assert_true(text_has(bench.answer.text, "9 bytes is too long; at most 8"));
	/* whole: by it the client finds what the answer is to */
	assert_true(bytes_equal(bench.answer.id, bytes_of("123456789")));
	assert_int_equal(add(&bench, one, "b", "users"), MODEL_ACCEPTED);
	assert_int_equal(add(&bench, one, "c", "users"), MODEL_REFUSED_LIMIT);
	assert_true(text_has(bench.answer.text, "stream_subscriptions_max is 2"));
	assert_true(bytes_equal(bench.answer.id, bytes_of("c")));
	assert_int_equal(add(&bench, one, "b", "users"), MODEL_REFUSED_DUPLICATE);
	assert_int_equal(add(&bench, two, "a", "users"), MODEL_ACCEPTED);
	assert_int_equal(add(&bench, two, "b", "users"), MODEL_REFUSED_LIMIT);
	assert_true(text_has(bench.answer.text, "subscriptions_max is 3"));
	assert_int_equal(subs_remove(bench.subs, one, bytes_of("b")), OK);
	assert_int_equal(add(&bench, two, "b", "users"), MODEL_ACCEPTED);
	subs_stream_free(bench.subs, one);
	subs_stream_free(bench.subs, two);
	bench_close(&bench);
}

/* Whatever is wrong with a request, an id that is taken is what the answer says. */
static void test_filters_that_cannot_be(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	struct subs_stream *stream = open_stream(&bench, &bench);
	const struct model_filter filters[] = {{.field = bytes_of("age"), .op = bytes_of("eq")}};
	struct model_subscription wrong = about("a", "users");
	wrong.filters = filters;
	wrong.filters_count = 1;
	subs_add(bench.subs, stream, &wrong, &nothing_found, &bench.answer);
	assert_int_equal(bench.answer.refusal, MODEL_REFUSED_FILTER);
	assert_int_equal(bench.answer.filter, 1);
	assert_true(text_has(bench.answer.text, "failed to compile filters: "));
	assert_int_equal(subs_stream_count(stream), 0);

	struct err_info found = {.code = ERR_LIMIT, .text = "too many filters"};
	const struct model_subscription good = about("a", "users");
	subs_add(bench.subs, stream, &good, &found, &bench.answer);
	assert_int_equal(bench.answer.refusal, MODEL_REFUSED_LIMIT);
	assert_true(bytes_equal(
		bench.answer.text, bytes_of("failed to compile filters: too many filters")));
	found.code = ERR_INVALID;
	subs_add(bench.subs, stream, &good, &found, &bench.answer);
	assert_int_equal(bench.answer.refusal, MODEL_REFUSED_FILTER);

	assert_int_equal(add(&bench, stream, "a", "users"), MODEL_ACCEPTED);
	subs_add(bench.subs, stream, &wrong, &found, &bench.answer);
	assert_int_equal(bench.answer.refusal, MODEL_REFUSED_DUPLICATE);
	subs_stream_free(bench.subs, stream);
	bench_close(&bench);
}

/* ---- asked for again ------------------------------------------------------------------------- */

static const struct value eighteen = {.kind = VALUE_INT, .as.integer = 18};
static const struct value first_room = {.kind = VALUE_INT, .as.integer = 1};
static const struct model_filter of_grown[] = {
	{.field = {"age", 3}, .op = {">", 1}, .value = &eighteen},
	{.field = {"room", 4}, .op = {"==", 2}, .value = &first_room}};

static struct model_subscription with_filters(const char *id, size_t count)
{
	struct model_subscription subscription = about(id, "users");
	subscription.filters = of_grown;
	subscription.filters_count = count;
	return subscription;
}

/* The same request, or another that says the same, changes nothing, even where nothing more fits.
 */
static void test_what_is_there_is_accepted_again(void **state)
{
	(void)state;
	static const char *const ids[] = {
		"a", "0f1e2d3c-4b5a-4697-8877-665544332211", "alone", "others"};
	struct subs_limits limits = wide;
	limits.per_stream_max = 4;
	struct bench bench;
	bench_open(&bench, &limits);
	char handles[2];
	struct subs_stream *stream = open_stream(&bench, &handles[0]);
	struct subs_stream *other = open_stream(&bench, &handles[1]);
	struct model_subscription all[4] = {about(ids[0], "users"), about(ids[1], "users"),
		with_filters(ids[2], 2), about(ids[3], "orders")};
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(ensure(&bench, stream, &all[i]), MODEL_ACCEPTED);
	}
	size_t bytes = subs_bytes(bench.subs);
	all[2].filters = NULL;
	all[2].filters_count = 0;
	all[2].expression = bytes_of("doc.room == 1 && 18 < doc.age");
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(ensure(&bench, stream, &all[i]), MODEL_ACCEPTED);
	}
	assert_int_equal(subs_stream_count(stream), 4);
	assert_int_equal(metrics_get(&bench.metrics, METRIC_subscriptions_active), 4);
	assert_int_equal(metrics_get(&bench.metrics, METRIC_subscribes), 8);
	assert_int_equal(metrics_get(&bench.metrics, METRIC_subscribes_refused), 0);
	assert_int_equal(metrics_get(&bench.metrics, METRIC_queries_active), 3);
	assert_true(subs_bytes(bench.subs) < bytes + 4096); /* what compiling keeps */
	assert_int_equal(count_all(query_of(&bench, "users")), 2);
	assert_int_equal(count_all(query_of(&bench, "orders")), 1);
	const struct model_subscription fifth = about("fifth", "users");
	assert_int_equal(ensure(&bench, stream, &fifth), MODEL_REFUSED_LIMIT);
	assert_int_equal(ensure(&bench, other, &all[0]), MODEL_ACCEPTED);
	assert_int_equal(count_all(query_of(&bench, "users")), 3);
	subs_stream_free(bench.subs, stream);
	subs_stream_free(bench.subs, other);
	bench_close(&bench);
}

/* What the id stands for stays, and what was asked for leaves nothing. */
static void test_another_query_is_a_duplicate(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	struct subs_stream *stream = open_stream(&bench, &bench);
	const struct model_subscription kept = with_filters("a", 1);
	assert_int_equal(ensure(&bench, stream, &kept), MODEL_ACCEPTED);
	struct model_subscription elsewhere = kept;
	elsewhere.collection = bytes_of("orders");
	struct model_subscription far = kept;
	far.database = bytes_of("e");
	struct model_subscription broken = with_filters("a", 0);
	broken.expression = bytes_of("doc.age >");
	const struct model_subscription others[] = {
		about("a", "users"), with_filters("a", 2), elsewhere, far, broken};
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		assert_int_equal(ensure(&bench, stream, &others[i]), MODEL_REFUSED_DUPLICATE);
		assert_int_equal(metrics_get(&bench.metrics, METRIC_queries_active), 1);
	}
	const struct err_info found = {.code = ERR_LIMIT, .text = "too many filters"};
	subs_ensure(bench.subs, stream, &kept, &found, &bench.answer);
	assert_int_equal(bench.answer.refusal, MODEL_REFUSED_DUPLICATE);
	assert_int_equal(metrics_get(&bench.metrics, METRIC_subscribes_refused), 6);
	assert_int_equal(subs_stream_count(stream), 1);
	assert_false(match_wants(bench.match, bytes_of("d"), bytes_of("orders")));
	assert_int_equal(ensure(&bench, stream, &kept), MODEL_ACCEPTED);
	subs_stream_free(bench.subs, stream);
	bench_close(&bench);
}

static void test_those_without_documents_are_runs_of_their_own(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	struct subs_stream *stream = open_stream(&bench, &bench);
	struct model_subscription asked[] = {
		about("a", "users"), about("b", "users"), about("c", "users"), about("d", "users")};
	for (size_t i = 0; i < 4; i++) {
		asked[i].omit_document = i % 2 == 1;
		assert_int_equal(ensure(&bench, stream, &asked[i]), MODEL_ACCEPTED);
		assert_int_equal(ensure(&bench, stream, &asked[i]), MODEL_ACCEPTED);
	}
	struct match_query *query = query_of(&bench, "users");
	const struct subs_holder *holder = NULL;
	struct subs_run run;
	unsigned runs = 0;
	while ((holder = subs_next_run(query, holder, &run)) != NULL) {
		struct bytes rest = subs_run_ids(&run);
		struct bytes id;
		while (wire_id_next(&rest, &id)) {
			assert_int_equal(run.is_bare, id.data[0] == 'b' || id.data[0] == 'd');
		}
		assert_int_equal(run.count, 2);
		runs++;
	}
	assert_int_equal(runs, 2);
	asked[0].omit_document = true; /* another wish for an id that is there */
	assert_int_equal(ensure(&bench, stream, &asked[0]), MODEL_REFUSED_DUPLICATE);
	assert_int_equal(subs_remove(bench.subs, stream, bytes_of("b")), OK);
	assert_int_equal(subs_remove(bench.subs, stream, bytes_of("d")), OK);
	assert_int_equal(count_runs(query, &bench), 1);
	assert_int_equal(count_all(query), 2);
	subs_stream_free(bench.subs, stream);
	bench_close(&bench);
}

/* Many streams behind one query, so that the holders are in the map too. */
static void test_a_map_tells_them_apart_too(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	char handles[20];
	struct subs_stream *streams[20];
	for (size_t i = 0; i < 20; i++) {
		streams[i] = open_stream(&bench, &handles[i]);
		for (size_t k = 0; k < 4; k++) {
			const char *const names[] = {"a", "b", "c", "d"};
			struct model_subscription asked = about(names[k], "users");
			asked.omit_document = k >= 2;
			assert_int_equal(ensure(&bench, streams[i], &asked), MODEL_ACCEPTED);
		}
	}
	struct match_query *query = query_of(&bench, "users");
	for (size_t i = 0; i < 20; i++) {
		assert_int_equal(count_runs(query, &handles[i]), 2);
		assert_int_equal(count_id(query, &handles[i], "c"), 1);
		subs_stream_free(bench.subs, streams[i]);
	}
	bench_close(&bench);
}

/* ---- streams that go ------------------------------------------------------------------------- */

/* Gone at once for whoever looks, in slices for memory. */
static void test_a_freed_stream_is_swept(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	char handles[3];
	struct subs_stream *streams[3];
	char id[32];
	for (size_t i = 0; i < 3; i++) {
		streams[i] = open_stream(&bench, &handles[i]);
		for (int k = 0; k < 1000; k++) {
			(void)snprintf(id, sizeof(id), "id-%d", k);
			assert_int_equal(add(&bench, streams[i], id, "users"), MODEL_ACCEPTED);
		}
	}
	struct match_query *query = query_of(&bench, "users");
	assert_int_equal(count_all(query), 3000);
	assert_false(subs_sweep(bench.subs, 1));
	subs_stream_free(bench.subs, streams[0]);
	subs_stream_free(bench.subs, streams[2]);
	assert_int_equal(count_all(query), 1000);
	assert_int_equal(count_id(query, &handles[1], "id-7"), 1);
	for (int left = 1900; left > 0; left -= 100) {
		assert_true(subs_sweep(bench.subs, 100));
		assert_int_equal(
			metrics_get(&bench.metrics, METRIC_subscriptions_active), 1000 + left);
		assert_int_equal(count_all(query), 1000);
	}
	/* the gateway comes back meanwhile, with its old ids */
	streams[0] = open_stream(&bench, &handles[0]);
	assert_int_equal(add(&bench, streams[0], "id-7", "users"), MODEL_ACCEPTED);
	assert_false(subs_sweep(bench.subs, 101));
	assert_int_equal(count_id(query, &handles[0], "id-7"), 1);
	assert_int_equal(count_all(query), 1001);
	subs_stream_free(bench.subs, streams[0]);
	subs_stream_free(bench.subs, streams[1]);
	subs_stream_free(bench.subs, NULL);
	bench_close(&bench); /* sweeps what is left */
}

/*
 * A hundred thousand clients of one gateway ask the same and leave, the last one first. A removal
 * looks through the one run that its id stands in, and no run grows with their number.
 */
static void test_many_ids_behind_one_query(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	enum { COUNT = 100000 };
	struct subs_stream *stream = open_stream(&bench, &bench);
	char id[64];
	for (int k = 0; k < COUNT; k++) {
		(void)snprintf(id, sizeof(id), "00000000-0000-4000-8000-%012d", k);
		assert_int_equal(add(&bench, stream, id, "users"), MODEL_ACCEPTED);
	}
	struct match_query *query = query_of(&bench, "users");
	uint32_t longest = 0;
	assert_int_equal(count_ids(query, &longest), COUNT);
	assert_true(longest > 1 && longest <= 200);
	for (int k = 0; k < COUNT; k += 2) {
		(void)snprintf(id, sizeof(id), "00000000-0000-4000-8000-%012d", COUNT - 1 - k);
		assert_int_equal(subs_remove(bench.subs, stream, bytes_of(id)), OK);
	}
	assert_int_equal(count_all(query), COUNT / 2);
	subs_stream_free(bench.subs, stream);
	bench_close(&bench);
}

/* ---- against a naive model ------------------------------------------------------------------- */

/* More streams than are looked through one by one. */
enum { STREAMS = 24, IDS = 300, QUERIES = 5, RUNS_MAX = 6 };

struct churn {
	struct bench bench;
	struct test_random random;
	struct subs_stream *streams[STREAMS];
	char handles[STREAMS];
	unsigned char query[STREAMS][IDS]; /* from 1; 0: not subscribed */
};

static void name_id(size_t number, char ret_id[64])
{
	(void)snprintf(ret_id, 64, "%zu%.*s", number, (int)(number % 50),
		"--------------------------------------------------");
}

static const char *name_collection(size_t number)
{
	static const char *const names[QUERIES] = {"a", "b", "c", "d", "e"};
	return names[number];
}

static void churn_step(struct churn *churn)
{
	struct bench *bench = &churn->bench;
	size_t i = test_random_below(&churn->random, STREAMS);
	size_t k = test_random_below(&churn->random, IDS);
	/* mostly the first query, so that it has runs that fill up */
	size_t query = test_random_below(&churn->random, 3)
		? 0
		: test_random_below(&churn->random, QUERIES);
	char id[64];
	name_id(k, id);
	if (test_random_below(&churn->random, 3000) == 0) {
		subs_stream_free(bench->subs, churn->streams[i]);
		memset(churn->query[i], 0, sizeof(churn->query[i]));
		churn->streams[i] = open_stream(bench, &churn->handles[i]);
	} else if (test_random_below(&churn->random, 100) < 55) {
		enum model_refusal refusal =
			add(bench, churn->streams[i], id, name_collection(query));
		assert_int_equal(
			refusal, churn->query[i][k] ? MODEL_REFUSED_DUPLICATE : MODEL_ACCEPTED);
		if (refusal == MODEL_ACCEPTED) {
			churn->query[i][k] = (unsigned char)(query + 1);
		}
	} else {
		assert_int_equal(subs_remove(bench->subs, churn->streams[i], bytes_of(id)),
			churn->query[i][k] ? OK : ERR_NOT_FOUND);
		churn->query[i][k] = 0;
	}
	(void)subs_sweep(bench->subs, test_random_below(&churn->random, 3));
}

static void churn_check(struct churn *churn)
{
	size_t expected[QUERIES] = {0};
	size_t of_stream[STREAMS] = {0};
	for (size_t i = 0; i < STREAMS; i++) {
		for (size_t k = 0; k < IDS; k++) {
			if (churn->query[i][k]) {
				expected[churn->query[i][k] - 1]++;
				of_stream[i]++;
			}
		}
		assert_int_equal(subs_stream_count(churn->streams[i]), of_stream[i]);
	}
	for (size_t q = 0; q < QUERIES; q++) {
		if (expected[q] == 0) {
			continue;
		}
		struct match_query *query = query_of(&churn->bench, name_collection(q));
		assert_int_equal(count_all(query), expected[q]);
		size_t i = test_random_below(&churn->random, STREAMS);
		/* So few ids fill few runs: the open one is found again. */
		assert_true(count_runs(query, &churn->handles[i]) <= RUNS_MAX);
		for (size_t k = 0; k < IDS; k += 7) {
			char id[64];
			name_id(k, id);
			assert_int_equal(count_id(query, &churn->handles[i], id),
				churn->query[i][k] == q + 1);
		}
	}
}

static void test_churn(void **state)
{
	(void)state;
	static struct churn churn;
	churn.random = test_random_start("subs");
	bench_open(&churn.bench, &wide);
	for (size_t i = 0; i < STREAMS; i++) {
		churn.streams[i] = open_stream(&churn.bench, &churn.handles[i]);
	}
	for (int step = 0; step < 40000; step++) {
		churn_step(&churn);
		if (step % 2000 == 1999) {
			churn_check(&churn);
		}
	}
	for (size_t i = 0; i < STREAMS; i++) {
		subs_stream_free(churn.bench.subs, churn.streams[i]);
	}
	bench_close(&churn.bench);
}

/* ---- lack of memory -------------------------------------------------------------------------- */

/* A subscribe that finds no memory is refused, and leaves no trace. */
static void subscribe_and_leave(void)
{
	struct bench bench;
	struct subs_stream *stream = NULL;
	if (bench_try(&bench, &wide) == OK && subs_stream_new(bench.subs, &bench, &stream) == OK) {
		size_t count = 0;
		for (int k = 0; k < 150; k++) {
			char id[64];
			name_id((size_t)k, id);
			enum model_refusal refusal =
				add(&bench, stream, id, k % 10 ? "users" : "orders");
			assert_true(refusal == MODEL_ACCEPTED || refusal == MODEL_REFUSED_LIMIT);
			count += refusal == MODEL_ACCEPTED;
			const struct model_subscription same =
				about(id, k % 10 ? "users" : "orders");
			if (refusal == MODEL_ACCEPTED &&
				ensure(&bench, stream, &same) != MODEL_ACCEPTED) {
				assert_true(bytes_equal(
					bench.answer.text, bytes_of(err_text(ERR_MEMORY))));
			}
			if (refusal == MODEL_REFUSED_LIMIT) {
				assert_true(bytes_equal(
					bench.answer.text, bytes_of(err_text(ERR_MEMORY))));
				assert_int_equal(subs_remove(bench.subs, stream, bytes_of(id)),
					ERR_NOT_FOUND);
			} else if (k % 3 == 0) {
				assert_int_equal(subs_remove(bench.subs, stream, bytes_of(id)), OK);
				count--;
			}
		}
		assert_int_equal(subs_stream_count(stream), count);
		assert_int_equal(count_all(query_of(&bench, "users")) +
				count_all(query_of(&bench, "orders")),
			count);
	}
	subs_stream_free(bench.subs, stream);
	subs_free(bench.subs);
	match_free(bench.match);
}

static void test_lack_of_memory(void **state)
{
	(void)state;
	bool failed = true;
	for (size_t fail_at = 0; failed; fail_at++) {
		struct failing failing;
		failing_start(&failing, fail_at);
		subscribe_and_leave();
		failed = failing_stop(&failing);
		assert_int_equal(failing.live, 0);
		assert_true(fail_at < 5000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids_belong_to_their_stream),
		cmocka_unit_test(test_ids_that_are_uuids),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_filters_that_cannot_be),
		cmocka_unit_test(test_what_is_there_is_accepted_again),
		cmocka_unit_test(test_another_query_is_a_duplicate),
		cmocka_unit_test(test_those_without_documents_are_runs_of_their_own),
		cmocka_unit_test(test_a_map_tells_them_apart_too),
		cmocka_unit_test(test_a_freed_stream_is_swept),
		cmocka_unit_test(test_many_ids_behind_one_query),
		cmocka_unit_test(test_churn),
		cmocka_unit_test(test_lack_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
