/*
 * Queries stored once, and the life of a batch: the index names candidates, the tree decides. A
 * query and its tree are one piece of memory. Matching allocates only while its list of hits still
 * grows.
 */
#include "match_priv.h"

#include <string.h>

/* Of one batch; those beyond come with a later one. */
#define TROUBLES_MAX 64

struct match {
	uint64_t seed;
	struct interest *interest; /* may be NULL */
	struct metrics *metrics;   /* may be NULL */
	struct match_index index;
	struct map queries;   /* of match_query, by collection and tree */
	struct arena scratch; /* of one match_query_get */
	struct match_hit *hits;
	size_t hits_capacity;
	struct match_compiler compiler;
	uint32_t failures_max;
	struct arena memory; /* of one evaluation */
	struct match_trouble troubles[TROUBLES_MAX];
	size_t troubles_count;
};

static struct cel_limits limits_of(const struct match_limits *limits)
{
	return (struct cel_limits){
		.source_bytes = limits->source_bytes,
		.depth = limits->depth,
		.nodes = limits->nodes,
		.comprehensions = limits->macros,
		.literal_bytes = limits->literal,
		.regex_bytes = limits->regex_bytes,
		.memory_bytes = limits->memory_bytes,
		.cost = limits->cost,
		.steps = limits->steps,
	};
}

enum err match_new(const struct match_limits *limits, uint64_t seed, struct interest *interest,
	struct metrics *metrics, struct match **ret_match)
{
	struct match *match = mem_calloc(1, sizeof(*match));
	if (!match) {
		return ERR_MEMORY;
	}
	enum err err = cel_regexes_new(limits->regex_bytes, &match->compiler.regexes);
	if (err != OK) {
		mem_free(match);
		return err;
	}
	match->seed = seed;
	match->interest = interest;
	match->metrics = metrics;
	match->compiler.limits = limits_of(limits);
	match->compiler.metrics = metrics;
	match->failures_max = limits->failures;
	match_index_init(&match->index, seed);
	*ret_match = match;
	return OK;
}

static void free_query(struct match_query *query)
{
	cel_release(query->tree);
	mem_free(query);
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
	free_query(query);
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
	cel_regexes_free(match->compiler.regexes);
	arena_fini(&match->scratch);
	arena_fini(&match->memory);
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
		free_query(query);
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
	struct match_refusal *ret_refusal, struct match_query **ret_query)
{
	struct match_compiled compiled = {0};
	struct match_query *query = NULL;
	enum err err = match_compile(
		&match->scratch, &match->compiler, subscription, ret_refusal, &compiled);
	if (err == OK) {
		const struct query_key key = {
			subscription->database, subscription->collection, compiled.tree};
		err = find_or_make(match, &key, &query);
	}
	if (compiled.expression) {
		cel_release(compiled.expression);
	}
	if (err == OK) {
		query->has_expression = query->has_expression || compiled.expression;
		*ret_query = query;
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
	struct cel_value slots[MATCH_SLOTS];
	struct cel_run run;
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

static void begin_run(struct match *match, struct search *search, const struct event *event)
{
	search->input = input_of(event);
	match_slots_fill(event, &search->input, search->slots);
	search->run = (struct cel_run){.arena = &match->memory,
		.slots = search->slots,
		.steps = match->compiler.limits.steps,
		.memory_bytes = match->compiler.limits.memory_bytes};
	search->input.run = &search->run;
}

static void count_failure(struct metrics *metrics, enum cel_failure failure)
{
	static const enum metric counters[] = {
		[CEL_FAILED_NAME] = METRIC_expression_errors_name,
		[CEL_FAILED_TYPE] = METRIC_expression_errors_type,
		[CEL_FAILED_RANGE] = METRIC_expression_errors_range,
		[CEL_FAILED_ARGUMENT] = METRIC_expression_errors_argument,
		[CEL_FAILED_BUDGET] = METRIC_expression_stops_steps,
		[CEL_FAILED_MEMORY] = METRIC_expression_stops_memory,
	};
	metrics_add(metrics, counters[failure], 1);
}

static bool note_trouble(struct match *match, struct match_query *query,
	enum model_notice_code code, const char *text)
{
	if (match->troubles_count == TROUBLES_MAX) {
		return false;
	}
	match->troubles[match->troubles_count++] = (struct match_trouble){query, code, text};
	return true;
}

static const char *words_for(enum cel_failure failure)
{
	static const char *const words[] = {
		[CEL_FAILED_NAME] = "keeps failing: a field or a key is missing; ask with has()",
		[CEL_FAILED_TYPE] = "keeps failing: a value is of another type than it asks for",
		[CEL_FAILED_RANGE] = "keeps failing: a number is out of range",
		[CEL_FAILED_ARGUMENT] = "keeps failing: a function cannot use what it is given",
		[CEL_FAILED_BUDGET] = "was stopped: it takes too many steps on a large document",
		[CEL_FAILED_MEMORY] = "was stopped: it takes too much memory on a large document",
	};
	return words[failure];
}

/* Counts what an expression's evaluation came to; subscribers of one that does no good are told. */
static void judge(struct search *search, struct match_query *query, enum cel_outcome outcome)
{
	struct match *match = search->match;
	if (outcome != CEL_IS_ERROR) {
		query->failures = 0;
		return;
	}
	enum cel_failure failure = search->run.failure;
	count_failure(match->metrics, failure);
	query->failures += query->failures < UINT32_MAX;
	bool is_stopped = failure == CEL_FAILED_BUDGET || failure == CEL_FAILED_MEMORY;
	if (is_stopped && !query->was_stopped) {
		query->was_stopped =
			note_trouble(match, query, MODEL_NOTICE_STOPPED, words_for(failure));
	} else if (!is_stopped && !query->has_failed && query->failures >= match->failures_max) {
		query->has_failed =
			note_trouble(match, query, MODEL_NOTICE_FAILING, words_for(failure));
	}
}

static enum err try_candidate(void *ctx, struct match_query *query)
{
	struct search *search = ctx;
	enum cel_outcome outcome = cel_evaluate(query->tree, &search->input);
	if (query->has_expression) {
		judge(search, query, outcome);
		arena_reset(&search->match->memory);
	}
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
	begin_run(search->match, search, event);
	const struct match_look look = {event, &search->input};
	return match_index_visit(index, collection, &look, try_candidate, search);
}

enum err match_events(struct match *match, struct event *const *events, size_t count,
	const struct match_hit **ret_hits, size_t *ret_hits_count)
{
	check(count <= MATCH_BATCH_MAX);
	struct search search = {.match = match};
	enum err err = OK;
	match->troubles_count = 0;
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

const struct match_trouble *match_troubles(const struct match *match, size_t *ret_count)
{
	*ret_count = match->troubles_count;
	return match->troubles;
}

bool match_query_holds(
	struct match *match, const struct match_query *query, const struct event *event)
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
	struct search search = {.match = match};
	begin_run(match, &search, event);
	bool holds = cel_evaluate(query->tree, &search.input) == CEL_IS_TRUE;
	arena_reset(&match->memory);
	return holds;
}
