/*
 * The real loop, on libuv. A turn is: timers, ending connections (idle), deferred work (prepare),
 * input (descriptors, posts, wakers), deferred work again (check). Nothing waits for input while
 * something is deferred.
 *
 * libuv aborts where it cannot grow its table of descriptors, where epoll_ctl fails for lack of
 * memory, and where the thread pool cannot start. Its allocator is process-wide, so it is left
 * alone.
 */
#include "uv_priv.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

unsigned loop_parallelism(void)
{
	return uv_available_parallelism();
}

/* ---- clock and chance ---- */

static int64_t clock_us(clockid_t clock)
{
	struct timespec now = {0};
	check(clock_gettime(clock, &now) == 0);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t real_now_us(const struct loop *loop)
{
	(void)loop;
	return clock_us(CLOCK_MONOTONIC); /* the clock of libuv's timers */
}

static int64_t real_wall_us(const struct loop *loop)
{
	(void)loop;
	return clock_us(CLOCK_REALTIME);
}

static uint64_t real_random(struct loop *base)
{
	struct real_loop *loop = real_of(base);
	if (loop->random_left == 0) {
		/* Up to 256 bytes come whole, but for a signal while the kernel still starts. */
		ssize_t got = 0;
		do {
			got = getrandom(loop->random, sizeof(loop->random), 0);
		} while (got < 0 && errno == EINTR);
		check(got == (ssize_t)sizeof(loop->random));
		loop->random_left = sizeof(loop->random) / sizeof(loop->random[0]);
	}
	return loop->random[--loop->random_left];
}

/* ---- the turn ---- */

static bool real_is_here(const struct loop *base)
{
	const struct real_loop *loop = (const struct real_loop *)base;
	return atomic_load_explicit(&loop->here, memory_order_relaxed) ==
		(unsigned long)pthread_self();
}

static void idled(uv_idle_t *idle)
{
	(void)uv_idle_stop(idle);
	real_conns_end(idle->data); /* starts it again if more are ending by then */
}

void real_hurry(struct real_loop *loop)
{
	(void)uv_idle_start(&loop->idle, idled);
}

static void end_turn(struct real_loop *loop)
{
	if (loop_run_deferred(&loop->loop)) {
		real_hurry(loop);
	}
	if (atomic_load(&loop->stopping)) {
		uv_stop(&loop->uv);
	}
}

static void prepared(uv_prepare_t *prepare)
{
	end_turn(prepare->data);
}

static void checked(uv_check_t *checker)
{
	end_turn(checker->data);
}

/* Nothing to do: `prepared` comes before the loop waits, wherever this was called. */
static void real_deferred(struct loop *loop)
{
	(void)loop;
}

static void run_posts(struct real_loop *loop)
{
	(void)pthread_mutex_lock(&loop->posts_mutex);
	struct loop_posted *post = loop->posts_first;
	loop->posts_first = NULL;
	loop->posts_last = NULL;
	(void)pthread_mutex_unlock(&loop->posts_mutex);
	while (post) {
		struct loop_posted *next = post->next;
		post->fn(post->ctx);
		post = next;
	}
}

static void bell_rang(uv_async_t *bell)
{
	run_posts(bell->data);
}

static enum err real_post(struct loop *base, struct loop_posted *post)
{
	struct real_loop *loop = real_of(base);
	post->next = NULL;
	(void)pthread_mutex_lock(&loop->posts_mutex);
	bool closed = loop->posts_closed;
	if (!closed) {
		if (loop->posts_last) {
			loop->posts_last->next = post;
		} else {
			loop->posts_first = post;
		}
		loop->posts_last = post;
		/* Under the mutex, so that the bell is not gone: loop_free takes it first. */
		(void)uv_async_send(&loop->bell);
	}
	(void)pthread_mutex_unlock(&loop->posts_mutex);
	return closed ? ERR_CLOSED : OK;
}

static void real_run(struct loop *base)
{
	struct real_loop *loop = real_of(base);
	check(atomic_load(&loop->here) == 0);
	atomic_store(&loop->here, (unsigned long)pthread_self());
	while (!atomic_load(&loop->stopping)) {
		(void)uv_run(&loop->uv, UV_RUN_DEFAULT);
	}
	atomic_store(&loop->stopping, false);
	atomic_store(&loop->here, 0);
}

static void real_stop(struct loop *base)
{
	struct real_loop *loop = real_of(base);
	atomic_store(&loop->stopping, true);
	(void)uv_async_send(&loop->bell);
}

/* ---- life ---- */

/* A handle that nobody freed: a timer, a waker or a watch, whose block `data` is; or the loop's
 * own. */
static void close_left(uv_handle_t *handle, void *ctx)
{
	if (!uv_is_closing(handle)) {
		uv_close(handle, handle->data == ctx ? NULL : real_free_block);
	}
}

static void close_handles(struct real_loop *loop)
{
	uv_walk(&loop->uv, close_left, loop);
	(void)uv_run(&loop->uv, UV_RUN_DEFAULT);
	check(uv_loop_close(&loop->uv) == 0);
	(void)pthread_mutex_destroy(&loop->posts_mutex);
	mem_free(loop->read_buffer);
	mem_free(loop);
}

/*
 * What was posted and handed to the pool still runs, and every connection still says `closed`,
 * because memory hangs on these calls. Timers, wakers, watches and listeners just end.
 */
static void real_free(struct loop *base)
{
	struct real_loop *loop = real_of(base);
	check(atomic_load(&loop->here) == 0);
	atomic_store(&loop->here, (unsigned long)pthread_self());
	(void)pthread_mutex_lock(&loop->posts_mutex);
	loop->posts_closed = true;
	(void)pthread_mutex_unlock(&loop->posts_mutex);
	loop->freeing = true;
	atomic_store(&loop->stopping, false);
	real_listeners_free(loop);
	run_posts(loop);
	struct real_conn *after = NULL;
	for (struct real_conn *conn = loop->conns; conn; conn = after) {
		after = conn->after;
		real_conn_close(&conn->conn);
	}
	while (loop->conns || loop->works_count > 0 || loop->loop.deferred_first) {
		(void)uv_run(&loop->uv, UV_RUN_ONCE);
	}
	real_linger_end(loop);
	close_handles(loop);
}

static const struct loop_ops REAL_OPS = {
	.free = real_free,
	.run = real_run,
	.stop = real_stop,
	.is_here = real_is_here,
	.now_us = real_now_us,
	.wall_us = real_wall_us,
	.random = real_random,
	.timer_new = real_timer_new,
	.timer_start = real_timer_start,
	.timer_stop = real_timer_stop,
	.timer_free = real_timer_free,
	.deferred = real_deferred,
	.post = real_post,
	.waker_new = real_waker_new,
	.waker_wake = real_waker_wake,
	.waker_free = real_waker_free,
	.work = real_work,
	.watch_new = real_watch_new,
	.watch_pause = real_watch_pause,
	.watch_free = real_watch_free,
	.connect = real_connect,
	.conn_write = real_conn_write,
	.conn_pause = real_conn_pause,
	.conn_close = real_conn_close,
	.listen = real_listen,
	.listener_free = real_listener_free,
	.conn_open = real_conn_open,
	.socket_close = real_fd_close,
};

static enum err start_handles(struct real_loop *loop)
{
	if (uv_async_init(&loop->uv, &loop->bell, bell_rang)) {
		return ERR_IO;
	}
	/* These three set members only, and cannot fail. */
	(void)uv_prepare_init(&loop->uv, &loop->prepare);
	(void)uv_check_init(&loop->uv, &loop->check);
	(void)uv_idle_init(&loop->uv, &loop->idle);
	(void)uv_timer_init(&loop->uv, &loop->linger);
	loop->bell.data = loop;
	loop->prepare.data = loop;
	loop->check.data = loop;
	loop->idle.data = loop;
	loop->linger.data = loop;
	(void)uv_prepare_start(&loop->prepare, prepared);
	(void)uv_check_start(&loop->check, checked);
	return OK;
}

enum err loop_new(struct loop **ret_loop)
{
	struct real_loop *loop = mem_calloc(1, sizeof(*loop));
	if (!loop) {
		return ERR_MEMORY;
	}
	loop->loop.ops = &REAL_OPS;
	loop->read_buffer = mem_alloc(READ_BUFFER_BYTES);
	bool has_mutex = loop->read_buffer && pthread_mutex_init(&loop->posts_mutex, NULL) == 0;
	int failed = has_mutex ? uv_loop_init(&loop->uv) : UV_ENOMEM;
	if (failed) {
		if (has_mutex) {
			(void)pthread_mutex_destroy(&loop->posts_mutex);
		}
		mem_free(loop->read_buffer);
		mem_free(loop);
		return failed == UV_ENOMEM ? ERR_MEMORY : ERR_IO;
	}
	enum err err = start_handles(loop);
	if (err) {
		close_handles(loop);
		return err;
	}
	*ret_loop = &loop->loop;
	return OK;
}
