/* cel: the canonical form and its hash, copies in one piece of memory, and lack of memory. */
#include "condition.h"

#include "cel_text.h"
#include "failing.h"
#include "random.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct cel_node *canonical(struct arena *arena, const struct cel_node *node)
{
	const struct cel_node *made = NULL;
	assert_int_equal(cel_normalise(arena, node, &made), OK);
	return made;
}

static void assert_print(const struct cel_node *node, const char *text)
{
	struct buffer buffer = {0};
	assert_int_equal(cel_print(&buffer, node), OK);
	assert_int_equal(buffer_append(&buffer, (struct bytes){"", 1}), OK);
	assert_string_equal(buffer.data, text);
	buffer_fini(&buffer);
}

/* ---- the canonical form ---------------------------------------------------------------------- */

static void test_same(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"(== a 1)", "(== a 1.0)"},
		{"(and (== a 1) (== b 2))", "(and (== b 2) (== a 1))"},
		{"(and (== a 1) (== a 1.0))", "(== a 1)"},
		{"(and (== a 1) (and (== b 2) (== c 3)))",
			"(and (and (== c 3) (== a 1)) (== b 2))"},
		{"(or (== a 1) (or (== b 2) (== a 1)))", "(or (== b 2) (== a 1))"},
		{"(and (or (== a 1) (== b 2)) (or (== b 2) (== a 1)))", "(or (== a 1) (== b 2))"},
		/* what is left of an AND is part of the OR around it */
		{"(or (and (or (== a 1) (== b 2)) (or (== b 2) (== a 1))) (== c 3))",
			"(or (== c 3) (== b 2) (== a 1))"},
		{"(in a [1])", "(== a 1)"},
		{"(in a [1, 1.0])", "(== a 1)"},
		{"(in a [2, [], 1, 2.0, []])", "(in a [[], 1, 2])"},
		{"(not (in a [\"x\"]))", "(!= a \"x\")"},
		{"(not (== a 1))", "(!= a 1)"},
		{"(not (!= a 1))", "(== a 1)"},
		{"(not (not (< a 1)))", "(< a 1)"},
		{"(not (not (not (< a 1))))", "(not (< a 1))"},
		{"(not (and (== a 1) (< b 2)))", "(or (not (< b 2)) (!= a 1))"},
		{"(not (or (!= a 1) (not (< b 2))))", "(and (< b 2) (== a 1))"},
		{"(or (== a 1) (== a 2))", "(in a [1, 2])"},
		{"(or (in a [1]) (== a 2) (in a [2.0, 3]))", "(in a [1, 2, 3])"},
		{"(or (== a 1) (== b 1) (== a 2) (< a 0) (== b [2]))",
			"(or (< a 0) (in b [1, [2]]) (in a [1, 2]))"},
		{"(or (== a 1) (in a []))", "(== a 1)"},
		{"(or (== _id \"x\") (== _id \"y\"))", "(in _id [\"x\", \"y\"])"},
		{"(or (== a 1) (and (or (== a 2) (== a 3)) (in a [3, 2])))", "(in a [1, 2, 3])"},
		{"(and (!= a 1) (!= a 2))", "(not (in a [1, 2]))"},
		{"(and (!= a 1) (has b) (not (in a [2, 3])))",
			"(and (not (in a [1, 2, 3])) (has b))"},
		{"(and (!= a 1) (not (in a [])))", "(!= a 1)"},
		{"(not (and (!= a 1) (!= a 2)))", "(in a [1, 2])"},
		{"(same (< a 1) (has b))", "(same (has b) (< a 1))"},
		{"(same (not (has a)) (has b))", "(not (same (has a) (has b)))"},
		{"(same (not (has a)) (not (has b)))", "(same (has a) (has b))"},
		{"(same (!= a 1) (has b))", "(not (same (== a 1) (has b)))"},
		{"(same (or (has a) (< b 1)) (has c))",
			"(not (same (and (not (has a)) (not (< b 1))) (has c)))"},
		{"(same (not (same (has a) (has b))) (has c))",
			"(not (same (has c) (same (has b) (has a))))"},
		{"(same (has a) true)", "(has a)"},
		{"(same (has a) (or))", "(not (has a))"},
		{"(same (or) (or))", "true"},
		{"(same (or) true)", "(or)"},
		{"(same (has a) (not (has a)))", "(not (same (has a) (has a)))"},
		{"(and true (== a 1))", "(== a 1)"},
		{"(and true true)", "true"},
		{"(and (== m 1) (or))", "(or)"},
		{"(or (== m 1) true)", "true"},
		{"(or (== a 1) (or))", "(== a 1)"},
		{"(or (or) (or))", "(or)"},
		{"(not true)", "(or)"},
		{"(not (or))", "true"},
		{"(not (and (== a 1) (or)))", "true"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena arena = {0};
		const struct cel_node *a = canonical(&arena, cel_text(&arena, rows[i][0]));
		const struct cel_node *b = canonical(&arena, cel_text(&arena, rows[i][1]));
		if (!cel_equal(a, b) || !cel_equal(b, a) || cel_hash(a, 7) != cel_hash(b, 7)) {
			fail_msg("%s and %s differ", rows[i][0], rows[i][1]);
		}
		arena_fini(&arena);
	}
}

