/*
 * hostile: what reading and matching cost for documents that somebody made to be dear, beside plain
 * ones.
 * Owns: nothing behind its calls.
 * Threads: its caller's.
 * Errors: with text.
 * Invariant: every document is about as large as its case says, and strict JSON.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "base.h"

/* Number `index`; NULL: no more. The first are plain. */
const char *hostile_name_at(size_t index);

struct hostile_result {
	size_t bytes;             /* of the document */
	double read_ns, match_ns; /* for each of its bytes */
};
enum err hostile_run(
	size_t index, struct err_info *info, struct hostile_result *ret_result) MUST_CHECK;

#endif
