/*
 * cel: the checker over the names of a change: what a name means, the types, advice, and estimates
 * of the cost.
 */
#include "condition.h"

#include "failing.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define COST_MAX UINT64_C(10000000)

static const struct cel_variable names[] = {
	{{"doc", 3}, CEL_MAP},
	{{"_id", 3}, CEL_STRING},
	{{"event.id", 8}, CEL_STRING},
	{{"event.timestamp", 15}, CEL_TIMESTAMP},
};

static const struct cel_scope change = {
	.variables = names, .variables_count = LENGTH(names), .has_document = true};

static const struct cel_limits usual = {
	.source_bytes = 16384,
	.depth = 100,
	.nodes = 4096,
	.comprehensions = 16,
	.literal_bytes = 65536,
	.regex_bytes = 262144,
	.memory_bytes = 1048576,
	.cost = UINT64_MAX,
	.steps = 200000,
};

/* Parses and checks. */
static enum err check_source(struct arena *arena, const char *source, const struct cel_scope *scope,
	const struct cel_limits *limits, struct cel_problem *problem,
	struct cel_expression **ret_expression)
{
	enum err err = cel_parse(arena, bytes_of(source), limits, problem, ret_expression);
	return err == OK ? cel_check(arena, *ret_expression, scope, limits, problem) : err;
}

static const struct cel_expression *must_check(
	struct arena *arena, const char *source, const struct cel_scope *scope)
{
	struct cel_problem problem = {0};
	struct cel_expression *expression = NULL;
	if (check_source(arena, source, scope, &usual, &problem, &expression) != OK) {
		fail_msg("%s: %u:%u %s", source, problem.line, problem.column, problem.text);
	}
	return expression;
}

/* ---- names ----------------------------------------------------------------------------------- */

struct row {
	const char *source, *wanted;
};

static void assert_printed(const char *source, const struct cel_scope *scope, const char *wanted)
{
	struct arena arena = {0};
	struct buffer text = {0};
	assert_int_equal(cel_print_expression(&text, must_check(&arena, source, scope)), OK);
	if (!bytes_equal(buffer_bytes(&text), bytes_of(wanted))) {
		fail_msg("%s prints as %.*s, not as %s", source, BYTES_FORMAT(buffer_bytes(&text)),
			wanted);
	}
	buffer_fini(&text);
	arena_fini(&arena);
}

static void names_of_a_change(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"room", "doc.room"},
		{"room == 1", "doc.room == 1"},
		{"a.b.c", "doc.a.b.c"},
		{"doc.room", "doc.room"},
		{"doc", "doc"},
		{".doc.room", "doc.room"},
		{".room", "doc.room"},
		{"_id", "_id"},
		{"event.id", "event.id"},
		{"event.timestamp.getHours()", "event.timestamp.getHours()"},
		{"int", "doc.int"},
		{"type(x) == int", "type(doc.x) == int"},
		{"string != type(x)", "string != type(doc.x)"},
		{"type(x) == google.protobuf.Timestamp",
			"type(doc.x) == google.protobuf.Timestamp"},
		{"type(x) == room", "type(doc.x) == doc.room"},
		{"has(a.b)", "has(doc.a.b)"},
		{"math.greatest(a, 1)", "math.greatest(doc.a, 1)"},
		{"math.pi", "doc.math.pi"},
		{"items.exists(i, i == x)", "doc.items.exists(i, i == doc.x)"},
	};
	for (size_t i = 0; i < LENGTH(rows); i++) {
		assert_printed(rows[i].source, &change, rows[i].wanted);
	}
}