static void test_different(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"(== a 1)", "(== b 1)"},
		{"(== a 1)", "(!= a 1)"},
		{"(== a 1)", "(== a \"1\")"},
		{"(== a 1)", "(== a true)"},
		{"(== a 1)", "(== a 2)"},
		{"(== a 0)", "(== a false)"},
		{"(== a true)", "(== a false)"},
		{"(== a null)", "(== a false)"},
		{"(== a \"x\")", "(== a \"y\")"},
		{"(== a \"x\")", "(== a \"xy\")"},
		{"(== a 1)", "(== a 1.5)"},
		{"(== a 1.5)", "(== a 2.5)"},
		/* equal, but not to the same integers */
		{"(== a 9007199254740992)", "(== a 9007199254740992.0)"},
		{"(== a 9223372036854775808)", "(== a 9223372036854775808.0)"},
		{"(== a.b 1)", "(== ab 1)"},
		{"(== a.b 1)", "(== a 1)"},
		{"(== a.b.c 1)", "(== a.bc. 1)"},
		{"(== _id \"x\")", "(== id \"x\")"},
		{"(== _id \"x\")", "(== _id. \"x\")"},
		{"(in a [1, 2])", "(in a [[1, 2], 1])"},
		{"(in a [1, 2])", "(in a [1, 2, 3])"},
		{"(in a [1, 2])", "(contains a [1, 2])"},
		{"(in a [1, 2])", "(or (== a 1) (== b 2))"},
		{"(in a [1, 2])", "(or (== a 1) (== a.b 2))"},
		{"(in a [1, 2])", "(and (== a 1) (== a 2))"},
		{"(not (in a [1, 2]))", "(or (!= a 1) (!= a 2))"},
		{"(or (== a 1) (< a 2))", "(in a [1, 2])"},
		{"(in a [])", "(or)"},
		{"(startsWith a \"x\")", "(== a \"x\")"},
		{"(startsWith a \"x\")", "(startsWith a \"xy\")"},
		{"(has a)", "(has b)"},
		{"(has a)", "(has a.a)"},
		{"(has a)", "(not (has a))"},
		{"(same (== a 1) (== b 2))", "(and (== a 1) (== b 2))"},
		{"(same (== a 1) (== b 2))", "(not (same (== a 1) (== b 2)))"},
		/* that there is no error */
		{"(same (has a.b) (has a.b))", "true"},
		{"(same (< a 1) (< a 1))", "(same (< b 1) (< b 1))"},
		{"(== a [1, [2]])", "(== a [[1], 2])"},
		{"(== a [1, 2])", "(== a [2, 1])"},
		{"(== a [[], 1])", "(== a [[1]])"},
		/* not the same where an order fails */
		{"(not (< a 1))", "(>= a 1)"},
		{"(not (in a [1, 2]))", "(in a [1, 2])"},
		{"(and (== a 1) (== b 2))", "(or (== a 1) (== b 2))"},
		{"(and (== a 1) (or (== b 2) (== c 3)))", "(or (== a 1) (and (== b 2) (== c 3)))"},
		{"(and (== a 1) (== b 2))", "(and (== a 2) (== b 1))"},
		{"true", "(or)"},
		{"(or (== m 1) (!= m 1))", "true"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena arena = {0};
		const struct cel_node *a = canonical(&arena, cel_text(&arena, rows[i][0]));
		const struct cel_node *b = canonical(&arena, cel_text(&arena, rows[i][1]));
		if (cel_equal(a, b) || cel_equal(b, a) || cel_hash(a, 7) == cel_hash(b, 7)) {
			fail_msg("%s and %s are the same", rows[i][0], rows[i][1]);
		}
		assert_true(cel_hash(a, 7) != cel_hash(a, 8));
		arena_fini(&arena);
	}
}

