/*
 * The changes of a source, encoded once for all subscribers and kept in a ring: the newest
 * PULLER_KEPT_MAX of them, at most PULLER_KEPT_BYTES_MAX, and never fewer than one. A change that
 * the source has given is not lost for want of memory: it is set aside, and the source not asked
 * again before it is kept.
 */
#include "puller_priv.h"

#include <string.h>

enum err puller_kept_open(struct puller_changes *changes, const struct puller_source *source)
{
	changes->entries = mem_calloc(PULLER_KEPT_MAX, sizeof *changes->entries);
	if (!changes->entries) {
		return ERR_MEMORY;
	}
	changes->capacity = PULLER_KEPT_MAX;
	changes->source = *source;
	changes->has_source = true;
	return OK;
}

static struct puller_entry *slot(struct puller_changes *changes, uint64_t position)
{
	return &changes->entries[position & (changes->capacity - 1)];
}

void puller_kept_drop(struct puller_changes *changes)
{
	struct puller_entry *oldest = slot(changes, changes->first);
	changes->kept_bytes -= oldest->size;
	mem_free(oldest->at.kept.data);
	changes->first++;
}

static enum err keep(
	struct puller_changes *changes, const struct model_change *change, struct err_info *info)
{
	struct puller_entry entry;
	const struct model_source_message message = {.has_change = true, .change = *change};
	enum err err = puller_changes_describe(changes, change, &entry, info);
	if (err) {
		return err;
	}
	changes->encoded.size = 0;
	err = wire_source_message_encode(&changes->encoded, &message);
	if (err) {
		return err_set(info, err, 0, "it cannot be encoded: %s", err_text(err));
	}
	struct bytes encoded = buffer_bytes(&changes->encoded);
	if (encoded.size > UINT32_MAX) {
		return err_set(info, ERR_LIMIT, 0, "it is too large");
	}
	char *data = mem_alloc(encoded.size + change->event_id.size);
	if (!data) {
		return ERR_MEMORY;
	}
	memcpy(data, encoded.data, encoded.size);
	memcpy(data + encoded.size, change->event_id.data, change->event_id.size);
	entry.size = (uint32_t)encoded.size;
	entry.at.kept.data = data;
	entry.at.kept.id_size = change->event_id.size;
	if (changes->end - changes->first == changes->capacity) {
		puller_kept_drop(changes);
	}
	*slot(changes, changes->end) = entry;
	changes->end++;
	changes->kept_bytes += entry.size;
	while (changes->kept_bytes > PULLER_KEPT_BYTES_MAX && changes->end - changes->first > 1) {
		puller_kept_drop(changes);
	}
	return OK;
}

/* The source's next change is set aside. */
static enum err fetch(struct puller_changes *changes)
{
	while (!changes->has_aside) {
		struct model_source_message message = {0};
		enum err err = changes->is_over
			? ERR_CLOSED
			: changes->source.next(changes->source.ctx, &message);
		if (err) {
			changes->is_over = err == ERR_CLOSED;
			return ERR_EMPTY;
		}
		changes->aside = message;
		changes->has_aside = message.has_change;
	}
	return OK;
}

enum err puller_kept_pull(struct puller_changes *changes, int64_t wall_us)
{
	for (;;) {
		struct err_info info = {0};
		enum err err = fetch(changes);
		if (err) {
			return err;
		}
		struct model_change change = changes->aside.change;
		if (change.backend.size == 0) {
			change.backend = buffer_bytes(&changes->backend);
		}
		err = keep(changes, &change, &info);
		if (err == ERR_MEMORY) {
			return err;
		}
		changes->has_aside = false;
		if (!err) {
			return OK;
		}
		log_write(changes->log, wall_us, LOG_WARNING,
			"puller: a change of the source is dropped, event_id=%.*s reason=%s",
			BYTES_FORMAT(change.event_id), info.text);
	}
}

struct puller_change puller_kept_read(const struct puller_changes *changes, uint64_t position)
{
	const struct puller_entry *entry = puller_changes_entry(changes, position);
	const char *data = entry->at.kept.data;
	return (struct puller_change){
		.encoded = {data, entry->size},
		.event_id = {data + entry->size, entry->at.kept.id_size},
		.backend = buffer_bytes(&changes->backends[entry->backend]),
	};
}
