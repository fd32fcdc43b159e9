/*
 * The states of an ingest and what drives them: a source gives messages, each is taken whole (the
 * event to the sink, its marker and its place among the repeats noted), or set aside because the
 * sink is full, or not at all. Whoever is to be told something is told in a turn of its own.
 */
#include "ingest_priv.h"

#include <stdio.h>
#include <string.h>

/* ---- states ------------------------------------------------------------------------------ */

#define BIT(state) (1U << (unsigned)(state))

static const unsigned legal[INGEST_STATE_COUNT] = {
	[INGEST_IDLE] = BIT(INGEST_CONNECTING) | BIT(INGEST_LIVE) | BIT(INGEST_FAILED) |
		BIT(INGEST_STOPPED),
	[INGEST_CONNECTING] = BIT(INGEST_LIVE) | BIT(INGEST_WAITING) | BIT(INGEST_STOPPED),
	[INGEST_LIVE] = BIT(INGEST_HELD) | BIT(INGEST_WAITING) | BIT(INGEST_ENDED) |
		BIT(INGEST_FAILED) | BIT(INGEST_STOPPED),
	[INGEST_HELD] = BIT(INGEST_LIVE) | BIT(INGEST_CONNECTING) | BIT(INGEST_WAITING) |
		BIT(INGEST_FAILED) | BIT(INGEST_STOPPED),
	[INGEST_WAITING] = BIT(INGEST_CONNECTING) | BIT(INGEST_HELD) | BIT(INGEST_STOPPED),
	[INGEST_ENDED] = BIT(INGEST_STOPPED),
	[INGEST_FAILED] = BIT(INGEST_STOPPED),
};

const char *ingest_state_name(enum ingest_state state)
{
	static const char *const names[] = {
#define X(state, name, meaning) [state] = (name),
		INGEST_STATES(X)
#undef X
	};
	return names[state];
}

enum ingest_state ingest_state(const struct ingest *ingest)
{
	return (enum ingest_state)atomic_load_explicit(&ingest->state, memory_order_acquire);
}

void ingest_goto(struct ingest *ingest, enum ingest_state next)
{
	enum ingest_state now = ingest_state(ingest);
	check(legal[now] & BIT(next));
	log_write(ingest->options.log, loop_wall_us(ingest->loop), LOG_DEBUG, "ingest: %s, was %s",
		ingest_state_name(next), ingest_state_name(now));
	atomic_store_explicit(&ingest->state, (int)next, memory_order_release);
	ingest->change_is_due = true;
	loop_waker_wake(ingest->later);
}

void ingest_fail(struct ingest *ingest, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(ingest->failure, sizeof ingest->failure, format, arguments);
	va_end(arguments);
	log_write(ingest->options.log, loop_wall_us(ingest->loop), LOG_ERROR,
		"ingest: failed, source=%s reason=%s", ingest->address ? ingest->address : "push",
		ingest->failure);
	ingest_goto(ingest, INGEST_FAILED);
}

void ingest_is_closed(struct ingest *ingest)
{
	check(ingest_state(ingest) == INGEST_STOPPED);
	ingest->stopped_is_due = true;
	loop_waker_wake(ingest->later);
}

/* `stopped` is the last thing: the ingest may be gone when it returns. */
static void tell(void *ctx)
{
	struct ingest *ingest = ctx;
	bool change_is_due = ingest->change_is_due;
	bool stopped_is_due = ingest->stopped_is_due; /* of a stop in `changed`: another turn */
	ingest->change_is_due = false;
	if (change_is_due && ingest->sink.changed) {
		ingest->sink.changed(ingest->sink.ctx);
	}
	if (stopped_is_due) {
		ingest->stopped_is_due = false;
		ingest->stopped(ingest->stopped_ctx);
	}
}

/* ---- one message ------------------------------------------------------------------------- */

static void note_lag(struct ingest *ingest, const struct model_change *change)
{
	if (change->timestamp_ms <= 0) {
		return; /* the source does not say */
	}
	int64_t lag_ms = loop_wall_us(ingest->loop) / 1000 - change->timestamp_ms;
	atomic_store_explicit(&ingest->lag_ms, lag_ms > 0 ? lag_ms : 0, memory_order_relaxed);
}

