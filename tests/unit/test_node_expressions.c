/*
 * Expressions and what else a subscription may ask for, as the users of the public library have
 * them: what is delivered, what a refusal says, and what becomes of an expression that does no
 * good, on every kind of stream; then what other Streamers may say: one that knows no expressions,
 * and one that has gaps.
 */
#include "grpc.h"
#include "make_event.h"
#include "node_rig.h"
#include "wire.h"

#include <pthread.h>
#include <string.h>

#include <cmocka.h>

#define FAILURES 3 /* of an expression in a row, before a notice */
#define STEPS 1000 /* of one evaluation */
#define TEXT_OF_(number) #number
#define TEXT_OF(number) TEXT_OF_(number)

static struct streamer_subscription by_expression(const char *id, const char *expression)
{
	struct streamer_subscription subscription = users(id, NULL, 0);
	subscription.expression = expression;
	return subscription;
}

static void delivers_by_expression(struct end *end)
{
	const struct streamer_filter young = {"age", "<", "100"};
	struct streamer_subscription subscription = by_expression("a", "age > 18 && has(doc.age)");
	subscription.filters = &young;
	subscription.filters_count = 1;
	subscribe(end, &subscription);
	subscription = by_expression("b", "_id.startsWith('a') || event.operation == 'DELETE'");
	subscribe(end, &subscription);
	subscription = by_expression("c", ""); /* none: the whole collection */
	subscribe(end, &subscription);

	static const struct {
		const char *op, *id;
		int age;
		const char *ids; /* a letter each */
	} rows[] = {{"insert", "ada", 36, "abc"}, {"insert", "abe", 3, "bc"},
		{"update", "zoe", 19, "ac"}, {"insert", "zac", 18, "c"},
		{"insert", "zen", 100, "c"}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct streamer_item item;
		push_user(end->streamer, rows[i].op, rows[i].id, rows[i].age);
		next(end->stream, &item);
		assert_int_equal(item.kind, STREAMER_DELIVERY);
		assert_bytes(item.document_id, rows[i].id);
		assert_int_equal(item.subscription_ids_count, strlen(rows[i].ids));
		for (size_t j = 0; j < item.subscription_ids_count; j++) {
			assert_int_equal(item.subscription_ids[j].size, 1);
			assert_non_null(strchr(rows[i].ids, item.subscription_ids[j].data[0]));
		}
	}
}

static void test_delivers_by_expression(void **state)
{
	(void)state;
	on_both_kinds(delivers_by_expression);
}

static void omits_documents(struct end *end)
{
	struct streamer_subscription subscription = users("whole", NULL, 0);
	subscribe(end, &subscription);
	subscription = users("bare", NULL, 0);
	subscription.omit_document = true;
	subscribe(end, &subscription);
	push_user(end->streamer, "insert", "ada", 36);
	for (size_t i = 0; i < 2; i++) {
		struct streamer_item item;
		next(end->stream, &item);
		assert_int_equal(item.kind, STREAMER_DELIVERY);
		assert_bytes(item.document_id, "ada");
		assert_int_equal(item.operation, STREAMER_INSERT);
		assert_int_equal(item.subscription_ids_count, 1);
		assert_bytes(item.subscription_ids[0], i == 0 ? "whole" : "bare");
		assert_int_equal(item.document.size > 0, i == 0);
		assert_int_equal(item.position.size > 0, i == 1); /* the event's last */
	}
}

static void test_omits_documents(void **state)
{
	(void)state;
	on_both_kinds(omits_documents);
}

/* Subscribes and takes the answer, which says no. */
static struct streamer_item refused(
	struct end *end, const struct streamer_subscription *subscription)
{
	struct streamer_item item;
	assert_int_equal(streamer_subscribe(end->stream, subscription, NULL, NULL), STREAMER_OK);
	next(end->stream, &item);
	assert_int_equal(item.kind, STREAMER_ANSWER);
	assert_false(item.accepted);
	assert_bytes(item.subscription_id, subscription->id);
	return item;
}

