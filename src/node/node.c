/*
 * The roof: puts workers, ingest and the acceptor on their loops and threads, and takes them down
 * again.
 *
 * With one worker everything runs on one thread, the engine's. With more, ingest and the acceptor
 * have that thread, and each worker one of its own. A push engine's ingest runs on its caller's
 * thread instead.
 *
 * The end goes through stages: ingest stops; what it has handed over is routed; streams are
 * finished behind their queues and gateways have drain_ms to take them; then everything closes.
 */
#include "node_priv.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DRAIN_LOOK_US 5000

/* The public codes are the inside ones by another name. */
#define SAME(public, inside) _Static_assert((int)(public) == (int)(inside), #public)
SAME(STREAMER_OK, OK);
SAME(STREAMER_MEMORY, ERR_MEMORY);
SAME(STREAMER_INVALID, ERR_INVALID);
SAME(STREAMER_LIMIT, ERR_LIMIT);
SAME(STREAMER_FULL, ERR_FULL);
SAME(STREAMER_EMPTY, ERR_EMPTY);
SAME(STREAMER_EXISTS, ERR_EXISTS);
SAME(STREAMER_NOT_FOUND, ERR_NOT_FOUND);
SAME(STREAMER_UNSUPPORTED, ERR_UNSUPPORTED);
SAME(STREAMER_CORRUPT, ERR_CORRUPT);
SAME(STREAMER_IO, ERR_IO);
SAME(STREAMER_CLOSED, ERR_CLOSED);
SAME(STREAMER_CANCELLED, ERR_CANCELLED);
SAME(STREAMER_TIMEOUT, ERR_TIMEOUT);
SAME(STREAMER_UNAVAILABLE, ERR_UNAVAILABLE);
SAME(STREAMER_INTERNAL, ERR_INTERNAL);

const char *streamer_err_text(enum streamer_err err)
{
	return err_text((enum err)err);
}

const char *streamer_version(void)
{
	return STREAMER_VERSION_TEXT;
}

enum streamer_err node_failure(
	enum err err, const struct err_info *info, struct streamer_failure *failure)
{
	if (failure && err != OK) {
		(void)snprintf(failure->text, sizeof(failure->text), "%s",
			info && info->text[0] ? info->text : err_text(err));
	}
	return (enum streamer_err)err;
}

void node_signal(int fd)
{
	uint64_t one = 1;
	(void)!write(fd, &one, sizeof(one)); /* full means that it is readable already */
}

void node_clear(int fd)
{
	uint64_t count = 0;
	(void)!read(fd, &count, sizeof(count));
}

/* ---- events to workers, and back ------------------------------------------------------------- */

static uint64_t routed_by_all(const struct streamer *streamer)
{
	uint64_t routed = UINT64_MAX;
	for (size_t i = 0; i < streamer->workers_count; i++) {
		uint64_t worker = worker_routed(streamer->workers[i].worker);
		routed = worker < routed ? worker : routed;
	}
	return routed;
}

static bool have_room(const struct streamer *streamer)
{
	for (size_t i = 0; i < streamer->workers_count; i++) {
		if (worker_room(streamer->workers[i].worker) == 0) {
			return false;
		}
	}
	return true;
}

/* Ingest's sink. The second look is for a worker that made room before `held` was set, and told
 * nobody. */
static enum err push_to_workers(void *ctx, struct event *event)
{
	struct streamer *streamer = ctx;
	if (!have_room(streamer)) {
		atomic_store(&streamer->held, true);
		if (!have_room(streamer)) {
			return ERR_FULL;
		}
		atomic_store(&streamer->held, false);
	}
	for (size_t i = 0; i < streamer->workers_count; i++) {
		check(worker_push(streamer->workers[i].worker, event) == OK);
	}
	atomic_store_explicit(&streamer->sequence, event->sequence, memory_order_release);
	return OK;
}

