/* worker through its header, in virtual time: events from its ring to its streams, how far it has
 * routed, what becomes of slow and gone streams, and its end. */
#include "failing.h"
#include "remote_gateway.h"
#include "value.h"
#include "worker_rig.h"

#include <string.h>
#include <unistd.h>

/* ---- tests ----------------------------------------------------------------------------------- */

static void events_go_from_the_ring_to_their_streams(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	size_t one = attach(&rig, &wide);
	size_t two = attach(&rig, &wide);
	subscribe(&rig, one, "a", "users");
	subscribe(&rig, two, "b", "orders");
	(void)pop(&rig, one, STREAM_ANSWER);
	(void)pop(&rig, two, STREAM_ANSWER);
	assert_int_equal(push(&rig, USERS, true), OK);
	assert_int_equal(push(&rig, ORDERS, true), OK);
	assert_int_equal(push(&rig, USERS, true), OK);
	check_empty(&rig, one); /* on the worker's own turn */
	assert_int_equal(worker_routed(rig.worker), 0);
	run(&rig, 1000);
	pop_delivery(&rig, one, 1, "a");
	pop_delivery(&rig, one, 3, "a");
	check_empty(&rig, one);
	pop_delivery(&rig, two, 2, "b");
	check_empty(&rig, two);
	assert_int_equal(worker_routed(rig.worker), 3);
	assert_true(rig.routed > 0);
	rig_close(&rig);
}

static void what_ingest_left_unread_is_read(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	size_t one = attach(&rig, &wide);
	subscribe(&rig, one, "a", "users");
	(void)pop(&rig, one, STREAM_ANSWER);
	assert_int_equal(push(&rig, ORDERS, false), OK);
	assert_int_equal(push(&rig, USERS, false), OK);
	run(&rig, 1000);
	pop_delivery(&rig, one, 2, "a");
	check_empty(&rig, one);
	assert_int_equal(worker_routed(rig.worker), 2);
	rig_close(&rig);
}

static void subscribe_to_name(struct rig *rig, size_t i, const char *id, const char *name)
{
	const struct value value = value_string(bytes_of(name));
	const struct model_filter filter = {
		.field = bytes_of("name"), .op = bytes_of("=="), .value = &value};
	const struct model_subscription subscription = {.id = bytes_of(id),
		.database = bytes_of("d"),
		.collection = bytes_of("users"),
		.filters = &filter,
		.filters_count = 1};
	const struct err_info fine = {0};
	worker_subscribe(rig->attached[i], &subscription, &fine);
	(void)pop(rig, i, STREAM_ANSWER);
}

/* Ingest has skipped what nobody looked at; since then somebody does. */
static void what_ingest_has_skipped_is_read(void **state)
{
	static const char ada[] = "{\"op\":\"insert\",\"database\":\"d\",\"collection\":\"users\","
				  "\"id\":\"1\",\"data\":{\"name\":\"ada\",\"age\":7}}";
	struct rig rig;
	(void)state;
	rig_open(&rig);
	size_t one = attach(&rig, &wide);
	subscribe_to_name(&rig, one, "a", "ada");
	for (uint64_t sequence = 1; sequence <= 2; sequence++) {
		const struct wire_event_options options = {.json_depth_max = 100,
			.read = true,
			.sequence = sequence,
			.skipped = sequence == 1 ? UINT64_MAX : 0};
		struct event *event = make_event_with(ada, &options);
		bool has_name = value_member(event->document, bytes_of("name"));
		assert_int_equal(has_name, sequence == 2);
		assert_int_equal(push_made(&rig, event), OK);
	}
	run(&rig, 1000);
	pop_delivery(&rig, one, 1, "a");
	pop_delivery(&rig, one, 2, "a");
	check_empty(&rig, one);
	rig_close(&rig);
}

