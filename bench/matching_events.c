/*
 * Lines to events. The operation is ingest's own; what ingest knows from earlier changes (the ids
 * of documents, repeats) plays no part, so that an event follows from its line alone.
 */
#include "ingest.h"
#include "matching_priv.h"
#include "wire.h"

#define NOW_MS INT64_C(1767225600000) /* of changes in the short form, the same in every run */

enum err matching_change_parse(const struct matching_line *line, struct arena *arena,
	struct err_info *info, struct model_change *ret_change, bool *ret_is_change)
{
	struct model_source_message message = {0};
	enum err err =
		wire_change_line_parse(line->text, line->ordinal, NOW_MS, arena, &message, info);
	if (err == OK) {
		*ret_change = message.change;
		*ret_is_change = message.has_change;
	}
	return err;
}

static void find_facts(const struct model_change *change, bool has_document, bool is_deleted,
	struct ingest_facts *facts)
{
	*facts = (struct ingest_facts){
		.kind = change->kind, .has_document = has_document, .is_deleted = is_deleted};
	if (change->kind == MODEL_CHANGE_UPDATE && !is_deleted) {
		enum wire_update_says says = wire_update_says(change->update);
		facts->sets_deleted = says == WIRE_UPDATE_DELETES;
		facts->clears_deleted = says == WIRE_UPDATE_REVIVES;
	}
}

enum err matching_event_make(const struct model_change *change, uint64_t sequence, uint64_t skipped,
	struct arena *scratch, struct event **ret_event)
{
	struct wire_document_head head = {0};
	struct model_change own = *change;
	enum err err = ERR_CORRUPT;
	arena_reset(scratch);
	if (change->full_document.size > 0) {
		err = wire_document_head_scan(change->full_document, scratch, &head);
	}
	if (err == ERR_MEMORY) {
		return err;
	}
	struct ingest_facts facts;
	find_facts(change, err == OK && head.is_object, head.deleted, &facts);
	struct event_identity identity;
	struct bytes database = {0};
	facts.has_identity = event_identity_parse(change->store_id, &database, &identity);
	const struct wire_event_options options = {.json_depth_max = MATCHING_JSON_DEPTH_MAX,
		.read = true,
		.sequence = sequence,
		.skipped = skipped,
		.identity = facts.has_identity ? &identity : NULL,
		.is_purge = change->kind == MODEL_CHANGE_DELETE,
		.is_without_document = facts.sets_deleted};
	if (options.is_purge) {
		own.database = database;
		head = (struct wire_document_head){0};
	}
	head.deleted = head.deleted || facts.sets_deleted;
	return wire_event_make(&own, ingest_operation(&facts), &head, &options, NULL, ret_event);
}

enum err matching_event_identify(const struct match *match, struct event **event)
{
	struct bytes collection;
	struct bytes id;
	if (!match_identify(match, *event, &collection, &id)) {
		return OK;
	}
	struct event *identified = NULL;
	enum err err =
		wire_event_identify(*event, collection, id, MATCHING_JSON_DEPTH_MAX, &identified);
	if (err == OK) {
		event_unref(*event);
		*event = identified;
	}
	return err;
}
