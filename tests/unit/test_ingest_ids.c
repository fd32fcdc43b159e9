/*
 * ingest: deletes and re-creations, which depend on a document's past: the memory of ids seen, what
 * an update says of `deleted`, and hard deletes. Changes are as the original's store writes them.
 */
#include "failing.h"
#include "ingest_rig.h"
#include "value.h"

#include <stdio.h>

/* ---- changes of one document -------------------------------------------------------------------
 */

struct document {
	char id[32];
	char store_id[80];
};

static struct document document_of(unsigned number)
{
	struct document document;
	struct event_identity identity;
	(void)snprintf(document.id, sizeof document.id, "u%u", number);
	assert_true(event_identity_of(bytes_of("users"), bytes_of(document.id), &identity));
	int size = snprintf(document.store_id, sizeof document.store_id, "d:");
	for (size_t i = 0; i < EVENT_IDENTITY_SIZE; i++) {
		size += snprintf(document.store_id + size, 3, "%02x", identity.bytes[i]);
	}
	return document;
}

static unsigned next_number(const struct rig *rig)
{
	return (unsigned)figure(rig, METRIC_events_received) + 1;
}

enum what { INSERTED, UPDATED, TOMBSTONE, REPLACED, PURGED };

/* Pushes the change; `says` is its update_desc. Gives the event, NULL if there was none. */
static const struct event *push(
	struct rig *rig, const struct document *document, enum what what, const char *says)
{
	static const enum model_change_kind kinds[] = {MODEL_CHANGE_INSERT, MODEL_CHANGE_UPDATE,
		MODEL_CHANGE_UPDATE, MODEL_CHANGE_REPLACE, MODEL_CHANGE_DELETE};
	struct model_change change = rig_change(next_number(rig));
	char text[300];
	(void)snprintf(text, sizeof text,
		what == TOMBSTONE
			? "{\"id\":\"%s\",\"collection\":\"users\",\"version\":2,\"data\":{},"
			  "\"deleted\":true}"
			: "{\"id\":\"%s\",\"collection\":\"users\",\"version\":2,"
			  "\"data\":{\"id\":\"%s\",\"n\":1}}",
		document->store_id, document->id);
	change.kind = kinds[what];
	change.store_id = bytes_of(document->store_id);
	change.full_document = what == PURGED ? (struct bytes){0} : bytes_of(text);
	change.database = what == PURGED ? (struct bytes){0} : bytes_of("d");
	change.update = bytes_of(says);
	size_t before = rig->events_count;
	assert_int_equal(ingest_push(rig->ingest, &change, NULL), OK);
	return rig->events_count > before ? rig->events[before] : NULL;
}

static struct rig *remembering(size_t bytes)
{
	struct rig *rig = rig_new(INGEST_PUSH);
	rig->options.ids_bytes_max = bytes;
	rig_start(rig);
	return rig;
}

static void assert_event(
	const struct event *event, enum model_operation operation, const char *document_id)
{
	assert_non_null(event);
	check(event);
	assert_int_equal(event->operation, operation);
	assert_true(bytes_equal(event->document_id, bytes_of(document_id)));
	assert_int_equal(event->id_is_unknown, operation == MODEL_DELETE && document_id[0] == '\0');
	assert_true(bytes_equal(event->change.database, bytes_of("d")));
}

/* ---- the table ---------------------------------------------------------------------------------
 */

