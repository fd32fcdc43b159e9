/*
 * Other people's rules and changes. Both files are read whole and looked through before anything is
 * measured, so that a line that is wrong is told with its number and what would be right.
 */
#include "matching.h"
#include "matching_priv.h"
#include "rules.h"

#include <inttypes.h>

#define MEASURED_LEAST 10000 /* few changes are matched again and again */

struct files {
	struct rules rules;
	const char *events_path;
	struct buffer events_text;
	struct line *events;
	size_t events_count, events_capacity;
};

/* ---- changes --------------------------------------------------------------------------------- */

static enum err take_event(void *ctx, const struct line *line, struct err_info *info)
{
	struct files *files = ctx;
	struct arena scratch = {0};
	struct model_change change;
	bool is_change = false;
	const struct matching_line written = {line->text, line->number};
	enum err err = matching_change_parse(&written, &scratch, info, &change, &is_change);
	arena_fini(&scratch);
	if (err == OK && is_change) {
		err = lines_make_room((void **)&files->events, &files->events_capacity,
			files->events_count, sizeof(*line));
		if (err == OK) {
			files->events[files->events_count++] = *line;
		}
	}
	return err;
}

/* ---- the source ------------------------------------------------------------------------------ */

static enum err give_subscription(void *ctx, uint64_t index, struct err_info *info,
	struct model_subscription *ret_subscription)
{
	const struct files *files = ctx;
	(void)info;
	*ret_subscription = files->rules.items[index].subscription;
	return OK;
}

static enum err give_change(
	void *ctx, uint64_t number, struct err_info *info, struct matching_line *ret_line)
{
	const struct files *files = ctx;
	const struct line *line = &files->events[number % files->events_count];
	(void)info;
	*ret_line = (struct matching_line){line->text, line->number};
	return OK;
}

static void name_place(void *ctx, uint64_t index, char *ret_text, size_t size)
{
	const struct files *files = ctx;
	(void)snprintf(ret_text, size, "%s: line %" PRIu64, files->rules.path,
		files->rules.items[index].line);
}

static void free_files(void *ctx)
{
	struct files *files = ctx;
	rules_close(&files->rules);
	buffer_fini(&files->events_text);
	mem_free(files->events);
	mem_free(files);
}

static enum err read_events(struct files *files, struct err_info *info)
{
	const char *path = files->events_path;
	enum err err = lines_read(path, info, &files->events_text);
	if (err == OK) {
		err = lines_take(path, buffer_bytes(&files->events_text), take_event, files, info);
	}
	if (err == OK && files->events_count == 0) {
		err = err_set(info, ERR_INVALID, 0, "%s has no changes, expected one a line",
			files->events_path);
	}
	return err;
}

enum err matching_files_open(const char *rules_path, const char *events_path, struct err_info *info,
	struct matching_source *ret_source)
{
	struct files *files = mem_calloc(1, sizeof(*files));
	if (!files) {
		return err_set(info, ERR_MEMORY, 0, "%s", err_text(ERR_MEMORY));
	}
	files->events_path = events_path;
	enum err err = rules_open(rules_path, info, &files->rules);
	err = err == OK ? read_events(files, info) : err;
	if (err != OK) {
		free_files(files);
		return err == ERR_MEMORY ? err_set(info, err, 0, "%s", err_text(err)) : err;
	}
	uint64_t events = files->events_count;
	*ret_source = (struct matching_source){.name = "files",
		.subscriptions = files->rules.count,
		.events = events,
		.measured = events > MEASURED_LEAST ? events : MEASURED_LEAST,
		.ctx = files,
		.subscription = give_subscription,
		.change = give_change,
		.place = name_place,
		.free = free_files};
	return OK;
}
