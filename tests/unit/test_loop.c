/*
 * loop: addresses and connections, on real sockets and in virtual time.
 */
#include "loop_world.h"

#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

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

static void end_close(struct end *end)
{
	if (end->conn && end->closed == 0) {
		loop_conn_close(end->conn);
	}
}

/* Both ends live in the test's frame, so they must have closed before it returns. */
static void pair_close(struct pair *pair)
{
	loop_listener_free(pair->listener);
	end_close(&pair->client);
	end_close(&pair->server);
	settle(pair->world);
	assert_int_equal(pair->client.closed, 1);
	assert_int_equal(pair->server.closed, pair->server.conn ? 1 : 0);
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
	assert_true(strtol(address + 10, NULL, 10) > 0);

	struct loop_listener *other = NULL;
	struct err_info info = {0};
	assert_int_equal(
		loop_listen(world->loop, address, pair_accepted, &pair, &other, &info), ERR_IO);
	assert_null(other);
	assert_non_null(strstr(info.text, address));
	assert_non_null(strstr(info.text, "address already in use"));

	struct pair any = {.world = world, .client.world = world};
	assert_int_equal(
		loop_listen(world->loop, ":0", pair_accepted, &any, &any.listener, &info), OK);
	assert_int_equal(strncmp(loop_listener_address(any.listener), "0.0.0.0:", 8), 0);
	char name[64];
	(void)snprintf(name, sizeof(name), "localhost:%s", loop_listener_address(any.listener) + 8);
	assert_int_equal(
		loop_connect(world->loop, name, &END_EVENTS, &any.client, &any.client.conn), OK);
	settle(world);
	assert_int_equal(any.client.opened, 1);
	pair_close(&any);
	pair_close(&pair);
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

static void close_client(void *ctx)
{
	struct pair *pair = ctx;
	loop_conn_close(pair->client.conn);
}

/* Closed in the very turn in which the connection comes about. */
static void close_while_connecting(struct world *world)
{
	struct pair pair = {.world = world, .client.world = world};
	assert_int_equal(
		loop_listen(world->loop, "127.0.0.1:0", pair_accepted, &pair, &pair.listener, NULL),
		OK);
	struct loop_waker *waker = NULL;
	assert_int_equal(loop_waker_new(world->loop, close_client, &pair, &waker), OK);
	loop_waker_wake(waker);
	assert_int_equal(loop_connect(world->loop, loop_listener_address(pair.listener),
				 &END_EVENTS, &pair.client, &pair.client.conn),
		OK);
	settle(world);
	assert_int_equal(pair.client.opened, 0);
	assert_int_equal(pair.client.closed, 1);
	assert_int_equal(pair.client.why, OK);
	loop_waker_free(waker);
	pair_close(&pair);
}

static void test_close_in_callbacks(void **state)
{
	(void)state;
	both(close_while_connecting);
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
	pair_close(&pair);
}

static void test_paused_reader(void **state)
{
	(void)state;
	both(paused_reader);
}

/* A peer that has stopped reading and never stops writing. */
struct endless {
	struct end end;
	int fd;
};

static void endless_read(void *ctx, struct bytes bytes)
{
	static const char MORE[1024];
	struct endless *endless = ctx;
	end_read(&endless->end, bytes);
	assert_true(write(endless->fd, MORE, sizeof(MORE)) > 0);
}

static void test_write_to_deaf_peer(void **state)
{
	(void)state;
	struct world world;
	world_open(&world, true);
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	struct endless endless = {.end.world = &world, .fd = fds[1]};
	struct loop_conn_events events = END_EVENTS;
	events.read = endless_read;
	assert_int_equal(
		loop_conn_open(world.loop, fds[0], &events, &endless, &endless.end.conn), OK);
	assert_int_equal(write(fds[1], "last", 4), 4);
	assert_int_equal(shutdown(fds[1], SHUT_RD), 0);
	size_t taken = 77;
	struct iovec piece = {"x", 1};
	assert_int_equal(loop_conn_write(endless.end.conn, &piece, 1, &taken), ERR_IO);
	assert_int_equal(endless.end.closed, 0); /* not from within the call */
	settle(&world);
	assert_int_equal(endless.end.closed, 1);
	assert_int_equal(endless.end.why, ERR_IO);
	assert_true(endless.end.reads > 0); /* what it sent before is not lost */
	(void)close(fds[1]);
	world_close(&world);
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
	pair_close(&pair);
}

static void test_write_before_open(void **state)
{
	(void)state;
	both(write_before_open);
}

/* ---- virtual time ---- */

static struct loop *sim_second_loop(struct world *world)
{
	struct loop *loop = NULL;
	world_open(world, false);
	assert_int_equal(sim_loop_new(world->sim, &loop), OK);
	return loop;
}

static void test_sim_cut(void **state)
{
	(void)state;
	struct world world;
	world_open(&world, false);
	struct pair pair = {0};
	pair_connect(&pair, &world);
	assert_int_equal(write_text(pair.client.conn, "lost"), 4);
	sim_cut(world.sim, pair.client.conn);
	settle(&world);
	assert_int_equal(pair.client.why, ERR_IO);
	assert_int_equal(pair.server.why, ERR_IO);
	assert_int_equal(pair.server.bytes, 0);
	pair_close(&pair);
	world_close(&world);
}

static void sim_count(void *ctx)
{
	++*(int *)ctx;
}

static void test_sim_stall(void **state)
{
	(void)state;
	struct world world;
	struct loop *loop = sim_second_loop(&world);
	int mine = 0;
	int others = 0;
	sim_stall(loop, true);
	assert_int_equal(loop_post(loop, sim_count, &others), OK);
	assert_int_equal(loop_post(world.loop, sim_count, &mine), OK);
	sim_run(world.sim, 1000000);
	assert_int_equal(sim_now_us(world.sim), 1000000);
	assert_int_equal(mine, 1);
	assert_int_equal(others, 0);
	sim_stall(loop, false);
	sim_run(world.sim, 1000001);
	assert_int_equal(others, 1);
	loop_free(loop);
	world_close(&world);
}

/* As the kernel tells it, where the process may not use all of the machine too. */
static void test_parallelism(void **state)
{
	cpu_set_t all;
	cpu_set_t one;
	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	assert_int_equal(loop_parallelism(), CPU_COUNT(&all));
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++) {
		if (CPU_ISSET(i, &all)) {
			CPU_SET(i, &one);
		}
	}
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(loop_parallelism(), 1);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parallelism),
		cmocka_unit_test(test_listens_on),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_bad_addresses),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_close_in_callbacks),
		cmocka_unit_test(test_freeing),
		cmocka_unit_test(test_give_back),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_paused_reader),
		cmocka_unit_test(test_write_to_deaf_peer),
		cmocka_unit_test(test_write_before_open),
		cmocka_unit_test(test_sim_cut),
		cmocka_unit_test(test_sim_stall),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
