/* stream through its header: what is pushed comes out in order, within limits, and ends once. */
#include "failing.h"
#include "random.h"
#include "stream_bench.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include <cmocka.h>

/* ---- order ----------------------------------------------------------------------------------- */

/* A run whose bytes tell its number, of up to twice a segment's size. */
static struct bytes numbered_run(char *place, uint64_t number, size_t size)
{
	memset(place, (int)('a' + number % 26), size);
	return (struct bytes){place, size};
}

static void test_order_and_bytes(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	struct test_random random = test_random_start("stream");
	static char place[2 * 65536];
	static uint32_t sizes[4000];
	uint64_t pushed = 0;
	uint64_t popped = 0;
	struct event *event = make_event(1, 100);
	while (popped < 4000) {
		if (pushed < 4000 &&
			test_random_below(&random, 100) < (popped % 500 < 250 ? 70 : 40)) {
			size_t most = test_random_below(&random, 50) == 0 ? sizeof(place) : 200;
			sizes[pushed] = (uint32_t)test_random_below(&random, most);
			struct bytes run = numbered_run(place, pushed, sizes[pushed]);
			struct bytes runs[2] = {{run.data, run.size / 3},
				{run.data + run.size / 3, run.size - run.size / 3}};
			const struct stream_delivery delivery = {.event = event,
				.runs = runs,
				.runs_count = 2,
				.ids_count = (uint32_t)pushed};
			assert_int_equal(stream_push_delivery(bench.stream, &delivery, 0), OK);
			pushed++;
		} else if (popped < pushed) {
			struct stream_item item = peek(bench.stream);
			assert_int_equal(item.kind, STREAM_DELIVERY);
			assert_ptr_equal(item.event, event);
			assert_int_equal(item.ids_count, popped);
			assert_true(
				bytes_equal(item.run, numbered_run(place, popped, sizes[popped])));
			stream_pop(bench.stream);
			popped++;
		}
		assert_int_equal(stream_queued_count(bench.stream), pushed - popped);
		assert_int_equal(atomic_load(&event->holders), 1 + pushed - popped);
	}
	check_empty(bench.stream);
	assert_int_equal(stream_queued_bytes(bench.stream), 0);
	assert_int_equal(figure(&bench, METRIC_deliveries_sent), 4000);
	event_unref(event);
	bench_close(&bench);
}

static void test_answers_go_ahead(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	const struct model_answer refused = {.id = bytes_of("second"),
		.refusal = MODEL_REFUSED_FILTER,
		.filter = 3,
		.text = bytes_of("what was wrong"),
		.hint = bytes_of("what would be right"),
		.live_after = bytes_of("a position")};
	assert_int_equal(push_new(bench.stream, 1, 10, 0), OK);
	assert_int_equal(push_new(bench.stream, 2, 10, 0), OK);
	struct stream_item item = peek(bench.stream);
	assert_int_equal(item.event->sequence, 1);
	assert_int_equal(push_answer(bench.stream, "first"), OK);
	stream_pop(bench.stream); /* what was peeked, not what has overtaken it since */
	assert_int_equal(stream_push_answer(bench.stream, &refused, 0), OK);
	assert_int_equal(stream_push_ack(bench.stream, INT64_MIN, 0), OK);
	assert_int_equal(
		stream_push_state(bench.stream, STREAM_RECONNECTING, bytes_of("gone")), OK);

	item = peek(bench.stream);
	assert_int_equal(item.kind, STREAM_ANSWER);
	assert_int_equal(item.answer.refusal, MODEL_ACCEPTED);
	assert_true(bytes_equal(item.answer.id, bytes_of("first")));
	assert_int_equal(item.answer.text.size + item.answer.hint.size, 0);
	stream_pop(bench.stream);
	item = peek(bench.stream);
	assert_int_equal(item.answer.refusal, MODEL_REFUSED_FILTER);
	assert_int_equal(item.answer.filter, 3);
	assert_true(bytes_equal(item.answer.id, refused.id));
	assert_true(bytes_equal(item.answer.text, refused.text));
	assert_true(bytes_equal(item.answer.hint, refused.hint));
	assert_true(bytes_equal(item.answer.live_after, refused.live_after));
	stream_pop(bench.stream);
	item = peek(bench.stream);
	assert_int_equal(item.kind, STREAM_ACK);
	assert_true(item.timestamp_ms == INT64_MIN);
	stream_pop(bench.stream);
	item = peek(bench.stream);
	assert_int_equal(item.kind, STREAM_STATE);
	assert_int_equal(item.state, STREAM_RECONNECTING);
	assert_true(bytes_equal(item.text, bytes_of("gone")));
	stream_pop(bench.stream);
	check_delivery(bench.stream, 2);
	check_empty(bench.stream);
	bench_close(&bench);
}

