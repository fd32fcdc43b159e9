/* wire: what gateways send, through wire.h, against bytes made by hand. */
#include "wire.h"

#include "proto.h"
#include "subscribe.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#define assert_bytes(actual, expected) assert_true(bytes_equal((actual), (expected)))
#define assert_text(actual, expected) assert_bytes((actual), bytes_of(expected))

static const struct wire_limits limits = {
	.filters_max = 8, .filter_list_max = 10, .filter_depth_max = 4};

static struct wire_gateway_message gateway_message(
	struct bytes bytes, struct arena *arena, struct err_info *ret_refusal)
{
	struct wire_gateway_message message;
	assert_int_equal(
		wire_gateway_message_parse(bytes, &limits, arena, &message, ret_refusal), OK);
	return message;
}

static enum err gateway_error(struct bytes bytes)
{
	struct arena arena = {0};
	struct wire_gateway_message message;
	struct err_info refusal;
	enum err err = wire_gateway_message_parse(bytes, &limits, &arena, &message, &refusal);
	arena_fini(&arena);
	return err;
}

/* ---- subscribe ------------------------------------------------------------------------------- */

static void test_subscribe(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct tape tape = {0};
	const struct value *list;
	size_t place;
	size_t inner;
	assert_int_equal(tape_open(&tape, VALUE_LIST, &place), OK);
	assert_int_equal(tape_push(&tape, value_int(INT64_MIN)), OK);
	assert_int_equal(tape_open(&tape, VALUE_LIST, &inner), OK);
	tape_close(&tape, inner, 0);
	assert_int_equal(tape_push(&tape, value_string(RAW("a\0b"))), OK);
	assert_int_equal(tape_push(&tape, value_bool(false)), OK);
	tape_close(&tape, place, 4);
	assert_int_equal(tape_finish(&tape, &arena, &list), OK);
	tape_fini(&tape);
	const struct value none = {.kind = VALUE_NONE};
	const struct value real = {.kind = VALUE_DOUBLE, .as.real = -0.5};
	const struct value large = {.kind = VALUE_UINT, .as.unsigned_integer = UINT64_C(1) << 63};
	const struct model_filter filters[] = {
		{bytes_of("a.b"), bytes_of("in"), list},
		{bytes_of("n"), bytes_of("=="), &real},
		{bytes_of("x"), bytes_of("!="), NULL},
		{bytes_of("y"), bytes_of(">"), &none},
		{bytes_of(""), bytes_of(""), &large},
	};
	const struct model_subscription subscription = {bytes_of("s1"), bytes_of("db"),
		bytes_of("users"), filters, 5, bytes_of("age > 18"), true};
	struct buffer buffer = {0};
	assert_int_equal(wire_subscribe_encode(&buffer, &subscription), OK);
	struct err_info refusal;
	struct wire_gateway_message message =
		gateway_message(buffer_bytes(&buffer), &arena, &refusal);
	/* All of it lives in the arena. */
	memset(buffer.data, 0xff, buffer.size);
	buffer_fini(&buffer);
	assert_int_equal(refusal.code, OK);
	assert_int_equal(message.kind, WIRE_GATEWAY_SUBSCRIBE);
	assert_text(message.subscription.id, "s1");
	assert_text(message.subscription.database, "db");
	assert_text(message.subscription.collection, "users");
	assert_text(message.subscription.expression, "age > 18");
	assert_true(message.subscription.omit_document);
	assert_int_equal(message.subscription.filters_count, 5);
	const struct model_filter *parsed = message.subscription.filters;
	for (size_t i = 0; i < 5; i++) {
		assert_bytes(parsed[i].field, filters[i].field);
		assert_bytes(parsed[i].op, filters[i].op);
	}
	assert_true(value_equal(parsed[0].value, list));
	assert_int_equal(parsed[0].value->size, 4);
	assert_true(parsed[1].value->kind == VALUE_DOUBLE && parsed[1].value->as.real == -0.5);
	assert_null(parsed[2].value);
	assert_int_equal(parsed[3].value->kind, VALUE_NONE);
	assert_true(parsed[4].value->as.real == 9223372036854775808.0);
	arena_fini(&arena);
}

