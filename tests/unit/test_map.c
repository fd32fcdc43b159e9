/* The map against a plain list of what should be in it, under good hashes, bad ones and chosen
 * ones. */
#include "base.h"
#include "failing.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* Of one call, in slots: two segments, and what is moved to another seed beside them. */
#define MOVED_MAX 9000

#define CHOSEN_SEED 0x5EEDU /* under which somebody has found keys that collide */

struct entry {
	uint64_t key;
	bool present;
	unsigned seen;
};

static size_t comparisons; /* calls of has_key */

static bool has_key(const void *item, const void *key)
{
	comparisons++;
	return ((const struct entry *)item)->key == *(const uint64_t *)key;
}

/* The key is the first member, so that a hash of keys takes items too. */
static uint64_t good_hash(const void *key, uint64_t seed)
{
	return bytes_hash((struct bytes){key, sizeof(uint64_t)}, seed);
}

/* All at one home, at the end of a segment, and all to one side of each split. */
static uint64_t same_hash(const void *key, uint64_t seed)
{
	(void)key;
	(void)seed;
	return UINT64_MAX;
}

static uint64_t few_hashes(const void *key, uint64_t seed)
{
	return good_hash(key, seed) & 0xF00000000000001FU;
}

/* All at one home, but with different hashes. */
static uint64_t same_home(const void *key, uint64_t seed)
{
	return good_hash(key, seed) & 0xFFFFFFFF00000000U;
}

/* All in one segment. */
static uint64_t same_segment(const void *key, uint64_t seed)
{
	return good_hash(key, seed) & 0xFFFFFFFFU;
}

/* Good, and then many at the last home of the last segment. */
static uint64_t many_last(const void *key, uint64_t seed)
{
	return *(const uint64_t *)key % 2500 >= 900 ? UINT64_MAX : good_hash(key, seed);
}

static uint64_t same_until_reseeded(const void *key, uint64_t seed)
{
	return seed == CHOSEN_SEED ? 42 : good_hash(key, seed);
}

static uint64_t home_until_reseeded(const void *key, uint64_t seed)
{
	return seed == CHOSEN_SEED ? same_home(key, seed) : good_hash(key, seed);
}

static uint64_t segment_until_reseeded(const void *key, uint64_t seed)
{
	return seed == CHOSEN_SEED ? same_segment(key, seed) : good_hash(key, seed);
}

static const struct map_type good = {good_hash, good_hash, has_key};
static const struct map_type odd_types[] = {
	{same_hash, same_hash, has_key},
	{few_hashes, few_hashes, has_key},
	{same_home, same_home, has_key},
	{same_segment, same_segment, has_key},
	{many_last, many_last, has_key},
};
static const struct map_type chosen_types[] = {
	{same_until_reseeded, same_until_reseeded, has_key},
	{home_until_reseeded, home_until_reseeded, has_key},
	{segment_until_reseeded, segment_until_reseeded, has_key},
};
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static struct entry *make_entries(size_t count)
{
	struct entry *entries = calloc(count, sizeof(*entries));
	assert_non_null(entries);
	for (size_t i = 0; i < count; i++) {
		entries[i].key = i;
	}
	return entries;
}

static void compare_with_model(const struct map *map, struct entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		entries[i].seen = 0;
	}
	size_t cursor = 0;
	size_t walked = 0;
	for (struct entry *entry = map_next(map, &cursor); entry; entry = map_next(map, &cursor)) {
		entry->seen++;
		walked++;
	}
	assert_int_equal(walked, map->count);
	for (size_t i = 0; i < count; i++) {
		if (entries[i].seen != entries[i].present) {
			fail_msg("entry %zu: seen %u times", i, entries[i].seen);
		}
		void *found = map_find(map, &entries[i].key);
		if (found != (entries[i].present ? &entries[i] : NULL)) {
			fail_msg("entry %zu: found %p", i, found);
		}
	}
}

