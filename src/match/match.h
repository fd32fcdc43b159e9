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

/* What bounds expressions; see options.def. */
struct match_limits {
	uint32_t source_bytes, depth, nodes, macros, literal, regex_bytes, memory_bytes;
	uint32_t failures;         /* in a row, after which there is a trouble */
	uint32_t residuals;        /* distinct queries */
	size_t subscription_bytes; /* that one may take, if it shares nothing */
	uint64_t cost, steps;
};

/*
 * `interest` (may be NULL) is told of every (database, collection) that gains or loses a query,
 * those that match_free takes included; it outlives the match.
 */
enum err match_new(const struct match_limits *limits, uint64_t seed, struct interest *interest,
	struct metrics *metrics, struct match **ret_match) MUST_CHECK;
void match_free(struct match *match); /* queries left are freed with it */

/* Why there can be no such query. */
struct match_refusal {
	enum model_refusal code;
	uint32_t filter;       /* which filter, from 1; 0: it is the expression */
	uint32_t line, column; /* where in the expression, from 1 */
	char text[320]; /* what was wrong; begins as the original's: "unsupported operator: eq" */
	char hint[240]; /* what would be right; may be empty */
};

/*
 * The query of a subscription's (database, collection, filters and expression): found, or made.
 * Each get is one holder and wants one put; the last put removes the query. ERR_INVALID and
 * ERR_LIMIT fill the refusal.
 */
enum err match_query_get(struct match *match, const struct model_subscription *subscription,
	struct match_refusal *ret_refusal, struct match_query **ret_query) MUST_CHECK;
void match_query_put(struct match *match, struct match_query *query);
/* Whether match_query_get would find just this query. Nothing is made, and none is refused. */
enum err match_query_is(struct match *match, const struct match_query *query,
	const struct model_subscription *subscription, bool *ret_is) MUST_CHECK;
/* Gives some of the memory back that queries have left; whether there is more of it. */
bool match_trim(struct match *match);

/*
 * Whether it is a residual: no value of a document leads to it, so it is evaluated for every change
 * of its collection, or for each that has a field.
 */
bool match_query_is_residual(const struct match_query *query);
struct bytes match_query_database(const struct match_query *query); /* borrowed from it */

/* A pointer that the user keeps with the query; NULL at first. */
void **match_query_slot(struct match_query *query);

/* Whether any query is about this collection: an event that nobody wants need not be read. */
bool match_wants(const struct match *match, struct bytes database, struct bytes collection);

/* The members of documents that queries look at, as bits of event_member_bit: an event that has
 * skipped one of them is to be read again. */
uint64_t match_members(const struct match *match);

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

/* What an expression may name, in order; NULL behind the last. */
#define MATCH_NAMES_MAX 7
struct match_name {
	const char *name; /* "doc", "event.id", ... */
	int type;         /* enum cel_type */
};
const struct match_name *match_name_at(size_t index);

/* A query whose expression gives its subscribers no joy, told once for each code. */
struct match_trouble {
	struct match_query *query;
	enum model_notice_code code;
	const char *text; /* for people, static */
};
/* Those that the last match_events found; valid until the next. */
const struct match_trouble *match_troubles(const struct match *match, size_t *ret_count);

/* The slow truth, for tests: evaluates one query on one event without any index. */
bool match_query_holds(
	struct match *match, const struct match_query *query, const struct event *event);

/* ---- explaining (explain.c) ---- */

/* At most so many places and predicates of a query are told; the counts are of all. */
#define MATCH_EXPLAINED_MAX 256U

/* Where a query is filed: whatever it holds for leads to one of its places. */
struct match_place {
	struct bytes text; /* doc.room == "a"; range of doc.age under doc.room == "a"; ... */
	struct bytes left; /* still to be verified of what leads here, as CEL; empty: nothing */
	uint64_t queries;  /* that stand there now, this one among them */
	uint64_t steps;    /* as of match_explanation */
	bool is_proof;     /* what leads here holds */
};

struct match_part {
	struct bytes text; /* one comparison, or a program */
	uint64_t others;   /* queries that share it; one that says it twice counts twice */
	bool is_program;
};

/*
 * What the index makes of a query, as things stand; texts and lists are in the arena of whoever
 * asked. `steps` estimates what it costs alone: steps of all places for 1000 changes of its
 * collection, where being found is one step, a comparison that is left one and a program 16. It
 * supposes that 1 document in 100 has a given value, 1 in 4 is in a range, 1 in 16 in one with two
 * ends, and every one has the field.
 */
struct match_explanation {
	const struct match_place *places;
	const struct match_part *parts;
	const struct bytes *advice;
	size_t places_count, parts_count, advice_count;
	uint64_t steps;
	bool is_residual; /* as match_query_is_residual has it */
};
enum err match_query_explain(const struct match_query *query, struct arena *arena,
	struct match_explanation *ret_explanation) MUST_CHECK;
/* Of a query that need not be there: got, explained and put. As match_query_get. */
enum err match_explain(struct match *match, const struct model_subscription *subscription,
	struct arena *arena, struct match_refusal *ret_refusal,
	struct match_explanation *ret_explanation) MUST_CHECK;

#endif
