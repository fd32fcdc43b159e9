/*
 * remote's client against a server that says what the test wants and may be silent, slow, gone or
 * back again. What the newest call was told stands in `said`, a word each:
 *   hello hello@POSITION +ID -ID bulk:COUNT:FIRST:LAST registered
 * Heartbeats are counted. Subscribes are answered, those whose ids begin with '!' by a refusal.
 */
#ifndef TEST_CLIENT_SERVER_H
#define TEST_CLIENT_SERVER_H

#include "loop_world.h"
#include "make_event.h"
#include "proto.h"
#include "remote.h"

#include <stdio.h>

#define SECOND_US INT64_C(1000000)
#define CALLS_MAX 256

struct rig {
	struct world world;
	struct loop *loop;
	struct loop_listener *listener; /* NULL: nobody is there */
	char address[64];
	struct grpc_server_conn *conn; /* NULL: closed */
	struct grpc_call *call;        /* the newest; NULL: ended */

	bool is_shut;        /* connections are closed at once */
	bool is_original;    /* the server does not know a Hello */
	bool is_mute;        /* it answers nothing */
	bool is_withholding; /* it does not answer what it is asked for */
	struct model_welcome welcome;
	const char *ack_position;

	char said[1024];
	unsigned heartbeats;
	unsigned subscribes; /* over all calls, those in bulks too */
	uint64_t registered; /* of "s0" to "s63", those that the newest call has accepted */
	bool has_doubled;    /* one of them was asked for though it was there */
	enum grpc_status server_status; /* how the call ended there */
	unsigned connects;
	int64_t connect_us[CALLS_MAX];

	struct remote_client_options options;
	struct stream *stream;
	struct remote_client *client;
	unsigned closed;
};

static inline void rig_note(struct rig *rig, const char *format, ...) PRINTF_LIKE(2, 3);
static inline void rig_note(struct rig *rig, const char *format, ...)
{
	size_t size = strlen(rig->said);
	va_list arguments;
	if (size + 64 > sizeof(rig->said)) {
		return; /* more than a test reads */
	}
	size += (size_t)snprintf(
		rig->said + size, sizeof(rig->said) - size, "%s", size > 0 ? " " : "");
	va_start(arguments, format);
	(void)vsnprintf(rig->said + size, sizeof(rig->said) - size, format, arguments);
	va_end(arguments);
}

static inline struct model_answer rig_answer_to(struct bytes id)
{
	bool is_refused = id.size > 0 && id.data[0] == '!';
	return (struct model_answer){.id = id,
		.refusal = is_refused ? MODEL_REFUSED_LIMIT : MODEL_ACCEPTED,
		.text = bytes_of(is_refused ? "no more" : ""),
		.live_after = bytes_of("never-to-be-used")};
}

static inline uint64_t rig_bit(struct bytes id)
{
	char text[8];
	(void)snprintf(text, sizeof(text), "%.*s", BYTES_FORMAT(id));
	return text[0] == 's' ? UINT64_C(1) << (strtoul(text + 1, NULL, 10) & 63) : 0;
}

static inline void rig_register(struct rig *rig, struct bytes id)
{
	uint64_t bit = rig_bit(id);
	rig->subscribes++;
	rig->has_doubled = rig->has_doubled || (rig->registered & bit) != 0;
	rig->registered |= bit;
}

static inline enum err rig_answer_bulk(
	struct rig *rig, const struct model_bulk *bulk, struct buffer *answer)
{
	static const struct wire_limits limits = {1, 1, 1};
	struct model_bulk_answer bulk_answer = {
		.id = bulk->id, .live_after = bytes_of("never-to-be-used")};
	struct model_subscription one;
	struct bytes rest = bulk->requests;
	struct arena arena = {0};
	struct err_info refusal;
	struct buffer refused = {0};
	char first[32] = "";
	char last[32] = "";
	unsigned count = 0;
	enum err err;
	while ((err = wire_bulk_next(&rest, &limits, &arena, &one, &refusal)) == OK) {
		struct model_answer own = rig_answer_to(one.id);
		(void)snprintf(last, sizeof(last), "%.*s", BYTES_FORMAT(one.id));
		rig_register(rig, one.id);
		if (count++ == 0) {
			memcpy(first, last, sizeof(first));
		}
		if (own.refusal != MODEL_ACCEPTED && wire_bulk_refuse(&refused, &own) != OK) {
			break;
		}
	}
	rig_note(rig, "bulk:%u:%s:%s", count, first, last);

