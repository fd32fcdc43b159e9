/*
 * Fuzzes all that reads JSON, with the same text: the strict reader, the walk over an object's top
 * level, a change as a line, and the document of a change. What parses prints and reads back equal;
 * an object's walk and its tape agree; a change survives the wire; a document that is delivered is
 * the one that filters see.
 */
#include "fuzz.h"
#include "fuzz_value.h"
#include "wire.h"

#define DEPTH_MAX 32
#define LINE_DEPTH_MAX 20000 /* more than a line's reader allows */
#define ORDINAL 5
#define NOW_MS 1700000000000

/* ---- values ---------------------------------------------------------------------------------- */

static void check_prints(const struct value *value, struct arena *arena)
{
	struct buffer printed = {0};
	struct buffer again = {0};
	const struct value *copy;
	check(json_print(&printed, value) == OK);
	check(json_parse(buffer_bytes(&printed), DEPTH_MAX, arena, &copy, NULL) == OK);
	check(fuzz_same_value(value, copy));
	check(value_equal(value, copy));
	check(value_hash(value, 1) == value_hash(copy, 1));
	check(json_print(&again, copy) == OK);
	check(bytes_equal(buffer_bytes(&printed), buffer_bytes(&again)));
	check(value_copy(arena, value, &copy) == OK);
	check(fuzz_same_value(value, copy));
	buffer_fini(&printed);
	buffer_fini(&again);
}

/* `object` is NULL if the text is no strict JSON: then the walk has only to end. */
static void check_walk(struct bytes text, const struct value *object, struct arena *arena)
{
	const struct value *key = object ? object + 1 : NULL;
	struct json_member member;
	size_t cursor = 0;
	uint32_t count = 0;
	enum err err;
	while ((err = json_next_member(text, &cursor, &member)) == OK) {
		const struct value *value;
		check(cursor <= text.size && member.start < cursor && count < text.size);
		count++;
		if (!object) {
			continue;
		}
		check(count <= object->size);
		check(json_name_is(&member, value_text(key)));
		check(json_parse(member.value, DEPTH_MAX, arena, &value, NULL) == OK);
		check(fuzz_same_value(value, key + 1));
		key = value_after(key + 1);
	}
	check(!object || (err == ERR_EMPTY && count == object->size));
}

static void fuzz_value(struct bytes text, struct arena *arena)
{
	const struct value *value = NULL;
	struct err_info info = {0};
	enum err err = json_parse(text, DEPTH_MAX, arena, &value, &info);
	check(err == info.code && info.position <= text.size);
	if (!err) {
		check_prints(value, arena);
	}
	check_walk(text, value && value->kind == VALUE_OBJECT ? value : NULL, arena);
}

/* ---- documents ------------------------------------------------------------------------------- */

static bool is_apart(struct bytes name)
{
	return bytes_equal(name, bytes_of("id")) || bytes_equal(name, bytes_of("collection"));
}

/* Whether each of the object's members, those apart that a delivery names itself, is in `other`. */
static bool is_within(const struct value *object, const struct value *other)
{
	const struct value *key = object + 1;
	for (uint32_t i = 0; i < object->size; i++, key = value_after(key + 1)) {
		struct bytes name = value_text(key);
		const struct value *theirs = value_member(other, name);
		if (!is_apart(name) &&
			!(theirs && fuzz_same_value(value_member(object, name), theirs))) {
			return false;
		}
	}
	return true;
}

static void check_delivered(const struct event *event, struct arena *arena)
{
	struct model_delivery delivery;
	const struct value *document;
	check(wire_delivery_parse(event->encoded, &delivery) == OK);
	check(bytes_equal(delivery.event_id, event->change.event_id));
	check(bytes_equal(delivery.collection, event->collection));
	check(bytes_equal(delivery.document_id, event->document_id));
	check(event->is_refused == !event->document);
	if (delivery.document.size == 0) {
		check(event->is_refused || event->change.full_document.size == 0);
		return;
	}
	check(!event->is_refused);
	check(json_parse(delivery.document, LINE_DEPTH_MAX, arena, &document, NULL) == OK);
	check(document->kind == VALUE_OBJECT);
	check(!value_member(document, bytes_of("id")));
	check(!value_member(document, bytes_of("collection")));
	check(is_within(document, event->document) && is_within(event->document, document));
}

