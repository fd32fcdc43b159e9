/*
 * streamer bench delivery, streamer bench e2e: what deliveries cost the process that makes them.
 * Arguments and figures are here; load and measuring are bench/delivery.h's and bench/path.h's.
 */
#include "bench_output.h"
#include "cli.h"
#include "delivery.h"
#include "path.h"

#include <inttypes.h>
#include <signal.h>

#define RUNS 3
#define WARM_UP_PART 5 /* of the events */
#define AHEAD_FROM_IDS 32
#define AHEAD_IDS 400000

/* A median of what is no whole number of runs would be a lie. */
static enum cli_status check_runs(const struct cli_command *command, uint64_t runs)
{
	return runs <= SAMPLES_MAX
		? CLI_DONE
		: cli_refuse(command, "--runs: %" PRIu64 " should be a whole number from 1 to %d",
			  runs, SAMPLES_MAX);
}

static enum cli_status failed(const struct cli_command *command, const struct bench_output *output,
	const struct err_info *info)
{
	bench_output_clear(output);
	cli_say(command, "%s", info->text);
	return CLI_FAILED;
}

/* ---- delivery -------------------------------------------------------------------------------- */

#define STREAM_COUNTS 3

struct delivery_bench {
	const struct cli_command *command;
	const char *server;
	uint64_t streams; /* 0: each of stream_counts */
	uint64_t message_bytes, runs;
	double seconds;
	bool is_json, serves;
	struct bench_output output;
	struct delivery_figures {
		struct samples messages_per_s, bytes_per_s, cpu_us;
	} figures[STREAM_COUNTS];
};

static const uint32_t stream_counts[STREAM_COUNTS] = {1, 10, 100};

static struct delivery_shape delivery_shape_of(const struct delivery_bench *bench, size_t i)
{
	return (struct delivery_shape){
		.streams = bench->streams ? (uint32_t)bench->streams : stream_counts[i],
		.message_bytes = (uint32_t)bench->message_bytes,
		.seconds = bench->seconds};
}

static void print_delivery(const struct delivery_bench *bench, size_t i)
{
	const struct delivery_figures *figures = &bench->figures[i];
	const struct delivery_shape shape = delivery_shape_of(bench, i);
	(void)printf(bench->is_json ? "{\"streams\":%" PRIu32 ",\"message_bytes\":%" PRIu32
				      ",\"tls\":false,\"messages_per_s\":%.0f,\"bytes_per_s\":%.0f,"
				      "\"cpu_us_per_message\":%.4f}\n"
				    : "%8" PRIu32 " %14" PRIu32 " %15.0f %14.0f %15.4f\n",
		shape.streams, shape.message_bytes, samples_median(&figures->messages_per_s),
		samples_median(&figures->bytes_per_s), samples_median(&figures->cpu_us));
}

static enum cli_status measure_delivery(struct delivery_bench *bench)
{
	size_t counts = bench->streams ? 1 : STREAM_COUNTS;
	for (uint64_t round = 0; round < bench->runs; round++) {
		for (size_t i = 0; i < counts; i++) {
			const struct delivery_shape shape = delivery_shape_of(bench, i);
			struct delivery_result result;
			struct err_info info = {0};
			bench_output_progress(
				&bench->output, "runs", round * counts + i, bench->runs * counts);
			if (delivery_run(&shape, bench->server, &info, &result) != OK) {
				return failed(bench->command, &bench->output, &info);
			}
			samples_add(&bench->figures[i].messages_per_s, result.messages_per_s);
			samples_add(&bench->figures[i].bytes_per_s, result.bytes_per_s);
			samples_add(&bench->figures[i].cpu_us, result.cpu_us);
		}
	}
	bench_output_clear(&bench->output);
	if (!bench->is_json) {
		(void)printf("%8s %14s %15s %14s %15s\n", "streams", "message bytes",
			"messages per s", "bytes per s", "CPU us/message");
	}
	for (size_t i = 0; i < counts; i++) {
		print_delivery(bench, i);
	}
	return CLI_DONE;
}

