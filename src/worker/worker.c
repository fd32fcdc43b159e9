/*
 * The life of an event is the first function. Everything a worker owns is touched on its loop's
 * thread only; what others may call ends at the ring, at two atomics, or at a post to the loop.
 */
#include "worker.h"
#include "match.h"
#include "route.h"

#include <stdio.h>

/* Batches between two looks at the sockets: events must not keep answers and writes waiting. */
#define BATCHES_PER_TURN 16
#define TICK_US 100000
#define SWEEP_PER_TURN 64 /* subscriptions of streams that are gone: less than 1 ms */

struct worker_stream {
	struct worker *worker;
	struct worker_stream *next, *previous;
	struct stream *stream;
	struct subs_stream *subs; /* NULL: the stream has ended */
	struct route_target target;
	char peer[64];
};

struct worker {
	struct loop *loop;
	struct worker_options options;
	struct ring *ring;
	struct loop_waker *events_waker;
	struct loop_waker *sweep_waker;
	struct loop_timer *tick;
	_Atomic uint64_t routed;
	_Atomic bool closing;
	struct match *match;
	struct subs *subs;
	struct route *route;
	struct remote_server *remote;
	struct worker_stream *streams;
};

/* ---- the life of an event -------------------------------------------------------------------- */

static void end_all(struct worker *worker, enum err why, const char *text);

/*
 * The shared event stays as it is, so what only this worker knows makes a private copy: which
 * document a delete is about, or that somebody wants the event since ingest looked.
 */
static enum err replace_by_own(const struct worker *worker, struct event **event)
{
	const struct event *shared = *event;
	uint32_t json_depth_max = worker->options.json_depth_max;
	struct bytes collection;
	struct bytes id;
	if (match_identify(worker->match, shared, &collection, &id)) {
		return wire_event_identify(shared, collection, id, json_depth_max, event);
	}
	if (!shared->is_read &&
		match_wants(worker->match, shared->change.database, shared->collection)) {
		return wire_event_read(shared, json_depth_max, event);
	}
	return OK;
}

/* Takes a batch from the ring, has it matched and queued, and says so. How many there were. */
static size_t route_batch(struct worker *worker)
{
	struct event *shared[MATCH_BATCH_MAX];
	struct event *batch[MATCH_BATCH_MAX];
	size_t count = ring_pop(worker->ring, (void **)shared, MATCH_BATCH_MAX);
	if (count == 0) {
		return 0;
	}
	enum err err = OK;
	for (size_t i = 0; i < count; i++) {
		batch[i] = shared[i];
		enum err own = replace_by_own(worker, &batch[i]);
		err = own == OK ? err : own;
	}
	if (err == OK) {
		err = route_events(worker->route, batch, count, loop_now_us(worker->loop));
	}
	if (err != OK) {
		end_all(worker, err, "out of memory while matching");
	}
	uint64_t sequence = shared[count - 1]->sequence;
	for (size_t i = 0; i < count; i++) {
		if (batch[i] != shared[i]) {
			event_unref(batch[i]);
		}
		event_unref(shared[i]);
	}
	atomic_store_explicit(&worker->routed, sequence, memory_order_release);
	return count;
}

static void on_events(void *ctx)
{
	struct worker *worker = ctx;
	size_t count = 0;
	for (int i = 0; i < BATCHES_PER_TURN; i++) {
		size_t routed = route_batch(worker);
		count += routed;
		if (routed < MATCH_BATCH_MAX) {
			break;
		}
	}
	if (count > 0) {
		worker->options.routed(worker->options.ctx);
	}
	if (ring_count(worker->ring) > 0) {
		loop_waker_wake(worker->events_waker);
	}
}

enum err worker_push(struct worker *worker, struct event *event)
{
	/* The ring's reference comes first: the worker may be done with it before ring_push
	 * returns. */
	enum err err = ring_push(worker->ring, event_ref(event));
	if (err == OK) {
		loop_waker_wake(worker->events_waker);
	} else {
		event_unref(event);
	}
	return err;
}

