/*
 * state: what an engine leaves on disk for its next life, and what the life before has left.
 * Owns: the folder, the lock on it, and the timer that saves.
 * Threads: its loop's; the file is written on a thread of the loop's pool, one at a time.
 * Errors: a file that cannot be written is logged, counted, and tried again a second later; one
 * that cannot be read is as good as none, and the log says so.
 * Invariant: whenever the process is killed the file is whole, and everything that was routed
 * behind its position comes again behind its marker.
 */
#ifndef STATE_H
#define STATE_H

#include "base.h"
#include "ingest.h"
#include "loop.h"
#include "metrics.h"

struct state_options {
	const char *folder; /* made if there is none */
	/* Sequence of the oldest event in any worker's history. */
	uint64_t (*oldest)(void *ctx);
	loop_fn saved; /* state_is_busy has become false */
	void *ctx;
	const struct log *log;
	struct metrics *metrics;
};

struct state;
/* Reads what there is. ERR_EXISTS, ERR_INVALID, ERR_IO: `info` says why. */
enum err state_open(struct loop *loop, const struct state_options *options, struct err_info *info,
	struct state **ret_state) MUST_CHECK;
/* What another life has left; a marker that is empty: nothing. Borrowed until state_start. */
struct ingest_legacy state_legacy(const struct state *state);
/* Saves, from now on, how it stands with this ingest; before the loop runs. */
void state_start(struct state *state, struct ingest *ingest);
bool state_is_busy(const struct state *state); /* being written: the loop must not end yet */
/* Not while it is busy. `is_last`: writes what has become of it. NULL is fine. */
void state_close(struct state *state, bool is_last);

#endif
