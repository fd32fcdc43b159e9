/*
 * The access set of a query: predicates of which at least one holds if the query holds, and of all
 * such sets the one that brings the fewest candidates as things stand.
 *   a comparison          itself, or what it implies: `x == c` if a value can find it, else has(x)
 *   AND                   that of its cheapest child, narrowed by a range beside it
 *   OR                    the union of its children's
 *   NOT, SAME             has(x) of the fields without which it would be an error
 *   a program             none: the whole collection
 */
#include "match_priv.h"

#include <math.h>

#define NO_ACCESS UINT64_MAX
#define KEYS_MAX 4096  /* of one `in`; a longer list is looked up by existence */
#define RANGES_SEEN 8U /* of one AND; further ones do not narrow it */

/*
 * Costs are candidates: of so many events, how many lead to the query. Nothing is known of events,
 * so what queries ask for stands for what events have.
 */
#define EVENTS ((uint64_t)1 << 30)
#define COST_PLACE (EVENTS >> 14) /* of standing somewhere at all */
#define COST_STAB (EVENTS >> 8)   /* of a range that nothing else leads to */
#define ONE_SIDED 2               /* of so many values one is in the range */
#define TWO_SIDED 8
#define ELEMENTS 4    /* of a list, each of which leads somewhere */
#define PREFIX_BITS 2 /* that a byte of a prefix tells apart, as long as there are few */
#define PREFIX_BITS_MAX 12

struct chooser {
	struct arena *arena;
	const struct match_index *index;
	const struct match_query *query;
	struct match_choices *choices;
	bool is_strict; /* what only says that a field exists leads nowhere */
};

static uint64_t add_costs(uint64_t a, uint64_t b)
{
	return a > NO_ACCESS - b ? NO_ACCESS : a + b;
}

static bool is_leaf(const match_word *word)
{
	return !match_word_is_join(*word);
}

/* ---- keys ---- */

/* Events that have the field: what few ask for is taken to be rarer, down to a quarter. */
static uint64_t events_with(const struct chooser *chooser, const struct match_path *path)
{
	uint64_t queries = chooser->query->collection->queries_count;
	if (path->first_child || path->words >= queries) {
		return EVENTS;
	}
	return EVENTS / 4 + EVENTS / 4 * 3 / queries * path->words;
}

/* A value that many ask for is taken to be had by as many. */
static uint64_t share_of(uint64_t events, uint64_t own, uint64_t total)
{
	own = own > 0 ? own : 1;
	return own < total ? (uint64_t)((double)events * (double)own / (double)total) : events;
}

static uint64_t most_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Of two that cost the same: what tells more documents apart. */
static uint64_t point_cost(
	const struct match_predicate_key *key, uint64_t events, uint64_t own_words)
{
	const struct match_path *path = key->path;
	if (key->kind == CEL_STARTS_WITH) {
		uint64_t bits = (uint64_t)key->constant->size * PREFIX_BITS;
		uint64_t least = events >> (bits < PREFIX_BITS_MAX ? bits : PREFIX_BITS_MAX);
		return most_of(share_of(events, own_words, path->words), least) + 4;
	}
	if (key->kind == CEL_CONTAINS) {
		uint64_t total = most_of(path->words, path->elements);
		return share_of(events, own_words * ELEMENTS, total) + 3;
	}
	bool is_text = key->constant->kind == VALUE_STRING;
	bool is_coarse = key->constant->kind <= VALUE_BOOL;
	return share_of(events, own_words, most_of(path->equal_words, path->equals)) +
		(is_text                    ? 0
				: is_coarse ? 8
					    : 1);
}

static uint64_t key_cost(const struct chooser *chooser, const struct match_predicate_key *key)
{
	if (chooser->is_strict && key->kind == CEL_HAS) {
		return NO_ACCESS;
	}
	uint64_t events = events_with(chooser, key->path);
	if (key->kind == CEL_HAS) {
		return 3 * EVENTS + events; /* no value leads there: after all else */
	}
	const struct match_predicate *found = match_predicate_find(chooser->index, key);
	return COST_PLACE + point_cost(key, events, found ? match_predicate_words(found) : 0);
}

/* A document id is there nearly always, and sometimes unknown: that it exists says nothing. */
static bool exists_key(struct match_path *path, struct match_predicate_key *ret_key)
{
	*ret_key = match_predicate_key_of(CEL_HAS, path, NULL);
	return path != path->collection->id && path->parent;
}

