/* The engine: what src/node does, with sim_run in the place of threads. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the log of a life ----------------------------------------------------------------------- */

const struct life *world_life(const struct world *world)
{
	return &world->lives[world->lives_count - 1];
}

static void note_event(struct world *world, const struct event *event)
{
	struct life *life = &world->lives[world->lives_count - 1];
	if (life->count == life->capacity) {
		life->capacity = life->capacity * 2 + 64;
		life->events = realloc(life->events, life->capacity * sizeof(*life->events));
		assert_non_null(life->events);
	}
	uint64_t number = event->is_break ? NO_CHANGE : source_number(event->change.event_id);
	life->events[life->count++] = (struct logged){number, sim_now_us(world->sim)};
	if (event->is_history_only) {
		assert_true(number < life->begun); /* else who is at the head would miss it */
		life->old_until = number + 1;
	}
}

uint64_t life_after(const struct life *life, uint64_t sequence)
{
	assert_true(sequence <= life->count);
	for (uint64_t i = sequence; i > 0; i--) {
		if (life->events[i - 1].number != NO_CHANGE) {
			return life->events[i - 1].number + 1;
		}
	}
	return 0;
}

uint64_t life_until(const struct life *life, uint64_t sequence)
{
	assert_true(sequence <= life->count);
	if (sequence > 0 && life->events[sequence - 1].number != NO_CHANGE) {
		return life->events[sequence - 1].number + 1;
	}
	for (uint64_t i = sequence; i < life->count; i++) {
		if (life->events[i].number != NO_CHANGE) {
			return life->events[i].number;
		}
	}
	return NO_CHANGE;
}

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
	note_event(world, event);
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
		.retention_us = 3600 * SECOND,
		.history = {.events = HISTORY_EVENTS,
			.bytes = SIZE_MAX / 2,
			.age_us = HISTORY_AGE_US},
	};
}

static struct ingest_legacy legacy_of(const struct world *world)
{
	return world->state ? state_legacy(world->state) : (struct ingest_legacy){0};
}

static void open_worker(struct world *world, size_t i)
{
	struct engine_worker *worker = &world->workers[i];
	const struct ingest_legacy left = legacy_of(world);
	const struct worker_options options = {
		.number = (uint32_t)i,
		.ring_events = world->options.ring_events,
		.json_depth_max = 100,
		.stream = world->options.stream,
		.history = world->options.history,
		.recovers = left.marker.size > 0,
		.beginning = left.position,
		.is_at_beginning = left.is_at_marker,
		.resume_wait_us = world->options.resume_wait_us,
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
			.lease_ms = world->options.lease_ms,
			.epoch = world_life(world)->epoch,
			.log = &world->log,
			.metrics = &world->metrics},
		.interest = world->interest,
		.routed = on_worker_routed,
		.ctx = world,
		.log = &world->log,
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
		.epoch = world_life(world)->epoch,
		.keeps_markers = world->state != NULL,
		.legacy = legacy_of(world),
		.json_depth_max = 100,
		.message_bytes_max = 64 << 20,
		.dead_us = 90 * SECOND,
		.backoff_min_us = SECOND,
		.backoff_max_us = 30 * SECOND,
		.retention_us = world->options.retention_us,
		.log = &world->log,
		.metrics = &world->metrics,
	};
	const struct ingest_sink sink = {.push = push_to_workers, .ctx = world};
	assert_int_equal(ingest_new(world->loop, &options, &sink, &world->ingest), OK);
	if (world->state) {
		state_start(world->state, world->ingest);
	}
	assert_int_equal(ingest_start(world->ingest), OK);
}

static uint64_t oldest_of_all(void *ctx)
{
	const struct world *world = ctx;
	uint64_t oldest = UINT64_MAX;
	for (size_t i = 0; i < world->options.workers; i++) {
		uint64_t of = worker_oldest(world->workers[i].worker);
		oldest = of < oldest ? of : oldest;
	}
	return oldest;
}

static void on_saved(void *ctx)
{
	(void)ctx;
}

static void open_state(struct world *world)
{
	const struct state_options options = {.folder = world->folder,
		.oldest = oldest_of_all,
		.saved = on_saved,
		.ctx = world,
		.log = &world->log,
		.metrics = &world->metrics};
	assert_int_equal(state_open(world->loop, &options, NULL, &world->state), OK);
}

/* In memory, where the machine has that: it is written once for each second of virtual time. */
static void make_folder(struct world *world)
{
	const char *place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	(void)snprintf(world->folder, sizeof(world->folder), "%s/scenario-XXXXXX", place);
	assert_non_null(mkdtemp(world->folder));
}

void world_forget(struct world *world)
{
	static const char *const files[] = {"state", "state.new", "lock"};
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[96];
		(void)snprintf(path, sizeof(path), "%s/%s", world->folder, files[i]);
		(void)unlink(path);
	}
}

static void note_legacy(const struct world *world, struct life *life)
{
	const struct ingest_legacy left = legacy_of(world);
	struct model_position position;
	life->inherits = left.marker.size > 0;
	life->is_at_left = left.is_at_marker;
	if (model_position_read(left.position, &position) != OK) {
		return;
	}
	for (const struct life *by = world->lives; by < life; by++) {
		if (by->epoch == position.epoch) {
			life->left_by = by;
			life->left_at = position.sequence;
		}
	}
}

