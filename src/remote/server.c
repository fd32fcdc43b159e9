/*
 * One session per call: requests go to the engine as they come, items leave when the call has room.
 * A flush is deferred to the end of the loop's turn, so that what a turn queues leaves in one
 * write.
 */
#include "remote.h"

#include <stdio.h>

/* A gateway's lines in the log: so many at once, and one more at each interval. */
#define LOG_LINES_MAX 20
#define LOG_LINE_US 1000000

#define POSITION_BYTES_MAX 256
/* What every peer takes, whatever it says: a delivery with its longest id and without its data. */
#define MESSAGE_BYTES_LEAST 65536

/* Requests are read before they are answered, so scratch memory is kept for one message at a time.
 */
struct session {
	struct remote_server *server;
	struct connection *connection;
	struct session *next, *previous;
	struct grpc_call *call; /* NULL once it has ended */
	struct stream *stream;
	void *handle; /* NULL: the stream is closed, the call has only its rest to send */
	struct loop_deferred flush;
	struct arena arena;
	struct buffer scratch;      /* an answer, encoded */
	bool has_heard;             /* a message: a Hello is the first or none */
	bool knows_extensions;      /* it has said Hello */
	uint32_t message_bytes_max; /* that the gateway takes */
	size_t notice_at;           /* bytes of the head notice's ids that have been told */
	size_t split_at; /* bytes of the head delivery's ids that have left in earlier parts */
};

struct connection {
	struct connection *next, *previous;
	struct remote_server *server;
	struct grpc_server_conn *conn;
	char gateway[64];
	int64_t log_full_us; /* when its allowance of lines will be whole again */
	unsigned unlogged;   /* lines beyond it */
};

struct remote_server {
	struct loop *loop;
	struct remote_server_options options;
	struct remote_engine engine;
	struct connection *connections;
	struct session *sessions;
	size_t connections_count;
	int64_t log_refusal_us; /* refused connections before that are not logged */
	bool draining;
	bool closing;
	loop_fn closed;
	void *closed_ctx;
	struct loop_posted nothing_open;
};

/* ---- the log --------------------------------------------------------------------------------- */

static bool may_log(struct connection *connection)
{
	int64_t now_us = loop_now_us(connection->server->loop);
	if (connection->log_full_us < now_us) {
		connection->log_full_us = now_us;
	}
	if (connection->log_full_us - now_us > (int64_t)(LOG_LINES_MAX - 1) * LOG_LINE_US) {
		connection->unlogged++;
		return false;
	}
	connection->log_full_us += LOG_LINE_US;
	return true;
}

static void say(struct connection *connection, enum log_level level, const char *format, ...)
	PRINTF_LIKE(3, 4);

/* A line about a gateway. One that makes too many of them has the rest only counted. */
static void say(struct connection *connection, enum log_level level, const char *format, ...)
{
	struct remote_server *server = connection->server;
	const struct log *log = server->options.log;
	char text[600];
	char unlogged[40] = "";
	if (!log || level > log->least || !may_log(connection)) {
		return;
	}
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (connection->unlogged > 0) {
		(void)snprintf(unlogged, sizeof(unlogged), " unlogged=%u", connection->unlogged);
		connection->unlogged = 0;
	}
	log_write(log, loop_wall_us(server->loop), level, "remote: %s, gateway=%s%s", text,
		connection->gateway, unlogged);
}

/* ---- out ------------------------------------------------------------------------------------- */

static enum err send_delivery_part(struct session *session, struct bytes run, struct bytes event)
{
	char *place = NULL;
	enum err err = grpc_call_begin(
		session->call, wire_delivery_size(run.size, event.size, NULL), &place);
	if (err == OK) {
		wire_delivery_write(run, event, NULL, place);
		grpc_call_commit(session->call);
	}
	return err;
}

/* As many whole ids from the front of the run as fit beside the event, at least one. */
static struct bytes part_of_run(struct bytes run, size_t event_size, size_t most)
{
	struct bytes rest = run;
	struct bytes id;
	size_t size = 0;
	while (wire_id_next(&rest, &id)) {
		size_t with = run.size - rest.size;
		if (size > 0 && wire_delivery_size(with, event_size, NULL) > most) {
			break;
		}
		size = with;
	}
	return (struct bytes){run.data, size};
}

