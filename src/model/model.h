/*
 * model: the nouns as plain structs: change, filter, subscription, answer, delivery, position.
 * Owns: nothing; every `struct bytes` and pointer is borrowed from whoever made the struct.
 * Threads: plain data.
 * Errors: ERR_CORRUPT, from reading a position.
 * Invariant: no behaviour lives here, only names for what the wire and the engine both speak of.
 */
#ifndef MODEL_H
#define MODEL_H

#include "base.h"

struct value;

/* What a delivery says happened. The numbers are the wire's; 3 is not assigned. */
enum model_operation {
	MODEL_NO_OPERATION = 0,
	MODEL_INSERT = 1,
	MODEL_UPDATE = 2,
	MODEL_DELETE = 4,
};
const char *model_operation_name(enum model_operation operation); /* "INSERT", ... */

/* What the database did, as the source names it. */
enum model_change_kind {
	MODEL_CHANGE_UNKNOWN, /* a name that we do not know: goes to nobody */
	MODEL_CHANGE_INSERT,
	MODEL_CHANGE_UPDATE,
	MODEL_CHANGE_REPLACE,
	MODEL_CHANGE_DELETE,
};
enum model_change_kind model_change_kind_of(struct bytes name);  /* "insert", ... */
const char *model_change_kind_name(enum model_change_kind kind); /* "" where unknown */

/* One ChangeEvent of the source. */
struct model_change {
	struct bytes event_id;
	struct bytes database;
	struct bytes store_collection; /* mgo_coll: the collection of the store, not the user's */
	struct bytes store_id;         /* mgo_doc_id */
	enum model_change_kind kind;
	struct bytes full_document; /* JSON, or empty */
	struct bytes update;        /* update_desc, JSON, or empty */
	uint32_t cluster_seconds;
	uint32_t cluster_increment;
	int64_t timestamp_ms;
	int64_t transaction;
	struct bytes backend;
};

/* One message of the source: a change or, without one, a heartbeat; and where the source now
 * stands. */
struct model_source_message {
	bool has_change;
	struct model_change change;
	struct bytes marker; /* the source's own progress marker, opaque; may be empty */
};

struct model_filter {
	struct bytes field;        /* path, split at every '.' */
	struct bytes op;           /* "==", "!=", ">", ">=", "<", "<=", "in", "contains" */
	const struct value *value; /* NULL: the filter has none. VALUE_NONE: a value of no kind */
};

struct model_subscription {
	struct bytes id; /* empty: one is made up */
	struct bytes database;
	struct bytes collection;
	const struct model_filter *filters;
	size_t filters_count;
	struct bytes expression; /* CEL, must hold besides the filters; empty: none */
	bool omit_document;      /* deliver without the document */
};

/* Why a subscribe was refused. The numbers are the wire's (SubscribeResponse.code). */
enum model_refusal {
	MODEL_ACCEPTED = 0,
	MODEL_REFUSED_FILTER = 1,
	MODEL_REFUSED_EXPRESSION = 2,
	MODEL_REFUSED_COST = 3,
	MODEL_REFUSED_LIMIT = 4,
	MODEL_REFUSED_DUPLICATE = 5,
	MODEL_REFUSED_ID = 6,
};

struct model_answer {
	struct bytes id;
	enum model_refusal refusal;
	uint32_t filter;   /* which filter, from 1; 0: none in particular */
	uint32_t line;     /* where the expression is wrong, from 1; 0: nowhere in particular */
	uint32_t column;   /* in code points, from 1 */
	struct bytes text; /* for people: what was wrong; empty when accepted */
	struct bytes hint; /* what would be right; may be empty */
	struct bytes live_after; /* a position: live from behind it; no progress; empty: not told */
};

/* Many subscribes at once, one behind the other in their encoding; may be repeated as a whole. */
struct model_bulk {
	uint64_t id;
	struct bytes requests;
};

/* The answer to them: those refused have one each, one behind the other in their encoding. */
struct model_bulk_answer {
	uint64_t id;
	uint32_t accepted;
	struct bytes refused;
	struct bytes live_after; /* of those accepted, as above */
};

struct model_heartbeat {
	struct bytes gateway_id;
	int64_t timestamp_ms;
	struct bytes position; /* the newest that the gateway has handled; empty: not told */
	bool registered;       /* all subscriptions of an earlier stream are there again */
};

