/*
 * Streamer: matches the changes of a database against live subscriptions and delivers them in
 * order.
 *
 * An *engine* (struct streamer) follows one source of changes and serves gateways over gRPC. A
 * *stream* is one consumer: it subscribes and receives. A stream of an engine in this process and a
 * stream to a Streamer elsewhere (streamer_connect) have the same verbs.
 *
 * Threads: the library has threads of its own and never calls back from them. An engine's functions
 * may be called from any one thread at a time; a stream's too, and each stream may have another
 * thread; only streamer_wait and what opens or closes an engine or closes a stream may block, so
 * any event loop can poll the descriptors. What differs is said at the function. Errors: every
 * function that can fail says so by its result; outputs are untouched then. `failure`, where there
 * is one, may be NULL, and tells a person what was wrong and what would be right. Strings: UTF-8.
 * Pointers passed in are borrowed for the call, those passed out for as long as said.
 */
#ifndef STREAMER_H
#define STREAMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

enum streamer_err {
	STREAMER_OK = 0,
	STREAMER_MEMORY,      /* out of memory; nothing has changed */
	STREAMER_INVALID,     /* an argument that cannot be */
	STREAMER_LIMIT,       /* a limit of this engine, or of the other side */
	STREAMER_FULL,        /* not now: wait for the descriptor, then again */
	STREAMER_EMPTY,       /* nothing to receive now */
	STREAMER_EXISTS,      /* such as an address in use */
	STREAMER_NOT_FOUND,   /* such as an option that does not exist */
	STREAMER_UNSUPPORTED, /* not by this kind of engine or stream */
	STREAMER_CORRUPT,     /* malformed data */
	STREAMER_IO,          /* the operating system said no */
	STREAMER_CLOSED,      /* the stream has ended */
	STREAMER_CANCELLED,
	STREAMER_TIMEOUT,
	STREAMER_UNAVAILABLE, /* the other side is not there, or is shutting down */
	STREAMER_INTERNAL,
};

/* Static text, never NULL. */
const char *streamer_err_text(enum streamer_err err);

/* "0.1.0". */
const char *streamer_version(void);

struct streamer_failure {
	char text[240]; /* NUL-terminated */
};

/* Not NUL-terminated; data may be NULL where size is 0. */
struct streamer_bytes {
	const char *data;
	size_t size;
};

/* ---- an engine ------------------------------------------------------------------------------- */

enum streamer_source {
	STREAMER_PUSH,   /* streamer_push */
	STREAMER_PULLER, /* a PullerService: source_address is "host:port" */
	STREAMER_NDJSON, /* a file of changes, one JSON object a line: a path, or "-" for stdin */
};

#define STREAMER_LIMITS_MAX 64

struct streamer_options {
	enum streamer_source source;
	const char *source_address;
	const char *listen_address; /* for gateways; port 0 takes a free one; NULL: none */
	const char *state_dir;      /* PULLER: a folder that lets the next life go on; NULL: none */
	bool skip_bad;              /* NDJSON: skip lines that are no change, counted and logged */
	bool trust_json;            /* of a document only what subscriptions look at is checked */
	int log_fd;                 /* one line per message; -1: none */
	bool log_debug;
	int64_t limits[STREAMER_LIMITS_MAX]; /* by streamer_options_set */
};

/* A push engine without listener, log on descriptor 2, every limit at its default. */
void streamer_options_init(struct streamer_options *options);

/* Sets a limit by its name, such as "queue_hard_bytes" (or "queue-hard-bytes"), to a number. */
enum streamer_err streamer_options_set(struct streamer_options *options, const char *name,
	const char *value, struct streamer_failure *failure);

/* What there is to set; static texts. */
struct streamer_option {
	const char *name, *unit, *help;
	int64_t standard, least, most;
};
/* The option number `index` from 0; false behind the last. */
bool streamer_option_at(size_t index, struct streamer_option *ret_option);

struct streamer;

/*
 * Starts an engine: it listens when this returns, and connects to its source by itself, for as long
 * as it takes. STREAMER_IO: the address cannot be listened on; STREAMER_INVALID: a wrong option.
 */
enum streamer_err streamer_open(const struct streamer_options *options,
	struct streamer_failure *failure, struct streamer **ret_streamer);

/*
 * Stops reading, routes what has come, lets gateways take what is queued (at most drain_ms), ends.
 * Blocks until then. Streams of this engine must have been closed. NULL is fine.
 */
void streamer_close(struct streamer *streamer);

