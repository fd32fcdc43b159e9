/*
 * nghttp2's callbacks: frames become events of calls. They run inside grpc_session_input and
 * grpc_session_output only, and find a call as its stream's user data, which is NULL for streams
 * whose call is over: those are read to their end and forgotten.
 */
#include "grpc_priv.h"

#include <stdio.h>
#include <string.h>

static struct grpc_call *call_of(nghttp2_session *http, int32_t stream_id)
{
	return stream_id > 0 ? nghttp2_session_get_stream_user_data(http, stream_id) : NULL;
}

/* ---- headers ----------------------------------------------------------------------------- */

static int begin_headers(nghttp2_session *http, const nghttp2_frame *frame, void *ctx)
{
	struct grpc_session *session = ctx;
	int32_t stream_id = frame->hd.stream_id;
	struct grpc_call *call = call_of(http, stream_id);
	if (frame->hd.type != NGHTTP2_HEADERS) {
		return 0;
	}
	if (session->is_server && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		if (grpc_call_new(session, &call)) {
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
		}
		call->stream_id = stream_id;
		(void)nghttp2_session_set_stream_user_data(http, stream_id, call);
	}
	if (call) {
		grpc_headers_reset(&call->headers, session->options.limits.header_bytes_max);
	}
	return 0;
}

/* NOLINTNEXTLINE(readability-function-size): nghttp2 gives the parameters */
static int take_header(nghttp2_session *http, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags, void *ctx)
{
	struct grpc_call *call = call_of(http, frame->hd.stream_id);
	(void)flags;
	(void)ctx;
	if (!call) {
		return 0;
	}
	enum err err =
		grpc_headers_take(&call->headers, (struct bytes){(const char *)name, name_size},
			(struct bytes){(const char *)value, value_size});
	return err ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
}

static void complain(struct grpc_session *session, const char *what)
{
	grpc_session_complain(session, METRIC_grpc_protocol_errors, "%s", what);
}

static void complain_headers(struct grpc_session *session, const struct grpc_headers *headers)
{
	grpc_session_complain(session, METRIC_grpc_headers_too_large,
		"headers of %zu bytes, header_bytes_max=%zu", headers->bytes, headers->bytes_max);
}

static void accept_call(struct grpc_call *call)
{
	struct grpc_session *session = call->session;
	struct bytes method = buffer_bytes(&call->headers.path);
	enum grpc_status status = session->accept(session->ctx, call, method);
	if (status != GRPC_OK) {
		char text[200];
		(void)snprintf(text, sizeof text, "%s %.*s",
			status == GRPC_UNIMPLEMENTED ? "unknown method" : "refused:",
			(int)(method.size < 150 ? method.size : 150), method.data);
		call->events = NULL;
		grpc_call_finish(call, status, text);
		return;
	}
	check(call->events);
	grpc_alive_served(session, true);
}

/* A request's headers are complete: it is a call of ours, or it is answered here. */
static void take_request(struct grpc_call *call)
{
	struct grpc_session *session = call->session;
	struct grpc_headers *headers = &call->headers;
	metrics_add(session->options.metrics, METRIC_grpc_calls, 1);
	call->encoding = headers->encoding;
	if (headers->is_too_large) {
		complain_headers(session, headers);
		grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, "grpc: headers are too large");
	} else if (!headers->is_post) {
		complain(session, "a request is no POST");
		grpc_call_refuse_http(call, "405");
	} else if (!headers->is_grpc) {
		complain(session, "a request's content-type is not gRPC's");
		grpc_call_refuse_http(call, "415");
	} else if (headers->has_bad_timeout) {
		complain(session, "malformed grpc-timeout");
		grpc_call_finish(call, GRPC_INTERNAL, "grpc: malformed grpc-timeout");
	} else {
		if (headers->timeout_us >= 0) {
			grpc_session_deadline(call, session->now_us + headers->timeout_us);
		}
		accept_call(call);
	}
	buffer_fini(&headers->path);
}

