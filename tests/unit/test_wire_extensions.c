/*
 * wire: what stands above field 100, badly written: cut off, of wrong types, too wide, too long.
 * The good part of each message is made by protobuf-c, and what was understood of it is written
 * again.
 */
#include "packed.h"
#include "random.h"
#include "wire.h"

#include <streamer.pb-c.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS 3000

typedef Syntrix__Streamer__V1__Hello pb_hello;
typedef Syntrix__Streamer__V1__Welcome pb_welcome;
typedef Syntrix__Streamer__V1__Gap pb_gap;
typedef Syntrix__Streamer__V1__Notice pb_notice;
typedef Syntrix__Streamer__V1__SubscribeRequest pb_subscribe;
typedef Syntrix__Streamer__V1__Heartbeat pb_heartbeat;
typedef Syntrix__Streamer__V1__HeartbeatAck pb_ack;
typedef Syntrix__Streamer__V1__UnsubscribeResponse pb_unsubscribed;
typedef Syntrix__Streamer__V1__GoingAway pb_going_away;

static const struct wire_limits limits = {1, 1, 1};

enum { EXAMPLES = 9, FIELDS = 7, TYPES = 5 };

/* A payload as protobuf-c packs it, every field of it there, and the types of those fields. */
struct example {
	bool is_of_gateway;
	uint32_t number;
	struct bytes payload;
	struct {
		uint32_t number;
		unsigned type;
	} fields[FIELDS];
};

static void make_requests(struct arena *arena, struct example *examples)
{
	pb_subscribe subscribe = SYNTRIX__STREAMER__V1__SUBSCRIBE_REQUEST__INIT;
	subscribe.subscription_id = "s";
	subscribe.collection = "users";
	subscribe.database = "default";
	subscribe.expression = "name == 'Zo\xC3\xAB'";
	subscribe.omit_document = 1;
	pb_hello hello = SYNTRIX__STREAMER__V1__HELLO__INIT;
	hello.version = 1;
	hello.gateway_id = "gateway";
	hello.after = binary(RAW("\xff\0p"));
	hello.message_bytes_max = 1 << 20;
	pb_heartbeat heartbeat = SYNTRIX__STREAMER__V1__HEARTBEAT__INIT;
	heartbeat.gateway_id = "gateway";
	heartbeat.timestamp = -1;
	heartbeat.position = binary(RAW("\xff\0q"));
	heartbeat.registered = 1;
	const struct example made[] = {
		{true, 1, packed(&subscribe.base, arena),
			{{1, PROTO_BYTES}, {2, PROTO_BYTES}, {3, PROTO_BYTES}, {4, PROTO_BYTES},
				{100, PROTO_BYTES}, {102, PROTO_VARINT}}},
		{true, 3, packed(&heartbeat.base, arena),
			{{1, PROTO_BYTES}, {2, PROTO_VARINT}, {100, PROTO_BYTES},
				{101, PROTO_VARINT}}},
		{true, 100, packed(&hello.base, arena),
			{{1, PROTO_VARINT}, {2, PROTO_BYTES}, {3, PROTO_BYTES}, {4, PROTO_VARINT}}},
	};
	memcpy(examples, made, sizeof(made));
}

static void make_answers(struct arena *arena, struct example *examples)
{
	pb_ack ack = SYNTRIX__STREAMER__V1__HEARTBEAT_ACK__INIT;
	ack.timestamp = INT64_MAX;
	ack.position = binary(RAW("\xff\0q"));
	ack.source = SYNTRIX__STREAMER__V1__HEARTBEAT_ACK__SOURCE__AWAY;
	ack.source_lag_ms = -1;
	pb_unsubscribed unsubscribed = SYNTRIX__STREAMER__V1__UNSUBSCRIBE_RESPONSE__INIT;
	unsubscribed.subscription_id = "s";
	const struct example made[] = {
		{false, 2, packed(&ack.base, arena),
			{{1, PROTO_VARINT}, {100, PROTO_BYTES}, {101, PROTO_VARINT},
				{102, PROTO_VARINT}}},
		{false, 103, packed(&unsubscribed.base, arena), {{1, PROTO_BYTES}}},
	};
	memcpy(examples, made, sizeof(made));
}

