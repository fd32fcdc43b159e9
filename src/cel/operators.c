/*
 * Operators on values. Arithmetic is checked: what does not fit is an error, never a wrapped
 * number. What kinds do not fit together has no overload.
 */
#include "run_priv.h"

#include <math.h>
#include <string.h>

static struct cel_value no_overload(void)
{
	return cel_error(CEL_FAILED_TYPE, "no such overload");
}

static struct cel_value overflow(void)
{
	return cel_error(CEL_FAILED_RANGE, "the result is out of range");
}

static bool are(struct cel_value a, struct cel_value b, enum cel_type a_type, enum cel_type b_type)
{
	return a.type == a_type && b.type == b_type;
}

/* ---- sums and differences ---- */

static struct cel_value join_texts(struct cel_run *run, struct cel_value a, struct cel_value b)
{
	size_t size = (size_t)a.size + b.size;
	if (size > UINT32_MAX) {
		return cel_out_of_memory(run);
	}
	char *text = cel_alloc(run, size);
	if (!text || !cel_spend(run, cel_steps_of(size))) {
		return cel_stopped(run);
	}
	if (a.size > 0) {
		memcpy(text, a.as.text, a.size);
	}
	if (b.size > 0) {
		memcpy(text + a.size, b.as.text, b.size);
	}
	struct bytes joined = {text, size};
	return a.type == CEL_STRING ? cel_string(joined) : cel_bytes(joined);
}

static struct cel_value join_lists(struct cel_run *run, struct cel_value a, struct cel_value b)
{
	size_t count = (size_t)a.size + b.size;
	if (count > UINT32_MAX) {
		return cel_out_of_memory(run);
	}
	struct cel_value *items = cel_alloc(run, count * sizeof(*items));
	if (!items || !cel_spend(run, cel_steps_of(count))) {
		return cel_stopped(run);
	}
	struct cel_walk walks[] = {cel_walk(a), cel_walk(b)};
	size_t written = 0;
	for (size_t i = 0; i < 2; i++) {
		while (cel_next_item(&walks[i], &items[written])) {
			if (++written == count) {
				break;
			}
		}
	}
	return cel_list(items, count);
}

struct cel_value cel_add(struct cel_run *run, struct cel_value a, struct cel_value b)
{
	int64_t sum = 0;
	uint64_t unsigned_sum = 0;
	if (are(a, b, CEL_TIMESTAMP, CEL_DURATION)) {
		return cel_time_add(a, b);
	}
	if (are(a, b, CEL_DURATION, CEL_TIMESTAMP)) {
		return cel_time_add(b, a);
	}
	if (a.type != b.type) {
		return no_overload();
	}
	switch ((enum cel_type)a.type) {
	case CEL_INT:
	case CEL_DURATION:
		if (__builtin_add_overflow(a.as.integer, b.as.integer, &sum)) {
			return overflow();
		}
		return a.type == CEL_INT ? cel_int(sum) : cel_duration(sum);
	case CEL_UINT:
		return __builtin_add_overflow(
			       a.as.unsigned_integer, b.as.unsigned_integer, &unsigned_sum)
			? overflow()
			: cel_uint(unsigned_sum);
	case CEL_DOUBLE:
		return cel_double(a.as.real + b.as.real);
	case CEL_STRING:
	case CEL_BYTES:
		return join_texts(run, a, b);
	case CEL_LIST:
		return join_lists(run, a, b);
	case CEL_ERROR:
	case CEL_NULL:
	case CEL_BOOL:
	case CEL_MAP:
	case CEL_TIMESTAMP:
	case CEL_TYPE:
	case CEL_OPTIONAL:
	case CEL_IP:
	case CEL_CIDR:
	case CEL_DYN:
		break;
	}
	return no_overload();
}

struct cel_value cel_subtract(struct cel_value a, struct cel_value b)
{
	int64_t difference = 0;
	uint64_t unsigned_difference = 0;
	if (are(a, b, CEL_TIMESTAMP, CEL_TIMESTAMP)) {
		return cel_time_between(a, b);
	}
	if (are(a, b, CEL_TIMESTAMP, CEL_DURATION)) {
		return cel_time_subtract(a, b);
	}
	if (are(a, b, CEL_INT, CEL_INT) || are(a, b, CEL_DURATION, CEL_DURATION)) {
		if (__builtin_sub_overflow(a.as.integer, b.as.integer, &difference)) {
			return overflow();
		}
		return a.type == CEL_INT ? cel_int(difference) : cel_duration(difference);
	}
	if (are(a, b, CEL_UINT, CEL_UINT)) {
		return __builtin_sub_overflow(
			       a.as.unsigned_integer, b.as.unsigned_integer, &unsigned_difference)
			? overflow()
			: cel_uint(unsigned_difference);
	}
	return are(a, b, CEL_DOUBLE, CEL_DOUBLE) ? cel_double(a.as.real - b.as.real)
						 : no_overload();
}

/* ---- products ---- */

