/* What the files of node share. */
#ifndef NODE_PRIV_H
#define NODE_PRIV_H

#include "base.h"
#include "event.h"
#include "ingest.h"
#include "loop.h"
#include "metrics.h"
#include "remote.h"
#include "state.h"
#include "stream.h"
#include "streamer.h"
#include "worker.h"

#include <pthread.h>

enum option {
#define OPTION(name, unit, standard, least, most, help) OPTION_##name,
#include "options.def"
#undef OPTION
	OPTION_COUNT
};

struct streamer;

/* A worker, the loop that it lives on, and its thread if it has one to itself. */
struct node_worker {
	struct streamer *streamer;
	struct loop *loop;
	struct worker *worker;
	struct loop_timer *drain_timer;
	int64_t drain_until_us;
	struct loop_posted drain;  /* to the worker's loop */
	struct loop_posted closed; /* to the main loop */
	pthread_t thread;
	bool has_thread;
	bool owns_loop;
};

/* The stages of an engine's end, each of which the one before leads to. */
enum node_stage { NODE_RUNNING, NODE_STOPPING, NODE_ROUTING, NODE_DRAINING, NODE_CLOSED };

struct streamer {
	struct streamer_options options;
	struct log log;
	struct metrics metrics;
	struct interest *interest;
	struct loop *loop;      /* ingest's and the acceptor's; with one worker its too */
	struct loop *push_loop; /* PUSH: never run, it lends its clock to the caller's thread */
	struct loop_waker *routed_waker;
	struct loop_listener *listener;
	struct ingest *ingest;
	struct state *state;     /* on disk; NULL without a state_dir */
	uint64_t epoch;          /* tells this life of the engine from others */
	struct wire_limits wire; /* of a request */
	struct stream_limits stream_limits;
	struct node_worker *workers;
	size_t workers_count;
	size_t next_worker; /* whose turn the next connection is */
	_Atomic size_t next_stream;
	size_t workers_closed;
	struct loop_posted close; /* to the main loop */
	pthread_t thread;
	bool has_thread;
	enum node_stage stage;     /* main loop's */
	_Atomic bool held;         /* a ring was full: ingest waits */
	_Atomic uint64_t sequence; /* newest event handed to the workers */
	_Atomic uint64_t streams_open;
	int fd; /* eventfd: something has changed */
	char address[128];
};

/* ---- streams --------------------------------------------------------------------------------- */

/* A request on its way to the loop that carries it out: a GatewayMessage. */
struct node_request {
	struct loop_posted posted;
	struct streamer_stream *stream;
	struct buffer message;
};

/* What differs between a stream of this process and one to a Streamer elsewhere. */
struct node_stream_kind {
	void (*request)(struct streamer_stream *stream, struct bytes message); /* loop's thread */
	void (*room)(struct streamer_stream *stream);  /* the consumer has taken an item */
	void (*close)(struct streamer_stream *stream); /* the last call: frees the stream */
};

/* What both begin with: the consumer's end. */
struct streamer_stream {
	const struct node_stream_kind *kind;
	struct loop *loop; /* where requests are carried out */
	struct stream *queue;
	int fd;          /* eventfd: receive should be called */
	bool is_holding; /* that item is still at the queue's head */
	struct streamer_bytes *ids;
	size_t ids_capacity;
};

/* Makes the queue and the descriptor; fini lets the consumer's end go, and the rest. */
enum err node_stream_init(struct streamer_stream *stream, const struct node_stream_kind *kind,
	const struct stream_limits *limits, struct metrics *metrics) MUST_CHECK;
void node_stream_fini(struct streamer_stream *stream);

/* Signals an eventfd; clears it. */
void node_signal(int fd);
void node_clear(int fd);

/* A thread that runs the loop. It sees no signals: they are for the program whose guest we are. */
enum err node_thread_start(struct loop *loop, pthread_t *ret_thread) MUST_CHECK;

/* Copies `info` for the caller, and the code in the public words. */
enum streamer_err node_failure(
	enum err err, const struct err_info *info, struct streamer_failure *failure);

#endif
