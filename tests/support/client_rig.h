/* remote's client and its consumer beside the server of client_server.h: what they ask, what it is
 * made to say, and what comes of it. */
#ifndef TEST_CLIENT_RIG_H
#define TEST_CLIENT_RIG_H

#include "client_server.h"
#include "failing.h"

/* ---- the client ------------------------------------------------------------------------------ */

static inline void rig_nothing(void *ctx)
{
	(void)ctx;
}

static inline void run(struct rig *rig, int64_t us)
{
	sim_run(rig->world.sim, sim_now_us(rig->world.sim) + us);
}

static inline void rig_open(struct rig *rig)
{
	static const struct stream_limits limits = {
		.hard_bytes = SIZE_MAX / 2, .soft_bytes = SIZE_MAX / 2, .soft_us = INT64_MAX};
	*rig = (struct rig){.address = "127.0.0.1:5000"};
	rig->welcome = (struct model_welcome){.version = 1, .resume = MODEL_RESUME_REPLAY};
	world_open(&rig->world, false);
	rig->loop = rig->world.loop;
	rig_listen(rig);
	assert_int_equal(stream_new(&limits, NULL, rig_nothing, NULL, &rig->stream), OK);
	rig->options = (struct remote_client_options){
		.address = rig->address,
		.gateway_id = "g",
		.message_bytes_max = 4 << 20,
		.pause_bytes = 1 << 20,
		.waiting_bytes_max = 4 << 20,
		.heartbeat_us = 30 * SECOND_US,
		.activity_us = 90 * SECOND_US,
		.backoff_min_us = SECOND_US,
		.backoff_max_us = 30 * SECOND_US,
	};
}

static inline enum err try_connect(struct rig *rig)
{
	return remote_client_open(rig->loop, &rig->options, rig->stream, &rig->client);
}

static inline void rig_connect(struct rig *rig)
{
	assert_int_equal(try_connect(rig), OK);
	run(rig, 20000);
	assert_non_null(rig->call);
}

static inline void rig_client_closed(void *ctx)
{
	struct rig *rig = ctx;
	rig->closed++;
}

static inline void rig_close(struct rig *rig)
{
	if (rig->client && rig->closed == 0) {
		remote_client_close(rig->client, rig_client_closed, rig);
		assert_int_equal(rig->closed, 0);
		run(rig, SECOND_US);
		assert_int_equal(rig->closed, 1);
	}
	if (rig->conn) {
		grpc_server_conn_close(rig->conn);
		run(rig, SECOND_US);
	}
	assert_null(rig->conn);
	stream_close(rig->stream);
	stream_unref(rig->stream);
	stream_unref(rig->stream);
	if (rig->listener) {
		rig_hush(rig);
	}
	world_close(&rig->world);
}

/* The server is gone, and after `us` there again. */
static inline void rig_lose(struct rig *rig, int64_t us)
{
	rig_hush(rig);
	grpc_server_conn_close(rig->conn);
	run(rig, us);
	assert_null(rig->conn);
	rig_listen(rig);
}

/* ---- requests -------------------------------------------------------------------------------- */

static inline enum err try_subscribe(struct rig *rig, const char *id, const char *expression)
{
	const struct model_subscription subscription = {.id = bytes_of(id),
		.database = bytes_of("d"),
		.collection = bytes_of("c"),
		.expression = bytes_of(expression)};
	struct buffer message = {0};
	enum err err = wire_subscribe_encode(&message, &subscription);
	if (err == OK) {
		err = remote_client_request(rig->client, buffer_bytes(&message));
	}
	buffer_fini(&message);
	return err;
}

static inline void ask(struct rig *rig, const char *id)
{
	assert_int_equal(try_subscribe(rig, id, NULL), OK);
}

/* Many, "s0" and so on. */
static inline void ask_many(struct rig *rig, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char id[16];
		(void)snprintf(id, sizeof(id), "s%u", i);
		ask(rig, id);
	}
}

