/*
 * Calls that are macros, known by name, style and number of arguments. With another number a call
 * is an ordinary one, which there may or may not be.
 */
#include "parse_priv.h"

#include <stdio.h>

static const struct macro {
	const char *name;
	uint8_t arguments;
	uint8_t macro;
	uint8_t variables;
	bool is_of_cel; /* cel.bind(...), not range.bind(...) */
} macros[] = {
	{"all", 2, MACRO_ALL, 1, false},
	{"all", 3, MACRO_ALL, 2, false},
	{"exists", 2, MACRO_EXISTS, 1, false},
	{"exists", 3, MACRO_EXISTS, 2, false},
	{"exists_one", 2, MACRO_EXISTS_ONE, 1, false},
	{"exists_one", 3, MACRO_EXISTS_ONE, 2, false},
	{"existsOne", 2, MACRO_EXISTS_ONE, 1, false},
	{"existsOne", 3, MACRO_EXISTS_ONE, 2, false},
	{"filter", 2, MACRO_FILTER, 1, false},
	{"map", 2, MACRO_MAP, 1, false},
	{"map", 3, MACRO_MAP, 1, false},
	{"transformList", 3, MACRO_TRANSFORM_LIST, 2, false},
	{"transformList", 4, MACRO_TRANSFORM_LIST, 2, false},
	{"transformMap", 3, MACRO_TRANSFORM_MAP, 2, false},
	{"transformMap", 4, MACRO_TRANSFORM_MAP, 2, false},
	{"transformMapEntry", 3, MACRO_TRANSFORM_MAP_ENTRY, 2, false},
	{"transformMapEntry", 4, MACRO_TRANSFORM_MAP_ENTRY, 2, false},
	{"sortBy", 2, MACRO_SORT_BY, 1, false},
	{"optMap", 2, MACRO_OPT_MAP, 1, false},
	{"optFlatMap", 2, MACRO_OPT_FLAT_MAP, 1, false},
	{"bind", 3, MACRO_BIND, 1, true},
};

const char *cel_macro_name(enum expr_macro macro)
{
	for (size_t i = 0; i < sizeof(macros) / sizeof(macros[0]); i++) {
		if (macros[i].macro == macro) {
			return macros[i].name;
		}
	}
	return "";
}

static bool is_cel(const struct cel_expression *receiver)
{
	return receiver->kind == EXPR_NAME && !receiver->is_rooted &&
		bytes_equal(receiver->text, bytes_of("cel"));
}

static const struct macro *find_macro(const struct cel_expression *call)
{
	bool of_cel = is_cel(call->children[0]);
	for (size_t i = 0; i < sizeof(macros) / sizeof(macros[0]); i++) {
		if (macros[i].arguments == call->children_count - 1 &&
			macros[i].is_of_cel == of_cel &&
			bytes_equal(call->text, bytes_of(macros[i].name))) {
			return &macros[i];
		}
	}
	return NULL;
}

/* ---- variables ---- */

static enum err take_variable(
	struct parser *parser, const struct cel_expression *argument, struct bytes *ret_name)
{
	if (argument->kind == EXPR_NAME && !argument->is_rooted) {
		*ret_name = argument->text;
		return OK;
	}
	enum err err =
		cel_wrong(parser, argument->offset, "the variable of a macro must be a plain name");
	cel_advise(parser->problem, "for example items.exists(x, x > 1)");
	return err;
}

static enum err take_variables(struct parser *parser, const struct macro *macro,
	struct cel_expression *const *arguments, struct bytes ret_names[2])
{
	enum err err = OK;
	for (uint8_t i = 0; err == OK && i < macro->variables; i++) {
		err = take_variable(parser, arguments[i], &ret_names[i]);
	}
	if (err == OK && macro->variables == 2 && bytes_equal(ret_names[0], ret_names[1])) {
		err = cel_wrong(parser, arguments[1]->offset,
			"both variables of this macro are called '%.*s'",
			BYTES_FORMAT(ret_names[0]));
	}
	return err;
}

/* ---- macros ---- */

static bool goes_round(const struct macro *macro)
{
	return macro->macro != MACRO_BIND && macro->macro != MACRO_OPT_MAP &&
		macro->macro != MACRO_OPT_FLAT_MAP;
}

/* What goes round within the macro; the range is walked, but stands outside. */
static uint32_t loops_of(const struct macro *macro, const struct cel_expression *node)
{
	uint32_t loops = 0;
	for (uint32_t i = 0; i < node->children_count; i++) {
		uint32_t inner = node->children[i]->loops + (i > 0 && goes_round(macro));
		loops = inner > loops ? inner : loops;
	}
	return loops;
}

