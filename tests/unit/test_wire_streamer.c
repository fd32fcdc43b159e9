/* wire: what gateways get, through wire.h, against bytes made by hand. */
#include "wire.h"

#include "proto.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define assert_bytes(actual, expected) assert_true(bytes_equal((actual), (expected)))
#define assert_text(actual, expected) assert_bytes((actual), bytes_of(expected))

static enum err streamer_error(struct bytes bytes)
{
	struct arena arena = {0};
	struct wire_streamer_message message;
	enum err err = wire_streamer_message_parse(bytes, &arena, &message);
	arena_fini(&arena);
	return err;
}

/* ---- deliveries ------------------------------------------------------------------------------ */

/* Ids as a run in `buffer`. */
static void write_run(struct buffer *buffer, const struct bytes *ids, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(buffer_reserve(buffer, wire_id_size(ids[i])), OK);
		size_t size = wire_id_write(ids[i], buffer->data + buffer->size);
		assert_int_equal(size, wire_id_size(ids[i]));
		buffer->size += size;
	}
}

static void assert_run(struct bytes run, const struct bytes *ids, size_t count)
{
	struct bytes id;
	for (size_t i = 0; i < count; i++) {
		assert_true(wire_id_next(&run, &id));
		assert_bytes(id, ids[i]);
	}
	assert_false(wire_id_next(&run, &id));
	assert_int_equal(run.size, 0);
}

static void test_ids(void **state)
{
	(void)state;
	static char long_id[20000];
	memset(long_id, 'x', sizeof(long_id));
	const struct bytes ids[] = {bytes_of("a"), {NULL, 0}, {long_id, 127}, {long_id, 128},
		{long_id, sizeof(long_id)}, RAW("n\0l")};
	struct buffer run = {0};
	write_run(&run, ids, 6);
	assert_bytes(((struct bytes){run.data, 5}),
		RAW("\x0a\x01"
		    "a\x0a\x00"));
	assert_run(buffer_bytes(&run), ids, 6);
	assert_run((struct bytes){0}, ids, 0);
	buffer_fini(&run);
}

static void test_delivery_splice(void **state)
{
	(void)state;
	struct arena arena = {0};
	const struct bytes ids[] = {bytes_of("s1"), bytes_of("s22")};
	/* Sizes on both sides of where a length takes another byte. */
	for (size_t size = 0; size < 17000; size += size < 300 ? 1 : 4099) {
		struct buffer run = {0};
		char *event = calloc(1, size + 1);
		write_run(&run, ids, 2);
		size_t whole = wire_delivery_size(run.size, size, NULL);
		char *place = malloc(whole);
		wire_delivery_write(buffer_bytes(&run), (struct bytes){event, size}, NULL, place);
		struct buffer expected = {0};
		struct buffer delivery = {0};
		proto_text(&delivery, 1, "s1");
		proto_text(&delivery, 1, "s22");
		proto_bytes(&delivery, 2, (struct bytes){event, size});
		proto_message(&expected, 1, &delivery);
		assert_bytes(((struct bytes){place, whole}), buffer_bytes(&expected));
		struct wire_streamer_message message;
		assert_int_equal(
			wire_streamer_message_parse((struct bytes){place, whole}, &arena, &message),
			OK);
		assert_int_equal(message.kind, WIRE_STREAMER_DELIVERY);
		assert_run(message.run, ids, 2);
		assert_int_equal(message.event.size, size);
		buffer_fini(&expected);
		buffer_fini(&run);
		free(event);
		free(place);
	}
	/* A whole delivery is read where it is. */
	assert_int_equal(arena.total, 0);
	arena_fini(&arena);
}

