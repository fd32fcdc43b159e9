/* cel: what builders take and refuse, every operator, the logic of errors, and printing. */
#include "condition.h"

#include "cel_text.h"

#include <math.h>
#include <stdlib.h>

/* The outcome of a tree over a document in JSON (NULL: there is none), whose id is "u1". */
static char outcome_of(const char *tree, const char *document)
{
	struct arena arena = {0};
	const struct cel_input input = {
		.document = document ? cel_text_value(&arena, bytes_of(document)) : NULL,
		.id = bytes_of("u1"),
	};
	char outcome = cel_text_outcome(cel_text(&arena, tree), &input);
	arena_fini(&arena);
	return outcome;
}

struct row {
	const char *tree, *document;
	char outcome;
};

static void assert_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char outcome = outcome_of(rows[i].tree, rows[i].document);
		if (outcome != rows[i].outcome) {
			fail_msg("%s over %s is %c, not %c", rows[i].tree, rows[i].document,
				outcome, rows[i].outcome);
		}
	}
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- operators ------------------------------------------------------------------------------- */

static void test_equality(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"(== a 1)", "{\"a\":1}", 'T'},
		{"(== a 1)", "{\"a\":2}", 'F'},
		{"(== a \"x\")", "{\"a\":\"x\"}", 'T'},
		{"(== a \"x\")", "{\"a\":\"X\"}", 'F'},
		{"(== a \"x\")", "{\"a\":\"x \"}", 'F'},
		{"(== a \"\")", "{\"a\":\"\"}", 'T'},
		/* no Unicode normalisation: U+00E9 is not e and U+0301 */
		{"(== a \"\\u00e9\")", "{\"a\":\"e\\u0301\"}", 'F'},
		{"(== a \"x\\u0000y\")", "{\"a\":\"x\\u0000z\"}", 'F'},
		{"(== a true)", "{\"a\":true}", 'T'},
		{"(== a true)", "{\"a\":false}", 'F'},
		/* kinds that differ are unequal, not an error */
		{"(== a true)", "{\"a\":1}", 'F'},
		{"(== a 1)", "{\"a\":\"1\"}", 'F'},
		{"(== a 1)", "{\"a\":null}", 'F'},
		{"(== a 0)", "{\"a\":false}", 'F'},
		{"(== a 1)", "{\"a\":[1]}", 'F'},
		{"(== a \"x\")", "{\"a\":{\"x\":1}}", 'F'},
		{"(== a null)", "{\"a\":null}", 'T'},
		{"(== a null)", "{\"a\":0}", 'F'},
		/* a missing field is an error */
		{"(== a 1)", "{\"b\":1}", 'E'},
		{"(== a null)", "{}", 'E'},
		/* lists: as long, and each item equal, numbers crossing */
		{"(== a [1, \"x\"])", "{\"a\":[1.0,\"x\"]}", 'T'},
		{"(== a [1, 2])", "{\"a\":[2,1]}", 'F'},
		{"(== a [1, 2])", "{\"a\":[1]}", 'F'},
		{"(== a [])", "{\"a\":[]}", 'T'},
		{"(== a [[1], []])", "{\"a\":[[1.0],[]]}", 'T'},
		{"(== a [[1], []])", "{\"a\":[[1],[[]]]}", 'F'},
		{"(== a [[1, 2], 3])", "{\"a\":[[1],[2,3]]}", 'F'},
		/* objects: any order of members, the last of a name */
		{"(== a {\"x\":1,\"y\":[]})", "{\"a\":{\"y\":[],\"x\":2,\"x\":1.0}}", 'T'},
		{"(== a {\"x\":1})", "{\"a\":{\"x\":1,\"x\":2}}", 'F'},
		{"(== a {\"x\":1})", "{\"a\":{\"x\":1,\"y\":1}}", 'F'},
		/* the last of a repeated field */
		{"(== a 2)", "{\"a\":1,\"a\":2}", 'T'},
		{"(== a 1)", "{\"a\":1,\"a\":2}", 'F'},
	};
	assert_rows(rows, COUNT(rows));
}

