/*
 * From tokens to an expression. Recursion goes down only where something is nested in the source,
 * through parse_expression, which counts its depth; chains are loops. Every node says how deep it
 * is, so that a chain of a thousand pluses is refused before anybody walks it.
 */
#include "parse_priv.h"

#include <inttypes.h>
#include <string.h>

#define LIST_MAX 8 /* children kept on the stack before they move to the arena */

static enum err parse_expression(struct parser *parser, struct cel_expression **ret_node);
static enum err parse_unary(struct parser *parser, struct cel_expression **ret_node);

/* ---- nodes ---- */

enum err cel_make_node(struct parser *parser, const struct cel_expression *node,
	struct cel_expression *const *children, size_t count, struct cel_expression **ret_node)
{
	if (++parser->nodes > parser->limits->nodes) {
		return cel_too_large(parser, node->offset, "of an expression",
			parser->limits->nodes, "names, constants and operations");
	}
	struct cel_expression *made = arena_alloc(parser->arena, sizeof(*made));
	struct cel_expression **copies = NULL;
	if (made && count > 0) {
		copies = arena_alloc(parser->arena, count * sizeof(const void *));
	}
	if (!made || (count > 0 && !copies)) {
		return ERR_MEMORY;
	}
	*made = *node;
	made->children = copies;
	made->children_count = (uint32_t)count;
	made->depth = 1;
	made->loops = 0;
	for (size_t i = 0; i < count; i++) {
		copies[i] = children[i];
		made->depth =
			children[i]->depth >= made->depth ? children[i]->depth + 1 : made->depth;
		made->loops = children[i]->loops > made->loops ? children[i]->loops : made->loops;
	}
	if (made->depth > parser->limits->depth) {
		return cel_too_large(
			parser, node->offset, "nesting", parser->limits->depth, "levels");
	}
	*ret_node = made;
	return OK;
}

/* Children under construction. */
struct children {
	struct cel_expression *first[LIST_MAX];
	struct cel_expression **all; /* `first`, or the arena's */
	size_t count, capacity;
};

static void children_init(struct children *children)
{
	children->all = children->first;
	children->count = 0;
	children->capacity = LIST_MAX;
}

static enum err add_child(
	struct parser *parser, struct children *children, struct cel_expression *child)
{
	if (children->count == children->capacity) {
		size_t capacity = children->capacity * 2;
		struct cel_expression **all =
			arena_alloc(parser->arena, capacity * sizeof(const void *));
		if (!all) {
			return ERR_MEMORY;
		}
		memcpy(all, children->all, children->count * sizeof(const void *));
		children->all = all;
		children->capacity = capacity;
	}
	children->all[children->count++] = child;
	return OK;
}

/* ---- tokens ---- */

static bool is_token(const struct parser *parser, enum token_kind kind)
{
	return parser->token.kind == kind;
}

static bool is_operator(const struct parser *parser, enum expr_operator operation)
{
	return parser->token.kind == TOKEN_OPERATOR && parser->token.operation == operation;
}

static struct bytes token_text(const struct parser *parser)
{
	const struct token *token = &parser->token;
	uint32_t size = token->end - token->offset;
	return (struct bytes){parser->source.data + token->offset, size < 40 ? size : 40};
}

static void advise_on(struct parser *parser, const char *wanted)
{
	static const char *const words[][2] = {{"and", "write && for and"},
		{"AND", "write && for and"}, {"or", "write || for or"}, {"OR", "write || for or"},
		{"not", "write !(x in list) for x not in list"},
		{"NOT", "write !(x in list) for x not in list"}, {"is", "write == for is"},
		{"eq", "equality is written =="},
		{"contains", "write list.exists(...) or x in list"}};
	struct bytes text = token_text(parser);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (is_token(parser, TOKEN_NAME) && bytes_equal(text, bytes_of(words[i][0]))) {
			cel_advise(parser->problem, "%s", words[i][1]);
			return;
		}
	}
	if (is_operator(parser, OP_EQUAL)) {
		cel_advise(parser->problem, "equality is written == and stands once");
	} else if (!parser->problem->hint[0]) {
		cel_advise(parser->problem, "%s could stand here", wanted);
	}
}

