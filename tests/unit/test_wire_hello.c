/* wire: the messages of the extensions, bulks apart, through wire.h, against bytes made by hand. */
#include "wire.h"

#include "failing.h"
#include "proto.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define assert_bytes(actual, expected) assert_true(bytes_equal((actual), (expected)))
#define assert_text(actual, expected) assert_bytes((actual), bytes_of(expected))

static const struct wire_limits limits = {1, 1, 1};

static enum err parse_gateway(
	struct buffer *bytes, struct arena *arena, struct wire_gateway_message *ret_message)
{
	struct err_info refusal;
	enum err err = wire_gateway_message_parse(
		buffer_bytes(bytes), &limits, arena, ret_message, &refusal);
	buffer_fini(bytes);
	return err;
}

/* `payload` (which is freed) as the payload of that number. */
static enum err parse_streamer(uint32_t number, struct buffer *payload, struct arena *arena,
	struct wire_streamer_message *ret_message)
{
	struct buffer bytes = {0};
	proto_message(&bytes, number, payload);
	struct bytes copy = arena_copy(arena, buffer_bytes(&bytes));
	buffer_fini(&bytes);
	return wire_streamer_message_parse(copy, arena, ret_message);
}

/* ---- Hello ----------------------------------------------------------------------------------- */

static void hello_both_ways(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer bytes = {0};
	struct wire_gateway_message message;
	const struct model_hello hello = {.version = 1,
		.gateway_id = bytes_of("g\xC3\xBC"),
		.after = RAW("\0\xff"),
		.message_bytes_max = UINT32_MAX};
	assert_int_equal(wire_hello_encode(&bytes, &hello), OK);
	assert_bytes(buffer_bytes(&bytes),
		RAW("\xa2\x06\x11\x08\x01\x12\x03g\xC3\xBC\x1a\x02\0\xff\x20\xff\xff\xff\xff\x0f"));
	assert_int_equal(parse_gateway(&bytes, &arena, &message), OK);
	assert_int_equal(message.kind, WIRE_GATEWAY_HELLO);
	assert_int_equal(message.hello.version, 1);
	assert_text(message.hello.gateway_id, "g\xC3\xBC");
	assert_bytes(message.hello.after, RAW("\0\xff"));
	assert_true(message.hello.message_bytes_max == UINT32_MAX);
	arena_fini(&arena);
}

static void an_empty_hello_is_one(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer bytes = {0};
	struct wire_gateway_message message;
	assert_int_equal(wire_hello_encode(&bytes, &(struct model_hello){0}), OK);
	assert_bytes(buffer_bytes(&bytes), RAW("\xa2\x06\0"));
	assert_int_equal(parse_gateway(&bytes, &arena, &message), OK);
	assert_int_equal(message.kind, WIRE_GATEWAY_HELLO);
	assert_int_equal(message.hello.version, 0);
	assert_int_equal(message.hello.after.size, 0);
	arena_fini(&arena);
}

/* As protobuf asks; another payload behind them replaces them all. */
static void pieces_are_merged(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer bytes = {0};
	struct buffer piece = {0};
	struct wire_gateway_message message;
	for (int i = 0; i < 2; i++) {
		proto_integer(&piece, 1, 1);
		proto_text(&piece, 2, "first");
		proto_message(&bytes, 100, &piece);
		proto_unknown(&bytes);
		proto_text(&piece, 2, "second");
		proto_text(&piece, 3, "p");
		proto_message(&bytes, 100, &piece);
		if (i == 1) {
			proto_integer(&piece, 2, 7);
			proto_message(&bytes, 3, &piece);
		}
		assert_int_equal(parse_gateway(&bytes, &arena, &message), OK);
		assert_int_equal(
			message.kind, i == 0 ? WIRE_GATEWAY_HELLO : WIRE_GATEWAY_HEARTBEAT);
		if (i == 0) {
			assert_int_equal(message.hello.version, 1);
			assert_text(message.hello.gateway_id, "second");
			assert_text(message.hello.after, "p");
		}
	}
	arena_fini(&arena);
}

