/*
 * match: every way in which a query can be filed, alone, beside all the others and joined with each
 * of them, over values at every border; and how documents are walked.
 */
#include "match.h"

#include "match_trial.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10
#define X64 X60 "xxxx"
#define X65 X60 "xxxxx"
#define X100 X60 X10 X10 X10 X10

/* ---- the truth, by hand ---------------------------------------------------------------------- */

struct row {
	const char *text, *document;
	bool holds;
};

/* All rows' queries stand together; each is also tried alone. */
static void assert_rows(const struct row *rows, size_t count)
{
	struct trial together;
	trial_open(&together, 3);
	for (size_t i = 0; i < count; i++) {
		trial_add(&together, rows[i].text);
	}
	for (size_t i = 0; i < count; i++) {
		struct trial alone;
		trial_open(&alone, i);
		trial_add(&alone, rows[i].text);
		trial_document(&alone, rows[i].document);
		if (alone.hits != rows[i].holds) {
			fail_msg("%s over %s", rows[i].text, rows[i].document);
		}
		trial_close(&alone);
		trial_document(&together, rows[i].document);
	}
	trial_close(&together);
}

#define ROWS(rows) assert_rows(rows, COUNT(rows))

static void test_equality_of_every_kind(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"a == null", "{\"a\":null}", true},
		{"a == null", "{\"a\":0}", false},
		{"a == null", "{}", false},
		{"a == false", "{\"a\":false}", true},
		{"a == false", "{\"a\":0}", false},
		{"a == true", "{\"a\":true}", true},
		{"a == ''", "{\"a\":\"\"}", true},
		{"a == 'x'", "{\"a\":\"x\"}", true},
		{"a == 'x'", "{\"a\":\"xy\"}", false},
		{"a == [1, [null]]", "{\"a\":[1.0,[null]]}", true},
		{"a == [1, [null]]", "{\"a\":[1,[]]}", false},
		{"a == []", "{\"a\":{}}", false},
		{"a == {'k': 1}", "{\"a\":{\"k\":2,\"k\":1.0}}", true},
		{"a == {'k': 1}", "{\"a\":{\"k\":1,\"j\":1}}", false},
		{"a == [{'k': 1}]", "{\"a\":[{\"k\":1}]}", true},
		{"a == 9007199254740991", "{\"a\":9007199254740991.0}", true},
		{"a == 9007199254740992", "{\"a\":9007199254740992.0}", true},
		{"a == 9007199254740992", "{\"a\":9007199254740993}", false},
		{"a == 9007199254740993", "{\"a\":9007199254740993}", true},
		{"a == 9007199254740993", "{\"a\":9007199254740992.0}", true},
		{"a == 9007199254740992.0", "{\"a\":9007199254740993}", true},
		{"a == -9007199254740993", "{\"a\":-9007199254740992.0}", true},
		{"a == -9007199254740993", "{\"a\":-9007199254740992}", false},
		{"a == 9223372036854775807", "{\"a\":9223372036854775808}", false},
		{"a == 9223372036854775807", "{\"a\":9223372036854775808.0}", true},
		{"a == 18446744073709551615u", "{\"a\":18446744073709551615}", true},
		{"a == 18446744073709551615u", "{\"a\":18446744073709551614}", false},
		{"a == 18446744073709551615u", "{\"a\":18446744073709551616.0}", true},
		{"a == 5u", "{\"a\":5}", true},
		{"a == 1e308", "{\"a\":1e308}", true},
		{"a == -0.0", "{\"a\":0}", true},
		{"a == 0", "{\"a\":-0.0}", true},
	};
	ROWS(rows);
}