static bool is_large_number(const struct value *value)
{
	return value->kind == VALUE_INT || value->kind == VALUE_UINT;
}

/* What is implied by a large number is the double that it rounds to. */
static struct value rounded(const struct value *number)
{
	return (struct value){.kind = VALUE_DOUBLE,
		.as.real = number->kind == VALUE_INT ? (double)number->as.integer
						     : (double)number->as.unsigned_integer};
}

/* The point that a comparison implies, whose constant may be in *room; false: there is none. */
static bool implied_key(
	const struct match_predicate *leaf, struct value *room, struct match_predicate_key *ret_key)
{
	if (leaf->kind == CEL_PROGRAM) {
		return false;
	}
	const struct value *constant = match_predicate_constant(leaf);
	enum cel_kind kind = (enum cel_kind)leaf->kind;
	if (leaf->is_point) {
		*ret_key = match_predicate_key_of(kind, leaf->of.path, constant);
		return true;
	}
	if (kind == CEL_EQUAL && is_large_number(constant)) {
		*room = rounded(constant);
	} else if (kind == CEL_STARTS_WITH && constant->size > MATCH_PREFIX_MAX) {
		*room = *constant;
		room->size = MATCH_PREFIX_MAX;
	} else {
		return exists_key(leaf->of.path, ret_key);
	}
	*ret_key = match_predicate_key_of(kind, leaf->of.path, room);
	return true;
}

/* The field without which a comparison is an error. */
static bool needed_key(const struct match_predicate *leaf, struct match_predicate_key *ret_key)
{
	if (leaf->kind == CEL_PROGRAM) {
		return false;
	}
	struct match_path *path = leaf->of.path;
	/* has() asks for the object, not for the field. */
	path = leaf->kind == CEL_HAS ? path->parent : path;
	return path && exists_key(path, ret_key);
}

/* Whether a list is a choice of points: each of its items is one, or implies one. */
static bool is_splittable(const struct match_predicate *leaf)
{
	if (leaf->kind != CEL_IN) {
		return false;
	}
	const struct value *list = match_predicate_constant(leaf);
	const struct value *item = list + 1;
	bool is_fine = list->size <= KEYS_MAX;
	for (uint32_t i = 0; is_fine && i < list->size; i++) {
		is_fine = is_large_number(item) ||
			match_predicate_key_of(CEL_EQUAL, leaf->of.path, item).is_point;
		item = value_after(item);
	}
	return is_fine;
}

/* ---- ranges ---- */

struct range {
	struct match_path *path;
	enum match_order order;
	struct match_bounds bounds;
	uint32_t leaves; /* comparisons that it is made of */
	bool is_exact;   /* whatever is in the bounds holds */
};

static bool order_of(const struct value *constant, enum match_order *ret_order)
{
	bool is_known = constant->kind == VALUE_BOOL || constant->kind == VALUE_STRING ||
		value_is_number(constant);
	*ret_order = constant->kind == VALUE_BOOL ? MATCH_BOOLS
		: constant->kind == VALUE_STRING  ? MATCH_TEXTS
						  : MATCH_NUMBERS;
	return is_known;
}

/* Whether the point of a constant is that of no other value. */
static bool has_own_point(const struct value *constant)
{
	if (constant->kind == VALUE_INT) {
		const int64_t exact_below = (int64_t)1 << 53;
		return constant->as.integer < exact_below && constant->as.integer > -exact_below;
	}
	return constant->kind == VALUE_DOUBLE || constant->kind == VALUE_BOOL;
}

/* Closed: without the constant's own point where that is its alone, else wide enough. */
static struct match_bounds bounds_of(enum cel_kind kind, uint64_t point, bool is_exact)
{
	if (kind == CEL_GREATER || kind == CEL_GREATER_OR_EQUAL) {
		bool is_passed = kind == CEL_GREATER && is_exact;
		return (struct match_bounds){is_passed ? point + 1 : point, UINT64_MAX};
	}
	if (kind == CEL_LESS_OR_EQUAL || !is_exact) {
		return (struct match_bounds){0, point};
	}
	/* Below the least there is nothing. */
	return point > 0 ? (struct match_bounds){0, point - 1} : (struct match_bounds){1, 0};
}

