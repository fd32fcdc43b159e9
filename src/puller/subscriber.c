/*
 * One subscriber: a call, the place where it stands in the sequence, and its marker. It sends when
 * its request comes, when its call has room again, when its timer fires, and when there is
 * something new for all; each time as much as its call, its rate and the sequence give. It is over
 * once its end has been sent, and its memory goes when the call has ended.
 */
#include "puller_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BURST_US 100000 /* a subscriber that was held up may make up for so much of its rate */

static void log_subscribed(
	const struct puller_subscriber *subscriber, const struct wire_puller_request *request)
{
	const struct puller *puller = subscriber->puller;
	log_write(puller->options.log, loop_wall_us(puller->loop), LOG_INFO,
		"puller: subscribed, subscriber=%s consumer_id=%.*s after=%.*s",
		grpc_call_peer(subscriber->call), BYTES_FORMAT(request->consumer_id),
		BYTES_FORMAT(request->after));
}

static void log_end(
	const struct puller_subscriber *subscriber, enum grpc_status status, struct bytes text)
{
	const struct puller *puller = subscriber->puller;
	log_write(puller->options.log, loop_wall_us(puller->loop), LOG_INFO,
		"puller: unsubscribed, subscriber=%s sent=%" PRIu64 " status=%s %.*s",
		grpc_call_peer(subscriber->call), subscriber->sent, grpc_status_name(status),
		BYTES_FORMAT(text));
}

void puller_subscriber_end(
	struct puller_subscriber *subscriber, enum grpc_status status, const char *text)
{
	if (!subscriber->is_over) {
		subscriber->is_over = true;
		loop_timer_stop(subscriber->timer);
		grpc_call_finish(subscriber->call, status, text);
	}
}

/* ---- out ------------------------------------------------------------------------------------- */

/* The change at `head` and the progress behind it, which protobuf takes for one message. */
static enum err send_pieces(struct puller_subscriber *subscriber, struct bytes head)
{
	struct puller *puller = subscriber->puller;
	const struct model_source_message progress = {.marker = buffer_bytes(&puller->marker)};
	char *place = NULL;
	puller->tail.size = 0;
	enum err err = wire_source_message_encode(&puller->tail, &progress);
	if (err) {
		return err;
	}
	err = grpc_call_begin(subscriber->call, head.size + puller->tail.size, &place);
	if (err) {
		return err;
	}
	if (head.size > 0) {
		memcpy(place, head.data, head.size);
	}
	if (puller->tail.size > 0) {
		memcpy(place + head.size, puller->tail.data, puller->tail.size);
	}
	grpc_call_commit(subscriber->call);
	subscriber->told_us = loop_now_us(puller->loop);
	return OK;
}

static enum err send_heartbeat(struct puller_subscriber *subscriber)
{
	struct puller *puller = subscriber->puller;
	puller->marker.size = 0;
	enum err err = buffer_append(&puller->marker, buffer_bytes(&subscriber->marker));
	return err ? err : send_pieces(subscriber, (struct bytes){0});
}

static enum err send_change(
	struct puller_subscriber *subscriber, const struct puller_change *change)
{
	struct puller *puller = subscriber->puller;
	puller->marker.size = 0;
	enum err err =
		puller_progress_set(&subscriber->progress, change->backend, change->event_id);
	err = err ? err : puller_progress_print(&subscriber->progress, &puller->marker);
	err = err ? err : send_pieces(subscriber, change->encoded);
	if (err) {
		return err;
	}
	struct buffer marker = puller->marker;
	puller->marker = subscriber->marker;
	subscriber->marker = marker;
	subscriber->position++;
	subscriber->sent++;
	if (puller->changes.has_source && puller->changes.source.sent) {
		puller->changes.source.sent(puller->changes.source.ctx, change->event_id);
	}
	return OK;
}

/* To the next change that is for this subscriber. ERR_EMPTY: none now; ERR_LIMIT: it was dropped.
 */
static enum err seek(struct puller_subscriber *subscriber)
{
	struct puller *puller = subscriber->puller;
	struct puller_changes *changes = &puller->changes;
	for (;;) {
		if (subscriber->position < changes->first) {
			return ERR_LIMIT;
		}
		if (subscriber->position == changes->end) {
			enum err err = changes->has_source
				? puller_kept_pull(changes, loop_wall_us(puller->loop))
				: ERR_EMPTY;
			if (err) {
				return err;
			}
		}
		const struct puller_entry *entry =
			puller_changes_entry(changes, subscriber->position);
		if (entry->backend >= subscriber->from_count ||
			subscriber->position >= subscriber->from[entry->backend]) {
			return OK;
		}
		subscriber->position++;
	}
}

