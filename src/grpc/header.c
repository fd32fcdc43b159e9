/* The fields of gRPC's header blocks, read and written. Unknown fields are counted and dropped. */
#include "grpc_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- grpc-message ------------------------------------------------------------------------ */

/* The length of the longest prefix of at most `most` bytes that cuts no UTF-8 sequence. */
static size_t cut(struct bytes text, size_t most)
{
	if (text.size <= most) {
		return text.size;
	}
	size_t size = most;
	while (size > 0 && ((unsigned char)text.data[size] & 0xC0) == 0x80) {
		size--;
	}
	return size;
}

void grpc_text_mend(struct buffer *buffer, size_t from)
{
	if (buffer->size == from) {
		return; /* there may be no buffer at all */
	}
	if (bytes_are_utf8((struct bytes){buffer->data + from, buffer->size - from})) {
		return;
	}
	for (size_t i = from; i < buffer->size; i++) {
		if ((unsigned char)buffer->data[i] >= 0x80) {
			buffer->data[i] = '?';
		}
	}
}

enum err grpc_text_encode(struct bytes text, struct buffer *buffer)
{
	static const char hex[] = "0123456789ABCDEF";
	text.size = cut(text, GRPC_TEXT_BYTES_MAX);
	enum err err = buffer_reserve(buffer, text.size * 3 + 1);
	if (err) {
		return err;
	}
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];
		/* HTTP/2 allows no space at the ends of a value */
		bool is_edge = i == 0 || i + 1 == text.size;
		if (c >= (is_edge ? '!' : ' ') && c <= '~' && c != '%') {
			buffer->data[buffer->size++] = (char)c;
		} else {
			buffer->data[buffer->size++] = '%';
			buffer->data[buffer->size++] = hex[c >> 4];
			buffer->data[buffer->size++] = hex[c & 15];
		}
	}
	return OK;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	if (c >= 'A' && c <= 'F') {
		return c - 'A' + 10;
	}
	return -1;
}

/* A '%' without two hex digits behind it stands for itself: peers are not refused for a text. */
enum err grpc_text_decode(struct bytes text, struct buffer *buffer)
{
	enum err err = buffer_reserve(buffer, text.size + 1);
	if (err) {
		return err;
	}
	size_t before = buffer->size;
	for (size_t i = 0; i < text.size; i++) {
		int high = -1;
		int low = -1;
		if (text.data[i] == '%' && text.size - i > 2) {
			high = hex_value(text.data[i + 1]);
			low = hex_value(text.data[i + 2]);
		}
		if (high >= 0 && low >= 0) {
			buffer->data[buffer->size++] = (char)(high * 16 + low);
			i += 2;
		} else {
			buffer->data[buffer->size++] = text.data[i];
		}
	}
	grpc_text_mend(buffer, before);
	return OK;
}

/* ---- grpc-timeout ------------------------------------------------------------------------ */

static const struct {
	char letter;
	int64_t ns;
} units[] = {
	{'n', 1},
	{'u', 1000},
	{'m', 1000000},
	{'S', 1000000000},
	{'M', 60000000000},
	{'H', 3600000000000},
};
#define UNIT_COUNT (sizeof units / sizeof units[0])

enum err grpc_timeout_parse(struct bytes text, int64_t *ret_us)
{
	int64_t number = 0;
	if (text.size < 2 || text.size > 9) {
		return ERR_INVALID;
	}
	for (size_t i = 0; i + 1 < text.size; i++) {
		if (text.data[i] < '0' || text.data[i] > '9') {
			return ERR_INVALID;
		}
		number = number * 10 + (text.data[i] - '0');
	}
	for (size_t i = 0; i < UNIT_COUNT; i++) {
		if (units[i].letter == text.data[text.size - 1]) {
			*ret_us = units[i].ns < 1000 ? (number + 999) / 1000
						     : number * (units[i].ns / 1000);
			return OK;
		}
	}
	return ERR_INVALID;
}