static void test_written_form(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"(and (or (== a 1) (== m 1)) true (or (== m 1) (== a 1.0) (or)))",
			"doc.a == 1 || doc.m == 1"},
		{"(not (not (and (in a [2, 1, 2.0]) true)))", "doc.a in [1, 2]"},
		{"(not (in a [2, 1]))", "!(doc.a in [1, 2])"},
		{"(and (!= a 3) (< b 1) (!= a 1))", "!(doc.a in [1, 3]) && doc.b < 1"},
		{"(same (!= b 1) (has a))", "!((doc.b == 1) == has(doc.a))"},
		{"(and (or (== m 1) true) (not (!= a [2, 1])))", "doc.a == [2, 1]"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena arena = {0};
		assert_print(canonical(&arena, cel_text(&arena, rows[i][0])), rows[i][1]);
		arena_fini(&arena);
	}
}

static void test_deepest(void **state)
{
	(void)state;
	struct arena arena = {0};
	const struct cel_node *node = cel_text(&arena, "(and (< a 1) (== b 2))");
	for (uint32_t depth = 3; depth < CEL_DEPTH_MAX; depth++) {
		const struct cel_node *pair[] = {node, cel_text(&arena, "(< a 1)")};
		enum cel_kind kind = depth % 2 == 0 ? CEL_AND : CEL_OR;
		assert_int_equal(cel_join(&arena, kind, pair, 2, &node), OK);
	}
	assert_int_equal(cel_join(&arena, CEL_NOT, &node, 1, &node), OK);
	assert_int_equal(node->depth, CEL_DEPTH_MAX);
	const struct cel_node *made = canonical(&arena, node);
	assert_int_equal(made->depth, CEL_DEPTH_MAX);
	assert_true(cel_equal(made, canonical(&arena, made)));
	arena_fini(&arena);
}

/* Where there is no room for the NOT of a canonical form. */
static void test_too_deep(void **state)
{
	(void)state;
	struct arena arena = {0};
	const struct cel_node *node = cel_text(&arena, "(and (< a 1) (!= b 1) (!= b 2))");
	for (uint32_t depth = 3; depth <= CEL_DEPTH_MAX; depth++) {
		const struct cel_node *pair[] = {node, cel_text(&arena, "(< a 1)")};
		enum cel_kind kind = depth % 2 == 0 ? CEL_AND : CEL_OR;
		assert_ptr_not_equal(canonical(&arena, node), node);
		assert_int_equal(cel_join(&arena, kind, pair, 2, &node), OK);
	}
	assert_int_equal(node->depth, CEL_DEPTH_MAX);
	assert_ptr_equal(canonical(&arena, node), node);
	arena_fini(&arena);
}

/* ---- at random ------------------------------------------------------------------------------- */

static const char *const constants[] = {"1", "2.0", "2.5", "\"x\"", "\"y\"", "true", "false",
	"null", "9007199254740993", "9007199254740992.0", "18446744073709551615"};
static const char *const lists[] = {"[]", "[1]", "[1, 2]", "[\"x\", 1, \"x\"]", "[[1], [2.0, 1]]",
	"[9007199254740992, 9007199254740992.0]", "[true, null]"};
static const char *const starts[] = {"\"\"", "\"x\"", "\"xy\""};
static const char *const fields[] = {"a", "b", "n.x", "n", "_id"};

static const char *pick(struct test_random *random, const char *const *texts, size_t count)
{
	return texts[test_random_below(random, count)];
}

