/*
 * streamer-bench: all measures in rounds, so that what disturbs the machine for a while disturbs
 * them alike. Figures go to stdout, progress to a terminal on stderr; status 1 if a run failed.
 */
#include "delivery.h"
#include "engine.h"
#include "hostile.h"
#include "language.h"
#include "path.h"
#include "report.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUBSCRIPTIONS 10000
#define WARM_UP_PART 5 /* of the events */

struct bench {
	uint64_t runs, events, rate;
	const char *programs[2]; /* paths; the first NULL: beside this program */
	const char *only;
	bool is_terminal;
	struct report report;
};

static const char help[] =
	"usage: streamer-bench [OPTION]...\n"
	"\n"
	"Measures a Streamer process between a Puller and gateways of its own, deliveries alone,\n"
	"and the matching engine alone. Prints a line of JSON for each figure: the median of all "
	"rounds, the least\n"
	"and the most. A run in which a change is lost, repeated or out of order fails.\n"
	"\n"
	"  --runs N         rounds, in each of which everything is measured once (default 5)\n"
	"  --events N       changes of a run (default 200000)\n"
	"  --rate N         changes a second where latency is measured (default 2000)\n"
	"  --only NAME      path, latency, stalled, e2e, delivery, engine, hostile or language\n"
	"  --streamer PATH  the program to measure (default: streamer beside this one)\n"
	"  --against PATH   another version of it: both are measured in turn, and compared\n"
	"  --cases          print the expressions and documents of `language`, for "
	"tools/bench-peers\n"
	"  --help\n"
	"\n"
	"examples:\n"
	"  streamer-bench --runs 9 --only path\n"
	"  streamer-bench --streamer build/streamer --against ../old/build/streamer\n"
	"\n"
	"exit status: 0 fine, 1 a run failed, 2 it was called wrongly\n";

static void show_progress(const struct bench *bench, uint64_t round, const char *what)
{
	if (bench->is_terminal) {
		(void)fprintf(stderr, "\r\033[Kround %llu of %llu: %s",
			(unsigned long long)round + 1, (unsigned long long)bench->runs, what);
	}
}

/* ---- the whole path -------------------------------------------------------------------------- */

struct path_case {
	const char *name;
	uint32_t fan_out;
	uint32_t gateways;
	uint32_t share; /* of the events: those with more deliveries take longer */
	bool is_paced;
	uint32_t stalled;       /* gateways that do not read */
	uint32_t subscriptions; /* 0: SUBSCRIPTIONS */
	uint32_t rate;          /* where it is paced; 0: what was asked for, by `share` */
	uint32_t ahead;         /* as a workload_shape's */
};

/* Cases from here on: */
#define CASES_LATENCY 4
#define CASES_STALLED 6
#define CASES_E2E 8
static const struct path_case cases[] = {
	{.name = "no deliveries", .gateways = 1, .share = 1},
	{.name = "1 gateway", .fan_out = 1, .gateways = 1, .share = 1},
	{.name = "10 gateways, one gets it", .fan_out = 1, .gateways = 10, .share = 1},
	{.name = "10 gateways, all get it", .fan_out = 10, .gateways = 10, .share = 4},
	{.name = "latency, 1 gateway", .fan_out = 1, .gateways = 1, .share = 1, .is_paced = true},
	{.name = "latency, 10 gateways, all get it",
		.fan_out = 10,
		.gateways = 10,
		.share = 1,
		.is_paced = true},
	{.name = "latency, 100 gateways",
		.fan_out = 100,
		.gateways = 100,
		.share = 4,
		.is_paced = true},
	{.name = "latency, 100 gateways, one does not read",
		.fan_out = 100,
		.gateways = 100,
		.share = 4,
		.is_paced = true,
		.stalled = 1},
	{.name = "1,000,000 subscriptions",
		.fan_out = 1,
		.gateways = 10,
		.share = 1,
		.subscriptions = 1000000},
	{.name = "latency, 1,000,000 subscriptions",
		.fan_out = 1,
		.gateways = 10,
		.share = 1,
		.is_paced = true,
		.subscriptions = 1000000,
		.rate = 10000},
	{.name = "10,000 ids", .fan_out = 10000, .gateways = 1, .share = 200, .ahead = 40},
};
#define CASES_COUNT (sizeof(cases) / sizeof(cases[0]))

