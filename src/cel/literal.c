/*
 * Numbers, texts and bytes as expressions write them. A text without escapes is borrowed from the
 * source; one with escapes is undone into the arena, where it is never longer than it is written.
 */
#include "parse_priv.h"

#include <string.h>

#define SURROGATES_FIRST 0xD800U
#define SURROGATES_LAST 0xDFFFU
#define CODE_POINT_MAX 0x10FFFFU

static char byte_at(const struct parser *parser, uint32_t offset)
{
	if (offset >= parser->source.size) {
		return '\0';
	}
	return parser->source.data[offset];
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* -1: it is none of that base, 8, 10 or 16. */
static int digit_of(char c, unsigned base)
{
	int digit = -1;
	if (c >= '0' && c <= '9') {
		digit = c - '0';
	} else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
		digit = (c | 0x20) - 'a' + 10;
	}
	return digit < (int)base ? digit : -1;
}

/* ---- numbers ---- */

static enum err overflow(struct parser *parser, const struct token *token, const char *type)
{
	enum err err = cel_wrong(parser, token->offset, "this number is too large for %s", type);
	cel_advise(parser->problem, "a double has a point or an exponent: 1e30");
	return err;
}

static enum err read_integer(struct parser *parser, struct token *token, unsigned base)
{
	uint32_t at = token->offset + (base == 16 ? 2 : 0);
	uint64_t number = 0;
	bool is_over = false;
	for (int digit = 0; (digit = digit_of(byte_at(parser, at), base)) >= 0; at++) {
		is_over = is_over || __builtin_mul_overflow(number, (uint64_t)base, &number) ||
			__builtin_add_overflow(number, (uint64_t)digit, &number);
	}
	bool is_unsigned = (byte_at(parser, at) | 0x20) == 'u';
	token->end = at + is_unsigned;
	token->kind = TOKEN_LITERAL;
	token->is_least = !is_unsigned && !is_over && number == (uint64_t)INT64_MAX + 1;
	if (is_over || (!is_unsigned && number > INT64_MAX && !token->is_least)) {
		return overflow(parser, token, is_unsigned ? "a uint" : "an int");
	}
	token->literal =
		is_unsigned || token->is_least ? cel_uint(number) : cel_int((int64_t)number);
	return OK;
}

/* JSON wants a digit before the point, and no zeros before that digit. */
static enum err read_double(struct parser *parser, struct token *token)
{
	uint32_t start = token->offset;
	while (byte_at(parser, start) == '0' && is_digit(byte_at(parser, start + 1))) {
		start++;
	}
	struct bytes digits = {parser->source.data + start, token->end - start};
	char *text = arena_alloc(parser->arena, digits.size + 1);
	if (!text) {
		return ERR_MEMORY;
	}
	size_t size = 0;
	if (digits.data[0] == '.') {
		text[size++] = '0';
	}
	memcpy(text + size, digits.data, digits.size);
	size += digits.size;
	const struct value *value = NULL;
	struct err_info info = {0};
	enum err err = json_parse((struct bytes){text, size}, 1, parser->arena, &value, &info);
	if (err == ERR_MEMORY) {
		return err;
	}
	if (err != OK) {
		return overflow(parser, token, "a double");
	}
	token->kind = TOKEN_LITERAL;
	token->literal = cel_of_document(value);
	return OK;
}

static uint32_t skip_digits(const struct parser *parser, uint32_t at)
{
	while (is_digit(byte_at(parser, at))) {
		at++;
	}
	return at;
}

enum err cel_read_number(struct parser *parser, struct token *token)
{
	if (byte_at(parser, token->offset) == '0' && byte_at(parser, token->offset + 1) == 'x' &&
		digit_of(byte_at(parser, token->offset + 2), 16) >= 0) {
		return read_integer(parser, token, 16);
	}
	uint32_t whole_end = skip_digits(parser, token->offset);
	uint32_t end = whole_end;
	if (byte_at(parser, end) == '.' && is_digit(byte_at(parser, end + 1))) {
		end = skip_digits(parser, end + 1);
	}
	if ((byte_at(parser, end) | 0x20) == 'e') {
		char sign = byte_at(parser, end + 1);
		uint32_t digits = end + (sign == '+' || sign == '-' ? 2 : 1);
		end = is_digit(byte_at(parser, digits)) ? skip_digits(parser, digits) : end;
	}
	if (end == whole_end) {
		return read_integer(parser, token, 10);
	}
	token->end = end;
	return read_double(parser, token);
}