/* What was prepared. */
static void commit_marker(struct ingest *ingest)
{
	ingest_markers_commit(
		&ingest->markers, ingest->sequence, ingest->position, !ingest->is_behind_break);
}

/* The change is done with: its marker holds as soon as all events so far are routed. */
static void commit(struct ingest *ingest, const struct model_change *change)
{
	ingest_repeats_commit(&ingest->repeats, change);
	commit_marker(ingest);
	metrics_add(ingest->options.metrics, METRIC_events_received, 1);
}

/* Everything that may fail, and nothing that counts. *ret_event is NULL where nobody gets it. */
static enum err prepare(struct ingest *ingest, const struct model_source_message *message,
	struct err_info *info, struct event **ret_event)
{
	enum err err = ingest_markers_prepare(&ingest->markers, message->marker);
	if (err) {
		return err;
	}
	err = ingest_repeats_prepare(&ingest->repeats, &message->change);
	if (err) {
		return err;
	}
	return ingest_transform(ingest, &message->change, info, ret_event);
}

/* An event may be made more than once until the sink has room; what it is, it is counted once. */
static void count(struct ingest *ingest, const struct event *event)
{
	struct metrics *metrics = ingest->options.metrics;
	metrics_add(metrics, METRIC_events_without_id, event->id_is_unknown);
	metrics_add(metrics, METRIC_events_purged, event->is_purge);
	if (!event->is_refused) {
		return;
	}
	metrics_add(metrics, METRIC_events_refused_documents, 1);
	log_write(ingest->options.log, loop_wall_us(ingest->loop), LOG_WARNING,
		"ingest: a document is refused, event=%.*s collection=%.*s reason=%s",
		BYTES_FORMAT(event->change.event_id), BYTES_FORMAT(event->collection),
		ingest->refusal.text);
}

/* Of the first event aside, or of one that never was. */
static enum err offer(struct ingest *ingest, struct event *event)
{
	enum err err = ingest->sink.push(ingest->sink.ctx, event);
	if (err) {
		return err;
	}
	ingest->sequence = event->sequence;
	ingest->is_behind_break = event->is_break;
	if (!event->is_break) {
		memcpy(ingest->position, event->position.data, sizeof(ingest->position));
		ingest_ids_note(&ingest->ids, &ingest->spot, event);
		count(ingest, event);
		commit(ingest, &event->change);
	}
	return OK;
}

uint64_t ingest_next_sequence(const struct ingest *ingest)
{
	return ingest->sequence + ingest->aside_count + 1;
}

/* Takes the event over. */
static void put_aside(struct ingest *ingest, struct event *event)
{
	check(ingest->aside_count < INGEST_ASIDE_MAX);
	ingest->aside[ingest->aside_count++] = event;
}

/* Offers what is aside, in order. ERR_FULL: the sink has no room for the first of what is left. */
static enum err flush(struct ingest *ingest)
{
	while (ingest->aside_count > 0) {
		struct event *event = ingest->aside[0];
		enum err err = offer(ingest, event);
		if (err) {
			return err;
		}
		ingest->aside_count--;
		for (size_t i = 0; i < ingest->aside_count; i++) {
			ingest->aside[i] = ingest->aside[i + 1];
		}
		event_unref(event);
	}
	return OK;
}

static void drop_aside(struct ingest *ingest)
{
	while (ingest->aside_count > 0) {
		event_unref(ingest->aside[--ingest->aside_count]);
	}
}

/* ---- breaks in the source ---------------------------------------------------------------- */

/* Another break behind a break says nothing new. */
static enum err put_break(struct ingest *ingest)
{
	struct event *event = NULL;
	if (ingest->aside_count > 0 && ingest->aside[ingest->aside_count - 1]->is_break) {
		ingest->break_is_due = false;
		return OK;
	}
	enum err err = event_new(&event);
	if (err) {
		return err;
	}
	event->is_break = true;
	event->sequence = ingest_next_sequence(ingest);
	event->received_us = loop_wall_us(ingest->loop);
	err = event_place(event, ingest->options.epoch);
	if (err) {
		event_unref(event);
		return err;
	}
	put_aside(ingest, event);
	ingest->is_behind_break = true;
	ingest_markers_break(&ingest->markers, event->sequence);
	metrics_add(ingest->options.metrics, METRIC_source_gaps, 1);
	ingest->break_is_due = false;
	return OK;
}

