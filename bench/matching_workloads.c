/*
 * A workload as a source: what its generator makes becomes a subscription with an id of its own, or
 * the line of a change. A subscription's id and its document's id follow from its number.
 */
#include "matching.h"
#include "matching_make.h"

#include <string.h>

static const struct matching_workload *const lists[] = {
	matching_plain, matching_rules, matching_boolean};

static const struct matching_workload *workload_at(size_t index)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		const struct matching_workload *workload = lists[i];
		for (; workload->name; workload++, index--) {
			if (index == 0) {
				return workload;
			}
		}
	}
	return NULL;
}

const char *matching_workload_name(size_t index)
{
	const struct matching_workload *workload = workload_at(index);
	return workload ? workload->name : NULL;
}

const char *matching_workload_text(size_t index)
{
	return workload_at(index)->text;
}

/* ---- making ---------------------------------------------------------------------------------- */

static void begin(struct making *making, const char *kind, uint64_t number)
{
	uint64_t what = bytes_hash(bytes_of(making->workload->name), bytes_hash(bytes_of(kind), 0));
	making->random = making_mix(making_mix(making->seed, what), number);
	making->err = OK;
	making->text.size = 0;
	making->filters_count = 0;
	arena_reset(&making->arena);
}

static enum err give_subscription(void *ctx, uint64_t index, struct err_info *info,
	struct model_subscription *ret_subscription)
{
	struct making *making = ctx;
	begin(making, "subscription", index);
	making->workload->subscribe(making, index);
	making_uuid(making, "subscription", index, making->id);
	if (making->err != OK) {
		return err_set(info, making->err, 0, "%s", err_text(making->err));
	}
	*ret_subscription = (struct model_subscription){.id = bytes_of(making->id),
		.database = bytes_of("default"),
		.collection = bytes_of(making->workload->collection),
		.filters = making->filters,
		.filters_count = making->filters_count,
		.expression = buffer_bytes(&making->text)};
	return OK;
}

static enum err give_change(
	void *ctx, uint64_t number, struct err_info *info, struct matching_line *ret_line)
{
	struct making *making = ctx;
	begin(making, "change", number);
	bool is_watched = making->workload->has_watched_ids;
	uint64_t document =
		is_watched ? making_below(making, making->subscriptions) : making_next(making);
	making_uuid(making, "document", document, making->id);
	making_print(making,
		"{\"op\":\"%s\",\"database\":\"default\",\"collection\":\"%s\",\"id\":\"%s\","
		"\"data\":{",
		making_chance(making, 50) ? "insert" : "update", making->workload->collection,
		making->id);
	making->workload->fill(making, number);
	making_print(making, "}}");
	if (making->err != OK) {
		return err_set(info, making->err, 0, "%s", err_text(making->err));
	}
	*ret_line = (struct matching_line){buffer_bytes(&making->text), number + 1};
	return OK;
}

static enum err count_parts(void *ctx, uint64_t *ret_count)
{
	struct making *making = ctx;
	struct model_subscription subscription;
	enum err err = making_parts_new(&making->parts);
	for (uint64_t i = 0; err == OK && i < making->subscriptions; i++) {
		err = give_subscription(making, i, NULL, &subscription);
	}
	if (err == OK) {
		*ret_count = making_parts_count(making->parts);
	}
	making_parts_free(making->parts);
	making->parts = NULL;
	return err;
}

static void free_making(void *ctx)
{
	struct making *making = ctx;
	buffer_fini(&making->text);
	arena_fini(&making->arena);
	mem_free(making->zipf.sums);
	mem_free(making);
}

/* ---- opening --------------------------------------------------------------------------------- */

enum err matching_workload_open(const char *name, const struct matching_shape *shape,
	struct err_info *info, struct matching_source *ret_source)
{
	size_t index = 0;
	const struct matching_workload *workload = workload_at(0);
	while (workload && strcmp(workload->name, name) != 0) {
		workload = workload_at(++index);
	}
	if (!workload) {
		return err_set(info, ERR_NOT_FOUND, 0, "there is no workload %.60s", name);
	}
	struct making *making = mem_calloc(1, sizeof(*making));
	if (!making) {
		return err_set(info, ERR_MEMORY, 0, "%s", err_text(ERR_MEMORY));
	}
	making->workload = workload;
	making->seed = shape->seed;
	making->subscriptions = shape->subscriptions;
	if (workload->prepare) {
		workload->prepare(making);
	}
	if (making->err != OK) {
		free_making(making);
		return err_set(info, ERR_MEMORY, 0, "%s", err_text(ERR_MEMORY));
	}
	*ret_source = (struct matching_source){.name = workload->name,
		.subscriptions = shape->subscriptions,
		.events = shape->events,
		.measured = shape->events,
		.copies_ids = workload->copies_ids,
		.ctx = making,
		.subscription = give_subscription,
		.change = give_change,
		.count_parts = workload->counts_parts ? count_parts : NULL,
		.free = free_making};
	return OK;
}

void matching_source_free(struct matching_source *source)
{
	if (source->free) {
		source->free(source->ctx);
	}
	*source = (struct matching_source){0};
}