static void fail_response(struct grpc_call *call)
{
	char text[80];
	uint32_t http_status = call->headers.http_status;
	(void)snprintf(text, sizeof text, "grpc: the answer is not gRPC's, HTTP status %u",
		(unsigned)http_status);
	complain(call->session, "an answer is not gRPC's");
	grpc_call_abort(call, grpc_status_of_http(http_status), bytes_of(text));
}

/* Response headers, or headers and trailers in one. */
static void take_response(struct grpc_call *call, bool is_last)
{
	struct grpc_headers *headers = &call->headers;
	if (headers->http_status / 100 == 1) {
		return; /* informational: the response is still to come */
	}
	call->has_started = true;
	call->encoding = headers->encoding;
	if (is_last && headers->has_status) {
		return;
	}
	if (headers->http_status != 200 || !headers->is_grpc) {
		fail_response(call);
	} else if (call->events->started && !is_last && call->state != CALL_OVER) {
		call->events->started(call->ctx);
	}
}

static void take_headers(struct grpc_call *call, const nghttp2_frame *frame)
{
	bool is_last = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	if (call->session->is_server) {
		if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
			take_request(call);
		}
	} else if (call->headers.is_too_large) {
		complain_headers(call->session, &call->headers);
		grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED, "grpc: headers are too large");
	} else if (!call->has_started) {
		take_response(call, is_last);
	}
}

/* ---- frames from the peer ---------------------------------------------------------------- */

/* Calls that the peer will not serve, or that nghttp2 has not sent and no longer may, are over. */
static void take_goaway(struct grpc_session *session, int32_t last_stream_id)
{
	struct bytes text = bytes_of("the peer is going away");
	for (struct grpc_call *call = session->calls; call; call = call->next) {
		if (call->state == CALL_OVER || call->stream_is_gone) {
			continue;
		}
		if (!nghttp2_session_find_stream(session->http, call->stream_id)) {
			(void)nghttp2_submit_rst_stream(session->http, NGHTTP2_FLAG_NONE,
				call->stream_id, NGHTTP2_CANCEL); /* takes it off the queue */
			grpc_call_over(call, GRPC_UNAVAILABLE, text);
		} else if (call->stream_id > last_stream_id) {
			grpc_call_over(call, GRPC_UNAVAILABLE, text);
		}
	}
}