/* What another life has routed comes ahead of it: the loss is later. */
static enum err put_break_if_due(struct ingest *ingest)
{
	return ingest->break_is_due && !ingest->recovers ? put_break(ingest) : OK;
}

void ingest_break(struct ingest *ingest, const char *why)
{
	log_write(ingest->options.log, loop_wall_us(ingest->loop), LOG_WARNING,
		"ingest: changes may be missing, streams will be told so, reason=%s", why);
	ingest->break_is_due = true;
}

/* ---- what another life has routed -------------------------------------------------------- */

enum age { AGE_NEW, AGE_OLD, AGE_LAST, AGE_PASSED };

/* Another life has routed all of that up to where this one has begun. */
void ingest_refused(struct ingest *ingest)
{
	ingest_repeats_rewind(&ingest->repeats);
	if (!ingest->recovers && ingest->began_at_marker && ingest->sequence == 0 &&
		ingest->aside_count == 0) {
		ingest->recovers = true;
		ingest->drops_old = true;
	}
}

/*
 * PASSED: it is new, and the last old one has not come before it. What another backend shows cannot
 * be told to be old; for the history it is taken to be.
 */
static enum age age_of(const struct ingest *ingest, const struct model_change *change)
{
	const struct model_position *until = &ingest->recovers_until;
	if (!ingest->recovers) {
		return AGE_NEW;
	}
	if (bytes_hash(change->backend, 0) != until->backend_hash) {
		return ingest->drops_old ? AGE_PASSED : AGE_OLD;
	}
	if (change->cluster_seconds == until->cluster_seconds &&
		change->cluster_increment == until->cluster_increment) {
		return bytes_hash(change->event_id, 0) == until->event_id_hash ? AGE_LAST : AGE_OLD;
	}
	bool is_later = change->cluster_seconds != until->cluster_seconds
		? change->cluster_seconds > until->cluster_seconds
		: change->cluster_increment > until->cluster_increment;
	return is_later ? AGE_PASSED : AGE_OLD;
}

static void hold(struct ingest *ingest)
{
	metrics_add(ingest->options.metrics, METRIC_source_holds, 1);
	ingest_goto(ingest, INGEST_HELD);
}

/* A repeat moves no marker: those of newer changes are known already. */
static bool is_repeat(struct ingest *ingest, const struct model_change *change)
{
	if (!ingest_repeats_has(&ingest->repeats, change)) {
		return false;
	}
	metrics_add(ingest->options.metrics, METRIC_events_repeated, 1);
	return true;
}

static enum err take_heartbeat(struct ingest *ingest, struct bytes marker)
{
	enum err err = ingest_markers_prepare(&ingest->markers, marker);
	if (err) {
		return err;
	}
	commit_marker(ingest);
	metrics_add(ingest->options.metrics, METRIC_source_heartbeats, 1);
	return OK;
}

/* What cannot be taken for another reason than the sink's room is given up. */
static enum err take_event(struct ingest *ingest, struct event *event)
{
	put_aside(ingest, event);
	enum err err = flush(ingest);
	if (err == ERR_FULL && ingest_state(ingest) == INGEST_LIVE) {
		hold(ingest);
		ingest->table->hold(ingest);
	} else if (err) {
		event_unref(ingest->aside[--ingest->aside_count]);
	}
	return err;
}

/* It moves no marker: what comes is all that the source keeps, until the last of it has come. */
static enum err drop_old(
	struct ingest *ingest, const struct model_source_message *message, enum age age)
{
	enum err err = ingest_repeats_prepare(&ingest->repeats, &message->change);
	if (err) {
		return err;
	}
	ingest_repeats_commit(&ingest->repeats, &message->change);
	metrics_add(ingest->options.metrics, METRIC_events_repeated, 1);
	ingest->recovers = age != AGE_LAST;
	return OK;
}

