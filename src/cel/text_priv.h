/* Text in code points. Text is well-formed UTF-8: every string value is. */
#ifndef CEL_TEXT_PRIV_H
#define CEL_TEXT_PRIV_H

#include "run_priv.h"

#include <string.h>

/* Whether a code point starts with this byte. */
static inline bool cel_is_start(char byte)
{
	return ((unsigned char)byte & 0xC0U) != 0x80U;
}

static inline size_t cel_code_points(struct bytes text)
{
	size_t count = 0;
	for (size_t i = 0; i < text.size; i++) {
		count += cel_is_start(text.data[i]) ? 1 : 0;
	}
	return count;
}

/* Behind the code point at `offset`, which is within the text. */
static inline size_t cel_step(struct bytes text, size_t offset)
{
	do {
		offset++;
	} while (offset < text.size && !cel_is_start(text.data[offset]));
	return offset;
}

/* Where the code point that ends before `offset` starts; offset > 0. */
static inline size_t cel_step_back(struct bytes text, size_t offset)
{
	do {
		offset--;
	} while (offset > 0 && !cel_is_start(text.data[offset]));
	return offset;
}

/* The first place from `start` on, in bytes; what is empty is found at once. */
static inline bool cel_search(struct bytes text, size_t start, struct bytes what, size_t *ret_found)
{
	if (what.size == 0) {
		*ret_found = start;
		return true;
	}
	if (start >= text.size) {
		return false;
	}
	const char *found = memmem(text.data + start, text.size - start, what.data, what.size);
	*ret_found = found ? (size_t)(found - text.data) : 0;
	return found;
}

#endif
