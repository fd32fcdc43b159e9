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
	struct ingest_document document;
	struct ingest_known known; /* its bytes follow */
	size_t size;
	char text[];
};

/* What the map takes for one entry, in the mean. */
#define SLOT_BYTES 24

static uint64_t hash_key(const void *key, uint64_t seed)
{
	const struct ingest_document *document = key;
	struct bytes identity = {(const char *)document->identity.bytes, EVENT_IDENTITY_SIZE};
	return bytes_hash(identity, seed ^ document->database);
}

static uint64_t hash_item(const void *item, uint64_t seed)
{
	return hash_key(&((const struct ingest_id_entry *)item)->document, seed);
}

static bool entry_is(const void *item, const void *key)
{
	const struct ingest_id_entry *entry = item;
	const struct ingest_document *wanted = key;
	return entry->document.database == wanted->database &&
		memcmp(entry->document.identity.bytes, wanted->identity.bytes,
			EVENT_IDENTITY_SIZE) == 0;
}

static const struct map_type entry_type = {hash_key, hash_item, entry_is};

void ingest_ids_init(struct ingest_ids *ids, uint64_t seed, size_t bytes_max)
{
	*ids = (struct ingest_ids){.seed = seed, .bytes_max = bytes_max};
	map_init(&ids->entries, &entry_type, seed);
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
	check(map_remove(&ids->entries, entry));
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
	struct ingest_spot spot = {.document = {bytes_hash(database, ids->seed), *identity}};
	spot.entry = map_find(&ids->entries, &spot.document);
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

static void remember(
	struct ingest_ids *ids, const struct ingest_document *document, const struct event *event)
{
	size_t text_size = event->collection.size + event->document_id.size;
	size_t size = sizeof(struct ingest_id_entry) + text_size + SLOT_BYTES;
	if (!make_room(ids, size)) {
		return;
	}
	struct ingest_id_entry *entry = mem_alloc(sizeof(*entry) + text_size);
	if (!entry) {
		return;
	}
	*entry = (struct ingest_id_entry){.document = *document, .size = size};
	memcpy(entry->text, event->collection.data, event->collection.size);
	memcpy(entry->text + event->collection.size, event->document_id.data,
		event->document_id.size);
	entry->known.collection = (struct bytes){entry->text, event->collection.size};
	entry->known.id =
		(struct bytes){entry->text + event->collection.size, event->document_id.size};
	entry->known.is_deleted = event->operation == MODEL_DELETE;
	if (map_insert(&ids->entries, entry) != OK) {
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
			remember(ids, &spot->document, event);
		}
		return;
	}
	entry->known.is_deleted = event->operation == MODEL_DELETE;
	unlink_entry(ids, entry);
	link_newest(ids, entry);
}
