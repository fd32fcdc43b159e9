/*
 * A change as a line of JSON. The line is read strictly and whole, so that a mistake anywhere in it
 * is told by its place; the same walk pairs each member's value with its text, which is what a
 * document stays. Nothing here recurses: nesting is bounded by the reader.
 */
#include "wire_priv.h"

#include <inttypes.h>
#include <stdio.h>

/* More than any document may have, plus the line around it: deeper ones are refused as documents.
 */
#define DEPTH_MAX 10100
/* 2026-01-01: made-up times are near real ones, and the same whenever the line is read. */
#define SECONDS_LEAST UINT32_C(1767225600)
#define VERBATIM_MAX 32 /* bytes of what somebody wrote that are said back to them */

enum form {
	FORM_SHORT = 1,
	FORM_LONG = 2,
	FORM_BOTH = FORM_SHORT | FORM_LONG,
};

#define MEMBERS(X)                                                                                 \
	X(OP, "op", FORM_SHORT, VALUE_STRING)                                                      \
	X(COLLECTION, "collection", FORM_SHORT, VALUE_STRING)                                      \
	X(ID, "id", FORM_SHORT, VALUE_STRING)                                                      \
	X(DATA, "data", FORM_SHORT, VALUE_OBJECT)                                                  \
	X(DATABASE, "database", FORM_BOTH, VALUE_STRING)                                           \
	X(PROGRESS, "progress", FORM_BOTH, VALUE_STRING)                                           \
	X(OP_TYPE, "op_type", FORM_LONG, VALUE_STRING)                                             \
	X(EVENT_ID, "event_id", FORM_LONG, VALUE_STRING)                                           \
	X(STORE_COLLECTION, "mgo_coll", FORM_LONG, VALUE_STRING)                                   \
	X(STORE_ID, "mgo_doc_id", FORM_LONG, VALUE_STRING)                                         \
	X(FULL_DOC, "full_doc", FORM_LONG, VALUE_OBJECT)                                           \
	X(UPDATE_DESC, "update_desc", FORM_LONG, VALUE_OBJECT)                                     \
	X(CLUSTER_TIME, "cluster_time", FORM_LONG, VALUE_OBJECT)                                   \
	X(TIMESTAMP, "timestamp", FORM_LONG, VALUE_INT)                                            \
	X(TRANSACTION, "txn_number", FORM_LONG, VALUE_INT)                                         \
	X(BACKEND, "backend", FORM_LONG, VALUE_STRING)

enum name {
#define X(name, text, form, kind) name,
	MEMBERS(X)
#undef X
		NAMES
};

static const struct {
	const char *text;
	enum form form;
	enum value_kind kind;
} names[NAMES] = {
#define X(name, text, form, kind) [name] = {text, form, kind},
	MEMBERS(X)
#undef X
};

struct line {
	struct bytes text;
	enum form form;
	uint64_t ordinal;
	int64_t now_ms;
	struct arena *arena;
	struct err_info *info;
	struct {
		const struct value *value; /* NULL: missing or null */
		struct bytes text;
	} members[NAMES];
};

/* ---- the members ----------------------------------------------------------------------------- */

static uint32_t offset_of(const struct line *line, struct bytes piece)
{
	return (uint32_t)(piece.data - line->text.data);
}

/* The start of what somebody wrote, to be said back to them. */
static struct bytes verbatim(struct bytes text)
{
	text.size = text.size < VERBATIM_MAX ? text.size : VERBATIM_MAX;
	text.size = bytes_utf8_prefix(text);
	return text;
}

static enum err refuse_name(const struct line *line, const struct json_member *member)
{
	struct bytes name = verbatim(member->name);
	char expected[160];
	size_t size = 0;
	for (size_t i = 0; i < NAMES; i++) {
		const char *text = names[i].text;
		if (names[i].form & line->form) {
			expected[size++] = ' ';
			while (*text && size < sizeof(expected) - 1) {
				expected[size++] = *text++;
			}
		}
	}
	expected[size] = '\0';
	return err_set(line->info, ERR_CORRUPT, (uint32_t)member->start,
		"at byte %zu: unknown member \"%.*s\", expected one of%s", member->start,
		BYTES_FORMAT(name), expected);
}

static enum name name_of(const struct json_member *member)
{
	size_t i = 0;
	while (i < NAMES && !json_name_is(member, bytes_of(names[i].text))) {
		i++;
	}
	return (enum name)i;
}

static enum err refuse_kind(const struct line *line, struct bytes text, const char *name,
	enum value_kind expected, const struct value *value)
{
	uint32_t position = offset_of(line, text);
	return err_set(line->info, ERR_CORRUPT, position,
		"at byte %u: expected %s to be of kind %s, found %s", (unsigned)position, name,
		value_kind_name(expected), value_kind_name((enum value_kind)value->kind));
}

