/* What the files of the parser share: tokens, one at a time, and the making of nodes. */
#ifndef CEL_PARSE_PRIV_H
#define CEL_PARSE_PRIV_H

#include "expression_priv.h"

enum token_kind {
	TOKEN_END,
	TOKEN_NAME,        /* `text`; reserved words too */
	TOKEN_QUOTED_NAME, /* in backticks; `text` is without them */
	TOKEN_LITERAL,     /* `literal`; an integer without its sign */
	TOKEN_QUESTION,
	TOKEN_COLON,
	TOKEN_POINT,
	TOKEN_COMMA,
	TOKEN_OPEN_PARENTHESIS,
	TOKEN_CLOSE_PARENTHESIS,
	TOKEN_OPEN_BRACKET,
	TOKEN_CLOSE_BRACKET,
	TOKEN_OPEN_BRACE,
	TOKEN_CLOSE_BRACE,
	TOKEN_NOT,
	TOKEN_OPERATOR, /* between two operands: `operator`; the minus is one */
};

struct token {
	enum token_kind kind;
	uint8_t operation;    /* enum expr_operator */
	bool is_least;        /* LITERAL: 2^63, an int only behind a minus; the literal is a uint */
	uint32_t offset, end; /* in the source */
	struct bytes text;
	struct cel_value literal;
};

struct parser {
	struct arena *arena;
	struct bytes source;
	const struct cel_limits *limits;
	struct cel_problem *problem;
	struct token token; /* that is looked at */
	uint32_t depth;     /* of the calls that parse it */
	uint32_t nodes;
};

/* ---- lex.c ---- */

/* Goes on to the next token. */
enum err cel_next_token(struct parser *parser) MUST_CHECK;

/* A problem at a place, of the kind SYNTAX. */
enum err cel_wrong(struct parser *parser, uint32_t offset, const char *format, ...)
	PRINTF_LIKE(3, 4);
/* A limit that is exceeded: "nesting", 100, "levels". */
enum err cel_too_large(
	struct parser *parser, uint32_t offset, const char *what, uint64_t most, const char *unit);

/* ---- literal.c: the token's literal, from its offset to *end, which is set ---- */

enum err cel_read_number(struct parser *parser, struct token *token) MUST_CHECK;
/* `offset` is that of the prefix, or of the quote. */
enum err cel_read_string(struct parser *parser, struct token *token) MUST_CHECK;
bool cel_begins_string(struct bytes rest);

/* ---- parse.c ---- */

/* A node with a copy of the children; counts it, and bounds depth and number. */
enum err cel_make_node(struct parser *parser, const struct cel_expression *node,
	struct cel_expression *const *children, size_t count,
	struct cel_expression **ret_node) MUST_CHECK;

/* ---- macro.c ---- */

/* The macro that a call is, or the call itself. */
enum err cel_expand_macro(struct parser *parser, struct cel_expression *call,
	struct cel_expression **ret_node) MUST_CHECK;

#endif
