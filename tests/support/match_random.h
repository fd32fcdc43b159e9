/*
 * Expressions at random over few fields, with what stands at the borders of kinds and numbers; and
 * events whose documents have such values. What is made may be no expression that is accepted.
 */
#ifndef TEST_MATCH_RANDOM_H
#define TEST_MATCH_RANDOM_H

#include "match_rig.h"
#include "random.h"

#define RANDOM_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define RANDOM_PICK(random, texts) ((texts)[test_random_below(random, RANDOM_COUNT(texts))])

/* ---- expressions ----------------------------------------------------------------------------- */

static const char *const random_fields[] = {"doc.a", "a", "doc[\"a\"]", "b", "doc.n.x", "n['x']",
	"doc.n", "doc.l", "l", "doc.m", "_id", "_id", "id", "doc.missing", "doc.a.deep", "event.id",
	"event.operation"};
static const char *const random_constants[] = {"0", "-0.0", "1", "1u", "1.0", "2", "2.5", "-3",
	"18446744073709551615u", "9007199254740992", "9007199254740993", "9007199254740992.0",
	"9223372036854775807", "9223372036854775808u", "9223372036854775808.0", "1e300", "\"\"",
	"\"a\"", "'b'", "\"ab\"", "\"u1\"", "\"u2\"", "true", "false", "null", "b\"a\"",
	"1.0 / 0.0"};
static const char *const random_lists[] = {"[]", "[1]", "[1.0, \"a\"]", "['a', 'b', 'ab']",
	"[[1], []]", "[null, true, 0]", "[9007199254740992, 2u]", "[9007199254740993, 2.0]",
	"[\"u1\"]", "[\"u1\", \"u2\"]", "['u1', 1]", "[doc.b, 1]", "{\"a\": 1, \"b\": 2}",
	"{1: 2}"};
static const char *const random_orders[] = {"==", "!=", "<", "<=", ">", ">="};
static const char *const random_whole[] = {"has(doc.a)", "has(n.x)", "!has(doc.missing)",
	"doc.l.exists(x, x == 1)", "l.all(x, x != 'a')", "doc.a.startsWith('a')",
	"_id.endsWith('1')", "doc.b.size() > 1", "a + 1 == 2", "a * 2 > doc.b", "doc.a", "!doc.b",
	"a == b", "doc.a ? b == 1 : b == 2", "dyn(doc.a) == 1", "doc.l[0] == 1",
	"doc['n']['x'] == 1", "n.?x.orValue(1) == 1", "string(a) == '1'", "type(doc.a) == int",
	"true", "false", "doc.l.exists(doc, doc == 'a')", "has(doc.n.x)", "has(doc['n'].x)",
	"has(doc.missing.x)", "has(doc.a.b)", "has(doc.?n.x)", "has(doc.n.x.a)",
	"_id.startsWith('u')", "_id.startsWith('')", "n.x.startsWith('a')", "b.startsWith('ab')",
	"m.startsWith('')", "doc.missing.startsWith('a')", "a.startsWith(b)", "'ab'.startsWith(a)",
	"(a == 1) == b", "a != 1 && a != 2", "a == 1 || a in [2, 'a']", "!(a in [0, 1]) && a != 2",
	"_id == 'u1' || _id in ['u2', 'a']"};

/* Appends to `text`. */
static inline void random_put(char *text, size_t size, const char *piece)
{
	size_t used = strlen(text);
	assert_true(used + strlen(piece) < size);
	(void)snprintf(text + used, size - used, "%s", piece);
}

static inline void random_put_comparison(struct test_random *random, char *text, size_t size)
{
	const char *field = RANDOM_PICK(random, random_fields);
	const char *constant = test_random_below(random, 4) == 0
		? RANDOM_PICK(random, random_lists)
		: RANDOM_PICK(random, random_constants);
	const char *operation =
		test_random_below(random, 2) ? "==" : RANDOM_PICK(random, random_orders);
	if (test_random_below(random, 4) == 0) {
		operation = "in";
		constant =
			test_random_below(random, 4) ? RANDOM_PICK(random, random_lists) : constant;
	}
	bool is_turned = test_random_below(random, 3) == 0;
	random_put(text, size, is_turned ? constant : field);
	random_put(text, size, " ");
	random_put(text, size, operation);
	random_put(text, size, " ");
	random_put(text, size, is_turned ? field : constant);
}

/* NOLINTNEXTLINE(misc-no-recursion): DEPTH deep */
static inline void random_put_expression(
	struct test_random *random, int depth, char *text, size_t size)
{
	static const char *const joins[] = {
		") && (", ") && (", ") && (", ") || (", ") || (", ") == (", ") != ("};
	uint64_t kind = depth > 0 ? test_random_below(random, 8) : 7;
	if (kind == 0) {
		random_put(text, size, "!(");
		random_put_expression(random, depth - 1, text, size);
		random_put(text, size, ")");
	} else if (kind < 6) {
		random_put(text, size, "((");
		random_put_expression(random, depth - 1, text, size);
		random_put(text, size, RANDOM_PICK(random, joins));
		random_put_expression(random, depth - 1, text, size);
		random_put(text, size, "))");
	} else if (test_random_below(random, 3) == 0) {
		random_put(text, size, RANDOM_PICK(random, random_whole));
	} else {
		random_put_comparison(random, text, size);
	}
}

/* ---- documents ------------------------------------------------------------------------------- */

static const char *const random_values[] = {"0", "-0.0", "1", "1.0", "2", "2.5", "-3",
	"9007199254740992", "9007199254740993", "9007199254740992.0", "9223372036854775807",
	"9223372036854775808", "9223372036854775808.0", "18446744073709551615", "1e300", "\"\"",
	"\"a\"", "\"b\"", "\"ab\"", "\"u1\"", "true", "false", "null", "[]", "[1]", "[1.0,\"a\"]",
	"[null,true,0]", "[[1],[]]", "{}", "{\"a\":1}", "{\"b\":1,\"x\":1}",
	"{\"a\":2,\"a\":1.0,\"b\":2}"};

static inline struct event *random_event(struct test_random *random)
{
	static const enum model_operation operations[] = {
		MODEL_INSERT, MODEL_UPDATE, MODEL_UPDATE, MODEL_DELETE};
	static const char *const ids[] = {"u1", "u2", "", "a"};
	static const char *const members[] = {"a", "b", "n", "l", "m", "_id"};
	char document[1000] = "{";
	for (size_t i = 0; i < RANDOM_COUNT(members); i++) {
		if (test_random_below(random, 3) > 0) {
			char member[100];
			bool is_nested = i == 2 && test_random_below(random, 2);
			(void)snprintf(member, sizeof(member),
				is_nested ? "\"%s\":{\"x\":%s}," : "\"%s\":%s,", members[i],
				RANDOM_PICK(random, random_values));
			random_put(document, sizeof(document), member);
		}
	}
	random_put(document, sizeof(document), "\"id\":\"u1\"}");
	struct event *event = rig_event(
		RANDOM_PICK(random, operations), "d", "c", RANDOM_PICK(random, ids), document);
	event->change.event_id = bytes_of("a");
	return event;
}

#endif