size_t worker_room(const struct worker *worker)
{
	return ring_room(worker->ring);
}

uint64_t worker_routed(const struct worker *worker)
{
	return atomic_load_explicit(&worker->routed, memory_order_acquire);
}

/* ---- streams --------------------------------------------------------------------------------- */

static void on_sweep(void *ctx)
{
	struct worker *worker = ctx;
	if (subs_sweep(worker->subs, SWEEP_PER_TURN)) {
		loop_waker_wake(worker->sweep_waker);
	}
}

static void drop_subscriptions(struct worker_stream *stream)
{
	subs_stream_free(stream->worker->subs, stream->subs);
	stream->subs = NULL;
	loop_waker_wake(stream->worker->sweep_waker);
}

/* A stream that has ended is looked up no more; its consumer learns it from the stream. */
static void report_end(struct worker_stream *stream, enum err why)
{
	struct worker *worker = stream->worker;
	if (!stream->subs) {
		return; /* said before */
	}
	const struct stream_limits *limits = &worker->options.stream;
	const char *text = stream_end_text(stream->stream);
	log_write(worker->options.log, loop_wall_us(worker->loop), LOG_WARNING,
		"worker: stream ended: %s, worker=%u gateway=%s subscriptions=%zu "
		"queued_bytes=%zu queued_deliveries=%llu queue_hard_bytes=%zu queue_soft_bytes=%zu "
		"queue_soft_ms=%lld",
		*text ? text : err_text(why), worker->options.number, stream->peer,
		subs_stream_count(stream->subs), stream_queued_bytes(stream->stream),
		(unsigned long long)stream_queued_count(stream->stream), limits->hard_bytes,
		limits->soft_bytes, (long long)(limits->soft_us / 1000));
	drop_subscriptions(stream);
}

static void on_target_ended(void *ctx, struct route_target *target, enum err why)
{
	(void)ctx;
	struct worker_stream *stream = (struct worker_stream *)(void *)((char *)target -
		offsetof(struct worker_stream, target));
	report_end(stream, why);
}

static void end_all(struct worker *worker, enum err why, const char *text)
{
	for (struct worker_stream *stream = worker->streams; stream; stream = stream->next) {
		stream_end(stream->stream, why, text);
		report_end(stream, why);
	}
}

static void on_tick(void *ctx)
{
	struct worker *worker = ctx;
	int64_t now_us = loop_now_us(worker->loop);
	for (struct worker_stream *stream = worker->streams; stream; stream = stream->next) {
		enum err err = stream_tick(stream->stream, now_us);
		if (err != OK) {
			report_end(stream, err);
		}
	}
	loop_timer_start(worker->tick, TICK_US);
}

enum err worker_attach(
	struct worker *worker, struct stream *stream, struct worker_stream **ret_stream)
{
	struct worker_stream *attached = mem_calloc(1, sizeof(*attached));
	if (!attached) {
		return ERR_MEMORY;
	}
	attached->worker = worker;
	attached->stream = stream;
	(void)snprintf(attached->peer, sizeof(attached->peer), "here");
	route_target_init(&attached->target, stream);
	enum err err = subs_stream_new(worker->subs, &attached->target, &attached->subs);
	if (err != OK) {
		mem_free(attached);
		return err;
	}
	attached->next = worker->streams;
	if (attached->next) {
		attached->next->previous = attached;
	}
	worker->streams = attached;
	*ret_stream = attached;
	return OK;
}

/* What became of an answer or an acknowledgement: a stream that could not take it has ended. */
static void control_pushed(struct worker_stream *stream, enum err err)
{
	if (err == ERR_MEMORY) {
		stream_end(stream->stream, err, "out of memory for an answer");
	}
	if (err != OK && err != ERR_CLOSED) {
		report_end(stream, err);
	}
}

