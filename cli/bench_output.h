/* How streamer bench shows what it measured: a table for people, or one JSON object a line. */
#ifndef BENCH_OUTPUT_H
#define BENCH_OUTPUT_H

#include "matching.h"

#include <stdbool.h>

struct bench_output {
	bool is_json;
	bool has_color;
	bool shows_progress;  /* stderr is a terminal */
	const char *workload; /* the one under way */
};
void bench_output_init(struct bench_output *output, bool is_json);

void bench_output_begin(const struct bench_output *output); /* the table's head */
void bench_output_row(
	const struct bench_output *output, const struct matching_result *result, uint64_t seed);
/* A matching_options.progress; `done` of 0: it is over. */
void bench_output_progress(
	const struct bench_output *output, const char *what, uint64_t done, uint64_t of);
void bench_output_clear(const struct bench_output *output); /* the progress, if there is any */

/* Pairs that are printed when all of them are known: in the order of their bytes. */
struct bench_matches {
	struct buffer text; /* each with a NUL behind it */
	size_t *starts;
	size_t count, capacity;
};
enum err bench_matches_add(struct bench_matches *matches, struct bytes event_id,
	struct bytes subscription_id) MUST_CHECK;
enum err bench_matches_print(struct bench_matches *matches) MUST_CHECK;
void bench_matches_fini(struct bench_matches *matches);

#endif