static enum err send_delivery(struct session *session, const struct stream_item *item)
{
	struct remote_server *server = session->server;
	size_t most = session->message_bytes_max;
	struct bytes event = item->event->encoded;
	struct bytes run = {item->run.data + session->split_at, item->run.size - session->split_at};
	struct bytes first = part_of_run(run, event.size, 0);
	if (item->event->encoded_bare.size > 0 &&
		wire_delivery_size(first.size, event.size, NULL) > most) {
		event = item->event->encoded_bare;
		if (session->split_at == 0) {
			metrics_add(server->options.metrics, METRIC_deliveries_without_data, 1);
		}
	}
	while (run.size > 0) {
		struct bytes part = run;
		if (wire_delivery_size(run.size, event.size, NULL) > most) {
			part = part_of_run(run, event.size, most);
		}
		enum err err = send_delivery_part(session, part, event);
		if (err != OK) {
			return err;
		}
		session->split_at += part.size;
		run.data += part.size;
		run.size -= part.size;
	}
	session->split_at = 0;
	return OK;
}

static void say_refusal(struct session *session, const struct model_answer *answer)
{
	bool by_limit =
		answer->refusal == MODEL_REFUSED_LIMIT || answer->refusal == MODEL_REFUSED_ID;
	if (answer->refusal != MODEL_ACCEPTED) {
		say(session->connection, by_limit ? LOG_WARNING : LOG_DEBUG,
			"subscription refused: %.*s", BYTES_FORMAT(answer->text));
	}
}

static enum err send_answer(struct session *session, const struct model_answer *answer)
{
	enum err err = wire_answer_encode(&session->scratch, answer);
	if (err == OK) {
		err = grpc_call_send(session->call, buffer_bytes(&session->scratch));
	}
	if (err == OK) {
		say_refusal(session, answer);
	}
	return err;
}

/* The notice to each subscription; a gateway of the original could not read it. */
static enum err send_notice(struct session *session, const struct stream_item *item)
{
	struct model_notice notice = item->notice;
	struct bytes rest = {
		item->run.data + session->notice_at, item->run.size - session->notice_at};
	while (session->knows_extensions && wire_id_next(&rest, &notice.subscription_id)) {
		session->scratch.size = 0;
		enum err err = wire_notice_encode(&session->scratch, &notice);
		if (err == OK) {
			err = grpc_call_send(session->call, buffer_bytes(&session->scratch));
		}
		if (err != OK) {
			return err;
		}
		session->notice_at = item->run.size - rest.size;
	}
	session->notice_at = 0;
	return OK;
}

static enum err send_item(struct session *session, const struct stream_item *item)
{
	session->scratch.size = 0;
	enum err err = OK;
	switch (item->kind) {
	case STREAM_DELIVERY:
		return send_delivery(session, item);
	case STREAM_ANSWER:
		return send_answer(session, &item->answer);
	case STREAM_ACK:
		err = wire_heartbeat_ack_encode(&session->scratch,
			&(struct model_heartbeat_ack){.timestamp_ms = item->timestamp_ms});
		break;
	case STREAM_NOTICE:
		return send_notice(session, item);
	case STREAM_GAP:
		if (!session->knows_extensions) {
			return ERR_UNAVAILABLE; /* it cannot be told: it begins anew */
		}
		err = wire_gap_encode(&session->scratch, &item->gap);
		break;
	case STREAM_STATE:
	case STREAM_END:
		return OK;
	}
	return err == OK ? grpc_call_send(session->call, buffer_bytes(&session->scratch)) : err;
}

/* Nothing is read from the call any more, and only what it has buffered is sent: nothing is to
 * queue up behind that. */
static void close_stream(struct session *session)
{
	if (session->handle) {
		loop_undefer(session->server->loop, &session->flush);
		session->server->engine.close(session->handle);
		session->handle = NULL;
		session->stream = NULL;
	}
}

/* A stream that ended because its gateway does not read cannot end in order: what is stuck is
 * dropped. */
static void end_call(struct session *session, enum err why, struct bytes text)
{
	char words[192];
	(void)snprintf(words, sizeof(words), "%.*s", BYTES_FORMAT(text));
	close_stream(session); /* whose text it was */
	if (why == ERR_LIMIT && grpc_call_unsent(session->call) > 0) {
		grpc_call_cancel(session->call, GRPC_RESOURCE_EXHAUSTED, words);
	} else {
		grpc_call_finish(session->call, grpc_status_of(why), words);
	}
}

