/*
 * A batch is matched once. Then each event's hits are walked: every run of ids is noted with the
 * target it is for, runs of one target linked in the order found, and each target gets one
 * delivery, or two if some of its ids want the document, some do not, and there is one. Nothing is
 * allocated once the two scratch arrays have grown to what an event needs.
 */
#include "route.h"

#include <string.h>

#define NO_RUN UINT32_MAX
#define HITS_AHEAD 4 /* whose subscriptions are being loaded meanwhile */

struct noted_run {
	struct subs_run run;
	uint32_t next; /* of the same share */
};

struct route {
	struct match *match;
	struct metrics *metrics;
	route_ended_fn ended;
	void *ctx;
	uint64_t event_mark;
	bool has_document; /* the event at hand */
	struct route_target
		*only; /* replay: whom the batch is for; NULL: all that are not behind */

	struct noted_run *runs;
	size_t runs_count, runs_capacity;
	struct route_target **targets; /* of the event at hand */
	size_t targets_count, targets_capacity;
	struct bytes *gathered; /* runs of one target, in order */
	size_t gathered_capacity;
	struct route_target *ended_targets; /* of the batch */
};

void route_target_init(struct route_target *target, struct stream *stream)
{
	*target = (struct route_target){.stream = stream};
}

enum err route_new(struct match *match, struct metrics *metrics, route_ended_fn ended, void *ctx,
	struct route **ret_route)
{
	struct route *route = mem_calloc(1, sizeof(*route));
	if (!route) {
		return ERR_MEMORY;
	}
	route->match = match;
	route->metrics = metrics;
	route->ended = ended;
	route->ctx = ctx;
	*ret_route = route;
	return OK;
}

void route_free(struct route *route)
{
	if (!route) {
		return;
	}
	mem_free(route->runs);
	mem_free((void *)route->targets);
	mem_free(route->gathered);
	mem_free(route);
}

/* The array with room for one more element, moved if need be; NULL on lack, the old one stays. */
static void *grown(void *array, size_t count, size_t *capacity, size_t element)
{
	if (count < *capacity) {
		return array;
	}
	size_t more = *capacity ? *capacity * 2 : 64;
	void *moved = mem_realloc(array, more * element);
	if (moved) {
		*capacity = more;
	}
	return moved;
}

static const struct route_share nothing = {.first_run = NO_RUN, .last_run = NO_RUN};

static enum err note_target(struct route *route, struct route_target *target)
{
	void *targets = grown((void *)route->targets, route->targets_count,
		&route->targets_capacity, sizeof(void *));
	if (!targets) {
		return ERR_MEMORY;
	}
	route->targets = targets;
	route->targets[route->targets_count++] = target;
	target->event_mark = route->event_mark;
	target->whole = nothing;
	target->bare = nothing;
	return OK;
}

static bool is_for(const struct route *route, const struct route_target *target)
{
	return route->only ? target == route->only : !target->is_behind;
}

static enum err note_run(struct route *route, const struct subs_run *run)
{
	struct route_target *target = run->handle;
	void *runs =
		grown(route->runs, route->runs_count, &route->runs_capacity, sizeof(*route->runs));
	if (!runs) {
		return ERR_MEMORY;
	}
	route->runs = runs;
	if (target->event_mark != route->event_mark && note_target(route, target) != OK) {
		return ERR_MEMORY;
	}
	uint32_t index = (uint32_t)route->runs_count++;
	route->runs[index] = (struct noted_run){.run = *run, .next = NO_RUN};
	struct route_share *share =
		run->is_bare && route->has_document ? &target->bare : &target->whole;
	if (share->first_run == NO_RUN) {
		share->first_run = index;
	} else {
		route->runs[share->last_run].next = index;
	}
	share->last_run = index;
	share->runs_count++;
	share->ids_count += run->count;
	return OK;
}

static void note_end(struct route *route, struct route_target *target, enum err why)
{
	if (why == ERR_CLOSED || target->ended != OK) {
		return; /* it had ended before */
	}
	if (why == ERR_MEMORY) {
		stream_end(target->stream, ERR_MEMORY, "out of memory for a delivery");
	}
	target->ended = why;
	target->next_ended = route->ended_targets;
	route->ended_targets = target;
}

static void tell_ended(struct route *route)
{
	while (route->ended_targets) {
		struct route_target *target = route->ended_targets;
		route->ended_targets = target->next_ended;
		route->ended(route->ctx, target, target->ended);
	}
}

