/* grpc on connections: over loops in virtual time with odd delays and pieces, and over real
 * sockets. */
#include "failing.h"
#include "grpc_pair.h"
#include "grpc_raw.h"

static const struct grpc_options defaults;

/* A listener with grpc behind it on one loop, clients on another (the same one if the loops are
 * real). */
struct world {
	struct sim *sim; /* NULL: real sockets */
	struct loop *server_loop, *client_loop;
	struct loop_timer *guard;
	struct loop_listener *listener;
	struct pair *pair; /* the sides only */
	struct grpc_options server_options;
	struct grpc_server_conn *conn; /* the newest */
	unsigned server_closed;
	struct grpc_client *client;
	unsigned opened, closed;
	enum err why;
	bool (*is_over)(struct world *world); /* real loops stop then */
	bool was_over;
	bool is_lenient; /* memory may be lacking */
};

static void conn_closed(void *ctx, struct grpc_server_conn *conn)
{
	struct world *world = ctx;
	world->server_closed++;
	if (world->conn == conn) {
		world->conn = NULL;
	}
}

static enum grpc_status accept_call(void *ctx, struct grpc_call *call, struct bytes method)
{
	struct world *world = ctx;
	return pair_accept(world->pair, call, method);
}

static void accepted(void *ctx, int socket)
{
	struct world *world = ctx;
	enum err err = grpc_server_conn_open(world->server_loop, socket, &world->server_options,
		accept_call, conn_closed, world, &world->conn);
	assert_true(err == OK || (world->is_lenient && err == ERR_MEMORY));
}

static void client_opened(void *ctx)
{
	struct world *world = ctx;
	world->opened++;
}

static void client_closed(void *ctx, enum err why)
{
	struct world *world = ctx;
	world->closed++;
	world->why = why;
	world->client = NULL;
}

static const struct grpc_client_events client_events = {client_opened, client_closed};

static void look(void *ctx)
{
	struct world *world = ctx;
	world->was_over = world->is_over(world);
	if (world->was_over) {
		loop_stop(world->client_loop);
	} else {
		loop_timer_start(world->guard, 500);
	}
}

static struct world *world_new(bool is_real, const struct sim_options *options)
{
	struct world *world = calloc(1, sizeof *world);
	assert_non_null(world);
	world->pair = calloc(1, sizeof *world->pair);
	assert_non_null(world->pair);
	if (is_real) {
		assert_int_equal(loop_new(&world->client_loop), OK);
		world->server_loop = world->client_loop;
		assert_int_equal(
			loop_timer_new(world->client_loop, look, world, &world->guard), OK);
	} else {
		struct test_random random = test_random_start("grpc_loop");
		struct sim_options more = *options;
		more.seed = test_random_next(&random);
		assert_int_equal(sim_new(&more, &world->sim), OK);
		assert_int_equal(sim_loop_new(world->sim, &world->server_loop), OK);
		assert_int_equal(sim_loop_new(world->sim, &world->client_loop), OK);
	}
	return world;
}

static void world_listen(struct world *world)
{
	struct err_info info = {0};
	assert_int_equal(loop_listen(world->server_loop, "127.0.0.1:0", accepted, world,
				 &world->listener, &info),
		OK);
}

static void world_connect(struct world *world)
{
	assert_int_equal(
		grpc_client_open(world->client_loop, loop_listener_address(world->listener),
			&defaults, &client_events, world, &world->client),
		OK);
}

static struct side *world_call(struct world *world, int64_t timeout_us)
{
	struct side *side = side_new(world->pair);
	side->pair = world->pair;
	assert_int_equal(grpc_client_call(world->client, "/test.Test/Call", timeout_us,
				 &side_events, side, &side->call),
		OK);
	return side;
}

/* Until is_over, or 10 s of virtual time. */
static void world_run(struct world *world, bool (*is_over)(struct world *world))
{
	world->is_over = is_over;
	if (world->sim) {
		sim_run(world->sim, sim_now_us(world->sim) + 10000000);
		assert_true(is_over(world));
		return;
	}
	loop_timer_start(world->guard, 0);
	loop_run(world->client_loop);
	assert_true(world->was_over);
}

static bool all_is_closed(struct world *world)
{
	return !world->client && !world->conn;
}

static bool calls_are_over(struct world *world)
{
	for (unsigned i = 0; i < world->pair->side_count; i++) {
		if (!world->pair->sides[i].ended) {
			return false;
		}
	}
	return true;
}

