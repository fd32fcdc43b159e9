/*
 * worker: one engine: takes events from its ring, matches them, and queues them on its streams.
 * Owns: its index, its subscriptions, its streams' producing ends, its gateway connections.
 * Threads: its loop's, but for worker_push and worker_room (the ingest thread), worker_adopt,
 * worker_routed and worker_oldest (any).
 * Errors: ERR_FULL from worker_push; lack of memory ends the streams that missed something, and
 * says so.
 * Invariant: events are routed in the order of the ring, each exactly once.
 */
#ifndef WORKER_H
#define WORKER_H

#include "base.h"
#include "event.h"
#include "history.h"
#include "loop.h"
#include "match.h"
#include "metrics.h"
#include "model.h"
#include "remote.h"
#include "stream.h"
#include "subs.h"

struct worker_options {
	uint32_t number; /* for the log, from 0 */
	size_t ring_events;
	uint32_t json_depth_max;
	struct stream_limits stream;
	struct subs_limits subs;
	struct match_limits match;
	struct history_limits history;
	struct remote_server_options remote;
	bool recovers; /* it goes on where another life has ended */
	/* What that called the newest event that it routed; empty: not known. Borrowed for
	   worker_new. */
	struct bytes beginning;
	bool is_at_beginning;   /* it does not come again: what comes first is what followed it */
	int64_t resume_wait_us; /* how long a Hello may wait for that */
	/* How it stands with the source, for acknowledgements; on the worker's thread. NULL:
	 * unknown.
	 */
	enum model_source (*source)(void *ctx, int64_t *ret_lag_ms);
	struct interest *interest;
	loop_fn routed; /* worker_routed has moved, and the ring has room; on the worker's thread */
	void *ctx;
	const struct log *log;
	struct metrics *metrics;
};

struct worker;
enum err worker_new(struct loop *loop, const struct worker_options *options,
	struct worker **ret_worker) MUST_CHECK;
void worker_free(struct worker *worker); /* after `closed` */

/* The ring takes a reference. ERR_FULL: none was taken; `routed` will be called when there is room.
 */
enum err worker_push(struct worker *worker, struct event *event) MUST_CHECK;
size_t worker_room(const struct worker *worker);     /* of the ring, as the ingest thread sees it */
uint64_t worker_routed(const struct worker *worker); /* sequence of the newest routed event */
/* Sequence of the oldest event in the history; that of the next one if it is empty. */
uint64_t worker_oldest(const struct worker *worker);

/* A gateway's connection for this worker. Closed if the worker is closing. */
void worker_adopt(struct worker *worker, int socket);

/* ---- local streams --------------------------------------------------------------------------- */

/*
 * The producing end of a stream that somebody else consumes. Requests are carried out on the
 * worker's thread; the caller there must be on it. `worker_attach` keeps the stream until
 * worker_detach, which gives up the producer's end.
 */
struct worker_stream;
enum err worker_attach(
	struct worker *worker, struct stream *stream, struct worker_stream **ret_stream) MUST_CHECK;
/* `refusal`: what reading the request has found already (code OK: nothing). */
void worker_subscribe(struct worker_stream *stream, const struct model_subscription *subscription,
	const struct err_info *refusal);
/*
 * The same for whoever answers many at once: nothing is put on the stream. An id that the stream
 * has, for the same query, is accepted again; a stream that has ended refuses all. The answer's
 * texts are valid until the next call.
 */
void worker_subscribe_quietly(struct worker_stream *stream,
	const struct model_subscription *subscription, const struct err_info *refusal,
	struct model_answer *ret_answer);
void worker_unsubscribe(struct worker_stream *stream, struct bytes id);
/* The stream's first request: it may go on where another has ended (resume.c). */
void worker_hello(struct worker_stream *stream, const struct model_hello *hello);
void worker_heartbeat(struct worker_stream *stream, const struct model_heartbeat *heartbeat);
/* Up to where everything has been put on the stream. Borrowed until the next event. */
struct bytes worker_position(const struct worker_stream *stream);
/* An encoded message for the stream's consumer, ahead of what is queued. */
void worker_send(struct worker_stream *stream, struct bytes message);
void worker_detach(struct worker_stream *stream);

/* ---- the end --------------------------------------------------------------------------------- */

/* Every stream is finished behind what it has queued; connections close when they have sent it. */
void worker_drain(struct worker *worker);
bool worker_is_drained(const struct worker *worker); /* no stream has anything queued */
/* Ends what is left; `closed` in a later turn, once. */
void worker_close(struct worker *worker, loop_fn closed, void *ctx);

#endif
