/*
 * Pieces of one size stand side by side in a slab, which begins at a multiple of its size, so that
 * a piece leads to its slab without a header of its own. Slabs are cut from blocks, and go back to
 * their block when they are empty, for pieces of whatever size. An empty block waits for pool_trim:
 * pages take long to give back, and the last pieces of many blocks may go together.
 *
 * Each step is a few pointers, whatever there was before. The sanitizer is told which pieces are
 * nobody's.
 */
#include "base.h"

#include <string.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define IS_SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(IS_SANITIZED)
/* Of the sanitizer's library, whose header not every compiler finds. */
void __asan_poison_memory_region(const volatile void *place, size_t size);
void __asan_unpoison_memory_region(const volatile void *place, size_t size);
#define POISON(place, size) __asan_poison_memory_region(place, size)
#define UNPOISON(place, size) __asan_unpoison_memory_region(place, size)
#else
#define POISON(place, size) ((void)(place), (void)(size))
#define UNPOISON(place, size) ((void)(place), (void)(size))
#endif

#define STEP ((size_t)8)
#define SLAB_BYTES ((size_t)16384)
#define BLOCK_MIN ((size_t)64 << 10) /* each is twice as large as the one before */
#define BLOCK_MAX ((size_t)1 << 20)

/* First in what is linked; a list is a pointer to its first. */
struct pool_link {
	struct pool_link *next;
	struct pool_link **place; /* what points here */
};

struct pool_slab {
	struct pool_link link; /* of those with room for its size, or of its block's empty ones */
	struct pool_block *block;
	void *free; /* pieces that were given back; each begins with the next one's address */
	uint32_t size;
	uint32_t used;  /* pieces */
	uint32_t fresh; /* pieces from this byte on have never been in use */
	_Alignas(64) char pieces[];
};

struct pool_block {
	struct pool_link link; /* of those with a slab to give, or of the empty ones */
	struct pool_link *empty;
	uintptr_t fresh; /* slabs from here on have never been in use */
	uintptr_t end;
	uint32_t used; /* slabs */
};

static void link_add(struct pool_link **list, struct pool_link *link)
{
	*link = (struct pool_link){*list, list};
	if (*list) {
		(*list)->place = &link->next;
	}
	*list = link;
}

static void link_remove(struct pool_link *link)
{
	*link->place = link->next;
	if (link->next) {
		link->next->place = link->place;
	}
}

/* ---- blocks and slabs ------------------------------------------------------------------------ */

static bool block_has_slab(const struct pool_block *block)
{
	return block->empty || block->fresh + SLAB_BYTES <= block->end;
}

static enum err add_block(struct pool *pool)
{
	size_t size = pool->block_bytes > 0 ? pool->block_bytes * 2 : BLOCK_MIN;
	size = size < BLOCK_MAX ? size : BLOCK_MAX;
	size_t before = mem_used();
	struct pool_block *block = mem_alloc(size);
	if (!block) {
		return ERR_MEMORY;
	}
	mem_note(before, mem_used()); /* its pieces count, when they are in use */
	uintptr_t least = (uintptr_t)block + sizeof(*block);
	*block = (struct pool_block){
		.fresh = (least + SLAB_BYTES - 1) & ~(uintptr_t)(SLAB_BYTES - 1),
		.end = (uintptr_t)block + size};
	link_add(&pool->blocks, &block->link);
	pool->block_bytes = size;
	return OK;
}

static bool reuse_block(struct pool *pool)
{
	struct pool_link *link = pool->empty;
	if (link) {
		link_remove(link);
		link_add(&pool->blocks, link);
	}
	return link != NULL;
}

static void free_block(struct pool_block *block)
{
	UNPOISON(block, block->end - (uintptr_t)block);
	size_t before = mem_used();
	mem_free(block);
	mem_note(before, mem_used());
}

