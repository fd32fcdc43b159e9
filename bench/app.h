/*
 * app: a made-up live application, a chat and a shop: its changes one by one, and who watches what.
 * Owns: the documents as they are now, and the text of the newest change.
 * Threads: one makes changes; app_expected may be asked by any.
 * Errors: ERR_MEMORY.
 * Invariant: what a watcher is to get is found by looking at the fields, not by any engine.
 */
#ifndef APP_H
#define APP_H

#include "base.h"
#include "model.h"
#include "streamer.h"

#define APP_WATCHERS 3
struct app_watcher {
	const char *name;
	const char *text; /* what it asks for, as a person would write it */
	struct streamer_subscription subscription;
};
extern const struct app_watcher app_watchers[APP_WATCHERS];

struct app;
enum err app_new(uint64_t seed, struct app **ret_app) MUST_CHECK;
void app_free(struct app *app);
/* A feed's generator: the application does something. */
enum err app_next(
	void *ctx, uint64_t number, int64_t now_ms, struct model_change *change) MUST_CHECK;
/* How many of the changes so far the watcher is to get. */
uint64_t app_expected(const struct app *app, size_t watcher);

#endif
