/* A source as files that matching_files_open reads, and peers too. */
#include "matching.h"
#include "value.h"

#include <errno.h>
#include <string.h>

static enum err put_name(struct buffer *line, const char *name)
{
	bool is_first = line->data[line->size - 1] == '{';
	return buffer_printf(line, "%s\"%s\":", is_first ? "" : ",", name);
}

static enum err put_text(struct buffer *line, const char *name, struct bytes text)
{
	enum err err = put_name(line, name);
	return err == OK ? json_print_string(line, text) : err;
}

static enum err put_filter(struct buffer *line, const struct model_filter *filter, bool is_first)
{
	enum err err = buffer_append_text(line, is_first ? "{" : ",{");
	err = err == OK ? put_text(line, "field", filter->field) : err;
	err = err == OK ? put_text(line, "op", filter->op) : err;
	err = err == OK ? put_name(line, "value") : err;
	err = err == OK ? json_print(line, filter->value) : err;
	return err == OK ? buffer_append_text(line, "}") : err;
}

static enum err put_rule(struct buffer *line, const struct model_subscription *rule)
{
	enum err err = buffer_append_text(line, "{");
	err = err == OK ? put_text(line, "id", rule->id) : err;
	err = err == OK ? put_text(line, "database", rule->database) : err;
	err = err == OK ? put_text(line, "collection", rule->collection) : err;
	err = err == OK ? put_name(line, "filters") : err;
	err = err == OK ? buffer_append_text(line, "[") : err;
	for (size_t i = 0; err == OK && i < rule->filters_count; i++) {
		err = put_filter(line, &rule->filters[i], i == 0);
	}
	err = err == OK ? buffer_append_text(line, "]") : err;
	if (err == OK && rule->expression.size > 0) {
		err = put_text(line, "expression", rule->expression);
	}
	return err == OK ? buffer_append_text(line, "}") : err;
}

static enum err write_line(FILE *file, struct bytes line)
{
	bool is_written =
		fwrite(line.data, 1, line.size, file) == line.size && fputc('\n', file) != EOF;
	return is_written ? OK : ERR_IO;
}

static enum err write_rules(const struct matching_source *source, FILE *file, struct err_info *info)
{
	struct buffer line = {0};
	enum err err = OK;
	for (uint64_t i = 0; err == OK && i < source->subscriptions; i++) {
		struct model_subscription rule;
		line.size = 0;
		err = source->subscription(source->ctx, i, info, &rule);
		err = err == OK ? put_rule(&line, &rule) : err;
		err = err == OK ? write_line(file, buffer_bytes(&line)) : err;
	}
	buffer_fini(&line);
	return err;
}

static enum err write_events(
	const struct matching_source *source, FILE *file, struct err_info *info)
{
	enum err err = OK;
	for (uint64_t i = 0; err == OK && i < source->events; i++) {
		struct matching_line line;
		err = source->change(source->ctx, i, info, &line);
		err = err == OK ? write_line(file, line.text) : err;
	}
	return err;
}

typedef enum err (*write_fn)(
	const struct matching_source *source, FILE *file, struct err_info *info);

static enum err write_file(const struct matching_source *source, const char *path, write_fn write,
	struct err_info *info)
{
	if (!path) {
		return OK;
	}
	FILE *file = fopen(path, "w");
	if (!file) {
		return err_set(info, ERR_IO, 0, "cannot open %s: %s", path, strerrordesc_np(errno));
	}
	enum err err = write(source, file, info);
	bool is_closed = fclose(file) == 0;
	if (err == ERR_IO || !is_closed) {
		return err_set(
			info, ERR_IO, 0, "cannot write %s: %s", path, strerrordesc_np(errno));
	}
	return err;
}

enum err matching_files_write(const struct matching_source *source, const char *rules_path,
	const char *events_path, struct err_info *info)
{
	enum err err = write_file(source, rules_path, write_rules, info);
	return err == OK ? write_file(source, events_path, write_events, info) : err;
}
