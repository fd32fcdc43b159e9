/*
 * Loops in virtual time. A turn is all that is due on one loop, then its deferred work; sim_run
 * gives the next turn to the loop whose first event comes first. Nothing else moves the clock,
 * nothing is read from the system, and all chance comes from the seed: the same calls give the same
 * run.
 */
#include "sim_priv.h"

/* ---- the world ---- */

enum { PIPE_BYTES_DEFAULT = 256 * 1024, PORT_FIRST = 49152 };

enum err sim_new(const struct sim_options *options, struct sim **ret_sim)
{
	struct sim *sim = mem_calloc(1, sizeof(*sim));
	if (!sim) {
		return ERR_MEMORY;
	}
	sim->options = *options;
	if (sim->options.pipe_bytes == 0) {
		sim->options.pipe_bytes = PIPE_BYTES_DEFAULT;
	}
	sim->random = options->seed;
	sim->port_last = PORT_FIRST;
	*ret_sim = sim;
	return OK;
}

void sim_free(struct sim *sim)
{
	if (!sim) {
		return;
	}
	check(!sim->loops);
	while (sim->unowned_first) {
		sim_conn_drop(sim->unowned_first);
	}
	mem_free(sim);
}

int64_t sim_now_us(const struct sim *sim)
{
	return sim->now_us;
}

void sim_stall(struct loop *loop, bool stalled)
{
	sim_of(loop)->stalled = stalled;
}

static struct sim_loop *next_loop(const struct sim *sim)
{
	struct sim_loop *first = NULL;
	for (struct sim_loop *loop = sim->loops; loop; loop = loop->next) {
		if (loop->events && !loop->stalled &&
			(!first || sim_event_is_first(loop->events, first->events))) {
			first = loop;
		}
	}
	return first;
}

static void fire_first(struct sim_loop *loop)
{
	struct sim_event *event = loop->events;
	sim_event_cancel(event);
	event->fire(event->owner);
}

static void end_turn(struct sim_loop *loop)
{
	if (loop_run_deferred(&loop->loop)) {
		sim_event_plan(&loop->deferred, sim_soon(loop->sim));
	}
}

static void take_turn(struct sim_loop *loop)
{
	struct sim *sim = loop->sim;
	uint64_t before = sim->order; /* what is planned meanwhile is for a later turn */
	sim->turn = loop;
	while (loop->events && loop->events->due_us <= sim->now_us &&
		loop->events->order < before) {
		fire_first(loop);
	}
	end_turn(loop);
	sim->turn = NULL;
}

void sim_run(struct sim *sim, int64_t until_us)
{
	check(!sim->turn);
	struct sim_loop *loop = next_loop(sim);
	while (loop && loop->events->due_us < until_us) {
		if (sim->now_us < loop->events->due_us) {
			sim->now_us = loop->events->due_us;
		}
		take_turn(loop);
		loop = next_loop(sim);
	}
	if (sim->now_us < until_us) {
		sim->now_us = until_us;
	}
}

/* ---- one loop ---- */

static void run_in_virtual_time(struct loop *loop)
{
	(void)loop;
	check_failed("sim_run drives a loop in virtual time", __FILE__, __LINE__);
}

static bool is_here(const struct loop *base)
{
	const struct sim_loop *loop = (const struct sim_loop *)base;
	return loop->sim->turn == loop;
}

static int64_t now_us(const struct loop *base)
{
	return ((const struct sim_loop *)base)->sim->now_us;
}

static int64_t wall_us(const struct loop *base)
{
	return now_us(base) + 1700000000000000;
}

static uint64_t random_number(struct loop *base)
{
	return sim_mix(&sim_of(base)->random);
}

static void deferred_fired(void *owner)
{
	(void)owner; /* the end of the turn does the work */
}

static void deferred(struct loop *base)
{
	struct sim_loop *loop = sim_of(base);
	sim_check_turn(loop);
	if (loop->sim->turn != loop) {
		sim_event_plan(&loop->deferred, sim_soon(loop->sim));
	}
}

