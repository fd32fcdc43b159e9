/*
 * The core without I/O. Events of calls are queued where they arise and told at the end of input,
 * output and tick, when nghttp2 is not at work, so that an owner may do anything to any call in its
 * callbacks but free the session. Messages are the exception: they are delivered as they come,
 * borrowed from the input.
 */
#include "grpc_priv.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_BYTES_MAX 4194304
#define SEND_BUFFER_BYTES 262144
#define WINDOW_BYTES 1048576
#define CALLS_MAX 100
#define INPUT_SLICE_BYTES 16384 /* answers are taken out between slices */
#define CONTROL_FRAMES_SOFT 64  /* waiting for a peer that does not read: it is not read from */
#define CONTROL_FRAMES_HARD 8192
#define HEADER_BYTES_MAX 16384
#define UNFINISHED_BYTES_MAX 16777216
#define RESETS_PER_SECOND 100
#define RESETS_BURST_SECONDS 5

/* ---- memory ------------------------------------------------------------------------------ */

static void *http_alloc(size_t size, void *ctx)
{
	(void)ctx;
	return mem_alloc(size ? size : 1);
}

static void http_free(void *pointer, void *ctx)
{
	(void)ctx;
	mem_free(pointer);
}

static void *http_calloc(size_t count, size_t size, void *ctx)
{
	(void)ctx;
	return mem_calloc(count ? count : 1, size ? size : 1);
}

static void *http_realloc(void *pointer, size_t size, void *ctx)
{
	(void)ctx;
	return mem_realloc(pointer, size ? size : 1);
}

const nghttp2_mem grpc_memory = {NULL, http_alloc, http_free, http_calloc, http_realloc};

/* ---- events ------------------------------------------------------------------------------ */

void grpc_session_ready(struct grpc_call *call, enum grpc_call_event event)
{
	struct grpc_session *session = call->session;
	if (call->ready == 0) {
		call->next_ready = NULL;
		if (session->ready_last) {
			session->ready_last->next_ready = call;
		} else {
			session->ready_first = call;
		}
		session->ready_last = call;
	}
	call->ready |= event;
}

static void tell(struct grpc_call *call, unsigned ready)
{
	const struct grpc_call_events *events = call->events;
	if (ready & EVENT_RECEIVE) {
		grpc_receive_more(call);
	}
	if ((ready & EVENT_WRITABLE) && call->state == CALL_OPEN) {
		call->wants_room = false;
		if (events && events->writable) {
			events->writable(call->ctx);
		}
	}
	if (ready & EVENT_ENDED) {
		if (events) {
			grpc_alive_served(call->session, false);
			events->ended(call->ctx, call->status, buffer_bytes(&call->text));
		}
		call->events = NULL;
	}
}

/* Tells what is queued; returns whether there was anything. */
static bool tell_all(struct grpc_session *session)
{
	bool any = session->ready_first != NULL;
	while (session->ready_first) {
		struct grpc_call *call = session->ready_first;
		session->ready_first = call->next_ready;
		if (!session->ready_first) {
			session->ready_last = NULL;
		}
		unsigned ready = call->ready;
		call->ready = 0;
		tell(call, ready);
		if (ready & EVENT_ENDED) {
			grpc_call_free(call);
		}
	}
	return any;
}

void grpc_session_wake(struct grpc_session *session)
{
	if (!session->is_inside && session->on_output) {
		session->on_output(session->on_output_ctx);
	}
}

void grpc_session_on_output(struct grpc_session *session, loop_fn fn, void *ctx)
{
	session->on_output = fn;
	session->on_output_ctx = ctx;
}

void grpc_session_broken(struct grpc_session *session, int http_error)
{
	if (!session->failed) {
		session->failed = http_error == NGHTTP2_ERR_NOMEM ? ERR_MEMORY : ERR_INTERNAL;
	}
}

static void complain(
	struct grpc_session *session, enum metric metric, const char *format, va_list arguments)
{
	metrics_add(session->options.metrics, metric, 1);
	session->complaints++;
	if (session->complaint[0] == 0) {
		(void)vsnprintf(session->complaint, sizeof session->complaint, format, arguments);
	}
}

void grpc_session_complain(
	struct grpc_session *session, enum metric metric, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	complain(session, metric, format, arguments);
	va_end(arguments);
}

