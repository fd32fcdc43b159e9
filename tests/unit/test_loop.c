/*
 * loop: what both implementations promise. Each test runs on real sockets and in virtual time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop.h"
#include "random.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- a world: one loop, of either kind ---- */

struct world {
	bool real;
	struct sim *sim;
	struct loop *loop;
	struct test_random random;
	bool done;
};

static void world_open(struct world *world, bool real)
{
	*world = (struct world){.real = real, .random = test_random_start("test_loop")};
	if (real) {
		assert_int_equal(loop_new(&world->loop), OK);
		return;
	}
	struct sim_options options = {
		.seed = test_random_next(&world->random),
		.delay_us_max = 300,
		.chunk_bytes_max = 20000,
		.pipe_bytes = 50000,
	};
	assert_int_equal(sim_new(&options, &world->sim), OK);
	assert_int_equal(sim_loop_new(world->sim, &world->loop), OK);
}

static void world_done(void *ctx)
{
	struct world *world = ctx;
	world->done = true;
	if (world->real) {
		loop_stop(world->loop);
	}
}

static void world_run(struct world *world)
{
	world->done = false;
	if (world->real) {
		loop_run(world->loop);
	}
	for (int i = 0; i < 1000 && !world->done; i++) {
		sim_run(world->sim, sim_now_us(world->sim) + 1000000);
	}
	assert_true(world->done);
}

static void world_close(struct world *world)
{
	loop_free(world->loop);
	sim_free(world->sim);
}

static void both(void (*test)(struct world *world))
{
	for (int real = 0; real < 2; real++) {
		struct world world;
		world_open(&world, real == 1);
		test(&world);
		world_close(&world);
	}
}

/* Runs all that is under way: a bell behind which nothing short is left. */
static void settle(struct world *world)
{
	struct loop_timer *timer = NULL;
	assert_int_equal(loop_timer_new(world->loop, world_done, world, &timer), OK);
	loop_timer_start(timer, 20000);
	world_run(world);
	loop_timer_free(timer);
}

/* ---- an end of a connection that counts what it is told ---- */

enum close_in { CLOSE_NEVER, CLOSE_IN_OPENED, CLOSE_IN_READ, CLOSE_IN_WRITABLE };

struct end {
	struct world *world;
	struct loop_conn *conn;
	int opened, reads, writables, closed;
	enum err why;
	size_t bytes;
	char last;
	enum close_in close_in;
	bool stop_when_closed;
};

static void end_close_in(struct end *end, enum close_in here)
{
	assert_int_equal(end->closed, 0);
	assert_true(loop_is_here(end->world->loop));
	if (end->close_in == here) {
		loop_conn_close(end->conn);
		assert_int_equal(end->closed, 0); /* not from within the call */
		size_t taken = 77;
		struct iovec piece = {"x", 1};
		assert_int_equal(loop_conn_write(end->conn, &piece, 1, &taken), ERR_CLOSED);
		assert_int_equal(taken, 77);
	}
}

static void end_opened(void *ctx)
{
	struct end *end = ctx;
	end->opened++;
	end_close_in(end, CLOSE_IN_OPENED);
}

static void end_read(void *ctx, struct bytes bytes)
{
	struct end *end = ctx;
	assert_true(bytes.size > 0);
	end->reads++;
	end->bytes += bytes.size;
	end->last = bytes.data[bytes.size - 1];
	end_close_in(end, CLOSE_IN_READ);
}

static void end_writable(void *ctx)
{
	struct end *end = ctx;
	end->writables++;
	end_close_in(end, CLOSE_IN_WRITABLE);
}

static void end_closed(void *ctx, enum err why)
{
	struct end *end = ctx;
	assert_true(loop_is_here(end->world->loop));
	assert_true(loop_conn_peer(end->conn)[0] != '\0');
	end->closed++;
	end->why = why;
	if (end->stop_when_closed) {
		world_done(end->world);
	}
}

static const struct loop_conn_events END_EVENTS = {
	.opened = end_opened,
	.read = end_read,
	.writable = end_writable,
	.closed = end_closed,
};

/* ---- a pair of ends ---- */

struct pair {
	struct world *world;
	struct loop_listener *listener;
	struct end client, server;
	bool pause_server;
};

static void pair_accepted(void *ctx, int socket)
{
	struct pair *pair = ctx;
	pair->server.world = pair->world;
	assert_int_equal(loop_conn_open(pair->world->loop, socket, &END_EVENTS, &pair->server,
				 &pair->server.conn),
		OK);
	loop_conn_pause(pair->server.conn, pair->pause_server);
}

