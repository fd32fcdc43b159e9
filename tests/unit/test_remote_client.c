/* remote's client through its header, against a server that says what the test wants and may be
 * silent, slow or gone. */
#include "failing.h"
#include "loop_world.h"
#include "make_event.h"
#include "proto.h"
#include "remote.h"

#define SECOND_US INT64_C(1000000)

struct rig {
	struct world world;
	struct loop *loop;
	struct loop_listener *listener;
	struct grpc_server_conn *conn; /* NULL: closed */
	struct grpc_call *call;        /* the newest; NULL: ended */
	bool is_paused;                /* from its beginning a call is not read from */
	bool is_extended;              /* the server says Welcome to a Hello */
	bool is_mute;                  /* the server does not answer what a stream begins with */
	unsigned greetings;            /* of the newest call: Hello, then a heartbeat */
	unsigned messages;             /* that the server got behind them */
	size_t last_size;
	enum grpc_status server_status; /* how the call ended there */

	struct remote_client_options options;
	struct stream *stream;
	struct remote_client *client;
	unsigned closed;
};

/* ---- the server ------------------------------------------------------------------------------ */

/* Hello is answered by a server that knows it, the heartbeat by every one. */
static void greet(struct rig *rig, struct bytes message)
{
	static const struct wire_limits limits = {1, 1, 1};
	static const struct model_welcome welcome = {.version = 1};
	struct arena arena = {0};
	struct wire_gateway_message greeting;
	struct err_info refusal;
	struct buffer answer = {0};
	bool is_first = rig->greetings++ == 0;
	if (wire_gateway_message_parse(message, &limits, &arena, &greeting, &refusal) == OK) {
		assert_int_equal(
			greeting.kind, is_first ? WIRE_GATEWAY_HELLO : WIRE_GATEWAY_HEARTBEAT);
		if (!is_first) {
			(void)!wire_heartbeat_ack_encode(
				&answer, &(struct model_heartbeat_ack){.timestamp_ms = 1});
		} else if (rig->is_extended) {
			(void)!wire_welcome_encode(&answer, &welcome);
		}
	}
	if (answer.size > 0 && !rig->is_mute) {
		(void)!grpc_call_send(rig->call, buffer_bytes(&answer));
	}
	buffer_fini(&answer);
	arena_fini(&arena);
}

static void server_message(void *ctx, struct bytes message)
{
	struct rig *rig = ctx;
	if (rig->greetings < 2) {
		greet(rig, message);
		return;
	}
	rig->messages++;
	rig->last_size = message.size;
}

static void server_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	struct rig *rig = ctx;
	(void)text;
	rig->call = NULL;
	rig->server_status = status;
}

static enum grpc_status accept_call(void *ctx, struct grpc_call *call, struct bytes method)
{
	static const struct grpc_call_events events = {
		.message = server_message, .ended = server_ended};
	struct rig *rig = ctx;
	assert_true(bytes_equal(method, bytes_of(WIRE_STREAMER_STREAM)));
	rig->call = call;
	rig->greetings = 0;
	grpc_call_set_ctx(call, &events, rig);
	grpc_call_pause(call, rig->is_paused);
	return GRPC_OK;
}

static void conn_closed(void *ctx, struct grpc_server_conn *conn)
{
	struct rig *rig = ctx;
	(void)conn;
	rig->conn = NULL;
}

static void accepted(void *ctx, int socket)
{
	static const struct grpc_options options = {.message_bytes_max = 4 << 20};
	struct rig *rig = ctx;
	(void)!grpc_server_conn_open(
		rig->loop, socket, &options, accept_call, conn_closed, rig, &rig->conn);
}

/* ---- the client ------------------------------------------------------------------------------ */

static void nothing(void *ctx)
{
	(void)ctx;
}

static void run(struct rig *rig, int64_t us)
{
	sim_run(rig->world.sim, sim_now_us(rig->world.sim) + us);
}

static void rig_open(struct rig *rig)
{
	static const struct stream_limits limits = {
		.hard_bytes = SIZE_MAX / 2, .soft_bytes = SIZE_MAX / 2, .soft_us = INT64_MAX};
	struct err_info info = {0};
	*rig = (struct rig){0};
	world_open(&rig->world, false);
	rig->loop = rig->world.loop;
	assert_int_equal(
		loop_listen(rig->loop, "127.0.0.1:0", accepted, rig, &rig->listener, &info), OK);
	assert_int_equal(stream_new(&limits, NULL, nothing, NULL, &rig->stream), OK);
	rig->options = (struct remote_client_options){
		.address = loop_listener_address(rig->listener),
		.message_bytes_max = 4 << 20,
		.pause_bytes = 1 << 20,
		.heartbeat_us = 30 * SECOND_US,
		.activity_us = 90 * SECOND_US,
	};
}

