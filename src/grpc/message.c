/*
 * Bytes of a stream become messages. A message that lies whole in what came is delivered from
 * there, without a copy; the rest is kept. A length over the limit is refused on its prefix, before
 * anything is kept of it.
 *
 * The stream's window is opened for all that was delivered, and for what is kept of an incomplete
 * message, so that a message may be larger than the window. While the call is paused it is not
 * opened at all. The connection's window is always opened (frames.c), so that a paused call never
 * holds up another one.
 */
#define ZLIB_CONST /* next_in is not written through */
#include "grpc_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define KEPT_CAPACITY_MAX 65536 /* what an empty buffer may keep for the next message */

/* ---- gzip -------------------------------------------------------------------------------- */

static voidpf inflate_alloc(voidpf ctx, uInt count, uInt size)
{
	(void)ctx;
	return mem_calloc(count, size);
}

static void inflate_free(voidpf ctx, voidpf pointer)
{
	(void)ctx;
	mem_free(pointer);
}

/* Inflates to at most most + 1 bytes. ERR_LIMIT: there would be more than `most`. */
static enum err inflate_into(z_stream *stream, size_t most, struct buffer *plain)
{
	for (;;) {
		size_t more = plain->size < 1024 ? 4096 : plain->size;
		if (more > most + 1 - plain->size) {
			more = most + 1 - plain->size;
		}
		enum err err = buffer_reserve(plain, more);
		if (err) {
			return err;
		}
		stream->next_out = (Bytef *)plain->data + plain->size;
		stream->avail_out = (uInt)more;
		int result = inflate(stream, Z_NO_FLUSH);
		plain->size += more - stream->avail_out;
		if (result == Z_MEM_ERROR) {
			return ERR_MEMORY;
		}
		if (plain->size > most) {
			return ERR_LIMIT;
		}
		if (result == Z_STREAM_END) {
			return stream->avail_in == 0 ? OK : ERR_CORRUPT;
		}
		if (result != Z_OK || stream->avail_out > 0) {
			return ERR_CORRUPT;
		}
	}
}

static enum err gunzip(struct bytes packed, size_t most, struct buffer *plain)
{
	z_stream stream = {.zalloc = inflate_alloc, .zfree = inflate_free};
	if (packed.size > UINT32_MAX) {
		return ERR_LIMIT;
	}
	if (inflateInit2(&stream, 15 + 16) != Z_OK) {
		return ERR_MEMORY;
	}
	stream.next_in = (const Bytef *)packed.data;
	stream.avail_in = (uInt)packed.size;
	enum err err = inflate_into(&stream, most, plain);
	(void)inflateEnd(&stream);
	return err;
}

static void complain(struct grpc_session *session, const char *what)
{
	grpc_session_complain(session, METRIC_grpc_protocol_errors, "%s", what);
}

static void fail_too_large(struct grpc_call *call, const char *what, uint64_t size)
{
	char text[160];
	uint32_t most = call->session->options.message_bytes_max;
	(void)snprintf(text, sizeof text,
		"grpc: received message%s larger than max (%" PRIu64 " vs. %" PRIu32 ")", what,
		size, most);
	grpc_session_complain(call->session, METRIC_grpc_messages_too_large,
		"a message of %" PRIu64 " bytes, message_bytes_max=%" PRIu32, size, most);
	grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED, text);
}

static void deliver_packed(struct grpc_call *call, struct bytes packed)
{
	struct buffer plain = {0};
	size_t most = call->session->options.message_bytes_max;
	enum err err = gunzip(packed, most, &plain);
	if (err == ERR_LIMIT) {
		fail_too_large(call, " after decompression", plain.size);
	} else if (err == ERR_MEMORY) {
		grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED, "grpc: out of memory");
	} else if (err) {
		complain(call->session, "a message is no valid gzip");
		grpc_call_fail(call, GRPC_INTERNAL, "grpc: failed to decompress the message");
	} else {
		call->events->message(call->ctx, buffer_bytes(&plain));
	}
	buffer_fini(&plain);
}

/* ---- framing ----------------------------------------------------------------------------- */

struct prefix {
	unsigned flag;
	uint32_t size;
};

static struct prefix read_prefix(const char *data)
{
	const unsigned char *at = (const unsigned char *)data;
	uint32_t size =
		(uint32_t)at[1] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 8 | at[4];
	return (struct prefix){at[0], size};
}

/* Whether the message may come; if not, the call has been failed. */
static bool admit(struct grpc_call *call, struct prefix prefix)
{
	if (prefix.size > call->session->options.message_bytes_max) {
		fail_too_large(call, "", prefix.size);
		return false;
	}
	if (prefix.flag == 0 || (prefix.flag == 1 && call->encoding == GRPC_GZIP)) {
		return true;
	}
	if (prefix.flag > 1) {
		complain(call->session, "unknown flags before a message");
		grpc_call_fail(call, GRPC_INTERNAL, "grpc: received unexpected payload format");
	} else if (call->encoding == GRPC_IDENTITY) {
		complain(call->session, "compressed message without grpc-encoding");
		grpc_call_fail(call, GRPC_INTERNAL,
			"grpc: compressed flag set with identity or empty encoding");
	} else {
		grpc_call_fail(call, call->session->is_server ? GRPC_UNIMPLEMENTED : GRPC_INTERNAL,
			"grpc: message encoding is not supported, only identity and gzip are");
	}
	return false;
}

