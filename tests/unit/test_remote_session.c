/* remote's server to gateways that know the extensions, through its header: positions, bulks,
 * leases, goodbyes, and what is done with an event that is too large. */
#include "remote_rig.h"

#define LEASE_MS 30000

static void serve_one(struct remote_rig *rig, struct gateway *gateway)
{
	const struct model_hello hello = {.version = 1, .message_bytes_max = 65536};
	rig_serve(rig);
	gateway_open(rig, gateway);
	gateway_hello(gateway, &hello);
	rig_run(rig, 20000);
	assert_int_equal(gateway->said_count, 1);
	assert_int_equal(gateway->said[0].kind, WIRE_STREAMER_WELCOME);
}

static void open_one(struct remote_rig *rig, struct gateway *gateway)
{
	rig_open(rig);
	rig->position = bytes_of("head");
	serve_one(rig, gateway);
}

static void close_one(struct remote_rig *rig, struct gateway *gateway)
{
	gateway_close(rig, gateway);
	rig_close(rig);
}

static const struct said *last_of(const struct gateway *gateway)
{
	assert_true(gateway->said_count > 0);
	return &gateway->said[gateway->said_count - 1];
}

/* An event with a document of `size` bytes, that clients know by `position`. */
static struct event *event_at(size_t size, const char *position)
{
	char *line = malloc(size + 100);
	assert_non_null(line);
	int head = snprintf(
		line, 100, "{\"op\":\"insert\",\"collection\":\"users\",\"data\":{\"a\":\"");
	memset(line + head, 'x', size);
	memcpy(line + head + size, "\"}}", 4);
	struct event *event = make_event(line, 1, true);
	free(line);
	event->position = bytes_of(position);
	return event;
}

static void deliver(struct remote_rig *rig, size_t size, const char *position, unsigned ids)
{
	struct event *event = event_at(size, position);
	assert_int_equal(rig_deliver(rig->consumers[0].stream, event, "id-", ids), OK);
	event_unref(event);
}

static void a_delivery_has_a_position(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	struct gateway original;
	(void)state;
	open_one(&rig, &gateway);
	gateway_open(&rig, &original);
	deliver(&rig, 10, "p1", 2);
	struct event *event = event_at(10, "p1");
	assert_int_equal(rig_deliver(rig.consumers[1].stream, event, "a", 1), OK);
	event_unref(event);
	rig_run(&rig, 20000);
	assert_string_equal(last_of(&gateway)->position, "p1");
	assert_false(last_of(&gateway)->more);
	assert_string_equal(last_of(&original)->position, ""); /* it would not know */
	gateway_close(&rig, &original);
	close_one(&rig, &gateway);
}

/* An acknowledgement overtakes what is queued, so it speaks only of what is written. */
static void an_acknowledgement_says_what_is_written(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	(void)state;
	open_one(&rig, &gateway);
	gateway_heartbeat(&gateway, 1);
	rig_run(&rig, 20000);
	assert_string_equal(last_of(&gateway)->position, "head"); /* nothing is queued */
	assert_int_equal(last_of(&gateway)->source, MODEL_SOURCE_CATCHING_UP);
	assert_int_equal(last_of(&gateway)->lag_ms, 12);
	deliver(&rig, 10, "p1", 1);
	rig_run(&rig, 20000);
	grpc_call_pause(gateway.call, true);
	for (int i = 0; i < 40; i++) { /* more than the call has room for */
		deliver(&rig, 50000, "p2", 1);
	}
	gateway_heartbeat(&gateway, 2);
	rig_run(&rig, 1000000);
	grpc_call_pause(gateway.call, false);
	rig_run(&rig, 1000000);
	bool is_p2_written = false;
	for (unsigned i = 0; i < gateway.said_count; i++) {
		const struct said *said = &gateway.said[i];
		if (said->kind == WIRE_STREAMER_HEARTBEAT_ACK && said->timestamp_ms == 2) {
			assert_string_equal(said->position, is_p2_written ? "p2" : "p1");
			assert_true(i + 1 < gateway.said_count); /* it did overtake */
		}
		is_p2_written = is_p2_written || strcmp(said->position, "p2") == 0;
	}
	gateway_heartbeat(&gateway, 3);
	rig_run(&rig, 20000);
	assert_string_equal(last_of(&gateway)->position, "head");
	close_one(&rig, &gateway);
}