/* Where it listens, "127.0.0.1:50052"; "" if it does not. Valid until streamer_close. */
const char *streamer_address(const struct streamer *streamer);

/*
 * STREAMER_PUSH only: one change as a line of JSON, `size` bytes, in one of two forms:
 *   {"op":"insert","database":"default","collection":"users","id":"u1","data":{}}
 *   (op: insert, update, replace or delete)
 * or a ChangeEvent with the field names of proto/puller.proto and `full_doc` as an object. The
 * change is read, checked and handed to the workers in the caller's thread. STREAMER_FULL: nothing
 * was taken, call again when streamer_fd is readable. STREAMER_INVALID: it is no change, see
 * `failure`.
 */
enum streamer_err streamer_push(struct streamer *streamer, const char *change, size_t size,
	struct streamer_failure *failure);

/* Readable when STREAMER_FULL is over, or streamer_status, which clears it, tells another state. */
int streamer_fd(const struct streamer *streamer);

enum streamer_source_state {
	STREAMER_SOURCE_AWAY,   /* not there; it is tried again and again */
	STREAMER_SOURCE_LIVE,   /* connected, or waiting for streamer_push */
	STREAMER_SOURCE_ENDED,  /* the file has been read to its end */
	STREAMER_SOURCE_FAILED, /* the file cannot be read; the log says why */
};

struct streamer_status {
	enum streamer_source_state source;
	int64_t source_lag_ms; /* newest change: from its timestamp to its arrival; -1: none yet */
	uint64_t events;       /* taken from the source, so far */
	uint64_t routed;       /* of those, matched and queued by every worker */
};
/* How it stands now. Makes the descriptor of streamer_fd unreadable. */
void streamer_status(struct streamer *streamer, struct streamer_status *ret_status);

/* All figures as Prometheus text, written and counted as snprintf does. Any thread. */
size_t streamer_metrics(const struct streamer *streamer, char *text, size_t size);

/* ---- a stream -------------------------------------------------------------------------------- */

struct streamer_stream;

/* A consumer in this process. Close it before the engine. */
enum streamer_err streamer_stream_open(
	struct streamer *streamer, struct streamer_stream **ret_stream);

/*
 * A consumer of a Streamer elsewhere. Returns at once; a thread of the stream's own connects, and
 * again whenever the connection is lost, after a wait that grows from try to try. STATE items tell.
 * It subscribes to everything anew and goes on behind the last position; where that cannot be done
 * there is a GAP. END comes only if that Streamer refuses in a way that no other try would change.
 */
struct streamer_connect_options {
	const char *address;    /* "host:port", "[v6]:port" or "unix:/path" */
	const char *gateway_id; /* for that Streamer's log; NULL: none */
	/* An earlier item's position, to go on behind with streamer_resume; empty: from now on. */
	struct streamer_bytes after;
	int64_t heartbeat_ms; /* 30 s; more often if that Streamer wants it */
	int64_t activity_ms;  /* 90 s: so long without a sign of life it is taken for dead */
	int64_t backoff_min_ms, backoff_max_ms; /* 1 s, 30 s: the wait doubles, with jitter */
	size_t message_bytes_max;               /* 64 MiB: a larger change comes as a GAP */
	size_t queue_bytes_max;   /* 8 MiB not received: that Streamer is held back until half is */
	size_t waiting_bytes_max; /* 64 MiB of subscribes not sent yet: more of them are refused */
};
void streamer_connect_options_init(struct streamer_connect_options *options);
enum streamer_err streamer_connect_with(const struct streamer_connect_options *options,
	struct streamer_failure *failure, struct streamer_stream **ret_stream);
enum streamer_err streamer_connect(
	const char *address, struct streamer_failure *failure, struct streamer_stream **ret_stream);
/* All has been subscribed to: what came after options.after may follow. Else it waits lease_ms. */
enum streamer_err streamer_resume(struct streamer_stream *stream);

void streamer_stream_close(struct streamer_stream *stream); /* NULL is fine */

struct streamer_filter {
	const char *field; /* path, parts separated by '.'; "_id" is the document's id */
	const char *op;    /* == != > >= < <= in contains */
	const char *value; /* JSON: "\"a\"", "5", "2.5", "true", "[1,2]" */
};

struct streamer_subscription {
	const char *id; /* unique within the stream; NULL: one is made up */
	const char *database;
	const char *collection;
	const struct streamer_filter *filters; /* all must hold; none: the whole collection */
	size_t filters_count;
	/* CEL, such as "age > 18 && room in ['a', 'b']"; must hold besides the filters. NULL: none.
	   A Streamer that does not know expressions refuses the subscription. */
	const char *expression;
	bool omit_document; /* only that something changes is told; an old Streamer tells all */
};