static enum err unexpected(struct parser *parser, const char *wanted)
{
	struct bytes text = token_text(parser);
	text.size = bytes_utf8_prefix(text);
	enum err err = is_token(parser, TOKEN_END)
		? cel_wrong(parser, parser->token.offset, "the expression ends too early")
		: cel_wrong(parser, parser->token.offset, "'%.*s' does not belong here",
			  BYTES_FORMAT(text));
	advise_on(parser, wanted);
	return err;
}

static enum err expect(struct parser *parser, enum token_kind kind, const char *wanted)
{
	return is_token(parser, kind) ? cel_next_token(parser) : unexpected(parser, wanted);
}

/* Takes the token if it is there. */
static enum err accept(struct parser *parser, enum token_kind kind, bool *ret_is_there)
{
	*ret_is_there = is_token(parser, kind);
	return *ret_is_there ? cel_next_token(parser) : OK;
}

/* ---- lists of expressions ---- */

/* One item, or entry, of a list that is written out. */
typedef enum err (*item_fn)(struct parser *parser, struct children *children);

/* Items up to the closing token, which is taken; a comma may stand behind the last, but not in a
 * call. */
static enum err parse_items(struct parser *parser, enum token_kind close, const char *wanted,
	item_fn item, struct children *children)
{
	bool is_call = close == TOKEN_CLOSE_PARENTHESIS;
	size_t most = (size_t)parser->limits->literal_bytes * (close == TOKEN_CLOSE_BRACE ? 2 : 1);
	bool is_there = is_token(parser, close);
	enum err err = OK;
	while (err == OK && !is_there) {
		err = item(parser, children);
		if (err == OK && children->count > most) {
			err = cel_too_large(parser, parser->token.offset, "in one list",
				parser->limits->literal_bytes, "items");
		}
		if (err == OK && is_token(parser, close)) {
			break;
		}
		if (err == OK) {
			err = expect(parser, TOKEN_COMMA, wanted);
		}
		is_there = err == OK && !is_call && is_token(parser, close);
	}
	return err == OK ? expect(parser, close, wanted) : err;
}

static enum err parse_argument(struct parser *parser, struct children *children)
{
	struct cel_expression *argument = NULL;
	enum err err = parse_expression(parser, &argument);
	return err == OK ? add_child(parser, children, argument) : err;
}

static enum err parse_item(struct parser *parser, struct children *children)
{
	bool is_optional = false;
	struct cel_expression *item = NULL;
	enum err err = accept(parser, TOKEN_QUESTION, &is_optional);
	if (err == OK) {
		err = parse_expression(parser, &item);
	}
	if (err != OK) {
		return err;
	}
	check(item);
	item->is_optional_item = is_optional;
	return add_child(parser, children, item);
}

static enum err parse_entry(struct parser *parser, struct children *children)
{
	enum err err = parse_item(parser, children);
	if (err == OK) {
		err = expect(parser, TOKEN_COLON, "':' and a value");
	}
	return err == OK ? parse_argument(parser, children) : err;
}

/* The field of a message: its name becomes a text. */
static enum err parse_field(struct parser *parser, struct children *children)
{
	bool is_optional = false;
	enum err err = accept(parser, TOKEN_QUESTION, &is_optional);
	if (err == OK && !is_token(parser, TOKEN_NAME) && !is_token(parser, TOKEN_QUOTED_NAME)) {
		err = unexpected(parser, "the name of a field");
	}
	if (err != OK) {
		return err;
	}
	const struct cel_expression name = {.kind = EXPR_LITERAL,
		.offset = parser->token.offset,
		.is_optional_item = is_optional,
		.literal = cel_string(parser->token.text)};
	struct cel_expression *made = NULL;
	err = cel_make_node(parser, &name, NULL, 0, &made);
	if (err == OK) {
		err = add_child(parser, children, made);
	}
	if (err == OK) {
		err = cel_next_token(parser);
	}
	if (err == OK) {
		err = expect(parser, TOKEN_COLON, "':' and a value");
	}
	return err == OK ? parse_argument(parser, children) : err;
}

/* ---- primaries ---- */

