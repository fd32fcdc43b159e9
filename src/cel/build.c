/*
 * Trees are made bottom up and never change. What cel_compare lets through can be evaluated without
 * a further look at the constant: lists where lists must be, finite numbers, a kind in every cell.
 */
#include "cel_priv.h"

#include <math.h>
#include <string.h>

enum err cel_make_condition(
	struct arena *arena, const struct cel_node *node, const struct cel_node **ret_node)
{
	struct cel_node *made = arena_alloc(arena, sizeof(*made));
	if (!made) {
		return ERR_MEMORY;
	}
	*made = *node;
	*ret_node = made;
	return OK;
}

enum err cel_true(struct arena *arena, const struct cel_node **ret_node)
{
	const struct cel_node node = {.kind = CEL_TRUE, .depth = 1};
	return cel_make_condition(arena, &node, ret_node);
}

enum err cel_make_compare(struct arena *arena, enum cel_kind kind, const struct cel_field *field,
	const struct value *constant, const struct cel_node **ret_node)
{
	const struct cel_node node = {
		.kind = kind, .depth = 1, .field = *field, .constant = constant};
	return cel_make_condition(arena, &node, ret_node);
}

/* ---- comparisons ---- */

/* What CEL's own messages call the operation. */
static const char *overload_of(enum cel_kind kind)
{
	switch (kind) {
	case CEL_LESS:
		return "_<_";
	case CEL_LESS_OR_EQUAL:
		return "_<=_";
	case CEL_GREATER:
		return "_>_";
	case CEL_GREATER_OR_EQUAL:
		return "_>=_";
	case CEL_IN:
		return "@in";
	case CEL_STARTS_WITH:
		return "startsWith";
	case CEL_EQUAL:
	case CEL_NOT_EQUAL:
	case CEL_CONTAINS:
	case CEL_HAS:
	case CEL_TRUE:
	case CEL_AND:
	case CEL_OR:
	case CEL_NOT:
	case CEL_SAME:
	case CEL_PROGRAM:
		break;
	}
	return NULL; /* takes everything */
}

static bool takes(enum cel_kind kind, enum value_kind constant)
{
	if (kind == CEL_IN) {
		return constant == VALUE_LIST;
	}
	return kind == CEL_STARTS_WITH ? constant == VALUE_STRING
				       : constant != VALUE_LIST && constant != VALUE_OBJECT;
}

static enum err check_kinds(enum cel_kind kind, const struct value *constant, struct err_info *info)
{
	const char *overload = overload_of(kind);
	if (!overload || takes(kind, (enum value_kind)constant->kind)) {
		return OK;
	}
	const char *advice = "an order needs one number, string or boolean";
	if (kind == CEL_IN) {
		advice = "'in' needs a list, for example [\"a\", \"b\"]";
	} else if (kind == CEL_STARTS_WITH) {
		advice = "'startsWith' needs a string";
	}
	return err_set(info, ERR_INVALID, 0,
		"found no matching overload for '%s' applied to '(dyn, %s)'; %s", overload,
		value_kind_name((enum value_kind)constant->kind), advice);
}

/* A container is followed by its contents, so this run sees nested values too. */
static enum err check_cells(const struct value *constant, struct err_info *info)
{
	const struct value *end = value_after(constant);
	for (const struct value *cell = constant; cell < end; cell++) {
		if (cell->kind == VALUE_NONE) {
			return err_set(info, ERR_INVALID, 0, "a value has no kind; give it one");
		}
		if (cell->kind == VALUE_DOUBLE && !isfinite(cell->as.real)) {
			return err_set(info, ERR_INVALID, 0,
				"%s cannot be compared with; use a finite number",
				isnan(cell->as.real) ? "NaN" : "infinity");
		}
	}
	return OK;
}

/*
 * 5.0 and 5u are 5 to every comparison. From 2^53 on a double is not its integer: an int next to it
 * is rounded to it before they are compared, but differs from the integer.
 */
struct value cel_canonical_cell(struct value cell)
{
	const double exact_below = 9007199254740992.0;
	if (cell.kind == VALUE_DOUBLE && fabs(cell.as.real) < exact_below &&
		trunc(cell.as.real) == cell.as.real) {
		return value_int((int64_t)cell.as.real);
	}
	if (cell.kind == VALUE_UINT && cell.as.unsigned_integer <= INT64_MAX) {
		return value_int((int64_t)cell.as.unsigned_integer);
	}
	return cell;
}

