/*
 * The life of an event is the first function. Everything a worker owns is touched on its loop's
 * thread only; what others may call ends at the ring, at two atomics, or at a post to the loop.
 */
#include "worker_priv.h"

#include <stdio.h>
#include <string.h>

/* Batches between two looks at the sockets: events must not keep answers and writes waiting. */
#define BATCHES_PER_TURN 16
#define TICK_US 100000
/* Subscriptions of streams that are gone: less than 1 ms, and more than bulks bring in a turn, so
 * that streams that come and go leave no more and more behind. */
#define SWEEP_PER_TURN (2 * REMOTE_BULK_PER_TURN)

/* ---- the life of an event -------------------------------------------------------------------- */

static void end_all(struct worker *worker, enum err why, const char *text);

enum err worker_own_event(const struct worker *worker, struct event **event)
{
	const struct event *shared = *event;
	uint32_t json_depth_max = worker->options.json_depth_max;
	struct bytes collection;
	struct bytes id;
	if (match_identify(worker->match, shared, &collection, &id)) {
		return wire_event_identify(shared, collection, id, json_depth_max, event);
	}
	bool lacks = !shared->is_read || (match_members(worker->match) & shared->skipped) != 0;
	if (lacks && match_wants(worker->match, shared->change.database, shared->collection)) {
		return wire_event_read(shared, json_depth_max, event);
	}
	return OK;
}

/* A part of a batch, matched and queued. */
static void route_part(struct worker *worker, struct event *const *shared, size_t count)
{
	struct event *batch[MATCH_BATCH_MAX];
	enum err err = OK;
	for (size_t i = 0; i < count; i++) {
		batch[i] = shared[i];
		enum err own = worker_own_event(worker, &batch[i]);
		err = own == OK ? err : own;
	}
	if (err == OK && count > 0) {
		err = route_events(worker->route, batch, count, loop_now_us(worker->loop));
	}
	if (err != OK) {
		end_all(worker, err, "out of memory while matching");
	}
	for (size_t i = 0; i < count; i++) {
		if (batch[i] != shared[i]) {
			event_unref(batch[i]);
		}
	}
}

/* It is routed: those who come back find it in the history. */
static void keep_event(struct worker *worker, struct event *event)
{
	history_add(worker->history, event, loop_now_us(worker->loop));
	memcpy(worker->newest, event->position.data, sizeof(worker->newest));
	worker->is_recovering = event->is_history_only && !event->is_last_old;
	event_unref(event);
}

/* How many events from the front are for streams at the head. */
static size_t live_part(struct event *const *events, size_t count)
{
	size_t live = 0;
	while (live < count && !events[live]->is_break && !events[live]->is_history_only) {
		live++;
	}
	return live;
}

