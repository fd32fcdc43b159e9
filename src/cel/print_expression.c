/*
 * An expression as text that parses to the same expression, with no more parentheses than that
 * needs. Names that have been resolved are printed as they are looked up: a field of the document
 * as doc.field.
 */
#include "expression_priv.h"

#include <math.h>
#include <stdio.h>

/* How tightly an expression holds together; what is looser than its surroundings wants
 * parentheses. */
enum binding {
	BINDING_NONE,
	BINDING_OR,
	BINDING_AND,
	BINDING_RELATION,
	BINDING_SUM,
	BINDING_PRODUCT,
	BINDING_UNARY,
	BINDING_MEMBER
};

static enum err print(
	struct buffer *buffer, const struct cel_expression *node, enum binding around);

static const struct {
	const char *text;
	uint8_t binding;
} operators[] = {
	[OP_CONDITIONAL] = {"?:", BINDING_NONE},
	[OP_OR] = {"||", BINDING_OR},
	[OP_AND] = {"&&", BINDING_AND},
	[OP_EQUAL] = {"==", BINDING_RELATION},
	[OP_NOT_EQUAL] = {"!=", BINDING_RELATION},
	[OP_LESS] = {"<", BINDING_RELATION},
	[OP_LESS_OR_EQUAL] = {"<=", BINDING_RELATION},
	[OP_GREATER] = {">", BINDING_RELATION},
	[OP_GREATER_OR_EQUAL] = {">=", BINDING_RELATION},
	[OP_IN] = {"in", BINDING_RELATION},
	[OP_ADD] = {"+", BINDING_SUM},
	[OP_SUBTRACT] = {"-", BINDING_SUM},
	[OP_MULTIPLY] = {"*", BINDING_PRODUCT},
	[OP_DIVIDE] = {"/", BINDING_PRODUCT},
	[OP_MODULO] = {"%", BINDING_PRODUCT},
	[OP_NOT] = {"!", BINDING_UNARY},
	[OP_NEGATE] = {"-", BINDING_UNARY},
};

const char *cel_operator_text(enum expr_operator operation)
{
	return operators[operation].text;
}

