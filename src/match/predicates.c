/*
 * Comparisons and programs, each stored once for all queries that have it. One that a value of a
 * document can lead to is a *point*: the table of predicates is the index of equalities, of
 * elements and of prefixes, and queries are filed in the scope of a point.
 *
 * A point's constant equals exactly what hashes and compares as it does. Integers of 2^53 and more
 * do not: a double can equal two of them that differ.
 */
#include "match_priv.h"

#include <string.h>

#define EXACT_BELOW ((int64_t)1 << 53)

/* ---- what can be found by a value ---- */

static bool is_exact(const struct value *cell)
{
	if (cell->kind == VALUE_INT) {
		return cell->as.integer < EXACT_BELOW && cell->as.integer > -EXACT_BELOW;
	}
	return cell->kind != VALUE_UINT && cell->kind != VALUE_OBJECT;
}

static bool is_point(enum cel_kind kind, const struct value *constant)
{
	if (kind == CEL_HAS) {
		return true;
	}
	if (kind == CEL_STARTS_WITH) {
		return constant->size > 0 && constant->size <= MATCH_PREFIX_MAX;
	}
	if (kind != CEL_EQUAL && kind != CEL_CONTAINS) {
		return false;
	}
	const struct value *end = value_after(constant);
	for (const struct value *cell = constant; cell < end; cell++) {
		if (!is_exact(cell)) {
			return false;
		}
	}
	return true;
}

struct match_predicate_key match_predicate_key_of(
	enum cel_kind kind, struct match_path *path, const struct value *constant)
{
	return (struct match_predicate_key){.kind = kind,
		.path = path,
		.constant = constant,
		.is_point = is_point(kind, constant)};
}

/* ---- the table ---- */

struct program_text {
	uint32_t size;
	char data[];
};

struct bytes match_predicate_text(const struct match_predicate *predicate)
{
	const struct program_text *text = (const void *)predicate->memory;
	return (struct bytes){text->data, text->size};
}

static struct match_predicate_key key_of(const struct match_predicate *predicate)
{
	struct match_predicate_key key = {
		.kind = (enum cel_kind)predicate->kind, .is_point = predicate->is_point};
	if (key.kind == CEL_PROGRAM) {
		key.text = match_predicate_text(predicate);
	} else {
		key.path = predicate->of.path;
		key.constant = match_predicate_constant(predicate);
	}
	return key;
}

/* Points hash by value, so that whatever equals them finds them; the others as they are written. */
static uint64_t hash_key(const void *item, uint64_t seed)
{
	const struct match_predicate_key *key = item;
	uint64_t salt = (uint64_t)(uintptr_t)key->path * 0x9E3779B97F4A7C15U;
	salt ^= seed ^ ((uint64_t)key->kind << 1 | key->is_point);
	if (key->kind == CEL_PROGRAM) {
		return bytes_hash(key->text, salt);
	}
	if (!key->constant) {
		return bytes_hash((struct bytes){(const char *)&salt, sizeof(salt)}, seed);
	}
	if (key->is_point) {
		return value_hash(key->constant, salt);
	}
	return cel_hash(
		&(struct cel_node){.kind = key->kind, .depth = 1, .constant = key->constant}, salt);
}

static uint64_t hash_item(const void *item, uint64_t seed)
{
	const struct match_predicate_key key = key_of(item);
	return hash_key(&key, seed);
}

static bool predicate_is(const void *item, const void *wanted)
{
	const struct match_predicate *predicate = item;
	const struct match_predicate_key *key = wanted;
	if (predicate->kind != key->kind || predicate->is_point != key->is_point) {
		return false;
	}
	if (key->kind == CEL_PROGRAM) {
		return bytes_equal(match_predicate_text(predicate), key->text);
	}
	if (predicate->of.path != key->path) {
		return false;
	}
	const struct value *constant = match_predicate_constant(predicate);
	if (!constant || key->is_point) {
		return !constant || value_equal(constant, key->constant);
	}
	const struct cel_node a = {.constant = constant};
	const struct cel_node b = {.constant = key->constant};
	return cel_equal(&a, &b);
}

const struct map_type match_predicate_type = {hash_key, hash_item, predicate_is};

struct match_predicate *match_predicate_find(
	const struct match_index *index, const struct match_predicate_key *key)
{
	return map_find(&index->predicates, key);
}

/* ---- identities ---- */

/*
 * A delete may name its document by the hash of its path alone, so each point of a document id is
 * found by that too. The identity stands behind the constant's cell.
 */