/* Takes a batch from the ring, has it matched and queued, and says so. How many there were. */
static size_t route_batch(struct worker *worker)
{
	struct event *events[MATCH_BATCH_MAX];
	size_t count = ring_pop(worker->ring, (void **)events, MATCH_BATCH_MAX);
	if (count == 0) {
		return 0;
	}
	uint64_t sequence = events[count - 1]->sequence;
	for (size_t first = 0; first < count;) {
		size_t part = live_part(events + first, count - first);
		route_part(worker, events + first, part);
		if (part == 0) {
			if (events[first]->is_break) {
				resume_break(worker, events[first]);
			}
			part = 1;
		}
		for (size_t i = 0; i < part; i++) {
			keep_event(worker, events[first + i]);
		}
		first += part;
	}
	atomic_store_explicit(
		&worker->oldest, history_oldest(worker->history), memory_order_release);
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

uint64_t worker_oldest(const struct worker *worker)
{
	return atomic_load_explicit(&worker->oldest, memory_order_acquire);
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
void worker_report_end(struct worker_stream *stream, enum err why)
{
	struct worker *worker = stream->worker;
	if (!stream->subs) {
		return; /* said before */
	}
	const struct stream_limits *limits = &worker->options.stream;
	const char *text = stream_end_text(stream->stream);
	uint64_t queued = stream_queued_count(stream->stream);
	int64_t head_us = stream_head_us(stream->stream);
	int64_t oldest_us = queued > 0 && head_us > 0 ? loop_now_us(worker->loop) - head_us : 0;
	log_write(worker->options.log, loop_wall_us(worker->loop), LOG_WARNING,
		"worker: stream ended: %s, worker=%u gateway=%s name=%s "
		"subscriptions=%zu "
		"queued_bytes=%zu queued_deliveries=%llu oldest_ms=%lld queue_hard_bytes=%zu "
		"queue_soft_bytes=%zu queue_soft_ms=%lld",
		*text ? text : err_text(why), worker->options.number, stream->peer, stream->name,
		subs_stream_count(stream->subs), stream_queued_bytes(stream->stream),
		(unsigned long long)queued, (long long)(oldest_us / 1000), limits->hard_bytes,
		limits->soft_bytes, (long long)(limits->soft_us / 1000));
	drop_subscriptions(stream);
}

static void on_target_ended(void *ctx, struct route_target *target, enum err why)
{
	(void)ctx;
	struct worker_stream *stream = (struct worker_stream *)(void *)((char *)target -
		offsetof(struct worker_stream, target));
	worker_report_end(stream, why);
}

static void end_all(struct worker *worker, enum err why, const char *text)
{
	for (struct worker_stream *stream = worker->streams; stream; stream = stream->next) {
		stream_end(stream->stream, why, text);
		worker_report_end(stream, why);
	}
}

static void on_tick(void *ctx)
{
	struct worker *worker = ctx;
	int64_t now_us = loop_now_us(worker->loop);
	for (struct worker_stream *stream = worker->streams; stream; stream = stream->next) {
		enum err err = stream_tick(stream->stream, now_us);
		if (err != OK) {
			worker_report_end(stream, err);
		}
	}
	resume_tick(worker, now_us);
	atomic_store_explicit(
		&worker->oldest, history_oldest(worker->history), memory_order_release);
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

void worker_pushed(struct worker_stream *stream, enum err err)
{
	if (err == ERR_MEMORY) {
		stream_end(stream->stream, err, "out of memory for what is to be sent");
	}
	if (err != OK && err != ERR_CLOSED) {
		worker_report_end(stream, err);
	}
}

static void say_from_where(const struct worker_stream *stream, struct model_answer *answer)
{
	if (answer->refusal == MODEL_ACCEPTED) {
		answer->live_after = resume_position(stream);
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
	say_from_where(stream, &answer);
	worker_pushed(stream,
		stream_push_answer(stream->stream, &answer, loop_now_us(stream->worker->loop)));
}

void worker_subscribe_quietly(struct worker_stream *stream,
	const struct model_subscription *subscription, const struct err_info *refusal,
	struct model_answer *ret_answer)
{
	if (!stream->subs) { /* an answer before this one was too much for it */
		*ret_answer = (struct model_answer){.id = subscription->id,
			.refusal = MODEL_REFUSED_LIMIT,
			.text = bytes_of(err_text(ERR_CLOSED))};
		return;
	}
	subs_ensure(stream->worker->subs, stream->subs, subscription, refusal, ret_answer);
	say_from_where(stream, ret_answer);
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

struct bytes worker_position(const struct worker_stream *stream)
{
	return resume_position(stream);
}

void worker_send(struct worker_stream *stream, struct bytes message)
{
	worker_pushed(stream,
		stream_push_message(stream->stream, message, loop_now_us(stream->worker->loop)));
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

/* ---- connections ---------------------------------------------------------------------------- */

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
		err = loop_waker_new(worker->loop, resume_on_replay, worker, &worker->replay_waker);
	}
	if (err == OK) {
		err = loop_timer_new(worker->loop, resume_on_replay, worker, &worker->replay_timer);
	}
	if (err == OK) {
		err = loop_timer_new(worker->loop, on_tick, worker, &worker->tick);
	}
	if (err == OK) {
		err = history_new(&options->history, options->metrics, &worker->history);
	}
	struct model_position position;
	if (err == OK && options->is_at_beginning &&
		model_position_read(options->beginning, &position) == OK) {
		history_begin(worker->history, &position);
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
		const struct remote_engine engine = worker_remote_engine(worker);
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
	history_free(worker->history);
	loop_timer_free(worker->tick);
	loop_timer_free(worker->replay_timer);
	loop_waker_free(worker->replay_waker);
	loop_waker_free(worker->events_waker);
	loop_waker_free(worker->sweep_waker);
	release_ring(worker);
	mem_free(worker);
}

/* As long as nothing is routed, a next life can find what the one before has routed last. */
static void place_before_first(struct worker *worker)
{
	struct model_position position = {0};
	if (model_position_read(worker->options.beginning, &position) != OK) {
		position = (struct model_position){0};
	}
	position.epoch = worker->options.remote.epoch;
	position.sequence = 0;
	model_position_write(&position, worker->newest);
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
	place_before_first(worker);
	atomic_init(&worker->oldest, 1);
	enum err err = make_parts(worker);
	if (err != OK) {
		worker_free(worker);
		return err;
	}
	loop_timer_start(worker->tick, TICK_US);
	*ret_worker = worker;
	return OK;
}

/* Who can be told that it is to go says goodbye ahead of the end. */
void worker_drain(struct worker *worker)
{
	atomic_store_explicit(&worker->closing, true, memory_order_relaxed);
	remote_server_drain(worker->remote);
	for (struct worker_stream *stream = worker->streams; stream; stream = stream->next) {
		stream_finish(stream->stream, ERR_UNAVAILABLE, "shutting down");
	}
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
	loop_timer_stop(worker->replay_timer);
	for (struct worker_stream *stream = worker->streams; stream; stream = stream->next) {
		stream_end(stream->stream, ERR_UNAVAILABLE, "shutting down");
	}
	remote_server_close(worker->remote, closed, ctx);
}
