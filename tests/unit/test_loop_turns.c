/*
 * loop: turns, timers, wakers, posts, threads and descriptors, real and in virtual time.
 */
#include "failing.h"
#include "loop_world.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

/* ---- turns ---- */

struct trace {
	struct world *world;
	char text[200];
	struct loop_deferred deferred[4];
	struct loop_timer *timers[4];
	struct loop_waker *waker;
	int64_t due_us;
	int left;
};

static void note(struct trace *trace, char mark)
{
	size_t size = strlen(trace->text);
	assert_true(size + 1 < sizeof(trace->text));
	trace->text[size] = mark;
}

static void note_d(void *ctx)
{
	note(ctx, 'd');
}

static void note_e(void *ctx)
{
	struct trace *trace = ctx;
	note(trace, 'e');
	loop_defer(trace->world->loop, &trace->deferred[3]); /* still before input */
}

static void note_f(void *ctx)
{
	note(ctx, 'f');
}

static void note_g(void *ctx)
{
	note(ctx, 'g');
}

static void post_2(void *ctx)
{
	note(ctx, '2');
}

static void post_3(void *ctx)
{
	struct trace *trace = ctx;
	note(trace, '3');
	world_done(trace->world);
}

static void post_1(void *ctx)
{
	struct trace *trace = ctx;
	struct loop *loop = trace->world->loop;
	note(trace, '1');
	loop_defer(loop, &trace->deferred[0]);
	loop_defer(loop, &trace->deferred[1]);
	loop_defer(loop, &trace->deferred[0]); /* once */
	loop_defer(loop, &trace->deferred[2]);
	loop_undefer(loop, &trace->deferred[2]);
	loop_undefer(loop, &trace->deferred[2]);
	assert_int_equal(loop_post(loop, post_3, trace), OK);
}

static void deferred_order(struct world *world)
{
	struct trace trace = {.world = world};
	loop_fn fns[4] = {note_d, note_e, note_f, note_g};
	for (size_t i = 0; i < 4; i++) {
		trace.deferred[i] = (struct loop_deferred){.fn = fns[i], .ctx = &trace};
	}
	loop_defer(world->loop, &trace.deferred[2]); /* before the loop runs at all */
	assert_int_equal(loop_post(world->loop, post_1, &trace), OK);
	assert_int_equal(loop_post(world->loop, post_2, &trace), OK);
	assert_false(loop_is_here(world->loop));
	assert_string_equal(trace.text, "");
	world_run(world);
	const char *turns = trace.text[0] == 'f' ? trace.text + 1 : trace.text;
	/* f in a turn before the posts, or in theirs */
	assert_true(strcmp(turns, "12deg3") == 0 || strcmp(turns, "12fdeg3") == 0);
}

static void timer_defers(void *ctx)
{
	struct trace *trace = ctx;
	note(trace, 't');
	loop_defer(trace->world->loop, &trace->deferred[0]);
}

static void done_deferred(void *ctx)
{
	struct trace *trace = ctx;
	note(trace, 'd');
	world_done(trace->world);
}

/* Were the deferred work left over, the loop would wait for ever. */
static void deferred_from_timer(struct world *world)
{
	struct trace trace = {.world = world};
	trace.deferred[0] = (struct loop_deferred){.fn = done_deferred, .ctx = &trace};
	assert_int_equal(loop_timer_new(world->loop, timer_defers, &trace, &trace.timers[0]), OK);
	loop_timer_start(trace.timers[0], 1000);
	world_run(world);
	assert_string_equal(trace.text, "td");
	loop_timer_free(trace.timers[0]);
	assert_int_equal(loop_waker_new(world->loop, timer_defers, &trace, &trace.waker), OK);
	loop_waker_wake(trace.waker);
	world_run(world);
	assert_string_equal(trace.text, "tdtd");
	loop_waker_free(trace.waker);
}

static void defers_itself(void *ctx)
{
	struct trace *trace = ctx;
	if (!trace->world->done) {
		loop_defer(trace->world->loop, &trace->deferred[0]);
	}
}

/* Work that defers itself for ever keeps neither timers nor posts from running. */
static void deferred_forever(struct world *world)
{
	struct trace trace = {.world = world};
	trace.deferred[0] = (struct loop_deferred){.fn = defers_itself, .ctx = &trace};
	loop_defer(world->loop, &trace.deferred[0]);
	settle(world);
	assert_int_equal(loop_post(world->loop, world_done, world), OK);
	world_run(world);
	loop_undefer(world->loop, &trace.deferred[0]);
}

