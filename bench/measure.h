/*
 * measure: the clock, histograms of times, and what several runs say together.
 * Owns: which clock it is.
 * Threads: the clock, any; it is chosen before others start. A histogram has one owner at a time.
 * Errors: none.
 * Invariant: a quantile is never below the true one, and at most 1 % above it.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include <stddef.h>
#include <stdint.h>

int64_t measure_now_ns(void); /* monotonic, one clock for all threads */
/* From now on the clock is the processor's time of the thread that looks at it. */
void measure_use_processor_time(void);

/* Each power of two has HISTOGRAM_STEPS counts of its own. Zeroed is empty. */
#define HISTOGRAM_STEPS_LOG 7
#define HISTOGRAM_STEPS (1 << HISTOGRAM_STEPS_LOG)
struct histogram {
	uint64_t counts[(64 - HISTOGRAM_STEPS_LOG) * HISTOGRAM_STEPS];
	uint64_t count;
	uint64_t most;
};
void histogram_add(struct histogram *histogram, int64_t figure); /* below 0 counts as 0 */
/* The figure that `part` (0 to 1) of all do not exceed; 0 if there is none. */
uint64_t histogram_quantile(const struct histogram *histogram, double part);

/* One figure, measured in several runs. */
#define SAMPLES_MAX 99
struct samples {
	double figures[SAMPLES_MAX];
	size_t count;
};
void samples_add(struct samples *samples, double figure); /* beyond SAMPLES_MAX: dropped */
double samples_median(const struct samples *samples);     /* 0 if there is none */
double samples_least(const struct samples *samples);
double samples_most(const struct samples *samples);

#endif
