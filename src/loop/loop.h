/*
 * loop: one thread's turn: timers, sockets, descriptors, wakers, posts, blocking work, clock,
 * chance. Owns: its timers, connections and listeners until they are closed; never the `ctx` behind
 * them. Threads: all on the loop's thread, but for the clocks, both posts, loop_stop and
 * loop_waker_wake: any thread. Errors: ERR_IO, ERR_MEMORY, ERR_INVALID (an address that cannot be
 * read); errno stays inside. Invariant: callbacks run one at a time, from loop_run, never from
 * within the call that asked for them.
 *
 * There are two implementations: loop_new (libuv, real sockets) and sim_loop_new (memory and
 * virtual time; one thread drives several loops, and "on its thread" means "its loop is in its
 * turn").
 */
#ifndef LOOP_H
#define LOOP_H

#include "base.h"

#include <sys/uio.h>

struct loop;
struct loop_timer;
struct loop_listener;
struct loop_conn;
struct loop_waker;
struct loop_watch;

typedef void (*loop_fn)(void *ctx);

enum err loop_new(struct loop **ret_loop) MUST_CHECK;
void loop_free(struct loop *loop); /* after loop_run has returned; what is still open is closed */
void loop_run(struct loop *loop);  /* until loop_stop */
void loop_stop(struct loop *loop); /* any thread; the turn under way ends first */
bool loop_is_here(const struct loop *loop); /* whether the caller is on its thread, in its turn */
unsigned loop_parallelism(void);            /* processors that this process may use; at least 1 */

/* ---- time and chance ------------------------------------------------------------------------- */

int64_t loop_now_us(const struct loop *loop);  /* monotonic, read anew at each call */
int64_t loop_wall_us(const struct loop *loop); /* since 1970, UTC */
uint64_t loop_random(struct loop *loop);       /* kernel's; in virtual time from the seed */

/* One-shot. Starting a started timer moves it. `loop_timer_free` stops it; NULL is fine. */
enum err loop_timer_new(
	struct loop *loop, loop_fn fired, void *ctx, struct loop_timer **ret_timer) MUST_CHECK;
void loop_timer_start(struct loop_timer *timer, int64_t delay_us);
void loop_timer_stop(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer);

/* ---- turns, threads -------------------------------------------------------------------------- */

/*
 * Work for the end of the current turn, before the loop looks for input again: how writes are
 * gathered. The caller owns the struct, zeroed before first use; adding it twice in a turn is once.
 */
struct loop_deferred {
	loop_fn fn;
	void *ctx;
	struct loop_deferred *next;
	bool queued;
};
void loop_defer(struct loop *loop, struct loop_deferred *deferred);
void loop_undefer(struct loop *loop, struct loop_deferred *deferred); /* before its memory goes */

/*
 * Runs fn in a later turn of the loop; in the order of posting. Any thread. ERR_MEMORY; ERR_CLOSED:
 * loop_free has begun.
 */
enum err loop_post(struct loop *loop, loop_fn fn, void *ctx) MUST_CHECK;

/*
 * The same in memory of the caller's, for what must not fail: `fn` and `ctx` are set, and nothing
 * is touched until `fn` is called, which may free it. ERR_CLOSED.
 */
struct loop_posted {
	loop_fn fn;
	void *ctx;
	struct loop_posted *next; /* the loop's */
};
enum err loop_post_owned(struct loop *loop, struct loop_posted *posted) MUST_CHECK;

/* A bell: any number of wakes before the turn are one call of `fn`. Wake from any thread, no lock.
 */
enum err loop_waker_new(
	struct loop *loop, loop_fn fn, void *ctx, struct loop_waker **ret_waker) MUST_CHECK;
void loop_waker_wake(struct loop_waker *waker);
void loop_waker_free(
	struct loop_waker *waker); /* on the loop's thread; nobody may wake it any more */

/* Runs `work` on a thread of the pool, then `done` on the loop's. In virtual time: in place, later.
 */
enum err loop_work(struct loop *loop, loop_fn work, loop_fn done, void *ctx) MUST_CHECK;

/* Calls `ready` in each turn in which the descriptor can be read (or has ended). Real loops only.
 */
enum err loop_watch_new(struct loop *loop, int fd, loop_fn ready, void *ctx,
	struct loop_watch **ret_watch) MUST_CHECK;
