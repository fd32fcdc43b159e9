/*
 * ingest: follows a source of changes: connects, resumes, backs off, transforms, hands on events.
 * Owns: its connection, the newest marks of each backend, and the markers of events not yet routed.
 * Threads: its loop's thread; ingest_state and ingest_lag_ms may be asked by any.
 * Errors: the source's mistakes are counted and logged, and cost the change or the connection;
 *         ERR_FULL from ingest_push; a file that cannot be read ends in INGEST_FAILED.
 * Invariant: events go to the sink in the source's order, each once; ingest_marker never passes an
 * event that has not been routed.
 */
#ifndef INGEST_H
#define INGEST_H

#include "base.h"
#include "event.h"
#include "loop.h"
#include "metrics.h"
#include "model.h"

/* state, its name, what it means */
#define INGEST_STATES(X)                                                                           \
	X(INGEST_IDLE, "idle", "not started")                                                      \
	X(INGEST_CONNECTING, "connecting", "asked the source, no message of it has come yet")      \
	X(INGEST_LIVE, "live", "messages come")                                                    \
	X(INGEST_HELD, "held", "the sink is full: not reading, the dead-peer timer stands still")  \
	X(INGEST_WAITING, "waiting",                                                               \
		"the connection ended; the next try comes after the back-off")                     \
	X(INGEST_ENDED, "ended", "the file has been read to its end")                              \
	X(INGEST_FAILED, "failed", "the file cannot be read, or a line of it is no change")        \
	X(INGEST_STOPPED, "stopped", "told to stop")

enum ingest_state {
#define X(state, name, meaning) state,
	INGEST_STATES(X)
#undef X
		INGEST_STATE_COUNT
};
const char *ingest_state_name(enum ingest_state state);

/* Where events go. */
struct ingest_sink {
	/* Takes its own reference, or says ERR_FULL and takes none; then ingest_resume must follow.
	 */
	enum err (*push)(void *ctx, struct event *event);
	void (*changed)(
		void *ctx); /* the state has changed; from a turn of the loop; may be NULL */
	void *ctx;
};

enum ingest_source { INGEST_PULLER, INGEST_NDJSON, INGEST_PUSH };

/* Borrowed for ingest_new. */
struct ingest_legacy {
	struct bytes marker;   /* where to begin */
	struct bytes position; /* up to here events are old: is_history_only */
	bool is_at_marker;     /* no event up to the position comes behind the marker */
	int64_t age_us;        /* since when nobody has followed the source */
};

struct ingest_options {
	enum ingest_source source;
	const char *address;             /* PULLER: "host:port"; NDJSON: a path or "-"; copied */
	const struct interest *interest; /* who wants what; NULL: read every document */
	uint64_t epoch;                  /* this life's, for positions */
	uint32_t json_depth_max;
	uint32_t message_bytes_max;
	uint32_t line_bytes_max; /* NDJSON */
	size_t ids_bytes_max;    /* memory of documents seen, so that deletes can say their id */
	int64_t dead_us;         /* PULLER: silence that means dead */
	int64_t backoff_min_us, backoff_max_us;
	int64_t retention_us; /* PULLER: it keeps changes for so long */
	bool keeps_markers;   /* for ingest_marker_before */
	bool trusts_json;     /* what nobody looks at is not checked */
	/* PULLER: what another life has left; a marker that is empty: nothing */
	struct ingest_legacy legacy;
	bool skip_bad; /* NDJSON: a bad line is counted, logged and skipped; else it ends in FAILED
			*/
	const struct log *log;
	struct metrics *metrics;
};

struct ingest;
enum err ingest_new(struct loop *loop, const struct ingest_options *options,
	const struct ingest_sink *sink, struct ingest **ret_ingest) MUST_CHECK;
enum err ingest_start(struct ingest *ingest) MUST_CHECK;
/* Ends the connection; `stopped` is called in a later turn, once, when nothing of it is open any
 * more. */
void ingest_stop(struct ingest *ingest, loop_fn stopped, void *ctx);
void ingest_free(struct ingest *ingest); /* before it was started, or after `stopped` */

/* The sink has room again. */
void ingest_resume(struct ingest *ingest);
/* Every worker has routed all events up to this sequence. */
void ingest_routed(struct ingest *ingest, uint64_t sequence);

/*
 * PUSH: one change from the caller, whose thread is the loop's. ERR_FULL: nothing was taken, try
 * again after ingest_resume. ERR_INVALID with text: this change cannot be (no collection, no JSON).
 */
enum err ingest_push(
	struct ingest *ingest, const struct model_change *change, struct err_info *info) MUST_CHECK;

enum ingest_state ingest_state(const struct ingest *ingest);
/* Milliseconds between the newest change's timestamp and its arrival; -1 before the first. */
int64_t ingest_lag_ms(const struct ingest *ingest);
/* The newest marker all of whose events have been routed: where another life would resume. */
struct bytes ingest_marker(const struct ingest *ingest);
/*
 * A marker behind which everything from this sequence on comes again, as near to it as is known,
 * and the position of the newest change that ingest_marker stands behind (empty: none). Once asked
 * for a sequence, only that or later ones may be asked for. Valid until the next call of ingest.
 */
struct bytes ingest_marker_before(
	struct ingest *ingest, uint64_t sequence); /* empty: none is known yet */
struct bytes ingest_position(const struct ingest *ingest);
/* What comes behind ingest_marker is what comes behind ingest_position: nothing, and no break in
 * the source, lies between. */
bool ingest_marker_is_whole(const struct ingest *ingest);
/* Whether what comes is still what another life has routed. */
bool ingest_recovers(const struct ingest *ingest);
/* Sequence of the newest event handed to the sink; 0 before the first. */
uint64_t ingest_sequence(const struct ingest *ingest);
/* FAILED: why. Static or the ingest's own text. */
const char *ingest_failure(const struct ingest *ingest);

/* What a change's operation depends on. */
struct ingest_facts {
	enum model_change_kind kind;
	bool has_document;
	bool is_deleted;                   /* the document's own `deleted` */
	bool has_identity;                 /* the store's id is one that names a document */
	bool was_deleted;                  /* when the document was last seen */
	bool sets_deleted, clears_deleted; /* the update, whatever the document shows since */
};

/* The operations table (docs/ARCHITECTURE.md): what it is to subscribers. NO_OPERATION: nothing. */
enum model_operation ingest_operation(const struct ingest_facts *facts);

#endif
