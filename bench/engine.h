/*
 * engine: what reading and matching cost in this process, without connections: the modules alone.
 * Owns: nothing behind its call.
 * Threads: its caller's.
 * Errors: with text; a wrong number of matches is an error.
 * Invariant: documents are fresh and warm, as they are behind ingest; the queries are not.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include "base.h"

enum engine_kind {
	ENGINE_EQUALITY, /* key == "...": found in the index, and one holds for each event */
	ENGINE_RANGE,    /* rank > N: looked at one by one, and none holds */
};

struct engine_result {
	double read_ns;  /* an event: scanning, reading and encoding its document */
	double match_ns; /* an event */
};
enum err engine_run(enum engine_kind kind, uint32_t subscriptions, uint64_t events,
	struct err_info *info, struct engine_result *ret_result) MUST_CHECK;

#endif
