/*
 * What the files of ingest share: the parts of an ingest, and the table of functions that a source
 * is. A source hands each message to ingest_take and does what the state says afterwards.
 */
#ifndef INGEST_PRIV_H
#define INGEST_PRIV_H

#include "ingest.h"

/* ---- markers of events that have not been routed yet (markers.c) ----------------------------- */

struct ingest_marker_entry {
	uint64_t sequence;  /* the marker holds once all events up to this one are routed */
	struct buffer text; /* its memory is kept for the next marker in this place */
	char position[MODEL_POSITION_SIZE]; /* of that event */
	bool is_whole;                      /* nothing is missing between the two */
};

/* A marker behind the event of this sequence, and all before it. */
struct ingest_checkpoint {
	uint64_t sequence;
	struct buffer marker;
};

/* A queue in rising order of sequences. Zeroed is empty and valid. */
struct ingest_markers {
	struct ingest_marker_entry *entries; /* a ring */
	size_t capacity, first, count;       /* capacity: a power of two, or 0 */
	uint64_t routed_sequence;
	struct buffer routed; /* the newest marker all of whose events have been routed */
	char routed_position[MODEL_POSITION_SIZE];
	bool routed_is_whole;
	struct buffer next; /* prepared; empty: there is none */

	/* Markers routed before, for whoever wants to begin further back: some of them. */
	bool keeps_checkpoints;
	struct ingest_checkpoint *checkpoints; /* in rising order */
	size_t checkpoints_count;
	size_t checkpoints_bytes;
	uint64_t checkpoints_apart; /* sequences from one to the next, at least */
	uint64_t break_sequence;    /* none of them is from before that */
};

void ingest_markers_fini(struct ingest_markers *markers);
/* Copies the marker, so that the commit that may follow cannot fail. */
enum err ingest_markers_prepare(struct ingest_markers *markers, struct bytes marker) MUST_CHECK;
/*
 * The prepared marker stands behind the event of this sequence, where the newest change was that of
 * this position; `is_whole` unless there is a break between that change and the marker.
 */
void ingest_markers_commit(struct ingest_markers *markers, uint64_t sequence,
	const char position[MODEL_POSITION_SIZE], bool is_whole);
/*
 * The event of this sequence is a break in the source, and no marker is from behind it yet. None
 * from before it is a place to begin at, as no break would come again.
 */
void ingest_markers_break(struct ingest_markers *markers, uint64_t sequence);
void ingest_markers_routed(struct ingest_markers *markers, uint64_t sequence);
/* The newest marker that all events from `sequence` on stand behind, as far as is known; forgets
 * what is older. */
struct bytes ingest_markers_before(struct ingest_markers *markers, uint64_t sequence);
/* Begins with the marker that another life has left. */
enum err ingest_markers_begin(struct ingest_markers *markers, struct bytes marker) MUST_CHECK;
/*
 * Where a new connection of the same life resumes. Before any marker is routed, but that of all
 * that the source keeps, it is the oldest one there is: its event the sink has, and without a
 * marker what follows would be lost.
 */
struct bytes ingest_markers_resume(const struct ingest_markers *markers);
/* Whether that is a place: neither what is new nor all that the source keeps, by now. */
bool ingest_markers_are_known(const struct ingest_markers *markers);
/*
 * The source does not take `refused`: ask for all that it keeps, or if that was it, for what is
 * new. ERR_MEMORY changes nothing.
 */
enum err ingest_markers_refuse(struct ingest_markers *markers, struct bytes refused) MUST_CHECK;

/* ---- repeats (repeats.c) --------------------------------------------------------------------- */

/* The newest (T, I) of each backend and the event ids seen there. */
struct ingest_repeats {
	struct map backends;
	uint64_t seed;
};

void ingest_repeats_init(struct ingest_repeats *repeats, uint64_t seed);
void ingest_repeats_fini(struct ingest_repeats *repeats);
bool ingest_repeats_has(struct ingest_repeats *repeats, const struct model_change *change);
/* What comes next is from before all that has come. */
void ingest_repeats_rewind(struct ingest_repeats *repeats);
/* Makes room, so that the commit that may follow cannot fail. */
enum err ingest_repeats_prepare(
	struct ingest_repeats *repeats, const struct model_change *change) MUST_CHECK;
void ingest_repeats_commit(struct ingest_repeats *repeats, const struct model_change *change);

/* ---- ids of documents seen (ids.c) ------------------------------------------------------------
 */

struct ingest_id_entry;

/* What is remembered of a document. */
struct ingest_known {
	struct bytes collection, id;
	bool is_deleted; /* when it was last seen */
};

/* A document among all: its database by 64 seeded bits, and the identity's 128 beside them. */
struct ingest_document {
	uint64_t database;
	struct event_identity identity;
};

struct ingest_ids {
	struct map entries;
	struct ingest_id_entry *newest, *oldest;
	size_t bytes, bytes_max;
	uint64_t seed;
};