static void run_posts(void *owner)
{
	struct sim_loop *loop = owner;
	struct loop_posted *post = loop->posts_first;
	loop->posts_first = NULL;
	loop->posts_last = NULL;
	while (post) {
		struct loop_posted *next = post->next;
		post->fn(post->ctx);
		post = next;
	}
}

static enum err sim_post(struct loop *base, struct loop_posted *post)
{
	struct sim_loop *loop = sim_of(base);
	if (loop->freeing) {
		return ERR_CLOSED;
	}
	post->next = NULL;
	if (loop->posts_last) {
		loop->posts_last->next = post;
	} else {
		loop->posts_first = post;
	}
	loop->posts_last = post;
	if (!loop->posted.planned) {
		sim_event_plan(&loop->posted, sim_soon(loop->sim));
	}
	return OK;
}

/* ---- timers and wakers: the same but for who plans their event ---- */

struct sim_handle {
	union {
		struct loop_timer timer;
		struct loop_waker waker;
	};
	struct sim_loop *loop;
	loop_fn fn;
	void *ctx;
	struct sim_event event;
	struct sim_handle *before, *after;
};

static void handle_fired(void *owner)
{
	struct sim_handle *handle = owner;
	if (!handle->loop->freeing) {
		handle->fn(handle->ctx);
	}
}

static struct sim_handle *handle_new(struct sim_loop *loop, loop_fn fn, void *ctx)
{
	struct sim_handle *handle = mem_calloc(1, sizeof(*handle));
	if (!handle) {
		return NULL;
	}
	handle->loop = loop;
	handle->fn = fn;
	handle->ctx = ctx;
	handle->event = (struct sim_event){.loop = loop, .fire = handle_fired, .owner = handle};
	handle->after = loop->handles;
	if (handle->after) {
		handle->after->before = handle;
	}
	loop->handles = handle;
	return handle;
}

static void handle_free(struct sim_handle *handle)
{
	sim_event_cancel(&handle->event);
	if (handle->before) {
		handle->before->after = handle->after;
	} else {
		handle->loop->handles = handle->after;
	}
	if (handle->after) {
		handle->after->before = handle->before;
	}
	mem_free(handle);
}

static enum err timer_new(
	struct loop *loop, loop_fn fired, void *ctx, struct loop_timer **ret_timer)
{
	struct sim_handle *handle = handle_new(sim_of(loop), fired, ctx);
	if (!handle) {
		return ERR_MEMORY;
	}
	handle->timer = (struct loop_timer){.loop = loop, .fired = fired, .ctx = ctx};
	*ret_timer = &handle->timer;
	return OK;
}

static void timer_start(struct loop_timer *timer, int64_t delay_us)
{
	struct sim_handle *handle = (struct sim_handle *)timer;
	sim_check_turn(handle->loop);
	sim_event_plan(&handle->event, handle->loop->sim->now_us + (delay_us > 1 ? delay_us : 1));
}

static void timer_stop(struct loop_timer *timer)
{
	sim_event_cancel(&((struct sim_handle *)timer)->event);
}

static void timer_free(struct loop_timer *timer)
{
	handle_free((struct sim_handle *)timer);
}

static enum err waker_new(struct loop *loop, loop_fn fn, void *ctx, struct loop_waker **ret_waker)
{
	struct sim_handle *handle = handle_new(sim_of(loop), fn, ctx);
	if (!handle) {
		return ERR_MEMORY;
	}
	handle->waker = (struct loop_waker){.loop = loop, .fn = fn, .ctx = ctx};
	*ret_waker = &handle->waker;
	return OK;
}

static void waker_wake(struct loop_waker *waker)
{
	struct sim_handle *handle = (struct sim_handle *)waker;
	if (!handle->event.planned) {
		sim_event_plan(&handle->event, sim_soon(handle->loop->sim));
	}
}

static void waker_free(struct loop_waker *waker)
{
	handle_free((struct sim_handle *)waker);
}

/* ---- work, descriptors ---- */

struct sim_work {
	struct sim_event event;
	loop_fn work, done;
	void *ctx;
};

