/*
 * A client session and a server session of grpc joined in memory: bytes cross in random pieces,
 * each in a block of its own, so that a sanitizer sees reads past the end. Every side of a call
 * counts what it is told and checks that messages come in order, unharmed, and that the end comes
 * once and last.
 */
#ifndef TEST_GRPC_PAIR_H
#define TEST_GRPC_PAIR_H

#include "grpc_side.h"

static inline enum grpc_status pair_accept(void *ctx, struct grpc_call *call, struct bytes method)
{
	struct pair *pair = ctx;
	if (!bytes_equal(method, bytes_of("/test.Test/Call"))) {
		return GRPC_UNIMPLEMENTED;
	}
	if (pair->refuse) {
		return pair->refuse;
	}
	struct side *side = side_new(pair);
	*side = pair->model;
	side->pair = pair;
	side->call = call;
	side->is_server = true;
	grpc_call_set_ctx(call, &side_events, side);
	side_push(side);
	return GRPC_OK;
}

static inline void pair_ring(void *ctx)
{
	struct pair *pair = ctx;
	pair->rings++;
}

static inline struct pair *pair_new(
	const struct grpc_options *client, const struct grpc_options *server)
{
	struct pair *pair = calloc(1, sizeof *pair);
	assert_non_null(pair);
	pair->random = test_random_start("grpc");
	pair->chunk_max = 1 + test_random_below(&pair->random, 40000);
	pair->now_us = 1000000;
	assert_int_equal(grpc_session_new_client(client, "test:1", &pair->client), OK);
	assert_int_equal(grpc_session_new_server(server, pair_accept, pair, &pair->server), OK);
	(void)grpc_session_tick(pair->client, pair->now_us);
	(void)grpc_session_tick(pair->server, pair->now_us);
	grpc_session_on_output(pair->client, pair_ring, pair);
	grpc_session_on_output(pair->server, pair_ring, pair);
	return pair;
}

static inline void pair_free(struct pair *pair)
{
	grpc_session_free(pair->client);
	grpc_session_free(pair->server);
	for (unsigned i = 0; i < pair->side_count; i++) {
		assert_int_equal(pair->sides[i].ended, 1);
	}
	free(pair);
}

static inline struct side *pair_call(struct pair *pair, int64_t timeout_us)
{
	struct side *side = side_new(pair);
	side->pair = pair;
	int64_t deadline_us = timeout_us ? pair->now_us + timeout_us : INT64_MAX;
	assert_int_equal(grpc_session_call(pair->client, "/test.Test/Call", deadline_us,
				 &side_events, side, &side->call),
		OK);
	return side;
}

static inline enum err pair_input(struct pair *pair, struct grpc_session *to, struct bytes bytes)
{
	char *copy = malloc(bytes.size);
	assert_non_null(copy);
	memcpy(copy, bytes.data, bytes.size);
	enum err err = grpc_session_input(to, (struct bytes){copy, bytes.size}, pair->now_us);
	free(copy);
	return err;
}

/* One piece one way; false if there was none. */
static inline bool pair_move(struct pair *pair, bool to_server)
{
	struct grpc_session *from = to_server ? pair->client : pair->server;
	struct grpc_session *to = to_server ? pair->server : pair->client;
	struct bytes bytes = {0};
	if (grpc_session_output(from, &bytes) || bytes.size == 0) {
		return false;
	}
	size_t size = 1 + test_random_below(&pair->random, pair->chunk_max);
	bytes.size = size < bytes.size ? size : bytes.size;
	struct buffer *record = to_server ? pair->record : pair->record_back;
	if (record) {
		assert_int_equal(buffer_append(record, bytes), OK);
	}
	enum err err = pair_input(pair, to, bytes);
	grpc_session_sent(from, bytes.size);
	if (to_server) {
		pair->server_err = err;
	} else {
		pair->client_err = err;
	}
	return true;
}

/* Until both are silent, sides that are paused apart. */
static inline void pair_run(struct pair *pair)
{
	bool any = true;
	while (any) {
		any = pair_move(pair, true);
		if (!pair->client_is_deaf) {
			any = pair_move(pair, false) || any;
		}
	}
}

/* The same, and paused sides are let go on, one at a time, until all is done. */
static inline void pair_run_pauses(struct pair *pair)
{
	bool any = true;
	while (any) {
		pair_run(pair);
		any = false;
		for (unsigned i = 0; i < pair->side_count; i++) {
			struct side *side = &pair->sides[i];
			if (side->is_paused && side->call) {
				side->is_paused = false;
				grpc_call_pause(side->call, false);
				any = true;
			}
		}
	}
}

static inline void pair_tick(struct pair *pair, int64_t us)
{
	pair->now_us += us;
	(void)grpc_session_tick(pair->client, pair->now_us);
	(void)grpc_session_tick(pair->server, pair->now_us);
}

/* The server's side of the newest call. */
static inline struct side *pair_server_side(struct pair *pair)
{
	for (unsigned i = pair->side_count; i > 0; i--) {
		if (pair->sides[i - 1].is_server) {
			return &pair->sides[i - 1];
		}
	}
	return NULL;
}

#endif
