/*
 * language: what expressions cost in this process: to make one, and to evaluate one over a document
 * that has been read.
 * Owns: nothing behind its calls.
 * Threads: its caller's, while no other runs: it counts the process's allocations.
 * Errors: with text; an evaluation that allocates, or is not true, is an error.
 * Invariant: every expression here holds for its document.
 */
#ifndef LANGUAGE_H
#define LANGUAGE_H

#include "base.h"

#include <stdio.h>

struct language_case {
	const char *name;
	const char *source;
	uint32_t members;   /* of the document */
	uint32_t constants; /* more of them, of a list at the end of the expression; 0: none */
};
/* Case number `index`; NULL: no more. */
const struct language_case *language_case_at(size_t index);

/* Evaluation, as a gateway's subscription would be evaluated: nanoseconds each. */
enum err language_evaluate(
	const struct language_case *row, struct err_info *info, double *ret_ns) MUST_CHECK;

/* The filter that language_make makes: parsed, checked and turned into a condition. */
extern const char language_filter[];
enum err language_make(struct err_info *info, double *ret_ns) MUST_CHECK;

/* All cases, for other libraries: {"name","members","expression","document"}, a line of JSON each.
 */
enum err language_print_cases(FILE *to, struct err_info *info) MUST_CHECK;

#endif