static enum err send_next(struct puller_subscriber *subscriber, struct err_info *info)
{
	struct puller *puller = subscriber->puller;
	struct puller_change change;
	int64_t now_ms = loop_wall_us(puller->loop) / 1000;
	enum err err = seek(subscriber);
	if (err) {
		return err == ERR_LIMIT
			? err_set(info, err, 0, "changes that come next are no longer kept")
			: err;
	}
	err = puller_changes_read(&puller->changes, subscriber->position, now_ms, &change, info);
	return err ? err : send_change(subscriber, &change);
}

/* Whether the rate allows a change now. */
static bool is_due(struct puller_subscriber *subscriber, int64_t now_us)
{
	if (subscriber->puller->options.rate <= 0) {
		return true;
	}
	if (subscriber->due_us < (double)(now_us - BURST_US)) {
		subscriber->due_us = (double)(now_us - BURST_US);
	}
	return subscriber->due_us <= (double)now_us;
}

/* What an error means: no room or nothing there is a pause, all else the end. */
static void fail(struct puller_subscriber *subscriber, enum err err, const struct err_info *info)
{
	char text[300];
	if (err == OK || err == ERR_EMPTY || subscriber->is_over) {
		return;
	}
	if (err == ERR_FULL) {
		subscriber->is_blocked = true;
	} else if (err == ERR_MEMORY) {
		puller_subscriber_end(subscriber, GRPC_RESOURCE_EXHAUSTED, err_text(err));
	} else if (err == ERR_CLOSED) {
		subscriber->is_over = true; /* `ended` is on its way */
		loop_timer_stop(subscriber->timer);
	} else {
		(void)snprintf(text, sizeof text, "replay error: %s",
			info->text[0] ? info->text : err_text(err));
		puller_subscriber_end(subscriber, GRPC_INTERNAL, text);
	}
}

static bool can_send(const struct puller_subscriber *subscriber)
{
	return subscriber->is_started && !subscriber->is_over && !subscriber->is_blocked;
}

/* Until there is no room, or nothing there, or it is too early for more; returns whether it is. */
static bool send_changes(struct puller_subscriber *subscriber)
{
	const struct puller *puller = subscriber->puller;
	while (can_send(subscriber)) {
		struct err_info info = {0};
		if (!is_due(subscriber, loop_now_us(puller->loop))) {
			return true;
		}
		enum err err = send_next(subscriber, &info);
		if (err) {
			fail(subscriber, err, &info);
			return false;
		}
		if (puller->options.rate > 0) {
			subscriber->due_us += 1e6 / puller->options.rate;
		}
	}
	return false;
}

void puller_subscriber_push(struct puller_subscriber *subscriber)
{
	const struct puller *puller = subscriber->puller;
	bool is_early = send_changes(subscriber);
	int64_t now_us = loop_now_us(puller->loop);
	int64_t heartbeat_us = puller->options.heartbeat_us;
	if (can_send(subscriber) && now_us - subscriber->told_us >= heartbeat_us) {
		fail(subscriber, send_heartbeat(subscriber), &(struct err_info){0});
	}
	if (!can_send(subscriber)) {
		loop_timer_stop(subscriber->timer);
		return;
	}
	int64_t next_us = subscriber->told_us + heartbeat_us;
	if (is_early && subscriber->due_us < (double)next_us) {
		next_us = (int64_t)subscriber->due_us;
		next_us += (double)next_us < subscriber->due_us; /* never early */
	}
	loop_timer_start(subscriber->timer, next_us - now_us);
}

static void on_timer(void *ctx)
{
	puller_subscriber_push(ctx);
}

static void on_writable(void *ctx)
{
	struct puller_subscriber *subscriber = ctx;
	subscriber->is_blocked = false;
	puller_subscriber_push(subscriber);
}

/* ---- in -------------------------------------------------------------------------------------- */

/* After which changes of each backend it goes on; a backend that the marker does not name begins at
 * the beginning. */
static enum err start_from(struct puller_subscriber *subscriber)
{
	const struct puller_changes *changes = &subscriber->puller->changes;
	const struct puller_progress *progress = &subscriber->progress;
	uint64_t *from = mem_calloc(changes->backends_count + 1, sizeof *from);
	if (!from) {
		return ERR_MEMORY;
	}
	uint64_t least = changes->end;
	for (uint32_t i = 0; i < changes->backends_count; i++) {
		struct bytes name = buffer_bytes(&changes->backends[i]);
		from[i] = changes->first;
		for (size_t k = 0; k < progress->count; k++) {
			const struct puller_point *point = &progress->points[k];
			struct puller_event_id id;
			if (bytes_equal(buffer_bytes(&point->backend), name) &&
				puller_event_id_parse(buffer_bytes(&point->event_id), &id)) {
				from[i] = puller_changes_after(changes, name, &id);
			}
		}
		least = from[i] < least ? from[i] : least;
	}
	subscriber->from = from;
	subscriber->from_count = changes->backends_count;
	subscriber->position = least;
	return OK;
}

