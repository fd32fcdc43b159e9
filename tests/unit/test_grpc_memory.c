/*
 * grpc with an allocator that fails: whichever allocation it is, nothing crashes, nothing leaks
 * (the sanitizer sees), and each call that was made ends exactly once.
 */
#include "grpc_pair.h"

/* While armed, the Nth allocation fails, and if `for_good` all after it. */
struct fault {
	unsigned long countdown; /* 0: not armed */
	bool for_good;
	bool has_struck;
};

static struct fault fault;
static const struct grpc_options options = {.send_buffer_bytes = 3000, .window_bytes = 70000};

static void *faulty(void *ctx, void *pointer, size_t size)
{
	struct fault *armed = ctx;
	if (size == 0) {
		free(pointer);
		return NULL;
	}
	if (armed->countdown > 0 && --armed->countdown == 0) {
		armed->has_struck = true;
		armed->countdown = armed->for_good ? 1 : 0;
		return NULL;
	}
	return realloc(pointer, size);
}

static bool start(struct pair *pair)
{
	if (grpc_session_new_client(&options, "test:1", &pair->client)) {
		return false;
	}
	if (grpc_session_new_server(&options, pair_accept, pair, &pair->server)) {
		return false;
	}
	(void)grpc_session_tick(pair->client, pair->now_us);
	(void)grpc_session_tick(pair->server, pair->now_us);
	return true;
}

static struct side *call(struct pair *pair, size_t message_size)
{
	struct side *side = side_new(pair);
	side->pair = pair;
	side->message_size = message_size;
	side->to_send = 5;
	side->finish_when_sent = true;
	if (grpc_session_call(pair->client, "/test.Test/Call", pair->now_us + 1000000, &side_events,
		    side, &side->call)) {
		side->ended = 1; /* it never was */
		return side;
	}
	side_push(side);
	return side;
}

/* What could not be sent for lack of memory is tried again, as an owner would. */
static void exchange(struct pair *pair)
{
	bool any = true;
	while (any && !pair->client_err && !pair->server_err) {
		any = pair_move(pair, true);
		any = pair_move(pair, false) || any;
		for (unsigned i = 0; i < pair->side_count; i++) {
			struct side *side = &pair->sides[i];
			if (side->call && side->sent < side->to_send) {
				side_push(side);
			}
		}
	}
}

static void whole_exchange(struct pair *pair)
{
	if (!start(pair)) {
		return;
	}
	pair->model.kind = SIDE_ECHO;
	(void)call(pair, 100);
	(void)call(pair, 20000);
	struct side *cancelled = call(pair, 1000);
	struct side *late = call(pair, 10);
	struct side *unknown = side_new(pair);
	if (grpc_session_call(
		    pair->client, "/unknown", INT64_MAX, &side_events, unknown, &unknown->call)) {
		unknown->ended = 1;
	}
	unknown->pair = pair;
	exchange(pair);
	if (cancelled->call) {
		grpc_call_cancel(cancelled->call, GRPC_CANCELLED, "enough");
	}
	if (late->call) {
		late->finish_when_sent = false;
	}
	struct side *side = pair_server_side(pair);
	if (side && side->call) {
		grpc_call_finish(side->call, GRPC_NOT_FOUND, "a text of some length, und Umläute");
	}
	exchange(pair);
	(void)call(pair, 50);
	pair_tick(pair, 2000000);
	exchange(pair);
	grpc_session_goaway(pair->server);
	exchange(pair);
}

/* Returns whether an allocation failed, which is false once nth is beyond the exchange's last one.
 */
static bool try_exchange(unsigned long nth, bool for_good)
{
	struct pair *pair = calloc(1, sizeof *pair);
	assert_non_null(pair);
	pair->random.state = 7;
	pair->chunk_max = 5000;
	pair->now_us = 1;
	fault = (struct fault){.countdown = nth, .for_good = for_good};
	whole_exchange(pair);
	grpc_session_free(pair->client);
	grpc_session_free(pair->server);
	fault.countdown = 0;
	for (unsigned i = 0; i < pair->side_count; i++) {
		assert_int_equal(pair->sides[i].ended, 1);
	}
	free(pair);
	return fault.has_struck;
}

static void survives_each_failure(void **state)
{
	unsigned long nth = 1;
	(void)state;
	while (try_exchange(nth, false)) {
		nth++;
	}
	assert_true(nth > 100);
	print_message("%lu allocations failed in turn\n", nth - 1);
}

static void survives_having_none_left(void **state)
{
	(void)state;
	for (unsigned long nth = 1; try_exchange(nth, true); nth++) {
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives_each_failure),
		cmocka_unit_test(survives_having_none_left),
	};
	mem_set_hook(faulty, &fault);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
