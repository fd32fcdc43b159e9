/*
 * One pass over the text without recursion: the stack of open containers lives in the tape itself.
 * While a container is open its `size` counts what is complete in it and its `span` is the place of
 * the container around it.
 */
#include "value_priv.h"

#include <string.h>

#define NO_PLACE UINT32_MAX
#define EXCERPT_SIZE 16

struct reader {
	struct json_cursor cursor;
	struct bytes text;
	struct tape *tape;
	struct arena *arena;
	struct err_info *info;
	uint32_t open; /* place of the innermost open container, or NO_PLACE */
	uint32_t depth;
	uint32_t depth_max;
};

/* "at byte 17: expected ... , found ..." at the cursor. */
static enum err refuse(struct reader *reader, const char *expected)
{
	const struct json_cursor *cursor = &reader->cursor;
	uint32_t position = (uint32_t)(cursor->at - reader->text.data);
	if (cursor->at == cursor->end) {
		return err_set(reader->info, ERR_CORRUPT, position,
			"at byte %u: expected %s, found the end of the text", position, expected);
	}
	char excerpt[EXCERPT_SIZE + 1];
	size_t size = 0;
	while (size < EXCERPT_SIZE && cursor->at + size < cursor->end) {
		char byte = cursor->at[size];
		excerpt[size++] = (char)(byte >= 0x20 && byte < 0x7F ? byte : '?');
	}
	excerpt[size] = '\0';
	return err_set(reader->info, ERR_CORRUPT, position,
		"at byte %u: expected %s, found 0x%02x (%s)", position, expected,
		(unsigned)(unsigned char)*cursor->at, excerpt);
}

static enum err lack(struct reader *reader, enum err err)
{
	return err_set(reader->info, err, 0,
		err == ERR_MEMORY ? "out of memory" : "the text has too many values");
}

static inline enum err push(struct reader *reader, struct value value)
{
	struct tape *tape = reader->tape;
	if (tape->count < tape->capacity) {
		tape->cells[tape->count++] = value;
		return OK;
	}
	enum err err = tape_push(tape, value);
	return err == OK ? OK : lack(reader, err);
}

/* The closing quote, which is not checked to be there; escapes are stepped over. */
static const char *find_string_end(const struct reader *reader, const char *at, bool *non_ascii)
{
	const char *end = reader->cursor.end;
	at = json_scan_string(at, end, non_ascii);
	while (at < end && *at == '\\') {
		const char *behind = end - at >= 2 ? at + 2 : end;
		at = json_scan_string(behind, end, non_ascii);
	}
	return at;
}

/* The string from the cursor to `end`, escapes undone, in the arena. */
static enum err unescape_string(struct reader *reader, const char *end, struct bytes *ret_text)
{
	struct json_cursor *cursor = &reader->cursor;
	/* No escape is shorter than what it stands for. */
	char *copy = arena_alloc(reader->arena, (size_t)(end - cursor->at));
	if (!copy) {
		return lack(reader, ERR_MEMORY);
	}
	struct json_cursor inside = {.at = cursor->at, .end = end};
	size_t size = 0;
	while (inside.at < end) {
		const char *stop = memchr(inside.at, '\\', (size_t)(end - inside.at));
		size_t plain = (size_t)((stop ? stop : end) - inside.at);
		memcpy(copy + size, inside.at, plain);
		size += plain;
		inside.at += plain;
		char utf8[4];
		size_t utf8_size = 0;
		if (stop && json_unescape(&inside, utf8, &utf8_size) != OK) {
			cursor->at = inside.at;
			return refuse(reader, inside.expected);
		}
		memcpy(copy + size, utf8, utf8_size);
		size += utf8_size;
	}
	*ret_text = (struct bytes){copy, size};
	return OK;
}

static enum err check_utf8(struct reader *reader, struct bytes text)
{
	size_t prefix = bytes_utf8_prefix(text);
	if (prefix == text.size) {
		return OK;
	}
	reader->cursor.at = text.data + prefix;
	return refuse(reader, "UTF-8");
}

/* The cursor stands at the opening quote. */
static enum err read_string(struct reader *reader)
{
	struct json_cursor *cursor = &reader->cursor;
	cursor->at++;
	bool non_ascii = false;
	const char *end = json_scan_string(cursor->at, cursor->end, &non_ascii);
	bool escapes = end < cursor->end && *end == '\\';
	if (escapes) {
		end = find_string_end(reader, end, &non_ascii);
	}
	if (end == cursor->end || *end != '"') {
		cursor->at = end;
		return refuse(reader,
			end == cursor->end ? "a closing quote"
					   : "control characters to be escaped");
	}
	struct bytes text = {cursor->at, (size_t)(end - cursor->at)};
	if (non_ascii) {
		enum err err = check_utf8(reader, text);
		if (err != OK) {
			return err;
		}
	}
	if (escapes) {
		enum err err = unescape_string(reader, end, &text);
		if (err != OK) {
			return err;
		}
	}
	cursor->at = end + 1;
	return push(reader, value_string(text));
}