static void test_deferred(void **state)
{
	(void)state;
	both(deferred_order);
	both(deferred_from_timer);
	both(deferred_forever);
}

static void waker_counts(void *ctx)
{
	struct trace *trace = ctx;
	note(trace, 'w');
	if (trace->left-- > 0) {
		loop_waker_wake(trace->waker); /* a further call, not a lost one */
	}
}

static void wakers(struct world *world)
{
	struct trace trace = {.world = world};
	assert_int_equal(loop_waker_new(world->loop, waker_counts, &trace, &trace.waker), OK);
	for (int i = 0; i < 1000; i++) {
		loop_waker_wake(trace.waker);
	}
	assert_string_equal(trace.text, "");
	settle(world);
	assert_string_equal(trace.text, "w");
	trace.left = 2;
	loop_waker_wake(trace.waker);
	settle(world);
	assert_string_equal(trace.text, "wwww");
	loop_waker_wake(trace.waker);
	loop_waker_free(trace.waker); /* and the call does not come any more */
	settle(world);
	assert_string_equal(trace.text, "wwww");
	loop_waker_free(NULL);
}

static void test_wakers(void **state)
{
	(void)state;
	both(wakers);
}

static void timer_a(void *ctx)
{
	note(ctx, 'a');
}

static void timer_b(void *ctx)
{
	struct trace *trace = ctx;
	note(trace, 'b');
	assert_true(loop_now_us(trace->world->loop) >= trace->due_us); /* never early */
	loop_timer_stop(trace->timers[2]);
	loop_timer_start(trace->timers[3], 0);
}

static void timer_c(void *ctx)
{
	note(ctx, 'c');
}

static void timer_e(void *ctx)
{
	struct trace *trace = ctx;
	note(trace, 'e');
	if (trace->left-- > 0) {
		loop_timer_start(trace->timers[3], 2500);
		return;
	}
	loop_timer_free(trace->timers[3]); /* within its own call */
	world_done(trace->world);
}

static void timers(struct world *world)
{
	struct trace trace = {.world = world, .left = 2};
	loop_fn fns[4] = {timer_a, timer_b, timer_c, timer_e};
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(loop_timer_new(world->loop, fns[i], &trace, &trace.timers[i]), OK);
	}
	loop_timer_start(trace.timers[1], 30000);
	loop_timer_start(trace.timers[2], 33000);     /* stopped by b */
	loop_timer_start(trace.timers[0], INT64_MAX); /* moved, or it would never come */
	loop_timer_start(trace.timers[0], 1000);
	trace.due_us = loop_now_us(world->loop) + 9400;
	loop_timer_start(trace.timers[1], 9500); /* moved to before c */
	loop_timer_stop(trace.timers[3]);        /* not started: nothing happens */
	int64_t wall_us = loop_wall_us(world->loop);
	world_run(world);
	assert_string_equal(trace.text, "abeee");
	assert_true(loop_wall_us(world->loop) > wall_us);
	settle(world);
	assert_string_equal(trace.text, "abeee");
	for (size_t i = 0; i < 3; i++) {
		loop_timer_free(trace.timers[i]);
	}
	loop_timer_free(NULL);
}

static void test_timers(void **state)
{
	(void)state;
	both(timers);
}

static void count_up(void *ctx)
{
	++*(int *)ctx;
}

static void work_done(void *ctx)
{
	struct trace *trace = ctx;
	assert_true(loop_is_here(trace->world->loop));
	assert_string_equal(trace->text, "a");
	world_done(trace->world);
}

static void works(struct world *world)
{
	struct trace trace = {.world = world};
	assert_int_equal(loop_work(world->loop, timer_a, work_done, &trace), OK);
	world_run(world);
}

static void test_work(void **state)
{
	(void)state;
	both(works);
}

static void chance(struct world *world)
{
	uint64_t all_or = 0;
	uint64_t all_and = ~(uint64_t)0;
	uint64_t before = 0;
	for (int i = 0; i < 1000; i++) {
		uint64_t number = loop_random(world->loop);
		assert_true(number != before);
		before = number;
		all_or |= number;
		all_and &= number;
	}
	assert_true(all_or == ~(uint64_t)0);
	assert_true(all_and == 0);
}

static void test_chance(void **state)
{
	(void)state;
	both(chance);
}

/* ---- threads ---- */

enum { THREADS = 4, POSTS_EACH = 5000 };

struct crowd {
	struct world *world;
	struct loop_waker *waker;
	atomic_int announced;
	int posts, seen, finished;
};

