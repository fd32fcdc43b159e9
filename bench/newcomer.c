/* Bulks are encoded as the call takes them: all at once would be a hundred megabytes. */
#include "newcomer.h"
#include "grpc.h"
#include "loop_thread.h"
#include "measure.h"
#include "wire.h"
#include "workload.h"

#include <inttypes.h>
#include <stdio.h>

#define PER_BULK 1000

struct newcomer {
	struct newcomer_options options;
	char address[128];
	struct loop *loop;
	struct loop_thread thread;
	bool is_welcome;
	bool is_leaving;            /* or has left */
	bool is_closing;            /* for good */
	struct grpc_client *client; /* NULL once its connection is gone */
	struct grpc_call *call;
	uint32_t asked, accepted;
	uint64_t bulks;
	struct buffer requests, message;
	struct arena arena;
	int64_t begun_ns;
	_Atomic double seconds;
	_Atomic uint32_t times; /* that it has left */
	struct err_info wrong;  /* written before is_wrong says so */
	_Atomic bool is_wrong;
};

/* ---- its thread ------------------------------------------------------------------------------ */

static void leave(struct newcomer *newcomer)
{
	if (newcomer->client && !newcomer->is_leaving) {
		newcomer->is_leaving = true;
		grpc_client_close(newcomer->client);
	}
}

/* What is wrong first is told; what follows from it is not. */
static void wrong(struct newcomer *newcomer, const char *what, const char *why)
{
	if (newcomer->wrong.code == OK && !newcomer->is_leaving) {
		(void)err_set(&newcomer->wrong, ERR_CORRUPT, 0, "the gateway that comes: %s: %s",
			what, why);
		atomic_store_explicit(&newcomer->is_wrong, true, memory_order_release);
		leave(newcomer);
	}
}

static enum err add_request(struct newcomer *newcomer, uint32_t index)
{
	char id[48];
	char key[48];
	(void)snprintf(id, sizeof(id), "00000000-0000-4000-9000-%012" PRIx32, index);
	(void)snprintf(key, sizeof(key), "nobody%" PRIu32, index);
	const struct value value = value_string(bytes_of(key));
	const struct model_filter filter = {
		.field = bytes_of("key"), .op = bytes_of("=="), .value = &value};
	const struct model_subscription subscription = {.id = bytes_of(id),
		.database = bytes_of("default"),
		.collection = bytes_of(WORKLOAD_COLLECTION),
		.filters = &filter,
		.filters_count = 1};
	return wire_bulk_append(&newcomer->requests, &subscription);
}

/* The next bulk, if the call takes it. */
static enum err send_bulk(struct newcomer *newcomer)
{
	uint32_t left = newcomer->options.subscriptions - newcomer->asked;
	uint32_t count = left < PER_BULK ? left : PER_BULK;
	enum err err = OK;
	newcomer->requests.size = 0;
	for (uint32_t i = 0; err == OK && i < count; i++) {
		err = add_request(newcomer, newcomer->asked + i);
	}
	const struct model_bulk bulk = {
		.id = newcomer->bulks + 1, .requests = buffer_bytes(&newcomer->requests)};
	newcomer->message.size = 0;
	err = err != OK ? err : wire_bulk_encode(&newcomer->message, &bulk);
	err = err != OK ? err : grpc_call_send(newcomer->call, buffer_bytes(&newcomer->message));
	if (err == OK) {
		newcomer->bulks++;
		newcomer->asked += count;
	}
	return err;
}

static void send_more(void *ctx)
{
	struct newcomer *newcomer = ctx;
	enum err err = OK;
	while (newcomer->is_welcome && err == OK &&
		newcomer->asked < newcomer->options.subscriptions) {
		err = send_bulk(newcomer);
	}
	if (err != OK && err != ERR_FULL) {
		wrong(newcomer, "it cannot subscribe", err_text(err));
	}
}

static void take_answer(struct newcomer *newcomer, const struct model_bulk_answer *answer)
{
	struct bytes refused = answer->refused;
	struct model_answer first;
	newcomer->accepted += answer->accepted;
	if (wire_bulk_refused_next(&refused, &first) == OK) {
		char text[200];
		(void)snprintf(text, sizeof(text), "%.*s", BYTES_FORMAT(first.text));
		wrong(newcomer, "a subscription is refused", text);
	}
	if (newcomer->accepted == newcomer->options.subscriptions) {
		double seconds = (double)(measure_now_ns() - newcomer->begun_ns) / 1e9;
		atomic_store_explicit(&newcomer->seconds, seconds, memory_order_relaxed);
		leave(newcomer);
	}
}