/* Blocked before any thread is: it is read as a descriptor. */
static enum cli_status serve_deliveries(const struct delivery_bench *bench)
{
	const struct delivery_shape shape = delivery_shape_of(bench, 0);
	struct err_info info = {0};
	sigset_t signals;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
	return delivery_serve(&shape, &info) == OK ? CLI_DONE
						   : failed(bench->command, &bench->output, &info);
}

static enum cli_status check_delivery(const struct delivery_bench *bench)
{
	if (bench->streams > DELIVERY_STREAMS_MAX) {
		return cli_refuse(bench->command,
			"--streams: %" PRIu64 " should be a whole number from 1 to %d",
			bench->streams, DELIVERY_STREAMS_MAX);
	}
	if (bench->message_bytes < DELIVERY_BYTES_LEAST ||
		bench->message_bytes > DELIVERY_BYTES_MAX) {
		return cli_refuse(bench->command,
			"--message-bytes: %" PRIu64 " should be a whole number from %d to %d",
			bench->message_bytes, DELIVERY_BYTES_LEAST, DELIVERY_BYTES_MAX);
	}
	return check_runs(bench->command, bench->runs);
}

static enum cli_status run_delivery(const struct cli_command *command, int count, char **arguments)
{
	struct delivery_bench bench = {
		.command = command, .message_bytes = 400, .runs = RUNS, .seconds = 2};
	const struct cli_option table[] = {
		{"streams", "N", "each on a connection of its own (default: 1, then 10, then 100)",
			.count = &bench.streams},
		{"message-bytes", "B", "of each delivery (default 400)",
			.count = &bench.message_bytes},
		{"seconds", "S", "of each run (default 2)", .rate = &bench.seconds},
		{"runs", "N", "of each number of streams, in turn; medians are told (default 3)",
			.count = &bench.runs},
		{"json", NULL, "one JSON object a line", .flag = &bench.is_json},
		{"server", "PROGRAM", "measure this one instead, which is called as Streamer's is",
			.text = &bench.server},
		{"serve", NULL, "be the process that is measured (started by the other one)",
			.flag = &bench.serves},
		{0},
	};
	const struct cli_parser parser = {.command = command, .options = table};
	enum cli_status status = CLI_DONE;
	if (!cli_parse(&parser, count, arguments, &status)) {
		return status;
	}
	status = check_delivery(&bench);
	if (status == CLI_DONE) {
		bench_output_init(&bench.output, bench.is_json);
		bench.output.workload = "delivery";
		status = bench.serves ? serve_deliveries(&bench) : measure_delivery(&bench);
	}
	return fflush(stdout) == 0 ? status : CLI_FAILED;
}

const struct cli_command cli_bench_delivery = {
	.name = "bench delivery",
	.synopsis = "[OPTION]...",
	.text = "Measures what a delivery costs from a stream's queue to the socket: a process of\n"
		"its own keeps streams full and sends them as `streamer serve` does, on one "
		"thread,\n"
		"over loopback TCP; this one reads and counts. CPU is that process's, putting the\n"
		"deliveries on their streams included. Messages have one subscription id each.\n",
	.examples = "  streamer bench delivery --json\n"
		    "  streamer bench delivery --streams 10 --message-bytes 900 --seconds 5\n",
	.run = run_delivery,
};

/* ---- e2e ------------------------------------------------------------------------------------- */

struct e2e_bench {
	const struct cli_command *command;
	const char *server;
	uint64_t subscriptions, gateways, fan_out, stalled, churn, events, workers, runs;
	double rate; /* 0: not given */
	bool is_max, is_json;
	struct bench_output output;
	struct samples events_per_s, cpu_us, p50_us, p99_us;
};

/* Many ids take long to send; a rate is kept up for five seconds. */
static uint64_t events_of(const struct e2e_bench *bench)
{
	if (bench->events > 0) {
		return bench->events;
	}
	double events =
		bench->is_max ? 500000 / (1 + (double)bench->fan_out / 50) : bench->rate * 5;
	return events > 10 ? (uint64_t)events : 10;
}