/* `!=` is the exact opposite where there is a value, and an error where `==` is one. */
static void test_inequality(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"(!= a 1)", "{\"a\":2}", 'T'},
		{"(!= a 1)", "{\"a\":1.0}", 'F'},
		{"(!= a 1)", "{\"a\":null}", 'T'},
		{"(!= a 1)", "{\"a\":\"1\"}", 'T'},
		{"(!= a 1)", "{\"a\":{}}", 'T'},
		{"(!= a null)", "{\"a\":null}", 'F'},
		{"(!= a [1])", "{\"a\":[1]}", 'F'},
		{"(!= a [1])", "{\"a\":1}", 'T'},
		{"(!= a 1)", "{}", 'E'},
		{"(!= a.b 1)", "{\"a\":1}", 'E'},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_numbers(void **state)
{
	(void)state;
	static const struct row rows[] = {
		/* the original's gateway sends every number as a double */
		{"(== n 25.0)", "{\"n\":25}", 'T'},
		{"(== n 25)", "{\"n\":2.5e1}", 'T'},
		{"(== n 0)", "{\"n\":-0.0}", 'T'},
		{"(== n -0.0)", "{\"n\":0}", 'T'},
		{"(== n 0.1)", "{\"n\":0.1}", 'T'},
		{"(== n 25)", "{\"n\":25.000001}", 'F'},
		/* int against int is exact, against a double the int is rounded to one */
		{"(== n 9007199254740993)", "{\"n\":9007199254740992}", 'F'},
		{"(== n 9007199254740993)", "{\"n\":9007199254740993}", 'T'},
		{"(== n 9007199254740993)", "{\"n\":9007199254740992.0}", 'T'},
		{"(== n 9007199254740992.0)", "{\"n\":9007199254740993}", 'T'},
		{"(== n 9007199254740992.0)", "{\"n\":9007199254740992}", 'T'},
		{"(== n 9007199254740992)", "{\"n\":9007199254740993}", 'F'},
		{"(== n 9007199254740991.0)", "{\"n\":9007199254740991}", 'T'},
		{"(> n 9007199254740992)", "{\"n\":9007199254740993}", 'T'},
		{"(> n 9007199254740992.0)", "{\"n\":9007199254740993}", 'F'},
		{"(== n 9223372036854775807)", "{\"n\":9223372036854775806}", 'F'},
		{"(== n 9223372036854775808.0)", "{\"n\":9223372036854775807}", 'T'},
		/* unsigned integers: only those over 2^63 - 1 are of their own kind */
		{"(== n 18446744073709551615)", "{\"n\":18446744073709551615}", 'T'},
		{"(== n 18446744073709551615)", "{\"n\":18446744073709551614}", 'F'},
		{"(== n 18446744073709551615)", "{\"n\":-1}", 'F'},
		{"(> n 9223372036854775807)", "{\"n\":9223372036854775808}", 'T'},
		{"(< n 9223372036854775808)", "{\"n\":-9223372036854775808}", 'T'},
		{"(== n 18446744073709551616.0)", "{\"n\":18446744073709551615}", 'T'},
		/* doubles outside of int64 */
		{"(> n 9223372036854775807)", "{\"n\":1e300}", 'T'},
		{"(< n -1e300)", "{\"n\":-9223372036854775808}", 'F'},
		{"(< n 1e300)", "{\"n\":18446744073709551615}", 'T'},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_order(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"(< a 2)", "{\"a\":1}", 'T'},
		{"(< a 2)", "{\"a\":2}", 'F'},
		{"(<= a 2)", "{\"a\":2}", 'T'},
		{"(<= a 2)", "{\"a\":2.5}", 'F'},
		{"(> a 2)", "{\"a\":2.5}", 'T'},
		{"(> a 2)", "{\"a\":2}", 'F'},
		{"(>= a 2)", "{\"a\":2.0}", 'T'},
		{"(>= a 2)", "{\"a\":1.9}", 'F'},
		/* strings by bytes */
		{"(< a \"b\")", "{\"a\":\"a\"}", 'T'},
		{"(< a \"b\")", "{\"a\":\"B\"}", 'T'},
		{"(< a \"ab\")", "{\"a\":\"a\"}", 'T'},
		{"(< a \"a\")", "{\"a\":\"\"}", 'T'},
		{"(> a \"z\")", "{\"a\":\"\\u00e9\"}", 'T'},
		{"(>= a \"10\")", "{\"a\":\"9\"}", 'T'},
		/* false before true */
		{"(< a true)", "{\"a\":false}", 'T'},
		{"(< a false)", "{\"a\":false}", 'F'},
		{"(>= a true)", "{\"a\":true}", 'T'},
		{"(> a true)", "{\"a\":true}", 'F'},
		/* kinds that have no order between them */
		{"(< a 2)", "{\"a\":\"1\"}", 'E'},
		{"(>= a \"1\")", "{\"a\":1}", 'E'},
		{"(< a 2)", "{\"a\":true}", 'E'},
		{"(< a true)", "{\"a\":0}", 'E'},
		{"(<= a 2)", "{\"a\":null}", 'E'},
		{"(<= a null)", "{\"a\":null}", 'E'},
		{"(> a 2)", "{\"a\":[3]}", 'E'},
		{"(> a 2)", "{\"a\":{}}", 'E'},
		{"(< a 2)", "{}", 'E'},
		{"(> a.b.c 2)", "{\"a\":{\"b\":{}}}", 'E'},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_in(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"(in a [1, \"x\", true])", "{\"a\":1.0}", 'T'},
		{"(in a [1, \"x\", true])", "{\"a\":\"x\"}", 'T'},
		{"(in a [1, \"x\", true])", "{\"a\":true}", 'T'},
		{"(in a [1, \"x\", true])", "{\"a\":false}", 'F'},
		{"(in a [1, \"x\"])", "{\"a\":\"1\"}", 'F'},
		{"(in a [1])", "{\"a\":null}", 'F'},
		{"(in a [1, null])", "{\"a\":null}", 'T'},
		{"(in a [1])", "{\"a\":[1]}", 'F'},
		{"(in a [[1], 2])", "{\"a\":[1.0]}", 'T'},
		{"(in a [1])", "{\"a\":{}}", 'F'},
		{"(in a [])", "{\"a\":1}", 'F'},
		{"(in a [9007199254740993])", "{\"a\":9007199254740992}", 'F'},
		{"(in a [1])", "{}", 'E'},
		{"(in a [])", "{}", 'E'},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_contains(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"(contains a 1)", "{\"a\":[3,1.0]}", 'T'},
		{"(contains a 1)", "{\"a\":[3,\"1\"]}", 'F'},
		{"(contains a 1)", "{\"a\":[]}", 'F'},
		{"(contains a \"x\")", "{\"a\":[\"y\",\"x\"]}", 'T'},
		{"(contains a null)", "{\"a\":[null]}", 'T'},
		{"(contains a [1, 2])", "{\"a\":[[1,2.0]]}", 'T'},
		{"(contains a [1, 2])", "{\"a\":[1,2]}", 'F'},
		{"(contains a 2)", "{\"a\":[[2]]}", 'F'},
		/* an object has keys, which are strings */
		{"(contains a \"x\")", "{\"a\":{\"x\":null}}", 'T'},
		{"(contains a \"y\")", "{\"a\":{\"x\":\"y\"}}", 'F'},
		{"(contains a 1)", "{\"a\":{\"1\":1}}", 'F'},
		{"(contains a [\"x\"])", "{\"a\":{\"x\":1}}", 'F'},
		/* no search inside of strings */
		{"(contains a \"x\")", "{\"a\":\"xyz\"}", 'E'},
		{"(contains a \"x\")", "{\"a\":null}", 'E'},
		{"(contains a 1)", "{\"a\":1}", 'E'},
		{"(contains a 1)", "{}", 'E'},
		{"(contains _id \"u\")", "{}", 'E'},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_fields(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"(== a.b.c 1)", "{\"a\":{\"b\":{\"c\":1}}}", 'T'},
		{"(== a.b 1)", "{\"a\":{\"b\":0,\"b\":1}}", 'T'},
		{"(== a.b 1)", "{\"a\":{\"b\":1},\"a\":{}}", 'E'},
		/* a name with a point in it cannot be reached, lists have no members */
		{"(== a.b 1)", "{\"a.b\":1}", 'E'},
		{"(== a.0 1)", "{\"a\":[1]}", 'E'},
		{"(== a.b 1)", "{\"a\":\"b\"}", 'E'},
		{"(== a.b 1)", "{\"a\":null}", 'E'},
		/* empty names are names */
		{"(== a. 1)", "{\"a\":{\"\":1}}", 'T'},
		{"(== .a 1)", "{\"\":{\"a\":1}}", 'T'},
		/* `_id` is the document's id, `id` a member as any other */
		{"(== _id \"u1\")", "{\"_id\":\"x\"}", 'T'},
		{"(== id \"u1\")", "{}", 'E'},
		{"(!= _id \"u2\")", "{}", 'T'},
		{"(in _id [\"u2\", \"u1\"])", "{}", 'T'},
		{"(>= _id \"u1\")", "{}", 'T'},
		{"(< _id \"u1\")", "{}", 'F'},
		{"(== _id 1)", "{}", 'F'},
		{"(== _id.x \"u1\")", "{\"_id\":{\"x\":\"u1\"}}", 'T'},
		/* without a document every field is missing, the id is not */
		{"(!= a 1)", NULL, 'E'},
		{"(== _id \"u1\")", NULL, 'T'},
		{"true", NULL, 'T'},
	};
	assert_rows(rows, COUNT(rows));
	struct arena arena = {0};
	const struct cel_input unknown = {.id_is_unknown = true};
	static const char *const uses[] = {"(== _id \"\")", "(!= _id \"x\")",
		"(in _id [\"\", \"x\"])", "(in _id [])", "(< _id \"x\")", "(not (== _id \"x\"))"};
	for (size_t i = 0; i < COUNT(uses); i++) {
		assert_int_equal(cel_text_outcome(cel_text(&arena, uses[i]), &unknown), 'E');
	}
	const struct cel_node *known = cel_text(&arena, "(== _id \"\")");
	assert_int_equal(cel_text_outcome(known, &(struct cel_input){.document = NULL}), 'T');
	arena_fini(&arena);
}

