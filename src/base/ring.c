/*
 * `pushed` and `popped` only grow; an item's slot is its number modulo the capacity. Each side
 * writes its own counter with release and reads the other's with acquire, and only when what it
 * remembers of it is not enough. Padding keeps the two sides on different cache lines wherever the
 * allocator puts them.
 */
#include "base.h"

#define CACHE_LINE 64

struct ring {
	size_t mask;
	char padding_before[CACHE_LINE];
	_Atomic size_t pushed; /* written by the producer */
	size_t popped_seen;    /* the producer's */
	char padding_between[CACHE_LINE];
	_Atomic size_t popped; /* written by the consumer */
	size_t pushed_seen;    /* the consumer's */
	char padding_behind[CACHE_LINE];
	void *items[];
};

enum err ring_new(size_t capacity, struct ring **ret_ring)
{
	if (capacity == 0) {
		return ERR_INVALID;
	}
	if (capacity > SIZE_MAX / 4 / sizeof(void *)) {
		return ERR_MEMORY;
	}
	size_t rounded = 1;
	while (rounded < capacity) {
		rounded *= 2;
	}
	struct ring *ring = mem_alloc(sizeof(*ring) + rounded * sizeof(ring->items[0]));
	if (!ring) {
		return ERR_MEMORY;
	}
	ring->mask = rounded - 1;
	atomic_init(&ring->pushed, 0);
	atomic_init(&ring->popped, 0);
	ring->popped_seen = 0;
	ring->pushed_seen = 0;
	*ret_ring = ring;
	return OK;
}

void ring_free(struct ring *ring)
{
	mem_free(ring);
}

enum err ring_push(struct ring *ring, void *item)
{
	size_t pushed = atomic_load_explicit(&ring->pushed, memory_order_relaxed);
	if (pushed - ring->popped_seen > ring->mask) {
		ring->popped_seen = atomic_load_explicit(&ring->popped, memory_order_acquire);
		if (pushed - ring->popped_seen > ring->mask) {
			return ERR_FULL;
		}
	}
	ring->items[pushed & ring->mask] = item;
	atomic_store_explicit(&ring->pushed, pushed + 1, memory_order_release);
	return OK;
}

size_t ring_pop(struct ring *ring, void **items, size_t items_max)
{
	size_t popped = atomic_load_explicit(&ring->popped, memory_order_relaxed);
	if (ring->pushed_seen - popped < items_max) {
		ring->pushed_seen = atomic_load_explicit(&ring->pushed, memory_order_acquire);
	}
	size_t count = ring->pushed_seen - popped;
	if (count > items_max) {
		count = items_max;
	}
	for (size_t i = 0; i < count; i++) {
		items[i] = ring->items[(popped + i) & ring->mask];
	}
	if (count > 0) {
		atomic_store_explicit(&ring->popped, popped + count, memory_order_release);
	}
	return count;
}

size_t ring_room(const struct ring *ring)
{
	size_t popped = atomic_load_explicit(&ring->popped, memory_order_acquire);
	size_t pushed = atomic_load_explicit(&ring->pushed, memory_order_relaxed);
	return ring->mask + 1 - (pushed - popped);
}

size_t ring_count(const struct ring *ring)
{
	/* In this order `pushed` can only be too new, never older than `popped`. */
	size_t popped = atomic_load_explicit(&ring->popped, memory_order_acquire);
	size_t pushed = atomic_load_explicit(&ring->pushed, memory_order_acquire);
	size_t count = pushed - popped;
	return count <= ring->mask ? count : ring->mask + 1;
}