static enum err take_change(struct ingest *ingest, const struct model_source_message *message)
{
	enum age age = age_of(ingest, &message->change);
	if (age == AGE_PASSED) {
		ingest->recovers = false;
		ingest_break(ingest, "the newest change that was routed does not come again");
	}
	enum err err = put_break_if_due(ingest);
	if (err) {
		return err;
	}
	note_lag(ingest, &message->change);
	if (ingest->drops_old && (age == AGE_OLD || age == AGE_LAST)) {
		return drop_old(ingest, message, age);
	}
	struct event *event = NULL;
	err = prepare(ingest, message, NULL, &event);
	if (err) {
		return err;
	}
	ingest->recovers = ingest->recovers && age != AGE_LAST;
	if (!event) {
		commit(ingest, &message->change);
		return OK;
	}
	event->is_history_only = age == AGE_OLD || age == AGE_LAST;
	event->is_last_old = age == AGE_LAST;
	return take_event(ingest, event);
}

enum err ingest_take(struct ingest *ingest, const struct model_source_message *message)
{
	check(ingest_state(ingest) == INGEST_LIVE);
	enum err err = put_break_if_due(ingest);
	if (err) {
		return err;
	}
	if (ingest->aside_count > 0) {
		(void)!flush(ingest); /* what has no room goes with ingest_resume */
	}
	if (!message->has_change) {
		return take_heartbeat(ingest, message->marker);
	}
	return is_repeat(ingest, &message->change) ? OK : take_change(ingest, message);
}

/* ---- what the owner asks ----------------------------------------------------------------- */

static const struct ingest_source_table *table_of(enum ingest_source source)
{
	switch (source) {
	case INGEST_PULLER:
		return &ingest_puller_source;
	case INGEST_NDJSON:
		return &ingest_ndjson_source;
	case INGEST_PUSH:
		break;
	}
	return NULL;
}

/* A position that cannot be read is as good as none: all that is replayed is new then. */
static enum err inherit(struct ingest *ingest)
{
	const struct ingest_legacy *legacy = &ingest->options.legacy;
	ingest->markers.keeps_checkpoints = ingest->options.keeps_markers;
	bool has_routed = legacy->marker.size > 0 &&
		model_position_read(legacy->position, &ingest->recovers_until) == OK &&
		ingest->recovers_until.sequence > 0;
	ingest->recovers = has_routed && !legacy->is_at_marker;
	ingest->began_at_marker = has_routed && legacy->is_at_marker;
	if (legacy->position.size == sizeof(ingest->position)) {
		memcpy(ingest->position, legacy->position.data, legacy->position.size);
		memcpy(ingest->markers.routed_position, ingest->position, sizeof(ingest->position));
		ingest->markers.routed_is_whole = legacy->is_at_marker;
	}
	return ingest_markers_begin(&ingest->markers, legacy->marker);
}

static enum err fill(struct ingest *ingest, const char *address)
{
	if (address) {
		size_t size = strlen(address) + 1;
		ingest->address = mem_alloc(size);
		if (!ingest->address) {
			return ERR_MEMORY;
		}
		memcpy(ingest->address, address, size);
	}
	enum err err = loop_waker_new(ingest->loop, tell, ingest, &ingest->later);
	if (err) {
		return err;
	}
	err = inherit(ingest);
	if (err) {
		return err;
	}
	ingest->table = table_of(ingest->options.source);
	return ingest->table ? ingest->table->make(ingest) : OK;
}

enum err ingest_new(struct loop *loop, const struct ingest_options *options,
	const struct ingest_sink *sink, struct ingest **ret_ingest)
{
	if (options->source != INGEST_PUSH && !options->address) {
		return ERR_INVALID;
	}
	struct ingest *ingest = mem_calloc(1, sizeof *ingest);
	if (!ingest) {
		return ERR_MEMORY;
	}
	ingest->loop = loop;
	ingest->options = *options;
	ingest->sink = *sink;
	ingest_repeats_init(&ingest->repeats, loop_random(loop));
	ingest_ids_init(&ingest->ids, loop_random(loop), options->ids_bytes_max);
	atomic_init(&ingest->state, INGEST_IDLE);
	atomic_init(&ingest->lag_ms, -1);
	enum err err = fill(ingest, options->address);
	ingest->options.address = ingest->address;
	ingest->options.legacy = (struct ingest_legacy){0}; /* was borrowed */
	if (err) {
		ingest_free(ingest);
		return err;
	}
	*ret_ingest = ingest;
	return OK;
}

