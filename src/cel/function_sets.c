/* The library sets: lists whose order and repetitions do not matter. */
#include "function_priv.h"

bool cel_is_among(struct cel_run *run, struct cel_value item, struct cel_value list, bool *ret_is)
{
	struct cel_walk walk = cel_walk(list);
	struct cel_value other = cel_null();
	*ret_is = false;
	while (!*ret_is && !run->has_stopped && cel_next_item(&walk, &other)) {
		*ret_is = cel_values_equal(run, item, other);
	}
	return !run->has_stopped && cel_spend(run, cel_steps_of(walk.index));
}

/*
 * Walks `list` until an item's being in `among` is `wanted`; whether there was one. False: the run
 * has stopped.
 */
static bool find(struct cel_run *run, struct cel_value list, struct cel_value among, bool wanted,
	bool *ret_found)
{
	struct cel_walk walk = cel_walk(list);
	struct cel_value item = cel_null();
	*ret_found = false;
	while (!*ret_found && cel_next_item(&walk, &item)) {
		bool is_there = false;
		if (!cel_is_among(run, item, among, &is_there)) {
			return false;
		}
		*ret_found = is_there == wanted;
	}
	return true;
}

struct cel_value cel_call_sets_contains(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	bool lacks = false;
	return find(run, arguments[1], arguments[0], false, &lacks) ? cel_bool(!lacks)
								    : cel_stopped(run);
}

struct cel_value cel_call_sets_equivalent(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	const struct cel_value swapped[] = {arguments[1], arguments[0]};
	struct cel_value contains = cel_call_sets_contains(run, arguments, count);
	return cel_is_true(contains) ? cel_call_sets_contains(run, swapped, count) : contains;
}

struct cel_value cel_call_sets_intersects(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	bool meets = false;
	return find(run, arguments[0], arguments[1], true, &meets) ? cel_bool(meets)
								   : cel_stopped(run);
}
