/*
 * A measurement from its start to its end: load, match, churn, then verify what is still there, and
 * sweep it away. Changes are new ones all the time and events are made by the batch just before
 * they are matched, each of the two timed by itself: so the index is as cold and the documents as
 * warm as they are behind ingest. Lines are made and looked at outside of what is timed, and
 * nothing of the measurement's own is allocated between the two weighings.
 */
#include "matching.h"
#include "matching_make.h"
#include "matching_priv.h"
#include "measure.h"
#include "wire.h"

#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#define CHUNK 128 /* changes, read and then matched: what they take stays in the second cache */
#define STEADY_CALLS 8
#define CHURNED_MAX 100000 /* subscriptions that leave and come back */
#define BLOCK_MAX 4096     /* of them, at a time */
#define PROGRESS_CALLS 8192

struct run {
	const struct matching_source *source;
	const struct matching_options *options;
	struct err_info *info;
	struct matching_engine engine;
	struct arena arena;   /* of the chunk's changes */
	struct arena scratch; /* of making one event */
	struct model_change *changes;
	size_t changes_count;
	struct event *events[CHUNK];
	size_t events_count;
	struct event *const *batch; /* of them, the one at hand */
	size_t batch_count;
	struct matching_oracle *oracle;
	uint64_t sequence;
	int64_t match_ns, read_ns;
	uint64_t matches;
};

static void show(const struct run *run, const char *what, uint64_t done, uint64_t of)
{
	if (run->options->progress) {
		run->options->progress(run->options->ctx, what, done, of);
	}
}

/* ---- loading --------------------------------------------------------------------------------- */

static enum err name_place(const struct run *run, uint64_t index, enum err err)
{
	struct err_info cause = *run->info;
	char place[200] = "";
	if (run->source->place) {
		run->source->place(run->source->ctx, index, place, sizeof(place));
	} else {
		(void)snprintf(place, sizeof(place), "subscription %llu of %s",
			(unsigned long long)index, run->source->name);
	}
	return err_set(run->info, err, 0, "%s: %s", place, cause.text);
}

static enum err subscribe(struct run *run, uint64_t index, int64_t *ret_ns)
{
	struct model_subscription subscription;
	enum err err = run->source->subscription(run->source->ctx, index, run->info, &subscription);
	if (err == OK) {
		err = matching_engine_subscribe(
			&run->engine, index, &subscription, run->info, ret_ns);
		err = err == OK ? OK : name_place(run, index, err);
	}
	return err;
}

static enum err load(struct run *run)
{
	uint64_t count = run->source->subscriptions;
	enum err err = OK;
	for (uint64_t i = 0; err == OK && i < count; i++) {
		int64_t took_ns = 0;
		if (i % STEADY_CALLS == 0) {
			matching_engine_steady(&run->engine);
		}
		if (i % PROGRESS_CALLS == 0) {
			show(run, "subscribing", i, count);
		}
		err = subscribe(run, i, &took_ns);
	}
	return err;
}

/* ---- memory ---------------------------------------------------------------------------------- */

struct weight {
	double allocated, resident;
};

static struct weight weigh(void)
{
	struct mallinfo2 heap = mallinfo2();
	struct weight weight = {.allocated = (double)heap.uordblks + (double)heap.hblkhd};
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long size = 0;
	unsigned long resident = 0;
	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes numbers */
	if (file && fscanf(file, "%lu %lu", &size, &resident) == 2) {
		weight.resident = (double)resident * (double)sysconf(_SC_PAGESIZE);
	}
	if (file) {
		(void)fclose(file);
	}
	return weight;
}

static enum err load_and_weigh(struct run *run, struct matching_result *result)
{
	(void)malloc_trim(0);
	struct weight before = weigh();
	enum err err = load(run);
	struct weight after = weigh();
	double count = (double)run->source->subscriptions;
	result->allocated_bytes = (after.allocated - before.allocated) / count;
	result->resident_bytes = (after.resident - before.resident) / count;
	result->queries = (uint64_t)metrics_get(&run->engine.metrics, METRIC_queries_active);
	return err;
}

/* ---- changes --------------------------------------------------------------------------------- */

static enum err make_changes(struct run *run, uint64_t first, size_t count)
{
	enum err err = OK;
	arena_reset(&run->arena);
	run->changes_count = 0;
	for (size_t i = 0; err == OK && i < count; i++) {
		struct matching_line line;
		bool is_change = false;
		err = run->source->change(run->source->ctx, first + i, run->info, &line);
		if (err == OK) {
			err = matching_change_parse(&line, &run->arena, run->info,
				&run->changes[run->changes_count], &is_change);
		}
		run->changes_count += err == OK && is_change;
	}
	return err;
}

/* ---- matching -------------------------------------------------------------------------------- */