static void test_operations_with_a_past(void **state)
{
	(void)state;
	static const struct {
		struct ingest_facts facts;
		enum model_operation operation;
	} table[] = {
		{{.kind = MODEL_CHANGE_UPDATE, .has_document = true, .was_deleted = true},
			MODEL_INSERT},
		{{.kind = MODEL_CHANGE_UPDATE, .has_document = true, .clears_deleted = true},
			MODEL_INSERT},
		{{.kind = MODEL_CHANGE_UPDATE, .has_document = true, .sets_deleted = true},
			MODEL_DELETE},
		{{.kind = MODEL_CHANGE_UPDATE, .sets_deleted = true}, MODEL_NO_OPERATION},
		{{.kind = MODEL_CHANGE_UPDATE,
			 .has_document = true,
			 .is_deleted = true,
			 .was_deleted = true},
			MODEL_DELETE},
		{{.kind = MODEL_CHANGE_REPLACE, .has_document = true, .was_deleted = true},
			MODEL_INSERT},
		{{.kind = MODEL_CHANGE_INSERT, .has_document = true, .was_deleted = true},
			MODEL_INSERT},
		{{.kind = MODEL_CHANGE_DELETE}, MODEL_NO_OPERATION},
		{{.kind = MODEL_CHANGE_DELETE, .has_identity = true}, MODEL_DELETE},
		{{.kind = MODEL_CHANGE_DELETE, .has_identity = true, .was_deleted = true},
			MODEL_NO_OPERATION},
	};
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		assert_int_equal(ingest_operation(&table[i].facts), table[i].operation);
	}
}

/* ---- deletes ------------------------------------------------------------------------------------
 */

static void test_delete_says_its_id(void **state)
{
	(void)state;
	struct rig *rig = remembering(100000);
	struct document seen = document_of(1);
	struct document unseen = document_of(2);
	assert_event(push(rig, &seen, INSERTED, ""), MODEL_INSERT, "u1");
	assert_event(push(rig, &seen, TOMBSTONE, ""), MODEL_DELETE, "u1");
	assert_int_equal(figure(rig, METRIC_events_without_id), 0);
	const struct event *event = push(rig, &unseen, TOMBSTONE, "");
	assert_event(event, MODEL_DELETE, "");
	assert_true(event->has_identity);
	assert_int_equal(figure(rig, METRIC_events_without_id), 1);
	rig_free(rig);
}

static void test_comes_back_to_life(void **state)
{
	(void)state;
	struct rig *rig = remembering(100000);
	struct document document = document_of(1);
	assert_event(push(rig, &document, INSERTED, ""), MODEL_INSERT, "u1");
	assert_event(push(rig, &document, UPDATED, ""), MODEL_UPDATE, "u1");
	assert_event(push(rig, &document, TOMBSTONE, ""), MODEL_DELETE, "u1");
	assert_event(push(rig, &document, UPDATED, ""), MODEL_INSERT, "u1");
	assert_event(push(rig, &document, UPDATED, ""), MODEL_UPDATE, "u1");
	assert_event(push(rig, &document, UPDATED, "{\"updatedFields\":{\"deleted\":false}}"),
		MODEL_INSERT, "u1");
	assert_event(push(rig, &document, TOMBSTONE, ""), MODEL_DELETE, "u1");
	assert_event(push(rig, &document, REPLACED, ""), MODEL_INSERT, "u1");
	assert_event(push(rig, &document, UPDATED, ""), MODEL_UPDATE, "u1");
	rig_free(rig);
}

/* Deleted and created again before it was looked up: the delete shows the new document. */
static void test_delete_looked_up_late(void **state)
{
	(void)state;
	struct rig *rig = remembering(100000);
	struct document document = document_of(1);
	const struct event *event =
		push(rig, &document, UPDATED, "{\"updatedFields\":{\"data\":{},\"deleted\":true}}");
	assert_event(event, MODEL_DELETE, "u1");
	assert_true(event->is_without_document);
	assert_null(value_member(event->document, bytes_of("n")));
	event = push(rig, &document, REPLACED, "");
	assert_event(event, MODEL_INSERT, "u1");
	assert_non_null(value_member(event->document, bytes_of("n")));
	/* what only looks as if it said so */
	static const char *const nothing[] = {"{\"updatedFields\":{\"data.deleted\":true}}",
		"{\"updatedFields\":{\"data\":{\"deleted\":true}}}", "{\"deleted\":true}",
		"{\"updatedFields\":{\"deleted\":\"true\"}}", "[", "{\"updatedFields\":"};
	for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++) {
		assert_event(push(rig, &document, UPDATED, nothing[i]), MODEL_UPDATE, "u1");
	}
	rig_free(rig);
}

