/*
 * The messages that the original does not have, those of bulks apart, both ways: Hello, Welcome,
 * Gap, UnsubscribeResponse, Notice, GoingAway (proto/streamer.proto). A number of an enumeration
 * that we do not know reads as its first.
 */
#include "wire_priv.h"

/* ---- Hello ---- */

static void put_hello_fields(struct wire_writer *writer, const void *message)
{
	const struct model_hello *hello = message;
	wire_put_integer(writer, 1, hello->version);
	wire_put_string(writer, 2, hello->gateway_id);
	wire_put_bytes(writer, 3, hello->after);
	wire_put_integer(writer, 4, hello->message_bytes_max);
}

static void put_hello(struct wire_writer *writer, const void *message)
{
	wire_put_message(writer, 100, put_hello_fields, message);
}

enum err wire_hello_encode(struct buffer *buffer, const struct model_hello *hello)
{
	return wire_encode(buffer, put_hello, hello);
}

static enum err take_hello(const struct wire_field *field, void *ctx)
{
	struct model_hello *hello = ctx;
	switch (field->number) {
	case 1:
		wire_take_uint32(field, &hello->version);
		return OK;
	case 2:
		return wire_take_string(field, &hello->gateway_id);
	case 3:
		wire_take_bytes(field, &hello->after);
		return OK;
	case 4:
		wire_take_uint32(field, &hello->message_bytes_max);
		return OK;
	default:
		return OK;
	}
}

enum err wire_hello_parse(struct bytes payload, struct model_hello *ret_hello)
{
	return wire_each_field(payload, take_hello, ret_hello);
}

/* ---- Welcome ---- */

static void put_fixed64(struct wire_writer *writer, uint32_t number, uint64_t integer)
{
	char raw[sizeof(integer)];
	for (size_t i = 0; i < sizeof(raw); i++) {
		raw[i] = (char)(integer >> (8 * i) & 0xFFU);
	}
	if (integer != 0) {
		wire_put_tag(writer, number, WIRE_FIXED64);
		wire_put_raw(writer, (struct bytes){raw, sizeof(raw)});
	}
}

static void put_welcome_fields(struct wire_writer *writer, const void *message)
{
	const struct model_welcome *welcome = message;
	wire_put_integer(writer, 1, welcome->version);
	put_fixed64(writer, 2, welcome->epoch);
	wire_put_bytes(writer, 3, welcome->position);
	wire_put_integer(writer, 4, (uint64_t)welcome->resume);
	wire_put_integer(writer, 5, welcome->lease_ms);
	wire_put_integer(writer, 6, welcome->message_bytes_max);
}

static void put_welcome(struct wire_writer *writer, const void *message)
{
	wire_put_message(writer, 100, put_welcome_fields, message);
}

enum err wire_welcome_encode(struct buffer *buffer, const struct model_welcome *welcome)
{
	return wire_encode(buffer, put_welcome, welcome);
}

static enum err take_welcome(const struct wire_field *field, void *ctx)
{
	struct model_welcome *welcome = ctx;
	uint32_t resume = (uint32_t)welcome->resume;
	switch (field->number) {
	case 1:
		wire_take_uint32(field, &welcome->version);
		break;
	case 2:
		welcome->epoch = field->type == WIRE_FIXED64 ? field->integer : welcome->epoch;
		break;
	case 3:
		wire_take_bytes(field, &welcome->position);
		break;
	case 4:
		wire_take_uint32(field, &resume);
		welcome->resume =
			resume <= MODEL_RESUME_GAP ? (enum model_resume)resume : MODEL_RESUME_LIVE;
		break;
	case 5:
		wire_take_uint32(field, &welcome->lease_ms);
		break;
	case 6:
		wire_take_uint32(field, &welcome->message_bytes_max);
		break;
	default:
		break;
	}
	return OK;
}

enum err wire_welcome_parse(struct bytes payload, struct model_welcome *ret_welcome)
{
	return wire_each_field(payload, take_welcome, ret_welcome);
}

/* ---- Gap ---- */

static void put_ids(struct wire_writer *writer, uint32_t number, struct bytes run)
{
	struct bytes id;
	while (wire_id_next(&run, &id)) {
		wire_put_prefix(writer, number, id.size);
		wire_put_raw(writer, id);
	}
}

static void put_gap_fields(struct wire_writer *writer, const void *message)
{
	const struct model_gap *gap = message;
	wire_put_bytes(writer, 1, gap->after);
	wire_put_bytes(writer, 2, gap->until);
	wire_put_integer(writer, 3, (uint64_t)gap->reason);
	put_ids(writer, 4, gap->run);
	wire_put_integer(writer, 5, gap->events);
	wire_put_bytes(writer, 6, gap->event);
}

static void put_gap(struct wire_writer *writer, const void *message)
{
	wire_put_message(writer, 101, put_gap_fields, message);
}

enum err wire_gap_encode(struct buffer *buffer, const struct model_gap *gap)
{
	return wire_encode(buffer, put_gap, gap);
}

