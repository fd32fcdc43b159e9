/* wire: documents and the events made of them, through wire.h. */
#include "wire.h"

#include "failing.h"
#include "proto.h"
#include "random.h"
#include "random_document.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define assert_bytes(actual, expected) assert_true(bytes_equal((actual), (expected)))
#define assert_text(actual, expected) assert_bytes((actual), bytes_of(expected))

#define DEPTH 8

static const struct wire_event_options reading = {
	.json_depth_max = DEPTH, .read = true, .received_us = 1234567, .sequence = 9};
static const struct wire_event_options unread = {
	.json_depth_max = DEPTH, .read = false, .received_us = 1234567, .sequence = 9};

static struct model_change change_of(struct bytes document)
{
	return (struct model_change){.event_id = bytes_of("7-8-ab"),
		.database = bytes_of("db"),
		.store_collection = bytes_of("documents"),
		.store_id = bytes_of("db:00"),
		.kind = MODEL_CHANGE_UPDATE,
		.full_document = document,
		.update = bytes_of("{}"),
		.cluster_seconds = 7,
		.cluster_increment = 8,
		.timestamp_ms = -3,
		.transaction = 4,
		.backend = bytes_of("mongo")};
}

/* What ingest does with a change; its memory is overwritten before the event is handed out. */
static enum err make(struct bytes document, const struct wire_event_options *options,
	struct err_info *info, struct event **ret_event)
{
	struct arena arena = {0};
	struct wire_document_head head;
	char *copy = mem_alloc(document.size);
	if (!copy) {
		return ERR_MEMORY;
	}
	memcpy(copy, document.data, document.size);
	struct model_change change = change_of((struct bytes){copy, document.size});
	enum err err = wire_document_head_scan(change.full_document, &arena, &head);
	if (err == OK) {
		err = wire_event_make(&change, MODEL_UPDATE, &head, options, info, ret_event);
	}
	memset(copy, 0xff, document.size);
	mem_free(copy);
	arena_fini(&arena);
	return err;
}

static struct event *make_of(
	struct bytes document, const struct wire_event_options *options, struct err_info *info)
{
	struct event *event = NULL;
	assert_int_equal(make(document, options, info, &event), OK);
	check(event);
	return event;
}

static struct event *make_event(const char *document, const struct wire_event_options *options)
{
	return make_of(bytes_of(document), options, NULL);
}

static struct event *read_later(const struct event *event, uint32_t json_depth_max)
{
	struct event *later = NULL;
	assert_int_equal(wire_event_read(event, json_depth_max, &later), OK);
	check(later);
	return later;
}

static struct model_delivery delivery_of(struct bytes encoded)
{
	struct model_delivery delivery;
	assert_int_equal(wire_delivery_parse(encoded, &delivery), OK);
	return delivery;
}

/* ---- the head -------------------------------------------------------------------------------- */

static void test_head(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct wire_document_head head;
	const char *document =
		" {\"id\":\"x\" , \"collection\": \"caf\\u00e9\", \"data\" : {\"a\":[1,{}]},"
		"\"version\" :3,\"updatedAt\":5, \"createdAt\":4,\"deleted\" : true } ";
	assert_int_equal(wire_document_head_scan(bytes_of(document), &arena, &head), OK);
	assert_true(head.is_object);
	assert_true(head.deleted);
	assert_text(head.collection, "caf\xc3\xa9");
	assert_text(head.data, "{\"a\":[1,{}]}");
	assert_text(head.version, "3");
	assert_text(head.updated_at, "5");
	assert_text(head.created_at, "4");
	/* The last of a name wins, escaped or not, and takes back what was there. */
	document = "{\"collection\":\"a\",\"deleted\":true,\"data\":{},\"\\u0063ollection\":\"b\","
		   "\"deleted\":false,\"dat\\u0061\":null}";
	assert_int_equal(wire_document_head_scan(bytes_of(document), &arena, &head), OK);
	assert_text(head.collection, "b");
	assert_false(head.deleted);
	assert_int_equal(head.data.size, 0);
	assert_int_equal(head.version.size, 0);
	arena_fini(&arena);
}

