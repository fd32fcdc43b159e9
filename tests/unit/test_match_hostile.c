/*
 * match: documents and constants that somebody has chosen to make matching dear. What would take a
 * step for each pair here has so many pairs that the test would not end in its time.
 */
#include "match.h"

#include "condition.h"
#include "match_limits.h"
#include "match_rig.h"

#include <stdlib.h>

#define SEED UINT64_C(0x5EED) /* that somebody has found out */

static const struct match_hit *hits_of(struct match *match, struct event *event, size_t *ret_count)
{
	const struct match_hit *hits = NULL;
	assert_int_equal(match_events(match, &event, 1, &hits, ret_count), OK);
	return hits;
}

static size_t count_hits(struct match *match, struct event *event)
{
	size_t count = 0;
	(void)hits_of(match, event, &count);
	return count;
}

static struct match *open_match(void)
{
	struct match *match = NULL;
	assert_int_equal(match_new(&test_match_limits, SEED, NULL, NULL, &match), OK);
	return match;
}

static struct match_query *get(
	struct match *match, const char *field, const char *op, const struct value *value)
{
	const struct model_filter filter = {bytes_of(field), bytes_of(op), value};
	const struct model_subscription subscription = {.database = bytes_of("d"),
		.collection = bytes_of("c"),
		.filters = &filter,
		.filters_count = 1};
	struct match_refusal refusal = {0};
	struct match_query *query = NULL;
	if (match_query_get(match, &subscription, &refusal, &query) != OK) {
		fail_msg("%s %s: %s", field, op, refusal.text);
	}
	return query;
}

static void push(struct tape *tape, struct value value)
{
	assert_int_equal(tape_push(tape, value), OK);
}

/* An event whose document has one member, what is on the tape. */
static struct event *event_of(const char *name, const struct tape *content)
{
	struct event *event = rig_event(MODEL_INSERT, "d", "c", "u", "{}");
	struct tape tape = {0};
	size_t place = 0;
	assert_int_equal(tape_open(&tape, VALUE_OBJECT, &place), OK);
	push(&tape, value_string(bytes_of(name)));
	for (size_t i = 0; i < content->count; i++) {
		push(&tape, content->cells[i]);
	}
	tape_close(&tape, place, 1);
	assert_int_equal(tape_finish(&tape, &event->arena, &event->document), OK);
	tape_fini(&tape);
	return event;
}

/* ---- keys of one hash ------------------------------------------------------------------------ */

/* Where the path with the long name is, whose address is part of its predicates' hashes. */
enum { NAME_SIZE = 3000 };
struct spy {
	void *path;
};

static void *spy_hook(void *ctx, void *pointer, size_t size)
{
	struct spy *spy = ctx;
	if (size == 0) {
		free(pointer);
		return NULL;
	}
	void *moved = realloc(pointer, size);
	/* A copy of the name alone has no more than a short header. */
	if (!spy->path && size > NAME_SIZE + 64 && size < NAME_SIZE + 256) {
		spy->path = moved;
	}
	return moved;
}

enum { KEYS = 100000, KEY_SIZE = 32 };

/*
 * So many texts of one hash for a predicate of this kind and path: eight bytes zero a factor of
 * XXH3, and the eight behind them do not count.
 */
static char *make_keys(enum cel_kind kind, const void *path)
{
	const uint64_t golden = UINT64_C(0x9E3779B97F4A7C15);
	const uint64_t salt = (uint64_t)(uintptr_t)path * golden ^ SEED ^ ((uint64_t)kind << 1 | 1);
	const uint64_t seed = salt + golden * VALUE_STRING;
	const uint64_t zeroing = UINT64_C(0xBE4BA423396CFEB8) + seed;
	char *keys = calloc(KEYS, KEY_SIZE);
	assert_non_null(keys);
	for (uint64_t i = 0; i < KEYS; i++) {
		char *key = keys + i * KEY_SIZE;
		memcpy(key, &zeroing, sizeof(zeroing));
		memcpy(key + sizeof(zeroing), &i, sizeof(i));
		const struct value text = value_string((struct bytes){key, KEY_SIZE});
		const struct value first = value_string((struct bytes){keys, KEY_SIZE});
		assert_true(value_hash(&text, salt) == value_hash(&first, salt));
	}
	return keys;
}

