/*
 * Three structures meet here. A *subscription* is found by (stream, id) in one map. A *group* is
 * ids that one stream has behind one query, encoded one behind the other as they go out, so that
 * delivering them is a copy; an id alone is the group's run where it stands in its subscription.
 * A query's slot leads to its groups, one or a fan of them, and a stream has a list of its own.
 *
 * An id keeps its place in its run only until another one leaves, so removal looks for it there.
 * A run is therefore short: when RUN_BYTES is reached, the stream opens another group. The full one
 * is found through its subscriptions only, and takes no more.
 */
#include "subs_priv.h"
#include "wire.h"

#include <stdio.h>
#include <string.h>

/* Some hundred UUIDs: a walk through them costs no more than a look-up in a large map. */
#define RUN_BYTES 4096

/* Groups of one query that stand before this are looked through; those behind are in a map. */
#define FAN_SEARCHED 8U

/*
 * The groups of a query that has more than one. Its address is even: a slot with the lowest bit set
 * is a fan's, any other a group's.
 */
struct fan {
	uint32_t count, capacity;
	struct subs_group *groups[];
};

struct subs_group {
	struct subs_group *next_of_stream, *previous_of_stream;
	struct subs_stream *stream;
	struct match_query *query;
	struct subs_database *database;
	union {
		const struct subscription *only; /* the only one yet */
		char *ids;                       /* the group's own memory */
	} run;
	uint32_t size, capacity; /* of the run; capacity 0: it is in `only` */
	uint32_t count;
	uint32_t index; /* in the fan */
	bool is_open;   /* takes new ids */
	bool is_mapped;
};

struct subscription {
	struct subs_group *group;
	uint32_t id_size;
	char encoded[]; /* as in a run */
};

/* ---- keys ------------------------------------------------------------------------------------ */

struct id_key {
	const struct subs_stream *stream;
	struct bytes id;
};

static struct bytes id_of(const struct subscription *subscription)
{
	const struct bytes size_only = {NULL, subscription->id_size};
	size_t head = wire_id_size(size_only) - subscription->id_size;
	return (struct bytes){subscription->encoded + head, subscription->id_size};
}

static uint64_t hash_id(const struct subs_stream *stream, struct bytes id, uint64_t seed)
{
	return bytes_hash(id, seed ^ (stream->number * 0x9E3779B97F4A7C15U));
}

static uint64_t hash_id_key(const void *key, uint64_t seed)
{
	const struct id_key *wanted = key;
	return hash_id(wanted->stream, wanted->id, seed);
}

static uint64_t hash_subscription(const void *item, uint64_t seed)
{
	const struct subscription *subscription = item;
	return hash_id(subscription->group->stream, id_of(subscription), seed);
}

static bool id_is(const void *item, const void *key)
{
	const struct subscription *subscription = item;
	const struct id_key *wanted = key;
	return subscription->group->stream == wanted->stream &&
		bytes_equal(id_of(subscription), wanted->id);
}

static const struct map_type id_type = {hash_id_key, hash_subscription, id_is};

struct group_key {
	struct subs_stream *stream;
	struct match_query *query;
};

static uint64_t hash_group_key(const void *key, uint64_t seed)
{
	const struct group_key *wanted = key;
	const uint64_t words[2] = {wanted->stream->number, (uint64_t)(uintptr_t)wanted->query};
	return bytes_hash((struct bytes){(const char *)words, sizeof(words)}, seed);
}

static uint64_t hash_group(const void *item, uint64_t seed)
{
	const struct subs_group *group = item;
	const struct group_key key = {group->stream, group->query};
	return hash_group_key(&key, seed);
}

static bool group_is(const void *item, const void *key)
{
	const struct subs_group *group = item;
	const struct group_key *wanted = key;
	return group->stream == wanted->stream && group->query == wanted->query;
}

static const struct map_type group_type = {hash_group_key, hash_group, group_is};

/* ---- the manager and its streams ------------------------------------------------------------- */

enum err subs_new(const struct subs_limits *limits, uint64_t seed, struct match *match,
	struct metrics *metrics, struct subs **ret_subs)
{
	struct subs *subs = mem_calloc(1, sizeof(*subs));
	if (!subs) {
		return ERR_MEMORY;
	}
	subs->limits = *limits;
	map_init(&subs->by_id, &id_type, seed);
	map_init(&subs->groups, &group_type, seed);
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
	map_fini(&subs->by_id);
	map_fini(&subs->groups);
	map_fini(&subs->databases);
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
	note_bytes(subs, before);
	*ret_stream = stream;
	return OK;
}

size_t subs_stream_count(const struct subs_stream *stream)
{
	return stream->count;
}

/* ---- groups ---------------------------------------------------------------------------------- */