/* What the wire has no kind for, and strings that are none. */
static void test_subscribe_refused(void **state)
{
	(void)state;
	static const struct value null = {.kind = VALUE_NULL};
	static const struct value object = {.kind = VALUE_OBJECT, .as.span = 1};
	static const struct value large = {
		.kind = VALUE_UINT, .as.unsigned_integer = UINT64_C(9007199254740993)};
	static const struct value largest = {.kind = VALUE_UINT, .as.unsigned_integer = UINT64_MAX};
	const struct value text = value_string(RAW("\xff"));
	const struct value *const wrong[] = {&null, &object, &large, &largest, &text};
	struct buffer buffer = {0};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct model_filter filter = {bytes_of("a"), bytes_of("=="), wrong[i]};
		struct model_subscription subscription = {.filters = &filter, .filters_count = 1};
		assert_int_equal(wire_subscribe_encode(&buffer, &subscription), ERR_INVALID);
		assert_int_equal(buffer.size, 0);
	}
	struct model_subscription subscription = {.database = RAW("\xc0\x80")};
	assert_int_equal(wire_subscribe_encode(&buffer, &subscription), ERR_INVALID);
	/* 64 lists go, 65 do not. */
	for (uint32_t depth = 64; depth <= 65; depth++) {
		struct value lists[65];
		for (uint32_t i = 0; i < depth; i++) {
			lists[i] = (struct value){
				.kind = VALUE_LIST, .size = i + 1 < depth, .as.span = depth - i};
		}
		struct model_filter filter = {bytes_of("a"), bytes_of("=="), lists};
		subscription = (struct model_subscription){.filters = &filter, .filters_count = 1};
		assert_int_equal(wire_subscribe_encode(&buffer, &subscription),
			depth <= 64 ? OK : ERR_INVALID);
	}
	buffer_fini(&buffer);
}

/* A filter's value given as a raw Value message; the subscription has that filter alone. */
static const struct value *parse_value(
	struct buffer *value, struct arena *arena, struct err_info *ret_refusal)
{
	struct buffer subscribe = {0};
	struct buffer message = {0};
	write_filter(&subscribe, "a", "==", value);
	proto_message(&message, 1, &subscribe);
	struct wire_gateway_message parsed =
		gateway_message(buffer_bytes(&message), arena, ret_refusal);
	buffer_fini(&message);
	if (ret_refusal->code != OK) {
		assert_int_equal(parsed.subscription.filters_count, 0);
		return NULL;
	}
	assert_int_equal(parsed.subscription.filters_count, 1);
	return parsed.subscription.filters[0].value;
}

/* The member of the oneof that came last wins; lists one behind the other are one. */
static void test_value_oneof(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct err_info refusal;
	struct buffer value = {0};
	proto_text(&value, 1, "text");
	proto_integer(&value, 2, UINT64_MAX);
	const struct value *parsed = parse_value(&value, &arena, &refusal);
	assert_true(parsed->kind == VALUE_INT && parsed->as.integer == -1);

	write_list(&value, 1, 3);
	proto_integer(&value, 4, 2);
	parsed = parse_value(&value, &arena, &refusal);
	assert_true(parsed->kind == VALUE_BOOL && parsed->as.boolean);

	proto_fixed(&value, 3, 0x3FF8000000000000, 8);
	proto_fixed(&value, 3, 1, 4);  /* of other types: unknown */
	proto_integer(&value, 1, 1);   /* " */
	proto_integer(&value, 5, 1);   /* " */
	proto_text(&value, 2, "\xff"); /* " */
	proto_unknown(&value);
	parsed = parse_value(&value, &arena, &refusal);
	assert_true(parsed->kind == VALUE_DOUBLE && parsed->as.real == 1.5);

	write_list(&value, 8, 1);
	proto_text(&value, 1, "");
	write_list(&value, 1, 2);
	proto_unknown(&value);
	write_list(&value, 3, 2);
	parsed = parse_value(&value, &arena, &refusal);
	assert_int_equal(parsed->kind, VALUE_LIST);
	assert_int_equal(parsed->size, 4);
	assert_int_equal(parsed->as.span, 5);
	for (int64_t i = 1; i <= 4; i++) {
		assert_true(parsed[i].kind == VALUE_INT && parsed[i].as.integer == i);
	}

	write_list(&value, 1, 0);
	parsed = parse_value(&value, &arena, &refusal);
	assert_true(parsed->kind == VALUE_LIST && parsed->size == 0 && parsed->as.span == 1);
	arena_fini(&arena);
}

