/*
 * intervals: closed intervals of 64-bit keys, each with an item: which of them hold a point?
 * Owns: its nodes; the items are the caller's, and are only compared and handed out.
 * Threads: one, the owner's.
 * Errors: ERR_MEMORY, which changes nothing; a visitor's own, which end a stab.
 * Invariant: entries stand in the order of (low, high, item); the same one may stand there twice.
 */
#ifndef INTERVALS_H
#define INTERVALS_H

#include "base.h"

struct match_interval {
	uint64_t low, high; /* low > high: holds no point */
	void *item;
	uint64_t needs; /* bits without which it is not visited */
};

/* Zeroed is empty and valid. */
struct match_intervals {
	void *root;      /* NULL: no entries */
	unsigned height; /* of the root; 0: it is a leaf */
	size_t count;    /* entries */
};

void match_intervals_fini(struct match_intervals *intervals); /* entries' items are the caller's */

enum err match_intervals_add(
	struct match_intervals *intervals, const struct match_interval *interval) MUST_CHECK;
/* It must be there. */
void match_intervals_remove(
	struct match_intervals *intervals, const struct match_interval *interval);

/*
 * Visits the intervals that hold the point and need no bit that `met` lacks, in the order of
 * (low, high, item); stops at the first error and returns it. The intervals must not change
 * meanwhile.
 */
typedef enum err (*match_interval_fn)(void *ctx, const struct match_interval *interval);
enum err match_intervals_stab(const struct match_intervals *intervals, uint64_t point, uint64_t met,
	match_interval_fn visit, void *ctx) MUST_CHECK;

/* Walks everything and aborts if the structure is broken; for tests. */
void match_intervals_verify(const struct match_intervals *intervals);

/* A key with the number's place among all; -0 is 0. Not of a NaN. */
uint64_t match_key_of_number(double number);

/* a < b implies key(a) <= key(b): of the first eight bytes, as if zeros followed. */
uint64_t match_key_of_text(struct bytes text);

#endif
