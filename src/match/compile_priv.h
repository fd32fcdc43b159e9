/* From a subscription to one canonical tree. */
#ifndef MATCH_COMPILE_PRIV_H
#define MATCH_COMPILE_PRIV_H

#include "condition.h"
#include "match.h"

/* ---- filters.c, expression.c ---- */

struct match_compiler {
	struct cel_limits limits;
	struct cel_regexes *regexes;
	struct metrics *metrics; /* may be NULL */
};

struct match_compiled {
	const struct cel_node *tree;       /* canonical; its programs are those of `expression` */
	const struct cel_node *expression; /* to be released; NULL: there is none */
};

/* A subscription's filters and expression as one tree, in `arena`. As match_query_get. */
enum err match_compile(struct arena *arena, const struct match_compiler *compiler,
	const struct model_subscription *subscription, struct match_refusal *ret_refusal,
	struct match_compiled *ret_compiled) MUST_CHECK;

/* The tree of an expression, to be released. */
enum err match_compile_expression(struct arena *arena, const struct match_compiler *compiler,
	struct bytes source, struct match_refusal *ret_refusal,
	const struct cel_node **ret_tree) MUST_CHECK;

#endif