void world_start(struct world *world)
{
	assert_true(world->lives_count < LIVES_MAX);
	struct life *life = &world->lives[world->lives_count++];
	life->epoch = test_random_next(&world->random);
	for (size_t i = 0; i + 1 < world->lives_count; i++) {
		uint64_t count = life_after(&world->lives[i], world->lives[i].count);
		life->begun = count > life->begun ? count : life->begun;
	}
	world->next_worker = 0;
	world->workers_closed = 0;
	world->held = false;
	world->is_stopping = false;
	world->ingest_stopped = false;
	world->is_draining = false;
	world->sequence = 0;
	assert_int_equal(sim_loop_new(world->sim, &world->loop), OK);
	assert_int_equal(loop_waker_new(world->loop, on_routed, world, &world->routed_waker), OK);
	assert_int_equal(interest_new(test_random_next(&world->random), &world->interest), OK);
	if (world->options.has_state) {
		open_state(world);
		note_legacy(world, life);
	}
	for (size_t i = 0; i < world->options.workers; i++) {
		open_worker(world, i);
	}
	assert_int_equal(loop_listen(world->loop, ENGINE_ADDRESS, on_accepted, world,
				 &world->listener, NULL),
		OK);
	open_ingest(world);
}

static void note_oldest(struct world *world)
{
	struct life *life = &world->lives[world->lives_count - 1];
	for (size_t i = 0; i < world->options.workers && world->state; i++) {
		uint64_t oldest = worker_oldest(world->workers[i].worker);
		life->oldest_left = oldest > life->oldest_left ? oldest : life->oldest_left;
	}
}

void world_bury(struct world *world)
{
	assert_true(world_has_stopped(world));
	note_oldest(world);
	state_close(world->state, true);
	world->state = NULL;
	ingest_free(world->ingest);
	for (size_t i = 0; i < world->options.workers; i++) {
		loop_timer_free(world->workers[i].drain_timer);
		worker_free(world->workers[i].worker);
		loop_free(world->workers[i].loop);
	}
	loop_waker_free(world->routed_waker);
	loop_free(world->loop);
	interest_free(world->interest);
	world->loop = NULL;
}

/* What it does when its connections are gone, nobody sees. */
void world_kill(struct world *world, bool arrives)
{
	while (world->state && state_is_busy(world->state)) {
		sim_run(world->sim, sim_now_us(world->sim) + 1);
	}
	note_oldest(world);
	state_close(world->state, false);
	world->state = NULL;
	sim_kill(world->loop, arrives);
	for (size_t i = 0; i < world->options.workers; i++) {
		world_stall(world, i, false);
		sim_kill(world->workers[i].loop, arrives);
	}
	if (!world->is_stopping) {
		world_stop(world);
	}
	while (!world_has_stopped(world)) {
		sim_run(world->sim, sim_now_us(world->sim) + MS);
	}
	world_bury(world);
}

struct world *world_open(const struct engine_options *options)
{
	static const uint32_t delays_us[] = {0, 300, 5000};
	static const uint32_t chunks[] = {0, 100, 20000};
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	world->options = *options;
	world->log =
		(struct log){.fd = getenv("TEST_TRACE") ? STDERR_FILENO : -1, .least = LOG_DEBUG};
	world->random = options->seed > 0 ? (struct test_random){options->seed}
					  : test_random_start("scenario");
	world->options.seed = world->random.state;
	const struct sim_options sim = {
		.seed = test_random_next(&world->random),
		.delay_us_max = delays_us[test_random_below(&world->random, 3)],
		.chunk_bytes_max = chunks[test_random_below(&world->random, 3)],
		.pipe_bytes = 65536,
	};
	assert_int_equal(sim_new(&sim, &world->sim), OK);
	if (options->has_state) {
		make_folder(world);
	}
	source_open(world);
	world_start(world);
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
	world_bury(world);
	source_close(world);
	sim_free(world->sim);
	if (world->options.has_state) {
		world_forget(world);
		assert_int_equal(rmdir(world->folder), 0);
	}
	for (size_t i = 0; i < world->lives_count; i++) {
		free(world->lives[i].events);
	}
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
	return text[0] == 'm' ? strtoull(text + 1, NULL, 10) : 0;
}

/* Changes that all workers have routed: in this life, or by what another has left. */
static uint64_t count_routed(const struct world *world)
{
	return life_after(world_life(world), world_routed(world));
}

static void check_always(const struct world *world)
{
	if (world->lives_count == 1 && world->source.lost_until == 0) {
		assert_true(world_marker(world) <= count_routed(world) ||
			world_marker(world) <= world->source.resumed_at);
	}
	assert_true(world_routed(world) <= world->sequence);
	assert_true(life_after(world_life(world), world->sequence) <= world->source.count);
	for (size_t i = 0; i < world->options.workers; i++) {
		assert_true(world->sequence - worker_routed(world->workers[i].worker) <=
			world->options.ring_events);
	}
}

void world_stall(struct world *world, size_t worker, bool stalled)
{
	world->workers[worker].is_stalled = stalled;
	world->stalled_us = sim_now_us(world->sim);
	sim_stall(world->workers[worker].loop, stalled);
}

static void note_stalls(struct world *world)
{
	for (size_t i = 0; i < world->options.workers; i++) {
		if (world->workers[i].is_stalled) {
			world->stalled_us = sim_now_us(world->sim);
		}
	}
}

void world_run(struct world *world, int64_t us)
{
	int64_t until_us = sim_now_us(world->sim) + us;
	while (sim_now_us(world->sim) < until_us) {
		int64_t step_us = 1 + (int64_t)test_random_below(&world->random, (uint64_t)us);
		int64_t to_us = sim_now_us(world->sim) + step_us;
		sim_run(world->sim, to_us < until_us ? to_us : until_us);
		if (world->loop) {
			check_always(world);
			note_stalls(world);
		}
	}
}

void world_settle(struct world *world)
{
	for (int i = 0; i < 600 && count_routed(world) < world->source.count; i++) {
		world_run(world, 100 * MS);
	}
	assert_int_equal(count_routed(world), world->source.count);
	world_run(world, 2 * SECOND);
}