static void test_field_values(void **state)
{
	(void)state;
	struct arena arena = {0};
	const struct cel_input input = {
		.document = cel_text_value(&arena, bytes_of("{\"a\":{\"b\":null},\"_id\":1}")),
		.id = bytes_of("u1"),
	};
	const struct cel_field member = cel_text_field(&arena, bytes_of("a.b"));
	const struct cel_field missing = cel_text_field(&arena, bytes_of("a.c"));
	const struct cel_field id = {.root = CEL_ID};
	assert_int_equal(cel_field_value(&member, &input)->kind, VALUE_NULL);
	assert_null(cel_field_value(&missing, &input));
	assert_null(cel_field_value(&id, &input));
	assert_null(cel_field_value(&member, &(struct cel_input){.document = NULL}));
	arena_fini(&arena);
}

static void test_starts_with(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"(startsWith a \"ab\")", "{\"a\":\"abc\"}", 'T'},
		{"(startsWith a \"ab\")", "{\"a\":\"ab\"}", 'T'},
		{"(startsWith a \"ab\")", "{\"a\":\"a\"}", 'F'},
		{"(startsWith a \"ab\")", "{\"a\":\"xab\"}", 'F'},
		{"(startsWith a \"ab\")", "{\"a\":\"\"}", 'F'},
		{"(startsWith a \"\")", "{\"a\":\"\"}", 'T'},
		{"(startsWith a \"x\\u0000y\")", "{\"a\":\"x\\u0000z\"}", 'F'},
		{"(startsWith _id \"u\")", "{}", 'T'},
		{"(startsWith _id \"v\")", "{}", 'F'},
		/* what is no string does not start with even nothing */
		{"(startsWith a \"\")", "{\"a\":1}", 'E'},
		{"(startsWith a \"\")", "{\"a\":null}", 'E'},
		{"(startsWith a \"\")", "{\"a\":[\"x\"]}", 'E'},
		{"(startsWith a \"\")", "{\"a\":{\"x\":1}}", 'E'},
		{"(startsWith a \"\")", "{}", 'E'},
		{"(startsWith a.b \"\")", "{\"a\":\"x\"}", 'E'},
		{"(startsWith a \"x\")", NULL, 'E'},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_has(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"(has a)", "{\"a\":1}", 'T'},
		{"(has a)", "{\"a\":null}", 'T'},
		{"(has a)", "{\"b\":1}", 'F'},
		{"(has a)", "{}", 'F'},
		{"(has a.b)", "{\"a\":{\"b\":[]}}", 'T'},
		{"(has a.b)", "{\"a\":{}}", 'F'},
		{"(has .)", "{\"\":{\"\":0}}", 'T'},
		/* only of the last name is the absence no error */
		{"(has a.b)", "{}", 'E'},
		{"(has a.b)", "{\"a\":1}", 'E'},
		{"(has a.b)", "{\"a\":null}", 'E'},
		{"(has a.b)", "{\"a\":[\"b\"]}", 'E'},
		{"(has a.b.c)", "{\"a\":{}}", 'E'},
		{"(has a)", NULL, 'E'},
	};
	assert_rows(rows, COUNT(rows));
}