/* One whose request is about so large. */
static inline void ask_large(struct rig *rig, const char *id, size_t size)
{
	char *expression = malloc(size + 1);
	assert_non_null(expression);
	memset(expression, 'x', size);
	expression[size] = 0;
	assert_int_equal(try_subscribe(rig, id, expression), OK);
	free(expression);
}

static inline enum err try_unsubscribe(struct rig *rig, const char *id)
{
	struct buffer message = {0};
	enum err err = wire_unsubscribe_encode(&message, bytes_of(id));
	if (err == OK) {
		err = remote_client_request(rig->client, buffer_bytes(&message));
	}
	buffer_fini(&message);
	return err;
}

static inline void take_back(struct rig *rig, const char *id)
{
	assert_int_equal(try_unsubscribe(rig, id), OK);
}

/* ---- what the server says -------------------------------------------------------------------- */

static inline void say(struct rig *rig, struct buffer *message)
{
	assert_int_equal(grpc_call_send(rig->call, buffer_bytes(message)), OK);
	buffer_fini(message);
}

static inline void say_event(
	struct rig *rig, const char *id, const struct model_mark *mark, bool is_bare)
{
	struct event *event = make_event("{\"op\":\"insert\",\"collection\":\"c\"}", 1, true);
	struct bytes encoded = is_bare ? event->encoded_bare : event->encoded;
	char run_bytes[64];
	struct bytes ids = {run_bytes, wire_id_write(bytes_of(id), run_bytes)};
	char *place = NULL;
	size_t size = wire_delivery_size(ids.size, encoded.size, mark);
	assert_int_equal(grpc_call_begin(rig->call, size, &place), OK);
	wire_delivery_write(ids, encoded, mark, place);
	grpc_call_commit(rig->call);
	event_unref(event);
}

static inline void say_marked(struct rig *rig, const char *id, const struct model_mark *mark)
{
	say_event(rig, id, mark, false);
}

static inline void say_delivery(struct rig *rig, const char *id)
{
	say_marked(rig, id, NULL);
}

static inline void say_position(struct rig *rig, const char *position)
{
	const struct model_mark mark = {.position = bytes_of(position)};
	say_marked(rig, "a", &mark);
}

static inline void say_gap(struct rig *rig, const struct model_gap *gap)
{
	struct buffer message = {0};
	assert_int_equal(wire_gap_encode(&message, gap), OK);
	say(rig, &message);
}

/* ---- items ----------------------------------------------------------------------------------- */

static inline struct stream_item peek_item(struct rig *rig, enum stream_item_kind kind)
{
	struct stream_item item;
	assert_int_equal(stream_peek(rig->stream, &item), OK);
	assert_int_equal(item.kind, kind);
	return item;
}

static inline void take(struct rig *rig, enum stream_item_kind kind)
{
	(void)peek_item(rig, kind);
	stream_pop(rig->stream);
}

static inline void take_none(struct rig *rig)
{
	struct stream_item item;
	assert_int_equal(stream_peek(rig->stream, &item), ERR_EMPTY);
}

/* `text`: what it says; NULL: that it is connected. */
static inline void take_state(struct rig *rig, const char *text)
{
	struct stream_item item = peek_item(rig, STREAM_STATE);
	assert_int_equal(item.state, text ? STREAM_RECONNECTING : STREAM_CONNECTED);
	assert_true(bytes_equal(item.text, bytes_of(text)));
	stream_pop(rig->stream);
}

static inline void take_answer(struct rig *rig, const char *id, enum model_refusal refusal)
{
	struct stream_item item = peek_item(rig, STREAM_ANSWER);
	assert_true(bytes_equal(item.answer.id, bytes_of(id)));
	assert_int_equal(item.answer.refusal, refusal);
	stream_pop(rig->stream);
}

static inline void take_end(struct rig *rig, enum err why, const char *text)
{
	struct stream_item item = peek_item(rig, STREAM_END);
	assert_int_equal(item.why, why);
	assert_true(bytes_equal(item.text, bytes_of(text)));
	stream_pop(rig->stream);
	assert_int_equal(stream_peek(rig->stream, &item), ERR_CLOSED);
}

#endif
