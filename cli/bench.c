/*
 * streamer bench: what matching costs on this machine, for made-up workloads or for anybody's rules
 * and changes. The arguments are looked at here; measuring is bench/matching.h's.
 */
#include "bench_output.h"
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#define SUBSCRIPTIONS 100000
#define EVENTS "100000"

struct bench {
	const struct cli_command *command;
	const char *workload, *events, *rules_path;
	const char *write_rules, *write_events;
	uint64_t subscriptions, seed;
	bool is_json, verifies, prints_matches, lists, is_busy, trusts_json;
	uint64_t events_count; /* of a workload */
	struct bench_output output;
	struct bench_matches matches;
};

/* ---- one source ------------------------------------------------------------------------------ */

static enum err take_match(void *ctx, struct bytes event_id, struct bytes subscription_id)
{
	struct bench *bench = ctx;
	return bench_matches_add(&bench->matches, event_id, subscription_id);
}

static void take_progress(void *ctx, const char *what, uint64_t done, uint64_t of)
{
	const struct bench *bench = ctx;
	bench_output_progress(&bench->output, what, done, of);
}

static void begin(const struct bench *bench)
{
	cli_say(bench->command, "limits on subscriptions, expressions and residuals are lifted");
	bench_output_begin(&bench->output);
}

/* What is wrong with a file is its writer's mistake. */
static enum cli_status failed(const struct bench *bench, enum err err, const struct err_info *info)
{
	bool is_theirs =
		err == ERR_INVALID || err == ERR_CORRUPT || err == ERR_LIMIT || err == ERR_IO;
	bench_output_clear(&bench->output);
	cli_say(bench->command, "%s", info->text);
	return is_theirs ? CLI_USAGE : CLI_FAILED;
}

static enum cli_status measure(struct bench *bench, const struct matching_source *source)
{
	const struct matching_options options = {.seed = bench->seed,
		.verifies = bench->verifies,
		.is_busy = bench->is_busy,
		.trusts_json = bench->trusts_json,
		.complain = stderr,
		.matched = bench->prints_matches ? take_match : NULL,
		.progress = take_progress,
		.ctx = bench};
	struct err_info info = {0};
	struct matching_result result;
	bench->output.workload = source->name;
	enum err err = matching_run(source, &options, &info, &result);
	if (err == OK && bench->prints_matches) {
		bench_output_clear(&bench->output);
		err = bench_matches_print(&bench->matches);
	}
	if (err != OK) {
		return failed(bench, err, &info);
	}
	bench_output_row(&bench->output, &result, bench->seed);
	return result.different > 0 ? CLI_FAILED : CLI_DONE;
}

static enum cli_status measure_files(struct bench *bench)
{
	struct matching_source source = {0};
	struct err_info info = {0};
	enum err err = matching_files_open(bench->rules_path, bench->events, &info, &source);
	if (err != OK) {
		return failed(bench, err, &info);
	}
	begin(bench);
	enum cli_status status = measure(bench, &source);
	matching_source_free(&source);
	return status;
}

/* Measures it, or writes it down. */
static enum cli_status run_workload(struct bench *bench, const char *name)
{
	const struct matching_shape shape = {
		bench->subscriptions, bench->events_count, bench->seed};
	struct matching_source source = {0};
	struct err_info info = {0};
	enum err err = matching_workload_open(name, &shape, &info, &source);
	if (err != OK) {
		return failed(bench, err, &info);
	}
	enum cli_status status = CLI_DONE;
	if (bench->write_rules || bench->write_events) {
		err = matching_files_write(&source, bench->write_rules, bench->write_events, &info);
		status = err == OK ? CLI_DONE : failed(bench, err, &info);
	} else {
		status = measure(bench, &source);
	}
	matching_source_free(&source);
	return status;
}

static enum cli_status run_workloads(struct bench *bench)
{
	bool is_written = bench->write_rules || bench->write_events;
	enum cli_status worst = CLI_DONE;
	if (!is_written) {
		begin(bench);
	}
	if (strcmp(bench->workload, "all") != 0) {
		return run_workload(bench, bench->workload);
	}
	const char *name = NULL;
	for (size_t i = 0; (name = matching_workload_name(i)) != NULL; i++) {
		enum cli_status status = run_workload(bench, name);
		worst = status > worst ? status : worst;
	}
	return worst;
}