static const struct cel_node *random_compare(struct arena *arena, struct test_random *random)
{
	enum cel_kind kind =
		CEL_EQUAL + (enum cel_kind)test_random_below(random, CEL_HAS - CEL_EQUAL + 1);
	bool has_order = kind >= CEL_LESS && kind <= CEL_GREATER_OR_EQUAL;
	bool is_list = kind == CEL_IN || (!has_order && test_random_below(random, 4) == 0);
	size_t fields_count = COUNT(fields) - (kind == CEL_HAS); /* the last is _id */
	struct cel_field field =
		cel_text_field(arena, bytes_of(pick(random, fields, fields_count)));
	const char *json = is_list ? pick(random, lists, COUNT(lists))
				   : pick(random, constants, COUNT(constants));
	if (kind == CEL_STARTS_WITH) {
		json = pick(random, starts, COUNT(starts));
	}
	const struct value *constant =
		kind == CEL_HAS ? NULL : cel_text_value(arena, bytes_of(json));
	const struct cel_node *node = NULL;
	assert_int_equal(cel_compare(arena, kind, &field, constant, NULL, &node), OK);
	return node;
}

/* NOLINTNEXTLINE(misc-no-recursion): `depth` levels */
static const struct cel_node *random_tree(
	struct arena *arena, struct test_random *random, unsigned depth)
{
	const struct cel_node *node = NULL;
	uint64_t what = test_random_below(random, 10);
	if (depth == 0 || what < 2) {
		if (test_random_below(random, 12) > 0) {
			return random_compare(arena, random);
		}
		assert_int_equal(cel_true(arena, &node), OK);
		return node;
	}
	const struct cel_node *children[4];
	size_t count = what < 4 ? 1 : test_random_below(random, COUNT(children) + 1);
	count = what == 9 ? 2 : count;
	for (size_t i = 0; i < count; i++) {
		children[i] = random_tree(arena, random, depth - 1);
	}
	static const enum cel_kind kinds[10] = {CEL_NOT, CEL_NOT, CEL_NOT, CEL_NOT, CEL_AND,
		CEL_AND, CEL_AND, CEL_OR, CEL_OR, CEL_SAME};
	assert_int_equal(cel_join(arena, kinds[what], children, count, &node), OK);
	return node;
}

static const struct cel_node *negate(struct arena *arena, const struct cel_node *node)
{
	assert_int_equal(cel_join(arena, CEL_NOT, &node, 1, &node), OK);
	return node;
}

static const struct cel_node *written_differently(
	struct arena *arena, struct test_random *random, const struct cel_node *node);

/* Shuffled, some twice, some in a join of their own. */
/* NOLINTNEXTLINE(misc-no-recursion): once per level of the tree */
static const struct cel_node *join_differently(
	struct arena *arena, struct test_random *random, const struct cel_node *node)
{
	const struct cel_node *children[8];
	size_t count = 0;
	for (uint32_t i = 0; i < node->children_count; i++) {
		children[count++] = written_differently(arena, random, node->children[i]);
		if (test_random_below(random, 4) == 0) {
			children[count++] = written_differently(arena, random, node->children[i]);
		}
	}
	for (size_t i = count; i > 1; i--) {
		size_t other = test_random_below(random, i);
		const struct cel_node *kept = children[i - 1];
		children[i - 1] = children[other];
		children[other] = kept;
	}
	if (count > 2 && test_random_below(random, 2) == 0) {
		size_t inside = 2 + test_random_below(random, count - 2);
		const struct cel_node *inner = NULL;
		assert_int_equal(
			cel_join(arena, node->kind, children + count - inside, inside, &inner), OK);
		count -= inside;
		children[count++] = inner;
	}
	const struct cel_node *made = NULL;
	assert_int_equal(cel_join(arena, node->kind, children, count, &made), OK);
	return made;
}

/* The other side first, and either or both negated. */
/* NOLINTNEXTLINE(misc-no-recursion): once per level of the tree */
static const struct cel_node *same_differently(
	struct arena *arena, struct test_random *random, const struct cel_node *node)
{
	const struct cel_node *sides[2] = {NULL, NULL};
	bool is_negated = false;
	for (size_t i = 0; i < 2; i++) {
		sides[1 - i] = written_differently(arena, random, node->children[i]);
		if (test_random_below(random, 2) == 0) {
			sides[1 - i] = negate(arena, sides[1 - i]);
			is_negated = !is_negated;
		}
	}
	const struct cel_node *made = NULL;
	assert_int_equal(cel_join(arena, CEL_SAME, sides, 2, &made), OK);
	return is_negated ? negate(arena, made) : made;
}

