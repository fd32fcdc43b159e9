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
	pool_fini(&subs->pool);
	mem_free(subs);
}

enum err subs_stream_new(struct subs *subs, void *handle, struct subs_stream **ret_stream)
{
	check(handle);
	struct subs_stream *stream = mem_calloc(1, sizeof(*stream));
	if (!stream) {
		return ERR_MEMORY;
	}
	stream->handle = handle;
	stream->number = ++subs->next_stream_number;
	map_init(&stream->by_id, &subs_id_type, subs->seed);
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
	struct match_query *query)
{
	struct subs_subscription *subscription = NULL;
	enum err err = subs_join(subs, stream, query, id, &subscription);
	if (err != OK) {
		return err;
	}
	err = map_insert(&stream->by_id, subscription);
	if (err != OK) {
		subs_leave(subs, subscription);
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
	match_query_put(subs->match, query);
	count(subs, -1);
}

static void refuse(struct subs *subs, struct model_answer *answer, enum model_refusal refusal,
	const char *text)
{
	answer->refusal = refusal;
	answer->text = bytes_of(text);
	metrics_add(subs->metrics, METRIC_subscribes_refused, 1);
}

static bool refuse_id(struct subs *subs, const struct subs_stream *stream, const struct subs_id *id,
	struct model_answer *answer)
{
	size_t size = id->text.size;
	if (size > subs->limits.id_bytes_max) {
		(void)snprintf(subs->text, sizeof(subs->text),
			"subscription ID of %zu bytes is too long; at most %u "
			"(subscription_id_bytes_max)",
			size, subs->limits.id_bytes_max);
		refuse(subs, answer, MODEL_REFUSED_ID, subs->text);
		return true;
	}
	if (map_find(&stream->by_id, id)) {
		refuse(subs, answer, MODEL_REFUSED_DUPLICATE, "subscription ID already exists");
		return true;
	}
	return false;
}

static bool refuse_by_limit(
	struct subs *subs, const struct subs_stream *stream, struct model_answer *answer)
{
	const char *limit = NULL;
	size_t most = 0;
	if (stream->by_id.count >= subs->limits.per_stream_max) {
		limit = "stream_subscriptions_max";
		most = subs->limits.per_stream_max;
	} else if (subs->count >= subs->limits.total_max) {
		limit = "subscriptions_max";
		most = subs->limits.total_max;
	}
	if (limit) {
		(void)snprintf(subs->text, sizeof(subs->text), "too many subscriptions: %s is %zu",
			limit, most);
		refuse(subs, answer, MODEL_REFUSED_LIMIT, subs->text);
	}
	return limit != NULL;
}

/* A stream that has asked the same before may ask it again. */
static bool refuse_residual(struct subs *subs, struct subs_stream *stream,
	struct match_query *query, struct model_answer *answer)
{
	if (!match_query_is_residual(query) ||
		stream->residuals < subs->limits.residuals_per_stream_max ||
		subs_find_open(subs, stream, query)) {
		return false;
	}
	(void)snprintf(subs->text, sizeof(subs->text),
		"too many subscriptions that no value leads to: stream_residuals_max is %zu",
		subs->limits.residuals_per_stream_max);
	answer->hint = bytes_of(
		"add a comparison that an index can use, for example doc.kind == \"x\" && ...");
	refuse(subs, answer, MODEL_REFUSED_LIMIT, subs->text);
	metrics_add(subs->metrics, METRIC_residuals_refused, 1);
	return true;
}

static void refuse_filters(struct subs *subs, struct model_answer *answer,
	enum model_refusal refusal, const char *text)
{
	(void)snprintf(subs->text, sizeof(subs->text), "failed to compile filters: %s", text);
	refuse(subs, answer, refusal, subs->text);
}

/* The refusal's texts stay until the next call. */
static void refuse_query(struct subs *subs, struct model_answer *answer)
{
	const struct match_refusal *refusal = &subs->refusal;
	answer->filter = refusal->filter;
	answer->line = refusal->line;
	answer->column = refusal->column;
	answer->hint = bytes_of(refusal->hint);
	refuse_filters(subs, answer, refusal->code, refusal->text);
}

void subs_add(struct subs *subs, struct subs_stream *stream,
	const struct model_subscription *subscription, const struct err_info *refusal,
	struct model_answer *ret_answer)
{
	check(subscription->id.size > 0);
	*ret_answer = (struct model_answer){.id = subscription->id};
	struct subs_id id;
	subs_id_read(subscription->id, &id);
	if (refuse_id(subs, stream, &id, ret_answer) || refuse_by_limit(subs, stream, ret_answer)) {
		return;
	}
	if (refusal->code != OK) {
		refuse_filters(subs, ret_answer,
			refusal->code == ERR_LIMIT ? MODEL_REFUSED_LIMIT : MODEL_REFUSED_FILTER,
			refusal->text);
		return;
	}
	struct match_query *query = NULL;
	subs->refusal = (struct match_refusal){0};
	enum err err = match_query_get(subs->match, subscription, &subs->refusal, &query);
	if (err == ERR_INVALID) {
		refuse_query(subs, ret_answer);
		return;
	}
	if (err == ERR_LIMIT) {
		ret_answer->hint = bytes_of(subs->refusal.hint);
		refuse(subs, ret_answer, MODEL_REFUSED_LIMIT, subs->refusal.text);
		return;
	}
	if (err == OK && refuse_residual(subs, stream, query, ret_answer)) {
		match_query_put(subs->match, query);
		return;
	}
	if (err == OK) {
		err = insert(subs, stream, &id, query);
		if (err != OK) {
			match_query_put(subs->match, query);
		}
	}
	if (err != OK) {
		refuse(subs, ret_answer, MODEL_REFUSED_LIMIT, err_text(err));
		return;
	}
	metrics_add(subs->metrics, METRIC_subscribes, 1);
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
	check(map_remove(&stream->by_id, subscription));
	remove_subscription(subs, subscription);
	(void)trim(subs);
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

bool subs_sweep(struct subs *subs, size_t most)
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
