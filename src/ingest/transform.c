/*
 * A change becomes an event: one scan of its document's top level finds the collection and whether
 * it is deleted, the table gives the operation, and the document is read only if somebody is
 * interested in its collection. What goes to nobody is counted and has no event.
 */
#include "ingest_priv.h"
#include "wire.h"

static enum model_operation update_operation(const struct ingest_facts *facts)
{
	if (facts->is_deleted || facts->sets_deleted) {
		return MODEL_DELETE;
	}
	return facts->clears_deleted || facts->was_deleted ? MODEL_INSERT : MODEL_UPDATE;
}

enum model_operation ingest_operation(const struct ingest_facts *facts)
{
	if (facts->kind == MODEL_CHANGE_DELETE) {
		/* Who asked by id is told, unless the tombstone has told them already. */
		return facts->has_identity && !facts->was_deleted ? MODEL_DELETE
								  : MODEL_NO_OPERATION;
	}
	if (!facts->has_document) {
		return MODEL_NO_OPERATION;
	}
	switch (facts->kind) {
	case MODEL_CHANGE_INSERT:
		return MODEL_INSERT;
	case MODEL_CHANGE_UPDATE:
		return update_operation(facts);
	case MODEL_CHANGE_REPLACE:
		return facts->is_deleted ? MODEL_DELETE : MODEL_INSERT; /* comes back to life */
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

/* What is to be made of a change, put together before its event is. */
struct plan {
	struct model_change change;
	struct wire_document_head head;
	struct ingest_facts facts;
	struct event_identity identity; /* if the facts say that there is one */
	struct ingest_spot spot;
	struct wire_event_options options;
};

static void find_facts(const struct ingest *ingest, bool has_document, struct plan *plan)
{
	const struct model_change *change = &plan->change;
	struct bytes database = {0};
	struct ingest_facts facts = {.kind = change->kind,
		.has_document = has_document,
		.is_deleted = plan->head.deleted};
	facts.has_identity = event_identity_parse(change->store_id, &database, &plan->identity);
	if (facts.has_identity) {
		plan->spot = ingest_ids_find(&ingest->ids, database, &plan->identity);
		facts.was_deleted = plan->spot.known && plan->spot.known->is_deleted;
	}
	if (change->kind == MODEL_CHANGE_UPDATE && !facts.is_deleted) {
		enum wire_update_says says = wire_update_says(change->update);
		facts.sets_deleted = says == WIRE_UPDATE_DELETES;
		facts.clears_deleted = says == WIRE_UPDATE_REVIVES;
	}
	if (change->kind == MODEL_CHANGE_DELETE) {
		plan->change.database = database; /* the source does not say it */
	}
	plan->facts = facts;
}

static bool is_wanted(const struct ingest *ingest, const struct plan *plan)
{
	return !ingest->options.interest ||
		interest_has(
			ingest->options.interest, plan->change.database, plan->head.collection);
}

/* What the event's maker is to know beside the document. */
static void plan_event(
	const struct ingest *ingest, enum model_operation operation, struct plan *plan)
{
	const struct ingest_known *known = plan->spot.known;
	const struct ingest_facts *facts = &plan->facts;
	plan->options = (struct wire_event_options){
		.json_depth_max = ingest->options.json_depth_max,
		.received_us = loop_wall_us(ingest->loop),
		.epoch = ingest->options.epoch,
		.sequence = ingest_next_sequence(ingest),
		.identity = facts->has_identity ? &plan->identity : NULL,
		.is_purge = facts->kind == MODEL_CHANGE_DELETE,
		.is_without_document = facts->sets_deleted,
	};
	if (known && operation == MODEL_DELETE) {
		plan->options.document_id = known->id;
	}
	if (plan->options.is_purge) {
		plan->head = (struct wire_document_head){0};
		plan->head.collection = known ? known->collection : (struct bytes){0};
		plan->options.read = true; /* of which collection, only the workers may know */
		return;
	}
	plan->head.deleted = facts->is_deleted || facts->sets_deleted;
	plan->options.read = is_wanted(ingest, plan);
	if (ingest->options.trusts_json && ingest->options.interest) {
		plan->options.skipped = ~interest_members(ingest->options.interest);
	}
}

enum err ingest_transform(struct ingest *ingest, const struct model_change *change,
	struct err_info *info, struct event **ret_event)
{
	struct plan plan = {.change = *change};
	arena_reset(&ingest->scratch);
	enum err err = scan(ingest, change->full_document, &plan.head);
	if (err == ERR_MEMORY) {
		return err;
	}
	find_facts(ingest, !err, &plan);
	enum model_operation operation = ingest_operation(&plan.facts);
	bool is_nowhere = plan.head.collection.size == 0 && change->kind != MODEL_CHANGE_DELETE;
	if (operation == MODEL_NO_OPERATION || is_nowhere) {
		drop(ingest, change,
			err ? "the document is missing, or is no JSON object"
			    : "the document has no collection",
			info);
		*ret_event = NULL;
		return OK;
	}
	plan_event(ingest, operation, &plan);
	ingest->spot = plan.spot;
	ingest->refusal.text[0] = '\0';
	return wire_event_make(
		&plan.change, operation, &plan.head, &plan.options, &ingest->refusal, ret_event);
}
