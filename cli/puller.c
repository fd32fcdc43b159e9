/* streamer puller: a PullerService over a file, on a loop of its own. */
#include "puller.h"
#include "base.h"
#include "cli.h"
#include "loop.h"
#include "metrics.h"

#include <unistd.h>

struct run {
	const struct cli_command *command;
	struct loop *loop;
	struct puller *puller;
	struct loop_watch *watch;
	int signals;
};

static void on_closed(void *ctx)
{
	struct run *run = ctx;
	loop_stop(run->loop);
}

static void on_signal(void *ctx)
{
	struct run *run = ctx;
	cli_say(run->command, "%s: ends its subscribers; once more ends at once",
		cli_signals_take(run->signals));
	loop_watch_free(run->watch);
	run->watch = NULL;
	puller_close(run->puller, on_closed, run);
}

static enum err open_all(
	struct run *run, const struct puller_options *options, struct err_info *info)
{
	enum err err = loop_new(&run->loop);
	if (err == OK) {
		err = loop_watch_new(run->loop, run->signals, on_signal, run, &run->watch);
	}
	if (err != OK) {
		return err_set(info, err, 0, "cannot start: %s", err_text(err));
	}
	return puller_new(run->loop, options, info, &run->puller);
}

static enum cli_status serve_file(
	const struct cli_command *command, const struct puller_options *given)
{
	struct metrics metrics = {0};
	const struct log log = {.fd = STDERR_FILENO, .least = LOG_INFO};
	struct err_info info = {0};
	struct run run = {.command = command, .signals = cli_signals_open(command)};
	if (run.signals < 0) {
		return CLI_FAILED;
	}
	struct puller_options options = *given;
	options.log = &log;
	options.metrics = &metrics;
	enum cli_status status = CLI_DONE;
	enum err err = open_all(&run, &options, &info);
	if (err == OK) {
		log_write(&log, loop_wall_us(run.loop), LOG_INFO,
			"puller: listening on %s, file=%s", puller_address(run.puller),
			options.path);
		loop_run(run.loop);
	} else {
		cli_say(command, "--file %s --listen %s: %s", options.path, options.listen_address,
			info.text);
		status = CLI_FAILED;
	}
	puller_free(run.puller);
	if (run.watch) {
		loop_watch_free(run.watch);
	}
	loop_free(run.loop);
	(void)close(run.signals);
	return status;
}

static enum cli_status run(const struct cli_command *command, int count, char **arguments)
{
	struct puller_options options = {.listen_address = "localhost:9000"};
	const struct cli_option table[] = {
		{"file", "PATH", "the changes, one JSON object a line; - for stdin",
			.is_required = true, .text = &options.path},
		{"listen", "ADDR",
			"for the Streamer (default localhost:9000); port 0 takes a free one",
			.text = &options.listen_address},
		{"rate", "N", "changes a second to each subscriber (default: as fast as taken)",
			.rate = &options.rate},
		{"loop", NULL, "begin again at the end, with new cluster times and event ids",
			.flag = &options.loop},
		{0},
	};
	const struct cli_parser parser = {.command = command, .options = table};
	enum cli_status status = CLI_DONE;
	return cli_parse(&parser, count, arguments, &status) ? serve_file(command, &options)
							     : status;
}

const struct cli_command cli_puller = {
	.name = "puller",
	.summary = "serves a file of changes as a Puller does, for replay and trials",
	.synopsis = "--file PATH [--listen ADDR] [--rate N] [--loop]",
	.text = "Reads a file of changes and gives it to every subscriber in order, with markers "
		"to\n"
		"resume from and with heartbeats. A change is one JSON object a line:\n"
		"  {\"op\":\"insert|update|replace|delete\",\"database\":\"default\",\n"
		"   \"collection\":\"users\",\"id\":\"u1\",\"data\":{...}}\n"
		"or a ChangeEvent with the field names of proto/puller.proto. A line that is "
		"neither\n"
		"is an error with its number. SIGTERM or SIGINT ends it with status 0.\n",
	.examples = "  streamer puller --file changes.ndjson --listen localhost:9000\n"
		    "  streamer puller --file changes.ndjson --loop --rate 2\n",
	.run = run,
};
