/* A connection that we make: a client session, and what its owner may ask of it. */
#include "grpc_priv.h"

#include <string.h>

struct grpc_client {
	struct grpc_link link;
	const struct grpc_client_events *events;
	void *ctx;
};

static void link_opened(void *ctx)
{
	struct grpc_client *client = ctx;
	client->link.session->peer = loop_conn_peer(client->link.conn);
	if (client->events->opened) {
		client->events->opened(client->ctx);
	}
}

static void link_closed(void *ctx, enum err why)
{
	struct grpc_client *client = ctx;
	grpc_link_fini(&client->link);
	client->events->closed(client->ctx, why);
	mem_free(client);
}

enum err grpc_client_open(struct loop *loop, const char *address,
	const struct grpc_options *options, const struct grpc_client_events *events, void *ctx,
	struct grpc_client **ret_client)
{
	struct grpc_session *session = NULL;
	bool is_path = strncmp(address, "unix:", 5) == 0;
	struct grpc_client *client = mem_calloc(1, sizeof *client);
	if (!client) {
		return ERR_MEMORY;
	}
	client->events = events;
	client->ctx = ctx;
	client->link.opened = link_opened;
	client->link.closed = link_closed;
	client->link.ctx = client;
	enum err err = grpc_session_new_client(options, is_path ? "localhost" : address, &session);
	if (!err) {
		err = grpc_link_init(&client->link, loop, session);
	}
	if (err) {
		mem_free(client);
		return err;
	}
	session->peer = session->authority;
	err = loop_connect(loop, address, &grpc_link_events, &client->link, &client->link.conn);
	if (err) {
		metrics_add(options->metrics, METRIC_grpc_connections, -1);
		grpc_link_fini(&client->link);
		mem_free(client);
		return err;
	}
	*ret_client = client;
	return OK;
}

enum err grpc_client_call(struct grpc_client *client, const char *method, int64_t timeout_us,
	const struct grpc_call_events *events, void *ctx, struct grpc_call **ret_call)
{
	struct grpc_link *link = &client->link;
	if (link->is_closing || link->is_closed) {
		return ERR_UNAVAILABLE;
	}
	int64_t now_us = loop_now_us(link->loop);
	int64_t deadline_us = timeout_us > 0 ? now_us + timeout_us : INT64_MAX;
	if (!link->session->is_inside) {
		link->session->now_us = now_us;
	}
	return grpc_session_call(link->session, method, deadline_us, events, ctx, ret_call);
}

void grpc_client_close(struct grpc_client *client)
{
	grpc_link_close(&client->link);
}
