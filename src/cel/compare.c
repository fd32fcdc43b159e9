/*
 * CEL's equality and order. Numbers of the three kinds meet by value; an integer next to a double
 * is rounded to a double first, once it is known to be in the integer's range, as the conformance
 * suite asks.
 */
#include "run_priv.h"

#include <math.h>
#include <string.h>

#define TWO_TO_63 9223372036854775808.0
#define TWO_TO_64 18446744073709551616.0
#define NO_ORDER 2

static int order_integers(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int order_doubles(double a, double b)
{
	if (isnan(a) || isnan(b)) {
		return NO_ORDER;
	}
	return (a > b) - (a < b);
}

static int order_int_double(int64_t a, double b)
{
	if (isnan(b)) {
		return NO_ORDER;
	}
	if (b < -TWO_TO_63 || b > TWO_TO_63) {
		return b < 0 ? 1 : -1;
	}
	return order_doubles((double)a, b);
}

static int order_uint_double(uint64_t a, double b)
{
	if (isnan(b)) {
		return NO_ORDER;
	}
	if (b < 0 || b > TWO_TO_64) {
		return b < 0 ? 1 : -1;
	}
	return order_doubles((double)a, b);
}

static int order_int_uint(int64_t a, uint64_t b)
{
	if (a < 0) {
		return -1;
	}
	return ((uint64_t)a > b) - ((uint64_t)a < b);
}

/* Of two numbers whose types are in the order of the enumeration. */
static int order_sorted(struct cel_value a, struct cel_value b)
{
	if (a.type == CEL_DOUBLE) { /* and so is b */
		return order_doubles(a.as.real, b.as.real);
	}
	if (b.type == CEL_DOUBLE) {
		return a.type == CEL_INT ? order_int_double(a.as.integer, b.as.real)
					 : order_uint_double(a.as.unsigned_integer, b.as.real);
	}
	if (a.type != b.type) {
		return order_int_uint(a.as.integer, b.as.unsigned_integer);
	}
	return a.type == CEL_INT ? order_integers(a.as.integer, b.as.integer)
				 : (a.as.unsigned_integer > b.as.unsigned_integer) -
			(a.as.unsigned_integer < b.as.unsigned_integer);
}

/* Of two numbers. */
static int order_numbers(struct cel_value a, struct cel_value b)
{
	if (a.type <= b.type) {
		return order_sorted(a, b);
	}
	int order = order_sorted(b, a);
	return order == NO_ORDER ? order : -order;
}

static bool same_text(struct cel_value a, struct cel_value b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.as.text, b.as.text, a.size) == 0);
}

/* An IPv4 address is the same as the IPv6 address that it is mapped to. */
static bool same_address(const struct cel_address *a, const struct cel_address *b, bool is_network)
{
	static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
	if (a->size == b->size) {
		return memcmp(a->bytes, b->bytes, a->size) == 0 &&
			(!is_network || a->prefix == b->prefix);
	}
	const struct cel_address *four = a->size == 4 ? a : b;
	const struct cel_address *sixteen = a->size == 4 ? b : a;
	return !is_network && memcmp(sixteen->bytes, mapped, sizeof(mapped)) == 0 &&
		memcmp(sixteen->bytes + sizeof(mapped), four->bytes, 4) == 0;
}

