/*
 * A consumer in the engine's own process, for test_table.py: it follows a Puller by streamer.h and
 * nothing else, as a stranger's program does. Commands are lines of JSON on stdin, items go out as
 * lines of JSON on stdout, in the form of table_peer.js. One thread. The end of stdin ends it.
 */
#include "base.h"
#include "streamer.h"
#include "value.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STREAMS_MAX 8
#define FILTERS_MAX 10000
#define JSON_DEPTH_MAX 8

struct named_stream {
	char name[32];
	struct streamer_stream *stream; /* NULL: free */
};

struct program {
	struct streamer *streamer;
	struct named_stream streams[STREAMS_MAX];
	struct buffer input;
	struct arena arena; /* of one command */
	bool is_done;
};

static void must(bool holds, const char *what)
{
	if (!holds) {
		(void)fprintf(stderr, "table_local: %s\n", what);
		exit(1);
	}
}

/* ---- what goes out --------------------------------------------------------------------------- */

static struct bytes bytes_from(struct streamer_bytes bytes)
{
	return (struct bytes){bytes.data, bytes.size};
}

static void put(struct buffer *line, const char *text)
{
	must(buffer_append(line, bytes_of(text)) == OK, "out of memory");
}

static void put_text(struct buffer *line, const char *name, struct bytes text)
{
	put(line, ",\"");
	put(line, name);
	put(line, "\":");
	must(json_print_string(line, text) == OK, "a text cannot be printed");
}

static void put_number(struct buffer *line, const char *name, long long number)
{
	char text[80];
	(void)snprintf(text, sizeof(text), ",\"%s\":%lld", name, number);
	put(line, text);
}

static void begin(struct buffer *line, const char *item, const char *stream)
{
	put(line, "{\"item\":\"");
	put(line, item);
	put(line, "\"");
	put_text(line, "stream", bytes_of(stream));
}

static void finish(struct buffer *line)
{
	put(line, "}\n");
	must(fwrite(line->data, 1, line->size, stdout) == line->size, "stdout is gone");
	must(fflush(stdout) == 0, "stdout is gone");
	buffer_fini(line);
}

static void write_answer(
	const char *stream, struct bytes id, bool accepted, struct bytes text, struct bytes hint)
{
	struct buffer line = {0};
	begin(&line, "answer", stream);
	put_text(&line, "id", id);
	put(&line, accepted ? ",\"success\":true" : ",\"success\":false");
	put_text(&line, "error", text);
	put_text(&line, "hint", hint);
	finish(&line);
}

static void write_delivery(const char *stream, const struct streamer_item *item)
{
	struct buffer line = {0};
	begin(&line, "delivery", stream);
	put_text(&line, "event_id", bytes_from(item->event_id));
	put_text(&line, "database", bytes_from(item->database));
	put_text(&line, "collection", bytes_from(item->collection));
	put_text(&line, "document_id", bytes_from(item->document_id));
	put_text(&line, "operation", bytes_of(streamer_operation_name(item->operation)));
	put_text(&line, "document_data", bytes_from(item->document));
	put_number(&line, "timestamp", item->timestamp_ms);
	put(&line, ",\"ids\":[");
	for (size_t i = 0; i < item->subscription_ids_count; i++) {
		put(&line, i > 0 ? "," : "");
		must(json_print_string(&line, bytes_from(item->subscription_ids[i])) == OK,
			"an id cannot be printed");
	}
	put(&line, "]");
	finish(&line);
}

static void write_item(const char *stream, const struct streamer_item *item)
{
	if (item->kind == STREAMER_DELIVERY) {
		write_delivery(stream, item);
	} else if (item->kind == STREAMER_ANSWER) {
		write_answer(stream, bytes_from(item->subscription_id), item->accepted,
			bytes_from(item->text), bytes_from(item->hint));
	} else if (item->kind == STREAMER_GAP) {
		struct buffer line = {0};
		begin(&line, "gap", stream);
		finish(&line);
	} else {
		struct buffer line = {0};
		begin(&line, item->kind == STREAMER_END ? "end" : "unknown", stream);
		put_text(&line, "status", bytes_of(streamer_err_text(item->why)));
		finish(&line);
	}
}

static void receive(struct named_stream *named)
{
	for (;;) {
		struct streamer_item item;
		enum streamer_err err = streamer_receive(named->stream, &item);
		if (err == STREAMER_EMPTY || err == STREAMER_CLOSED) {
			return;
		}
		must(err == STREAMER_OK, streamer_err_text(err));
		write_item(named->name, &item);
	}
}

/* ---- commands -------------------------------------------------------------------------------- */

/* A member's text, NUL-terminated, in the command's arena. */
static const char *text_of(struct program *program, const struct value *object, const char *name)
{
	const struct value *member = value_member(object, bytes_of(name));
	must(member && member->kind == VALUE_STRING, name);
	char *text = arena_alloc(&program->arena, member->size + 1);
	must(text, "out of memory");
	memcpy(text, member->as.text, member->size);
	text[member->size] = '\0';
	return text;
}

