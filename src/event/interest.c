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
	_Atomic uint64_t members;
	_Atomic uint32_t member_counts[EVENT_MEMBERS + 1];
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

/* Length, ends and middle: a few instructions, for every member of every document. */
unsigned event_member_bit(struct bytes name)
{
	if (name.size == 0) {
		return 0;
	}
	const unsigned char *text = (const unsigned char *)name.data;
	uint32_t mixed = (uint32_t)name.size | (uint32_t)text[0] << 8 |
		(uint32_t)text[name.size / 2] << 16 | (uint32_t)text[name.size - 1] << 24;
	return mixed * 0x9E3779B1U >> 26;
}

static uint64_t members_of(unsigned bit)
{
	return bit < EVENT_MEMBERS ? (uint64_t)1 << bit : UINT64_MAX;
}

void interest_add_member(struct interest *interest, unsigned bit)
{
	uint32_t before =
		atomic_fetch_add_explicit(&interest->member_counts[bit], 1, memory_order_acq_rel);
	check(before < UINT32_MAX);
	if (before == 0 && bit < EVENT_MEMBERS) {
		atomic_fetch_or_explicit(&interest->members, members_of(bit), memory_order_acq_rel);
	}
}

void interest_remove_member(struct interest *interest, unsigned bit)
{
	uint32_t before =
		atomic_fetch_sub_explicit(&interest->member_counts[bit], 1, memory_order_acq_rel);
	check(before > 0);
	if (before > 1 || bit == EVENT_MEMBERS) {
		return;
	}
	atomic_fetch_and_explicit(&interest->members, ~members_of(bit), memory_order_acq_rel);
	/* Somebody else may have set it just before that. */
	if (atomic_load_explicit(&interest->member_counts[bit], memory_order_acquire) > 0) {
		atomic_fetch_or_explicit(&interest->members, members_of(bit), memory_order_acq_rel);
	}
}

uint64_t interest_members(const struct interest *interest)
{
	bool has_all = atomic_load_explicit(
			       &interest->member_counts[EVENT_MEMBERS], memory_order_acquire) > 0;
	return has_all ? UINT64_MAX
		       : atomic_load_explicit(&interest->members, memory_order_acquire);
}
