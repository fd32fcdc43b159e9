/*
 * The list of functions: one row an overload, in functions.def, from which come dispatch, checking,
 * cost and the manual. An implementation gets arguments of the types in its row, none of them an
 * error, and has nothing to check but their values.
 */
#ifndef CEL_FUNCTION_PRIV_H
#define CEL_FUNCTION_PRIV_H

#include "run_priv.h"

/* How a row writes a type. A and B stand for any type, the same wherever the row has them. */
#define CEL_PATTERNS(X)                                                                            \
	X(NULL, "null_type")                                                                       \
	X(BOOL, "bool")                                                                            \
	X(INT, "int")                                                                              \
	X(UINT, "uint")                                                                            \
	X(DOUBLE, "double")                                                                        \
	X(NUMBER, "int|uint|double")                                                               \
	X(STRING, "string")                                                                        \
	X(BYTES, "bytes")                                                                          \
	X(TIMESTAMP, "timestamp")                                                                  \
	X(DURATION, "duration")                                                                    \
	X(TYPE, "type")                                                                            \
	X(IP, "net.IP")                                                                            \
	X(CIDR, "net.CIDR")                                                                        \
	X(A, "A")                                                                                  \
	X(B, "B")                                                                                  \
	X(DYN, "dyn")                                                                              \
	X(LIST_OF_A, "list(A)")                                                                    \
	X(LIST_OF_INT, "list(int)")                                                                \
	X(LIST_OF_STRING, "list(string)")                                                          \
	X(LIST_OF_NUMBER, "list(int|uint|double)")                                                 \
	X(LIST_OF_LISTS, "list(dyn)")                                                              \
	X(MAP, "map(A, B)")                                                                        \
	X(OPTIONAL_OF_A, "optional_type(A)")                                                       \
	X(OPTIONAL_OF_STRING, "optional_type(string)")

enum cel_pattern {
	PATTERN_NONE, /* behind the last parameter */
#define X(name, text) PATTERN_##name,
	CEL_PATTERNS(X)
#undef X
};
const char *cel_pattern_text(enum cel_pattern pattern);

/* What a call costs, beside one step. Size: bytes of text, items of lists, of all arguments. */
enum cel_cost {
	COST_ONE,
	COST_SIZE,    /* looks at each once */
	COST_PRODUCT, /* of the sizes of the first two: searches, sets */
	COST_REGEX,   /* compiles the pattern if it is not constant, then looks at each once */
	COST_TIME,    /* a time zone may be read */
};

enum cel_style {
	STYLE_GLOBAL, /* f(x) */
	STYLE_MEMBER, /* x.f() */
};

#define CEL_PARAMETERS_MAX 4

struct cel_function;
typedef struct cel_value (*cel_function_fn)(
	struct cel_run *run, const struct cel_value *arguments, size_t count);

struct cel_function {
	const char *library; /* "standard", "strings", ... */
	const char *name;    /* "contains", "math.greatest" */
	uint8_t style;
	uint8_t cost;
	bool is_variadic;                       /* the last parameter may be repeated */
	uint8_t parameters[CEL_PARAMETERS_MAX]; /* enum cel_pattern; of a member the receiver first
						 */
	uint8_t result;
	cel_function_fn call;
	const char *help;
};

/*
 * The overloads of a name: *ret_count rows, one behind the other; NULL: there is none of this name.
 * By binary search: the list is sorted by name, then style.
 */
const struct cel_function *cel_functions(
	struct bytes name, enum cel_style style, size_t *ret_count);

/* Whether a row takes so many arguments, and arguments of these types. */
bool cel_function_takes_count(const struct cel_function *function, size_t count);
bool cel_function_takes(
	const struct cel_function *function, const struct cel_value *arguments, size_t count);

/* The row number `index`, NULL behind the last: for the manual, by library. */
const struct cel_function *cel_function_at(size_t index);

#define FUNCTION(library, name, style, parameters, result, function, cost, help)                   \
	struct cel_value function(                                                                 \
		struct cel_run *run, const struct cel_value *arguments, size_t count);
#include "functions.def"
#undef FUNCTION

#endif
