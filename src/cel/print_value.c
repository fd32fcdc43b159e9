/*
 * A value as CEL text: what the language can write reads back as the same value.
 */
#include "run_priv.h"

#include <math.h>

static enum err put(struct buffer *buffer, enum err err, const char *text)
{
	return err == OK ? buffer_append_text(buffer, text) : err;
}

/* ---- texts ---- */

/* One byte of a text, or of bytes. */
static enum err put_byte(struct buffer *buffer, char byte, bool is_text)
{
	static const char letters[] = {['\a'] = 'a',
		['\b'] = 'b',
		['\f'] = 'f',
		['\n'] = 'n',
		['\r'] = 'r',
		['\t'] = 't',
		['\v'] = 'v',
		['"'] = '"'};
	unsigned char code = (unsigned char)byte;
	if (byte == '\\') {
		return buffer_append_text(buffer, "\\\\");
	}
	if (code < sizeof(letters) && letters[code]) {
		return buffer_printf(buffer, "\\%c", letters[code]);
	}
	bool is_plain = code >= 0x20 && code != 0x7F && (is_text || code < 0x80);
	return is_plain ? buffer_append(buffer, (struct bytes){&byte, 1})
			: buffer_printf(buffer, "\\x%02x", code);
}

static enum err put_quoted(struct buffer *buffer, struct bytes text, bool is_text)
{
	enum err err = put(buffer, OK, is_text ? "\"" : "b\"");
	for (size_t i = 0; err == OK && i < text.size; i++) {
		err = put_byte(buffer, text.data[i], is_text);
	}
	return put(buffer, err, "\"");
}

/* ---- scalars ---- */

static enum err put_double(struct buffer *buffer, double real)
{
	if (!isfinite(real)) {
		return buffer_printf(buffer, "double(\"%s\")",
			isnan(real)        ? "NaN"
				: real > 0 ? "Infinity"
					   : "-Infinity");
	}
	size_t start = buffer->size;
	const struct value value = {.kind = VALUE_DOUBLE, .as.real = real};
	enum err err = json_print(buffer, &value);
	for (size_t i = start; err == OK && i < buffer->size; i++) {
		char c = buffer->data[i];
		if (c == '.' || c == 'e' || c == 'E') {
			return OK;
		}
	}
	return put(buffer, err, ".0");
}

/* timestamp("..."), duration("..."), ip("..."), cidr("...") */
static enum err put_call(struct buffer *buffer, const char *function, struct cel_value value)
{
	enum err err = buffer_printf(buffer, "%s(\"", function);
	if (err == OK) {
		bool is_network = value.type == CEL_IP || value.type == CEL_CIDR;
		err = is_network ? cel_print_network(buffer, value)
				 : cel_print_scalar(buffer, value);
	}
	return put(buffer, err, "\")");
}

/* ---- lists and maps ---- */

/* NOLINTNEXTLINE(misc-no-recursion): values are no deeper than a document and an expression are */
static enum err put_list(struct buffer *buffer, struct cel_value list)
{
	struct cel_walk walk = cel_walk(list);
	struct cel_value item;
	enum err err = put(buffer, OK, "[");
	for (bool is_first = true; err == OK && cel_next_item(&walk, &item); is_first = false) {
		err = put(buffer, err, is_first ? "" : ", ");
		err = err == OK ? cel_print_value(buffer, item) : err;
	}
	return put(buffer, err, "]");
}

/* NOLINTNEXTLINE(misc-no-recursion): values are no deeper than a document and an expression are */
static enum err put_map(struct buffer *buffer, struct cel_value map)
{
	struct cel_walk walk = cel_walk(map);
	struct cel_entry entry;
	enum err err = put(buffer, OK, "{");
	for (bool is_first = true; err == OK && cel_next_entry(&walk, &entry); is_first = false) {
		err = put(buffer, err, is_first ? "" : ", ");
		err = err == OK ? cel_print_value(buffer, entry.key) : err;
		err = put(buffer, err, ": ");
		err = err == OK ? cel_print_value(buffer, entry.value) : err;
	}
	return put(buffer, err, "}");
}

/* NOLINTNEXTLINE(misc-no-recursion): values are no deeper than a document and an expression are */
static enum err put_optional(struct buffer *buffer, struct cel_value optional)
{
	if (!optional.as.items) {
		return buffer_append_text(buffer, "optional.none()");
	}
	enum err err = buffer_append_text(buffer, "optional.of(");
	err = err == OK ? cel_print_value(buffer, *optional.as.items) : err;
	return put(buffer, err, ")");
}

/* NOLINTNEXTLINE(misc-no-recursion): values are no deeper than a document and an expression are */
enum err cel_print_value(struct buffer *buffer, struct cel_value value)
{
	switch ((enum cel_type)value.type) {
	case CEL_NULL:
		return buffer_append_text(buffer, "null");
	case CEL_BOOL:
		return buffer_append_text(buffer, value.as.boolean ? "true" : "false");
	case CEL_INT:
		return buffer_printf(buffer, "%lld", (long long)value.as.integer);
	case CEL_UINT:
		return buffer_printf(
			buffer, "%lluu", (unsigned long long)value.as.unsigned_integer);
	case CEL_DOUBLE:
		return put_double(buffer, value.as.real);
	case CEL_STRING:
		return put_quoted(buffer, cel_text(value), true);
	case CEL_BYTES:
		return put_quoted(buffer, cel_text(value), false);
	case CEL_LIST:
		return put_list(buffer, value);
	case CEL_MAP:
		return put_map(buffer, value);
	case CEL_TIMESTAMP:
		return put_call(buffer, "timestamp", value);
	case CEL_DURATION:
		return put_call(buffer, "duration", value);
	case CEL_TYPE:
		return buffer_append_text(buffer, cel_type_name((enum cel_type)value.size));
	case CEL_OPTIONAL:
		return put_optional(buffer, value);
	case CEL_IP:
		return put_call(buffer, "ip", value);
	case CEL_CIDR:
		return put_call(buffer, "cidr", value);
	case CEL_ERROR:
		return buffer_printf(buffer, "error: %s", value.as.text);
	case CEL_DYN:
		break;
	}
	return ERR_INVALID;
}