static enum err gather(struct route *route, const struct route_share *share)
{
	while (route->gathered_capacity < share->runs_count) {
		void *gathered = grown(route->gathered, route->gathered_capacity,
			&route->gathered_capacity, sizeof(*route->gathered));
		if (!gathered) {
			return ERR_MEMORY;
		}
		route->gathered = gathered;
	}
	size_t count = 0;
	for (uint32_t i = share->first_run; i != NO_RUN; i = route->runs[i].next) {
		route->gathered[count++] = subs_run_ids(&route->runs[i].run);
	}
	return OK;
}

static enum err push_share(struct route *route, struct route_target *target,
	const struct route_share *share, struct event *event, int64_t now_us)
{
	if (share->runs_count == 0) {
		return OK;
	}
	enum err err = gather(route, share);
	if (err != OK) {
		return err;
	}
	bool is_bare = share == &target->bare;
	const struct stream_delivery delivery = {.event = event,
		.runs = route->gathered,
		.runs_count = share->runs_count,
		.ids_count = share->ids_count,
		.is_replayed = route->only != NULL,
		.is_bare = is_bare,
		.has_more = !is_bare && target->bare.runs_count > 0};
	return stream_push_delivery(target->stream, &delivery, now_us);
}

static void deliver(
	struct route *route, struct route_target *target, struct event *event, int64_t now_us)
{
	enum err err = push_share(route, target, &target->whole, event, now_us);
	if (err == OK) {
		err = push_share(route, target, &target->bare, event, now_us);
	}
	if (err != OK) {
		note_end(route, target, err);
	}
}

/* `hits` up to `left` are of this event and of those behind it, `count` of this one. */
static void route_event(struct route *route, struct event *event, const struct match_hit *hits,
	size_t count, size_t left, int64_t now_us)
{
	route->event_mark++;
	route->has_document = event->encoded.size > event->encoded_bare.size;
	route->runs_count = 0;
	route->targets_count = 0;
	for (size_t i = 0; i < count; i++) {
		const struct subs_holder *holder = NULL;
		struct subs_run run;
		if (left - i > HITS_AHEAD) {
			subs_prefetch(hits[i + HITS_AHEAD].query);
		}
		while ((holder = subs_next_run(hits[i].query, holder, &run)) != NULL) {
			if (is_for(route, run.handle) && note_run(route, &run) != OK) {
				note_end(route, run.handle, ERR_MEMORY);
			}
		}
	}
	for (size_t i = 0; i < route->targets_count; i++) {
		deliver(route, route->targets[i], event, now_us);
	}
}

/* The subscribers of expressions that do no good are told so. */
static void tell_troubles(struct route *route, int64_t now_us)
{
	size_t count = 0;
	const struct match_trouble *troubles = match_troubles(route->match, &count);
	for (size_t i = 0; i < count; i++) {
		const struct model_notice notice = {
			.code = troubles[i].code, .text = bytes_of(troubles[i].text)};
		const struct subs_holder *holder = NULL;
		struct subs_run run;
		while ((holder = subs_next_run(troubles[i].query, holder, &run)) != NULL) {
			struct route_target *target = run.handle;
			enum err err = stream_push_notice(
				target->stream, &notice, subs_run_ids(&run), run.count, now_us);
			if (err == OK) {
				metrics_add(route->metrics, METRIC_notices, run.count);
			} else {
				note_end(route, target, err);
			}
		}
	}
}

/* *ret_matched: how many events of the batch matched anything. */
static enum err route_batch(struct route *route, struct event *const *events, size_t count,
	int64_t now_us, int64_t *ret_matched)
{
	const struct match_hit *hits = NULL;
	size_t hits_count = 0;
	enum err err = match_events(route->match, events, count, &hits, &hits_count);
	if (err != OK) {
		return err;
	}
	int64_t matched = 0;
	size_t last = 0;
	for (size_t first = 0; first < hits_count; first = last) {
		uint32_t event = hits[first].event;
		while (last < hits_count && hits[last].event == event) {
			last++;
		}
		route_event(route, events[event], hits + first, last - first, hits_count - first,
			now_us);
		matched++;
	}
	tell_troubles(route, now_us);
	tell_ended(route);
	*ret_matched = matched;
	return OK;
}

enum err route_events(
	struct route *route, struct event *const *events, size_t count, int64_t now_us)
{
	int64_t matched = 0;
	enum err err = route_batch(route, events, count, now_us, &matched);
	if (err == OK) {
		metrics_add(route->metrics, METRIC_events_routed, (int64_t)count);
		metrics_add(route->metrics, METRIC_events_matched, matched);
	}
	return err;
}

enum err route_replay(struct route *route, struct route_target *target, struct event *const *events,
	size_t count, int64_t now_us)
{
	int64_t matched = 0;
	route->only = target;
	enum err err = route_batch(route, events, count, now_us, &matched);
	route->only = NULL;
	return err;
}