static void test_head_of_anything(void **state)
{
	(void)state;
	static const char *const objects[] = {
		"{}", "{", "{\"", "{\"collection\"", "{\"collection\":", "{]", "\t\r\n {x}"};
	static const char *const others[] = {"", " ", "[]", "null", "\"{}\"", "x{", "\v{}"};
	struct arena arena = {0};
	struct wire_document_head head;
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		assert_int_equal(wire_document_head_scan(bytes_of(objects[i]), &arena, &head), OK);
		assert_true(head.is_object);
		assert_int_equal(head.collection.size, 0);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_int_equal(wire_document_head_scan(bytes_of(others[i]), &arena, &head), OK);
		assert_false(head.is_object);
	}
	assert_int_equal(wire_document_head_scan((struct bytes){0}, &arena, &head), OK);
	assert_false(head.is_object);
	/* What is no string, or none that is well formed, is no collection. */
	static const char *const wrong[] = {"{\"collection\":5}", "{\"collection\":{\"a\":\"b\"}}",
		"{\"collection\":\"\\ud800\"}", "{\"collection\":\"\xff\"}",
		"{\"collection\":\"a\tb\"}", "{\"collection\":\"a\",\"collection\":null}"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(wire_document_head_scan(bytes_of(wrong[i]), &arena, &head), OK);
		assert_int_equal(head.collection.size, 0);
	}
	/* Broken behind it: what came before is known. */
	assert_int_equal(
		wire_document_head_scan(
			bytes_of("{\"collection\":\"c\",\"deleted\":true,oops"), &arena, &head),
		OK);
	assert_text(head.collection, "c");
	assert_true(head.deleted);
	arena_fini(&arena);
}

/* ---- the event ------------------------------------------------------------------------------- */

#define FULL(data, more)                                                                           \
	"{\"id\":\"db:00\",\"database\":\"db\",\"collection\":\"users\",\"collectionHash\":"       \
	"\"00\","                                                                                  \
	"\"updatedAt\":20,\"createdAt\":10,\"version\":3,\"data\":" data more "}"

/* Equal, and in memory of its own. */
static void assert_kept(struct bytes kept, struct bytes given)
{
	assert_bytes(kept, given);
	assert_ptr_not_equal(kept.data, given.data);
}

static void assert_change_kept(const struct event *event, const char *document)
{
	struct model_change change = change_of(bytes_of(document));
	assert_int_equal(event->sequence, 9);
	assert_true(event->received_us == 1234567);
	assert_int_equal(event->operation, MODEL_UPDATE);
	assert_kept(event->change.event_id, change.event_id);
	assert_kept(event->change.database, change.database);
	assert_kept(event->change.store_collection, change.store_collection);
	assert_kept(event->change.store_id, change.store_id);
	assert_kept(event->change.full_document, change.full_document);
	assert_kept(event->change.update, change.update);
	assert_kept(event->change.backend, change.backend);
	assert_int_equal(event->change.kind, change.kind);
	assert_int_equal(event->change.cluster_seconds, 7);
	assert_int_equal(event->change.cluster_increment, 8);
	assert_true(event->change.timestamp_ms == -3);
	assert_true(event->change.transaction == 4);
	assert_text(event->collection, "users");
	assert_text(event->document_id, "u1");
}

static void test_event(void **state)
{
	(void)state;
	const char *document = FULL("{\"id\":\"u1\",\"n\":1}", "");
	struct event *event = make_event(document, &reading);
	assert_true(event->is_read);
	assert_false(event->is_refused);
	assert_change_kept(event, document);
	struct buffer expected = {0};
	proto_text(&expected, 1, "7-8-ab");
	proto_text(&expected, 2, "db");
	proto_text(&expected, 3, "users");
	proto_text(&expected, 4, "u1");
	proto_integer(&expected, 5, MODEL_UPDATE);
	proto_integer(&expected, 7, (uint64_t)-3);
	proto_integer(&expected, 100, 7);
	proto_integer(&expected, 101, 8);
	proto_integer(&expected, 102, 1234567);
	assert_bytes(event->encoded_bare, buffer_bytes(&expected));
	proto_text(&expected, 6, "{\"n\":1,\"version\":3,\"updatedAt\":20,\"createdAt\":10}");
	assert_bytes(event->encoded, buffer_bytes(&expected));
	buffer_fini(&expected);
	event_unref(event);
}

