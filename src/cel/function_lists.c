/*
 * The library lists. A list that the expression made is shared where that is possible; one of a
 * document is copied, item by item. Nothing here recurses: nested lists are flattened one level
 * after the other.
 */
#include "function_priv.h"

/* ---- items ----------------------------------------------------------------------------------- */

/* Room for `count` items, paid for; NULL: the run has stopped. */
static struct cel_value *make_room(struct cel_run *run, size_t count)
{
	if (!cel_spend(run, cel_steps_of(count))) {
		return NULL;
	}
	return cel_alloc(run, (count > 0 ? count : 1) * sizeof(struct cel_value));
}

/* A copy of the items from `start` on. */
static struct cel_value *copy_items(
	struct cel_run *run, struct cel_value list, size_t start, size_t count)
{
	struct cel_value *items = make_room(run, count);
	if (!items || !cel_spend(run, cel_steps_of(start))) {
		return NULL;
	}
	struct cel_walk walk = cel_walk(list);
	struct cel_value item = cel_null();
	for (size_t i = 0; i < start + count && cel_next_item(&walk, &item); i++) {
		if (i >= start) {
			items[i - start] = item;
		}
	}
	return items;
}

struct cel_value cel_call_range(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	int64_t size = arguments[0].as.integer;
	if (size < 0 || size > UINT32_MAX) {
		return cel_error(CEL_FAILED_RANGE,
			"lists.range of a negative number, or of more items than a list can have");
	}
	struct cel_value *items = make_room(run, (size_t)size);
	if (!items) {
		return cel_stopped(run);
	}
	for (int64_t i = 0; i < size; i++) {
		items[i] = cel_int(i);
	}
	return cel_list(items, (size_t)size);
}

struct cel_value cel_call_slice(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	struct cel_value list = arguments[0];
	int64_t start = arguments[1].as.integer;
	int64_t end = arguments[2].as.integer;
	if (start < 0 || end < start || (uint64_t)end > cel_count(list)) {
		return cel_error(CEL_FAILED_RANGE,
			"slice: 0 <= start <= end <= size of the list does not hold");
	}
	size_t size = (size_t)(end - start);
	if (!list.is_document) {
		return cel_list(size > 0 ? list.as.items + start : list.as.items, size);
	}
	struct cel_value *items = copy_items(run, list, (size_t)start, size);
	return items ? cel_list(items, size) : cel_stopped(run);
}

struct cel_value cel_call_reverse_list(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	size_t size = cel_count(arguments[0]);
	struct cel_value *items = make_room(run, size);
	if (!items) {
		return cel_stopped(run);
	}
	struct cel_walk walk = cel_walk(arguments[0]);
	size_t place = size;
	while (place > 0 && cel_next_item(&walk, &items[place - 1])) {
		place--;
	}
	return cel_list(items, size);
}

struct cel_value cel_call_first(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	if (cel_count(arguments[0]) == 0) {
		return cel_optional(NULL);
	}
	return cel_make_optional(run, cel_item_at(arguments[0], 0));
}

struct cel_value cel_call_last(struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	size_t size = cel_count(arguments[0]);
	if (size == 0) {
		return cel_optional(NULL);
	}
	if (!cel_spend(run, cel_steps_of(size))) {
		return cel_stopped(run);
	}
	return cel_make_optional(run, cel_item_at(arguments[0], size - 1));
}

/* ---- flatten --------------------------------------------------------------------------------- */

/* The size that the list has once its lists are replaced by what is in them; whether there are any.
 */
static bool measure(struct cel_value list, size_t *ret_size)
{
	bool has_lists = false;
	*ret_size = 0;
	struct cel_walk walk = cel_walk(list);
	struct cel_value item = cel_null();
	while (cel_next_item(&walk, &item)) {
		has_lists = has_lists || item.type == CEL_LIST;
		*ret_size += item.type == CEL_LIST ? cel_count(item) : 1;
	}
	return has_lists;
}

/* Copies the item, or what is in it; gives how many they were. */
static size_t put_items(struct cel_value item, struct cel_value *items)
{
	if (item.type != CEL_LIST) {
		items[0] = item;
		return 1;
	}
	size_t count = 0;
	struct cel_walk walk = cel_walk(item);
	while (cel_next_item(&walk, &items[count])) {
		count++;
	}
	return count;
}

static struct cel_value flatten(struct cel_run *run, struct cel_value list, int64_t depth)
{
	for (; depth > 0; depth--) {
		if (!cel_spend(run, cel_steps_of(cel_count(list)))) {
			return cel_stopped(run);
		}
		size_t size = 0;
		if (!measure(list, &size)) {
			break;
		}
		/* One more: a walk writes no item behind the last, but asks with a place for it. */
		struct cel_value *items = make_room(run, size + 1);
		if (!items) {
			return cel_stopped(run);
		}
		size_t count = 0;
		struct cel_walk walk = cel_walk(list);
		struct cel_value item = cel_null();
		while (cel_next_item(&walk, &item)) {
			count += put_items(item, &items[count]);
		}
		list = cel_list(items, count);
	}
	return list;
}

