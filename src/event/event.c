/* An event's life: made with one holder, freed whole by the last. Nothing here reads what is in it.
 */
#include "event.h"

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
