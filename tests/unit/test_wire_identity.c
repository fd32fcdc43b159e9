/* wire: events of deletes, whose document does not say its id any more, through wire.h. */
#include "wire.h"

#include "failing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define assert_text(actual, expected) assert_true(bytes_equal((actual), bytes_of(expected)))

/* The identity of users/doc1 (compat notes, section 2.1). */
#define STORE_ID "db:c5065b7b91c54be94915e0060d04bc57"

static const char tombstone[] = "{\"id\":\"" STORE_ID "\",\"collection\":\"users\",\"data\":{},"
				"\"version\":3,\"updatedAt\":5,\"createdAt\":4,\"deleted\":true}";
static const char alive[] = "{\"id\":\"" STORE_ID "\",\"collection\":\"users\",\"version\":4,"
			    "\"updatedAt\":6,\"createdAt\":6,\"data\":{\"id\":\"doc1\",\"a\":1}}";

static struct model_change change_of(const char *document)
{
	return (struct model_change){.event_id = bytes_of("7-8-ab"),
		.database = bytes_of("db"),
		.store_id = bytes_of(STORE_ID),
		.kind = MODEL_CHANGE_UPDATE,
		.full_document = bytes_of(document)};
}

/* With the identity of the changes' store id, as ingest finds it. */
static enum err make_of(const struct model_change *change, const struct wire_document_head *head,
	const struct wire_event_options *options, struct event **ret_event)
{
	struct bytes database;
	struct event_identity identity;
	struct wire_event_options all = *options;
	assert_true(event_identity_parse(change->store_id, &database, &identity));
	all.identity = &identity;
	return wire_event_make(change, MODEL_DELETE, head, &all, NULL, ret_event);
}

static enum err try_make(
	const char *document, const struct wire_event_options *options, struct event **ret_event)
{
	struct arena arena = {0};
	struct wire_document_head head;
	struct model_change change = change_of(document);
	enum err err = wire_document_head_scan(change.full_document, &arena, &head);
	if (err == OK) {
		head.deleted = head.deleted || options->is_without_document;
		err = make_of(&change, &head, options, ret_event);
	}
	arena_fini(&arena);
	return err;
}

static struct event *make(const char *document, const struct wire_event_options *options)
{
	struct event *event = NULL;
	assert_int_equal(try_make(document, options, &event), OK);
	check(event);
	return event;
}

static struct model_delivery delivery_of(const struct event *event)
{
	struct model_delivery delivery;
	assert_int_equal(wire_delivery_parse(event->encoded, &delivery), OK);
	return delivery;
}

static void test_unknown_id(void **state)
{
	(void)state;
	const struct wire_event_options options = {.json_depth_max = 8, .read = true};
	struct event *event = make(tombstone, &options);
	assert_true(event->id_is_unknown);
	assert_true(event->has_identity);
	struct event_identity identity;
	assert_true(event_identity_of(bytes_of("users"), bytes_of("doc1"), &identity));
	assert_memory_equal(&event->identity, &identity, sizeof(identity));
	struct model_delivery delivery = delivery_of(event);
	assert_int_equal(delivery.document_id.size, 0);
	assert_int_equal(delivery.document_hash.size, EVENT_IDENTITY_SIZE);
	assert_memory_equal(delivery.document_hash.data, identity.bytes, EVENT_IDENTITY_SIZE);
	assert_text(delivery.document,
		"{\"version\":3,\"updatedAt\":5,\"createdAt\":4,\"deleted\":true}");
	event_unref(event);
}

static void test_known_id(void **state)
{
	(void)state;
	for (int read = 0; read < 2; read++) {
		const struct wire_event_options options = {
			.json_depth_max = 8, .read = read == 1, .document_id = bytes_of("doc1")};
		struct event *event = make(tombstone, &options);
		assert_false(event->id_is_unknown);
		assert_text(event->document_id, "doc1");
		struct event *later = NULL;
		assert_int_equal(wire_event_read(event, 8, &later), OK);
		check(later);
		assert_false(later->id_is_unknown);
		struct model_delivery delivery = delivery_of(later);
		assert_text(delivery.document_id, "doc1");
		assert_int_equal(delivery.document_hash.size, 0);
		const struct value *id = value_member(later->document, bytes_of("id"));
		check(id);
		assert_text(value_text(id), "doc1");
		event_unref(later);
		event_unref(event);
	}
}

