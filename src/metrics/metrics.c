/*
 * Everything known of a figure is in metrics.def; this file only counts and prints. Relaxed order
 * is enough: no figure says anything about another. A thread's share is written by that thread
 * alone, so that it needs no locked addition, and no two threads pass a cache line to and fro; the
 * figure is the sum of all shares.
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

static _Atomic unsigned threads_seen;

/* Of the calling thread; it keeps it for its life, and nobody gets it after that. */
static unsigned share_of_thread(void)
{
	static _Thread_local unsigned share = METRICS_SHARES; /* not known yet */
	if (share == METRICS_SHARES) {
		unsigned before = atomic_load_explicit(&threads_seen, memory_order_relaxed);
		while (before < METRICS_SHARES - 1 &&
			!atomic_compare_exchange_weak_explicit(&threads_seen, &before, before + 1,
				memory_order_relaxed, memory_order_relaxed)) {
		}
		share = before < METRICS_SHARES - 1 ? before + 1 : 0;
	}
	return share;
}

void metrics_add(struct metrics *metrics, enum metric metric, int64_t amount)
{
	if (metrics) {
		debug_check((unsigned)metric < METRIC_COUNT);
		debug_check(amount >= 0 || rows[metric].type == TYPE_GAUGE);
		unsigned share = share_of_thread();
		_Atomic int64_t *figure = &metrics->shares[share].figures[metric];
		if (share == 0) {
			(void)atomic_fetch_add_explicit(figure, amount, memory_order_relaxed);
			return;
		}
		int64_t before = atomic_load_explicit(figure, memory_order_relaxed);
		atomic_store_explicit(figure, before + amount, memory_order_relaxed);
	}
}

void metrics_set(struct metrics *metrics, enum metric metric, int64_t figure)
{
	if (metrics) {
		debug_check((unsigned)metric < METRIC_COUNT);
		atomic_store_explicit(
			&metrics->shares[0].figures[metric], figure, memory_order_relaxed);
	}
}

int64_t metrics_get(const struct metrics *metrics, enum metric metric)
{
	if (!metrics) {
		return 0;
	}
	debug_check((unsigned)metric < METRIC_COUNT);
	int64_t sum = 0;
	for (unsigned i = 0; i < METRICS_SHARES; i++) {
		sum += atomic_load_explicit(
			&metrics->shares[i].figures[metric], memory_order_relaxed);
	}
	return sum;
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
