/*
 * A query's code over the event at hand. Each predicate is evaluated once for an event however many
 * queries have it. `&&` and `||` are Kleene's: an error counts only where nothing else decides.
 */
#include "match_priv.h"

/* ---- predicates ---- */

static void fill_run(struct match_evaluation *evaluation)
{
	match_slots_fill(evaluation->event, &evaluation->input, evaluation->slots);
	evaluation->run = (struct cel_run){.arena = evaluation->memory,
		.slots = evaluation->slots,
		.steps = evaluation->limits->steps,
		.memory_bytes = evaluation->limits->memory_bytes};
	evaluation->input.run = &evaluation->run;
	evaluation->has_run = true;
}

/* By cel, which finds the field or runs the program itself. */
static enum cel_outcome evaluate_by_cel(
	struct match_evaluation *evaluation, const struct cel_node *node)
{
	if (!evaluation->has_run) {
		fill_run(evaluation);
	}
	enum cel_outcome outcome = cel_evaluate(node, &evaluation->input);
	evaluation->failure = evaluation->run.failure;
	return outcome;
}

static enum cel_outcome evaluate_program(
	struct match_evaluation *evaluation, const struct match_predicate *predicate)
{
	const struct cel_node node = {
		.kind = CEL_PROGRAM, .depth = 1, .program = predicate->of.program};
	enum cel_outcome outcome = evaluate_by_cel(evaluation, &node);
	arena_reset(evaluation->memory);
	return outcome;
}

static enum cel_outcome evaluate_unknown_id(
	struct match_evaluation *evaluation, const struct match_predicate *predicate)
{
	const struct cel_node node = {.kind = (enum cel_kind)predicate->kind,
		.depth = 1,
		.field = {.root = CEL_ID},
		.constant = match_predicate_constant(predicate),
		.is_sorted = predicate->is_sorted};
	return evaluate_by_cel(evaluation, &node);
}

/* The field is missing: in an object, which has not got it, or in what has no members. */
static enum cel_outcome evaluate_missing(
	struct match_evaluation *evaluation, const struct match_predicate *predicate)
{
	const struct match_path *parent = predicate->of.path->parent;
	bool is_near = parent && parent->stamp == evaluation->stamp;
	while (parent && parent->stamp != evaluation->stamp) {
		parent = parent->parent;
	}
	bool is_object = !parent || parent->value->kind == VALUE_OBJECT;
	if (predicate->kind == CEL_HAS && is_near && is_object) {
		return CEL_IS_FALSE;
	}
	evaluation->failure = is_object ? CEL_FAILED_NAME : CEL_FAILED_TYPE;
	return CEL_IS_ERROR;
}

static enum cel_outcome evaluate_predicate(
	struct match_evaluation *evaluation, const struct match_predicate *predicate)
{
	if (predicate->kind == CEL_PROGRAM) {
		return evaluate_program(evaluation, predicate);
	}
	const struct match_path *path = predicate->of.path;
	if (path->stamp != evaluation->stamp) {
		bool is_id = path == path->collection->id;
		return is_id ? evaluate_unknown_id(evaluation, predicate)
			     : evaluate_missing(evaluation, predicate);
	}
	if (predicate->kind == CEL_HAS) {
		return CEL_IS_TRUE;
	}
	evaluation->node.kind = (enum cel_kind)predicate->kind;
	evaluation->node.constant = match_predicate_constant(predicate);
	evaluation->node.is_sorted = predicate->is_sorted;
	return cel_compare_with(&evaluation->node, path->value, &evaluation->failure);
}

enum cel_outcome match_evaluate_predicate(
	struct match_evaluation *evaluation, struct match_predicate *predicate)
{
	if (predicate->memo >> 8 == evaluation->stamp) {
		evaluation->failure = (enum cel_failure)(predicate->memo >> 2 & 0x1F);
		return (enum cel_outcome)(predicate->memo & 3);
	}
	enum cel_outcome outcome = evaluate_predicate(evaluation, predicate);
	predicate->memo =
		evaluation->stamp << 8 | (uint64_t)evaluation->failure << 2 | (uint64_t)outcome;
	return outcome;
}