static bool is_connected(struct world *world)
{
	return world->opened && world->conn && world->pair->side_count > 1;
}

static void world_free(struct world *world)
{
	if (world->client) {
		grpc_client_close(world->client);
		world_run(world, all_is_closed);
		assert_int_equal(world->closed, 1);
	}
	for (unsigned i = 0; i < world->pair->side_count; i++) {
		assert_int_equal(world->pair->sides[i].ended, 1);
	}
	if (world->listener) {
		loop_listener_free(world->listener);
	}
	if (world->sim) {
		sim_run(world->sim, sim_now_us(world->sim) + 1000000);
		loop_free(world->server_loop);
	} else {
		loop_timer_free(world->guard);
	}
	loop_free(world->client_loop);
	sim_free(world->sim);
	free(world->pair);
	free(world);
}

static struct world *world_variant(unsigned variant)
{
	static const struct sim_options rows[] = {
		{0},
		{.delay_us_max = 3000, .chunk_bytes_max = 700},
		{.delay_us_max = 500, .chunk_bytes_max = 100, .pipe_bytes = 1000},
	};
	return world_new(variant == 3, variant == 3 ? NULL : &rows[variant]);
}

#define VARIANTS 4

static void streams_over_connections(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < VARIANTS; variant++) {
		struct world *world = world_variant(variant);
		struct metrics metrics = {0};
		world->server_options.metrics = &metrics;
		world->server_options.window_bytes = 65535;
		world->pair->model.kind = SIDE_ECHO;
		world_listen(world);
		world_connect(world);
		for (unsigned i = 0; i < 5; i++) { /* before the connection is there */
			struct side *side = world_call(world, 0);
			side->to_send = 60;
			side->message_size = 100 + (size_t)600 * i;
			side->finish_when_sent = true;
			side_push(side);
		}
		world_run(world, calls_are_over);
		for (unsigned i = 0; i < 5; i++) {
			assert_int_equal(world->pair->sides[i].status, GRPC_OK);
			assert_int_equal(world->pair->sides[i].received, 60);
		}
		assert_int_equal(world->opened, 1);
		assert_int_equal(metrics_get(&metrics, METRIC_grpc_connections), 1);
		assert_int_equal(metrics_get(&metrics, METRIC_grpc_calls), 5);
		assert_true(metrics_get(&metrics, METRIC_grpc_bytes_in) > 390000);
		grpc_client_close(world->client);
		world_run(world, all_is_closed);
		assert_int_equal(world->why, OK);
		assert_int_equal(world->server_closed, 1);
		assert_int_equal(metrics_get(&metrics, METRIC_grpc_connections), 0);
		world_free(world);
	}
}

static void a_backlog_flows(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < VARIANTS; variant++) {
		struct world *world = world_variant(variant);
		world->pair->model.to_send = 20000;
		world->pair->model.message_size = 400;
		world->pair->model.finish_when_sent = true;
		if (world->sim && variant == 2) {
			world->pair->model.to_send = 500;
		}
		world_listen(world);
		world_connect(world);
		struct side *side = world_call(world, 0);
		world_run(world, calls_are_over);
		assert_int_equal(side->received, world->pair->model.to_send);
		assert_int_equal(side->status, GRPC_OK);
		world_free(world);
	}
}

static void closing_ends_calls(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < VARIANTS; variant++) {
		for (unsigned by_server = 0; by_server < 2; by_server++) {
			struct world *world = world_variant(variant);
			world_listen(world);
			world_connect(world);
			struct side *side = world_call(world, 0);
			world_run(world, is_connected);
			if (by_server) {
				grpc_server_conn_close(world->conn);
			} else {
				grpc_client_close(world->client);
			}
			assert_int_equal(side->ended, 0);
			world_run(world, all_is_closed);
			assert_int_equal(
				side->status, by_server ? GRPC_UNAVAILABLE : GRPC_CANCELLED);
			assert_int_equal(pair_server_side(world->pair)->status,
				by_server ? GRPC_CANCELLED : GRPC_UNAVAILABLE);
			assert_int_equal(world->closed, 1);
			assert_int_equal(world->server_closed, 1);
			world_free(world);
		}
	}
}