struct path_row {
	struct bench *bench;
	size_t program;
	char parameters[PARAMETERS_SIZE];
};

static void add(const struct path_row *row, const char *name, const char *unit, double sample)
{
	const struct report_key key = {
		.name = name, .unit = unit, .parameters = row->parameters, .program = row->program};
	report_add(&row->bench->report, &key, sample);
}

static void add_throughput(const struct path_row *row, const struct workload_shape *shape,
	const struct path_result *result)
{
	double events = (double)shape->events;
	double deliveries = events * workload_deliveries_per_event(shape);
	add(row, "cpu_per_event", "ns", result->streamer_s * 1e9 / events);
	if (shape->fan_out > shape->gateways) {
		double ids = events * shape->fan_out;
		add(row, "ids_per_second", "1/s", ids / result->wall_s);
		add(row, "ids_per_cpu_second", "1/s", ids / result->streamer_s);
	}
	if (deliveries > 0) {
		add(row, "cpu_per_delivery", "ns", result->streamer_s * 1e9 / deliveries);
		add(row, "deliveries_per_second", "1/s", deliveries / result->wall_s);
	}
	add(row, "events_per_second", "1/s", events / result->wall_s);
	add(row, "streamer_busy", "cores", result->streamer_s / result->wall_s);
	add(row, "load_busy", "cores", result->load_s / result->wall_s);
}

static double p99_us(const struct path_result *result)
{
	return (double)histogram_quantile(&result->latency_ns, 0.99) / 1e3;
}

static void add_latency(const struct path_row *row, const struct path_result *result)
{
	add(row, "latency_p50", "us", (double)histogram_quantile(&result->latency_ns, 0.5) / 1e3);
	add(row, "latency_p99", "us", p99_us(result));
}

/* 0: as fast as it goes. */
static double rate_of(const struct bench *bench, const struct path_case *path)
{
	double asked = path->rate > 0 ? path->rate : (double)bench->rate / path->share;
	return path->is_paced ? asked : 0;
}

static struct workload_shape shape_of(const struct bench *bench, const struct path_case *path)
{
	uint64_t events =
		path->is_paced ? (uint64_t)(rate_of(bench, path) * 2) : bench->events / path->share;
	return (struct workload_shape){.fan_out = path->fan_out,
		.ahead = path->ahead,
		.subscriptions = path->subscriptions ? path->subscriptions : SUBSCRIPTIONS,
		.gateways = path->gateways,
		.stalled = path->stalled,
		.warm_up = events / WARM_UP_PART + 1,
		.events = events};
}

/* What the cases are compared by. */
struct case_result {
	double cpu_ns; /* of an event */
	double p99_us;
};

static enum err run_case(struct bench *bench, const struct path_case *path, size_t program,
	struct case_result *ret_result, struct err_info *info)
{
	const struct workload_shape shape = shape_of(bench, path);
	struct path_row row = {.bench = bench, .program = program};
	int size = snprintf(row.parameters, sizeof(row.parameters),
		"\"subscriptions\":%u,\"gateways\":%u,\"deliveries_per_event\":%g,"
		"\"document_bytes\":%d",
		shape.subscriptions, shape.gateways, workload_deliveries_per_event(&shape),
		WORKLOAD_DOCUMENT_BYTES);
	double rate = rate_of(bench, path);
	if (workload_ids_per_delivery(&shape) > 1) {
		size += snprintf(row.parameters + size, sizeof(row.parameters) - (size_t)size,
			",\"ids_per_delivery\":%u", workload_ids_per_delivery(&shape));
	}
	if (path->is_paced) {
		(void)snprintf(row.parameters + size, sizeof(row.parameters) - (size_t)size,
			",\"events_per_second\":%g,\"stalled\":%u", rate, shape.stalled);
	}
	struct path_result result;
	enum err err = path_run(&shape, rate, bench->programs[program], info, &result);
	if (err != OK) {
		return err;
	}
	if (path->is_paced) {
		add_latency(&row, &result);
	} else {
		add_throughput(&row, &shape, &result);
	}
	*ret_result = (struct case_result){.cpu_ns = result.streamer_s * 1e9 / (double)shape.events,
		.p99_us = p99_us(&result)};
	return OK;
}

