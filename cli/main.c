/* The program: finds the command and leaves the rest to it. */
#include "cli.h"

#include <malloc.h>
#include <signal.h>
#include <string.h>

static const struct cli_command *const commands[] = {
	&cli_serve, &cli_puller, &cli_watch, &cli_check, &cli_bench};
#define COMMANDS_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *to)
{
	(void)fputs("usage: streamer COMMAND [OPTION]...\n"
		    "       streamer COMMAND --help\n"
		    "       streamer --help | --version\n"
		    "\n"
		    "Streamer matches the changes of a database against live subscriptions and\n"
		    "delivers them in order.\n"
		    "\n"
		    "commands:\n",
		to);
	for (size_t i = 0; i < COMMANDS_COUNT; i++) {
		(void)fprintf(to, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
	}
	(void)fputs("\nexamples:\n", to);
	for (size_t i = 0; i < COMMANDS_COUNT; i++) {
		size_t size = strcspn(commands[i]->examples, "\n");
		(void)fprintf(to, "%.*s\n", (int)size, commands[i]->examples);
	}
	(void)fputs("\nexit status: 0 fine, 1 it failed, 2 it was called wrongly\n", to);
}

static enum cli_status refuse_command(const char *written)
{
	struct cli_nearest nearest = {.written = written};
	for (size_t i = 0; i < COMMANDS_COUNT; i++) {
		cli_consider(&nearest, commands[i]->name);
	}
	if (nearest.name) {
		return cli_refuse(NULL, "there is no command \"%s\"; did you mean %s?", written,
			nearest.name);
	}
	return cli_refuse(NULL,
		"there is no command \"%s\"; there are serve, puller, watch, check and bench",
		written);
}

static enum cli_status refuse_option(const char *written)
{
	struct cli_nearest nearest = {.written = written};
	cli_consider(&nearest, "--help");
	cli_consider(&nearest, "--version");
	if (nearest.name) {
		return cli_refuse(
			NULL, "there is no option %s; did you mean %s?", written, nearest.name);
	}
	return cli_refuse(NULL, "the command comes first, as in streamer serve %s", written);
}

/* Whether all of stdout has gone where it should. */
static enum cli_status finish(void)
{
	return fflush(stdout) == 0 && !ferror(stdout) ? CLI_DONE : CLI_FAILED;
}

int main(int count, char **arguments)
{
	/* glibc keeps small pieces apart when they are freed, and joins all of them at once when a
	   large one is asked for: a pause of seconds after a million subscriptions have gone. */
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is no other thread yet */
	(void)mallopt(M_MXFAST, 0);
	/* Nor is all that was freed given back in one call. */
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is no other thread yet */
	(void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
	/* That also ends the growth of the size from which memory is the system's own, page by page
	   anew: deliveries of many ids are below it. */
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is no other thread yet */
	(void)mallopt(M_MMAP_THRESHOLD, 4 << 20);
	/* A reader who leaves is seen as EPIPE, where it matters. */
	(void)signal(SIGPIPE, SIG_IGN);
	if (count < 2) {
		print_help(stderr);
		return CLI_USAGE;
	}
	const char *name = arguments[1];
	for (size_t i = 0; i < COMMANDS_COUNT; i++) {
		if (strcmp(name, commands[i]->name) == 0) {
			return commands[i]->run(commands[i], count - 2, arguments + 2);
		}
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
		print_help(stdout);
		return finish();
	}
	if (strcmp(name, "--version") == 0) {
		(void)printf("streamer %s\n", streamer_version());
		return finish();
	}
	if (name[0] == '-') {
		return refuse_option(name);
	}
	return refuse_command(name);
}
