/*
 * StreamerService, the server's end: connections, and who may have one. Each call on one is a
 * session.
 */
#include "server_priv.h"

#include <stdio.h>

/* A gateway's lines in the log: so many at once, and one more at each interval. */
#define LOG_LINES_MAX 20
#define LOG_LINE_US 1000000
#define LEASES_US 1000000 /* between two looks at who is silent */

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

void connection_say(struct connection *connection, enum log_level level, const char *format, ...)
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
		.metrics = options->metrics,
		.lent = &server->lent};
	if (grpc_server_conn_open(server->loop, socket, &grpc, session_open, on_conn_closed,
		    connection, &connection->conn) != OK) {
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

/* Who knows the word is told how long it may stay. */
static void say_goodbye(struct remote_server *server)
{
	const struct model_going_away going_away = {
		.deadline_ms = server->options.drain_ms, .reason = bytes_of("shutting down")};
	for (struct session *session = server->sessions; session; session = session->next) {
		session->scratch.size = 0;
		if (session->handle && session->knows_extensions &&
			wire_going_away_encode(&session->scratch, &going_away) == OK) {
			server->engine.send(session->handle, buffer_bytes(&session->scratch));
		}
	}
}

static void on_leases(void *ctx)
{
	struct remote_server *server = ctx;
	session_on_leases(server);
	loop_timer_start(server->leases, LEASES_US);
}

void remote_server_drain(struct remote_server *server)
{
	if (!server->draining) {
		say_goodbye(server);
	}
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
	loop_timer_stop(server->leases);
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
	enum err err = loop_timer_new(loop, on_leases, server, &server->leases);
	if (err == OK) {
		err = loop_waker_new(loop, session_on_bulks, server, &server->bulks);
	}
	if (err != OK) {
		remote_server_free(server);
		return err;
	}
	if (options->lease_ms > 0) {
		loop_timer_start(server->leases, LEASES_US);
	}
	*ret_server = server;
	return OK;
}

void remote_server_free(struct remote_server *server)
{
	if (server) {
		check(server->connections_count == 0);
		grpc_lent_fini(&server->lent);
		loop_timer_free(server->leases);
		loop_waker_free(server->bulks);
		mem_free(server);
	}
}
