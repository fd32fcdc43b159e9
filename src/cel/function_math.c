/*
 * The library math. What C leaves undefined (shifts by 64 and more, the least int's opposite) is
 * looked for before.
 */
#include "function_priv.h"

#include <math.h>

#define BITS 64

/* ---- the greatest and the least -------------------------------------------------------------- */

/* The number that all others are `order` (-1: less) than, or equal to; the first of equal ones. */
static struct cel_value outermost(const struct cel_value *arguments, size_t count, int order)
{
	struct cel_value list =
		arguments[0].type == CEL_LIST ? arguments[0] : cel_list(arguments, count);
	struct cel_walk walk = cel_walk(list);
	struct cel_value best = {0};
	if (!cel_next_item(&walk, &best)) {
		return cel_error(CEL_FAILED_ARGUMENT, "an empty list has no greatest or least");
	}
	struct cel_value item = best;
	do {
		int found = 2;
		if (cel_values_order(item, best, &found) != OK || found == 2) {
			return cel_error(CEL_FAILED_ARGUMENT, "NaN is not greater or less");
		}
		best = found == -order ? item : best;
	} while (cel_next_item(&walk, &item));
	return best;
}

struct cel_value cel_call_greatest(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	return outermost(arguments, count, -1);
}

struct cel_value cel_call_least(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	return outermost(arguments, count, 1);
}

/* ---- one number ------------------------------------------------------------------------------ */

struct cel_value cel_call_abs(struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	struct cel_value number = arguments[0];
	if (number.type == CEL_DOUBLE) {
		return cel_double(fabs(number.as.real));
	}
	if (number.type == CEL_UINT || number.as.integer >= 0) {
		return number;
	}
	return number.as.integer == INT64_MIN
		? cel_error(CEL_FAILED_RANGE, "overflow: the least int has no opposite")
		: cel_int(-number.as.integer);
}

struct cel_value cel_call_sign(struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	struct cel_value number = arguments[0];
	if (number.type == CEL_UINT) {
		return cel_uint(number.as.unsigned_integer > 0 ? 1 : 0);
	}
	if (number.type == CEL_INT) {
		return cel_int((number.as.integer > 0) - (number.as.integer < 0));
	}
	double real = number.as.real;
	return isnan(real) || real == 0 ? number : cel_double(real < 0 ? -1 : 1);
}

struct cel_value cel_call_ceil(struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_double(ceil(arguments[0].as.real));
}

struct cel_value cel_call_floor(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_double(floor(arguments[0].as.real));
}

struct cel_value cel_call_round(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_double(round(arguments[0].as.real));
}

struct cel_value cel_call_trunc(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_double(trunc(arguments[0].as.real));
}

struct cel_value cel_call_sqrt(struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	struct cel_value real = cel_call_double(run, arguments, count);
	return cel_double(sqrt(real.as.real));
}

struct cel_value cel_call_is_nan(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_bool(isnan(arguments[0].as.real));
}

struct cel_value cel_call_is_inf(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_bool(isinf(arguments[0].as.real));
}

struct cel_value cel_call_is_finite(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_bool(isfinite(arguments[0].as.real));
}

/* ---- bits ------------------------------------------------------------------------------------ */

/* An int's bits are those of two's complement. */
static uint64_t bits_of(struct cel_value number)
{
	return number.type == CEL_INT ? (uint64_t)number.as.integer : number.as.unsigned_integer;
}

/* A number of the type of `like`. */
static struct cel_value number_of(uint64_t bits, struct cel_value like)
{
	return like.type == CEL_INT ? cel_int((int64_t)bits) : cel_uint(bits);
}

struct cel_value cel_call_bit_and(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return number_of(bits_of(arguments[0]) & bits_of(arguments[1]), arguments[0]);
}

struct cel_value cel_call_bit_or(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return number_of(bits_of(arguments[0]) | bits_of(arguments[1]), arguments[0]);
}

struct cel_value cel_call_bit_xor(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return number_of(bits_of(arguments[0]) ^ bits_of(arguments[1]), arguments[0]);
}

struct cel_value cel_call_bit_not(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return number_of(~bits_of(arguments[0]), arguments[0]);
}

static struct cel_value negative_shift(void)
{
	return cel_error(CEL_FAILED_ARGUMENT, "negative offset of a shift");
}

struct cel_value cel_call_bit_shift_left(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	int64_t offset = arguments[1].as.integer;
	if (offset < 0) {
		return negative_shift();
	}
	return number_of(offset < BITS ? bits_of(arguments[0]) << offset : 0, arguments[0]);
}

struct cel_value cel_call_bit_shift_right(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	int64_t offset = arguments[1].as.integer;
	if (offset < 0) {
		return negative_shift();
	}
	return number_of(offset < BITS ? bits_of(arguments[0]) >> offset : 0, arguments[0]);
}