static void pair_connect_to(struct pair *pair, struct world *world, const char *address)
{
	pair->world = world;
	pair->client.world = world;
	struct err_info info = {0};
	assert_int_equal(
		loop_listen(world->loop, address, pair_accepted, pair, &pair->listener, &info), OK);
	assert_int_equal(loop_connect(world->loop, loop_listener_address(pair->listener),
				 &END_EVENTS, &pair->client, &pair->client.conn),
		OK);
	assert_int_equal(pair->client.opened, 0);
	settle(world);
	assert_int_equal(pair->client.opened, 1);
	assert_non_null(pair->server.conn);
}

static void pair_connect(struct pair *pair, struct world *world)
{
	pair_connect_to(pair, world, "127.0.0.1:0");
}

static size_t write_text(struct loop_conn *conn, const char *text)
{
	size_t taken = 0;
	struct iovec piece = {(void *)text, strlen(text)};
	assert_int_equal(loop_conn_write(conn, &piece, 1, &taken), OK);
	return taken;
}

/* Writes until no more is taken; how much that was. */
static size_t write_full(struct loop_conn *conn)
{
	static const char BLOCK[65536];
	struct iovec pieces[2] = {{(void *)BLOCK, 1000}, {(void *)BLOCK, sizeof(BLOCK)}};
	size_t sum = 0;
	size_t taken = 0;
	do {
		assert_int_equal(loop_conn_write(conn, pieces, 2, &taken), OK);
		sum += taken;
	} while (taken == sizeof(BLOCK) + 1000);
	return sum;
}

/* ---- addresses ---- */

static void connect_and_greet(struct world *world, const char *address)
{
	struct pair pair = {0};
	pair_connect_to(&pair, world, address);
	assert_string_equal(loop_conn_peer(pair.client.conn), loop_listener_address(pair.listener));
	assert_int_equal(write_text(pair.client.conn, "hello"), 5);
	assert_int_equal(write_text(pair.server.conn, "you"), 3);
	settle(world);
	assert_int_equal(pair.server.bytes, 5);
	assert_int_equal(pair.server.last, 'o');
	assert_int_equal(pair.client.bytes, 3);
	loop_listener_free(pair.listener); /* what was accepted lives on */
	loop_conn_close(pair.client.conn);
	settle(world);
	assert_int_equal(pair.client.closed, 1);
	assert_int_equal(pair.client.why, OK);
	assert_int_equal(pair.server.closed, 1);
	assert_int_equal(pair.server.why, OK);
}

static void listens_on(struct world *world)
{
	connect_and_greet(world, "127.0.0.1:0");
	connect_and_greet(world, "localhost:0");
	connect_and_greet(world, "[::1]:0");
	char path[100];
	(void)snprintf(path, sizeof(path), "unix:/tmp/test-loop-%d", (int)getpid());
	connect_and_greet(world, path);
	connect_and_greet(world, path); /* the first has left nothing behind */
}

static void test_listens_on(void **state)
{
	(void)state;
	both(listens_on);
}

static void ports(struct world *world)
{
	struct pair pair = {0};
	pair_connect_to(&pair, world, "127.0.0.1:0");
	const char *address = loop_listener_address(pair.listener);
	assert_int_equal(strncmp(address, "127.0.0.1:", 10), 0);
	assert_true(atoi(address + 10) > 0);

	struct loop_listener *other = NULL;
	struct err_info info = {0};
	assert_int_equal(
		loop_listen(world->loop, address, pair_accepted, &pair, &other, &info), ERR_IO);
	assert_null(other);
	assert_non_null(strstr(info.text, address));
	assert_non_null(strstr(info.text, "address already in use"));

	struct loop_listener *any = NULL;
	assert_int_equal(loop_listen(world->loop, ":0", pair_accepted, &pair, &any, &info), OK);
	assert_int_equal(strncmp(loop_listener_address(any), "0.0.0.0:", 8), 0);
	char name[64];
	(void)snprintf(name, sizeof(name), "localhost:%s", loop_listener_address(any) + 8);
	struct end end = {.world = world};
	assert_int_equal(loop_connect(world->loop, name, &END_EVENTS, &end, &end.conn), OK);
	settle(world);
	assert_int_equal(end.opened, 1);
}

static void test_ports(void **state)
{
	(void)state;
	both(ports);
}

