/*
 * Messages as protobuf-c packs them. For tests that link it (`peers` in tests/unit/meson.build).
 */
#ifndef TEST_PACKED_H
#define TEST_PACKED_H

#include "proto.h"

#include <protobuf-c/protobuf-c.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static inline struct bytes packed(const ProtobufCMessage *message, struct arena *arena)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	char *bytes = arena_alloc(arena, size + 1);
	assert_non_null(bytes);
	assert_int_equal(protobuf_c_message_pack(message, (uint8_t *)bytes), size);
	return (struct bytes){bytes, size};
}

static inline ProtobufCBinaryData binary(struct bytes bytes)
{
	return (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
}

/* The payload of that number, as a whole message. */
static inline struct bytes wrapped(uint32_t number, struct bytes payload, struct arena *arena)
{
	struct buffer message = {0};
	proto_bytes(&message, number, payload);
	struct bytes copy = arena_copy(arena, buffer_bytes(&message));
	assert_non_null(copy.data);
	buffer_fini(&message);
	return copy;
}

/* Frees what was encoded. */
static inline void assert_encoded(struct buffer *encoded, struct bytes wanted)
{
	assert_true(bytes_equal(buffer_bytes(encoded), wanted));
	buffer_fini(encoded);
}

#endif