static void flush(void *ctx)
{
	struct session *session = ctx;
	struct stream_item item;
	while (session->call && session->handle && stream_peek(session->stream, &item) == OK) {
		if (item.kind == STREAM_END) {
			end_call(session, item.why, item.text);
			return;
		}
		enum err err = send_item(session, &item);
		if (err == ERR_FULL) {
			return; /* the call's `writable` comes back here */
		}
		if (err != OK) {
			end_call(session, err, bytes_of(err_text(err)));
			return;
		}
		stream_pop(session->stream);
	}
}

static void on_wake(void *ctx)
{
	struct session *session = ctx;
	loop_defer(session->server->loop, &session->flush);
}

/* ---- in -------------------------------------------------------------------------------------- */

static void on_subscribe(struct session *session, struct model_subscription *subscription,
	const struct err_info *refusal)
{
	struct remote_server *server = session->server;
	char made_up[MODEL_UUID_SIZE];
	if (subscription->id.size == 0) {
		model_uuid_print(loop_random(server->loop), loop_random(server->loop), made_up);
		subscription->id = bytes_of(made_up);
	}
	server->engine.subscribe(session->handle, subscription, refusal);
}

static enum err send_scratch(struct session *session, enum err err)
{
	return err == OK ? grpc_call_send(session->call, buffer_bytes(&session->scratch)) : err;
}

/*
 * The answer stands before everything else, as nothing has been queued yet. Without a history the
 * stream begins now: who comes back is told that something may be missing.
 */
static enum err welcome(struct session *session, const struct model_hello *hello)
{
	const struct remote_server_options *options = &session->server->options;
	bool comes_back = hello->after.size > 0;
	const struct model_welcome welcome = {.version = 1,
		.epoch = options->epoch,
		.resume = comes_back ? MODEL_RESUME_GAP : MODEL_RESUME_LIVE,
		.message_bytes_max = options->message_bytes_max};
	session->scratch.size = 0;
	enum err err = wire_welcome_encode(&session->scratch, &welcome);
	err = send_scratch(session, err);
	if (err == OK && comes_back) {
		const struct model_gap gap = {.after = hello->after, .reason = MODEL_GAP_UNKNOWN};
		session->scratch.size = 0;
		err = wire_gap_encode(&session->scratch, &gap);
		err = send_scratch(session, err);
	}
	return err;
}

static void refuse_hello(struct session *session, const char *text)
{
	say(session->connection, LOG_WARNING, "Hello refused: %s", text);
	close_stream(session);
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
	say(session->connection, LOG_INFO, "it is called %.*s", BYTES_FORMAT(hello->gateway_id));
	enum err err = welcome(session, hello);
	if (err != OK) {
		end_call(session, err, bytes_of(err_text(err)));
	}
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
	arena_reset(&session->arena);
	enum err err = wire_gateway_message_parse(
		bytes, &server->options.wire, &session->arena, &message, &refusal);
	if (err != OK) {
		say(session->connection, LOG_WARNING, "message of %zu bytes refused: %s",
			bytes.size, err_text(err));
		close_stream(session);
		grpc_call_finish(session->call,
			err == ERR_CORRUPT ? GRPC_INTERNAL : grpc_status_of(err),
			err == ERR_MEMORY ? err_text(err)
					  : "the message is no valid GatewayMessage");
		return;
	}
	switch (message.kind) {
	case WIRE_GATEWAY_SUBSCRIBE:
		on_subscribe(session, &message.subscription, &refusal);
		break;
	case WIRE_GATEWAY_UNSUBSCRIBE:
		server->engine.unsubscribe(session->handle, message.unsubscribe_id);
		break;
	case WIRE_GATEWAY_HEARTBEAT:
		server->engine.heartbeat(session->handle, message.heartbeat.timestamp_ms);
		break;
	case WIRE_GATEWAY_HELLO:
		on_hello(session, &message.hello, is_first);
		break;
	case WIRE_GATEWAY_BULK:
	case WIRE_GATEWAY_NOTHING:
		break;
	}
}

static void on_half_closed(void *ctx)
{
	struct session *session = ctx;
	if (session->handle) {
		close_stream(session);
		grpc_call_finish(session->call, GRPC_OK, "");
	}
}

static void on_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	struct session *session = ctx;
	struct remote_server *server = session->server;
	say(session->connection, LOG_INFO, "stream closed: %s %.*s", grpc_status_name(status),
		BYTES_FORMAT(text));
	session->call = NULL;
	close_stream(session);
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
	mem_free(session);
}

static const struct grpc_call_events session_events = {
	.message = on_message,
	.half_closed = on_half_closed,
	.writable = flush,
	.ended = on_ended,
};

