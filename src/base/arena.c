/*
 * An arena is a list of blocks; only the newest is filled further. Blocks double in size up to a
 * limit, so their number stays small; a piece that would waste much of a block gets one of its own,
 * which is put behind the newest.
 */
#include "base.h"

#include <string.h>

#define BLOCK_MIN ((size_t)2048)
#define BLOCK_MAX ((size_t)256 * 1024)
#define ALIGNMENT 16U

struct arena_block {
	struct arena_block *older;
	size_t capacity; /* of data */
	_Alignas(ALIGNMENT) char data[];
};

void arena_fini(struct arena *arena)
{
	struct arena_block *block = arena->block;
	while (block) {
		struct arena_block *older = block->older;
		mem_free(block);
		block = older;
	}
	*arena = (struct arena){0};
}

void arena_reset(struct arena *arena)
{
	struct arena_block *largest = arena->block;
	for (struct arena_block *block = arena->block; block; block = block->older) {
		if (block->capacity > largest->capacity) {
			largest = block;
		}
	}
	struct arena_block *block = arena->block;
	while (block) {
		struct arena_block *older = block->older;
		if (block != largest) {
			arena->total -= sizeof(*block) + block->capacity;
			mem_free(block);
		}
		block = older;
	}
	if (largest) {
		largest->older = NULL;
	}
	arena->block = largest;
	arena->used = 0;
}

static struct arena_block *add_block(struct arena *arena, size_t capacity)
{
	struct arena_block *block = mem_alloc(sizeof(*block) + capacity);
	if (block) {
		block->capacity = capacity;
		block->older = NULL;
		arena->total += sizeof(*block) + capacity;
	}
	return block;
}

static size_t rounded(size_t size)
{
	return size > 0 ? (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1) : ALIGNMENT;
}

enum err arena_reserve(struct arena *arena, size_t size)
{
	struct arena_block *newest = arena->block;
	if (size > SIZE_MAX / 2) {
		return ERR_MEMORY;
	}
	size = rounded(size);
	if (newest && size <= newest->capacity - arena->used) {
		return OK;
	}
	struct arena_block *block = add_block(arena, size);
	if (!block) {
		return ERR_MEMORY;
	}
	block->older = newest;
	arena->block = block;
	arena->used = 0;
	return OK;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	if (size > SIZE_MAX / 2) {
		return NULL;
	}
	size = rounded(size);
	struct arena_block *newest = arena->block;
	if (newest && size <= newest->capacity - arena->used) {
		void *piece = newest->data + arena->used;
		arena->used += size;
		return piece;
	}
	size_t capacity = newest && newest->capacity >= BLOCK_MIN / 2
		? (newest->capacity + sizeof(*newest)) * 2
		: BLOCK_MIN;
	capacity = (capacity < BLOCK_MAX ? capacity : BLOCK_MAX) - sizeof(*newest);
	bool alone = size > capacity / 2;
	struct arena_block *block = add_block(arena, alone ? size : capacity);
	if (!block) {
		return NULL;
	}
	if (alone && newest) {
		block->older = newest->older;
		newest->older = block;
	} else {
		block->older = newest;
		arena->block = block;
		arena->used = size;
	}
	return block->data;
}

struct bytes arena_copy(struct arena *arena, struct bytes bytes)
{
	char *data = bytes.size < SIZE_MAX ? arena_alloc(arena, bytes.size + 1) : NULL;
	if (!data) {
		return (struct bytes){NULL, 0};
	}
	if (bytes.size > 0) {
		memcpy(data, bytes.data, bytes.size);
	}
	data[bytes.size] = '\0';
	return (struct bytes){data, bytes.size};
}