static bool range_of(match_word word, struct range *ret_range)
{
	const struct match_predicate *leaf = match_word_predicate(word);
	if (leaf->kind < CEL_LESS || leaf->kind > CEL_GREATER_OR_EQUAL) {
		return false;
	}
	const struct value *constant = match_predicate_constant(leaf);
	struct range range = {.path = leaf->of.path, .leaves = 1};
	uint64_t point = 0;
	if (!order_of(constant, &range.order) ||
		!match_facet_point(range.order, constant, &point)) {
		return false;
	}
	range.is_exact = has_own_point(constant);
	range.bounds = bounds_of((enum cel_kind)leaf->kind, point, range.is_exact);
	*ret_range = range;
	return true;
}

static bool is_two_sided(const struct range *range)
{
	return range->bounds.low > 0 && range->bounds.high < UINT64_MAX;
}

/* The ranges of an AND's children, those of one path in one; how many. */
static uint32_t collect_ranges(const match_word *join, struct range ranges[RANGES_SEEN])
{
	uint32_t count = 0;
	const match_word *end = match_word_after(join);
	for (const match_word *word = join + 1; word < end; word = match_word_after(word)) {
		struct range range;
		if (!is_leaf(word) || !range_of(*word, &range)) {
			continue;
		}
		uint32_t i = 0;
		while (i < count &&
			(ranges[i].path != range.path || ranges[i].order != range.order)) {
			i++;
		}
		if (i == count) {
			if (count == RANGES_SEEN) {
				break;
			}
			ranges[count++] = range;
			continue;
		}
		ranges[i].leaves++;
		ranges[i].is_exact = ranges[i].is_exact && range.is_exact;
		struct match_bounds *bounds = &ranges[i].bounds;
		bounds->low = bounds->low > range.bounds.low ? bounds->low : range.bounds.low;
		bounds->high = bounds->high < range.bounds.high ? bounds->high : range.bounds.high;
	}
	return count;
}

static uint64_t narrowed(const struct chooser *chooser, const struct range *range, uint64_t events)
{
	events /= is_two_sided(range) ? TWO_SIDED : ONE_SIDED;
	double share = (double)events_with(chooser, range->path) / (double)EVENTS;
	return (uint64_t)((double)events * share);
}

static uint64_t range_cost(const struct chooser *chooser, const struct range *range)
{
	return COST_STAB + narrowed(chooser, range, EVENTS);
}

/* The range of an AND that narrows best; false: it has none. */
static bool best_range(
	const struct chooser *chooser, const match_word *join, struct range *ret_range)
{
	struct range ranges[RANGES_SEEN];
	uint32_t count = collect_ranges(join, ranges);
	uint64_t best = NO_ACCESS;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t cost = range_cost(chooser, &ranges[i]);
		if (i == 0 || cost < best) {
			best = cost;
			*ret_range = ranges[i];
		}
	}
	return count > 0;
}

/* ---- costs ---- */

static uint64_t leaf_cost(const struct chooser *chooser, match_word word)
{
	const struct match_predicate *leaf = match_word_predicate(word);
	const struct value *constant = match_predicate_constant(leaf);
	struct range range;
	struct match_predicate_key key;
	struct value room;
	if (range_of(word, &range)) {
		return range_cost(chooser, &range);
	}
	if (!is_splittable(leaf)) {
		return implied_key(leaf, &room, &key) ? key_cost(chooser, &key) : NO_ACCESS;
	}
	uint64_t cost = 0;
	const struct value *item = constant + 1;
	for (uint32_t i = 0; i < constant->size; i++) {
		key = match_predicate_key_of(CEL_EQUAL, leaf->of.path, item);
		cost = add_costs(cost, key.is_point ? key_cost(chooser, &key) : COST_PLACE);
		item = value_after(item);
	}
	return cost;
}

static uint64_t cost_of(const struct chooser *chooser, const match_word *word, bool is_true);

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static uint64_t join_cost(
	const struct chooser *chooser, const match_word *join, bool is_true, bool is_all)
{
	uint64_t total = is_all ? 0 : NO_ACCESS;
	const match_word *end = match_word_after(join);
	for (const match_word *word = join + 1; word < end; word = match_word_after(word)) {
		uint64_t cost = cost_of(chooser, word, is_true);
		if (is_all) {
			total = add_costs(total, cost);
		} else if (cost < total) {
			total = cost;
		}
	}
	return total;
}

