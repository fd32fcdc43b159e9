/*
 * HTTP/2 frames by hand, for peers that no proper library would play: written into a buffer, and
 * what a session answers read back as one line per frame.
 */
#ifndef TEST_GRPC_RAW_H
#define TEST_GRPC_RAW_H

#include "grpc_pair.h"

#include <nghttp2/nghttp2.h>

enum {
	FRAME_DATA,
	FRAME_HEADERS,
	FRAME_RST = 3,
	FRAME_SETTINGS,
	FRAME_PING = 6,
	FRAME_GOAWAY,
	FRAME_CONTINUATION = 9
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

/* ---- writing frames ---- */

static inline void add(struct buffer *raw, const void *data, size_t size)
{
	assert_int_equal(buffer_append(raw, (struct bytes){data, size}), OK);
}

static inline void add_u32(struct buffer *raw, uint32_t value)
{
	unsigned char bytes[4] = {(unsigned char)(value >> 24), (unsigned char)(value >> 16),
		(unsigned char)(value >> 8), (unsigned char)value};
	add(raw, bytes, 4);
}

static inline void add_frame(
	struct buffer *raw, unsigned type, unsigned flags, uint32_t stream, struct bytes payload)
{
	unsigned char head[5] = {(unsigned char)(payload.size >> 16),
		(unsigned char)(payload.size >> 8), (unsigned char)payload.size,
		(unsigned char)type, (unsigned char)flags};
	add(raw, head, 5);
	add_u32(raw, stream);
	if (payload.size > 0) {
		add(raw, payload.data, payload.size);
	}
}

static inline void add_preface(struct buffer *raw)
{
	add(raw, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	add_frame(raw, FRAME_SETTINGS, 0, 0, (struct bytes){0});
}

static inline void add_text(struct buffer *raw, const char *text)
{
	size_t size = strlen(text);
	if (size < 127) {
		unsigned char length = (unsigned char)size;
		add(raw, &length, 1);
	} else {
		unsigned char length = 127;
		add(raw, &length, 1);
		for (size -= 127; size >= 128; size /= 128) {
			length = (unsigned char)(size % 128 + 128);
			add(raw, &length, 1);
		}
		length = (unsigned char)size;
		add(raw, &length, 1);
	}
	add(raw, text, strlen(text));
}

/* "name", "value", ..., NULL */
static inline void add_headers(
	struct buffer *raw, unsigned flags, uint32_t stream, const char *const *fields)
{
	struct buffer block = {0};
	for (; *fields; fields += 2) {
		add(&block, "", 1);
		add_text(&block, fields[0]);
		add_text(&block, fields[1]);
	}
	bool is_first = true;
	struct bytes left = buffer_bytes(&block);
	do {
		size_t size = left.size < 16384 ? left.size : 16384;
		add_frame(raw, is_first ? FRAME_HEADERS : FRAME_CONTINUATION,
			(is_first ? flags & END_STREAM : 0) | (size == left.size ? END_HEADERS : 0),
			stream, (struct bytes){left.data, size});
		left.data += size;
		left.size -= size;
		is_first = false;
	} while (left.size > 0);
	buffer_fini(&block);
}

static inline void add_request(
	struct buffer *raw, unsigned flags, uint32_t stream, const char *name, const char *value)
{
	const char *const fields[] = {":method", "POST", ":scheme", "http", ":path",
		"/test.Test/Call", ":authority", "test", "content-type", "application/grpc", name,
		value, NULL};
	add_headers(raw, flags, stream, fields);
}

static inline void add_message(struct buffer *raw, unsigned flags, uint32_t stream,
	unsigned char compressed, struct bytes message)
{
	struct buffer data = {0};
	add(&data, &compressed, 1);
	add_u32(&data, (uint32_t)message.size);
	if (message.size > 0) {
		add(&data, message.data, message.size);
	}
	struct bytes left = buffer_bytes(&data);
	while (left.size > 0) {
		size_t size = left.size < 16384 ? left.size : 16384;
		add_frame(raw, FRAME_DATA, size == left.size ? flags : 0, stream,
			(struct bytes){left.data, size});
		left.data += size;
		left.size -= size;
	}
	buffer_fini(&data);
}

/* ---- reading frames: one line each, "HEADERS 1 end :status=200 ...", "RST 1 8", "GOAWAY 0" --- */

struct reader {
	nghttp2_hd_inflater *inflater;
	struct buffer pending, lines;
};

static inline void read_fields(struct reader *reader, const unsigned char *data, size_t size)
{
	for (;;) {
		nghttp2_nv field;
		int flags = 0;
		ssize_t used =
			nghttp2_hd_inflate_hd2(reader->inflater, &field, &flags, data, size, 1);
		assert_true(used >= 0);
		data += used;
		size -= (size_t)used;
		if (flags & NGHTTP2_HD_INFLATE_EMIT) {
			assert_int_equal(buffer_printf(&reader->lines, " %.*s=%.*s",
						 (int)field.namelen, (const char *)field.name,
						 (int)field.valuelen, (const char *)field.value),
				OK);
		}
		if (flags & NGHTTP2_HD_INFLATE_FINAL) {
			nghttp2_hd_inflate_end_headers(reader->inflater);
			return;
		}
	}
}

static inline void read_frame(struct reader *reader, const unsigned char *head, size_t size)
{
	static const char *const names[] = {"DATA", "HEADERS", "PRIORITY", "RST", "SETTINGS",
		"PUSH", "PING", "GOAWAY", "WINDOW"};
	const unsigned char *data = head + 9;
	unsigned stream = (unsigned)head[7] << 8 | head[8];
	enum err err = buffer_printf(&reader->lines, "%s %u", names[head[3]], stream);
	if (head[3] == FRAME_HEADERS) {
		err = buffer_printf(&reader->lines, "%s", head[4] & END_STREAM ? " end" : "");
		read_fields(reader, data, size);
	} else if (head[3] == FRAME_RST) {
		err = buffer_printf(&reader->lines, " %u", data[3]);
	} else if (head[3] == FRAME_GOAWAY) {
		err = buffer_printf(&reader->lines, " %u", data[7]);
	} else if (head[3] == FRAME_PING) {
		err = buffer_printf(&reader->lines, "%s", head[4] & ACK ? " ack" : "");
	}
	assert_int_equal(err, OK);
	assert_int_equal(buffer_append_text(&reader->lines, "\n"), OK);
}

/* Takes all that the session says; returns the lines so far. */
static inline const char *read_all(struct reader *reader, struct grpc_session *session)
{
	if (!reader->inflater) {
		assert_int_equal(nghttp2_hd_inflate_new(&reader->inflater), 0);
	}
	struct bytes bytes = {0};
	while (!grpc_session_output(session, &bytes) && bytes.size > 0) {
		add(&reader->pending, bytes.data, bytes.size);
		grpc_session_sent(session, bytes.size);
	}
	size_t at =
		reader->pending.size > 3 && memcmp(reader->pending.data, "PRI", 3) == 0 ? 24 : 0;
	while (reader->pending.size - at >= 9) {
		const unsigned char *head = (const unsigned char *)reader->pending.data + at;
		size_t size = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
		if (reader->pending.size - at - 9 < size) {
			break;
		}
		read_frame(reader, head, size);
		at += 9 + size;
	}
	assert_int_equal(at, reader->pending.size);
	reader->pending.size = 0;
	add(&reader->lines, "", 1);
	reader->lines.size--;
	return reader->lines.data;
}

static inline void reader_fini(struct reader *reader)
{
	if (reader->inflater) {
		nghttp2_hd_inflate_del(reader->inflater);
	}
	buffer_fini(&reader->pending);
	buffer_fini(&reader->lines);
}

#endif
