/* What is too much waits at its source: rings, ingest, HTTP/2, the Puller; and nothing is lost. */
#include "support.h"

static const struct ask all_users = {ASK_ALL, "users", 0, false};

/* Two workers with a gateway each; changes so large that windows fill up. */
static struct world *open_world(size_t ring_events)
{
	struct engine_options options = engine_options();
	options.ring_events = ring_events;
	struct world *world = world_open(&options);
	world->source.pad = 1000;
	for (unsigned i = 0; i < 2; i++) {
		gateway_subscribe(gateway_open(world), 0, all_users);
		world_run(world, SECOND); /* the first is worker 0's */
	}
	return world;
}

static void stall(struct world *world, size_t i, bool stalled)
{
	sim_stall(world->workers[i].loop, stalled);
}

static void check_all(struct world *world)
{
	for (size_t i = 0; i < world->gateways_count; i++) {
		gateway_check(&world->gateways[i], world->source.count);
	}
	assert_int_equal(world_marker(world), world->source.count);
}

/* One worker stands still for longer than a silent Puller lives. */
static void test_a_full_ring_holds_the_puller(void **state)
{
	(void)state;
	struct world *world = open_world(16);
	source_emit(world, 100);
	world_settle(world);
	stall(world, 1, true);
	source_emit(world, 20000);
	world_run(world, 10 * SECOND);
	assert_int_equal(world->sequence, 116); /* the ring, and no more */
	assert_int_equal(worker_routed(world->workers[0].worker), 116);
	assert_int_equal(worker_routed(world->workers[1].worker), 100);
	assert_int_equal(world_marker(world), 100);
	assert_int_equal(ingest_state(world->ingest), INGEST_HELD);
	uint64_t sent = world->source.call->next;
	assert_in_range(sent, 117, 10000); /* its window is full: the Puller has to wait */

	world_run(world, 300 * SECOND);
	assert_int_equal(world->source.call->next, sent);
	assert_int_equal(world->sequence, 116);
	assert_int_equal(ingest_state(world->ingest), INGEST_HELD);

	stall(world, 1, false);
	world_settle(world);
	check_all(world);
	assert_int_equal(world->source.calls, 1);
	assert_int_equal(world_figure(world, METRIC_source_breaks), 0);
	assert_int_equal(world_figure(world, METRIC_events_repeated), 0);
	assert_true(world_figure(world, METRIC_source_holds) > 0);
	world_close(world);
}

/* After a hold the silence is counted anew, and counted: a Puller that has died is noticed. */
static void test_the_dead_timer_goes_on(void **state)
{
	(void)state;
	struct world *world = open_world(16);
	stall(world, 1, true);
	source_emit(world, 5000);
	world_run(world, 300 * SECOND);
	assert_int_equal(ingest_state(world->ingest), INGEST_HELD);
	sim_stall(world->source.loop, true);
	stall(world, 1, false);
	world_run(world, 80 * SECOND);
	assert_int_equal(ingest_state(world->ingest), INGEST_LIVE);
	assert_true(world->sequence < 5000);
	world_run(world, 20 * SECOND);
	assert_int_equal(world_figure(world, METRIC_source_breaks), 1);
	sim_stall(world->source.loop, false);
	world_settle(world);
	check_all(world);
	world_close(world);
}

/* A worker that lags holds the marker, but not the other worker while its ring has room. */
static void test_a_worker_that_lags(void **state)
{
	(void)state;
	struct world *world = open_world(1024);
	stall(world, 0, true);
	source_emit(world, 1000);
	world_run(world, 5 * SECOND);
	assert_int_equal(worker_routed(world->workers[1].worker), 1000);
	gateway_check(&world->gateways[1], 1000);
	assert_int_equal(world->gateways[0].records_count, 0);
	assert_int_equal(world_marker(world), 0);
	stall(world, 0, false);
	world_settle(world);
	check_all(world);
	world_close(world);
}

/* Both stand still now and then, for times of every length, with a ring that is often full. */
static void test_workers_that_stumble(void **state)
{
	(void)state;
	struct world *world = open_world(64);
	for (int step = 0; step < 400; step++) {
		stall(world, test_random_below(&world->random, 2),
			test_random_below(&world->random, 2));
		source_emit(world, test_random_below(&world->random, 40));
		world_run(world, 1 + (int64_t)test_random_below(&world->random, 20 * MS));
	}
	stall(world, 0, false);
	stall(world, 1, false);
	world_settle(world);
	check_all(world);
	assert_true(world_figure(world, METRIC_source_holds) > 0);
	assert_int_equal(world_figure(world, METRIC_events_repeated), 0);
	world_close(world);
}

/* A push engine says FULL while a worker stands still, and goes on as soon as it goes on. */
static void test_push_is_held(void **state)
{
	(void)state;
	struct engine_options options = engine_options();
	options.source = INGEST_PUSH;
	options.ring_events = 16;
	struct world *world = world_open(&options);
	struct gateway *gateway = gateway_open(world);
	gateway_subscribe(gateway, 0, all_users);
	world_run(world, SECOND);
	stall(world, 1, true);
	while (world_push(world) == OK) {
		world_run(world, MS);
	}
	assert_int_equal(world->source.count, 16);
	world_run(world, 10 * SECOND);
	assert_int_equal(world_push(world), ERR_FULL);
	stall(world, 1, false);
	world_run(world, SECOND);
	assert_int_equal(world_push(world), OK);
	world_settle(world);
	gateway_check(gateway, 17);
	world_close(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_full_ring_holds_the_puller),
		cmocka_unit_test(test_the_dead_timer_goes_on),
		cmocka_unit_test(test_a_worker_that_lags),
		cmocka_unit_test(test_workers_that_stumble),
		cmocka_unit_test(test_push_is_held),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