/* What one more gateway costs an event that goes to all of ten: by the last two cases. */
static void add_further_delivery(struct bench *bench, size_t program, double one, double all)
{
	struct path_row row = {.bench = bench, .program = program};
	(void)snprintf(row.parameters, sizeof(row.parameters),
		"\"subscriptions\":%d,\"gateways\":10,\"document_bytes\":%d", SUBSCRIPTIONS,
		WORKLOAD_DOCUMENT_BYTES);
	add(&row, "cpu_per_further_delivery", "ns", (all - one) / 9);
}

/* What a gateway that does not read costs the 99 that do. */
static void add_stall(struct bench *bench, size_t program, double without_us, double with_us)
{
	struct path_row row = {.bench = bench, .program = program};
	(void)snprintf(row.parameters, sizeof(row.parameters),
		"\"subscriptions\":%d,\"gateways\":100,\"stalled\":1", SUBSCRIPTIONS);
	add(&row, "latency_p99_stall_factor", "", with_us / without_us);
}

static void compare(
	struct bench *bench, size_t first, size_t program, const struct case_result *results)
{
	if (first == 0) {
		add_further_delivery(bench, program, results[2].cpu_ns, results[3].cpu_ns);
	} else if (first == CASES_STALLED) {
		add_stall(bench, program, results[first].p99_us, results[first + 1].p99_us);
	}
}

/* Cases [first, end), each with every program before the next; every other round begins at the end.
 */
static enum err run_cases(
	struct bench *bench, uint64_t round, size_t first, size_t end, struct err_info *info)
{
	struct case_result results[2][CASES_COUNT] = {0};
	size_t programs = bench->programs[1] ? 2 : 1;
	for (size_t at = first; at < end; at++) {
		size_t i = round % 2 ? first + end - 1 - at : at;
		show_progress(bench, round, cases[i].name);
		for (size_t turn = 0; turn < programs; turn++) {
			size_t program =
				(turn + (size_t)round) % programs; /* neither is always first */
			enum err err =
				run_case(bench, &cases[i], program, &results[program][i], info);
			if (err != OK) {
				return err;
			}
		}
	}
	for (size_t program = 0; program < programs; program++) {
		compare(bench, first, program, results[program]);
	}
	return OK;
}

/* ---- deliveries alone ------------------------------------------------------------------------ */

static enum err run_deliveries(struct bench *bench, uint64_t round, struct err_info *info)
{
	static const struct delivery_shape shapes[] = {
		{1, 400, 1}, {10, 400, 1}, {100, 400, 1}, {10, 900, 1}};
	size_t programs = bench->programs[1] ? 2 : 1;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		show_progress(bench, round, "deliveries");
		for (size_t turn = 0; turn < programs; turn++) {
			struct path_row row = {
				.bench = bench, .program = (turn + (size_t)round) % programs};
			struct delivery_result result;
			enum err err = delivery_run(
				&shapes[i], bench->programs[row.program], info, &result);
			if (err != OK) {
				return err;
			}
			(void)snprintf(row.parameters, sizeof(row.parameters),
				"\"streams\":%u,\"message_bytes\":%u,\"tls\":false",
				shapes[i].streams, shapes[i].message_bytes);
			add(&row, "delivery_cpu_per_message", "ns", result.cpu_us * 1e3);
			add(&row, "delivery_messages_per_second", "1/s", result.messages_per_s);
			add(&row, "delivery_bytes_per_second", "B/s", result.bytes_per_s);
		}
	}
	return OK;
}

/* ---- the engine alone ------------------------------------------------------------------------ */

