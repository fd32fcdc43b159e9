/* remote's server through its header: what each kind of message comes to, in which order things
 * leave, and how a stream ends. Its client is in test_remote_client.c. */
#include "remote_rig.h"
#include "subscribe.h"

static void answers_overtake_deliveries(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	(void)state;
	rig_open(&rig);
	rig_serve(&rig);
	rig.first = make_event("{\"op\":\"insert\",\"collection\":\"users\",\"data\":{}}", 1, true);
	gateway_open(&rig, &gateway);
	gateway_subscribe(&gateway, "a");
	gateway_heartbeat(&gateway, 77);
	rig_run(&rig, 20000);
	/* Both requests come in one turn, so both are answered before the first delivery. */
	assert_int_equal(gateway.said_count, 5);
	assert_int_equal(gateway.said[0].kind, WIRE_STREAMER_ANSWER);
	assert_string_equal(gateway.said[0].id, "a");
	assert_int_equal(gateway.said[1].kind, WIRE_STREAMER_HEARTBEAT_ACK);
	assert_int_equal(gateway.said[1].timestamp_ms, 77);
	for (unsigned i = 2; i < 5; i++) {
		assert_int_equal(gateway.said[i].kind, WIRE_STREAMER_DELIVERY);
		assert_string_equal(gateway.said[i].id, "first0");
		assert_int_equal(gateway.said[i].ids, 1);
	}
	gateway_close(&rig, &gateway);
	rig_close(&rig);
}

static void requests_reach_the_engine(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	struct buffer message = {0};
	(void)state;
	rig_open(&rig);
	rig_serve(&rig);
	gateway_open(&rig, &gateway);
	gateway_subscribe(&gateway, ""); /* an id is made up */
	assert_int_equal(wire_unsubscribe_encode(&message, bytes_of("a")), OK);
	gateway_send(&gateway, &message);
	gateway_heartbeat(&gateway, INT64_MAX);
	rig_run(&rig, 20000);
	const struct consumer *consumer = &rig.consumers[0];
	assert_int_equal(consumer->subscribes, 1);
	assert_int_equal(consumer->unsubscribes, 1);
	assert_int_equal(consumer->heartbeats, 1);
	assert_int_equal(gateway.said_count, 2);
	assert_int_equal(strlen(gateway.said[0].id), MODEL_UUID_SIZE - 1);
	assert_true(gateway.said[1].timestamp_ms == INT64_MAX);
	gateway_close(&rig, &gateway);
	rig_close(&rig);
}

/* What is refused before the engine sees it, or by the engine when the call begins. */
static void calls_are_refused(void **state)
{
	static const struct {
		const char *method;
		enum err says;
		enum grpc_status status;
	} cases[] = {
		{"/syntrix.streamer.v1.StreamerService/Other", OK, GRPC_UNIMPLEMENTED},
		{WIRE_STREAMER_STREAM, ERR_UNAVAILABLE, GRPC_UNAVAILABLE},
		{WIRE_STREAMER_STREAM, ERR_MEMORY, GRPC_RESOURCE_EXHAUSTED},
	};
	struct remote_rig rig;
	struct gateway gateway;
	(void)state;
	rig_open(&rig);
	rig_serve(&rig);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rig.open_says = cases[i].says;
		assert_int_equal(rig_connect(&rig, &gateway), OK);
		assert_int_equal(gateway_call(gateway.client, cases[i].method, &gateway), OK);
		rig_run(&rig, 20000);
		assert_int_equal(gateway.ended, 1);
		assert_int_equal(gateway.status, cases[i].status);
		gateway_close(&rig, &gateway);
	}
	assert_int_equal(rig.consumers_count, 0);
	rig_close(&rig);
}

static void too_many_filters_are_answered(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	struct buffer subscribe = {0};
	struct buffer message = {0};
	(void)state;
	rig_open(&rig);
	rig_serve(&rig);
	gateway_open(&rig, &gateway);
	proto_text(&subscribe, 1, "many");
	proto_text(&subscribe, 2, "d");
	for (unsigned i = 0; i <= rig.options.wire.filters_max; i++) {
		write_filter(&subscribe, "a", "==", NULL);
	}
	proto_message(&message, 1, &subscribe);
	gateway_send(&gateway, &message);
	rig_run(&rig, 20000);
	assert_int_equal(gateway.said_count, 1);
	assert_int_equal(gateway.said[0].kind, WIRE_STREAMER_ANSWER);
	assert_int_equal(gateway.said[0].refusal, MODEL_REFUSED_LIMIT);
	assert_int_equal(gateway.ended, 0);
	gateway_close(&rig, &gateway);
	rig_close(&rig);
}

