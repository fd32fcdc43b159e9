/*
 * grpc: calls that carry opaque messages over HTTP/2, client and server.
 * Owns: its sessions and calls; a call lives until its `ended` callback returns.
 * Threads: all on one loop's thread. Several loops may each have sessions of their own.
 * Errors: a peer's mistake ends its call or its connection with a status; lack is
 * RESOURCE_EXHAUSTED. Invariant: each call ends exactly once, with `ended`; no callback follows it.
 *
 * The core (grpc_session) does no I/O: bytes in, bytes out, time as an argument. grpc_server_conn
 * and grpc_client tie a session to a connection of a loop; TLS would stand between the two.
 */
#ifndef GRPC_H
#define GRPC_H

#include "base.h"
#include "loop.h"
#include "metrics.h"

#define GRPC_STATUS_LIST(X)                                                                        \
	X(GRPC_OK, 0, "OK")                                                                        \
	X(GRPC_CANCELLED, 1, "CANCELLED")                                                          \
	X(GRPC_UNKNOWN, 2, "UNKNOWN")                                                              \
	X(GRPC_INVALID_ARGUMENT, 3, "INVALID_ARGUMENT")                                            \
	X(GRPC_DEADLINE_EXCEEDED, 4, "DEADLINE_EXCEEDED")                                          \
	X(GRPC_NOT_FOUND, 5, "NOT_FOUND")                                                          \
	X(GRPC_ALREADY_EXISTS, 6, "ALREADY_EXISTS")                                                \
	X(GRPC_PERMISSION_DENIED, 7, "PERMISSION_DENIED")                                          \
	X(GRPC_RESOURCE_EXHAUSTED, 8, "RESOURCE_EXHAUSTED")                                        \
	X(GRPC_FAILED_PRECONDITION, 9, "FAILED_PRECONDITION")                                      \
	X(GRPC_ABORTED, 10, "ABORTED")                                                             \
	X(GRPC_OUT_OF_RANGE, 11, "OUT_OF_RANGE")                                                   \
	X(GRPC_UNIMPLEMENTED, 12, "UNIMPLEMENTED")                                                 \
	X(GRPC_INTERNAL, 13, "INTERNAL")                                                           \
	X(GRPC_UNAVAILABLE, 14, "UNAVAILABLE")                                                     \
	X(GRPC_DATA_LOSS, 15, "DATA_LOSS")                                                         \
	X(GRPC_UNAUTHENTICATED, 16, "UNAUTHENTICATED")

enum grpc_status {
#define X(name, number, text) name = (number),
	GRPC_STATUS_LIST(X)
#undef X
};

const char *grpc_status_name(enum grpc_status status);
enum grpc_status grpc_status_of(enum err code); /* the one table from our codes to gRPC's */
enum err grpc_err_of(enum grpc_status status);

/* What a server's peer may cost. Times: 0 sets no limit. Beyond one: counted, logged, and ended. */
struct grpc_limits {
	uint32_t header_bytes_max;     /* of one header list. 0: 16 KiB */
	uint32_t unfinished_bytes_max; /* of unfinished messages on a connection, at least one
					  message. 0: 16 MiB */
	uint32_t control_frames_max;   /* that wait for the peer to read them. 0: 8192 */
	uint32_t resets_per_second;    /* of streams, five times as many at once. 0: 100 */
	int64_t ping_us;               /* silence of the peer before it is sent a PING */
	int64_t ping_timeout_us;       /* silence after it: the peer is dead */
	int64_t idle_us;               /* of a connection without a call */
	int64_t linger_us;             /* after a call's end, for the peer to read the rest */
};

/*
 * A buffer that calls are lent, one after the other: from their first message in a turn until the
 * socket has taken all, which for most is the end of the turn. So as many calls as there may be
 * share memory that stays in the processor's caches, and those that are idle have none. Who does
 * not get all away keeps it, and the next one brings another. Zeroed is empty; one thread's.
 */
