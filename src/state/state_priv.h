/*
 * What an engine leaves for its next life, in a folder of its own: where to ask the Puller to begin
 * so that the histories come again, and how far had been routed. Written aside, made durable and
 * renamed, so that whenever the process is killed the file is whole, the old one or the new.
 */
#ifndef STATE_PRIV_H
#define STATE_PRIV_H

#include "base.h"
#include "model.h"

struct state_file; /* the folder, and a lock on it */

struct state_left {
	struct buffer marker;
	char position[MODEL_POSITION_SIZE];
	bool has_position;
	bool is_at_marker;   /* see struct ingest_legacy */
	int64_t followed_us; /* when the source was followed last; wall clock */
};
void state_left_fini(struct state_left *legacy);
bool state_left_equal(
	const struct state_left *a, const struct state_left *b); /* but for the time */

/* Makes the folder if there is none. ERR_EXISTS: another process has it; ERR_IO; `info` says. */
enum err state_file_open(
	const char *folder, struct err_info *info, struct state_file **ret_state) MUST_CHECK;
void state_file_free(struct state_file *state); /* NULL is fine */
/*
 * What the last life has left. ERR_EMPTY: nothing; ERR_CORRUPT: no such file, or a newer version's,
 * `info` says; ERR_IO, ERR_MEMORY.
 */
enum err state_file_read(const struct state_file *state, struct state_left *ret_legacy,
	struct err_info *info) MUST_CHECK;
/* Blocks until it is on disk. Any thread, one at a time. */
enum err state_file_write(const struct state_file *state, const struct state_left *legacy,
	struct err_info *info) MUST_CHECK;

#endif
