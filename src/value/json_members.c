/*
 * The top level of an object without a tape. What is skipped is not checked, so a text that passes
 * here may still be refused by json_read; the other way round every object that json_read accepts
 * passes.
 */
#include "value_priv.h"

#include <string.h>

const char *json_scan_space(const char *at, const char *end)
{
	while (end - at >= JSON_STEP) {
		struct json_step step = json_step_load(at);
		uint32_t spaces = json_step_mask(json_step_or(
			json_step_or(json_step_equal(step, ' '), json_step_equal(step, '\n')),
			json_step_or(json_step_equal(step, '\t'), json_step_equal(step, '\r'))));
		if (spaces != 0xFFFF) {
			return at + __builtin_ctz(~spaces);
		}
		at += JSON_STEP;
	}
	while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')) {
		at++;
	}
	return at;
}

/* Behind the string whose opening quote is at `at`, or NULL if it does not end. */
static const char *skip_string(const char *at, const char *end, bool *has_escapes)
{
	bool ignored = false;
	at = json_scan_string(at + 1, end, &ignored);
	while (at < end && *at != '"') {
		bool escapes = *at == '\\';
		*has_escapes = *has_escapes || escapes;
		at = json_scan_string(at + (escapes && end - at >= 2 ? 2 : 1), end, &ignored);
	}
	return at < end ? at + 1 : NULL;
}

/* ---- containers ------------------------------------------------------------------------------ */

#define BLOCK 64 /* bytes: as many as a mask has bits */

/* Where in a block something stands: bit i is byte i. */
struct block {
	uint64_t quotes;
	uint64_t backslashes;
	uint64_t brackets;
};

/* How far the walk through a container has come. */
struct walk {
	size_t depth;
	bool in_string;
	bool escapes_next; /* a backslash in a string was the last byte of the block before */
};

static inline struct block look_at(const char *at)
{
	/* '[' and ']' differ from '{' and '}' in one bit only, and nothing else becomes those. */
	enum { CASE_BIT = 0x20 };
	struct block block = {0};
	for (int i = 0; i < BLOCK; i += JSON_STEP) {
		struct json_step step = json_step_load(at + i);
		struct json_step folded = json_step_set_bits(step, CASE_BIT);
		struct json_step brackets =
			json_step_or(json_step_equal(folded, '{'), json_step_equal(folded, '}'));
		block.quotes |= (uint64_t)json_step_mask(json_step_equal(step, '"')) << i;
		block.backslashes |= (uint64_t)json_step_mask(json_step_equal(step, '\\')) << i;
		block.brackets |= (uint64_t)json_step_mask(brackets) << i;
	}
	return block;
}

/* The quotes that open or close a string, and whether the block's end is inside of one. */
static uint64_t quotes_that_count(const struct block *block, struct walk *walk)
{
	bool inside = walk->in_string;
	uint64_t left = block->quotes | block->backslashes;
	uint64_t quotes = 0;
	left &= ~(uint64_t)walk->escapes_next;
	walk->escapes_next = false;
	while (left != 0) {
		uint64_t lowest = left & -left;
		left ^= lowest;
		if (block->quotes & lowest) {
			quotes |= lowest;
			inside = !inside;
		} else if (inside) {
			left &= ~(lowest << 1);
			walk->escapes_next = lowest >> (BLOCK - 1);
		}
	}
	return quotes;
}

/* Each bit is whether the number of bits up to it, itself included, is odd. */
static inline uint64_t odd_up_to(uint64_t bits)
{
	for (unsigned shift = 1; shift < BLOCK; shift *= 2) {
		bits ^= bits << shift;
	}
	return bits;
}

/* Behind the bracket that closes the container, or NULL if the block does not have it. */
static inline const char *walk_block(const char *at, const char *block_start, struct walk *walk)
{
	struct block block = look_at(block_start);
	uint64_t quotes = block.quotes;
	if (block.backslashes != 0 || walk->escapes_next) {
		quotes = quotes_that_count(&block, walk);
	}
	uint64_t inside = odd_up_to(quotes) ^ (walk->in_string ? UINT64_MAX : 0);
	walk->in_string = inside >> (BLOCK - 1);
	for (uint64_t left = block.brackets & ~inside; left != 0; left &= left - 1) {
		int place = __builtin_ctzll(left);
		/* Of the bits of a bracket, this one says which way it turns. */
		bool opens = (unsigned char)block_start[place] & 2U;
		walk->depth += opens ? 1 : SIZE_MAX;
		if (walk->depth == 0) {
			return at + place + 1;
		}
	}
	return NULL;
}

