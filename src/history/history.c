/*
 * A ring of references that doubles until it has room for as many events as the limits allow. An
 * event's place follows from its sequence. With memory shared among workers, each counts an event
 * whole: the bounds hold for whatever one worker alone would keep alive.
 */
#include "history.h"

struct kept {
	struct event *event;
	size_t size;
	int64_t added_us;
};

struct history {
	struct history_limits limits;
	struct metrics *metrics;
	struct kept *ring; /* at `sequence & (capacity - 1)`; capacity is 0 or a power of two */
	size_t capacity;
	size_t bytes;
	uint64_t oldest, end;
	bool has_beginning;
	struct model_position beginning; /* where another life has stood before sequence 1 */
};

static struct kept *at(const struct history *history, uint64_t sequence)
{
	return &history->ring[sequence & (history->capacity - 1)];
}

enum err history_new(
	const struct history_limits *limits, struct metrics *metrics, struct history **ret_history)
{
	struct history *history = mem_calloc(1, sizeof(*history));
	if (!history) {
		return ERR_MEMORY;
	}
	history->limits = *limits;
	history->metrics = metrics;
	history->oldest = 1;
	history->end = 1;
	*ret_history = history;
	return OK;
}

static void drop_oldest(struct history *history)
{
	struct kept *kept = at(history, history->oldest);
	history->bytes -= kept->size;
	metrics_add(history->metrics, METRIC_history_events, -1);
	metrics_add(history->metrics, METRIC_history_bytes, -(int64_t)kept->size);
	history->oldest++;
	event_unref(kept->event);
}

static void drop_all(struct history *history)
{
	while (history->oldest < history->end) {
		drop_oldest(history);
	}
}

void history_free(struct history *history)
{
	if (!history) {
		return;
	}
	drop_all(history);
	mem_free(history->ring);
	mem_free(history);
}

static enum err grow(struct history *history)
{
	size_t capacity = history->capacity > 0 ? history->capacity * 2 : 64;
	struct kept *ring = mem_alloc(capacity * sizeof(*ring));
	if (!ring) {
		return ERR_MEMORY;
	}
	for (uint64_t i = history->oldest; i < history->end; i++) {
		ring[i & (capacity - 1)] = *at(history, i);
	}
	mem_free(history->ring);
	history->ring = ring;
	history->capacity = capacity;
	return OK;
}

/* The newest event stays out where there is no room for it, and so does all that is older. */
static bool make_room(struct history *history, size_t size)
{
	const struct history_limits *limits = &history->limits;
	if (limits->events == 0 || size > limits->bytes) {
		return false;
	}
	while (history->end - history->oldest >= limits->events ||
		history->bytes > limits->bytes - size) {
		drop_oldest(history);
	}
	return history->end - history->oldest < history->capacity || grow(history) == OK;
}

void history_add(struct history *history, struct event *event, int64_t now_us)
{
	size_t size = event_size(event);
	check(event->sequence == history->end);
	if (!make_room(history, size)) {
		drop_all(history);
		history->end++;
		history->oldest = history->end;
		return;
	}
	*at(history, history->end) = (struct kept){event_ref(event), size, now_us};
	history->end++;
	history->bytes += size;
	metrics_add(history->metrics, METRIC_history_events, 1);
	metrics_add(history->metrics, METRIC_history_bytes, (int64_t)size);
}

void history_expire(struct history *history, int64_t now_us)
{
	while (history->oldest < history->end &&
		now_us - at(history, history->oldest)->added_us > history->limits.age_us) {
		drop_oldest(history);
	}
}

uint64_t history_oldest(const struct history *history)
{
	return history->oldest;
}

uint64_t history_end(const struct history *history)
{
	return history->end;
}

struct event *history_at(const struct history *history, uint64_t sequence)
{
	debug_check(sequence >= history->oldest && sequence < history->end);
	return at(history, sequence)->event;
}

static int compare_times(const struct model_position *a, const struct model_position *b)
{
	if (a->cluster_seconds != b->cluster_seconds) {
		return a->cluster_seconds < b->cluster_seconds ? -1 : 1;
	}
	return (a->cluster_increment > b->cluster_increment) -
		(a->cluster_increment < b->cluster_increment);
}

static bool is_same_change(const struct model_position *a, const struct model_position *b)
{
	return a->backend_hash == b->backend_hash && compare_times(a, b) == 0 &&
		a->event_id_hash == b->event_id_hash;
}

void history_begin(struct history *history, const struct model_position *position)
{
	history->beginning = *position;
	history->has_beginning = true;
}

enum history_place history_find(const struct history *history,
	const struct model_position *position, uint64_t *ret_sequence)
{
	enum history_place place = HISTORY_AHEAD;
	if (history->has_beginning && history->oldest == 1 &&
		is_same_change(position, &history->beginning)) {
		*ret_sequence = 0;
		return HISTORY_FOUND;
	}
	for (uint64_t i = history->end; i > history->oldest; i--) {
		const struct event *event = history_at(history, i - 1);
		struct model_position kept;
		if (event->is_break || model_position_read(event->position, &kept) != OK) {
			continue;
		}
		if (kept.backend_hash != position->backend_hash) {
			return HISTORY_PASSED;
		}
		int order = compare_times(&kept, position);
		if (order < 0) {
			break; /* a backend's times do not go back */
		}
		if (is_same_change(&kept, position)) {
			*ret_sequence = i - 1;
			return HISTORY_FOUND;
		}
		if (order > 0) {
			place = HISTORY_PASSED; /* else the rest of its transaction may follow */
		}
	}
	return place;
}
