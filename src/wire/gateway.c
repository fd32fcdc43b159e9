/*
 * GatewayMessage (proto/streamer.proto). Parsed by hand, not with generated code: strings keep
 * their NUL bytes, a filter's value goes straight to a tape, and nesting is bounded. The message is
 * copied to the arena once, and all that is parsed are views of the copy.
 */
#include "wire_priv.h"

#include <string.h>

#define LIST_DEPTH_MAX 64 /* whatever the limits say: each level is a few frames of the stack */

/* ---- a filter's value ------------------------------------------------------------------------ */

struct filter_reader {
	const struct wire_limits *limits;
	struct arena *arena;
	struct err_info *refusal;
	struct model_subscription subscription;
	struct model_filter *filters; /* room for all of them */
	size_t filters_read;
	struct tape tape; /* of the filter that is being read */
	uint32_t values;  /* in this filter's lists */
	bool is_too_deep; /* this filter's value */
};

/* One Value message, fed field by field; its cells start at `start` of the tape. */
struct value_reader {
	struct filter_reader *filter;
	size_t start;
	enum value_kind kind;
	uint32_t items; /* LIST */
	uint32_t depth; /* lists around it */
};

static bool is_over(const struct filter_reader *filter)
{
	return filter->is_too_deep || filter->values > filter->limits->filter_list_max;
}

/* The member of the oneof that came last wins: what an earlier one pushed is taken back. */
static enum err set_scalar(struct value_reader *reader, struct value value)
{
	struct tape *tape = &reader->filter->tape;
	reader->kind = (enum value_kind)value.kind;
	tape->count = reader->start;
	return is_over(reader->filter) ? OK : tape_push(tape, value);
}

static enum err take_value(const struct wire_field *field, void *ctx);

static enum err finish_value(struct value_reader *reader)
{
	struct tape *tape = &reader->filter->tape;
	if (is_over(reader->filter)) {
		return OK;
	}
	if (reader->kind == VALUE_NONE) {
		return tape_push(tape, (struct value){.kind = VALUE_NONE});
	}
	if (reader->kind == VALUE_LIST) {
		tape_close(tape, reader->start, reader->items);
	}
	return OK;
}

static enum err take_item(const struct wire_field *field, void *ctx)
{
	struct value_reader *list = ctx;
	if (field->number != 1 || field->type != WIRE_BYTES) {
		return OK;
	}
	struct value_reader item = {.filter = list->filter,
		.start = list->filter->tape.count,
		.depth = list->depth + 1};
	list->items++;
	list->filter->values++;
	enum err err = wire_each_field(field->bytes, take_value, &item);
	return err == OK ? finish_value(&item) : err;
}

static enum err take_list(const struct wire_field *field, struct value_reader *reader)
{
	struct filter_reader *filter = reader->filter;
	uint32_t depth_max = filter->limits->filter_depth_max;
	depth_max = depth_max < LIST_DEPTH_MAX ? depth_max : LIST_DEPTH_MAX;
	if (reader->depth >= depth_max) {
		filter->is_too_deep = true;
	}
	if (filter->is_too_deep) {
		return OK;
	}
	if (reader->kind != VALUE_LIST) {
		size_t place;
		filter->tape.count = reader->start;
		enum err err = is_over(filter) ? OK : tape_open(&filter->tape, VALUE_LIST, &place);
		if (err != OK) {
			return err;
		}
		reader->kind = VALUE_LIST;
		reader->items = 0;
	}
	return wire_each_field(field->bytes, take_item, reader);
}

static enum err take_value_string(const struct wire_field *field, struct value_reader *reader)
{
	struct bytes text;
	enum err err = wire_take_string(field, &text);
	return err == OK ? set_scalar(reader, value_string(text)) : err;
}

static enum err take_value(const struct wire_field *field, void *ctx)
{
	static const enum wire_type types[] = {[1] = WIRE_BYTES,
		[2] = WIRE_VARINT,
		[3] = WIRE_FIXED64,
		[4] = WIRE_VARINT,
		[5] = WIRE_BYTES};
	struct value_reader *reader = ctx;
	if (field->number > 5 || field->type != types[field->number]) {
		return OK;
	}
	struct value real = {.kind = VALUE_DOUBLE};
	switch (field->number) {
	case 1:
		return take_value_string(field, reader);
	case 2:
		return set_scalar(reader, value_int((int64_t)field->integer));
	case 3:
		memcpy(&real.as.real, &field->integer, sizeof(real.as.real));
		return set_scalar(reader, real);
	case 4:
		return set_scalar(reader, value_bool(field->integer != 0));
	default:
		return take_list(field, reader);
	}
}

/* ---- subscribe ------------------------------------------------------------------------------- */

struct one_filter {
	struct model_filter filter;
	struct value_reader value;
	bool has_value;
};

static enum err take_filter(const struct wire_field *field, void *ctx)
{
	struct one_filter *one = ctx;
	switch (field->number) {
	case 1:
		return wire_take_string(field, &one->filter.field);
	case 2:
		return wire_take_string(field, &one->filter.op);
	case 3:
		one->has_value = one->has_value || field->type == WIRE_BYTES;
		return wire_each_field(field->bytes, take_value, &one->value);
	default:
		return OK;
	}
}