static void refuses_expressions(struct end *end)
{
	static const struct {
		const char *expression;
		uint32_t line, column;
		const char *text, *hint;
	} rows[] = {
		{"age >", 1, 6, "ends too early", "value"},
		{"age = 18", 1, 5, "no operator '='", "=="},
		{"true &&\n  'ö' == nosuch(1)", 2, 10, "no function 'nosuch'", "man 7"},
		{"1 + 1", 1, 1, "not a bool", "compare"},
		{"a.all(x, a.all(y, a.all(z, x == z)))", 1, 1, "steps", "macro"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct streamer_subscription subscription =
			by_expression("wrong", rows[i].expression);
		struct streamer_item item = refused(end, &subscription);
		assert_int_equal(item.line, rows[i].line);
		assert_int_equal(item.column, rows[i].column);
		assert_int_equal(item.filter, 0);
		assert_true(contains(item.text, rows[i].text));
		assert_true(contains(item.hint, rows[i].hint));
	}
	const struct streamer_filter filters[] = {{"age", ">", "1"}, {"age", "eq", "18"}};
	struct streamer_subscription subscription = by_expression("wrong", "age > 18");
	subscription.filters = filters;
	subscription.filters_count = 2;
	struct streamer_item item = refused(end, &subscription);
	assert_int_equal(item.filter, 2);
	assert_int_equal(item.line + item.column, 0);
	assert_true(contains(item.text, "unsupported operator: eq"));
	assert_true(contains(item.hint, "=="));

	struct streamer_failure failure = {0};
	subscription = by_expression("wrong", "name == '\xff'");
	assert_int_equal(
		streamer_subscribe(end->stream, &subscription, &failure, NULL), STREAMER_INVALID);
	assert_non_null(strstr(failure.text, "UTF-8"));
	assert_int_equal(streamer_receive(end->stream, &item), STREAMER_EMPTY);
	subscription = by_expression("wrong", "age > 18"); /* the id is still free */
	subscribe(end, &subscription);
}

static void test_refuses_expressions(void **state)
{
	(void)state;
	on_both_kinds(refuses_expressions);
}

static void push_numbers(struct streamer *streamer, const char *id)
{
	char change[4096] = "";
	int size = snprintf(change, sizeof(change),
		"{\"op\":\"insert\",\"database\":\"d\",\"collection\":\"users\",\"id\":\"%s\","
		"\"data\":{\"age\":2,\"numbers\":[1",
		id);
	for (int i = 0; i < STEPS; i++) {
		size += snprintf(change + size, sizeof(change) - (size_t)size, ",1");
	}
	(void)snprintf(change + size, sizeof(change) - (size_t)size, "]}}");
	push(streamer, change);
}

struct told {
	int deliveries;
	int failing[2], stopped; /* notices, by the subscription */
};

static void note_item(struct told *told, const struct streamer_item *item)
{
	if (item->kind == STREAMER_DELIVERY) {
		assert_int_equal(item->subscription_ids_count, 1);
		assert_bytes(item->subscription_ids[0], "all");
		told->deliveries++;
		return;
	}
	assert_int_equal(item->kind, STREAMER_NOTICE);
	assert_true(item->subscription_ids_count > 0);
	for (size_t i = 0; i < item->subscription_ids_count; i++) {
		char which = item->subscription_ids[i].data[0];
		bool is_stopped = which == 's';
		assert_true(contains(item->text, is_stopped ? "too many steps" : "another type"));
		told->stopped += is_stopped;
		told->failing[0] += which == 'f';
		told->failing[1] += which == 'g';
	}
}

/* Each subscription of an expression that does no good is told once, however many changes come. */
static void tells_of_failing_expressions(struct end *end)
{
	static const char *const expressions[][2] = {{"f", "age * 1.5 > 1.0"},
		{"g", "age * 1.5 > 1.0"}, {"s", "numbers.all(x, x * 3 + 1 > 0)"},
		{"never", "age * 1 > 100 && nothing == 1"}, {"all", ""}};
	struct told told = {0};
	struct streamer_item item;
	for (size_t i = 0; i < sizeof(expressions) / sizeof(expressions[0]); i++) {
		const struct streamer_subscription subscription =
			by_expression(expressions[i][0], expressions[i][1]);
		subscribe(end, &subscription);
	}
	for (int i = 0; i < FAILURES - 1; i++) {
		push_user(end->streamer, "insert", "early", 2);
		next(end->stream, &item);
		note_item(&told, &item);
	}
	assert_int_equal(told.deliveries, FAILURES - 1); /* and not a word so far */
	for (int i = 0; i < 20; i++) {
		push_numbers(end->streamer, "late");
	}
	while (told.deliveries < FAILURES - 1 + 20) {
		next(end->stream, &item);
		note_item(&told, &item);
	}
	const struct streamer_subscription last = by_expression("last", "false");
	assert_int_equal(streamer_subscribe(end->stream, &last, NULL, NULL), STREAMER_OK);
	for (next(end->stream, &item); item.kind != STREAMER_ANSWER; next(end->stream, &item)) {
		note_item(&told, &item); /* they come ahead of the answer */
	}
	assert_int_equal(told.failing[0], 1);
	assert_int_equal(told.failing[1], 1);
	assert_int_equal(told.stopped, 1);
}

static void test_tells_of_failing_expressions(void **state)
{
	(void)state;
	static const char *const settings[] = {"expression-failures-max", TEXT_OF(FAILURES),
		"expression-steps-max", TEXT_OF(STEPS), NULL};
	on_both_kinds_with(tells_of_failing_expressions, settings);
}

/* ---- other Streamers ----------------------------------------------------------------------------
 */

/*
 * Takes every subscription, and follows it with a notice and gaps of all reasons. On a thread of
 * its own, where no assertion of cmocka's may fail.
 */
struct foreign {
	struct loop *loop;
	struct loop_listener *listener;
	struct grpc_server_conn *conn;
	struct grpc_call *call;
	bool is_original; /* knows neither Hello nor expressions */
	int subscribes;
	pthread_t thread;
};

static void say(struct foreign *foreign, struct buffer *message, enum err encoded)
{
	check(encoded == OK);
	check(grpc_call_send(foreign->call, buffer_bytes(message)) == OK);
	buffer_fini(message);
}

static void say_all(struct foreign *foreign, struct bytes id)
{
	struct buffer message = {0};
	const struct model_answer answer = {.id = id};
	const struct model_notice notice = {.subscription_id = id, .text = bytes_of("why")};
	struct event *large =
		make_event("{\"op\":\"insert\",\"collection\":\"c\",\"id\":\"large\"}", 1, true);
	char run[64];
	say(foreign, &message, wire_answer_encode(&message, &answer));
	for (unsigned reason = 0; !foreign->is_original && reason <= MODEL_GAP_TOO_LARGE;
		reason++) {
		struct model_gap gap = {.until = bytes_of("p"),
			.reason = (enum model_gap_reason)reason,
			.events = UINT64_C(7) * reason};
		if (reason == MODEL_GAP_TOO_LARGE) {
			gap.run = (struct bytes){run, wire_id_write(id, run)};
			gap.event = large->encoded;
		}
		say(foreign, &message, wire_gap_encode(&message, &gap));
	}
	event_unref(large);
	if (!foreign->is_original) {
		say(foreign, &message, wire_notice_encode(&message, &notice));
	}
}

static void on_message(void *ctx, struct bytes bytes)
{
	static const struct wire_limits limits = {1, 1, 1};
	struct foreign *foreign = ctx;
	struct arena arena = {0};
	struct buffer message = {0};
	struct err_info refusal;
	struct wire_gateway_message request;
	check(wire_gateway_message_parse(bytes, &limits, &arena, &request, &refusal) == OK);
	if (request.kind == WIRE_GATEWAY_HELLO && !foreign->is_original) {
		const struct model_welcome welcome = {.version = 1};
		say(foreign, &message, wire_welcome_encode(&message, &welcome));
	} else if (request.kind == WIRE_GATEWAY_HEARTBEAT) {
		say(foreign, &message,
			wire_heartbeat_ack_encode(
				&message, &(struct model_heartbeat_ack){.timestamp_ms = 1}));
	} else if (request.kind == WIRE_GATEWAY_SUBSCRIBE) {
		foreign->subscribes++;
		say_all(foreign, request.subscription.id);
	}
	arena_fini(&arena);
}

static void on_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	(void)ctx;
	(void)status;
	(void)text;
}

