/*
 * What a gateway is owed, and what it gets. Of every subscription: what is delivered and the gaps
 * that are told cover every change that the naive model gives it, from when its answer says that it
 * is live, over all streams; within a stream changes come in order and once; they come again only
 * on a stream that goes on from before them; and an acknowledgement speaks only of what has come.
 *
 * It looks into positions, which no client may.
 */
#include "comeback.h"

#include <stdlib.h>

static struct place place_of(const struct account *account, struct bytes position)
{
	const struct world *world = account->world;
	struct model_position read;
	if (position.size == 0) {
		return (struct place){0};
	}
	if (model_position_read(position, &read) != OK) {
		account_fail(account, "a position cannot be read");
	}
	for (size_t i = 0; i < world->lives_count; i++) {
		const struct life *life = &world->lives[i];
		if (life->epoch == read.epoch && read.sequence <= life->count) {
			return (struct place){life, read.sequence};
		}
	}
	account_fail(account, "a position is of no life, or ahead of it");
	return (struct place){0};
}

static uint64_t count_after(struct place place)
{
	return place.life ? life_after(place.life, place.sequence) : 0;
}

static uint64_t count_until(struct place place)
{
	return place.life ? life_until(place.life, place.sequence) : NO_CHANGE;
}

/* ---- what is owed ---------------------------------------------------------------------------- */

static uint64_t *done_at(struct account *account, uint64_t number)
{
	while (number >= account->done_capacity) {
		uint64_t capacity = account->done_capacity * 2 + 256;
		account->done = realloc(account->done, capacity * sizeof(*account->done));
		assert_non_null(account->done);
		memset(account->done + account->done_capacity, 0,
			(capacity - account->done_capacity) * sizeof(*account->done));
		account->done_capacity = capacity;
	}
	return &account->done[number];
}

static bool is_covered(const struct account *account, uint64_t number)
{
	for (size_t i = 0; i < account->covers_count; i++) {
		if (number >= count_after(account->covers[i][0]) &&
			number < count_until(account->covers[i][1])) {
			return true;
		}
	}
	return false;
}

/*
 * From where on a subscription is owed its changes. While the engine takes what another life has
 * routed, who is new to it is at the head nonetheless.
 */
static uint64_t since(const struct account *account, unsigned id)
{
	uint64_t count = count_until(account->since[id]);
	const struct life *life = account->since[id].life;
	return life && count < life->old_until ? life->old_until : count;
}

static void settle_one(struct account *account, unsigned id, uint64_t count, const char *when)
{
	uint64_t first = account->settled[id];
	if (account->since[id].life) {
		uint64_t begin = since(account, id);
		first = begin > first ? begin : first;
	}
	for (uint64_t number = first; number < count; number++) {
		if (ask_matches(&account->asks[id], number) &&
			!(*done_at(account, number) >> id & 1) && !is_covered(account, number)) {
			account_fail(account, "s%u misses %llu, %s %llu", id,
				(unsigned long long)number, when, (unsigned long long)count);
		}
	}
	if (count > account->settled[id]) {
		account->settled[id] = count;
	}
}

void account_settle(struct account *account, uint64_t count, const char *when)
{
	for (unsigned id = 0; id < IDS_MAX; id++) {
		bool is_waited_for = !account->has_lapsed || account->answered >> id & 1;
		if (account->owed >> id & 1 && is_waited_for) {
			settle_one(account, id, count, when);
		}
	}
}

/* ---- streams and answers --------------------------------------------------------------------- */

void account_open(struct account *account, struct bytes after)
{
	account->answered = 0;
	account->last = NO_CHANGE;
	account->is_part = false;
	account->has_lapsed = false;
	memset(account->least, 0, sizeof(account->least));
	account->next = count_after(place_of(account, after));
	account_trace(account, "a stream from %llu on", (unsigned long long)account->next);
	if (after.size == 0) {
		account->owed = 0;
		memset(account->settled, 0, sizeof(account->settled));
		for (uint64_t i = 0; i < account->done_capacity; i++) {
			account->done[i] = 0;
		}
		account->covers_count = 0;
	}
}

void account_fini(struct account *account)
{
	free(account->done);
	free(account->covers);
}

