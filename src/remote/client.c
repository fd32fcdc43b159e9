/*
 * The far end of a stream: one call on one connection at a time, made again whenever it is lost. It
 * begins with a Hello and a heartbeat, which every server answers in order: a Welcome first tells
 * that it knows the extensions. Until then nothing else is sent, so that no expression goes to a
 * server that would ignore it. One timer serves all: while there is a connection it sends
 * heartbeats and looks for silence, and otherwise it is the back-off.
 */
#include "client_priv.h"

#include <stdio.h>
#include <string.h>

static enum err connect_again(struct remote_client *client);

/* ---- positions and heartbeats ---------------------------------------------------------------- */

void client_note_position(struct remote_client *client, struct bytes position)
{
	if (position.size > 0 && position.size <= sizeof(client->position)) {
		memcpy(client->position, position.data, position.size);
		client->position_size = position.size;
	}
}

static struct bytes position_of(const struct remote_client *client)
{
	return (struct bytes){client->position, client->position_size};
}

static enum err send_encoded(struct remote_client *client, enum err err)
{
	return err == OK ? grpc_call_send(client->call, buffer_bytes(&client->encoded)) : err;
}

enum err client_send_heartbeat(struct remote_client *client, bool is_registered)
{
	const struct model_heartbeat heartbeat = {
		.gateway_id = bytes_of(client->options.gateway_id),
		.timestamp_ms = loop_wall_us(client->loop) / 1000,
		.position = position_of(client),
		.registered = is_registered};
	client->encoded.size = 0;
	return send_encoded(client, wire_heartbeat_encode(&client->encoded, &heartbeat));
}

/* What every stream begins with. */
static enum err introduce(struct remote_client *client)
{
	const struct model_hello hello = {.version = 1,
		.gateway_id = bytes_of(client->options.gateway_id),
		.after = position_of(client),
		.message_bytes_max = client->options.message_bytes_max};
	client->encoded.size = 0;
	enum err err = send_encoded(client, wire_hello_encode(&client->encoded, &hello));
	return err == OK ? client_send_heartbeat(client, false) : err;
}

static void start_timer(struct remote_client *client, int64_t now_us)
{
	int64_t next_us = client->heartbeat_at_us;
	int64_t silent_us = client->heard_us + client->options.activity_us;
	if (silent_us < next_us && !remote_client_is_paused(client)) {
		next_us = silent_us;
	}
	loop_timer_start(client->timer, next_us > now_us ? next_us - now_us : 0);
}

enum err client_meet(struct remote_client *client, enum acquaintance server)
{
	enum err err = stream_push_state(client->stream, STREAM_CONNECTED, (struct bytes){0});
	if (err == OK) {
		client->server = server;
		client->is_told_away = false;
		client->backoff_us = client->options.backoff_min_us;
		client->heartbeat_at_us = client->heard_us + client->heartbeat_us;
		start_timer(client, client->heard_us);
	}
	return err;
}

/* ---- the end of a connection ----------------------------------------------------------------- */

/* Between half of the back-off and all of it, so that those who lost the same Streamer do not come
 * back at the same time; soon, where it has said that it goes. */
static int64_t next_wait(struct remote_client *client)
{
	int64_t max_us = client->options.backoff_max_us;
	int64_t base_us = client->backoff_us < max_us ? client->backoff_us : max_us;
	uint64_t random = loop_random(client->loop);
	if (client->is_going_away) {
		return (int64_t)(random % ((uint64_t)client->options.backoff_min_us + 1));
	}
	client->backoff_us = base_us < max_us / 2 ? base_us * 2 : max_us;
	return base_us - (int64_t)(random % ((uint64_t)base_us / 2 + 1));
}

/* No callback of the call is heeded any more; `on_closed` follows if there is a connection. */
static void close_connection(struct remote_client *client)
{
	struct grpc_call *call = client->call;
	client->call = NULL;
	loop_timer_stop(client->timer);
	client_drop_parts(client);
	atomic_store_explicit(&client->is_paused, 0, memory_order_release);
	if (call) {
		grpc_call_cancel(call, GRPC_CANCELLED, "the client leaves");
	}
	if (client->grpc) {
		grpc_client_close(client->grpc);
	}
}

void client_break_off(struct remote_client *client, const char *why)
{
	close_connection(client);
	client_table_restart(client);
	if (client->closed || stream_has_ended(client->stream)) {
		return;
	}
	if (!client->is_told_away) {
		client->is_told_away =
			stream_push_state(client->stream, STREAM_RECONNECTING, bytes_of(why)) == OK;
	}
	client->wait_us = next_wait(client);
	client->is_waiting = true;
	if (!client->grpc) {
		loop_timer_start(client->timer, client->wait_us);
	}
}

