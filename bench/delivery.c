/* Gateways that only count, so that one thread of theirs keeps up with the process under measure.
 */
#include "delivery.h"
#include "child.h"
#include "grpc.h"
#include "loop_thread.h"
#include "measure.h"
#include "wire.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#define WINDOW_BYTES (16U << 20)
#define START_MS 20000
#define WARM_UP_MS 500
#define LOOK_MS 10

struct reader {
	struct readers *all;
	struct grpc_client *client; /* NULL once its connection is gone */
	bool has_read;
};

struct readers {
	const struct delivery_shape *shape;
	struct loop *loop;
	struct loop_thread thread;
	bool is_closing;
	struct reader *items;
	uint32_t open;            /* connections */
	_Atomic uint32_t reading; /* those that have had a message */
	_Atomic uint64_t messages;
	_Atomic bool is_wrong;
	struct err_info wrong; /* written before is_wrong says so */
};

/* ---- the gateways' thread -------------------------------------------------------------------- */

static void wrong(struct readers *all, const char *format, ...) PRINTF_LIKE(2, 3);
static void wrong(struct readers *all, const char *format, ...)
{
	if (all->wrong.code != OK || all->is_closing) {
		return;
	}
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(all->wrong.text, sizeof(all->wrong.text), format, arguments);
	va_end(arguments);
	all->wrong.code = ERR_CORRUPT;
	atomic_store_explicit(&all->is_wrong, true, memory_order_release);
}

/* One thread counts, so that nothing more than a store is needed. */
static void on_message(void *ctx, struct bytes message)
{
	struct reader *reader = ctx;
	struct readers *all = reader->all;
	uint64_t messages = atomic_load_explicit(&all->messages, memory_order_relaxed);
	atomic_store_explicit(&all->messages, messages + 1, memory_order_relaxed);
	if (message.size != all->shape->message_bytes) {
		wrong(all, "a message of %zu bytes instead of %" PRIu32, message.size,
			all->shape->message_bytes);
	}
	if (!reader->has_read) {
		reader->has_read = true;
		(void)atomic_fetch_add_explicit(&all->reading, 1, memory_order_relaxed);
	}
}

static void on_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	const struct reader *reader = ctx;
	wrong(reader->all, "a stream ended: %s %.*s", grpc_status_name(status), BYTES_FORMAT(text));
}

static void stop_if_gone(struct readers *all)
{
	if (all->is_closing && all->open == 0) {
		loop_stop(all->loop);
	}
}

static void on_closed(void *ctx, enum err why)
{
	struct reader *reader = ctx;
	reader->client = NULL;
	reader->all->open--;
	wrong(reader->all, "a connection is gone: %s", err_text(why));
	stop_if_gone(reader->all);
}