/* Of an AND the child that is filed by, and what that costs with the range beside it. */
/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static const match_word *cheapest_of_and(
	const struct chooser *chooser, const match_word *join, uint64_t *ret_cost)
{
	struct range range = {0};
	struct range own;
	bool has_range = best_range(chooser, join, &range);
	const match_word *best = NULL;
	uint64_t best_cost = NO_ACCESS;
	const match_word *end = match_word_after(join);
	for (const match_word *word = join + 1; word < end; word = match_word_after(word)) {
		uint64_t cost = cost_of(chooser, word, true);
		if (has_range && is_leaf(word) && range_of(*word, &own)) {
			cost = range_cost(chooser, &range);
		} else if (has_range && cost != NO_ACCESS) {
			cost = narrowed(chooser, &range, cost);
		}
		if (!best || cost < best_cost) {
			best = word;
			best_cost = cost;
		}
	}
	*ret_cost = best_cost;
	return best;
}

/* What is true only if exactly one of two is. */
static const match_word *exclusive_or(const match_word *word)
{
	bool is_not = match_word_is_join(*word) && match_word_join(*word) == MATCH_NOT;
	bool is_same =
		is_not && match_word_is_join(word[1]) && match_word_join(word[1]) == MATCH_SAME;
	return is_same ? word + 1 : NULL;
}

static bool is_always(const match_word *word)
{
	return match_word_is_join(*word) && match_word_join(*word) == MATCH_TRUE;
}

/* Of the access set of a tree that holds, or (not is_true) that is no error. */
/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static uint64_t cost_of(const struct chooser *chooser, const match_word *word, bool is_true)
{
	struct match_predicate_key key;
	if (is_leaf(word) && is_true) {
		return leaf_cost(chooser, *word);
	}
	if (is_leaf(word)) {
		return needed_key(match_word_predicate(*word), &key) ? key_cost(chooser, &key)
								     : NO_ACCESS;
	}
	const match_word *same = is_true ? exclusive_or(word) : NULL;
	uint64_t cost = NO_ACCESS;
	switch (match_word_join(*word)) {
	case MATCH_AND:
		if (is_true) {
			(void)cheapest_of_and(chooser, word, &cost);
			return cost;
		}
		return join_cost(chooser, word, false, true);
	case MATCH_OR:
		return join_cost(chooser, word, is_true, true);
	case MATCH_NOT:
		if (same) {
			uint64_t either = join_cost(chooser, same, true, true);
			uint64_t known = join_cost(chooser, same, false, false);
			return either < known ? either : known;
		}
		return is_true && is_always(word + 1) ? 0 : cost_of(chooser, word + 1, false);
	case MATCH_SAME:
		return join_cost(chooser, word, false, false);
	case MATCH_TRUE:
		break;
	}
	return NO_ACCESS;
}

/* ---- the set itself, of what has a cost ---- */

static enum err add_choice(struct chooser *chooser, const struct match_choice *choice)
{
	struct match_choices *choices = chooser->choices;
	if (choices->count == choices->capacity) {
		size_t capacity = choices->capacity > 0 ? choices->capacity * 2 : 8;
		struct match_choice *items = arena_alloc(chooser->arena, capacity * sizeof(*items));
		if (!items) {
			return ERR_MEMORY;
		}
		for (size_t i = 0; i < choices->count; i++) {
			items[i] = choices->items[i];
		}
		choices->items = items;
		choices->capacity = capacity;
	}
	choices->items[choices->count++] = *choice;
	return OK;
}

/* What was chosen from `first` on is found for nothing unless this tree holds as well. */
static void add_needs(struct chooser *chooser, size_t first, const match_word *word)
{
	const struct match_needs needs = match_needs_of(word);
	for (size_t i = first; i < chooser->choices->count; i++) {
		chooser->choices->items[i].needs.fields |= needs.fields;
		chooser->choices->items[i].needs.values |= needs.values;
	}
}

/* What was chosen from `first` on says less than all. */
static void disprove(struct chooser *chooser, size_t first)
{
	for (size_t i = first; i < chooser->choices->count; i++) {
		chooser->choices->items[i].is_proof = false;
	}
}

static enum err add_key(
	struct chooser *chooser, const struct match_predicate_key *key, bool is_proof)
{
	return add_choice(chooser,
		&(struct match_choice){.key = *key, .is_keyed = true, .is_proof = is_proof});
}

static enum err add_range(struct chooser *chooser, const struct range *range)
{
	return add_choice(chooser,
		&(struct match_choice){.range = range->path,
			.order = range->order,
			.bounds = range->bounds,
			.is_proof = range->is_exact});
}

