/*
 * Streams are filled up at an interval shorter than what is queued on them lasts, so that they are
 * never found empty. Each event goes to all of them before the next does, as route has it.
 */
#include "delivery.h"
#include "event.h"
#include "loop.h"
#include "remote.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define EVENTS 1024 /* distinct ones: more than the first cache holds */
#define FILL_US 1000
#define BACKLOG_ALL ((size_t)32 << 20) /* bytes queued on all streams together */
#define BACKLOG_LEAST ((size_t)1 << 20)
#define ID "00000000-0000-4000-8000-000000000000"

struct fed_stream {
	struct supply *supply;
	struct fed_stream *next, *previous;
	struct stream *stream;
};

struct supply {
	struct loop *loop;
	struct loop_timer *timer;
	struct loop_listener *listener;
	struct loop_watch *signals;
	int signals_fd;
	struct remote_server *remote;
	struct metrics metrics;
	struct fed_stream *streams;
	size_t backlog; /* bytes that are kept queued on a stream */
	char id[sizeof(ID) + 8];
	struct bytes run; /* one id */
	struct event *events[EVENTS];
	size_t next_event;
};

/* ---- events ---------------------------------------------------------------------------------- */

/* Bytes that any peer can read as a StreamerEvent: its event_id, as long as need be. */
static enum err make_event(size_t size, size_t number, struct event **ret_event)
{
	struct event *event = NULL;
	enum err err = event_new(&event);
	char *place = err == OK ? arena_alloc(&event->arena, size) : NULL;
	if (!place) {
		event_unref(event);
		return ERR_MEMORY;
	}
	size_t text = size;
	while (wire_id_size((struct bytes){NULL, text}) > size) {
		text--;
	}
	char *id = arena_alloc(&event->arena, text);
	if (!id) {
		event_unref(event);
		return ERR_MEMORY;
	}
	memset(id, 'a' + (int)(number % 26), text);
	event->encoded = (struct bytes){place, wire_id_write((struct bytes){id, text}, place)};
	*ret_event = event;
	return OK;
}

/* The event's size at which the message is as large as was asked for; one byte less where no event
 * makes exactly that, because a length takes one byte more. */
static size_t fitting_size(size_t message_bytes, size_t run_size)
{
	size_t size = message_bytes;
	while (wire_delivery_size(run_size, size, NULL) > message_bytes) {
		size--;
	}
	return size;
}

static enum err make_events(struct supply *supply, uint32_t message_bytes, struct err_info *info)
{
	size_t run_size = wire_id_write(bytes_of(ID), supply->id);
	supply->run = (struct bytes){supply->id, run_size};
	size_t size = fitting_size(message_bytes, run_size);
	enum err err = OK;
	for (size_t i = 0; i < EVENTS && err == OK; i++) {
		err = make_event(size, i, &supply->events[i]);
	}
	if (err != OK) {
		return err_set(info, err, 0, "%s", err_text(err));
	}
	size_t made = wire_delivery_size(run_size, supply->events[0]->encoded.size, NULL);
	return made == message_bytes
		? OK
		: err_set(info, ERR_INVALID, 0,
			  "no delivery is %" PRIu32 " bytes long, the nearest one is %zu",
			  message_bytes, made);
}

/* ---- filling --------------------------------------------------------------------------------- */

/* Whether a stream has taken the event. */
static bool give_to_all(struct supply *supply, struct event *event, int64_t now_us)
{
	const struct stream_delivery delivery = {
		.event = event, .runs = &supply->run, .runs_count = 1, .ids_count = 1};
	bool is_taken = false;
	for (struct fed_stream *fed = supply->streams; fed; fed = fed->next) {
		if (stream_queued_bytes(fed->stream) < supply->backlog) {
			is_taken |= stream_push_delivery(fed->stream, &delivery, now_us) == OK;
		}
	}
	return is_taken;
}

static void fill(void *ctx)
{
	struct supply *supply = ctx;
	int64_t now_us = loop_now_us(supply->loop);
	while (give_to_all(supply, supply->events[supply->next_event], now_us)) {
		supply->next_event = (supply->next_event + 1) % EVENTS;
	}
	loop_timer_start(supply->timer, FILL_US);
}

/* ---- the engine behind the server ------------------------------------------------------------ */

