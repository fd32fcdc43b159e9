/*
 * matching_make: random numbers and the making of subscriptions and documents out of them: what the
 * generators of workloads share.
 * Owns: the text and the filters of the one thing that is being made.
 * Threads: one at a time.
 * Errors: lack of memory is kept in `err`, which is looked at once, when the thing is made.
 * Invariant: what is made follows from the seed, the workload and a number alone.
 */
#ifndef MATCHING_MAKE_H
#define MATCHING_MAKE_H

#include "base.h"
#include "model.h"
#include "value.h"

#define MAKING_FILTERS_MAX 24

struct making_zipf {
	double *sums; /* of the weights up to each rank, the last is 1 */
	uint64_t count;
};

struct making_parts; /* a set of predicates */

struct making {
	const struct matching_workload *workload;
	uint64_t seed;
	uint64_t subscriptions;
	uint64_t rooms, authors, tags; /* how many there are, of a workload that has them */
	struct making_zipf zipf;       /* of rooms or of attributes; empty: not asked for */
	struct making_parts *parts;    /* NULL: not counted now */
	/* of the one thing */
	uint64_t random;
	enum err err;
	struct buffer text; /* an expression, or a line */
	struct arena arena; /* texts of filters */
	struct model_filter filters[MAKING_FILTERS_MAX];
	struct value values[MAKING_FILTERS_MAX];
	size_t filters_count;
	char id[MODEL_UUID_SIZE];
};

/* What is made of each. The first makes filters and text, the second members of `data`. */
struct matching_workload {
	const char *name, *text;
	void (*subscribe)(struct making *making, uint64_t index);
	void (*fill)(struct making *making, uint64_t number);
	/* Sets the numbers above; NULL: there is nothing to set. */
	void (*prepare)(struct making *making);
	const char *collection;
	unsigned variant; /* the generator's own */
	bool copies_ids, counts_parts;
	/* The document's id is that which subscription number ... asks for. */
	bool has_watched_ids;
};
extern const struct matching_workload matching_plain[];
extern const struct matching_workload matching_rules[];
extern const struct matching_workload matching_boolean[];

/* ---- numbers ---- */

uint64_t making_mix(uint64_t a, uint64_t b); /* both, well stirred */
uint64_t making_next(struct making *making);
uint64_t making_below(struct making *making, uint64_t bound); /* 0 if bound is 0 */
double making_part(struct making *making);                    /* 0 up to 1 */
bool making_chance(struct making *making, unsigned percent);
/* Ranks from 0 of `count` with weights 1, 1/2, 1/3, ...; ERR_MEMORY is kept. */
void making_zipf_init(struct making *making, uint64_t count);
uint64_t making_zipf(struct making *making);
/* A UUID that only `kind` and `number` decide. */
void making_uuid(const struct making *making, const char *kind, uint64_t number, char *ret_text);

/* ---- subscriptions ---- */

void making_filter_text(struct making *making, const char *field, const char *op,
	const char *format, ...) PRINTF_LIKE(4, 5);
void making_filter_int(struct making *making, const char *field, const char *op, int64_t integer);
void making_filter_real(struct making *making, const char *field, const char *op, double real);
/* `in` a list of texts, each `format` with one number. */
void making_filter_list(struct making *making, const char *field, const char *prefix,
	const uint64_t *numbers, size_t count);

/* ---- text ---- */

void making_print(struct making *making, const char *format, ...) PRINTF_LIKE(2, 3);
void making_words(struct making *making, size_t bytes); /* at least so many */

/* ---- predicates ---- */

void making_note_part(struct making *making, uint64_t hash);
enum err making_parts_new(struct making_parts **ret_parts) MUST_CHECK;
uint64_t making_parts_count(const struct making_parts *parts);
void making_parts_free(struct making_parts *parts);

#endif
