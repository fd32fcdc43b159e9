/*
 * The far end of a stream: one call on one connection. It begins with a Hello and a heartbeat,
 * which every server answers in order: a Welcome first tells that it knows the extensions. Until
 * then requests wait, so that no expression is sent to a server that would ignore it. Requests that
 * the call has no room for wait in a buffer too, each behind its head; heartbeats keep the
 * connection known to be alive.
 */
#include "remote.h"

#include <stdio.h>
#include <string.h>

/* Who the server is. */
enum acquaintance {
	SERVER_UNKNOWN, /* it has not answered yet */
	SERVER_ORIGINAL,
	SERVER_EXTENDED,
};

/* A request that waits; the message stands behind it. */
struct waiting {
	uint32_t size;
	uint32_t
		id_size; /* of a subscribe with an expression: its id, behind the message; else 0 */
};

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
	enum acquaintance server;
	struct buffer waiting; /* requests: struct waiting, then its bytes */
	size_t waiting_start;
	int64_t heard_us; /* when the last message came */
	_Atomic bool paused;
	bool connected;
	loop_fn closed;
	void *closed_ctx;
	struct loop_posted gone;
};

/* What is sent is ours, and has been bounded where it was made. */
static const struct wire_limits no_limits = {UINT32_MAX, UINT32_MAX, UINT32_MAX};

/* ---- requests -------------------------------------------------------------------------------- */

/* `id`: of a subscribe with an expression; else empty. */
static enum err wait_in_line(struct remote_client *client, struct bytes message, struct bytes id)
{
	const struct waiting head = {(uint32_t)message.size, (uint32_t)id.size};
	enum err err = buffer_reserve(&client->waiting, sizeof(head) + message.size + id.size);
	if (err == OK) {
		err = buffer_append(
			&client->waiting, (struct bytes){(const char *)&head, sizeof(head)});
	}
	if (err == OK) {
		err = buffer_append(&client->waiting, message);
	}
	return err == OK ? buffer_append(&client->waiting, id) : err;
}

static enum err refuse_expression(struct remote_client *client, struct bytes id)
{
	const struct model_answer answer = {.id = id,
		.refusal = MODEL_REFUSED_EXPRESSION,
		.text = bytes_of("this Streamer does not know expressions"),
		.hint = bytes_of("use filters")};
	return stream_push_answer(client->stream, &answer, loop_now_us(client->loop));
}

static enum err request(struct remote_client *client, struct bytes message, struct bytes id)
{
	if (!client->call) {
		return ERR_CLOSED;
	}
	if (client->waiting_start < client->waiting.size || client->server == SERVER_UNKNOWN) {
		return wait_in_line(client, message, id);
	}
	if (id.size > 0 && client->server == SERVER_ORIGINAL) {
		return refuse_expression(client, id);
	}
	enum err err = grpc_call_send(client->call, message);
	return err == ERR_FULL ? wait_in_line(client, message, id) : err;
}

enum err remote_client_request(struct remote_client *client, struct bytes message)
{
	struct bytes id = {0};
	struct wire_gateway_message parsed;
	struct err_info refusal;
	arena_reset(&client->arena);
	enum err err =
		wire_gateway_message_parse(message, &no_limits, &client->arena, &parsed, &refusal);
	if (err == ERR_MEMORY) {
		return err;
	}
	if (err == OK && parsed.kind == WIRE_GATEWAY_SUBSCRIBE &&
		parsed.subscription.expression.size > 0) {
		id = parsed.subscription.id;
	}
	return request(client, message, id);
}

/* Nothing would come back to a request that is lost, so it is told as the stream's end. */
static void request_failed(struct remote_client *client, enum err err)
{
	if (err != OK && err != ERR_FULL && err != ERR_CLOSED) {
		stream_finish(client->stream, err, "a request could not be sent");
		grpc_call_cancel(client->call, GRPC_CANCELLED, "a request could not be sent");
	}
}

static void on_writable(void *ctx)
{
	struct remote_client *client = ctx;
	while (client->server != SERVER_UNKNOWN && client->waiting_start < client->waiting.size) {
		const char *place = client->waiting.data + client->waiting_start;
		struct waiting head;
		memcpy(&head, place, sizeof(head));
		struct bytes message = {place + sizeof(head), head.size};
		struct bytes id = {message.data + head.size, head.id_size};
		bool is_refused = id.size > 0 && client->server == SERVER_ORIGINAL;
		enum err err = is_refused ? refuse_expression(client, id)
					  : grpc_call_send(client->call, message);
		if (err != OK) {
			request_failed(client, err);
			return;
		}
		client->waiting_start += sizeof(head) + head.size + head.id_size;
	}
	if (client->waiting_start == client->waiting.size) {
		client->waiting.size = 0;
		client->waiting_start = 0;
	}
}

