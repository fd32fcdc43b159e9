/* Escapes of JSON strings. Code points over U+FFFF are written as two escapes, a surrogate pair. */
#include "value_priv.h"

static size_t encode_utf8(uint32_t point, char ret_utf8[4])
{
	if (point < 0x80) {
		ret_utf8[0] = (char)point;
		return 1;
	}
	size_t size = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
	for (size_t i = size - 1; i > 0; i--) {
		ret_utf8[i] = (char)(0x80U | (point & 0x3FU));
		point >>= 6;
	}
	static const unsigned char heads[] = {0, 0, 0xC0, 0xE0, 0xF0};
	ret_utf8[0] = (char)(heads[size] | point);
	return size;
}

static int hex_digit(char byte)
{
	if (byte >= '0' && byte <= '9') {
		return byte - '0';
	}
	char lower = (char)(byte | 0x20);
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The four digits behind "\u"; the cursor stands at the backslash and moves behind them. */
static enum err read_unit(struct json_cursor *cursor, uint32_t *ret_unit)
{
	const char *at = cursor->at + 2;
	uint32_t unit = 0;
	for (int i = 0; i < 4; i++) {
		int digit = at < cursor->end ? hex_digit(*at) : -1;
		if (digit < 0) {
			cursor->at = at;
			cursor->expected = "four hexadecimal digits";
			return ERR_CORRUPT;
		}
		unit = unit << 4 | (uint32_t)digit;
		at++;
	}
	cursor->at = at;
	*ret_unit = unit;
	return OK;
}

static enum err read_point(struct json_cursor *cursor, uint32_t *ret_point)
{
	const char *start = cursor->at;
	uint32_t unit = 0;
	enum err err = read_unit(cursor, &unit);
	if (err != OK) {
		return err;
	}
	if (unit < 0xD800 || unit > 0xDFFF) {
		*ret_point = unit;
		return OK;
	}
	bool first = unit < 0xDC00;
	bool pair = first && cursor->end - cursor->at >= 2 && cursor->at[0] == '\\' &&
		cursor->at[1] == 'u';
	uint32_t second = 0;
	err = pair ? read_unit(cursor, &second) : OK;
	if (err != OK) {
		return err;
	}
	if (second < 0xDC00 || second > 0xDFFF) {
		cursor->at = start;
		cursor->expected = "a surrogate pair (\\ud800-\\udbff, then \\udc00-\\udfff)";
		return ERR_CORRUPT;
	}
	*ret_point = 0x10000 + ((unit - 0xD800) << 10) + (second - 0xDC00);
	return OK;
}

/* What a backslash and `letter` stand for, 0 if nothing. */
static char simple_escape(char letter)
{
	switch (letter) {
	case '"':
	case '\\':
	case '/':
		return letter;
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return '\0';
	}
}

enum err json_unescape(struct json_cursor *cursor, char ret_utf8[4], size_t *ret_size)
{
	char letter = '\0';
	if (cursor->end - cursor->at >= 2) {
		letter = cursor->at[1];
	}
	if (letter == 'u') {
		uint32_t point = 0;
		enum err err = read_point(cursor, &point);
		if (err != OK) {
			return err;
		}
		*ret_size = encode_utf8(point, ret_utf8);
		return OK;
	}
	char plain = simple_escape(letter);
	if (plain == '\0') {
		cursor->expected = "an escape (a backslash and one of \"\\/bfnrtu)";
		return ERR_CORRUPT;
	}
	cursor->at += 2;
	ret_utf8[0] = plain;
	*ret_size = 1;
	return OK;
}
