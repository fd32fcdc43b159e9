/*
 * What the files of worker share: worker.c has the life of an event and of a worker, resume.c the
 * streams that come back, gateways.c what `remote` asks for.
 */
#ifndef WORKER_PRIV_H
#define WORKER_PRIV_H

#include "history.h"
#include "route.h"
#include "worker.h"

/*
 * Where a stream stands. LIVE: at the head, served from the ring. The others are behind: they have
 * said from where they want to go on.
 */
enum stand {
	STAND_LIVE,
	STAND_WAITING, /* the history may yet come to the position; no Welcome so far */
	STAND_HELD,    /* until everything has been registered again */
	STAND_REPLAY,  /* served from the history, from `next` on */
};

struct worker_stream {
	struct worker *worker;
	struct worker_stream *next, *previous;
	struct stream *stream;
	struct subs_stream *subs; /* NULL: the stream has ended */
	struct route_target target;
	char peer[64]; /* its address */
	char name[48]; /* what it calls itself, cut if longer; may be empty */

	enum stand stand;
	int64_t stand_us;                   /* since when */
	uint64_t next_sequence;             /* HELD, REPLAY: of the next event to be replayed */
	char position[MODEL_POSITION_SIZE]; /* not LIVE: up to which it has been served */
};

struct worker {
	struct loop *loop;
	struct worker_options options;
	struct ring *ring;
	struct loop_waker *events_waker;
	struct loop_waker *sweep_waker;
	struct loop_waker *replay_waker;
	struct loop_timer *replay_timer; /* for those that cannot be served now */
	struct loop_timer *tick;
	_Atomic uint64_t routed;
	_Atomic uint64_t oldest; /* in the history */
	_Atomic bool closing;
	struct match *match;
	struct subs *subs;
	struct route *route;
	struct history *history;
	char newest[MODEL_POSITION_SIZE]; /* of the newest event routed */
	bool is_recovering;               /* what comes next is for the history alone */
	struct remote_server *remote;
	struct worker_stream *streams;
};

/* The stream has ended: says so, once, and drops its subscriptions. */
void worker_report_end(struct worker_stream *stream, enum err why);
/* What became of something pushed to a stream: one that could not take it has ended. */
void worker_pushed(struct worker_stream *stream, enum err err);
/*
 * The shared event stays as it is, so what only this worker knows makes a private copy, with a
 * reference of its own: which document a delete is about, or that somebody wants the event since
 * ingest looked.
 */
enum err worker_own_event(const struct worker *worker, struct event **event) MUST_CHECK;

/* ---- resume.c -------------------------------------------------------------------------------- */

/* Whatever the streams that are behind wait for: history, time, room in their queues. */
void resume_tick(struct worker *worker, int64_t now_us);
void resume_on_replay(void *ctx); /* of the worker's waker and timer */
/* The source has lost changes here: streams at the head are told. */
void resume_break(struct worker *worker, const struct event *event);
/* How far a stream has been served, counting what is queued. Borrowed. */
struct bytes resume_position(const struct worker_stream *stream);

/* ---- gateways.c ------------------------------------------------------------------------------ */

struct remote_engine worker_remote_engine(struct worker *worker);

#endif
