/*
 * A stream to a Streamer elsewhere: a loop and a thread of its own, on which the remote client is
 * the queue's producer. When much is queued the client stops reading; the consumer rings once it
 * has taken half of that.
 */
#include "node_priv.h"

#define PAUSE_BYTES ((size_t)8 << 20)
#define MESSAGE_BYTES_MAX (64U << 20)
#define HEARTBEAT_US 30000000
#define ACTIVITY_US 90000000

struct remote_stream {
	struct streamer_stream stream;
	struct remote_client *client; /* its thread's; NULL once it is gone */
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
		stream_queued_bytes(stream->queue) <= PAUSE_BYTES / 2) {
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

static enum err open_remote(struct remote_stream *remote, const char *address)
{
	static const struct node_stream_kind kind = {
		.request = on_request, .room = have_room, .close = close_remote};
	/* The client holds its peer back long before these. */
	static const struct stream_limits limits = {
		.hard_bytes = SIZE_MAX / 2, .soft_bytes = SIZE_MAX / 2, .soft_us = INT64_MAX};
	const struct remote_client_options options = {.address = address,
		.message_bytes_max = MESSAGE_BYTES_MAX,
		.pause_bytes = PAUSE_BYTES,
		.heartbeat_us = HEARTBEAT_US,
		.activity_us = ACTIVITY_US};
	enum err err = loop_new(&remote->stream.loop);
	if (err == OK) {
		err = loop_waker_new(remote->stream.loop, on_room, remote, &remote->room);
	}
	if (err == OK) {
		err = node_stream_init(&remote->stream, &kind, &limits, NULL);
	}
	if (err == OK) {
		err = remote_client_open(
			remote->stream.loop, &options, remote->stream.queue, &remote->client);
	}
	return err;
}

enum streamer_err streamer_connect(
	const char *address, struct streamer_failure *failure, struct streamer_stream **ret_stream)
{
	struct err_info info = {0};
	struct remote_stream *remote = mem_calloc(1, sizeof(*remote));
	if (!remote) {
		return node_failure(ERR_MEMORY, NULL, failure);
	}
	remote->close = (struct loop_posted){.fn = on_close, .ctx = remote};
	enum err err = open_remote(remote, address);
	if (err == ERR_INVALID) {
		(void)err_set(&info, err, 0,
			"\"%s\" is no address; it should be as localhost:50052", address);
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
