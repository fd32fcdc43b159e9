/*
 * From an expression to a tree. A comparison of a field with a constant becomes one, and so do
 * has() and startsWith(), as far as the tree's operators mean exactly the same; `&&`, `||`, `!`,
 * `==` and `!=` of conditions become joins; everything else is a program.
 */
#include "cel_priv.h"

#include "program_priv.h"

#include <math.h>

struct lowering {
	struct arena *arena;
	struct cel_regexes *regexes;
	const struct cel_limits *limits;
};

static enum err lower(struct lowering *lowering, const struct cel_expression *node,
	const struct cel_node **ret_node);

/* ---- fields ---- */

/* Slot 0 is the document; the variable _id stands for its id. */
static bool is_id(const struct cel_expression *node)
{
	return node->kind == EXPR_SLOT && bytes_equal(node->text, bytes_of("_id"));
}

/* doc["in"] is doc.in, where only maps have members by name. */
static bool is_member_by_text(const struct cel_expression *node)
{
	return node->kind == EXPR_INDEX && !node->is_optional &&
		node->children[1]->kind == EXPR_LITERAL &&
		node->children[1]->literal.type == CEL_STRING;
}

static bool is_member(const struct cel_expression *node)
{
	return (node->kind == EXPR_SELECT && !node->is_optional) || is_member_by_text(node);
}

static size_t count_parts(const struct cel_expression *node)
{
	size_t count = 0;
	for (; is_member(node); node = node->children[0]) {
		count++;
	}
	return node->kind == EXPR_SLOT && node->index == 0 ? count : 0;
}

static bool is_field(const struct cel_expression *node)
{
	size_t count = count_parts(node);
	return is_id(node) || (count > 0 && count <= CEL_PARTS_MAX);
}

static enum err make_field(
	struct lowering *lowering, const struct cel_expression *node, struct cel_field *ret_field)
{
	if (is_id(node)) {
		*ret_field = (struct cel_field){.root = CEL_ID};
		return OK;
	}
	size_t count = count_parts(node);
	struct bytes *parts = arena_alloc(lowering->arena, count * sizeof(*parts));
	if (!parts) {
		return ERR_MEMORY;
	}
	for (size_t i = count; i-- > 0; node = node->children[0]) {
		parts[i] = node->kind == EXPR_SELECT ? node->text
						     : cel_text(node->children[1]->literal);
	}
	*ret_field = (struct cel_field){CEL_DOCUMENT, (uint32_t)count, parts};
	return OK;
}

/* ---- constants ---- */

/* Only what a document has too, so that both compare alike. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static bool is_constant(const struct cel_expression *node)
{
	if (node->kind == EXPR_LITERAL) {
		enum cel_type type = (enum cel_type)node->literal.type;
		return type == CEL_NULL || type == CEL_BOOL || type == CEL_INT ||
			type == CEL_UINT || type == CEL_STRING ||
			(type == CEL_DOUBLE && isfinite(node->literal.as.real));
	}
	bool is_list = node->kind == EXPR_LIST;
	for (uint32_t i = 0; is_list && i < node->children_count; i++) {
		is_list = !node->children[i]->is_optional_item && is_constant(node->children[i]);
	}
	return is_list;
}

static struct value value_of(struct cel_value literal)
{
	struct value value = {.kind = VALUE_NULL};
	if (literal.type == CEL_BOOL) {
		return value_bool(literal.as.boolean);
	}
	if (literal.type == CEL_STRING) {
		return value_string(cel_text(literal));
	}
	if (literal.type == CEL_INT) {
		return value_int(literal.as.integer);
	}
	if (literal.type == CEL_UINT) {
		value.kind = VALUE_UINT;
		value.as.unsigned_integer = literal.as.unsigned_integer;
	} else if (literal.type == CEL_DOUBLE) {
		value.kind = VALUE_DOUBLE;
		value.as.real = literal.as.real;
	}
	return value;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err put_constant(struct tape *tape, const struct cel_expression *node)
{
	if (node->kind == EXPR_LITERAL) {
		return tape_push(tape, value_of(node->literal));
	}
	size_t place = 0;
	enum err err = tape_open(tape, VALUE_LIST, &place);
	for (uint32_t i = 0; err == OK && i < node->children_count; i++) {
		err = put_constant(tape, node->children[i]);
	}
	if (err == OK) {
		tape_close(tape, place, node->children_count);
	}
	return err;
}

static enum err make_constant(struct lowering *lowering, const struct cel_expression *node,
	const struct value **ret_value)
{
	struct tape tape = {0};
	enum err err = put_constant(&tape, node);
	if (err == OK) {
		err = tape_finish(&tape, lowering->arena, ret_value);
	}
	tape_fini(&tape);
	return err;
}

/* ---- comparisons ---- */

