/* What the files of subs share. */
#ifndef SUBS_PRIV_H
#define SUBS_PRIV_H

#include "subs.h"

/* ---- the manager and its streams (subs.c) ---- */

struct subs_stream {
	void *handle;    /* NULL: it has been freed, and waits to be swept */
	uint64_t number; /* part of the keys, never used again */
	struct subs_group *groups;
	size_t count;     /* of subscriptions */
	size_t residuals; /* of open groups whose query is one */
	struct subs_stream *next_freed;
};

struct subs {
	struct subs_limits limits;
	struct match *match;
	struct metrics *metrics;
	struct map by_id;     /* struct subscription */
	struct map groups;    /* open struct subs_group of crowded queries, by stream and query */
	struct map databases; /* struct subs_database */
	size_t count;
	size_t bytes;              /* as subs_bytes has it */
	struct subs_stream *freed; /* not swept yet */
	uint64_t next_stream_number;
	char text[400];
	struct match_refusal refusal;
};

/* ---- how many subscriptions each database has (databases.c) ---- */

struct subs_database {
	size_t count; /* of subscriptions */
	size_t name_size;
	char name[];
};

extern const struct map_type subs_database_type;

size_t subs_database_count(const struct map *databases, struct bytes name);
/* Found, or made with a count of 0; that one wants to be counted or dropped. */
enum err subs_database_get(
	struct map *databases, struct bytes name, struct subs_database **ret_database) MUST_CHECK;
void subs_database_drop_if_empty(struct map *databases, struct subs_database *database);

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