/* A filter's value in two pieces is merged, as are the pieces of a whole subscribe. */
static void test_subscribe_in_pieces(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct err_info refusal;
	struct buffer message = {0};
	struct buffer subscribe = {0};
	struct buffer filter = {0};
	struct buffer value = {0};
	proto_text(&message, 2, "unsubscribe");
	proto_text(&subscribe, 1, "old");
	write_filter(&subscribe, "one", "==", NULL);
	proto_message(&message, 1, &subscribe);
	proto_unknown(&message);
	write_list(&value, 1, 1);
	proto_message(&filter, 3, &value);
	write_list(&value, 2, 1);
	proto_message(&filter, 3, &value);
	proto_integer(&filter, 3, 5);
	proto_message(&subscribe, 3, &filter);
	proto_integer(&subscribe, 3, 5);
	proto_text(&subscribe, 1, "new");
	proto_message(&message, 1, &subscribe);
	struct wire_gateway_message parsed =
		gateway_message(buffer_bytes(&message), &arena, &refusal);
	assert_int_equal(parsed.kind, WIRE_GATEWAY_SUBSCRIBE);
	assert_text(parsed.subscription.id, "new");
	assert_int_equal(parsed.subscription.filters_count, 2);
	assert_text(parsed.subscription.filters[0].field, "one");
	assert_null(parsed.subscription.filters[0].value);
	assert_int_equal(parsed.subscription.filters[1].value->size, 2);
	/* What came before another member of the oneof is gone. */
	proto_text(&message, 3, "");
	proto_text(&message, 1, "");
	parsed = gateway_message(buffer_bytes(&message), &arena, &refusal);
	assert_int_equal(parsed.kind, WIRE_GATEWAY_SUBSCRIBE);
	assert_int_equal(parsed.subscription.id.size, 0);
	assert_int_equal(parsed.subscription.filters_count, 0);
	buffer_fini(&message);
	arena_fini(&arena);
}