static bool group_has_room(const struct subs_group *group, struct bytes id)
{
	return group->count == 0 || group->size + wire_id_size(id) <= RUN_BYTES;
}

static struct fan *fan_of(struct match_query *query)
{
	uintptr_t slot = (uintptr_t)*match_query_slot(query);
	return slot & 1 ? (struct fan *)(slot - 1) : NULL;
}

static void set_fan(struct match_query *query, struct fan *fan)
{
	*match_query_slot(query) = (void *)((uintptr_t)fan + 1);
}

/* The query's group of this number, or NULL. */
static struct subs_group *group_at(struct match_query *query, uint32_t index)
{
	const struct fan *fan = fan_of(query);
	if (fan) {
		return index < fan->count ? fan->groups[index] : NULL;
	}
	return index == 0 ? *match_query_slot(query) : NULL;
}

/* A fan with room for one more. */
static enum err fan_reserve(struct match_query *query, struct fan **ret_fan)
{
	struct fan *old = fan_of(query);
	if (old && old->count < old->capacity) {
		*ret_fan = old;
		return OK;
	}
	uint32_t capacity = old ? old->capacity * 2 : 4;
	struct fan *fan = mem_realloc(old, sizeof(*fan) + capacity * sizeof(void *));
	if (!fan) {
		return ERR_MEMORY;
	}
	fan->capacity = capacity;
	if (!old) {
		fan->groups[0] = *match_query_slot(query);
		fan->count = 1;
	}
	set_fan(query, fan);
	*ret_fan = fan;
	return OK;
}

static enum err join_query(struct subs_group *group)
{
	void **slot = match_query_slot(group->query);
	if (!*slot) {
		*slot = group;
		return OK;
	}
	struct fan *fan = NULL;
	enum err err = fan_reserve(group->query, &fan);
	if (err == OK) {
		group->index = fan->count;
		fan->groups[fan->count++] = group;
	}
	return err;
}

/* The last one takes its place, so that those without the map stay in front. */
static void leave_query(struct subs_group *group)
{
	struct match_query *query = group->query;
	struct fan *fan = fan_of(query);
	if (!fan) {
		*match_query_slot(query) = NULL;
		return;
	}
	struct subs_group *last = fan->groups[--fan->count];
	last->index = group->index;
	fan->groups[group->index] = last;
	if (fan->count == 1) {
		*match_query_slot(query) = fan->groups[0];
		mem_free(fan);
	}
}

static void join_stream(struct subs_group *group)
{
	struct subs_stream *stream = group->stream;
	group->next_of_stream = stream->groups;
	if (group->next_of_stream) {
		group->next_of_stream->previous_of_stream = group;
	}
	stream->groups = group;
}

static void leave_stream(struct subs_group *group)
{
	if (group->previous_of_stream) {
		group->previous_of_stream->next_of_stream = group->next_of_stream;
	} else {
		group->stream->groups = group->next_of_stream;
	}
	if (group->next_of_stream) {
		group->next_of_stream->previous_of_stream = group->previous_of_stream;
	}
}

static struct subs_group *find_open(const struct subs *subs, const struct group_key *key)
{
	for (uint32_t i = 0; i < FAN_SEARCHED; i++) {
		struct subs_group *group = group_at(key->query, i);
		if (!group) {
			return NULL;
		}
		if (group->stream == key->stream && group->is_open) {
			return group;
		}
	}
	return map_find(&subs->groups, key);
}

static void group_close(struct subs *subs, struct subs_group *group)
{
	if (group->is_mapped) {
		check(map_remove(&subs->groups, group));
		group->is_mapped = false;
	}
	group->is_open = false;
	group->stream->residuals -= match_query_is_residual(group->query);
}

/* An open group, in the place of `full` (may be NULL) if there was one. */
static enum err group_new(struct subs *subs, const struct group_key *key, struct subs_group *full,
	struct subs_group **ret_group)
{
	struct subs_group *group = mem_calloc(1, sizeof(*group));
	if (!group) {
		return ERR_MEMORY;
	}
	group->stream = key->stream;
	group->query = key->query;
	group->is_open = true;
	enum err err = join_query(group);
	if (err != OK) {
		mem_free(group);
		return err;
	}
	if (group->index >= FAN_SEARCHED) {
		err = map_insert(&subs->groups, group);
		if (err != OK) {
			leave_query(group);
			mem_free(group);
			return err;
		}
		group->is_mapped = true;
	}
	if (full) {
		group_close(subs, full);
	}
	group->stream->residuals += match_query_is_residual(group->query);
	join_stream(group);
	*ret_group = group;
	return OK;
}

/* The group that takes the id; it may be new and empty. */
static enum err group_get(struct subs *subs, struct subs_stream *stream, struct match_query *query,
	struct bytes id, struct subs_group **ret_group)
{
	const struct group_key key = {stream, query};
	struct subs_group *group = find_open(subs, &key);
	if (group && group_has_room(group, id)) {
		*ret_group = group;
		return OK;
	}
	return group_new(subs, &key, group, ret_group);
}