static void insert(struct map *map, struct entry *entry)
{
	assert_int_equal(map_insert(map, entry), OK);
	entry->present = true;
	assert_true(map->moved <= MOVED_MAX);
}

static void remove_entry(struct map *map, struct entry *entry)
{
	assert_int_equal(map_remove(map, entry), entry->present);
	entry->present = false;
	assert_true(map->moved <= MOVED_MAX);
}

/* Random changes and look-ups, growing and shrinking in turn, against the `present` marks. */
static void churn(
	struct test_random *random, const struct map_type *type, size_t entry_count, size_t steps)
{
	struct entry *entries = make_entries(entry_count);
	struct map map;
	map_init(&map, type, CHOSEN_SEED);
	size_t present = 0;
	for (size_t step = 0; step < steps; step++) {
		struct entry *entry = &entries[test_random_below(random, entry_count)];
		uint64_t hash = map_hash(&map, &entry->key);
		map_prefetch(&map, hash);
		assert_ptr_equal(
			map_find_hashed(&map, hash, &entry->key), entry->present ? entry : NULL);
		bool growing = step / (steps / 6 + 1) % 2 == 0;
		bool inserts = test_random_below(random, 10) < (growing ? 8 : 2);
		if (inserts && !entry->present) {
			insert(&map, entry);
			present++;
		} else if (!inserts) {
			present -= entry->present ? 1 : 0;
			remove_entry(&map, entry);
		}
		assert_int_equal(map.count, present);
		if (step % (steps / 50 + 1) == 0) {
			compare_with_model(&map, entries, entry_count);
		}
	}
	compare_with_model(&map, entries, entry_count);
	for (size_t i = 0; i < entry_count; i++) {
		remove_entry(&map, &entries[i]);
	}
	compare_with_model(&map, entries, entry_count);
	map_fini(&map);
	free(entries);
}

static void test_churn(void **state)
{
	(void)state;
	struct test_random random = test_random_start("map");
	churn(&random, &good, 100000, 600000);
	churn(&random, &good, 9000, 100000);
	churn(&random, &good, 300, 50000);
	for (int i = 0; i < 300; i++) {
		churn(&random, &good, 40, 200);
	}
}

static void test_churn_of_bad_hashes(void **state)
{
	(void)state;
	struct test_random random = test_random_start("map of bad hashes");
	for (size_t i = 0; i < COUNT_OF(odd_types); i++) {
		churn(&random, &odd_types[i], 1000, 10000);
	}
	for (size_t i = 0; i < COUNT_OF(chosen_types); i++) {
		churn(&random, &chosen_types[i], 8000, 100000);
		churn(&random, &chosen_types[i], 200, 2000);
	}
}

static void test_empty(void **state)
{
	(void)state;
	struct entry entry = {.key = 1};
	struct map zeroed = {0};
	map_fini(&zeroed);
	struct map map;
	size_t cursor = 0;
	map_init(&map, &good, 1);
	for (int i = 0; i < 2; i++) {
		assert_null(map_find(&map, &entry.key));
		map_prefetch(&map, map_hash(&map, &entry.key));
		assert_null(map_find_hashed(&map, map_hash(&map, &entry.key), &entry.key));
		assert_false(map_remove(&map, &entry));
		assert_null(map_next(&map, &cursor));
		insert(&map, &entry);
		map_fini(&map); /* and it can be used on */
		assert_int_equal(map.count, 0);
	}
}

/* Twins are the caller's affair: each is one item, and removed by its pointer. */
static void test_twins(void **state)
{
	(void)state;
	struct entry twins[200];
	struct map map;
	map_init(&map, &good, 1);
	for (size_t i = 0; i < COUNT_OF(twins); i++) {
		twins[i] = (struct entry){.key = 7};
		insert(&map, &twins[i]);
	}
	for (size_t i = 0; i < COUNT_OF(twins); i++) {
		assert_non_null(map_find(&map, &twins[i].key));
		remove_entry(&map, &twins[i]);
		assert_false(map_remove(&map, &twins[i]));
	}
	assert_null(map_find(&map, &twins[0].key));
	map_fini(&map);
}

