/* match: queries, who gets what and in which order, and what it takes to find them. */
#include "match.h"

#include "failing.h"
#include "match_limits.h"
#include "match_rig.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct match *new_match(struct interest *interest, struct metrics *metrics)
{
	struct match *match = NULL;
	assert_int_equal(match_new(&test_match_limits, 11, interest, metrics, &match), OK);
	return match;
}

/* Whether the event reaches the query, by both ways; the event is given up. */
static bool reaches(struct match *match, const struct match_query *query, struct event *event)
{
	const struct match_hit *hits = NULL;
	size_t count = 0;
	assert_int_equal(match_events(match, &event, 1, &hits, &count), OK);
	bool found = false;
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(hits[i].event, 0);
		assert_false(found && hits[i].query == query);
		found = found || hits[i].query == query;
	}
	assert_int_equal(match_query_holds(match, query, event), found);
	event_unref(event);
	return found;
}

static bool update_reaches(
	struct match *match, const struct match_query *query, const char *document)
{
	return reaches(match, query, rig_event(MODEL_UPDATE, "d", "c", "u1", document));
}

/* ---- queries --------------------------------------------------------------------------------- */

static void test_equal_filters_are_one_query(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"", ""},
		{"a == 1", "a == 1.0"},
		{"a == 1", "a == 1 & a == 1"},
		{"a == 1 & b > 2", "b > 2 & a == 1"},
		{"a in [1]", "a == 1"},
		{"a in [2, 1, 2.0]", "a in [1, 2]"},
		{"_id == \"x\"", "_id in [\"x\"]"},
	};
	struct metrics metrics = {0};
	struct match *match = new_match(NULL, &metrics);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct match_query *a = rig_get(match, "d", "c", rows[i][0]);
		assert_ptr_equal(rig_get(match, "d", "c", rows[i][1]), a);
		assert_int_equal(metrics_get(&metrics, METRIC_queries_active), 1);
		match_query_put(match, a);
		assert_int_equal(metrics_get(&metrics, METRIC_queries_active), 1);
		match_query_put(match, a);
		assert_int_equal(metrics_get(&metrics, METRIC_queries_active), 0);
	}
	match_free(match);
}

static void test_different_queries(void **state)
{
	(void)state;
	static const char *const rows[][3] = {
		{"d", "c", ""},
		{"d", "c2", ""},
		{"d2", "c", ""},
		{"", "dc", ""},
		{"dc", "", ""},
		{"d", "c", "a == 1"},
		{"d", "c", "a != 1"},
		{"d", "c", "a == true"},
		{"d", "c", "a == \"1\""},
		{"d", "c2", "a == 1"},
		{"d", "c", "a.b == 1"},
		{"d", "c", "a == 9007199254740992"},
		{"d", "c", "a == 9007199254740992.0"},
		{"d", "c", "_id == \"1\""},
		{"d", "c", "id == \"1\""},
	};
	struct match *match = new_match(NULL, NULL);
	struct match_query *queries[COUNT(rows)];
	for (size_t i = 0; i < COUNT(rows); i++) {
		queries[i] = rig_get(match, rows[i][0], rows[i][1], rows[i][2]);
		assert_null(*match_query_slot(queries[i]));
		*match_query_slot(queries[i]) = &queries[i];
		for (size_t k = 0; k < i; k++) {
			assert_ptr_not_equal(queries[k], queries[i]);
		}
	}
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_ptr_equal(rig_get(match, rows[i][0], rows[i][1], rows[i][2]), queries[i]);
		assert_ptr_equal(*match_query_slot(queries[i]), &queries[i]);
	}
	match_free(match); /* takes them along, held twice as they are */
}

static void test_match_free_of_nothing(void **state)
{
	(void)state;
	match_free(NULL);
	match_free(new_match(NULL, NULL));
}

/* ---- who gets what --------------------------------------------------------------------------- */

