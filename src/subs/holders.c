/*
 * A query's slot leads to its holders, one or a fan of them. Most queries have one subscription,
 * which is its own holder. When another id of the same stream comes, both become members of a
 * group. Ids that want the document and ids that want none have different holders.
 *
 * An id keeps its place in its group's run only until another one leaves, so removal looks for it
 * there. A run is therefore short: when RUN_BYTES is reached, the stream opens another holder. The
 * full one is found through its subscriptions only, and takes no more.
 */
#include "subs_priv.h"
#include "wire.h"

#include <string.h>

/* Some hundred UUIDs: a walk through them costs no more than a look-up in a large map. */
#define RUN_BYTES 4096

/* Holders of one query that stand before this are looked through; those behind are in a map. */
#define FAN_SEARCHED 8U

/*
 * The holders of a query that has more than one. Its address is even: a slot with the lowest bit
 * set is a fan's, any other a holder's.
 */
struct fan {
	uint32_t count, capacity;
	struct subs_holder *holders[];
};

/* ---- keys ------------------------------------------------------------------------------------ */

static const struct subs_text *text_of(const struct subs_subscription *subscription)
{
	return (const struct subs_text *)(const void *)subscription->id;
}

/* The bytes that are kept of an id. */
static struct bytes kept(const struct subs_id *id)
{
	return id->is_uuid ? (struct bytes){(const char *)id->uuid, SUBS_UUID_BYTES} : id->text;
}

static struct bytes kept_of(const struct subs_subscription *subscription)
{
	if (subscription->holder.is_uuid) {
		return (struct bytes){subscription->id, SUBS_UUID_BYTES};
	}
	const struct subs_text *text = text_of(subscription);
	const struct bytes size_only = {NULL, text->size};
	return (struct bytes){text->encoded + wire_id_size(size_only) - text->size, text->size};
}

static uint64_t hash_id(const void *key, uint64_t seed)
{
	return bytes_hash(kept(key), seed);
}

static uint64_t hash_subscription(const void *item, uint64_t seed)
{
	return bytes_hash(kept_of(item), seed);
}

static bool id_is(const void *item, const void *key)
{
	const struct subs_subscription *subscription = item;
	const struct subs_id *id = key;
	return subscription->holder.is_uuid == id->is_uuid &&
		bytes_equal(kept_of(subscription), kept(id));
}

const struct map_type subs_id_type = {hash_id, hash_subscription, id_is};

struct holder_key {
	const struct subs_stream *stream;
	const struct match_query *query;
	bool is_bare;
};

static uint64_t hash_holder_key(const void *key, uint64_t seed)
{
	const struct holder_key *wanted = key;
	const uint64_t words[2] = {
		wanted->stream->number << 1 | wanted->is_bare, (uint64_t)(uintptr_t)wanted->query};
	return bytes_hash((struct bytes){(const char *)words, sizeof(words)}, seed);
}

static uint64_t hash_holder(const void *item, uint64_t seed)
{
	const struct subs_holder *holder = item;
	const struct holder_key key = {holder->stream, holder->of.query, holder->is_bare};
	return hash_holder_key(&key, seed);
}

static bool holder_is(const void *item, const void *key)
{
	const struct subs_holder *holder = item;
	const struct holder_key *wanted = key;
	return holder->stream == wanted->stream && holder->of.query == wanted->query &&
		holder->is_bare == wanted->is_bare;
}

const struct map_type subs_holder_type = {hash_holder_key, hash_holder, holder_is};

/* ---- fans ------------------------------------------------------------------------------------ */

static struct fan *fan_of(struct match_query *query)
{
	uintptr_t slot = (uintptr_t)*match_query_slot(query);
	return slot & 1 ? (struct fan *)(slot - 1) : NULL;
}

static void set_fan(struct match_query *query, struct fan *fan)
{
	*match_query_slot(query) = (void *)((uintptr_t)fan + 1);
}

/* The query's holder of this number, or NULL. */
static struct subs_holder *holder_at(struct match_query *query, uint32_t index)
{
	const struct fan *fan = fan_of(query);
	if (fan) {
		return index < fan->count ? fan->holders[index] : NULL;
	}
	return index == 0 ? *match_query_slot(query) : NULL;
}

static size_t fan_bytes(uint32_t capacity)
{
	return sizeof(struct fan) + capacity * sizeof(struct subs_holder *);
}

