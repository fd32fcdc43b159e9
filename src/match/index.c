/*
 * The collections, and where each query is filed. A query stands at every place of its access set;
 * taking it out again costs the same at any size, because each list knows nothing and each query
 * knows its places.
 *
 * What was cheapest when a query came need not stay so. Whenever a query joins a long list, some of
 * those that stand there already are looked at again, in turn.
 */
#include "match_priv.h"

#include <string.h>

/* A list of so many is long: those with a range are filed by it from then on. */
#define LIST_LONG 8U
/* So many are looked at again when one more comes. */
#define LOOKED_AGAIN 4U

/* ---- collections ---- */

struct collection_key {
	struct bytes database, name;
};

static uint64_t hash_key(const void *key, uint64_t seed)
{
	const struct collection_key *wanted = key;
	return bytes_hash(wanted->name, bytes_hash(wanted->database, seed));
}

static uint64_t hash_item(const void *item, uint64_t seed)
{
	const struct match_collection *collection = item;
	return bytes_hash(collection->name, bytes_hash(collection->database, seed));
}

static bool collection_is(const void *item, const void *key)
{
	const struct match_collection *collection = item;
	const struct collection_key *wanted = key;
	return bytes_equal(collection->name, wanted->name) &&
		bytes_equal(collection->database, wanted->database);
}

static const struct map_type collection_type = {hash_key, hash_item, collection_is};

void match_index_init(struct match_index *index, uint64_t seed)
{
	*index = (struct match_index){0};
	map_init(&index->collections, &collection_type, seed);
	map_init(&index->paths, &match_path_type, seed);
	map_init(&index->predicates, &match_predicate_type, seed);
	map_init(&index->identities, &match_identity_type, seed);
}

void match_index_fini(struct match_index *index)
{
	check(index->collections.count == 0 && index->paths.count == 0);
	check(index->predicates.count == 0 && index->identities.count == 0);
	map_fini(&index->collections);
	map_fini(&index->paths);
	map_fini(&index->predicates);
	map_fini(&index->identities);
	pool_fini(&index->pool);
	arena_fini(&index->scratch);
}

struct match_collection *match_index_collection(
	const struct match_index *index, struct bytes database, struct bytes collection)
{
	const struct collection_key key = {database, collection};
	return map_find(&index->collections, &key);
}

static struct bytes copy_to(char *place, struct bytes bytes)
{
	if (bytes.size > 0) {
		memcpy(place, bytes.data, bytes.size);
	}
	return (struct bytes){place, bytes.size};
}

enum err match_index_ensure(struct match_index *index, struct bytes database, struct bytes name,
	struct match_collection **ret_collection)
{
	struct match_collection *collection = match_index_collection(index, database, name);
	if (collection) {
		*ret_collection = collection;
		return OK;
	}
	collection = mem_alloc(sizeof(*collection) + database.size + name.size);
	if (!collection) {
		return ERR_MEMORY;
	}
	*collection = (struct match_collection){0};
	collection->database = copy_to(collection->memory, database);
	collection->name = copy_to(collection->memory + database.size, name);
	enum err err = map_insert(&index->collections, collection);
	if (err != OK) {
		mem_free(collection);
		return err;
	}
	*ret_collection = collection;
	return OK;
}

void match_index_drop_if_empty(struct match_index *index, struct match_collection *collection)
{
	if (collection->queries_count > 0) {
		return;
	}
	check(!collection->document && !collection->id && !collection->whole);
	check(match_scope_is_empty(&collection->residuals));
	check(map_remove(&index->collections, collection));
	mem_free(collection);
}

/* ---- a query's places ---- */

/* The places of one query, before they are its own. */
struct places {
	struct match_query *query;
	struct match_access *accesses;
	struct match_bounds *bounds; /* NULL: no choice has any */
	uint32_t count;
};

struct match_access *match_query_accesses(struct match_query *query)
{
	return query->has_many ? query->as.many : &query->as.one;
}

static size_t places_size(size_t count, bool has_bounds)
{
	return count *
		(sizeof(struct match_access) + (has_bounds ? sizeof(struct match_bounds) : 0));
}

static struct match_bounds *bounds_behind(struct match_access *accesses, size_t count)
{
	return (struct match_bounds *)(void *)(accesses + count);
}

static struct places places_of(struct match_query *query)
{
	struct match_access *accesses = match_query_accesses(query);
	return (struct places){.query = query,
		.accesses = accesses,
		.bounds = query->has_bounds ? bounds_behind(accesses, query->accesses_count) : NULL,
		.count = query->accesses_count};
}

static struct match_scope *scope_of(struct match_query *query, struct match_predicate *key)
{
	return key ? &key->scope : &query->collection->residuals;
}

