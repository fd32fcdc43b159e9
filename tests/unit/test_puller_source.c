/* puller: a source instead of a file, slow subscribers, the end, and lack of memory. */
#include "failing.h"
#include "puller_world.h"

/* ---- a source -------------------------------------------------------------------------------- */

struct feed {
	unsigned next, end;
	bool is_over;
	size_t padding; /* bytes of update_desc */
	unsigned asked, sent, last_sent;
	char id[40];
	char *update;
};

static enum err feed_next(void *ctx, struct model_source_message *ret_message)
{
	struct feed *feed = ctx;
	feed->asked++;
	if (feed->next == feed->end) {
		return feed->is_over ? ERR_CLOSED : ERR_EMPTY;
	}
	unsigned n = feed->next++;
	(void)snprintf(feed->id, sizeof feed->id, n % 50 == 49 ? "bad%u%u" : "%u-%u-x", 1 + n, n);
	struct model_source_message message = {.has_change = n % 50 != 48};
	message.change.event_id = bytes_of(feed->id);
	message.change.kind = MODEL_CHANGE_UPDATE;
	message.change.update = (struct bytes){feed->update, feed->padding};
	*ret_message = message;
	return OK;
}

static void feed_sent(void *ctx, struct bytes event_id)
{
	struct feed *feed = ctx;
	unsigned seconds = 0;
	read_id(event_id, &seconds, &feed->last_sent);
	feed->sent++;
}

static void world_feed(struct world *world, struct feed *feed, struct puller_source *source)
{
	*source = (struct puller_source){feed_next, feed_sent, feed};
	world->options.path = NULL;
	world->options.source = source;
	feed->update = calloc(1, feed->padding + 1);
	assert_non_null(feed->update);
	memset(feed->update, 'x', feed->padding);
	world_start(world);
}

static void a_source_is_asked_and_told(void **state)
{
	(void)state;
	struct world world;
	struct feed feed = {.end = 10};
	struct puller_source source;
	struct reader early;
	struct reader late;
	struct reader all;
	world_open(&world);
	world_feed(&world, &feed, &source);
	world_run(&world, SECOND);
	assert_int_equal(feed.asked, 0); /* nobody is there */
	reader_open(&early, &world, "");
	world_run(&world, SECOND);
	assert_numbers(&early, 0, 10);
	assert_int_equal(feed.sent, 10);
	assert_point(early.got[9].marker, "default_mongo", "10-9-x");
	reader_open(&late, &world, ""); /* live: nothing of the past */
	reader_open(&all, &world, "e30");
	world_run(&world, SECOND);
	assert_int_equal(late.count, 0);
	assert_numbers(&all, 0, 10);
	assert_int_equal(feed.sent, 20);
	feed.end = 100; /* 48 has no change, and 49 no name */
	puller_more(world.puller);
	world_run(&world, SECOND);
	assert_int_equal(early.count, 96);
	assert_int_equal(late.count, 86);
	assert_int_equal(all.count, 96);
	assert_int_equal(late.got[0].n, 10);
	assert_int_equal(late.got[38].n, 50);
	assert_int_equal(feed.last_sent, 97);
	assert_int_equal(feed.sent, 20 + 3 * 86);
	assert_int_equal(early.heartbeats + late.heartbeats + all.heartbeats, 0);
	struct reader again;
	reader_open(&again, &world, early.got[49].marker); /* of 51 */
	world_run(&world, SECOND);
	assert_int_equal(again.count, 46);
	assert_int_equal(again.got[0].n, 52);
	feed.is_over = true;
	unsigned asked = feed.asked;
	puller_more(world.puller);
	world_run(&world, SECOND);
	assert_int_equal(feed.asked, asked + 1); /* it has said that it has no more */
	assert_int_equal(early.ended, 0);
	reader_close(&again);
	reader_close(&early);
	reader_close(&late);
	reader_close(&all);
	world_close(&world);
	free(feed.update);
}

/* Being asked to look again, and finding nothing, is no message. */
static void looking_is_no_heartbeat(void **state)
{
	(void)state;
	struct world world;
	struct feed feed = {.end = 3};
	struct puller_source source;
	struct reader reader;
	world_open(&world);
	world_feed(&world, &feed, &source);
	reader_open(&reader, &world, "");
	for (unsigned i = 0; i < 100; i++) {
		world_run(&world, SECOND);
		puller_more(world.puller);
	}
	assert_true(feed.asked > 100);
	assert_int_equal(reader.heartbeats, 3);
	for (unsigned i = 3; i < 6; i++) {
		assert_int_equal(reader.got[i].at_us / SECOND, (int64_t)30 * (i - 2));
		assert_string_equal(reader.got[i].marker, reader.got[2].marker);
	}
	reader_close(&reader);
	world_close(&world);
	free(feed.update);
}