/* A delete that only its document's identity names: who asked for that document makes it known. */
static void an_unknown_delete_is_identified(void **state)
{
	struct rig rig;
	struct event_identity identity;
	const struct value id = value_string(bytes_of("u1"));
	const struct model_filter filter = {
		.field = bytes_of("_id"), .op = bytes_of("=="), .value = &id};
	const struct model_subscription subscription = {.id = bytes_of("a"),
		.database = bytes_of("d"),
		.collection = bytes_of("users"),
		.filters = &filter,
		.filters_count = 1};
	const struct model_change change = {.event_id = bytes_of("1-1-a"),
		.database = bytes_of("d"),
		.kind = MODEL_CHANGE_DELETE};
	const struct wire_document_head head = {0};
	const struct wire_event_options options = {.json_depth_max = 100,
		.read = true,
		.sequence = 1,
		.identity = &identity,
		.is_purge = true};
	const struct err_info fine = {0};
	struct event *event = NULL;
	struct stream_item item;
	(void)state;
	rig_open(&rig);
	size_t one = attach(&rig, &wide);
	size_t other = attach(&rig, &wide);
	worker_subscribe(rig.attached[one], &subscription, &fine);
	subscribe(&rig, other, "b", "users"); /* asked for no document by its id */
	assert_int_equal(pop(&rig, one, STREAM_ANSWER).answer.refusal, MODEL_ACCEPTED);
	(void)pop(&rig, other, STREAM_ANSWER);
	assert_true(event_identity_of(bytes_of("users"), bytes_of("u1"), &identity));
	assert_int_equal(wire_event_make(&change, MODEL_DELETE, &head, &options, NULL, &event), OK);
	assert_int_equal(worker_push(rig.worker, event), OK);
	run(&rig, 1000);
	assert_int_equal(stream_peek(rig.streams[one], &item), OK);
	assert_int_equal(item.kind, STREAM_DELIVERY);
	assert_true(bytes_equal(item.event->collection, bytes_of("users")));
	assert_true(bytes_equal(item.event->document_id, bytes_of("u1")));
	assert_int_equal(event->document_id.size, 0); /* the shared one stays as it is */
	stream_pop(rig.streams[one]);
	check_empty(&rig, other);
	event_unref(event);
	rig_close(&rig);
}

/* The ring says when it is full, takes no reference then, and tells when there is room. */
static void a_full_ring_takes_nothing(void **state)
{
	struct rig rig;
	(void)state;
	rig_prepare(&rig);
	rig.options.ring_events = 8;
	assert_int_equal(try_worker(&rig), OK);
	size_t room = worker_room(rig.worker);
	assert_true(room >= 8);
	for (size_t i = 0; i < room; i++) {
		assert_int_equal(push(&rig, USERS, true), OK);
	}
	assert_int_equal(worker_room(rig.worker), 0);
	assert_int_equal(push(&rig, USERS, true), ERR_FULL);
	assert_int_equal(rig.routed, 0);
	run(&rig, 1000);
	assert_int_equal(worker_routed(rig.worker), room);
	assert_int_equal(worker_room(rig.worker), room);
	assert_true(rig.routed > 0);
	assert_int_equal(push(&rig, USERS, true), OK); /* stays in the ring to the end */
	rig_close(&rig);
}

/* More than one turn may take: all are routed, in order. */
static void a_backlog_is_routed_whole(void **state)
{
	struct rig rig;
	(void)state;
	rig_prepare(&rig);
	rig.options.ring_events = 4096;
	assert_int_equal(try_worker(&rig), OK);
	size_t one = attach(&rig, &wide);
	subscribe(&rig, one, "a", "users");
	(void)pop(&rig, one, STREAM_ANSWER);
	for (int i = 0; i < 4000; i++) {
		assert_int_equal(push(&rig, USERS, true), OK);
	}
	run(&rig, 1000000);
	assert_int_equal(worker_routed(rig.worker), 4000);
	for (uint64_t i = 1; i <= 4000; i++) {
		pop_delivery(&rig, one, i, "a");
	}
	check_empty(&rig, one);
	rig_close(&rig);
}