/* What a caller compares by itself. */
static void test_compare_with(void **state)
{
	(void)state;
	static const struct {
		const char *tree, *value;
		enum cel_outcome outcome;
	} rows[] = {
		{"(== a 1)", "1.0", CEL_IS_TRUE},
		{"(!= a 1)", "1", CEL_IS_FALSE},
		{"(< a 1)", "0", CEL_IS_TRUE},
		{"(< a 1)", "\"x\"", CEL_IS_ERROR},
		{"(in a [1, 2])", "2", CEL_IS_TRUE},
		{"(contains a 1)", "[1]", CEL_IS_TRUE},
		{"(contains a 1)", "1", CEL_IS_ERROR},
		{"(startsWith a \"x\")", "\"xy\"", CEL_IS_TRUE},
		{"(startsWith a \"x\")", "null", CEL_IS_ERROR},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena arena = {0};
		enum cel_failure failure = CEL_FAILED_BUDGET;
		enum cel_outcome outcome = cel_compare_with(cel_text(&arena, rows[i].tree),
			cel_text_value(&arena, bytes_of(rows[i].value)), &failure);
		bool is_error = rows[i].outcome == CEL_IS_ERROR;
		assert_int_equal(outcome, rows[i].outcome);
		assert_int_equal(failure, is_error ? CEL_FAILED_TYPE : CEL_FAILED_BUDGET);
		arena_fini(&arena);
	}
}

