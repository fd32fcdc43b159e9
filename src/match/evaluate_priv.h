/* A query's code, and what it is evaluated over. */
#ifndef MATCH_EVALUATE_PRIV_H
#define MATCH_EVALUATE_PRIV_H

#include "condition.h"
#include "match.h"

struct match_predicate;

/* A bit for each field that must be there and for each value that a field must have (needs.c). */
#define MATCH_FIELDS 63 /* bits; one is left for intervals */
struct match_needs {
	uint64_t fields;
	uint32_t values;
};

/* What a document has of these. Comparisons tell values better apart than what stands in lists. */
struct match_met {
	struct match_needs needs;
	uint64_t values[4];
};
extern const struct match_met match_met_unknown; /* all bits: nothing is passed over */

/* ---- what an expression may name (expression.c) ---- */

enum match_slot {
	MATCH_SLOT_DOCUMENT,
	MATCH_SLOT_ID,
	MATCH_SLOT_EVENT_ID,
	MATCH_SLOT_OPERATION,
	MATCH_SLOT_TIMESTAMP,
	MATCH_SLOT_COLLECTION,
	MATCH_SLOT_DATABASE,
	MATCH_SLOTS,
};

/* What the names of an expression are for this event; borrows from it. */
void match_slots_fill(const struct event *event, const struct cel_input *input,
	struct cel_value slots[MATCH_SLOTS]);

/* ---- evaluation (evaluate.c) ---- */

/* Of one event. Values are in the paths, outcomes in the predicates. */
struct match_evaluation {
	uint64_t stamp;
	const struct event *event;
	struct cel_input input;
	struct cel_node node; /* a predicate's, for cel */
	struct cel_value slots[MATCH_SLOTS];
	struct cel_run run;
	bool has_run; /* slots and run are filled */
	const struct cel_limits *limits;
	struct arena *memory;
	/* The last error: what it is, or the comparison whose field is missing, which says the
	 * same. */
	enum cel_failure failure;
	const struct match_predicate *missing;
	const struct match_met *met; /* by the event */
};

enum match_join { MATCH_TRUE, MATCH_AND, MATCH_OR, MATCH_NOT, MATCH_SAME };

/*
 * A join's word is odd: the number of words below it, and the kind. A leaf's is its predicate, and
 * in the bits that an address leaves free what the predicate needs of a document.
 */
typedef uint64_t match_word;
#define MATCH_WORD_ADDRESS (((match_word)1 << 48) - 1)
#define MATCH_WORD_NEED 48  /* 2 bits: enum match_need */
#define MATCH_WORD_FIELD 50 /* 6 bits: which of `fields` */
#define MATCH_WORD_VALUE 56 /* 8 bits: which of `values` in match_met; a list has 5 of them */
enum match_need {
	MATCH_NEEDS_NOTHING,
	MATCH_NEEDS_FIELD, /* lacking it is an error */
	MATCH_ASKS_FIELD,  /* lacking it may be false */
	MATCH_NEEDS_VALUE, /* and its field */
};
static inline enum match_need match_word_need(match_word word)
{
	return (enum match_need)(word >> MATCH_WORD_NEED & 3);
}
static inline bool match_word_is_join(match_word word)
{
	return word & 1;
}
static inline enum match_join match_word_join(match_word word)
{
	return (enum match_join)(word >> 1 & 0x7F);
}
static inline uint32_t match_word_below(match_word word)
{
	return (uint32_t)(word >> 8);
}
static inline struct match_predicate *match_word_predicate(match_word word)
{
	return (struct match_predicate *)(uintptr_t)(word & MATCH_WORD_ADDRESS);
}
static inline struct match_needs match_word_needs(match_word word)
{
	uint64_t fields = match_word_need(word) != MATCH_NEEDS_NOTHING;
	uint32_t values = match_word_need(word) == MATCH_NEEDS_VALUE;
	return (struct match_needs){.fields = fields << (word >> MATCH_WORD_FIELD & 63),
		.values = values << (word >> MATCH_WORD_VALUE & 31)};
}
static inline bool match_needs_are_met(
	const struct match_needs *needs, const struct match_needs *met)
{
	return !((needs->fields & ~met->fields) | (needs->values & ~met->values));
}
static inline bool match_word_has_field(match_word word, const struct match_met *met)
{
	return met->needs.fields >> (word >> MATCH_WORD_FIELD & 63) & 1;
}
static inline bool match_word_has_value(match_word word, const struct match_met *met)
{
	unsigned bit = (unsigned)(word >> MATCH_WORD_VALUE);
	return met->values[bit >> 6] >> (bit & 63) & 1;
}
/* The word behind the tree that begins at `word`. */
static inline const match_word *match_word_after(const match_word *word)
{
	return word + 1 + (match_word_is_join(*word) ? match_word_below(*word) : 0);
}

enum cel_outcome match_evaluate_predicate(
	struct match_evaluation *evaluation, struct match_predicate *predicate);
enum cel_outcome match_evaluate(struct match_evaluation *evaluation, const match_word *code);
/* Of what has just been an error. */
enum cel_failure match_evaluation_failure(struct match_evaluation *evaluation);

#endif
