/* remote's client through its header, on a connection: what comes, what leaves, and how it ends. */
#include "client_rig.h"

static void what_comes_is_queued(void **state)
{
	const struct model_answer answer = {.id = bytes_of("nobody's")};
	struct rig rig;
	struct buffer message = {0};
	(void)state;
	rig_open(&rig);
	rig_connect(&rig);
	ask(&rig, "!a");
	say_delivery(&rig, "a");
	assert_int_equal(wire_answer_encode(&message, &answer), OK);
	say(&rig, &message);
	proto_unknown(&message);
	say(&rig, &message);
	run(&rig, 20000);
	assert_string_equal(rig.said, "hello registered +!a");
	take_state(&rig, NULL);
	struct stream_item item = peek_item(&rig, STREAM_ANSWER);
	assert_true(bytes_equal(item.answer.text, bytes_of("no more")));
	take_answer(&rig, "!a", MODEL_REFUSED_LIMIT);
	item = peek_item(&rig, STREAM_DELIVERY);
	assert_int_equal(item.ids_count, 1);
	assert_true(item.event->encoded.size > 0);
	stream_pop(rig.stream);
	take_none(&rig);
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
	(void)state;
	rig_open(&rig);
	rig_connect(&rig);
	say_gap(&rig, &gap);
	assert_int_equal(wire_notice_encode(&message, &notice), OK);
	say(&rig, &message);
	run(&rig, 20000);
	take_state(&rig, NULL);
	struct stream_item item = peek_item(&rig, STREAM_NOTICE); /* ahead of deliveries */
	assert_int_equal(item.notice.code, MODEL_NOTICE_STOPPED);
	assert_true(bytes_equal(item.notice.text, bytes_of("t")));
	struct bytes id;
	assert_true(wire_id_next(&item.run, &id) && bytes_equal(id, bytes_of("x")));
	stream_pop(rig.stream);
	item = peek_item(&rig, STREAM_GAP);
	assert_int_equal(item.gap.reason, MODEL_GAP_SOURCE);
	assert_int_equal(item.gap.events, 3);
	assert_true(bytes_equal(item.gap.after, bytes_of("p")));
	stream_pop(rig.stream);
	take_none(&rig);
	rig_close(&rig);
}

/* The parts of an event are one delivery with all ids, whose position is the last one's. */
static void parts_are_one_delivery(void **state)
{
	const struct model_mark part = {.more = true};
	const struct model_mark last = {.position = bytes_of("p1"), .replayed = true};
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_connect(&rig);
	take_state(&rig, NULL);
	say_marked(&rig, "a", &part);
	say_marked(&rig, "b", &part);
	run(&rig, 20000);
	take_none(&rig);
	say_marked(&rig, "c", &last);
	say_position(&rig, "p2");
	run(&rig, 20000);
	struct stream_item item = peek_item(&rig, STREAM_DELIVERY);
	assert_int_equal(item.ids_count, 3);
	assert_true(item.is_replayed);
	assert_true(bytes_equal(item.event->position, bytes_of("p1")));
	struct bytes id;
	for (const char *name = "abc"; *name; name++) {
		assert_true(wire_id_next(&item.run, &id));
		assert_true(bytes_equal(id, (struct bytes){name, 1}));
	}
	stream_pop(rig.stream);
	item = peek_item(&rig, STREAM_DELIVERY);
	assert_int_equal(item.ids_count, 1);
	assert_false(item.is_replayed);
	stream_pop(rig.stream);
	rig_close(&rig);
}

static void take_ids(struct rig *rig, const char *names, bool has_more, const char *position)
{
	struct stream_item item = peek_item(rig, STREAM_DELIVERY);
	assert_int_equal(item.has_more, has_more);
	assert_true(bytes_equal(item.event->position, bytes_of(position)));
	struct bytes id;
	for (; *names; names++) {
		assert_true(wire_id_next(&item.run, &id));
		assert_true(bytes_equal(id, (struct bytes){names, 1}));
	}
	assert_int_equal(item.run.size, 0);
	stream_pop(rig->stream);
}