static enum grpc_status on_call(void *ctx, struct grpc_call *call, struct bytes method)
{
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
	session->flush.fn = flush;
	session->flush.ctx = session;
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
	grpc_call_set_ctx(call, &session_events, session);
	say(connection, LOG_INFO, "stream opened");
	return GRPC_OK;
}

/* ---- connections ----------------------------------------------------------------------------- */

static void on_nothing_open(void *ctx)
{
	struct remote_server *server = ctx;
	server->closed(server->closed_ctx);
}

static void on_conn_closed(void *ctx, struct grpc_server_conn *conn)
{
	struct connection *connection = ctx;
	struct remote_server *server = connection->server;
	(void)conn;
	if (connection->unlogged > 0) {
		log_write(server->options.log, loop_wall_us(server->loop), LOG_INFO,
			"remote: connection closed, gateway=%s unlogged=%u", connection->gateway,
			connection->unlogged);
	}
	if (connection->previous) {
		connection->previous->next = connection->next;
	} else {
		server->connections = connection->next;
	}
	if (connection->next) {
		connection->next->previous = connection->previous;
	}
	mem_free(connection);
	server->connections_count--;
	if (server->closing && server->connections_count == 0) {
		on_nothing_open(server);
	}
}

/* It is let in first, so that it is told to go away and the log can name it. */
static void refuse_connection(struct connection *connection)
{
	struct remote_server *server = connection->server;
	metrics_add(server->options.metrics, METRIC_grpc_connections_refused, 1);
	int64_t now_us = loop_now_us(server->loop);
	if (now_us >= server->log_refusal_us) {
		log_write(server->options.log, loop_wall_us(server->loop), LOG_WARNING,
			"remote: connection refused, connections_max=%u gateway=%s",
			server->options.connections_max, connection->gateway);
		server->log_refusal_us = now_us + LOG_LINE_US;
	}
	grpc_server_conn_close(connection->conn);
}

void remote_server_adopt(struct remote_server *server, int socket)
{
	const struct remote_server_options *options = &server->options;
	struct connection *connection = NULL;
	if (!server->draining) {
		connection = mem_calloc(1, sizeof(*connection));
	}
	if (!connection) {
		loop_socket_close(server->loop, socket);
		return;
	}
	connection->server = server;
	const struct grpc_options grpc = {.message_bytes_max = options->message_bytes_max,
		.calls_max = options->calls_max,
		.limits = options->limits,
		.peer_is = "gateway",
		.log = options->log,
		.metrics = options->metrics};
	if (grpc_server_conn_open(server->loop, socket, &grpc, on_call, on_conn_closed, connection,
		    &connection->conn) != OK) {
		mem_free(connection);
		return;
	}
	(void)snprintf(connection->gateway, sizeof(connection->gateway), "%s",
		grpc_server_conn_peer(connection->conn));
	connection->next = server->connections;
	if (connection->next) {
		connection->next->previous = connection;
	}
	server->connections = connection;
	if (server->connections_count++ >= options->connections_max) {
		refuse_connection(connection);
	}
}

size_t remote_server_connections(const struct remote_server *server)
{
	return server->connections_count;
}

void remote_server_drain(struct remote_server *server)
{
	server->draining = true;
	struct connection *next = NULL;
	for (struct connection *connection = server->connections; connection; connection = next) {
		next = connection->next;
		grpc_server_conn_drain(connection->conn);
	}
}

void remote_server_close(struct remote_server *server, loop_fn closed, void *ctx)
{
	server->draining = true;
	server->closing = true;
	server->closed = closed;
	server->closed_ctx = ctx;
	if (server->connections_count == 0) {
		check(loop_post_owned(server->loop, &server->nothing_open) == OK);
		return;
	}
	struct connection *next = NULL;
	for (struct connection *connection = server->connections; connection; connection = next) {
		next = connection->next;
		grpc_server_conn_close(connection->conn);
	}
}

enum err remote_server_new(struct loop *loop, const struct remote_server_options *options,
	const struct remote_engine *engine, struct remote_server **ret_server)
{
	struct remote_server *server = mem_calloc(1, sizeof(*server));
	if (!server) {
		return ERR_MEMORY;
	}
	server->loop = loop;
	server->options = *options;
	server->engine = *engine;
	server->nothing_open = (struct loop_posted){.fn = on_nothing_open, .ctx = server};
	*ret_server = server;
	return OK;
}

void remote_server_free(struct remote_server *server)
{
	if (server) {
		check(server->connections_count == 0);
		mem_free(server);
	}
}
