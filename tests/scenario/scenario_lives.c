/*
 * What schedules (scenario_resume.c) and thought have once shown to go wrong between two lives of
 * an engine, each as it was; accounts judge.
 */
#include "comeback.h"

struct scene {
	struct world *world;
	struct comeback gateway; /* gets everything */
	struct comeback other;   /* what is lost, and nothing of what comes first */
};

static const struct habits patient = {.waits = true, .beat_us = 300 * MS, .away_us = 100 * MS};

/* Changes that have happened when a scene has opened, and that are lost in it. */
enum { OPENING = 10, LOST = 20 };

/* Something that the opening does not match, but a change that is lost. */
static struct ask lost_alone(void)
{
	struct ask ask = {ASK_N_IS, "users", 0, false};
	for (; ask.value < 10; ask.value++) {
		bool is_early = false;
		bool is_lost = false;
		for (uint64_t number = 0; number < OPENING + LOST; number++) {
			*(number < OPENING ? &is_early : &is_lost) |= ask_matches(&ask, number);
		}
		if (is_lost && !is_early) {
			break;
		}
	}
	assert_true(ask.value < 10);
	return ask;
}

static void open_scene_of_transactions(
	struct scene *scene, const struct engine_options *options, uint64_t group)
{
	*scene = (struct scene){.world = world_open(options)};
	scene->world->source.begins_now = true;
	scene->world->source.group = group;
	comeback_open(&scene->gateway, scene->world, &patient, "gateway");
	comeback_subscribe(&scene->gateway, (struct ask){ASK_ALL, "users", 0, false});
	comeback_subscribe(&scene->gateway, (struct ask){ASK_ALL, "orders", 0, false});
	comeback_open(&scene->other, scene->world, &patient, "other");
	comeback_subscribe(&scene->other, lost_alone());
	world_run(scene->world, SECOND);
	source_emit(scene->world, OPENING);
	world_run(scene->world, 3 * SECOND); /* delivered, and the state is on disk */
	assert_int_equal(scene->gateway.account.deliveries, OPENING);
}

static void open_scene(struct scene *scene, const struct engine_options *options)
{
	open_scene_of_transactions(scene, options, 1);
}

static struct engine_options with_state(void)
{
	struct engine_options options = engine_options();
	options.has_state = true;
	options.lease_ms = 10000;
	options.resume_wait_us = 10 * SECOND;
	return options;
}

static void end_scene(struct scene *scene)
{
	comebacks_rest(&scene->gateway, 1);
	comebacks_rest(&scene->other, 1);
	comeback_free(&scene->gateway);
	comeback_free(&scene->other);
	world_close(scene->world);
}

/* The gateways drop and do not come back until they are `present` again. */
static void drop(struct scene *scene)
{
	comeback_cut(&scene->gateway, false);
	comeback_cut(&scene->other, false);
	world_run(scene->world, MS);
	sim_stall(scene->gateway.loop, true);
	sim_stall(scene->other.loop, true);
}

static void present(struct scene *scene)
{
	sim_stall(scene->gateway.loop, false);
	sim_stall(scene->other.loop, false);
}

static void puller(struct scene *scene, bool is_there)
{
	source_listen(scene->world, is_there);
	if (!is_there) {
		sim_kill(scene->world->source.loop, false);
	}
}

/* They happen, and the Puller has forgotten them at once; it says so when asked, or not. */
static void lose(struct scene *scene, bool says_so)
{
	struct source *source = &scene->world->source;
	source->lost_from = source->count;
	source->count += LOST;
	source->lost_until = source->count;
	source->kept_from = says_so ? source->count : 0;
}

static void restart(struct scene *scene)
{
	world_kill(scene->world, true);
	world_start(scene->world);
}

/*
 * Changes are lost and their marker is refused, but before anything comes behind that, the engine
 * is killed: the next life tells of what is missing, to whom was away meanwhile too.
 */
static void test_killed_behind_a_refusal(void **state)
{
	(void)state;
	struct scene scene;
	const struct engine_options options = with_state();
	open_scene(&scene, &options);
	drop(&scene);
	puller(&scene, false);
	lose(&scene, true);
	puller(&scene, true);
	while (world_figure(scene.world, METRIC_source_markers_refused) == 0) {
		world_run(scene.world, MS);
	}
	puller(&scene, false);
	world_run(scene.world, 3 * SECOND);
	restart(&scene);
	puller(&scene, true);
	present(&scene);
	world_run(scene.world, 5 * SECOND);
	source_emit(scene.world, 5);
	end_scene(&scene);
}

