/*
 * What the files of the server share: server.c has the connections, session.c what a gateway asks,
 * session_send.c what it gets.
 */
#ifndef REMOTE_SERVER_PRIV_H
#define REMOTE_SERVER_PRIV_H

#include "remote.h"

/* Positions are those of this version of ours, and what others may make of them. */
#define POSITION_BYTES_MAX 256

/* A BulkSubscribe that is being carried out, in slices. */
struct bulk {
	bool is_open;
	uint64_t id;
	struct buffer requests; /* a copy */
	size_t at;              /* bytes of it that are done */
	uint32_t accepted;
	struct buffer refused; /* answers, encoded */
};

/* Requests are read before they are answered, so scratch memory is kept for one message at a time.
 */
struct session {
	struct remote_server *server;
	struct connection *connection;
	struct session *next, *previous;
	struct grpc_call *call; /* NULL once it has ended */
	struct stream *stream;
	void *handle; /* NULL: the stream is closed, the call has only its rest to send */
	struct arena arena;
	struct buffer scratch;      /* an answer, encoded */
	bool has_heard;             /* a message: a Hello is the first or none */
	bool knows_extensions;      /* it has said Hello */
	bool awaits_welcome;        /* nothing is read until it has gone */
	struct bulk bulk;           /* while it is open nothing is read */
	int64_t heard_us;           /* when the last message came */
	uint32_t message_bytes_max; /* that the gateway takes */
	size_t notice_at;           /* bytes of the head notice's ids that have been told */
	size_t split_at; /* bytes of the head delivery's ids that have left in earlier parts */
	/* of the newest delivery or gap that has left whole; empty: none */
	char written[POSITION_BYTES_MAX];
	size_t written_size;
};

struct connection {
	struct connection *next, *previous;
	struct remote_server *server;
	struct grpc_server_conn *conn;
	char gateway[64];
	int64_t log_full_us; /* when its allowance of lines will be whole again */
	unsigned unlogged;   /* lines beyond it */
};

struct remote_server {
	struct loop *loop;
	struct remote_server_options options;
	struct remote_engine engine;
	struct connection *connections;
	struct session *sessions;
	struct loop_timer *leases;
	struct loop_waker *bulks; /* some session has a bulk open */
	size_t connections_count;
	int64_t log_refusal_us; /* refused connections before that are not logged */
	bool draining;
	bool closing;
	loop_fn closed;
	void *closed_ctx;
	struct loop_posted nothing_open;
	struct grpc_lent lent;
};

/* A line about a gateway. One that makes too many of them has the rest only counted. */
void connection_say(struct connection *connection, enum log_level level, const char *format, ...)
	PRINTF_LIKE(3, 4);

/* ---- session.c ---- */

enum grpc_status session_open(void *ctx, struct grpc_call *call, struct bytes method);
void session_on_bulks(void *ctx);  /* of the server's waker */
void session_on_leases(void *ctx); /* of the server's timer */
/* Nothing is read from the call any more, and only what it has buffered is sent: nothing is to
 * queue up behind that. */
void session_close_stream(struct session *session);
/* Reads on if nothing stands against it. */
void session_read_on(struct session *session);

/* ---- session_send.c ---- */

void session_flush(void *ctx);
/* Ends the call; what is stuck in it, if its gateway does not read, is dropped. */
void session_end(struct session *session, enum err why, struct bytes text);

#endif