/* What stands in brackets: `node` says what it is. The token is the opening one. */
static enum err parse_bracketed(struct parser *parser, const struct cel_expression *node,
	enum token_kind close, item_fn item, struct cel_expression **ret_node)
{
	struct children children;
	children_init(&children);
	enum err err = cel_next_token(parser);
	if (err == OK) {
		const char *wanted = close == TOKEN_CLOSE_BRACKET ? "',' or ']'" : "',' or '}'";
		err = parse_items(parser, close, wanted, item, &children);
	}
	return err == OK ? cel_make_node(parser, node, children.all, children.count, ret_node)
			 : err;
}

/* The arguments of a call, and what that makes. `receiver`: NULL, or a method's. */
static enum err parse_call(struct parser *parser, const struct cel_expression *node,
	struct cel_expression *receiver, struct cel_expression **ret_node)
{
	struct children children;
	children_init(&children);
	enum err err = receiver ? add_child(parser, &children, receiver) : OK;
	if (err == OK) {
		err = cel_next_token(parser);
	}
	if (err == OK) {
		err = parse_items(
			parser, TOKEN_CLOSE_PARENTHESIS, "',' or ')'", parse_argument, &children);
	}
	struct cel_expression *call = NULL;
	if (err == OK) {
		err = cel_make_node(parser, node, children.all, children.count, &call);
	}
	return err == OK ? cel_expand_macro(parser, call, ret_node) : err;
}

static enum err refuse_reserved(struct parser *parser, const struct token *name)
{
	enum err err = cel_wrong(
		parser, name->offset, "'%.*s' is a reserved word", BYTES_FORMAT(name->text));
	cel_advise(parser->problem, "for a field of that name write doc[\"%.*s\"]",
		BYTES_FORMAT(name->text));
	return err;
}

/* A name before a value: `not x`. */
static bool is_foreign_not(const struct parser *parser, const struct token *name)
{
	bool is_not = bytes_equal(name->text, bytes_of("not")) ||
		bytes_equal(name->text, bytes_of("NOT"));
	return is_not &&
		(is_token(parser, TOKEN_NAME) || is_token(parser, TOKEN_LITERAL) ||
			is_token(parser, TOKEN_NOT));
}

static enum err refuse_not(struct parser *parser, const struct token *name)
{
	enum err err = cel_wrong(
		parser, name->offset, "there is no operator '%.*s'", BYTES_FORMAT(name->text));
	cel_advise(parser->problem, "write !x for not x");
	return err;
}

/* A name, or a call of a function. */
static enum err parse_name(struct parser *parser, bool is_rooted, struct cel_expression **ret_node)
{
	const struct token name = parser->token;
	if (cel_is_reserved(name.text)) {
		return refuse_reserved(parser, &name);
	}
	enum err err = cel_next_token(parser);
	if (err != OK) {
		return err;
	}
	if (is_token(parser, TOKEN_OPEN_PARENTHESIS)) {
		const struct cel_expression call = {.kind = EXPR_CALL,
			.offset = name.offset,
			.text = name.text,
			.is_rooted = is_rooted};
		return parse_call(parser, &call, NULL, ret_node);
	}
	if (is_foreign_not(parser, &name)) {
		return refuse_not(parser, &name);
	}
	const struct cel_expression node = {.kind = EXPR_NAME,
		.offset = name.offset,
		.text = name.text,
		.is_rooted = is_rooted};
	return cel_make_node(parser, &node, NULL, 0, ret_node);
}

static enum err parse_rooted_name(struct parser *parser, struct cel_expression **ret_node)
{
	enum err err = cel_next_token(parser);
	if (err == OK && !is_token(parser, TOKEN_NAME)) {
		err = unexpected(parser, "a name");
	}
	return err == OK ? parse_name(parser, true, ret_node) : err;
}

static enum err refuse_least(struct parser *parser, const struct token *token)
{
	return token->is_least
		? cel_wrong(parser, token->offset, "this number is too large for an int")
		: OK;
}

static enum err parse_literal(struct parser *parser, struct cel_expression **ret_node)
{
	const struct cel_expression node = {.kind = EXPR_LITERAL,
		.offset = parser->token.offset,
		.literal = parser->token.literal};
	enum err err = refuse_least(parser, &parser->token);
	if (err == OK) {
		err = cel_next_token(parser);
	}
	return err == OK ? cel_make_node(parser, &node, NULL, 0, ret_node) : err;
}

