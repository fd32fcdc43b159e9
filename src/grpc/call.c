/*
 * One call: what its owner asks of it, and its way to the end. Nothing here calls the owner back:
 * events are queued on the session, which tells them when it is next given bytes, asked for bytes,
 * or ticked.
 */
#include "grpc_priv.h"

#include <string.h>

/* ---- life -------------------------------------------------------------------------------- */

enum err grpc_call_new(struct grpc_session *session, struct grpc_call **ret_call)
{
	struct grpc_call *call = mem_calloc(1, sizeof *call);
	if (!call) {
		return ERR_MEMORY;
	}
	size_t keep = 2 * (size_t)session->options.send_buffer_bytes + GRPC_PREFIX_BYTES;
	if (grpc_send_new(call, keep, &call->send)) {
		mem_free(call);
		return ERR_MEMORY;
	}
	call->send->lent = session->options.lent;
	call->session = session;
	call->deadline_us = INT64_MAX;
	grpc_headers_reset(&call->headers, session->options.limits.header_bytes_max);
	call->next = session->calls;
	if (session->calls) {
		session->calls->previous = call;
	}
	session->calls = call;
	session->call_count++;
	*ret_call = call;
	return OK;
}

void grpc_call_free(struct grpc_call *call)
{
	struct grpc_session *session = call->session;
	check(call->ready == 0);
	if (call->next) {
		call->next->previous = call->previous;
	}
	if (call->previous) {
		call->previous->next = call->next;
	} else {
		session->calls = call->next;
	}
	session->call_count--;
	session->unfinished_bytes -= call->in_counted;
	grpc_headers_reset(&call->headers, 0);
	grpc_send_leave(call->send);
	buffer_fini(&call->in);
	buffer_fini(&call->text);
	mem_free(call);
}

void grpc_call_set_ctx(struct grpc_call *call, const struct grpc_call_events *events, void *ctx)
{
	call->events = events;
	call->ctx = ctx;
}

const char *grpc_call_peer(const struct grpc_call *call)
{
	return call->session->peer;
}

bool grpc_call_hears(const struct grpc_call *call)
{
	return call->events &&
		(call->state == CALL_OPEN ||
			(call->state == CALL_FINISHED && !call->session->is_server));
}

/* A text that finds no memory is left out. */
static void keep_end(struct grpc_call *call, enum grpc_status status, struct bytes text)
{
	call->status = status;
	call->text.size = 0;
	if (buffer_append(&call->text, text)) {
		call->text.size = 0;
	}
	grpc_text_mend(&call->text, 0);
}

void grpc_call_over(struct grpc_call *call, enum grpc_status status, struct bytes text)
{
	if (call->state == CALL_OVER) {
		return;
	}
	call->state = CALL_OVER;
	call->deadline_us = INT64_MAX;
	if (text.data != call->text.data) {
		keep_end(call, status, text);
	}
	call->status = status;
	if (!call->stream_is_gone) {
		(void)nghttp2_session_set_stream_user_data(
			call->session->http, call->stream_id, NULL);
	}
	grpc_send_drop(call->send);
	call->placed = 0;
	grpc_session_ready(call, EVENT_ENDED);
}

/* ---- the last frames --------------------------------------------------------------------- */

static void reset_stream(struct grpc_call *call, uint32_t http2_error)
{
	if (call->stream_is_gone) {
		return;
	}
	int error = nghttp2_submit_rst_stream(
		call->session->http, NGHTTP2_FLAG_NONE, call->stream_id, http2_error);
	if (error) {
		grpc_session_broken(call->session, error);
	}
}

/* Trailers behind what nghttp2 has been given, or headers and trailers in one if it was given none.
 */