void ingest_ids_init(struct ingest_ids *ids, uint64_t seed, size_t bytes_max);
void ingest_ids_fini(struct ingest_ids *ids);
/* Where a document is among them, or would be: looked up once for each change. Until the next note.
 */
struct ingest_spot {
	struct ingest_document document;
	struct ingest_id_entry *entry;    /* NULL: not seen, or forgotten */
	const struct ingest_known *known; /* the entry's; NULL if there is none */
};
struct ingest_spot ingest_ids_find(
	const struct ingest_ids *ids, struct bytes database, const struct event_identity *identity);
/* `spot` is of the event's document: its identity, if it has one, was looked up. */
void ingest_ids_note(
	struct ingest_ids *ids, const struct ingest_spot *spot, const struct event *event);

/* ---- sources --------------------------------------------------------------------------------- */

struct ingest_source_table {
	/* Makes the source's own part, ingest->source; nothing is opened. */
	enum err (*make)(struct ingest *ingest);
	void (*free)(struct ingest *ingest); /* only when nothing is open */
	/* Opens and leaves IDLE. An error leaves it IDLE. */
	enum err (*start)(struct ingest *ingest);
	/* The state has become HELD: no ingest_take until `go_on`. */
	void (*hold)(struct ingest *ingest);
	/* In HELD, and what was set aside is gone: leaves HELD. */
	void (*go_on)(struct ingest *ingest);
	/* One message could not be taken for a lack: gives up in the source's own way. */
	void (*give_up)(struct ingest *ingest, const char *why);
	/* The state has become STOPPED: closes all, then calls ingest_is_closed once. */
	void (*stop)(struct ingest *ingest);
};
extern const struct ingest_source_table ingest_puller_source;
extern const struct ingest_source_table ingest_ndjson_source;

/* ---- ingest ---------------------------------------------------------------------------------- */

#define INGEST_ASIDE_MAX 3

struct ingest {
	struct loop *loop;
	struct ingest_options options;
	char *address; /* options.address */
	struct ingest_sink sink;
	const struct ingest_source_table *table;
	void *source; /* of the table's own kind */
	_Atomic int state;
	_Atomic int64_t lag_ms;
	uint64_t sequence;                  /* of the newest event that the sink took */
	char position[MODEL_POSITION_SIZE]; /* of the newest change that it, or another life, took
					     */
	bool is_behind_break;               /* there is a break behind that, or aside */
	/* HELD, or WAITING after it: what the sink had no room for, in order: a change, and breaks
	   in the source before and behind it. */
	struct event *aside[INGEST_ASIDE_MAX];
	size_t aside_count;
	bool break_is_due; /* ahead of the next message that is not old */
	bool recovers;     /* what comes is old, until `recovers_until` has come */
	struct model_position recovers_until;
	bool began_at_marker; /* of that change, so that nothing old is to come, unless: */
	bool drops_old;       /* the marker was refused: what is old comes, and is dropped */
	struct ingest_markers markers;
	struct ingest_repeats repeats;
	struct ingest_ids ids;
	struct arena scratch; /* of one change */
	/* Of the change that was transformed last, until its event is taken, which `aside` may be:
	 */
	struct ingest_spot spot;
	struct err_info refusal; /* why its document is refused */
	char failure[300];

	struct loop_waker *later; /* tells, in a turn of its own, what is due: */
	bool change_is_due;
	bool stopped_is_due;
	loop_fn stopped;
	void *stopped_ctx;
};

/*
 * The source may have lost changes: an event of its own kind says so, ahead of what comes next, so
 * that who subscribed while the source was away is told too. `why` is for the log.
 */
void ingest_break(struct ingest *ingest, const char *why);
/* What comes is not what stands behind the marker, but all that the source keeps. */
void ingest_refused(struct ingest *ingest);
uint64_t ingest_next_sequence(const struct ingest *ingest); /* of an event that is made now */
/* The only way to another state: checks that the move is legal, logs it, and tells `changed`. */
void ingest_goto(struct ingest *ingest, enum ingest_state next);
/* FAILED, with the text for ingest_failure. */
void ingest_fail(struct ingest *ingest, const char *format, ...) PRINTF_LIKE(2, 3);
void ingest_is_closed(struct ingest *ingest);
/*
 * One message of the source, borrowed. OK: taken, which a repeat and a change that goes to nobody
 * are too. ERR_FULL: set aside, the state is HELD. Others: a lack; nothing of it was taken.
 */
enum err ingest_take(struct ingest *ingest, const struct model_source_message *message) MUST_CHECK;

/*
 * The event of a change that is no repeat, or NULL where it goes to nobody; `info` then says why if
 * the change cannot be (transform.c). Sets `spot` and `refusal`. Errors: a lack.
 */
enum err ingest_transform(struct ingest *ingest, const struct model_change *change,
	struct err_info *info, struct event **ret_event) MUST_CHECK;

#endif
