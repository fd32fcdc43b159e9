/*
 * Evaluation of a program, down its tree of instructions. An error is a value like any other until
 * somebody needs more of it; `&&`, `||` and the macros made of them absorb it. A run that has
 * stopped gives its own error from everywhere, and no loop goes on.
 */
#include "program_priv.h"

#define ARGUMENTS_MAX 8 /* on the stack; more are in the run's memory */

/* ---- the run ---- */

void *cel_alloc(struct cel_run *run, size_t size)
{
	void *piece = NULL;
	if (size <= run->memory_bytes && !run->has_stopped) {
		piece = arena_alloc(run->arena, size);
	}
	if (!piece) {
		(void)cel_out_of_memory(run);
		return NULL;
	}
	run->memory_bytes -= size;
	return piece;
}

struct cel_value cel_stopped(const struct cel_run *run)
{
	return run->failure == CEL_FAILED_MEMORY
		? cel_error(CEL_FAILED_MEMORY, "it takes too much memory")
		: cel_error(CEL_FAILED_BUDGET, "it takes too many steps");
}

struct cel_value cel_make_list(struct cel_run *run, const struct cel_value *items, size_t count)
{
	struct cel_value *copy = cel_alloc(run, count * sizeof(*copy));
	if (!copy) {
		return cel_stopped(run);
	}
	for (size_t i = 0; i < count; i++) {
		copy[i] = items[i];
	}
	return cel_list(copy, count);
}

struct cel_value cel_make_string(struct cel_run *run, struct bytes text)
{
	char *copy = cel_alloc(run, text.size);
	if (!copy || text.size > UINT32_MAX) {
		return cel_out_of_memory(run);
	}
	for (size_t i = 0; i < text.size; i++) {
		copy[i] = text.data[i];
	}
	return cel_string((struct bytes){copy, text.size});
}

struct cel_value cel_make_optional(struct cel_run *run, struct cel_value item)
{
	struct cel_value *copy = cel_alloc(run, sizeof(*copy));
	if (!copy) {
		return cel_stopped(run);
	}
	*copy = item;
	return cel_optional(copy);
}

static struct cel_value no_overload(void)
{
	return cel_error(CEL_FAILED_TYPE, "no such overload");
}

/* ---- variables and fields ---- */

static struct cel_value evaluate_field(struct cel_run *run, const struct code *code)
{
	struct cel_value value = run->slots[code->index];
	for (uint32_t i = 0; i < code->names_count; i++) {
		if (value.type == CEL_MAP) {
			if (!cel_find_name(value, code->as.names[i], &value)) {
				return cel_error(CEL_FAILED_NAME, "no such key");
			}
		} else if (cel_is_error(value)) {
			return value;
		} else {
			return cel_error(CEL_FAILED_TYPE, "only maps have fields");
		}
	}
	return value;
}

/* NOLINTNEXTLINE(misc-no-recursion): from a binding to what it is bound to, which is further out */
static struct cel_value evaluate_local(struct cel_run *run, const struct code *code)
{
	check(run->locals);
	struct cel_value value = run->locals[code->index];
	if (value.type == CEL_DYN) {
		value = cel_evaluate_code(run, (const struct code *)(const void *)value.as.text);
		run->locals[code->index] = value;
	}
	return value;
}

/* A key or an index that is not there, as opposed to one that cannot be. */
static bool is_absent(struct cel_value value)
{
	return cel_is_error(value) &&
		(value.size == CEL_FAILED_NAME || value.size == CEL_FAILED_RANGE);
}

