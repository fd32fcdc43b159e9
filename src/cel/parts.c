/*
 * An expression taken apart, for those who want to know why it gave what it gave.
 */
#include "expression_priv.h"

static const char *advice_for(const struct cel_expression *node)
{
	if (node->kind != EXPR_OPERATOR || node->operation < OP_ADD ||
		node->operation > OP_DIVIDE) {
		return NULL;
	}
	for (uint32_t side = 0; side < 2; side++) {
		if (node->children[side]->type->type == CEL_DYN &&
			node->children[1 - side]->type->type == CEL_DOUBLE) {
			return "a whole number of a document is an int, and int and double do not "
			       "go together: write double(...)";
		}
	}
	return NULL;
}

struct search {
	size_t left; /* parts to pass over */
	struct cel_part part;
};

/* Whether the part was found below `node`, or is it. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static bool find(
	struct search *search, const struct cel_expression *node, uint32_t level, bool is_inside)
{
	if (search->left == 0) {
		search->part = (struct cel_part){
			.expression = node,
			.level = level,
			.is_bare_field = node->is_bare,
			.is_inside_macro = is_inside,
			.advice = advice_for(node),
		};
		return true;
	}
	search->left--;
	if (node->is_bare) {
		return false; /* the document below it is not written */
	}
	for (uint32_t i = 0; i < node->children_count; i++) {
		bool is_body = node->kind == EXPR_MACRO && i > 0;
		if (find(search, node->children[i], level + 1, is_inside || is_body)) {
			return true;
		}
	}
	return false;
}

bool cel_part_at(const struct cel_expression *expression, size_t index, struct cel_part *ret_part)
{
	struct search search = {.left = index};
	if (!find(&search, expression, 0, false)) {
		return false;
	}
	*ret_part = search.part;
	return true;
}
