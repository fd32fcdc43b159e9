/* A growing run of bytes: capacity doubles, so appending costs constant time on average. */
#include "base.h"

#include <stdio.h>
#include <string.h>

#define CAPACITY_MIN 64

void buffer_fini(struct buffer *buffer)
{
	mem_free(buffer->data);
	*buffer = (struct buffer){0};
}

enum err buffer_reserve(struct buffer *buffer, size_t more)
{
	if (more <= buffer->capacity - buffer->size) {
		return OK;
	}
	if (more > SIZE_MAX / 2 - buffer->size) {
		return ERR_MEMORY;
	}
	size_t needed = buffer->size + more;
	size_t capacity = buffer->capacity <= SIZE_MAX / 4 ? buffer->capacity * 2 : needed;
	if (capacity < CAPACITY_MIN) {
		capacity = CAPACITY_MIN;
	}
	if (capacity < needed) {
		capacity = needed;
	}
	char *data = mem_realloc(buffer->data, capacity);
	if (!data) {
		return ERR_MEMORY;
	}
	buffer->data = data;
	buffer->capacity = capacity;
	return OK;
}

enum err buffer_append(struct buffer *buffer, struct bytes bytes)
{
	enum err err = buffer_reserve(buffer, bytes.size);
	if (err != OK) {
		return err;
	}
	if (bytes.size > 0) {
		memcpy(buffer->data + buffer->size, bytes.data, bytes.size);
		buffer->size += bytes.size;
	}
	return OK;
}

enum err buffer_append_text(struct buffer *buffer, const char *text)
{
	return buffer_append(buffer, bytes_of(text));
}

enum err buffer_printf(struct buffer *buffer, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int size = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (size < 0) {
		return ERR_INVALID;
	}
	/* One more for the NUL, which is written behind the bytes and not counted. */
	enum err err = buffer_reserve(buffer, (size_t)size + 1);
	if (err != OK) {
		return err;
	}
	va_start(arguments, format);
	(void)vsnprintf(buffer->data + buffer->size, (size_t)size + 1, format, arguments);
	va_end(arguments);
	buffer->size += (size_t)size;
	return OK;
}

struct bytes buffer_bytes(const struct buffer *buffer)
{
	return (struct bytes){buffer->data, buffer->size};
}
