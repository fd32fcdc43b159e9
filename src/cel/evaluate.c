/*
 * Evaluation: true, false or an error. A missing field is an error for every operator; what kinds
 * that do not fit give is each operator's own affair. `&&` and `||` look at all their children
 * until one decides, so an error before that one does not count.
 */
#include "cel_priv.h"

#include <math.h>

#define SEARCHED_MIN 16 /* items: fewer are looked at one by one */

static enum cel_outcome outcome_of(bool holds)
{
	return holds ? CEL_IS_TRUE : CEL_IS_FALSE;
}

static enum cel_outcome opposite_of(enum cel_outcome outcome)
{
	return outcome == CEL_IS_ERROR ? CEL_IS_ERROR : outcome_of(outcome == CEL_IS_FALSE);
}

/* Whoever counts failures has given a run. */
static enum cel_outcome failed(const struct cel_input *input, enum cel_failure failure)
{
	if (input->run) {
		input->run->failure = failure;
	}
	return CEL_IS_ERROR;
}

static bool list_has(const struct value *list, const struct value *wanted)
{
	const struct value *item = list + 1;
	for (uint32_t i = 0; i < list->size; i++) {
		if (value_equal(item, wanted)) {
			return true;
		}
		item = value_after(item);
	}
	return false;
}

/* Whether a scalar that is written so is among those in canonical order. */
static bool search(const struct value *list, const struct value *wanted)
{
	uint32_t low = 0;
	uint32_t high = list->size;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int found = cel_order_cells(wanted, &list[1 + middle]);
		if (found == 0) {
			return true;
		}
		low = found > 0 ? middle + 1 : low;
		high = found < 0 ? middle : high;
	}
	return false;
}

/*
 * Among scalars in canonical order. A large integer also equals the double that it is rounded to;
 * to a large double many integers are rounded, so each item is looked at.
 */
static bool search_equal(const struct value *list, const struct value *field)
{
	const double exact_below = 9007199254740992.0;
	struct value wanted = cel_canonical_cell(*field);
	switch ((enum value_kind)wanted.kind) {
	case VALUE_INT:
	case VALUE_UINT: {
		const struct value rounded = {.kind = VALUE_DOUBLE,
			.as.real = wanted.kind == VALUE_INT ? (double)wanted.as.integer
							    : (double)wanted.as.unsigned_integer};
		return search(list, &wanted) || search(list, &rounded);
	}
	case VALUE_DOUBLE:
		return fabs(wanted.as.real) < exact_below ? search(list, &wanted)
							  : list_has(list, field);
	case VALUE_NULL:
	case VALUE_BOOL:
	case VALUE_STRING:
		return search(list, &wanted);
	case VALUE_NONE:
	case VALUE_LIST:
	case VALUE_OBJECT:
		break;
	}
	return false;
}

/*
 * `field in constants`, whose items may be in order. Not inlined, nor is what follows: the
 * registers that they need would be saved for every comparison.
 */
__attribute__((noinline)) static bool is_in(const struct cel_node *node, const struct value *field)
{
	const struct value *list = node->constant;
	return node->is_sorted && list->size >= SEARCHED_MIN ? search_equal(list, field)
							     : list_has(list, field);
}

/* `constant in field`: the keys of objects are strings, so another constant is none of them. */
__attribute__((noinline)) static enum cel_outcome contains(
	const struct value *field, const struct value *constant)
{
	if (field->kind == VALUE_LIST) {
		return outcome_of(list_has(field, constant));
	}
	if (field->kind == VALUE_OBJECT) {
		return outcome_of(constant->kind == VALUE_STRING &&
			value_member(field, value_text(constant)));
	}
	return CEL_IS_ERROR;
}

__attribute__((noinline)) static enum cel_outcome starts_with(
	const struct value *field, const struct value *constant)
{
	if (field->kind != VALUE_STRING) {
		return CEL_IS_ERROR;
	}
	struct bytes start = value_text(field);
	start.size = start.size < constant->size ? start.size : constant->size;
	return outcome_of(bytes_equal(start, value_text(constant)));
}

static bool order(const struct value *field, const struct value *constant, int *ret_order)
{
	return value_compare(field, constant, ret_order) == OK;
}

