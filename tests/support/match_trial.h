/*
 * A match and, beside each query, the program that its whole text is: every event is given to both,
 * and they must agree. A query that several texts share is judged by each of them.
 */
#ifndef TEST_MATCH_TRIAL_H
#define TEST_MATCH_TRIAL_H

#include "match_judge.h"
#include "match_limits.h"
#include "match_rig.h"

#include <stdlib.h>

/* What a query carries in its slot. */
struct trial_mark {
	unsigned holders;
	uint64_t hit; /* the look that it was a hit of last */
};

struct trial_query {
	char *text;
	struct match_query *query;
	struct cel_program *program;
};

struct trial {
	struct match *match;
	struct metrics metrics;
	struct judge judge;
	struct trial_query *queries;
	size_t count, capacity;
	uint64_t look;
	uint64_t pairs; /* of a query and an event that were compared */
	uint64_t hits;
};

static inline void trial_open(struct trial *trial, uint64_t seed)
{
	*trial = (struct trial){0};
	judge_open(&trial->judge);
	assert_int_equal(
		match_new(&test_match_limits, seed, NULL, &trial->metrics, &trial->match), OK);
}

/* False: neither accepts the text. It is an expression about the collection c of d. */
static inline bool trial_try(struct trial *trial, const char *text)
{
	const struct model_subscription subscription = {.database = bytes_of("d"),
		.collection = bytes_of("c"),
		.expression = bytes_of(text)};
	struct match_refusal refusal = {0};
	struct trial_query made = {.program = judge_compile(&trial->judge, text)};
	enum err err = match_query_get(trial->match, &subscription, &refusal, &made.query);
	if ((err == OK) != (made.program != NULL)) {
		fail_msg("%s: %s", text, refusal.text);
	}
	if (err != OK) {
		return false;
	}
	if (trial->count == trial->capacity) {
		trial->capacity = trial->capacity > 0 ? trial->capacity * 2 : 64;
		trial->queries = realloc(trial->queries, trial->capacity * sizeof(*trial->queries));
		assert_non_null(trial->queries);
	}
	struct trial_mark **mark = (struct trial_mark **)match_query_slot(made.query);
	if (!*mark) {
		*mark = calloc(1, sizeof(**mark));
		assert_non_null(*mark);
	}
	(*mark)->holders++;
	made.text = strdup(text);
	assert_non_null(made.text);
	trial->queries[trial->count++] = made;
	return true;
}

static inline void trial_add(struct trial *trial, const char *text)
{
	if (!trial_try(trial, text)) {
		fail_msg("%s is refused", text);
	}
}

/* The last one takes its place. */
static inline void trial_remove(struct trial *trial, size_t place)
{
	struct trial_query *gone = &trial->queries[place];
	struct trial_mark *mark = *match_query_slot(gone->query);
	if (--mark->holders == 0) {
		free(mark);
		*match_query_slot(gone->query) = NULL;
	}
	match_query_put(trial->match, gone->query);
	cel_program_unref(gone->program);
	free(gone->text);
	*gone = trial->queries[--trial->count];
}

static inline void trial_close(struct trial *trial)
{
	while (trial->count > 0) {
		trial_remove(trial, trial->count / 2);
	}
	assert_int_equal(metrics_get(&trial->metrics, METRIC_queries_active), 0);
	assert_int_equal(metrics_get(&trial->metrics, METRIC_residuals_active), 0);
	assert_false(match_wants(trial->match, bytes_of("d"), bytes_of("c")));
	match_free(trial->match);
	judge_close(&trial->judge);
	free(trial->queries);
}

static inline void trial_fail(
	const struct trial_query *query, const struct event *event, bool holds)
{
	struct buffer text = {0};
	(void)!(event->document ? json_print(&text, event->document) : OK);
	fail_msg("%.300s is %s over %.*s, _id \"%.*s\"", query->text, holds ? "missed" : "found",
		BYTES_FORMAT(buffer_bytes(&text)), BYTES_FORMAT(event->document_id));
}

/* Each query once at most, and exactly those that the judge finds; events have documents. */
static inline void trial_events(struct trial *trial, struct event *const *events, size_t count)
{
	const struct match_hit *hits = NULL;
	size_t hits_count = 0;
	assert_int_equal(match_events(trial->match, events, count, &hits, &hits_count), OK);
	size_t at = 0;
	for (size_t i = 0; i < count; i++) {
		trial->look++;
		for (; at < hits_count && hits[at].event == i; at++) {
			struct trial_mark *mark = *match_query_slot(hits[at].query);
			assert_true(mark->hit != trial->look);
			mark->hit = trial->look;
		}
		for (size_t k = 0; k < trial->count; k++) {
			const struct trial_query *query = &trial->queries[k];
			const struct trial_mark *mark = *match_query_slot(query->query);
			bool holds = judge_holds(&trial->judge, query->program, events[i]);
			if (holds != (mark->hit == trial->look)) {
				trial_fail(query, events[i], holds);
			}
			trial->hits += holds;
		}
	}
	assert_int_equal(at, hits_count);
	trial->pairs += trial->count * count;
}

static inline void trial_document(struct trial *trial, const char *document)
{
	struct event *event = rig_event(MODEL_UPDATE, "d", "c", "u1", document);
	trial_events(trial, &event, 1);
	event_unref(event);
}

/* How many queries are evaluated for the document. */
static inline int64_t trial_candidates(struct trial *trial, const char *document)
{
	int64_t before = metrics_get(&trial->metrics, METRIC_match_candidates);
	trial_document(trial, document);
	return metrics_get(&trial->metrics, METRIC_match_candidates) - before;
}

#endif