static enum err take_member(
	struct line *line, const struct json_member *member, const struct value *value)
{
	enum name name = name_of(member);
	if (name == NAMES || !(names[name].form & line->form)) {
		return refuse_name(line, member);
	}
	if (value->kind != VALUE_NULL && value->kind != names[name].kind) {
		return refuse_kind(line, member->value, names[name].text, names[name].kind, value);
	}
	line->members[name].value = value->kind == VALUE_NULL ? NULL : value;
	line->members[name].text = member->value;
	return OK;
}

/* The values of `root` and their texts stand in the same order. */
static enum err take_members(struct line *line, const struct value *root)
{
	const struct value *key = root + 1;
	struct json_member member;
	size_t cursor = 0;
	enum err err = OK;
	for (uint32_t i = 0; i < root->size && err == OK; i++, key = value_after(key + 1)) {
		enum err walked = json_next_member(line->text, &cursor, &member);
		check(walked == OK);
		err = take_member(line, &member, key + 1);
	}
	return err;
}

static struct bytes text_of(const struct line *line, enum name name)
{
	const struct value *value = line->members[name].value;
	return value ? value_text(value) : (struct bytes){NULL, 0};
}

/* An object as it stands in the line. */
static struct bytes object_of(const struct line *line, enum name name)
{
	return line->members[name].value ? line->members[name].text : (struct bytes){NULL, 0};
}

static int64_t integer_of(const struct line *line, enum name name)
{
	const struct value *value = line->members[name].value;
	return value ? value->as.integer : 0;
}

static enum err take_kind(const struct line *line, enum name name, enum model_change_kind *ret_kind)
{
	*ret_kind = model_change_kind_of(text_of(line, name));
	if (*ret_kind != MODEL_CHANGE_UNKNOWN) {
		return OK;
	}
	if (!line->members[name].value) {
		return err_set(line->info, ERR_CORRUPT, 0,
			"\"%s\" is missing, expected insert, update, replace or delete",
			names[name].text);
	}
	struct bytes found = line->members[name].text;
	uint32_t position = offset_of(line, found);
	found = verbatim(found);
	return err_set(line->info, ERR_CORRUPT, position,
		"at byte %u: expected %s to be insert, update, replace or delete, found %.*s",
		(unsigned)position, names[name].text, BYTES_FORMAT(found));
}

/* ---- the long form --------------------------------------------------------------------------- */

static bool is_uint32(const struct value *value)
{
	return value->kind == VALUE_INT && value->as.integer >= 0 &&
		value->as.integer <= UINT32_MAX;
}

static enum err take_cluster_time(const struct line *line, struct model_change *change)
{
	const struct value *time = line->members[CLUSTER_TIME].value;
	if (!time) {
		return OK;
	}
	const struct value *end = value_after(time);
	for (const struct value *key = time + 1; key < end; key = value_after(key + 1)) {
		bool is_seconds = bytes_equal(value_text(key), bytes_of("t"));
		bool is_increment = bytes_equal(value_text(key), bytes_of("i"));
		if (!(is_seconds || is_increment) || !is_uint32(key + 1)) {
			uint32_t position = offset_of(line, line->members[CLUSTER_TIME].text);
			return err_set(line->info, ERR_CORRUPT, position,
				"at byte %u: expected cluster_time to be {\"t\":1,\"i\":1}, with "
				"integers from 0 to 4294967295",
				(unsigned)position);
		}
		*(is_seconds ? &change->cluster_seconds : &change->cluster_increment) =
			(uint32_t)key[1].as.integer;
	}
	return OK;
}

static enum err take_long(const struct line *line, struct model_change *change)
{
	change->event_id = text_of(line, EVENT_ID);
	change->database = text_of(line, DATABASE);
	change->store_collection = text_of(line, STORE_COLLECTION);
	change->store_id = text_of(line, STORE_ID);
	change->full_document = object_of(line, FULL_DOC);
	change->update = object_of(line, UPDATE_DESC);
	change->timestamp_ms = integer_of(line, TIMESTAMP);
	change->transaction = integer_of(line, TRANSACTION);
	change->backend = text_of(line, BACKEND);
	enum err err = take_kind(line, OP_TYPE, &change->kind);
	return err == OK ? take_cluster_time(line, change) : err;
}

/* ---- the short form -------------------------------------------------------------------------- */

/* What a change is made from; `..._json` is the same as JSON, in quotes. */
struct short_form {
	const struct line *line;
	struct model_change *change;
	struct bytes database_json;
	struct bytes id, id_json;
	bool is_delete;
};