/* One wake for one sleep: a consumer that has not come back for more is not woken again. */
static void test_wakes(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	assert_int_equal(push_new(bench.stream, 1, 10, 0), OK);
	assert_int_equal(bench.wakes, 1);
	assert_int_equal(push_new(bench.stream, 2, 10, 0), OK);
	check_delivery(bench.stream, 1);
	assert_int_equal(push_new(bench.stream, 3, 10, 0), OK);
	assert_int_equal(bench.wakes, 1);
	check_delivery(bench.stream, 2);
	check_delivery(bench.stream, 3);
	check_empty(bench.stream);
	assert_int_equal(push_answer(bench.stream, "id"), OK);
	assert_int_equal(bench.wakes, 2);
	stream_finish(bench.stream, OK, "");
	assert_int_equal(bench.wakes, 2);
	stream_pop((peek(bench.stream), bench.stream));
	check_end(bench.stream, OK, "");
	bench_close(&bench);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void test_end_goes_ahead_of_all(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	struct event *event = make_event(1, 10);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(push(bench.stream, event, bytes_of("id"), 0), OK);
	}
	assert_int_equal(push_answer(bench.stream, "id"), OK);
	assert_false(stream_has_ended(bench.stream));
	stream_end(bench.stream, ERR_UNAVAILABLE, "the first reason");
	stream_end(bench.stream, ERR_IO, "another");
	stream_finish(bench.stream, ERR_IO, "a third");
	assert_true(stream_has_ended(bench.stream));
	assert_int_equal(push(bench.stream, event, bytes_of("id"), 0), ERR_CLOSED);
	assert_int_equal(push_answer(bench.stream, "id"), ERR_CLOSED);
	assert_int_equal(stream_push_ack(bench.stream, 1, 0), ERR_CLOSED);
	assert_int_equal(
		stream_push_state(bench.stream, STREAM_CONNECTED, (struct bytes){0}), ERR_CLOSED);
	assert_int_equal(stream_tick(bench.stream, INT64_MAX), OK);
	check_end(bench.stream, ERR_UNAVAILABLE, "the first reason");
	assert_int_equal(atomic_load(&event->holders), 1);
	assert_int_equal(figure(&bench, METRIC_deliveries_discarded), 100);
	event_unref(event);
	bench_close(&bench);
}

/* The consumer has looked, and waits for room to take what it saw: an end must reach it all the
 * same. */
static void test_end_wakes_who_waits_for_room(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	assert_int_equal(push_new(bench.stream, 1, 10, 0), OK);
	(void)peek(bench.stream);
	unsigned wakes = bench.wakes;
	assert_int_equal(push_new(bench.stream, 2, 10, 0), OK);
	assert_int_equal(bench.wakes, wakes); /* there is something to take as it is */
	stream_end(bench.stream, ERR_LIMIT, "too slow");
	assert_int_equal(bench.wakes, wakes + 1);
	check_end(bench.stream, ERR_LIMIT, "too slow");
	bench_close(&bench);
}

