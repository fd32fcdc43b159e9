/*
 * What is done with a parsed expression before it is compiled: names, types, the estimate, and
 * patterns last, because they take time. An expression is checked once.
 */
#include "function_priv.h"

#include "expression_priv.h"

#include <inttypes.h>

static enum err check_cost(const struct cel_expression *expression, const struct cel_limits *limits,
	struct cel_problem *ret_problem)
{
	uint64_t cost = cel_estimate(expression);
	if (cost <= limits->cost) {
		return OK;
	}
	enum err err = cel_refuse(ret_problem, expression->source, 0, CEL_TOO_DEAR,
		"this could take %" PRIu64 " steps on a large document, at most %" PRIu64
		" are allowed",
		cost, limits->cost);
	cel_advise(ret_problem,
		"avoid a macro within a macro over the same list, and patterns that are not "
		"constant");
	return err;
}

/* ---- patterns that are written out ---- */

struct patterns {
	const struct cel_expression *root;
	struct cel_regexes *regexes;
	struct cel_problem *problem;
	uint64_t bytes_max, bytes; /* of what those before are compiled to */
};

static bool takes_pattern(const struct cel_expression *node)
{
	size_t count = 0;
	if (node->kind != EXPR_CALL || node->children_count < 2 ||
		node->children[1]->kind != EXPR_LITERAL ||
		node->children[1]->literal.type != CEL_STRING) {
		return false;
	}
	const struct cel_function *functions =
		cel_functions(node->text, node->is_member ? STYLE_MEMBER : STYLE_GLOBAL, &count);
	return functions && functions[0].cost == COST_REGEX;
}

static enum err check_pattern(struct patterns *patterns, const struct cel_expression *pattern)
{
	struct err_info info = {0};
	uint64_t bytes = 0;
	enum err err =
		cel_regex_check(patterns->regexes, cel_text(pattern->literal), &info, &bytes);
	patterns->bytes += bytes;
	const char *hint = "make it shorter, or its repetitions fewer";
	if (err == OK && patterns->bytes > patterns->bytes_max) {
		(void)err_set(&info, ERR_LIMIT, 0,
			"the patterns up to this one take more than %" PRIu64
			" bytes when they are compiled",
			patterns->bytes_max);
		err = ERR_LIMIT;
		hint = "make them fewer or shorter; (?:a|b) looks for both at once";
	} else if (err == ERR_INVALID) {
		hint = "patterns are RE2's, without look-around and references to groups; "
		       "r\"...\" keeps backslashes";
	}
	if (err == OK || err == ERR_MEMORY) {
		return err;
	}
	err = cel_refuse(patterns->problem, patterns->root->source, pattern->offset,
		err == ERR_LIMIT ? CEL_TOO_LARGE : CEL_SYNTAX, "%s", info.text);
	cel_advise(patterns->problem, "%s", hint);
	return err;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err check_patterns(struct patterns *patterns, const struct cel_expression *node)
{
	enum err err = takes_pattern(node) ? check_pattern(patterns, node->children[1]) : OK;
	for (uint32_t i = 0; err == OK && i < node->children_count; i++) {
		err = check_patterns(patterns, node->children[i]);
	}
	return err;
}

enum err cel_check(struct arena *arena, struct cel_expression *expression,
	const struct cel_scope *scope, const struct cel_limits *limits,
	struct cel_problem *ret_problem)
{
	enum err err = cel_resolve(arena, expression, scope, ret_problem);
	if (err == OK) {
		err = cel_deduce(arena, expression, scope, ret_problem);
	}
	if (err == OK) {
		err = cel_cost(arena, expression);
	}
	if (err == OK) {
		err = check_cost(expression, limits, ret_problem);
	}
	if (err == OK && scope->regexes) {
		struct patterns patterns = {.root = expression,
			.regexes = scope->regexes,
			.problem = ret_problem,
			.bytes_max = limits->memory_bytes};
		err = check_patterns(&patterns, expression);
	}
	return err;
}
