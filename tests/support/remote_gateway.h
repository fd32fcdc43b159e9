/*
 * A gateway in virtual time: it speaks to a Streamer over bare grpc, so that it may also say what
 * no client of ours would, and keeps a note of each message that it gets.
 */
#ifndef TEST_REMOTE_GATEWAY_H
#define TEST_REMOTE_GATEWAY_H

#include "grpc.h"
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define SAID_MAX 512

/* One message that a gateway got. */
struct said {
	enum wire_streamer_kind kind;
	int64_t timestamp_ms;
	enum model_refusal refusal;
	struct model_welcome welcome; /* but for its position */
	enum model_notice_code notice;
	enum model_gap_reason gap;
	size_t ids, event_size, document_size;
	char id[64];       /* the first one, or the answer's, or where a gap begins */
	char position[64]; /* a delivery's, an ack's, a gap's end, live_after */
	bool replayed, more;
	enum model_source source;
	int64_t lag_ms;
	uint64_t bulk_id;
	unsigned accepted, refused; /* of a bulk */
	uint32_t deadline_ms;
};

struct gateway {
	struct grpc_client *client; /* NULL: its connection is another's, or closed */
	struct grpc_call *call;     /* NULL: ended */
	struct said said[SAID_MAX];
	unsigned said_count, ended, closed;
	enum grpc_status status;
	char text[200];
};

static inline struct bytes gateway_position(const struct wire_streamer_message *message)
{
	switch (message->kind) {
	case WIRE_STREAMER_DELIVERY:
		return message->mark.position;
	case WIRE_STREAMER_HEARTBEAT_ACK:
		return message->ack.position;
	case WIRE_STREAMER_GAP:
		return message->gap.until;
	case WIRE_STREAMER_BULK_ANSWER:
		return message->bulk_answer.live_after;
	case WIRE_STREAMER_ANSWER:
	case WIRE_STREAMER_NOTHING:
	case WIRE_STREAMER_WELCOME:
	case WIRE_STREAMER_UNSUBSCRIBED:
	case WIRE_STREAMER_NOTICE:
	case WIRE_STREAMER_GOING_AWAY:
		break;
	}
	return message->answer.live_after;
}

static inline void gateway_note_more(struct said *said, const struct wire_streamer_message *message)
{
	struct bytes position = gateway_position(message);
	struct bytes rest = message->bulk_answer.refused;
	struct model_answer answer;
	(void)snprintf(said->position, sizeof(said->position), "%.*s", BYTES_FORMAT(position));
	said->replayed = message->mark.replayed;
	said->more = message->mark.more;
	said->source = message->ack.source;
	said->lag_ms = message->ack.source_lag_ms;
	said->bulk_id = message->bulk_answer.id;
	said->accepted = message->bulk_answer.accepted;
	said->deadline_ms = message->going_away.deadline_ms;
	while (message->kind == WIRE_STREAMER_BULK_ANSWER &&
		wire_bulk_refused_next(&rest, &answer) == OK) {
		said->refused++;
	}
}

static inline void gateway_message(void *ctx, struct bytes bytes)
{
	struct gateway *gateway = ctx;
	struct wire_streamer_message message = {0};
	struct model_delivery delivery = {0};
	struct arena arena = {0};
	assert_true(gateway->said_count < SAID_MAX);
	struct said *said = &gateway->said[gateway->said_count++];
	if (wire_streamer_message_parse(bytes, &arena, &message) == OK) {
		struct bytes id = message.answer.id;
		struct bytes one;
		*said = (struct said){.kind = message.kind,
			.timestamp_ms = message.ack.timestamp_ms,
			.refusal = message.answer.refusal,
			.welcome = message.welcome,
			.notice = message.notice.code,
			.gap = message.gap.reason,
			.event_size = message.event.size};
		said->welcome.position = (struct bytes){0};
		gateway_note_more(said, &message);
		if (message.kind == WIRE_STREAMER_NOTICE) {
			id = message.notice.subscription_id;
		} else if (message.kind == WIRE_STREAMER_GAP) {
			id = message.gap.after;
			while (wire_id_next(&message.gap.run, &one)) {
				said->ids++;
			}
			said->event_size = message.gap.event.size;
		} else if (message.kind == WIRE_STREAMER_UNSUBSCRIBED) {
			id = message.unsubscribed_id;
		}
		while (message.kind == WIRE_STREAMER_DELIVERY && wire_id_next(&message.run, &one)) {
			id = said->ids++ == 0 ? one : id;
		}
		(void)snprintf(said->id, sizeof(said->id), "%.*s", BYTES_FORMAT(id));
		if (message.kind == WIRE_STREAMER_DELIVERY &&
			wire_delivery_parse(message.event, &delivery) == OK) {
			said->document_size = delivery.document.size;
		}
	}
	arena_fini(&arena);
}

