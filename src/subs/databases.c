/* How many subscriptions each database has: a record as long as it has any. */
#include "subs_priv.h"

#include <string.h>

struct subs_database {
	size_t count; /* of subscriptions */
	size_t name_size;
	char name[];
};

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

static enum err make(struct map *databases, struct bytes name, struct subs_database **ret_database)
{
	struct subs_database *database = mem_calloc(1, sizeof(*database) + name.size);
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
	*ret_database = database;
	return OK;
}

enum err subs_database_enter(struct map *databases, struct bytes name)
{
	struct subs_database *database = map_find(databases, &name);
	enum err err = database ? OK : make(databases, name, &database);
	if (err == OK) {
		database->count++;
	}
	return err;
}

void subs_database_leave(struct map *databases, struct bytes name)
{
	struct subs_database *database = map_find(databases, &name);
	check(database);
	if (--database->count == 0) {
		check(map_remove(databases, database));
		mem_free(database);
	}
}
