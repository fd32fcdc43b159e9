/*
 * Protobuf's primitives. Reading never recurses: groups, which proto3 does not have but old
 * messages may, are skipped with a bounded stack; embedded messages are the caller's.
 */
#include "wire_priv.h"

#include <string.h>

#define GROUP_DEPTH_MAX 64
#define NUMBER_MAX ((UINT32_C(1) << 29) - 1)
#define VARINT_SIZE_MAX 10

/* ---- reading --------------------------------------------------------------------------------- */

static enum err take_varint(struct bytes *rest, uint64_t *ret_integer)
{
	uint64_t integer = 0;
	for (size_t i = 0; i < rest->size && i < VARINT_SIZE_MAX; i++) {
		uint64_t byte = (unsigned char)rest->data[i];
		if (i == VARINT_SIZE_MAX - 1 && byte > 1) {
			return ERR_CORRUPT; /* over 64 bits */
		}
		integer |= (byte & 0x7FU) << (7 * i);
		if (byte < 0x80) {
			rest->data += i + 1;
			rest->size -= i + 1;
			*ret_integer = integer;
			return OK;
		}
	}
	return ERR_CORRUPT;
}

static enum err take_run(struct bytes *rest, uint64_t size, struct bytes *ret_run)
{
	if (size > rest->size) {
		return ERR_CORRUPT;
	}
	*ret_run = (struct bytes){rest->data, (size_t)size};
	rest->data += size;
	rest->size -= (size_t)size;
	return OK;
}

static enum err take_fixed(struct bytes *rest, size_t size, uint64_t *ret_integer)
{
	struct bytes run;
	enum err err = take_run(rest, size, &run);
	if (err != OK) {
		return err;
	}
	uint64_t integer = 0;
	for (size_t i = 0; i < size; i++) {
		integer |= (uint64_t)(unsigned char)run.data[i] << (8 * i);
	}
	*ret_integer = integer;
	return OK;
}

static enum err take_field(struct bytes *rest, struct wire_field *ret_field)
{
	uint64_t tag;
	enum err err = take_varint(rest, &tag);
	if (err != OK) {
		return err;
	}
	struct wire_field field = {.number = (uint32_t)(tag >> 3), .type = tag & 7U};
	if (tag >> 3 == 0 || tag >> 3 > NUMBER_MAX) {
		return ERR_CORRUPT;
	}
	switch (field.type) {
	case WIRE_VARINT:
		err = take_varint(rest, &field.integer);
		break;
	case WIRE_FIXED64:
		err = take_fixed(rest, 8, &field.integer);
		break;
	case WIRE_BYTES:
		err = take_varint(rest, &field.integer);
		if (err == OK) {
			err = take_run(rest, field.integer, &field.bytes);
		}
		break;
	case WIRE_FIXED32:
		err = take_fixed(rest, 4, &field.integer);
		break;
	case WIRE_GROUP:
	case WIRE_GROUP_END:
		break;
	default:
		err = ERR_CORRUPT;
	}
	if (err == OK) {
		*ret_field = field;
	}
	return err;
}

/* Skips to behind the end of the group `number`, whose start has been taken. */
static enum err skip_group(struct bytes *rest, uint32_t number)
{
	uint32_t open[GROUP_DEPTH_MAX] = {number};
	size_t depth = 1;
	while (depth > 0) {
		struct wire_field field;
		enum err err = take_field(rest, &field);
		if (err != OK) {
			return err;
		}
		if (field.type == WIRE_GROUP) {
			if (depth == GROUP_DEPTH_MAX) {
				return ERR_CORRUPT;
			}
			open[depth++] = field.number;
		} else if (field.type == WIRE_GROUP_END && open[--depth] != field.number) {
			return ERR_CORRUPT;
		}
	}
	return OK;
}

enum err wire_field_next(struct bytes *rest, struct wire_field *ret_field)
{
	while (rest->size > 0) {
		struct wire_field field;
		enum err err = take_field(rest, &field);
		if (err != OK) {
			return err;
		}
		if (field.type == WIRE_GROUP_END) {
			return ERR_CORRUPT;
		}
		if (field.type != WIRE_GROUP) {
			*ret_field = field;
			return OK;
		}
		err = skip_group(rest, field.number);
		if (err != OK) {
			return err;
		}
	}
	return ERR_EMPTY;
}

enum err wire_each_field(struct bytes message, wire_take_fn take, void *ctx)
{
	struct wire_field field;
	enum err err = OK;
	while (err == OK) {
		err = wire_field_next(&message, &field);
		if (err == OK) {
			err = take(&field, ctx);
		}
	}
	return err == ERR_EMPTY ? OK : err;
}

enum err wire_take_string(const struct wire_field *field, struct bytes *ret_text)
{
	if (field->type == WIRE_BYTES) {
		if (!bytes_are_utf8(field->bytes)) {
			return ERR_CORRUPT;
		}
		*ret_text = field->bytes;
	}
	return OK;
}

void wire_take_bytes(const struct wire_field *field, struct bytes *ret_bytes)
{
	if (field->type == WIRE_BYTES) {
		*ret_bytes = field->bytes;
	}
}

void wire_take_int64(const struct wire_field *field, int64_t *ret_integer)
{
	if (field->type == WIRE_VARINT) {
		*ret_integer = (int64_t)field->integer;
	}
}