static void test_filter_limits(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct err_info refusal;
	struct buffer value = {0};
	write_list(&value, 1, 10);
	assert_non_null(parse_value(&value, &arena, &refusal));
	write_list(&value, 1, 11);
	assert_null(parse_value(&value, &arena, &refusal));
	assert_int_equal(refusal.code, ERR_LIMIT);
	assert_string_equal(refusal.text, "filter 1: its list has 11 values, the limit is 10");
	write_nested(&value, 4);
	assert_non_null(parse_value(&value, &arena, &refusal));
	write_nested(&value, 5);
	assert_null(parse_value(&value, &arena, &refusal));
	assert_int_equal(refusal.code, ERR_LIMIT);
	assert_string_equal(refusal.text, "filter 1: lists are nested deeper than 4, the limit");
	/* Each filter has the whole of it. */
	struct buffer two = {0};
	struct buffer both = {0};
	write_list(&value, 1, 10);
	write_filter(&two, "a", "==", &value);
	write_list(&value, 1, 10);
	write_filter(&two, "a", "==", &value);
	proto_message(&both, 1, &two);
	(void)gateway_message(buffer_bytes(&both), &arena, &refusal);
	assert_int_equal(refusal.code, OK);
	buffer_fini(&both);
	for (size_t count = 8; count <= 9; count++) {
		struct buffer subscribe = {0};
		struct buffer message = {0};
		for (size_t i = 0; i < count; i++) {
			write_filter(&subscribe, "a", "==", NULL);
		}
		proto_text(&subscribe, 1, "id");
		proto_message(&message, 1, &subscribe);
		struct wire_gateway_message parsed =
			gateway_message(buffer_bytes(&message), &arena, &refusal);
		assert_text(parsed.subscription.id, "id"); /* it can be answered */
		assert_int_equal(refusal.code, count == 8 ? OK : ERR_LIMIT);
		assert_int_equal(parsed.subscription.filters_count, count == 8 ? 8 : 0);
		buffer_fini(&message);
	}
	assert_string_equal(refusal.text, "9 filters, the limit is 8");
	arena_fini(&arena);
}

/* 34 kB of list_value in list_value, which overflow the stack of a reader that recurses. */
static void test_depth_bomb(void **state)
{
	(void)state;
	struct buffer value = {0};
	struct arena arena = {0};
	struct err_info refusal;
	write_nested(&value, 5000);
	assert_true(value.size > 34000);
	assert_null(parse_value(&value, &arena, &refusal));
	assert_int_equal(refusal.code, ERR_LIMIT);
	/* However much the limits allow, the stack is bounded. */
	const struct wire_limits generous = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
	struct buffer subscribe = {0};
	struct buffer bytes = {0};
	write_nested(&value, 5000);
	write_filter(&subscribe, "a", "==", &value);
	proto_message(&bytes, 1, &subscribe);
	struct wire_gateway_message message;
	assert_int_equal(wire_gateway_message_parse(
				 buffer_bytes(&bytes), &generous, &arena, &message, &refusal),
		OK);
	assert_int_equal(refusal.code, ERR_LIMIT);
	buffer_fini(&bytes);
	arena_fini(&arena);
}

/* ---- the other messages of a gateway --------------------------------------------------------- */

