/* A Puller that dies, goes away or falls silent: resumed where it was, no loss, no repeats. */
#include "support.h"

static struct world *open_world(size_t workers)
{
	struct engine_options options = engine_options();
	options.workers = workers;
	struct world *world = world_open(&options);
	world->source.pad = 300;
	for (unsigned i = 0; i < 3; i++) {
		struct gateway *gateway = gateway_open(world);
		for (unsigned id = 0; id < 5; id++) {
			gateway_subscribe(gateway, id, ask_random(world));
		}
	}
	world_run(world, 2 * SECOND);
	return world;
}

static void check_all(struct world *world)
{
	for (size_t i = 0; i < world->gateways_count; i++) {
		gateway_check(&world->gateways[i], world->source.count);
	}
	assert_int_equal(world_marker(world), world->source.count);
}

/* Cut at any point of what is under way: what was not routed is asked for again. */
static void cut(size_t workers)
{
	struct world *world = open_world(workers);
	for (int i = 0; i < 12; i++) {
		source_emit(world, 2000);
		world_run(world, 1 + (int64_t)test_random_below(&world->random, 30 * MS));
		uint64_t marker = world_marker(world);
		assert_int_equal(world->source.conns_open, 1);
		source_cut(world);
		world_run(world, 40 * SECOND);
		assert_true(world->source.resumed_at >= marker);
		assert_int_equal(world->source.conns_open, 1);
	}
	world_settle(world);
	check_all(world);
	assert_int_equal(world->source.calls, 13);
	assert_int_equal(world_figure(world, METRIC_source_breaks), 12);
	assert_int_equal(world_figure(world, METRIC_events_received), world->source.count);
	world_close(world);
}
WITH_WORKERS(cut)

/* A worker stands still meanwhile, so the marker is far behind: repeats come, and are dropped. */
static void cut_while_a_worker_lags(size_t workers)
{
	struct world *world = open_world(workers);
	for (int i = 0; i < 5; i++) {
		sim_stall(world->workers[workers - 1].loop, true);
		source_emit(world, 500);
		world_run(world, SECOND);
		uint64_t marker = world_marker(world);
		assert_true(marker < world->sequence);
		source_cut(world);
		world_run(world, 40 * SECOND);
		/* before anything is routed it goes on behind the first, which the rings have */
		assert_int_equal(world->source.resumed_at, marker > 0 ? marker : 1);
		sim_stall(world->workers[workers - 1].loop, false);
		world_settle(world);
	}
	check_all(world);
	assert_true(world_figure(world, METRIC_events_repeated) > 0);
	assert_int_equal(world_figure(world, METRIC_events_received), world->source.count);
	world_close(world);
}
WITH_WORKERS(cut_while_a_worker_lags)

/* It is away for ten minutes; much has happened when it is back. */
static void away(size_t workers)
{
	struct world *world = open_world(workers);
	source_emit(world, 500);
	world_settle(world);
	source_listen(world, false);
	source_cut(world);
	world_run(world, 600 * SECOND);
	assert_int_equal(ingest_state(world->ingest), INGEST_WAITING);
	source_emit(world, 2000);
	source_listen(world, true);
	world_run(world, 31 * SECOND); /* the longest back-off */
	world_settle(world);
	assert_int_equal(world->source.resumed_at, 500);
	check_all(world);
	assert_int_equal(world_figure(world, METRIC_events_repeated), 0);
	world_close(world);
}
WITH_WORKERS(away)

/* It stands still without a word for longer than 90 seconds, and then goes on. */
static void silent(size_t workers)
{
	struct world *world = open_world(workers);
	source_emit(world, 500);
	world_settle(world);
	source_emit(world, 3000);
	world_run(world, 2 * MS);
	sim_stall(world->source.loop, true);
	world_run(world, 89 * SECOND);
	assert_int_equal(world_figure(world, METRIC_source_breaks), 0);
	world_run(world, 3 * SECOND);
	assert_int_equal(world_figure(world, METRIC_source_breaks), 1);
	world_run(world, 200 * SECOND);
	sim_stall(world->source.loop, false);
	world_run(world, 60 * SECOND);
	world_settle(world);
	check_all(world);
	assert_int_equal(world_figure(world, METRIC_events_received), world->source.count);
	world_close(world);
}
WITH_WORKERS(silent)

/* Cut while a ring is full, with an event set aside: it is not lost, and not had twice. */
static void cut_while_held(size_t workers)
{
	struct engine_options options = engine_options();
	options.workers = workers;
	options.ring_events = 16;
	struct world *world = world_open(&options);
	struct gateway *gateway = gateway_open(world);
	gateway_subscribe(gateway, 0, (struct ask){ASK_ALL, "users", 0, false});
	world_run(world, 2 * SECOND);
	for (int i = 0; i < 5; i++) {
		sim_stall(world->workers[workers - 1].loop, true);
		source_emit(world, 300);
		world_run(world, SECOND);
		assert_int_equal(ingest_state(world->ingest), INGEST_HELD);
		source_cut(world);
		world_run(world, test_random_below(&world->random, 2) ? 40 * SECOND : 5 * MS);
		sim_stall(world->workers[workers - 1].loop, false);
		world_run(world, 40 * SECOND);
		world_settle(world);
	}
	check_all(world);
	assert_int_equal(world_figure(world, METRIC_events_received), world->source.count);
	world_close(world);
}
WITH_WORKERS(cut_while_held)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_1),
		cmocka_unit_test(cut_2),
		cmocka_unit_test(cut_while_a_worker_lags_1),
		cmocka_unit_test(cut_while_a_worker_lags_2),
		cmocka_unit_test(away_1),
		cmocka_unit_test(away_2),
		cmocka_unit_test(silent_1),
		cmocka_unit_test(silent_2),
		cmocka_unit_test(cut_while_held_1),
		cmocka_unit_test(cut_while_held_2),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