static void requests_are_answered(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	size_t one = attach(&rig, &wide);
	subscribe(&rig, one, "a", "users");
	subscribe(&rig, one, "a", "users");
	worker_unsubscribe(rig.attached[one], bytes_of("unknown"));
	worker_unsubscribe(rig.attached[one], bytes_of("a"));
	worker_heartbeat(rig.attached[one], &(struct model_heartbeat){.timestamp_ms = 9});
	assert_int_equal(pop(&rig, one, STREAM_ANSWER).answer.refusal, MODEL_ACCEPTED);
	assert_int_equal(pop(&rig, one, STREAM_ANSWER).answer.refusal, MODEL_REFUSED_DUPLICATE);
	assert_int_equal(pop(&rig, one, STREAM_ACK).timestamp_ms, 9);
	assert_int_equal(push(&rig, USERS, true), OK);
	run(&rig, 1000);
	check_empty(&rig, one);
	rig_close(&rig);
}

static enum model_refusal ask_quietly(
	struct rig *rig, size_t i, const char *id, const char *collection)
{
	const struct model_subscription subscription = {
		.id = bytes_of(id), .database = bytes_of("d"), .collection = bytes_of(collection)};
	const struct err_info fine = {0};
	struct model_answer answer;
	worker_subscribe_quietly(rig->attached[i], &subscription, &fine, &answer);
	assert_true(bytes_equal(answer.id, subscription.id));
	assert_int_equal(answer.live_after.size > 0, answer.refusal == MODEL_ACCEPTED);
	return answer.refusal;
}

/* Quietly, the same may be asked for again; on the stream each id is answered for what it is. */
static void the_same_may_be_registered_again(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	size_t one = attach(&rig, &wide);
	assert_int_equal(push(&rig, USERS, true), OK);
	run(&rig, 1000);
	assert_int_equal(ask_quietly(&rig, one, "a", "users"), MODEL_ACCEPTED);
	assert_int_equal(ask_quietly(&rig, one, "a", "users"), MODEL_ACCEPTED);
	assert_int_equal(ask_quietly(&rig, one, "a", "orders"), MODEL_REFUSED_DUPLICATE);
	check_empty(&rig, one);
	subscribe(&rig, one, "a", "users");
	assert_int_equal(pop(&rig, one, STREAM_ANSWER).answer.refusal, MODEL_REFUSED_DUPLICATE);
	assert_int_equal(figure(&rig, METRIC_subscriptions_active), 1);
	assert_int_equal(push(&rig, USERS, true), OK);
	run(&rig, 1000);
	pop_delivery(&rig, one, 2, "a");
	check_empty(&rig, one);
	rig_close(&rig);
}

/* A stream that is gone matches nothing at once; its subscriptions go piece by piece. */
static void gone_streams_are_swept(void **state)
{
	const int count = 2000;
	struct rig rig;
	(void)state;
	rig_open(&rig);
	size_t one = attach(&rig, &wide);
	size_t two = attach(&rig, &wide);
	for (int i = 0; i < count; i++) {
		char id[16];
		(void)snprintf(id, sizeof(id), "s%d", i);
		subscribe(&rig, one, id, "users");
	}
	subscribe(&rig, two, "b", "users");
	(void)pop(&rig, two, STREAM_ANSWER);
	int64_t queued = figure(&rig, METRIC_deliveries_queued);
	detach(&rig, one);
	assert_int_equal(figure(&rig, METRIC_subscriptions_active), count + 1);
	assert_int_equal(push(&rig, USERS, true), OK);
	run(&rig, 1000000);
	assert_int_equal(figure(&rig, METRIC_subscriptions_active), 1);
	assert_int_equal(figure(&rig, METRIC_deliveries_queued), queued + 1);
	pop_delivery(&rig, two, 1, "b");
	rig_close(&rig);
}

