/* wire: many subscribes in one message, and their answer, through wire.h, against bytes by hand. */
#include "wire.h"

#include "proto.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#define assert_bytes(actual, expected) assert_true(bytes_equal((actual), (expected)))
#define assert_text(actual, expected) assert_bytes((actual), bytes_of(expected))

static const struct wire_limits limits = {
	.filters_max = 1, .filter_list_max = 1, .filter_depth_max = 1};

/* `payload` (which is freed) as the bulk of a gateway. */
static enum err parse_bulk(
	struct buffer *payload, struct arena *arena, struct wire_gateway_message *ret_message)
{
	struct buffer bytes = {0};
	struct err_info refusal;
	proto_message(&bytes, 101, payload);
	enum err err = wire_gateway_message_parse(
		buffer_bytes(&bytes), &limits, arena, ret_message, &refusal);
	buffer_fini(&bytes);
	return err;
}

static void put_request(struct buffer *payload, const char *id, int filters)
{
	struct buffer request = {0};
	proto_text(&request, 1, id);
	for (int i = 0; i < filters; i++) {
		struct buffer filter = {0};
		proto_text(&filter, 1, "a");
		proto_text(&filter, 2, "==");
		proto_message(&request, 3, &filter);
	}
	proto_message(payload, 2, &request);
}

static void bulk_both_ways(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer requests = {0};
	struct buffer bytes = {0};
	struct wire_gateway_message message;
	struct model_subscription one;
	struct err_info refusal;
	assert_int_equal(
		wire_bulk_append(&requests, &(struct model_subscription){.id = RAW("a")}), OK);
	assert_int_equal(wire_bulk_append(&requests, &(struct model_subscription){0}), OK);
	assert_int_equal(
		wire_bulk_append(&requests, &(struct model_subscription){.id = RAW("\xff")}),
		ERR_INVALID);
	const struct model_bulk bulk = {.id = 300, .requests = buffer_bytes(&requests)};
	assert_int_equal(wire_bulk_encode(&bytes, &bulk), OK);
	assert_bytes(buffer_bytes(&bytes),
		RAW("\xaa\x06\x0a\x08\xac\x02\x12\x03\x0a\x01"
		    "a\x12\0"));
	assert_int_equal(wire_gateway_message_parse(
				 buffer_bytes(&bytes), &limits, &arena, &message, &refusal),
		OK);
	memset(bytes.data, 0xff, bytes.size); /* all of it lives in the arena */
	buffer_fini(&bytes);
	assert_int_equal(message.kind, WIRE_GATEWAY_BULK);
	assert_int_equal(message.bulk.id, 300);
	struct bytes rest = message.bulk.requests;
	assert_int_equal(wire_bulk_next(&rest, &limits, &arena, &one, &refusal), OK);
	assert_text(one.id, "a");
	assert_int_equal(wire_bulk_next(&rest, &limits, &arena, &one, &refusal), OK);
	assert_int_equal(one.id.size, 0);
	assert_int_equal(wire_bulk_next(&rest, &limits, &arena, &one, &refusal), ERR_EMPTY);
	assert_int_equal(wire_bulk_next(&rest, &limits, &arena, &one, &refusal), ERR_EMPTY);

	assert_int_equal(wire_bulk_encode(&bytes, &(struct model_bulk){0}), OK);
	assert_bytes(buffer_bytes(&bytes), RAW("\xaa\x06\0"));
	buffer_fini(&bytes);
	buffer_fini(&requests);
	arena_fini(&arena);
}

/* One that exceeds a limit is refused alone; those around it are as if it were not there. */
static void a_refused_one_is_alone(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer payload = {0};
	struct wire_gateway_message message;
	struct model_subscription one;
	struct err_info refusal;
	put_request(&payload, "first", 1);
	put_request(&payload, "large", 2);
	put_request(&payload, "last", 1);
	assert_int_equal(parse_bulk(&payload, &arena, &message), OK);
	struct bytes rest = message.bulk.requests;
	static const char *const ids[] = {"first", "large", "last"};
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(wire_bulk_next(&rest, &limits, &arena, &one, &refusal), OK);
		assert_text(one.id, ids[i]);
		assert_int_equal(refusal.code, i == 1 ? ERR_LIMIT : OK);
		assert_int_equal(one.filters_count, i == 1 ? 0 : 1);
	}
	arena_fini(&arena);
}

/* Subscribes may stand apart, the number behind them, and the whole may come in pieces. */
static void bulk_in_another_order(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer bytes = {0};
	struct buffer payload = {0};
	struct wire_gateway_message message;
	struct model_subscription one;
	struct err_info refusal;
	put_request(&payload, "0", 0);
	proto_integer(&payload, 2, 5);
	proto_unknown(&payload);
	put_request(&payload, "1", 0);
	proto_text(&payload, 1, "no number");
	proto_integer(&payload, 1, UINT64_MAX);
	proto_message(&bytes, 101, &payload);
	put_request(&payload, "2", 0);
	proto_message(&bytes, 101, &payload);
	assert_int_equal(wire_gateway_message_parse(
				 buffer_bytes(&bytes), &limits, &arena, &message, &refusal),
		OK);
	assert_true(message.bulk.id == UINT64_MAX);
	struct bytes rest = message.bulk.requests;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(wire_bulk_next(&rest, &limits, &arena, &one, &refusal), OK);
		assert_int_equal(one.id.size, 1);
		assert_int_equal(one.id.data[0], '0' + i);
	}
	assert_int_equal(wire_bulk_next(&rest, &limits, &arena, &one, &refusal), ERR_EMPTY);
	buffer_fini(&bytes);
	arena_fini(&arena);
}

