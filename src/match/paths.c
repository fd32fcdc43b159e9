/*
 * The fields that queries read, as a tree of names for each collection: a document is walked once
 * for all of them. A path lives as long as somebody holds it; its children hold it.
 */
#include "match_priv.h"

#include <string.h>

struct path_key {
	const struct match_path *parent;
	struct bytes name;
};

static uint64_t hash_of(const struct match_path *parent, struct bytes name, uint64_t seed)
{
	return bytes_hash(name, seed ^ ((uint64_t)(uintptr_t)parent * 0x9E3779B97F4A7C15U));
}

static uint64_t hash_key(const void *key, uint64_t seed)
{
	const struct path_key *wanted = key;
	return hash_of(wanted->parent, wanted->name, seed);
}

static uint64_t hash_item(const void *item, uint64_t seed)
{
	const struct match_path *path = item;
	return hash_of(path->parent, path->name, seed);
}

static bool path_is(const void *item, const void *key)
{
	const struct match_path *path = item;
	const struct path_key *wanted = key;
	return path->parent == wanted->parent && bytes_equal(path->name, wanted->name);
}

const struct map_type match_path_type = {hash_key, hash_item, path_is};

struct match_path *match_path_child(
	const struct match_index *index, const struct match_path *parent, struct bytes name)
{
	if (parent->children_count > MATCH_CHILDREN_SEARCHED) {
		const struct path_key key = {parent, name};
		return map_find(&index->paths, &key);
	}
	struct match_path *child = parent->first_child;
	while (child && !bytes_equal(child->name, name)) {
		child = child->next;
	}
	return child;
}

static struct match_path *path_alloc(struct match_collection *collection, struct bytes name)
{
	struct match_path *path = mem_alloc(sizeof(*path) + name.size);
	if (!path) {
		return NULL;
	}
	*path = (struct match_path){
		.collection = collection, .bit = collection->paths_made++ % MATCH_FIELDS};
	if (name.size > 0) {
		memcpy(path->memory, name.data, name.size);
	}
	path->name = (struct bytes){path->memory, name.size};
	return path;
}

/* Whether it is a member of the document itself. */
static bool is_member(const struct match_path *path)
{
	return path->parent && !path->parent->parent;
}

/* Not held yet. */
static enum err child_new(struct match_index *index, struct match_path *parent, struct bytes name,
	struct match_path **ret_child)
{
	struct match_path *child = path_alloc(parent->collection, name);
	if (!child) {
		return ERR_MEMORY;
	}
	child->parent = parent;
	enum err err = map_insert(&index->paths, child);
	if (err != OK) {
		mem_free(child);
		return err;
	}
	child->next = parent->first_child;
	if (child->next) {
		child->next->previous = child;
	}
	parent->first_child = child;
	parent->children_count++;
	match_path_hold(parent);
	if (is_member(child)) {
		match_members_add(&index->members, child->name);
	}
	*ret_child = child;
	return OK;
}

static void path_unlink(struct match_index *index, struct match_path *path)
{
	check(map_remove(&index->paths, path));
	if (is_member(path)) {
		match_members_remove(&index->members, path->name);
	}
	if (path->previous) {
		path->previous->next = path->next;
	} else {
		path->parent->first_child = path->next;
	}
	if (path->next) {
		path->next->previous = path->previous;
	}
	path->parent->children_count--;
}

void match_path_hold(struct match_path *path)
{
	path->holders++;
}

void match_path_put(struct match_index *index, struct match_path *path)
{
	while (path && --path->holders == 0) {
		struct match_collection *collection = path->collection;
		struct match_path *parent = path->parent;
		check(path->equals == 0 && path->elements == 0 && path->prefix_lengths == 0);
		check(path->words == 0 && path->equal_words == 0);
		check(!path->exists && !path->first_child);
		if (parent) {
			path_unlink(index, path);
		} else if (path == collection->id) {
			collection->id = NULL;
		} else {
			collection->document = NULL;
		}
		mem_free(path->prefixes);
		mem_free(path);
		path = parent;
	}
}

/* One of the collection's two roots, with one more holder. */
static enum err root_get(
	struct match_collection *collection, enum cel_root root, struct match_path **ret_path)
{
	struct match_path **place = root == CEL_ID ? &collection->id : &collection->document;
	if (!*place) {
		*place = path_alloc(collection, (struct bytes){0});
	}
	if (!*place) {
		return ERR_MEMORY;
	}
	match_path_hold(*place);
	*ret_path = *place;
	return OK;
}

enum err match_path_get(struct match_index *index, struct match_collection *collection,
	const struct cel_field *field, struct match_path **ret_path)
{
	struct match_path *path = NULL;
	enum err err = root_get(collection, field->root, &path);
	for (uint32_t i = 0; err == OK && i < field->parts_count; i++) {
		struct match_path *child = match_path_child(index, path, field->parts[i]);
		if (!child) {
			err = child_new(index, path, field->parts[i], &child);
		}
		if (err == OK) {
			match_path_hold(child);
		}
		match_path_put(index, path); /* a child holds it now */
		path = child;
	}
	if (err == OK) {
		*ret_path = path;
	}
	return err;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_PARTS_MAX deep */
void match_path_read(struct match_path *path, uint64_t stamp)
{
	struct match_path *parent = path->parent;
	if (!parent || path->stamp == stamp) {
		return; /* the roots are the caller's */
	}
	match_path_read(parent, stamp);
	if (parent->stamp != stamp || parent->value->kind != VALUE_OBJECT) {
		return;
	}
	const struct value *value = value_member(parent->value, path->name);
	if (value) {
		path->value = value;
		path->stamp = stamp;
	}
}
