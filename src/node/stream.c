/*
 * The consumer's end of a stream, whichever kind it is: requests leave as GatewayMessages, posted
 * to the loop that carries them out; items are looked at where they stand in the queue and taken
 * off when the next one is asked for. The descriptor is cleared only when the queue was found
 * empty, and the queue is looked at once more behind that, so no item waits unannounced.
 */
#include "node_priv.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

/* Nesting of lists in a filter's value, as far as it can be written down at all. */
#define VALUE_DEPTH_MAX 64

static void on_wake(void *ctx)
{
	const struct streamer_stream *stream = ctx;
	node_signal(stream->fd);
}

enum err node_stream_init(struct streamer_stream *stream, const struct node_stream_kind *kind,
	const struct stream_limits *limits, struct metrics *metrics)
{
	stream->kind = kind;
	stream->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (stream->fd < 0) {
		return ERR_IO;
	}
	enum err err = stream_new(limits, metrics, on_wake, stream, &stream->queue);
	if (err != OK) {
		(void)close(stream->fd);
	}
	return err;
}

void node_stream_fini(struct streamer_stream *stream)
{
	stream_close(stream->queue);
	stream_unref(stream->queue);
	(void)close(stream->fd);
	mem_free(stream->ids);
}

int streamer_stream_fd(const struct streamer_stream *stream)
{
	return stream->fd;
}

void streamer_stream_close(struct streamer_stream *stream)
{
	if (stream) {
		stream->kind->close(stream);
	}
}

/* ---- requests -------------------------------------------------------------------------------- */

static void free_request(struct node_request *request)
{
	if (request) {
		buffer_fini(&request->message);
		mem_free(request);
	}
}

static void on_request(void *ctx)
{
	struct node_request *request = ctx;
	struct streamer_stream *stream = request->stream;
	stream->kind->request(stream, buffer_bytes(&request->message));
	free_request(request);
}

static struct node_request *new_request(struct streamer_stream *stream)
{
	struct node_request *request = mem_calloc(1, sizeof(*request));
	if (request) {
		request->stream = stream;
		request->posted = (struct loop_posted){.fn = on_request, .ctx = request};
	}
	return request;
}

/* Takes the request, whatever comes of it. */
static enum err send_request(struct node_request *request, enum err err)
{
	if (err == OK && stream_has_ended(request->stream->queue)) {
		err = ERR_CLOSED;
	}
	if (err == OK) {
		err = loop_post_owned(request->stream->loop, &request->posted);
	}
	if (err != OK) {
		free_request(request);
	}
	return err;
}

static enum err read_filter(const struct streamer_filter *filter, size_t number,
	struct arena *arena, struct model_filter *ret_filter, struct err_info *info)
{
	if (!filter->field || !filter->op || !filter->value) {
		return err_set(info, ERR_INVALID, 0,
			"filter %zu: field, op and value must all be there", number);
	}
	struct err_info cause = {0};
	const struct value *value = NULL;
	enum err err = json_parse(bytes_of(filter->value), VALUE_DEPTH_MAX, arena, &value, &cause);
	if (err == ERR_MEMORY) {
		return err;
	}
	if (err != OK) {
		return err_set(info, ERR_INVALID, cause.position,
			"filter %zu: the value is no JSON, offset %u: %s; strings want quotes: "
			"\"text\"",
			number, cause.position, cause.text);
	}
	*ret_filter = (struct model_filter){
		.field = bytes_of(filter->field), .op = bytes_of(filter->op), .value = value};
	return OK;
}

static enum err encode_subscription(const struct streamer_subscription *subscription,
	const char *id, struct buffer *message, struct err_info *info)
{
	struct arena arena = {0};
	size_t count = subscription->filters_count;
	struct model_filter *filters = arena_alloc(&arena, (count + 1) * sizeof(*filters));
	enum err err = filters ? OK : ERR_MEMORY;
	for (size_t i = 0; err == OK && i < count; i++) {
		err = read_filter(&subscription->filters[i], i + 1, &arena, &filters[i], info);
	}
	const struct model_subscription encoded = {.id = bytes_of(id),
		.database = bytes_of(subscription->database),
		.collection = bytes_of(subscription->collection),
		.filters = filters,
		.filters_count = count,
		.expression = bytes_of(subscription->expression),
		.omit_document = subscription->omit_document};
	if (err == OK) {
		err = wire_subscribe_encode(message, &encoded);
		if (err == ERR_INVALID || err == ERR_CORRUPT) {
			err = err_set(info, ERR_INVALID, 0,
				"texts must be UTF-8; a filter's value is a string, a number, "
				"true, "
				"false or a list of those");
		}
	}
	arena_fini(&arena);
	return err;
}