/* Values and names are data, whatever they would mean inside of an expression. */
static void test_no_injection(void **state)
{
	(void)state;
	static const struct {
		const char *filters, *holds, *fails;
	} rows[] = {
		{"a == \"\\\\' || true //\"", "{\"a\":\"\\\\' || true //\"}", "{\"a\":\"\"}"},
		{"a == \"C:\\\\new\"", "{\"a\":\"C:\\\\new\"}", "{\"a\":\"C:\\new\"}"},
		{"a == \"x\\n\\r\\u0000y\"", "{\"a\":\"x\\n\\r\\u0000y\"}", "{\"a\":\"x\\n\\r\"}"},
		{"a']==1||doc['b == 2", "{\"a']==1||doc['b\":2}", "{\"a\":1,\"b\":2}"},
	};
	struct match *match = new_match(NULL, NULL);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct match_query *query = rig_get(match, "d", "c", rows[i].filters);
		assert_true(update_reaches(match, query, rows[i].holds));
		assert_false(update_reaches(match, query, rows[i].fails));
		match_query_put(match, query);
	}
	match_free(match);
}

/* An equality is found by hash: whatever is equal must have been put in the same place. */
static void test_equalities_across_kinds(void **state)
{
	(void)state;
	static const struct {
		const char *filters, *document;
		bool holds;
	} rows[] = {
		{"a == 25.0", "{\"a\":25}", true},
		{"a == 25", "{\"a\":2.5e1}", true},
		{"a == 0", "{\"a\":-0.0}", true},
		{"a == -0.0", "{\"a\":0}", true},
		{"a == 9007199254740993", "{\"a\":9007199254740992}", false},
		{"a == 9007199254740993", "{\"a\":9007199254740992.0}", true},
		{"a == 9007199254740992", "{\"a\":9007199254740992.0}", true},
		{"a == 9007199254740992.0", "{\"a\":9007199254740993}", true},
		{"a == 18446744073709551615", "{\"a\":18446744073709551616.0}", true},
		{"a == true", "{\"a\":1}", false},
		{"a == null", "{\"a\":null}", true},
		{"a == null", "{}", false},
		{"a == [1, [2.0, \"x\"]]", "{\"a\":[1.0,[2,\"x\"]]}", true},
		{"a == []", "{\"a\":[]}", true},
		{"a == [1]", "{\"a\":[{}]}", false},
		{"a == {\"x\":1,\"y\":2}", "{\"a\":{\"y\":2.0,\"x\":1}}", true},
		{"a == [{}]", "{\"a\":[{}]}", true},
		{"a == \"\"", "{\"a\":\"\"}", true},
		{"a.b.c == 1", "{\"a\":{\"b\":{\"c\":1}}}", true},
		{"a.b.c == 1", "{\"a\":{\"b\":1}}", false},
		{" == 1", "{\"\":1}", true},
		{"a == 2", "{\"a\":1,\"a\":2}", true},
		{"a == 1", "{\"a\":1,\"a\":2}", false},
		{"_id.x == 1", "{\"_id\":{\"x\":1}}", true},
	};
	struct match *match = new_match(NULL, NULL);
	struct match_query *queries[COUNT(rows)];
	for (size_t i = 0; i < COUNT(rows); i++) {
		queries[i] = rig_get(match, "d", "c", rows[i].filters);
	}
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (update_reaches(match, queries[i], rows[i].document) != rows[i].holds) {
			fail_msg("%s over %s", rows[i].filters, rows[i].document);
		}
	}
	match_free(match);
}

/* Names of databases and collections are exact, and every byte of them counts. */
static void test_exact_names(void **state)
{
	(void)state;
	struct match *match = new_match(NULL, NULL);
	struct match_query *query = rig_get(match, "d", "rooms/r1", "");
	static const char *const others[][2] = {{"d", "rooms/r1/messages"}, {"d", "rooms"},
		{"d", "rooms/R1"}, {"D", "rooms/r1"}, {"", "rooms/r1"}, {"d", ""},
		{"drooms", "/r1"}};
	assert_true(match_wants(match, bytes_of("d"), bytes_of("rooms/r1")));
	assert_true(reaches(match, query, rig_event(MODEL_INSERT, "d", "rooms/r1", "x", "{}")));
	for (size_t i = 0; i < COUNT(others); i++) {
		assert_false(match_wants(match, bytes_of(others[i][0]), bytes_of(others[i][1])));
		assert_false(reaches(match, query,
			rig_event(MODEL_INSERT, others[i][0], others[i][1], "x", "{}")));
	}
	match_free(match);
}

