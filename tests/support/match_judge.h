/*
 * The judge of what a subscription's expression means: the whole text compiled as one program and
 * run over an event, without any tree or index.
 */
#ifndef TEST_MATCH_JUDGE_H
#define TEST_MATCH_JUDGE_H

#include "cel.h"
#include "condition.h"
#include "event.h"
#include "match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct judge {
	struct arena arena;
	struct cel_regexes *regexes;
};

static const struct cel_limits judge_limits = {.source_bytes = 16384,
	.depth = 100,
	.nodes = 4096,
	.comprehensions = 4,
	.literal_bytes = 65536,
	.regex_bytes = 262144,
	.memory_bytes = 1 << 20,
	.cost = 10000000,
	.steps = 200000};

/* In the judge's arena; NULL: it is no expression that gives a bool. */
static inline const struct cel_expression *judge_check(struct judge *judge, const char *text)
{
	struct cel_variable variables[MATCH_NAMES_MAX];
	for (size_t i = 0; i < MATCH_NAMES_MAX; i++) {
		const struct match_name *name = match_name_at(i);
		variables[i] =
			(struct cel_variable){bytes_of(name->name), (enum cel_type)name->type};
	}
	const struct cel_scope scope = {
		.variables = variables, .variables_count = MATCH_NAMES_MAX, .has_document = true};
	struct cel_problem problem = {0};
	struct cel_expression *expression = NULL;
	enum err err =
		cel_parse(&judge->arena, bytes_of(text), &judge_limits, &problem, &expression);
	if (err == OK) {
		err = cel_check(&judge->arena, expression, &scope, &judge_limits, &problem);
	}
	enum cel_type type = err == OK ? cel_result_type(expression) : CEL_ERROR;
	return type == CEL_BOOL || type == CEL_DYN ? expression : NULL;
}

/* NULL as for judge_check. */
static inline struct cel_program *judge_compile(struct judge *judge, const char *text)
{
	const struct cel_expression *expression = judge_check(judge, text);
	struct cel_program *program = NULL;
	if (expression) {
		assert_int_equal(
			cel_compile(expression, judge->regexes, &judge_limits, &program), OK);
	}
	arena_reset(&judge->arena);
	return program;
}

static inline struct cel_value judge_text(struct bytes text)
{
	return (struct cel_value){
		.type = CEL_STRING, .size = (uint32_t)text.size, .as.text = text.data};
}

/* What an expression sees of an event: its slots, and what `run` and `input` are for. */
struct judge_view {
	struct cel_value slots[MATCH_NAMES_MAX];
	struct cel_run run;
	struct cel_input input;
};

static inline void judge_view_of(
	struct arena *arena, const struct event *event, struct judge_view *ret_view)
{
	const struct cel_value none = {
		.type = CEL_ERROR, .size = CEL_FAILED_NAME, .as.text = "not known"};
	*ret_view = (struct judge_view){
		.slots = {event->document ? cel_of_document(event->document) : none,
			event->id_is_unknown ? none : judge_text(event->document_id),
			judge_text(event->change.event_id),
			judge_text(bytes_of(model_operation_name(event->operation))), none,
			judge_text(event->collection), judge_text(event->change.database)},
		.run = {.arena = arena, .steps = 200000, .memory_bytes = 1 << 20},
		.input = {.document = event->document,
			.id = event->document_id,
			.id_is_unknown = event->id_is_unknown}};
	ret_view->run.slots = ret_view->slots;
	ret_view->input.run = &ret_view->run;
}

static inline enum cel_outcome judge_run(const struct cel_program *program, struct judge_view *view)
{
	struct cel_run run = view->run;
	struct cel_value value = cel_run_program(program, &run);
	view->run.failure = value.type == CEL_ERROR ? run.failure : CEL_FAILED_TYPE;
	if (value.type != CEL_BOOL) {
		return CEL_IS_ERROR;
	}
	return value.as.boolean ? CEL_IS_TRUE : CEL_IS_FALSE;
}

static inline bool judge_holds(
	struct judge *judge, const struct cel_program *program, const struct event *event)
{
	struct judge_view view;
	judge_view_of(&judge->arena, event, &view);
	bool holds = judge_run(program, &view) == CEL_IS_TRUE;
	arena_reset(&judge->arena);
	return holds;
}

static inline void judge_open(struct judge *judge)
{
	*judge = (struct judge){0};
	assert_int_equal(cel_regexes_new(judge_limits.regex_bytes, &judge->regexes), OK);
}

static inline void judge_close(struct judge *judge)
{
	cel_regexes_free(judge->regexes);
	arena_fini(&judge->arena);
}

#endif