/* A field of another type is one that nobody knows. */
static void hello_of_wrong_types(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer bytes = {0};
	struct buffer hello = {0};
	struct wire_gateway_message message;
	proto_unknown(&hello);
	proto_integer(&hello, 1, 1);
	proto_integer(&hello, 2, 5);
	proto_integer(&hello, 3, 5);
	proto_fixed(&hello, 1, 9, 4);
	proto_text(&hello, 4, "large");
	proto_message(&bytes, 100, &hello);
	assert_int_equal(parse_gateway(&bytes, &arena, &message), OK);
	assert_int_equal(message.hello.version, 1);
	assert_int_equal(message.hello.gateway_id.size, 0);
	assert_int_equal(message.hello.after.size, 0);
	assert_int_equal(message.hello.message_bytes_max, 0);

	proto_integer(&bytes, 100, 1); /* no message at all */
	assert_int_equal(parse_gateway(&bytes, &arena, &message), OK);
	assert_int_equal(message.kind, WIRE_GATEWAY_NOTHING);
	arena_fini(&arena);
}

static void hello_that_is_broken(void **state)
{
	(void)state;
	const struct bytes broken[] = {
		RAW("\xa2\x06\x03\x12\x01\xff"), /* a name that is not UTF-8 */
		RAW("\xa2\x06\x02\x12\x05"),     /* cut off */
		RAW("\xa2\x06\x05\x08\x01"),     /* the message itself */
		RAW("\xa2\x06\x02\x08\xff"),     /* in a number */
		RAW("\xa2\x06\x03\x1b\x08\x01"), /* in a group */
	};
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct arena arena = {0};
		struct buffer bytes = {0};
		struct wire_gateway_message message;
		proto_raw(&bytes, broken[i]);
		assert_int_equal(parse_gateway(&bytes, &arena, &message), ERR_CORRUPT);
		arena_fini(&arena);
	}
	struct buffer bytes = {0};
	const struct model_hello hello = {.gateway_id = bytes_of("\xff")};
	assert_int_equal(wire_hello_encode(&bytes, &hello), ERR_INVALID);
	assert_int_equal(bytes.size, 0);
	buffer_fini(&bytes);
}

/* What we have no verb for yet is passed over, as by a peer of the original. */
static void other_extensions_are_nothing(void **state)
{
	(void)state;
	static const uint32_t numbers[] = {4, 99, 102, 199};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct arena arena = {0};
		struct buffer bytes = {0};
		struct wire_gateway_message message;
		proto_text(&bytes, numbers[i], "\xff");
		assert_int_equal(parse_gateway(&bytes, &arena, &message), OK);
		assert_int_equal(message.kind, WIRE_GATEWAY_NOTHING);
		arena_fini(&arena);
	}
	static const uint32_t theirs[] = {4, 99, 106, 199};
	for (size_t i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++) {
		struct arena arena = {0};
		struct buffer payload = {0};
		struct wire_streamer_message message;
		assert_int_equal(parse_streamer(theirs[i], &payload, &arena, &message), OK);
		assert_int_equal(message.kind, WIRE_STREAMER_NOTHING);
		arena_fini(&arena);
	}
}

/* ---- Welcome --------------------------------------------------------------------------------- */

