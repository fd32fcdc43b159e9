/*
 * Three structures meet here. A *subscription* is found by (stream, id) in one map. A *group* is
 * ids that one stream has behind one query, encoded one behind the other as they go out, so that
 * delivering them is a copy. A query's slot points to its list of groups.
 *
 * An id keeps its place in its run only until another one leaves, so removal looks for it there.
 * A run is therefore short: when RUN_BYTES is reached, the stream opens another group. The full one
 * is found through its subscriptions only, and takes no more.
 */
#include "subs.h"
#include "wire.h"

#include <stdio.h>
#include <string.h>

/* Some hundred UUIDs: a walk through them costs no more than a look-up in a large map. */
#define RUN_BYTES 4096

struct subs_group {
	struct subs_group *next, *previous; /* of the same query */
	struct subs_stream *stream;
	struct match_query *query;
	struct buffer run;
	uint32_t count;
	bool is_open; /* takes new ids, and is in the map */
};

struct subscription {
	struct subscription *next, *previous; /* of the same stream */
	struct subs_stream *stream;
	struct subs_group *group;
	uint64_t hash;
	size_t id_size;
	char id[];
};

struct subs_stream {
	void *handle;    /* NULL: it has been freed, and waits to be swept */
	uint64_t number; /* part of the keys, never used again */
	struct subscription *first;
	size_t count;
	struct subs_stream *next_freed;
};

struct subs {
	struct subs_limits limits;
	uint64_t seed;
	struct match *match;
	struct metrics *metrics;
	struct map by_id;  /* struct subscription */
	struct map groups; /* open struct subs_group, by stream and query */
	size_t count;
	struct subs_stream *freed; /* not swept yet */
	uint64_t next_stream_number;
	char text[400];
	struct match_refusal refusal;
};

enum err subs_new(const struct subs_limits *limits, uint64_t seed, struct match *match,
	struct metrics *metrics, struct subs **ret_subs)
{
	struct subs *subs = mem_calloc(1, sizeof(*subs));
	if (!subs) {
		return ERR_MEMORY;
	}
	subs->limits = *limits;
	subs->seed = seed;
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
	map_fini(&subs->by_id);
	map_fini(&subs->groups);
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
	*ret_stream = stream;
	return OK;
}

size_t subs_stream_count(const struct subs_stream *stream)
{
	return stream->count;
}

/* ---- keys ------------------------------------------------------------------------------------ */

struct id_key {
	const struct subs_stream *stream;
	struct bytes id;
};

static uint64_t id_hash(const struct subs *subs, const struct id_key *key)
{
	return bytes_hash(key->id, subs->seed ^ (key->stream->number * 0x9E3779B97F4A7C15U));
}

static bool id_is(const void *item, const void *key)
{
	const struct subscription *subscription = item;
	const struct id_key *wanted = key;
	return subscription->stream == wanted->stream &&
		bytes_equal((struct bytes){subscription->id, subscription->id_size}, wanted->id);
}

struct group_key {
	struct subs_stream *stream;
	struct match_query *query;
};

static uint64_t group_hash(const struct subs *subs, const struct group_key *key)
{
	const uint64_t words[2] = {key->stream->number, (uint64_t)(uintptr_t)key->query};
	return bytes_hash((struct bytes){(const char *)words, sizeof(words)}, subs->seed);
}

static bool group_is(const void *item, const void *key)
{
	const struct subs_group *group = item;
	const struct group_key *wanted = key;
	return group->stream == wanted->stream && group->query == wanted->query;
}

/* ---- groups ---------------------------------------------------------------------------------- */

static bool group_has_room(const struct subs_group *group, struct bytes id)
{
	return group->count == 0 || group->run.size + wire_id_size(id) <= RUN_BYTES;
}

/* An open group, in the place of `full` (may be NULL) if there was one. */
static enum err group_new(struct subs *subs, const struct group_key *key, uint64_t hash,
	struct subs_group *full, struct subs_group **ret_group)
{
	struct subs_group *group = mem_calloc(1, sizeof(*group));
	if (!group) {
		return ERR_MEMORY;
	}
	if (map_insert(&subs->groups, hash, group) != OK) {
		mem_free(group);
		return ERR_MEMORY;
	}
	if (full) {
		check(map_remove(&subs->groups, hash, full));
		full->is_open = false;
	}
	group->stream = key->stream;
	group->query = key->query;
	group->is_open = true;
	void **first = match_query_slot(group->query);
	group->next = *first;
	if (group->next) {
		group->next->previous = group;
	}
	*first = group;
	*ret_group = group;
	return OK;
}

/* The group that takes the id; it may be new and empty. */
static enum err group_get(struct subs *subs, struct subs_stream *stream, struct match_query *query,
	struct bytes id, struct subs_group **ret_group)
{
	const struct group_key key = {stream, query};
	uint64_t hash = group_hash(subs, &key);
	struct subs_group *group = map_find(&subs->groups, hash, &key, group_is);
	if (group && group_has_room(group, id)) {
		*ret_group = group;
		return OK;
	}
	return group_new(subs, &key, hash, group, ret_group);
}

static void group_free_if_empty(struct subs *subs, struct subs_group *group)
{
	if (group->count > 0) {
		return;
	}
	if (group->is_open) {
		const struct group_key key = {group->stream, group->query};
		check(map_remove(&subs->groups, group_hash(subs, &key), group));
	}
	if (group->previous) {
		group->previous->next = group->next;
	} else {
		*match_query_slot(group->query) = group->next;
	}
	if (group->next) {
		group->next->previous = group->previous;
	}
	buffer_fini(&group->run);
	mem_free(group);
}