/* How it stands with the source; the numbers are the wire's. */
enum model_source {
	MODEL_SOURCE_UNKNOWN = 0,
	MODEL_SOURCE_LIVE = 1,
	MODEL_SOURCE_CATCHING_UP = 2,
	MODEL_SOURCE_AWAY = 3,
};

struct model_heartbeat_ack {
	int64_t timestamp_ms;  /* the heartbeat's */
	struct bytes position; /* all up to it is written on this stream; empty: not told */
	enum model_source source;
	int64_t source_lag_ms;
};

/* The first message of a client that knows the extensions. */
struct model_hello {
	uint32_t version;
	struct bytes gateway_id;
	struct bytes after;         /* the newest position that it has; empty: live from now on */
	uint32_t message_bytes_max; /* that it takes; 0: 4 MiB */
};

/* How a stream begins; the numbers are the wire's. */
enum model_resume { MODEL_RESUME_LIVE = 0, MODEL_RESUME_REPLAY = 1, MODEL_RESUME_GAP = 2 };

/* The answer to a Hello. */
struct model_welcome {
	uint32_t version;
	uint64_t epoch;        /* another for each life of the Streamer */
	struct bytes position; /* where the stream begins */
	enum model_resume resume;
	uint32_t lease_ms; /* without a message for so long the stream ends; 0: it does not */
	uint32_t message_bytes_max;
};

/* Why changes are missing; the numbers are the wire's. */
enum model_gap_reason {
	MODEL_GAP_UNKNOWN = 0,
	MODEL_GAP_TOO_OLD = 1,
	MODEL_GAP_SOURCE = 2,
	MODEL_GAP_TOO_LARGE = 3,
};

/* Stands where changes are missing from a stream. */
struct model_gap {
	struct bytes after, until; /* positions; empty: not known */
	enum model_gap_reason reason;
	struct bytes run;   /* of the ids that it concerns, as in a delivery; empty: all */
	uint64_t events;    /* 0: not known */
	struct bytes event; /* TOO_LARGE: the change's encoding, without a document; or empty */
};

/* What a subscriber is told of its expression; the numbers are the wire's. */
enum model_notice_code { MODEL_NOTICE_FAILING = 0, MODEL_NOTICE_STOPPED = 1 };
struct model_notice {
	struct bytes subscription_id;
	enum model_notice_code code;
	struct bytes text; /* for people */
};

/* The server is about to end. */
struct model_going_away {
	uint32_t deadline_ms; /* after this the stream ends */
	struct bytes reason;  /* for people */
};

/* What a delivery says of its stream, to a peer that said Hello. */
struct model_mark {
	struct bytes position; /* of its event, on the event's last part only; empty: none */
	bool replayed;         /* the event is from history */
	bool more;             /* further parts of the event follow */
};

/* One event as a consumer sees it. */
struct model_delivery {
	struct bytes event_id;
	struct bytes database;
	struct bytes collection;
	struct bytes document_id;
	enum model_operation operation;
	struct bytes document; /* JSON object, or empty */
	int64_t timestamp_ms;
	uint32_t cluster_seconds; /* the change's cluster time; 0, 0: not told */
	uint32_t cluster_increment;
	int64_t received_us;        /* when the Streamer read the change, wall clock; 0: not told */
	struct bytes document_hash; /* stands in for an empty document_id: BLAKE3 of the path */
};

/*
 * A point in the log of events. To whoever gets one it is bytes, to keep and give back. They begin
 * with the version (1); the numbers follow in the order of this struct, the highest byte first.
 */
struct model_position {
	uint64_t epoch;    /* the life of the Streamer that made it */
	uint64_t sequence; /* in that life */
	/* What finds the change in another life. */
	uint64_t backend_hash;
	uint32_t cluster_seconds;
	uint32_t cluster_increment;
	uint64_t event_id_hash;
};
#define MODEL_POSITION_SIZE 41
void model_position_write(
	const struct model_position *position, char ret_bytes[MODEL_POSITION_SIZE]);
/* ERR_CORRUPT: another size or version. */
enum err model_position_read(struct bytes bytes, struct model_position *ret_position) MUST_CHECK;

/* A random (version 4) UUID of 128 random bits, for ids that are made up: 36 characters and a NUL.
 */
#define MODEL_UUID_SIZE 37
void model_uuid_print(uint64_t high, uint64_t low, char ret_text[MODEL_UUID_SIZE]);

#endif