void grpc_session_give_up(struct grpc_session *session, enum metric metric, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	session->complaint[0] = 0;
	complain(session, metric, format, arguments);
	va_end(arguments);
}

/* The peer asks for too much: what stands ready is still sent, GOAWAY behind it, and nothing is
 * read. */
static void calm_down(struct grpc_session *session)
{
	(void)nghttp2_session_terminate_session(session->http, NGHTTP2_ENHANCE_YOUR_CALM);
	session->failed = ERR_LIMIT;
}

static void calm_flood(struct grpc_session *session)
{
	if (!session->failed) {
		grpc_session_give_up(session, METRIC_grpc_floods,
			"the peer asks and does not read the answers, control_frames_max=%" PRIu32,
			session->options.limits.control_frames_max);
		calm_down(session);
	}
}

/* Each reset pushes the time at which the allowance is whole again; it may lie a burst ahead. */
void grpc_session_count_reset(struct grpc_session *session)
{
	uint32_t per_second = session->options.limits.resets_per_second;
	int64_t cost_us = 1000000 / per_second;
	if (!session->is_server || session->failed) {
		return;
	}
	if (session->resets_full_us < session->now_us) {
		session->resets_full_us = session->now_us;
	}
	session->resets_full_us += cost_us;
	if (session->resets_full_us - session->now_us > INT64_C(1000000) * RESETS_BURST_SECONDS) {
		grpc_session_give_up(session, METRIC_grpc_floods,
			"too many streams are reset, resets_per_second=%" PRIu32 ", %u times that "
			"at once",
			per_second, RESETS_BURST_SECONDS);
		calm_down(session);
	}
}

/* ---- new, free --------------------------------------------------------------------------- */

static int submit_settings(struct grpc_session *session)
{
	uint32_t window = session->options.window_bytes;
	nghttp2_settings_entry entries[] = {
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, session->options.limits.header_bytes_max},
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, session->options.calls_max},
	};
	if (!session->is_server) {
		entries[2] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
	}
	int error = nghttp2_submit_settings(session->http, NGHTTP2_FLAG_NONE, entries, 3);
	if (!error && window > NGHTTP2_INITIAL_CONNECTION_WINDOW_SIZE) {
		error = nghttp2_session_set_local_window_size(
			session->http, NGHTTP2_FLAG_NONE, 0, (int32_t)window);
	}
	return error;
}

static int new_http(struct grpc_session *session, const nghttp2_session_callbacks *callbacks)
{
	nghttp2_option *option = NULL;
	nghttp2_mem memory = grpc_memory;
	int error = nghttp2_option_new(&option);
	if (error) {
		return error;
	}
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_no_closed_streams(option, 1);
	nghttp2_option_set_max_outbound_ack(option, session->options.limits.control_frames_max);
	/* Resets are counted by our clock instead (grpc_session_count_reset). */
	nghttp2_option_set_stream_reset_rate_limit(option, UINT64_MAX, UINT64_MAX);
	error = session->is_server
		? nghttp2_session_server_new3(&session->http, callbacks, session, option, &memory)
		: nghttp2_session_client_new3(&session->http, callbacks, session, option, &memory);
	nghttp2_option_del(option);
	return error;
}

static void complete_limits(struct grpc_limits *limits, uint32_t message_bytes_max)
{
	uint32_t least = message_bytes_max < UINT32_MAX - INPUT_SLICE_BYTES
		? message_bytes_max + INPUT_SLICE_BYTES
		: UINT32_MAX;
	limits->header_bytes_max =
		limits->header_bytes_max ? limits->header_bytes_max : HEADER_BYTES_MAX;
	limits->unfinished_bytes_max =
		limits->unfinished_bytes_max ? limits->unfinished_bytes_max : UNFINISHED_BYTES_MAX;
	limits->unfinished_bytes_max =
		limits->unfinished_bytes_max > least ? limits->unfinished_bytes_max : least;
	limits->control_frames_max =
		limits->control_frames_max ? limits->control_frames_max : CONTROL_FRAMES_HARD;
	limits->resets_per_second =
		limits->resets_per_second ? limits->resets_per_second : RESETS_PER_SECOND;
}