void worker_subscribe(struct worker_stream *stream, const struct model_subscription *subscription,
	const struct err_info *refusal)
{
	if (!stream->subs) {
		return; /* ended */
	}
	struct model_answer answer;
	subs_add(stream->worker->subs, stream->subs, subscription, refusal, &answer);
	control_pushed(stream,
		stream_push_answer(stream->stream, &answer, loop_now_us(stream->worker->loop)));
}

void worker_unsubscribe(struct worker_stream *stream, struct bytes id)
{
	struct worker *worker = stream->worker;
	if (stream->subs && subs_remove(worker->subs, stream->subs, id) != OK) {
		log_write(worker->options.log, loop_wall_us(worker->loop), LOG_DEBUG,
			"worker: unsubscribe of an unknown id %.*s, gateway=%s", BYTES_FORMAT(id),
			stream->peer);
	}
}

void worker_heartbeat(struct worker_stream *stream, int64_t timestamp_ms)
{
	control_pushed(stream,
		stream_push_ack(stream->stream, timestamp_ms, loop_now_us(stream->worker->loop)));
}

void worker_detach(struct worker_stream *stream)
{
	struct worker *worker = stream->worker;
	drop_subscriptions(stream);
	if (stream->previous) {
		stream->previous->next = stream->next;
	} else {
		worker->streams = stream->next;
	}
	if (stream->next) {
		stream->next->previous = stream->previous;
	}
	stream_unref(stream->stream);
	mem_free(stream);
}

/* ---- gateways: the same streams, consumed by `remote` on this loop --------------------------- */

static enum err open_for_gateway(void *ctx, const char *peer, stream_wake_fn wake, void *wake_ctx,
	struct stream **ret_stream, void **ret_handle)
{
	struct worker *worker = ctx;
	if (atomic_load_explicit(&worker->closing, memory_order_relaxed)) {
		return ERR_UNAVAILABLE;
	}
	struct stream *stream = NULL;
	struct worker_stream *attached = NULL;
	enum err err = stream_new(
		&worker->options.stream, worker->options.metrics, wake, wake_ctx, &stream);
	if (err != OK) {
		return err;
	}
	err = worker_attach(worker, stream, &attached);
	if (err != OK) {
		stream_unref(stream);
		stream_unref(stream);
		return err;
	}
	(void)snprintf(attached->peer, sizeof(attached->peer), "%s", peer);
	*ret_stream = stream;
	*ret_handle = attached;
	return OK;
}

static void subscribe_for_gateway(
	void *handle, const struct model_subscription *subscription, const struct err_info *refusal)
{
	worker_subscribe(handle, subscription, refusal);
}

static void unsubscribe_for_gateway(void *handle, struct bytes id)
{
	worker_unsubscribe(handle, id);
}

static void heartbeat_of_gateway(void *handle, int64_t timestamp_ms)
{
	worker_heartbeat(handle, timestamp_ms);
}

static void close_for_gateway(void *handle)
{
	struct worker_stream *stream = handle;
	struct stream *queue = stream->stream;
	stream_close(queue);
	worker_detach(stream);
	stream_unref(queue);
}

struct adoption {
	struct worker *worker;
	int socket;
};

static void on_adopted(void *ctx)
{
	struct adoption *adoption = ctx;
	struct worker *worker = adoption->worker;
	if (atomic_load_explicit(&worker->closing, memory_order_relaxed)) {
		loop_socket_close(worker->loop, adoption->socket);
	} else {
		remote_server_adopt(worker->remote, adoption->socket);
	}
	mem_free(adoption);
}

