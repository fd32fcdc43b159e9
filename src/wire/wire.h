/*
 * wire: bytes to structs and back: both protocols, and changes as lines of JSON.
 * Owns: nothing; parsed structs are views of the bytes given, or live in the arena given.
 * Threads: pure functions.
 * Errors: ERR_CORRUPT (with text where a person sent it), ERR_LIMIT, ERR_INVALID, ERR_MEMORY.
 * Invariant: the only module that knows field numbers; strings it lets through are UTF-8.
 */
#ifndef WIRE_H
#define WIRE_H

#include "base.h"
#include "event.h"
#include "metrics.h"
#include "model.h"
#include "value.h"

#define WIRE_PULLER_SUBSCRIBE "/syntrix.puller.v1.PullerService/Subscribe"
#define WIRE_STREAMER_STREAM "/syntrix.streamer.v1.StreamerService/Stream"

/* ---- the source's side ----------------------------------------------------------------------- */

/* Puller SubscribeRequest. */
struct wire_puller_request {
	struct bytes consumer_id;
	struct bytes after;
	bool coalesce;
};
enum err wire_puller_request_encode(
	struct buffer *buffer, const struct wire_puller_request *request) MUST_CHECK;
enum err wire_puller_request_parse(
	struct bytes bytes, struct wire_puller_request *ret_request) MUST_CHECK;

/* PullerEvent: views of `bytes`. */
enum err wire_source_message_parse(
	struct bytes bytes, struct model_source_message *ret_message) MUST_CHECK;
enum err wire_source_message_encode(
	struct buffer *buffer, const struct model_source_message *message) MUST_CHECK;

/*
 * A change as a line of JSON, in one of two forms. Members that are null count as missing, and a
 * member that neither form knows is a mistake.
 * Long: the ChangeEvent with the proto's field names, `full_doc` and `update_desc` as objects,
 * `cluster_time` as {"t","i"}, plus `progress`; what is missing is empty, as on the wire.
 * Short: {"op","database","collection","id","data"}, of which `op` and `collection` must be there,
 * and `id` (which may stand in `data` instead) for all but an insert; the rest is made up from
 * `ordinal` (the line's number, from 1) and `now_ms` as the original's storage would. A "delete"
 * becomes what its DELETE does, an update to a tombstone: `deleted` is true and `data` is empty.
 * A line with `progress` and nothing else is a heartbeat.
 * Strings live in `arena`, `full_document` is JSON text. ERR_CORRUPT and ERR_LIMIT say in `info` at
 * which byte of the line something else should be.
 */
enum err wire_change_line_parse(struct bytes line, uint64_t ordinal, int64_t now_ms,
	struct arena *arena, struct model_source_message *ret_message,
	struct err_info *info) MUST_CHECK;

/* ---- events ---------------------------------------------------------------------------------- */

struct wire_event_options {
	uint32_t json_depth_max;
	bool read; /* read the document and encode the event at once: somebody is interested */
	int64_t received_us; /* wall clock */
	uint64_t epoch;      /* of its position */
	uint64_t sequence;
	struct bytes
		document_id; /* known otherwise, for a document that does not say it; or empty */
	/* `document_id` is only what somebody asked for: the event is delivered with it, but counts
	   as one of unknown id, and its flattened document has none */
	bool is_identified;
	/* of the change's store id; NULL: that names no document */
	const struct event_identity *identity;
	/* members of `data` that need not be read, nor checked, by event_member_bit; 0: strict */
	uint64_t skipped;
	bool is_purge; /* see struct event */
	bool is_without_document;
};

/* What one scan of a full document's top level tells, before anybody decides to read it. */
struct wire_document_head {
	bool is_object;
	struct bytes collection; /* escapes undone, in the arena if there were any */
	struct bytes data;       /* text of `data`, empty if missing or null */
	struct bytes version, updated_at, created_at; /* text of each, empty if missing */
	bool deleted;
};
enum err wire_document_head_scan(
	struct bytes document, struct arena *arena, struct wire_document_head *ret_head) MUST_CHECK;

