/*
 * gateways: clients of a Streamer as lean as they can be, on one thread: each subscribes, then
 * looks at every delivery and at whether it was the next one that it should get. Owns: its loop,
 * its thread, its connections. Threads: opened and closed by one thread, which waits for the
 * descriptor. Errors: with text; the first thing that is wrong ends it all. Invariant: a phase is
 * reached only when every gateway got exactly what it should, in order; stalled ones are not asked.
 */
#ifndef GATEWAYS_H
#define GATEWAYS_H

#include "base.h"
#include "feed.h"
#include "measure.h"
#include "workload.h"

enum gateways_phase {
	GATEWAYS_CONNECTING,
	GATEWAYS_SUBSCRIBED, /* every subscription has been accepted */
	GATEWAYS_WARM,       /* the warm-up's last change has come */
	GATEWAYS_DONE,       /* the last one too */
	GATEWAYS_WRONG,
};

struct gateways;
/* What lies behind both pointers must outlive the gateways, which let the feed go on. */
enum err gateways_open(const struct workload_shape *shape, const char *address, struct feed *feed,
	struct err_info *info, struct gateways **ret_gateways) MUST_CHECK;
void gateways_close(struct gateways *gateways);   /* NULL is fine */
int gateways_fd(const struct gateways *gateways); /* readable: the phase may have changed */
/* With the text of what is WRONG. Clears the descriptor. */
enum gateways_phase gateways_phase(struct gateways *gateways, struct err_info *info);
/* When DONE: nanoseconds from the Puller's call to a gateway, of what was measured. */
const struct histogram *gateways_latency(const struct gateways *gateways);

#endif