struct member {
	struct crowd *crowd;
	pthread_t thread;
	int next; /* the number of the post that must come next */
	struct loop_posted last;
};

static void member_posted(void *ctx)
{
	struct member *member = ctx;
	assert_true(loop_is_here(member->crowd->world->loop));
	member->next++;
	member->crowd->posts++;
}

static void crowd_woken(void *ctx)
{
	struct crowd *crowd = ctx;
	crowd->seen = atomic_load(&crowd->announced);
	if (crowd->seen == THREADS * POSTS_EACH && crowd->finished == THREADS) {
		world_done(crowd->world);
	}
}

/* Owned by the member: the last thing that it posts. */
static void member_finished(void *ctx)
{
	struct member *member = ctx;
	assert_int_equal(member->next, POSTS_EACH);
	member->crowd->finished++;
	loop_waker_wake(member->crowd->waker);
}

static void *member_run(void *ctx)
{
	struct member *member = ctx;
	struct crowd *crowd = member->crowd;
	for (int i = 0; i < POSTS_EACH; i++) {
		check(loop_post(crowd->world->loop, member_posted, member) == OK);
		atomic_fetch_add(&crowd->announced, 1);
		loop_waker_wake(crowd->waker);
	}
	check(!loop_is_here(crowd->world->loop));
	check(loop_post_owned(crowd->world->loop, &member->last) == OK);
	return NULL;
}

static void test_posts_of_threads(void **state)
{
	(void)state;
	struct world world;
	world_open(&world, true);
	struct crowd crowd = {.world = &world};
	struct member members[THREADS];
	assert_int_equal(loop_waker_new(world.loop, crowd_woken, &crowd, &crowd.waker), OK);
	for (int i = 0; i < THREADS; i++) {
		members[i] = (struct member){.crowd = &crowd};
		members[i].last = (struct loop_posted){.fn = member_finished, .ctx = &members[i]};
		assert_int_equal(
			pthread_create(&members[i].thread, NULL, member_run, &members[i]), 0);
	}
	world_run(&world);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(members[i].thread, NULL), 0);
	}
	assert_int_equal(crowd.posts, THREADS * POSTS_EACH);
	loop_waker_free(crowd.waker);
	world_close(&world);
}

static void *stop_loop(void *ctx)
{
	loop_stop(ctx);
	return NULL;
}

static void test_stop_of_thread(void **state)
{
	(void)state;
	struct world world;
	world_open(&world, true);
	for (int i = 0; i < 100; i++) {
		pthread_t thread;
		assert_int_equal(pthread_create(&thread, NULL, stop_loop, world.loop), 0);
		loop_run(world.loop); /* also when it has been told to stop before */
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	world_close(&world);
}

/* ---- descriptors ---- */

struct watched {
	struct world *world;
	struct loop_watch *watch;
	int fd;
	int calls, stop_at;
	size_t bytes;
	bool at_end;
};

static void watched_ready(void *ctx)
{
	struct watched *watched = ctx;
	char piece[4];
	assert_true(loop_is_here(watched->world->loop));
	ssize_t got = read(watched->fd, piece, sizeof(piece));
	assert_true(got >= 0);
	watched->calls++;
	watched->bytes += (size_t)got;
	watched->at_end = got == 0;
	if (watched->at_end) {
		loop_watch_free(watched->watch); /* within its own call */
		watched->watch = NULL;
		world_done(watched->world);
	} else if (watched->calls == watched->stop_at) {
		loop_watch_pause(watched->watch, true);
	}
}

static void watch_all(struct watched *watched, size_t size)
{
	struct world *world = watched->world;
	watched->stop_at = 2;
	assert_int_equal(
		loop_watch_new(world->loop, watched->fd, watched_ready, watched, &watched->watch),
		OK);
	assert_int_equal(watched->calls, 0);
	settle(world);
	assert_int_equal(watched->calls, 2); /* then it was paused */
	assert_int_equal(watched->bytes, 8);
	loop_watch_pause(watched->watch, false);
	world_run(world);
	assert_true(watched->at_end);
	assert_int_equal(watched->bytes, size);
	(void)close(watched->fd); /* it has stayed open */
}

static void test_watches(void **state)
{
	(void)state;
	struct world world;
	world_open(&world, true);
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "twelve bytes", 12), 12);
	(void)close(fds[1]);
	watch_all(&(struct watched){.world = &world, .fd = fds[0]}, 12);

	char path[] = "/tmp/test-loop-XXXXXX";
	int file = mkstemp(path);
	assert_true(file >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(write(file, "a plain file", 12), 12);
	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	watch_all(&(struct watched){.world = &world, .fd = file}, 12);

	struct loop_watch *watch = NULL;
	assert_int_equal(loop_watch_new(world.loop, -1, watched_ready, NULL, &watch), ERR_IO);
	assert_null(watch);
	loop_watch_free(NULL);
	world_close(&world);
	world_open(&world, false);
	assert_int_equal(
		loop_watch_new(world.loop, 0, watched_ready, NULL, &watch), ERR_UNSUPPORTED);
	world_close(&world);
}