/* Whether every further try would be told the same. */
static bool is_final(enum grpc_status status)
{
	return status == GRPC_UNIMPLEMENTED || status == GRPC_INVALID_ARGUMENT ||
		status == GRPC_PERMISSION_DENIED || status == GRPC_UNAUTHENTICATED;
}

static void on_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	struct remote_client *client = ctx;
	char words[160];
	if (!client->call) {
		return; /* given up before */
	}
	client->call = NULL;
	(void)snprintf(words, sizeof(words), "%s%s%.*s", grpc_status_name(status),
		text.size > 0 ? ": " : "", BYTES_FORMAT(text));
	if (!client->is_open) {
		grpc_client_close(client->grpc); /* `on_closed` has the better words */
	} else if (is_final(status)) {
		client->has_ended = true;
		close_connection(client);
		stream_finish(client->stream, grpc_err_of(status), words);
	} else {
		client_break_off(client, words);
	}
}

static void on_gone(void *ctx)
{
	struct remote_client *client = ctx;
	loop_fn closed = client->closed;
	void *closed_ctx = client->closed_ctx;
	loop_timer_free(client->timer);
	client_table_fini(client);
	arena_fini(&client->arena);
	arena_fini(&client->sending);
	buffer_fini(&client->encoded);
	buffer_fini(&client->requests);
	client_drop_parts(client);
	mem_free(client->texts);
	mem_free(client);
	if (closed) {
		closed(closed_ctx);
	}
}

static void cannot_connect(struct remote_client *client, const char *why)
{
	char text[160];
	(void)snprintf(text, sizeof(text), "cannot connect to %s%s", client->options.address, why);
	client_break_off(client, text);
}

static void on_closed(void *ctx, enum err why)
{
	struct remote_client *client = ctx;
	(void)why;
	client->grpc = NULL;
	if (client->closed) {
		on_gone(client);
	} else if (client->is_waiting) {
		loop_timer_start(client->timer, client->wait_us);
	} else if (!client->has_ended) {
		cannot_connect(client, "");
	}
}

/* ---- the life of a connection ---------------------------------------------------------------- */

static void on_opened(void *ctx)
{
	struct remote_client *client = ctx;
	client->is_open = true;
	client->heard_us = loop_now_us(client->loop);
}

/* A heartbeat that finds no room is not missed: the server has enough to read. */
static void look_after(struct remote_client *client)
{
	int64_t now_us = loop_now_us(client->loop);
	bool is_silent = !remote_client_is_paused(client) &&
		now_us - client->heard_us >= client->options.activity_us;
	if (is_silent && !client->is_open) {
		cannot_connect(client, ": no answer");
		return;
	}
	if (is_silent) {
		client_break_off(client, "the Streamer is silent");
		return;
	}
	if (now_us >= client->heartbeat_at_us) {
		client->heartbeat_at_us = now_us + client->heartbeat_us;
		(void)!client_send_heartbeat(client, false);
	}
	start_timer(client, now_us);
}

/* While much is queued no more is fetched: the consumer's room brings the connection. */
static bool must_hold(struct remote_client *client)
{
	size_t most = client->options.pause_bytes;
	if (stream_queued_bytes(client->stream) <= most) {
		return false;
	}
	(void)atomic_exchange_explicit(&client->is_paused, 1, memory_order_acq_rel);
	if (stream_queued_bytes(client->stream) > most / 2) {
		return true;
	}
	atomic_store_explicit(&client->is_paused, 0, memory_order_release);
	return false;
}

static void try_again(struct remote_client *client)
{
	if (!must_hold(client)) {
		client->is_waiting = false;
		enum err err = connect_again(client);
		if (err != OK) {
			client_break_off(client, err_text(err));
		}
	}
}

static void on_timer(void *ctx)
{
	struct remote_client *client = ctx;
	if (client->is_waiting) {
		try_again(client);
	} else if (client->call) {
		look_after(client);
	}
}