/* Whatever is skipped: what is fine goes out the same, and nothing else does harm. */
static void fuzz_skipping(const struct event *now, const struct model_change *change,
	const struct wire_document_head *head, uint32_t depth_max)
{
	static const uint64_t skipped[] = {UINT64_MAX, 0x5555555555555555, 0x00FF00FF00FF00FF};
	for (size_t i = 0; i < sizeof(skipped) / sizeof(skipped[0]); i++) {
		const struct wire_event_options options = {.json_depth_max = depth_max,
			.read = true,
			.received_us = 3,
			.skipped = skipped[i]};
		struct event *event;
		check(wire_event_make(change, MODEL_UPDATE, head, &options, NULL, &event) == OK);
		check(now->is_refused || bytes_equal(now->encoded, event->encoded));
		event_unref(event);
	}
}

/* The event of a document, read at once and read later, is the same. */
static void fuzz_document(struct bytes document, uint32_t depth_max, struct arena *arena)
{
	const struct model_change change = {.event_id = bytes_of("1-2-a"),
		.database = bytes_of("db"),
		.full_document = document};
	struct wire_event_options options = {
		.json_depth_max = depth_max, .read = true, .received_us = 3};
	struct wire_document_head head;
	struct event *now;
	struct event *unread;
	struct event *later;
	check(wire_document_head_scan(document, arena, &head) == OK);
	check(wire_event_make(&change, MODEL_UPDATE, &head, &options, NULL, &now) == OK);
	options.read = false;
	check(wire_event_make(&change, MODEL_UPDATE, &head, &options, NULL, &unread) == OK);
	check(wire_event_read(unread, depth_max, &later) == OK);
	check(now->is_refused || bytes_equal(now->document_id, unread->document_id));
	check(now->is_refused == later->is_refused);
	check(bytes_equal(now->encoded, later->encoded));
	check_delivered(now, arena);
	fuzz_skipping(now, &change, &head, depth_max);
	event_unref(now);
	event_unref(unread);
	event_unref(later);
}

/* What a scan says of an update is what the strict reader finds in it. */
static void fuzz_update(struct bytes text, struct arena *arena)
{
	const struct value *update;
	enum wire_update_says says = wire_update_says(text);
	enum wire_update_says expected = WIRE_UPDATE_NOTHING;
	if (json_parse(text, DEPTH_MAX, arena, &update, NULL)) {
		return;
	}
	const struct value *fields = update->kind == VALUE_OBJECT
		? value_member(update, bytes_of("updatedFields"))
		: NULL;
	const struct value *deleted = fields && fields->kind == VALUE_OBJECT
		? value_member(fields, bytes_of("deleted"))
		: NULL;
	if (deleted && deleted->kind == VALUE_BOOL) {
		expected = deleted->as.boolean ? WIRE_UPDATE_DELETES : WIRE_UPDATE_REVIVES;
	}
	check(says == expected);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void check_crosses_wire(const struct model_source_message *message)
{
	struct model_source_message read;
	struct buffer encoded = {0};
	check(wire_source_message_encode(&encoded, message) == OK);
	check(wire_source_message_parse(buffer_bytes(&encoded), &read) == OK);
	check(read.has_change == message->has_change);
	check(bytes_equal(read.marker, message->marker));
	check(bytes_equal(read.change.event_id, message->change.event_id));
	check(bytes_equal(read.change.database, message->change.database));
	check(bytes_equal(read.change.full_document, message->change.full_document));
	check(read.change.kind == message->change.kind);
	buffer_fini(&encoded);
}

static void fuzz_line(struct bytes text, struct arena *arena)
{
	struct model_source_message message;
	struct err_info info = {0};
	enum err err = wire_change_line_parse(text, ORDINAL, NOW_MS, arena, &message, &info);
	check(err == info.code && info.position <= text.size);
	if (err) {
		check(info.text[0] && bytes_are_utf8(bytes_of(info.text)));
		return;
	}
	check_crosses_wire(&message);
	if (message.change.full_document.size > 0) {
		const struct value *document;
		check(json_parse(message.change.full_document, LINE_DEPTH_MAX, arena, &document,
			      NULL) == OK);
		fuzz_document(message.change.full_document, LINE_DEPTH_MAX, arena);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes text = fuzz_text(data, size);
	struct arena arena = {0};
	fuzz_value(text, &arena);
	fuzz_line(text, &arena);
	fuzz_document(text, DEPTH_MAX, &arena);
	fuzz_update(text, &arena);
	arena_fini(&arena);
	return 0;
}
