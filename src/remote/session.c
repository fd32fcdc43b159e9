/*
 * One session per call: a gateway's requests go to the engine as they come, one at a time. While a
 * Hello waits for its Welcome, and while a bulk is carried out, nothing more is read, so that
 * everything is answered in order.
 */
#include "server_priv.h"

#include <stdio.h>

/* What every peer takes, whatever it says: a delivery with its longest id and without its data. */
#define MESSAGE_BYTES_LEAST 65536

void session_close_stream(struct session *session)
{
	if (session->handle) {
		session->server->engine.close(session->handle);
		session->handle = NULL;
		session->stream = NULL;
	}
	session->bulk.is_open = false;
}

void session_read_on(struct session *session)
{
	if (session->call && !session->awaits_welcome && !session->bulk.is_open) {
		session->heard_us = loop_now_us(session->server->loop);
		grpc_call_pause(session->call, false);
	}
}

/* An encoded answer of the session's own. */
static void send_own(struct session *session, enum err err)
{
	if (err == OK) {
		session->server->engine.send(session->handle, buffer_bytes(&session->scratch));
	} else {
		session_end(session, err, bytes_of(err_text(err)));
	}
}

/* ---- subscribe and unsubscribe --------------------------------------------------------------- */

static void make_up_id(const struct session *session, char made_up[MODEL_UUID_SIZE],
	struct model_subscription *subscription)
{
	struct loop *loop = session->server->loop;
	if (subscription->id.size == 0) {
		model_uuid_print(loop_random(loop), loop_random(loop), made_up);
		subscription->id = bytes_of(made_up);
	}
}

static void on_subscribe(struct session *session, struct model_subscription *subscription,
	const struct err_info *refusal)
{
	char made_up[MODEL_UUID_SIZE];
	make_up_id(session, made_up, subscription);
	session->server->engine.subscribe(session->handle, subscription, refusal);
}

static void on_unsubscribe(struct session *session, struct bytes id)
{
	session->server->engine.unsubscribe(session->handle, id);
	if (session->knows_extensions) {
		session->scratch.size = 0;
		send_own(session, wire_unsubscribed_encode(&session->scratch, id));
	}
}

/* ---- bulks ----------------------------------------------------------------------------------- */

static enum err open_bulk(struct session *session, const struct model_bulk *asked)
{
	struct bulk *bulk = &session->bulk;
	bulk->id = asked->id;
	bulk->at = 0;
	bulk->accepted = 0;
	bulk->requests.size = 0;
	bulk->refused.size = 0;
	enum err err = buffer_append(&bulk->requests, asked->requests);
	bulk->is_open = err == OK;
	return err;
}

static void on_bulk(struct session *session, const struct model_bulk *asked)
{
	enum err err = open_bulk(session, asked);
	if (err != OK) {
		session_end(session, err, bytes_of(err_text(err)));
		return;
	}
	grpc_call_pause(session->call, true);
	loop_waker_wake(session->server->bulks);
}

/* Beyond what one answer should hold, refusals are answered each for itself. */
static enum err note_refusal(struct session *session, const struct model_answer *answer)
{
	struct bulk *bulk = &session->bulk;
	if (bulk->refused.size < session->message_bytes_max / 2) {
		return wire_bulk_refuse(&bulk->refused, answer);
	}
	session->scratch.size = 0;
	enum err err = wire_answer_encode(&session->scratch, answer);
	if (err == OK) {
		session->server->engine.send(session->handle, buffer_bytes(&session->scratch));
	}
	return err;
}

/* ERR_EMPTY: that was all. */
static enum err subscribe_next(struct session *session)
{
	struct remote_server *server = session->server;
	struct bulk *bulk = &session->bulk;
	struct bytes rest = {bulk->requests.data + bulk->at, bulk->requests.size - bulk->at};
	struct model_subscription subscription;
	struct err_info refusal = {0};
	struct model_answer answer;
	char made_up[MODEL_UUID_SIZE];
	arena_reset(&session->arena);
	enum err err = wire_bulk_next(
		&rest, &server->options.wire, &session->arena, &subscription, &refusal);
	if (err != OK) {
		return err;
	}
	bulk->at = bulk->requests.size - rest.size;
	make_up_id(session, made_up, &subscription);
	server->engine.subscribe_quietly(session->handle, &subscription, &refusal, &answer);
	if (answer.refusal == MODEL_ACCEPTED) {
		bulk->accepted++;
		return OK;
	}
	return note_refusal(session, &answer);
}

