/*
 * The streams and their subscriptions. A subscription is found by its id in its stream's own map;
 * holders.c has who stands behind which query.
 */
#include "subs_priv.h"

#include <stdio.h>

#define SWEPT_TOGETHER 16

/* ---- the manager and its streams ------------------------------------------------------------- */

enum err subs_new(const struct subs_limits *limits, uint64_t seed, struct match *match,
	struct metrics *metrics, struct subs **ret_subs)
{
	struct subs *subs = mem_calloc(1, sizeof(*subs));
	if (!subs) {
		return ERR_MEMORY;
	}
	subs->limits = *limits;
	subs->seed = seed;
	map_init(&subs->holders, &subs_holder_type, seed);
	map_init(&subs->databases, &subs_database_type, seed);
	subs->match = match;
	subs->metrics = metrics;
	*ret_subs = subs;
	return OK;
}

void subs_free(struct subs *subs)
{
	if (!subs) {
		return;
	}
	(void)subs_sweep(subs, SIZE_MAX);
	check(subs->count == 0);
	map_fini(&subs->holders);
	map_fini(&subs->databases);
	pool_fini(&subs->pool);
	metrics_add(subs->metrics, METRIC_subscriptions_bytes, -(int64_t)subs->bytes);
	mem_free(subs);
}

/* Of what was done since `before` was read. Only the caller's own thread allocates for it. */
static void note_bytes(struct subs *subs, size_t before)
{
	size_t change = mem_used() - before;
	subs->bytes += change;
	metrics_add(subs->metrics, METRIC_subscriptions_bytes, (int64_t)change);
}

size_t subs_bytes(const struct subs *subs)
{
	return subs->bytes;
}

enum err subs_stream_new(struct subs *subs, void *handle, struct subs_stream **ret_stream)
{
	check(handle);
	size_t before = mem_used();
	struct subs_stream *stream = mem_calloc(1, sizeof(*stream));
	if (!stream) {
		return ERR_MEMORY;
	}
	stream->handle = handle;
	stream->number = ++subs->next_stream_number;
	map_init(&stream->by_id, &subs_id_type, subs->seed);
	note_bytes(subs, before);
	*ret_stream = stream;
	return OK;
}

size_t subs_stream_count(const struct subs_stream *stream)
{
	return stream->by_id.count;
}

/* ---- subscriptions --------------------------------------------------------------------------- */

static void count(struct subs *subs, int64_t change)
{
	subs->count += (size_t)change;
	metrics_add(subs->metrics, METRIC_subscriptions_active, change);
}

static enum err insert(struct subs *subs, struct subs_stream *stream, const struct subs_id *id,
	struct match_query *query, bool is_bare)
{
	struct bytes database = match_query_database(query);
	enum err err = subs_database_enter(&subs->databases, database);
	if (err != OK) {
		return err;
	}
	struct subs_subscription *subscription = NULL;
	err = subs_join(subs, stream, query, id, is_bare, &subscription);
	if (err != OK) {
		subs_database_leave(&subs->databases, database);
		return err;
	}
	err = map_insert(&stream->by_id, subscription);
	if (err != OK) {
		subs_leave(subs, subscription);
		subs_database_leave(&subs->databases, database);
		return err;
	}
	count(subs, 1);
	return OK;
}

/* Of one that its stream's map has no more. */
static void remove_subscription(struct subs *subs, struct subs_subscription *subscription)
{
	struct match_query *query = subs_query_of(subscription);
	subs_leave(subs, subscription);
	subs_database_leave(&subs->databases, match_query_database(query));
	match_query_put(subs->match, query);
	count(subs, -1);
}

static bool refuse_size(struct subs *subs, size_t size, struct model_answer *answer)
{
	if (size > subs->limits.id_bytes_max) {
		(void)snprintf(subs->text, sizeof(subs->text),
			"subscription ID of %zu bytes is too long; at most %u "
			"(subscription_id_bytes_max)",
			size, subs->limits.id_bytes_max);
		subs_refuse(subs, answer, MODEL_REFUSED_ID, subs->text);
		return true;
	}
	return false;
}

/* What an id that the stream has is answered: it is accepted again for the same, or never. */
static void answer_again(struct subs *subs, const struct subs_subscription *found,
	const struct model_subscription *subscription, bool may_be_same,
	struct model_answer *answer)
{
	bool is_same = false;
	may_be_same = may_be_same && found->holder.is_bare == subscription->omit_document;
	enum err err = may_be_same
		? match_query_is(subs->match, subs_query_of(found), subscription, &is_same)
		: OK;
	if (err != OK) {
		subs_refuse(subs, answer, MODEL_REFUSED_LIMIT, err_text(err));
	} else if (is_same) {
		metrics_add(subs->metrics, METRIC_subscribes, 1);
	} else {
		subs_refuse(
			subs, answer, MODEL_REFUSED_DUPLICATE, "subscription ID already exists");
	}
}

/* A stream that has asked the same before may ask it again. */
static bool refuse_residual(struct subs *subs, struct subs_stream *stream,
	struct match_query *query, struct model_answer *answer)
{
	if (!match_query_is_residual(query) ||
		stream->residuals < subs->limits.residuals_per_stream_max ||
		subs_has_open(subs, stream, query)) {
		return false;
	}
	(void)snprintf(subs->text, sizeof(subs->text),
		"too many subscriptions that no value leads to: stream_residuals_max is %zu",
		subs->limits.residuals_per_stream_max);
	answer->hint = bytes_of(
		"add a comparison that an index can use, for example doc.kind == \"x\" && ...");
	subs_refuse(subs, answer, MODEL_REFUSED_LIMIT, subs->text);
	metrics_add(subs->metrics, METRIC_residuals_refused, 1);
	return true;
}

