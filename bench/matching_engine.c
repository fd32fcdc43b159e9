/*
 * The engine as a worker has it: match, subs and sixteen streams, over which subscriptions are
 * spread evenly. All limits that the bench sets stand here.
 */
#include "matching_make.h"
#include "matching_priv.h"
#include "measure.h"

#include <string.h>
#include <time.h>

#define CLOCK_LOOKS 1000
#define SWEEP_PER_TURN 64 /* as a worker */

/* ---- limits ---------------------------------------------------------------------------------- */

const struct match_limits matching_match_limits = {
	.source_bytes = 1048576,
	.depth = 250,
	.nodes = 1000000,
	.macros = 16,
	.literal = 1048576,
	.regex_bytes = 262144,
	.memory_bytes = 1048576,
	.failures = UINT32_MAX, /* nobody is there to be told */
	.residuals = UINT32_MAX,
	.subscription_bytes = SIZE_MAX,
	.cost = UINT64_MAX,
	.steps = 1000000,
};

static const struct subs_limits subs_limits = {.id_bytes_max = 1048576,
	.per_stream_max = SIZE_MAX,
	.per_database_max = SIZE_MAX,
	.total_max = SIZE_MAX,
	.bytes_max = SIZE_MAX,
	.residuals_per_stream_max = SIZE_MAX};

/* ---- time ------------------------------------------------------------------------------------ */

