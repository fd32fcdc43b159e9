/* A line is made in memory of the stack and leaves in one write; what does not fit is cut. */
#include "base.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES_MAX 4096

static const char *level_name(enum log_level level)
{
	static const char *const names[] = {
		[LOG_ERROR] = "error",
		[LOG_WARNING] = "warning",
		[LOG_INFO] = "info",
		[LOG_DEBUG] = "debug",
	};
	return names[level];
}

/* "2026-11-24T00:17:05.123Z warning "; its length, always less than `size`. */
static size_t print_head(char *line, size_t size, int64_t wall_us, enum log_level level)
{
	int64_t second = wall_us / 1000000;
	int64_t us = wall_us % 1000000;
	if (us < 0) {
		us += 1000000;
		second--;
	}
	time_t time = (time_t)second;
	struct tm utc = {0};
	(void)gmtime_r(&time, &utc);
	int length = snprintf(line, size, "%04lld-%02d-%02dT%02d:%02d:%02d.%03dZ %s ",
		utc.tm_year + 1900LL, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
		utc.tm_sec, (int)(us / 1000), level_name(level));
	return length > 0 && (size_t)length < size ? (size_t)length : 0;
}

void log_write(
	const struct log *log, int64_t wall_us, enum log_level level, const char *format, ...)
{
	if (!log || log->fd < 0 || level > log->least) {
		return;
	}
	char line[LINE_BYTES_MAX];
	size_t size = print_head(line, sizeof(line), wall_us, level);
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(line + size, sizeof(line) - size, format, arguments);
	va_end(arguments);
	if (length < 0) {
		return;
	}
	size_t room = sizeof(line) - size - 1; /* the NUL's place becomes the line's end */
	size_t end = size + ((size_t)length < room ? (size_t)length : room);
	for (size_t i = size; i < end; i++) {
		unsigned char byte = (unsigned char)line[i];
		if (byte < 0x20 || byte == 0x7F) {
			line[i] = '?';
		}
	}
	line[end++] = '\n';
	/* A log that cannot be written has nowhere to say so. */
	ssize_t written = 0;
	do {
		written = write(log->fd, line, end);
	} while (written < 0 && errno == EINTR);
}