static void test_finish_comes_behind_all(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	assert_int_equal(push_new(bench.stream, 1, 10, 0), OK);
	assert_int_equal(push_answer(bench.stream, "id"), OK);
	stream_finish(bench.stream, ERR_UNAVAILABLE, "shutting down");
	assert_int_equal(push_new(bench.stream, 2, 10, 0), ERR_CLOSED);
	assert_int_equal(peek(bench.stream).kind, STREAM_ANSWER);
	stream_pop(bench.stream);
	check_delivery(bench.stream, 1);
	check_end(bench.stream, ERR_UNAVAILABLE, "shutting down");
	bench_close(&bench);
}

/* A drain whose time is over: no more deliveries, but the words stay, which may have been read. */
static void test_end_while_finishing(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	assert_int_equal(push_new(bench.stream, 1, 10, 0), OK);
	assert_int_equal(push_new(bench.stream, 2, 10, 0), OK);
	stream_finish(bench.stream, ERR_UNAVAILABLE, "shutting down");
	check_delivery(bench.stream, 1);
	struct stream_item item = peek(bench.stream);
	assert_int_equal(item.event->sequence, 2);
	stream_end(bench.stream, ERR_IO, "now");
	stream_pop(bench.stream); /* it was peeked before */
	check_end(bench.stream, ERR_UNAVAILABLE, "shutting down");
	bench_close(&bench);
}

static void test_long_reason(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	char text[1000];
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	stream_end(bench.stream, ERR_INTERNAL, text);
	struct stream_item item = peek(bench.stream);
	assert_in_range(item.text.size, 100, 900);
	assert_true(bytes_equal(item.text, (struct bytes){text, item.text.size}));
	bench_close(&bench);
}

static void test_consumer_closes(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &wide);
	struct event *event = make_event(1, 10);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(push(bench.stream, event, bytes_of("id"), 0), OK);
	}
	check_delivery(bench.stream, 1);
	stream_close(bench.stream);
	assert_int_equal(atomic_load(&event->holders), 1);
	assert_true(stream_has_ended(bench.stream));
	assert_int_equal(push(bench.stream, event, bytes_of("id"), 0), ERR_CLOSED);
	assert_int_equal(push_answer(bench.stream, "id"), ERR_CLOSED);
	struct stream_item item;
	assert_int_equal(stream_peek(bench.stream, &item), ERR_CLOSED);
	assert_int_equal(stream_queued_bytes(bench.stream), 0);
	assert_int_equal(figure(&bench, METRIC_deliveries_sent), 1);
	assert_int_equal(figure(&bench, METRIC_deliveries_discarded), 9);
	event_unref(event);
	bench_close(&bench);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static size_t cost_of_one(size_t size)
{
	struct bench bench;
	bench_open(&bench, &wide);
	assert_int_equal(push_new(bench.stream, 1, size, 0), OK);
	size_t cost = stream_queued_bytes(bench.stream);
	assert_int_equal(figure(&bench, METRIC_queued_bytes), cost);
	assert_true(cost > size);
	check_delivery(bench.stream, 1);
	bench_close(&bench);
	return cost;
}

static void test_hard_limit(void **state)
{
	(void)state;
	size_t cost = cost_of_one(1000);
	const struct stream_limits limits = {
		.hard_bytes = 3 * cost, .soft_bytes = SIZE_MAX, .soft_us = 1};
	struct bench bench;
	bench_open(&bench, &limits);
	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(push_new(bench.stream, i, 1000, 0), OK);
	}
	check_delivery(bench.stream, 1);
	assert_int_equal(push_new(bench.stream, 4, 1000, 0), OK);
	assert_int_equal(stream_queued_bytes(bench.stream), 3 * cost);
	assert_int_equal(push_new(bench.stream, 5, 1000, 0), ERR_LIMIT);
	assert_int_equal(push_new(bench.stream, 6, 1000, 0), ERR_CLOSED);
	assert_int_equal(figure(&bench, METRIC_streams_slow), 1);
	check_end(bench.stream, ERR_LIMIT, "too slow: queue_hard_bytes exceeded");
	bench_close(&bench);
}

