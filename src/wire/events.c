/*
 * Events out of changes. All that an event keeps of its change, and its encoding, is one piece of
 * its arena; the tape is another. The document is read as a whole and strictly: what is wrong
 * anywhere in it refuses it. The flattened document is the cells of `data` with the system's
 * members written over those of the same name or behind them, which "the last one wins" lets count.
 */
#include "wire_priv.h"

#include <string.h>

/* Tags, lengths and integers of a StreamerEvent. */
#define FIELDS_SIZE_MAX 160U
/* Six members; larger values are counted apart. */
#define SYSTEM_CELLS_MAX 12U
/* The cells of most documents take less than twice the bytes of their text and those of the system
 * members; those of a long one are allocated when they are counted. */
#define CELLS_OF_SYSTEM_MEMBERS (SYSTEM_CELLS_MAX * sizeof(struct value))
#define DOCUMENT_BYTES_LIKELY 4096U

static const char no_bytes[1];

/* ---- bytes of the change --------------------------------------------------------------------- */

static struct bytes keep(char **place, struct bytes bytes)
{
	char *copy = *place;
	if (bytes.size > 0) {
		memcpy(copy, bytes.data, bytes.size);
	}
	*place += bytes.size;
	return (struct bytes){copy, bytes.size};
}

static struct model_change keep_change(char **place, const struct model_change *change)
{
	struct model_change kept = *change;
	kept.event_id = keep(place, change->event_id);
	kept.database = keep(place, change->database);
	kept.store_collection = keep(place, change->store_collection);
	kept.store_id = keep(place, change->store_id);
	kept.full_document = keep(place, change->full_document);
	kept.update = keep(place, change->update);
	kept.backend = keep(place, change->backend);
	return kept;
}

static size_t change_size(const struct model_change *change)
{
	return change->event_id.size + change->database.size + change->store_collection.size +
		change->store_id.size + change->full_document.size + change->update.size +
		change->backend.size;
}

/* A piece of the source's document as the same piece of ours. */
static struct bytes moved(struct bytes piece, struct bytes from, struct bytes to)
{
	if (piece.size == 0) {
		return (struct bytes){no_bytes, 0};
	}
	size_t offset = (size_t)(piece.data - from.data);
	debug_check(offset <= from.size && piece.size <= from.size - offset);
	return (struct bytes){to.data + offset, piece.size};
}

static struct wire_document_head moved_head(
	const struct wire_document_head *head, struct bytes from, struct bytes to)
{
	struct wire_document_head own = *head;
	own.data = moved(head->data, from, to);
	own.version = moved(head->version, from, to);
	own.updated_at = moved(head->updated_at, from, to);
	own.created_at = moved(head->created_at, from, to);
	return own;
}

/* ---- the flattened document ------------------------------------------------------------------ */

struct wire_named wire_find_named(const struct value *object)
{
	struct wire_named found = {{NULL}};
	const struct value *end = value_after(object);
	for (const struct value *name = object + 1; name < end; name = value_after(name + 1)) {
		found.members[wire_name_of(value_text(name))] = name + 1;
	}
	return found;
}

struct cells {
	struct value *place;      /* the object's own cell */
	const struct value *data; /* whose members it begins with, cell by cell; may be NULL */
	struct wire_named said;   /* in data */
	size_t count;
	uint32_t members;
};

static void add_cells(struct cells *cells, const struct value *first, size_t count)
{
	memcpy(cells->place + cells->count, first, count * sizeof(*first));
	cells->count += count;
}

/*
 * The last of equal names counts. A scalar that the data has is written over, so that in most
 * documents each name stands once.
 */
static void add_member(
	struct cells *cells, enum wire_name which, struct bytes name, const struct value *value)
{
	if (!value) {
		return;
	}
	const struct value *said = cells->said.members[which];
	if (said && said->kind < VALUE_LIST && value->kind < VALUE_LIST) {
		cells->place[said - cells->data] = *value;
		return;
	}
	struct value key = value_string(name);
	add_cells(cells, &key, 1);
	add_cells(cells, value, (size_t)(value_after(value) - value));
	cells->members++;
}