/*
 * Long runs of ids are matched faster than they can be sent, and would end their stream, as too
 * much that is queued does: then no more is sent ahead than leaves in some milliseconds.
 */
static uint64_t ahead_of(const struct e2e_bench *bench)
{
	uint64_t ids = bench->fan_out / bench->gateways;
	return ids >= AHEAD_FROM_IDS ? AHEAD_IDS / ids + 1 : 0;
}

static struct workload_shape e2e_shape_of(const struct e2e_bench *bench)
{
	uint64_t events = events_of(bench);
	return (struct workload_shape){.subscriptions = (uint32_t)bench->subscriptions,
		.gateways = (uint32_t)bench->gateways,
		.fan_out = (uint32_t)bench->fan_out,
		.stalled = (uint32_t)bench->stalled,
		.churn = true,
		.joining = (uint32_t)bench->churn,
		.warm_up = events / WARM_UP_PART + 1,
		.events = events,
		.ahead = ahead_of(bench)};
}

static void add_e2e(struct e2e_bench *bench, const struct path_result *result)
{
	double events = (double)events_of(bench);
	samples_add(&bench->events_per_s, events / result->wall_s);
	samples_add(&bench->cpu_us, result->streamer_s * 1e6 / events);
	samples_add(&bench->p50_us, (double)histogram_quantile(&result->latency_ns, 0.5) / 1e3);
	samples_add(&bench->p99_us, (double)histogram_quantile(&result->latency_ns, 0.99) / 1e3);
}

static void print_e2e(const struct e2e_bench *bench)
{
	const struct workload_shape shape = e2e_shape_of(bench);
	double events_per_s = samples_median(&bench->events_per_s);
	double cpu_us = samples_median(&bench->cpu_us);
	double per_event = workload_deliveries_per_event(&shape);
	double offered = bench->is_max ? events_per_s : bench->rate;
	if (bench->is_json) {
		(void)printf("{\"events_per_s\":%.0f,\"deliveries_per_s\":%.0f,"
			     "\"cpu_us_per_event\":%.3f,\"cpu_us_per_delivery\":%.3f,"
			     "\"p50_us\":%.1f,\"p99_us\":%.1f,\"offered\":%.0f}\n",
			events_per_s, events_per_s * per_event, cpu_us, cpu_us / per_event,
			samples_median(&bench->p50_us), samples_median(&bench->p99_us), offered);
		return;
	}
	(void)printf("events per s      %12.0f   offered: %.0f\n", events_per_s, offered);
	(void)printf("deliveries per s  %12.0f   ids per s: %.0f\n", events_per_s * per_event,
		events_per_s * (double)bench->fan_out);
	(void)printf("CPU us per event  %12.3f   per delivery: %.3f\n", cpu_us, cpu_us / per_event);
	(void)printf("latency p50 us    %12.1f   p99: %.1f\n", samples_median(&bench->p50_us),
		samples_median(&bench->p99_us));
}

static enum cli_status measure_e2e(struct e2e_bench *bench)
{
	const struct workload_shape shape = e2e_shape_of(bench);
	const struct path_options options = {.rate = bench->is_max ? 0 : bench->rate,
		.workers = (uint32_t)bench->workers,
		.program = bench->server};
	for (uint64_t round = 0; round < bench->runs; round++) {
		struct path_result result;
		struct err_info info = {0};
		bench_output_progress(&bench->output, "runs", round, bench->runs);
		if (path_run(&shape, &options, &info, &result) != OK) {
			return failed(bench->command, &bench->output, &info);
		}
		add_e2e(bench, &result);
	}
	bench_output_clear(&bench->output);
	print_e2e(bench);
	return CLI_DONE;
}