static void welcome_both_ways(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer bytes = {0};
	struct wire_streamer_message message;
	const struct model_welcome welcome = {.version = 1,
		.epoch = UINT64_C(0xF1E2D3C4B5A69788),
		.position = bytes_of("p"),
		.resume = MODEL_RESUME_GAP,
		.lease_ms = 300,
		.message_bytes_max = 4};
	assert_int_equal(wire_welcome_encode(&bytes, &welcome), OK);
	assert_bytes(buffer_bytes(&bytes),
		RAW("\xa2\x06\x15\x08\x01\x11\x88\x97\xa6\xb5\xc4\xd3\xe2\xf1\x1a\x01p\x20\x02"
		    "\x28\xac\x02\x30\x04"));
	assert_int_equal(wire_streamer_message_parse(buffer_bytes(&bytes), &arena, &message), OK);
	assert_int_equal(message.kind, WIRE_STREAMER_WELCOME);
	assert_int_equal(message.welcome.version, 1);
	assert_true(message.welcome.epoch == welcome.epoch);
	assert_text(message.welcome.position, "p");
	assert_int_equal(message.welcome.resume, MODEL_RESUME_GAP);
	assert_int_equal(message.welcome.lease_ms, 300);
	assert_int_equal(message.welcome.message_bytes_max, 4);
	bytes.size = 0;
	assert_int_equal(wire_welcome_encode(&bytes, &(struct model_welcome){0}), OK);
	assert_bytes(buffer_bytes(&bytes), RAW("\xa2\x06\0"));
	buffer_fini(&bytes);
	arena_fini(&arena);
}

static void welcome_of_a_newer_server(void **state)
{
	(void)state;
	static const uint64_t resumes[] = {3, 200, UINT32_MAX, UINT64_MAX};
	for (size_t i = 0; i < sizeof(resumes) / sizeof(resumes[0]); i++) {
		struct arena arena = {0};
		struct buffer payload = {0};
		struct wire_streamer_message message;
		proto_integer(&payload, 4, 1);
		proto_integer(&payload, 4, resumes[i]);
		proto_integer(&payload, 2, 77); /* an epoch is no varint */
		proto_unknown(&payload);
		assert_int_equal(parse_streamer(100, &payload, &arena, &message), OK);
		assert_int_equal(message.welcome.resume, MODEL_RESUME_LIVE);
		assert_true(message.welcome.epoch == 0);
		arena_fini(&arena);
	}
}

/* ---- Gap ------------------------------------------------------------------------------------- */

static void gap_both_ways(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer bytes = {0};
	struct wire_streamer_message message;
	const struct model_gap gap = {.after = bytes_of("a"),
		.until = bytes_of("z"),
		.reason = MODEL_GAP_TOO_LARGE,
		.run = RAW("\x0a\x01s\x0a\0"),
		.events = UINT64_MAX,
		.event = RAW("\x0a\x01"
			     "e")};
	assert_int_equal(wire_gap_encode(&bytes, &gap), OK);
	assert_bytes(buffer_bytes(&bytes),
		RAW("\xaa\x06\x1d\x0a\x01"
		    "a\x12\x01z\x18\x03\x22\x01s\x22\0"
		    "\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x32\x03\x0a\x01"
		    "e"));
	assert_int_equal(wire_streamer_message_parse(buffer_bytes(&bytes), &arena, &message), OK);
	assert_int_equal(message.kind, WIRE_STREAMER_GAP);
	assert_text(message.gap.after, "a");
	assert_text(message.gap.until, "z");
	assert_int_equal(message.gap.reason, MODEL_GAP_TOO_LARGE);
	assert_true(message.gap.events == UINT64_MAX);
	assert_bytes(message.gap.run, gap.run);
	assert_bytes(message.gap.event, gap.event);
	buffer_fini(&bytes);
	arena_fini(&arena);
}

/* Ids may stand apart, and a change may come in pieces. */
static void gap_in_another_order(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer payload = {0};
	struct wire_streamer_message message;
	proto_text(&payload, 6, "\x0a\x01x");
	proto_text(&payload, 4, "one");
	proto_integer(&payload, 4, 1);
	proto_integer(&payload, 5, 2);
	proto_raw(&payload, RAW("\x22\x83\0two")); /* in more bytes than need be */
	proto_text(&payload, 6, "\x0a\x01y");
	assert_int_equal(parse_streamer(101, &payload, &arena, &message), OK);
	assert_bytes(message.gap.run, RAW("\x0a\x03one\x0a\x03two"));
	assert_text(message.gap.event, "\x0a\x01x\x0a\x01y");
	proto_text(&payload, 4, "\xff");
	assert_int_equal(parse_streamer(101, &payload, &arena, &message), ERR_CORRUPT);
	arena_fini(&arena);
}

