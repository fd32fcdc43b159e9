/* What a test's expressions are bound by: generous, so that none of it is met by accident. */
#ifndef TEST_MATCH_LIMITS_H
#define TEST_MATCH_LIMITS_H

#include "match.h"

static const struct match_limits test_match_limits = {
	.source_bytes = 16384,
	.depth = 100,
	.nodes = 4096,
	.macros = 4,
	.literal = 65536,
	.regex_bytes = 262144,
	.memory_bytes = 1 << 20,
	.failures = 100,
	.residuals = 100000,
	.subscription_bytes = SIZE_MAX,
	.cost = 10000000,
	.steps = 200000,
};

#endif
