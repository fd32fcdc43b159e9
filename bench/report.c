/* Rows stand in the order in which they first came. */
#include "report.h"

#include <string.h>

static struct figure *find(const struct report *report, const struct report_key *key)
{
	for (size_t i = 0; i < report->count; i++) {
		const struct figure *figure = &report->figures[i];
		if (figure->program == key->program && strcmp(figure->name, key->name) == 0 &&
			strcmp(figure->parameters, key->parameters) == 0) {
			return (struct figure *)figure;
		}
	}
	return NULL;
}

void report_add(struct report *report, const struct report_key *key, double sample)
{
	struct figure *figure = find(report, key);
	if (!figure) {
		check(report->count < FIGURES_MAX);
		figure = &report->figures[report->count++];
		*figure = (struct figure){
			.name = key->name, .unit = key->unit, .program = key->program};
		(void)snprintf(
			figure->parameters, sizeof(figure->parameters), "%s", key->parameters);
	}
	samples_add(&figure->samples, sample);
}

/* What came of a program's path; quotes and backslashes are escaped, control characters dropped. */
static void put_string(FILE *to, const char *text)
{
	(void)fputc('"', to);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\') {
			(void)fputc('\\', to);
		}
		if ((unsigned char)*text >= 0x20) {
			(void)fputc(*text, to);
		}
	}
	(void)fputc('"', to);
}

static void put_row(const struct report *report, const struct figure *figure, const char *suffix,
	const struct samples *samples, FILE *to)
{
	(void)fprintf(to,
		"{\"name\":\"%s%s\",\"value\":%.6g,\"unit\":\"%s\",\"least\":%.6g,"
		"\"most\":%.6g,\"runs\":%zu,\"parameters\":{%s",
		figure->name, suffix, samples_median(samples), *suffix ? "" : figure->unit,
		samples_least(samples), samples_most(samples), samples->count, figure->parameters);
	if (report->programs[1] && !*suffix) {
		(void)fputs(",\"program\":", to);
		put_string(to, report->programs[figure->program]);
	}
	(void)fputs("}}\n", to);
}

static void put_ratio(const struct report *report, const struct figure *figure, FILE *to)
{
	const struct report_key key = {
		.name = figure->name, .parameters = figure->parameters, .program = 1};
	const struct figure *other = find(report, &key);
	struct samples ratios = {0};
	if (figure->program != 0 || !other) {
		return;
	}
	for (size_t i = 0; i < figure->samples.count && i < other->samples.count; i++) {
		if (other->samples.figures[i] != 0) {
			samples_add(
				&ratios, figure->samples.figures[i] / other->samples.figures[i]);
		}
	}
	put_row(report, figure, "_ratio", &ratios, to);
}

void report_print(const struct report *report, FILE *to)
{
	for (size_t i = 0; i < report->count; i++) {
		put_row(report, &report->figures[i], "", &report->figures[i].samples, to);
		put_ratio(report, &report->figures[i], to);
	}
}
