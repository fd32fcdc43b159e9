/*
 * Progress markers wait here for their events to be routed. Markers at one sequence are one entry,
 * the newest; so there are at most as many entries as events under way, and never more than
 * MARKERS_MAX: beyond that the newest entry takes the new marker and its sequence, which only lets
 * the marker move later than it might.
 */
#include "ingest_priv.h"

#include <string.h>

#define MARKERS_MAX 65536
#define MARKER_BYTES_MAX 262144 /* a longer one is not kept: resuming starts further back */
#define EVERYTHING "e30"        /* the marker {}: all that the source keeps */

static struct ingest_marker_entry *entry_at(const struct ingest_markers *markers, size_t index)
{
	return &markers->entries[(markers->first + index) & (markers->capacity - 1)];
}

/* Gives `to` the text of `from`, and `from` the memory of `to`. */
static void move_text(struct buffer *to, struct buffer *from)
{
	struct buffer old = *to;
	*to = *from;
	*from = old;
	from->size = 0;
}

void ingest_markers_fini(struct ingest_markers *markers)
{
	for (size_t i = 0; i < markers->capacity; i++) {
		buffer_fini(&markers->entries[i].text);
	}
	mem_free(markers->entries);
	buffer_fini(&markers->routed);
	buffer_fini(&markers->next);
	*markers = (struct ingest_markers){0};
}

static enum err grow(struct ingest_markers *markers)
{
	size_t capacity = markers->capacity > 0 ? markers->capacity * 2 : 16;
	struct ingest_marker_entry *entries = mem_calloc(capacity, sizeof *entries);
	if (!entries) {
		return ERR_MEMORY;
	}
	for (size_t i = 0; i < markers->capacity; i++) {
		entries[i] = *entry_at(markers, i);
	}
	mem_free(markers->entries);
	markers->entries = entries;
	markers->capacity = capacity;
	markers->first = 0;
	return OK;
}

enum err ingest_markers_prepare(struct ingest_markers *markers, struct bytes marker)
{
	markers->next.size = 0;
	if (marker.size == 0 || marker.size > MARKER_BYTES_MAX) {
		return OK;
	}
	if (markers->count == markers->capacity && markers->capacity < MARKERS_MAX) {
		enum err err = grow(markers);
		if (err) {
			return err;
		}
	}
	return buffer_append(&markers->next, marker);
}

void ingest_markers_commit(struct ingest_markers *markers, uint64_t sequence)
{
	if (markers->next.size == 0) {
		return;
	}
	if (sequence <= markers->routed_sequence) {
		move_text(&markers->routed, &markers->next);
		return;
	}
	struct ingest_marker_entry *newest =
		markers->count > 0 ? entry_at(markers, markers->count - 1) : NULL;
	check(!newest || newest->sequence <= sequence);
	if (!newest || (newest->sequence < sequence && markers->count < markers->capacity)) {
		newest = entry_at(markers, markers->count);
		markers->count++;
	}
	newest->sequence = sequence;
	move_text(&newest->text, &markers->next);
}

void ingest_markers_routed(struct ingest_markers *markers, uint64_t sequence)
{
	if (sequence <= markers->routed_sequence) {
		return;
	}
	markers->routed_sequence = sequence;
	while (markers->count > 0 && entry_at(markers, 0)->sequence <= sequence) {
		move_text(&markers->routed, &entry_at(markers, 0)->text);
		markers->first = (markers->first + 1) & (markers->capacity - 1);
		markers->count--;
	}
}

struct bytes ingest_markers_resume(const struct ingest_markers *markers)
{
	if (markers->routed.size == 0 && markers->count > 0) {
		return buffer_bytes(&entry_at(markers, 0)->text);
	}
	return buffer_bytes(&markers->routed);
}

enum err ingest_markers_refuse(struct ingest_markers *markers, struct bytes refused)
{
	markers->next.size = 0;
	if (!bytes_equal(refused, bytes_of(EVERYTHING))) {
		enum err err = buffer_append_text(&markers->next, EVERYTHING);
		if (err) {
			return err;
		}
	}
	markers->first = 0;
	markers->count = 0;
	move_text(&markers->routed, &markers->next);
	return OK;
}