static int submit_end(struct grpc_call *call)
{
	struct buffer text = {0};
	char number[3] = {0};
	number[0] = (char)('0' + call->status / 10);
	number[1] = (char)('0' + call->status % 10);
	const char *digits = call->status < 10 ? number + 1 : number;
	if (grpc_text_encode(buffer_bytes(&call->text), &text) ||
		buffer_append(&text, (struct bytes){"", 1})) {
		buffer_fini(&text);
		return NGHTTP2_ERR_NOMEM;
	}
	nghttp2_nv all[] = {
		GRPC_FIELD(":status", "200"),
		GRPC_FIELD("content-type", "application/grpc"),
		GRPC_FIELD("grpc-accept-encoding", "identity,gzip"),
		GRPC_FIELD("grpc-status", digits),
		GRPC_FIELD("grpc-message", text.data),
	};
	size_t skip = call->sent_headers ? 3 : 0;
	size_t count = 5 - skip - (text.size > 1 ? 0 : 1);
	int error = 0;
	if (call->sent_headers) {
		error = nghttp2_submit_trailer(
			call->session->http, call->stream_id, all + skip, count);
	} else {
		error = nghttp2_submit_response(
			call->session->http, call->stream_id, all, count, NULL);
	}
	buffer_fini(&text);
	call->sent_headers = true;
	call->sent_end = true;
	return error;
}

/* If even the trailers find no memory, a reset tells the peer; if that finds none, the session
 * ends. */
static void send_end(struct grpc_call *call)
{
	if (call->sent_end || call->stream_is_gone) {
		return;
	}
	if (submit_end(call)) {
		reset_stream(call, NGHTTP2_INTERNAL_ERROR);
	}
}

void grpc_call_refuse_http(struct grpc_call *call, const char *http_status)
{
	nghttp2_nv fields[] = {GRPC_FIELD(":status", http_status)};
	call->state = CALL_FINISHED;
	call->sent_headers = true;
	call->sent_end = true;
	int error = nghttp2_submit_response(call->session->http, call->stream_id, fields, 1, NULL);
	if (error) {
		grpc_session_broken(call->session, error);
	}
}

void grpc_call_finish(struct grpc_call *call, enum grpc_status status, const char *text)
{
	if (call->state != CALL_OPEN) {
		return;
	}
	call->state = CALL_FINISHED;
	if (call->session->is_server) {
		keep_end(call, status, bytes_of(text));
		if (grpc_send_unframed(call->send) == 0) {
			send_end(call);
		} else if (call->session->options.limits.linger_us > 0) {
			call->lingers = true;
			call->session->next_deadline_us = INT64_MIN; /* the next tick sees it */
		}
	}
	if (call->data_is_deferred) {
		call->data_is_deferred = false;
		int error = nghttp2_session_resume_data(call->session->http, call->stream_id);
		if (nghttp2_is_fatal(error)) {
			grpc_session_broken(call->session, error);
		}
	}
	grpc_session_wake(call->session);
}

void grpc_call_abort(struct grpc_call *call, enum grpc_status status, struct bytes text)
{
	if (call->state == CALL_OVER) {
		return;
	}
	if (call->session->is_server && status != GRPC_CANCELLED) {
		keep_end(call, status, text);
		send_end(call);
	} else {
		reset_stream(call, NGHTTP2_CANCEL);
	}
	grpc_call_over(call, status, text);
	grpc_session_wake(call->session);
}

void grpc_call_cancel(struct grpc_call *call, enum grpc_status status, const char *text)
{
	grpc_call_abort(call, status, bytes_of(text));
}

void grpc_call_fail(struct grpc_call *call, enum grpc_status status, const char *text)
{
	if (call->session->is_server) {
		grpc_call_finish(call, status, text);
	} else {
		grpc_call_abort(call, status, bytes_of(text));
	}
}

/* ---- receiving --------------------------------------------------------------------------- */

void grpc_call_pause(struct grpc_call *call, bool paused)
{
	if (call->paused == paused) {
		return;
	}
	call->paused = paused;
	if (!paused && call->state != CALL_OVER) {
		grpc_session_ready(call, EVENT_RECEIVE);
		grpc_session_wake(call->session);
	}
}

/* ---- sending ----------------------------------------------------------------------------- */

/* nghttp2 asks how much there is for the next DATA frame; send_data in frames.c puts it in the
 * output. */