static enum err group_add_id(struct subs_group *group, struct bytes id)
{
	enum err err = buffer_reserve(&group->run, wire_id_size(id));
	if (err != OK) {
		return err;
	}
	group->run.size += wire_id_write(id, group->run.data + group->run.size);
	group->count++;
	return OK;
}

/* A run that was full and is so no more keeps no more memory than one that has grown to its size.
 */
static void group_shrink(struct subs_group *group)
{
	struct buffer *run = &group->run;
	if (run->size > 0 && run->size <= run->capacity / 4) {
		char *data = mem_realloc(run->data, run->capacity / 2);
		if (data) {
			run->data = data;
			run->capacity /= 2;
		}
	}
}

static void group_remove_id(struct subs_group *group, struct bytes id)
{
	struct bytes rest = buffer_bytes(&group->run);
	struct bytes found;
	const char *start = rest.data;
	while (wire_id_next(&rest, &found)) {
		if (bytes_equal(found, id)) {
			memmove(group->run.data + (start - group->run.data), rest.data, rest.size);
			group->run.size -= (size_t)(rest.data - start);
			group->count--;
			group_shrink(group);
			return;
		}
		start = rest.data;
	}
	check(false);
}

const struct subs_group *subs_next_run(
	struct match_query *query, const struct subs_group *previous, struct subs_run *ret_run)
{
	const struct subs_group *group = previous ? previous->next : *match_query_slot(query);
	while (group && !group->stream->handle) {
		group = group->next;
	}
	if (group) {
		ret_run->handle = group->stream->handle;
		ret_run->ids = buffer_bytes(&group->run);
		ret_run->count = group->count;
	}
	return group;
}

/* ---- subscriptions --------------------------------------------------------------------------- */

static enum err insert(
	struct subs *subs, struct subs_stream *stream, struct bytes id, struct match_query *query)
{
	struct subs_group *group = NULL;
	enum err err = group_get(subs, stream, query, id, &group);
	if (err != OK) {
		return err;
	}
	struct subscription *subscription = mem_alloc(sizeof(*subscription) + id.size);
	err = subscription ? group_add_id(group, id) : ERR_MEMORY;
	if (err != OK) {
		goto failed;
	}
	const struct id_key key = {stream, id};
	*subscription = (struct subscription){.next = stream->first,
		.stream = stream,
		.group = group,
		.hash = id_hash(subs, &key),
		.id_size = id.size};
	memcpy(subscription->id, id.data, id.size);
	err = map_insert(&subs->by_id, subscription->hash, subscription);
	if (err != OK) {
		group_remove_id(group, id);
		goto failed;
	}
	if (stream->first) {
		stream->first->previous = subscription;
	}
	stream->first = subscription;
	stream->count++;
	subs->count++;
	metrics_add(subs->metrics, METRIC_subscriptions_active, 1);
	return OK;
failed:
	mem_free(subscription);
	group_free_if_empty(subs, group);
	return err;
}

static void remove_subscription(struct subs *subs, struct subscription *subscription)
{
	struct subs_stream *stream = subscription->stream;
	struct subs_group *group = subscription->group;
	struct match_query *query = group->query;
	check(map_remove(&subs->by_id, subscription->hash, subscription));
	if (stream->handle) {
		group_remove_id(group, (struct bytes){subscription->id, subscription->id_size});
	} else {
		group->count--; /* nobody reads the run any more */
	}
	group_free_if_empty(subs, group);
	match_query_put(subs->match, query);
	if (subscription->previous) {
		subscription->previous->next = subscription->next;
	} else {
		stream->first = subscription->next;
	}
	if (subscription->next) {
		subscription->next->previous = subscription->previous;
	}
	stream->count--;
	subs->count--;
	metrics_add(subs->metrics, METRIC_subscriptions_active, -1);
	mem_free(subscription);
}

static void refuse(struct subs *subs, struct model_answer *answer, enum model_refusal refusal,
	const char *text)
{
	answer->refusal = refusal;
	answer->text = bytes_of(text);
	metrics_add(subs->metrics, METRIC_subscribes_refused, 1);
}

static bool refuse_id(struct subs *subs, struct subs_stream *stream, struct model_answer *answer)
{
	size_t size = answer->id.size;
	const struct id_key key = {stream, answer->id};
	if (size > subs->limits.id_bytes_max) {
		(void)snprintf(subs->text, sizeof(subs->text),
			"subscription ID of %zu bytes is too long; at most %u "
			"(subscription_id_bytes_max)",
			size, subs->limits.id_bytes_max);
		refuse(subs, answer, MODEL_REFUSED_ID, subs->text);
		return true;
	}
	if (map_find(&subs->by_id, id_hash(subs, &key), &key, id_is)) {
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
	if (stream->count >= subs->limits.per_stream_max) {
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
	if (refuse_id(subs, stream, ret_answer) || refuse_by_limit(subs, stream, ret_answer)) {
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
	if (err == OK) {
		err = insert(subs, stream, subscription->id, query);
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

enum err subs_remove(struct subs *subs, struct subs_stream *stream, struct bytes id)
{
	const struct id_key key = {stream, id};
	struct subscription *subscription =
		map_find(&subs->by_id, id_hash(subs, &key), &key, id_is);
	if (!subscription) {
		return ERR_NOT_FOUND;
	}
	remove_subscription(subs, subscription);
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

bool subs_sweep(struct subs *subs, size_t most)
{
	while (subs->freed) {
		struct subs_stream *stream = subs->freed;
		while (stream->first) {
			if (most-- == 0) {
				return true;
			}
			remove_subscription(subs, stream->first);
		}
		subs->freed = stream->next_freed;
		mem_free(stream);
	}
	return false;
}
