/*
 * The primitives of protobuf's encoding that all messages share: fields out of bytes, bytes out of
 * fields. What a message means is in the file of that message.
 */
#ifndef WIRE_PRIV_H
#define WIRE_PRIV_H

#include "wire.h"

#include <string.h>

/* ---- reading --------------------------------------------------------------------------------- */

enum wire_type {
	WIRE_VARINT = 0,
	WIRE_FIXED64 = 1,
	WIRE_BYTES = 2, /* strings, bytes, embedded messages */
	WIRE_GROUP = 3,
	WIRE_GROUP_END = 4,
	WIRE_FIXED32 = 5,
};

struct wire_field {
	uint32_t number;
	enum wire_type type;
	uint64_t integer;   /* VARINT, FIXED64, FIXED32 */
	struct bytes bytes; /* BYTES */
};

/* The next field of a message; groups are skipped. ERR_EMPTY at the end, ERR_CORRUPT. */
enum err wire_field_next(struct bytes *rest, struct wire_field *ret_field) MUST_CHECK;

/* Calls `take` for each field until one fails. A field fed twice to a taker is last-wins by nature,
 * and an embedded message fed twice is merged, as protobuf asks. */
typedef enum err (*wire_take_fn)(const struct wire_field *field, void *ctx);
enum err wire_each_field(struct bytes message, wire_take_fn take, void *ctx) MUST_CHECK;

/*
 * What a taker does with a field. A field of another type than the one asked for is an unknown
 * field: it is ignored, and the output stays as it is. Only a string can be wrong: ERR_CORRUPT if
 * not UTF-8.
 */
enum err wire_take_string(const struct wire_field *field, struct bytes *ret_text) MUST_CHECK;
void wire_take_bytes(const struct wire_field *field, struct bytes *ret_bytes);
void wire_take_int64(const struct wire_field *field, int64_t *ret_integer);
void wire_take_uint32(const struct wire_field *field, uint32_t *ret_integer);
void wire_take_bool(const struct wire_field *field, bool *ret_boolean);

/*
 * The embedded message that stands in a oneof with the numbers first to last, or extra_first to
 * extra_last (0: there are no more): the last one set, and
 * if it was set several times in succession, all of its pieces joined in the arena (which is what
 * merging means). *ret_number is 0 if there is none.
 */
struct wire_range {
	uint32_t first, last;
	uint32_t extra_first, extra_last;
};
enum err wire_oneof(struct bytes message, struct wire_range numbers, struct arena *arena,
	uint32_t *ret_number, struct bytes *ret_message) MUST_CHECK;

/* ---- writing --------------------------------------------------------------------------------- */

struct wire_writer {
	char *place;     /* NULL: only counts */
	size_t size;     /* written or counted so far */
	bool is_refused; /* counting found what cannot be written: a string that is not UTF-8 */
};
typedef void (*wire_put_fn)(struct wire_writer *writer, const void *message);

size_t wire_varint_size(uint64_t integer);
void wire_put_varint(struct wire_writer *writer, uint64_t integer);
static inline void wire_put_raw(struct wire_writer *writer, struct bytes bytes)
{
	if (writer->place && bytes.size > 0) {
		memcpy(writer->place + writer->size, bytes.data, bytes.size);
	}
	writer->size += bytes.size;
}
void wire_put_tag(struct wire_writer *writer, uint32_t number, enum wire_type type);
void wire_put_prefix(struct wire_writer *writer, uint32_t number, size_t size); /* tag, length */

/* These write nothing for the default value. */
void wire_put_integer(struct wire_writer *writer, uint32_t number, uint64_t integer);
void wire_put_bytes(struct wire_writer *writer, uint32_t number, struct bytes bytes);
void wire_put_string(struct wire_writer *writer, uint32_t number, struct bytes text);
/* Text for people may quote what they sent and be cut anywhere: it goes out up to its last whole
 * character, rather than not at all. */
void wire_put_text(struct wire_writer *writer, uint32_t number, struct bytes text);

/* An embedded message, empty or not. */
void wire_put_message(
	struct wire_writer *writer, uint32_t number, wire_put_fn put, const void *message);

/* Appends the message whole or not at all: ERR_INVALID if it was refused, ERR_MEMORY. */
enum err wire_encode(struct buffer *buffer, wire_put_fn put, const void *message) MUST_CHECK;

/* ---- parts of messages that others are made of ----------------------------------------------- */

/* The fields of a SubscribeRequest and of a SubscribeResponse: each is a wire_put_fn. */
void wire_put_subscription(struct wire_writer *writer, const void *message);
void wire_put_answer(struct wire_writer *writer, const void *message);

/* `refusal` is set as wire_gateway_message_parse says. */
enum err wire_subscription_parse(struct bytes payload, const struct wire_limits *limits,
	struct arena *arena, struct model_subscription *ret_subscription,
	struct err_info *refusal) MUST_CHECK;
enum err wire_answer_parse(struct bytes payload, struct model_answer *ret_answer) MUST_CHECK;

/* The strings that are field `number` of a message, as a run of that size. */
enum err wire_run_copy(struct bytes message, uint32_t number, size_t size, struct arena *arena,
	struct bytes *ret_run) MUST_CHECK;

