/*
 * Types of calls: which rows of a function's name take arguments of these types, and what they
 * give. Several rows may fit where a type is not known; the result is what is true of all of them.
 */
#include "types_priv.h"

/* What A and B of a row stand for in one call. */
struct binding {
	const struct expr_type *a, *b;
};

static bool bind(const struct expr_type **variable, const struct expr_type *type)
{
	*variable = cel_join_types(*variable, type);
	return true;
}

static bool is_list_of(const struct expr_type *type, bool (*may)(const struct expr_type *))
{
	return may_be(type, CEL_LIST) && may(parameter_of(type, 0));
}

static bool may_be_number(const struct expr_type *type)
{
	return type->type == CEL_DYN || is_number(type->type);
}

static bool may_be_int(const struct expr_type *type)
{
	return may_be(type, CEL_INT);
}

static bool may_be_string(const struct expr_type *type)
{
	return may_be(type, CEL_STRING);
}

static bool fits(enum cel_pattern pattern, const struct expr_type *type, struct binding *binding)
{
	switch (pattern) {
	case PATTERN_NONE:
		return false;
	case PATTERN_NULL:
		return may_be(type, CEL_NULL);
	case PATTERN_BOOL:
		return may_be(type, CEL_BOOL);
	case PATTERN_INT:
		return may_be_int(type);
	case PATTERN_UINT:
		return may_be(type, CEL_UINT);
	case PATTERN_DOUBLE:
		return may_be(type, CEL_DOUBLE);
	case PATTERN_NUMBER:
		return may_be_number(type);
	case PATTERN_STRING:
		return may_be_string(type);
	case PATTERN_BYTES:
		return may_be(type, CEL_BYTES);
	case PATTERN_TIMESTAMP:
		return may_be(type, CEL_TIMESTAMP);
	case PATTERN_DURATION:
		return may_be(type, CEL_DURATION);
	case PATTERN_TYPE:
		return may_be(type, CEL_TYPE);
	case PATTERN_IP:
		return may_be(type, CEL_IP);
	case PATTERN_CIDR:
		return may_be(type, CEL_CIDR);
	case PATTERN_A:
		return bind(&binding->a, type);
	case PATTERN_B:
		return bind(&binding->b, type);
	case PATTERN_DYN:
		return true;
	case PATTERN_LIST_OF_A:
		return may_be(type, CEL_LIST) && bind(&binding->a, parameter_of(type, 0));
	case PATTERN_LIST_OF_INT:
		return is_list_of(type, may_be_int);
	case PATTERN_LIST_OF_STRING:
		return is_list_of(type, may_be_string);
	case PATTERN_LIST_OF_NUMBER:
		return is_list_of(type, may_be_number);
	case PATTERN_LIST_OF_LISTS:
		return may_be(type, CEL_LIST);
	case PATTERN_MAP:
		return may_be(type, CEL_MAP) && bind(&binding->a, parameter_of(type, 0)) &&
			bind(&binding->b, parameter_of(type, 1));
	case PATTERN_OPTIONAL_OF_A:
		return may_be(type, CEL_OPTIONAL) && bind(&binding->a, parameter_of(type, 0));
	case PATTERN_OPTIONAL_OF_STRING:
		return may_be(type, CEL_OPTIONAL) && may_be_string(parameter_of(type, 0));
	}
	return false;
}

static bool takes(const struct cel_function *function, const struct cel_expression *call,
	struct binding *binding)
{
	size_t last = 0;
	for (uint32_t i = 0; i < call->children_count; i++) {
		last = i < CEL_PARAMETERS_MAX && function->parameters[i] != PATTERN_NONE ? i : last;
		if (!fits((enum cel_pattern)function->parameters[last], call->children[i]->type,
			    binding)) {
			return false;
		}
	}
	return true;
}

static enum cel_type pattern_type(enum cel_pattern pattern)
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
	return (enum cel_type)types[pattern];
}