static void half_close_ends_in_order(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	(void)state;
	rig_open(&rig);
	rig_serve(&rig);
	gateway_open(&rig, &gateway);
	grpc_call_finish(gateway.call, GRPC_OK, NULL);
	rig_run(&rig, 20000);
	assert_int_equal(gateway.ended, 1);
	assert_int_equal(gateway.status, GRPC_OK);
	assert_null(rig.consumers[0].stream);
	assert_int_equal(remote_server_connections(rig.server), 1); /* which may have other calls */
	gateway_close(&rig, &gateway);
	rig_close(&rig);
}

static void unknown_payloads_are_passed_over(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	struct buffer message = {0};
	(void)state;
	rig_open(&rig);
	rig_serve(&rig);
	gateway_open(&rig, &gateway);
	gateway_send(&gateway, &message); /* empty */
	proto_unknown(&message);
	gateway_send(&gateway, &message);
	gateway_heartbeat(&gateway, 5);
	rig_run(&rig, 20000);
	assert_int_equal(gateway.said_count, 1);
	assert_int_equal(gateway.said[0].timestamp_ms, 5);
	assert_int_equal(rig.consumers[0].subscribes, 0);
	gateway_close(&rig, &gateway);
	rig_close(&rig);
}

static void a_malformed_message_costs_its_stream_alone(void **state)
{
	struct remote_rig rig;
	struct gateway bad;
	struct gateway good = {0};
	struct buffer message = {0};
	(void)state;
	rig_open(&rig);
	rig_serve(&rig);
	gateway_open(&rig, &bad);
	assert_int_equal(gateway_call(bad.client, WIRE_STREAMER_STREAM, &good), OK);
	rig_run(&rig, 20000);
	proto_raw(&message, RAW("\x0a\x05no"));
	gateway_send(&bad, &message);
	gateway_heartbeat(&bad, 1); /* behind it: not read any more */
	gateway_heartbeat(&good, 2);
	rig_run(&rig, 20000);
	assert_int_equal(bad.ended, 1);
	assert_int_equal(bad.status, GRPC_INTERNAL);
	assert_string_equal(bad.text, "the message is no valid GatewayMessage");
	assert_int_equal(bad.said_count, 0);
	assert_int_equal(good.ended, 0);
	assert_int_equal(good.said_count, 1);
	assert_int_equal(good.said[0].timestamp_ms, 2);
	gateway_close(&rig, &bad);
	assert_int_equal(good.ended, 1);
	rig_close(&rig);
}

static struct event *large_event(size_t size)
{
	char *line = malloc(size + 100);
	assert_non_null(line);
	int head = snprintf(
		line, 100, "{\"op\":\"insert\",\"collection\":\"users\",\"data\":{\"a\":\"");
	memset(line + head, 'x', size);
	memcpy(line + head + size, "\"}}", 4);
	struct event *event = make_event(line, 1, true);
	free(line);
	return event;
}

static void too_large_a_document_stays_behind(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	(void)state;
	rig_open(&rig);
	rig.options.delivery_bytes_max = 80000;
	rig_serve(&rig);
	gateway_open(&rig, &gateway);
	const size_t sizes[] = {70000, 90000};
	for (size_t i = 0; i < 2; i++) {
		struct event *event = large_event(sizes[i]);
		assert_int_equal(rig_deliver(rig.consumers[0].stream, event, "a", 1), OK);
		event_unref(event);
	}
	rig_run(&rig, 100000);
	assert_int_equal(gateway.said_count, 2);
	assert_true(gateway.said[0].document_size > 70000);
	assert_int_equal(gateway.said[1].document_size, 0);
	assert_int_equal(gateway.said[1].ids, 1);
	assert_int_equal(metrics_get(&rig.metrics, METRIC_deliveries_without_data), 1);
	gateway_close(&rig, &gateway);
	rig_close(&rig);
}

