/*
 * The canonical form, and comparison of trees by how they are written. Everything rests on three
 * facts: `&&`, `||` and `!` with an error as third value are Kleene's logic, in which De Morgan's
 * laws, double negation, idempotence, commutativity and associativity hold; no comparison but `==`
 * and `!=` has an opposite that fails exactly where it fails; and `==`, `!=` and `in` fail in the
 * same place, where there is no field, so that many of one field are one.
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
	if (cel_is_comparison(node)) {
		hash = cel_field_hash(&node->field, hash);
	}
	if (!node->constant) {
		return hash;
	}
	const struct value *end = value_after(node->constant);
	for (const struct value *cell = node->constant; cell < end; cell++) {
		hash = mix(hash, (uint64_t)cell->kind << 32 | cell->size, cell_bits(cell));
		if (cell->kind == VALUE_STRING) {
			hash = bytes_hash(value_text(cell), hash);
		}
	}
	return hash;
}

/* ---- choices: a field that is one of some constants ---- */

static int order_values_sort(const void *a, const void *b)
{
	return order_values(*(const struct value *const *)a, *(const struct value *const *)b);
}

/* Constants under construction. */
struct choices {
	const struct value **items;
	size_t count;
	size_t cells; /* that they take */
};

/* Whether a join's child says that a field is (in an AND: is not) one of some constants. */
static bool is_choice(enum cel_kind join, const struct cel_node *child)
{
	if (join == CEL_OR) {
		return child->kind == CEL_EQUAL || child->kind == CEL_IN;
	}
	return child->kind == CEL_NOT_EQUAL ||
		(child->kind == CEL_NOT && child->children[0]->kind == CEL_IN);
}

/* Of a choice: the comparison. */
static const struct cel_node *comparison_of(const struct cel_node *choice)
{
	return choice->kind == CEL_NOT ? choice->children[0] : choice;
}

static size_t count_choices(const struct cel_node *comparison)
{
	return comparison->kind == CEL_IN ? comparison->constant->size : 1;
}

static void add_choices(struct choices *choices, const struct cel_node *comparison)
{
	size_t count = count_choices(comparison);
	const struct value *item = comparison->constant + (comparison->kind == CEL_IN);
	for (size_t i = 0; i < count; i++) {
		choices->items[choices->count++] = item;
		item = value_after(item);
	}
}

/* Sorted, each once. */
static void sort_choices(struct choices *choices)
{
	const struct value **items = choices->items;
	if (choices->count > 1) {
		qsort(items, choices->count, sizeof(const void *), order_values_sort);
	}
	size_t count = 0;
	for (size_t i = 0; i < choices->count; i++) {
		if (count == 0 || order_values(items[count - 1], items[i]) != 0) {
			items[count++] = items[i];
			choices->cells += cel_cells(items[i]);
		}
	}
	choices->count = count;
}

static enum err make_list(
	struct arena *arena, const struct choices *choices, const struct value **ret_list)
{
	if (choices->cells >= UINT32_MAX) {
		return ERR_LIMIT;
	}
	struct value *cells = arena_alloc(arena, (choices->cells + 1) * sizeof(*cells));
	if (!cells) {
		return ERR_MEMORY;
	}
	cells[0] = (struct value){.kind = VALUE_LIST, .size = (uint32_t)choices->count};
	cells[0].as.span = (uint32_t)(choices->cells + 1);
	struct value *place = cells + 1;
	for (size_t i = 0; i < choices->count; i++) {
		size_t size = cel_cells(choices->items[i]);
		memcpy(place, choices->items[i], size * sizeof(*place));
		place += size;
	}
	*ret_list = cells;
	return OK;
}

/*
 * That a field is one of the constants of the nodes, choices of this field: all of them, and what
 * is made of them, fail where the field is missing and nowhere else. One constant makes an EQUAL.
 */