static bool is_plain(struct bytes name)
{
	bool is_plain = name.size > 0 && !(name.data[0] >= '0' && name.data[0] <= '9');
	for (size_t i = 0; i < name.size; i++) {
		char c = name.data[i];
		is_plain = is_plain &&
			((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
				(c >= '0' && c <= '9'));
	}
	return is_plain && !bytes_equal(name, bytes_of("in")) &&
		!bytes_equal(name, bytes_of("true")) && !bytes_equal(name, bytes_of("false")) &&
		!bytes_equal(name, bytes_of("null"));
}

/* Texts in a row, up to the first that fails. */
static enum err put(struct buffer *buffer, enum err err, const char *text)
{
	return err == OK ? buffer_append_text(buffer, text) : err;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err print_children(
	struct buffer *buffer, const struct cel_expression *node, uint32_t first, uint32_t end)
{
	enum err err = OK;
	for (uint32_t i = first; err == OK && i < end; i++) {
		const struct cel_expression *child = node->children[i];
		err = put(buffer, err, i > first ? ", " : "");
		err = put(buffer, err, child->is_optional_item ? "?" : "");
		if (err == OK) {
			err = print(buffer, child, BINDING_NONE);
		}
	}
	return err;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err print_entries(struct buffer *buffer, const struct cel_expression *node)
{
	enum err err = put(buffer, OK, "{");
	for (uint32_t i = 0; err == OK && i + 1 < node->children_count; i += 2) {
		const struct cel_expression *key = node->children[i];
		err = put(buffer, err, i > 0 ? ", " : "");
		err = put(buffer, err, key->is_optional_item ? "?" : "");
		if (err == OK && node->kind == EXPR_MESSAGE) {
			struct bytes name = cel_text(key->literal);
			bool plain = is_plain(name);
			err = put(buffer, err, plain ? "" : "`");
			err = err == OK ? buffer_append(buffer, name) : err;
			err = put(buffer, err, plain ? "" : "`");
		} else if (err == OK) {
			err = print(buffer, key, BINDING_NONE);
		}
		err = put(buffer, err, ": ");
		if (err == OK) {
			err = print(buffer, node->children[i + 1], BINDING_NONE);
		}
	}
	return put(buffer, err, "}");
}

/* Whether the text begins with a number, which would take a minus before it for its own. */
static bool begins_with_number(const struct cel_expression *node)
{
	while (node->kind == EXPR_SELECT || node->kind == EXPR_INDEX ||
		(node->kind == EXPR_CALL && node->is_member) ||
		(node->kind == EXPR_MACRO && node->macro != MACRO_BIND)) {
		node = node->children[0];
	}
	return node->kind == EXPR_LITERAL &&
		((node->literal.type == CEL_INT && node->literal.as.integer >= 0) ||
			(node->literal.type == CEL_DOUBLE && !signbit(node->literal.as.real)));
}

/* `-(1)` is no literal, and `!-x` does not parse: parentheses keep signs apart. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err print_unary(struct buffer *buffer, const struct cel_expression *node)
{
	const struct cel_expression *operand = node->children[0];
	bool same = operand->kind == EXPR_OPERATOR && operand->operation == node->operation;
	bool apart = node->operation == OP_NEGATE && begins_with_number(operand);
	enum err err = put(buffer, OK, operators[node->operation].text);
	err = put(buffer, err, apart ? "(" : "");
	err = err == OK ? print(buffer, operand, same ? BINDING_UNARY : BINDING_MEMBER) : err;
	return put(buffer, err, apart ? ")" : "");
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err print_operator(struct buffer *buffer, const struct cel_expression *node)
{
	enum binding binding = (enum binding)operators[node->operation].binding;
	const char *text = operators[node->operation].text;
	if (node->operation == OP_CONDITIONAL) {
		enum err err = print(buffer, node->children[0], BINDING_OR);
		err = put(buffer, err, " ? ");
		err = err == OK ? print(buffer, node->children[1], BINDING_OR) : err;
		err = put(buffer, err, " : ");
		return err == OK ? print(buffer, node->children[2], BINDING_NONE) : err;
	}
	if (binding == BINDING_UNARY) {
		return print_unary(buffer, node);
	}
	enum err err = OK;
	for (uint32_t i = 0; err == OK && i < node->children_count; i++) {
		if (i > 0) {
			err = buffer_printf(buffer, " %s ", text);
		}
		if (err == OK) {
			err = print(buffer, node->children[i],
				i > 0 || node->operation == OP_AND || node->operation == OP_OR
					? binding + 1
					: binding);
		}
	}
	return err;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err print_selection(struct buffer *buffer, const struct cel_expression *node)
{
	enum err err = put(buffer, OK, node->kind == EXPR_HAS ? "has(" : "");
	err = err == OK ? print(buffer, node->children[0], BINDING_MEMBER) : err;
	if (is_plain(node->text)) {
		err = put(buffer, err, node->is_optional ? ".?" : ".");
		err = err == OK ? buffer_append(buffer, node->text) : err;
	} else {
		err = put(buffer, err, node->is_optional ? ".?`" : ".`");
		err = err == OK ? buffer_append(buffer, node->text) : err;
		err = put(buffer, err, "`");
	}
	return put(buffer, err, node->kind == EXPR_HAS ? ")" : "");
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err print_call(struct buffer *buffer, const struct cel_expression *node)
{
	enum err err = put(buffer, OK, node->is_rooted ? "." : "");
	uint32_t first = 0;
	if (node->is_member) {
		err = print(buffer, node->children[0], BINDING_MEMBER);
		err = put(buffer, err, ".");
		first = 1;
	}
	err = err == OK ? buffer_append(buffer, node->text) : err;
	err = put(buffer, err, "(");
	err = err == OK ? print_children(buffer, node, first, node->children_count) : err;
	return put(buffer, err, ")");
}

/* "@index:3" as the call that it was; a plain name as it is. */
static enum err print_name(struct buffer *buffer, struct bytes name)
{
	if (name.size == 0 || name.data[0] != '@') {
		return buffer_append(buffer, name);
	}
	enum err err = put(buffer, OK, "cel.");
	bool is_first = true;
	for (size_t i = 1; err == OK && i < name.size; i++) {
		bool is_colon = name.data[i] == ':';
		err = is_colon ? put(buffer, err, is_first ? "(" : ", ")
			       : buffer_append(buffer, (struct bytes){name.data + i, 1});
		is_first = is_first && !is_colon;
	}
	return put(buffer, err, ")");
}

/* Whether it binds what cel.block binds as its item number `index`. */
static bool binds_item(const struct cel_expression *node, unsigned index)
{
	char name[24];
	(void)snprintf(name, sizeof(name), "@index:%u", index);
	return node->kind == EXPR_MACRO && node->macro == MACRO_BIND &&
		bytes_equal(node->variables[0], bytes_of(name));
}

/* Up to the next that is number 0 again: a block within the block. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err print_block(struct buffer *buffer, const struct cel_expression *node)
{
	enum err err = put(buffer, OK, "cel.block([");
	for (unsigned i = 0; err == OK && binds_item(node, i); i++) {
		err = put(buffer, err, i > 0 ? ", " : "");
		err = err == OK ? print(buffer, node->children[0], BINDING_NONE) : err;
		node = node->children[1];
	}
	err = put(buffer, err, "], ");
	err = err == OK ? print(buffer, node, BINDING_NONE) : err;
	return put(buffer, err, ")");
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err print_macro(struct buffer *buffer, const struct cel_expression *node)
{
	bool is_bind = node->macro == MACRO_BIND;
	if (binds_item(node, 0)) {
		return print_block(buffer, node);
	}
	enum err err =
		is_bind ? put(buffer, OK, "cel") : print(buffer, node->children[0], BINDING_MEMBER);
	if (err == OK) {
		err = buffer_printf(buffer, ".%s(", cel_macro_name((enum expr_macro)node->macro));
	}
	for (uint8_t i = 0; err == OK && i < node->variables_count; i++) {
		err = put(buffer, err, i > 0 ? ", " : "");
		err = err == OK ? print_name(buffer, node->variables[i]) : err;
	}
	err = put(buffer, err, ", ");
	err = err == OK ? print_children(buffer, node, is_bind ? 0 : 1, node->children_count) : err;
	return put(buffer, err, ")");
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err print_bare(struct buffer *buffer, const struct cel_expression *node)
{
	enum err err = OK;
	switch (node->kind) {
	case EXPR_LITERAL:
		err = put(buffer, OK, node->is_rooted ? "." : "");
		return err == OK ? cel_print_value(buffer, node->literal) : err;
	case EXPR_NAME:
	case EXPR_SLOT:
	case EXPR_LOCAL:
		err = put(buffer, OK, node->is_rooted ? "." : "");
		return err == OK ? print_name(buffer, node->text) : err;
	case EXPR_SELECT:
	case EXPR_HAS:
		return print_selection(buffer, node);
	case EXPR_INDEX:
		err = print(buffer, node->children[0], BINDING_MEMBER);
		err = put(buffer, err, node->is_optional ? "[?" : "[");
		err = err == OK ? print(buffer, node->children[1], BINDING_NONE) : err;
		return put(buffer, err, "]");
	case EXPR_OPERATOR:
		return print_operator(buffer, node);
	case EXPR_CALL:
		return print_call(buffer, node);
	case EXPR_LIST:
		err = put(buffer, OK, "[");
		err = err == OK ? print_children(buffer, node, 0, node->children_count) : err;
		return put(buffer, err, "]");
	case EXPR_MESSAGE:
		err = buffer_append(buffer, node->text);
		return err == OK ? print_entries(buffer, node) : err;
	case EXPR_MAP:
		return print_entries(buffer, node);
	case EXPR_MACRO:
		break;
	}
	return print_macro(buffer, node);
}

static bool is_negative(const struct cel_expression *node)
{
	struct cel_value value = node->literal;
	return node->kind == EXPR_LITERAL &&
		((value.type == CEL_INT && value.as.integer < 0) ||
			(value.type == CEL_DOUBLE && signbit(value.as.real)));
}

static enum binding binding_of(const struct cel_expression *node)
{
	if (is_negative(node)) {
		return BINDING_UNARY;
	}
	return node->kind == EXPR_OPERATOR ? (enum binding)operators[node->operation].binding
					   : BINDING_MEMBER;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err print(struct buffer *buffer, const struct cel_expression *node, enum binding around)
{
	bool in_parentheses = binding_of(node) < around;
	enum err err = put(buffer, OK, in_parentheses ? "(" : "");
	err = err == OK ? print_bare(buffer, node) : err;
	return put(buffer, err, in_parentheses ? ")" : "");
}

enum err cel_print_expression(struct buffer *buffer, const struct cel_expression *expression)
{
	return print(buffer, expression, BINDING_NONE);
}
