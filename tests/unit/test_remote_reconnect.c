/* remote's client over connections that are lost: when it comes back, with what, and what its
 * consumer hears of that. */
#include "client_rig.h"

/* ---- when ------------------------------------------------------------------------------------ */

static int64_t wait_before(const struct rig *rig, unsigned connect)
{
	return rig->connect_us[connect] - rig->connect_us[connect - 1];
}

/* The wait doubles up to its limit, and is never the same for all. */
static void waits_grow_and_differ(void **state)
{
	struct rig rig;
	unsigned in_first_half = 0;
	(void)state;
	rig_open(&rig);
	rig.is_shut = true;
	assert_int_equal(try_connect(&rig), OK);
	run(&rig, 1500 * SECOND_US);
	assert_true(rig.connects > 48 && rig.connects < CALLS_MAX);
	int64_t base_us = SECOND_US;
	for (unsigned i = 1; i < 48; i++) {
		int64_t wait_us = wait_before(&rig, i);
		assert_true(wait_us >= base_us / 2 && wait_us <= base_us + 10000);
		in_first_half += wait_us < base_us * 3 / 4;
		base_us = base_us < 15 * SECOND_US ? base_us * 2 : 30 * SECOND_US;
	}
	assert_true(in_first_half > 3 && in_first_half < 44);
	struct stream_item item = peek_item(&rig, STREAM_STATE);
	assert_int_equal(item.state, STREAM_RECONNECTING);
	stream_pop(rig.stream);
	take_none(&rig); /* told once */
	rig_close(&rig);
}

/* Who has been answered once begins with the shortest wait. */
static void a_welcome_makes_waits_short_again(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.is_shut = true;
	assert_int_equal(try_connect(&rig), OK);
	run(&rig, 100 * SECOND_US);
	rig.is_shut = false;
	run(&rig, 31 * SECOND_US);
	assert_non_null(rig.call);
	unsigned connects = rig.connects;
	grpc_call_finish(rig.call, GRPC_UNAVAILABLE, "");
	run(&rig, SECOND_US + 20000);
	assert_int_equal(rig.connects, connects + 1);
	assert_true(wait_before(&rig, connects - 1) > 10 * SECOND_US);
	rig_close(&rig);
}

/* A Streamer that says that it goes is expected back soon, and not by all at once. */
static void a_going_away_is_followed_soon(void **state)
{
	const struct model_going_away going_away = {.deadline_ms = 5000, .reason = bytes_of("r")};
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.options.backoff_min_us = 20 * SECOND_US;
	rig_connect(&rig);
	take_state(&rig, NULL);
	unsigned soon = 0;
	for (int i = 0; i < 20; i++) {
		struct buffer message = {0};
		assert_int_equal(wire_going_away_encode(&message, &going_away), OK);
		say(&rig, &message);
		run(&rig, SECOND_US);
		take_none(&rig); /* it is still there */
		int64_t lost_us = sim_now_us(rig.world.sim);
		grpc_call_finish(rig.call, GRPC_UNAVAILABLE, "shutting down");
		run(&rig, 20 * SECOND_US + 20000);
		take_state(&rig, "UNAVAILABLE: shutting down");
		take_state(&rig, NULL);
		soon += rig.connect_us[i + 1] - lost_us < 10 * SECOND_US;
	}
	assert_true(soon > 0 && soon < 20);
	rig_close(&rig);
}

static void nobody_is_there_yet(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_hush(&rig);
	assert_int_equal(try_connect(&rig), OK);
	ask(&rig, "a");
	run(&rig, 100 * SECOND_US);
	take_state(&rig, "cannot connect to 127.0.0.1:5000");
	take_none(&rig);
	rig_listen(&rig);
	run(&rig, 31 * SECOND_US);
	take_state(&rig, NULL);
	take_answer(&rig, "a", MODEL_ACCEPTED);
	take_none(&rig);
	rig_close(&rig);
}

/* ---- with what ------------------------------------------------------------------------------- */

/* Loses the connection, and sees to it that another is there. */
static void lose_and_return(struct rig *rig)
{
	rig_lose(rig, SECOND_US / 4);
	run(rig, 2 * SECOND_US);
	take_state(rig, "UNAVAILABLE: the connection is lost");
	take_state(rig, NULL);
}

