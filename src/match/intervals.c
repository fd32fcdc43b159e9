/*
 * What changes the intervals. An addition splits full nodes on its way down, so that there is
 * always room above; each split leaves a whole tree, and only then does anything else need memory.
 * A removal needs none: it frees empty nodes, and joins small ones where that is possible. What a
 * parent says of a child is exact at all times. Leaves are as large as they must be.
 */
#include "intervals_priv.h"

#include <string.h>

#define NODE_MAX INTERVALS_NODE_MAX
#define JOINED_MAX (NODE_MAX / 4 * 3U) /* what the two then have together, at most */
#define SMALL_COUNT (NODE_MAX / 4)     /* a node with fewer is joined to a neighbour */

/* The way from the root to a leaf: at each height the node, and the place of the child taken. */
struct path {
	struct intervals_inner *inners[INTERVALS_HEIGHT_MAX]; /* by height; 0 is unused */
	size_t places[INTERVALS_HEIGHT_MAX];
	struct intervals_leaf *leaf;
	bool is_last; /* the last child of each node */
};

/* ---- leaves ---- */

static size_t leaf_bytes(size_t capacity)
{
	return sizeof(struct intervals_leaf) + capacity * sizeof(struct match_interval);
}

static struct intervals_leaf *leaf_new(size_t capacity)
{
	struct intervals_leaf *leaf = mem_alloc(leaf_bytes(capacity));
	if (leaf) {
		*leaf = (struct intervals_leaf){.capacity = (uint32_t)capacity};
	}
	return leaf;
}

/* Moves the leaf to a piece of another size; false on lack, and nothing has changed. */
static bool leaf_resize(struct intervals_leaf **leaf, size_t capacity)
{
	struct intervals_leaf *moved = mem_realloc(*leaf, leaf_bytes(capacity));
	if (!moved) {
		return false;
	}
	moved->capacity = (uint32_t)capacity;
	*leaf = moved;
	return true;
}

static size_t capacity_above(size_t count)
{
	size_t capacity = count + count / 4 + 1;
	return capacity < NODE_MAX ? capacity : NODE_MAX;
}

/* Where the interval stands, or would: before it are just the entries that are less. */
static size_t leaf_place(const struct intervals_leaf *leaf, const struct match_interval *interval)
{
	size_t start = 0;
	size_t end = leaf->count;
	while (start < end) {
		size_t middle = start + (end - start) / 2;
		if (interval_is_before(&leaf->entries[middle], interval)) {
			start = middle + 1;
		} else {
			end = middle;
		}
	}
	return start;
}

static void leaf_insert(
	struct intervals_leaf *leaf, size_t at, const struct match_interval *interval)
{
	memmove(leaf->entries + at + 1, leaf->entries + at,
		(leaf->count - at) * sizeof(leaf->entries[0]));
	leaf->entries[at] = *interval;
	leaf->count++;
}

/* ---- inner nodes ---- */

static struct intervals_inner *inner_new(void)
{
	struct intervals_inner *inner = mem_alloc(sizeof(*inner));
	if (inner) {
		inner->count = 0;
	}
	return inner;
}

/* Copies `count` children with what is said of them; the two may be one. */
static void inner_copy(struct intervals_inner *to, size_t to_at, const struct intervals_inner *from,
	size_t from_at, size_t count)
{
	memmove(to->lows + to_at, from->lows + from_at, count * sizeof(to->lows[0]));
	memmove(to->highest + to_at, from->highest + from_at, count * sizeof(to->highest[0]));
	memmove(to->children + to_at, from->children + from_at, count * sizeof(to->children[0]));
	memmove(to->rests + to_at, from->rests + from_at, count * sizeof(to->rests[0]));
}

/* Says of a child, whose height is given, what it holds now. */
static void inner_refresh(struct intervals_inner *inner, size_t at, unsigned height)
{
	struct match_interval first = node_first(inner->children[at], height);
	inner->lows[at] = first.low;
	inner->rests[at] = (struct intervals_rest){first.high, first.item};
	inner->highest[at] = node_highest(inner->children[at], height);
}

static void inner_insert(struct intervals_inner *inner, size_t at, void *child, unsigned height)
{
	check(inner->count < NODE_MAX);
	inner_copy(inner, at + 1, inner, at, inner->count - at);
	inner->count++;
	inner->children[at] = child;
	inner_refresh(inner, at, height);
}

static void inner_remove(struct intervals_inner *inner, size_t at)
{
	inner->count--;
	inner_copy(inner, at, inner, at + 1, inner->count - at);
}

/* The last child whose first entry is not above the interval; the first if there is none. */
static size_t inner_place(
	const struct intervals_inner *inner, const struct match_interval *interval)
{
	size_t at = 0;
	for (size_t count = inner->count; count > 1;) {
		size_t half = count / 2;
		struct match_interval first = inner_first(inner, at + half);
		at += interval_is_before(interval, &first) ? 0 : half;
		count -= half;
	}
	return at;
}