/* ---- bulk.c ---------------------------------------------------------------------------------- */

enum err wire_bulk_parse(struct bytes payload, struct model_bulk *ret_bulk) MUST_CHECK;
enum err wire_bulk_answer_parse(
	struct bytes payload, struct model_bulk_answer *ret_answer) MUST_CHECK;

/* ---- hello.c: the other messages of the extensions ------------------------------------------- */

enum err wire_hello_parse(struct bytes payload, struct model_hello *ret_hello) MUST_CHECK;
enum err wire_welcome_parse(struct bytes payload, struct model_welcome *ret_welcome) MUST_CHECK;
enum err wire_gap_parse(
	struct bytes payload, struct arena *arena, struct model_gap *ret_gap) MUST_CHECK;
enum err wire_unsubscribed_parse(struct bytes payload, struct bytes *ret_id) MUST_CHECK;
enum err wire_notice_parse(struct bytes payload, struct model_notice *ret_notice) MUST_CHECK;
enum err wire_going_away_parse(
	struct bytes payload, struct model_going_away *ret_going_away) MUST_CHECK;

/* ---- documents ------------------------------------------------------------------------------- */

/* The names that mean something to us, in a full document or in its `data`. */
enum wire_name {
	WIRE_NAME_OTHER,
	WIRE_NAME_ID,
	WIRE_NAME_DATA,
	WIRE_NAME_VERSION,
	WIRE_NAME_DELETED,
	WIRE_NAME_CREATED_AT,
	WIRE_NAME_UPDATED_AT,
	WIRE_NAME_COLLECTION,
	WIRE_NAMES
};

/* Sizes are written out so that each comparison is a few instructions. */
static inline enum wire_name wire_name_of(struct bytes name)
{
	const char *text = name.data;
	switch (name.size) {
	case 2:
		return memcmp(text, "id", 2) == 0 ? WIRE_NAME_ID : WIRE_NAME_OTHER;
	case 4:
		return memcmp(text, "data", 4) == 0 ? WIRE_NAME_DATA : WIRE_NAME_OTHER;
	case 7:
		return memcmp(text, "version", 7) == 0    ? WIRE_NAME_VERSION
			: memcmp(text, "deleted", 7) == 0 ? WIRE_NAME_DELETED
							  : WIRE_NAME_OTHER;
	case 9:
		return memcmp(text, "createdAt", 9) == 0    ? WIRE_NAME_CREATED_AT
			: memcmp(text, "updatedAt", 9) == 0 ? WIRE_NAME_UPDATED_AT
							    : WIRE_NAME_OTHER;
	case 10:
		return memcmp(text, "collection", 10) == 0 ? WIRE_NAME_COLLECTION : WIRE_NAME_OTHER;
	default:
		return WIRE_NAME_OTHER;
	}
}

/*
 * Writes the members of an object as they stand in its text, commas between them and no braces,
 * without those of which `dropped` has a bit (1 << enum wire_name). Gives the size, which is less
 * than the object's.
 */
size_t wire_members_write(struct bytes object, unsigned dropped, char *place);

/* The last member of each name that means something to us; NULL where there is none. */
struct wire_named {
	const struct value *members[WIRE_NAMES];
};
struct wire_named wire_find_named(const struct value *object);

/* ---- skim.c: documents of a source that is trusted ------------------------------------------- */

/* What goes out of `data`, in pieces of its text that commas belong between. */
#define WIRE_PIECES_MAX 8
struct wire_pieces {
	struct bytes items[WIRE_PIECES_MAX];
	size_t count;
	bool are_all; /* false: there are more, and the text is to be walked again */
};

/* What has been read of a full document, beside the tape: where it all is. */
struct wire_reading {
	struct wire_named system;
	struct wire_pieces pieces; /* of one that was skimmed */
};

/*
 * Reads of an event's `data` what it may not skip, and what the system has, onto an empty tape.
 * Each value is read strictly; what is passed over is not looked at. `head` is of the event's own
 * document. ERR_CORRUPT, ERR_LIMIT, ERR_MEMORY.
 */
enum err wire_skim(struct event *event, const struct wire_document_head *head,
	uint32_t json_depth_max, struct tape *tape, struct err_info *info,
	struct wire_reading *ret_reading) MUST_CHECK;

/* The members of an object on a tape: the first one's name, and how many there are. */
struct wire_members {
	const struct value *first;
	size_t count;
	const struct wire_pieces *pieces; /* the tape has not all of them, but these; else NULL */
};

/* Of the user's members those go that the system has too: a bit for each name. */
unsigned wire_dropped_names(const struct wire_document_head *head);

/* The document as consumers see it, spliced from a strict full document, of whose text head->data
 * `data` was read. */
size_t wire_document_size_max(const struct wire_document_head *head);
size_t wire_document_write(
	const struct wire_document_head *head, struct wire_members data, char *place);

/* The string that `text` is as JSON, strictly read; empty if it is none. ERR_MEMORY only. */
enum err wire_json_string(
	struct bytes text, struct arena *arena, struct bytes *ret_string) MUST_CHECK;

/* The last member of that name, as it stands in the text; empty if there is none. */
struct bytes wire_json_member(struct bytes object, const char *name);

#endif
