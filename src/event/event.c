/* An event's life: made with one holder, freed whole by the last. Nothing here reads what is in it.
 */
#include "event.h"
#include "value.h"

enum err event_new(struct event **ret_event)
{
	struct event *event = mem_calloc(1, sizeof(*event));
	if (!event) {
		return ERR_MEMORY;
	}
	atomic_init(&event->holders, 1);
	*ret_event = event;
	return OK;
}

struct event *event_ref(struct event *event)
{
	/* Who takes a reference has one already, or has just been handed the event: no order is
	 * needed. */
	uint32_t before = atomic_fetch_add_explicit(&event->holders, 1, memory_order_relaxed);
	check(before > 0);
	return event;
}

void event_unref(struct event *event)
{
	if (!event) {
		return;
	}
	/* Whatever a holder did with the event comes before it is freed. */
	uint32_t before = atomic_fetch_sub_explicit(&event->holders, 1, memory_order_acq_rel);
	check(before > 0);
	if (before == 1) {
		arena_fini(&event->arena);
		mem_free(event);
	}
}

enum err event_place(struct event *event, uint64_t epoch)
{
	const struct model_change *change = &event->change;
	const struct model_position position = {.epoch = epoch,
		.sequence = event->sequence,
		.backend_hash = event->is_break ? 0 : bytes_hash(change->backend, 0),
		.cluster_seconds = change->cluster_seconds,
		.cluster_increment = change->cluster_increment,
		.event_id_hash = event->is_break ? 0 : bytes_hash(change->event_id, 0)};
	char *place = arena_alloc(&event->arena, MODEL_POSITION_SIZE);
	if (!place) {
		return ERR_MEMORY;
	}
	model_position_write(&position, place);
	event->position = (struct bytes){place, MODEL_POSITION_SIZE};
	return OK;
}

size_t event_size(const struct event *event)
{
	const struct model_change *change = &event->change;
	size_t size = sizeof(*event) + event->position.size + event->collection.size +
		event->document_id.size + event->encoded.size;
	size += change->event_id.size + change->database.size + change->store_collection.size +
		change->store_id.size + change->full_document.size + change->update.size +
		change->backend.size;
	if (event->document) {
		size += (size_t)(value_after(event->document) - event->document) *
			sizeof(*event->document);
	}
	return size;
}
