/*
 * A world for tests of loop: one loop of either kind, so that each test runs on real sockets and in
 * virtual time. What a test hands to the loop must be closed or freed before the test returns:
 * freeing the world still calls `closed`.
 */
#ifndef TEST_LOOP_WORLD_H
#define TEST_LOOP_WORLD_H

#include "loop.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct world {
	bool real;
	struct sim *sim;
	struct loop *loop;
	struct test_random random;
	bool done;
};

static inline void world_open(struct world *world, bool real)
{
	*world = (struct world){.real = real, .random = test_random_start("loop")};
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

static inline void world_done(void *ctx)
{
	struct world *world = ctx;
	world->done = true;
	if (world->real) {
		loop_stop(world->loop);
	}
}

static inline void world_run(struct world *world)
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

static inline void world_close(struct world *world)
{
	loop_free(world->loop);
	sim_free(world->sim);
}

static inline void both(void (*test)(struct world *world))
{
	for (int real = 0; real < 2; real++) {
		struct world world;
		world_open(&world, real == 1);
		test(&world);
		world_close(&world);
	}
}

/* Runs all that is under way: a bell behind which nothing short is left. */
static inline void settle(struct world *world)
{
	struct loop_timer *timer = NULL;
	assert_int_equal(loop_timer_new(world->loop, world_done, world, &timer), OK);
	loop_timer_start(timer, 20000);
	world_run(world);
	loop_timer_free(timer);
}

#endif
