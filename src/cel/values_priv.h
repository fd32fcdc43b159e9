/*
 * Values while an expression is evaluated. A value is 16 bytes and is passed by value; what it
 * points to lives in the arena of the evaluation, in the program, or in the document, and never
 * changes. A list or a map is either made by the expression or a part of a document as it was read;
 * only this header and collection.c know which.
 */
#ifndef CEL_VALUES_PRIV_H
#define CEL_VALUES_PRIV_H

#include "cel.h"

/* An address, in network order; of four bytes if it is IPv4. */
struct cel_address {
	uint8_t bytes[16];
	uint8_t size;   /* 4 or 16 */
	uint8_t prefix; /* CIDR: bits of the network */
};

static inline struct cel_value cel_null(void)
{
	return (struct cel_value){.type = CEL_NULL};
}

static inline struct cel_value cel_bool(bool boolean)
{
	return (struct cel_value){.type = CEL_BOOL, .as.boolean = boolean};
}

static inline struct cel_value cel_int(int64_t integer)
{
	return (struct cel_value){.type = CEL_INT, .as.integer = integer};
}

static inline struct cel_value cel_uint(uint64_t integer)
{
	return (struct cel_value){.type = CEL_UINT, .as.unsigned_integer = integer};
}

static inline struct cel_value cel_double(double real)
{
	return (struct cel_value){.type = CEL_DOUBLE, .as.real = real};
}

/* Text must be UTF-8, shorter than 4 GiB, and outlive the value. */
static inline struct cel_value cel_string(struct bytes text)
{
	return (struct cel_value){
		.type = CEL_STRING, .size = (uint32_t)text.size, .as.text = text.data};
}

static inline struct cel_value cel_bytes(struct bytes bytes)
{
	return (struct cel_value){
		.type = CEL_BYTES, .size = (uint32_t)bytes.size, .as.text = bytes.data};
}

/* Nanoseconds. */
static inline struct cel_value cel_duration(int64_t nanoseconds)
{
	return (struct cel_value){.type = CEL_DURATION, .as.integer = nanoseconds};
}

/* Seconds since 1970 and nanoseconds, 0 to 999,999,999: both within the range of CEL's timestamps.
 */
static inline struct cel_value cel_timestamp(int64_t seconds, uint32_t nanoseconds)
{
	return (struct cel_value){
		.type = CEL_TIMESTAMP, .size = nanoseconds, .as.integer = seconds};
}

static inline struct cel_value cel_type_value(enum cel_type type)
{
	return (struct cel_value){.type = CEL_TYPE, .size = type};
}

/* `items` outlive the value. */
static inline struct cel_value cel_list(const struct cel_value *items, size_t count)
{
	return (struct cel_value){.type = CEL_LIST, .size = (uint32_t)count, .as.items = items};
}

/* `entries` outlive the value; their keys are unique, and of the types that keys may have. */
static inline struct cel_value cel_map(const struct cel_entry *entries, size_t count)
{
	return (struct cel_value){.type = CEL_MAP, .size = (uint32_t)count, .as.entries = entries};
}

/* NULL: none. `item` outlives the value. */
static inline struct cel_value cel_optional(const struct cel_value *item)
{
	return (struct cel_value){.type = CEL_OPTIONAL, .as.items = item};
}

/* CEL_IP or CEL_CIDR. `address` outlives the value. */
static inline struct cel_value cel_network(enum cel_type type, const struct cel_address *address)
{
	return (struct cel_value){.type = (uint8_t)type, .as.address = address};
}

/* `text` is static, for people. */
static inline struct cel_value cel_error(enum cel_failure failure, const char *text)
{
	return (struct cel_value){.type = CEL_ERROR, .size = failure, .as.text = text};
}

/* Of a STRING or BYTES. */
static inline struct bytes cel_text(struct cel_value value)
{
	return (struct bytes){value.as.text, value.size};
}

static inline bool cel_is_error(struct cel_value value)
{
	return value.type == CEL_ERROR;
}

static inline bool cel_is_number(struct cel_value value)
{
	return value.type == CEL_INT || value.type == CEL_UINT || value.type == CEL_DOUBLE;
}

static inline bool cel_is_true(struct cel_value value)
{
	return value.type == CEL_BOOL && value.as.boolean;
}

/* ---- collection.c: lists and maps of both kinds ---- */

/* Walks the items of a list, or the keys and values of a map, in order. */
struct cel_walk {
	struct cel_value collection;
	uint32_t index;           /* of the next */
	const struct value *cell; /* the next, of a document */
};
struct cel_walk cel_walk(struct cel_value collection);
bool cel_next_item(struct cel_walk *walk, struct cel_value *ret_item);
bool cel_next_entry(struct cel_walk *walk, struct cel_entry *ret_entry);

/*
 * The number of items or entries. A document's object may repeat a name: size counts the last of
 * each, and a walk passes over those before it.
 */
size_t cel_count(struct cel_value collection);

/* Of a list, index < cel_count. Of a document it walks there. */
struct cel_value cel_item_at(struct cel_value list, size_t index);

/* Of a map: keys compare as CEL's equality has it (1, 1u and 1.0 are one key). */
bool cel_find(struct cel_value map, struct cel_value key, struct cel_value *ret_value);
bool cel_find_name(struct cel_value map, struct bytes name, struct cel_value *ret_value);

/* ---- compare.c ---- */

/* `==` of two values that are no lists, maps or optionals; others are never equal here. */
bool cel_scalars_equal(struct cel_value a, struct cel_value b);

/* For `<` and its like: ERR_INVALID for a pair without an order, and for NaN *ret_order is 2. */
enum err cel_values_order(struct cel_value a, struct cel_value b, int *ret_order) MUST_CHECK;

#endif
