/*
 * A Puller on one loop in virtual time, and subscribers with grpc clients on another, which note
 * all that they are sent.
 */
#ifndef TEST_PULLER_WORLD_H
#define TEST_PULLER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "grpc.h"
#include "puller.h"
#include "random.h"
#include "wire.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECOND ((int64_t)1000000)

/* ---- a world --------------------------------------------------------------------------------- */

struct world {
	struct sim *sim;
	struct loop *server_loop, *client_loop;
	struct puller *puller;
	struct puller_options options;
	char path[64];
	FILE *file;
	unsigned closed;
	bool is_lenient; /* memory may be lacking */
};

static inline void world_open(struct world *world)
{
	struct test_random random = test_random_start("puller");
	const struct sim_options options = {.seed = test_random_next(&random),
		.delay_us_max = (uint32_t)test_random_below(&random, 3) * 400,
		.chunk_bytes_max = (uint32_t)test_random_below(&random, 2) * 5000};
	*world = (struct world){.options = {.listen_address = "127.0.0.1:0"}};
	assert_int_equal(sim_new(&options, &world->sim), OK);
	assert_int_equal(sim_loop_new(world->sim, &world->server_loop), OK);
	assert_int_equal(sim_loop_new(world->sim, &world->client_loop), OK);
	(void)snprintf(world->path, sizeof world->path, "/tmp/test_puller_XXXXXX");
	int fd = mkstemp(world->path);
	assert_true(fd >= 0);
	world->file = fdopen(fd, "w");
	assert_non_null(world->file);
	world->options.path = world->path;
}

static inline enum err world_try(struct world *world, struct err_info *info)
{
	assert_int_equal(fflush(world->file), 0);
	return puller_new(world->server_loop, &world->options, info, &world->puller);
}

static inline void world_start(struct world *world)
{
	struct err_info info = {0};
	enum err err = world_try(world, &info);
	if (err) {
		(void)fprintf(stderr, "%s\n", info.text);
	}
	assert_int_equal(err, OK);
}

static inline void world_run(struct world *world, int64_t us)
{
	sim_run(world->sim, sim_now_us(world->sim) + us);
}

static inline void world_is_closed(void *ctx)
{
	struct world *world = ctx;
	world->closed++;
	puller_free(world->puller);
	world->puller = NULL;
}

static inline void world_close(struct world *world)
{
	if (world->puller) {
		puller_close(world->puller, world_is_closed, world);
		assert_int_equal(world->closed, 0);
		world_run(world, 5 * SECOND);
		assert_int_equal(world->closed, 1);
	}
	(void)fclose(world->file);
	(void)unlink(world->path);
	loop_free(world->server_loop);
	loop_free(world->client_loop);
	sim_free(world->sim);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static inline void put_change(
	struct world *world, const char *backend, unsigned seconds, unsigned n)
{
	(void)fprintf(world->file,
		"{\"event_id\":\"%u-%u-abc\",\"op_type\":\"insert\",\"database\":\"d\","
		"\"full_doc\":{\"n\":%u},\"cluster_time\":{\"t\":%u,\"i\":%u},\"timestamp\":7,"
		"\"backend\":\"%s\"}\n",
		seconds, n, n, seconds, n, backend);
}

/* Changes 0 to count - 1: "100-0-abc", ..., ten to a second, of backend a, every third of b. */
static inline void put_changes(struct world *world, unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		put_change(world, n % 3 == 2 ? "b" : "a", 100 + n / 10, n);
	}
}

/* ---- a subscriber ---------------------------------------------------------------------------- */

struct got {
	unsigned seconds, n; /* of the event id; UINT_MAX in a heartbeat */
	uint32_t cluster_seconds;
	char document[24];
	char *marker;
	int64_t at_us, timestamp_ms;
	size_t bytes;
};

struct reader {
	struct world *world;
	struct grpc_client *client;
	struct grpc_call *call;
	struct got *got;
	size_t count, capacity, heartbeats;
	unsigned pause_after; /* messages; 0: never */
	unsigned ended, closed;
	enum grpc_status status;
	char text[400];
};

#define HEARTBEAT 4000000000U

/* "<seconds>-<n>-..." */
static inline void read_id(struct bytes id, unsigned *ret_seconds, unsigned *ret_n)
{
	char text[64];
	char *end = NULL;
	(void)snprintf(text, sizeof text, "%.*s", BYTES_FORMAT(id));
	*ret_seconds = (unsigned)strtoul(text, &end, 10);
	assert_true(end > text && *end == '-');
	*ret_n = (unsigned)strtoul(end + 1, &end, 10);
	assert_int_equal(*end, '-');
}

