/*
 * Listeners: a socket for each address that the name has, all on one port. When descriptors run
 * out, a listener rests for a moment and leaves the waiting connections to the kernel.
 */
#include "uv_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SOCKETS_MAX = 4, ACCEPTS_MAX = 64, BACKLOG = 1024, REST_MS = 100 };

struct real_listener {
	struct loop_listener listener;
	bool freed;
	struct real_socket *sockets[SOCKETS_MAX];
	size_t count;
	uv_timer_t rest;
	struct address address;
	struct real_listener *before, *after; /* in the loop's `listeners` */
};

/* ---- accepting ---- */

static void want_all(struct real_listener *listener, int events)
{
	for (size_t i = 0; i < listener->count; i++) {
		real_socket_want(listener->sockets[i], events);
	}
}

static void rested(uv_timer_t *timer)
{
	want_all(timer->data, UV_READABLE);
}

static void accept_some(struct real_listener *listener, int fd)
{
	for (int i = 0; i < ACCEPTS_MAX && !listener->freed; i++) {
		int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (accepted >= 0) {
			listener->listener.accepted(listener->listener.ctx, accepted);
			continue;
		}
		if (errno == EAGAIN) {
			return;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			want_all(listener, 0);
			(void)uv_timer_start(&listener->rest, rested, REST_MS, 0);
			return;
		}
		/* Any other is the failure of one connection before it was accepted. */
	}
}

static void listener_ready(void *owner, int status, int events)
{
	(void)status;
	(void)events;
	struct real_listener *listener = owner;
	/* Each is asked: a socket without a connection says so at once. */
	for (size_t i = 0; i < listener->count && !listener->freed; i++) {
		accept_some(listener, listener->sockets[i]->fd);
	}
	if (!listener->freed && !uv_is_active((uv_handle_t *)&listener->rest)) {
		want_all(listener, UV_READABLE);
	}
}

/* ---- life ---- */

/* A path that nobody listens on any more, left by a process that was killed. */
static void remove_stale(const struct candidate *candidate)
{
	const struct sockaddr_un *local = (const struct sockaddr_un *)&candidate->address;
	struct stat status;
	if (lstat(local->sun_path, &status) || !S_ISSOCK(status.st_mode)) {
		return;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return;
	}
	if (connect(fd, (const struct sockaddr *)local, sizeof(*local)) && errno == ECONNREFUSED) {
		(void)unlink(local->sun_path);
	}
	(void)close(fd);
}

/* A listening descriptor, or a negative errno. */
static int bind_one(const struct candidate *candidate)
{
	sa_family_t family = candidate->address.ss_family;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return -errno;
	}
	int on = 1;
	if (family == AF_UNIX) {
		remove_stale(candidate);
	} else {
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	}
	if (family == AF_INET6) { /* so that 0.0.0.0 and :: may have the same port */
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	}
	if (bind(fd, (const struct sockaddr *)&candidate->address, candidate->size) ||
		listen(fd, BACKLOG)) {
		int error = -errno;
		(void)close(fd);
		return error;
	}
	return fd;
}

static void set_port(struct candidate *candidate, uint16_t port)
{
	if (candidate->address.ss_family == AF_INET) {
		((struct sockaddr_in *)&candidate->address)->sin_port = htons(port);
	} else if (candidate->address.ss_family == AF_INET6) {
		((struct sockaddr_in6 *)&candidate->address)->sin6_port = htons(port);
	}
}

/* The first socket gives the listener its address, and its port to the others. */
static void take_address(struct real_listener *listener, int fd)
{
	struct candidate bound = {.size = sizeof(bound.address)};
	(void)getsockname(fd, (struct sockaddr *)&bound.address, &bound.size);
	address_print(&bound.address, bound.size, listener->listener.address);
	if (bound.address.ss_family == AF_INET) {
		listener->address.port =
			ntohs(((const struct sockaddr_in *)&bound.address)->sin_port);
	} else if (bound.address.ss_family == AF_INET6) {
		listener->address.port =
			ntohs(((const struct sockaddr_in6 *)&bound.address)->sin6_port);
	}
}

