/* route through its header: each event, once, to each stream that wants it, whoever else fails. */
#include "failing.h"
#include "make_event.h"
#include "match_limits.h"
#include "random.h"
#include "route.h"
#include "value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STREAMS = 4 };

static const struct err_info nothing_found = {0};

struct bench_stream {
	struct stream *stream;
	struct subs_stream *subs;
	struct route_target target;
	unsigned told; /* of its end */
	enum err why;
};

struct bench {
	struct metrics metrics;
	struct match *match;
	struct subs *subs;
	struct route *route;
	struct arena arena; /* filters' values */
	struct bench_stream streams[STREAMS];
};

static void wake(void *ctx)
{
	(void)ctx;
}

static void on_ended(void *ctx, struct route_target *target, enum err why)
{
	struct bench *bench = ctx;
	for (size_t i = 0; i < STREAMS; i++) {
		struct bench_stream *stream = &bench->streams[i];
		if (target == &stream->target) {
			stream->told++;
			stream->why = why;
			subs_stream_free(bench->subs, stream->subs);
			stream->subs = NULL;
		}
	}
}

static void open_stream(struct bench *bench, size_t i, size_t hard_bytes)
{
	const struct stream_limits limits = {
		.hard_bytes = hard_bytes, .soft_bytes = SIZE_MAX, .soft_us = 1};
	struct bench_stream *stream = &bench->streams[i];
	assert_int_equal(stream_new(&limits, &bench->metrics, wake, NULL, &stream->stream), OK);
	route_target_init(&stream->target, stream->stream);
	assert_int_equal(subs_stream_new(bench->subs, &stream->target, &stream->subs), OK);
}

static void bench_open(struct bench *bench)
{
	static const struct subs_limits limits = {.id_bytes_max = 100,
		.per_stream_max = SIZE_MAX,
		.per_database_max = SIZE_MAX,
		.total_max = SIZE_MAX,
		.bytes_max = SIZE_MAX,
		.residuals_per_stream_max = SIZE_MAX};
	*bench = (struct bench){0};
	assert_int_equal(
		match_new(&test_match_limits, 1, NULL, &bench->metrics, &bench->match), OK);
	assert_int_equal(subs_new(&limits, 2, bench->match, &bench->metrics, &bench->subs), OK);
	assert_int_equal(
		route_new(bench->match, &bench->metrics, on_ended, bench, &bench->route), OK);
	for (size_t i = 0; i < STREAMS; i++) {
		open_stream(bench, i, SIZE_MAX);
	}
}

static void close_stream(struct bench *bench, size_t i)
{
	struct bench_stream *stream = &bench->streams[i];
	subs_stream_free(bench->subs, stream->subs);
	stream_unref(stream->stream);
	stream_unref(stream->stream);
	*stream = (struct bench_stream){0};
}

static void bench_close(struct bench *bench)
{
	for (size_t i = 0; i < STREAMS; i++) {
		close_stream(bench, i);
	}
	route_free(bench->route);
	subs_free(bench->subs);
	match_free(bench->match);
	arena_fini(&bench->arena);
	assert_int_equal(metrics_get(&bench->metrics, METRIC_queued_bytes), 0);
}

/* `value` NULL: the whole collection. */
static void subscribe_with(struct bench *bench, size_t i, struct model_subscription subscription,
	const char *field, const char *value)
{
	struct model_filter filter = {.field = bytes_of(field), .op = bytes_of("==")};
	struct model_answer answer;
	if (value) {
		assert_int_equal(
			json_parse(bytes_of(value), 10, &bench->arena, &filter.value, NULL), OK);
		subscription.filters = &filter;
		subscription.filters_count = 1;
	}
	subs_add(bench->subs, bench->streams[i].subs, &subscription, &nothing_found, &answer);
	assert_int_equal(answer.refusal, MODEL_ACCEPTED);
}

static void subscribe(struct bench *bench, size_t i, const char *id, const char *collection,
	const char *field, const char *value)
{
	const struct model_subscription subscription = {
		.id = bytes_of(id), .database = bytes_of("d"), .collection = bytes_of(collection)};
	subscribe_with(bench, i, subscription, field, value);
}