static void bad_addresses(struct world *world)
{
	static const char *const BAD[] = {"", "host", "host:", "host:65536", "host:12x", "::1:80",
		"[::1]", "[::1", "[::1]80", "unix:", "host:-1", "host: 80"};
	char long_path[300] = "unix:/";
	memset(long_path + 6, 'x', sizeof(long_path) - 7);
	for (size_t i = 0; i <= sizeof(BAD) / sizeof(BAD[0]); i++) {
		const char *bad = i < sizeof(BAD) / sizeof(BAD[0]) ? BAD[i] : long_path;
		struct err_info info = {0};
		struct loop_listener *listener = NULL;
		struct loop_conn *conn = NULL;
		assert_int_equal(
			loop_listen(world->loop, bad, NULL, NULL, &listener, &info), ERR_INVALID);
		assert_true(info.text[0] != '\0');
		assert_int_equal(info.code, ERR_INVALID);
		assert_int_equal(
			loop_connect(world->loop, bad, &END_EVENTS, NULL, &conn), ERR_INVALID);
		assert_null(listener);
		assert_null(conn);
	}
}

static void test_bad_addresses(void **state)
{
	(void)state;
	both(bad_addresses);
}

static void refused(struct world *world)
{
	/* A port that was free a moment ago. */
	struct loop_listener *listener = NULL;
	assert_int_equal(loop_listen(world->loop, "127.0.0.1:0", NULL, NULL, &listener, NULL), OK);
	char address[64];
	(void)snprintf(address, sizeof(address), "%s", loop_listener_address(listener));
	loop_listener_free(listener);
	const char *const addresses[] = {address, "unix:/nowhere/at/all"};
	for (size_t i = 0; i < 2; i++) {
		struct end end = {.world = world, .stop_when_closed = true};
		assert_int_equal(
			loop_connect(world->loop, addresses[i], &END_EVENTS, &end, &end.conn), OK);
		assert_int_equal(end.closed, 0);
		world_run(world);
		settle(world);
		assert_int_equal(end.opened, 0);
		assert_int_equal(end.closed, 1);
		assert_int_equal(end.why, ERR_UNAVAILABLE);
	}
	struct end hasty = {.world = world}; /* closed before it could be refused */
	assert_int_equal(
		loop_connect(world->loop, "localhost:1", &END_EVENTS, &hasty, &hasty.conn), OK);
	loop_conn_close(hasty.conn);
	settle(world);
	assert_int_equal(hasty.closed, 1);
	assert_int_equal(hasty.why, OK);
}

static void test_refused(void **state)
{
	(void)state;
	both(refused);
}

/* ---- closing ---- */

static void close_in_opened(struct world *world)
{
	struct pair pair = {.client.close_in = CLOSE_IN_OPENED};
	pair_connect(&pair, world);
	settle(world);
	assert_int_equal(pair.client.closed, 1);
	assert_int_equal(pair.client.why, OK);
	assert_int_equal(pair.server.closed, 1);
	assert_int_equal(pair.server.why, OK);
}

static void close_in_read(struct world *world)
{
	struct pair pair = {.server.close_in = CLOSE_IN_READ};
	pair_connect(&pair, world);
	write_text(pair.client.conn, "a");
	settle(world);
	assert_int_equal(pair.server.reads, 1);
	assert_int_equal(pair.server.closed, 1);
	assert_int_equal(pair.client.closed, 1);
	assert_int_equal(pair.client.why, OK);
}

static void close_in_writable(struct world *world)
{
	struct pair pair = {.client.close_in = CLOSE_IN_WRITABLE, .pause_server = true};
	pair_connect(&pair, world);
	size_t size = write_full(pair.client.conn);
	settle(world);
	assert_int_equal(pair.client.writables, 0);
	assert_int_equal(pair.server.reads, 0);
	loop_conn_pause(pair.server.conn, false);
	pair.server.stop_when_closed = true;
	world_run(world);
	assert_int_equal(pair.client.writables, 1);
	assert_int_equal(pair.client.closed, 1);
	assert_int_equal(pair.server.bytes, size); /* what the kernel held was sent */
	assert_int_equal(pair.server.why, OK);
}

static void test_close_in_callbacks(void **state)
{
	(void)state;
	both(close_in_opened);
	both(close_in_read);
	both(close_in_writable);
}

static void free_says_closed(struct world *world)
{
	static struct pair pair; /* outlives the loop */
	pair = (struct pair){0};
	pair_connect(&pair, world);
	struct loop_timer *timer = NULL;
	assert_int_equal(loop_timer_new(world->loop, world_done, world, &timer), OK);
	loop_timer_start(timer, 1000); /* neither stopped nor freed: the loop does it */
	struct loop_waker *waker = NULL;
	assert_int_equal(loop_waker_new(world->loop, world_done, world, &waker), OK);
	loop_waker_wake(waker);
	struct end looking = {.world = world};
	assert_int_equal(
		loop_connect(world->loop, "localhost:1", &END_EVENTS, &looking, &looking.conn), OK);
	loop_free(world->loop);
	world->loop = NULL;
	assert_int_equal(pair.client.closed, 1);
	assert_int_equal(pair.server.closed, 1);
	assert_int_equal(looking.closed, 1);
}