/* ---- logic ----------------------------------------------------------------------------------- */

/* Over {"t":1}: true, false and an error. */
static const char *const truths[] = {"(== t 1)", "(== t 2)", "(== missing 1)"};
static const char truth_names[] = "TFE";

static char join_of(const char *join, size_t a, size_t b)
{
	char text[100];
	(void)snprintf(text, sizeof(text), "(%s %s %s)", join, truths[a], truths[b]);
	return outcome_of(text, "{\"t\":1}");
}

/* An error counts only where the other side does not decide, on whichever side it stands. */
static void test_logic(void **state)
{
	(void)state;
	for (size_t a = 0; a < 3; a++) {
		for (size_t b = 0; b < 3; b++) {
			bool one_false = truth_names[a] == 'F' || truth_names[b] == 'F';
			bool one_true = truth_names[a] == 'T' || truth_names[b] == 'T';
			bool one_error = truth_names[a] == 'E' || truth_names[b] == 'E';
			char both = one_error ? 'E' : 'T';
			char either = one_error ? 'E' : 'F';
			assert_int_equal(join_of("and", a, b), one_false ? 'F' : both);
			assert_int_equal(join_of("or", a, b), one_true ? 'T' : either);
			char same = a == b ? 'T' : 'F';
			assert_int_equal(join_of("same", a, b), one_error ? 'E' : same);
		}
	}
	static const struct row rows[] = {
		{"(not (== t 1))", "{\"t\":1}", 'F'},
		{"(not (== t 2))", "{\"t\":1}", 'T'},
		{"(not (== m 2))", "{\"t\":1}", 'E'},
		{"(not (not (== t 1)))", "{\"t\":1}", 'T'},
		{"(not (< t \"x\"))", "{\"t\":1}", 'E'},
		{"(and (== m 1) (== t 1) (== t 2))", "{\"t\":1}", 'F'},
		{"(and (== t 1) (== m 1) (== t 1))", "{\"t\":1}", 'E'},
		{"(or (== m 1) (== t 2) (== t 1))", "{\"t\":1}", 'T'},
		{"(or (== t 2) (== m 1) (== t 2))", "{\"t\":1}", 'E'},
		{"(and)", "{}", 'T'},
		{"(or)", "{}", 'F'},
		{"(and (== t 1))", "{\"t\":1}", 'T'},
		{"(or (and (== t 1) (== m 1)) (not (or (== t 2))))", "{\"t\":1}", 'T'},
	};
	assert_rows(rows, COUNT(rows));
}

