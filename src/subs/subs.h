/*
 * subs: the subscription manager: which ids of which streams stand behind which query.
 * Owns: subscriptions and, through match, the queries that they need; a stream is an opaque handle.
 * Threads: one, the worker's.
 * Errors: a refused subscribe is an answer, not an error; ERR_NOT_FOUND for an unknown id.
 * Invariant: an id is unique within its stream; each subscription stands in exactly one run.
 */
#ifndef SUBS_H
#define SUBS_H

#include "base.h"
#include "match.h"
#include "metrics.h"
#include "model.h"

struct subs;
struct subs_stream;

struct subs_limits {
	uint32_t id_bytes_max;
	size_t per_stream_max;
	size_t per_database_max;
	size_t total_max;
	size_t bytes_max; /* of memory of all, as subs_bytes has it: from there on no more are taken
			   */
	size_t residuals_per_stream_max; /* distinct queries, see match_query_is_residual */
};

enum err subs_new(const struct subs_limits *limits, uint64_t seed, struct match *match,
	struct metrics *metrics, struct subs **ret_subs) MUST_CHECK;
void subs_free(struct subs *subs); /* after subs_stream_free of its streams */

/* `handle` is what the runs of this stream's subscriptions will name. */
enum err subs_stream_new(
	struct subs *subs, void *handle, struct subs_stream **ret_stream) MUST_CHECK;
/*
 * The stream's subscriptions match nothing any more when this returns, but stay until subs_sweep
 * has taken them: that of a large stream would keep the caller too long. NULL is fine.
 */
void subs_stream_free(struct subs *subs, struct subs_stream *stream);
/*
 * Frees at most `most` subscriptions of streams that have been freed, and gives some of the memory
 * back that subscriptions have left; whether there is more to do.
 */
bool subs_sweep(struct subs *subs, size_t most);
size_t subs_stream_count(const struct subs_stream *stream);

/*
 * What all that this manager was asked has allocated and not given back: subscriptions and streams,
 * and in match their queries and its index, with the room that compiling keeps.
 */
size_t subs_bytes(const struct subs *subs);

/*
 * Always gives an answer: accepted, or refused and why. The id must not be empty. `refusal` is what
 * reading the request has found already (code OK: nothing). The answer's id is borrowed from the
 * subscription; its text is valid until the next call.
 */
void subs_add(struct subs *subs, struct subs_stream *stream,
	const struct model_subscription *subscription, const struct err_info *refusal,
	struct model_answer *ret_answer);
/* The same, but an id that the stream has is accepted again: for the same query, with the document
 * or without it as before. */
void subs_ensure(struct subs *subs, struct subs_stream *stream,
	const struct model_subscription *subscription, const struct err_info *refusal,
	struct model_answer *ret_answer);
enum err subs_remove(struct subs *subs, struct subs_stream *stream, struct bytes id) MUST_CHECK;

#define SUBS_OWN_BYTES 38 /* a UUID as it goes out */

/* Ids of one stream behind one query, encoded as they go out. A stream may have several. */
struct subs_run {
	void *handle;
	struct bytes ids; /* no data: they are in `own`, see subs_run_ids */
	uint32_t count;
	bool is_bare; /* they want no document */
	char own[SUBS_OWN_BYTES];
};
/* Borrowed from the run and from its subscriptions. */
struct bytes subs_run_ids(const struct subs_run *run);
/* The runs of a query that was hit, in any order: begin with NULL, go on with what was returned;
 * NULL at the end. */
struct subs_holder;
const struct subs_holder *subs_next_run(
	struct match_query *query, const struct subs_holder *previous, struct subs_run *ret_run);
/* Begins to load what subs_next_run will read; of use some hits before it is called. */
void subs_prefetch(struct match_query *query);

#endif