static void test_lists_of_choices(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"a in []", "{\"a\":1}", false},
		{"a in [1, 'x', null, true]", "{\"a\":null}", true},
		{"a in [1, 'x', null, true]", "{\"a\":true}", true},
		{"a in [1, 'x', null, true]", "{\"a\":1.0}", true},
		{"a in [1, 'x', null, true]", "{\"a\":\"y\"}", false},
		{"a in [1, 1.0, 1u, 1]", "{\"a\":1}", true},
		{"a in [[1], 2]", "{\"a\":[1.0]}", true},
		{"a in [[1], 2]", "{\"a\":1}", false},
		{"a in [{'k': 1}, 2]", "{\"a\":{\"k\":1}}", true},
		{"a in [{'k': 1}, 2]", "{\"a\":2}", true},
		{"a in [[9007199254740993], 2]", "{\"a\":[9007199254740993]}", true},
		{"a in [[9007199254740993], 2]", "{\"a\":[9007199254740992]}", false},
		/* two that lead to the same place */
		{"a in [9007199254740992, 9007199254740993]", "{\"a\":9007199254740993}", true},
		{"a in [9007199254740992, 9007199254740993]", "{\"a\":9007199254740992.0}", true},
		{"a in [9007199254740992, 9007199254740993]", "{\"a\":9007199254740994}", false},
		{"a in [18446744073709551614u, 18446744073709551615u]",
			"{\"a\":18446744073709551613}", false},
		{"a == 1 || a == 2 || a in [3, 4]", "{\"a\":4}", true},
	};
	ROWS(rows);
}

static void test_elements_and_keys(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"1 in a", "{\"a\":[2,1.0]}", true},
		{"1 in a", "{\"a\":[[1]]}", false},
		{"1 in a", "{\"a\":[1,1,1,1.0]}", true},
		{"1 in a", "{\"a\":1}", false},
		{"1 in a", "{\"a\":{\"1\":1}}", false},
		{"'k' in a", "{\"a\":{\"k\":1}}", true},
		{"'k' in a", "{\"a\":{\"k\":1,\"k\":2}}", true},
		{"'k' in a", "{\"a\":{\"j\":\"k\"}}", false},
		{"'k' in a", "{\"a\":[{},\"k\"]}", true},
		{"'k' in a", "{\"a\":\"k\"}", false},
		{"null in a", "{\"a\":[null]}", true},
		{"[1, 2] in a", "{\"a\":[[1,2.0]]}", true},
		{"{'k': 1} in a", "{\"a\":[{\"k\":1}]}", true},
		{"9007199254740993 in a", "{\"a\":[9007199254740993]}", true},
		{"9007199254740993 in a", "{\"a\":[9007199254740992]}", false},
		{"'x' in a && 'y' in a", "{\"a\":[\"y\",\"x\",\"y\"]}", true},
		{"'x' in a || 'y' in a", "{\"a\":[\"y\",\"x\",\"y\"]}", true},
	};
	ROWS(rows);
}

static void test_beginnings(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"a.startsWith('')", "{\"a\":\"\"}", true},
		{"a.startsWith('')", "{\"a\":1}", false},
		{"a.startsWith('x')", "{\"a\":\"x\"}", true},
		{"a.startsWith('x')", "{\"a\":\"\"}", false},
		{"a.startsWith('\\u00e9')", "{\"a\":\"\\u00e9t\\u00e9\"}", true},
		{"a.startsWith('" X64 "')", "{\"a\":\"" X64 "\"}", true},
		{"a.startsWith('" X64 "')", "{\"a\":\"" X60 "xxx\"}", false},
		{"a.startsWith('" X65 "')", "{\"a\":\"" X64 "y\"}", false},
		{"a.startsWith('" X65 "')", "{\"a\":\"" X65 "y\"}", true},
		{"a.startsWith('" X100 "')", "{\"a\":\"" X100 "\"}", true},
		{"a.startsWith('" X100 "')", "{\"a\":\"" X65 "\"}", false},
		{"a.startsWith('" X100 "')", "{\"a\":\"" X64 "\"}", false},
		{"_id.startsWith('u')", "{}", true},
		{"_id.startsWith('u1')", "{}", true},
		{"_id.startsWith('u11')", "{}", false},
	};
	ROWS(rows);
}