/* A fan with room for one more. */
static enum err fan_reserve(struct pool *pool, struct match_query *query, struct fan **ret_fan)
{
	struct fan *old = fan_of(query);
	if (old && old->count < old->capacity) {
		*ret_fan = old;
		return OK;
	}
	uint32_t capacity = old ? old->capacity * 2 : 4;
	struct fan *fan =
		pool_resize(pool, old, old ? fan_bytes(old->capacity) : 0, fan_bytes(capacity));
	if (!fan) {
		return ERR_MEMORY;
	}
	fan->capacity = capacity;
	if (!old) {
		fan->holders[0] = *match_query_slot(query);
		fan->count = 1;
	}
	set_fan(query, fan);
	*ret_fan = fan;
	return OK;
}

static enum err join_query(struct pool *pool, struct subs_holder *holder)
{
	void **slot = match_query_slot(holder->of.query);
	if (!*slot) {
		*slot = holder;
		return OK;
	}
	struct fan *fan = NULL;
	enum err err = fan_reserve(pool, holder->of.query, &fan);
	if (err == OK) {
		holder->index = fan->count;
		fan->holders[fan->count++] = holder;
	}
	return err;
}

/* The last one takes its place, so that those without the map stay in front. */
static void leave_query(struct pool *pool, const struct subs_holder *holder)
{
	struct match_query *query = holder->of.query;
	struct fan *fan = fan_of(query);
	if (!fan) {
		*match_query_slot(query) = NULL;
		return;
	}
	struct subs_holder *last = fan->holders[--fan->count];
	last->index = holder->index;
	fan->holders[holder->index] = last;
	if (fan->count == 1) {
		*match_query_slot(query) = fan->holders[0];
		pool_free(pool, fan, fan_bytes(fan->capacity));
	}
}

static void replace_in_query(const struct subs_holder *old, struct subs_holder *holder)
{
	struct fan *fan = fan_of(old->of.query);
	if (fan) {
		fan->holders[old->index] = holder;
	} else {
		*match_query_slot(old->of.query) = holder;
	}
}

/* ---- holders --------------------------------------------------------------------------------- */

static struct subs_group *group_of(struct subs_holder *holder)
{
	return (struct subs_group *)(void *)holder;
}

static struct subs_subscription *subscription_of(struct subs_holder *holder)
{
	return (struct subs_subscription *)(void *)holder;
}

struct match_query *subs_query_of(const struct subs_subscription *subscription)
{
	const struct subs_holder *holder = &subscription->holder;
	return holder->kind == SUBS_MEMBER ? holder->of.group->holder.of.query : holder->of.query;
}

struct subs_holder *subs_find_open(const struct subs *subs, const struct subs_stream *stream,
	struct match_query *query, bool is_bare)
{
	for (uint32_t i = 0; i < FAN_SEARCHED; i++) {
		struct subs_holder *holder = holder_at(query, i);
		if (!holder) {
			return NULL;
		}
		if (holder->stream == stream && holder->is_open && holder->is_bare == is_bare) {
			return holder;
		}
	}
	const struct holder_key key = {stream, query, is_bare};
	return map_find(&subs->holders, &key);
}

bool subs_has_open(
	const struct subs *subs, const struct subs_stream *stream, struct match_query *query)
{
	return subs_find_open(subs, stream, query, false) ||
		subs_find_open(subs, stream, query, true);
}

/* Whether it alone makes its query one of its stream's residuals: its twin, of the ids that want
 * the document or those that want none, does not. */
static bool is_residual_alone(const struct subs *subs, const struct subs_holder *holder)
{
	return match_query_is_residual(holder->of.query) &&
		!subs_find_open(subs, holder->stream, holder->of.query, !holder->is_bare);
}

static void close_holder(struct subs *subs, struct subs_holder *holder)
{
	if (holder->is_mapped) {
		check(map_remove(&subs->holders, holder));
		holder->is_mapped = false;
	}
	holder->is_open = false;
	holder->stream->residuals -= is_residual_alone(subs, holder);
}

/* An open holder, in the place of `full` (may be NULL) if there was one. */
static enum err open_holder(struct subs *subs, struct subs_holder *holder, struct subs_holder *full)
{
	enum err err = join_query(&subs->pool, holder);
	if (err != OK) {
		return err;
	}
	if (holder->index >= FAN_SEARCHED) {
		err = map_insert(&subs->holders, holder);
		if (err != OK) {
			leave_query(&subs->pool, holder);
			return err;
		}
		holder->is_mapped = true;
	}
	if (full) {
		close_holder(subs, full);
	}
	holder->stream->residuals += is_residual_alone(subs, holder);
	holder->is_open = true;
	return OK;
}

static void remove_holder(struct subs *subs, struct subs_holder *holder)
{
	if (holder->is_open) {
		close_holder(subs, holder);
	}
	leave_query(&subs->pool, holder);
}

/* ---- subscriptions --------------------------------------------------------------------------- */

