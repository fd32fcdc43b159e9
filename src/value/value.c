/*
 * Values as they stand on a tape. Nothing here allocates but value_copy. What recurses does so once
 * per level of nesting, which a tape bounds: json_depth_max in options.def is at most 10,000.
 */
#include "value.h"

#include <string.h>

struct value value_string(struct bytes text)
{
	check(text.size <= UINT32_MAX);
	return (struct value){
		.kind = VALUE_STRING,
		.size = (uint32_t)text.size,
		.as.text = text.data ? text.data : "",
	};
}

struct value value_int(int64_t integer)
{
	return (struct value){.kind = VALUE_INT, .as.integer = integer};
}

struct value value_bool(bool boolean)
{
	return (struct value){.kind = VALUE_BOOL, .as.boolean = boolean};
}

const char *value_kind_name(enum value_kind kind)
{
	static const char *const names[] = {
		[VALUE_NONE] = "none",
		[VALUE_NULL] = "null",
		[VALUE_BOOL] = "bool",
		[VALUE_INT] = "int",
		[VALUE_UINT] = "uint",
		[VALUE_DOUBLE] = "double",
		[VALUE_STRING] = "string",
		[VALUE_LIST] = "list",
		[VALUE_OBJECT] = "object",
	};
	return (unsigned)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown";
}

bool value_is_number(const struct value *value)
{
	return value->kind == VALUE_INT || value->kind == VALUE_UINT || value->kind == VALUE_DOUBLE;
}

/* Nothing but loads and comparisons, for texts that are short: less than a call. */
static inline bool same_short(const char *a, const char *b, size_t size)
{
	if (size < sizeof(uint32_t)) {
		return size == 0 ||
			(a[0] == b[0] && a[size / 2] == b[size / 2] && a[size - 1] == b[size - 1]);
	}
	if (size < sizeof(uint64_t)) {
		uint32_t words[4]; /* the first and the last bytes of each, which may overlap */
		size_t last = size - sizeof(words[0]);
		memcpy(&words[0], a, sizeof(words[0]));
		memcpy(&words[1], b, sizeof(words[1]));
		memcpy(&words[2], a + last, sizeof(words[2]));
		memcpy(&words[3], b + last, sizeof(words[3]));
		return words[0] == words[1] && words[2] == words[3];
	}
	uint64_t words[2] = {0};
	size_t last = size - sizeof(words[0]);
	for (size_t at = 0; at < last && words[0] == words[1]; at += sizeof(words[0])) {
		memcpy(&words[0], a + at, sizeof(words[0]));
		memcpy(&words[1], b + at, sizeof(words[1]));
	}
	if (words[0] != words[1]) {
		return false;
	}
	memcpy(&words[0], a + last, sizeof(words[0]));
	memcpy(&words[1], b + last, sizeof(words[1]));
	return words[0] == words[1];
}

/* ---- members ---- */

#define SEALED_MEMBERS_MIN 4   /* fewer are found as fast without marks */
#define SEALED_MEMBERS_MAX 128 /* more would take long to compare with each other */

/* Names of one size seldom share it. */
static inline uint16_t mark_of(const char *text, size_t size)
{
	uint32_t first = 0;
	uint32_t last = 0;
	if (size < sizeof(first)) {
		for (size_t i = 0; i < size; i++) {
			first = first << 5 ^ (unsigned char)text[i];
		}
		return (uint16_t)first;
	}
	memcpy(&first, text, sizeof(first));
	memcpy(&last, text + size - sizeof(last), sizeof(last));
	return (uint16_t)((first * 0x9E3779B1U ^ last * 0x85EBCA77U) >> 16);
}

/*
 * The way to the next name is a jump that is foreseen rather than a sum that waits for the cell,
 * which is why it is not value_after.
 */
static inline const struct value *next_name(const struct value *name)
{
	if (__builtin_expect(name[1].kind >= VALUE_LIST, 0)) {
		return name + 1 + name[1].as.span;
	}
	return name + 2;
}

/* The first of the marked names from `at` on that is this one, or NULL. */
static inline const struct value *find_marked(
	const struct value *at, const struct value *end, struct bytes name)
{
	uint16_t mark = mark_of(name.data, name.size);
	for (; at < end; at = next_name(at)) {
		if (at->size == name.size && at->mark == mark &&
			same_short(at->as.text, name.data, name.size)) {
			return at;
		}
	}
	return NULL;
}

/* Two names are compared only where they meet in a table of bits. */
void value_seal(struct value *object)
{
	debug_check(object->kind == VALUE_OBJECT);
	if (object->size < SEALED_MEMBERS_MIN || object->size > SEALED_MEMBERS_MAX) {
		return;
	}
	uint64_t seen[16] = {0};
	struct value *end = object + object->as.span;
	struct value *name = object + 1;
	while (name < end) {
		name->mark = mark_of(name->as.text, name->size);
		uint32_t hash = (name->mark + name->size) * 0x9E3779B1U;
		uint64_t *word = &seen[hash >> 28];
		uint64_t bit = (uint64_t)1 << (hash >> 22 & 63);
		if ((*word & bit) && find_marked(object + 1, name, value_text(name))) {
			return;
		}
		*word |= bit;
		name += next_name(name) - name;
	}
	object->is_sealed = true;
}