static void the_slow_do_not_stall_the_fast(void **state)
{
	(void)state;
	struct world world;
	struct feed feed = {.end = 1000, .padding = 5000};
	struct puller_source source;
	struct reader slow;
	struct reader fast;
	world_open(&world);
	world_feed(&world, &feed, &source);
	reader_open(&slow, &world, "");
	slow.pause_after = 5;
	world_run(&world, SECOND);
	assert_int_equal(slow.count, 5);
	assert_true(feed.next < 300); /* it holds the source back */
	reader_open(&fast, &world, "e30");
	world_run(&world, 10 * SECOND);
	assert_int_equal(slow.count, 5);
	assert_int_equal(fast.count, 960);
	slow.pause_after = 0;
	grpc_call_pause(slow.call, false);
	world_run(&world, 10 * SECOND);
	assert_int_equal(slow.count, 960);
	for (unsigned i = 0; i < 960; i++) {
		assert_int_equal(slow.got[i].n, fast.got[i].n);
	}
	reader_close(&slow);
	reader_close(&fast);
	world_close(&world);
	free(feed.update);
}

static void a_file_has_slow_subscribers_too(void **state)
{
	(void)state;
	struct world world;
	struct reader slow;
	struct reader fast;
	world_open(&world);
	put_changes(&world, 6000);
	world_start(&world);
	reader_open(&slow, &world, "");
	slow.pause_after = 5;
	world_run(&world, 40 * SECOND);
	reader_open(&fast, &world, "");
	world_run(&world, 10 * SECOND);
	assert_int_equal(slow.count, 5);
	assert_numbers(&fast, 0, 6000);
	slow.pause_after = 0;
	grpc_call_pause(slow.call, false);
	world_run(&world, 10 * SECOND);
	assert_numbers(&slow, 0, 6000); /* and no heartbeat in between */
	reader_close(&slow);
	reader_close(&fast);
	world_close(&world);
}

static void what_is_kept_has_a_bound(void **state)
{
	(void)state;
	/* by their number, and by their bytes */
	static const struct feed rows[] = {{.end = 90000}, {.end = 200, .padding = 1 << 20}};
	for (unsigned i = 0; i < 2; i++) {
		struct world world;
		struct feed feed = rows[i];
		struct puller_source source;
		struct reader slow;
		struct reader fast;
		struct reader old;
		world_open(&world);
		world_feed(&world, &feed, &source);
		reader_open(&slow, &world, "");
		slow.pause_after = 1;
		reader_open(&fast, &world, "e30");
		world_run(&world, 100 * SECOND);
		assert_int_equal(feed.next, feed.end);
		assert_int_equal(fast.count - fast.heartbeats, feed.end / 50 * 48);
		grpc_call_pause(slow.call, false);
		world_run(&world, 100 * SECOND);
		assert_int_equal(slow.ended, 1);
		assert_int_equal(slow.status, GRPC_INTERNAL);
		assert_string_equal(
			slow.text, "replay error: changes that come next are no longer kept");
		reader_open(&old, &world, slow.got[0].marker); /* what is left */
		world_run(&world, 20 * SECOND);
		assert_int_equal(old.ended, 0);
		if (i == 0) {
			assert_int_equal(old.count, 65536);
		} else {
			assert_in_range(old.count, 60, 63);
		}
		assert_int_equal(old.got[old.count - 1].n, feed.end - 3);
		reader_close(&slow);
		reader_close(&fast);
		reader_close(&old);
		world_close(&world);
		free(feed.update);
	}
}

/* ---- the end, and peers that do not keep to the rules ---------------------------------------- */

static void closing_ends_subscribers(void **state)
{
	(void)state;
	struct world world;
	struct reader reader;
	struct reader deaf;
	struct reader late = {0};
	world_open(&world);
	put_changes(&world, 5000);
	world_start(&world);
	reader_open(&reader, &world, "");
	reader_open(&deaf, &world, "");
	deaf.pause_after = 1;
	world_run(&world, 5 * SECOND);
	assert_numbers(&reader, 0, 5000);
	char address[64];
	(void)snprintf(address, sizeof address, "%s", puller_address(world.puller));
	puller_close(world.puller, world_is_closed, &world);
	assert_int_equal(world.closed, 0);
	world_run(&world, SECOND / 2);
	assert_int_equal(reader.ended, 1);
	assert_int_equal(reader.status, GRPC_CANCELLED);
	assert_string_equal(reader.text, "subscription closed");
	assert_int_equal(reader.closed, 1); /* the connection too */
	assert_int_equal(world.closed, 0);
	assert_int_equal(grpc_client_open(world.client_loop, address, &(struct grpc_options){0},
				 &client_events, &late, &late.client),
		OK);
	world_run(&world, SECOND);
	assert_int_equal(late.closed, 1); /* nobody listens */
	assert_int_equal(deaf.closed, 1);
	assert_int_equal(world.closed, 1);
	assert_null(world.puller);
	reader_close(&reader);
	if (deaf.call) {
		grpc_call_pause(deaf.call, false);
	}
	reader_close(&deaf);
	world_close(&world);
}

