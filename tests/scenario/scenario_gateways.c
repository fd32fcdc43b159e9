/* Gateways that are slow, that vanish, that are told to go: each is its own trouble only. */
#include "support.h"

static const struct ask all_users = {ASK_ALL, "users", 0, false};

static struct world *open_world(size_t workers, const struct stream_limits *limits)
{
	struct engine_options options = engine_options();
	options.workers = workers;
	if (limits) {
		options.stream = *limits;
	}
	struct world *world = world_open(&options);
	world->source.pad = 1000;
	return world;
}

/* So many gateways that get all users. */
static void open_gateways(struct world *world, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		gateway_subscribe(gateway_open(world), 0, all_users);
	}
	world_run(world, SECOND);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(world->gateways[i].accepted, 1);
	}
}

static void stall(struct world *world, unsigned gateway, bool stalled)
{
	sim_stall(world->gateways[gateway].loop, stalled);
}

static void check_others(struct world *world, unsigned but)
{
	for (unsigned i = 0; i < world->gateways_count; i++) {
		if (i != but) {
			assert_non_null(world->gateways[i].call);
			gateway_check(&world->gateways[i], world->source.count);
		}
	}
}

/* ---- slow ------------------------------------------------------------------------------------ */

static void hard_limit(size_t workers)
{
	const struct stream_limits limits = {
		.hard_bytes = 1 << 20, .soft_bytes = SIZE_MAX, .soft_us = SECOND};
	struct world *world = open_world(workers, &limits);
	open_gateways(world, 4);
	stall(world, 2, true);
	for (int i = 0; i < 60; i++) {
		source_emit(world, 100);
		world_run(world, 100 * MS);
		assert_true(world_figure(world, METRIC_queued_bytes) <= 1 << 20);
	}
	world_settle(world);
	check_others(world, 2);
	assert_int_equal(world_figure(world, METRIC_streams_slow), 1);
	assert_int_equal(world_figure(world, METRIC_streams), 3);
	assert_int_equal(world_figure(world, METRIC_subscriptions_active), 3);
	assert_true(world_figure(world, METRIC_deliveries_discarded) > 0);
	stall(world, 2, false);
	world_run(world, SECOND);
	struct gateway *slow = &world->gateways[2];
	assert_null(slow->call);
	assert_int_equal(slow->status, GRPC_RESOURCE_EXHAUSTED);
	gateway_check_prefix(slow);
	world_close(world);
}
WITH_WORKERS(hard_limit)

/* Above the soft limit for its time, and no event comes to find that out. */
static void soft_limit(size_t workers)
{
	const struct stream_limits limits = {
		.hard_bytes = SIZE_MAX, .soft_bytes = 100000, .soft_us = 5 * SECOND};
	struct world *world = open_world(workers, &limits);
	open_gateways(world, 3);
	stall(world, 0, true);
	source_emit(world, 1500);
	world_run(world, 4 * SECOND);
	assert_true(world_figure(world, METRIC_queued_bytes) > 100000);
	assert_int_equal(world_figure(world, METRIC_streams), 3);
	world_run(world, 2 * SECOND);
	assert_int_equal(world_figure(world, METRIC_streams), 2);
	assert_int_equal(world_figure(world, METRIC_streams_slow), 1);
	stall(world, 0, false);
	world_run(world, SECOND);
	assert_int_equal(world->gateways[0].status, GRPC_RESOURCE_EXHAUSTED);
	check_others(world, 0);
	world_close(world);
}
WITH_WORKERS(soft_limit)

/* Slow for a while, but not for too long: it gets everything. */
static void slow_for_a_while(size_t workers)
{
	const struct stream_limits limits = {
		.hard_bytes = SIZE_MAX, .soft_bytes = 100000, .soft_us = 5 * SECOND};
	struct world *world = open_world(workers, &limits);
	open_gateways(world, 3);
	for (int i = 0; i < 5; i++) {
		stall(world, 0, true);
		source_emit(world, 1500);
		world_run(world, 4 * SECOND);
		assert_true(world_figure(world, METRIC_queued_bytes) > 100000);
		stall(world, 0, false);
		world_run(world, 4 * SECOND);
	}
	check_others(world, UINT32_MAX);
	assert_int_equal(world_figure(world, METRIC_streams_slow), 0);
	world_close(world);
}
WITH_WORKERS(slow_for_a_while)

/* ---- gone ------------------------------------------------------------------------------------ */

/* Connections are lost with deliveries under way, at any point; then the gateway comes back. */
static void vanish(size_t workers)
{
	for (int round = 0; round < 8; round++) {
		struct world *world = open_world(workers, NULL);
		open_gateways(world, 3);
		for (unsigned id = 1; id < 40; id++) {
			gateway_subscribe(&world->gateways[1], id, ask_random(world));
		}
		world_run(world, SECOND);
		if (round % 2) {
			stall(world, 1, true); /* with a full queue */
		}
		source_emit(world, 1000);
		world_run(world, 1 + (int64_t)test_random_below(&world->random, 40 * MS));
		gateway_close(&world->gateways[1]);
		stall(world, 1, false);
		gateway_subscribe(gateway_open(world), 0, all_users);
		world_settle(world);
		source_emit(world, 100);
		world_settle(world);
		check_others(world, 1);
		gateway_check_prefix(&world->gateways[1]);
		assert_int_equal(world_figure(world, METRIC_streams), 3);
		assert_int_equal(world_figure(world, METRIC_subscriptions_active), 3);
		assert_int_equal(world_figure(world, METRIC_queued_bytes), 0);
		world_close(world);
	}
}
WITH_WORKERS(vanish)

