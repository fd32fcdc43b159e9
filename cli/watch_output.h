/* How streamer watch shows a change: a line for people, or one JSON object. */
#ifndef WATCH_OUTPUT_H
#define WATCH_OUTPUT_H

#include "cli.h"

struct watch_output {
	int fd;
	int signals; /* readable: writing is given up */
	bool is_json;
	bool is_terminal;
	bool has_color;
	FILE *line; /* the line under way; what it has is in `text` */
	char *text;
	size_t text_size;
	size_t columns_left; /* of the line under way */
};

/* False: out of memory. */
bool watch_output_init(struct watch_output *output, int fd, int signals, bool is_json);
void watch_output_fini(struct watch_output *output);

enum watch_written {
	WATCH_WRITTEN,
	WATCH_SIGNAL,      /* one came while the reader took nothing */
	WATCH_READER_GONE, /* which is a reader's right */
	WATCH_FAILED,      /* errno says why */
};
/* Writes a delivery, all of it, before it returns. */
enum watch_written watch_output_write(
	struct watch_output *output, const struct streamer_item *delivery);

/* A string in quotes. */
void watch_put_json(FILE *to, struct streamer_bytes text);

#endif