static struct grpc_options complete(const struct grpc_options *options)
{
	struct grpc_options all = *options;
	all.message_bytes_max = all.message_bytes_max ? all.message_bytes_max : MESSAGE_BYTES_MAX;
	all.send_buffer_bytes = all.send_buffer_bytes ? all.send_buffer_bytes : SEND_BUFFER_BYTES;
	all.window_bytes = all.window_bytes ? all.window_bytes : WINDOW_BYTES;
	all.window_bytes = all.window_bytes > INT32_MAX ? INT32_MAX : all.window_bytes;
	all.calls_max = all.calls_max ? all.calls_max : CALLS_MAX;
	all.peer_is = all.peer_is ? all.peer_is : "peer";
	complete_limits(&all.limits, all.message_bytes_max);
	return all;
}

static enum err session_new(
	const struct grpc_options *options, bool is_server, struct grpc_session **ret_session)
{
	nghttp2_session_callbacks *callbacks = NULL;
	struct grpc_session *session = mem_calloc(1, sizeof *session);
	if (!session) {
		return ERR_MEMORY;
	}
	session->is_server = is_server;
	session->options = complete(options);
	session->output.own.keep = 4 * GRPC_OUTPUT_BYTES_MAX;
	session->peer = "";
	session->next_deadline_us = INT64_MAX;
	enum err err = grpc_frames_new(&callbacks);
	if (err) {
		mem_free(session);
		return err;
	}
	int error = new_http(session, callbacks);
	nghttp2_session_callbacks_del(callbacks);
	if (!error) {
		error = submit_settings(session);
	}
	if (error) {
		grpc_session_free(session);
		return error == NGHTTP2_ERR_NOMEM ? ERR_MEMORY : ERR_INTERNAL;
	}
	*ret_session = session;
	return OK;
}

enum err grpc_session_new_server(const struct grpc_options *options, grpc_accept_fn accept,
	void *ctx, struct grpc_session **ret_session)
{
	struct grpc_session *session = NULL;
	enum err err = session_new(options, true, &session);
	if (err) {
		return err;
	}
	session->accept = accept;
	session->ctx = ctx;
	*ret_session = session;
	return OK;
}

enum err grpc_session_new_client(const struct grpc_options *options, const char *authority,
	struct grpc_session **ret_session)
{
	struct grpc_session *session = NULL;
	enum err err = session_new(options, false, &session);
	if (err) {
		return err;
	}
	size_t size = strlen(authority) + 1;
	session->authority = mem_alloc(size);
	if (!session->authority) {
		grpc_session_free(session);
		return ERR_MEMORY;
	}
	memcpy(session->authority, authority, size);
	*ret_session = session;
	return OK;
}

void grpc_session_tell_rest(struct grpc_session *session)
{
	check(!session->is_inside);
	session->is_inside = true;
	session->failed = session->failed ? session->failed : ERR_CLOSED;
	for (struct grpc_call *call = session->calls; call; call = call->next) {
		while (call->paused && grpc_call_hears(call)) {
			call->paused = false;
			grpc_receive_more(call); /* at least a message, or it is paused no more */
		}
	}
	(void)tell_all(session);
	session->is_inside = false;
}

void grpc_session_abandon(struct grpc_session *session, enum grpc_status status, const char *text)
{
	check(!session->is_inside);
	session->is_inside = true;
	session->failed = session->failed ? session->failed : ERR_CLOSED;
	for (struct grpc_call *call = session->calls; call; call = call->next) {
		grpc_call_over(call, status, bytes_of(text));
	}
	(void)tell_all(session);
	session->is_inside = false;
}

void grpc_session_free(struct grpc_session *session)
{
	if (!session) {
		return;
	}
	grpc_session_abandon(session, GRPC_UNAVAILABLE, "the connection is closed");
	nghttp2_session_del(session->http);
	grpc_output_fini(&session->output);
	mem_free(session->authority);
	mem_free(session);
}

/* ---- output ------------------------------------------------------------------------------ */

/* Takes frames from nghttp2 until it has none or a write's worth stands ready. */
static void pump(struct grpc_session *session)
{
	while (!grpc_output_is_full(&session->output)) {
		if (session->failed == ERR_MEMORY) {
			return;
		}
		const uint8_t *data = NULL;
		ssize_t size = nghttp2_session_mem_send(session->http, &data);
		if (size < 0) {
			grpc_session_broken(session, (int)size);
			return;
		}
		if (size == 0) {
			return;
		}
		struct bytes bytes = {(const char *)data, (size_t)size};
		if (grpc_output_put(&session->output, bytes)) {
			grpc_session_broken(session, NGHTTP2_ERR_NOMEM);
			return;
		}
	}
}