/* What looking in `operand` has found, for a `?` or in an optional: an optional. */
static struct cel_value as_optional(struct cel_run *run, struct cel_value found)
{
	if (is_absent(found)) {
		return cel_optional(NULL);
	}
	return cel_is_error(found) ? found : cel_make_optional(run, found);
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value evaluate_select(struct cel_run *run, const struct code *code)
{
	struct cel_value operand = cel_evaluate_code(run, code->children);
	if (cel_is_error(operand)) {
		return operand;
	}
	bool is_optional = operand.type == CEL_OPTIONAL;
	if (is_optional && !operand.as.items) {
		return operand;
	}
	struct cel_value found =
		cel_select(is_optional ? *operand.as.items : operand, code->as.names[0]);
	return is_optional || code->is_optional ? as_optional(run, found) : found;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value evaluate_has(struct cel_run *run, const struct code *code)
{
	struct cel_value operand = cel_evaluate_code(run, code->children);
	if (operand.type == CEL_OPTIONAL) {
		if (!operand.as.items) {
			return cel_bool(false);
		}
		operand = *operand.as.items;
	}
	if (cel_is_error(operand)) {
		return operand;
	}
	struct cel_value found = cel_select(operand, code->as.names[0]);
	return cel_is_error(found) && !is_absent(found) ? found : cel_bool(!cel_is_error(found));
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value evaluate_index(struct cel_run *run, const struct code *code)
{
	struct cel_value operand = cel_evaluate_code(run, &code->children[0]);
	struct cel_value index = cel_evaluate_code(run, &code->children[1]);
	if (cel_is_error(operand) || cel_is_error(index)) {
		return cel_is_error(operand) ? operand : index;
	}
	bool is_optional = operand.type == CEL_OPTIONAL;
	if (is_optional && !operand.as.items) {
		return operand;
	}
	struct cel_value whole = is_optional ? *operand.as.items : operand;
	bool is_walked = whole.is_document || whole.type == CEL_MAP;
	if (is_walked && !cel_spend(run, cel_steps_of(whole.size))) {
		return cel_stopped(run);
	}
	struct cel_value found = cel_index(whole, index);
	return is_optional || code->is_optional ? as_optional(run, found) : found;
}

/* ---- logic ---- */

/* `&&` and `||`: the first child that decides, whatever errors are about; else an error if there
 * was one. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value evaluate_join(struct cel_run *run, const struct code *code, bool decisive)
{
	struct cel_value outcome = cel_bool(!decisive);
	for (uint32_t i = 0; i < code->children_count; i++) {
		struct cel_value value = cel_evaluate_code(run, &code->children[i]);
		if (run->has_stopped) {
			return cel_stopped(run);
		}
		if (value.type == CEL_BOOL) {
			if (value.as.boolean == decisive) {
				return value;
			}
		} else if (!cel_is_error(outcome)) {
			outcome = cel_is_error(value) ? value : no_overload();
		}
	}
	return outcome;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value evaluate_conditional(struct cel_run *run, const struct code *code)
{
	struct cel_value condition = cel_evaluate_code(run, &code->children[0]);
	if (condition.type != CEL_BOOL) {
		return cel_is_error(condition) ? condition : no_overload();
	}
	return cel_evaluate_code(run, &code->children[condition.as.boolean ? 1 : 2]);
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value evaluate_not(struct cel_run *run, const struct code *code)
{
	struct cel_value value = cel_evaluate_code(run, code->children);
	if (value.type == CEL_BOOL) {
		return cel_bool(!value.as.boolean);
	}
	return cel_is_error(value) ? value : no_overload();
}

/* ---- operators ---- */

static struct cel_value compare_equal(
	struct cel_run *run, struct cel_value a, struct cel_value b, bool wanted)
{
	bool is_equal = cel_values_equal(run, a, b);
	return run->has_stopped ? cel_stopped(run) : cel_bool(is_equal == wanted);
}

static struct cel_value compare_order(
	struct cel_run *run, enum expr_operator operation, struct cel_value a, struct cel_value b)
{
	int order = 0;
	if (cel_values_order(a, b, &order) != OK) {
		return no_overload();
	}
	if (a.type == CEL_STRING || a.type == CEL_BYTES) {
		uint32_t size = a.size < b.size ? a.size : b.size;
		if (!cel_spend(run, cel_steps_of(size))) {
			return cel_stopped(run);
		}
	}
	bool is_above = order == 1; /* an order of 2 is none */
	if (operation == OP_LESS) {
		return cel_bool(order < 0);
	}
	if (operation == OP_LESS_OR_EQUAL) {
		return cel_bool(order <= 0);
	}
	return cel_bool(operation == OP_GREATER ? is_above : is_above || order == 0);
}

static struct cel_value calculate(
	struct cel_run *run, enum expr_operator operation, struct cel_value a, struct cel_value b)
{
	if (operation == OP_ADD) {
		return cel_add(run, a, b);
	}
	if (operation == OP_SUBTRACT) {
		return cel_subtract(a, b);
	}
	if (operation == OP_MULTIPLY) {
		return cel_multiply(a, b);
	}
	return operation == OP_DIVIDE ? cel_divide(a, b) : cel_modulo(a, b);
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value evaluate_binary(struct cel_run *run, const struct code *code)
{
	struct cel_value a = cel_evaluate_code(run, &code->children[0]);
	if (cel_is_error(a)) {
		return a;
	}
	struct cel_value b = cel_evaluate_code(run, &code->children[1]);
	if (cel_is_error(b)) {
		return b;
	}
	if (code->kind == CODE_EQUAL || code->kind == CODE_NOT_EQUAL) {
		return compare_equal(run, a, b, code->kind == CODE_EQUAL);
	}
	if (code->kind == CODE_ORDER) {
		return compare_order(run, (enum expr_operator)code->detail, a, b);
	}
	return code->kind == CODE_IN ? cel_in(run, a, b)
				     : calculate(run, (enum expr_operator)code->detail, a, b);
}

/* ---- calls ---- */

/* The size of what a call looks at. */
static uint64_t size_of(struct cel_value value)
{
	bool has_size = value.type == CEL_STRING || value.type == CEL_BYTES ||
		value.type == CEL_LIST || value.type == CEL_MAP;
	return has_size ? value.size : 0;
}

static bool pay(
	struct cel_run *run, enum cel_cost cost, const struct cel_value *arguments, size_t count)
{
	uint64_t size = 0;
	for (size_t i = 0; i < count; i++) {
		size += size_of(arguments[i]);
	}
	switch (cost) {
	case COST_ONE:
		return true;
	case COST_SIZE:
		return cel_spend(run, size / 16);
	case COST_PRODUCT:
		return cel_spend(run,
			count > 1 ? (size_of(arguments[0]) + 1) * (size_of(arguments[1]) + 1) / 16
				  : size / 16);
	case COST_REGEX:
		return cel_spend(run, size / 4 + (run->regex ? 0 : 10000));
	case COST_TIME:
		return cel_spend(run, 200);
	}
	return true;
}

static struct cel_value call(struct cel_run *run, const struct code_call *call,
	const struct cel_value *arguments, size_t count)
{
	for (size_t i = 0; i < call->count; i++) {
		const struct cel_function *function = &call->functions[i];
		if (!cel_function_takes_count(function, count) ||
			!cel_function_takes(function, arguments, count)) {
			continue;
		}
		run->regex = call->regex;
		if (!pay(run, (enum cel_cost)function->cost, arguments, count)) {
			return cel_stopped(run);
		}
		return function->call(run, arguments, count);
	}
	return no_overload();
}

static bool has_value(struct cel_value value)
{
	return value.type == CEL_OPTIONAL && value.as.items;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value evaluate_call(struct cel_run *run, const struct code *code)
{
	struct cel_value few[ARGUMENTS_MAX];
	struct cel_value *arguments = few;
	if (code->children_count > ARGUMENTS_MAX) {
		arguments = cel_alloc(run, code->children_count * sizeof(*arguments));
		if (!arguments) {
			return cel_stopped(run);
		}
	}
	for (uint32_t i = 0; i < code->children_count; i++) {
		arguments[i] = cel_evaluate_code(run, &code->children[i]);
		if (cel_is_error(arguments[i])) {
			return arguments[i];
		}
		if (code->is_lazy && i == 0 && has_value(arguments[0])) {
			return code->as.call.functions->call(run, arguments, 1);
		}
	}
	return call(run, &code->as.call, arguments, code->children_count);
}

/* ---- lists and maps ---- */

/* What an item with a `?` before it contributes: its content, or nothing. */
static struct cel_value take_optional(struct cel_value value, bool *ret_is_there)
{
	if (value.type != CEL_OPTIONAL) {
		return no_overload();
	}
	*ret_is_there = value.as.items != NULL;
	return *ret_is_there ? *value.as.items : value;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value evaluate_list(struct cel_run *run, const struct code *code)
{
	struct cel_value *items = cel_alloc(run, code->children_count * sizeof(*items));
	if (!items) {
		return cel_stopped(run);
	}
	size_t count = 0;
	for (uint32_t i = 0; i < code->children_count; i++) {
		bool is_there = true;
		struct cel_value item = cel_evaluate_code(run, &code->children[i]);
		if (!cel_is_error(item) && code->children[i].is_optional_item) {
			item = take_optional(item, &is_there);
		}
		if (cel_is_error(item)) {
			return item;
		}
		items[count] = item;
		count += is_there;
	}
	return cel_list(items, count);
}

bool cel_may_be_key(struct cel_value key)
{
	return key.type == CEL_STRING || key.type == CEL_INT || key.type == CEL_UINT ||
		key.type == CEL_BOOL;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
static struct cel_value evaluate_map(struct cel_run *run, const struct code *code)
{
	struct cel_entry *entries = cel_alloc(run, code->children_count / 2 * sizeof(*entries));
	if (!entries) {
		return cel_stopped(run);
	}
	size_t count = 0;
	for (uint32_t i = 0; i + 1 < code->children_count; i += 2) {
		bool is_there = true;
		struct cel_value other;
		struct cel_value key = cel_evaluate_code(run, &code->children[i]);
		struct cel_value value =
			cel_is_error(key) ? key : cel_evaluate_code(run, &code->children[i + 1]);
		if (!cel_is_error(value) && code->children[i].is_optional_item) {
			value = take_optional(value, &is_there);
		}
		if (cel_is_error(value)) {
			return value;
		}
		if (!cel_may_be_key(key)) {
			return cel_error(CEL_FAILED_TYPE, "this cannot be a key");
		}
		if (!cel_spend(run, cel_steps_of(count))) {
			return cel_stopped(run);
		}
		if (cel_find(cel_map(entries, count), key, &other)) {
			return cel_error(CEL_FAILED_ARGUMENT, "a key is repeated");
		}
		entries[count] = (struct cel_entry){key, value};
		count += is_there;
	}
	return cel_map(entries, count);
}

/* ---- the walk ---- */

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the program */
struct cel_value cel_evaluate_code(struct cel_run *run, const struct code *code)
{
	if (!cel_spend(run, 1)) {
		return cel_stopped(run);
	}
	switch ((enum code_kind)code->kind) {
	case CODE_CONSTANT:
		return code->as.constant;
	case CODE_SLOT:
		return run->slots[code->index];
	case CODE_FIELD:
		return evaluate_field(run, code);
	case CODE_LOCAL:
		return evaluate_local(run, code);
	case CODE_SELECT:
		return evaluate_select(run, code);
	case CODE_HAS:
		return evaluate_has(run, code);
	case CODE_INDEX:
		return evaluate_index(run, code);
	case CODE_AND:
		return evaluate_join(run, code, false);
	case CODE_OR:
		return evaluate_join(run, code, true);
	case CODE_NOT:
		return evaluate_not(run, code);
	case CODE_CONDITIONAL:
		return evaluate_conditional(run, code);
	case CODE_EQUAL:
	case CODE_NOT_EQUAL:
	case CODE_ORDER:
	case CODE_ARITHMETIC:
	case CODE_IN:
		return evaluate_binary(run, code);
	case CODE_NEGATE: {
		struct cel_value operand = cel_evaluate_code(run, code->children);
		return cel_is_error(operand) ? operand : cel_negate(operand);
	}
	case CODE_CALL:
		return evaluate_call(run, code);
	case CODE_LIST:
		return evaluate_list(run, code);
	case CODE_MAP:
		return evaluate_map(run, code);
	case CODE_MACRO:
		break;
	}
	return cel_evaluate_macro(run, code);
}

struct cel_value cel_run_program(const struct cel_program *program, struct cel_run *run)
{
	run->locals = NULL;
	run->regex_bytes = program->regex_bytes;
	run->has_stopped = false;
	if (program->locals_count > 0) {
		run->locals = cel_alloc(run, program->locals_count * sizeof(*run->locals));
		if (!run->locals) {
			return cel_stopped(run);
		}
	}
	struct cel_value value = cel_evaluate_code(run, &program->code);
	if (run->has_stopped) {
		value = cel_stopped(run);
	}
	if (cel_is_error(value)) {
		run->failure = (enum cel_failure)value.size;
	}
	return value;
}