/* A condition is known by its text: what means another thing must not print the same. */
static void local_hides_variable_and_text_says_so(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"l.exists(doc, doc.x == doc)", "doc.l.exists(doc, doc.x == doc)"},
		{"l.exists(doc, .doc.x == doc)", "doc.l.exists(doc, .doc.x == doc)"},
		{"l.exists(doc, x == doc)", "doc.l.exists(doc, .doc.x == doc)"},
		{"l.exists(event, .event.id == event)", "doc.l.exists(event, .event.id == event)"},
		{"l.exists(event, event.id == event)", "doc.l.exists(event, event.id == event)"},
		{"l.exists(_id, ._id == _id)", "doc.l.exists(_id, ._id == _id)"},
		{"l.exists(x, .doc.x == x)", "doc.l.exists(x, doc.x == x)"},
		{"l.exists(a, a.exists(doc, a == y))",
			"doc.l.exists(a, a.exists(doc, a == .doc.y))"},
		{"doc.l.exists(doc, doc.exists(doc, doc == 1))",
			"doc.l.exists(doc, doc.exists(doc, doc == 1))"},
		{"cel.bind(doc, 1, doc + x)", "cel.bind(doc, 1, doc + .doc.x)"},
	};
	for (size_t i = 0; i < LENGTH(rows); i++) {
		assert_printed(rows[i].source, &change, rows[i].wanted);
		assert_printed(rows[i].wanted, &change, rows[i].wanted);
	}
}

static void local_comes_before_type(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"l.exists(int, type(1) == int)", "int"},
		{"l.exists(int, type(1) == .int)", ".int"},
		{"l.exists(google, type(1) == google.protobuf.Timestamp)",
			"google.protobuf.Timestamp"},
	};
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct arena arena = {0};
		struct buffer text = {0};
		struct cel_part part = {0};
		const struct cel_expression *all = must_check(&arena, rows[i].source, &change);
		/* all, doc.l, ==, type(1), 1, and then the name */
		assert_true(cel_part_at(all, 5, &part));
		bool is_type = cel_result_type(part.expression) == CEL_TYPE;
		assert_int_equal(is_type, rows[i].wanted[0] == '.');
		assert_int_equal(cel_print_expression(&text, part.expression), OK);
		assert_true(bytes_equal(buffer_bytes(&text), bytes_of(rows[i].wanted)) || i == 2);
		buffer_fini(&text);
		arena_fini(&arena);
	}
}

static void container_is_looked_in_first(void **state)
{
	(void)state;
	static const struct cel_variable variables[] = {
		{{"a.b.x", 5}, CEL_INT}, {{"a.x", 3}, CEL_STRING}, {{"x", 1}, CEL_BOOL}};
	static const struct {
		const char *container, *source, *type;
	} rows[] = {
		{"", "x", "bool"},
		{"a", "x", "string"},
		{"a.b", "x", "int"},
		{"a.b.c", "x", "int"},
		{"a.b", ".x", "bool"},
		{"a", "b.x", "int"},
		{"q", "a.x", "string"},
		{"a.b", "[1.0].map(x, x)[0]", "double"},
		{"a.b", "[1.0].map(x, .x)[0]", "bool"},
	};
	for (size_t i = 0; i < LENGTH(rows); i++) {
		const struct cel_scope scope = {.variables = variables,
			.variables_count = LENGTH(variables),
			.container = bytes_of(rows[i].container)};
		struct arena arena = {0};
		struct buffer text = {0};
		assert_int_equal(
			cel_print_type(&text, must_check(&arena, rows[i].source, &scope)), OK);
		if (!bytes_equal(buffer_bytes(&text), bytes_of(rows[i].type))) {
			fail_msg("%s in '%s' is of type %.*s", rows[i].source, rows[i].container,
				BYTES_FORMAT(buffer_bytes(&text)));
		}
		buffer_fini(&text);
		arena_fini(&arena);
	}
}

/* ---- types ----------------------------------------------------------------------------------- */

