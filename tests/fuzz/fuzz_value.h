/* Values as fuzzers compare them: what was written and read again must be the same to the bit. */
#ifndef FUZZ_VALUE_H
#define FUZZ_VALUE_H

#include "value.h"

#include <string.h>

/* Cell by cell: of the same kind and bits. Texts may lie in different places. */
static inline bool fuzz_same_value(const struct value *a, const struct value *b)
{
	const struct value *end = value_after(a);
	if (end - a != value_after(b) - b) {
		return false;
	}
	for (; a < end; a++, b++) {
		bool is_text = a->kind == VALUE_STRING;
		bool is_same = is_text ? bytes_equal(value_text(a), value_text(b))
				       : memcmp(&a->as, &b->as, sizeof(a->as)) == 0;
		if (a->kind != b->kind || a->size != b->size || !is_same) {
			return false;
		}
	}
	return true;
}

#endif
