/*
 * A Puller whose log is a number: change k is made when it is sent. A marker "m<count>" says how
 * many changes the subscriber has had; without one it gets all from the beginning, or what happens
 * from now on.
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

struct source_fact source_fact(uint64_t number)
{
	uint64_t mixed = (number + 1) * 0x9E3779B97F4A7C15U;
	mixed ^= mixed >> 29;
	return (struct source_fact){
		.collection = mixed % 3 ? "users" : "orders",
		.document = (unsigned)(mixed >> 8) % 7,
		.n = (unsigned)(mixed >> 16) % 10,
	};
}

uint64_t source_number(struct bytes event_id)
{
	char text[64];
	char *end = NULL;
	(void)snprintf(text, sizeof(text), "%.*s", BYTES_FORMAT(event_id));
	assert_memory_equal(text, "1000-", 5);
	unsigned long long number = strtoull(text + 5, &end, 10);
	assert_string_equal(end, "-aa");
	return number - 1;
}

/* The change and its text, which `text` holds. */
static struct model_change make_change(
	const struct source *source, uint64_t number, struct buffer *text)
{
	struct source_fact fact = source_fact(number);
	char event_id[64];
	(void)snprintf(event_id, sizeof(event_id), "1000-%llu-aa", (unsigned long long)number + 1);
	size_t id_size = strlen(event_id);
	assert_int_equal(buffer_printf(text,
				 "%s{\"id\":\"d:%llu\",\"database\":\"d\",\"collection\":\"%s\","
				 "\"version\":1,\"updatedAt\":1,\"createdAt\":1,"
				 "\"data\":{\"id\":\"u%u\",\"n\":%u,\"pad\":\"%*s\"}}",
				 event_id, (unsigned long long)number, fact.collection,
				 fact.document, fact.n, (int)source->pad, ""),
		OK);
	return (struct model_change){
		.event_id = {text->data, id_size},
		.database = bytes_of("d"),
		.kind = MODEL_CHANGE_INSERT,
		.full_document = {text->data + id_size, text->size - id_size},
		.cluster_seconds = 1000,
		.cluster_increment =
			(uint32_t)(number / (source->group > 0 ? source->group : 1)) + 1,
		.timestamp_ms = 1700000000000,
		.backend = bytes_of("one"),
	};
}

/* What it keeps on disk of when it has heard may be a minute old. */
#define NOTED_US (62 * SECOND)

static void note_sent(struct source_call *call)
{
	struct source *source = call->source;
	int64_t now_us = sim_now_us(source->world->sim);
	int64_t longest_us = source->world->options.retention_us - NOTED_US;
	source->may_have_lost = source->may_have_lost || now_us - source->heard_us > longest_us;
	source->heard_us = now_us;
	if (!call->has_marker) {
		call->has_marker = true;
		call->first_us = now_us;
	}
}

/* With a marker behind so many changes. */
static enum err send_message(
	struct source_call *call, uint64_t count, struct model_source_message *source_message)
{
	struct buffer message = {0};
	char marker[32];
	(void)snprintf(marker, sizeof(marker), "m%llu", (unsigned long long)count);
	source_message->marker = bytes_of(marker);
	assert_int_equal(wire_source_message_encode(&message, source_message), OK);
	enum err err = grpc_call_send(call->call, buffer_bytes(&message));
	buffer_fini(&message);
	if (err == OK) {
		note_sent(call);
	}
	return err;
}

static enum err send_change(struct source_call *call)
{
	struct buffer text = {0};
	struct model_source_message message = {
		.has_change = true,
		.change = make_change(call->source, call->next, &text),
	};
	enum err err = send_message(call, call->next + 1, &message);
	buffer_fini(&text);
	return err;
}

void source_beat(struct world *world)
{
	struct source_call *call = world->source.call;
	struct model_source_message message = {0};
	if (call && !world->source.is_stalled && call->asked && call->next == world->source.count) {
		(void)!send_message(call, call->next, &message);
	}
}

static void go_on(void *ctx)
{
	struct source_call *call = ctx;
	const struct source *source = call->source;
	while (call->asked && call->next < source->count) {
		if (call->next >= source->lost_from && call->next < source->lost_until) {
			call->next = source->lost_until;
		} else if (send_change(call) == OK) {
			call->next++;
		} else {
			break;
		}
	}
}