/* What consumers get of a document, and what filters see of it, both as JSON. */
static const struct {
	const char *full;
	const char *delivered;
	const char *seen;
	const char *id;
} documents[] = {
	{FULL("{\"id\":\"u1\"}", ""), "{\"version\":3,\"updatedAt\":20,\"createdAt\":10}",
		"{\"id\":\"u1\",\"collection\":\"users\",\"version\":3,\"updatedAt\":20,"
		"\"createdAt\":10}",
		"u1"},
	/* The system's members override the user's. */
	{FULL("{\"version\":\"mine\",\"id\":\"u1\",\"createdAt\":0,\"collection\":\"c\","
	      "\"updatedAt\":{},\"a\":1}",
		 ""),
		"{\"a\":1,\"version\":3,\"updatedAt\":20,\"createdAt\":10}",
		"{\"a\":1,\"id\":\"u1\",\"collection\":\"users\",\"version\":3,\"updatedAt\":20,"
		"\"createdAt\":10}",
		"u1"},
	/* `deleted` is the user's own on a living document, and the system's on a tombstone. */
	{FULL("{\"id\":\"u1\",\"deleted\":\"no\"}", ",\"deleted\":false"),
		"{\"deleted\":\"no\",\"version\":3,\"updatedAt\":20,\"createdAt\":10}",
		"{\"deleted\":\"no\",\"id\":\"u1\",\"collection\":\"users\",\"version\":3,"
		"\"updatedAt\":20,\"createdAt\":10}",
		"u1"},
	{FULL("{\"deleted\":\"no\"}", ",\"deleted\":true"),
		"{\"version\":3,\"updatedAt\":20,\"createdAt\":10,\"deleted\":true}",
		"{\"id\":\"\",\"collection\":\"users\",\"version\":3,\"updatedAt\":20,"
		"\"createdAt\":10,\"deleted\":true}",
		""},
	{FULL("{}", ",\"deleted\":true"),
		"{\"version\":3,\"updatedAt\":20,\"createdAt\":10,\"deleted\":true}",
		"{\"id\":\"\",\"collection\":\"users\",\"version\":3,\"updatedAt\":20,"
		"\"createdAt\":10,\"deleted\":true}",
		""},
	{FULL("null", ""), "{\"version\":3,\"updatedAt\":20,\"createdAt\":10}",
		"{\"id\":\"\",\"collection\":\"users\",\"version\":3,\"updatedAt\":20,"
		"\"createdAt\":10}",
		""},
	/* No system's members at all, and no data. */
	{"{\"collection\":\"users\"}", "{}", "{\"id\":\"\",\"collection\":\"users\"}", ""},
	{"{\"collection\":\"users\",\"data\":{\"a\":[]},\"version\":0}", "{\"a\":[],\"version\":0}",
		"{\"a\":[],\"id\":\"\",\"collection\":\"users\",\"version\":0}", ""},
	/* What the system does not have overrides nothing. */
	{"{\"collection\":\"users\",\"data\":{\"version\":1,\"updatedAt\":2},\"updatedAt\":3}",
		"{\"version\":1,\"updatedAt\":3}",
		"{\"version\":1,\"id\":\"\",\"collection\":\"users\",\"updatedAt\":3}", ""},
	/* Numbers and escapes go out as they came; names are compared without their escapes. */
	{FULL("{ \"\\u0069d\" : \"\\u00fc\", \"n\":9007199254740993,\"b\" : 18446744073709551615 ,"
	      "\"t\":\"\\u2028 \xe2\x80\xa8 \\ud83d\\ude00\",\"\\u0076ersion\":1,\"d\":25.0}",
		 ""),
		"{\"n\":9007199254740993,\"b\" : 18446744073709551615,"
		"\"t\":\"\\u2028 \xe2\x80\xa8 \\ud83d\\ude00\",\"d\":25.0,"
		"\"version\":3,\"updatedAt\":20,\"createdAt\":10}",
		"{\"n\":9007199254740993,\"b\":18446744073709551615,"
		"\"t\":\"\xe2\x80\xa8 \xe2\x80\xa8 "
		"\xf0\x9f\x98\x80\",\"d\":25.0,\"id\":\"\xc3\xbc\","
		"\"collection\":\"users\",\"version\":3,\"updatedAt\":20,\"createdAt\":10}",
		"\xc3\xbc"},
	/* Repeated names: the last one wins; all ids are gone from what goes out. */
	{FULL("{\"id\":\"a\",\"x\":1,\"id\":\"b\",\"x\":2}", ",\"version\":4"),
		"{\"x\":1,\"x\":2,\"version\":4,\"updatedAt\":20,\"createdAt\":10}",
		"{\"x\":2,\"id\":\"b\",\"collection\":\"users\",\"version\":4,\"updatedAt\":20,"
		"\"createdAt\":10}",
		"b"},
	{FULL("{\"a\":1}", ",\"data\":{\"b\":2},\"collection\":\"orders\""),
		"{\"b\":2,\"version\":3,\"updatedAt\":20,\"createdAt\":10}",
		"{\"b\":2,\"id\":\"\",\"collection\":\"orders\",\"version\":3,\"updatedAt\":20,"
		"\"createdAt\":10}",
		""},
	/* An id that is no string is none, and does not go out either. */
	{FULL("{\"id\":5,\"a\":1}", ""),
		"{\"a\":1,\"version\":3,\"updatedAt\":20,\"createdAt\":10}",
		"{\"a\":1,\"id\":\"\",\"collection\":\"users\",\"version\":3,\"updatedAt\":20,"
		"\"createdAt\":10}",
		""},
	{FULL("{\"id\":\"a\",\"id\":null}", ""),
		"{\"version\":3,\"updatedAt\":20,\"createdAt\":10}",
		"{\"id\":\"\",\"collection\":\"users\",\"version\":3,\"updatedAt\":20,"
		"\"createdAt\":10}",
		""},
};

