/*
 * A descriptor and the handle that watches it, closed together. Lingering sockets have no
 * connection any more: they only read until the peer has ended too, LINGER_US at most, oldest first
 * in the loop's list.
 */
#include "uv_priv.h"

#include <errno.h>
#include <unistd.h>

enum { LINGER_US = 2000000 };

static void socket_polled(uv_poll_t *poll, int status, int events)
{
	struct real_socket *socket = poll->data;
	if (status < 0) {
		socket->events = 0; /* libuv has stopped it */
	}
	socket->ready(socket->owner, status, events);
}

enum err real_socket_new(struct real_loop *loop, int fd, struct real_socket **ret_socket)
{
	struct real_socket *socket = mem_calloc(1, sizeof(*socket));
	if (!socket) {
		return ERR_MEMORY;
	}
	socket->loop = loop;
	socket->fd = fd;
	if (uv_poll_init(&loop->uv, &socket->poll, fd)) {
		mem_free(socket);
		return ERR_IO;
	}
	socket->poll.data = socket;
	*ret_socket = socket;
	return OK;
}

void real_socket_want(struct real_socket *socket, int events)
{
	if (events == socket->events) {
		return;
	}
	socket->events = events;
	if (events) {
		(void)uv_poll_start(&socket->poll, events, socket_polled);
	} else {
		(void)uv_poll_stop(&socket->poll);
	}
}

void real_socket_close(struct real_socket *socket)
{
	if (socket) {
		uv_close((uv_handle_t *)&socket->poll, real_free_block);
		(void)close(socket->fd); /* permitted once uv_close has been called */
	}
}

/* ---- lingering ---- */

static void linger_close(struct real_socket *socket)
{
	struct real_loop *loop = socket->loop;
	if (socket->before) {
		socket->before->after = socket->after;
	} else {
		loop->lingering_first = socket->after;
	}
	if (socket->after) {
		socket->after->before = socket->before;
	} else {
		loop->lingering_last = socket->before;
	}
	real_socket_close(socket);
}

/* Throws away what has arrived, up to a bound. Whether the peer may send more. */
static bool linger_read(struct real_socket *socket)
{
	for (int i = 0; i < READS_MAX; i++) {
		ssize_t got = recv(socket->fd, socket->loop->read_buffer, READ_BUFFER_BYTES, 0);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
			return false;
		}
		if (got < 0 && errno == EAGAIN) {
			break;
		}
	}
	return true;
}

static void linger_ready(void *owner, int status, int events)
{
	(void)events;
	struct real_socket *socket = owner;
	if (!linger_read(socket) || status < 0) {
		linger_close(socket);
	}
}

static void linger_start_timer(struct real_loop *loop)
{
	if (loop->lingering_first) {
		int64_t left = loop->lingering_first->linger_until_us - loop_now_us(&loop->loop);
		uint64_t left_ms = left > 0 ? (uint64_t)left / 1000 + 1 : 1;
		(void)uv_timer_start(&loop->linger, real_linger_expired, left_ms, 0);
	}
}

void real_linger_expired(uv_timer_t *timer)
{
	struct real_loop *loop = timer->data;
	int64_t now_us = loop_now_us(&loop->loop);
	while (loop->lingering_first && loop->lingering_first->linger_until_us <= now_us) {
		linger_close(loop->lingering_first);
	}
	linger_start_timer(loop);
}

void real_linger_end(struct real_loop *loop)
{
	while (loop->lingering_first) {
		(void)linger_read(loop->lingering_first);
		linger_close(loop->lingering_first);
	}
}

void real_socket_linger(struct real_socket *socket)
{
	struct real_loop *loop = socket->loop;
	if (shutdown(socket->fd, SHUT_WR) || !linger_read(socket)) {
		real_socket_close(socket);
		return;
	}
	socket->linger_until_us = loop_now_us(&loop->loop) + LINGER_US;
	socket->before = loop->lingering_last;
	socket->after = NULL;
	if (loop->lingering_last) {
		loop->lingering_last->after = socket;
	} else {
		loop->lingering_first = socket;
	}
	loop->lingering_last = socket;
	if (!uv_is_active((uv_handle_t *)&loop->linger)) {
		linger_start_timer(loop);
	}
	socket->ready = linger_ready;
	socket->owner = socket;
	real_socket_want(socket, UV_READABLE);
}