/*
 * Only heartbeats have come behind a break when the engine is killed: what was routed last is still
 * the change ahead of it.
 */
static void test_killed_behind_a_break(void **state)
{
	(void)state;
	struct scene scene;
	struct engine_options options = with_state();
	options.retention_us = 20 * SECOND;
	open_scene(&scene, &options);
	puller(&scene, false);
	lose(&scene, false);
	world_run(scene.world, 30 * SECOND);
	puller(&scene, true);
	world_run(scene.world, 60 * SECOND);
	source_beat(scene.world);
	world_run(scene.world, 3 * SECOND);
	restart(&scene);
	end_scene(&scene);
}

/* A position of no change, from the beginning of a life, is none of a break's. */
static void test_no_change_ahead_of_a_break(void **state)
{
	(void)state;
	struct scene scene;
	const struct engine_options options = with_state();
	open_scene(&scene, &options);
	drop(&scene);
	puller(&scene, false);
	lose(&scene, true);
	puller(&scene, true);
	world_run(scene.world, 10 * SECOND);
	source_beat(scene.world);
	world_run(scene.world, 3 * SECOND);
	restart(&scene);
	world_run(scene.world, SECOND);
	present(&scene);
	end_scene(&scene);
}

/* There was a break, and changes behind it: who was away then is told in the next life too. */
static void test_history_across_a_break(void **state)
{
	(void)state;
	struct scene scene;
	struct engine_options options = with_state();
	options.retention_us = 20 * SECOND;
	open_scene(&scene, &options);
	drop(&scene);
	puller(&scene, false);
	lose(&scene, false);
	world_run(scene.world, 30 * SECOND);
	puller(&scene, true);
	world_run(scene.world, 60 * SECOND);
	source_emit(scene.world, 5);
	world_run(scene.world, 3 * SECOND);
	restart(&scene);
	present(&scene);
	world_run(scene.world, 15 * SECOND);
	end_scene(&scene);
}

/* A life in which nothing happens leaves what it was left. */
static void test_a_life_without_changes(void **state)
{
	(void)state;
	struct scene scene;
	struct engine_options options = with_state();
	options.history.age_us = SECOND; /* nothing is kept, so nothing comes again */
	open_scene(&scene, &options);
	drop(&scene);
	world_run(scene.world, 5 * SECOND);
	for (int i = 0; i < 3; i++) {
		restart(&scene);
		world_run(scene.world, SECOND);
		source_beat(scene.world);
		world_run(scene.world, 3 * SECOND);
	}
	present(&scene);
	world_run(scene.world, 20 * SECOND);
	assert_int_equal(scene.gateway.account.gaps, 0);
	end_scene(&scene);
}

/* Who has only what is acknowledged in such lives is told of nothing missing either. */
static void test_acknowledged_without_changes(void **state)
{
	(void)state;
	for (int keeps = 0; keeps < 2; keeps++) {
		struct scene scene;
		struct engine_options options = with_state();
		if (!keeps) {
			options.history.age_us = SECOND;
		}
		open_scene(&scene, &options);
		scene.gateway.habits.trusts_acks = true;
		world_run(scene.world, 5 * SECOND);
		for (int i = 0; i < 3; i++) {
			restart(&scene);
			world_run(scene.world, 2 * SECOND);
			source_beat(scene.world);
			world_run(scene.world, 15 * SECOND);
		}
		assert_int_equal(scene.gateway.account.gaps, 0);
		end_scene(&scene);
	}
}

/*
 * A life begins at the newest change that the one before has routed, but the Puller does not take
 * the marker and is asked for all that it keeps: that has been routed, and does not come again.
 */
static void test_refused_at_the_marker(void **state)
{
	(void)state;
	struct scene scene;
	struct engine_options options = with_state();
	options.history.age_us = SECOND; /* nothing is kept, so nothing comes again */
	open_scene(&scene, &options);
	world_run(scene.world, 5 * SECOND);
	scene.world->source.refuses = 1;
	restart(&scene);
	world_run(scene.world, 20 * SECOND);
	source_emit(scene.world, 5);
	world_run(scene.world, 5 * SECOND);
	assert_int_equal(scene.gateway.account.deliveries, OPENING + 5);
	assert_int_equal(scene.gateway.account.gaps, 1);
	end_scene(&scene);
}

