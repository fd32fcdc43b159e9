/*
 * A stream to a Streamer elsewhere: a loop and a thread of its own, on which the remote client is
 * the queue's producer. When much is queued the client stops reading; the consumer rings once it
 * has taken half of that.
 */
#include "node_priv.h"

#define MESSAGE_BYTES_LEAST 65536 /* what every Streamer may send, whatever it is told */
#define QUEUE_BYTES_LEAST 1024
#define NAME_BYTES_MAX 255
#define TIME_MS_MOST 86400000

struct remote_stream {
	struct streamer_stream stream;
	struct remote_client *client; /* its thread's; NULL once it is gone */
	size_t queue_bytes_max;
	struct loop_waker *room;
	struct loop_posted close;
	pthread_t thread;
};

static void on_request(struct streamer_stream *stream, struct bytes message)
{
	struct remote_stream *remote = (struct remote_stream *)stream;
	enum err err = remote_client_request(remote->client, message);
	if (err != OK && err != ERR_CLOSED) {
		stream_end(stream->queue, err, "a request could not be sent");
	}
}

static void on_room(void *ctx)
{
	struct remote_stream *remote = ctx;
	if (remote->client) {
		remote_client_resume(remote->client);
	}
}

static void have_room(struct streamer_stream *stream)
{
	struct remote_stream *remote = (struct remote_stream *)stream;
	if (remote_client_is_paused(remote->client) &&
		stream_queued_bytes(stream->queue) <= remote->queue_bytes_max / 2) {
		loop_waker_wake(remote->room);
	}
}

static void on_closed(void *ctx)
{
	struct remote_stream *remote = ctx;
	loop_stop(remote->stream.loop);
}

static void on_close(void *ctx)
{
	struct remote_stream *remote = ctx;
	struct remote_client *client = remote->client;
	remote->client = NULL;
	remote_client_close(client, on_closed, remote);
}

static void free_remote(struct remote_stream *remote)
{
	loop_waker_free(remote->room);
	loop_free(remote->stream.loop);
	if (remote->stream.queue) {
		stream_unref(remote->stream.queue); /* the producer's end */
		node_stream_fini(&remote->stream);
	}
	mem_free(remote);
}

static void close_remote(struct streamer_stream *stream)
{
	struct remote_stream *remote = (struct remote_stream *)stream;
	stream_close(stream->queue);
	check(loop_post_owned(stream->loop, &remote->close) == OK);
	check(pthread_join(remote->thread, NULL) == 0);
	free_remote(remote);
}

static enum err open_remote(
	struct remote_stream *remote, const struct streamer_connect_options *options)
{
	static const struct node_stream_kind kind = {
		.request = on_request, .room = have_room, .close = close_remote};
	/* The client holds its peer back long before these. */
	static const struct stream_limits limits = {
		.hard_bytes = SIZE_MAX / 2, .soft_bytes = SIZE_MAX / 2, .soft_us = INT64_MAX};
	const struct remote_client_options client = {.address = options->address,
		.gateway_id = options->gateway_id,
		.after = {options->after.data, options->after.size},
		.message_bytes_max = (uint32_t)options->message_bytes_max,
		.pause_bytes = options->queue_bytes_max,
		.waiting_bytes_max = options->waiting_bytes_max,
		.heartbeat_us = options->heartbeat_ms * 1000,
		.activity_us = options->activity_ms * 1000,
		.backoff_min_us = options->backoff_min_ms * 1000,
		.backoff_max_us = options->backoff_max_ms * 1000};
	enum err err = loop_new(&remote->stream.loop);
	if (err == OK) {
		err = loop_waker_new(remote->stream.loop, on_room, remote, &remote->room);
	}
	if (err == OK) {
		err = node_stream_init(&remote->stream, &kind, &limits, NULL);
	}
	if (err == OK) {
		err = remote_client_open(
			remote->stream.loop, &client, remote->stream.queue, &remote->client);
	}
	return err;
}

