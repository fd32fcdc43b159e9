/*
 * An ingest on a bench, in virtual time: a sink with as much room as the test says, a record of the
 * states, and a Puller on a loop of its own.
 */
#ifndef TEST_INGEST_RIG_H
#define TEST_INGEST_RIG_H

#include "fake_puller.h"
#include "ingest.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SECOND_US INT64_C(1000000)
#define RIG_EVENTS_MAX 4096
#define RIG_STATES_MAX 256
#define RIG_BREAKS_MAX 64

struct rig {
	struct sim *sim;
	struct loop *loop;
	struct test_random random;
	struct metrics metrics;
	struct ingest_options options;
	struct ingest *ingest;
	unsigned stopped;

	/* the sink */
	size_t room;      /* events that it takes */
	enum err failure; /* what it says instead */
	bool stop_in_push, stop_in_changed;
	int64_t changed_stop_us; /* -1: it was not stopped there */
	bool is_forgetful;       /* keeps no event; the test sets events_count back */
	struct event *events[RIG_EVENTS_MAX];
	size_t events_count;
	size_t breaks[RIG_BREAKS_MAX]; /* how many events came before it */
	size_t breaks_count;
	uint64_t sequence;
	enum ingest_state states[RIG_STATES_MAX];
	int64_t states_us[RIG_STATES_MAX];
	size_t states_count;

	struct fake_puller puller;
	char address[64];
};

/* ---- the sink -------------------------------------------------------------------------------- */

static inline void rig_stopped(void *ctx)
{
	struct rig *rig = ctx;
	assert_true(loop_now_us(rig->loop) > rig->changed_stop_us); /* in a later turn */
	rig->stopped++;
}

static inline void rig_stop(struct rig *rig)
{
	ingest_stop(rig->ingest, rig_stopped, rig);
	assert_int_equal(rig->stopped, 0);
	assert_int_equal(ingest_state(rig->ingest), INGEST_STOPPED);
}

static inline enum err rig_push(void *ctx, struct event *event)
{
	struct rig *rig = ctx;
	if (rig->stop_in_push) {
		rig->stop_in_push = false;
		rig_stop(rig);
	}
	if (rig->failure) {
		return rig->failure;
	}
	if (rig->room == 0) {
		return ERR_FULL;
	}
	rig->room--;
	assert_int_equal(event->sequence, ++rig->sequence);
	assert_int_equal(event->position.size, MODEL_POSITION_SIZE);
	if (event->is_break) {
		assert_true(rig->breaks_count < RIG_BREAKS_MAX);
		rig->breaks[rig->breaks_count++] = rig->events_count;
		return OK;
	}
	assert_true(rig->events_count < RIG_EVENTS_MAX);
	rig->events[rig->events_count++] = rig->is_forgetful ? NULL : event_ref(event);
	return OK;
}

static inline void rig_changed(void *ctx)
{
	struct rig *rig = ctx;
	assert_int_equal(rig->stopped, 0);
	assert_true(rig->states_count < RIG_STATES_MAX);
	rig->states[rig->states_count] = ingest_state(rig->ingest);
	rig->states_us[rig->states_count++] = loop_now_us(rig->loop);
	if (rig->stop_in_changed) {
		rig->stop_in_changed = false;
		rig->changed_stop_us = loop_now_us(rig->loop);
		rig_stop(rig);
	}
}

/* The event's document id, for tests that name changes by it. */
static inline bool rig_has(const struct rig *rig, size_t i, const char *id)
{
	return i < rig->events_count && bytes_equal(rig->events[i]->document_id, bytes_of(id));
}

/* ---- life ------------------------------------------------------------------------------------ */

static inline void rig_run(struct rig *rig, int64_t us)
{
	sim_run(rig->sim, sim_now_us(rig->sim) + us);
}

/* A living document of collection "users"; the change has its name, time and id from `number`. */
static inline struct model_change rig_change(unsigned number)
{
	static char texts[FAKE_LOG_MAX][2][160];
	char *document = texts[number % FAKE_LOG_MAX][0];
	char *id = texts[number % FAKE_LOG_MAX][1];
	(void)snprintf(document, 160,
		"{\"id\":\"d:%u\",\"database\":\"d\",\"collection\":\"users\",\"version\":1,"
		"\"updatedAt\":1,\"createdAt\":1,\"data\":{\"id\":\"u%u\"}}",
		number, number);
	(void)snprintf(id, 160, "1000-%u-aa", number);
	return (struct model_change){
		.event_id = bytes_of(id),
		.database = bytes_of("d"),
		.kind = MODEL_CHANGE_INSERT,
		.full_document = bytes_of(document),
		.cluster_seconds = 1000,
		.cluster_increment = number,
		.timestamp_ms = 1700000000000,
		.backend = bytes_of("one"),
	};
}

