/* metrics: counting, names and Prometheus' text through metrics.h. */
#include "metrics.h"

#include "failing.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_counting(void **state)
{
	(void)state;
	static struct metrics metrics;
	metrics_add(&metrics, METRIC_events_received, 3);
	metrics_add(&metrics, METRIC_events_received, 4);
	metrics_add(&metrics, METRIC_streams, 5);
	metrics_add(&metrics, METRIC_streams, -2);
	metrics_set(&metrics, METRIC_source_connected, 1);
	assert_int_equal(metrics_get(&metrics, METRIC_events_received), 7);
	assert_int_equal(metrics_get(&metrics, METRIC_streams), 3);
	assert_int_equal(metrics_get(&metrics, METRIC_source_connected), 1);
	assert_int_equal(metrics_get(&metrics, METRIC_events_repeated), 0);
	metrics_add(NULL, METRIC_streams, 1);
	metrics_set(NULL, METRIC_streams, 1);
	assert_int_equal(metrics_get(NULL, METRIC_streams), 0);
}

#define THREADS ((size_t)2 * METRICS_SHARES) /* more than there are shares: some count together */
#define ADDITIONS 20000

static void *count_up(void *ctx)
{
	for (int i = 0; i < ADDITIONS; i++) {
		metrics_add(ctx, METRIC_events_received, 1);
		metrics_add(ctx, METRIC_queued_bytes, i % 2 ? -3 : 5);
	}
	return NULL;
}

static void test_counting_in_many_threads(void **state)
{
	(void)state;
	static struct metrics metrics;
	pthread_t threads[THREADS];
	const int64_t added = (int64_t)THREADS * ADDITIONS;
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, count_up, &metrics), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	}
	assert_int_equal(metrics_get(&metrics, METRIC_events_received), added);
	assert_int_equal(metrics_get(&metrics, METRIC_queued_bytes), added);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(metrics_name(METRIC_events_received), "streamer_events_received_total");
	assert_string_equal(metrics_name(METRIC_queued_bytes), "streamer_queued_bytes");
	for (unsigned i = 0; i < METRIC_COUNT; i++) {
		for (unsigned j = 0; j < i; j++) {
			assert_string_not_equal(
				metrics_name((enum metric)i), metrics_name((enum metric)j));
		}
	}
}

/* Three lines per figure, in the order of the list, each with its own name. */
static void test_printing(void **state)
{
	(void)state;
	static struct metrics metrics;
	for (unsigned i = 0; i < METRIC_COUNT; i++) {
		metrics_set(&metrics, (enum metric)i, 1000 + i);
	}
	struct buffer buffer = {0};
	assert_int_equal(metrics_print(&metrics, &buffer), OK);
	assert_int_equal(buffer_append(&buffer, (struct bytes){"", 1}), OK);
	char *rest = NULL;
	for (unsigned i = 0; i < METRIC_COUNT; i++) {
		const char *name = metrics_name((enum metric)i);
		char expected[128];
		(void)snprintf(expected, sizeof(expected), "# HELP %s ", name);
		const char *line = strtok_r(i == 0 ? buffer.data : NULL, "\n", &rest);
		assert_non_null(line);
		assert_int_equal(strncmp(line, expected, strlen(expected)), 0);
		assert_true(strlen(line) > strlen(expected));
		bool counter = strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0;
		(void)snprintf(expected, sizeof(expected), "# TYPE %s %s", name,
			counter ? "counter" : "gauge");
		assert_string_equal(strtok_r(NULL, "\n", &rest), expected);
		(void)snprintf(expected, sizeof(expected), "%s %u", name, 1000 + i);
		assert_string_equal(strtok_r(NULL, "\n", &rest), expected);
	}
	assert_null(strtok_r(NULL, "\n", &rest));
	buffer_fini(&buffer);
}

static void test_printing_without_memory(void **state)
{
	(void)state;
	static struct metrics metrics;
	bool failed = true;
	for (size_t fail_at = 0; failed; fail_at++) {
		struct buffer buffer = {0};
		struct failing failing;
		failing_start(&failing, fail_at);
		enum err err = metrics_print(&metrics, &buffer);
		failed = failing_stop(&failing);
		assert_int_equal(err, failed ? ERR_MEMORY : OK);
		assert_int_equal(buffer.size == 0, failed);
		buffer_fini(&buffer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counting),
		cmocka_unit_test(test_counting_in_many_threads),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_printing),
		cmocka_unit_test(test_printing_without_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
