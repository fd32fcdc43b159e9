/*
 * The top level of an object without a tape. What is skipped is not checked, so a text that passes
 * here may still be refused by json_read; the other way round every object that json_read accepts
 * passes.
 */
#include "value_priv.h"

#include <string.h>

/* Behind the string whose opening quote is at `at`, or NULL if it does not end. */
static const char *skip_string(const char *at, const char *end)
{
	bool ignored = false;
	for (at = json_scan_string(at + 1, end, &ignored); at < end;
		at = json_scan_string(at, end, &ignored)) {
		if (*at == '"') {
			return at + 1;
		}
		at += *at == '\\' && end - at >= 2 ? 2 : 1;
	}
	return NULL;
}

/* Behind the container that opens at `at`, by counting brackets; NULL if it does not end. */
static const char *skip_container(const char *at, const char *end)
{
	size_t depth = 0;
	while (at && at < end) {
		at = json_scan_structure(at, end);
		if (at == end) {
			return NULL;
		}
		if (*at == '"') {
			at = skip_string(at, end);
			continue;
		}
		if (*at == '{' || *at == '[') {
			depth++;
		} else {
			depth--;
		}
		at++;
		if (depth == 0) {
			return at;
		}
	}
	return NULL;
}

/* Behind the number or word at `at`, NULL if there is none. */
static const char *skip_scalar(const char *at, const char *end)
{
	const char *start = at;
	while (at < end && (unsigned char)*at > ' ' && !strchr(",:\"{}[]", *at)) {
		at++;
	}
	return at > start ? at : NULL;
}

static const char *skip_value(const char *at, const char *end)
{
	if (at == end) {
		return NULL;
	}
	if (*at == '"') {
		return skip_string(at, end);
	}
	if (*at == '{' || *at == '[') {
		return skip_container(at, end);
	}
	return skip_scalar(at, end);
}

static char next_byte(struct json_cursor *cursor)
{
	json_skip_space(cursor);
	return (char)(cursor->at < cursor->end ? *cursor->at : '\0');
}

/* Moves from the start, or from behind a member, to the next name's quote. */
static enum err find_name(struct json_cursor *cursor, bool first)
{
	if (first) {
		if (next_byte(cursor) != '{') {
			return ERR_CORRUPT;
		}
		cursor->at++;
		if (next_byte(cursor) == '}') {
			return ERR_EMPTY;
		}
	} else {
		char separator = next_byte(cursor);
		if (separator == '}') {
			return ERR_EMPTY;
		}
		if (separator != ',') {
			return ERR_CORRUPT;
		}
		cursor->at++;
	}
	return next_byte(cursor) == '"' ? OK : ERR_CORRUPT;
}

enum err json_next_member(struct bytes text, size_t *cursor, struct json_member *ret_member)
{
	if (text.size == 0 || *cursor > text.size) {
		return ERR_CORRUPT;
	}
	struct json_cursor place = {.at = text.data + *cursor, .end = text.data + text.size};
	enum err err = find_name(&place, *cursor == 0);
	if (err != OK) {
		return err;
	}
	const char *name = place.at;
	const char *name_end = skip_string(name, place.end);
	if (!name_end) {
		return ERR_CORRUPT;
	}
	place.at = name_end;
	if (next_byte(&place) != ':') {
		return ERR_CORRUPT;
	}
	place.at++;
	json_skip_space(&place);
	const char *value = place.at;
	const char *value_end = skip_value(value, place.end);
	if (!value_end) {
		return ERR_CORRUPT;
	}
	*cursor = (size_t)(value_end - text.data);
	*ret_member = (struct json_member){
		.name = {name + 1, (size_t)(name_end - name) - 2},
		.value = {value, (size_t)(value_end - value)},
		.start = (size_t)(name - text.data),
	};
	return OK;
}

bool json_name_is(const struct json_member *member, struct bytes name)
{
	struct json_cursor written = {
		.at = member->name.data,
		.end = member->name.data + member->name.size,
	};
	if (member->name.size < name.size) {
		return false;
	}
	if (!memchr(member->name.data, '\\', member->name.size)) {
		return bytes_equal(member->name, name);
	}
	while (written.at < written.end) {
		char utf8[4] = {*written.at};
		size_t size = 1;
		if (*written.at != '\\') {
			written.at++;
		} else if (json_unescape(&written, utf8, &size) != OK) {
			return false;
		}
		if (name.size < size || memcmp(name.data, utf8, size) != 0) {
			return false;
		}
		name.data += size;
		name.size -= size;
	}
	return name.size == 0;
}