static struct value key_at(const char *keys, size_t i)
{
	return value_string((struct bytes){keys + i * KEY_SIZE, KEY_SIZE});
}

/* Constants, and a document's elements, all of one hash. */
static void test_constants_of_one_hash(void **state)
{
	(void)state;
	static const char *const ops[] = {"==", "contains"};
	static const enum cel_kind kinds[] = {CEL_EQUAL, CEL_CONTAINS};
	for (size_t op = 0; op < 2; op++) {
		struct spy spy = {0};
		char name[NAME_SIZE + 1];
		memset(name, 'n', NAME_SIZE);
		name[NAME_SIZE] = '\0';
		mem_set_hook(spy_hook, &spy);
		struct match *match = open_match();
		const struct value zero = value_int(0);
		struct match_query *first = get(match, name, "==", &zero);
		assert_non_null(spy.path);
		char *keys = make_keys(kinds[op], spy.path);
		struct match_query **queries = calloc(KEYS / 2, sizeof(void *));
		assert_non_null(queries);
		for (size_t i = 0; i < KEYS / 2; i++) {
			const struct value key = key_at(keys, i);
			queries[i] = get(match, name, ops[op], &key);
		}
		struct tape tape = {0};
		if (kinds[op] == CEL_CONTAINS) {
			size_t place = 0;
			assert_int_equal(tape_open(&tape, VALUE_LIST, &place), OK);
			for (size_t i = 0; i < KEYS; i++) {
				push(&tape, key_at(keys, i));
			}
			tape_close(&tape, place, KEYS);
		} else {
			push(&tape, key_at(keys, 7));
		}
		struct event *event = event_of(name, &tape);
		assert_int_equal(
			count_hits(match, event), kinds[op] == CEL_CONTAINS ? KEYS / 2 : 1);
		event_unref(event);
		tape_fini(&tape);
		for (size_t i = 0; i < KEYS / 2; i++) {
			match_query_put(match, queries[i]);
		}
		match_query_put(match, first);
		match_free(match);
		mem_set_hook(NULL, NULL);
		free(queries);
		free(keys);
	}
}

/* ---- long lists ------------------------------------------------------------------------------ */

enum { LONG = 500000 }; /* items, 1 MB of JSON */

/* Looking a list up takes no memory for each item. */
static void test_a_long_list_takes_little_memory(void **state)
{
	(void)state;
	struct match *match = open_match();
	struct match_query *query = rig_get(match, "d", "c", "tags contains 3");
	for (int round = 0; round < 2; round++) {
		struct tape tape = {0};
		size_t place = 0;
		assert_int_equal(tape_open(&tape, VALUE_LIST, &place), OK);
		for (int i = 0; i < LONG; i++) {
			push(&tape, value_int(round == 0 ? i : 3));
		}
		tape_close(&tape, place, LONG);
		struct event *event = event_of("tags", &tape);
		size_t before = mem_used();
		assert_int_equal(count_hits(match, event), 1);
		/* of items that somebody asks for the predicates are kept till the next batch */
		size_t most = round == 0 ? (size_t)1 << 20 : (size_t)LONG * 2 * sizeof(void *);
		assert_true((int64_t)(mem_used() - before) < (int64_t)most);
		event_unref(event);
		tape_fini(&tape);
	}
	match_query_put(match, query);
	match_free(match);
}

/* Each of 100,000 distinct elements is asked for, by a subscription that has it and some others. */
static void test_many_distinct_elements(void **state)
{
	(void)state;
	enum { COUNT = 100000 };
	struct match *match = open_match();
	struct match_query **queries = calloc(COUNT, sizeof(void *));
	char(*texts)[16] = calloc(COUNT, sizeof(*texts));
	assert_true(queries && texts);
	struct tape tape = {0};
	size_t place = 0;
	assert_int_equal(tape_open(&tape, VALUE_LIST, &place), OK);
	for (int i = 0; i < COUNT; i++) {
		(void)snprintf(texts[i], sizeof(texts[i]), "e%d", i);
		const struct value text = value_string(bytes_of(texts[i]));
		queries[i] = get(match, "tags", "contains", &text);
		push(&tape, text);
	}
	tape_close(&tape, place, COUNT);
	struct event *event = event_of("tags", &tape);
	size_t count = 0;
	const struct match_hit *hits = hits_of(match, event, &count);
	assert_int_equal(count, COUNT);
	for (size_t i = 0; i < count; i++) {
		void **slot = match_query_slot(hits[i].query);
		assert_null(*slot); /* each once */
		*slot = match;
	}
	for (int i = 0; i < COUNT; i += 2) {
		match_query_put(match, queries[i]);
	}
	assert_int_equal(count_hits(match, event), COUNT / 2);
	for (int i = 1; i < COUNT; i += 2) {
		match_query_put(match, queries[i]);
	}
	event_unref(event);
	tape_fini(&tape);
	match_free(match);
	free(queries);
	free(texts);
}