/* ---- what a call costs ----------------------------------------------------------------------- */

static void test_calls_move_little(void **state)
{
	(void)state;
	enum { COUNT = 500000 };
	struct entry *entries = make_entries(COUNT);
	struct map map;
	map_init(&map, &good, 1);
	size_t moved = 0;
	size_t longest = 0;
	for (size_t i = 0; i < COUNT; i++) {
		insert(&map, &entries[i]);
		moved += map.moved;
		longest = map.moved > longest ? map.moved : longest;
	}
	assert_in_range(longest, 2700, 5000); /* a split is what moves most */
	assert_in_range(moved, COUNT * 3, COUNT * 6);
	assert_int_equal(map.seed, 1); /* by chance alone it takes no other */
	moved = 0;
	longest = 0;
	for (size_t i = 0; i < COUNT; i++) {
		remove_entry(&map, &entries[i]);
		moved += map.moved;
		longest = map.moved > longest ? map.moved : longest;
	}
	assert_true(longest < 5000);
	assert_true(moved < (size_t)COUNT * 3);
	map_fini(&map);
	free(entries);
}

static void test_chosen_keys_lose_their_seed(void **state)
{
	(void)state;
	enum { COUNT = 20000 };
	for (size_t type = 0; type < COUNT_OF(chosen_types); type++) {
		struct entry *entries = make_entries(COUNT);
		struct map map;
		map_init(&map, &chosen_types[type], CHOSEN_SEED);
		size_t longest = 0;
		size_t moved = 0;
		for (size_t i = 0; i < COUNT; i++) {
			insert(&map, &entries[i]);
			comparisons = 0;
			assert_ptr_equal(map_find(&map, &entries[i / 2].key), &entries[i / 2]);
			longest = comparisons > longest ? comparisons : longest;
			moved += map.moved;
		}
		assert_true(map.seed != CHOSEN_SEED);
		assert_null(map.old);
		assert_true(longest < 100);
		assert_true(moved < (size_t)COUNT * 8);
		compare_with_model(&map, entries, COUNT);
		map_fini(&map);
		free(entries);
	}
}

#define GOOD_KEYS 40000

static uint64_t last_keys_chosen(const void *key, uint64_t seed)
{
	bool is_chosen = *(const uint64_t *)key >= GOOD_KEYS;
	return is_chosen ? same_until_reseeded(key, seed) : good_hash(key, seed);
}

/* A large map does not take another seed in one call, and can be used meanwhile. */
static void test_used_while_it_moves(void **state)
{
	(void)state;
	enum { COUNT = GOOD_KEYS + 2000 };
	static const struct map_type type = {last_keys_chosen, last_keys_chosen, has_key};
	struct test_random random = test_random_start("map that moves");
	struct entry *entries = make_entries(COUNT);
	struct map map;
	map_init(&map, &type, CHOSEN_SEED);
	size_t calls = 0;
	for (size_t i = 0; i < COUNT; i++) {
		insert(&map, &entries[i]);
		if (!map.old) {
			continue;
		}
		calls++;
		struct entry *entry = &entries[test_random_below(&random, i + 1)];
		uint64_t hash = map_hash(&map, &entry->key);
		assert_ptr_equal(
			map_find_hashed(&map, hash, &entry->key), entry->present ? entry : NULL);
		remove_entry(&map, entry);
		if (calls % 50 == 1) {
			compare_with_model(&map, entries, COUNT);
		}
	}
	assert_true(map.seed != CHOSEN_SEED);
	assert_null(map.old);
	assert_in_range(calls, GOOD_KEYS / 100, 2000);
	compare_with_model(&map, entries, COUNT);
	map_fini(&map);

	/* and it may end in the middle of that */
	map_init(&map, &type, CHOSEN_SEED);
	for (size_t i = 0; i < COUNT && !map.old; i++) {
		assert_int_equal(map_insert(&map, &entries[i]), OK);
	}
	assert_non_null(map.old);
	map_fini(&map);
	free(entries);
}

