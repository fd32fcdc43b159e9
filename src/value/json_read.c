/*
 * One pass over the text without recursion: the stack of open containers lives in the tape itself.
 * While a container is open its `size` counts what is complete in it and its `span` is the place of
 * the container around it. Each function takes a place in the text and gives the place behind what
 * it has read, or NULL if it refuses, when the reason has been noted.
 */
#include "value_priv.h"

#include <string.h>

#define NO_PLACE UINT32_MAX
#define EXCERPT_SIZE 16

struct reader {
	const char *end;
	struct bytes text;
	struct tape *tape;
	struct arena *arena;
	struct err_info *info;
	uint32_t open; /* place of the innermost open container, or NO_PLACE */
	uint32_t depth;
	uint32_t depth_max;
	enum err err; /* why a function gave NULL */
};

/* "at byte 17: expected ... , found ..." at this place. */
__attribute__((cold)) static const char *refuse(
	struct reader *reader, const char *at, const char *expected)
{
	uint32_t position = (uint32_t)(at - reader->text.data);
	reader->err = ERR_CORRUPT;
	if (at == reader->end) {
		(void)err_set(reader->info, ERR_CORRUPT, position,
			"at byte %u: expected %s, found the end of the text", position, expected);
		return NULL;
	}
	char excerpt[EXCERPT_SIZE + 1];
	size_t size = 0;
	while (size < EXCERPT_SIZE && at + size < reader->end) {
		char byte = at[size];
		excerpt[size++] = (char)(byte >= 0x20 && byte < 0x7F ? byte : '?');
	}
	excerpt[size] = '\0';
	(void)err_set(reader->info, ERR_CORRUPT, position,
		"at byte %u: expected %s, found 0x%02x (%s)", position, expected,
		(unsigned)(unsigned char)*at, excerpt);
	return NULL;
}

__attribute__((cold)) static const char *refuse_depth(struct reader *reader, const char *at)
{
	uint32_t position = (uint32_t)(at - reader->text.data);
	reader->err = err_set(reader->info, ERR_LIMIT, position,
		"at byte %u: expected at most %u levels of nesting, found one more", position,
		reader->depth_max);
	return NULL;
}

__attribute__((cold)) static const char *lack(struct reader *reader, enum err err)
{
	reader->err = err_set(reader->info, err, 0,
		err == ERR_MEMORY ? "out of memory" : "the text has too many values");
	return NULL;
}

/* Gives `behind`, which is where reading goes on. */
static inline const char *push(struct reader *reader, struct value value, const char *behind)
{
	struct tape *tape = reader->tape;
	if (tape->count < tape->capacity) {
		tape->cells[tape->count++] = value;
		return behind;
	}
	enum err err = tape_push(tape, value);
	return err == OK ? behind : lack(reader, err);
}

/* ---- strings --------------------------------------------------------------------------------- */

/* The closing quote, which is not checked to be there; escapes are stepped over. */
static const char *find_string_end(const char *at, const char *end, bool *non_ascii)
{
	at = json_scan_string(at, end, non_ascii);
	while (at < end && *at == '\\') {
		const char *behind = end - at >= 2 ? at + 2 : end;
		at = json_scan_string(behind, end, non_ascii);
	}
	return at;
}

/* The string with its escapes undone, in the arena; false if it is refused. */
static bool unescape_string(struct reader *reader, struct bytes written, struct bytes *ret_text)
{
	/* No escape is shorter than what it stands for. */
	char *copy = arena_alloc(reader->arena, written.size);
	if (!copy) {
		(void)lack(reader, ERR_MEMORY);
		return false;
	}
	struct json_cursor inside = {.at = written.data, .end = written.data + written.size};
	size_t size = 0;
	while (inside.at < inside.end) {
		const char *stop = memchr(inside.at, '\\', (size_t)(inside.end - inside.at));
		size_t plain = (size_t)((stop ? stop : inside.end) - inside.at);
		memcpy(copy + size, inside.at, plain);
		size += plain;
		inside.at += plain;
		char utf8[4];
		size_t utf8_size = 0;
		if (stop && json_unescape(&inside, utf8, &utf8_size) != OK) {
			(void)refuse(reader, inside.at, inside.expected);
			return false;
		}
		memcpy(copy + size, utf8, utf8_size);
		size += utf8_size;
	}
	*ret_text = (struct bytes){copy, size};
	return true;
}

