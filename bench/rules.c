/*
 * The file is read whole and every line looked through, so that one that is wrong is told with its
 * number and what would be right.
 */
#include "rules.h"
#include "value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define RULES_JSON_DEPTH_MAX 100

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
	if (err != OK) {
		return err;
	}
	for (size_t i = 0; i < 3; i++) {
		if (!members[i].value) {
			return err_set(info, ERR_CORRUPT, 0,
				"\"%s\" is missing, expected {\"field\",\"op\",\"value\"}",
				members[i].name);
		}
	}
	*ret_filter = (struct model_filter){.field = value_text(members[0].value),
		.op = value_text(members[1].value),
		.value = members[2].value};
	return OK;
}

static enum err take_filters(struct rules *rules, const struct value *list, struct err_info *info,
	struct model_subscription *subscription)
{
	struct model_filter *filters =
		arena_alloc(&rules->arena, (list->size + 1) * sizeof(*filters));
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

static enum err make_rule(struct rules *rules, const struct value *root, struct err_info *info,
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
	if (err != OK) {
		return err;
	}
	if (!members[COLLECTION].value) {
		return err_set(info, ERR_CORRUPT, 0,
			"\"collection\" is missing, expected the name of a collection");
	}
	if (!members[ID].value || members[ID].value->size == 0) {
		return err_set(info, ERR_CORRUPT, 0,
			"\"id\" is missing, expected a text of its own for each rule");
	}
	*ret_subscription = (struct model_subscription){.id = value_text(members[ID].value),
		.database = text_or(members[DATABASE].value, "default"),
		.collection = value_text(members[COLLECTION].value),
		.expression = text_or(members[EXPRESSION].value, "")};
	return members[FILTERS].value
		? take_filters(rules, members[FILTERS].value, info, ret_subscription)
		: OK;
}

static enum err take_rule(void *ctx, const struct line *line, struct err_info *info)
{
	struct rules *rules = ctx;
	const struct value *root = NULL;
	struct rule rule = {.line = line->number};
	enum err err = json_parse(line->text, RULES_JSON_DEPTH_MAX, &rules->arena, &root, info);
	err = err == OK ? make_rule(rules, root, info, &rule.subscription) : err;
	if (err == OK) {
		err = lines_make_room(
			(void **)&rules->items, &rules->capacity, rules->count, sizeof(rule));
	}
	if (err == OK) {
		rules->items[rules->count++] = rule;
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

static enum err check_ids(struct rules *rules, struct err_info *info)
{
	enum err err = OK;
	qsort(rules->items, rules->count, sizeof(*rules->items), by_id);
	for (size_t i = 1; err == OK && i < rules->count; i++) {
		const struct rule *rule = &rules->items[i];
		struct bytes id = rule->subscription.id;
		if (bytes_equal(id, rule[-1].subscription.id)) {
			id.size = id.size < 60 ? id.size : 60;
			id.size = bytes_utf8_prefix(id);
			err = err_set(info, ERR_CORRUPT, 0,
				"%s: line %" PRIu64 ": the id \"%.*s\" is that of line %" PRIu64
				", expected one of its own for each rule",
				rules->path, rule->line, BYTES_FORMAT(id), rule[-1].line);
		}
	}
	qsort(rules->items, rules->count, sizeof(*rules->items), by_line);
	return err;
}

enum err rules_open(const char *path, struct err_info *info, struct rules *ret_rules)
{
	struct rules rules = {.path = path};
	enum err err = lines_read(path, info, &rules.text);
	if (err == OK) {
		err = lines_take(path, buffer_bytes(&rules.text), take_rule, &rules, info);
	}
	if (err == OK && rules.count == 0) {
		err = err_set(info, ERR_INVALID, 0, "%s has no rules, expected one a line", path);
	}
	if (err == OK) {
		err = check_ids(&rules, info);
	}
	if (err != OK) {
		rules_close(&rules);
		return err == ERR_MEMORY ? err_set(info, err, 0, "%s", err_text(err)) : err;
	}
	*ret_rules = rules;
	return OK;
}

void rules_close(struct rules *rules)
{
	arena_fini(&rules->arena);
	buffer_fini(&rules->text);
	mem_free(rules->items);
}
