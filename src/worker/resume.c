/*
 * Streams that come back. One names the last position that it has (Hello.after); if the history
 * goes back so far, it is *behind*: first held, until it has registered everything again or its
 * lease has passed; then replayed in slices through the same matching as anything else, at the pace
 * at which its queue empties; and when it has reached the end of the history it is live. Where
 * something is missing a gap stands in the stream, and where nothing is known of the position the
 * gap stands first.
 */
#include "worker_priv.h"

#include <string.h>

/* Batches that one stream is served in one turn: others, and live events, must not wait long. */
#define REPLAY_BATCHES 4
#define REPLAY_LATER_US 5000

static struct bytes position_bytes(const char position[MODEL_POSITION_SIZE])
{
	return (struct bytes){position, MODEL_POSITION_SIZE};
}

static void stand(struct worker_stream *stream, enum stand stand)
{
	stream->stand = stand;
	stream->stand_us = loop_now_us(stream->worker->loop);
	stream->target.is_behind = stand != STAND_LIVE;
}

struct bytes resume_position(const struct worker_stream *stream)
{
	return position_bytes(
		stream->stand == STAND_LIVE ? stream->worker->newest : stream->position);
}

static void push_gap(struct worker_stream *stream, const struct model_gap *gap)
{
	struct worker *worker = stream->worker;
	worker_pushed(stream, stream_push_gap(stream->stream, gap, loop_now_us(worker->loop)));
}

void resume_break(struct worker *worker, const struct event *event)
{
	const struct model_gap gap = {.after = position_bytes(worker->newest),
		.until = event->position,
		.reason = MODEL_GAP_SOURCE};
	for (struct worker_stream *stream = worker->streams; stream; stream = stream->next) {
		if (stream->stand == STAND_LIVE && stream->subs &&
			subs_stream_count(stream->subs) > 0) {
			push_gap(stream, &gap);
		}
	}
}

/* ---- replay ---------------------------------------------------------------------------------- */

/* The history has let go of what was to come next. */
static void skip_lost(struct worker_stream *stream)
{
	struct worker *worker = stream->worker;
	uint64_t oldest = history_oldest(worker->history);
	const struct model_position last = {
		.epoch = worker->options.remote.epoch, .sequence = oldest - 1};
	char until[MODEL_POSITION_SIZE];
	if (oldest == history_end(worker->history)) {
		memcpy(until, worker->newest, sizeof(until)); /* which another life finds */
	} else {
		model_position_write(&last, until);
	}
	const struct model_gap gap = {.after = position_bytes(stream->position),
		.until = position_bytes(until),
		.reason = MODEL_GAP_TOO_OLD,
		.events = oldest - stream->next_sequence};
	push_gap(stream, &gap);
	stream->next_sequence = oldest;
	memcpy(stream->position, until, sizeof(until));
}

static void replay_break(struct worker_stream *stream, const struct event *event)
{
	const struct model_gap gap = {.after = position_bytes(stream->position),
		.until = event->position,
		.reason = MODEL_GAP_SOURCE};
	push_gap(stream, &gap);
	stream->next_sequence++;
	memcpy(stream->position, event->position.data, sizeof(stream->position));
}

static size_t take_batch(const struct worker_stream *stream, struct event **events)
{
	const struct history *history = stream->worker->history;
	size_t count = 0;
	uint64_t end = history_end(history);
	for (uint64_t i = stream->next_sequence; i < end && count < stream->batch; i++) {
		struct event *event = history_at(history, i);
		if (event->is_break) {
			break;
		}
		events[count++] = event;
	}
	return count;
}

static bool has_room(const struct worker_stream *stream)
{
	return stream_queued_bytes(stream->stream) <= stream->worker->options.stream.soft_bytes / 4;
}

/*
 * How large its deliveries are is seen when they are queued, so batches begin with one event and
 * grow while there is room behind them: a whole batch of large ones would be beyond the limits of
 * any queue, and end a stream that is not slow, again and again.
 */