/* Lets go of a key that is needed no more, or of a facet's. */
static void leave_key(struct match_index *index, struct match_predicate *key)
{
	if (!key) {
		return;
	}
	if (match_scope_is_empty(&key->scope)) {
		check(match_predicate_use(key, false) == OK);
	}
	match_predicate_put(index, key);
}

static void leave(struct match_index *index, const struct places *places, uint32_t number)
{
	const struct match_access *access = &places->accesses[number];
	struct match_query *query = places->query;
	struct match_predicate *key = access->home;
	if (access->is_ranged) {
		check(places->bounds);
		struct match_facet *facet = access->home;
		const struct match_bounds *bounds = &places->bounds[access->place];
		key = facet->key;
		match_intervals_remove(&facet->intervals,
			&(struct match_interval){
				.low = bounds->low, .high = bounds->high, .item = query});
		match_facet_drop_if_empty(index, scope_of(query, key), facet);
	} else {
		match_scope_remove(&index->pool, scope_of(query, key), access->place);
	}
	if (key) {
		match_predicate_count_by_id(key, query->is_by_id ? UINT32_MAX : 0);
	}
	leave_key(index, key);
}

static enum err join_facet(struct match_index *index, struct places *places, uint32_t number,
	const struct match_choice *choice, struct match_predicate *key)
{
	struct match_scope *scope = scope_of(places->query, key);
	struct match_facet *facet = NULL;
	enum err err = match_facet_get(scope, key, choice->range, choice->order, &facet);
	if (err != OK) {
		return err;
	}
	err = match_intervals_add(&facet->intervals,
		&(struct match_interval){choice->bounds.low, choice->bounds.high, places->query,
			choice->needs.fields | (choice->is_proof ? MATCH_IS_PROOF : 0)});
	if (err != OK) {
		match_facet_drop_if_empty(index, scope, facet);
		return err;
	}
	places->bounds[number] = choice->bounds;
	places->accesses[number] = (struct match_access){
		.home = facet, .place = number, .is_ranged = true, .is_proof = choice->is_proof};
	return OK;
}

static bool wants_facet(const struct match_scope *scope, const struct match_choice *choice)
{
	return choice->range &&
		(!choice->is_keyed || scope->count >= LIST_LONG ||
			match_facet_find(scope, choice->range, choice->order));
}

static enum err join(struct match_index *index, struct places *places, uint32_t number,
	const struct match_choice *choice)
{
	struct match_predicate *key = NULL;
	enum err err = choice->is_keyed ? match_predicate_get(index, &choice->key, &key) : OK;
	if (err != OK) {
		return err;
	}
	struct match_scope *scope = scope_of(places->query, key);
	if (key && match_scope_is_empty(scope)) {
		err = match_predicate_use(key, true);
		if (err != OK) {
			match_predicate_put(index, key);
			return err;
		}
	}
	if (wants_facet(scope, choice)) {
		err = join_facet(index, places, number, choice, key);
	} else {
		uint32_t place = 0;
		bool is_proof = choice->is_proof && !choice->range;
		const struct match_entry entry = {places->query, choice->needs.fields,
			choice->needs.values, number * 2 + is_proof};
		err = match_scope_add(&index->pool, scope, &entry, &place);
		if (err == OK) {
			places->accesses[number] = (struct match_access){
				.home = key, .place = place, .is_proof = is_proof};
		}
	}
	if (err != OK) {
		leave_key(index, key);
	} else if (key) {
		match_predicate_count_by_id(key, places->query->is_by_id ? 1 : 0);
	}
	return err;
}

/* ---- filing ---- */

static enum err choose(struct match_index *index, const struct match_query *query,
	struct match_choices *ret_choices)
{
	return match_access_choose(&index->scratch, index, query, ret_choices);
}

static bool have_ranges(const struct match_choices *choices)
{
	for (size_t i = 0; i < choices->count; i++) {
		if (choices->items[i].range) {
			return true;
		}
	}
	return false;
}

static bool lead_nowhere(const struct match_choices *choices)
{
	for (size_t i = 0; i < choices->count; i++) {
		const struct match_choice *choice = &choices->items[i];
		bool is_coarse = !choice->is_keyed || choice->key.kind == CEL_HAS;
		if (is_coarse && !choice->range) {
			return true;
		}
	}
	return false;
}

/*
 * Joins all that was chosen and makes the places the query's own. On failure they are as they were;
 * the old ones, if there are any, are the caller's to leave.
 */
