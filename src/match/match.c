/*
 * Queries stored once, and the life of a batch: the index names candidates, the tree decides. A
 * query and its tree are one piece of memory. Matching allocates only while its list of hits still
 * grows.
 */
#include "match_priv.h"

#include <stdio.h>
#include <string.h>

/* Of one batch; those beyond come with a later one. */
#define TROUBLES_MAX 64

/* More are tried before the next event of the batch is looked at. */
#define CANDIDATES_AT_ONCE 4096

/* So many candidates ahead: a query, and then what it is made of. */
#define FETCHED_FAR 16U
#define FETCHED_NEAR 8U

struct match {
	struct interest *interest; /* may be NULL */
	struct metrics *metrics;   /* may be NULL */
	struct match_index index;
	struct match_lookup *lookup;
	struct map queries;   /* of match_query, by collection and code; not of lone ones */
	struct arena scratch; /* of one match_query_get */
	uint64_t stamp;       /* of the event that was looked at last */
	struct match_hit *hits;
	size_t hits_capacity;
	struct match_compiler compiler;
	uint32_t failures_max, residuals_max;
	size_t subscription_bytes_max;
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

/* ---- queries ---- */

struct query_key {
	const struct match_collection *collection;
	const match_word *words;
	uint32_t count;
};

static uint64_t hash_query(const struct query_key *key, uint64_t seed)
{
	struct bytes words = {(const char *)key->words, key->count * sizeof(*key->words)};
	return bytes_hash(words, seed ^ (uint64_t)(uintptr_t)key->collection);
}

static uint64_t hash_key(const void *key, uint64_t seed)
{
	return hash_query(key, seed);
}

static struct query_key key_of(const struct match_query *query)
{
	return (struct query_key){query->collection, query->code, query->code_count};
}

static uint64_t hash_item(const void *item, uint64_t seed)
{
	const struct query_key key = key_of(item);
	return hash_query(&key, seed);
}

/* Predicates are stored once, so what is the same has the same words. */
static bool query_is(const void *item, const void *key)
{
	const struct match_query *query = item;
	const struct query_key *wanted = key;
	return query->collection == wanted->collection && query->code_count == wanted->count &&
		memcmp(query->code, wanted->words, wanted->count * sizeof(*wanted->words)) == 0;
}

static const struct map_type query_type = {hash_key, hash_item, query_is};

static void tell_interest(struct match *match, const struct match_collection *collection, bool adds)
{
	if (match->interest && adds) {
		interest_add(match->interest, collection->database, collection->name);
	} else if (match->interest) {
		interest_remove(match->interest, collection->database, collection->name);
	}
}

static void tell_metrics(struct match *match, const struct match_query *query, int64_t change)
{
	metrics_add(match->metrics, METRIC_queries_active, change);
	metrics_add(match->metrics, METRIC_residuals_active, query->is_residual ? change : 0);
}

static size_t size_of(uint32_t code_count)
{
	return sizeof(struct match_query) + code_count * sizeof(match_word);
}

/* Filed, but not yet among the queries. Takes the code over. */
static enum err make_query(struct match *match, struct match_collection *collection,
	const struct match_code *code, struct match_query **ret_query)
{
	struct match_query *query = pool_alloc(&match->index.pool, size_of(code->count));
	enum err err = query ? OK : ERR_MEMORY;
	if (err == OK) {
		*query = (struct match_query){.collection = collection,
			.holders = 1,
			.code_count = code->count & 0xFFFFFFU};
		memcpy(query->code, code->words, code->count * sizeof(*code->words));
		query->is_by_id = match_code_is_by_id(collection, query->code);
		err = match_index_file(&match->index, query);
	}
	if (err == OK && query->is_residual &&
		match->index.residuals_count > match->residuals_max) {
		match_index_unfile(&match->index, query);
		err = ERR_LIMIT;
	}
	if (err != OK) {
		match_code_release(&match->index, code->words, code->count);
		pool_free(&match->index.pool, query, size_of(code->count));
		return err;
	}
	tell_interest(match, collection, true);
	tell_metrics(match, query, 1);
	*ret_query = query;
	return OK;
}

static void free_query(struct match *match, struct match_query *query)
{
	struct match_collection *collection = query->collection;
	tell_interest(match, collection, false);
	tell_metrics(match, query, -1);
	match_index_unfile(&match->index, query);
	match_code_release(&match->index, query->code, query->code_count);
	match_index_drop_if_empty(&match->index, collection);
	pool_free(&match->index.pool, query, size_of(query->code_count));
}

static struct match_query *find(const struct match *match,
	const struct match_collection *collection, const struct match_code *code)
{
	struct match_query *query = NULL;
	if (code->count == 1 && !match_word_is_join(*code->words)) {
		query = match_index_lone(match_word_predicate(*code->words));
	}
	const struct query_key key = {collection, code->words, code->count};
	return query ? query : map_find(&match->queries, &key);
}

static enum err find_or_make(struct match *match, struct match_collection *collection,
	const struct cel_node *tree, struct match_query **ret_query)
{
	struct match_code code = {0};
	enum err err = match_code_make(&match->index, collection, &match->scratch, tree, &code);
	if (err != OK) {
		return err;
	}
	struct match_query *query = find(match, collection, &code);
	if (query) {
		match_code_release(&match->index, code.words, code.count);
		query->holders++;
		*ret_query = query;
		return OK;
	}
	err = make_query(match, collection, &code, &query);
	if (err != OK) {
		return err;
	}
	err = query->is_lone ? OK : map_insert(&match->queries, query);
	if (err != OK) {
		free_query(match, query);
		return err;
	}
	*ret_query = query;
	return OK;
}

static enum err get_by_tree(struct match *match, const struct model_subscription *subscription,
	const struct cel_node *tree, struct match_query **ret_query)
{
	struct match_collection *collection = NULL;
	enum err err = match_index_ensure(
		&match->index, subscription->database, subscription->collection, &collection);
	if (err != OK) {
		return err;
	}
	collection->queries_count++; /* it stays while there is no query yet */
	err = find_or_make(match, collection, tree, ret_query);
	collection->queries_count--;
	match_index_drop_if_empty(&match->index, collection);
	return err;
}

static void refuse_residual(struct match *match, struct match_refusal *ret_refusal)
{
	ret_refusal->code = MODEL_REFUSED_LIMIT;
	(void)snprintf(ret_refusal->text, sizeof(ret_refusal->text),
		"too many subscriptions that no value leads to: residuals_max is %u",
		match->residuals_max);
	(void)snprintf(ret_refusal->hint, sizeof(ret_refusal->hint),
		"add a comparison that an index can use, for example doc.kind == \"x\" && ...");
	metrics_add(match->metrics, METRIC_residuals_refused, 1);
}

/* Before anything of it is stored. */
static bool refuse_weight(struct match *match, const struct model_subscription *subscription,
	const struct cel_node *tree, struct match_refusal *ret_refusal)
{
	size_t weight = match_weigh(tree) + subscription->id.size;
	if (weight <= match->subscription_bytes_max) {
		return false;
	}
	ret_refusal->code = MODEL_REFUSED_LIMIT;
	(void)snprintf(ret_refusal->text, sizeof(ret_refusal->text),
		"subscription takes too much memory: about %zu bytes, subscription_bytes_max is "
		"%zu",
		weight, match->subscription_bytes_max);
	(void)snprintf(ret_refusal->hint, sizeof(ret_refusal->hint),
		"shorten its lists and patterns, or make several subscriptions of it");
	metrics_add(match->metrics, METRIC_subscription_bytes_refused, 1);
	return true;
}

/* Of match_compile's; a query has its own references by then. */
static void release_compiled(struct match *match, const struct match_compiled *compiled)
{
	if (compiled->expression) {
		cel_release(compiled->expression);
	}
	arena_reset(&match->scratch);
}

enum err match_query_get(struct match *match, const struct model_subscription *subscription,
	struct match_refusal *ret_refusal, struct match_query **ret_query)
{
	struct match_compiled compiled = {0};
	struct match_query *query = NULL;
	enum err err = match_compile(
		&match->scratch, &match->compiler, subscription, ret_refusal, &compiled);
	if (err == OK && refuse_weight(match, subscription, compiled.tree, ret_refusal)) {
		err = ERR_LIMIT;
	} else if (err == OK) {
		err = get_by_tree(match, subscription, compiled.tree, &query);
		if (err == ERR_LIMIT) {
			refuse_residual(match, ret_refusal);
		}
	}
	if (err == OK) {
		query->has_expression = query->has_expression || compiled.expression;
		*ret_query = query;
	}
	release_compiled(match, &compiled);
	return err;
}

static enum err compare_code(struct match *match, const struct match_query *query,
	const struct cel_node *tree, bool *ret_is)
{
	struct match_code code = {0};
	enum err err =
		match_code_make(&match->index, query->collection, &match->scratch, tree, &code);
	if (err == OK) {
		const struct query_key key = {query->collection, code.words, code.count};
		*ret_is = query_is(query, &key);
		match_code_release(&match->index, code.words, code.count);
	}
	return err;
}

enum err match_query_is(struct match *match, const struct match_query *query,
	const struct model_subscription *subscription, bool *ret_is)
{
	const struct match_collection *collection = query->collection;
	if (!bytes_equal(collection->database, subscription->database) ||
		!bytes_equal(collection->name, subscription->collection)) {
		*ret_is = false;
		return OK;
	}
	struct match_compiled compiled = {0};
	struct match_refusal refusal = {0};
	enum err err =
		match_compile(&match->scratch, &match->compiler, subscription, &refusal, &compiled);
	if (err == OK) {
		err = compare_code(match, query, compiled.tree, ret_is);
	} else if (err != ERR_MEMORY) {
		*ret_is = false; /* there is no query of it */
		err = OK;
	}
	release_compiled(match, &compiled);
	return err;
}

void match_query_put(struct match *match, struct match_query *query)
{
	check(query->holders > 0);
	if (--query->holders == 0) {
		check(query->is_lone || map_remove(&match->queries, query));
		free_query(match, query);
	}
}

bool match_trim(struct match *match)
{
	return pool_trim(&match->index.pool);
}

struct bytes match_query_database(const struct match_query *query)
{
	return query->collection->database;
}

bool match_query_is_residual(const struct match_query *query)
{
	return query->is_residual;
}

void **match_query_slot(struct match_query *query)
{
	return &query->slot;
}

/* ---- the engine ---- */

enum err match_new(const struct match_limits *limits, uint64_t seed, struct interest *interest,
	struct metrics *metrics, struct match **ret_match)
{
	struct match *match = mem_calloc(1, sizeof(*match));
	if (!match) {
		return ERR_MEMORY;
	}
	enum err err = cel_regexes_new(limits->regex_bytes, &match->compiler.regexes);
	if (err == OK) {
		err = match_lookup_new(&match->index, &match->lookup);
	}
	if (err != OK) {
		cel_regexes_free(match->compiler.regexes);
		mem_free(match);
		return err;
	}
	match->interest = interest;
	match->metrics = metrics;
	match->compiler.limits = limits_of(limits);
	match->compiler.metrics = metrics;
	match->failures_max = limits->failures;
	match->residuals_max = limits->residuals;
	match->subscription_bytes_max = limits->subscription_bytes;
	match_index_init(&match->index, seed);
	match->index.members.interest = interest;
	map_init(&match->queries, &query_type, seed);
	*ret_match = match;
	return OK;
}

uint64_t match_members(const struct match *match)
{
	const struct match_members *members = &match->index.members;
	return members->counts[EVENT_MEMBERS] > 0 ? UINT64_MAX : members->bits;
}

static void free_queries(struct match *match)
{
	size_t cursor = 0;
	for (;;) {
		struct match_query *query = map_next(&match->queries, &cursor);
		if (!query) {
			break;
		}
		free_query(match, query);
	}
	map_fini(&match->queries);
	/* What is left are lone ones, each with its predicate. */
	for (;;) {
		cursor = 0; /* the last one's predicate has gone, and its table has changed */
		const struct match_predicate *predicate =
			map_next(&match->index.predicates, &cursor);
		if (!predicate) {
			break;
		}
		free_query(match, match_index_lone(predicate));
	}
}

void match_free(struct match *match)
{
	if (!match) {
		return;
	}
	free_queries(match);
	match_index_fini(&match->index);
	match_lookup_free(match->lookup);
	cel_regexes_free(match->compiler.regexes);
	arena_fini(&match->scratch);
	arena_fini(&match->memory);
	mem_free(match->hits);
	mem_free(match);
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
	const struct match_predicate *predicate = match_predicate_identify(&match->index, event);
	if (!predicate) {
		return false;
	}
	*ret_collection = predicate->of.path->collection->name;
	*ret_id = value_text(match_predicate_constant(predicate));
	return true;
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
	struct match_evaluation evaluation;
	size_t hits_count;
	int64_t found, candidates, errors;
};

static bool is_whole(const struct match_query *query)
{
	return query->collection->whole == query;
}

static enum err add_hit(struct search *search, const struct match_candidate *candidate)
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
	match->hits[search->hits_count++] = (struct match_hit){candidate->event, candidate->query};
	return OK;
}

