/*
 * Other people's rules and changes. Both files are read whole and looked through before anything is
 * measured, so that a line that is wrong is told with its number and what would be right.
 */
#include "matching.h"
#include "matching_priv.h"
#include "value.h"
#include "wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MEASURED_LEAST 10000 /* few changes are matched again and again */

/* A line of a file, or a rule. */
struct place {
	struct bytes text;
	uint64_t line; /* from 1 */
};
struct rule {
	struct model_subscription subscription;
	uint64_t line;
};

struct files {
	const char *rules_path;
	const char *events_path;
	struct buffer rules_text, events_text;
	struct arena arena; /* what the rules are made of */
	struct rule *rules;
	size_t rules_count, rules_capacity;
	struct place *events;
	size_t events_count, events_capacity;
};

/* ---- lines ----------------------------------------------------------------------------------- */

static enum err read_file(const char *path, struct err_info *info, struct buffer *text)
{
	FILE *file = fopen(path, "r");
	if (!file) {
		return err_set(info, ERR_IO, 0, "cannot open %s: %s", path, strerrordesc_np(errno));
	}
	enum err err = OK;
	size_t size = 1;
	while (err == OK && size > 0) {
		err = buffer_reserve(text, 65536);
		if (err == OK) {
			size = fread(text->data + text->size, 1, 65536, file);
			text->size += size;
		}
	}
	if (err == OK && ferror(file)) {
		err = err_set(info, ERR_IO, 0, "cannot read %s: %s", path, strerrordesc_np(errno));
	}
	(void)fclose(file);
	return err;
}

static bool is_blank(struct bytes line)
{
	for (size_t i = 0; i < line.size; i++) {
		if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r') {
			return false;
		}
	}
	return true;
}

typedef enum err (*take_fn)(struct files *files, const struct place *line, struct err_info *info);

/* Every line that is not blank; what is wrong with one gets its place in front. */
static enum err take_lines(struct files *files, const char *path, const struct buffer *text,
	take_fn take, struct err_info *info)
{
	struct bytes rest = buffer_bytes(text);
	enum err err = OK;
	for (uint64_t number = 1; err == OK && rest.size > 0; number++) {
		const char *end = memchr(rest.data, '\n', rest.size);
		size_t size = end ? (size_t)(end - rest.data) : rest.size;
		const struct place line = {{rest.data, size}, number};
		size_t taken = end ? size + 1 : size;
		rest = (struct bytes){rest.data + taken, rest.size - taken};
		struct err_info cause = {0};
		err = is_blank(line.text) ? OK : take(files, &line, &cause);
		if (err != OK) {
			err = err_set(info, err, 0, "%s: line %" PRIu64 ": %s", path, number,
				cause.text[0] ? cause.text : err_text(err));
		}
	}
	return err;
}

static enum err make_room(void **items, size_t *capacity, size_t count, size_t size)
{
	if (count < *capacity) {
		return OK;
	}
	size_t more = *capacity > 0 ? *capacity * 2 : 1024;
	void *larger = mem_realloc(*items, more * size);
	if (!larger) {
		return ERR_MEMORY;
	}
	*items = larger;
	*capacity = more;
	return OK;
}

/* ---- rules ----------------------------------------------------------------------------------- */

struct member {
	const char *name;
	enum value_kind kind;      /* NONE: any */
	const struct value *value; /* NULL: missing, or null */
};

static enum err expected_one_of(
	const struct member *members, size_t count, struct bytes name, struct err_info *info)
{
	char known[120] = "";
	size_t size = 0;
	for (size_t i = 0; i < count; i++) {
		size += (size_t)snprintf(
			known + size, sizeof(known) - size, " %s", members[i].name);
	}
	name.size = name.size < 40 ? name.size : 40;
	name.size = bytes_utf8_prefix(name);
	return err_set(info, ERR_CORRUPT, 0, "unknown member \"%.*s\", expected one of%s",
		BYTES_FORMAT(name), known);
}