static void test_documents(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
		struct arena arena = {0};
		const struct value *seen;
		struct event *event = make_event(documents[i].full, &reading);
		assert_true(event->is_read);
		assert_false(event->is_refused);
		struct model_delivery delivery = delivery_of(event->encoded);
		assert_text(delivery.document, documents[i].delivered);
		assert_text(delivery.document_id, documents[i].id);
		assert_text(event->document_id, documents[i].id);
		assert_bytes(delivery.collection, event->collection);
		assert_int_equal(
			json_parse(bytes_of(documents[i].seen), DEPTH, &arena, &seen, NULL), OK);
		assert_true(value_equal(event->document, seen));
		event_unref(event);
		arena_fini(&arena);
	}
	/* 2^53 + 1 is an int, and not rounded. */
	struct event *event = make_event(FULL("{\"n\":9007199254740993}", ""), &reading);
	const struct value *number = value_member(event->document, bytes_of("n"));
	assert_true(number->kind == VALUE_INT && number->as.integer == 9007199254740993);
	event_unref(event);
}

/* ---- refused documents ----------------------------------------------------------------------- */

static void test_refused(void **state)
{
	(void)state;
	static const struct {
		const char *full;
		const char *id;
		const char *why; /* part of it */
	} refused[] = {
		{FULL("{\"id\":\"u1\",\"n\":1e999}", ""), "u1", "at byte"},
		{FULL("{\"id\":\"u1\",\"t\":\"\\ud800\"}", ""), "u1", "surrogate"},
		{FULL("{\"id\":\"u1\",\"t\":\"\xff\"}", ""), "u1", "UTF-8"},
		{FULL("{\"id\":\"u1\",\"t\":[[[[[[[]]]]]]]}", ""), "u1", "at most 8 levels"},
		{FULL("{\"id\":\"u1\",\"n\":01}", ""), "u1", "at byte"},
		{FULL("{\"id\":\"u1\"}", ",}"), "u1", "name"},
		{FULL("{\"id\":\"\\ud800\"}", ""), "", "surrogate"},
		{FULL("{\"id\":\"u1\"", ""), "u1", "the end of the text"},
		{FULL("[\"id\"]", ""), "", "data is a list, not an object"},
		{FULL("\"id\"", ""), "", "data is a string, not an object"},
		{FULL("{\"id\":\"u1\"}", ",\"x\":nul"), "u1", "null"},
	};
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct err_info info = {0};
		struct event *event = make_of(bytes_of(refused[i].full), &reading, &info);
		assert_true(event->is_refused);
		assert_true(event->is_read);
		assert_null(event->document);
		assert_non_null(strstr(info.text, refused[i].why));
		assert_text(event->document_id, refused[i].id);
		/* It goes out with its names and without a document. */
		struct model_delivery delivery = delivery_of(event->encoded);
		assert_text(delivery.event_id, "7-8-ab");
		assert_text(delivery.document_id, refused[i].id);
		assert_bytes(delivery.collection, event->collection);
		assert_int_equal(delivery.document.size, 0);
		assert_true(delivery.timestamp_ms == -3);
		event_unref(event);
	}
}

