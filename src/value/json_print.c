/*
 * Printing is the reverse of reading: what is printed reads back as an equal value of the same
 * kind, but for a small VALUE_UINT, which reads back as an int.
 */
#include "value_priv.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define DIGITS_MAX 17 /* enough for every double */
#define EXPONENT_PLAIN_MIN (-5)
#define EXPONENT_PLAIN_MAX 17

static enum err print_escape(struct buffer *buffer, char byte)
{
	switch (byte) {
	case '"':
		return buffer_append_text(buffer, "\\\"");
	case '\\':
		return buffer_append_text(buffer, "\\\\");
	case '\n':
		return buffer_append_text(buffer, "\\n");
	case '\r':
		return buffer_append_text(buffer, "\\r");
	case '\t':
		return buffer_append_text(buffer, "\\t");
	case '\b':
		return buffer_append_text(buffer, "\\b");
	case '\f':
		return buffer_append_text(buffer, "\\f");
	default:
		return buffer_printf(buffer, "\\u%04x", (unsigned)(unsigned char)byte);
	}
}

static enum err print_string(struct buffer *buffer, struct bytes text)
{
	enum err err = buffer_append_text(buffer, "\"");
	const char *at = text.data;
	const char *end = text.size > 0 ? at + text.size : at;
	bool ignored = false;
	while (err == OK && at < end) {
		const char *stop = json_scan_string(at, end, &ignored);
		err = buffer_append(buffer, (struct bytes){at, (size_t)(stop - at)});
		at = stop;
		if (err == OK && at < end) {
			err = print_escape(buffer, *at++);
		}
	}
	return err == OK ? buffer_append_text(buffer, "\"") : err;
}

/* The fewest digits that read back as `real` (positive), and the exponent of the first one. */
static size_t shortest_digits(double real, char ret_digits[DIGITS_MAX], int *ret_exponent)
{
	size_t count = 0;
	/* 15 digits always survive the way through a normal double; lower ones have fewer. */
	for (int precision = real < DBL_MIN ? 1 : DBL_DIG; precision <= DIGITS_MAX; precision++) {
		char text[DIGITS_MAX + 16];
		(void)snprintf(text, sizeof(text), "%.*e", precision - 1, real);
		const char *at = text;
		/* Whatever is no digit before the 'e' is the decimal point of some locale. */
		for (count = 0; *at != 'e'; at++) {
			if (*at >= '0' && *at <= '9') {
				ret_digits[count++] = *at;
			}
		}
		bool negative = at[1] == '-';
		int exponent = 0;
		for (at += 2; *at != '\0'; at++) {
			exponent = exponent * 10 + (*at - '0');
		}
		*ret_exponent = negative ? -exponent : exponent;
		struct bytes digits = {ret_digits, count};
		if (json_decimal(digits, *ret_exponent - (int)count + 1) == real) {
			break;
		}
	}
	while (count > 1 && ret_digits[count - 1] == '0') {
		count--;
	}
	return count;
}

static enum err print_real(struct buffer *buffer, double real)
{
	if (!isfinite(real)) {
		return ERR_INVALID;
	}
	const char *sign = signbit(real) ? "-" : "";
	real = fabs(real);
	if (real == 0) {
		return buffer_printf(buffer, "%s0.0", sign);
	}
	char digits[DIGITS_MAX];
	int exponent = 0;
	int count = (int)shortest_digits(real, digits, &exponent);
	if (exponent < EXPONENT_PLAIN_MIN || exponent >= EXPONENT_PLAIN_MAX) {
		return buffer_printf(buffer, "%s%c%s%.*se%d", sign, digits[0], count > 1 ? "." : "",
			count - 1, digits + 1, exponent);
	}
	static const char zeros[] = "00000000000000000000";
	if (exponent < 0) {
		return buffer_printf(
			buffer, "%s0.%.*s%.*s", sign, -exponent - 1, zeros, count, digits);
	}
	int whole = exponent + 1;
	if (count <= whole) {
		return buffer_printf(
			buffer, "%s%.*s%.*s.0", sign, count, digits, whole - count, zeros);
	}
	return buffer_printf(
		buffer, "%s%.*s.%.*s", sign, whole, digits, count - whole, digits + whole);
}

static enum err print_value(struct buffer *buffer, const struct value *value);

/* NOLINTNEXTLINE(misc-no-recursion): once per level, at most json_depth_max */
static enum err print_container(struct buffer *buffer, const struct value *container)
{
	bool object = container->kind == VALUE_OBJECT;
	enum err err = buffer_append_text(buffer, object ? "{" : "[");
	const struct value *item = container + 1;
	for (uint32_t i = 0; err == OK && i < container->size; i++) {
		if (i > 0) {
			err = buffer_append_text(buffer, ",");
		}
		if (err == OK && object) {
			err = print_string(buffer, value_text(item++));
		}
		if (err == OK && object) {
			err = buffer_append_text(buffer, ":");
		}
		if (err == OK) {
			err = print_value(buffer, item);
		}
		item = value_after(item);
	}
	return err == OK ? buffer_append_text(buffer, object ? "}" : "]") : err;
}

/* NOLINTNEXTLINE(misc-no-recursion): once per level, at most json_depth_max */
static enum err print_value(struct buffer *buffer, const struct value *value)
{
	switch ((enum value_kind)value->kind) {
	case VALUE_NULL:
		return buffer_append_text(buffer, "null");
	case VALUE_BOOL:
		return buffer_append_text(buffer, value->as.boolean ? "true" : "false");
	case VALUE_INT:
		return buffer_printf(buffer, "%lld", (long long)value->as.integer);
	case VALUE_UINT:
		return buffer_printf(
			buffer, "%llu", (unsigned long long)value->as.unsigned_integer);
	case VALUE_DOUBLE:
		return print_real(buffer, value->as.real);
	case VALUE_STRING:
		return print_string(buffer, value_text(value));
	case VALUE_LIST:
	case VALUE_OBJECT:
		return print_container(buffer, value);
	case VALUE_NONE:
		break;
	}
	return ERR_INVALID;
}

enum err json_print(struct buffer *buffer, const struct value *value)
{
	size_t before = buffer->size;
	enum err err = print_value(buffer, value);
	if (err != OK) {
		buffer->size = before;
	}
	return err;
}

enum err json_print_string(struct buffer *buffer, struct bytes text)
{
	size_t before = buffer->size;
	enum err err = print_string(buffer, text);
	if (err != OK) {
		buffer->size = before;
	}
	return err;
}