enum err grpc_session_pieces(
	struct grpc_session *session, struct iovec *pieces, size_t most, size_t *ret_count)
{
	check(!session->is_inside);
	session->is_inside = true;
	do {
		pump(session);
	} while (tell_all(session) && !grpc_output_is_full(&session->output));
	session->is_inside = false;
	if (session->output.size == 0 && session->failed) {
		return session->failed;
	}
	*ret_count = grpc_output_pieces(&session->output, pieces, most);
	return OK;
}

enum err grpc_session_output(struct grpc_session *session, struct bytes *ret_bytes)
{
	struct iovec piece = {0};
	size_t count = 0;
	enum err err = grpc_session_pieces(session, &piece, 1, &count);
	if (err == OK) {
		*ret_bytes = (struct bytes){piece.iov_base, piece.iov_len};
	}
	return err;
}

void grpc_session_sent(struct grpc_session *session, size_t bytes)
{
	metrics_add(session->options.metrics, METRIC_grpc_bytes_out, (int64_t)bytes);
	grpc_output_sent(&session->output, bytes);
}

/* ---- input ------------------------------------------------------------------------------- */

static void input_slice(struct grpc_session *session, const char *data, size_t size)
{
	ssize_t used = nghttp2_session_mem_recv(session->http, (const uint8_t *)data, size);
	if (used == NGHTTP2_ERR_FLOODED) {
		calm_flood(session);
	} else if (used == NGHTTP2_ERR_NOMEM || session->failed == ERR_MEMORY) {
		grpc_session_broken(session, NGHTTP2_ERR_NOMEM);
	} else if (used < 0) {
		grpc_session_complain(
			session, METRIC_grpc_protocol_errors, "%s", nghttp2_strerror((int)used));
		session->failed = ERR_CORRUPT;
	}
	if (nghttp2_session_get_outbound_queue_size(session->http) >
		session->options.limits.control_frames_max) {
		calm_flood(session);
	}
}

enum err grpc_session_input(struct grpc_session *session, struct bytes bytes, int64_t now_us)
{
	check(!session->is_inside);
	session->is_inside = true;
	session->now_us = now_us;
	metrics_add(session->options.metrics, METRIC_grpc_bytes_in, (int64_t)bytes.size);
	grpc_alive_heard(session);
	for (size_t at = 0; at < bytes.size && !session->failed;) {
		size_t size = bytes.size - at;
		size = size < INPUT_SLICE_BYTES ? size : INPUT_SLICE_BYTES;
		input_slice(session, bytes.data + at, size);
		at += size;
		if (!session->failed) {
			pump(session);
		}
	}
	(void)tell_all(session);
	session->is_inside = false;
	return session->failed;
}

bool grpc_session_is_choked(const struct grpc_session *session)
{
	return session->output.size >= GRPC_OUTPUT_BYTES_MAX &&
		nghttp2_session_get_outbound_queue_size(session->http) > CONTROL_FRAMES_SOFT;
}

bool grpc_session_is_done(const struct grpc_session *session)
{
	if (session->output.size > 0) {
		return false;
	}
	return session->failed ||
		(!session->calls && !nghttp2_session_want_read(session->http) &&
			!nghttp2_session_want_write(session->http));
}

/* ---- time -------------------------------------------------------------------------------- */

void grpc_session_deadline(struct grpc_call *call, int64_t deadline_us)
{
	struct grpc_session *session = call->session;
	call->deadline_us = deadline_us;
	if (deadline_us < session->next_deadline_us) {
		session->next_deadline_us = deadline_us;
	}
}

/* A finished call had until its deadline to be read. */
static void pass_deadline(struct grpc_call *call)
{
	struct grpc_session *session = call->session;
	if (session->is_server && call->sent_end) {
		return;
	}
	if (session->is_server && call->state == CALL_FINISHED) {
		grpc_session_complain(session, METRIC_grpc_calls_cut,
			"%zu bytes of an ended call are not read, linger_ms=%" PRId64,
			grpc_send_unframed(call->send), session->options.limits.linger_us / 1000);
		grpc_call_abort(
			call, GRPC_RESOURCE_EXHAUSTED, bytes_of("the rest was not read in time"));
		return;
	}
	grpc_call_abort(call, GRPC_DEADLINE_EXCEEDED, bytes_of("deadline exceeded"));
}

