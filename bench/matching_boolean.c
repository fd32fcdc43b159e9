/*
 * The generators of two published comparisons of indexes of Boolean expressions: `boolean` (A-Tree,
 * SIGMOD 2021) and `conjunctions` (PS-Tree, PVLDB 2018). What the papers' figures leave open is
 * decided here, and written down in docs/BENCHMARKS.md. Events have some attributes and not others;
 * a predicate over one that is missing is an error, as everywhere in the language.
 */
#include "matching_make.h"

#include <stdio.h>

/* ---- attributes of events -------------------------------------------------------------------- */

#define ATTRIBUTES_MAX 200
#define VALUES 1000
#define GRID 10 /* constants are multiples of it */

/* So many different ones, by their popularity. */
static size_t draw_attributes(struct making *making, size_t count, uint32_t *ret_attributes)
{
	bool taken[ATTRIBUTES_MAX] = {false};
	size_t drawn = 0;
	while (drawn < count) {
		uint64_t attribute = making_zipf(making);
		if (!taken[attribute]) {
			taken[attribute] = true;
			ret_attributes[drawn++] = (uint32_t)attribute;
		}
	}
	return drawn;
}

/* Their values are multiples of `step`. */
static void put_attributes(struct making *making, size_t count, uint64_t step)
{
	uint32_t attributes[ATTRIBUTES_MAX];
	size_t drawn = draw_attributes(making, count, attributes);
	for (size_t i = 0; i < drawn; i++) {
		unsigned long long value = making_below(making, VALUES / step) * step;
		making_print(making, "%s\"a%u\":%llu", i > 0 ? "," : "", attributes[i], value);
	}
	making_print(making, ",\"text\":\"");
	making_words(making, 250);
	making_print(making, "\"");
}

/* ---- boolean --------------------------------------------------------------------------------- */

#define BOOLEAN_ATTRIBUTES 200
#define DEPTH_MAX 6
#define FAN_OUT_LEAST 2
#define FAN_OUT_MAX 12
/* Leaves of an expression: from then on every child is a leaf, and nodes have two. */
#define LEAVES_MAX 24

#define TAILS 3 /* bounds of an order, each a step further from the least or the most value */

enum joint { AND, OR, NOT, XOR, XNOR };

/*
 * What holds for nearly every event (a negation, an equivalence) stands only where an `and` narrows
 * it, as nobody asks for it otherwise; elsewhere it is drawn again.
 */
static enum joint draw_joint(struct making *making, bool is_narrowed)
{
	static const unsigned percents[] = {
		[AND] = 40, [OR] = 40, [NOT] = 10, [XOR] = 5, [XNOR] = 5};
	enum joint joint = NOT;
	do {
		uint64_t drawn = making_below(making, 100);
		for (joint = AND; drawn >= percents[joint]; joint = (enum joint)(joint + 1)) {
			drawn -= percents[joint];
		}
	} while (!is_narrowed && (joint == NOT || joint == XNOR));
	return joint;
}

/* An equality, an order, or a set of three neighbours. */
static void put_leaf(struct making *making)
{
	char leaf[96];
	unsigned long long attribute = making_zipf(making);
	uint64_t kind = making_below(making, 10);
	unsigned long long value = making_below(making, VALUES);
	unsigned long long point = value - value % GRID;
	unsigned long long bound = GRID * (1 + value % TAILS);
	int size = 0;
	if (kind < 6) {
		size = snprintf(leaf, sizeof(leaf), "a%llu == %llu", attribute, point);
	} else if (kind < 8) {
		size = snprintf(leaf, sizeof(leaf), "a%llu %s %llu", attribute,
			value % 2 == 0 ? "<" : ">=", value % 2 == 0 ? bound : VALUES - bound);
	} else {
		size = snprintf(leaf, sizeof(leaf), "a%llu in [%llu, %llu, %llu]", attribute, point,
			point + 1, point + 2);
	}
	making_note_part(making, bytes_hash((struct bytes){leaf, (size_t)size}, 0));
	making_print(making, "%s", leaf);
}

struct shape {
	size_t leaves;
};

static void put_node(struct making *making, struct shape *shape, unsigned depth, bool is_narrowed);

