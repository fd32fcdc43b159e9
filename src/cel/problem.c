/*
 * What is wrong, where, and what would be right. Lines end at LF; a column counts code points.
 */
#include "expression_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_WHOLE 100 /* bytes of a line that is not cut */
#define SHOWN_BEFORE 60 /* bytes of a long line before the column, and behind it */
#define SHOWN_BEHIND 38

static bool begins_code_point(char byte)
{
	return ((unsigned char)byte & 0xC0) != 0x80;
}

static void place(struct cel_problem *problem, struct bytes source, uint32_t offset)
{
	problem->offset = offset;
	problem->line = 1;
	problem->column = 1;
	for (uint32_t i = 0; i < offset && i < source.size; i++) {
		if (source.data[i] == '\n') {
			problem->line++;
			problem->column = 1;
		} else {
			problem->column += begins_code_point(source.data[i]);
		}
	}
}

/* What is quoted of a source may have anything in it, and may be cut within a code point. */
static void make_visible(char *text)
{
	text[bytes_utf8_prefix(bytes_of(text))] = '\0';
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7F) {
			*text = '?';
		}
	}
}

enum err cel_refuse(struct cel_problem *problem, struct bytes source, uint32_t offset,
	enum cel_problem_kind kind, const char *format, ...)
{
	va_list arguments;
	*problem = (struct cel_problem){.kind = kind};
	place(problem, source, offset);
	va_start(arguments, format);
	(void)vsnprintf(problem->text, sizeof(problem->text), format, arguments);
	va_end(arguments);
	make_visible(problem->text);
	return kind == CEL_TOO_LARGE || kind == CEL_TOO_DEAR ? ERR_LIMIT : ERR_INVALID;
}

void cel_advise(struct cel_problem *problem, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(problem->hint, sizeof(problem->hint), format, arguments);
	va_end(arguments);
	make_visible(problem->hint);
}

/* ---- for people ---- */

/* The line that the offset is in, without its end. */
static struct bytes line_of(struct bytes source, uint32_t offset)
{
	size_t at = offset < source.size ? offset : source.size;
	size_t start = at;
	while (start > 0 && source.data[start - 1] != '\n') {
		start--;
	}
	size_t end = at;
	while (end < source.size && source.data[end] != '\n') {
		end++;
	}
	if (end > at && source.data[end - 1] == '\r') {
		end--;
	}
	return (struct bytes){source.data + start, end - start};
}

/* The size of the code point at the beginning; 1 of what is none. */
static size_t code_point_size(struct bytes text)
{
	size_t size = 1;
	while (size < text.size && !begins_code_point(text.data[size])) {
		size++;
	}
	return bytes_are_utf8((struct bytes){text.data, size}) ? size : 1;
}

/* Not what a terminal would obey, U+0080 to U+009F too, or could not read. */
static bool is_shown(struct bytes code_point)
{
	unsigned char first = (unsigned char)code_point.data[0];
	if (code_point.size == 1) {
		return first == '\t' || (first >= 0x20 && first < 0x7F);
	}
	return first != 0xC2 || (unsigned char)code_point.data[1] >= 0xA0;
}

/* Anything else as '?'; tabs stay. */
static enum err put_visible(struct buffer *buffer, struct bytes text)
{
	enum err err = OK;
	while (err == OK && text.size > 0) {
		struct bytes code_point = {text.data, code_point_size(text)};
		err = buffer_append(buffer, is_shown(code_point) ? code_point : bytes_of("?"));
		text.data += code_point.size;
		text.size -= code_point.size;
	}
	return err;
}

/* Blanks as wide as the text. */
static enum err put_blanks(struct buffer *buffer, struct bytes text)
{
	enum err err = OK;
	for (size_t i = 0; err == OK && i < text.size; i++) {
		if (begins_code_point(text.data[i])) {
			err = buffer_append_text(buffer, text.data[i] == '\t' ? "\t" : " ");
		}
	}
	return err;
}

enum err cel_print_problem(
	struct buffer *buffer, struct bytes source, const struct cel_problem *problem)
{
	struct bytes line = line_of(source, problem->offset);
	size_t column = problem->offset < source.size ? problem->offset : source.size;
	column -= (size_t)(line.data - source.data);
	bool is_whole = line.size <= SHOWN_WHOLE;
	size_t start = !is_whole && column > SHOWN_BEFORE ? column - SHOWN_BEFORE : 0;
	while (start > 0 && !begins_code_point(line.data[start])) {
		start--;
	}
	size_t end =
		!is_whole && line.size > column + SHOWN_BEHIND ? column + SHOWN_BEHIND : line.size;
	while (end < line.size && !begins_code_point(line.data[end])) {
		end++;
	}
	const char *before = start > 0 ? "…" : "";
	struct bytes head = {line.data + start, column - start};
	struct bytes shown = {line.data + start, end - start};
	enum err err = buffer_append_text(buffer, before);
	if (err == OK) {
		err = put_visible(buffer, shown);
	}
	if (err == OK) {
		err = buffer_append_text(buffer, end < line.size ? "…\n" : "\n");
	}
	if (err == OK) {
		err = put_blanks(buffer, bytes_of(before));
	}
	if (err == OK) {
		err = put_blanks(buffer, head);
	}
	return err == OK ? buffer_append_text(buffer, "^\n") : err;
}
