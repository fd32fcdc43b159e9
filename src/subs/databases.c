/* How many subscriptions each database has: a record as long as it has any. */
#include "subs_priv.h"

#include <string.h>

static struct bytes name_of(const struct subs_database *database)
{
	return (struct bytes){database->name, database->name_size};
}

static uint64_t hash_key(const void *key, uint64_t seed)
{
	const struct bytes *name = key;
	return bytes_hash(*name, seed);
}

static uint64_t hash_item(const void *item, uint64_t seed)
{
	return bytes_hash(name_of(item), seed);
}

static bool database_is(const void *item, const void *key)
{
	const struct bytes *name = key;
	return bytes_equal(name_of(item), *name);
}

const struct map_type subs_database_type = {hash_key, hash_item, database_is};

size_t subs_database_count(const struct map *databases, struct bytes name)
{
	const struct subs_database *database = map_find(databases, &name);
	return database ? database->count : 0;
}

enum err subs_database_get(
	struct map *databases, struct bytes name, struct subs_database **ret_database)
{
	struct subs_database *database = map_find(databases, &name);
	if (!database) {
		database = mem_calloc(1, sizeof(*database) + name.size);
		if (!database) {
			return ERR_MEMORY;
		}
		database->name_size = name.size;
		if (name.size > 0) {
			memcpy(database->name, name.data, name.size);
		}
		enum err err = map_insert(databases, database);
		if (err != OK) {
			mem_free(database);
			return err;
		}
	}
	*ret_database = database;
	return OK;
}

void subs_database_drop_if_empty(struct map *databases, struct subs_database *database)
{
	if (database->count == 0) {
		check(map_remove(databases, database));
		mem_free(database);
	}
}