/* The slow one ends, with its subscriptions; the other one misses nothing. */
static void a_slow_stream_ends_alone(void **state)
{
	const struct stream_limits narrow = {
		.hard_bytes = 2000, .soft_bytes = 2000, .soft_us = 1000000};
	struct rig rig;
	(void)state;
	rig_open(&rig);
	size_t slow = attach(&rig, &narrow);
	size_t good = attach(&rig, &wide);
	subscribe(&rig, slow, "a", "users");
	subscribe(&rig, good, "b", "users");
	(void)pop(&rig, good, STREAM_ANSWER);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(push(&rig, USERS, true), OK);
	}
	run(&rig, 10000);
	assert_int_equal(pop(&rig, slow, STREAM_END).why, ERR_LIMIT);
	assert_int_equal(figure(&rig, METRIC_streams_slow), 1);
	assert_int_equal(figure(&rig, METRIC_subscriptions_active), 1);
	subscribe(&rig, slow, "c", "users"); /* of an ended stream: nothing comes of it */
	assert_int_equal(ask_quietly(&rig, slow, "d", "users"), MODEL_REFUSED_LIMIT);
	worker_unsubscribe(rig.attached[slow], bytes_of("a"));
	worker_heartbeat(rig.attached[slow], &(struct model_heartbeat){.timestamp_ms = 1});
	assert_int_equal(figure(&rig, METRIC_subscriptions_active), 1);
	for (uint64_t i = 1; i <= 100; i++) {
		pop_delivery(&rig, good, i, "b");
	}
	rig_close(&rig);
}