static enum grpc_status on_call(void *ctx, struct grpc_call *call, struct bytes method)
{
	static const struct grpc_call_events events = {.message = on_message, .ended = on_ended};
	struct foreign *foreign = ctx;
	(void)method;
	foreign->call = call;
	grpc_call_set_ctx(call, &events, foreign);
	return GRPC_OK;
}

static void on_closed(void *ctx, struct grpc_server_conn *conn)
{
	struct foreign *foreign = ctx;
	(void)conn;
	loop_stop(foreign->loop);
}

static void on_accepted(void *ctx, int socket)
{
	struct foreign *foreign = ctx;
	const struct grpc_options options = {.message_bytes_max = 1 << 20};
	check(grpc_server_conn_open(foreign->loop, socket, &options, on_call, on_closed, foreign,
		      &foreign->conn) == OK);
}

static void *run_foreign(void *ctx)
{
	struct foreign *foreign = ctx;
	loop_run(foreign->loop);
	return NULL;
}

static struct streamer_stream *connect_foreign(struct foreign *foreign)
{
	struct streamer_stream *stream = NULL;
	struct streamer_item item;
	assert_int_equal(loop_new(&foreign->loop), OK);
	assert_int_equal(loop_listen(foreign->loop, "127.0.0.1:0", on_accepted, foreign,
				 &foreign->listener, NULL),
		OK);
	assert_int_equal(pthread_create(&foreign->thread, NULL, run_foreign, foreign), 0);
	assert_int_equal(streamer_connect(loop_listener_address(foreign->listener), NULL, &stream),
		STREAMER_OK);
	next(stream, &item);
	assert_int_equal(item.kind, STREAMER_STATE);
	return stream;
}

