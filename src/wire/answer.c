/*
 * StreamerMessage (proto/streamer.proto), both ways: deliveries are spliced from a run of ids and
 * an encoded event, answers and acknowledgements are written field by field.
 */
#include "wire_priv.h"

/* ---- ids ------------------------------------------------------------------------------------- */

size_t wire_id_size(struct bytes id)
{
	return 1 + wire_varint_size(id.size) + id.size;
}

size_t wire_id_write(struct bytes id, char *place)
{
	struct wire_writer writer = {.place = place};
	wire_put_prefix(&writer, 1, id.size);
	wire_put_raw(&writer, id);
	return writer.size;
}

bool wire_id_next(struct bytes *run, struct bytes *ret_id)
{
	struct wire_field field;
	if (wire_field_next(run, &field) != OK) {
		return false;
	}
	debug_check(field.number == 1 && field.type == WIRE_BYTES);
	*ret_id = field.bytes;
	return true;
}

/* ---- deliveries out -------------------------------------------------------------------------- */

static void put_mark(struct wire_writer *writer, const struct model_mark *mark)
{
	wire_put_bytes(writer, 100, mark->position);
	wire_put_integer(writer, 101, mark->replayed);
	wire_put_integer(writer, 102, mark->more);
}

static size_t inner_size(size_t run_size, size_t event_size, const struct model_mark *mark)
{
	struct wire_writer count = {0};
	if (mark) {
		put_mark(&count, mark);
	}
	return run_size + 1 + wire_varint_size(event_size) + event_size + count.size;
}

size_t wire_delivery_size(size_t run_size, size_t event_size, const struct model_mark *mark)
{
	size_t inner = inner_size(run_size, event_size, mark);
	return 1 + wire_varint_size(inner) + inner;
}

void wire_delivery_write(
	struct bytes run, struct bytes event, const struct model_mark *mark, char *place)
{
	struct wire_writer writer = {.place = place};
	wire_put_prefix(&writer, 1, inner_size(run.size, event.size, mark));
	wire_put_raw(&writer, run);
	wire_put_prefix(&writer, 2, event.size);
	wire_put_raw(&writer, event);
	if (mark) {
		put_mark(&writer, mark);
	}
}

/* ---- answers out ----------------------------------------------------------------------------- */

void wire_put_answer(struct wire_writer *writer, const void *message)
{
	const struct model_answer *answer = message;
	wire_put_string(writer, 1, answer->id);
	wire_put_integer(writer, 2, answer->refusal == MODEL_ACCEPTED);
	wire_put_text(writer, 3, answer->text);
	wire_put_integer(writer, 100, (uint64_t)answer->refusal);
	wire_put_integer(writer, 101, answer->filter);
	wire_put_integer(writer, 102, answer->line);
	wire_put_integer(writer, 103, answer->column);
	wire_put_text(writer, 104, answer->hint);
	wire_put_bytes(writer, 105, answer->live_after);
}

static void put_answer(struct wire_writer *writer, const void *message)
{
	wire_put_message(writer, 3, wire_put_answer, message);
}

enum err wire_answer_encode(struct buffer *buffer, const struct model_answer *answer)
{
	return wire_encode(buffer, put_answer, answer);
}

static void put_ack_fields(struct wire_writer *writer, const void *message)
{
	const struct model_heartbeat_ack *ack = message;
	wire_put_integer(writer, 1, (uint64_t)ack->timestamp_ms);
	wire_put_bytes(writer, 100, ack->position);
	wire_put_integer(writer, 101, (uint64_t)ack->source);
	wire_put_integer(writer, 102, (uint64_t)ack->source_lag_ms);
}

static void put_ack(struct wire_writer *writer, const void *message)
{
	wire_put_message(writer, 2, put_ack_fields, message);
}

enum err wire_heartbeat_ack_encode(struct buffer *buffer, const struct model_heartbeat_ack *ack)
{
	return wire_encode(buffer, put_ack, ack);
}

/* ---- deliveries in --------------------------------------------------------------------------- */

enum err wire_run_copy(struct bytes message, uint32_t number, size_t size, struct arena *arena,
	struct bytes *ret_run)
{
	struct wire_writer writer = {.place = arena_alloc(arena, size)};
	if (!writer.place) {
		return ERR_MEMORY;
	}
	struct wire_field field;
	enum err err;
	while ((err = wire_field_next(&message, &field)) == OK) {
		if (field.number == number && field.type == WIRE_BYTES) {
			writer.size += wire_id_write(field.bytes, writer.place + writer.size);
		}
	}
	check(err == ERR_EMPTY && writer.size == size);
	*ret_run = (struct bytes){writer.place, size};
	return OK;
}