static void other_calls_are_refused(void **state)
{
	(void)state;
	struct world world;
	struct reader reader;
	world_open(&world);
	put_changes(&world, 3);
	world_start(&world);
	static const struct {
		const char *method, *message;
		unsigned messages;
		enum grpc_status status;
	} rows[] = {
		{"/syntrix.puller.v1.PullerService/Other", "", 1, GRPC_UNIMPLEMENTED},
		{WIRE_PULLER_SUBSCRIBE, "", 0, GRPC_INTERNAL},
		{WIRE_PULLER_SUBSCRIBE, "\x0a\x05x", 1, GRPC_INTERNAL},
		{WIRE_PULLER_SUBSCRIBE, "", 2, GRPC_INTERNAL},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		reader = (struct reader){.world = &world};
		assert_int_equal(
			grpc_client_open(world.client_loop, puller_address(world.puller),
				&(struct grpc_options){0}, &client_events, &reader, &reader.client),
			OK);
		assert_int_equal(grpc_client_call(reader.client, rows[i].method, 0, &call_events,
					 &reader, &reader.call),
			OK);
		for (unsigned k = 0; k < rows[i].messages; k++) {
			assert_int_equal(
				grpc_call_send(reader.call, bytes_of(rows[i].message)), OK);
		}
		grpc_call_finish(reader.call, GRPC_OK, NULL);
		world_run(&world, SECOND);
		assert_int_equal(reader.ended, 1);
		assert_int_equal(reader.status, rows[i].status);
		reader_close(&reader);
	}
	world_close(&world);
}

static void a_subscriber_may_leave(void **state)
{
	(void)state;
	struct world world;
	struct reader leaver;
	struct reader stayer;
	world_open(&world);
	world.options.rate = 100;
	put_changes(&world, 200);
	world_start(&world);
	reader_open(&leaver, &world, "");
	reader_open(&stayer, &world, ""); /* with the same consumer id */
	world_run(&world, SECOND);
	grpc_call_cancel(leaver.call, GRPC_CANCELLED, "enough");
	world_run(&world, 5 * SECOND);
	assert_int_equal(leaver.ended, 1);
	assert_true(leaver.count < 120);
	assert_numbers(&stayer, 0, 200);
	reader_close(&leaver);
	reader_close(&stayer);
	world_close(&world);
}

/* ---- lack of memory -------------------------------------------------------------------------- */

static bool try_all(size_t fail_at, bool has_source)
{
	struct world world;
	struct failing failing;
	struct err_info info = {0};
	struct reader readers[2] = {{0}, {0}};
	struct feed feed = {.end = 30};
	const struct puller_source source = {feed_next, feed_sent, &feed};
	world_open(&world);
	put_changes(&world, 30);
	(void)fflush(world.file);
	if (has_source) {
		world.options.path = NULL;
		world.options.source = &source;
	}
	failing_start(&failing, fail_at);
	if (!world_try(&world, &info)) {
		if (reader_try(&readers[0], &world, "") == OK) {
			world_run(&world, SECOND);
		}
		const char *after = readers[0].count > 3 ? readers[0].got[3].marker : "e30";
		if (reader_try(&readers[1], &world, after) == OK) {
			world_run(&world, 40 * SECOND);
		}
	} else {
		assert_true(strlen(info.text) > 0);
	}
	bool has_struck = failing_stop(&failing);
	struct reader after = {0};
	if (world.puller) { /* it goes on as if nothing had been */
		reader_open(&after, &world, "e30");
		world_run(&world, SECOND);
		assert_numbers(&after, 0, 30);
		reader_close(&after);
	}
	for (unsigned i = 0; i < 2; i++) {
		bool was_opened = readers[i].client || readers[i].closed;
		if (was_opened) {
			reader_close(&readers[i]);
		}
	}
	world_close(&world);
	return has_struck;
}

static void survives_each_failure(void **state)
{
	(void)state;
	for (unsigned has_source = 0; has_source < 2; has_source++) {
		size_t fail_at = 0;
		while (try_all(fail_at, has_source)) {
			fail_at++;
		}
		assert_true(fail_at > 60);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_source_is_asked_and_told),
		cmocka_unit_test(looking_is_no_heartbeat),
		cmocka_unit_test(the_slow_do_not_stall_the_fast),
		cmocka_unit_test(a_file_has_slow_subscribers_too),
		cmocka_unit_test(what_is_kept_has_a_bound),
		cmocka_unit_test(closing_ends_subscribers),
		cmocka_unit_test(other_calls_are_refused),
		cmocka_unit_test(a_subscriber_may_leave),
		cmocka_unit_test(survives_each_failure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