static size_t subscription_size(bool is_uuid, size_t id_size)
{
	size_t text = sizeof(struct subs_text) + wire_id_size((struct bytes){NULL, id_size});
	return sizeof(struct subs_subscription) + (is_uuid ? SUBS_UUID_BYTES : text);
}

static struct subs_subscription *subscription_new(struct subs *subs, struct subs_stream *stream,
	struct match_query *query, const struct subs_id *id)
{
	size_t size = subscription_size(id->is_uuid, id->text.size);
	struct subs_subscription *subscription = pool_alloc(&subs->pool, size);
	if (!subscription) {
		return NULL;
	}
	subscription->holder = (struct subs_holder){
		.stream = stream, .of.query = query, .kind = SUBS_ALONE, .is_uuid = id->is_uuid};
	if (id->is_uuid) {
		memcpy(subscription->id, id->uuid, SUBS_UUID_BYTES);
	} else {
		struct subs_text *text = (struct subs_text *)(void *)subscription->id;
		text->size = (uint32_t)id->text.size;
		(void)wire_id_write(id->text, text->encoded);
	}
	return subscription;
}

static void subscription_free(struct subs *subs, struct subs_subscription *subscription)
{
	bool is_uuid = subscription->holder.is_uuid;
	size_t id_size = is_uuid ? 0 : text_of(subscription)->size;
	pool_free(&subs->pool, subscription, subscription_size(is_uuid, id_size));
}

/* Its id as it goes out; `own` is room for one that has to be written. */
static struct bytes encoded(const struct subs_subscription *subscription, char *own)
{
	if (!subscription->holder.is_uuid) {
		const struct subs_text *text = text_of(subscription);
		return (struct bytes){text->encoded, wire_id_size(kept_of(subscription))};
	}
	subs_id_write_uuid((const unsigned char *)subscription->id, own);
	return (struct bytes){own, SUBS_OWN_BYTES};
}

/* ---- groups ---------------------------------------------------------------------------------- */

static size_t size_of(struct subs_holder *holder)
{
	if (holder->kind == SUBS_GROUP) {
		return group_of(holder)->size;
	}
	return holder->is_uuid ? SUBS_OWN_BYTES : wire_id_size(kept_of(subscription_of(holder)));
}

/* Memory of its own for a run of so many bytes. */
static enum err group_reserve(struct pool *pool, struct subs_group *group, size_t size)
{
	if (size <= group->capacity) {
		return OK;
	}
	size_t capacity = group->capacity > 0 ? group->capacity : 64;
	while (capacity < size) {
		capacity *= 2;
	}
	char *ids = pool_resize(pool, group->ids, group->capacity, capacity);
	if (!ids) {
		return ERR_MEMORY;
	}
	group->ids = ids;
	group->capacity = (uint32_t)capacity;
	return OK;
}

static enum err group_append(
	struct pool *pool, struct subs_group *group, const struct subs_subscription *subscription)
{
	char own[SUBS_OWN_BYTES];
	struct bytes id = encoded(subscription, own);
	enum err err = group_reserve(pool, group, group->size + id.size);
	if (err == OK) {
		check(group->ids);
		memcpy(group->ids + group->size, id.data, id.size);
		group->size += (uint32_t)id.size;
		group->count++;
	}
	return err;
}

static void become_member(struct subs_subscription *subscription, struct subs_group *group)
{
	subscription->holder = (struct subs_holder){.stream = group->holder.stream,
		.of.group = group,
		.kind = SUBS_MEMBER,
		.is_uuid = subscription->holder.is_uuid,
		.is_bare = group->holder.is_bare};
}

static void group_free(struct subs *subs, struct subs_group *group)
{
	pool_free(&subs->pool, group->ids, group->capacity);
	pool_free(&subs->pool, group, sizeof(*group));
}

/* In the place of a subscription that was alone, which becomes its first member. */
static enum err group_new(
	struct subs *subs, struct subs_subscription *first, struct subs_group **ret_group)
{
	struct subs_holder *alone = &first->holder;
	struct subs_group *group = pool_alloc(&subs->pool, sizeof(*group));
	if (!group) {
		return ERR_MEMORY;
	}
	*group = (struct subs_group){.holder = *alone};
	group->holder.kind = SUBS_GROUP;
	enum err err = group_append(&subs->pool, group, first);
	if (err == OK && alone->is_mapped) {
		err = map_insert(&subs->holders, group);
	}
	if (err != OK) {
		group_free(subs, group);
		return err;
	}
	check(!alone->is_mapped || map_remove(&subs->holders, alone));
	replace_in_query(alone, &group->holder);
	become_member(first, group);
	*ret_group = group;
	return OK;
}

