/* cel: lexer, parser and printer. What parses prints as text that parses to the same again. */
#include "cel.h"

#include "failing.h"
#include "random.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define SUITE_LINES 1473

static const struct cel_limits wide = {
	.source_bytes = 1 << 20,
	.depth = 250,
	.nodes = 100000,
	.comprehensions = 16,
	.literal_bytes = 1 << 20,
};

static enum err print_once(struct arena *arena, struct bytes source,
	const struct cel_limits *limits, struct cel_problem *problem, struct buffer *printed)
{
	struct cel_expression *expression = NULL;
	enum err err = cel_parse(arena, source, limits, problem, &expression);
	printed->size = 0;
	return err == OK ? cel_print_expression(printed, expression) : err;
}

/* Parses, prints, and parses and prints that: both texts are the same, and `wanted` if not NULL. */
static void assert_stable(struct bytes source, const char *wanted)
{
	struct arena arena = {0};
	struct buffer first = {0};
	struct buffer second = {0};
	struct cel_problem problem = {0};
	if (print_once(&arena, source, &wide, &problem, &first) != OK) {
		fail_msg("%.*s: %u:%u %s", BYTES_FORMAT(source), problem.line, problem.column,
			problem.text);
	}
	if (print_once(&arena, buffer_bytes(&first), &wide, &problem, &second) != OK ||
		!bytes_equal(buffer_bytes(&first), buffer_bytes(&second))) {
		fail_msg("%.*s prints as %.*s, and that as %.*s %s", BYTES_FORMAT(source),
			BYTES_FORMAT(buffer_bytes(&first)), BYTES_FORMAT(buffer_bytes(&second)),
			problem.text);
	}
	if (wanted && !bytes_equal(buffer_bytes(&first), bytes_of(wanted))) {
		fail_msg("%.*s prints as %.*s, not as %s", BYTES_FORMAT(source),
			BYTES_FORMAT(buffer_bytes(&first)), wanted);
	}
	buffer_fini(&first);
	buffer_fini(&second);
	arena_fini(&arena);
}

struct row {
	const char *source, *printed;
};

static void assert_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert_stable(bytes_of(rows[i].source), rows[i].printed);
	}
}

/* ---- literals ---- */

static void test_numbers(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"0", "0"},
		{"007", "7"},
		{"9223372036854775807", "9223372036854775807"},
		{"-9223372036854775808", "-9223372036854775808"},
		{"- 5", "-5"},
		{"--5", "-(-5)"},
		{"4--4", "4 - -4"},
		{"0x1F", "31"},
		{"0xffffffffffffffffu", "18446744073709551615u"},
		{"-0x8000000000000000", "-9223372036854775808"},
		{"-0x55555555", "-1431655765"},
		{"12U", "12u"},
		{"0u", "0u"},
		{"-5u", "-5u"},
		{"18446744073709551615u", "18446744073709551615u"},
		{"1.5", "1.5"},
		{".5", "0.5"},
		{"1.0", "1.0"},
		{"007.50", "7.5"},
		{"0e1", "0.0"},
		{"2e0", "2.0"},
		{"1.5E-3", "0.0015"},
		{"-0.0", "-0.0"},
		{"1e-400", "0.0"},
		{"1e-324", "0.0"},
		{"5e-324", "5e-324"},
		{"1.7976931348623157e308", "1.7976931348623157e308"},
		/* halfway between two doubles, and a digit above it */
		{"9007199254740993.0", "9007199254740992.0"},
		{"9007199254740993.00000000000000000001", "9007199254740994.0"},
		{"42.charAt(2)", "42.charAt(2)"},
		{"1.5.f", "1.5.f"},
	};
	assert_rows(rows, LENGTH(rows));
}

