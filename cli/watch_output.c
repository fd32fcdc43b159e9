/*
 * Lines are made whole in memory and leave in pieces that the reader has room for, so that a reader
 * who stands still holds up nothing but the stream: signals are still seen. What a document says
 * never reaches a terminal as a control character.
 */
#include "watch_output.h"

#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#define ELLIPSIS "\xE2\x80\xA6"
#define COLUMNS_STANDARD 80
#define TIME_DIM "\x1B[2m"
#define ID_BOLD "\x1B[1m"
#define PLAIN "\x1B[0m"

static bool wants_color(void)
{
	const char *none = getenv("NO_COLOR"); /* NOLINT(concurrency-mt-unsafe): set by nobody */
	const char *kind = getenv("TERM");     /* NOLINT(concurrency-mt-unsafe): set by nobody */
	return !(none && *none) && kind && *kind && strcmp(kind, "dumb") != 0;
}

bool watch_output_init(struct watch_output *output, int fd, int signals, bool is_json)
{
	*output = (struct watch_output){.fd = fd, .signals = signals, .is_json = is_json};
	output->is_terminal = isatty(fd) == 1;
	output->has_color = output->is_terminal && wants_color();
	/* How wide a character is depends on it. */
	(void)setlocale(LC_CTYPE, "C.UTF-8"); /* NOLINT(concurrency-mt-unsafe): no other thread */
	output->line = open_memstream(&output->text, &output->text_size);
	return output->line != NULL;
}