bool cel_scalars_equal(struct cel_value a, struct cel_value b)
{
	if (cel_is_number(a) && cel_is_number(b)) {
		return order_numbers(a, b) == 0;
	}
	if (a.type != b.type) {
		return false;
	}
	switch ((enum cel_type)a.type) {
	case CEL_NULL:
		return true;
	case CEL_BOOL:
		return a.as.boolean == b.as.boolean;
	case CEL_STRING:
	case CEL_BYTES:
		return same_text(a, b);
	case CEL_TIMESTAMP:
		return a.as.integer == b.as.integer && a.size == b.size;
	case CEL_DURATION:
		return a.as.integer == b.as.integer;
	case CEL_TYPE:
		return a.size == b.size;
	case CEL_IP:
	case CEL_CIDR:
		return same_address(a.as.address, b.as.address, a.type == CEL_CIDR);
	case CEL_INT:
	case CEL_UINT:
	case CEL_DOUBLE:
	case CEL_LIST:
	case CEL_MAP:
	case CEL_OPTIONAL:
	case CEL_ERROR:
	case CEL_DYN:
		break;
	}
	return false;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as values can be made, see cel_values_equal */
static bool lists_equal(struct cel_run *run, struct cel_value a, struct cel_value b)
{
	struct cel_walk a_walk = cel_walk(a);
	struct cel_walk b_walk = cel_walk(b);
	struct cel_value a_item;
	struct cel_value b_item;
	if (a.size != b.size) {
		return false;
	}
	while (cel_next_item(&a_walk, &a_item) && cel_next_item(&b_walk, &b_item)) {
		if (!cel_values_equal(run, a_item, b_item)) {
			return false;
		}
	}
	return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as values can be made, see cel_values_equal */
static bool maps_equal(struct cel_run *run, struct cel_value a, struct cel_value b)
{
	struct cel_walk walk = cel_walk(a);
	struct cel_entry entry;
	struct cel_value other;
	if (cel_count(a) != cel_count(b)) {
		return false;
	}
	while (cel_next_entry(&walk, &entry)) {
		if (!cel_spend(run, cel_steps_of((size_t)a.size + b.size)) ||
			!cel_find(b, entry.key, &other) ||
			!cel_values_equal(run, entry.value, other)) {
			return false;
		}
	}
	return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): values are no deeper than a document and an expression are */
bool cel_values_equal(struct cel_run *run, struct cel_value a, struct cel_value b)
{
	if (a.type == CEL_OPTIONAL && b.type == CEL_OPTIONAL) {
		return a.as.items && b.as.items ? cel_values_equal(run, *a.as.items, *b.as.items)
						: a.as.items == b.as.items;
	}
	bool has_size = a.type >= CEL_STRING && a.type <= CEL_MAP;
	if (!has_size || a.type != b.type) {
		return cel_scalars_equal(a, b);
	}
	if (!cel_spend(run, cel_steps_of(a.size < b.size ? a.size : b.size))) {
		return false;
	}
	if (a.type == CEL_LIST) {
		return lists_equal(run, a, b);
	}
	if (a.type == CEL_MAP) {
		return maps_equal(run, a, b);
	}
	return cel_scalars_equal(a, b);
}

static int order_texts(struct cel_value a, struct cel_value b)
{
	int order = bytes_compare(cel_text(a), cel_text(b));
	return (order > 0) - (order < 0);
}

enum err cel_values_order(struct cel_value a, struct cel_value b, int *ret_order)
{
	if (cel_is_number(a) && cel_is_number(b)) {
		*ret_order = order_numbers(a, b);
		return OK;
	}
	if (a.type != b.type) {
		return ERR_INVALID;
	}
	switch ((enum cel_type)a.type) {
	case CEL_BOOL:
		*ret_order = order_integers(a.as.boolean, b.as.boolean);
		return OK;
	case CEL_STRING:
	case CEL_BYTES:
		*ret_order = order_texts(a, b);
		return OK;
	case CEL_TIMESTAMP:
		*ret_order = order_integers(a.as.integer, b.as.integer);
		if (*ret_order == 0) {
			*ret_order = order_integers(a.size, b.size);
		}
		return OK;
	case CEL_DURATION:
		*ret_order = order_integers(a.as.integer, b.as.integer);
		return OK;
	case CEL_ERROR:
	case CEL_NULL:
	case CEL_INT:
	case CEL_UINT:
	case CEL_DOUBLE:
	case CEL_LIST:
	case CEL_MAP:
	case CEL_TYPE:
	case CEL_OPTIONAL:
	case CEL_IP:
	case CEL_CIDR:
	case CEL_DYN:
		break;
	}
	return ERR_INVALID;
}