static void test_names_must_be_utf8(void **state)
{
	(void)state;
	struct wire_document_head head = {.is_object = true};
	struct model_change change = change_of(bytes_of("{}"));
	struct err_info info = {0};
	struct event *event = NULL;
	change.event_id = RAW("\xff");
	assert_int_equal(wire_event_make(&change, MODEL_UPDATE, &head, &reading, &info, &event),
		ERR_INVALID);
	assert_int_equal(info.code, ERR_INVALID);
	change = change_of(bytes_of("{}"));
	change.database = RAW("\xff");
	assert_int_equal(
		wire_event_make(&change, MODEL_UPDATE, &head, &reading, NULL, &event), ERR_INVALID);
	assert_null(event);
}

/* ---- unread events --------------------------------------------------------------------------- */

static void assert_same_event(const struct event *a, const struct event *b)
{
	assert_int_equal(a->sequence, b->sequence);
	assert_true(a->received_us == b->received_us);
	assert_int_equal(a->operation, b->operation);
	assert_int_equal(a->is_read, b->is_read);
	assert_int_equal(a->is_refused, b->is_refused);
	assert_bytes(a->change.event_id, b->change.event_id);
	assert_bytes(a->change.full_document, b->change.full_document);
	assert_bytes(a->collection, b->collection);
	assert_bytes(a->document_id, b->document_id);
	assert_bytes(a->encoded, b->encoded);
	assert_bytes(a->encoded_bare, b->encoded_bare);
	assert_int_equal(!a->document, !b->document);
	assert_true(!a->document || value_equal(a->document, b->document));
}

static void test_unread(void **state)
{
	(void)state;
	const char *document = FULL("{\"id\":\"u1\",\"n\":1}", "");
	struct event *event = make_event(document, &unread);
	assert_change_kept(event, document);
	assert_false(event->is_read);
	assert_false(event->is_refused);
	assert_null(event->document);
	assert_int_equal(event->encoded.size, 0);
	struct event *later = read_later(event, DEPTH);
	event_unref(event); /* the copy is whole */
	struct event *at_once = make_event(document, &reading);
	assert_same_event(later, at_once);
	event_unref(later);
	event_unref(at_once);
	/* Nobody reads it, so nobody refuses it, until somebody does. */
	event = make_event(FULL("{\"id\":\"u1\",\"n\":1e999}", ""), &unread);
	assert_false(event->is_refused);
	assert_text(event->document_id, "u1");
	later = read_later(event, DEPTH);
	assert_true(later->is_refused);
	event_unref(later);
	event_unref(event);
}

/* An event that was read may be read again, say by somebody who allows less depth. */
static void test_read_again(void **state)
{
	(void)state;
	struct event *event = make_event(FULL("{\"id\":\"u1\",\"t\":[[[]]]}", ""), &reading);
	struct event *again = read_later(event, DEPTH);
	assert_same_event(again, event);
	event_unref(again);
	again = read_later(event, 4);
	assert_true(again->is_refused);
	event_unref(again);
	event_unref(event);
}

/* ---- large documents ------------------------------------------------------------------------- */

/* `size` bytes of text in the document's data. */
static struct event *make_large(size_t size, const struct wire_event_options *options)
{
	struct buffer document = {0};
	proto_raw(
		&document, bytes_of("{\"collection\":\"users\",\"data\":{\"id\":\"u1\",\"t\":\""));
	check(buffer_reserve(&document, size) == OK);
	memset(document.data + document.size, 'x', size);
	document.size += size;
	proto_raw(&document, bytes_of("\"},\"version\":3}"));
	struct event *event = make_of(buffer_bytes(&document), options, NULL);
	buffer_fini(&document);
	return event;
}

/* The front of an encoding is that of the event without its document. */
static void test_bare_front(void **state)
{
	(void)state;
	struct event *event = make_large(1000000, &reading);
	struct model_delivery whole = delivery_of(event->encoded);
	struct model_delivery bare = delivery_of(event->encoded_bare);
	assert_ptr_equal(event->encoded_bare.data, event->encoded.data);
	assert_int_equal(bare.document.size, 0);
	assert_true(whole.document.size > 1000000);
	assert_bytes(bare.event_id, whole.event_id);
	assert_bytes(bare.database, whole.database);
	assert_bytes(bare.collection, whole.collection);
	assert_bytes(bare.document_id, whole.document_id);
	assert_int_equal(bare.operation, whole.operation);
	assert_true(bare.timestamp_ms == whole.timestamp_ms);
	assert_true(bare.received_us == whole.received_us);
	event_unref(event);
	event = make_large(1000000, &unread);
	assert_int_equal(event->encoded_bare.size, 0);
	event_unref(event);
}