struct grpc_lent {
	char *data;
	size_t capacity;
};
void grpc_lent_fini(struct grpc_lent *lent); /* when all its sessions are freed */

struct grpc_options {
	uint32_t message_bytes_max; /* larger messages of the peer end their call:
				       RESOURCE_EXHAUSTED */
	uint32_t send_buffer_bytes; /* a call's buffer; grpc_call_room tells what is left. 0: 256
				       KiB */
	uint32_t window_bytes;      /* receive window per stream and connection. 0: 1 MiB */
	uint32_t calls_max;         /* concurrent calls that a server takes. 0: 100 */
	struct grpc_limits limits;  /* servers only */
	bool tells_rest; /* when the peer closes the connection, paused calls are told what it has
			    sent, ahead of `ended` */
	const char *peer_is;     /* what the log calls a peer. NULL: "peer" */
	const struct log *log;   /* NULL: silent */
	struct metrics *metrics; /* NULL: not counted */
	struct grpc_lent *lent;  /* NULL: each call keeps a buffer of its own */
};

struct grpc_call;

/* What a call tells its owner. `ctx` is the call's (grpc_call_set_ctx or grpc_client_call). */
struct grpc_call_events {
	/* One whole message, borrowed for the call. Not called while the call is paused (but see
	 * tells_rest). */
	void (*message)(void *ctx, struct bytes message);
	/* Client: response headers have come (may be late, or never before `ended`). May be NULL.
	 */
	void (*started)(void *ctx);
	/* Server: the peer will send no more (half-close). May be NULL. */
	void (*half_closed)(void *ctx);
	/* There is room again after grpc_call_begin said ERR_FULL, or the buffer has run empty, or
	 * it was asked for. May be NULL. */
	void (*writable)(void *ctx);
	/* The last one. `text` is the status message, UTF-8, borrowed. */
	void (*ended)(void *ctx, enum grpc_status status, struct bytes text);
};

void grpc_call_set_ctx(struct grpc_call *call, const struct grpc_call_events *events, void *ctx);
const char *grpc_call_peer(const struct grpc_call *call);

/*
 * Sending: grpc_call_begin gives the place for a message of exactly `size` bytes, which the caller
 * fills at once, then grpc_call_commit. ERR_FULL: the call's buffer has no room, `writable` tells
 * when (a message larger than the whole buffer is taken when the buffer is empty). ERR_CLOSED: the
 * call is over or half closed. Nothing waits; what is committed leaves at the end of the loop's
 * turn.
 */
enum err grpc_call_begin(struct grpc_call *call, size_t size, char **ret_place) MUST_CHECK;
void grpc_call_commit(struct grpc_call *call);
enum err grpc_call_send(struct grpc_call *call, struct bytes message) MUST_CHECK; /* both in one */
void grpc_call_ask(struct grpc_call *call); /* `writable` at the turn's end, ahead of the write */
size_t grpc_call_room(const struct grpc_call *call);   /* payload bytes that begin would take now */
size_t grpc_call_unsent(const struct grpc_call *call); /* bytes in the buffer */
size_t grpc_call_unframed(const struct grpc_call *call); /* those that stand in no frame yet */

/* Holds the peer back: no messages, and its flow-control window is not opened further. */
void grpc_call_pause(struct grpc_call *call, bool paused);

/* Server: sends what is buffered, then the status, then `ended`. Client: half-closes (status
 * ignored). */
void grpc_call_finish(struct grpc_call *call, enum grpc_status status, const char *text);
/* Ends the call now: RST_STREAM, what is buffered is dropped. `ended` follows with `status` in a
 * later turn. */
void grpc_call_cancel(struct grpc_call *call, enum grpc_status status, const char *text);

/* ---- server ---------------------------------------------------------------------------------- */

/*
 * Called for each call: find the method and answer OK after grpc_call_set_ctx, or a status that
 * ends it at once (GRPC_UNIMPLEMENTED where the method is unknown). `method` is
 * "/package.Service/Method".
 */