/* One whose id the stream does not have. */
static void add_new(struct subs *subs, struct subs_stream *stream, const struct subs_id *id,
	const struct model_subscription *subscription, const struct err_info *refusal,
	struct model_answer *ret_answer)
{
	if (subs_refuse_by_limit(subs, stream, subscription->database, ret_answer)) {
		return;
	}
	if (refusal->code != OK) {
		subs_refuse_filters(subs, ret_answer,
			refusal->code == ERR_LIMIT ? MODEL_REFUSED_LIMIT : MODEL_REFUSED_FILTER,
			refusal->text);
		return;
	}
	struct match_query *query = NULL;
	subs->refusal = (struct match_refusal){0};
	enum err err = match_query_get(subs->match, subscription, &subs->refusal, &query);
	if (err == ERR_INVALID) {
		subs_refuse_query(subs, ret_answer);
		return;
	}
	if (err == ERR_LIMIT) {
		ret_answer->hint = bytes_of(subs->refusal.hint);
		subs_refuse(subs, ret_answer, MODEL_REFUSED_LIMIT, subs->refusal.text);
		return;
	}
	if (err == OK && refuse_residual(subs, stream, query, ret_answer)) {
		match_query_put(subs->match, query);
		return;
	}
	if (err == OK) {
		err = insert(subs, stream, id, query, subscription->omit_document);
		if (err != OK) {
			match_query_put(subs->match, query);
		}
	}
	if (err != OK) {
		subs_refuse(subs, ret_answer, MODEL_REFUSED_LIMIT, err_text(err));
		return;
	}
	metrics_add(subs->metrics, METRIC_subscribes, 1);
}

static void add(struct subs *subs, struct subs_stream *stream,
	const struct model_subscription *subscription, const struct err_info *refusal,
	bool accepts_again, struct model_answer *ret_answer)
{
	check(subscription->id.size > 0);
	size_t before = mem_used();
	*ret_answer = (struct model_answer){.id = subscription->id};
	if (!refuse_size(subs, subscription->id.size, ret_answer)) {
		struct subs_id id;
		subs_id_read(subscription->id, &id);
		const struct subs_subscription *found = map_find(&stream->by_id, &id);
		if (found) {
			answer_again(subs, found, subscription,
				accepts_again && refusal->code == OK, ret_answer);
		} else {
			add_new(subs, stream, &id, subscription, refusal, ret_answer);
		}
	}
	note_bytes(subs, before);
}

void subs_add(struct subs *subs, struct subs_stream *stream,
	const struct model_subscription *subscription, const struct err_info *refusal,
	struct model_answer *ret_answer)
{
	add(subs, stream, subscription, refusal, false, ret_answer);
}

void subs_ensure(struct subs *subs, struct subs_stream *stream,
	const struct model_subscription *subscription, const struct err_info *refusal,
	struct model_answer *ret_answer)
{
	add(subs, stream, subscription, refusal, true, ret_answer);
}

static bool trim(struct subs *subs)
{
	bool has_more = pool_trim(&subs->pool);
	return match_trim(subs->match) || has_more;
}

enum err subs_remove(struct subs *subs, struct subs_stream *stream, struct bytes id)
{
	struct subs_id key;
	subs_id_read(id, &key);
	struct subs_subscription *subscription = map_find(&stream->by_id, &key);
	if (!subscription) {
		return ERR_NOT_FOUND;
	}
	size_t before = mem_used();
	check(map_remove(&stream->by_id, subscription));
	remove_subscription(subs, subscription);
	(void)trim(subs);
	note_bytes(subs, before);
	metrics_add(subs->metrics, METRIC_unsubscribes, 1);
	return OK;
}

void subs_stream_free(struct subs *subs, struct subs_stream *stream)
{
	if (!stream) {
		return;
	}
	check(stream->handle);
	stream->handle = NULL;
	stream->next_freed = subs->freed;
	subs->freed = stream;
}

/* Some are taken out together, so that they are fetched together. */
static size_t sweep_some(struct subs *subs, struct subs_stream *stream, size_t most)
{
	struct subs_subscription *taken[SWEPT_TOGETHER];
	size_t taken_count = 0;
	while (taken_count < SWEPT_TOGETHER && taken_count < most) {
		struct subs_subscription *subscription = map_drain(&stream->by_id);
		if (!subscription) {
			break;
		}
		__builtin_prefetch(subscription);
		taken[taken_count++] = subscription;
	}
	for (size_t i = 0; i < taken_count; i++) {
		__builtin_prefetch(subs_query_of(taken[i]));
	}
	for (size_t i = 0; i < taken_count; i++) {
		remove_subscription(subs, taken[i]);
	}
	return taken_count;
}

static bool sweep(struct subs *subs, size_t most)
{
	while (subs->freed) {
		struct subs_stream *stream = subs->freed;
		while (stream->by_id.count > 0) {
			if (most == 0) {
				(void)trim(subs);
				return true;
			}
			most -= sweep_some(subs, stream, most);
		}
		map_fini(&stream->by_id);
		subs->freed = stream->next_freed;
		mem_free(stream);
	}
	return trim(subs);
}

bool subs_sweep(struct subs *subs, size_t most)
{
	size_t before = mem_used();
	bool is_left = sweep(subs, most);
	note_bytes(subs, before);
	return is_left;
}
