/*
 * One evaluation, as operators and functions see it. Everything they make comes from cel_alloc, and
 * what takes more than a constant time is paid for with cel_spend. When steps or memory run out the
 * run has stopped: every evaluation from then on gives that error, and nothing absorbs it.
 */
#ifndef CEL_RUN_PRIV_H
#define CEL_RUN_PRIV_H

#include "values_priv.h"

/* Memory of this evaluation, 16-aligned; NULL stops the run (return cel_stopped(run) then). */
void *cel_alloc(struct cel_run *run, size_t size) MUST_CHECK;

/* Takes steps; false stops the run (return cel_stopped(run) then). */
static inline bool cel_spend(struct cel_run *run, uint64_t steps)
{
	if (run->steps < steps) {
		run->has_stopped = true;
		run->failure = CEL_FAILED_BUDGET;
		run->steps = 0;
		return false;
	}
	run->steps -= steps;
	return true;
}

/* The error of a run that has stopped. */
struct cel_value cel_stopped(const struct cel_run *run);

/* Stops the run for lack of memory; in convert.c. */
struct cel_value cel_out_of_memory(struct cel_run *run);

/* One step for each 16 bytes or items that are looked at. */
static inline uint64_t cel_steps_of(size_t size)
{
	return 1 + size / 16;
}

/* A list or text of the run's own memory; on lack the error of a stopped run. */
struct cel_value cel_make_list(struct cel_run *run, const struct cel_value *items, size_t count);
struct cel_value cel_make_string(struct cel_run *run, struct bytes text);
struct cel_value cel_make_optional(struct cel_run *run, struct cel_value item);

/* ---- collection.c, compare.c ---- */

/* A map whose entries can be walked quickly; an error if the run has stopped. */
struct cel_value cel_own_map(struct cel_run *run, struct cel_value map);

/* CEL's `==`, paid for by what is compared; false if the run has stopped. */
bool cel_values_equal(struct cel_run *run, struct cel_value a, struct cel_value b);

/* ---- operators.c: one function an operator; operands are values, never errors ---- */

struct cel_value cel_add(struct cel_run *run, struct cel_value a, struct cel_value b);
struct cel_value cel_subtract(struct cel_value a, struct cel_value b);
struct cel_value cel_multiply(struct cel_value a, struct cel_value b);
struct cel_value cel_divide(struct cel_value a, struct cel_value b);
struct cel_value cel_modulo(struct cel_value a, struct cel_value b);
struct cel_value cel_negate(struct cel_value a);
struct cel_value cel_in(struct cel_run *run, struct cel_value item, struct cel_value collection);
struct cel_value cel_select(struct cel_value operand, struct bytes name);
struct cel_value cel_index(struct cel_value operand, struct cel_value index);

/* ---- functions that others use ---- */

/*
 * Sorts the items of a list by their keys, both `count` long (they may be the same), and keeps the
 * order of equal ones; an error where two keys have no common order. The result borrows `items`.
 */
struct cel_value cel_sort(
	struct cel_run *run, struct cel_value *items, const struct cel_value *keys, size_t count);

/* Whether an equal item is in the list; false: the run has stopped. */
bool cel_is_among(
	struct cel_run *run, struct cel_value item, struct cel_value list, bool *ret_is) MUST_CHECK;

/* Appends an IP or a CIDR as string() has it: RFC 5952. */
enum err cel_print_network(struct buffer *buffer, struct cel_value network) MUST_CHECK;

/* ---- regexes.c ---- */

/*
 * The compiled pattern, from now on held once more by the caller. ERR_INVALID: it is no pattern,
 * ERR_LIMIT: it is too large; `info` says so. A program leaves such a pattern to its call,
 * which fails then.
 */
enum err cel_regex_get(struct cel_regexes *regexes, struct bytes pattern, struct err_info *info,
	const struct cel_regex **ret_regex) MUST_CHECK;
void cel_regex_put(struct cel_regexes *regexes, const struct cel_regex *regex); /* NULL is fine */

/* The same errors, and nothing is held: for the checker. *ret_bytes: of what it is compiled to. */
enum err cel_regex_check(struct cel_regexes *regexes, struct bytes pattern, struct err_info *info,
	uint64_t *ret_bytes) MUST_CHECK;

/* ---- function_time.c: errors outside of the range of timestamps or durations ---- */

struct cel_value cel_time_add(struct cel_value timestamp, struct cel_value duration);
struct cel_value cel_time_subtract(struct cel_value timestamp, struct cel_value duration);
struct cel_value cel_time_between(struct cel_value timestamp, struct cel_value earlier);

/* ---- convert.c, text of values ---- */

/*
 * What has been printed into `buffer`, as a string in the run's memory; frees the buffer. With an
 * `err` (ERR_MEMORY), and on lack, the error of a stopped run.
 */
struct cel_value cel_finish_text(struct cel_run *run, struct buffer *buffer, enum err err);

/* Appends what string(value) gives, for the types that have it; else ERR_INVALID. */
enum err cel_print_scalar(struct buffer *buffer, struct cel_value value) MUST_CHECK;

#endif