/* NOLINTNEXTLINE(misc-no-recursion): nesting, which parse_expression bounds */
static enum err parse_primary(struct parser *parser, struct cel_expression **ret_node)
{
	const struct cel_expression list = {.kind = EXPR_LIST, .offset = parser->token.offset};
	const struct cel_expression map = {.kind = EXPR_MAP, .offset = parser->token.offset};
	enum err err = OK;
	switch (parser->token.kind) {
	case TOKEN_LITERAL:
		return parse_literal(parser, ret_node);
	case TOKEN_NAME:
		return parse_name(parser, false, ret_node);
	case TOKEN_POINT:
		return parse_rooted_name(parser, ret_node);
	case TOKEN_OPEN_BRACKET:
		return parse_bracketed(parser, &list, TOKEN_CLOSE_BRACKET, parse_item, ret_node);
	case TOKEN_OPEN_BRACE:
		return parse_bracketed(parser, &map, TOKEN_CLOSE_BRACE, parse_entry, ret_node);
	case TOKEN_OPEN_PARENTHESIS:
		err = cel_next_token(parser);
		if (err == OK) {
			err = parse_expression(parser, ret_node);
		}
		return err == OK ? expect(parser, TOKEN_CLOSE_PARENTHESIS, "')'") : err;
	case TOKEN_END:
	case TOKEN_QUOTED_NAME:
	case TOKEN_QUESTION:
	case TOKEN_COLON:
	case TOKEN_COMMA:
	case TOKEN_CLOSE_PARENTHESIS:
	case TOKEN_CLOSE_BRACKET:
	case TOKEN_CLOSE_BRACE:
	case TOKEN_NOT:
	case TOKEN_OPERATOR:
		break;
	}
	return unexpected(parser, "a value");
}

/* ---- behind a value: fields, methods, items ---- */

static enum err refuse_selection(struct parser *parser, const struct cel_expression *operand)
{
	enum err err = unexpected(parser, "the name of a field or a method");
	if (operand->kind == EXPR_LITERAL && operand->literal.type == CEL_INT) {
		cel_advise(parser->problem,
			"a double has a digit behind its point: write %" PRId64 ".0",
			operand->literal.as.integer);
	}
	return err;
}

static enum err parse_selection(struct parser *parser, struct cel_expression **node)
{
	bool is_optional = false;
	enum err err = cel_next_token(parser);
	if (err == OK) {
		err = accept(parser, TOKEN_QUESTION, &is_optional);
	}
	if (err == OK && !is_token(parser, TOKEN_NAME) && !is_token(parser, TOKEN_QUOTED_NAME)) {
		err = refuse_selection(parser, *node);
	}
	if (err != OK) {
		return err;
	}
	const struct token name = parser->token;
	err = cel_next_token(parser);
	if (err != OK) {
		return err;
	}
	if (is_token(parser, TOKEN_OPEN_PARENTHESIS) && name.kind == TOKEN_NAME && !is_optional) {
		const struct cel_expression call = {.kind = EXPR_CALL,
			.offset = name.offset,
			.text = name.text,
			.is_member = true};
		return parse_call(parser, &call, *node, node);
	}
	const struct cel_expression selection = {.kind = EXPR_SELECT,
		.offset = name.offset,
		.text = name.text,
		.is_optional = is_optional};
	struct cel_expression *const children[] = {*node};
	return cel_make_node(parser, &selection, children, 1, node);
}

/* NOLINTNEXTLINE(misc-no-recursion): nesting, which parse_expression bounds */
static enum err parse_index(struct parser *parser, struct cel_expression **node)
{
	struct cel_expression index = {.kind = EXPR_INDEX, .offset = parser->token.offset};
	struct cel_expression *children[] = {*node, NULL};
	enum err err = cel_next_token(parser);
	if (err == OK) {
		err = accept(parser, TOKEN_QUESTION, &index.is_optional);
	}
	if (err == OK) {
		err = parse_expression(parser, &children[1]);
	}
	if (err == OK) {
		err = expect(parser, TOKEN_CLOSE_BRACKET, "']'");
	}
	return err == OK ? cel_make_node(parser, &index, children, 2, node) : err;
}

