/*
 * Connections over real sockets. `closed` is called from the turn only: at once where reading meets
 * the end, and from the next turn's idle phase where a call of loop.h or a failed write ended it;
 * between the two the connection is CONN_ENDING, in the loop's list, and calls nothing.
 */
#include "uv_priv.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

/* ---- ending ---- */

static void unlink_conn(struct real_conn *conn)
{
	if (conn->before) {
		conn->before->after = conn->after;
	} else {
		real_of(conn->conn.loop)->conns = conn->after;
	}
	if (conn->after) {
		conn->after->before = conn->before;
	}
}

static void link_conn(struct real_conn *conn)
{
	struct real_loop *loop = real_of(conn->conn.loop);
	conn->after = loop->conns;
	if (conn->after) {
		conn->after->before = conn;
	}
	loop->conns = conn;
}

static void end_now(struct real_conn *conn, enum err why)
{
	conn->state = CONN_ENDING;
	unlink_conn(conn);
	real_connector_free(conn->connector);
	if (conn->socket && conn->owner_closed && why == OK) {
		real_socket_linger(conn->socket);
	} else {
		real_socket_close(conn->socket);
	}
	conn->conn.events.closed(conn->conn.ctx, why);
	mem_free(conn);
}

void real_conn_end_later(struct real_conn *conn, enum err why)
{
	if (conn->state == CONN_ENDING) {
		return;
	}
	struct real_loop *loop = real_of(conn->conn.loop);
	conn->state = CONN_ENDING;
	conn->why = why;
	if (conn->socket) {
		real_socket_want(conn->socket, 0);
	}
	conn->ending_next = NULL;
	if (loop->ending_last) {
		loop->ending_last->ending_next = conn;
	} else {
		loop->ending_first = conn;
	}
	loop->ending_last = conn;
	real_hurry(loop);
}

/* What the kernel's buffer holds; one who refuses our bytes and sends on is not heard to the end.
 */
static void read_rest(struct real_conn *conn)
{
	char *buffer = real_of(conn->conn.loop)->read_buffer;
	for (int i = 0; i < REST_READS_MAX && !conn->paused && !conn->owner_closed; i++) {
		ssize_t got = recv(conn->socket->fd, buffer, READ_BUFFER_BYTES, 0);
		if (got <= 0) {
			return;
		}
		conn->conn.events.read(conn->conn.ctx, (struct bytes){buffer, (size_t)got});
	}
}

void real_conns_end(struct real_loop *loop)
{
	struct real_conn *conn = loop->ending_first;
	loop->ending_first = NULL;
	loop->ending_last = NULL;
	while (conn) {
		struct real_conn *next = conn->ending_next;
		if (conn->read_rest) {
			read_rest(conn);
		}
		end_now(conn, conn->why);
		conn = next;
	}
}

/* ---- reading and writing ---- */

static void want(struct real_conn *conn)
{
	if (conn->state == CONN_OPEN) {
		int events = conn->paused ? 0 : UV_READABLE;
		real_socket_want(conn->socket, events | (conn->want_write ? UV_WRITABLE : 0));
	}
}

/* Whether the connection still is. With `failed` set, a socket that has nothing to read is broken.
 */
static bool read_some(struct real_conn *conn, bool failed)
{
	char *buffer = real_of(conn->conn.loop)->read_buffer;
	for (int i = 0; i < READS_MAX && conn->state == CONN_OPEN && !conn->paused; i++) {
		ssize_t got = recv(conn->socket->fd, buffer, READ_BUFFER_BYTES, 0);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got == 0 || (got < 0 && (errno != EAGAIN || failed))) {
			end_now(conn, got == 0 ? OK : ERR_IO);
			return false;
		}
		if (got < 0) {
			break;
		}
		conn->conn.events.read(conn->conn.ctx, (struct bytes){buffer, (size_t)got});
		if (got < READ_BUFFER_BYTES) {
			break; /* that was all: the next turn says if there is more */
		}
	}
	return true;
}

static void conn_ready(void *owner, int status, int events)
{
	struct real_conn *conn = owner;
	if (status < 0 && conn->paused) {
		end_now(conn, ERR_IO);
		return;
	}
	if (((events & UV_READABLE) || status < 0) && !read_some(conn, status < 0)) {
		return;
	}
	if ((events & UV_WRITABLE) && conn->want_write && conn->state == CONN_OPEN) {
		conn->want_write = false;
		conn->conn.events.writable(conn->conn.ctx);
	}
	want(conn);
}