/* Where it goes without its document anyway it is not too large; and one event for some with its
 * document and some without has one position, on what comes last. */
static void what_omits_the_document_is_not_too_large(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	const struct model_hello hello = {.version = 1};
	(void)state;
	rig_open(&rig);
	rig.options.delivery_bytes_max = 80000;
	rig_serve(&rig);
	gateway_open(&rig, &gateway);
	gateway_hello(&gateway, &hello);
	rig_run(&rig, 100000);
	assert_int_equal(gateway.said_count, 1);
	struct event *event = large_event(90000);
	const struct stream_delivery whole = {.event = event, .has_more = true};
	const struct stream_delivery bare = {.event = event, .is_bare = true};
	struct stream *stream = rig.consumers[0].stream;
	assert_int_equal(rig_push(stream, whole, "a", 2), OK);
	assert_int_equal(rig_push(stream, bare, "b", 3), OK);
	event_unref(event);
	event = large_event(10);
	const struct stream_delivery small = {.event = event, .has_more = true};
	const struct stream_delivery small_bare = {.event = event, .is_bare = true};
	assert_int_equal(rig_push(stream, small, "a", 2), OK);
	assert_int_equal(rig_push(stream, small_bare, "b", 3), OK);
	event_unref(event);
	rig_run(&rig, 100000);
	assert_int_equal(gateway.said_count, 5);
	for (unsigned i = 1; i < 5; i++) {
		const struct said *message = &gateway.said[i];
		bool is_gap = i == 1;
		bool is_bare = i % 2 == 0;
		assert_int_equal(
			message->kind, is_gap ? WIRE_STREAMER_GAP : WIRE_STREAMER_DELIVERY);
		assert_int_equal(message->ids, is_bare ? 3 : 2);
		assert_int_equal(message->document_size > 0, i == 3);
		assert_int_equal(message->more, i == 3);
		assert_int_equal(message->position[0] != 0, is_bare);
		assert_true(message->event_size > 0 && message->event_size < 1000);
	}
	assert_int_equal(metrics_get(&rig.metrics, METRIC_deliveries_without_data), 1);
	gateway_close(&rig, &gateway);
	rig_close(&rig);
}

static void too_many_ids_go_in_parts(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	struct event *event = make_event("{\"op\":\"insert\",\"collection\":\"users\"}", 1, true);
	(void)state;
	rig_open(&rig);
	rig.options.delivery_bytes_max = 400;
	rig_serve(&rig);
	gateway_open(&rig, &gateway);
	assert_int_equal(rig_deliver(rig.consumers[0].stream, event, "id", 300), OK);
	event_unref(event);
	rig_run(&rig, 100000);
	size_t ids = 0;
	assert_true(gateway.said_count > 1);
	for (unsigned i = 0; i < gateway.said_count; i++) {
		char first[64];
		(void)snprintf(first, sizeof(first), "id%zu", ids);
		assert_string_equal(gateway.said[i].id, first);
		assert_true(gateway.said[i].event_size > 0);
		ids += gateway.said[i].ids;
	}
	assert_int_equal(ids, 300);
	gateway_close(&rig, &gateway);
	rig_close(&rig);
}

/* Parts that the call has no room for leave later: each id once, in order, whatever lies between.
 */
static void a_full_call_loses_nothing(void **state)
{
	enum { DELIVERIES = 20, IDS = 300 };
	struct remote_rig rig;
	struct gateway gateway;
	struct event *event = large_event(20000);
	(void)state;
	rig_open(&rig);
	rig.options.delivery_bytes_max = 20500;
	rig_serve(&rig);
	gateway_open(&rig, &gateway);
	grpc_call_pause(gateway.call, true);
	for (int i = 0; i < DELIVERIES; i++) {
		assert_int_equal(rig_deliver(rig.consumers[0].stream, event, "id", IDS), OK);
	}
	event_unref(event);
	rig_run(&rig, 1000000);
	assert_true(stream_queued_count(rig.consumers[0].stream) > 0); /* there is no room */
	grpc_call_pause(gateway.call, false);
	rig_run(&rig, 1000000);
	size_t ids = 0;
	for (unsigned i = 0; i < gateway.said_count; i++) {
		char first[64];
		(void)snprintf(first, sizeof(first), "id%zu", ids % IDS);
		assert_string_equal(gateway.said[i].id, first);
		assert_true(gateway.said[i].document_size > 20000);
		ids += gateway.said[i].ids;
	}
	assert_int_equal(ids, DELIVERIES * IDS);
	assert_true(gateway.said_count > 5 * DELIVERIES);
	gateway_close(&rig, &gateway);
	rig_close(&rig);
}

