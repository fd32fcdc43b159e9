/*
 * Lists and maps of both kinds. An object of a document may repeat a name: the last one counts, and
 * the others are passed over. In a large object they are found by sorting, so that no look at all
 * entries costs much more than their number.
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

/* Of two names, in any order that tells them apart. */
static int order_names(const struct value *a, const struct value *b)
{
	if (a->size != b->size) {
		return a->size < b->size ? -1 : 1;
	}
	return bytes_compare(value_text(a), value_text(b));
}

static int order_places(const struct value *a, const struct value *b)
{
	return (a > b) - (a < b);
}

/* Merges runs of twice the length each time; equal ones keep their order. */
static void sort_members(const struct value **members, const struct value **spare, size_t count,
	int (*order)(const struct value *a, const struct value *b))
{
	for (size_t run = 1; run < count; run *= 2) {
		for (size_t start = 0; start < count; start += 2 * run) {
			size_t left = start;
			size_t middle = count - start > run ? start + run : count;
			size_t end = count - middle > run ? middle + run : count;
			size_t right = middle;
			for (size_t to = start; to < end; to++) {
				bool is_left = left < middle &&
					(right == end || order(members[left], members[right]) <= 0);
				spare[to] = is_left ? members[left++] : members[right++];
			}
		}
		memcpy(members, spare, count * sizeof(const void *));
	}
}

/*
 * The names of an object that repeats some, or is too large to know: each as it stands last, in
 * their order, to `names` and their number. Sorted, not hashed: whoever writes a document chooses
 * the names, and might choose those that a hash brings together. ERR_MEMORY.
 */
static enum err distinct_names(
	const struct value *object, const struct value **names, size_t *ret_count)
{
	const struct value **spare = mem_alloc(object->size * sizeof(const void *));
	if (!spare) {
		return ERR_MEMORY;
	}
	sort_members(names, spare, object->size, order_names);
	size_t count = 0;
	for (size_t i = 0; i < object->size; i++) {
		bool is_last = i + 1 == object->size || order_names(names[i], names[i + 1]) != 0;
		names[count] = names[i];
		count += is_last;
	}
	sort_members(names, spare, count, order_places);
	mem_free(spare);
	*ret_count = count;
	return OK;
}

/* All names, and where one may be repeated each as it stands last. */
static enum err names_of(
	const struct value *object, const struct value **ret_names, size_t *ret_count)
{
	const struct value *name = object + 1;
	for (uint32_t i = 0; i < object->size; i++) {
		ret_names[i] = name;
		name = value_after(name + 1);
	}
	*ret_count = object->size;
	return object->is_sealed ? OK : distinct_names(object, ret_names, ret_count);
}

static enum err count_names(const struct value *object, size_t *ret_count)
{
	const struct value **names = mem_alloc(object->size * sizeof(const void *));
	enum err err = names ? names_of(object, names, ret_count) : ERR_MEMORY;
	mem_free(names);
	return err;
}

size_t cel_count(struct cel_value collection)
{
	if (!collection.is_document || collection.type != CEL_MAP) {
		return collection.size;
	}
	const struct value *object = collection.as.document;
	size_t count = object->size;
	if (object->is_sealed ||
		(object->size > SMALL_OBJECT && count_names(object, &count) == OK)) {
		return count;
	}
	count = 0;
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
	if (names_of(object, names, &count) != OK) {
		return cel_out_of_memory(run);
	}
	for (size_t i = 0; i < count; i++) {
		const struct value *name = names[i];
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
	const struct value *object = walk->collection.as.document;
	const struct value *end = value_after(object);
	while (walk->cell < end) {
		const struct value *name = walk->cell;
		walk->cell = value_after(name + 1);
		if (object->is_sealed || !is_repeated_behind(name, end)) {
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
