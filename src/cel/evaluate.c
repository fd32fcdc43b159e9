/*
 * Evaluation: true, false or an error. A missing field is an error for every operator; what kinds
 * that do not fit give is each operator's own affair. `&&` and `||` look at all their children
 * until one decides, so an error before that one does not count.
 */
#include "cel_priv.h"

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

/* `constant in field`: the keys of objects are strings, so another constant is none of them. */
static enum cel_outcome contains(const struct value *field, const struct value *constant)
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

static enum cel_outcome compare(
	enum cel_kind kind, const struct value *field, const struct value *constant)
{
	int order = 0;
	bool ordered = kind >= CEL_LESS && kind <= CEL_GREATER_OR_EQUAL;
	if (ordered && value_compare(field, constant, &order) != OK) {
		return CEL_IS_ERROR;
	}
	switch (kind) {
	case CEL_EQUAL:
		return outcome_of(value_equal(field, constant));
	case CEL_NOT_EQUAL:
		return outcome_of(!value_equal(field, constant));
	case CEL_LESS:
		return outcome_of(order < 0);
	case CEL_LESS_OR_EQUAL:
		return outcome_of(order <= 0);
	case CEL_GREATER:
		return outcome_of(order > 0);
	case CEL_GREATER_OR_EQUAL:
		return outcome_of(order >= 0);
	case CEL_IN:
		return outcome_of(list_has(constant, field));
	case CEL_CONTAINS:
	case CEL_TRUE:
	case CEL_AND:
	case CEL_OR:
	case CEL_NOT:
	case CEL_PROGRAM:
		break;
	}
	check(kind == CEL_CONTAINS);
	return contains(field, constant);
}

const struct value *cel_field_value(const struct cel_field *field, const struct cel_input *input)
{
	if (field->root == CEL_ID) {
		return NULL;
	}
	const struct value *value = input->document;
	for (uint32_t i = 0; value && i < field->parts_count; i++) {
		value = value->kind == VALUE_OBJECT ? value_member(value, field->parts[i]) : NULL;
	}
	return value;
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
		return CEL_IS_ERROR;
	}
	if (node->kind == CEL_EQUAL || node->kind == CEL_NOT_EQUAL) {
		bool is = unknown_id_is(input, node->constant);
		return outcome_of(is == (node->kind == CEL_EQUAL));
	}
	return node->kind == CEL_IN ? outcome_of(unknown_id_is_in(input, node->constant))
				    : CEL_IS_ERROR;
}

static enum cel_outcome evaluate_compare(const struct cel_node *node, const struct cel_input *input)
{
	if (node->field.root == CEL_ID) {
		const struct value id = value_string(input->id);
		return input->id_is_unknown ? compare_unknown_id(node, input)
					    : compare(node->kind, &id, node->constant);
	}
	const struct value *value = cel_field_value(&node->field, input);
	if (!value) {
		return failed(input, CEL_FAILED_NAME);
	}
	enum cel_outcome outcome = compare(node->kind, value, node->constant);
	return outcome == CEL_IS_ERROR ? failed(input, CEL_FAILED_TYPE) : outcome;
}

/* Each program has the whole of the caller's steps and memory. */
static enum cel_outcome evaluate_program(const struct cel_node *node, const struct cel_input *input)
{
	struct cel_run run = *input->run;
	struct cel_value value = cel_run_program(node->program, &run);
	if (value.type == CEL_BOOL) {
		return outcome_of(value.as.boolean);
	}
	bool is_error = value.type == CEL_ERROR;
	return failed(input, is_error ? (enum cel_failure)value.size : CEL_FAILED_TYPE);
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static enum cel_outcome evaluate_join(
	const struct cel_node *node, enum cel_outcome decisive, const struct cel_input *input)
{
	enum cel_outcome outcome = opposite_of(decisive);
	for (uint32_t i = 0; i < node->children_count; i++) {
		enum cel_outcome child = cel_evaluate(node->children[i], input);
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
	case CEL_EQUAL:
	case CEL_NOT_EQUAL:
	case CEL_LESS:
	case CEL_LESS_OR_EQUAL:
	case CEL_GREATER:
	case CEL_GREATER_OR_EQUAL:
	case CEL_IN:
	case CEL_CONTAINS:
		return evaluate_compare(node, input);
	case CEL_PROGRAM:
		break;
	}
	return evaluate_program(node, input);
}