/* ---- overtaking ------------------------------------------------------------------------------ */

/* With much queued, the answer and the acknowledgement come ahead of all that has not left yet. */
static void answers_go_ahead(size_t workers)
{
	struct world *world = open_world(workers, NULL);
	open_gateways(world, 1);
	struct gateway *gateway = &world->gateways[0];
	grpc_call_pause(gateway->call, true);
	source_emit(world, 3000);
	world_run(world, 5 * SECOND);
	int64_t queued = world_figure(world, METRIC_deliveries_queued) -
		world_figure(world, METRIC_deliveries_sent);
	assert_true(queued > 500);
	gateway_subscribe(gateway, 1, (struct ask){ASK_ALL, "orders", 0, false});
	gateway_heartbeat(gateway);
	world_run(world, SECOND);
	assert_int_equal(gateway->accepted, 1);
	grpc_call_pause(gateway->call, false);
	while (gateway->acks == 0) {
		world_run(world, MS);
	}
	assert_int_equal(gateway->accepted, 3);
	source_emit(world, 100);
	world_settle(world);
	gateway_check(gateway, world->source.count);
	assert_true(gateway->answered_after[1] + (size_t)queued <= gateway->records_count);
	world_close(world);
}
WITH_WORKERS(answers_go_ahead)

/* ---- the end of the engine ------------------------------------------------------------------- */

static void drain(size_t workers)
{
	struct world *world = open_world(workers, NULL);
	open_gateways(world, 4);
	stall(world, 1, true);
	source_emit(world, 2000);
	while (world->sequence < 2000) {
		world_run(world, MS);
	}
	world_stop(world);
	world_run(world, 2 * SECOND);
	assert_false(world_has_stopped(world)); /* it waits for the one that is slow */
	stall(world, 1, false);
	world_run(world, SECOND);
	assert_true(world_has_stopped(world));
	for (unsigned i = 0; i < 4; i++) {
		assert_null(world->gateways[i].call);
		assert_int_equal(world->gateways[i].status, GRPC_UNAVAILABLE);
		assert_string_equal(world->gateways[i].text, "shutting down");
		gateway_check(&world->gateways[i], 2000);
	}
	world_close(world);
}
WITH_WORKERS(drain)

/* Who does not read is cut off when the time is over. */
static void drain_is_bounded(size_t workers)
{
	struct world *world = open_world(workers, NULL);
	open_gateways(world, 2);
	stall(world, 0, true);
	source_emit(world, 2000);
	world_settle(world);
	world_stop(world);
	world_run(world, 4900 * MS);
	assert_false(world_has_stopped(world));
	world_run(world, 200 * MS);
	assert_true(world_has_stopped(world));
	stall(world, 0, false);
	world_run(world, SECOND);
	assert_null(world->gateways[0].call);
	gateway_check_prefix(&world->gateways[0]);
	gateway_check(&world->gateways[1], 2000);
	world_close(world);
}
WITH_WORKERS(drain_is_bounded)

/* Stopped while a ring is full: what the rings hold is routed and delivered, no more is read. */
static void test_stop_while_held(void **state)
{
	(void)state;
	struct engine_options options = engine_options();
	options.ring_events = 16;
	struct world *world = world_open(&options);
	open_gateways(world, 2);
	sim_stall(world->workers[1].loop, true);
	source_emit(world, 1000);
	world_run(world, SECOND);
	assert_int_equal(world->sequence, 16);
	world_stop(world);
	world_run(world, SECOND);
	assert_false(world_has_stopped(world));
	sim_stall(world->workers[1].loop, false);
	world_run(world, 2 * SECOND);
	assert_true(world_has_stopped(world));
	assert_int_equal(world->sequence, 16);
	gateway_check(&world->gateways[0], 16);
	gateway_check(&world->gateways[1], 16);
	world_close(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hard_limit_1),
		cmocka_unit_test(hard_limit_2),
		cmocka_unit_test(soft_limit_1),
		cmocka_unit_test(soft_limit_2),
		cmocka_unit_test(slow_for_a_while_1),
		cmocka_unit_test(slow_for_a_while_2),
		cmocka_unit_test(vanish_1),
		cmocka_unit_test(vanish_2),
		cmocka_unit_test(answers_go_ahead_1),
		cmocka_unit_test(answers_go_ahead_2),
		cmocka_unit_test(drain_1),
		cmocka_unit_test(drain_2),
		cmocka_unit_test(drain_is_bounded_1),
		cmocka_unit_test(drain_is_bounded_2),
		cmocka_unit_test(test_stop_while_held),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
