/* What the files of node share. */
#ifndef NODE_PRIV_H
#define NODE_PRIV_H

#include "base.h"
#include "event.h"
#include "ingest.h"
#include "loop.h"
#include "metrics.h"
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
	struct node_worker *workers;
	size_t workers_count;
	size_t next_worker; /* whose turn the next connection is */
	_Atomic size_t next_stream;
	size_t workers_closed;
	pthread_t thread;
	bool has_thread;
	enum node_stage stage;     /* main loop's */
	_Atomic bool held;         /* a ring was full: ingest waits */
	_Atomic uint64_t sequence; /* newest event handed to the workers */
	_Atomic uint64_t streams_open;
	int fd; /* eventfd: something has changed */
	char address[128];
};

/* Signals an eventfd; clears it. */
void node_signal(int fd);
void node_clear(int fd);

/* Copies `info` for the caller, and the code in the public words. */
enum streamer_err node_failure(
	enum err err, const struct err_info *info, struct streamer_failure *failure);

#endif