/* Whether an update (update_desc) set the document's own `deleted`, and to what. */
enum wire_update_says { WIRE_UPDATE_NOTHING, WIRE_UPDATE_DELETES, WIRE_UPDATE_REVIVES };
enum wire_update_says wire_update_says(struct bytes update);

/*
 * Makes the event of a change: copies its bytes, sets collection, document id and operation, and
 * reads it if told to, but for what may be skipped. A document that is not strict JSON gives an
 * event with is_refused (and what could be read of collection and id). `info` (may be NULL) says
 * why a document was refused. `head` is of this change's own full_document. ERR_INVALID: an event
 * id or a database that is not UTF-8.
 */
enum err wire_event_make(const struct model_change *change, enum model_operation operation,
	const struct wire_document_head *head, const struct wire_event_options *options,
	struct err_info *info, struct event **ret_event) MUST_CHECK;

/*
 * A copy of an event, strictly read as a whole and encoded, for whoever needs it, or more of it,
 * later than ingest thought. Private to the caller's thread; the shared event stays as it is.
 */
enum err wire_event_read(
	const struct event *event, uint32_t json_depth_max, struct event **ret_event) MUST_CHECK;

/*
 * The same of an event with an unknown id, once it has turned out which it is, so that it is
 * delivered with collection and id. To whoever matches it the id is as unknown as before.
 */
enum err wire_event_identify(const struct event *event, struct bytes collection, struct bytes id,
	uint32_t json_depth_max, struct event **ret_event) MUST_CHECK;

/* ---- the gateways' side ---------------------------------------------------------------------- */

enum wire_gateway_kind {
	WIRE_GATEWAY_NOTHING, /* no payload, or one that we do not know: ignored */
	WIRE_GATEWAY_SUBSCRIBE,
	WIRE_GATEWAY_UNSUBSCRIBE,
	WIRE_GATEWAY_HEARTBEAT,
	WIRE_GATEWAY_HELLO,
	WIRE_GATEWAY_BULK,
};

struct wire_gateway_message {
	enum wire_gateway_kind kind;
	struct model_subscription subscription; /* SUBSCRIBE; everything in the arena */
	struct bytes unsubscribe_id;            /* UNSUBSCRIBE */
	struct model_heartbeat heartbeat;       /* HEARTBEAT */
	struct model_hello hello;               /* HELLO */
	struct model_bulk bulk;                 /* BULK; its requests are for wire_bulk_next */
};

struct wire_limits {
	uint32_t filters_max;
	uint32_t filter_list_max;
	uint32_t filter_depth_max;
};

/*
 * A subscribe whose filters exceed a limit is not corrupt: it parses, with `*ret_refusal` set (else
 * it is zero: code OK), so that it can be answered. ERR_CORRUPT ends the stream.
 */
enum err wire_gateway_message_parse(struct bytes bytes, const struct wire_limits *limits,
	struct arena *arena, struct wire_gateway_message *ret_message,
	struct err_info *ret_refusal) MUST_CHECK;
enum err wire_subscribe_encode(
	struct buffer *buffer, const struct model_subscription *subscription) MUST_CHECK;
enum err wire_unsubscribe_encode(struct buffer *buffer, struct bytes id) MUST_CHECK;
enum err wire_heartbeat_encode(
	struct buffer *buffer, const struct model_heartbeat *heartbeat) MUST_CHECK;
enum err wire_hello_encode(struct buffer *buffer, const struct model_hello *hello) MUST_CHECK;

/*
 * The subscribes of a bulk, one at a time: `*rest` begins as its requests, and may be kept from one
 * slice to the next. What is read of a subscribe is in the arena, which may be another one for
 * each, and in the bytes of the bulk. ERR_EMPTY behind the last. Refusals as with a message;
 * ERR_CORRUPT ends the stream.
 */
