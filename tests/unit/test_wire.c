/* wire: the source's side, protobuf's primitives, and what holds for every message, through wire.h.
 */
#include "wire.h"

#include "failing.h"
#include "proto.h"
#include "random.h"
#include "subscribe.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#define assert_bytes(actual, expected) assert_true(bytes_equal((actual), (expected)))
#define assert_text(actual, expected) assert_bytes((actual), bytes_of(expected))

static const struct wire_limits limits = {
	.filters_max = 8, .filter_list_max = 10, .filter_depth_max = 4};

static enum err gateway_error(struct bytes bytes)
{
	struct arena arena = {0};
	struct wire_gateway_message message;
	struct err_info refusal;
	enum err err = wire_gateway_message_parse(bytes, &limits, &arena, &message, &refusal);
	arena_fini(&arena);
	return err;
}

static enum err streamer_error(struct bytes bytes)
{
	struct arena arena = {0};
	struct wire_streamer_message message;
	enum err err = wire_streamer_message_parse(bytes, &arena, &message);
	arena_fini(&arena);
	return err;
}

static enum err source_error(struct bytes bytes)
{
	struct model_source_message message;
	return wire_source_message_parse(bytes, &message);
}

/* ---- the source's side ----------------------------------------------------------------------- */

static void test_puller_request(void **state)
{
	(void)state;
	struct buffer buffer = {0};
	struct wire_puller_request request = {bytes_of("me"), bytes_of("e30"), true};
	assert_int_equal(wire_puller_request_encode(&buffer, &request), OK);
	assert_bytes(buffer_bytes(&buffer),
		RAW("\x0a\x02me\x12\x03"
		    "e30\x18\x01"));

	proto_unknown(&buffer);
	proto_text(&buffer, 2, "later"); /* the last one wins */
	proto_text(&buffer, 3, "no bool");
	struct wire_puller_request parsed;
	assert_int_equal(wire_puller_request_parse(buffer_bytes(&buffer), &parsed), OK);
	assert_text(parsed.consumer_id, "me");
	assert_text(parsed.after, "later");
	assert_true(parsed.coalesce);
	assert_int_equal(wire_puller_request_parse((struct bytes){0}, &parsed), OK);
	assert_int_equal(parsed.consumer_id.size, 0);
	assert_false(parsed.coalesce);

	size_t before = buffer.size;
	request.after = RAW("\xff");
	assert_int_equal(wire_puller_request_encode(&buffer, &request), ERR_INVALID);
	assert_int_equal(buffer.size, before);
	assert_int_equal(wire_puller_request_parse(RAW("\x12\x01\xff"), &parsed), ERR_CORRUPT);
	buffer_fini(&buffer);
}

static const struct model_source_message a_message = {
	.has_change = true,
	.change = {.event_id = {"1-2-ab", 6},
		.database = {"default", 7},
		.store_collection = {"documents", 9},
		.store_id = {"default:00", 10},
		.kind = MODEL_CHANGE_REPLACE,
		.full_document = {"{\"a\":1}", 7},
		.update = {"{}", 2},
		.cluster_seconds = UINT32_MAX,
		.cluster_increment = 2,
		.timestamp_ms = INT64_MIN,
		.transaction = INT64_MAX,
		.backend = {"mongo", 5}},
	.marker = {"mark", 4},
};

static void assert_a_message(const struct model_source_message *parsed)
{
	const struct model_change *change = &parsed->change;
	const struct model_change *expected = &a_message.change;
	assert_true(parsed->has_change);
	assert_bytes(parsed->marker, a_message.marker);
	assert_bytes(change->event_id, expected->event_id);
	assert_bytes(change->database, expected->database);
	assert_bytes(change->store_collection, expected->store_collection);
	assert_bytes(change->store_id, expected->store_id);
	assert_int_equal(change->kind, expected->kind);
	assert_bytes(change->full_document, expected->full_document);
	assert_bytes(change->update, expected->update);
	assert_int_equal(change->cluster_seconds, expected->cluster_seconds);
	assert_int_equal(change->cluster_increment, expected->cluster_increment);
	assert_true(change->timestamp_ms == expected->timestamp_ms);
	assert_true(change->transaction == expected->transaction);
	assert_bytes(change->backend, expected->backend);
}

