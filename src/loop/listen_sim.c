/*
 * Listeners in memory, found by the text of their address. A listener for any host hears all of
 * them.
 */
#include "sim_priv.h"

#include <stdio.h>
#include <string.h>

static bool is_any(const char *host)
{
	return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

void sim_address_normalise(struct address *address, const char *any_host)
{
	const char *host = address->host;
	if (!address->is_unix && (host[0] == '\0' || strcmp(host, "localhost") == 0)) {
		(void)snprintf(address->host, sizeof(address->host), "%s",
			host[0] ? "127.0.0.1" : any_host);
	}
}

struct sim_listener *sim_listener_find(struct sim *sim, const struct address *address)
{
	struct sim_listener *listener = sim->listeners;
	for (; listener; listener = listener->next) {
		const struct address *own = &listener->address;
		if (own->is_unix != address->is_unix) {
			continue;
		}
		if (own->is_unix) {
			if (strcmp(own->path, address->path) == 0) {
				break;
			}
		} else if (own->port == address->port &&
			(is_any(own->host) || is_any(address->host) ||
				strcmp(own->host, address->host) == 0)) {
			break;
		}
	}
	return listener;
}

static struct sim_conn *next_waiting(const struct sim_listener *listener, const struct sim *sim)
{
	struct sim_conn *conn = sim->unowned_first;
	while (conn && conn->listener != listener) {
		conn = conn->after;
	}
	return conn;
}

static void accept_waiting(void *owner)
{
	struct sim_listener *listener = owner;
	struct sim *sim = sim_of(listener->listener.loop)->sim;
	listener->accepting = true;
	struct sim_conn *conn = next_waiting(listener, sim);
	while (conn && !listener->freed) {
		conn->listener = NULL;
		listener->listener.accepted(listener->listener.ctx, conn->socket);
		conn = next_waiting(listener, sim);
	}
	listener->accepting = false;
	if (listener->freed) {
		mem_free(listener);
	}
}

static void choose_port(struct sim *sim, struct address *address)
{
	while (!address->is_unix && (address->port == 0 || sim_listener_find(sim, address))) {
		address->port = sim->port_last++;
	}
}

enum err sim_listen(struct loop *base, const char *text, loop_accepted_fn accepted, void *ctx,
	struct loop_listener **ret_listener, struct err_info *info)
{
	struct sim_loop *loop = sim_of(base);
	struct sim *sim = loop->sim;
	sim_check_turn(loop);
	struct address address;
	enum err err = address_parse(text, &address, info);
	if (err) {
		return err;
	}
	sim_address_normalise(&address, "0.0.0.0");
	if (!address.is_unix && address.port == 0) {
		choose_port(sim, &address);
	} else if (sim_listener_find(sim, &address)) {
		return err_set(
			info, ERR_IO, 0, "cannot listen on %.160s: address already in use", text);
	}
	struct sim_listener *listener = mem_calloc(1, sizeof(*listener));
	if (!listener) {
		return err_set(info, ERR_MEMORY, 0, "out of memory");
	}
	listener->listener = (struct loop_listener){.loop = base, .accepted = accepted, .ctx = ctx};
	listener->address = address;
	if (address.is_unix) {
		(void)snprintf(listener->listener.address, sizeof(listener->listener.address),
			"unix:%s", address.path);
	} else {
		address_print_host(address.host, address.port, listener->listener.address);
	}
	listener->accept =
		(struct sim_event){.loop = loop, .fire = accept_waiting, .owner = listener};
	listener->next = sim->listeners;
	sim->listeners = listener;
	*ret_listener = &listener->listener;
	return OK;
}

void sim_listener_free(struct loop_listener *base)
{
	struct sim_listener *listener = (struct sim_listener *)base;
	struct sim *sim = sim_of(base->loop)->sim;
	struct sim_listener **at = &sim->listeners;
	while (*at != listener) {
		at = &(*at)->next;
	}
	*at = listener->next;
	sim_event_cancel(&listener->accept);
	struct sim_conn *conn = next_waiting(listener, sim);
	while (conn) {
		sim_conn_drop(conn);
		conn = next_waiting(listener, sim);
	}
	listener->freed = true;
	if (!listener->accepting) {
		mem_free(listener);
	}
}