void wire_take_uint32(const struct wire_field *field, uint32_t *ret_integer)
{
	if (field->type == WIRE_VARINT) {
		*ret_integer = (uint32_t)field->integer;
	}
}

void wire_take_bool(const struct wire_field *field, bool *ret_boolean)
{
	if (field->type == WIRE_VARINT) {
		*ret_boolean = field->integer != 0;
	}
}

/* ---- oneof ----------------------------------------------------------------------------------- */

static bool is_member(const struct wire_field *field, struct wire_range numbers)
{
	bool is_first = field->number >= numbers.first && field->number <= numbers.last;
	bool is_extra = field->number >= numbers.extra_first && field->number <= numbers.extra_last;
	return field->type == WIRE_BYTES && (is_first || is_extra);
}

/* Joins the pieces of field `number` in `message`, whose sizes sum up to `size`. */
static enum err join(struct bytes message, uint32_t number, size_t size, struct arena *arena,
	struct bytes *ret_message)
{
	char *place = arena_alloc(arena, size);
	if (!place) {
		return ERR_MEMORY;
	}
	struct wire_writer writer = {.place = place};
	struct wire_field field;
	enum err err;
	while ((err = wire_field_next(&message, &field)) == OK) {
		if (field.type == WIRE_BYTES && field.number == number) {
			wire_put_raw(&writer, field.bytes);
		}
	}
	check(err == ERR_EMPTY && writer.size == size);
	*ret_message = (struct bytes){place, size};
	return OK;
}

enum err wire_oneof(struct bytes message, struct wire_range numbers, struct arena *arena,
	uint32_t *ret_number, struct bytes *ret_message)
{
	struct bytes rest = message;
	struct bytes begin = message; /* from the first piece of the member that is set now */
	struct bytes newest = {NULL, 0};
	uint32_t number = 0;
	size_t pieces = 0;
	size_t size = 0;
	for (;;) {
		struct bytes before = rest;
		struct wire_field field;
		enum err err = wire_field_next(&rest, &field);
		if (err == ERR_EMPTY) {
			break;
		}
		if (err != OK) {
			return err;
		}
		if (!is_member(&field, numbers)) {
			continue;
		}
		if (field.number != number) {
			number = field.number;
			begin = before;
			pieces = 0;
			size = 0;
		}
		newest = field.bytes;
		pieces++;
		size += newest.size;
	}
	if (pieces > 1 && size > newest.size) {
		enum err err = join(begin, number, size, arena, &newest);
		if (err != OK) {
			return err;
		}
	}
	*ret_number = number;
	*ret_message = newest;
	return OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

size_t wire_varint_size(uint64_t integer)
{
	size_t size = 1;
	for (; integer >= 0x80; integer >>= 7) {
		size++;
	}
	return size;
}

void wire_put_varint(struct wire_writer *writer, uint64_t integer)
{
	if (!writer->place) {
		writer->size += wire_varint_size(integer);
		return;
	}
	for (; integer >= 0x80; integer >>= 7) {
		writer->place[writer->size++] = (char)(0x80U | (integer & 0x7FU));
	}
	writer->place[writer->size++] = (char)integer;
}

void wire_put_tag(struct wire_writer *writer, uint32_t number, enum wire_type type)
{
	wire_put_varint(writer, (uint64_t)number << 3 | (uint64_t)type);
}

void wire_put_prefix(struct wire_writer *writer, uint32_t number, size_t size)
{
	wire_put_tag(writer, number, WIRE_BYTES);
	wire_put_varint(writer, size);
}

void wire_put_integer(struct wire_writer *writer, uint32_t number, uint64_t integer)
{
	if (integer != 0) {
		wire_put_tag(writer, number, WIRE_VARINT);
		wire_put_varint(writer, integer);
	}
}

void wire_put_bytes(struct wire_writer *writer, uint32_t number, struct bytes bytes)
{
	if (bytes.size > 0) {
		wire_put_prefix(writer, number, bytes.size);
		wire_put_raw(writer, bytes);
	}
}

void wire_put_string(struct wire_writer *writer, uint32_t number, struct bytes text)
{
	if (!writer->place && !bytes_are_utf8(text)) {
		writer->is_refused = true;
	}
	wire_put_bytes(writer, number, text);
}

void wire_put_text(struct wire_writer *writer, uint32_t number, struct bytes text)
{
	wire_put_bytes(writer, number, (struct bytes){text.data, bytes_utf8_prefix(text)});
}

/* Counting visits each level once; writing counts each level once more before it goes in: nesting
 * costs its depth, not a power of it. */
void wire_put_message(
	struct wire_writer *writer, uint32_t number, wire_put_fn put, const void *message)
{
	struct wire_writer count = {0};
	put(&count, message);
	writer->is_refused = writer->is_refused || count.is_refused;
	wire_put_prefix(writer, number, count.size);
	if (writer->place) {
		put(writer, message);
	} else {
		writer->size += count.size;
	}
}

enum err wire_encode(struct buffer *buffer, wire_put_fn put, const void *message)
{
	struct wire_writer count = {0};
	put(&count, message);
	if (count.is_refused) {
		return ERR_INVALID;
	}
	enum err err = buffer_reserve(buffer, count.size);
	if (err != OK || count.size == 0) {
		return err;
	}
	struct wire_writer writer = {.place = buffer->data + buffer->size};
	put(&writer, message);
	check(writer.size == count.size);
	buffer->size += count.size;
	return OK;
}
