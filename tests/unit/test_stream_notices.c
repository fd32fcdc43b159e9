/* stream through its header: notices go ahead as answers do, a gap keeps its place. */
#include "failing.h"
#include "stream_bench.h"

#include <string.h>

#include <cmocka.h>

static const struct model_notice failing_notice = {
	.code = MODEL_NOTICE_FAILING, .text = {"keeps failing", 13}};
static const struct model_gap source_gap = {.after = {"\xff\0a", 3},
	.run = {"\x0a\x01s", 3},
	.event = {"\x0a\x01\x65", 3},
	.until = {"z", 1},
	.reason = MODEL_GAP_SOURCE,
	.events = UINT64_MAX};

static enum err push_notice(struct stream *stream, const char *run, int64_t now_us)
{
	return stream_push_notice(stream, &failing_notice, bytes_of(run), 2, now_us);
}

static enum err push_gap(struct stream *stream, int64_t now_us)
{
	return stream_push_gap(stream, &source_gap, now_us);
}

static void check_notice(struct stream *stream, const char *run)
{
	struct stream_item item = peek(stream);
	assert_int_equal(item.kind, STREAM_NOTICE);
	assert_int_equal(item.notice.code, MODEL_NOTICE_FAILING);
	assert_true(bytes_equal(item.notice.text, failing_notice.text));
	assert_true(bytes_equal(item.run, bytes_of(run)));
	assert_int_equal(item.ids_count, 2);
	stream_pop(stream);
}

static void check_gap(struct stream *stream)
{
	struct stream_item item = peek(stream);
	assert_int_equal(item.kind, STREAM_GAP);
	assert_true(bytes_equal(item.gap.after, source_gap.after));
	assert_true(bytes_equal(item.gap.until, source_gap.until));
	assert_true(bytes_equal(item.gap.run, source_gap.run));
	assert_true(bytes_equal(item.gap.event, source_gap.event));
	assert_true(item.gap.event.data != source_gap.event.data);
	assert_int_equal(item.gap.reason, MODEL_GAP_SOURCE);
	assert_true(item.gap.events == UINT64_MAX);
	stream_pop(stream);
}

/* ---- order ----------------------------------------------------------------------------------- */

static void test_a_gap_keeps_its_place(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	assert_int_equal(push_new(bench.stream, 1, 10, 0), OK);
	assert_int_equal(push_gap(bench.stream, 0), OK);
	assert_int_equal(push_new(bench.stream, 2, 10, 0), OK);
	assert_int_equal(push_gap(bench.stream, 0), OK);
	assert_int_equal(push_answer(bench.stream, "id"), OK);
	assert_int_equal(push_notice(bench.stream, "a run", 0), OK);
	assert_int_equal(stream_push_ack(bench.stream, 7, 0), OK);
	assert_int_equal(push_notice(bench.stream, "", 0), OK);
	assert_int_equal(stream_queued_count(bench.stream), 2); /* deliveries alone */

	assert_int_equal(peek(bench.stream).kind, STREAM_ANSWER);
	stream_pop(bench.stream);
	check_notice(bench.stream, "a run");
	assert_int_equal(peek(bench.stream).kind, STREAM_ACK);
	stream_pop(bench.stream);
	check_notice(bench.stream, "");
	check_delivery(bench.stream, 1);
	check_gap(bench.stream);
	check_delivery(bench.stream, 2);
	check_gap(bench.stream);
	check_empty(bench.stream);
	bench_close(&bench);
}

