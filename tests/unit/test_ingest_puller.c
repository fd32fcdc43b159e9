/*
 * ingest: the gRPC Puller as a source, in virtual time: resume, silence, back-off, holding back,
 * markers refused, bad messages, the ends of connections.
 */
#include "failing.h"
#include "ingest_rig.h"

static const char *after_of(const struct rig *rig, size_t call)
{
	assert_true(call < rig->puller.calls_count);
	return rig->puller.calls[call].after;
}

static void end_call(struct rig *rig, enum grpc_status status, const char *text)
{
	grpc_call_finish(fake_call_of(&rig->puller)->call, status, text);
}

static bool marker_is(const struct rig *rig, const char *text)
{
	return bytes_equal(ingest_marker(rig->ingest), bytes_of(text));
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void test_follows(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	rig_start(rig);
	assert_int_equal(ingest_state(rig->ingest), INGEST_CONNECTING);
	rig_run(rig, SECOND_US);
	assert_int_equal(ingest_state(rig->ingest), INGEST_CONNECTING); /* no message yet */
	assert_int_equal(figure(rig, METRIC_source_connected), 1);
	fill_log(rig, 40);
	fake_call_go_on(fake_call_of(&rig->puller));
	rig_run(rig, SECOND_US);
	check_log(rig, 0, 40);
	CHECK_STATES(rig, INGEST_CONNECTING, INGEST_LIVE);
	assert_string_equal(after_of(rig, 0), "");
	assert_false(rig->puller.calls[0].coalesce);
	assert_int_equal(ingest_sequence(rig->ingest), 40);
	assert_in_range(ingest_lag_ms(rig->ingest), 1000, 2000);
	assert_int_equal(figure(rig, METRIC_events_received), 40);
	assert_int_equal(figure(rig, METRIC_source_connects), 1);
	assert_int_equal(figure(rig, METRIC_source_breaks), 0);
	rig_free(rig);
}

/* The Puller knows its subscribers by their consumer id, so each connection has its own. */
static void test_consumer_ids(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	rig_start(rig);
	for (int i = 0; i < 4; i++) {
		rig_run(rig, 40 * SECOND_US);
		end_call(rig, GRPC_CANCELLED, "subscription closed");
	}
	rig_run(rig, SECOND_US);
	assert_int_equal(rig->puller.calls_count, 4);
	for (size_t i = 0; i < 4; i++) {
		const char *id = rig->puller.calls[i].consumer_id;
		assert_int_equal(strlen(id), 9 + 36);
		assert_int_equal(strncmp(id, "streamer-", 9), 0);
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(id, rig->puller.calls[j].consumer_id);
		}
	}
	rig_free(rig);
}

static void test_bad_address(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	rig->options.address = "no port";
	assert_int_equal(rig_make(rig), OK);
	assert_int_equal(ingest_start(rig->ingest), ERR_INVALID);
	assert_int_equal(ingest_state(rig->ingest), INGEST_IDLE);
	ingest_free(rig->ingest);
	rig->ingest = NULL;
	rig->options.address = NULL;
	assert_int_equal(rig_make(rig), ERR_INVALID);
	assert_null(rig->ingest);
	rig_free(rig);
}

/* ---- resuming -------------------------------------------------------------------------------- */

/* Ends the call and waits until the next one has been made; where that one resumes. */
static const char *reconnect(struct rig *rig)
{
	size_t before = rig->puller.calls_count;
	end_call(rig, GRPC_UNAVAILABLE, "");
	rig_run(rig, 2 * SECOND_US);
	assert_int_equal(rig->puller.calls_count, before + 1);
	return after_of(rig, before);
}

static void test_resumes_after_routed(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	fill_log(rig, 5);
	rig_start(rig);
	rig_run(rig, SECOND_US);
	assert_true(marker_is(rig, ""));           /* nothing is routed */
	assert_string_equal(reconnect(rig), "m1"); /* the oldest that the sink has */
	assert_true(marker_is(rig, ""));
	ingest_routed(rig->ingest, 3);
	assert_true(marker_is(rig, "m3"));
	assert_string_equal(reconnect(rig), "m3");
	ingest_routed(rig->ingest, 2); /* late news moves nothing back */
	assert_string_equal(reconnect(rig), "m3");
	ingest_routed(rig->ingest, 5);
	fill_log(rig, 8);
	assert_string_equal(reconnect(rig), "m5");
	check_log(rig, 0, 8); /* what was sent again was dropped */
	assert_int_equal(figure(rig, METRIC_events_repeated), 4 + 2 + 2);
	rig_free(rig);
}