/* ---- builders -------------------------------------------------------------------------------- */

static void assert_refused(enum cel_kind kind, const struct value *constant, const char *text)
{
	struct arena arena = {0};
	const struct bytes name = bytes_of("a");
	const struct cel_field field = {CEL_DOCUMENT, 1, &name};
	const struct cel_node untouched = {.kind = CEL_TRUE};
	const struct cel_node *node = &untouched;
	struct err_info info = {0};
	assert_int_equal(cel_compare(&arena, kind, &field, constant, &info, &node), ERR_INVALID);
	assert_ptr_equal(node, &untouched);
	assert_int_equal(info.code, ERR_INVALID);
	if (!strstr(info.text, text) || !strstr(info.text, "; ")) {
		fail_msg("\"%s\" lacks \"%s\" or advice", info.text, text);
	}
	assert_int_equal(cel_compare(&arena, kind, &field, constant, NULL, &node), ERR_INVALID);
	arena_fini(&arena);
}

static void test_refused_constants(void **state)
{
	(void)state;
	struct arena arena = {0};
	const struct value *list = cel_text_value(&arena, bytes_of("[1]"));
	const struct value *object = cel_text_value(&arena, bytes_of("{}"));
	static const char *const overloads[] = {[CEL_LESS] = "'_<_' applied to '(dyn, list)'",
		[CEL_LESS_OR_EQUAL] = "'_<=_' applied to '(dyn, list)'",
		[CEL_GREATER] = "'_>_' applied to '(dyn, list)'",
		[CEL_GREATER_OR_EQUAL] = "'_>=_' applied to '(dyn, list)'"};
	for (enum cel_kind kind = CEL_LESS; kind <= CEL_GREATER_OR_EQUAL; kind++) {
		assert_refused(kind, list, overloads[kind]);
		assert_refused(kind, object, "(dyn, object)");
	}
	static const char *const no_lists[] = {"1", "\"a\"", "null", "true", "1.5", "{}"};
	for (size_t i = 0; i < COUNT(no_lists); i++) {
		assert_refused(CEL_IN, cel_text_value(&arena, bytes_of(no_lists[i])),
			"found no matching overload for '@in'");
	}
	static const char *const no_strings[] = {"1", "[\"a\"]", "null", "true", "1.5", "{}"};
	for (size_t i = 0; i < COUNT(no_strings); i++) {
		assert_refused(CEL_STARTS_WITH, cel_text_value(&arena, bytes_of(no_strings[i])),
			"found no matching overload for 'startsWith' applied to '(dyn, ");
	}
	arena_fini(&arena);

	const struct value none = {0};
	const double odd[] = {NAN, INFINITY, -INFINITY};
	for (enum cel_kind kind = CEL_EQUAL; kind <= CEL_CONTAINS; kind++) {
		const struct value lists[] = {
			{.kind = VALUE_LIST, .size = 1, .as.span = 3},
			{.kind = VALUE_LIST, .size = 1, .as.span = 2},
			none,
		};
		bool takes_lists = kind < CEL_LESS || kind > CEL_GREATER_OR_EQUAL;
		if (kind != CEL_IN) {
			assert_refused(kind, &none, "no kind");
		}
		if (takes_lists) {
			assert_refused(kind, lists, "no kind");
		}
		for (size_t i = 0; i < COUNT(odd); i++) {
			struct value cells[] = {lists[0], lists[1], none};
			cells[2] = (struct value){.kind = VALUE_DOUBLE, .as.real = odd[i]};
			const char *name = isnan(odd[i]) ? "NaN" : "infinity";
			if (kind != CEL_IN) {
				assert_refused(kind, &cells[2], name);
			}
			if (takes_lists) {
				assert_refused(kind, cells, name);
			}
		}
	}
}

static void test_parts_limit(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct bytes parts[CEL_PARTS_MAX + 1];
	for (size_t i = 0; i < COUNT(parts); i++) {
		parts[i] = bytes_of("a");
	}
	struct cel_field field = {CEL_DOCUMENT, CEL_PARTS_MAX, parts};
	const struct value one = value_int(1);
	const struct cel_node *node = NULL;
	struct err_info info = {0};
	assert_int_equal(cel_compare(&arena, CEL_EQUAL, &field, &one, &info, &node), OK);
	assert_int_equal(node->field.parts_count, CEL_PARTS_MAX);
	field.parts_count++;
	node = NULL;
	assert_int_equal(cel_compare(&arena, CEL_EQUAL, &field, &one, &info, &node), ERR_INVALID);
	assert_null(node);
	assert_non_null(strstr(info.text, "more than 256 parts; "));
	arena_fini(&arena);
}