/* An equality for each constant, and an empty list beside them, so that there is something. */
static const struct cel_node *in_differently(struct arena *arena, const struct cel_node *node)
{
	const struct value *list = node->constant;
	const struct value none = {.kind = VALUE_LIST, .as.span = 1};
	const struct cel_node *children[8];
	size_t count = 0;
	const struct value *item = list + 1;
	for (uint32_t i = 0; i < list->size; i++, item = value_after(item)) {
		assert_int_equal(
			cel_compare(arena, CEL_EQUAL, &node->field, item, NULL, &children[count++]),
			OK);
	}
	assert_int_equal(
		cel_compare(arena, CEL_IN, &node->field, &none, NULL, &children[count++]), OK);
	const struct cel_node *made = NULL;
	assert_int_equal(cel_join(arena, CEL_OR, children, count, &made), OK);
	return made;
}

/* NOLINTNEXTLINE(misc-no-recursion): once per level of the tree */
static const struct cel_node *written_differently(
	struct arena *arena, struct test_random *random, const struct cel_node *node)
{
	if (node->kind != CEL_NOT && test_random_below(random, 4) == 0) {
		node = negate(arena, negate(arena, node));
	}
	if (node->kind == CEL_NOT) {
		return negate(arena, written_differently(arena, random, node->children[0]));
	}
	if (node->kind == CEL_SAME) {
		return same_differently(arena, random, node);
	}
	if (node->kind == CEL_IN && test_random_below(random, 2) == 0) {
		return in_differently(arena, node);
	}
	bool is_join = node->kind == CEL_AND || node->kind == CEL_OR;
	return is_join ? join_differently(arena, random, node) : node;
}

static const struct value *random_document(struct arena *arena, struct test_random *random)
{
	struct buffer text = {0};
	assert_int_equal(buffer_append_text(&text, "{\"z\":0"), OK);
	static const char *const members[] = {",\"a\":", ",\"b\":", ",\"n\":{\"y\":1,\"x\":"};
	for (size_t i = 0; i < COUNT(members); i++) {
		bool is_list = test_random_below(random, 4) == 0;
		if (test_random_below(random, 4) == 0) {
			continue;
		}
		assert_int_equal(buffer_append_text(&text, members[i]), OK);
		assert_int_equal(buffer_append_text(&text,
					 is_list ? pick(random, lists, COUNT(lists))
						 : pick(random, constants, COUNT(constants))),
			OK);
		assert_int_equal(buffer_append_text(&text, i == 2 ? "}" : ""), OK);
	}
	assert_int_equal(buffer_append_text(&text, "}"), OK);
	struct bytes copy = arena_copy(arena, buffer_bytes(&text));
	buffer_fini(&text);
	return cel_text_value(arena, copy);
}

static void assert_same_outcomes(struct arena *arena, struct test_random *random,
	const struct cel_node *a, const struct cel_node *b)
{
	for (int i = 0; i < 8; i++) {
		const struct cel_input input = {
			.document = test_random_below(random, 20) > 0
				? random_document(arena, random)
				: NULL,
			.id = bytes_of(test_random_below(random, 2) ? "x" : "z"),
			.id_is_unknown = test_random_below(random, 8) == 0,
		};
		char outcome = cel_text_outcome(a, &input);
		if (cel_text_outcome(b, &input) != outcome) {
			struct buffer text = {0};
			(void)!cel_print(&text, a);
			(void)!buffer_append_text(&text, " and ");
			(void)!cel_print(&text, b);
			fail_msg("%.*s: not both %c", BYTES_FORMAT(buffer_bytes(&text)), outcome);
		}
	}
}

/* A canonical tree says what its origin says, and however that was written it is the same. */
static void test_canonical_at_random(void **state)
{
	(void)state;
	struct test_random random = test_random_start("canonical");
	for (int i = 0; i < 10000; i++) {
		struct arena arena = {0};
		const struct cel_node *tree = random_tree(&arena, &random, 5);
		const struct cel_node *made = canonical(&arena, tree);
		assert_same_outcomes(&arena, &random, tree, made);
		assert_true(cel_equal(made, canonical(&arena, made)));
		const struct cel_node *other = written_differently(&arena, &random, tree);
		assert_same_outcomes(&arena, &random, tree, other);
		const struct cel_node *other_made = canonical(&arena, other);
		if (!cel_equal(made, other_made)) {
			struct buffer text = {0};
			(void)!cel_print(&text, made);
			(void)!buffer_append_text(&text, " and ");
			(void)!cel_print(&text, other_made);
			fail_msg("%.*s", BYTES_FORMAT(buffer_bytes(&text)));
		}
		assert_true(cel_hash(made, 3) == cel_hash(other_made, 3));
		arena_fini(&arena);
	}
}

