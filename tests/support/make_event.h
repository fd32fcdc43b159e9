/* Events as ingest makes them, from a line of JSON. Running out of memory aborts. */
#ifndef TEST_MAKE_EVENT_H
#define TEST_MAKE_EVENT_H

#include "wire.h"

/* An event of a change in the short form, an insert, as these options say. */
static inline struct event *make_event_with(
	const char *line, const struct wire_event_options *options)
{
	struct arena arena = {0};
	struct model_source_message message = {0};
	struct wire_document_head head;
	struct err_info info = {0};
	struct event *event = NULL;
	check(wire_change_line_parse(
		      bytes_of(line), options->sequence, 1, &arena, &message, &info) == OK);
	check(wire_document_head_scan(message.change.full_document, &arena, &head) == OK);
	check(wire_event_make(&message.change, MODEL_INSERT, &head, options, &info, &event) == OK);
	arena_fini(&arena);
	return event;
}

/* A read one; `is_read` false: as if nobody wanted it. */
static inline struct event *make_event(const char *line, uint64_t sequence, bool is_read)
{
	const struct wire_event_options options = {
		.json_depth_max = 100, .read = is_read, .sequence = sequence};
	return make_event_with(line, &options);
}

#endif