	bulk_answer.accepted = count;
	bulk_answer.refused = buffer_bytes(&refused);
	if (err == ERR_EMPTY) {
		err = rig->is_withholding ? OK : wire_bulk_answer_encode(answer, &bulk_answer);
	}
	buffer_fini(&refused);
	arena_fini(&arena);
	return err;
}

static inline enum err rig_take(
	struct rig *rig, const struct wire_gateway_message *message, struct buffer *answer)
{
	struct model_answer own = rig_answer_to(message->subscription.id);
	struct model_heartbeat_ack ack = {
		.timestamp_ms = 1, .position = bytes_of(rig->ack_position)};
	switch (message->kind) {
	case WIRE_GATEWAY_HELLO:
		assert_true(bytes_equal(message->hello.gateway_id, bytes_of("g")));
		assert_int_equal(message->hello.message_bytes_max, 4 << 20);
		rig_note(rig, message->hello.after.size > 0 ? "hello@%.*s" : "hello%.*s",
			BYTES_FORMAT(message->hello.after));
		return rig->is_original ? OK : wire_welcome_encode(answer, &rig->welcome);
	case WIRE_GATEWAY_HEARTBEAT:
		rig->heartbeats++;
		if (message->heartbeat.registered) {
			rig_note(rig, "registered");
		}
		return wire_heartbeat_ack_encode(answer, &ack);
	case WIRE_GATEWAY_SUBSCRIBE:
		rig_register(rig, own.id);
		rig_note(rig, "+%.*s", BYTES_FORMAT(own.id));
		return rig->is_withholding ? OK : wire_answer_encode(answer, &own);
	case WIRE_GATEWAY_UNSUBSCRIBE:
		rig_note(rig, "-%.*s", BYTES_FORMAT(message->unsubscribe_id));
		rig->registered &= ~rig_bit(message->unsubscribe_id);
		break;
	case WIRE_GATEWAY_BULK:
		return rig_answer_bulk(rig, &message->bulk, answer);
	case WIRE_GATEWAY_NOTHING:
		break;
	}
	return OK;
}

/* Without memory for an answer the call ends: none may be left out. */
static inline void rig_server_message(void *ctx, struct bytes bytes)
{
	static const struct wire_limits limits = {1, 1, 1};
	struct rig *rig = ctx;
	struct arena arena = {0};
	struct wire_gateway_message message;
	struct err_info refusal;
	struct buffer answer = {0};
	enum err err = wire_gateway_message_parse(bytes, &limits, &arena, &message, &refusal);
	if (err == OK) {
		err = rig_take(rig, &message, &answer);
	}
	if (err == OK && answer.size > 0 && !rig->is_mute) {
		err = grpc_call_send(rig->call, buffer_bytes(&answer));
	}
	if (err != OK) {
		grpc_call_finish(rig->call, GRPC_UNAVAILABLE, err_text(err));
	}
	buffer_fini(&answer);
	arena_fini(&arena);
}

static inline void rig_server_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	struct rig *rig = ctx;
	(void)text;
	rig->call = NULL;
	rig->server_status = status;
}

static inline enum grpc_status rig_accept_call(
	void *ctx, struct grpc_call *call, struct bytes method)
{
	static const struct grpc_call_events events = {
		.message = rig_server_message, .ended = rig_server_ended};
	struct rig *rig = ctx;
	assert_true(bytes_equal(method, bytes_of(WIRE_STREAMER_STREAM)));
	rig->call = call;
	rig->said[0] = 0;
	rig->heartbeats = 0;
	rig->registered = 0;
	grpc_call_set_ctx(call, &events, rig);
	return GRPC_OK;
}

static inline void rig_conn_closed(void *ctx, struct grpc_server_conn *conn)
{
	struct rig *rig = ctx;
	if (rig->conn == conn) {
		rig->conn = NULL;
	}
}

static inline void rig_accepted(void *ctx, int socket)
{
	static const struct grpc_options options = {.message_bytes_max = 4 << 20};
	struct rig *rig = ctx;
	rig->connect_us[rig->connects++ % CALLS_MAX] = loop_now_us(rig->loop);
	if (rig->is_shut) {
		loop_socket_close(rig->loop, socket);
		return;
	}
	(void)!grpc_server_conn_open(
		rig->loop, socket, &options, rig_accept_call, rig_conn_closed, rig, &rig->conn);
}

static inline void rig_listen(struct rig *rig)
{
	struct err_info info = {0};
	assert_int_equal(
		loop_listen(rig->loop, rig->address, rig_accepted, rig, &rig->listener, &info), OK);
}

static inline void rig_hush(struct rig *rig)
{
	loop_listener_free(rig->listener);
	rig->listener = NULL;
}

#endif