static void test_no_operation(void **state)
{
	(void)state;
	struct match *match = new_match(NULL, NULL);
	struct match_query *whole = rig_get(match, "d", "c", "");
	struct match_query *by_id = rig_get(match, "d", "c", "_id == \"u1\"");
	static const enum model_operation operations[] = {MODEL_INSERT, MODEL_UPDATE, MODEL_DELETE};
	for (size_t i = 0; i < COUNT(operations); i++) {
		assert_true(reaches(match, whole, rig_event(operations[i], "d", "c", "u1", "{}")));
		assert_true(reaches(match, by_id, rig_event(operations[i], "d", "c", "u1", "{}")));
	}
	assert_false(reaches(match, whole, rig_event(MODEL_NO_OPERATION, "d", "c", "u1", "{}")));
	assert_false(reaches(match, by_id, rig_event(MODEL_NO_OPERATION, "d", "c", "u1", "{}")));
	/* Nobody reads such an event, nor one of a collection without a query. */
	struct event *unread[2];
	unread[0] = rig_event(MODEL_NO_OPERATION, "d", "c", "u1", "{}");
	unread[1] = rig_event(MODEL_UPDATE, "d", "c2", "u1", "{}");
	unread[0]->is_read = unread[1]->is_read = false;
	const struct match_hit *hits = NULL;
	size_t count = 9;
	assert_int_equal(match_events(match, unread, 2, &hits, &count), OK);
	assert_int_equal(count, 0);
	event_unref(unread[0]);
	event_unref(unread[1]);
	match_free(match);
}

/*
 * What reaches a query of collection c: R an event whose document was refused, L the same with no
 * id, D a tombstone whose id is known, U one whose id is not, H the same with the hash of its path,
 * P a hard delete with its id, p one with the hash alone. The id, where there is one, is u1.
 */
static void who_is_reached(const char *filters, char ret_names[8])
{
	static const char tombstone[] = "{\"id\":\"\",\"collection\":\"c\",\"version\":7,"
					"\"updatedAt\":2,\"createdAt\":1,\"deleted\":true}";
	struct event *purge = rig_purge("d", "c", "u1");
	purge->document_id = bytes_of("u1");
	purge->id_is_unknown = false;
	const struct {
		char name;
		struct event *event;
	} rows[] = {
		{'R', rig_event(MODEL_UPDATE, "d", "c", "u1", NULL)},
		{'L', rig_event(MODEL_UPDATE, "d", "c", "", NULL)},
		{'D', rig_event(MODEL_DELETE, "d", "c", "u1", tombstone)},
		{'U', rig_event(MODEL_DELETE, "d", "c", "", tombstone)},
		{'H', rig_identify(rig_event(MODEL_DELETE, "d", "c", "", tombstone), "u1")},
		{'P', purge},
		{'p', rig_purge("d", "c", "u1")},
	};
	struct match *match = new_match(NULL, NULL);
	struct match_query *query = rig_get(match, "d", "c", filters);
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (reaches(match, query, rows[i].event)) {
			*ret_names++ = rows[i].name;
		}
	}
	*ret_names = '\0';
	match_free(match);
}

static void test_refused_documents_and_deletes(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"", "RLDUH"},
		{"_id == \"u1\"", "RDHPp"},
		{"_id == \"u2\"", ""},
		{"_id == \"\"", ""},
		{"_id in [\"u1\", \"u2\"]", "RDHPp"},
		{"_id in [\"\", \"u2\"]", ""},
		{"_id in []", ""},
		{"_id == \"u1\" & _id != \"u2\"", "RDHPp"},
		{"_id == \"u1\" & _id in [\"u1\", \"u2\"]", "RDHPp"},
		/* a hash has no order */
		{"_id in [\"u1\", \"u2\"] & _id < \"u2\"", "RDP"},
		{"_id == \"u1\" & _id > \"u0\"", "RDP"},
		/* by id, but the rest wants a document */
		{"_id == \"u1\" & version > 3", "DH"},
		{"_id in [\"u1\", \"u2\"] & version == 7", "DH"},
		{"_id == \"u1\" & a == 1", ""},
		/* these use the id without asking for certain documents */
		{"_id != \"u2\"", "DH"},
		{"_id != \"u1\"", ""},
		{"_id >= \"u1\"", "D"},
		{"_id != \"u2\" & version > 3", "DH"},
		/* a tombstone has the six fields of the system */
		{"deleted == true", "DUH"},
		{"version > 3", "DUH"},
		{"version in [6, 7]", "DUH"},
		{"id == \"\"", "DUH"},
		{"a == 1", ""},
		{"a != 1", ""},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		char names[8];
		who_is_reached(rows[i][0], names);
		if (strcmp(names, rows[i][1]) != 0) {
			fail_msg("%s: reached by %s, not %s", rows[i][0], names, rows[i][1]);
		}
	}
}

