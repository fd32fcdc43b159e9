/*
 * matching: what matching costs, measured over the modules alone: made-up workloads, or anybody's
 * rules and changes.
 * Owns: what it loads, until matching_run returns; a source owns what it gives.
 * Threads: one, the caller's.
 * Errors: with text: in which line of which file, or which subscription; ERR_INVALID and
 * ERR_CORRUPT are mistakes of whoever wrote the file. Invariant: everything follows from (workload,
 * subscriptions, seed), so a workload can be written down and read again.
 */
#ifndef MATCHING_H
#define MATCHING_H

#include "base.h"
#include "model.h"

#include <stdio.h>

/* ---- what is matched ------------------------------------------------------------------------- */

/* A change as a line of JSON (see wire.h), and the line's number in its file. */
struct matching_line {
	struct bytes text;
	uint64_t ordinal;
};

/* Subscriptions and changes by their number. What is given is valid until the next call. */
struct matching_source {
	const char *name;
	uint64_t subscriptions;
	uint64_t events; /* changes, numbered from 0; beyond the last it begins again, or goes on */
	uint64_t measured; /* how many of them are measured */
	bool copies_ids; /* the ids that matched are copied into send buffers, and that is timed */
	void *ctx;
	enum err (*subscription)(void *ctx, uint64_t index, struct err_info *info,
		struct model_subscription *ret_subscription);
	enum err (*change)(
		void *ctx, uint64_t number, struct err_info *info, struct matching_line *ret_line);
	/* Which line of its file a subscription stands in, for messages; NULL: it has none. */
	void (*place)(void *ctx, uint64_t index, char *ret_text, size_t size);
	/* Distinct predicates of all subscriptions; NULL: of no interest. */
	enum err (*count_parts)(void *ctx, uint64_t *ret_count);
	void (*free)(void *ctx);
};
void matching_source_free(struct matching_source *source);

/* A made-up one. See docs/BENCHMARKS.md for what each is. */
struct matching_shape {
	uint64_t subscriptions, events, seed;
};
/* Names in the order in which they are run; NULL behind the last. */
const char *matching_workload_name(size_t index);
const char *matching_workload_text(size_t index); /* what it is, in a few words */
enum err matching_workload_open(const char *name, const struct matching_shape *shape,
	struct err_info *info, struct matching_source *ret_source) MUST_CHECK; /* ERR_NOT_FOUND */

/* Rules ({"id","database","collection","filters","expression"} a line) and changes, of files. */
enum err matching_files_open(const char *rules_path, const char *events_path, struct err_info *info,
	struct matching_source *ret_source) MUST_CHECK;

/* A source as such files. NULL: that one is not wanted. */
enum err matching_files_write(const struct matching_source *source, const char *rules_path,
	const char *events_path, struct err_info *info) MUST_CHECK;

/* ---- measuring ------------------------------------------------------------------------------- */

struct matching_options {
	uint64_t seed;
	bool verifies;    /* every result against a look at every subscription */
	bool trusts_json; /* of a document only what subscriptions look at is read */
	bool is_busy;     /* other processes take their share: the processor's time is measured */
	FILE *complain;   /* where differences are told */
	/* May be NULL: an event and a subscription that matched. */
	enum err (*matched)(void *ctx, struct bytes event_id, struct bytes subscription_id);
	void (*progress)(void *ctx, const char *what, uint64_t done, uint64_t of); /* may be NULL */
	void *ctx;
};

struct matching_result {
	uint64_t subscriptions, events;
	double match_ns, read_and_match_ns; /* an event */
	double matches;                     /* subscriptions that matched an event */
	double allocated_bytes;             /* a subscription: what the allocator has given out */
	double resident_bytes;              /* a subscription: what the process has grown by */
	double subscribe_ns, unsubscribe_ns;
	double longest_pause_us;
	double found;       /* queries that the index found for an event */
	double candidates;  /* of them those that were evaluated */
	uint64_t queries;   /* distinct */
	uint64_t parts;     /* distinct predicates; 0: not counted */
	uint64_t compared;  /* pairs of an event and a subscription that were verified */
	uint64_t different; /* of them */
};
enum err matching_run(const struct matching_source *source, const struct matching_options *options,
	struct err_info *info, struct matching_result *ret_result) MUST_CHECK;

#endif
