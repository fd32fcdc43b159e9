/*
 * Everything known of a figure is in metrics.def; this file only counts and prints. Relaxed order
 * is enough: no figure says anything about another.
 */
#include "metrics.h"

enum metric_type { TYPE_COUNTER, TYPE_GAUGE };

struct metric_row {
	const char *name;
	const char *help;
	enum metric_type type;
};

static const struct metric_row rows[METRIC_COUNT] = {
#define COUNTER(name, unit, help) {"streamer_" #name "_total", help, TYPE_COUNTER},
#define GAUGE(name, unit, help) {"streamer_" #name, help, TYPE_GAUGE},
#include "metrics.def"
#undef COUNTER
#undef GAUGE
};

void metrics_add(struct metrics *metrics, enum metric metric, int64_t amount)
{
	if (metrics) {
		debug_check((unsigned)metric < METRIC_COUNT);
		debug_check(amount >= 0 || rows[metric].type == TYPE_GAUGE);
		(void)atomic_fetch_add_explicit(
			&metrics->figures[metric], amount, memory_order_relaxed);
	}
}

void metrics_set(struct metrics *metrics, enum metric metric, int64_t figure)
{
	if (metrics) {
		debug_check((unsigned)metric < METRIC_COUNT);
		atomic_store_explicit(&metrics->figures[metric], figure, memory_order_relaxed);
	}
}

int64_t metrics_get(const struct metrics *metrics, enum metric metric)
{
	if (!metrics) {
		return 0;
	}
	debug_check((unsigned)metric < METRIC_COUNT);
	return atomic_load_explicit(&metrics->figures[metric], memory_order_relaxed);
}

const char *metrics_name(enum metric metric)
{
	check((unsigned)metric < METRIC_COUNT);
	return rows[metric].name;
}

enum err metrics_print(const struct metrics *metrics, struct buffer *buffer)
{
	size_t before = buffer->size;
	for (unsigned i = 0; i < METRIC_COUNT; i++) {
		const struct metric_row *row = &rows[i];
		enum err err = buffer_printf(buffer, "# HELP %s %s\n# TYPE %s %s\n%s %lld\n",
			row->name, row->help, row->name,
			row->type == TYPE_COUNTER ? "counter" : "gauge", row->name,
			(long long)metrics_get(metrics, (enum metric)i));
		if (err != OK) {
			buffer->size = before;
			return err;
		}
	}
	return OK;
}
