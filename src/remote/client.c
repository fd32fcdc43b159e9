/*
 * The far end of a stream: one call on one connection. Requests that the call has no room for wait
 * in a buffer, each behind its length; heartbeats keep the connection known to be alive.
 */
#include "remote.h"

#include <stdio.h>
#include <string.h>

struct remote_client {
	struct loop *loop;
	struct remote_client_options options;
	char *address; /* options.address */
	struct stream *stream;
	struct grpc_client *grpc; /* NULL once its connection is gone */
	struct grpc_call *call;   /* NULL once it has ended */
	struct loop_timer *heartbeat;
	struct arena arena;
	struct buffer encoded; /* one request */
	struct buffer waiting; /* requests: 4 bytes of length, then the message */
	size_t waiting_start;
	int64_t heard_us; /* when the last message came */
	_Atomic bool paused;
	bool connected;
	loop_fn closed;
	void *closed_ctx;
};

/* ---- requests -------------------------------------------------------------------------------- */

static enum err wait_in_line(struct remote_client *client, struct bytes message)
{
	uint32_t size = (uint32_t)message.size;
	enum err err = buffer_reserve(&client->waiting, sizeof(size) + message.size);
	if (err != OK) {
		return err;
	}
	char *place = client->waiting.data + client->waiting.size;
	memcpy(place, &size, sizeof(size));
	memcpy(place + sizeof(size), message.data, message.size);
	client->waiting.size += sizeof(size) + message.size;
	return OK;
}

enum err remote_client_request(struct remote_client *client, struct bytes message)
{
	if (!client->call) {
		return ERR_CLOSED;
	}
	if (client->waiting_start < client->waiting.size) {
		return wait_in_line(client, message);
	}
	enum err err = grpc_call_send(client->call, message);
	return err == ERR_FULL ? wait_in_line(client, message) : err;
}

static void on_writable(void *ctx)
{
	struct remote_client *client = ctx;
	while (client->waiting_start < client->waiting.size) {
		const char *place = client->waiting.data + client->waiting_start;
		uint32_t size = 0;
		memcpy(&size, place, sizeof(size));
		struct bytes message = {place + sizeof(size), size};
		if (grpc_call_send(client->call, message) != OK) {
			return;
		}
		client->waiting_start += sizeof(size) + size;
	}
	client->waiting.size = 0;
	client->waiting_start = 0;
}

enum err remote_client_subscribe(
	struct remote_client *client, const struct model_subscription *subscription)
{
	check(subscription->id.size > 0);
	client->encoded.size = 0;
	enum err err = wire_subscribe_encode(&client->encoded, subscription);
	return err == OK ? remote_client_request(client, buffer_bytes(&client->encoded)) : err;
}

enum err remote_client_unsubscribe(struct remote_client *client, struct bytes id)
{
	client->encoded.size = 0;
	enum err err = wire_unsubscribe_encode(&client->encoded, id);
	return err == OK ? remote_client_request(client, buffer_bytes(&client->encoded)) : err;
}

/* ---- what comes ------------------------------------------------------------------------------ */

static enum err on_delivery(
	struct remote_client *client, const struct wire_streamer_message *message)
{
	struct event *event = NULL;
	struct model_delivery checked;
	enum err err = wire_delivery_parse(message->event, &checked);
	if (err == OK) {
		err = event_new(&event);
	}
	if (err != OK) {
		return err;
	}
	event->encoded = arena_copy(&event->arena, message->event);
	uint32_t count = 0;
	struct bytes rest = message->run;
	struct bytes id;
	while (wire_id_next(&rest, &id)) {
		count++;
	}
	err = event->encoded.data ? stream_push_delivery(client->stream, event, &message->run, 1,
					    count, loop_now_us(client->loop))
				  : ERR_MEMORY;
	event_unref(event);
	if (err == OK && stream_queued_bytes(client->stream) > client->options.pause_bytes) {
		atomic_store_explicit(&client->paused, true, memory_order_release);
		grpc_call_pause(client->call, true);
	}
	return err;
}

void remote_client_resume(struct remote_client *client)
{
	if (atomic_load_explicit(&client->paused, memory_order_relaxed) && client->call) {
		atomic_store_explicit(&client->paused, false, memory_order_release);
		client->heard_us = loop_now_us(client->loop);
		grpc_call_pause(client->call, false);
	}
}

bool remote_client_is_paused(const struct remote_client *client)
{
	return atomic_load_explicit(&client->paused, memory_order_acquire);
}

static void on_message(void *ctx, struct bytes bytes)
{
	struct remote_client *client = ctx;
	struct wire_streamer_message message;
	arena_reset(&client->arena);
	client->heard_us = loop_now_us(client->loop);
	enum err err = wire_streamer_message_parse(bytes, &client->arena, &message);
	if (err == OK && message.kind == WIRE_STREAMER_DELIVERY) {
		err = on_delivery(client, &message);
	} else if (err == OK && message.kind == WIRE_STREAMER_ANSWER) {
		err = stream_push_answer(client->stream, &message.answer, client->heard_us);
	}
	if (err != OK && err != ERR_CLOSED) {
		char text[128];
		(void)snprintf(
			text, sizeof(text), "message of %zu bytes: %s", bytes.size, err_text(err));
		stream_finish(client->stream, err, text);
		grpc_call_cancel(client->call, GRPC_CANCELLED, text);
	}
}