/* The members of an object into their places. */
static enum err take_members(
	const struct value *object, struct member *members, size_t count, struct err_info *info)
{
	const struct value *end = value_after(object);
	for (const struct value *key = object + 1; key < end; key = value_after(key + 1)) {
		size_t i = 0;
		while (i < count && !bytes_equal(value_text(key), bytes_of(members[i].name))) {
			i++;
		}
		if (i == count) {
			return expected_one_of(members, count, value_text(key), info);
		}
		const struct value *value = key + 1;
		bool is_any = members[i].kind == VALUE_NONE;
		if (!is_any && value->kind != VALUE_NULL && value->kind != members[i].kind) {
			return err_set(info, ERR_CORRUPT, 0,
				"expected \"%s\" to be of kind %s, found %s", members[i].name,
				value_kind_name(members[i].kind),
				value_kind_name((enum value_kind)value->kind));
		}
		members[i].value = !is_any && value->kind == VALUE_NULL ? NULL : value;
	}
	return OK;
}

static enum err take_filter(
	const struct value *item, struct err_info *info, struct model_filter *ret_filter)
{
	struct member members[] = {{"field", VALUE_STRING, NULL}, {"op", VALUE_STRING, NULL},
		{"value", VALUE_NONE, NULL}};
	if (item->kind != VALUE_OBJECT) {
		return err_set(info, ERR_CORRUPT, 0,
			"expected {\"field\",\"op\",\"value\"}, found %s",
			value_kind_name((enum value_kind)item->kind));
	}
	enum err err = take_members(item, members, 3, info);
	for (size_t i = 0; err == OK && i < 3; i++) {
		if (!members[i].value) {
			err = err_set(info, ERR_CORRUPT, 0,
				"\"%s\" is missing, expected {\"field\",\"op\",\"value\"}",
				members[i].name);
		}
	}
	if (err == OK) {
		*ret_filter = (struct model_filter){.field = value_text(members[0].value),
			.op = value_text(members[1].value),
			.value = members[2].value};
	}
	return err;
}

static enum err take_filters(struct files *files, const struct value *list, struct err_info *info,
	struct model_subscription *subscription)
{
	struct model_filter *filters =
		arena_alloc(&files->arena, (list->size + 1) * sizeof(*filters));
	if (!filters) {
		return ERR_MEMORY;
	}
	const struct value *item = list + 1;
	enum err err = OK;
	for (uint32_t i = 0; err == OK && i < list->size; i++, item = value_after(item)) {
		struct err_info cause = {0};
		err = take_filter(item, &cause, &filters[i]);
		if (err != OK) {
			err = err_set(info, err, 0, "filter %u: %s", (unsigned)i + 1, cause.text);
		}
	}
	subscription->filters = filters;
	subscription->filters_count = list->size;
	return err;
}

static struct bytes text_or(const struct value *value, const char *otherwise)
{
	return value ? value_text(value) : bytes_of(otherwise);
}

static enum err make_rule(struct files *files, const struct value *root, struct err_info *info,
	struct model_subscription *ret_subscription)
{
	enum { ID, DATABASE, COLLECTION, FILTERS, EXPRESSION, MEMBERS };
	struct member members[MEMBERS] = {
		[ID] = {"id", VALUE_STRING, NULL},
		[DATABASE] = {"database", VALUE_STRING, NULL},
		[COLLECTION] = {"collection", VALUE_STRING, NULL},
		[FILTERS] = {"filters", VALUE_LIST, NULL},
		[EXPRESSION] = {"expression", VALUE_STRING, NULL},
	};
	if (root->kind != VALUE_OBJECT) {
		return err_set(info, ERR_CORRUPT, 0,
			"expected {\"id\",\"database\",\"collection\",\"filters\",\"expression\"}, "
			"found %s",
			value_kind_name((enum value_kind)root->kind));
	}
	enum err err = take_members(root, members, MEMBERS, info);
	if (err == OK && !members[COLLECTION].value) {
		err = err_set(info, ERR_CORRUPT, 0,
			"\"collection\" is missing, expected the name of a collection");
	}
	if (err == OK && text_or(members[ID].value, "").size == 0) {
		err = err_set(info, ERR_CORRUPT, 0,
			"\"id\" is missing, expected a text of its own for each rule");
	}
	if (err != OK) {
		return err;
	}
	*ret_subscription = (struct model_subscription){.id = value_text(members[ID].value),
		.database = text_or(members[DATABASE].value, "default"),
		.collection = value_text(members[COLLECTION].value),
		.expression = text_or(members[EXPRESSION].value, "")};
	return members[FILTERS].value
		? take_filters(files, members[FILTERS].value, info, ret_subscription)
		: OK;
}