/* What `put` writes, in the arena. */
static enum err make_text(const struct short_form *made, wire_put_fn put, struct bytes *ret_text)
{
	struct wire_writer count = {0};
	put(&count, made);
	struct wire_writer writer = {.place = arena_alloc(made->line->arena, count.size)};
	if (!writer.place) {
		return ERR_MEMORY;
	}
	put(&writer, made);
	check(writer.size == count.size);
	*ret_text = (struct bytes){writer.place, writer.size};
	return OK;
}

static void put_text(struct wire_writer *writer, const char *text)
{
	wire_put_raw(writer, bytes_of(text));
}

static void put_decimal(struct wire_writer *writer, int64_t integer)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%" PRId64, integer);
	put_text(writer, text);
}

/* Looks like the original's hash of an event or a collection, which nobody computes anew. */
static void put_hash(struct wire_writer *writer, uint64_t hash)
{
	char text[17];
	(void)snprintf(text, sizeof(text), "%016" PRIx64, hash);
	put_text(writer, text);
}

static uint64_t hash_path(struct bytes folder, struct bytes leaf, uint64_t seed)
{
	return bytes_hash(leaf, bytes_hash(bytes_of("/"), bytes_hash(folder, seed)));
}

/* The store's; a path that is too long to have one gets something of the same look. */
static void put_document_hash(struct wire_writer *writer, const struct short_form *made)
{
	struct bytes collection = text_of(made->line, COLLECTION);
	struct event_identity identity;
	if (event_identity_of(collection, made->id, &identity)) {
		for (size_t i = 0; i < EVENT_IDENTITY_SIZE; i++) {
			char text[3];
			(void)snprintf(text, sizeof(text), "%02x", identity.bytes[i]);
			put_text(writer, text);
		}
		return;
	}
	put_hash(writer, hash_path(collection, made->id, 0));
	put_hash(writer, hash_path(collection, made->id, 1));
}

static void put_uuid(struct wire_writer *writer, const void *message)
{
	const struct short_form *made = message;
	char text[MODEL_UUID_SIZE];
	model_uuid_print(bytes_hash(bytes_of("high"), made->line->ordinal),
		bytes_hash(bytes_of("low"), made->line->ordinal), text);
	put_text(writer, "\"");
	put_text(writer, text);
	put_text(writer, "\"");
}

static void put_store_id(struct wire_writer *writer, const void *message)
{
	const struct short_form *made = message;
	wire_put_raw(writer, made->change->database);
	put_text(writer, ":");
	put_document_hash(writer, made);
}

static void put_event_id(struct wire_writer *writer, const void *message)
{
	const struct short_form *made = message;
	const struct model_change *change = made->change;
	put_decimal(writer, change->cluster_seconds);
	put_text(writer, "-");
	put_decimal(writer, change->cluster_increment);
	put_text(writer, "-");
	put_hash(writer, hash_path(change->store_collection, change->store_id, 0));
}

/* A tombstone has no data. */
static void put_data(struct wire_writer *writer, const struct short_form *made)
{
	put_text(writer, ",\"data\":{");
	if (!made->is_delete) {
		char *place = writer->place ? writer->place + writer->size : NULL;
		size_t size =
			wire_members_write(object_of(made->line, DATA), 1U << WIRE_NAME_ID, place);
		writer->size += size;
		put_text(writer, size > 0 ? ",\"id\":" : "\"id\":");
		wire_put_raw(writer, made->id_json);
	}
	put_text(writer, "}");
}

static void put_full_document(struct wire_writer *writer, const void *message)
{
	const struct short_form *made = message;
	const struct line *line = made->line;
	struct bytes collection = text_of(line, COLLECTION);
	bool is_first = made->change->kind != MODEL_CHANGE_UPDATE;
	/* The store's id begins with the database's name, and with its escapes. */
	put_text(writer, "{\"id\":");
	wire_put_raw(
		writer, (struct bytes){made->database_json.data, made->database_json.size - 1});
	put_text(writer, ":");
	put_document_hash(writer, made);
	put_text(writer, "\",\"database\":");
	wire_put_raw(writer, made->database_json);
	put_text(writer, ",\"collection\":");
	wire_put_raw(writer, line->members[COLLECTION].text);
	put_text(writer, ",\"collectionHash\":\"");
	put_hash(writer, bytes_hash(collection, 0));
	put_hash(writer, bytes_hash(collection, 1));
	put_text(writer, "\",\"updatedAt\":");
	put_decimal(writer, line->now_ms);
	put_text(writer, ",\"createdAt\":");
	put_decimal(writer, line->now_ms);
	put_text(writer, ",\"version\":");
	put_decimal(writer, is_first ? 1 : (int64_t)(line->ordinal + 1));
	put_data(writer, made);
	put_text(writer, made->is_delete ? ",\"deleted\":true}" : "}");
}