static void pace(struct worker_stream *stream)
{
	if (!has_room(stream)) {
		stream->batch = 1;
	} else if (stream->batch < MATCH_BATCH_MAX) {
		stream->batch *= 2;
	}
}

static void replay_batch(struct worker_stream *stream)
{
	struct worker *worker = stream->worker;
	struct event *kept[MATCH_BATCH_MAX];
	struct event *batch[MATCH_BATCH_MAX];
	size_t count = take_batch(stream, kept);
	if (count == 0) {
		replay_break(stream, history_at(worker->history, stream->next_sequence));
		return;
	}
	enum err err = OK;
	for (size_t i = 0; i < count; i++) {
		batch[i] = kept[i];
		enum err own = worker_own_event(worker, &batch[i]);
		err = own == OK ? err : own;
	}
	if (err == OK) {
		err = route_replay(
			worker->route, &stream->target, batch, count, loop_now_us(worker->loop));
	}
	for (size_t i = 0; i < count; i++) {
		if (batch[i] != kept[i]) {
			event_unref(batch[i]);
		}
	}
	worker_pushed(stream, err);
	pace(stream);
	stream->next_sequence += count;
	memcpy(stream->position, kept[count - 1]->position.data, sizeof(stream->position));
}

/* LATER: its queue has no room, or what comes next is not there yet. */
enum served { SERVED_ALL, SERVED_SOME, SERVED_LATER };

/* Behind the history's end there may be more for it alone, or what another worker has had. */
static bool is_at_head(const struct worker_stream *stream)
{
	const struct worker *worker = stream->worker;
	return stream->next_sequence == history_end(worker->history) && !worker->is_recovering;
}

static enum served serve(struct worker_stream *stream)
{
	const struct history *history = stream->worker->history;
	for (int i = 0; i < REPLAY_BATCHES; i++) {
		if (!stream->subs) { /* it has ended */
			return SERVED_ALL;
		}
		if (stream->next_sequence < history_oldest(history)) {
			skip_lost(stream);
		} else if (is_at_head(stream)) {
			stand(stream, STAND_LIVE);
			return SERVED_ALL;
		} else if (!has_room(stream) || stream->next_sequence >= history_end(history)) {
			return SERVED_LATER;
		} else {
			replay_batch(stream);
		}
	}
	return SERVED_SOME;
}

void resume_on_replay(void *ctx)
{
	struct worker *worker = ctx;
	bool some = false;
	bool later = false;
	for (struct worker_stream *stream = worker->streams; stream; stream = stream->next) {
		if (stream->stand == STAND_REPLAY) {
			enum served served = serve(stream);
			some = some || served == SERVED_SOME;
			later = later || served == SERVED_LATER;
		}
	}
	if (some) {
		loop_waker_wake(worker->replay_waker);
	} else if (later) {
		loop_timer_start(worker->replay_timer, REPLAY_LATER_US);
	}
}

static void start_replay(struct worker_stream *stream)
{
	stream->batch = 1;
	stand(stream, STAND_REPLAY);
	loop_waker_wake(stream->worker->replay_waker);
}

/* ---- Hello ----------------------------------------------------------------------------------- */

/* Where a position stands; one of an earlier life by what it says of its change. */
static enum history_place look_up(
	const struct worker *worker, const struct model_position *position, uint64_t *ret_sequence)
{
	const struct history *history = worker->history;
	if (position->epoch != worker->options.remote.epoch) {
		enum history_place place = history_find(history, position, ret_sequence);
		return place == HISTORY_AHEAD && !worker->options.recovers ? HISTORY_PASSED : place;
	}
	/* Another worker may be as far ahead of this one as a ring is long. */
	uint64_t newest = history_end(history) - 1 + worker->options.ring_events;
	*ret_sequence = position->sequence;
	return position->sequence <= newest ? HISTORY_FOUND : HISTORY_PASSED;
}

