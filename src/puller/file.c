/*
 * A file of changes, one a line. Every line is read once at the start, which finds the bad ones and
 * where the others stand; after that a line is read whenever a subscriber comes to it. What is no
 * regular file is read to its end at the start and its text kept.
 *
 * Round r of a file that repeats has cluster seconds and event ids that are r times the span of the
 * file's seconds later. It ends when they no longer fit 32 bits.
 */
#include "puller_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)256 * 1024)

/* ---- rounds ---------------------------------------------------------------------------------- */

static uint64_t rounds(const struct puller_changes *changes)
{
	uint64_t span = (uint64_t)changes->seconds_most - changes->seconds_least + 1;
	return (UINT32_MAX - changes->seconds_most) / span + 1;
}

uint32_t puller_file_shift(const struct puller_changes *changes, uint64_t round)
{
	return (uint32_t)(round * (changes->seconds_most - changes->seconds_least + 1));
}

uint64_t puller_file_round(const struct puller_changes *changes, const struct puller_event_id *id)
{
	uint64_t span = (uint64_t)changes->seconds_most - changes->seconds_least + 1;
	uint64_t last = changes->end / changes->count - 1;
	if (id->seconds <= changes->seconds_most) {
		return 0;
	}
	uint64_t round = (id->seconds - changes->seconds_least) / span;
	return round < last ? round : last;
}

static void note_seconds(struct puller_changes *changes, uint32_t seconds)
{
	if (seconds < changes->seconds_least) {
		changes->seconds_least = seconds;
	}
	if (seconds > changes->seconds_most) {
		changes->seconds_most = seconds;
	}
}

/* ---- one line -------------------------------------------------------------------------------- */

static enum err parse_line(struct puller_changes *changes, struct bytes line, uint64_t number,
	struct model_source_message *ret_message, struct err_info *info)
{
	arena_reset(&changes->arena);
	enum err err = wire_change_line_parse(
		line, number, changes->made_ms, &changes->arena, ret_message, info);
	if (!err && ret_message->has_change && ret_message->change.backend.size == 0) {
		ret_message->change.backend = buffer_bytes(&changes->backend);
	}
	return err;
}

static enum err add_entry(struct puller_changes *changes, const struct puller_entry *entry)
{
	if (changes->count == changes->capacity) {
		size_t capacity = changes->capacity > 0 ? changes->capacity * 2 : 1024;
		struct puller_entry *entries =
			mem_realloc(changes->entries, capacity * sizeof *entries);
		if (!entries) {
			return ERR_MEMORY;
		}
		changes->entries = entries;
		changes->capacity = capacity;
	}
	changes->entries[changes->count++] = *entry;
	return OK;
}

/* Lines without a change are heartbeats of the Puller that was recorded: they are passed over. */
static enum err take_line(struct puller_changes *changes, struct bytes line, uint64_t number,
	uint64_t offset, struct err_info *info)
{
	struct model_source_message message = {0};
	struct puller_entry entry;
	if (line.size > PULLER_LINE_BYTES_MAX) {
		return err_set(info, ERR_LIMIT, 0, "it is longer than a line may be");
	}
	enum err err = parse_line(changes, line, number, &message, info);
	if (err || !message.has_change) {
		return err;
	}
	err = puller_changes_describe(changes, &message.change, &entry, info);
	if (err) {
		return err;
	}
	entry.size = (uint32_t)line.size;
	entry.at.file.offset = offset;
	entry.at.file.line = number;
	note_seconds(changes, entry.seconds);
	if (message.change.cluster_seconds > 0) {
		note_seconds(changes, message.change.cluster_seconds);
	}
	return add_entry(changes, &entry);
}

/* ---- all lines ------------------------------------------------------------------------------- */

struct scan {
	struct puller_changes *changes;
	int fd;
	bool keeps;       /* the whole text, in changes->text */
	uint64_t dropped; /* bytes of the file before the text */
	size_t at;        /* where the next line begins in it */
	size_t searched;  /* no line ends between `at` and here */
	bool is_at_end;
	uint64_t line;
};

static bool is_blank(struct bytes line)
{
	for (size_t i = 0; i < line.size; i++) {
		if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r') {
			return false;
		}
	}
	return true;
}

/* The line that begins at `at`; false if it is not whole yet. */
static bool next_line(struct scan *scan, struct bytes *ret_line)
{
	const struct buffer *text = &scan->changes->text;
	size_t from = scan->searched > scan->at ? scan->searched : scan->at;
	const char *end =
		from < text->size ? memchr(text->data + from, '\n', text->size - from) : NULL;
	if (!end && !(scan->is_at_end && scan->at < text->size)) {
		scan->searched = text->size;
		return false;
	}
	size_t line_end = end ? (size_t)(end - text->data) : text->size;
	*ret_line = (struct bytes){text->data + scan->at, line_end - scan->at};
	scan->at = end ? line_end + 1 : line_end;
	return true;
}

static enum err take_lines(struct scan *scan, struct err_info *info)
{
	struct bytes line = {0};
	while (next_line(scan, &line)) {
		scan->line++;
		if (is_blank(line)) {
			continue;
		}
		struct err_info why = {0};
		uint64_t offset = scan->dropped + (uint64_t)(line.data - scan->changes->text.data);
		enum err err = take_line(scan->changes, line, scan->line, offset, &why);
		if (err) {
			return err_set(info, err, why.position, "line %" PRIu64 ": %s", scan->line,
				why.text[0] ? why.text : err_text(err));
		}
	}
	return OK;
}

