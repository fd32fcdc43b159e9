/*
 * The canonical form, and comparison of trees by how they are written. Everything rests on two
 * facts: `&&`, `||` and `!` with an error as third value are Kleene's logic, in which De Morgan's
 * laws, double negation, idempotence, commutativity and associativity hold; and no comparison but
 * `==` and `!=` has an opposite that fails exactly where it fails.
 */
#include "cel_priv.h"

#include <stdlib.h>
#include <string.h>

/* ---- order by how things are written: any fixed order will do ---- */

static int order_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* What a cell holds, but for a string's text. */
static uint64_t cell_bits(const struct value *cell)
{
	uint64_t bits = 0;
	switch ((enum value_kind)cell->kind) {
	case VALUE_BOOL:
		return cell->as.boolean;
	case VALUE_INT:
	case VALUE_UINT:
	case VALUE_DOUBLE:
		memcpy(&bits, &cell->as, sizeof(bits));
		return bits;
	case VALUE_LIST:
	case VALUE_OBJECT:
		return cell->as.span;
	case VALUE_NONE:
	case VALUE_NULL:
	case VALUE_STRING:
		break;
	}
	return 0;
}

int cel_order_cells(const struct value *a, const struct value *b)
{
	int order = order_numbers(a->kind, b->kind);
	if (order == 0) {
		order = order_numbers(a->size, b->size);
	}
	if (order == 0) {
		order = order_numbers(cell_bits(a), cell_bits(b));
	}
	if (order == 0 && a->kind == VALUE_STRING) {
		order = bytes_compare(value_text(a), value_text(b));
	}
	return order;
}

/* Both runs have the same shape as far as they are equal. */
static int order_values(const struct value *a, const struct value *b)
{
	size_t count = cel_cells(a);
	for (size_t i = 0; i < count; i++) {
		int order = cel_order_cells(&a[i], &b[i]);
		if (order != 0) {
			return order;
		}
	}
	return 0;
}

