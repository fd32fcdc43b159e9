/*
 * Queries stored once, and the life of a batch: the index names candidates, the tree decides. A
 * query and its tree are one piece of memory. Matching allocates only while its list of hits still
 * grows.
 */
#include "match_priv.h"

#include <string.h>

struct match {
	uint64_t seed;
	struct interest *interest; /* may be NULL */
	struct metrics *metrics;   /* may be NULL */
	struct match_index index;
	struct map queries;   /* of match_query, by collection and tree */
	struct arena scratch; /* of one match_query_get */
	struct match_hit *hits;
	size_t hits_capacity;
};

enum err match_new(
	uint64_t seed, struct interest *interest, struct metrics *metrics, struct match **ret_match)
{
	struct match *match = mem_alloc(sizeof(*match));
	if (!match) {
		return ERR_MEMORY;
	}
	*match = (struct match){.seed = seed, .interest = interest, .metrics = metrics};
	match_index_init(&match->index, seed);
	*ret_match = match;
	return OK;
}

/* What making a query gave, but for its place among the queries. */
static void undo_query(struct match *match, struct match_query *query)
{
	if (match->interest) {
		interest_remove(match->interest, match_collection_database(query->collection),
			match_collection_name(query->collection));
	}
	metrics_add(match->metrics, METRIC_queries_active, -1);
	match_index_unfile(&match->index, query);
	mem_free(query);
}

void match_free(struct match *match)
{
	if (!match) {
		return;
	}
	size_t cursor = 0;
	for (;;) {
		struct match_query *query = map_next(&match->queries, &cursor);
		if (!query) {
			break;
		}
		undo_query(match, query);
	}
	map_fini(&match->queries);
	match_index_fini(&match->index);
	arena_fini(&match->scratch);
	mem_free(match->hits);
	mem_free(match);
}

/* ---- queries ---- */

struct query_key {
	struct bytes database, collection;
	const struct cel_node *tree;
};

static bool query_is(const void *item, const void *key)
{
	const struct match_query *query = item;
	const struct query_key *wanted = key;
	return bytes_equal(match_collection_database(query->collection), wanted->database) &&
		bytes_equal(match_collection_name(query->collection), wanted->collection) &&
		cel_equal(query->tree, wanted->tree);
}

static uint64_t query_hash(const struct match *match, const struct query_key *key)
{
	uint64_t hash = bytes_hash(key->collection, bytes_hash(key->database, match->seed));
	return cel_hash(key->tree, hash);
}

/* A query with one holder, filed, but not yet among the queries. */
static enum err make_query(
	struct match *match, const struct query_key *key, struct match_query **ret_query)
{
	size_t size = cel_pack(key->tree, NULL, 0, NULL);
	struct match_query *query = mem_alloc(sizeof(*query) + size);
	if (!query) {
		return ERR_MEMORY;
	}
	*query = (struct match_query){.hash = query_hash(match, key), .holders = 1};
	check(cel_pack(key->tree, query->memory, size, &query->tree) == size);
	enum err err = match_index_file(&match->index, key->database, key->collection, query);
	if (err != OK) {
		mem_free(query);
		return err;
	}
	if (match->interest) {
		interest_add(match->interest, key->database, key->collection);
	}
	metrics_add(match->metrics, METRIC_queries_active, 1);
	*ret_query = query;
	return OK;
}

static enum err find_or_make(
	struct match *match, const struct query_key *key, struct match_query **ret_query)
{
	struct match_query *query =
		map_find(&match->queries, query_hash(match, key), key, query_is);
	if (query) {
		query->holders++;
		*ret_query = query;
		return OK;
	}
	enum err err = make_query(match, key, &query);
	if (err != OK) {
		return err;
	}
	err = map_insert(&match->queries, query->hash, query);
	if (err != OK) {
		undo_query(match, query);
		return err;
	}
	*ret_query = query;
	return OK;
}

enum err match_query_get(struct match *match, const struct model_subscription *subscription,
	struct err_info *info, uint32_t *ret_filter, struct match_query **ret_query)
{
	struct query_key key = {subscription->database, subscription->collection, NULL};
	enum err err = match_compile(&match->scratch, subscription, info, ret_filter, &key.tree);
	if (err == OK) {
		err = find_or_make(match, &key, ret_query);
	}
	arena_reset(&match->scratch);
	return err;
}