/* Items that are too large for a point imply others. */
static enum err add_item(
	struct chooser *chooser, const struct match_predicate *leaf, const struct value *item)
{
	struct match_predicate_key key = match_predicate_key_of(CEL_EQUAL, leaf->of.path, item);
	bool is_proof = key.is_point;
	if (!is_proof) {
		struct value *room = arena_alloc(chooser->arena, sizeof(*room));
		if (!room) {
			return ERR_MEMORY;
		}
		*room = rounded(item);
		key = match_predicate_key_of(CEL_EQUAL, leaf->of.path, room);
	}
	return add_key(chooser, &key, is_proof);
}

static enum err choose_leaf(struct chooser *chooser, match_word word)
{
	const struct match_predicate *leaf = match_word_predicate(word);
	struct range range;
	if (range_of(word, &range)) {
		return add_range(chooser, &range);
	}
	const struct value *constant = match_predicate_constant(leaf);
	if (!is_splittable(leaf)) {
		struct match_predicate_key key;
		struct value *room = arena_alloc(chooser->arena, sizeof(*room));
		if (!room) {
			return ERR_MEMORY;
		}
		check(implied_key(leaf, room, &key));
		return add_key(chooser, &key, leaf->is_point);
	}
	enum err err = OK;
	const struct value *item = constant + 1;
	for (uint32_t i = 0; err == OK && i < constant->size; i++) {
		err = add_item(chooser, leaf, item);
		item = value_after(item);
	}
	return err;
}

static enum err choose(struct chooser *chooser, const match_word *word, bool is_true);

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static enum err choose_all(struct chooser *chooser, const match_word *join, bool is_true)
{
	enum err err = OK;
	const match_word *end = match_word_after(join);
	for (const match_word *word = join + 1; err == OK && word < end;
		word = match_word_after(word)) {
		err = choose(chooser, word, is_true);
	}
	return err;
}

static const match_word *cheapest_known(const struct chooser *chooser, const match_word *join)
{
	const match_word *best = NULL;
	uint64_t best_cost = NO_ACCESS;
	const match_word *end = match_word_after(join);
	for (const match_word *word = join + 1; word < end; word = match_word_after(word)) {
		uint64_t cost = cost_of(chooser, word, false);
		if (!best || cost < best_cost) {
			best = word;
			best_cost = cost;
		}
	}
	return best;
}

