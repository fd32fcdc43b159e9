/*
 * A change becomes an event: one scan of its document's top level finds the collection and whether
 * it is deleted, the table gives the operation, and the document is read only if somebody is
 * interested in its collection. What goes to nobody is counted and has no event.
 */
#include "ingest_priv.h"
#include "wire.h"

enum model_operation ingest_operation(
	enum model_change_kind kind, bool has_document, bool head_deleted)
{
	if (!has_document) {
		return MODEL_NO_OPERATION;
	}
	switch (kind) {
	case MODEL_CHANGE_INSERT:
		return MODEL_INSERT;
	case MODEL_CHANGE_UPDATE:
		return head_deleted ? MODEL_DELETE : MODEL_UPDATE;
	case MODEL_CHANGE_REPLACE:
		return head_deleted ? MODEL_DELETE : MODEL_INSERT; /* comes back to life */
	case MODEL_CHANGE_DELETE:
	case MODEL_CHANGE_UNKNOWN:
		break;
	}
	return MODEL_NO_OPERATION;
}

/* Counted, and said in `info` where it is a mistake of whoever made the change. */
static void drop(struct ingest *ingest, const struct model_change *change, const char *why,
	struct err_info *info)
{
	if (change->kind == MODEL_CHANGE_DELETE || change->kind == MODEL_CHANGE_UNKNOWN) {
		metrics_add(ingest->options.metrics, METRIC_events_ignored, 1);
		return;
	}
	metrics_add(ingest->options.metrics, METRIC_events_unmatchable, 1);
	(void)err_set(info, ERR_INVALID, 0, "%s", why);
}

static void tell_refused(
	struct ingest *ingest, const struct event *event, const struct err_info *info)
{
	metrics_add(ingest->options.metrics, METRIC_events_refused_documents, 1);
	log_write(ingest->options.log, loop_wall_us(ingest->loop), LOG_WARNING,
		"ingest: a document is refused, event=%.*s collection=%.*s reason=%s",
		BYTES_FORMAT(event->change.event_id), BYTES_FORMAT(event->collection), info->text);
}

/* ERR_CORRUPT: no document, or none that can be read. */
static enum err scan(struct ingest *ingest, struct bytes document, struct wire_document_head *head)
{
	if (document.size == 0) {
		return ERR_CORRUPT;
	}
	enum err err = wire_document_head_scan(document, &ingest->scratch, head);
	if (err) {
		return err;
	}
	return head->is_object ? OK : ERR_CORRUPT;
}

enum err ingest_transform(struct ingest *ingest, const struct model_change *change,
	struct err_info *info, struct event **ret_event)
{
	struct wire_document_head head = {0};
	arena_reset(&ingest->scratch);
	enum err err = scan(ingest, change->full_document, &head);
	if (err == ERR_MEMORY) {
		return err;
	}
	enum model_operation operation = ingest_operation(change->kind, !err, head.deleted);
	if (operation == MODEL_NO_OPERATION || head.collection.size == 0) {
		drop(ingest, change,
			err ? "the document is missing, or is no JSON object"
			    : "the document has no collection",
			info);
		*ret_event = NULL;
		return OK;
	}
	const struct interest *interest = ingest->options.interest;
	const struct wire_event_options options = {
		.json_depth_max = ingest->options.json_depth_max,
		.read = !interest || interest_has(interest, change->database, head.collection),
		.received_us = loop_wall_us(ingest->loop),
		.sequence = ingest->sequence + 1,
	};
	struct err_info reason = {0};
	struct event *event = NULL;
	err = wire_event_make(change, operation, &head, &options, &reason, &event);
	if (err) {
		return err;
	}
	if (operation == MODEL_DELETE && event->document_id.size == 0) {
		metrics_add(ingest->options.metrics, METRIC_events_without_id, 1);
	}
	if (event->is_refused) {
		tell_refused(ingest, event, &reason);
	}
	*ret_event = event;
	return OK;
}