static enum err on_open(void *ctx, const char *peer, stream_wake_fn wake, void *wake_ctx,
	struct stream **ret_stream, void **ret_handle)
{
	struct supply *supply = ctx;
	const struct stream_limits limits = {.hard_bytes = 4 * supply->backlog + DELIVERY_BYTES_MAX,
		.soft_bytes = 4 * supply->backlog,
		.soft_us = INT64_MAX};
	(void)peer;
	struct fed_stream *fed = mem_calloc(1, sizeof(*fed));
	if (!fed) {
		return ERR_MEMORY;
	}
	enum err err = stream_new(&limits, &supply->metrics, wake, wake_ctx, &fed->stream);
	if (err != OK) {
		mem_free(fed);
		return err;
	}
	fed->supply = supply;
	fed->next = supply->streams;
	if (fed->next) {
		fed->next->previous = fed;
	}
	supply->streams = fed;
	*ret_stream = fed->stream;
	*ret_handle = fed;
	return OK;
}

/* Its client opens calls and asks for nothing. */
static void on_subscribe(
	void *handle, const struct model_subscription *subscription, const struct err_info *refusal)
{
	(void)handle;
	(void)subscription;
	(void)refusal;
}

static void on_unsubscribe(void *handle, struct bytes id)
{
	(void)handle;
	(void)id;
}

static void on_heartbeat(void *handle, const struct model_heartbeat *heartbeat)
{
	(void)handle;
	(void)heartbeat;
}

static void on_close(void *handle)
{
	struct fed_stream *fed = handle;
	if (fed->previous) {
		fed->previous->next = fed->next;
	} else {
		fed->supply->streams = fed->next;
	}
	if (fed->next) {
		fed->next->previous = fed->previous;
	}
	stream_close(fed->stream);
	stream_unref(fed->stream);
	stream_unref(fed->stream);
	mem_free(fed);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void on_accepted(void *ctx, int socket)
{
	const struct supply *supply = ctx;
	remote_server_adopt(supply->remote, socket);
}

static void on_closed(void *ctx)
{
	struct supply *supply = ctx;
	loop_stop(supply->loop);
}

static void on_signal(void *ctx)
{
	struct supply *supply = ctx;
	loop_watch_pause(supply->signals, true);
	loop_timer_stop(supply->timer);
	remote_server_close(supply->remote, on_closed, supply);
}

static enum err watch_signals(struct supply *supply)
{
	sigset_t signals;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	supply->signals_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return supply->signals_fd < 0 ? ERR_IO
				      : loop_watch_new(supply->loop, supply->signals_fd, on_signal,
						supply, &supply->signals);
}

static enum err open_server(struct supply *supply, uint32_t streams)
{
	const struct remote_engine engine = {.open = on_open,
		.subscribe = on_subscribe,
		.unsubscribe = on_unsubscribe,
		.heartbeat = on_heartbeat,
		.close = on_close,
		.ctx = supply};
	const struct remote_server_options options = {.message_bytes_max = 1 << 20,
		.delivery_bytes_max = 4 << 20,
		.calls_max = streams,
		.connections_max = streams,
		.metrics = &supply->metrics};
	enum err err = loop_new(&supply->loop);
	if (err == OK) {
		err = watch_signals(supply);
	}
	if (err == OK) {
		err = loop_timer_new(supply->loop, fill, supply, &supply->timer);
	}
	if (err == OK) {
		err = remote_server_new(supply->loop, &options, &engine, &supply->remote);
	}
	return err;
}

static void close_server(struct supply *supply)
{
	loop_listener_free(supply->listener);
	remote_server_free(supply->remote);
	loop_timer_free(supply->timer);
	if (supply->signals) {
		loop_watch_free(supply->signals);
	}
	loop_free(supply->loop);
	if (supply->signals_fd >= 0) {
		(void)close(supply->signals_fd);
	}
	for (size_t i = 0; i < EVENTS; i++) {
		event_unref(supply->events[i]);
	}
}

enum err delivery_serve(const struct delivery_shape *shape, struct err_info *info)
{
	struct supply *supply = mem_calloc(1, sizeof(*supply));
	if (!supply) {
		return err_set(info, ERR_MEMORY, 0, "%s", err_text(ERR_MEMORY));
	}
	supply->signals_fd = -1;
	supply->backlog = BACKLOG_ALL / shape->streams;
	supply->backlog = supply->backlog > BACKLOG_LEAST ? supply->backlog : BACKLOG_LEAST;
	enum err err = make_events(supply, shape->message_bytes, info);
	if (err == OK) {
		err = open_server(supply, shape->streams);
		err = err == OK ? OK : err_set(info, err, 0, "%s", err_text(err));
	}
	if (err == OK) {
		err = loop_listen(
			supply->loop, "127.0.0.1:0", on_accepted, supply, &supply->listener, info);
	}
	if (err == OK) {
		(void)fprintf(stderr, "bench: listening on %s\n",
			loop_listener_address(supply->listener));
		loop_timer_start(supply->timer, FILL_US);
		loop_run(supply->loop);
	}
	close_server(supply);
	mem_free(supply);
	return err;
}
