/*
 * workload: the made-up collection of the measurements: which document change number n is, which
 * subscriptions the gateways hold, and so which of them must get it.
 * Owns: the text of one document.
 * Threads: the feed's makes documents; the questions may be asked by any thread.
 * Errors: none.
 * Invariant: everything follows from the shape and the number alone, so all sides agree.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include "base.h"
#include "model.h"

#define WORKLOAD_DOCUMENT_BYTES 400
#define WORKLOAD_KEY_SIZE 11 /* "k0000001234" */
#define WORKLOAD_ID_SIZE 36  /* as a UUID */
#define WORKLOAD_COLLECTION "items"

/* What an event is to the gateways. */
enum workload_reach {
	WORKLOAD_NOBODY, /* it matches nothing */
	WORKLOAD_ONE,    /* each gateway has keys of its own: one gets it */
	WORKLOAD_ALL,    /* the gateways have the same keys: all get it, once each */
};

/*
 * Each gateway has subscriptions / gateways subscriptions `key == "..."`, and one to a key of its
 * own kind: that of the last change of each phase, which all of them get. The phases are a warm-up
 * and what is measured.
 */
struct workload_shape {
	enum workload_reach reach;
	uint32_t subscriptions, gateways;
	uint32_t stalled;         /* the first gateways: they subscribe, and read nothing more */
	uint64_t warm_up, events; /* the last change included */
};

uint32_t workload_per_gateway(const struct workload_shape *shape);
bool workload_is_last(const struct workload_shape *shape, uint64_t number);
/* Subscription `index` of a gateway, up to workload_per_gateway: that one is the last change's. */
void workload_key(const struct workload_shape *shape, uint32_t gateway, uint32_t index,
	char ret_key[WORKLOAD_KEY_SIZE + 1]);
void workload_id(const struct workload_shape *shape, uint32_t gateway, uint32_t index,
	char ret_id[WORKLOAD_ID_SIZE + 1]);
/* Whether the gateway gets change `number`, and by which subscription. */
bool workload_reaches(
	const struct workload_shape *shape, uint32_t gateway, uint64_t number, uint32_t *ret_index);
double workload_deliveries_per_event(const struct workload_shape *shape);

/* A feed's generator; zeroed but for the shape at first. */
struct workload {
	struct workload_shape shape;
	char document[WORKLOAD_DOCUMENT_BYTES + 1];
	char store_id[48];
	char *number_place, *key_place, *id_place;
};
void workload_init(struct workload *workload, const struct workload_shape *shape);
enum err workload_next(void *ctx, uint64_t number, int64_t now_ms,
	struct model_change *change) MUST_CHECK; /* always OK */

#endif