/* NOLINTNEXTLINE(readability-function-size): nghttp2 gives the parameters */
static ssize_t read_data(nghttp2_session *http, int32_t stream_id, uint8_t *place, size_t size_max,
	uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
	struct grpc_call *call = nghttp2_session_get_stream_user_data(http, stream_id);
	(void)place;
	(void)source;
	(void)ctx;
	if (!call) {
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	size_t size = grpc_send_unframed(call->send);
	bool is_last = call->state == CALL_FINISHED && size <= size_max;
	if (size == 0 && (!is_last || call->sent_end)) {
		call->data_is_deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags = NGHTTP2_DATA_FLAG_NO_COPY;
	if (is_last) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (!call->session->is_server) {
			call->sent_end = true;
		} else {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			if (!call->sent_end && submit_end(call)) {
				return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
			}
		}
	}
	return (ssize_t)(size < size_max ? size : size_max);
}

const nghttp2_data_provider grpc_call_provider = {.read_callback = read_data};

static enum err send_headers(struct grpc_call *call)
{
	const nghttp2_nv fields[] = {
		GRPC_FIELD(":status", "200"),
		GRPC_FIELD("content-type", "application/grpc"),
		GRPC_FIELD("grpc-accept-encoding", "identity,gzip"),
	};
	int error = nghttp2_submit_response(call->session->http, call->stream_id, fields,
		sizeof fields / sizeof fields[0], &grpc_call_provider);
	if (error) {
		return error == NGHTTP2_ERR_NOMEM ? ERR_MEMORY : ERR_INTERNAL;
	}
	call->sent_headers = true;
	return OK;
}

static bool has_room(const struct grpc_call *call, size_t size)
{
	size_t used = grpc_send_size(call->send);
	size_t most = call->session->options.send_buffer_bytes;
	return used == 0 || (used < most && size <= most - used);
}

enum err grpc_call_begin(struct grpc_call *call, size_t size, char **ret_place)
{
	if (call->state != CALL_OPEN || call->stream_is_gone) {
		return ERR_CLOSED;
	}
	if (size > UINT32_MAX - GRPC_PREFIX_BYTES) {
		return ERR_LIMIT;
	}
	if (!has_room(call, size + GRPC_PREFIX_BYTES)) {
		call->wants_room = true;
		return ERR_FULL;
	}
	enum err err = grpc_send_reserve(call->send, size + GRPC_PREFIX_BYTES);
	if (err) {
		return err;
	}
	if (!call->sent_headers) {
		err = send_headers(call);
		if (err) {
			return err;
		}
	}
	unsigned char *prefix = (unsigned char *)call->send->data + call->send->end;
	prefix[0] = 0;
	prefix[1] = (unsigned char)(size >> 24);
	prefix[2] = (unsigned char)(size >> 16);
	prefix[3] = (unsigned char)(size >> 8);
	prefix[4] = (unsigned char)size;
	call->placed = size + GRPC_PREFIX_BYTES;
	*ret_place = call->send->data + call->send->end + GRPC_PREFIX_BYTES;
	return OK;
}

void grpc_call_commit(struct grpc_call *call)
{
	check(call->placed > 0);
	grpc_send_add(call->send, call->placed);
	call->placed = 0;
	if (call->data_is_deferred) {
		call->data_is_deferred = false;
		int error = nghttp2_session_resume_data(call->session->http, call->stream_id);
		if (nghttp2_is_fatal(error)) {
			grpc_session_broken(call->session, error);
		}
	}
	grpc_session_wake(call->session);
}

enum err grpc_call_send(struct grpc_call *call, struct bytes message)
{
	char *place = NULL;
	enum err err = grpc_call_begin(call, message.size, &place);
	if (err) {
		return err;
	}
	if (message.size > 0) {
		memcpy(place, message.data, message.size);
	}
	grpc_call_commit(call);
	return OK;
}

void grpc_call_ask(struct grpc_call *call)
{
	if (call->state == CALL_OPEN) {
		grpc_session_ready(call, EVENT_WRITABLE);
		grpc_session_wake(call->session);
	}
}

void grpc_call_sent(struct grpc_call *call)
{
	size_t left = grpc_send_size(call->send);
	size_t most = call->session->options.send_buffer_bytes;
	if (left == 0 || (call->wants_room && left <= most / 2)) {
		grpc_session_ready(call, EVENT_WRITABLE);
	}
}

size_t grpc_call_room(const struct grpc_call *call)
{
	size_t used = grpc_send_size(call->send) + GRPC_PREFIX_BYTES;
	size_t most = call->session->options.send_buffer_bytes;
	if (call->state != CALL_OPEN || call->stream_is_gone || used >= most) {
		return 0;
	}
	return most - used;
}

size_t grpc_call_unsent(const struct grpc_call *call)
{
	return grpc_send_size(call->send);
}

size_t grpc_call_unframed(const struct grpc_call *call)
{
	return grpc_send_unframed(call->send);
}