static void test_depth_limit(void **state)
{
	(void)state;
	static const enum cel_kind kinds[] = {CEL_NOT, CEL_AND, CEL_OR, CEL_SAME};
	struct arena arena = {0};
	for (size_t i = 0; i < COUNT(kinds); i++) {
		const struct cel_node *leaf = cel_text(&arena, "(== a 1)");
		const struct cel_node *pair[] = {leaf, leaf};
		size_t count = kinds[i] == CEL_NOT ? 1 : 2;
		for (uint32_t depth = 2; depth <= CEL_DEPTH_MAX; depth++) {
			assert_int_equal(cel_join(&arena, kinds[i], pair, count, &pair[0]), OK);
			assert_int_equal(pair[0]->depth, depth);
		}
		const struct cel_node *deepest = pair[0];
		assert_int_equal(cel_join(&arena, kinds[i], pair, count, &pair[0]), ERR_LIMIT);
		assert_ptr_equal(pair[0], deepest);
	}
	arena_fini(&arena);
}

static void test_joins(void **state)
{
	(void)state;
	struct arena arena = {0};
	const struct cel_node *leaf = cel_text(&arena, "(== a 1)");
	const struct cel_node *node = NULL;
	assert_int_equal(cel_join(&arena, CEL_AND, &leaf, 1, &node), OK);
	assert_ptr_equal(node, leaf);
	assert_int_equal(cel_join(&arena, CEL_OR, &leaf, 1, &node), OK);
	assert_ptr_equal(node, leaf);
	assert_int_equal(cel_join(&arena, CEL_AND, NULL, 0, &node), OK);
	assert_int_equal(node->kind, CEL_TRUE);
	assert_int_equal(cel_join(&arena, CEL_OR, NULL, 0, &node), OK);
	assert_int_equal(node->kind, CEL_NOT);
	assert_int_equal(node->children[0]->kind, CEL_TRUE);
	/* The children are kept, the array that they stood in is not. */
	const struct cel_node *pair[] = {leaf, node};
	assert_int_equal(cel_join(&arena, CEL_AND, pair, 2, &node), OK);
	pair[0] = NULL;
	assert_ptr_equal(node->children[0], leaf);
	assert_int_equal(node->children_count, 2);
	arena_fini(&arena);
}

/* Numbers that are the same to every comparison are one kind, and others are not. */
static void test_constant_kinds(void **state)
{
	(void)state;
	static const struct {
		const char *constant;
		enum value_kind kind;
	} rows[] = {
		{"5", VALUE_INT},
		{"5.0", VALUE_INT},
		{"-0.0", VALUE_INT},
		{"-9007199254740991.0", VALUE_INT},
		{"5.5", VALUE_DOUBLE},
		{"9007199254740992.0", VALUE_DOUBLE},
		{"-9007199254740992.0", VALUE_DOUBLE},
		{"1e300", VALUE_DOUBLE},
		{"9007199254740993", VALUE_INT},
		{"9223372036854775808", VALUE_UINT},
	};
	struct arena arena = {0};
	for (size_t i = 0; i < COUNT(rows); i++) {
		char text[100];
		(void)snprintf(text, sizeof(text), "(in a [[%s], 1])", rows[i].constant);
		const struct value *list = cel_text(&arena, text)->constant;
		assert_int_equal(list[2].kind, rows[i].kind);
		const struct value *constant = cel_text_value(&arena, bytes_of(rows[i].constant));
		assert_true(value_equal(&list[2], constant));
	}
	const struct bytes name = bytes_of("a");
	const struct cel_field field = {CEL_DOCUMENT, 1, &name};
	const struct value five = {.kind = VALUE_UINT, .as.unsigned_integer = 5};
	const struct cel_node *node = NULL;
	assert_int_equal(cel_compare(&arena, CEL_EQUAL, &field, &five, NULL, &node), OK);
	assert_int_equal(node->constant->kind, VALUE_INT);
	assert_int_equal(node->constant->as.integer, 5);
	arena_fini(&arena);
}

