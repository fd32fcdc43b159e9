/*
 * ingest: lines of a file, a pipe and stdin as a source, on the real loop.
 */
#include "failing.h"
#include "ingest.h"
#include "random.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct rig {
	struct loop *loop;
	struct metrics metrics;
	struct ingest *ingest;
	struct ingest_options options;
	char path[32];
	unsigned stopped;
	size_t room;
	enum err failure;
	uint64_t sequence;
	struct event *last;
	uint64_t sum;             /* of the numbers that the events' ids have after the "u" */
	enum ingest_state expect; /* the loop stops when it comes to that; COUNT: at its end */
	bool has_come;
};

static enum err take(void *ctx, struct event *event)
{
	struct rig *rig = ctx;
	if (rig->failure) {
		return rig->failure;
	}
	if (rig->room == 0) {
		return ERR_FULL;
	}
	rig->room--;
	assert_int_equal(event->sequence, ++rig->sequence);
	char id[32];
	(void)snprintf(id, sizeof id, "%.*s", BYTES_FORMAT(event->document_id));
	if (event->operation != MODEL_DELETE) {
		assert_int_equal(id[0], 'u');
		uint64_t number = strtoull(id + 1, NULL, 10);
		assert_true(number == event->sequence || rig->options.skip_bad);
		rig->sum += number;
	}
	event_unref(rig->last);
	rig->last = event_ref(event);
	return OK;
}

static void changed(void *ctx)
{
	struct rig *rig = ctx;
	enum ingest_state now = ingest_state(rig->ingest);
	bool is_over = now == INGEST_ENDED || now == INGEST_FAILED;
	if (now == rig->expect || (is_over && rig->expect == INGEST_STATE_COUNT)) {
		rig->has_come = true;
		loop_stop(rig->loop);
	}
}

static void stopped(void *ctx)
{
	struct rig *rig = ctx;
	rig->stopped++;
	loop_stop(rig->loop);
}

static struct rig *rig_new(const char *path)
{
	struct rig *rig = calloc(1, sizeof *rig);
	assert_non_null(rig);
	assert_int_equal(loop_new(&rig->loop), OK);
	rig->room = SIZE_MAX;
	rig->options = (struct ingest_options){
		.source = INGEST_NDJSON,
		.address = path,
		.json_depth_max = 100,
		.line_bytes_max = 1 << 20,
		.metrics = &rig->metrics,
	};
	return rig;
}

static enum err rig_make(struct rig *rig)
{
	const struct ingest_sink sink = {take, changed, rig};
	return ingest_new(rig->loop, &rig->options, &sink, &rig->ingest);
}

static void rig_start(struct rig *rig)
{
	assert_int_equal(rig_make(rig), OK);
	assert_int_equal(ingest_start(rig->ingest), OK);
}

/* Runs until the state has been come to; a test that waits for ever is ended from outside. */
static void run_to(struct rig *rig, enum ingest_state state)
{
	rig->expect = state;
	rig->has_come = false;
	if (ingest_state(rig->ingest) != state) {
		loop_run(rig->loop);
		assert_true(rig->has_come);
	}
}

static void rig_free(struct rig *rig)
{
	if (rig->ingest) {
		rig->expect = INGEST_STATE_COUNT;
		ingest_stop(rig->ingest, stopped, rig);
		assert_int_equal(rig->stopped, 0);
		loop_run(rig->loop);
		assert_int_equal(rig->stopped, 1);
		ingest_free(rig->ingest);
	}
	event_unref(rig->last);
	loop_free(rig->loop);
	if (rig->path[0]) {
		(void)unlink(rig->path);
	}
	free(rig);
}

/* An ingest of a file with this text. */
static struct rig *rig_of(const char *text, size_t size)
{
	struct rig *rig = rig_new(NULL);
	(void)snprintf(rig->path, sizeof rig->path, "/tmp/test-lines-XXXXXX");
	int fd = mkstemp(rig->path);
	assert_true(fd >= 0);
	for (size_t at = 0; at < size;) {
		ssize_t wrote = write(fd, text + at, size - at);
		assert_true(wrote > 0);
		at += (size_t)wrote;
	}
	assert_int_equal(close(fd), 0);
	rig->options.address = rig->path;
	return rig;
}