/* What is equal has one hash; and the order that sorting needs has no cycles. */
static void test_hash_at_random(void **state)
{
	(void)state;
	struct test_random random = test_random_start("hash");
	size_t equal = 0;
	for (int i = 0; i < 30000; i++) {
		struct arena arena = {0};
		const struct cel_node *a = random_tree(&arena, &random, 1);
		const struct cel_node *b = random_tree(&arena, &random, 1);
		bool same = cel_equal(a, b);
		assert_int_equal(cel_equal(b, a), same);
		assert_int_equal(cel_hash(a, 5) == cel_hash(b, 5), same);
		equal += same;
		arena_fini(&arena);
	}
	assert_true(equal > 100);
}

static void test_field_hash(void **state)
{
	(void)state;
	static const char *const paths[] = {
		"", ".", "..", "a", "a.", ".a", "ab", "a.b", "_id", "id"};
	struct arena arena = {0};
	for (size_t i = 0; i < COUNT(paths); i++) {
		const struct cel_field a = cel_text_field(&arena, bytes_of(paths[i]));
		for (size_t k = 0; k < COUNT(paths); k++) {
			const struct cel_field b = cel_text_field(&arena, bytes_of(paths[k]));
			assert_int_equal(cel_field_equal(&a, &b), i == k);
			assert_int_equal(cel_field_hash(&a, 5) == cel_field_hash(&b, 5), i == k);
		}
	}
	arena_fini(&arena);
}

/* ---- copies ---------------------------------------------------------------------------------- */

/* An allocator of memory that can be spoiled as a whole; nothing is given back. */
struct ground {
	size_t used;
	_Alignas(max_align_t) char bytes[256 * 1024];
};

static void *ground_hook(void *ctx, void *pointer, size_t size)
{
	struct ground *ground = ctx;
	size_t room = (size + 15) & ~(size_t)15;
	if (size == 0) {
		return NULL;
	}
	assert_true(room <= sizeof(ground->bytes) - ground->used);
	char *piece = ground->bytes + ground->used;
	if (pointer) {
		size_t behind = (size_t)(piece - (char *)pointer); /* never less than it had */
		memmove(piece, pointer, behind < size ? behind : size);
	}
	ground->used += room;
	return piece;
}

static const char many_kinds[] =
	"(and (same (has h.i) (startsWith s \"st\")) (== room \"a\") (or (in n.x.y [1, \"two\", "
	"[\"three\", []], 1e300]) (not (contains t "
	"\"\")))"
	" (!= _id \"u1\") (not (in a. [])) (== o {\"k\":[\"v\"],\"\":null}))";

/* A tree borrows nothing from what its builder was given. */
static void test_builders_copy(void **state)
{
	(void)state;
	static struct ground ground;
	struct arena arena = {0};
	const struct cel_node *node = NULL;
	struct arena spoiled = {0};
	const struct value *constant = NULL;
	struct cel_field field = {0};
	mem_set_hook(ground_hook, &ground);
	struct bytes path = arena_copy(&spoiled, bytes_of("n.x"));
	struct bytes text = arena_copy(&spoiled, bytes_of("[\"x\", [\"\", 2.0]]"));
	field = cel_text_field(&spoiled, path);
	constant = cel_text_value(&spoiled, text);
	mem_set_hook(NULL, NULL);
	assert_int_equal(cel_compare(&arena, CEL_IN, &field, constant, NULL, &node), OK);
	memset(ground.bytes, 0x5A, sizeof(ground.bytes));
	assert_print(node, "doc.n.x in [\"x\", [\"\", 2]]");
	arena_fini(&arena);
}

