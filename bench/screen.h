/*
 * screen: what the demonstration says, coloured on a terminal and plain elsewhere.
 * Owns: scratch memory.
 * Threads: one.
 * Errors: none; what cannot be written is lost.
 * Invariant: nothing that came from a document reaches a terminal as a control character.
 */
#ifndef SCREEN_H
#define SCREEN_H

#include "base.h"
#include "measure.h"
#include "streamer.h"

struct screen {
	bool has_color;
	struct arena arena;
};

struct screen_figures {
	int64_t seconds;
	uint64_t sent, matched, delivered;
	const struct histogram *latency_ns;
};

void screen_init(struct screen *screen);
void screen_fini(struct screen *screen);
/* What will be seen: three lines, and one for each watcher. */
void screen_explain(
	const struct screen *screen, int rate, const char *puller, const char *streamer);
void screen_delivery(struct screen *screen, size_t watcher, const struct streamer_item *item,
	int64_t latency_ns);
void screen_figures(const struct screen *screen, const struct screen_figures *figures);
struct screen_watcher {
	uint64_t received, expected;
	bool in_order;
};
void screen_summary(const struct screen *screen, const struct screen_figures *figures,
	const struct screen_watcher *watchers, double streamer_cores);

#endif
