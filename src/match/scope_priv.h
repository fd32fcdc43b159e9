/* The places where queries stand: lists, and ordered sets by the ranges of a path (scopes.c). */
#ifndef MATCH_SCOPE_PRIV_H
#define MATCH_SCOPE_PRIV_H

#include "intervals.h"

struct match_index;
struct match_path;
struct match_predicate;
struct match_query;
struct value;

/*
 * One of a query's places: `access` is twice its number among the query's accesses, and 1 more if
 * what is found here holds. Unless a document has
 * all bits of `fields` and `values`, the query does not hold, or is found at another of its places:
 * most queries of a long list are passed over without being touched.
 */
struct match_entry {
	struct match_query *query;
	uint64_t fields;
	uint32_t values;
	uint32_t access;
};

/*
 * Queries that may hold where something else is known to hold: in no order, and by the ranges of a
 * path. One query alone stands in the scope itself. Zeroed is empty.
 */
struct match_scope {
	union {
		struct match_query *query;   /* count is 1 */
		struct match_entry *entries; /* count is more */
	} as;
	uint32_t count;
	uint32_t extra; /* count is 1: the entry's access; more: the capacity */
	struct match_facet *facets;
};

/* Of an interval's needs, which every event meets: what is found here holds. */
#define MATCH_IS_PROOF ((uint64_t)1 << 63)

/* What a range's constants are of. */
enum match_order { MATCH_NUMBERS, MATCH_TEXTS, MATCH_BOOLS };

/* The queries of one scope by their ranges of one path. */
struct match_facet {
	struct match_facet *next;
	struct match_predicate *key; /* whose scope it is; NULL: the collection's */
	struct match_path *path;
	enum match_order order;
	struct match_intervals intervals; /* of match_query; need fields, and MATCH_IS_PROOF */
};

/* ---- */

/* The list's new place for the query's access. */
enum err match_scope_add(struct pool *pool, struct match_scope *scope,
	const struct match_entry *entry, uint32_t *ret_place) MUST_CHECK;
/* Exchanges it with the first. */
void match_scope_lead(struct match_scope *scope, uint32_t place);
/* NULL: there is none. */
static inline struct match_query *match_scope_first(const struct match_scope *scope)
{
	if (scope->count < 2) {
		return scope->as.query;
	}
	return scope->as.entries[0].query;
}
void match_scope_remove(struct pool *pool, struct match_scope *scope, uint32_t place);
static inline bool match_scope_is_empty(const struct match_scope *scope)
{
	return scope->count == 0 && !scope->facets;
}
struct match_facet *match_facet_find(
	const struct match_scope *scope, const struct match_path *path, enum match_order order);
enum err match_facet_get(struct match_scope *scope, struct match_predicate *key,
	struct match_path *path, enum match_order order, struct match_facet **ret_facet) MUST_CHECK;
void match_facet_drop_if_empty(
	struct match_index *index, struct match_scope *scope, struct match_facet *facet);
/* The point that a document's value is in a facet of this order; false: it is of another kind. */
bool match_facet_point(enum match_order order, const struct value *value, uint64_t *ret_point);

#endif
