/* grpc's core, client and server joined in memory: what calls promise, whatever the pieces bytes
 * come in. */
#include "grpc_pair.h"

static const struct grpc_options defaults;

static void send_one(struct side *side, size_t size)
{
	side->to_send++;
	side->message_size = size;
	side_push(side);
}

/* ---- whole calls ------------------------------------------------------------------------- */

static void echoes_every_size(void **state)
{
	static const size_t sizes[] = {0, 1, 5, 4096, 16379, 16383, 16384, 16385, 65535, 65536,
		300000, 1 << 20, (4 << 20) - 1, 4 << 20};
	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct pair *pair = pair_new(&defaults, &defaults);
		pair->model.kind = SIDE_ECHO;
		struct side *side = pair_call(pair, 0);
		send_one(side, sizes[i]);
		grpc_call_finish(side->call, GRPC_OK, NULL);
		pair_run(pair);
		assert_int_equal(side->received, 1);
		assert_int_equal(side->bytes, sizes[i]);
		assert_int_equal(side->started, 1);
		assert_int_equal(side->ended, 1);
		assert_int_equal(side->status, GRPC_OK);
		assert_int_equal(pair_server_side(pair)->status, GRPC_OK);
		pair_free(pair);
	}
}

static void streams(size_t message_size, uint32_t window, size_t chunk_max, unsigned pause_each)
{
	struct grpc_options options = {.window_bytes = window, .send_buffer_bytes = 10000};
	struct pair *pair = pair_new(&options, &options);
	pair->chunk_max = chunk_max;
	pair->model.pause_each = pause_each;
	pair->model.to_send = 1000;
	pair->model.message_size = message_size;
	pair->model.finish_when_sent = false;
	struct side *side = pair_call(pair, 0);
	side->pause_each = pause_each ? pause_each + 1 : 0;
	side->to_send = 1000;
	side->message_size = message_size + 1;
	side->finish_when_sent = true;
	side_push(side);
	pair_run_pauses(pair);
	struct side *server = pair_server_side(pair);
	assert_int_equal(side->received, 1000);
	assert_int_equal(server->received, 1000);
	assert_int_equal(server->half_closed, 1);
	assert_int_equal(side->ended, 1);
	assert_int_equal(side->status, GRPC_OK);
	assert_int_equal(server->ended, 1);
	assert_int_equal(server->status, GRPC_OK);
	pair_free(pair);
}

static void streams_both_ways(void **state)
{
	(void)state;
	streams(400, 0, 40000, 0);
	streams(400, 0, 1, 0);
	streams(400, 65535, 5000, 7);
	streams(3000, 65535, 3, 1);
	streams(50, 1, 100, 0);
	streams(50, 1, 100, 3);
	streams(0, 100, 10, 2);
	streams(12000, 1000, 100000, 1); /* each message larger than buffer and window */
}

static void refuses_on_the_prefix(void **state)
{
	(void)state;
	struct grpc_options options = {.message_bytes_max = 1000};
	struct pair *pair = pair_new(&defaults, &options);
	pair->model.kind = SIDE_ECHO;
	struct side *side = pair_call(pair, 0);
	send_one(side, 1000);
	pair_run(pair);
	assert_int_equal(side->received, 1);
	send_one(side, 1001);
	pair_run(pair);
	assert_int_equal(side->status, GRPC_RESOURCE_EXHAUSTED);
	assert_string_equal(side->text, "grpc: received message larger than max (1001 vs. 1000)");
	assert_int_equal(pair_server_side(pair)->status, GRPC_RESOURCE_EXHAUSTED);
	pair_free(pair);

	struct metrics metrics = {0};
	options.metrics = &metrics;
	pair = pair_new(&options, &defaults);
	pair->model.to_send = 2;
	pair->model.message_size = 100000;
	side = pair_call(pair, 0);
	pair_run(pair);
	assert_int_equal(side->received, 0);
	assert_int_equal(side->status, GRPC_RESOURCE_EXHAUSTED);
	assert_string_equal(side->text, "grpc: received message larger than max (100000 vs. 1000)");
	assert_int_equal(pair_server_side(pair)->status, GRPC_CANCELLED);
	assert_int_equal(metrics_get(&metrics, METRIC_grpc_messages_too_large), 1);
	pair_free(pair);
}