static void group_free(struct subs *subs, struct subs_group *group)
{
	if (group->is_open) {
		group_close(subs, group);
	}
	leave_query(group);
	leave_stream(group);
	if (group->capacity > 0) {
		mem_free(group->run.ids);
	}
	mem_free(group);
}

static struct bytes group_run(const struct subs_group *group)
{
	const char *ids = group->capacity > 0 ? group->run.ids : group->run.only->encoded;
	return (struct bytes){ids, group->size};
}

/* Memory of its own for a run of so many bytes. */
static enum err group_reserve(struct subs_group *group, size_t size)
{
	if (size <= group->capacity) {
		return OK;
	}
	size_t capacity = group->capacity > 0 ? group->capacity : 64;
	while (capacity < size) {
		capacity *= 2;
	}
	char *old = group->capacity > 0 ? group->run.ids : NULL;
	char *ids = old ? mem_realloc(old, capacity) : mem_alloc(capacity);
	if (!ids) {
		return ERR_MEMORY;
	}
	if (!old && group->size > 0) {
		memcpy(ids, group->run.only->encoded, group->size);
	}
	group->run.ids = ids;
	group->capacity = (uint32_t)capacity;
	return OK;
}

static enum err group_add(struct subs_group *group, const struct subscription *subscription)
{
	size_t size = wire_id_size(id_of(subscription));
	if (group->count == 0 && group->capacity == 0) {
		group->run.only = subscription;
	} else {
		enum err err = group_reserve(group, group->size + size);
		if (err != OK) {
			return err;
		}
		memcpy(group->run.ids + group->size, subscription->encoded, size);
	}
	group->size += (uint32_t)size;
	group->count++;
	return OK;
}

/* A run that was full and is so no more keeps no more memory than one that has grown to its size.
 */
static void group_shrink(struct subs_group *group)
{
	if (group->size > 0 && group->size <= group->capacity / 4) {
		char *ids = mem_realloc(group->run.ids, group->capacity / 2);
		if (ids) {
			group->run.ids = ids;
			group->capacity /= 2;
		}
	}
}

static void group_remove(struct subs_group *group, struct bytes id)
{
	group->count--;
	if (group->capacity == 0) {
		group->size = 0;
		return;
	}
	struct bytes rest = group_run(group);
	struct bytes found;
	const char *start = rest.data;
	while (wire_id_next(&rest, &found)) {
		if (bytes_equal(found, id)) {
			memmove(group->run.ids + (start - group->run.ids), rest.data, rest.size);
			group->size -= (uint32_t)(rest.data - start);
			group_shrink(group);
			return;
		}
		start = rest.data;
	}
	check(false);
}

static void fetch(const struct subs_group *group)
{
	if (group) {
		__builtin_prefetch(group);
		__builtin_prefetch((const char *)group + 64);
	}
}

const struct subs_group *subs_next_run(
	struct match_query *query, const struct subs_group *previous, struct subs_run *ret_run)
{
	const uint32_t ahead = 4;
	uint32_t index = previous ? previous->index + 1 : 0;
	const struct subs_group *group = group_at(query, index);
	for (; group && !group->stream->handle; group = group_at(query, index)) {
		index++;
	}
	if (group) {
		fetch(group_at(query, index + ahead));
		ret_run->handle = group->stream->handle;
		ret_run->ids = group_run(group);
		ret_run->count = group->count;
	}
	return group;
}

/* ---- subscriptions --------------------------------------------------------------------------- */

static struct subscription *subscription_new(struct subs_group *group, struct bytes id)
{
	struct subscription *subscription = mem_alloc(sizeof(*subscription) + wire_id_size(id));
	if (subscription) {
		subscription->group = group;
		subscription->id_size = (uint32_t)id.size;
		(void)wire_id_write(id, subscription->encoded);
	}
	return subscription;
}

static void count(struct subs *subs, struct subs_stream *stream, struct subs_database *database,
	ptrdiff_t change)
{
	stream->count += (size_t)change;
	database->count += (size_t)change;
	subs->count += (size_t)change;
	metrics_add(subs->metrics, METRIC_subscriptions_active, change);
	subs_database_drop_if_empty(&subs->databases, database);
}

static enum err insert(struct subs *subs, struct subs_stream *stream, struct bytes id,
	struct subs_database *database, struct match_query *query)
{
	struct subs_group *group = NULL;
	enum err err = group_get(subs, stream, query, id, &group);
	if (err != OK) {
		return err;
	}
	group->database = database;
	struct subscription *subscription = subscription_new(group, id);
	err = subscription ? group_add(group, subscription) : ERR_MEMORY;
	if (err != OK) {
		goto failed;
	}
	err = map_insert(&subs->by_id, subscription);
	if (err != OK) {
		group_remove(group, id);
		goto failed;
	}
	count(subs, stream, database, 1);
	return OK;
failed:
	mem_free(subscription);
	if (group->count == 0) {
		group_free(subs, group);
	}
	return err;
}

