/* Gateways made of grpc's client, which note all that they are sent, and the model of it. */
#include "support.h"
#include "value.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the model ------------------------------------------------------------------------------- */

bool ask_matches(const struct ask *ask, uint64_t number)
{
	struct source_fact fact = source_fact(number);
	if (strcmp(fact.collection, ask->collection) != 0) {
		return false;
	}
	switch (ask->kind) {
	case ASK_ALL:
		return true;
	case ASK_N_IS:
		return fact.n == ask->value;
	case ASK_N_ABOVE:
		return fact.n > ask->value;
	case ASK_DOCUMENT:
		return fact.document == ask->value;
	}
	return false;
}

struct ask ask_random(struct world *world)
{
	return (struct ask){
		.kind = (enum ask_kind)test_random_below(&world->random, 4),
		.collection = test_random_below(&world->random, 3) ? "users" : "orders",
		.value = (unsigned)test_random_below(&world->random, 8),
	};
}

static uint64_t model_ids(const struct gateway *gateway, uint64_t number)
{
	uint64_t ids = 0;
	for (unsigned id = 0; id < IDS_MAX; id++) {
		if (gateway->asks[id].collection && gateway->from[id] <= number &&
			number < gateway->until[id] && ask_matches(&gateway->asks[id], number)) {
			ids |= UINT64_C(1) << id;
		}
	}
	return ids;
}

/* What came before it had to, or after it need not have, is part of what must be whole. */
static void widen(struct gateway *gateway)
{
	for (size_t i = 0; i < gateway->records_count; i++) {
		const struct record *record = &gateway->records[i];
		for (unsigned id = 0; id < IDS_MAX; id++) {
			if (record->ids >> id & 1) {
				if (record->number < gateway->from[id]) {
					gateway->from[id] = record->number;
				}
				if (record->number >= gateway->until[id]) {
					gateway->until[id] = record->number + 1;
				}
			}
		}
	}
}

/* The records are those of the model from the first change on; how many changes they cover. */
static size_t check_records(const struct gateway *gateway, uint64_t until)
{
	size_t matched = 0;
	for (uint64_t number = 0; number < until; number++) {
		uint64_t ids = model_ids(gateway, number);
		if (ids == 0) {
			continue;
		}
		if (matched == gateway->records_count) {
			return matched + 1; /* this one is missing */
		}
		const struct record *record = &gateway->records[matched++];
		assert_int_equal(record->number, number);
		assert_int_equal(record->ids, ids);
	}
	return matched;
}

void gateway_check(struct gateway *gateway, uint64_t until)
{
	widen(gateway);
	assert_int_equal(check_records(gateway, until), gateway->records_count);
}

void gateway_check_prefix(struct gateway *gateway)
{
	widen(gateway);
	assert_true(check_records(gateway, gateway->world->source.count) >= gateway->records_count);
}

/* ---- what comes ------------------------------------------------------------------------------ */

unsigned ask_id(struct bytes id)
{
	assert_true(id.size >= 2 && id.data[0] == 's');
	unsigned long number = strtoul(id.data + 1, NULL, 10); /* a tag, or nothing, follows */
	assert_true(number < IDS_MAX);
	return (unsigned)number;
}

static void note_delivery(struct gateway *gateway, const struct wire_streamer_message *message)
{
	struct model_delivery delivery;
	assert_int_equal(wire_delivery_parse(message->event, &delivery), OK);
	assert_true(delivery.document.size > 0);
	if (gateway->records_count == gateway->records_capacity) {
		gateway->records_capacity = gateway->records_capacity * 2 + 64;
		gateway->records = realloc(
			gateway->records, gateway->records_capacity * sizeof(*gateway->records));
		assert_non_null(gateway->records);
	}
	struct record *record = &gateway->records[gateway->records_count++];
	*record = (struct record){.number = source_number(delivery.event_id)};
	struct bytes run = message->run;
	struct bytes id;
	while (wire_id_next(&run, &id)) {
		uint64_t bit = UINT64_C(1) << ask_id(id);
		assert_int_equal(record->ids & bit, 0); /* each id once */
		record->ids |= bit;
	}
}

static void on_message(void *ctx, struct bytes bytes)
{
	struct gateway *gateway = ctx;
	struct wire_streamer_message message;
	struct arena arena = {0};
	assert_int_equal(wire_streamer_message_parse(bytes, &arena, &message), OK);
	switch (message.kind) {
	case WIRE_STREAMER_DELIVERY:
		note_delivery(gateway, &message);
		break;
	case WIRE_STREAMER_HEARTBEAT_ACK:
		gateway->acks++;
		break;
	case WIRE_STREAMER_ANSWER: {
		unsigned id = ask_id(message.answer.id);
		*(message.answer.refusal ? &gateway->refused : &gateway->accepted) |= UINT64_C(1)
			<< id;
		gateway->answered_after[id] = gateway->records_count;
		gateway->from[id] = gateway->world->source.count;
		break;
	}
	case WIRE_STREAMER_WELCOME: /* it has not said Hello */
	case WIRE_STREAMER_GAP:
	case WIRE_STREAMER_BULK_ANSWER:
	case WIRE_STREAMER_UNSUBSCRIBED:
	case WIRE_STREAMER_NOTICE:
	case WIRE_STREAMER_GOING_AWAY:
	case WIRE_STREAMER_NOTHING:
		fail();
	}
	arena_fini(&arena);
}