static void test_borders_of_ranges(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"a > 5", "{\"a\":5}", false},
		{"a > 5", "{\"a\":5.0}", false},
		{"a > 5", "{\"a\":5.000000000000001}", true},
		{"a >= 5", "{\"a\":5}", true},
		{"a >= 5", "{\"a\":4.999999999999999}", false},
		{"a < 5", "{\"a\":5}", false},
		{"a <= 5", "{\"a\":5}", true},
		{"a > 5 && a < 7", "{\"a\":6}", true},
		{"a > 5 && a < 7", "{\"a\":7}", false},
		{"a >= 5 && a <= 5", "{\"a\":5}", true},
		{"a > 5 && a < 3", "{\"a\":4}", false},
		{"a > 5 && a <= 5", "{\"a\":5}", false},
		{"a > -0.0", "{\"a\":0}", false},
		{"a >= 0", "{\"a\":-0.0}", true},
		{"a < 0.0", "{\"a\":-0.0}", false},
		{"a < 0", "{\"a\":-5e-324}", true},
		{"a > 9007199254740991", "{\"a\":9007199254740991}", false},
		{"a > 9007199254740991", "{\"a\":9007199254740992}", true},
		{"a > 9007199254740992", "{\"a\":9007199254740993}", true},
		{"a > 9007199254740992", "{\"a\":9007199254740992.0}", false},
		{"a > 9007199254740992.0", "{\"a\":9007199254740993}", false},
		{"a >= 9007199254740993", "{\"a\":9007199254740992}", false},
		{"a >= 9007199254740993", "{\"a\":9007199254740992.0}", true},
		{"a < 9007199254740993", "{\"a\":9007199254740992}", true},
		{"a < -9007199254740992", "{\"a\":-9007199254740993}", true},
		{"a < 18446744073709551615u", "{\"a\":18446744073709551614}", true},
		{"a > 9223372036854775807", "{\"a\":9223372036854775808}", true},
		{"a > 1e308", "{\"a\":1.7976931348623157e308}", true},
		{"a > 1.7976931348623157e308", "{\"a\":1.7976931348623157e308}", false},
		{"a < -1.7976931348623157e308", "{\"a\":-1.7976931348623157e308}", false},
		{"a > 5", "{\"a\":\"6\"}", false},
		{"a > 5", "{\"a\":true}", false},
		{"a > false", "{\"a\":true}", true},
		{"a > false", "{\"a\":false}", false},
		{"a < true", "{\"a\":false}", true},
		{"a < false", "{\"a\":false}", false},
		{"a > true", "{\"a\":true}", false},
		{"a >= false", "{\"a\":false}", true},
		{"a <= true", "{\"a\":1}", false},
		{"a > 'abcdefgh'", "{\"a\":\"abcdefgh\"}", false},
		{"a > 'abcdefgh'", "{\"a\":\"abcdefghi\"}", true},
		{"a > 'abcdefghi'", "{\"a\":\"abcdefgh\"}", false},
		{"a < 'abcdefghi'", "{\"a\":\"abcdefgh\"}", true},
		{"a >= 'abcdefgh1' && a < 'abcdefgh3'", "{\"a\":\"abcdefgh2\"}", true},
		{"a >= 'abcdefgh1' && a < 'abcdefgh3'", "{\"a\":\"abcdefgh3\"}", false},
		{"a > 'a'", "{\"a\":\"a\\u0000\"}", true},
		{"a < ''", "{\"a\":\"\"}", false},
		{"a >= ''", "{\"a\":\"\"}", true},
		{"a > 1 && a > 'x'", "{\"a\":2}", false},
		{"b == 1 && a > 5 && a < 7", "{\"a\":6,\"b\":1}", true},
		{"b == 1 && a > 5 && a < 7", "{\"a\":6,\"b\":2}", false},
		{"b == 1 && a > 5 && a < 7", "{\"a\":7,\"b\":1}", false},
		{"(b == 1 || c == 1) && a > 5", "{\"a\":5,\"b\":1}", false},
		{"(b == 1 || c == 1) && a > 5", "{\"a\":6,\"c\":1}", true},
		{"a > 1 && b > 1 && c > 1", "{\"a\":2,\"b\":2,\"c\":1}", false},
		{"a > 1 && b > 1 && c > 1", "{\"a\":2,\"b\":2,\"c\":2}", true},
	};
	ROWS(rows);
}