static struct rig *rig_of_text(const char *text)
{
	return rig_of(text, strlen(text));
}

static int64_t figure(const struct rig *rig, enum metric metric)
{
	return metrics_get(&rig->metrics, metric);
}

#define LINE(id) "{\"op\":\"insert\",\"collection\":\"users\",\"id\":\"" id "\",\"data\":{}}"

/* ---- good lines ------------------------------------------------------------------------------ */

static void read_all(const char *text, uint64_t events)
{
	struct rig *rig = rig_of_text(text);
	rig_start(rig);
	assert_int_equal(ingest_state(rig->ingest), INGEST_LIVE);
	assert_int_equal(rig->sequence, 0); /* not from within the call */
	run_to(rig, INGEST_ENDED);
	assert_int_equal(rig->sequence, events);
	assert_int_equal(ingest_sequence(rig->ingest), events);
	assert_int_equal(figure(rig, METRIC_source_bad_lines), 0);
	rig_free(rig);
}

static void test_good_lines(void **state)
{
	(void)state;
	read_all("", 0);
	read_all("\n", 0);
	read_all(LINE("u1") "\n", 1);
	read_all(LINE("u1"), 1); /* no end of the last line */
	read_all(LINE("u1") "\n" LINE("u2"), 2);
	read_all(LINE("u1") "\r\n" LINE("u2") "\r\n", 2);
	read_all("\n \t\r\n\n" LINE("u1") "\n\n\n  " LINE("u2") "  \n\n", 2);
	read_all("{\"progress\":\"m1\"}\n" LINE("u1") "\n", 1); /* a heartbeat */
}

static void test_both_forms(void **state)
{
	(void)state;
	struct rig *rig = rig_of_text(
		"{\"op_type\":\"update\",\"event_id\":\"7-1-a\",\"database\":\"d\",\"backend\":"
		"\"b\","
		"\"cluster_time\":{\"t\":7,\"i\":1},\"timestamp\":5,\"progress\":\"m1\","
		"\"full_doc\":{\"collection\":\"users\",\"data\":{\"id\":\"u1\"}}}\n"
		"{\"op_type\":\"update\",\"event_id\":\"7-1-a\",\"database\":\"d\",\"backend\":"
		"\"b\","
		"\"cluster_time\":{\"t\":7,\"i\":1},\"progress\":\"m1\","
		"\"full_doc\":{\"collection\":\"users\",\"data\":{\"id\":\"u1\"}}}\n" /* again */
		"{\"op\":\"delete\",\"collection\":\"users\",\"id\":\"u2\"}\n");
	rig_start(rig);
	run_to(rig, INGEST_ENDED);
	assert_int_equal(rig->sequence, 2);
	assert_int_equal(rig->last->operation, MODEL_DELETE);
	assert_int_equal(figure(rig, METRIC_events_repeated), 1);
	ingest_routed(rig->ingest, 2);
	assert_true(bytes_equal(ingest_marker(rig->ingest), bytes_of("m1")));
	rig_free(rig);
}

/* Lines of all lengths, over many pieces. */
static void test_many_lines(void **state)
{
	(void)state;
	struct test_random random = test_random_start("ingest_lines");
	static char padding[300000];
	memset(padding, 'x', sizeof padding);
	struct buffer text = {0};
	for (unsigned i = 1; i <= 500; i++) {
		size_t size = i % 50 == 0 ? test_random_below(&random, sizeof padding)
					  : test_random_below(&random, 2000);
		assert_int_equal(
			buffer_printf(&text,
				"{\"op\":\"insert\",\"collection\":\"users\",\"id\":\"u%u\","
				"\"data\":{\"t\":\"",
				i),
			OK);
		assert_int_equal(buffer_append(&text, (struct bytes){padding, size}), OK);
		assert_int_equal(buffer_append_text(&text, i < 500 ? "\"}}\n" : "\"}}"), OK);
	}
	struct rig *rig = rig_of(text.data, text.size);
	rig_start(rig);
	run_to(rig, INGEST_ENDED);
	assert_int_equal(rig->sequence, 500);
	rig_free(rig);
	buffer_fini(&text);
}

