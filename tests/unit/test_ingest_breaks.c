/* ingest through its header: breaks in the source, each in its place among the events; and what
 * another life has left: where to begin, and which events are old. */
#include "ingest_rig.h"

static void end_call(struct rig *rig)
{
	grpc_call_finish(fake_call_of(&rig->puller)->call, GRPC_UNAVAILABLE, "");
}

static void lose(struct rig *rig)
{
	end_call(rig);
	rig_run(rig, 3 * SECOND_US);
}

static const char *newest_after(const struct rig *rig)
{
	return rig->puller.calls[rig->puller.calls_count - 1].after;
}

/* So many events came before each of the breaks; -1 ends the list. */
static void check_breaks(const struct rig *rig, const int *places)
{
	size_t count = 0;
	while (places[count] >= 0) {
		count++;
	}
	assert_int_equal(rig->breaks_count, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(rig->breaks[i], places[i]);
	}
	assert_int_equal(figure(rig, METRIC_source_gaps), count);
}

#define CHECK_BREAKS(rig, ...) check_breaks(rig, (const int[]){__VA_ARGS__, -1})

/* ---- breaks ---------------------------------------------------------------------------------- */

static void a_life_without_losses_has_no_break(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	fill_log(rig, 5);
	rig_start(rig);
	rig_run(rig, SECOND_US);
	lose(rig); /* resumes behind the oldest marker that it has */
	ingest_routed(rig->ingest, 5);
	lose(rig);
	fill_log(rig, 9);
	lose(rig);
	check_log(rig, 0, 9);
	CHECK_BREAKS(rig, -1);
	rig_free(rig);
}

static void a_refused_marker_is_a_break(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	fill_log(rig, 5);
	rig_start(rig);
	rig_run(rig, SECOND_US);
	ingest_routed(rig->ingest, 5);
	rig->puller.refuse = GRPC_INVALID_ARGUMENT;
	lose(rig); /* refuses what it is asked for instead, too */
	CHECK_BREAKS(rig, -1);
	rig->puller.refuse = GRPC_OK;
	fill_log(rig, 7);
	rig_run(rig, 60 * SECOND_US);
	assert_true(rig->events_count >= 5);
	CHECK_BREAKS(rig, 5); /* one, when it is back */
	rig_free(rig);
}

/* It asks for what is new then, and what happened meanwhile is lost. */
static void a_connection_without_a_marker_is_a_break(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	rig->puller.is_manual = true;
	rig_start(rig);
	rig_run(rig, SECOND_US);
	struct model_change change = rig_change(1);
	fake_send(&rig->puller, &change, "");
	rig_run(rig, SECOND_US);
	lose(rig);
	assert_string_equal(newest_after(rig), "");
	CHECK_BREAKS(rig, -1); /* told when it is heard again: who subscribes now misses it too */
	fake_send(&rig->puller, NULL, "m1");
	rig_run(rig, SECOND_US);
	lose(rig);
	assert_string_equal(newest_after(rig), "m1");
	CHECK_BREAKS(rig, 1);
	rig_free(rig);
}

static void long_absence_is_a_break(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	rig->options.retention_us = 60 * SECOND_US;
	fill_log(rig, 5);
	rig_start(rig);
	rig_run(rig, SECOND_US);
	ingest_routed(rig->ingest, 5);
	for (int away_s = 10; away_s <= 100; away_s += 90) {
		loop_listener_free(rig->puller.listener);
		rig->puller.listener = NULL;
		end_call(rig);
		rig_run(rig, away_s * SECOND_US);
		fake_listen(&rig->puller);
		fill_log(rig, rig->puller.log_count + 2);
		rig_run(rig, 40 * SECOND_US);
	}
	check_log(rig, 0, 9);
	CHECK_BREAKS(rig, 7); /* ahead of what the second absence has left */
	rig_free(rig);
}

/* What the sink had no room for goes first, then the break, then what comes later. */
static void a_break_keeps_its_place_behind_what_is_held(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	fill_log(rig, 5);
	rig->room = 3;
	rig_start(rig);
	rig_run(rig, SECOND_US);
	ingest_routed(rig->ingest, 3);
	assert_int_equal(ingest_state(rig->ingest), INGEST_HELD);
	rig->puller.refuse = GRPC_INVALID_ARGUMENT; /* the next call */
	grpc_server_conn_close(rig->puller.conn);
	rig_run(rig, SECOND_US / 10);
	assert_int_equal(ingest_state(rig->ingest), INGEST_WAITING);
	rig->room = 1;
	ingest_resume(rig->ingest);
	rig_run(rig, 10 * SECOND_US);
	assert_int_equal(rig->events_count, 4);
	assert_true(figure(rig, METRIC_source_markers_refused) > 0);
	rig->puller.refuse = GRPC_OK;
	rig_run(rig, 60 * SECOND_US);
	assert_int_equal(rig->breaks_count, 0); /* no room for it */
	rig->room = 1;
	ingest_resume(rig->ingest);
	rig_run(rig, SECOND_US);
	CHECK_BREAKS(rig, 4);
	assert_int_equal(rig->events_count, 4);
	rig->room = SIZE_MAX;
	ingest_resume(rig->ingest);
	rig_run(rig, SECOND_US);
	check_log(rig, 0, 5);
	CHECK_BREAKS(rig, 4);
	rig_free(rig);
}

/* ---- another life ---------------------------------------------------------------------------- */

