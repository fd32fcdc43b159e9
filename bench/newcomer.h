/*
 * newcomer: a gateway that registers very many subscriptions in bulk while others get their
 * deliveries, and leaves when all are there, once or again and again. What it asks for never
 * comes.
 * Owns: its loop, its thread, its connection.
 * Threads: opened, asked and closed by one thread.
 * Errors: with text; a subscription that is refused, and a stream that ends, are errors.
 */
#ifndef NEWCOMER_H
#define NEWCOMER_H

#include "base.h"

struct newcomer;
struct newcomer_options {
	uint32_t subscriptions;
	bool comes_again; /* as soon as it has left */
};
enum err newcomer_open(const char *address, const struct newcomer_options *options,
	struct err_info *info, struct newcomer **ret_newcomer) MUST_CHECK;
void newcomer_close(struct newcomer *newcomer); /* NULL is fine */
/* From its Hello to the last answer, when it came last; ERR_EMPTY as long as it has not left. */
enum err newcomer_result(
	const struct newcomer *newcomer, struct err_info *info, double *ret_seconds) MUST_CHECK;

#endif