/* The last of the names, whatever comes before it. Not inlined: the others would pay for it. */
__attribute__((noinline)) static const struct value *search_to_end(
	const struct value *object, struct bytes name)
{
	const struct value *end = object + object->as.span;
	const struct value *last = NULL;
	for (const struct value *at = object + 1; at < end; at = next_name(at)) {
		if (at->size == name.size && same_short(at->as.text, name.data, name.size)) {
			last = at + 1;
		}
	}
	return last;
}

const struct value *value_member(const struct value *object, struct bytes name)
{
	debug_check(object->kind == VALUE_OBJECT);
	if (!object->is_sealed) {
		return search_to_end(object, name);
	}
	const struct value *found = find_marked(object + 1, object + object->as.span, name);
	return found ? found + 1 : NULL;
}

static double as_double(const struct value *number)
{
	if (number->kind == VALUE_DOUBLE) {
		return number->as.real;
	}
	return number->kind == VALUE_INT ? (double)number->as.integer
					 : (double)number->as.unsigned_integer;
}

static int order_of_integers(const struct value *a, const struct value *b)
{
	bool a_negative = a->kind == VALUE_INT && a->as.integer < 0;
	bool b_negative = b->kind == VALUE_INT && b->as.integer < 0;
	if (a_negative != b_negative) {
		return a_negative ? -1 : 1;
	}
	/* Of the same sign, two's complement keeps the order when read as unsigned. */
	uint64_t left = a->kind == VALUE_INT ? (uint64_t)a->as.integer : a->as.unsigned_integer;
	uint64_t right = b->kind == VALUE_INT ? (uint64_t)b->as.integer : b->as.unsigned_integer;
	return (left > right) - (left < right);
}

/* False if there is no order because one is NaN. */
static bool order_numbers(const struct value *a, const struct value *b, int *ret_order)
{
	if (a->kind != VALUE_DOUBLE && b->kind != VALUE_DOUBLE) {
		*ret_order = order_of_integers(a, b);
		return true;
	}
	double left = as_double(a);
	double right = as_double(b);
	if (left != left || right != right) {
		return false;
	}
	*ret_order = (left > right) - (left < right);
	return true;
}

enum err value_compare(const struct value *a, const struct value *b, int *ret_order)
{
	if (value_is_number(a) && value_is_number(b)) {
		return order_numbers(a, b, ret_order) ? OK : ERR_INVALID;
	}
	if (a->kind != b->kind) {
		return ERR_INVALID;
	}
	if (a->kind == VALUE_STRING) {
		int order = bytes_compare(value_text(a), value_text(b));
		*ret_order = (order > 0) - (order < 0);
		return OK;
	}
	if (a->kind == VALUE_BOOL) {
		*ret_order = (int)a->as.boolean - (int)b->as.boolean;
		return OK;
	}
	return ERR_INVALID;
}

/* NOLINTNEXTLINE(misc-no-recursion): once per level, at most json_depth_max */
static bool lists_are_equal(const struct value *a, const struct value *b)
{
	if (a->size != b->size) {
		return false;
	}
	const struct value *left = a + 1;
	const struct value *right = b + 1;
	for (uint32_t i = 0; i < a->size; i++) {
		if (!value_equal(left, right)) {
			return false;
		}
		left = value_after(left);
		right = value_after(right);
	}
	return true;
}

/*
 * Each name of the one with fewer members leads to equal values in both, and the other has no name
 * besides: no more look-ups than members, each in an object as small as the smaller one or for one
 * of its names.
 */
/* NOLINTNEXTLINE(misc-no-recursion): once per level, at most json_depth_max */
static bool objects_are_equal(const struct value *a, const struct value *b)
{
	const struct value *few = a->size < b->size ? a : b;
	const struct value *many = few == a ? b : a;
	bool are_sealed = a->is_sealed && b->is_sealed;
	if (are_sealed && a->size != b->size) {
		return false;
	}
	const struct value *key = few + 1;
	for (uint32_t i = 0; i < few->size; i++) {
		struct bytes name = value_text(key);
		const struct value *value = key + 1;
		key = value_after(value);
		if (!few->is_sealed && value_member(few, name) != value) {
			continue; /* the name comes again */
		}
		const struct value *other = value_member(many, name);
		if (!other || !value_equal(value, other)) {
			return false;
		}
	}
	key = many + 1;
	for (uint32_t i = 0; !are_sealed && i < many->size; i++) {
		if (!value_member(few, value_text(key))) {
			return false;
		}
		key = value_after(key + 1);
	}
	return true;
}

#define SHORT_TEXT 64

