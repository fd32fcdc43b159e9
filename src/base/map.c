/*
 * Extendible hashing. A directory, indexed by the first bits of a hash, leads to segments; items of
 * a segment share at least those bits. A segment is an array in the order of the last ORDER_BITS of
 * the hashes. These scale to an item's home, which is a cache line, and the item stands there or,
 * behind those before it in order, in the next free slot. So a search ends at a free slot, or where
 * the order says. Nothing wraps round: behind the homes there are spare slots, of which the last is
 * always free.
 *
 * A segment is full at 13/16. Then it becomes larger, by a quarter when it is not small, until it
 * would pass SLOTS_MAX; then it is split by one more bit. Both keep the order, so each is one walk.
 * What was emptied is made smaller, or joined to its twin.
 *
 * An item further than PROBES_MAX from home in a segment half empty is no accident: the hashes are
 * chosen, or bad. Then the map takes another seed, and each insertion moves some items from the old
 * table; old segments are emptied from their end, so that what is left is found as before. If that
 * does not help the map stays correct and slow, and tries again when it has taken as many items as
 * it has.
 */
#include "base.h"

#include <string.h>

#define LINE ((size_t)8) /* slots in a cache line: homes are at their beginnings */
#define CAPACITY_MIN 8U
#define SLOTS_MAX 4096U           /* homes of a segment */
#define END_MAX ((size_t)1 << 31) /* slots of a segment that cannot be split */
#define MERGE_MAX 1536U           /* items of two segments that are made one */
#define PROBES_MAX 64U            /* from an item's home to its place */
#define FETCHED_AHEAD 8U          /* items, of which a hash is asked */
#define MOVES 64U                 /* items of the old table for each insertion */
#define DIRECTORY_MIN 32U /* so many segments, or one for each ITEMS_LEAST, may be told apart */
#define ITEMS_LEAST 128U

_Static_assert(SIZE_MAX >= UINT64_MAX, "a cursor has 64 bits");

/*
 * A slot is one word, 0 if it is free: the order, a mark, and the address of the item, which has 48
 * bits of which the last three are 0. Of the rest of the hash a split has to ask the item.
 */
#define ORDER_BITS 18
#define ADDRESS_BITS 45
#define ADDRESS ((UINT64_C(1) << ADDRESS_BITS) - 1)
#define MARK (UINT64_C(1) << ADDRESS_BITS)

struct map_segment {
	void *memory; /* this begins somewhere in it, so that the slots begin with a line */
	uint32_t capacity;
	uint32_t end; /* slots */
	uint32_t count;
	uint32_t depth; /* bits that its items share */
	uint64_t slots[];
};

/* What a directory has for each value of the first bits. Segments of less depth stand in several.
 */
struct map_entry {
	struct map_segment *segment; /* NULL: emptied into the next table */
	uint64_t capacity;           /* the segment's, which a search need not touch for it */
};

struct map_old {
	struct map_table table;
	uint64_t seed;
};

static uint32_t order_of(uint64_t hash)
{
	return (uint32_t)hash & ((1U << ORDER_BITS) - 1);
}

static uint32_t order_in(uint64_t slot)
{
	return (uint32_t)(slot >> (64 - ORDER_BITS));
}

static void *item_in(uint64_t slot)
{
	return (void *)(uintptr_t)((slot & ADDRESS) << 3); /* NOLINT(performance-no-int-to-ptr) */
}

static uint64_t slot_of(uint32_t order, const void *item)
{
	uint64_t address = (uintptr_t)item;
	check((address & ~(ADDRESS << 3)) == 0);
	return (uint64_t)order << (64 - ORDER_BITS) | address >> 3;
}

static size_t home_of(uint32_t order, uint64_t capacity)
{
	return (size_t)((order * capacity) >> ORDER_BITS) & ~(LINE - 1);
}

static size_t number_of(const struct map_table *table, uint64_t hash)
{
	return (size_t)((hash >> 1) >> (63 - table->depth));
}

/* The entries in which a segment stands; they begin at a multiple of it. */
static size_t width_of(const struct map_table *table, const struct map_segment *segment)
{
	return (size_t)1 << (table->depth - segment->depth);
}

