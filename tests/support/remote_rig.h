/*
 * A remote server on a loop in virtual time, with an engine that only records, and gateways in
 * front of it.
 */
#ifndef TEST_REMOTE_RIG_H
#define TEST_REMOTE_RIG_H

#include "failing.h"
#include "loop_world.h"
#include "make_event.h"
#include "proto.h"
#include "remote.h"
#include "remote_gateway.h"

#define CONSUMERS_MAX 16

/* One stream of the engine. */
struct consumer {
	struct remote_rig *rig;
	struct stream *stream; /* NULL: closed */
	unsigned subscribes, unsubscribes, hellos, heartbeats, registered;
	struct event *first; /* not NULL: a subscribe queues three of it ahead of its answer */
};

struct remote_rig {
	struct world world;
	struct loop *loop;
	struct loop_listener *listener;
	struct metrics metrics;
	struct remote_server_options options;
	struct remote_server *server;
	unsigned server_closed;
	enum err open_says;
	struct bytes position;
	unsigned refuses_each; /* quiet subscribes: the first and then each so many; 0: none */
	bool holds_welcome;    /* a Hello has no answer but the test's own */
	struct stream_limits limits;
	struct consumer consumers[CONSUMERS_MAX];
	unsigned consumers_count;
	struct event *first; /* of consumers to come */
};

static const struct stream_limits rig_limits = {
	.hard_bytes = SIZE_MAX / 2, .soft_bytes = SIZE_MAX / 2, .soft_us = INT64_MAX};

static char rig_refusal[1001] = "no";

/* ---- the engine ------------------------------------------------------------------------------ */

/* A delivery, of which event and kind are set, for ids "<name>0", "<name>1", ... */
static inline enum err rig_push(
	struct stream *stream, struct stream_delivery delivery, const char *name, unsigned count)
{
	char place[8192];
	struct bytes run = {place, 0};
	for (unsigned i = 0; i < count; i++) {
		char id[16];
		(void)snprintf(id, sizeof(id), "%s%u", name, i);
		assert_true(run.size + sizeof(id) < sizeof(place));
		run.size += wire_id_write(bytes_of(id), place + run.size);
	}
	delivery.runs = &run;
	delivery.runs_count = 1;
	delivery.ids_count = count;
	return stream_push_delivery(stream, &delivery, 0);
}

static inline enum err rig_deliver(
	struct stream *stream, struct event *event, const char *name, unsigned count)
{
	const struct stream_delivery delivery = {.event = event};
	return rig_push(stream, delivery, name, count);
}

static inline enum err rig_open_stream(void *ctx, const char *peer, stream_wake_fn wake,
	void *wake_ctx, struct stream **ret_stream, void **ret_handle)
{
	struct remote_rig *rig = ctx;
	assert_true(peer[0] != 0);
	if (rig->open_says != OK) {
		return rig->open_says;
	}
	assert_true(rig->consumers_count < CONSUMERS_MAX);
	struct consumer *consumer = &rig->consumers[rig->consumers_count];
	*consumer = (struct consumer){.rig = rig, .first = rig->first};
	enum err err = stream_new(&rig->limits, &rig->metrics, wake, wake_ctx, &consumer->stream);
	if (err == OK) {
		rig->consumers_count++;
		*ret_stream = consumer->stream;
		*ret_handle = consumer;
	}
	return err;
}

static inline void rig_subscribe(
	void *handle, const struct model_subscription *subscription, const struct err_info *refusal)
{
	struct consumer *consumer = handle;
	const struct model_answer answer = {.id = subscription->id,
		.refusal = refusal->code == OK ? MODEL_ACCEPTED : MODEL_REFUSED_LIMIT,
		.text = bytes_of(refusal->text)};
	consumer->subscribes++;
	assert_true(subscription->id.size > 0);
	for (unsigned i = 0; consumer->first && i < 3; i++) {
		(void)!rig_deliver(consumer->stream, consumer->first, "first", 1);
	}
	if (stream_push_answer(consumer->stream, &answer, 0) == ERR_MEMORY) {
		stream_end(consumer->stream, ERR_MEMORY, "out of memory for an answer");
	}
}

static inline void rig_unsubscribe(void *handle, struct bytes id)
{
	struct consumer *consumer = handle;
	assert_true(id.size > 0);
	consumer->unsubscribes++;
}

static inline void rig_subscribe_quietly(void *handle,
	const struct model_subscription *subscription, const struct err_info *refusal,
	struct model_answer *ret_answer)
{
	struct consumer *consumer = handle;
	bool refuses = refusal->code != OK ||
		(consumer->rig->refuses_each > 0 &&
			consumer->subscribes % consumer->rig->refuses_each == 0);
	consumer->subscribes++;
	*ret_answer = (struct model_answer){.id = subscription->id,
		.refusal = refuses ? MODEL_REFUSED_LIMIT : MODEL_ACCEPTED,
		.text = bytes_of(refuses ? rig_refusal : "")};
}

static inline void rig_heartbeat(void *handle, const struct model_heartbeat *heartbeat)
{
	struct consumer *consumer = handle;
	consumer->heartbeats++;
	consumer->registered += heartbeat->registered;
	(void)!stream_push_ack(consumer->stream, heartbeat->timestamp_ms, 0);
}