/* Values and outcomes of other events are forgotten. */
static void begin_event(struct search *search, const struct event *event, uint64_t stamp)
{
	struct match_evaluation *evaluation = &search->evaluation;
	evaluation->stamp = stamp;
	evaluation->event = event;
	evaluation->input = input_of(event);
	evaluation->has_run = false;
	evaluation->met = &match_met_unknown;
}

static struct search search_of(struct match *match)
{
	return (struct search){.match = match,
		.evaluation = {.limits = &match->compiler.limits,
			.memory = &match->memory,
			.node = {.depth = 1}}};
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
	enum cel_failure failure = match_evaluation_failure(&search->evaluation);
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

static enum err try_candidate(struct search *search, const struct match_candidate *candidate)
{
	struct match_query *query = candidate->query;
	if (query->seen == search->evaluation.stamp) {
		return OK;
	}
	query->seen = search->evaluation.stamp;
	search->found++;
	enum cel_outcome outcome = CEL_IS_TRUE;
	if (!candidate->is_proven) {
		outcome = match_evaluate(&search->evaluation, query->code);
		search->candidates++;
		search->errors += outcome == CEL_IS_ERROR;
	}
	if (query->has_expression) {
		judge(search, query, outcome);
	}
	return outcome == CEL_IS_TRUE ? add_hit(search, candidate) : OK;
}

/* Of what holds already only the head is read. */
static void fetch_query(const struct match_candidate *candidate)
{
	const struct match_query *query = candidate->query;
	__builtin_prefetch(query);
	__builtin_prefetch(&query->holders); /* behind the bits */
	if (!candidate->is_proven) {
		match_prefetch(query->code);
	}
}

static void fetch_predicates(const struct match_query *query, const struct match_needs *met)
{
	const uint32_t words = query->code_count < 4 ? query->code_count : 4;
	for (uint32_t i = 0; i < words; i++) {
		const match_word word = query->code[i];
		const struct match_needs needs = match_word_needs(word);
		if (!match_word_is_join(word) && match_needs_are_met(&needs, met)) {
			match_prefetch(match_word_predicate(word));
		}
	}
}

/* What a candidate will be tried by is fetched some candidates before. */
static void fetch_ahead(
	const struct match_lookup *lookup, const struct match_candidates *candidates, size_t at)
{
	for (size_t i = at > 0 ? at + FETCHED_FAR : 0;
		i <= at + FETCHED_FAR && i < candidates->count; i++) {
		fetch_query(&candidates->items[i]);
	}
	if (at + FETCHED_NEAR < candidates->count) {
		const struct match_candidate *near = &candidates->items[at + FETCHED_NEAR];
		if (!near->is_proven) {
			fetch_predicates(
				near->query, &match_lookup_met(lookup, near->event)->needs);
		}
	}
}

/* Tries what has been collected; stamps are those of the batch. */
static enum err try_candidates(
	struct search *search, struct event *const *events, uint64_t first_stamp)
{
	struct match_lookup *lookup = search->match->lookup;
	struct match_candidates *candidates = match_lookup_candidates(lookup);
	enum err err = OK;
	for (size_t i = 0; err == OK && i < candidates->count; i++) {
		const struct match_candidate *candidate = &candidates->items[i];
		uint64_t stamp = first_stamp + candidate->event;
		fetch_ahead(lookup, candidates, i);
		if (search->evaluation.stamp != stamp) {
			begin_event(search, events[candidate->event], stamp);
			search->evaluation.met = match_lookup_met(lookup, candidate->event);
			(void)match_lookup_activate(lookup, candidate->event, stamp);
		}
		err = try_candidate(search, candidate);
	}
	candidates->count = 0;
	return err;
}

static enum err match_batch(struct search *search, struct event *const *events, size_t count)
{
	struct match *match = search->match;
	enum err err = match_lookup_prepare(match->lookup, events, count);
	uint64_t first_stamp = match->stamp + 1;
	match->stamp += count;
	for (uint32_t i = 0; err == OK && i < count; i++) {
		if (!match_lookup_activate(match->lookup, i, first_stamp + i)) {
			continue;
		}
		begin_event(search, events[i], first_stamp + i);
		err = match_lookup_collect(match->lookup);
		if (err == OK &&
			match_lookup_candidates(match->lookup)->count > CANDIDATES_AT_ONCE) {
			err = try_candidates(search, events, first_stamp);
		}
	}
	return err == OK ? try_candidates(search, events, first_stamp) : err;
}

enum err match_events(struct match *match, struct event *const *events, size_t count,
	const struct match_hit **ret_hits, size_t *ret_hits_count)
{
	struct search search = search_of(match);
	match->troubles_count = 0;
	enum err err = match_batch(&search, events, count);
	for (size_t i = 0; i < search.hits_count; i++) {
		match_prefetch(match->hits[i].query->slot); /* where its user will look */
	}
	metrics_add(match->metrics, METRIC_match_found, search.found);
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

static void read_roots(const struct match_evaluation *evaluation,
	const struct match_collection *collection, const struct value *id)
{
	struct match_path *document = collection->document;
	if (document && evaluation->event->document) {
		document->value = evaluation->event->document;
		document->stamp = evaluation->stamp;
	}
	if (collection->id && !evaluation->input.id_is_unknown) {
		collection->id->value = id;
		collection->id->stamp = evaluation->stamp;
	}
}

bool match_query_holds(
	struct match *match, const struct match_query *query, const struct event *event)
{
	const struct match_collection *collection = query->collection;
	if (event->operation == MODEL_NO_OPERATION ||
		!bytes_equal(event->change.database, collection->database) ||
		!bytes_equal(event->collection, collection->name)) {
		return false;
	}
	check(event->is_read);
	if (event->is_purge && !query->is_by_id) {
		return false;
	}
	bool needs_document = !is_whole(query) && !query->is_by_id;
	if (needs_document && !event->document) {
		return false;
	}
	struct search search = search_of(match);
	struct value id = value_string(event->document_id);
	begin_event(&search, event, ++match->stamp);
	read_roots(&search.evaluation, collection, &id);
	for (uint32_t i = 0; i < query->code_count; i++) {
		match_word word = query->code[i];
		if (!match_word_is_join(word) && match_word_predicate(word)->kind != CEL_PROGRAM) {
			match_path_read(match_word_predicate(word)->of.path, match->stamp);
		}
	}
	return match_evaluate(&search.evaluation, query->code) == CEL_IS_TRUE;
}