/* Delivered with the id, matched without it. */
static void test_identify(void **state)
{
	(void)state;
	const struct wire_event_options options = {.json_depth_max = 8, .read = true};
	struct event *event = make(tombstone, &options);
	struct event *known = NULL;
	assert_int_equal(
		wire_event_identify(event, event->collection, bytes_of("doc1"), 8, &known), OK);
	assert_true(known->has_identity);
	assert_memory_equal(&known->identity, &event->identity, sizeof(event->identity));
	check(known);
	assert_true(known->id_is_unknown);
	assert_int_equal(known->sequence, event->sequence);
	struct model_delivery delivery = delivery_of(known);
	assert_text(delivery.document_id, "doc1");
	assert_text(delivery.collection, "users");
	assert_int_equal(delivery.document_hash.size, 0);
	assert_int_equal(delivery.operation, MODEL_DELETE);
	/* no filter on the field `id` sees what a stranger asked for */
	const struct value *id = value_member(known->document, bytes_of("id"));
	check(id);
	assert_int_equal(id->size, 0);
	event_unref(known);
	event_unref(event);
}

static struct event *make_purge(struct bytes collection, struct bytes id)
{
	const struct wire_event_options options = {
		.json_depth_max = 8, .read = true, .document_id = id, .is_purge = true};
	const struct wire_document_head head = {.collection = collection};
	struct model_change change = change_of("");
	change.kind = MODEL_CHANGE_DELETE;
	struct event *event = NULL;
	assert_int_equal(make_of(&change, &head, &options, &event), OK);
	check(event);
	return event;
}

static void test_purge(void **state)
{
	(void)state;
	struct event *event = make_purge(bytes_of("users"), bytes_of("doc1"));
	assert_true(event->is_purge);
	assert_false(event->id_is_unknown);
	struct model_delivery delivery = delivery_of(event);
	assert_text(delivery.document_id, "doc1");
	assert_int_equal(delivery.document.size, 0);
	event_unref(event);

	event = make_purge((struct bytes){0}, (struct bytes){0});
	assert_true(event->id_is_unknown);
	assert_true(event->has_identity);
	struct event *known = NULL;
	assert_int_equal(
		wire_event_identify(event, bytes_of("users"), bytes_of("doc1"), 8, &known), OK);
	check(known);
	assert_true(known->is_purge);
	delivery = delivery_of(known);
	assert_text(delivery.collection, "users");
	assert_text(delivery.document_id, "doc1");
	event_unref(known);
	event_unref(event);
}

/* An update that deleted, looked up when the document was alive again. */
static void test_without_document(void **state)
{
	(void)state;
	const struct wire_event_options options = {
		.json_depth_max = 8, .read = true, .is_without_document = true};
	struct event *made = make(alive, &options);
	struct event *again = NULL;
	assert_int_equal(wire_event_read(made, 8, &again), OK);
	const struct event *events[] = {made, again};
	for (size_t i = 0; i < 2; i++) {
		check(events[i]);
		assert_false(events[i]->id_is_unknown);
		struct model_delivery delivery = delivery_of(events[i]);
		assert_text(delivery.document_id, "doc1");
		assert_int_equal(delivery.document.size, 0);
		assert_null(value_member(events[i]->document, bytes_of("a")));
		assert_null(value_member(events[i]->document, bytes_of("version")));
		const struct value *deleted =
			value_member(events[i]->document, bytes_of("deleted"));
		check(deleted);
		assert_true(deleted->as.boolean);
	}
	event_unref(again);
	event_unref(made);
}

static void test_without_memory(void **state)
{
	(void)state;
	const struct wire_event_options options = {.json_depth_max = 8, .read = true};
	struct event *event = make(tombstone, &options);
	for (size_t fail_at = 0;; fail_at++) {
		struct failing failing;
		struct event *known = NULL;
		failing_start(&failing, fail_at);
		enum err err =
			wire_event_identify(event, event->collection, bytes_of("doc1"), 8, &known);
		event_unref(known);
		assert_int_equal(failing.live, 0);
		if (!failing_stop(&failing)) {
			assert_int_equal(err, OK);
			break;
		}
		assert_int_equal(err, ERR_MEMORY);
	}
	event_unref(event);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown_id),
		cmocka_unit_test(test_known_id),
		cmocka_unit_test(test_identify),
		cmocka_unit_test(test_purge),
		cmocka_unit_test(test_without_document),
		cmocka_unit_test(test_without_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
