/*
 * A Puller made of grpc's server calls, that has a log of changes and resumes as the original does.
 * A marker here is "m<number>": so many changes of the log have been sent.
 */
#ifndef TEST_FAKE_PULLER_H
#define TEST_FAKE_PULLER_H

#include "grpc.h"
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FAKE_LOG_MAX = 64, FAKE_CALLS_MAX = 64 };

struct fake_call {
	struct fake_puller *puller;
	struct grpc_call *call; /* NULL: over */
	char consumer_id[64], after[64];
	bool coalesce, half_closed;
	size_t next; /* of the log */
};

struct fake_puller {
	struct loop *loop;
	const char *address;
	struct loop_listener *listener;
	struct grpc_server_conn *conn; /* the newest */
	unsigned conns_open;
	struct model_change log[FAKE_LOG_MAX];
	size_t log_count, live_from; /* `after` empty begins here */
	bool is_manual;              /* sends nothing by itself */
	enum grpc_status refuse;     /* ends each call at once */
	const char *refuse_text;
	struct fake_call calls[FAKE_CALLS_MAX];
	size_t calls_count;
};

static inline enum err fake_call_send(
	struct fake_call *call, const struct model_change *change, const char *marker)
{
	struct buffer buffer = {0};
	struct model_source_message message = {.marker = bytes_of(marker)};
	if (change) {
		message.has_change = true;
		message.change = *change;
	}
	enum err err = wire_source_message_encode(&buffer, &message);
	if (!err) {
		err = grpc_call_send(call->call, buffer_bytes(&buffer));
	}
	buffer_fini(&buffer);
	return err;
}

/* What the subscriber has not had yet. A lack on this side costs it the call. */
static inline void fake_call_go_on(struct fake_call *call)
{
	struct fake_puller *puller = call->puller;
	enum err err = OK;
	while (!err && call->call && call->half_closed && !puller->is_manual &&
		call->next < puller->log_count) {
		char marker[32];
		(void)snprintf(marker, sizeof marker, "m%zu", call->next + 1);
		err = fake_call_send(call, &puller->log[call->next], marker);
		call->next += err ? 0 : 1;
	}
	if (err && err != ERR_FULL && call->call) {
		grpc_call_cancel(call->call, GRPC_UNAVAILABLE, "lack");
	}
}

static inline void fake_call_message(void *ctx, struct bytes bytes)
{
	struct fake_call *call = ctx;
	struct wire_puller_request request = {0};
	assert_int_equal(wire_puller_request_parse(bytes, &request), OK);
	(void)snprintf(call->consumer_id, sizeof call->consumer_id, "%.*s",
		BYTES_FORMAT(request.consumer_id));
	(void)snprintf(call->after, sizeof call->after, "%.*s", BYTES_FORMAT(request.after));
	call->coalesce = request.coalesce;
	if (strcmp(call->after, "e30") == 0) {
		call->next = 0;
	} else if (call->after[0] == 'm') {
		call->next = strtoul(call->after + 1, NULL, 10);
	} else {
		call->next = call->puller->live_from;
	}
}

static inline void fake_call_half_closed(void *ctx)
{
	struct fake_call *call = ctx;
	call->half_closed = true;
	if (call->puller->refuse) {
		grpc_call_finish(call->call, call->puller->refuse, call->puller->refuse_text);
		return;
	}
	fake_call_go_on(call);
}

static inline void fake_call_writable(void *ctx)
{
	fake_call_go_on(ctx);
}

static inline void fake_call_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	struct fake_call *call = ctx;
	(void)status;
	(void)text;
	call->call = NULL;
}

static const struct grpc_call_events fake_call_events = {
	.message = fake_call_message,
	.half_closed = fake_call_half_closed,
	.writable = fake_call_writable,
	.ended = fake_call_ended,
};

static inline enum grpc_status fake_accept(void *ctx, struct grpc_call *call, struct bytes method)
{
	struct fake_puller *puller = ctx;
	if (!bytes_equal(method, bytes_of(WIRE_PULLER_SUBSCRIBE))) {
		return GRPC_UNIMPLEMENTED;
	}
	assert_true(puller->calls_count < FAKE_CALLS_MAX);
	struct fake_call *mine = &puller->calls[puller->calls_count++];
	*mine = (struct fake_call){.puller = puller, .call = call};
	grpc_call_set_ctx(call, &fake_call_events, mine);
	return GRPC_OK;
}

static inline void fake_conn_closed(void *ctx, struct grpc_server_conn *conn)
{
	struct fake_puller *puller = ctx;
	puller->conns_open--;
	if (puller->conn == conn) {
		puller->conn = NULL;
	}
}

static inline void fake_accepted(void *ctx, int socket)
{
	struct fake_puller *puller = ctx;
	const struct grpc_options options = {.message_bytes_max = 1 << 20};
	struct grpc_server_conn *conn = NULL;
	if (grpc_server_conn_open(puller->loop, socket, &options, fake_accept, fake_conn_closed,
		    puller, &conn) == OK) {
		puller->conn = conn;
		puller->conns_open++;
		assert_int_equal(puller->conns_open, 1); /* one at a time */
	}
}

static inline void fake_listen(struct fake_puller *puller)
{
	assert_int_equal(loop_listen(puller->loop, puller->address, fake_accepted, puller,
				 &puller->listener, NULL),
		OK);
}

/* The newest call, which must be there. */
static inline struct fake_call *fake_call_of(struct fake_puller *puller)
{
	assert_true(puller->calls_count > 0);
	struct fake_call *call = &puller->calls[puller->calls_count - 1];
	assert_non_null(call->call);
	return call;
}

static inline void fake_send(
	struct fake_puller *puller, const struct model_change *change, const char *marker)
{
	assert_int_equal(fake_call_send(fake_call_of(puller), change, marker), OK);
}

#endif