struct identity_key {
	struct bytes database;
	struct bytes collection; /* paths of two may be one: c/r and u1, c and r/u1; empty: any */
	struct event_identity identity;
};

struct identity {
	struct event_identity of;
	uint32_t by_id; /* queries filed here that ask for just this document */
};

static struct identity *identity_of(const struct match_predicate *predicate)
{
	return (struct identity *)(void *)(predicate->memory + sizeof(struct value));
}

static uint64_t hash_identity(
	const struct event_identity *identity, struct bytes database, uint64_t seed)
{
	struct bytes bytes = {(const char *)identity->bytes, EVENT_IDENTITY_SIZE};
	return bytes_hash(bytes, bytes_hash(database, seed));
}

static uint64_t hash_identity_key(const void *item, uint64_t seed)
{
	const struct identity_key *key = item;
	return hash_identity(&key->identity, key->database, seed);
}

static uint64_t hash_identity_item(const void *item, uint64_t seed)
{
	const struct match_predicate *predicate = item;
	return hash_identity(
		&identity_of(predicate)->of, predicate->of.path->collection->database, seed);
}

static bool identity_is(const void *item, const void *wanted)
{
	const struct match_predicate *predicate = item;
	const struct identity_key *key = wanted;
	const struct match_collection *collection = predicate->of.path->collection;
	return memcmp(&identity_of(predicate)->of, &key->identity, sizeof(key->identity)) == 0 &&
		bytes_equal(collection->database, key->database) &&
		(key->collection.size == 0 || bytes_equal(collection->name, key->collection));
}

const struct map_type match_identity_type = {hash_identity_key, hash_identity_item, identity_is};

struct match_predicate *match_predicate_identify(
	const struct match_index *index, const struct event *event)
{
	const struct identity_key key = {
		event->change.database, event->collection, event->identity};
	struct match_predicate *predicate = map_find(&index->identities, &key);
	return predicate && identity_of(predicate)->by_id > 0 ? predicate : NULL;
}

void match_predicate_count_by_id(struct match_predicate *predicate, uint32_t more)
{
	if (predicate->has_identity) {
		identity_of(predicate)->by_id += more;
	}
}

/* A path that is too long has no identity, and its deletes cannot be told apart. */
static enum err add_identity(struct match_index *index, struct match_predicate *predicate)
{
	const struct value *id = match_predicate_constant(predicate);
	struct identity *identity = identity_of(predicate);
	identity->by_id = 0;
	if (!event_identity_of(
		    predicate->of.path->collection->name, value_text(id), &identity->of)) {
		return OK;
	}
	enum err err = map_insert(&index->identities, predicate);
	predicate->has_identity = err == OK;
	return err;
}

/* ---- their lives ---- */

const struct value *match_predicate_constant(const struct match_predicate *predicate)
{
	bool has_constant = predicate->kind != CEL_HAS && predicate->kind != CEL_PROGRAM;
	return has_constant ? (const struct value *)(const void *)predicate->memory : NULL;
}

static size_t cells_of(const struct value *constant)
{
	return constant ? (size_t)(value_after(constant) - constant) : 0;
}

static bool wants_identity(const struct match_predicate_key *key)
{
	return key->kind == CEL_EQUAL && key->path->collection->id == key->path &&
		key->constant->kind == VALUE_STRING;
}

static size_t size_of(const struct match_predicate_key *key)
{
	size_t size = sizeof(struct match_predicate);
	if (key->kind == CEL_PROGRAM) {
		return size + sizeof(struct program_text) + key->text.size;
	}
	size_t count = cells_of(key->constant);
	size += count * sizeof(struct value);
	for (size_t i = 0; i < count; i++) {
		size += key->constant[i].kind == VALUE_STRING ? key->constant[i].size : 0;
	}
	return size + (wants_identity(key) ? sizeof(struct identity) : 0);
}

static void copy_constant(struct match_predicate *predicate, const struct match_predicate_key *key)
{
	const struct value *constant = key->constant;
	size_t count = cells_of(constant);
	struct value *cells = (struct value *)(void *)predicate->memory;
	char *text = (char *)(cells + count) + (wants_identity(key) ? sizeof(struct identity) : 0);
	for (size_t i = 0; i < count; i++) {
		cells[i] = constant[i];
		if (cells[i].kind == VALUE_STRING && cells[i].size > 0) {
			memcpy(text, constant[i].as.text, cells[i].size);
			cells[i].as.text = text;
			text += cells[i].size;
		}
	}
}

