/*
 * history: the last events of a worker, by sequence and by position, for those who come back.
 * Owns: a reference to each event that it keeps, at most so many, so large and so old.
 * Threads: one, the worker's.
 * Errors: none: an event that there is no memory for empties the history, which then begins anew.
 * Invariant: what it keeps has consecutive sequences; what it has let go is older than all of that.
 */
#ifndef HISTORY_H
#define HISTORY_H

#include "base.h"
#include "event.h"
#include "metrics.h"
#include "model.h"

struct history_limits {
	size_t events; /* 0: it keeps nothing */
	size_t bytes;  /* of event_size; an event larger than that alone is not kept */
	int64_t age_us;
};

struct history;
enum err history_new(const struct history_limits *limits, struct metrics *metrics,
	struct history **ret_history) MUST_CHECK;
void history_free(struct history *history);

/* Takes a reference. The sequence must be that of the event added last, and one. */
void history_add(struct history *history, struct event *event, int64_t now_us);
/* Lets go of what has become too old; to be called now and then. */
void history_expire(struct history *history, int64_t now_us);

/* What another life called the newest event before sequence 1. */
void history_begin(struct history *history, const struct model_position *position);
/* The sequences that are kept: from `oldest` to just before `end`; equal when it is empty. */
uint64_t history_oldest(const struct history *history);
uint64_t history_end(const struct history *history);
/* Borrowed until the next add or expire; the sequence must be kept. */
struct event *history_at(const struct history *history, uint64_t sequence);

/*
 * Where an event stands that another life of this engine has called by this position: found by
 * backend, cluster time and event id. AHEAD: nothing newer has come from that backend, so it may
 * yet; PASSED: it will not come any more, or its neighbours may have been others then, because
 * there are several backends. Linear in the events that are newer.
 */
enum history_place { HISTORY_FOUND, HISTORY_PASSED, HISTORY_AHEAD };
enum history_place history_find(const struct history *history,
	const struct model_position *position, uint64_t *ret_sequence);

#endif