static enum err make_events(struct run *run)
{
	enum err err = OK;
	uint64_t skipped = run->options->trusts_json ? ~match_members(run->engine.match) : 0;
	int64_t start_ns = measure_now_ns();
	for (size_t i = 0; err == OK && i < run->changes_count; i++) {
		struct event **place = &run->events[i];
		err = matching_event_make(
			&run->changes[i], ++run->sequence, skipped, &run->scratch, place);
		if (err == OK) {
			run->events_count++;
			err = matching_event_identify(run->engine.match, place);
		}
	}
	run->read_ns += measure_now_ns() - start_ns - run->engine.clock_ns;
	return err;
}

static void drop_events(struct run *run)
{
	while (run->events_count > 0) {
		event_unref(run->events[--run->events_count]);
	}
}

static enum err match_batch(struct run *run)
{
	struct matching_engine *engine = &run->engine;
	int64_t match_ns = 0;
	enum err err = matching_engine_match(engine, run->batch, run->batch_count, &match_ns);
	run->match_ns += match_ns;
	for (size_t i = 0; err == OK && i < engine->listed_count; i++) {
		run->matches += engine->listed[i].run.count;
	}
	return err;
}

/* One batch behind the other, as a worker finds them in its ring. */
static enum err match_chunk(struct run *run, enum err (*take)(struct run *run))
{
	enum err err = OK;
	for (size_t at = 0; err == OK && at < run->events_count; at += MATCH_BATCH_MAX) {
		size_t left = run->events_count - at;
		run->batch = &run->events[at];
		run->batch_count = left < MATCH_BATCH_MAX ? left : MATCH_BATCH_MAX;
		err = match_batch(run);
		if (err == OK && take) {
			err = take(run);
		}
	}
	return err;
}

static size_t least(uint64_t left, size_t most)
{
	return left < most ? (size_t)left : most;
}

/* Matches changes from `first` on; `take`, if there is one, sees each batch and what was listed. */
static enum err match_changes(struct run *run, const char *what, uint64_t first, uint64_t count,
	enum err (*take)(struct run *run))
{
	enum err err = OK;
	for (uint64_t done = 0; err == OK && done < count; done += CHUNK) {
		show(run, what, done, count);
		err = make_changes(run, first + done, least(count - done, CHUNK));
		err = err == OK ? make_events(run) : err;
		err = err == OK ? match_chunk(run, take) : err;
		drop_events(run);
	}
	return err;
}

static enum err match_all(struct run *run, struct matching_result *result)
{
	uint64_t count = run->source->measured;
	/* a warm-up, of changes behind those that count */
	enum err err = match_changes(run, "warming up", count, least(count, CHUNK), NULL);
	const struct metrics *metrics = &run->engine.metrics;
	int64_t found = metrics_get(metrics, METRIC_match_found);
	int64_t before = metrics_get(metrics, METRIC_match_candidates);
	run->match_ns = 0;
	run->read_ns = 0;
	run->matches = 0;
	if (err == OK) {
		err = match_changes(run, "matching", 0, count, NULL);
	}
	found = metrics_get(metrics, METRIC_match_found) - found;
	int64_t after = metrics_get(metrics, METRIC_match_candidates);
	double events = (double)count;
	result->match_ns = (double)run->match_ns / events;
	result->read_and_match_ns = (double)(run->read_ns + run->match_ns) / events;
	result->matches = (double)run->matches / events;
	result->found = (double)found / events;
	result->candidates = (double)(after - before) / events;
	return err;
}

/* ---- churn ----------------------------------------------------------------------------------- */

/* Subscriptions at random, each once: `first`, and on from there in steps of `stride`. */
struct block {
	uint64_t first, stride;
	size_t count;
};

static bool share_a_factor(uint64_t a, uint64_t b)
{
	while (b > 0) {
		uint64_t rest = a % b;
		a = b;
		b = rest;
	}
	return a != 1;
}

static struct block draw_block(const struct run *run, uint64_t number)
{
	uint64_t all = run->source->subscriptions;
	uint64_t random = making_mix(run->options->seed, number);
	struct block block = {.first = random % all,
		.stride = making_mix(random, number) % all + 1,
		.count = all / 4 < BLOCK_MAX ? (size_t)(all / 4) + 1 : BLOCK_MAX};
	while (share_a_factor(block.stride, all)) {
		block.stride++;
	}
	return block;
}

static uint64_t member_of(const struct run *run, const struct block *block, size_t i)
{
	return (block->first + i * block->stride) % run->source->subscriptions;
}

