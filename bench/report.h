/*
 * report: the figures of all runs, and how they are printed: a line of JSON each.
 * Owns: the figures and the texts of their parameters.
 * Threads: one.
 * Errors: report_add aborts beyond FIGURES_MAX, which is a bug of ours.
 * Invariant: figure and parameters together name a row; sample number i is round number i.
 */
#ifndef REPORT_H
#define REPORT_H

#include "base.h"
#include "measure.h"

#include <stdio.h>

#define FIGURES_MAX 128
#define PARAMETERS_SIZE 160

struct figure {
	const char *name, *unit;
	char parameters[PARAMETERS_SIZE]; /* members of a JSON object */
	size_t program;                   /* which Streamer: 0, or 1 that it is compared with */
	struct samples samples;
};

struct report {
	const char *programs[2]; /* what they are called; the second NULL: there is one */
	struct figure figures[FIGURES_MAX];
	size_t count;
};

/* A sample of a figure; `name` and `unit` must outlive the report, `parameters` need not. */
struct report_key {
	const char *name, *unit;
	const char *parameters;
	size_t program;
};
void report_add(struct report *report, const struct report_key *key, double sample);

/*
 * All figures: {"name","value","unit","least","most","runs","parameters":{}}, where `value` is the
 * median. With two programs, parameters tell which, and a row "<name>_ratio" follows each figure of
 * the first: the first's by the second's, round by round.
 */
void report_print(const struct report *report, FILE *to);

#endif