/*
 * Binds what can be bound. An address that this machine does not have is passed over if another
 * works; one that somebody else listens on is not, if the port was asked for by number.
 */
static int bind_all(
	struct real_listener *listener, struct candidate *candidates, size_t candidates_count)
{
	bool any_port = !listener->address.is_unix && listener->address.port == 0;
	int error = 0;
	for (size_t i = 0; i < candidates_count && listener->count < SOCKETS_MAX; i++) {
		set_port(&candidates[i], listener->address.port);
		int fd = bind_one(&candidates[i]);
		struct real_socket *socket = NULL;
		if (fd >= 0 && real_socket_new(real_of(listener->listener.loop), fd, &socket)) {
			(void)close(fd);
			return UV_ENOMEM;
		}
		if (fd < 0) {
			error = fd;
			if (fd == -EADDRINUSE && !any_port) {
				return error;
			}
			continue;
		}
		socket->ready = listener_ready;
		socket->owner = listener;
		listener->sockets[listener->count++] = socket;
		if (listener->count == 1) {
			take_address(listener, fd);
		}
	}
	return listener->count > 0 ? 0 : error;
}

void real_listener_free(struct loop_listener *base)
{
	struct real_listener *listener = (struct real_listener *)base;
	for (size_t i = 0; i < listener->count; i++) {
		real_socket_close(listener->sockets[i]);
	}
	if (listener->address.is_unix && listener->count > 0) {
		(void)unlink(listener->address.path);
	}
	if (listener->before) {
		listener->before->after = listener->after;
	} else {
		real_of(base->loop)->listeners = listener->after;
	}
	if (listener->after) {
		listener->after->before = listener->before;
	}
	listener->freed = true;
	listener->count = 0;
	uv_close((uv_handle_t *)&listener->rest, real_free_block);
}

void real_listeners_free(struct real_loop *loop)
{
	while (loop->listeners) {
		real_listener_free(&loop->listeners->listener);
	}
}

static enum err listen_failed(
	struct real_listener *listener, const char *text, int error, struct err_info *info)
{
	char cause[80];
	(void)uv_strerror_r(error, cause, sizeof(cause));
	real_listener_free(&listener->listener);
	return err_set(info, error == UV_ENOMEM ? ERR_MEMORY : ERR_IO, 0,
		"cannot listen on %.160s: %s", text, cause);
}

/* Looks names up where it stands: listeners are made at start. */
enum err real_listen(struct loop *base, const char *text, loop_accepted_fn accepted, void *ctx,
	struct loop_listener **ret_listener, struct err_info *info)
{
	struct real_loop *loop = real_of(base);
	struct address address;
	enum err err = address_parse(text, &address, info);
	if (err) {
		return err;
	}
	struct real_listener *listener = mem_calloc(1, sizeof(*listener));
	if (!listener) {
		return err_set(info, ERR_MEMORY, 0, "out of memory");
	}
	listener->listener = (struct loop_listener){.loop = base, .accepted = accepted, .ctx = ctx};
	listener->address = address;
	(void)uv_timer_init(&loop->uv, &listener->rest); /* sets members only */
	listener->rest.data = listener;
	listener->after = loop->listeners;
	if (listener->after) {
		listener->after->before = listener;
	}
	loop->listeners = listener;

	struct candidate candidates[CANDIDATES_MAX];
	int error = 0;
	size_t count = real_lookup(&address, AI_PASSIVE, candidates, CANDIDATES_MAX, &error);
	if (count > 0) {
		error = bind_all(listener, candidates, count);
	}
	if (error) {
		return listen_failed(listener, text, error, info);
	}
	want_all(listener, UV_READABLE);
	*ret_listener = &listener->listener;
	return OK;
}

void real_fd_close(struct loop *loop, int fd)
{
	(void)loop;
	(void)close(fd);
}
