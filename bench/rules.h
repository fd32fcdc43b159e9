/*
 * rules: a file of subscriptions, one a line:
 * {"id","database","collection","filters":[{"field","op","value"}],"expression"}.
 * Owns: what it has read, until rules_close. Threads: any, one at a time.
 * Errors: with text: which file, which line, what is wrong and what would be right; ERR_INVALID and
 * ERR_CORRUPT are mistakes of whoever wrote the file.
 * Invariant: at least one rule, in the order of the lines, each with an id of its own.
 */
#ifndef RULES_H
#define RULES_H

#include "lines.h"
#include "model.h"

struct rule {
	struct model_subscription subscription;
	uint64_t line;
};

/* Zeroed is empty, and may be closed. */
struct rules {
	const char *path; /* the caller's */
	struct buffer text;
	struct arena arena;
	struct rule *items;
	size_t count, capacity;
};
enum err rules_open(const char *path, struct err_info *info, struct rules *ret_rules) MUST_CHECK;
void rules_close(struct rules *rules);

#endif