/* Answers that nobody reads are no better than deliveries. */
static void test_hard_limit_for_answers(void **state)
{
	(void)state;
	const struct stream_limits limits = {
		.hard_bytes = 10000, .soft_bytes = SIZE_MAX, .soft_us = 1};
	struct bench bench;
	bench_open(&bench, &limits);
	enum err err = OK;
	unsigned count = 0;
	while (err == OK) {
		err = count % 2 ? push_answer(bench.stream, "id")
				: stream_push_ack(bench.stream, 1, 0);
		assert_true(stream_queued_bytes(bench.stream) <= 10000);
		count++;
	}
	assert_int_equal(err, ERR_LIMIT);
	assert_in_range(count, 100, 1000);
	bench_close(&bench);
}

static const struct stream_limits soft = {
	.hard_bytes = SIZE_MAX, .soft_bytes = 5000, .soft_us = 1000};

static void test_soft_limit_by_tick(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &soft);
	for (uint64_t i = 0; i < 5; i++) {
		assert_int_equal(push_new(bench.stream, i, 1000, 0), OK);
	}
	assert_int_equal(stream_tick(bench.stream, 100), OK); /* it is exceeded from here on */
	assert_int_equal(stream_tick(bench.stream, 1099), OK);
	assert_int_equal(stream_tick(bench.stream, 1100), ERR_LIMIT);
	assert_int_equal(stream_tick(bench.stream, 1101), OK); /* told once */
	check_end(bench.stream, ERR_LIMIT, "too slow: queue_soft_bytes exceeded for queue_soft_ms");
	assert_int_equal(figure(&bench, METRIC_streams_slow), 1);
	bench_close(&bench);
}

static void test_soft_limit_by_push(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &soft);
	for (uint64_t i = 0; i < 5; i++) {
		assert_int_equal(push_new(bench.stream, i, 1000, 0), OK);
	}
	assert_int_equal(push_new(bench.stream, 5, 1000, 100), OK);
	assert_int_equal(push_new(bench.stream, 6, 1000, 1099), OK);
	assert_int_equal(push_new(bench.stream, 7, 1000, 1100), ERR_LIMIT);
	bench_close(&bench);
}

/* Who gets below the limit in between has caught up: the time begins anew. */
static void test_soft_limit_is_forgiven(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench, &soft);
	uint64_t pushed = 0;
	uint64_t popped = 0;
	for (int64_t now_us = 1; now_us < 20000; now_us += 900) {
		while (pushed < popped + 8) {
			assert_int_equal(push_new(bench.stream, pushed++, 1000, now_us), OK);
		}
		assert_int_equal(stream_tick(bench.stream, now_us), OK);
		while (popped + 2 < pushed) {
			check_delivery(bench.stream, popped++);
		}
	}
	assert_int_equal(figure(&bench, METRIC_streams_slow), 0);
	bench_close(&bench);
}

/* ---- two threads ----------------------------------------------------------------------------- */

struct threads {
	struct bench bench;
	_Atomic bool awake;
	uint64_t deliveries, answers; /* to push */
	uint64_t end_at;              /* so many deliveries, then stream_end; 0: finish */
	uint64_t close_at;            /* the consumer closes after so many; 0: never */
	bool in_step;                 /* a delivery is pushed when the one before has been popped */
	_Atomic uint64_t popped;
	uint64_t delivered, answered; /* popped */
	enum err why;
};

static void wake_thread(void *ctx)
{
	struct threads *threads = ctx;
	atomic_store(&threads->awake, true);
}