static void test_joins_across_fields(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"a == 1 || b in [1, 2]", "{\"b\":2}", true},
		{"a == 1 || b in [1, 2]", "{\"a\":1,\"b\":2}", true},
		{"a == 1 || b > 5", "{\"b\":6}", true},
		{"a == 1 || !has(doc.b)", "{\"a\":2}", true},
		/* one of two: what is found by either side's key may hold both sides */
		{"(a == 1) != (b == 1)", "{\"a\":1,\"b\":1}", false},
		{"(a == 1) != (b == 1)", "{\"a\":1,\"b\":2}", true},
		{"(a == 1) != (b == 1)", "{\"a\":2,\"b\":2}", false},
		{"(a == 1) != (b == 1)", "{\"a\":1}", false},
		{"(a == 1) != (b > 1)", "{\"a\":1,\"b\":2}", false},
		{"(a == 1) != (b > 1)", "{\"a\":0,\"b\":2}", true},
		{"c == 1 && (a == 1) != (b == 1)", "{\"a\":1,\"b\":1,\"c\":1}", false},
		{"(a == 1) == (b == 1)", "{\"a\":1,\"b\":1}", true},
		{"(a == 1) == (b == 1)", "{\"a\":2,\"b\":2}", true},
		{"(a == 1) == (b == 1)", "{\"a\":2}", false},
		{"(a == 1) == (b == 1)", "{}", false},
		{"has(doc.a) == has(doc.b)", "{}", true},
		{"has(doc.a)", "{\"a\":null}", true},
		{"!has(doc.a)", "{\"a\":null}", false},
		{"!has(doc.a)", "{}", true},
		{"has(doc.a.b)", "{\"a\":{\"b\":0}}", true},
		{"!has(doc.a.b)", "{\"a\":{}}", true},
		{"!has(doc.a.b)", "{\"a\":1}", false},
		{"!has(doc.a.b)", "{}", false},
		{"a != 1", "{\"a\":\"1\"}", true},
		{"a != 1", "{}", false},
		{"!(a > 1)", "{\"a\":1}", true},
		{"!(a > 1)", "{\"a\":\"x\"}", false},
		{"!(1 in a)", "{\"a\":[]}", true},
		{"!(1 in a)", "{\"a\":2}", false},
		{"a != 1 || b != 1", "{\"a\":1,\"b\":2}", true},
		{"!(a == 1 && b == 1)", "{\"b\":2}", true},
		{"false", "{\"a\":1}", false},
		{"true", "{}", true},
		{"a == 1 && false", "{\"a\":1}", false},
		{"a == 1 || true", "{}", true},
		{"a == 1 && a == 2", "{\"a\":1}", false},
		{"(a == 1) == (a == 1)", "{\"a\":2}", true},
		{"(a == 1) != (a == 1)", "{\"a\":2}", false},
	};
	ROWS(rows);
}

