/*
 * Ours against protobuf-c: random messages that it packs must be parsed to the same, and what we
 * encode it must unpack to the same. It knows the protocols from the .proto files alone. Both write
 * fields in the order of their numbers and leave defaults out, so where all fields are known even
 * the bytes are the same.
 */
#include "packed.h"
#include "random.h"
#include "wire.h"

#include <puller.pb-c.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <streamer.pb-c.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS 3000
#define FILTERS_MAX 4
#define ITEMS_MAX 4
#define DEPTH_MAX 4
#define BULK_MAX 6

typedef Syntrix__Streamer__V1__GatewayMessage pb_gateway;
typedef Syntrix__Streamer__V1__StreamerMessage pb_streamer;
typedef Syntrix__Streamer__V1__SubscribeRequest pb_subscribe;
typedef Syntrix__Streamer__V1__Value pb_value;
typedef Syntrix__Streamer__V1__EventDelivery pb_delivery;
typedef Syntrix__Streamer__V1__StreamerEvent pb_event;
typedef Syntrix__Streamer__V1__SubscribeResponse pb_answer;
typedef Syntrix__Streamer__V1__Hello pb_hello;
typedef Syntrix__Streamer__V1__Welcome pb_welcome;
typedef Syntrix__Streamer__V1__Gap pb_gap;
typedef Syntrix__Streamer__V1__Notice pb_notice;
typedef Syntrix__Streamer__V1__ListValue pb_list;
typedef Syntrix__Streamer__V1__Filter pb_filter;

/* ---- random content ---------------------------------------------------------------------------
 */

static char *random_text(struct test_random *random, struct arena *arena)
{
	static const char *const pieces[] = {"a", "room", "\xC3\xB6", "\xE2\x82\xAC",
		"\xF0\x9F\x98\x80", "'", "\\", ".", "\n", "0123456789abcdefghijklmnopqrstuvwxyz"};
	char text[512] = "";
	size_t count = test_random_below(random, 8);
	for (size_t i = 0; i < count; i++) {
		const char *piece =
			pieces[test_random_below(random, sizeof(pieces) / sizeof(pieces[0]))];
		memcpy(text + strlen(text), piece, strlen(piece) + 1);
	}
	struct bytes copy = arena_copy(arena, bytes_of(text));
	assert_non_null(copy.data);
	return (char *)copy.data;
}

static ProtobufCBinaryData random_binary(struct test_random *random, struct arena *arena)
{
	char bytes[40];
	size_t size = test_random_below(random, sizeof(bytes));
	for (size_t i = 0; i < size; i++) {
		bytes[i] = (char)test_random_below(random, 256);
	}
	struct bytes copy = arena_copy(arena, (struct bytes){bytes, size});
	assert_true(copy.data || size == 0);
	return binary(copy);
}

static int64_t random_integer(struct test_random *random)
{
	static const int64_t edges[] = {
		0, 1, -1, 127, 128, INT32_MAX, INT64_MAX, INT64_MIN, 9007199254740993};
	if (test_random_below(random, 2)) {
		return edges[test_random_below(random, sizeof(edges) / sizeof(edges[0]))];
	}
	return (int64_t)test_random_next(random);
}

static void *zeroed(struct arena *arena, size_t size)
{
	void *memory = arena_alloc(arena, size);
	assert_non_null(memory);
	memset(memory, 0, size);
	return memory;
}

/* NOLINTNEXTLINE(misc-no-recursion): DEPTH_MAX deep */
static pb_value *random_value(struct test_random *random, struct arena *arena, int depth)
{
	pb_value *value = zeroed(arena, sizeof(*value));
	syntrix__streamer__v1__value__init(value);
	switch (test_random_below(random, depth < DEPTH_MAX ? 6 : 5)) {
	case 0:
		value->kind_case = SYNTRIX__STREAMER__V1__VALUE__KIND_STRING_VALUE;
		value->string_value = random_text(random, arena);
		break;
	case 1:
		value->kind_case = SYNTRIX__STREAMER__V1__VALUE__KIND_INT_VALUE;
		value->int_value = random_integer(random);
		break;
	case 2:
		value->kind_case = SYNTRIX__STREAMER__V1__VALUE__KIND_DOUBLE_VALUE;
		value->double_value = (double)random_integer(random) / 8;
		break;
	case 3:
		value->kind_case = SYNTRIX__STREAMER__V1__VALUE__KIND_BOOL_VALUE;
		value->bool_value = (protobuf_c_boolean)test_random_below(random, 2);
		break;
	case 4:
		break; /* no kind at all */
	default:
		value->kind_case = SYNTRIX__STREAMER__V1__VALUE__KIND_LIST_VALUE;
		value->list_value = zeroed(arena, sizeof(pb_list));
		syntrix__streamer__v1__list_value__init(value->list_value);
		value->list_value->values = zeroed(arena, ITEMS_MAX * sizeof(pb_value *));
		value->list_value->n_values = test_random_below(random, ITEMS_MAX + 1);
		for (size_t i = 0; i < value->list_value->n_values; i++) {
			value->list_value->values[i] = random_value(random, arena, depth + 1);
		}
		break;
	}
	return value;
}

