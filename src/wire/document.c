/*
 * Documents as text: what one scan of a full document's top level tells, and the splice that makes
 * of it what consumers get. Scanning is lenient and finds what it can; splicing wants a document
 * that has been read strictly.
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

static bool starts_object(struct bytes text)
{
	size_t at = 0;
	while (at < text.size && memchr(" \t\r\n", text.data[at], 4)) {
		at++;
	}
	return at < text.size && text.data[at] == '{';
}

static enum err note_member(
	const struct json_member *member, struct arena *arena, struct wire_document_head *head)
{
	const struct {
		const char *name;
		struct bytes *text;
	} spans[] = {
		{"data", &head->data},
		{"version", &head->version},
		{"updatedAt", &head->updated_at},
		{"createdAt", &head->created_at},
	};
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		if (json_name_is(member, bytes_of(spans[i].name))) {
			*spans[i].text = member->value;
			return OK;
		}
	}
	if (json_name_is(member, bytes_of("deleted"))) {
		head->deleted = bytes_equal(member->value, (struct bytes){"true", 4});
	} else if (json_name_is(member, bytes_of("collection"))) {
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
	while (head.is_object && json_next_member(document, &cursor, &member) == OK) {
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
		if (json_name_is(member, bytes_of(names.names[i]))) {
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

/* The system's members in the order in which they go out. `deleted` is last: it is a system's
 * member on tombstones only. */
static const char *const system_names[] = {
	"id", "collection", "version", "updatedAt", "createdAt", "deleted"};
#define SYSTEM_NAMES (sizeof(system_names) / sizeof(system_names[0]))

static void write_member(struct wire_writer *writer, const char *name, struct bytes value)
{
	if (value.size == 0) {
		return;
	}
	if (writer->size > 1) {
		wire_put_raw(writer, (struct bytes){",", 1});
	}
	wire_put_raw(writer, (struct bytes){"\"", 1});
	wire_put_raw(writer, bytes_of(name));
	wire_put_raw(writer, (struct bytes){"\":", 2});
	wire_put_raw(writer, value);
}

static void write_system_members(struct wire_writer *writer, const struct wire_document_head *head)
{
	write_member(writer, "version", head->version);
	write_member(writer, "updatedAt", head->updated_at);
	write_member(writer, "createdAt", head->created_at);
	write_member(writer, "deleted", bytes_of(head->deleted ? "true" : ""));
}

size_t wire_document_size_max(const struct wire_document_head *head)
{
	/* Braces, all of data's members and a comma behind them, and the system's members. */
	struct wire_writer count = {.size = head->data.size + 3};
	write_system_members(&count, head);
	return count.size;
}

size_t wire_document_write(const struct wire_document_head *head, char *place)
{
	struct wire_names dropped = {system_names, SYSTEM_NAMES - (head->deleted ? 0 : 1)};
	struct wire_writer writer = {.place = place};
	wire_put_raw(&writer, (struct bytes){"{", 1});
	writer.size += wire_members_write(head->data, dropped, place + 1);
	write_system_members(&writer, head);
	wire_put_raw(&writer, (struct bytes){"}", 1});
	return writer.size;
}