static enum err run_engine(struct bench *bench, uint64_t round, struct err_info *info)
{
	static const struct {
		enum engine_kind kind;
		const char *name;
		uint32_t subscriptions, share;
	} engines[] = {
		{ENGINE_EQUALITY, "equality", 1000, 1},
		{ENGINE_EQUALITY, "equality", 10000, 1},
		{ENGINE_EQUALITY, "equality", 100000, 1},
		{ENGINE_RANGE, "range", 1000, 40},
		{ENGINE_RANGE, "range", 10000, 400},
	};
	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
		struct engine_result result;
		struct path_row row = {.bench = bench};
		show_progress(bench, round, "the engine alone");
		enum err err = engine_run(engines[i].kind, engines[i].subscriptions,
			bench->events / engines[i].share, info, &result);
		if (err != OK) {
			return err;
		}
		if (i == 0) {
			(void)snprintf(row.parameters, sizeof(row.parameters),
				"\"document_bytes\":%d", WORKLOAD_DOCUMENT_BYTES);
			add(&row, "engine_read_per_event", "ns", result.read_ns);
		}
		(void)snprintf(row.parameters, sizeof(row.parameters),
			"\"filter\":\"%s\",\"subscriptions\":%u", engines[i].name,
			engines[i].subscriptions);
		add(&row, "engine_match_per_event", "ns", result.match_ns);
	}
	return OK;
}

/* ---- expressions ----------------------------------------------------------------------------- */

static enum err run_hostile(struct bench *bench, uint64_t round, struct err_info *info)
{
	struct path_row row = {.bench = bench};
	enum err err = OK;
	const char *name = NULL;
	for (size_t i = 0; err == OK && (name = hostile_name_at(i)); i++) {
		struct hostile_result result;
		show_progress(bench, round, name);
		err = hostile_run(i, info, &result);
		if (err == OK) {
			(void)snprintf(row.parameters, sizeof(row.parameters),
				"\"document\":\"%s\",\"document_bytes\":%zu", name, result.bytes);
			add(&row, "hostile_read_per_byte", "ns", result.read_ns);
			add(&row, "hostile_match_per_byte", "ns", result.match_ns);
		}
	}
	return err;
}

static enum err run_language(struct bench *bench, uint64_t round, struct err_info *info)
{
	struct path_row row = {.bench = bench};
	double ns = 0;
	show_progress(bench, round, "expressions");
	enum err err = language_make(info, &ns);
	if (err == OK) {
		(void)snprintf(row.parameters, sizeof(row.parameters), "\"filter_bytes\":%zu",
			strlen(language_filter));
		add(&row, "expression_make", "ns", ns);
	}
	const struct language_case *at = NULL;
	for (size_t i = 0; err == OK && (at = language_case_at(i)); i++) {
		err = language_evaluate(at, info, &ns);
		if (err == OK) {
			(void)snprintf(row.parameters, sizeof(row.parameters),
				"\"expression\":\"%s\",\"members\":%u", at->name, at->members);
			add(&row, "expression_evaluate", "ns", ns);
		}
	}
	return err;
}

/* ---- the program ----------------------------------------------------------------------------- */

static bool wants(const struct bench *bench, const char *name)
{
	return !bench->only || strcmp(bench->only, name) == 0;
}

static bool knows_measure(const char *name)
{
	static const char *const names[] = {
		"path", "latency", "stalled", "e2e", "delivery", "engine", "hostile", "language"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], name) == 0) {
			return true;
		}
	}
	return false;
}

static enum err run_round(struct bench *bench, uint64_t round, struct err_info *info)
{
	enum err err = OK;
	if (wants(bench, "path")) {
		err = run_cases(bench, round, 0, CASES_LATENCY, info);
	}
	if (err == OK && wants(bench, "latency")) {
		err = run_cases(bench, round, CASES_LATENCY, CASES_STALLED, info);
	}
	if (err == OK && wants(bench, "stalled")) {
		err = run_cases(bench, round, CASES_STALLED, CASES_E2E, info);
	}
	if (err == OK && wants(bench, "e2e")) {
		err = run_cases(bench, round, CASES_E2E, CASES_COUNT, info);
	}
	if (err == OK && wants(bench, "delivery")) {
		err = run_deliveries(bench, round, info);
	}
	if (err == OK && wants(bench, "engine")) {
		err = run_engine(bench, round, info);
	}
	if (err == OK && wants(bench, "hostile")) {
		err = run_hostile(bench, round, info);
	}
	if (err == OK && wants(bench, "language")) {
		err = run_language(bench, round, info);
	}
	return err;
}