/* It runs until its one connection is closed. */
static void end_foreign(struct foreign *foreign, struct streamer_stream *stream)
{
	streamer_stream_close(stream);
	assert_int_equal(pthread_join(foreign->thread, NULL), 0);
	loop_listener_free(foreign->listener);
	loop_free(foreign->loop);
}

static void test_tells_of_gaps(void **state)
{
	(void)state;
	static const enum streamer_gap_reason reasons[] = {STREAMER_GAP_UNKNOWN,
		STREAMER_GAP_TOO_OLD, STREAMER_GAP_SOURCE, STREAMER_GAP_TOO_LARGE};
	struct foreign foreign = {0};
	struct end end = {.stream = connect_foreign(&foreign)};
	const struct streamer_subscription subscription = by_expression("s", "age > 18");
	struct streamer_item item;
	int notices = 0;
	subscribe(&end, &subscription);
	for (size_t gaps = 0; gaps < 4 || notices < 1;) {
		next(end.stream, &item);
		if (item.kind == STREAMER_NOTICE) { /* may come ahead of the gaps */
			assert_bytes(item.text, "why");
			assert_bytes(item.subscription_ids[0], "s");
			notices++;
			continue;
		}
		assert_int_equal(item.kind, STREAMER_GAP);
		assert_int_equal(item.gap_reason, reasons[gaps]);
		assert_int_equal(item.gap_events, 7 * gaps);
		assert_bytes(item.position, "p");
		bool is_large = item.gap_reason == STREAMER_GAP_TOO_LARGE;
		assert_bytes(item.document_id, is_large ? "large" : "");
		assert_int_equal(item.subscription_ids_count, is_large ? 1 : 0);
		if (is_large) {
			assert_bytes(item.subscription_ids[0], "s");
		}
		gaps++;
	}
	end_foreign(&foreign, end.stream);
}

/* What would be taken for a subscription to the whole collection is not even sent. */
static void test_original_is_sent_no_expression(void **state)
{
	(void)state;
	struct foreign foreign = {.is_original = true};
	struct end end = {.stream = connect_foreign(&foreign)};
	const struct streamer_filter adult = {"age", ">", "18"};
	struct streamer_subscription subscription = by_expression("s", "age > 18");
	for (int i = 0; i < 2; i++) {
		struct streamer_item item = refused(&end, &subscription);
		assert_bytes(item.text, "this Streamer does not know expressions");
		assert_int_equal(item.filter + item.line + item.column, 0);
	}
	subscription = users("s", &adult, 1);
	subscribe(&end, &subscription);
	end_foreign(&foreign, end.stream);
	assert_int_equal(foreign.subscribes, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delivers_by_expression),
		cmocka_unit_test(test_omits_documents),
		cmocka_unit_test(test_refuses_expressions),
		cmocka_unit_test(test_tells_of_failing_expressions),
		cmocka_unit_test(test_tells_of_gaps),
		cmocka_unit_test(test_original_is_sent_no_expression),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
