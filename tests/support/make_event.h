/* Events as ingest makes them, from a line of JSON. Running out of memory aborts. */
#ifndef TEST_MAKE_EVENT_H
#define TEST_MAKE_EVENT_H

#include "wire.h"

/* A read event of a change in the short form, an insert; `is_read` false: as if nobody wanted it.
 */
static inline struct event *make_event(const char *line, uint64_t sequence, bool is_read)
{
	struct arena arena = {0};
	struct model_source_message message = {0};
	struct wire_document_head head;
	struct err_info info = {0};
	struct event *event = NULL;
	const struct wire_event_options options = {
		.json_depth_max = 100, .read = is_read, .sequence = sequence};
	check(wire_change_line_parse(bytes_of(line), sequence, 1, &arena, &message, &info) == OK);
	check(wire_document_head_scan(message.change.full_document, &arena, &head) == OK);
	check(wire_event_make(&message.change, MODEL_INSERT, &head, &options, &info, &event) == OK);
	arena_fini(&arena);
	return event;
}

#endif
