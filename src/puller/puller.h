/*
 * puller: a PullerService over a sequence of changes, for replay, tests and demonstrations.
 * Owns: its listener, its connections, and the changes that it keeps for resume.
 * Threads: its loop's.
 * Errors: a bad marker is INVALID_ARGUMENT to that subscriber; a bad line stops the start.
 * Invariant: every subscriber sees the changes in order, each with the marker that includes it.
 *
 * `after` as the original takes it: a marker continues behind its event of each backend, and gives
 * a backend that it does not name from the beginning; "e30" is all that there is; empty is what
 * comes from now on. For a file that is all of it: a file does not grow, so it is a log that
 * happens, from its beginning, to each subscriber who did not ask for another place. At the end of
 * the changes a subscriber stays, with heartbeats. Unlike the original: subscribers with equal
 * consumer ids do not disturb each other, changes of equal cluster time are all sent, and
 * coalesce_on_catch_up, which only allows to leave changes out, leaves none out.
 */
#ifndef PULLER_H
#define PULLER_H

#include "base.h"
#include "loop.h"
#include "metrics.h"
#include "model.h"

/*
 * Where changes come from when not from a file. `next` is called when a subscriber has had all that
 * there is and can take more: OK with a change whose bytes live until the next call; ERR_EMPTY:
 * none now, puller_more will be called; ERR_CLOSED: no more ever. A message without a change is
 * passed over, and a change that no marker could name (its event id is not
 * "<seconds>-<increment>-<hash>") is dropped with a line in the log. `sent` (may be NULL) is told
 * when the change has gone into a subscriber's call, so once for each of them.
 *
 * Kept for resume are the newest 65,536 changes, at most 64 MiB of them (and always the newest
 * one); older ones are dropped. A marker that is older continues at the oldest one kept, as with
 * the original. A subscriber that is being sent changes and is overtaken by that is ended INTERNAL
 * "replay error: ...".
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
	bool loop;   /* a file starts again at its end, with new cluster times and event ids */
	int64_t heartbeat_us; /* silence after which a heartbeat is sent; 0: 30 s */
	const char *backend; /* name in markers for changes that have none; NULL: "default_mongo" */
	const struct log *log; /* this and `metrics` must outlive the puller; both may be NULL */
	struct metrics *metrics;
};

/*
 * Reads all of a file once, so that a bad line is found now: ERR_CORRUPT or the like, and the text
 * begins with "line <number>: ". 40 bytes per line are kept, and the lines read again when they are
 * sent; the file must not change meanwhile, or subscribers are ended INTERNAL. What is no regular
 * file (stdin, a pipe) is read to its end first and kept in memory. Lines must have event ids of
 * the form "<seconds>-<increment>-<hash>", or be of the short form, whose ids depend only on the
 * line's number: a Puller started again on the same file takes the markers of the one before.
 */
struct puller;
enum err puller_new(struct loop *loop, const struct puller_options *options, struct err_info *info,
	struct puller **ret_puller) MUST_CHECK;
const char *puller_address(const struct puller *puller); /* as bound: "127.0.0.1:9000" */
void puller_more(struct puller *puller); /* the source has something again; from any callback */
/*
 * Stops listening and ends subscribers CANCELLED "subscription closed", behind what their calls
 * hold; who has not read that within a second is cut off. `closed` in a later turn.
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
