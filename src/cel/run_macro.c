/*
 * Evaluation of macros. A macro over a list or a map goes through it once; its variables are locals
 * that nobody else uses, so a macro within a macro disturbs nothing.
 */
#include "program_priv.h"

/* A macro that goes round: what is left to go through, and the round at hand. */
struct round {
	struct cel_run *run;
	const struct code *code;
	struct cel_walk walk;
	struct cel_value key;   /* index, or key */
	struct cel_value value; /* item, or the key's value */
};

static struct cel_value no_overload(void)
{
	return cel_error(CEL_FAILED_TYPE, "no such overload");
}

/* The next round: sets the macro's variables. False: there is none, or the run has stopped. */
static bool next_round(struct round *round)
{
	struct cel_run *run = round->run;
	const struct code *code = round->code;
	if (run->has_stopped) {
		return false;
	}
	if (round->walk.collection.type == CEL_LIST) {
		round->key = cel_int(round->walk.index);
		if (!cel_next_item(&round->walk, &round->value)) {
			return false;
		}
	} else {
		struct cel_entry entry;
		if (!cel_next_entry(&round->walk, &entry)) {
			return false;
		}
		round->key = entry.key;
		round->value = entry.value;
	}
	if (code->variables_count == 2) {
		run->locals[code->index] = round->key;
		run->locals[code->index + 1] = round->value;
	} else {
		bool is_map = round->walk.collection.type == CEL_MAP;
		run->locals[code->index] = is_map ? round->key : round->value;
	}
	return true;
}

/* The item that a filter keeps, which is what the one variable is. */
static struct cel_value item_of(const struct round *round)
{
	return round->walk.collection.type == CEL_MAP ? round->key : round->value;
}

/* ---- all, exists, exists_one ---- */

/* Joined as `&&` and `||` join: an error counts only if no round decides. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value join_rounds(struct round *round, bool decisive)
{
	struct cel_value outcome = cel_bool(!decisive);
	while (next_round(round)) {
		struct cel_value value = cel_evaluate_code(round->run, &round->code->children[1]);
		if (value.type == CEL_BOOL) {
			if (value.as.boolean == decisive) {
				return value;
			}
		} else if (!cel_is_error(outcome)) {
			outcome = cel_is_error(value) ? value : no_overload();
		}
	}
	return outcome;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value count_one(struct round *round)
{
	uint64_t count = 0;
	while (next_round(round)) {
		struct cel_value value = cel_evaluate_code(round->run, &round->code->children[1]);
		if (value.type != CEL_BOOL) {
			return cel_is_error(value) ? value : no_overload();
		}
		count += value.as.boolean;
	}
	return cel_bool(count == 1);
}

/* ---- lists and maps that are made ---- */

/* The condition of a macro that may have one; an error is its outcome. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value condition_of(const struct round *round, const struct code *condition)
{
	if (!condition) {
		return cel_bool(true);
	}
	struct cel_value value = cel_evaluate_code(round->run, condition);
	return value.type == CEL_BOOL || cel_is_error(value) ? value : no_overload();
}

/* filter, map, transformList. `result` NULL: the item itself. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value make_list(
	struct round *round, const struct code *condition, const struct code *result)
{
	size_t most = round->walk.collection.size;
	struct cel_value *items = cel_alloc(round->run, most * sizeof(*items));
	size_t count = 0;
	if (!items) {
		return cel_stopped(round->run);
	}
	while (next_round(round)) {
		struct cel_value item = condition_of(round, condition);
		if (cel_is_error(item)) {
			return item;
		}
		if (!item.as.boolean) {
			continue;
		}
		item = result ? cel_evaluate_code(round->run, result) : item_of(round);
		if (cel_is_error(item)) {
			return item;
		}
		items[count++] = item;
	}
	return cel_list(items, count);
}

/* The entry of a map of one, for transformMapEntry. */
static struct cel_value single_entry(struct cel_value map, struct cel_entry *ret_entry)
{
	struct cel_walk walk = cel_walk(map);
	if (map.type != CEL_MAP) {
		return no_overload();
	}
	return cel_next_entry(&walk, ret_entry) && cel_count(map) == 1
		? map
		: cel_error(CEL_FAILED_ARGUMENT, "the map must have one entry");
}

/* Adds an entry whose key must be new. */
static struct cel_value add_entry(
	struct cel_run *run, struct cel_entry *entries, size_t count, struct cel_entry entry)
{
	struct cel_value other;
	if (!cel_spend(run, cel_steps_of(count))) {
		return cel_stopped(run);
	}
	if (cel_find(cel_map(entries, count), entry.key, &other)) {
		return cel_error(CEL_FAILED_ARGUMENT, "a key is repeated");
	}
	entries[count] = entry;
	return entry.value;
}