/* The same, of "users", and without the document. */
static void subscribe_bare(
	struct bench *bench, size_t i, const char *id, const char *field, const char *value)
{
	const struct model_subscription subscription = {.id = bytes_of(id),
		.database = bytes_of("d"),
		.collection = bytes_of("users"),
		.omit_document = true};
	subscribe_with(bench, i, subscription, field, value);
}

/* A document "u<id>" of collection "users" with a number. */
static struct event *user(uint64_t sequence, unsigned id, unsigned number)
{
	char line[200];
	(void)snprintf(line, sizeof(line),
		"{\"op\":\"insert\",\"database\":\"d\",\"collection\":\"users\",\"id\":\"u%u\","
		"\"data\":{\"n\":%u}}",
		id, number);
	return make_event(line, sequence, true);
}

/* One whose document is nested too deep to be read. */
static struct event *nested(uint64_t sequence)
{
	char line[400];
	int size = snprintf(line, sizeof(line),
		"{\"op\":\"insert\",\"database\":\"d\",\"collection\":\"users\",\"id\":\"u1\","
		"\"data\":{\"n\":");
	char *place = line + size;
	for (const char *brackets = "[]"; *brackets; brackets++) {
		memset(place, *brackets, 110);
		place += 110;
	}
	memcpy(place, "}}", 3);
	return make_event(line, sequence, true);
}

static enum err route_one(struct bench *bench, struct event *event)
{
	enum err err = route_events(bench->route, &event, 1, 0);
	event_unref(event);
	return err;
}

/* The next item must be a delivery of this event with these ids, "a b", in any order. */
static void check_delivery(struct bench *bench, size_t i, uint64_t sequence, const char *ids)
{
	struct stream *stream = bench->streams[i].stream;
	struct stream_item item;
	assert_int_equal(stream_peek(stream, &item), OK);
	assert_int_equal(item.kind, STREAM_DELIVERY);
	assert_int_equal(item.event->sequence, sequence);
	char padded[2000];
	(void)snprintf(padded, sizeof(padded), " %s ", ids);
	size_t size = 1;
	uint32_t count = 0;
	struct bytes id;
	while (wire_id_next(&item.run, &id)) {
		char word[200];
		(void)snprintf(word, sizeof(word), " %.*s ", BYTES_FORMAT(id));
		assert_non_null(strstr(padded, word));
		size += id.size + 1;
		count++;
	}
	assert_int_equal(size, strlen(padded)); /* none is missing, so none was there twice */
	assert_int_equal(count, item.ids_count);
	stream_pop(stream);
}

/* How the next delivery is to leave. */
static void check_form(struct bench *bench, size_t i, bool is_bare, bool has_more)
{
	struct stream_item item;
	assert_int_equal(stream_peek(bench->streams[i].stream, &item), OK);
	assert_int_equal(item.is_bare, is_bare);
	assert_int_equal(item.has_more, has_more);
}

static void check_empty(struct bench *bench, size_t i)
{
	struct stream_item item;
	assert_int_equal(stream_peek(bench->streams[i].stream, &item), ERR_EMPTY);
}

/* ---- who gets what --------------------------------------------------------------------------- */

static void test_one_delivery_with_each_id(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench);
	subscribe(&bench, 0, "all", "users", NULL, NULL);
	subscribe(&bench, 0, "all-too", "users", NULL, NULL);
	subscribe(&bench, 0, "five", "users", "n", "5");
	subscribe(&bench, 0, "u1", "users", "_id", "\"u1\"");
	subscribe(&bench, 0, "other", "orders", NULL, NULL);
	subscribe(&bench, 1, "five", "users", "n", "5");
	subscribe(&bench, 2, "six", "users", "n", "6");
	assert_int_equal(route_one(&bench, user(1, 1, 5)), OK);
	assert_int_equal(route_one(&bench, user(2, 2, 5)), OK);
	assert_int_equal(route_one(&bench, user(3, 1, 6)), OK);
	check_delivery(&bench, 0, 1, "all all-too five u1");
	check_delivery(&bench, 0, 2, "all all-too five");
	check_delivery(&bench, 0, 3, "all all-too u1");
	check_empty(&bench, 0);
	check_delivery(&bench, 1, 1, "five");
	check_delivery(&bench, 1, 2, "five");
	check_empty(&bench, 1);
	check_delivery(&bench, 2, 3, "six");
	check_empty(&bench, 2);
	check_empty(&bench, 3);
	assert_int_equal(metrics_get(&bench.metrics, METRIC_events_routed), 3);
	assert_int_equal(metrics_get(&bench.metrics, METRIC_events_matched), 3);
	assert_int_equal(metrics_get(&bench.metrics, METRIC_deliveries_queued), 6);
	assert_int_equal(metrics_get(&bench.metrics, METRIC_delivered_ids), 13);
	bench_close(&bench);
}