static struct pool_slab *take_slab(struct pool *pool, uint32_t size)
{
	if (!pool->blocks && !reuse_block(pool) && add_block(pool) != OK) {
		return NULL;
	}
	struct pool_block *block = (struct pool_block *)(void *)pool->blocks;
	struct pool_slab *slab = (struct pool_slab *)(void *)block->empty;
	if (slab) {
		link_remove(&slab->link);
	} else {
		slab = (struct pool_slab *)block->fresh; /* NOLINT(performance-no-int-to-ptr) */
		block->fresh += SLAB_BYTES;
	}
	block->used++;
	if (!block_has_slab(block)) {
		link_remove(&block->link);
	}
	*slab = (struct pool_slab){
		.block = block, .size = size, .fresh = offsetof(struct pool_slab, pieces)};
	POISON(slab->pieces, SLAB_BYTES - slab->fresh);
	return slab;
}

static void give_slab(struct pool *pool, struct pool_slab *slab)
{
	struct pool_block *block = slab->block;
	if (!block_has_slab(block)) {
		link_add(&pool->blocks, &block->link);
	}
	link_add(&block->empty, &slab->link);
	if (--block->used == 0) {
		link_remove(&block->link);
		link_add(&pool->empty, &block->link);
	}
}

bool pool_trim(struct pool *pool)
{
	struct pool_link *link = pool->empty;
	if (!link || !link->next) {
		return false;
	}
	link_remove(link);
	free_block((struct pool_block *)(void *)link);
	return pool->empty->next;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static bool slab_has_room(const struct pool_slab *slab)
{
	return slab->free || slab->fresh + slab->size <= SLAB_BYTES;
}

static uint32_t step_up(size_t size)
{
	return (uint32_t)((size + STEP - 1) & ~(STEP - 1));
}

static struct pool_link **list_of(struct pool *pool, uint32_t size)
{
	return &pool->slabs[size / STEP - 1];
}

void *pool_alloc(struct pool *pool, size_t size)
{
	check(size > 0);
	if (size > POOL_PIECE_MAX) {
		return mem_alloc(size);
	}
	struct pool_link **list = list_of(pool, step_up(size));
	struct pool_slab *slab = (struct pool_slab *)(void *)*list;
	if (!slab) {
		slab = take_slab(pool, step_up(size));
		if (!slab) {
			return NULL;
		}
		link_add(list, &slab->link);
	}
	void **piece = slab->free;
	if (piece) {
		UNPOISON(piece, STEP);
		slab->free = *piece;
		POISON(piece, STEP);
	} else {
		piece = (void **)(void *)((char *)slab + slab->fresh);
		slab->fresh += slab->size;
	}
	UNPOISON(piece, size);
	mem_note(slab->size, 0);
	slab->used++;
	if (!slab_has_room(slab)) {
		link_remove(&slab->link);
	}
	return piece;
}

void pool_free(struct pool *pool, void *piece, size_t size)
{
	if (!piece || size > POOL_PIECE_MAX) {
		mem_free(piece);
		return;
	}
	/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
	struct pool_slab *slab = (struct pool_slab *)((uintptr_t)piece & ~(SLAB_BYTES - 1));
	check(slab->size == step_up(size) && slab->used > 0);
	if (!slab_has_room(slab)) {
		link_add(list_of(pool, slab->size), &slab->link);
	}
	UNPOISON(piece, STEP);
	*(void **)piece = slab->free;
	slab->free = piece;
	POISON(piece, slab->size);
	mem_note(0, slab->size);
	if (--slab->used == 0) {
		link_remove(&slab->link);
		give_slab(pool, slab);
	}
}

void *pool_resize(struct pool *pool, void *piece, size_t old_size, size_t size)
{
	if (piece && old_size > POOL_PIECE_MAX && size > POOL_PIECE_MAX) {
		return mem_realloc(piece, size);
	}
	void *moved = pool_alloc(pool, size);
	if (moved && piece) {
		memcpy(moved, piece, old_size < size ? old_size : size);
		pool_free(pool, piece, old_size);
	}
	return moved;
}

void pool_fini(struct pool *pool)
{
	check(!pool->blocks);
	while (pool->empty) {
		struct pool_link *link = pool->empty;
		link_remove(link);
		free_block((struct pool_block *)(void *)link);
	}
	*pool = (struct pool){0};
}
