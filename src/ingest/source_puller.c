/*
 * The gRPC Puller as a source. There is at most one connection with one call; `break_off` gives it
 * up, and the next one is tried only when it is closed and the back-off is over. One timer serves
 * both: while there is a connection it looks for silence, in WAITING it is the back-off.
 *
 * An event that was set aside stays over a break: no new connection is made before the sink has
 * taken it, because what follows it would have nowhere to go.
 */
#include "grpc.h"
#include "ingest_priv.h"
#include "wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct puller_source {
	struct ingest *ingest;
	struct grpc_client *client; /* until it is closed */
	struct grpc_call *call;     /* NULL: over, or given up */
	struct loop_timer *timer;
	int64_t backoff_us; /* before jitter, for the next break */
	int64_t wait_us;    /* in WAITING */
	int64_t heard_us;   /* when the last message came, or the connection was asked for */
	bool has_opened;
	bool has_heard;      /* this connection's first message has come */
	bool is_lost;        /* since it was heard last */
	int64_t lost_us;     /* since when */
	struct buffer after; /* the marker that this connection began with */
};

static void fired(void *ctx);

static enum err make(struct ingest *ingest)
{
	struct puller_source *source = mem_calloc(1, sizeof *source);
	if (!source) {
		return ERR_MEMORY;
	}
	source->ingest = ingest;
	source->backoff_us = ingest->options.backoff_min_us;
	source->is_lost = ingest->options.legacy.marker.size > 0;
	source->lost_us = loop_now_us(ingest->loop) - ingest->options.legacy.age_us;
	enum err err = loop_timer_new(ingest->loop, fired, source, &source->timer);
	if (err) {
		mem_free(source);
		return err;
	}
	ingest->source = source;
	return OK;
}

static void free_source(struct ingest *ingest)
{
	struct puller_source *source = ingest->source;
	loop_timer_free(source->timer);
	buffer_fini(&source->after);
	mem_free(source);
}

/* ---- the end of a connection ------------------------------------------------------------- */

/* The wait before the next try: doubles from break to break, and is up to a fourth shorter, so that
 * those who lost the same Puller do not come back at the same time. */
static int64_t next_wait(struct puller_source *source)
{
	int64_t max_us = source->ingest->options.backoff_max_us;
	int64_t base_us = source->backoff_us < max_us ? source->backoff_us : max_us;
	uint64_t less_us = loop_random(source->ingest->loop) % ((uint64_t)base_us / 4 + 1);
	source->backoff_us = base_us < max_us / 2 ? base_us * 2 : max_us;
	return base_us - (int64_t)less_us;
}

/* No callback of the call is heeded any more; `closed` follows if there is a connection. */
static void close_connection(struct puller_source *source)
{
	struct grpc_call *call = source->call;
	source->call = NULL;
	loop_timer_stop(source->timer);
	if (source->has_opened) {
		source->has_opened = false;
		metrics_set(source->ingest->options.metrics, METRIC_source_connected, 0);
	}
	if (call) {
		grpc_call_cancel(call, GRPC_CANCELLED, "the subscriber leaves");
	}
	if (source->client) {
		grpc_client_close(source->client);
	}
}

static void break_off(struct puller_source *source, const char *why, struct bytes text)
{
	struct ingest *ingest = source->ingest;
	bool was_open = source->has_opened;
	source->wait_us = next_wait(source);
	if (source->has_heard) {
		source->is_lost = true;
		source->lost_us = loop_now_us(ingest->loop);
	}
	metrics_add(ingest->options.metrics, METRIC_source_breaks, 1);
	log_write(ingest->options.log, loop_wall_us(ingest->loop), LOG_WARNING,
		"ingest: %s the puller, address=%s reason=%s%s%.*s again_in_ms=%" PRId64,
		source->has_opened ? "lost" : "cannot reach", ingest->address, why,
		text.size > 0 ? ": " : "", BYTES_FORMAT(text), source->wait_us / 1000);
	ingest_goto(ingest, INGEST_WAITING);
	close_connection(source);
	if (was_open && !ingest_markers_are_known(&ingest->markers)) {
		ingest_break(ingest, "the connection was lost before the first marker came");
	}
	source->has_heard = false;
	if (!source->client) {
		loop_timer_start(source->timer, source->wait_us);
	}
}