static enum err finish_filter(struct filter_reader *reader, struct one_filter *one)
{
	unsigned number = (unsigned)reader->filters_read + 1;
	if (reader->is_too_deep) {
		(void)err_set(reader->refusal, ERR_LIMIT, 0,
			"filter %u: lists are nested deeper than %u, the limit", number,
			(unsigned)reader->limits->filter_depth_max);
		return OK;
	}
	if (is_over(reader)) {
		(void)err_set(reader->refusal, ERR_LIMIT, 0,
			"filter %u: its list has %u values, the limit is %u", number,
			(unsigned)reader->values, (unsigned)reader->limits->filter_list_max);
		return OK;
	}
	enum err err = OK;
	if (one->has_value) {
		err = finish_value(&one->value);
		if (err == OK) {
			err = tape_finish(&reader->tape, reader->arena, &one->filter.value);
		}
	}
	if (err == OK) {
		reader->filters[reader->filters_read++] = one->filter;
	}
	return err;
}

static enum err take_subscribe(const struct wire_field *field, void *ctx)
{
	struct filter_reader *reader = ctx;
	switch (field->number) {
	case 1:
		return wire_take_string(field, &reader->subscription.id);
	case 2:
		return wire_take_string(field, &reader->subscription.collection);
	case 4:
		return wire_take_string(field, &reader->subscription.database);
	case 100:
		return wire_take_string(field, &reader->subscription.expression);
	case 102:
		wire_take_bool(field, &reader->subscription.omit_document);
		return OK;
	default:
		break;
	}
	if (field->number != 3 || field->type != WIRE_BYTES || reader->refusal->code != OK) {
		return OK;
	}
	tape_reset(&reader->tape);
	reader->values = 0;
	struct one_filter one = {.value = {.filter = reader}};
	enum err err = wire_each_field(field->bytes, take_filter, &one);
	return err == OK ? finish_filter(reader, &one) : err;
}

static enum err count_filter(const struct wire_field *field, void *ctx)
{
	size_t *count = ctx;
	*count += field->number == 3 && field->type == WIRE_BYTES;
	return OK;
}

static enum err parse_subscription(struct bytes payload, struct filter_reader *reader)
{
	size_t count = 0;
	enum err err = wire_each_field(payload, count_filter, &count);
	if (err != OK) {
		return err;
	}
	if (count > reader->limits->filters_max) {
		(void)err_set(reader->refusal, ERR_LIMIT, 0, "%zu filters, the limit is %u", count,
			(unsigned)reader->limits->filters_max);
	} else if (count > 0) {
		reader->filters = arena_alloc(reader->arena, count * sizeof(*reader->filters));
		if (!reader->filters) {
			return ERR_MEMORY;
		}
	}
	err = wire_each_field(payload, take_subscribe, reader);
	tape_fini(&reader->tape);
	/* A refused subscribe has no filters at all, rather than some of them. */
	if (err == OK && reader->refusal->code == OK) {
		reader->subscription.filters = reader->filters;
		reader->subscription.filters_count = reader->filters_read;
	}
	return err;
}

enum err wire_subscription_parse(struct bytes payload, const struct wire_limits *limits,
	struct arena *arena, struct model_subscription *ret_subscription, struct err_info *refusal)
{
	struct filter_reader reader = {.limits = limits, .arena = arena, .refusal = refusal};
	enum err err = parse_subscription(payload, &reader);
	if (err == OK) {
		*ret_subscription = reader.subscription;
	}
	return err;
}

/* ---- the message ----------------------------------------------------------------------------- */

static enum err take_unsubscribe(const struct wire_field *field, void *ctx)
{
	struct wire_gateway_message *message = ctx;
	return field->number == 1 ? wire_take_string(field, &message->unsubscribe_id) : OK;
}

static enum err take_heartbeat(const struct wire_field *field, void *ctx)
{
	struct model_heartbeat *heartbeat = ctx;
	switch (field->number) {
	case 1:
		return wire_take_string(field, &heartbeat->gateway_id);
	case 2:
		wire_take_int64(field, &heartbeat->timestamp_ms);
		return OK;
	case 100:
		wire_take_bytes(field, &heartbeat->position);
		return OK;
	case 101:
		wire_take_bool(field, &heartbeat->registered);
		return OK;
	default:
		return OK;
	}
}

enum err wire_gateway_message_parse(struct bytes bytes, const struct wire_limits *limits,
	struct arena *arena, struct wire_gateway_message *ret_message, struct err_info *ret_refusal)
{
	struct bytes copy = arena_copy(arena, bytes);
	if (!copy.data) {
		return ERR_MEMORY;
	}
	uint32_t number;
	struct bytes payload;
	enum err err =
		wire_oneof(copy, (struct wire_range){1, 3, 100, 101}, arena, &number, &payload);
	if (err != OK) {
		return err;
	}
	struct err_info refusal = {0};
	struct wire_gateway_message message = {.kind = WIRE_GATEWAY_NOTHING};
	switch (number) {
	case 1:
		message.kind = WIRE_GATEWAY_SUBSCRIBE;
		err = wire_subscription_parse(
			payload, limits, arena, &message.subscription, &refusal);
		break;
	case 2:
		message.kind = WIRE_GATEWAY_UNSUBSCRIBE;
		err = wire_each_field(payload, take_unsubscribe, &message);
		break;
	case 3:
		message.kind = WIRE_GATEWAY_HEARTBEAT;
		err = wire_each_field(payload, take_heartbeat, &message.heartbeat);
		break;
	case 100:
		message.kind = WIRE_GATEWAY_HELLO;
		err = wire_hello_parse(payload, &message.hello);
		break;
	case 101:
		message.kind = WIRE_GATEWAY_BULK;
		err = wire_bulk_parse(payload, &message.bulk);
		break;
	default:
		break;
	}
	if (err == OK) {
		*ret_message = message;
		*ret_refusal = refusal;
	}
	return err;
}