/* Delivers whole messages while they are wanted; returns how many bytes they were. */
static size_t deliver(struct grpc_call *call, struct bytes bytes)
{
	size_t at = 0;
	while (grpc_call_hears(call) && !call->paused && bytes.size - at >= GRPC_PREFIX_BYTES) {
		struct prefix prefix = read_prefix(bytes.data + at);
		if (!admit(call, prefix)) {
			break;
		}
		if (bytes.size - at - GRPC_PREFIX_BYTES < prefix.size) {
			break;
		}
		struct bytes message = {bytes.data + at + GRPC_PREFIX_BYTES, prefix.size};
		at += GRPC_PREFIX_BYTES + prefix.size;
		if (prefix.flag == 1) {
			deliver_packed(call, message);
		} else {
			call->events->message(call->ctx, message);
		}
	}
	return at;
}

static size_t kept(const struct grpc_call *call)
{
	return call->in.size - call->in_start;
}

static void drop_kept(struct grpc_call *call)
{
	call->in.size = 0;
	call->in_start = 0;
	if (call->in.capacity > KEPT_CAPACITY_MAX) {
		buffer_fini(&call->in);
	}
}

static void count_kept(struct grpc_call *call)
{
	call->session->unfinished_bytes += kept(call);
	call->session->unfinished_bytes -= call->in_counted;
	call->in_counted = kept(call);
}

/* Opens the stream's window for all but what waits for the end of a pause. */
static void consume(struct grpc_call *call)
{
	size_t waiting = call->paused && grpc_call_hears(call) ? kept(call) : 0;
	if (call->unconsumed <= waiting || call->stream_is_gone) {
		return;
	}
	size_t size = call->unconsumed - waiting;
	call->unconsumed = waiting;
	int error = nghttp2_session_consume_stream(call->session->http, call->stream_id, size);
	if (error) {
		grpc_session_broken(call->session, error);
	}
}

static void deliver_kept(struct grpc_call *call)
{
	if (kept(call) > 0) {
		struct bytes bytes = {call->in.data + call->in_start, kept(call)};
		call->in_start += deliver(call, bytes);
	}
	if (kept(call) == 0 || !grpc_call_hears(call)) {
		drop_kept(call);
	}
}

/* What stands before in_start is moved over only once it is half of the buffer. */
static enum err keep(struct grpc_call *call, struct bytes bytes)
{
	if (call->in_start > 0 && call->in_start >= kept(call)) {
		size_t size = kept(call);
		memmove(call->in.data, call->in.data + call->in_start, size);
		call->in.size = size;
		call->in_start = 0;
	}
	return buffer_append(&call->in, bytes);
}

/* Whether the connection may hold so many bytes more; if not, the call has been failed. */
static bool admit_unfinished(struct grpc_call *call, size_t more)
{
	struct grpc_session *session = call->session;
	size_t most = session->options.limits.unfinished_bytes_max;
	if (!session->is_server || session->unfinished_bytes + more <= most) {
		return true;
	}
	grpc_session_complain(session, METRIC_grpc_messages_unfinished,
		"unfinished messages of %zu bytes, unfinished_bytes_max=%zu",
		session->unfinished_bytes + more, most);
	grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED,
		"grpc: too many bytes of unfinished messages on one connection");
	return false;
}

void grpc_receive(struct grpc_call *call, struct bytes bytes)
{
	call->unconsumed += bytes.size;
	if (kept(call) == 0 && !call->paused) {
		size_t used = deliver(call, bytes);
		bytes.data += used;
		bytes.size -= used;
	}
	if (bytes.size > 0 && grpc_call_hears(call) && admit_unfinished(call, bytes.size)) {
		if (keep(call, bytes)) {
			grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED, "grpc: out of memory");
		} else {
			deliver_kept(call);
		}
	}
	if (!grpc_call_hears(call)) {
		drop_kept(call);
	}
	count_kept(call);
	consume(call);
}

void grpc_receive_more(struct grpc_call *call)
{
	if (call->paused || call->state == CALL_OVER) {
		return;
	}
	deliver_kept(call);
	count_kept(call);
	consume(call);
	if (call->peer_is_done) {
		grpc_receive_end(call);
	}
}

/* A server's peer has half-closed: told once, behind its last message. */
static void half_close(struct grpc_call *call)
{
	if (call->told_half_close || !grpc_call_hears(call)) {
		return;
	}
	call->told_half_close = true;
	if (kept(call) > 0) {
		complain(call->session, "the stream ends within a message");
		grpc_call_fail(call, GRPC_INTERNAL, "grpc: the stream ends within a message");
	} else if (call->events->half_closed) {
		call->events->half_closed(call->ctx);
	}
}

/* A client's peer has said its status, which may be that it said none. */
static void end(struct grpc_call *call)
{
	struct grpc_headers *headers = &call->headers;
	if (!call->stream_is_gone && !call->sent_end) {
		int error = nghttp2_submit_rst_stream(
			call->session->http, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_NO_ERROR);
		if (error) {
			grpc_session_broken(call->session, error);
		}
	}
	if (!headers->has_status) {
		grpc_call_over(call, GRPC_UNKNOWN, bytes_of("grpc: the peer sent no status"));
	} else if (headers->status == GRPC_OK && kept(call) > 0) {
		grpc_call_over(
			call, GRPC_INTERNAL, bytes_of("grpc: the stream ends within a message"));
	} else {
		grpc_call_over(call, headers->status, buffer_bytes(&headers->text));
	}
}

/* Nothing more will come. It is told now, or when the pause is over and all messages are delivered.
 */
void grpc_receive_end(struct grpc_call *call)
{
	call->peer_is_done = true;
	if (call->state != CALL_OVER && !call->paused && kept(call) > 0) {
		deliver_kept(call); /* a pause is over, which has not been seen to yet */
		count_kept(call);
		consume(call);
	}
	if (call->state == CALL_OVER || (call->paused && kept(call) > 0)) {
		return;
	}
	if (call->session->is_server) {
		half_close(call);
	} else {
		end(call);
	}
}
