/* puller: markers, a file of changes, time, rounds. */
#include "puller_world.h"

#include <fcntl.h>

/* ---- markers --------------------------------------------------------------------------------- */

static void markers_are_the_originals(void **state)
{
	(void)state;
	struct buffer buffer = {0};
	const char *vector = "eyJwIjp7ImRlZmF1bHRfbW9uZ28iOiIxNzY3MjI1NjAwLTEtMDZjZTJiNzdkYjg5"
			     "YWRhYSJ9fQ";
	assert_int_equal(puller_marker_print(&buffer, bytes_of("default_mongo"),
				 bytes_of("1767225600-1-06ce2b77db89adaa")),
		OK);
	assert_int_equal(buffer.size, strlen(vector));
	assert_memory_equal(buffer.data, vector, buffer.size);
	assert_point(vector, "default_mongo", "1767225600-1-06ce2b77db89adaa");
	assert_point(vector, "other", NULL);
	buffer_fini(&buffer);
}

static void markers_of_any_length(void **state)
{
	(void)state;
	for (unsigned size = 1; size < 40; size++) {
		char id[41] = {0};
		struct buffer buffer = {0};
		memset(id, 0xC3, size & ~1U); /* ÿ, so that bytes over 127 and '_' occur */
		for (unsigned i = 1; i < size; i += 2) {
			id[i] = (char)0xBF;
		}
		id[size & ~1U] = (size & 1) ? '?' : '\0';
		assert_int_equal(puller_marker_print(&buffer, bytes_of("\"<é"), bytes_of(id)), OK);
		assert_int_equal(buffer_append(&buffer, (struct bytes){"", 1}), OK);
		assert_int_equal(strcspn(buffer.data, "+/=\n"), buffer.size - 1);
		assert_point(buffer.data, "\"<é", id);
		buffer_fini(&buffer);
	}
}

static void bad_markers(void **state)
{
	static const struct {
		const char *marker;
		enum grpc_status status;
		const char *text;
	} rows[] = {
		{"!", GRPC_INVALID_ARGUMENT, "invalid 'after' progress marker: "},
		{"e30=", GRPC_INVALID_ARGUMENT, "invalid 'after' progress marker: "},
		{"e3", GRPC_INVALID_ARGUMENT, "invalid 'after' progress marker: "},
		{"e30gA", GRPC_INVALID_ARGUMENT, "invalid 'after' progress marker: "},
		/* [], {"p":1}, {"p":{"a":1}} */
		{"W10", GRPC_INVALID_ARGUMENT, "invalid 'after' progress marker: "},
		{"eyJwIjoxfQ", GRPC_INVALID_ARGUMENT, "invalid 'after' progress marker: "},
		{"eyJwIjp7ImEiOjF9fQ", GRPC_INVALID_ARGUMENT, "invalid 'after' progress marker: "},
		/* {"p":{"a":"x"}}, {"p":{"a":"4294967296-1-a"}}, {"p":{"zz":"1-2"}}, "1-2-" */
		{"eyJwIjp7ImEiOiJ4In19", GRPC_INTERNAL,
			"failed to start replay: invalid event ID \"x\""},
		{"eyJwIjp7ImEiOiI0Mjk0OTY3Mjk2LTEtYSJ9fQ", GRPC_INTERNAL,
			"failed to start replay: invalid event ID \"4294967296-1-a\""},
		{"eyJwIjp7Inp6IjoiMS0yIn19", GRPC_INTERNAL,
			"failed to start replay: invalid event ID \"1-2\""},
		{"eyJwIjp7Inp6IjoiMS0yLSJ9fQ", GRPC_INTERNAL,
			"failed to start replay: invalid event ID \"1-2-\""},
	};
	(void)state;
	struct world world;
	world_open(&world);
	put_changes(&world, 5);
	world_start(&world);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct reader reader;
		reader_open(&reader, &world, rows[i].marker);
		world_run(&world, SECOND);
		assert_int_equal(reader.ended, 1);
		assert_int_equal(reader.status, rows[i].status);
		assert_int_equal(strncmp(reader.text, rows[i].text, strlen(rows[i].text)), 0);
		assert_true(strlen(reader.text) >= 35);
		assert_int_equal(reader.count, 0);
		reader_close(&reader);
	}
	/* null, {"p":null}, {"x":1}: they name nothing, so all is sent */
	static const char *const fine[] = {"bnVsbA", "eyJwIjpudWxsfQ", "eyJ4IjoxfQ", "e30", ""};
	for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
		struct reader reader;
		reader_open(&reader, &world, fine[i]);
		world_run(&world, SECOND);
		assert_int_equal(reader.ended, 0);
		assert_numbers(&reader, 0, 5);
		reader_close(&reader);
	}
	world_close(&world);
}