/*
 * A life begins in the midst of a transaction, the marker behind which the Puller refuses then: of
 * all that it keeps, the beginning of that transaction is not new.
 */
static void test_refused_in_a_transaction(void **state)
{
	(void)state;
	struct scene scene;
	struct engine_options options = with_state();
	options.history.events = 1;
	open_scene_of_transactions(&scene, &options, OPENING / 2);
	restart(&scene);
	world_run(scene.world, 3 * SECOND);
	scene.world->source.refuses = 1;
	source_cut(scene.world);
	world_run(scene.world, 20 * SECOND);
	source_emit(scene.world, OPENING / 2);
	world_run(scene.world, 5 * SECOND);
	assert_int_equal(scene.gateway.account.deliveries, OPENING + OPENING / 2);
	assert_int_equal(scene.gateway.account.gaps, 1);
	end_scene(&scene);
}

/*
 * All that the Puller keeps was asked for and has been routed before, and then it forgets something
 * while nobody follows it. It is asked for all once more, which it cannot refuse.
 */
static void test_forgotten_behind_everything(void **state)
{
	(void)state;
	struct scene scene;
	const struct engine_options options = with_state();
	open_scene(&scene, &options);
	scene.world->source.refuses = 1;
	source_cut(scene.world);
	world_run(scene.world, 10 * SECOND);
	puller(&scene, false);
	lose(&scene, true);
	puller(&scene, true);
	world_run(scene.world, 20 * SECOND);
	end_scene(&scene);
}

/* What was too old has been told; the place behind it is found in the next life. */
static void test_too_old_up_to_the_newest(void **state)
{
	(void)state;
	struct scene scene;
	struct engine_options options = with_state();
	options.history.age_us = 5 * SECOND;
	open_scene(&scene, &options);
	scene.gateway.habits.never_registers = true;
	drop(&scene);
	source_emit(scene.world, 3);
	world_run(scene.world, SECOND);
	present(&scene);
	world_run(scene.world, 15 * SECOND);
	assert_int_equal(scene.gateway.account.gaps, 1);
	restart(&scene);
	world_run(scene.world, 25 * SECOND);
	assert_int_equal(scene.gateway.account.gaps, 1);
	end_scene(&scene);
}

/* A life that can route nothing follows the source all the same. */
static void test_held_until_the_end(void **state)
{
	(void)state;
	struct engine_options options = with_state();
	options.ring_events = 16;
	options.retention_us = 100 * SECOND;
	struct world *world = world_open(&options);
	world_run(world, SECOND);
	for (size_t i = 0; i < options.workers; i++) {
		world_stall(world, i, true);
	}
	source_emit(world, 100);
	world_run(world, 150 * SECOND);
	for (size_t i = 0; i < options.workers; i++) {
		world_stall(world, i, false);
	}
	world_stop(world);
	while (!world_has_stopped(world)) {
		world_run(world, 100 * MS);
	}
	world_bury(world);
	world_start(world);
	world_settle(world);
	assert_int_equal(world_figure(world, METRIC_source_gaps), 0);
	world_close(world);
}

/* A Puller that is away for longer than it keeps changes, over two lives of the engine. */
static void test_away_over_two_lives(void **state)
{
	(void)state;
	struct scene scene;
	struct engine_options options = with_state();
	options.retention_us = 100 * SECOND;
	open_scene(&scene, &options);
	puller(&scene, false);
	lose(&scene, false);
	world_run(scene.world, 80 * SECOND);
	restart(&scene);
	world_run(scene.world, 60 * SECOND);
	puller(&scene, true);
	world_run(scene.world, 60 * SECOND);
	end_scene(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed_behind_a_refusal),
		cmocka_unit_test(test_killed_behind_a_break),
		cmocka_unit_test(test_no_change_ahead_of_a_break),
		cmocka_unit_test(test_history_across_a_break),
		cmocka_unit_test(test_a_life_without_changes),
		cmocka_unit_test(test_acknowledged_without_changes),
		cmocka_unit_test(test_refused_at_the_marker),
		cmocka_unit_test(test_refused_in_a_transaction),
		cmocka_unit_test(test_forgotten_behind_everything),
		cmocka_unit_test(test_too_old_up_to_the_newest),
		cmocka_unit_test(test_held_until_the_end),
		cmocka_unit_test(test_away_over_two_lives),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