/* With the document and without it are two deliveries of one event, the first of which says so. */
static void test_with_and_without_document(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench);
	subscribe_bare(&bench, 0, "bare", NULL, NULL);
	subscribe(&bench, 0, "whole", "users", NULL, NULL);
	subscribe_bare(&bench, 0, "bare-too", NULL, NULL);
	subscribe(&bench, 0, "five", "users", "n", "5");
	subscribe_bare(&bench, 1, "bare", NULL, NULL);
	struct event *event = event_ref(user(1, 1, 5));
	assert_int_equal(route_one(&bench, event), OK);
	size_t bytes = stream_queued_bytes(bench.streams[1].stream);
	assert_true(bytes >= event->encoded_bare.size);
	assert_true(stream_queued_bytes(bench.streams[0].stream) >=
		event->encoded.size + event->encoded_bare.size);
	event_unref(event);
	check_form(&bench, 0, false, true);
	check_delivery(&bench, 0, 1, "whole five");
	check_form(&bench, 0, true, false);
	check_delivery(&bench, 0, 1, "bare bare-too");
	check_empty(&bench, 0);
	check_form(&bench, 1, true, false);
	check_delivery(&bench, 1, 1, "bare");
	check_empty(&bench, 1);
	bench_close(&bench);
}

/* Where there is no document it makes no difference who wants one. */
static void test_without_document_all_are_together(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench);
	subscribe_bare(&bench, 0, "bare", NULL, NULL);
	subscribe(&bench, 0, "whole", "users", NULL, NULL);
	subscribe_bare(&bench, 1, "bare", NULL, NULL);
	struct event *event = nested(1);
	assert_true(event->is_refused);
	assert_int_equal(route_one(&bench, event), OK);
	check_form(&bench, 0, false, false);
	check_delivery(&bench, 0, 1, "bare whole");
	check_empty(&bench, 0);
	check_delivery(&bench, 1, 1, "bare");
	check_empty(&bench, 1);
	bench_close(&bench);
}

/* What is queued counts as much as will be sent. */
static void test_what_omits_weighs_less(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench);
	subscribe(&bench, 0, "a", "users", NULL, NULL);
	subscribe_bare(&bench, 1, "a", NULL, NULL);
	struct event *event = user(1, 1, 5);
	size_t document = event->encoded.size - event->encoded_bare.size;
	assert_true(document > 0);
	assert_int_equal(route_one(&bench, event), OK);
	assert_int_equal(stream_queued_bytes(bench.streams[0].stream),
		stream_queued_bytes(bench.streams[1].stream) + document);
	check_delivery(&bench, 0, 1, "a");
	check_delivery(&bench, 1, 1, "a");
	assert_int_equal(stream_queued_bytes(bench.streams[1].stream), 0);
	bench_close(&bench);
}

/* Ids are copied when an event is put on a stream: what becomes of the list then is no matter. */
static void test_queued_ids_stay(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench);
	subscribe(&bench, 0, "a", "users", NULL, NULL);
	subscribe(&bench, 0, "b", "users", NULL, NULL);
	assert_int_equal(route_one(&bench, user(1, 1, 1)), OK);
	assert_int_equal(subs_remove(bench.subs, bench.streams[0].subs, bytes_of("a")), OK);
	assert_int_equal(route_one(&bench, user(2, 1, 1)), OK);
	assert_int_equal(subs_remove(bench.subs, bench.streams[0].subs, bytes_of("b")), OK);
	assert_int_equal(route_one(&bench, user(3, 1, 1)), OK);
	check_delivery(&bench, 0, 1, "a b");
	check_delivery(&bench, 0, 2, "b");
	check_empty(&bench, 0);
	bench_close(&bench);
}