static void draining_waits_for_calls(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < VARIANTS; variant++) {
		struct world *world = world_variant(variant);
		world->pair->model.kind = SIDE_ECHO;
		world_listen(world);
		world_connect(world);
		struct side *side = world_call(world, 0);
		world_run(world, is_connected);
		grpc_server_conn_drain(world->conn);
		side->to_send = 300;
		side->message_size = 1000;
		side->finish_when_sent = true;
		side_push(side);
		world_run(world, calls_are_over);
		assert_int_equal(side->status, GRPC_OK);
		assert_int_equal(side->received, 300);
		world_run(world, all_is_closed);
		world_free(world);
	}
}

static void deadlines_need_no_traffic(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < VARIANTS; variant++) {
		struct world *world = world_variant(variant);
		world_listen(world);
		world_connect(world);
		struct side *side = world_call(world, 20000);
		struct side *other = world_call(world, 0);
		while (!side->ended) {
			world_run(world, is_connected);
		}
		assert_int_equal(side->status, GRPC_DEADLINE_EXCEEDED);
		assert_int_equal(other->ended, 0);
		grpc_call_finish(other->call, GRPC_OK, NULL);
		world_run(world, calls_are_over);
		assert_int_equal(other->status, GRPC_OK);
		world_free(world);
	}
}

static void nobody_listens(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < VARIANTS; variant++) {
		struct world *world = world_variant(variant);
		assert_int_equal(grpc_client_open(world->client_loop, "127.0.0.1:1", &defaults,
					 &client_events, world, &world->client),
			OK);
		struct side *side = world_call(world, 0);
		world_run(world, all_is_closed);
		assert_int_equal(side->status, GRPC_UNAVAILABLE);
		assert_int_equal(world->opened, 0);
		assert_int_equal(world->why, ERR_UNAVAILABLE);
		world_free(world);
	}
}

static void closing_before_it_opens(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < VARIANTS; variant++) {
		struct world *world = world_variant(variant);
		world_listen(world);
		world_connect(world);
		struct side *side = world_call(world, 0);
		grpc_client_close(world->client);
		struct grpc_call *call = NULL;
		assert_int_equal(grpc_client_call(world->client, "/test.Test/Call", 0, &side_events,
					 side, &call),
			ERR_UNAVAILABLE);
		world_run(world, all_is_closed);
		assert_int_equal(side->status, GRPC_CANCELLED);
		assert_int_equal(world->opened, 0);
		world_free(world);
	}
}

/* ---- peers that are no gRPC ---- */

struct raw_peer {
	struct world *world;
	struct loop_conn *conn;
	const char *greeting;
	size_t greeting_size;
	bool asks_for_ever, is_closed;
	size_t sent;
};

static void raw_send(void *ctx)
{
	struct raw_peer *peer = ctx;
	static char pings[17 * 1000];
	struct iovec piece = {(void *)(uintptr_t)peer->greeting, peer->greeting_size};
	size_t taken = 0;
	if (peer->greeting_size > 0) {
		assert_int_equal(loop_conn_write(peer->conn, &piece, 1, &taken), OK);
		assert_int_equal(taken, peer->greeting_size);
		peer->greeting_size = 0;
	}
	for (size_t i = 0; i < sizeof pings; i += 17) {
		pings[i + 2] = 8; /* the length, then the type */
		pings[i + 3] = 6;
	}
	while (peer->asks_for_ever && peer->sent < (64 << 20)) {
		size_t at = peer->sent % 17;
		piece = (struct iovec){pings + at, sizeof pings - at};
		if (loop_conn_write(peer->conn, &piece, 1, &taken) || taken == 0) {
			return;
		}
		peer->sent += taken;
		if (taken < piece.iov_len) {
			return;
		}
	}
}

static void raw_read(void *ctx, struct bytes bytes)
{
	(void)ctx;
	(void)bytes;
}

static void raw_closed(void *ctx, enum err why)
{
	struct raw_peer *peer = ctx;
	(void)why;
	peer->is_closed = true;
	peer->conn = NULL;
}

static const struct loop_conn_events raw_events = {raw_send, raw_read, raw_send, raw_closed};

static bool server_has_closed(struct world *world)
{
	return world->server_closed > 0 && !world->conn;
}