static void test_purges(void **state)
{
	(void)state;
	struct rig *rig = remembering(100000);
	struct document seen = document_of(1);
	struct document unseen = document_of(2);
	struct document told = document_of(3);
	(void)push(rig, &seen, INSERTED, "");
	const struct event *event = push(rig, &seen, PURGED, "");
	assert_event(event, MODEL_DELETE, "u1");
	assert_true(event->is_purge);
	assert_true(bytes_equal(event->collection, bytes_of("users")));

	event = push(rig, &unseen, PURGED, "");
	assert_event(event, MODEL_DELETE, "");
	assert_true(event->is_purge);
	assert_int_equal(event->collection.size, 0);
	assert_int_equal(figure(rig, METRIC_events_purged), 2);

	(void)push(rig, &told, INSERTED, "");
	(void)push(rig, &told, TOMBSTONE, "");
	assert_null(push(rig, &told, PURGED, "")); /* the tombstone, 30 days later */
	struct document nameless = {.id = "x", .store_id = "no hash"};
	assert_null(push(rig, &nameless, PURGED, ""));
	assert_int_equal(figure(rig, METRIC_events_ignored), 2);
	rig_free(rig);
}

/* A change that the sink had no room for is pushed again, and counts once. */
static void test_what_is_tried_again_counts_once(void **state)
{
	(void)state;
	static const char *const refused = "{\"collection\":\"users\",\"data\":{\"n\":01}}";
	struct rig *rig = remembering(100000);
	struct document unseen = document_of(1);
	struct model_change purge = rig_change(1);
	struct model_change bad = rig_change(2);
	purge.kind = MODEL_CHANGE_DELETE;
	purge.full_document = (struct bytes){0};
	purge.store_id = bytes_of(unseen.store_id);
	bad.full_document = bytes_of(refused);
	const struct model_change *const changes[] = {&purge, &bad};
	for (size_t i = 0; i < 2; i++) {
		for (int tries = 0; tries < 3; tries++) {
			rig->room = 0;
			assert_int_equal(ingest_push(rig->ingest, changes[i], NULL), ERR_FULL);
			ingest_resume(rig->ingest);
		}
		rig->room = 1;
		assert_int_equal(ingest_push(rig->ingest, changes[i], NULL), OK);
	}
	assert_int_equal(rig->events_count, 2);
	assert_int_equal(figure(rig, METRIC_events_without_id), 1);
	assert_int_equal(figure(rig, METRIC_events_purged), 1);
	assert_int_equal(figure(rig, METRIC_events_refused_documents), 1);
	rig_free(rig);
}

/* Set aside while the sink is full, it is remembered as of its own change. */
static void test_what_was_set_aside_is_remembered(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	struct document document = document_of(1);
	char text[200];
	rig->options.ids_bytes_max = 100000;
	rig_start(rig);
	rig_run(rig, SECOND_US);
	(void)snprintf(text, sizeof text, "{\"collection\":\"users\",\"data\":{\"id\":\"%s\"}}",
		document.id);
	for (unsigned i = 1; i <= 3; i++) {
		struct model_change change = rig_change(i);
		change.kind = i == 1 ? MODEL_CHANGE_INSERT : MODEL_CHANGE_UPDATE;
		change.store_id = bytes_of(document.store_id);
		change.full_document = bytes_of(
			i == 2 ? "{\"collection\":\"users\",\"data\":{},\"deleted\":true}" : text);
		rig->room = 0;
		fake_send(&rig->puller, &change, "m1");
		rig_run(rig, SECOND_US);
		assert_int_equal(ingest_state(rig->ingest), INGEST_HELD);
		rig->room = 1;
		ingest_resume(rig->ingest);
		rig_run(rig, SECOND_US);
	}
	assert_int_equal(rig->events_count, 3);
	assert_event(rig->events[0], MODEL_INSERT, "u1");
	assert_event(rig->events[1], MODEL_DELETE, "u1");
	assert_event(rig->events[2], MODEL_INSERT, "u1"); /* an update that brings it back */
	rig_free(rig);
}