/* ---- a file ---------------------------------------------------------------------------------- */

static void changes_come_in_order(void **state)
{
	(void)state;
	struct world world;
	struct reader reader;
	world_open(&world);
	put_changes(&world, 500);
	world_start(&world);
	reader_open(&reader, &world, "");
	world_run(&world, 5 * SECOND);
	assert_numbers(&reader, 0, 500);
	char last[2][32] = {"", ""};
	for (unsigned n = 0; n < 500; n++) {
		const struct got *got = &reader.got[n];
		char document[24];
		(void)snprintf(last[n % 3 == 2], sizeof last[0], "%u-%u-abc", 100 + n / 10, n);
		assert_point(got->marker, "a", last[0]);
		assert_point(got->marker, "b", n < 2 ? NULL : last[1]);
		(void)snprintf(document, sizeof document, "{\"n\":%u}", n);
		assert_string_equal(got->document, document);
		assert_int_equal(got->seconds, 100 + n / 10);
		assert_int_equal(got->cluster_seconds, 100 + n / 10);
		assert_int_equal(got->timestamp_ms, 7);
	}
	reader_close(&reader);
	world_close(&world);
}

static void resumes_behind_each_marker(void **state)
{
	(void)state;
	struct world world;
	struct reader first;
	world_open(&world);
	put_changes(&world, 23);
	world_start(&world);
	reader_open(&first, &world, "e30");
	world_run(&world, SECOND);
	assert_numbers(&first, 0, 23);
	for (unsigned n = 2; n < 23; n++) { /* from there on both backends are named */
		struct reader reader;
		reader_open(&reader, &world, first.got[n].marker);
		world_run(&world, SECOND);
		assert_numbers(&reader, n + 1, 23);
		for (unsigned k = 0; k < reader.count; k++) {
			assert_string_equal(reader.got[k].marker, first.got[n + 1 + k].marker);
		}
		reader_close(&reader);
	}
	reader_close(&first);
	world_close(&world);
}

/* Gives what comes behind a marker of one point, as "n n n ". */
static void assert_behind(
	struct world *world, const char *backend, const char *event_id, const char *expected)
{
	struct buffer marker = {0};
	struct reader reader;
	char text[200] = "";
	assert_int_equal(puller_marker_print(&marker, bytes_of(backend), bytes_of(event_id)), OK);
	assert_int_equal(buffer_append(&marker, (struct bytes){"", 1}), OK);
	reader_open(&reader, world, marker.data);
	world_run(world, SECOND);
	for (size_t i = 0; i < reader.count; i++) {
		(void)snprintf(
			text + strlen(text), sizeof text - strlen(text), "%u ", reader.got[i].n);
	}
	assert_string_equal(text, expected);
	buffer_fini(&marker);
	reader_close(&reader);
}

static void markers_of_other_places(void **state)
{
	(void)state;
	struct world world;
	world_open(&world);
	put_changes(&world, 12); /* b: 2 5 8 11; 10 and 11 are of second 101 */
	world_start(&world);
	assert_behind(&world, "a", "100-4-abc", "2 5 6 7 8 9 10 11 ");
	assert_behind(&world, "b", "100-5-abc", "0 1 3 4 6 7 8 9 10 11 ");
	assert_behind(&world, "a", "101-10-abc", "2 5 8 11 ");
	/* never there: what is not older follows, of the same time too */
	assert_behind(&world, "a", "100-4-zzz", "2 4 5 6 7 8 9 10 11 ");
	assert_behind(&world, "a", "100-5-abc", "2 5 6 7 8 9 10 11 ");
	assert_behind(&world, "a", "99-99-abc", "0 1 2 3 4 5 6 7 8 9 10 11 ");
	assert_behind(&world, "a", "102-0-abc", "2 5 8 11 ");
	assert_behind(&world, "gone", "100-4-abc", "0 1 2 3 4 5 6 7 8 9 10 11 ");
	world_close(&world);
}