static void test_texts(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"'a'", "\"a\""},
		{"\"it's\"", "\"it's\""},
		{"'say \"x\"'", "\"say \\\"x\\\"\""},
		{"''", "\"\""},
		{"''''''", "\"\""},
		{"'''a'b''c'''", "\"a'b''c\""},
		{"\"\"\"two\nlines\"\"\"", "\"two\\nlines\""},
		{"'''a\r\nb'''", "\"a\\r\\nb\""},
		{"r'\\n'", "\"\\\\n\""},
		{"R\"\"\"\\\n\"\"\"", "\"\\\\\\n\""},
		{"'\\\\\\?\\\"\\'\\`\\a\\b\\f\\n\\r\\t\\v'",
			"\"\\\\?\\\"'`\\a\\b\\f\\n\\r\\t\\v\""},
		{"'\\xff\\XFF\\377'", "\"ÿÿÿ\""},
		{"'\\000\\x7f'", "\"\\x00\\x7f\""},
		{"'\\u00e9\\U0001F600'", "\"é😀\""},
		{"'\\U0010FFFF'", "\"\xf4\x8f\xbf\xbf\""},
		{"'\tx'", "\"\\tx\""},
		{"b'abc'", "b\"abc\""},
		{"B\"\\xff\\377\\000\"", "b\"\\xff\\xff\\x00\""},
		{"b'ÿ'", "b\"\\xc3\\xbf\""},
		{"br'\\x'", "b\"\\\\x\""},
		{"bR'''\\'''", "b\"\\\\\""},
		{"b", "b"},
		{"r", "r"},
		{"br.b", "br.b"},
	};
	assert_rows(rows, LENGTH(rows));
}

/* A source is known by its size: NULs in it count. */
static void test_nul(void **state)
{
	(void)state;
	assert_stable((struct bytes){"'a\0b'", 5}, "\"a\\x00b\"");
	assert_stable((struct bytes){"b'\0' + '''\0'''", 14}, "b\"\\x00\" + \"\\x00\"");
	assert_stable((struct bytes){"1 // \0 x", 8}, "1");
	struct arena arena = {0};
	struct cel_problem problem = {0};
	struct cel_expression *expression = NULL;
	struct bytes source = {"1\0+ 1", 6};
	assert_int_equal(cel_parse(&arena, source, &wide, &problem, &expression), ERR_INVALID);
	assert_int_equal(problem.column, 2);
	arena_fini(&arena);
}

static void test_blanks(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{" \t\r\n\f1\n+\r\n1 ", "1 + 1"},
		{"1 // one", "1"},
		{"// nothing\n// again\r\n1 //", "1"},
		{"a // b\n . // c\n d", "a.d"},
		{"a\n.\nb\n(\nc\n)", "a.b(c)"},
		{"6/2", "6 / 2"},
	};
	assert_rows(rows, LENGTH(rows));
}

/* ---- grammar ---- */

static void test_operators(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"a||b&&c==d+e*-f", "a || b && c == d + e * -f"},
		{"((a||b)&&(c==d)+e)*-f", "((a || b) && (c == d) + e) * -f"},
		{"(a && b) && c", "(a && b) && c"},
		{"a && b && c && d", "a && b && c && d"},
		{"a || (b || c)", "a || (b || c)"},
		{"a - b - c", "a - b - c"},
		{"(a - b) - c", "a - b - c"},
		{"a - (b - c)", "a - (b - c)"},
		{"a * (b + c) % d", "a * (b + c) % d"},
		{"a < b < c", "a < b < c"},
		{"a < (b < c)", "a < (b < c)"},
		{"x in [1] == y", "x in [1] == y"},
		{"a ? b : c ? d : e", "a ? b : c ? d : e"},
		{"a ? (b ? c : d) : e", "a ? (b ? c : d) : e"},
		{"(a ? b : c) ? d : e", "(a ? b : c) ? d : e"},
		{"a ? b : (c ? d : e)", "a ? b : c ? d : e"},
		{"(a ? b : c) + 1", "(a ? b : c) + 1"},
		{"!!a", "!!a"},
		{"!(-a)", "!(-a)"},
		{"-(!a)", "-(!a)"},
		{"!(a == b)", "!(a == b)"},
		{"!a.b", "!a.b"},
		{"(!a).b", "(!a).b"},
		{"(((a)))", "a"},
		{"{'a': 1}.a", "{\"a\": 1}.a"},
		{"[1,2,][0]", "[1, 2][0]"},
		{"(a + b)[0]", "(a + b)[0]"},
		{"inside in interior", "inside in interior"},
		{"1in[2]", "1 in [2]"},
	};
	assert_rows(rows, LENGTH(rows));
}