/* Set up, but nothing started; `source` PULLER finds a Puller that listens. */
static inline struct rig *rig_new(enum ingest_source source)
{
	struct rig *rig = calloc(1, sizeof *rig);
	assert_non_null(rig);
	rig->random = test_random_start("ingest");
	const struct sim_options sim = {.seed = test_random_next(&rig->random),
		.delay_us_max = 300,
		.chunk_bytes_max = 20000};
	assert_int_equal(sim_new(&sim, &rig->sim), OK);
	assert_int_equal(sim_loop_new(rig->sim, &rig->loop), OK);
	assert_int_equal(sim_loop_new(rig->sim, &rig->puller.loop), OK);
	(void)snprintf(rig->address, sizeof rig->address, "localhost:9000");
	rig->puller.address = rig->address;
	rig->room = SIZE_MAX;
	rig->changed_stop_us = -1;
	rig->options = (struct ingest_options){
		.source = source,
		.address = source == INGEST_PUSH ? NULL : rig->address,
		.json_depth_max = 100,
		.message_bytes_max = 64 << 20,
		.line_bytes_max = 1 << 20,
		.dead_us = 90 * SECOND_US,
		.backoff_min_us = SECOND_US,
		.backoff_max_us = 30 * SECOND_US,
		.retention_us = 3600 * SECOND_US,
		.metrics = &rig->metrics,
	};
	if (source == INGEST_PULLER) {
		fake_listen(&rig->puller);
	}
	return rig;
}

static inline enum err rig_make(struct rig *rig)
{
	const struct ingest_sink sink = {rig_push, rig_changed, rig};
	return ingest_new(rig->loop, &rig->options, &sink, &rig->ingest);
}

static inline void rig_start(struct rig *rig)
{
	assert_int_equal(rig_make(rig), OK);
	assert_int_equal(ingest_start(rig->ingest), OK);
}

/* Stops it if the test has not, and frees all. */
static inline void rig_free(struct rig *rig)
{
	if (rig->ingest && ingest_state(rig->ingest) != INGEST_STOPPED) {
		rig_stop(rig);
	}
	if (rig->ingest) {
		rig_run(rig, SECOND_US);
		assert_int_equal(rig->stopped, 1);
		ingest_free(rig->ingest);
	}
	loop_listener_free(rig->puller.listener);
	loop_free(rig->loop);
	loop_free(rig->puller.loop);
	sim_free(rig->sim);
	assert_int_equal(rig->puller.conns_open, 0);
	for (size_t i = 0; i < rig->events_count; i++) {
		event_unref(rig->events[i]);
	}
	free(rig);
}

/* ---- what must be ---------------------------------------------------------------------------- */

/* The states since the start must be these. */
static inline void check_states(
	const struct rig *rig, const enum ingest_state *states, size_t count)
{
	assert_int_equal(rig->states_count, count);
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(
			ingest_state_name(rig->states[i]), ingest_state_name(states[i]));
	}
}

#define CHECK_STATES(rig, ...)                                                                     \
	check_states(rig, (const enum ingest_state[]){__VA_ARGS__},                                \
		sizeof((const enum ingest_state[]){__VA_ARGS__}) / sizeof(enum ingest_state))

static inline void fill_log(struct rig *rig, size_t count)
{
	while (rig->puller.log_count < count) {
		unsigned number = (unsigned)++rig->puller.log_count;
		rig->puller.log[number - 1] = rig_change(number);
	}
}

static inline void check_log(const struct rig *rig, size_t from, size_t to)
{
	assert_int_equal(rig->events_count, to - from);
	for (size_t i = from; i < to; i++) {
		char id[32];
		(void)snprintf(id, sizeof id, "u%zu", i + 1);
		assert_true(rig_has(rig, i - from, id));
	}
}

static inline int64_t figure(const struct rig *rig, enum metric metric)
{
	return metrics_get(&rig->metrics, metric);
}

#endif
