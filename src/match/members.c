/*
 * Which members of a document queries look at, so that a reader that is allowed to can skip the
 * others. A name without data stands for the whole document.
 */
#include "evaluate_priv.h"
#include "members_priv.h"

static unsigned bit_of(struct bytes name)
{
	return name.data ? event_member_bit(name) : EVENT_MEMBERS;
}

void match_members_add(struct match_members *members, struct bytes name)
{
	unsigned bit = bit_of(name);
	if (members->counts[bit]++ > 0) {
		return;
	}
	members->bits |= bit < EVENT_MEMBERS ? (uint64_t)1 << bit : 0;
	if (members->interest) {
		interest_add_member(members->interest, bit);
	}
}

void match_members_remove(struct match_members *members, struct bytes name)
{
	unsigned bit = bit_of(name);
	check(members->counts[bit] > 0);
	if (--members->counts[bit] > 0) {
		return;
	}
	members->bits &= bit < EVENT_MEMBERS ? ~((uint64_t)1 << bit) : UINT64_MAX;
	if (members->interest) {
		interest_remove_member(members->interest, bit);
	}
}

static void add(void *ctx, struct bytes name)
{
	match_members_add(ctx, name);
}

static void take(void *ctx, struct bytes name)
{
	match_members_remove(ctx, name);
}

void match_members_of_program(
	struct match_members *members, const struct cel_program *program, bool adds)
{
	cel_program_members(program, MATCH_SLOT_DOCUMENT, adds ? add : take, members);
}