/* Batches of every size, streams with many runs of one query, with the document and without, and
 * what a naive look says: in all it is the ids that there would be otherwise. */
static void test_batches(void **state)
{
	(void)state;
	struct bench bench;
	struct test_random random = test_random_start("route");
	static char expected[STREAMS][10][2][2000]; /* by number, and whether without */
	bench_open(&bench);
	memset(expected, 0, sizeof(expected));
	for (unsigned k = 0; k < 200; k++) {
		size_t i = test_random_below(&random, STREAMS - 1);
		uint64_t number = test_random_below(&random, 9);
		char id[16];
		char value[16];
		(void)snprintf(id, sizeof(id), "s%u", k);
		(void)snprintf(value, sizeof(value), "%llu", (unsigned long long)number);
		bool is_bare = test_random_below(&random, 2) == 1;
		if (is_bare) {
			subscribe_bare(&bench, i, id, "n", value);
		} else {
			subscribe(&bench, i, id, "users", "n", value);
		}
		char *list = expected[i][number][is_bare];
		(void)snprintf(list + strlen(list), 100, "%s%s", list[0] ? " " : "", id);
	}
	for (uint64_t sequence = 1; sequence < 500;) {
		struct event *events[MATCH_BATCH_MAX];
		unsigned numbers[MATCH_BATCH_MAX];
		size_t count = 1 + test_random_below(&random, MATCH_BATCH_MAX);
		for (size_t e = 0; e < count; e++) {
			numbers[e] = (unsigned)test_random_below(&random, 10);
			events[e] = user(sequence + e, 1, numbers[e]);
		}
		assert_int_equal(route_events(bench.route, events, count, 0), OK);
		for (size_t e = 0; e < count; e++) {
			event_unref(events[e]);
			for (size_t i = 0; i < STREAMS; i++) {
				const char *whole = expected[i][numbers[e]][0];
				const char *bare = expected[i][numbers[e]][1];
				if (*whole) {
					check_form(&bench, i, false, *bare);
					check_delivery(&bench, i, sequence + e, whole);
				}
				if (*bare) {
					check_form(&bench, i, true, false);
					check_delivery(&bench, i, sequence + e, bare);
				}
			}
		}
		sequence += count;
	}
	for (size_t i = 0; i < STREAMS; i++) {
		check_empty(&bench, i);
	}
	bench_close(&bench);
}

/* More ids than one run holds: they are several runs, and one delivery. */
static void test_many_ids_of_one_stream(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench);
	enum { COUNT = 20000 };
	static bool seen[COUNT];
	char id[64];
	memset(seen, 0, sizeof(seen));
	for (int k = 0; k < COUNT; k++) {
		(void)snprintf(id, sizeof(id), "%d-00000000000000000000000000000000", k);
		subscribe(&bench, 0, id, "users", NULL, NULL);
	}
	assert_int_equal(route_one(&bench, user(1, 1, 1)), OK);
	struct stream_item item;
	assert_int_equal(stream_peek(bench.streams[0].stream, &item), OK);
	assert_int_equal(item.ids_count, COUNT);
	struct bytes found;
	while (wire_id_next(&item.run, &found)) {
		size_t k = strtoul(found.data, NULL, 10);
		assert_false(seen[k]);
		seen[k] = true;
	}
	assert_null(memchr(seen, false, COUNT));
	bench_close(&bench);
}

/* ---- streams that cannot take it ------------------------------------------------------------- */

