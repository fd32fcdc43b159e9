/* Messages to people: one line each, on stderr. */
#include "cli.h"

#include <stdarg.h>
#include <string.h>

#define LINE_BYTES_MAX 2048

static void say(const struct cli_command *command, const char *format, va_list arguments)
{
	char line[LINE_BYTES_MAX];
	int length = vsnprintf(line, sizeof(line), format, arguments);
	size_t size = length < 0 ? 0 : strlen(line);
	for (size_t i = 0; i < size; i++) {
		unsigned char byte = (unsigned char)line[i];
		if (byte < 0x20 || byte == 0x7F) {
			line[i] = '?';
		}
	}
	(void)fprintf(stderr, "streamer%s%s: %s\n", command ? " " : "",
		command ? command->name : "", line);
}

void cli_say(const struct cli_command *command, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	say(command, format, arguments);
	va_end(arguments);
}

enum cli_status cli_refuse(const struct cli_command *command, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	say(command, format, arguments);
	va_end(arguments);
	(void)fprintf(stderr, "streamer%s%s --help tells what there is\n", command ? " " : "",
		command ? command->name : "");
	return CLI_USAGE;
}