static uint32_t count_children(const match_word *join)
{
	uint32_t count = 0;
	const match_word *end = match_word_after(join);
	for (const match_word *word = join + 1; word < end; word = match_word_after(word)) {
		count++;
	}
	return count;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static enum err choose_and(struct chooser *chooser, const match_word *join)
{
	uint64_t cost = NO_ACCESS;
	const match_word *best = cheapest_of_and(chooser, join, &cost);
	struct range range = {0};
	bool has_range = best_range(chooser, join, &range);
	uint32_t others = count_children(join) - range.leaves;
	size_t first = chooser->choices->count;
	struct range own;
	bool is_range = is_leaf(best) && range_of(*best, &own);
	if (is_range) {
		range.is_exact = range.is_exact && others == 0;
		has_range = false;
	}
	bool is_covered = has_range && range.is_exact && others == 1;
	enum err err = is_range ? add_range(chooser, &range) : choose(chooser, best, true);
	for (size_t i = first; err == OK && i < chooser->choices->count; i++) {
		struct match_choice *choice = &chooser->choices->items[i];
		bool is_narrowed = has_range && choice->is_keyed && !choice->range;
		bool is_all = is_range || (is_covered && is_narrowed);
		choice->is_proof = choice->is_proof && is_all;
		if (is_narrowed) {
			choice->range = range.path;
			choice->order = range.order;
			choice->bounds = range.bounds;
		}
	}
	const match_word *end = match_word_after(join);
	for (const match_word *word = join + 1; word < end; word = match_word_after(word)) {
		if (word != best) {
			add_needs(chooser, first, word);
		}
	}
	return err;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static enum err choose_not(struct chooser *chooser, const match_word *word, bool is_true)
{
	const match_word *same = is_true ? exclusive_or(word) : NULL;
	if (!same) {
		bool is_never = is_true && is_always(word + 1);
		return is_never ? OK : choose(chooser, word + 1, false);
	}
	bool is_either =
		join_cost(chooser, same, true, true) < join_cost(chooser, same, false, false);
	if (!is_either) {
		return choose(chooser, cheapest_known(chooser, same), false);
	}
	size_t first = chooser->choices->count;
	enum err err = choose_all(chooser, same, true);
	disprove(chooser, first); /* the other one must not hold */
	return err;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static enum err choose(struct chooser *chooser, const match_word *word, bool is_true)
{
	if (is_leaf(word)) {
		struct match_predicate_key key;
		if (is_true) {
			return choose_leaf(chooser, *word);
		}
		check(needed_key(match_word_predicate(*word), &key));
		return add_key(chooser, &key, false);
	}
	switch (match_word_join(*word)) {
	case MATCH_AND:
		return is_true ? choose_and(chooser, word) : choose_all(chooser, word, false);
	case MATCH_OR:
		return choose_all(chooser, word, is_true);
	case MATCH_SAME:
		return choose(chooser, cheapest_known(chooser, word), false);
	case MATCH_NOT:
		return choose_not(chooser, word, is_true);
	case MATCH_TRUE:
		break;
	}
	check(false); /* it has no cost */
	return ERR_INTERNAL;
}

/* ---- */

/* The next of a query's top-level conjuncts from `word` on that asks for ids; NULL: none. */
static const match_word *next_id_leaf(
	const struct match_query *query, const match_word *word, const match_word *end)
{
	for (; word < end; word = match_word_after(word)) {
		const struct match_predicate *leaf =
			is_leaf(word) ? match_word_predicate(*word) : NULL;
		if (leaf && (leaf->kind == CEL_EQUAL || leaf->kind == CEL_IN) &&
			leaf->of.path == query->collection->id) {
			return word;
		}
	}
	return NULL;
}

static bool suits_leaf(const struct match_predicate *leaf, const struct value *id)
{
	const struct cel_node node = {.kind = (enum cel_kind)leaf->kind,
		.depth = 1,
		.constant = match_predicate_constant(leaf),
		.is_sorted = leaf->is_sorted};
	enum cel_failure failure = CEL_FAILED_NAME;
	return cel_compare_with(&node, id, &failure) == CEL_IS_TRUE;
}

static enum err add_id(struct chooser *chooser, const match_word *first, const match_word *end,
	const struct value *id)
{
	const struct match_query *query = chooser->query;
	for (const match_word *word = first; word;
		word = next_id_leaf(query, match_word_after(word), end)) {
		if (!suits_leaf(match_word_predicate(*word), id)) {
			return OK; /* one says this id, another one does not */
		}
	}
	return add_item(chooser, match_word_predicate(*first), id);
}

/*
 * Document ids go before all else: who asks by id hears of hard deletes. The query is filed under
 * those that all its `==` and `in` agree on, whichever of them is looked at.
 */
static enum err choose_id(struct chooser *chooser)
{
	const match_word *code = chooser->query->code;
	bool is_and = match_word_is_join(*code) && match_word_join(*code) == MATCH_AND;
	const match_word *end = match_word_after(code);
	const match_word *first = next_id_leaf(chooser->query, is_and ? code + 1 : code, end);
	check(first);
	const struct match_predicate *leaf = match_word_predicate(*first);
	const struct value *constant = match_predicate_constant(leaf);
	bool is_list = leaf->kind == CEL_IN;
	const struct value *item = is_list ? constant + 1 : constant;
	const struct value *items_end = value_after(constant);
	enum err err = OK;
	for (; err == OK && item < items_end; item = value_after(item)) {
		err = add_id(chooser, first, end, item);
	}
	if (is_and) {
		disprove(chooser, 0); /* the rest is still to be seen */
	}
	add_needs(chooser, 0, code);
	return err;
}

enum err match_access_choose(struct arena *arena, const struct match_index *index,
	const struct match_query *query, struct match_choices *ret_choices)
{
	*ret_choices = (struct match_choices){0};
	struct chooser chooser = {
		.arena = arena, .index = index, .query = query, .choices = ret_choices};
	if (query->is_by_id) {
		return choose_id(&chooser);
	}
	if (cost_of(&chooser, query->code, true) == NO_ACCESS) {
		return add_choice(
			&chooser, &(struct match_choice){.needs = match_needs_of(query->code)});
	}
	return choose(&chooser, query->code, true);
}

bool match_access_leads_nowhere(const struct match_index *index, const struct match_query *query)
{
	const struct chooser chooser = {.index = index, .query = query, .is_strict = true};
	return !query->is_by_id && cost_of(&chooser, query->code, true) == NO_ACCESS;
}