static void test_unsubscribe_and_heartbeat(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct err_info refusal;
	struct buffer buffer = {0};
	assert_int_equal(wire_unsubscribe_encode(&buffer, bytes_of("s1")), OK);
	assert_bytes(buffer_bytes(&buffer), RAW("\x12\x04\x0a\x02s1"));
	struct wire_gateway_message message =
		gateway_message(buffer_bytes(&buffer), &arena, &refusal);
	assert_int_equal(message.kind, WIRE_GATEWAY_UNSUBSCRIBE);
	assert_text(message.unsubscribe_id, "s1");
	/* A heartbeat behind it takes its place. Negative numbers take ten bytes. */
	assert_int_equal(
		wire_heartbeat_encode(&buffer,
			&(struct model_heartbeat){.gateway_id = bytes_of("g"), .timestamp_ms = -5}),
		OK);
	assert_bytes(((struct bytes){buffer.data + 6, buffer.size - 6}),
		RAW("\x1a\x0e\x0a\x01g\x10\xfb\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
	message = gateway_message(buffer_bytes(&buffer), &arena, &refusal);
	assert_int_equal(message.kind, WIRE_GATEWAY_HEARTBEAT);
	assert_text(message.heartbeat.gateway_id, "g");
	assert_true(message.heartbeat.timestamp_ms == -5);
	assert_int_equal(message.unsubscribe_id.size, 0);
	/* The original's client sends it empty. */
	message = gateway_message(RAW("\x1a\x00"), &arena, &refusal);
	assert_int_equal(message.kind, WIRE_GATEWAY_HEARTBEAT);
	assert_true(message.heartbeat.timestamp_ms == 0);
	size_t before = buffer.size;
	assert_int_equal(wire_unsubscribe_encode(&buffer, RAW("\xff")), ERR_INVALID);
	assert_int_equal(
		wire_heartbeat_encode(&buffer,
			&(struct model_heartbeat){.gateway_id = RAW("\xff"), .timestamp_ms = 1}),
		ERR_INVALID);
	assert_int_equal(buffer.size, before);
	buffer_fini(&buffer);
	arena_fini(&arena);
}

static void test_nothing(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct err_info refusal;
	struct buffer buffer = {0};
	assert_int_equal(
		gateway_message((struct bytes){0}, &arena, &refusal).kind, WIRE_GATEWAY_NOTHING);
	proto_unknown(&buffer);
	proto_integer(&buffer, 1, 1);
	proto_fixed(&buffer, 3, 1, 4);
	proto_text(&buffer, 4, "");
	assert_int_equal(gateway_message(buffer_bytes(&buffer), &arena, &refusal).kind,
		WIRE_GATEWAY_NOTHING);
	struct wire_streamer_message message;
	assert_int_equal(wire_streamer_message_parse(buffer_bytes(&buffer), &arena, &message), OK);
	assert_int_equal(message.kind, WIRE_STREAMER_NOTHING);
	assert_int_equal(wire_streamer_message_parse((struct bytes){0}, &arena, &message), OK);
	assert_int_equal(message.kind, WIRE_STREAMER_NOTHING);
	buffer_fini(&buffer);
	arena_fini(&arena);
}

/* Every string of a gateway's messages. */
static void test_gateway_utf8(void **state)
{
	(void)state;
	assert_int_equal(gateway_error(RAW("\x0a\x03\x0a\x01\xff")), ERR_CORRUPT); /* id */
	assert_int_equal(gateway_error(RAW("\x0a\x03\x12\x01\xff")), ERR_CORRUPT); /* collection */
	assert_int_equal(gateway_error(RAW("\x0a\x03\x22\x01\xff")), ERR_CORRUPT); /* database */
	assert_int_equal(gateway_error(RAW("\x0a\x05\x1a\x03\x0a\x01\xff")), ERR_CORRUPT);
	assert_int_equal(gateway_error(RAW("\x0a\x05\x1a\x03\x12\x01\xff")), ERR_CORRUPT);
	assert_int_equal(gateway_error(RAW("\x0a\x07\x1a\x05\x1a\x03\x0a\x01\xff")), ERR_CORRUPT);
	assert_int_equal(gateway_error(RAW("\x12\x03\x0a\x01\xff")), ERR_CORRUPT);
	assert_int_equal(gateway_error(RAW("\x1a\x03\x0a\x01\xff")), ERR_CORRUPT);
	/* A surrogate, an overlong form, one over U+10FFFF; and what is fine, NUL included. */
	assert_int_equal(gateway_error(RAW("\x12\x05\x0a\x03\xed\xa0\x80")), ERR_CORRUPT);
	assert_int_equal(gateway_error(RAW("\x12\x05\x0a\x03\xe0\x80\x80")), ERR_CORRUPT);
	assert_int_equal(gateway_error(RAW("\x12\x06\x0a\x04\xf4\x90\x80\x80")), ERR_CORRUPT);
	assert_int_equal(gateway_error(RAW("\x12\x06\x0a\x04\xf4\x8f\xbf\xbf")), OK);
	assert_int_equal(gateway_error(RAW("\x12\x05\x0a\x03"
					   "a\0b")),
		OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_subscribe),
		cmocka_unit_test(test_subscribe_refused),
		cmocka_unit_test(test_value_oneof),
		cmocka_unit_test(test_subscribe_in_pieces),
		cmocka_unit_test(test_filter_limits),
		cmocka_unit_test(test_depth_bomb),
		cmocka_unit_test(test_unsubscribe_and_heartbeat),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_gateway_utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