static void closed(void *ctx, enum err why)
{
	struct puller_source *source = ctx;
	struct ingest *ingest = source->ingest;
	source->client = NULL;
	if (ingest_state(ingest) == INGEST_STOPPED) {
		ingest_is_closed(ingest);
	} else if (ingest_state(ingest) == INGEST_WAITING) {
		loop_timer_start(source->timer, source->wait_us);
	} else {
		break_off(source, err_text(why), (struct bytes){0});
	}
}

/* Whether the marker is what the Puller did not like: it would be refused for ever. */
static bool refuses_marker(
	const struct puller_source *source, enum grpc_status status, struct bytes text)
{
	static const char replay[] = "failed to start replay";
	if (source->has_heard || source->after.size == 0) {
		return false;
	}
	return status == GRPC_INVALID_ARGUMENT ||
		(text.size >= sizeof replay - 1 &&
			memcmp(text.data, replay, sizeof replay - 1) == 0);
}

static void ended(void *ctx, enum grpc_status status, struct bytes text)
{
	struct puller_source *source = ctx;
	struct ingest *ingest = source->ingest;
	if (!source->call) {
		return; /* given up before */
	}
	source->call = NULL;
	if (refuses_marker(source, status, text)) {
		struct bytes marker = buffer_bytes(&source->after);
		metrics_add(ingest->options.metrics, METRIC_source_markers_refused, 1);
		log_write(ingest->options.log, loop_wall_us(ingest->loop), LOG_WARNING,
			"ingest: the puller refuses the marker and is asked for %s next, "
			"marker=%.*s",
			bytes_equal(marker, bytes_of("e30")) ? "what is new" : "all it keeps",
			BYTES_FORMAT(marker));
		ingest_break(ingest, "the Puller does not take the marker");
		ingest_refused(ingest);
		if (ingest_markers_refuse(&ingest->markers, marker)) {
			status = GRPC_RESOURCE_EXHAUSTED;
		}
	}
	break_off(source, grpc_status_name(status), text);
}

/* ---- the life of a connection ------------------------------------------------------------ */

static void opened(void *ctx)
{
	struct puller_source *source = ctx;
	struct ingest *ingest = source->ingest;
	if (!source->call) {
		return;
	}
	source->has_opened = true;
	metrics_add(ingest->options.metrics, METRIC_source_connects, 1);
	metrics_set(ingest->options.metrics, METRIC_source_connected, 1);
	log_write(ingest->options.log, loop_wall_us(ingest->loop), LOG_INFO,
		"ingest: connected to the puller, address=%s after=%.*s", ingest->address,
		BYTES_FORMAT(buffer_bytes(&source->after)));
}

/* The Puller has forgotten what happened too long ago. */
static void look_for_absence(struct puller_source *source)
{
	struct ingest *ingest = source->ingest;
	bool has_marker = source->after.size > 0;
	if (source->is_lost && has_marker &&
		loop_now_us(ingest->loop) - source->lost_us > ingest->options.retention_us) {
		ingest_break(ingest, "away for longer than puller_retention_ms");
	}
	source->is_lost = false;
}

static void message(void *ctx, struct bytes bytes)
{
	struct puller_source *source = ctx;
	struct ingest *ingest = source->ingest;
	struct model_source_message parsed = {0};
	if (!source->call) {
		return;
	}
	source->heard_us = loop_now_us(ingest->loop);
	enum err err = wire_source_message_parse(bytes, &parsed);
	if (err) {
		metrics_add(ingest->options.metrics, METRIC_grpc_protocol_errors, 1);
		break_off(source, "a message cannot be read", bytes_of(err_text(err)));
		return;
	}
	if (!source->has_heard) {
		look_for_absence(source);
		source->has_heard = true;
		source->backoff_us = ingest->options.backoff_min_us;
		ingest_goto(ingest, INGEST_LIVE);
	}
	err = ingest_take(ingest, &parsed);
	if (err && err != ERR_FULL && source->call) {
		break_off(source, "a message cannot be taken", bytes_of(err_text(err)));
	}
}

static const struct grpc_client_events client_events = {opened, closed};
static const struct grpc_call_events call_events = {.message = message, .ended = ended};

/* Under a name of its own: the Puller knows its subscribers by their consumer id. */
static enum err encode_request(struct puller_source *source, struct buffer *buffer)
{
	struct loop *loop = source->ingest->loop;
	char uuid[MODEL_UUID_SIZE];
	char consumer_id[MODEL_UUID_SIZE + 16];
	model_uuid_print(loop_random(loop), loop_random(loop), uuid);
	(void)snprintf(consumer_id, sizeof consumer_id, "streamer-%s", uuid);
	const struct wire_puller_request request = {
		.consumer_id = bytes_of(consumer_id),
		.after = buffer_bytes(&source->after),
	};
	return wire_puller_request_encode(buffer, &request);
}

