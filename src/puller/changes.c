/*
 * The sequence of changes, whatever it is kept in: the table of backends, what an entry knows, and
 * where a marker stands. A file knows all of its changes before anybody subscribes, so it meets no
 * new backend later; a source may.
 */
#include "puller_priv.h"

#include <unistd.h>

void puller_changes_fini(struct puller_changes *changes)
{
	while (changes->has_source && changes->first < changes->end) {
		puller_kept_drop(changes);
	}
	if (!changes->has_source && changes->fd > STDIN_FILENO) {
		(void)close(changes->fd);
	}
	for (uint32_t i = 0; i < changes->backends_count; i++) {
		buffer_fini(&changes->backends[i]);
	}
	mem_free(changes->entries);
	buffer_fini(&changes->backend);
	buffer_fini(&changes->encoded);
	buffer_fini(&changes->event_id);
	buffer_fini(&changes->text);
	arena_fini(&changes->arena);
	*changes = (struct puller_changes){0};
}

/* UINT32_MAX: it is not known. */
static uint32_t find_backend(const struct puller_changes *changes, struct bytes name)
{
	for (uint32_t i = 0; i < changes->backends_count; i++) {
		if (bytes_equal(buffer_bytes(&changes->backends[i]), name)) {
			return i;
		}
	}
	return UINT32_MAX;
}

static enum err add_backend(struct puller_changes *changes, struct bytes name, uint32_t *ret_index)
{
	uint32_t index = find_backend(changes, name);
	if (index == UINT32_MAX) {
		if (changes->backends_count == PULLER_BACKENDS_MAX) {
			return ERR_LIMIT;
		}
		index = changes->backends_count;
		enum err err = buffer_append(&changes->backends[index], name);
		if (err) {
			return err;
		}
		changes->backends_count++;
	}
	*ret_index = index;
	return OK;
}

enum err puller_changes_describe(struct puller_changes *changes, const struct model_change *change,
	struct puller_entry *ret_entry, struct err_info *info)
{
	struct puller_entry entry = {0};
	struct puller_event_id id;
	if (!puller_event_id_parse(change->event_id, &id)) {
		return err_set(info, ERR_INVALID, 0,
			"event_id \"%.*s\" is not <seconds>-<increment>-<hash>",
			BYTES_FORMAT(change->event_id));
	}
	enum err err = add_backend(changes, change->backend, &entry.backend);
	if (err) {
		return err_set(info, err, 0, "%s",
			err == ERR_LIMIT ? "there are too many backends" : err_text(err));
	}
	entry.seconds = id.seconds;
	entry.increment = id.increment;
	entry.id_hash = bytes_hash(id.tail, id.seconds);
	*ret_entry = entry;
	return OK;
}

const struct puller_entry *puller_changes_entry(
	const struct puller_changes *changes, uint64_t position)
{
	if (changes->has_source) {
		return &changes->entries[position & (changes->capacity - 1)];
	}
	check(changes->count > 0);
	return &changes->entries[position % changes->count];
}

/*
 * Behind the event itself or, if it is not here (any more), before the first one of its backend
 * that is not older: better twice than never.
 */
uint64_t puller_changes_after(const struct puller_changes *changes, struct bytes backend,
	const struct puller_event_id *id)
{
	uint32_t index = find_backend(changes, backend);
	uint64_t from = changes->first;
	uint64_t to = changes->end;
	uint32_t seconds = id->seconds;
	if (!changes->has_source && changes->count > 0) {
		uint64_t round = puller_file_round(changes, id);
		seconds -= puller_file_shift(changes, round);
		from = round * changes->count;
		to = from + changes->count;
	}
	uint64_t hash = bytes_hash(id->tail, seconds);
	uint64_t place = to;
	for (uint64_t position = from; position < to; position++) {
		const struct puller_entry *entry = puller_changes_entry(changes, position);
		if (entry->backend != index) {
			continue;
		}
		if (entry->id_hash == hash) {
			return position + 1;
		}
		bool is_older = entry->seconds < seconds ||
			(entry->seconds == seconds && entry->increment < id->increment);
		if (place == to && !is_older) {
			place = position;
		}
	}
	return place;
}

enum err puller_changes_read(struct puller_changes *changes, uint64_t position, int64_t now_ms,
	struct puller_change *ret_change, struct err_info *info)
{
	if (!changes->has_source) {
		return puller_file_read(changes, position, now_ms, ret_change, info);
	}
	*ret_change = puller_kept_read(changes, position);
	return OK;
}