/* The finest unit that needs at most 8 digits, rounded up. */
void grpc_timeout_print(int64_t timeout_us, char text[24])
{
	int64_t most = 99999999;
	int64_t number = 0;
	size_t unit = 1;
	if (timeout_us < 0) {
		timeout_us = 0;
	}
	for (;; unit++) {
		int64_t unit_us = units[unit].ns / 1000;
		number = timeout_us / unit_us + (timeout_us % unit_us != 0);
		if (number <= most || unit + 1 == UNIT_COUNT) {
			break;
		}
	}
	(void)snprintf(
		text, 24, "%" PRId64 "%c", number < most ? number : most, units[unit].letter);
}

/* ---- fields ------------------------------------------------------------------------------ */

static bool is(struct bytes bytes, const char *text)
{
	return bytes_equal(bytes, bytes_of(text));
}

/* "application/grpc", alone or with "+subtype" or ";parameter" behind it. */
static bool is_grpc_type(struct bytes value)
{
	static const char type[] = "application/grpc";
	size_t size = sizeof type - 1;
	return value.size >= size && memcmp(value.data, type, size) == 0 &&
		(value.size == size || value.data[size] == '+' || value.data[size] == ';');
}

static enum err take_method(struct grpc_headers *headers, struct bytes value)
{
	headers->is_post = is(value, "POST");
	return OK;
}

static enum err take_path(struct grpc_headers *headers, struct bytes value)
{
	headers->path.size = 0;
	return buffer_append(&headers->path, value);
}

static enum err take_http_status(struct grpc_headers *headers, struct bytes value)
{
	headers->http_status = 0;
	for (size_t i = 0; i < value.size && i < 3; i++) {
		unsigned digit = (unsigned char)value.data[i] - (unsigned)'0';
		headers->http_status = headers->http_status * 10 + digit % 10;
	}
	return OK;
}

static enum err take_content_type(struct grpc_headers *headers, struct bytes value)
{
	headers->is_grpc = is_grpc_type(value);
	return OK;
}

static enum err take_encoding(struct grpc_headers *headers, struct bytes value)
{
	headers->encoding = is(value, "gzip") ? GRPC_GZIP
		: is(value, "identity")       ? GRPC_IDENTITY
					      : GRPC_UNKNOWN_ENCODING;
	return OK;
}

static enum err take_timeout(struct grpc_headers *headers, struct bytes value)
{
	headers->has_bad_timeout = grpc_timeout_parse(value, &headers->timeout_us) != OK;
	return OK;
}

static enum err take_status(struct grpc_headers *headers, struct bytes value)
{
	headers->has_status = true;
	headers->status = grpc_status_of_number(value);
	return OK;
}

static enum err take_message(struct grpc_headers *headers, struct bytes value)
{
	headers->text.size = 0;
	return grpc_text_decode(value, &headers->text);
}

static const struct {
	const char *name;
	enum err (*take)(struct grpc_headers *headers, struct bytes value);
} fields[] = {
	{":method", take_method},
	{":path", take_path},
	{":status", take_http_status},
	{"content-type", take_content_type},
	{"grpc-encoding", take_encoding},
	{"grpc-timeout", take_timeout},
	{"grpc-status", take_status},
	{"grpc-message", take_message},
};

void grpc_headers_reset(struct grpc_headers *headers, size_t bytes_max)
{
	buffer_fini(&headers->path);
	buffer_fini(&headers->text);
	*headers = (struct grpc_headers){.bytes_max = bytes_max, .timeout_us = -1};
}

enum err grpc_headers_take(struct grpc_headers *headers, struct bytes name, struct bytes value)
{
	headers->bytes += name.size + value.size + 32;
	if (headers->bytes > headers->bytes_max) {
		headers->is_too_large = true;
		return OK;
	}
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		if (is(name, fields[i].name)) {
			return fields[i].take(headers, value);
		}
	}
	return OK;
}
