/*
 * What both implementations share: the heads of their objects and the table that the calls of
 * loop.h go through. Each object of an implementation begins with its head, so that a pointer to
 * one is a pointer to the other.
 */
#ifndef LOOP_PRIV_H
#define LOOP_PRIV_H

#include "loop.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>

struct loop_ops {
	void (*free)(struct loop *loop);
	void (*run)(struct loop *loop);
	void (*stop)(struct loop *loop);
	bool (*is_here)(const struct loop *loop);
	int64_t (*now_us)(const struct loop *loop);
	int64_t (*wall_us)(const struct loop *loop);
	uint64_t (*random)(struct loop *loop);

	enum err (*timer_new)(
		struct loop *loop, loop_fn fired, void *ctx, struct loop_timer **ret_timer);
	void (*timer_start)(struct loop_timer *timer, int64_t delay_us);
	void (*timer_stop)(struct loop_timer *timer);
	void (*timer_free)(struct loop_timer *timer);

	void (*deferred)(struct loop *loop); /* the list was empty and is not any more */
	enum err (*post)(struct loop *loop, struct loop_posted *posted);
	enum err (*waker_new)(
		struct loop *loop, loop_fn fn, void *ctx, struct loop_waker **ret_waker);
	void (*waker_wake)(struct loop_waker *waker);
	void (*waker_free)(struct loop_waker *waker);
	enum err (*work)(struct loop *loop, loop_fn work, loop_fn done, void *ctx);
	enum err (*watch_new)(
		struct loop *loop, int fd, loop_fn ready, void *ctx, struct loop_watch **ret_watch);
	void (*watch_pause)(struct loop_watch *watch, bool paused);
	void (*watch_free)(struct loop_watch *watch);

	enum err (*connect)(struct loop *loop, const char *address,
		const struct loop_conn_events *events, void *ctx, struct loop_conn **ret_conn);
	enum err (*conn_write)(struct loop_conn *conn, const struct iovec *pieces, size_t count,
		size_t *ret_taken);
	void (*conn_pause)(struct loop_conn *conn, bool paused);
	void (*conn_close)(struct loop_conn *conn);
	enum err (*listen)(struct loop *loop, const char *address, loop_accepted_fn accepted,
		void *ctx, struct loop_listener **ret_listener, struct err_info *info);
	void (*listener_free)(struct loop_listener *listener);
	enum err (*conn_open)(struct loop *loop, int socket, const struct loop_conn_events *events,
		void *ctx, struct loop_conn **ret_conn);
	void (*socket_close)(struct loop *loop, int socket);
};

/* The text of an address: "[" + a name of 255 + "]:65535", or "unix:" + a path. */
enum { ADDRESS_TEXT_MAX = 272, HOST_MAX = 256 };

struct loop {
	const struct loop_ops *ops;
	struct loop_deferred *deferred_first, *deferred_last;
	size_t deferred_count;
};

struct loop_timer {
	struct loop *loop;
	loop_fn fired;
	void *ctx;
};

struct loop_waker {
	struct loop *loop;
	loop_fn fn;
	void *ctx;
};

struct loop_watch {
	struct loop *loop;
	loop_fn ready;
	void *ctx;
};

struct loop_conn {
	struct loop *loop;
	struct loop_conn_events events;
	void *ctx;
	char peer[ADDRESS_TEXT_MAX];
};

struct loop_listener {
	struct loop *loop;
	loop_accepted_fn accepted;
	void *ctx;
	char address[ADDRESS_TEXT_MAX];
};

/* ---- loop.c ---------------------------------------------------------------------------------- */

/*
 * Runs what is deferred, and what that defers in turn, up to a number of rounds: one that defers
 * itself each time must not keep the loop from its input. Whether something is left.
 */
bool loop_run_deferred(struct loop *loop);

/* ---- address.c ------------------------------------------------------------------------------- */

struct address {
	bool is_unix;
	char host[HOST_MAX]; /* without brackets; empty: any, or for a connection this machine */
	uint16_t port;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
};

/* "host:port", ":port", "[v6]:port" or "unix:/path". ERR_INVALID, with the cause in `info`. */
enum err address_parse(
	const char *text, struct address *ret_address, struct err_info *info) MUST_CHECK;

/* "127.0.0.1:80", "[::1]:80" or "unix:/path"; `text` has ADDRESS_TEXT_MAX bytes. */
void address_print(const struct sockaddr_storage *address, socklen_t size, char *text);
void address_print_host(const char *host, uint16_t port, char *text);

#endif
