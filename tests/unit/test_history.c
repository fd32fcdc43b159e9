/* history through its header: what it keeps and for how long, and where a position stands in it. */
#include "failing.h"
#include "history.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define EPOCH 7

static const struct history_limits wide = {
	.events = 1000, .bytes = SIZE_MAX / 2, .age_us = INT64_MAX / 2};

/* An event of a backend at a cluster time; its id is unlike any other's. */
static struct event *event_at(
	uint64_t sequence, const char *backend, uint32_t seconds, const char *id)
{
	struct event *event = NULL;
	assert_int_equal(event_new(&event), OK);
	event->sequence = sequence;
	event->change.backend = bytes_of(backend);
	event->change.event_id = bytes_of(id);
	event->change.cluster_seconds = seconds;
	assert_int_equal(event_place(event, EPOCH), OK);
	return event;
}

static void add(struct history *history, struct event *event, int64_t now_us)
{
	history_add(history, event, now_us);
	event_unref(event);
}

static void add_numbers(struct history *history, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i <= to; i++) {
		char id[24];
		(void)snprintf(id, sizeof(id), "e%u", (unsigned)i);
		add(history, event_at(i, "b", (uint32_t)(100 + i), id), (int64_t)i);
	}
}

/* As another life would have called it. */
static struct model_position position_of(const char *backend, uint32_t seconds, const char *id)
{
	struct event *event = event_at(77, backend, seconds, id);
	struct model_position position;
	assert_int_equal(model_position_read(event->position, &position), OK);
	event_unref(event);
	return position;
}

static enum history_place find(const struct history *history, const char *backend, uint32_t seconds,
	const char *id, uint64_t *ret_sequence)
{
	const struct model_position position = position_of(backend, seconds, id);
	return history_find(history, &position, ret_sequence);
}

static struct history *open_history(const struct history_limits *limits, struct metrics *metrics)
{
	struct history *history = NULL;
	*metrics = (struct metrics){0};
	assert_int_equal(history_new(limits, metrics, &history), OK);
	return history;
}

static void close_history(struct history *history, const struct metrics *metrics)
{
	history_free(history);
	assert_int_equal(metrics_get(metrics, METRIC_history_events), 0);
	assert_int_equal(metrics_get(metrics, METRIC_history_bytes), 0);
}

static void it_keeps_as_many_as_it_may(void **state)
{
	struct history_limits limits = wide;
	struct metrics metrics;
	(void)state;
	limits.events = 100;
	struct history *history = open_history(&limits, &metrics);
	assert_true(history_oldest(history) == 1 && history_end(history) == 1);
	for (uint64_t i = 1; i <= 1000; i++) {
		add_numbers(history, i, i);
		assert_true(history_end(history) == i + 1);
		assert_true(history_oldest(history) == (i <= 100 ? 1 : i - 99));
		for (uint64_t kept = history_oldest(history); kept <= i; kept++) {
			assert_true(history_at(history, kept)->sequence == kept);
		}
	}
	assert_int_equal(metrics_get(&metrics, METRIC_history_events), 100);
	close_history(history, &metrics);
}

static void it_keeps_no_more_bytes_than_it_may(void **state)
{
	struct history_limits limits = wide;
	struct metrics metrics;
	struct event *probe = event_at(1, "b", 1, "e");
	(void)state;
	size_t size = event_size(probe);
	event_unref(probe);
	limits.bytes = 10 * size + size / 2;
	struct history *history = open_history(&limits, &metrics);
	for (uint64_t i = 1; i <= 50; i++) {
		add(history, event_at(i, "b", (uint32_t)i, "e"), 0);
		assert_true(metrics_get(&metrics, METRIC_history_bytes) <= (int64_t)limits.bytes);
	}
	assert_true(history_end(history) - history_oldest(history) == 10);
	struct event *large = NULL; /* alone more than it may */
	static char bytes[100000];
	assert_int_equal(event_new(&large), OK);
	large->sequence = 51;
	large->encoded = (struct bytes){bytes, sizeof(bytes)};
	add(history, large, 0);
	assert_true(history_oldest(history) == 52 && history_end(history) == 52);
	add(history, event_at(52, "b", 52, "e"), 0);
	assert_true(history_oldest(history) == 52 && history_end(history) == 53);
	close_history(history, &metrics);
}

static void it_keeps_nothing_for_too_long(void **state)
{
	struct history_limits limits = wide;
	struct metrics metrics;
	(void)state;
	limits.age_us = 10;
	struct history *history = open_history(&limits, &metrics);
	add_numbers(history, 1, 20);
	history_expire(history, 20);
	assert_true(history_oldest(history) == 10);
	history_expire(history, 30);
	assert_true(history_oldest(history) == 20);
	history_expire(history, 31);
	assert_true(history_oldest(history) == 21 && history_end(history) == 21);
	close_history(history, &metrics);
}

static void without_room_it_keeps_nothing(void **state)
{
	struct history_limits limits = wide;
	struct metrics metrics;
	(void)state;
	limits.events = 0;
	struct history *history = open_history(&limits, &metrics);
	add_numbers(history, 1, 3);
	assert_true(history_oldest(history) == 4 && history_end(history) == 4);
	close_history(history, &metrics);
}