struct long_entry {
	char key[32];
};

static bool has_long_key(const void *item, const void *key)
{
	comparisons++;
	return memcmp(item, key, sizeof(struct long_entry)) == 0;
}

static uint64_t long_hash(const void *key, uint64_t seed)
{
	return bytes_hash((struct bytes){key, sizeof(struct long_entry)}, seed);
}

/*
 * Who knows the seed can zero a factor in bytes_hash, so that the other eight bytes do not count:
 * as many keys of one hash as are wanted.
 */
static void test_who_knows_the_seed(void **state)
{
	(void)state;
	enum { COUNT = 20000 };
	static const struct map_type type = {long_hash, long_hash, has_long_key};
	const uint64_t zeroing = UINT64_C(0xBE4BA423396CFEB8) + CHOSEN_SEED;
	struct long_entry *entries = calloc(COUNT, sizeof(*entries));
	assert_non_null(entries);
	struct map map;
	map_init(&map, &type, CHOSEN_SEED);
	for (uint64_t i = 0; i < COUNT; i++) {
		memcpy(entries[i].key, &zeroing, sizeof(zeroing));
		memcpy(entries[i].key + sizeof(zeroing), &i, sizeof(i));
		assert_true(long_hash(&entries[i], CHOSEN_SEED) == long_hash(entries, CHOSEN_SEED));
		assert_int_equal(map_insert(&map, &entries[i]), OK);
		comparisons = 0;
		assert_ptr_equal(map_find(&map, &entries[i / 2]), &entries[i / 2]);
		assert_true(comparisons < 100);
		assert_true(map.moved <= MOVED_MAX);
	}
	assert_true(map.seed != CHOSEN_SEED);
	assert_null(map.old);
	comparisons = 0;
	for (size_t i = 0; i < COUNT; i++) {
		assert_ptr_equal(map_find(&map, &entries[i]), &entries[i]);
	}
	assert_true(comparisons < COUNT + COUNT / 50); /* a slot has a part of the hash only */
	map_fini(&map);
	free(entries);
}