/* The ChangeEvent that a_message has, in pieces and with what is overridden or ignored. */
static void write_a_message(struct buffer *message)
{
	struct buffer change = {0};
	struct buffer time = {0};
	proto_text(&change, 11, "other");
	proto_text(&change, 5, "delete");
	proto_text(&change, 6, "old");
	proto_unknown(&change);
	proto_integer(&time, 1, 7);
	proto_integer(&time, 2, 2);
	proto_message(&change, 8, &time);
	proto_message(message, 1, &change);
	proto_text(message, 2, "old");
	proto_text(&change, 1, "1-2-ab");
	proto_text(&change, 2, "default");
	proto_text(&change, 3, "documents");
	proto_text(&change, 4, "default:00");
	proto_text(&change, 5, "replace");
	proto_integer(&change, 5, 1); /* of another type: unknown, as are the others */
	proto_text(&change, 6, "{\"a\":1}");
	proto_integer(&change, 6, 1);
	proto_text(&change, 7, "{}");
	proto_integer(&time, 1, 0xFFFFFFFFFFFFFFFF); /* cut to 32 bits */
	proto_message(&change, 8, &time);            /* merged with the one before */
	proto_integer(&change, 8, 1);
	proto_integer(&change, 9, UINT64_C(1) << 63);
	proto_fixed(&change, 9, 1, 8);
	proto_integer(&change, 10, INT64_MAX);
	proto_text(&change, 11, "mongo");
	proto_message(message, 1, &change);
	proto_integer(message, 1, 1);
	proto_text(message, 2, "mark");
	proto_unknown(message);
}

static void test_source_message(void **state)
{
	(void)state;
	struct buffer buffer = {0};
	struct model_source_message parsed;
	assert_int_equal(wire_source_message_encode(&buffer, &a_message), OK);
	assert_int_equal(wire_source_message_parse(buffer_bytes(&buffer), &parsed), OK);
	assert_a_message(&parsed);
	buffer.size = 0;
	write_a_message(&buffer);
	assert_int_equal(wire_source_message_parse(buffer_bytes(&buffer), &parsed), OK);
	assert_a_message(&parsed);
	buffer_fini(&buffer);
}

static void test_source_heartbeat(void **state)
{
	(void)state;
	struct buffer buffer = {0};
	struct model_source_message parsed;
	struct model_source_message heartbeat = {.marker = bytes_of("m")};
	assert_int_equal(wire_source_message_encode(&buffer, &heartbeat), OK);
	assert_bytes(buffer_bytes(&buffer), RAW("\x12\x01m"));
	assert_int_equal(wire_source_message_parse(buffer_bytes(&buffer), &parsed), OK);
	assert_false(parsed.has_change);
	assert_text(parsed.marker, "m");
	/* A change that is there and empty is no heartbeat. */
	assert_int_equal(wire_source_message_parse(RAW("\x0a\x00"), &parsed), OK);
	assert_true(parsed.has_change);
	assert_int_equal(parsed.change.kind, MODEL_CHANGE_UNKNOWN);
	assert_int_equal(wire_source_message_parse(RAW("\x0a\x08\x2a\x06upsert"), &parsed), OK);
	assert_int_equal(parsed.change.kind, MODEL_CHANGE_UNKNOWN);
	/* Documents are bytes, strings are UTF-8. */
	assert_int_equal(wire_source_message_parse(RAW("\x0a\x03\x32\x01\xff"), &parsed), OK);
	for (unsigned number = 1; number <= 11; number++) {
		char text[] = {0x0a, 0x03, (char)(number << 3 | 2), 0x01, (char)0xff};
		bool is_string = number <= 5 || number == 11;
		enum err expected = is_string || number == 8 ? ERR_CORRUPT : OK;
		assert_int_equal(source_error((struct bytes){text, sizeof(text)}), expected);
	}
	assert_int_equal(source_error(RAW("\x12\x01\xff")), ERR_CORRUPT);
	buffer_fini(&buffer);
}

/* ---- the primitives -------------------------------------------------------------------------- */