static void remove_subscription(struct subs *subs, struct subscription *subscription)
{
	struct subs_group *group = subscription->group;
	struct subs_stream *stream = group->stream;
	struct subs_database *database = group->database;
	struct match_query *query = group->query;
	check(map_remove(&subs->by_id, subscription));
	group_remove(group, id_of(subscription));
	mem_free(subscription);
	if (group->count == 0) {
		group_free(subs, group);
	}
	match_query_put(subs->match, query);
	count(subs, stream, database, -1);
}

/* At most `most` of a group whose stream has been freed; how many they were. */
static size_t remove_some(struct subs *subs, struct subs_group *group, size_t most)
{
	struct subs_stream *stream = group->stream;
	struct subs_database *database = group->database;
	struct match_query *query = group->query;
	size_t ids = group->count < most ? group->count : most;
	struct bytes rest = group_run(group);
	struct id_key key = {stream, {NULL, 0}};
	for (size_t i = 0; i < ids; i++) {
		check(wire_id_next(&rest, &key.id));
		struct subscription *subscription = map_find(&subs->by_id, &key);
		check(map_remove(&subs->by_id, subscription));
		mem_free(subscription); /* an only one is the run itself, which ends with it */
	}
	group->count -= (uint32_t)ids;
	if (group->count == 0) {
		group_free(subs, group);
	} else {
		memmove(group->run.ids, rest.data, rest.size);
		group->size = (uint32_t)rest.size;
	}
	for (size_t i = 0; i < ids; i++) {
		match_query_put(subs->match, query);
	}
	count(subs, stream, database, -(ptrdiff_t)ids);
	return ids;
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
		subs_refuse(subs, answer, MODEL_REFUSED_ID, subs->text);
		return true;
	}
	if (map_find(&subs->by_id, &key)) {
		subs_refuse(
			subs, answer, MODEL_REFUSED_DUPLICATE, "subscription ID already exists");
		return true;
	}
	return false;
}

/* A stream that has asked the same before may ask it again. */
static bool refuse_residual(struct subs *subs, struct subs_stream *stream,
	struct match_query *query, struct model_answer *answer)
{
	const struct group_key key = {stream, query};
	if (!match_query_is_residual(query) ||
		stream->residuals < subs->limits.residuals_per_stream_max ||
		find_open(subs, &key)) {
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

static enum err insert_counted(struct subs *subs, struct subs_stream *stream,
	const struct model_subscription *subscription, struct match_query *query)
{
	struct subs_database *database = NULL;
	enum err err = subs_database_get(&subs->databases, subscription->database, &database);
	if (err == OK) {
		err = insert(subs, stream, subscription->id, database, query);
		if (err != OK) {
			subs_database_drop_if_empty(&subs->databases, database);
		}
	}
	return err;
}

static void add(struct subs *subs, struct subs_stream *stream,
	const struct model_subscription *subscription, const struct err_info *refusal,
	struct model_answer *ret_answer)
{
	check(subscription->id.size > 0);
	*ret_answer = (struct model_answer){.id = subscription->id};
	if (refuse_id(subs, stream, ret_answer) ||
		subs_refuse_by_limit(subs, stream, subscription->database, ret_answer)) {
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
		err = insert_counted(subs, stream, subscription, query);
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

void subs_add(struct subs *subs, struct subs_stream *stream,
	const struct model_subscription *subscription, const struct err_info *refusal,
	struct model_answer *ret_answer)
{
	size_t before = mem_used();
	add(subs, stream, subscription, refusal, ret_answer);
	note_bytes(subs, before);
}

enum err subs_remove(struct subs *subs, struct subs_stream *stream, struct bytes id)
{
	const struct id_key key = {stream, id};
	struct subscription *subscription = map_find(&subs->by_id, &key);
	if (!subscription) {
		return ERR_NOT_FOUND;
	}
	size_t before = mem_used();
	remove_subscription(subs, subscription);
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

static bool sweep(struct subs *subs, size_t most)
{
	while (subs->freed) {
		struct subs_stream *stream = subs->freed;
		while (stream->groups) {
			if (most == 0) {
				return true;
			}
			most -= remove_some(subs, stream->groups, most);
		}
		subs->freed = stream->next_freed;
		mem_free(stream);
	}
	return false;
}

bool subs_sweep(struct subs *subs, size_t most)
{
	size_t before = mem_used();
	bool is_left = sweep(subs, most);
	note_bytes(subs, before);
	return is_left;
}