static void backends_may_share_event_ids(void **state)
{
	(void)state;
	struct world world;
	world_open(&world);
	for (unsigned n = 0; n < 2; n++) {
		put_change(&world, "a", 100, n);
		put_change(&world, "b", 100, n);
	}
	world_start(&world);
	assert_behind(&world, "b", "100-0-abc", "0 1 1 ");
	assert_behind(&world, "a", "100-0-abc", "0 1 1 ");
	assert_behind(&world, "b", "100-1-abc", "0 1 ");
	world_close(&world);
}

static void short_lines_are_served(void **state)
{
	(void)state;
	struct world world;
	struct reader reader;
	world_open(&world);
	(void)fprintf(world.file,
		"\n{\"op\":\"insert\",\"database\":\"default\",\"collection\":\"users\","
		"\"id\":\"u1\",\"data\":{\"a\":1}}\r\n \t\n"
		"{\"op\":\"delete\",\"database\":\"default\",\"collection\":\"users\","
		"\"id\":\"u1\"}"); /* no line end */
	world.options.backend = "mine";
	world_start(&world);
	reader_open(&reader, &world, "");
	world_run(&world, SECOND);
	assert_int_equal(reader.count, 2);
	assert_int_equal(reader.got[0].n, 2);
	assert_int_equal(reader.got[1].n, 4);
	int64_t wall_ms = loop_wall_us(world.client_loop) / 1000;
	assert_true(wall_ms - reader.got[0].timestamp_ms <= 1000);
	struct reader second;
	reader_open(&second, &world, reader.got[0].marker);
	world_run(&world, 5 * SECOND);
	assert_int_equal(second.count, 1);
	/* made up when it was read, not when the file was */
	assert_true(second.got[0].timestamp_ms - reader.got[0].timestamp_ms > 900);
	struct arena arena = {0};
	struct bytes event_id = {0};
	assert_int_equal(puller_marker_parse(bytes_of(second.got[0].marker), bytes_of("mine"),
				 &arena, &event_id),
		OK);
	arena_fini(&arena);
	reader_close(&reader);
	reader_close(&second);
	world_close(&world);
}