static bool texts_are_equal(const struct value *a, const struct value *b)
{
	if (a->size != b->size) {
		return false;
	}
	return a->size <= SHORT_TEXT ? same_short(a->as.text, b->as.text, a->size)
				     : memcmp(a->as.text, b->as.text, a->size) == 0;
}

static bool numbers_are_equal(const struct value *a, const struct value *b)
{
	int order = 0;
	return value_is_number(a) && value_is_number(b) && order_numbers(a, b, &order) &&
		order == 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): once per level, at most json_depth_max */
bool value_equal(const struct value *a, const struct value *b)
{
	if (a->kind != b->kind) {
		return numbers_are_equal(a, b);
	}
	if (a->kind == VALUE_STRING) { /* most are */
		return texts_are_equal(a, b);
	}
	switch ((enum value_kind)a->kind) {
	case VALUE_NULL:
		return true;
	case VALUE_BOOL:
		return a->as.boolean == b->as.boolean;
	case VALUE_INT:
		return a->as.integer == b->as.integer;
	case VALUE_UINT:
		return a->as.unsigned_integer == b->as.unsigned_integer;
	case VALUE_DOUBLE:
		return a->as.real == b->as.real;
	case VALUE_LIST:
		return lists_are_equal(a, b);
	case VALUE_OBJECT:
		return objects_are_equal(a, b);
	case VALUE_STRING:
	case VALUE_NONE:
		break;
	}
	return false;
}

static uint64_t hash_word(uint64_t word, uint64_t seed)
{
	return bytes_hash((struct bytes){(const char *)&word, sizeof(word)}, seed);
}

/* All zeros and all integers that round to the same double share one hash. */
static uint64_t hash_number(const struct value *number, uint64_t seed)
{
	double real = as_double(number);
	uint64_t bits = 0;
	if (real != 0) {
		memcpy(&bits, &real, sizeof(bits));
	}
	return hash_word(bits, seed);
}

/* NOLINTNEXTLINE(misc-no-recursion): once per level, at most json_depth_max */
static uint64_t hash_list(const struct value *list, uint64_t seed)
{
	uint64_t hash = hash_word(list->size, seed);
	const struct value *item = list + 1;
	for (uint32_t i = 0; i < list->size; i++) {
		hash = hash_word(value_hash(item, seed), hash);
		item = value_after(item);
	}
	return hash;
}

/* A sum does not depend on the order of members. */
/* NOLINTNEXTLINE(misc-no-recursion): once per level, at most json_depth_max */
static uint64_t hash_object(const struct value *object, uint64_t seed)
{
	uint64_t sum = 0;
	const struct value *key = object + 1;
	for (uint32_t i = 0; i < object->size; i++) {
		struct bytes name = value_text(key);
		const struct value *value = key + 1;
		key = value_after(value);
		if (value_member(object, name) == value) {
			sum += hash_word(value_hash(value, seed), bytes_hash(name, seed));
		}
	}
	return hash_word(sum, seed);
}

/* NOLINTNEXTLINE(misc-no-recursion): once per level, at most json_depth_max */
uint64_t value_hash(const struct value *value, uint64_t seed)
{
	uint64_t kind_seed = seed + 0x9E3779B97F4A7C15U * value->kind;
	switch ((enum value_kind)value->kind) {
	case VALUE_BOOL:
		return hash_word(value->as.boolean, kind_seed);
	case VALUE_INT:
	case VALUE_UINT:
	case VALUE_DOUBLE:
		return hash_number(value, seed);
	case VALUE_STRING:
		return bytes_hash(value_text(value), kind_seed);
	case VALUE_LIST:
		return hash_list(value, kind_seed);
	case VALUE_OBJECT:
		return hash_object(value, kind_seed);
	case VALUE_NONE:
	case VALUE_NULL:
		break;
	}
	return hash_word(0, kind_seed);
}

enum err value_copy(struct arena *arena, const struct value *value, const struct value **ret_value)
{
	size_t count = (size_t)(value_after(value) - value);
	size_t text_size = 0;
	for (size_t i = 0; i < count; i++) {
		text_size += value[i].kind == VALUE_STRING ? value[i].size : 0;
	}
	struct value *cells = arena_alloc(arena, count * sizeof(*cells));
	char *text = text_size > 0 ? arena_alloc(arena, text_size) : NULL;
	if (!cells || (text_size > 0 && !text)) {
		return ERR_MEMORY;
	}
	memcpy(cells, value, count * sizeof(*cells));
	for (size_t i = 0; i < count; i++) {
		if (cells[i].kind != VALUE_STRING) {
			continue;
		}
		if (cells[i].size == 0) {
			cells[i].as.text = "";
			continue;
		}
		check(text); /* there is a string that is not empty, so there is room for it */
		memcpy(text, cells[i].as.text, cells[i].size);
		cells[i].as.text = text;
		text += cells[i].size;
	}
	*ret_value = cells;
	return OK;
}