enum streamer_err streamer_subscribe(struct streamer_stream *stream,
	const struct streamer_subscription *subscription, struct streamer_failure *failure,
	char ret_id[STREAMER_ID_SIZE])
{
	_Static_assert(STREAMER_ID_SIZE == MODEL_UUID_SIZE, "made up ids are UUIDs");
	struct err_info info = {0};
	char made_up[MODEL_UUID_SIZE] = "";
	const char *id = subscription->id;
	if (!subscription->database || !subscription->collection) {
		(void)err_set(
			&info, ERR_INVALID, 0, "a subscription wants database and collection");
		return node_failure(ERR_INVALID, &info, failure);
	}
	if (!id || !*id) {
		uint64_t random[2];
		if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
			return node_failure(ERR_IO, NULL, failure);
		}
		model_uuid_print(random[0], random[1], made_up);
		id = made_up;
	}
	struct node_request *request = new_request(stream);
	enum err err = ERR_MEMORY;
	if (request) {
		err = encode_subscription(subscription, id, &request->message, &info);
		err = send_request(request, err);
	}
	if (err == OK && ret_id) {
		memcpy(ret_id, made_up, sizeof(made_up));
	}
	return node_failure(err, &info, failure);
}

enum streamer_err streamer_unsubscribe(struct streamer_stream *stream, const char *id)
{
	struct node_request *request = new_request(stream);
	enum err err = ERR_MEMORY;
	if (request) {
		err = wire_unsubscribe_encode(&request->message, bytes_of(id));
		err = send_request(request, err);
	}
	return (enum streamer_err)err;
}

enum streamer_err streamer_resume(struct streamer_stream *stream)
{
	const struct model_heartbeat registered = {.registered = true};
	struct node_request *request = new_request(stream);
	enum err err = ERR_MEMORY;
	if (request) {
		err = wire_heartbeat_encode(&request->message, &registered);
		err = send_request(request, err);
	}
	return (enum streamer_err)err;
}

/* ---- items ----------------------------------------------------------------------------------- */

const char *streamer_operation_name(enum streamer_operation operation)
{
	const char *name = model_operation_name((enum model_operation)operation);
	return *name ? name : "OTHER";
}

static struct streamer_bytes view(struct bytes bytes)
{
	return (struct streamer_bytes){bytes.data, bytes.size};
}

static enum err view_ids(
	struct streamer_stream *stream, struct bytes run, struct streamer_item *ret_item)
{
	struct bytes id;
	size_t count = 0;
	for (struct bytes rest = run; wire_id_next(&rest, &id);) {
		count++;
	}
	if (stream->ids_capacity < count) {
		void *ids = mem_realloc(stream->ids, count * 2 * sizeof(*stream->ids));
		if (!ids) {
			return ERR_MEMORY;
		}
		stream->ids = ids;
		stream->ids_capacity = count * 2;
	}
	for (size_t i = 0; wire_id_next(&run, &id); i++) {
		stream->ids[i] = view(id);
	}
	ret_item->subscription_ids = stream->ids;
	ret_item->subscription_ids_count = count;
	return OK;
}

static enum err view_event(struct bytes encoded, struct streamer_item *ret_item)
{
	struct model_delivery delivery;
	enum err err = wire_delivery_parse(encoded, &delivery);
	if (err == OK) {
		ret_item->event_id = view(delivery.event_id);
		ret_item->database = view(delivery.database);
		ret_item->collection = view(delivery.collection);
		ret_item->document_id = view(delivery.document_id);
		ret_item->operation = (enum streamer_operation)delivery.operation;
		ret_item->document = view(delivery.document);
		ret_item->timestamp_ms = delivery.timestamp_ms;
		ret_item->received_us = delivery.received_us;
		ret_item->document_hash = view(delivery.document_hash);
	}
	return err;
}

static enum err view_delivery(struct streamer_stream *stream, const struct stream_item *item,
	struct streamer_item *ret_item)
{
	ret_item->kind = STREAMER_DELIVERY;
	const struct event *event = item->event;
	if (!item->has_more) {
		ret_item->position = view(event->position);
	}
	ret_item->replayed = item->is_replayed;
	enum err err = view_event(item->is_bare ? event->encoded_bare : event->encoded, ret_item);
	return err == OK ? view_ids(stream, item->run, ret_item) : err;
}

