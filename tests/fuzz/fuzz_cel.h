/* What the fuzzers of expressions share: small limits, the names of a change, and a parse. */
#ifndef FUZZ_CEL_H
#define FUZZ_CEL_H

#include "condition.h"
#include "fuzz.h"

#define FUZZ_SLOTS 4

static const struct cel_limits fuzz_limits = {
	.source_bytes = 4096,
	.depth = 40,
	.nodes = 1000,
	.comprehensions = 4,
	.literal_bytes = 1024,
	.regex_bytes = 65536,
	.memory_bytes = 262144,
	.cost = UINT64_MAX,
	.steps = 20000,
};

/* The same, with room for what printing adds: parentheses, escapes, the document's name. */
static const struct cel_limits fuzz_wide_limits = {
	.source_bytes = 1 << 20,
	.depth = 200,
	.nodes = 10000,
	.comprehensions = 4,
	.literal_bytes = 1024,
	.regex_bytes = 65536,
	.memory_bytes = 262144,
	.cost = UINT64_MAX,
	.steps = 20000,
};

static inline const struct cel_variable *fuzz_variables(void)
{
	static const struct cel_variable variables[FUZZ_SLOTS] = {
		{{"doc", 3}, CEL_MAP},
		{{"_id", 3}, CEL_STRING},
		{{"event.id", 8}, CEL_STRING},
		{{"event.timestamp", 15}, CEL_TIMESTAMP},
	};
	return variables;
}

static inline struct cel_scope fuzz_scope(void)
{
	return (struct cel_scope){
		.variables = fuzz_variables(), .variables_count = FUZZ_SLOTS, .has_document = true};
}

/* A problem names a place in the text, and says what is wrong in text that can be shown. */
static inline void fuzz_check_problem(
	struct bytes source, enum err err, const struct cel_problem *problem)
{
	bool is_limit = problem->kind == CEL_TOO_LARGE || problem->kind == CEL_TOO_DEAR;
	struct buffer shown = {0};
	check(err == (is_limit ? ERR_LIMIT : ERR_INVALID));
	check(problem->offset <= source.size);
	check(problem->line >= 1 && problem->column >= 1);
	check(problem->text[0] && bytes_are_utf8(bytes_of(problem->text)));
	check(bytes_are_utf8(bytes_of(problem->hint)));
	check(cel_print_problem(&shown, source, problem) == OK && shown.size > 1);
	buffer_fini(&shown);
}

/* NULL: it does not parse, and says why. */
static inline struct cel_expression *fuzz_parse(
	struct arena *arena, struct bytes source, const struct cel_limits *limits)
{
	struct cel_problem problem = {0};
	struct cel_expression *expression = NULL;
	enum err err = cel_parse(arena, source, limits, &problem, &expression);
	if (err != OK) {
		fuzz_check_problem(source, err, &problem);
		return NULL;
	}
	return expression;
}

/* NULL: it does not parse, or does not pass the checker. */
static inline struct cel_expression *fuzz_check(
	struct arena *arena, struct bytes source, const struct cel_limits *limits)
{
	const struct cel_scope scope = fuzz_scope();
	struct cel_problem problem = {0};
	struct cel_expression *expression = fuzz_parse(arena, source, limits);
	enum err err =
		expression ? cel_check(arena, expression, &scope, limits, &problem) : ERR_EMPTY;
	if (err != OK && expression) {
		fuzz_check_problem(source, err, &problem);
	}
	return err == OK ? expression : NULL;
}

static inline bool fuzz_is_condition(const struct cel_expression *expression)
{
	enum cel_type type = cel_result_type(expression);
	return type == CEL_BOOL || type == CEL_DYN;
}

#endif