static inline void note(
	struct reader *reader, const struct model_source_message *message, size_t bytes)
{
	struct got got = {.seconds = HEARTBEAT, .n = HEARTBEAT, .bytes = bytes};
	const struct model_change *change = &message->change;
	if (message->has_change) {
		read_id(change->event_id, &got.seconds, &got.n);
		(void)snprintf(got.document, sizeof got.document, "%.20s",
			change->full_document.size > 0 ? change->full_document.data : "");
		char *end = strchr(got.document, '}');
		if (end) {
			end[1] = '\0';
		}
		got.cluster_seconds = change->cluster_seconds;
		got.timestamp_ms = change->timestamp_ms;
		assert_true(change->backend.size > 0);
	} else {
		reader->heartbeats++;
	}
	got.at_us = sim_now_us(reader->world->sim);
	got.marker = calloc(1, message->marker.size + 1);
	assert_non_null(got.marker);
	if (message->marker.size > 0) {
		memcpy(got.marker, message->marker.data, message->marker.size);
	}
	if (reader->count == reader->capacity) {
		reader->capacity = reader->capacity ? reader->capacity * 2 : 64;
		reader->got = realloc(reader->got, reader->capacity * sizeof got);
		assert_non_null(reader->got);
	}
	reader->got[reader->count++] = got;
}

static inline void reader_message(void *ctx, struct bytes bytes)
{
	struct reader *reader = ctx;
	struct model_source_message message;
	assert_int_equal(wire_source_message_parse(bytes, &message), OK);
	note(reader, &message, bytes.size);
	if (reader->pause_after && reader->count == reader->pause_after) {
		grpc_call_pause(reader->call, true);
	}
}

static inline void reader_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	struct reader *reader = ctx;
	reader->ended++;
	reader->call = NULL;
	reader->status = status;
	(void)snprintf(reader->text, sizeof reader->text, "%.*s", BYTES_FORMAT(text));
}

static inline void reader_closed(void *ctx, enum err why)
{
	struct reader *reader = ctx;
	(void)why;
	reader->closed++;
	reader->client = NULL;
}

static const struct grpc_call_events call_events = {
	.message = reader_message, .ended = reader_ended};
static const struct grpc_client_events client_events = {.closed = reader_closed};

static inline enum err reader_try(struct reader *reader, struct world *world, const char *after)
{
	/* A window as large as grpc-go's, so that who does not read is soon felt. */
	const struct grpc_options options = {.message_bytes_max = 64 << 20, .window_bytes = 65535};
	const struct wire_puller_request request = {
		.consumer_id = bytes_of("streamer"), .after = bytes_of(after)};
	struct buffer buffer = {0};
	reader->world = world;
	enum err err = grpc_client_open(world->client_loop, puller_address(world->puller), &options,
		&client_events, reader, &reader->client);
	if (!err) {
		err = grpc_client_call(reader->client, WIRE_PULLER_SUBSCRIBE, 0, &call_events,
			reader, &reader->call);
	}
	if (!err) {
		err = wire_puller_request_encode(&buffer, &request);
	}
	if (!err) {
		err = grpc_call_send(reader->call, buffer_bytes(&buffer));
	}
	if (!err) {
		grpc_call_finish(reader->call, GRPC_OK, NULL);
	}
	buffer_fini(&buffer);
	return err;
}

static inline void reader_open(struct reader *reader, struct world *world, const char *after)
{
	*reader = (struct reader){0};
	assert_int_equal(reader_try(reader, world, after), OK);
}

static inline void reader_close(struct reader *reader)
{
	if (reader->client) {
		grpc_client_close(reader->client);
		world_run(reader->world, SECOND);
	}
	assert_int_equal(reader->closed, 1);
	for (size_t i = 0; i < reader->count; i++) {
		free(reader->got[i].marker);
	}
	free(reader->got);
}

static inline void assert_numbers(const struct reader *reader, unsigned from, unsigned to)
{
	assert_int_equal(reader->count - reader->heartbeats, to - from);
	for (unsigned n = from; n < to; n++) {
		assert_int_equal(reader->got[n - from].n, n);
	}
}

/* Whether the marker says that of the backend; NULL: it names none. */
static inline void assert_point(const char *marker, const char *backend, const char *expected)
{
	struct arena arena = {0};
	struct bytes event_id = {0};
	enum err err = puller_marker_parse(bytes_of(marker), bytes_of(backend), &arena, &event_id);
	assert_int_equal(err, expected ? OK : ERR_NOT_FOUND);
	if (expected) {
		assert_int_equal(event_id.size, strlen(expected));
		assert_memory_equal(event_id.data, expected, event_id.size);
	}
	arena_fini(&arena);
}

#endif