/* Where a subscriber begins; false: its marker is refused. "e30" is all that is kept. */
static bool begin(struct source_call *call, const char *after)
{
	struct source *source = call->source;
	if (after[0] == 'm' || strcmp(after, "e30") == 0) {
		if (source->refuses > 0) {
			source->refuses--;
			return false;
		}
	}
	if (after[0] == 'm') {
		call->next = strtoull(after + 1, NULL, 10);
		return call->next >= source->kept_from;
	}
	bool is_now = after[0] == '\0' && source->begins_now;
	call->next = is_now ? source->count : source->kept_from;
	return true;
}

static void on_message(void *ctx, struct bytes bytes)
{
	struct source_call *call = ctx;
	struct wire_puller_request request;
	char after[32];
	assert_int_equal(wire_puller_request_parse(bytes, &request), OK);
	(void)snprintf(after, sizeof(after), "%.*s", BYTES_FORMAT(request.after));
	call->has_marker = after[0] != '\0';
	if (!begin(call, after)) {
		call->source->may_have_lost = true;
		bool is_forgotten = call->next < call->source->kept_from;
		grpc_call_finish(call->call, is_forgotten ? GRPC_INTERNAL : GRPC_INVALID_ARGUMENT,
			is_forgotten ? "failed to start replay: forgotten" : "no marker of mine");
		return;
	}
	call->source->resumed_at = call->next;
	call->asked = true;
	go_on(call);
}

static void on_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	struct source_call *call = ctx;
	(void)status;
	(void)text;
	if (!call->has_marker ||
		(call->first_us > 0 &&
			sim_now_us(call->source->world->sim) - call->first_us < SECOND)) {
		call->source->may_have_lost = true;
	}
	if (call->source->call == call) {
		call->source->call = NULL;
	}
	free(call);
}

static enum grpc_status on_call(void *ctx, struct grpc_call *call, struct bytes method)
{
	static const struct grpc_call_events events = {
		.message = on_message, .writable = go_on, .ended = on_ended};
	struct source *source = ctx;
	assert_true(bytes_equal(method, bytes_of(WIRE_PULLER_SUBSCRIBE)));
	/* An older one may still be open: its end comes behind the new connection. */
	struct source_call *made = calloc(1, sizeof(*made));
	assert_non_null(made);
	*made = (struct source_call){.source = source, .call = call};
	source->call = made;
	source->calls++;
	grpc_call_set_ctx(call, &events, made);
	return GRPC_OK;
}

static void on_conn_closed(void *ctx, struct grpc_server_conn *conn)
{
	struct source *source = ctx;
	source->conns_open--;
	if (source->conn == conn) {
		source->conn = NULL;
	}
}

static void on_accepted(void *ctx, int socket)
{
	struct source *source = ctx;
	const struct grpc_options options = {.message_bytes_max = 1 << 20};
	source->conns_open++;
	assert_int_equal(grpc_server_conn_open(source->loop, socket, &options, on_call,
				 on_conn_closed, source, &source->conn),
		OK);
}

void source_listen(struct world *world, bool listens)
{
	struct source *source = &world->source;
	if (listens) {
		assert_int_equal(loop_listen(source->loop, PULLER_ADDRESS, on_accepted, source,
					 &source->listener, NULL),
			OK);
	} else {
		loop_listener_free(source->listener);
		source->listener = NULL;
	}
}

void source_open(struct world *world)
{
	struct source *source = &world->source;
	source->world = world;
	assert_int_equal(sim_loop_new(world->sim, &source->loop), OK);
	source_listen(world, true);
}

void source_close(struct world *world)
{
	loop_listener_free(world->source.listener);
	loop_free(world->source.loop);
	assert_int_equal(world->source.conns_open, 0);
}

void source_emit(struct world *world, uint64_t count)
{
	uint64_t group = world->source.group > 0 ? world->source.group : 1;
	world->source.count += (count + group - 1) / group * group;
	if (world->source.call && !world->source.is_stalled) {
		go_on(world->source.call);
	}
}

void source_stall(struct world *world, bool stalled)
{
	world->source.is_stalled = stalled;
	sim_stall(world->source.loop, stalled);
	source_emit(world, 0);
}

void source_cut(struct world *world)
{
	if (world->source.conn) {
		grpc_server_conn_close(world->source.conn);
	}
}

enum err world_push(struct world *world)
{
	struct buffer text = {0};
	const struct model_change change = make_change(&world->source, world->source.count, &text);
	enum err err = ingest_push(world->ingest, &change, NULL);
	world->source.count += err == OK;
	buffer_fini(&text);
	return err;
}
