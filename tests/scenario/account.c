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

/*
 * While the engine takes what another life has routed, who is new to it, or has been told that it
 * misses something ahead of all of that, is at the head nonetheless.
 */
static uint64_t count_at_head(struct place place)
{
	uint64_t count = count_until(place);
	return place.life && count < place.life->old_until ? place.life->old_until : count;
}

static bool is_covered(const struct account *account, uint64_t number)
{
	for (size_t i = 0; i < account->covers_count; i++) {
		const struct cover *cover = &account->covers[i];
		uint64_t until = cover->until.sequence == 0 ? count_at_head(cover->until)
							    : count_until(cover->until);
		if (number >= count_after(cover->after) && number < until && number < cover->most) {
			return true;
		}
	}
	return false;
}

/* Changes that have happened, where the engine knows a place from which it follows the Puller. */
static uint64_t count_now(const struct world *world)
{
	bool is_followed = world->loop && ingest_marker(world->ingest).size > 0;
	return is_followed ? world->source.count : NO_CHANGE;
}

static void settle_one(struct account *account, unsigned id, uint64_t count, const char *when)
{
	uint64_t first = account->settled[id];
	if (account->since[id].life) {
		uint64_t begin = count_at_head(account->since[id]);
		begin = begin < account->since_most[id] ? begin : account->since_most[id];
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
	account->opened_us = sim_now_us(account->world->sim);
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

/* Who is not told from where it is live is so from there, at the latest. */
static struct place newest_place(const struct world *world)
{
	const struct life *life = world_life(world);
	return (struct place){life, life->count};
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
			account->since_most[id] = count_now(account->world);
		}
		return;
	}
	account->owed |= bit;
	account->since[id] = account->is_original ? newest_place(account->world) : place;
	account->since_most[id] = count_now(account->world);
	account->settled[id] = 0;
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

static void check_document(const struct account *account, uint64_t ids, bool has_document)
{
	for (unsigned id = 0; id < IDS_MAX; id++) {
		if (ids >> id & 1 && account->asks[id].omits == has_document) {
			account_fail(
				account, "s%u gets %s document", id, has_document ? "a" : "no");
		}
	}
}

void account_delivery(struct account *account, uint64_t number, uint64_t ids, bool has_document,
	const struct model_mark *mark)
{
	account_trace(
		account, "%llu for %llx", (unsigned long long)number, (unsigned long long)ids);
	check_order(account, number);
	check_for_whom(account, number, ids);
	check_document(account, ids, has_document);
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

/* ---- whether a gap had to be told ------------------------------------------------------------ */

/* All workers have kept this event of the life that is under way. */
static bool is_kept(const struct world *world, uint64_t sequence)
{
	for (size_t i = 0; i < world->options.workers; i++) {
		if (!world->loop || worker_oldest(world->workers[i].worker) > sequence) {
			return false;
		}
	}
	return true;
}

/*
 * Another life had to begin ahead of this change: each between has gone on where one had ended, and
 * what was in the history then comes again.
 */
static bool has_to_come_again(const struct account *account, struct place place)
{
	const struct world *world = account->world;
	bool keeps_all = world->options.history.events == HISTORY_EVENTS &&
		world->options.history.age_us == HISTORY_AGE_US;
	if (world->source.may_have_lost) {
		return false;
	}
	for (const struct life *life = place.life + 1; life <= world_life(world); life++) {
		if (!life->inherits || (!keeps_all && life > place.life + 1)) {
			return false;
		}
	}
	/* There must be a marker from before it, and from behind the newest break. */
	uint64_t before = place.sequence - 1;
	bool has_marker = before > 0 ? place.life->events[before - 1].number != NO_CHANGE
				     : place.life->inherits;
	return has_marker && place.sequence >= place.life->oldest_left;
}

/* A change, if it speaks of one: ahead of all changes of a life, of the newest before it. */
static bool find_change(struct place *place, uint64_t *ret_number)
{
	while (place->life && place->sequence == 0) {
		*place = (struct place){place->life->left_by, place->life->left_at};
	}
	if (!place->life) {
		return false;
	}
	*ret_number = place->life->events[place->sequence - 1].number;
	return *ret_number != NO_CHANGE;
}

/* It had not come so far when the stream had waited for it, or has lost it since. */
static bool is_late(const struct account *account, const struct life *life, uint64_t sequence)
{
	const struct world *world = account->world;
	int64_t wait_us = life->inherits ? world->options.resume_wait_us : 0;
	return life->events[sequence - 1].us > account->opened_us + wait_us - SECOND ||
		!is_kept(world, sequence) || world->stalled_us >= account->opened_us - SECOND;
}

/*
 * The engine does not know where the position stands. The change that it speaks of must not be in
 * its log by the time that the stream has waited for that, or have been left out.
 */
static bool may_be_unknown(const struct account *account, struct place after)
{
	const struct life *life = world_life(account->world);
	struct place newest = {life, 0};
	uint64_t number = 0;
	uint64_t left = 0;
	if (after.life == life) {
		return false;
	}
	if (!find_change(&after, &number)) {
		return true;
	}
	if (life->is_at_left && find_change(&newest, &left) && left == number &&
		is_kept(account->world, 1)) {
		return false;
	}
	for (size_t i = 0; i < life->count; i++) {
		if (life->events[i].number == number) {
			return is_late(account, life, i + 1);
		}
		if (life->events[i].number != NO_CHANGE && life->events[i].number > number) {
			return !has_to_come_again(account, after);
		}
	}
	return true;
}

/* One from the midst of a life, up to which all was too old, does not. */
static bool speaks_of_a_change(struct bytes position)
{
	struct model_position read;
	return model_position_read(position, &read) == OK && read.event_id_hash != 0;
}

/* The connection may have been lost before the first marker came. */
static bool has_begun(struct place at)
{
	for (uint64_t i = 0; i < at.sequence; i++) {
		if (at.life->events[i].number != NO_CHANGE) {
			return true;
		}
	}
	return at.life->inherits;
}

static bool is_needed(
	const struct account *account, const struct model_gap *gap, const struct cover *cover)
{
	const struct world *world = account->world;
	if (cover->until.life != world_life(world)) {
		return true; /* it has been told by a life that is over, as it was then */
	}
	switch (gap->reason) {
	case MODEL_GAP_TOO_OLD:
		return cover->after.life != cover->until.life ||
			!is_kept(world, cover->after.sequence + 1);
	case MODEL_GAP_SOURCE:
		return world->source.may_have_lost || !has_begun(cover->until);
	case MODEL_GAP_UNKNOWN:
		return !speaks_of_a_change(gap->after) || may_be_unknown(account, cover->after);
	case MODEL_GAP_TOO_LARGE:
		break;
	}
	return true;
}

void account_gap(struct account *account, const struct model_gap *gap)
{
	if (account->covers_count == account->covers_capacity) {
		account->covers_capacity = account->covers_capacity * 2 + 8;
		account->covers = realloc(
			account->covers, account->covers_capacity * sizeof(*account->covers));
		assert_non_null(account->covers);
	}
	struct cover *cover = &account->covers[account->covers_count++];
	*cover = (struct cover){place_of(account, gap->after), place_of(account, gap->until),
		count_now(account->world)};
	account->gaps++;
	if (!is_needed(account, gap, cover)) {
		account_fail(account, "a gap %d of %llu to %llu is told without need",
			(int)gap->reason, (unsigned long long)count_after(cover->after),
			(unsigned long long)count_after(cover->until));
	}
	/* Who comes from another life may be shown some of that again. */
	if (cover->after.life != cover->until.life) {
		account->next = 0;
	}
	uint64_t until = count_after(cover->until);
	account->next = until > account->next ? until : account->next;
	account_trace(account, "a gap %d of %llu to %llu", (int)gap->reason,
		(unsigned long long)count_after(cover->after), (unsigned long long)until);
}

uint64_t account_claim(struct account *account, struct bytes position)
{
	uint64_t count = count_after(place_of(account, position));
	account_trace(account, "an acknowledgement up to %llu", (unsigned long long)count);
	account_settle(account, count, "although an acknowledgement claims");
	return count;
}