/* What remains true when the sides change places. */
static enum cel_kind flipped(enum cel_kind kind)
{
	switch (kind) {
	case CEL_LESS:
		return CEL_GREATER;
	case CEL_LESS_OR_EQUAL:
		return CEL_GREATER_OR_EQUAL;
	case CEL_GREATER:
		return CEL_LESS;
	case CEL_GREATER_OR_EQUAL:
		return CEL_LESS_OR_EQUAL;
	case CEL_IN:
		return CEL_CONTAINS;
	case CEL_EQUAL:
	case CEL_NOT_EQUAL:
	case CEL_CONTAINS:
	case CEL_STARTS_WITH:
	case CEL_HAS:
	case CEL_TRUE:
	case CEL_AND:
	case CEL_OR:
	case CEL_NOT:
	case CEL_SAME:
	case CEL_PROGRAM:
		break;
	}
	return kind;
}

static bool is_comparison(const struct cel_expression *node, enum cel_kind *ret_kind)
{
	if (node->kind == EXPR_CALL) {
		*ret_kind = CEL_STARTS_WITH;
		return node->is_member && node->children_count == 2 &&
			bytes_equal(node->text, bytes_of("startsWith"));
	}
	static const uint8_t kinds[] = {
		[OP_EQUAL] = CEL_EQUAL,
		[OP_NOT_EQUAL] = CEL_NOT_EQUAL,
		[OP_LESS] = CEL_LESS,
		[OP_LESS_OR_EQUAL] = CEL_LESS_OR_EQUAL,
		[OP_GREATER] = CEL_GREATER,
		[OP_GREATER_OR_EQUAL] = CEL_GREATER_OR_EQUAL,
		[OP_IN] = CEL_IN,
	};
	if (node->kind != EXPR_OPERATOR || node->operation < OP_EQUAL || node->operation > OP_IN) {
		return false;
	}
	*ret_kind = (enum cel_kind)kinds[node->operation];
	return true;
}

static bool is_text(const struct cel_expression *node)
{
	return node->kind == EXPR_LITERAL && node->literal.type == CEL_STRING;
}

/* Whoever looks for documents by `_id` takes every constant beside it for an id. */
static bool suits_id(enum cel_kind kind, const struct cel_expression *constant)
{
	if (kind != CEL_IN) {
		return kind != CEL_CONTAINS && is_text(constant);
	}
	bool is_list = constant->kind == EXPR_LIST;
	for (uint32_t i = 0; is_list && i < constant->children_count; i++) {
		is_list = is_text(constant->children[i]);
	}
	return is_list;
}

static bool suits_field(enum cel_kind kind, const struct cel_expression *constant)
{
	bool is_list = constant->kind == EXPR_LIST;
	if (kind == CEL_IN || kind == CEL_CONTAINS) {
		return is_list || kind == CEL_CONTAINS;
	}
	bool is_order = kind >= CEL_LESS && kind <= CEL_GREATER_OR_EQUAL;
	return !is_order || (!is_list && constant->literal.type != CEL_NULL);
}