/* ---- lack of memory ---- */

static void lack(struct world *world)
{
	bool again = true;
	for (size_t at = 0; again; at++) {
		struct failing failing;
		struct loop_timer *timer = NULL;
		struct loop_waker *waker = NULL;
		struct loop_listener *listener = NULL;
		int worked = 0;
		int posts = 0;
		failing_start(&failing, at);
		enum err err = loop_timer_new(world->loop, timer_a, NULL, &timer);
		err = err ? err : loop_waker_new(world->loop, timer_a, NULL, &waker);
		err = err ? err
			  : loop_listen(world->loop, "127.0.0.1:0", NULL, NULL, &listener, NULL);
		err = err ? err : loop_work(world->loop, count_up, count_up, &worked);
		bool posted = !err && loop_post(world->loop, count_up, &posts) == OK;
		again = failing_stop(&failing);
		assert_true(posted != again);
		assert_true(err == OK || err == ERR_MEMORY);
		settle(world);
		loop_timer_free(timer);
		loop_waker_free(waker);
		loop_listener_free(listener);
		assert_int_equal(worked, err == OK ? 2 : 0);
		assert_int_equal(posts, posted ? 1 : 0);
	}
}

static void test_lack(void **state)
{
	(void)state;
	both(lack);
}

/* ---- a process that is killed ---- */

struct killed_end {
	struct loop *loop;
	struct loop_conn *conn;
	size_t bytes;
	unsigned closed;
	enum err why;
};

static void killed_opened(void *ctx)
{
	(void)ctx;
}

static void killed_read(void *ctx, struct bytes bytes)
{
	((struct killed_end *)ctx)->bytes += bytes.size;
}

static void killed_closed(void *ctx, enum err why)
{
	struct killed_end *end = ctx;
	end->closed++;
	end->why = why;
}

static const struct loop_conn_events killed_events = {
	.opened = killed_opened, .read = killed_read, .closed = killed_closed};

static void killed_accepted(void *ctx, int socket)
{
	struct killed_end *end = ctx;
	assert_int_equal(loop_conn_open(end->loop, socket, &killed_events, end, &end->conn), OK);
}

/* What is under way to it is lost; what is under way from it arrives, or not. */
static void kill_process(bool arrives)
{
	struct world world;
	world_open(&world, false);
	struct killed_end process = {.loop = world.loop};
	struct killed_end other = {0};
	struct loop_listener *listener = NULL;
	assert_int_equal(sim_loop_new(world.sim, &other.loop), OK);
	assert_int_equal(loop_listen(process.loop, "localhost:1", killed_accepted, &process,
				 &listener, NULL),
		OK);
	assert_int_equal(
		loop_connect(other.loop, "localhost:1", &killed_events, &other, &other.conn), OK);
	sim_run(world.sim, 1000000);
	struct iovec piece = {(void *)"12345", 5};
	size_t taken = 0;
	assert_int_equal(loop_conn_write(process.conn, &piece, 1, &taken), OK);
	assert_int_equal(loop_conn_write(other.conn, &piece, 1, &taken), OK);
	sim_kill(process.loop, arrives);
	sim_run(world.sim, 2000000);
	assert_int_equal(process.bytes, 0);
	assert_int_equal(process.closed, 1);
	assert_int_equal(other.bytes, arrives ? 5 : 0);
	assert_int_equal(other.closed, 1);
	assert_int_equal(other.why, arrives ? OK : ERR_IO);
	loop_listener_free(listener);
	loop_free(other.loop);
	world_close(&world);
}

static void test_kill(void **state)
{
	(void)state;
	kill_process(false);
	kill_process(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deferred),
		cmocka_unit_test(test_wakers),
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_work),
		cmocka_unit_test(test_chance),
		cmocka_unit_test(test_posts_of_threads),
		cmocka_unit_test(test_stop_of_thread),
		cmocka_unit_test(test_watches),
		cmocka_unit_test(test_lack),
		cmocka_unit_test(test_kill),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