/* What is pushed is the caller's again at once; an empty one is one, too. */
static void test_contents_are_copied(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	char text[] = "text";
	char run[] = "run";
	char after[] = "after";
	char until[] = "until";
	const struct model_notice notice = {.code = MODEL_NOTICE_STOPPED, .text = bytes_of(text)};
	const struct model_gap gap = {.after = bytes_of(after), .until = bytes_of(until)};
	assert_int_equal(stream_push_notice(bench.stream, &notice, bytes_of(run), 1, 0), OK);
	assert_int_equal(stream_push_gap(bench.stream, &gap, 0), OK);
	assert_int_equal(stream_push_gap(bench.stream, &(struct model_gap){0}, 0), OK);
	memset(text, 'x', 4);
	memset(run, 'x', 3);
	memset(after, 'x', 5);
	memset(until, 'x', 5);

	struct stream_item item = peek(bench.stream);
	assert_int_equal(item.notice.code, MODEL_NOTICE_STOPPED);
	assert_true(bytes_equal(item.notice.text, bytes_of("text")));
	assert_true(bytes_equal(item.run, bytes_of("run")));
	stream_pop(bench.stream);
	item = peek(bench.stream);
	assert_true(bytes_equal(item.gap.after, bytes_of("after")));
	assert_true(bytes_equal(item.gap.until, bytes_of("until")));
	stream_pop(bench.stream);
	item = peek(bench.stream);
	assert_int_equal(item.kind, STREAM_GAP);
	assert_int_equal(item.gap.after.size + item.gap.until.size + item.gap.events, 0);
	bench_close(&bench);
}

