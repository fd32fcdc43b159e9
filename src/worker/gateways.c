/* What `remote` asks for its gateways: streams whose consumer is on this worker's own loop. */
#include "worker_priv.h"

#include <stdio.h>

static enum err open_stream(void *ctx, const char *peer, stream_wake_fn wake, void *wake_ctx,
	struct stream **ret_stream, void **ret_handle)
{
	struct worker *worker = ctx;
	if (atomic_load_explicit(&worker->closing, memory_order_relaxed)) {
		return ERR_UNAVAILABLE;
	}
	struct stream *stream = NULL;
	struct worker_stream *attached = NULL;
	enum err err = stream_new(
		&worker->options.stream, worker->options.metrics, wake, wake_ctx, &stream);
	if (err != OK) {
		return err;
	}
	err = worker_attach(worker, stream, &attached);
	if (err != OK) {
		stream_unref(stream);
		stream_unref(stream);
		return err;
	}
	(void)snprintf(attached->peer, sizeof(attached->peer), "%s", peer);
	*ret_stream = stream;
	*ret_handle = attached;
	return OK;
}

static void subscribe(
	void *handle, const struct model_subscription *subscription, const struct err_info *refusal)
{
	worker_subscribe(handle, subscription, refusal);
}

static void subscribe_quietly(void *handle, const struct model_subscription *subscription,
	const struct err_info *refusal, struct model_answer *ret_answer)
{
	worker_subscribe_quietly(handle, subscription, refusal, ret_answer);
}

static void unsubscribe(void *handle, struct bytes id)
{
	worker_unsubscribe(handle, id);
}

static void take_hello(void *handle, const struct model_hello *hello)
{
	struct worker_stream *stream = handle;
	(void)snprintf(stream->name, sizeof(stream->name), "%.*s", BYTES_FORMAT(hello->gateway_id));
	worker_hello(stream, hello);
}

static void take_heartbeat(void *handle, const struct model_heartbeat *heartbeat)
{
	worker_heartbeat(handle, heartbeat);
}

static struct bytes position(void *handle)
{
	return worker_position(handle);
}

static void send_message(void *handle, struct bytes message)
{
	worker_send(handle, message);
}

static enum model_source source(void *ctx, int64_t *ret_lag_ms)
{
	const struct worker *worker = ctx;
	*ret_lag_ms = 0;
	return worker->options.source ? worker->options.source(worker->options.ctx, ret_lag_ms)
				      : MODEL_SOURCE_UNKNOWN;
}

static void close_stream(void *handle)
{
	struct worker_stream *stream = handle;
	struct stream *queue = stream->stream;
	stream_close(queue);
	worker_detach(stream);
	stream_unref(queue);
}

struct remote_engine worker_remote_engine(struct worker *worker)
{
	return (struct remote_engine){.open = open_stream,
		.subscribe = subscribe,
		.subscribe_quietly = subscribe_quietly,
		.unsubscribe = unsubscribe,
		.hello = take_hello,
		.heartbeat = take_heartbeat,
		.position = position,
		.send = send_message,
		.source = source,
		.close = close_stream,
		.ctx = worker};
}
