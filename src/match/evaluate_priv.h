/* A query's code, and what it is evaluated over. */
#ifndef MATCH_EVALUATE_PRIV_H
#define MATCH_EVALUATE_PRIV_H

#include "condition.h"
#include "match.h"

struct match_predicate;

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
	enum cel_failure failure; /* of the last error */
};

enum match_join { MATCH_TRUE, MATCH_AND, MATCH_OR, MATCH_NOT, MATCH_SAME };

/* A join's word is odd: the number of words below it, and the kind; a leaf's is its predicate. */
typedef uint64_t match_word;
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
	return (struct match_predicate *)(uintptr_t)word;
}
/* The word behind the tree that begins at `word`. */
static inline const match_word *match_word_after(const match_word *word)
{
	return word + 1 + (match_word_is_join(*word) ? match_word_below(*word) : 0);
}

enum cel_outcome match_evaluate_predicate(
	struct match_evaluation *evaluation, struct match_predicate *predicate);
enum cel_outcome match_evaluate(struct match_evaluation *evaluation, const match_word *code);

#endif
