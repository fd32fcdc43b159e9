/*
 * Programs: an expression's nodes as a tree of small instructions, all in the program's own arena.
 * Names are numbers, functions are rows of the list, constants are values; nothing is looked up by
 * name but fields of maps.
 */
#ifndef CEL_PROGRAM_PRIV_H
#define CEL_PROGRAM_PRIV_H

#include "function_priv.h"

#include "expression_priv.h"

enum code_kind {
	CODE_CONSTANT, /* `constant`; an error of a name that nobody knows is one too */
	CODE_SLOT,     /* number `index` */
	CODE_FIELD,    /* the slot's member `names[0]`, of that `names[1]`, ... */
	CODE_LOCAL,    /* number `index` */
	CODE_SELECT,   /* children[0].names[0] */
	CODE_HAS,      /* the same, asked for */
	CODE_INDEX,    /* children[0][children[1]] */
	CODE_AND,
	CODE_OR,
	CODE_NOT,
	CODE_CONDITIONAL,
	CODE_EQUAL,
	CODE_NOT_EQUAL,
	CODE_ORDER,      /* `detail`: OP_LESS to OP_GREATER_OR_EQUAL */
	CODE_ARITHMETIC, /* `detail`: OP_ADD to OP_MODULO */
	CODE_IN,
	CODE_NEGATE,
	CODE_CALL,
	CODE_LIST,
	CODE_MAP,
	CODE_MACRO, /* `detail`: enum expr_macro */
};

struct code_call {
	const struct cel_function
		*functions; /* overloads that take so many arguments, and others */
	size_t count;
	const struct cel_regex *regex; /* of a constant pattern; else NULL */
};

struct code {
	uint8_t kind;
	uint8_t detail;
	bool is_optional;        /* SELECT, INDEX: with `?` */
	bool is_optional_item;   /* of a LIST, or the key of a MAP */
	uint8_t variables_count; /* MACRO */
	bool is_eager;           /* a binding: evaluated before its body */
	bool is_lazy;            /* CALL: of an optional with a value the rest is not evaluated */
	uint32_t index;          /* SLOT, FIELD, LOCAL; MACRO: its first variable */
	uint32_t children_count;
	uint32_t names_count;
	uint32_t depth;              /* of its evaluation, in instructions; 0: no children */
	const struct code *children; /* side by side */
	union {
		struct cel_value constant;
		const struct bytes *names;
		struct code_call call;
	} as;
};

struct cel_program {
	size_t holders;
	struct arena arena;
	struct cel_regexes *regexes;
	const struct cel_regex **kept; /* patterns that it holds */
	size_t kept_count, kept_capacity;
	uint32_t locals_count;
	uint32_t regex_bytes;
	uint32_t depth_max;
	uint64_t fold_steps; /* left for folding constants */
	size_t fold_bytes;
	struct code code;
};

/* ---- run.c, run_macro.c ---- */

/* The value of a part of the program. */
struct cel_value cel_evaluate_code(struct cel_run *run, const struct code *code);
struct cel_value cel_evaluate_macro(struct cel_run *run, const struct code *code);

/* Whether a value may be the key of a map that an expression makes. */
bool cel_may_be_key(struct cel_value key);

/* A local that has not been evaluated yet: by which code it will be. */
static inline struct cel_value cel_unevaluated(const struct code *code)
{
	return (struct cel_value){.type = CEL_DYN, .as.text = (const char *)code};
}

#endif
