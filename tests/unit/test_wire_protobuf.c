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

typedef Syntrix__Streamer__V1__GatewayMessage pb_gateway;
typedef Syntrix__Streamer__V1__StreamerMessage pb_streamer;
typedef Syntrix__Streamer__V1__Value pb_value;
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

static void assert_subscription(const struct model_subscription *ours,
	const Syntrix__Streamer__V1__SubscribeRequest *theirs)
{
	assert_text(ours->id, theirs->subscription_id);
	assert_text(ours->database, theirs->database);
	assert_text(ours->collection, theirs->collection);
	assert_text(ours->expression, theirs->expression);
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

static pb_gateway *random_subscribe(struct test_random *random, struct arena *arena)
{
	pb_gateway *message = zeroed(arena, sizeof(*message));
	Syntrix__Streamer__V1__SubscribeRequest *request = zeroed(arena, sizeof(*request));
	syntrix__streamer__v1__gateway_message__init(message);
	syntrix__streamer__v1__subscribe_request__init(request);
	message->payload_case = SYNTRIX__STREAMER__V1__GATEWAY_MESSAGE__PAYLOAD_SUBSCRIBE;
	message->subscribe = request;
	request->subscription_id = random_text(random, arena);
	request->collection = random_text(random, arena);
	request->database = random_text(random, arena);
	request->expression = random_text(random, arena);
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
	return message;
}

static void test_subscribe(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_subscribe");
	for (int round = 0; round < ROUNDS; round++) {
		struct arena arena = {0};
		struct err_info refusal = {0};
		struct wire_gateway_message ours;
		const pb_gateway *theirs = random_subscribe(&random, &arena);
		struct bytes bytes = packed(&theirs->base, &arena);
		assert_int_equal(
			wire_gateway_message_parse(bytes, &limits, &arena, &ours, &refusal), OK);
		assert_int_equal(refusal.code, OK);
		assert_int_equal(ours.kind, WIRE_GATEWAY_SUBSCRIBE);
		assert_subscription(&ours.subscription, theirs->subscribe);

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
		int64_t timestamp_ms = random_integer(&random);
		assert_int_equal(wire_unsubscribe_encode(&encoded, bytes_of(id)), OK);
		pb_gateway *theirs = syntrix__streamer__v1__gateway_message__unpack(
			NULL, encoded.size, (const uint8_t *)encoded.data);
		assert_non_null(theirs);
		assert_int_equal(theirs->payload_case,
			SYNTRIX__STREAMER__V1__GATEWAY_MESSAGE__PAYLOAD_UNSUBSCRIBE);
		assert_string_equal(theirs->unsubscribe->subscription_id, id);
		syntrix__streamer__v1__gateway_message__free_unpacked(theirs, NULL);

		encoded.size = 0;
		assert_int_equal(wire_heartbeat_encode(&encoded,
					 &(struct model_heartbeat){.gateway_id = bytes_of(id),
						 .timestamp_ms = timestamp_ms}),
			OK);
		theirs = syntrix__streamer__v1__gateway_message__unpack(
			NULL, encoded.size, (const uint8_t *)encoded.data);
		assert_non_null(theirs);
		assert_int_equal(theirs->payload_case,
			SYNTRIX__STREAMER__V1__GATEWAY_MESSAGE__PAYLOAD_HEARTBEAT);
		assert_string_equal(theirs->heartbeat->gateway_id, id);
		assert_true(theirs->heartbeat->timestamp == timestamp_ms);
		syntrix__streamer__v1__gateway_message__free_unpacked(theirs, NULL);
		buffer_fini(&encoded);
		arena_fini(&arena);
	}
}

/* ---- what the Streamer says
 * ----------------------------------------------------------------------- */

static void test_delivery(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_delivery");
	for (int round = 0; round < ROUNDS; round++) {
		struct arena arena = {0};
		Syntrix__Streamer__V1__StreamerEvent event;
		syntrix__streamer__v1__streamer_event__init(&event);
		event.event_id = random_text(&random, &arena);
		event.database = random_text(&random, &arena);
		event.collection = random_text(&random, &arena);
		event.document_id = random_text(&random, &arena);
		event.operation = SYNTRIX__STREAMER__V1__OPERATION_TYPE__OPERATION_TYPE_DELETE;
		event.timestamp = random_integer(&random);
		event.received_us = random_integer(&random);
		const char *document = random_text(&random, &arena);
		event.document_data =
			(ProtobufCBinaryData){strlen(document), (uint8_t *)(uintptr_t)document};
		struct bytes encoded = packed(&event.base, &arena);

		const char *ids[3];
		char run[2048];
		size_t run_size = 0;
		size_t count = 1 + test_random_below(&random, 3);
		for (size_t i = 0; i < count; i++) {
			ids[i] = random_text(&random, &arena);
			run_size += wire_id_write(bytes_of(ids[i]), run + run_size);
		}
		size_t size = wire_delivery_size(run_size, encoded.size, NULL);
		char *place = arena_alloc(&arena, size + 1);
		assert_non_null(place);
		wire_delivery_write((struct bytes){run, run_size}, encoded, NULL, place);
		pb_streamer *theirs = syntrix__streamer__v1__streamer_message__unpack(
			NULL, size, (const uint8_t *)place);
		assert_non_null(theirs);
		assert_int_equal(theirs->payload_case,
			SYNTRIX__STREAMER__V1__STREAMER_MESSAGE__PAYLOAD_DELIVERY);
		assert_int_equal(theirs->delivery->n_subscription_ids, count);
		for (size_t i = 0; i < count; i++) {
			assert_string_equal(theirs->delivery->subscription_ids[i], ids[i]);
		}
		assert_string_equal(theirs->delivery->event->event_id, event.event_id);

		struct wire_streamer_message ours;
		struct model_delivery delivery;
		assert_int_equal(
			wire_streamer_message_parse((struct bytes){place, size}, &arena, &ours),
			OK);
		assert_int_equal(ours.kind, WIRE_STREAMER_DELIVERY);
		assert_true(bytes_equal(ours.run, (struct bytes){run, run_size}));
		assert_int_equal(wire_delivery_parse(ours.event, &delivery), OK);
		assert_text(delivery.event_id, event.event_id);
		assert_text(delivery.database, event.database);
		assert_text(delivery.collection, event.collection);
		assert_text(delivery.document_id, event.document_id);
		assert_text(delivery.document, document);
		assert_int_equal(delivery.operation, MODEL_DELETE);
		assert_true(delivery.timestamp_ms == event.timestamp);
		assert_true(delivery.received_us == event.received_us);
		syntrix__streamer__v1__streamer_message__free_unpacked(theirs, NULL);
		arena_fini(&arena);
	}
}

static void test_answers(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_answers");
	for (int round = 0; round < ROUNDS; round++) {
		struct arena arena = {0};
		struct buffer encoded = {0};
		bool accepted = test_random_below(&random, 2) == 1;
		const struct model_answer answer = {.id = bytes_of(random_text(&random, &arena)),
			.refusal = accepted ? MODEL_ACCEPTED : MODEL_REFUSED_FILTER,
			.filter = accepted ? 0 : 3,
			.text = bytes_of(accepted ? "" : random_text(&random, &arena)),
			.hint = bytes_of(accepted ? "" : random_text(&random, &arena))};
		assert_int_equal(wire_answer_encode(&encoded, &answer), OK);
		pb_streamer *theirs = syntrix__streamer__v1__streamer_message__unpack(
			NULL, encoded.size, (const uint8_t *)encoded.data);
		assert_non_null(theirs);
		assert_text(answer.id, theirs->subscribe_response->subscription_id);
		assert_text(answer.text, theirs->subscribe_response->error);
		assert_text(answer.hint, theirs->subscribe_response->hint);
		assert_int_equal(theirs->subscribe_response->success, accepted);
		assert_int_equal(theirs->subscribe_response->code, answer.refusal);
		assert_int_equal(theirs->subscribe_response->filter, answer.filter);
		struct wire_streamer_message ours;
		assert_int_equal(
			wire_streamer_message_parse(buffer_bytes(&encoded), &arena, &ours), OK);
		assert_int_equal(ours.kind, WIRE_STREAMER_ANSWER);
		assert_true(bytes_equal(ours.answer.text, answer.text));
		assert_int_equal(ours.answer.refusal, answer.refusal);
		syntrix__streamer__v1__streamer_message__free_unpacked(theirs, NULL);

		encoded.size = 0;
		int64_t timestamp_ms = random_integer(&random);
		assert_int_equal(
			wire_heartbeat_ack_encode(&encoded,
				&(struct model_heartbeat_ack){.timestamp_ms = timestamp_ms}),
			OK);
		theirs = syntrix__streamer__v1__streamer_message__unpack(
			NULL, encoded.size, (const uint8_t *)encoded.data);
		assert_non_null(theirs);
		assert_true(theirs->heartbeat_ack->timestamp == timestamp_ms);
		syntrix__streamer__v1__streamer_message__free_unpacked(theirs, NULL);
		buffer_fini(&encoded);
		arena_fini(&arena);
	}
}

/* ---- the extensions ---------------------------------------------------------------------------
 */

typedef Syntrix__Streamer__V1__Hello pb_hello;
typedef Syntrix__Streamer__V1__Welcome pb_welcome;
typedef Syntrix__Streamer__V1__Gap pb_gap;
typedef Syntrix__Streamer__V1__Notice pb_notice;

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

static void assert_binary(struct bytes ours, ProtobufCBinaryData theirs)
{
	assert_true(bytes_equal(ours, (struct bytes){(const char *)theirs.data, theirs.len}));
}

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
		cmocka_unit_test(test_delivery),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_welcome),
		cmocka_unit_test(test_gap),
		cmocka_unit_test(test_notice),
		cmocka_unit_test(test_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