static void on_source_changed(void *ctx)
{
	struct streamer *streamer = ctx;
	node_signal(streamer->fd);
}

/* A worker's thread: it has routed a batch. */
static void on_worker_routed(void *ctx)
{
	struct streamer *streamer = ctx;
	if (streamer->options.source != STREAMER_PUSH) {
		loop_waker_wake(streamer->routed_waker);
		return;
	}
	if (atomic_exchange(&streamer->held, false)) {
		node_signal(streamer->fd);
	}
	if (streamer->routed_waker) {
		loop_waker_wake(streamer->routed_waker);
	}
}

static void continue_closing(struct streamer *streamer);

/* The main loop: some worker has routed a batch. */
static void on_routed(void *ctx)
{
	struct streamer *streamer = ctx;
	if (streamer->options.source != STREAMER_PUSH) {
		ingest_routed(streamer->ingest, routed_by_all(streamer));
		if (atomic_exchange(&streamer->held, false)) {
			ingest_resume(streamer->ingest);
		}
	}
	if (streamer->options.source == STREAMER_NDJSON) {
		node_signal(streamer->fd); /* a file's end is near: somebody may wait for it */
	}
	continue_closing(streamer);
}

enum streamer_err streamer_push(struct streamer *streamer, const char *change, size_t size,
	struct streamer_failure *failure)
{
	struct err_info info = {0};
	if (streamer->options.source != STREAMER_PUSH) {
		(void)err_set(&info, ERR_UNSUPPORTED, 0,
			"this engine has a source of its own; streamer_push wants STREAMER_PUSH");
		return node_failure(ERR_UNSUPPORTED, &info, failure);
	}
	ingest_routed(streamer->ingest, routed_by_all(streamer));
	if (!atomic_load(&streamer->held)) {
		ingest_resume(streamer->ingest);
	}
	struct arena arena = {0};
	struct model_source_message message;
	uint64_t ordinal = ingest_sequence(streamer->ingest) + 1;
	enum err err = wire_change_line_parse((struct bytes){change, size}, ordinal,
		loop_wall_us(streamer->push_loop) / 1000, &arena, &message, &info);
	if (err == ERR_CORRUPT) {
		err = ERR_INVALID;
	} else if (err == OK && !message.has_change) {
		err = err_set(&info, ERR_INVALID, 0, "a heartbeat is no change: \"op\" is missing");
	}
	if (err == OK) {
		err = ingest_push(streamer->ingest, &message.change, &info);
	}
	arena_fini(&arena);
	return node_failure(err, &info, failure);
}

/* ---- what a caller may ask ------------------------------------------------------------------- */

const char *streamer_address(const struct streamer *streamer)
{
	return streamer->address;
}

int streamer_fd(const struct streamer *streamer)
{
	return streamer->fd;
}

static enum streamer_source_state source_state(enum ingest_state state)
{
	switch (state) {
	case INGEST_LIVE:
	case INGEST_HELD:
		return STREAMER_SOURCE_LIVE;
	case INGEST_ENDED:
		return STREAMER_SOURCE_ENDED;
	case INGEST_FAILED:
		return STREAMER_SOURCE_FAILED;
	case INGEST_IDLE:
	case INGEST_CONNECTING:
	case INGEST_WAITING:
	case INGEST_STOPPED:
	case INGEST_STATE_COUNT:
		break;
	}
	return STREAMER_SOURCE_AWAY;
}

void streamer_status(struct streamer *streamer, struct streamer_status *ret_status)
{
	node_clear(streamer->fd);
	bool push = streamer->options.source == STREAMER_PUSH;
	ret_status->source =
		push ? STREAMER_SOURCE_LIVE : source_state(ingest_state(streamer->ingest));
	ret_status->source_lag_ms = ingest_lag_ms(streamer->ingest);
	ret_status->events = atomic_load_explicit(&streamer->sequence, memory_order_acquire);
	ret_status->routed = routed_by_all(streamer);
}

