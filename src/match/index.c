/*
 * A query is filed under one equality of its top-level AND: if the tree holds, so does that. Its
 * place is a bucket of the queries of one path whose constants have one hash; buckets of all
 * collections stand in one table. Equal values have equal hashes, so the bucket of a document's
 * value holds every query whose equality holds, and perhaps others. (Constants are not compared
 * when filing: a double can equal two integers that differ, so equality is no way to group them.)
 * A document id goes before every other equality, and a choice of ids too. Queries without an
 * equality are residuals, visited for every document of their collection.
 */
#include "match_priv.h"

#include <string.h>

enum { ROOTS = CEL_ID + 1 };

/* One field of a collection under which queries are filed. */
struct match_path {
	struct match_collection *collection;
	struct match_path *next, *previous;
	uint64_t hash; /* of collection and field */
	struct cel_field field;
	size_t buckets_count;
	_Alignas(max_align_t) char memory[]; /* the field's */
};

struct match_bucket {
	uint64_t hash;
	struct match_path *path;
	uint64_t value_hash;
	struct match_list queries;
	bool has_identity; /* of a document id: that of its path stands among the identities */
	struct event_identity identity;
	uint64_t identity_hash;
};

struct match_collection {
	uint64_t hash;
	struct bytes database, name; /* in `memory` */
	size_t queries_count;
	struct match_query *whole; /* without filters; NULL if nobody asks */
	/* By what the query is found by. */
	struct match_path *paths[ROOTS];
	struct match_list residuals[ROOTS];
	char memory[];
};

void match_index_init(struct match_index *index, uint64_t seed)
{
	*index = (struct match_index){.seed = seed};
}

void match_index_fini(struct match_index *index)
{
	check(index->collections.count == 0 && index->buckets.count == 0);
	check(index->identities.count == 0);
	map_fini(&index->collections);
	map_fini(&index->buckets);
	map_fini(&index->identities);
}

/* ---- lists ---- */

static void list_add(struct match_list *list, struct match_query *query)
{
	query->list = list;
	query->previous = NULL;
	query->next = list->first;
	if (list->first) {
		list->first->previous = query;
	}
	list->first = query;
	list->count++;
}

static void list_remove(struct match_query *query)
{
	struct match_list *list = query->list;
	if (query->previous) {
		query->previous->next = query->next;
	} else {
		check(list->first == query);
		list->first = query->next;
	}
	if (query->next) {
		query->next->previous = query->previous;
	}
	query->list = NULL;
	list->count--;
}

static enum err list_visit(const struct match_list *list, match_visit_fn visit, void *ctx)
{
	enum err err = OK;
	for (struct match_query *query = list->first; err == OK && query; query = query->next) {
		err = visit(ctx, query);
	}
	return err;
}

/* ---- collections ---- */

struct collection_key {
	struct bytes database, name;
};

static bool collection_is(const void *item, const void *key)
{
	const struct match_collection *collection = item;
	const struct collection_key *wanted = key;
	return bytes_equal(collection->name, wanted->name) &&
		bytes_equal(collection->database, wanted->database);
}

static uint64_t collection_hash(
	const struct match_index *index, struct bytes database, struct bytes name)
{
	return bytes_hash(name, bytes_hash(database, index->seed));
}

struct match_collection *match_index_collection(
	const struct match_index *index, struct bytes database, struct bytes collection)
{
	const struct collection_key key = {database, collection};
	return map_find(&index->collections, collection_hash(index, database, collection), &key,
		collection_is);
}

struct bytes match_collection_database(const struct match_collection *collection)
{
	return collection->database;
}

struct bytes match_collection_name(const struct match_collection *collection)
{
	return collection->name;
}

static struct bytes copy_to(char *place, struct bytes bytes)
{
	if (bytes.size > 0) {
		memcpy(place, bytes.data, bytes.size);
	}
	return (struct bytes){place, bytes.size};
}

static enum err ensure_collection(struct match_index *index, struct bytes database,
	struct bytes name, struct match_collection **ret_collection)
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
	*collection = (struct match_collection){.hash = collection_hash(index, database, name)};
	collection->database = copy_to(collection->memory, database);
	collection->name = copy_to(collection->memory + database.size, name);
	enum err err = map_insert(&index->collections, collection->hash, collection);
	if (err != OK) {
		mem_free(collection);
		return err;
	}
	*ret_collection = collection;
	return OK;
}