/* ---- arguments ------------------------------------------------------------------------------- */

static enum cli_status list_workloads(void)
{
	const char *name = NULL;
	for (size_t i = 0; (name = matching_workload_name(i)) != NULL; i++) {
		(void)printf("%-18s %s\n", name, matching_workload_text(i));
	}
	return CLI_DONE;
}

static enum cli_status check_workload(const struct bench *bench)
{
	struct cli_nearest nearest = {.written = bench->workload};
	const char *name = NULL;
	for (size_t i = 0; (name = matching_workload_name(i)) != NULL; i++) {
		if (strcmp(name, bench->workload) == 0) {
			return CLI_DONE;
		}
		cli_consider(&nearest, name);
	}
	cli_consider(&nearest, "all");
	if (strcmp(bench->workload, "all") == 0) {
		return CLI_DONE;
	}
	return nearest.name
		? cli_refuse(bench->command, "there is no workload \"%s\"; did you mean %s?",
			  bench->workload, nearest.name)
		: cli_refuse(bench->command, "there is no workload \"%s\"; --list tells them all",
			  bench->workload);
}

static enum cli_status set_events(struct bench *bench)
{
	char *end = NULL;
	unsigned long long count = strtoull(bench->events, &end, 10);
	if (bench->events[0] < '0' || bench->events[0] > '9' || *end || count == 0 ||
		count > UINT32_MAX) {
		return cli_refuse(bench->command,
			"--events: \"%s\" should be a whole number from 1 to 4294967295, or a file "
			"beside --rules",
			bench->events);
	}
	bench->events_count = count;
	return CLI_DONE;
}

static enum cli_status check_files(const struct bench *bench)
{
	if (bench->workload || bench->write_rules || bench->write_events) {
		return cli_refuse(bench->command,
			"--rules FILE goes with --events FILE alone, not with --workload or "
			"--write-...");
	}
	return bench->events ? CLI_DONE
			     : cli_refuse(bench->command, "--rules FILE wants --events FILE too");
}

static enum cli_status check_arguments(struct bench *bench)
{
	if (bench->rules_path) {
		return check_files(bench);
	}
	if (!bench->workload) {
		return cli_refuse(bench->command, "--workload NAME or --rules FILE is missing");
	}
	bool is_all = strcmp(bench->workload, "all") == 0;
	if (is_all && (bench->write_rules || bench->write_events || bench->prints_matches)) {
		return cli_refuse(bench->command,
			"--write-... and --matches are for one workload, not for all");
	}
	if (bench->subscriptions > UINT32_MAX) {
		return cli_refuse(bench->command,
			"--subscriptions: %llu should be a whole number from 1 to 4294967295",
			(unsigned long long)bench->subscriptions);
	}
	bench->events = bench->events ? bench->events : EVENTS;
	enum cli_status status = check_workload(bench);
	return status == CLI_DONE ? set_events(bench) : status;
}

static enum cli_status run_match(const struct cli_command *command, int count, char **arguments)
{
	struct bench bench = {.command = command, .subscriptions = SUBSCRIPTIONS, .seed = 1};
	const struct cli_option table[] = {
		{"workload", "NAME", "which one is made up, or all", .text = &bench.workload},
		{"subscriptions", "N", "of a workload (default 100000)",
			.count = &bench.subscriptions},
		{"events", "M", "of a workload (default 100000), or", .text = &bench.events},
		{"rules", "FILE", "with --events FILE: match these rules and changes",
			.text = &bench.rules_path},
		{"seed", "N", "what the numbers are drawn from (default 1)", .count = &bench.seed},
		{"verify", NULL, "compare each result with a look at every subscription",
			.flag = &bench.verifies},
		{"matches", NULL, "print each event_id<TAB>subscription id that matched, sorted",
			.flag = &bench.prints_matches},
		{"busy", NULL, "the machine is: measure the processor's time, not elapsed time",
			.flag = &bench.is_busy},
		{"trust-json", NULL, "of a document read and check only what subscriptions look at",
			.flag = &bench.trusts_json},
		{"json", NULL, "one JSON object a line", .flag = &bench.is_json},
		{"write-rules", "FILE", "write the workload's rules, and measure nothing",
			.text = &bench.write_rules},
		{"write-events", "FILE", "write its changes, and measure nothing",
			.text = &bench.write_events},
		{"list", NULL, "the workloads", .flag = &bench.lists},
		{0},
	};
	const struct cli_parser parser = {.command = command, .options = table};
	enum cli_status status = CLI_DONE;
	if (!cli_parse(&parser, count, arguments, &status)) {
		return status;
	}
	if (bench.lists) {
		return list_workloads();
	}
	status = check_arguments(&bench);
	if (status == CLI_DONE) {
		bench_output_init(&bench.output, bench.is_json);
		status = bench.rules_path ? measure_files(&bench) : run_workloads(&bench);
	}
	bench_matches_fini(&bench.matches);
	return fflush(stdout) == 0 ? status : CLI_FAILED;
}