/* `in` with as many items as have keys of their own, and with more: filed otherwise, equal. */
static void test_in_with_many_items(void **state)
{
	(void)state;
	static const int sizes[] = {4095, 4096, 4097, 20000};
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		struct match *match = open_match();
		struct tape tape = {0};
		size_t place = 0;
		assert_int_equal(tape_open(&tape, VALUE_LIST, &place), OK);
		for (int i = 0; i < sizes[k]; i++) {
			push(&tape, value_int((int64_t)3 * i));
		}
		tape_close(&tape, place, (size_t)sizes[k]);
		struct match_query *query = get(match, "n", "in", tape.cells);
		assert_false(sizes[k] <= 4096 && match_query_is_residual(query));
		for (int n = -1; n <= 3 * sizes[k]; n += 1 + (n % 100 == 50) * 777) {
			char text[32];
			(void)snprintf(text, sizeof(text), "{\"n\":%d}", n);
			struct event *event = rig_event(MODEL_INSERT, "d", "c", "u", text);
			bool is_in = n >= 0 && n % 3 == 0 && n < 3 * sizes[k];
			assert_int_equal(count_hits(match, event), is_in);
			assert_int_equal(match_query_holds(match, query, event), is_in);
			event_unref(event);
		}
		match_query_put(match, query);
		tape_fini(&tape);
		match_free(match);
	}
}

/* ---- objects --------------------------------------------------------------------------------- */

struct row {
	const char *text;
	bool holds;
};

/* Whatever reads it does not look at all members for each; what makes a map of it is stopped. */
static void test_a_name_again_and_again(void **state)
{
	(void)state;
	static const struct row rows[] = {{"doc.m == {'a': 1}", true}, {"doc.m == {'a': 2}", false},
		{"doc.m != {'a': 1, 'b': 1}", true}, {"doc.m in [{'b': 1}, {'a': 1}]", true},
		{"size(doc.m) == 1", true}, {"doc.m.exists(k, k == 'a')", false},
		{"'a' in doc.m", true}, {"doc.m.a == 1", true}};
	struct match *match = open_match();
	struct tape tape = {0};
	size_t place = 0;
	assert_int_equal(tape_open(&tape, VALUE_OBJECT, &place), OK);
	for (int i = 0; i < LONG; i++) {
		push(&tape, value_string(bytes_of("a")));
		push(&tape, value_int(1));
	}
	tape_close(&tape, place, LONG);
	struct event *event = event_of("m", &tape);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct model_subscription subscription = {.database = bytes_of("d"),
			.collection = bytes_of("c"),
			.expression = bytes_of(rows[i].text)};
		struct match_refusal refusal = {0};
		struct match_query *query = NULL;
		if (match_query_get(match, &subscription, &refusal, &query) != OK) {
			fail_msg("%s: %s", rows[i].text, refusal.text);
		}
		print_message("%s\n", rows[i].text);
		assert_int_equal(count_hits(match, event), rows[i].holds);
		assert_int_equal(match_query_holds(match, query, event), rows[i].holds);
		match_query_put(match, query);
	}
	event_unref(event);
	tape_fini(&tape);
	match_free(match);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_constants_of_one_hash),
		cmocka_unit_test(test_a_long_list_takes_little_memory),
		cmocka_unit_test(test_many_distinct_elements),
		cmocka_unit_test(test_in_with_many_items),
		cmocka_unit_test(test_a_name_again_and_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