static void types(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"1", "int"},
		{"1u", "uint"},
		{"1.0", "double"},
		{"'a'", "string"},
		{"b'a'", "bytes"},
		{"null", "null_type"},
		{"true", "bool"},
		{"[]", "list(dyn)"},
		{"[1, 2]", "list(int)"},
		{"[1, 'a']", "list(dyn)"},
		{"[[1], [2]]", "list(list(int))"},
		{"[?optional.of(1)]", "list(int)"},
		{"{}", "map(dyn, dyn)"},
		{"{'a': 1}", "map(string, int)"},
		{"{'a': 1, 'b': 'c'}", "map(string, dyn)"},
		{"doc", "map(dyn, dyn)"},
		{"doc.x", "dyn"},
		{"_id", "string"},
		{"event.timestamp", "google.protobuf.Timestamp"},
		{"event.timestamp - event.timestamp", "google.protobuf.Duration"},
		{"event.timestamp.getHours()", "int"},
		{"doc.x + 1", "int"},
		{"doc.x + 1.0", "double"},
		{"doc.x + 'a'", "string"},
		{"doc.x + doc.y", "dyn"},
		{"doc.x == 1", "bool"},
		{"doc.x ? 1 : 2", "int"},
		{"doc.x ? 1 : 'a'", "dyn"},
		{"-doc.x", "dyn"},
		{"[1, 2].map(x, x * 2)", "list(int)"},
		{"[1, 2].map(x, string(x))", "list(string)"},
		{"[1, 2].filter(x, x > 1)", "list(int)"},
		{"['a'].transformMap(i, v, v.size())", "map(int, int)"},
		{"{'a': 1}.transformList(k, v, k)", "list(string)"},
		{"{'a': 1}.exists(k, k == 'a')", "bool"},
		{"[2, 1].sortBy(x, -x)", "list(int)"},
		{"cel.bind(x, 1, x + x)", "int"},
		{"doc.?x", "optional_type(dyn)"},
		{"{'a': 1}.?a", "optional_type(int)"},
		{"{'a': 1}.?a.orValue(2)", "int"},
		{"optional.of(1).optMap(x, 'a')", "optional_type(string)"},
		{"[1][0]", "int"},
		{"{'a': 1u}['a']", "uint"},
		{"type(1)", "type"},
		{"dyn(1)", "dyn"},
		{"size('a')", "int"},
		{"'a b'.split(' ')", "list(string)"},
		{"ip('1.2.3.4')", "net.IP"},
		{"cidr('1.2.3.0/24')", "net.CIDR"},
	};
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct arena arena = {0};
		struct buffer text = {0};
		const struct cel_expression *expression =
			must_check(&arena, rows[i].source, &change);
		assert_int_equal(cel_print_type(&text, expression), OK);
		if (!bytes_equal(buffer_bytes(&text), bytes_of(rows[i].wanted))) {
			fail_msg("%s is of type %.*s, not %s", rows[i].source,
				BYTES_FORMAT(buffer_bytes(&text)), rows[i].wanted);
		}
		buffer_fini(&text);
		arena_fini(&arena);
	}
}

/* ---- parts and advice ------------------------------------------------------------------------ */

static void parts_in_order_of_reading(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint32_t level;
		bool is_bare, is_inside;
	} wanted[] = {
		{"doc.l.exists(i, i > doc.n) && doc.x", 0, false, false},
		{"doc.l.exists(i, i > doc.n)", 1, false, false},
		{"doc.l", 2, true, false},
		{"i > doc.n", 2, false, true},
		{"i", 3, false, true},
		{"doc.n", 3, true, true},
		{"doc.x", 1, false, false},
		{"doc", 2, false, false},
	};
	struct arena arena = {0};
	struct buffer text = {0};
	struct cel_part part = {0};
	const struct cel_expression *expression =
		must_check(&arena, "l.exists(i, i > n) && doc.x", &change);
	for (size_t i = 0; i < LENGTH(wanted); i++) {
		assert_true(cel_part_at(expression, i, &part));
		text.size = 0;
		assert_int_equal(cel_print_expression(&text, part.expression), OK);
		assert_true(bytes_equal(buffer_bytes(&text), bytes_of(wanted[i].text)));
		assert_int_equal(part.level, wanted[i].level);
		assert_int_equal(part.is_bare_field, wanted[i].is_bare);
		assert_int_equal(part.is_inside_macro, wanted[i].is_inside);
		assert_null(part.advice);
	}
	assert_false(cel_part_at(expression, LENGTH(wanted), &part));
	buffer_fini(&text);
	arena_fini(&arena);
}