/* The document itself, of which any member may matter. */
static bool is_whole(const struct match_path *path)
{
	return path == path->collection->document;
}

static struct match_predicate *make(
	struct match_index *index, const struct match_predicate_key *key)
{
	struct match_predicate *predicate = pool_alloc(&index->pool, size_of(key));
	if (!predicate) {
		return NULL;
	}
	*predicate = (struct match_predicate){.holders = 1,
		.kind = (uint8_t)key->kind,
		.is_point = key->is_point,
		.is_sorted = key->is_sorted};
	if (key->kind == CEL_PROGRAM) {
		struct program_text *text = (struct program_text *)(void *)predicate->memory;
		text->size = (uint32_t)key->text.size;
		memcpy(text->data, key->text.data, key->text.size);
		predicate->of.program = cel_program_ref(key->program);
		match_members_of_program(&index->members, key->program, true);
		return predicate;
	}
	copy_constant(predicate, key);
	predicate->of.path = key->path;
	match_path_hold(key->path);
	if (is_whole(key->path)) {
		match_members_add(&index->members, (struct bytes){NULL, 0});
	}
	return predicate;
}

static void release(struct match_index *index, struct match_predicate *predicate)
{
	const struct match_predicate_key key = key_of(predicate);
	size_t size = size_of(&key);
	if (predicate->has_identity) {
		check(map_remove(&index->identities, predicate));
	}
	if (predicate->kind == CEL_PROGRAM) {
		match_members_of_program(&index->members, predicate->of.program, false);
		cel_program_unref(predicate->of.program);
	} else {
		if (is_whole(predicate->of.path)) {
			match_members_remove(&index->members, (struct bytes){NULL, 0});
		}
		match_path_put(index, predicate->of.path);
	}
	pool_free(&index->pool, predicate, size);
}

enum err match_predicate_get(struct match_index *index, const struct match_predicate_key *key,
	struct match_predicate **ret_predicate)
{
	struct match_predicate *predicate = match_predicate_find(index, key);
	if (predicate) {
		match_predicate_hold(predicate);
		*ret_predicate = predicate;
		return OK;
	}
	predicate = make(index, key);
	if (!predicate) {
		return ERR_MEMORY;
	}
	enum err err = wants_identity(key) ? add_identity(index, predicate) : OK;
	if (err == OK) {
		err = map_insert(&index->predicates, predicate);
	}
	if (err != OK) {
		release(index, predicate);
		return err;
	}
	if (key->kind == CEL_HAS) {
		key->path->exists = predicate;
	}
	*ret_predicate = predicate;
	return OK;
}

void match_predicate_hold(struct match_predicate *predicate)
{
	predicate->holders++;
}

void match_predicate_put(struct match_index *index, struct match_predicate *predicate)
{
	if (--predicate->holders > 0) {
		return;
	}
	check(match_scope_is_empty(&predicate->scope));
	check(map_remove(&index->predicates, predicate));
	if (predicate->kind == CEL_HAS) {
		predicate->of.path->exists = NULL;
	}
	release(index, predicate);
}

/* ---- what a path has to look up ---- */

static enum err use_prefix(struct match_path *path, uint32_t size, bool is_used)
{
	if (!path->prefixes) {
		path->prefixes = mem_calloc(MATCH_PREFIX_MAX, sizeof(*path->prefixes));
		if (!path->prefixes) {
			return ERR_MEMORY;
		}
	}
	uint32_t *count = &path->prefixes[size - 1];
	*count = is_used ? *count + 1 : *count - 1;
	uint64_t bit = (uint64_t)1 << (size - 1);
	path->prefix_lengths =
		*count > 0 ? path->prefix_lengths | bit : path->prefix_lengths & ~bit;
	return OK;
}

enum err match_predicate_use(struct match_predicate *predicate, bool is_used)
{
	struct match_path *path = predicate->of.path;
	uint32_t step = is_used ? 1 : UINT32_MAX;
	uint32_t cells = (uint32_t)cells_of(match_predicate_constant(predicate));
	path->cells_max = cells > path->cells_max ? cells : path->cells_max;
	if (predicate->kind == CEL_EQUAL) {
		path->equals += step;
	} else if (predicate->kind == CEL_CONTAINS) {
		path->elements += step;
	} else if (predicate->kind == CEL_STARTS_WITH) {
		return use_prefix(path, match_predicate_constant(predicate)->size, is_used);
	} else {
		check(predicate->kind == CEL_HAS);
	}
	return OK;
}