/* ---- adding ---- */

/* Puts a root above the root. */
static enum err grow_root(struct match_intervals *intervals)
{
	struct intervals_inner *root = inner_new();
	if (!root) {
		return ERR_MEMORY;
	}
	check(intervals->height + 1 < INTERVALS_HEIGHT_MAX);
	inner_insert(root, 0, intervals->root, intervals->height);
	intervals->root = root;
	intervals->height++;
	return OK;
}

/* Splits a full inner child. */
static enum err split_inner(struct intervals_inner *parent, size_t place, unsigned height)
{
	struct intervals_inner *left = parent->children[place];
	struct intervals_inner *right = inner_new();
	if (!right) {
		return ERR_MEMORY;
	}
	right->count = NODE_MAX / 2;
	left->count = NODE_MAX - right->count;
	inner_copy(right, 0, left, left->count, right->count);
	inner_refresh(parent, place, height);
	inner_insert(parent, place + 1, right, height);
	return OK;
}

/*
 * Splits a full leaf, which gets the interval as its entry `at`. At the end of the tree it stays
 * full, for what comes in ascending order never comes back to it.
 */
static enum err split_leaf(struct path *path, size_t at, const struct match_interval *interval)
{
	struct intervals_inner *parent = path->inners[1];
	struct intervals_leaf *left = path->leaf;
	size_t kept = path->is_last && at == NODE_MAX ? NODE_MAX : NODE_MAX / 2;
	struct intervals_leaf *right = leaf_new(capacity_above(NODE_MAX - kept));
	if (!right) {
		return ERR_MEMORY;
	}
	right->count = (uint32_t)(NODE_MAX - kept);
	memcpy(right->entries, left->entries + kept, right->count * sizeof(right->entries[0]));
	left->count = (uint32_t)kept;
	if (at < kept) {
		leaf_insert(left, at, interval);
	} else {
		leaf_insert(right, at - kept, interval);
	}
	if (left->count < NODE_MAX && leaf_resize(&left, capacity_above(left->count))) {
		parent->children[path->places[1]] = left;
	}
	inner_insert(parent, path->places[1] + 1, right, 0);
	return OK;
}

/* Finds the leaf for the interval, and makes sure that no node above it is full. */
static enum err descend_to_add(
	struct match_intervals *intervals, const struct match_interval *interval, struct path *path)
{
	const struct intervals_node *root = intervals->root;
	if (root->count == NODE_MAX) {
		enum err err = grow_root(intervals);
		if (err != OK) {
			return err;
		}
	}
	path->is_last = true;
	void *node = intervals->root;
	for (unsigned height = intervals->height; height > 0; height--) {
		struct intervals_inner *inner = node;
		size_t place = inner_place(inner, interval);
		const struct intervals_node *child = inner->children[place];
		if (height > 1 && child->count == NODE_MAX) {
			enum err err = split_inner(inner, place, height - 1);
			if (err != OK) {
				return err;
			}
			place = inner_place(inner, interval);
		}
		path->inners[height] = inner;
		path->places[height] = place;
		path->is_last = path->is_last && place + 1 == inner->count;
		node = inner->children[place];
	}
	path->leaf = node;
	return OK;
}

static enum err add_to_leaf(
	struct match_intervals *intervals, struct path *path, const struct match_interval *interval)
{
	size_t at = leaf_place(path->leaf, interval);
	if (path->leaf->count == NODE_MAX) {
		return split_leaf(path, at, interval);
	}
	if (path->leaf->count == path->leaf->capacity) {
		if (!leaf_resize(&path->leaf, capacity_above(path->leaf->count))) {
			return ERR_MEMORY;
		}
		if (intervals->height > 0) {
			path->inners[1]->children[path->places[1]] = path->leaf;
		} else {
			intervals->root = path->leaf;
		}
	}
	leaf_insert(path->leaf, at, interval);
	return OK;
}

/* Along the way, from the leaf up, says again what the children hold. */
static void refresh_path(const struct match_intervals *intervals, const struct path *path)
{
	for (unsigned height = 1; height <= intervals->height; height++) {
		inner_refresh(path->inners[height], path->places[height], height - 1);
	}
}

/* A root with one child only gives way to it. */
static void shrink_root(struct match_intervals *intervals)
{
	while (intervals->height > 0 && ((struct intervals_node *)intervals->root)->count == 1) {
		struct intervals_inner *root = intervals->root;
		intervals->root = root->children[0];
		intervals->height--;
		mem_free(root);
	}
}