/* Everything is asked for again, in bulk and in order; nobody is told of that. */
static void all_is_registered_again(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_connect(&rig);
	take_state(&rig, NULL);
	ask_many(&rig, 2500);
	run(&rig, SECOND_US);
	for (int i = 0; i < 2500; i++) {
		take(&rig, STREAM_ANSWER);
	}
	take_back(&rig, "s1000");
	ask(&rig, "last");
	run(&rig, SECOND_US);
	take_answer(&rig, "last", MODEL_ACCEPTED);
	lose_and_return(&rig);
	assert_string_equal(rig.said,
		"hello bulk:1000:s0:s999 bulk:1000:s1001:s2000 bulk:500:s2001:last "
		"registered");
	take_none(&rig);
	rig_close(&rig);
}

/* The position of what was queued last, from whatever tells one. */
static void it_goes_on_behind_the_newest_position(void **state)
{
	const struct model_gap gap = {.until = bytes_of("p3"), .reason = MODEL_GAP_SOURCE};
	const struct model_gap part = {.reason = MODEL_GAP_TOO_LARGE, .run = RAW("\x0a\x01x")};
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.welcome = (struct model_welcome){.version = 1, .position = bytes_of("p0")};
	rig_connect(&rig);
	ask(&rig, "a");
	run(&rig, SECOND_US);
	take_state(&rig, NULL);
	take_answer(&rig, "a", MODEL_ACCEPTED);
	rig.welcome.resume = MODEL_RESUME_REPLAY;
	lose_and_return(&rig);
	assert_string_equal(rig.said, "hello@p0 +a registered");
	say_position(&rig, "p1");
	run(&rig, SECOND_US);
	take(&rig, STREAM_DELIVERY);
	lose_and_return(&rig);
	assert_string_equal(rig.said, "hello@p1 +a registered");
	rig.ack_position = "p2";
	run(&rig, 30 * SECOND_US);
	lose_and_return(&rig);
	assert_string_equal(rig.said, "hello@p2 +a registered");
	rig.ack_position = NULL;
	say_gap(&rig, &gap);
	say_gap(&rig, &part);
	run(&rig, SECOND_US);
	take(&rig, STREAM_GAP);
	take(&rig, STREAM_GAP);
	lose_and_return(&rig);
	assert_string_equal(rig.said, "hello@p3 +a registered");
	take_none(&rig);
	rig_close(&rig);
}

/* Part of a delivery is none: it comes again as a whole. */
static void a_broken_delivery_does_not_count(void **state)
{
	const struct model_mark part = {.more = true};
	const struct model_mark last = {.position = bytes_of("p2")};
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_connect(&rig);
	take_state(&rig, NULL);
	say_position(&rig, "p1");
	say_marked(&rig, "a", &part);
	run(&rig, SECOND_US);
	take(&rig, STREAM_DELIVERY);
	lose_and_return(&rig);
	assert_string_equal(rig.said, "hello@p1 registered");
	say_marked(&rig, "a", &part);
	say_marked(&rig, "b", &last);
	run(&rig, SECOND_US);
	struct stream_item item = peek_item(&rig, STREAM_DELIVERY);
	assert_int_equal(item.ids_count, 2);
	stream_pop(rig.stream);
	take_none(&rig);
	rig_close(&rig);
}

/* What was under way is sent once more, and answered once. */
static void what_was_under_way_is_sent_again(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.is_withholding = true;
	rig_connect(&rig);
	take_state(&rig, NULL);
	ask(&rig, "a");
	ask(&rig, "!b");
	ask(&rig, "c");
	ask(&rig, "d");
	run(&rig, SECOND_US);
	take_back(&rig, "c");
	take_back(&rig, "d");
	ask(&rig, "d");
	rig_hush(&rig);
	grpc_server_conn_close(rig.conn);
	run(&rig, SECOND_US / 4);
	take_state(&rig, "UNAVAILABLE: the connection is lost");
	ask(&rig, "e"); /* while away */
	rig.is_withholding = false;
	rig_listen(&rig);
	run(&rig, 2 * SECOND_US);
	take_state(&rig, NULL);
	assert_string_equal(rig.said, "hello bulk:4:a:e registered");
	take_answer(&rig, "!b", MODEL_REFUSED_LIMIT);
	take_answer(&rig, "a", MODEL_ACCEPTED);
	take_answer(&rig, "d", MODEL_ACCEPTED);
	take_answer(&rig, "e", MODEL_ACCEPTED);
	take_none(&rig);
	rig_close(&rig);
}

