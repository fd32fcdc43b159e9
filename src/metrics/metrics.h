/*
 * metrics: every figure that Streamer counts, its unit and its text in one list (metrics.def).
 * Owns: a set of counters, one per engine.
 * Threads: any thread may add and read; relaxed atomics, so a reading is a snapshot of each figure
 * alone. Errors: ERR_MEMORY when printing. Invariant: a counter only grows; a gauge is what was
 * added less what was taken.
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

struct metrics {
	_Atomic int64_t figures[METRIC_COUNT];
};

/* All three accept NULL metrics and do nothing (0). */
void metrics_add(struct metrics *metrics, enum metric metric, int64_t amount);
void metrics_set(struct metrics *metrics, enum metric metric, int64_t figure);
int64_t metrics_get(const struct metrics *metrics, enum metric metric);

/* "streamer_events_received_total": the name that Prometheus sees. Static text. */
const char *metrics_name(enum metric metric);

/* Appends all figures in Prometheus' text format, version 0.0.4. */
enum err metrics_print(const struct metrics *metrics, struct buffer *buffer) MUST_CHECK;

#endif