/* Integers are what is mostly compared: for which orders, -1, 0 and 1, an operator holds. */
static enum cel_outcome compare_integers(enum cel_kind kind, int64_t field, int64_t constant)
{
	static const uint8_t holds[] = {
		[CEL_EQUAL] = 2,
		[CEL_NOT_EQUAL] = 1 | 4,
		[CEL_LESS] = 1,
		[CEL_LESS_OR_EQUAL] = 1 | 2,
		[CEL_GREATER] = 4,
		[CEL_GREATER_OR_EQUAL] = 2 | 4,
	};
	unsigned found = 1U + (field > constant) - (field < constant);
	return outcome_of(holds[kind] >> found & 1);
}

static enum cel_outcome compare(const struct cel_node *node, const struct value *field)
{
	const struct value *constant = node->constant;
	int found = 0;
	if (node->kind <= CEL_GREATER_OR_EQUAL && field->kind == VALUE_INT &&
		constant->kind == VALUE_INT) {
		return compare_integers(node->kind, field->as.integer, constant->as.integer);
	}
	switch (node->kind) {
	case CEL_EQUAL:
		return outcome_of(value_equal(field, constant));
	case CEL_NOT_EQUAL:
		return outcome_of(!value_equal(field, constant));
	case CEL_LESS:
		return order(field, constant, &found) ? outcome_of(found < 0) : CEL_IS_ERROR;
	case CEL_LESS_OR_EQUAL:
		return order(field, constant, &found) ? outcome_of(found <= 0) : CEL_IS_ERROR;
	case CEL_GREATER:
		return order(field, constant, &found) ? outcome_of(found > 0) : CEL_IS_ERROR;
	case CEL_GREATER_OR_EQUAL:
		return order(field, constant, &found) ? outcome_of(found >= 0) : CEL_IS_ERROR;
	case CEL_IN:
		return outcome_of(is_in(node, field));
	case CEL_STARTS_WITH:
		return starts_with(field, constant);
	case CEL_CONTAINS:
	case CEL_HAS:
	case CEL_TRUE:
	case CEL_AND:
	case CEL_OR:
	case CEL_NOT:
	case CEL_SAME:
	case CEL_PROGRAM:
		break;
	}
	check(node->kind == CEL_CONTAINS);
	return contains(field, constant);
}

enum cel_outcome cel_compare_with(
	const struct cel_node *comparison, const struct value *value, enum cel_failure *ret_failure)
{
	enum cel_outcome outcome = compare(comparison, value);
	if (outcome == CEL_IS_ERROR) {
		*ret_failure = CEL_FAILED_TYPE;
	}
	return outcome;
}

/* Of a field of the document; NULL and why, if there is none. */
static const struct value *find_field(
	const struct cel_field *field, const struct cel_input *input, enum cel_failure *ret_failure)
{
	const struct value *value = input->document;
	for (uint32_t i = 0; value && i < field->parts_count; i++) {
		if (value->kind != VALUE_OBJECT) {
			*ret_failure = CEL_FAILED_TYPE;
			return NULL;
		}
		value = value_member(value, field->parts[i]);
	}
	*ret_failure = CEL_FAILED_NAME; /* if so */
	return value;
}

const struct value *cel_field_value(const struct cel_field *field, const struct cel_input *input)
{
	enum cel_failure failure = CEL_FAILED_NAME;
	return field->root == CEL_ID ? NULL : find_field(field, input, &failure);
}

static bool unknown_id_is(const struct cel_input *input, const struct value *constant)
{
	return constant->kind == VALUE_STRING && input->id_is(input->id_ctx, value_text(constant));
}

static bool unknown_id_is_in(const struct cel_input *input, const struct value *list)
{
	const struct value *item = list + 1;
	for (uint32_t i = 0; i < list->size; i++) {
		if (unknown_id_is(input, item)) {
			return true;
		}
		item = value_after(item);
	}
	return false;
}

static enum cel_outcome compare_unknown_id(
	const struct cel_node *node, const struct cel_input *input)
{
	if (!input->id_is) {
		return failed(input, CEL_FAILED_NAME);
	}
	if (node->kind == CEL_EQUAL || node->kind == CEL_NOT_EQUAL) {
		bool is = unknown_id_is(input, node->constant);
		return outcome_of(is == (node->kind == CEL_EQUAL));
	}
	return node->kind == CEL_IN ? outcome_of(unknown_id_is_in(input, node->constant))
				    : failed(input, CEL_FAILED_NAME);
}