/* transformMap, transformMapEntry */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value make_map(
	struct round *round, const struct code *condition, const struct code *result)
{
	struct cel_run *run = round->run;
	size_t most = round->walk.collection.size;
	struct cel_entry *entries = cel_alloc(run, most * sizeof(*entries));
	size_t count = 0;
	if (!entries) {
		return cel_stopped(run);
	}
	while (next_round(round)) {
		struct cel_value value = condition_of(round, condition);
		if (cel_is_error(value)) {
			return value;
		}
		if (!value.as.boolean) {
			continue;
		}
		value = cel_evaluate_code(run, result);
		struct cel_entry entry = {round->key, value};
		if (!cel_is_error(value) && round->code->detail == MACRO_TRANSFORM_MAP_ENTRY) {
			value = single_entry(value, &entry);
			value = cel_is_error(value) ? value : add_entry(run, entries, count, entry);
		} else if (!cel_is_error(value)) {
			entries[count] = entry; /* keys of a map, and indices, are never repeated */
		}
		if (cel_is_error(value)) {
			return value;
		}
		count++;
	}
	return cel_map(entries, count);
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value sort_by(struct round *round)
{
	struct cel_run *run = round->run;
	size_t most = round->walk.collection.size;
	struct cel_value *items = cel_alloc(run, most * sizeof(*items));
	struct cel_value *keys = cel_alloc(run, most * sizeof(*keys));
	size_t count = 0;
	if (!items || !keys) {
		return cel_stopped(run);
	}
	while (next_round(round)) {
		keys[count] = cel_evaluate_code(run, &round->code->children[1]);
		if (cel_is_error(keys[count])) {
			return keys[count];
		}
		items[count++] = round->value;
	}
	return run->has_stopped ? cel_stopped(run) : cel_sort(run, items, keys, count);
}

/* ---- the macros ---- */

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value go_round(struct round *round)
{
	const struct code *code = round->code;
	const struct code *last = &code->children[code->children_count - 1];
	const struct code *condition = code->children_count > 2 ? &code->children[1] : NULL;
	switch ((enum expr_macro)code->detail) {
	case MACRO_ALL:
		return join_rounds(round, false);
	case MACRO_EXISTS:
		return join_rounds(round, true);
	case MACRO_EXISTS_ONE:
		return count_one(round);
	case MACRO_FILTER:
		return make_list(round, last, NULL);
	case MACRO_MAP:
	case MACRO_TRANSFORM_LIST:
		return make_list(round, condition, last);
	case MACRO_TRANSFORM_MAP:
	case MACRO_TRANSFORM_MAP_ENTRY:
		return make_map(round, condition, last);
	case MACRO_SORT_BY:
		return round->walk.collection.type == CEL_LIST ? sort_by(round) : no_overload();
	case MACRO_BIND:
	case MACRO_OPT_MAP:
	case MACRO_OPT_FLAT_MAP:
		break;
	}
	return no_overload();
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value evaluate_loop(struct cel_run *run, const struct code *code)
{
	struct cel_value range = cel_evaluate_code(run, &code->children[0]);
	if (cel_is_error(range)) {
		return range;
	}
	if (range.type == CEL_MAP) {
		range = cel_own_map(run, range);
	}
	if (range.type != CEL_LIST && range.type != CEL_MAP) {
		return cel_is_error(range) ? range : no_overload();
	}
	struct round round = {.run = run, .code = code, .walk = cel_walk(range)};
	struct cel_value value = go_round(&round);
	return run->has_stopped ? cel_stopped(run) : value;
}

/* optMap, optFlatMap */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value evaluate_optional(struct cel_run *run, const struct code *code)
{
	struct cel_value value = cel_evaluate_code(run, &code->children[0]);
	if (value.type != CEL_OPTIONAL) {
		return cel_is_error(value) ? value : no_overload();
	}
	if (!value.as.items) {
		return value;
	}
	run->locals[code->index] = *value.as.items;
	struct cel_value result = cel_evaluate_code(run, &code->children[1]);
	if (cel_is_error(result)) {
		return result;
	}
	if (code->detail == MACRO_OPT_MAP) {
		return cel_make_optional(run, result);
	}
	return result.type == CEL_OPTIONAL ? result : no_overload();
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
struct cel_value cel_evaluate_macro(struct cel_run *run, const struct code *code)
{
	switch ((enum expr_macro)code->detail) {
	case MACRO_BIND:
		run->locals[code->index] = code->is_eager
			? cel_evaluate_code(run, &code->children[0])
			: cel_unevaluated(&code->children[0]);
		return cel_evaluate_code(run, &code->children[1]);
	case MACRO_OPT_MAP:
	case MACRO_OPT_FLAT_MAP:
		return evaluate_optional(run, code);
	case MACRO_ALL:
	case MACRO_EXISTS:
	case MACRO_EXISTS_ONE:
	case MACRO_FILTER:
	case MACRO_MAP:
	case MACRO_TRANSFORM_LIST:
	case MACRO_TRANSFORM_MAP:
	case MACRO_TRANSFORM_MAP_ENTRY:
	case MACRO_SORT_BY:
		break;
	}
	return evaluate_loop(run, code);
}
