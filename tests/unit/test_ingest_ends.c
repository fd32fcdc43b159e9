/*
 * ingest: the gRPC Puller as a source: bad messages, large ones, the ends of connections, stopping
 * in each state, lack of memory.
 */
#include "failing.h"
#include "ingest_rig.h"

#include <stdio.h>

static struct rig *live(size_t count)
{
	struct rig *rig = rig_new(INGEST_PULLER);
	fill_log(rig, count);
	rig_start(rig);
	rig_run(rig, SECOND_US);
	check_log(rig, 0, count);
	return rig;
}

/* ---- bad messages ---------------------------------------------------------------------------- */

/* No protobuf: the connection is given up, and what follows comes over the next one. */
static void test_bad_message(void **state)
{
	(void)state;
	struct rig *rig = live(3);
	ingest_routed(rig->ingest, 3);
	struct grpc_call *call = fake_call_of(&rig->puller)->call;
	assert_int_equal(grpc_call_send(call, bytes_of("\x0a\x7f")), OK);
	struct model_change lost = rig_change(4); /* in the same turn, behind the bad one */
	fake_send(&rig->puller, &lost, "m4");
	rig_run(rig, SECOND_US / 10);
	assert_int_equal(ingest_state(rig->ingest), INGEST_WAITING);
	assert_int_equal(figure(rig, METRIC_grpc_protocol_errors), 1);
	check_log(rig, 0, 3);
	fill_log(rig, 5);
	rig_run(rig, 2 * SECOND_US);
	assert_string_equal(rig->puller.calls[1].after, "m3");
	check_log(rig, 0, 5);
	rig_free(rig);
}

/* A first message that is bad is no message: the waits grow. */
static void test_bad_first_message(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	rig->puller.is_manual = true;
	rig_start(rig);
	for (size_t i = 0; i < 4; i++) {
		rig_run(rig, 8 * SECOND_US);
		assert_int_equal(rig->puller.calls_count, i + 1);
		struct grpc_call *call = fake_call_of(&rig->puller)->call;
		assert_int_equal(grpc_call_send(call, bytes_of("\xff")), OK);
	}
	rig_run(rig, 5 * SECOND_US);
	assert_int_equal(ingest_state(rig->ingest), INGEST_WAITING); /* 6 to 8 s */
	rig_free(rig);
}

static struct model_change with_document(unsigned number, const char *document)
{
	struct model_change change = rig_change(number);
	change.full_document = bytes_of(document);
	return change;
}

/* A change that nobody can make sense of costs itself only. */
static void test_bad_changes(void **state)
{
	(void)state;
	struct rig *rig = live(1);
	static const char *const unmatchable[] = {"", "[]", "null", "{", "{}", "\"users\"",
		"{\"collection\":5,\"data\":{}}", "{\"collection\":\"\",\"data\":{}}"};
	unsigned number = 2;
	for (size_t i = 0; i < sizeof unmatchable / sizeof unmatchable[0]; i++) {
		struct model_change change = with_document(number++, unmatchable[i]);
		fake_send(&rig->puller, &change, "m9");
	}
	struct model_change change = rig_change(number++);
	change.kind = MODEL_CHANGE_UNKNOWN;
	fake_send(&rig->puller, &change, "m9");
	change = with_document(number++, "");
	change.kind = MODEL_CHANGE_DELETE;
	fake_send(&rig->puller, &change, "m10");
	rig_run(rig, SECOND_US);
	assert_int_equal(rig->events_count, 1);
	assert_int_equal(figure(rig, METRIC_events_unmatchable), 8);
	assert_int_equal(figure(rig, METRIC_events_ignored), 2);
	assert_int_equal(figure(rig, METRIC_events_received), 11);
	ingest_routed(rig->ingest, 1);
	assert_true(bytes_equal(ingest_marker(rig->ingest), bytes_of("m10")));
	assert_int_equal(figure(rig, METRIC_source_breaks), 0);
	rig_free(rig);
}

