/*
 * Conditions: trees of comparisons of a field with a constant, joined by AND, OR and NOT, and of
 * programs for whatever else an expression says. Trees can be indexed, compared and stored;
 * programs can only be run. They are a part of the module cel, see cel.h: immutable once built, and
 * living in the arena that they were built in.
 */
#ifndef CEL_CONDITION_H
#define CEL_CONDITION_H

#include "cel.h"

struct cel_node;

/*
 * The tree of a checked expression of type bool (or dyn): what can be a comparison is one, the rest
 * become programs. The tree holds a reference on each until cel_release. It is at least one level
 * less deep than it might be, so that it can be joined with others.
 */
enum err cel_condition(struct arena *arena, const struct cel_expression *expression,
	struct cel_regexes *regexes, const struct cel_limits *limits,
	const struct cel_node **ret_node) MUST_CHECK;
/* Lets go of a tree's programs: of one that cel_condition made, or a packed one; not of what
   cel_normalise made of it. */
void cel_release(const struct cel_node *node);

enum cel_kind {
	CEL_TRUE,
	CEL_AND, /* two or more children */
	CEL_OR,
	CEL_NOT,  /* one child */
	CEL_SAME, /* two children: both true or both false; an error of either is an error */
	CEL_EQUAL,
	CEL_NOT_EQUAL,
	CEL_LESS,
	CEL_LESS_OR_EQUAL,
	CEL_GREATER,
	CEL_GREATER_OR_EQUAL,
	CEL_IN,       /* the field's value is an element of the constant list */
	CEL_CONTAINS, /* the constant is an element of the field's list, or a key of its object */
	CEL_STARTS_WITH, /* the field is a string that begins with the constant, a string */
	CEL_HAS, /* no constant: the object around it has the field; without one it is an error */
	CEL_PROGRAM, /* any other condition */
};

/* What a comparison's left side is rooted in. */
enum cel_root {
	CEL_DOCUMENT, /* doc.<path> */
	CEL_ID,       /* _id, no path */
};

struct cel_field {
	enum cel_root root;
	uint32_t parts_count;
	const struct bytes *parts; /* names of members, one within the other */
};

/*
 * Limits that bound recursion and memory: of a tree's depth (cel_join refuses more with ERR_LIMIT),
 * and of a field's parts (cel_compare refuses more).
 */
#define CEL_DEPTH_MAX 64
#define CEL_PARTS_MAX 256

/*
 * One node. Comparisons have `field` and, all but HAS, `constant`; PROGRAM has what it runs, the
 * others children.
 */
struct cel_node {
	enum cel_kind kind;
	uint32_t depth; /* 1: no children */
	uint32_t children_count;
	bool is_sorted; /* IN: the items are scalars in canonical order, for those who search */
	const struct cel_node *const *children;
	struct cel_field field;
	const struct value *constant;
	struct cel_program *program;
	struct bytes text; /* PROGRAM: as CEL, for any place in a tree; equal text, equal program */
};

static inline bool cel_is_comparison(const struct cel_node *node)
{
	return node->kind >= CEL_EQUAL && node->kind <= CEL_HAS;
}

/*
 * Builders copy what they are given into `arena`; cel_join keeps the children themselves.
 * cel_compare refuses with ERR_INVALID and text: an order against a list or an object (against
 * a boolean or null it is fine for CEL); `in` without a list; `startsWith` without a string; NaN,
 * infinities, a value of no kind; a field of too many parts. A number of the constant that is a
 * whole double or an unsigned integer becomes an int where that is the same for every value.
 * CEL_HAS has no constant: NULL; and no `_id`.
 */
enum err cel_true(struct arena *arena, const struct cel_node **ret_node) MUST_CHECK;
enum err cel_compare(struct arena *arena, enum cel_kind kind, const struct cel_field *field,
	const struct value *constant, struct err_info *info,
	const struct cel_node **ret_node) MUST_CHECK;
/*
 * AND, OR of any number of children (none: true for AND, !true for OR; one: itself), NOT of one,
 * SAME of two.
 */
enum err cel_join(struct arena *arena, enum cel_kind kind, const struct cel_node *const *children,
	size_t count, const struct cel_node **ret_node) MUST_CHECK;

/*
 * The canonical form: NOT only before what has no opposite, nested ANDs and ORs of the same kind
 * flattened, children sorted and doubles removed, the constants that one field may equal (or, in
 * an AND, must not) in one IN, negations drawn out of SAME: only what is the same for every value,
 * errors included. Equal canonical trees are the same condition; cel_hash and cel_equal compare
 * them, by how they are written. A tree whose canonical form would be deeper than CEL_DEPTH_MAX
 * stays as it is. The result borrows from `node`.
 */
enum err cel_normalise(struct arena *arena, const struct cel_node *node,
	const struct cel_node **ret_node) MUST_CHECK;
uint64_t cel_hash(const struct cel_node *node, uint64_t seed);
bool cel_equal(const struct cel_node *a, const struct cel_node *b);
uint64_t cel_field_hash(const struct cel_field *field, uint64_t seed);
bool cel_field_equal(const struct cel_field *a, const struct cel_field *b);

/*
 * Copies that stand in one piece of memory and borrow nothing, for those who keep many. Both give
 * the size that the copy needs; with less room, or no `memory`, they set nothing. `memory` is as
 * malloc aligns it; it must not move.
 */
size_t cel_pack(
	const struct cel_node *node, void *memory, size_t room, const struct cel_node **ret_node);
size_t cel_pack_field(
	const struct cel_field *field, void *memory, size_t room, struct cel_field *ret_field);

/* What a condition is evaluated over. */
struct cel_input {
	const struct value
		*document;  /* the flattened document, an OBJECT; NULL: every field is missing */
	struct bytes id;    /* the document id */
	bool id_is_unknown; /* there is one, but nobody knows it */
	/*
	 * Whether an unknown id is this one, for `==`, `!=` and `in`; every other use of `_id`, and
	 * each of them where this is NULL, is an error then.
	 */
	bool (*id_is)(const void *ctx, struct bytes id);
	const void *id_ctx;
	struct cel_run *run; /* for programs; its steps are per program; may be NULL without any */
};

enum cel_outcome {
	CEL_IS_FALSE,
	CEL_IS_TRUE,
	CEL_IS_ERROR, /* a missing field, kinds that do not fit: does not match */
};
enum cel_outcome cel_evaluate(const struct cel_node *node, const struct cel_input *input);

/*
 * A comparison with a constant (all but HAS), of a field's value that the caller has looked up and
 * found. `ret_failure` is set with CEL_IS_ERROR.
 */
enum cel_outcome cel_compare_with(const struct cel_node *comparison, const struct value *value,
	enum cel_failure *ret_failure);

/* The value at a field's path, NULL if it is missing. For CEL_ID the caller has it in the input. */
const struct value *cel_field_value(const struct cel_field *field, const struct cel_input *input);

/* Appends the condition as CEL text, for logs and `explain`: doc.room == "a" && doc.age > 18. */
enum err cel_print(struct buffer *buffer, const struct cel_node *node) MUST_CHECK;

#endif
