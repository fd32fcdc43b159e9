/*
 * lines: text files of other people, line by line.
 * Owns: nothing; text and lists are the caller's. Threads: any, one at a time.
 * Errors: ERR_IO, ERR_MEMORY, or the taker's; with text: which file, and which line.
 * Invariant: lines are taken in their order, the first that is wrong ends it.
 */
#ifndef LINES_H
#define LINES_H

#include "base.h"

struct line {
	struct bytes text;
	uint64_t number; /* from 1 */
};

/* Appends the whole file. */
enum err lines_read(const char *path, struct err_info *info, struct buffer *text) MUST_CHECK;

/* Every line that is not blank; what is wrong with one gets its place in front. */
typedef enum err (*line_fn)(void *ctx, const struct line *line, struct err_info *info);
enum err lines_take(const char *path, struct bytes text, line_fn take, void *ctx,
	struct err_info *info) MUST_CHECK;

/* Room for one more of `count` items of this size. */
enum err lines_make_room(void **items, size_t *capacity, size_t count, size_t size) MUST_CHECK;

#endif