static void test_resumes_after_heartbeat(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	rig_start(rig);
	rig_run(rig, SECOND_US);
	fake_send(&rig->puller, NULL, "m7"); /* before any event */
	rig_run(rig, SECOND_US);
	assert_int_equal(ingest_state(rig->ingest), INGEST_LIVE);
	assert_true(marker_is(rig, "m7"));
	fake_send(&rig->puller, NULL, ""); /* an empty one is none */
	assert_string_equal(reconnect(rig), "m7");
	struct model_change change = rig_change(8);
	fake_send(&rig->puller, &change, "m8");
	fake_send(&rig->puller, NULL, "m9");
	rig_run(rig, SECOND_US);
	assert_true(marker_is(rig, "m7")); /* not past an event that is not routed */
	assert_string_equal(reconnect(rig), "m7");
	ingest_routed(rig->ingest, 1);
	assert_true(marker_is(rig, "m9"));
	change = rig_change(10);
	change.kind = MODEL_CHANGE_DELETE; /* goes to nobody, and moves the marker all the same */
	fake_send(&rig->puller, &change, "m10");
	rig_run(rig, SECOND_US);
	assert_string_equal(reconnect(rig), "m10");
	assert_int_equal(figure(rig, METRIC_source_heartbeats), 3);
	rig_free(rig);
}

/* More events under way than markers are kept for: the marker is late then, never early. */
static void test_many_markers(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	rig_start(rig);
	rig_run(rig, SECOND_US);
	for (unsigned i = 1; i <= 1000; i++) {
		char marker[16];
		struct model_change change = rig_change(i);
		(void)snprintf(marker, sizeof marker, "m%u", i);
		fake_send(&rig->puller, &change, marker);
		if (i % 100 == 0) {
			rig_run(rig, SECOND_US);
			ingest_routed(rig->ingest, i - 37);
			(void)snprintf(marker, sizeof marker, "m%u", i - 37);
			assert_true(marker_is(rig, marker));
		}
	}
	rig_free(rig);
}

static void refuse_marker(enum grpc_status status, const char *text, bool falls_back)
{
	struct rig *rig = rig_new(INGEST_PULLER);
	fill_log(rig, 5);
	rig_start(rig);
	rig_run(rig, SECOND_US);
	ingest_routed(rig->ingest, 5);
	rig->puller.refuse = status;
	rig->puller.refuse_text = text;
	assert_string_equal(reconnect(rig), "m5"); /* refused at once */
	rig_run(rig, 3 * SECOND_US);
	assert_string_equal(after_of(rig, 2), falls_back ? "e30" : "m5");
	rig_run(rig, 5 * SECOND_US);
	assert_string_equal(after_of(rig, 3), falls_back ? "" : "m5");
	rig->puller.refuse = GRPC_OK;
	rig->puller.live_from = 5;
	fill_log(rig, 7);
	rig_run(rig, 20 * SECOND_US);
	check_log(rig, 0, 7);
	ingest_routed(rig->ingest, rig->sequence);
	assert_string_equal(reconnect(rig), "m7");
	rig_free(rig);
}

static void test_marker_refused(void **state)
{
	(void)state;
	refuse_marker(GRPC_INVALID_ARGUMENT, "invalid 'after' progress marker: x", true);
	refuse_marker(GRPC_INTERNAL, "failed to start replay: invalid event ID x", true);
	refuse_marker(GRPC_INTERNAL, "replay error: x", false);
	refuse_marker(GRPC_UNAVAILABLE, "failed to", false);
}

/* The whole buffer is sent again, and what is known of it is dropped. */
static void test_marker_refused_once(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	fill_log(rig, 5);
	rig_start(rig);
	rig_run(rig, SECOND_US);
	ingest_routed(rig->ingest, 2);
	rig->puller.refuse = GRPC_INVALID_ARGUMENT;
	assert_string_equal(reconnect(rig), "m2");
	assert_int_equal(figure(rig, METRIC_source_markers_refused), 1);
	ingest_routed(rig->ingest, 5); /* their markers are not believed any more */
	assert_true(marker_is(rig, "e30"));
	rig->puller.refuse = GRPC_OK;
	fill_log(rig, 6);
	rig_run(rig, 3 * SECOND_US);
	assert_string_equal(after_of(rig, 2), "e30");
	check_log(rig, 0, 6);
	ingest_routed(rig->ingest, rig->sequence);
	assert_string_equal(reconnect(rig), "m6");
	/* After a message a status says nothing of the marker. */
	fill_log(rig, 7);
	fake_call_go_on(fake_call_of(&rig->puller));
	rig_run(rig, SECOND_US);
	end_call(rig, GRPC_INVALID_ARGUMENT, "failed to start replay");
	rig_run(rig, 2 * SECOND_US);
	assert_string_equal(after_of(rig, 4), "m6");
	rig_free(rig);
}