static enum err copy_constant(
	struct arena *arena, const struct value *constant, const struct value **ret_constant)
{
	size_t count = cel_cells(constant);
	struct value *cells = arena_alloc(arena, count * sizeof(*cells));
	if (!cells) {
		return ERR_MEMORY;
	}
	for (size_t i = 0; i < count; i++) {
		cells[i] = cel_canonical_cell(constant[i]);
		if (cells[i].kind == VALUE_STRING) {
			struct bytes text = arena_copy(arena, value_text(&constant[i]));
			if (!text.data) {
				return ERR_MEMORY;
			}
			cells[i].as.text = text.data;
		}
	}
	*ret_constant = cells;
	return OK;
}

static enum err copy_field(
	struct arena *arena, const struct cel_field *field, struct cel_field *ret_field)
{
	struct bytes *parts = arena_alloc(arena, field->parts_count * sizeof(*parts));
	if (!parts) {
		return ERR_MEMORY;
	}
	for (uint32_t i = 0; i < field->parts_count; i++) {
		parts[i] = arena_copy(arena, field->parts[i]);
		if (!parts[i].data) {
			return ERR_MEMORY;
		}
	}
	*ret_field = (struct cel_field){field->root, field->parts_count, parts};
	return OK;
}

enum err cel_compare(struct arena *arena, enum cel_kind kind, const struct cel_field *field,
	const struct value *constant, struct err_info *info, const struct cel_node **ret_node)
{
	check(kind >= CEL_EQUAL && kind <= CEL_HAS);
	check(kind == CEL_HAS ? !constant && field->root == CEL_DOCUMENT : constant != NULL);
	check(field->root == CEL_DOCUMENT ? field->parts_count > 0 : field->parts_count == 0);
	if (field->parts_count > CEL_PARTS_MAX) {
		return err_set(info, ERR_INVALID, 0,
			"a field has more than %d parts; no document is that deep", CEL_PARTS_MAX);
	}
	enum err err = constant ? check_kinds(kind, constant, info) : OK;
	if (err == OK && constant) {
		err = check_cells(constant, info);
	}
	struct cel_field field_copy = {0};
	if (err == OK) {
		err = copy_field(arena, field, &field_copy);
	}
	const struct value *constant_copy = NULL;
	if (err == OK && constant) {
		err = copy_constant(arena, constant, &constant_copy);
	}
	return err == OK ? cel_make_compare(arena, kind, &field_copy, constant_copy, ret_node)
			 : err;
}

/* ---- joins ---- */

/* NOLINTNEXTLINE(misc-no-recursion): once, to join one child */
static enum err join_nothing(
	struct arena *arena, enum cel_kind kind, const struct cel_node **ret_node)
{
	const struct cel_node *node = NULL;
	enum err err = cel_true(arena, &node);
	if (err != OK) {
		return err;
	}
	if (kind == CEL_OR) {
		return cel_join(arena, CEL_NOT, &node, 1, ret_node);
	}
	*ret_node = node;
	return OK;
}

/* NOLINTNEXTLINE(misc-no-recursion): once, for no children */
enum err cel_join(struct arena *arena, enum cel_kind kind, const struct cel_node *const *children,
	size_t count, const struct cel_node **ret_node)
{
	check(kind == CEL_AND || kind == CEL_OR || (kind == CEL_NOT && count == 1) ||
		(kind == CEL_SAME && count == 2));
	if (count == 0) {
		return join_nothing(arena, kind, ret_node);
	}
	if (count == 1 && kind != CEL_NOT) {
		*ret_node = children[0];
		return OK;
	}
	uint32_t depth = 0;
	for (size_t i = 0; i < count; i++) {
		depth = children[i]->depth > depth ? children[i]->depth : depth;
	}
	if (depth >= CEL_DEPTH_MAX || count > UINT32_MAX) {
		return ERR_LIMIT;
	}
	const struct cel_node **copies = arena_alloc(arena, count * sizeof(const void *));
	if (!copies) {
		return ERR_MEMORY;
	}
	memcpy(copies, children, count * sizeof(const void *));
	const struct cel_node node = {.kind = kind,
		.depth = depth + 1,
		.children_count = (uint32_t)count,
		.children = copies};
	return cel_make_condition(arena, &node, ret_node);
}
