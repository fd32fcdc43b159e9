/*
 * Of a document whose source is trusted to send JSON, only what somebody looks at is read. The rest
 * is passed over by its quotes and brackets, once, which also tells the pieces that go out.
 */
#include "wire_priv.h"

#define DEPTH_OF_MEMBERS 2 /* the document, and its data */
#define NO_PLACE SIZE_MAX

struct skim {
	const struct wire_document_head *head;
	uint64_t skipped;
	uint32_t depth_max;
	struct arena *arena;
	struct tape *tape;
	struct err_info *info;
};

static enum err read(struct skim *skim, struct bytes text)
{
	return json_read(text, skim->depth_max, skim->arena, skim->tape, skim->info);
}

static bool is_skipped(const struct skim *skim, struct bytes name)
{
	return skim->skipped >> event_member_bit(name) & 1 && wire_name_of(name) == WIRE_NAME_OTHER;
}

/* Reads a member if it may not be skipped; *ret_which: what its name means to us. */
static enum err take_member(struct skim *skim, const struct json_member *member, size_t *members,
	enum wire_name *ret_which)
{
	struct tape *tape = skim->tape;
	struct bytes name = member->name;
	enum err err = OK;
	if (member->has_escapes) {
		err = read(skim, (struct bytes){name.data - 1, name.size + 2});
		if (err != OK) {
			return err;
		}
		name = value_text(&tape->cells[--tape->count]);
	}
	*ret_which = wire_name_of(name);
	if (is_skipped(skim, name)) {
		return OK;
	}
	err = tape_push(tape, value_string(name));
	++*members;
	return err == OK ? read(skim, member->value) : err;
}

static void add_piece(struct wire_pieces *pieces, const char *start, const char *end)
{
	struct bytes *last = pieces->count > 0 ? &pieces->items[pieces->count - 1] : NULL;
	if (last && start - (last->data + last->size) == 1) {
		last->size = (size_t)(end - last->data);
	} else if (pieces->count < WIRE_PIECES_MAX) {
		pieces->items[pieces->count++] = (struct bytes){start, (size_t)(end - start)};
	} else {
		pieces->are_all = false;
	}
}

static enum err take_data(struct skim *skim, struct wire_pieces *pieces)
{
	struct bytes data = skim->head->data;
	unsigned dropped = wire_dropped_names(skim->head);
	size_t place = 0;
	size_t members = 0;
	size_t cursor = 0;
	struct json_member member;
	enum err err = tape_open(skim->tape, VALUE_OBJECT, &place);
	while (err == OK) {
		enum err next = json_next_member(data, &cursor, &member);
		if (next == ERR_EMPTY) {
			tape_close(skim->tape, place, members);
			return OK;
		}
		if (next != OK) {
			return err_set(skim->info, ERR_CORRUPT, 0,
				"the document's data is no object, or cannot be followed to its "
				"end");
		}
		enum wire_name which = WIRE_NAME_OTHER;
		err = take_member(skim, &member, &members, &which);
		if (!(dropped >> which & 1U)) {
			add_piece(pieces, data.data + member.start,
				member.value.data + member.value.size);
		}
	}
	return err;
}

/* Where on the tape a value of the system's is, if the document has one. */
static enum err take_system(struct skim *skim, struct bytes text, size_t *ret_place)
{
	*ret_place = text.size > 0 ? skim->tape->count : NO_PLACE;
	return text.size > 0 ? read(skim, text) : OK;
}

enum err wire_skim(struct event *event, const struct wire_document_head *head,
	uint32_t json_depth_max, struct tape *tape, struct err_info *info,
	struct wire_reading *ret_reading)
{
	struct skim skim = {head, event->skipped, json_depth_max, &event->arena, tape, info};
	skim.depth_max -= json_depth_max > DEPTH_OF_MEMBERS ? DEPTH_OF_MEMBERS : json_depth_max;
	struct wire_pieces pieces = {.are_all = true};
	size_t places[WIRE_NAMES];
	for (size_t i = 0; i < WIRE_NAMES; i++) {
		places[i] = NO_PLACE;
	}
	enum err err = OK;
	if (head->data.size > 0) {
		places[WIRE_NAME_DATA] = tape->count;
		err = take_data(&skim, &pieces);
	}
	err = err != OK ? err : take_system(&skim, head->version, &places[WIRE_NAME_VERSION]);
	err = err != OK ? err : take_system(&skim, head->updated_at, &places[WIRE_NAME_UPDATED_AT]);
	err = err != OK ? err : take_system(&skim, head->created_at, &places[WIRE_NAME_CREATED_AT]);
	if (err != OK) {
		return err;
	}
	struct wire_named system = {{NULL}};
	for (size_t i = 0; i < WIRE_NAMES; i++) {
		system.members[i] = places[i] != NO_PLACE ? &tape->cells[places[i]] : NULL;
	}
	*ret_reading = (struct wire_reading){system, pieces};
	return OK;
}
