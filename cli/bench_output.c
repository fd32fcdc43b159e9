/* Figures go to stdout, progress and what is told beside them to stderr. */
#include "bench_output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BOLD "\x1B[1m"
#define PLAIN "\x1B[0m"

static bool wants_color(void)
{
	const char *none = getenv("NO_COLOR"); /* NOLINT(concurrency-mt-unsafe): set by nobody */
	const char *kind = getenv("TERM");     /* NOLINT(concurrency-mt-unsafe): set by nobody */
	return !(none && *none) && kind && *kind && strcmp(kind, "dumb") != 0;
}

void bench_output_init(struct bench_output *output, bool is_json)
{
	*output = (struct bench_output){.is_json = is_json,
		.has_color = isatty(STDOUT_FILENO) == 1 && wants_color(),
		.shows_progress = isatty(STDERR_FILENO) == 1};
}

/* ---- figures --------------------------------------------------------------------------------- */

static void print_json(
	const struct bench_output *output, const struct matching_result *result, uint64_t seed)
{
	(void)printf("{\"workload\":\"%s\",\"subscriptions\":%llu,\"events\":%llu,"
		     "\"match_ns_per_event\":%.1f,\"read_and_match_ns_per_event\":%.1f,"
		     "\"matches_per_event\":%.4f,\"bytes_per_subscription\":%.1f,"
		     "\"subscribe_ns\":%.1f,\"unsubscribe_ns\":%.1f,\"longest_pause_us\":%.1f,"
		     "\"seed\":%llu}\n",
		output->workload, (unsigned long long)result->subscriptions,
		(unsigned long long)result->events, result->match_ns, result->read_and_match_ns,
		result->matches, result->allocated_bytes, result->subscribe_ns,
		result->unsubscribe_ns, result->longest_pause_us, (unsigned long long)seed);
}

static void print_line(const struct bench_output *output, const struct matching_result *result)
{
	(void)printf(
		"%-18s %13llu %11llu %10.0f %10.0f %10.2f %10.1f %8.0f %8.0f %8.0f %8.0f %9.0f\n",
		output->workload, (unsigned long long)result->subscriptions,
		(unsigned long long)result->queries, result->match_ns, result->read_and_match_ns,
		result->matches, result->candidates, result->allocated_bytes,
		result->resident_bytes, result->subscribe_ns, result->unsubscribe_ns,
		result->longest_pause_us);
}

/* What there is no column or key for. */
static void tell_more(const struct bench_output *output, const struct matching_result *result)
{
	FILE *to = output->is_json ? stderr : stdout;
	if (result->parts > 0) {
		(void)fprintf(to,
			"%s: %llu distinct predicates, %llu distinct queries; for an event %.1f "
			"candidates, %.1f of them verified\n",
			output->workload, (unsigned long long)result->parts,
			(unsigned long long)result->queries, result->found, result->candidates);
	}
	if (result->compared > 0) {
		(void)fprintf(to, "%s: %llu pairs verified, %llu differ\n", output->workload,
			(unsigned long long)result->compared,
			(unsigned long long)result->different);
	}
}

void bench_output_begin(const struct bench_output *output)
{
	if (!output->is_json) {
		(void)printf("%s%-18s %13s %11s %10s %10s %10s %10s %8s %8s %8s %8s %9s%s\n",
			output->has_color ? BOLD : "", "workload", "subscriptions", "queries",
			"match ns", "+read ns", "matches", "verified", "bytes", "resident",
			"sub ns", "unsub ns", "pause us", output->has_color ? PLAIN : "");
	}
}

void bench_output_row(
	const struct bench_output *output, const struct matching_result *result, uint64_t seed)
{
	bench_output_clear(output);
	if (output->is_json) {
		print_json(output, result, seed);
	} else {
		print_line(output, result);
	}
	tell_more(output, result);
	(void)fflush(stdout);
}

/* ---- progress -------------------------------------------------------------------------------- */

void bench_output_clear(const struct bench_output *output)
{
	if (output->shows_progress) {
		(void)fprintf(stderr, "\r\x1B[K");
	}
}

void bench_output_progress(
	const struct bench_output *output, const char *what, uint64_t done, uint64_t of)
{
	if (output->shows_progress) {
		(void)fprintf(stderr, "\r\x1B[K%s: %s, %.0f %%", output->workload, what,
			of > 0 ? 100.0 * (double)done / (double)of : 0);
	}
}

/* ---- matches --------------------------------------------------------------------------------- */

static enum err make_room(struct bench_matches *matches)
{
	if (matches->count < matches->capacity) {
		return OK;
	}
	size_t capacity = matches->capacity > 0 ? matches->capacity * 2 : 1024;
	size_t *starts = mem_realloc(matches->starts, capacity * sizeof(*starts));
	if (!starts) {
		return ERR_MEMORY;
	}
	matches->starts = starts;
	matches->capacity = capacity;
	return OK;
}

enum err bench_matches_add(
	struct bench_matches *matches, struct bytes event_id, struct bytes subscription_id)
{
	size_t start = matches->text.size;
	enum err err = make_room(matches);
	err = err == OK ? buffer_append(&matches->text, event_id) : err;
	err = err == OK ? buffer_append_text(&matches->text, "\t") : err;
	err = err == OK ? buffer_append(&matches->text, subscription_id) : err;
	err = err == OK ? buffer_append(&matches->text, (struct bytes){"", 1}) : err;
	if (err == OK) {
		matches->starts[matches->count++] = start;
	}
	return err;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum err bench_matches_print(struct bench_matches *matches)
{
	const char **lines = mem_alloc(matches->count * sizeof(const char *));
	if (!lines) {
		return ERR_MEMORY;
	}
	for (size_t i = 0; i < matches->count; i++) {
		lines[i] = matches->text.data + matches->starts[i];
	}
	qsort(lines, matches->count, sizeof(const char *), compare);
	for (size_t i = 0; i < matches->count; i++) {
		(void)fputs(lines[i], stdout);
		(void)fputc('\n', stdout);
	}
	mem_free(lines);
	return OK;
}

void bench_matches_fini(struct bench_matches *matches)
{
	buffer_fini(&matches->text);
	mem_free(matches->starts);
}
