/*
 * The calls of loop.h, each passed on to the implementation that the object belongs to, and what is
 * the same in both: deferred work and the texts of addresses.
 */
#include "loop_priv.h"

/* ---- the turn ---- */

void loop_free(struct loop *loop)
{
	if (loop) {
		loop->ops->free(loop);
	}
}

void loop_run(struct loop *loop)
{
	loop->ops->run(loop);
}

void loop_stop(struct loop *loop)
{
	loop->ops->stop(loop);
}

bool loop_is_here(const struct loop *loop)
{
	return loop->ops->is_here(loop);
}

int64_t loop_now_us(const struct loop *loop)
{
	return loop->ops->now_us(loop);
}

int64_t loop_wall_us(const struct loop *loop)
{
	return loop->ops->wall_us(loop);
}

uint64_t loop_random(struct loop *loop)
{
	return loop->ops->random(loop);
}

/* ---- timers ---- */

enum err loop_timer_new(struct loop *loop, loop_fn fired, void *ctx, struct loop_timer **ret_timer)
{
	return loop->ops->timer_new(loop, fired, ctx, ret_timer);
}

/* A delay that would leave the clock's range is as good as one that never comes. */
void loop_timer_start(struct loop_timer *timer, int64_t delay_us)
{
	const int64_t delay_us_max = INT64_MAX / 2;
	timer->loop->ops->timer_start(timer, delay_us < delay_us_max ? delay_us : delay_us_max);
}

void loop_timer_stop(struct loop_timer *timer)
{
	timer->loop->ops->timer_stop(timer);
}

void loop_timer_free(struct loop_timer *timer)
{
	if (timer) {
		timer->loop->ops->timer_free(timer);
	}
}

/* ---- deferred work ---- */

void loop_defer(struct loop *loop, struct loop_deferred *deferred)
{
	if (deferred->queued) {
		return;
	}
	bool was_empty = !loop->deferred_first;
	deferred->queued = true;
	deferred->next = NULL;
	if (was_empty) {
		loop->deferred_first = deferred;
	} else {
		loop->deferred_last->next = deferred;
	}
	loop->deferred_last = deferred;
	loop->deferred_count++;
	if (was_empty) {
		loop->ops->deferred(loop);
	}
}

void loop_undefer(struct loop *loop, struct loop_deferred *deferred)
{
	if (!deferred->queued) {
		return;
	}
	struct loop_deferred *before = NULL;
	struct loop_deferred *at = loop->deferred_first;
	while (at && at != deferred) {
		before = at;
		at = at->next;
	}
	check(at); /* else it waits in another loop */
	if (before) {
		before->next = at->next;
	} else {
		loop->deferred_first = at->next;
	}
	if (loop->deferred_last == at) {
		loop->deferred_last = before;
	}
	loop->deferred_count--;
	deferred->queued = false;
	deferred->next = NULL;
}

bool loop_run_deferred(struct loop *loop)
{
	enum { ROUNDS_MAX = 8 };
	for (int round = 0; round < ROUNDS_MAX && loop->deferred_first; round++) {
		for (size_t i = loop->deferred_count; i > 0 && loop->deferred_first; i--) {
			struct loop_deferred *deferred = loop->deferred_first;
			loop_undefer(loop, deferred);
			deferred->fn(deferred->ctx);
		}
	}
	return loop->deferred_first != NULL;
}

/* ---- posts, wakers, work, descriptors ---- */

enum err loop_post_owned(struct loop *loop, struct loop_posted *posted)
{
	return loop->ops->post(loop, posted);
}

struct made_post {
	struct loop_posted posted;
	loop_fn fn;
	void *ctx;
};

static void run_made_post(void *ctx)
{
	struct made_post *post = ctx;
	post->fn(post->ctx);
	mem_free(post);
}

enum err loop_post(struct loop *loop, loop_fn fn, void *ctx)
{
	struct made_post *post = mem_alloc(sizeof(*post));
	if (!post) {
		return ERR_MEMORY;
	}
	*post = (struct made_post){
		.posted = {.fn = run_made_post, .ctx = post}, .fn = fn, .ctx = ctx};
	enum err err = loop->ops->post(loop, &post->posted);
	if (err != OK) {
		mem_free(post);
	}
	return err;
}

enum err loop_waker_new(struct loop *loop, loop_fn fn, void *ctx, struct loop_waker **ret_waker)
{
	return loop->ops->waker_new(loop, fn, ctx, ret_waker);
}

void loop_waker_wake(struct loop_waker *waker)
{
	waker->loop->ops->waker_wake(waker);
}

void loop_waker_free(struct loop_waker *waker)
{
	if (waker) {
		waker->loop->ops->waker_free(waker);
	}
}

enum err loop_work(struct loop *loop, loop_fn work, loop_fn done, void *ctx)
{
	return loop->ops->work(loop, work, done, ctx);
}

enum err loop_watch_new(
	struct loop *loop, int fd, loop_fn ready, void *ctx, struct loop_watch **ret_watch)
{
	return loop->ops->watch_new(loop, fd, ready, ctx, ret_watch);
}

void loop_watch_pause(struct loop_watch *watch, bool paused)
{
	watch->loop->ops->watch_pause(watch, paused);
}

void loop_watch_free(struct loop_watch *watch)
{
	if (watch) {
		watch->loop->ops->watch_free(watch);
	}
}

/* ---- connections ---- */

enum err loop_connect(struct loop *loop, const char *address, const struct loop_conn_events *events,
	void *ctx, struct loop_conn **ret_conn)
{
	return loop->ops->connect(loop, address, events, ctx, ret_conn);
}

enum err loop_conn_write(
	struct loop_conn *conn, const struct iovec *pieces, size_t count, size_t *ret_taken)
{
	return conn->loop->ops->conn_write(conn, pieces, count, ret_taken);
}

void loop_conn_pause(struct loop_conn *conn, bool paused)
{
	conn->loop->ops->conn_pause(conn, paused);
}

void loop_conn_close(struct loop_conn *conn)
{
	conn->loop->ops->conn_close(conn);
}

const char *loop_conn_peer(const struct loop_conn *conn)
{
	return conn->peer;
}

enum err loop_listen(struct loop *loop, const char *address, loop_accepted_fn accepted, void *ctx,
	struct loop_listener **ret_listener, struct err_info *info)
{
	return loop->ops->listen(loop, address, accepted, ctx, ret_listener, info);
}

const char *loop_listener_address(const struct loop_listener *listener)
{
	return listener->address;
}

void loop_listener_free(struct loop_listener *listener)
{
	if (listener) {
		listener->loop->ops->listener_free(listener);
	}
}

enum err loop_conn_open(struct loop *loop, int socket, const struct loop_conn_events *events,
	void *ctx, struct loop_conn **ret_conn)
{
	return loop->ops->conn_open(loop, socket, events, ctx, ret_conn);
}

void loop_socket_close(struct loop *loop, int socket)
{
	loop->ops->socket_close(loop, socket);
}