static void test_pack(void **state)
{
	(void)state;
	static struct ground ground;
	struct arena spoiled = {0};
	mem_set_hook(ground_hook, &ground);
	const struct cel_node *node = cel_text(&spoiled, many_kinds);
	mem_set_hook(NULL, NULL);
	size_t size = cel_pack(node, NULL, 0, NULL);
	const struct cel_node *copy = node;
	for (size_t room = 0; room < size; room++) {
		void *memory = malloc(room > 0 ? room : 1); /* a sanitizer sees what is behind it */
		assert_int_equal(cel_pack(node, memory, room, &copy), size);
		assert_ptr_equal(copy, node);
		free(memory);
	}
	assert_true(size > 0);
	void *memory = malloc(size > 0 ? size : 1);
	assert_int_equal(cel_pack(node, memory, size, &copy), size);
	assert_ptr_equal(copy, memory);
	assert_true(cel_equal(copy, node));
	uint64_t hash = cel_hash(node, 3);
	struct buffer before = {0};
	assert_int_equal(cel_print(&before, node), OK);
	memset(ground.bytes, 0x5A, sizeof(ground.bytes));
	struct buffer after = {0};
	assert_int_equal(cel_print(&after, copy), OK);
	assert_true(bytes_equal(buffer_bytes(&before), buffer_bytes(&after)));
	assert_true(cel_hash(copy, 3) == hash);
	buffer_fini(&before);
	buffer_fini(&after);
	free(memory);
}

static void test_pack_field(void **state)
{
	(void)state;
	static const char *const paths[] = {"_id", "", "a", "rather.long..names.and.short"};
	for (size_t i = 0; i < COUNT(paths); i++) {
		static struct ground ground;
		struct arena spoiled = {0};
		struct arena arena = {0};
		ground.used = 0;
		mem_set_hook(ground_hook, &ground);
		const struct cel_field field =
			cel_text_field(&spoiled, arena_copy(&spoiled, bytes_of(paths[i])));
		mem_set_hook(NULL, NULL);
		size_t size = cel_pack_field(&field, NULL, 0, NULL);
		struct cel_field copy = {.parts_count = 99};
		for (size_t room = 0; room < size; room++) {
			void *memory = malloc(room > 0 ? room : 1);
			assert_int_equal(cel_pack_field(&field, memory, room, &copy), size);
			assert_int_equal(copy.parts_count, 99);
			free(memory);
		}
		void *memory = malloc(size > 0 ? size : 1);
		assert_int_equal(cel_pack_field(&field, memory, size, &copy), size);
		memset(ground.bytes, 0x5A, sizeof(ground.bytes));
		const struct cel_field same = cel_text_field(&arena, bytes_of(paths[i]));
		assert_true(cel_field_equal(&copy, &same));
		free(memory);
		arena_fini(&arena);
	}
}

/* ---- lack of memory -------------------------------------------------------------------------- */

/* All that allocates, on one condition; nothing is set unless all is well. */
static enum err build_all(struct arena *arena, const struct value *list, struct buffer *text)
{
	static const struct bytes parts[] = {{"a", 1}, {"bc", 2}};
	const struct cel_field field = {CEL_DOCUMENT, 2, parts};
	const struct cel_node *nodes[2] = {NULL, NULL};
	const struct cel_node *node = NULL;
	const struct cel_node *canonical_node = NULL;
	enum err err = cel_compare(arena, CEL_IN, &field, list, NULL, &nodes[0]);
	assert_int_equal(nodes[0] != NULL, err == OK);
	if (err == OK) {
		err = cel_compare(arena, CEL_EQUAL, &field, list, NULL, &nodes[1]);
		assert_int_equal(nodes[1] != NULL, err == OK);
	}
	if (err == OK) {
		err = cel_join(arena, CEL_OR, nodes, 2, &node);
		assert_int_equal(node != NULL, err == OK);
	}
	const struct cel_node *negated = NULL;
	if (err == OK) {
		err = cel_join(arena, CEL_NOT, &node, 1, &negated);
		assert_int_equal(negated != NULL, err == OK);
	}
	if (err == OK) {
		err = cel_normalise(arena, negated, &canonical_node);
		assert_int_equal(canonical_node != NULL, err == OK);
	}
	const struct cel_node *never = NULL;
	if (err == OK) {
		err = cel_join(arena, CEL_OR, NULL, 0, &never);
		assert_int_equal(never != NULL, err == OK);
	}
	return err == OK ? cel_print(text, canonical_node) : err;
}

/*
 * An arena takes memory in blocks. What it holds before decides which piece needs a new one, so
 * every piece is refused once.
 */