/* ---- bad lines ------------------------------------------------------------------------------- */

static void fails_with(const char *text, uint64_t events, const char *why)
{
	struct rig *rig = rig_of_text(text);
	rig->options.line_bytes_max = 200;
	rig_start(rig);
	run_to(rig, INGEST_FAILED);
	assert_int_equal(rig->sequence, events);
	assert_int_equal(figure(rig, METRIC_source_bad_lines), 1);
	if (strncmp(ingest_failure(rig->ingest), why, strlen(why)) != 0) {
		fail_msg("\"%s\" does not begin with \"%s\"", ingest_failure(rig->ingest), why);
	}
	ingest_resume(rig->ingest); /* changes nothing */
	assert_int_equal(ingest_state(rig->ingest), INGEST_FAILED);
	rig_free(rig);
}

/* Longer than a line may be here, and shorter than a piece. */
#define LONG                                                                                       \
	LINE("u1")                                                                                 \
	"                                                                             "            \
	"                                                                                        " \
	"                                                                                        "

static struct buffer longer_than_pieces(const char *before, const char *after)
{
	struct buffer text = {0};
	assert_int_equal(buffer_printf(&text, "%s%900000s%s", before, "", after), OK);
	return text;
}

static void test_bad_lines(void **state)
{
	(void)state;
	fails_with("no JSON\n" LINE("u1") "\n", 0, "line 1: ");
	fails_with(LINE("u1") "\n\n\n[1]\n" LINE("u2") "\n", 1, "line 4: expected an object");
	fails_with(LINE("u1") "\n" LINE("u2") "\n{\"op\":", 2, "line 3: "); /* the last, cut */
	fails_with("{\"op\":\"upsert\",\"collection\":\"users\",\"id\":\"u1\"}", 0, "line 1: ");
	fails_with(LINE("u1") "\n" LINE("\xff") "\n", 1, "line 2: ");
	fails_with(LINE("u1") "\n" LONG "\n" LINE("u2") "\n", 1, "line 2: it is longer");
	fails_with(LINE("u1") "\n" LONG, 1, "line 2: it is longer");
	struct buffer text = longer_than_pieces(LINE("u1") "\n", "\n" LINE("u2") "\n");
	fails_with(text.data, 1, "line 2: it is longer");
	buffer_fini(&text);
	text = longer_than_pieces(LINE("u1") "\n", "");
	fails_with(text.data, 1, "line 2: it is longer");
	buffer_fini(&text);
}

static void skips(const char *text, uint64_t events, uint64_t sum, int64_t bad)
{
	struct rig *rig = rig_of_text(text);
	rig->options.line_bytes_max = 200;
	rig->options.skip_bad = true;
	rig_start(rig);
	run_to(rig, INGEST_ENDED);
	assert_int_equal(rig->sequence, events);
	assert_int_equal(rig->sum, sum);
	assert_int_equal(figure(rig, METRIC_source_bad_lines), bad);
	rig_free(rig);
}

static void test_skip_bad(void **state)
{
	(void)state;
	skips("x\n" LINE("u1") "\ny\n\n[]\n" LINE("u2") "\nz", 2, 3, 4);
	skips(LINE("u1") "\n" LONG "\n" LINE("u2") "\n" LONG, 2, 3, 2);
	struct buffer text = longer_than_pieces(LINE("u1") "\n", "\n" LINE("u2") "\n");
	skips(text.data, 2, 3, 1);
	buffer_fini(&text);
	text = longer_than_pieces("", "");
	skips(text.data, 0, 0, 1);
	buffer_fini(&text);
	text = longer_than_pieces(LINE("u1") "\n", "\n");
	skips(text.data, 1, 1, 1);
	buffer_fini(&text);
}

static void test_cannot_be_read(void **state)
{
	(void)state;
	struct rig *rig = rig_new("/nowhere/at/all");
	rig_start(rig);
	run_to(rig, INGEST_FAILED);
	assert_string_equal(
		ingest_failure(rig->ingest), "cannot open the file: No such file or directory");
	rig_free(rig);
	rig = rig_new("/tmp");
	rig_start(rig);
	run_to(rig, INGEST_FAILED);
	assert_string_equal(ingest_failure(rig->ingest), "cannot read: Is a directory");
	rig_free(rig);
	rig = rig_new("/dev/null");
	rig_start(rig);
	run_to(rig, INGEST_ENDED);
	rig_free(rig);
}