static void pass_deadlines(struct grpc_session *session)
{
	int64_t next = INT64_MAX;
	for (struct grpc_call *call = session->calls; call; call = call->next) {
		if (call->lingers) {
			int64_t until_us = session->now_us + session->options.limits.linger_us;
			call->lingers = false;
			call->deadline_us =
				until_us < call->deadline_us ? until_us : call->deadline_us;
		}
		if (call->deadline_us <= session->now_us) {
			pass_deadline(call);
		} else if (call->deadline_us < next) {
			next = call->deadline_us;
		}
	}
	session->next_deadline_us = next;
}

int64_t grpc_session_tick(struct grpc_session *session, int64_t now_us)
{
	check(!session->is_inside);
	session->is_inside = true;
	session->now_us = now_us;
	if (now_us >= session->next_deadline_us) {
		pass_deadlines(session);
	}
	(void)tell_all(session);
	int64_t next_us = grpc_alive_tick(session);
	session->is_inside = false;
	return next_us < session->next_deadline_us ? next_us : session->next_deadline_us;
}

/* ---- calls and the end ------------------------------------------------------------------- */

void grpc_session_goaway(struct grpc_session *session)
{
	if (session->is_leaving || session->failed) {
		return;
	}
	session->is_leaving = true;
	int error = nghttp2_submit_goaway(session->http, NGHTTP2_FLAG_NONE,
		nghttp2_session_get_last_proc_stream_id(session->http), NGHTTP2_NO_ERROR, NULL, 0);
	if (error) {
		grpc_session_broken(session, error);
	}
	grpc_session_wake(session);
}

/* The timeout is told by the time of the last input or tick. */
static int32_t submit_request(struct grpc_call *call, const char *method, int64_t deadline_us)
{
	struct grpc_session *session = call->session;
	char timeout[24] = "";
	bool has_deadline = deadline_us != INT64_MAX;
	if (has_deadline) {
		grpc_timeout_print(deadline_us - session->now_us, timeout);
	}
	const nghttp2_nv fields[] = {
		GRPC_FIELD(":method", "POST"),
		GRPC_FIELD(":scheme", "http"),
		GRPC_FIELD(":path", method),
		GRPC_FIELD(":authority", session->authority),
		GRPC_FIELD("te", "trailers"),
		GRPC_FIELD("content-type", "application/grpc"),
		GRPC_FIELD("user-agent", "streamer/" STREAMER_VERSION_TEXT),
		GRPC_FIELD("grpc-accept-encoding", "identity,gzip"),
		GRPC_FIELD("grpc-timeout", timeout),
	};
	size_t count = sizeof fields / sizeof fields[0] - (has_deadline ? 0 : 1);
	return nghttp2_submit_request(
		session->http, NULL, fields, count, &grpc_call_provider, call);
}

enum err grpc_session_call(struct grpc_session *session, const char *method, int64_t deadline_us,
	const struct grpc_call_events *events, void *ctx, struct grpc_call **ret_call)
{
	struct grpc_call *call = NULL;
	if (session->is_server || method[0] != '/') {
		return ERR_INVALID;
	}
	if (session->failed || session->is_leaving ||
		!nghttp2_session_check_request_allowed(session->http)) {
		return ERR_UNAVAILABLE;
	}
	enum err err = grpc_call_new(session, &call);
	if (err) {
		return err;
	}
	grpc_call_set_ctx(call, events, ctx);
	int32_t stream_id = submit_request(call, method, deadline_us);
	if (stream_id < 0) {
		grpc_call_free(call);
		return stream_id == NGHTTP2_ERR_NOMEM ? ERR_MEMORY : ERR_UNAVAILABLE;
	}
	call->stream_id = stream_id;
	call->sent_headers = true;
	if (deadline_us != INT64_MAX) {
		grpc_session_deadline(call, deadline_us);
	}
	*ret_call = call;
	grpc_session_wake(session);
	return OK;
}
