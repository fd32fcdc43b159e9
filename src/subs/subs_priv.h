/*
 * What the files of subs share:
 *   id        an id as it is kept: sixteen bytes if it is a UUID
 *   holder    who stands behind a query for one stream: a subscription alone, or a group of several
 *   database  how many subscriptions each has
 *   refusal   what a subscribe is answered that is not accepted
 */
#ifndef SUBS_PRIV_H
#define SUBS_PRIV_H

#include "subs.h"

/* ---- ids (id.c) ---- */

#define SUBS_UUID_BYTES 16

/* An id and the form in which it is kept: packed if it is a UUID in its usual form. */
struct subs_id {
	struct bytes text;
	bool is_uuid;
	unsigned char uuid[SUBS_UUID_BYTES];
};

void subs_id_read(struct bytes text, struct subs_id *ret_id);
/* As it goes out: SUBS_OWN_BYTES at `place`. */
void subs_id_write_uuid(const unsigned char uuid[SUBS_UUID_BYTES], char *place);

/* ---- holders (holders.c) ---- */

enum subs_kind { SUBS_ALONE, SUBS_MEMBER, SUBS_GROUP };

/* First in a subscription and in a group. */
struct subs_holder {
	struct subs_stream *stream;
	union {
		struct match_query *query;
		struct subs_group *group; /* a member's, which holds the query for it */
	} of;
	uint32_t index; /* in the query's fan */
	uint8_t kind;   /* enum subs_kind */
	bool is_open;   /* takes another id of the same stream */
	bool is_mapped;
	bool is_uuid : 1; /* a subscription's id */
	bool is_bare : 1; /* wants no document */
};

struct subs_subscription {
	struct subs_holder holder;
	char id[]; /* a UUID, or struct subs_text */
};

struct subs_text {
	uint32_t size;  /* of the id */
	char encoded[]; /* as in a run */
};

/* Ids encoded one behind the other, as they go out, so that delivering them is a copy. */
struct subs_group {
	struct subs_holder holder;
	char *ids;
	uint32_t size, capacity; /* of the ids */
	uint32_t count;
};

struct subs_stream {
	void *handle;     /* NULL: it has been freed, and waits to be swept */
	uint64_t number;  /* part of a key, never used again */
	struct map by_id; /* of subs_subscription */
	size_t residuals; /* queries of open holders that are some */
	struct subs_stream *next_freed;
};

struct subs {
	struct subs_limits limits;
	uint64_t seed;
	struct match *match;
	struct metrics *metrics;
	struct pool pool;     /* of subscriptions and groups */
	struct map holders;   /* those open of crowded queries, by stream and query */
	struct map databases; /* struct subs_database */
	size_t count;
	size_t bytes;              /* as subs_bytes has it */
	struct subs_stream *freed; /* not swept yet */
	uint64_t next_stream_number;
	char text[400];
	struct match_refusal refusal;
};

extern const struct map_type subs_id_type, subs_holder_type;

struct match_query *subs_query_of(const struct subs_subscription *subscription);

/* The one that takes another such id of the stream's for the query; NULL: there is none. */
struct subs_holder *subs_find_open(const struct subs *subs, const struct subs_stream *stream,
	struct match_query *query, bool is_bare);
/* Whether there is one, with the document or without. */
bool subs_has_open(
	const struct subs *subs, const struct subs_stream *stream, struct match_query *query);
/* A subscription that stands behind the query, but is not among its stream's yet. */
enum err subs_join(struct subs *subs, struct subs_stream *stream, struct match_query *query,
	const struct subs_id *id, bool is_bare,
	struct subs_subscription **ret_subscription) MUST_CHECK;
/* Frees it. A freed stream's is not taken out of its run, which nobody reads any more. */
void subs_leave(struct subs *subs, struct subs_subscription *subscription);

/* ---- how many subscriptions each database has (databases.c) ---- */

extern const struct map_type subs_database_type;

size_t subs_database_count(const struct map *databases, struct bytes name);
/* One more, or one fewer. */
enum err subs_database_enter(struct map *databases, struct bytes name) MUST_CHECK;
void subs_database_leave(struct map *databases, struct bytes name);

/* ---- refusals (refusals.c) ---- */

/* The answer's texts, `text` among them, must stay until the next call. */
void subs_refuse(struct subs *subs, struct model_answer *answer, enum model_refusal refusal,
	const char *text);
/* Whether one of the limits is reached that need no look at the request. */
bool subs_refuse_by_limit(struct subs *subs, const struct subs_stream *stream,
	struct bytes database, struct model_answer *answer);
void subs_refuse_filters(struct subs *subs, struct model_answer *answer, enum model_refusal refusal,
	const char *text);
void subs_refuse_query(struct subs *subs, struct model_answer *answer); /* by subs->refusal */

#endif
