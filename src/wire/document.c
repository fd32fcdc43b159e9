/*
 * Documents as text: what one scan of a full document's top level tells, and the splice that makes
 * of it what consumers get. Scanning is lenient and finds what it can; splicing wants a document
 * that has been read strictly.
 */
#include "wire_priv.h"

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

struct system_member {
	const char *name;
	struct bytes value;
};
#define SYSTEM_MEMBERS_MAX 4

/* Those that the document has, in the order in which they go out. `deleted` is one on tombstones
 * only. */
static size_t list_system_members(
	const struct wire_document_head *head, struct system_member members[SYSTEM_MEMBERS_MAX])
{
	const struct system_member all[SYSTEM_MEMBERS_MAX] = {
		{"version", head->version},
		{"updatedAt", head->updated_at},
		{"createdAt", head->created_at},
		{"deleted", bytes_of(head->deleted ? "true" : "")},
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
		wire_put_raw(writer, bytes_of(members[i].name));
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
size_t wire_document_write(const struct wire_document_head *head, char *place)
{
	struct system_member members[SYSTEM_MEMBERS_MAX];
	const char *dropped[2 + SYSTEM_MEMBERS_MAX] = {"id", "collection"};
	size_t count = list_system_members(head, members);
	for (size_t i = 0; i < count; i++) {
		dropped[2 + i] = members[i].name;
	}
	struct wire_writer writer = {.place = place};
	wire_put_raw(&writer, (struct bytes){"{", 1});
	writer.size +=
		wire_members_write(head->data, (struct wire_names){dropped, 2 + count}, place + 1);
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