static inline struct value string_cell(struct bytes text)
{
	return (struct value){
		.kind = VALUE_STRING, .size = (uint32_t)text.size, .as.text = text.data};
}

/* A string that begins at `start` and is plain up to `stop`, which is not its end. */
static const char *read_other_string(struct reader *reader, const char *start, const char *stop)
{
	bool non_ascii = false;
	const char *end = reader->end;
	stop = json_scan_string(stop, end, &non_ascii);
	bool escapes = stop < end && *stop == '\\';
	if (escapes) {
		stop = find_string_end(stop, end, &non_ascii);
	}
	if (stop == end) {
		return refuse(reader, stop, "a closing quote");
	}
	if (*stop != '"') {
		return refuse(reader, stop, "control characters to be escaped");
	}
	struct bytes text = {start, (size_t)(stop - start)};
	size_t valid = non_ascii ? bytes_utf8_prefix(text) : text.size;
	if (valid < text.size) {
		return refuse(reader, start + valid, "UTF-8");
	}
	if (escapes && !unescape_string(reader, text, &text)) {
		return NULL;
	}
	return push(reader, string_cell(text), stop + 1);
}

/* `at` is the opening quote. */
static inline const char *read_string(struct reader *reader, const char *at)
{
	const char *start = at + 1;
	const char *stop = json_scan_plain(start, reader->end);
	if (stop == reader->end || *stop != '"') {
		return read_other_string(reader, start, stop);
	}
	return push(reader, string_cell((struct bytes){start, (size_t)(stop - start)}), stop + 1);
}

/* ---- containers ------------------------------------------------------------------------------ */

/* Whether this byte is next, but for white space, behind which *at is left. */
static inline bool is_next(const char **at, const char *end, char byte)
{
	if (*at < end && **at == byte) {
		return true;
	}
	*at = json_skip_space(*at, end);
	return *at < end && **at == byte;
}

/* A member's name and the colon. */
static const char *read_key(struct reader *reader, const char *at)
{
	if (!is_next(&at, reader->end, '"')) {
		return refuse(reader, at, "a member's name in quotes");
	}
	at = read_string(reader, at);
	if (at && !is_next(&at, reader->end, ':')) {
		return refuse(reader, at, "':'");
	}
	return at ? at + 1 : NULL;
}

static void close_container(struct reader *reader)
{
	uint32_t place = reader->open;
	struct value *container = &reader->tape->cells[place];
	reader->open = container->as.span;
	container->as.span = (uint32_t)(reader->tape->count - place);
	reader->depth--;
}

/* Opens a container; reads the first name of an object; closes it at once if it is empty. */
static const char *open_container(
	struct reader *reader, const char *at, enum value_kind kind, bool *complete)
{
	if (reader->depth == reader->depth_max) {
		return refuse_depth(reader, at);
	}
	struct value container = {.kind = (uint8_t)kind, .as.span = reader->open};
	at = push(reader, container, at + 1);
	if (!at) {
		return NULL;
	}
	reader->open = (uint32_t)(reader->tape->count - 1);
	reader->depth++;
	*complete = is_next(&at, reader->end, kind == VALUE_OBJECT ? '}' : ']');
	if (*complete) {
		close_container(reader);
		return at + 1;
	}
	return kind == VALUE_OBJECT ? read_key(reader, at) : at;
}

