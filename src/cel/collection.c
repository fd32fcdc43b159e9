/*
 * Lists and maps of both kinds. An object of a document may repeat a name: the last one counts, and
 * the others are passed over. In a large object they are found with a table of hashes, so that no
 * look at all entries costs more than their number.
 */
#include "run_priv.h"

#include <string.h>

#define SMALL_OBJECT 16 /* members: each is compared with all behind it */

struct cel_value cel_of_document(const struct value *value)
{
	static const uint8_t types[] = {
		[VALUE_NONE] = CEL_NULL,
		[VALUE_NULL] = CEL_NULL,
		[VALUE_BOOL] = CEL_BOOL,
		[VALUE_INT] = CEL_INT,
		[VALUE_UINT] = CEL_UINT,
		[VALUE_DOUBLE] = CEL_DOUBLE,
		[VALUE_STRING] = CEL_STRING,
		[VALUE_LIST] = CEL_LIST,
		[VALUE_OBJECT] = CEL_MAP,
	};
	struct cel_value made = {.type = types[value->kind], .size = value->size};
	if (value->kind >= VALUE_LIST) {
		made.is_document = true;
		made.as.document = value;
	} else {
		memcpy(&made.as, &value->as, sizeof(made.as));
	}
	return made;
}

/* ---- objects of a document ---- */

static bool is_repeated_behind(const struct value *name, const struct value *end)
{
	struct bytes text = value_text(name);
	const struct value *other = value_after(name + 1);
	while (other < end) {
		if (other->size == text.size && bytes_equal(value_text(other), text)) {
			return true;
		}
		other = value_after(other + 1);
	}
	return false;
}

/* Which names have been seen, walking an object from its end. */
struct names {
	const struct value **slots;
	size_t mask;
};

static bool note_name(struct names *names, const struct value *name)
{
	struct bytes text = value_text(name);
	size_t at = (size_t)bytes_hash(text, 0) & names->mask;
	while (names->slots[at]) {
		if (bytes_equal(value_text(names->slots[at]), text)) {
			return false;
		}
		at = (at + 1) & names->mask;
	}
	names->slots[at] = name;
	return true;
}

/*
 * The names of an object, each as it stands last, from the last to the first, to `ret_names` (of as
 * many places as there are members; NULL: they are only counted). ERR_MEMORY.
 */
static enum err distinct_names(
	const struct value *object, const struct value **ret_names, size_t *ret_count)
{
	size_t capacity = 64;
	while (capacity < (size_t)object->size * 2) {
		capacity *= 2;
	}
	const struct value **all = mem_alloc((capacity + object->size) * sizeof(const void *));
	if (!all) {
		return ERR_MEMORY;
	}
	memset(all, 0, capacity * sizeof(const void *));
	struct names names = {all, capacity - 1};
	const struct value **members = all + capacity;
	const struct value *name = object + 1;
	for (uint32_t i = 0; i < object->size; i++) {
		members[i] = name;
		name = value_after(name + 1);
	}
	size_t count = 0;
	for (uint32_t i = object->size; i-- > 0;) {
		if (note_name(&names, members[i])) {
			if (ret_names) {
				ret_names[count] = members[i];
			}
			count++;
		}
	}
	mem_free(all);
	*ret_count = count;
	return OK;
}

size_t cel_count(struct cel_value collection)
{
	if (!collection.is_document || collection.type != CEL_MAP) {
		return collection.size;
	}
	const struct value *object = collection.as.document;
	size_t count = 0;
	if (object->size > SMALL_OBJECT && distinct_names(object, NULL, &count) == OK) {
		return count;
	}
	const struct value *end = value_after(object);
	for (const struct value *name = object + 1; name < end; name = value_after(name + 1)) {
		count += !is_repeated_behind(name, end);
	}
	return count;
}

struct cel_value cel_own_map(struct cel_run *run, struct cel_value map)
{
	if (!map.is_document) {
		return map;
	}
	const struct value *object = map.as.document;
	struct cel_entry *entries = cel_alloc(run, object->size * sizeof(*entries));
	const struct value **names = cel_alloc(run, object->size * sizeof(const void *));
	size_t count = 0;
	if (!entries || !names || !cel_spend(run, cel_steps_of(object->size))) {
		return cel_stopped(run);
	}
	if (distinct_names(object, names, &count) != OK) {
		return cel_out_of_memory(run);
	}
	for (size_t i = 0; i < count; i++) {
		const struct value *name = names[count - 1 - i];
		entries[i] = (struct cel_entry){cel_of_document(name), cel_of_document(name + 1)};
	}
	return cel_map(entries, count);
}

/* ---- walks ---- */

struct cel_walk cel_walk(struct cel_value collection)
{
	struct cel_walk walk = {.collection = collection};
	if (collection.is_document) {
		walk.cell = collection.as.document + 1;
	}
	return walk;
}

bool cel_next_item(struct cel_walk *walk, struct cel_value *ret_item)
{
	if (walk->index >= walk->collection.size) {
		return false;
	}
	if (walk->collection.is_document) {
		*ret_item = cel_of_document(walk->cell);
		walk->cell = value_after(walk->cell);
	} else {
		*ret_item = walk->collection.as.items[walk->index];
	}
	walk->index++;
	return true;
}

bool cel_next_entry(struct cel_walk *walk, struct cel_entry *ret_entry)
{
	if (!walk->collection.is_document) {
		if (walk->index >= walk->collection.size) {
			return false;
		}
		*ret_entry = walk->collection.as.entries[walk->index++];
		return true;
	}
	const struct value *end = value_after(walk->collection.as.document);
	while (walk->cell < end) {
		const struct value *name = walk->cell;
		walk->cell = value_after(name + 1);
		if (!is_repeated_behind(name, end)) {
			*ret_entry = (struct cel_entry){
				cel_of_document(name), cel_of_document(name + 1)};
			return true;
		}
	}
	return false;
}

/* ---- look-ups ---- */

struct cel_value cel_item_at(struct cel_value list, size_t index)
{
	if (!list.is_document) {
		return list.as.items[index];
	}
	const struct value *item = list.as.document + 1;
	while (index-- > 0) {
		item = value_after(item);
	}
	return cel_of_document(item);
}

bool cel_find_name(struct cel_value map, struct bytes name, struct cel_value *ret_value)
{
	if (map.is_document) {
		const struct value *found = value_member(map.as.document, name);
		if (found) {
			*ret_value = cel_of_document(found);
		}
		return found != NULL;
	}
	for (uint32_t i = 0; i < map.size; i++) {
		const struct cel_entry *entry = &map.as.entries[i];
		if (entry->key.type == CEL_STRING && entry->key.size == name.size &&
			bytes_equal(cel_text(entry->key), name)) {
			*ret_value = entry->value;
			return true;
		}
	}
	return false;
}

bool cel_find(struct cel_value map, struct cel_value key, struct cel_value *ret_value)
{
	if (key.type == CEL_STRING) {
		return cel_find_name(map, cel_text(key), ret_value);
	}
	for (uint32_t i = 0; !map.is_document && i < map.size; i++) {
		const struct cel_entry *entry = &map.as.entries[i];
		if (cel_scalars_equal(entry->key, key)) {
			*ret_value = entry->value;
			return true;
		}
	}
	return false;
}
