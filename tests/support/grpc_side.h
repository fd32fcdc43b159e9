/*
 * One side of a call in a pair of sessions (grpc_pair.h): it sends, echoes or only receives, and
 * checks that messages come in order, unharmed, and that the end comes once and last.
 */
#ifndef TEST_GRPC_SIDE_H
#define TEST_GRPC_SIDE_H

#include "grpc.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SIDES_MAX 256

enum side_kind { SIDE_SINK, SIDE_ECHO, SIDE_SOURCE };

struct side {
	struct pair *pair;
	struct grpc_call *call; /* NULL after the end */
	enum side_kind kind;
	bool is_server;
	unsigned received, echoed, sent, to_send; /* messages */
	size_t bytes, message_size;
	unsigned pause_each;   /* pauses after each so many messages; 0: never */
	unsigned cancel_after; /* cancels after so many messages; 0: never */
	unsigned started, half_closed, writable, ended;
	bool finish_when_sent, is_paused;
	enum grpc_status status;
	char text[4000];
};

struct pair {
	struct grpc_session *client, *server;
	struct test_random random;
	size_t chunk_max;
	int64_t now_us;
	struct side sides[SIDES_MAX];
	unsigned side_count;
	struct side model; /* what a new server side is like */
	enum grpc_status refuse;
	enum err client_err, server_err; /* of the last input */
	struct buffer *record;           /* if not NULL: what the client sends */
	struct buffer *record_back;      /* what the server sends */
	bool client_is_deaf;             /* the server's output stays where it is */
	unsigned rings;
	bool is_lenient; /* messages may be anything */
};

static inline void side_fill(char *place, unsigned number, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		place[i] = (char)((size_t)number * 31 + i * 7);
	}
}

static inline bool side_is_filled(struct bytes message, unsigned number)
{
	for (size_t i = 0; i < message.size; i++) {
		if (message.data[i] != (char)((size_t)number * 31 + i * 7)) {
			return false;
		}
	}
	return true;
}

static inline struct side *side_new(struct pair *pair)
{
	assert_true(pair->side_count < SIDES_MAX);
	return &pair->sides[pair->side_count++];
}

/* Sends what it has, until the buffer is full. */
static inline void side_push(struct side *side)
{
	while (side->call && side->sent < side->to_send) {
		char *place = NULL;
		enum err err = grpc_call_begin(side->call, side->message_size, &place);
		if (err == ERR_FULL || err == ERR_MEMORY) {
			return;
		}
		if (err == ERR_CLOSED) {
			return;
		}
		assert_int_equal(err, OK);
		side_fill(place, side->sent, side->message_size);
		grpc_call_commit(side->call);
		side->sent++;
	}
	if (side->call && side->finish_when_sent) {
		grpc_call_finish(side->call, GRPC_OK, NULL);
	}
}

static inline void side_message(void *ctx, struct bytes message)
{
	struct side *side = ctx;
	assert_int_equal(side->ended, 0);
	assert_int_equal(side->half_closed, 0);
	assert_false(side->is_paused);
	assert_true(side->pair->is_lenient || side_is_filled(message, side->received));
	side->received++;
	side->bytes += message.size;
	if (side->kind == SIDE_ECHO) {
		side->to_send = side->received;
		side->message_size = message.size;
		side_push(side);
	}
	if (side->cancel_after && side->received == side->cancel_after) {
		grpc_call_cancel(side->call, GRPC_CANCELLED, "enough");
		assert_int_equal(side->ended, 0);
	} else if (side->pause_each && side->received % side->pause_each == 0) {
		side->is_paused = true;
		grpc_call_pause(side->call, true);
	}
}

static inline void side_started(void *ctx)
{
	struct side *side = ctx;
	assert_int_equal(side->received + side->ended, 0);
	side->started++;
}

static inline void side_half_closed(void *ctx)
{
	struct side *side = ctx;
	assert_int_equal(side->ended, 0);
	side->half_closed++;
	side->finish_when_sent = true;
	side_push(side);
	if (side->sent < side->to_send) {
		return;
	}
	grpc_call_finish(side->call, GRPC_OK, NULL);
}

static inline void side_writable(void *ctx)
{
	struct side *side = ctx;
	assert_int_equal(side->ended, 0);
	side->writable++;
	side_push(side);
}

static inline void side_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	struct side *side = ctx;
	side->ended++;
	assert_int_equal(side->ended, 1);
	assert_true(bytes_are_utf8(text));
	side->status = status;
	side->call = NULL;
	assert_true(text.size < sizeof side->text);
	if (text.size > 0) {
		memcpy(side->text, text.data, text.size);
	}
}

static const struct grpc_call_events side_events = {
	side_message,
	side_started,
	side_half_closed,
	side_writable,
	side_ended,
};

#endif
