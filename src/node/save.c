/*
 * Keeps the engine's state on disk: a snapshot is taken on the main loop, where ingest is, and
 * written on a thread of the pool, at most once a second and one at a time; the last one when all
 * has been routed. While ingest recovers, the file of the life before stays: it still holds.
 */
#include "node_priv.h"

#include <string.h>

#define SAVE_US 1000000

static uint64_t oldest_of_all(const struct streamer *streamer)
{
	uint64_t oldest = UINT64_MAX;
	for (size_t i = 0; i < streamer->workers_count; i++) {
		uint64_t worker = worker_oldest(streamer->workers[i].worker);
		oldest = worker < oldest ? worker : oldest;
	}
	return oldest;
}

/* False: there is nothing to write, or nothing new. */
static bool take_snapshot(struct streamer *streamer)
{
	struct node_saver *saver = &streamer->saver;
	struct node_legacy *next = &saver->next;
	if (ingest_recovers(streamer->ingest)) {
		return false;
	}
	struct bytes marker = ingest_marker_before(streamer->ingest, oldest_of_all(streamer));
	struct bytes position = ingest_position(streamer->ingest);
	next->marker.size = 0;
	if (marker.size == 0 || buffer_append(&next->marker, marker) != OK) {
		return false;
	}
	next->has_position = position.size == sizeof(next->position);
	if (next->has_position) {
		memcpy(next->position, position.data, sizeof(next->position));
	}
	next->is_at_marker = bytes_equal(marker, ingest_marker(streamer->ingest));
	next->saved_us = loop_wall_us(streamer->loop);
	return !node_legacy_equal(next, &saver->written) ||
		next->saved_us - saver->written.saved_us > 60 * INT64_C(1000000);
}

static void write_snapshot(void *ctx)
{
	struct streamer *streamer = ctx;
	struct node_saver *saver = &streamer->saver;
	saver->info = (struct err_info){0};
	saver->err = node_state_write(saver->state, &saver->next, &saver->info);
}

static void note_written(struct streamer *streamer)
{
	struct node_saver *saver = &streamer->saver;
	if (saver->err == OK) {
		struct node_legacy old = saver->written;
		saver->written = saver->next;
		saver->next = old;
		metrics_add(&streamer->metrics, METRIC_state_writes, 1);
		return;
	}
	metrics_add(&streamer->metrics, METRIC_state_failures, 1);
	log_write(&streamer->log, loop_wall_us(streamer->loop), LOG_WARNING,
		"node: the state is not written, reason=%s",
		saver->info.text[0] ? saver->info.text : err_text(saver->err));
}

static void on_written(void *ctx)
{
	struct streamer *streamer = ctx;
	streamer->saver.is_writing = false;
	note_written(streamer);
	if (streamer->stage == NODE_CLOSED) {
		loop_stop(streamer->loop);
	} else {
		loop_timer_start(streamer->saver.timer, SAVE_US);
	}
}

static void on_timer(void *ctx)
{
	struct streamer *streamer = ctx;
	struct node_saver *saver = &streamer->saver;
	if (take_snapshot(streamer) &&
		loop_work(streamer->loop, write_snapshot, on_written, streamer) == OK) {
		saver->is_writing = true;
		return;
	}
	loop_timer_start(saver->timer, SAVE_US);
}

enum err node_save_open(struct streamer *streamer, struct err_info *info)
{
	struct node_saver *saver = &streamer->saver;
	const char *folder = streamer->options.state_dir;
	if (!folder) {
		if (streamer->options.source == STREAMER_PULLER) {
			log_write(&streamer->log, loop_wall_us(streamer->loop), LOG_INFO,
				"node: begins with what the Puller sends from now on; a state_dir "
				"would let it go on where another life has ended");
		}
		return OK;
	}
	if (streamer->options.source != STREAMER_PULLER) {
		return err_set(info, ERR_INVALID, 0,
			"state_dir is for a Puller, which can be asked to begin further back");
	}
	enum err err = node_state_open(folder, info, &saver->state);
	if (err != OK) {
		return err;
	}
	struct err_info why = {0};
	err = node_state_read(saver->state, &saver->written, &why);
	if (err == ERR_CORRUPT || err == ERR_IO) {
		log_write(&streamer->log, loop_wall_us(streamer->loop), LOG_WARNING,
			"node: begins now, state_dir=%s reason=%s", folder, why.text);
	}
	saver->has_legacy = err == OK && saver->written.marker.size > 0;
	if (saver->has_legacy) {
		log_write(&streamer->log, loop_wall_us(streamer->loop), LOG_INFO,
			"node: goes on where another life has ended, state_dir=%s age_ms=%lld",
			folder,
			(long long)((loop_wall_us(streamer->loop) - saver->written.saved_us) /
				1000));
	}
	return err == ERR_MEMORY
		? err
		: loop_timer_new(streamer->loop, on_timer, streamer, &saver->timer);
}

void node_save_start(struct streamer *streamer)
{
	if (streamer->saver.timer) {
		loop_timer_start(streamer->saver.timer, SAVE_US);
	}
}

bool node_save_is_busy(const struct streamer *streamer)
{
	return streamer->saver.is_writing;
}

void node_save_close(struct streamer *streamer, bool is_last)
{
	struct node_saver *saver = &streamer->saver;
	if (is_last && saver->timer && take_snapshot(streamer)) {
		write_snapshot(streamer);
		note_written(streamer);
	}
	loop_timer_free(saver->timer);
	saver->timer = NULL;
	node_state_free(saver->state);
	saver->state = NULL;
	node_legacy_fini(&saver->written);
	node_legacy_fini(&saver->next);
}