static void test_nested_paths(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"n.x.y == 1", "{\"n\":{\"x\":{\"y\":1}}}", true},
		{"n.x.y == 1", "{\"n\":{\"x\":{\"y\":1}},\"n\":{}}", false},
		{"n.x.y == 1", "{\"n\":{},\"n\":{\"x\":{},\"x\":{\"y\":2,\"y\":1}}}", true},
		{"n.x.y == 1", "{\"n\":[{\"x\":{\"y\":1}}]}", false},
		{"n.x.y == 1", "{\"n\":\"x\"}", false},
		{"n == {'x': 1}", "{\"n\":{\"x\":1}}", true},
		{"n.x == 1 && n == {'x': 1}", "{\"n\":{\"x\":1}}", true},
		{"n.x > 1", "{\"n\":{\"x\":2}}", true},
		{"'k' in n.x", "{\"n\":{\"x\":{\"k\":0}}}", true},
		{"doc['\\u00e9'] == 1", "{\"\\u00e9\":1}", true},
		{"doc['a\\\"b'] == 1", "{\"a\\u0022b\":1}", true},
		{"doc['a.b'] == 1", "{\"a.b\":1}", true},
		{"doc['a.b'] == 1", "{\"a\":{\"b\":1}}", false},
		{"doc[''] == 1", "{\"\":1}", true},
		{"doc['x\\u0000y'] == 1", "{\"x\\u0000y\":1}", true},
		{"doc['x\\u0000y'] == 1", "{\"x\":1}", false},
	};
	ROWS(rows);
}

/* ---- all of it with all of it ---------------------------------------------------------------- */

static const char *const kinds[] = {"a == null", "a == true", "a == 1", "a == 1.5", "a == 'x'",
	"a == [1, 'x']", "a == {'k': 1}", "a == 9007199254740993", "a == 9007199254740992.0",
	"a in [1, 'x', true, null, 2.5]", "a in [{'k': 1}, 3]",
	"a in [9007199254740992, 9007199254740993, 1]", "1 in a", "'k' in a", "[1] in a",
	"9007199254740993 in a", "a.startsWith('')", "a.startsWith('x')", "a.startsWith('" X64 "')",
	"a.startsWith('" X65 "')", "a > 1", "a >= 1 && a < 3", "a > 5 && a < 3",
	"a > 9007199254740992", "a <= 9007199254740992.0", "a > -0.0", "a > false", "a < true",
	"a > 'abcdefgh'", "a >= 'abcdefgh1' && a < 'abcdefgh2'", "has(doc.a)", "!has(doc.a)",
	"a != 1", "has(doc.a.k)", "a.k == 1", "b == 1", "b > 0", "_id == 'u1'",
	"_id in ['u2', 'u3']", "_id.startsWith('u')", "_id > 'u1'", "true", "false", "a == b",
	"size(a) > 1"};

static const char *const documents[] = {"{}", "{\"a\":null}", "{\"a\":true,\"b\":1}",
	"{\"a\":false,\"b\":true}", "{\"a\":1,\"b\":1}", "{\"a\":1.0}", "{\"a\":1.5,\"b\":2}",
	"{\"a\":2.5}", "{\"a\":3,\"b\":3}", "{\"a\":-0.0}", "{\"a\":9007199254740991}",
	"{\"a\":9007199254740992,\"b\":1}", "{\"a\":9007199254740993,\"b\":1}",
	"{\"a\":9007199254740992.0}", "{\"a\":18446744073709551615}", "{\"a\":1e308}",
	"{\"a\":\"\"}", "{\"a\":\"x\",\"b\":1}", "{\"a\":\"" X64 "\"}", "{\"a\":\"" X65 "\"}",
	"{\"a\":\"abcdefgh\"}", "{\"a\":\"abcdefgh1\",\"b\":1}", "{\"a\":\"abcdefgh2\"}",
	"{\"a\":[]}", "{\"a\":[1,\"x\"],\"b\":1}", "{\"a\":[1,1,\"k\",\"k\",[1],[1.0]]}",
	"{\"a\":[{\"k\":1},9007199254740993],\"b\":0}", "{\"a\":{\"k\":1},\"b\":1}",
	"{\"a\":{\"k\":2,\"k\":1}}", "{\"a\":1,\"a\":2}"};