static struct named_stream *find(struct program *program, const char *name)
{
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		struct named_stream *named = &program->streams[i];
		if (named->stream && strcmp(named->name, name) == 0) {
			return named;
		}
	}
	return NULL;
}

static void open_stream(struct program *program, const char *name)
{
	struct named_stream *named = program->streams;
	while (named < program->streams + STREAMS_MAX && named->stream) {
		named++;
	}
	must(named < program->streams + STREAMS_MAX, "too many streams");
	(void)snprintf(named->name, sizeof(named->name), "%s", name);
	must(streamer_stream_open(program->streamer, &named->stream) == STREAMER_OK,
		"no stream can be opened");
}

static void subscribe(
	struct program *program, struct named_stream *named, const struct value *command)
{
	const struct value *list = value_member(command, bytes_of("filters"));
	must(list && list->kind == VALUE_LIST && list->size <= FILTERS_MAX, "filters");
	struct streamer_filter *filters =
		arena_alloc(&program->arena, (list->size + 1) * sizeof(*filters));
	must(filters, "out of memory");
	const struct value *item = list + 1;
	for (size_t i = 0; i < list->size; i++, item = value_after(item)) {
		filters[i] = (struct streamer_filter){.field = text_of(program, item, "field"),
			.op = text_of(program, item, "op"),
			.value = text_of(program, item, "value")};
	}
	const struct value *omits = value_member(command, bytes_of("omit_document"));
	const struct streamer_subscription subscription = {.id = text_of(program, command, "id"),
		.database = text_of(program, command, "database"),
		.collection = text_of(program, command, "collection"),
		.filters = filters,
		.filters_count = list->size,
		.omit_document = omits && omits->as.boolean};
	struct streamer_failure failure = {0};
	enum streamer_err err = streamer_subscribe(named->stream, &subscription, &failure, NULL);
	if (err != STREAMER_OK) {
		write_answer(named->name, bytes_of(subscription.id), false, bytes_of(failure.text),
			bytes_of(""));
	}
}

static void carry_out(struct program *program, struct bytes line)
{
	const struct value *command = NULL;
	struct err_info info = {0};
	arena_reset(&program->arena);
	must(json_parse(line, JSON_DEPTH_MAX, &program->arena, &command, &info) == OK, info.text);
	const char *verb = text_of(program, command, "do");
	const char *name = text_of(program, command, "stream");
	struct named_stream *named = find(program, name);
	if (strcmp(verb, "open") == 0) {
		open_stream(program, name);
		return;
	}
	must(named, "no such stream");
	if (strcmp(verb, "subscribe") == 0) {
		subscribe(program, named, command);
	} else if (strcmp(verb, "unsubscribe") == 0) {
		must(streamer_unsubscribe(named->stream, text_of(program, command, "id")) ==
				STREAMER_OK,
			"unsubscribe fails");
	} else {
		must(strcmp(verb, "close") == 0, "no such command");
		streamer_stream_close(named->stream);
		*named = (struct named_stream){0};
	}
}

/* All whole lines of what has come. */
static void read_commands(struct program *program)
{
	struct buffer *input = &program->input;
	must(buffer_reserve(input, 65536) == OK, "out of memory");
	ssize_t got = read(STDIN_FILENO, input->data + input->size, 65536);
	if (got <= 0) {
		program->is_done = true;
		return;
	}
	input->size += (size_t)got;
	size_t start = 0;
	const char *end;
	while ((end = memchr(input->data + start, '\n', input->size - start)) != NULL) {
		size_t size = (size_t)(end - input->data) - start;
		carry_out(program, (struct bytes){input->data + start, size});
		start += size + 1;
	}
	input->size -= start;
	memmove(input->data, input->data + start, input->size);
}

static void turn(struct program *program)
{
	struct pollfd waits[1 + STREAMS_MAX] = {{.fd = STDIN_FILENO, .events = POLLIN}};
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		const struct streamer_stream *stream = program->streams[i].stream;
		waits[1 + i] = (struct pollfd){
			.fd = stream ? streamer_stream_fd(stream) : -1, .events = POLLIN};
	}
	must(poll(waits, 1 + STREAMS_MAX, -1) > 0, "poll fails");
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		if (waits[1 + i].revents) {
			receive(&program->streams[i]);
		}
	}
	if (waits[0].revents) {
		read_commands(program);
	}
}

static void open_engine(struct program *program, const char *puller)
{
	struct streamer_options options;
	struct streamer_failure failure = {0};
	streamer_options_init(&options);
	options.source = STREAMER_PULLER;
	options.source_address = puller;
	must(streamer_options_set(&options, "puller_backoff_min_ms", "10", &failure) == STREAMER_OK,
		failure.text);
	must(streamer_open(&options, &failure, &program->streamer) == STREAMER_OK, failure.text);
}

int main(int argc, char **argv)
{
	struct program program = {0};
	must(argc == 2, "usage: table_local PULLER_ADDRESS");
	open_engine(&program, argv[1]);
	while (!program.is_done) {
		turn(&program);
	}
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		streamer_stream_close(program.streams[i].stream);
	}
	streamer_close(program.streamer);
	buffer_fini(&program.input);
	arena_fini(&program.arena);
	return 0;
}
