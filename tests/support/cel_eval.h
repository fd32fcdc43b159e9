/*
 * An expression's text evaluated: parsed, checked, compiled, run and its value printed as CEL text.
 * What cannot be evaluated prints as "refused", what fails when it is evaluated as "error".
 */
#ifndef TEST_CEL_EVAL_H
#define TEST_CEL_EVAL_H

#include "cel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* What a test does not say is generous: nothing of it is met by accident. */
static const struct cel_limits cel_eval_limits = {
	.source_bytes = 1 << 20,
	.depth = 250,
	.nodes = 100000,
	.comprehensions = 8,
	.literal_bytes = 1 << 20,
	.regex_bytes = 1 << 20,
	.memory_bytes = 1 << 24,
	.cost = UINT64_MAX,
	.steps = 10000000,
};

/* Zeroed is usual: no variables, lenient. */
struct cel_eval {
	const struct cel_variable *variables;
	const struct cel_value *slots; /* of the variables */
	size_t variables_count;
	bool has_document;
	bool is_strict;
	const struct cel_limits *limits; /* NULL: cel_eval_limits */

	/* What came of it. */
	enum err err; /* of what comes before the run; ERR_MEMORY also of the printing */
	struct cel_problem problem;
	bool is_error;
	enum cel_failure failure; /* with is_error */
	uint64_t steps;           /* that the run took */
	struct buffer text;       /* "refused", "error", or the value */
};

static inline enum err cel_eval_compile(struct cel_eval *eval, struct arena *arena,
	struct bytes source, struct cel_regexes *regexes, struct cel_program **ret_program)
{
	const struct cel_limits *limits = eval->limits ? eval->limits : &cel_eval_limits;
	const struct cel_scope scope = {
		.variables = eval->variables,
		.variables_count = eval->variables_count,
		.has_document = eval->has_document,
		.is_lenient = !eval->is_strict,
	};
	struct cel_expression *expression = NULL;
	enum err err = cel_parse(arena, source, limits, &eval->problem, &expression);
	if (err == OK) {
		err = cel_check(arena, expression, &scope, limits, &eval->problem);
	}
	return err == OK ? cel_compile(expression, regexes, limits, ret_program) : err;
}

/* Runs the program once and prints what it gives. */
static inline void cel_eval_program(struct cel_eval *eval, const struct cel_program *program)
{
	const struct cel_limits *limits = eval->limits ? eval->limits : &cel_eval_limits;
	struct arena arena = {0};
	struct cel_run run = {
		.arena = &arena,
		.slots = eval->slots,
		.steps = limits->steps,
		.memory_bytes = limits->memory_bytes,
	};
	struct cel_value value = cel_run_program(program, &run);
	eval->steps = limits->steps - run.steps;
	eval->is_error = value.type == CEL_ERROR;
	eval->failure = (enum cel_failure)value.size;
	eval->err = eval->is_error ? buffer_append_text(&eval->text, "error")
				   : cel_print_value(&eval->text, value);
	arena_fini(&arena);
}

static inline void cel_eval(struct cel_eval *eval, struct bytes source)
{
	const struct cel_limits *limits = eval->limits ? eval->limits : &cel_eval_limits;
	struct arena arena = {0};
	struct cel_regexes *regexes = NULL;
	struct cel_program *program = NULL;
	eval->text.size = 0;
	eval->is_error = false;
	eval->problem = (struct cel_problem){0};
	eval->err = cel_regexes_new(limits->regex_bytes, &regexes);
	if (eval->err == OK) {
		eval->err = cel_eval_compile(eval, &arena, source, regexes, &program);
	}
	arena_fini(&arena); /* the program borrows nothing of it */
	if (eval->err == OK) {
		cel_eval_program(eval, program);
	} else if (eval->err != ERR_MEMORY) {
		assert_int_equal(buffer_append_text(&eval->text, "refused"), OK);
	}
	cel_program_unref(program);
	cel_regexes_free(regexes);
}

/* One line of a test's table: what the source gives. */
struct cel_eval_row {
	const char *source, *value;
};

static inline void cel_eval_assert(struct cel_eval *eval, struct bytes source, const char *value)
{
	cel_eval(eval, source);
	if (!bytes_equal(buffer_bytes(&eval->text), bytes_of(value))) {
		fail_msg("%.*s is %.*s, not %s (%s)", BYTES_FORMAT(source),
			BYTES_FORMAT(buffer_bytes(&eval->text)), value, eval->problem.text);
	}
}

static inline void cel_eval_assert_rows(const struct cel_eval_row *rows, size_t count)
{
	struct cel_eval eval = {0};
	for (size_t i = 0; i < count; i++) {
		cel_eval_assert(&eval, bytes_of(rows[i].source), rows[i].value);
	}
	buffer_fini(&eval.text);
}

/* Of an array. */
#define CEL_EVAL_ROWS(rows) cel_eval_assert_rows(rows, sizeof(rows) / sizeof((rows)[0]))

#endif