static void on_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	struct remote_client *client = ctx;
	char words[160];
	(void)snprintf(words, sizeof(words), "%s%s%.*s", grpc_status_name(status),
		text.size > 0 ? ": " : "", BYTES_FORMAT(text));
	client->call = NULL;
	loop_timer_stop(client->heartbeat);
	if (client->connected) { /* else `on_closed` has the better words */
		enum err why = status == GRPC_OK ? ERR_CLOSED : grpc_err_of(status);
		stream_finish(client->stream, why, words);
	}
	if (client->grpc) {
		grpc_client_close(client->grpc);
	}
}

static const struct grpc_call_events call_events = {
	.message = on_message,
	.writable = on_writable,
	.ended = on_ended,
};

static void on_heartbeat(void *ctx)
{
	struct remote_client *client = ctx;
	int64_t now_us = loop_now_us(client->loop);
	if (!client->call) {
		return;
	}
	if (!remote_client_is_paused(client) &&
		now_us - client->heard_us > client->options.activity_us) {
		stream_finish(client->stream, ERR_TIMEOUT, "the Streamer is silent");
		grpc_call_cancel(client->call, GRPC_DEADLINE_EXCEEDED, "the Streamer is silent");
		return;
	}
	client->encoded.size = 0;
	if (wire_heartbeat_encode(
		    &client->encoded, (struct bytes){0}, loop_wall_us(client->loop) / 1000) == OK) {
		(void)!remote_client_request(client, buffer_bytes(&client->encoded));
	}
	loop_timer_start(client->heartbeat, client->options.heartbeat_us);
}

static void on_opened(void *ctx)
{
	struct remote_client *client = ctx;
	client->connected = true;
	client->heard_us = loop_now_us(client->loop);
	(void)!stream_push_state(client->stream, STREAM_CONNECTED);
	loop_timer_start(client->heartbeat, client->options.heartbeat_us);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static void free_client(struct remote_client *client)
{
	loop_timer_free(client->heartbeat);
	arena_fini(&client->arena);
	buffer_fini(&client->encoded);
	buffer_fini(&client->waiting);
	mem_free(client->address);
	mem_free(client);
}

static void on_gone(void *ctx)
{
	struct remote_client *client = ctx;
	loop_fn closed = client->closed;
	void *closed_ctx = client->closed_ctx;
	free_client(client);
	closed(closed_ctx);
}

static void on_closed(void *ctx, enum err why)
{
	struct remote_client *client = ctx;
	client->grpc = NULL;
	char text[160];
	(void)snprintf(text, sizeof(text),
		client->connected ? "connection to %s lost" : "cannot connect to %s",
		client->options.address);
	stream_finish(client->stream, why == OK ? ERR_CLOSED : why, text);
	if (client->closed) {
		on_gone(client);
	}
}

enum err remote_client_open(struct loop *loop, const struct remote_client_options *options,
	struct stream *stream, struct remote_client **ret_client)
{
	static const struct grpc_client_events events = {.opened = on_opened, .closed = on_closed};
	struct remote_client *client = mem_calloc(1, sizeof(*client));
	if (!client) {
		return ERR_MEMORY;
	}
	client->loop = loop;
	client->options = *options;
	client->stream = stream;
	size_t size = strlen(options->address) + 1;
	client->address = mem_alloc(size);
	if (!client->address) {
		mem_free(client);
		return ERR_MEMORY;
	}
	memcpy(client->address, options->address, size);
	client->options.address = client->address;
	const struct grpc_options grpc = {.message_bytes_max = options->message_bytes_max,
		.window_bytes = 16U << 20,
		.log = options->log,
		.metrics = options->metrics};
	enum err err = loop_timer_new(loop, on_heartbeat, client, &client->heartbeat);
	if (err == OK) {
		err = grpc_client_open(
			loop, options->address, &grpc, &events, client, &client->grpc);
	}
	if (err != OK) {
		free_client(client);
		return err;
	}
	err = grpc_client_call(
		client->grpc, WIRE_STREAMER_STREAM, 0, &call_events, client, &client->call);
	if (err != OK) {
		client->call = NULL;
		stream_finish(stream, err, "the call could not be made");
		grpc_client_close(client->grpc);
	}
	*ret_client = client;
	return OK;
}

void remote_client_close(struct remote_client *client, loop_fn closed, void *ctx)
{
	client->closed = closed;
	client->closed_ctx = ctx;
	if (client->grpc) {
		grpc_client_close(client->grpc);
	} else if (loop_post(client->loop, on_gone, client) != OK) {
		on_gone(client);
	}
}