/* Who gives no id has it in `data`, or inserts a document that has none yet. */
static enum err find_id(struct short_form *made)
{
	const struct line *line = made->line;
	struct bytes json = line->members[ID].value ? line->members[ID].text
						    : wire_json_member(object_of(line, DATA), "id");
	enum err err = OK;
	if (json.size == 0 && made->change->kind == MODEL_CHANGE_INSERT) {
		err = make_text(made, put_uuid, &json);
	}
	if (err == OK && (json.size == 0 || json.data[0] != '"')) {
		return err_set(line->info, ERR_CORRUPT, 0,
			"\"id\" is missing, expected the document's id, a string");
	}
	made->id_json = json;
	return err == OK ? wire_json_string(json, line->arena, &made->id) : err;
}

static enum err take_short(const struct line *line, struct model_change *change)
{
	struct short_form made = {.line = line, .change = change};
	if (text_of(line, COLLECTION).size == 0) {
		return err_set(line->info, ERR_CORRUPT, 0,
			"\"collection\" is missing, expected the name of the document's "
			"collection");
	}
	bool has_database = line->members[DATABASE].value;
	made.database_json = has_database ? line->members[DATABASE].text : bytes_of("\"default\"");
	change->database = has_database ? text_of(line, DATABASE) : bytes_of("default");
	change->store_collection = bytes_of("documents");
	change->cluster_seconds = SECONDS_LEAST + (uint32_t)(line->ordinal >> 32);
	change->cluster_increment = (uint32_t)line->ordinal;
	change->timestamp_ms = line->now_ms;
	enum err err = take_kind(line, OP, &change->kind);
	if (err == OK && change->kind == MODEL_CHANGE_DELETE) {
		change->kind = MODEL_CHANGE_UPDATE;
		made.is_delete = true;
	}
	if (err == OK) {
		err = find_id(&made);
	}
	if (err == OK) {
		err = make_text(&made, put_store_id, &change->store_id);
	}
	if (err == OK) {
		err = make_text(&made, put_event_id, &change->event_id);
	}
	if (err == OK) {
		err = make_text(&made, put_full_document, &change->full_document);
	}
	return err;
}

/* ---- the line -------------------------------------------------------------------------------- */

/* Nothing but where the source now stands. */
static bool is_heartbeat(const struct line *line)
{
	for (size_t i = 0; i < NAMES; i++) {
		if (line->members[i].value && i != PROGRESS) {
			return false;
		}
	}
	return line->members[PROGRESS].value;
}

static enum form form_of(const struct value *root)
{
	if (value_member(root, bytes_of(names[OP].text))) {
		return FORM_SHORT;
	}
	return value_member(root, bytes_of(names[OP_TYPE].text)) ? FORM_LONG : FORM_BOTH;
}

static enum err take_line(struct line *line, struct model_source_message *message)
{
	const struct value *root;
	enum err err = json_parse(line->text, DEPTH_MAX, line->arena, &root, line->info);
	if (err != OK) {
		return err;
	}
	if (root->kind != VALUE_OBJECT) {
		return err_set(line->info, ERR_CORRUPT, 0, "expected an object, found %s",
			value_kind_name((enum value_kind)root->kind));
	}
	line->form = form_of(root);
	err = take_members(line, root);
	if (err != OK) {
		return err;
	}
	message->marker = text_of(line, PROGRESS);
	message->has_change = !is_heartbeat(line);
	if (!message->has_change) {
		return OK;
	}
	switch (line->form) {
	case FORM_SHORT:
		return take_short(line, &message->change);
	case FORM_LONG:
		return take_long(line, &message->change);
	case FORM_BOTH:
		break;
	}
	return err_set(line->info, ERR_CORRUPT, 0,
		"\"op\" is missing, expected insert, update, replace or delete");
}

enum err wire_change_line_parse(struct bytes line, uint64_t ordinal, int64_t now_ms,
	struct arena *arena, struct model_source_message *ret_message, struct err_info *info)
{
	struct bytes copy = arena_copy(arena, line);
	struct line parsed = {
		.text = copy, .ordinal = ordinal, .now_ms = now_ms, .arena = arena, .info = info};
	struct model_source_message message = {0};
	enum err err = copy.data ? take_line(&parsed, &message) : ERR_MEMORY;
	if (err == ERR_MEMORY) {
		return err_set(info, err, 0, "%s", err_text(err));
	}
	if (err == OK) {
		*ret_message = message;
	}
	return err;
}
