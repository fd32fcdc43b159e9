/*
 * What a tree needs of a document, in a few bits: one for each field that must be there, and one
 * for each value that a field must have. An entry whose bits the document lacks is passed over
 * without touching its query, a comparison without touching its predicate. Fields and values may
 * share a bit, so what has its bits is still to be evaluated; what lacks one cannot hold.
 */
#include "match_priv.h"

#include <string.h>

#define HASH_SHIFT 56 /* the first eight bits: one of 256 */

const struct match_met match_met_unknown = {
	{UINT64_MAX, UINT32_MAX}, {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};

#define ENDS ((size_t)8) /* bytes of a text that are looked at, in front and behind */

/* Equal ones are the same number. Those that differ may be too, which only lets more pass. */
static uint64_t number_for(const struct value *value)
{
	uint64_t number = value->size; /* of a list */
	if (value_is_number(value)) {
		(void)match_facet_point(MATCH_NUMBERS, value, &number);
	} else if (value->kind == VALUE_BOOL) {
		number = value->as.boolean;
	} else if (value->kind == VALUE_STRING && value->size > 0) {
		size_t size = value->size < ENDS ? value->size : ENDS;
		uint64_t last = 0;
		uint64_t first = 0;
		memcpy(&first, value->as.text, size);
		memcpy(&last, value->as.text + value->size - size, size);
		number = (first * 31 + last) * 31 + value->size;
	}
	return number;
}

static unsigned value_bit(const struct match_path *path, const struct value *value)
{
	uint64_t number = number_for(value) + path->bit;
	number = (number ^ number >> 32) * 0x9E3779B97F4A7C15U;
	number = (number ^ number >> 29) * 0x9E3779B97F4A7C15U;
	return (unsigned)(number >> HASH_SHIFT);
}

/* The id may be unknown and yet be compared, and the document itself has no bit. */
static bool has_bit(const struct match_path *path)
{
	return path && path->parent;
}

match_word match_word_of(const struct match_predicate *predicate)
{
	match_word word = (match_word)(uintptr_t)predicate;
	check((word & ~MATCH_WORD_ADDRESS) == 0);
	if (predicate->kind == CEL_PROGRAM || !has_bit(predicate->of.path)) {
		return word;
	}
	const struct match_path *path = predicate->of.path;
	enum match_need need = predicate->kind == CEL_HAS ? MATCH_ASKS_FIELD : MATCH_NEEDS_FIELD;
	if (predicate->kind == CEL_EQUAL && predicate->is_point) {
		need = MATCH_NEEDS_VALUE;
		word |= (match_word)value_bit(path, match_predicate_constant(predicate))
			<< MATCH_WORD_VALUE;
	}
	return word | (match_word)need << MATCH_WORD_NEED |
		(match_word)path->bit << MATCH_WORD_FIELD;
}

/* Of a leaf that is false: it is no error, so its field is there, or what has() asks is. */
static struct match_needs needs_of_no_leaf(const struct match_predicate *leaf)
{
	if (leaf->kind == CEL_PROGRAM) {
		return (struct match_needs){0};
	}
	const struct match_path *path =
		leaf->kind == CEL_HAS ? leaf->of.path->parent : leaf->of.path;
	return (struct match_needs){.fields = has_bit(path) ? (uint64_t)1 << path->bit : 0};
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static struct match_needs needs_of_join(const match_word *join)
{
	bool is_or = match_word_join(*join) == MATCH_OR;
	struct match_needs needs = {0};
	if (is_or) {
		needs = (struct match_needs){.fields = UINT64_MAX, .values = UINT32_MAX};
	}
	const match_word *end = match_word_after(join);
	for (const match_word *word = join + 1; word < end; word = match_word_after(word)) {
		const struct match_needs child = match_needs_of(word);
		needs.fields = is_or ? needs.fields & child.fields : needs.fields | child.fields;
		needs.values = is_or ? needs.values & child.values : needs.values | child.values;
	}
	return needs;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
struct match_needs match_needs_of(const match_word *word)
{
	if (!match_word_is_join(*word)) {
		return match_word_needs(*word);
	}
	switch (match_word_join(*word)) {
	case MATCH_AND:
	case MATCH_OR:
		return needs_of_join(word);
	case MATCH_NOT:
		if (!match_word_is_join(word[1])) {
			return needs_of_no_leaf(match_word_predicate(word[1]));
		}
		break;
	case MATCH_SAME:
	case MATCH_TRUE:
		break;
	}
	return (struct match_needs){0};
}

void match_needs_meet(
	struct match_met *met, const struct match_path *path, const struct value *value)
{
	if (!has_bit(path)) {
		return;
	}
	met->needs.fields |= (uint64_t)1 << path->bit;
	if (path->equal_words > 0) {
		unsigned bit = value_bit(path, value);
		met->values[bit >> 6] |= (uint64_t)1 << (bit & 63);
		met->needs.values |= (uint32_t)1 << (bit & 31);
	}
}
