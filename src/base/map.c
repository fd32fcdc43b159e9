/*
 * Linear probing at a load of at most one half, in one table or, while it grows, in two. New items
 * go to the new table; each insertion moves a few slots of the old one, in order. Old slots below
 * `old_moved` count as removed without being touched, so probing still runs through them. In the
 * new table removal shifts later items back; the old one takes no new items and goes away soon, so
 * there a mark will do.
 */
#include "base.h"

#define CAPACITY_MIN 16U
#define SLOTS_PER_STEP 8U /* 2 would be enough to finish before the next growth */

/* Its address marks a removed slot of the old table. */
static const char removed_mark;

static bool is_removed(const struct map_slot *slot)
{
	return slot->item == (const void *)&removed_mark;
}

void map_fini(struct map *map)
{
	mem_free(map->slots);
	mem_free(map->old_slots);
	*map = (struct map){0};
}

static void *find_old(const struct map *map, uint64_t hash, const void *key, map_equal_fn equal)
{
	size_t mask = map->old_capacity - 1;
	for (size_t at = hash & mask; map->old_slots[at].item; at = (at + 1) & mask) {
		const struct map_slot *slot = &map->old_slots[at];
		if (slot->hash == hash && at >= map->old_moved && !is_removed(slot) &&
			equal(slot->item, key)) {
			return slot->item;
		}
	}
	return NULL;
}

void *map_find(const struct map *map, uint64_t hash, const void *key, map_equal_fn equal)
{
	if (map->capacity == 0) {
		return NULL;
	}
	size_t mask = map->capacity - 1;
	for (size_t at = hash & mask; map->slots[at].item; at = (at + 1) & mask) {
		const struct map_slot *slot = &map->slots[at];
		if (slot->hash == hash && equal(slot->item, key)) {
			return slot->item;
		}
	}
	return map->old_slots ? find_old(map, hash, key, equal) : NULL;
}

static void put(struct map *map, struct map_slot slot)
{
	size_t mask = map->capacity - 1;
	size_t at = slot.hash & mask;
	while (map->slots[at].item) {
		at = (at + 1) & mask;
	}
	map->slots[at] = slot;
}

static void move_some(struct map *map)
{
	for (size_t i = 0; i < SLOTS_PER_STEP && map->old_moved < map->old_capacity; i++) {
		const struct map_slot *slot = &map->old_slots[map->old_moved++];
		if (slot->item && !is_removed(slot)) {
			put(map, *slot);
		}
	}
	if (map->old_moved == map->old_capacity) {
		mem_free(map->old_slots);
		map->old_slots = NULL;
		map->old_capacity = 0;
		map->old_moved = 0;
	}
}

static enum err grow(struct map *map)
{
	check(!map->old_slots); /* moved long ago, see SLOTS_PER_STEP */
	if (map->capacity > SIZE_MAX / 2) {
		return ERR_MEMORY;
	}
	size_t capacity = map->capacity > 0 ? map->capacity * 2 : CAPACITY_MIN;
	struct map_slot *slots = mem_calloc(capacity, sizeof(*slots));
	if (!slots) {
		return ERR_MEMORY;
	}
	map->old_slots = map->slots;
	map->old_capacity = map->capacity;
	map->old_moved = 0;
	map->slots = slots;
	map->capacity = capacity;
	return OK;
}

enum err map_insert(struct map *map, uint64_t hash, void *item)
{
	check(item);
	if (map->count >= map->capacity / 2) {
		enum err err = grow(map);
		if (err != OK) {
			return err;
		}
	}
	if (map->old_slots) {
		move_some(map);
	}
	put(map, (struct map_slot){hash, item});
	map->count++;
	return OK;
}

/* The place of the slot that holds `item`, or `capacity`. */
static size_t place_of(
	const struct map_slot *slots, size_t capacity, uint64_t hash, const void *item)
{
	size_t mask = capacity - 1;
	for (size_t at = hash & mask; slots[at].item; at = (at + 1) & mask) {
		if (slots[at].item == item) {
			return at;
		}
	}
	return capacity;
}

/* Fills the hole with later items of its run that may stand there, until the run is whole again. */
static void close_hole(struct map *map, size_t hole)
{
	size_t mask = map->capacity - 1;
	for (size_t at = (hole + 1) & mask; map->slots[at].item; at = (at + 1) & mask) {
		size_t from_home = (at - map->slots[at].hash) & mask;
		if (from_home >= ((at - hole) & mask)) {
			map->slots[hole] = map->slots[at];
			hole = at;
		}
	}
	map->slots[hole] = (struct map_slot){0, NULL};
}

bool map_remove(struct map *map, uint64_t hash, const void *item)
{
	if (map->capacity == 0) {
		return false;
	}
	size_t at = place_of(map->slots, map->capacity, hash, item);
	if (at < map->capacity) {
		close_hole(map, at);
		map->count--;
		return true;
	}
	if (!map->old_slots) {
		return false;
	}
	at = place_of(map->old_slots, map->old_capacity, hash, item);
	if (at == map->old_capacity || at < map->old_moved) {
		return false;
	}
	map->old_slots[at].item = (void *)&removed_mark;
	map->count--;
	return true;
}

void *map_next(const struct map *map, size_t *cursor)
{
	while (*cursor < map->capacity) {
		void *item = map->slots[(*cursor)++].item;
		if (item) {
			return item;
		}
	}
	while (*cursor - map->capacity < map->old_capacity) {
		size_t at = (*cursor)++ - map->capacity;
		const struct map_slot *slot = &map->old_slots[at];
		if (slot->item && at >= map->old_moved && !is_removed(slot)) {
			return slot->item;
		}
	}
	return NULL;
}