static void take_mark(const struct wire_field *field, struct model_mark *mark)
{
	switch (field->number) {
	case 100:
		wire_take_bytes(field, &mark->position);
		break;
	case 101:
		wire_take_bool(field, &mark->replayed);
		break;
	case 102:
		wire_take_bool(field, &mark->more);
		break;
	default:
		break;
	}
}

/* The ids of a delivery, and its mark. */
static enum err parse_run(struct bytes delivery, struct arena *arena, struct model_mark *ret_mark,
	struct bytes *ret_run)
{
	struct bytes rest = delivery;
	struct bytes before = rest;
	struct bytes first = {NULL, 0};
	const char *end = NULL;
	size_t size = 0;
	struct wire_field field;
	enum err err;
	for (; (err = wire_field_next(&rest, &field)) == OK; before = rest) {
		if (field.number != 1 || field.type != WIRE_BYTES) {
			take_mark(&field, ret_mark);
			continue;
		}
		if (!bytes_are_utf8(field.bytes)) {
			return ERR_CORRUPT;
		}
		first = first.data ? first : before;
		end = rest.data;
		size += wire_id_size(field.bytes);
	}
	if (err != ERR_EMPTY) {
		return err;
	}
	/* What stands between ids, or a length written longer than need be, makes the distance
	 * larger than the run: if they are equal, the run is there already. */
	if (size == 0 || (size_t)(end - first.data) == size) {
		*ret_run = (struct bytes){first.data, size};
		return OK;
	}
	return wire_run_copy(delivery, 1, size, arena, ret_run);
}

/* A number that we do not know is no operation. */
static void take_operation(const struct wire_field *field, enum model_operation *ret_operation)
{
	uint32_t number = *ret_operation;
	wire_take_uint32(field, &number);
	bool is_known = number == MODEL_INSERT || number == MODEL_UPDATE || number == MODEL_DELETE;
	*ret_operation = is_known ? (enum model_operation)number : MODEL_NO_OPERATION;
}

static enum err take_delivery(const struct wire_field *field, void *ctx)
{
	struct model_delivery *delivery = ctx;
	switch (field->number) {
	case 1:
		return wire_take_string(field, &delivery->event_id);
	case 2:
		return wire_take_string(field, &delivery->database);
	case 3:
		return wire_take_string(field, &delivery->collection);
	case 4:
		return wire_take_string(field, &delivery->document_id);
	case 5:
		take_operation(field, &delivery->operation);
		return OK;
	case 6:
		wire_take_bytes(field, &delivery->document);
		return OK;
	case 7:
		wire_take_int64(field, &delivery->timestamp_ms);
		return OK;
	case 100:
		wire_take_uint32(field, &delivery->cluster_seconds);
		return OK;
	case 101:
		wire_take_uint32(field, &delivery->cluster_increment);
		return OK;
	case 102:
		wire_take_int64(field, &delivery->received_us);
		return OK;
	case 103:
		wire_take_bytes(field, &delivery->document_hash);
		return OK;
	default:
		return OK;
	}
}

enum err wire_delivery_parse(struct bytes event, struct model_delivery *ret_delivery)
{
	struct model_delivery delivery = {0};
	enum err err = wire_each_field(event, take_delivery, &delivery);
	if (err == OK) {
		*ret_delivery = delivery;
	}
	return err;
}

/* ---- answers in ------------------------------------------------------------------------------ */

struct answer_reader {
	struct model_answer answer;
	bool success;
	uint32_t code;
};

static enum err take_answer(const struct wire_field *field, void *ctx)
{
	struct answer_reader *reader = ctx;
	switch (field->number) {
	case 1:
		return wire_take_string(field, &reader->answer.id);
	case 2:
		wire_take_bool(field, &reader->success);
		return OK;
	case 3:
		return wire_take_string(field, &reader->answer.text);
	case 100:
		wire_take_uint32(field, &reader->code);
		return OK;
	case 101:
		wire_take_uint32(field, &reader->answer.filter);
		return OK;
	case 102:
		wire_take_uint32(field, &reader->answer.line);
		return OK;
	case 103:
		wire_take_uint32(field, &reader->answer.column);
		return OK;
	case 104:
		return wire_take_string(field, &reader->answer.hint);
	case 105:
		wire_take_bytes(field, &reader->answer.live_after);
		return OK;
	default:
		return OK;
	}
}

