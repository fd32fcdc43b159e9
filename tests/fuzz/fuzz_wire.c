/*
 * Fuzzes the messages of both protocols. The first byte says which one; the rest is the message.
 * What parses is encoded and parsed again, and must be the same.
 */
#include "fuzz.h"
#include "fuzz_value.h"
#include "wire.h"

static const struct wire_limits limits = {
	.filters_max = 16, .filter_list_max = 64, .filter_depth_max = 8};

#define check_same(a, b, member) check(bytes_equal((a)->member, (b)->member))

/* ---- gateways' messages ---------------------------------------------------------------------- */

static void check_same_filter(const struct model_filter *a, const struct model_filter *b)
{
	check_same(a, b, field);
	check_same(a, b, op);
	check(!a->value == !b->value);
	check(!a->value || fuzz_same_value(a->value, b->value));
}

static void check_same_subscription(
	const struct model_subscription *a, const struct model_subscription *b)
{
	check_same(a, b, id);
	check_same(a, b, database);
	check_same(a, b, collection);
	check(a->filters_count == b->filters_count);
	for (size_t i = 0; i < a->filters_count; i++) {
		check_same_filter(&a->filters[i], &b->filters[i]);
	}
	check_same(a, b, expression);
	check(a->omit_document == b->omit_document);
}

static void check_same_gateway_message(
	const struct wire_gateway_message *a, const struct wire_gateway_message *b)
{
	check(a->kind == b->kind);
	check_same_subscription(&a->subscription, &b->subscription);
	check_same(a, b, unsubscribe_id);
	check_same(a, b, heartbeat.gateway_id);
	check(a->heartbeat.timestamp_ms == b->heartbeat.timestamp_ms);
	check_same(a, b, heartbeat.position);
	check(a->heartbeat.registered == b->heartbeat.registered);
	check(a->bulk.id == b->bulk.id);
	check(a->hello.version == b->hello.version);
	check_same(a, b, hello.gateway_id);
	check_same(a, b, hello.after);
	check(a->hello.message_bytes_max == b->hello.message_bytes_max);
}

static enum err encode_gateway_message(
	struct buffer *buffer, const struct wire_gateway_message *message)
{
	switch (message->kind) {
	case WIRE_GATEWAY_SUBSCRIBE:
		return wire_subscribe_encode(buffer, &message->subscription);
	case WIRE_GATEWAY_UNSUBSCRIBE:
		return wire_unsubscribe_encode(buffer, message->unsubscribe_id);
	case WIRE_GATEWAY_HEARTBEAT:
		return wire_heartbeat_encode(buffer, &message->heartbeat);
	case WIRE_GATEWAY_HELLO:
		return wire_hello_encode(buffer, &message->hello);
	case WIRE_GATEWAY_BULK:
		return wire_bulk_encode(buffer, &message->bulk);
	case WIRE_GATEWAY_NOTHING:
		break;
	}
	return OK;
}

/* Both are read in step; the second was written as the first was read, so its parts are the same.
 * A part that can be written alone is read again from that, too. */
static void check_same_bulk(struct bytes a, struct bytes b, struct arena *arena)
{
	struct model_subscription first;
	struct model_subscription second;
	struct err_info refusal;
	enum err err;
	while ((err = wire_bulk_next(&a, &limits, arena, &first, &refusal)) == OK) {
		struct buffer part = {0};
		check(refusal.code == OK || first.filters_count == 0);
		check(wire_bulk_next(&b, &limits, arena, &second, &refusal) == OK);
		check_same_subscription(&first, &second);
		check(wire_bulk_append(&part, &first) == OK);
		struct bytes rest = buffer_bytes(&part);
		check(wire_bulk_next(&rest, &limits, arena, &second, &refusal) == OK);
		check(refusal.code == OK && rest.size == 0);
		check_same_subscription(&first, &second);
		buffer_fini(&part);
	}
	check(err == ERR_EMPTY || err == ERR_CORRUPT);
	check(wire_bulk_next(&b, &limits, arena, &second, &refusal) == err);
}

static void fuzz_gateway_message(struct bytes bytes, struct arena *arena, struct buffer *encoded)
{
	struct wire_gateway_message first;
	struct wire_gateway_message second;
	struct err_info refusal;
	if (wire_gateway_message_parse(bytes, &limits, arena, &first, &refusal)) {
		return;
	}
	check(refusal.code == OK || first.kind == WIRE_GATEWAY_SUBSCRIBE);
	check(refusal.code == OK || first.subscription.filters_count == 0);
	check(encode_gateway_message(encoded, &first) == OK);
	check(wire_gateway_message_parse(
		      buffer_bytes(encoded), &limits, arena, &second, &refusal) == OK);
	check(refusal.code == OK);
	check_same_gateway_message(&first, &second);
	check_same_bulk(first.bulk.requests, second.bulk.requests, arena);
}