/* A minus before a number is the number's; before what is done with a number it is not. */
static void test_minus_before_a_number_in_a_chain(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"-(1)", "-(1)"},
		{"-(1.5)", "-(1.5)"},
		{"-(1).abs()", "-(1.abs())"},
		{"-(1)[0].f", "-(1[0].f)"},
		{"-(1.5).map(x, x)", "-(1.5.map(x, x))"},
		{"-1.abs()", "(-1).abs()"},
		{"(-1).abs()", "(-1).abs()"},
		{"-(1 + 2)", "-(1 + 2)"},
		{"-1u.f", "-1u.f"},
		{"-f(1)", "-f(1)"},
		{"-(1 + 2).f", "-(1 + 2).f"},
	};
	assert_rows(rows, LENGTH(rows));
}

static void test_names(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"a.b.c", "a.b.c"},
		{".a.b", ".a.b"},
		{".f(x)", ".f(x)"},
		{"a.package", "a.package"},
		{"a.package()", "a.package()"},
		{"a.if.while.as", "a.if.while.as"},
		{"a.`b-c/d.e f`", "a.`b-c/d.e f`"},
		{"a.`plain`", "a.plain"},
		{"a.`in`", "a.`in`"},
		{"a.`1`", "a.`1`"},
		{"a.?`b-c`", "a.?`b-c`"},
		{"_a1", "_a1"},
		{"f()", "f()"},
		{"math.greatest(1, 2)", "math.greatest(1, 2)"},
		{"a[b].c(d, e)[f]", "a[b].c(d, e)[f]"},
		{"trueish || nullable || inner", "trueish || nullable || inner"},
	};
	assert_rows(rows, LENGTH(rows));
}

static void test_collections(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"[]", "[]"},
		{"{}", "{}"},
		{"[1,]", "[1]"},
		{"{'a': 1, 2u: [],}", "{\"a\": 1, 2u: []}"},
		{"{true: a ? b : c}", "{true: a ? b : c}"},
		{"a.B{}", "a.B{}"},
		{"B{c: 1, `d-e`: 2, if: 3, ?f: 4,}", "B{c: 1, `d-e`: 2, if: 3, ?f: 4}"},
		{".a.B{c: 1}.c", ".a.B{c: 1}.c"},
		{"a.?b", "a.?b"},
		{"a[?b]", "a[?b]"},
		{"a.?b.c[0][?1]", "a.?b.c[0][?1]"},
		{"[?a, b, ?c,]", "[?a, b, ?c]"},
		{"{?'a': b, ?c: d,}", "{?\"a\": b, ?c: d}"},
		{"[?a ? b : c]", "[?a ? b : c]"},
		{"a ? [b] : c", "a ? [b] : c"},
		{"a?.5:.5", "a ? 0.5 : 0.5"},
	};
	assert_rows(rows, LENGTH(rows));
}

/* ---- macros ---- */

static void test_macros(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"has(a.b)", "has(a.b)"},
		{"has(a.?b.`c-d`)", "has(a.?b.`c-d`)"},
		{"has(a.?b)", "has(a.?b)"},
		{"has((a.b))", "has(a.b)"},
		{"has()", "has()"},
		{"has(a, b)", "has(a, b)"},
		{"x.has(a)", "x.has(a)"},
		{"l.all(x, x > 1)", "l.all(x, x > 1)"},
		{"l.exists(i, x, x > i)", "l.exists(i, x, x > i)"},
		{"l.existsOne(x, x)", "l.exists_one(x, x)"},
		{"l.exists_one(i, x, x)", "l.exists_one(i, x, x)"},
		{"l.filter(x, x).map(x, x, x + 1).map(y, y)",
			"l.filter(x, x).map(x, x, x + 1).map(y, y)"},
		{"l.transformList(i, x, x)", "l.transformList(i, x, x)"},
		{"l.transformMap(k, x, k, x)", "l.transformMap(k, x, k, x)"},
		{"l.transformMapEntry(k, x, {x: k})", "l.transformMapEntry(k, x, {x: k})"},
		{"l.sortBy(x, -x)", "l.sortBy(x, -x)"},
		{"o.optMap(x, x).optFlatMap(y, y)", "o.optMap(x, x).optFlatMap(y, y)"},
		{"(a + b).map(x, x)", "(a + b).map(x, x)"},
		{"cel.bind(x, 1 + 2, x * x)", "cel.bind(x, 1 + 2, x * x)"},
		{"cel.bind(x)", "cel.bind(x)"},
		{"l.bind(x, y, z)", "l.bind(x, y, z)"},
		{"l.all(x)", "l.all(x)"},
		{"l.map(1)", "l.map(1)"},
		{"all(x, y)", "all(x, y)"},
		{"cel.all(x, y)", "cel.all(x, y)"},
	};
	assert_rows(rows, LENGTH(rows));
}

