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

/*
 * Each gateway has subscriptions / gateways subscriptions `key == "..."`, and one to a key of its
 * own kind: that of the last change of each phase, which all of them get. The phases are a warm-up
 * and what is measured.
 */
struct workload_shape {
	uint32_t subscriptions, gateways;
	/* Subscriptions that a change matches, of as many gateways as there are for them, as many
	 * of each; 0: it matches nothing. */
	uint32_t fan_out;
	uint32_t stalled; /* the first gateways: they subscribe, and read nothing more */
	uint32_t joining; /* subscriptions of one more gateway, which comes behind the warm-up,
			     registers them and leaves; none of them matches */
	bool churn;       /* it comes again and again */
	uint64_t warm_up, events; /* the last change included */
	/* Changes that are sent before the last gateway has what went before them, where it gets
	 * them all; 0: any number. */
	uint64_t ahead;
};

/* NULL, or what the numbers should be. */
const char *workload_problem(const struct workload_shape *shape);
uint32_t workload_per_gateway(const struct workload_shape *shape);
/* Of the subscriptions of one gateway those that a change matches, if any, side by side. */
uint32_t workload_ids_per_delivery(const struct workload_shape *shape);
bool workload_is_last(const struct workload_shape *shape, uint64_t number);
/* The number up to which changes may be sent when all before `number` have come. */
uint64_t workload_allowed(const struct workload_shape *shape, uint64_t number);
/* Subscription `index` of a gateway, up to workload_per_gateway: that one is the last change's. */
void workload_key(const struct workload_shape *shape, uint32_t gateway, uint32_t index,
	char ret_key[WORKLOAD_KEY_SIZE + 1]);
void workload_id(const struct workload_shape *shape, uint32_t gateway, uint32_t index,
	char ret_id[WORKLOAD_ID_SIZE + 1]);
/* The index of an id of the gateway's; a number that is none of its indexes for any other. */
uint32_t workload_index(const struct workload_shape *shape, uint32_t gateway, struct bytes id);
/* Whether the gateway gets change `number`, and by which subscriptions: the first, and how many. */
bool workload_reaches(const struct workload_shape *shape, uint32_t gateway, uint64_t number,
	uint32_t *ret_index, uint32_t *ret_count);
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