static int take_frame(nghttp2_session *http, const nghttp2_frame *frame, void *ctx)
{
	struct grpc_session *session = ctx;
	struct grpc_call *call = call_of(http, frame->hd.stream_id);
	if (frame->hd.type == NGHTTP2_RST_STREAM) {
		grpc_session_count_reset(session);
	}
	if (frame->hd.type == NGHTTP2_GOAWAY && !session->is_server) {
		take_goaway(session, frame->goaway.last_stream_id);
		return 0;
	}
	if (!call || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)) {
		return 0;
	}
	if (frame->hd.type == NGHTTP2_HEADERS) {
		take_headers(call, frame);
	}
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
		grpc_receive_end(call);
	}
	return session->failed == ERR_MEMORY ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int take_data(nghttp2_session *http, uint8_t flags, int32_t stream_id, const uint8_t *data,
	size_t size, void *ctx)
{
	struct grpc_session *session = ctx;
	struct grpc_call *call = call_of(http, stream_id);
	(void)flags;
	int error = nghttp2_session_consume_connection(http, size);
	if (!error && !call) {
		error = nghttp2_session_consume_stream(http, stream_id, size);
	}
	if (error) {
		grpc_session_broken(session, error);
	} else if (call) {
		grpc_receive(call, (struct bytes){(const char *)data, size});
	}
	return session->failed == ERR_MEMORY ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int refuse_frame(nghttp2_session *http, const nghttp2_frame *frame, int error, void *ctx)
{
	struct grpc_session *session = ctx;
	(void)http;
	bool is_request = frame->hd.type == NGHTTP2_HEADERS &&
		frame->headers.cat == NGHTTP2_HCAT_REQUEST &&
		session->call_count >= session->options.calls_max;
	if (error == NGHTTP2_ERR_REFUSED_STREAM || (is_request && error == NGHTTP2_ERR_PROTO)) {
		grpc_session_complain(session, METRIC_grpc_calls_refused,
			"a call too many, calls_max=%u", (unsigned)session->options.calls_max);
	} else {
		complain(session, nghttp2_strerror(error));
	}
	grpc_session_count_reset(session);
	return 0;
}

static int close_stream(nghttp2_session *http, int32_t stream_id, uint32_t http2_error, void *ctx)
{
	struct grpc_session *session = ctx;
	struct grpc_call *call = call_of(http, stream_id);
	if (!call) {
		return 0;
	}
	call->stream_is_gone = true;
	if (call->state == CALL_FINISHED && session->is_server && http2_error == NGHTTP2_NO_ERROR) {
		grpc_call_over(call, call->status, buffer_bytes(&call->text));
	} else if (session->is_server) {
		grpc_call_over(call, GRPC_CANCELLED, bytes_of("the peer has reset the stream"));
	} else if (!call->peer_is_done) {
		char text[80];
		(void)snprintf(text, sizeof text, "the peer has reset the stream: %s",
			nghttp2_http2_strerror(http2_error));
		grpc_call_over(call, grpc_status_of_reset(http2_error), bytes_of(text));
	}
	return 0;
}

/* ---- frames to the peer ------------------------------------------------------------------ */

/* DATA stands in the output behind what nghttp2 has given before. */
static int send_data(nghttp2_session *http, nghttp2_frame *frame, const uint8_t *prefix,
	size_t size, nghttp2_data_source *source, void *ctx)
{
	struct grpc_session *session = ctx;
	struct grpc_call *call = call_of(http, frame->hd.stream_id);
	const size_t prefix_size = 9;
	(void)source;
	if (!call || grpc_send_unframed(call->send) < size) {
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	struct bytes head = {(const char *)prefix, prefix_size};
	if (grpc_output_frame(&session->output, head, call->send, size)) {
		grpc_session_broken(session, NGHTTP2_ERR_NOMEM);
		return NGHTTP2_ERR_WOULDBLOCK;
	}
	grpc_call_sent(call);
	return grpc_output_is_full(&session->output) ? NGHTTP2_ERR_PAUSE : 0;
}

/* Behind its trailers a server wants nothing more of the stream. A GOAWAY with an error is the end.
 */
static int sent_frame(nghttp2_session *http, const nghttp2_frame *frame, void *ctx)
{
	struct grpc_session *session = ctx;
	int32_t stream_id = frame->hd.stream_id;
	if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
		if (!session->failed) {
			complain(session, nghttp2_http2_strerror(frame->goaway.error_code));
			session->failed = ERR_CORRUPT;
		}
	}
	if (session->is_server && frame->hd.type == NGHTTP2_HEADERS &&
		(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
		nghttp2_session_get_stream_remote_close(http, stream_id) == 0) {
		return nghttp2_submit_rst_stream(
			http, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_NO_ERROR);
	}
	return 0;
}

/* A request that nghttp2 had queued can no longer be sent, because the peer has said GOAWAY. */
static int unsent_frame(nghttp2_session *http, const nghttp2_frame *frame, int error, void *ctx)
{
	struct grpc_session *session = ctx;
	(void)http;
	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
		return 0;
	}
	for (struct grpc_call *call = session->calls; call; call = call->next) {
		if (call->stream_id == frame->hd.stream_id && call->state != CALL_OVER) {
			call->stream_is_gone = true;
			grpc_call_over(call, GRPC_UNAVAILABLE, bytes_of(nghttp2_strerror(error)));
		}
	}
	return 0;
}

enum err grpc_frames_new(nghttp2_session_callbacks **ret_callbacks)
{
	nghttp2_session_callbacks *callbacks = NULL;
	if (nghttp2_session_callbacks_new(&callbacks)) {
		return ERR_MEMORY;
	}
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, take_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, take_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, take_data);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, refuse_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, close_stream);
	nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, sent_frame);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, unsent_frame);
	*ret_callbacks = callbacks;
	return OK;
}