static void begin_with_data(struct cells *cells, const struct value *data)
{
	cells->count = 1;
	if (data) {
		cells->data = data;
		cells->said = wire_find_named(data);
		cells->members = data->size;
		add_cells(cells, data + 1, (size_t)(value_after(data) - data) - 1);
	}
}

/* `system` is what the document has, on a tape of so many cells. *ret_members: of the user's own.
 */
static enum err flatten(struct event *event, const struct wire_document_head *head,
	const struct wire_named *system, size_t whole, struct wire_members *ret_members)
{
	/* What is not `data` in the document bounds what the system's values take. */
	struct cells cells = {.place = arena_alloc(&event->arena,
				      (whole + 1 + SYSTEM_CELLS_MAX) * sizeof(*cells.place))};
	if (!cells.place) {
		return ERR_MEMORY;
	}
	const struct value *data = system->members[WIRE_NAME_DATA];
	begin_with_data(&cells, data && data->kind == VALUE_OBJECT ? data : NULL);
	*ret_members = (struct wire_members){.first = cells.place + 1, .count = cells.members};
	const struct value *said = cells.said.members[WIRE_NAME_ID];
	if (said && said->kind == VALUE_STRING && said->size > 0) {
		event->document_id = value_text(said);
	}
	/* Who happened to ask for an unknown id must make no difference to others. */
	struct bytes known =
		event->id_is_unknown ? (struct bytes){no_bytes, 0} : event->document_id;
	struct value id = value_string(known);
	struct value collection = value_string(event->collection);
	struct value deleted = value_bool(true);
	const struct {
		enum wire_name which;
		struct bytes name;
		const struct value *value;
	} added[] = {
		{WIRE_NAME_ID, {"id", 2}, &id},
		{WIRE_NAME_COLLECTION, {"collection", 10}, &collection},
		{WIRE_NAME_VERSION, {"version", 7}, system->members[WIRE_NAME_VERSION]},
		{WIRE_NAME_UPDATED_AT, {"updatedAt", 9}, system->members[WIRE_NAME_UPDATED_AT]},
		{WIRE_NAME_CREATED_AT, {"createdAt", 9}, system->members[WIRE_NAME_CREATED_AT]},
		{WIRE_NAME_DELETED, {"deleted", 7}, head->deleted ? &deleted : NULL},
	};
	for (size_t i = 0; i < sizeof(added) / sizeof(added[0]); i++) {
		add_member(&cells, added[i].which, added[i].name, added[i].value);
	}
	cells.place[0] = (struct value){
		.kind = VALUE_OBJECT, .size = cells.members, .as.span = (uint32_t)cells.count};
	tape_seal(cells.place, cells.count);
	event->document = cells.place;
	return OK;
}

/* Says in `info` why the document is refused, and ERR_CORRUPT. */
static enum err check_shape(
	const struct value *root, const struct value *data, struct err_info *info)
{
	if (root->kind != VALUE_OBJECT) {
		return err_set(info, ERR_CORRUPT, 0, "the document is a %s, not an object",
			value_kind_name(root->kind));
	}
	if (data && data->kind != VALUE_OBJECT && data->kind != VALUE_NULL) {
		return err_set(info, ERR_CORRUPT, 0, "the document's data is a %s, not an object",
			value_kind_name(data->kind));
	}
	return OK;
}

/* The id of a document that is not read, or cannot be. */
static enum err scan_id(struct event *event, struct bytes data)
{
	struct bytes said = {0};
	enum err err = wire_json_string(wire_json_member(data, "id"), &event->arena, &said);
	if (err == OK && said.size > 0) {
		event->document_id = said;
	}
	return err;
}

static enum err read_strictly(struct event *event, uint32_t json_depth_max, struct tape *tape,
	struct err_info *info, struct wire_reading *reading)
{
	enum err err =
		json_read(event->change.full_document, json_depth_max, &event->arena, tape, info);
	if (err != OK) {
		return err;
	}
	const struct value *root = tape->cells;
	if (root->kind == VALUE_OBJECT) {
		reading->system = wire_find_named(root);
	}
	return check_shape(root, reading->system.members[WIRE_NAME_DATA], info);
}