static void make_extensions(struct arena *arena, struct example *examples)
{
	pb_welcome welcome = SYNTRIX__STREAMER__V1__WELCOME__INIT;
	welcome.version = 1;
	welcome.epoch = UINT64_MAX - 1;
	welcome.position = binary(RAW("\xffq"));
	welcome.resume = SYNTRIX__STREAMER__V1__WELCOME__RESUME__GAP;
	welcome.lease_ms = 30000;
	welcome.message_bytes_max = 300;
	pb_gap gap = SYNTRIX__STREAMER__V1__GAP__INIT;
	gap.after = binary(RAW("\xff"));
	gap.until = binary(RAW("\xfe\xfd"));
	gap.reason = SYNTRIX__STREAMER__V1__GAP__REASON__SOURCE;
	gap.events = UINT64_MAX;
	char *ids[] = {"s"};
	gap.subscription_ids = ids;
	gap.n_subscription_ids = 1;
	Syntrix__Streamer__V1__StreamerEvent event = SYNTRIX__STREAMER__V1__STREAMER_EVENT__INIT;
	event.event_id = "e";
	gap.event = &event;
	pb_notice notice = SYNTRIX__STREAMER__V1__NOTICE__INIT;
	notice.subscription_id = "s";
	notice.code = SYNTRIX__STREAMER__V1__NOTICE__CODE__STOPPED;
	notice.text = "\xE2\x82\xAC";
	pb_going_away going_away = SYNTRIX__STREAMER__V1__GOING_AWAY__INIT;
	going_away.deadline_ms = 300;
	going_away.reason = "\xE2\x82\xAC";
	const struct example made[] = {
		{false, 100, packed(&welcome.base, arena),
			{{1, PROTO_VARINT}, {2, PROTO_FIXED64}, {3, PROTO_BYTES}, {4, PROTO_VARINT},
				{5, PROTO_VARINT}, {6, PROTO_VARINT}}},
		{false, 101, packed(&gap.base, arena),
			{{1, PROTO_BYTES}, {2, PROTO_BYTES}, {3, PROTO_VARINT}, {4, PROTO_BYTES},
				{5, PROTO_VARINT}, {6, PROTO_BYTES}}},
		{false, 104, packed(&notice.base, arena),
			{{1, PROTO_BYTES}, {2, PROTO_VARINT}, {3, PROTO_BYTES}}},
		{false, 105, packed(&going_away.base, arena),
			{{1, PROTO_VARINT}, {2, PROTO_BYTES}}},
	};
	memcpy(examples, made, sizeof(made));
}

static void make_examples(struct arena *arena, struct example examples[EXAMPLES])
{
	make_requests(arena, examples);
	make_answers(arena, examples + 3);
	make_extensions(arena, examples + 5);
}

static enum err encode_gateway(
	const struct wire_gateway_message *message, struct buffer *ret_encoded)
{
	if (message->kind == WIRE_GATEWAY_HEARTBEAT) {
		return wire_heartbeat_encode(ret_encoded, &message->heartbeat);
	}
	return message->kind == WIRE_GATEWAY_SUBSCRIBE
		? wire_subscribe_encode(ret_encoded, &message->subscription)
		: wire_hello_encode(ret_encoded, &message->hello);
}

static enum err encode_streamer(
	const struct wire_streamer_message *message, struct buffer *ret_encoded)
{
	switch (message->kind) {
	case WIRE_STREAMER_HEARTBEAT_ACK:
		return wire_heartbeat_ack_encode(ret_encoded, &message->ack);
	case WIRE_STREAMER_WELCOME:
		return wire_welcome_encode(ret_encoded, &message->welcome);
	case WIRE_STREAMER_GAP:
		return wire_gap_encode(ret_encoded, &message->gap);
	case WIRE_STREAMER_UNSUBSCRIBED:
		return wire_unsubscribed_encode(ret_encoded, message->unsubscribed_id);
	case WIRE_STREAMER_NOTICE:
		return wire_notice_encode(ret_encoded, &message->notice);
	case WIRE_STREAMER_GOING_AWAY:
		return wire_going_away_encode(ret_encoded, &message->going_away);
	case WIRE_STREAMER_DELIVERY:
	case WIRE_STREAMER_ANSWER:
	case WIRE_STREAMER_BULK_ANSWER:
	case WIRE_STREAMER_NOTHING:
		break;
	}
	return ERR_UNSUPPORTED;
}

