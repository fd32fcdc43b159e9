/* A connection that a listener took: a server session, and what its owner may ask of it. */
#include "grpc_priv.h"

struct grpc_server_conn {
	struct grpc_link link;
	grpc_accept_fn accept;
	grpc_conn_closed_fn closed;
	void *ctx;
};

static enum grpc_status accept_call(void *ctx, struct grpc_call *call, struct bytes method)
{
	struct grpc_server_conn *conn = ctx;
	if (conn->link.is_closing) {
		return GRPC_UNAVAILABLE;
	}
	return conn->accept(conn->ctx, call, method);
}

static void link_closed(void *ctx, enum err why)
{
	struct grpc_server_conn *conn = ctx;
	(void)why;
	grpc_link_fini(&conn->link);
	conn->closed(conn->ctx, conn);
	mem_free(conn);
}

/* NOLINTNEXTLINE(readability-function-size): two callbacks that know one ctx, and a result */
enum err grpc_server_conn_open(struct loop *loop, int socket, const struct grpc_options *options,
	grpc_accept_fn accept, grpc_conn_closed_fn closed, void *ctx,
	struct grpc_server_conn **ret_conn)
{
	struct grpc_session *session = NULL;
	struct grpc_server_conn *conn = mem_calloc(1, sizeof *conn);
	if (!conn) {
		loop_socket_close(loop, socket);
		return ERR_MEMORY;
	}
	conn->accept = accept;
	conn->closed = closed;
	conn->ctx = ctx;
	conn->link.closed = link_closed;
	conn->link.ctx = conn;
	enum err err = grpc_session_new_server(options, accept_call, conn, &session);
	if (!err) {
		err = grpc_link_init(&conn->link, loop, session);
	}
	if (err) {
		loop_socket_close(loop, socket);
		mem_free(conn);
		return err;
	}
	err = loop_conn_open(loop, socket, &grpc_link_events, &conn->link, &conn->link.conn);
	if (err) {
		metrics_add(options->metrics, METRIC_grpc_connections, -1);
		grpc_link_fini(&conn->link);
		mem_free(conn);
		return err;
	}
	conn->link.is_open = true;
	session->peer = loop_conn_peer(conn->link.conn);
	loop_defer(loop, &conn->link.flush); /* our SETTINGS */
	*ret_conn = conn;
	return OK;
}

const char *grpc_server_conn_peer(const struct grpc_server_conn *conn)
{
	return conn->link.session->peer;
}

void grpc_server_conn_drain(struct grpc_server_conn *conn)
{
	grpc_session_goaway(conn->link.session);
}

void grpc_server_conn_close(struct grpc_server_conn *conn)
{
	grpc_link_close(&conn->link);
}
