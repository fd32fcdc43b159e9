/*
 * match: the matching engine: an index of queries; a batch of events gives the queries that hold.
 * Owns: its queries, each stored once however many ask for it; what a query carries is its user's.
 * Threads: one, the worker's.
 * Errors: ERR_INVALID (a filter that cannot be, with text and its number), ERR_LIMIT, ERR_MEMORY.
 * Invariant: an event's hits are exactly the queries that a look at every query would find.
 */
#ifndef MATCH_H
#define MATCH_H

#include "base.h"
#include "event.h"
#include "metrics.h"
#include "model.h"

struct match;
struct match_query;

/*
 * `interest` (may be NULL) is told of every (database, collection) that gains or loses a query,
 * those that match_free takes included; it outlives the match.
 */
enum err match_new(uint64_t seed, struct interest *interest, struct metrics *metrics,
	struct match **ret_match) MUST_CHECK;
void match_free(struct match *match); /* queries left are freed with it */

/*
 * The query of a subscription's (database, collection, filters): found, or made. Each get is one
 * holder and wants one put; the last put removes the query. On ERR_INVALID `info->text` says what
 * was wrong and, behind "; ", what would be right, and `*ret_filter` which filter, from 1. The text
 * begins as the original's: "unsupported operator: eq; use one of ...".
 */
enum err match_query_get(struct match *match, const struct model_subscription *subscription,
	struct err_info *info, uint32_t *ret_filter, struct match_query **ret_query) MUST_CHECK;
void match_query_put(struct match *match, struct match_query *query);

/* A pointer that the user keeps with the query; NULL at first. */
void **match_query_slot(struct match_query *query);

/* Whether any query is about this collection: an event that nobody wants need not be read. */
bool match_wants(const struct match *match, struct bytes database, struct bytes collection);

/*
 * Of an event whose id is unknown: which document somebody who asks for it by id has in mind, found
 * by its identity; the bytes are a query's. False: nobody asks for it.
 */
bool match_identify(const struct match *match, const struct event *event,
	struct bytes *ret_collection, struct bytes *ret_id);

struct match_hit {
	uint32_t event; /* index in the batch */
	struct match_query *query;
};

/*
 * All queries that hold for each event, ordered by event; within one event document-id queries
 * first, then the whole collection's, then the others. Events that somebody wants must have been
 * read. An event without an operation goes to nobody, a purge to document-id queries alone. The
 * hits are valid until the next call; ERR_MEMORY gives none.
 */
#define MATCH_BATCH_MAX 16
enum err match_events(struct match *match, struct event *const *events, size_t count,
	const struct match_hit **ret_hits, size_t *ret_hits_count) MUST_CHECK;

/* The slow truth, for tests: evaluates one query on one event without any index. */
bool match_query_holds(const struct match_query *query, const struct event *event);

#endif