/* What is wrong between the subscribes is found at once; in one of them, when its turn comes. */
static void bulk_that_is_broken(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer payload = {0};
	struct wire_gateway_message message;
	struct model_subscription one;
	struct err_info refusal;
	put_request(&payload, "good", 0);
	proto_raw(&payload, RAW("\x12\x05"));
	assert_int_equal(parse_bulk(&payload, &arena, &message), ERR_CORRUPT);

	put_request(&payload, "good", 0);
	put_request(&payload, "\xff", 0);
	assert_int_equal(parse_bulk(&payload, &arena, &message), OK);
	struct bytes rest = message.bulk.requests;
	assert_int_equal(wire_bulk_next(&rest, &limits, &arena, &one, &refusal), OK);
	assert_int_equal(wire_bulk_next(&rest, &limits, &arena, &one, &refusal), ERR_CORRUPT);
	assert_text(one.id, "good");
	arena_fini(&arena);
}

static void thousands_take_no_memory(void **state)
{
	(void)state;
	enum { COUNT = 5000 };
	struct arena arena = {0};
	struct arena scratch = {0};
	struct buffer payload = {0};
	struct wire_gateway_message message;
	struct model_subscription one;
	struct err_info refusal;
	for (int i = 0; i < COUNT; i++) {
		put_request(&payload, "an id", i % 2);
	}
	assert_int_equal(parse_bulk(&payload, &arena, &message), OK);
	struct bytes rest = message.bulk.requests;
	for (int i = 0; i < COUNT; i++) {
		arena_reset(&scratch);
		assert_int_equal(wire_bulk_next(&rest, &limits, &scratch, &one, &refusal), OK);
		assert_text(one.id, "an id");
	}
	assert_int_equal(rest.size, 0);
	assert_true(scratch.total < 65536);
	arena_fini(&scratch);
	arena_fini(&arena);
}

static void answer_both_ways(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer refused = {0};
	struct buffer bytes = {0};
	struct wire_streamer_message message;
	struct model_answer one;
	const struct model_answer limit = {
		.id = RAW("s"), .refusal = MODEL_REFUSED_LIMIT, .text = RAW("no\xC3")};
	const struct model_answer wrong = {.id = RAW("\xff")};
	assert_int_equal(wire_bulk_refuse(&refused, &limit), OK);
	assert_int_equal(wire_bulk_refuse(&refused, &wrong), ERR_INVALID);
	const struct model_bulk_answer answer = {.id = 7,
		.accepted = 300,
		.refused = buffer_bytes(&refused),
		.live_after = RAW("\0p")};
	assert_int_equal(wire_bulk_answer_encode(&bytes, &answer), OK);
	assert_bytes(buffer_bytes(&bytes),
		RAW("\xb2\x06\x15\x08\x07\x10\xac\x02\x1a\x0a\x0a\x01s\x1a\x02no\xa0\x06\x04"
		    "\x22\x02\0p"));
	assert_int_equal(wire_streamer_message_parse(buffer_bytes(&bytes), &arena, &message), OK);
	assert_int_equal(message.kind, WIRE_STREAMER_BULK_ANSWER);
	assert_int_equal(message.bulk_answer.id, 7);
	assert_int_equal(message.bulk_answer.accepted, 300);
	assert_bytes(message.bulk_answer.live_after, RAW("\0p"));
	struct bytes rest = message.bulk_answer.refused;
	assert_int_equal(wire_bulk_refused_next(&rest, &one), OK);
	assert_text(one.id, "s");
	assert_text(one.text, "no");
	assert_int_equal(one.refusal, MODEL_REFUSED_LIMIT);
	assert_int_equal(wire_bulk_refused_next(&rest, &one), ERR_EMPTY);
	buffer_fini(&refused);
	buffer_fini(&bytes);
	arena_fini(&arena);
}

static void answer_that_is_broken(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct wire_streamer_message message;
	struct model_answer one;
	assert_int_equal(wire_streamer_message_parse(RAW("\xb2\x06\x02\x1a\x05"), &arena, &message),
		ERR_CORRUPT);
	assert_int_equal(wire_streamer_message_parse(
				 RAW("\xb2\x06\x05\x1a\x03\x0a\x01\xff"), &arena, &message),
		OK);
	struct bytes rest = message.bulk_answer.refused;
	assert_int_equal(wire_bulk_refused_next(&rest, &one), ERR_CORRUPT);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bulk_both_ways),
		cmocka_unit_test(a_refused_one_is_alone),
		cmocka_unit_test(bulk_in_another_order),
		cmocka_unit_test(bulk_that_is_broken),
		cmocka_unit_test(thousands_take_no_memory),
		cmocka_unit_test(answer_both_ways),
		cmocka_unit_test(answer_that_is_broken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