/* NOLINTNEXTLINE(misc-no-recursion): at most DEPTH_MAX */
static void put_child(struct making *making, struct shape *shape, unsigned depth, bool is_narrowed)
{
	if (depth == 0 || shape->leaves >= LEAVES_MAX) {
		shape->leaves++;
		put_leaf(making);
	} else {
		put_node(making, shape, depth, is_narrowed);
	}
}

/* The first child of a node is as deep as it may be, four fifths of the others are leaves. */
static unsigned draw_depth(struct making *making, unsigned depth)
{
	return making_chance(making, 80) ? 0 : (unsigned)making_below(making, depth);
}

/* NOLINTNEXTLINE(misc-no-recursion): at most DEPTH_MAX */
static void put_joined(struct making *making, struct shape *shape, unsigned depth, enum joint joint)
{
	static const char *const signs[] = {
		[AND] = " && ", [OR] = " || ", [XOR] = " != ", [XNOR] = " == "};
	bool has_two = joint == XOR || joint == XNOR || shape->leaves >= LEAVES_MAX;
	uint64_t count =
		has_two ? 2 : FAN_OUT_LEAST + making_below(making, FAN_OUT_MAX - FAN_OUT_LEAST + 1);
	for (uint64_t i = 0; i < count; i++) {
		making_print(making, "%s(", i > 0 ? signs[joint] : "");
		put_child(making, shape, i == 0 ? depth - 1 : draw_depth(making, depth),
			joint == AND);
		making_print(making, ")");
	}
}

/* NOLINTNEXTLINE(misc-no-recursion): at most DEPTH_MAX */
static void put_node(struct making *making, struct shape *shape, unsigned depth, bool is_narrowed)
{
	enum joint joint = draw_joint(making, is_narrowed);
	if (joint == NOT) {
		making_print(making, "!(");
		put_child(making, shape, depth - 1, false);
		making_print(making, ")");
		return;
	}
	put_joined(making, shape, depth, joint);
}

static void boolean_subscribe(struct making *making, uint64_t index)
{
	(void)index;
	struct shape shape = {0};
	put_node(making, &shape, 1 + (unsigned)making_below(making, DEPTH_MAX), false);
}

static void boolean_fill(struct making *making, uint64_t number)
{
	(void)number;
	put_attributes(making, 5 + making_below(making, 26), 1);
}

static void boolean_prepare(struct making *making)
{
	making_zipf_init(making, BOOLEAN_ATTRIBUTES);
}

/* ---- conjunctions ---------------------------------------------------------------------------- */

#define DIMENSIONS 122
#define PREDICATES 8
#define PRESENT 20
#define BETWEEN 200 /* values wide */

static void add_predicate(struct making *making, uint32_t attribute)
{
	static const char *const ops[] = {"==", "<", "<=", ">", ">=", "between"};
	uint64_t kind = making_below(making, sizeof(ops) / sizeof(ops[0]));
	int64_t value = (int64_t)(making_below(making, VALUES / GRID) * GRID);
	char field[16];
	(void)snprintf(field, sizeof(field), "a%u", attribute);
	making_note_part(making, making_mix(making_mix(attribute, kind), (uint64_t)value));
	if (kind < 5) {
		making_filter_int(making, field, ops[kind], value);
		return;
	}
	making_filter_int(making, field, ">=", value);
	making_filter_int(making, field, "<=", value + BETWEEN);
}

static void conjunctions_subscribe(struct making *making, uint64_t index)
{
	(void)index;
	uint32_t attributes[PREDICATES];
	size_t drawn = draw_attributes(making, PREDICATES, attributes);
	for (size_t i = 0; i < drawn; i++) {
		add_predicate(making, attributes[i]);
	}
}

static void conjunctions_fill(struct making *making, uint64_t number)
{
	(void)number;
	put_attributes(making, PRESENT, GRID);
}

static void conjunctions_prepare(struct making *making)
{
	making_zipf_init(making, DIMENSIONS);
}

const struct matching_workload matching_boolean[] = {
	{"boolean", "and, or, not, xor, xnor of predicates, up to 6 deep", boolean_subscribe,
		boolean_fill, boolean_prepare, "records", .counts_parts = true},
	{"conjunctions", "8 predicates over 122 dimensions", conjunctions_subscribe,
		conjunctions_fill, conjunctions_prepare, "records", .counts_parts = true},
	{0},
};
