/*
 * match against two judges: its own look at every query, and an evaluation of filters that is
 * written here from what they mean, knows nothing of trees and shares no code but the reading of
 * JSON. Queries come and go while events pass.
 */
#include "match.h"

#include "match_limits.h"
#include "match_rig.h"
#include "random.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { LIVE_MAX = 80, FILTERS_MAX = 3, ROUNDS = 3000 };

/* ---- the meaning of filters ------------------------------------------------------------------ */

static bool is_integer(const struct value *value)
{
	return value->kind == VALUE_INT || value->kind == VALUE_UINT;
}

static bool is_number(const struct value *value)
{
	return is_integer(value) || value->kind == VALUE_DOUBLE;
}

static double real_of(const struct value *number)
{
	if (number->kind == VALUE_DOUBLE) {
		return number->as.real;
	}
	return number->kind == VALUE_INT ? (double)number->as.integer
					 : (double)number->as.unsigned_integer;
}

static int order_of_numbers(const struct value *a, const struct value *b)
{
	if (!is_integer(a) || !is_integer(b)) {
		return real_of(a) < real_of(b) ? -1 : real_of(a) > real_of(b);
	}
	if (a->kind == VALUE_INT && b->kind == VALUE_INT) {
		return a->as.integer < b->as.integer ? -1 : a->as.integer > b->as.integer;
	}
	if (a->kind == VALUE_UINT && b->kind == VALUE_UINT) {
		return a->as.unsigned_integer < b->as.unsigned_integer
			? -1
			: a->as.unsigned_integer > b->as.unsigned_integer;
	}
	return a->kind == VALUE_INT ? -1 : 1; /* what is a UINT fits no INT */
}

static const struct value *next_of(const struct value *value)
{
	bool is_container = value->kind == VALUE_LIST || value->kind == VALUE_OBJECT;
	return value + (is_container ? value->as.span : 1);
}

static bool is_text(const struct value *value, struct bytes text)
{
	return value->kind == VALUE_STRING && value->size == text.size &&
		(text.size == 0 || memcmp(value->as.text, text.data, text.size) == 0);
}

static const struct value *member_of(const struct value *object, struct bytes name)
{
	const struct value *found = NULL;
	const struct value *key = object + 1;
	for (uint32_t i = 0; i < object->size; i++) {
		found = is_text(key, name) ? key + 1 : found;
		key = next_of(key + 1);
	}
	return found;
}

