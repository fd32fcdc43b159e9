/*
 * About how much memory a query takes if it shares nothing with any other: a fact of its tree, so
 * that the same subscribe has the same answer whatever else is there. The figures are those of what
 * the other files allocate.
 */
#include "match_priv.h"

#define PIECE 16U           /* that the allocator adds to what is not a pool's, about */
#define SLOT 16U            /* of a table, which is half empty at times */
#define KEYS_MAX 4096U      /* of one `in`, see access.c: a longer list has no keys of its own */
#define HELD_ELSEWHERE 512U /* by the collection, the tables' own, and the subscription's user */

static size_t piece(size_t size)
{
	return size + PIECE;
}

static size_t texts_of(const struct value *constant, size_t cells)
{
	size_t size = 0;
	for (size_t i = 0; i < cells; i++) {
		size += constant[i].kind == VALUE_STRING ? constant[i].size : 0;
	}
	return size;
}

/* A predicate with so much behind it: itself, and standing somewhere under it. */
static size_t predicate_bytes(size_t size)
{
	const size_t place = sizeof(struct match_access) + sizeof(struct match_bounds) +
		2 * sizeof(struct match_entry);
	return sizeof(struct match_predicate) + size + SLOT + place;
}

static size_t field_bytes(const struct cel_field *field)
{
	size_t size = piece(sizeof(struct match_path));
	for (uint32_t i = 0; i < field->parts_count; i++) {
		size += piece(sizeof(struct match_path) + field->parts[i].size) + SLOT;
	}
	return size;
}

static size_t leaf_bytes(const struct cel_node *leaf)
{
	if (leaf->kind == CEL_PROGRAM) {
		return predicate_bytes(leaf->text.size) + cel_program_bytes(leaf->program);
	}
	/* Its own, and that its field exists. */
	size_t size = field_bytes(&leaf->field) + 2 * predicate_bytes(0);
	if (leaf->constant) {
		size_t cells = (size_t)(value_after(leaf->constant) - leaf->constant);
		size_t constant = cells * sizeof(*leaf->constant) + texts_of(leaf->constant, cells);
		bool has_keys = leaf->kind == CEL_IN && leaf->constant->size <= KEYS_MAX;
		size += constant + sizeof(struct event_identity);
		size += has_keys ? constant + leaf->constant->size * predicate_bytes(0) : 0;
	}
	if (leaf->kind == CEL_STARTS_WITH) {
		size += piece(MATCH_PREFIX_MAX * sizeof(uint32_t)) +
			predicate_bytes(MATCH_PREFIX_MAX);
	}
	return size;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static size_t tree_bytes(const struct cel_node *node)
{
	size_t size = sizeof(match_word);
	if (node->children_count == 0 && node->kind != CEL_TRUE) {
		size += leaf_bytes(node);
	}
	for (uint32_t i = 0; i < node->children_count; i++) {
		size += tree_bytes(node->children[i]);
	}
	return size;
}

size_t match_weigh(const struct cel_node *tree)
{
	return sizeof(struct match_query) + SLOT + HELD_ELSEWHERE + tree_bytes(tree);
}