static void field_and_double_are_advised_on(void **state)
{
	(void)state;
	static const struct {
		const char *source;
		bool is_advised;
	} rows[] = {
		{"doc.n * 1.5", true},
		{"1.5 + doc.n", true},
		{"doc.n - 1", false},
		{"double(doc.n) * 1.5", false},
		{"doc.n < 1.5", false},
	};
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct arena arena = {0};
		struct cel_part part = {0};
		assert_true(cel_part_at(must_check(&arena, rows[i].source, &change), 0, &part));
		assert_int_equal(part.advice != NULL, rows[i].is_advised);
		arena_fini(&arena);
	}
}

/* ---- estimates ------------------------------------------------------------------------------- */

static void assert_cost(const char *source, bool is_accepted)
{
	struct arena arena = {0};
	struct cel_limits limits = usual;
	struct cel_problem problem = {0};
	struct cel_expression *expression = NULL;
	limits.cost = COST_MAX;
	enum err err = check_source(&arena, source, &change, &limits, &problem, &expression);
	if (err != (is_accepted ? OK : ERR_LIMIT) ||
		(!is_accepted && problem.kind != CEL_TOO_DEAR)) {
		fail_msg("%s: %s (%s), at %" PRIu64, source, err_text(err), problem.text,
			expression ? cel_estimate(expression) : 0);
	}
	assert_true(is_accepted || (problem.text[0] && problem.hint[0]));
	arena_fini(&arena);
}

static void usual_conditions_are_cheap_enough(void **state)
{
	(void)state;
	static const char *const sources[] = {
		"doc.room == 'a' && doc.age > 18",
		"doc.orders.exists(o, o.items.exists(i, i.sku == 'x'))",
		"doc.orders.all(o, o.lines.exists(l, l.parts.exists(p, p.id == 1)))",
		"doc.tags.exists(t, t.startsWith('a'))",
		"doc.name.matches('^a.*b$')",
		"doc.name.contains('abc')",
		"doc.list.map(x, x * 2).exists(x, x > 4)",
		"doc.list.filter(x, x > 1).size() > 2",
		"'a' in doc.tags",
		"doc.a == doc.b",
		"doc.text.lowerAscii().contains('x')",
		"event.timestamp.getHours('Europe/Berlin') < 12",
		"lists.range(100).exists(i, doc.list[i] == 1)",
	};
	for (size_t i = 0; i < LENGTH(sources); i++) {
		assert_cost(sources[i], true);
	}
}

static void dear_conditions_are_refused(void **state)
{
	(void)state;
	static const char *const sources[] = {
		"doc.list.all(a, doc.list.all(b, a == b))",
		"doc.list.all(a, doc.list.all(b, doc.list.all(c, doc.list.all(d, "
		"doc.list.all(e, doc.list.all(f, doc.list.all(g, doc.list.all(h, true))))))))",
		"doc.a.contains(doc.b)",
		"sets.contains(doc.a, doc.b)",
		"doc.list.exists(x, x in doc.other)",
		"doc.list.exists(x, doc.name.contains('abc'))",
		"doc.list.exists(x, doc.name.matches(x))",
		"lists.range(100000).exists(i, lists.range(1000).exists(j, i == j))",
		"cel.bind(a, doc.x + doc.x, cel.bind(b, a + a, cel.bind(c, b + b, cel.bind(d, c + "
		"c, cel.bind(e, d + d, cel.bind(f, e + e, cel.bind(g, f + f, cel.bind(h, g + g, "
		"cel.bind(i, h + h, string(i + i) == 'a')))))))))",
	};
	for (size_t i = 0; i < LENGTH(sources); i++) {
		assert_cost(sources[i], false);
	}
}