void worker_adopt(struct worker *worker, int socket)
{
	struct adoption *adoption = mem_alloc(sizeof(*adoption));
	if (adoption) {
		*adoption = (struct adoption){worker, socket};
		if (loop_post(worker->loop, on_adopted, adoption) == OK) {
			return;
		}
		mem_free(adoption);
	}
	loop_socket_close(worker->loop, socket);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static enum err make_parts(struct worker *worker)
{
	const struct worker_options *options = &worker->options;
	uint64_t seed = loop_random(worker->loop);
	enum err err = ring_new(options->ring_events, &worker->ring);
	if (err == OK) {
		err = loop_waker_new(worker->loop, on_events, worker, &worker->events_waker);
	}
	if (err == OK) {
		err = loop_waker_new(worker->loop, on_sweep, worker, &worker->sweep_waker);
	}
	if (err == OK) {
		err = loop_timer_new(worker->loop, on_tick, worker, &worker->tick);
	}
	if (err == OK) {
		err = match_new(
			&options->match, seed, options->interest, options->metrics, &worker->match);
	}
	if (err == OK) {
		err = subs_new(
			&options->subs, seed, worker->match, options->metrics, &worker->subs);
	}
	if (err == OK) {
		err = route_new(
			worker->match, options->metrics, on_target_ended, worker, &worker->route);
	}
	if (err == OK) {
		const struct remote_engine engine = {.open = open_for_gateway,
			.subscribe = subscribe_for_gateway,
			.unsubscribe = unsubscribe_for_gateway,
			.heartbeat = heartbeat_of_gateway,
			.close = close_for_gateway,
			.ctx = worker};
		err = remote_server_new(worker->loop, &options->remote, &engine, &worker->remote);
	}
	return err;
}

static void release_ring(struct worker *worker)
{
	void *event = NULL;
	while (worker->ring && ring_pop(worker->ring, &event, 1) == 1) {
		event_unref(event);
	}
	ring_free(worker->ring);
}

void worker_free(struct worker *worker)
{
	if (!worker) {
		return;
	}
	while (worker->streams) {
		struct stream *stream = worker->streams->stream;
		stream_end(stream, ERR_UNAVAILABLE, "shutting down");
		worker_detach(worker->streams);
	}
	remote_server_free(worker->remote);
	route_free(worker->route);
	subs_free(worker->subs);
	match_free(worker->match);
	loop_timer_free(worker->tick);
	loop_waker_free(worker->events_waker);
	loop_waker_free(worker->sweep_waker);
	release_ring(worker);
	mem_free(worker);
}

enum err worker_new(
	struct loop *loop, const struct worker_options *options, struct worker **ret_worker)
{
	struct worker *worker = mem_calloc(1, sizeof(*worker));
	if (!worker) {
		return ERR_MEMORY;
	}
	worker->loop = loop;
	worker->options = *options;
	enum err err = make_parts(worker);
	if (err != OK) {
		worker_free(worker);
		return err;
	}
	loop_timer_start(worker->tick, TICK_US);
	*ret_worker = worker;
	return OK;
}

void worker_drain(struct worker *worker)
{
	atomic_store_explicit(&worker->closing, true, memory_order_relaxed);
	for (struct worker_stream *stream = worker->streams; stream; stream = stream->next) {
		stream_finish(stream->stream, ERR_UNAVAILABLE, "shutting down");
	}
	remote_server_drain(worker->remote);
}

bool worker_is_drained(const struct worker *worker)
{
	if (remote_server_connections(worker->remote) > 0) {
		return false;
	}
	for (const struct worker_stream *stream = worker->streams; stream; stream = stream->next) {
		if (stream_queued_count(stream->stream) > 0) {
			return false;
		}
	}
	return true;
}

void worker_close(struct worker *worker, loop_fn closed, void *ctx)
{
	atomic_store_explicit(&worker->closing, true, memory_order_relaxed);
	loop_timer_stop(worker->tick);
	for (struct worker_stream *stream = worker->streams; stream; stream = stream->next) {
		stream_end(stream->stream, ERR_UNAVAILABLE, "shutting down");
	}
	remote_server_close(worker->remote, closed, ctx);
}