static void a_position_of_another_life_is_found(void **state)
{
	struct metrics metrics;
	uint64_t sequence = 0;
	(void)state;
	struct history *history = open_history(&wide, &metrics);
	assert_int_equal(find(history, "b", 101, "e1", &sequence), HISTORY_AHEAD);
	add_numbers(history, 1, 50);
	for (unsigned i = 1; i <= 50; i++) {
		char id[24];
		(void)snprintf(id, sizeof(id), "e%u", i);
		assert_int_equal(find(history, "b", 100 + i, id, &sequence), HISTORY_FOUND);
		assert_true(sequence == i);
	}
	assert_int_equal(find(history, "b", 100, "e0", &sequence), HISTORY_PASSED);
	assert_int_equal(find(history, "b", 125, "other", &sequence), HISTORY_PASSED);
	assert_int_equal(find(history, "b", 151, "e51", &sequence), HISTORY_AHEAD);
	close_history(history, &metrics);
}

/* A transaction's changes have one time. */
static void events_of_one_time_are_told_apart(void **state)
{
	struct metrics metrics;
	uint64_t sequence = 0;
	(void)state;
	struct history *history = open_history(&wide, &metrics);
	add(history, event_at(1, "b", 5, "x"), 0);
	add(history, event_at(2, "b", 5, "y"), 0);
	add(history, event_at(3, "b", 5, "z"), 0);
	assert_int_equal(find(history, "b", 5, "x", &sequence), HISTORY_FOUND);
	assert_true(sequence == 1);
	assert_int_equal(find(history, "b", 5, "z", &sequence), HISTORY_FOUND);
	assert_true(sequence == 3);
	/* Another life may have ended in the midst of it: more of that time may follow. */
	assert_int_equal(find(history, "b", 5, "w", &sequence), HISTORY_AHEAD);
	add(history, event_at(4, "b", 6, "v"), 0);
	assert_int_equal(find(history, "b", 5, "w", &sequence), HISTORY_PASSED);
	close_history(history, &metrics);
}

/* Of several backends' changes another life may have seen another order. */
static void an_order_is_not_guessed(void **state)
{
	struct metrics metrics;
	uint64_t sequence = 0;
	(void)state;
	struct history *history = open_history(&wide, &metrics);
	add(history, event_at(1, "b", 5, "x"), 0);
	add(history, event_at(2, "c", 1, "y"), 0);
	add(history, event_at(3, "b", 6, "z"), 0);
	assert_int_equal(find(history, "b", 6, "z", &sequence), HISTORY_FOUND);
	assert_int_equal(find(history, "b", 5, "x", &sequence), HISTORY_PASSED);
	assert_int_equal(find(history, "c", 1, "y", &sequence), HISTORY_PASSED);
	close_history(history, &metrics);
}

static void a_break_is_no_place_to_resume(void **state)
{
	struct metrics metrics;
	uint64_t sequence = 0;
	struct event *gone = NULL;
	(void)state;
	struct history *history = open_history(&wide, &metrics);
	add_numbers(history, 1, 2);
	assert_int_equal(event_new(&gone), OK);
	gone->sequence = 3;
	gone->is_break = true;
	assert_int_equal(event_place(gone, EPOCH), OK);
	add(history, gone, 0);
	add_numbers(history, 4, 4);
	assert_int_equal(find(history, "b", 102, "e2", &sequence), HISTORY_FOUND);
	assert_true(sequence == 2);
	assert_int_equal(find(history, "", 0, "", &sequence), HISTORY_PASSED);
	close_history(history, &metrics);
}

/* Nothing has come since the life before: who had all of that has missed nothing. */
static void where_another_life_has_stopped_is_known(void **state)
{
	const struct model_position stopped = position_of("b", 100, "e0");
	struct history_limits limits = wide;
	struct metrics metrics;
	uint64_t sequence = 7;
	(void)state;
	limits.events = 3;
	struct history *history = open_history(&limits, &metrics);
	history_begin(history, &stopped);
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(find(history, "b", 100, "e0", &sequence), HISTORY_FOUND);
		assert_true(sequence == 0);
		add_numbers(history, i + 1, i + 1);
	}
	assert_int_equal(find(history, "b", 100, "e0", &sequence), HISTORY_PASSED);
	close_history(history, &metrics);
}

/* What cannot be kept is as if it had become too old; later ones are kept again. */
static void without_memory_it_begins_anew(void **state)
{
	struct metrics metrics;
	(void)state;
	for (size_t fail_at = 0; fail_at < 4; fail_at++) {
		struct failing failing;
		struct history *history = open_history(&wide, &metrics);
		add_numbers(history, 1, 64); /* its ring is full now */
		struct event *event = event_at(65, "b", 165, "e65");
		failing_start(&failing, fail_at);
		history_add(history, event, 65);
		bool has_failed = failing_stop(&failing);
		event_unref(event);
		assert_true(history_end(history) == 66);
		assert_true(history_oldest(history) == (has_failed ? 66 : 1));
		add_numbers(history, 66, 70);
		assert_true(history_end(history) == 71);
		close_history(history, &metrics);
		if (!has_failed) {
			return;
		}
	}
	fail_msg("it allocates more than it should");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_keeps_as_many_as_it_may),
		cmocka_unit_test(it_keeps_no_more_bytes_than_it_may),
		cmocka_unit_test(it_keeps_nothing_for_too_long),
		cmocka_unit_test(without_room_it_keeps_nothing),
		cmocka_unit_test(a_position_of_another_life_is_found),
		cmocka_unit_test(events_of_one_time_are_told_apart),
		cmocka_unit_test(an_order_is_not_guessed),
		cmocka_unit_test(a_break_is_no_place_to_resume),
		cmocka_unit_test(where_another_life_has_stopped_is_known),
		cmocka_unit_test(without_memory_it_begins_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