struct cel_value cel_multiply(struct cel_value a, struct cel_value b)
{
	int64_t product = 0;
	uint64_t unsigned_product = 0;
	if (are(a, b, CEL_INT, CEL_INT)) {
		return __builtin_mul_overflow(a.as.integer, b.as.integer, &product)
			? overflow()
			: cel_int(product);
	}
	if (are(a, b, CEL_UINT, CEL_UINT)) {
		return __builtin_mul_overflow(
			       a.as.unsigned_integer, b.as.unsigned_integer, &unsigned_product)
			? overflow()
			: cel_uint(unsigned_product);
	}
	return are(a, b, CEL_DOUBLE, CEL_DOUBLE) ? cel_double(a.as.real * b.as.real)
						 : no_overload();
}

/* Division by zero, and the one quotient that is too large. */
static bool is_undefined(struct cel_value a, struct cel_value b)
{
	return b.as.integer == 0 || (a.as.integer == INT64_MIN && b.as.integer == -1);
}

struct cel_value cel_divide(struct cel_value a, struct cel_value b)
{
	if (are(a, b, CEL_INT, CEL_INT)) {
		return is_undefined(a, b)
			? cel_error(CEL_FAILED_RANGE, "division by zero, or too large")
			: cel_int(a.as.integer / b.as.integer);
	}
	if (are(a, b, CEL_UINT, CEL_UINT)) {
		return b.as.unsigned_integer == 0
			? cel_error(CEL_FAILED_RANGE, "division by zero")
			: cel_uint(a.as.unsigned_integer / b.as.unsigned_integer);
	}
	return are(a, b, CEL_DOUBLE, CEL_DOUBLE) ? cel_double(a.as.real / b.as.real)
						 : no_overload();
}

struct cel_value cel_modulo(struct cel_value a, struct cel_value b)
{
	if (are(a, b, CEL_INT, CEL_INT)) {
		return is_undefined(a, b)
			? cel_error(CEL_FAILED_RANGE, "modulus by zero, or too large")
			: cel_int(a.as.integer % b.as.integer);
	}
	if (are(a, b, CEL_UINT, CEL_UINT)) {
		return b.as.unsigned_integer == 0
			? cel_error(CEL_FAILED_RANGE, "modulus by zero")
			: cel_uint(a.as.unsigned_integer % b.as.unsigned_integer);
	}
	return no_overload();
}

struct cel_value cel_negate(struct cel_value a)
{
	if (a.type == CEL_INT) {
		return a.as.integer == INT64_MIN ? overflow() : cel_int(-a.as.integer);
	}
	return a.type == CEL_DOUBLE ? cel_double(-a.as.real) : no_overload();
}

/* ---- lists and maps ---- */

static bool may_be_key(struct cel_value key)
{
	return cel_is_number(key) || key.type == CEL_STRING || key.type == CEL_BOOL;
}

struct cel_value cel_in(struct cel_run *run, struct cel_value item, struct cel_value collection)
{
	struct cel_value other;
	if (collection.type == CEL_MAP) {
		return cel_spend(run, cel_steps_of(collection.size))
			? cel_bool(may_be_key(item) && cel_find(collection, item, &other))
			: cel_stopped(run);
	}
	if (collection.type != CEL_LIST) {
		return no_overload();
	}
	struct cel_walk walk = cel_walk(collection);
	bool is_there = false;
	while (!is_there && !run->has_stopped && cel_next_item(&walk, &other)) {
		is_there = cel_values_equal(run, item, other);
	}
	uint64_t steps = cel_steps_of(walk.index);
	return run->has_stopped || !cel_spend(run, steps) ? cel_stopped(run) : cel_bool(is_there);
}

struct cel_value cel_select(struct cel_value operand, struct bytes name)
{
	struct cel_value found;
	if (operand.type != CEL_MAP) {
		return cel_error(CEL_FAILED_TYPE, "only maps have fields");
	}
	return cel_find_name(operand, name, &found) ? found
						    : cel_error(CEL_FAILED_NAME, "no such key");
}

/* The place in a list that a number is; -1: none. */
static int64_t place_of(struct cel_value index)
{
	if (index.type == CEL_INT) {
		return index.as.integer;
	}
	if (index.type == CEL_UINT) {
		return index.as.unsigned_integer <= UINT32_MAX ? (int64_t)index.as.unsigned_integer
							       : -1;
	}
	bool is_whole = index.as.real >= 0 && index.as.real <= UINT32_MAX &&
		trunc(index.as.real) == index.as.real;
	return is_whole ? (int64_t)index.as.real : -1;
}

struct cel_value cel_index(struct cel_value operand, struct cel_value index)
{
	struct cel_value found;
	if (operand.type == CEL_LIST && cel_is_number(index)) {
		int64_t place = place_of(index);
		return place >= 0 && place < (int64_t)operand.size
			? cel_item_at(operand, (size_t)place)
			: cel_error(CEL_FAILED_RANGE, "index out of bounds");
	}
	if (operand.type == CEL_MAP && may_be_key(index)) {
		return cel_find(operand, index, &found) ? found
							: cel_error(CEL_FAILED_NAME, "no such key");
	}
	return no_overload();
}