static void gap_without_memory(void **state)
{
	(void)state;
	struct buffer bytes = {0};
	struct buffer payload = {0};
	proto_text(&payload, 4, "one");
	proto_text(&payload, 6, "a");
	proto_text(&payload, 6, "b");
	proto_message(&bytes, 101, &payload);
	bool failed = true;
	for (size_t fail_at = 0; failed; fail_at++) {
		struct arena arena = {0};
		struct failing failing;
		struct wire_streamer_message message;
		failing_start(&failing, fail_at);
		enum err err = wire_streamer_message_parse(buffer_bytes(&bytes), &arena, &message);
		failed = failing_stop(&failing);
		assert_int_equal(err, failed ? ERR_MEMORY : OK);
		assert_true(failed || fail_at > 0);
		arena_fini(&arena);
	}
	buffer_fini(&bytes);
}

static void gap_of_a_newer_server(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer payload = {0};
	struct wire_streamer_message message;
	proto_integer(&payload, 3, 2);
	proto_integer(&payload, 3, 4); /* a reason that we do not know */
	proto_text(&payload, 4, "a subscription");
	proto_integer(&payload, 5, 6);
	proto_text(&payload, 5, "of another type");
	proto_text(&payload, 6, "");
	proto_integer(&payload, 1, 1);
	assert_int_equal(parse_streamer(101, &payload, &arena, &message), OK);
	assert_int_equal(message.gap.reason, MODEL_GAP_UNKNOWN);
	assert_int_equal(message.gap.after.size, 0);
	assert_true(message.gap.events == 6);
	arena_fini(&arena);
}

/* ---- Notice ---------------------------------------------------------------------------------- */

static void notice_both_ways(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer bytes = {0};
	struct wire_streamer_message message;
	const struct model_notice notice = {.subscription_id = bytes_of("s"),
		.code = MODEL_NOTICE_STOPPED,
		.text = bytes_of("why")};
	assert_int_equal(wire_notice_encode(&bytes, &notice), OK);
	assert_bytes(buffer_bytes(&bytes), RAW("\xc2\x06\x0a\x0a\x01s\x10\x01\x1a\x03why"));
	assert_int_equal(wire_streamer_message_parse(buffer_bytes(&bytes), &arena, &message), OK);
	assert_int_equal(message.kind, WIRE_STREAMER_NOTICE);
	assert_text(message.notice.subscription_id, "s");
	assert_int_equal(message.notice.code, MODEL_NOTICE_STOPPED);
	assert_text(message.notice.text, "why");
	buffer_fini(&bytes);
	arena_fini(&arena);
}

/* A text that was cut to a limit may end in half a character: that half does not go out. */
static void notice_text_is_cut_at_a_character(void **state)
{
	(void)state;
	struct buffer bytes = {0};
	struct model_notice notice = {.subscription_id = bytes_of("s"), .text = RAW("ab\xE2\x82")};
	assert_int_equal(wire_notice_encode(&bytes, &notice), OK);
	assert_bytes(buffer_bytes(&bytes),
		RAW("\xc2\x06\x07\x0a\x01s\x1a\x02"
		    "ab"));
	bytes.size = 0;
	notice.subscription_id = RAW("\xff");
	assert_int_equal(wire_notice_encode(&bytes, &notice), ERR_INVALID);
	assert_int_equal(bytes.size, 0);
	buffer_fini(&bytes);
}