/* Not strict JSON, or too deep: an event still, with what could be read. */
static void test_refused_documents(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	rig->options.json_depth_max = 5;
	rig_start(rig);
	rig_run(rig, SECOND_US);
	static const char *const refused[] = {
		"{\"collection\":\"users\",\"data\":{\"id\":\"a\",\"n\":01}}",
		"{\"collection\":\"users\",\"data\":{\"id\":\"a\",\"n\":1e999}}",
		"{\"collection\":\"users\",\"data\":{\"id\":\"a\",\"t\":\"\\ud800\"}}",
		"{\"collection\":\"users\",\"data\":{\"id\":\"a\",\"t\":\"\xff\"}}",
		"{\"collection\":\"users\",\"data\":{\"id\":\"a\",\"t\":[[[[[0]]]]]}}",
	};
	size_t count = sizeof refused / sizeof refused[0];
	for (size_t i = 0; i < count; i++) {
		struct model_change change = with_document((unsigned)i + 1, refused[i]);
		fake_send(&rig->puller, &change, "m1");
	}
	rig_run(rig, SECOND_US);
	assert_int_equal(rig->events_count, count);
	for (size_t i = 0; i < count; i++) {
		assert_true(rig->events[i]->is_refused);
		assert_null(rig->events[i]->document);
		assert_true(bytes_equal(rig->events[i]->collection, bytes_of("users")));
	}
	assert_int_equal(figure(rig, METRIC_events_refused_documents), count);
	rig_free(rig);
}

/* ---- size ------------------------------------------------------------------------------------ */

/* The change with a document such that its message has exactly `size` bytes. */
static void send_of_size(struct rig *rig, size_t size)
{
	static const char tail[] = {'"', '}', '}'};
	static const char head[] = "{\"collection\":\"users\",\"data\":{\"id\":\"u1\",\"t\":\"";
	struct model_change change = rig_change(1);
	char *document = malloc(size);
	assert_non_null(document);
	memset(document, 'x', size);
	memcpy(document, head, sizeof head - 1);
	change.full_document = (struct bytes){document, size - 100};
	struct model_source_message message = {.has_change = true, .change = change};
	struct buffer buffer = {0};
	assert_int_equal(wire_source_message_encode(&buffer, &message), OK);
	size_t document_size = size - 100 - (buffer.size - size);
	memcpy(document + document_size - sizeof tail, tail, sizeof tail);
	message.change.full_document.size = document_size;
	buffer.size = 0;
	assert_int_equal(wire_source_message_encode(&buffer, &message), OK);
	assert_int_equal(buffer.size, size);
	struct grpc_call *call = fake_call_of(&rig->puller)->call;
	assert_int_equal(grpc_call_send(call, buffer_bytes(&buffer)), OK);
	buffer_fini(&buffer);
	free(document);
}