#define STREAMER_ID_SIZE 37

/*
 * Asks for changes. Returns at once; the outcome comes as an ANSWER item with the id. `ret_id` (may
 * be NULL) gets the id if one was made up, else "". STREAMER_INVALID: a value is no JSON.
 */
enum streamer_err streamer_subscribe(struct streamer_stream *stream,
	const struct streamer_subscription *subscription, struct streamer_failure *failure,
	char ret_id[STREAMER_ID_SIZE]);

/* No answer follows, nor one to a subscribe that has none yet; what is queued still comes. */
enum streamer_err streamer_unsubscribe(struct streamer_stream *stream, const char *id);

enum streamer_operation { STREAMER_INSERT = 1, STREAMER_UPDATE = 2, STREAMER_DELETE = 4 };
/* "INSERT", "UPDATE", "DELETE"; "OTHER" for what a newer Streamer may send. Static text. */
const char *streamer_operation_name(enum streamer_operation operation);

enum streamer_item_kind {
	STREAMER_DELIVERY = 1,
	STREAMER_ANSWER, /* to a subscribe; later once more if a new connection refuses it */
	STREAMER_STATE,  /* of the connection, streamer_connect only */
	STREAMER_END,    /* the last item: why the stream has ended */
	STREAMER_NOTICE, /* an expression keeps failing, or was stopped: it may match too little */
	STREAMER_GAP,    /* changes are missing here: read anew what must not be missed */
};

enum streamer_connection { STREAMER_CONNECTED = 1, STREAMER_RECONNECTING };

enum streamer_gap_reason {
	STREAMER_GAP_UNKNOWN,   /* the Streamer cannot tell what this stream has missed */
	STREAMER_GAP_TOO_OLD,   /* it was away for longer than the Streamer remembers */
	STREAMER_GAP_SOURCE,    /* the source of the changes has lost some */
	STREAMER_GAP_TOO_LARGE, /* a change is larger than this stream takes */
};

/* Everything is borrowed from the stream until its next receive. */
struct streamer_item {
	enum streamer_item_kind kind;

	/* DELIVERY: one event, once, with every subscription of this stream that it matches; if
	   some of these omit its document and some do not, those that do are an item behind */
	struct streamer_bytes event_id, database, collection;
	struct streamer_bytes document_id;   /* empty: it has none, or a DELETE's is not known */
	struct streamer_bytes document_hash; /* then: 16 bytes, BLAKE3 of "<collection>/<id>" */
	enum streamer_operation operation;
	struct streamer_bytes document; /* JSON object; empty: omitted, refused or too large */
	int64_t timestamp_ms;           /* the change's, Unix time */
	int64_t received_us;            /* when the engine read it, Unix time; 0: not known */
	const struct streamer_bytes *subscription_ids;
	size_t subscription_ids_count;
	bool replayed;                  /* out of that Streamer's history */
	struct streamer_bytes position; /* GAP too; opaque; empty: unknown, or the next item's */

	/* ANSWER */
	struct streamer_bytes subscription_id;
	bool accepted;
	uint32_t filter;       /* not accepted: which filter is wrong, from 1; 0: none of them */
	uint32_t line, column; /* not accepted: where in the expression, from 1; 0: nowhere */

	/* NOTICE: subscription_ids. GAP: these (none: all), and of TOO_LARGE the event: */
	enum streamer_gap_reason gap_reason;
	uint64_t gap_events; /* how many changes; 0: not known */

	/* For people: ANSWER not accepted (and what would be right), NOTICE, RECONNECTING, END */
	struct streamer_bytes text, hint;
	enum streamer_connection connection; /* STATE */
	enum streamer_err why;               /* END */
};

/*
 * The next item, without waiting. STREAMER_EMPTY: none now, streamer_stream_fd becomes readable
 * when there is. STREAMER_CLOSED: END has been received before.
 */
enum streamer_err streamer_receive(struct streamer_stream *stream, struct streamer_item *ret_item);

/*
 * The same, waiting at most timeout_ms (-1: for ever). STREAMER_TIMEOUT; STREAMER_CANCELLED: a
 * signal came while it waited.
 */
enum streamer_err streamer_wait(
	struct streamer_stream *stream, int timeout_ms, struct streamer_item *ret_item);

/* For poll(2): readable when receive should be called. Only receive until EMPTY makes it
 * unreadable. */
int streamer_stream_fd(const struct streamer_stream *stream);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
