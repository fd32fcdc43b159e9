/*
 * What an evaluation may cost at worst, in the steps that it is charged while it runs: one for each
 * node, one for each 16 bytes or items that are looked at.
 *
 * A part of the document is taken to be as large as a document can usefully be: TEXT_MAX bytes or
 * ITEMS_MAX items. The parts of all items of one list together are no larger than the document, so
 * a macro over a part of another macro's variable (orders, and the lines of each) costs once for
 * all rounds of the outer one, not once for each; a macro over the same list again costs the
 * product.
 */
#include "function_priv.h"

#include "expression_priv.h"

#define TEXT_MAX UINT64_C(1048576)
#define ITEMS_MAX UINT64_C(100000)
#define REGEX_STEPS 10000 /* a pattern that is compiled anew */
#define TIME_STEPS 200    /* the rules of a time zone are read */

enum { NOBODY = -2, DOCUMENT = -1 };

struct estimator {
	struct expr_cost *locals;            /* by the number of a macro's variable */
	const struct cel_expression *around; /* the innermost macro that goes round */
};

static uint64_t add(uint64_t a, uint64_t b)
{
	uint64_t sum = a + b;
	return sum < a ? UINT64_MAX : sum;
}

static uint64_t multiply(uint64_t a, uint64_t b)
{
	uint64_t product = 0;
	return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool has_size(enum cel_type type)
{
	return type == CEL_STRING || type == CEL_BYTES || type == CEL_LIST || type == CEL_MAP ||
		type == CEL_DYN || type == CEL_OPTIONAL;
}

/* The children's steps together with one for the node itself. */
static struct expr_cost sum_of_children(const struct cel_expression *node)
{
	struct expr_cost sum = {1, 0, 0, NOBODY};
	for (uint32_t i = 0; i < node->children_count; i++) {
		struct expr_cost child = node->children[i]->cost;
		sum.steps = add(sum.steps, child.steps);
		sum.shared = add(sum.shared, child.shared);
		sum.size = add(sum.size, child.size);
	}
	return sum;
}

/* ---- variables and parts ---- */

/* What is at most in a part of a value, by the part's type. */
static uint64_t part_size(const struct expr_cost *whole, enum cel_type type)
{
	if (!has_size(type)) {
		return 0;
	}
	if (whole->owner == NOBODY) {
		return whole->size > TEXT_MAX ? whole->size : TEXT_MAX;
	}
	return type == CEL_LIST || type == CEL_MAP ? ITEMS_MAX : TEXT_MAX;
}

static bool binds(const struct cel_expression *macro, uint32_t local)
{
	return local >= macro->index && local < macro->index + macro->variables_count;
}

/* A binding is evaluated where it is first used; its steps are counted with its macro. */
static void set_locals(struct estimator *estimator, const struct cel_expression *macro)
{
	struct expr_cost range = macro->children[0]->cost;
	for (uint32_t local = macro->index; binds(macro, local); local++) {
		bool is_value = macro->macro == MACRO_BIND;
		int64_t owner = range.owner == NOBODY ? NOBODY : (int64_t)local;
		uint64_t size = range.owner == NOBODY ? range.size : TEXT_MAX;
		estimator->locals[local] = (struct expr_cost){
			1, 0, is_value ? range.size : size, is_value ? range.owner : owner};
	}
}

static struct expr_cost cost_of_part(const struct cel_expression *node)
{
	struct expr_cost sum = sum_of_children(node);
	struct expr_cost whole = node->children[0]->cost;
	sum.owner = whole.owner;
	sum.size = node->kind == EXPR_HAS ? 0 : part_size(&whole, node->type->type);
	return sum;
}

/* ---- operators and calls ---- */

/*
 * Adds the steps that looking at `part` takes. Parts of all rounds' items together are no larger
 * than the document: what looks at one in each round counts once for all of them.
 */
static void charge(const struct estimator *estimator, struct expr_cost *sum,
	const struct expr_cost *part, uint64_t steps)
{
	bool is_of_round = estimator->around && part->owner >= 0 &&
		binds(estimator->around, (uint32_t)part->owner);
	uint64_t *total = is_of_round ? &sum->shared : &sum->steps;
	*total = add(*total, steps);
}

static struct expr_cost cost_of_operator(
	const struct estimator *estimator, const struct cel_expression *node)
{
	struct expr_cost sum = sum_of_children(node);
	if (node->children_count != 2 || node->operation == OP_AND || node->operation == OP_OR) {
		sum.size = has_size(node->type->type) ? sum.size : 0;
		return sum;
	}
	const struct expr_cost *left = &node->children[0]->cost;
	const struct expr_cost *right = &node->children[1]->cost;
	const struct expr_cost *smaller = left->size < right->size ? left : right;
	if (node->operation == OP_IN) {
		charge(estimator, &sum, right, least(right->size, ITEMS_MAX));
	} else if (node->operation == OP_ADD) {
		charge(estimator, &sum, left, left->size / 16);
		charge(estimator, &sum, right, right->size / 16);
	} else {
		charge(estimator, &sum, smaller, smaller->size / 16);
	}
	sum.size = node->operation == OP_ADD && has_size(node->type->type) ? sum.size : 0;
	return sum;
}

/* A number that says how large a result is: of lists.range(n), say. */
static uint64_t size_asked(const struct cel_expression *call)
{
	uint64_t asked = 0;
	for (uint32_t i = 0; i < call->children_count; i++) {
		const struct cel_expression *child = call->children[i];
		if (child->kind == EXPR_LITERAL && child->literal.type == CEL_INT) {
			int64_t number = child->literal.as.integer;
			asked = add(asked, number > 0 ? (uint64_t)number : 0);
		} else if (child->type->type == CEL_INT) {
			asked = add(asked, ITEMS_MAX);
		}
	}
	return asked;
}

/* Of two texts or lists that are compared with each other all over, or of one with itself. */
static uint64_t product_of(const struct cel_expression *call)
{
	uint64_t first = add(call->children[0]->cost.size, 1);
	uint64_t second = call->children_count > 1 ? add(call->children[1]->cost.size, 1) : first;
	return multiply(first, second);
}

static bool has_constant_pattern(const struct cel_expression *call)
{
	return call->children_count > 1 && call->children[1]->kind == EXPR_LITERAL;
}

static void charge_call(const struct estimator *estimator, const struct cel_expression *call,
	enum cel_cost cost, struct expr_cost *sum)
{
	uint64_t asked = size_asked(call);
	if (cost == COST_PRODUCT) {
		charge(estimator, sum, &call->children[0]->cost, product_of(call) / 16);
		return;
	}
	uint64_t bytes = cost == COST_REGEX ? 4 : 16; /* that a step looks at */
	for (uint32_t i = 0; cost != COST_ONE && i < call->children_count; i++) {
		const struct expr_cost *argument = &call->children[i]->cost;
		charge(estimator, sum, argument, argument->size / bytes);
	}
	if (cost == COST_SIZE) {
		sum->steps = add(sum->steps, asked / 16);
	} else if (cost == COST_REGEX && !has_constant_pattern(call)) {
		sum->steps = add(sum->steps, REGEX_STEPS);
	} else if (cost == COST_TIME) {
		sum->steps = add(sum->steps, TIME_STEPS);
	}
}

static struct expr_cost cost_of_call(
	const struct estimator *estimator, const struct cel_expression *call)
{
	struct expr_cost sum = sum_of_children(call);
	size_t count = 0;
	const struct cel_function *functions =
		cel_functions(call->text, call->is_member ? STYLE_MEMBER : STYLE_GLOBAL, &count);
	enum cel_cost cost = functions ? (enum cel_cost)functions[0].cost : COST_ONE;
	uint64_t size = add(sum.size, size_asked(call));
	if (call->children_count > 0) {
		charge_call(estimator, call, cost, &sum);
		size = cost == COST_PRODUCT ? add(size, product_of(call)) : size;
	}
	sum.size = has_size(call->type->type) ? size : 0;
	return sum;
}

/* ---- macros ---- */

static struct expr_cost cost_of_loop(
	const struct estimator *estimator, const struct cel_expression *macro)
{
	struct expr_cost range = macro->children[0]->cost;
	struct expr_cost body = {1, 0, 0, NOBODY};
	for (uint32_t i = 1; i < macro->children_count; i++) {
		body.steps = add(body.steps, macro->children[i]->cost.steps);
		body.shared = add(body.shared, macro->children[i]->cost.shared);
	}
	uint64_t rounds = range.owner == NOBODY ? range.size : least(range.size, ITEMS_MAX);
	uint64_t pass = add(multiply(rounds, body.steps), body.shared);
	if (macro->macro == MACRO_SORT_BY) {
		pass = add(pass, multiply(rounds, 17)); /* the binary logarithm of ITEMS_MAX */
	}
	bool is_part_of_round = estimator->around && range.owner >= 0 &&
		binds(estimator->around, (uint32_t)range.owner);
	struct expr_cost all = {add(range.steps, 1), range.shared, 0, NOBODY};
	if (is_part_of_round) {
		all.shared = add(all.shared, pass);
	} else {
		all.steps = add(all.steps, pass);
	}
	bool keeps_items = macro->macro == MACRO_FILTER || macro->macro == MACRO_SORT_BY;
	all.size = has_size(macro->type->type) ? rounds : 0;
	all.owner = keeps_items ? range.owner : NOBODY;
	return all;
}

static bool goes_round(const struct cel_expression *macro)
{
	return macro->macro != MACRO_BIND && macro->macro != MACRO_OPT_MAP &&
		macro->macro != MACRO_OPT_FLAT_MAP;
}

static void estimate(struct estimator *estimator, struct cel_expression *node);

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static struct expr_cost cost_of_macro(struct estimator *estimator, struct cel_expression *macro)
{
	const struct cel_expression *around = estimator->around;
	estimate(estimator, macro->children[0]);
	set_locals(estimator, macro);
	if (goes_round(macro)) {
		estimator->around = macro;
	}
	for (uint32_t i = 1; i < macro->children_count; i++) {
		estimate(estimator, macro->children[i]);
	}
	estimator->around = around;
	if (goes_round(macro)) {
		return cost_of_loop(estimator, macro);
	}
	struct expr_cost sum = sum_of_children(macro);
	struct expr_cost body = macro->children[macro->children_count - 1]->cost;
	sum.size = body.size;
	sum.owner = body.owner;
	return sum;
}

/* ---- the walk ---- */

static struct expr_cost cost_of_leaf(
	const struct estimator *estimator, const struct cel_expression *leaf)
{
	const struct expr_cost document = {1, 0, TEXT_MAX, DOCUMENT};
	struct expr_cost cost = {1, 0, 0, NOBODY};
	if (leaf->kind == EXPR_LITERAL) {
		cost.size = has_size((enum cel_type)leaf->literal.type) ? leaf->literal.size : 0;
	} else if (leaf->kind == EXPR_LOCAL) {
		cost = estimator->locals[leaf->index];
		cost.size = has_size(leaf->type->type) ? cost.size : 0;
	} else if (leaf->kind == EXPR_SLOT) {
		cost = document;
		cost.size = has_size(leaf->type->type) ? cost.size : 0;
	}
	return cost;
}

static struct expr_cost cost_of(
	const struct estimator *estimator, const struct cel_expression *node)
{
	struct expr_cost sum = {0};
	switch (node->kind) {
	case EXPR_SELECT:
	case EXPR_HAS:
	case EXPR_INDEX:
		return cost_of_part(node);
	case EXPR_OPERATOR:
		return cost_of_operator(estimator, node);
	case EXPR_CALL:
		return cost_of_call(estimator, node);
	case EXPR_LIST:
	case EXPR_MAP:
	case EXPR_MESSAGE:
		sum = sum_of_children(node);
		sum.size = node->children_count;
		return sum;
	case EXPR_LITERAL:
	case EXPR_NAME:
	case EXPR_SLOT:
	case EXPR_LOCAL:
	case EXPR_MACRO:
		break;
	}
	return cost_of_leaf(estimator, node);
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static void estimate(struct estimator *estimator, struct cel_expression *node)
{
	if (node->kind == EXPR_MACRO) {
		node->cost = cost_of_macro(estimator, node);
		return;
	}
	for (uint32_t i = 0; i < node->children_count; i++) {
		estimate(estimator, node->children[i]);
	}
	node->cost = cost_of(estimator, node);
}

enum err cel_cost(struct arena *arena, struct cel_expression *root)
{
	struct estimator estimator = {NULL, NULL};
	estimator.locals = arena_alloc(arena, root->locals_count * sizeof(*estimator.locals));
	if (!estimator.locals) {
		return ERR_MEMORY;
	}
	estimate(&estimator, root);
	return OK;
}

uint64_t cel_estimate(const struct cel_expression *expression)
{
	return add(expression->cost.steps, expression->cost.shared);
}