static void end_closed_unseen(void *ctx, enum err why)
{
	struct end *end = ctx;
	(void)why;
	end->closed++;
	struct loop_conn *conn = NULL;
	assert_int_equal(
		loop_connect(end->world->loop, "127.0.0.1:1", &END_EVENTS, end, &conn), ERR_CLOSED);
	assert_int_equal(loop_post(end->world->loop, world_done, end->world), ERR_CLOSED);
	assert_int_equal(
		loop_work(end->world->loop, world_done, world_done, end->world), ERR_CLOSED);
}

static void count_up(void *ctx)
{
	++*(int *)ctx;
}

static void free_refuses(struct world *world)
{
	struct loop_conn_events events = END_EVENTS;
	events.closed = end_closed_unseen;
	struct end end = {.world = world};
	assert_int_equal(loop_connect(world->loop, "127.0.0.1:1", &events, &end, &end.conn), OK);
	int works = 0;
	int posts = 0;
	struct loop_deferred deferred = {.fn = count_up, .ctx = &posts};
	loop_defer(world->loop, &deferred);
	assert_int_equal(loop_work(world->loop, count_up, count_up, &works), OK);
	assert_int_equal(loop_post(world->loop, count_up, &posts), OK);
	loop_free(world->loop);
	world->loop = NULL;
	assert_int_equal(end.closed, 1);
	assert_int_equal(works, 2); /* what was accepted is done */
	assert_int_equal(posts, 2);
}

static void test_freeing(void **state)
{
	(void)state;
	both(free_says_closed);
	both(free_refuses);
}

static void accepted_given_back(void *ctx, int socket)
{
	struct pair *pair = ctx;
	loop_socket_close(pair->world->loop, socket);
	loop_listener_free(pair->listener); /* within its own callback */
	pair->listener = NULL;
}

static void give_back(struct world *world)
{
	struct pair pair = {.world = world, .client = {.world = world}};
	assert_int_equal(loop_listen(world->loop, "127.0.0.1:0", accepted_given_back, &pair,
				 &pair.listener, NULL),
		OK);
	assert_int_equal(loop_connect(world->loop, loop_listener_address(pair.listener),
				 &END_EVENTS, &pair.client, &pair.client.conn),
		OK);
	settle(world);
	assert_int_equal(pair.client.opened, 1);
	assert_int_equal(pair.client.closed, 1);
	assert_int_equal(pair.client.why, OK);
	assert_null(pair.listener);
}

static void test_give_back(void **state)
{
	(void)state;
	both(give_back);
}

/* ---- bytes ---- */

enum { ECHO_BYTES = 10 * 1024 * 1024 };

struct echo_end {
	struct echo *echo;
	struct loop_conn *conn;
	struct loop_timer *resume;
	size_t received, sent; /* the server sends what it received, from `data` */
};

struct echo {
	struct world *world;
	unsigned char *data;
	struct echo_end client, server;
	int closed;
};

static unsigned char echo_byte(size_t at)
{
	return (unsigned char)(at * 31 + (at >> 9) * 7);
}

static void echo_resume(void *ctx)
{
	struct echo_end *end = ctx;
	loop_conn_pause(end->conn, false);
}

static void echo_send(struct echo_end *end)
{
	struct echo *echo = end->echo;
	size_t until = end == &echo->client ? ECHO_BYTES : echo->server.received;
	size_t taken = 1;
	while (end->sent < until && taken > 0) {
		size_t left = until - end->sent;
		size_t first = 1 + test_random_below(&echo->world->random, left);
		struct iovec pieces[2] = {
			{echo->data + end->sent, first},
			{echo->data + end->sent + first, left - first},
		};
		assert_int_equal(loop_conn_write(end->conn, pieces, 2, &taken), OK);
		assert_true(taken <= left);
		end->sent += taken;
		if (taken < left) {
			return; /* `writable` comes */
		}
	}
}

static void echo_opened(void *ctx)
{
	echo_send(ctx);
}

