/*
 * What a client gets: answers go to the table, deliveries and gaps into the consumer's queue, and
 * with them the position from which another connection would go on. What cannot be queued, for want
 * of memory, is not counted as got: the connection is given up, and the next one begins before it.
 */
#include "client_priv.h"

#include <stdio.h>

/* Ids of one event. Beyond that the server is not to be believed. */
#define PARTS_BYTES_MAX ((size_t)1 << 28)

static void pause_if_full(struct remote_client *client)
{
	size_t most = client->options.pause_bytes;
	if (client->call && stream_queued_bytes(client->stream) > most) {
		grpc_call_pause(client->call, true);
		(void)atomic_exchange_explicit(&client->is_paused, 1, memory_order_acq_rel);
		if (stream_queued_bytes(client->stream) <= most / 2) {
			remote_client_resume(
				client); /* the consumer was quicker, and saw nothing */
		}
	}
}

static uint32_t count_ids(struct bytes run)
{
	uint32_t count = 0;
	struct bytes id;
	while (wire_id_next(&run, &id)) {
		count++;
	}
	return count;
}

static enum err make_event(const struct wire_streamer_message *message, struct event **ret_event)
{
	struct event *event = NULL;
	enum err err = event_new(&event);
	if (err != OK) {
		return err;
	}
	event->encoded = arena_copy(&event->arena, message->event);
	event->position = arena_copy(&event->arena, message->mark.position);
	if (!event->encoded.data || !event->position.data) {
		event_unref(event);
		return ERR_MEMORY;
	}
	*ret_event = event;
	return OK;
}

static enum err push(struct remote_client *client, struct event *event, struct bytes run,
	const struct model_mark *mark)
{
	const struct stream_delivery delivery = {.event = event,
		.runs = &run,
		.runs_count = run.size > 0, /* else it has no address */
		.ids_count = count_ids(run),
		.is_replayed = mark->replayed,
		.has_more = mark->more};
	return stream_push_delivery(client->stream, &delivery, client->heard_us);
}

static enum err take_undivided(
	struct remote_client *client, const struct wire_streamer_message *message)
{
	struct event *event = NULL;
	enum err err = make_event(message, &event);
	if (err == OK) {
		err = push(client, event, message->run, &message->mark);
		event_unref(event);
	}
	return err;
}

/* ---- events in parts ------------------------------------------------------------------------- */

static void drop(struct parts *parts)
{
	event_unref(parts->event);
	buffer_fini(&parts->ids);
	*parts = (struct parts){0};
}

void client_drop_parts(struct remote_client *client)
{
	drop(&client->whole);
	drop(&client->bare);
}

static enum err keep_part(struct remote_client *client, struct parts *parts,
	const struct wire_streamer_message *message)
{
	size_t kept = client->whole.ids.size + client->bare.ids.size;
	if (kept + message->run.size > PARTS_BYTES_MAX) {
		return ERR_LIMIT;
	}
	enum err err = parts->event ? OK : make_event(message, &parts->event);
	return err == OK ? buffer_append(&parts->ids, message->run) : err;
}

static enum err push_kept(
	struct remote_client *client, const struct parts *parts, const struct model_mark *mark)
{
	return push(client, parts->event, buffer_bytes(&parts->ids), mark);
}

/* The last of them alone has the position: who has got no further has not got the event. */
static enum err push_parts(struct remote_client *client, const struct model_mark *mark)
{
	const struct parts *last = client->bare.event ? &client->bare : &client->whole;
	struct event *event = last->event;
	check(event);
	struct bytes position = arena_copy(&event->arena, mark->position);
	if (!position.data) {
		return ERR_MEMORY;
	}
	event->position = position;
	if (last == &client->whole || !client->whole.event) {
		return push_kept(client, last, mark);
	}
	const struct model_mark more = {.replayed = mark->replayed, .more = true};
	enum err err = push_kept(client, &client->whole, &more);
	if (err == OK) {
		err = push_kept(client, last, mark);
		if (err == ERR_MEMORY) { /* another connection would bring the first once more */
			stream_end(client->stream, err, "out of memory for a delivery");
		}
	}
	return err;
}

/*
 * The parts of one event are one delivery for those with its document and one for those without,
 * queued together when the last one has come; of an event whose rest never came, none.
 */
static enum err take_part(struct remote_client *client, const struct model_delivery *delivery,
	const struct wire_streamer_message *message)
{
	bool is_bare = delivery->document.size == 0;
	enum err err = keep_part(client, is_bare ? &client->bare : &client->whole, message);
	if (err == OK && !message->mark.more) {
		err = push_parts(client, &message->mark);
		client_drop_parts(client);
	}
	return err;
}