/* ---- texts ---- */

/* What stands before and around a text. */
struct form {
	bool is_raw, is_bytes, is_triple;
	char quote;
	uint32_t prefix_size;
};

static bool read_form(struct bytes rest, struct form *ret_form)
{
	struct form form = {0};
	size_t at = 0;
	if (at < rest.size && (rest.data[at] | 0x20) == 'b') {
		form.is_bytes = true;
		at++;
	}
	if (at < rest.size && (rest.data[at] | 0x20) == 'r') {
		form.is_raw = true;
		at++;
	}
	if (at >= rest.size || (rest.data[at] != '"' && rest.data[at] != '\'')) {
		return false;
	}
	form.quote = rest.data[at];
	form.prefix_size = (uint32_t)at;
	form.is_triple = rest.size - at > 2 && rest.data[at + 1] == form.quote &&
		rest.data[at + 2] == form.quote;
	*ret_form = form;
	return true;
}

bool cel_begins_string(struct bytes rest)
{
	struct form form;
	return read_form(rest, &form);
}

/* A text under construction, and the escape that is being undone. */
struct undoing {
	struct parser *parser;
	const struct form *form;
	char *text;
	size_t size;
};

static void put_byte(struct undoing *undoing, uint32_t byte)
{
	undoing->text[undoing->size++] = (char)byte;
}

static void put_code_point(struct undoing *undoing, uint32_t code)
{
	if (code < 0x80) {
		put_byte(undoing, code);
	} else if (code < 0x800) {
		put_byte(undoing, 0xC0 | code >> 6);
		put_byte(undoing, 0x80 | (code & 0x3F));
	} else if (code < 0x10000) {
		put_byte(undoing, 0xE0 | code >> 12);
		put_byte(undoing, 0x80 | (code >> 6 & 0x3F));
		put_byte(undoing, 0x80 | (code & 0x3F));
	} else {
		put_byte(undoing, 0xF0 | code >> 18);
		put_byte(undoing, 0x80 | (code >> 12 & 0x3F));
		put_byte(undoing, 0x80 | (code >> 6 & 0x3F));
		put_byte(undoing, 0x80 | (code & 0x3F));
	}
}

/* Exactly `count` digits at `at`. */
static enum err read_code(
	struct parser *parser, uint32_t at, unsigned base, unsigned count, uint32_t *ret_code)
{
	uint32_t code = 0;
	for (unsigned i = 0; i < count; i++) {
		int digit = digit_of(byte_at(parser, at + i), base);
		if (digit < 0) {
			return cel_wrong(parser, at + i, "this escape needs %u %s digits", count,
				base == 8 ? "octal" : "hexadecimal");
		}
		code = code * base + (uint32_t)digit;
	}
	*ret_code = code;
	return OK;
}

static enum err undo_code(struct undoing *undoing, uint32_t *at, unsigned base, unsigned count)
{
	struct parser *parser = undoing->parser;
	uint32_t start = base == 8 ? *at + 1 : *at + 2;
	uint32_t code = 0;
	enum err err = read_code(parser, start, base, count, &code);
	if (err != OK) {
		return err;
	}
	if (undoing->form->is_bytes && count <= 3) {
		if (code > 0xFF) {
			return cel_wrong(parser, *at, "an octal escape goes up to \\377");
		}
		put_byte(undoing, code);
	} else if (undoing->form->is_bytes) {
		err = cel_wrong(parser, *at, "bytes have no \\u and \\U escapes");
		cel_advise(parser->problem, "write the bytes, each as \\xHH");
		return err;
	} else if (code > CODE_POINT_MAX || (code >= SURROGATES_FIRST && code <= SURROGATES_LAST) ||
		(base == 8 && code > 0xFF)) {
		return cel_wrong(parser, *at, "this escape is no code point");
	} else {
		put_code_point(undoing, code);
	}
	*at = start + count;
	return OK;
}