/* The document's length takes one, two and three bytes; nothing is lost where it grows. */
static void test_document_sizes(void **state)
{
	(void)state;
	for (size_t size = 0; size < 17000; size += size < 300 || size > 16200 ? 1 : 53) {
		struct event *event = make_large(size, &reading);
		struct model_delivery delivery = delivery_of(event->encoded);
		assert_int_equal(
			delivery.document.size, sizeof("{\"t\":\"\",\"version\":3}") - 1 + size);
		assert_int_equal(delivery.document.data[delivery.document.size - 1], '}');
		assert_true(delivery.received_us == 1234567);
		event_unref(event);
	}
}

/* ---- lack of memory, random documents -------------------------------------------------------- */

static void test_events_without_memory(void **state)
{
	(void)state;
	struct buffer large = {0};
	proto_raw(&large,
		bytes_of("{\"collection\":\"\\u0061\",\"data\":{\"id\":\"\\u0061\",\"t\":\""));
	check(buffer_reserve(&large, 70000) == OK);
	memset(large.data + large.size, 'x', 70000);
	large.size += 70000;
	proto_raw(&large, bytes_of("\"}}"));
	const struct bytes texts[] = {
		buffer_bytes(&large), bytes_of(FULL("{\"id\":\"\\u0061\",\"t\":\"\\ud800\"}", ""))};
	for (size_t i = 0; i < 2; i++) {
		bool failed = true;
		size_t failures = 0;
		for (size_t fail_at = 0; failed; fail_at++) {
			struct event *event = NULL;
			struct event *later = NULL;
			struct failing failing;
			failing_start(&failing, fail_at);
			enum err err = make(texts[i], &unread, NULL, &event);
			if (err == OK) {
				err = wire_event_read(event, DEPTH, &later);
			}
			event_unref(event);
			event_unref(later);
			failed = failing_stop(&failing);
			failures += failed;
			assert_int_equal(err, failed ? ERR_MEMORY : OK);
			assert_int_equal(failing.live, 0);
		}
		assert_true(failures > 3);
	}
	buffer_fini(&large);
}

static bool has_all(const struct value *a, const struct value *b)
{
	const struct value *end = value_after(a);
	for (const struct value *key = a + 1; key < end; key = value_after(key + 1)) {
		struct bytes name = value_text(key);
		bool is_apart = bytes_equal(name, bytes_of("id")) ||
			bytes_equal(name, bytes_of("collection"));
		const struct value *other = value_member(b, name);
		if (!is_apart && !(other && value_equal(other, value_member(a, name)))) {
			return false;
		}
	}
	return true;
}

/* Read at once and later are the same; what goes out is what filters see, without id and
 * collection; and the strict reader alone says what is refused. */
static void check_random(struct bytes text, size_t *read)
{
	struct arena arena = {0};
	const struct value *root;
	const struct value *delivered;
	struct event *events[2] = {make_of(text, &reading, NULL), make_of(text, &unread, NULL)};
	struct event *later = read_later(events[1], DEPTH);
	assert_same_event(events[0], later);
	assert_true(bytes_are_utf8(events[0]->collection));
	assert_true(bytes_are_utf8(events[0]->document_id));
	enum err err = json_parse(text, DEPTH, &arena, &root, NULL);
	struct model_delivery delivery = delivery_of(events[0]->encoded);
	if (!events[0]->is_refused) {
		assert_int_equal(err, OK);
		assert_int_equal(
			json_parse(delivery.document, DEPTH, &arena, &delivered, NULL), OK);
		assert_null(value_member(delivered, bytes_of("id")));
		assert_null(value_member(delivered, bytes_of("collection")));
		assert_true(has_all(events[0]->document, delivered));
		assert_true(has_all(delivered, events[0]->document));
		assert_bytes(delivery.document_id,
			value_text(value_member(events[0]->document, bytes_of("id"))));
		assert_bytes(events[0]->document_id, events[1]->document_id);
		(*read)++;
	} else if (err == OK) {
		const struct value *data = value_member(root, bytes_of("data"));
		assert_true(data->kind != VALUE_OBJECT && data->kind != VALUE_NULL);
	}
	event_unref(events[0]);
	event_unref(events[1]);
	event_unref(later);
	arena_fini(&arena);
}

static void check_member(const struct event *event, const char *name, int64_t integer)
{
	const struct value *value = value_member(event->document, bytes_of(name));
	check(value);
	assert_int_equal(value->kind, VALUE_INT);
	assert_int_equal(value->as.integer, integer);
}

