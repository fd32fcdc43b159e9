/* worker through its header: streams that come back, and breaks in the source. What a consumer gets
 * from the events that it names on is the same whether it was there or not. */
#include "random.h"
#include "worker_rig.h"

#define EPOCH 5
#define LEASE_US 90000000
#define WAIT_US 10000000

static struct rig *open_rig(struct rig *rig, size_t history_events)
{
	rig_prepare(rig);
	rig->options.history.events = history_events;
	rig->options.remote.epoch = EPOCH;
	rig->options.remote.lease_ms = LEASE_US / 1000;
	rig->options.resume_wait_us = WAIT_US;
	assert_int_equal(try_worker(rig), OK);
	return rig;
}

/* An event with a time of its own and a position of this life or another. */
static struct event *event_of(uint64_t sequence, uint64_t number, uint64_t epoch)
{
	char id[24];
	(void)snprintf(id, sizeof(id), "e%u", (unsigned)number);
	const struct model_change change = {.event_id = bytes_of(id),
		.database = bytes_of("d"),
		.kind = MODEL_CHANGE_INSERT,
		.full_document = bytes_of("{\"collection\":\"users\",\"data\":{\"a\":1}}"),
		.cluster_seconds = (uint32_t)number,
		.backend = bytes_of("b")};
	const struct wire_event_options options = {
		.json_depth_max = 100, .read = true, .sequence = sequence, .epoch = epoch};
	struct arena arena = {0};
	struct wire_document_head head;
	struct event *event = NULL;
	assert_int_equal(wire_document_head_scan(change.full_document, &arena, &head), OK);
	assert_int_equal(wire_event_make(&change, MODEL_INSERT, &head, &options, NULL, &event), OK);
	arena_fini(&arena);
	return event;
}

static void push_event(struct rig *rig, struct event *event)
{
	assert_int_equal(worker_push(rig->worker, event), OK);
	rig->sequence = event->sequence;
	event_unref(event);
}

/* So many more changes to "users", routed. Number and sequence are the same. */
static void push_users(struct rig *rig, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		push_event(rig, event_of(rig->sequence + 1, rig->sequence + 1, EPOCH));
		if (worker_room(rig->worker) == 0) {
			run(rig, 1000);
		}
	}
	run(rig, 10000);
}

static void push_break(struct rig *rig)
{
	struct event *event = NULL;
	assert_int_equal(event_new(&event), OK);
	event->sequence = rig->sequence + 1;
	event->is_break = true;
	assert_int_equal(event_place(event, EPOCH), OK);
	push_event(rig, event);
	run(rig, 1000);
}

/* The position of the change with this number, as a life gave it out. */
static void position_of(uint64_t number, uint64_t epoch, char ret_position[MODEL_POSITION_SIZE])
{
	struct event *event = event_of(number, number, epoch);
	memcpy(ret_position, event->position.data, MODEL_POSITION_SIZE);
	event_unref(event);
}

static void hello_after(struct rig *rig, size_t i, uint64_t number, uint64_t epoch)
{
	char position[MODEL_POSITION_SIZE];
	position_of(number, epoch, position);
	const struct model_hello hello = {.version = 1, .after = {position, sizeof(position)}};
	worker_hello(rig->attached[i], &hello);
}

static void pop_welcome(struct rig *rig, size_t i, enum model_resume resume)
{
	struct stream_item item;
	assert_int_equal(stream_peek(rig->streams[i], &item), OK);
	assert_int_equal(item.kind, STREAM_WELCOME);
	assert_int_equal(item.welcome.resume, resume);
	assert_true(item.welcome.epoch == EPOCH);
	assert_int_equal(item.welcome.position.size, MODEL_POSITION_SIZE);
	stream_pop(rig->streams[i]);
}

static void register_all(struct rig *rig, size_t i)
{
	const struct model_heartbeat heartbeat = {.timestamp_ms = 1, .registered = true};
	worker_heartbeat(rig->attached[i], &heartbeat);
	(void)pop(rig, i, STREAM_ACK);
	run(rig, 20000);
}

static void pop_users(struct rig *rig, size_t i, uint64_t from, uint64_t to, bool is_replayed)
{
	for (uint64_t sequence = from; sequence <= to; sequence++) {
		struct stream_item item;
		assert_int_equal(stream_peek(rig->streams[i], &item), OK);
		assert_int_equal(item.kind, STREAM_DELIVERY);
		assert_true(item.event->sequence == sequence);
		assert_int_equal(item.is_replayed, is_replayed);
		assert_int_equal(item.event->position.size, MODEL_POSITION_SIZE);
		stream_pop(rig->streams[i]);
	}
}