void loop_watch_pause(struct loop_watch *watch, bool paused);
void loop_watch_free(struct loop_watch *watch); /* the descriptor stays open */

/* ---- connections ----------------------------------------------------------------------------- */

/*
 * `read` gets bytes borrowed for the call. `writable` is called once after loop_conn_write took
 * less than all, when the peer takes more. `closed` is the last call ever, once, whoever closed: OK
 * (the peer's end of stream, or our own close) or ERR_IO; the connection is gone when it returns.
 */
struct loop_conn_events {
	void (*opened)(void *ctx); /* connections made by loop_connect only */
	void (*read)(void *ctx, struct bytes bytes);
	void (*writable)(void *ctx);
	void (*closed)(void *ctx, enum err why);
};

/*
 * Connects to "host:port", "[v6]:port" or "unix:/path"; names are looked up off the loop. Returns
 * at once; then either `opened` or `closed` (ERR_UNAVAILABLE) comes. NODELAY is set.
 */
enum err loop_connect(struct loop *loop, const char *address, const struct loop_conn_events *events,
	void *ctx, struct loop_conn **ret_conn) MUST_CHECK;

/* Takes as many bytes as the socket takes now, never waits and keeps none: *ret_taken may be 0. */
enum err loop_conn_write(struct loop_conn *conn, const struct iovec *pieces, size_t count,
	size_t *ret_taken) MUST_CHECK;
void loop_conn_pause(struct loop_conn *conn, bool paused); /* stops and starts reading */
/* `closed` follows in a later turn, no other callback does. What the kernel holds is still sent. */
void loop_conn_close(struct loop_conn *conn);
const char *loop_conn_peer(const struct loop_conn *conn); /* "127.0.0.1:40312", for the log */

/*
 * A listener accepts; `accepted` gets a socket that belongs to no loop yet and must become a
 * connection by loop_conn_open on any loop, or be given back by loop_socket_close. Port 0 takes a
 * free one.
 */
typedef void (*loop_accepted_fn)(void *ctx, int socket);
enum err loop_listen(struct loop *loop, const char *address, loop_accepted_fn accepted, void *ctx,
	struct loop_listener **ret_listener, struct err_info *info) MUST_CHECK;
const char *loop_listener_address(const struct loop_listener *listener); /* "127.0.0.1:50052" */
void loop_listener_free(struct loop_listener *listener);
/* On failure the socket is closed. `opened` is not called. */
enum err loop_conn_open(struct loop *loop, int socket, const struct loop_conn_events *events,
	void *ctx, struct loop_conn **ret_conn) MUST_CHECK;
void loop_socket_close(struct loop *loop, int socket);

/* ---- virtual time ---------------------------------------------------------------------------- */

/* A world of loops, listeners and connections in memory on one clock that only sim_run moves. */
struct sim;

struct sim_options {
	uint64_t seed;
	uint32_t delay_us_max;    /* each run of bytes takes 0..delay_us_max to arrive, in order */
	uint32_t chunk_bytes_max; /* bytes arrive in pieces of 1..chunk_bytes_max; 0: as written */
	uint32_t pipe_bytes; /* bytes under way in one direction before writes are refused; 0: 256
				KiB */
};

enum err sim_new(const struct sim_options *options, struct sim **ret_sim) MUST_CHECK;
void sim_free(struct sim *sim); /* after its loops */
enum err sim_loop_new(struct sim *sim, struct loop **ret_loop) MUST_CHECK;
/* Runs turns of all loops, in an order that the seed gives, until nothing is due before `until_us`.
 */
void sim_run(struct sim *sim, int64_t until_us);
int64_t sim_now_us(const struct sim *sim); /* starts at 0; wall time is that plus 1.7e15 */
void sim_cut(struct sim *sim,
	struct loop_conn *conn); /* both ends see ERR_IO, bytes under way are lost */
/* All connections of a loop end as if its process had been killed: what is under way to it is lost,
 * and what is under way from it too, or `arrives` ahead of the end. */
void sim_kill(struct loop *loop, bool arrives);
/* A loop that stands still takes no turn until it goes on: a stalled worker or peer. */
void sim_stall(struct loop *loop, bool stalled);

#endif
