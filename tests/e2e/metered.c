/*
 * An engine between a Puller and gateways whose figures can be asked for: each line of stdin is
 * answered with all of them and a line "." behind. It listens on a free port, logs to stderr as
 * `streamer serve` does, and ends with stdin. Its arguments set limits.
 */
#include <streamer.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEXT_SIZE 65536

static void must(bool holds, const char *what)
{
	if (!holds) {
		(void)fprintf(stderr, "metered: %s\n", what);
		exit(1); /* NOLINT(concurrency-mt-unsafe): whatever else runs */
	}
}

static void print_metrics(const struct streamer *streamer)
{
	static char text[TEXT_SIZE];
	must(streamer_metrics(streamer, text, sizeof(text)) < sizeof(text), "too many figures");
	(void)printf("%s.\n", text);
	(void)fflush(stdout);
}

int main(int count, char **arguments)
{
	struct streamer_options options;
	struct streamer_failure failure = {0};
	struct streamer *streamer = NULL;
	char line[16];
	must(count >= 2 && count % 2 == 0, "usage: metered PULLER_ADDRESS [LIMIT NUMBER]...");
	streamer_options_init(&options);
	options.source = STREAMER_PULLER;
	options.source_address = arguments[1];
	options.listen_address = "localhost:0";
	options.log_fd = STDERR_FILENO;
	for (int i = 2; i < count; i += 2) {
		must(streamer_options_set(&options, arguments[i], arguments[i + 1], &failure) ==
				STREAMER_OK,
			failure.text);
	}
	must(streamer_open(&options, &failure, &streamer) == STREAMER_OK, failure.text);
	while (fgets(line, sizeof(line), stdin)) {
		print_metrics(streamer);
	}
	streamer_close(streamer);
	return 0;
}
