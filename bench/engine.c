/* Events are made by the batch just before they are matched, and each of the two is timed by
 * itself. */
#include "engine.h"
#include "event.h"
#include "match.h"
#include "measure.h"
#include "value.h"
#include "wire.h"
#include "workload.h"

#define SEED 1
#define DEPTH_MAX 100

struct engine {
	struct workload workload;
	struct match *match;
	struct arena scratch;
	struct event *events[MATCH_BATCH_MAX];
	size_t count; /* of them */
	int64_t read_ns, match_ns;
	uint64_t hits;
};

/* The queries here are filters: nothing of this is met. */
static const struct match_limits limits = {
	.regex_bytes = 4096, .residuals = UINT32_MAX, .subscription_bytes = SIZE_MAX};

static enum err add_query(
	struct engine *engine, enum engine_kind kind, uint32_t index, struct err_info *info)
{
	char key[WORKLOAD_KEY_SIZE + 1];
	workload_key(&engine->workload.shape, 0, index, key);
	struct value text = value_string(bytes_of(key));
	struct value rank = value_int(1000 + (int64_t)index);
	const struct model_filter equality = {
		.field = bytes_of("key"), .op = bytes_of("=="), .value = &text};
	const struct model_filter range = {
		.field = bytes_of("rank"), .op = bytes_of(">"), .value = &rank};
	const struct model_subscription subscription = {.database = bytes_of("default"),
		.collection = bytes_of(WORKLOAD_COLLECTION),
		.filters = kind == ENGINE_RANGE ? &range : &equality,
		.filters_count = 1};
	struct match_query *query = NULL; /* match_free frees it */
	struct match_refusal refusal = {0};
	enum err err = match_query_get(engine->match, &subscription, &refusal, &query);
	return err == ERR_INVALID ? err_set(info, err, 0, "%s", refusal.text) : err;
}

static enum err make_event(struct engine *engine, uint64_t number)
{
	struct model_change change = {.event_id = bytes_of("1767225600-1-0123456789abcdef"),
		.database = bytes_of("default"),
		.store_collection = bytes_of("documents"),
		.backend = bytes_of("default_mongo"),
		.cluster_seconds = 1767225600,
		.cluster_increment = 1,
		.timestamp_ms = 1767225600000};
	const struct wire_event_options options = {
		.json_depth_max = DEPTH_MAX, .read = true, .sequence = number + 1};
	struct wire_document_head head;
	arena_reset(&engine->scratch);
	enum err err = workload_next(&engine->workload, number, 0, &change);
	if (err == OK) {
		err = wire_document_head_scan(change.full_document, &engine->scratch, &head);
	}
	if (err == OK) {
		err = wire_event_make(&change, MODEL_INSERT, &head, &options, NULL,
			&engine->events[engine->count]);
	}
	engine->count += err == OK;
	return err;
}

static enum err run_batch(struct engine *engine, uint64_t number, size_t count)
{
	const struct match_hit *hits = NULL;
	size_t hits_count = 0;
	enum err err = OK;
	int64_t start_ns = measure_now_ns();
	for (size_t i = 0; err == OK && i < count; i++) {
		err = make_event(engine, number + i);
	}
	int64_t made_ns = measure_now_ns();
	if (err == OK) {
		err = match_events(
			engine->match, engine->events, engine->count, &hits, &hits_count);
	}
	engine->match_ns += measure_now_ns() - made_ns;
	engine->read_ns += made_ns - start_ns;
	engine->hits += hits_count;
	while (engine->count > 0) {
		event_unref(engine->events[--engine->count]);
	}
	return err;
}

static enum err run_all(struct engine *engine, enum engine_kind kind, struct err_info *info)
{
	const struct workload_shape *shape = &engine->workload.shape;
	enum err err = match_new(&limits, SEED, NULL, NULL, &engine->match);
	for (uint32_t i = 0; err == OK && i < shape->subscriptions; i++) {
		err = add_query(engine, kind, i, info);
	}
	/* the last change of a phase has a key that nobody has here: it is left out */
	uint64_t end = shape->warm_up + shape->events - 1;
	uint64_t expected = 0;
	for (uint64_t number = 0; err == OK && number < end;) {
		if (number == shape->warm_up) {
			engine->read_ns = 0;
			engine->match_ns = 0;
			engine->hits = 0;
			expected = 0;
		}
		uint64_t until = number < shape->warm_up ? shape->warm_up : end;
		uint64_t left = until - number;
		size_t count = left < MATCH_BATCH_MAX ? (size_t)left : MATCH_BATCH_MAX;
		err = run_batch(engine, number, count);
		number += count;
		expected += kind == ENGINE_EQUALITY ? count : 0;
	}
	if (err == OK && engine->hits != expected) {
		err = err_set(info, ERR_CORRUPT, 0, "%llu matches, not %llu",
			(unsigned long long)engine->hits, (unsigned long long)expected);
	}
	return err;
}

enum err engine_run(enum engine_kind kind, uint32_t subscriptions, uint64_t events,
	struct err_info *info, struct engine_result *ret_result)
{
	const struct workload_shape shape = {.fan_out = 1,
		.subscriptions = subscriptions,
		.gateways = 1,
		.warm_up = events / 10,
		.events = events};
	struct engine engine = {0};
	struct err_info cause = {0};
	workload_init(&engine.workload, &shape);
	enum err err = run_all(&engine, kind, &cause);
	if (err == OK) {
		double count = (double)events - 1;
		*ret_result = (struct engine_result){.read_ns = (double)engine.read_ns / count,
			.match_ns = (double)engine.match_ns / count};
	} else {
		(void)err_set(info, err, 0, "%s", cause.text[0] ? cause.text : err_text(err));
	}
	match_free(engine.match);
	arena_fini(&engine.scratch);
	return err;
}