static enum err leave_block(struct run *run, const struct block *block, int64_t *total_ns)
{
	struct model_subscription subscription;
	enum err err = OK;
	for (size_t i = 0; err == OK && i < block->count; i++) {
		uint64_t index = member_of(run, block, i);
		int64_t took_ns = 0;
		if (i % STEADY_CALLS == 0) {
			matching_engine_steady(&run->engine);
		}
		err = run->source->subscription(run->source->ctx, index, run->info, &subscription);
		if (err == OK) {
			matching_engine_unsubscribe(&run->engine, index, subscription.id, &took_ns);
			*total_ns += took_ns;
		}
	}
	return err;
}

static enum err rejoin_block(struct run *run, const struct block *block, int64_t *total_ns)
{
	enum err err = OK;
	for (size_t i = 0; err == OK && i < block->count; i++) {
		int64_t took_ns = 0;
		if (i % STEADY_CALLS == 0) {
			matching_engine_steady(&run->engine);
		}
		err = subscribe(run, member_of(run, block, i), &took_ns);
		*total_ns += took_ns;
	}
	return err;
}

static enum err churn(struct run *run, struct matching_result *result)
{
	uint64_t all = run->source->subscriptions;
	uint64_t wanted = all < CHURNED_MAX ? all : CHURNED_MAX;
	uint64_t churned = 0;
	int64_t leave_ns = 0;
	int64_t rejoin_ns = 0;
	enum err err = OK;
	for (uint64_t number = 0; err == OK && churned < wanted; number++) {
		const struct block block = draw_block(run, number);
		show(run, "churning", churned, wanted);
		err = leave_block(run, &block, &leave_ns);
		err = err == OK ? rejoin_block(run, &block, &rejoin_ns) : err;
		churned += block.count;
	}
	result->unsubscribe_ns = (double)leave_ns / (double)churned;
	result->subscribe_ns = (double)rejoin_ns / (double)churned;
	return err;
}

/* ---- results, one by one --------------------------------------------------------------------- */

static enum err tell_listed(const struct run *run, const struct matching_listed *listed)
{
	const struct event *event = run->batch[listed->event];
	struct bytes ids = subs_run_ids(&listed->run);
	struct bytes id;
	enum err err = OK;
	while (err == OK && wire_id_next(&ids, &id)) {
		err = run->options->matched(run->options->ctx, event->change.event_id, id);
	}
	return err;
}

static enum err tell_batch(struct run *run)
{
	const struct matching_options *options = run->options;
	const struct matching_engine *engine = &run->engine;
	enum err err = OK;
	for (size_t i = 0; err == OK && options->matched && i < engine->listed_count; i++) {
		err = tell_listed(run, &engine->listed[i]);
	}
	if (err == OK && run->oracle) {
		err = matching_oracle_compare(
			run->oracle, run->batch, run->batch_count, engine, options->complain);
	}
	return err;
}

static enum err tell_all(struct run *run, struct matching_result *result)
{
	const struct matching_options *options = run->options;
	enum err err = OK;
	if (!options->verifies && !options->matched) {
		return OK;
	}
	if (options->verifies) {
		err = matching_oracle_open(run->source, options->seed, run->info, &run->oracle);
	}
	if (err == OK) {
		err = match_changes(run, options->verifies ? "verifying" : "matching", 0,
			run->source->events, tell_batch);
	}
	if (err == OK && run->oracle) {
		matching_oracle_counts(run->oracle, &result->compared, &result->different);
	}
	matching_oracle_free(run->oracle);
	return err;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum err run_all(struct run *run, struct matching_result *result)
{
	run->changes = mem_calloc(CHUNK, sizeof(*run->changes));
	if (!run->changes) {
		return ERR_MEMORY;
	}
	if (run->options->is_busy) {
		measure_use_processor_time();
	}
	enum err err =
		matching_engine_open(&run->engine, run->options->seed, run->source->copies_ids);
	err = err == OK ? load_and_weigh(run, result) : err;
	err = err == OK ? match_all(run, result) : err;
	err = err == OK ? churn(run, result) : err;
	err = err == OK ? tell_all(run, result) : err;
	show(run, "sweeping", 0, run->source->subscriptions);
	matching_engine_close(&run->engine);
	if (err == OK && run->source->count_parts) {
		err = run->source->count_parts(run->source->ctx, &result->parts);
	}
	result->longest_pause_us = (double)run->engine.longest_ns / 1e3;
	return err;
}

enum err matching_run(const struct matching_source *source, const struct matching_options *options,
	struct err_info *info, struct matching_result *ret_result)
{
	struct err_info cause = {0};
	struct run run = {.source = source, .options = options, .info = &cause};
	struct matching_result result = {
		.subscriptions = source->subscriptions, .events = source->events};
	enum err err = run_all(&run, &result);
	arena_fini(&run.arena);
	arena_fini(&run.scratch);
	mem_free(run.changes);
	if (err != OK) {
		return err_set(info, err, 0, "%s", cause.text[0] ? cause.text : err_text(err));
	}
	*ret_result = result;
	return OK;
}