static void assert_documents(struct trial *trial)
{
	struct event *events[COUNT(documents)];
	for (size_t i = 0; i < COUNT(documents); i++) {
		events[i] =
			rig_event(MODEL_UPDATE, "d", "c", i % 3 == 0 ? "u1" : "u3", documents[i]);
		events[i]->change.event_id = bytes_of("a");
	}
	for (size_t i = 0; i < COUNT(documents); i += MATCH_BATCH_MAX) {
		size_t left = COUNT(documents) - i;
		trial_events(trial, events + i, left < MATCH_BATCH_MAX ? left : MATCH_BATCH_MAX);
	}
	for (size_t i = 0; i < COUNT(documents); i++) {
		event_unref(events[i]);
	}
}

static void test_every_kind_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct trial trial;
		trial_open(&trial, i);
		trial_add(&trial, kinds[i]);
		assert_documents(&trial);
		trial_close(&trial);
	}
}

/* Joined with each other kind; the ones of one kind are there together. */
static void test_every_kind_with_every_other(void **state)
{
	(void)state;
	static const char *const joins[] = {"&&", "||", "==", "!="};
	static const char *const signs[] = {"", "!"};
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct trial trial;
		trial_open(&trial, i);
		for (size_t k = 0; k < COUNT(kinds) * COUNT(joins) * 4; k++) {
			char text[1000];
			size_t other = k % COUNT(kinds);
			size_t form = k / COUNT(kinds);
			(void)snprintf(text, sizeof(text), "%s(%s) %s %s(%s)", signs[form & 1],
				kinds[i], joins[form / 4], signs[form >> 1 & 1], kinds[other]);
			(void)trial_try(&trial, text);
		}
		assert_true(trial.count > COUNT(kinds));
		assert_documents(&trial);
		trial_close(&trial);
	}
}

/* ---- how documents are walked ---------------------------------------------------------------- */

/* More siblings than are looked for one by one, over objects with more members than are sealed. */
static void test_many_paths_and_members(void **state)
{
	(void)state;
	static const int members[] = {3, 8, 9, 127, 128, 129, 300};
	for (int paths = 1; paths <= 40; paths += paths < 12 ? 1 : 14) {
		struct trial trial;
		trial_open(&trial, 1);
		for (int i = 0; i < paths; i++) {
			char text[100];
			(void)snprintf(text, sizeof(text), "n.m%d == %d", i, i);
			trial_add(&trial, text);
		}
		/* of a repeated member the last counts */
		trial_add(&trial, "n.m0 == 7");
		trial_add(&trial, "n.m0 > 6");
		for (size_t i = 0; i < COUNT(members); i++) {
			struct buffer text = {0};
			assert_int_equal(buffer_append_text(&text, "{\"n\":{\"m0\":7"), OK);
			for (int k = 0; k < members[i]; k++) {
				assert_int_equal(
					buffer_printf(&text, ",\"m%d\":%d", k, k % 5 == 4 ? -1 : k),
					OK);
			}
			assert_int_equal(buffer_printf(&text, ",\"m1\":1}}%c", '\0'), OK);
			uint64_t before = trial.hits;
			trial_document(&trial, text.data);
			assert_true(trial.hits > before);
			buffer_fini(&text);
		}
		trial_close(&trial);
	}
}

static const char *const ordered[] = {"a > 0", "true", "_id in ['u1', 'u2']", "a == 1",
	"_id == 'u1' && a == 1", "_id == 'u1' || a == 1", "b != 2", "_id == 'u1'", "_id != 'u3'",
	"1 in l", "1 in l || 2 in l", "a == 1 || b == 1 || a > 0", "a.startsWith('x') || b > 0"};
static const int ranks[] = {2, 1, 0, 2, 0, 2, 2, 0, 2, 2, 2, 2, 2};

/* By document id, then the whole collection, then the others, however many ways lead to
 * each. */