static void close_bulk(struct session *session)
{
	struct bulk *bulk = &session->bulk;
	const struct model_bulk_answer answer = {.id = bulk->id,
		.accepted = bulk->accepted,
		.refused = buffer_bytes(&bulk->refused),
		.live_after = session->server->engine.position(session->handle)};
	bulk->is_open = false;
	session->scratch.size = 0;
	send_own(session, wire_bulk_answer_encode(&session->scratch, &answer));
	buffer_fini(&bulk->requests); /* a bulk is large, and rare */
	buffer_fini(&bulk->refused);
	session_read_on(session);
}

static void serve_bulk(struct session *session, size_t most)
{
	enum err err = OK;
	for (size_t i = 0; i < most && err == OK; i++) {
		err = subscribe_next(session);
	}
	if (err == ERR_EMPTY) {
		close_bulk(session);
	} else if (err != OK) {
		session_end(session, err == ERR_CORRUPT ? ERR_INTERNAL : err,
			bytes_of("a subscribe of the bulk is not valid"));
	}
}

void session_on_bulks(void *ctx)
{
	struct remote_server *server = ctx;
	size_t open = 0;
	for (struct session *session = server->sessions; session; session = session->next) {
		open += session->bulk.is_open;
	}
	struct session *next = NULL;
	for (struct session *session = server->sessions; session; session = next) {
		next = session->next;
		if (session->bulk.is_open) {
			serve_bulk(session,
				open < REMOTE_BULK_PER_TURN ? REMOTE_BULK_PER_TURN / open : 1);
		}
	}
	if (open > 0) {
		loop_waker_wake(server->bulks);
	}
}

/* ---- Hello and heartbeat --------------------------------------------------------------------- */

static void refuse_hello(struct session *session, const char *text)
{
	connection_say(session->connection, LOG_WARNING, "Hello refused: %s", text);
	session_close_stream(session);
	grpc_call_finish(session->call, GRPC_INVALID_ARGUMENT, text);
}

static void on_hello(struct session *session, const struct model_hello *hello, bool is_first)
{
	uint32_t most = hello->message_bytes_max;
	if (!is_first) {
		refuse_hello(session, "Hello must be the first message of a stream");
		return;
	}
	if (hello->after.size > POSITION_BYTES_MAX) {
		refuse_hello(session, "Hello.after is no position");
		return;
	}
	session->knows_extensions = true;
	if (most > 0 && most < session->message_bytes_max) {
		session->message_bytes_max =
			most > MESSAGE_BYTES_LEAST ? most : MESSAGE_BYTES_LEAST;
	}
	connection_say(session->connection, LOG_INFO, "it is called %.*s",
		BYTES_FORMAT(hello->gateway_id));
	session->awaits_welcome = true;
	grpc_call_pause(session->call, true);
	session->server->engine.hello(session->handle, hello);
}

void session_on_leases(void *ctx)
{
	struct remote_server *server = ctx;
	int64_t lease_us = (int64_t)server->options.lease_ms * 1000;
	int64_t now_us = loop_now_us(server->loop);
	struct session *next = NULL;
	for (struct session *session = server->sessions; session; session = next) {
		next = session->next;
		bool is_ours = session->handle && session->knows_extensions &&
			!session->awaits_welcome && !session->bulk.is_open;
		if (is_ours && now_us - session->heard_us > lease_us) {
			session_end(session, ERR_TIMEOUT, bytes_of("no message within lease_ms"));
		}
	}
}

/* ---- the call -------------------------------------------------------------------------------- */

