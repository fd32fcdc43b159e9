/*
 * A stream, its figures and the wakes of its consumer; what goes in and comes out of it in one
 * line.
 */
#ifndef TEST_STREAM_BENCH_H
#define TEST_STREAM_BENCH_H

#include "stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct stream_limits wide = {
	.hard_bytes = SIZE_MAX, .soft_bytes = SIZE_MAX, .soft_us = 1000000};

static inline void count_wake(void *ctx)
{
	++*(unsigned *)ctx;
}

struct bench {
	struct stream *stream;
	struct metrics metrics;
	unsigned wakes;
};

static inline void bench_open(struct bench *bench, const struct stream_limits *limits)
{
	*bench = (struct bench){0};
	assert_int_equal(
		stream_new(limits, &bench->metrics, count_wake, &bench->wakes, &bench->stream), OK);
}

static inline int64_t figure(const struct bench *bench, enum metric metric)
{
	return metrics_get(&bench->metrics, metric);
}

/* Lets go of both ends; nothing may be left behind. */
static inline void bench_close(struct bench *bench)
{
	stream_unref(bench->stream);
	stream_unref(bench->stream);
	assert_int_equal(figure(bench, METRIC_streams), 0);
	assert_int_equal(figure(bench, METRIC_queued_bytes), 0);
	assert_int_equal(figure(bench, METRIC_deliveries_queued),
		figure(bench, METRIC_deliveries_sent) + figure(bench, METRIC_deliveries_discarded));
}

/* An event that weighs `size` bytes on a stream. */
static inline struct event *make_event(uint64_t sequence, size_t size)
{
	static const char bytes[4096];
	struct event *event = NULL;
	assert_true(size <= sizeof(bytes));
	assert_int_equal(event_new(&event), OK);
	event->sequence = sequence;
	event->encoded = (struct bytes){bytes, size};
	return event;
}

static inline enum err push(
	struct stream *stream, struct event *event, struct bytes run, int64_t now_us)
{
	const struct stream_delivery delivery = {
		.event = event, .runs = &run, .runs_count = 1, .ids_count = 1};
	return stream_push_delivery(stream, &delivery, now_us);
}

static inline enum err push_new(
	struct stream *stream, uint64_t sequence, size_t size, int64_t now_us)
{
	struct event *event = make_event(sequence, size);
	enum err err = push(stream, event, bytes_of("id"), now_us);
	event_unref(event);
	return err;
}

static inline enum err push_answer(struct stream *stream, const char *id)
{
	const struct model_answer answer = {.id = bytes_of(id)};
	return stream_push_answer(stream, &answer, 0);
}

static inline struct stream_item peek(struct stream *stream)
{
	struct stream_item item;
	assert_int_equal(stream_peek(stream, &item), OK);
	return item;
}

static inline void check_delivery(struct stream *stream, uint64_t sequence)
{
	struct stream_item item = peek(stream);
	assert_int_equal(item.kind, STREAM_DELIVERY);
	assert_int_equal(item.event->sequence, sequence);
	stream_pop(stream);
}

static inline void check_end(struct stream *stream, enum err why, const char *text)
{
	struct stream_item item = peek(stream);
	assert_int_equal(item.kind, STREAM_END);
	assert_int_equal(item.why, why);
	assert_true(bytes_equal(item.text, bytes_of(text)));
	stream_pop(stream);
	assert_int_equal(stream_peek(stream, &item), ERR_CLOSED);
}

static inline void check_empty(struct stream *stream)
{
	struct stream_item item;
	assert_int_equal(stream_peek(stream, &item), ERR_EMPTY);
}

#endif