static void test_large_messages(void **state)
{
	(void)state;
	enum { MOST = 64 << 20 };
	struct rig *rig = rig_new(INGEST_PULLER);
	rig_start(rig);
	rig_run(rig, SECOND_US);
	send_of_size(rig, MOST);
	rig_run(rig, 20 * SECOND_US);
	assert_int_equal(rig->events_count, 1);
	assert_false(rig->events[0]->is_refused);
	assert_in_range(rig->events[0]->change.full_document.size, MOST - 200, MOST);
	send_of_size(rig, MOST + 1);
	rig_run(rig, 20 * SECOND_US);
	assert_int_equal(rig->events_count, 1);
	assert_int_equal(figure(rig, METRIC_source_breaks), 1);
	assert_int_equal(figure(rig, METRIC_grpc_messages_too_large), 1);
	assert_int_equal(ingest_state(rig->ingest), INGEST_CONNECTING); /* tries again */
	rig_free(rig);
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* The Puller is asked to go: what is open stays open until it is ended. */
static void test_goaway(void **state)
{
	(void)state;
	struct rig *rig = live(3);
	ingest_routed(rig->ingest, 3);
	grpc_server_conn_drain(rig->puller.conn);
	rig_run(rig, SECOND_US);
	assert_int_equal(ingest_state(rig->ingest), INGEST_LIVE);
	fill_log(rig, 5);
	fake_call_go_on(fake_call_of(&rig->puller));
	rig_run(rig, SECOND_US);
	check_log(rig, 0, 5);
	grpc_call_finish(fake_call_of(&rig->puller)->call, GRPC_CANCELLED, "subscription closed");
	rig_run(rig, SECOND_US / 10);
	assert_int_equal(ingest_state(rig->ingest), INGEST_WAITING);
	assert_null(rig->puller.conn);
	fill_log(rig, 6);
	rig_run(rig, 2 * SECOND_US);
	assert_string_equal(rig->puller.calls[1].after, "m3");
	check_log(rig, 0, 6);
	rig_free(rig);
}

/* GOAWAY before the call has reached the Puller. */
static void test_goaway_at_once(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	fill_log(rig, 3);
	rig_start(rig);
	while (!rig->puller.conn) {
		rig_run(rig, 1);
	}
	assert_int_equal(rig->puller.calls_count, 0);
	grpc_server_conn_drain(rig->puller.conn);
	rig_run(rig, 10 * SECOND_US);
	check_log(rig, 0, 3);
	rig_free(rig);
}

/* A peer that is no Puller. */
static void test_not_a_puller(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	rig->puller.refuse = GRPC_UNIMPLEMENTED;
	rig->puller.refuse_text = "unknown service";
	rig_start(rig);
	rig_run(rig, 40 * SECOND_US);
	assert_int_equal(figure(rig, METRIC_source_breaks), 6); /* after 0, 1, 3, 7, 15, 31 s */
	rig_free(rig);
}

/* ---- stopping -------------------------------------------------------------------------------- */

static void stop(struct rig *rig, enum ingest_state in)
{
	assert_string_equal(ingest_state_name(ingest_state(rig->ingest)), ingest_state_name(in));
	size_t events = rig->events_count;
	rig_stop(rig);
	ingest_resume(rig->ingest);
	ingest_routed(rig->ingest, 1); /* those who do not know it yet */
	rig_run(rig, SECOND_US);
	assert_int_equal(rig->stopped, 1);
	rig_run(rig, 200 * SECOND_US);
	assert_int_equal(rig->stopped, 1);
	assert_int_equal(rig->events_count, events);
	assert_int_equal(rig->puller.conns_open, 0);
	assert_int_equal(figure(rig, METRIC_source_connected), 0);
	rig_free(rig);
}

static void test_stop_idle(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	assert_int_equal(rig_make(rig), OK);
	stop(rig, INGEST_IDLE);
	rig = rig_new(INGEST_PULLER);
	assert_int_equal(rig_make(rig), OK);
	ingest_free(rig->ingest); /* before it was started */
	rig->ingest = NULL;
	rig_free(rig);
	ingest_free(NULL);
}

static void test_stop_connecting(void **state)
{
	(void)state;
	for (int64_t us = 0; us < 2000; us += 50) { /* at any step of it */
		struct rig *rig = rig_new(INGEST_PULLER);
		rig_start(rig);
		rig_run(rig, us);
		stop(rig, INGEST_CONNECTING);
	}
}

static void test_stop_live(void **state)
{
	(void)state;
	stop(live(0), INGEST_CONNECTING);
	stop(live(9), INGEST_LIVE);
}

static void test_stop_held(void **state)
{
	(void)state;
	for (int is_lost = 0; is_lost < 2; is_lost++) {
		struct rig *rig = rig_new(INGEST_PULLER);
		fill_log(rig, 9);
		rig->room = 4;
		rig_start(rig);
		rig_run(rig, SECOND_US);
		if (is_lost) {
			grpc_server_conn_close(rig->puller.conn);
			rig_run(rig, 5 * SECOND_US);
		}
		stop(rig, INGEST_HELD);
	}
}

static void test_stop_waiting(void **state)
{
	(void)state;
	struct rig *rig = live(3);
	grpc_call_finish(fake_call_of(&rig->puller)->call, GRPC_OK, "");
	while (ingest_state(rig->ingest) != INGEST_WAITING) {
		rig_run(rig, 1);
	}
	stop(rig, INGEST_WAITING); /* the connection is not closed yet */
	rig = live(3);
	grpc_server_conn_close(rig->puller.conn);
	rig_run(rig, SECOND_US / 2);
	assert_int_equal(rig->puller.conns_open, 0);
	stop(rig, INGEST_WAITING);
}

static void test_stop_in_callbacks(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PULLER);
	rig->stop_in_changed = true;
	rig_start(rig);
	rig_run(rig, SECOND_US);
	assert_int_equal(rig->stopped, 1);
	rig_free(rig);
	rig = rig_new(INGEST_PUSH); /* where nothing is open */
	rig->stop_in_changed = true;
	rig_start(rig);
	rig_run(rig, SECOND_US);
	assert_int_equal(rig->stopped, 1);
	rig_free(rig);
	for (size_t room = 0; room < 2; room++) {
		rig = rig_new(INGEST_PULLER);
		fill_log(rig, 3);
		rig->room = room;
		rig->stop_in_push = true;
		rig_start(rig);
		rig_run(rig, SECOND_US);
		assert_int_equal(rig->stopped, 1);
		assert_int_equal(rig->events_count, room);
		rig_free(rig);
	}
}

