/* Who gets what, in which order, whatever the delays, the pieces and the workers. */
#include "support.h"

static void emit_in_bursts(struct world *world, unsigned bursts)
{
	for (unsigned i = 0; i < bursts; i++) {
		source_emit(world, test_random_below(&world->random, 100));
		world_run(world, 1 + (int64_t)test_random_below(&world->random, 5 * MS));
	}
}

/* Four gateways with what chance asks for, answered before the first change. */
static void open_gateways(struct world *world)
{
	for (unsigned i = 0; i < 4; i++) {
		struct gateway *gateway = gateway_open(world);
		for (unsigned id = 0; id < 8; id++) {
			gateway_subscribe(gateway, id, ask_random(world));
		}
	}
	world_run(world, SECOND);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(world->gateways[i].accepted, 0xff);
	}
}

static void check_gateways(struct world *world)
{
	size_t records = 0;
	for (size_t i = 0; i < world->gateways_count; i++) {
		gateway_check(&world->gateways[i], world->source.count);
		records += world->gateways[i].records_count;
	}
	assert_int_equal(world_figure(world, METRIC_deliveries_sent), records);
}

static void exactly_what_the_model_says(size_t workers)
{
	for (int round = 0; round < 5; round++) {
		struct engine_options options = engine_options();
		options.workers = workers;
		options.ring_events = round % 2 ? 16 : 4096;
		struct world *world = world_open(&options);
		world->source.pad = (size_t)test_random_below(&world->random, 2000);
		open_gateways(world);
		emit_in_bursts(world, 30);
		world_settle(world);
		check_gateways(world);
		assert_int_equal(world_marker(world), world->source.count);
		world_close(world);
	}
}
WITH_WORKERS(exactly_what_the_model_says)

/* streamer_push in the caller's turn: a full ring says so, and takes nothing. */
static void pushed_changes(size_t workers)
{
	struct engine_options options = engine_options();
	options.workers = workers;
	options.source = INGEST_PUSH;
	options.ring_events = 32;
	struct world *world = world_open(&options);
	unsigned full = 0;
	open_gateways(world);
	while (world->source.count < 3000) {
		enum err err = world_push(world);
		if (err == ERR_FULL) {
			full++;
			world_run(world, MS);
		} else {
			assert_int_equal(err, OK);
		}
	}
	assert_true(full > 0);
	world_settle(world);
	check_gateways(world);
	world_close(world);
}
WITH_WORKERS(pushed_changes)

/*
 * Nobody is interested when ingest makes the events, so it does not read them; they are in the
 * rings when the subscription comes. It must get all of them from some point on.
 */
static void interest_comes_later(size_t workers)
{
	unsigned late = 0;
	for (int round = 0; round < 10; round++) {
		struct engine_options options = engine_options();
		options.workers = workers;
		struct world *world = world_open(&options);
		struct gateway *gateway = gateway_open(world);
		world_run(world, SECOND);
		emit_in_bursts(world, 5);
		for (size_t i = 0; i < workers; i++) {
			sim_stall(world->workers[i].loop, true);
		}
		gateway_subscribe(gateway, 0, (struct ask){ASK_ALL, "users", 0, false});
		gateway_subscribe(gateway, 1, (struct ask){ASK_N_ABOVE, "orders", 4, false});
		source_emit(world, 600);
		world_run(world, SECOND);
		uint64_t before = world->source.count;
		assert_int_equal(world->sequence, before);
		assert_int_equal(gateway->accepted, 0);
		for (size_t i = 0; i < workers; i++) {
			sim_stall(world->workers[i].loop, false);
		}
		world_run(world, SECOND);
		assert_int_equal(gateway->accepted, 3);
		emit_in_bursts(world, 5);
		world_settle(world);
		gateway_check(gateway, world->source.count);
		late += gateway->from[0] < before; /* events that ingest had not read */
		world_close(world);
	}
	assert_true(late > 0);
}
WITH_WORKERS(interest_comes_later)

/* Gateways come, ask, take it back and go, while changes flow. */
static void churn_step(struct world *world)
{
	struct gateway *gateway =
		&world->gateways[test_random_below(&world->random, world->gateways_count)];
	unsigned id = (unsigned)test_random_below(&world->random, IDS_MAX);
	if (!gateway->call) {
		return;
	}
	if (!gateway->asks[id].collection) {
		gateway_subscribe(gateway, id, ask_random(world));
	} else if (gateway->accepted >> id & 1 && gateway->until[id] == UINT64_MAX) {
		gateway_unsubscribe(gateway, id);
	}
}

static void churn(size_t workers)
{
	struct engine_options options = engine_options();
	options.workers = workers;
	options.ring_events = 64;
	struct world *world = world_open(&options);
	for (int step = 0; step < 600; step++) {
		if (step % 100 == 0) {
			(void)gateway_open(world);
		}
		churn_step(world);
		source_emit(world, test_random_below(&world->random, 20));
		world_run(world, 1 + (int64_t)test_random_below(&world->random, 3 * MS));
		if (step == 350) {
			gateway_close(&world->gateways[0]);
		}
	}
	world_settle(world);
	for (size_t i = 0; i < world->gateways_count; i++) {
		struct gateway *gateway = &world->gateways[i];
		assert_int_equal(gateway->refused, 0);
		if (i == 0) {
			gateway_check_prefix(gateway);
		} else {
			gateway_check(gateway, world->source.count);
			assert_true(gateway->records_count > 0);
		}
	}
	world_close(world);
}
WITH_WORKERS(churn)

/* What is behind an unsubscribe that has been carried out does not come. */
static void unsubscribe_is_final(size_t workers)
{
	struct engine_options options = engine_options();
	options.workers = workers;
	struct world *world = world_open(&options);
	struct gateway *gateway = gateway_open(world);
	gateway_subscribe(gateway, 0, (struct ask){ASK_ALL, "users", 0, false});
	gateway_subscribe(gateway, 1, (struct ask){ASK_ALL, "orders", 0, false});
	world_run(world, SECOND);
	emit_in_bursts(world, 5);
	gateway_unsubscribe(gateway, 0);
	gateway_unsubscribe(gateway, 0); /* unknown by then: no answer, no harm */
	world_settle(world);
	uint64_t before = world->source.count;
	emit_in_bursts(world, 5);
	world_settle(world);
	gateway_check(gateway, world->source.count);
	assert_true(gateway->until[0] <= before);
	assert_int_equal(world_figure(world, METRIC_unsubscribes), 1);
	world_close(world);
}
WITH_WORKERS(unsubscribe_is_final)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exactly_what_the_model_says_1),
		cmocka_unit_test(exactly_what_the_model_says_2),
		cmocka_unit_test(pushed_changes_1),
		cmocka_unit_test(pushed_changes_2),
		cmocka_unit_test(interest_comes_later_1),
		cmocka_unit_test(interest_comes_later_2),
		cmocka_unit_test(churn_1),
		cmocka_unit_test(churn_2),
		cmocka_unit_test(unsubscribe_is_final_1),
		cmocka_unit_test(unsubscribe_is_final_2),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