/* ERR_CORRUPT, ERR_LIMIT: the document is refused. `reading` is zero. */
static enum err read_document(struct event *event, const struct wire_document_head *head,
	uint32_t json_depth_max, struct err_info *info, struct wire_reading *reading,
	struct wire_members *ret_members)
{
	if (event->change.full_document.size == 0) {
		return flatten(event, head, &reading->system, 0, ret_members);
	}
	if (event->is_without_document) {
		enum err scanned = scan_id(event, head->data);
		return scanned == OK ? flatten(event, head, &reading->system, 0, ret_members)
				     : scanned;
	}
	struct tape tape = {0};
	enum err err = event->skipped != 0
		? wire_skim(event, head, json_depth_max, &tape, info, reading)
		: read_strictly(event, json_depth_max, &tape, info, reading);
	if (err == OK) {
		err = flatten(event, head, &reading->system, tape.count, ret_members);
	}
	if (err == OK && event->skipped != 0) {
		ret_members->pieces = &reading->pieces;
	}
	tape_fini(&tape);
	return err;
}

/* ---- the encoding ---------------------------------------------------------------------------- */

static void put_names(struct wire_writer *writer, const struct event *event)
{
	wire_put_bytes(writer, 1, event->change.event_id);
	wire_put_bytes(writer, 2, event->change.database);
	wire_put_bytes(writer, 3, event->collection);
	wire_put_bytes(writer, 4, event->document_id);
	wire_put_integer(writer, 5, (uint64_t)event->operation);
}

static void put_times(struct wire_writer *writer, const struct event *event)
{
	wire_put_integer(writer, 7, (uint64_t)event->change.timestamp_ms);
	wire_put_integer(writer, 100, event->change.cluster_seconds);
	wire_put_integer(writer, 101, event->change.cluster_increment);
	wire_put_integer(writer, 102, (uint64_t)event->received_us);
	if (event->document_id.size == 0 && event->has_identity) {
		wire_put_bytes(writer, 103,
			(struct bytes){(const char *)event->identity.bytes, EVENT_IDENTITY_SIZE});
	}
}

/* The document's size is known only when it is there: room is left for the longest length, and the
 * document moves up in the rare case that its length turns out a byte shorter. */
static void put_document(struct wire_writer *writer, const struct wire_document_head *head,
	struct wire_members members)
{
	struct wire_writer prefix = {0};
	wire_put_prefix(&prefix, 6, wire_document_size_max(head));
	char *document = writer->place + writer->size + prefix.size;
	size_t size = wire_document_write(head, members, document);
	wire_put_prefix(writer, 6, size);
	if (writer->place + writer->size != document) {
		memmove(writer->place + writer->size, document, size);
	}
	writer->size += size;
}

/* What the encoding can take. The document's id comes from `data`, from a member that the spliced
 * document is without: there is room for one of the two. */
static size_t encoded_size_max(const struct model_change *change, struct bytes collection,
	const struct wire_document_head *head)
{
	return FIELDS_SIZE_MAX + change->event_id.size + change->database.size + collection.size +
		wire_document_size_max(head);
}

/* The document comes last: what stands before it is an encoding too, that of the bare event. */
static void encode(struct event *event, const struct wire_document_head *head,
	struct wire_members members, char *place)
{
	struct wire_writer writer = {.place = place};
	put_names(&writer, event);
	put_times(&writer, event);
	event->encoded_bare = (struct bytes){place, writer.size};
	if (event->document && event->change.full_document.size > 0 &&
		!event->is_without_document) {
		put_document(&writer, head, members);
	}
	event->encoded = (struct bytes){place, writer.size};
}

/* ---- making ---------------------------------------------------------------------------------- */

static enum err read_and_encode(struct event *event, const struct wire_document_head *head,
	uint32_t json_depth_max, struct err_info *info, char *place)
{
	struct wire_members members = {0};
	struct wire_reading reading = {0};
	enum err err = read_document(event, head, json_depth_max, info, &reading, &members);
	if (err == ERR_CORRUPT || err == ERR_LIMIT) {
		event->is_refused = true;
		err = scan_id(event, head->data);
	}
	if (err == OK) {
		encode(event, head, members, place);
	}
	event->is_read = err == OK;
	return err;
}