static int order_fields(const struct cel_field *a, const struct cel_field *b)
{
	int order = order_numbers(a->root, b->root);
	if (order == 0) {
		order = order_numbers(a->parts_count, b->parts_count);
	}
	for (uint32_t i = 0; order == 0 && i < a->parts_count; i++) {
		order = bytes_compare(a->parts[i], b->parts[i]);
	}
	return order;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static int order_nodes(const struct cel_node *a, const struct cel_node *b)
{
	int order = order_numbers(a->kind, b->kind);
	if (order == 0) {
		order = order_fields(&a->field, &b->field);
	}
	if (order == 0 && a->program) {
		order = bytes_compare(a->text, b->text);
	}
	if (order == 0 && a->constant) {
		order = order_values(a->constant, b->constant);
	}
	if (order == 0) {
		order = order_numbers(a->children_count, b->children_count);
	}
	for (uint32_t i = 0; order == 0 && i < a->children_count; i++) {
		order = order_nodes(a->children[i], b->children[i]);
	}
	return order;
}

bool cel_equal(const struct cel_node *a, const struct cel_node *b)
{
	return order_nodes(a, b) == 0;
}

bool cel_field_equal(const struct cel_field *a, const struct cel_field *b)
{
	return order_fields(a, b) == 0;
}

/* ---- hash ---- */

static uint64_t mix(uint64_t hash, uint64_t first, uint64_t second)
{
	const uint64_t words[] = {hash, first, second};
	return bytes_hash((struct bytes){(const char *)words, sizeof(words)}, hash);
}

uint64_t cel_field_hash(const struct cel_field *field, uint64_t seed)
{
	uint64_t hash = mix(seed, field->root, field->parts_count);
	for (uint32_t i = 0; i < field->parts_count; i++) {
		hash = bytes_hash(field->parts[i], hash);
	}
	return hash;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
uint64_t cel_hash(const struct cel_node *node, uint64_t seed)
{
	uint64_t hash = mix(seed, node->kind, node->children_count);
	for (uint32_t i = 0; i < node->children_count; i++) {
		hash = cel_hash(node->children[i], hash);
	}
	if (node->program) {
		return bytes_hash(node->text, hash);
	}
	if (!node->constant) {
		return hash;
	}
	hash = cel_field_hash(&node->field, hash);
	const struct value *end = value_after(node->constant);
	for (const struct value *cell = node->constant; cell < end; cell++) {
		hash = mix(hash, (uint64_t)cell->kind << 32 | cell->size, cell_bits(cell));
		if (cell->kind == VALUE_STRING) {
			hash = bytes_hash(value_text(cell), hash);
		}
	}
	return hash;
}

/* ---- comparisons ---- */

static int order_values_sort(const void *a, const void *b)
{
	return order_values(*(const struct value *const *)a, *(const struct value *const *)b);
}

/* The items of a list, sorted, each once, in *ret_items; the cells that they take in *ret_cells. */
static enum err sort_items(struct arena *arena, const struct value *list,
	const struct value ***ret_items, uint32_t *ret_count, size_t *ret_cells)
{
	const struct value **items = arena_alloc(arena, list->size * sizeof(const void *));
	if (!items) {
		return ERR_MEMORY;
	}
	const struct value *item = list + 1;
	for (uint32_t i = 0; i < list->size; i++) {
		items[i] = item;
		item = value_after(item);
	}
	if (list->size > 1) {
		qsort(items, list->size, sizeof(const void *), order_values_sort);
	}
	uint32_t count = 0;
	size_t cells = 0;
	for (uint32_t i = 0; i < list->size; i++) {
		if (count == 0 || order_values(items[count - 1], items[i]) != 0) {
			items[count++] = items[i];
			cells += cel_cells(items[i]);
		}
	}
	*ret_items = items;
	*ret_count = count;
	*ret_cells = cells;
	return OK;
}

/* `in`: the list as a set; of one item it is an equality, which fails where `in` fails. */
static enum err normalise_in(
	struct arena *arena, const struct cel_node *node, const struct cel_node **ret_node)
{
	const struct value **items = NULL;
	uint32_t count = 0;
	size_t cells_count = 0;
	enum err err = sort_items(arena, node->constant, &items, &count, &cells_count);
	if (err != OK) {
		return err;
	}
	if (count == 1) {
		return cel_make_compare(arena, CEL_EQUAL, &node->field, items[0], ret_node);
	}
	struct value *cells = arena_alloc(arena, (cells_count + 1) * sizeof(*cells));
	if (!cells) {
		return ERR_MEMORY;
	}
	cells[0] = *node->constant;
	cells[0].size = count;
	cells[0].as.span = (uint32_t)(cells_count + 1);
	struct value *place = cells + 1;
	for (uint32_t i = 0; i < count; i++) {
		size_t size = cel_cells(items[i]);
		memcpy(place, items[i], size * sizeof(*place));
		place += size;
	}
	const struct cel_node made = {.kind = CEL_IN,
		.depth = 1,
		.field = node->field,
		.constant = cells,
		.is_sorted = cells_count == count};
	return cel_make_condition(arena, &made, ret_node);
}

static enum err normalise_compare(struct arena *arena, const struct cel_node *node, bool negate,
	const struct cel_node **ret_node)
{
	const struct cel_node *made = node;
	if (node->kind == CEL_IN) {
		enum err err = normalise_in(arena, node, &made);
		if (err != OK) {
			return err;
		}
	}
	if (!negate) {
		*ret_node = made;
		return OK;
	}
	if (made->kind == CEL_EQUAL || made->kind == CEL_NOT_EQUAL) {
		enum cel_kind opposite = made->kind == CEL_EQUAL ? CEL_NOT_EQUAL : CEL_EQUAL;
		return cel_make_compare(arena, opposite, &made->field, made->constant, ret_node);
	}
	return cel_join(arena, CEL_NOT, &made, 1, ret_node);
}

/* ---- joins ---- */

static int order_nodes_sort(const void *a, const void *b)
{
	return order_nodes(*(const struct cel_node *const *)a, *(const struct cel_node *const *)b);
}

/* Children under construction; `decided` is a child that alone decides the join. */
struct join {
	enum cel_kind kind;
	const struct cel_node **children;
	size_t count;
	const struct cel_node *decided;
};

static void join_add(struct join *join, const struct cel_node *child)
{
	bool is_true = child->kind == CEL_TRUE;
	bool is_false = child->kind == CEL_NOT && child->children[0]->kind == CEL_TRUE;
	if (is_true || is_false) {
		if (is_true == (join->kind == CEL_OR)) {
			join->decided = child;
		}
		return;
	}
	join->children[join->count++] = child;
}

static enum err join_finish(
	struct arena *arena, struct join *join, const struct cel_node **ret_node)
{
	if (join->decided) {
		*ret_node = join->decided;
		return OK;
	}
	if (join->count > 1) {
		qsort(join->children, join->count, sizeof(const void *), order_nodes_sort);
	}
	size_t count = 0;
	for (size_t i = 0; i < join->count; i++) {
		if (count == 0 || !cel_equal(join->children[count - 1], join->children[i])) {
			join->children[count++] = join->children[i];
		}
	}
	return cel_join(arena, join->kind, join->children, count, ret_node);
}

static enum err normalise(struct arena *arena, const struct cel_node *node, bool negate,
	const struct cel_node **ret_node);

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static enum err normalise_join(struct arena *arena, const struct cel_node *node, bool negate,
	const struct cel_node **ret_node)
{
	struct join join = {.kind = (node->kind == CEL_AND) != negate ? CEL_AND : CEL_OR};
	const struct cel_node **children =
		arena_alloc(arena, node->children_count * sizeof(const void *));
	if (!children) {
		return ERR_MEMORY;
	}
	size_t total = 0;
	for (uint32_t i = 0; i < node->children_count; i++) {
		enum err err = normalise(arena, node->children[i], negate, &children[i]);
		if (err != OK) {
			return err;
		}
		total += children[i]->kind == join.kind ? children[i]->children_count : 1;
	}
	join.children = arena_alloc(arena, total * sizeof(const void *));
	if (!join.children) {
		return ERR_MEMORY;
	}
	for (uint32_t i = 0; i < node->children_count; i++) {
		const struct cel_node *child = children[i];
		if (child->kind != join.kind) {
			join_add(&join, child);
			continue;
		}
		for (uint32_t k = 0; k < child->children_count; k++) {
			join_add(&join, child->children[k]);
		}
	}
	return join_finish(arena, &join, ret_node);
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static enum err normalise(struct arena *arena, const struct cel_node *node, bool negate,
	const struct cel_node **ret_node)
{
	switch (node->kind) {
	case CEL_TRUE:
		if (negate) {
			return cel_join(arena, CEL_NOT, &node, 1, ret_node);
		}
		*ret_node = node;
		return OK;
	case CEL_NOT:
		return normalise(arena, node->children[0], !negate, ret_node);
	case CEL_AND:
	case CEL_OR:
		return normalise_join(arena, node, negate, ret_node);
	case CEL_EQUAL:
	case CEL_NOT_EQUAL:
	case CEL_LESS:
	case CEL_LESS_OR_EQUAL:
	case CEL_GREATER:
	case CEL_GREATER_OR_EQUAL:
	case CEL_IN:
	case CEL_CONTAINS:
		break;
	case CEL_PROGRAM:
		if (negate) {
			return cel_join(arena, CEL_NOT, &node, 1, ret_node);
		}
		*ret_node = node;
		return OK;
	}
	return normalise_compare(arena, node, negate, ret_node);
}

enum err cel_normalise(
	struct arena *arena, const struct cel_node *node, const struct cel_node **ret_node)
{
	return normalise(arena, node, false, ret_node);
}
