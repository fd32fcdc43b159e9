/*
 * What a gateway gets: items leave the stream when the call has room. What a turn queues leaves in
 * one write: the call is asked to say `writable` when the turn ends.
 */
#include "server_priv.h"

#include <stdio.h>
#include <string.h>

/* A gap that stands for a large event has that much more around it than a delivery, at most. */
#define GAP_MORE 512

/* All up to this position is written now. */
static void note_written(struct session *session, struct bytes position)
{
	if (position.size > 0 && position.size <= sizeof(session->written)) {
		memcpy(session->written, position.data, position.size);
		session->written_size = position.size;
	}
}

static struct bytes written(const struct session *session)
{
	return (struct bytes){session->written, session->written_size};
}

static enum err send_scratch(struct session *session, enum err err)
{
	return err == OK ? grpc_call_send(session->call, buffer_bytes(&session->scratch)) : err;
}

/* ---- deliveries ------------------------------------------------------------------------------ */

/* How the delivery at the head leaves. */
struct outgoing {
	struct bytes event;
	struct model_mark mark; /* of its last part */
	size_t most;            /* bytes of a message */
	bool is_gap;            /* it is too large: only that it is missing is told */
};

/* As many whole ids from the front of the run as fit beside the event, at least one. */
static struct bytes part_of_run(const struct outgoing *outgoing, struct bytes run, size_t most)
{
	struct bytes rest = run;
	struct bytes id;
	size_t size = 0;
	while (wire_id_next(&rest, &id)) {
		size_t with = run.size - rest.size;
		if (size > 0 &&
			wire_delivery_size(with, outgoing->event.size, &outgoing->mark) > most) {
			break;
		}
		size = with;
	}
	return (struct bytes){run.data, size};
}

/* Whole if it fits with one id, else without its document; who knows of gaps is told so. */
static struct outgoing plan_delivery(
	const struct session *session, const struct stream_item *item, struct bytes run)
{
	struct outgoing outgoing = {
		.event = item->is_bare ? item->event->encoded_bare : item->event->encoded,
		.most = session->message_bytes_max};
	if (session->knows_extensions) {
		outgoing.mark.replayed = item->is_replayed;
		outgoing.mark.more = item->has_more;
	}
	if (session->knows_extensions && !item->has_more) {
		outgoing.mark.position = item->event->position;
	}
	if (outgoing.event.size > item->event->encoded_bare.size &&
		wire_delivery_size(part_of_run(&outgoing, run, 0).size, outgoing.event.size,
			&outgoing.mark) > outgoing.most) {
		outgoing.event = item->event->encoded_bare;
		outgoing.is_gap = session->knows_extensions;
		outgoing.most -= outgoing.is_gap ? GAP_MORE : 0;
	}
	return outgoing;
}

static enum err send_gap_part(
	struct session *session, const struct outgoing *outgoing, struct bytes run, bool is_last)
{
	const struct model_gap gap = {.after = written(session),
		.until = is_last ? outgoing->mark.position : (struct bytes){0},
		.reason = MODEL_GAP_TOO_LARGE,
		.run = run,
		.events = 1,
		.event = outgoing->event};
	session->scratch.size = 0;
	return send_scratch(session, wire_gap_encode(&session->scratch, &gap));
}

static enum err send_part(
	struct session *session, const struct outgoing *outgoing, struct bytes run, bool is_last)
{
	if (outgoing->is_gap) {
		return send_gap_part(session, outgoing, run, is_last);
	}
	struct model_mark mark = outgoing->mark;
	if (!is_last && session->knows_extensions) {
		mark.position = (struct bytes){0};
		mark.more = true;
	}
	char *place = NULL;
	enum err err = grpc_call_begin(
		session->call, wire_delivery_size(run.size, outgoing->event.size, &mark), &place);
	if (err == OK) {
		wire_delivery_write(run, outgoing->event, &mark, place);
		grpc_call_commit(session->call);
	}
	return err;
}

static enum err send_delivery(struct session *session, const struct stream_item *item)
{
	struct bytes run = {item->run.data + session->split_at, item->run.size - session->split_at};
	struct outgoing outgoing = plan_delivery(session, item, run);
	if (session->split_at == 0 && !item->is_bare &&
		outgoing.event.size < item->event->encoded.size) {
		metrics_add(session->server->options.metrics, METRIC_deliveries_without_data, 1);
	}
	while (run.size > 0) {
		struct bytes part = run;
		if (wire_delivery_size(run.size, outgoing.event.size, &outgoing.mark) >
			outgoing.most) {
			part = part_of_run(&outgoing, run, outgoing.most);
		}
		enum err err = send_part(session, &outgoing, part, part.size == run.size);
		if (err != OK) {
			return err;
		}
		session->split_at += part.size;
		run.data += part.size;
		run.size -= part.size;
	}
	session->split_at = 0;
	note_written(session, outgoing.mark.position);
	return OK;
}

