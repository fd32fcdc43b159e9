/*
 * A change is a repeat if its (T, I) is older than its backend's newest, or equal to it with an
 * event id already seen there: a transaction puts several changes at one (T, I). Names and ids are
 * kept as 128 seeded bits each, which do not meet by chance.
 *
 * Bounds: the ids beyond IDS_MAX at one (T, I) and the backends beyond BACKENDS_MAX are not
 * remembered, so that their repeats are handed on a second time; nothing is ever lost by that. A
 * change without a cluster time (0, 0) has no place in an order and never is a repeat.
 *
 * A life may begin in the midst of a transaction. Where the source shows it from its beginning
 * after all, because it does not take the marker, what comes ahead of what was seen of it is a
 * repeat too.
 */
#include "ingest_priv.h"

#define BACKENDS_MAX 1024
#define IDS_MAX 4096

struct key {
	uint64_t high, low;
};

struct backend {
	struct key name;
	uint32_t seconds, increment; /* the newest */
	struct key *ids;             /* seen there */
	size_t ids_count, ids_capacity;
	bool is_rewound; /* none of these has come again yet */
};

static struct key key_of(const struct ingest_repeats *repeats, struct bytes text)
{
	return (struct key){bytes_hash(text, repeats->seed), bytes_hash(text, ~repeats->seed)};
}

static bool key_equal(struct key a, struct key b)
{
	return a.high == b.high && a.low == b.low;
}

static bool is_backend(const void *item, const void *key)
{
	const struct backend *backend = item;
	const struct key *name = key;
	return key_equal(backend->name, *name);
}

static uint64_t hash_key(const void *key, uint64_t seed)
{
	return bytes_hash((struct bytes){key, sizeof(struct key)}, seed);
}

static uint64_t hash_backend(const void *item, uint64_t seed)
{
	return hash_key(&((const struct backend *)item)->name, seed);
}

static const struct map_type backend_type = {hash_key, hash_backend, is_backend};

void ingest_repeats_init(struct ingest_repeats *repeats, uint64_t seed)
{
	*repeats = (struct ingest_repeats){.seed = seed};
	map_init(&repeats->backends, &backend_type, seed);
}

static struct backend *find(const struct ingest_repeats *repeats, const struct model_change *change)
{
	struct key name = key_of(repeats, change->backend);
	return map_find(&repeats->backends, &name);
}

static bool has_time(const struct model_change *change)
{
	return change->cluster_seconds > 0 || change->cluster_increment > 0;
}

/* Order of the change's (T, I) and the backend's newest. */
static int order(const struct model_change *change, const struct backend *backend)
{
	uint64_t a = (uint64_t)change->cluster_seconds << 32 | change->cluster_increment;
	uint64_t b = (uint64_t)backend->seconds << 32 | backend->increment;
	return a < b ? -1 : a > b;
}

void ingest_repeats_fini(struct ingest_repeats *repeats)
{
	size_t cursor = 0;
	for (;;) {
		struct backend *backend = map_next(&repeats->backends, &cursor);
		if (!backend) {
			break;
		}
		mem_free(backend->ids);
		mem_free(backend);
	}
	map_fini(&repeats->backends);
}

void ingest_repeats_rewind(struct ingest_repeats *repeats)
{
	size_t cursor = 0;
	for (;;) {
		struct backend *backend = map_next(&repeats->backends, &cursor);
		if (!backend) {
			return;
		}
		backend->is_rewound = true;
	}
}

bool ingest_repeats_has(struct ingest_repeats *repeats, const struct model_change *change)
{
	struct backend *backend = has_time(change) ? find(repeats, change) : NULL;
	if (!backend || order(change, backend) > 0) {
		return false;
	}
	if (order(change, backend) < 0) {
		return true;
	}
	struct key id = key_of(repeats, change->event_id);
	for (size_t i = 0; i < backend->ids_count; i++) {
		if (key_equal(backend->ids[i], id)) {
			backend->is_rewound = false;
			return true;
		}
	}
	return backend->is_rewound;
}

static enum err add_backend(
	struct ingest_repeats *repeats, struct bytes name, struct backend **ret_backend)
{
	struct backend *backend = mem_calloc(1, sizeof *backend);
	if (!backend) {
		return ERR_MEMORY;
	}
	backend->name = key_of(repeats, name);
	enum err err = map_insert(&repeats->backends, backend);
	if (err) {
		mem_free(backend);
		return err;
	}
	*ret_backend = backend;
	return OK;
}

enum err ingest_repeats_prepare(struct ingest_repeats *repeats, const struct model_change *change)
{
	if (!has_time(change)) {
		return OK;
	}
	struct backend *backend = find(repeats, change);
	if (!backend && repeats->backends.count < BACKENDS_MAX) {
		enum err err = add_backend(repeats, change->backend, &backend);
		if (err) {
			return err;
		}
	}
	if (!backend || backend->ids_count < backend->ids_capacity ||
		backend->ids_capacity == IDS_MAX) {
		return OK;
	}
	size_t capacity = backend->ids_capacity > 0 ? backend->ids_capacity * 2 : 4;
	struct key *ids = mem_realloc(backend->ids, capacity * sizeof *ids);
	if (!ids) {
		return ERR_MEMORY;
	}
	backend->ids = ids;
	backend->ids_capacity = capacity;
	return OK;
}

void ingest_repeats_commit(struct ingest_repeats *repeats, const struct model_change *change)
{
	struct backend *backend = has_time(change) ? find(repeats, change) : NULL;
	if (!backend) {
		return;
	}
	if (order(change, backend) > 0) {
		backend->seconds = change->cluster_seconds;
		backend->increment = change->cluster_increment;
		backend->ids_count = 0;
		backend->is_rewound = false;
	}
	if (backend->ids_count < backend->ids_capacity) {
		backend->ids[backend->ids_count++] = key_of(repeats, change->event_id);
	}
}
