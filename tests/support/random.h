/*
 * Random input for tests: a splitmix64 generator whose seed is printed, and which TEST_SEED
 * overrides, so that a failure can be run again.
 */
#ifndef TEST_RANDOM_H
#define TEST_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct test_random {
	uint64_t state;
};

/* Call once in a test that uses random input. */
static inline struct test_random test_random_start(const char *what)
{
	const char *given = getenv("TEST_SEED");
	struct timespec now = {0};
	(void)clock_gettime(CLOCK_REALTIME, &now);
	uint64_t seed = given ? strtoull(given, NULL, 0)
			      : (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
	(void)fprintf(stderr, "%s: TEST_SEED=%llu\n", what, (unsigned long long)seed);
	return (struct test_random){seed};
}

static inline uint64_t test_random_next(struct test_random *random)
{
	random->state += 0x9E3779B97F4A7C15U;
	uint64_t mixed = random->state;
	mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9U;
	mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
	return mixed ^ (mixed >> 31);
}

/* 0 .. bound - 1; bound > 0 */
static inline uint64_t test_random_below(struct test_random *random, uint64_t bound)
{
	return test_random_next(random) % bound;
}

#endif
