/*
 * Every allocation of the process goes through one hook, so that tests can fail each in turn. The
 * hook is the only variable of this module; it is set before there is a second thread.
 */
#include "base.h"

#include <stdlib.h>
#include <string.h>

static void *libc_hook(void *ctx, void *pointer, size_t size)
{
	(void)ctx;
	if (size == 0) {
		free(pointer);
		return NULL;
	}
	return realloc(pointer, size);
}

static mem_hook_fn current_hook = libc_hook;
static void *current_ctx;

void mem_set_hook(mem_hook_fn hook, void *ctx)
{
	current_hook = hook ? hook : libc_hook;
	current_ctx = hook ? ctx : NULL;
}

void *mem_alloc(size_t size)
{
	return current_hook(current_ctx, NULL, size > 0 ? size : 1);
}

void *mem_calloc(size_t count, size_t size)
{
	if (size > 0 && count > SIZE_MAX / size) {
		return NULL;
	}
	size_t total = count * size > 0 ? count * size : 1;
	if (current_hook == libc_hook) {
		return calloc(1, total); /* pages fresh from the system are not zeroed twice */
	}
	void *pointer = current_hook(current_ctx, NULL, total);
	if (pointer) {
		memset(pointer, 0, total);
	}
	return pointer;
}

void *mem_realloc(void *pointer, size_t size)
{
	check(size > 0);
	return current_hook(current_ctx, pointer, size);
}

void mem_free(void *pointer)
{
	if (pointer) {
		(void)current_hook(current_ctx, pointer, 0);
	}
}
