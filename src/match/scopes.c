/*
 * The places where queries stand: a list without an order, from which each can be taken at once
 * because it knows its place, and ordered sets by the ranges of a path.
 */
#include "match_priv.h"

/* ---- lists ---- */

#define ENTRIES_MIN 4U

static void put_place(const struct match_entry *entry, uint32_t place)
{
	match_query_accesses(entry->query)[entry->access / 2].place = place;
}

/*
 * From one entry, in the scope itself, to a list of it. Of what it needs at this place no more is
 * known than what its query needs at all.
 */
static enum err make_list(struct pool *pool, struct match_scope *scope)
{
	struct match_entry *entries = pool_alloc(pool, ENTRIES_MIN * sizeof(*entries));
	if (!entries) {
		return ERR_MEMORY;
	}
	struct match_query *query = scope->as.query;
	const struct match_needs needs = match_needs_of(query->code);
	entries[0] = (struct match_entry){query, needs.fields, needs.values, scope->extra};
	scope->as.entries = entries;
	scope->extra = ENTRIES_MIN;
	return OK;
}

static enum err resize_list(struct pool *pool, struct match_scope *scope, uint32_t capacity)
{
	struct match_entry *entries = pool_resize(pool, scope->as.entries,
		scope->extra * sizeof(*entries), capacity * sizeof(*entries));
	if (!entries) {
		return ERR_MEMORY;
	}
	scope->as.entries = entries;
	scope->extra = capacity;
	return OK;
}

enum err match_scope_add(struct pool *pool, struct match_scope *scope,
	const struct match_entry *entry, uint32_t *ret_place)
{
	enum err err = OK;
	if (scope->count == 0) {
		scope->as.query = entry->query;
		scope->extra = entry->access;
	} else {
		if (scope->count == 1) {
			err = make_list(pool, scope);
		} else if (scope->count == scope->extra) {
			err = resize_list(pool, scope, scope->extra * 2);
		}
		if (err != OK) {
			return err;
		}
		scope->as.entries[scope->count] = *entry;
	}
	*ret_place = scope->count++;
	return OK;
}

void match_scope_remove(struct pool *pool, struct match_scope *scope, uint32_t place)
{
	check(place < scope->count);
	if (--scope->count == 0) {
		scope->as.query = NULL;
		return;
	}
	struct match_entry *entries = scope->as.entries;
	if (place < scope->count) {
		entries[place] = entries[scope->count];
		put_place(&entries[place], place);
	}
	if (scope->count == 1) {
		const struct match_entry last = entries[0];
		pool_free(pool, entries, scope->extra * sizeof(*entries));
		scope->as.query = last.query;
		scope->extra = last.access;
	} else if (scope->count >= ENTRIES_MIN && scope->count <= scope->extra / 4) {
		/* on lack it stays as large as it is */
		(void)resize_list(pool, scope, scope->extra / 2);
	}
}

void match_scope_lead(struct match_scope *scope, uint32_t place)
{
	check(place < scope->count);
	if (place > 0) {
		struct match_entry *entries = scope->as.entries;
		const struct match_entry first = entries[place];
		entries[place] = entries[0];
		entries[0] = first;
		put_place(&entries[place], place);
		put_place(&entries[0], 0);
	}
}

/* ---- facets ---- */

bool match_facet_point(enum match_order order, const struct value *value, uint64_t *ret_point)
{
	switch ((enum value_kind)value->kind) {
	case VALUE_INT:
		*ret_point = match_key_of_number((double)value->as.integer);
		return order == MATCH_NUMBERS;
	case VALUE_UINT:
		*ret_point = match_key_of_number((double)value->as.unsigned_integer);
		return order == MATCH_NUMBERS;
	case VALUE_DOUBLE:
		*ret_point = match_key_of_number(value->as.real);
		return order == MATCH_NUMBERS;
	case VALUE_STRING:
		*ret_point = match_key_of_text(value_text(value));
		return order == MATCH_TEXTS;
	case VALUE_BOOL:
		*ret_point = value->as.boolean;
		return order == MATCH_BOOLS;
	case VALUE_NONE:
	case VALUE_NULL:
	case VALUE_LIST:
	case VALUE_OBJECT:
		break;
	}
	return false;
}

struct match_facet *match_facet_find(
	const struct match_scope *scope, const struct match_path *path, enum match_order order)
{
	struct match_facet *facet = scope->facets;
	while (facet && (facet->path != path || facet->order != order)) {
		facet = facet->next;
	}
	return facet;
}

enum err match_facet_get(struct match_scope *scope, struct match_predicate *key,
	struct match_path *path, enum match_order order, struct match_facet **ret_facet)
{
	struct match_facet *facet = match_facet_find(scope, path, order);
	if (!facet) {
		facet = mem_calloc(1, sizeof(*facet));
		if (!facet) {
			return ERR_MEMORY;
		}
		facet->key = key;
		facet->path = path;
		facet->order = order;
		facet->next = scope->facets;
		scope->facets = facet;
		match_path_hold(path);
	}
	*ret_facet = facet;
	return OK;
}

void match_facet_drop_if_empty(
	struct match_index *index, struct match_scope *scope, struct match_facet *facet)
{
	if (facet->intervals.count > 0) {
		return;
	}
	struct match_facet **place = &scope->facets;
	while (*place != facet) {
		place = &(*place)->next;
	}
	*place = facet->next;
	match_path_put(index, facet->path);
	match_intervals_fini(&facet->intervals);
	mem_free(facet);
}