/* A gap in the queue is as good as a delivery: an acknowledgement must not pass it. */
static void an_acknowledgement_does_not_pass_a_gap(void **state)
{
	const struct model_gap gap = {.until = bytes_of("g"), .reason = MODEL_GAP_SOURCE};
	struct remote_rig rig;
	struct gateway gateway;
	(void)state;
	open_one(&rig, &gateway);
	assert_int_equal(stream_push_gap(rig.consumers[0].stream, &gap, 0), OK);
	assert_int_equal(stream_push_ack(rig.consumers[0].stream, 5, 0), OK);
	rig_run(&rig, 20000);
	assert_int_equal(gateway.said_count, 3);
	assert_int_equal(gateway.said[1].kind, WIRE_STREAMER_HEARTBEAT_ACK);
	assert_string_equal(gateway.said[1].position, "");
	assert_int_equal(gateway.said[2].kind, WIRE_STREAMER_GAP);
	close_one(&rig, &gateway);
}

/* Only the last part of a delivery counts as having it. */
static void parts_say_that_more_follows(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	(void)state;
	open_one(&rig, &gateway);
	deliver(&rig, 64500, "p1", 800);
	rig_run(&rig, 100000);
	size_t ids = 0;
	assert_true(gateway.said_count > 3);
	for (unsigned i = 1; i < gateway.said_count; i++) {
		bool is_last = i + 1 == gateway.said_count;
		assert_int_equal(gateway.said[i].more, !is_last);
		assert_string_equal(gateway.said[i].position, is_last ? "p1" : "");
		assert_true(gateway.said[i].document_size > 64500);
		ids += gateway.said[i].ids;
	}
	assert_int_equal(ids, 800);
	close_one(&rig, &gateway);
}

/* What a gateway cannot take is a gap with the event's names and without its document. */
static void an_event_too_large_is_a_gap(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	(void)state;
	open_one(&rig, &gateway);
	deliver(&rig, 70000, "p1", 900);
	deliver(&rig, 10, "p2", 1);
	rig_run(&rig, 100000);
	size_t ids = 0;
	assert_int_equal(last_of(&gateway)->kind, WIRE_STREAMER_DELIVERY);
	for (unsigned i = 1; i + 1 < gateway.said_count; i++) {
		const struct said *said = &gateway.said[i];
		assert_int_equal(said->kind, WIRE_STREAMER_GAP);
		assert_int_equal(said->gap, MODEL_GAP_TOO_LARGE);
		assert_true(said->event_size > 0 && said->event_size < 1000);
		assert_string_equal(said->position, i + 2 == gateway.said_count ? "p1" : "");
		ids += said->ids;
	}
	assert_int_equal(ids, 900);
	assert_int_equal(metrics_get(&rig.metrics, METRIC_deliveries_without_data), 1);
	close_one(&rig, &gateway);
}

/* ---- bulks ----------------------------------------------------------------------------------- */

