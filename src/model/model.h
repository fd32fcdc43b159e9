/*
 * model: the nouns as plain structs: change, filter, subscription request and answer, delivery.
 * Owns: nothing; every `struct bytes` and pointer is borrowed from whoever made the struct.
 * Threads: plain data.
 * Errors: none.
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
	uint64_t events; /* 0: not known */
};

/* What a subscriber is told of its expression; the numbers are the wire's. */
enum model_notice_code { MODEL_NOTICE_FAILING = 0, MODEL_NOTICE_STOPPED = 1 };
struct model_notice {
	struct bytes subscription_id;
	enum model_notice_code code;
	struct bytes text; /* for people */
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
	int64_t received_us;        /* when the Streamer read the change, wall clock; 0: not told */
	struct bytes document_hash; /* stands in for an empty document_id: BLAKE3 of the path */
};

/* A random (version 4) UUID of 128 random bits, for ids that are made up: 36 characters and a NUL.
 */
#define MODEL_UUID_SIZE 37
void model_uuid_print(uint64_t high, uint64_t low, char ret_text[MODEL_UUID_SIZE]);

#endif
