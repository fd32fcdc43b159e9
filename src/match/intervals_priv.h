/*
 * The nodes of the intervals' B+ tree. All leaves are at the same depth; a node's kind follows from
 * its height, leaves having 0. No node is empty, and the root, if it is no leaf, has two children.
 */
#ifndef INTERVALS_PRIV_H
#define INTERVALS_PRIV_H

#include "intervals.h"

/* Entries of a leaf, or children. At most 64: a stab keeps a bit for each child. */
#define INTERVALS_NODE_MAX 32U
/* At four children a node that is more than memory holds. */
#define INTERVALS_HEIGHT_MAX 32U

/* Both kinds of node begin so. */
struct intervals_node {
	uint32_t count;
};

struct intervals_leaf {
	uint32_t count, capacity;
	struct match_interval entries[]; /* ascending */
};

/* Of each child its first entry and the highest `high` in it; what a stab reads stands together. */
struct intervals_inner {
	uint32_t count;
	uint64_t lows[INTERVALS_NODE_MAX];
	uint64_t highest[INTERVALS_NODE_MAX];
	void *children[INTERVALS_NODE_MAX];
	struct intervals_rest {
		uint64_t high;
		void *item;
	} rests[INTERVALS_NODE_MAX];
};

static inline bool interval_is_before(
	const struct match_interval *a, const struct match_interval *b)
{
	if (a->low != b->low) {
		return a->low < b->low;
	}
	if (a->high != b->high) {
		return a->high < b->high;
	}
	return (uintptr_t)a->item < (uintptr_t)b->item;
}

static inline struct match_interval inner_first(const struct intervals_inner *inner, size_t at)
{
	return (struct match_interval){.low = inner->lows[at],
		.high = inner->rests[at].high,
		.item = inner->rests[at].item};
}

static inline struct match_interval node_first(const void *node, unsigned height)
{
	if (height == 0) {
		return ((const struct intervals_leaf *)node)->entries[0];
	}
	return inner_first(node, 0);
}

static inline uint64_t node_highest(const void *node, unsigned height)
{
	const struct intervals_leaf *leaf = node;
	const struct intervals_inner *inner = node;
	size_t count = ((const struct intervals_node *)node)->count;
	uint64_t highest = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t high = height == 0 ? leaf->entries[i].high : inner->highest[i];
		highest = high > highest ? high : highest;
	}
	return highest;
}

#endif
