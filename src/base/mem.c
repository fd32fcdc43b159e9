/*
 * Every allocation of the process goes through one hook, so that tests can fail each in turn. The
 * hook is set before there is a second thread; what is in use is counted by each thread alone.
 */
#include "base.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local size_t used; /* wraps around: a thread may free what another allocated */

/* What the allocator keeps of a piece, its own header included. */
static size_t piece_bytes(void *pointer)
{
	return pointer ? malloc_usable_size(pointer) + sizeof(size_t) : 0;
}

static void *libc_hook(void *ctx, void *pointer, size_t size)
{
	(void)ctx;
	size_t before = piece_bytes(pointer);
	if (size == 0) {
		free(pointer);
		used -= before;
		return NULL;
	}
	void *moved = realloc(pointer, size);
	if (moved) {
		used += piece_bytes(moved) - before;
	}
	return moved;
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
		void *zeroed = calloc(1, total); /* fresh pages are not zeroed twice */
		used += piece_bytes(zeroed);
		return zeroed;
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

size_t mem_used(void)
{
	return used;
}

void mem_note(size_t more, size_t fewer)
{
	used += more - fewer;
}