static enum err unite(struct arena *arena, const struct cel_node *const *nodes, size_t nodes_count,
	const struct cel_node **ret_node)
{
	size_t count = 0;
	for (size_t i = 0; i < nodes_count; i++) {
		count += count_choices(comparison_of(nodes[i]));
	}
	struct choices choices = {.items = arena_alloc(arena, count * sizeof(const void *))};
	if (!choices.items) {
		return ERR_MEMORY;
	}
	for (size_t i = 0; i < nodes_count; i++) {
		add_choices(&choices, comparison_of(nodes[i]));
	}
	sort_choices(&choices);
	const struct cel_field *field = &comparison_of(nodes[0])->field;
	if (choices.count == 1) {
		return cel_make_compare(arena, CEL_EQUAL, field, choices.items[0], ret_node);
	}
	struct cel_node made = {.kind = CEL_IN,
		.depth = 1,
		.field = *field,
		.is_sorted = choices.cells == choices.count};
	enum err err = make_list(arena, &choices, &made.constant);
	return err == OK ? cel_make_condition(arena, &made, ret_node) : err;
}

/* ---- joins ---- */

static int order_nodes_sort(const void *a, const void *b)
{
	return order_nodes(*(const struct cel_node *const *)a, *(const struct cel_node *const *)b);
}

static int order_choices_sort(const void *a, const void *b)
{
	const struct cel_node *first = comparison_of(*(const struct cel_node *const *)a);
	const struct cel_node *second = comparison_of(*(const struct cel_node *const *)b);
	return order_fields(&first->field, &second->field);
}

/* Canonical children under construction; `decided` is one that alone decides the join. */
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

static enum err negate(
	struct arena *arena, const struct cel_node *node, const struct cel_node **ret_node);

/* The choices of each field become one child. */
/* NOLINTNEXTLINE(misc-no-recursion): once, to negate one comparison */
static enum err join_unite(struct arena *arena, struct join *join)
{
	const struct cel_node **choices = arena_alloc(arena, join->count * sizeof(const void *));
	if (!choices) {
		return ERR_MEMORY;
	}
	size_t count = 0;
	size_t kept = 0;
	for (size_t i = 0; i < join->count; i++) {
		bool is = is_choice(join->kind, join->children[i]);
		*(is ? &choices[count++] : &join->children[kept++]) = join->children[i];
	}
	if (count > 1) {
		qsort(choices, count, sizeof(const void *), order_choices_sort);
	}
	enum err err = OK;
	size_t next = 0;
	for (size_t i = 0; err == OK && i < count; i = next) {
		const struct cel_node *child = choices[i];
		for (next = i + 1; next < count; next++) {
			if (order_choices_sort(&choices[i], &choices[next]) != 0) {
				break;
			}
		}
		if (next > i + 1) {
			err = unite(arena, &choices[i], next - i, &child);
		}
		if (err == OK && next > i + 1 && join->kind == CEL_AND) {
			err = negate(arena, child, &child);
		}
		join->children[kept++] = child;
	}
	join->count = kept;
	return err;
}