/* A stream that finishes says so behind what is queued, one that ends says so at once. */
static void ends_have_their_status(void **state)
{
	static const struct {
		enum err why;
		enum grpc_status status;
		bool is_finish;
	} cases[] = {
		{ERR_UNAVAILABLE, GRPC_UNAVAILABLE, true},
		{ERR_UNAVAILABLE, GRPC_UNAVAILABLE, false},
		{ERR_LIMIT, GRPC_RESOURCE_EXHAUSTED, false},
		{ERR_MEMORY, GRPC_RESOURCE_EXHAUSTED, false},
		{OK, GRPC_OK, true},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct remote_rig rig;
		struct gateway gateway;
		struct event *event = make_event(
			"{\"op\":\"insert\",\"collection\":\"users\",\"data\":{}}", 1, true);
		rig_open(&rig);
		rig_serve(&rig);
		gateway_open(&rig, &gateway);
		struct stream *stream = rig.consumers[0].stream;
		assert_int_equal(rig_deliver(stream, event, "a", 1), OK);
		(cases[i].is_finish ? stream_finish : stream_end)(stream, cases[i].why, "so it is");
		event_unref(event);
		rig_run(&rig, 20000);
		assert_int_equal(gateway.said_count, cases[i].is_finish ? 1 : 0);
		assert_int_equal(gateway.ended, 1);
		assert_int_equal(gateway.status, cases[i].status);
		assert_string_equal(gateway.text, "so it is");
		assert_null(rig.consumers[0].stream);
		gateway_close(&rig, &gateway);
		rig_close(&rig);
	}
}

/* Its gateway reads nothing, so what is stuck in the call is dropped for the status. */
static void a_slow_gateway_is_not_waited_for(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	struct event *event = large_event(60000);
	(void)state;
	rig_open(&rig);
	rig.limits.hard_bytes = 4000000;
	rig_serve(&rig);
	gateway_open(&rig, &gateway);
	grpc_call_pause(gateway.call, true);
	enum err err = OK;
	while (err == OK) {
		err = rig_deliver(rig.consumers[0].stream, event, "a", 1);
		rig_run(&rig, 1000);
	}
	assert_int_equal(err, ERR_LIMIT);
	rig_run(&rig, 100000);
	assert_null(rig.consumers[0].stream);
	remote_server_drain(rig.server);
	rig_run(&rig, 100000);
	assert_int_equal(remote_server_connections(rig.server), 0); /* nothing waits to be read */
	assert_int_equal(gateway.ended, 1);
	event_unref(event);
	gateway_close(&rig, &gateway);
	rig_close(&rig);
}

static void connections_are_counted(void **state)
{
	struct remote_rig rig;
	struct gateway gateways[3];
	(void)state;
	rig_open(&rig);
	rig.options.connections_max = 2;
	rig_serve(&rig);
	gateway_open(&rig, &gateways[0]);
	gateway_open(&rig, &gateways[1]);
	assert_int_equal(rig_connect(&rig, &gateways[2]), OK);
	rig_run(&rig, 20000);
	assert_int_equal(gateways[2].closed, 1);
	assert_int_equal(remote_server_connections(rig.server), 2);
	assert_int_equal(metrics_get(&rig.metrics, METRIC_grpc_connections_refused), 1);
	gateway_close(&rig, &gateways[0]);
	gateway_open(&rig, &gateways[2]);
	gateway_close(&rig, &gateways[1]);
	gateway_close(&rig, &gateways[2]);
	rig_close(&rig);
}