/* Moves the line that has begun to the start of the text. */
static void drop_lines(struct scan *scan)
{
	struct buffer *text = &scan->changes->text;
	if (scan->keeps || scan->at == 0) {
		return;
	}
	memmove(text->data, text->data + scan->at, text->size - scan->at);
	text->size -= scan->at;
	scan->dropped += scan->at;
	scan->searched -= scan->at;
	scan->at = 0;
}

static enum err read_piece(struct scan *scan, struct err_info *info)
{
	struct buffer *text = &scan->changes->text;
	enum err err = buffer_reserve(text, PIECE_BYTES);
	if (err) {
		return err_set(info, err, 0, "%s", err_text(err));
	}
	ssize_t size = read(scan->fd, text->data + text->size, PIECE_BYTES);
	if (size > 0) {
		text->size += (size_t)size;
	} else if (size == 0) {
		scan->is_at_end = true;
	} else if (errno != EINTR) {
		return err_set(info, ERR_IO, 0, "cannot read the file: %s", strerrordesc_np(errno));
	}
	return OK;
}

static enum err scan_lines(struct scan *scan, struct err_info *info)
{
	enum err err = OK;
	while (!err && !scan->is_at_end) {
		drop_lines(scan);
		err = read_piece(scan, info);
		err = err ? err : take_lines(scan, info);
		if (!err && scan->changes->text.size - scan->at > PULLER_LINE_BYTES_MAX) {
			err = err_set(info, ERR_LIMIT, 0,
				"line %" PRIu64 ": it is longer than a line may be",
				scan->line + 1);
		}
	}
	return err;
}

enum err puller_file_open(
	struct puller_changes *changes, const char *path, bool loop, struct err_info *info)
{
	bool is_stdin = strcmp(path, "-") == 0;
	struct stat facts = {0};
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return err_set(
			info, ERR_IO, 0, "cannot open %.150s: %s", path, strerrordesc_np(errno));
	}
	bool is_regular = fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode) && !is_stdin;
	struct scan scan = {.changes = changes, .fd = fd, .keeps = !is_regular};
	changes->seconds_least = UINT32_MAX;
	enum err err = scan_lines(&scan, info);
	if (is_regular) {
		changes->fd = fd; /* puller_changes_fini closes it */
	} else if (!is_stdin) {
		(void)close(fd);
	}
	if (!err && changes->count > 0) {
		changes->end = changes->count * (loop ? rounds(changes) : 1);
	}
	return err;
}

/* ---- reading one again ----------------------------------------------------------------------- */

static enum err read_line(
	struct puller_changes *changes, const struct puller_entry *entry, struct bytes *ret_line)
{
	struct buffer *text = &changes->text;
	if (changes->fd < 0) {
		*ret_line = (struct bytes){text->data + entry->at.file.offset, entry->size};
		return OK;
	}
	text->size = 0;
	enum err err = buffer_reserve(text, entry->size);
	while (!err && text->size < entry->size) {
		ssize_t size = pread(changes->fd, text->data + text->size, entry->size - text->size,
			(off_t)(entry->at.file.offset + text->size));
		if (size > 0) {
			text->size += (size_t)size;
		} else if (size == 0 || errno != EINTR) {
			err = ERR_IO;
		}
	}
	if (!err) {
		*ret_line = buffer_bytes(text);
	}
	return err;
}

static enum err shift_change(
	struct puller_changes *changes, uint64_t position, struct model_change *change)
{
	uint32_t shift = puller_file_shift(changes, position / changes->count);
	struct puller_event_id id;
	if (shift == 0) {
		return OK;
	}
	if (!puller_event_id_parse(change->event_id, &id)) {
		return ERR_CORRUPT;
	}
	changes->event_id.size = 0;
	enum err err = buffer_printf(&changes->event_id, "%" PRIu32, id.seconds + shift);
	err = err ? err : buffer_append(&changes->event_id, id.tail);
	change->event_id = buffer_bytes(&changes->event_id);
	change->cluster_seconds += change->cluster_seconds > 0 ? shift : 0;
	return err;
}

static enum err read_change(struct puller_changes *changes, uint64_t position, int64_t now_ms,
	struct puller_change *ret_change, struct err_info *info)
{
	const struct puller_entry *entry = puller_changes_entry(changes, position);
	struct model_source_message message = {0};
	struct bytes line = {0};
	enum err err = read_line(changes, entry, &line);
	err = err ? err : parse_line(changes, line, entry->at.file.line, &message, info);
	if (err) {
		return err;
	}
	if (!message.has_change) {
		return ERR_CORRUPT;
	}
	struct model_change *change = &message.change;
	err = shift_change(changes, position, change);
	if (err) {
		return err;
	}
	if (change->timestamp_ms == changes->made_ms) {
		change->timestamp_ms = now_ms; /* made up: it is when the change is read */
	}
	message.marker = (struct bytes){0};
	changes->encoded.size = 0;
	err = wire_source_message_encode(&changes->encoded, &message);
	if (!err) {
		*ret_change = (struct puller_change){.encoded = buffer_bytes(&changes->encoded),
			.backend = change->backend,
			.event_id = change->event_id};
	}
	return err;
}

enum err puller_file_read(struct puller_changes *changes, uint64_t position, int64_t now_ms,
	struct puller_change *ret_change, struct err_info *info)
{
	struct err_info why = {0};
	enum err err = read_change(changes, position, now_ms, ret_change, &why);
	if (err) {
		const struct puller_entry *entry = puller_changes_entry(changes, position);
		(void)err_set(info, err, why.position, "line %" PRIu64 ": %s", entry->at.file.line,
			why.text[0] ? why.text : err_text(err));
	}
	return err;
}