/* ---- segments -------------------------------------------------------------------------------- */

/* Items of one segment or two, in order; of them those whose slots have `bits` in `mask`. */
struct source {
	const struct map_segment *one, *other; /* the other may be NULL */
	uint32_t at_one, at_other;
	uint64_t mask, bits;
};

/* 0: there is none. */
static uint64_t peek(const struct source *source, const struct map_segment *segment, uint32_t *at)
{
	for (; segment && *at < segment->end; (*at)++) {
		uint64_t slot = segment->slots[*at];
		if (slot && (slot & source->mask) == source->bits) {
			return slot;
		}
	}
	return 0;
}

static uint64_t take(struct source *source)
{
	uint64_t one = peek(source, source->one, &source->at_one);
	uint64_t other = peek(source, source->other, &source->at_other);
	if (other && (!one || order_in(other) < order_in(one))) {
		source->at_other++;
		return other;
	}
	source->at_one += one != 0;
	return one;
}

static uint32_t capacity_for(uint32_t count)
{
	return (CAPACITY_MIN + count + count / 2) & ~(uint32_t)(LINE - 1);
}

static struct map_segment *segment_alloc(size_t end)
{
	size_t line = LINE * sizeof(uint64_t);
	char *memory = mem_alloc(sizeof(struct map_segment) + end * sizeof(uint64_t) + line);
	if (!memory) {
		return NULL;
	}
	size_t slots = ((uintptr_t)memory + sizeof(struct map_segment) + line - 1) & ~(line - 1);
	size_t skipped = slots - sizeof(struct map_segment) - (uintptr_t)memory;
	struct map_segment *segment = (struct map_segment *)(void *)(memory + skipped);
	*segment = (struct map_segment){.memory = memory, .end = (uint32_t)end};
	return segment;
}

static void segment_free(struct map_segment *segment)
{
	if (segment) {
		mem_free(segment->memory);
	}
}

/* False if half of the spare slots are not enough. */
static bool fill(struct map_segment *segment, struct source source)
{
	uint32_t spare = segment->end - segment->capacity;
	uint32_t at = 0;
	for (uint64_t slot = take(&source); slot; slot = take(&source)) {
		size_t home = home_of(order_in(slot), segment->capacity);
		for (; at < home; at++) {
			segment->slots[at] = 0;
		}
		segment->slots[at++] = slot;
		segment->count++;
		if (at + spare / 2 > segment->end) {
			return false;
		}
	}
	memset(&segment->slots[at], 0, (segment->end - at) * sizeof(uint64_t));
	return true;
}

static struct map_segment *segment_new(
	const struct source *source, uint32_t capacity, uint32_t depth)
{
	for (size_t spare = capacity < PROBES_MAX ? capacity : PROBES_MAX;
		capacity + spare <= END_MAX; spare *= 2) {
		size_t end = capacity + spare;
		struct map_segment *segment = segment_alloc(end);
		if (!segment) {
			return NULL;
		}
		segment->capacity = capacity;
		segment->depth = depth;
		if (fill(segment, *source)) {
			return segment;
		}
		segment_free(segment);
	}
	return NULL;
}

