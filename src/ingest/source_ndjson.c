/*
 * Lines of a file, a pipe or stdin as a source. A pipe is read when the loop says that there is
 * something; a regular file, which no poller takes, a piece per turn, so that the loop lives. At
 * most one piece and the line that began before it are in memory. Line numbers count from 1, empty
 * lines too.
 */
#include "ingest_priv.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)256 * 1024)

struct ndjson_source {
	struct ingest *ingest;
	int fd;                   /* -1: not open */
	bool is_stdin;            /* itself, which stays open */
	struct loop_watch *watch; /* NULL: read a piece per turn */
	struct loop_timer *next;  /* the next turn's work */
	struct buffer in;         /* read */
	size_t at;                /* where the next line begins in it */
	size_t searched;          /* no line ends between `at` and here */
	bool is_at_end;           /* the file is */
	bool is_too_long;         /* the line at `at` is; what was read of it has been dropped */
	uint64_t line;            /* number of the last one begun */
	struct arena scratch;     /* of one line */
};

static void take_turn(void *ctx);

static enum err make(struct ingest *ingest)
{
	struct ndjson_source *source = mem_calloc(1, sizeof *source);
	if (!source) {
		return ERR_MEMORY;
	}
	source->ingest = ingest;
	source->fd = -1;
	enum err err = loop_timer_new(ingest->loop, take_turn, source, &source->next);
	if (err) {
		mem_free(source);
		return err;
	}
	ingest->source = source;
	return OK;
}

static void close_file(struct ndjson_source *source)
{
	loop_timer_stop(source->next);
	if (source->watch) {
		loop_watch_free(source->watch);
		source->watch = NULL;
	}
	if (source->fd >= 0 && !source->is_stdin) {
		(void)close(source->fd);
	}
	source->fd = -1;
}

static void free_source(struct ingest *ingest)
{
	struct ndjson_source *source = ingest->source;
	close_file(source);
	loop_timer_free(source->next);
	buffer_fini(&source->in);
	arena_fini(&source->scratch);
	mem_free(source);
}

static void fail(struct ndjson_source *source, const char *what, int error)
{
	ingest_fail(source->ingest, "%s: %s", what, strerrordesc_np(error));
	close_file(source);
}

/* ---- lines ------------------------------------------------------------------------------- */

static void give_up(struct ingest *ingest, const char *why)
{
	struct ndjson_source *source = ingest->source;
	ingest_fail(ingest, "line %" PRIu64 ": %s", source->line, why);
	close_file(source);
}

static void refuse_line(struct ndjson_source *source, const char *why)
{
	struct ingest *ingest = source->ingest;
	metrics_add(ingest->options.metrics, METRIC_source_bad_lines, 1);
	if (ingest->options.skip_bad) {
		log_write(ingest->options.log, loop_wall_us(ingest->loop), LOG_WARNING,
			"ingest: a line is skipped, source=%s line=%" PRIu64 " reason=%s",
			ingest->address, source->line, why);
		return;
	}
	give_up(ingest, why);
}

static bool is_live(const struct ndjson_source *source)
{
	return ingest_state(source->ingest) == INGEST_LIVE;
}

static bool is_blank(struct bytes line)
{
	for (size_t i = 0; i < line.size; i++) {
		if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r') {
			return false;
		}
	}
	return true;
}

static void take_line(struct ndjson_source *source, struct bytes line)
{
	struct ingest *ingest = source->ingest;
	struct model_source_message message = {0};
	struct err_info info = {0};
	source->line++;
	if (source->is_too_long || line.size > ingest->options.line_bytes_max) {
		source->is_too_long = false;
		refuse_line(source, "it is longer than a line may be");
		return;
	}
	if (is_blank(line)) {
		return;
	}
	arena_reset(&source->scratch);
	int64_t now_ms = loop_wall_us(ingest->loop) / 1000;
	enum err err = wire_change_line_parse(
		line, source->line, now_ms, &source->scratch, &message, &info);
	if (err && err != ERR_MEMORY) {
		refuse_line(source, info.text);
		return;
	}
	if (!err) {
		err = ingest_take(ingest, &message);
	}
	if (err && err != ERR_FULL && is_live(source)) {
		give_up(ingest, err_text(err));
	}
}

/* Gives the line that begins at `at` and moves behind it; false if none is whole yet. */
static bool next_line(struct ndjson_source *source, struct bytes *ret_line)
{
	const struct buffer *in = &source->in;
	size_t from = source->searched > source->at ? source->searched : source->at;
	const char *end = from < in->size ? memchr(in->data + from, '\n', in->size - from) : NULL;
	if (!end && !(source->is_at_end && source->at < in->size)) {
		source->searched = in->size;
		return false;
	}
	size_t line_end = end ? (size_t)(end - in->data) : in->size;
	*ret_line = (struct bytes){in->data + source->at, line_end - source->at};
	source->at = end ? line_end + 1 : line_end;
	return true;
}

