/* A figure below HISTOGRAM_STEPS is counted exactly, a larger one by its first bits. */
#include "measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static clockid_t clock_id = CLOCK_MONOTONIC;

void measure_use_processor_time(void)
{
	clock_id = CLOCK_THREAD_CPUTIME_ID;
}

int64_t measure_now_ns(void)
{
	struct timespec now = {0};
	(void)clock_gettime(clock_id, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- histogram ------------------------------------------------------------------------------- */

static size_t bucket_of(uint64_t figure)
{
	if (figure < HISTOGRAM_STEPS) {
		return (size_t)figure;
	}
	unsigned shift = 63 - (unsigned)__builtin_clzll(figure) - HISTOGRAM_STEPS_LOG;
	return ((size_t)shift << HISTOGRAM_STEPS_LOG) + (size_t)(figure >> shift);
}

/* The largest figure of a bucket. */
static uint64_t bucket_end(size_t bucket)
{
	if (bucket < HISTOGRAM_STEPS) {
		return bucket;
	}
	unsigned shift = (unsigned)(bucket >> HISTOGRAM_STEPS_LOG) - 1;
	uint64_t first = (bucket & (HISTOGRAM_STEPS - 1)) + HISTOGRAM_STEPS;
	return ((first + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, int64_t figure)
{
	uint64_t counted = figure < 0 ? 0 : (uint64_t)figure;
	histogram->counts[bucket_of(counted)]++;
	histogram->count++;
	if (counted > histogram->most) {
		histogram->most = counted;
	}
}

uint64_t histogram_quantile(const struct histogram *histogram, double part)
{
	uint64_t wanted = (uint64_t)ceil(part * (double)histogram->count);
	uint64_t seen = 0;
	for (size_t i = 0; i < sizeof(histogram->counts) / sizeof(histogram->counts[0]); i++) {
		seen += histogram->counts[i];
		if (seen > 0 && seen >= wanted) {
			uint64_t end = bucket_end(i);
			return end < histogram->most ? end : histogram->most;
		}
	}
	return 0;
}

/* ---- samples --------------------------------------------------------------------------------- */

void samples_add(struct samples *samples, double figure)
{
	if (samples->count < SAMPLES_MAX) {
		samples->figures[samples->count++] = figure;
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The one at `place` in order, of 0 to count - 1. */
static double ranked(const struct samples *samples, size_t place)
{
	struct samples sorted = *samples;
	if (samples->count == 0) {
		return 0;
	}
	qsort(sorted.figures, sorted.count, sizeof(sorted.figures[0]), compare);
	return sorted.figures[place];
}

double samples_median(const struct samples *samples)
{
	size_t count = samples->count > 0 ? samples->count : 1;
	return (ranked(samples, (count - 1) / 2) + ranked(samples, count / 2)) / 2;
}

double samples_least(const struct samples *samples)
{
	return ranked(samples, 0);
}

double samples_most(const struct samples *samples)
{
	return ranked(samples, samples->count > 0 ? samples->count - 1 : 0);
}