static void test_a_slow_stream_ends_alone(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench);
	close_stream(&bench, 1);
	open_stream(&bench, 1, 3000);
	for (size_t i = 0; i < 3; i++) {
		subscribe(&bench, i, "all", "users", NULL, NULL);
	}
	for (uint64_t sequence = 1; sequence <= UINT64_C(5) * MATCH_BATCH_MAX;) {
		struct event *events[MATCH_BATCH_MAX];
		for (size_t e = 0; e < MATCH_BATCH_MAX; e++) {
			events[e] = user(sequence++, 1, 1);
		}
		assert_int_equal(route_events(bench.route, events, MATCH_BATCH_MAX, 0), OK);
		for (size_t e = 0; e < MATCH_BATCH_MAX; e++) {
			event_unref(events[e]);
		}
	}
	assert_int_equal(bench.streams[0].told, 0);
	assert_int_equal(bench.streams[1].told, 1);
	assert_int_equal(bench.streams[1].why, ERR_LIMIT);
	for (uint64_t sequence = 1; sequence <= UINT64_C(5) * MATCH_BATCH_MAX; sequence++) {
		check_delivery(&bench, 0, sequence, "all");
		check_delivery(&bench, 2, sequence, "all");
	}
	struct stream_item item;
	assert_int_equal(stream_peek(bench.streams[1].stream, &item), OK);
	assert_int_equal(item.kind, STREAM_END);
	bench_close(&bench);
}

/* Its consumer has closed it: that is no news to anybody. */
static void test_a_closed_stream_is_passed_over(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench);
	subscribe(&bench, 0, "all", "users", NULL, NULL);
	subscribe(&bench, 1, "all", "users", NULL, NULL);
	stream_close(bench.streams[0].stream);
	assert_int_equal(route_one(&bench, user(1, 1, 1)), OK);
	assert_int_equal(bench.streams[0].told, 0);
	check_delivery(&bench, 1, 1, "all");
	bench_close(&bench);
}

/*
 * Whichever allocation fails: a batch fails whole before anybody got anything, or streams that
 * missed something have ended and were told of, and the others have all of it.
 */
static bool route_with_failure(size_t fail_at)
{
	struct bench bench;
	struct event *events[MATCH_BATCH_MAX];
	bench_open(&bench);
	char id[100];
	for (int k = 0; k < 300; k++) {
		memset(id, 'x', sizeof(id));
		(void)snprintf(id + 90, 10, "%d", k);
		subscribe(&bench, (size_t)k % STREAMS, id, "users", NULL, NULL);
		subscribe(&bench, (size_t)k % STREAMS, id + 1, "users", "n", "1");
	}
	for (size_t e = 0; e < MATCH_BATCH_MAX; e++) {
		events[e] = user(e + 1, 1, 1);
	}
	struct failing failing;
	failing_start(&failing, fail_at);
	enum err err = route_events(bench.route, events, MATCH_BATCH_MAX, 0);
	bool failed = failing_stop(&failing);
	assert_true(err == OK || (failed && err == ERR_MEMORY));
	unsigned told = 0;
	for (size_t i = 0; i < STREAMS; i++) {
		struct bench_stream *stream = &bench.streams[i];
		struct stream_item item;
		told += stream->told;
		assert_int_equal(stream_has_ended(stream->stream), stream->told);
		if (err != OK) {
			check_empty(&bench, i);
			continue;
		}
		assert_int_equal(stream_peek(stream->stream, &item), OK);
		assert_int_equal(item.kind, stream->told ? STREAM_END : STREAM_DELIVERY);
		if (stream->told) {
			assert_int_equal(item.why, ERR_MEMORY);
			assert_int_equal(stream->why, ERR_MEMORY);
		} else {
			assert_int_equal(stream_queued_count(stream->stream), MATCH_BATCH_MAX);
			assert_int_equal(item.ids_count, 150);
		}
	}
	assert_int_equal(told > 0, failed && err == OK);
	for (size_t e = 0; e < MATCH_BATCH_MAX; e++) {
		event_unref(events[e]);
	}
	bench_close(&bench);
	return failed;
}

static void test_lack_of_memory(void **state)
{
	(void)state;
	size_t fail_at = 0;
	while (route_with_failure(fail_at)) {
		fail_at++;
		assert_true(fail_at < 1000);
	}
	assert_true(fail_at > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_delivery_with_each_id),
		cmocka_unit_test(test_with_and_without_document),
		cmocka_unit_test(test_without_document_all_are_together),
		cmocka_unit_test(test_what_omits_weighs_less),
		cmocka_unit_test(test_queued_ids_stay),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_many_ids_of_one_stream),
		cmocka_unit_test(test_a_slow_stream_ends_alone),
		cmocka_unit_test(test_a_closed_stream_is_passed_over),
		cmocka_unit_test(test_lack_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
