/*
 * Filters to a tree: data all the way, never text that is parsed again. Refusals begin as the
 * original's do and, behind "; ", say what would be right.
 */
#include "compile_priv.h"

#include <stdio.h>
#include <string.h>

static const char *const operator_names[] = {
	[CEL_EQUAL] = "==",
	[CEL_NOT_EQUAL] = "!=",
	[CEL_LESS] = "<",
	[CEL_LESS_OR_EQUAL] = "<=",
	[CEL_GREATER] = ">",
	[CEL_GREATER_OR_EQUAL] = ">=",
	[CEL_IN] = "in",
	[CEL_CONTAINS] = "contains",
};

static bool find_operator(struct bytes op, enum cel_kind *ret_kind)
{
	for (int kind = CEL_EQUAL; kind <= CEL_CONTAINS; kind++) {
		if (bytes_equal(op, bytes_of(operator_names[kind]))) {
			*ret_kind = (enum cel_kind)kind;
			return true;
		}
	}
	return false;
}

static enum err refuse_operator(struct bytes op, struct err_info *info)
{
	static const char *const meant[][2] = {
		{"eq", "=="},
		{"=", "=="},
		{"===", "=="},
		{"ne", "!="},
		{"<>", "!="},
		{"!==", "!="},
		{"lt", "<"},
		{"lte", "<="},
		{"=<", "<="},
		{"gt", ">"},
		{"gte", ">="},
		{"=>", ">="},
		{"array-contains", "contains"},
	};
	const char *example = "==";
	for (size_t i = 0; i < sizeof(meant) / sizeof(meant[0]); i++) {
		if (bytes_equal(op, bytes_of(meant[i][0]))) {
			example = meant[i][1];
		}
	}
	/* Cut so that the advice is always there, and only between characters. */
	const size_t shown_max = 64;
	op.size = op.size < shown_max ? op.size : shown_max;
	op.size = bytes_utf8_prefix(op);
	return err_set(info, ERR_INVALID, 0,
		"unsupported operator: %.*s; use one of == != > >= < <= in contains, "
		"for example %s",
		BYTES_FORMAT(op), example);
}

static enum err check_value(const struct value *value, struct err_info *info)
{
	if (!value) {
		return err_set(info, ERR_INVALID, 0,
			"value is nil; give a string, a number, a boolean or a list of these");
	}
	const struct value *end = value_after(value);
	for (const struct value *cell = value; cell < end; cell++) {
		if (cell->kind == VALUE_NONE) {
			return err_set(info, ERR_INVALID, 0,
				"unsupported proto value type: <nil>; give a string, a number, "
				"a boolean or a list of these");
		}
	}
	return OK;
}

/*
 * What could never match because an id is a string is refused; in the original it silently becomes
 * the whole collection's or nobody's. `contains` could not match either.
 */
static enum err check_id(enum cel_kind kind, const struct value *value, struct err_info *info)
{
	if (kind == CEL_CONTAINS) {
		return err_set(info, ERR_INVALID, 0,
			"contains cannot be used with _id, which is a string; use == or in");
	}
	const struct value *first = kind == CEL_IN && value->kind == VALUE_LIST ? value + 1 : value;
	const struct value *end = value_after(value);
	for (const struct value *item = first; item < end; item = value_after(item)) {
		if (item->kind != VALUE_STRING) {
			return err_set(info, ERR_INVALID, 0,
				"_id cannot be compared with a value of kind %s; use a string%s",
				value_kind_name((enum value_kind)item->kind),
				kind == CEL_IN ? " in each place of the list" : "");
		}
	}
	return OK;
}

/* Every '.' parts two names, so "" is one name, and empty. */
static enum err split_field(struct arena *arena, struct bytes path, struct cel_field *ret_field)
{
	if (bytes_equal(path, bytes_of("_id"))) {
		*ret_field = (struct cel_field){.root = CEL_ID};
		return OK;
	}
	uint32_t count = 1;
	for (size_t i = 0; i < path.size && count <= CEL_PARTS_MAX; i++) {
		count += path.data[i] == '.'; /* one too many is enough to be refused */
	}
	struct bytes *parts = arena_alloc(arena, count * sizeof(*parts));
	if (!parts) {
		return ERR_MEMORY;
	}
	uint32_t part = 0;
	parts[0] = (struct bytes){path.data, 0};
	for (size_t i = 0; i < path.size && part < count; i++) {
		if (path.data[i] != '.') {
			parts[part].size++;
		} else if (++part < count) {
			parts[part] = (struct bytes){path.data + i + 1, 0};
		}
	}
	*ret_field = (struct cel_field){CEL_DOCUMENT, count, parts};
	return OK;
}

static enum err compile_filter(struct arena *arena, const struct model_filter *filter,
	struct err_info *info, const struct cel_node **ret_node)
{
	enum err err = check_value(filter->value, info);
	if (err != OK) {
		return err;
	}
	enum cel_kind kind = CEL_EQUAL;
	if (!find_operator(filter->op, &kind)) {
		return refuse_operator(filter->op, info);
	}
	struct cel_field field = {0};
	err = split_field(arena, filter->field, &field);
	const struct cel_node *node = NULL;
	if (err == OK) {
		err = cel_compare(arena, kind, &field, filter->value, info, &node);
	}
	if (err == OK && field.root == CEL_ID) {
		err = check_id(kind, filter->value, info);
	}
	if (err == OK) {
		*ret_node = node;
	}
	return err;
}

/* What was wrong and what would be right, which the text has in one. */
static void refuse_filter(
	const struct err_info *info, uint32_t number, struct match_refusal *ret_refusal)
{
	const char *advice = strstr(info->text, "; ");
	ret_refusal->code = MODEL_REFUSED_FILTER;
	ret_refusal->filter = number;
	(void)snprintf(ret_refusal->text, sizeof(ret_refusal->text), "%s", info->text);
	(void)snprintf(
		ret_refusal->hint, sizeof(ret_refusal->hint), "%s", advice ? advice + 2 : "");
}

enum err match_compile(struct arena *arena, const struct match_compiler *compiler,
	const struct model_subscription *subscription, struct match_refusal *ret_refusal,
	struct match_compiled *ret_compiled)
{
	size_t count = subscription->filters_count;
	if (count >= UINT32_MAX) {
		ret_refusal->code = MODEL_REFUSED_LIMIT;
		(void)snprintf(ret_refusal->text, sizeof(ret_refusal->text), "too many filters");
		return ERR_LIMIT;
	}
	const struct cel_node **nodes = arena_alloc(arena, (count + 1) * sizeof(const void *));
	if (!nodes) {
		return ERR_MEMORY;
	}
	for (size_t i = 0; i < count; i++) {
		struct err_info info = {0};
		enum err err = compile_filter(arena, &subscription->filters[i], &info, &nodes[i]);
		if (err == ERR_INVALID) {
			refuse_filter(&info, (uint32_t)(i + 1), ret_refusal);
		}
		if (err != OK) {
			return err;
		}
	}
	struct match_compiled compiled = {0};
	enum err err = OK;
	if (subscription->expression.size > 0) {
		err = match_compile_expression(arena, compiler, subscription->expression,
			ret_refusal, &compiled.expression);
		nodes[count++] = compiled.expression;
	}
	if (err == OK) {
		err = cel_join(arena, CEL_AND, nodes, count, &compiled.tree);
	}
	if (err == OK) {
		err = cel_normalise(arena, compiled.tree, &compiled.tree);
	}
	if (err == OK) {
		*ret_compiled = compiled;
	} else if (compiled.expression) {
		cel_release(compiled.expression);
	}
	return err;
}