static enum err group_add(
	struct pool *pool, struct subs_group *group, struct subs_subscription *subscription)
{
	enum err err = group_append(pool, group, subscription);
	if (err == OK) {
		become_member(subscription, group);
	}
	return err;
}

/* A run that was full and is so no more keeps no more memory than one that has grown to its size.
 */
static void group_shrink(struct pool *pool, struct subs_group *group)
{
	if (group->size > 0 && group->size <= group->capacity / 4) {
		char *ids = pool_resize(pool, group->ids, group->capacity, group->capacity / 2);
		if (ids) {
			group->ids = ids;
			group->capacity /= 2;
		}
	}
}

static void group_remove(struct pool *pool, struct subs_group *group, struct bytes id)
{
	struct bytes rest = {group->ids, group->size};
	struct bytes found;
	const char *start = rest.data;
	while (wire_id_next(&rest, &found)) {
		size_t size = (size_t)(rest.data - start);
		if (size == id.size && memcmp(start, id.data, size) == 0) {
			memmove(group->ids + (start - group->ids), rest.data, rest.size);
			group->size -= (uint32_t)size;
			group_shrink(pool, group);
			return;
		}
		start = rest.data;
	}
	check(false);
}

/* ---- coming and going ------------------------------------------------------------------------ */

enum err subs_join(struct subs *subs, struct subs_stream *stream, struct match_query *query,
	const struct subs_id *id, bool is_bare, struct subs_subscription **ret_subscription)
{
	struct subs_subscription *subscription = subscription_new(subs, stream, query, id);
	if (!subscription) {
		return ERR_MEMORY;
	}
	subscription->holder.is_bare = is_bare;
	struct subs_holder *holder = subs_find_open(subs, stream, query, is_bare);
	enum err err = OK;
	if (!holder || size_of(holder) + size_of(&subscription->holder) > RUN_BYTES) {
		err = open_holder(subs, &subscription->holder, holder);
	} else {
		struct subs_group *group = group_of(holder);
		if (holder->kind == SUBS_ALONE) {
			err = group_new(subs, subscription_of(holder), &group);
		}
		err = err == OK ? group_add(&subs->pool, group, subscription) : err;
	}
	if (err != OK) {
		subscription_free(subs, subscription);
		return err;
	}
	*ret_subscription = subscription;
	return OK;
}

void subs_leave(struct subs *subs, struct subs_subscription *subscription)
{
	struct subs_holder *holder = &subscription->holder;
	if (holder->kind == SUBS_ALONE) {
		remove_holder(subs, holder);
	} else {
		struct subs_group *group = holder->of.group;
		group->count--;
		if (group->count == 0) {
			remove_holder(subs, &group->holder);
			group_free(subs, group);
		} else if (holder->stream->handle) {
			char own[SUBS_OWN_BYTES];
			group_remove(&subs->pool, group, encoded(subscription, own));
		}
	}
	subscription_free(subs, subscription);
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* How many holders of a fan are on their way to the cache before they are read. */
#define FETCHED_AHEAD 4U

/* A group, or a subscription whose id is a UUID, up to its last byte. */
static void fetch(const struct subs_holder *holder)
{
	if (holder) {
		__builtin_prefetch(holder);
		__builtin_prefetch((const char *)holder + sizeof(*holder) + SUBS_UUID_BYTES - 1);
	}
}

void subs_prefetch(struct match_query *query)
{
	const struct fan *fan = fan_of(query);
	for (uint32_t i = 0; fan && i < FETCHED_AHEAD && i < fan->count; i++) {
		fetch(fan->holders[i]);
	}
}

struct bytes subs_run_ids(const struct subs_run *run)
{
	return run->ids.data ? run->ids : (struct bytes){run->own, sizeof(run->own)};
}

const struct subs_holder *subs_next_run(
	struct match_query *query, const struct subs_holder *previous, struct subs_run *ret_run)
{
	uint32_t index = previous ? previous->index + 1 : 0;
	struct subs_holder *holder = holder_at(query, index);
	for (; holder && !holder->stream->handle; holder = holder_at(query, index)) {
		index++;
	}
	if (!holder) {
		return NULL;
	}
	fetch(holder_at(query, index + FETCHED_AHEAD));
	ret_run->handle = holder->stream->handle;
	ret_run->is_bare = holder->is_bare;
	ret_run->count = 1;
	if (holder->kind == SUBS_GROUP) {
		const struct subs_group *group = group_of(holder);
		ret_run->ids = (struct bytes){group->ids, group->size};
		ret_run->count = group->count;
	} else {
		struct bytes ids = encoded(subscription_of(holder), ret_run->own);
		ret_run->ids = holder->is_uuid ? (struct bytes){NULL, 0} : ids;
	}
	return holder;
}
