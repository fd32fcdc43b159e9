/*
 * metrics: every figure that Streamer counts, its unit and its text in one list (metrics.def).
 * Owns: a set of counters, one per engine.
 * Threads: any thread may add and read; each counts in a share of its own, so that counting costs
 * no more than an addition; relaxed order, so a reading is a snapshot of each figure alone. Errors:
 * ERR_MEMORY when printing. Invariant: a counter only grows; a gauge is what was added less what
 * was taken, or what was set last.
 */
#ifndef METRICS_H
#define METRICS_H

#include "base.h"

enum metric {
#define COUNTER(name, unit, help) METRIC_##name,
#define GAUGE(name, unit, help) METRIC_##name,
#include "metrics.def"
#undef COUNTER
#undef GAUGE
	METRIC_COUNT
};

/* The first is for all threads that have none of their own: later ones, when many come and go. */
#define METRICS_SHARES 16
struct metrics {
	struct metrics_share {
		_Atomic int64_t figures[METRIC_COUNT];
		char padding[64]; /* no cache line belongs to two threads */
	} shares[METRICS_SHARES];
};

/* All three accept NULL metrics and do nothing (0). A figure that is set is not added to. */
void metrics_add(struct metrics *metrics, enum metric metric, int64_t amount);
void metrics_set(struct metrics *metrics, enum metric metric, int64_t figure);
int64_t metrics_get(const struct metrics *metrics, enum metric metric);

/* "streamer_events_received_total": the name that Prometheus sees. Static text. */
const char *metrics_name(enum metric metric);

/* Appends all figures in Prometheus' text format, version 0.0.4. */
enum err metrics_print(const struct metrics *metrics, struct buffer *buffer) MUST_CHECK;

#endif