/* Calls under way go on, new ones and new connections are turned away. */
static void draining_lets_nobody_in(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	struct gateway late;
	(void)state;
	rig_open(&rig);
	rig_serve(&rig);
	gateway_open(&rig, &gateway);
	remote_server_drain(rig.server);
	assert_int_equal(rig_connect(&rig, &late), OK);
	assert_int_equal(gateway_call(late.client, WIRE_STREAMER_STREAM, &late), OK);
	gateway_heartbeat(&gateway, 3);
	rig_run(&rig, 20000);
	assert_int_equal(late.ended, 1);
	assert_int_equal(late.status, GRPC_UNAVAILABLE);
	assert_int_equal(late.closed, 1);
	assert_int_equal(gateway.said_count, 1);
	stream_finish(rig.consumers[0].stream, ERR_UNAVAILABLE, "shutting down");
	rig_run(&rig, 20000);
	assert_int_equal(gateway.ended, 1);
	assert_int_equal(gateway.closed, 1); /* with its last call */
	assert_int_equal(remote_server_connections(rig.server), 0);
	rig_close(&rig);
}

static void closing_cancels_calls(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	(void)state;
	rig_open(&rig);
	rig_serve(&rig);
	gateway_open(&rig, &gateway);
	remote_server_close(rig.server, rig_server_closed, &rig);
	assert_int_equal(rig.server_closed, 0);
	rig_run(&rig, 20000);
	assert_int_equal(rig.server_closed, 1);
	assert_int_equal(gateway.ended, 1);
	assert_int_equal(gateway.closed, 1);
	rig_close(&rig);
}

/* `closed` comes in a later turn, however little memory there is. */
static void closing_needs_no_memory(void **state)
{
	struct remote_rig rig;
	struct failing failing;
	(void)state;
	rig_open(&rig);
	rig_serve(&rig);
	failing_start(&failing, 0);
	remote_server_close(rig.server, rig_server_closed, &rig);
	(void)failing_stop(&failing);
	assert_int_equal(rig.server_closed, 0);
	rig_run(&rig, 20000);
	assert_int_equal(rig.server_closed, 1);
	rig_close(&rig);
}

static bool try_stream(size_t fail_at)
{
	struct remote_rig rig;
	struct gateway gateway;
	struct failing failing;
	rig_open(&rig);
	rig_serve(&rig);
	rig.first = make_event("{\"op\":\"insert\",\"collection\":\"users\",\"data\":{}}", 1, true);
	failing_start(&failing, fail_at);
	if (rig_connect(&rig, &gateway) != OK) {
		gateway.closed = 1; /* it never was */
	} else if (gateway_call(gateway.client, WIRE_STREAMER_STREAM, &gateway) == OK) {
		gateway_subscribe(&gateway, "a");
		gateway_heartbeat(&gateway, 7);
	}
	rig_run(&rig, 50000);
	bool has_struck = failing_stop(&failing);
	/* All is well, or the stream has ended and says so, or nothing could be said any more. */
	assert_true(has_struck || gateway.said_count == 5);
	assert_true(gateway.ended <= 1);
	gateway_close(&rig, &gateway);
	rig_close(&rig);
	return has_struck;
}

static void survives_each_failure(void **state)
{
	size_t fail_at = 0;
	(void)state;
	while (try_stream(fail_at)) {
		fail_at++;
	}
	assert_true(fail_at > 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_overtake_deliveries),
		cmocka_unit_test(requests_reach_the_engine),
		cmocka_unit_test(calls_are_refused),
		cmocka_unit_test(too_many_filters_are_answered),
		cmocka_unit_test(half_close_ends_in_order),
		cmocka_unit_test(unknown_payloads_are_passed_over),
		cmocka_unit_test(a_malformed_message_costs_its_stream_alone),
		cmocka_unit_test(too_large_a_document_stays_behind),
		cmocka_unit_test(what_omits_the_document_is_not_too_large),
		cmocka_unit_test(too_many_ids_go_in_parts),
		cmocka_unit_test(a_full_call_loses_nothing),
		cmocka_unit_test(ends_have_their_status),
		cmocka_unit_test(a_slow_gateway_is_not_waited_for),
		cmocka_unit_test(connections_are_counted),
		cmocka_unit_test(draining_lets_nobody_in),
		cmocka_unit_test(closing_cancels_calls),
		cmocka_unit_test(closing_needs_no_memory),
		cmocka_unit_test(survives_each_failure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