/* A peer of the original tells no code; it refuses filters, and ids by this text. */
static enum model_refusal refusal_of(const struct answer_reader *reader)
{
	if (reader->success) {
		return MODEL_ACCEPTED;
	}
	if (reader->code >= MODEL_REFUSED_FILTER && reader->code <= MODEL_REFUSED_ID) {
		return (enum model_refusal)reader->code;
	}
	return bytes_equal(reader->answer.text, bytes_of("subscription ID already exists"))
		? MODEL_REFUSED_DUPLICATE
		: MODEL_REFUSED_FILTER;
}

enum err wire_answer_parse(struct bytes payload, struct model_answer *ret_answer)
{
	struct answer_reader reader = {0};
	enum err err = wire_each_field(payload, take_answer, &reader);
	if (err == OK) {
		*ret_answer = reader.answer;
		ret_answer->refusal = refusal_of(&reader);
	}
	return err;
}

static enum err take_ack(const struct wire_field *field, void *ctx)
{
	struct model_heartbeat_ack *ack = ctx;
	uint32_t source = (uint32_t)ack->source;
	switch (field->number) {
	case 1:
		wire_take_int64(field, &ack->timestamp_ms);
		break;
	case 100:
		wire_take_bytes(field, &ack->position);
		break;
	case 101:
		wire_take_uint32(field, &source);
		ack->source = source <= MODEL_SOURCE_AWAY ? (enum model_source)source
							  : MODEL_SOURCE_UNKNOWN;
		break;
	case 102:
		wire_take_int64(field, &ack->source_lag_ms);
		break;
	default:
		break;
	}
	return OK;
}

/* ---- the message ----------------------------------------------------------------------------- */

static enum err parse_delivery(
	struct bytes payload, struct arena *arena, struct wire_streamer_message *message)
{
	uint32_t number;
	enum err err = parse_run(payload, arena, &message->mark, &message->run);
	return err == OK ? wire_oneof(payload, (struct wire_range){.first = 2, .last = 2}, arena,
				   &number, &message->event)
			 : err;
}

/* The payloads of the extensions. */
static enum err parse_extension(uint32_t number, struct bytes payload, struct arena *arena,
	struct wire_streamer_message *message)
{
	switch (number) {
	case 100:
		message->kind = WIRE_STREAMER_WELCOME;
		return wire_welcome_parse(payload, &message->welcome);
	case 101:
		message->kind = WIRE_STREAMER_GAP;
		return wire_gap_parse(payload, arena, &message->gap);
	case 102:
		message->kind = WIRE_STREAMER_BULK_ANSWER;
		return wire_bulk_answer_parse(payload, &message->bulk_answer);
	case 103:
		message->kind = WIRE_STREAMER_UNSUBSCRIBED;
		return wire_unsubscribed_parse(payload, &message->unsubscribed_id);
	case 104:
		message->kind = WIRE_STREAMER_NOTICE;
		return wire_notice_parse(payload, &message->notice);
	case 105:
		message->kind = WIRE_STREAMER_GOING_AWAY;
		return wire_going_away_parse(payload, &message->going_away);
	default:
		return OK;
	}
}

enum err wire_streamer_message_parse(
	struct bytes bytes, struct arena *arena, struct wire_streamer_message *ret_message)
{
	uint32_t number;
	struct bytes payload;
	enum err err =
		wire_oneof(bytes, (struct wire_range){1, 3, 100, 105}, arena, &number, &payload);
	if (err != OK) {
		return err;
	}
	struct wire_streamer_message message = {.kind = WIRE_STREAMER_NOTHING};
	switch (number) {
	case 1:
		message.kind = WIRE_STREAMER_DELIVERY;
		err = parse_delivery(payload, arena, &message);
		break;
	case 2:
		message.kind = WIRE_STREAMER_HEARTBEAT_ACK;
		err = wire_each_field(payload, take_ack, &message.ack);
		break;
	case 3:
		message.kind = WIRE_STREAMER_ANSWER;
		err = wire_answer_parse(payload, &message.answer);
		break;
	default:
		err = parse_extension(number, payload, arena, &message);
		break;
	}
	if (err == OK) {
		*ret_message = message;
	}
	return err;
}