static void assert_identified(
	const struct match *match, struct event *event, const char *collection, const char *id)
{
	struct bytes found_collection = {0};
	struct bytes found_id = {0};
	bool found = match_identify(match, event, &found_collection, &found_id);
	assert_int_equal(found, collection != NULL);
	if (collection) {
		assert_true(bytes_equal(found_collection, bytes_of(collection)));
		assert_true(bytes_equal(found_id, bytes_of(id)));
	}
	event_unref(event);
}

static void test_identify(void **state)
{
	(void)state;
	struct match *match = new_match(NULL, NULL);
	struct match_query *query = rig_get(match, "d", "c", "_id == \"u1\" & a > 1");
	(void)rig_get(match, "d", "c", "_id == \"u2\"");
	assert_identified(match, rig_purge("d", "c", "u1"), "c", "u1");
	assert_identified(match, rig_purge("d", "c", "u2"), "c", "u2");
	assert_identified(match, rig_purge("d", "c", "u3"), NULL, NULL);
	assert_identified(match, rig_purge("d2", "c", "u1"), NULL, NULL);
	/* the hash is all that a purge has: it says the collection too */
	struct event *purge = rig_purge("d", "c", "u1");
	purge->collection = bytes_of("");
	assert_identified(match, purge, "c", "u1");
	assert_identified(
		match, rig_identify(rig_event(MODEL_DELETE, "d", "c", "", "{}"), "u1"), "c", "u1");
	/* an id that is known needs no looking up, without a hash there is nothing to look for */
	assert_identified(match, rig_identify(rig_event(MODEL_DELETE, "d", "c", "u1", "{}"), "u1"),
		NULL, NULL);
	assert_identified(match, rig_event(MODEL_DELETE, "d", "c", "", "{}"), NULL, NULL);
	match_query_put(match, query);
	assert_identified(match, rig_purge("d", "c", "u1"), NULL, NULL);
	match_free(match);
}

/* c/r with the id u1, and c with the id r/u1, are one path. */
static void test_collections_that_share_a_path(void **state)
{
	(void)state;
	for (int turn = 0; turn < 2; turn++) {
		struct match *match = new_match(NULL, NULL);
		struct match_query *queries[2];
		for (int i = 0; i < 2; i++) {
			bool inner = (i + turn) % 2 == 0;
			queries[inner] = rig_get(match, "d", inner ? "c/r" : "c",
				inner ? "_id == \"u1\"" : "_id == \"r/u1\"");
		}
		assert_true(reaches(match, queries[1],
			rig_identify(rig_event(MODEL_DELETE, "d", "c/r", "", "{}"), "u1")));
		assert_true(reaches(match, queries[0],
			rig_identify(rig_event(MODEL_DELETE, "d", "c", "", "{}"), "r/u1")));
		assert_identified(match,
			rig_identify(rig_event(MODEL_DELETE, "d", "c/r", "", "{}"), "u1"), "c/r",
			"u1");
		assert_identified(match,
			rig_identify(rig_event(MODEL_DELETE, "d", "c", "", "{}"), "r/u1"), "c",
			"r/u1");
		match_query_put(match, queries[0]);
		assert_identified(match,
			rig_identify(rig_event(MODEL_DELETE, "d", "c", "", "{}"), "r/u1"), NULL,
			NULL);
		match_free(match);
	}
}

/* What is too long to have an identity is asked for and found by its id as ever. */
static void test_path_without_identity(void **state)
{
	(void)state;
	char id[EVENT_PATH_BYTES_MAX + 1];
	char filters[EVENT_PATH_BYTES_MAX + 30];
	memset(id, 'x', sizeof(id) - 1);
	id[sizeof(id) - 1] = '\0';
	(void)snprintf(filters, sizeof(filters), "_id == \"%s\"", id);
	struct match *match = new_match(NULL, NULL);
	struct match_query *query = rig_get(match, "d", "c", filters);
	assert_true(reaches(match, query, rig_event(MODEL_DELETE, "d", "c", id, "{}")));
	assert_false(reaches(
		match, query, rig_identify(rig_event(MODEL_DELETE, "d", "c", "", "{}"), "x")));
	match_query_put(match, query);
	match_free(match);
}