static void welcome(struct worker_stream *stream, enum model_resume resume)
{
	struct worker *worker = stream->worker;
	const struct remote_server_options *remote = &worker->options.remote;
	const struct model_welcome welcome = {.version = 1,
		.epoch = remote->epoch,
		.position = resume_position(stream),
		.resume = resume,
		.lease_ms = remote->lease_ms,
		.message_bytes_max = remote->message_bytes_max};
	worker_pushed(
		stream, stream_push_welcome(stream->stream, &welcome, loop_now_us(worker->loop)));
}

static void resume_at(struct worker_stream *stream, uint64_t sequence)
{
	stream->next_sequence = sequence + 1;
	stand(stream, STAND_HELD);
	metrics_add(stream->worker->options.metrics, METRIC_streams_resumed, 1);
	welcome(stream, MODEL_RESUME_REPLAY);
}

/* It begins at the head, held too: what comes while it registers is replayed. */
static void resume_behind_gap(
	struct worker_stream *stream, struct bytes after, enum model_gap_reason reason)
{
	struct worker *worker = stream->worker;
	const struct model_gap gap = {
		.after = after, .until = position_bytes(worker->newest), .reason = reason};
	memcpy(stream->position, worker->newest, sizeof(stream->position));
	stream->next_sequence = history_end(worker->history);
	stand(stream, STAND_HELD);
	welcome(stream, MODEL_RESUME_GAP);
	push_gap(stream, &gap);
}

/* Decides how it goes on after stream->position; false: not yet. */
static bool decide(struct worker_stream *stream)
{
	struct worker *worker = stream->worker;
	char from[MODEL_POSITION_SIZE];
	memcpy(from, stream->position, sizeof(from));
	struct bytes after = position_bytes(from);
	struct model_position position;
	uint64_t sequence = 0;
	enum history_place place = HISTORY_PASSED;
	if (model_position_read(after, &position) == OK) {
		place = look_up(worker, &position, &sequence);
	}
	/* A gap in the midst of a replay would have all of the rest come again behind it. */
	bool may_change =
		place == HISTORY_AHEAD || (place == HISTORY_PASSED && worker->is_recovering);
	if (may_change &&
		loop_now_us(worker->loop) - stream->stand_us < worker->options.resume_wait_us) {
		return false;
	}
	if (place != HISTORY_FOUND) {
		resume_behind_gap(stream, after, MODEL_GAP_UNKNOWN);
	} else if (sequence + 1 < history_oldest(worker->history)) {
		resume_behind_gap(stream, after, MODEL_GAP_TOO_OLD);
	} else {
		resume_at(stream, sequence);
	}
	return true;
}

void worker_hello(struct worker_stream *stream, const struct model_hello *hello)
{
	if (!stream->subs) {
		return; /* ended */
	}
	if (hello->after.size == 0) {
		welcome(stream, MODEL_RESUME_LIVE);
		return;
	}
	if (hello->after.size != MODEL_POSITION_SIZE) {
		resume_behind_gap(stream, hello->after, MODEL_GAP_UNKNOWN);
		return;
	}
	memcpy(stream->position, hello->after.data, sizeof(stream->position));
	stand(stream, STAND_WAITING);
	(void)decide(stream);
}

void worker_heartbeat(struct worker_stream *stream, const struct model_heartbeat *heartbeat)
{
	worker_pushed(stream,
		stream_push_ack(stream->stream, heartbeat->timestamp_ms,
			loop_now_us(stream->worker->loop)));
	if (heartbeat->registered && stream->stand == STAND_HELD) {
		start_replay(stream);
	}
}

void resume_tick(struct worker *worker, int64_t now_us)
{
	int64_t lease_us = (int64_t)worker->options.remote.lease_ms * 1000;
	history_expire(worker->history, now_us);
	for (struct worker_stream *stream = worker->streams; stream; stream = stream->next) {
		if (stream->stand == STAND_WAITING && stream->subs) {
			(void)decide(stream);
		} else if (stream->stand == STAND_HELD && lease_us > 0 &&
			now_us - stream->stand_us >= lease_us) {
			start_replay(stream);
		}
	}
}