static bool may_be_skipped(struct bytes name, uint64_t skipped)
{
	static const char *const kept[] = {
		"id", "data", "version", "deleted", "createdAt", "updatedAt", "collection"};
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (bytes_equal(name, bytes_of(kept[i]))) {
			return false;
		}
	}
	return skipped >> event_member_bit(name) & 1;
}

/* What is looked at is as if all had been read, and so is what goes out. */
static void check_skipping(struct bytes text, uint64_t skipped, size_t *missing)
{
	struct wire_event_options options = reading;
	struct event *whole = make_of(text, &options, NULL);
	options.skipped = skipped;
	struct event *skimmed = make_of(text, &options, NULL);
	struct event *again = read_later(skimmed, DEPTH);
	assert_same_event(whole, again);
	assert_int_equal(again->skipped, 0);
	if (!whole->is_refused) {
		assert_false(skimmed->is_refused);
		assert_bytes(skimmed->encoded, whole->encoded);
		assert_bytes(skimmed->document_id, whole->document_id);
		const struct value *end = value_after(whole->document);
		for (const struct value *name = whole->document + 1; name < end;
			name = value_after(name + 1)) {
			struct bytes text_of_name = value_text(name);
			const struct value *seen = value_member(skimmed->document, text_of_name);
			bool is_missing = may_be_skipped(text_of_name, skipped);
			assert_int_equal(seen == NULL, is_missing);
			assert_true(is_missing ||
				value_equal(seen, value_member(whole->document, text_of_name)));
			*missing += is_missing;
		}
		assert_true(has_all(skimmed->document, whole->document));
	}
	event_unref(whole);
	event_unref(skimmed);
	event_unref(again);
}

static void test_what_is_skipped_is_not_checked(void **state)
{
	(void)state;
	struct wire_event_options options = reading;
	const char *text = "{\"collection\":\"c\",\"data\":{\"id\":\"i\",\"a\":01x,\"b\":2,"
			   "\"a\":tru}}";
	struct event *event = make_event(text, &options);
	assert_true(event->is_refused);
	event_unref(event);
	options.skipped = (uint64_t)1 << event_member_bit(bytes_of("a"));
	event = make_event(text, &options);
	assert_false(event->is_refused);
	check_member(event, "b", 2);
	assert_null(value_member(event->document, bytes_of("a")));
	assert_bytes(
		delivery_of(event->encoded).document, bytes_of("{\"a\":01x,\"b\":2,\"a\":tru}"));
	event_unref(event);
	options.skipped = ~options.skipped; /* what is looked at is */
	event = make_event(text, &options);
	assert_true(event->is_refused);
	event_unref(event);
	struct err_info info = {0};
	event = make_of(bytes_of("{\"collection\":\"c\",\"data\":[1]}"), &options, &info);
	assert_true(event->is_refused);
	assert_text(bytes_of(info.text),
		"the document's data is no object, or cannot be followed to its end");
	event_unref(event);
}

/* More pieces than are kept at hand. */
static void test_skipping_with_spaces(void **state)
{
	(void)state;
	size_t missing = 0;
	check_skipping(bytes_of("{\"collection\":\"c\",\"data\":{ \"a\" : 1 , \"b\" : 2 , "
				"\"c\":3 , \"d\":4 ,\"e\":5, \"f\":6 , \"g\":7 , \"h\":8 , "
				"\"i\":9 , \"j\":[ ] , \"k\":{} , \"l\":null } ,\"version\":3}"),
		UINT64_MAX, &missing);
	assert_int_equal(missing, 12);
}

static void test_random_documents(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_random_documents");
	struct buffer text = {0};
	size_t read = 0;
	size_t missing = 0;
	for (unsigned round = 0; round < 20000; round++) {
		text.size = 0;
		proto_raw(&text, bytes_of("{\"collection\":\"users\",\"data\":"));
		random_value(&random, &text, 3);
		for (uint64_t i = test_random_below(&random, 4); i > 0; i--) {
			static const char *const more[] = {",\"version\":", ",\"deleted\":",
				",\"d\\u0061ta\":", ",\"collection\":"};
			proto_raw(&text, bytes_of(more[test_random_below(&random, 4)]));
			random_value(&random, &text, 2);
		}
		proto_raw(&text, bytes_of("}"));
		for (uint64_t i = test_random_below(&random, 3); i > 1; i--) {
			size_t at = test_random_below(&random, text.size);
			text.data[at] = (char)test_random_next(&random);
			text.size -= test_random_below(&random, 2);
		}
		check_random(buffer_bytes(&text), &read);
		uint64_t skipped = test_random_next(&random);
		check_skipping(buffer_bytes(&text), skipped, &missing);
	}
	assert_true(read > 2000);
	assert_true(missing > 300);
	buffer_fini(&text);
}