/* A living document may have no id: the empty one is then its id, and can be asked for. */
static void test_empty_id(void **state)
{
	(void)state;
	struct match *match = new_match(NULL, NULL);
	struct match_query *empty = rig_get(match, "d", "c", "_id == \"\"");
	struct match_query *other = rig_get(match, "d", "c", "_id != \"x\"");
	assert_true(reaches(match, empty, rig_event(MODEL_INSERT, "d", "c", "", "{}")));
	assert_true(reaches(match, other, rig_event(MODEL_INSERT, "d", "c", "", "{}")));
	assert_false(reaches(match, empty, rig_event(MODEL_INSERT, "d", "c", "u1", "{}")));
	match_free(match);
}

static void test_order_of_hits(void **state)
{
	(void)state;
	static const char *const filters[] = {"a > 0", "", "_id in [\"u1\", \"u2\"]", "a == 1",
		"_id == \"u1\" & a == 1", "b != 2", "_id == \"u1\"", "_id != \"u3\""};
	static const int ranks[] = {2, 1, 0, 2, 0, 2, 0, 2};
	struct match *match = new_match(NULL, NULL);
	for (size_t i = 0; i < COUNT(filters); i++) {
		*match_query_slot(rig_get(match, "d", "c", filters[i])) = (void *)&ranks[i];
	}
	struct event *events[MATCH_BATCH_MAX];
	for (size_t i = 0; i < COUNT(events); i++) {
		events[i] = i % 3 == 1
			? rig_event(MODEL_UPDATE, "d", "nobody's", "u1", "{\"a\":1,\"b\":1}")
			: rig_event(MODEL_UPDATE, "d", "c", "u1", "{\"a\":1,\"b\":1}");
	}
	const struct match_hit *hits = NULL;
	size_t count = 0;
	assert_int_equal(match_events(match, events, COUNT(events), &hits, &count), OK);
	size_t at = 0;
	for (size_t i = 0; i < COUNT(events); i++) {
		int rank = 0;
		for (size_t k = 0; i % 3 != 1 && k < COUNT(filters); k++, at++) {
			assert_true(at < count);
			assert_int_equal(hits[at].event, i);
			assert_true(*(int *)*match_query_slot(hits[at].query) >= rank);
			rank = *(int *)*match_query_slot(hits[at].query);
		}
		event_unref(events[i]);
	}
	assert_int_equal(at, count);
	assert_int_equal(match_events(match, NULL, 0, &hits, &count), OK);
	assert_int_equal(count, 0);
	match_free(match);
}

/* ---- interest -------------------------------------------------------------------------------- */

static void test_interest(void **state)
{
	(void)state;
	struct interest *interest = NULL;
	assert_int_equal(interest_new(3, &interest), OK);
	struct match *match = new_match(interest, NULL);
	const struct bytes d = bytes_of("d");
	struct match_query *a = rig_get(match, "d", "c1", "a == 1");
	struct match_query *b = rig_get(match, "d", "c1", "");
	assert_ptr_equal(rig_get(match, "d", "c1", ""), b);
	assert_true(interest_has(interest, d, bytes_of("c1")));
	assert_false(interest_has(interest, d, bytes_of("c2")));
	assert_false(interest_has(interest, bytes_of("c1"), d));
	match_query_put(match, b);
	match_query_put(match, a);
	assert_true(interest_has(interest, d, bytes_of("c1"))); /* b has a second holder */
	assert_true(match_wants(match, d, bytes_of("c1")));
	match_query_put(match, b);
	assert_false(interest_has(interest, d, bytes_of("c1")));
	assert_false(match_wants(match, d, bytes_of("c1")));
	(void)rig_get(match, "d", "c2", "a > 1");
	(void)rig_get(match, "d", "c2", "_id == \"x\"");
	assert_true(interest_has(interest, d, bytes_of("c2")));
	match_free(match);
	assert_false(interest_has(interest, d, bytes_of("c2")));
	interest_free(interest);
}