static void test_each_once_and_in_order(void **state)
{
	(void)state;
	struct trial trial;
	trial_open(&trial, 1);
	for (size_t i = 0; i < COUNT(ordered); i++) {
		trial_add(&trial, ordered[i]);
	}
	struct event *event =
		rig_event(MODEL_UPDATE, "d", "c", "u1", "{\"a\":1,\"b\":1,\"l\":[1,2,1,1.0,2,2]}");
	struct event *batch[] = {event, event, event};
	trial_events(&trial, batch, COUNT(batch));
	assert_int_equal(trial.hits, COUNT(ordered) * COUNT(batch));
	const struct match_hit *hits = NULL;
	size_t count = 0;
	assert_int_equal(match_events(trial.match, batch, COUNT(batch), &hits, &count), OK);
	for (size_t i = 0; i < count; i++) {
		size_t which = 0;
		while (trial.queries[which].query != hits[i].query) {
			which++;
		}
		int place = (int)(i % COUNT(ordered));
		assert_int_equal(hits[i].event, i / COUNT(ordered));
		assert_int_equal(ranks[which], place < 3 ? 0 : place == 3 ? 1 : 2);
	}
	event_unref(event);
	trial_close(&trial);
}

/* Of a document that is not there, or an id that is not known, only some can say something.
 */
static void test_by_id_beside_everything(void **state)
{
	(void)state;
	static const struct {
		const char *text, *reached; /* u: purge of u1, d: delete by hash, x: of no hash */
	} rows[] = {
		{"_id == 'u1'", "ud"},
		{"_id in ['u1', 'u2']", "ud"},
		{"_id == 'u2'", ""},
		{"_id == 'u1' && deleted == true", "d"},
		{"_id == 'u1' || deleted == true", "dx"},
		{"_id == 'u1' || a == 1", "d"},
		{"_id != 'u2'", "d"},
		{"_id.startsWith('u')", ""},
		{"_id > 'a'", ""},
		{"deleted == true", "dx"},
		{"has(doc.deleted)", "dx"},
		{"!has(doc.a)", "dx"},
		{"(_id == 'u1') != (deleted == false)", "d"},
		{"true", "dx"},
	};
	struct trial trial;
	trial_open(&trial, 1);
	struct event *events[] = {rig_purge("d", "c", "u1"),
		rig_identify(rig_event(MODEL_DELETE, "d", "c", "", "{\"deleted\":true}"), "u1"),
		rig_event(MODEL_DELETE, "d", "c", "", "{\"deleted\":true}")};
	for (size_t i = 0; i < COUNT(rows); i++) {
		trial_add(&trial, rows[i].text);
	}
	const struct match_hit *hits = NULL;
	size_t count = 0;
	assert_int_equal(match_events(trial.match, events, COUNT(events), &hits, &count), OK);
	for (size_t i = 0; i < COUNT(rows); i++) {
		char reached[4] = "";
		for (size_t k = 0; k < count; k++) {
			if (hits[k].query == trial.queries[i].query) {
				reached[strlen(reached)] = "udx"[hits[k].event];
			}
		}
		if (strcmp(reached, rows[i].reached) != 0) {
			fail_msg("%s: %s, not %s", rows[i].text, reached, rows[i].reached);
		}
	}
	for (size_t i = 0; i < COUNT(events); i++) {
		event_unref(events[i]);
	}
	trial_close(&trial);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equality_of_every_kind),
		cmocka_unit_test(test_lists_of_choices),
		cmocka_unit_test(test_elements_and_keys),
		cmocka_unit_test(test_beginnings),
		cmocka_unit_test(test_borders_of_ranges),
		cmocka_unit_test(test_joins_across_fields),
		cmocka_unit_test(test_nested_paths),
		cmocka_unit_test(test_every_kind_alone),
		cmocka_unit_test(test_every_kind_with_every_other),
		cmocka_unit_test(test_many_paths_and_members),
		cmocka_unit_test(test_each_once_and_in_order),
		cmocka_unit_test(test_by_id_beside_everything),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