/* ---- the bound ----------------------------------------------------------------------------------
 */

static void test_forgets_what_was_not_seen_for_longest(void **state)
{
	(void)state;
	enum { DOCUMENTS = 1000, BYTES = 20000 };
	struct rig *rig = remembering(BYTES);
	struct document first = document_of(0);
	(void)push(rig, &first, INSERTED, "");
	for (unsigned i = 1; i < DOCUMENTS; i++) {
		struct document document = document_of(i);
		(void)push(rig, &document, INSERTED, "");
		(void)push(rig, &first, UPDATED, ""); /* seen again and again */
	}
	assert_event(push(rig, &first, TOMBSTONE, ""), MODEL_DELETE, "u0");
	struct document oldest = document_of(1);
	assert_event(push(rig, &oldest, TOMBSTONE, ""), MODEL_DELETE, "");
	struct document newest = document_of(DOCUMENTS - 1);
	char id[32];
	(void)snprintf(id, sizeof id, "u%d", DOCUMENTS - 1);
	assert_event(push(rig, &newest, TOMBSTONE, ""), MODEL_DELETE, id);
	rig_free(rig);

	rig = remembering(0);
	(void)push(rig, &first, INSERTED, "");
	assert_event(push(rig, &first, TOMBSTONE, ""), MODEL_DELETE, "");
	rig_free(rig);
}

/* The same store id in another database is another document. */
static void test_databases_apart(void **state)
{
	(void)state;
	struct rig *rig = remembering(100000);
	struct document document = document_of(1);
	(void)push(rig, &document, INSERTED, "");
	document.store_id[0] = 'e';
	struct model_change change = rig_change(next_number(rig));
	change.kind = MODEL_CHANGE_DELETE;
	change.store_id = bytes_of(document.store_id);
	change.full_document = (struct bytes){0};
	assert_int_equal(ingest_push(rig->ingest, &change, NULL), OK);
	const struct event *event = rig->events[rig->events_count - 1];
	assert_true(bytes_equal(event->change.database, bytes_of("e")));
	assert_true(event->id_is_unknown);
	rig_free(rig);
}

/* Lack of memory costs what would have been remembered, and nothing else. */
static void test_without_memory(void **state)
{
	(void)state;
	for (size_t fail_at = 0;; fail_at++) {
		struct rig *rig = remembering(100000);
		struct document document = document_of(1);
		struct failing failing;
		struct model_change change = rig_change(1);
		change.store_id = bytes_of(document.store_id);
		failing_start(&failing, fail_at);
		enum err err = ingest_push(rig->ingest, &change, NULL);
		bool met = failing_stop(&failing);
		assert_true(err == OK || (met && err == ERR_MEMORY));
		const struct event *event = push(rig, &document, TOMBSTONE, "");
		assert_non_null(event);
		check(event);
		assert_int_equal(event->operation, MODEL_DELETE);
		rig_free(rig);
		if (!met) {
			break;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operations_with_a_past),
		cmocka_unit_test(test_delete_says_its_id),
		cmocka_unit_test(test_comes_back_to_life),
		cmocka_unit_test(test_delete_looked_up_late),
		cmocka_unit_test(test_purges),
		cmocka_unit_test(test_what_is_tried_again_counts_once),
		cmocka_unit_test(test_what_was_set_aside_is_remembered),
		cmocka_unit_test(test_forgets_what_was_not_seen_for_longest),
		cmocka_unit_test(test_databases_apart),
		cmocka_unit_test(test_without_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