static void test_without_memory(void **state)
{
	(void)state;
	struct arena kept = {0};
	const struct value *list = cel_text_value(
		&kept, bytes_of("[\"a string that takes more room\", 3, [1, 2], 3, \"b\"]"));
	size_t refusals = 0;
	size_t fail_at = 0;
	for (bool failed = true; failed; fail_at++) {
		failed = false;
		for (size_t held = 0; held < 2048; held += 16) {
			struct failing failing;
			struct arena arena = {0};
			struct buffer text = {0};
			assert_true(held == 0 || arena_alloc(&arena, held));
			failing_start(&failing, fail_at);
			enum err err = build_all(&arena, list, &text);
			bool refused = failing_stop(&failing);
			assert_int_equal(err, refused ? ERR_MEMORY : OK);
			refusals += refused;
			failed = failed || refused;
			buffer_fini(&text);
			arena_fini(&arena);
		}
	}
	assert_true(refusals > 128);
	arena_fini(&kept);
}

/* ---- a list of many constants ---------------------------------------------------------------- */

/* A scalar of few kinds and values, so that what is looked for is often there, or nearly. */
static void put_scalar(struct buffer *text, struct test_random *random)
{
	static const char *const rare[] = {"null", "true", "false", "-0.0", "0.5", "1.5", "-2.0",
		"9007199254740991", "9007199254740992", "9007199254740993", "9007199254740992.0",
		"-9007199254740992", "-9007199254740993", "-9007199254740992.0",
		"9223372036854775807", "9223372036854775807.0", "9223372036854775808",
		"18446744073709551615", "18446744073709551616.0", "\"\"", "\"1\"", "\"k1\\u00e9\""};
	uint64_t number = test_random_below(random, 1000);
	if (test_random_below(random, 2) == 0) {
		const char *written = rare[test_random_below(random, COUNT(rare))];
		assert_int_equal(buffer_append_text(text, written), OK);
	} else if (test_random_below(random, 2) == 0) {
		assert_int_equal(buffer_printf(text, "%d", (int)number - 500), OK);
	} else {
		assert_int_equal(buffer_printf(text, "\"k%d\"", (int)number), OK);
	}
}

static const struct value *random_list(
	struct arena *arena, struct test_random *random, size_t count, bool is_nested)
{
	struct buffer text = {0};
	assert_int_equal(buffer_append_text(&text, is_nested ? "[[1]" : "[null"), OK);
	for (size_t i = 1; i < count; i++) {
		assert_int_equal(buffer_append_text(&text, ","), OK);
		put_scalar(&text, random);
	}
	assert_int_equal(buffer_append_text(&text, "]"), OK);
	struct bytes copy = arena_copy(arena, buffer_bytes(&text));
	buffer_fini(&text);
	return cel_text_value(arena, copy);
}

/* A canonical list is searched by its order: what is in it is what is in the list as written. */
static void test_in_many_constants(void **state)
{
	(void)state;
	struct test_random random = test_random_start("in many constants");
	const struct bytes part = bytes_of("a");
	const struct cel_field field = {CEL_DOCUMENT, 1, &part};
	size_t found = 0;
	for (size_t round = 0; round < 200; round++) {
		struct arena arena = {0};
		const struct cel_node *written = NULL;
		size_t count = 2 + test_random_below(&random, 400);
		assert_int_equal(cel_compare(&arena, CEL_IN, &field,
					 random_list(&arena, &random, count, round % 8 == 0), NULL,
					 &written),
			OK);
		const struct cel_node *made = canonical(&arena, written);
		const struct value *wanted = random_list(&arena, &random, 200, true) + 1;
		for (size_t i = 0; i < 200; i++) {
			struct value document[64] = {{.kind = VALUE_OBJECT, .size = 1}};
			size_t cells = (size_t)(value_after(wanted) - wanted);
			document[0].as.span = (uint32_t)cells + 2;
			document[1] = value_string(part);
			memcpy(&document[2], wanted, cells * sizeof(*wanted));
			const struct cel_input input = {.document = document};
			char outcome = cel_text_outcome(written, &input);
			assert_int_equal(cel_text_outcome(made, &input), outcome);
			found += outcome == 'T';
			wanted = value_after(wanted);
		}
		arena_fini(&arena);
	}
	assert_true(found > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_different),
		cmocka_unit_test(test_written_form),
		cmocka_unit_test(test_deepest),
		cmocka_unit_test(test_too_deep),
		cmocka_unit_test(test_canonical_at_random),
		cmocka_unit_test(test_hash_at_random),
		cmocka_unit_test(test_field_hash),
		cmocka_unit_test(test_builders_copy),
		cmocka_unit_test(test_pack),
		cmocka_unit_test(test_pack_field),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_in_many_constants),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