static void what_is_taken_back_while_away_is_gone(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_connect(&rig);
	take_state(&rig, NULL);
	ask(&rig, "a");
	ask(&rig, "b");
	ask(&rig, "c");
	run(&rig, SECOND_US);
	for (const char *name = "a\0b\0c\0"; *name; name += 2) {
		take_answer(&rig, name, MODEL_ACCEPTED);
	}
	rig_hush(&rig);
	take_back(&rig, "c"); /* on its way when the connection is lost */
	grpc_server_conn_close(rig.conn);
	run(&rig, SECOND_US / 4);
	take_back(&rig, "a");
	ask(&rig, "d");
	take_back(&rig, "d");
	rig_listen(&rig);
	run(&rig, 2 * SECOND_US);
	assert_string_equal(rig.said, "hello +b registered");
	rig_close(&rig);
}

/* An unsubscribe that found no room before the connection was lost needs none any more. */
static void what_could_not_be_taken_back_is_gone(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_connect(&rig);
	ask(&rig, "a");
	ask(&rig, "b");
	run(&rig, SECOND_US);
	grpc_call_pause(rig.call, true);
	for (char id[] = "l0"; id[1] <= '3'; id[1]++) {
		ask_large(&rig, id, 500000); /* two fill the windows */
	}
	run(&rig, SECOND_US);
	take_back(&rig, "a");
	take_back(&rig, "b");
	ask(&rig, "b");
	run(&rig, SECOND_US);
	assert_string_equal(rig.said, "hello registered +a +b");
	rig_lose(&rig, SECOND_US / 4);
	for (char id[] = "l0"; id[1] <= '3'; id[1]++) {
		take_back(&rig, id);
	}
	run(&rig, 2 * SECOND_US);
	assert_string_equal(rig.said, "hello +b registered");
	take_state(&rig, NULL);
	take_answer(&rig, "a", MODEL_ACCEPTED);
	take_answer(&rig, "b", MODEL_ACCEPTED);
	take_state(&rig, "UNAVAILABLE: the connection is lost");
	take_state(&rig, NULL);
	take_answer(&rig, "b", MODEL_ACCEPTED);
	take_none(&rig);
	rig_close(&rig);
}

/* What another Streamer refuses is told, though it was accepted before. */
static void a_refusal_on_return_is_told(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.welcome = (struct model_welcome){.version = 1, .position = bytes_of("p0")};
	rig_connect(&rig);
	assert_int_equal(try_subscribe(&rig, "x", "age > 18"), OK);
	ask(&rig, "a");
	run(&rig, SECOND_US);
	take_state(&rig, NULL);
	take_answer(&rig, "x", MODEL_ACCEPTED);
	take_answer(&rig, "a", MODEL_ACCEPTED);
	rig.is_original = true;
	lose_and_return(&rig);
	take_answer(&rig, "x", MODEL_REFUSED_EXPRESSION);
	assert_string_equal(rig.said, "hello@p0 +a");
	take(&rig, STREAM_GAP); /* an original cannot go on anywhere */
	rig.is_original = false;
	lose_and_return(&rig);
	assert_string_equal(
		rig.said, "hello +a registered"); /* nor is there a position behind it */
	take(&rig, STREAM_GAP);
	take_none(&rig);
	rig_close(&rig);
}

/* What the consumer has done, and how often each id was answered. */
struct script {
	struct rig rig;
	bool wanted[16];
	unsigned asked[16], taken_back[16], answered[16];
};

static void take_answers(struct script *script)
{
	struct stream_item item;
	while (stream_peek(script->rig.stream, &item) == OK) {
		if (item.kind == STREAM_ANSWER) {
			char id[8];
			(void)snprintf(id, sizeof(id), "%.*s", BYTES_FORMAT(item.answer.id));
			assert_int_equal(item.answer.refusal, MODEL_ACCEPTED);
			script->answered[strtoul(id + 1, NULL, 10)]++;
		}
		stream_pop(script->rig.stream);
	}
}

static void act(struct script *script, uint64_t random)
{
	struct rig *rig = &script->rig;
	size_t which = random % 16;
	char id[8];
	(void)snprintf(id, sizeof(id), "s%zu", which);
	if (random / 16 % 16 == 0 && rig->conn) {
		grpc_server_conn_close(rig->conn);
	} else if (script->wanted[which]) {
		take_back(rig, id);
		script->wanted[which] = false;
		script->taken_back[which]++;
	} else {
		ask(rig, id);
		script->wanted[which] = true;
		script->asked[which]++;
	}
	run(rig, (int64_t)(random / 256 % 4 * (random / 1024 % 1000)));
	take_answers(script);
}