/* The first slot of this order or of what is behind it. */
static uint64_t *first_of(const struct map_entry *entry, uint32_t order)
{
	uint64_t *slot = &entry->segment->slots[home_of(order, entry->capacity)];
	while (*slot && order_in(*slot) < order) {
		slot++;
	}
	return slot;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void table_set(
	struct map_table *table, size_t number, size_t width, struct map_segment *segment)
{
	for (size_t i = 0; i < width; i++) {
		table->entries[number + i] =
			(struct map_entry){segment, segment ? segment->capacity : 0};
	}
}

static enum err table_begin(struct map_table *table)
{
	const struct source nothing = {0};
	struct map_entry *entries = mem_alloc(sizeof(*entries));
	struct map_segment *segment = segment_new(&nothing, CAPACITY_MIN, 0);
	if (!entries || !segment) {
		mem_free(entries);
		segment_free(segment);
		return ERR_MEMORY;
	}
	*table = (struct map_table){.entries = entries, .deepest = 1};
	table_set(table, 0, 1, segment);
	return OK;
}

static void table_fini(struct map_table *table)
{
	size_t size = table->entries ? (size_t)1 << table->depth : 0;
	for (size_t i = 0; i < size;) {
		struct map_segment *segment = table->entries[i].segment;
		i += segment ? width_of(table, segment) : 1;
		segment_free(segment);
	}
	mem_free(table->entries);
}

/* A bit for each slot of a line that has the order; without branches, as any of them may. */
static unsigned equal_in(const uint64_t *line, uint32_t order)
{
	unsigned found = 0;
	for (unsigned i = 0; i < LINE; i++) {
		found |= (unsigned)(order_in(line[i]) == order) << i;
	}
	return found;
}

static void *table_find(const struct map_table *table, uint64_t hash, const void *key,
	bool (*equal)(const void *item, const void *key))
{
	if (!table->entries) {
		return NULL;
	}
	const struct map_entry *entry = &table->entries[number_of(table, hash)];
	if (entry->capacity == 0) {
		return NULL;
	}
	const uint32_t order = order_of(hash);
	const uint64_t *line = &entry->segment->slots[home_of(order, entry->capacity)];
	for (;; line += LINE) {
		const uint64_t last = line[LINE - 1];
		for (unsigned found = equal_in(line, order); found; found &= found - 1) {
			void *item = item_in(line[__builtin_ctz(found)]);
			if (item && equal(item, key)) {
				return item;
			}
		}
		if (!last || order_in(last) > order) {
			return NULL;
		}
	}
}

/* Twice as many entries, or half as many. */
static enum err table_scale(struct map_table *table, uint32_t depth)
{
	size_t size = (size_t)1 << depth;
	struct map_entry *entries = mem_alloc(size * sizeof(*entries));
	if (!entries) {
		return ERR_MEMORY;
	}
	for (size_t i = 0; i < size; i++) {
		entries[i] = table->entries[depth > table->depth ? i / 2 : i * 2];
	}
	mem_free(table->entries);
	*table = (struct map_table){.entries = entries, .depth = depth};
	for (size_t i = 0; i < size; i++) {
		table->deepest += depth == 0 || entries[i].segment != entries[i ^ 1].segment;
	}
	return OK;
}

static bool may_split(const struct map *map, const struct map_segment *segment)
{
	size_t most = map->count / ITEMS_LEAST;
	return segment->depth < map->table.depth ||
		(size_t)2 << segment->depth <= (most > DIRECTORY_MIN ? most : DIRECTORY_MIN);
}

/* Marks the items whose hash has this bit; how many have not. */
static uint32_t mark_items(const struct map *map, struct map_segment *segment, uint64_t bit)
{
	uint32_t clear = 0;
	for (uint32_t i = 0; i < segment->end; i++) {
		uint64_t *slot = &segment->slots[i];
		const char *ahead =
			i + FETCHED_AHEAD < segment->end ? item_in(slot[FETCHED_AHEAD]) : NULL;
		if (ahead) {
			__builtin_prefetch(ahead);
			__builtin_prefetch(ahead + 64);
		}
		if (*slot) {
			bool is_set = map->type->hash_item(item_in(*slot), map->seed) & bit;
			*slot = (*slot & ~MARK) | (is_set ? MARK : 0);
			clear += !is_set;
		}
	}
	return clear;
}

static enum err split(struct map *map, uint64_t hash, struct map_segment *segment)
{
	struct map_table *table = &map->table;
	uint32_t depth = segment->depth + 1;
	uint64_t bit = (uint64_t)1 << (63 - segment->depth);
	const struct source clear = {.one = segment, .mask = MARK};
	const struct source set = {.one = segment, .mask = MARK, .bits = MARK};
	uint32_t count = mark_items(map, segment, bit);
	struct map_segment *low = segment_new(&clear, capacity_for(count), depth);
	struct map_segment *high = segment_new(&set, capacity_for(segment->count - count), depth);
	if (!low || !high || (depth > table->depth && table_scale(table, depth) != OK)) {
		segment_free(low);
		segment_free(high);
		return ERR_MEMORY;
	}
	size_t width = width_of(table, segment);
	size_t number = number_of(table, hash) & ~(width - 1);
	table_set(table, number, width / 2, low);
	table_set(table, number + width / 2, width / 2, high);
	table->deepest += depth == table->depth ? 2 : 0;
	map->moved += segment->count;
	segment_free(segment);
	return OK;
}

/* Puts a segment made of `source` in the place of those in `width` entries. */
static enum err replace(struct map *map, uint64_t hash, const struct source *source,
	uint32_t capacity, uint32_t depth)
{
	struct map_table *table = &map->table;
	struct map_segment *segment = segment_new(source, capacity, depth);
	if (!segment) {
		return ERR_MEMORY;
	}
	size_t width = width_of(table, segment);
	table_set(table, number_of(table, hash) & ~(width - 1), width, segment);
	map->moved += segment->count;
	return OK;
}

/* Other slots for the segment of a hash: more of them, if it is not half empty. */
static enum err grow(struct map *map, uint64_t hash)
{
	struct map_segment *segment = map->table.entries[number_of(&map->table, hash)].segment;
	uint32_t capacity = segment->capacity;
	if (segment->count > capacity / 2) {
		capacity += capacity < SLOTS_MAX / 4 ? capacity : capacity / 32 * (uint32_t)LINE;
	}
	if (capacity > SLOTS_MAX && may_split(map, segment)) {
		return split(map, hash, segment);
	}
	const struct source source = {.one = segment};
	enum err err = replace(map, hash, &source, capacity, segment->depth);
	if (err == OK) {
		segment_free(segment);
	}
	return err;
}

/* Joins a segment to its twin; false if they are too much for one, or there is no memory. */
static bool join(struct map *map, uint64_t hash, struct map_segment *segment)
{
	struct map_table *table = &map->table;
	if (segment->depth == 0) {
		return false;
	}
	size_t number = number_of(table, hash);
	struct map_segment *twin = table->entries[number ^ width_of(table, segment)].segment;
	if (twin->depth != segment->depth || segment->count + twin->count > MERGE_MAX) {
		return false;
	}
	const struct source both = {.one = segment, .other = twin};
	uint32_t capacity = capacity_for(segment->count + twin->count);
	if (replace(map, hash, &both, capacity, segment->depth - 1) != OK) {
		return false;
	}
	table->deepest -= segment->depth == table->depth ? 2 : 0;
	segment_free(segment);
	segment_free(twin);
	if (table->deepest == 0) {
		(void)!table_scale(table, table->depth - 1); /* without memory it stays large */
	}
	return true;
}

/* Gives back what a segment three quarters empty does not need, if there is memory for that. */
static void shrink(struct map *map, uint64_t hash)
{
	struct map_segment *segment = map->table.entries[number_of(&map->table, hash)].segment;
	if (segment->count >= segment->capacity / 4 || segment->capacity <= 2 * CAPACITY_MIN ||
		join(map, hash, segment)) {
		return;
	}
	const struct source source = {.one = segment};
	if (replace(map, hash, &source, capacity_for(segment->count), segment->depth) == OK) {
		segment_free(segment);
	}
}

/* ---- placing --------------------------------------------------------------------------------- */

struct spot {
	uint64_t *slot; /* where an item belongs */
	uint64_t *hole; /* the first free one from there on */
	bool is_far;    /* one of those up to the hole would be too far from home */
};

static struct spot spot_for(struct map_segment *segment, uint32_t order)
{
	size_t home = home_of(order, segment->capacity);
	size_t at = home;
	while (segment->slots[at] && order_in(segment->slots[at]) <= order) {
		at++;
	}
	struct spot spot = {.slot = &segment->slots[at], .is_far = at - home > PROBES_MAX};
	for (; segment->slots[at]; at++) {
		home = home_of(order_in(segment->slots[at]), segment->capacity);
		spot.is_far = spot.is_far || at + 1 - home > PROBES_MAX;
	}
	spot.hole = &segment->slots[at];
	return spot;
}

/* Whether the item went where only chosen or bad hashes bring it. */
static enum err put(struct map *map, uint64_t hash, void *item, bool *ret_is_odd)
{
	struct map_table *table = &map->table;
	for (;;) {
		struct map_segment *segment = table->entries[number_of(table, hash)].segment;
		uint32_t capacity = segment->capacity;
		struct spot spot = spot_for(segment, order_of(hash));
		bool is_full = segment->count >= capacity - capacity / 16 * 3 - 1 ||
			(spot.is_far && segment->count > capacity / 2) ||
			spot.hole == &segment->slots[segment->end - 1];
		if (!is_full) {
			size_t behind = (size_t)(spot.hole - spot.slot);
			memmove(spot.slot + 1, spot.slot, behind * sizeof(*spot.slot));
			*spot.slot = slot_of(order_of(hash), item);
			segment->count++;
			*ret_is_odd = spot.is_far || capacity > SLOTS_MAX;
			return OK;
		}
		enum err err = grow(map, hash);
		if (err != OK) {
			return err;
		}
	}
}

static bool table_remove(struct map_table *table, uint64_t hash, const void *item)
{
	const struct map_entry *entry =
		table->entries ? &table->entries[number_of(table, hash)] : NULL;
	if (!entry || entry->capacity == 0) {
		return false;
	}
	const uint32_t order = order_of(hash);
	uint64_t *slot = first_of(entry, order);
	while (*slot && item_in(*slot) != item && order_in(*slot) == order) {
		slot++;
	}
	if (item_in(*slot) != item) {
		return false;
	}
	struct map_segment *segment = entry->segment;
	uint64_t *end = slot + 1;
	while (*end &&
		(size_t)(end - segment->slots) > home_of(order_in(*end), segment->capacity)) {
		end++;
	}
	memmove(slot, slot + 1, (size_t)(end - slot - 1) * sizeof(*slot));
	end[-1] = 0;
	segment->count--;
	return true;
}

/* ---- another seed ---------------------------------------------------------------------------- */

static uint64_t next_seed(uint64_t seed)
{
	uint64_t mixed = seed + 0x9E3779B97F4A7C15U;
	mixed = (mixed ^ (mixed >> 32)) * 0xD6E8FEB86659FD93U;
	mixed = (mixed ^ (mixed >> 32)) * 0xD6E8FEB86659FD93U;
	return mixed ^ (mixed >> 32);
}

/* Without memory the map stays as it is. */
static void begin_move(struct map *map)
{
	struct map_old *old = mem_alloc(sizeof(*old));
	struct map_table table;
	if (!old || table_begin(&table) != OK) {
		mem_free(old);
		return;
	}
	*old = (struct map_old){.table = map->table, .seed = map->seed};
	map->old = old;
	map->table = table;
	map->seed = next_seed(map->seed);
	map->inserted = 0;
}

/* The last item of the last segment that has any; segments behind it go. NULL: none is left. */
static uint64_t *last_of(struct map_table *table)
{
	size_t size = table->entries ? (size_t)1 << table->depth : 0;
	while (table->drained < size) {
		struct map_segment *segment = table->entries[size - table->drained - 1].segment;
		if (segment->count > 0) {
			while (!segment->slots[segment->end - 1]) {
				segment->end--;
			}
			return &segment->slots[segment->end - 1];
		}
		size_t width = width_of(table, segment);
		table->drained += width;
		table_set(table, size - table->drained, width, NULL);
		segment_free(segment);
	}
	return NULL;
}

static void *take_last(struct map_table *table)
{
	uint64_t *slot = last_of(table);
	void *item = slot ? item_in(*slot) : NULL;
	if (slot) {
		*slot = 0;
		table->entries[((size_t)1 << table->depth) - table->drained - 1].segment->count--;
	}
	return item;
}

static void move_some(struct map *map)
{
	struct map_old *old = map->old;
	const uint64_t *slot = last_of(&old->table);
	for (; slot && map->moved < MOVES; slot = last_of(&old->table)) {
		void *item = item_in(*slot);
		bool is_odd = false;
		if (put(map, map->type->hash_item(item, map->seed), item, &is_odd) != OK) {
			return;
		}
		(void)take_last(&old->table);
		map->moved++;
	}
	if (!slot) {
		table_fini(&old->table);
		mem_free(old);
		map->old = NULL;
	}
}

/* ---- maps ------------------------------------------------------------------------------------ */

void map_init(struct map *map, const struct map_type *type, uint64_t seed)
{
	*map = (struct map){.type = type, .seed = seed};
}

void map_fini(struct map *map)
{
	if (map->old) {
		table_fini(&map->old->table);
		mem_free(map->old);
	}
	table_fini(&map->table);
	*map = (struct map){.type = map->type, .seed = map->seed};
}

uint64_t map_hash(const struct map *map, const void *key)
{
	return map->type->hash_key(key, map->seed);
}

void map_prefetch(const struct map *map, uint64_t hash)
{
	if (map->table.entries) {
		const struct map_entry *entry = &map->table.entries[number_of(&map->table, hash)];
		__builtin_prefetch(
			&entry->segment->slots[home_of(order_of(hash), entry->capacity)]);
	}
}

void map_prefetch_item(const struct map *map, uint64_t hash)
{
	if (!map->table.entries) {
		return;
	}
	const struct map_entry *entry = &map->table.entries[number_of(&map->table, hash)];
	if (entry->capacity == 0) {
		return;
	}
	const uint32_t order = order_of(hash);
	const uint64_t *line = &entry->segment->slots[home_of(order, entry->capacity)];
	unsigned found = equal_in(line, order);
	if (found) {
		const char *item = item_in(line[__builtin_ctz(found)]);
		__builtin_prefetch(item);
		__builtin_prefetch(
			item + 64); /* most items begin in one line and end in the next */
	}
}

void *map_find_hashed(const struct map *map, uint64_t hash, const void *key)
{
	const struct map_type *type = map->type;
	void *item = table_find(&map->table, hash, key, type->equal);
	if (!item && map->old) {
		uint64_t old_hash = type->hash_key(key, map->old->seed);
		item = table_find(&map->old->table, old_hash, key, type->equal);
	}
	return item;
}

void *map_find(const struct map *map, const void *key)
{
	return map->count > 0 ? map_find_hashed(map, map_hash(map, key), key) : NULL;
}

enum err map_insert(struct map *map, void *item)
{
	check(item);
	map->moved = 0;
	if (!map->table.entries && table_begin(&map->table) != OK) {
		return ERR_MEMORY;
	}
	bool is_odd = false;
	enum err err = put(map, map->type->hash_item(item, map->seed), item, &is_odd);
	if (err != OK) {
		return err;
	}
	map->count++;
	map->inserted++;
	if (is_odd && !map->old && map->inserted >= map->count) {
		begin_move(map);
	}
	if (map->old) {
		move_some(map);
	}
	return OK;
}

bool map_remove(struct map *map, const void *item)
{
	map->moved = 0;
	uint64_t hash = map->type->hash_item(item, map->seed);
	if (table_remove(&map->table, hash, item)) {
		map->count--;
		shrink(map, hash);
		return true;
	}
	if (map->old &&
		table_remove(&map->old->table, map->type->hash_item(item, map->old->seed), item)) {
		map->count--;
		return true;
	}
	return false;
}

static void *table_next(const struct map_table *table, size_t *number, uint32_t *at)
{
	size_t size = table->entries ? (size_t)1 << table->depth : 0;
	while (*number < size) {
		const struct map_segment *segment = table->entries[*number].segment;
		while (segment && *at < segment->end) {
			void *item = item_in(segment->slots[(*at)++]);
			if (item) {
				return item;
			}
		}
		*number += segment ? width_of(table, segment) : 1;
		*at = 0;
	}
	return NULL;
}

/* A cursor is the number of an entry, those of the old table behind the others, and a slot. */
void *map_next(const struct map *map, size_t *cursor)
{
	size_t number = *cursor >> 32;
	uint32_t at = (uint32_t)*cursor;
	size_t size = (size_t)1 << map->table.depth;
	void *item = number < size ? table_next(&map->table, &number, &at) : NULL;
	if (!item && map->old) {
		number = number < size ? 0 : number - size;
		item = table_next(&map->old->table, &number, &at);
		number += size;
	}
	*cursor = number << 32 | at;
	return item;
}

void *map_drain(struct map *map)
{
	void *item = take_last(&map->table);
	if (!item && map->old) {
		item = take_last(&map->old->table);
	}
	if (item) {
		map->count--;
	} else {
		map_fini(map);
	}
	return item;
}
