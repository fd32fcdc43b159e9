/*
 * Protobuf written by hand, field by field and also wrongly, so that a reader is never tested with
 * the writer that it goes with alone. Running out of memory aborts.
 */
#ifndef TEST_PROTO_H
#define TEST_PROTO_H

#include "base.h"

/* The bytes of a literal, NULs included. */
#define RAW(literal) ((struct bytes){(literal), sizeof(literal) - 1})

enum {
	PROTO_VARINT = 0,
	PROTO_FIXED64 = 1,
	PROTO_BYTES = 2,
	PROTO_START = 3,
	PROTO_END = 4,
	PROTO_FIXED32 = 5
};

static inline void proto_raw(struct buffer *message, struct bytes bytes)
{
	check(buffer_append(message, bytes) == OK);
}

static inline void proto_varint(struct buffer *message, uint64_t integer)
{
	char byte = 0;
	for (; integer >= 0x80; integer >>= 7) {
		byte = (char)(0x80U | (integer & 0x7FU));
		proto_raw(message, (struct bytes){&byte, 1});
	}
	byte = (char)integer;
	proto_raw(message, (struct bytes){&byte, 1});
}

static inline void proto_tag(struct buffer *message, uint32_t number, unsigned type)
{
	proto_varint(message, (uint64_t)number << 3 | type);
}

static inline void proto_integer(struct buffer *message, uint32_t number, uint64_t integer)
{
	proto_tag(message, number, PROTO_VARINT);
	proto_varint(message, integer);
}

static inline void proto_fixed(
	struct buffer *message, uint32_t number, uint64_t integer, size_t size)
{
	proto_tag(message, number, size == 8 ? PROTO_FIXED64 : PROTO_FIXED32);
	for (size_t i = 0; i < size; i++) {
		char byte = (char)(integer >> (8 * i) & 0xFFU);
		proto_raw(message, (struct bytes){&byte, 1});
	}
}

static inline void proto_bytes(struct buffer *message, uint32_t number, struct bytes bytes)
{
	proto_tag(message, number, PROTO_BYTES);
	proto_varint(message, bytes.size);
	proto_raw(message, bytes);
}

static inline void proto_text(struct buffer *message, uint32_t number, const char *text)
{
	proto_bytes(message, number, bytes_of(text));
}

/* An embedded message, whose buffer is freed. */
static inline void proto_message(struct buffer *message, uint32_t number, struct buffer *embedded)
{
	proto_bytes(message, number, buffer_bytes(embedded));
	buffer_fini(embedded);
}

/* One of every kind of field that nobody knows, a group with a group in it among them. */
static inline void proto_unknown(struct buffer *message)
{
	proto_integer(message, 900, UINT64_MAX);
	proto_fixed(message, 901, 1, 8);
	proto_text(message, 902, "unknown \xff");
	proto_fixed(message, 903, 1, 4);
	proto_tag(message, 904, PROTO_START);
	proto_text(message, 1, "in a group");
	proto_tag(message, 905, PROTO_START);
	proto_tag(message, 905, PROTO_END);
	proto_tag(message, 904, PROTO_END);
	proto_integer(message, 536870911, 0);
}

#endif