/* Whatever happens in whatever order: in the end the Streamer has what is wanted, no id was asked
 * for twice, and each subscribe was answered once, but for some that were taken back. */
static void it_ends_with_what_is_wanted(void **state)
{
	(void)state;
	for (int round = 0; round < 60; round++) {
		struct script script = {0};
		uint64_t wanted = 0;
		rig_open(&script.rig);
		script.rig.is_original = round % 3 == 0;
		script.rig.options.backoff_min_us = 1000;
		script.rig.options.backoff_max_us = 1000;
		assert_int_equal(try_connect(&script.rig), OK);
		for (int i = 0; i < 300; i++) {
			act(&script, test_random_next(&script.rig.world.random));
		}
		run(&script.rig, SECOND_US);
		take_answers(&script);
		for (size_t i = 0; i < 16; i++) {
			wanted |= (uint64_t)script.wanted[i] << i;
			assert_true(script.answered[i] <= script.asked[i]);
			assert_true(script.answered[i] + script.taken_back[i] >= script.asked[i]);
		}
		assert_int_equal(script.rig.registered, wanted);
		assert_false(script.rig.has_doubled);
		rig_close(&script.rig);
	}
}

/* ---- gaps ------------------------------------------------------------------------------------ */

/* An original goes on from now: the gap is told when everything is registered again. */
static void an_original_leaves_a_gap(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.is_original = true;
	rig_connect(&rig);
	ask(&rig, "a");
	ask(&rig, "b");
	run(&rig, SECOND_US);
	take_state(&rig, NULL);
	take_answer(&rig, "a", MODEL_ACCEPTED);
	take_answer(&rig, "b", MODEL_ACCEPTED);
	take_none(&rig); /* nothing was missed before */
	rig.is_withholding = true;
	lose_and_return(&rig);
	assert_string_equal(rig.said, "hello +a +b");
	take_none(&rig);
	rig.is_withholding = false;
	lose_and_return(&rig);
	struct stream_item item = peek_item(&rig, STREAM_GAP);
	assert_int_equal(item.gap.reason, MODEL_GAP_UNKNOWN);
	assert_int_equal(item.gap.run.size + item.gap.until.size, 0);
	stream_pop(rig.stream);
	take_none(&rig);
	rig_close(&rig);
}

/* The same where a Streamer knows nothing of the position that it is given. */
static void a_streamer_that_begins_anew_leaves_a_gap(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig_connect(&rig);
	ask(&rig, "a");
	run(&rig, SECOND_US);
	say_position(&rig, "p1");
	run(&rig, SECOND_US);
	take_state(&rig, NULL);
	take_answer(&rig, "a", MODEL_ACCEPTED);
	take(&rig, STREAM_DELIVERY);
	rig.welcome = (struct model_welcome){.version = 1, .position = bytes_of("q0")};
	rig.is_withholding = true;
	lose_and_return(&rig);
	assert_string_equal(rig.said, "hello@p1 +a registered");
	take_none(&rig);
	rig.welcome.resume = MODEL_RESUME_REPLAY;
	rig.is_withholding = false;
	lose_and_return(&rig); /* it was not told yet: it is still to be */
	assert_string_equal(rig.said, "hello@q0 +a registered");
	struct stream_item item = peek_item(&rig, STREAM_GAP);
	assert_true(bytes_equal(item.gap.until, bytes_of("q0")));
	stream_pop(rig.stream);
	lose_and_return(&rig);
	take_none(&rig);
	rig_close(&rig);
}

/* ---- a position from elsewhere --------------------------------------------------------------- */

static void say_registered(struct rig *rig)
{
	struct buffer message = {0};
	assert_int_equal(
		wire_heartbeat_encode(&message, &(struct model_heartbeat){.registered = true}), OK);
	assert_int_equal(remote_client_request(rig->client, buffer_bytes(&message)), OK);
	buffer_fini(&message);
}