/* ---- silence and back-off -------------------------------------------------------------------- */

static void test_late_headers(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	rig_start(rig);
	rig_run(rig, 89 * SECOND_US); /* the Puller's headers come with its first message */
	CHECK_STATES(rig, INGEST_CONNECTING);
	fake_send(&rig->puller, NULL, "");
	rig_run(rig, SECOND_US);
	fake_send(&rig->puller, NULL, "");
	rig_run(rig, 89 * SECOND_US);
	CHECK_STATES(rig, INGEST_CONNECTING, INGEST_LIVE);
	rig_run(rig, 3 * SECOND_US / 2); /* 90 s after the last message it counts as dead */
	CHECK_STATES(rig, INGEST_CONNECTING, INGEST_LIVE, INGEST_WAITING);
	assert_in_range(rig->states_us[2], 180 * SECOND_US, 180 * SECOND_US + 10000);
	assert_int_equal(figure(rig, METRIC_source_connected), 0);
	rig_run(rig, 2 * SECOND_US);
	assert_int_equal(rig->puller.calls_count, 2);
	rig_run(rig, 89 * SECOND_US + SECOND_US / 5); /* nor does it wait for ever for the first */
	CHECK_STATES(rig, INGEST_CONNECTING, INGEST_LIVE, INGEST_WAITING, INGEST_CONNECTING,
		INGEST_WAITING);
	rig_free(rig);
}

static void test_held_is_not_silence(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	fill_log(rig, 5);
	rig->room = 2;
	rig_start(rig);
	rig_run(rig, 500 * SECOND_US);
	assert_int_equal(ingest_state(rig->ingest), INGEST_HELD);
	assert_int_equal(figure(rig, METRIC_source_breaks), 0);
	check_log(rig, 0, 2);
	rig->room = SIZE_MAX;
	ingest_resume(rig->ingest);
	rig_run(rig, 89 * SECOND_US);
	check_log(rig, 0, 5);
	assert_int_equal(ingest_state(rig->ingest), INGEST_LIVE);
	rig_run(rig, 2 * SECOND_US);
	assert_int_equal(figure(rig, METRIC_source_breaks), 1);
	rig_free(rig);
}

/* How long the wait number `i` was, from 0. */
static int64_t wait_us(const struct rig *rig, size_t i)
{
	for (size_t at = 0; at + 1 < rig->states_count; at++) {
		if (rig->states[at] == INGEST_WAITING && i-- == 0) {
			/* CONNECTING, or WAITING again where both were told as one */
			return rig->states_us[at + 1] - rig->states_us[at];
		}
	}
	fail_msg("no such wait");
	return 0;
}

static void check_wait(const struct rig *rig, size_t i, int64_t seconds)
{
	int64_t longest_us = seconds * SECOND_US;
	assert_in_range(wait_us(rig, i), longest_us - longest_us / 4 - 100, longest_us + 1000);
}

static void test_backoff(void **state)
{
	(void)state;
	static const int64_t seconds[] = {1, 2, 4, 8, 16, 30, 30, 30};
	struct rig *rig = rig_new(INGEST_PULLER);
	loop_listener_free(rig->puller.listener); /* nobody is there */
	rig->puller.listener = NULL;
	rig_start(rig);
	rig_run(rig, 130 * SECOND_US);
	for (size_t i = 0; i < 8; i++) {
		check_wait(rig, i, seconds[i]);
	}
	assert_int_equal(figure(rig, METRIC_source_connects), 0);
	fake_listen(&rig->puller);
	rig->puller.refuse = GRPC_UNAVAILABLE; /* there, but of no use: that changes nothing */
	rig_run(rig, 100 * SECOND_US);
	check_wait(rig, 8, 30);
	check_wait(rig, 9, 30);
	rig->puller.refuse = GRPC_OK;
	fill_log(rig, 1);
	rig_run(rig, 31 * SECOND_US);
	assert_int_equal(ingest_state(rig->ingest), INGEST_LIVE); /* a message: all is well */
	rig->states_count = 0;
	end_call(rig, GRPC_OK, "");
	rig_run(rig, 2 * SECOND_US);
	check_wait(rig, 0, 1);
	end_call(rig, GRPC_OK, "");
	rig_run(rig, 3 * SECOND_US);
	check_wait(rig, 1, 2); /* no message since */
	rig_free(rig);
}

