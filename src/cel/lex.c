/*
 * From text to tokens. A source is known by its size, not by a NUL, and has been found to be UTF-8;
 * nothing here depends on a locale.
 */
#include "parse_priv.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum err cel_wrong(struct parser *parser, uint32_t offset, const char *format, ...)
{
	char text[sizeof(parser->problem->text)];
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return cel_refuse(parser->problem, parser->source, offset, CEL_SYNTAX, "%s", text);
}

enum err cel_too_large(
	struct parser *parser, uint32_t offset, const char *what, uint64_t most, const char *unit)
{
	return cel_refuse(parser->problem, parser->source, offset, CEL_TOO_LARGE,
		"too much %s: at most %" PRIu64 " %s", what, most, unit);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* The byte at an offset; NUL behind the end, where it is no token either. */
static char byte_at(const struct parser *parser, uint32_t offset)
{
	if (offset >= parser->source.size) {
		return '\0';
	}
	return parser->source.data[offset];
}

static uint32_t skip_blanks(const struct parser *parser, uint32_t at)
{
	for (;;) {
		char c = byte_at(parser, at);
		if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
			at++;
		} else if (c == '/' && byte_at(parser, at + 1) == '/') {
			while (at < parser->source.size && parser->source.data[at] != '\n') {
				at++;
			}
		} else {
			return at;
		}
	}
}

/* ---- names ---- */

static enum err read_name(struct parser *parser, struct token *token)
{
	while (is_letter(byte_at(parser, token->end)) || is_digit(byte_at(parser, token->end))) {
		token->end++;
	}
	struct bytes text = {parser->source.data + token->offset, token->end - token->offset};
	token->text = text;
	token->kind = TOKEN_NAME;
	if (text.size > 5) {
		return OK;
	}
	if (bytes_equal(text, bytes_of("in"))) {
		token->kind = TOKEN_OPERATOR;
		token->operation = OP_IN;
	} else if (bytes_equal(text, bytes_of("true")) || bytes_equal(text, bytes_of("false"))) {
		token->kind = TOKEN_LITERAL;
		token->literal = cel_bool(text.size == 4);
	} else if (bytes_equal(text, bytes_of("null"))) {
		token->kind = TOKEN_LITERAL;
		token->literal = cel_null();
	}
	return OK;
}

static bool is_quotable(char c)
{
	return is_letter(c) || is_digit(c) || c == '.' || c == '-' || c == '/' || c == ' ';
}

static enum err read_quoted_name(struct parser *parser, struct token *token)
{
	uint32_t start = token->offset + 1;
	uint32_t end = start;
	while (is_quotable(byte_at(parser, end))) {
		end++;
	}
	if (byte_at(parser, end) != '`' || end == start) {
		enum err err = cel_wrong(parser, end, "a name in backticks ends here");
		cel_advise(parser->problem,
			"it may have letters, digits, _ . - / and blanks; for others write "
			"x[\"name\"]");
		return err;
	}
	token->kind = TOKEN_QUOTED_NAME;
	token->text = (struct bytes){parser->source.data + start, end - start};
	token->end = end + 1;
	return OK;
}

/* ---- signs ---- */

static const struct sign {
	char text[3];
	uint8_t kind, operation;
} signs[] = {
	/* the longer ones first */
	{"==", TOKEN_OPERATOR, OP_EQUAL},
	{"!=", TOKEN_OPERATOR, OP_NOT_EQUAL},
	{"<=", TOKEN_OPERATOR, OP_LESS_OR_EQUAL},
	{">=", TOKEN_OPERATOR, OP_GREATER_OR_EQUAL},
	{"&&", TOKEN_OPERATOR, OP_AND},
	{"||", TOKEN_OPERATOR, OP_OR},
	{"<", TOKEN_OPERATOR, OP_LESS},
	{">", TOKEN_OPERATOR, OP_GREATER},
	{"+", TOKEN_OPERATOR, OP_ADD},
	{"-", TOKEN_OPERATOR, OP_SUBTRACT},
	{"*", TOKEN_OPERATOR, OP_MULTIPLY},
	{"/", TOKEN_OPERATOR, OP_DIVIDE},
	{"%", TOKEN_OPERATOR, OP_MODULO},
	{"!", TOKEN_NOT, 0},
	{"?", TOKEN_QUESTION, 0},
	{":", TOKEN_COLON, 0},
	{".", TOKEN_POINT, 0},
	{",", TOKEN_COMMA, 0},
	{"(", TOKEN_OPEN_PARENTHESIS, 0},
	{")", TOKEN_CLOSE_PARENTHESIS, 0},
	{"[", TOKEN_OPEN_BRACKET, 0},
	{"]", TOKEN_CLOSE_BRACKET, 0},
	{"{", TOKEN_OPEN_BRACE, 0},
	{"}", TOKEN_CLOSE_BRACE, 0},
};