/* ---- our messages ---------------------------------------------------------------------------- */

static void check_same_delivery(const struct model_delivery *a, const struct model_delivery *b)
{
	check_same(a, b, event_id);
	check_same(a, b, database);
	check_same(a, b, collection);
	check_same(a, b, document_id);
	check(a->operation == b->operation);
	check(a->timestamp_ms == b->timestamp_ms);
	check(a->received_us == b->received_us);
	check(a->cluster_seconds == b->cluster_seconds);
	check(a->cluster_increment == b->cluster_increment);
}

/* Only an event can be encoded: one that brings about the same delivery, its document apart. */
static void fuzz_delivery(struct bytes bytes, struct arena *arena, struct buffer *encoded)
{
	struct model_delivery first;
	struct model_delivery second;
	struct wire_document_head head;
	struct event *event;
	if (wire_delivery_parse(bytes, &first)) {
		return;
	}
	check(buffer_append_text(encoded, "{\"data\":{\"id\":") == OK);
	check(json_print_string(encoded, first.document_id) == OK);
	check(buffer_append_text(encoded, "}}") == OK);
	const struct model_change change = {.event_id = first.event_id,
		.database = first.database,
		.full_document = buffer_bytes(encoded),
		.timestamp_ms = first.timestamp_ms,
		.cluster_seconds = first.cluster_seconds,
		.cluster_increment = first.cluster_increment};
	const struct wire_event_options options = {
		.json_depth_max = 4, .read = true, .received_us = first.received_us};
	check(wire_document_head_scan(change.full_document, arena, &head) == OK);
	head.collection = first.collection;
	check(wire_event_make(&change, first.operation, &head, &options, NULL, &event) == OK);
	check(!event->is_refused);
	check(wire_delivery_parse(event->encoded, &second) == OK);
	check_same_delivery(&first, &second);
	event_unref(event);
}

static enum err encode_streamer_message(
	struct buffer *buffer, const struct wire_streamer_message *message)
{
	size_t size = wire_delivery_size(message->run.size, message->event.size, &message->mark);
	switch (message->kind) {
	case WIRE_STREAMER_DELIVERY:
		check(buffer_reserve(buffer, size) == OK);
		wire_delivery_write(message->run, message->event, &message->mark, buffer->data);
		buffer->size = size;
		return OK;
	case WIRE_STREAMER_HEARTBEAT_ACK:
		return wire_heartbeat_ack_encode(buffer, &message->ack);
	case WIRE_STREAMER_ANSWER:
		return wire_answer_encode(buffer, &message->answer);
	case WIRE_STREAMER_WELCOME:
		return wire_welcome_encode(buffer, &message->welcome);
	case WIRE_STREAMER_GAP:
		return wire_gap_encode(buffer, &message->gap);
	case WIRE_STREAMER_NOTICE:
		return wire_notice_encode(buffer, &message->notice);
	case WIRE_STREAMER_BULK_ANSWER:
		return wire_bulk_answer_encode(buffer, &message->bulk_answer);
	case WIRE_STREAMER_UNSUBSCRIBED:
		return wire_unsubscribed_encode(buffer, message->unsubscribed_id);
	case WIRE_STREAMER_GOING_AWAY:
		return wire_going_away_encode(buffer, &message->going_away);
	case WIRE_STREAMER_NOTHING:
		break;
	}
	return OK;
}

static void check_same_answer(const struct model_answer *a, const struct model_answer *b)
{
	check_same(a, b, id);
	check_same(a, b, text);
	check_same(a, b, hint);
	check(a->refusal == b->refusal);
	check(a->filter == b->filter);
	check(a->line == b->line && a->column == b->column);
	check_same(a, b, live_after);
}

/* As check_same_bulk. */
static void check_same_refused(struct bytes a, struct bytes b)
{
	struct model_answer first;
	struct model_answer second;
	enum err err;
	while ((err = wire_bulk_refused_next(&a, &first)) == OK) {
		struct buffer part = {0};
		check(wire_bulk_refused_next(&b, &second) == OK);
		check_same_answer(&first, &second);
		check(wire_bulk_refuse(&part, &first) == OK);
		struct bytes rest = buffer_bytes(&part);
		check(wire_bulk_refused_next(&rest, &second) == OK && rest.size == 0);
		check_same_answer(&first, &second);
		buffer_fini(&part);
	}
	check(wire_bulk_refused_next(&b, &second) == err);
}

