/*
 * What an engine leaves for its next life, in a folder of its own: where to ask the Puller to begin
 * so that the histories come again, and how far had been routed. Written aside, made durable and
 * renamed, so that whenever the process is killed the file is whole, the old one or the new.
 */
#ifndef NODE_STATE_PRIV_H
#define NODE_STATE_PRIV_H

#include "base.h"
#include "model.h"

struct node_state; /* the folder, and a lock on it */

struct node_legacy {
	struct buffer marker;
	char position[MODEL_POSITION_SIZE];
	bool has_position;
	bool is_at_marker; /* see struct ingest_legacy */
	int64_t saved_us;  /* wall clock */
};
void node_legacy_fini(struct node_legacy *legacy);
bool node_legacy_equal(
	const struct node_legacy *a, const struct node_legacy *b); /* but for the time */

/* Makes the folder if there is none. ERR_EXISTS: another process has it; ERR_IO; `info` says. */
enum err node_state_open(
	const char *folder, struct err_info *info, struct node_state **ret_state) MUST_CHECK;
void node_state_free(struct node_state *state); /* NULL is fine */
/*
 * What the last life has left. ERR_EMPTY: nothing; ERR_CORRUPT: no such file, or a newer version's,
 * `info` says; ERR_IO, ERR_MEMORY.
 */
enum err node_state_read(const struct node_state *state, struct node_legacy *ret_legacy,
	struct err_info *info) MUST_CHECK;
/* Blocks until it is on disk. Any thread, one at a time. */
enum err node_state_write(const struct node_state *state, const struct node_legacy *legacy,
	struct err_info *info) MUST_CHECK;

#endif