static void on_message(void *ctx, struct bytes bytes)
{
	struct newcomer *newcomer = ctx;
	struct wire_streamer_message message;
	arena_reset(&newcomer->arena);
	enum err err = wire_streamer_message_parse(bytes, &newcomer->arena, &message);
	if (err != OK) {
		wrong(newcomer, "a message cannot be read", err_text(err));
	} else if (message.kind == WIRE_STREAMER_WELCOME) {
		newcomer->is_welcome = true;
		send_more(newcomer);
	} else if (message.kind == WIRE_STREAMER_BULK_ANSWER) {
		take_answer(newcomer, &message.bulk_answer);
	}
}

static void on_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	(void)text;
	wrong(ctx, "its call ended", grpc_status_name(status));
}

static enum err say_hello(struct newcomer *newcomer);

static void on_closed(void *ctx, enum err why)
{
	struct newcomer *newcomer = ctx;
	newcomer->client = NULL;
	wrong(newcomer, "its connection is gone", err_text(why));
	(void)atomic_fetch_add_explicit(&newcomer->times, 1, memory_order_release);
	if (!newcomer->options.comes_again || newcomer->is_closing || newcomer->wrong.code != OK) {
		loop_stop(newcomer->loop);
		return;
	}
	enum err err = say_hello(newcomer);
	if (err != OK) {
		wrong(newcomer, "it cannot come again", err_text(err));
	}
	if (!newcomer->client) {
		loop_stop(newcomer->loop);
	}
}

static enum err say_hello(struct newcomer *newcomer)
{
	static const struct grpc_client_events client_events = {.closed = on_closed};
	static const struct grpc_call_events call_events = {
		.message = on_message, .writable = send_more, .ended = on_ended};
	const struct grpc_options options = {
		.message_bytes_max = 4 << 20, .window_bytes = 1U << 20};
	const struct model_hello hello = {.version = 1, .gateway_id = bytes_of("newcomer")};
	newcomer->is_welcome = false;
	newcomer->is_leaving = false;
	newcomer->asked = 0;
	newcomer->accepted = 0;
	newcomer->message.size = 0;
	newcomer->begun_ns = measure_now_ns();
	enum err err = grpc_client_open(newcomer->loop, newcomer->address, &options, &client_events,
		newcomer, &newcomer->client);
	if (err == OK) {
		err = grpc_client_call(newcomer->client, WIRE_STREAMER_STREAM, 0, &call_events,
			newcomer, &newcomer->call);
	}
	if (err == OK) {
		err = wire_hello_encode(&newcomer->message, &hello);
	}
	return err != OK ? err : grpc_call_send(newcomer->call, buffer_bytes(&newcomer->message));
}

static void on_close(void *ctx)
{
	struct newcomer *newcomer = ctx;
	newcomer->is_closing = true;
	leave(newcomer);
}

/* ---- life ------------------------------------------------------------------------------------ */

enum err newcomer_open(const char *address, const struct newcomer_options *options,
	struct err_info *info, struct newcomer **ret_newcomer)
{
	struct newcomer *newcomer = mem_calloc(1, sizeof(*newcomer));
	enum err err = newcomer ? loop_new(&newcomer->loop) : ERR_MEMORY;
	if (err == OK) {
		newcomer->options = *options;
		(void)snprintf(newcomer->address, sizeof(newcomer->address), "%s", address);
		err = say_hello(newcomer);
	}
	if (err == OK) {
		err = loop_thread_start(&newcomer->thread, newcomer->loop);
	}
	if (err != OK) {
		newcomer_close(newcomer);
		return err_set(info, err, 0, "no gateway can come: %s", err_text(err));
	}
	*ret_newcomer = newcomer;
	return OK;
}

enum err newcomer_result(
	const struct newcomer *newcomer, struct err_info *info, double *ret_seconds)
{
	if (atomic_load_explicit(&newcomer->is_wrong, memory_order_acquire)) {
		*info = newcomer->wrong;
		return newcomer->wrong.code;
	}
	if (atomic_load_explicit(&newcomer->times, memory_order_acquire) == 0) {
		return err_set(info, ERR_EMPTY, 0,
			"the gateway that came has not registered everything in time");
	}
	*ret_seconds = atomic_load_explicit(&newcomer->seconds, memory_order_relaxed);
	return OK;
}

void newcomer_close(struct newcomer *newcomer)
{
	if (!newcomer) {
		return;
	}
	loop_thread_join(&newcomer->thread, on_close, newcomer);
	loop_free(newcomer->loop);
	buffer_fini(&newcomer->requests);
	buffer_fini(&newcomer->message);
	arena_fini(&newcomer->arena);
	mem_free(newcomer);
}