static enum err try_connect(struct rig *rig)
{
	return remote_client_open(rig->loop, &rig->options, rig->stream, &rig->client);
}

static void rig_connect(struct rig *rig)
{
	assert_int_equal(try_connect(rig), OK);
	run(rig, 20000);
	assert_non_null(rig->call);
}

static void client_closed(void *ctx)
{
	struct rig *rig = ctx;
	rig->closed++;
}

static void rig_close(struct rig *rig)
{
	if (rig->client && rig->closed == 0) {
		remote_client_close(rig->client, client_closed, rig);
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
	loop_listener_free(rig->listener);
	world_close(&rig->world);
}

static struct stream_item next_item(struct rig *rig, enum stream_item_kind kind)
{
	struct stream_item item;
	assert_int_equal(stream_peek(rig->stream, &item), OK);
	assert_int_equal(item.kind, kind);
	stream_pop(rig->stream);
	return item;
}

static void check_end(struct rig *rig, enum err why, const char *text)
{
	struct stream_item item = next_item(rig, STREAM_END);
	assert_int_equal(item.why, why);
	if (text) {
		assert_true(bytes_equal(item.text, bytes_of(text)));
	}
	assert_int_equal(stream_peek(rig->stream, &item), ERR_CLOSED);
}

static void say(struct rig *rig, struct buffer *message)
{
	assert_int_equal(grpc_call_send(rig->call, buffer_bytes(message)), OK);
	buffer_fini(message);
}

static void say_delivery(struct rig *rig, const char *id)
{
	struct event *event = make_event("{\"op\":\"insert\",\"collection\":\"c\"}", 1, true);
	char run_bytes[64];
	struct bytes ids = {run_bytes, wire_id_write(bytes_of(id), run_bytes)};
	char *place = NULL;
	size_t size = wire_delivery_size(ids.size, event->encoded.size, NULL);
	assert_int_equal(grpc_call_begin(rig->call, size, &place), OK);
	wire_delivery_write(ids, event->encoded, NULL, place);
	grpc_call_commit(rig->call);
	event_unref(event);
}

static enum err request_of(struct rig *rig, size_t size)
{
	char *bytes = calloc(1, size);
	assert_non_null(bytes);
	enum err err = remote_client_request(rig->client, (struct bytes){bytes, size});
	free(bytes);
	return err;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void what_comes_is_queued(void **state)
{
	const struct model_answer answer = {
		.id = bytes_of("a"), .refusal = MODEL_REFUSED_LIMIT, .text = bytes_of("no more")};
	struct rig rig;
	struct buffer message = {0};
	(void)state;
	rig_open(&rig);
	rig_connect(&rig);
	say_delivery(&rig, "a");
	assert_int_equal(wire_answer_encode(&message, &answer), OK);
	say(&rig, &message);
	assert_int_equal(wire_heartbeat_ack_encode(
				 &message, &(struct model_heartbeat_ack){.timestamp_ms = 1}),
		OK);
	say(&rig, &message);
	proto_unknown(&message);
	say(&rig, &message);
	run(&rig, 20000);
	struct stream_item item;
	assert_int_equal(stream_peek(rig.stream, &item), OK);
	assert_int_equal(item.kind, STREAM_STATE);
	assert_int_equal(item.state, STREAM_CONNECTED);
	stream_pop(rig.stream);
	assert_int_equal(stream_peek(rig.stream, &item), OK);
	assert_int_equal(item.kind, STREAM_ANSWER);
	assert_int_equal(item.answer.refusal, MODEL_REFUSED_LIMIT);
	assert_true(bytes_equal(item.answer.text, bytes_of("no more")));
	stream_pop(rig.stream);
	assert_int_equal(stream_peek(rig.stream, &item), OK);
	assert_int_equal(item.kind, STREAM_DELIVERY);
	assert_int_equal(item.ids_count, 1);
	assert_true(item.event->encoded.size > 0);
	stream_pop(rig.stream);
	assert_int_equal(stream_peek(rig.stream, &item), ERR_EMPTY);
	rig_close(&rig);
}

static void ends_are_told(void **state)
{
	static const struct {
		enum grpc_status status;
		enum err why;
		const char *text;
	} cases[] = {
		{GRPC_OK, ERR_CLOSED, "OK: so it is"},
		{GRPC_UNAVAILABLE, ERR_UNAVAILABLE, "UNAVAILABLE: so it is"},
		{GRPC_RESOURCE_EXHAUSTED, ERR_LIMIT, "RESOURCE_EXHAUSTED: so it is"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig rig;
		rig_open(&rig);
		rig_connect(&rig);
		say_delivery(&rig, "a");
		grpc_call_finish(rig.call, cases[i].status, "so it is");
		run(&rig, 20000);
		(void)next_item(&rig, STREAM_STATE);
		(void)next_item(&rig, STREAM_DELIVERY);
		check_end(&rig, cases[i].why, cases[i].text);
		assert_int_equal(request_of(&rig, 1), ERR_CLOSED);
		rig_close(&rig);
	}
}

static void a_malformed_message_ends_it(void **state)
{
	struct rig rig;
	struct buffer message = {0};
	(void)state;
	rig_open(&rig);
	rig_connect(&rig);
	proto_raw(&message, RAW("\x0a\x05no"));
	say(&rig, &message);
	run(&rig, 20000);
	(void)next_item(&rig, STREAM_STATE);
	check_end(&rig, ERR_CORRUPT, NULL);
	assert_null(rig.call);
	rig_close(&rig);
}

static void nobody_listens(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.options.address = "127.0.0.1:9";
	assert_int_equal(try_connect(&rig), OK);
	run(&rig, SECOND_US);
	check_end(&rig, ERR_UNAVAILABLE, "cannot connect to 127.0.0.1:9");
	rig_close(&rig);
}

static void a_lost_connection_is_told(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_connect(&rig);
	grpc_server_conn_close(rig.conn);
	run(&rig, SECOND_US);
	(void)next_item(&rig, STREAM_STATE);
	struct stream_item item = next_item(&rig, STREAM_END);
	assert_true(item.why != OK);
	rig_close(&rig);
}

/* Heartbeats are sent; a Streamer that says nothing for long is dead. */
static void silence_ends_it(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_connect(&rig);
	run(&rig, 31 * SECOND_US);
	assert_int_equal(rig.messages, 1);
	struct buffer message = {0};
	assert_int_equal(wire_heartbeat_ack_encode(
				 &message, &(struct model_heartbeat_ack){.timestamp_ms = 1}),
		OK);
	say(&rig, &message);
	run(&rig, 85 * SECOND_US);
	assert_int_equal(rig.messages, 3);
	assert_non_null(rig.call);
	run(&rig, 60 * SECOND_US);
	(void)next_item(&rig, STREAM_STATE);
	check_end(&rig, ERR_TIMEOUT, "the Streamer is silent");
	assert_null(rig.call);
	rig_close(&rig);
}

/* While much is queued nothing is read, and that is no silence of the Streamer's. */
static void a_full_queue_holds_it_back(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.options.pause_bytes = 200;
	rig_connect(&rig);
	for (int i = 0; i < 100; i++) {
		say_delivery(&rig, "a");
	}
	run(&rig, 500 * SECOND_US);
	assert_true(remote_client_is_paused(rig.client));
	assert_true(stream_queued_bytes(rig.stream) < 1000);
	(void)next_item(&rig, STREAM_STATE);
	size_t count = 0;
	while (count < 100) {
		struct stream_item item;
		if (stream_peek(rig.stream, &item) == OK) {
			assert_int_equal(item.kind, STREAM_DELIVERY);
			stream_pop(rig.stream);
			count++;
		} else {
			assert_true(remote_client_is_paused(rig.client));
			remote_client_resume(rig.client);
			run(&rig, 20000);
		}
	}
	rig_close(&rig);
}

/* A Streamer that shuts down sends what it has and closes: none of it is lost to a held client. */
static void what_has_come_outlives_the_connection(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.options.pause_bytes = 200;
	rig_connect(&rig);
	for (int i = 0; i < 100; i++) {
		say_delivery(&rig, "a");
	}
	grpc_call_finish(rig.call, GRPC_UNAVAILABLE, "shutting down");
	grpc_server_conn_drain(rig.conn);
	run(&rig, SECOND_US);
	assert_null(rig.conn);
	(void)next_item(&rig, STREAM_STATE);
	for (int i = 0; i < 100; i++) {
		(void)next_item(&rig, STREAM_DELIVERY);
	}
	check_end(&rig, ERR_UNAVAILABLE, "UNAVAILABLE: shutting down");
	rig_close(&rig);
}

/* More than the call takes waits its turn. */
static void requests_wait_in_line(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.is_paused = true;
	rig_connect(&rig);
	for (size_t i = 0; i < 40; i++) {
		assert_int_equal(request_of(&rig, 100000 + i), OK);
	}
	run(&rig, SECOND_US);
	assert_int_equal(rig.messages, 0);
	grpc_call_pause(rig.call, false);
	run(&rig, SECOND_US);
	assert_int_equal(rig.messages, 40);
	assert_int_equal(rig.last_size, 100039);
	rig_close(&rig);
}

/* A request that waited and then finds no memory does not wait for ever: the stream ends. */
static bool try_waiting(size_t fail_at)
{
	struct rig rig;
	struct failing failing;
	struct stream_item item;
	rig_open(&rig);
	rig_connect(&rig);
	assert_int_equal(request_of(&rig, 200000), OK);
	assert_int_equal(request_of(&rig, 900000), OK); /* larger than the call's whole buffer */
	assert_int_equal(request_of(&rig, 5), OK);
	failing_start(&failing, fail_at);
	run(&rig, SECOND_US);
	bool has_struck = failing_stop(&failing);
	bool has_arrived = rig.messages == 3;
	(void)next_item(&rig, STREAM_STATE);
	bool has_ended = stream_peek(rig.stream, &item) == OK && item.kind == STREAM_END;
	assert_true(has_arrived || has_ended);
	assert_true(has_struck || has_arrived);
	rig_close(&rig);
	return has_struck;
}

static void a_waiting_request_finds_no_memory(void **state)
{
	size_t fail_at = 0;
	(void)state;
	while (try_waiting(fail_at)) {
		fail_at++;
	}
	assert_true(fail_at > 3);
}

/* `closed` comes in a later turn, however little memory there is. */
static void closing_needs_no_memory(void **state)
{
	struct rig rig;
	struct failing failing;
	(void)state;
	rig_open(&rig);
	rig_connect(&rig);
	grpc_call_finish(rig.call, GRPC_OK, "");
	run(&rig, SECOND_US); /* the connection is gone */
	failing_start(&failing, 0);
	remote_client_close(rig.client, client_closed, &rig);
	(void)failing_stop(&failing);
	assert_int_equal(rig.closed, 0);
	run(&rig, 20000);
	assert_int_equal(rig.closed, 1);
	rig_close(&rig);
}

static enum err subscribe_by_expression(struct rig *rig)
{
	const struct model_subscription subscription = {.id = bytes_of("x"),
		.database = bytes_of("d"),
		.collection = bytes_of("c"),
		.expression = bytes_of("age > 18")};
	return remote_client_subscribe(rig->client, &subscription);
}

/* A server of the original would deliver the whole collection. */
static void an_original_is_sent_no_expression(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	assert_int_equal(try_connect(&rig), OK);
	assert_int_equal(subscribe_by_expression(&rig), OK); /* before anybody has answered */
	assert_int_equal(remote_client_unsubscribe(rig.client, bytes_of("y")), OK);
	run(&rig, SECOND_US);
	assert_int_equal(subscribe_by_expression(&rig), OK);
	run(&rig, SECOND_US);
	assert_int_equal(rig.messages, 1); /* the unsubscribe */
	(void)next_item(&rig, STREAM_STATE);
	for (int i = 0; i < 2; i++) {
		struct stream_item item;
		assert_int_equal(stream_peek(rig.stream, &item), OK);
		assert_int_equal(item.kind, STREAM_ANSWER);
		assert_int_equal(item.answer.refusal, MODEL_REFUSED_EXPRESSION);
		assert_true(bytes_equal(item.answer.id, bytes_of("x")));
		stream_pop(rig.stream);
	}
	rig_close(&rig);
}

static void expressions_follow_the_welcome(void **state)
{
	struct rig rig;
	struct stream_item item;
	(void)state;
	rig_open(&rig);
	rig.is_extended = true;
	assert_int_equal(try_connect(&rig), OK);
	assert_int_equal(subscribe_by_expression(&rig), OK);
	run(&rig, SECOND_US);
	assert_int_equal(rig.messages, 1);
	(void)next_item(&rig, STREAM_STATE);
	assert_int_equal(stream_peek(rig.stream, &item), ERR_EMPTY);
	rig_close(&rig);
}

static void who_does_not_answer_gets_nothing(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.is_mute = true;
	rig_connect(&rig);
	assert_int_equal(remote_client_unsubscribe(rig.client, bytes_of("y")), OK);
	run(&rig, 60 * SECOND_US);
	assert_int_equal(rig.messages, 0);
	rig_close(&rig);
}

static void notices_and_gaps_are_queued(void **state)
{
	const struct model_notice notice = {.subscription_id = bytes_of("x"),
		.code = MODEL_NOTICE_STOPPED,
		.text = bytes_of("t")};
	const struct model_gap gap = {
		.after = bytes_of("p"), .reason = MODEL_GAP_SOURCE, .events = 3};
	struct rig rig;
	struct buffer message = {0};
	struct stream_item item;
	(void)state;
	rig_open(&rig);
	rig.is_extended = true;
	rig_connect(&rig);
	assert_int_equal(wire_gap_encode(&message, &gap), OK);
	say(&rig, &message);
	assert_int_equal(wire_notice_encode(&message, &notice), OK);
	say(&rig, &message);
	run(&rig, 20000);
	(void)next_item(&rig, STREAM_STATE);
	assert_int_equal(stream_peek(rig.stream, &item), OK);
	assert_int_equal(item.kind, STREAM_NOTICE); /* ahead of what stands among deliveries */
	assert_int_equal(item.notice.code, MODEL_NOTICE_STOPPED);
	assert_true(bytes_equal(item.notice.text, bytes_of("t")));
	struct bytes id;
	assert_true(wire_id_next(&item.run, &id) && bytes_equal(id, bytes_of("x")));
	stream_pop(rig.stream);
	assert_int_equal(stream_peek(rig.stream, &item), OK);
	assert_int_equal(item.kind, STREAM_GAP);
	assert_int_equal(item.gap.reason, MODEL_GAP_SOURCE);
	assert_int_equal(item.gap.events, 3);
	assert_true(bytes_equal(item.gap.after, bytes_of("p")));
	stream_pop(rig.stream);
	rig_close(&rig);
}

static bool try_life(size_t fail_at)
{
	const struct model_subscription subscription = {
		.id = bytes_of("a"), .database = bytes_of("d"), .collection = bytes_of("c")};
	struct rig rig;
	struct failing failing;
	rig_open(&rig);
	failing_start(&failing, fail_at);
	if (try_connect(&rig) == OK) {
		(void)!remote_client_subscribe(rig.client, &subscription);
		(void)!remote_client_unsubscribe(rig.client, bytes_of("a"));
		run(&rig, 20000);
		if (rig.call) {
			(void)!grpc_call_send(rig.call, RAW("\x12\x02\x08\x01"));
		}
		run(&rig, 40 * SECOND_US);
	}
	bool has_struck = failing_stop(&failing);
	assert_true(has_struck || rig.messages == 3);
	rig_close(&rig);
	return has_struck;
}

static void survives_each_failure(void **state)
{
	size_t fail_at = 0;
	(void)state;
	while (try_life(fail_at)) {
		fail_at++;
	}
	assert_true(fail_at > 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_is_queued),
		cmocka_unit_test(ends_are_told),
		cmocka_unit_test(a_malformed_message_ends_it),
		cmocka_unit_test(nobody_listens),
		cmocka_unit_test(a_lost_connection_is_told),
		cmocka_unit_test(silence_ends_it),
		cmocka_unit_test(a_full_queue_holds_it_back),
		cmocka_unit_test(what_has_come_outlives_the_connection),
		cmocka_unit_test(requests_wait_in_line),
		cmocka_unit_test(a_waiting_request_finds_no_memory),
		cmocka_unit_test(closing_needs_no_memory),
		cmocka_unit_test(an_original_is_sent_no_expression),
		cmocka_unit_test(expressions_follow_the_welcome),
		cmocka_unit_test(who_does_not_answer_gets_nothing),
		cmocka_unit_test(notices_and_gaps_are_queued),
		cmocka_unit_test(survives_each_failure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