static void a_bulk_is_answered_once(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	(void)state;
	open_one(&rig, &gateway);
	rig.refuses_each = 100;
	gateway_bulk(&gateway, 7, "b", 1000);
	gateway_heartbeat(&gateway, 1); /* read behind it */
	rig_run(&rig, 100000);
	assert_int_equal(rig.consumers[0].subscribes, 1000);
	assert_int_equal(gateway.said_count, 3);
	assert_int_equal(gateway.said[1].kind, WIRE_STREAMER_BULK_ANSWER);
	assert_true(gateway.said[1].bulk_id == 7);
	assert_int_equal(gateway.said[1].accepted, 990);
	assert_int_equal(gateway.said[1].refused, 10);
	assert_string_equal(gateway.said[1].position, "head");
	assert_int_equal(gateway.said[2].kind, WIRE_STREAMER_HEARTBEAT_ACK);
	gateway_bulk(&gateway, 8, "", 0);
	rig_run(&rig, 100000);
	assert_true(last_of(&gateway)->bulk_id == 8);
	assert_int_equal(last_of(&gateway)->accepted, 0);
	close_one(&rig, &gateway);
}

/* One answer could not hold them all: what it cannot is answered before it, each for itself. */
static void many_refusals_are_told_all(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	(void)state;
	memset(rig_refusal, 'n', sizeof(rig_refusal) - 1);
	open_one(&rig, &gateway);
	rig.refuses_each = 1;
	gateway_bulk(&gateway, 9, "b", 100);
	rig_run(&rig, 100000);
	const struct said *bulk = last_of(&gateway);
	assert_int_equal(bulk->kind, WIRE_STREAMER_BULK_ANSWER);
	assert_int_equal(bulk->accepted, 0);
	assert_true(bulk->refused > 10 && bulk->refused < 100);
	assert_int_equal(gateway.said_count - 2 + bulk->refused, 100);
	for (unsigned i = 1; i + 1 < gateway.said_count; i++) {
		assert_int_equal(gateway.said[i].kind, WIRE_STREAMER_ANSWER);
		assert_int_equal(gateway.said[i].refusal, MODEL_REFUSED_LIMIT);
	}
	close_one(&rig, &gateway);
	rig_refusal[0] = '\0';
}

static void a_broken_bulk_ends_its_stream(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	const struct model_bulk bulk = {1, bytes_of("\x12\x02\xff\xff")};
	struct buffer message = {0};
	(void)state;
	open_one(&rig, &gateway);
	assert_int_equal(wire_bulk_encode(&message, &bulk), OK);
	gateway_send(&gateway, &message);
	rig_run(&rig, 100000);
	assert_int_equal(gateway.ended, 1);
	assert_int_equal(gateway.status, GRPC_INTERNAL);
	assert_null(rig.consumers[0].stream);
	close_one(&rig, &gateway);
}

/* It goes in the middle of its bulk. */
static void a_bulk_ends_with_its_stream(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	(void)state;
	open_one(&rig, &gateway);
	gateway_bulk(&gateway, 7, "b", 10000);
	for (int i = 0; i < 100 && rig.consumers[0].subscribes == 0; i++) {
		rig_run(&rig, 100);
	}
	gateway_close(&rig, &gateway);
	rig_close(&rig);
}

/* A gateway of the original's kind cannot have meant it. */
static void a_bulk_without_hello_is_ignored(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	(void)state;
	rig_open(&rig);
	rig_serve(&rig);
	gateway_open(&rig, &gateway);
	gateway_bulk(&gateway, 7, "b", 10);
	gateway_heartbeat(&gateway, 1);
	rig_run(&rig, 100000);
	assert_int_equal(gateway.said_count, 1);
	assert_int_equal(rig.consumers[0].subscribes, 0);
	close_one(&rig, &gateway);
}

/* ---- the life of a stream -------------------------------------------------------------------- */

static void an_unsubscribe_is_confirmed(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	struct buffer message = {0};
	(void)state;
	open_one(&rig, &gateway);
	assert_int_equal(wire_unsubscribe_encode(&message, bytes_of("u")), OK);
	gateway_send(&gateway, &message);
	rig_run(&rig, 20000);
	assert_int_equal(rig.consumers[0].unsubscribes, 1);
	assert_int_equal(last_of(&gateway)->kind, WIRE_STREAMER_UNSUBSCRIBED);
	assert_string_equal(last_of(&gateway)->id, "u");
	close_one(&rig, &gateway);
}