static void refuse_message(struct session *session, size_t size, enum err err)
{
	connection_say(session->connection, LOG_WARNING, "message of %zu bytes refused: %s", size,
		err_text(err));
	session_close_stream(session);
	grpc_call_finish(session->call, err == ERR_CORRUPT ? GRPC_INTERNAL : grpc_status_of(err),
		err == ERR_MEMORY ? err_text(err) : "the message is no valid GatewayMessage");
}

static void on_message(void *ctx, struct bytes bytes)
{
	struct session *session = ctx;
	struct remote_server *server = session->server;
	struct wire_gateway_message message;
	struct err_info refusal = {0};
	if (!session->handle) {
		return;
	}
	bool is_first = !session->has_heard;
	session->has_heard = true;
	session->heard_us = loop_now_us(server->loop);
	arena_reset(&session->arena);
	enum err err = wire_gateway_message_parse(
		bytes, &server->options.wire, &session->arena, &message, &refusal);
	if (err != OK) {
		refuse_message(session, bytes.size, err);
		return;
	}
	switch (message.kind) {
	case WIRE_GATEWAY_SUBSCRIBE:
		on_subscribe(session, &message.subscription, &refusal);
		break;
	case WIRE_GATEWAY_UNSUBSCRIBE:
		on_unsubscribe(session, message.unsubscribe_id);
		break;
	case WIRE_GATEWAY_HEARTBEAT:
		server->engine.heartbeat(session->handle, &message.heartbeat);
		break;
	case WIRE_GATEWAY_HELLO:
		on_hello(session, &message.hello, is_first);
		break;
	case WIRE_GATEWAY_BULK:
		if (session->knows_extensions) {
			on_bulk(session, &message.bulk);
		}
		break;
	case WIRE_GATEWAY_NOTHING:
		break;
	}
}

static void on_half_closed(void *ctx)
{
	struct session *session = ctx;
	if (session->handle) {
		session_close_stream(session);
		grpc_call_finish(session->call, GRPC_OK, "");
	}
}

static void on_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	struct session *session = ctx;
	struct remote_server *server = session->server;
	connection_say(session->connection, LOG_INFO, "stream closed: %s %.*s",
		grpc_status_name(status), BYTES_FORMAT(text));
	session->call = NULL;
	session_close_stream(session);
	if (session->previous) {
		session->previous->next = session->next;
	} else {
		server->sessions = session->next;
	}
	if (session->next) {
		session->next->previous = session->previous;
	}
	arena_fini(&session->arena);
	buffer_fini(&session->scratch);
	buffer_fini(&session->bulk.requests);
	buffer_fini(&session->bulk.refused);
	mem_free(session);
}

static void on_wake(void *ctx)
{
	struct session *session = ctx;
	if (session->call) {
		grpc_call_ask(session->call);
	}
}

enum grpc_status session_open(void *ctx, struct grpc_call *call, struct bytes method)
{
	static const struct grpc_call_events events = {
		.message = on_message,
		.half_closed = on_half_closed,
		.writable = session_flush,
		.ended = on_ended,
	};
	struct connection *connection = ctx;
	struct remote_server *server = connection->server;
	if (!bytes_equal(method, bytes_of(WIRE_STREAMER_STREAM))) {
		return GRPC_UNIMPLEMENTED;
	}
	if (server->draining) {
		return GRPC_UNAVAILABLE;
	}
	struct session *session = mem_calloc(1, sizeof(*session));
	if (!session) {
		return GRPC_RESOURCE_EXHAUSTED;
	}
	session->server = server;
	session->connection = connection;
	session->call = call;
	session->message_bytes_max = server->options.delivery_bytes_max;
	session->heard_us = loop_now_us(server->loop);
	enum err err = server->engine.open(server->engine.ctx, grpc_call_peer(call), on_wake,
		session, &session->stream, &session->handle);
	if (err != OK) {
		mem_free(session);
		return grpc_status_of(err);
	}
	session->next = server->sessions;
	if (session->next) {
		session->next->previous = session;
	}
	server->sessions = session;
	grpc_call_set_ctx(call, &events, session);
	connection_say(connection, LOG_INFO, "stream opened");
	return GRPC_OK;
}