/* NOLINTNEXTLINE(misc-no-recursion): once, to negate one comparison */
static enum err join_finish(
	struct arena *arena, struct join *join, const struct cel_node **ret_node)
{
	if (join->decided) {
		*ret_node = join->decided;
		return OK;
	}
	enum err err = join_unite(arena, join);
	if (err != OK) {
		return err;
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

/* AND or OR of canonical children. */
/* NOLINTNEXTLINE(misc-no-recursion): once, to negate one comparison */
static enum err join_canonical(struct arena *arena, enum cel_kind kind,
	const struct cel_node *const *children, size_t count, const struct cel_node **ret_node)
{
	size_t total = 0;
	for (size_t i = 0; i < count; i++) {
		total += children[i]->kind == kind ? children[i]->children_count : 1;
	}
	struct join join = {
		.kind = kind, .children = arena_alloc(arena, total * sizeof(const void *))};
	if (!join.children) {
		return ERR_MEMORY;
	}
	for (size_t i = 0; i < count; i++) {
		const struct cel_node *child = children[i];
		if (child->kind != kind) {
			join_add(&join, child);
			continue;
		}
		for (uint32_t k = 0; k < child->children_count; k++) {
			join_add(&join, child->children[k]);
		}
	}
	return join_finish(arena, &join, ret_node);
}

/* ---- negation ---- */

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static enum err negate_join(
	struct arena *arena, const struct cel_node *node, const struct cel_node **ret_node)
{
	size_t count = node->children_count;
	const struct cel_node **children = arena_alloc(arena, count * sizeof(const void *));
	enum err err = children ? OK : ERR_MEMORY;
	for (size_t i = 0; err == OK && i < count; i++) {
		err = negate(arena, node->children[i], &children[i]);
	}
	enum cel_kind opposite = node->kind == CEL_AND ? CEL_OR : CEL_AND;
	return err == OK ? join_canonical(arena, opposite, children, count, ret_node) : err;
}

/* The canonical form of what a canonical node denies. */
/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static enum err negate(
	struct arena *arena, const struct cel_node *node, const struct cel_node **ret_node)
{
	if (node->kind == CEL_NOT) {
		*ret_node = node->children[0];
		return OK;
	}
	if (node->kind == CEL_AND || node->kind == CEL_OR) {
		return negate_join(arena, node, ret_node);
	}
	if (node->kind == CEL_EQUAL || node->kind == CEL_NOT_EQUAL) {
		enum cel_kind opposite = node->kind == CEL_EQUAL ? CEL_NOT_EQUAL : CEL_EQUAL;
		return cel_make_compare(arena, opposite, &node->field, node->constant, ret_node);
	}
	return cel_join(arena, CEL_NOT, &node, 1, ret_node);
}

/* ---- SAME ---- */

/* Of a canonical condition and its negation one is called negative. */
static bool is_negative(const struct cel_node *node)
{
	return node->kind == CEL_NOT || node->kind == CEL_NOT_EQUAL || node->kind == CEL_OR;
}

/*
 * Of canonical sides: sorted, and none of them negative. The same as true is the other side; but
 * of a side and itself it says that there is no error.
 */
static enum err same(
	struct arena *arena, const struct cel_node *sides[2], const struct cel_node **ret_node)
{
	bool is_negated = false;
	for (size_t i = 0; i < 2; i++) {
		if (is_negative(sides[i])) {
			enum err err = negate(arena, sides[i], &sides[i]);
			if (err != OK) {
				return err;
			}
			is_negated = !is_negated;
		}
	}
	qsort(sides, 2, sizeof(const void *), order_nodes_sort);
	const struct cel_node *made = sides[1];
	if (sides[0]->kind != CEL_TRUE) {
		enum err err = cel_join(arena, CEL_SAME, sides, 2, &made);
		if (err != OK) {
			return err;
		}
	}
	if (is_negated) {
		return negate(arena, made, ret_node);
	}
	*ret_node = made;
	return OK;
}

/* ---- the walk ---- */

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static enum err normalise(
	struct arena *arena, const struct cel_node *node, const struct cel_node **ret_node)
{
	if (node->kind == CEL_IN) {
		return unite(arena, &node, 1, ret_node);
	}
	if (node->children_count == 0) {
		*ret_node = node;
		return OK;
	}
	size_t count = node->children_count;
	const struct cel_node **children = arena_alloc(arena, count * sizeof(const void *));
	enum err err = children ? OK : ERR_MEMORY;
	for (size_t i = 0; err == OK && i < count; i++) {
		err = normalise(arena, node->children[i], &children[i]);
	}
	if (err != OK) {
		return err;
	}
	if (node->kind == CEL_NOT) {
		return negate(arena, children[0], ret_node);
	}
	return node->kind == CEL_SAME
		? same(arena, children, ret_node)
		: join_canonical(arena, node->kind, children, count, ret_node);
}

enum err cel_normalise(
	struct arena *arena, const struct cel_node *node, const struct cel_node **ret_node)
{
	const struct cel_node *made = node;
	enum err err = normalise(arena, node, &made);
	if (err == OK || err == ERR_LIMIT) {
		*ret_node = err == OK ? made : node;
		return OK;
	}
	return err;
}
