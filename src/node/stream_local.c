/*
 * A stream of an engine in this process: its producer is one of the engine's workers, on whose loop
 * everything but the consumer's end happens. A closed stream lives on there until the worker has
 * let it go; loops carry out in order what they are posted, so an engine's end always comes behind
 * that.
 */
#include "node_priv.h"

struct local_stream {
	struct streamer_stream stream;
	struct streamer *streamer;
	struct worker *worker;
	struct worker_stream
		*attached;  /* worker's thread; NULL: it had no memory, the stream ended */
	struct arena arena; /* of one request */
	struct loop_posted attach, detach;
};

static void on_attach(void *ctx)
{
	struct local_stream *local = ctx;
	struct stream *queue = local->stream.queue;
	enum err err = worker_attach(local->worker, queue, &local->attached);
	if (err != OK) {
		stream_end(queue, err, "out of memory for a stream");
		stream_unref(queue); /* the producer's end */
	}
}

static void on_request(struct streamer_stream *stream, struct bytes message)
{
	struct local_stream *local = (struct local_stream *)stream;
	struct wire_gateway_message parsed;
	struct err_info refusal = {0};
	if (!local->attached) {
		return;
	}
	arena_reset(&local->arena);
	enum err err = wire_gateway_message_parse(
		message, &local->streamer->wire, &local->arena, &parsed, &refusal);
	if (err != OK) {
		stream_end(stream->queue, err, "out of memory for a request");
	} else if (parsed.kind == WIRE_GATEWAY_SUBSCRIBE) {
		worker_subscribe(local->attached, &parsed.subscription, &refusal);
	} else if (parsed.kind == WIRE_GATEWAY_UNSUBSCRIBE) {
		worker_unsubscribe(local->attached, parsed.unsubscribe_id);
	}
}

static void on_detach(void *ctx)
{
	struct local_stream *local = ctx;
	if (local->attached) {
		worker_detach(local->attached);
	}
	node_stream_fini(&local->stream);
	arena_fini(&local->arena);
	mem_free(local);
}

static void close_local(struct streamer_stream *stream)
{
	struct local_stream *local = (struct local_stream *)stream;
	stream_close(stream->queue); /* frees what is queued now, not in the worker's turn */
	(void)atomic_fetch_sub(&local->streamer->streams_open, 1);
	check(loop_post_owned(stream->loop, &local->detach) == OK);
}

static void have_room(struct streamer_stream *stream)
{
	(void)stream; /* the worker waits for nobody */
}

enum streamer_err streamer_stream_open(
	struct streamer *streamer, struct streamer_stream **ret_stream)
{
	static const struct node_stream_kind kind = {
		.request = on_request, .room = have_room, .close = close_local};
	struct local_stream *local = mem_calloc(1, sizeof(*local));
	if (!local) {
		return STREAMER_MEMORY;
	}
	size_t turn = atomic_fetch_add(&streamer->next_stream, 1);
	const struct node_worker *worker = &streamer->workers[turn % streamer->workers_count];
	enum err err = node_stream_init(
		&local->stream, &kind, &streamer->stream_limits, &streamer->metrics);
	if (err != OK) {
		mem_free(local);
		return (enum streamer_err)err;
	}
	local->stream.loop = worker->loop;
	local->streamer = streamer;
	local->worker = worker->worker;
	local->attach = (struct loop_posted){.fn = on_attach, .ctx = local};
	local->detach = (struct loop_posted){.fn = on_detach, .ctx = local};
	(void)atomic_fetch_add(&streamer->streams_open, 1);
	check(loop_post_owned(worker->loop, &local->attach) == OK);
	*ret_stream = &local->stream;
	return STREAMER_OK;
}