/* ---- trees ---- */

static enum cel_outcome evaluate(
	struct match_evaluation *evaluation, const match_word *word, bool is_asserted);

/*
 * What the event lacks decides without a look at the predicate: without its field a comparison is
 * an error, and without its value an equality is not true. If that is false or an error as well is
 * the same to what only asks for the true: not to a negation.
 */
static enum cel_outcome evaluate_leaf(
	struct match_evaluation *evaluation, match_word word, bool is_asserted)
{
	enum match_need need = match_word_need(word);
	bool is_comparison = need == MATCH_NEEDS_FIELD || need == MATCH_NEEDS_VALUE;
	if (is_comparison && !match_word_has_field(word, evaluation->met)) {
		evaluation->missing = match_word_predicate(word);
		return CEL_IS_ERROR;
	}
	if (need == MATCH_NEEDS_VALUE && is_asserted &&
		!match_word_has_value(word, evaluation->met)) {
		return CEL_IS_FALSE;
	}
	evaluation->missing = NULL;
	return match_evaluate_predicate(evaluation, match_word_predicate(word));
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static enum cel_outcome evaluate_join(struct match_evaluation *evaluation, const match_word *word,
	enum cel_outcome decisive, bool is_asserted)
{
	enum cel_outcome outcome = decisive == CEL_IS_TRUE ? CEL_IS_FALSE : CEL_IS_TRUE;
	enum cel_failure failure = evaluation->failure;
	const struct match_predicate *missing = NULL;
	const match_word *end = match_word_after(word);
	for (word++; word < end; word = match_word_after(word)) {
		enum cel_outcome child = evaluate(evaluation, word, is_asserted);
		if (child == decisive) {
			return decisive;
		}
		if (child == CEL_IS_ERROR) {
			outcome = CEL_IS_ERROR;
			failure = evaluation->failure;
			missing = evaluation->missing;
		}
	}
	evaluation->failure = failure;
	evaluation->missing = missing;
	return outcome;
}

static enum cel_outcome opposite_of(enum cel_outcome outcome)
{
	if (outcome == CEL_IS_ERROR) {
		return outcome;
	}
	return outcome == CEL_IS_TRUE ? CEL_IS_FALSE : CEL_IS_TRUE;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static enum cel_outcome evaluate_same(struct match_evaluation *evaluation, const match_word *word)
{
	enum cel_outcome first = evaluate(evaluation, word + 1, false);
	if (first == CEL_IS_ERROR) {
		return first;
	}
	enum cel_outcome second = evaluate(evaluation, match_word_after(word + 1), false);
	return first == CEL_IS_TRUE ? second : opposite_of(second);
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static enum cel_outcome evaluate(
	struct match_evaluation *evaluation, const match_word *word, bool is_asserted)
{
	if (!match_word_is_join(*word)) {
		return evaluate_leaf(evaluation, *word, is_asserted);
	}
	switch (match_word_join(*word)) {
	case MATCH_AND:
		return evaluate_join(evaluation, word, CEL_IS_FALSE, is_asserted);
	case MATCH_OR:
		return evaluate_join(evaluation, word, CEL_IS_TRUE, is_asserted);
	case MATCH_NOT:
		return opposite_of(evaluate(evaluation, word + 1, false));
	case MATCH_SAME:
		return evaluate_same(evaluation, word);
	case MATCH_TRUE:
		break;
	}
	return CEL_IS_TRUE;
}

enum cel_outcome match_evaluate(struct match_evaluation *evaluation, const match_word *code)
{
	return evaluate(evaluation, code, true);
}

enum cel_failure match_evaluation_failure(struct match_evaluation *evaluation)
{
	if (evaluation->missing) {
		(void)evaluate_missing(evaluation, evaluation->missing);
		evaluation->missing = NULL;
	}
	return evaluation->failure;
}
