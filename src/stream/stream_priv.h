/* What the files of stream share: the chain of records. */
#ifndef STREAM_PRIV_H
#define STREAM_PRIV_H

#include "stream.h"

/* One queued item. What follows it is the run, or a struct of the model and what that points to. */
struct record {
	uint32_t size;                                   /* record_size of all that follows */
	uint16_t kind;                                   /* enum stream_item_kind */
	bool is_replayed : 1, is_bare : 1, has_more : 1; /* DELIVERY */
	struct event *event;
	int64_t figure;    /* ACK: timestamp; STATE: the state; DELIVERY: when it was queued */
	uint32_t count;    /* DELIVERY, NOTICE: ids */
	uint32_t run_size; /* DELIVERY, NOTICE; MESSAGE, STATE: of the text */
};

/* The size of a record that `more` bytes follow: records stand at multiples of 16. */
static inline size_t record_size(size_t more)
{
	return (sizeof(struct record) + more + 15) & ~(size_t)15;
}

/* Padding keeps the two ends on different cache lines wherever the allocator puts them. */
struct segment;
struct chain {
	struct segment *head; /* emptier's */
	size_t taken;         /* emptier's: bytes of `head` that are behind it */
	char padding[64];
	struct segment *tail; /* filler's */
};

enum err chain_init(struct chain *chain) MUST_CHECK;
void chain_fini(struct chain *chain); /* events in it are the caller's to let go */
/* Filler: a record of a record_size, zeroed but for that; NULL on lack. Commit publishes it. */
struct record *chain_begin(struct chain *chain, size_t size) MUST_CHECK;
void chain_commit(struct chain *chain, const struct record *record);
/* Emptier: the oldest record, NULL if there is none; it stays until it is dropped. */
struct record *chain_first(struct chain *chain);
void chain_drop_first(struct chain *chain, const struct record *record);

#endif