enum err real_conn_write(
	struct loop_conn *base, const struct iovec *pieces, size_t count, size_t *ret_taken)
{
	struct real_conn *conn = (struct real_conn *)base;
	if (conn->state == CONN_ENDING) {
		return ERR_CLOSED;
	}
	size_t size = 0;
	for (size_t i = 0; i < count; i++) {
		size += pieces[i].iov_len;
	}
	ssize_t sent = 0;
	if (conn->state == CONN_OPEN && size > 0) {
		struct msghdr message = {
			.msg_iov = (struct iovec *)pieces, /* sendmsg only reads them */
			.msg_iovlen = count < IOV_MAX ? count : IOV_MAX,
		};
		do {
			sent = sendmsg(conn->socket->fd, &message, MSG_NOSIGNAL);
		} while (sent < 0 && errno == EINTR);
		if (sent < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM) {
			conn->read_rest = true;
			real_conn_end_later(conn, ERR_IO);
			return ERR_IO;
		}
	}
	size_t taken = sent > 0 ? (size_t)sent : 0;
	if (taken < size) {
		conn->want_write = true;
		want(conn);
	}
	*ret_taken = taken;
	return OK;
}

void real_conn_pause(struct loop_conn *base, bool paused)
{
	struct real_conn *conn = (struct real_conn *)base;
	conn->paused = paused;
	want(conn);
}

void real_conn_close(struct loop_conn *base)
{
	struct real_conn *conn = (struct real_conn *)base;
	conn->owner_closed = true;
	real_conn_end_later(conn, OK);
}

/* ---- opening ---- */

static enum err conn_new(struct loop *loop, const struct loop_conn_events *events, void *ctx,
	struct real_conn **ret_conn)
{
	if (real_of(loop)->freeing) {
		return ERR_CLOSED;
	}
	struct real_conn *conn = mem_calloc(1, sizeof(*conn));
	if (!conn) {
		return ERR_MEMORY;
	}
	conn->conn = (struct loop_conn){.loop = loop, .events = *events, .ctx = ctx};
	*ret_conn = conn;
	return OK;
}

static void take_socket(struct real_conn *conn, struct real_socket *socket)
{
	int on = 1; /* a unix socket refuses it, which does no harm */
	(void)setsockopt(socket->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	socket->ready = conn_ready;
	socket->owner = conn;
	conn->socket = socket;
	conn->state = CONN_OPEN;
}

void real_conn_connected(
	struct real_conn *conn, struct real_socket *socket, const struct candidate *peer)
{
	address_print(&peer->address, peer->size, conn->conn.peer);
	real_connector_free(conn->connector);
	conn->connector = NULL;
	take_socket(conn, socket);
	conn->conn.events.opened(conn->conn.ctx);
	want(conn);
}

enum err real_connect(struct loop *loop, const char *text, const struct loop_conn_events *events,
	void *ctx, struct loop_conn **ret_conn)
{
	struct address address;
	enum err err = address_parse(text, &address, NULL);
	if (err) {
		return err;
	}
	struct real_conn *conn = NULL;
	err = conn_new(loop, events, ctx, &conn);
	if (err) {
		return err;
	}
	(void)strncpy(conn->conn.peer, text, sizeof(conn->conn.peer) - 1);
	conn->state = CONN_CONNECTING;
	err = real_connector_new(conn, &address, &conn->connector);
	if (err) {
		mem_free(conn);
		return err;
	}
	link_conn(conn);
	*ret_conn = &conn->conn;
	return OK;
}

enum err real_conn_open(struct loop *loop, int fd, const struct loop_conn_events *events, void *ctx,
	struct loop_conn **ret_conn)
{
	struct real_conn *conn = NULL;
	struct real_socket *socket = NULL;
	enum err err = conn_new(loop, events, ctx, &conn);
	if (!err) {
		err = real_socket_new(real_of(loop), fd, &socket);
	}
	if (err) {
		(void)close(fd);
		mem_free(conn);
		return err;
	}
	struct sockaddr_storage peer = {0};
	socklen_t size = sizeof(peer);
	if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0) {
		address_print(&peer, size, conn->conn.peer);
	}
	take_socket(conn, socket);
	link_conn(conn);
	want(conn);
	*ret_conn = &conn->conn;
	return OK;
}