/* ---- status ------------------------------------------------------------------------------ */

static void refuses_methods(void **state)
{
	(void)state;
	struct pair *pair = pair_new(&defaults, &defaults);
	struct side *side = side_new(pair);
	assert_int_equal(grpc_session_call(pair->client, "/test.Test/Other", INT64_MAX,
				 &side_events, side, &side->call),
		OK);
	pair_run(pair);
	assert_int_equal(side->status, GRPC_UNIMPLEMENTED);
	assert_string_equal(side->text, "unknown method /test.Test/Other");
	pair->refuse = GRPC_RESOURCE_EXHAUSTED;
	side = pair_call(pair, 0);
	pair_run(pair);
	assert_int_equal(side->status, GRPC_RESOURCE_EXHAUSTED);
	struct grpc_call *call = NULL;
	assert_int_equal(
		grpc_session_call(pair->client, "nothing", INT64_MAX, &side_events, side, &call),
		ERR_INVALID);
	pair_free(pair);
}

static void carries_status_texts(void **state)
{
	static const char *const texts[] = {"", "plain", "100% sure", "tab\tand\nline",
		"Grüße, 世界 🎈", "%41%", " space at both ends ", "\x7f"};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		for (unsigned messages = 0; messages < 2; messages++) {
			struct pair *pair = pair_new(&defaults, &defaults);
			pair->model.to_send = messages;
			struct side *side = pair_call(pair, 0);
			pair_run(pair);
			grpc_call_finish(pair_server_side(pair)->call, GRPC_DATA_LOSS, texts[i]);
			assert_int_equal(pair_server_side(pair)->ended, 0);
			pair_run(pair);
			assert_int_equal(side->status, GRPC_DATA_LOSS);
			assert_int_equal(side->received, messages);
			assert_string_equal(side->text, texts[i]);
			assert_int_equal(pair_server_side(pair)->status, GRPC_DATA_LOSS);
			pair_free(pair);
		}
	}
}

static void mends_and_cuts_status_texts(void **state)
{
	char longest[3001];
	(void)state;
	for (size_t i = 0; i < 3000; i += 3) {
		memcpy(longest + i, "\xE4\xB8\x96", 3);
	}
	longest[3000] = 0;
	struct pair *pair = pair_new(&defaults, &defaults);
	struct side *side = pair_call(pair, 0);
	pair_run(pair);
	grpc_call_finish(pair_server_side(pair)->call, GRPC_ABORTED, longest);
	pair_run(pair);
	assert_int_equal(strlen(side->text), 1023);
	side = pair_call(pair, 0);
	pair_run(pair);
	grpc_call_finish(pair_server_side(pair)->call, GRPC_ABORTED, "no \xff utf-8");
	pair_run(pair);
	assert_string_equal(side->text, "no ? utf-8");
	pair_free(pair);
}

static void names_and_codes(void **state)
{
	(void)state;
	assert_string_equal(grpc_status_name(GRPC_UNAUTHENTICATED), "UNAUTHENTICATED");
	assert_string_equal(grpc_status_name(GRPC_OK), "OK");
	for (unsigned code = 0; code < ERR_COUNT; code++) {
		enum grpc_status status = grpc_status_of((enum err)code);
		assert_int_equal(status == GRPC_OK, code == OK);
		assert_int_equal(grpc_err_of(status) == OK, code == OK);
	}
	for (unsigned status = 0; status <= GRPC_UNAUTHENTICATED; status++) {
		assert_int_equal(grpc_err_of((enum grpc_status)status) == OK, status == GRPC_OK);
	}
}

/* ---- pausing, buffers -------------------------------------------------------------------- */

