/*
 * A chain of segments: records in order of arrival, one thread filling, one emptying, no lock. The
 * filler publishes a record by moving `filled` past it, and links a new segment only after the old
 * one has taken its last record; so an emptier that sees `next` has seen all of the segment before
 * it.
 */
#include "stream_priv.h"

#include <string.h>

#define SEGMENT_LEAST 1024
#define SEGMENT_MOST ((size_t)64 * 1024)

struct segment {
	_Atomic(struct segment *) next;
	_Atomic size_t filled; /* bytes of finished records */
	size_t size;
	_Alignas(16) char bytes[];
};

static struct segment *segment_new(size_t size)
{
	struct segment *segment = mem_alloc(sizeof(*segment) + size);
	if (!segment) {
		return NULL;
	}
	atomic_init(&segment->next, NULL);
	atomic_init(&segment->filled, 0);
	segment->size = size;
	return segment;
}

enum err chain_init(struct chain *chain)
{
	struct segment *segment = segment_new(SEGMENT_LEAST);
	if (!segment) {
		return ERR_MEMORY;
	}
	chain->head = segment;
	chain->tail = segment;
	chain->taken = 0;
	return OK;
}

void chain_fini(struct chain *chain)
{
	struct segment *segment = chain->head;
	while (segment) {
		struct segment *next = atomic_load_explicit(&segment->next, memory_order_acquire);
		mem_free(segment);
		segment = next;
	}
	chain->head = NULL;
	chain->tail = NULL;
}

struct record *chain_begin(struct chain *chain, size_t size)
{
	check(size % 16 == 0 && size <= UINT32_MAX);
	struct segment *tail = chain->tail;
	size_t filled = atomic_load_explicit(&tail->filled, memory_order_relaxed);
	if (tail->size - filled < size) {
		size_t next_size = tail->size * 2 < SEGMENT_MOST ? tail->size * 2 : SEGMENT_MOST;
		struct segment *next = segment_new(next_size > size ? next_size : size);
		if (!next) {
			return NULL;
		}
		chain->tail = next;
		atomic_store_explicit(&tail->next, next, memory_order_release);
		tail = next;
		filled = 0;
	}
	struct record *record = (struct record *)(void *)(tail->bytes + filled);
	memset(record, 0, sizeof(*record));
	record->size = (uint32_t)size;
	return record;
}

void chain_commit(struct chain *chain, const struct record *record)
{
	struct segment *tail = chain->tail;
	size_t filled = atomic_load_explicit(&tail->filled, memory_order_relaxed);
	debug_check((const char *)record == tail->bytes + filled);
	atomic_store_explicit(&tail->filled, filled + record->size, memory_order_release);
}

struct record *chain_first(struct chain *chain)
{
	for (;;) {
		struct segment *head = chain->head;
		struct segment *next = atomic_load_explicit(&head->next, memory_order_acquire);
		size_t filled = atomic_load_explicit(&head->filled, memory_order_acquire);
		if (chain->taken < filled) {
			return (struct record *)(void *)(head->bytes + chain->taken);
		}
		if (!next) {
			return NULL;
		}
		chain->head = next;
		chain->taken = 0;
		mem_free(head);
	}
}

void chain_drop_first(struct chain *chain, const struct record *record)
{
	debug_check((const char *)record == chain->head->bytes + chain->taken);
	chain->taken += record->size;
}