void match_query_put(struct match *match, struct match_query *query)
{
	check(query->holders > 0);
	if (--query->holders == 0) {
		check(map_remove(&match->queries, query->hash, query));
		undo_query(match, query);
	}
}

void **match_query_slot(struct match_query *query)
{
	return &query->slot;
}

bool match_wants(const struct match *match, struct bytes database, struct bytes collection)
{
	return match_index_collection(&match->index, database, collection) != NULL;
}

/* ---- events ---- */

bool match_identify(const struct match *match, const struct event *event,
	struct bytes *ret_collection, struct bytes *ret_id)
{
	if (!event->id_is_unknown || !event->has_identity) {
		return false;
	}
	const struct match_query *query = match_index_identify(&match->index, event, ret_id);
	if (query) {
		*ret_collection = match_collection_name(query->collection);
	}
	return query != NULL;
}

static bool event_id_is(const void *ctx, struct bytes id)
{
	const struct event *event = ctx;
	struct event_identity identity;
	return event_identity_of(event->collection, id, &identity) &&
		memcmp(identity.bytes, event->identity.bytes, EVENT_IDENTITY_SIZE) == 0;
}

/* Of a document that was refused an empty id may mean that none was read. */
static struct cel_input input_of(const struct event *event)
{
	bool is_lost = event->is_refused && event->document_id.size == 0;
	return (struct cel_input){
		.document = event->document,
		.id = event->document_id,
		.id_is_unknown = event->id_is_unknown || is_lost,
		.id_is = event->has_identity ? event_id_is : NULL,
		.id_ctx = event,
	};
}

struct search {
	struct match *match;
	struct cel_input input;
	uint32_t event;
	size_t hits_count;
	int64_t candidates, errors;
};

static enum err add_hit(struct search *search, struct match_query *query)
{
	struct match *match = search->match;
	if (search->hits_count == match->hits_capacity) {
		size_t capacity = match->hits_capacity > 0 ? match->hits_capacity * 2 : 64;
		struct match_hit *hits = mem_realloc(match->hits, capacity * sizeof(*hits));
		if (!hits) {
			return ERR_MEMORY;
		}
		match->hits = hits;
		match->hits_capacity = capacity;
	}
	match->hits[search->hits_count++] = (struct match_hit){search->event, query};
	return OK;
}

static enum err try_candidate(void *ctx, struct match_query *query)
{
	struct search *search = ctx;
	enum cel_outcome outcome = cel_evaluate(query->tree, &search->input);
	search->candidates += query->tree->kind != CEL_TRUE;
	search->errors += outcome == CEL_IS_ERROR;
	return outcome == CEL_IS_TRUE ? add_hit(search, query) : OK;
}

static enum err match_event(struct search *search, const struct event *event)
{
	const struct match_index *index = &search->match->index;
	const struct match_collection *collection =
		match_index_collection(index, event->change.database, event->collection);
	if (!collection || event->operation == MODEL_NO_OPERATION) {
		return OK;
	}
	check(event->is_read);
	search->input = input_of(event);
	const struct match_look look = {event, &search->input};
	return match_index_visit(index, collection, &look, try_candidate, search);
}

enum err match_events(struct match *match, struct event *const *events, size_t count,
	const struct match_hit **ret_hits, size_t *ret_hits_count)
{
	check(count <= MATCH_BATCH_MAX);
	struct search search = {.match = match};
	enum err err = OK;
	for (size_t i = 0; err == OK && i < count; i++) {
		search.event = (uint32_t)i;
		err = match_event(&search, events[i]);
	}
	metrics_add(match->metrics, METRIC_match_candidates, search.candidates);
	metrics_add(match->metrics, METRIC_match_errors, search.errors);
	if (err == OK) {
		*ret_hits = match->hits;
		*ret_hits_count = search.hits_count;
	}
	return err;
}

bool match_query_holds(const struct match_query *query, const struct event *event)
{
	const struct match_collection *collection = query->collection;
	if (event->operation == MODEL_NO_OPERATION ||
		!bytes_equal(event->change.database, match_collection_database(collection)) ||
		!bytes_equal(event->collection, match_collection_name(collection))) {
		return false;
	}
	check(event->is_read);
	if (event->is_purge && !query->is_by_id) {
		return false;
	}
	bool needs_document = query->tree->kind != CEL_TRUE && !query->is_by_id;
	if (needs_document && !event->document) {
		return false;
	}
	const struct cel_input input = input_of(event);
	return cel_evaluate(query->tree, &input) == CEL_IS_TRUE;
}