static void pause_holds_one_call_only(void **state)
{
	(void)state;
	struct grpc_options server = {.window_bytes = 70000};
	struct grpc_options client = {.send_buffer_bytes = 1 << 20};
	struct pair *pair = pair_new(&client, &server);
	struct side *held = pair_call(pair, 0);
	struct side *free_side = pair_call(pair, 0);
	pair_run(pair);
	struct side *server_free = pair_server_side(pair);
	struct side *server_held = server_free - 1;
	if (server_held->call && held->call) {
		server_held->is_paused = true;
		grpc_call_pause(server_held->call, true);
	}
	held->to_send = 900;
	held->message_size = 1000;
	side_push(held);
	free_side->to_send = 2000;
	free_side->message_size = 1000;
	side_push(free_side);
	pair_run(pair);
	assert_int_equal(server_held->received, 0);
	assert_int_equal(server_free->received, 2000);
	/* exactly a window has left */
	assert_int_equal(grpc_call_unframed(held->call), 900 * 1005 - 70000);
	server_held->is_paused = false;
	grpc_call_pause(server_held->call, false);
	assert_int_equal(server_held->received, 0); /* not from within */
	pair_run(pair);
	assert_int_equal(server_held->received, 900);
	pair_free(pair);
}

/* What was held is delivered ahead of an end that comes as soon as the pause is over. */
static void the_end_comes_right_behind_a_pause(void **state)
{
	(void)state;
	const struct grpc_options options = {0};
	for (int by_server = 0; by_server < 2; by_server++) {
		struct pair *pair = pair_new(&options, &options);
		struct side *client = pair_call(pair, 0);
		pair_run(pair);
		struct side *from = by_server ? pair_server_side(pair) : client;
		struct side *to = by_server ? client : pair_server_side(pair);
		to->is_paused = true;
		grpc_call_pause(to->call, true);
		from->to_send = 3;
		from->message_size = 100;
		side_push(from);
		pair_run(pair);
		assert_int_equal(to->received, 0);
		grpc_call_finish(from->call, GRPC_OK, NULL);
		to->is_paused = false;
		grpc_call_pause(to->call, false);
		while (pair_move(pair, !by_server)) {
		}
		assert_int_equal(to->received, 3);
		pair_run(pair);
		assert_int_equal(to->status, GRPC_OK);
		assert_int_equal(from->status, GRPC_OK);
		pair_free(pair);
	}
}

static void tells_room_exactly(void **state)
{
	(void)state;
	struct grpc_options options = {.send_buffer_bytes = 1000};
	struct pair *pair = pair_new(&options, &defaults);
	struct side *side = pair_call(pair, 0);
	char *place = NULL;
	assert_int_equal(grpc_call_room(side->call), 995);
	send_one(side, 600);
	assert_int_equal(grpc_call_unsent(side->call), 605);
	assert_int_equal(grpc_call_room(side->call), 390);
	assert_int_equal(grpc_call_begin(side->call, 391, &place), ERR_FULL);
	assert_null(place);
	assert_int_equal(side->writable, 0);
	assert_int_equal(grpc_call_begin(side->call, 390, &place), OK);
	side_fill(place, 1, 390);
	grpc_call_commit(side->call);
	side->sent = side->to_send = 2;
	assert_int_equal(grpc_call_room(side->call), 0);
	assert_int_equal(side->writable, 0);
	pair_run(pair);
	assert_true(side->writable >= 1);
	assert_int_equal(grpc_call_room(side->call), 995);
	assert_int_equal(pair_server_side(pair)->received, 2);
	/* larger than the whole buffer: taken when it is empty */
	assert_int_equal(grpc_call_begin(side->call, 5000, &place), OK);
	side_fill(place, 2, 5000);
	grpc_call_commit(side->call);
	assert_int_equal(grpc_call_begin(side->call, 0, &place), ERR_FULL);
	assert_int_equal(grpc_call_room(side->call), 0);
	grpc_call_finish(side->call, GRPC_OK, NULL);
	assert_int_equal(grpc_call_begin(side->call, 0, &place), ERR_CLOSED);
	pair_run(pair);
	assert_int_equal(side->status, GRPC_OK);
	pair_free(pair);
}

/* ---- ends -------------------------------------------------------------------------------- */