static void test_blocks(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"cel.block([1, cel.index(0) + 1], cel.index(1))",
			"cel.block([1, cel.index(0) + 1], cel.index(1))"},
		{"cel.block([], 1)", "1"},
		{"l.map(cel.iterVar(0, 1), cel.iterVar(0, 1) + cel.accuVar(2, 3))",
			"l.map(cel.iterVar(0, 1), cel.iterVar(0, 1) + cel.accuVar(2, 3))"},
		/* a block in a block begins at 0 again */
		{"cel.block([1], cel.block([2], cel.index(0)))",
			"cel.block([1], cel.block([2], cel.index(0)))"},
		/* what is bound to such a name by hand is no block */
		{"cel.bind(cel.index(3), 1, cel.index(3))",
			"cel.bind(cel.index(3), 1, cel.index(3))"},
		{"cel.bind(cel.iterVar(0, 0), 1, 2)", "cel.bind(cel.iterVar(0, 0), 1, 2)"},
	};
	assert_rows(rows, LENGTH(rows));
}

/* Names that begin at the root are not cel's, and no macro. */
static void test_rooted_names_are_no_macros(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{".has(a)", ".has(a)"},
		{".cel.bind(1, 2, 3)", ".cel.bind(1, 2, 3)"},
		{".cel.index(0)", ".cel.index(0)"},
	};
	assert_rows(rows, LENGTH(rows));
}

/* ---- limits ---- */

/* `head`, `count` times `piece`, `tail`. */
static struct bytes repeat(
	struct buffer *buffer, const char *head, const char *piece, size_t count, const char *tail)
{
	buffer->size = 0;
	assert_int_equal(buffer_append_text(buffer, head), OK);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(buffer_append_text(buffer, piece), OK);
	}
	assert_int_equal(buffer_append_text(buffer, tail), OK);
	return buffer_bytes(buffer);
}

static enum err parse_within(
	struct bytes source, const struct cel_limits *limits, struct cel_problem *problem)
{
	struct arena arena = {0};
	struct cel_expression *expression = NULL;
	*problem = (struct cel_problem){0};
	enum err err = cel_parse(&arena, source, limits, problem, &expression);
	arena_fini(&arena);
	return err;
}

/* Just as many as the limit lets are fine, one more is not. */
static void assert_most(const char *piece, size_t most, const struct cel_limits *limits)
{
	struct buffer buffer = {0};
	struct cel_problem problem;
	struct bytes source = repeat(&buffer, "", piece, most, "1");
	if (parse_within(source, limits, &problem) != OK) {
		fail_msg("%zu times '%s': %s", most, piece, problem.text);
	}
	source = repeat(&buffer, "", piece, most + 1, "1");
	if (parse_within(source, limits, &problem) != ERR_LIMIT) {
		fail_msg("%zu times '%s' are no limit", most + 1, piece);
	}
	assert_int_equal(problem.kind, CEL_TOO_LARGE);
	assert_true(problem.text[0]);
	buffer_fini(&buffer);
}

static void test_depth(void **state)
{
	(void)state;
	struct cel_limits limits = wide;
	limits.depth = 20;
	assert_most("!", 19, &limits);
	assert_most("1+", 19, &limits);
	assert_most("1<", 19, &limits);
	assert_most("1?1:", 19, &limits);
	/* a run of && is one node, as long as other limits let it */
	struct buffer buffer = {0};
	struct cel_problem problem;
	assert_int_equal(
		parse_within(repeat(&buffer, "", "a&&", 5000, "a"), &limits, &problem), OK);
	static const char *const openings[] = {"(", "[", "{1:", "f(", "a[", "a{b:", "a.all(x,",
		"-(", "cel.bind(x,1,", "[?", "a?(", "a.b("};
	for (size_t i = 0; i < LENGTH(openings); i++) {
		struct bytes source = repeat(&buffer, "", openings[i], 100000, "");
		assert_int_equal(parse_within(source, &limits, &problem), ERR_LIMIT);
	}
	static const char *const chains[] = {
		".a", "[0]", ".f()", "*1", " in a", "+(1)", ".?a", ".map(x,x)"};
	for (size_t i = 0; i < LENGTH(chains); i++) {
		struct bytes source = repeat(&buffer, "a", chains[i], 100, "");
		assert_int_equal(parse_within(source, &limits, &problem), ERR_LIMIT);
	}
	buffer_fini(&buffer);
}

