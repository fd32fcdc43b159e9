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

/* ---- checkpoints ----------------------------------------------------------------------------- */

#define CHECKPOINTS_MAX 4096
#define CHECKPOINTS_BYTES_MAX 1048576

static void free_checkpoint(struct ingest_markers *markers, struct ingest_checkpoint *checkpoint)
{
	markers->checkpoints_bytes -= checkpoint->marker.size;
	buffer_fini(&checkpoint->marker);
}

/* The oldest `count`. */
static void forget_checkpoints(struct ingest_markers *markers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free_checkpoint(markers, &markers->checkpoints[i]);
	}
	markers->checkpoints_count -= count;
	if (count > 0 && markers->checkpoints_count > 0) {
		memmove(markers->checkpoints, markers->checkpoints + count,
			markers->checkpoints_count * sizeof(*markers->checkpoints));
	}
}

/* Every other one goes, and those to come are twice as far apart. */
static void thin_checkpoints(struct ingest_markers *markers)
{
	size_t kept = 0;
	for (size_t i = 0; i < markers->checkpoints_count; i++) {
		if (i % 2 == 0) {
			markers->checkpoints[kept++] = markers->checkpoints[i];
		} else {
			free_checkpoint(markers, &markers->checkpoints[i]);
		}
	}
	markers->checkpoints_count = kept;
	markers->checkpoints_apart *= 2;
}

/* From the newest, which goes if it stands at the same place: idle, but the source goes on. */
static bool is_far_enough(struct ingest_markers *markers, uint64_t sequence)
{
	if (markers->checkpoints_count == 0) {
		return true;
	}
	struct ingest_checkpoint *newest = &markers->checkpoints[markers->checkpoints_count - 1];
	if (sequence == newest->sequence) {
		free_checkpoint(markers, newest);
		markers->checkpoints_count--;
		return true;
	}
	return sequence - newest->sequence >= markers->checkpoints_apart;
}

/* One that there is no memory for is left out: whoever begins anew then begins further back. */
static void keep_checkpoint(struct ingest_markers *markers, uint64_t sequence, struct bytes marker)
{
	if (!markers->checkpoints) {
		markers->checkpoints = mem_alloc(CHECKPOINTS_MAX * sizeof(*markers->checkpoints));
		markers->checkpoints_apart = 1;
	}
	struct buffer copy = {0};
	if (!markers->checkpoints || !is_far_enough(markers, sequence) ||
		buffer_append(&copy, marker) != OK) {
		return;
	}
	markers->checkpoints[markers->checkpoints_count++] =
		(struct ingest_checkpoint){sequence, copy};
	markers->checkpoints_bytes += marker.size;
	while (markers->checkpoints_count == CHECKPOINTS_MAX ||
		(markers->checkpoints_count > 1 &&
			markers->checkpoints_bytes > CHECKPOINTS_BYTES_MAX)) {
		thin_checkpoints(markers);
	}
}

struct bytes ingest_markers_before(struct ingest_markers *markers, uint64_t sequence)
{
	size_t before = 0;
	while (before + 1 < markers->checkpoints_count &&
		markers->checkpoints[before + 1].sequence < sequence) {
		before++;
	}
	forget_checkpoints(markers, before);
	if (markers->checkpoints_count < CHECKPOINTS_MAX / 4) {
		markers->checkpoints_apart = 1;
	}
	return buffer_bytes(markers->checkpoints_count > 0 ? &markers->checkpoints[0].marker
							   : &markers->routed);
}

/* ---- markers --------------------------------------------------------------------------------- */

/* All events up to `sequence` are routed; `text` is taken. */
static void move_routed(struct ingest_markers *markers, struct buffer *text, uint64_t sequence,
	const char position[MODEL_POSITION_SIZE], bool is_whole)
{
	move_text(&markers->routed, text);
	memcpy(markers->routed_position, position, sizeof(markers->routed_position));
	markers->routed_is_whole = is_whole;
	if (markers->keeps_checkpoints && sequence >= markers->break_sequence) {
		keep_checkpoint(markers, sequence, buffer_bytes(&markers->routed));
	}
}

void ingest_markers_fini(struct ingest_markers *markers)
{
	for (size_t i = 0; i < markers->capacity; i++) {
		buffer_fini(&markers->entries[i].text);
	}
	mem_free(markers->entries);
	forget_checkpoints(markers, markers->checkpoints_count);
	mem_free(markers->checkpoints);
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

void ingest_markers_commit(struct ingest_markers *markers, uint64_t sequence,
	const char position[MODEL_POSITION_SIZE], bool is_whole)
{
	if (markers->next.size == 0) {
		return;
	}
	if (sequence <= markers->routed_sequence) {
		move_routed(markers, &markers->next, sequence, position, is_whole);
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
	memcpy(newest->position, position, sizeof(newest->position));
	newest->is_whole = is_whole;
	move_text(&newest->text, &markers->next);
}

void ingest_markers_routed(struct ingest_markers *markers, uint64_t sequence)
{
	if (sequence <= markers->routed_sequence) {
		return;
	}
	markers->routed_sequence = sequence;
	while (markers->count > 0 && entry_at(markers, 0)->sequence <= sequence) {
		struct ingest_marker_entry *oldest = entry_at(markers, 0);
		move_routed(markers, &oldest->text, oldest->sequence, oldest->position,
			oldest->is_whole);
		markers->first = (markers->first + 1) & (markers->capacity - 1);
		markers->count--;
	}
}

void ingest_markers_break(struct ingest_markers *markers, uint64_t sequence)
{
	forget_checkpoints(markers, markers->checkpoints_count);
	markers->break_sequence = sequence;
	markers->routed_is_whole = false;
	for (size_t i = 0; i < markers->count; i++) {
		entry_at(markers, i)->is_whole = false;
	}
}

bool ingest_markers_are_known(const struct ingest_markers *markers)
{
	struct bytes marker = ingest_markers_resume(markers);
	return marker.size > 0 && !bytes_equal(marker, bytes_of(EVERYTHING));
}

struct bytes ingest_markers_resume(const struct ingest_markers *markers)
{
	bool is_known = markers->routed.size > 0 &&
		!bytes_equal(buffer_bytes(&markers->routed), bytes_of(EVERYTHING));
	if (!is_known && markers->count > 0) {
		return buffer_bytes(&entry_at(markers, 0)->text);
	}
	return buffer_bytes(&markers->routed);
}

enum err ingest_markers_begin(struct ingest_markers *markers, struct bytes marker)
{
	enum err err = buffer_append(&markers->routed, marker);
	if (err == OK && marker.size > 0) {
		keep_checkpoint(markers, 0, marker);
	}
	return err;
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
	forget_checkpoints(markers, markers->checkpoints_count);
	move_text(&markers->routed, &markers->next);
	markers->routed_is_whole = false;
	return OK;
}