static enum err take_rule(struct files *files, const struct place *line, struct err_info *info)
{
	const struct value *root = NULL;
	struct rule rule = {.line = line->line};
	enum err err = json_parse(line->text, MATCHING_JSON_DEPTH_MAX, &files->arena, &root, info);
	err = err == OK ? make_rule(files, root, info, &rule.subscription) : err;
	if (err == OK) {
		err = make_room((void **)&files->rules, &files->rules_capacity, files->rules_count,
			sizeof(rule));
	}
	if (err == OK) {
		files->rules[files->rules_count++] = rule;
	}
	return err;
}

static int by_id(const void *a, const void *b)
{
	const struct rule *x = a;
	const struct rule *y = b;
	int order = bytes_compare(x->subscription.id, y->subscription.id);
	return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

static int by_line(const void *a, const void *b)
{
	const struct rule *x = a;
	const struct rule *y = b;
	return (x->line > y->line) - (x->line < y->line);
}

static enum err check_ids(struct files *files, struct err_info *info)
{
	enum err err = OK;
	qsort(files->rules, files->rules_count, sizeof(*files->rules), by_id);
	for (size_t i = 1; err == OK && i < files->rules_count; i++) {
		const struct rule *rule = &files->rules[i];
		struct bytes id = rule->subscription.id;
		if (bytes_equal(id, rule[-1].subscription.id)) {
			id.size = id.size < 60 ? id.size : 60;
			id.size = bytes_utf8_prefix(id);
			err = err_set(info, ERR_CORRUPT, 0,
				"%s: line %" PRIu64 ": the id \"%.*s\" is that of line %" PRIu64
				", expected one of its own for each rule",
				files->rules_path, rule->line, BYTES_FORMAT(id), rule[-1].line);
		}
	}
	qsort(files->rules, files->rules_count, sizeof(*files->rules), by_line);
	return err;
}

/* ---- changes --------------------------------------------------------------------------------- */

static enum err take_event(struct files *files, const struct place *line, struct err_info *info)
{
	struct arena scratch = {0};
	struct model_change change;
	bool is_change = false;
	const struct matching_line written = {line->text, line->line};
	enum err err = matching_change_parse(&written, &scratch, info, &change, &is_change);
	arena_fini(&scratch);
	if (err == OK && is_change) {
		err = make_room((void **)&files->events, &files->events_capacity,
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
	*ret_subscription = files->rules[index].subscription;
	return OK;
}

static enum err give_change(
	void *ctx, uint64_t number, struct err_info *info, struct matching_line *ret_line)
{
	const struct files *files = ctx;
	const struct place *place = &files->events[number % files->events_count];
	(void)info;
	*ret_line = (struct matching_line){place->text, place->line};
	return OK;
}

static void name_place(void *ctx, uint64_t index, char *ret_text, size_t size)
{
	const struct files *files = ctx;
	(void)snprintf(
		ret_text, size, "%s: line %" PRIu64, files->rules_path, files->rules[index].line);
}

static void free_files(void *ctx)
{
	struct files *files = ctx;
	arena_fini(&files->arena);
	buffer_fini(&files->rules_text);
	buffer_fini(&files->events_text);
	mem_free(files->rules);
	mem_free(files->events);
	mem_free(files);
}

static enum err read_both(struct files *files, struct err_info *info)
{
	enum err err = read_file(files->rules_path, info, &files->rules_text);
	if (err == OK) {
		err = take_lines(files, files->rules_path, &files->rules_text, take_rule, info);
	}
	if (err == OK && files->rules_count == 0) {
		err = err_set(info, ERR_INVALID, 0, "%s has no rules, expected one a line",
			files->rules_path);
	}
	if (err == OK) {
		err = check_ids(files, info);
	}
	if (err == OK) {
		err = read_file(files->events_path, info, &files->events_text);
	}
	if (err == OK) {
		err = take_lines(files, files->events_path, &files->events_text, take_event, info);
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
	files->rules_path = rules_path;
	files->events_path = events_path;
	enum err err = read_both(files, info);
	if (err != OK) {
		free_files(files);
		return err == ERR_MEMORY ? err_set(info, err, 0, "%s", err_text(err)) : err;
	}
	uint64_t events = files->events_count;
	*ret_source = (struct matching_source){.name = "files",
		.subscriptions = files->rules_count,
		.events = events,
		.measured = events > MEASURED_LEAST ? events : MEASURED_LEAST,
		.ctx = files,
		.subscription = give_subscription,
		.change = give_change,
		.place = name_place,
		.free = free_files};
	return OK;
}