static struct model_gap pop_gap(struct rig *rig, size_t i, enum model_gap_reason reason)
{
	struct stream_item item;
	assert_int_equal(stream_peek(rig->streams[i], &item), OK);
	assert_int_equal(item.kind, STREAM_GAP);
	assert_int_equal(item.gap.reason, reason);
	struct model_gap gap = {.reason = item.gap.reason, .events = item.gap.events};
	stream_pop(rig->streams[i]);
	return gap;
}

/* Says that it has all up to change `number` of a life, and registers one subscription. */
static void go_on_after(struct rig *rig, size_t i, uint64_t number, uint64_t epoch)
{
	hello_after(rig, i, number, epoch);
	pop_welcome(rig, i, MODEL_RESUME_REPLAY);
	subscribe(rig, i, "a", "users");
	assert_int_equal(pop(rig, i, STREAM_ANSWER).answer.refusal, MODEL_ACCEPTED);
	register_all(rig, i);
}

/* A stream that has come back after change `number` and registered one subscription. */
static size_t come_back(struct rig *rig, uint64_t number)
{
	size_t i = attach(rig, &wide);
	go_on_after(rig, i, number, EPOCH);
	return i;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void what_passed_meanwhile_is_replayed(void **state)
{
	struct rig rig;
	(void)state;
	open_rig(&rig, 2000);
	push_users(&rig, 1000);
	size_t one = come_back(&rig, 100);
	pop_users(&rig, one, 101, 1000, true);
	check_empty(&rig, one);
	push_users(&rig, 3); /* and from there on it is like any other */
	pop_users(&rig, one, 1001, 1003, false);
	check_empty(&rig, one);
	assert_int_equal(figure(&rig, METRIC_streams_resumed), 1);
	assert_int_equal(figure(&rig, METRIC_deliveries_replayed), 900);
	rig_close(&rig);
}

/* While it registers nothing is delivered, and nothing is missed either. */
static void it_is_held_until_it_has_registered(void **state)
{
	struct rig rig;
	(void)state;
	open_rig(&rig, 2000);
	push_users(&rig, 10);
	size_t one = attach(&rig, &wide);
	hello_after(&rig, one, 10, EPOCH);
	pop_welcome(&rig, one, MODEL_RESUME_REPLAY);
	push_users(&rig, 5);
	subscribe(&rig, one, "a", "users");
	struct stream_item item;
	assert_int_equal(stream_peek(rig.streams[one], &item), OK);
	struct model_position live_after;
	assert_int_equal(model_position_read(item.answer.live_after, &live_after), OK);
	assert_true(live_after.sequence == 10);
	stream_pop(rig.streams[one]);
	push_users(&rig, 5);
	check_empty(&rig, one);
	struct model_position position;
	assert_int_equal(model_position_read(worker_position(rig.attached[one]), &position), OK);
	assert_true(position.sequence == 10);
	register_all(&rig, one);
	pop_users(&rig, one, 11, 20, true);
	check_empty(&rig, one);
	assert_int_equal(model_position_read(worker_position(rig.attached[one]), &position), OK);
	assert_true(position.sequence == 20);
	rig_close(&rig);
}

static void it_is_not_held_for_longer_than_its_lease(void **state)
{
	struct rig rig;
	(void)state;
	open_rig(&rig, 2000);
	push_users(&rig, 3);
	size_t one = attach(&rig, &wide);
	hello_after(&rig, one, 1, EPOCH);
	pop_welcome(&rig, one, MODEL_RESUME_REPLAY);
	subscribe(&rig, one, "a", "users");
	(void)pop(&rig, one, STREAM_ANSWER);
	run(&rig, LEASE_US - 1000000);
	check_empty(&rig, one);
	run(&rig, 2000000);
	pop_users(&rig, one, 2, 3, true);
	check_empty(&rig, one);
	rig_close(&rig);
}

static void what_the_history_has_lost_is_a_gap(void **state)
{
	struct rig rig;
	(void)state;
	open_rig(&rig, 100);
	push_users(&rig, 1000);
	size_t one = attach(&rig, &wide);
	hello_after(&rig, one, 899, EPOCH);
	pop_welcome(&rig, one, MODEL_RESUME_GAP);
	(void)pop_gap(&rig, one, MODEL_GAP_TOO_OLD);
	subscribe(&rig, one, "a", "users");
	(void)pop(&rig, one, STREAM_ANSWER);
	push_users(&rig, 2); /* behind the gap's end, and before it has registered */
	register_all(&rig, one);
	pop_users(&rig, one, 1001, 1002, true);
	check_empty(&rig, one);
	size_t two = come_back(&rig, 902); /* just what the history has */
	pop_users(&rig, two, 903, 1002, true);
	rig_close(&rig);
}

/* It takes so long to register that the history leaves it behind. */
static void being_left_behind_is_a_gap(void **state)
{
	struct rig rig;
	(void)state;
	open_rig(&rig, 100);
	push_users(&rig, 50);
	size_t one = attach(&rig, &wide);
	hello_after(&rig, one, 20, EPOCH);
	pop_welcome(&rig, one, MODEL_RESUME_REPLAY);
	subscribe(&rig, one, "a", "users");
	(void)pop(&rig, one, STREAM_ANSWER);
	push_users(&rig, 150);
	register_all(&rig, one);
	assert_int_equal(pop_gap(&rig, one, MODEL_GAP_TOO_OLD).events, 80); /* 21 to 100 */
	pop_users(&rig, one, 101, 200, true);
	check_empty(&rig, one);
	rig_close(&rig);
}

static void a_position_that_nobody_gave_out_is_a_gap(void **state)
{
	static const char strange[MODEL_POSITION_SIZE] = "what is this?";
	const struct model_hello hellos[] = {{.version = 1, .after = bytes_of("7")},
		{.version = 1, .after = {strange, sizeof(strange)}}};
	struct rig rig;
	(void)state;
	open_rig(&rig, 100);
	push_users(&rig, 10);
	for (size_t i = 0; i < 2; i++) {
		size_t one = attach(&rig, &wide);
		worker_hello(rig.attached[one], &hellos[i]);
		pop_welcome(&rig, one, MODEL_RESUME_GAP);
		(void)pop_gap(&rig, one, MODEL_GAP_UNKNOWN);
		check_empty(&rig, one);
	}
	size_t one = attach(&rig, &wide); /* further than any worker can be */
	hello_after(&rig, one, 10 + 1024 + 1, EPOCH);
	pop_welcome(&rig, one, MODEL_RESUME_GAP);
	(void)pop_gap(&rig, one, MODEL_GAP_UNKNOWN);
	size_t two = attach(&rig, &wide); /* of another life, and no state was kept */
	hello_after(&rig, two, 11, EPOCH + 1);
	pop_welcome(&rig, two, MODEL_RESUME_GAP);
	(void)pop_gap(&rig, two, MODEL_GAP_UNKNOWN);
	rig_close(&rig);
}

/* Another worker, on which it was before, may have been ahead of this one. */
static void it_may_be_ahead_of_its_worker(void **state)
{
	struct rig rig;
	(void)state;
	open_rig(&rig, 100);
	push_users(&rig, 10);
	size_t one = come_back(&rig, 13);
	check_empty(&rig, one);
	push_users(&rig, 3); /* it has had these */
	check_empty(&rig, one);
	push_users(&rig, 2);
	pop_users(&rig, one, 14, 15, false);
	check_empty(&rig, one);
	rig_close(&rig);
}

static void who_names_no_position_is_live(void **state)
{
	const struct model_hello hello = {.version = 1};
	struct rig rig;
	(void)state;
	open_rig(&rig, 100);
	push_users(&rig, 10);
	size_t one = attach(&rig, &wide);
	worker_hello(rig.attached[one], &hello);
	pop_welcome(&rig, one, MODEL_RESUME_LIVE);
	subscribe(&rig, one, "a", "users");
	(void)pop(&rig, one, STREAM_ANSWER);
	push_users(&rig, 1);
	pop_users(&rig, one, 11, 11, false);
	rig_close(&rig);
}

/* ---- another life ---------------------------------------------------------------------------- */

/* What the life before has routed comes first, for the history alone. */
static void push_replayed(struct rig *rig, uint64_t from, uint64_t to)
{
	for (uint64_t number = from; number <= to; number++) {
		struct event *event = event_of(rig->sequence + 1, number, EPOCH);
		event->is_history_only = true;
		push_event(rig, event);
	}
	run(rig, 1000);
}

static void a_position_of_the_life_before_is_found(void **state)
{
	struct rig rig;
	(void)state;
	open_rig(&rig, 1000);
	push_replayed(&rig, 501, 520);
	size_t other = attach(&rig, &wide);
	subscribe(&rig, other, "a", "users");
	(void)pop(&rig, other, STREAM_ANSWER);
	push_replayed(&rig, 521, 530);
	check_empty(&rig, other); /* that was before its time */
	size_t one = attach(&rig, &wide);
	go_on_after(&rig, one, 510, EPOCH - 1);
	pop_users(&rig, one, 11, 30, true); /* 511 to 530 */
	check_empty(&rig, one);
	rig_close(&rig);
}

/* It has caught up with the replay before that has come to its end. */
static void a_replay_that_goes_on_is_not_the_head(void **state)
{
	struct rig rig;
	(void)state;
	open_rig(&rig, 1000);
	push_replayed(&rig, 501, 520);
	size_t one = attach(&rig, &wide);
	go_on_after(&rig, one, 510, EPOCH - 1);
	pop_users(&rig, one, 11, 20, true);
	check_empty(&rig, one);
	push_replayed(&rig, 521, 530);
	struct event *last = event_of(rig.sequence + 1, 531, EPOCH);
	last->is_history_only = true;
	last->is_last_old = true;
	push_event(&rig, last);
	run(&rig, 20000);
	pop_users(&rig, one, 21, 31, true);
	push_event(&rig, event_of(rig.sequence + 1, 532, EPOCH));
	run(&rig, 1000);
	pop_users(&rig, one, 32, 32, false);
	check_empty(&rig, one);
	rig_close(&rig);
}

/* The replay has not come so far yet: the answer waits, at most so long. */
static void a_hello_waits_for_the_replay(void **state)
{
	struct rig rig;
	(void)state;
	rig_prepare(&rig);
	rig.options.remote.epoch = EPOCH;
	rig.options.recovers = true;
	rig.options.resume_wait_us = WAIT_US;
	assert_int_equal(try_worker(&rig), OK);
	size_t one = attach(&rig, &wide);
	size_t two = attach(&rig, &wide);
	hello_after(&rig, one, 505, EPOCH - 1);
	hello_after(&rig, two, 600, EPOCH - 1);
	run(&rig, 1000000);
	check_empty(&rig, one);
	push_replayed(&rig, 501, 504);
	run(&rig, 1000000);
	check_empty(&rig, one);
	push_replayed(&rig, 505, 510);
	run(&rig, 200000);
	pop_welcome(&rig, one, MODEL_RESUME_REPLAY);
	check_empty(&rig, one);
	check_empty(&rig, two);
	run(&rig, WAIT_US);
	pop_welcome(&rig, two, MODEL_RESUME_GAP);
	(void)pop_gap(&rig, two, MODEL_GAP_UNKNOWN);
	rig_close(&rig);
}

/* What it had is not there, but the rest of the replay is no news to it either. */
static void a_gap_stands_behind_the_replay(void **state)
{
	struct rig rig;
	(void)state;
	open_rig(&rig, 1000);
	push_replayed(&rig, 501, 510);
	size_t one = attach(&rig, &wide);
	hello_after(&rig, one, 400, EPOCH - 1);
	run(&rig, 1000000);
	check_empty(&rig, one);
	struct event *last = event_of(rig.sequence + 1, 511, EPOCH);
	last->is_history_only = true;
	last->is_last_old = true;
	push_event(&rig, last);
	run(&rig, 200000);
	pop_welcome(&rig, one, MODEL_RESUME_GAP);
	(void)pop_gap(&rig, one, MODEL_GAP_UNKNOWN);
	subscribe(&rig, one, "a", "users");
	(void)pop(&rig, one, STREAM_ANSWER);
	register_all(&rig, one);
	check_empty(&rig, one);
	push_event(&rig, event_of(rig.sequence + 1, 512, EPOCH));
	run(&rig, 1000);
	pop_users(&rig, one, 12, 12, false);
	rig_close(&rig);
}

/* ---- breaks in the source -------------------------------------------------------------------- */

static void a_break_is_told_in_its_place(void **state)
{
	struct rig rig;
	(void)state;
	open_rig(&rig, 1000);
	size_t one = attach(&rig, &wide);
	size_t idle = attach(&rig, &wide); /* has asked for nothing: it misses nothing */
	subscribe(&rig, one, "a", "users");
	(void)pop(&rig, one, STREAM_ANSWER);
	push_users(&rig, 2);
	push_break(&rig);
	push_users(&rig, 2);
	pop_users(&rig, one, 1, 2, false);
	(void)pop_gap(&rig, one, MODEL_GAP_SOURCE);
	pop_users(&rig, one, 4, 5, false);
	check_empty(&rig, one);
	check_empty(&rig, idle);
	size_t two = come_back(&rig, 1);
	pop_users(&rig, two, 2, 2, true);
	(void)pop_gap(&rig, two, MODEL_GAP_SOURCE);
	pop_users(&rig, two, 4, 5, true);
	check_empty(&rig, two);
	assert_int_equal(figure(&rig, METRIC_gaps), 2);
	rig_close(&rig);
}

/* ---- many, and slow -------------------------------------------------------------------------- */

/* A replay waits for room in the queue instead of ending the stream. */
static void check_pace(size_t soft_bytes, unsigned count)
{
	const struct stream_limits narrow = {
		.hard_bytes = 2 * soft_bytes, .soft_bytes = soft_bytes, .soft_us = 1000000};
	struct rig rig;
	rig_prepare(&rig);
	rig.options.remote.epoch = EPOCH;
	rig.options.history.events = 5000;
	rig.options.stream = narrow;
	assert_int_equal(try_worker(&rig), OK);
	push_users(&rig, count);
	size_t one = attach(&rig, &narrow);
	go_on_after(&rig, one, 0, EPOCH);
	for (uint64_t sequence = 1; sequence <= count;) {
		struct stream_item item;
		run(&rig, 10000);
		assert_true(stream_queued_bytes(rig.streams[one]) > 0);
		assert_true(stream_queued_bytes(rig.streams[one]) < narrow.hard_bytes);
		while (stream_peek(rig.streams[one], &item) == OK) {
			pop_users(&rig, one, sequence, sequence, true);
			sequence++;
		}
	}
	rig_close(&rig);
}

static void a_replay_goes_at_the_consumers_pace(void **state)
{
	(void)state;
	check_pace(20000, 4000);
}

/* So few fit into the queue that a whole batch of them would end the stream, whoever reads it. */
static void large_ones_are_replayed_a_few_at_a_time(void **state)
{
	(void)state;
	check_pace(600, 100);
}

/* At any time, after any position, while changes and breaks go on: all, in order, each once. */
static void nothing_is_missed_at_random(void **state)
{
	struct test_random random = test_random_start("worker_resume");
	(void)state;
	for (int round = 0; round < 50; round++) {
		struct rig rig;
		open_rig(&rig, 10000);
		push_users(&rig, (unsigned)test_random_below(&random, 100));
		uint64_t after = test_random_below(&random, rig.sequence + 1);
		size_t one = attach(&rig, &wide);
		hello_after(&rig, one, after, EPOCH);
		pop_welcome(&rig, one, MODEL_RESUME_REPLAY);
		subscribe(&rig, one, "a", "users");
		(void)pop(&rig, one, STREAM_ANSWER);
		uint64_t got = after;
		bool is_registered = false;
		for (int step = 0; step < 60; step++) {
			push_users(&rig, (unsigned)test_random_below(&random, 40));
			if (!is_registered && test_random_below(&random, 10) == 0) {
				is_registered = true;
				const struct model_heartbeat heartbeat = {.registered = true};
				worker_heartbeat(rig.attached[one], &heartbeat);
				(void)pop(&rig, one, STREAM_ACK);
			}
			run(&rig, (int64_t)test_random_below(&random, 5000));
			struct stream_item item;
			while (stream_peek(rig.streams[one], &item) == OK) {
				assert_int_equal(item.kind, STREAM_DELIVERY);
				assert_true(item.event->sequence == ++got);
				stream_pop(rig.streams[one]);
			}
		}
		assert_true(got == (is_registered ? rig.sequence : after));
		rig_close(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_passed_meanwhile_is_replayed),
		cmocka_unit_test(it_is_held_until_it_has_registered),
		cmocka_unit_test(it_is_not_held_for_longer_than_its_lease),
		cmocka_unit_test(what_the_history_has_lost_is_a_gap),
		cmocka_unit_test(being_left_behind_is_a_gap),
		cmocka_unit_test(a_position_that_nobody_gave_out_is_a_gap),
		cmocka_unit_test(it_may_be_ahead_of_its_worker),
		cmocka_unit_test(who_names_no_position_is_live),
		cmocka_unit_test(a_position_of_the_life_before_is_found),
		cmocka_unit_test(a_replay_that_goes_on_is_not_the_head),
		cmocka_unit_test(a_hello_waits_for_the_replay),
		cmocka_unit_test(a_gap_stands_behind_the_replay),
		cmocka_unit_test(a_break_is_told_in_its_place),
		cmocka_unit_test(a_replay_goes_at_the_consumers_pace),
		cmocka_unit_test(large_ones_are_replayed_a_few_at_a_time),
		cmocka_unit_test(nothing_is_missed_at_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