/* ---- lack ------------------------------------------------------------------------------------ */

/* Whatever allocation fails, here or in the Puller: all comes, once, in order. */
static bool lack(size_t fail_at)
{
	struct rig *rig = rig_new(INGEST_PULLER);
	struct failing failing;
	fill_log(rig, 12);
	rig->room = 5;
	failing_start(&failing, fail_at);
	enum err err = rig_make(rig);
	if (!err) {
		err = ingest_start(rig->ingest);
		assert_true((err != OK) == (ingest_state(rig->ingest) == INGEST_IDLE));
	}
	if (err) {
		assert_int_equal(err, ERR_MEMORY);
		assert_true(failing_stop(&failing));
		ingest_free(rig->ingest);
		rig->ingest = NULL;
		rig_free(rig);
		return true;
	}
	rig_run(rig, 5 * SECOND_US);
	ingest_routed(rig->ingest, 3);
	rig->room = SIZE_MAX;
	ingest_resume(rig->ingest);
	rig_run(rig, 5 * SECOND_US);
	if (rig->puller.conn) {
		grpc_server_conn_close(rig->puller.conn);
	}
	fill_log(rig, 20);
	rig_run(rig, 10 * SECOND_US);
	bool has_failed = failing_stop(&failing);
	rig_run(rig, 100 * SECOND_US); /* silence, and all anew */
	check_log(rig, 0, 20);
	rig_free(rig);
	return has_failed;
}

static void test_lack(void **state)
{
	(void)state;
	size_t fail_at = 0;
	while (lack(fail_at)) {
		fail_at++;
	}
	assert_true(fail_at > 100);
	print_message("%zu allocations failed, one at a time\n", fail_at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_message),
		cmocka_unit_test(test_bad_first_message),
		cmocka_unit_test(test_bad_changes),
		cmocka_unit_test(test_refused_documents),
		cmocka_unit_test(test_large_messages),
		cmocka_unit_test(test_goaway),
		cmocka_unit_test(test_goaway_at_once),
		cmocka_unit_test(test_not_a_puller),
		cmocka_unit_test(test_stop_idle),
		cmocka_unit_test(test_stop_connecting),
		cmocka_unit_test(test_stop_live),
		cmocka_unit_test(test_stop_held),
		cmocka_unit_test(test_stop_waiting),
		cmocka_unit_test(test_stop_in_callbacks),
		cmocka_unit_test(test_lack),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