/* Behind the container that opens at `at`, by counting brackets; NULL if it does not end. */
static const char *skip_container(const char *at, const char *end)
{
	struct walk walk = {0};
	const char *behind = NULL;
	for (; !behind && end - at >= BLOCK; at += BLOCK) {
		behind = walk_block(at, at, &walk);
	}
	if (!behind && at < end) {
		char rest[BLOCK] = {0};
		memcpy(rest, at, (size_t)(end - at));
		behind = walk_block(at, rest, &walk);
	}
	return behind;
}

static bool ends_scalar(char byte)
{
	switch (byte) {
	case ',':
	case ':':
	case '"':
	case '{':
	case '}':
	case '[':
	case ']':
		return true;
	default:
		return (unsigned char)byte <= ' ';
	}
}

/* Behind the number or word at `at`, NULL if there is none. */
static const char *skip_scalar(const char *at, const char *end)
{
	const char *start = at;
	while (at < end && !ends_scalar(*at)) {
		at++;
	}
	return at > start ? at : NULL;
}

static const char *skip_value(const char *at, const char *end)
{
	if (at == end) {
		return NULL;
	}
	if (*at == '"') {
		bool ignored = false;
		return skip_string(at, end, &ignored);
	}
	if (*at == '{' || *at == '[') {
		return skip_container(at, end);
	}
	return skip_scalar(at, end);
}

static inline char next_byte(struct json_cursor *cursor)
{
	cursor->at = json_skip_space(cursor->at, cursor->end);
	return (char)(cursor->at < cursor->end ? *cursor->at : '\0');
}

/* Moves from the start, or from behind a member, to the next name's quote. */
static enum err find_name(struct json_cursor *cursor, bool first)
{
	if (first) {
		if (next_byte(cursor) != '{') {
			return ERR_CORRUPT;
		}
		cursor->at++;
		if (next_byte(cursor) == '}') {
			return ERR_EMPTY;
		}
	} else {
		char separator = next_byte(cursor);
		if (separator == '}') {
			return ERR_EMPTY;
		}
		if (separator != ',') {
			return ERR_CORRUPT;
		}
		cursor->at++;
	}
	return next_byte(cursor) == '"' ? OK : ERR_CORRUPT;
}

enum err json_next_member(struct bytes text, size_t *cursor, struct json_member *ret_member)
{
	if (text.size == 0 || *cursor > text.size) {
		return ERR_CORRUPT;
	}
	struct json_cursor place = {.at = text.data + *cursor, .end = text.data + text.size};
	enum err err = find_name(&place, *cursor == 0);
	if (err != OK) {
		return err;
	}
	const char *name = place.at;
	bool has_escapes = false;
	const char *name_end = skip_string(name, place.end, &has_escapes);
	if (!name_end) {
		return ERR_CORRUPT;
	}
	place.at = name_end;
	if (next_byte(&place) != ':') {
		return ERR_CORRUPT;
	}
	place.at++;
	const char *value = json_skip_space(place.at, place.end);
	const char *value_end = skip_value(value, place.end);
	if (!value_end) {
		return ERR_CORRUPT;
	}
	*cursor = (size_t)(value_end - text.data);
	*ret_member = (struct json_member){
		.name = {name + 1, (size_t)(name_end - name) - 2},
		.value = {value, (size_t)(value_end - value)},
		.start = (size_t)(name - text.data),
		.has_escapes = has_escapes,
	};
	return OK;
}

bool json_name_is(const struct json_member *member, struct bytes name)
{
	struct json_cursor written = {
		.at = member->name.data,
		.end = member->name.data + member->name.size,
	};
	/* What is written with escapes is longer than the name, and nothing else is. */
	if (member->name.size <= name.size) {
		return bytes_equal(member->name, name) &&
			!(name.size > 0 && memchr(name.data, '\\', name.size));
	}
	while (written.at < written.end) {
		char utf8[4] = {*written.at};
		size_t size = 1;
		if (*written.at != '\\') {
			written.at++;
		} else if (json_unescape(&written, utf8, &size) != OK) {
			return false;
		}
		if (name.size < size || memcmp(name.data, utf8, size) != 0) {
			return false;
		}
		name.data += size;
		name.size -= size;
	}
	return name.size == 0;
}
