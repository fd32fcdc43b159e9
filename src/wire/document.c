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

static inline bool is_same(struct bytes a, struct bytes b)
{
	return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static inline bool is_named(const struct json_member *member, bool has_escapes, struct bytes name)
{
	return has_escapes ? json_name_is(member, name) : is_same(member->name, name);
}

static enum err note_member(
	const struct json_member *member, struct arena *arena, struct wire_document_head *head)
{
	const struct {
		struct bytes name;
		struct bytes *text;
	} spans[] = {
		{{"data", 4}, &head->data},
		{{"version", 7}, &head->version},
		{{"updatedAt", 9}, &head->updated_at},
		{{"createdAt", 9}, &head->created_at},
	};
	bool has_escapes = memchr(member->name.data, '\\', member->name.size);
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		if (is_named(member, has_escapes, spans[i].name)) {
			*spans[i].text = member->value;
			return OK;
		}
	}
	if (is_named(member, has_escapes, (struct bytes){"deleted", 7})) {
		head->deleted = bytes_equal(member->value, (struct bytes){"true", 4});
	} else if (is_named(member, has_escapes, (struct bytes){"collection", 10})) {
		return wire_json_string(member->value, arena, &head->collection);
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

static bool is_among(const struct json_member *member, struct wire_names names)
{
	for (size_t i = 0; i < names.count; i++) {
		if (json_name_is(member, names.names[i])) {
			return true;
		}
	}
	return false;
}

size_t wire_members_write(struct bytes object, struct wire_names dropped, char *place)
{
	struct wire_writer writer = {.place = place};
	struct json_member member;
	size_t cursor = 0;
	while (json_next_member(object, &cursor, &member) == OK) {
		if (is_among(&member, dropped)) {
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

static bool is_dropped(struct bytes name, struct wire_names dropped)
{
	for (size_t i = 0; i < dropped.count; i++) {
		if (is_same(name, dropped.names[i])) {
			return true;
		}
	}
	return false;
}

/* Members with nothing but a comma between them go out in one piece. */
static size_t write_plain(
	struct bytes object, struct wire_members members, struct wire_names dropped, char *place)
{
	struct wire_writer writer = {.place = place};
	struct piece piece = {0};
	const struct value *name = members.first;
	for (size_t i = 0; i < members.count; i++) {
		const char *start = name->as.text - 1;
		if (piece.start) {
			piece.end = end_before(start, true);
		}
		bool drops = is_dropped(value_text(name), dropped);
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

struct system_member {
	struct bytes name;
	struct bytes value;
};
#define SYSTEM_MEMBERS_MAX 4

/* Those that the document has, in the order in which they go out. `deleted` is one on tombstones
 * only. */
static size_t list_system_members(
	const struct wire_document_head *head, struct system_member members[SYSTEM_MEMBERS_MAX])
{
	const struct system_member all[SYSTEM_MEMBERS_MAX] = {
		{{"version", 7}, head->version},
		{{"updatedAt", 9}, head->updated_at},
		{{"createdAt", 9}, head->created_at},
		{{"deleted", 7}, {"true", head->deleted ? 4 : 0}},
	};
	size_t count = 0;
	for (size_t i = 0; i < SYSTEM_MEMBERS_MAX; i++) {
		if (all[i].value.size > 0) {
			members[count++] = all[i];
		}
	}
	return count;
}

static void write_system_members(struct wire_writer *writer, const struct wire_document_head *head)
{
	struct system_member members[SYSTEM_MEMBERS_MAX];
	size_t count = list_system_members(head, members);
	for (size_t i = 0; i < count; i++) {
		if (writer->size > 1) {
			wire_put_raw(writer, (struct bytes){",", 1});
		}
		wire_put_raw(writer, (struct bytes){"\"", 1});
		wire_put_raw(writer, members[i].name);
		wire_put_raw(writer, (struct bytes){"\":", 2});
		wire_put_raw(writer, members[i].value);
	}
}

size_t wire_document_size_max(const struct wire_document_head *head)
{
	/* Braces, all of data's members and a comma behind them, and the system's members. */
	struct wire_writer count = {.size = head->data.size + 3};
	write_system_members(&count, head);
	return count.size;
}

/* Of the user's members those go that the system has too. */
size_t wire_document_write(
	const struct wire_document_head *head, struct wire_members data, char *place)
{
	struct system_member members[SYSTEM_MEMBERS_MAX];
	struct bytes names[2 + SYSTEM_MEMBERS_MAX] = {{"id", 2}, {"collection", 10}};
	size_t count = list_system_members(head, members);
	for (size_t i = 0; i < count; i++) {
		names[2 + i] = members[i].name;
	}
	struct wire_names dropped = {names, 2 + count};
	struct wire_writer writer = {.place = place};
	wire_put_raw(&writer, (struct bytes){"{", 1});
	writer.size += are_plain(data, head->data)
		? write_plain(head->data, data, dropped, place + 1)
		: wire_members_write(head->data, dropped, place + 1);
	write_system_members(&writer, head);
	wire_put_raw(&writer, (struct bytes){"}", 1});
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