static void bad_lines_stop_the_start(void **state)
{
	static const struct {
		const char *line, *text;
	} rows[] = {
		{"{\"op_type\":", "line 3: "},
		{"[]", "line 3: "},
		{"{\"event_id\":\"x\",\"op_type\":\"insert\"}", "line 3: event_id \"x\" is not"},
		{"{\"op_type\":\"insert\"}", "line 3: event_id \"\" is not"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct world world;
		struct err_info info = {0};
		world_open(&world);
		put_changes(&world, 1);
		(void)fprintf(world.file, "\n%s\n", rows[i].line);
		put_changes(&world, 1);
		assert_int_not_equal(world_try(&world, &info), OK);
		assert_int_equal(strncmp(info.text, rows[i].text, strlen(rows[i].text)), 0);
		assert_true(strlen(info.text) > 8);
		assert_null(world.puller);
		world_close(&world);
	}
}

static void what_cannot_be_opened(void **state)
{
	(void)state;
	struct world world;
	struct err_info info = {0};
	world_open(&world);
	world.options.path = "/nonexistent/file";
	assert_int_equal(world_try(&world, &info), ERR_IO);
	assert_non_null(strstr(info.text, "/nonexistent/file"));
	world.options.path = "/tmp";
	assert_int_equal(world_try(&world, &info), ERR_IO);
	world.options.path = world.path;
	world.options.listen_address = "nowhere";
	assert_int_not_equal(world_try(&world, &info), OK);
	world_close(&world);
}

static void a_changed_file_is_noticed(void **state)
{
	(void)state;
	struct world world;
	struct reader reader;
	world_open(&world);
	put_changes(&world, 3);
	world_start(&world);
	assert_int_equal(ftruncate(fileno(world.file), 200), 0);
	reader_open(&reader, &world, "");
	world_run(&world, SECOND);
	assert_int_equal(reader.count, 1);
	assert_int_equal(reader.status, GRPC_INTERNAL);
	assert_string_equal(reader.text, "replay error: line 2: input or output failed");
	reader_close(&reader);
	world_close(&world);
}

static void stdin_is_kept(void **state)
{
	(void)state;
	struct world world;
	struct reader readers[2];
	int saved = dup(STDIN_FILENO);
	world_open(&world);
	put_changes(&world, 4000); /* several pieces */
	assert_int_equal(fflush(world.file), 0);
	int fd = open(world.path, O_RDONLY);
	assert_true(fd > 0 && dup2(fd, STDIN_FILENO) == STDIN_FILENO);
	world.options.path = "-";
	world_start(&world);
	assert_int_equal(ftruncate(fileno(world.file), 0), 0);
	for (unsigned i = 0; i < 2; i++) {
		reader_open(&readers[i], &world, "");
		world_run(&world, 10 * SECOND);
		assert_numbers(&readers[i], 0, 4000);
	}
	reader_close(&readers[0]);
	reader_close(&readers[1]);
	world_close(&world);
	assert_true(dup2(saved, STDIN_FILENO) == STDIN_FILENO);
	(void)close(saved);
	(void)close(fd);
}

static void a_large_change_passes(void **state)
{
	(void)state;
	struct world world;
	struct reader reader;
	const size_t size = 3 << 20; /* many times what a call holds, and a piece of the file */
	world_open(&world);
	put_changes(&world, 3);
	(void)fprintf(world.file,
		"{\"event_id\":\"100-3-abc\",\"op_type\":\"insert\",\"full_doc\":{\"n\":3},"
		"\"backend\":\"a\",\"update_desc\":{\"x\":\"");
	for (size_t i = 0; i < size; i++) {
		(void)fputc('x', world.file);
	}
	(void)fprintf(world.file, "\"}}\n");
	put_change(&world, "a", 100, 4);
	world_start(&world);
	reader_open(&reader, &world, "");
	world_run(&world, 60 * SECOND);
	assert_numbers(&reader, 0, 5);
	assert_true(reader.got[3].bytes > size);
	reader_close(&reader);
	world_close(&world);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void heartbeats_come_on_time(void **state)
{
	(void)state;
	static const char *const after[] = {"", "e30"};
	for (unsigned i = 0; i < 2; i++) {
		struct world world;
		struct reader reader;
		world_open(&world); /* with an empty file */
		world_start(&world);
		reader_open(&reader, &world, after[i]);
		world_run(&world, 29 * SECOND);
		assert_int_equal(reader.count, 0);
		world_run(&world, 122 * SECOND);
		assert_int_equal(reader.count, 5);
		assert_int_equal(reader.heartbeats, 5);
		for (unsigned k = 0; k < 5; k++) {
			int64_t late_us = reader.got[k].at_us - 30 * SECOND * (k + 1);
			assert_true(late_us > 0 && late_us < 20000);
			assert_string_equal(reader.got[k].marker, after[i]);
		}
		reader_close(&reader);
		world_close(&world);
	}
}

static void heartbeats_follow_the_changes(void **state)
{
	(void)state;
	struct world world;
	struct reader reader;
	world_open(&world);
	world.options.heartbeat_us = 2 * SECOND;
	world.options.rate = 0.2; /* one in 5 s: heartbeats at 2, 4, 7, 9, 12, ... */
	put_changes(&world, 3);
	world_start(&world);
	reader_open(&reader, &world, "e30");
	world_run(&world, 15 * SECOND);
	static const unsigned expected[] = {
		0, HEARTBEAT, HEARTBEAT, 1, HEARTBEAT, HEARTBEAT, 2, HEARTBEAT, HEARTBEAT};
	static const unsigned seconds[] = {0, 2, 4, 5, 7, 9, 10, 12, 14};
	assert_int_equal(reader.count, 9);
	for (unsigned i = 0; i < 9; i++) {
		assert_int_equal(reader.got[i].n, expected[i]);
		assert_int_equal(reader.got[i].at_us / SECOND, seconds[i]);
		if (expected[i] == HEARTBEAT) {
			assert_string_equal(reader.got[i].marker, reader.got[i - 1].marker);
		}
	}
	reader_close(&reader);
	world_close(&world);
}

static void the_rate_is_kept(void **state)
{
	(void)state;
	static const double rates[] = {3, 10, 2500};
	for (unsigned i = 0; i < 3; i++) {
		struct world world;
		struct reader readers[2];
		world_open(&world);
		world.options.rate = rates[i];
		put_changes(&world, 5000);
		world_start(&world);
		reader_open(&readers[0], &world, "");
		world_run(&world, SECOND / 2);
		reader_open(&readers[1], &world, "");
		world_run(&world, SECOND);
		for (unsigned k = 0; k < 2; k++) {
			double expected = rates[i] * (k == 0 ? 1.5 : 1.0);
			double count = (double)readers[k].count;
			assert_true(count >= expected * 0.98 - 1 && count <= expected + 1);
			int64_t first_us = readers[k].got[0].at_us;
			for (unsigned n = 0; n < readers[k].count; n++) {
				double due_us = n * 1e6 / rates[i];
				int64_t at_us = readers[k].got[n].at_us - first_us;
				assert_true(at_us > (int64_t)due_us - 20000);
				assert_true(at_us < (int64_t)due_us + 20000);
			}
		}
		reader_close(&readers[0]);
		reader_close(&readers[1]);
		world_close(&world);
	}
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static void rounds_are_new(void **state)
{
	(void)state;
	struct world world;
	struct reader reader;
	world_open(&world);
	world.options.loop = true;
	world.options.rate = 1000;
	put_changes(&world, 25); /* seconds 100 to 102 */
	world_start(&world);
	reader_open(&reader, &world, "");
	world_run(&world, SECOND / 10);
	assert_true(reader.count > 75 && reader.count < 200);
	for (unsigned i = 0; i < reader.count; i++) {
		const struct got *got = &reader.got[i];
		char document[24];
		assert_int_equal(got->n, i % 25);
		assert_int_equal(got->seconds, 100 + i % 25 / 10 + i / 25 * 3);
		assert_int_equal(got->cluster_seconds, got->seconds);
		(void)snprintf(document, sizeof document, "{\"n\":%u}", i % 25);
		assert_string_equal(got->document, document);
	}
	for (unsigned i = 2; i < 60; i++) { /* resume in any round */
		struct reader second;
		reader_open(&second, &world, reader.got[i].marker);
		world_run(&world, SECOND / 50);
		assert_true(second.count > 1);
		assert_int_equal(second.got[0].n, (i + 1) % 25);
		assert_int_equal(second.got[0].seconds, reader.got[i + 1].seconds);
		assert_string_equal(second.got[0].marker, reader.got[i + 1].marker);
		reader_close(&second);
	}
	reader_close(&reader);
	world_close(&world);
}

static void rounds_end_with_the_numbers(void **state)
{
	(void)state;
	struct world world;
	struct reader reader;
	world_open(&world);
	world.options.loop = true;
	put_change(&world, "a", 4294967295U - 5, 0);
	put_change(&world, "a", 4294967295U - 4, 1); /* span 2: -2, 0 fit, and no more */
	world_start(&world);
	reader_open(&reader, &world, "");
	world_run(&world, SECOND);
	assert_int_equal(reader.count, 6);
	assert_true(reader.got[5].seconds == 4294967295U);
	assert_int_equal(reader.ended, 0);
	reader_close(&reader);
	world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(markers_are_the_originals),
		cmocka_unit_test(markers_of_any_length),
		cmocka_unit_test(bad_markers),
		cmocka_unit_test(changes_come_in_order),
		cmocka_unit_test(resumes_behind_each_marker),
		cmocka_unit_test(markers_of_other_places),
		cmocka_unit_test(backends_may_share_event_ids),
		cmocka_unit_test(short_lines_are_served),
		cmocka_unit_test(bad_lines_stop_the_start),
		cmocka_unit_test(what_cannot_be_opened),
		cmocka_unit_test(a_changed_file_is_noticed),
		cmocka_unit_test(stdin_is_kept),
		cmocka_unit_test(a_large_change_passes),
		cmocka_unit_test(heartbeats_come_on_time),
		cmocka_unit_test(heartbeats_follow_the_changes),
		cmocka_unit_test(the_rate_is_kept),
		cmocka_unit_test(rounds_are_new),
		cmocka_unit_test(rounds_end_with_the_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