static void notice_of_a_newer_server(void **state)
{
	(void)state;
	static const uint64_t codes[] = {0, 2, UINT64_MAX};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct arena arena = {0};
		struct buffer payload = {0};
		struct wire_streamer_message message;
		proto_integer(&payload, 2, 1);
		proto_integer(&payload, 2, codes[i]);
		proto_unknown(&payload);
		assert_int_equal(parse_streamer(104, &payload, &arena, &message), OK);
		assert_int_equal(message.notice.code, MODEL_NOTICE_FAILING);
		arena_fini(&arena);
	}
	for (uint32_t number = 1; number <= 3; number += 2) {
		struct arena arena = {0};
		struct buffer payload = {0};
		struct wire_streamer_message message;
		proto_text(&payload, number, "\xC0\x80");
		assert_int_equal(parse_streamer(104, &payload, &arena, &message), ERR_CORRUPT);
		arena_fini(&arena);
	}
}

/* ---- UnsubscribeResponse, GoingAway ---------------------------------------------------------- */

static void unsubscribed_both_ways(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer bytes = {0};
	struct buffer payload = {0};
	struct wire_streamer_message message;
	assert_int_equal(wire_unsubscribed_encode(&bytes, bytes_of("s")), OK);
	assert_bytes(buffer_bytes(&bytes), RAW("\xba\x06\x03\x0a\x01s"));
	assert_int_equal(wire_streamer_message_parse(buffer_bytes(&bytes), &arena, &message), OK);
	assert_int_equal(message.kind, WIRE_STREAMER_UNSUBSCRIBED);
	assert_text(message.unsubscribed_id, "s");
	bytes.size = 0;
	assert_int_equal(wire_unsubscribed_encode(&bytes, RAW("\xff")), ERR_INVALID);
	assert_int_equal(bytes.size, 0);
	proto_text(&payload, 1, "\xff");
	assert_int_equal(parse_streamer(103, &payload, &arena, &message), ERR_CORRUPT);
	buffer_fini(&bytes);
	arena_fini(&arena);
}

static void going_away_both_ways(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer bytes = {0};
	struct buffer payload = {0};
	struct wire_streamer_message message;
	const struct model_going_away going_away = {
		.deadline_ms = 300, .reason = RAW("why\xE2\x82")}; /* cut within a character */
	assert_int_equal(wire_going_away_encode(&bytes, &going_away), OK);
	assert_bytes(buffer_bytes(&bytes), RAW("\xca\x06\x08\x08\xac\x02\x12\x03why"));
	assert_int_equal(wire_streamer_message_parse(buffer_bytes(&bytes), &arena, &message), OK);
	assert_int_equal(message.kind, WIRE_STREAMER_GOING_AWAY);
	assert_int_equal(message.going_away.deadline_ms, 300);
	assert_text(message.going_away.reason, "why");
	proto_text(&payload, 2, "\xff");
	assert_int_equal(parse_streamer(105, &payload, &arena, &message), ERR_CORRUPT);
	buffer_fini(&bytes);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello_both_ways),
		cmocka_unit_test(an_empty_hello_is_one),
		cmocka_unit_test(pieces_are_merged),
		cmocka_unit_test(hello_of_wrong_types),
		cmocka_unit_test(hello_that_is_broken),
		cmocka_unit_test(other_extensions_are_nothing),
		cmocka_unit_test(welcome_both_ways),
		cmocka_unit_test(welcome_of_a_newer_server),
		cmocka_unit_test(gap_both_ways),
		cmocka_unit_test(gap_in_another_order),
		cmocka_unit_test(gap_without_memory),
		cmocka_unit_test(gap_of_a_newer_server),
		cmocka_unit_test(notice_both_ways),
		cmocka_unit_test(notice_text_is_cut_at_a_character),
		cmocka_unit_test(notice_of_a_newer_server),
		cmocka_unit_test(unsubscribed_both_ways),
		cmocka_unit_test(going_away_both_ways),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