enum err wire_bulk_next(struct bytes *rest, const struct wire_limits *limits, struct arena *arena,
	struct model_subscription *ret_subscription, struct err_info *ret_refusal) MUST_CHECK;
/* Appends one more to what will be the requests of a bulk. */
enum err wire_bulk_append(
	struct buffer *requests, const struct model_subscription *subscription) MUST_CHECK;
enum err wire_bulk_encode(struct buffer *buffer, const struct model_bulk *bulk) MUST_CHECK;

/* One subscription id as it stands in an EventDelivery; ids one behind the other are a run. */
size_t wire_id_size(struct bytes id);
size_t wire_id_write(struct bytes id, char *place); /* wire_id_size bytes */
/* Walks a run: the next id and the run behind it; false at its end. */
bool wire_id_next(struct bytes *run, struct bytes *ret_id);

/* A StreamerMessage with one delivery: a run of ids and an encoded event, spliced. Without `mark`
 * (NULL) or with one that says nothing it is as the original's. */
size_t wire_delivery_size(size_t run_size, size_t event_size, const struct model_mark *mark);
void wire_delivery_write(
	struct bytes run, struct bytes event, const struct model_mark *mark, char *place);

enum err wire_answer_encode(struct buffer *buffer, const struct model_answer *answer) MUST_CHECK;
enum err wire_heartbeat_ack_encode(
	struct buffer *buffer, const struct model_heartbeat_ack *ack) MUST_CHECK;
/* From here on only for a peer that has said Hello. */
enum err wire_welcome_encode(struct buffer *buffer, const struct model_welcome *welcome) MUST_CHECK;
enum err wire_gap_encode(struct buffer *buffer, const struct model_gap *gap) MUST_CHECK;
enum err wire_unsubscribed_encode(struct buffer *buffer, struct bytes id) MUST_CHECK;
enum err wire_notice_encode(struct buffer *buffer, const struct model_notice *notice) MUST_CHECK;
enum err wire_going_away_encode(
	struct buffer *buffer, const struct model_going_away *going_away) MUST_CHECK;
/* Appends one more to what will be the refused of a bulk's answer. */
enum err wire_bulk_refuse(struct buffer *refused, const struct model_answer *answer) MUST_CHECK;
enum err wire_bulk_answer_encode(
	struct buffer *buffer, const struct model_bulk_answer *answer) MUST_CHECK;

enum wire_streamer_kind {
	WIRE_STREAMER_NOTHING,
	WIRE_STREAMER_DELIVERY,
	WIRE_STREAMER_HEARTBEAT_ACK,
	WIRE_STREAMER_ANSWER,
	WIRE_STREAMER_WELCOME,
	WIRE_STREAMER_GAP,
	WIRE_STREAMER_BULK_ANSWER,
	WIRE_STREAMER_UNSUBSCRIBED,
	WIRE_STREAMER_NOTICE,
	WIRE_STREAMER_GOING_AWAY,
};
struct wire_streamer_message {
	enum wire_streamer_kind kind;
	struct bytes run;       /* DELIVERY: the ids, as a run; on the wire they may stand apart */
	struct bytes event;     /* DELIVERY: the StreamerEvent's bytes, for wire_delivery_parse */
	struct model_mark mark; /* DELIVERY */
	struct model_heartbeat_ack ack;
	struct model_answer answer;
	struct model_welcome welcome;
	struct model_gap gap;
	struct model_bulk_answer bulk_answer; /* its refused are for wire_bulk_refused_next */
	struct bytes unsubscribed_id;
	struct model_notice notice;
	struct model_going_away going_away;
};
enum err wire_streamer_message_parse(struct bytes bytes, struct arena *arena,
	struct wire_streamer_message *ret_message) MUST_CHECK;
/* The answers of those that a bulk's answer refuses, as wire_bulk_next. */
enum err wire_bulk_refused_next(struct bytes *rest, struct model_answer *ret_answer) MUST_CHECK;
enum err wire_delivery_parse(struct bytes event, struct model_delivery *ret_delivery) MUST_CHECK;

#endif