static enum err send_gap(struct session *session, const struct model_gap *gap)
{
	if (!session->knows_extensions) {
		return ERR_UNAVAILABLE; /* it cannot be told: it begins anew */
	}
	enum err err = send_scratch(session, wire_gap_encode(&session->scratch, gap));
	if (err == OK) {
		note_written(session, gap->until);
	}
	return err;
}

/* ---- what overtakes them --------------------------------------------------------------------- */

static void say_refusal(struct session *session, const struct model_answer *answer)
{
	bool by_limit =
		answer->refusal == MODEL_REFUSED_LIMIT || answer->refusal == MODEL_REFUSED_ID;
	if (answer->refusal != MODEL_ACCEPTED) {
		connection_say(session->connection, by_limit ? LOG_WARNING : LOG_DEBUG,
			"subscription refused: %.*s", BYTES_FORMAT(answer->text));
	}
}

static enum err send_answer(struct session *session, const struct model_answer *answer)
{
	struct model_answer told = *answer;
	if (!session->knows_extensions) {
		told.live_after = (struct bytes){0};
	}
	enum err err = send_scratch(session, wire_answer_encode(&session->scratch, &told));
	if (err == OK) {
		say_refusal(session, answer);
	}
	return err;
}

/* It may speak only of what is written: it goes ahead of all that is queued. */
static enum err send_ack(struct session *session, int64_t timestamp_ms)
{
	const struct remote_engine *engine = &session->server->engine;
	struct model_heartbeat_ack ack = {.timestamp_ms = timestamp_ms};
	if (session->knows_extensions) {
		ack.source = engine->source(engine->ctx, &ack.source_lag_ms);
		ack.position = stream_has_deliveries(session->stream)
			? written(session)
			: engine->position(session->handle);
	}
	return send_scratch(session, wire_heartbeat_ack_encode(&session->scratch, &ack));
}

static enum err send_welcome(struct session *session, const struct model_welcome *welcome)
{
	enum err err = send_scratch(session, wire_welcome_encode(&session->scratch, welcome));
	if (err == OK) {
		session->awaits_welcome = false;
		session_read_on(session);
	}
	return err;
}

/* The notice to each subscription; a gateway of the original could not read it. */
static enum err send_notice(struct session *session, const struct stream_item *item)
{
	struct model_notice notice = item->notice;
	struct bytes rest = {
		item->run.data + session->notice_at, item->run.size - session->notice_at};
	while (session->knows_extensions && wire_id_next(&rest, &notice.subscription_id)) {
		session->scratch.size = 0;
		enum err err =
			send_scratch(session, wire_notice_encode(&session->scratch, &notice));
		if (err != OK) {
			return err;
		}
		session->notice_at = item->run.size - rest.size;
	}
	session->notice_at = 0;
	return OK;
}

static enum err send_item(struct session *session, const struct stream_item *item)
{
	session->scratch.size = 0;
	switch (item->kind) {
	case STREAM_DELIVERY:
		return send_delivery(session, item);
	case STREAM_GAP:
		return send_gap(session, &item->gap);
	case STREAM_ANSWER:
		return send_answer(session, &item->answer);
	case STREAM_ACK:
		return send_ack(session, item->timestamp_ms);
	case STREAM_WELCOME:
		return send_welcome(session, &item->welcome);
	case STREAM_MESSAGE:
		return grpc_call_send(session->call, item->message);
	case STREAM_NOTICE:
		return send_notice(session, item);
	case STREAM_STATE:
	case STREAM_END:
		break;
	}
	return OK;
}

/* ---- the call -------------------------------------------------------------------------------- */

/* A stream that ended because its gateway does not read cannot end in order: what is stuck is
 * dropped. */
void session_end(struct session *session, enum err why, struct bytes text)
{
	char words[192];
	(void)snprintf(words, sizeof(words), "%.*s", BYTES_FORMAT(text));
	session_close_stream(session); /* whose text it was */
	if (why == ERR_LIMIT && grpc_call_unframed(session->call) > 0) {
		grpc_call_cancel(session->call, GRPC_RESOURCE_EXHAUSTED, words);
	} else {
		grpc_call_finish(session->call, grpc_status_of(why), words);
	}
}

void session_flush(void *ctx)
{
	struct session *session = ctx;
	struct stream_item item;
	while (session->call && session->handle && stream_peek(session->stream, &item) == OK) {
		if (item.kind == STREAM_END) {
			session_end(session, item.why, item.text);
			return;
		}
		enum err err = send_item(session, &item);
		if (err == ERR_FULL) {
			return; /* the call's `writable` comes back here */
		}
		if (err != OK) {
			session_end(session, err, bytes_of(err_text(err)));
			return;
		}
		stream_pop(session->stream);
	}
}
