/* JSON by chance, in which names that mean something to the system come again and again. */
#ifndef TEST_RANDOM_DOCUMENT_H
#define TEST_RANDOM_DOCUMENT_H

#include "proto.h"
#include "random.h"

/* NOLINTNEXTLINE(misc-no-recursion): at most `depth` levels, which is 3 */
static inline void random_value(struct test_random *random, struct buffer *text, unsigned depth)
{
	static const char *const scalars[] = {"1", "-2.50", "9007199254740993", "true", "null",
		"\"\"", "\"a\"", "\"\\\"}\"", "\"\\u0061\xc3\xbc\"", " 7 ", "1e400", "\"\\udc00\""};
	static const char *const names[] = {"id", "\\u0069d", "collection", "version", "updatedAt",
		"createdAt", "deleted", "data", "d\\u0061ta", "a", "b", ""};
	uint64_t kind = test_random_below(random, depth > 0 ? 3 : 1);
	/* The last two are refused, and are rare. */
	uint64_t scalar = test_random_below(random, test_random_below(random, 20) ? 10 : 12);
	if (kind == 0) {
		proto_raw(text, bytes_of(scalars[scalar]));
		return;
	}
	proto_raw(text, bytes_of(kind == 1 ? "{" : "["));
	uint64_t count = test_random_below(random, 7);
	for (uint64_t i = 0; i < count; i++) {
		proto_raw(text, bytes_of(i > 0 ? "," : " "));
		if (kind == 1) {
			proto_raw(text, bytes_of("\""));
			proto_raw(text, bytes_of(names[test_random_below(random, 12)]));
			proto_raw(text, bytes_of(test_random_below(random, 2) ? "\" :" : "\":"));
		}
		random_value(random, text, depth - 1);
	}
	proto_raw(text, bytes_of(kind == 1 ? "}" : "]"));
}

#endif