static void on_close(void *ctx)
{
	struct readers *all = ctx;
	all->is_closing = true;
	for (uint32_t i = 0; i < all->shape->streams; i++) {
		if (all->items[i].client) {
			grpc_client_close(all->items[i].client);
		}
	}
	stop_if_gone(all);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static enum err open_reader(struct reader *reader, const char *address)
{
	static const struct grpc_client_events client_events = {.closed = on_closed};
	static const struct grpc_call_events call_events = {
		.message = on_message, .ended = on_ended};
	const struct grpc_options options = {
		.message_bytes_max = DELIVERY_BYTES_MAX, .window_bytes = WINDOW_BYTES};
	struct grpc_call *call = NULL;
	enum err err = grpc_client_open(
		reader->all->loop, address, &options, &client_events, reader, &reader->client);
	if (err == OK) {
		reader->all->open++;
		err = grpc_client_call(
			reader->client, WIRE_STREAMER_STREAM, 0, &call_events, reader, &call);
	}
	return err;
}

static enum err open_readers(struct readers *all, const char *address)
{
	all->items = mem_calloc(all->shape->streams, sizeof(*all->items));
	enum err err = all->items ? loop_new(&all->loop) : ERR_MEMORY;
	for (uint32_t i = 0; err == OK && i < all->shape->streams; i++) {
		all->items[i].all = all;
		err = open_reader(&all->items[i], address);
	}
	if (err == OK) {
		err = loop_thread_start(&all->thread, all->loop);
	}
	return err;
}

static void close_readers(struct readers *all)
{
	loop_thread_join(&all->thread, on_close, all);
	loop_free(all->loop);
	mem_free(all->items);
}

/* ---- measuring ------------------------------------------------------------------------------- */

static enum err check_state(struct readers *all, struct child *child, struct err_info *info)
{
	if (atomic_load_explicit(&all->is_wrong, memory_order_acquire)) {
		*info = all->wrong;
		return info->code;
	}
	return child_read_log(child, info);
}

/* Lets time pass, up to `until_ns`, or until every stream is being read. */
static enum err wait_for(struct readers *all, struct child *child, int64_t until_ns,
	bool until_reading, struct err_info *info)
{
	int64_t left_ms = 0;
	while ((left_ms = (until_ns - measure_now_ns()) / 1000000) > 0) {
		struct pollfd ready = {.fd = child_log_fd(child), .events = POLLIN};
		(void)poll(&ready, 1, (int)(left_ms < LOOK_MS ? left_ms : LOOK_MS));
		enum err err = check_state(all, child, info);
		if (err != OK) {
			return err;
		}
		uint32_t reading = atomic_load_explicit(&all->reading, memory_order_relaxed);
		if (until_reading && reading == all->shape->streams) {
			return OK;
		}
	}
	return until_reading
		? err_set(info, ERR_TIMEOUT, 0, "not every stream has had a message within %d s",
			  START_MS / 1000)
		: OK;
}

static enum err measure(struct readers *all, struct child *child, struct err_info *info,
	struct delivery_result *ret_result)
{
	int64_t start_ns = measure_now_ns();
	enum err err = wait_for(all, child, start_ns + (int64_t)START_MS * 1000000, true, info);
	if (err == OK) {
		int64_t warm_ns = measure_now_ns() + (int64_t)WARM_UP_MS * 1000000;
		err = wait_for(all, child, warm_ns, false, info);
	}
	if (err != OK) {
		return err;
	}
	int64_t from_ns = measure_now_ns();
	int64_t used_ns = child_cpu_ns(child);
	uint64_t messages = atomic_load_explicit(&all->messages, memory_order_relaxed);
	int64_t until_ns = from_ns + (int64_t)(all->shape->seconds * 1e9);
	err = wait_for(all, child, until_ns, false, info);
	double wall_s = (double)(measure_now_ns() - from_ns) / 1e9;
	used_ns = child_cpu_ns(child) - used_ns;
	messages = atomic_load_explicit(&all->messages, memory_order_relaxed) - messages;
	if (err == OK && messages == 0) {
		return err_set(info, ERR_TIMEOUT, 0, "no message has come");
	}
	*ret_result = (struct delivery_result){.messages_per_s = (double)messages / wall_s,
		.bytes_per_s = (double)messages * all->shape->message_bytes / wall_s,
		.cpu_us = (double)used_ns / 1e3 / (double)messages};
	return err;
}

static enum err start_child(const struct delivery_shape *shape, const char *program,
	struct err_info *info, struct child **ret_child)
{
	char streams[16];
	char message_bytes[16];
	(void)snprintf(streams, sizeof(streams), "%" PRIu32, shape->streams);
	(void)snprintf(message_bytes, sizeof(message_bytes), "%" PRIu32, shape->message_bytes);
	const char *const arguments[] = {"bench", "delivery", "--serve", "--streams", streams,
		"--message-bytes", message_bytes, NULL};
	return child_start(program, arguments, info, ret_child);
}

enum err delivery_run(const struct delivery_shape *shape, const char *program,
	struct err_info *info, struct delivery_result *ret_result)
{
	struct child *child = NULL;
	struct readers all = {.shape = shape};
	enum err err = start_child(shape, program, info, &child);
	if (err != OK) {
		return err;
	}
	err = open_readers(&all, child_address(child));
	if (err != OK) {
		err = err_set(info, err, 0, "the gateways cannot be started: %s", err_text(err));
	} else {
		err = measure(&all, child, info, ret_result);
	}
	close_readers(&all);
	enum err stopped = child_stop(child, err == OK ? info : NULL);
	return err != OK ? err : stopped;
}