__attribute__((noinline)) static enum cel_outcome evaluate_id(
	const struct cel_node *node, const struct cel_input *input)
{
	if (input->id_is_unknown) {
		return compare_unknown_id(node, input);
	}
	const struct value id = value_string(input->id);
	enum cel_outcome outcome = compare(node, &id);
	return outcome == CEL_IS_ERROR ? failed(input, CEL_FAILED_TYPE) : outcome;
}

static enum cel_outcome evaluate_compare(const struct cel_node *node, const struct cel_input *input)
{
	if (node->field.root == CEL_ID) {
		return evaluate_id(node, input);
	}
	enum cel_failure failure = CEL_FAILED_NAME;
	const struct value *value = find_field(&node->field, input, &failure);
	if (!value) {
		return failed(input, failure);
	}
	enum cel_outcome outcome = compare(node, value);
	return outcome == CEL_IS_ERROR ? failed(input, CEL_FAILED_TYPE) : outcome;
}

__attribute__((noinline)) static enum cel_outcome evaluate_has(
	const struct cel_field *field, const struct cel_input *input)
{
	const uint32_t last = field->parts_count - 1;
	const struct cel_field around = {field->root, last, field->parts};
	enum cel_failure failure = CEL_FAILED_NAME;
	const struct value *value = find_field(&around, input, &failure);
	if (value && value->kind == VALUE_OBJECT) {
		return outcome_of(value_member(value, field->parts[last]) != NULL);
	}
	return failed(input, value ? CEL_FAILED_TYPE : failure);
}

/* Each program has the whole of the caller's steps and memory. */
__attribute__((noinline)) static enum cel_outcome evaluate_program(
	const struct cel_node *node, const struct cel_input *input)
{
	struct cel_run run = *input->run;
	struct cel_value value = cel_run_program(node->program, &run);
	if (value.type == CEL_BOOL) {
		return outcome_of(value.as.boolean);
	}
	bool is_error = value.type == CEL_ERROR;
	return failed(input, is_error ? (enum cel_failure)value.size : CEL_FAILED_TYPE);
}

/* What most children are is evaluated here, without a call. */
/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static inline enum cel_outcome evaluate_child(
	const struct cel_node *node, const struct cel_input *input)
{
	bool is_comparison = node->kind >= CEL_EQUAL && node->kind <= CEL_STARTS_WITH;
	return is_comparison ? evaluate_compare(node, input) : cel_evaluate(node, input);
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static enum cel_outcome evaluate_join(
	const struct cel_node *node, enum cel_outcome decisive, const struct cel_input *input)
{
	enum cel_outcome outcome = opposite_of(decisive);
	for (uint32_t i = 0; i < node->children_count; i++) {
		enum cel_outcome child = evaluate_child(node->children[i], input);
		if (child == decisive) {
			return decisive;
		}
		if (child == CEL_IS_ERROR) {
			outcome = CEL_IS_ERROR;
		}
	}
	return outcome;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
__attribute__((noinline)) static enum cel_outcome evaluate_same(
	const struct cel_node *node, const struct cel_input *input)
{
	enum cel_outcome first = evaluate_child(node->children[0], input);
	if (first == CEL_IS_ERROR) {
		return CEL_IS_ERROR;
	}
	enum cel_outcome second = evaluate_child(node->children[1], input);
	return first == CEL_IS_TRUE ? second : opposite_of(second);
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
enum cel_outcome cel_evaluate(const struct cel_node *node, const struct cel_input *input)
{
	switch (node->kind) {
	case CEL_TRUE:
		return CEL_IS_TRUE;
	case CEL_AND:
		return evaluate_join(node, CEL_IS_FALSE, input);
	case CEL_OR:
		return evaluate_join(node, CEL_IS_TRUE, input);
	case CEL_NOT:
		return opposite_of(cel_evaluate(node->children[0], input));
	case CEL_SAME:
		return evaluate_same(node, input);
	case CEL_EQUAL:
	case CEL_NOT_EQUAL:
	case CEL_LESS:
	case CEL_LESS_OR_EQUAL:
	case CEL_GREATER:
	case CEL_GREATER_OR_EQUAL:
	case CEL_IN:
	case CEL_CONTAINS:
	case CEL_STARTS_WITH:
		return evaluate_compare(node, input);
	case CEL_HAS:
		return evaluate_has(&node->field, input);
	case CEL_PROGRAM:
		break;
	}
	return evaluate_program(node, input);
}