size_t streamer_metrics(const struct streamer *streamer, char *text, size_t size)
{
	struct buffer buffer = {0};
	size_t length = 0;
	if (metrics_print(&streamer->metrics, &buffer) == OK) {
		length = buffer.size;
		size_t copied = length < size ? length : size - 1;
		if (size > 0) {
			memcpy(text, buffer.data, copied);
			text[copied] = '\0';
		}
	}
	buffer_fini(&buffer);
	return length;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void on_worker_closed_here(void *ctx)
{
	struct streamer *streamer = ctx;
	if (++streamer->workers_closed == streamer->workers_count) {
		streamer->stage = NODE_CLOSED;
		if (!streamer->state || !state_is_busy(streamer->state)) {
			loop_stop(streamer->loop);
		}
	}
}

/* A worker's loop: nothing of the worker is open any more. */
static void on_worker_closed(void *ctx)
{
	struct node_worker *worker = ctx;
	loop_timer_free(worker->drain_timer);
	worker->drain_timer = NULL;
	worker->closed = (struct loop_posted){.fn = on_worker_closed_here, .ctx = worker->streamer};
	check(loop_post_owned(worker->streamer->loop, &worker->closed) == OK);
	if (worker->owns_loop) {
		loop_stop(worker->loop);
	}
}

static void on_drain_look(void *ctx)
{
	struct node_worker *worker = ctx;
	if (worker_is_drained(worker->worker) ||
		loop_now_us(worker->loop) >= worker->drain_until_us) {
		worker_close(worker->worker, on_worker_closed, worker);
	} else {
		loop_timer_start(worker->drain_timer, DRAIN_LOOK_US);
	}
}

static void on_worker_drain(void *ctx)
{
	struct node_worker *worker = ctx;
	worker->drain_until_us = loop_now_us(worker->loop) +
		worker->streamer->options.limits[OPTION_drain_ms] * 1000;
	worker_drain(worker->worker);
	loop_timer_start(worker->drain_timer, DRAIN_LOOK_US);
}

static void continue_closing(struct streamer *streamer)
{
	uint64_t sequence = atomic_load_explicit(&streamer->sequence, memory_order_acquire);
	if (streamer->stage != NODE_ROUTING || routed_by_all(streamer) < sequence) {
		return;
	}
	streamer->stage = NODE_DRAINING;
	for (size_t i = 0; i < streamer->workers_count; i++) {
		struct node_worker *worker = &streamer->workers[i];
		worker->drain = (struct loop_posted){.fn = on_worker_drain, .ctx = worker};
		check(loop_post_owned(worker->loop, &worker->drain) == OK);
	}
}

static void on_ingest_stopped(void *ctx)
{
	struct streamer *streamer = ctx;
	streamer->stage = NODE_ROUTING;
	continue_closing(streamer);
}

static void on_close(void *ctx)
{
	struct streamer *streamer = ctx;
	streamer->stage = NODE_STOPPING;
	loop_listener_free(streamer->listener);
	streamer->listener = NULL;
	if (streamer->options.source == STREAMER_PUSH) {
		on_ingest_stopped(streamer);
	} else {
		ingest_stop(streamer->ingest, on_ingest_stopped, streamer);
	}
}

/* Never called: the loop that lends a push engine its clock does not run. */
static void on_push_stopped(void *ctx)
{
	(void)ctx;
}

static void free_worker(struct node_worker *worker)
{
	loop_timer_free(worker->drain_timer);
	worker_free(worker->worker);
	if (worker->owns_loop) {
		loop_free(worker->loop);
	}
}

static void free_streamer(struct streamer *streamer)
{
	state_close(streamer->state, streamer->stage == NODE_CLOSED);
	ingest_free(streamer->ingest);
	loop_listener_free(streamer->listener);
	for (size_t i = 0; i < streamer->workers_count; i++) {
		free_worker(&streamer->workers[i]);
	}
	loop_waker_free(streamer->routed_waker);
	loop_free(streamer->push_loop);
	loop_free(streamer->loop);
	interest_free(streamer->interest);
	mem_free(streamer->workers);
	if (streamer->fd >= 0) {
		(void)close(streamer->fd);
	}
	mem_free(streamer);
}

static void join_threads(struct streamer *streamer)
{
	for (size_t i = 0; i < streamer->workers_count; i++) {
		if (streamer->workers[i].has_thread) {
			check(pthread_join(streamer->workers[i].thread, NULL) == 0);
		}
	}
	if (streamer->has_thread) {
		check(pthread_join(streamer->thread, NULL) == 0);
	}
}

void streamer_close(struct streamer *streamer)
{
	if (!streamer) {
		return;
	}
	check(atomic_load(&streamer->streams_open) == 0);
	if (streamer->options.source == STREAMER_PUSH) {
		ingest_stop(streamer->ingest, on_push_stopped, streamer); /* we are its thread */
	}
	streamer->close = (struct loop_posted){.fn = on_close, .ctx = streamer};
	check(loop_post_owned(streamer->loop, &streamer->close) == OK);
	join_threads(streamer);
	free_streamer(streamer);
}

/* ---- the beginning --------------------------------------------------------------------------- */

static void on_accepted(void *ctx, int socket)
{
	struct streamer *streamer = ctx;
	struct node_worker *worker = &streamer->workers[streamer->next_worker];
	streamer->next_worker = (streamer->next_worker + 1) % streamer->workers_count;
	worker_adopt(worker->worker, socket);
}

static uint32_t limit(const struct streamer *streamer, enum option option)
{
	int64_t figure = streamer->options.limits[option];
	return figure > UINT32_MAX ? UINT32_MAX : (uint32_t)figure;
}

static struct grpc_limits grpc_limits(const struct streamer *streamer)
{
	const int64_t *limits = streamer->options.limits;
	return (struct grpc_limits){
		.header_bytes_max = limit(streamer, OPTION_listen_header_bytes_max),
		.unfinished_bytes_max = limit(streamer, OPTION_listen_unfinished_bytes_max),
		.control_frames_max = limit(streamer, OPTION_listen_control_frames_max),
		.resets_per_second = limit(streamer, OPTION_listen_resets_per_second),
		.ping_us = limits[OPTION_listen_ping_ms] * 1000,
		.ping_timeout_us = limits[OPTION_listen_ping_timeout_ms] * 1000,
		.idle_us = limits[OPTION_listen_idle_ms] * 1000,
		.linger_us = limits[OPTION_listen_linger_ms] * 1000,
	};
}

static struct match_limits match_limits(const struct streamer *streamer)
{
	const int64_t *limits = streamer->options.limits;
	return (struct match_limits){
		.source_bytes = limit(streamer, OPTION_expression_bytes_max),
		.depth = limit(streamer, OPTION_expression_depth_max),
		.nodes = limit(streamer, OPTION_expression_nodes_max),
		.macros = limit(streamer, OPTION_expression_macros_max),
		.literal = limit(streamer, OPTION_expression_literal_max),
		.regex_bytes = limit(streamer, OPTION_expression_regex_bytes_max),
		.memory_bytes = limit(streamer, OPTION_expression_memory_max),
		.failures = limit(streamer, OPTION_expression_failures_max),
		.residuals = limit(streamer, OPTION_residuals_max),
		.subscription_bytes = (size_t)limits[OPTION_subscription_bytes_max],
		.cost = (uint64_t)limits[OPTION_expression_cost_max],
		.steps = (uint64_t)limits[OPTION_expression_steps_max],
	};
}

/* A worker's thread. */
static enum model_source source_of_workers(void *ctx, int64_t *ret_lag_ms)
{
	const struct streamer *streamer = ctx;
	int64_t lag_ms = ingest_lag_ms(streamer->ingest);
	*ret_lag_ms = lag_ms > 0 ? lag_ms : 0;
	switch (ingest_state(streamer->ingest)) {
	case INGEST_LIVE:
	case INGEST_ENDED:
		return MODEL_SOURCE_LIVE;
	case INGEST_HELD:
		return MODEL_SOURCE_CATCHING_UP;
	case INGEST_IDLE:
	case INGEST_CONNECTING:
	case INGEST_WAITING:
	case INGEST_FAILED:
	case INGEST_STOPPED:
	case INGEST_STATE_COUNT:
		break;
	}
	return MODEL_SOURCE_AWAY;
}

/* What another life has left; borrowed from the state. */
static struct ingest_legacy legacy_of(const struct streamer *streamer)
{
	return streamer->state ? state_legacy(streamer->state) : (struct ingest_legacy){0};
}

static struct worker_options worker_options(struct streamer *streamer, uint32_t number)
{
	const int64_t *limits = streamer->options.limits;
	const struct ingest_legacy left = legacy_of(streamer);
	return (struct worker_options){
		.number = number,
		.ring_events = (size_t)limits[OPTION_ring_events],
		.json_depth_max = limit(streamer, OPTION_json_depth_max),
		.stream = streamer->stream_limits,
		.subs = {.id_bytes_max = limit(streamer, OPTION_subscription_id_bytes_max),
			.per_stream_max = (size_t)limits[OPTION_stream_subscriptions_max],
			.per_database_max = (size_t)limits[OPTION_database_subscriptions_max],
			.total_max = (size_t)limits[OPTION_subscriptions_max],
			.bytes_max = (size_t)limits[OPTION_subscriptions_bytes_max],
			.residuals_per_stream_max = (size_t)limits[OPTION_stream_residuals_max]},
		.match = match_limits(streamer),
		.history = {.events = (size_t)limits[OPTION_history_events],
			.bytes = (size_t)limits[OPTION_history_bytes],
			.age_us = limits[OPTION_history_ms] * 1000},
		.recovers = left.marker.size > 0,
		.beginning = left.position,
		.is_at_beginning = left.is_at_marker,
		.resume_wait_us = limits[OPTION_resume_wait_ms] * 1000,
		.source = source_of_workers,
		.remote = {.wire = streamer->wire,
			.message_bytes_max = limit(streamer, OPTION_listen_message_bytes_max),
			.delivery_bytes_max = limit(streamer, OPTION_delivery_bytes_max),
			.calls_max = limit(streamer, OPTION_streams_per_connection_max),
			.connections_max = limit(streamer, OPTION_connections_max),
			.lease_ms = limit(streamer, OPTION_lease_ms),
			.drain_ms = limit(streamer, OPTION_drain_ms),
			.epoch = streamer->epoch,
			.limits = grpc_limits(streamer),
			.log = &streamer->log,
			.metrics = &streamer->metrics},
		.interest = streamer->interest,
		.routed = on_worker_routed,
		.ctx = streamer,
		.log = &streamer->log,
		.metrics = &streamer->metrics,
	};
}

static void set_limits(struct streamer *streamer)
{
	const int64_t *limits = streamer->options.limits;
	streamer->wire = (struct wire_limits){.filters_max = limit(streamer, OPTION_filters_max),
		.filter_list_max = limit(streamer, OPTION_filter_list_max),
		.filter_depth_max = limit(streamer, OPTION_filter_depth_max)};
	streamer->stream_limits =
		(struct stream_limits){.hard_bytes = (size_t)limits[OPTION_queue_hard_bytes],
			.soft_bytes = (size_t)limits[OPTION_queue_soft_bytes],
			.soft_us = limits[OPTION_queue_soft_ms] * 1000};
}

static enum err make_workers(struct streamer *streamer)
{
	size_t count = (size_t)streamer->options.limits[OPTION_workers];
	count = count > 0 ? count : loop_parallelism();
	streamer->workers = mem_calloc(count, sizeof(*streamer->workers));
	if (!streamer->workers) {
		return ERR_MEMORY;
	}
	for (size_t i = 0; i < count; i++) {
		struct node_worker *worker = &streamer->workers[i];
		streamer->workers_count = i + 1;
		worker->streamer = streamer;
		worker->loop = streamer->loop;
		if (count > 1) {
			enum err err = loop_new(&worker->loop);
			if (err != OK) {
				return err;
			}
			worker->owns_loop = true;
		}
		const struct worker_options options = worker_options(streamer, (uint32_t)i);
		enum err err = worker_new(worker->loop, &options, &worker->worker);
		if (err == OK) {
			err = loop_timer_new(
				worker->loop, on_drain_look, worker, &worker->drain_timer);
		}
		if (err != OK) {
			return err;
		}
	}
	return OK;
}

static enum err make_ingest(struct streamer *streamer)
{
	const int64_t *limits = streamer->options.limits;
	static const enum ingest_source sources[] = {[STREAMER_PUSH] = INGEST_PUSH,
		[STREAMER_PULLER] = INGEST_PULLER,
		[STREAMER_NDJSON] = INGEST_NDJSON};
	const struct ingest_options options = {
		.source = sources[streamer->options.source],
		.address = streamer->options.source_address,
		.interest = streamer->interest,
		.epoch = streamer->epoch,
		.json_depth_max = limit(streamer, OPTION_json_depth_max),
		.message_bytes_max = limit(streamer, OPTION_puller_message_bytes_max),
		.line_bytes_max = limit(streamer, OPTION_puller_message_bytes_max),
		.ids_bytes_max = (size_t)limits[OPTION_document_ids_bytes],
		.dead_us = limits[OPTION_puller_dead_ms] * 1000,
		.backoff_min_us = limits[OPTION_puller_backoff_min_ms] * 1000,
		.backoff_max_us = limits[OPTION_puller_backoff_max_ms] * 1000,
		.retention_us = limits[OPTION_puller_retention_ms] * 1000,
		.keeps_markers = streamer->state != NULL,
		.trusts_json = streamer->options.trust_json,
		.legacy = legacy_of(streamer),
		.skip_bad = streamer->options.skip_bad,
		.log = &streamer->log,
		.metrics = &streamer->metrics,
	};
	const struct ingest_sink sink = {
		.push = push_to_workers, .changed = on_source_changed, .ctx = streamer};
	struct loop *loop = streamer->loop;
	if (streamer->options.source == STREAMER_PUSH) {
		enum err err = loop_new(&streamer->push_loop);
		if (err != OK) {
			return err;
		}
		loop = streamer->push_loop;
	}
	return ingest_new(loop, &options, &sink, &streamer->ingest);
}

static uint64_t oldest_of_all(void *ctx)
{
	const struct streamer *streamer = ctx;
	uint64_t oldest = UINT64_MAX;
	for (size_t i = 0; i < streamer->workers_count; i++) {
		uint64_t worker = worker_oldest(streamer->workers[i].worker);
		oldest = worker < oldest ? worker : oldest;
	}
	return oldest;
}

/* The end has waited for the write that was under way. */
static void on_saved(void *ctx)
{
	struct streamer *streamer = ctx;
	if (streamer->stage == NODE_CLOSED) {
		loop_stop(streamer->loop);
	}
}

static enum err open_state(struct streamer *streamer, struct err_info *info)
{
	const struct state_options options = {.folder = streamer->options.state_dir,
		.oldest = oldest_of_all,
		.saved = on_saved,
		.ctx = streamer,
		.log = &streamer->log,
		.metrics = &streamer->metrics};
	if (options.folder && streamer->options.source != STREAMER_PULLER) {
		return err_set(info, ERR_INVALID, 0,
			"state_dir is for a Puller, which can be asked to begin further back");
	}
	if (options.folder) {
		return state_open(streamer->loop, &options, info, &streamer->state);
	}
	if (streamer->options.source == STREAMER_PULLER) {
		log_write(&streamer->log, loop_wall_us(streamer->loop), LOG_INFO,
			"node: begins with what the Puller sends from now on; a state_dir "
			"would let it go on where another life has ended");
	}
	return OK;
}

static enum err make_listener(struct streamer *streamer, struct err_info *info)
{
	if (!streamer->options.listen_address) {
		return OK;
	}
	enum err err = loop_listen(streamer->loop, streamer->options.listen_address, on_accepted,
		streamer, &streamer->listener, info);
	if (err == OK) {
		(void)snprintf(streamer->address, sizeof(streamer->address), "%s",
			loop_listener_address(streamer->listener));
		log_write(&streamer->log, loop_wall_us(streamer->loop), LOG_INFO,
			"node: listening on %s, workers=%zu", streamer->address,
			streamer->workers_count);
	}
	return err;
}

static enum err make_parts(struct streamer *streamer, struct err_info *info)
{
	streamer->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (streamer->fd < 0) {
		return err_set(info, ERR_IO, 0, "no descriptor is left for the engine");
	}
	enum err err = loop_new(&streamer->loop);
	if (err == OK) {
		err = loop_waker_new(streamer->loop, on_routed, streamer, &streamer->routed_waker);
	}
	if (err == OK) {
		err = interest_new(loop_random(streamer->loop), &streamer->interest);
	}
	if (err == OK) {
		err = open_state(streamer, info);
	}
	if (err == OK) {
		streamer->epoch = loop_random(streamer->loop);
		err = make_workers(streamer);
	}
	if (err == OK) {
		err = make_ingest(streamer);
	}
	if (err == OK) {
		err = make_listener(streamer, info);
	}
	if (err == OK) {
		if (streamer->state) {
			state_start(streamer->state, streamer->ingest);
		}
		err = ingest_start(streamer->ingest);
	}
	return err;
}

/* On failure the threads that have started are stopped, so that everything can be freed. */
static enum err start_threads(struct streamer *streamer)
{
	bool ok = true;
	for (size_t i = 0; ok && i < streamer->workers_count; i++) {
		struct node_worker *worker = &streamer->workers[i];
		if (worker->owns_loop) {
			ok = node_thread_start(worker->loop, &worker->thread) == OK;
			worker->has_thread = ok;
		}
	}
	if (ok) {
		ok = node_thread_start(streamer->loop, &streamer->thread) == OK;
		streamer->has_thread = ok;
	}
	if (ok) {
		return OK;
	}
	for (size_t i = 0; i < streamer->workers_count; i++) {
		loop_stop(streamer->workers[i].loop);
	}
	join_threads(streamer);
	return ERR_IO;
}

enum streamer_err streamer_open(const struct streamer_options *options,
	struct streamer_failure *failure, struct streamer **ret_streamer)
{
	struct err_info info = {0};
	if (options->source != STREAMER_PUSH && !options->source_address) {
		(void)err_set(&info, ERR_INVALID, 0,
			"source_address is missing: \"host:port\" of the Puller, or the file's "
			"path");
		return node_failure(ERR_INVALID, &info, failure);
	}
	struct streamer *streamer = mem_calloc(1, sizeof(*streamer));
	if (!streamer) {
		return node_failure(ERR_MEMORY, NULL, failure);
	}
	streamer->options = *options;
	streamer->fd = -1;
	streamer->log = (struct log){
		.fd = options->log_fd, .least = options->log_debug ? LOG_DEBUG : LOG_INFO};
	set_limits(streamer);
	enum err err = make_parts(streamer, &info);
	if (err == OK) {
		err = start_threads(streamer);
	}
	if (err != OK) {
		free_streamer(streamer);
		return node_failure(err, &info, failure);
	}
	*ret_streamer = streamer;
	return STREAMER_OK;
}