/* The name of a message type: plain names with points between. */
static bool is_type_name(const struct cel_expression *node)
{
	while (node->kind == EXPR_SELECT && !node->is_optional) {
		node = node->children[0];
	}
	return node->kind == EXPR_NAME;
}

static enum err type_name(
	struct parser *parser, const struct cel_expression *node, struct bytes *ret_name)
{
	struct buffer name = {0};
	enum err err = cel_print_expression(&name, node);
	if (err == OK) {
		*ret_name = arena_copy(parser->arena, buffer_bytes(&name));
		err = ret_name->data ? OK : ERR_MEMORY;
	}
	buffer_fini(&name);
	return err;
}

static enum err parse_message(struct parser *parser, struct cel_expression **node)
{
	struct cel_expression message = {.kind = EXPR_MESSAGE, .offset = (*node)->offset};
	enum err err = type_name(parser, *node, &message.text);
	return err == OK ? parse_bracketed(parser, &message, TOKEN_CLOSE_BRACE, parse_field, node)
			 : err;
}

/* NOLINTNEXTLINE(misc-no-recursion): nesting, which parse_expression bounds */
static enum err parse_postfix(struct parser *parser, struct cel_expression **node)
{
	enum err err = OK;
	for (;;) {
		if (err != OK) {
			return err;
		}
		if (is_token(parser, TOKEN_POINT)) {
			err = parse_selection(parser, node);
		} else if (is_token(parser, TOKEN_OPEN_BRACKET)) {
			err = parse_index(parser, node);
		} else if (is_token(parser, TOKEN_OPEN_BRACE) && is_type_name(*node)) {
			err = parse_message(parser, node);
		} else {
			return OK;
		}
	}
}

/* ---- operators ---- */

/* A minus that directly precedes a number belongs to it. */
static bool negate_literal(struct token *token)
{
	if (token->is_least) {
		token->literal = cel_int(INT64_MIN);
		token->is_least = false;
		return true;
	}
	if (token->kind == TOKEN_LITERAL && token->literal.type == CEL_INT) {
		token->literal.as.integer = -token->literal.as.integer;
		return true;
	}
	if (token->kind == TOKEN_LITERAL && token->literal.type == CEL_DOUBLE) {
		token->literal.as.real = -token->literal.as.real;
		return true;
	}
	return false;
}

/* A run of one sign, and what it stands before. */
/* NOLINTNEXTLINE(misc-no-recursion): nesting, which parse_expression bounds */
static enum err parse_unary(struct parser *parser, struct cel_expression **ret_node)
{
	uint32_t offset = parser->token.offset;
	bool is_minus = is_operator(parser, OP_SUBTRACT);
	uint32_t signs = 0;
	enum err err = OK;
	while (err == OK &&
		(is_minus ? is_operator(parser, OP_SUBTRACT) : is_token(parser, TOKEN_NOT))) {
		signs++;
		err = cel_next_token(parser);
		if (err == OK && signs > parser->limits->depth) {
			err = cel_too_large(
				parser, offset, "nesting", parser->limits->depth, "levels");
		}
	}
	if (err == OK && is_minus && negate_literal(&parser->token)) {
		signs--;
	}
	if (err == OK) {
		err = parse_primary(parser, ret_node);
	}
	if (err == OK) {
		err = parse_postfix(parser, ret_node);
	}
	const struct cel_expression node = {.kind = EXPR_OPERATOR,
		.operation = is_minus ? OP_NEGATE : OP_NOT,
		.offset = offset};
	while (err == OK && signs-- > 0) {
		struct cel_expression *const children[] = {*ret_node};
		err = cel_make_node(parser, &node, children, 1, ret_node);
	}
	return err;
}

/* How tightly an operator between two operands binds; 0: it is none. */
static int precedence_of(const struct token *token)
{
	static const uint8_t precedence[] = {
		[OP_OR] = 1,
		[OP_AND] = 2,
		[OP_EQUAL] = 3,
		[OP_NOT_EQUAL] = 3,
		[OP_LESS] = 3,
		[OP_LESS_OR_EQUAL] = 3,
		[OP_GREATER] = 3,
		[OP_GREATER_OR_EQUAL] = 3,
		[OP_IN] = 3,
		[OP_ADD] = 4,
		[OP_SUBTRACT] = 4,
		[OP_MULTIPLY] = 5,
		[OP_DIVIDE] = 5,
		[OP_MODULO] = 5,
	};
	return token->kind == TOKEN_OPERATOR ? precedence[token->operation] : 0;
}