/* ERR_NOT_FOUND: it is no comparison of a field with a constant. */
static enum err lower_comparison(struct lowering *lowering, const struct cel_expression *node,
	const struct cel_node **ret_node)
{
	enum cel_kind kind = CEL_TRUE;
	if (!is_comparison(node, &kind)) {
		return ERR_NOT_FOUND;
	}
	const struct cel_expression *field = node->children[0];
	const struct cel_expression *constant = node->children[1];
	if (!is_field(field) && kind != CEL_STARTS_WITH) {
		field = node->children[1];
		constant = node->children[0];
		kind = flipped(kind);
	}
	if (!is_field(field) || !is_constant(constant) ||
		!(is_id(field) ? suits_id(kind, constant) : suits_field(kind, constant))) {
		return ERR_NOT_FOUND;
	}
	struct cel_field made = {0};
	const struct value *value = NULL;
	struct err_info info = {0};
	enum err err = make_field(lowering, field, &made);
	if (err == OK) {
		err = make_constant(lowering, constant, &value);
	}
	if (err == OK) {
		err = cel_compare(lowering->arena, kind, &made, value, &info, ret_node);
	}
	return err == ERR_INVALID ? ERR_NOT_FOUND : err;
}

/* Of a field of the document; the object around it may be the document itself. */
static enum err lower_has(struct lowering *lowering, const struct cel_expression *node,
	const struct cel_node **ret_node)
{
	struct cel_expression select = *node;
	select.kind = EXPR_SELECT;
	if (!is_field(&select)) {
		return ERR_NOT_FOUND;
	}
	struct cel_field field = {0};
	enum err err = make_field(lowering, &select, &field);
	return err == OK ? cel_compare(lowering->arena, CEL_HAS, &field, NULL, NULL, ret_node)
			 : err;
}

/* ---- joins, programs ---- */

/* Whether it binds looser than the `&&` and `||` that may be printed around it. */
static bool is_loose(const struct cel_expression *node)
{
	return node->kind == EXPR_OPERATOR && node->operation <= OP_AND;
}

static enum err print_program(struct buffer *text, const struct cel_expression *node)
{
	if (!is_loose(node)) {
		return cel_print_expression(text, node);
	}
	enum err err = buffer_append_text(text, "(");
	if (err == OK) {
		err = cel_print_expression(text, node);
	}
	return err == OK ? buffer_append_text(text, ")") : err;
}