static bool read_number(
	const char *name, const char *text, uint64_t least, uint64_t most, uint64_t *ret_number)
{
	char *end = NULL;
	errno = 0;
	unsigned long long number = strtoull(text, &end, 10);
	if (errno != 0 || *text < '0' || *text > '9' || *end || number < least || number > most) {
		(void)fprintf(stderr,
			"streamer-bench: --%s: \"%s\" should be a number from %llu to %llu\n", name,
			text, (unsigned long long)least, (unsigned long long)most);
		return false;
	}
	*ret_number = number;
	return true;
}

static bool take_option(struct bench *bench, int option, const char *text)
{
	switch (option) {
	case 'r':
		return read_number("runs", text, 1, SAMPLES_MAX, &bench->runs);
	case 'e':
		return read_number("events", text, 4000, 100000000, &bench->events);
	case 'p':
		return read_number("rate", text, 100, 20000, &bench->rate);
	case 's':
		bench->programs[0] = text;
		return true;
	case 'a':
		bench->programs[1] = text;
		return true;
	case 'o':
		bench->only = text;
		if (knows_measure(text)) {
			return true;
		}
		(void)fprintf(stderr,
			"streamer-bench: --only: \"%s\" should be path, latency, stalled, e2e, "
			"delivery, engine, hostile or language\n",
			text);
		return false;
	default: /* getopt has said what is wrong */
		(void)fputs("streamer-bench: see --help\n", stderr);
		return false;
	}
}

static int print_cases(void)
{
	struct err_info info = {0};
	if (language_print_cases(stdout, &info) != OK) {
		(void)fprintf(stderr, "streamer-bench: %s\n", info.text);
		return 1;
	}
	return 0;
}

/* True: go on. False: end with *ret_status. */
static bool read_options(struct bench *bench, int count, char **arguments, int *ret_status)
{
	static const struct option options[] = {
		{"runs", required_argument, NULL, 'r'},
		{"events", required_argument, NULL, 'e'},
		{"rate", required_argument, NULL, 'p'},
		{"only", required_argument, NULL, 'o'},
		{"streamer", required_argument, NULL, 's'},
		{"against", required_argument, NULL, 'a'},
		{"cases", no_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option = 0;
	*ret_status = 2;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread yet */
	while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
		if (option == 'h') {
			(void)fputs(help, stdout);
			*ret_status = 0;
			return false;
		}
		if (option == 'c') {
			*ret_status = print_cases();
			return false;
		}
		if (!take_option(bench, option, optarg)) {
			return false;
		}
	}
	if (optind < count) {
		(void)fprintf(stderr, "streamer-bench: \"%s\" is no option; see --help\n",
			arguments[optind]);
		return false;
	}
	return true;
}

int main(int count, char **arguments)
{
	static struct bench bench = {.runs = 5, .events = 200000, .rate = 2000};
	int status = 0;
	if (!read_options(&bench, count, arguments, &status)) {
		return status;
	}
	bench.is_terminal = isatty(STDERR_FILENO) == 1;
	bench.report.programs[0] = bench.programs[0] ? bench.programs[0] : "streamer";
	bench.report.programs[1] = bench.programs[1];
	struct err_info info = {0};
	enum err err = OK;
	for (uint64_t round = 0; err == OK && round < bench.runs; round++) {
		err = run_round(&bench, round, &info);
	}
	if (bench.is_terminal) {
		(void)fputs("\r\033[K", stderr);
	}
	if (err != OK) {
		(void)fprintf(stderr, "streamer-bench: %s\n", info.text);
		return 1;
	}
	report_print(&bench.report, stdout);
	return fflush(stdout) == 0 ? 0 : 1;
}