/* Parts with the document and parts without are two deliveries; only the last has a position. */
static void parts_without_the_document_are_another(void **state)
{
	const struct model_mark part = {.more = true};
	const struct model_mark last = {.position = bytes_of("p1")};
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_connect(&rig);
	take_state(&rig, NULL);
	say_event(&rig, "a", &part, false);
	say_event(&rig, "b", &part, false);
	say_event(&rig, "c", &part, true);
	run(&rig, 20000);
	take_none(&rig);
	say_event(&rig, "d", &last, true);
	say_event(&rig, "e", &part, false);
	say_event(&rig, "f", &last, true);
	run(&rig, 20000);
	take_ids(&rig, "ab", true, "");
	take_ids(&rig, "cd", false, "p1");
	take_ids(&rig, "e", true, "");
	take_ids(&rig, "f", false, "p1");
	take_none(&rig);
	say_event(&rig, "g", &part, false); /* what stays without a rest is let go */
	run(&rig, 20000);
	take_none(&rig);
	rig_close(&rig);
}

/* The next connection brings the event anew, so nothing of it may be there. */
static void parts_without_a_rest_are_none(void **state)
{
	const struct model_mark part = {.more = true};
	const struct model_mark last = {.position = bytes_of("p1")};
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_connect(&rig);
	take_state(&rig, NULL);
	say_event(&rig, "a", &part, false);
	say_event(&rig, "b", &part, true);
	run(&rig, 20000);
	rig_lose(&rig, SECOND_US / 4);
	run(&rig, 4 * SECOND_US);
	take_state(&rig, "UNAVAILABLE: the connection is lost");
	take_state(&rig, NULL);
	take_none(&rig);
	say_event(&rig, "a", &part, false);
	say_event(&rig, "b", &last, true);
	run(&rig, 20000);
	take_ids(&rig, "a", true, "");
	take_ids(&rig, "b", false, "p1");
	take_none(&rig);
	rig_close(&rig);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void what_no_try_would_change_ends_it(void **state)
{
	static const struct {
		enum grpc_status status;
		enum err why;
		const char *text;
	} cases[] = {
		{GRPC_UNIMPLEMENTED, ERR_UNSUPPORTED, "UNIMPLEMENTED: so it is"},
		{GRPC_INVALID_ARGUMENT, ERR_INVALID, "INVALID_ARGUMENT: so it is"},
		{GRPC_PERMISSION_DENIED, ERR_INVALID, "PERMISSION_DENIED: so it is"},
		{GRPC_UNAUTHENTICATED, ERR_INVALID, "UNAUTHENTICATED: so it is"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig rig;
		rig_open(&rig);
		rig_connect(&rig);
		say_delivery(&rig, "a");
		grpc_call_finish(rig.call, cases[i].status, "so it is");
		run(&rig, 100 * SECOND_US);
		take_state(&rig, NULL);
		take(&rig, STREAM_DELIVERY);
		take_end(&rig, cases[i].why, cases[i].text);
		assert_int_equal(try_subscribe(&rig, "a", NULL), ERR_CLOSED);
		assert_int_equal(rig.connects, 1);
		rig_close(&rig);
	}
}

/* Everything else may be better next time. */
static void other_ends_are_not_for_good(void **state)
{
	static const struct {
		enum grpc_status status;
		const char *text;
	} cases[] = {
		{GRPC_OK, "OK"},
		{GRPC_UNAVAILABLE, "UNAVAILABLE: so it is"},
		{GRPC_RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED: so it is"},
		{GRPC_INTERNAL, "INTERNAL: so it is"},
		{GRPC_CANCELLED, "CANCELLED: so it is"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig rig;
		rig_open(&rig);
		rig_connect(&rig);
		take_state(&rig, NULL);
		grpc_call_finish(
			rig.call, cases[i].status, cases[i].status == GRPC_OK ? "" : "so it is");
		run(&rig, 2 * SECOND_US);
		take_state(&rig, cases[i].text);
		take_state(&rig, NULL);
		assert_int_equal(rig.connects, 2);
		rig_close(&rig);
	}
}

static void a_malformed_message_breaks_it_off(void **state)
{
	struct rig rig;
	struct buffer message = {0};
	(void)state;
	rig_open(&rig);
	rig_connect(&rig);
	take_state(&rig, NULL);
	proto_raw(&message, RAW("\x0a\x05no"));
	say(&rig, &message);
	run(&rig, 20000);
	take_state(&rig, "message of 4 bytes: malformed data");
	assert_null(rig.call);
	assert_int_equal(rig.server_status, GRPC_CANCELLED);
	rig_close(&rig);
}

/* It is heard of within the time, not only at the next heartbeat. */
static void silence_breaks_it_off(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.options.activity_us = 50 * SECOND_US;
	rig_connect(&rig);
	run(&rig, 119 * SECOND_US);
	assert_int_equal(rig.heartbeats, 2 + 3); /* at its beginning, then every 30 s */
	take_state(&rig, NULL);
	take_none(&rig);
	rig.is_mute = true;
	run(&rig, 20 * SECOND_US); /* the last answer came at 90 s */
	take_none(&rig);
	run(&rig, 2 * SECOND_US);
	take_state(&rig, "the Streamer is silent");
	rig_close(&rig);
}

static void a_short_lease_is_kept(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.welcome.lease_ms = 9000;
	rig_connect(&rig);
	run(&rig, 10 * SECOND_US);
	assert_int_equal(rig.heartbeats, 2 + 3);
	rig_close(&rig);
}

static void nobody_answers(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.is_mute = true;
	rig_connect(&rig);
	ask(&rig, "a");
	take_back(&rig, "y");
	run(&rig, 89 * SECOND_US);
	assert_string_equal(rig.said, "hello");
	take_none(&rig);
	run(&rig, SECOND_US);
	take_state(&rig, "the Streamer is silent");
	rig_close(&rig);
}

/* ---- the consumer does not take -------------------------------------------------------------- */

/* While much is queued nothing is read, and that is no silence of the Streamer's. */
static void a_full_queue_holds_it_back(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.options.pause_bytes = 400;
	rig_connect(&rig);
	take_state(&rig, NULL);
	for (int i = 0; i < 100; i++) {
		say_delivery(&rig, "a");
	}
	run(&rig, 500 * SECOND_US);
	assert_true(remote_client_is_paused(rig.client));
	assert_true(stream_queued_bytes(rig.stream) < 1200);
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

/* What has come outlives the connection, and no other one is made before some of it is taken. */
static void a_full_queue_holds_off_the_next(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.options.pause_bytes = 400;
	rig_connect(&rig);
	for (int i = 0; i < 100; i++) {
		say_delivery(&rig, "a");
	}
	grpc_call_finish(rig.call, GRPC_UNAVAILABLE, "shutting down");
	grpc_server_conn_drain(rig.conn);
	run(&rig, 100 * SECOND_US);
	assert_null(rig.conn);
	assert_int_equal(rig.connects, 1);
	assert_true(remote_client_is_paused(rig.client));
	take_state(&rig, NULL);
	take_state(&rig, "UNAVAILABLE: shutting down");
	for (int i = 0; i < 100; i++) {
		take(&rig, STREAM_DELIVERY);
	}
	take_none(&rig);
	remote_client_resume(rig.client);
	run(&rig, SECOND_US);
	assert_int_equal(rig.connects, 2);
	take_state(&rig, NULL);
	rig_close(&rig);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* More than the call takes waits its turn; and what has waited goes in bulk. */
static void requests_wait_for_room(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.options.waiting_bytes_max = 8 << 20;
	rig_connect(&rig);
	take_state(&rig, NULL);
	grpc_call_pause(rig.call, true);
	for (int i = 0; i < 40; i++) {
		char id[16];
		(void)snprintf(id, sizeof(id), "s%d", i);
		ask_large(&rig, id, 30000);
	}
	run(&rig, SECOND_US);
	assert_int_equal(rig.subscribes, 0);
	grpc_call_pause(rig.call, false);
	run(&rig, SECOND_US);
	assert_int_equal(rig.subscribes, 40);
	assert_non_null(strstr(rig.said, " bulk:"));
	for (int i = 0; i < 40; i++) {
		char id[16];
		(void)snprintf(id, sizeof(id), "s%d", i);
		take_answer(&rig, id, MODEL_ACCEPTED);
	}
	rig_close(&rig);
}

/* What waits has a limit of its own, and what no Streamer would take is not sent at all. */
static void what_waits_is_bounded(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_hush(&rig);
	rig.options.waiting_bytes_max = 1000;
	rig.options.backoff_max_us = SECOND_US;
	assert_int_equal(try_connect(&rig), OK);
	run(&rig, SECOND_US);
	take_state(&rig, "cannot connect to 127.0.0.1:5000");
	ask_large(&rig, "a", 700);
	ask_large(&rig, "b", 700);
	take_answer(&rig, "b", MODEL_REFUSED_LIMIT);
	take_back(&rig, "a");
	ask_large(&rig, "b", 700);
	take_none(&rig);
	rig_listen(&rig);
	rig.welcome.message_bytes_max = 600;
	run(&rig, 3 * SECOND_US);
	take_state(&rig, NULL);
	struct stream_item item = peek_item(&rig, STREAM_ANSWER);
	assert_true(bytes_equal(item.answer.text,
		bytes_of("the request has 716 bytes; this Streamer takes at most 600")));
	take_answer(&rig, "b", MODEL_REFUSED_LIMIT);
	ask(&rig, "c");
	run(&rig, SECOND_US);
	take_answer(&rig, "c", MODEL_ACCEPTED);
	assert_string_equal(rig.said, "hello registered +c");
	rig_close(&rig);
}

static void an_id_is_asked_for_once(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_connect(&rig);
	take_state(&rig, NULL);
	ask(&rig, "a");
	ask(&rig, "a");
	take_answer(&rig, "a", MODEL_REFUSED_DUPLICATE);
	run(&rig, SECOND_US);
	take_answer(&rig, "a", MODEL_ACCEPTED);
	take_back(&rig, "a");
	ask(&rig, "a");
	run(&rig, SECOND_US);
	take_answer(&rig, "a", MODEL_ACCEPTED);
	assert_string_equal(rig.said, "hello registered +a -a +a");
	rig_close(&rig);
}

/* It is unsubscribed behind its answer, which nobody waits for; and asked for anew behind that. */
static void taken_back_before_its_answer(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.options.waiting_bytes_max = 100;
	rig_connect(&rig);
	take_state(&rig, NULL);
	ask(&rig, "a");
	take_back(&rig, "a");
	take_back(&rig, "a");
	ask(&rig, "!b");
	take_back(&rig, "!b");
	ask(&rig, "c");
	take_back(&rig, "c");
	ask(&rig, "c");
	ask(&rig, "c");
	take_answer(&rig, "c", MODEL_REFUSED_DUPLICATE);
	for (int i = 0; i < 100; i++) {
		take_back(&rig, "c");
		ask(&rig, "c");
	}
	run(&rig, SECOND_US);
	assert_string_equal(rig.said, "hello registered +a +!b +c -a -c +c");
	take_answer(&rig, "c", MODEL_ACCEPTED);
	take_none(&rig);
	rig_close(&rig);
}

/* ---- original servers ------------------------------------------------------------------------ */

/* A server of the original would deliver the whole collection. */
static void an_original_is_sent_no_expression(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.is_original = true;
	assert_int_equal(try_connect(&rig), OK);
	assert_int_equal(try_subscribe(&rig, "x", "age > 18"), OK); /* nobody has answered yet */
	ask(&rig, "y");
	ask(&rig, "z");
	run(&rig, SECOND_US);
	assert_int_equal(try_subscribe(&rig, "x", "age > 18"), OK);
	run(&rig, SECOND_US);
	assert_string_equal(rig.said, "hello +y +z");
	take_state(&rig, NULL);
	take_answer(&rig, "x", MODEL_REFUSED_EXPRESSION);
	take_answer(&rig, "y", MODEL_ACCEPTED);
	take_answer(&rig, "z", MODEL_ACCEPTED);
	take_answer(&rig, "x", MODEL_REFUSED_EXPRESSION);
	take_none(&rig);
	rig_close(&rig);
}

static void expressions_follow_the_welcome(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	assert_int_equal(try_connect(&rig), OK);
	assert_int_equal(try_subscribe(&rig, "x", "age > 18"), OK);
	run(&rig, SECOND_US);
	assert_string_equal(rig.said, "hello +x registered");
	take_state(&rig, NULL);
	take_answer(&rig, "x", MODEL_ACCEPTED);
	take_none(&rig);
	rig_close(&rig);
}

/* ---- closing --------------------------------------------------------------------------------- */

/* `closed` comes in a later turn, however little memory there is. */
static void closing_needs_no_memory(void **state)
{
	struct rig rig;
	struct failing failing;
	(void)state;
	rig_open(&rig);
	rig_connect(&rig);
	grpc_call_finish(rig.call, GRPC_UNIMPLEMENTED, "");
	run(&rig, SECOND_US); /* the connection is gone */
	failing_start(&failing, 0);
	remote_client_close(rig.client, rig_client_closed, &rig);
	(void)failing_stop(&failing);
	assert_int_equal(rig.closed, 0);
	run(&rig, 20000);
	assert_int_equal(rig.closed, 1);
	rig_close(&rig);
}

/* With subscriptions in each state, at any moment of a connection's life. */
static void it_may_be_closed_at_any_time(void **state)
{
	(void)state;
	for (int64_t after_us = 0; after_us < 2 * SECOND_US; after_us = after_us * 2 + 100) {
		struct rig rig;
		rig_open(&rig);
		assert_int_equal(try_connect(&rig), OK);
		ask(&rig, "a");
		run(&rig, after_us);
		ask(&rig, "b");
		take_back(&rig, "a");
		ask(&rig, "a");
		if (rig.conn) {
			grpc_server_conn_close(rig.conn);
		}
		run(&rig, after_us);
		ask(&rig, "c");
		rig_close(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_is_queued),
		cmocka_unit_test(notices_and_gaps_are_queued),
		cmocka_unit_test(parts_are_one_delivery),
		cmocka_unit_test(parts_without_the_document_are_another),
		cmocka_unit_test(parts_without_a_rest_are_none),
		cmocka_unit_test(what_no_try_would_change_ends_it),
		cmocka_unit_test(other_ends_are_not_for_good),
		cmocka_unit_test(a_malformed_message_breaks_it_off),
		cmocka_unit_test(silence_breaks_it_off),
		cmocka_unit_test(a_short_lease_is_kept),
		cmocka_unit_test(nobody_answers),
		cmocka_unit_test(a_full_queue_holds_it_back),
		cmocka_unit_test(a_full_queue_holds_off_the_next),
		cmocka_unit_test(requests_wait_for_room),
		cmocka_unit_test(what_waits_is_bounded),
		cmocka_unit_test(an_id_is_asked_for_once),
		cmocka_unit_test(taken_back_before_its_answer),
		cmocka_unit_test(an_original_is_sent_no_expression),
		cmocka_unit_test(expressions_follow_the_welcome),
		cmocka_unit_test(closing_needs_no_memory),
		cmocka_unit_test(it_may_be_closed_at_any_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