/* The line of the log about a stream with these limits that does not read 100 events. */
static void slow_line(const struct stream_limits *limits, char *ret_line, size_t size)
{
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	const struct log log = {.fd = fds[1], .least = LOG_WARNING};
	struct rig rig;
	rig_prepare(&rig);
	rig.options.log = &log;
	rig.options.stream = *limits;
	assert_int_equal(try_worker(&rig), OK);
	size_t slow = attach(&rig, limits);
	subscribe(&rig, slow, "a", "users");
	for (int i = 0; i < 100; i++) {
		assert_int_equal(push(&rig, USERS, true), OK);
	}
	run(&rig, 3000000);
	assert_int_equal(pop(&rig, slow, STREAM_END).why, ERR_LIMIT);
	ssize_t got = read(fds[0], ret_line, size - 1);
	assert_true(got > 0);
	ret_line[got] = '\0';
	rig_close(&rig);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

/* It said both limits and not which of them. */
static void the_log_says_which_limit_a_slow_stream_exceeded(void **state)
{
	const struct stream_limits hard = {
		.hard_bytes = 2000, .soft_bytes = 2000, .soft_us = 1000000};
	const struct stream_limits soft = {
		.hard_bytes = 10000000, .soft_bytes = 200, .soft_us = 1000000};
	char line[1000];
	(void)state;
	slow_line(&hard, line, sizeof(line));
	assert_non_null(strstr(line, "too slow: queue_hard_bytes exceeded, "));
	assert_non_null(strstr(line, "queue_hard_bytes=2000 "));
	slow_line(&soft, line, sizeof(line));
	assert_non_null(strstr(line, "too slow: queue_soft_bytes exceeded for queue_soft_ms, "));
	assert_non_null(strstr(line, "queue_soft_bytes=200 queue_soft_ms=1000\n"));
}

/* With no further event to notice it. */
static void the_soft_limit_needs_no_traffic(void **state)
{
	const struct stream_limits narrow = {
		.hard_bytes = 100000, .soft_bytes = 200, .soft_us = 1000000};
	struct rig rig;
	(void)state;
	rig_open(&rig);
	size_t one = attach(&rig, &narrow);
	subscribe(&rig, one, "a", "users");
	for (int i = 0; i < 10; i++) {
		assert_int_equal(push(&rig, USERS, true), OK);
	}
	run(&rig, 500000);
	assert_false(stream_has_ended(rig.streams[one]));
	run(&rig, 1000000);
	assert_int_equal(pop(&rig, one, STREAM_END).why, ERR_LIMIT);
	assert_int_equal(figure(&rig, METRIC_subscriptions_active), 0);
	rig_close(&rig);
}

static void draining_gives_what_is_queued(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	size_t one = attach(&rig, &wide);
	subscribe(&rig, one, "a", "users");
	(void)pop(&rig, one, STREAM_ANSWER);
	assert_int_equal(push(&rig, USERS, true), OK);
	run(&rig, 1000);
	worker_drain(rig.worker);
	assert_false(worker_is_drained(rig.worker));
	pop_delivery(&rig, one, 1, "a");
	assert_true(worker_is_drained(rig.worker));
	assert_int_equal(pop(&rig, one, STREAM_END).why, ERR_UNAVAILABLE);
	rig_close(&rig);
}

static void closing_ends_streams_at_once(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	size_t one = attach(&rig, &wide);
	subscribe(&rig, one, "a", "users");
	worker_close(rig.worker, on_closed, &rig);
	assert_int_equal(rig.closed, 0);
	assert_int_equal(pop(&rig, one, STREAM_END).why, ERR_UNAVAILABLE);
	run(&rig, 1000);
	assert_int_equal(rig.closed, 1);
	rig_close(&rig);
}

/* ---- gateways -------------------------------------------------------------------------------- */

static void accepted(void *ctx, int socket)
{
	struct rig *rig = ctx;
	worker_adopt(rig->worker, socket);
}

/* The worker takes connections, and there is one with a call. */
static struct loop_listener *open_gateway(struct rig *rig, struct gateway *gateway)
{
	struct loop_listener *listener = NULL;
	struct err_info info = {0};
	assert_int_equal(
		loop_listen(rig->loop, "127.0.0.1:0", accepted, rig, &listener, &info), OK);
	assert_int_equal(gateway_connect(gateway, rig->loop, loop_listener_address(listener)), OK);
	assert_int_equal(gateway_call(gateway->client, WIRE_STREAMER_STREAM, gateway), OK);
	return listener;
}

static void gateways_are_streams_too(void **state)
{
	struct rig rig;
	struct gateway gateway;
	(void)state;
	rig_open(&rig);
	struct loop_listener *listener = open_gateway(&rig, &gateway);
	gateway_subscribe(&gateway, "a");
	run(&rig, 20000);
	assert_int_equal(figure(&rig, METRIC_subscriptions_active), 1);
	assert_int_equal(push(&rig, USERS, true), OK);
	run(&rig, 20000);
	assert_int_equal(gateway.said_count, 2);
	assert_int_equal(gateway.said[0].kind, WIRE_STREAMER_ANSWER);
	assert_int_equal(gateway.said[1].kind, WIRE_STREAMER_DELIVERY);
	assert_string_equal(gateway.said[1].id, "a");
	grpc_client_close(gateway.client);
	run(&rig, 20000);
	assert_int_equal(figure(&rig, METRIC_subscriptions_active), 0);
	assert_int_equal(gateway_connect(&gateway, rig.loop, loop_listener_address(listener)), OK);
	worker_close(rig.worker, on_closed, &rig); /* before it is adopted: it is closed */
	run(&rig, 20000);
	assert_int_equal(gateway.closed, 1);
	loop_listener_free(listener);
	rig_close(&rig);
}

/* What got lost is the answer, and the gateway asks again. */
static void a_bulk_may_be_repeated(void **state)
{
	enum { COUNT = 700 };
	struct rig rig;
	struct gateway gateway;
	struct buffer message = {0};
	const struct model_subscription other = {
		.id = bytes_of("s3"), .database = bytes_of("d"), .collection = bytes_of("orders")};
	(void)state;
	rig_open(&rig);
	struct loop_listener *listener = open_gateway(&rig, &gateway);
	gateway_hello(&gateway, &(struct model_hello){.version = 1, .gateway_id = bytes_of("g")});
	assert_int_equal(wire_subscribe_encode(&message, &other), OK);
	gateway_send(&gateway, &message);
	gateway_bulk(&gateway, 7, "s", COUNT);
	gateway_bulk(&gateway, 7, "s", COUNT);
	run(&rig, 100000);
	assert_int_equal(gateway.said_count, 4); /* behind the Welcome and an answer */
	for (unsigned i = 2; i < 4; i++) {
		assert_int_equal(gateway.said[i].kind, WIRE_STREAMER_BULK_ANSWER);
		assert_true(gateway.said[i].bulk_id == 7);
		assert_int_equal(gateway.said[i].accepted, COUNT - 1);
		assert_int_equal(gateway.said[i].refused, 1); /* s3 stands for something else */
	}
	assert_int_equal(figure(&rig, METRIC_subscriptions_active), COUNT);
	grpc_client_close(gateway.client);
	run(&rig, 20000);
	loop_listener_free(listener);
	rig_close(&rig);
}

/* ---- lack of memory -------------------------------------------------------------------------- */

/* Whoever misses something is told: a stream has all that it subscribed to, or its end. */
static bool try_life(size_t fail_at)
{
	struct rig rig;
	struct failing failing;
	struct event *event = make_event(USERS, 1, false);
	struct event *shared = make_event(USERS, 2, true);
	rig_prepare(&rig);
	failing_start(&failing, fail_at);
	bool has_stream = try_worker(&rig) == OK && try_attach(&rig, &wide) == OK;
	if (has_stream) {
		subscribe(&rig, 0, "a", "users");
		has_stream = worker_push(rig.worker, event) == OK &&
			worker_push(rig.worker, shared) == OK;
		run(&rig, 10000);
	}
	bool has_struck = failing_stop(&failing);
	struct stream_item item;
	if (has_stream && stream_peek(rig.streams[0], &item) == OK && item.kind == STREAM_ANSWER) {
		bool is_accepted = item.answer.refusal == MODEL_ACCEPTED;
		stream_pop(rig.streams[0]);
		if (is_accepted) {
			pop_delivery(&rig, 0, 1, "a");
			pop_delivery(&rig, 0, 2, "a");
		}
		check_empty(&rig, 0);
		assert_true(has_struck || is_accepted);
	} else if (has_stream) {
		assert_int_equal(pop(&rig, 0, STREAM_END).why, ERR_MEMORY);
	}
	assert_true(has_struck || has_stream);
	event_unref(event);
	event_unref(shared);
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
	assert_true(fail_at > 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_go_from_the_ring_to_their_streams),
		cmocka_unit_test(what_ingest_left_unread_is_read),
		cmocka_unit_test(what_ingest_has_skipped_is_read),
		cmocka_unit_test(an_unknown_delete_is_identified),
		cmocka_unit_test(a_full_ring_takes_nothing),
		cmocka_unit_test(a_backlog_is_routed_whole),
		cmocka_unit_test(requests_are_answered),
		cmocka_unit_test(the_same_may_be_registered_again),
		cmocka_unit_test(gone_streams_are_swept),
		cmocka_unit_test(a_slow_stream_ends_alone),
		cmocka_unit_test(the_log_says_which_limit_a_slow_stream_exceeded),
		cmocka_unit_test(the_soft_limit_needs_no_traffic),
		cmocka_unit_test(draining_gives_what_is_queued),
		cmocka_unit_test(closing_ends_streams_at_once),
		cmocka_unit_test(gateways_are_streams_too),
		cmocka_unit_test(a_bulk_may_be_repeated),
		cmocka_unit_test(survives_each_failure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