static void on_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	struct gateway *gateway = ctx;
	gateway->call = NULL;
	gateway->status = status;
	(void)snprintf(gateway->text, sizeof(gateway->text), "%.*s", BYTES_FORMAT(text));
}

static void on_opened(void *ctx)
{
	(void)ctx;
}

static void on_closed(void *ctx, enum err why)
{
	struct gateway *gateway = ctx;
	(void)why;
	gateway->client = NULL;
}

/* ---- what goes ------------------------------------------------------------------------------- */

struct gateway *gateway_open(struct world *world)
{
	static const struct grpc_client_events client_events = {on_opened, on_closed};
	static const struct grpc_call_events call_events = {
		.message = on_message, .ended = on_ended};
	/* a small window, so that who pauses holds the engine back soon */
	const struct grpc_options options = {.message_bytes_max = 4 << 20, .window_bytes = 65536};
	assert_true(world->gateways_count < GATEWAYS_MAX);
	struct gateway *gateway = &world->gateways[world->gateways_count++];
	gateway->world = world;
	assert_int_equal(sim_loop_new(world->sim, &gateway->loop), OK);
	assert_int_equal(grpc_client_open(gateway->loop, ENGINE_ADDRESS, &options, &client_events,
				 gateway, &gateway->client),
		OK);
	assert_int_equal(grpc_client_call(gateway->client, WIRE_STREAMER_STREAM, 0, &call_events,
				 gateway, &gateway->call),
		OK);
	return gateway;
}

static void send(struct gateway *gateway, struct buffer *message)
{
	assert_non_null(gateway->call);
	assert_int_equal(grpc_call_send(gateway->call, buffer_bytes(message)), OK);
	buffer_fini(message);
}

static void name_id(unsigned id, char ret_text[16])
{
	(void)snprintf(ret_text, 16, "s%u-", id);
}

void ask_encode(struct buffer *buffer, unsigned id, const struct ask *ask,
	enum err (*encode)(struct buffer *, const struct model_subscription *))
{
	static const char *const ops[] = {"", "==", ">", "=="};
	struct arena arena = {0};
	char text[16];
	char value[16];
	name_id(id, text);
	(void)snprintf(
		value, sizeof(value), ask->kind == ASK_DOCUMENT ? "\"u%u\"" : "%u", ask->value);
	struct model_filter filter = {.field = bytes_of(ask->kind == ASK_DOCUMENT ? "_id" : "n"),
		.op = bytes_of(ops[ask->kind])};
	assert_int_equal(json_parse(bytes_of(value), 10, &arena, &filter.value, NULL), OK);
	const struct model_subscription subscription = {.id = bytes_of(text),
		.database = bytes_of("d"),
		.collection = bytes_of(ask->collection),
		.filters = &filter,
		.filters_count = ask->kind == ASK_ALL ? 0 : 1,
		.omit_document = ask->omits};
	assert_int_equal(encode(buffer, &subscription), OK);
	arena_fini(&arena);
}

void gateway_subscribe(struct gateway *gateway, unsigned id, struct ask ask)
{
	struct buffer message = {0};
	ask_encode(&message, id, &ask, wire_subscribe_encode);
	send(gateway, &message);
	gateway->asks[id] = ask;
	gateway->from[id] = UINT64_MAX;
	gateway->until[id] = UINT64_MAX;
}

void gateway_unsubscribe(struct gateway *gateway, unsigned id)
{
	struct buffer message = {0};
	char text[16];
	name_id(id, text);
	assert_int_equal(wire_unsubscribe_encode(&message, bytes_of(text)), OK);
	send(gateway, &message);
	gateway->until[id] = world_routed(gateway->world);
}

void gateway_heartbeat(struct gateway *gateway)
{
	struct buffer message = {0};
	assert_int_equal(wire_heartbeat_encode(&message,
				 &(struct model_heartbeat){
					 .gateway_id = bytes_of("gateway"), .timestamp_ms = 1}),
		OK);
	send(gateway, &message);
}

void gateway_close(struct gateway *gateway)
{
	if (gateway->client) {
		grpc_client_close(gateway->client);
	}
}

void gateway_free(struct gateway *gateway)
{
	if (gateway->loop) {
		loop_free(gateway->loop);
		gateway->loop = NULL;
		free(gateway->records);
		gateway->records = NULL;
		gateway->records_count = 0;
	}
}