static enum err expand(struct parser *parser, const struct macro *macro,
	const struct cel_expression *call, struct cel_expression **ret_node)
{
	struct cel_expression node = {.kind = EXPR_MACRO,
		.macro = macro->macro,
		.offset = call->offset,
		.variables_count = macro->variables};
	struct cel_expression *const *arguments = call->children + 1;
	enum err err = OK;
	struct cel_expression *children[4];
	size_t count = 0;
	if (!macro->is_of_cel) {
		children[count++] = call->children[0];
		err = take_variables(parser, macro, arguments, node.variables);
	} else {
		err = take_variable(parser, arguments[0], &node.variables[0]);
	}
	if (err != OK) {
		return err;
	}
	for (uint32_t i = macro->variables; i < macro->arguments; i++) {
		children[count++] = arguments[i];
	}
	struct cel_expression *made = NULL;
	err = cel_make_node(parser, &node, children, count, &made);
	if (err != OK) {
		return err;
	}
	made->loops = loops_of(macro, made);
	if (made->loops > parser->limits->comprehensions) {
		return cel_too_large(parser, call->offset, "nesting of macros",
			parser->limits->comprehensions, "one within the other");
	}
	*ret_node = made;
	return OK;
}

/* has(e.f): the selection itself, asked for. */
static enum err expand_has(
	struct parser *parser, const struct cel_expression *call, struct cel_expression **ret_node)
{
	struct cel_expression *selection = call->children[0];
	if (selection->kind != EXPR_SELECT) {
		enum err err = cel_wrong(
			parser, selection->offset, "has() asks for a field: has(x.field)");
		cel_advise(parser->problem,
			selection->kind == EXPR_NAME
				? "write has(doc.%.*s)"
				: "for a key that is no name: \"%.*skey\" in x",
			BYTES_FORMAT(selection->kind == EXPR_NAME ? selection->text
								  : (struct bytes){0}));
		return err;
	}
	selection->kind = EXPR_HAS;
	*ret_node = selection;
	return OK;
}

/* ---- what an optimiser writes: cel.block, cel.index, cel.iterVar, cel.accuVar ---- */

static bool is_small_int(const struct cel_expression *node)
{
	return node->kind == EXPR_LITERAL && node->literal.type == CEL_INT &&
		node->literal.as.integer >= 0 && node->literal.as.integer < 10000;
}

static enum err name_by_numbers(struct parser *parser, struct cel_expression *call,
	const char *prefix, struct cel_expression **ret_node)
{
	struct buffer name = {0};
	enum err err = buffer_append_text(&name, prefix);
	for (uint32_t i = 1; err == OK && i < call->children_count; i++) {
		if (!is_small_int(call->children[i])) {
			err = cel_wrong(
				parser, call->children[i]->offset, "this must be a small number");
			break;
		}
		err = buffer_printf(&name, ":%d", (int)call->children[i]->literal.as.integer);
	}
	struct bytes text = {0};
	if (err == OK) {
		text = arena_copy(parser->arena, buffer_bytes(&name));
		err = text.data ? OK : ERR_MEMORY;
	}
	buffer_fini(&name);
	if (err == OK) {
		call->kind = EXPR_NAME;
		call->text = text;
		call->children_count = 0;
		call->is_member = false;
		*ret_node = call;
	}
	return err;
}

/* cel.block([e0, e1], f): each e is bound around f, and may use those before it. */
static enum err expand_block(
	struct parser *parser, const struct cel_expression *call, struct cel_expression **ret_node)
{
	const struct cel_expression *list = call->children[1];
	struct cel_expression *body = call->children[2];
	if (list->kind != EXPR_LIST) {
		return cel_wrong(parser, list->offset, "cel.block takes a list, written here");
	}
	enum err err = OK;
	for (uint32_t i = list->children_count; err == OK && i-- > 0;) {
		if (list->children[i]->is_optional_item) {
			return cel_wrong(parser, list->children[i]->offset,
				"an item of cel.block cannot be optional");
		}
		char name[24];
		int size = snprintf(name, sizeof(name), "@index:%u", (unsigned)i);
		struct cel_expression node = {.kind = EXPR_MACRO,
			.macro = MACRO_BIND,
			.offset = call->offset,
			.variables_count = 1};
		node.variables[0] = arena_copy(parser->arena, (struct bytes){name, (size_t)size});
		struct cel_expression *const children[] = {list->children[i], body};
		err = node.variables[0].data ? cel_make_node(parser, &node, children, 2, &body)
					     : ERR_MEMORY;
	}
	if (err == OK) {
		*ret_node = body;
	}
	return err;
}

enum err cel_expand_macro(
	struct parser *parser, struct cel_expression *call, struct cel_expression **ret_node)
{
	*ret_node = call;
	if (!call->is_member) {
		bool is_has = call->children_count == 1 && !call->is_rooted &&
			bytes_equal(call->text, bytes_of("has"));
		return is_has ? expand_has(parser, call, ret_node) : OK;
	}
	if (is_cel(call->children[0])) {
		if (call->children_count == 3 && bytes_equal(call->text, bytes_of("block"))) {
			return expand_block(parser, call, ret_node);
		}
		if (call->children_count == 2 && bytes_equal(call->text, bytes_of("index"))) {
			return name_by_numbers(parser, call, "@index", ret_node);
		}
		if (call->children_count == 3 && bytes_equal(call->text, bytes_of("iterVar"))) {
			return name_by_numbers(parser, call, "@iterVar", ret_node);
		}
		if (call->children_count == 3 && bytes_equal(call->text, bytes_of("accuVar"))) {
			return name_by_numbers(parser, call, "@accuVar", ret_node);
		}
	}
	const struct macro *macro = find_macro(call);
	return macro ? expand(parser, macro, call, ret_node) : OK;
}