void ingest_free(struct ingest *ingest)
{
	if (!ingest) {
		return;
	}
	check(ingest_state(ingest) == INGEST_IDLE || ingest_state(ingest) == INGEST_STOPPED);
	if (ingest->source) {
		ingest->table->free(ingest);
	}
	drop_aside(ingest);
	ingest_markers_fini(&ingest->markers);
	ingest_repeats_fini(&ingest->repeats);
	ingest_ids_fini(&ingest->ids);
	arena_fini(&ingest->scratch);
	if (ingest->later) {
		loop_waker_free(ingest->later);
	}
	mem_free(ingest->address);
	mem_free(ingest);
}

enum err ingest_start(struct ingest *ingest)
{
	check(ingest_state(ingest) == INGEST_IDLE);
	if (ingest->table) {
		return ingest->table->start(ingest);
	}
	ingest_goto(ingest, INGEST_LIVE);
	return OK;
}

void ingest_stop(struct ingest *ingest, loop_fn stopped, void *ctx)
{
	ingest->stopped = stopped;
	ingest->stopped_ctx = ctx;
	ingest_goto(ingest, INGEST_STOPPED);
	if (ingest->table) {
		ingest->table->stop(ingest);
	} else {
		ingest_is_closed(ingest);
	}
}

/* What was set aside goes first; it may be that the sink is full again. */
void ingest_resume(struct ingest *ingest)
{
	if (ingest->aside_count > 0 && ingest_state(ingest) != INGEST_STOPPED) {
		enum err err = flush(ingest);
		if (err == ERR_FULL) {
			return;
		}
		if (err) {
			drop_aside(ingest);
			ingest->table->give_up(ingest, err_text(err));
			return;
		}
	}
	if (ingest_state(ingest) != INGEST_HELD) {
		return;
	}
	if (ingest->table) {
		ingest->table->go_on(ingest);
	} else {
		ingest_goto(ingest, INGEST_LIVE);
	}
}

void ingest_routed(struct ingest *ingest, uint64_t sequence)
{
	ingest_markers_routed(&ingest->markers, sequence);
}

enum err ingest_push(
	struct ingest *ingest, const struct model_change *change, struct err_info *info)
{
	check(!ingest->table);
	const struct model_source_message message = {.has_change = true, .change = *change};
	if (ingest_state(ingest) == INGEST_HELD) {
		return ERR_FULL;
	}
	if (ingest_state(ingest) != INGEST_LIVE) {
		return ERR_CLOSED;
	}
	if (is_repeat(ingest, change)) {
		return OK;
	}
	note_lag(ingest, change);
	struct err_info why = {0};
	struct event *event = NULL;
	enum err err = prepare(ingest, &message, &why, &event);
	if (err) {
		return err;
	}
	if (!event) {
		commit(ingest, change);
		return why.code ? err_set(info, why.code, 0, "%s", why.text) : OK;
	}
	err = offer(ingest, event);
	event_unref(event);
	if (err == ERR_FULL && ingest_state(ingest) == INGEST_LIVE) {
		hold(ingest);
	}
	return err;
}

/* ---- what the owner may know ------------------------------------------------------------- */

int64_t ingest_lag_ms(const struct ingest *ingest)
{
	return atomic_load_explicit(&ingest->lag_ms, memory_order_relaxed);
}

struct bytes ingest_marker(const struct ingest *ingest)
{
	return buffer_bytes(&ingest->markers.routed);
}

struct bytes ingest_marker_before(struct ingest *ingest, uint64_t sequence)
{
	return ingest_markers_before(&ingest->markers, sequence);
}

struct bytes ingest_position(const struct ingest *ingest)
{
	bool is_known = ingest->markers.routed_position[0] != 0;
	return (struct bytes){ingest->markers.routed_position, is_known ? MODEL_POSITION_SIZE : 0};
}

bool ingest_recovers(const struct ingest *ingest)
{
	return ingest->recovers;
}

bool ingest_marker_is_whole(const struct ingest *ingest)
{
	return ingest->markers.routed_is_whole;
}

uint64_t ingest_sequence(const struct ingest *ingest)
{
	return ingest->sequence;
}

const char *ingest_failure(const struct ingest *ingest)
{
	return ingest->failure;
}
