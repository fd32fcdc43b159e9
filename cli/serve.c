/*
 * streamer serve: an engine from the first signal to the last. The library logs; here is what
 * decides when it ends, and with which status.
 */
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define NDJSON "ndjson:"

struct serve {
	const char *puller;
	const char *source;
	const char *listen;
	const char *state_dir;
	bool skip_bad, exit_at_end, trust_json, log_debug;
};

/* Sets where changes come from. */
static enum cli_status choose_source(const struct cli_command *command, const struct serve *serve,
	struct streamer_options *options)
{
	if (serve->puller && serve->source) {
		return cli_refuse(command,
			"--puller and --source exclude each other: changes come from one place");
	}
	if (serve->source && serve->state_dir) {
		return cli_refuse(command,
			"--state-dir is for a Puller, which can be asked to begin further back");
	}
	if (!serve->source && (serve->skip_bad || serve->exit_at_end)) {
		return cli_refuse(command, "%s is for --source " NDJSON "PATH; a Puller has no %s",
			serve->skip_bad ? "--skip-bad" : "--exit-at-end",
			serve->skip_bad ? "lines" : "end");
	}
	options->source = STREAMER_PULLER;
	options->source_address = serve->puller ? serve->puller : "localhost:9000";
	if (serve->source) {
		options->source = STREAMER_NDJSON;
		options->source_address = serve->source + strlen(NDJSON);
		if (strncmp(serve->source, NDJSON, strlen(NDJSON)) != 0 ||
			!*options->source_address) {
			return cli_refuse(command,
				"--source: \"%s\" should be " NDJSON "PATH, or " NDJSON
				"- for stdin",
				serve->source);
		}
	}
	return CLI_DONE;
}

/* Until the engine is to end, for whatever reason. */
static enum cli_status wait_for_end(const struct cli_command *command, const struct serve *serve,
	struct streamer *streamer, int signals)
{
	for (;;) {
		struct streamer_status status;
		streamer_status(streamer, &status);
		if (status.source == STREAMER_SOURCE_FAILED) {
			return CLI_FAILED;
		}
		if (serve->exit_at_end && status.source == STREAMER_SOURCE_ENDED &&
			status.routed >= status.events) {
			return CLI_DONE;
		}
		struct pollfd ready[] = {{.fd = signals, .events = POLLIN},
			{.fd = streamer_fd(streamer), .events = POLLIN}};
		if (poll(ready, 2, -1) < 0 && errno != EINTR) {
			cli_say(command, "cannot wait: %s", strerrordesc_np(errno));
			return CLI_FAILED;
		}
		if (ready[0].revents) {
			cli_say(command,
				"%s: gateways get what is queued for them; once more ends at once",
				cli_signals_take(signals));
			return CLI_DONE;
		}
	}
}

static enum cli_status serve_until_end(const struct cli_command *command, const struct serve *serve,
	const struct streamer_options *options)
{
	int signals = cli_signals_open(command);
	if (signals < 0) {
		return CLI_FAILED;
	}
	struct streamer_failure failure = {0};
	struct streamer *streamer = NULL;
	enum cli_status status = CLI_FAILED;
	enum streamer_err err = streamer_open(options, &failure, &streamer);
	if (err == STREAMER_INVALID) {
		status = cli_refuse(command, "%s", failure.text);
	} else if (err != STREAMER_OK) {
		cli_say(command, "%s", failure.text);
	} else {
		status = wait_for_end(command, serve, streamer, signals);
		streamer_close(streamer);
	}
	(void)close(signals);
	return status;
}

static enum cli_status run(const struct cli_command *command, int count, char **arguments)
{
	struct serve serve = {.listen = "localhost:50052"};
	struct streamer_options options;
	streamer_options_init(&options);
	const struct cli_option table[] = {
		{"puller", "ADDR", "the Puller (default localhost:9000)", .text = &serve.puller},
		{"source", NDJSON "PATH", "changes from a file, or from " NDJSON "- for stdin",
			.text = &serve.source},
		{"listen", "ADDR",
			"for gateways (default localhost:50052); port 0 takes a free one",
			.text = &serve.listen},
		{"state-dir", "DIR",
			"of a Puller: keep in DIR what a restart needs to go on where it was",
			.text = &serve.state_dir},
		{"skip-bad", NULL, "of a file: skip lines that are no change, with a warning",
			.flag = &serve.skip_bad},
		{"exit-at-end", NULL, "of a file: end when all of it has been delivered",
			.flag = &serve.exit_at_end},
		{"trust-json", NULL, "of a document read and check only what subscriptions look at",
			.flag = &serve.trust_json},
		{"log-debug", NULL, "log more", .flag = &serve.log_debug},
		{0},
	};
	const struct cli_parser parser = {.command = command, .options = table, .limits = &options};
	enum cli_status status = CLI_DONE;
	if (!cli_parse(&parser, count, arguments, &status)) {
		return status;
	}
	status = choose_source(command, &serve, &options);
	if (status != CLI_DONE) {
		return status;
	}
	options.listen_address = serve.listen;
	options.state_dir = serve.state_dir;
	options.skip_bad = serve.skip_bad;
	options.trust_json = serve.trust_json;
	options.log_fd = STDERR_FILENO;
	options.log_debug = serve.log_debug;
	return serve_until_end(command, &serve, &options);
}

const struct cli_command cli_serve = {
	.name = "serve",
	.summary = "follows a source of changes and serves gateways",
	.synopsis = "[--puller ADDR | --source " NDJSON "PATH] [--listen ADDR] [OPTION]...",
	.text = "Follows a Puller, or reads a file of changes, matches each change against the\n"
		"subscriptions of the gateways that are connected, and delivers it to them. One "
		"log\n"
		"line per message goes to stderr. SIGTERM or SIGINT lets gateways take what is "
		"queued\n"
		"for them, at most --drain-ms, and ends with status 0; a second one ends at once. "
		"A\n"
		"file that has been read to its end leaves it up, unless --exit-at-end. ADDR is\n"
		"host:port, [v6]:port or unix:/path.\n",
	.examples = "  streamer serve --puller localhost:9000 --listen localhost:50052\n"
		    "  streamer serve --puller localhost:9000 --state-dir /var/lib/streamer\n"
		    "  streamer serve --source " NDJSON "changes.ndjson --exit-at-end\n"
		    "  make-changes | streamer serve --source " NDJSON "- --workers 4\n",
	.run = run,
};
