/*
 * What only reads the intervals: the stab, the check of the structure, and keys. A stab goes only
 * into children that begin at or before the point and hold an end at or behind it. Where a child is
 * one of those whose entries all begin before the point, it holds a match; so at each height there
 * is at most one child that is entered in vain.
 */
#include "intervals_priv.h"

#include <math.h>
#include <string.h>

#define AHEAD 4U /* children asked for before they are needed */
#define LINE_BYTES 64U
#define INNER_LINES (offsetof(struct intervals_inner, children) / LINE_BYTES)

struct stab {
	uint64_t point, met;
	match_interval_fn visit;
	void *ctx;
};

static enum err stab_leaf(const struct intervals_leaf *leaf, const struct stab *stab)
{
	for (size_t i = 0; i < leaf->count && leaf->entries[i].low <= stab->point; i++) {
		bool lacks = leaf->entries[i].needs & ~stab->met;
		if (leaf->entries[i].high >= stab->point && !lacks) {
			enum err err = stab->visit(stab->ctx, &leaf->entries[i]);
			if (err != OK) {
				return err;
			}
		}
	}
	return OK;
}

/* Asks for the node's head; how many entries a leaf has is not known before it is there. */
static void prefetch(const void *node, unsigned height)
{
	size_t lines = height == 0 ? 4 : INNER_LINES;
	for (size_t i = 0; i < lines; i++) {
		__builtin_prefetch((const char *)node + i * LINE_BYTES);
	}
}

/* Whether a child can hold entries that hold the point, a bit for each. */
static uint64_t children_to_visit(const struct intervals_inner *inner, uint64_t point)
{
	uint64_t bits = 0;
	for (size_t i = 0; i < inner->count; i++) {
		bool is_met = (inner->lows[i] <= point) & (inner->highest[i] >= point);
		bits |= (uint64_t)is_met << i;
	}
	return bits;
}

static uint64_t prefetch_next(const struct intervals_inner *inner, unsigned height, uint64_t ahead)
{
	if (ahead != 0) {
		prefetch(inner->children[__builtin_ctzll(ahead)], height - 1);
	}
	return ahead & (ahead - 1);
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the tree, see INTERVALS_HEIGHT_MAX */
static enum err stab_node(const void *node, unsigned height, const struct stab *stab)
{
	if (height == 0) {
		return stab_leaf(node, stab);
	}
	const struct intervals_inner *inner = node;
	uint64_t to_visit = children_to_visit(inner, stab->point);
	uint64_t ahead = to_visit;
	for (unsigned i = 0; i < AHEAD; i++) {
		ahead = prefetch_next(inner, height, ahead);
	}
	enum err err = OK;
	for (; to_visit != 0 && err == OK; to_visit &= to_visit - 1) {
		ahead = prefetch_next(inner, height, ahead);
		err = stab_node(inner->children[__builtin_ctzll(to_visit)], height - 1, stab);
	}
	return err;
}

enum err match_intervals_stab(const struct match_intervals *intervals, uint64_t point, uint64_t met,
	match_interval_fn visit, void *ctx)
{
	const struct stab stab = {point, met, visit, ctx};
	return intervals->root ? stab_node(intervals->root, intervals->height, &stab) : OK;
}

/* ---- the structure ---- */

struct verify {
	size_t count;
	struct match_interval last; /* with a count: no entry is before it */
};

static void verify_leaf(const struct intervals_leaf *leaf, struct verify *verify)
{
	check(leaf->count > 0 && leaf->count <= leaf->capacity);
	check(leaf->capacity <= INTERVALS_NODE_MAX);
	for (size_t i = 0; i < leaf->count; i++) {
		check(verify->count == 0 || !interval_is_before(&leaf->entries[i], &verify->last));
		verify->last = leaf->entries[i];
		verify->count++;
	}
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the tree, see INTERVALS_HEIGHT_MAX */
static void verify_node(const void *node, unsigned height, struct verify *verify)
{
	if (height == 0) {
		verify_leaf(node, verify);
		return;
	}
	const struct intervals_inner *inner = node;
	check(inner->count > 0 && inner->count <= INTERVALS_NODE_MAX);
	for (size_t i = 0; i < inner->count; i++) {
		struct match_interval summary = inner_first(inner, i);
		struct match_interval first = node_first(inner->children[i], height - 1);
		check(!interval_is_before(&summary, &first) &&
			!interval_is_before(&first, &summary));
		check(inner->highest[i] == node_highest(inner->children[i], height - 1));
		verify_node(inner->children[i], height - 1, verify);
	}
}

void match_intervals_verify(const struct match_intervals *intervals)
{
	struct verify verify = {0};
	check(intervals->height < INTERVALS_HEIGHT_MAX);
	if (intervals->root) {
		const struct intervals_node *root = intervals->root;
		check(intervals->height == 0 || root->count > 1);
		verify_node(root, intervals->height, &verify);
	}
	check(verify.count == intervals->count);
}

/* ---- keys ---- */

uint64_t match_key_of_number(double number)
{
	const uint64_t sign = (uint64_t)1 << 63;
	debug_check(!isnan(number));
	double one_zero = number + 0.0; /* of -0 it makes 0 */
	uint64_t bits = 0;
	memcpy(&bits, &one_zero, sizeof(bits));
	return (bits & sign) != 0 ? ~bits : bits | sign;
}

uint64_t match_key_of_text(struct bytes text)
{
	uint64_t key = 0;
	for (size_t i = 0; i < sizeof(key); i++) {
		key = key << 8 | (i < text.size ? (unsigned char)text.data[i] : 0U);
	}
	return key;
}
