/*
 * A bounded memory of documents seen: which id and collection stand behind an identity, and whether
 * the document was last seen deleted. Deletes lose the id on their way here, so without it most of
 * them could not say what they delete. The memory is a help, not a promise: what was not seen for
 * longest is forgotten first, and lack of memory forgets the newest.
 */
#include "ingest_priv.h"

#include <string.h>

struct ingest_id_entry {
	struct ingest_id_entry *newer, *older;
	uint64_t hash; /* of database and identity */
	struct event_identity identity;
	struct ingest_known known; /* its bytes follow */
	size_t size;
	char text[];
};

/* The database is in the seeded hash alone: 64 bits, and the identity's 128 beside them. */
static bool entry_is(const void *item, const void *key)
{
	const struct ingest_id_entry *entry = item;
	const struct event_identity *wanted = key;
	return memcmp(entry->identity.bytes, wanted->bytes, EVENT_IDENTITY_SIZE) == 0;
}

static void unlink_entry(struct ingest_ids *ids, struct ingest_id_entry *entry)
{
	if (entry->newer) {
		entry->newer->older = entry->older;
	} else {
		ids->newest = entry->older;
	}
	if (entry->older) {
		entry->older->newer = entry->newer;
	} else {
		ids->oldest = entry->newer;
	}
	entry->newer = NULL;
	entry->older = NULL;
}

static void link_newest(struct ingest_ids *ids, struct ingest_id_entry *entry)
{
	entry->older = ids->newest;
	if (entry->older) {
		entry->older->newer = entry;
	} else {
		ids->oldest = entry;
	}
	ids->newest = entry;
}

static void forget(struct ingest_ids *ids, struct ingest_id_entry *entry)
{
	check(map_remove(&ids->entries, entry->hash, entry));
	unlink_entry(ids, entry);
	ids->bytes -= entry->size;
	mem_free(entry);
}

void ingest_ids_fini(struct ingest_ids *ids)
{
	while (ids->oldest) {
		forget(ids, ids->oldest);
	}
	map_fini(&ids->entries);
}

struct ingest_spot ingest_ids_find(
	const struct ingest_ids *ids, struct bytes database, const struct event_identity *identity)
{
	struct bytes bytes = {(const char *)identity->bytes, EVENT_IDENTITY_SIZE};
	struct ingest_spot spot = {.hash = bytes_hash(bytes, bytes_hash(database, ids->seed))};
	spot.entry = map_find(&ids->entries, spot.hash, identity, entry_is);
	spot.known = spot.entry ? &spot.entry->known : NULL;
	return spot;
}

/* Makes room for `size` bytes by forgetting the oldest; false if that much is never there. */
static bool make_room(struct ingest_ids *ids, size_t size)
{
	if (size > ids->bytes_max) {
		return false;
	}
	while (ids->bytes + size > ids->bytes_max) {
		forget(ids, ids->oldest);
	}
	return true;
}

static void remember(struct ingest_ids *ids, uint64_t hash, const struct event *event)
{
	size_t text_size = event->collection.size + event->document_id.size;
	/* The slot of the map is counted too, at the load that it has in the mean. */
	size_t size = sizeof(struct ingest_id_entry) + text_size + 2 * sizeof(struct map_slot);
	if (!make_room(ids, size)) {
		return;
	}
	struct ingest_id_entry *entry = mem_alloc(sizeof(*entry) + text_size);
	if (!entry) {
		return;
	}
	*entry = (struct ingest_id_entry){.hash = hash, .identity = event->identity, .size = size};
	memcpy(entry->text, event->collection.data, event->collection.size);
	memcpy(entry->text + event->collection.size, event->document_id.data,
		event->document_id.size);
	entry->known.collection = (struct bytes){entry->text, event->collection.size};
	entry->known.id =
		(struct bytes){entry->text + event->collection.size, event->document_id.size};
	entry->known.is_deleted = event->operation == MODEL_DELETE;
	if (map_insert(&ids->entries, entry->hash, entry) != OK) {
		mem_free(entry);
		return;
	}
	link_newest(ids, entry);
	ids->bytes += size;
}

void ingest_ids_note(
	struct ingest_ids *ids, const struct ingest_spot *spot, const struct event *event)
{
	struct ingest_id_entry *entry = spot->entry;
	if (!event->has_identity) {
		return;
	}
	if (!entry) {
		if (event->document_id.size > 0) {
			remember(ids, spot->hash, event);
		}
		return;
	}
	entry->known.is_deleted = event->operation == MODEL_DELETE;
	unlink_entry(ids, entry);
	link_newest(ids, entry);
}
