/*
 * What the files of match share: the query, the compiler of filters and the index. The index finds,
 * for a document, queries that may hold; whether they do is for its caller to see.
 */
#ifndef MATCH_PRIV_H
#define MATCH_PRIV_H

#include "condition.h"
#include "match.h"

struct match_bucket;
struct match_collection;

/* Queries that the index keeps together, in no order. */
struct match_list {
	struct match_query *first;
	size_t count;
};

struct match_query {
	uint64_t hash; /* of collection and tree */
	size_t holders;
	void *slot;                  /* the user's */
	const struct cel_node *tree; /* canonical, in `memory` */

	/* The index's. */
	struct match_collection *collection;
	struct match_bucket *bucket; /* where an equality files it; else NULL */
	struct match_list *list;     /* where it stands; NULL: it is its whole collection's */
	struct match_query *next, *previous;
	bool has_expression;
	bool was_stopped;  /* its subscribers know; those that come later do not */
	bool has_failed;   /* often in a row, and its subscribers know */
	uint32_t failures; /* in a row */
	bool is_by_id;     /* its top-level AND has `_id == c` or `_id in [c...]` */

	_Alignas(max_align_t) char memory[];
};

/* ---- filters.c, expression.c ---- */

struct match_compiler {
	struct cel_limits limits;
	struct cel_regexes *regexes;
	struct metrics *metrics; /* may be NULL */
};

struct match_compiled {
	const struct cel_node *tree;       /* canonical; its programs are those of `expression` */
	const struct cel_node *expression; /* to be released; NULL: there is none */
};

/* A subscription's filters and expression as one tree, in `arena`. As match_query_get. */
enum err match_compile(struct arena *arena, const struct match_compiler *compiler,
	const struct model_subscription *subscription, struct match_refusal *ret_refusal,
	struct match_compiled *ret_compiled) MUST_CHECK;

/* The tree of an expression, to be released. */
enum err match_compile_expression(struct arena *arena, const struct match_compiler *compiler,
	struct bytes source, struct match_refusal *ret_refusal,
	const struct cel_node **ret_tree) MUST_CHECK;

enum match_slot {
	MATCH_SLOT_DOCUMENT,
	MATCH_SLOT_ID,
	MATCH_SLOT_EVENT_ID,
	MATCH_SLOT_OPERATION,
	MATCH_SLOT_TIMESTAMP,
	MATCH_SLOT_COLLECTION,
	MATCH_SLOT_DATABASE,
	MATCH_SLOTS,
};

/* What the names of an expression are for this event; borrows from it. */
void match_slots_fill(const struct event *event, const struct cel_input *input,
	struct cel_value slots[MATCH_SLOTS]);

/* ---- index.c ---- */

struct match_index {
	uint64_t seed;
	struct map collections; /* of match_collection */
	struct map buckets;     /* of match_bucket, of all collections */
	struct map identities;  /* of match_bucket, those of document ids */
};

void match_index_init(struct match_index *index, uint64_t seed);
void match_index_fini(struct match_index *index); /* empty */

/* NULL: no query is about it. */
struct match_collection *match_index_collection(
	const struct match_index *index, struct bytes database, struct bytes collection);
struct bytes match_collection_database(const struct match_collection *collection);
struct bytes match_collection_name(const struct match_collection *collection);

/* Files a query by its tree; ERR_MEMORY leaves no trace. */
enum err match_index_file(struct match_index *index, struct bytes database, struct bytes collection,
	struct match_query *query) MUST_CHECK;
void match_index_unfile(struct match_index *index, struct match_query *query);

/* A document-id query for just this document, by its identity; NULL: there is none. */
const struct match_query *match_index_identify(
	const struct match_index *index, const struct event *event, struct bytes *ret_id);

/* Whose queries may hold for an event; `event` is what the input was made of. */
struct match_look {
	const struct event *event;
	const struct cel_input *input;
};

/*
 * Calls `visit` once for each query of the collection that may hold, those by document id first,
 * then the whole collection's, then the others; stops at the first error and returns it. Without a
 * document the others are passed over, of a purge all but those by document id.
 */
typedef enum err (*match_visit_fn)(void *ctx, struct match_query *query);
enum err match_index_visit(const struct match_index *index,
	const struct match_collection *collection, const struct match_look *look,
	match_visit_fn visit, void *ctx) MUST_CHECK;

#endif