/* ---- what the system says of a member, and where members stand ------------------------------- */

/* Scalars of the user's are written over, so that each name stands once; others are overridden. */
static void test_system_values_count(void **state)
{
	(void)state;
	struct event *event = make_event("{\"collection\":\"c\",\"version\":1,\"updatedAt\":2,"
					 "\"data\":{\"version\":\"x\",\"id\":\"i\",\"a\":[5],"
					 "\"collection\":null}}",
		&reading);
	check_member(event, "version", 1);
	check_member(event, "updatedAt", 2);
	assert_int_equal(event->document->size, 5);
	assert_true(event->document->is_sealed);
	assert_text(value_text(value_member(event->document, bytes_of("id"))), "i");
	assert_text(value_text(value_member(event->document, bytes_of("collection"))), "c");
	assert_text(
		delivery_of(event->encoded).document, "{\"a\":[5],\"version\":1,\"updatedAt\":2}");
	event_unref(event);
	event = make_event("{\"collection\":\"c\",\"version\":1,\"updatedAt\":[2],"
			   "\"data\":{\"version\":{\"b\":3},\"updatedAt\":4,\"a\":5}}",
		&reading);
	check_member(event, "version", 1);
	check_member(event, "a", 5);
	assert_int_equal(value_member(event->document, bytes_of("updatedAt"))->kind, VALUE_LIST);
	assert_int_equal(event->document->size, 7);
	assert_int_equal(value_after(event->document) - event->document, 18);
	event_unref(event);
}

/* Members go out as they stand, whatever is between them and whichever of them are left out. */
static void test_members_as_they_stand(void **state)
{
	(void)state;
	static const struct {
		const char *data;
		const char *sent;
	} rows[] = {
		{"{}", "{}"},
		{" { } ", "{}"},
		{"{\"a\":1,\"b\":[2 , 3],\"c\":{ }}", "{\"a\":1,\"b\":[2 , 3],\"c\":{ }}"},
		{"{ \"a\" : 1 ,\n\"b\":\t2\r}", "{\"a\" : 1,\"b\":\t2}"},
		{"{\"id\":\"i\",\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2}"},
		{"{\"a\":1,\"id\":\"i\",\"b\":2}", "{\"a\":1,\"b\":2}"},
		{"{\"a\":1,\"b\":2,\"id\":\"i\"}", "{\"a\":1,\"b\":2}"},
		{"{\"a\":1 , \"id\":\"i\" , \"b\":2, \"collection\":[] }", "{\"a\":1,\"b\":2}"},
		{"{\"id\":\"i\",\"collection\":5}", "{}"},
		{"{\"i\\u0064\":\"i\",\"a\":1 , \"b\":2}", "{\"a\":1,\"b\":2}"},
		{"{\"\":\",\",\"a\\n\":\" ,\" , \"b\":\"}\"}",
			"{\"\":\",\",\"a\\n\":\" ,\",\"b\":\"}\"}"},
		{"{\"\":\",\", \"a\":\" ,\",\"a\":\"}\" }",
			"{\"\":\",\",\"a\":\" ,\",\"a\":\"}\"}"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char document[256];
		(void)snprintf(document, sizeof(document), "{\"collection\":\"c\",\"data\":%s}",
			rows[i].data);
		struct event *event = make_event(document, &reading);
		assert_text(delivery_of(event->encoded).document, rows[i].sent);
		event_unref(event);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_head_of_anything),
		cmocka_unit_test(test_event),
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_names_must_be_utf8),
		cmocka_unit_test(test_unread),
		cmocka_unit_test(test_read_again),
		cmocka_unit_test(test_bare_front),
		cmocka_unit_test(test_document_sizes),
		cmocka_unit_test(test_events_without_memory),
		cmocka_unit_test(test_what_is_skipped_is_not_checked),
		cmocka_unit_test(test_skipping_with_spaces),
		cmocka_unit_test(test_random_documents),
		cmocka_unit_test(test_system_values_count),
		cmocka_unit_test(test_members_as_they_stand),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
