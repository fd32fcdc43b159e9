/*
 * A tree as CEL text that means the same. Numbers keep their kind: a whole double has a point, an
 * unsigned integer a `u`; but objects are printed as JSON has them.
 */
#include "cel_priv.h"

#include <string.h>

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_reserved(struct bytes name)
{
	static const char *const words[] = {"as", "break", "const", "continue", "else", "false",
		"for", "function", "if", "import", "in", "let", "loop", "namespace", "null",
		"package", "return", "true", "var", "void", "while"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (bytes_equal(name, bytes_of(words[i]))) {
			return true;
		}
	}
	return false;
}

/* Whether a member can be written with a point: doc.room. */
static bool is_plain_name(struct bytes name)
{
	if (name.size == 0 || !is_letter(name.data[0])) {
		return false;
	}
	for (size_t i = 1; i < name.size; i++) {
		char c = name.data[i];
		if (!is_letter(c) && !(c >= '0' && c <= '9')) {
			return false;
		}
	}
	return !is_reserved(name);
}

static enum err print_part(struct buffer *buffer, struct bytes part)
{
	bool plain = is_plain_name(part);
	enum err err = buffer_append_text(buffer, plain ? "." : "[");
	if (err == OK) {
		err = plain ? buffer_append(buffer, part) : json_print_string(buffer, part);
	}
	if (err == OK && !plain) {
		err = buffer_append_text(buffer, "]");
	}
	return err;
}

static enum err print_field(struct buffer *buffer, const struct cel_field *field)
{
	enum err err = buffer_append_text(buffer, field->root == CEL_ID ? "_id" : "doc");
	for (uint32_t i = 0; err == OK && i < field->parts_count; i++) {
		err = print_part(buffer, field->parts[i]);
	}
	return err;
}

static enum err print_scalar(struct buffer *buffer, const struct value *value)
{
	size_t start = buffer->size;
	enum err err = json_print(buffer, value);
	if (err != OK || value->kind == VALUE_STRING) {
		return err;
	}
	if (value->kind == VALUE_UINT) {
		return buffer_append_text(buffer, "u");
	}
	bool looks_whole = true;
	for (size_t i = start; i < buffer->size; i++) {
		looks_whole = looks_whole && !strchr(".eE", buffer->data[i]);
	}
	return value->kind == VALUE_DOUBLE && looks_whole ? buffer_append_text(buffer, ".0") : OK;
}

/* NOLINTNEXTLINE(misc-no-recursion): once per level, at most json_depth_max */
static enum err print_constant(struct buffer *buffer, const struct value *constant)
{
	if (constant->kind != VALUE_LIST) {
		return print_scalar(buffer, constant);
	}
	enum err err = buffer_append_text(buffer, "[");
	const struct value *item = constant + 1;
	for (uint32_t i = 0; err == OK && i < constant->size; i++) {
		if (i > 0) {
			err = buffer_append_text(buffer, ", ");
		}
		if (err == OK) {
			err = print_constant(buffer, item);
		}
		item = value_after(item);
	}
	return err == OK ? buffer_append_text(buffer, "]") : err;
}

static const char *operator_of(enum cel_kind kind)
{
	switch (kind) {
	case CEL_EQUAL:
		return " == ";
	case CEL_NOT_EQUAL:
		return " != ";
	case CEL_LESS:
		return " < ";
	case CEL_LESS_OR_EQUAL:
		return " <= ";
	case CEL_GREATER:
		return " > ";
	case CEL_GREATER_OR_EQUAL:
		return " >= ";
	case CEL_IN:
	case CEL_CONTAINS:
		return " in ";
	case CEL_AND:
		return " && ";
	case CEL_OR:
		return " || ";
	case CEL_SAME:
		return " == ";
	case CEL_STARTS_WITH:
		return ".startsWith(";
	case CEL_TRUE:
	case CEL_NOT:
	case CEL_HAS:
	case CEL_PROGRAM:
		break;
	}
	return "";
}

static enum err print_has(struct buffer *buffer, const struct cel_field *field)
{
	enum err err = buffer_append_text(buffer, "has(");
	if (err == OK) {
		err = print_field(buffer, field);
	}
	return err == OK ? buffer_append_text(buffer, ")") : err;
}

static enum err print_compare(struct buffer *buffer, const struct cel_node *node)
{
	bool constant_first = node->kind == CEL_CONTAINS;
	if (node->kind == CEL_HAS) {
		return print_has(buffer, &node->field);
	}
	enum err err = constant_first ? print_constant(buffer, node->constant)
				      : print_field(buffer, &node->field);
	if (err == OK) {
		err = buffer_append_text(buffer, operator_of(node->kind));
	}
	if (err == OK) {
		err = constant_first ? print_field(buffer, &node->field)
				     : print_constant(buffer, node->constant);
	}
	bool is_call = node->kind == CEL_STARTS_WITH;
	return err == OK && is_call ? buffer_append_text(buffer, ")") : err;
}

/* What binds closer than any operator between two. */
static bool is_close(enum cel_kind kind)
{
	return kind == CEL_TRUE || kind == CEL_NOT || kind == CEL_STARTS_WITH || kind == CEL_HAS;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static enum err print_inside(
	struct buffer *buffer, const struct cel_node *parent, const struct cel_node *node)
{
	bool is_joined = parent->kind == CEL_AND || parent->kind == CEL_OR;
	bool parentheses =
		is_joined ? node->kind == CEL_AND || node->kind == CEL_OR : !is_close(node->kind);
	/* A program's value may be no bool: SAME then fails, where CEL's == would not. */
	bool is_doubtful = parent->kind == CEL_SAME && node->kind == CEL_PROGRAM;
	enum err err = is_doubtful ? buffer_append_text(buffer, "!!") : OK;
	if (err == OK && parentheses) {
		err = buffer_append_text(buffer, "(");
	}
	if (err == OK) {
		err = cel_print(buffer, node);
	}
	return err == OK && parentheses ? buffer_append_text(buffer, ")") : err;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
enum err cel_print(struct buffer *buffer, const struct cel_node *node)
{
	if (cel_is_comparison(node)) {
		return print_compare(buffer, node);
	}
	if (node->kind == CEL_TRUE) {
		return buffer_append_text(buffer, "true");
	}
	if (node->kind == CEL_PROGRAM) {
		return buffer_append(buffer, node->text);
	}
	enum err err = node->kind == CEL_NOT ? buffer_append_text(buffer, "!") : OK;
	for (uint32_t i = 0; err == OK && i < node->children_count; i++) {
		if (i > 0) {
			err = buffer_append_text(buffer, operator_of(node->kind));
		}
		if (err == OK) {
			err = print_inside(buffer, node, node->children[i]);
		}
	}
	return err;
}