typedef enum grpc_status (*grpc_accept_fn)(void *ctx, struct grpc_call *call, struct bytes method);

struct grpc_server_conn;
typedef void (*grpc_conn_closed_fn)(void *ctx, struct grpc_server_conn *conn);

/* Serves HTTP/2 with prior knowledge on an accepted socket (closed on failure). `closed` comes
 * once, last. */
enum err grpc_server_conn_open(struct loop *loop, int socket, const struct grpc_options *options,
	grpc_accept_fn accept, grpc_conn_closed_fn closed, void *ctx,
	struct grpc_server_conn **ret_conn) MUST_CHECK;
const char *grpc_server_conn_peer(const struct grpc_server_conn *conn); /* not in `closed` */
/* GOAWAY now, closes when the last call has ended. */
void grpc_server_conn_drain(struct grpc_server_conn *conn);
void grpc_server_conn_close(
	struct grpc_server_conn *conn); /* at once; calls end CANCELLED, then `closed` */

/* ---- client ---------------------------------------------------------------------------------- */

/* One connection, no reconnecting. */
struct grpc_client;
struct grpc_client_events {
	void (*opened)(void *ctx);               /* the socket is there; calls may be made before */
	void (*closed)(void *ctx, enum err why); /* once, last, after all calls have ended */
};
enum err grpc_client_open(struct loop *loop, const char *address,
	const struct grpc_options *options, const struct grpc_client_events *events, void *ctx,
	struct grpc_client **ret_client) MUST_CHECK;
/* timeout_us 0: none, no grpc-timeout is sent. */
enum err grpc_client_call(struct grpc_client *client, const char *method, int64_t timeout_us,
	const struct grpc_call_events *events, void *ctx, struct grpc_call **ret_call) MUST_CHECK;
void grpc_client_close(struct grpc_client *client); /* calls end CANCELLED, then `closed` */

/* ---- the core, for tests, fuzzing and other transports --------------------------------------- */

struct grpc_session;
enum err grpc_session_new_server(const struct grpc_options *options, grpc_accept_fn accept,
	void *ctx, struct grpc_session **ret_session) MUST_CHECK;
enum err grpc_session_new_client(const struct grpc_options *options, const char *authority,
	struct grpc_session **ret_session) MUST_CHECK;
void grpc_session_free(struct grpc_session *session); /* calls left end with UNAVAILABLE first */
/* Bytes from the peer. An error means the connection must be closed after its output has been sent.
 */
enum err grpc_session_input(
	struct grpc_session *session, struct bytes bytes, int64_t now_us) MUST_CHECK;
/*
 * Bytes for the peer, in at most `most` pieces: valid until the next call on the session or on a
 * call of its. None: nothing to send now; else more may follow when these have been sent.
 */
enum err grpc_session_pieces(struct grpc_session *session, struct iovec *pieces, size_t most,
	size_t *ret_count) MUST_CHECK;
/* The first piece; empty: none. */
enum err grpc_session_output(struct grpc_session *session, struct bytes *ret_bytes) MUST_CHECK;
void grpc_session_sent(
	struct grpc_session *session, size_t bytes); /* that many of them have left */
/* Fires deadlines, looks after the peer; returns when to call again (INT64_MAX: never). */
int64_t grpc_session_tick(struct grpc_session *session, int64_t now_us);
bool grpc_session_is_done(
	const struct grpc_session *session); /* nothing to read or send any more */
enum err grpc_session_call(struct grpc_session *session, const char *method, int64_t deadline_us,
	const struct grpc_call_events *events, void *ctx, struct grpc_call **ret_call) MUST_CHECK;
void grpc_session_goaway(struct grpc_session *session);
/* `fn` is called when there is something new to send outside of grpc_session_input. */
void grpc_session_on_output(struct grpc_session *session, loop_fn fn, void *ctx);

#endif
