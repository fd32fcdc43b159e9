/* The engine: what src/node does, with sim_run in the place of threads. */
#include "support.h"

#include <stdlib.h>

/* ---- events to workers, and back ------------------------------------------------------------- */

uint64_t world_routed(const struct world *world)
{
	uint64_t routed = UINT64_MAX;
	for (size_t i = 0; i < world->options.workers; i++) {
		uint64_t by = worker_routed(world->workers[i].worker);
		routed = by < routed ? by : routed;
	}
	return routed;
}

static enum err push_to_workers(void *ctx, struct event *event)
{
	struct world *world = ctx;
	for (size_t i = 0; i < world->options.workers; i++) {
		if (worker_room(world->workers[i].worker) == 0) {
			world->held = true;
			return ERR_FULL;
		}
	}
	for (size_t i = 0; i < world->options.workers; i++) {
		assert_int_equal(worker_push(world->workers[i].worker, event), OK);
	}
	assert_int_equal(event->sequence, world->sequence + 1);
	world->sequence = event->sequence;
	return OK;
}

static void on_worker_routed(void *ctx)
{
	struct world *world = ctx;
	loop_waker_wake(world->routed_waker);
}

static void drain_when_routed(struct world *world);

static void on_routed(void *ctx)
{
	struct world *world = ctx;
	ingest_routed(world->ingest, world_routed(world));
	if (world->held) {
		world->held = false;
		ingest_resume(world->ingest);
	}
	drain_when_routed(world);
}