static void drop_collection_if_empty(struct match_index *index, struct match_collection *collection)
{
	if (collection->queries_count > 0) {
		return;
	}
	for (int root = 0; root < ROOTS; root++) {
		check(!collection->paths[root] && !collection->residuals[root].first);
	}
	check(map_remove(&index->collections, collection->hash, collection));
	mem_free(collection);
}

/* ---- paths ---- */

static struct match_path *find_path(
	const struct match_collection *collection, const struct cel_field *field)
{
	struct match_path *path = collection->paths[field->root];
	while (path && !cel_field_equal(&path->field, field)) {
		path = path->next;
	}
	return path;
}

static enum err ensure_path(struct match_collection *collection, const struct cel_field *field,
	struct match_path **ret_path)
{
	struct match_path *path = find_path(collection, field);
	if (path) {
		*ret_path = path;
		return OK;
	}
	size_t size = cel_pack_field(field, NULL, 0, NULL);
	path = mem_alloc(sizeof(*path) + size);
	if (!path) {
		return ERR_MEMORY;
	}
	*path = (struct match_path){
		.collection = collection, .hash = cel_field_hash(field, collection->hash)};
	check(cel_pack_field(field, path->memory, size, &path->field) == size);
	struct match_path **first = &collection->paths[field->root];
	path->next = *first;
	if (path->next) {
		path->next->previous = path;
	}
	*first = path;
	*ret_path = path;
	return OK;
}

static void drop_path_if_empty(struct match_path *path)
{
	if (path->buckets_count > 0) {
		return;
	}
	if (path->previous) {
		path->previous->next = path->next;
	} else {
		path->collection->paths[path->field.root] = path->next;
	}
	if (path->next) {
		path->next->previous = path->previous;
	}
	mem_free(path);
}

/* ---- buckets ---- */

static uint64_t bucket_hash(const struct match_bucket *bucket)
{
	return bytes_hash(
		(struct bytes){(const char *)&bucket->value_hash, sizeof(bucket->value_hash)},
		bucket->path->hash);
}

static bool bucket_is(const void *item, const void *key)
{
	const struct match_bucket *bucket = item;
	const struct match_bucket *wanted = key;
	return bucket->path == wanted->path && bucket->value_hash == wanted->value_hash;
}

static struct match_bucket *find_bucket(
	const struct match_index *index, struct match_path *path, const struct value *value)
{
	const struct match_bucket key = {
		.path = path, .value_hash = value_hash(value, index->seed)};
	return map_find(&index->buckets, bucket_hash(&key), &key, bucket_is);
}

static size_t conjuncts_of(
	const struct cel_node *const *tree, const struct cel_node *const **ret_conjuncts)
{
	bool is_and = (*tree)->kind == CEL_AND;
	*ret_conjuncts = is_and ? (*tree)->children : tree;
	return is_and ? (*tree)->children_count : 1;
}

/* The first of the top-level AND that compares the document id so; or NULL. */
static const struct cel_node *find_on_id(const struct match_query *query, enum cel_kind kind)
{
	const struct cel_node *const *conjuncts = NULL;
	size_t count = conjuncts_of(&query->tree, &conjuncts);
	for (size_t i = 0; i < count; i++) {
		if (conjuncts[i]->kind == kind && conjuncts[i]->field.root == CEL_ID) {
			return conjuncts[i];
		}
	}
	return NULL;
}

/* ---- identities ---- */

/*
 * A delete may name its document by the hash of its path alone. Each bucket of a document id is
 * found by that too. (Two ids that share a bucket, by 64 seeded bits, would share the first one's
 * identity.)
 */
struct identity_key {
	struct bytes database;
	struct bytes collection; /* paths of two may be one: c/r and u1, c and r/u1; empty: any */
	const struct event_identity *identity;
};

static bool identity_is(const void *item, const void *key)
{
	const struct match_bucket *bucket = item;
	const struct identity_key *wanted = key;
	return memcmp(bucket->identity.bytes, wanted->identity->bytes, EVENT_IDENTITY_SIZE) == 0 &&
		bytes_equal(bucket->path->collection->database, wanted->database) &&
		(wanted->collection.size == 0 ||
			bytes_equal(bucket->path->collection->name, wanted->collection));
}

static uint64_t identity_hash(const struct match_index *index, const struct identity_key *key)
{
	struct bytes identity = {(const char *)key->identity->bytes, EVENT_IDENTITY_SIZE};
	return bytes_hash(identity, bytes_hash(key->database, index->seed));
}