static void test_size_limits(void **state)
{
	(void)state;
	struct cel_limits limits = wide;
	struct buffer buffer = {0};
	struct cel_problem problem;
	limits.source_bytes = 11;
	assert_most("\n", 10, &limits);
	limits = wide;
	limits.nodes = 10;
	assert_most("a||", 8, &limits);
	limits = wide;
	limits.literal_bytes = 8;
	assert_int_equal(parse_within(repeat(&buffer, "'", "a", 8, "'"), &limits, &problem), OK);
	assert_int_equal(
		parse_within(repeat(&buffer, "b'", "\\x61", 9, "'"), &limits, &problem), ERR_LIMIT);
	assert_int_equal(parse_within(repeat(&buffer, "[", "1,", 8, "]"), &limits, &problem), OK);
	assert_int_equal(
		parse_within(repeat(&buffer, "[", "1,", 9, "]"), &limits, &problem), ERR_LIMIT);
	assert_int_equal(parse_within(repeat(&buffer, "{", "1:1,", 8, "}"), &limits, &problem), OK);
	assert_int_equal(
		parse_within(repeat(&buffer, "{", "1:1,", 9, "}"), &limits, &problem), ERR_LIMIT);
	buffer_fini(&buffer);
}

/* Macros count where one is within the other, not where one works on what the other gives. */
static void test_comprehensions(void **state)
{
	(void)state;
	struct cel_limits limits = wide;
	limits.comprehensions = 2;
	static const struct {
		const char *source;
		enum err err;
	} rows[] = {
		{"a.all(x, x.all(y, y))", OK},
		{"a.all(x, x.all(y, y.all(z, z)))", ERR_LIMIT},
		{"a.map(x, x).map(x, x).map(x, x).filter(x, x)", OK},
		{"a.map(x, x).all(x, a.map(y, y).all(y, y))", OK},
		{"a.all(x, a.map(y, y)).map(x, a.all(y, y.all(z, z)))", ERR_LIMIT},
		{"cel.bind(x, a, cel.bind(y, a, a.all(x, a.all(y, y))))", OK},
		{"[a.all(x, f(b.all(y, !c.sortBy(z, z))))]", ERR_LIMIT},
	};
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct cel_problem problem;
		enum err err = parse_within(bytes_of(rows[i].source), &limits, &problem);
		if (err != rows[i].err) {
			fail_msg("%s: %s", rows[i].source, err_text(err));
		}
	}
}

/* What langdef and the suite ask for at least. */
static void test_what_must_parse(void **state)
{
	(void)state;
	struct buffer buffer = {0};
	assert_stable(repeat(&buffer, "", "(", 32, "1))))))))))))))))))))))))))))))))"), "1");
	assert_stable(repeat(&buffer, "", "!", 32, "a"), NULL);
	assert_stable(repeat(&buffer, "", "-", 32, "a"), NULL);
	assert_stable(repeat(&buffer, "", "a ? b : ", 24, "c"), NULL);
	assert_stable(repeat(&buffer, "f(a", ", a", 31, ")"), NULL);
	assert_stable(repeat(&buffer, "{1: a", ", 1: a", 31, "}"), NULL);
	assert_stable(repeat(&buffer, "a", ".a", 12, ""), NULL);
	buffer_fini(&buffer);
}

/* ---- problems as they are shown ---- */

static void assert_shown(struct bytes source, const char *wanted)
{
	struct cel_problem problem;
	struct buffer shown = {0};
	assert_int_equal(parse_within(source, &wide, &problem), ERR_INVALID);
	assert_int_equal(cel_print_problem(&shown, source, &problem), OK);
	if (!bytes_equal(buffer_bytes(&shown), bytes_of(wanted))) {
		fail_msg("%.*s instead of\n%s", BYTES_FORMAT(buffer_bytes(&shown)), wanted);
	}
	buffer_fini(&shown);
}