/* What a life calls its change `number`, sequence `sequence`. */
static void position_of(unsigned number, char ret_position[MODEL_POSITION_SIZE])
{
	struct event *event = NULL;
	assert_int_equal(event_new(&event), OK);
	event->sequence = 1000;
	event->change = rig_change(number);
	assert_int_equal(event_place(event, 99), OK);
	memcpy(ret_position, event->position.data, MODEL_POSITION_SIZE);
	event_unref(event);
}

static void check_old(const struct rig *rig, size_t count)
{
	for (size_t i = 0; i < rig->events_count; i++) {
		assert_int_equal(rig->events[i]->is_history_only, i < count);
		assert_false(rig->events[i]->is_last_old && i + 1 != count);
	}
}

/* Starts behind marker "m3"; the life before has routed up to change `number`. */
static struct rig *start_again(unsigned number, size_t log_count, int64_t age_us)
{
	static char position[MODEL_POSITION_SIZE];
	struct rig *rig = rig_new(INGEST_PULLER);
	position_of(number, position);
	fill_log(rig, log_count);
	rig->options.keeps_markers = true;
	rig->options.legacy = (struct ingest_legacy){.marker = bytes_of("m3"),
		.position = {position, sizeof(position)},
		.age_us = age_us};
	rig_start(rig);
	rig_run(rig, SECOND_US);
	return rig;
}

static void what_was_routed_before_is_old(void **state)
{
	(void)state;
	struct rig *rig = start_again(7, 10, 0);
	assert_string_equal(rig->puller.calls[0].after, "m3");
	check_log(rig, 3, 10);
	check_old(rig, 4); /* 4 to 7 */
	assert_true(rig->events[3]->is_last_old);
	CHECK_BREAKS(rig, -1);
	rig_free(rig);
}

static void what_does_not_come_again_is_a_break(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	char position[MODEL_POSITION_SIZE];
	position_of(7, position);
	fill_log(rig, 10);
	rig->puller.log[6].event_id = bytes_of("another");
	rig->options.legacy = (struct ingest_legacy){
		.marker = bytes_of("m3"), .position = {position, sizeof(position)}};
	rig_start(rig);
	rig_run(rig, SECOND_US);
	assert_int_equal(rig->events_count, 7);
	check_old(rig, 4);
	CHECK_BREAKS(rig, 4); /* ahead of change 8 */
	rig_free(rig);
}

static void a_long_time_between_lives_is_a_break(void **state)
{
	(void)state;
	struct rig *rig = start_again(7, 10, 3601 * SECOND_US);
	check_log(rig, 3, 10);
	check_old(rig, 4);
	CHECK_BREAKS(rig, 4); /* behind what was routed before */
	rig_free(rig);
}

static void without_a_position_all_is_new(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	fill_log(rig, 5);
	rig->options.legacy =
		(struct ingest_legacy){.marker = bytes_of("m3"), .position = bytes_of("?")};
	rig_start(rig);
	rig_run(rig, SECOND_US);
	check_log(rig, 3, 5);
	check_old(rig, 0);
	rig_free(rig);
}

/* ---- where the next life is to begin --------------------------------------------------------- */

static unsigned before(struct rig *rig, uint64_t sequence)
{
	struct bytes marker = ingest_marker_before(rig->ingest, sequence);
	char text[32] = {0};
	assert_true(marker.size > 1 && marker.size < sizeof(text));
	memcpy(text, marker.data, marker.size);
	return (unsigned)strtoul(text + 1, NULL, 10);
}

static void the_marker_before_an_event_is_known(void **state)
{
	(void)state;
	struct rig *rig = start_again(5, 20, 0); /* m4 stands behind sequence 1 */
	ingest_routed(rig->ingest, 10);
	assert_int_equal(before(rig, 1), 3);
	assert_int_equal(before(rig, 5), 7);
	assert_int_equal(before(rig, 11), 13);
	struct model_position position;
	assert_int_equal(model_position_read(ingest_position(rig->ingest), &position), OK);
	assert_true(position.sequence == 10);
	assert_int_equal(position.cluster_increment, 13);
	rig_free(rig);
}

/* Beyond what is kept there are some, never one that is too late, and none is far off. */
static void many_markers_are_thinned(void **state)
{
	enum { EVENTS = 50000 };
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	rig->is_forgetful = true;
	rig->options.keeps_markers = true;
	rig->puller.is_manual = true;
	rig_start(rig);
	rig_run(rig, SECOND_US);
	for (unsigned i = 1; i <= EVENTS; i++) {
		char marker[16];
		struct model_change change = rig_change(i);
		(void)snprintf(marker, sizeof marker, "m%u", i);
		fake_send(&rig->puller, &change, marker);
		if (i % 50 == 0) {
			rig_run(rig, SECOND_US);
			ingest_routed(rig->ingest, i);
			rig->events_count = 0;
		}
	}
	uint64_t steps[] = {2, 100, 30000, 49990, EVENTS + 1};
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		unsigned marker = before(rig, steps[i]);
		assert_true(marker < steps[i]);
		assert_true(marker + 64 >= steps[i]);
	}
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_life_without_losses_has_no_break),
		cmocka_unit_test(a_refused_marker_is_a_break),
		cmocka_unit_test(a_connection_without_a_marker_is_a_break),
		cmocka_unit_test(long_absence_is_a_break),
		cmocka_unit_test(a_break_keeps_its_place_behind_what_is_held),
		cmocka_unit_test(what_was_routed_before_is_old),
		cmocka_unit_test(what_does_not_come_again_is_a_break),
		cmocka_unit_test(a_long_time_between_lives_is_a_break),
		cmocka_unit_test(without_a_position_all_is_new),
		cmocka_unit_test(the_marker_before_an_event_is_known),
		cmocka_unit_test(many_markers_are_thinned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