static enum err lower_program(struct lowering *lowering, const struct cel_expression *node,
	const struct cel_node **ret_node)
{
	struct buffer text = {0};
	struct cel_node *made = arena_alloc(lowering->arena, sizeof(*made));
	struct cel_program *program = NULL;
	enum err err = made ? print_program(&text, node) : ERR_MEMORY;
	if (err == OK) {
		err = cel_compile(node, lowering->regexes, lowering->limits, &program);
	}
	if (err == OK) {
		*made = (struct cel_node){.kind = CEL_PROGRAM, .depth = 1, .program = program};
		made->text = arena_copy(lowering->arena, buffer_bytes(&text));
		err = made->text.data ? OK : ERR_MEMORY;
	}
	buffer_fini(&text);
	if (err != OK) {
		cel_program_unref(program);
		return err;
	}
	*ret_node = made;
	return OK;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err lower_join(struct lowering *lowering, const struct cel_expression *node,
	enum cel_kind kind, const struct cel_node **ret_node)
{
	size_t count = node->children_count;
	const struct cel_node **children =
		arena_alloc(lowering->arena, count * sizeof(const void *));
	enum err err = children ? OK : ERR_MEMORY;
	size_t made = 0;
	while (err == OK && made < count) {
		err = lower(lowering, node->children[made], &children[made]);
		made += err == OK;
	}
	if (err == OK) {
		err = cel_join(lowering->arena, kind, children, count, ret_node);
	}
	for (size_t i = 0; err != OK && i < made; i++) {
		cel_release(children[i]);
	}
	return err;
}

/* `==` and `!=` of conditions. Of two programs it is one program. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err lower_same(struct lowering *lowering, const struct cel_expression *node,
	const struct cel_node **ret_node)
{
	if (node->children[0]->type->type != CEL_BOOL ||
		node->children[1]->type->type != CEL_BOOL) {
		return ERR_NOT_FOUND;
	}
	const struct cel_node *same = NULL;
	enum err err = lower_join(lowering, node, CEL_SAME, &same);
	if (err != OK) {
		return err;
	}
	const struct cel_node *made = same;
	if (same->children[0]->kind == CEL_PROGRAM && same->children[1]->kind == CEL_PROGRAM) {
		err = ERR_NOT_FOUND;
	} else if (node->operation == OP_NOT_EQUAL) {
		err = cel_join(lowering->arena, CEL_NOT, &same, 1, &made);
	}
	if (err != OK) {
		cel_release(same);
		return err;
	}
	*ret_node = made;
	return OK;
}

static enum err lower_literal(
	struct lowering *lowering, bool is_true, const struct cel_node **ret_node)
{
	const struct cel_node *node = NULL;
	enum err err = cel_true(lowering->arena, &node);
	if (err == OK && !is_true) {
		err = cel_join(lowering->arena, CEL_NOT, &node, 1, &node);
	}
	if (err == OK) {
		*ret_node = node;
	}
	return err;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err lower_operator(struct lowering *lowering, const struct cel_expression *node,
	const struct cel_node **ret_node)
{
	if (node->operation == OP_AND || node->operation == OP_OR || node->operation == OP_NOT) {
		enum cel_kind other = node->operation == OP_OR ? CEL_OR : CEL_NOT;
		enum cel_kind kind = node->operation == OP_AND ? CEL_AND : other;
		return lower_join(lowering, node, kind, ret_node);
	}
	enum err err = lower_comparison(lowering, node, ret_node);
	bool is_equality = node->operation == OP_EQUAL || node->operation == OP_NOT_EQUAL;
	return err == ERR_NOT_FOUND && is_equality ? lower_same(lowering, node, ret_node) : err;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err lower(struct lowering *lowering, const struct cel_expression *node,
	const struct cel_node **ret_node)
{
	enum err err = ERR_NOT_FOUND;
	if (node->kind == EXPR_OPERATOR) {
		err = lower_operator(lowering, node, ret_node);
	} else if (node->kind == EXPR_CALL) {
		err = lower_comparison(lowering, node, ret_node);
	} else if (node->kind == EXPR_HAS) {
		err = lower_has(lowering, node, ret_node);
	} else if (node->kind == EXPR_LITERAL && node->literal.type == CEL_BOOL) {
		err = lower_literal(lowering, node->literal.as.boolean, ret_node);
	}
	/* Too deep for a tree, or nothing that a tree has. */
	return err == ERR_NOT_FOUND || err == ERR_LIMIT ? lower_program(lowering, node, ret_node)
							: err;
}

enum err cel_condition(struct arena *arena, const struct cel_expression *expression,
	struct cel_regexes *regexes, const struct cel_limits *limits,
	const struct cel_node **ret_node)
{
	struct lowering lowering = {arena, regexes, limits};
	const struct cel_node *node = NULL;
	enum err err = lower(&lowering, expression, &node);
	if (err == OK && node->depth == CEL_DEPTH_MAX) {
		cel_release(node);
		err = lower_program(&lowering, expression, &node);
	}
	if (err == OK) {
		*ret_node = node;
	}
	return err;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
void cel_release(const struct cel_node *node)
{
	if (node->kind == CEL_PROGRAM) {
		cel_program_unref(node->program);
	}
	for (uint32_t i = 0; i < node->children_count; i++) {
		cel_release(node->children[i]);
	}
}