/* ---- a sink without room --------------------------------------------------------------------- */

static const char SIX[] =
	LINE("u1") "\n" LINE("u2") "\n" LINE("u3") "\n" LINE("u4") "\n" LINE("u5") "\n" LINE("u6");

static void test_held(void **state)
{
	(void)state;
	struct rig *rig = rig_of_text(SIX);
	rig->room = 0;
	rig_start(rig);
	for (uint64_t i = 0; i < 6; i++) {
		run_to(rig, INGEST_HELD);
		assert_int_equal(rig->sequence, i);
		ingest_resume(rig->ingest); /* no room after all */
		assert_int_equal(ingest_state(rig->ingest), INGEST_HELD);
		rig->room = 1;
		ingest_resume(rig->ingest);
	}
	run_to(rig, INGEST_ENDED);
	assert_int_equal(rig->sequence, 6);
	rig_free(rig);
	rig = rig_of_text(SIX);
	rig->room = 3;
	rig_start(rig);
	run_to(rig, INGEST_HELD);
	rig_free(rig); /* stopped in HELD */
}

/* What the sink cannot take is no bad line: it is never skipped. */
static void test_sink_fails(void **state)
{
	(void)state;
	struct rig *rig = rig_of_text(SIX);
	rig->options.skip_bad = true;
	rig->failure = ERR_INTERNAL;
	rig_start(rig);
	run_to(rig, INGEST_FAILED);
	assert_string_equal(ingest_failure(rig->ingest), "line 1: internal error");
	assert_int_equal(figure(rig, METRIC_source_bad_lines), 0);
	rig_free(rig);
	rig = rig_of_text(SIX);
	rig->room = 1;
	rig_start(rig);
	run_to(rig, INGEST_HELD);
	rig->failure = ERR_MEMORY;
	ingest_resume(rig->ingest);
	run_to(rig, INGEST_FAILED);
	assert_string_equal(ingest_failure(rig->ingest), "line 2: out of memory");
	rig_free(rig);
}

/* ---- pipes ----------------------------------------------------------------------------------- */

struct writer {
	struct rig *rig;
	int fd;
	size_t at;
	struct loop_timer *timer;
};

/* The end of each line comes in a piece with the next one; then the end. */
static void write_on(void *ctx)
{
	struct writer *writer = ctx;
	if (SIX[writer->at] == '\0') {
		(void)close(writer->fd);
		return;
	}
	size_t size = 1 + strcspn(SIX + writer->at + 1, "\n");
	assert_int_equal(write(writer->fd, SIX + writer->at, size), size);
	writer->at += size;
	loop_timer_start(writer->timer, 0);
}

static void read_pipe(struct rig *rig, int to)
{
	struct writer writer = {.rig = rig, .fd = to};
	assert_int_equal(loop_timer_new(rig->loop, write_on, &writer, &writer.timer), OK);
	rig->room = 2;
	rig_start(rig);
	loop_timer_start(writer.timer, 0);
	run_to(rig, INGEST_HELD);
	rig->room = SIZE_MAX;
	ingest_resume(rig->ingest);
	run_to(rig, INGEST_ENDED);
	assert_int_equal(rig->sequence, 6);
	loop_timer_free(writer.timer);
	rig_free(rig);
}