void account_answer(struct account *account, unsigned id, struct bytes live_after)
{
	uint64_t bit = UINT64_C(1) << id;
	struct place place = place_of(account, live_after);
	if (account->answered & bit) {
		return; /* of a bulk that was repeated */
	}
	account->answered |= bit;
	account_trace(account, "s%u is live from %llu", id, (unsigned long long)count_after(place));
	if (account->owed & bit) {
		if (account->has_lapsed) { /* others did not wait for it */
			account->since[id] = place;
		}
		return;
	}
	account->owed |= bit;
	account->since[id] = place;
	account->settled[id] = account->is_original ? account->world->source.count : 0;
	account->least[id] = count_after(place);
}

void account_drop(struct account *account, unsigned id)
{
	account->owed &= ~(UINT64_C(1) << id);
}

/* ---- what comes ------------------------------------------------------------------------------ */

static void check_order(struct account *account, uint64_t number)
{
	if (number < account->next) {
		account_fail(account, "%llu comes behind, or on a stream that goes on after, %llu",
			(unsigned long long)number, (unsigned long long)account->next - 1);
	}
	if (account->is_part && number != account->last) {
		account_fail(
			account, "the rest of %llu is missing", (unsigned long long)account->last);
	}
}

static void check_for_whom(struct account *account, uint64_t number, uint64_t ids)
{
	for (unsigned id = 0; id < IDS_MAX; id++) {
		if (!(ids >> id & 1)) {
			continue;
		}
		if (!(account->answered >> id & 1) || !ask_matches(&account->asks[id], number)) {
			account_fail(account, "%llu is for s%u, which does not want it",
				(unsigned long long)number, id);
		}
		if (number < account->least[id]) {
			account_fail(account, "%llu is for s%u, live only from %llu",
				(unsigned long long)number, id,
				(unsigned long long)account->least[id]);
		}
	}
}

void account_delivery(
	struct account *account, uint64_t number, uint64_t ids, const struct model_mark *mark)
{
	account_trace(
		account, "%llu for %llx", (unsigned long long)number, (unsigned long long)ids);
	check_order(account, number);
	check_for_whom(account, number, ids);
	struct place place = place_of(account, mark->position);
	if (place.life && count_after(place) != number + 1) {
		account_fail(
			account, "%llu has the position of another", (unsigned long long)number);
	}
	if (!place.life && !mark->more && !account->is_original) {
		account_fail(account, "%llu has no position", (unsigned long long)number);
	}
	account->deliveries++;
	account->replayed += mark->replayed;
	account->repeats += (*done_at(account, number) & ids) != 0;
	account_settle(account, number, "when the stream comes to");
	*done_at(account, number) |= ids;
	account->last = number;
	account->is_part = mark->more;
	account->next = mark->more ? number : number + 1;
	if (!mark->more) {
		account_settle(account, number + 1, "of which the last is not for it, at");
	}
}

void account_gap(struct account *account, const struct model_gap *gap)
{
	if (account->covers_count == account->covers_capacity) {
		account->covers_capacity = account->covers_capacity * 2 + 8;
		account->covers = realloc(
			account->covers, account->covers_capacity * sizeof(*account->covers));
		assert_non_null(account->covers);
	}
	struct place(*cover)[2] = &account->covers[account->covers_count++];
	(*cover)[0] = place_of(account, gap->after);
	(*cover)[1] = place_of(account, gap->until);
	account->gaps++;
	/* Who comes from another life may be shown some of that again. */
	if ((*cover)[0].life != (*cover)[1].life) {
		account->next = 0;
	}
	uint64_t until = count_after((*cover)[1]);
	account->next = until > account->next ? until : account->next;
	account_trace(account, "a gap %d of %llu to %llu", (int)gap->reason,
		(unsigned long long)count_after((*cover)[0]), (unsigned long long)until);
}

uint64_t account_claim(struct account *account, struct bytes position)
{
	uint64_t count = count_after(place_of(account, position));
	account_trace(account, "an acknowledgement up to %llu", (unsigned long long)count);
	account_settle(account, count, "although an acknowledgement claims");
	return count;
}
