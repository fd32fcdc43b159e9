/*
 * What is done with a parsed expression before it is compiled: names, types, the estimate. An
 * expression is checked once.
 */
#include "expression_priv.h"

#include <inttypes.h>

static enum err check_cost(const struct cel_expression *expression, const struct cel_limits *limits,
	struct cel_problem *ret_problem)
{
	uint64_t cost = cel_estimate(expression);
	if (cost <= limits->cost) {
		return OK;
	}
	enum err err = cel_refuse(ret_problem, expression->source, 0, CEL_TOO_DEAR,
		"this could take %" PRIu64 " steps on a large document, at most %" PRIu64
		" are allowed",
		cost, limits->cost);
	cel_advise(ret_problem,
		"avoid a macro within a macro over the same list, and patterns that are not "
		"constant");
	return err;
}

enum err cel_check(struct arena *arena, struct cel_expression *expression,
	const struct cel_scope *scope, const struct cel_limits *limits,
	struct cel_problem *ret_problem)
{
	enum err err = cel_resolve(arena, expression, scope, ret_problem);
	if (err == OK) {
		err = cel_deduce(arena, expression, scope, ret_problem);
	}
	if (err == OK) {
		err = cel_cost(arena, expression);
	}
	return err == OK ? check_cost(expression, limits, ret_problem) : err;
}