/* On failure there is no connection. */
static enum err connect_again(struct remote_client *client)
{
	static const struct grpc_client_events client_events = {
		.opened = on_opened, .closed = on_closed};
	static const struct grpc_call_events call_events = {
		.message = client_on_message, .writable = client_send, .ended = on_ended};
	const struct grpc_options grpc = {.message_bytes_max = client->options.message_bytes_max,
		.window_bytes = 16U << 20,
		.tells_rest = true,
		.log = client->options.log,
		.metrics = client->options.metrics};
	enum err err = grpc_client_open(client->loop, client->options.address, &grpc,
		&client_events, client, &client->grpc);
	if (err != OK) {
		return err;
	}
	int64_t now_us = loop_now_us(client->loop);
	client->is_open = false;
	client->is_going_away = false;
	client->has_registered = false;
	client->server = SERVER_UNKNOWN;
	client->peer_bytes_max = PEER_BYTES_MAX;
	client->heard_us = now_us;
	client->heartbeat_us = client->options.heartbeat_us;
	client->heartbeat_at_us = now_us + client->heartbeat_us;
	err = grpc_client_call(
		client->grpc, WIRE_STREAMER_STREAM, 0, &call_events, client, &client->call);
	if (err == OK) {
		err = introduce(client);
	}
	if (err == OK) {
		start_timer(client, now_us);
	} else {
		client_break_off(client, "the call could not be made");
	}
	return OK;
}

/* ---- what the consumer asks ------------------------------------------------------------------ */

enum err remote_client_request(struct remote_client *client, struct bytes message)
{
	static const struct wire_limits no_limits = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
	struct wire_gateway_message parsed;
	struct err_info refusal;
	if (client->has_ended) {
		return ERR_CLOSED;
	}
	arena_reset(&client->arena);
	enum err err =
		wire_gateway_message_parse(message, &no_limits, &client->arena, &parsed, &refusal);
	if (err != OK) {
		return err;
	}
	if (parsed.kind == WIRE_GATEWAY_SUBSCRIBE) {
		err = client_subscribe(client, parsed.subscription.id, message);
	} else if (parsed.kind == WIRE_GATEWAY_UNSUBSCRIBE) {
		client_unsubscribe(client, parsed.unsubscribe_id);
	} else if (parsed.kind == WIRE_GATEWAY_HEARTBEAT && parsed.heartbeat.registered) {
		client->may_replay = true;
	}
	client_send(client);
	return err;
}

bool remote_client_is_paused(struct remote_client *client)
{
	/* An exchange, as where it is set: one of the two comes first. */
	return atomic_fetch_or_explicit(&client->is_paused, 0, memory_order_acq_rel) != 0;
}

void remote_client_resume(struct remote_client *client)
{
	if (!atomic_exchange_explicit(&client->is_paused, 0, memory_order_acq_rel)) {
		return;
	}
	if (client->call) {
		client->heard_us = loop_now_us(client->loop);
		start_timer(client, client->heard_us);
		grpc_call_pause(client->call, false);
	} else if (client->is_waiting) {
		try_again(client);
	}
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static enum err keep_texts(struct remote_client *client)
{
	struct bytes address = bytes_of(client->options.address);
	struct bytes name = bytes_of(client->options.gateway_id);
	client->texts = mem_calloc(1, address.size + name.size + 2);
	if (!client->texts) {
		return ERR_MEMORY;
	}
	memcpy(client->texts, address.data, address.size);
	client->options.address = client->texts;
	if (name.size > 0) {
		memcpy(client->texts + address.size + 1, name.data, name.size);
	}
	client->options.gateway_id = client->texts + address.size + 1;
	return OK;
}

enum err remote_client_open(struct loop *loop, const struct remote_client_options *options,
	struct stream *stream, struct remote_client **ret_client)
{
	struct remote_client *client = mem_calloc(1, sizeof(*client));
	if (!client) {
		return ERR_MEMORY;
	}
	client->loop = loop;
	client->options = *options;
	client->stream = stream;
	client->gone = (struct loop_posted){.fn = on_gone, .ctx = client};
	client->backoff_us = options->backoff_min_us;
	client->has_begun = options->after.size > 0;
	client->may_replay = !client->has_begun;
	client_note_position(client, options->after);
	client_table_init(client);
	enum err err = keep_texts(client);
	if (err == OK) {
		err = loop_timer_new(loop, on_timer, client, &client->timer);
	}
	if (err == OK) {
		err = connect_again(client);
	}
	if (err != OK) {
		on_gone(client);
		return err;
	}
	*ret_client = client;
	return OK;
}

void remote_client_close(struct remote_client *client, loop_fn closed, void *ctx)
{
	client->closed = closed;
	client->closed_ctx = ctx;
	close_connection(client);
	if (!client->grpc) {
		check(loop_post_owned(client->loop, &client->gone) == OK);
	}
}