static void *produce(void *ctx)
{
	struct threads *threads = ctx;
	struct stream *stream = threads->bench.stream;
	enum err err = OK;
	uint64_t answers = 0;
	for (uint64_t i = 0; err == OK && i < threads->deliveries; i++) {
		while (threads->in_step && atomic_load(&threads->popped) < i) {
			(void)sched_yield();
		}
		err = push_new(stream, i, i % 1000, 0);
		while (err == OK && answers < threads->answers * i / threads->deliveries) {
			char id[32];
			(void)snprintf(id, sizeof(id), "%llu", (unsigned long long)answers++);
			err = push_answer(stream, id);
		}
		if (threads->end_at > 0 && i == threads->end_at) {
			stream_end(stream, ERR_INTERNAL, "in the middle");
		}
	}
	stream_finish(stream, ERR_UNAVAILABLE, "at the end");
	stream_unref(stream);
	return NULL;
}

/* One item; false when the stream is over. */
static bool consume(struct threads *threads)
{
	struct stream *stream = threads->bench.stream;
	struct stream_item item;
	enum err err = stream_peek(stream, &item);
	if (err == ERR_EMPTY) {
		for (long turns = 0; !atomic_exchange(&threads->awake, false); turns++) {
			if (turns > 50000000) {
				fail_msg("nobody wakes the consumer");
			}
			(void)sched_yield();
		}
		return true;
	}
	assert_int_equal(err, OK);
	if (item.kind == STREAM_DELIVERY) {
		assert_int_equal(item.event->sequence, threads->delivered);
		assert_int_equal(item.event->encoded.size, threads->delivered % 1000);
		threads->delivered++;
	} else if (item.kind == STREAM_ANSWER) {
		char id[32];
		(void)snprintf(id, sizeof(id), "%llu", (unsigned long long)threads->answered++);
		assert_true(bytes_equal(item.answer.id, bytes_of(id)));
	} else {
		assert_int_equal(item.kind, STREAM_END);
		threads->why = item.why;
	}
	stream_pop(stream);
	atomic_store(&threads->popped, threads->delivered);
	for (uint64_t i = 0; threads->in_step && i < threads->delivered % 1000; i++) {
		(void)atomic_load(&threads->awake); /* as long as the next push may take */
	}
	return item.kind != STREAM_END;
}

static void run_threads(struct threads *threads)
{
	pthread_t producer;
	assert_int_equal(stream_new(&wide, &threads->bench.metrics, wake_thread, threads,
				 &threads->bench.stream),
		OK);
	assert_int_equal(pthread_create(&producer, NULL, produce, threads), 0);
	while (consume(threads)) {
		if (threads->close_at > 0 && threads->delivered == threads->close_at) {
			stream_close(threads->bench.stream);
			break;
		}
	}
	stream_unref(threads->bench.stream);
	assert_int_equal(pthread_join(producer, NULL), 0);
	const struct bench *bench = &threads->bench;
	assert_int_equal(figure(bench, METRIC_queued_bytes), 0);
	assert_int_equal(figure(bench, METRIC_streams), 0);
	assert_int_equal(figure(bench, METRIC_deliveries_queued),
		figure(bench, METRIC_deliveries_sent) + figure(bench, METRIC_deliveries_discarded));
}

static void test_two_threads(void **state)
{
	(void)state;
	struct threads threads = {.deliveries = 30000, .answers = 9000};
	run_threads(&threads);
	assert_int_equal(threads.delivered, 30000);
	assert_int_equal(threads.why, ERR_UNAVAILABLE);
	assert_true(threads.answered > 8990);
}

/* The consumer goes to sleep at the very time of the next push, again and again. */
static void test_two_threads_in_step(void **state)
{
	(void)state;
	struct threads threads = {.deliveries = 100000, .in_step = true};
	run_threads(&threads);
	assert_int_equal(threads.delivered, 100000);
}

static void test_two_threads_end(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 20; i++) {
		struct threads threads = {
			.deliveries = 3000, .answers = 100, .end_at = 100 + 100 * i};
		run_threads(&threads);
		assert_int_equal(threads.why, ERR_INTERNAL);
		assert_in_range(threads.delivered, 0, 101 + 100 * i);
	}
}

static void test_two_threads_close(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 20; i++) {
		struct threads threads = {
			.deliveries = 3000, .answers = 100, .close_at = 1 + 100 * i};
		run_threads(&threads);
		assert_int_equal(threads.delivered, 1 + 100 * i);
	}
}