static void test_stdin(void **state)
{
	(void)state;
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	int before = dup(STDIN_FILENO);
	assert_int_equal(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
	(void)close(fds[0]);
	read_pipe(rig_new("-"), fds[1]);
	char byte = 0;
	assert_int_equal(read(STDIN_FILENO, &byte, 1), 0); /* has stayed open, at its end */
	(void)(before < 0 ? close(STDIN_FILENO) : dup2(before, STDIN_FILENO));
	(void)close(before);
}

/* A terminal is stderr's too, and whoever writes there must not meet EAGAIN because we read. */
static void test_terminal(void **state)
{
	(void)state;
	static const char typed[] = LINE("u1") "\n\x04"; /* the end of file, as a key */
	int terminal = posix_openpt(O_RDWR | O_NOCTTY);
	assert_true(terminal >= 0);
	assert_int_equal(grantpt(terminal), 0);
	assert_int_equal(unlockpt(terminal), 0);
	int other = open(ptsname(terminal), O_RDWR | O_NOCTTY); /* stderr, say */
	assert_true(other >= 0);
	int before = dup(STDIN_FILENO);
	assert_int_equal(dup2(other, STDIN_FILENO), STDIN_FILENO);
	struct rig *rig = rig_new("-");
	rig_start(rig);
	assert_int_equal(write(terminal, typed, sizeof typed - 1), sizeof typed - 1);
	run_to(rig, INGEST_ENDED);
	assert_int_equal(rig->sequence, 1);
	assert_false(fcntl(other, F_GETFL) & O_NONBLOCK);
	assert_true(isatty(STDIN_FILENO)); /* has stayed open */
	rig_free(rig);
	(void)(before < 0 ? close(STDIN_FILENO) : dup2(before, STDIN_FILENO));
	(void)close(before);
	(void)close(other);
	(void)close(terminal);
}

/* Named, and nobody has it open for writing when ingest starts. */
static void test_named_pipe(void **state)
{
	(void)state;
	char path[64];
	(void)snprintf(path, sizeof path, "/tmp/test-lines-%d", (int)getpid());
	assert_int_equal(mkfifo(path, 0600), 0);
	struct rig *rig = rig_new(path);
	rig_start(rig);
	rig_free(rig); /* stopped while it waits */
	rig = rig_new(path);
	rig_start(rig);
	int to = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(to >= 0);
	assert_int_equal(write(to, SIX, sizeof SIX - 1), sizeof SIX - 1);
	(void)close(to);
	run_to(rig, INGEST_ENDED);
	assert_int_equal(rig->sequence, 6);
	rig_free(rig);
	rig = rig_new(path);
	int both_ways = open(path, O_RDWR | O_CLOEXEC);
	assert_true(both_ways >= 0);
	read_pipe(rig, both_ways);
	(void)unlink(path);
}

/* ---- lack ------------------------------------------------------------------------------------ */

/* A lack ends it in FAILED with that word, or it starts later; no line is passed over. */
static bool lack(size_t fail_at)
{
	struct rig *rig = rig_of_text(SIX);
	struct failing failing;
	rig->options.skip_bad = true;
	failing_start(&failing, fail_at);
	enum err err = rig_make(rig);
	err = err ? err : ingest_start(rig->ingest);
	if (err) {
		bool was_it = failing_stop(&failing);
		assert_int_equal(err, ERR_MEMORY);
		assert_true(was_it);
		if (rig->ingest) {
			assert_int_equal(ingest_state(rig->ingest), INGEST_IDLE);
			ingest_free(rig->ingest);
			rig->ingest = NULL;
		}
		rig_free(rig);
		return true;
	}
	rig->expect = INGEST_STATE_COUNT;
	loop_run(rig->loop);
	bool has_failed = failing_stop(&failing);
	if (ingest_state(rig->ingest) == INGEST_ENDED) {
		assert_int_equal(rig->sequence, 6);
		assert_false(has_failed);
	} else {
		assert_true(has_failed);
		assert_int_equal(ingest_state(rig->ingest), INGEST_FAILED);
		assert_non_null(strstr(ingest_failure(rig->ingest), "memory"));
	}
	assert_int_equal(figure(rig, METRIC_source_bad_lines), 0);
	rig_free(rig);
	return has_failed;
}

static void test_lack(void **state)
{
	(void)state;
	size_t fail_at = 0;
	while (lack(fail_at)) {
		fail_at++;
	}
	assert_true(fail_at > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_lines),
		cmocka_unit_test(test_both_forms),
		cmocka_unit_test(test_many_lines),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_skip_bad),
		cmocka_unit_test(test_cannot_be_read),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_sink_fails),
		cmocka_unit_test(test_stdin),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_named_pipe),
		cmocka_unit_test(test_lack),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