static void work_fired(void *owner)
{
	struct sim_work *work = owner;
	work->event.loop->works_count--;
	work->work(work->ctx);
	work->done(work->ctx);
	mem_free(work);
}

static enum err work(struct loop *base, loop_fn run, loop_fn done, void *ctx)
{
	struct sim_loop *loop = sim_of(base);
	if (loop->freeing) {
		return ERR_CLOSED;
	}
	struct sim_work *made = mem_alloc(sizeof(*made));
	if (!made) {
		return ERR_MEMORY;
	}
	*made = (struct sim_work){
		.event = {.loop = loop, .fire = work_fired, .owner = made},
		.work = run,
		.done = done,
		.ctx = ctx,
	};
	loop->works_count++;
	sim_event_plan(&made->event, sim_soon(loop->sim));
	return OK;
}

static enum err watch_new(
	struct loop *loop, int fd, loop_fn ready, void *ctx, struct loop_watch **ret_watch)
{
	(void)loop;
	(void)fd;
	(void)ready;
	(void)ctx;
	(void)ret_watch;
	return ERR_UNSUPPORTED;
}

/* ---- life ---- */

static void unlink_loop(struct sim_loop *loop)
{
	struct sim_loop **at = &loop->sim->loops;
	while (*at != loop) {
		at = &(*at)->next;
	}
	*at = loop->next;
}

static void free_listeners(struct sim_loop *loop)
{
	struct sim_listener *next = NULL;
	for (struct sim_listener *at = loop->sim->listeners; at; at = next) {
		next = at->next;
		if (at->listener.loop == &loop->loop) {
			sim_listener_free(&at->listener);
		}
	}
}

/* As the real one: what was posted and handed out still runs, connections say `closed`. */
static void free_loop(struct loop *base)
{
	struct sim_loop *loop = sim_of(base);
	struct sim *sim = loop->sim;
	check(!sim->turn);
	sim->turn = loop;
	loop->freeing = true;
	free_listeners(loop);
	run_posts(loop);
	struct sim_conn *after = NULL;
	for (struct sim_conn *conn = loop->conns; conn; conn = after) {
		after = conn->after;
		sim_conn_close(&conn->conn);
	}
	while (loop->conns || loop->works_count > 0 || loop->loop.deferred_first) {
		if (loop->events) {
			fire_first(loop); /* the clock stands still meanwhile */
		}
		end_turn(loop);
	}
	while (loop->handles) {
		handle_free(loop->handles);
	}
	sim->turn = NULL;
	unlink_loop(loop);
	mem_free(loop);
}

static const struct loop_ops SIM_OPS = {
	.free = free_loop,
	.run = run_in_virtual_time,
	.stop = run_in_virtual_time,
	.is_here = is_here,
	.now_us = now_us,
	.wall_us = wall_us,
	.random = random_number,
	.timer_new = timer_new,
	.timer_start = timer_start,
	.timer_stop = timer_stop,
	.timer_free = timer_free,
	.deferred = deferred,
	.post = sim_post,
	.waker_new = waker_new,
	.waker_wake = waker_wake,
	.waker_free = waker_free,
	.work = work,
	.watch_new = watch_new, /* so there is none to pause or free */
	.connect = sim_connect,
	.conn_write = sim_conn_write,
	.conn_pause = sim_conn_pause,
	.conn_close = sim_conn_close,
	.listen = sim_listen,
	.listener_free = sim_listener_free,
	.conn_open = sim_conn_open,
	.socket_close = sim_socket_close,
};

enum err sim_loop_new(struct sim *sim, struct loop **ret_loop)
{
	struct sim_loop *loop = mem_calloc(1, sizeof(*loop));
	if (!loop) {
		return ERR_MEMORY;
	}
	loop->loop.ops = &SIM_OPS;
	loop->sim = sim;
	loop->random = sim_mix(&sim->random);
	loop->posted = (struct sim_event){.loop = loop, .fire = run_posts, .owner = loop};
	loop->deferred = (struct sim_event){.loop = loop, .fire = deferred_fired, .owner = loop};
	loop->next = sim->loops;
	sim->loops = loop;
	*ret_loop = &loop->loop;
	return OK;
}
