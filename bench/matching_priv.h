/* What the files of `matching` share: the engine under measurement, events, and the oracle. */
#ifndef MATCHING_PRIV_H
#define MATCHING_PRIV_H

#include "event.h"
#include "match.h"
#include "matching.h"
#include "metrics.h"
#include "subs.h"

#define MATCHING_JSON_DEPTH_MAX 100

/* ---- the engine: match and subs as a worker has them ----------------------------------------- */

#define MATCHING_STREAMS 16
#define MATCHING_SEND_BYTES 262144 /* of a stream's send buffer */
#define MATCHING_HITS_AHEAD 4      /* as route has it */

/* Limits, of which the bench lifts whatever would refuse a workload. */
extern const struct match_limits matching_match_limits;

/* A stream that an event goes to, and the ids that it goes with. */
struct matching_listed {
	uint32_t event; /* in the batch */
	struct subs_run run;
};

struct matching_stream {
	struct subs_stream *subs;
	char *send; /* overwritten from its start when it is full */
	size_t used;
};

struct matching_engine {
	struct metrics metrics;
	struct match *match;
	struct subs *subs;
	struct matching_stream streams[MATCHING_STREAMS];
	struct matching_listed *listed;
	size_t listed_count, listed_capacity;
	bool copies_ids;
	int64_t clock_ns; /* what looking at the clock takes */
	int64_t longest_ns;
	int64_t steady_ns; /* the thread's processor time when it was last looked at */
};

enum err matching_engine_open(
	struct matching_engine *engine, uint64_t seed, bool copies_ids) MUST_CHECK;
/* Ends all streams and sweeps as a worker does. Zeroed is fine. */
void matching_engine_close(struct matching_engine *engine);

/*
 * These say how long they took. As a pause a call counts no more than the processor's time that the
 * thread has used since matching_engine_steady, lest other processes make pauses: call it every few
 * subscribes.
 */
void matching_engine_steady(struct matching_engine *engine);
enum err matching_engine_subscribe(struct matching_engine *engine, uint64_t index,
	const struct model_subscription *subscription, struct err_info *info,
	int64_t *ret_ns) MUST_CHECK; /* ERR_INVALID: refused, with text */
void matching_engine_unsubscribe(
	struct matching_engine *engine, uint64_t index, struct bytes id, int64_t *ret_ns);
/* Leaves the list in `listed`. */
enum err matching_engine_match(struct matching_engine *engine, struct event *const *events,
	size_t count, int64_t *ret_ns) MUST_CHECK;

/* ---- events ---------------------------------------------------------------------------------- */

/* A line's change, in the arena. False in *ret_is_change: a heartbeat. */
enum err matching_change_parse(const struct matching_line *line, struct arena *arena,
	struct err_info *info, struct model_change *ret_change, bool *ret_is_change) MUST_CHECK;
/* As ingest makes it, but for what it remembers of earlier changes. Read. */
enum err matching_event_make(const struct model_change *change, uint64_t sequence, uint64_t skipped,
	struct arena *scratch, struct event **ret_event) MUST_CHECK;
/* As a worker does: in place of a purge of an unknown document that somebody asks for by its id. */
enum err matching_event_identify(const struct match *match, struct event **event) MUST_CHECK;

/* ---- the oracle ------------------------------------------------------------------------------ */

/*
 * Every subscription as one expression in the language, filters included, parsed and run by itself:
 * no tree, no index. Where there is no document that it could be run on, match_query_holds answers.
 */
struct matching_oracle;
enum err matching_oracle_open(const struct matching_source *source, uint64_t seed,
	struct err_info *info, struct matching_oracle **ret_oracle) MUST_CHECK;
void matching_oracle_free(struct matching_oracle *oracle);
/* Compares what has been listed of the batch's events; the first differences are told. */
enum err matching_oracle_compare(struct matching_oracle *oracle, struct event *const *events,
	size_t count, const struct matching_engine *engine, FILE *complain) MUST_CHECK;
void matching_oracle_counts(
	const struct matching_oracle *oracle, uint64_t *ret_compared, uint64_t *ret_different);

#endif
