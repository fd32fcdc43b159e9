/*
 * A snapshot is taken on the loop, where ingest is, and written on a thread of the pool, at most
 * once a second and one at a time; the last one when all has been routed. While ingest recovers,
 * the file of the life before stays: it still holds.
 */
#include "state.h"

#include "state_priv.h"

#include <string.h>

#define SAVE_US 1000000

struct state {
	struct loop *loop;
	struct state_options options;
	struct ingest *ingest;
	struct state_file *file;
	struct loop_timer *timer;
	struct state_left written; /* what the file holds; at first that of another life */
	struct state_left next;    /* being written, or of use for its memory alone */
	bool has_legacy;
	int64_t followed_us; /* when the source was followed last; wall clock */
	bool is_writing;
	enum err err; /* of the newest write */
	struct err_info info;
};

/* False: there is nothing to write, or nothing new. */
static bool take_snapshot(struct state *state)
{
	struct state_left *next = &state->next;
	if (ingest_state(state->ingest) == INGEST_LIVE ||
		ingest_state(state->ingest) == INGEST_HELD) {
		state->followed_us = loop_wall_us(state->loop);
	}
	if (ingest_recovers(state->ingest)) {
		return false;
	}
	struct bytes marker =
		ingest_marker_before(state->ingest, state->options.oldest(state->options.ctx));
	struct bytes position = ingest_position(state->ingest);
	next->marker.size = 0;
	if (marker.size == 0 || buffer_append(&next->marker, marker) != OK) {
		return false;
	}
	next->has_position = position.size == sizeof(next->position);
	if (next->has_position) {
		memcpy(next->position, position.data, sizeof(next->position));
	}
	next->is_at_marker = ingest_marker_is_whole(state->ingest) &&
		bytes_equal(marker, ingest_marker(state->ingest));
	next->followed_us = state->followed_us;
	return !state_left_equal(next, &state->written) ||
		next->followed_us - state->written.followed_us > 60 * INT64_C(1000000);
}

static void write_snapshot(void *ctx)
{
	struct state *state = ctx;
	state->info = (struct err_info){0};
	state->err = state_file_write(state->file, &state->next, &state->info);
}

static void note_written(struct state *state)
{
	if (state->err == OK) {
		struct state_left old = state->written;
		state->written = state->next;
		state->next = old;
		metrics_add(state->options.metrics, METRIC_state_writes, 1);
		return;
	}
	metrics_add(state->options.metrics, METRIC_state_failures, 1);
	log_write(state->options.log, loop_wall_us(state->loop), LOG_WARNING,
		"state: it is not written, reason=%s",
		state->info.text[0] ? state->info.text : err_text(state->err));
}

static void on_written(void *ctx)
{
	struct state *state = ctx;
	state->is_writing = false;
	note_written(state);
	loop_timer_start(state->timer, SAVE_US);
	state->options.saved(state->options.ctx);
}

static void on_timer(void *ctx)
{
	struct state *state = ctx;
	if (take_snapshot(state) &&
		loop_work(state->loop, write_snapshot, on_written, state) == OK) {
		state->is_writing = true;
		return;
	}
	loop_timer_start(state->timer, SAVE_US);
}

/* ERR_MEMORY; a file that cannot be read is none. */
static enum err read_left(struct state *state)
{
	const char *folder = state->options.folder;
	int64_t now_us = loop_wall_us(state->loop);
	struct err_info why = {0};
	enum err err = state_file_read(state->file, &state->written, &why);
	if (err == ERR_CORRUPT || err == ERR_IO) {
		log_write(state->options.log, now_us, LOG_WARNING,
			"state: begins now, state_dir=%s reason=%s", folder, why.text);
	}
	state->followed_us = err == OK ? state->written.followed_us : now_us;
	state->has_legacy = err == OK && state->written.marker.size > 0;
	if (state->has_legacy) {
		log_write(state->options.log, now_us, LOG_INFO,
			"state: goes on where another life has ended, state_dir=%s age_ms=%lld",
			folder, (long long)((now_us - state->written.followed_us) / 1000));
	}
	return err == ERR_MEMORY ? err : OK;
}

enum err state_open(struct loop *loop, const struct state_options *options, struct err_info *info,
	struct state **ret_state)
{
	struct state *state = mem_calloc(1, sizeof(*state));
	if (!state) {
		return ERR_MEMORY;
	}
	state->loop = loop;
	state->options = *options;
	enum err err = state_file_open(options->folder, info, &state->file);
	if (err == OK) {
		err = read_left(state);
	}
	if (err == OK) {
		err = loop_timer_new(loop, on_timer, state, &state->timer);
	}
	if (err != OK) {
		state_close(state, false);
		return err;
	}
	*ret_state = state;
	return OK;
}

struct ingest_legacy state_legacy(const struct state *state)
{
	const struct state_left *left = &state->written;
	if (!state->has_legacy) {
		return (struct ingest_legacy){0};
	}
	int64_t age_us = loop_wall_us(state->loop) - left->followed_us;
	return (struct ingest_legacy){.marker = buffer_bytes(&left->marker),
		.position = {left->position, left->has_position ? sizeof(left->position) : 0},
		.is_at_marker = left->is_at_marker,
		.age_us = age_us > 0 ? age_us : 0};
}

void state_start(struct state *state, struct ingest *ingest)
{
	state->ingest = ingest;
	loop_timer_start(state->timer, SAVE_US);
}

bool state_is_busy(const struct state *state)
{
	return state->is_writing;
}

void state_close(struct state *state, bool is_last)
{
	if (!state) {
		return;
	}
	if (is_last && state->ingest && take_snapshot(state)) {
		write_snapshot(state);
		note_written(state);
	}
	loop_timer_free(state->timer);
	state_file_free(state->file);
	state_left_fini(&state->written);
	state_left_fini(&state->next);
	mem_free(state);
}