static void deadlines_fire_on_both_sides(void **state)
{
	(void)state;
	struct pair *pair = pair_new(&defaults, &defaults);
	struct side *side = pair_call(pair, 500000);
	pair_run(pair);
	struct side *server = pair_server_side(pair);
	assert_int_equal(grpc_session_tick(pair->server, pair->now_us), pair->now_us + 500000);
	assert_int_equal(grpc_session_tick(pair->client, pair->now_us), pair->now_us + 500000);
	pair_tick(pair, 499999);
	assert_int_equal(side->ended + server->ended, 0);
	/* the server first: its trailers reach the client */
	assert_int_equal(grpc_session_tick(pair->server, pair->now_us + 1), INT64_MAX);
	assert_int_equal(server->status, GRPC_DEADLINE_EXCEEDED);
	pair_run(pair);
	assert_int_equal(side->status, GRPC_DEADLINE_EXCEEDED);
	/* the client first */
	side = pair_call(pair, 1);
	pair_run(pair);
	pair->now_us += 1;
	assert_int_equal(grpc_session_tick(pair->client, pair->now_us), INT64_MAX);
	assert_int_equal(side->status, GRPC_DEADLINE_EXCEEDED);
	pair_run(pair);
	assert_int_equal(pair_server_side(pair)->status, GRPC_CANCELLED);
	/* one that is long over when it comes; others stand */
	side = pair_call(pair, -5);
	struct side *other = pair_call(pair, 90000000000);
	pair_run(pair);
	assert_int_equal(other->ended, 0);
	pair_tick(pair, 1);
	pair_run(pair);
	assert_int_equal(side->status, GRPC_DEADLINE_EXCEEDED);
	pair_free(pair);
}

static void server_deadline_passes_a_full_window(void **state)
{
	(void)state;
	struct grpc_options client = {.window_bytes = 100};
	struct pair *pair = pair_new(&client, &defaults);
	pair->model.to_send = 100;
	pair->model.message_size = 1000;
	struct side *side = pair_call(pair, 1000);
	side->pause_each = 1;
	pair_run(pair);
	assert_int_equal(side->received, 1);
	assert_int_equal(grpc_session_tick(pair->server, pair->now_us + 1000), INT64_MAX);
	assert_int_equal(pair_server_side(pair)->status, GRPC_DEADLINE_EXCEEDED);
	pair_run_pauses(pair);
	assert_int_equal(side->status, GRPC_DEADLINE_EXCEEDED);
	pair_free(pair);
}

static void cancels_with_bytes_under_way(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 40; i++) {
		struct pair *pair = pair_new(&defaults, &defaults);
		pair->chunk_max = 3000;
		pair->model.to_send = 500;
		pair->model.message_size = 2000;
		pair->model.cancel_after = i % 2 ? 0 : i;
		struct side *side = pair_call(pair, 0);
		side->to_send = 500;
		side->message_size = 2000;
		side->cancel_after = i % 2 ? i : 0;
		side_push(side);
		struct side *other = pair_call(pair, 0);
		pair_run(pair);
		assert_int_equal(side->status, GRPC_CANCELLED);
		assert_int_equal(pair->sides[2].status, GRPC_CANCELLED);
		assert_int_equal(pair->sides[2].is_server, true);
		assert_int_equal(other->ended, 0); /* the connection lives */
		grpc_call_finish(other->call, GRPC_OK, NULL);
		pair_run(pair);
		pair_free(pair);
	}
}

static void cancel_tells_later_and_carries_a_status(void **state)
{
	(void)state;
	struct pair *pair = pair_new(&defaults, &defaults);
	struct side *side = pair_call(pair, 0);
	pair_run(pair);
	struct side *server = pair_server_side(pair);
	unsigned rings = pair->rings;
	grpc_call_cancel(server->call, GRPC_RESOURCE_EXHAUSTED, "too slow");
	assert_int_equal(server->ended, 0);
	assert_true(pair->rings > rings);
	char *place = NULL;
	assert_int_equal(grpc_call_begin(server->call, 1, &place), ERR_CLOSED);
	grpc_call_cancel(server->call, GRPC_OK, "twice is once");
	grpc_call_finish(server->call, GRPC_OK, "and stays so");
	pair_run(pair);
	assert_int_equal(server->status, GRPC_RESOURCE_EXHAUSTED);
	assert_int_equal(side->status, GRPC_RESOURCE_EXHAUSTED);
	assert_string_equal(side->text, "too slow");
	side = pair_call(pair, 0); /* before it has been sent at all */
	grpc_call_cancel(side->call, GRPC_CANCELLED, "never mind");
	pair_run(pair);
	assert_int_equal(side->status, GRPC_CANCELLED);
	assert_string_equal(side->text, "never mind");
	pair_free(pair);
}