/* Every whole line, while the sink takes them; what is left begins at the buffer's start. */
static void take_lines(struct ndjson_source *source)
{
	struct bytes line = {0};
	while (is_live(source) && next_line(source, &line)) {
		take_line(source, line);
	}
	if (!is_live(source)) {
		return;
	}
	struct buffer *in = &source->in;
	if (in->size - source->at > source->ingest->options.line_bytes_max) {
		source->is_too_long = true;
		source->at = in->size;
	}
	if (source->at > 0) {
		memmove(in->data, in->data + source->at, in->size - source->at);
		in->size -= source->at;
		source->at = 0;
		source->searched = in->size;
	}
}

/* ---- reading ----------------------------------------------------------------------------- */

static void read_piece(struct ndjson_source *source)
{
	struct buffer *in = &source->in;
	if (buffer_reserve(in, PIECE_BYTES)) {
		fail(source, "cannot read", ENOMEM);
		return;
	}
	ssize_t size = read(source->fd, in->data + in->size, PIECE_BYTES);
	if (size > 0) {
		in->size += (size_t)size;
	} else if (size == 0) {
		source->is_at_end = true;
	} else if (errno != EINTR && errno != EAGAIN) {
		fail(source, "cannot read", errno);
	}
}

static void finish(struct ndjson_source *source)
{
	struct ingest *ingest = source->ingest;
	if (source->is_too_long) { /* the last line, without an end */
		take_line(source, (struct bytes){0});
	}
	if (!is_live(source)) {
		return;
	}
	close_file(source);
	log_write(ingest->options.log, loop_wall_us(ingest->loop), LOG_INFO,
		"ingest: read to the end, source=%s lines=%" PRIu64 " events=%" PRIu64,
		ingest->address, source->line, ingest->sequence);
	ingest_goto(ingest, INGEST_ENDED);
}

/* Lines first: when held in the middle of a piece, the rest of it waits here. */
static void take_turn(void *ctx)
{
	struct ndjson_source *source = ctx;
	take_lines(source);
	if (is_live(source) && source->is_at_end) {
		finish(source);
	} else if (is_live(source) && source->watch) {
		loop_watch_pause(source->watch, false);
	} else if (is_live(source)) {
		read_piece(source);
		if (is_live(source)) {
			loop_timer_start(source->next, 0);
		}
	}
}

static void ready(void *ctx)
{
	struct ndjson_source *source = ctx;
	if (!is_live(source)) {
		return;
	}
	read_piece(source);
	if (is_live(source)) {
		take_turn(source);
	}
}

/* ---- what the driver asks ---------------------------------------------------------------- */

static enum err watch(struct ndjson_source *source)
{
	struct stat facts = {0};
	if (fstat(source->fd, &facts) == 0 && S_ISREG(facts.st_mode)) {
		return OK;
	}
	enum err err =
		loop_watch_new(source->ingest->loop, source->fd, ready, source, &source->watch);
	return err == ERR_MEMORY ? err : OK; /* what cannot be watched is read a piece per turn */
}

/*
 * Watching makes a descriptor non-blocking for all who share it, and a terminal is stderr's as
 * well: so a terminal is opened anew, for us alone.
 */
static void open_file(struct ndjson_source *source, const char *address)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	if (strcmp(address, "-") != 0) {
		source->fd = open(address, flags);
		return;
	}
	source->fd = isatty(STDIN_FILENO) ? open("/dev/stdin", flags) : -1;
	source->is_stdin = source->fd < 0;
	if (source->is_stdin) {
		source->fd = STDIN_FILENO;
	}
}

/*
 * A file that cannot be opened is no failed start: the state tells it. A named pipe is opened
 * whether somebody writes to it yet or not, and is watched until somebody does.
 */
static enum err start(struct ingest *ingest)
{
	struct ndjson_source *source = ingest->source;
	open_file(source, ingest->address);
	if (source->fd < 0) {
		fail(source, "cannot open the file", errno);
		return OK;
	}
	enum err err = watch(source);
	if (err) {
		close_file(source);
		return err;
	}
	ingest_goto(ingest, INGEST_LIVE);
	if (!source->watch) {
		loop_timer_start(source->next, 0);
	}
	return OK;
}

static void hold(struct ingest *ingest)
{
	struct ndjson_source *source = ingest->source;
	if (source->watch) {
		loop_watch_pause(source->watch, true);
	}
}

static void go_on(struct ingest *ingest)
{
	struct ndjson_source *source = ingest->source;
	ingest_goto(ingest, INGEST_LIVE);
	loop_timer_start(source->next, 0);
}

static void stop(struct ingest *ingest)
{
	close_file(ingest->source);
	ingest_is_closed(ingest);
}

const struct ingest_source_table ingest_ndjson_source = {
	.make = make,
	.free = free_source,
	.start = start,
	.hold = hold,
	.go_on = go_on,
	.give_up = give_up,
	.stop = stop,
};
