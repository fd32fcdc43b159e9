/*
 * Types of all nodes, from the leaves to the root. DYN is what may be anything; an expression is
 * refused only where no value could make it work, and not at all if the scope is lenient.
 */
#include "types_priv.h"

#include <stdio.h>

const struct expr_type cel_simple_types[] = {
#define SIMPLE(type) [type] = {type, {NULL, NULL}}
	SIMPLE(CEL_ERROR),
	SIMPLE(CEL_NULL),
	SIMPLE(CEL_BOOL),
	SIMPLE(CEL_INT),
	SIMPLE(CEL_UINT),
	SIMPLE(CEL_DOUBLE),
	SIMPLE(CEL_STRING),
	SIMPLE(CEL_BYTES),
	SIMPLE(CEL_LIST),
	SIMPLE(CEL_MAP),
	SIMPLE(CEL_TIMESTAMP),
	SIMPLE(CEL_DURATION),
	SIMPLE(CEL_TYPE),
	SIMPLE(CEL_OPTIONAL),
	SIMPLE(CEL_IP),
	SIMPLE(CEL_CIDR),
	SIMPLE(CEL_DYN),
#undef SIMPLE
};

const struct expr_type *cel_make_type(struct deducer *deducer, enum cel_type type,
	const struct expr_type *first, const struct expr_type *second)
{
	struct expr_type *made = arena_alloc(deducer->arena, sizeof(*made));
	if (made) {
		*made = (struct expr_type){type, {first, second}};
	}
	return made;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as types are, at most as deep as the expression */
static bool same_type(const struct expr_type *a, const struct expr_type *b)
{
	return a == b ||
		(a->type == b->type && same_type(parameter_of(a, 0), parameter_of(b, 0)) &&
			same_type(parameter_of(a, 1), parameter_of(b, 1)));
}

const struct expr_type *cel_join_types(const struct expr_type *a, const struct expr_type *b)
{
	if (!a || same_type(a, b)) {
		return b;
	}
	return a->type == b->type ? &cel_simple_types[a->type] : &cel_simple_types[CEL_DYN];
}

static enum err refuse(struct deducer *deducer, const struct cel_expression *node, const char *text,
	const char *hint)
{
	if (deducer->scope->is_lenient) {
		return OK;
	}
	enum err err = cel_refuse(
		deducer->problem, deducer->root->source, node->offset, CEL_TYPES, "%s", text);
	if (hint) {
		cel_advise(deducer->problem, "%s", hint);
	}
	return err;
}

static enum err refuse_operands(
	struct deducer *deducer, const struct cel_expression *node, const char *hint)
{
	char text[160] = "";
	size_t size = 0;
	for (uint32_t i = 0; i < node->children_count && size < sizeof(text); i++) {
		int more = snprintf(text + size, sizeof(text) - size, "%s%s", i > 0 ? ", " : "",
			cel_type_name(node->children[i]->type->type));
		size += more > 0 ? (size_t)more : 0;
	}
	char all[200];
	(void)snprintf(all, sizeof(all), "'%s' does not work for (%s)",
		cel_operator_text((enum expr_operator)node->operation), text);
	return refuse(deducer, node, all, hint);
}

/* ---- operators ---- */

static enum err check_bools(struct deducer *deducer, const struct cel_expression *node)
{
	for (uint32_t i = 0; i < node->children_count; i++) {
		const struct cel_expression *child = node->children[i];
		if (!may_be(child->type, CEL_BOOL)) {
			char text[120];
			(void)snprintf(text, sizeof(text), "'%s' needs a bool, this is of type %s",
				cel_operator_text((enum expr_operator)node->operation),
				cel_type_name(child->type->type));
			return refuse(deducer, child, text, "compare it with something");
		}
	}
	return OK;
}

static bool is_ordered(enum cel_type type)
{
	return is_number(type) || type == CEL_BOOL || type == CEL_STRING || type == CEL_BYTES ||
		type == CEL_TIMESTAMP || type == CEL_DURATION || type == CEL_DYN;
}

static bool meet(enum cel_type a, enum cel_type b)
{
	return a == b || a == CEL_DYN || b == CEL_DYN || (is_number(a) && is_number(b));
}

static bool may_be_equal(enum cel_type a, enum cel_type b)
{
	return meet(a, b) || a == CEL_NULL || b == CEL_NULL;
}

static enum err check_equal(struct deducer *deducer, const struct cel_expression *node)
{
	if (may_be_equal(node->children[0]->type->type, node->children[1]->type->type)) {
		return OK;
	}
	return refuse_operands(deducer, node,
		"values of different types are never equal; convert one, for example string(x)");
}

static enum err check_order(struct deducer *deducer, const struct cel_expression *node)
{
	enum cel_type a = node->children[0]->type->type;
	enum cel_type b = node->children[1]->type->type;
	if (is_ordered(a) && is_ordered(b) && meet(a, b)) {
		return OK;
	}
	return refuse_operands(deducer, node,
		"an order needs two numbers, strings, booleans, bytes, timestamps or durations");
}

/* Whether a value of this type may be among the items, or the keys; of a list that is written out
 * one by one. */
static bool may_hold(const struct cel_expression *collection, enum cel_type type)
{
	if (collection->kind != EXPR_LIST || collection->children_count == 0) {
		return may_be_equal(type, parameter_of(collection->type, 0)->type);
	}
	bool may = false;
	for (uint32_t i = 0; i < collection->children_count; i++) {
		const struct cel_expression *item = collection->children[i];
		may = may || item->is_optional_item || may_be_equal(type, item->type->type);
	}
	return may;
}

static enum err check_in(struct deducer *deducer, const struct cel_expression *node)
{
	const struct cel_expression *right = node->children[1];
	bool is_collection = may_be(right->type, CEL_LIST) || may_be(right->type, CEL_MAP);
	if (is_collection && may_hold(right, node->children[0]->type->type)) {
		return OK;
	}
	const char *hint = "'in' needs a list or a map on its right, for example x in [\"a\"]";
	if (is_collection) {
		hint = "what it holds is all of other types, and never equal; convert one side, "
		       "for example string(x)";
	} else if (right->type->type == CEL_STRING) {
		hint = "for a part of a text write text.contains(part)";
	}
	return refuse_operands(deducer, node, hint);
}

/* Every sum, difference, product, quotient and remainder there is. */
static const struct {
	uint8_t operation, a, b, result;
} arithmetic[] = {
	{OP_ADD, CEL_INT, CEL_INT, CEL_INT},
	{OP_ADD, CEL_UINT, CEL_UINT, CEL_UINT},
	{OP_ADD, CEL_DOUBLE, CEL_DOUBLE, CEL_DOUBLE},
	{OP_ADD, CEL_STRING, CEL_STRING, CEL_STRING},
	{OP_ADD, CEL_BYTES, CEL_BYTES, CEL_BYTES},
	{OP_ADD, CEL_LIST, CEL_LIST, CEL_LIST},
	{OP_ADD, CEL_TIMESTAMP, CEL_DURATION, CEL_TIMESTAMP},
	{OP_ADD, CEL_DURATION, CEL_TIMESTAMP, CEL_TIMESTAMP},
	{OP_ADD, CEL_DURATION, CEL_DURATION, CEL_DURATION},
	{OP_SUBTRACT, CEL_INT, CEL_INT, CEL_INT},
	{OP_SUBTRACT, CEL_UINT, CEL_UINT, CEL_UINT},
	{OP_SUBTRACT, CEL_DOUBLE, CEL_DOUBLE, CEL_DOUBLE},
	{OP_SUBTRACT, CEL_TIMESTAMP, CEL_TIMESTAMP, CEL_DURATION},
	{OP_SUBTRACT, CEL_TIMESTAMP, CEL_DURATION, CEL_TIMESTAMP},
	{OP_SUBTRACT, CEL_DURATION, CEL_DURATION, CEL_DURATION},
	{OP_MULTIPLY, CEL_INT, CEL_INT, CEL_INT},
	{OP_MULTIPLY, CEL_UINT, CEL_UINT, CEL_UINT},
	{OP_MULTIPLY, CEL_DOUBLE, CEL_DOUBLE, CEL_DOUBLE},
	{OP_DIVIDE, CEL_INT, CEL_INT, CEL_INT},
	{OP_DIVIDE, CEL_UINT, CEL_UINT, CEL_UINT},
	{OP_DIVIDE, CEL_DOUBLE, CEL_DOUBLE, CEL_DOUBLE},
	{OP_MODULO, CEL_INT, CEL_INT, CEL_INT},
	{OP_MODULO, CEL_UINT, CEL_UINT, CEL_UINT},
};

static enum err deduce_arithmetic(struct deducer *deducer, const struct cel_expression *node,
	const struct expr_type **ret_type)
{
	const struct expr_type *a = node->children[0]->type;
	const struct expr_type *b = node->children[1]->type;
	const struct expr_type *result = NULL;
	for (size_t i = 0; i < sizeof(arithmetic) / sizeof(arithmetic[0]); i++) {
		if (arithmetic[i].operation == node->operation &&
			may_be(a, (enum cel_type)arithmetic[i].a) &&
			may_be(b, (enum cel_type)arithmetic[i].b)) {
			result = cel_join_types(result, &cel_simple_types[arithmetic[i].result]);
		}
	}
	if (!result) {
		*ret_type = &cel_simple_types[CEL_DYN];
		bool are_numbers = is_number(a->type) && is_number(b->type) && a->type != b->type;
		return refuse_operands(deducer, node,
			are_numbers
				? "both sides must be of one type; write 1.0, double(x) or int(x)"
				: NULL);
	}
	*ret_type = result->type == CEL_LIST ? cel_join_types(a, b) : result;
	return OK;
}

static enum err deduce_negate(struct deducer *deducer, const struct cel_expression *node,
	const struct expr_type **ret_type)
{
	const struct expr_type *operand = node->children[0]->type;
	*ret_type = operand;
	return may_be(operand, CEL_INT) || operand->type == CEL_DOUBLE
		? OK
		: refuse_operands(deducer, node, "only int and double have a negative");
}

static enum err deduce_conditional(struct deducer *deducer, const struct cel_expression *node,
	const struct expr_type **ret_type)
{
	const struct cel_expression *condition = node->children[0];
	*ret_type = cel_join_types(node->children[1]->type, node->children[2]->type);
	return may_be(condition->type, CEL_BOOL)
		? OK
		: refuse(deducer, condition, "the condition of '?' is not a bool",
			  "compare it with something");
}

static enum err deduce_operator(struct deducer *deducer, const struct cel_expression *node,
	const struct expr_type **ret_type)
{
	*ret_type = &cel_simple_types[CEL_BOOL];
	switch ((enum expr_operator)node->operation) {
	case OP_CONDITIONAL:
		return deduce_conditional(deducer, node, ret_type);
	case OP_OR:
	case OP_AND:
	case OP_NOT:
		return check_bools(deducer, node);
	case OP_EQUAL:
	case OP_NOT_EQUAL:
		return check_equal(deducer, node);
	case OP_LESS:
	case OP_LESS_OR_EQUAL:
	case OP_GREATER:
	case OP_GREATER_OR_EQUAL:
		return check_order(deducer, node);
	case OP_IN:
		return check_in(deducer, node);
	case OP_NEGATE:
		return deduce_negate(deducer, node, ret_type);
	case OP_ADD:
	case OP_SUBTRACT:
	case OP_MULTIPLY:
	case OP_DIVIDE:
	case OP_MODULO:
		break;
	}
	return deduce_arithmetic(deducer, node, ret_type);
}

/* ---- members and items ---- */

/* What `operand` is without the optional around it. */
static const struct expr_type *inside_optional(const struct expr_type *operand)
{
	return operand->type == CEL_OPTIONAL ? parameter_of(operand, 0) : operand;
}

/* The type of a member or an item found in `operand`; optional where a `?` or an optional is. */
static enum err found_type(struct deducer *deducer, const struct cel_expression *node,
	const struct expr_type *found, const struct expr_type **ret_type)
{
	bool is_optional = node->is_optional || node->children[0]->type->type == CEL_OPTIONAL;
	*ret_type = is_optional ? cel_make_type(deducer, CEL_OPTIONAL, found, NULL) : found;
	return *ret_type ? OK : ERR_MEMORY;
}

static enum err deduce_select(struct deducer *deducer, const struct cel_expression *node,
	const struct expr_type **ret_type)
{
	const struct expr_type *operand = inside_optional(node->children[0]->type);
	if (!may_be(operand, CEL_MAP)) {
		char text[120];
		(void)snprintf(text, sizeof(text), "a value of type %s has no fields",
			cel_type_name(operand->type));
		enum err err = refuse(deducer, node, text,
			is_number(operand->type) ? "a double is written 1.0 or 1.0e3" : NULL);
		if (err != OK) {
			return err;
		}
	}
	if (node->kind == EXPR_HAS) {
		*ret_type = &cel_simple_types[CEL_BOOL];
		return OK;
	}
	return found_type(deducer, node,
		operand->type == CEL_MAP ? parameter_of(operand, 1) : &cel_simple_types[CEL_DYN],
		ret_type);
}

static enum err deduce_index(struct deducer *deducer, const struct cel_expression *node,
	const struct expr_type **ret_type)
{
	const struct expr_type *operand = inside_optional(node->children[0]->type);
	const struct cel_expression *index = node->children[1];
	enum cel_type type = index->type->type;
	bool fits = type == CEL_DYN || is_number(type) ||
		(operand->type != CEL_LIST && (type == CEL_STRING || type == CEL_BOOL));
	enum err err = OK;
	if (!may_be(operand, CEL_LIST) && !may_be(operand, CEL_MAP)) {
		err = refuse(deducer, node, "only lists and maps have items", NULL);
	} else if (!fits) {
		err = refuse(deducer, index,
			operand->type == CEL_LIST ? "an index of a list must be a number"
						  : "this cannot be an index or a key",
			NULL);
	}
	if (err != OK) {
		return err;
	}
	const struct expr_type *found = &cel_simple_types[CEL_DYN];
	if (operand->type == CEL_LIST || operand->type == CEL_MAP) {
		found = parameter_of(operand, operand->type == CEL_MAP);
	}
	return found_type(deducer, node, found, ret_type);
}

static enum err deduce_list(struct deducer *deducer, const struct cel_expression *node,
	const struct expr_type **ret_type)
{
	const struct expr_type *items = NULL;
	for (uint32_t i = 0; i < node->children_count; i++) {
		const struct cel_expression *child = node->children[i];
		items = cel_join_types(items,
			child->is_optional_item ? inside_optional(child->type) : child->type);
	}
	*ret_type = cel_make_type(deducer, CEL_LIST, items, NULL);
	return *ret_type ? OK : ERR_MEMORY;
}

static enum err deduce_map(struct deducer *deducer, const struct cel_expression *node,
	const struct expr_type **ret_type)
{
	const struct expr_type *keys = NULL;
	const struct expr_type *values = NULL;
	for (uint32_t i = 0; i + 1 < node->children_count; i += 2) {
		const struct cel_expression *key = node->children[i];
		const struct expr_type *value = node->children[i + 1]->type;
		enum cel_type type = key->type->type;
		if (type != CEL_DYN && type != CEL_STRING && type != CEL_BOOL && type != CEL_INT &&
			type != CEL_UINT) {
			enum err err = refuse(deducer, key,
				"a key must be a string, an int, a uint or a bool", NULL);
			if (err != OK) {
				return err;
			}
		}
		keys = cel_join_types(keys, key->type);
		values = cel_join_types(
			values, key->is_optional_item ? inside_optional(value) : value);
	}
	*ret_type = cel_make_type(deducer, CEL_MAP, keys, values);
	return *ret_type ? OK : ERR_MEMORY;
}

/* ---- macros ---- */

/* The types of a macro's variables, from that of its range. */
static void set_locals(struct deducer *deducer, const struct cel_expression *macro)
{
	const struct expr_type *range = macro->children[0]->type;
	const struct expr_type *first = &cel_simple_types[CEL_DYN];
	const struct expr_type *second = first;
	switch ((enum expr_macro)macro->macro) {
	case MACRO_BIND:
		first = range;
		break;
	case MACRO_OPT_MAP:
	case MACRO_OPT_FLAT_MAP:
		first = parameter_of(range, 0);
		break;
	case MACRO_ALL:
	case MACRO_EXISTS:
	case MACRO_EXISTS_ONE:
	case MACRO_FILTER:
	case MACRO_MAP:
	case MACRO_SORT_BY:
	case MACRO_TRANSFORM_LIST:
	case MACRO_TRANSFORM_MAP:
	case MACRO_TRANSFORM_MAP_ENTRY:
		if (range->type == CEL_LIST && macro->variables_count == 2) {
			first = &cel_simple_types[CEL_INT];
			second = parameter_of(range, 0);
		} else if (range->type == CEL_LIST || range->type == CEL_MAP) {
			first = parameter_of(range, 0);
			second = parameter_of(range, 1);
		}
		break;
	}
	deducer->locals[macro->index] = first;
	if (macro->variables_count > 1) {
		deducer->locals[macro->index + 1] = second;
	}
}

static enum err check_range(struct deducer *deducer, const struct cel_expression *macro)
{
	const struct expr_type *range = macro->children[0]->type;
	bool is_right = may_be(range, CEL_LIST) || may_be(range, CEL_MAP);
	const char *text = "this macro needs a list or a map";
	if (macro->macro == MACRO_BIND) {
		return OK;
	}
	if (macro->macro == MACRO_OPT_MAP || macro->macro == MACRO_OPT_FLAT_MAP) {
		is_right = may_be(range, CEL_OPTIONAL);
		text = "this macro needs an optional value";
	}
	return is_right ? OK : refuse(deducer, macro, text, NULL);
}

/* Whether children[1] must be a bool. */
static bool has_condition(const struct cel_expression *macro)
{
	bool is_one = macro->macro == MACRO_ALL || macro->macro == MACRO_EXISTS ||
		macro->macro == MACRO_EXISTS_ONE || macro->macro == MACRO_FILTER;
	return is_one || macro->children_count > 2;
}

static enum err macro_type(struct deducer *deducer, const struct cel_expression *macro,
	const struct expr_type **ret_type)
{
	const struct cel_expression *last = macro->children[macro->children_count - 1];
	const struct expr_type *range = macro->children[0]->type;
	const struct expr_type *body = last->type;
	const struct expr_type *key =
		macro->variables_count > 1 ? deducer->locals[macro->index] : NULL;
	const struct expr_type *type = &cel_simple_types[CEL_BOOL];
	switch ((enum expr_macro)macro->macro) {
	case MACRO_ALL:
	case MACRO_EXISTS:
	case MACRO_EXISTS_ONE:
		break;
	case MACRO_FILTER:
		type = cel_make_type(deducer, CEL_LIST, deducer->locals[macro->index], NULL);
		break;
	case MACRO_MAP:
	case MACRO_TRANSFORM_LIST:
		type = cel_make_type(deducer, CEL_LIST, body, NULL);
		break;
	case MACRO_TRANSFORM_MAP:
		type = cel_make_type(deducer, CEL_MAP, key, body);
		break;
	case MACRO_TRANSFORM_MAP_ENTRY:
		type = body;
		break;
	case MACRO_SORT_BY:
		type = range;
		break;
	case MACRO_BIND:
		type = body;
		break;
	case MACRO_OPT_MAP:
		type = cel_make_type(deducer, CEL_OPTIONAL, body, NULL);
		break;
	case MACRO_OPT_FLAT_MAP:
		type = body;
		break;
	}
	*ret_type = type;
	return type ? OK : ERR_MEMORY;
}

static enum err deduce(struct deducer *deducer, struct cel_expression *node);

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err deduce_macro(
	struct deducer *deducer, struct cel_expression *macro, const struct expr_type **ret_type)
{
	enum err err = deduce(deducer, macro->children[0]);
	if (err == OK) {
		err = check_range(deducer, macro);
	}
	if (err == OK) {
		set_locals(deducer, macro);
	}
	for (uint32_t i = 1; err == OK && i < macro->children_count; i++) {
		err = deduce(deducer, macro->children[i]);
	}
	const struct cel_expression *condition = macro->children[1];
	if (err == OK && has_condition(macro) && !may_be(condition->type, CEL_BOOL)) {
		err = refuse(deducer, condition, "the condition of this macro is not a bool",
			"compare it with something");
	}
	return err == OK ? macro_type(deducer, macro, ret_type) : err;
}

/* ---- the walk ---- */

static const struct expr_type *literal_type(const struct cel_expression *node)
{
	return &cel_simple_types[node->literal.type];
}

static enum err deduce_parent(struct deducer *deducer, const struct cel_expression *node,
	const struct expr_type **ret_type)
{
	switch (node->kind) {
	case EXPR_LITERAL:
		*ret_type = literal_type(node);
		return OK;
	case EXPR_NAME: /* known to nobody: the scope is lenient */
		*ret_type = &cel_simple_types[CEL_DYN];
		return OK;
	case EXPR_SLOT:
		*ret_type = &cel_simple_types[deducer->scope->variables[node->index].type];
		return OK;
	case EXPR_LOCAL:
		*ret_type = deducer->locals[node->index];
		return OK;
	case EXPR_SELECT:
	case EXPR_HAS:
		return deduce_select(deducer, node, ret_type);
	case EXPR_INDEX:
		return deduce_index(deducer, node, ret_type);
	case EXPR_OPERATOR:
		return deduce_operator(deducer, node, ret_type);
	case EXPR_CALL:
		return cel_deduce_call(deducer, node, ret_type);
	case EXPR_LIST:
		return deduce_list(deducer, node, ret_type);
	case EXPR_MAP:
		return deduce_map(deducer, node, ret_type);
	case EXPR_MESSAGE:
	case EXPR_MACRO:
		break;
	}
	check(node->kind == EXPR_MESSAGE);
	*ret_type = &cel_simple_types[CEL_DYN];
	return refuse(deducer, node, "there are no messages here",
		"documents are maps: write {\"field\": value}");
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err deduce(struct deducer *deducer, struct cel_expression *node)
{
	const struct expr_type *type = NULL;
	enum err err = OK;
	if (node->kind == EXPR_MACRO) {
		err = deduce_macro(deducer, node, &type);
	} else {
		for (uint32_t i = 0; err == OK && i < node->children_count; i++) {
			err = deduce(deducer, node->children[i]);
		}
		if (err == OK) {
			err = deduce_parent(deducer, node, &type);
		}
	}
	if (err == OK) {
		node->type = type;
		node->source = deducer->root->source; /* a part can be compiled by itself */
		node->locals_count = deducer->root->locals_count;
	}
	return err;
}

enum err cel_deduce(struct arena *arena, struct cel_expression *root, const struct cel_scope *scope,
	struct cel_problem *ret_problem)
{
	struct deducer deducer = {arena, scope, root, ret_problem, NULL};
	deducer.locals = arena_alloc(arena, root->locals_count * sizeof(const void *));
	return deducer.locals ? deduce(&deducer, root) : ERR_MEMORY;
}

/* ---- in words ---- */

/* NOLINTNEXTLINE(misc-no-recursion): as deep as types are, at most as deep as the expression */
static enum err print_type(struct buffer *buffer, const struct expr_type *type)
{
	enum err err = buffer_append_text(buffer, cel_type_name(type->type));
	int count =
		type->type == CEL_MAP ? 2 : type->type == CEL_LIST || type->type == CEL_OPTIONAL;
	for (int i = 0; err == OK && i < count; i++) {
		err = buffer_append_text(buffer, i > 0 ? ", " : "(");
		if (err == OK) {
			err = print_type(buffer, parameter_of(type, i));
		}
	}
	return err == OK && count > 0 ? buffer_append_text(buffer, ")") : err;
}

enum err cel_print_type(struct buffer *buffer, const struct cel_expression *expression)
{
	return print_type(buffer, expression->type);
}

enum cel_type cel_result_type(const struct cel_expression *expression)
{
	return expression->type->type;
}

const char *cel_type_name(enum cel_type type)
{
	static const char *const names[] = {
		[CEL_ERROR] = "error",
		[CEL_NULL] = "null_type",
		[CEL_BOOL] = "bool",
		[CEL_INT] = "int",
		[CEL_UINT] = "uint",
		[CEL_DOUBLE] = "double",
		[CEL_STRING] = "string",
		[CEL_BYTES] = "bytes",
		[CEL_LIST] = "list",
		[CEL_MAP] = "map",
		[CEL_TIMESTAMP] = "google.protobuf.Timestamp",
		[CEL_DURATION] = "google.protobuf.Duration",
		[CEL_TYPE] = "type",
		[CEL_OPTIONAL] = "optional_type",
		[CEL_IP] = "net.IP",
		[CEL_CIDR] = "net.CIDR",
		[CEL_DYN] = "dyn",
	};
	return names[type];
}
