/* A file is read whole: what is made of its lines may point into it. */
#include "lines.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum err lines_read(const char *path, struct err_info *info, struct buffer *text)
{
	FILE *file = fopen(path, "r");
	if (!file) {
		return err_set(info, ERR_IO, 0, "cannot open %s: %s", path, strerrordesc_np(errno));
	}
	enum err err = OK;
	size_t size = 1;
	while (err == OK && size > 0) {
		err = buffer_reserve(text, 65536);
		if (err == OK) {
			size = fread(text->data + text->size, 1, 65536, file);
			text->size += size;
		}
	}
	if (err == OK && ferror(file)) {
		err = err_set(info, ERR_IO, 0, "cannot read %s: %s", path, strerrordesc_np(errno));
	}
	(void)fclose(file);
	return err;
}

static bool is_blank(struct bytes line)
{
	for (size_t i = 0; i < line.size; i++) {
		if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r') {
			return false;
		}
	}
	return true;
}

enum err lines_take(
	const char *path, struct bytes text, line_fn take, void *ctx, struct err_info *info)
{
	struct bytes rest = text;
	enum err err = OK;
	for (uint64_t number = 1; err == OK && rest.size > 0; number++) {
		const char *end = memchr(rest.data, '\n', rest.size);
		size_t size = end ? (size_t)(end - rest.data) : rest.size;
		const struct line line = {{rest.data, size}, number};
		size_t taken = end ? size + 1 : size;
		rest = (struct bytes){rest.data + taken, rest.size - taken};
		struct err_info cause = {0};
		err = is_blank(line.text) ? OK : take(ctx, &line, &cause);
		if (err != OK) {
			err = err_set(info, err, 0, "%s: line %" PRIu64 ": %s", path, number,
				cause.text[0] ? cause.text : err_text(err));
		}
	}
	return err;
}

enum err lines_make_room(void **items, size_t *capacity, size_t count, size_t size)
{
	if (count < *capacity) {
		return OK;
	}
	size_t more = *capacity > 0 ? *capacity * 2 : 1024;
	void *larger = mem_realloc(*items, more * size);
	if (!larger) {
		return ERR_MEMORY;
	}
	*items = larger;
	*capacity = more;
	return OK;
}