static void test_both_wake(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	assert_int_equal(push_notice(bench.stream, "run", 0), OK);
	assert_int_equal(bench.wakes, 1);
	check_notice(bench.stream, "run");
	check_empty(bench.stream);
	assert_int_equal(push_gap(bench.stream, 0), OK);
	assert_int_equal(bench.wakes, 2);
	bench_close(&bench);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void test_finish_lets_them_out(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	assert_int_equal(push_gap(bench.stream, 0), OK);
	assert_int_equal(push_notice(bench.stream, "run", 0), OK);
	stream_finish(bench.stream, ERR_UNAVAILABLE, "shutting down");
	assert_int_equal(push_gap(bench.stream, 0), ERR_CLOSED);
	assert_int_equal(push_notice(bench.stream, "run", 0), ERR_CLOSED);
	check_notice(bench.stream, "run");
	check_gap(bench.stream);
	check_end(bench.stream, ERR_UNAVAILABLE, "shutting down");
	bench_close(&bench);
}

/* The end goes ahead of them, and their bytes are no longer queued; whoever ends it. */
static void test_end_drops_them(void **state)
{
	(void)state;
	for (int by_consumer = 0; by_consumer < 2; by_consumer++) {
		struct bench bench;
		bench_open(&bench, &wide);
		for (int i = 0; i < 100; i++) {
			assert_int_equal(push_gap(bench.stream, 0), OK);
			assert_int_equal(push_notice(bench.stream, "run", 0), OK);
		}
		if (by_consumer) {
			stream_close(bench.stream);
		} else {
			stream_end(bench.stream, ERR_INTERNAL, "why");
			check_end(bench.stream, ERR_INTERNAL, "why");
		}
		assert_int_equal(push_gap(bench.stream, 0), ERR_CLOSED);
		assert_int_equal(push_notice(bench.stream, "run", 0), ERR_CLOSED);
		assert_int_equal(stream_queued_bytes(bench.stream), 0);
		assert_int_equal(figure(&bench, METRIC_queued_bytes), 0);
		assert_int_equal(figure(&bench, METRIC_deliveries_discarded), 0);
		bench_close(&bench);
	}
}

/* ---- limits ---------------------------------------------------------------------------------- */

static char long_text[2000];

/* Of what a notice and a gap carry, every byte counts until they are popped. */
static void test_bytes_are_counted(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	struct bytes whole = {long_text, sizeof(long_text)};
	const struct model_notice notice = {.text = whole};
	const struct model_gap gap = {.after = whole, .until = whole};
	assert_int_equal(stream_push_notice(bench.stream, &notice, whole, 1, 0), OK);
	size_t cost = stream_queued_bytes(bench.stream);
	assert_in_range(cost, 2 * whole.size, 2 * whole.size + 300);
	assert_int_equal(figure(&bench, METRIC_queued_bytes), cost);
	assert_int_equal(stream_push_gap(bench.stream, &gap, 0), OK);
	assert_in_range(
		stream_queued_bytes(bench.stream) - cost, 2 * whole.size, 2 * whole.size + 300);
	assert_int_equal(peek(bench.stream).kind, STREAM_NOTICE);
	stream_pop(bench.stream);
	assert_in_range(stream_queued_bytes(bench.stream), 2 * whole.size, 2 * whole.size + 300);
	assert_int_equal(peek(bench.stream).kind, STREAM_GAP);
	stream_pop(bench.stream);
	assert_int_equal(stream_queued_bytes(bench.stream), 0);
	bench_close(&bench);
}

typedef enum err (*push_fn)(struct stream *stream, int64_t now_us);

static enum err push_any_notice(struct stream *stream, int64_t now_us)
{
	return push_notice(stream, "run", now_us);
}

static const push_fn pushes[] = {push_gap, push_any_notice};

static void test_hard_limit(void **state)
{
	(void)state;
	const struct stream_limits limits = {
		.hard_bytes = 10000, .soft_bytes = SIZE_MAX, .soft_us = 1};
	for (size_t i = 0; i < 2; i++) {
		struct bench bench;
		bench_open(&bench, &limits);
		enum err err = OK;
		unsigned count = 0;
		for (; err == OK; count++) {
			err = pushes[i](bench.stream, 0);
			assert_true(stream_queued_bytes(bench.stream) <= 10000);
		}
		assert_int_equal(err, ERR_LIMIT);
		assert_in_range(count, 30, 1000);
		assert_int_equal(figure(&bench, METRIC_streams_slow), 1);
		assert_int_equal(pushes[i](bench.stream, 0), ERR_CLOSED);
		check_end(bench.stream, ERR_LIMIT, "too slow: queue_hard_bytes exceeded");
		bench_close(&bench);
	}
}

static void test_soft_limit(void **state)
{
	(void)state;
	const struct stream_limits limits = {
		.hard_bytes = SIZE_MAX, .soft_bytes = 500, .soft_us = 1000};
	for (size_t i = 0; i < 2; i++) {
		struct bench bench;
		bench_open(&bench, &limits);
		while (stream_queued_bytes(bench.stream) <= limits.soft_bytes) {
			assert_int_equal(pushes[i](bench.stream, 1), OK);
		}
		assert_int_equal(pushes[i](bench.stream, 100), OK); /* it counts from here */
		assert_int_equal(pushes[i](bench.stream, 1099), OK);
		assert_int_equal(pushes[i](bench.stream, 1100), ERR_LIMIT);
		bench_close(&bench);
	}
}

/* What could be pushed comes out whole, and nothing is kept. */
static void push_and_pop(void)
{
	struct metrics metrics = {0};
	struct stream *stream = NULL;
	unsigned wakes = 0;
	if (stream_new(&wide, &metrics, count_wake, &wakes, &stream) != OK) {
		return;
	}
	unsigned pushed = 0;
	for (size_t i = 0; i < 60; i++) {
		enum err err = pushes[i % 2](stream, 0);
		assert_true(err == OK || err == ERR_MEMORY);
		pushed += err == OK;
	}
	assert_in_range(pushed, 20, 60); /* a segment that is not to be had costs one */
	struct stream_item item;
	while (stream_peek(stream, &item) == OK) {
		if (item.kind == STREAM_GAP) {
			check_gap(stream);
		} else {
			check_notice(stream, "run");
		}
		pushed--;
	}
	assert_int_equal(pushed, 0);
	stream_unref(stream);
	stream_unref(stream);
	assert_int_equal(metrics_get(&metrics, METRIC_queued_bytes), 0);
}

static void test_lack_of_memory(void **state)
{
	(void)state;
	bool failed = true;
	size_t fail_at = 0;
	for (; failed; fail_at++) {
		struct failing failing;
		failing_start(&failing, fail_at);
		push_and_pop();
		failed = failing_stop(&failing);
		assert_int_equal(failing.live, 0);
		assert_true(fail_at < 1000);
	}
	assert_true(fail_at > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_gap_keeps_its_place),
		cmocka_unit_test(test_contents_are_copied),
		cmocka_unit_test(test_both_wake),
		cmocka_unit_test(test_finish_lets_them_out),
		cmocka_unit_test(test_end_drops_them),
		cmocka_unit_test(test_bytes_are_counted),
		cmocka_unit_test(test_hard_limit),
		cmocka_unit_test(test_soft_limit),
		cmocka_unit_test(test_lack_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
