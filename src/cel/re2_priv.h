/*
 * RE2, as far as regexes.c needs it: the border between C and C++, and the only file that both
 * read. RE2 is not as the rest of this code is: it allocates by C++'s `new`, which no hook of ours
 * sees and no test can make fail; where that gives nothing it throws, and every function here that
 * can meet that catches it, says "no memory", and loses what RE2 had begun; it takes locks of its
 * own, never for long when one thread has the pattern to itself. Both compiling and matching are
 * linear in the size of the text, and `memory_bytes` bounds the compiled program and all that
 * matching keeps in between.
 */
#ifndef CEL_RE2_PRIV_H
#define CEL_RE2_PRIV_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum re2_outcome {
	RE2_OK,
	RE2_NO_MATCH,
	RE2_BAD_PATTERN,
	RE2_TOO_LARGE, /* for memory_bytes */
	RE2_NO_MEMORY,
};

struct re2_pattern;

/* A bad pattern leaves why in `ret_text`, NUL-terminated, cut to `text_room`. */
enum re2_outcome cel_re2_new(const char *pattern, size_t size, uint32_t memory_bytes,
	char *ret_text, size_t text_room, struct re2_pattern **ret_pattern);
void cel_re2_free(struct re2_pattern *pattern);

uint32_t cel_re2_groups(const struct re2_pattern *pattern);  /* that capture */
uint32_t cel_re2_program(const struct re2_pattern *pattern); /* its size, in instructions */

/* Where a group matched; `start` is SIZE_MAX if it took no part. */
struct re2_span {
	size_t start, end;
};

/*
 * RE2_OK: the leftmost match of all from `start` on; `spans`, `count` of them, are the whole match
 * and the groups behind it. Text before `start` is seen by `^` and `\b`. RE2_NO_MATCH;
 * RE2_NO_MEMORY.
 */
enum re2_outcome cel_re2_find(const struct re2_pattern *pattern, const char *text, size_t size,
	size_t start, struct re2_span *ret_spans, size_t count);

#ifdef __cplusplus
}
#endif

#endif
