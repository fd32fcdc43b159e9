/*
 * An engine and a consumer's end of it, through streamer.h alone. on_both_kinds runs a case on a
 * local stream and on one over gRPC, with one worker and with three.
 */
#ifndef TEST_NODE_RIG_H
#define TEST_NODE_RIG_H

#include "streamer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define WAIT_MS 20000

struct end {
	struct streamer *streamer;
	struct streamer_stream *stream;
};

typedef void (*case_fn)(struct end *end);

static inline void set(struct streamer_options *options, const char *name, const char *value)
{
	struct streamer_failure failure = {0};
	assert_int_equal(streamer_options_set(options, name, value, &failure), STREAMER_OK);
}

static inline struct streamer *open_engine(const struct streamer_options *options)
{
	struct streamer_failure failure = {0};
	struct streamer *streamer = NULL;
	enum streamer_err err = streamer_open(options, &failure, &streamer);
	if (err != STREAMER_OK) {
		fail_msg("streamer_open: %s", failure.text);
	}
	return streamer;
}

static inline struct streamer_options quiet_options(void)
{
	struct streamer_options options;
	streamer_options_init(&options);
	options.log_fd = -1;
	return options;
}

static inline void next(struct streamer_stream *stream, struct streamer_item *ret_item)
{
	assert_int_equal(streamer_wait(stream, WAIT_MS, ret_item), STREAMER_OK);
}

/* Each name is followed by its value; NULL ends them. */
static inline void on_both_kinds_with(case_fn run, const char *const *settings)
{
	static const char *const workers[] = {"1", "3"};
	for (int i = 0; i < 4; i++) {
		struct streamer_options options = quiet_options();
		options.listen_address = "localhost:0";
		set(&options, "workers", workers[i / 2]);
		for (const char *const *setting = settings; *setting; setting += 2) {
			set(&options, setting[0], setting[1]);
		}
		struct end end = {.streamer = open_engine(&options)};
		if (i % 2 == 0) {
			assert_int_equal(
				streamer_stream_open(end.streamer, &end.stream), STREAMER_OK);
		} else {
			struct streamer_item item;
			assert_int_equal(
				streamer_connect(streamer_address(end.streamer), NULL, &end.stream),
				STREAMER_OK);
			next(end.stream, &item);
			assert_int_equal(item.kind, STREAMER_STATE);
		}
		run(&end);
		streamer_stream_close(end.stream);
		streamer_close(end.streamer);
	}
}

static inline void on_both_kinds(case_fn run)
{
	static const char *const none[] = {NULL};
	on_both_kinds_with(run, none);
}

static inline void push(struct streamer *streamer, const char *change)
{
	struct streamer_failure failure = {0};
	enum streamer_err err = streamer_push(streamer, change, strlen(change), &failure);
	if (err != STREAMER_OK) {
		fail_msg("streamer_push: %s: %s", streamer_err_text(err), failure.text);
	}
}

static inline void push_user(struct streamer *streamer, const char *op, const char *id, int age)
{
	char change[256];
	(void)snprintf(change, sizeof(change),
		"{\"op\":\"%s\",\"database\":\"d\",\"collection\":\"users\",\"id\":\"%s\","
		"\"data\":{\"age\":%d}}",
		op, id, age);
	push(streamer, change);
}

static inline struct streamer_subscription users(
	const char *id, const struct streamer_filter *filters, size_t count)
{
	return (struct streamer_subscription){.id = id,
		.database = "d",
		.collection = "users",
		.filters = filters,
		.filters_count = count};
}

static inline void assert_bytes(struct streamer_bytes seen, const char *wanted)
{
	assert_int_equal(seen.size, strlen(wanted));
	assert_memory_equal(seen.data, wanted, seen.size);
}

static inline bool contains(struct streamer_bytes text, const char *part)
{
	return text.size > 0 && memmem(text.data, text.size, part, strlen(part)) != NULL;
}

/* Subscribes and takes the answer, which is the next item. */
static inline void subscribe(struct end *end, const struct streamer_subscription *subscription)
{
	struct streamer_item item;
	assert_int_equal(streamer_subscribe(end->stream, subscription, NULL, NULL), STREAMER_OK);
	next(end->stream, &item);
	assert_int_equal(item.kind, STREAMER_ANSWER);
	assert_true(item.accepted);
	assert_bytes(item.subscription_id, subscription->id);
}

#endif
