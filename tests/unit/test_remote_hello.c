/* remote's server to gateways that say Hello, and to those that do not: through its header, what
 * each is told, in which order, and that a call without room loses none of it. */
#include "remote_rig.h"

/* So long that a few hundred of them are more than a call has room for. */
static char why[8000];
static const struct model_notice stopped = {
	.code = MODEL_NOTICE_STOPPED, .text = {why, sizeof(why)}};

static struct event *users_event(size_t size)
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

/* A stream of the server whose first message was that Hello. */
static void open_with(
	struct remote_rig *rig, struct gateway *gateway, const struct model_hello *hello)
{
	gateway_open(rig, gateway);
	gateway_hello(gateway, hello);
	rig_run(rig, 20000);
	assert_int_equal(gateway->ended, 0);
	assert_int_equal(gateway->said[0].kind, WIRE_STREAMER_WELCOME);
}

static void push_notice(struct stream *stream, const char *name, unsigned count)
{
	char place[8192];
	struct bytes run = {place, 0};
	for (unsigned i = 0; i < count; i++) {
		char id[16];
		(void)snprintf(id, sizeof(id), "%s%u", name, i);
		assert_true(run.size + sizeof(id) < sizeof(place));
		run.size += wire_id_write(bytes_of(id), place + run.size);
	}
	assert_int_equal(stream_push_notice(stream, &stopped, run, count, 0), OK);
}

static void a_hello_is_welcomed(void **state)
{
	const struct model_hello hello = {.version = 1, .gateway_id = bytes_of("g")};
	struct remote_rig rig;
	struct gateway gateway;
	(void)state;
	rig_open(&rig);
	rig.options.epoch = UINT64_C(0x8000000000000001);
	rig.first = make_event("{\"op\":\"insert\",\"collection\":\"users\",\"data\":{}}", 1, true);
	rig_serve(&rig);
	gateway_open(&rig, &gateway);
	gateway_hello(&gateway, &hello);
	gateway_heartbeat(&gateway, 5);
	gateway_subscribe(&gateway, "a");
	rig_run(&rig, 20000);
	assert_int_equal(gateway.said_count, 6);
	const struct said *said = &gateway.said[0];
	assert_int_equal(said->kind, WIRE_STREAMER_WELCOME); /* ahead of everything else */
	assert_int_equal(said->welcome.version, 1);
	assert_true(said->welcome.epoch == rig.options.epoch);
	assert_int_equal(said->welcome.resume, MODEL_RESUME_LIVE);
	assert_int_equal(said->welcome.message_bytes_max, rig.options.message_bytes_max);
	assert_int_equal(gateway.said[1].kind, WIRE_STREAMER_HEARTBEAT_ACK);
	assert_int_equal(gateway.said[2].kind, WIRE_STREAMER_ANSWER);
	assert_int_equal(gateway.said[3].kind, WIRE_STREAMER_DELIVERY);
	gateway_close(&rig, &gateway);
	rig_close(&rig);
}

/* Without a history nobody can tell what it has missed. */
static void who_comes_back_gets_a_gap(void **state)
{
	const struct model_hello hello = {.version = 1, .after = bytes_of("position 7")};
	struct remote_rig rig;
	struct gateway gateway;
	(void)state;
	rig_open(&rig);
	rig_serve(&rig);
	open_with(&rig, &gateway, &hello);
	assert_int_equal(gateway.said_count, 2);
	assert_int_equal(gateway.said[0].welcome.resume, MODEL_RESUME_GAP);
	assert_int_equal(gateway.said[1].kind, WIRE_STREAMER_GAP);
	assert_int_equal(gateway.said[1].gap, MODEL_GAP_UNKNOWN);
	assert_string_equal(gateway.said[1].id, "position 7");
	gateway_close(&rig, &gateway);
	rig_close(&rig);
}