/* A member's name and the colon. */
static enum err read_key(struct reader *reader)
{
	struct json_cursor *cursor = &reader->cursor;
	json_skip_space(cursor);
	if (cursor->at == cursor->end || *cursor->at != '"') {
		return refuse(reader, "a member's name in quotes");
	}
	enum err err = read_string(reader);
	if (err != OK) {
		return err;
	}
	json_skip_space(cursor);
	if (cursor->at == cursor->end || *cursor->at != ':') {
		return refuse(reader, "':'");
	}
	cursor->at++;
	return OK;
}

static void close_container(struct reader *reader)
{
	uint32_t place = reader->open;
	struct value *container = &reader->tape->cells[place];
	reader->open = container->as.span;
	container->as.span = (uint32_t)(reader->tape->count - place);
	if (container->kind == VALUE_OBJECT) {
		value_seal(container);
	}
	reader->depth--;
	reader->cursor.at++;
}

static char closing_bracket(enum value_kind kind)
{
	return kind == VALUE_OBJECT ? '}' : ']';
}

/* Opens a container; reads the first name of an object; closes it at once if it is empty. */
static enum err open_container(struct reader *reader, enum value_kind kind, bool *complete)
{
	struct json_cursor *cursor = &reader->cursor;
	if (reader->depth == reader->depth_max) {
		uint32_t position = (uint32_t)(cursor->at - reader->text.data);
		return err_set(reader->info, ERR_LIMIT, position,
			"at byte %u: expected at most %u levels of nesting, found one more",
			position, reader->depth_max);
	}
	struct value container = {.kind = (uint8_t)kind, .as.span = reader->open};
	enum err err = push(reader, container);
	if (err != OK) {
		return err;
	}
	reader->open = (uint32_t)(reader->tape->count - 1);
	reader->depth++;
	cursor->at++;
	json_skip_space(cursor);
	*complete = cursor->at < cursor->end && *cursor->at == closing_bracket(kind);
	if (*complete) {
		close_container(reader);
		return OK;
	}
	return kind == VALUE_OBJECT ? read_key(reader) : OK;
}

static enum err read_word(struct reader *reader, struct bytes word, struct value value)
{
	struct json_cursor *cursor = &reader->cursor;
	if ((size_t)(cursor->end - cursor->at) < word.size ||
		memcmp(cursor->at, word.data, word.size) != 0) {
		return refuse(reader, "true, false, null or another value");
	}
	cursor->at += word.size;
	return push(reader, value);
}

static enum err read_number(struct reader *reader)
{
	struct value value;
	if (json_number(&reader->cursor, &value) != OK) {
		return refuse(reader, reader->cursor.expected);
	}
	return push(reader, value);
}

/* A scalar, or the opening of a container: *complete says which. */
static enum err read_value(struct reader *reader, bool *complete)
{
	json_skip_space(&reader->cursor);
	if (reader->cursor.at == reader->cursor.end) {
		return refuse(reader, "a value");
	}
	*complete = true;
	char first = *reader->cursor.at;
	switch (first) {
	case '"':
		return read_string(reader);
	case '{':
		return open_container(reader, VALUE_OBJECT, complete);
	case '[':
		return open_container(reader, VALUE_LIST, complete);
	case 't':
		return read_word(reader, bytes_of("true"), value_bool(true));
	case 'f':
		return read_word(reader, bytes_of("false"), value_bool(false));
	case 'n':
		return read_word(reader, bytes_of("null"), (struct value){.kind = VALUE_NULL});
	default:
		break;
	}
	if (first == '-' || (first >= '0' && first <= '9')) {
		return read_number(reader);
	}
	return refuse(reader, "a value");
}

/* Behind a complete value: closes what ends here, then the next value must follow, or *done. */
static enum err end_value(struct reader *reader, bool *done)
{
	struct json_cursor *cursor = &reader->cursor;
	while (reader->open != NO_PLACE) {
		struct value *container = &reader->tape->cells[reader->open];
		bool object = container->kind == VALUE_OBJECT;
		container->size++;
		json_skip_space(cursor);
		if (cursor->at < cursor->end && *cursor->at == ',') {
			cursor->at++;
			return object ? read_key(reader) : OK;
		}
		if (cursor->at == cursor->end ||
			*cursor->at != closing_bracket((enum value_kind)container->kind)) {
			return refuse(reader, object ? "',' or '}'" : "',' or ']'");
		}
		close_container(reader);
	}
	*done = true;
	return OK;
}

static enum err read_text(struct reader *reader)
{
	bool done = false;
	while (!done) {
		bool complete = false;
		enum err err = read_value(reader, &complete);
		if (err == OK && complete) {
			err = end_value(reader, &done);
		}
		if (err != OK) {
			return err;
		}
	}
	json_skip_space(&reader->cursor);
	if (reader->cursor.at < reader->cursor.end) {
		return refuse(reader, "the end of the text");
	}
	return OK;
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
		.cursor = {.at = text.data, .end = text.data + text.size},
		.text = text,
		.tape = tape,
		.arena = arena,
		.info = info,
		.open = NO_PLACE,
		.depth_max = depth_max,
	};
	size_t before = tape->count;
	enum err err = read_text(&reader);
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
		err = tape_finish(&tape, arena, ret_value);
		if (err != OK) {
			(void)err_set(info, err, 0, "%s", err_text(err));
		}
	}
	tape_fini(&tape);
	return err;
}