static void test_jitter(void **state)
{
	(void)state;
	int64_t least_us = INT64_MAX;
	int64_t most_us = 0;
	for (int i = 0; i < 40; i++) {
		struct rig *rig = rig_new(INGEST_PULLER);
		loop_listener_free(rig->puller.listener);
		rig->puller.listener = NULL;
		rig->options.backoff_min_us = 50 * SECOND_US; /* more than the most: that holds */
		rig_start(rig);
		rig_run(rig, 40 * SECOND_US);
		check_wait(rig, 0, 30);
		int64_t us = wait_us(rig, 0);
		least_us = us < least_us ? us : least_us;
		most_us = us > most_us ? us : most_us;
		rig_free(rig);
	}
	assert_true(most_us - least_us > 3 * SECOND_US);
}

/* ---- holding back ---------------------------------------------------------------------------- */

static void test_full(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	fill_log(rig, 60);
	rig->room = 3;
	rig_start(rig);
	rig_run(rig, SECOND_US);
	check_log(rig, 0, 3);
	assert_int_equal(ingest_state(rig->ingest), INGEST_HELD);
	ingest_routed(rig->ingest, 3);
	assert_true(marker_is(rig, "m3")); /* not that of the one set aside */
	ingest_resume(rig->ingest);        /* there is no room after all */
	rig_run(rig, SECOND_US);
	check_log(rig, 0, 3);
	assert_int_equal(ingest_state(rig->ingest), INGEST_HELD);
	for (size_t count = 3; count < 60;) {
		size_t room = 1 + (size_t)test_random_below(&rig->random, 5);
		rig->room = room;
		ingest_resume(rig->ingest);
		rig_run(rig, SECOND_US);
		count = count + room < 60 ? count + room : 60;
		check_log(rig, 0, count);
	}
	assert_int_equal(figure(rig, METRIC_events_repeated), 0);
	rig_free(rig);
}

/* The connection is lost while held. */
static void lose_held(bool resume_in_waiting)
{
	struct rig *rig = rig_new(INGEST_PULLER);
	fill_log(rig, 9);
	rig->room = 4;
	rig_start(rig);
	rig_run(rig, SECOND_US);
	assert_int_equal(ingest_state(rig->ingest), INGEST_HELD);
	rig->puller.refuse = GRPC_UNAVAILABLE;
	grpc_server_conn_close(rig->puller.conn);
	rig_run(rig, SECOND_US / 10);
	assert_int_equal(ingest_state(rig->ingest), INGEST_WAITING);
	if (!resume_in_waiting) {
		rig_run(rig, 100 * SECOND_US);
		assert_int_equal(ingest_state(rig->ingest), INGEST_HELD);
		assert_int_equal(rig->puller.calls_count, 1); /* no place for what would come */
		ingest_resume(rig->ingest);
		assert_int_equal(ingest_state(rig->ingest), INGEST_HELD);
	}
	rig->puller.refuse = GRPC_OK;
	rig->room = SIZE_MAX;
	ingest_resume(rig->ingest);
	check_log(rig, 0, 5); /* the one set aside */
	rig_run(rig, 2 * SECOND_US);
	check_log(rig, 0, 9);
	assert_string_equal(after_of(rig, 1), "m1");
	assert_int_equal(ingest_state(rig->ingest), INGEST_LIVE);
	rig_free(rig);
}

static void test_lost_while_held(void **state)
{
	(void)state;
	lose_held(true);
	lose_held(false);
}

/* Room again, but no memory for a connection: that is tried later, and not called held. */
static void test_lack_when_resumed(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	struct failing failing;
	fill_log(rig, 3);
	rig->room = 1;
	rig_start(rig);
	rig_run(rig, SECOND_US);
	grpc_server_conn_close(rig->puller.conn);
	rig_run(rig, 5 * SECOND_US);
	assert_int_equal(ingest_state(rig->ingest), INGEST_HELD);
	rig->room = SIZE_MAX;
	failing_start(&failing, 0);
	ingest_resume(rig->ingest);
	assert_true(failing_stop(&failing));
	assert_int_equal(ingest_state(rig->ingest), INGEST_WAITING);
	check_log(rig, 0, 2);
	ingest_resume(rig->ingest); /* changes nothing */
	rig_run(rig, 3 * SECOND_US);
	check_log(rig, 0, 3);
	rig_free(rig);
}