static void test_shown_problems(void **state)
{
	(void)state;
	assert_shown(bytes_of("a = 1"), "a = 1\n  ^\n");
	assert_shown(bytes_of("a ="), "a =\n  ^\n");
	assert_shown(bytes_of("a +"), "a +\n   ^\n");
	assert_shown(bytes_of(""), "\n^\n");
	assert_shown(bytes_of("\ta ==\t& b"), "\ta ==\t& b\n\t    \t^\n");
	assert_shown(bytes_of("a ==\n'é😀' = 1\n+ 2"), "'é😀' = 1\n     ^\n");
	assert_shown(bytes_of("a ==\r\n = 1\r\n"), " = 1\n ^\n");
	assert_shown((struct bytes){"'\0\x1b\x7f' = 1", 9}, "'?\?\?' = 1\n      ^\n");
	assert_shown(bytes_of("'\xc2\x9b' = 1"), "'?' = 1\n    ^\n");
	assert_shown(bytes_of("a + \xff\x80 + b"), "a + ?? + b\n    ^\n");
}

/* A line of up to a hundred columns is shown whole, a longer one around the column. */
static void test_long_lines(void **state)
{
	(void)state;
	struct buffer source = {0};
	struct buffer wanted = {0};
	repeat(&source, "", "aaaa + ", 13, "= 12");
	repeat(&wanted, "", "aaaa + ", 13, "= 12\n");
	struct buffer caret = {0};
	(void)repeat(&caret, "", " ", 91, "^\n");
	assert_int_equal(buffer_append(&wanted, buffer_bytes(&caret)), OK);
	assert_int_equal(buffer_append(&wanted, (struct bytes){"", 1}), OK);
	assert_shown(buffer_bytes(&source), wanted.data);
	buffer_fini(&source);
	buffer_fini(&wanted);
	buffer_fini(&caret);

	struct buffer shown = {0};
	struct cel_problem problem;
	struct bytes text = repeat(&source, "'", "é", 200, "' = 'more of that, and more of that'");
	assert_int_equal(parse_within(text, &wide, &problem), ERR_INVALID);
	assert_int_equal(problem.column, 204);
	assert_int_equal(cel_print_problem(&shown, text, &problem), OK);
	const char *line_end = memchr(shown.data, '\n', shown.size);
	assert_non_null(line_end);
	assert_memory_equal(shown.data, "…", 3);
	assert_true(line_end - shown.data < 200);
	assert_memory_equal(shown.data + shown.size - 2, "^\n", 2);
	assert_true(bytes_are_utf8(buffer_bytes(&shown)));
	buffer_fini(&shown);
	buffer_fini(&source);
}

/* What a problem quotes of the source can be shown: no control characters, whole code points. */
static void test_texts_of_problems(void **state)
{
	(void)state;
	struct cel_problem problem;
	assert_int_equal(
		parse_within(bytes_of("1 '''\n\x1b[31m'''"), &wide, &problem), ERR_INVALID);
	assert_string_equal(problem.text, "''''?\?[31m'''' does not belong here");
	struct buffer source = {0};
	struct bytes text = repeat(&source, "[a, a].all(x", "xxxxxxxxxx", 40, "");
	assert_int_equal(buffer_append_text(&source, ", é"), OK);
	assert_int_equal(parse_within(text, &wide, &problem), ERR_INVALID);
	text = repeat(&source, "1 'é", "éééééééééé", 40, "'");
	assert_int_equal(parse_within(text, &wide, &problem), ERR_INVALID);
	assert_true(bytes_are_utf8(bytes_of(problem.text)));
	buffer_fini(&source);
}

/* ---- the suite ---- */

static size_t read_lines(FILE *file)
{
	static char line[1 << 16];
	size_t count = 0;
	while (fgets(line, sizeof(line), file)) {
		struct arena arena = {0};
		const struct value *test = NULL;
		struct err_info info;
		assert_int_equal(json_parse(bytes_of(line), 64, &arena, &test, &info), OK);
		const struct value *source = value_member(test, bytes_of("expr"));
		assert_non_null(source);
		assert_stable(value_text(source), NULL);
		arena_fini(&arena);
		count++;
	}
	return count;
}