/* At once, unless `holds_welcome`: who comes back has missed something. */
static inline void rig_hello(void *handle, const struct model_hello *hello)
{
	struct consumer *consumer = handle;
	const struct remote_rig *rig = consumer->rig;
	consumer->hellos++;
	if (!rig->holds_welcome) {
		const struct model_welcome welcome = {.version = 1,
			.epoch = rig->options.epoch,
			.position = rig->position,
			.resume = hello->after.size > 0 ? MODEL_RESUME_GAP : MODEL_RESUME_LIVE,
			.lease_ms = rig->options.lease_ms,
			.message_bytes_max = rig->options.message_bytes_max};
		(void)!stream_push_welcome(consumer->stream, &welcome, 0);
	}
	if (!rig->holds_welcome && hello->after.size > 0) {
		const struct model_gap gap = {.after = hello->after};
		(void)!stream_push_gap(consumer->stream, &gap, 0);
	}
}

static inline struct bytes rig_position(void *handle)
{
	const struct consumer *consumer = handle;
	return consumer->rig->position;
}

static inline void rig_send(void *handle, struct bytes message)
{
	struct consumer *consumer = handle;
	(void)!stream_push_message(consumer->stream, message, 0);
}

static inline enum model_source rig_source(void *ctx, int64_t *ret_lag_ms)
{
	(void)ctx;
	*ret_lag_ms = 12;
	return MODEL_SOURCE_CATCHING_UP;
}

static inline void rig_close_stream(void *handle)
{
	struct consumer *consumer = handle;
	assert_non_null(consumer->stream);
	stream_close(consumer->stream);
	stream_unref(consumer->stream);
	stream_unref(consumer->stream);
	consumer->stream = NULL;
}

/* ---- the server ------------------------------------------------------------------------------ */

static inline void rig_accepted(void *ctx, int socket)
{
	struct remote_rig *rig = ctx;
	remote_server_adopt(rig->server, socket);
}

static inline void rig_open(struct remote_rig *rig)
{
	*rig = (struct remote_rig){.limits = rig_limits};
	world_open(&rig->world, false);
	rig->loop = rig->world.loop;
	rig->options = (struct remote_server_options){
		.wire = {.filters_max = 4, .filter_list_max = 16, .filter_depth_max = 4},
		.message_bytes_max = 1 << 20,
		.delivery_bytes_max = 1 << 20,
		.calls_max = 8,
		.connections_max = 4,
		.metrics = &rig->metrics,
	};
}

static inline void rig_serve(struct remote_rig *rig)
{
	const struct remote_engine engine = {.open = rig_open_stream,
		.subscribe = rig_subscribe,
		.subscribe_quietly = rig_subscribe_quietly,
		.unsubscribe = rig_unsubscribe,
		.hello = rig_hello,
		.heartbeat = rig_heartbeat,
		.position = rig_position,
		.send = rig_send,
		.source = rig_source,
		.close = rig_close_stream,
		.ctx = rig};
	struct err_info info = {0};
	assert_int_equal(remote_server_new(rig->loop, &rig->options, &engine, &rig->server), OK);
	assert_int_equal(
		loop_listen(rig->loop, "127.0.0.1:0", rig_accepted, rig, &rig->listener, &info),
		OK);
}

static inline void rig_server_closed(void *ctx)
{
	struct remote_rig *rig = ctx;
	rig->server_closed++;
}

static inline void rig_run(struct remote_rig *rig, int64_t us)
{
	sim_run(rig->world.sim, sim_now_us(rig->world.sim) + us);
}

/* Closes what the test has left open; every stream must have been closed. */
static inline void rig_close(struct remote_rig *rig)
{
	if (rig->server_closed == 0) {
		remote_server_close(rig->server, rig_server_closed, rig);
		assert_int_equal(rig->server_closed, 0);
	}
	rig_run(rig, 1000000);
	assert_int_equal(rig->server_closed, 1);
	assert_int_equal(remote_server_connections(rig->server), 0);
	for (unsigned i = 0; i < rig->consumers_count; i++) {
		assert_null(rig->consumers[i].stream);
	}
	remote_server_free(rig->server);
	loop_listener_free(rig->listener);
	event_unref(rig->first);
	world_close(&rig->world);
	assert_int_equal(metrics_get(&rig->metrics, METRIC_streams), 0);
	assert_int_equal(metrics_get(&rig->metrics, METRIC_grpc_connections), 0);
}

/* ---- gateways -------------------------------------------------------------------------------- */

static inline enum err rig_connect(struct remote_rig *rig, struct gateway *gateway)
{
	return gateway_connect(gateway, rig->loop, loop_listener_address(rig->listener));
}

static inline void gateway_open(struct remote_rig *rig, struct gateway *gateway)
{
	assert_int_equal(rig_connect(rig, gateway), OK);
	assert_int_equal(gateway_call(gateway->client, WIRE_STREAMER_STREAM, gateway), OK);
	rig_run(rig, 20000);
	assert_int_equal(gateway->ended, 0);
}

static inline void gateway_close(struct remote_rig *rig, struct gateway *gateway)
{
	if (gateway->client) {
		grpc_client_close(gateway->client);
		rig_run(rig, 20000);
	}
	assert_int_equal(gateway->closed, 1);
}

#endif