void watch_output_fini(struct watch_output *output)
{
	if (output->line) {
		(void)fclose(output->line);
	}
	free(output->text);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

void watch_put_json(FILE *to, struct streamer_bytes text)
{
	(void)fputc('"', to);
	for (size_t i = 0; i < text.size; i++) {
		unsigned char byte = (unsigned char)text.data[i];
		if (byte < 0x20) {
			(void)fprintf(to, "\\u%04x", byte);
			continue;
		}
		if (byte == '"' || byte == '\\') {
			(void)fputc('\\', to);
		}
		(void)fputc(byte, to);
	}
	(void)fputc('"', to);
}

static void put_member(FILE *to, const char *name, struct streamer_bytes text)
{
	(void)fprintf(to, "\"%s\":", name);
	watch_put_json(to, text);
	(void)fputc(',', to);
}

/* The document as it came, but for line ends, which in JSON stand between its parts only. */
static void put_document(FILE *to, struct streamer_bytes document)
{
	if (document.size == 0) {
		(void)fputs("null", to);
	}
	for (size_t i = 0; i < document.size; i++) {
		char byte = document.data[i];
		(void)fputc(byte == '\n' || byte == '\r' ? ' ' : byte, to);
	}
}

static void put_object(FILE *to, const struct streamer_item *delivery)
{
	(void)fputc('{', to);
	put_member(to, "event_id", delivery->event_id);
	put_member(to, "database", delivery->database);
	put_member(to, "collection", delivery->collection);
	put_member(to, "document_id", delivery->document_id);
	(void)fprintf(to,
		"\"operation\":\"%s\",\"document\":", streamer_operation_name(delivery->operation));
	put_document(to, delivery->document);
	(void)fprintf(to, ",\"timestamp\":%lld,\"subscription_ids\":[",
		(long long)delivery->timestamp_ms);
	for (size_t i = 0; i < delivery->subscription_ids_count; i++) {
		if (i > 0) {
			(void)fputc(',', to);
		}
		watch_put_json(to, delivery->subscription_ids[i]);
	}
	(void)fputs("]}\n", to);
}

/* ---- for people ------------------------------------------------------------------------------ */

static size_t columns(const struct watch_output *output)
{
	struct winsize size = {0};
	if (!output->is_terminal) {
		return SIZE_MAX;
	}
	return ioctl(output->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col
									    : COLUMNS_STANDARD;
}

/* The first character of `text`: its size, and how many columns it takes; -1: not to be shown. */
static size_t measure(struct streamer_bytes text, int *ret_columns)
{
	mbstate_t state = {0};
	wchar_t point = 0;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the state is ours */
	size_t size = mbrtowc(&point, text.data, text.size, &state);
	if (size == 0 || size > text.size) {
		*ret_columns = -1;
		return 1;
	}
	bool is_control = point < 0x20 || (point >= 0x7F && point < 0xA0);
	int width = wcwidth(point);
	*ret_columns = is_control ? -1 : width < 0 ? 1 : width;
	return size;
}

/* As much as the line has room for; the rest is told by an ellipsis in the last column. */
static void put_text(struct watch_output *output, struct streamer_bytes text)
{
	size_t at = 0;
	while (at < text.size && output->columns_left > 0) {
		int width = 0;
		size_t size =
			measure((struct streamer_bytes){text.data + at, text.size - at}, &width);
		size_t taken = width < 0 ? 1 : (size_t)width;
		bool is_last = at + size == text.size;
		if (taken > output->columns_left || (taken == output->columns_left && !is_last)) {
			(void)fputs(ELLIPSIS, output->line);
			output->columns_left = 0;
			return;
		}
		if (width < 0) {
			(void)fputc('?', output->line);
		} else {
			(void)fwrite(text.data + at, 1, size, output->line);
		}
		output->columns_left -= taken;
		at += size;
	}
}

static void put_word(struct watch_output *output, const char *word)
{
	put_text(output, (struct streamer_bytes){word, strlen(word)});
}

/* A change of color takes no column. */
static void put_color(struct watch_output *output, const char *color)
{
	if (output->has_color) {
		(void)fputs(color, output->line);
	}
}

static const char *operation_color(enum streamer_operation operation)
{
	switch (operation) {
	case STREAMER_INSERT:
		return "\x1B[32m";
	case STREAMER_UPDATE:
		return "\x1B[33m";
	case STREAMER_DELETE:
		return "\x1B[31m";
	}
	return PLAIN;
}

static void put_time(struct watch_output *output, int64_t timestamp_ms)
{
	char text[32] = "";
	struct tm local = {0};
	int64_t ms = timestamp_ms % 1000;
	time_t second = (time_t)(timestamp_ms / 1000);
	if (localtime_r(&second, &local)) {
		(void)snprintf(text, sizeof(text), "%02d:%02d:%02d.%03d ", local.tm_hour,
			local.tm_min, local.tm_sec, (int)(ms < 0 ? 0 : ms));
	}
	put_word(output, text);
}

static void put_row(struct watch_output *output, const struct streamer_item *delivery)
{
	output->columns_left = columns(output);
	put_color(output, TIME_DIM);
	put_time(output, delivery->timestamp_ms);
	put_color(output, PLAIN);
	put_color(output, operation_color(delivery->operation));
	put_word(output, streamer_operation_name(delivery->operation));
	put_color(output, PLAIN);
	put_word(output, " ");
	put_text(output, delivery->collection);
	put_word(output, "/");
	put_color(output, ID_BOLD);
	put_text(output, delivery->document_id);
	put_color(output, PLAIN);
	put_word(output, " ");
	put_text(output, delivery->document);
	(void)fputc('\n', output->line);
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum watch_written write_piece(struct watch_output *output, size_t *done)
{
	struct pollfd ready[] = {
		{.fd = output->signals, .events = POLLIN}, {.fd = output->fd, .events = POLLOUT}};
	if (poll(ready, 2, -1) < 0) {
		return errno == EINTR ? WATCH_WRITTEN : WATCH_FAILED;
	}
	if (ready[0].revents) {
		return WATCH_SIGNAL;
	}
	/* A pipe that polls as writable has room for so much. */
	size_t size = output->text_size - *done;
	ssize_t written =
		write(output->fd, output->text + *done, size < PIPE_BUF ? size : PIPE_BUF);
	if (written >= 0) {
		*done += (size_t)written;
		return WATCH_WRITTEN;
	}
	if (errno == EINTR || errno == EAGAIN) {
		return WATCH_WRITTEN;
	}
	return errno == EPIPE ? WATCH_READER_GONE : WATCH_FAILED;
}

enum watch_written watch_output_write(
	struct watch_output *output, const struct streamer_item *delivery)
{
	rewind(output->line);
	if (output->is_json) {
		put_object(output->line, delivery);
	} else {
		put_row(output, delivery);
	}
	if (fflush(output->line) != 0 || ferror(output->line)) {
		return WATCH_FAILED;
	}
	enum watch_written outcome = WATCH_WRITTEN;
	size_t done = 0;
	while (outcome == WATCH_WRITTEN && done < output->text_size) {
		outcome = write_piece(output, &done);
	}
	return outcome;
}