static bool are_equal(const struct value *a, const struct value *b);

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the values */
static bool has_members_of(const struct value *a, const struct value *b)
{
	const struct value *key = b + 1;
	for (uint32_t i = 0; i < b->size; i++) {
		struct bytes name = {key->as.text, key->size};
		const struct value *mine = member_of(a, name);
		if (!mine || !are_equal(mine, member_of(b, name))) {
			return false;
		}
		key = next_of(key + 1);
	}
	return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the values */
static bool are_equal(const struct value *a, const struct value *b)
{
	if (is_number(a) && is_number(b)) {
		return order_of_numbers(a, b) == 0;
	}
	if (a->kind != b->kind) {
		return false;
	}
	if (a->kind == VALUE_BOOL) {
		return a->as.boolean == b->as.boolean;
	}
	if (a->kind == VALUE_STRING) {
		return is_text(a, (struct bytes){b->as.text, b->size});
	}
	if (a->kind == VALUE_OBJECT) {
		return has_members_of(a, b) && has_members_of(b, a);
	}
	if (a->kind == VALUE_LIST && a->size != b->size) {
		return false;
	}
	const struct value *mine = a + 1;
	const struct value *other = b + 1;
	for (uint32_t i = 0; a->kind == VALUE_LIST && i < a->size; i++) {
		if (!are_equal(mine, other)) {
			return false;
		}
		mine = next_of(mine);
		other = next_of(other);
	}
	return true; /* lists and nulls */
}

static bool list_holds(const struct value *list, const struct value *wanted)
{
	const struct value *item = list + 1;
	for (uint32_t i = 0; i < list->size; i++) {
		if (are_equal(wanted, item)) {
			return true;
		}
		item = next_of(item);
	}
	return false;
}

/* False where there is no order. */
static bool find_order(const struct value *a, const struct value *b, int *ret_order)
{
	if (is_number(a) && is_number(b)) {
		*ret_order = order_of_numbers(a, b);
		return true;
	}
	if (a->kind == VALUE_BOOL && b->kind == VALUE_BOOL) {
		*ret_order = (int)a->as.boolean - (int)b->as.boolean;
		return true;
	}
	if (a->kind != VALUE_STRING || b->kind != VALUE_STRING) {
		return false;
	}
	uint32_t common = a->size < b->size ? a->size : b->size;
	int order = common > 0 ? memcmp(a->as.text, b->as.text, common) : 0;
	*ret_order = order != 0 ? order : (a->size > b->size) - (a->size < b->size);
	return true;
}

static bool has_start(const struct value *field, const struct value *start)
{
	return field->size >= start->size &&
		(start->size == 0 || memcmp(field->as.text, start->as.text, start->size) == 0);
}

static bool filter_holds_for(
	const char *op, const struct value *field, const struct value *constant)
{
	if (strcmp(op, "==") == 0) {
		return are_equal(field, constant);
	}
	if (strcmp(op, "!=") == 0) {
		return !are_equal(field, constant);
	}
	if (strcmp(op, "in") == 0) {
		return list_holds(constant, field);
	}
	if (strcmp(op, "contains") == 0) {
		bool is_key = field->kind == VALUE_OBJECT && constant->kind == VALUE_STRING;
		return field->kind == VALUE_LIST ? list_holds(field, constant)
						 : is_key &&
				member_of(field, (struct bytes){constant->as.text, constant->size});
	}
	if (strcmp(op, "startsWith") == 0 || strcmp(op, "!startsWith") == 0) {
		return field->kind == VALUE_STRING && has_start(field, constant) == (op[0] != '!');
	}
	int order = 0;
	if (!find_order(field, constant, &order)) {
		return false;
	}
	bool or_equal = strlen(op) == 2;
	return (op[0] == '<' ? order < 0 : order > 0) || (or_equal && order == 0);
}

struct filter {
	const char *field, *op, *json;
	const struct value *value;
};

/* What no filter can say, but an expression. */
static bool is_has(const struct filter *filter)
{
	return strcmp(filter->op, "has") == 0 || strcmp(filter->op, "!has") == 0;
}

static bool is_expression(const struct filter *filter)
{
	return is_has(filter) || strstr(filter->op, "startsWith");
}

static bool is_on_id(const struct filter *filter)
{
	return strcmp(filter->field, "_id") == 0;
}

/* Whether the document, whose id is not known, has this one: its path has the event's hash. */
static bool has_hash_of(const struct event *event, const struct value *id)
{
	struct event_identity identity = {0};
	return event_identity_of(
		       event->collection, (struct bytes){id->as.text, id->size}, &identity) &&
		memcmp(&identity, &event->identity, sizeof(identity)) == 0;
}

static bool hash_filter_holds(const struct filter *filter, const struct event *event)
{
	const struct value *constant = filter->value;
	if (!event->has_identity) {
		return false;
	}
	if (strcmp(filter->op, "==") == 0) {
		return has_hash_of(event, constant);
	}
	if (strcmp(filter->op, "!=") == 0) {
		return !has_hash_of(event, constant);
	}
	bool found = false;
	for (uint32_t i = 0; strcmp(filter->op, "in") == 0 && i < constant->size; i++) {
		found = found || has_hash_of(event, constant + 1 + i);
	}
	return found;
}

static bool filter_holds(const struct filter *filter, const struct event *event)
{
	const struct value id = {.kind = VALUE_STRING,
		.size = (uint32_t)event->document_id.size,
		.as.text = event->document_id.data};
	const struct value *value = event->document;
	if (is_on_id(filter)) {
		value = &id;
		if (event->id_is_unknown || (event->is_refused && id.size == 0)) {
			return hash_filter_holds(filter, event);
		}
	}
	const char *path = filter->field;
	const struct value *around = NULL;
	while (value && !is_on_id(filter) && path) {
		const char *point = strchr(path, '.');
		struct bytes name = {path, point ? (size_t)(point - path) : strlen(path)};
		around = value->kind == VALUE_OBJECT && !point ? value : NULL;
		value = value->kind == VALUE_OBJECT ? member_of(value, name) : NULL;
		path = point ? point + 1 : NULL;
	}
	if (is_has(filter)) {
		return around && (value != NULL) == (filter->op[0] != '!');
	}
	return value && filter_holds_for(filter->op, value, filter->value);
}

/* A query that lives, or lived. */
struct wish {
	const char *database, *collection;
	struct filter filters[FILTERS_MAX];
	size_t filters_count;
	struct match_query *query;
};

static bool asks_for_ids(const struct filter *filter)
{
	return is_on_id(filter) && (strcmp(filter->op, "==") == 0 || strcmp(filter->op, "in") == 0);
}

static bool wish_holds(const struct wish *wish, const struct event *event)
{
	bool holds = event->operation != MODEL_NO_OPERATION &&
		bytes_equal(event->change.database, bytes_of(wish->database)) &&
		bytes_equal(event->collection, bytes_of(wish->collection));
	bool by_id = wish->filters_count == 0 && !event->is_purge;
	for (size_t i = 0; holds && i < wish->filters_count; i++) {
		by_id = by_id || asks_for_ids(&wish->filters[i]);
		holds = filter_holds(&wish->filters[i], event);
	}
	return holds && (by_id || (event->document && !event->is_purge));
}

/* ---- wishes and events at random ------------------------------------------------------------- */

static const char *const databases[] = {"d", "d2", ""};
static const char *const collections[] = {"c", "rooms/r1/messages", ""};
static const char *const ids[] = {"\"u1\"", "\"u2\"", "\"\"", "\"\\u00e9\""};
static const char *const id_lists[] = {"[]", "[\"u1\"]", "[\"u2\",\"u1\",\"u2\"]", "[\"\",\"u1\"]"};
static const char *const scalars[] = {"0", "-0.0", "1", "1.0", "2", "2.5", "-3", "9007199254740992",
	"9007199254740993", "9007199254740992.0", "9223372036854775807", "9223372036854775808",
	"9223372036854775808.0", "18446744073709551615", "1e300", "\"\"", "\"a\"", "\"b\"",
	"\"ab\"", "\"\\u00e9\"", "\"x\\u0000y\"", "true", "false", "null"};
static const char *const lists[] = {"[]", "[1]", "[1.0,\"a\"]", "[\"a\",\"b\",\"ab\"]", "[[1],[]]",
	"[[1.0],[]]", "[null,true,0]", "[9007199254740992,2]", "[9007199254740993.0,2]",
	"[{\"a\":1},2]", "[\"u1\",\"u2\"]"};
static const char *const objects[] = {
	"{}", "{\"a\":1}", "{\"a\":2,\"a\":1.0}", "{\"b\":[],\"a\":1}", "{\"a\":1,\"b\":[]}"};
static const char *const fields[] = {
	"a", "b", "n.x", "n.y.z", "n.y", "n", "", ".", "id", "_id.x", "t", "deleted", "version"};
static const char *const operators[] = {"==", "!=", "!=", "<", "<=", ">", ">=", "in", "contains",
	"startsWith", "!startsWith", "has", "!has"};
static const char *const starts[] = {"\"\"", "\"a\"", "\"u\"", "\"\\u00e9\"", "\"x\\u0000\""};

#define PICK(random, texts) ((texts)[test_random_below(random, COUNT(texts))])

/* Of which has() can be asked: the last name is a word. */
static const char *const named[] = {
	"a", "b", "n.x", "n.y.z", "n.y", "n", "id", "_id.x", "t", "deleted", ".x"};

/* Mostly few values, so that there are hits. */
static const char *random_json(struct test_random *random)
{
	switch (test_random_below(random, 8)) {
	case 0:
		return PICK(random, lists);
	case 1:
		return PICK(random, objects);
	case 2:
	case 3:
		return scalars[test_random_below(random, 4)];
	default:
		return PICK(random, scalars);
	}
}

static struct filter random_filter(struct arena *arena, struct test_random *random)
{
	bool on_id = test_random_below(random, 4) == 0;
	struct filter filter = {.field = on_id ? "_id" : PICK(random, fields),
		.op = test_random_below(random, 2) ? "==" : PICK(random, operators)};
	if (on_id && strcmp(filter.op, "contains") == 0) {
		filter.op = "in";
	}
	bool has_order = filter.op[0] == '<' || filter.op[0] == '>';
	if (is_has(&filter)) {
		filter.field = PICK(random, named);
		filter.json = "null";
	} else if (is_expression(&filter)) {
		filter.json = PICK(random, starts);
	} else if (strcmp(filter.op, "in") == 0) {
		filter.json = on_id ? PICK(random, id_lists) : PICK(random, lists);
	} else if (on_id) {
		filter.json = PICK(random, ids);
	} else {
		filter.json = has_order ? PICK(random, scalars) : random_json(random);
	}
	filter.value = rig_value(arena, bytes_of(filter.json));
	return filter;
}

static struct wish random_wish(struct arena *arena, struct test_random *random)
{
	struct wish wish = {.database = PICK(random, databases),
		.collection = PICK(random, collections),
		.filters_count = test_random_below(random, FILTERS_MAX + 1)};
	if (test_random_below(random, 3) > 0) {
		wish.database = databases[0];
		wish.collection = collections[0];
	}
	for (size_t i = 0; i < wish.filters_count; i++) {
		wish.filters[i] = random_filter(arena, random);
	}
	return wish;
}

/* The flattened document of an event: the user's members, then the system's. */
static void random_document(struct test_random *random, bool is_tombstone, char *text, size_t size)
{
	static const char *const members[] = {"\"a\":%s,", "\"b\":%s,",
		"\"n\":{\"x\":%s,\"y\":{}},", "\"n\":{\"y\":{\"z\":%s}},", "\"n\":%s,",
		"\"\":{\"\":%s},", "\"\":%s,", "\"_id\":{\"x\":%s},", "\"t\":%s,",
		"\"deleted\":%s,"};
	size_t used = (size_t)snprintf(text, size, "{");
	for (size_t i = 0; !is_tombstone && i < COUNT(members); i++) {
		if (test_random_below(random, 3) > 0) {
			continue;
		}
		char member[100];
		const char *hole = strstr(members[i], "%s");
		(void)snprintf(member, sizeof(member), "%.*s%s%s", (int)(hole - members[i]),
			members[i], random_json(random), hole + 2);
		used += (size_t)snprintf(text + used, size - used, "%s", member);
	}
	(void)snprintf(text + used, size - used, "\"id\":%s,\"version\":%d%s}", PICK(random, ids),
		(int)test_random_below(random, 4), is_tombstone ? ",\"deleted\":true" : "");
}

static struct event *random_event(struct test_random *random)
{
	static const enum model_operation operations[] = {
		MODEL_INSERT, MODEL_UPDATE, MODEL_UPDATE, MODEL_DELETE, MODEL_NO_OPERATION};
	static const char *const event_ids[] = {"u1", "u1", "u2", "", "\xC3\xA9", "u3"};
	enum model_operation operation = PICK(random, operations);
	bool is_refused = test_random_below(random, 10) == 0;
	bool is_tombstone = operation == MODEL_DELETE && test_random_below(random, 4) > 0;
	bool is_common = test_random_below(random, 3) > 0;
	char document[1000];
	random_document(random, is_tombstone, document, sizeof(document));
	struct event *event =
		rig_event(operation, is_common ? databases[0] : PICK(random, databases),
			is_common ? collections[0] : PICK(random, collections),
			PICK(random, event_ids), is_refused ? NULL : document);
	if (test_random_below(random, 3) > 0) {
		event->has_identity = event_identity_of(event->collection,
			event->id_is_unknown ? bytes_of(PICK(random, event_ids))
					     : event->document_id,
			&event->identity);
	}
	if (operation == MODEL_DELETE && test_random_below(random, 6) == 0) {
		event->is_purge = true;
		event->is_refused = false;
		event->document = NULL;
	}
	return event;
}

/* ---- the comparison -------------------------------------------------------------------------- */

struct world {
	struct match *match;
	struct test_random random;
	struct arena arena; /* of all wishes' values */
	struct wish live[LIVE_MAX];
	size_t live_count;
	size_t hits_seen;
};

static void put_expression(struct buffer *text, const struct filter *filter)
{
	bool is_negated = filter->op[0] == '!';
	assert_int_equal(
		buffer_printf(text, "%s%s%s%s", text->size > 0 ? " && " : "", is_negated ? "!" : "",
			is_has(filter) ? "has(" : "", is_on_id(filter) ? "_id" : "doc"),
		OK);
	const char *path = is_on_id(filter) ? NULL : filter->field;
	while (path) {
		const char *point = strchr(path, '.');
		size_t size = point ? (size_t)(point - path) : strlen(path);
		bool is_word = is_has(filter) && !point;
		assert_int_equal(
			buffer_printf(text, is_word ? ".%.*s" : "[\"%.*s\"]", (int)size, path), OK);
		path = point ? point + 1 : NULL;
	}
	assert_int_equal(is_has(filter) ? buffer_append_text(text, ")")
					: buffer_printf(text, ".startsWith(%s)", filter->json),
		OK);
}

/* The filters from another place on, so that their order says nothing. */
static struct match_query *get(struct world *world, const struct wish *wish, size_t from)
{
	struct model_filter filters[FILTERS_MAX];
	size_t filters_count = 0;
	struct buffer text = {0};
	for (size_t i = 0; i < wish->filters_count; i++) {
		const struct filter *filter = &wish->filters[(from + i) % wish->filters_count];
		if (is_expression(filter)) {
			put_expression(&text, filter);
			continue;
		}
		filters[filters_count++] = (struct model_filter){
			bytes_of(filter->field), bytes_of(filter->op), filter->value};
	}
	const struct model_subscription subscription = {.database = bytes_of(wish->database),
		.collection = bytes_of(wish->collection),
		.filters = filters,
		.filters_count = filters_count,
		.expression = buffer_bytes(&text)};
	struct match_refusal refusal = {0};
	struct match_query *query = NULL;
	if (match_query_get(world->match, &subscription, &refusal, &query) != OK) {
		fail_msg("%s", refusal.text);
	}
	buffer_fini(&text);
	return query;
}

static void churn(struct world *world)
{
	struct test_random *random = &world->random;
	size_t changes = test_random_below(random, 6);
	for (size_t i = 0; i < changes; i++) {
		size_t place = test_random_below(random, LIVE_MAX);
		struct wish *wish = &world->live[place];
		if (place >= world->live_count) {
			wish = &world->live[world->live_count++];
			*wish = random_wish(&world->arena, random);
			wish->query = get(world, wish, 0);
		} else if (test_random_below(random, 3) == 0 && world->live_count < LIVE_MAX) {
			struct wish *again = &world->live[world->live_count++];
			*again = *wish;
			again->query = get(world, wish, test_random_below(random, FILTERS_MAX));
			assert_ptr_equal(again->query, wish->query);
		} else {
			match_query_put(world->match, wish->query);
			*wish = world->live[--world->live_count];
		}
	}
}

static void fail_for(const struct wish *wish, const struct event *event, const char *what)
{
	struct buffer text = {0};
	(void)!buffer_printf(&text, "%s:", what);
	for (size_t i = 0; i < wish->filters_count; i++) {
		const struct filter *filter = &wish->filters[i];
		(void)!buffer_printf(&text, " %s %s %s", filter->field, filter->op, filter->json);
	}
	(void)!buffer_printf(&text, " over %s %.*s ", model_operation_name(event->operation),
		BYTES_FORMAT(event->document_id));
	(void)!(event->document ? json_print(&text, event->document) : OK);
	fail_msg("%.*s", BYTES_FORMAT(buffer_bytes(&text)));
}

/* 0: by document id, 1: a whole collection, 2: other. */
static int rank_of(const struct wish *wish)
{
	for (size_t i = 0; i < wish->filters_count; i++) {
		if (asks_for_ids(&wish->filters[i])) {
			return 0;
		}
	}
	return wish->filters_count == 0 ? 1 : 2;
}

static const struct wish *wish_of(const struct world *world, const struct match_query *query)
{
	for (size_t i = 0; i < world->live_count; i++) {
		if (world->live[i].query == query) {
			return &world->live[i];
		}
	}
	fail_msg("a hit of a query that is gone");
	return NULL;
}

/* The hits of one event, from *at on: each query once, in order, exactly those that hold. */
static void check_event(struct world *world, const struct event *event, uint32_t number,
	const struct match_hit *hits, size_t count, size_t *at)
{
	size_t first = *at;
	int rank = 0;
	for (; *at < count && hits[*at].event == number; (*at)++) {
		int next = rank_of(wish_of(world, hits[*at].query));
		assert_true(next >= rank);
		rank = next;
		for (size_t k = first; k < *at; k++) {
			assert_ptr_not_equal(hits[k].query, hits[*at].query);
		}
	}
	for (size_t i = 0; i < world->live_count; i++) {
		const struct wish *wish = &world->live[i];
		bool hit = false;
		for (size_t k = first; k < *at; k++) {
			hit = hit || hits[k].query == wish->query;
		}
		bool holds = wish_holds(wish, event);
		if (match_query_holds(world->match, wish->query, event) != holds) {
			fail_for(wish, event, holds ? "the slow way misses" : "the slow way finds");
		}
		if (hit != holds) {
			fail_for(wish, event, holds ? "missed" : "found");
		}
		world->hits_seen += hit;
	}
}

static void check_batch(struct world *world)
{
	struct event *events[MATCH_BATCH_MAX];
	size_t events_count = 1 + test_random_below(&world->random, MATCH_BATCH_MAX);
	for (size_t i = 0; i < events_count; i++) {
		events[i] = random_event(&world->random);
	}
	const struct match_hit *hits = NULL;
	size_t count = 0;
	assert_int_equal(match_events(world->match, events, events_count, &hits, &count), OK);
	size_t at = 0;
	for (size_t i = 0; i < events_count; i++) {
		check_event(world, events[i], (uint32_t)i, hits, count, &at);
	}
	assert_int_equal(at, count);
	for (size_t i = 0; i < events_count; i++) {
		event_unref(events[i]);
	}
}

static void assert_wanted(const struct world *world, const struct interest *interest)
{
	for (size_t i = 0; i < COUNT(databases); i++) {
		for (size_t k = 0; k < COUNT(collections); k++) {
			bool wanted = false;
			for (size_t w = 0; w < world->live_count; w++) {
				wanted = wanted ||
					(world->live[w].database == databases[i] &&
						world->live[w].collection == collections[k]);
			}
			struct bytes database = bytes_of(databases[i]);
			struct bytes collection = bytes_of(collections[k]);
			assert_int_equal(match_wants(world->match, database, collection), wanted);
			assert_int_equal(interest_has(interest, database, collection), wanted);
		}
	}
}

static void test_oracle(void **state)
{
	(void)state;
	static struct world world; /* too large for some stacks */
	struct metrics metrics = {0};
	struct interest *interest = NULL;
	assert_int_equal(interest_new(3, &interest), OK);
	world = (struct world){.random = test_random_start("oracle")};
	uint64_t seed = test_random_next(&world.random);
	assert_int_equal(match_new(&test_match_limits, seed, interest, &metrics, &world.match), OK);
	for (int i = 0; i < ROUNDS; i++) {
		churn(&world);
		assert_wanted(&world, interest);
		check_batch(&world);
	}
	assert_true(world.hits_seen > ROUNDS);
	while (world.live_count > 0) {
		match_query_put(world.match, world.live[--world.live_count].query);
	}
	assert_wanted(&world, interest);
	assert_int_equal(metrics_get(&metrics, METRIC_queries_active), 0);
	match_free(world.match);
	interest_free(interest);
	arena_fini(&world.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oracle),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