struct cel_value cel_call_flatten(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	int64_t depth = count > 1 ? arguments[1].as.integer : 1;
	if (depth < 0) {
		return cel_error(CEL_FAILED_RANGE, "flatten: the depth is negative");
	}
	return flatten(run, arguments[0], depth);
}

/* ---- distinct -------------------------------------------------------------------------------- */

struct cel_value cel_call_distinct(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	struct cel_value *items = make_room(run, cel_count(arguments[0]));
	if (!items) {
		return cel_stopped(run);
	}
	size_t kept = 0;
	struct cel_walk walk = cel_walk(arguments[0]);
	struct cel_value item = cel_null();
	while (cel_next_item(&walk, &item)) {
		bool is_there = false;
		if (!cel_is_among(run, item, cel_list(items, kept), &is_there)) {
			return cel_stopped(run);
		}
		if (!is_there) {
			items[kept++] = item;
		}
	}
	return cel_list(items, kept);
}

/* ---- sort ------------------------------------------------------------------------------------ */

/* What is merged: items behind their keys. */
struct sort {
	struct cel_run *run;
	struct cel_value error; /* CEL_NULL: none yet */
};

/* Whether `b` stands before `a`. */
static bool is_before(struct sort *sort, struct cel_value b, struct cel_value a)
{
	int order = 0;
	size_t size = a.size < b.size ? a.size : b.size;
	if (!cel_spend(sort->run, cel_steps_of(size))) {
		sort->error = cel_stopped(sort->run);
	} else if (cel_values_order(b, a, &order)) {
		sort->error = cel_error(CEL_FAILED_TYPE, "sort: values without a common order");
	} else if (order == 2) {
		sort->error = cel_error(CEL_FAILED_ARGUMENT, "sort: NaN has no order");
	}
	return order == -1;
}

/* Merges the sorted runs [0, middle) and [middle, count) of `from` into `to`; keeps the order of
 * equals. */
static void merge(struct sort *sort, const struct cel_entry *from, size_t middle, size_t count,
	struct cel_entry *to)
{
	size_t left = 0;
	size_t right = middle;
	for (size_t place = 0; place < count; place++) {
		bool is_right = left == middle ||
			(right < count && is_before(sort, from[right].key, from[left].key));
		if (sort->error.type != CEL_NULL) {
			return;
		}
		to[place] = is_right ? from[right++] : from[left++];
	}
}

/* Runs of doubling length; `entries` and `spare` change places. Gives the sorted one. */
static struct cel_entry *merge_all(
	struct sort *sort, struct cel_entry *entries, struct cel_entry *spare, size_t count)
{
	for (size_t length = 1; length < count && sort->error.type == CEL_NULL; length *= 2) {
		for (size_t start = 0; start < count; start += 2 * length) {
			size_t rest = count - start;
			size_t middle = rest < length ? rest : length;
			size_t size = rest < 2 * length ? rest : 2 * length;
			merge(sort, entries + start, middle, size, spare + start);
		}
		struct cel_entry *sorted = spare;
		spare = entries;
		entries = sorted;
	}
	return entries;
}

struct cel_value cel_sort(
	struct cel_run *run, struct cel_value *items, const struct cel_value *keys, size_t count)
{
	if (count == 0) {
		return cel_list(items, 0);
	}
	struct sort sort = {run, cel_null()};
	(void)is_before(&sort, keys[0], keys[0]); /* that of one item alone, too */
	if (sort.error.type != CEL_NULL) {
		return sort.error;
	}
	struct cel_entry *entries = cel_alloc(run, 2 * count * sizeof(*entries));
	if (!entries || !cel_spend(run, cel_steps_of(count))) {
		return cel_stopped(run);
	}
	for (size_t i = 0; i < count; i++) {
		entries[i] = (struct cel_entry){keys[i], items[i]};
	}
	const struct cel_entry *sorted = merge_all(&sort, entries, entries + count, count);
	if (sort.error.type != CEL_NULL) {
		return sort.error;
	}
	for (size_t i = 0; i < count; i++) {
		items[i] = sorted[i].value;
	}
	return cel_list(items, count);
}

struct cel_value cel_call_sort(struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	size_t size = cel_count(arguments[0]);
	struct cel_value *items = copy_items(run, arguments[0], 0, size);
	return items ? cel_sort(run, items, items, size) : cel_stopped(run);
}