/* ---- comparison ---------------------------------------------------------------------------------
 */

static void assert_text(struct bytes ours, const char *theirs)
{
	assert_true(bytes_equal(ours, bytes_of(theirs)));
}

static void assert_binary(struct bytes ours, ProtobufCBinaryData theirs)
{
	assert_true(bytes_equal(ours, (struct bytes){(const char *)theirs.data, theirs.len}));
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as random_value made it */
static void assert_value(const struct value *ours, const pb_value *theirs)
{
	switch (theirs->kind_case) {
	case SYNTRIX__STREAMER__V1__VALUE__KIND_STRING_VALUE:
		assert_int_equal(ours->kind, VALUE_STRING);
		assert_text(value_text(ours), theirs->string_value);
		break;
	case SYNTRIX__STREAMER__V1__VALUE__KIND_INT_VALUE:
		assert_int_equal(ours->kind, VALUE_INT);
		assert_true(ours->as.integer == theirs->int_value);
		break;
	case SYNTRIX__STREAMER__V1__VALUE__KIND_DOUBLE_VALUE:
		assert_int_equal(ours->kind, VALUE_DOUBLE);
		assert_memory_equal(&ours->as.real, &theirs->double_value, sizeof(double));
		break;
	case SYNTRIX__STREAMER__V1__VALUE__KIND_BOOL_VALUE:
		assert_int_equal(ours->kind, VALUE_BOOL);
		assert_int_equal(ours->as.boolean, theirs->bool_value);
		break;
	case SYNTRIX__STREAMER__V1__VALUE__KIND_LIST_VALUE: {
		assert_int_equal(ours->kind, VALUE_LIST);
		assert_int_equal(ours->size, theirs->list_value->n_values);
		const struct value *item = ours + 1;
		for (size_t i = 0; i < ours->size; i++, item = value_after(item)) {
			assert_value(item, theirs->list_value->values[i]);
		}
		break;
	}
	case SYNTRIX__STREAMER__V1__VALUE__KIND__NOT_SET:
	case _SYNTRIX__STREAMER__V1__VALUE__KIND__CASE_IS_INT_SIZE:
		assert_int_equal(ours->kind, VALUE_NONE);
		break;
	}
}

static void assert_subscription(const struct model_subscription *ours, const pb_subscribe *theirs)
{
	assert_text(ours->id, theirs->subscription_id);
	assert_text(ours->database, theirs->database);
	assert_text(ours->collection, theirs->collection);
	assert_text(ours->expression, theirs->expression);
	assert_int_equal(ours->omit_document, theirs->omit_document);
	assert_int_equal(ours->filters_count, theirs->n_filters);
	for (size_t i = 0; i < theirs->n_filters; i++) {
		assert_text(ours->filters[i].field, theirs->filters[i]->field);
		assert_text(ours->filters[i].op, theirs->filters[i]->op);
		assert_int_equal(!ours->filters[i].value, !theirs->filters[i]->value);
		if (theirs->filters[i]->value) {
			assert_value(ours->filters[i].value, theirs->filters[i]->value);
		}
	}
}

/* ---- requests -----------------------------------------------------------------------------------
 */

static const struct wire_limits limits = {
	.filters_max = 100, .filter_list_max = 100000, .filter_depth_max = 32};

static pb_subscribe *random_request(struct test_random *random, struct arena *arena)
{
	pb_subscribe *request = zeroed(arena, sizeof(*request));
	syntrix__streamer__v1__subscribe_request__init(request);
	request->subscription_id = random_text(random, arena);
	request->collection = random_text(random, arena);
	request->database = random_text(random, arena);
	request->expression = random_text(random, arena);
	request->omit_document = (protobuf_c_boolean)test_random_below(random, 2);
	request->n_filters = test_random_below(random, FILTERS_MAX + 1);
	request->filters = zeroed(arena, FILTERS_MAX * sizeof(pb_filter *));
	for (size_t i = 0; i < request->n_filters; i++) {
		pb_filter *filter = zeroed(arena, sizeof(*filter));
		syntrix__streamer__v1__filter__init(filter);
		filter->field = random_text(random, arena);
		filter->op = random_text(random, arena);
		filter->value =
			test_random_below(random, 8) ? random_value(random, arena, 0) : NULL;
		request->filters[i] = filter;
	}
	return request;
}

static void test_subscribe(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_subscribe");
	for (int round = 0; round < ROUNDS; round++) {
		struct arena arena = {0};
		struct err_info refusal = {0};
		struct wire_gateway_message ours;
		const pb_subscribe *theirs = random_request(&random, &arena);
		struct bytes bytes = wrapped(1, packed(&theirs->base, &arena), &arena);
		assert_int_equal(
			wire_gateway_message_parse(bytes, &limits, &arena, &ours, &refusal), OK);
		assert_int_equal(refusal.code, OK);
		assert_int_equal(ours.kind, WIRE_GATEWAY_SUBSCRIBE);
		assert_subscription(&ours.subscription, theirs);

		struct buffer encoded = {0};
		assert_int_equal(wire_subscribe_encode(&encoded, &ours.subscription), OK);
		pb_gateway *again = syntrix__streamer__v1__gateway_message__unpack(
			NULL, encoded.size, (const uint8_t *)encoded.data);
		assert_non_null(again);
		assert_subscription(&ours.subscription, again->subscribe);
		syntrix__streamer__v1__gateway_message__free_unpacked(again, NULL);
		buffer_fini(&encoded);
		arena_fini(&arena);
	}
}

static void test_small_requests(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_small_requests");
	for (int round = 0; round < ROUNDS; round++) {
		struct arena arena = {0};
		struct buffer encoded = {0};
		const char *id = random_text(&random, &arena);
		assert_int_equal(wire_unsubscribe_encode(&encoded, bytes_of(id)), OK);
		pb_gateway *theirs = syntrix__streamer__v1__gateway_message__unpack(
			NULL, encoded.size, (const uint8_t *)encoded.data);
		assert_non_null(theirs);
		assert_int_equal(theirs->payload_case,
			SYNTRIX__STREAMER__V1__GATEWAY_MESSAGE__PAYLOAD_UNSUBSCRIBE);
		assert_string_equal(theirs->unsubscribe->subscription_id, id);
		syntrix__streamer__v1__gateway_message__free_unpacked(theirs, NULL);

		buffer_fini(&encoded);
		arena_fini(&arena);
	}
}

static void test_heartbeat(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_heartbeat");
	for (int round = 0; round < ROUNDS; round++) {
		struct arena arena = {0};
		struct buffer encoded = {0};
		struct err_info refusal = {0};
		struct wire_gateway_message ours;
		Syntrix__Streamer__V1__Heartbeat theirs = SYNTRIX__STREAMER__V1__HEARTBEAT__INIT;
		theirs.gateway_id = random_text(&random, &arena);
		theirs.timestamp = random_integer(&random);
		theirs.position = random_binary(&random, &arena);
		theirs.registered = (protobuf_c_boolean)test_random_below(&random, 2);
		struct bytes bytes = wrapped(3, packed(&theirs.base, &arena), &arena);
		assert_int_equal(
			wire_gateway_message_parse(bytes, &limits, &arena, &ours, &refusal), OK);
		assert_int_equal(ours.kind, WIRE_GATEWAY_HEARTBEAT);
		assert_text(ours.heartbeat.gateway_id, theirs.gateway_id);
		assert_true(ours.heartbeat.timestamp_ms == theirs.timestamp);
		assert_binary(ours.heartbeat.position, theirs.position);
		assert_int_equal(ours.heartbeat.registered, theirs.registered);
		assert_int_equal(wire_heartbeat_encode(&encoded, &ours.heartbeat), OK);
		assert_encoded(&encoded, bytes);
		arena_fini(&arena);
	}
}

/* Each subscribe is read when its turn comes, into an arena of its own. */
static void test_bulk(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_bulk");
	for (int round = 0; round < ROUNDS / 4; round++) {
		struct arena arena = {0};
		struct buffer requests = {0};
		struct buffer encoded = {0};
		struct err_info refusal = {0};
		struct wire_gateway_message ours;
		pb_subscribe *list[BULK_MAX];
		Syntrix__Streamer__V1__BulkSubscribe theirs =
			SYNTRIX__STREAMER__V1__BULK_SUBSCRIBE__INIT;
		theirs.bulk_id = (uint64_t)random_integer(&random);
		theirs.n_requests = test_random_below(&random, BULK_MAX + 1);
		theirs.requests = list;
		for (size_t i = 0; i < theirs.n_requests; i++) {
			list[i] = random_request(&random, &arena);
		}
		struct bytes bytes = wrapped(101, packed(&theirs.base, &arena), &arena);
		assert_int_equal(
			wire_gateway_message_parse(bytes, &limits, &arena, &ours, &refusal), OK);
		assert_int_equal(ours.kind, WIRE_GATEWAY_BULK);
		assert_true(ours.bulk.id == theirs.bulk_id);
		struct bytes rest = ours.bulk.requests;
		struct arena scratch = {0};
		struct model_subscription one;
		for (size_t i = 0; i < theirs.n_requests; i++) {
			arena_reset(&scratch);
			assert_int_equal(
				wire_bulk_next(&rest, &limits, &scratch, &one, &refusal), OK);
			assert_int_equal(refusal.code, OK);
			assert_subscription(&one, list[i]);
			assert_int_equal(wire_bulk_append(&requests, &one), OK);
		}
		assert_int_equal(
			wire_bulk_next(&rest, &limits, &scratch, &one, &refusal), ERR_EMPTY);
		ours.bulk.requests = buffer_bytes(&requests);
		assert_int_equal(wire_bulk_encode(&encoded, &ours.bulk), OK);
		assert_encoded(&encoded, bytes);
		buffer_fini(&requests);
		arena_fini(&scratch);
		arena_fini(&arena);
	}
}

/* ---- what the Streamer says
 * ----------------------------------------------------------------------- */

static void random_event(struct test_random *random, struct arena *arena, pb_event *ret_event)
{
	syntrix__streamer__v1__streamer_event__init(ret_event);
	ret_event->event_id = random_text(random, arena);
	ret_event->database = random_text(random, arena);
	ret_event->collection = random_text(random, arena);
	ret_event->document_id = random_text(random, arena);
	ret_event->operation = SYNTRIX__STREAMER__V1__OPERATION_TYPE__OPERATION_TYPE_DELETE;
	ret_event->document_data = random_binary(random, arena);
	ret_event->timestamp = random_integer(random);
	ret_event->cluster_seconds = (uint32_t)random_integer(random);
	ret_event->cluster_increment = (uint32_t)random_integer(random);
	ret_event->received_us = random_integer(random);
	ret_event->document_hash = random_binary(random, arena);
}

static void assert_event(const struct model_delivery *ours, const pb_event *theirs)
{
	assert_text(ours->event_id, theirs->event_id);
	assert_text(ours->database, theirs->database);
	assert_text(ours->collection, theirs->collection);
	assert_text(ours->document_id, theirs->document_id);
	assert_int_equal(ours->operation, MODEL_DELETE);
	assert_binary(ours->document, theirs->document_data);
	assert_true(ours->timestamp_ms == theirs->timestamp);
	assert_true(ours->cluster_seconds == theirs->cluster_seconds);
	assert_true(ours->cluster_increment == theirs->cluster_increment);
	assert_true(ours->received_us == theirs->received_us);
	assert_binary(ours->document_hash, theirs->document_hash);
}

static void test_delivery(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_delivery");
	for (int round = 0; round < ROUNDS; round++) {
		struct arena arena = {0};
		pb_event event;
		random_event(&random, &arena, &event);
		struct bytes encoded = packed(&event.base, &arena);

		char *ids[3];
		char run[2048];
		size_t run_size = 0;
		pb_delivery theirs = SYNTRIX__STREAMER__V1__EVENT_DELIVERY__INIT;
		theirs.n_subscription_ids = 1 + test_random_below(&random, 3);
		theirs.subscription_ids = ids;
		for (size_t i = 0; i < theirs.n_subscription_ids; i++) {
			ids[i] = random_text(&random, &arena);
			run_size += wire_id_write(bytes_of(ids[i]), run + run_size);
		}
		theirs.event = &event;
		bool is_marked = test_random_below(&random, 2) == 1;
		if (is_marked) {
			theirs.position = random_binary(&random, &arena);
			theirs.replayed = (protobuf_c_boolean)test_random_below(&random, 2);
			theirs.more = (protobuf_c_boolean)test_random_below(&random, 2);
		}
		const struct model_mark mark = {
			{(const char *)theirs.position.data, theirs.position.len}, theirs.replayed,
			theirs.more};
		const struct model_mark *said = is_marked ? &mark : NULL;
		size_t size = wire_delivery_size(run_size, encoded.size, said);
		char *place = arena_alloc(&arena, size + 1);
		assert_non_null(place);
		wire_delivery_write((struct bytes){run, run_size}, encoded, said, place);
		assert_true(bytes_equal((struct bytes){place, size},
			wrapped(1, packed(&theirs.base, &arena), &arena)));

		struct wire_streamer_message ours;
		struct model_delivery delivery;
		assert_int_equal(
			wire_streamer_message_parse((struct bytes){place, size}, &arena, &ours),
			OK);
		assert_int_equal(ours.kind, WIRE_STREAMER_DELIVERY);
		assert_true(bytes_equal(ours.run, (struct bytes){run, run_size}));
		assert_binary(ours.mark.position, theirs.position);
		assert_int_equal(ours.mark.replayed, theirs.replayed);
		assert_int_equal(ours.mark.more, theirs.more);
		assert_int_equal(wire_delivery_parse(ours.event, &delivery), OK);
		assert_event(&delivery, &event);
		arena_fini(&arena);
	}
}

static pb_answer *random_answer(struct test_random *random, struct arena *arena)
{
	pb_answer *answer = zeroed(arena, sizeof(*answer));
	syntrix__streamer__v1__subscribe_response__init(answer);
	answer->subscription_id = random_text(random, arena);
	answer->code = (Syntrix__Streamer__V1__SubscribeResponse__Code)test_random_below(random, 7);
	answer->success = answer->code == 0;
	answer->error = random_text(random, arena);
	answer->filter = (uint32_t)random_integer(random);
	answer->line = (uint32_t)random_integer(random);
	answer->column = (uint32_t)random_integer(random);
	answer->hint = random_text(random, arena);
	answer->live_after = random_binary(random, arena);
	return answer;
}

static void assert_answer(const struct model_answer *ours, const pb_answer *theirs)
{
	assert_text(ours->id, theirs->subscription_id);
	assert_text(ours->text, theirs->error);
	assert_int_equal(ours->refusal, theirs->code);
	assert_true(ours->filter == theirs->filter);
	assert_true(ours->line == theirs->line && ours->column == theirs->column);
	assert_text(ours->hint, theirs->hint);
	assert_binary(ours->live_after, theirs->live_after);
}

static void test_answers(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_answers");
	for (int round = 0; round < ROUNDS; round++) {
		struct arena arena = {0};
		struct buffer encoded = {0};
		struct wire_streamer_message ours;
		const pb_answer *theirs = random_answer(&random, &arena);
		struct bytes bytes = wrapped(3, packed(&theirs->base, &arena), &arena);
		assert_int_equal(wire_streamer_message_parse(bytes, &arena, &ours), OK);
		assert_int_equal(ours.kind, WIRE_STREAMER_ANSWER);
		assert_answer(&ours.answer, theirs);
		assert_int_equal(wire_answer_encode(&encoded, &ours.answer), OK);
		assert_encoded(&encoded, bytes);
		arena_fini(&arena);
	}
}

static void test_heartbeat_ack(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_heartbeat_ack");
	for (int round = 0; round < ROUNDS; round++) {
		struct arena arena = {0};
		struct buffer encoded = {0};
		struct wire_streamer_message ours;
		Syntrix__Streamer__V1__HeartbeatAck theirs =
			SYNTRIX__STREAMER__V1__HEARTBEAT_ACK__INIT;
		theirs.timestamp = random_integer(&random);
		theirs.position = random_binary(&random, &arena);
		theirs.source =
			(Syntrix__Streamer__V1__HeartbeatAck__Source)test_random_below(&random, 4);
		theirs.source_lag_ms = random_integer(&random);
		struct bytes bytes = wrapped(2, packed(&theirs.base, &arena), &arena);
		assert_int_equal(wire_streamer_message_parse(bytes, &arena, &ours), OK);
		assert_int_equal(ours.kind, WIRE_STREAMER_HEARTBEAT_ACK);
		assert_true(ours.ack.timestamp_ms == theirs.timestamp);
		assert_binary(ours.ack.position, theirs.position);
		assert_int_equal(ours.ack.source, theirs.source);
		assert_true(ours.ack.source_lag_ms == theirs.source_lag_ms);
		assert_int_equal(wire_heartbeat_ack_encode(&encoded, &ours.ack), OK);
		assert_encoded(&encoded, bytes);
		arena_fini(&arena);
	}
}

/* ---- the extensions ---------------------------------------------------------------------------
 */

static void test_hello(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_hello");
	for (int round = 0; round < ROUNDS; round++) {
		struct arena arena = {0};
		struct buffer encoded = {0};
		struct err_info refusal = {0};
		struct wire_gateway_message ours;
		pb_hello theirs = SYNTRIX__STREAMER__V1__HELLO__INIT;
		theirs.version = (uint32_t)random_integer(&random);
		theirs.gateway_id = random_text(&random, &arena);
		theirs.after = random_binary(&random, &arena);
		theirs.message_bytes_max = (uint32_t)random_integer(&random);
		struct bytes bytes = wrapped(100, packed(&theirs.base, &arena), &arena);
		assert_int_equal(
			wire_gateway_message_parse(bytes, &limits, &arena, &ours, &refusal), OK);
		assert_int_equal(ours.kind, WIRE_GATEWAY_HELLO);
		assert_true(ours.hello.version == theirs.version);
		assert_text(ours.hello.gateway_id, theirs.gateway_id);
		assert_binary(ours.hello.after, theirs.after);
		assert_true(ours.hello.message_bytes_max == theirs.message_bytes_max);
		assert_int_equal(wire_hello_encode(&encoded, &ours.hello), OK);
		assert_encoded(&encoded, bytes);
		arena_fini(&arena);
	}
}

static void test_welcome(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_welcome");
	for (int round = 0; round < ROUNDS; round++) {
		struct arena arena = {0};
		struct buffer encoded = {0};
		struct wire_streamer_message ours;
		pb_welcome theirs = SYNTRIX__STREAMER__V1__WELCOME__INIT;
		theirs.version = (uint32_t)random_integer(&random);
		theirs.epoch = (uint64_t)random_integer(&random);
		theirs.position = random_binary(&random, &arena);
		theirs.resume =
			(Syntrix__Streamer__V1__Welcome__Resume)test_random_below(&random, 3);
		theirs.lease_ms = (uint32_t)random_integer(&random);
		theirs.message_bytes_max = (uint32_t)random_integer(&random);
		struct bytes bytes = wrapped(100, packed(&theirs.base, &arena), &arena);
		assert_int_equal(wire_streamer_message_parse(bytes, &arena, &ours), OK);
		assert_int_equal(ours.kind, WIRE_STREAMER_WELCOME);
		assert_true(ours.welcome.version == theirs.version);
		assert_true(ours.welcome.epoch == theirs.epoch);
		assert_binary(ours.welcome.position, theirs.position);
		assert_int_equal(ours.welcome.resume, theirs.resume);
		assert_true(ours.welcome.lease_ms == theirs.lease_ms);
		assert_true(ours.welcome.message_bytes_max == theirs.message_bytes_max);
		assert_int_equal(wire_welcome_encode(&encoded, &ours.welcome), OK);
		assert_encoded(&encoded, bytes);
		arena_fini(&arena);
	}
}

static void test_gap(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_gap");
	for (int round = 0; round < ROUNDS; round++) {
		struct arena arena = {0};
		struct buffer encoded = {0};
		struct wire_streamer_message ours;
		char *ids[] = {random_text(&random, &arena), random_text(&random, &arena)};
		Syntrix__Streamer__V1__StreamerEvent event;
		syntrix__streamer__v1__streamer_event__init(&event);
		event.event_id = "e";
		pb_gap theirs = SYNTRIX__STREAMER__V1__GAP__INIT;
		theirs.after = random_binary(&random, &arena);
		theirs.until = random_binary(&random, &arena);
		theirs.reason = (Syntrix__Streamer__V1__Gap__Reason)test_random_below(&random, 4);
		theirs.events = (uint64_t)random_integer(&random);
		theirs.subscription_ids = ids;
		theirs.n_subscription_ids = test_random_below(&random, 3);
		theirs.event = test_random_below(&random, 2) ? &event : NULL;
		struct bytes bytes = wrapped(101, packed(&theirs.base, &arena), &arena);
		assert_int_equal(wire_streamer_message_parse(bytes, &arena, &ours), OK);
		assert_int_equal(ours.kind, WIRE_STREAMER_GAP);
		assert_binary(ours.gap.after, theirs.after);
		assert_binary(ours.gap.until, theirs.until);
		assert_int_equal(ours.gap.reason, theirs.reason);
		assert_true(ours.gap.events == theirs.events);
		struct bytes rest = ours.gap.run;
		struct bytes id;
		for (size_t i = 0; i < theirs.n_subscription_ids; i++) {
			assert_true(wire_id_next(&rest, &id));
			assert_text(id, ids[i]);
		}
		assert_false(wire_id_next(&rest, &id));
		assert_true(bytes_equal(ours.gap.event,
			theirs.event ? packed(&event.base, &arena) : (struct bytes){NULL, 0}));
		assert_int_equal(wire_gap_encode(&encoded, &ours.gap), OK);
		assert_encoded(&encoded, bytes);
		arena_fini(&arena);
	}
}

static void test_notice(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_notice");
	for (int round = 0; round < ROUNDS; round++) {
		struct arena arena = {0};
		struct buffer encoded = {0};
		struct wire_streamer_message ours;
		pb_notice theirs = SYNTRIX__STREAMER__V1__NOTICE__INIT;
		theirs.subscription_id = random_text(&random, &arena);
		theirs.code = (Syntrix__Streamer__V1__Notice__Code)test_random_below(&random, 2);
		theirs.text = random_text(&random, &arena);
		struct bytes bytes = wrapped(104, packed(&theirs.base, &arena), &arena);
		assert_int_equal(wire_streamer_message_parse(bytes, &arena, &ours), OK);
		assert_int_equal(ours.kind, WIRE_STREAMER_NOTICE);
		assert_text(ours.notice.subscription_id, theirs.subscription_id);
		assert_int_equal(ours.notice.code, theirs.code);
		assert_text(ours.notice.text, theirs.text);
		assert_int_equal(wire_notice_encode(&encoded, &ours.notice), OK);
		assert_encoded(&encoded, bytes);
		arena_fini(&arena);
	}
}

static void test_bulk_answer(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_bulk_answer");
	for (int round = 0; round < ROUNDS; round++) {
		struct arena arena = {0};
		struct buffer refused = {0};
		struct buffer encoded = {0};
		struct wire_streamer_message ours;
		pb_answer *list[BULK_MAX];
		Syntrix__Streamer__V1__BulkSubscribeResponse theirs =
			SYNTRIX__STREAMER__V1__BULK_SUBSCRIBE_RESPONSE__INIT;
		theirs.bulk_id = (uint64_t)random_integer(&random);
		theirs.accepted = (uint32_t)random_integer(&random);
		theirs.n_refused = test_random_below(&random, BULK_MAX + 1);
		theirs.refused = list;
		for (size_t i = 0; i < theirs.n_refused; i++) {
			list[i] = random_answer(&random, &arena);
		}
		theirs.live_after = random_binary(&random, &arena);
		struct bytes bytes = wrapped(102, packed(&theirs.base, &arena), &arena);
		assert_int_equal(wire_streamer_message_parse(bytes, &arena, &ours), OK);
		assert_int_equal(ours.kind, WIRE_STREAMER_BULK_ANSWER);
		assert_true(ours.bulk_answer.id == theirs.bulk_id);
		assert_true(ours.bulk_answer.accepted == theirs.accepted);
		assert_binary(ours.bulk_answer.live_after, theirs.live_after);
		struct bytes rest = ours.bulk_answer.refused;
		struct model_answer one;
		for (size_t i = 0; i < theirs.n_refused; i++) {
			assert_int_equal(wire_bulk_refused_next(&rest, &one), OK);
			assert_answer(&one, list[i]);
			assert_int_equal(wire_bulk_refuse(&refused, &one), OK);
		}
		assert_int_equal(wire_bulk_refused_next(&rest, &one), ERR_EMPTY);
		ours.bulk_answer.refused = buffer_bytes(&refused);
		assert_int_equal(wire_bulk_answer_encode(&encoded, &ours.bulk_answer), OK);
		assert_encoded(&encoded, bytes);
		buffer_fini(&refused);
		arena_fini(&arena);
	}
}

static void test_ends(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_ends");
	for (int round = 0; round < ROUNDS; round++) {
		struct arena arena = {0};
		struct buffer encoded = {0};
		struct wire_streamer_message ours;
		Syntrix__Streamer__V1__UnsubscribeResponse one =
			SYNTRIX__STREAMER__V1__UNSUBSCRIBE_RESPONSE__INIT;
		one.subscription_id = random_text(&random, &arena);
		struct bytes bytes = wrapped(103, packed(&one.base, &arena), &arena);
		assert_int_equal(wire_streamer_message_parse(bytes, &arena, &ours), OK);
		assert_int_equal(ours.kind, WIRE_STREAMER_UNSUBSCRIBED);
		assert_text(ours.unsubscribed_id, one.subscription_id);
		assert_int_equal(wire_unsubscribed_encode(&encoded, ours.unsubscribed_id), OK);
		assert_encoded(&encoded, bytes);

		Syntrix__Streamer__V1__GoingAway all = SYNTRIX__STREAMER__V1__GOING_AWAY__INIT;
		all.deadline_ms = (uint32_t)random_integer(&random);
		all.reason = random_text(&random, &arena);
		bytes = wrapped(105, packed(&all.base, &arena), &arena);
		assert_int_equal(wire_streamer_message_parse(bytes, &arena, &ours), OK);
		assert_int_equal(ours.kind, WIRE_STREAMER_GOING_AWAY);
		assert_true(ours.going_away.deadline_ms == all.deadline_ms);
		assert_text(ours.going_away.reason, all.reason);
		assert_int_equal(wire_going_away_encode(&encoded, &ours.going_away), OK);
		assert_encoded(&encoded, bytes);
		arena_fini(&arena);
	}
}

/* ---- the source's side
 * ------------------------------------------------------------------------------ */

static void test_changes(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_changes");
	for (int round = 0; round < ROUNDS; round++) {
		struct arena arena = {0};
		struct buffer encoded = {0};
		const struct model_source_message message = {
			.has_change = test_random_below(&random, 8) != 0,
			.change = {.event_id = bytes_of(random_text(&random, &arena)),
				.database = bytes_of(random_text(&random, &arena)),
				.store_collection = bytes_of(random_text(&random, &arena)),
				.store_id = bytes_of(random_text(&random, &arena)),
				.kind = MODEL_CHANGE_REPLACE,
				.full_document = bytes_of(random_text(&random, &arena)),
				.update = bytes_of(random_text(&random, &arena)),
				.cluster_seconds = (uint32_t)test_random_next(&random),
				.cluster_increment = (uint32_t)test_random_next(&random),
				.timestamp_ms = random_integer(&random),
				.transaction = random_integer(&random),
				.backend = bytes_of(random_text(&random, &arena))},
			.marker = bytes_of(random_text(&random, &arena))};
		assert_int_equal(wire_source_message_encode(&encoded, &message), OK);
		Syntrix__Puller__V1__PullerEvent *theirs =
			syntrix__puller__v1__puller_event__unpack(
				NULL, encoded.size, (const uint8_t *)encoded.data);
		assert_non_null(theirs);
		assert_text(message.marker, theirs->progress);
		assert_int_equal(message.has_change, theirs->change_event != NULL);
		struct bytes bytes = packed(&theirs->base, &arena);
		struct model_source_message ours;
		assert_int_equal(wire_source_message_parse(bytes, &ours), OK);
		assert_int_equal(ours.has_change, message.has_change);
		assert_true(bytes_equal(ours.marker, message.marker));
		if (message.has_change) {
			const struct model_change *change = &message.change;
			assert_string_equal(theirs->change_event->op_type, "replace");
			assert_text(change->event_id, theirs->change_event->event_id);
			assert_true(bytes_equal(ours.change.event_id, change->event_id));
			assert_true(bytes_equal(ours.change.store_id, change->store_id));
			assert_true(bytes_equal(ours.change.full_document, change->full_document));
			assert_true(bytes_equal(ours.change.update, change->update));
			assert_true(bytes_equal(ours.change.backend, change->backend));
			assert_int_equal(ours.change.kind, MODEL_CHANGE_REPLACE);
			assert_int_equal(ours.change.cluster_seconds, change->cluster_seconds);
			assert_int_equal(ours.change.cluster_increment, change->cluster_increment);
			assert_true(ours.change.timestamp_ms == change->timestamp_ms);
			assert_true(ours.change.transaction == change->transaction);
		}
		syntrix__puller__v1__puller_event__free_unpacked(theirs, NULL);
		buffer_fini(&encoded);
		arena_fini(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_subscribe),
		cmocka_unit_test(test_small_requests),
		cmocka_unit_test(test_heartbeat),
		cmocka_unit_test(test_bulk),
		cmocka_unit_test(test_delivery),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_heartbeat_ack),
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_welcome),
		cmocka_unit_test(test_gap),
		cmocka_unit_test(test_notice),
		cmocka_unit_test(test_bulk_answer),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