/* ---- the command ----------------------------------------------------------------------------- */

static const struct cli_command bench_match = {
	.name = "bench match",
	.synopsis = "--workload NAME [OPTION]...\n"
		    "       streamer bench match --rules FILE --events FILE [OPTION]...",
	.text = "Measures the matching engine alone, on one core of this machine: how long it "
		"takes "
		"to\n"
		"match an event that has been read, up to the list of streams and ids (match ns), "
		"and\n"
		"to read it as well (+read ns); how many subscriptions matched; how many queries "
		"were\n"
		"verified; bytes a subscription, as the allocator counts them and as the process "
		"grew;\n"
		"what a subscribe and an unsubscribe take at full size; and the longest single "
		"call.\n"
		"A rule is one JSON object a line:\n"
		"  {\"id\":\"r1\",\"database\":\"default\",\"collection\":\"users\",\n"
		"   "
		"\"filters\":[{\"field\":\"age\",\"op\":\">\",\"value\":18}],\"expression\":\"..."
		"\"}\n"
		"and a change what `streamer puller --help` says. Limits on subscriptions, "
		"expressions\n"
		"and residuals are lifted. Ends with status 1 if --verify found a difference.\n",
	.examples = "  streamer bench match --workload equality --subscriptions 1000000\n"
		    "  streamer bench match --workload all --events 20000 --json\n"
		    "  streamer bench match --workload rules --write-rules r.ndjson --write-events "
		    "e.ndjson\n"
		    "  streamer bench match --rules r.ndjson --events e.ndjson --matches\n",
	.run = run_match,
};

static enum cli_status run(const struct cli_command *command, int count, char **arguments)
{
	static const struct cli_command *const measures[] = {
		&bench_match, &cli_bench_delivery, &cli_bench_e2e};
	for (size_t i = 0; count > 0 && i < sizeof(measures) / sizeof(measures[0]); i++) {
		if (strcmp(arguments[0], measures[i]->name + strlen("bench ")) == 0) {
			return measures[i]->run(measures[i], count - 1, arguments + 1);
		}
	}
	static const struct cli_option none[] = {{0}};
	const char *what = NULL;
	const struct cli_parser parser = {.command = command,
		.options = none,
		.operand = "what to measure (match, delivery, e2e)",
		.operand_text = &what};
	enum cli_status status = CLI_DONE;
	if (!cli_parse(&parser, count, arguments, &status)) {
		return status;
	}
	return cli_refuse(command, "\"%s\" cannot be measured; match, delivery and e2e can", what);
}

const struct cli_command cli_bench = {
	.name = "bench",
	.summary = "measures matching, deliveries or the whole path on this machine",
	.synopsis = "match | delivery | e2e [OPTION]...",
	.text = "Measures Streamer: `match`, the matching engine alone, over made-up workloads or\n"
		"your rules; `delivery`, from a stream's queue to the socket; `e2e`, a Streamer\n"
		"between a Puller and gateways. `streamer bench match --help` and so on tell "
		"more.\n",
	.examples =
		"  streamer bench match --workload equality --subscriptions 1000000\n"
		"  streamer bench match --rules rules.ndjson --events changes.ndjson --matches\n"
		"  streamer bench delivery --json\n"
		"  streamer bench e2e --subscriptions 1000000 --rate 10000\n",
	.run = run,
};
