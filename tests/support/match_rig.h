/*
 * Events and subscriptions by hand, for tests of match. Filters are written as
 *   room == "a" & n.x in [1, 2]
 * with one space between field, operator and JSON; "" is none, a filter that ends behind its
 * operator has no value. What is made lives in the caller's arena.
 */
#ifndef TEST_MATCH_RIG_H
#define TEST_MATCH_RIG_H

#include "event.h"
#include "match.h"
#include "model.h"
#include "value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { RIG_FILTERS_MAX = 16 };

static inline const struct value *rig_value(struct arena *arena, struct bytes text)
{
	const struct value *value = NULL;
	struct err_info info;
	if (json_parse(text, 1000, arena, &value, &info) != OK) {
		fail_msg("%.*s: %s", BYTES_FORMAT(text), info.text);
	}
	return value;
}

/* The run up to `end` or the text's end; *text moves behind it. */
static inline struct bytes rig_until(const char **text, const char *end)
{
	const char *found = strstr(*text, end);
	struct bytes run = {*text, found ? (size_t)(found - *text) : strlen(*text)};
	*text += run.size + (found ? strlen(end) : 0);
	return run;
}

static inline struct model_subscription rig_subscription(
	struct arena *arena, const char *database, const char *collection, const char *filters)
{
	struct model_filter *made = arena_alloc(arena, RIG_FILTERS_MAX * sizeof(*made));
	assert_non_null(made);
	size_t count = 0;
	while (*filters != '\0') {
		assert_true(count < RIG_FILTERS_MAX);
		struct bytes field = rig_until(&filters, " ");
		struct bytes op = rig_until(&filters, " ");
		struct bytes value = rig_until(&filters, " & ");
		made[count++] = (struct model_filter){
			field, op, value.size > 0 ? rig_value(arena, value) : NULL};
	}
	return (struct model_subscription){
		.database = bytes_of(database),
		.collection = bytes_of(collection),
		.filters = made,
		.filters_count = count,
	};
}

/* A query that must be accepted. */
static inline struct match_query *rig_get(
	struct match *match, const char *database, const char *collection, const char *filters)
{
	struct arena arena = {0};
	struct model_subscription subscription =
		rig_subscription(&arena, database, collection, filters);
	struct match_refusal refusal = {0};
	struct match_query *query = NULL;
	if (match_query_get(match, &subscription, &refusal, &query) != OK) {
		fail_msg("%s: %s", filters, refusal.text);
	}
	arena_fini(&arena);
	return query;
}

/*
 * An event whose document (NULL: refused) is the flattened one, in JSON. Of a DELETE an empty id is
 * one that is not known.
 */
static inline struct event *rig_event(enum model_operation operation, const char *database,
	const char *collection, const char *id, const char *document)
{
	struct event *event = NULL;
	assert_int_equal(event_new(&event), OK);
	event->operation = operation;
	event->change.database = arena_copy(&event->arena, bytes_of(database));
	event->collection = arena_copy(&event->arena, bytes_of(collection));
	event->document_id = arena_copy(&event->arena, bytes_of(id));
	event->id_is_unknown = operation == MODEL_DELETE && *id == '\0';
	event->is_read = true;
	event->is_refused = !document;
	if (document) {
		struct bytes text = arena_copy(&event->arena, bytes_of(document));
		event->document = rig_value(&event->arena, text);
	}
	return event;
}

/* The event knows by which document of its collection it is about, by the hash of its path. */
static inline struct event *rig_identify(struct event *event, const char *id)
{
	event->has_identity = event_identity_of(event->collection, bytes_of(id), &event->identity);
	assert_true(event->has_identity);
	return event;
}

/* A hard delete: nothing is left but the hash of the path. */
static inline struct event *rig_purge(const char *database, const char *collection, const char *id)
{
	struct event *event = rig_event(MODEL_DELETE, database, collection, "", NULL);
	event->is_refused = false;
	event->is_purge = true;
	return rig_identify(event, id);
}

#endif