enum err match_intervals_add(
	struct match_intervals *intervals, const struct match_interval *interval)
{
	struct path path;
	if (!intervals->root) {
		struct intervals_leaf *leaf = leaf_new(1);
		if (!leaf) {
			return ERR_MEMORY;
		}
		leaf_insert(leaf, 0, interval);
		intervals->root = leaf;
		intervals->count = 1;
		return OK;
	}
	enum err err = descend_to_add(intervals, interval, &path);
	if (err == OK) {
		err = add_to_leaf(intervals, &path, interval);
	}
	if (err != OK) {
		shrink_root(intervals);
		return err;
	}
	refresh_path(intervals, &path);
	intervals->count++;
	return OK;
}

/* ---- removing ---- */

static void descend_to_remove(const struct match_intervals *intervals,
	const struct match_interval *interval, struct path *path)
{
	void *node = intervals->root;
	for (unsigned height = intervals->height; height > 0; height--) {
		struct intervals_inner *inner = node;
		path->inners[height] = inner;
		path->places[height] = inner_place(inner, interval);
		node = inner->children[path->places[height]];
	}
	path->leaf = node;
}

/* Takes back two steps of growth; the leaf keeps them where there is no memory for the move. */
static void leaf_shrink(struct intervals_leaf **leaf)
{
	size_t capacity = capacity_above((*leaf)->count);
	if (capacity_above(capacity) < (*leaf)->capacity) {
		(void)leaf_resize(leaf, capacity);
	}
}

/* Moves the next child's entries or children into this one; false on lack. */
static bool join_next(struct intervals_inner *parent, size_t place, unsigned height)
{
	void *right = parent->children[place + 1];
	if (height > 0) {
		struct intervals_inner *left_inner = parent->children[place];
		const struct intervals_inner *right_inner = right;
		inner_copy(left_inner, left_inner->count, right_inner, 0, right_inner->count);
		left_inner->count += right_inner->count;
	} else {
		struct intervals_leaf *left_leaf = parent->children[place];
		const struct intervals_leaf *right_leaf = right;
		size_t count = left_leaf->count + right_leaf->count;
		if (count > left_leaf->capacity &&
			!leaf_resize(&left_leaf, capacity_above(count))) {
			return false;
		}
		memcpy(left_leaf->entries + left_leaf->count, right_leaf->entries,
			right_leaf->count * sizeof(right_leaf->entries[0]));
		left_leaf->count = (uint32_t)count;
		parent->children[place] = left_leaf;
	}
	mem_free(right);
	inner_remove(parent, place + 1);
	inner_refresh(parent, place, height);
	return true;
}

/* The same if the next child is there, and the two leave room to grow. */
static bool try_join_next(struct intervals_inner *parent, size_t place, unsigned height)
{
	if (place + 1 == parent->count) {
		return false;
	}
	const struct intervals_node *left = parent->children[place];
	const struct intervals_node *right = parent->children[place + 1];
	return left->count + right->count <= JOINED_MAX && join_next(parent, place, height);
}

/* After a removal below: frees an empty child, joins a small one, and says what it holds. */
static void tidy_child(struct intervals_inner *parent, size_t place, unsigned height)
{
	const struct intervals_node *child = parent->children[place];
	if (child->count == 0) {
		mem_free(parent->children[place]);
		inner_remove(parent, place);
		return;
	}
	if (child->count < SMALL_COUNT &&
		(try_join_next(parent, place, height) ||
			(place > 0 && try_join_next(parent, place - 1, height)))) {
		return;
	}
	if (height == 0) {
		struct intervals_leaf *leaf = parent->children[place];
		leaf_shrink(&leaf);
		parent->children[place] = leaf;
	}
	inner_refresh(parent, place, height);
}

void match_intervals_remove(
	struct match_intervals *intervals, const struct match_interval *interval)
{
	struct path path;
	check(intervals->root);
	descend_to_remove(intervals, interval, &path);
	struct intervals_leaf *leaf = path.leaf;
	size_t at = leaf_place(leaf, interval);
	check(at < leaf->count && !interval_is_before(interval, &leaf->entries[at]));
	leaf->count--;
	memmove(leaf->entries + at, leaf->entries + at + 1,
		(leaf->count - at) * sizeof(leaf->entries[0]));
	intervals->count--;
	for (unsigned height = 1; height <= intervals->height; height++) {
		tidy_child(path.inners[height], path.places[height], height - 1);
	}
	if (intervals->count == 0) {
		match_intervals_fini(intervals);
	} else if (intervals->height > 0) {
		shrink_root(intervals);
	} else {
		leaf_shrink(&leaf);
		intervals->root = leaf;
	}
}

/* ---- the end ---- */

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the tree, see INTERVALS_HEIGHT_MAX */
static void node_free(void *node, unsigned height)
{
	struct intervals_inner *inner = node;
	for (size_t i = 0; height > 0 && i < inner->count; i++) {
		node_free(inner->children[i], height - 1);
	}
	mem_free(node);
}

void match_intervals_fini(struct match_intervals *intervals)
{
	if (intervals->root) {
		node_free(intervals->root, intervals->height);
	}
	*intervals = (struct match_intervals){0};
}