static struct match_bucket *find_identity(
	const struct match_index *index, const struct event *event)
{
	const struct identity_key key = {
		event->change.database, event->collection, &event->identity};
	return map_find(&index->identities, identity_hash(index, &key), &key, identity_is);
}

/* A path that is too long has no identity, and its deletes cannot be told apart. */
static enum err add_identity(
	struct match_index *index, struct match_bucket *bucket, const struct value *id)
{
	const struct match_collection *collection = bucket->path->collection;
	if (!event_identity_of(collection->name, value_text(id), &bucket->identity)) {
		return OK;
	}
	const struct identity_key key = {collection->database, collection->name, &bucket->identity};
	bucket->identity_hash = identity_hash(index, &key);
	enum err err = map_insert(&index->identities, bucket->identity_hash, bucket);
	bucket->has_identity = err == OK;
	return err;
}

const struct match_query *match_index_identify(
	const struct match_index *index, const struct event *event, struct bytes *ret_id)
{
	const struct match_bucket *bucket = find_identity(index, event);
	if (!bucket) {
		return NULL;
	}
	const struct match_query *query = bucket->queries.first;
	*ret_id = value_text(find_on_id(query, CEL_EQUAL)->constant);
	return query;
}

static void drop_bucket_if_empty(struct match_index *index, struct match_bucket *bucket)
{
	if (bucket->queries.count > 0) {
		return;
	}
	check(map_remove(&index->buckets, bucket->hash, bucket));
	if (bucket->has_identity) {
		check(map_remove(&index->identities, bucket->identity_hash, bucket));
	}
	bucket->path->buckets_count--;
	drop_path_if_empty(bucket->path);
	mem_free(bucket);
}

static enum err ensure_bucket(struct match_index *index, struct match_collection *collection,
	const struct cel_node *equality, struct match_bucket **ret_bucket)
{
	struct match_path *path = NULL;
	enum err err = ensure_path(collection, &equality->field, &path);
	if (err != OK) {
		return err;
	}
	struct match_bucket *bucket = find_bucket(index, path, equality->constant);
	if (bucket) {
		*ret_bucket = bucket;
		return OK;
	}
	bucket = mem_alloc(sizeof(*bucket));
	if (!bucket) {
		drop_path_if_empty(path);
		return ERR_MEMORY;
	}
	*bucket = (struct match_bucket){
		.path = path, .value_hash = value_hash(equality->constant, index->seed)};
	bucket->hash = bucket_hash(bucket);
	if (equality->field.root == CEL_ID) {
		err = add_identity(index, bucket, equality->constant);
	}
	if (err == OK) {
		err = map_insert(&index->buckets, bucket->hash, bucket);
	}
	if (err != OK) {
		if (bucket->has_identity) {
			check(map_remove(&index->identities, bucket->identity_hash, bucket));
		}
		mem_free(bucket);
		drop_path_if_empty(path);
		return err;
	}
	path->buckets_count++;
	*ret_bucket = bucket;
	return OK;
}

/* ---- the access predicate of a query ---- */

/*
 * Objects take no part: hashing one costs the square of its members, and whoever writes documents
 * could choose a large one. No list of scalars equals a list with an object in it.
 */
static bool is_hashable(const struct value *value)
{
	const struct value *end = value_after(value);
	for (const struct value *cell = value; cell < end; cell++) {
		if (cell->kind == VALUE_OBJECT) {
			return false;
		}
	}
	return true;
}

/* How much a look-up by this equality brings: the fewer queries stand there now, the better. */
static size_t cost_of(const struct match_index *index, const struct match_collection *collection,
	const struct cel_node *equality)
{
	struct match_path *path = find_path(collection, &equality->field);
	const struct match_bucket *bucket =
		path ? find_bucket(index, path, equality->constant) : NULL;
	/* Of two that cost the same a string tells more documents apart. */
	return (bucket ? bucket->queries.count * 2 : 0) +
		(equality->constant->kind != VALUE_STRING);
}

/* The equality that costs least; or NULL. */
static const struct cel_node *find_cheapest(const struct match_index *index,
	const struct match_collection *collection, const struct match_query *query)
{
	const struct cel_node *const *conjuncts = NULL;
	size_t count = conjuncts_of(&query->tree, &conjuncts);
	const struct cel_node *best = NULL;
	size_t best_cost = SIZE_MAX;
	for (size_t i = 0; i < count; i++) {
		const struct cel_node *node = conjuncts[i];
		if (node->kind != CEL_EQUAL || !is_hashable(node->constant)) {
			continue;
		}
		size_t cost = cost_of(index, collection, node);
		if (cost < best_cost) {
			best = node;
			best_cost = cost;
		}
	}
	return best;
}

