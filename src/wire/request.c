/*
 * GatewayMessages as a client writes them. What the wire cannot say is refused with ERR_INVALID: a
 * filter value that is null or an object, or an unsigned number that neither int64 nor double
 * holds.
 */
#include "wire_priv.h"

#include <string.h>

#define LIST_DEPTH_MAX 64

struct nested {
	const struct value *value;
	uint32_t depth;
};

static void put_value(struct wire_writer *writer, const void *message);

static void put_list(struct wire_writer *writer, const void *message)
{
	const struct nested *list = message;
	const struct value *end = value_after(list->value);
	for (const struct value *item = list->value + 1; item < end; item = value_after(item)) {
		wire_put_message(writer, 1, put_value, &(struct nested){item, list->depth + 1});
	}
}

/* Members of a oneof are written whatever their value is. */
static void put_double(struct wire_writer *writer, double real)
{
	uint64_t bits;
	memcpy(&bits, &real, sizeof(bits));
	char raw[sizeof(bits)];
	for (size_t i = 0; i < sizeof(raw); i++) {
		raw[i] = (char)(bits >> (8 * i) & 0xFFU);
	}
	wire_put_tag(writer, 3, WIRE_FIXED64);
	wire_put_raw(writer, (struct bytes){raw, sizeof(raw)});
}

static void put_uint(struct wire_writer *writer, uint64_t integer)
{
	double real = (double)integer;
	/* 2^64 itself is a double and no uint64. */
	bool is_exact = real < 18446744073709551616.0 && (uint64_t)real == integer;
	writer->is_refused = writer->is_refused || !is_exact;
	put_double(writer, real);
}

static void put_value_string(struct wire_writer *writer, struct bytes text)
{
	writer->is_refused = writer->is_refused || !bytes_are_utf8(text);
	wire_put_prefix(writer, 1, text.size);
	wire_put_raw(writer, text);
}

static void put_value(struct wire_writer *writer, const void *message)
{
	const struct nested *nested = message;
	const struct value *value = nested->value;
	switch ((enum value_kind)value->kind) {
	case VALUE_NONE:
		break;
	case VALUE_BOOL:
		wire_put_tag(writer, 4, WIRE_VARINT);
		wire_put_varint(writer, value->as.boolean);
		break;
	case VALUE_INT:
		wire_put_tag(writer, 2, WIRE_VARINT);
		wire_put_varint(writer, (uint64_t)value->as.integer);
		break;
	case VALUE_UINT:
		put_uint(writer, value->as.unsigned_integer);
		break;
	case VALUE_DOUBLE:
		put_double(writer, value->as.real);
		break;
	case VALUE_STRING:
		put_value_string(writer, value_text(value));
		break;
	case VALUE_LIST:
		if (nested->depth < LIST_DEPTH_MAX) {
			wire_put_message(writer, 5, put_list, nested);
			break;
		}
		writer->is_refused = true;
		break;
	case VALUE_NULL:
	case VALUE_OBJECT:
		writer->is_refused = true;
		break;
	}
}

static void put_filter(struct wire_writer *writer, const void *message)
{
	const struct model_filter *filter = message;
	wire_put_string(writer, 1, filter->field);
	wire_put_string(writer, 2, filter->op);
	if (filter->value) {
		wire_put_message(writer, 3, put_value, &(struct nested){filter->value, 0});
	}
}

void wire_put_subscription(struct wire_writer *writer, const void *message)
{
	const struct model_subscription *subscription = message;
	wire_put_string(writer, 1, subscription->id);
	wire_put_string(writer, 2, subscription->collection);
	for (size_t i = 0; i < subscription->filters_count; i++) {
		wire_put_message(writer, 3, put_filter, &subscription->filters[i]);
	}
	wire_put_string(writer, 4, subscription->database);
	wire_put_string(writer, 100, subscription->expression);
	wire_put_integer(writer, 102, subscription->omit_document);
}

static void put_subscribe(struct wire_writer *writer, const void *message)
{
	wire_put_message(writer, 1, wire_put_subscription, message);
}

enum err wire_subscribe_encode(struct buffer *buffer, const struct model_subscription *subscription)
{
	return wire_encode(buffer, put_subscribe, subscription);
}

static void put_id(struct wire_writer *writer, const void *message)
{
	const struct bytes *id = message;
	wire_put_string(writer, 1, *id);
}

static void put_unsubscribe(struct wire_writer *writer, const void *message)
{
	wire_put_message(writer, 2, put_id, message);
}

enum err wire_unsubscribe_encode(struct buffer *buffer, struct bytes id)
{
	return wire_encode(buffer, put_unsubscribe, &id);
}

static void put_heartbeat_fields(struct wire_writer *writer, const void *message)
{
	const struct model_heartbeat *heartbeat = message;
	wire_put_string(writer, 1, heartbeat->gateway_id);
	wire_put_integer(writer, 2, (uint64_t)heartbeat->timestamp_ms);
	wire_put_bytes(writer, 100, heartbeat->position);
	wire_put_integer(writer, 101, heartbeat->registered);
}

static void put_heartbeat(struct wire_writer *writer, const void *message)
{
	wire_put_message(writer, 3, put_heartbeat_fields, message);
}

enum err wire_heartbeat_encode(struct buffer *buffer, const struct model_heartbeat *heartbeat)
{
	return wire_encode(buffer, put_heartbeat, heartbeat);
}
