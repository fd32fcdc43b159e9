/* Pieces of a subscribe, written by hand. */
#ifndef TEST_SUBSCRIBE_H
#define TEST_SUBSCRIBE_H

#include "proto.h"

/* A Filter; `value` (may be NULL) is freed. */
static inline void write_filter(
	struct buffer *subscribe, const char *field, const char *op, struct buffer *value)
{
	struct buffer filter = {0};
	proto_text(&filter, 1, field);
	proto_text(&filter, 2, op);
	if (value) {
		proto_message(&filter, 3, value);
	}
	proto_message(subscribe, 3, &filter);
}

/* A Value with a list of integers. */
static inline void write_list(struct buffer *value, uint64_t first, size_t count)
{
	struct buffer list = {0};
	for (size_t i = 0; i < count; i++) {
		struct buffer item = {0};
		proto_integer(&item, 2, first + i);
		proto_message(&list, 1, &item);
	}
	proto_message(value, 5, &list);
}

/* A Value that is `depth` lists, one in the other. */
static inline void write_nested(struct buffer *value, size_t depth)
{
	struct buffer inner = {0};
	for (size_t i = 0; i < depth; i++) {
		struct buffer list = {0};
		if (i > 0) {
			proto_message(&list, 1, &inner);
		}
		proto_message(&inner, 5, &list);
	}
	*value = inner;
}

#endif