static int64_t processor_ns(void)
{
	struct timespec now = {0};
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void matching_engine_steady(struct matching_engine *engine)
{
	engine->steady_ns = processor_ns();
}

static int64_t least_look_ns(void)
{
	int64_t least = INT64_MAX;
	for (int i = 0; i < CLOCK_LOOKS; i++) {
		int64_t start_ns = measure_now_ns();
		int64_t took_ns = measure_now_ns() - start_ns;
		least = took_ns < least ? took_ns : least;
	}
	return least;
}

static int64_t took(struct matching_engine *engine, int64_t start_ns)
{
	int64_t took_ns = measure_now_ns() - start_ns - engine->clock_ns;
	if (took_ns > engine->longest_ns) {
		int64_t worked_ns = processor_ns() - engine->steady_ns;
		int64_t pause_ns = took_ns < worked_ns ? took_ns : worked_ns;
		engine->longest_ns = pause_ns > engine->longest_ns ? pause_ns : engine->longest_ns;
	}
	return took_ns > 0 ? took_ns : 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

static enum err open_stream(struct matching_engine *engine, struct matching_stream *stream)
{
	if (engine->copies_ids) {
		stream->send = mem_calloc(1, MATCHING_SEND_BYTES);
		if (!stream->send) {
			return ERR_MEMORY;
		}
	}
	return subs_stream_new(engine->subs, stream, &stream->subs);
}

enum err matching_engine_open(struct matching_engine *engine, uint64_t seed, bool copies_ids)
{
	*engine = (struct matching_engine){.copies_ids = copies_ids, .clock_ns = least_look_ns()};
	struct metrics *metrics = &engine->metrics;
	enum err err = match_new(&matching_match_limits, seed, NULL, metrics, &engine->match);
	if (err == OK) {
		err = subs_new(&subs_limits, seed, engine->match, metrics, &engine->subs);
	}
	for (size_t i = 0; err == OK && i < MATCHING_STREAMS; i++) {
		err = open_stream(engine, &engine->streams[i]);
	}
	if (err != OK) {
		matching_engine_close(engine);
	}
	return err;
}

void matching_engine_close(struct matching_engine *engine)
{
	if (engine->subs) {
		for (size_t i = 0; i < MATCHING_STREAMS; i++) {
			subs_stream_free(engine->subs, engine->streams[i].subs);
			engine->streams[i].subs = NULL;
		}
		bool has_more = true;
		while (has_more) {
			matching_engine_steady(engine);
			int64_t start_ns = measure_now_ns();
			has_more = subs_sweep(engine->subs, SWEEP_PER_TURN);
			(void)took(engine, start_ns);
		}
	}
	subs_free(engine->subs);
	match_free(engine->match);
	for (size_t i = 0; i < MATCHING_STREAMS; i++) {
		mem_free(engine->streams[i].send);
		engine->streams[i].send = NULL;
	}
	mem_free(engine->listed);
	engine->subs = NULL;
	engine->match = NULL;
	engine->listed = NULL;
}

/* ---- subscriptions --------------------------------------------------------------------------- */

static struct subs_stream *stream_of(const struct matching_engine *engine, uint64_t index)
{
	return engine->streams[making_mix(index, 0) % MATCHING_STREAMS].subs;
}

/* Of a filter the text says what would be right too. */
static enum err refused(const struct model_answer *answer, struct err_info *info)
{
	if (answer->filter > 0) {
		return err_set(info, ERR_INVALID, 0, "filter %u: %.*s", (unsigned)answer->filter,
			BYTES_FORMAT(answer->text));
	}
	return err_set(info, ERR_INVALID, 0, "%.*s%s%.*s", BYTES_FORMAT(answer->text),
		answer->hint.size > 0 ? "; " : "", BYTES_FORMAT(answer->hint));
}

enum err matching_engine_subscribe(struct matching_engine *engine, uint64_t index,
	const struct model_subscription *subscription, struct err_info *info, int64_t *ret_ns)
{
	static const struct err_info no_refusal = {0};
	struct model_answer answer;
	int64_t start_ns = measure_now_ns();
	subs_add(engine->subs, stream_of(engine, index), subscription, &no_refusal, &answer);
	*ret_ns = took(engine, start_ns);
	return answer.refusal == MODEL_ACCEPTED ? OK : refused(&answer, info);
}

void matching_engine_unsubscribe(
	struct matching_engine *engine, uint64_t index, struct bytes id, int64_t *ret_ns)
{
	int64_t start_ns = measure_now_ns();
	enum err err = subs_remove(engine->subs, stream_of(engine, index), id);
	*ret_ns = took(engine, start_ns);
	check(err == OK);
}

/* ---- events ---------------------------------------------------------------------------------- */

static enum err list_run(struct matching_engine *engine, uint32_t event, const struct subs_run *run)
{
	if (engine->listed_count == engine->listed_capacity) {
		size_t capacity = engine->listed_capacity > 0 ? engine->listed_capacity * 2 : 1024;
		struct matching_listed *listed =
			mem_realloc(engine->listed, capacity * sizeof(*listed));
		if (!listed) {
			return ERR_MEMORY;
		}
		engine->listed = listed;
		engine->listed_capacity = capacity;
	}
	engine->listed[engine->listed_count++] = (struct matching_listed){event, *run};
	return OK;
}

static void copy_run(const struct subs_run *run)
{
	struct matching_stream *stream = run->handle;
	const struct bytes ids = subs_run_ids(run);
	if (stream->used + ids.size > MATCHING_SEND_BYTES) {
		stream->used = 0;
	}
	if (ids.size <= MATCHING_SEND_BYTES) {
		memcpy(stream->send + stream->used, ids.data, ids.size);
		stream->used += ids.size;
	}
}

static enum err list_hit(struct matching_engine *engine, const struct match_hit *hit)
{
	struct subs_run run;
	const struct subs_holder *holder = subs_next_run(hit->query, NULL, &run);
	enum err err = OK;
	for (; err == OK && holder; holder = subs_next_run(hit->query, holder, &run)) {
		err = list_run(engine, hit->event, &run);
		if (engine->copies_ids) {
			copy_run(&run);
		}
	}
	return err;
}

enum err matching_engine_match(
	struct matching_engine *engine, struct event *const *events, size_t count, int64_t *ret_ns)
{
	const struct match_hit *hits = NULL;
	size_t hits_count = 0;
	engine->listed_count = 0;
	matching_engine_steady(engine);
	int64_t start_ns = measure_now_ns();
	enum err err = match_events(engine->match, events, count, &hits, &hits_count);
	for (size_t i = 0; err == OK && i < hits_count; i++) {
		if (hits_count - i > MATCHING_HITS_AHEAD) {
			subs_prefetch(hits[i + MATCHING_HITS_AHEAD].query);
		}
		err = list_hit(engine, &hits[i]);
	}
	*ret_ns = took(engine, start_ns);
	return err;
}