/* ---- options --------------------------------------------------------------------------------- */

void streamer_connect_options_init(struct streamer_connect_options *options)
{
	*options = (struct streamer_connect_options){.heartbeat_ms = 30000,
		.activity_ms = 90000,
		.backoff_min_ms = 1000,
		.backoff_max_ms = 30000,
		.message_bytes_max = (size_t)64 << 20,
		.queue_bytes_max = (size_t)8 << 20,
		.waiting_bytes_max = (size_t)64 << 20};
}

static bool is_time(int64_t least_ms, int64_t time_ms)
{
	return time_ms >= least_ms && time_ms <= TIME_MS_MOST;
}

static enum err check_options(const struct streamer_connect_options *options, struct err_info *info)
{
	const char *wrong = NULL;
	struct bytes name = bytes_of(options->gateway_id);
	if (!options->address) {
		wrong = "an address must be given, such as localhost:50052";
	} else if (name.size > NAME_BYTES_MAX || !bytes_are_utf8(name)) {
		wrong = "gateway_id must be UTF-8, of at most 255 bytes";
	} else if (options->after.size > REMOTE_POSITION_BYTES_MAX) {
		wrong = "after is no position: it is too long";
	} else if (!is_time(1, options->heartbeat_ms)) {
		wrong = "heartbeat_ms must be from 1 to 86400000";
	} else if (!is_time(options->heartbeat_ms + 1, options->activity_ms)) {
		wrong = "activity_ms must be more than heartbeat_ms, and at most 86400000";
	} else if (!is_time(1, options->backoff_min_ms)) {
		wrong = "backoff_min_ms must be from 1 to 86400000";
	} else if (!is_time(options->backoff_min_ms, options->backoff_max_ms)) {
		wrong = "backoff_max_ms must be from backoff_min_ms to 86400000";
	} else if (options->message_bytes_max < MESSAGE_BYTES_LEAST ||
		options->message_bytes_max > INT32_MAX) {
		wrong = "message_bytes_max must be from 65536 to 2147483647";
	} else if (options->queue_bytes_max < QUEUE_BYTES_LEAST) {
		wrong = "queue_bytes_max must be at least 1024";
	}
	return wrong ? err_set(info, ERR_INVALID, 0, "%s", wrong) : OK;
}

/* ---- the verb -------------------------------------------------------------------------------- */

enum streamer_err streamer_connect_with(const struct streamer_connect_options *options,
	struct streamer_failure *failure, struct streamer_stream **ret_stream)
{
	struct err_info info = {0};
	enum err err = check_options(options, &info);
	if (err != OK) {
		return node_failure(err, &info, failure);
	}
	struct remote_stream *remote = mem_calloc(1, sizeof(*remote));
	if (!remote) {
		return node_failure(ERR_MEMORY, NULL, failure);
	}
	remote->close = (struct loop_posted){.fn = on_close, .ctx = remote};
	remote->queue_bytes_max = options->queue_bytes_max;
	err = open_remote(remote, options);
	if (err == ERR_INVALID) {
		(void)err_set(&info, err, 0,
			"\"%s\" is no address; it should be as localhost:50052", options->address);
	}
	if (err == OK && node_thread_start(remote->stream.loop, &remote->thread) != OK) {
		err = err_set(&info, ERR_IO, 0, "no thread is left for the stream");
		check(loop_post_owned(remote->stream.loop, &remote->close) == OK);
		loop_run(remote->stream.loop);
	}
	if (err != OK) {
		free_remote(remote);
		return node_failure(err, &info, failure);
	}
	*ret_stream = &remote->stream;
	return STREAMER_OK;
}

enum streamer_err streamer_connect(
	const char *address, struct streamer_failure *failure, struct streamer_stream **ret_stream)
{
	struct streamer_connect_options options;
	streamer_connect_options_init(&options);
	options.address = address;
	return streamer_connect_with(&options, failure, ret_stream);
}
