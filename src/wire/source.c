/* The Puller's messages (proto/puller.proto): the one that asks, and the one that carries a change.
 */
#include "wire_priv.h"

/* ---- SubscribeRequest ------------------------------------------------------------------------ */

static void put_request(struct wire_writer *writer, const void *message)
{
	const struct wire_puller_request *request = message;
	wire_put_string(writer, 1, request->consumer_id);
	wire_put_string(writer, 2, request->after);
	wire_put_integer(writer, 3, request->coalesce);
}

enum err wire_puller_request_encode(
	struct buffer *buffer, const struct wire_puller_request *request)
{
	return wire_encode(buffer, put_request, request);
}

static enum err take_request(const struct wire_field *field, void *ctx)
{
	struct wire_puller_request *request = ctx;
	switch (field->number) {
	case 1:
		return wire_take_string(field, &request->consumer_id);
	case 2:
		return wire_take_string(field, &request->after);
	case 3:
		wire_take_bool(field, &request->coalesce);
		return OK;
	default:
		return OK;
	}
}

enum err wire_puller_request_parse(struct bytes bytes, struct wire_puller_request *ret_request)
{
	struct wire_puller_request request = {0};
	enum err err = wire_each_field(bytes, take_request, &request);
	if (err == OK) {
		*ret_request = request;
	}
	return err;
}

/* ---- PullerEvent ----------------------------------------------------------------------------- */

static void put_cluster_time(struct wire_writer *writer, const void *message)
{
	const struct model_change *change = message;
	wire_put_integer(writer, 1, change->cluster_seconds);
	wire_put_integer(writer, 2, change->cluster_increment);
}

static void put_change(struct wire_writer *writer, const void *message)
{
	const struct model_change *change = message;
	wire_put_string(writer, 1, change->event_id);
	wire_put_string(writer, 2, change->database);
	wire_put_string(writer, 3, change->store_collection);
	wire_put_string(writer, 4, change->store_id);
	wire_put_string(writer, 5, bytes_of(model_change_kind_name(change->kind)));
	wire_put_bytes(writer, 6, change->full_document);
	wire_put_bytes(writer, 7, change->update);
	if (change->cluster_seconds != 0 || change->cluster_increment != 0) {
		wire_put_message(writer, 8, put_cluster_time, change);
	}
	wire_put_integer(writer, 9, (uint64_t)change->timestamp_ms);
	wire_put_integer(writer, 10, (uint64_t)change->transaction);
	wire_put_string(writer, 11, change->backend);
}

static void put_source_message(struct wire_writer *writer, const void *message)
{
	const struct model_source_message *source = message;
	if (source->has_change) {
		wire_put_message(writer, 1, put_change, &source->change);
	}
	wire_put_string(writer, 2, source->marker);
}

enum err wire_source_message_encode(
	struct buffer *buffer, const struct model_source_message *message)
{
	return wire_encode(buffer, put_source_message, message);
}

static enum err take_cluster_time(const struct wire_field *field, void *ctx)
{
	struct model_change *change = ctx;
	if (field->number == 1) {
		wire_take_uint32(field, &change->cluster_seconds);
	} else if (field->number == 2) {
		wire_take_uint32(field, &change->cluster_increment);
	}
	return OK;
}

static enum err take_kind(const struct wire_field *field, enum model_change_kind *ret_kind)
{
	struct bytes name = bytes_of(model_change_kind_name(*ret_kind));
	enum err err = wire_take_string(field, &name);
	if (err == OK) {
		*ret_kind = model_change_kind_of(name);
	}
	return err;
}

static enum err take_change(const struct wire_field *field, void *ctx)
{
	struct model_change *change = ctx;
	switch (field->number) {
	case 1:
		return wire_take_string(field, &change->event_id);
	case 2:
		return wire_take_string(field, &change->database);
	case 3:
		return wire_take_string(field, &change->store_collection);
	case 4:
		return wire_take_string(field, &change->store_id);
	case 5:
		return take_kind(field, &change->kind);
	case 6:
		wire_take_bytes(field, &change->full_document);
		return OK;
	case 7:
		wire_take_bytes(field, &change->update);
		return OK;
	case 8:
		return wire_each_field(field->bytes, take_cluster_time, change);
	case 9:
		wire_take_int64(field, &change->timestamp_ms);
		return OK;
	case 10:
		wire_take_int64(field, &change->transaction);
		return OK;
	case 11:
		return wire_take_string(field, &change->backend);
	default:
		return OK;
	}
}

static enum err take_source_message(const struct wire_field *field, void *ctx)
{
	struct model_source_message *source = ctx;
	if (field->number == 1 && field->type == WIRE_BYTES) {
		source->has_change = true;
		return wire_each_field(field->bytes, take_change, &source->change);
	}
	return field->number == 2 ? wire_take_string(field, &source->marker) : OK;
}

enum err wire_source_message_parse(struct bytes bytes, struct model_source_message *ret_message)
{
	struct model_source_message message = {0};
	enum err err = wire_each_field(bytes, take_source_message, &message);
	if (err == OK) {
		*ret_message = message;
	}
	return err;
}
