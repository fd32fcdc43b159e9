/*
 * BulkSubscribe and its answer (proto/streamer.proto), both ways. A message may hold thousands of
 * subscribes: it is checked to be a message, and its parts are read one by one when their turn
 * comes. So a list, when read, is the whole message that holds it; when written, its parts alone.
 * Written again as it was read it means the same, as protobuf merges what comes twice.
 */
#include "wire_priv.h"

/* The next embedded message of that number. */
static enum err next_part(struct bytes *rest, uint32_t number, struct bytes *ret_part)
{
	struct wire_field field;
	enum err err;
	while ((err = wire_field_next(rest, &field)) == OK) {
		if (field.number == number && field.type == WIRE_BYTES) {
			*ret_part = field.bytes;
			return OK;
		}
	}
	return err;
}

/* ---- the request ----------------------------------------------------------------------------- */

static void put_request(struct wire_writer *writer, const void *message)
{
	wire_put_message(writer, 2, wire_put_subscription, message);
}

enum err wire_bulk_append(struct buffer *requests, const struct model_subscription *subscription)
{
	return wire_encode(requests, put_request, subscription);
}

static void put_bulk_fields(struct wire_writer *writer, const void *message)
{
	const struct model_bulk *bulk = message;
	wire_put_integer(writer, 1, bulk->id);
	wire_put_raw(writer, bulk->requests);
}

static void put_bulk(struct wire_writer *writer, const void *message)
{
	wire_put_message(writer, 101, put_bulk_fields, message);
}

enum err wire_bulk_encode(struct buffer *buffer, const struct model_bulk *bulk)
{
	return wire_encode(buffer, put_bulk, bulk);
}

static void take_id(const struct wire_field *field, uint64_t *ret_id)
{
	if (field->number == 1 && field->type == WIRE_VARINT) {
		*ret_id = field->integer;
	}
}

static enum err take_bulk(const struct wire_field *field, void *ctx)
{
	take_id(field, ctx);
	return OK;
}

enum err wire_bulk_parse(struct bytes payload, struct model_bulk *ret_bulk)
{
	struct model_bulk bulk = {.requests = payload};
	enum err err = wire_each_field(payload, take_bulk, &bulk.id);
	if (err == OK) {
		*ret_bulk = bulk;
	}
	return err;
}

enum err wire_bulk_next(struct bytes *rest, const struct wire_limits *limits, struct arena *arena,
	struct model_subscription *ret_subscription, struct err_info *ret_refusal)
{
	struct bytes request;
	struct err_info refusal = {0};
	enum err err = next_part(rest, 2, &request);
	if (err == OK) {
		err = wire_subscription_parse(request, limits, arena, ret_subscription, &refusal);
	}
	if (err == OK) {
		*ret_refusal = refusal;
	}
	return err;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void put_refused(struct wire_writer *writer, const void *message)
{
	wire_put_message(writer, 3, wire_put_answer, message);
}

enum err wire_bulk_refuse(struct buffer *refused, const struct model_answer *answer)
{
	return wire_encode(refused, put_refused, answer);
}

static void put_answer_fields(struct wire_writer *writer, const void *message)
{
	const struct model_bulk_answer *answer = message;
	wire_put_integer(writer, 1, answer->id);
	wire_put_integer(writer, 2, answer->accepted);
	wire_put_raw(writer, answer->refused);
	wire_put_bytes(writer, 4, answer->live_after);
}

static void put_answer(struct wire_writer *writer, const void *message)
{
	wire_put_message(writer, 102, put_answer_fields, message);
}

enum err wire_bulk_answer_encode(struct buffer *buffer, const struct model_bulk_answer *answer)
{
	return wire_encode(buffer, put_answer, answer);
}

static enum err take_answer(const struct wire_field *field, void *ctx)
{
	struct model_bulk_answer *answer = ctx;
	take_id(field, &answer->id);
	if (field->number == 2) {
		wire_take_uint32(field, &answer->accepted);
	} else if (field->number == 4) {
		wire_take_bytes(field, &answer->live_after);
	}
	return OK;
}

enum err wire_bulk_answer_parse(struct bytes payload, struct model_bulk_answer *ret_answer)
{
	struct model_bulk_answer answer = {.refused = payload};
	enum err err = wire_each_field(payload, take_answer, &answer);
	if (err == OK) {
		*ret_answer = answer;
	}
	return err;
}

enum err wire_bulk_refused_next(struct bytes *rest, struct model_answer *ret_answer)
{
	struct bytes answer;
	enum err err = next_part(rest, 3, &answer);
	return err == OK ? wire_answer_parse(answer, ret_answer) : err;
}