static void check_same_extension(
	const struct wire_streamer_message *a, const struct wire_streamer_message *b)
{
	check(a->welcome.version == b->welcome.version && a->welcome.epoch == b->welcome.epoch);
	check_same(a, b, welcome.position);
	check(a->welcome.resume == b->welcome.resume);
	check(a->welcome.lease_ms == b->welcome.lease_ms);
	check(a->welcome.message_bytes_max == b->welcome.message_bytes_max);
	check_same(a, b, gap.after);
	check_same(a, b, gap.until);
	check(a->gap.reason == b->gap.reason && a->gap.events == b->gap.events);
	check_same(a, b, gap.run);
	check_same(a, b, gap.event);
	check(a->bulk_answer.id == b->bulk_answer.id);
	check(a->bulk_answer.accepted == b->bulk_answer.accepted);
	check_same(a, b, bulk_answer.live_after);
	check_same_refused(a->bulk_answer.refused, b->bulk_answer.refused);
	check_same(a, b, unsubscribed_id);
	check_same(a, b, notice.subscription_id);
	check_same(a, b, notice.text);
	check(a->notice.code == b->notice.code);
	check(a->going_away.deadline_ms == b->going_away.deadline_ms);
	check_same(a, b, going_away.reason);
}

static void check_same_streamer_message(
	const struct wire_streamer_message *a, const struct wire_streamer_message *b)
{
	check(a->kind == b->kind);
	check_same(a, b, run);
	check_same(a, b, event);
	check_same(a, b, mark.position);
	check(a->mark.replayed == b->mark.replayed && a->mark.more == b->mark.more);
	check(a->ack.timestamp_ms == b->ack.timestamp_ms);
	check_same(a, b, ack.position);
	check(a->ack.source == b->ack.source && a->ack.source_lag_ms == b->ack.source_lag_ms);
	check_same_answer(&a->answer, &b->answer);
	check_same_extension(a, b);
}

static void walk_run(struct bytes run)
{
	struct bytes id;
	size_t size = 0;
	size_t whole = run.size;
	while (wire_id_next(&run, &id)) {
		check(bytes_are_utf8(id));
		size += wire_id_size(id);
	}
	check(size == whole);
}

static void fuzz_streamer_message(struct bytes bytes, struct arena *arena, struct buffer *encoded)
{
	struct wire_streamer_message first;
	struct wire_streamer_message second;
	if (wire_streamer_message_parse(bytes, arena, &first)) {
		return;
	}
	walk_run(first.run);
	walk_run(first.gap.run);
	check(encode_streamer_message(encoded, &first) == OK);
	check(wire_streamer_message_parse(buffer_bytes(encoded), arena, &second) == OK);
	check_same_streamer_message(&first, &second);
	struct buffer document = {0};
	fuzz_delivery(first.event, arena, &document);
	buffer_fini(&document);
}

/* ---- the source's side ----------------------------------------------------------------------- */

static void check_same_change(const struct model_change *a, const struct model_change *b)
{
	check_same(a, b, event_id);
	check_same(a, b, database);
	check_same(a, b, store_collection);
	check_same(a, b, store_id);
	check(a->kind == b->kind);
	check_same(a, b, full_document);
	check_same(a, b, update);
	check(a->cluster_seconds == b->cluster_seconds);
	check(a->cluster_increment == b->cluster_increment);
	check(a->timestamp_ms == b->timestamp_ms);
	check(a->transaction == b->transaction);
	check_same(a, b, backend);
}

static void fuzz_source_message(struct bytes bytes, struct arena *arena, struct buffer *encoded)
{
	struct model_source_message first;
	struct model_source_message second;
	(void)arena;
	if (wire_source_message_parse(bytes, &first)) {
		return;
	}
	check(wire_source_message_encode(encoded, &first) == OK);
	check(wire_source_message_parse(buffer_bytes(encoded), &second) == OK);
	check(first.has_change == second.has_change);
	check_same_change(&first.change, &second.change);
	check_same(&first, &second, marker);
}

static void fuzz_puller_request(struct bytes bytes, struct arena *arena, struct buffer *encoded)
{
	struct wire_puller_request first;
	struct wire_puller_request second;
	(void)arena;
	if (wire_puller_request_parse(bytes, &first)) {
		return;
	}
	check(wire_puller_request_encode(encoded, &first) == OK);
	check(wire_puller_request_parse(buffer_bytes(encoded), &second) == OK);
	check_same(&first, &second, consumer_id);
	check_same(&first, &second, after);
	check(first.coalesce == second.coalesce);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const messages[])(struct bytes, struct arena *, struct buffer *) = {
		fuzz_gateway_message,
		fuzz_streamer_message,
		fuzz_delivery,
		fuzz_source_message,
		fuzz_puller_request,
	};
	if (size > 0 && data[0] < sizeof(messages) / sizeof(messages[0])) {
		struct arena arena = {0};
		struct buffer encoded = {0};
		messages[data[0]](fuzz_text(data + 1, size - 1), &arena, &encoded);
		buffer_fini(&encoded);
		arena_fini(&arena);
	}
	return 0;
}