static enum err undo_escape(struct undoing *undoing, uint32_t *at)
{
	static const char simple[] = "abfnrtv\\?\"'`";
	static const char meant[] = "\a\b\f\n\r\t\v\\?\"'`";
	struct parser *parser = undoing->parser;
	char letter = byte_at(parser, *at + 1);
	const char *found = letter ? strchr(simple, letter) : NULL;
	if (found) {
		put_byte(undoing, (unsigned char)meant[found - simple]);
		*at += 2;
		return OK;
	}
	if (letter == 'x' || letter == 'X') {
		return undo_code(undoing, at, 16, 2);
	}
	if (letter == 'u') {
		return undo_code(undoing, at, 16, 4);
	}
	if (letter == 'U') {
		return undo_code(undoing, at, 16, 8);
	}
	if (letter >= '0' && letter <= '3') {
		return undo_code(undoing, at, 8, 3);
	}
	enum err err = cel_wrong(parser, *at, "there is no such escape");
	cel_advise(
		parser->problem, "a backslash is written \\\\; or write r\"...\" without escapes");
	return err;
}

/* The end of the content, where the closing quotes begin. */
static enum err find_end(struct parser *parser, const struct token *token, const struct form *form,
	uint32_t start, uint32_t *ret_end)
{
	for (uint32_t at = start; at < parser->source.size; at++) {
		char c = parser->source.data[at];
		if (c == '\\' && !form->is_raw) {
			at++;
			continue;
		}
		if (c == form->quote &&
			(!form->is_triple ||
				(byte_at(parser, at + 1) == c && byte_at(parser, at + 2) == c))) {
			*ret_end = at;
			return OK;
		}
		if ((c == '\n' || c == '\r') && !form->is_triple) {
			break;
		}
	}
	enum err err = cel_wrong(parser, token->offset, "this text has no end");
	cel_advise(parser->problem,
		form->is_triple ? "it ends with three quotes"
				: "it ends with %c on the same line; a text of several lines has "
				  "three quotes",
		form->quote);
	return err;
}

static enum err undo_escapes(struct undoing *undoing, uint32_t start, uint32_t end)
{
	struct parser *parser = undoing->parser;
	undoing->text = arena_alloc(parser->arena, end - start + 1);
	if (!undoing->text) {
		return ERR_MEMORY;
	}
	enum err err = OK;
	for (uint32_t at = start; err == OK && at < end;) {
		char c = parser->source.data[at];
		if (c == '\\') {
			err = undo_escape(undoing, &at);
		} else {
			put_byte(undoing, (unsigned char)c);
			at++;
		}
	}
	return err;
}

enum err cel_read_string(struct parser *parser, struct token *token)
{
	struct form form = {0};
	struct bytes rest = {
		parser->source.data + token->offset, parser->source.size - token->offset};
	check(read_form(rest, &form));
	uint32_t quotes = form.is_triple ? 3 : 1;
	uint32_t start = token->offset + form.prefix_size + quotes;
	uint32_t end = start;
	enum err err = find_end(parser, token, &form, start, &end);
	if (err != OK) {
		return err;
	}
	struct bytes text = {parser->source.data + start, end - start};
	if (!form.is_raw && text.size > 0 && memchr(text.data, '\\', text.size)) {
		struct undoing undoing = {.parser = parser, .form = &form};
		err = undo_escapes(&undoing, start, end);
		text = (struct bytes){undoing.text, undoing.size};
	}
	if (err == OK && text.size > parser->limits->literal_bytes) {
		err = cel_too_large(parser, token->offset, "text in quotes",
			parser->limits->literal_bytes, "bytes");
	}
	if (err == OK) {
		token->kind = TOKEN_LITERAL;
		token->literal = form.is_bytes ? cel_bytes(text) : cel_string(text);
		token->end = end + quotes;
	}
	return err;
}
