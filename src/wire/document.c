/*
 * Documents as text: what one scan of a full document's top level tells, and the splice that makes
 * of it what consumers get. Scanning is lenient and finds what it can; splicing wants a document
 * that has been read strictly, and goes by the tape where it can: a name that was written without
 * escapes points to where it stands in the text.
 */
#include "wire_priv.h"

#include <string.h>

static bool is_null(struct bytes text)
{
	return bytes_equal(text, (struct bytes){"null", 4});
}

/* Whether a string between its quotes can be taken as it stands. */
static bool is_plain(struct bytes inside)
{
	for (size_t i = 0; i < inside.size; i++) {
		unsigned char byte = (unsigned char)inside.data[i];
		if (byte < 0x20 || byte >= 0x80 || byte == '\\' || byte == '"') {
			return false;
		}
	}
	return true;
}

enum err wire_json_string(struct bytes text, struct arena *arena, struct bytes *ret_string)
{
	struct bytes string = {NULL, 0};
	if (text.size >= 2 && text.data[0] == '"' && text.data[text.size - 1] == '"') {
		string = (struct bytes){text.data + 1, text.size - 2};
	}
	if (!is_plain(string)) {
		const struct value *value;
		enum err err = json_parse(text, 1, arena, &value, NULL);
		if (err == ERR_MEMORY) {
			return err;
		}
		string = err == OK && value->kind == VALUE_STRING ? value_text(value)
								  : (struct bytes){NULL, 0};
	}
	*ret_string = string;
	return OK;
}

struct bytes wire_json_member(struct bytes object, const char *name)
{
	struct bytes found = {NULL, 0};
	struct json_member member;
	size_t cursor = 0;
	while (json_next_member(object, &cursor, &member) == OK) {
		if (json_name_is(&member, bytes_of(name))) {
			found = member.value;
		}
	}
	return found;
}

/* ---- the head -------------------------------------------------------------------------------- */

