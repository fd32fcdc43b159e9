/*
 * What the files of grpc share. A session is an nghttp2 session with the calls on it; a call
 * outlives its HTTP/2 stream where messages or the end are still to be told, and a stream outlives
 * its call where its last frames are still to be sent. nghttp2 knows a call only as its stream's
 * user data, which is NULL as soon as the call is over, so that neither can dangle.
 */
#ifndef GRPC_PRIV_H
#define GRPC_PRIV_H

#include "grpc.h"

#include <nghttp2/nghttp2.h>

#define GRPC_PREFIX_BYTES 5      /* compressed flag and length before each message */
#define GRPC_TEXT_BYTES_MAX 1024 /* a status message that we send */
#define GRPC_OUTPUT_BYTES_MAX ((size_t)256 * 1024) /* written at a time */

/* A header field for nghttp2, which copies both; needs string.h. */
#define GRPC_FIELD(name, value)                                                                    \
	{                                                                                          \
		(uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, strlen(value),            \
			NGHTTP2_NV_FLAG_NONE                                                       \
	}

/* ---- headers and numbers (header.c, status.c) ------------------------------------------------ */

enum grpc_encoding { GRPC_IDENTITY, GRPC_GZIP, GRPC_UNKNOWN_ENCODING };

/* The fields of one header block that matter to gRPC. Zeroed is valid for grpc_headers_reset. */
struct grpc_headers {
	size_t bytes_max;
	size_t bytes; /* of all fields, as SETTINGS_MAX_HEADER_LIST_SIZE counts them */
	uint32_t http_status;
	bool is_too_large;
	bool is_post;
	bool is_grpc; /* content-type */
	bool has_status;
	bool has_bad_timeout;
	enum grpc_encoding encoding;
	enum grpc_status status;
	int64_t timeout_us; /* -1: none */
	struct buffer path;
	struct buffer text; /* grpc-message, decoded */
};

void grpc_headers_reset(struct grpc_headers *headers, size_t bytes_max); /* also frees */
enum err grpc_headers_take(
	struct grpc_headers *headers, struct bytes name, struct bytes value) MUST_CHECK;

/* Behind `from`: what is no UTF-8 as a whole loses its bytes over 127 to '?'. */
void grpc_text_mend(struct buffer *buffer, size_t from);
/* Percent-encoding of grpc-message. Encoding wants UTF-8 and cuts long texts; decoding mends. */
enum err grpc_text_encode(struct bytes text, struct buffer *buffer) MUST_CHECK;
enum err grpc_text_decode(struct bytes text, struct buffer *buffer) MUST_CHECK;
/* "100m" and the like. ERR_INVALID: not at most 8 digits and a unit. */
enum err grpc_timeout_parse(struct bytes text, int64_t *ret_us) MUST_CHECK;
void grpc_timeout_print(int64_t timeout_us, char text[24]);

enum grpc_status grpc_status_of_number(struct bytes digits);
enum grpc_status grpc_status_of_http(uint32_t http_status);
enum grpc_status grpc_status_of_reset(uint32_t http2_error);

/* ---- a call's bytes on their way out (send.c) ------------------------------------------------ */

/*
 * Contiguous; bytes leave at `start` and come at `end`. Zeroed is empty and valid but for `keep`.
 * The first `framed` bytes stand in the session's output, and stay in order until they are sent.
 */
struct grpc_send {
	char *data;
	size_t start, end, capacity;
	size_t framed;
	size_t seen;            /* output.c's */
	size_t peak;            /* most bytes since it was last empty */
	size_t keep;            /* larger buffers are given back as soon as they are empty */
	unsigned calm;          /* how often in a row it ran empty having been far too large */
	struct grpc_call *call; /* NULL: none, or it has gone */
	struct grpc_lent *lent; /* NULL: the buffer is its own */
};

void grpc_send_fini(struct grpc_send *send);
enum err grpc_send_new(struct grpc_call *call, size_t keep, struct grpc_send **ret_send) MUST_CHECK;
void grpc_send_free(struct grpc_send *send);
size_t grpc_send_size(const struct grpc_send *send);
size_t grpc_send_unframed(const struct grpc_send *send);
/* Forgets what has not been framed. */
void grpc_send_drop(struct grpc_send *send);
/* Its call goes: it is freed now, or when what has been framed is sent. */
void grpc_send_leave(struct grpc_send *send);
/* Room for `size` bytes at data + end. */
enum err grpc_send_reserve(struct grpc_send *send, size_t size) MUST_CHECK;
void grpc_send_add(struct grpc_send *send, size_t size);
/* An empty buffer larger than `keep` is given back at once, one far too large after a while. */
void grpc_send_remove(struct grpc_send *send, size_t size);

/* ---- a session's bytes on their way out (output.c) ------------------------------------------- */

#define GRPC_PIECES_MAX 128

struct grpc_piece {
	struct grpc_send *from; /* NULL: `own` */
	size_t size;
};

struct grpc_output {
	struct grpc_send own;
	struct grpc_piece pieces[GRPC_PIECES_MAX]; /* a ring */
	size_t first, count;
	size_t size; /* of all pieces */
};

bool grpc_output_is_full(const struct grpc_output *output); /* nothing more is to be added */
enum err grpc_output_put(struct grpc_output *output, struct bytes bytes) MUST_CHECK;
/* A DATA frame: its head, and the next bytes of a call's that have not been framed. */
enum err grpc_output_frame(struct grpc_output *output, struct bytes head, struct grpc_send *from,
	size_t size) MUST_CHECK;
/* Where the first bytes are: valid until something is added here or to a call's buffer. */
size_t grpc_output_pieces(struct grpc_output *output, struct iovec *pieces, size_t most);
void grpc_output_sent(struct grpc_output *output, size_t size);
void grpc_output_fini(struct grpc_output *output); /* when all calls have left */

/* ---- call ------------------------------------------------------------------------------------ */

enum grpc_call_state {
	CALL_OPEN,     /* we may send */
	CALL_FINISHED, /* we send what is buffered and no more; a client still receives */
	CALL_OVER,     /* nothing is sent or received, `ended` is due */
};

enum grpc_call_event {
	EVENT_RECEIVE = 1,  /* go on with what came while paused */
	EVENT_WRITABLE = 2, /* tell that there is room */
	EVENT_ENDED = 4,    /* tell the end, and free the call */
};

struct grpc_call {
	struct grpc_session *session;
	struct grpc_call *next, *previous; /* on the session */
	struct grpc_call *next_ready;      /* on the session's queue of events */
	unsigned ready;                    /* of enum grpc_call_event; not 0: it is on that queue */

	const struct grpc_call_events *events; /* NULL: refused before anybody owned it */
	void *ctx;
	enum grpc_call_state state;
	int32_t stream_id;
	bool stream_is_gone; /* nghttp2 has closed it */
	int64_t deadline_us; /* INT64_MAX: none */

	struct grpc_headers headers; /* of the block that is coming in */
	bool has_started;            /* client: response headers are complete */
	enum grpc_encoding encoding; /* of what is received */

	struct buffer in; /* received and not delivered: what follows in_start */
	size_t in_start;
	size_t in_counted; /* of those, what the session's unfinished_bytes know of */
	size_t unconsumed; /* bytes that the stream's window has not been opened for yet */
	bool paused;
	bool peer_is_done; /* END_STREAM came */
	bool told_half_close;

	struct grpc_send *send;
	size_t placed; /* by grpc_call_begin, prefix included */
	bool wants_room;
	bool data_is_deferred; /* nghttp2 waits for nghttp2_session_resume_data */
	bool sent_headers;
	bool sent_end; /* handed to nghttp2, as sent_headers is */
	bool lingers;  /* finished: its deadline is to be set to the end of lingering */

	enum grpc_status status;
	struct buffer text;
};

enum err grpc_call_new(struct grpc_session *session, struct grpc_call **ret_call) MUST_CHECK;
void grpc_call_free(struct grpc_call *call);
void grpc_call_sent(struct grpc_call *call); /* bytes have left its buffer: there may be room */
bool grpc_call_hears(const struct grpc_call *call); /* whether it takes messages, paused or not */
/* `ended` is queued; the stream goes its own way. The first end counts. */
void grpc_call_over(struct grpc_call *call, enum grpc_status status, struct bytes text);
/* The peer's mistake or a lack: a server finishes with that status, a client resets the stream. */
void grpc_call_fail(struct grpc_call *call, enum grpc_status status, const char *text);
/* As grpc_call_cancel; a server's deadline and session use it too. */
void grpc_call_abort(struct grpc_call *call, enum grpc_status status, struct bytes text);
/* An answer that is no gRPC at all, such as 415. */
void grpc_call_refuse_http(struct grpc_call *call, const char *http_status);
extern const nghttp2_data_provider grpc_call_provider;

/* Bytes of the stream's DATA, and its end (message.c). */
void grpc_receive(struct grpc_call *call, struct bytes bytes);
void grpc_receive_end(struct grpc_call *call);
void grpc_receive_more(struct grpc_call *call); /* after a pause */

/* ---- session --------------------------------------------------------------------------------- */

struct grpc_session {
	nghttp2_session *http;
	bool is_server;
	bool is_inside;  /* of one of our own functions: no need to ring on_output */
	bool is_leaving; /* goaway was asked for */
	enum err failed;
	struct grpc_options options; /* with no zeros left */
	grpc_accept_fn accept;
	void *ctx;
	loop_fn on_output;
	void *on_output_ctx;
	char *authority;     /* client */
	const char *peer;    /* for the log; borrowed */
	char complaint[200]; /* the first since the log was told; empty: none */
	unsigned complaints; /* since the log was told */

	struct grpc_call *calls;
	size_t call_count;
	size_t unfinished_bytes; /* received and not delivered, of all calls */
	struct grpc_call *ready_first, *ready_last;

	struct grpc_output output;
	int64_t now_us;
	int64_t next_deadline_us; /* no call's deadline is before it */
	int64_t resets_full_us;   /* when the allowance for resets will be whole again */

	/* alive.c */
	bool is_watched;  /* the times below are set */
	bool is_pinged;   /* a PING is under way since pinged_us */
	size_t served;    /* calls that have an owner */
	int64_t heard_us; /* the peer's last byte */
	int64_t pinged_us;
	int64_t idle_from_us; /* when `served` became 0 */
};

void grpc_session_ready(struct grpc_call *call, enum grpc_call_event event);
void grpc_session_wake(struct grpc_session *session); /* there is something to send or to tell */
/* An error of nghttp2 other than one of the call's: the session is broken. */
void grpc_session_broken(struct grpc_session *session, int http_error);
/* Counts the peer's mistake or excess, and keeps the first for the log: a line now and then. */
void grpc_session_complain(struct grpc_session *session, enum metric metric, const char *format,
	...) PRINTF_LIKE(3, 4);
/* The complaint that ends the session: this one is logged. */
void grpc_session_give_up(struct grpc_session *session, enum metric metric, const char *format, ...)
	PRINTF_LIKE(3, 4);
/* The peer is gone: what it has sent goes to paused calls too, with its status if that has come. */
void grpc_session_tell_rest(struct grpc_session *session);
/* Ends all calls and tells them, without the peer. */
void grpc_session_abandon(struct grpc_session *session, enum grpc_status status, const char *text);
/* The peer asks and does not read the answers: it should not be read from for now. */
bool grpc_session_is_choked(const struct grpc_session *session);
void grpc_session_deadline(struct grpc_call *call, int64_t deadline_us);
/* A stream is reset, by the peer or for its mistake: too many in too short a time end the session.
 */
void grpc_session_count_reset(struct grpc_session *session);

extern const nghttp2_mem grpc_memory; /* base's allocator */

/* ---- whether the peer is there, and of use (alive.c); servers only --------------------------- */

void grpc_alive_heard(struct grpc_session *session);               /* any byte of the peer */
void grpc_alive_served(struct grpc_session *session, bool begins); /* a call begins or ends */
int64_t grpc_alive_tick(struct grpc_session *session); /* may end the session; the next time */

/* ---- link: a session on a loop's connection (link.c) ----------------------------------------- */

/*
 * Bytes go from the connection to the session as they come, and back at the end of the loop's turn.
 * TLS would stand here, between loop_conn and session: `read` would decrypt, `flush` encrypt,
 * nothing else change.
 */
struct grpc_link {
	struct loop *loop;
	struct loop_conn *conn;
	struct loop_timer *timer;
	struct grpc_session *session;
	struct loop_deferred flush;
	bool is_open;        /* the connection can be written to */
	bool is_full;        /* the socket took less than all: `writable` will come */
	bool is_paused;      /* not read from, because the peer does not read */
	bool is_closing;     /* our owner wants it closed */
	bool is_closed;      /* loop_conn_close has been called */
	int64_t timer_us;    /* when the timer fires; INT64_MAX: it is stopped */
	int64_t log_from_us; /* complaints before that wait */
	enum err why;
	void (*opened)(void *ctx);               /* may be NULL */
	void (*closed)(void *ctx, enum err why); /* last; the link's memory is its owner's again */
	void *ctx;
};

extern const struct loop_conn_events
	grpc_link_events; /* for the link's connection, ctx is the link */
/* Takes over `session`, freed on failure. The connection is to be set by the caller next. */
enum err grpc_link_init(
	struct grpc_link *link, struct loop *loop, struct grpc_session *session) MUST_CHECK;
void grpc_link_fini(struct grpc_link *link);
void grpc_link_close(struct grpc_link *link);

/* nghttp2's callbacks (frames.c). */
enum err grpc_frames_new(nghttp2_session_callbacks **ret_callbacks) MUST_CHECK;

#endif
