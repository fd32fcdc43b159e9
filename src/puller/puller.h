/*
 * puller: a PullerService over a sequence of changes, for replay, tests and demonstrations.
 * Owns: its listener, connections and the changes that it has read, kept for resume.
 * Threads: its loop's.
 * Errors: a bad marker is INVALID_ARGUMENT to that subscriber; a bad line stops the start, with its
 * number. Invariant: every subscriber sees the changes in order, each with the marker that includes
 * it.
 */
#ifndef PULLER_H
#define PULLER_H

#include "base.h"
#include "loop.h"
#include "metrics.h"
#include "model.h"

/*
 * Where changes come from when not from a file: called when a live subscriber can take more. OK
 * with a message whose bytes live until the next call; ERR_EMPTY: none now, puller_more will be
 * called; ERR_CLOSED: no more ever. `sent` (may be NULL) is told when the change has gone into the
 * call's buffer.
 */
struct puller_source {
	enum err (*next)(void *ctx, struct model_source_message *ret_message);
	void (*sent)(void *ctx, struct bytes event_id);
	void *ctx;
};

struct puller_options {
	const char *listen_address; /* "localhost:9000" */
	const char *path;           /* NDJSON of changes, "-" for stdin; NULL: `source` */
	const struct puller_source *source;
	double rate; /* changes a second to each subscriber; 0: as fast as they are taken */
	bool loop;   /* start again at the end, with new cluster times and event ids */
	int64_t heartbeat_us; /* 0: 30 s */
	const char *backend; /* name in markers for changes that have none; NULL: "default_mongo" */
	const struct log *log;
	struct metrics *metrics;
};

struct puller;
enum err puller_new(struct loop *loop, const struct puller_options *options, struct err_info *info,
	struct puller **ret_puller) MUST_CHECK;
const char *puller_address(const struct puller *puller); /* as bound: "127.0.0.1:9000" */
void puller_more(struct puller *puller);                 /* the source has something again */
/* Stops listening and ends subscribers CANCELLED "subscription closed"; `closed` in a later turn.
 */
void puller_close(struct puller *puller, loop_fn closed, void *ctx);
void puller_free(struct puller *puller); /* after `closed` */

/* The original's markers: base64url without padding of {"p":{"<backend>":"<event id>"}}. */
enum err puller_marker_print(
	struct buffer *buffer, struct bytes backend, struct bytes event_id) MUST_CHECK;
/* The event id that a marker names for a backend; ERR_NOT_FOUND if it names none; ERR_CORRUPT. */
enum err puller_marker_parse(struct bytes marker, struct bytes backend, struct arena *arena,
	struct bytes *ret_event_id) MUST_CHECK;

#endif