/* Signs of other languages, which begin like ours; nothing here may contain them. */
static const struct {
	char text[4];
	const char *hint;
} foreign_signs[] = {
	{"===", "equality is written =="},
	{"!==", "inequality is written !="},
	{"<>", "inequality is written !="},
	{"=<", "at most is written <="},
	{"=>", "at least is written >="},
};

static enum err refuse_foreign_sign(struct parser *parser, uint32_t offset)
{
	struct bytes rest = {parser->source.data + offset, parser->source.size - offset};
	for (size_t i = 0; i < sizeof(foreign_signs) / sizeof(foreign_signs[0]); i++) {
		size_t size = strlen(foreign_signs[i].text);
		if (rest.size >= size && memcmp(rest.data, foreign_signs[i].text, size) == 0) {
			enum err err = cel_wrong(
				parser, offset, "there is no operator '%s'", foreign_signs[i].text);
			cel_advise(parser->problem, "%s", foreign_signs[i].hint);
			return err;
		}
	}
	return OK;
}

/* U+2018 to U+201F: what a word processor makes of quotes. */
static bool is_curly_quote(const struct parser *parser, uint32_t offset)
{
	unsigned char third = (unsigned char)byte_at(parser, offset + 2);
	return byte_at(parser, offset) == '\xE2' && byte_at(parser, offset + 1) == '\x80' &&
		third >= 0x98 && third <= 0x9F;
}

static enum err refuse_character(struct parser *parser, uint32_t offset)
{
	static const struct {
		char character;
		const char *hint;
	} hints[] = {
		{'=', "equality is written =="},
		{'&', "write && for and"},
		{'|', "write || for or"},
		{'~', "a pattern is matched by x.matches(\"pattern\")"},
		{'`', "a name in backticks stands behind a point only"},
		{'#', "a comment begins with //"},
		{';', "an expression has one value, and no statements"},
		{'$', "names begin with a letter or _"},
		{'@', "names begin with a letter or _"},
		{'\\', "escapes are for texts in quotes"},
	};
	unsigned char byte = (unsigned char)parser->source.data[offset];
	enum err err = byte > 0x20 && byte < 0x7F
		? cel_wrong(parser, offset, "there is no operator '%c'", byte)
		: cel_wrong(parser, offset, "this character can only stand in quotes");
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		if ((char)byte == hints[i].character) {
			cel_advise(parser->problem, "%s", hints[i].hint);
		}
	}
	if (is_curly_quote(parser, offset)) {
		cel_advise(parser->problem, "write straight quotes: \" or '");
	}
	return err;
}

static enum err read_sign(struct parser *parser, struct token *token)
{
	char first = byte_at(parser, token->offset);
	char second = byte_at(parser, token->offset + 1);
	enum err err = refuse_foreign_sign(parser, token->offset);
	if (err != OK) {
		return err;
	}
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		const struct sign *sign = &signs[i];
		if (sign->text[0] == first && (!sign->text[1] || sign->text[1] == second)) {
			token->kind = (enum token_kind)sign->kind;
			token->operation = sign->operation;
			token->end = token->offset + (sign->text[1] ? 2 : 1);
			return OK;
		}
	}
	return refuse_character(parser, token->offset);
}

/* ---- tokens ---- */

static enum err read_token(struct parser *parser, struct token *token)
{
	char first = byte_at(parser, token->offset);
	struct bytes rest = {
		parser->source.data + token->offset, parser->source.size - token->offset};
	if (rest.size == 0) {
		token->kind = TOKEN_END;
		return OK;
	}
	if (cel_begins_string(rest)) {
		return cel_read_string(parser, token);
	}
	if (is_letter(first)) {
		return read_name(parser, token);
	}
	if (is_digit(first) || (first == '.' && is_digit(byte_at(parser, token->offset + 1)))) {
		return cel_read_number(parser, token);
	}
	return first == '`' ? read_quoted_name(parser, token) : read_sign(parser, token);
}

enum err cel_next_token(struct parser *parser)
{
	uint32_t offset = skip_blanks(parser, parser->token.end);
	struct token token = {.offset = offset, .end = offset};
	enum err err = read_token(parser, &token);
	if (err == OK) {
		parser->token = token;
	}
	return err;
}

bool cel_is_reserved(struct bytes name)
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