/* Parses a message and writes what was understood of it. */
static enum err read_and_write(
	bool is_of_gateway, struct bytes bytes, struct arena *arena, struct buffer *ret_encoded)
{
	struct wire_gateway_message gateway;
	struct wire_streamer_message streamer;
	struct err_info refusal = {0};
	enum err err = is_of_gateway
		? wire_gateway_message_parse(bytes, &limits, arena, &gateway, &refusal)
		: wire_streamer_message_parse(bytes, arena, &streamer);
	if (err != OK) {
		return err;
	}
	return is_of_gateway ? encode_gateway(&gateway, ret_encoded)
			     : encode_streamer(&streamer, ret_encoded);
}

/* Whatever stands before and behind the fields of the payload, it is read as if alone. */
static void assert_read_as(const struct example *example, struct bytes payload, struct arena *arena)
{
	struct buffer encoded = {0};
	struct bytes wanted = wrapped(example->number, example->payload, arena);
	struct bytes bytes = wrapped(example->number, payload, arena);
	assert_int_equal(read_and_write(example->is_of_gateway, bytes, arena, &encoded), OK);
	assert_encoded(&encoded, wanted);
}

static void put_of_type(struct buffer *payload, uint32_t number, unsigned type)
{
	switch (type) {
	case PROTO_VARINT:
		proto_integer(payload, number, 77);
		break;
	case PROTO_FIXED64:
		proto_fixed(payload, number, 77, 8);
		break;
	case PROTO_BYTES:
		proto_text(payload, number, "\x01\x02\xff");
		break;
	case PROTO_START:
		proto_tag(payload, number, PROTO_START);
		proto_integer(payload, number, 77);
		proto_tag(payload, number, PROTO_END);
		break;
	default:
		proto_fixed(payload, number, 77, 4);
		break;
	}
}

/* A field of another type is one that nobody knows, before its namesake as well as behind it. */
static void test_wrong_types(void **state)
{
	(void)state;
	static const unsigned types[TYPES] = {
		PROTO_VARINT, PROTO_FIXED64, PROTO_BYTES, PROTO_START, PROTO_FIXED32};
	struct arena arena = {0};
	struct example examples[EXAMPLES];
	make_examples(&arena, examples);
	for (size_t i = 0; i < EXAMPLES; i++) {
		const struct example *example = &examples[i];
		struct buffer payload = {0};
		for (size_t side = 0; side < 2; side++) {
			for (size_t pair = 0; pair < (size_t)FIELDS * TYPES; pair++) {
				uint32_t number = example->fields[pair / TYPES].number;
				unsigned type = types[pair % TYPES];
				if (number > 0 && type != example->fields[pair / TYPES].type) {
					put_of_type(&payload, number, type);
				}
			}
			proto_unknown(&payload);
			if (side == 0) {
				proto_raw(&payload, example->payload);
			}
		}
		assert_true(payload.size > example->payload.size + 100);
		assert_read_as(example, buffer_bytes(&payload), &arena);
		buffer_fini(&payload);
	}
	arena_fini(&arena);
}