struct gap_reader {
	struct model_gap gap;
	size_t run_size;
};

static enum err take_gap(const struct wire_field *field, void *ctx)
{
	struct gap_reader *reader = ctx;
	struct model_gap *gap = &reader->gap;
	struct bytes id = {0};
	uint32_t reason = (uint32_t)gap->reason;
	switch (field->number) {
	case 1:
		wire_take_bytes(field, &gap->after);
		break;
	case 2:
		wire_take_bytes(field, &gap->until);
		break;
	case 3:
		wire_take_uint32(field, &reason);
		gap->reason = reason <= MODEL_GAP_TOO_LARGE ? (enum model_gap_reason)reason
							    : MODEL_GAP_UNKNOWN;
		break;
	case 4:
		reader->run_size += field->type == WIRE_BYTES ? wire_id_size(field->bytes) : 0;
		return wire_take_string(field, &id);
	case 5:
		gap->events = field->type == WIRE_VARINT ? field->integer : gap->events;
		break;
	default:
		break;
	}
	return OK;
}

enum err wire_gap_parse(struct bytes payload, struct arena *arena, struct model_gap *ret_gap)
{
	struct gap_reader reader = {0};
	uint32_t number;
	enum err err = wire_each_field(payload, take_gap, &reader);
	if (err == OK) {
		err = wire_oneof(payload, (struct wire_range){.first = 6, .last = 6}, arena,
			&number, &reader.gap.event);
	}
	if (err == OK && reader.run_size > 0) {
		err = wire_run_copy(payload, 4, reader.run_size, arena, &reader.gap.run);
	}
	if (err == OK) {
		*ret_gap = reader.gap;
	}
	return err;
}

/* ---- UnsubscribeResponse ---- */

static void put_unsubscribed_fields(struct wire_writer *writer, const void *message)
{
	const struct bytes *id = message;
	wire_put_string(writer, 1, *id);
}

static void put_unsubscribed(struct wire_writer *writer, const void *message)
{
	wire_put_message(writer, 103, put_unsubscribed_fields, message);
}

enum err wire_unsubscribed_encode(struct buffer *buffer, struct bytes id)
{
	return wire_encode(buffer, put_unsubscribed, &id);
}

static enum err take_unsubscribed(const struct wire_field *field, void *ctx)
{
	return field->number == 1 ? wire_take_string(field, ctx) : OK;
}

enum err wire_unsubscribed_parse(struct bytes payload, struct bytes *ret_id)
{
	return wire_each_field(payload, take_unsubscribed, ret_id);
}

/* ---- Notice ---- */

static void put_notice_fields(struct wire_writer *writer, const void *message)
{
	const struct model_notice *notice = message;
	wire_put_string(writer, 1, notice->subscription_id);
	wire_put_integer(writer, 2, (uint64_t)notice->code);
	wire_put_text(writer, 3, notice->text);
}

static void put_notice(struct wire_writer *writer, const void *message)
{
	wire_put_message(writer, 104, put_notice_fields, message);
}

enum err wire_notice_encode(struct buffer *buffer, const struct model_notice *notice)
{
	return wire_encode(buffer, put_notice, notice);
}

static enum err take_notice(const struct wire_field *field, void *ctx)
{
	struct model_notice *notice = ctx;
	uint32_t code = (uint32_t)notice->code;
	switch (field->number) {
	case 1:
		return wire_take_string(field, &notice->subscription_id);
	case 2:
		wire_take_uint32(field, &code);
		notice->code =
			code == MODEL_NOTICE_STOPPED ? MODEL_NOTICE_STOPPED : MODEL_NOTICE_FAILING;
		return OK;
	case 3:
		return wire_take_string(field, &notice->text);
	default:
		return OK;
	}
}

enum err wire_notice_parse(struct bytes payload, struct model_notice *ret_notice)
{
	return wire_each_field(payload, take_notice, ret_notice);
}

/* ---- GoingAway ---- */

static void put_going_away_fields(struct wire_writer *writer, const void *message)
{
	const struct model_going_away *going_away = message;
	wire_put_integer(writer, 1, going_away->deadline_ms);
	wire_put_text(writer, 2, going_away->reason);
}

static void put_going_away(struct wire_writer *writer, const void *message)
{
	wire_put_message(writer, 105, put_going_away_fields, message);
}

enum err wire_going_away_encode(struct buffer *buffer, const struct model_going_away *going_away)
{
	return wire_encode(buffer, put_going_away, going_away);
}

static enum err take_going_away(const struct wire_field *field, void *ctx)
{
	struct model_going_away *going_away = ctx;
	if (field->number == 1) {
		wire_take_uint32(field, &going_away->deadline_ms);
	}
	return field->number == 2 ? wire_take_string(field, &going_away->reason) : OK;
}

enum err wire_going_away_parse(struct bytes payload, struct model_going_away *ret_going_away)
{
	return wire_each_field(payload, take_going_away, ret_going_away);
}
