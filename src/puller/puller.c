/*
 * The service: a listener, its connections, and the end of both. `closed` comes from the timer, so
 * never from within puller_close, and only when the last connection is gone.
 */
#include "puller_priv.h"

/* ---- connections ----------------------------------------------------------------------------- */

static void on_conn_closed(void *ctx, struct grpc_server_conn *conn)
{
	struct puller_connection *connection = ctx;
	struct puller *puller = connection->puller;
	(void)conn;
	if (connection->previous) {
		connection->previous->next = connection->next;
	} else {
		puller->connections = connection->next;
	}
	if (connection->next) {
		connection->next->previous = connection->previous;
	}
	mem_free(connection);
	puller->connections_count--;
	if (puller->is_closing && puller->connections_count == 0) {
		loop_timer_start(puller->timer, 0);
	}
}

static enum grpc_status on_call(void *ctx, struct grpc_call *call, struct bytes method)
{
	struct puller_connection *connection = ctx;
	struct puller *puller = connection->puller;
	if (!bytes_equal(method, bytes_of(WIRE_PULLER_SUBSCRIBE))) {
		return GRPC_UNIMPLEMENTED;
	}
	if (puller->is_closing) {
		return GRPC_UNAVAILABLE;
	}
	return puller_subscriber_new(puller, call);
}

static void on_accepted(void *ctx, int socket)
{
	struct puller *puller = ctx;
	struct puller_connection *connection = NULL;
	if (puller->connections_count < PULLER_CONNECTIONS_MAX) {
		connection = mem_calloc(1, sizeof *connection);
	}
	if (!connection) {
		loop_socket_close(puller->loop, socket);
		return;
	}
	const struct grpc_options options = {
		.log = puller->options.log, .metrics = puller->options.metrics};
	connection->puller = puller;
	if (grpc_server_conn_open(puller->loop, socket, &options, on_call, on_conn_closed,
		    connection, &connection->conn)) {
		mem_free(connection);
		return;
	}
	connection->next = puller->connections;
	if (connection->next) {
		connection->next->previous = connection;
	}
	puller->connections = connection;
	puller->connections_count++;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void push_all(void *ctx)
{
	struct puller *puller = ctx;
	struct puller_subscriber *next = NULL;
	for (struct puller_subscriber *at = puller->subscribers; at; at = next) {
		next = at->next;
		puller_subscriber_push(at);
	}
}

void puller_more(struct puller *puller)
{
	loop_defer(puller->loop, &puller->push);
}

/* In closing: the time that subscribers had is over, or the last connection is gone. */
static void on_timer(void *ctx)
{
	struct puller *puller = ctx;
	struct puller_connection *next = NULL;
	if (puller->connections_count == 0) {
		puller->closed(puller->closed_ctx);
		return;
	}
	for (struct puller_connection *at = puller->connections; at; at = next) {
		next = at->next;
		grpc_server_conn_close(at->conn);
	}
}

static enum err open_changes(
	struct puller *puller, const struct puller_options *options, struct err_info *info)
{
	struct puller_changes *changes = &puller->changes;
	const char *backend = options->backend ? options->backend : PULLER_BACKEND;
	changes->fd = -1;
	changes->log = options->log;
	changes->made_ms = loop_wall_us(puller->loop) / 1000;
	enum err err = buffer_append_text(&changes->backend, backend);
	if (!err && options->path) {
		return puller_file_open(changes, options->path, options->loop, info);
	}
	err = err ? err : puller_kept_open(changes, options->source);
	return err ? err_set(info, err, 0, "%s", err_text(err)) : OK;
}

enum err puller_new(struct loop *loop, const struct puller_options *options, struct err_info *info,
	struct puller **ret_puller)
{
	struct puller *puller = mem_calloc(1, sizeof *puller);
	if (!puller) {
		return err_set(info, ERR_MEMORY, 0, "%s", err_text(ERR_MEMORY));
	}
	check(options->path || options->source);
	puller->loop = loop;
	puller->options = *options;
	if (puller->options.heartbeat_us <= 0) {
		puller->options.heartbeat_us = PULLER_HEARTBEAT_US;
	}
	puller->push = (struct loop_deferred){.fn = push_all, .ctx = puller};
	enum err err = open_changes(puller, options, info);
	if (!err) {
		err = loop_timer_new(loop, on_timer, puller, &puller->timer);
		err = err ? err_set(info, err, 0, "%s", err_text(err)) : OK;
	}
	if (!err) {
		err = loop_listen(loop, options->listen_address, on_accepted, puller,
			&puller->listener, info);
	}
	if (err) {
		puller_free(puller);
		return err;
	}
	*ret_puller = puller;
	return OK;
}

const char *puller_address(const struct puller *puller)
{
	return loop_listener_address(puller->listener);
}

void puller_close(struct puller *puller, loop_fn closed, void *ctx)
{
	check(!puller->is_closing);
	puller->is_closing = true;
	puller->closed = closed;
	puller->closed_ctx = ctx;
	loop_listener_free(puller->listener);
	puller->listener = NULL;
	for (struct puller_subscriber *at = puller->subscribers; at; at = at->next) {
		puller_subscriber_end(at, GRPC_CANCELLED, "subscription closed");
	}
	for (struct puller_connection *at = puller->connections; at; at = at->next) {
		grpc_server_conn_drain(at->conn);
	}
	loop_timer_start(puller->timer, puller->connections_count > 0 ? PULLER_CLOSE_US : 0);
}

void puller_free(struct puller *puller)
{
	if (!puller) {
		return;
	}
	check(puller->connections_count == 0);
	if (puller->listener) {
		loop_listener_free(puller->listener);
	}
	if (puller->timer) {
		loop_timer_free(puller->timer);
	}
	loop_undefer(puller->loop, &puller->push);
	puller_changes_fini(&puller->changes);
	buffer_fini(&puller->marker);
	buffer_fini(&puller->tail);
	mem_free(puller);
}