static void garbage_is_turned_away(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < VARIANTS; variant++) {
		struct world *world = world_variant(variant);
		struct raw_peer peer = {.world = world};
		struct metrics metrics = {0};
		world->server_options.metrics = &metrics;
		peer.greeting = "GET / HTTP/1.1\r\n\r\n";
		peer.greeting_size = strlen(peer.greeting);
		world_listen(world);
		assert_int_equal(
			loop_connect(world->client_loop, loop_listener_address(world->listener),
				&raw_events, &peer, &peer.conn),
			OK);
		world_run(world, server_has_closed);
		assert_true(metrics_get(&metrics, METRIC_grpc_protocol_errors) > 0);
		if (peer.conn) {
			loop_conn_close(peer.conn);
		}
		world_run(world, server_has_closed);
		world_free(world);
	}
}

/* It asks with PING and reads no answer: the server stops reading it, so it cannot go on for ever.
 */
static void who_does_not_read_is_not_read(void **state)
{
	(void)state;
	struct world *world = world_new(false, &(struct sim_options){.pipe_bytes = 20000});
	struct raw_peer peer = {.world = world, .asks_for_ever = true};
	peer.greeting = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	peer.greeting_size = 33;
	world_listen(world);
	assert_int_equal(loop_connect(world->client_loop, loop_listener_address(world->listener),
				 &raw_events, &peer, &peer.conn),
		OK);
	loop_conn_pause(peer.conn, true);
	sim_run(world->sim, 60000000);
	assert_true(peer.sent > 10000);
	assert_true(peer.sent < (2 << 20));
	if (peer.conn) {
		loop_conn_close(peer.conn);
	}
	sim_run(world->sim, 70000000);
	assert_int_equal(world->server_closed, 1);
	world_free(world);
}

static void a_cut_ends_calls(void **state)
{
	(void)state;
	struct world *world = world_variant(1);
	struct raw_peer peer = {.world = world};
	struct buffer raw = {0};
	add_preface(&raw);
	add_request(&raw, 0, 1, "x", "y");
	peer.greeting = raw.data;
	peer.greeting_size = raw.size;
	world->pair->model.to_send = 1000;
	world->pair->model.message_size = 1000;
	world_listen(world);
	assert_int_equal(loop_connect(world->client_loop, loop_listener_address(world->listener),
				 &raw_events, &peer, &peer.conn),
		OK);
	sim_run(world->sim, 100000);
	struct side *side = pair_server_side(world->pair);
	assert_non_null(side);
	assert_int_equal(side->ended, 0);
	assert_true(side->sent < 1000); /* there is more in its buffer */
	sim_cut(world->sim, peer.conn);
	world_run(world, server_has_closed);
	assert_int_equal(side->status, GRPC_UNAVAILABLE);
	buffer_fini(&raw);
	world_free(world);
}

/* ---- lack of memory ---- */

static bool nothing_is_asked(struct world *world)
{
	(void)world;
	return true;
}

static bool try_connection(size_t fail_at)
{
	struct failing failing;
	struct world *world = world_variant(0);
	world->is_lenient = true;
	world->pair->model.kind = SIDE_ECHO;
	world_listen(world);
	failing_start(&failing, fail_at);
	if (!grpc_client_open(world->client_loop, loop_listener_address(world->listener), &defaults,
		    &client_events, world, &world->client)) {
		struct side *side = side_new(world->pair);
		side->pair = world->pair;
		side->to_send = 3;
		side->message_size = 3000;
		side->finish_when_sent = true;
		if (grpc_client_call(world->client, "/test.Test/Call", 1000000, &side_events, side,
			    &side->call)) {
			side->ended = 1; /* it never was */
		} else {
			side_push(side);
		}
	}
	world_run(world, nothing_is_asked);
	bool has_struck = failing_stop(&failing);
	world_free(world);
	return has_struck;
}

static void survives_each_failure(void **state)
{
	size_t fail_at = 0;
	(void)state;
	while (try_connection(fail_at)) {
		fail_at++;
	}
	assert_true(fail_at > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_over_connections),
		cmocka_unit_test(a_backlog_flows),
		cmocka_unit_test(closing_ends_calls),
		cmocka_unit_test(draining_waits_for_calls),
		cmocka_unit_test(deadlines_need_no_traffic),
		cmocka_unit_test(nobody_listens),
		cmocka_unit_test(closing_before_it_opens),
		cmocka_unit_test(garbage_is_turned_away),
		cmocka_unit_test(who_does_not_read_is_not_read),
		cmocka_unit_test(a_cut_ends_calls),
		cmocka_unit_test(survives_each_failure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