static bool is_space(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static bool starts_object(struct bytes text)
{
	size_t at = 0;
	while (at < text.size && is_space(text.data[at])) {
		at++;
	}
	return at < text.size && text.data[at] == '{';
}

static const struct bytes names[WIRE_NAMES] = {
	[WIRE_NAME_ID] = {"id", 2},
	[WIRE_NAME_DATA] = {"data", 4},
	[WIRE_NAME_VERSION] = {"version", 7},
	[WIRE_NAME_DELETED] = {"deleted", 7},
	[WIRE_NAME_CREATED_AT] = {"createdAt", 9},
	[WIRE_NAME_UPDATED_AT] = {"updatedAt", 9},
	[WIRE_NAME_COLLECTION] = {"collection", 10},
};

/* wire_name_of a name that may have escapes in it. */
static enum wire_name name_of_member(const struct json_member *member)
{
	if (!member->has_escapes) {
		return wire_name_of(member->name);
	}
	for (int which = WIRE_NAME_OTHER + 1; which < WIRE_NAMES; which++) {
		if (json_name_is(member, names[which])) {
			return (enum wire_name)which;
		}
	}
	return WIRE_NAME_OTHER;
}

static enum err note_member(
	const struct json_member *member, struct arena *arena, struct wire_document_head *head)
{
	switch (name_of_member(member)) {
	case WIRE_NAME_DATA:
		head->data = member->value;
		break;
	case WIRE_NAME_VERSION:
		head->version = member->value;
		break;
	case WIRE_NAME_UPDATED_AT:
		head->updated_at = member->value;
		break;
	case WIRE_NAME_CREATED_AT:
		head->created_at = member->value;
		break;
	case WIRE_NAME_DELETED:
		head->deleted = bytes_equal(member->value, (struct bytes){"true", 4});
		break;
	case WIRE_NAME_COLLECTION:
		return wire_json_string(member->value, arena, &head->collection);
	case WIRE_NAME_ID:
	case WIRE_NAME_OTHER:
	case WIRE_NAMES:
		break;
	}
	return OK;
}

enum err wire_document_head_scan(
	struct bytes document, struct arena *arena, struct wire_document_head *ret_head)
{
	struct wire_document_head head = {.is_object = starts_object(document)};
	struct json_member member;
	size_t cursor = 0;
	while (json_next_member(document, &cursor, &member) == OK) {
		enum err err = note_member(&member, arena, &head);
		if (err != OK) {
			return err;
		}
	}
	if (is_null(head.data)) {
		head.data = (struct bytes){NULL, 0};
	}
	*ret_head = head;
	return OK;
}

/* ---- the splice ------------------------------------------------------------------------------ */

size_t wire_members_write(struct bytes object, unsigned dropped, char *place)
{
	struct wire_writer writer = {.place = place};
	struct json_member member;
	size_t cursor = 0;
	while (json_next_member(object, &cursor, &member) == OK) {
		if (dropped >> name_of_member(&member) & 1U) {
			continue;
		}
		if (writer.size > 0) {
			wire_put_raw(&writer, (struct bytes){",", 1});
		}
		const char *start = object.data + member.start;
		size_t size = (size_t)(member.value.data + member.value.size - start);
		wire_put_raw(&writer, (struct bytes){start, size});
	}
	return writer.size;
}

/* The piece of an object's text that has been taken and not yet written; empty if start is NULL. */
struct piece {
	const char *start;
	const char *end;
};

static void flush(struct piece *piece, struct wire_writer *writer)
{
	if (piece->start) {
		if (writer->size > 0) {
			wire_put_raw(writer, (struct bytes){",", 1});
		}
		wire_put_raw(
			writer, (struct bytes){piece->start, (size_t)(piece->end - piece->start)});
	}
	piece->start = NULL;
}

/* The end of a member: before what separates it from `behind`, the next name's quote or '}'. */
static const char *end_before(const char *behind, bool has_comma)
{
	while (is_space(behind[-1])) {
		behind--;
	}
	behind -= has_comma;
	while (is_space(behind[-1])) {
		behind--;
	}
	return behind;
}

/* Whether all names stand in the text as they are on the tape. */
static bool are_plain(struct wire_members members, struct bytes text)
{
	const struct value *name = members.first;
	for (size_t i = 0; i < members.count; i++) {
		uintptr_t offset = (uintptr_t)name->as.text - (uintptr_t)text.data;
		if (offset >= text.size) {
			return false;
		}
		name = value_after(name + 1);
	}
	return true;
}

static size_t write_pieces(const struct wire_pieces *pieces, char *place)
{
	struct wire_writer writer = {.place = place};
	for (size_t i = 0; i < pieces->count; i++) {
		if (i > 0) {
			wire_put_raw(&writer, (struct bytes){",", 1});
		}
		wire_put_raw(&writer, pieces->items[i]);
	}
	return writer.size;
}

/* Members with nothing but a comma between them go out in one piece. */
static size_t write_plain(
	struct bytes object, struct wire_members members, unsigned dropped, char *place)
{
	struct wire_writer writer = {.place = place};
	struct piece piece = {0};
	const struct value *name = members.first;
	for (size_t i = 0; i < members.count; i++) {
		const char *start = name->as.text - 1;
		if (piece.start) {
			piece.end = end_before(start, true);
		}
		bool drops = dropped >> wire_name_of(value_text(name)) & 1U;
		if (drops || (piece.start && start - piece.end > 1)) {
			flush(&piece, &writer);
		}
		if (!drops && !piece.start) {
			piece.start = start;
		}
		name = value_after(name + 1);
	}
	if (piece.start) {
		piece.end = end_before(object.data + object.size - 1, false);
		flush(&piece, &writer);
	}
	return writer.size;
}

#define TEXT(text) ((struct bytes){(text), sizeof(text) - 1})
/* All that the system may write but for the values. */
#define SYSTEM_TEXT TEXT("{\"version\":,\"updatedAt\":,\"createdAt\":,\"deleted\":true,}")

/* `start` is the comma, the name and the colon; of the first member the comma is not written. */
static void write_system_member(struct wire_writer *writer, struct bytes start, struct bytes value)
{
	if (value.size > 0) {
		size_t skipped = writer->size > 1 ? 0 : 1;
		wire_put_raw(writer, (struct bytes){start.data + skipped, start.size - skipped});
		wire_put_raw(writer, value);
	}
}

size_t wire_document_size_max(const struct wire_document_head *head)
{
	return head->data.size + head->version.size + head->updated_at.size +
		head->created_at.size + SYSTEM_TEXT.size;
}

/* `deleted` is one on tombstones only. */
unsigned wire_dropped_names(const struct wire_document_head *head)
{
	return 1U << WIRE_NAME_ID | 1U << WIRE_NAME_COLLECTION |
		(unsigned)(head->version.size > 0) << WIRE_NAME_VERSION |
		(unsigned)(head->updated_at.size > 0) << WIRE_NAME_UPDATED_AT |
		(unsigned)(head->created_at.size > 0) << WIRE_NAME_CREATED_AT |
		(unsigned)head->deleted << WIRE_NAME_DELETED;
}

/* By whichever is the shortest way. */
static size_t write_data(
	const struct wire_document_head *head, const struct wire_members *data, char *place)
{
	unsigned dropped = wire_dropped_names(head);
	if (data->pieces && data->pieces->are_all) {
		return write_pieces(data->pieces, place);
	}
	if (!data->pieces && are_plain(*data, head->data)) {
		return write_plain(head->data, *data, dropped, place);
	}
	return wire_members_write(head->data, dropped, place);
}

size_t wire_document_write(
	const struct wire_document_head *head, struct wire_members data, char *place)
{
	struct wire_writer writer = {.place = place};
	wire_put_raw(&writer, TEXT("{"));
	writer.size += write_data(head, &data, place + 1);
	write_system_member(&writer, TEXT(",\"version\":"), head->version);
	write_system_member(&writer, TEXT(",\"updatedAt\":"), head->updated_at);
	write_system_member(&writer, TEXT(",\"createdAt\":"), head->created_at);
	write_system_member(
		&writer, TEXT(",\"deleted\":"), head->deleted ? TEXT("true") : TEXT(""));
	wire_put_raw(&writer, TEXT("}"));
	return writer.size;
}

enum wire_update_says wire_update_says(struct bytes update)
{
	struct bytes deleted =
		wire_json_member(wire_json_member(update, "updatedFields"), "deleted");
	if (bytes_equal(deleted, bytes_of("true"))) {
		return WIRE_UPDATE_DELETES;
	}
	return bytes_equal(deleted, bytes_of("false")) ? WIRE_UPDATE_REVIVES : WIRE_UPDATE_NOTHING;
}
