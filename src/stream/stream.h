/*
 * stream: one consumer's bounded queue of deliveries, answers, acknowledgements, notices, gaps.
 * Owns: its queue, and a reference to each event in it; it is shared by its two ends and counted.
 * Threads: one producer (a worker, or a client's thread) and one consumer, which may be another
 * thread; no lock: a chain of segments that one end fills and the other empties. Errors: ERR_LIMIT
 * (the stream has ended because its consumer is too slow), ERR_CLOSED, ERR_MEMORY. Invariant: what
 * was pushed is popped in order, deliveries and gaps behind everything else; END is popped
 * exactly once, last, and nothing queued behind or before it comes after it.
 */
#ifndef STREAM_H
#define STREAM_H

#include "base.h"
#include "event.h"
#include "metrics.h"
#include "model.h"

struct stream;

struct stream_limits {
	size_t hard_bytes; /* queued bytes that end the stream at once */
	size_t soft_bytes; /* queued bytes that end it when they have been exceeded for soft_us */
	int64_t soft_us;
};

enum stream_item_kind {
	STREAM_DELIVERY,
	STREAM_ANSWER,  /* to a subscribe */
	STREAM_ACK,     /* to a heartbeat */
	STREAM_WELCOME, /* to a Hello */
	STREAM_MESSAGE, /* to a consumer across the network, encoded */
	STREAM_NOTICE,  /* of what becomes of an expression */
	STREAM_GAP,     /* deliveries are missing here */
	STREAM_STATE,   /* the connection behind a remote stream */
	STREAM_END,
};

enum stream_state { STREAM_CONNECTED, STREAM_RECONNECTING };

/* A view of the item at the head; valid until stream_pop. Members of other kinds are not set. */
struct stream_item {
	enum stream_item_kind kind;
	struct event *event; /* DELIVERY */
	bool is_replayed;    /* DELIVERY: out of the history */
	bool is_bare;        /* DELIVERY: without its document */
	bool has_more;       /* DELIVERY: the next one is of the same event */
	struct bytes run;    /* DELIVERY, NOTICE: the ids, encoded */
	uint32_t ids_count;
	struct model_answer answer;   /* ANSWER */
	struct model_notice notice;   /* NOTICE; its subscriptions are those of the run */
	struct model_gap gap;         /* GAP */
	struct model_welcome welcome; /* WELCOME */
	struct bytes message;         /* MESSAGE */
	int64_t timestamp_ms;         /* ACK: echoed */
	enum stream_state state;      /* STATE */
	enum err why;                 /* END: OK when its consumer or the engine closed it */
	struct bytes text;            /* STATE, END: for people */
};

/*
 * `wake` is called by the producer when something was queued and the consumer may be waiting, and
 * when the stream is ended ahead of what is queued. On the producer's thread; it must be cheap and
 * must not call the stream. The stream starts with two holders.
 */
typedef void (*stream_wake_fn)(void *ctx);
enum err stream_new(const struct stream_limits *limits, struct metrics *metrics,
	stream_wake_fn wake, void *ctx, struct stream **ret_stream) MUST_CHECK;
/* Both ends call it once; after the producer's, `wake` is not called any more. */
void stream_unref(struct stream *stream);

/* ---- the producer's end ---------------------------------------------------------------------- */

/* One event with the runs of ids that it is for: their bytes are copied, the event is referenced.
 */
struct stream_delivery {
	struct event *event;
	const struct bytes *runs;
	size_t runs_count;
	uint32_t ids_count; /* in all runs */
	bool is_replayed;
	bool is_bare;  /* these ids want no document */
	bool has_more; /* the next one is of the same event, for other ids */
};
enum err stream_push_delivery(
	struct stream *stream, const struct stream_delivery *delivery, int64_t now_us) MUST_CHECK;
enum err stream_push_answer(
	struct stream *stream, const struct model_answer *answer, int64_t now_us) MUST_CHECK;
/* The same notice for each of a run of ids. */
enum err stream_push_notice(struct stream *stream, const struct model_notice *notice,
	struct bytes run, uint32_t ids_count, int64_t now_us) MUST_CHECK;
/* Keeps its place among the deliveries. */
enum err stream_push_gap(
	struct stream *stream, const struct model_gap *gap, int64_t now_us) MUST_CHECK;
enum err stream_push_ack(struct stream *stream, int64_t timestamp_ms, int64_t now_us) MUST_CHECK;
enum err stream_push_welcome(
	struct stream *stream, const struct model_welcome *welcome, int64_t now_us) MUST_CHECK;
enum err stream_push_message(
	struct stream *stream, struct bytes message, int64_t now_us) MUST_CHECK;
enum err stream_push_state(
	struct stream *stream, enum stream_state state, struct bytes text) MUST_CHECK;
/* Ends the stream: the consumer gets END ahead of anything queued. Later pushes are ERR_CLOSED. */
void stream_end(struct stream *stream, enum err why, const char *text);
/* Ends it behind what is queued: how a shutdown drains. */
void stream_finish(struct stream *stream, enum err why, const char *text);
/* Ends it if the soft limit has been exceeded for too long; to be called now and then. ERR_LIMIT.
 */
enum err stream_tick(struct stream *stream, int64_t now_us) MUST_CHECK;
bool stream_has_ended(const struct stream *stream); /* no more can be pushed */
/* Why the producer has ended it, for people; "" before. Borrowed from the stream. */
const char *stream_end_text(const struct stream *stream);

/* Figures for whoever ends a stream or reports on it. Either end; snapshots. */
size_t stream_queued_bytes(const struct stream *stream);
uint64_t stream_queued_count(const struct stream *stream);
/* When the delivery was queued that the consumer looked at last; 0: none yet. */
int64_t stream_head_us(const struct stream *stream);

/* ---- the consumer's end ---------------------------------------------------------------------- */

enum err stream_peek(
	struct stream *stream, struct stream_item *ret_item) MUST_CHECK; /* ERR_EMPTY */
bool stream_has_deliveries(struct stream *stream);                       /* or gaps, queued */
void stream_pop(struct stream *stream); /* the item that was peeked last */
/* The consumer wants no more: what is queued is dropped, pushes are ERR_CLOSED from now on. */
void stream_close(struct stream *stream);

#endif