/* ---- what it takes to find them -------------------------------------------------------------- */

static int64_t candidates_of(
	struct match *match, const struct metrics *metrics, const char *document)
{
	int64_t before = metrics_get(metrics, METRIC_match_candidates);
	struct event *event = rig_event(MODEL_UPDATE, "d", "c", "u5", document);
	const struct match_hit *hits = NULL;
	size_t count = 0;
	assert_int_equal(match_events(match, &event, 1, &hits, &count), OK);
	assert_int_equal(count, 1);
	event_unref(event);
	return metrics_get(metrics, METRIC_match_candidates) - before;
}

/* Of a thousand queries with an equality, few are looked at. */
static void test_candidates(void **state)
{
	(void)state;
	static const char *const forms[] = {
		"room == \"r%d\"",
		"n.x == %d",
		"_id == \"u%d\"",
		"list == [%d, \"x\"]",
		/* the common equality, whether it comes first or last, is not what they are filed
		   by */
		"type == \"text\" & room == \"r%d\"",
		"room == \"r%d\" & zone == \"z\"",
		"n.x == %d & flag == true",
		"_id == \"u%d\" & type == \"text\"",
	};
	static const char document[] = "{\"room\":\"r5\",\"n\":{\"x\":5.0},\"list\":[5,\"x\"],"
				       "\"type\":\"text\",\"zone\":\"z\",\"flag\":true}";
	for (size_t i = 0; i < COUNT(forms); i++) {
		struct metrics metrics = {0};
		struct match *match = new_match(NULL, &metrics);
		for (int k = 0; k < 1000; k++) {
			char filters[100];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			(void)snprintf(filters, sizeof(filters), forms[i], k);
#pragma GCC diagnostic pop
			(void)rig_get(match, "d", "c", filters);
		}
		int64_t candidates = candidates_of(match, &metrics, document);
		if (candidates > 2) {
			fail_msg("%s: %d candidates", forms[i], (int)candidates);
		}
		match_free(match);
	}
}

static void test_errors_are_counted(void **state)
{
	(void)state;
	struct metrics metrics = {0};
	struct match *match = new_match(NULL, &metrics);
	(void)rig_get(match, "d", "c", "");
	(void)rig_get(match, "d", "c", "a > 1"); /* no candidate: a text is no number */
	(void)rig_get(match, "d", "c", "a > 1 & b == 1");
	(void)rig_get(match, "d", "c", "b != 1");
	assert_int_equal(candidates_of(match, &metrics, "{\"a\":\"x\",\"b\":1}"), 2);
	assert_int_equal(metrics_get(&metrics, METRIC_match_errors), 1);
	match_free(match);
}

/* ---- lack of memory -------------------------------------------------------------------------- */

static const char *const many_filters[] = {"", "a == 1", "a == 2", "b.c == \"x\" & a > 0", "a > 0",
	"_id == \"u1\"", "_id in [\"u1\", \"u2\"]", "list == [1, 2]", "a in [1, 2, \"three\"]"};

static size_t hits_of(struct match *match, struct event *event)
{
	const struct match_hit *hits = NULL;
	size_t count = 0;
	assert_int_equal(match_events(match, &event, 1, &hits, &count), OK);
	return count;
}

/* One allocation of a life fails: what was there still works, and nothing is lost. */
static void live_without_memory(struct failing *failing, struct interest *interest,
	struct event *event, const struct model_subscription *subscriptions)
{
	const struct bytes d = bytes_of("d");
	const struct bytes c = bytes_of("c");
	struct match *match = NULL;
	if (match_new(&test_match_limits, 5, interest, NULL, &match) != OK) {
		assert_null(match);
		return;
	}
	size_t count = 0;
	size_t expected = 0;
	struct match_query *queries[COUNT(many_filters)];
	while (count < COUNT(many_filters)) {
		struct match_query *query = NULL;
		struct match_refusal refusal = {0};
		enum err err = match_query_get(match, &subscriptions[count], &refusal, &query);
		if (err != OK) {
			assert_int_equal(err, ERR_MEMORY);
			assert_null(query);
			assert_int_equal(refusal.code, MODEL_ACCEPTED);
			assert_int_equal(match_wants(match, d, c), count > 0);
			assert_int_equal(interest_has(interest, d, c), count > 0);
			failing->fail_at = SIZE_MAX - 1;
			assert_int_equal(hits_of(match, event), expected);
			continue;
		}
		queries[count++] = query;
		expected += match_query_holds(match, query, event);
	}
	struct event *batch[] = {event, event};
	const struct match_hit *const untouched = (const struct match_hit *)(const void *)match;
	const struct match_hit *hits = untouched;
	size_t hits_count = 99;
	enum err err = match_events(match, batch, COUNT(batch), &hits, &hits_count);
	if (err != OK) {
		assert_int_equal(err, ERR_MEMORY);
		assert_ptr_equal(hits, untouched);
		assert_int_equal(hits_count, 99);
		failing->fail_at = SIZE_MAX - 1;
	}
	assert_int_equal(hits_of(match, event), expected);
	while (count > 1) {
		match_query_put(match, queries[--count]);
	}
	match_free(match); /* with one left in it */
}

