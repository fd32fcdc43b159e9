/*
 * path: one run of the whole path: our Puller, a Streamer process, our gateways.
 * Owns: everything that the run needs, and ends it all.
 * Threads: its caller's, besides those of the feed and the gateways.
 * Errors: with text; a run in which anything was lost, repeated or out of order is an error.
 * Invariant: what is measured lies between the warm-up's last delivery and the very last one.
 */
#ifndef PATH_H
#define PATH_H

#include "base.h"
#include "measure.h"
#include "workload.h"

struct path_result {
	double wall_s;
	double streamer_s; /* processor time of the Streamer process */
	double load_s;     /* and of this one: Puller and gateways */
	double joining_s;  /* what the gateway that comes takes to register */
	struct histogram latency_ns;
};

struct path_options {
	double rate;         /* changes a second; 0: as fast as it goes */
	uint32_t workers;    /* of the Streamer; 0: as many as it takes by itself */
	const char *program; /* as for child_start */
};
enum err path_run(const struct workload_shape *shape, const struct path_options *options,
	struct err_info *info, struct path_result *ret_result) MUST_CHECK;

#endif