/* ---- lack of memory -------------------------------------------------------------------------- */

/* What could be pushed comes out, and nothing is lost or kept. */
static void push_and_pop(struct test_random *random)
{
	struct metrics metrics = {0};
	struct stream *stream = NULL;
	struct event *event = NULL;
	unsigned wakes = 0;
	if (stream_new(&wide, &metrics, count_wake, &wakes, &stream) != OK) {
		return;
	}
	if (event_new(&event) == OK) {
		char place[700];
		uint64_t pushed = 0;
		for (int i = 0; i < 30; i++) {
			size_t size = test_random_below(random, sizeof(place));
			struct bytes run = numbered_run(place, (uint64_t)i, size);
			enum err err =
				i % 3 ? push(stream, event, run, 0) : stream_push_ack(stream, i, 0);
			assert_true(err == OK || err == ERR_MEMORY);
			pushed += err == OK && i % 3;
		}
		assert_int_equal(stream_queued_count(stream), pushed);
		struct stream_item item;
		uint64_t popped = 0;
		while (stream_peek(stream, &item) == OK && popped + 3 < pushed) {
			popped += item.kind == STREAM_DELIVERY;
			stream_pop(stream);
		}
		event_unref(event);
	}
	stream_unref(stream);
	stream_unref(stream);
	assert_int_equal(metrics_get(&metrics, METRIC_queued_bytes), 0);
	assert_int_equal(metrics_get(&metrics, METRIC_streams), 0);
}

static void test_lack_of_memory(void **state)
{
	(void)state;
	struct test_random random = test_random_start("stream");
	bool failed = true;
	for (size_t fail_at = 0; failed; fail_at++) {
		struct test_random same = random;
		struct failing failing;
		failing_start(&failing, fail_at);
		push_and_pop(&same);
		failed = failing_stop(&failing);
		assert_int_equal(failing.live, 0);
		assert_true(fail_at < 1000);
	}
}

/* An allocator that aligns to 16 bytes and never to more, as the C library's often does. */
static void *odd_hook(void *ctx, void *pointer, size_t size)
{
	(void)ctx;
	if (size == 0) {
		free(pointer ? (char *)pointer - 16 : NULL);
		return NULL;
	}
	assert_null(pointer); /* nothing here grows in place */
	char *place = aligned_alloc(64, (size + 16 + 63) & ~(size_t)63);
	return place ? place + 16 : NULL;
}

static void test_needs_no_great_alignment(void **state)
{
	(void)state;
	struct bench bench;
	mem_set_hook(odd_hook, NULL);
	bench_open(&bench, &wide);
	assert_int_equal(push_new(bench.stream, 1, 10, 0), OK); /* the sanitizer looks on */
	check_delivery(bench.stream, 1);
	bench_close(&bench);
	mem_set_hook(NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_bytes),
		cmocka_unit_test(test_answers_go_ahead),
		cmocka_unit_test(test_wakes),
		cmocka_unit_test(test_end_goes_ahead_of_all),
		cmocka_unit_test(test_end_wakes_who_waits_for_room),
		cmocka_unit_test(test_finish_comes_behind_all),
		cmocka_unit_test(test_end_while_finishing),
		cmocka_unit_test(test_long_reason),
		cmocka_unit_test(test_consumer_closes),
		cmocka_unit_test(test_hard_limit),
		cmocka_unit_test(test_hard_limit_for_answers),
		cmocka_unit_test(test_soft_limit_by_tick),
		cmocka_unit_test(test_soft_limit_by_push),
		cmocka_unit_test(test_soft_limit_is_forgiven),
		cmocka_unit_test(test_two_threads),
		cmocka_unit_test(test_two_threads_in_step),
		cmocka_unit_test(test_two_threads_end),
		cmocka_unit_test(test_two_threads_close),
		cmocka_unit_test(test_lack_of_memory),
		cmocka_unit_test(test_needs_no_great_alignment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