/* The sink fails for another reason: the event is asked for again. */
static void test_sink_fails(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	fill_log(rig, 6);
	rig->failure = ERR_MEMORY;
	rig->puller.live_from = 0;
	rig_start(rig);
	rig_run(rig, SECOND_US / 10);
	assert_int_equal(ingest_state(rig->ingest), INGEST_WAITING);
	rig->failure = OK;
	rig->room = 2;
	rig_run(rig, 2 * SECOND_US);
	assert_int_equal(ingest_state(rig->ingest), INGEST_HELD);
	rig->failure = ERR_MEMORY;
	ingest_resume(rig->ingest); /* in HELD, with a connection */
	assert_int_equal(ingest_state(rig->ingest), INGEST_WAITING);
	rig->failure = OK;
	rig->room = 1;
	rig_run(rig, 4 * SECOND_US);
	assert_int_equal(ingest_state(rig->ingest), INGEST_HELD);
	grpc_server_conn_close(rig->puller.conn);
	rig_run(rig, SECOND_US / 10);
	rig->failure = ERR_MEMORY;
	ingest_resume(rig->ingest); /* in WAITING */
	assert_int_equal(ingest_state(rig->ingest), INGEST_WAITING);
	rig->failure = OK;
	rig->room = 1;
	rig_run(rig, 4 * SECOND_US);
	grpc_server_conn_close(rig->puller.conn);
	rig_run(rig, 10 * SECOND_US);
	rig->failure = ERR_MEMORY;
	ingest_resume(rig->ingest); /* in HELD, without a connection */
	rig->failure = OK;
	rig->room = SIZE_MAX;
	rig_run(rig, 40 * SECOND_US);
	check_log(rig, 0, 6);
	rig_free(rig);
}

/* ---- all at once ----------------------------------------------------------------------------- */

/* Cuts, ends, a sink without room, workers that lag: everything comes once, in order. */
static void rough_step(struct rig *rig)
{
	uint64_t die = test_random_below(&rig->random, 8);
	struct fake_puller *puller = &rig->puller;
	struct fake_call *call =
		puller->calls_count > 0 ? &puller->calls[puller->calls_count - 1] : NULL;
	call = call && call->call ? call : NULL;
	if (die == 0 && puller->conn) {
		grpc_server_conn_close(puller->conn);
	} else if (die == 1 && puller->conn) {
		grpc_server_conn_drain(puller->conn);
	} else if (die == 2 && call) {
		grpc_call_cancel(call->call, GRPC_INTERNAL, "replay error: x");
	} else if (die == 3) {
		ingest_routed(rig->ingest, test_random_below(&rig->random, rig->events_count + 1));
	} else if (die == 4) {
		rig->room = 0;
	} else if (die == 5) {
		rig->room = test_random_below(&rig->random, 4);
		ingest_resume(rig->ingest);
	} else if (puller->log_count < FAKE_LOG_MAX) {
		fill_log(rig, puller->log_count + 1);
		if (call) {
			fake_call_go_on(call);
		}
	}
	puller->calls_count = call ? puller->calls_count : 0; /* so that there is place */
	rig_run(rig, (int64_t)test_random_below(&rig->random, 500) * 1000);
}

static void test_rough(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		struct rig *rig = rig_new(INGEST_PULLER);
		rig->options.backoff_min_us = SECOND_US / 20;
		rig->options.backoff_max_us = SECOND_US / 2;
		rig->room = 0;
		rig_start(rig);
		fill_log(rig, 1);
		while (rig->puller.log_count < FAKE_LOG_MAX && rig->states_count < 200) {
			rough_step(rig);
		}
		rig->room = SIZE_MAX;
		ingest_resume(rig->ingest);
		rig_run(rig, 10 * SECOND_US);
		rig->puller.calls_count = rig->puller.calls_count ? rig->puller.calls_count : 1;
		fake_call_go_on(&rig->puller.calls[rig->puller.calls_count - 1]);
		rig_run(rig, 10 * SECOND_US);
		check_log(rig, 0, rig->puller.log_count);
		rig_free(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_follows),
		cmocka_unit_test(test_consumer_ids),
		cmocka_unit_test(test_bad_address),
		cmocka_unit_test(test_resumes_after_routed),
		cmocka_unit_test(test_resumes_after_heartbeat),
		cmocka_unit_test(test_many_markers),
		cmocka_unit_test(test_marker_refused),
		cmocka_unit_test(test_marker_refused_once),
		cmocka_unit_test(test_late_headers),
		cmocka_unit_test(test_held_is_not_silence),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_jitter),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_lost_while_held),
		cmocka_unit_test(test_lack_when_resumed),
		cmocka_unit_test(test_sink_fails),
		cmocka_unit_test(test_rough),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
