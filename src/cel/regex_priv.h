/* A compiled pattern, for the functions that use one. */
#ifndef CEL_REGEX_PRIV_H
#define CEL_REGEX_PRIV_H

#include "re2_priv.h"
#include "run_priv.h"

/* For one use: without a list of patterns. The errors of cel_regex_get. */
enum err cel_regex_new(struct bytes pattern, uint32_t regex_bytes, struct err_info *info,
	struct cel_regex **ret_regex) MUST_CHECK;
void cel_regex_free(struct cel_regex *regex);

uint32_t cel_regex_groups(const struct cel_regex *regex); /* that capture */

/* Of searching `size` bytes, at worst: with a pattern that RE2 can only simulate. */
uint64_t cel_regex_steps(const struct cel_regex *regex, size_t size);

/* The steps of compiling a pattern: before, and when it is known what came of it. */
uint64_t cel_regex_price(struct bytes pattern);
uint64_t cel_regex_program(const struct cel_regex *regex);
size_t cel_regex_bytes(const struct cel_regex *regex); /* of memory, RE2's included, about */

/* The leftmost match from `start` on: OK, ERR_NOT_FOUND or ERR_MEMORY. `count` is at most 10. */
enum err cel_regex_find(const struct cel_regex *regex, struct bytes text, size_t start,
	struct re2_span *ret_spans, size_t count) MUST_CHECK;

#endif