static inline void gateway_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	struct gateway *gateway = ctx;
	gateway->ended++;
	gateway->call = NULL;
	gateway->status = status;
	(void)snprintf(gateway->text, sizeof(gateway->text), "%.*s", BYTES_FORMAT(text));
}

static inline void gateway_closed(void *ctx, enum err why)
{
	struct gateway *gateway = ctx;
	(void)why;
	gateway->closed++;
	gateway->client = NULL;
}

static const struct grpc_call_events gateway_call_events = {
	.message = gateway_message, .ended = gateway_ended};
static const struct grpc_client_events gateway_events = {.closed = gateway_closed};

static inline enum err gateway_connect(
	struct gateway *gateway, struct loop *loop, const char *address)
{
	static const struct grpc_options options;
	*gateway = (struct gateway){0};
	return grpc_client_open(
		loop, address, &options, &gateway_events, gateway, &gateway->client);
}

/* A call on a connection, which may be another gateway's. */
static inline enum err gateway_call(
	struct grpc_client *client, const char *method, struct gateway *gateway)
{
	return grpc_client_call(client, method, 0, &gateway_call_events, gateway, &gateway->call);
}

/* Sends a GatewayMessage, which is freed. */
static inline void gateway_send(struct gateway *gateway, struct buffer *message)
{
	if (gateway->call) {
		(void)!grpc_call_send(gateway->call, buffer_bytes(message));
	}
	buffer_fini(message);
}

static inline void gateway_subscribe(struct gateway *gateway, const char *id)
{
	const struct model_subscription subscription = {
		.id = bytes_of(id), .database = bytes_of("d"), .collection = bytes_of("users")};
	struct buffer message = {0};
	if (wire_subscribe_encode(&message, &subscription) == OK) {
		gateway_send(gateway, &message);
	}
	buffer_fini(&message);
}

static inline void gateway_hello(struct gateway *gateway, const struct model_hello *hello)
{
	struct buffer message = {0};
	if (wire_hello_encode(&message, hello) == OK) {
		gateway_send(gateway, &message);
	}
	buffer_fini(&message);
}

static inline void gateway_heartbeat(struct gateway *gateway, int64_t timestamp_ms)
{
	struct buffer message = {0};
	if (wire_heartbeat_encode(&message,
		    &(struct model_heartbeat){
			    .gateway_id = bytes_of("g"), .timestamp_ms = timestamp_ms}) == OK) {
		gateway_send(gateway, &message);
	}
	buffer_fini(&message);
}

/* `count` subscribes in one message, "<name>0", "<name>1", ... */
static inline void gateway_bulk(
	struct gateway *gateway, uint64_t id, const char *name, unsigned count)
{
	struct buffer requests = {0};
	struct buffer message = {0};
	for (unsigned i = 0; i < count; i++) {
		char one[32];
		(void)snprintf(one, sizeof(one), "%s%u", name, i);
		const struct model_subscription subscription = {.id = bytes_of(one),
			.database = bytes_of("d"),
			.collection = bytes_of("users")};
		assert_int_equal(wire_bulk_append(&requests, &subscription), OK);
	}
	const struct model_bulk bulk = {id, buffer_bytes(&requests)};
	assert_int_equal(wire_bulk_encode(&message, &bulk), OK);
	gateway_send(gateway, &message);
	buffer_fini(&requests);
}

#endif