static enum err settle(
	struct match_index *index, struct match_query *query, const struct match_choices *choices)
{
	bool has_ranges = have_ranges(choices);
	bool has_many = choices->count > 1 || has_ranges;
	size_t size = places_size(choices->count, has_ranges);
	struct match_access one = {0};
	struct places places = {.query = query, .accesses = &one};
	if (has_many) {
		places.accesses = pool_alloc(&index->pool, size);
		if (!places.accesses) {
			return ERR_MEMORY;
		}
		places.bounds = has_ranges ? bounds_behind(places.accesses, choices->count) : NULL;
	}
	enum err err = OK;
	while (err == OK && places.count < choices->count) {
		err = join(index, &places, places.count, &choices->items[places.count]);
		places.count += err == OK;
	}
	if (err != OK) {
		while (places.count > 0) {
			leave(index, &places, --places.count);
		}
		if (has_many) {
			pool_free(&index->pool, places.accesses, size);
		}
		return err;
	}
	query->accesses_count = places.count;
	query->has_many = has_many;
	query->has_bounds = has_ranges;
	if (has_many) {
		query->as.many = places.accesses;
	} else {
		query->as.one = one;
	}
	return OK;
}

static void leave_all(struct match_index *index, const struct places *places, bool has_many)
{
	for (uint32_t i = places->count; i-- > 0;) {
		leave(index, places, i);
	}
	if (has_many) {
		pool_free(&index->pool, places->accesses,
			places_size(places->count, places->bounds != NULL));
	}
}

/* ---- looking again ---- */

/* Whether a query that stands in a list under `key` has a better place. */
static bool is_better(const struct match_predicate *key, const struct match_index *index,
	const struct match_choices *choices)
{
	const struct match_choice *choice = &choices->items[0];
	if (choices->count != 1 || !choice->is_keyed) {
		return choices->count == 1 && choice->range;
	}
	if (!key || match_predicate_find(index, &choice->key) != key) {
		return true;
	}
	return wants_facet(&key->scope, choice);
}

/* Only of those at one place: what is moved must not stand twice in the list that it leaves. */
static void reconsider(struct match_index *index, struct match_query *query)
{
	if (query->accesses_count != 1 || query->is_by_id || query->is_lone) {
		return;
	}
	struct match_choices choices = {0};
	struct places old = places_of(query);
	bool had_many = query->has_many;
	struct match_access one = query->as.one; /* if it is one */
	if (!had_many) {
		old.accesses = &one;
	}
	if (!old.accesses->is_ranged && choose(index, query, &choices) == OK &&
		is_better(old.accesses->home, index, &choices) &&
		settle(index, query, &choices) == OK) {
		leave_all(index, &old, had_many);
	}
}

static void reconsider_neighbours(struct match_index *index, struct match_query *query)
{
	if (query->accesses_count != 1) {
		return;
	}
	const struct match_access *access = match_query_accesses(query);
	const struct match_facet *facet = access->is_ranged ? access->home : NULL;
	const struct match_scope *scope = scope_of(query, facet ? facet->key : access->home);
	for (uint32_t i = 0; i < LOOKED_AGAIN; i++) {
		bool is_long = scope->count >= LIST_LONG || (facet && scope->count > 1);
		if (!is_long) {
			break;
		}
		reconsider(index, scope->as.entries[index->turn++ % scope->count].query);
	}
}

/* ---- lone queries ---- */

/*
 * Most queries are one comparison, which leads to them: they are not in a table of queries as well.
 * The first of a list stays the first until it leaves.
 */
static void lead(struct match_query *query)
{
	const struct match_access *access = &query->as.one;
	if (query->code_count == 1 && query->accesses_count == 1 && !query->has_many &&
		access->home && access->home == match_word_predicate(*query->code)) {
		query->is_lone = true;
		match_scope_lead(scope_of(query, access->home), access->place);
	}
}

struct match_query *match_index_lone(const struct match_predicate *predicate)
{
	struct match_query *query = match_scope_first(&predicate->scope);
	return query && query->is_lone ? query : NULL;
}

/* ---- */

enum err match_index_file(struct match_index *index, struct match_query *query)
{
	struct match_collection *collection = query->collection;
	enum err err = OK;
	if (match_word_is_join(*query->code) && match_word_join(*query->code) == MATCH_TRUE) {
		check(!collection->whole);
		collection->whole = query;
	} else {
		struct match_choices choices = {0};
		err = choose(index, query, &choices);
		err = err == OK ? settle(index, query, &choices) : err;
		query->is_residual = err == OK && lead_nowhere(&choices) &&
			match_access_leads_nowhere(index, query);
	}
	if (err == OK) {
		collection->queries_count++;
		index->residuals_count += query->is_residual;
		lead(query);
		reconsider_neighbours(index, query);
	}
	arena_reset(&index->scratch);
	return err;
}

void match_index_unfile(struct match_index *index, struct match_query *query)
{
	struct match_collection *collection = query->collection;
	if (collection->whole == query) {
		collection->whole = NULL;
	}
	const struct places places = places_of(query);
	leave_all(index, &places, query->has_many);
	query->accesses_count = 0;
	query->has_many = false;
	query->has_bounds = false;
	collection->queries_count--;
	index->residuals_count -= query->is_residual;
}
