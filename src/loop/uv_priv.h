/*
 * The real loop's parts. What a libuv handle lies in is freed in the callback of uv_close only.
 */
#ifndef UV_PRIV_H
#define UV_PRIV_H

#include "loop_priv.h"

#include <pthread.h>
#include <uv.h>

struct real_conn;
struct real_listener;
struct real_socket;

struct real_loop {
	struct loop loop;
	uv_loop_t uv;
	uv_prepare_t prepare; /* deferred work, before the loop looks for input */
	uv_check_t check;     /* deferred work, after input */
	uv_idle_t idle;       /* keeps the loop from waiting, and ends connections */
	uv_async_t bell;      /* posts, and loop_stop */
	uv_timer_t linger;    /* the oldest of `lingering` has had its time */
	atomic_bool stopping;
	atomic_ulong here; /* pthread_self() of the thread in loop_run, or 0 */

	pthread_mutex_t posts_mutex;
	struct loop_posted *posts_first, *posts_last; /* under the mutex */
	bool posts_closed;                            /* under the mutex */

	bool freeing;       /* loop_free is under way: connections end, nothing else is called */
	size_t works_count; /* loop_work under way */
	struct real_conn *conns;
	struct real_conn *ending_first, *ending_last;
	struct real_listener *listeners;
	struct real_socket *lingering_first, *lingering_last;
	char *read_buffer;
	uint64_t random[32];
	size_t random_left;
};

static inline struct real_loop *real_of(struct loop *loop)
{
	return (struct real_loop *)loop;
}

/* ---- loop_uv.c ---- */

void real_hurry(struct real_loop *loop); /* the next turn does not wait for input */

/* ---- handles_uv.c ---- */

void real_free_block(uv_handle_t *handle); /* for uv_close: frees what `data` points to */
enum err real_timer_new(
	struct loop *loop, loop_fn fired, void *ctx, struct loop_timer **ret_timer) MUST_CHECK;
void real_timer_start(struct loop_timer *base, int64_t delay_us);
void real_timer_stop(struct loop_timer *timer);
void real_timer_free(struct loop_timer *base);
enum err real_waker_new(
	struct loop *loop, loop_fn fn, void *ctx, struct loop_waker **ret_waker) MUST_CHECK;
void real_waker_wake(struct loop_waker *waker);
void real_waker_free(struct loop_waker *base);
enum err real_work(struct loop *base, loop_fn run, loop_fn done, void *ctx) MUST_CHECK;
enum err real_watch_new(struct loop *loop, int fd, loop_fn ready, void *ctx,
	struct loop_watch **ret_watch) MUST_CHECK;
void real_watch_pause(struct loop_watch *base, bool paused);
void real_watch_free(struct loop_watch *base);

/* ---- socket_uv.c: a watched descriptor that is closed with its handle ---- */

struct real_socket {
	uv_poll_t poll;
	struct real_loop *loop;
	int fd;
	int events; /* UV_READABLE | UV_WRITABLE asked for */
	void (*ready)(void *owner, int status, int events);
	void *owner;
	int64_t linger_until_us;
	struct real_socket *before, *after; /* in `lingering` */
};

enum { READ_BUFFER_BYTES = 256 * 1024, READS_MAX = 4, REST_READS_MAX = 64 };

/* On failure the descriptor stays open. */
enum err real_socket_new(
	struct real_loop *loop, int fd, struct real_socket **ret_socket) MUST_CHECK;
void real_socket_want(struct real_socket *socket, int events);
void real_socket_close(struct real_socket *socket); /* NULL is fine */
/*
 * Ends our direction and waits a moment for the peer's end before it closes: a socket closed with
 * unread bytes makes the kernel throw away what it had still to send.
 */
void real_socket_linger(struct real_socket *socket);
void real_linger_expired(uv_timer_t *timer);
void real_linger_end(struct real_loop *loop); /* closes all that linger, now */

/* ---- connect_uv.c: names and attempts, until there is a socket ---- */

struct candidate {
	struct sockaddr_storage address;
	socklen_t size;
};
enum { CANDIDATES_MAX = 8 };

/* Unix paths and what getaddrinfo says with `flags`; 0 and *ret_error (a libuv code) if none. */
size_t real_lookup(const struct address *address, int flags, struct candidate *candidates,
	size_t candidates_max, int *ret_error);

struct real_connector;

enum err real_connector_new(struct real_conn *conn, const struct address *address,
	struct real_connector **ret) MUST_CHECK;
void real_connector_free(struct real_connector *connector); /* NULL is fine */

/* ---- conn_uv.c ---- */

enum conn_state { CONN_CONNECTING, CONN_OPEN, CONN_ENDING };

struct real_conn {
	struct loop_conn conn;
	enum conn_state state;
	bool paused;
	bool want_write;   /* `writable` is owed */
	bool owner_closed; /* loop_conn_close was called */
	bool read_rest;    /* a write failed: what the peer sent before is read first */
	enum err why;
	struct real_socket *socket;
	struct real_connector *connector; /* until it is open */
	struct real_conn *before, *after; /* in the loop's `conns` */
	struct real_conn *ending_next;
};

enum err real_connect(struct loop *loop, const char *text, const struct loop_conn_events *events,
	void *ctx, struct loop_conn **ret_conn) MUST_CHECK;
enum err real_conn_open(struct loop *loop, int fd, const struct loop_conn_events *events, void *ctx,
	struct loop_conn **ret_conn) MUST_CHECK;
enum err real_conn_write(struct loop_conn *base, const struct iovec *pieces, size_t count,
	size_t *ret_taken) MUST_CHECK;
void real_conn_pause(struct loop_conn *base, bool paused);
void real_conn_close(struct loop_conn *base);
void real_conn_connected(
	struct real_conn *conn, struct real_socket *socket, const struct candidate *peer);
void real_conn_end_later(struct real_conn *conn, enum err why);
void real_conns_end(struct real_loop *loop); /* those that are ending, with their `closed` */

/* ---- listen_uv.c ---- */

enum err real_listen(struct loop *base, const char *text, loop_accepted_fn accepted, void *ctx,
	struct loop_listener **ret_listener, struct err_info *info) MUST_CHECK;
void real_listener_free(struct loop_listener *base);
void real_listeners_free(struct real_loop *loop);
void real_fd_close(struct loop *loop, int fd);

#endif