static void test_without_memory(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct interest *interest = NULL;
	assert_int_equal(interest_new(3, &interest), OK);
	struct event *event = rig_event(
		MODEL_UPDATE, "d", "c", "u1", "{\"a\":1,\"b\":{\"c\":\"x\"},\"list\":[1,2]}");
	struct model_subscription subscriptions[COUNT(many_filters)];
	for (size_t i = 0; i < COUNT(many_filters); i++) {
		subscriptions[i] = rig_subscription(&arena, "d", "c", many_filters[i]);
	}
	size_t fail_at = 0;
	for (bool failed = true; failed; fail_at++) {
		struct failing failing;
		failing_start(&failing, fail_at);
		live_without_memory(&failing, interest, event, subscriptions);
		failed = failing_stop(&failing) || failing.fail_at != fail_at;
		assert_int_equal(failing.live, 0);
		assert_false(interest_has(interest, bytes_of("d"), bytes_of("c")));
	}
	assert_true(fail_at > 2 * COUNT(many_filters));
	event_unref(event);
	interest_free(interest);
	arena_fini(&arena);
}

/* The list of hits grows in the midst of a batch. */
static void test_hits_without_memory(void **state)
{
	(void)state;
	struct match *match = new_match(NULL, NULL);
	for (int i = 0; i < 50; i++) {
		char filters[30];
		(void)snprintf(filters, sizeof(filters), "a > %d", i);
		(void)rig_get(match, "d", "c", filters);
	}
	struct event *event = rig_event(MODEL_UPDATE, "d", "c", "u1", "{\"a\":50}");
	struct event *batch[MATCH_BATCH_MAX];
	for (size_t i = 0; i < COUNT(batch); i++) {
		batch[i] = event;
	}
	const struct match_hit *hits = NULL;
	size_t count = 99;
	for (bool failed = true; failed;) {
		struct failing failing;
		failing_start(&failing, 1); /* the second growth, then the second of what is left */
		enum err err = match_events(match, batch, COUNT(batch), &hits, &count);
		failed = failing_stop(&failing);
		assert_int_equal(err, failed ? ERR_MEMORY : OK);
		assert_int_equal(count, failed ? 99 : 50 * COUNT(batch));
		assert_int_equal(hits == NULL, failed);
	}
	/* From then on nothing is asked for. */
	struct failing failing;
	failing_start(&failing, 0);
	assert_int_equal(match_events(match, batch, COUNT(batch), &hits, &count), OK);
	assert_false(failing_stop(&failing));
	assert_int_equal(failing.count, 0);
	event_unref(event);
	match_free(match);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_filters_are_one_query),
		cmocka_unit_test(test_different_queries),
		cmocka_unit_test(test_match_free_of_nothing),
		cmocka_unit_test(test_no_injection),
		cmocka_unit_test(test_equalities_across_kinds),
		cmocka_unit_test(test_exact_names),
		cmocka_unit_test(test_no_operation),
		cmocka_unit_test(test_refused_documents_and_deletes),
		cmocka_unit_test(test_identify),
		cmocka_unit_test(test_collections_that_share_a_path),
		cmocka_unit_test(test_path_without_identity),
		cmocka_unit_test(test_empty_id),
		cmocka_unit_test(test_order_of_hits),
		cmocka_unit_test(test_interest),
		cmocka_unit_test(test_candidates),
		cmocka_unit_test(test_errors_are_counted),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_hits_without_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
