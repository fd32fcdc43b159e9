/*
 * The list of functions, made from functions.def at compile time. It is sorted, and stays where it
 * is: rows are borrowed by everybody.
 */
#include "function_priv.h"

#include <string.h>

#define TAKES_0() .parameters = {PATTERN_NONE}
#define TAKES_1(a) .parameters = {PATTERN_##a}
#define TAKES_2(a, b) .parameters = {PATTERN_##a, PATTERN_##b}
#define TAKES_3(a, b, c) .parameters = {PATTERN_##a, PATTERN_##b, PATTERN_##c}
#define TAKES_4(a, b, c, d) .parameters = {PATTERN_##a, PATTERN_##b, PATTERN_##c, PATTERN_##d}
#define REPEATS(a) .parameters = {PATTERN_##a}, .is_variadic = true

#define FUNCTION(row_library, row_name, row_style, takes, gives, function, row_cost, row_help)     \
	{                                                                                          \
		.library = #row_library,                                                           \
		.name = (row_name),                                                                \
		.style = STYLE_##row_style,                                                        \
		.cost = COST_##row_cost,                                                           \
		takes,                                                                             \
		.result = PATTERN_##gives,                                                         \
		.call = (function),                                                                \
		.help = (row_help),                                                                \
	},

static const struct cel_function functions[] = {
#include "functions.def"
};

#define FUNCTIONS_COUNT (sizeof(functions) / sizeof(functions[0]))

const char *cel_pattern_text(enum cel_pattern pattern)
{
	static const char *const texts[] = {[PATTERN_NONE] = "",
#define X(name, text) [PATTERN_##name] = (text),
		CEL_PATTERNS(X)
#undef X
	};
	return texts[pattern];
}

const struct cel_function *cel_function_at(size_t index)
{
	return index < FUNCTIONS_COUNT ? &functions[index] : NULL;
}

/* Whether the row stands before all rows of this name and style: negative; 0: it is one of them. */
static int compare(const struct cel_function *function, struct bytes name, enum cel_style style)
{
	int order = bytes_compare(bytes_of(function->name), name);
	return order != 0 ? order : (int)function->style - (int)style;
}

const struct cel_function *cel_functions(struct bytes name, enum cel_style style, size_t *ret_count)
{
	size_t low = 0;
	size_t high = FUNCTIONS_COUNT;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (compare(&functions[middle], name, style) < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	size_t end = low;
	while (end < FUNCTIONS_COUNT && compare(&functions[end], name, style) == 0) {
		end++;
	}
	*ret_count = end - low;
	return end > low ? &functions[low] : NULL;
}

static size_t parameters_count(const struct cel_function *function)
{
	size_t count = 0;
	while (count < CEL_PARAMETERS_MAX && function->parameters[count] != PATTERN_NONE) {
		count++;
	}
	return count;
}

bool cel_function_takes_count(const struct cel_function *function, size_t count)
{
	size_t parameters = parameters_count(function);
	return function->is_variadic ? count >= parameters : count == parameters;
}

/* Whether the value is what a pattern without a condition on its items or kinds stands for. */
static bool is_of_type(enum cel_pattern pattern, struct cel_value value)
{
	static const uint8_t types[] = {
		[PATTERN_NULL] = CEL_NULL,
		[PATTERN_BOOL] = CEL_BOOL,
		[PATTERN_INT] = CEL_INT,
		[PATTERN_UINT] = CEL_UINT,
		[PATTERN_DOUBLE] = CEL_DOUBLE,
		[PATTERN_NUMBER] = CEL_DYN,
		[PATTERN_STRING] = CEL_STRING,
		[PATTERN_BYTES] = CEL_BYTES,
		[PATTERN_TIMESTAMP] = CEL_TIMESTAMP,
		[PATTERN_DURATION] = CEL_DURATION,
		[PATTERN_TYPE] = CEL_TYPE,
		[PATTERN_IP] = CEL_IP,
		[PATTERN_CIDR] = CEL_CIDR,
		[PATTERN_A] = CEL_DYN,
		[PATTERN_B] = CEL_DYN,
		[PATTERN_DYN] = CEL_DYN,
		[PATTERN_LIST_OF_A] = CEL_LIST,
		[PATTERN_LIST_OF_INT] = CEL_LIST,
		[PATTERN_LIST_OF_STRING] = CEL_LIST,
		[PATTERN_LIST_OF_NUMBER] = CEL_LIST,
		[PATTERN_LIST_OF_LISTS] = CEL_LIST,
		[PATTERN_MAP] = CEL_MAP,
		[PATTERN_OPTIONAL_OF_A] = CEL_OPTIONAL,
		[PATTERN_OPTIONAL_OF_STRING] = CEL_OPTIONAL,
	};
	bool is_any = types[pattern] == CEL_DYN;
	return value.type == types[pattern] ||
		(is_any && (pattern != PATTERN_NUMBER || cel_is_number(value)));
}

/* What the items of a list must be; NONE: anything. */
static enum cel_pattern item_pattern(enum cel_pattern list)
{
	switch ((int)list) {
	case PATTERN_LIST_OF_INT:
		return PATTERN_INT;
	case PATTERN_LIST_OF_STRING:
		return PATTERN_STRING;
	case PATTERN_LIST_OF_NUMBER:
		return PATTERN_NUMBER;
	default:
		return PATTERN_NONE;
	}
}

static bool fits(enum cel_pattern pattern, struct cel_value value)
{
	if (!is_of_type(pattern, value)) {
		return false;
	}
	if (pattern == PATTERN_OPTIONAL_OF_STRING) {
		return !value.as.items || value.as.items->type == CEL_STRING;
	}
	enum cel_pattern items = item_pattern(pattern);
	if (items == PATTERN_NONE) {
		return true;
	}
	struct cel_walk walk = cel_walk(value);
	struct cel_value item = {0};
	bool is_fine = true;
	while (is_fine && cel_next_item(&walk, &item)) {
		is_fine = is_of_type(items, item);
	}
	return is_fine;
}

bool cel_function_takes(
	const struct cel_function *function, const struct cel_value *arguments, size_t count)
{
	if (!cel_function_takes_count(function, count)) {
		return false;
	}
	size_t last = parameters_count(function);
	for (size_t i = 0; i < count; i++) {
		size_t parameter = i < last ? i : last - 1;
		if (!fits((enum cel_pattern)function->parameters[parameter], arguments[i])) {
			return false;
		}
	}
	return true;
}