/* CEL_SUITE: the folder of the *.jsonl files; without it the test is passed over. */
static void test_suite_parses_and_prints(void **state)
{
	(void)state;
	const char *folder = getenv("CEL_SUITE");
	if (!folder) {
		skip();
	}
	DIR *directory = folder ? opendir(folder) : NULL;
	if (!directory) {
		fail_msg("%s cannot be read", folder);
		return;
	}
	size_t count = 0;
	for (const struct dirent *entry; (entry = readdir(directory));) {
		char path[4096];
		if (strstr(entry->d_name, ".jsonl")) {
			(void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
			FILE *file = fopen(path, "r");
			if (!file) {
				fail_msg("%s cannot be read", path);
				return;
			}
			count += read_lines(file);
			(void)fclose(file);
		}
	}
	(void)closedir(directory);
	assert_int_equal(count, SUITE_LINES);
}

/* ---- lack of memory, and random input ---- */

static void test_lack_of_memory(void **state)
{
	(void)state;
	static const char *const sources[] = {
		("doc.a == 1.5 && doc.`b-c` in [1, 2u, 'x\\n', b'\\xff'] || !has(a.?b) ? -x : {?k: "
		 "v}"),
		"cel.block([1, cel.index(0)], cel.index(1) + cel.iterVar(0, 1))",
		"a.b.C{d: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}.all(i, x, x[?i] > 0)",
		"a + + b",
	};
	for (size_t i = 0; i < LENGTH(sources); i++) {
		bool has_failed = true;
		for (size_t fail_at = 0; has_failed; fail_at++) {
			struct failing failing;
			struct arena arena = {0};
			struct buffer printed = {0};
			struct cel_problem problem = {0};
			failing_start(&failing, fail_at);
			enum err err =
				print_once(&arena, bytes_of(sources[i]), &wide, &problem, &printed);
			arena_fini(&arena);
			buffer_fini(&printed);
			has_failed = failing_stop(&failing);
			assert_true(!has_failed || err == ERR_MEMORY || err == ERR_INVALID);
			assert_int_equal(failing.live, 0);
		}
	}
}

static void assert_sane(struct bytes source)
{
	struct cel_problem problem;
	struct buffer shown = {0};
	struct cel_limits limits = wide;
	limits.depth = 30;
	if (parse_within(source, &limits, &problem) == OK) {
		assert_stable(source, NULL);
		return;
	}
	assert_true(problem.offset <= source.size);
	assert_true(problem.line >= 1 && problem.column >= 1 && problem.text[0]);
	assert_true(bytes_are_utf8(bytes_of(problem.text)));
	assert_true(bytes_are_utf8(bytes_of(problem.hint)));
	assert_int_equal(cel_print_problem(&shown, source, &problem), OK);
	assert_true(bytes_are_utf8(buffer_bytes(&shown)));
	buffer_fini(&shown);
}

static void test_random_tokens(void **state)
{
	(void)state;
	static const char *const tokens[] = {"a", "b", "doc", ".", ".?", "[", "[?", "]", "(", ")",
		"{", "{?", "}", ",", ":", "?", "-", "!", "+", "*", "&&", "||", "==", "<", " in ",
		"1", "1.5", "2u", "-1", "'x'", "b'y'", "true", "null", "has(", ".all(x, ",
		".map(x, ", "cel.bind(x, ", "cel.index(0)", "cel.block([", "`a-b`", " if ", "//\n",
		"\\", "é"};
	struct test_random random = test_random_start("random tokens");
	struct buffer source = {0};
	for (int i = 0; i < 20000; i++) {
		source.size = 0;
		for (size_t left = 1 + test_random_below(&random, 12); left > 0; left--) {
			const char *token = tokens[test_random_below(&random, LENGTH(tokens))];
			assert_int_equal(buffer_append_text(&source, token), OK);
		}
		assert_sane(buffer_bytes(&source));
	}
	buffer_fini(&source);
}

static void test_random_bytes(void **state)
{
	(void)state;
	struct test_random random = test_random_start("random bytes");
	for (int i = 0; i < 20000; i++) {
		char bytes[24];
		size_t size = test_random_below(&random, sizeof(bytes) + 1);
		unsigned bound = i % 2 ? 256 : 128;
		for (size_t at = 0; at < size; at++) {
			bytes[at] = (char)test_random_below(&random, bound);
		}
		assert_sane((struct bytes){bytes, size});
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_blanks),
		cmocka_unit_test(test_operators),
		cmocka_unit_test(test_minus_before_a_number_in_a_chain),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_collections),
		cmocka_unit_test(test_macros),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_rooted_names_are_no_macros),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_size_limits),
		cmocka_unit_test(test_comprehensions),
		cmocka_unit_test(test_what_must_parse),
		cmocka_unit_test(test_shown_problems),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_texts_of_problems),
		cmocka_unit_test(test_suite_parses_and_prints),
		cmocka_unit_test(test_lack_of_memory),
		cmocka_unit_test(test_random_tokens),
		cmocka_unit_test(test_random_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