/* Until the Welcome nothing that followed the Hello is carried out. */
static void what_follows_a_hello_waits_for_the_welcome(void **state)
{
	const struct model_hello hello = {.version = 1, .after = bytes_of("p")};
	const struct model_welcome welcome = {.version = 1, .resume = MODEL_RESUME_REPLAY};
	struct remote_rig rig;
	struct gateway gateway;
	(void)state;
	rig_open(&rig);
	rig.holds_welcome = true;
	rig_serve(&rig);
	gateway_open(&rig, &gateway);
	gateway_hello(&gateway, &hello);
	gateway_heartbeat(&gateway, 1);
	gateway_subscribe(&gateway, "a");
	rig_run(&rig, 5000000);
	assert_int_equal(rig.consumers[0].hellos, 1);
	assert_int_equal(rig.consumers[0].heartbeats + rig.consumers[0].subscribes, 0);
	assert_int_equal(stream_push_welcome(rig.consumers[0].stream, &welcome, 0), OK);
	rig_run(&rig, 20000);
	assert_int_equal(gateway.said_count, 3);
	assert_int_equal(gateway.said[0].welcome.resume, MODEL_RESUME_REPLAY);
	assert_int_equal(gateway.said[1].kind, WIRE_STREAMER_HEARTBEAT_ACK);
	assert_int_equal(gateway.said[2].kind, WIRE_STREAMER_ANSWER);
	close_one(&rig, &gateway);
}

static void a_silent_gateway_loses_its_lease(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	struct gateway original;
	(void)state;
	rig_open(&rig);
	rig.options.lease_ms = LEASE_MS;
	serve_one(&rig, &gateway);
	gateway_open(&rig, &original);
	for (int i = 0; i < 4; i++) {
		rig_run(&rig, (int64_t)LEASE_MS * 800);
		assert_int_equal(gateway.ended, 0);
		gateway_heartbeat(&gateway, i);
	}
	rig_run(&rig, (int64_t)LEASE_MS * 1100);
	assert_int_equal(gateway.ended, 1);
	assert_int_equal(gateway.status, GRPC_DEADLINE_EXCEEDED);
	assert_int_equal(original.ended, 0); /* which knows of no lease */
	gateway_close(&rig, &original);
	close_one(&rig, &gateway);
}

static void a_goodbye_says_how_long_it_takes(void **state)
{
	struct remote_rig rig;
	struct gateway gateway;
	struct gateway original;
	(void)state;
	rig_open(&rig);
	rig.options.drain_ms = 4321;
	serve_one(&rig, &gateway);
	gateway_open(&rig, &original);
	remote_server_drain(rig.server);
	rig_run(&rig, 20000);
	assert_int_equal(last_of(&gateway)->kind, WIRE_STREAMER_GOING_AWAY);
	assert_int_equal(last_of(&gateway)->deadline_ms, 4321);
	assert_int_equal(original.said_count, 0);
	gateway_close(&rig, &original);
	close_one(&rig, &gateway);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_delivery_has_a_position),
		cmocka_unit_test(an_acknowledgement_says_what_is_written),
		cmocka_unit_test(an_acknowledgement_does_not_pass_a_gap),
		cmocka_unit_test(parts_say_that_more_follows),
		cmocka_unit_test(an_event_too_large_is_a_gap),
		cmocka_unit_test(a_bulk_is_answered_once),
		cmocka_unit_test(many_refusals_are_told_all),
		cmocka_unit_test(a_broken_bulk_ends_its_stream),
		cmocka_unit_test(a_bulk_ends_with_its_stream),
		cmocka_unit_test(a_bulk_without_hello_is_ignored),
		cmocka_unit_test(an_unsubscribe_is_confirmed),
		cmocka_unit_test(what_follows_a_hello_waits_for_the_welcome),
		cmocka_unit_test(a_silent_gateway_loses_its_lease),
		cmocka_unit_test(a_goodbye_says_how_long_it_takes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
