/*
 * event: one change, or a break in the source, on its way through the engine, immutable and
 * counted; and who is interested in what.
 * Owns: the bytes of its change, its document's tape and its encoding, all in one arena.
 * Threads: made by one thread; after that any thread may read it, and its count is atomic.
 * Errors: ERR_MEMORY.
 * Invariant: an event never changes after it has been handed out.
 */
#ifndef EVENT_H
#define EVENT_H

#include "base.h"
#include "model.h"

struct value;

/*
 * A document's identity: the first 16 bytes of BLAKE3 of its path, "<collection>/<id>". The store
 * keeps it in the id that it gives the document, so it outlives what a delete takes away.
 */
#define EVENT_IDENTITY_SIZE 16
#define EVENT_PATH_BYTES_MAX 1024 /* a longer path has no identity here */

struct event_identity {
	uint8_t bytes[EVENT_IDENTITY_SIZE];
};
bool event_identity_of(
	struct bytes collection, struct bytes id, struct event_identity *ret_identity);
/* Out of the store's id, "<database>:<32 hexadecimal digits>". */
bool event_identity_parse(
	struct bytes store_id, struct bytes *ret_database, struct event_identity *ret_identity);

/* What every worker looks at comes first. */
struct event {
	_Atomic uint32_t holders;
	uint64_t sequence;     /* from 1, in the order of ingest */
	struct bytes position; /* where it stands, as clients are told */
	bool is_break; /* no change: the source has lost some here; what a change has is zero */
	bool is_history_only; /* another life has routed it: only for those who come back */
	bool is_last_old;     /* and what comes next it has not */
	int64_t received_us;
	enum model_operation operation;
	struct bytes collection;  /* the user's, from the document */
	struct bytes document_id; /* empty: the document has none, or it is not known */
	bool id_is_unknown;       /* a DELETE whose document has an id, but which? */
	bool is_purge;            /* the document is gone for good: for who asked for it by id */
	bool is_without_document; /* a DELETE whose `full_document` shows a later life */
	bool has_identity;
	struct event_identity identity;
	bool is_read;     /* `document` and `encoded` have been made */
	bool is_refused;  /* the document is not strict JSON: `document` is NULL */
	uint64_t skipped; /* members of `data` with one of these bits are not in `document` */
	const struct value *document; /* the flattened document as a tape */
	struct bytes encoded;         /* StreamerEvent, ready for every stream */
	struct bytes encoded_bare;    /* its front: all but document_data, which comes last */
	struct arena arena;
	struct model_change change; /* as the source sent it; all bytes are the arena's */
};

/* An event with one holder and everything else zero. The maker fills it before handing it out. */
enum err event_new(struct event **ret_event) MUST_CHECK;
struct event *event_ref(struct event *event);
void event_unref(struct event *event); /* NULL is fine; the last one frees */

/* Fills `position` from sequence and change, in this life of the engine. */
enum err event_place(struct event *event, uint64_t epoch) MUST_CHECK;
/* Bytes that it keeps alive, about. */
size_t event_size(const struct event *event);

/*
 * Who wants what: a counted table of (database, collection) pairs. Pairs that share a slot are
 * wanted together, so the answer "yes" may be wrong, "no" never is.
 */
struct interest;
enum err interest_new(uint64_t seed, struct interest **ret_interest) MUST_CHECK;
void interest_free(struct interest *interest);
void interest_add(struct interest *interest, struct bytes database, struct bytes collection);
void interest_remove(struct interest *interest, struct bytes database, struct bytes collection);
bool interest_has(const struct interest *interest, struct bytes database, struct bytes collection);

/*
 * Which members of documents anybody looks at, of the first level and of any collection, by a bit
 * for each name. Names share bits, so more may be read than is asked for. MEMBERS: all of them.
 */
#define EVENT_MEMBERS 64U
unsigned event_member_bit(struct bytes name); /* below EVENT_MEMBERS */
void interest_add_member(struct interest *interest, unsigned bit);
void interest_remove_member(struct interest *interest, unsigned bit);
uint64_t interest_members(const struct interest *interest);

#endif