/* What follows it waits until the consumer has subscribed to everything. */
static void it_begins_behind_a_position(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.options.after = bytes_of("p7");
	rig_connect(&rig);
	take_state(&rig, NULL);
	ask(&rig, "a");
	run(&rig, SECOND_US);
	take_answer(&rig, "a", MODEL_ACCEPTED);
	assert_string_equal(rig.said, "hello@p7 +a");
	lose_and_return(&rig);
	assert_string_equal(rig.said, "hello@p7 +a");
	say_registered(&rig);
	run(&rig, SECOND_US);
	assert_string_equal(rig.said, "hello@p7 +a registered");
	lose_and_return(&rig);
	assert_string_equal(rig.said, "hello@p7 +a registered");
	rig_close(&rig);
}

static void an_original_knows_no_position(void **state)
{
	struct rig rig;
	(void)state;
	rig_open(&rig);
	rig.is_original = true;
	rig.options.after = bytes_of("p7");
	rig_connect(&rig);
	take_state(&rig, NULL);
	ask(&rig, "a");
	run(&rig, SECOND_US);
	take_answer(&rig, "a", MODEL_ACCEPTED);
	take_none(&rig);
	say_registered(&rig);
	take(&rig, STREAM_GAP);
	take_none(&rig);
	rig_close(&rig);
}

/* ---- lack of memory -------------------------------------------------------------------------- */

/* The items of a life: what was asked for must have been answered, or refused at once. */
static unsigned count_items(struct rig *rig, enum stream_item_kind kind, bool *ret_has_ended)
{
	struct stream_item item;
	unsigned count = 0;
	while (stream_peek(rig->stream, &item) == OK) {
		count += item.kind == kind;
		*ret_has_ended = *ret_has_ended || item.kind == STREAM_END;
		stream_pop(rig->stream);
	}
	return count;
}

/* A life with everything in it, in which one allocation fails: in the end it is as without. */
static bool try_life(size_t fail_at)
{
	struct rig rig;
	struct failing failing;
	unsigned asked = 0;
	bool has_ended = false;
	rig_open(&rig);
	failing_start(&failing, fail_at);
	if (try_connect(&rig) == OK) {
		asked += try_subscribe(&rig, "a", NULL) == OK;
		asked += try_subscribe(&rig, "b", "age > 18") == OK;
		run(&rig, 20000);
		asked += try_subscribe(&rig, "c", NULL) == OK;
		(void)!try_unsubscribe(&rig, "c");
		run(&rig, 40 * SECOND_US);
		if (rig.conn) {
			grpc_server_conn_close(rig.conn);
		}
		run(&rig, 10 * SECOND_US);
		if (rig.call) {
			(void)!grpc_call_send(rig.call, RAW("\xaa\x06\x00"));
		}
		run(&rig, 100 * SECOND_US);
		asked += try_subscribe(&rig, "d", NULL) == OK;
		run(&rig, SECOND_US);
	}
	bool has_struck = failing_stop(&failing);
	if (rig.client) {
		run(&rig, 100 * SECOND_US);
		assert_non_null(rig.call);
		unsigned answers = count_items(&rig, STREAM_ANSWER, &has_ended);
		assert_true(answers == asked || answers + 1 == asked); /* "c" was taken back */
		assert_false(has_ended);
		assert_true(has_struck || answers == 3);
	} else {
		assert_true(has_struck);
	}
	rig_close(&rig);
	return has_struck;
}

static void survives_each_failure(void **state)
{
	size_t fail_at = 0;
	(void)state;
	while (try_life(fail_at)) {
		fail_at++;
	}
	assert_true(fail_at > 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_grow_and_differ),
		cmocka_unit_test(a_welcome_makes_waits_short_again),
		cmocka_unit_test(a_going_away_is_followed_soon),
		cmocka_unit_test(nobody_is_there_yet),
		cmocka_unit_test(all_is_registered_again),
		cmocka_unit_test(it_goes_on_behind_the_newest_position),
		cmocka_unit_test(a_broken_delivery_does_not_count),
		cmocka_unit_test(what_was_under_way_is_sent_again),
		cmocka_unit_test(what_is_taken_back_while_away_is_gone),
		cmocka_unit_test(what_could_not_be_taken_back_is_gone),
		cmocka_unit_test(a_refusal_on_return_is_told),
		cmocka_unit_test(it_ends_with_what_is_wanted),
		cmocka_unit_test(an_original_leaves_a_gap),
		cmocka_unit_test(a_streamer_that_begins_anew_leaves_a_gap),
		cmocka_unit_test(it_begins_behind_a_position),
		cmocka_unit_test(an_original_knows_no_position),
		cmocka_unit_test(survives_each_failure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