/* Refuses what the marker says with the original's words. */
static enum err check_marker(struct puller_subscriber *subscriber, struct bytes after)
{
	struct err_info info = {0};
	char text[400];
	enum err err = puller_progress_parse(after, &subscriber->progress, &info);
	if (err == ERR_MEMORY) {
		return err;
	}
	if (err) {
		(void)snprintf(text, sizeof text, "invalid 'after' progress marker: %s", info.text);
		puller_subscriber_end(subscriber, GRPC_INVALID_ARGUMENT, text);
		return err;
	}
	for (size_t i = 0; i < subscriber->progress.count; i++) {
		struct bytes event_id = buffer_bytes(&subscriber->progress.points[i].event_id);
		struct puller_event_id id;
		if (!puller_event_id_parse(event_id, &id)) {
			event_id.size = event_id.size < 200 ? event_id.size : 200;
			(void)snprintf(text, sizeof text,
				"failed to start replay: invalid event ID \"%.*s\"",
				BYTES_FORMAT(event_id));
			puller_subscriber_end(subscriber, GRPC_INTERNAL, text);
			return ERR_CORRUPT;
		}
	}
	return OK;
}

static enum err start(struct puller_subscriber *subscriber, struct bytes after)
{
	const struct puller_changes *changes = &subscriber->puller->changes;
	if (after.size == 0) {
		subscriber->position = changes->has_source ? changes->end : 0;
		return OK;
	}
	enum err err = check_marker(subscriber, after);
	err = err ? err : start_from(subscriber);
	return err ? err : buffer_append(&subscriber->marker, after);
}

static void on_message(void *ctx, struct bytes message)
{
	struct puller_subscriber *subscriber = ctx;
	struct puller *puller = subscriber->puller;
	struct wire_puller_request request;
	if (subscriber->is_over) {
		return;
	}
	if (subscriber->is_started) {
		puller_subscriber_end(subscriber, GRPC_INTERNAL, "more than one request");
		return;
	}
	if (wire_puller_request_parse(message, &request)) {
		puller_subscriber_end(
			subscriber, GRPC_INTERNAL, "the message is no valid SubscribeRequest");
		return;
	}
	subscriber->told_us = loop_now_us(puller->loop);
	subscriber->due_us = (double)subscriber->told_us;
	enum err err = start(subscriber, request.after);
	if (err) {
		fail(subscriber, err, &(struct err_info){0});
		return;
	}
	subscriber->is_started = true;
	log_subscribed(subscriber, &request);
	puller_subscriber_push(subscriber);
}

static void on_half_closed(void *ctx)
{
	struct puller_subscriber *subscriber = ctx;
	if (!subscriber->is_started) {
		puller_subscriber_end(subscriber, GRPC_INTERNAL, "there is no request");
	}
}

/* ---- life ------------------------------------------------------------------------------------ */

static void free_subscriber(struct puller_subscriber *subscriber)
{
	loop_timer_free(subscriber->timer);
	puller_progress_fini(&subscriber->progress);
	buffer_fini(&subscriber->marker);
	mem_free(subscriber->from);
	mem_free(subscriber);
}

static void on_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	struct puller_subscriber *subscriber = ctx;
	struct puller *puller = subscriber->puller;
	log_end(subscriber, status, text);
	if (subscriber->previous) {
		subscriber->previous->next = subscriber->next;
	} else {
		puller->subscribers = subscriber->next;
	}
	if (subscriber->next) {
		subscriber->next->previous = subscriber->previous;
	}
	free_subscriber(subscriber);
}

static const struct grpc_call_events subscriber_events = {
	.message = on_message,
	.half_closed = on_half_closed,
	.writable = on_writable,
	.ended = on_ended,
};

enum grpc_status puller_subscriber_new(struct puller *puller, struct grpc_call *call)
{
	struct puller_subscriber *subscriber = mem_calloc(1, sizeof *subscriber);
	if (!subscriber) {
		return GRPC_RESOURCE_EXHAUSTED;
	}
	if (loop_timer_new(puller->loop, on_timer, subscriber, &subscriber->timer)) {
		mem_free(subscriber);
		return GRPC_RESOURCE_EXHAUSTED;
	}
	subscriber->puller = puller;
	subscriber->call = call;
	subscriber->next = puller->subscribers;
	if (subscriber->next) {
		subscriber->next->previous = subscriber;
	}
	puller->subscribers = subscriber;
	grpc_call_set_ctx(call, &subscriber_events, subscriber);
	return GRPC_OK;
}
