/*
 * value: values as documents have them; strict JSON in, JSON out; comparison and hashing.
 * Owns: nothing; a tape lives in the arena that it was read into, strings point there or into the
 * text. Threads: pure functions; a finished tape is immutable and may be read by any thread.
 * Errors: ERR_CORRUPT with position and text, ERR_LIMIT (depth), ERR_MEMORY.
 * Invariant: a tape is one run of cells, each container followed by its contents.
 */
#ifndef VALUE_H
#define VALUE_H

#include "base.h"

enum value_kind {
	VALUE_NONE, /* no value at all: a filter's Value message without a kind */
	VALUE_NULL,
	VALUE_BOOL,
	VALUE_INT,  /* a number written as an integer that fits int64 */
	VALUE_UINT, /* the same, fits uint64 only */
	VALUE_DOUBLE,
	VALUE_STRING,
	VALUE_LIST,
	VALUE_OBJECT,
};

/*
 * One cell of a tape, 16 bytes. A scalar is one cell. LIST: `size` items follow. OBJECT: `size`
 * members follow, each a STRING cell (the key) and the member's value. `span` counts the cells of a
 * container, itself included, so that the next sibling is found in one step.
 */
struct value {
	uint8_t kind;      /* enum value_kind */
	uint8_t is_sealed; /* OBJECT: see value_seal */
	uint16_t mark;     /* of a name in a sealed object */
	uint32_t size;     /* STRING: bytes; LIST: items; OBJECT: members, duplicates included */
	union {
		bool boolean;
		int64_t integer;
		uint64_t unsigned_integer;
		double real;
		const char *text; /* not NUL-terminated */
		uint32_t span;
	} as;
};

struct value value_string(struct bytes text);
struct value value_int(int64_t integer);
struct value value_bool(bool boolean);
static inline struct bytes value_text(const struct value *value) /* of a STRING */
{
	debug_check(value->kind == VALUE_STRING);
	return (struct bytes){value->as.text, value->size};
}
const char *value_kind_name(enum value_kind kind); /* "string", "list", ... */
bool value_is_number(const struct value *value);

/* The cell behind `value`: its next sibling, or one past the end of its container. */
static inline const struct value *value_after(const struct value *value)
{
	return value + (value->kind >= VALUE_LIST ? value->as.span : 1);
}

/*
 * Of a finished OBJECT: marks its names, and notes that each stands there once, so that whoever
 * looks for one need not look at the rest. One that repeats a name, is large or has hardly any
 * stays as it is, and is searched to its end. json_parse and tape_close do this; json_read leaves
 * it to whoever knows which cells stay; a copy of all cells keeps it.
 */
void value_seal(struct value *object);

/* A member of an OBJECT by name, the last one where the name is repeated; NULL if there is none. */
const struct value *value_member(const struct value *object, struct bytes name);

/*
 * CEL's equality over what JSON has: numbers of all three kinds by value (int against int exact,
 * int against double rounds the integer to a double), lists element by element, objects by their
 * last members; different kinds are unequal. NONE equals nothing.
 */
bool value_equal(const struct value *a, const struct value *b);

/*
 * Order of two numbers, two strings (by bytes) or two booleans: -1, 0, 1 in *ret_order.
 * ERR_INVALID for any other pair, and for NaN.
 */
enum err value_compare(const struct value *a, const struct value *b, int *ret_order) MUST_CHECK;

/* Equal values have equal hashes: numbers are hashed as doubles, members in any order. */
uint64_t value_hash(const struct value *value, uint64_t seed);

/* A copy in the arena that borrows nothing. Trees of any depth that a tape has. ERR_MEMORY. */
enum err value_copy(
	struct arena *arena, const struct value *value, const struct value **ret_value) MUST_CHECK;

/* ---- building a tape by hand ----------------------------------------------------------------- */

/* Cells under construction, in memory of their own; zeroed is empty. */
struct tape {
	struct value *cells;
	size_t count, capacity;
};
void tape_fini(struct tape *tape);
void tape_reset(struct tape *tape);
enum err tape_push(struct tape *tape, struct value value) MUST_CHECK;
/* Opens a LIST or OBJECT; gives its place for tape_close, which sets size and span. */
enum err tape_open(struct tape *tape, enum value_kind kind, size_t *ret_place) MUST_CHECK;
void tape_close(struct tape *tape, size_t place, size_t items_or_members);
/* Seals each OBJECT among these cells, of which whatever a container holds is among them too. */
void tape_seal(struct value *cells, size_t count);
/* The cells (text is still borrowed) copied to the arena; ERR_MEMORY. */
enum err tape_finish(
	const struct tape *tape, struct arena *arena, const struct value **ret_value) MUST_CHECK;

/* ---- JSON ------------------------------------------------------------------------------------ */

/*
 * Reads one JSON text (RFC 8259, nothing before or behind it but white space) strictly: full
 * syntax, UTF-8 and escapes checked; a number that overflows a double (1e999), a lone surrogate and
 * a depth over `depth_max` refuse the text. Repeated keys are kept, the last one wins in look-ups.
 * Appends to `tape`, objects unsealed; strings point into `text` or, where escapes were undone,
 * into `arena`. `text` must outlive the tape.
 */
enum err json_read(struct bytes text, uint32_t depth_max, struct arena *arena, struct tape *tape,
	struct err_info *info) MUST_CHECK;

/* json_read into an arena: one call for those who need no tape under construction. */
enum err json_parse(struct bytes text, uint32_t depth_max, struct arena *arena,
	const struct value **ret_value, struct err_info *info) MUST_CHECK;

/* One member of the top level of an object, as it stands in the text. */
struct json_member {
	struct bytes name;  /* between the quotes, escapes not undone */
	struct bytes value; /* the value's text without white space around it */
	size_t start;       /* offset of the name's opening quote */
	bool has_escapes;   /* in its name */
};

/*
 * Walks the top level of the object in `text` without checking what it skips (nested values are
 * skipped by brackets and strings): start with *cursor = 0. OK and a member, ERR_EMPTY behind the
 * last one, ERR_CORRUPT if the text cannot be an object. Cost: one pass over the text.
 */
enum err json_next_member(
	struct bytes text, size_t *cursor, struct json_member *ret_member) MUST_CHECK;

/* Whether the member's name, escapes undone, is `name`. */
bool json_name_is(const struct json_member *member, struct bytes name);

/* Prints. Doubles in the shortest form that reads back the same; strings with the escapes JSON asks
 * for. */
enum err json_print(struct buffer *buffer, const struct value *value) MUST_CHECK;
enum err json_print_string(struct buffer *buffer, struct bytes text) MUST_CHECK;

#endif