static enum err ask(struct puller_source *source)
{
	struct buffer request = {0};
	source->after.size = 0;
	enum err err =
		buffer_append(&source->after, ingest_markers_resume(&source->ingest->markers));
	if (!err) {
		err = encode_request(source, &request);
	}
	if (!err) {
		err = grpc_client_call(source->client, WIRE_PULLER_SUBSCRIBE, 0, &call_events,
			source, &source->call);
	}
	if (!err) {
		err = grpc_call_send(source->call, buffer_bytes(&request));
	}
	if (!err) {
		grpc_call_finish(source->call, GRPC_OK, NULL);
	}
	buffer_fini(&request);
	return err;
}

/* On failure nothing has been opened and the state is as before. */
static enum err connect_puller(struct puller_source *source)
{
	struct ingest *ingest = source->ingest;
	const struct grpc_options options = {
		.message_bytes_max = ingest->options.message_bytes_max,
		.log = ingest->options.log,
		.metrics = ingest->options.metrics,
	};
	enum err err = grpc_client_open(
		ingest->loop, ingest->address, &options, &client_events, source, &source->client);
	if (err) {
		return err;
	}
	source->has_heard = false;
	source->heard_us = loop_now_us(ingest->loop);
	loop_timer_start(source->timer, ingest->options.dead_us);
	ingest_goto(ingest, INGEST_CONNECTING);
	err = ask(source);
	if (err) {
		break_off(source, "cannot ask", bytes_of(err_text(err)));
	}
	return OK;
}

static void try_again(struct puller_source *source)
{
	enum err err = connect_puller(source);
	if (err) {
		source->wait_us = next_wait(source);
		log_write(source->ingest->options.log, loop_wall_us(source->ingest->loop),
			LOG_WARNING,
			"ingest: cannot try the puller, address=%s reason=%s again_in_ms=%" PRId64,
			source->ingest->address, err_text(err), source->wait_us / 1000);
		if (ingest_state(source->ingest) != INGEST_WAITING) {
			ingest_goto(source->ingest, INGEST_WAITING);
		}
		loop_timer_start(source->timer, source->wait_us);
	}
}

static void look_for_silence(struct puller_source *source)
{
	struct ingest *ingest = source->ingest;
	int64_t silence_us = loop_now_us(ingest->loop) - source->heard_us;
	if (silence_us < ingest->options.dead_us) {
		loop_timer_start(source->timer, ingest->options.dead_us - silence_us);
		return;
	}
	break_off(source, "silent for too long", (struct bytes){0});
}

static void fired(void *ctx)
{
	struct puller_source *source = ctx;
	if (source->call) {
		look_for_silence(source);
	} else if (source->ingest->aside_count > 0) {
		ingest_goto(source->ingest, INGEST_HELD);
	} else {
		try_again(source);
	}
}

/* ---- what the driver asks ---------------------------------------------------------------- */

static enum err start(struct ingest *ingest)
{
	return connect_puller(ingest->source);
}

static void hold(struct ingest *ingest)
{
	struct puller_source *source = ingest->source;
	loop_timer_stop(source->timer);
	grpc_call_pause(source->call, true);
}

static void go_on(struct ingest *ingest)
{
	struct puller_source *source = ingest->source;
	if (!source->call) { /* lost while held, and the back-off is over */
		try_again(source);
		return;
	}
	source->heard_us = loop_now_us(ingest->loop);
	loop_timer_start(source->timer, ingest->options.dead_us);
	ingest_goto(ingest, INGEST_LIVE);
	grpc_call_pause(source->call, false);
}

static void give_up(struct ingest *ingest, const char *why)
{
	if (ingest_state(ingest) == INGEST_HELD) {
		break_off(ingest->source, "an event cannot be taken", bytes_of(why));
	}
}

static void stop(struct ingest *ingest)
{
	struct puller_source *source = ingest->source;
	bool is_open = source->client != NULL;
	close_connection(source);
	if (!is_open) {
		ingest_is_closed(ingest);
	}
}

const struct ingest_source_table ingest_puller_source = {
	.make = make,
	.free = free_source,
	.start = start,
	.hold = hold,
	.go_on = go_on,
	.give_up = give_up,
	.stop = stop,
};
