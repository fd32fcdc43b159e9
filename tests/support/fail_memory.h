/*
 * base's allocator with a fault: while armed, the Nth allocation from then on fails, once or for good.
 * fail_memory_start comes first in main.
 */
#ifndef TEST_FAIL_MEMORY_H
#define TEST_FAIL_MEMORY_H

#include "base.h"

#include <stdlib.h>

struct fail_memory {
	unsigned long countdown; /* 0: not armed */
	bool for_good;           /* all allocations after the first that failed fail too */
	unsigned long failed;
};

static inline void *fail_memory_hook(void *ctx, void *pointer, size_t size)
{
	struct fail_memory *memory = ctx;
	if (size == 0) {
		free(pointer);
		return NULL;
	}
	if (memory->countdown > 0 && --memory->countdown == 0) {
		memory->failed++;
		memory->countdown = memory->for_good ? 1 : 0;
		return NULL;
	}
	return realloc(pointer, size);
}

static inline void fail_memory_start(struct fail_memory *memory)
{
	mem_set_hook(fail_memory_hook, memory);
}

static inline void fail_memory_arm(struct fail_memory *memory, unsigned long nth, bool for_good)
{
	*memory = (struct fail_memory){.countdown = nth, .for_good = for_good};
}

static inline void fail_memory_disarm(struct fail_memory *memory)
{
	memory->countdown = 0;
}

#endif