static enum err fill(struct event *event, const struct model_change *change,
	const struct wire_document_head *head, const struct wire_event_options *options,
	struct err_info *info)
{
	size_t size = change_size(change) + head->collection.size + options->document_id.size;
	if (options->read) {
		size += encoded_size_max(change, head->collection, head) +
			options->document_id.size;
	}
	size_t document = 2 * change->full_document.size + CELLS_OF_SYSTEM_MEMBERS;
	size_t more = document < DOCUMENT_BYTES_LIKELY ? document : DOCUMENT_BYTES_LIKELY;
	enum err err = arena_reserve(&event->arena, size + (options->read ? more : 0));
	char *place = err == OK ? arena_alloc(&event->arena, size) : NULL;
	if (!place) {
		return ERR_MEMORY;
	}
	event->sequence = options->sequence;
	event->received_us = options->received_us;
	event->change = keep_change(&place, change);
	event->collection = keep(&place, head->collection);
	event->document_id = keep(&place, options->document_id);
	event->id_is_unknown = options->is_identified;
	event->is_purge = options->is_purge;
	event->is_without_document = options->is_without_document;
	event->skipped = options->read && head->is_object ? options->skipped : 0;
	event->has_identity = options->identity != NULL;
	if (options->identity) {
		event->identity = *options->identity;
	}
	struct wire_document_head own =
		moved_head(head, change->full_document, event->change.full_document);
	own.collection = event->collection;
	return options->read ? read_and_encode(event, &own, options->json_depth_max, info, place)
			     : scan_id(event, own.data);
}

enum err wire_event_make(const struct model_change *change, enum model_operation operation,
	const struct wire_document_head *head, const struct wire_event_options *options,
	struct err_info *info, struct event **ret_event)
{
	/* The source's messages have been checked; a change that was pushed has not. */
	if (!bytes_are_utf8(change->event_id) || !bytes_are_utf8(change->database)) {
		return err_set(info, ERR_INVALID, 0, "event id and database must be UTF-8");
	}
	struct event *event;
	enum err err = event_new(&event);
	if (err != OK) {
		return err;
	}
	event->operation = operation;
	err = fill(event, change, head, options, info);
	if (err == OK) {
		err = event_place(event, options->epoch);
	}
	if (err != OK) {
		event_unref(event);
		return err;
	}
	event->id_is_unknown = options->is_identified ||
		(operation == MODEL_DELETE && event->document_id.size == 0);
	*ret_event = event;
	return OK;
}

/* A read copy, with this collection and, if it has one to give, this id. */
static enum err make_again(const struct event *event, struct bytes collection, struct bytes id,
	bool is_identified, uint32_t json_depth_max, struct event **ret_event)
{
	struct model_position position;
	check(model_position_read(event->position, &position) == OK); /* wire_event_make's */
	struct wire_event_options options = {.json_depth_max = json_depth_max,
		.read = true,
		.epoch = position.epoch,
		.received_us = event->received_us,
		.sequence = event->sequence,
		.document_id = id,
		.is_identified = is_identified,
		.identity = event->has_identity ? &event->identity : NULL,
		.is_purge = event->is_purge,
		.is_without_document = event->is_without_document};
	struct arena scratch = {0};
	struct wire_document_head head = {0};
	enum err err = OK;
	if (!event->is_purge) {
		err = wire_document_head_scan(event->change.full_document, &scratch, &head);
	}
	if (err == OK) {
		head.collection = collection;
		head.deleted = head.deleted || event->is_without_document;
		err = wire_event_make(
			&event->change, event->operation, &head, &options, NULL, ret_event);
	}
	arena_fini(&scratch);
	return err;
}

enum err wire_event_read(
	const struct event *event, uint32_t json_depth_max, struct event **ret_event)
{
	return make_again(
		event, event->collection, event->document_id, false, json_depth_max, ret_event);
}

enum err wire_event_identify(const struct event *event, struct bytes collection, struct bytes id,
	uint32_t json_depth_max, struct event **ret_event)
{
	check(event->id_is_unknown);
	return make_again(event, collection, id, true, json_depth_max, ret_event);
}