/* Operands joined by operators that bind at least as tightly as `least`. */
/* NOLINTNEXTLINE(misc-no-recursion): once for each precedence, and nesting */
static enum err parse_binary(struct parser *parser, int least, struct cel_expression **ret_node)
{
	enum err err = parse_unary(parser, ret_node);
	while (err == OK && precedence_of(&parser->token) >= least) {
		const struct cel_expression node = {.kind = EXPR_OPERATOR,
			.operation = parser->token.operation,
			.offset = parser->token.offset};
		int precedence = precedence_of(&parser->token);
		bool is_chain = node.operation == OP_AND || node.operation == OP_OR;
		struct children operands;
		children_init(&operands);
		err = add_child(parser, &operands, *ret_node);
		do {
			struct cel_expression *operand = NULL;
			if (err == OK) {
				err = cel_next_token(parser);
			}
			if (err == OK) {
				err = parse_binary(parser, precedence + 1, &operand);
			}
			if (err == OK) {
				err = add_child(parser, &operands, operand);
			}
		} while (err == OK && is_chain &&
			is_operator(parser, (enum expr_operator)node.operation));
		if (err == OK) {
			err = cel_make_node(parser, &node, operands.all, operands.count, ret_node);
		}
	}
	return err;
}

/* e ? a : b, where b may be another one. */
/* NOLINTNEXTLINE(misc-no-recursion): nesting, which is bounded here */
static enum err parse_conditional(struct parser *parser, struct cel_expression **ret_node)
{
	enum err err = parse_binary(parser, 1, ret_node);
	if (err != OK || !is_token(parser, TOKEN_QUESTION)) {
		return err;
	}
	const struct cel_expression node = {
		.kind = EXPR_OPERATOR, .operation = OP_CONDITIONAL, .offset = parser->token.offset};
	struct cel_expression *children[] = {*ret_node, NULL, NULL};
	err = cel_next_token(parser);
	if (err == OK) {
		err = parse_binary(parser, 1, &children[1]);
	}
	if (err == OK) {
		err = expect(parser, TOKEN_COLON, "':' and the other value");
	}
	if (err == OK) {
		err = parse_expression(parser, &children[2]);
	}
	return err == OK ? cel_make_node(parser, &node, children, 3, ret_node) : err;
}

/* NOLINTNEXTLINE(misc-no-recursion): nesting, which is bounded here */
static enum err parse_expression(struct parser *parser, struct cel_expression **ret_node)
{
	if (parser->depth == parser->limits->depth) {
		return cel_too_large(
			parser, parser->token.offset, "nesting", parser->limits->depth, "levels");
	}
	parser->depth++;
	enum err err = parse_conditional(parser, ret_node);
	parser->depth--;
	return err;
}

/* ---- the whole ---- */

static enum err check_source(struct parser *parser)
{
	struct bytes source = parser->source;
	if (source.size > parser->limits->source_bytes) {
		return cel_too_large(
			parser, 0, "of an expression", parser->limits->source_bytes, "bytes");
	}
	size_t good = bytes_utf8_prefix(source);
	return good == source.size
		? OK
		: cel_wrong(parser, (uint32_t)good, "an expression must be UTF-8");
}

enum err cel_parse(struct arena *arena, struct bytes source, const struct cel_limits *limits,
	struct cel_problem *ret_problem, struct cel_expression **ret_expression)
{
	struct parser parser = {
		.arena = arena, .source = source, .limits = limits, .problem = ret_problem};
	struct cel_expression *root = NULL;
	enum err err = check_source(&parser);
	if (err == OK) {
		err = cel_next_token(&parser);
	}
	if (err == OK) {
		err = parse_expression(&parser, &root);
	}
	if (err == OK && !is_token(&parser, TOKEN_END)) {
		err = unexpected(&parser, "an operator, or the end,");
	}
	if (err == OK) {
		check(root);
		root->source = source;
		root->nodes_count = parser.nodes;
		*ret_expression = root;
	}
	return err;
}
