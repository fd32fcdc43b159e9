/*
 * Expressions: what the parser makes, the checker completes, and compiler, printer and estimate
 * read. Macros are nodes of their own, not folds. `&&` and `||` in a row are one node of many
 * children, so that a chain is not deep.
 */
#ifndef CEL_EXPRESSION_PRIV_H
#define CEL_EXPRESSION_PRIV_H

#include "values_priv.h"

enum expr_kind {
	EXPR_LITERAL,  /* `literal` */
	EXPR_NAME,     /* `text`, not resolved yet, or known to nobody */
	EXPR_SLOT,     /* a variable of the scope: number `index`; `text` is its name */
	EXPR_LOCAL,    /* a variable of a macro: number `index` of the program's locals */
	EXPR_SELECT,   /* children[0].text, or .?text */
	EXPR_HAS,      /* has(children[0].text), or has(children[0].?text) */
	EXPR_INDEX,    /* children[0][children[1]], or [?...] */
	EXPR_OPERATOR, /* `operation` on the children */
	EXPR_CALL,     /* text(children...), or children[0].text(...) if is_member */
	EXPR_LIST,
	EXPR_MAP,     /* children: key, value, key, value, ... */
	EXPR_MESSAGE, /* text{...}: children are the values; we have no messages */
	EXPR_MACRO,   /* `macro`; children[0] is the range, behind it what `variables` are for */
};

enum expr_operator {
	OP_CONDITIONAL, /* three children */
	OP_OR,          /* two or more */
	OP_AND,
	OP_EQUAL,
	OP_NOT_EQUAL,
	OP_LESS,
	OP_LESS_OR_EQUAL,
	OP_GREATER,
	OP_GREATER_OR_EQUAL,
	OP_IN,
	OP_ADD,
	OP_SUBTRACT,
	OP_MULTIPLY,
	OP_DIVIDE,
	OP_MODULO,
	OP_NOT, /* one */
	OP_NEGATE,
};

/* With one variable (an item, or a key of a map), or two (index and item, or key and value). */
enum expr_macro {
	MACRO_ALL,                 /* range, condition */
	MACRO_EXISTS,              /* range, condition */
	MACRO_EXISTS_ONE,          /* range, condition */
	MACRO_FILTER,              /* range, condition: one variable */
	MACRO_MAP,                 /* range, result; or range, condition, result: one variable */
	MACRO_TRANSFORM_LIST,      /* range, result; or range, condition, result: two variables */
	MACRO_TRANSFORM_MAP,       /* range, value; or range, condition, value */
	MACRO_TRANSFORM_MAP_ENTRY, /* range, map of one entry; or with a condition before it */
	MACRO_SORT_BY,             /* range, key: one variable */
	MACRO_BIND,                /* value, body: one variable, evaluated when it is first used */
	MACRO_OPT_MAP,             /* optional, result: one variable */
	MACRO_OPT_FLAT_MAP,        /* optional, optional: one variable */
};

/* What the checker knows of a value. `parameters`: LIST, OPTIONAL: of the items; MAP: key, value.
 */
struct expr_type {
	enum cel_type type;
	const struct expr_type *parameters[2]; /* NULL: DYN */
};

/* At worst, in steps: see cost.c. */
struct expr_cost {
	uint64_t steps;  /* of evaluating it once */
	uint64_t shared; /* and once for all rounds of the innermost macro around it */
	uint64_t size;   /* of the value: bytes or items */
	int64_t owner;   /* whose part the value is */
};

struct cel_expression {
	enum expr_kind kind;
	uint8_t operation;     /* enum expr_operator */
	uint8_t macro;         /* enum expr_macro */
	bool is_member;        /* CALL: as a method */
	bool is_optional;      /* SELECT, HAS, INDEX: with `?` */
	bool is_optional_item; /* of a list, or the key of an entry: with `?` before it */
	bool is_rooted;        /* NAME, SLOT, a type: with a point before it, past locals */
	bool is_bare;          /* SELECT of the document, written as the field's name alone */
	uint8_t variables_count;
	uint32_t offset; /* in the source: where a problem of this node is shown; the operator's,
			    the name's, the bracket's place */
	uint32_t depth;  /* 1: no children */
	uint32_t loops;  /* macros over lists and maps, one within the other */
	uint32_t index;  /* SLOT, LOCAL; MACRO: of its first variable, the second is behind it */
	uint32_t children_count;
	struct cel_expression **children;
	struct bytes text;
	struct bytes variables[2];
	struct cel_value literal;

	/* The checker's. */
	const struct expr_type *type; /* never NULL once checked */
	struct expr_cost cost;

	/* Of the root, and of all nodes once checked. */
	struct bytes source;
	uint32_t nodes_count;
	uint32_t locals_count;
};

/* ---- names.c: from names to variables; the checker's first step ---- */

/*
 * Turns NAME and chains of SELECT over it into SLOT, LOCAL, a type's LITERAL or, with a document in
 * the scope, SELECT of a field, innermost variable first; calls such as math.greatest(x) into CALLs
 * without receiver. What nobody knows stays a NAME or a CALL: refused unless the scope is lenient.
 */
enum err cel_resolve(struct arena *arena, struct cel_expression *root,
	const struct cel_scope *scope, struct cel_problem *ret_problem) MUST_CHECK;

/* ---- types.c: types of all nodes; refuses what can never work ---- */

enum err cel_deduce(struct arena *arena, struct cel_expression *root, const struct cel_scope *scope,
	struct cel_problem *ret_problem) MUST_CHECK;

/* ---- cost.c ---- */

/* Fills the costs of a typed expression; they saturate at UINT64_MAX. ERR_MEMORY. */
enum err cel_cost(struct arena *arena, struct cel_expression *root) MUST_CHECK;

/* ---- problem.c ---- */

/* Fills line and column from the offset; returns the error that goes with the kind. */
enum err cel_refuse(struct cel_problem *problem, struct bytes source, uint32_t offset,
	enum cel_problem_kind kind, const char *format, ...) PRINTF_LIKE(5, 6);
void cel_advise(struct cel_problem *problem, const char *format, ...) PRINTF_LIKE(2, 3);

/* ---- print_expression.c and others ---- */

const char *cel_operator_text(enum expr_operator operation); /* "==", "&&", ... */
const char *cel_macro_name(enum expr_macro macro);           /* "all", ... */
bool cel_is_reserved(struct bytes name); /* cannot be a variable; `in`, `true` and such included */

#endif