/* ---- printing -------------------------------------------------------------------------------- */

static void test_print(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"true", "true"},
		{"(or)", "!true"},
		{"(== room \"a\")", "doc.room == \"a\""},
		{"(!= a.b_2.C 1)", "doc.a.b_2.C != 1"},
		{"(< a -5)", "doc.a < -5"},
		{"(<= a 1.5)", "doc.a <= 1.5"},
		{"(> a 9007199254740992.0)", "doc.a > 9007199254740992.0"},
		{"(>= a 1e300)", "doc.a >= 1e300"},
		{"(== a 18446744073709551615)", "doc.a == 18446744073709551615u"},
		{"(== a null)", "doc.a == null"},
		{"(in a [1, \"x\", 9223372036854775808])",
			"doc.a in [1, \"x\", 9223372036854775808u]"},
		{"(in a [])", "doc.a in []"},
		{"(== a [[9007199254740992.0, [9223372036854775808]], []])",
			"doc.a == [[9007199254740992.0, [9223372036854775808u]], []]"},
		{"(== a {\"x\":[1]})", "doc.a == {\"x\":[1]}"},
		{"(contains a.b \"x\")", "\"x\" in doc.a.b"},
		{"(contains a [1, 2])", "[1, 2] in doc.a"},
		{"(== _id \"u1\")", "_id == \"u1\""},
		/* names that are no words, and words that CEL keeps for itself */
		{"(== in 1)", "doc[\"in\"] == 1"},
		{"(== a-b.1x. 1)", "doc[\"a-b\"][\"1x\"][\"\"] == 1"},
		{"(== a\"b\\ 1)", "doc[\"a\\\"b\\\\\"] == 1"},
		{"(== a \"q\\\"\\\\\\n\")", "doc.a == \"q\\\"\\\\\\n\""},
		{"(startsWith a.in \"x\")", "doc.a[\"in\"].startsWith(\"x\")"},
		{"(startsWith _id \"x\")", "_id.startsWith(\"x\")"},
		{"(has a.b)", "has(doc.a.b)"},
		{"(not (has a))", "!has(doc.a)"},
		{"(not (startsWith a \"x\"))", "!doc.a.startsWith(\"x\")"},
		{"(same (== a 1) (has b))", "(doc.a == 1) == has(doc.b)"},
		{"(not (same (not (has a)) (and (has b) (has c))))",
			"!(!has(doc.a) == (has(doc.b) && has(doc.c)))"},
		{"(same (same (has a) (has b)) true)", "(has(doc.a) == has(doc.b)) == true"},
		{"(and (same (has a) (has b)) (has c))", "has(doc.a) == has(doc.b) && has(doc.c)"},
		{"(not (== a 1))", "!(doc.a == 1)"},
		{"(not (not (contains a 1)))", "!!(1 in doc.a)"},
		{"(and (== a 1) (or (== b 2) (== c 3)) (and (== d 4) (== e 5)))",
			"doc.a == 1 && (doc.b == 2 || doc.c == 3) && (doc.d == 4 && doc.e == 5)"},
		{"(not (and (== a 1) (== b 2)))", "!(doc.a == 1 && doc.b == 2)"},
		{"(or (not (or (== a 1) true)) (== b 2))", "!(doc.a == 1 || true) || doc.b == 2"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena arena = {0};
		struct buffer buffer = {0};
		assert_int_equal(cel_print(&buffer, cel_text(&arena, rows[i][0])), OK);
		assert_int_equal(buffer_append(&buffer, (struct bytes){"", 1}), OK);
		assert_string_equal(buffer.data, rows[i][1]);
		buffer_fini(&buffer);
		arena_fini(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equality),
		cmocka_unit_test(test_inequality),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_in),
		cmocka_unit_test(test_contains),
		cmocka_unit_test(test_starts_with),
		cmocka_unit_test(test_has),
		cmocka_unit_test(test_compare_with),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_field_values),
		cmocka_unit_test(test_logic),
		cmocka_unit_test(test_refused_constants),
		cmocka_unit_test(test_parts_limit),
		cmocka_unit_test(test_depth_limit),
		cmocka_unit_test(test_joins),
		cmocka_unit_test(test_constant_kinds),
		cmocka_unit_test(test_print),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