static enum err view_gap(
	struct streamer_stream *stream, const struct model_gap *gap, struct streamer_item *ret_item)
{
	ret_item->kind = STREAMER_GAP;
	ret_item->position = view(gap->until);
	ret_item->gap_reason = (enum streamer_gap_reason)gap->reason;
	ret_item->gap_events = gap->events;
	enum err err = view_event(gap->event, ret_item);
	return err == OK ? view_ids(stream, gap->run, ret_item) : err;
}

static enum err view_answer(const struct model_answer *answer, struct streamer_item *ret_item)
{
	ret_item->kind = STREAMER_ANSWER;
	ret_item->subscription_id = view(answer->id);
	ret_item->accepted = answer->refusal == MODEL_ACCEPTED;
	ret_item->filter = answer->filter;
	ret_item->line = answer->line;
	ret_item->column = answer->column;
	ret_item->text = view(answer->text);
	ret_item->hint = view(answer->hint);
	return OK;
}

/* ERR_UNSUPPORTED: nothing for the consumer to see. */
static enum err view_item(struct streamer_stream *stream, const struct stream_item *item,
	struct streamer_item *ret_item)
{
	*ret_item = (struct streamer_item){0};
	switch (item->kind) {
	case STREAM_DELIVERY:
		return view_delivery(stream, item, ret_item);
	case STREAM_ANSWER:
		return view_answer(&item->answer, ret_item);
	case STREAM_STATE:
		ret_item->kind = STREAMER_STATE;
		ret_item->connection = item->state == STREAM_CONNECTED ? STREAMER_CONNECTED
								       : STREAMER_RECONNECTING;
		ret_item->text = view(item->text);
		return OK;
	case STREAM_END:
		ret_item->kind = STREAMER_END;
		ret_item->why = (enum streamer_err)item->why;
		ret_item->text = view(item->text);
		return OK;
	case STREAM_NOTICE:
		ret_item->kind = STREAMER_NOTICE;
		ret_item->text = view(item->notice.text);
		return view_ids(stream, item->run, ret_item);
	case STREAM_GAP:
		return view_gap(stream, &item->gap, ret_item);
	case STREAM_ACK:
	case STREAM_WELCOME:
	case STREAM_MESSAGE:
		break;
	}
	return ERR_UNSUPPORTED;
}

static void take_item(struct streamer_stream *stream)
{
	stream->is_holding = false;
	stream_pop(stream->queue);
	stream->kind->room(stream);
}

enum streamer_err streamer_receive(struct streamer_stream *stream, struct streamer_item *ret_item)
{
	if (stream->is_holding) {
		take_item(stream);
	}
	for (;;) {
		struct stream_item item;
		enum err err = stream_peek(stream->queue, &item);
		if (err == ERR_EMPTY) {
			node_clear(stream->fd);
			err = stream_peek(stream->queue, &item);
		}
		if (err != OK) {
			return (enum streamer_err)err;
		}
		struct streamer_item seen;
		err = view_item(stream, &item, &seen);
		if (err == OK) {
			stream->is_holding = true;
			*ret_item = seen;
			return STREAMER_OK;
		}
		if (err != ERR_UNSUPPORTED) {
			return (enum streamer_err)err;
		}
		take_item(stream);
	}
}

enum streamer_err streamer_wait(
	struct streamer_stream *stream, int timeout_ms, struct streamer_item *ret_item)
{
	int64_t until_us = loop_now_us(stream->loop) + (int64_t)timeout_ms * 1000;
	for (;;) {
		enum streamer_err err = streamer_receive(stream, ret_item);
		if (err != STREAMER_EMPTY) {
			return err;
		}
		int left_ms = -1;
		if (timeout_ms >= 0) {
			int64_t left_us = until_us - loop_now_us(stream->loop);
			if (left_us <= 0) {
				return STREAMER_TIMEOUT;
			}
			left_ms = (int)((left_us + 999) / 1000);
		}
		struct pollfd readable = {.fd = stream->fd, .events = POLLIN};
		if (poll(&readable, 1, left_ms) < 0) {
			return errno == EINTR ? STREAMER_CANCELLED : STREAMER_IO;
		}
	}
}
