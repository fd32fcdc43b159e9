/*
 * Timers, wakers, the thread pool and watched descriptors: one libuv handle each, in a block that
 * its `data` points to and that goes when libuv has closed it. While the loop is being freed none
 * of them calls any more, except that work handed to the pool ends with its `done`.
 */
#include "uv_priv.h"

void real_free_block(uv_handle_t *handle)
{
	mem_free(handle->data);
}

/* ---- timers ---- */

struct real_timer {
	struct loop_timer timer;
	uv_timer_t uv;
};

static void timer_fired(uv_timer_t *uv)
{
	struct real_timer *timer = uv->data;
	if (!real_of(timer->timer.loop)->freeing) {
		timer->timer.fired(timer->timer.ctx);
	}
}

enum err real_timer_new(struct loop *loop, loop_fn fired, void *ctx, struct loop_timer **ret_timer)
{
	struct real_timer *timer = mem_calloc(1, sizeof(*timer));
	if (!timer) {
		return ERR_MEMORY;
	}
	timer->timer = (struct loop_timer){.loop = loop, .fired = fired, .ctx = ctx};
	(void)uv_timer_init(&real_of(loop)->uv, &timer->uv); /* sets members only */
	timer->uv.data = timer;
	*ret_timer = &timer->timer;
	return OK;
}

/*
 * libuv counts in whole milliseconds of the same clock, from the start of its turn. The moment
 * asked for is rounded up, so that a timer is never early by loop_now_us; and is never in this
 * turn, so that a timer that starts itself with 0 lets the others run.
 */
void real_timer_start(struct loop_timer *base, int64_t delay_us)
{
	struct real_timer *timer = (struct real_timer *)base;
	struct real_loop *loop = real_of(base->loop);
	if (loop->freeing) {
		return;
	}
	int64_t due_us = loop_now_us(&loop->loop) + (delay_us > 0 ? delay_us : 0);
	int64_t ticks = (due_us + 999) / 1000 - (int64_t)uv_now(&loop->uv);
	(void)uv_timer_start(&timer->uv, timer_fired, ticks > 1 ? (uint64_t)ticks : 1, 0);
}

void real_timer_stop(struct loop_timer *timer)
{
	(void)uv_timer_stop(&((struct real_timer *)timer)->uv);
}

void real_timer_free(struct loop_timer *base)
{
	struct real_timer *timer = (struct real_timer *)base;
	uv_close((uv_handle_t *)&timer->uv, real_free_block);
}

/* ---- wakers ---- */

struct real_waker {
	struct loop_waker waker;
	uv_async_t uv;
};

static void waker_rang(uv_async_t *uv)
{
	struct real_waker *waker = uv->data;
	if (!real_of(waker->waker.loop)->freeing) {
		waker->waker.fn(waker->waker.ctx);
	}
}

enum err real_waker_new(struct loop *loop, loop_fn fn, void *ctx, struct loop_waker **ret_waker)
{
	struct real_waker *waker = mem_calloc(1, sizeof(*waker));
	if (!waker) {
		return ERR_MEMORY;
	}
	waker->waker = (struct loop_waker){.loop = loop, .fn = fn, .ctx = ctx};
	if (uv_async_init(&real_of(loop)->uv, &waker->uv, waker_rang)) {
		mem_free(waker);
		return ERR_IO;
	}
	waker->uv.data = waker;
	*ret_waker = &waker->waker;
	return OK;
}

void real_waker_wake(struct loop_waker *waker)
{
	(void)uv_async_send(&((struct real_waker *)waker)->uv);
}

void real_waker_free(struct loop_waker *base)
{
	struct real_waker *waker = (struct real_waker *)base;
	uv_close((uv_handle_t *)&waker->uv, real_free_block);
}

/* ---- the thread pool ---- */

struct real_work {
	uv_work_t uv;
	struct real_loop *loop;
	loop_fn work, done;
	void *ctx;
};

static void work_run(uv_work_t *uv)
{
	struct real_work *work = uv->data;
	work->work(work->ctx);
}

static void work_done(uv_work_t *uv, int status)
{
	(void)status; /* never cancelled */
	struct real_work *work = uv->data;
	work->loop->works_count--;
	work->done(work->ctx);
	mem_free(work);
}

enum err real_work(struct loop *base, loop_fn run, loop_fn done, void *ctx)
{
	struct real_loop *loop = real_of(base);
	if (loop->freeing) {
		return ERR_CLOSED;
	}
	struct real_work *work = mem_calloc(1, sizeof(*work));
	if (!work) {
		return ERR_MEMORY;
	}
	*work = (struct real_work){.loop = loop, .work = run, .done = done, .ctx = ctx};
	work->uv.data = work;
	if (uv_queue_work(&loop->uv, &work->uv, work_run, work_done)) {
		mem_free(work);
		return ERR_IO;
	}
	loop->works_count++;
	return OK;
}

/* ---- watched descriptors ---- */

/* A plain file can always be read and epoll refuses it: it is ready in every turn, by an idle
 * handle. */
struct real_watch {
	struct loop_watch watch;
	bool is_file;
	union {
		uv_handle_t handle;
		uv_poll_t poll;
		uv_idle_t idle;
	};
};

static void watch_call(struct real_watch *watch)
{
	if (!real_of(watch->watch.loop)->freeing) {
		watch->watch.ready(watch->watch.ctx);
	}
}

static void watch_idle(uv_idle_t *idle)
{
	watch_call(idle->data);
}

static void watch_polled(uv_poll_t *poll, int status, int events)
{
	(void)events;
	struct real_watch *watch = poll->data;
	if (status < 0) {
		/* libuv has stopped it; reading tells what is wrong. */
		real_watch_pause(&watch->watch, false);
	}
	watch_call(watch);
}

void real_watch_pause(struct loop_watch *base, bool paused)
{
	struct real_watch *watch = (struct real_watch *)base;
	if (watch->is_file) {
		(void)(paused ? uv_idle_stop(&watch->idle)
			      : uv_idle_start(&watch->idle, watch_idle));
	} else {
		(void)(paused ? uv_poll_stop(&watch->poll)
			      : uv_poll_start(&watch->poll, UV_READABLE, watch_polled));
	}
}

/* libuv makes the descriptor non-blocking, which others who hold it open see as well. */
enum err real_watch_new(
	struct loop *loop, int fd, loop_fn ready, void *ctx, struct loop_watch **ret_watch)
{
	struct real_watch *watch = mem_calloc(1, sizeof(*watch));
	if (!watch) {
		return ERR_MEMORY;
	}
	watch->watch = (struct loop_watch){.loop = loop, .ready = ready, .ctx = ctx};
	int failed = uv_poll_init(&real_of(loop)->uv, &watch->poll, fd);
	if (failed == UV_EPERM) {
		watch->is_file = true;
		failed = uv_idle_init(&real_of(loop)->uv, &watch->idle);
	}
	if (failed) {
		mem_free(watch);
		return ERR_IO;
	}
	watch->handle.data = watch;
	real_watch_pause(&watch->watch, false);
	*ret_watch = &watch->watch;
	return OK;
}

void real_watch_free(struct loop_watch *base)
{
	struct real_watch *watch = (struct real_watch *)base;
	uv_close(&watch->handle, real_free_block);
}