/* A Hello that is late, comes twice, or has no position for a position. */
static void a_wrong_hello_ends_its_stream(void **state)
{
	static char position[257];
	const struct model_hello good = {.version = 1};
	const struct model_hello wrong = {.version = 1, .after = {position, sizeof(position)}};
	struct remote_rig rig;
	struct gateway gateway;
	(void)state;
	rig_open(&rig);
	rig_serve(&rig);
	for (int i = 0; i < 4; i++) {
		struct buffer nothing = {0};
		gateway_open(&rig, &gateway);
		if (i == 0) {
			gateway_hello(&gateway, &good);
		} else if (i == 1) {
			gateway_heartbeat(&gateway, 1);
		} else if (i == 2) {
			gateway_send(&gateway, &nothing);
		}
		gateway_hello(&gateway, i == 3 ? &wrong : &good);
		rig_run(&rig, 20000);
		assert_int_equal(gateway.ended, 1);
		assert_int_equal(gateway.status, GRPC_INVALID_ARGUMENT);
		assert_string_equal(gateway.text,
			i == 3 ? "Hello.after is no position"
			       : "Hello must be the first message of a stream");
		assert_null(rig.consumers[i].stream);
		gateway_close(&rig, &gateway);
	}
	rig_close(&rig);
}

static void a_notice_goes_to_each_id(void **state)
{
	const struct model_hello hello = {.version = 1};
	struct remote_rig rig;
	struct gateway gateway;
	struct gateway original;
	(void)state;
	rig_open(&rig);
	rig_serve(&rig);
	open_with(&rig, &gateway, &hello);
	gateway_open(&rig, &original);
	push_notice(rig.consumers[0].stream, "n", 3);
	push_notice(rig.consumers[1].stream, "n", 3);
	gateway_heartbeat(&original, 9);
	rig_run(&rig, 20000);
	assert_int_equal(gateway.said_count, 4);
	for (unsigned i = 0; i < 3; i++) {
		char id[8];
		(void)snprintf(id, sizeof(id), "n%u", i);
		assert_int_equal(gateway.said[1 + i].kind, WIRE_STREAMER_NOTICE);
		assert_int_equal(gateway.said[1 + i].notice, MODEL_NOTICE_STOPPED);
		assert_string_equal(gateway.said[1 + i].id, id);
	}
	assert_int_equal(original.said_count, 1); /* which knows no notices */
	assert_int_equal(original.said[0].kind, WIRE_STREAMER_HEARTBEAT_ACK);
	gateway_close(&rig, &original);
	gateway_close(&rig, &gateway);
	rig_close(&rig);
}

/* A gap stands between deliveries; a gateway that cannot be told of it is ended in its place. */
static void a_gap_keeps_its_place(void **state)
{
	const struct model_hello hello = {.version = 1};
	const struct model_gap gap = {.after = bytes_of("p"), .reason = MODEL_GAP_SOURCE};
	struct remote_rig rig;
	struct gateway gateway;
	(void)state;
	rig_open(&rig);
	rig_serve(&rig);
	struct event *event = users_event(10);
	for (unsigned i = 0; i < 2; i++) {
		gateway_open(&rig, &gateway);
		if (i == 0) {
			gateway_hello(&gateway, &hello);
			rig_run(&rig, 20000);
		}
		struct stream *stream = rig.consumers[i].stream;
		unsigned first = gateway.said_count;
		assert_int_equal(rig_deliver(stream, event, "a", 1), OK);
		assert_int_equal(stream_push_gap(stream, &gap, 0), OK);
		assert_int_equal(rig_deliver(stream, event, "b", 1), OK);
		rig_run(&rig, 20000);
		assert_int_equal(gateway.said_count - first, i == 0 ? 3 : 1);
		assert_string_equal(gateway.said[first].id, "a0");
		if (i == 0) {
			assert_int_equal(gateway.said[first + 1].kind, WIRE_STREAMER_GAP);
			assert_int_equal(gateway.said[first + 1].gap, MODEL_GAP_SOURCE);
			assert_string_equal(gateway.said[first + 1].id, "p");
			assert_string_equal(gateway.said[first + 2].id, "b0");
		}
		assert_int_equal(gateway.ended, i);
		assert_int_equal(gateway.status, i == 0 ? GRPC_OK : GRPC_UNAVAILABLE);
		gateway_close(&rig, &gateway);
	}
	event_unref(event);
	rig_close(&rig);
}

/* Notices overtake a delivery of which parts have left; and a call that is full in the middle of
 * either goes on where it was: each id once, in order. */