/* Cut anywhere, be it the message or, under a length that fits, the payload alone. */
static void test_cut_off(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct example examples[EXAMPLES];
	make_examples(&arena, examples);
	for (size_t i = 0; i < EXAMPLES; i++) {
		const struct example *example = &examples[i];
		struct bytes whole = wrapped(example->number, example->payload, &arena);
		size_t boundaries = 0;
		for (size_t size = 1; size < whole.size; size++) {
			struct buffer encoded = {0};
			assert_int_equal(
				read_and_write(example->is_of_gateway,
					(struct bytes){whole.data, size}, &arena, &encoded),
				ERR_CORRUPT);
		}
		for (size_t size = 0; size < example->payload.size; size++) {
			struct buffer encoded = {0};
			struct bytes cut = wrapped(example->number,
				(struct bytes){example->payload.data, size}, &arena);
			enum err err =
				read_and_write(example->is_of_gateway, cut, &arena, &encoded);
			if (err == OK) {
				boundaries++; /* between two fields: those before it are read */
				assert_encoded(&encoded, cut);
			} else {
				assert_int_equal(err, ERR_CORRUPT);
			}
		}
		size_t fields = 0;
		while (example->fields[fields].number > 0) {
			fields++;
		}
		fields -= example->number == 1; /* the subscribe has no filter */
		assert_int_equal(boundaries, fields);
	}
	arena_fini(&arena);
}

/* A number of 32 bits that was sent with more is its lower half; an enumeration's may be unknown.
 */
static void test_wide_numbers(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_wide_numbers");
	for (int round = 0; round < ROUNDS; round++) {
		struct arena arena = {0};
		struct buffer payload = {0};
		struct wire_streamer_message ours;
		uint64_t version = test_random_next(&random);
		uint64_t resume = test_random_next(&random) << 32 | test_random_below(&random, 4);
		proto_integer(&payload, 1, version);
		proto_integer(&payload, 4, resume);
		proto_integer(&payload, 5, test_random_next(&random));
		pb_welcome *theirs = syntrix__streamer__v1__welcome__unpack(
			NULL, payload.size, (const uint8_t *)payload.data);
		assert_non_null(theirs);
		struct bytes bytes = wrapped(100, buffer_bytes(&payload), &arena);
		assert_int_equal(wire_streamer_message_parse(bytes, &arena, &ours), OK);
		assert_true(ours.welcome.version == theirs->version);
		assert_true(ours.welcome.lease_ms == theirs->lease_ms);
		assert_int_equal(ours.welcome.resume,
			theirs->resume == 3 ? MODEL_RESUME_LIVE : (int)theirs->resume);
		syntrix__streamer__v1__welcome__free_unpacked(theirs, NULL);
		buffer_fini(&payload);
		arena_fini(&arena);
	}
}

/* Whole, whatever the limits of an expression are: those are not the wire's. */
static void test_long_expression(void **state)
{
	(void)state;
	enum { LENGTH = 3 << 20 };
	struct arena arena = {0};
	struct buffer encoded = {0};
	char *expression = arena_alloc(&arena, LENGTH + 1);
	assert_non_null(expression);
	memset(expression, '(', LENGTH);
	expression[LENGTH] = '\0';
	pb_subscribe theirs = SYNTRIX__STREAMER__V1__SUBSCRIBE_REQUEST__INIT;
	theirs.subscription_id = "long";
	theirs.expression = expression;
	struct bytes bytes = wrapped(1, packed(&theirs.base, &arena), &arena);
	assert_int_equal(read_and_write(true, bytes, &arena, &encoded), OK);
	assert_true(encoded.size > LENGTH);
	assert_encoded(&encoded, bytes);
	arena_fini(&arena);
}

static void test_expression_that_is_no_text(void **state)
{
	(void)state;
	static const char *const broken[] = {"\xff", "a\xC3", "\xED\xA0\x80", "\xC0\x80"};
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct arena arena = {0};
		struct buffer encoded = {0};
		const struct model_subscription subscription = {
			.id = bytes_of("s"), .expression = bytes_of(broken[i])};
		pb_subscribe theirs = SYNTRIX__STREAMER__V1__SUBSCRIBE_REQUEST__INIT;
		theirs.expression = (char *)(uintptr_t)broken[i]; /* it packs what it is given */
		struct bytes bytes = wrapped(1, packed(&theirs.base, &arena), &arena);
		assert_int_equal(read_and_write(true, bytes, &arena, &encoded), ERR_CORRUPT);
		assert_int_equal(wire_subscribe_encode(&encoded, &subscription), ERR_INVALID);
		assert_int_equal(encoded.size, 0);
		arena_fini(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_types),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_wide_numbers),
		cmocka_unit_test(test_long_expression),
		cmocka_unit_test(test_expression_that_is_no_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