enum err remote_client_subscribe(
	struct remote_client *client, const struct model_subscription *subscription)
{
	check(subscription->id.size > 0);
	client->encoded.size = 0;
	enum err err = wire_subscribe_encode(&client->encoded, subscription);
	struct bytes id = subscription->expression.size > 0 ? subscription->id : (struct bytes){0};
	return err == OK ? request(client, buffer_bytes(&client->encoded), id) : err;
}

enum err remote_client_unsubscribe(struct remote_client *client, struct bytes id)
{
	client->encoded.size = 0;
	enum err err = wire_unsubscribe_encode(&client->encoded, id);
	return err == OK ? request(client, buffer_bytes(&client->encoded), (struct bytes){0}) : err;
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
	event->position = arena_copy(&event->arena, message->mark.position);
	uint32_t count = 0;
	struct bytes rest = message->run;
	struct bytes id;
	while (wire_id_next(&rest, &id)) {
		count++;
	}
	const struct stream_delivery delivery = {.event = event,
		.runs = &message->run,
		.runs_count = 1,
		.ids_count = count,
		.is_replayed = message->mark.replayed};
	err = event->encoded.data && event->position.data
		? stream_push_delivery(client->stream, &delivery, loop_now_us(client->loop))
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

/* The first answer tells who the server is; what has waited for that goes out. */
static void get_to_know(struct remote_client *client, enum acquaintance server)
{
	if (client->server == SERVER_UNKNOWN) {
		client->server = server;
		on_writable(client);
	}
}

static enum err on_notice(struct remote_client *client, const struct model_notice *notice)
{
	size_t size = wire_id_size(notice->subscription_id);
	struct bytes run = {arena_alloc(&client->arena, size), size};
	if (!run.data) {
		return ERR_MEMORY;
	}
	check(wire_id_write(notice->subscription_id, (char *)run.data) == size);
	return stream_push_notice(client->stream, notice, run, 1, client->heard_us);
}

static enum err take_message(
	struct remote_client *client, const struct wire_streamer_message *message)
{
	switch (message->kind) {
	case WIRE_STREAMER_DELIVERY:
		return on_delivery(client, message);
	case WIRE_STREAMER_ANSWER:
		return stream_push_answer(client->stream, &message->answer, client->heard_us);
	case WIRE_STREAMER_NOTICE:
		return on_notice(client, &message->notice);
	case WIRE_STREAMER_GAP:
		return stream_push_gap(client->stream, &message->gap, client->heard_us);
	case WIRE_STREAMER_WELCOME:
		get_to_know(client, SERVER_EXTENDED);
		return OK;
	case WIRE_STREAMER_HEARTBEAT_ACK:
		get_to_know(client, SERVER_ORIGINAL); /* if there was no Welcome before it */
		return OK;
	case WIRE_STREAMER_BULK_ANSWER:
	case WIRE_STREAMER_UNSUBSCRIBED:
	case WIRE_STREAMER_GOING_AWAY:
	case WIRE_STREAMER_NOTHING:
		break;
	}
	return OK;
}

static void on_message(void *ctx, struct bytes bytes)
{
	struct remote_client *client = ctx;
	struct wire_streamer_message message;
	arena_reset(&client->arena);
	client->heard_us = loop_now_us(client->loop);
	enum err err = wire_streamer_message_parse(bytes, &client->arena, &message);
	if (err == OK) {
		err = take_message(client, &message);
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
	const struct model_heartbeat heartbeat = {
		.timestamp_ms = loop_wall_us(client->loop) / 1000};
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
	if (wire_heartbeat_encode(&client->encoded, &heartbeat) == OK) {
		(void)!request(client, buffer_bytes(&client->encoded), (struct bytes){0});
	}
	loop_timer_start(client->heartbeat, client->options.heartbeat_us);
}

/* What every stream begins with. */
static enum err introduce(struct remote_client *client)
{
	const struct model_hello hello = {
		.version = 1, .message_bytes_max = client->options.message_bytes_max};
	const struct model_heartbeat heartbeat = {
		.timestamp_ms = loop_wall_us(client->loop) / 1000};
	client->encoded.size = 0;
	enum err err = wire_hello_encode(&client->encoded, &hello);
	if (err == OK) {
		err = grpc_call_send(client->call, buffer_bytes(&client->encoded));
	}
	client->encoded.size = 0;
	if (err == OK) {
		err = wire_heartbeat_encode(&client->encoded, &heartbeat);
	}
	return err == OK ? grpc_call_send(client->call, buffer_bytes(&client->encoded)) : err;
}

static void on_opened(void *ctx)
{
	struct remote_client *client = ctx;
	client->connected = true;
	client->heard_us = loop_now_us(client->loop);
	(void)!stream_push_state(client->stream, STREAM_CONNECTED, (struct bytes){0});
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
	client->gone = (struct loop_posted){.fn = on_gone, .ctx = client};
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
		.tells_rest = true,
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
	} else {
		request_failed(client, introduce(client));
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
	} else {
		check(loop_post_owned(client->loop, &client->gone) == OK);
	}
}