/* NULL on lack of memory. */
static const struct expr_type *result_type(
	struct deducer *deducer, enum cel_pattern pattern, const struct binding *binding)
{
	enum cel_type type = pattern_type(pattern);
	if (pattern == PATTERN_A || pattern == PATTERN_B) {
		const struct expr_type *bound = pattern == PATTERN_A ? binding->a : binding->b;
		return bound ? bound : &cel_simple_types[CEL_DYN];
	}
	if (pattern == PATTERN_LIST_OF_INT) {
		return cel_make_type(deducer, type, &cel_simple_types[CEL_INT], NULL);
	}
	if (pattern == PATTERN_LIST_OF_STRING || pattern == PATTERN_OPTIONAL_OF_STRING) {
		return cel_make_type(deducer, type, &cel_simple_types[CEL_STRING], NULL);
	}
	bool has_parameters = pattern == PATTERN_LIST_OF_A || pattern == PATTERN_OPTIONAL_OF_A ||
		pattern == PATTERN_MAP;
	return has_parameters ? cel_make_type(deducer, type, binding->a, binding->b)
			      : &cel_simple_types[type];
}

static enum err refuse_call(struct deducer *deducer, const struct cel_expression *call,
	const struct cel_function *functions, size_t count)
{
	if (deducer->scope->is_lenient) {
		return OK;
	}
	struct buffer types = {0};
	struct buffer forms = {0};
	enum err err = OK;
	for (uint32_t i = 0; err == OK && i < call->children_count; i++) {
		err = buffer_printf(&types, "%s%s", i > 0 ? ", " : "",
			cel_type_name(call->children[i]->type->type));
	}
	for (size_t i = 0; err == OK && i < count; i++) {
		err = buffer_append_text(&forms, i > 0 ? " or (" : "(");
		for (size_t k = 0; err == OK && k < CEL_PARAMETERS_MAX; k++) {
			enum cel_pattern pattern = (enum cel_pattern)functions[i].parameters[k];
			if (pattern != PATTERN_NONE) {
				err = buffer_printf(&forms, "%s%s", k > 0 ? ", " : "",
					cel_pattern_text(pattern));
			}
		}
		if (err == OK) {
			err = buffer_append_text(&forms, functions[i].is_variadic ? ", ...)" : ")");
		}
	}
	if (err == OK) {
		err = cel_refuse(deducer->problem, deducer->root->source, call->offset, CEL_TYPES,
			"found no matching overload for '%.*s' applied to (%.*s)",
			BYTES_FORMAT(call->text), BYTES_FORMAT(buffer_bytes(&types)));
		cel_advise(deducer->problem, "it takes %.*s", BYTES_FORMAT(buffer_bytes(&forms)));
	}
	buffer_fini(&types);
	buffer_fini(&forms);
	return err;
}

enum err cel_deduce_call(struct deducer *deducer, const struct cel_expression *call,
	const struct expr_type **ret_type)
{
	size_t count = 0;
	const struct cel_function *functions =
		cel_functions(call->text, call->is_member ? STYLE_MEMBER : STYLE_GLOBAL, &count);
	if (!functions) {
		*ret_type = &cel_simple_types[CEL_DYN]; /* the scope is lenient */
		return OK;
	}
	const struct expr_type *result = NULL;
	for (size_t i = 0; i < count; i++) {
		struct binding binding = {0};
		if (cel_function_takes_count(&functions[i], call->children_count) &&
			takes(&functions[i], call, &binding)) {
			const struct expr_type *type = result_type(
				deducer, (enum cel_pattern)functions[i].result, &binding);
			if (!type) {
				return ERR_MEMORY;
			}
			result = cel_join_types(result, type);
		}
	}
	*ret_type = result ? result : &cel_simple_types[CEL_DYN];
	return result ? OK : refuse_call(deducer, call, functions, count);
}