/* What no seed helps against stays correct, and does not move the items again and again. */
static void test_hopeless_hashes(void **state)
{
	(void)state;
	enum { COUNT = 5000 };
	for (size_t type = 0; type < COUNT_OF(odd_types); type++) {
		struct entry *entries = make_entries(COUNT);
		struct map map;
		map_init(&map, &odd_types[type], 1);
		size_t moved = 0;
		size_t seeds = 0;
		for (size_t i = 0; i < COUNT; i++) {
			uint64_t seed = map.seed;
			assert_int_equal(map_insert(&map, &entries[i]), OK);
			entries[i].present = true;
			moved += map.moved;
			seeds += map.seed != seed;
		}
		assert_true(seeds < 16);
		assert_true(moved < (size_t)COUNT * 30);
		compare_with_model(&map, entries, COUNT);
		map_fini(&map);
		free(entries);
	}
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Before each piece stands its size. */
static void *counting_hook(void *ctx, void *pointer, size_t size)
{
	size_t *live = ctx;
	max_align_t *piece = pointer ? (max_align_t *)pointer - 1 : NULL;
	size_t before = 0;
	if (piece) {
		memcpy(&before, piece, sizeof(before));
	}
	*live -= before;
	if (size == 0) {
		free(piece);
		return NULL;
	}
	piece = realloc(piece, sizeof(*piece) + size);
	assert_non_null(piece);
	memcpy(piece, &size, sizeof(size));
	*live += size;
	return piece + 1;
}

static void test_bytes_of_an_item(void **state)
{
	(void)state;
	enum { COUNT = 300000 };
	struct entry *entries = make_entries(COUNT);
	struct map map;
	size_t live = 0;
	mem_set_hook(counting_hook, &live);
	map_init(&map, &good, 1);
	for (size_t i = 0; i < COUNT; i++) {
		insert(&map, &entries[i]);
		assert_true(live <= 1500 + (i + 1) * (i < 2000 ? 25 : 13));
	}
	for (size_t i = 0; i < COUNT; i++) {
		remove_entry(&map, &entries[i]);
		assert_true(live <= 2000 + (COUNT - i) * 55);
	}
	assert_true(live <= 2000);
	map_fini(&map);
	assert_int_equal(live, 0);
	mem_set_hook(NULL, NULL);
	free(entries);
}

/* Each item comes out once, also from a map that is on its way to another seed. */
static void test_drained(void **state)
{
	(void)state;
	enum { COUNT = 30000 };
	struct entry *entries = make_entries(COUNT);
	for (size_t i = 0; i <= COUNT_OF(chosen_types); i++) {
		const struct map_type *type = i > 0 ? &chosen_types[i - 1] : &good;
		const size_t count = i > 0 ? 1500 : COUNT;
		struct failing failing;
		struct map map;
		failing_start(&failing, SIZE_MAX);
		map_init(&map, type, CHOSEN_SEED);
		for (size_t k = 0; k < count; k++) {
			insert(&map, &entries[k]);
		}
		for (size_t left = count; left > 0; left--) {
			assert_int_equal(map.count, left);
			struct entry *entry = map_drain(&map);
			assert_non_null(entry);
			assert_true(entry->present);
			entry->present = false;
		}
		assert_null(map_drain(&map));
		assert_int_equal(failing.live, 0); /* and may be used again */
		insert(&map, &entries[0]);
		remove_entry(&map, &entries[0]);
		map_fini(&map);
		assert_false(failing_stop(&failing));
	}
	free(entries);
}

/* Every lack of memory leaves all as it was, and the same call succeeds when there is some again.
 */
static void lack_memory(const struct map_type *type, struct entry *entries, size_t count)
{
	bool failed = true;
	for (size_t fail_at = 0; failed; fail_at++) {
		struct failing failing;
		struct map map;
		map_init(&map, type, CHOSEN_SEED);
		failing_start(&failing, fail_at);
		for (size_t i = 0; i < count; i++) {
			enum err err = map_insert(&map, &entries[i]);
			if (err != OK) {
				assert_int_equal(err, ERR_MEMORY);
				compare_with_model(&map, entries, count);
				err = map_insert(&map, &entries[i]);
			}
			assert_int_equal(err, OK);
			entries[i].present = true;
		}
		compare_with_model(&map, entries, count);
		for (size_t i = 0; i < count; i++) {
			assert_true(map_remove(&map, &entries[i]));
			entries[i].present = false;
		}
		compare_with_model(&map, entries, count);
		map_fini(&map);
		assert_int_equal(failing.live, 0);
		failed = failing_stop(&failing);
	}
}

static void test_lack_of_memory(void **state)
{
	(void)state;
	enum { COUNT = 9000 };
	struct entry *entries = make_entries(COUNT);
	lack_memory(&good, entries, COUNT);
	for (size_t i = 0; i < COUNT_OF(chosen_types); i++) {
		lack_memory(&chosen_types[i], entries, 1500);
	}
	free(entries);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_churn),
		cmocka_unit_test(test_churn_of_bad_hashes),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_twins),
		cmocka_unit_test(test_calls_move_little),
		cmocka_unit_test(test_chosen_keys_lose_their_seed),
		cmocka_unit_test(test_used_while_it_moves),
		cmocka_unit_test(test_who_knows_the_seed),
		cmocka_unit_test(test_hopeless_hashes),
		cmocka_unit_test(test_bytes_of_an_item),
		cmocka_unit_test(test_drained),
		cmocka_unit_test(test_lack_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
