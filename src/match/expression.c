/*
 * A subscription's expression to a tree: parsed, checked over the names that a change has, and made
 * a condition. The slots that it is evaluated over are filled from an event in the same order.
 */
#include "compile_priv.h"
#include "evaluate_priv.h"

#include <stdio.h>
#include <string.h>

/* What an expression may name; the order is that of match_slots. */
static const struct match_name names[MATCH_SLOTS] = {
	[MATCH_SLOT_DOCUMENT] = {"doc", CEL_MAP},
	[MATCH_SLOT_ID] = {"_id", CEL_STRING},
	[MATCH_SLOT_EVENT_ID] = {"event.id", CEL_STRING},
	[MATCH_SLOT_OPERATION] = {"event.operation", CEL_STRING},
	[MATCH_SLOT_TIMESTAMP] = {"event.timestamp", CEL_TIMESTAMP},
	[MATCH_SLOT_COLLECTION] = {"event.collection", CEL_STRING},
	[MATCH_SLOT_DATABASE] = {"event.database", CEL_STRING},
};

const struct match_name *match_name_at(size_t index)
{
	_Static_assert(MATCH_NAMES_MAX == MATCH_SLOTS, "each name has a slot");
	return index < MATCH_SLOTS ? &names[index] : NULL;
}

static void refuse(struct match_refusal *refusal, const struct cel_problem *problem)
{
	bool is_dear = problem->kind == CEL_TOO_DEAR;
	bool is_large = problem->kind == CEL_TOO_LARGE;
	refusal->code = is_dear ? MODEL_REFUSED_COST
		: is_large      ? MODEL_REFUSED_LIMIT
				: MODEL_REFUSED_EXPRESSION;
	refusal->line = problem->line;
	refusal->column = problem->column;
	(void)snprintf(refusal->text, sizeof(refusal->text), "expression, line %u, column %u: %s",
		(unsigned)problem->line, (unsigned)problem->column, problem->text);
	(void)snprintf(refusal->hint, sizeof(refusal->hint), "%s", problem->hint);
}

static void count_refusal(struct metrics *metrics, enum cel_problem_kind kind)
{
	enum metric metric = METRIC_expressions_refused;
	if (kind == CEL_TOO_DEAR) {
		metric = METRIC_expressions_too_dear;
	} else if (kind == CEL_TOO_LARGE) {
		metric = METRIC_expressions_too_large;
	}
	metrics_add(metrics, metric, 1);
}

static enum err check_result(
	const struct cel_expression *expression, struct match_refusal *ret_refusal)
{
	enum cel_type type = cel_result_type(expression);
	if (type == CEL_BOOL || type == CEL_DYN) {
		return OK;
	}
	ret_refusal->code = MODEL_REFUSED_EXPRESSION;
	ret_refusal->line = 1;
	ret_refusal->column = 1;
	(void)snprintf(ret_refusal->text, sizeof(ret_refusal->text),
		"expression: it gives a %s, not a bool", cel_type_name(type));
	(void)snprintf(ret_refusal->hint, sizeof(ret_refusal->hint),
		"compare it with something, for example == or >");
	return ERR_INVALID;
}

enum err match_compile_expression(struct arena *arena, const struct match_compiler *compiler,
	struct bytes source, struct match_refusal *ret_refusal, const struct cel_node **ret_tree)
{
	struct cel_variable variables[MATCH_SLOTS];
	for (size_t i = 0; i < MATCH_SLOTS; i++) {
		variables[i] = (struct cel_variable){
			bytes_of(names[i].name), (enum cel_type)names[i].type};
	}
	const struct cel_scope scope = {.variables = variables,
		.variables_count = MATCH_SLOTS,
		.has_document = true,
		.regexes = compiler->regexes};
	struct cel_problem problem = {0};
	struct cel_expression *expression = NULL;
	const struct cel_limits *limits = &compiler->limits;
	enum err err = cel_parse(arena, source, limits, &problem, &expression);
	if (err == OK) {
		err = cel_check(arena, expression, &scope, limits, &problem);
	}
	if (err == ERR_INVALID || err == ERR_LIMIT) {
		count_refusal(compiler->metrics, problem.kind);
		refuse(ret_refusal, &problem);
		return ERR_INVALID;
	}
	if (err == OK) {
		err = check_result(expression, ret_refusal);
		metrics_add(compiler->metrics, METRIC_expressions_refused, err == ERR_INVALID);
	}
	return err == OK ? cel_condition(arena, expression, compiler->regexes, limits, ret_tree)
			 : err;
}

/* ---- what it is evaluated over ---- */

static struct cel_value text_of(struct bytes text)
{
	return (struct cel_value){
		.type = CEL_STRING, .size = (uint32_t)text.size, .as.text = text.data};
}

static struct cel_value missing(const char *text)
{
	return (struct cel_value){.type = CEL_ERROR, .size = CEL_FAILED_NAME, .as.text = text};
}

/* Floored, so that the nanoseconds count forward before 1970 too. */
static struct cel_value timestamp_of(int64_t milliseconds)
{
	const int64_t first_ms = INT64_C(-62135596800000); /* the year 1 */
	const int64_t last_ms = INT64_C(253402300799999);  /* the end of 9999 */
	if (milliseconds < first_ms || milliseconds > last_ms) {
		return missing("the change has no timestamp");
	}
	int64_t rest = milliseconds % 1000;
	rest = rest < 0 ? rest + 1000 : rest;
	return (struct cel_value){.type = CEL_TIMESTAMP,
		.size = (uint32_t)rest * 1000000,
		.as.integer = (milliseconds - rest) / 1000};
}

void match_slots_fill(const struct event *event, const struct cel_input *input,
	struct cel_value slots[MATCH_SLOTS])
{
	const char *operation = model_operation_name(event->operation);
	slots[MATCH_SLOT_DOCUMENT] = event->document ? cel_of_document(event->document)
						     : missing("the change has no document");
	slots[MATCH_SLOT_ID] = input->id_is_unknown ? missing("the document's id is not known")
						    : text_of(event->document_id);
	slots[MATCH_SLOT_EVENT_ID] = text_of(event->change.event_id);
	slots[MATCH_SLOT_OPERATION] = text_of(bytes_of(operation));
	slots[MATCH_SLOT_TIMESTAMP] = timestamp_of(event->change.timestamp_ms);
	slots[MATCH_SLOT_COLLECTION] = text_of(event->collection);
	slots[MATCH_SLOT_DATABASE] = text_of(event->change.database);
}
