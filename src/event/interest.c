/*
 * Who is interested in what: counters in a table of fixed size, so that no thread ever waits for it
 * to grow. An event that comes between a look and a new subscription was made unread, and whoever
 * needs it reads it then: so the counters need no stronger order than acquire and release.
 */
#include "event.h"

#define SLOTS 65536U

struct interest {
	uint64_t seed;
	_Atomic uint32_t counts[SLOTS];
};

enum err interest_new(uint64_t seed, struct interest **ret_interest)
{
	struct interest *interest = mem_calloc(1, sizeof(*interest));
	if (!interest) {
		return ERR_MEMORY;
	}
	interest->seed = seed;
	*ret_interest = interest;
	return OK;
}

void interest_free(struct interest *interest)
{
	mem_free(interest);
}

static size_t slot(const struct interest *interest, struct bytes database, struct bytes collection)
{
	return bytes_hash(collection, bytes_hash(database, interest->seed)) % SLOTS;
}

void interest_add(struct interest *interest, struct bytes database, struct bytes collection)
{
	uint32_t before = atomic_fetch_add_explicit(
		&interest->counts[slot(interest, database, collection)], 1, memory_order_acq_rel);
	check(before < UINT32_MAX);
}

void interest_remove(struct interest *interest, struct bytes database, struct bytes collection)
{
	uint32_t before = atomic_fetch_sub_explicit(
		&interest->counts[slot(interest, database, collection)], 1, memory_order_acq_rel);
	check(before > 0);
}

bool interest_has(const struct interest *interest, struct bytes database, struct bytes collection)
{
	size_t place = slot(interest, database, collection);
	return atomic_load_explicit(&interest->counts[place], memory_order_acquire) > 0;
}