/* ---- filing ---- */

/* Sets the query's place; on failure the collection may be left empty. */
static enum err place(
	struct match_index *index, struct match_collection *collection, struct match_query *query)
{
	if (query->tree->kind == CEL_TRUE) {
		check(!collection->whole);
		collection->whole = query;
		return OK;
	}
	/* Document ids first, whatever else it asks: who asks by id hears of hard deletes. */
	const struct cel_node *access = find_on_id(query, CEL_EQUAL);
	bool is_one_of_some = !access && find_on_id(query, CEL_IN);
	query->is_by_id = access || is_one_of_some;
	if (!query->is_by_id) {
		access = find_cheapest(index, collection, query);
	}
	if (!access) {
		list_add(&collection->residuals[is_one_of_some ? CEL_ID : CEL_DOCUMENT], query);
		return OK;
	}
	struct match_bucket *bucket = NULL;
	enum err err = ensure_bucket(index, collection, access, &bucket);
	if (err != OK) {
		return err;
	}
	query->bucket = bucket;
	list_add(&bucket->queries, query);
	return OK;
}

enum err match_index_file(struct match_index *index, struct bytes database, struct bytes collection,
	struct match_query *query)
{
	struct match_collection *home = NULL;
	enum err err = ensure_collection(index, database, collection, &home);
	if (err != OK) {
		return err;
	}
	err = place(index, home, query);
	if (err != OK) {
		drop_collection_if_empty(index, home);
		return err;
	}
	query->collection = home;
	home->queries_count++;
	return OK;
}

void match_index_unfile(struct match_index *index, struct match_query *query)
{
	struct match_collection *home = query->collection;
	if (query->list) {
		list_remove(query);
	} else {
		check(home->whole == query);
		home->whole = NULL;
	}
	if (query->bucket) {
		drop_bucket_if_empty(index, query->bucket);
		query->bucket = NULL;
	}
	query->collection = NULL;
	home->queries_count--;
	drop_collection_if_empty(index, home);
}

/* ---- looking up ---- */

static const struct match_bucket *find_by_id(
	const struct match_index *index, struct match_path *path, const struct match_look *look)
{
	if (!look->input->id_is_unknown) {
		const struct value id = value_string(look->input->id);
		return find_bucket(index, path, &id);
	}
	const struct event *event = look->event;
	const struct match_bucket *bucket =
		event->has_identity ? find_identity(index, event) : NULL;
	return bucket && bucket->path == path ? bucket : NULL;
}

static enum err visit_path(const struct match_index *index, struct match_path *path,
	const struct match_look *look, match_visit_fn visit, void *ctx)
{
	const struct match_bucket *bucket = NULL;
	if (path->field.root == CEL_ID) {
		bucket = find_by_id(index, path, look);
	} else {
		const struct value *value = cel_field_value(&path->field, look->input);
		bucket = value && is_hashable(value) ? find_bucket(index, path, value) : NULL;
	}
	return bucket ? list_visit(&bucket->queries, visit, ctx) : OK;
}

/* The queries found by one root: through their equalities, then the residuals. */
static enum err visit_root(const struct match_index *index,
	const struct match_collection *collection, enum cel_root root,
	const struct match_look *look, match_visit_fn visit, void *ctx)
{
	struct match_path *path = collection->paths[root];
	for (; path; path = path->next) {
		enum err err = visit_path(index, path, look, visit, ctx);
		if (err != OK) {
			return err;
		}
	}
	return list_visit(&collection->residuals[root], visit, ctx);
}

enum err match_index_visit(const struct match_index *index,
	const struct match_collection *collection, const struct match_look *look,
	match_visit_fn visit, void *ctx)
{
	enum err err = visit_root(index, collection, CEL_ID, look, visit, ctx);
	if (look->event->is_purge) {
		return err;
	}
	if (err == OK && collection->whole) {
		err = visit(ctx, collection->whole);
	}
	if (err == OK && look->input->document) {
		err = visit_root(index, collection, CEL_DOCUMENT, look, visit, ctx);
	}
	return err;
}