static void echo_read(void *ctx, struct bytes bytes)
{
	struct echo_end *end = ctx;
	struct echo *echo = end->echo;
	assert_true(bytes.size <= ECHO_BYTES - end->received);
	assert_memory_equal(bytes.data, echo->data + end->received, bytes.size);
	end->received += bytes.size;
	if (end == &echo->server) {
		echo_send(end);
	} else if (end->received == ECHO_BYTES) {
		loop_conn_close(end->conn);
		return;
	}
	if (test_random_below(&echo->world->random, 20) == 0) {
		loop_conn_pause(end->conn, true);
		int64_t delay_us = (int64_t)test_random_below(&echo->world->random, 2000);
		loop_timer_start(end->resume, delay_us);
	}
}

static void echo_closed(void *ctx, enum err why)
{
	struct echo_end *end = ctx;
	assert_int_equal(why, OK);
	loop_timer_free(end->resume);
	if (++end->echo->closed == 2) {
		world_done(end->echo->world);
	}
}

static const struct loop_conn_events ECHO_EVENTS = {
	.opened = echo_opened,
	.read = echo_read,
	.writable = echo_opened,
	.closed = echo_closed,
};

static void echo_accepted(void *ctx, int socket)
{
	struct echo *echo = ctx;
	assert_int_equal(loop_conn_open(echo->world->loop, socket, &ECHO_EVENTS, &echo->server,
				 &echo->server.conn),
		OK);
}

static void echo_all(struct world *world)
{
	struct echo echo = {.world = world, .data = malloc(ECHO_BYTES)};
	assert_non_null(echo.data);
	for (size_t i = 0; i < ECHO_BYTES; i++) {
		echo.data[i] = echo_byte(i);
	}
	echo.client.echo = &echo;
	echo.server.echo = &echo;
	assert_int_equal(
		loop_timer_new(world->loop, echo_resume, &echo.client, &echo.client.resume), OK);
	assert_int_equal(
		loop_timer_new(world->loop, echo_resume, &echo.server, &echo.server.resume), OK);
	struct loop_listener *listener = NULL;
	assert_int_equal(
		loop_listen(world->loop, "127.0.0.1:0", echo_accepted, &echo, &listener, NULL), OK);
	assert_int_equal(loop_connect(world->loop, loop_listener_address(listener), &ECHO_EVENTS,
				 &echo.client, &echo.client.conn),
		OK);
	world_run(world);
	assert_int_equal(echo.client.received, ECHO_BYTES);
	assert_int_equal(echo.server.received, ECHO_BYTES);
	free(echo.data);
}

static void test_echo(void **state)
{
	(void)state;
	both(echo_all);
}

static void paused_reader(struct world *world)
{
	struct pair pair = {.pause_server = true};
	pair_connect(&pair, world);
	size_t size = write_full(pair.client.conn);
	assert_true(size > 0);
	settle(world);
	assert_int_equal(pair.server.reads, 0);
	/* The kernel may take a little more by now, but it fills up. */
	for (int i = 0; i < 100 && pair.client.writables > 0; i++) {
		pair.client.writables = 0;
		size += write_full(pair.client.conn);
		settle(world);
	}
	assert_int_equal(pair.client.writables, 0);
	loop_conn_pause(pair.server.conn, false);
	settle(world);
	settle(world);
	assert_int_equal(pair.client.writables, 1); /* once */
	assert_int_equal(pair.server.bytes, size);
	write_text(pair.client.conn, "!");
	settle(world);
	assert_int_equal(pair.server.bytes, size + 1);
	assert_int_equal(pair.server.last, '!');
	assert_int_equal(pair.client.writables, 1);
}

static void test_paused_reader(void **state)
{
	(void)state;
	both(paused_reader);
}

static void write_before_open(struct world *world)
{
	struct pair pair = {.world = world, .client = {.world = world}};
	assert_int_equal(
		loop_listen(world->loop, "127.0.0.1:0", pair_accepted, &pair, &pair.listener, NULL),
		OK);
	assert_int_equal(loop_connect(world->loop, loop_listener_address(pair.listener),
				 &END_EVENTS, &pair.client, &pair.client.conn),
		OK);
	assert_int_equal(write_text(pair.client.conn, "early"), 0);
	settle(world);
	assert_int_equal(pair.client.opened, 1);
	assert_int_equal(pair.client.writables, 1);
	assert_int_equal(pair.server.bytes, 0);
}

static void test_write_before_open(void **state)
{
	(void)state;
	both(write_before_open);
}

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
	loop_timer_start(trace.timers[2], 33000); /* stopped by b */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listens_on),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_bad_addresses),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_close_in_callbacks),
		cmocka_unit_test(test_freeing),
		cmocka_unit_test(test_give_back),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_paused_reader),
		cmocka_unit_test(test_write_before_open),
		cmocka_unit_test(test_deferred),
		cmocka_unit_test(test_wakers),
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_work),
		cmocka_unit_test(test_chance),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