static enum cli_status check_e2e(struct e2e_bench *bench)
{
	if (bench->is_max && bench->rate > 0) {
		return cli_refuse(bench->command, "--max is without a rate: --rate or --max");
	}
	bench->rate = bench->rate > 0 ? bench->rate : 10000;
	if (bench->subscriptions > 100000000 || bench->churn > 100000000 ||
		bench->gateways > 1000 || bench->fan_out > 1000000 || bench->events > 1000000000 ||
		bench->workers > 256) {
		return cli_refuse(bench->command,
			"at most 100000000 --subscriptions and --churn, 1000 --gateways, "
			"--fan-out 1000000, 1000000000 --events and 256 --workers");
	}
	const struct workload_shape shape = e2e_shape_of(bench);
	const char *problem = workload_problem(&shape);
	if (problem) {
		return cli_refuse(bench->command, "there should be %s", problem);
	}
	return check_runs(bench->command, bench->runs);
}

static enum cli_status run_e2e(const struct cli_command *command, int count, char **arguments)
{
	struct e2e_bench bench = {.command = command,
		.subscriptions = 100000,
		.gateways = 10,
		.fan_out = 1,
		.workers = 1,
		.runs = RUNS};
	const struct cli_option table[] = {
		{"subscriptions", "N", "of all gateways (default 100000)",
			.count = &bench.subscriptions},
		{"gateways", "G", "(default 10)", .count = &bench.gateways},
		{"rate", "R", "changes a second (default 10000)", .rate = &bench.rate},
		{"max", NULL, "as fast as the Streamer takes them, instead of --rate",
			.flag = &bench.is_max},
		{"fan-out", "F", "subscriptions that a change matches (default 1)",
			.count = &bench.fan_out},
		{"stalled", "K", "gateways that subscribe and then read nothing",
			.count = &bench.stalled},
		{"churn", "N",
			"subscriptions of one more gateway, which registers them in bulk, leaves "
			"and comes again, all the while",
			.count = &bench.churn},
		{"server", "PROGRAM", "measure this one instead, which is called as Streamer's is",
			.text = &bench.server},
		{"workers", "N", "of the Streamer (default 1)", .count = &bench.workers},
		{"events", "M", "changes of a run (default: five seconds' worth)",
			.count = &bench.events},
		{"runs", "N", "medians are told (default 3)", .count = &bench.runs},
		{"json", NULL, "one JSON object", .flag = &bench.is_json},
		{0},
	};
	const struct cli_parser parser = {.command = command, .options = table};
	enum cli_status status = CLI_DONE;
	if (!cli_parse(&parser, count, arguments, &status)) {
		return status;
	}
	status = check_e2e(&bench);
	if (status == CLI_DONE) {
		bench_output_init(&bench.output, bench.is_json);
		bench.output.workload = "e2e";
		status = measure_e2e(&bench);
	}
	return fflush(stdout) == 0 ? status : CLI_FAILED;
}

const struct cli_command cli_bench_e2e = {
	.name = "bench e2e",
	.synopsis = "[--rate R | --max] [OPTION]...",
	.text = "Measures a `streamer serve` of its own between a Puller and gateways that are in\n"
		"this process: changes with documents of 400 bytes, and subscriptions that ask for "
		"a\n"
		"value. CPU is the Streamer's in all its threads; latency is from the Puller's "
		"call\n"
		"to the gateway's. A delivery is a message to one gateway: a fan-out of F goes to "
		"F\n"
		"gateways, or, if there are fewer, to all of them with F/G ids each. `offered` is "
		"the\n"
		"rate, with --max what was taken. A change that is lost, repeated or out of order "
		"is\n"
		"an error.\n",
	.examples = "  streamer bench e2e --subscriptions 1000000 --max --json\n"
		    "  streamer bench e2e --subscriptions 1000000 --rate 10000 --json\n"
		    "  streamer bench e2e --gateways 1 --fan-out 10000 --max\n"
		    "  streamer bench e2e --gateways 100 --fan-out 100 --stalled 1 --rate 1000\n",
	.run = run_e2e,
};
