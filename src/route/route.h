/*
 * route: hits to streams, in order: one delivery per event and stream, with each matching id once;
 * and a second one for the ids that want no document, if the event has one and others want it.
 * Owns: scratch space; targets belong to the worker's streams.
 * Threads: one, the worker's.
 * Errors: lack of memory for a delivery ends that stream, nobody else's.
 * Invariant: never waits; a stream that cannot take a delivery has ended when route returns.
 */
#ifndef ROUTE_H
#define ROUTE_H

#include "base.h"
#include "event.h"
#include "match.h"
#include "metrics.h"
#include "stream.h"
#include "subs.h"

struct route;

/* The runs of one event that leave in one delivery. */
struct route_share {
	uint32_t first_run, last_run;
	uint32_t ids_count, runs_count;
};

/* A stream as route sees it: the handle that its subscriptions were registered with. */
struct route_target {
	struct stream *stream;
	bool is_behind;      /* it gets its events by route_replay, and none by route_events */
	uint64_t event_mark; /* route's: which event its runs are being gathered for */
	struct route_share whole, bare;  /* of those who want the document, and who do not */
	struct route_target *next_ended; /* route's: of the batch at hand */
	enum err ended;                  /* why the stream has; OK: it has not */
};
void route_target_init(struct route_target *target, struct stream *stream);

/*
 * Told of each target whose stream ended in a batch, once, after the batch: too slow, or out of
 * memory.
 */
typedef void (*route_ended_fn)(void *ctx, struct route_target *target, enum err why);

enum err route_new(struct match *match, struct metrics *metrics, route_ended_fn ended, void *ctx,
	struct route **ret_route) MUST_CHECK;
void route_free(struct route *route);

/*
 * Matches a batch (at most MATCH_BATCH_MAX events, all read where wanted) and queues its
 * deliveries. ERR_MEMORY: nobody got anything of the batch, and anybody might have missed
 * something.
 */
enum err route_events(
	struct route *route, struct event *const *events, size_t count, int64_t now_us) MUST_CHECK;
/* The same for one stream that is behind, which others have had before. */
enum err route_replay(struct route *route, struct route_target *target, struct event *const *events,
	size_t count, int64_t now_us) MUST_CHECK;

#endif
