/* The library of optionals. */
#include "function_priv.h"

/* Whether this is what the value's type has when nobody has set one. */
static bool is_zero(struct cel_value value)
{
	switch ((enum cel_type)value.type) {
	case CEL_NULL:
		return true;
	case CEL_BOOL:
		return !value.as.boolean;
	case CEL_INT:
	case CEL_DURATION:
		return value.as.integer == 0;
	case CEL_UINT:
		return value.as.unsigned_integer == 0;
	case CEL_DOUBLE:
		return value.as.real == 0;
	case CEL_TIMESTAMP:
		return value.as.integer == 0 && value.size == 0;
	case CEL_STRING:
	case CEL_BYTES:
		return value.size == 0;
	case CEL_LIST:
	case CEL_MAP:
		return cel_count(value) == 0;
	case CEL_ERROR:
	case CEL_TYPE:
	case CEL_OPTIONAL:
	case CEL_IP:
	case CEL_CIDR:
	case CEL_DYN:
		break;
	}
	return false;
}

struct cel_value cel_call_optional_of(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	return cel_make_optional(run, arguments[0]);
}

struct cel_value cel_call_optional_none(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)arguments;
	(void)count;
	return cel_optional(NULL);
}

struct cel_value cel_call_optional_of_non_zero_value(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	return is_zero(arguments[0]) ? cel_optional(NULL) : cel_make_optional(run, arguments[0]);
}

struct cel_value cel_call_optional_has_value(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_bool(arguments[0].as.items != NULL);
}

struct cel_value cel_call_optional_value(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	const struct cel_value *item = arguments[0].as.items;
	return item ? *item : cel_error(CEL_FAILED_RANGE, "value() of an optional without one");
}

struct cel_value cel_call_optional_or(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return arguments[0].as.items ? arguments[0] : arguments[1];
}

struct cel_value cel_call_optional_or_value(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	const struct cel_value *item = arguments[0].as.items;
	return item ? *item : arguments[1];
}

struct cel_value cel_call_optional_unwrap(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	size_t size = cel_count(arguments[0]);
	if (!cel_spend(run, cel_steps_of(size))) {
		return cel_stopped(run);
	}
	struct cel_value *items = cel_alloc(run, (size > 0 ? size : 1) * sizeof(*items));
	if (!items) {
		return cel_stopped(run);
	}
	size_t kept = 0;
	struct cel_walk walk = cel_walk(arguments[0]);
	struct cel_value item = cel_null();
	while (cel_next_item(&walk, &item)) {
		if (item.type != CEL_OPTIONAL) {
			return cel_error(
				CEL_FAILED_TYPE, "unwrap: an item of the list is no optional");
		}
		if (item.as.items) {
			items[kept++] = *item.as.items;
		}
	}
	return cel_list(items, kept);
}