/* Behind a complete value: closes what ends here, then the next value must follow, or *done. */
static inline const char *end_value(struct reader *reader, const char *at, bool *done)
{
	while (reader->open != NO_PLACE) {
		struct value *container = &reader->tape->cells[reader->open];
		bool object = container->kind == VALUE_OBJECT;
		container->size++;
		if (is_next(&at, reader->end, ',')) {
			return object ? read_key(reader, at + 1) : at + 1;
		}
		if (at == reader->end || *at != (object ? '}' : ']')) {
			return refuse(reader, at, object ? "',' or '}'" : "',' or ']'");
		}
		close_container(reader);
		at++;
	}
	*done = true;
	return at;
}

/* ---- values ---------------------------------------------------------------------------------- */

static const char *read_word(
	struct reader *reader, const char *at, struct bytes word, struct value value)
{
	if ((size_t)(reader->end - at) < word.size || memcmp(at, word.data, word.size) != 0) {
		return refuse(reader, at, "true, false, null or another value");
	}
	return push(reader, value, at + word.size);
}

static const char *read_number(struct reader *reader, const char *at)
{
	struct json_cursor cursor = {.at = at, .end = reader->end};
	struct value value;
	if (json_number(&cursor, &value) != OK) {
		return refuse(reader, cursor.at, cursor.expected);
	}
	return push(reader, value, cursor.at);
}

/* A scalar, or the opening of a container: *complete says which. */
static inline const char *read_value(struct reader *reader, const char *at, bool *complete)
{
	at = json_skip_space(at, reader->end);
	if (at == reader->end) {
		return refuse(reader, at, "a value");
	}
	*complete = true;
	switch (*at) {
	case '"':
		return read_string(reader, at);
	case '{':
		return open_container(reader, at, VALUE_OBJECT, complete);
	case '[':
		return open_container(reader, at, VALUE_LIST, complete);
	case 't':
		return read_word(reader, at, (struct bytes){"true", 4},
			(struct value){.kind = VALUE_BOOL, .as.boolean = true});
	case 'f':
		return read_word(reader, at, (struct bytes){"false", 5},
			(struct value){.kind = VALUE_BOOL, .as.boolean = false});
	case 'n':
		return read_word(
			reader, at, (struct bytes){"null", 4}, (struct value){.kind = VALUE_NULL});
	default:
		break;
	}
	if (*at == '-' || (*at >= '0' && *at <= '9')) {
		return read_number(reader, at);
	}
	return refuse(reader, at, "a value");
}

static enum err read_text(struct reader *reader)
{
	const char *at = reader->text.data;
	bool done = false;
	while (!done) {
		bool complete = false;
		at = read_value(reader, at, &complete);
		if (at && complete) {
			at = end_value(reader, at, &done);
		}
		if (!at) {
			return reader->err;
		}
	}
	at = json_skip_space(at, reader->end);
	if (at < reader->end) {
		(void)refuse(reader, at, "the end of the text");
	}
	return reader->err;
}

enum err json_read(struct bytes text, uint32_t depth_max, struct arena *arena, struct tape *tape,
	struct err_info *info)
{
	if (text.size >= UINT32_MAX) {
		return err_set(
			info, ERR_LIMIT, 0, "expected a text of less than 4 GiB, found more");
	}
	if (!text.data) {
		text = bytes_of("");
	}
	struct reader reader = {
		.end = text.data + text.size,
		.text = text,
		.tape = tape,
		.arena = arena,
		.info = info,
		.open = NO_PLACE,
		.depth_max = depth_max,
	};
	size_t before = tape->count;
	enum err err = tape_begin(tape, text.size);
	if (err != OK) {
		(void)lack(&reader, err);
		return err;
	}
	err = read_text(&reader);
	if (err != OK) {
		tape->count = before;
	}
	return err;
}

enum err json_parse(struct bytes text, uint32_t depth_max, struct arena *arena,
	const struct value **ret_value, struct err_info *info)
{
	struct tape tape = {0};
	enum err err = json_read(text, depth_max, arena, &tape, info);
	if (err == OK) {
		tape_seal(tape.cells, tape.count);
		err = tape_finish(&tape, arena, ret_value);
		if (err != OK) {
			(void)err_set(info, err, 0, "%s", err_text(err));
		}
	}
	tape_fini(&tape);
	return err;
}