/* A mark that says nothing leaves the delivery as the original's. */
static void test_delivery_marks(void **state)
{
	(void)state;
	static char long_position[300];
	const struct model_mark marks[] = {{.more = false}, {.position = RAW("\0p")},
		{.replayed = true}, {.more = true},
		{{long_position, sizeof(long_position)}, true, true}};
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		struct arena arena = {0};
		struct buffer expected = {0};
		struct buffer delivery = {0};
		struct wire_streamer_message message;
		char place[400];
		proto_text(&delivery, 1, "s");
		proto_text(&delivery, 2, "event");
		if (marks[i].position.size > 0) {
			proto_bytes(&delivery, 100, marks[i].position);
		}
		if (marks[i].replayed) {
			proto_integer(&delivery, 101, 1);
		}
		if (marks[i].more) {
			proto_integer(&delivery, 102, 1);
		}
		proto_message(&expected, 1, &delivery);
		assert_int_equal(wire_delivery_size(3, 5, &marks[i]), expected.size);
		wire_delivery_write(RAW("\x0a\x01s"), bytes_of("event"), &marks[i], place);
		assert_bytes(((struct bytes){place, expected.size}), buffer_bytes(&expected));
		assert_int_equal(
			wire_streamer_message_parse(buffer_bytes(&expected), &arena, &message), OK);
		assert_text(message.event, "event");
		assert_bytes(message.mark.position, marks[i].position);
		assert_int_equal(message.mark.replayed, marks[i].replayed);
		assert_int_equal(message.mark.more, marks[i].more);
		assert_int_equal(arena.total, 0);
		buffer_fini(&expected);
		arena_fini(&arena);
	}
}

/* Of another type they say nothing; they may stand before the ids and between them. */
static void test_marks_anywhere(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer bytes = {0};
	struct buffer delivery = {0};
	struct wire_streamer_message message;
	proto_integer(&delivery, 101, 1);
	proto_text(&delivery, 1, "a");
	proto_text(&delivery, 100, "p");
	proto_integer(&delivery, 100, 7);
	proto_text(&delivery, 101, "");
	proto_text(&delivery, 102, "yes");
	proto_text(&delivery, 1, "b");
	proto_message(&bytes, 1, &delivery);
	assert_int_equal(wire_streamer_message_parse(buffer_bytes(&bytes), &arena, &message), OK);
	assert_text(message.mark.position, "p");
	assert_true(message.mark.replayed);
	assert_false(message.mark.more);
	assert_run(message.run, (const struct bytes[]){bytes_of("a"), bytes_of("b")}, 2);
	buffer_fini(&bytes);
	arena_fini(&arena);
}

/* The order of fields is nobody's promise: ids behind the event, apart, and with others between. */
static void test_delivery_orders(void **state)
{
	(void)state;
	const struct bytes ids[] = {bytes_of("a"), bytes_of("bb"), bytes_of("")};
	for (unsigned order = 0; order < 16; order++) {
		struct arena arena = {0};
		struct buffer bytes = {0};
		struct buffer delivery = {0};
		struct buffer event = {0};
		proto_text(&event, 1, "e1");
		if (order & 1) {
			proto_message(&delivery, 2, &event);
		}
		proto_text(&delivery, 1, "a");
		if (order & 2) {
			proto_unknown(&delivery);
			proto_integer(&delivery, 1, 1);
		}
		if (order & 8) { /* the same id in more bytes than need be */
			proto_raw(&delivery,
				RAW("\x0a\x82\x00"
				    "bb"));
		} else {
			proto_text(&delivery, 1, "bb");
		}
		if (order & 4) { /* in two pieces */
			proto_message(&bytes, 1, &delivery);
		}
		proto_text(&delivery, 1, "");
		proto_text(&event, 2, "db");
		proto_message(&delivery, 2, &event);
		proto_message(&bytes, 1, &delivery);
		struct wire_streamer_message message;
		struct model_delivery parsed;
		assert_int_equal(
			wire_streamer_message_parse(buffer_bytes(&bytes), &arena, &message), OK);
		assert_int_equal(message.kind, WIRE_STREAMER_DELIVERY);
		assert_run(message.run, ids, 3);
		assert_int_equal(wire_delivery_parse(message.event, &parsed), OK);
		assert_text(parsed.event_id, "e1");
		assert_text(parsed.database, "db");
		buffer_fini(&bytes);
		buffer_fini(&event);
		arena_fini(&arena);
	}
	assert_int_equal(streamer_error(RAW("\x0a\x03\x0a\x01\xff")), ERR_CORRUPT);
}