static void on_accepted(void *ctx, int socket)
{
	struct world *world = ctx;
	struct engine_worker *worker = &world->workers[world->next_worker];
	world->next_worker = (world->next_worker + 1) % world->options.workers;
	worker_adopt(worker->worker, socket);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void on_worker_closed(void *ctx)
{
	struct engine_worker *worker = ctx;
	worker->world->workers_closed++;
}

static void on_drain_look(void *ctx)
{
	struct engine_worker *worker = ctx;
	if (worker_is_drained(worker->worker) ||
		loop_now_us(worker->loop) >= worker->drain_until_us) {
		worker_close(worker->worker, on_worker_closed, worker);
	} else {
		loop_timer_start(worker->drain_timer, 5 * MS);
	}
}

static void on_drain(void *ctx)
{
	struct engine_worker *worker = ctx;
	worker->drain_until_us = loop_now_us(worker->loop) + worker->world->options.drain_us;
	worker_drain(worker->worker);
	loop_timer_start(worker->drain_timer, 5 * MS);
}

static void drain_when_routed(struct world *world)
{
	if (!world->ingest_stopped || world->is_draining || world_routed(world) < world->sequence) {
		return;
	}
	world->is_draining = true;
	for (size_t i = 0; i < world->options.workers; i++) {
		struct engine_worker *worker = &world->workers[i];
		worker->drain = (struct loop_posted){.fn = on_drain, .ctx = worker};
		assert_int_equal(loop_post_owned(worker->loop, &worker->drain), OK);
	}
}

static void on_ingest_stopped(void *ctx)
{
	struct world *world = ctx;
	world->ingest_stopped = true;
	drain_when_routed(world);
}

void world_stop(struct world *world)
{
	world->is_stopping = true;
	loop_listener_free(world->listener);
	world->listener = NULL;
	ingest_stop(world->ingest, on_ingest_stopped, world);
}

bool world_has_stopped(const struct world *world)
{
	return world->workers_closed == world->options.workers;
}

/* ---- the beginning --------------------------------------------------------------------------- */

struct engine_options engine_options(void)
{
	return (struct engine_options){
		.workers = 2,
		.source = INGEST_PULLER,
		.ring_events = 4096,
		.stream = {.hard_bytes = 64 << 20, .soft_bytes = 16 << 20, .soft_us = 5 * SECOND},
		.drain_us = 5 * SECOND,
	};
}

static void open_worker(struct world *world, size_t i)
{
	struct engine_worker *worker = &world->workers[i];
	const struct worker_options options = {
		.number = (uint32_t)i,
		.ring_events = world->options.ring_events,
		.json_depth_max = 100,
		.stream = world->options.stream,
		.history = {.events = 10000, .bytes = SIZE_MAX / 2, .age_us = INT64_MAX / 2},
		.subs = {.id_bytes_max = 100,
			.per_stream_max = 1000,
			.per_database_max = SIZE_MAX,
			.total_max = 1000,
			.bytes_max = SIZE_MAX,
			.residuals_per_stream_max = 1000},
		.match = {.subscription_bytes = SIZE_MAX},
		.remote = {.wire = {.filters_max = 10,
				   .filter_list_max = 10,
				   .filter_depth_max = 5},
			.message_bytes_max = 4 << 20,
			.delivery_bytes_max = 4 << 20,
			.calls_max = 10,
			.connections_max = 10,
			.metrics = &world->metrics},
		.interest = world->interest,
		.routed = on_worker_routed,
		.ctx = world,
		.metrics = &world->metrics,
	};
	worker->world = world;
	assert_int_equal(sim_loop_new(world->sim, &worker->loop), OK);
	assert_int_equal(worker_new(worker->loop, &options, &worker->worker), OK);
	assert_int_equal(
		loop_timer_new(worker->loop, on_drain_look, worker, &worker->drain_timer), OK);
}

static void open_ingest(struct world *world)
{
	const struct ingest_options options = {
		.source = world->options.source,
		.address = PULLER_ADDRESS,
		.interest = world->interest,
		.json_depth_max = 100,
		.message_bytes_max = 64 << 20,
		.dead_us = 90 * SECOND,
		.backoff_min_us = SECOND,
		.backoff_max_us = 30 * SECOND,
		.retention_us = 3600 * SECOND,
		.metrics = &world->metrics,
	};
	const struct ingest_sink sink = {.push = push_to_workers, .ctx = world};
	assert_int_equal(ingest_new(world->loop, &options, &sink, &world->ingest), OK);
	assert_int_equal(ingest_start(world->ingest), OK);
}

struct world *world_open(const struct engine_options *options)
{
	static const uint32_t delays_us[] = {0, 300, 5000};
	static const uint32_t chunks[] = {0, 100, 20000};
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	world->options = *options;
	world->random = test_random_start("scenario");
	const struct sim_options sim = {
		.seed = test_random_next(&world->random),
		.delay_us_max = delays_us[test_random_below(&world->random, 3)],
		.chunk_bytes_max = chunks[test_random_below(&world->random, 3)],
		.pipe_bytes = 65536,
	};
	assert_int_equal(sim_new(&sim, &world->sim), OK);
	assert_int_equal(sim_loop_new(world->sim, &world->loop), OK);
	assert_int_equal(loop_waker_new(world->loop, on_routed, world, &world->routed_waker), OK);
	assert_int_equal(interest_new(test_random_next(&world->random), &world->interest), OK);
	for (size_t i = 0; i < options->workers; i++) {
		open_worker(world, i);
	}
	source_open(world);
	assert_int_equal(loop_listen(world->loop, ENGINE_ADDRESS, on_accepted, world,
				 &world->listener, NULL),
		OK);
	open_ingest(world);
	return world;
}

void world_close(struct world *world)
{
	for (size_t i = 0; i < world->gateways_count; i++) {
		gateway_free(&world->gateways[i]);
	}
	if (!world->is_stopping) {
		world_stop(world);
	}
	for (int i = 0; i < 100 && !world_has_stopped(world); i++) {
		world_run(world, SECOND);
	}
	assert_true(world_has_stopped(world));
	ingest_free(world->ingest);
	for (size_t i = 0; i < world->options.workers; i++) {
		loop_timer_free(world->workers[i].drain_timer);
		worker_free(world->workers[i].worker);
		loop_free(world->workers[i].loop);
	}
	loop_waker_free(world->routed_waker);
	source_close(world);
	loop_free(world->loop);
	interest_free(world->interest);
	sim_free(world->sim);
	assert_int_equal(world_figure(world, METRIC_streams), 0);
	assert_int_equal(world_figure(world, METRIC_queued_bytes), 0);
	assert_int_equal(world_figure(world, METRIC_subscriptions_active), 0);
	assert_int_equal(world_figure(world, METRIC_queries_active), 0);
	free(world);
}

/* ---- time ------------------------------------------------------------------------------------ */

int64_t world_figure(const struct world *world, enum metric metric)
{
	return metrics_get(&world->metrics, metric);
}

uint64_t world_marker(const struct world *world)
{
	char text[32] = {0};
	struct bytes marker = ingest_marker(world->ingest);
	assert_true(marker.size < sizeof(text));
	memcpy(text, marker.data ? marker.data : "", marker.size);
	return marker.size > 0 ? strtoull(text + 1, NULL, 10) : 0;
}

/* Each change is an event, so that counts of both compare. */
static void check_always(const struct world *world)
{
	assert_true(world_marker(world) <= world_routed(world));
	assert_true(world_routed(world) <= world->sequence);
	assert_true(world->sequence <= world->source.count);
	for (size_t i = 0; i < world->options.workers; i++) {
		assert_true(world->sequence - worker_routed(world->workers[i].worker) <=
			world->options.ring_events);
	}
}

void world_run(struct world *world, int64_t us)
{
	int64_t until_us = sim_now_us(world->sim) + us;
	while (sim_now_us(world->sim) < until_us) {
		int64_t step_us = 1 + (int64_t)test_random_below(&world->random, (uint64_t)us);
		int64_t to_us = sim_now_us(world->sim) + step_us;
		sim_run(world->sim, to_us < until_us ? to_us : until_us);
		check_always(world);
	}
}

void world_settle(struct world *world)
{
	for (int i = 0; i < 600 && world_routed(world) < world->source.count; i++) {
		world_run(world, 100 * MS);
	}
	assert_int_equal(world_routed(world), world->source.count);
	world_run(world, 2 * SECOND);
}