static enum err take_delivery(
	struct remote_client *client, const struct wire_streamer_message *message)
{
	struct model_delivery delivery;
	enum err err = wire_delivery_parse(message->event, &delivery);
	if (err != OK) {
		return err;
	}
	bool is_part = message->mark.more || client->whole.event || client->bare.event;
	err = is_part ? take_part(client, &delivery, message) : take_undivided(client, message);
	if (err == OK && !message->mark.more) {
		client_note_position(client, message->mark.position);
	}
	return err;
}

/* ---- other messages -------------------------------------------------------------------------- */

static enum err take_gap(struct remote_client *client, const struct model_gap *gap)
{
	struct model_delivery checked;
	enum err err = wire_delivery_parse(gap->event, &checked);
	if (err == OK) {
		err = stream_push_gap(client->stream, gap, client->heard_us);
	}
	if (err == OK) {
		client_note_position(client, gap->until);
	}
	return err;
}

static enum err take_notice(struct remote_client *client, const struct model_notice *notice)
{
	size_t size = wire_id_size(notice->subscription_id);
	struct bytes run = {arena_alloc(&client->arena, size), size};
	if (!run.data) {
		return ERR_MEMORY;
	}
	check(wire_id_write(notice->subscription_id, (char *)run.data) == size);
	return stream_push_notice(client->stream, notice, run, 1, client->heard_us);
}

/* Live from here on, whatever has been asked for: there is something to be missed between. */
static void begin_anew(struct remote_client *client, struct bytes position)
{
	client->owes_gap = client->owes_gap || client->has_begun;
	client->position_size = 0;
	client_note_position(client, position);
}

static enum err take_welcome(struct remote_client *client, const struct model_welcome *welcome)
{
	if (client->server != SERVER_UNKNOWN) {
		return OK;
	}
	if (welcome->message_bytes_max > 0) {
		client->peer_bytes_max = welcome->message_bytes_max;
	}
	int64_t often_us = (int64_t)welcome->lease_ms * 1000 / 3;
	if (often_us > 0 && often_us < client->heartbeat_us) {
		client->heartbeat_us = often_us;
	}
	if (welcome->resume == MODEL_RESUME_LIVE) {
		begin_anew(client, welcome->position);
	}
	return client_meet(client, SERVER_EXTENDED);
}

static enum err take_ack(struct remote_client *client, const struct model_heartbeat_ack *ack)
{
	if (client->server == SERVER_UNKNOWN) {
		begin_anew(client, (struct bytes){0});
		return client_meet(client, SERVER_ORIGINAL);
	}
	client_note_position(client, ack->position);
	return OK;
}

static enum err take_message(
	struct remote_client *client, const struct wire_streamer_message *message)
{
	switch (message->kind) {
	case WIRE_STREAMER_DELIVERY:
		return take_delivery(client, message);
	case WIRE_STREAMER_ANSWER:
		return client_answered(client, &message->answer);
	case WIRE_STREAMER_BULK_ANSWER:
		return client_bulk_answered(client, &message->bulk_answer);
	case WIRE_STREAMER_NOTICE:
		return take_notice(client, &message->notice);
	case WIRE_STREAMER_GAP:
		return take_gap(client, &message->gap);
	case WIRE_STREAMER_WELCOME:
		return take_welcome(client, &message->welcome);
	case WIRE_STREAMER_HEARTBEAT_ACK:
		return take_ack(client, &message->ack);
	case WIRE_STREAMER_GOING_AWAY:
		client->is_going_away = true;
		return OK;
	case WIRE_STREAMER_UNSUBSCRIBED:
	case WIRE_STREAMER_NOTHING:
		break;
	}
	return OK;
}

void client_on_message(void *ctx, struct bytes bytes)
{
	struct remote_client *client = ctx;
	struct wire_streamer_message message;
	if (!client->call) {
		return; /* given up before */
	}
	arena_reset(&client->arena);
	client->heard_us = loop_now_us(client->loop);
	enum err err = wire_streamer_message_parse(bytes, &client->arena, &message);
	if (err == OK) {
		err = take_message(client, &message);
	}
	if (err != OK) {
		char text[128];
		(void)snprintf(
			text, sizeof(text), "message of %zu bytes: %s", bytes.size, err_text(err));
		client_break_off(client, text);
		return;
	}
	if (message.kind != WIRE_STREAMER_DELIVERY) {
		client_send(client); /* what an answer has made possible */
	}
	pause_if_full(client);
}
