/*
 * feed: a Puller on a thread of its own over a generator of changes, and a note of when each was
 * sent.
 * Owns: its loop, its thread, its Puller.
 * Threads: opened and closed by one thread; the rest may be called by any.
 * Errors: with text.
 * Invariant: changes have numbers that rise by one from 0, and an event id tells its number.
 */
#ifndef FEED_H
#define FEED_H

#include "base.h"
#include "model.h"

struct feed_generator {
	/*
	 * Fills kind, store_id, full_document and update of change `number`; the rest is the
	 * feed's. What it points to must live until the next call. On the feed's thread; no other
	 * error than ERR_MEMORY.
	 */
	enum err (*next)(void *ctx, uint64_t number, int64_t now_ms, struct model_change *change);
	void *ctx;
	double rate; /* changes a second; 0: as fast as they are taken */
};

struct feed;
enum err feed_open(const struct feed_generator *generator, struct err_info *info,
	struct feed **ret_feed) MUST_CHECK;
void feed_close(struct feed *feed); /* NULL is fine */
const char *feed_address(const struct feed *feed);

/* Changes with numbers below `end` may go from now on; at first none may. */
void feed_allow(struct feed *feed, uint64_t end);
void feed_stop(struct feed *feed); /* when it returns, the generator is not asked any more */
uint64_t feed_sent(const struct feed *feed); /* how many have gone into the Streamer's call */

/* ERR_CORRUPT: the feed has made no such id. */
enum err feed_number(struct bytes event_id, uint64_t *ret_number) MUST_CHECK;
/* When a change went into the Streamer's call, by measure_now_ns; of the newest FEED_NOTES. */
#define FEED_NOTES 262144
int64_t feed_sent_ns(const struct feed *feed, uint64_t number);

#endif