static void test_delivery_fields(void **state)
{
	(void)state;
	struct buffer event = {0};
	struct model_delivery parsed;
	assert_int_equal(wire_delivery_parse((struct bytes){0}, &parsed), OK);
	assert_int_equal(parsed.operation, MODEL_NO_OPERATION);
	proto_integer(&event, 100, 55);
	proto_integer(&event, 101, 66);
	proto_integer(&event, 102, 77);
	proto_text(&event, 103, "hash");
	proto_text(&event, 4, "old");
	proto_text(&event, 1, "e");
	proto_text(&event, 2, "d");
	proto_text(&event, 3, "c");
	proto_text(&event, 4, "i");
	proto_text(&event, 6, "{\xff}");
	proto_integer(&event, 5, 1);
	proto_integer(&event, 5, 4);
	proto_integer(&event, 7, (uint64_t)INT64_MIN);
	proto_unknown(&event);
	assert_int_equal(wire_delivery_parse(buffer_bytes(&event), &parsed), OK);
	assert_text(parsed.event_id, "e");
	assert_text(parsed.database, "d");
	assert_text(parsed.collection, "c");
	assert_text(parsed.document_id, "i");
	assert_int_equal(parsed.cluster_seconds, 55);
	assert_int_equal(parsed.cluster_increment, 66);
	assert_text(parsed.document_hash, "hash");
	assert_text(parsed.document, "{\xff}");
	assert_int_equal(parsed.operation, MODEL_DELETE);
	assert_true(parsed.timestamp_ms == INT64_MIN);
	assert_true(parsed.received_us == 77);
	for (uint64_t number = 0; number < 6; number++) {
		proto_integer(&event, 5, number);
		assert_int_equal(wire_delivery_parse(buffer_bytes(&event), &parsed), OK);
		bool is_known = number == 1 || number == 2 || number == 4;
		assert_int_equal(parsed.operation, is_known ? number : 0);
	}
	for (char number = 1; number <= 4; number++) {
		char text[] = {(char)(number << 3 | 2), 1, (char)0xff};
		assert_int_equal(
			wire_delivery_parse((struct bytes){text, 3}, &parsed), ERR_CORRUPT);
	}
	buffer_fini(&event);
}

/* A field of another type is unknown, also where what it would have said was said before. */
static void test_operation_of_another_type(void **state)
{
	(void)state;
	struct model_delivery parsed;
	assert_int_equal(wire_delivery_parse(RAW("\x28\x02\x2a\x01x"), &parsed), OK);
	assert_int_equal(parsed.operation, MODEL_UPDATE);
}

/* ---- answers --------------------------------------------------------------------------------- */

static struct model_answer parse_answer(struct bytes bytes, struct arena *arena)
{
	struct wire_streamer_message message;
	assert_int_equal(wire_streamer_message_parse(bytes, arena, &message), OK);
	assert_int_equal(message.kind, WIRE_STREAMER_ANSWER);
	return message.answer;
}

static void test_answer(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer buffer = {0};
	struct model_answer answer = {.id = bytes_of("s")};
	assert_int_equal(wire_answer_encode(&buffer, &answer), OK);
	assert_bytes(buffer_bytes(&buffer), RAW("\x1a\x05\x0a\x01s\x10\x01"));
	assert_int_equal(parse_answer(buffer_bytes(&buffer), &arena).refusal, MODEL_ACCEPTED);
	for (int refusal = MODEL_REFUSED_FILTER; refusal <= MODEL_REFUSED_ID; refusal++) {
		answer = (struct model_answer){.id = bytes_of("s"),
			.refusal = (enum model_refusal)refusal,
			.filter = 3,
			.text = RAW("what\xc3"), /* cut within a character */
			.hint = RAW("hint\xff...")};
		buffer.size = 0;
		assert_int_equal(wire_answer_encode(&buffer, &answer), OK);
		struct model_answer parsed = parse_answer(buffer_bytes(&buffer), &arena);
		assert_int_equal(parsed.refusal, refusal);
		assert_int_equal(parsed.filter, 3);
		assert_text(parsed.id, "s");
		assert_text(parsed.text, "what");
		assert_text(parsed.hint, "hint");
	}
	answer.id = RAW("\xff");
	assert_int_equal(wire_answer_encode(&buffer, &answer), ERR_INVALID);
	buffer_fini(&buffer);
	arena_fini(&arena);
}