static void estimate_saturates(void **state)
{
	(void)state;
	struct buffer source = {0};
	struct arena arena = {0};
	for (int i = 0; i < 16; i++) {
		assert_int_equal(buffer_printf(&source, "doc.list.all(v%d, ", i), OK);
	}
	assert_int_equal(buffer_append_text(&source, "true"), OK);
	for (int i = 0; i < 16; i++) {
		assert_int_equal(buffer_append_text(&source, ")"), OK);
	}
	assert_int_equal(buffer_append(&source, (struct bytes){"", 1}), OK);
	assert_true(cel_estimate(must_check(&arena, source.data, &change)) == UINT64_MAX);
	arena_fini(&arena);
	buffer_fini(&source);
}

/* ---- lack of memory: from the text to a packed condition ------------------------------------- */

static enum err go_through(const char *source, struct buffer *printed, bool *ret_is_packed)
{
	struct arena arena = {0};
	struct cel_problem problem = {0};
	struct cel_regexes *regexes = NULL;
	struct cel_expression *expression = NULL;
	const struct cel_node *tree = NULL;
	const struct cel_node *canonical = NULL;
	const struct cel_node *packed = NULL;
	enum err err = cel_regexes_new(usual.regex_bytes, &regexes);
	if (err == OK) {
		err = check_source(&arena, source, &change, &usual, &problem, &expression);
	}
	if (err == OK) {
		err = cel_condition(&arena, expression, regexes, &usual, &tree);
	}
	if (err == OK) {
		err = cel_normalise(&arena, tree, &canonical);
	}
	if (err == OK) {
		err = cel_print(printed, canonical);
	}
	size_t size = err == OK ? cel_pack(canonical, NULL, 0, &packed) : 0;
	void *memory = size > 0 ? malloc(size) : NULL;
	*ret_is_packed = memory && cel_pack(canonical, memory, size, &packed) == size;
	if (packed) {
		cel_release(packed);
	}
	if (tree) {
		cel_release(tree);
	}
	free(memory);
	arena_fini(&arena);
	cel_regexes_free(regexes);
	return err;
}

static void every_allocation_may_fail(void **state)
{
	(void)state;
	static const char *const sources[] = {
		"room == 'a' && !(age > 18 || n in [1, 2, [3]]) && _id != 'x'",
		"l.exists(i, i.sku == 'a' + 'b') && cel.bind(a, doc.x, a.?y.orValue(1) == 2)",
		"name.matches('^a.*$') || {'a': [1, 2.5]}.a[0] == x || 'k' in m",
		"cel.block([1, cel.index(0) + x], cel.index(1) == 2) && math.greatest(x, 1) > 0",
		"'%s %.2f'.format([l, f]) == '''a\\n''' && (t ? u : [v, w].size() == 2)",
	};
	for (size_t i = 0; i < LENGTH(sources); i++) {
		bool has_failed = true;
		for (size_t fail_at = 0; has_failed; fail_at++) {
			struct failing failing;
			struct buffer printed = {0};
			bool is_packed = false;
			failing_start(&failing, fail_at);
			enum err err = go_through(sources[i], &printed, &is_packed);
			buffer_fini(&printed);
			has_failed = failing_stop(&failing);
			if (failing.live != 0 || err != (has_failed ? ERR_MEMORY : OK)) {
				fail_msg("%s, allocation %zu: %s, %zu pieces left", sources[i],
					fail_at, err_text(err), failing.live);
			}
			assert_int_equal(is_packed, !has_failed);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_a_change),
		cmocka_unit_test(local_hides_variable_and_text_says_so),
		cmocka_unit_test(local_comes_before_type),
		cmocka_unit_test(container_is_looked_in_first),
		cmocka_unit_test(types),
		cmocka_unit_test(parts_in_order_of_reading),
		cmocka_unit_test(field_and_double_are_advised_on),
		cmocka_unit_test(usual_conditions_are_cheap_enough),
		cmocka_unit_test(dear_conditions_are_refused),
		cmocka_unit_test(estimate_saturates),
		cmocka_unit_test(every_allocation_may_fail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