/* What no message may contain, whatever its type. */
static void test_malformed(void **state)
{
	(void)state;
	const struct bytes wrong[] = {
		RAW("\x00\x00"),                                         /* number 0 */
		RAW("\x80"),                                             /* a cut tag */
		RAW("\x80\x80\x80\x80\x10\x00"),                         /* number 2^29 */
		RAW("\xf8\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00"),     /* the largest tag */
		RAW("\xf8\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00"), /* eleven bytes */
		RAW("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),     /* 65 bits */
		RAW("\x10\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), /* eleven bytes */
		RAW("\x0a\x02x"),                                        /* cut bytes */
		RAW("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),     /* 2^64 - 1 bytes */
		RAW("\x11\x00\x00\x00\x00\x00\x00\x00"),                 /* cut fixed64 */
		RAW("\x15\x00\x00\x00"),                                 /* cut fixed32 */
		RAW("\x16\x00"),                                         /* types 6 and 7 */
		RAW("\x17\x00"), RAW("\x0c"),                            /* a group's end alone */
		RAW("\x0b"),                 /* a group without an end */
		RAW("\x0b\x14"),             /* the end of another group */
		RAW("\x0b\x13\x0c\x14"),     /* groups that cross */
		RAW("\x0b\x10\x0c"),         /* a field cut by a group's end */
		RAW("\x0b\x13\x14\x0c\x0c"), /* one end too many */
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct wire_puller_request request;
		struct model_delivery delivery;
		assert_int_equal(wire_puller_request_parse(wrong[i], &request), ERR_CORRUPT);
		assert_int_equal(wire_delivery_parse(wrong[i], &delivery), ERR_CORRUPT);
		assert_int_equal(source_error(wrong[i]), ERR_CORRUPT);
		assert_int_equal(gateway_error(wrong[i]), ERR_CORRUPT);
		assert_int_equal(streamer_error(wrong[i]), ERR_CORRUPT);
	}
	/* Longer than need be is no mistake. */
	struct wire_puller_request request;
	assert_int_equal(wire_puller_request_parse(RAW("\x98\x80\x00\x81\x80\x00"), &request), OK);
	assert_true(request.coalesce);
}

static void test_group_depth(void **state)
{
	(void)state;
	for (size_t depth = 63; depth <= 66; depth++) {
		struct buffer buffer = {0};
		for (size_t i = 0; i < depth; i++) {
			proto_tag(&buffer, 9, PROTO_START);
		}
		for (size_t i = 0; i < depth; i++) {
			proto_tag(&buffer, 9, PROTO_END);
		}
		assert_int_equal(
			source_error(buffer_bytes(&buffer)), depth <= 64 ? OK : ERR_CORRUPT);
		buffer_fini(&buffer);
	}
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* A message of each kind, with all that its reader has branches for. */
static void write_samples(struct buffer samples[4])
{
	struct buffer subscribe = {0};
	struct buffer value = {0};
	struct buffer delivery = {0};
	struct buffer event = {0};
	write_a_message(&samples[0]);
	proto_text(&subscribe, 1, "s");
	write_list(&value, 1, 5);
	write_filter(&subscribe, "a", "in", &value);
	write_nested(&value, 4);
	write_filter(&subscribe, "b", "==", &value);
	proto_text(&value, 1, "x");
	write_filter(&subscribe, "c", "==", &value);
	proto_text(&samples[1], 1, "");
	proto_message(&samples[1], 1, &subscribe);
	proto_text(&subscribe, 2, "users");
	proto_message(&samples[1], 1, &subscribe);
	proto_text(&delivery, 1, "s1");
	proto_unknown(&delivery);
	proto_text(&event, 1, "e");
	proto_message(&delivery, 2, &event);
	proto_text(&delivery, 1, "s2");
	proto_message(&samples[2], 1, &delivery);
	proto_text(&event, 3, "c");
	proto_message(&delivery, 2, &event);
	proto_message(&samples[2], 1, &delivery);
	const struct model_answer answer = {
		.id = {"s", 1}, .refusal = MODEL_REFUSED_ID, .text = {"t", 1}, .hint = {"h", 1}};
	assert_int_equal(wire_answer_encode(&samples[3], &answer), OK);
}

static enum err parse_all(struct bytes bytes)
{
	struct arena arena = {0};
	struct wire_gateway_message gateway;
	struct wire_streamer_message streamer;
	struct model_source_message source;
	struct wire_puller_request request;
	struct model_delivery delivery;
	struct err_info refusal;
	enum err errors[] = {
		wire_gateway_message_parse(bytes, &limits, &arena, &gateway, &refusal),
		wire_streamer_message_parse(bytes, &arena, &streamer),
		wire_source_message_parse(bytes, &source),
		wire_puller_request_parse(bytes, &request),
		wire_delivery_parse(bytes, &delivery),
	};
	if (errors[1] == OK && streamer.kind == WIRE_STREAMER_DELIVERY) {
		struct bytes id;
		while (wire_id_next(&streamer.run, &id)) {
			assert_true(bytes_are_utf8(id));
		}
		enum err err = wire_delivery_parse(streamer.event, &delivery);
		assert_true(err == OK || err == ERR_CORRUPT);
	}
	arena_fini(&arena);
	enum err worst = OK;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		assert_true(errors[i] == OK || errors[i] == ERR_CORRUPT || errors[i] == ERR_MEMORY);
		worst = errors[i] == ERR_MEMORY || worst == OK ? errors[i] : worst;
	}
	return worst;
}

/* Cut anywhere, in memory of just that size, so that a sanitizer sees a step beyond it. */
static void test_truncated(void **state)
{
	(void)state;
	struct buffer samples[4] = {0};
	write_samples(samples);
	for (size_t i = 0; i < 4; i++) {
		for (size_t size = 0; size <= samples[i].size; size++) {
			char *cut = malloc(size + (size == 0));
			memcpy(cut, samples[i].data, size);
			(void)parse_all((struct bytes){cut, size});
			free(cut);
		}
		buffer_fini(&samples[i]);
	}
	/* Within its only field a message is always corrupt. */
	struct buffer buffer = {0};
	assert_int_equal(wire_unsubscribe_encode(&buffer, bytes_of("s1")), OK);
	for (size_t size = 1; size < buffer.size; size++) {
		assert_int_equal(gateway_error((struct bytes){buffer.data, size}), ERR_CORRUPT);
	}
	buffer_fini(&buffer);
}

static void test_mutations(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_mutations");
	struct buffer samples[4] = {0};
	write_samples(samples);
	for (unsigned round = 0; round < 40000; round++) {
		const struct buffer *sample = &samples[round % 4];
		size_t size = sample->size - test_random_below(&random, 4) % sample->size;
		char *bytes = malloc(size);
		memcpy(bytes, sample->data, size);
		for (uint64_t i = test_random_below(&random, 5); i > 0; i--) {
			bytes[test_random_below(&random, size)] = (char)test_random_next(&random);
		}
		(void)parse_all((struct bytes){bytes, size});
		free(bytes);
	}
	for (size_t i = 0; i < 4; i++) {
		buffer_fini(&samples[i]);
	}
}

static void test_parsing_without_memory(void **state)
{
	(void)state;
	struct buffer samples[4] = {0};
	write_samples(samples);
	for (size_t i = 0; i < 4; i++) {
		bool failed = true;
		size_t failures = 0;
		for (size_t fail_at = 0; failed; fail_at++) {
			struct failing failing;
			failing_start(&failing, fail_at);
			enum err err = parse_all(buffer_bytes(&samples[i]));
			failed = failing_stop(&failing);
			failures += failed;
			assert_int_equal(err == ERR_MEMORY, failed);
			assert_int_equal(failing.live, 0);
		}
		assert_true(failures > 0);
		buffer_fini(&samples[i]);
	}
}

static enum err encode_all(struct buffer *buffer)
{
	static const struct value real = {.kind = VALUE_DOUBLE, .as.real = 1};
	const struct wire_puller_request request = {bytes_of("me"), bytes_of("e30"), true};
	const struct model_filter filter = {bytes_of("a"), bytes_of("=="), &real};
	const struct model_subscription subscription = {.filters = &filter, .filters_count = 1};
	const struct model_answer answer = {.refusal = MODEL_REFUSED_ID};
	enum err errors[] = {
		wire_puller_request_encode(buffer, &request),
		wire_source_message_encode(buffer, &a_message),
		wire_subscribe_encode(buffer, &subscription),
		wire_unsubscribe_encode(buffer, bytes_of("id")),
		wire_heartbeat_encode(buffer,
			&(struct model_heartbeat){.gateway_id = bytes_of("id"), .timestamp_ms = 1}),
		wire_answer_encode(buffer, &answer),
		wire_heartbeat_ack_encode(buffer, &(struct model_heartbeat_ack){.timestamp_ms = 1}),
	};
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (errors[i] != OK) {
			return errors[i];
		}
	}
	return OK;
}

/* A message is appended whole or not at all. */
static void test_encoding_without_memory(void **state)
{
	(void)state;
	bool failed = true;
	for (size_t fail_at = 0; failed; fail_at++) {
		struct buffer buffer = {0};
		struct failing failing;
		failing_start(&failing, fail_at);
		enum err err = encode_all(&buffer);
		failed = failing_stop(&failing);
		assert_int_equal(err, failed ? ERR_MEMORY : OK);
		assert_int_not_equal(parse_all(buffer_bytes(&buffer)), ERR_MEMORY);
		buffer_fini(&buffer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_puller_request),
		cmocka_unit_test(test_source_message),
		cmocka_unit_test(test_source_heartbeat),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_group_depth),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_parsing_without_memory),
		cmocka_unit_test(test_encoding_without_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
