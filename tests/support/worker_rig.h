/* A worker on a loop in virtual time, fed by hand, and its streams, consumed by hand. */
#ifndef TEST_WORKER_RIG_H
#define TEST_WORKER_RIG_H

#include "loop_world.h"
#include "make_event.h"
#include "worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define USERS "{\"op\":\"insert\",\"database\":\"d\",\"collection\":\"users\",\"data\":{}}"
#define ORDERS "{\"op\":\"insert\",\"database\":\"d\",\"collection\":\"orders\",\"data\":{}}"
#define STREAMS_MAX 4

static const struct stream_limits wide = {
	.hard_bytes = SIZE_MAX / 2, .soft_bytes = SIZE_MAX / 2, .soft_us = 1000000};

struct rig {
	struct world world;
	struct loop *loop;
	struct metrics metrics;
	struct worker_options options;
	struct worker *worker;
	unsigned routed, closed;
	uint64_t sequence; /* of the newest event pushed */
	struct stream *streams[STREAMS_MAX];
	struct worker_stream *attached[STREAMS_MAX]; /* NULL: detached */
	size_t count;
};

static inline void on_routed(void *ctx)
{
	struct rig *rig = ctx;
	rig->routed++;
}

static inline void on_closed(void *ctx)
{
	struct rig *rig = ctx;
	rig->closed++;
}

static inline void nothing(void *ctx)
{
	(void)ctx;
}

static inline void run(struct rig *rig, int64_t us)
{
	sim_run(rig->world.sim, sim_now_us(rig->world.sim) + us);
}

static inline void rig_prepare(struct rig *rig)
{
	*rig = (struct rig){0};
	world_open(&rig->world, false);
	rig->loop = rig->world.loop;
	rig->options = (struct worker_options){
		.ring_events = 1024,
		.json_depth_max = 100,
		.stream = wide,
		.history = {.events = 1000, .bytes = SIZE_MAX / 2, .age_us = INT64_MAX / 2},
		.subs = {.id_bytes_max = 100,
			.per_stream_max = 10000,
			.per_database_max = SIZE_MAX,
			.total_max = 10000,
			.bytes_max = SIZE_MAX,
			.residuals_per_stream_max = 10000},
		.match = {.subscription_bytes = SIZE_MAX},
		.remote = {.wire = {.filters_max = 4, .filter_list_max = 4, .filter_depth_max = 4},
			.message_bytes_max = 1 << 20,
			.delivery_bytes_max = 1 << 20,
			.calls_max = 4,
			.connections_max = 4,
			.metrics = &rig->metrics},
		.routed = on_routed,
		.ctx = rig,
		.metrics = &rig->metrics,
	};
}

static inline enum err try_worker(struct rig *rig)
{
	return worker_new(rig->loop, &rig->options, &rig->worker);
}

static inline void rig_open(struct rig *rig)
{
	rig_prepare(rig);
	assert_int_equal(try_worker(rig), OK);
}

static inline enum err try_attach(struct rig *rig, const struct stream_limits *limits)
{
	struct stream *stream = NULL;
	enum err err = stream_new(limits, &rig->metrics, nothing, NULL, &stream);
	if (err != OK) {
		return err;
	}
	err = worker_attach(rig->worker, stream, &rig->attached[rig->count]);
	if (err != OK) {
		stream_unref(stream);
		stream_unref(stream);
		return err;
	}
	rig->streams[rig->count++] = stream;
	return OK;
}

static inline size_t attach(struct rig *rig, const struct stream_limits *limits)
{
	assert_true(rig->count < STREAMS_MAX);
	assert_int_equal(try_attach(rig, limits), OK);
	return rig->count - 1;
}

static inline void detach(struct rig *rig, size_t i)
{
	worker_detach(rig->attached[i]);
	rig->attached[i] = NULL;
}

static inline void rig_close(struct rig *rig)
{
	for (size_t i = 0; i < rig->count; i++) {
		if (rig->attached[i]) {
			detach(rig, i);
		}
		stream_unref(rig->streams[i]);
	}
	if (rig->worker && rig->closed == 0) {
		worker_close(rig->worker, on_closed, rig);
		assert_int_equal(rig->closed, 0);
		run(rig, 1000000);
	}
	if (rig->worker) {
		assert_int_equal(rig->closed, 1);
		worker_free(rig->worker);
	}
	world_close(&rig->world);
	assert_int_equal(metrics_get(&rig->metrics, METRIC_streams), 0);
	assert_int_equal(metrics_get(&rig->metrics, METRIC_subscriptions_active), 0);
}

static inline void subscribe(struct rig *rig, size_t i, const char *id, const char *collection)
{
	const struct model_subscription subscription = {
		.id = bytes_of(id), .database = bytes_of("d"), .collection = bytes_of(collection)};
	const struct err_info fine = {0};
	worker_subscribe(rig->attached[i], &subscription, &fine);
}

static inline enum err push_made(struct rig *rig, struct event *event)
{
	enum err err = worker_push(rig->worker, event);
	rig->sequence += err == OK ? 1 : 0;
	assert_true(err == OK || event->holders == 1);
	event_unref(event);
	return err;
}

static inline enum err push(struct rig *rig, const char *line, bool is_read)
{
	return push_made(rig, make_event(line, rig->sequence + 1, is_read));
}

/* The next item; its bytes are gone. */
static inline struct stream_item pop(struct rig *rig, size_t i, enum stream_item_kind kind)
{
	struct stream_item item;
	assert_int_equal(stream_peek(rig->streams[i], &item), OK);
	assert_int_equal(item.kind, kind);
	stream_pop(rig->streams[i]);
	return item;
}

/* The next item is a delivery of the event with this sequence for this id alone. */
static inline void pop_delivery(struct rig *rig, size_t i, uint64_t sequence, const char *id)
{
	struct stream_item item;
	struct bytes found;
	assert_int_equal(stream_peek(rig->streams[i], &item), OK);
	assert_int_equal(item.kind, STREAM_DELIVERY);
	assert_int_equal(item.event->sequence, sequence);
	assert_true(item.event->is_read && item.event->encoded.size > 0);
	assert_int_equal(item.ids_count, 1);
	assert_true(wire_id_next(&item.run, &found));
	assert_true(bytes_equal(found, bytes_of(id)));
	stream_pop(rig->streams[i]);
}

static inline void check_empty(struct rig *rig, size_t i)
{
	struct stream_item item;
	assert_int_equal(stream_peek(rig->streams[i], &item), ERR_EMPTY);
}

static inline int64_t figure(const struct rig *rig, enum metric metric)
{
	return metrics_get(&rig->metrics, metric);
}

#endif