/* A peer of the original tells no code. */
static void test_answer_of_the_original(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer bytes = {0};
	struct buffer answer = {0};
	proto_text(&answer, 1, "s");
	proto_text(&answer, 3, "subscription ID already exists");
	proto_message(&bytes, 3, &answer);
	assert_int_equal(
		parse_answer(buffer_bytes(&bytes), &arena).refusal, MODEL_REFUSED_DUPLICATE);
	proto_text(&answer, 3, "failed to compile filters: value is nil");
	proto_integer(&answer, 100, 7); /* nor do we know this one */
	proto_message(&bytes, 3, &answer);
	assert_int_equal(parse_answer(buffer_bytes(&bytes), &arena).refusal, MODEL_REFUSED_FILTER);
	proto_integer(&answer, 2, 1);
	proto_message(&bytes, 3, &answer);
	assert_int_equal(parse_answer(buffer_bytes(&bytes), &arena).refusal, MODEL_ACCEPTED);
	buffer_fini(&bytes);
	arena_fini(&arena);
	assert_int_equal(streamer_error(RAW("\x1a\x03\x0a\x01\xff")), ERR_CORRUPT);
	assert_int_equal(streamer_error(RAW("\x1a\x03\x1a\x01\xff")), ERR_CORRUPT);
	assert_int_equal(streamer_error(RAW("\x1a\x04\xc2\x06\x01\xff")), ERR_CORRUPT);
}

static void test_heartbeat_ack(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer buffer = {0};
	const int64_t times[] = {0, 1, -1, INT64_MAX, INT64_MIN};
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		buffer.size = 0;
		assert_int_equal(wire_heartbeat_ack_encode(&buffer,
					 &(struct model_heartbeat_ack){.timestamp_ms = times[i]}),
			OK);
		struct wire_streamer_message message;
		assert_int_equal(
			wire_streamer_message_parse(buffer_bytes(&buffer), &arena, &message), OK);
		assert_int_equal(message.kind, WIRE_STREAMER_HEARTBEAT_ACK);
		assert_true(message.ack.timestamp_ms == times[i]);
	}
	buffer_fini(&buffer);
	arena_fini(&arena);
}

/* As the original's, when it says no more than that; and of a newer server. */
static void test_heartbeat_ack_fields(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct buffer bytes = {0};
	struct buffer ack = {0};
	struct wire_streamer_message message;
	const struct model_heartbeat_ack all = {.timestamp_ms = 1,
		.position = RAW("\0p"),
		.source = MODEL_SOURCE_AWAY,
		.source_lag_ms = 300};
	assert_int_equal(
		wire_heartbeat_ack_encode(&bytes, &(struct model_heartbeat_ack){.timestamp_ms = 1}),
		OK);
	assert_bytes(buffer_bytes(&bytes), RAW("\x12\x02\x08\x01"));
	bytes.size = 0;
	assert_int_equal(wire_heartbeat_ack_encode(&bytes, &all), OK);
	assert_bytes(buffer_bytes(&bytes),
		RAW("\x12\x0e\x08\x01\xa2\x06\x02\0p\xa8\x06\x03\xb0\x06\xac\x02"));
	static const uint64_t sources[] = {4, 200, UINT64_MAX};
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		bytes.size = 0;
		proto_integer(&ack, 101, 1);
		proto_integer(&ack, 101, sources[i]);
		proto_message(&bytes, 2, &ack);
		assert_int_equal(
			wire_streamer_message_parse(buffer_bytes(&bytes), &arena, &message), OK);
		assert_int_equal(message.ack.source, MODEL_SOURCE_UNKNOWN);
	}
	buffer_fini(&bytes);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_delivery_splice),
		cmocka_unit_test(test_delivery_marks),
		cmocka_unit_test(test_marks_anywhere),
		cmocka_unit_test(test_delivery_orders),
		cmocka_unit_test(test_delivery_fields),
		cmocka_unit_test(test_operation_of_another_type),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_answer_of_the_original),
		cmocka_unit_test(test_heartbeat_ack),
		cmocka_unit_test(test_heartbeat_ack_fields),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