static void a_full_call_loses_nothing(void **state)
{
	enum { ROUNDS = 12, IDS = 300, NOTICES = 400 };
	const struct model_hello hello = {.version = 1, .message_bytes_max = 65536};
	struct remote_rig rig;
	static struct gateway gateway;
	struct event *event = users_event(63000);
	(void)state;
	rig_open(&rig);
	rig_serve(&rig);
	open_with(&rig, &gateway, &hello);
	grpc_call_pause(gateway.call, true);
	struct stream *stream = rig.consumers[0].stream;
	for (unsigned i = 0; i < ROUNDS; i++) {
		assert_int_equal(rig_deliver(stream, event, "long-id-", IDS), OK);
	}
	rig_run(&rig, 1000000);
	assert_true(stream_queued_count(stream) > 0); /* there is no room */
	memset(why, 'w', sizeof(why));
	push_notice(stream, "n", NOTICES);
	rig_run(&rig, 1000000);
	grpc_call_pause(gateway.call, false);
	rig_run(&rig, 1000000);
	size_t ids = 0;
	size_t notices = 0;
	for (unsigned i = 1; i < gateway.said_count; i++) {
		char wanted[64];
		const struct said *said = &gateway.said[i];
		bool is_notice = said->kind == WIRE_STREAMER_NOTICE;
		(void)snprintf(wanted, sizeof(wanted), "%s%zu", is_notice ? "n" : "long-id-",
			is_notice ? notices : ids % IDS);
		assert_string_equal(said->id, wanted);
		notices += is_notice;
		ids += said->ids;
		assert_true(is_notice || said->document_size > 63000);
	}
	assert_int_equal(ids, ROUNDS * IDS);
	assert_int_equal(notices, NOTICES);
	event_unref(event);
	gateway_close(&rig, &gateway);
	rig_close(&rig);
}

/* What the gateway takes at most, within what the server sends at most and what it must take. */
static void a_gateway_says_what_it_takes(void **state)
{
	static const struct {
		uint32_t says;
		size_t whole, bare; /* sizes of documents */
	} cases[] = {
		{0, 100000, 200000},      /* nothing: the server's own */
		{100000, 90000, 110000},  /* less than that */
		{500000, 100000, 200000}, /* more: the server's own */
		{1, 60000, 70000},        /* too little */
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct model_hello hello = {.version = 1, .message_bytes_max = cases[i].says};
		struct remote_rig rig;
		struct gateway gateway;
		struct event *events[] = {users_event(cases[i].whole), users_event(cases[i].bare)};
		rig_open(&rig);
		rig.options.delivery_bytes_max = 150000;
		rig_serve(&rig);
		open_with(&rig, &gateway, &hello);
		for (int j = 0; j < 2; j++) {
			assert_int_equal(
				rig_deliver(rig.consumers[0].stream, events[j], "a", 1), OK);
			event_unref(events[j]);
		}
		rig_run(&rig, 100000);
		assert_int_equal(gateway.said_count, 3);
		assert_true(gateway.said[1].document_size > cases[i].whole);
		assert_int_equal(gateway.said[2].document_size, 0);
		gateway_close(&rig, &gateway);
		rig_close(&rig);
	}
}

static bool try_hello(size_t fail_at)
{
	const struct model_hello hello = {.version = 1, .after = bytes_of("p")};
	struct remote_rig rig;
	struct gateway gateway;
	struct failing failing;
	rig_open(&rig);
	rig_serve(&rig);
	failing_start(&failing, fail_at);
	if (rig_connect(&rig, &gateway) != OK) {
		gateway.closed = 1; /* it never was */
	} else if (gateway_call(gateway.client, WIRE_STREAMER_STREAM, &gateway) == OK) {
		gateway_hello(&gateway, &hello);
	}
	rig_run(&rig, 50000);
	bool has_struck = failing_stop(&failing);
	assert_true(has_struck || gateway.said_count == 2);
	gateway_close(&rig, &gateway);
	rig_close(&rig);
	return has_struck;
}

static void survives_each_failure(void **state)
{
	size_t fail_at = 0;
	(void)state;
	while (try_hello(fail_at)) {
		fail_at++;
	}
	assert_true(fail_at > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hello_is_welcomed),
		cmocka_unit_test(who_comes_back_gets_a_gap),
		cmocka_unit_test(a_wrong_hello_ends_its_stream),
		cmocka_unit_test(a_notice_goes_to_each_id),
		cmocka_unit_test(a_gap_keeps_its_place),
		cmocka_unit_test(a_full_call_loses_nothing),
		cmocka_unit_test(a_gateway_says_what_it_takes),
		cmocka_unit_test(survives_each_failure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