static void server_goaway_lets_calls_go_on(void **state)
{
	(void)state;
	struct pair *pair = pair_new(&defaults, &defaults);
	pair->model.kind = SIDE_ECHO;
	struct side *side = pair_call(pair, 0);
	pair_run(pair);
	grpc_session_goaway(pair->server);
	struct side *late = pair_call(pair, 0); /* crosses the GOAWAY */
	pair_run(pair);
	assert_int_equal(late->status, GRPC_UNAVAILABLE);
	assert_int_equal(side->ended, 0);
	struct grpc_call *call = NULL;
	assert_int_equal(grpc_session_call(pair->client, "/test.Test/Call", INT64_MAX, &side_events,
				 late, &call),
		ERR_UNAVAILABLE);
	send_one(side, 100000);
	pair_run(pair);
	assert_int_equal(side->received, 1);
	assert_false(grpc_session_is_done(pair->server));
	grpc_call_finish(side->call, GRPC_OK, NULL);
	pair_run(pair);
	assert_int_equal(side->status, GRPC_OK);
	assert_true(grpc_session_is_done(pair->server));
	assert_true(grpc_session_is_done(pair->client));
	pair_free(pair);
}

static void client_goaway_lets_calls_go_on(void **state)
{
	(void)state;
	struct pair *pair = pair_new(&defaults, &defaults);
	struct side *side = pair_call(pair, 0);
	pair_run(pair);
	grpc_session_goaway(pair->client);
	pair_run(pair);
	struct grpc_call *call = NULL;
	assert_int_equal(grpc_session_call(pair->client, "/test.Test/Call", INT64_MAX, &side_events,
				 side, &call),
		ERR_UNAVAILABLE);
	send_one(side, 10);
	grpc_call_finish(side->call, GRPC_OK, NULL);
	pair_run(pair);
	assert_int_equal(side->status, GRPC_OK);
	assert_true(grpc_session_is_done(pair->client));
	pair_free(pair);
}

static void calls_above_the_limit_wait(void **state)
{
	(void)state;
	struct grpc_options server = {.calls_max = 3};
	struct pair *pair = pair_new(&defaults, &server);
	pair_run(pair); /* the limit is known */
	struct side *first = pair_call(pair, 0);
	for (unsigned i = 1; i < 10; i++) {
		(void)pair_call(pair, 0);
	}
	pair_run(pair);
	assert_int_equal(pair->side_count, 13);
	grpc_call_finish(first->call, GRPC_OK, NULL);
	pair_run(pair);
	assert_int_equal(first->status, GRPC_OK);
	assert_int_equal(pair->side_count, 14);
	grpc_call_cancel(first[9].call, GRPC_CANCELLED, NULL); /* one that waits */
	grpc_session_goaway(pair->server);
	pair_run(pair);
	assert_int_equal(first[1].ended, 0);
	assert_int_equal(first[8].status, GRPC_UNAVAILABLE);
	assert_int_equal(first[9].status, GRPC_CANCELLED);
	pair_free(pair);
}

static void a_session_freed_ends_its_calls(void **state)
{
	(void)state;
	struct pair *pair = pair_new(&defaults, &defaults);
	struct side *side = pair_call(pair, 0);
	send_one(side, 100000);
	(void)pair_move(pair, true);
	pair_free(pair); /* checks that each ended once */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echoes_every_size),
		cmocka_unit_test(streams_both_ways),
		cmocka_unit_test(refuses_on_the_prefix),
		cmocka_unit_test(refuses_methods),
		cmocka_unit_test(carries_status_texts),
		cmocka_unit_test(mends_and_cuts_status_texts),
		cmocka_unit_test(names_and_codes),
		cmocka_unit_test(pause_holds_one_call_only),
		cmocka_unit_test(the_end_comes_right_behind_a_pause),
		cmocka_unit_test(tells_room_exactly),
		cmocka_unit_test(deadlines_fire_on_both_sides),
		cmocka_unit_test(server_deadline_passes_a_full_window),
		cmocka_unit_test(cancels_with_bytes_under_way),
		cmocka_unit_test(cancel_tells_later_and_carries_a_status),
		cmocka_unit_test(server_goaway_lets_calls_go_on),
		cmocka_unit_test(client_goaway_lets_calls_go_on),
		cmocka_unit_test(calls_above_the_limit_wait),
		cmocka_unit_test(a_session_freed_ends_its_calls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
