/* What the files of cel share. */
#ifndef CEL_PRIV_H
#define CEL_PRIV_H

#include "condition.h"

/* A copy of the node itself; its parts are as they are. */
enum err cel_make_condition(struct arena *arena, const struct cel_node *node,
	const struct cel_node **ret_node) MUST_CHECK;

/* A number as constants have it: as an int where every comparison takes it for one. */
struct value cel_canonical_cell(struct value cell);

/* The order of scalars in a canonical list: by kind, size, number, text. 0: written the same. */
int cel_order_cells(const struct value *a, const struct value *b);

/* The fields of a comparison as they are: nothing is checked or copied. */
enum err cel_make_compare(struct arena *arena, enum cel_kind kind, const struct cel_field *field,
	const struct value *constant, const struct cel_node **ret_node) MUST_CHECK;

/* The number of cells of a value, itself included. */
static inline size_t cel_cells(const struct value *value)
{
	return (size_t)(value_after(value) - value);
}

#endif
