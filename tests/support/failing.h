/*
 * Fails one allocation of a test's choice: run a piece of code with fail_at = 0, 1, 2 … until it no
 * longer meets its failure, and every path for lack of memory has been taken once.
 */
#ifndef TEST_FAILING_H
#define TEST_FAILING_H

#include "base.h"

#include <stdlib.h>

struct failing {
	size_t fail_at; /* this allocation fails, counted from 0 */
	size_t count;   /* allocations so far */
	size_t live;    /* pieces allocated and not freed */
};

static inline void *failing_hook(void *ctx, void *pointer, size_t size)
{
	struct failing *failing = ctx;
	if (size == 0) {
		failing->live -= pointer ? 1 : 0;
		free(pointer);
		return NULL;
	}
	if (failing->count++ == failing->fail_at) {
		return NULL;
	}
	failing->live += pointer ? 0 : 1;
	return realloc(pointer, size);
}

/* From here to failing_stop the allocation number `fail_at` fails. */
static inline void failing_start(struct failing *failing, size_t fail_at)
{
	*failing = (struct failing){.fail_at = fail_at};
	mem_set_hook(failing_hook, failing);
}

/* Whether the failure took place. */
static inline bool failing_stop(const struct failing *failing)
{
	mem_set_hook(NULL, NULL);
	return failing->count > failing->fail_at;
}

#endif
