/*
 * From an address to a connected socket. A connector belongs to its connection, but stays on its
 * own while the thread pool still looks its name up: then `conn` is NULL and the answer is thrown
 * away. What comes for a connection that its owner has closed meanwhile is thrown away too. The
 * addresses of a name are tried one after the other. How long that may take is the caller's timer.
 */
#include "uv_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct real_connector {
	struct real_loop *loop;
	struct real_conn *conn;
	struct real_socket *socket; /* the attempt under way */
	uv_getaddrinfo_t lookup;
	bool looking;
	size_t count, next;
	struct candidate candidates[CANDIDATES_MAX];
};

/* ---- names ---- */

static size_t take_candidates(
	const struct addrinfo *found, struct candidate *candidates, size_t candidates_max)
{
	size_t count = 0;
	for (; found && count < candidates_max; found = found->ai_next) {
		if (found->ai_addrlen <= sizeof(candidates[count].address)) {
			candidates[count] = (struct candidate){.size = found->ai_addrlen};
			memcpy(&candidates[count].address, found->ai_addr, found->ai_addrlen);
			count++;
		}
	}
	return count;
}

static struct candidate unix_candidate(const struct address *address)
{
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	memcpy(local.sun_path, address->path, sizeof(local.sun_path));
	struct candidate candidate = {.size = sizeof(local)};
	memcpy(&candidate.address, &local, sizeof(local));
	return candidate;
}

static struct addrinfo lookup_hints(int flags)
{
	return (struct addrinfo){
		.ai_socktype = SOCK_STREAM,
		.ai_family = AF_UNSPEC,
		.ai_flags = flags | AI_NUMERICSERV,
	};
}

size_t real_lookup(const struct address *address, int flags, struct candidate *candidates,
	size_t candidates_max, int *ret_error)
{
	if (address->is_unix) {
		candidates[0] = unix_candidate(address);
		return 1;
	}
	char port[8];
	(void)snprintf(port, sizeof(port), "%u", address->port);
	struct addrinfo hints = lookup_hints(flags);
	struct addrinfo *found = NULL;
	if (getaddrinfo(address->host[0] ? address->host : NULL, port, &hints, &found)) {
		*ret_error = UV_EAI_NONAME;
		return 0;
	}
	size_t count = take_candidates(found, candidates, candidates_max);
	freeaddrinfo(found);
	return count;
}

/* ---- attempts ---- */

static void attempt_ready(void *owner, int status, int events);

static bool attempt(struct real_connector *connector, const struct candidate *candidate)
{
	int fd =
		socket(candidate->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return false;
	}
	struct real_socket *attempted = NULL;
	int failed = connect(fd, (const struct sockaddr *)&candidate->address, candidate->size);
	if ((failed && errno != EINPROGRESS) ||
		real_socket_new(connector->loop, fd, &attempted) != OK) {
		(void)close(fd);
		return false;
	}
	attempted->ready = attempt_ready;
	attempted->owner = connector;
	connector->socket = attempted;
	real_socket_want(attempted, UV_WRITABLE);
	return true;
}

static void try_next(struct real_connector *connector)
{
	while (connector->next < connector->count) {
		if (attempt(connector, &connector->candidates[connector->next++])) {
			return;
		}
	}
	real_conn_end_later(connector->conn, ERR_UNAVAILABLE);
}

static void attempt_ready(void *owner, int status, int events)
{
	(void)events;
	struct real_connector *connector = owner;
	struct real_socket *attempted = connector->socket;
	int error = 0;
	socklen_t size = sizeof(error);
	int failed = getsockopt(attempted->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	connector->socket = NULL;
	if (connector->conn->state == CONN_ENDING) {
		real_socket_close(attempted);
		return;
	}
	if (failed || error || status < 0) {
		real_socket_close(attempted);
		try_next(connector);
		return;
	}
	/* Frees the connector. */
	real_conn_connected(
		connector->conn, attempted, &connector->candidates[connector->next - 1]);
}

/* ---- life ---- */

static void looked_up(uv_getaddrinfo_t *lookup, int status, struct addrinfo *found)
{
	struct real_connector *connector = lookup->data;
	connector->looking = false;
	if (connector->conn && status == 0) {
		connector->count = take_candidates(found, connector->candidates, CANDIDATES_MAX);
	}
	uv_freeaddrinfo(found);
	if (!connector->conn) {
		mem_free(connector);
	} else if (connector->conn->state != CONN_ENDING) {
		try_next(connector);
	}
}

static enum err look_up(struct real_connector *connector, const struct address *address)
{
	char port[8];
	(void)snprintf(port, sizeof(port), "%u", address->port);
	struct addrinfo hints = lookup_hints(0);
	connector->lookup.data = connector;
	int failed = uv_getaddrinfo(
		&connector->loop->uv, &connector->lookup, looked_up, address->host, port, &hints);
	if (failed) {
		return failed == UV_ENOMEM ? ERR_MEMORY
					   : ERR_INVALID; /* a name that IDNA refuses */
	}
	connector->looking = true;
	return OK;
}

enum err real_connector_new(
	struct real_conn *conn, const struct address *address, struct real_connector **ret)
{
	struct real_connector *connector = mem_calloc(1, sizeof(*connector));
	if (!connector) {
		return ERR_MEMORY;
	}
	connector->loop = real_of(conn->conn.loop);
	connector->conn = conn;
	/* Numbers need no looking up, and no thread. */
	int ignored = 0;
	connector->count = real_lookup(
		address, AI_NUMERICHOST, connector->candidates, CANDIDATES_MAX, &ignored);
	if (connector->count > 0) {
		try_next(connector);
	} else {
		enum err err = look_up(connector, address);
		if (err) {
			mem_free(connector);
			return err;
		}
	}
	*ret = connector;
	return OK;
}

void real_connector_free(struct real_connector *connector)
{
	if (!connector) {
		return;
	}
	real_socket_close(connector->socket);
	if (connector->looking) {
		connector->conn = NULL; /* looked_up frees it */
		connector->socket = NULL;
		(void)uv_cancel((uv_req_t *)&connector->lookup);
	} else {
		mem_free(connector);
	}
}
