/* What the deduction of types shares with that of calls. */
#ifndef CEL_TYPES_PRIV_H
#define CEL_TYPES_PRIV_H

#include "function_priv.h"

#include "expression_priv.h"

struct deducer {
	struct arena *arena;
	const struct cel_scope *scope;
	const struct cel_expression *root;
	struct cel_problem *problem;
	const struct expr_type **locals; /* by the number of a macro's variable */
};

/* Types without parameters, by enum cel_type. */
extern const struct expr_type cel_simple_types[];

/* A type of one or two parameters; NULL on lack of memory. */
const struct expr_type *cel_make_type(struct deducer *deducer, enum cel_type type,
	const struct expr_type *first, const struct expr_type *second);

/* What is true of both; `a` may be NULL: nothing is known yet. */
const struct expr_type *cel_join_types(const struct expr_type *a, const struct expr_type *b);

/* ---- overloads.c ---- */

enum err cel_deduce_call(struct deducer *deducer, const struct cel_expression *call,
	const struct expr_type **ret_type) MUST_CHECK;

/* ---- small questions ---- */

static inline const struct expr_type *parameter_of(const struct expr_type *type, int number)
{
	return type->parameters[number] ? type->parameters[number] : &cel_simple_types[CEL_DYN];
}

static inline bool may_be(const struct expr_type *type, enum cel_type wanted)
{
	return type->type == wanted || type->type == CEL_DYN;
}

static inline bool is_number(enum cel_type type)
{
	return type == CEL_INT || type == CEL_UINT || type == CEL_DOUBLE;
}

#endif
