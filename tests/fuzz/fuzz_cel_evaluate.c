/*
 * Fuzzes evaluation. The input is an expression, and behind a line of its own, "---", the document
 * as JSON. The whole as one program, the condition and its canonical form must agree on true, false
 * or error; within small limits every evaluation ends, and takes no more memory than it may.
 */
#include "fuzz_cel.h"

#include <stdlib.h>
#include <string.h>

#define JSON_DEPTH_MAX 32
#define SPARE_BYTES 65536 /* blocks of an arena are larger than what is asked of it */

/* What a run holds at once. */
struct meter {
	size_t live, most;
};

/* The size stands in front of each piece. */
static void *meter_hook(void *ctx, void *pointer, size_t size)
{
	struct meter *meter = ctx;
	const size_t head = 16;
	char *piece = pointer ? (char *)pointer - head : NULL;
	size_t old = 0;
	if (piece) {
		memcpy(&old, piece, sizeof(old));
	}
	if (size == 0) {
		free(piece);
		meter->live -= old;
		return NULL;
	}
	piece = realloc(piece, size + head);
	check(piece);
	memcpy(piece, &size, sizeof(size));
	meter->live += size - old;
	meter->most = meter->live > meter->most ? meter->live : meter->most;
	return piece + head;
}

struct input {
	struct cel_value slots[FUZZ_SLOTS];
	const struct value *document;
};

static const char document_id[] = "room-1";

static struct cel_value text_of(const char *text)
{
	return (struct cel_value){
		.type = CEL_STRING, .size = (uint32_t)strlen(text), .as.text = text};
}

static struct cel_run start_run(const struct input *input, struct arena *arena)
{
	return (struct cel_run){.arena = arena,
		.slots = input->slots,
		.steps = fuzz_limits.steps,
		.memory_bytes = fuzz_limits.memory_bytes};
}

/* Runs the whole; false: it was stopped, and then the tree, in parts, may well know more. */
static bool run_whole(const struct cel_program *program, const struct input *input,
	struct arena *arena, enum cel_outcome *ret_outcome)
{
	struct cel_run run = start_run(input, arena);
	struct buffer text = {0};
	struct cel_value value = cel_run_program(program, &run);
	check(!run.has_stopped || value.type == CEL_ERROR);
	enum err err = cel_print_value(&text, value);
	check(err == OK || err == ERR_LIMIT);
	check(bytes_are_utf8(buffer_bytes(&text)));
	buffer_fini(&text);
	bool is_bool = value.type == CEL_BOOL;
	*ret_outcome = CEL_IS_ERROR;
	if (is_bool) {
		*ret_outcome = value.as.boolean ? CEL_IS_TRUE : CEL_IS_FALSE;
	}
	return !run.has_stopped;
}

static void run_tree(const struct cel_node *tree, const struct input *input, struct arena *arena,
	enum cel_outcome wanted)
{
	struct cel_run run = start_run(input, arena);
	run.failure = CEL_FAILED_NAME;
	const struct cel_input of_tree = {
		.document = input->document, .id = bytes_of(document_id), .run = &run};
	enum cel_outcome outcome = cel_evaluate(tree, &of_tree);
	bool is_stopped = outcome == CEL_IS_ERROR &&
		(run.failure == CEL_FAILED_BUDGET || run.failure == CEL_FAILED_MEMORY);
	check(is_stopped || outcome == wanted);
}

static void fuzz_tree(const struct cel_expression *expression, const struct input *input,
	struct cel_regexes *regexes, struct arena *arena, enum cel_outcome wanted)
{
	const struct cel_node *tree = NULL;
	const struct cel_node *canonical = NULL;
	check(cel_condition(arena, expression, regexes, &fuzz_limits, &tree) == OK);
	check(cel_normalise(arena, tree, &canonical) == OK);
	run_tree(tree, input, arena, wanted);
	run_tree(canonical, input, arena, wanted);
	cel_release(tree);
}

static void fuzz_expression(
	const struct cel_expression *expression, const struct input *input, struct arena *arena)
{
	struct cel_regexes *regexes = NULL;
	struct cel_program *program = NULL;
	struct arena made = {0};
	enum cel_outcome outcome = CEL_IS_ERROR;
	check(cel_regexes_new(fuzz_limits.regex_bytes, &regexes) == OK);
	check(cel_compile(expression, regexes, &fuzz_limits, &program) == OK);
	struct meter meter = {0};
	mem_set_hook(meter_hook, &meter);
	bool has_ended = run_whole(program, input, &made, &outcome);
	arena_fini(&made);
	check(meter.live == 0);
	check(meter.most <= 4 * (size_t)fuzz_limits.memory_bytes + SPARE_BYTES);
	mem_set_hook(NULL, NULL);
	if (has_ended && fuzz_is_condition(expression)) {
		fuzz_tree(expression, input, regexes, arena, outcome);
	}
	cel_program_unref(program);
	cel_regexes_free(regexes);
}

static void split(struct bytes text, struct bytes *ret_expression, struct bytes *ret_document)
{
	static const char line[] = "\n---\n";
	const char *found = memmem(text.data, text.size, line, sizeof(line) - 1);
	size_t size = found ? (size_t)(found - text.data) : text.size;
	size_t behind = found ? size + sizeof(line) - 1 : text.size;
	*ret_expression = (struct bytes){text.data, size};
	*ret_document = (struct bytes){text.data + behind, text.size - behind};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes source;
	struct bytes json;
	struct arena arena = {0};
	struct input input = {.document = NULL};
	split(fuzz_text(data, size), &source, &json);
	const struct cel_expression *expression = fuzz_check(&arena, source, &fuzz_limits);
	enum err err = json_parse(json, JSON_DEPTH_MAX, &arena, &input.document, NULL);
	if (err != OK || input.document->kind != VALUE_OBJECT) {
		err = json_parse(bytes_of("{}"), JSON_DEPTH_MAX, &arena, &input.document, NULL);
		check(err == OK);
	}
	input.slots[0] = cel_of_document(input.document);
	input.slots[1] = text_of(document_id);
	input.slots[2] = text_of("1-2-a");
	input.slots[3] = (struct cel_value){.type = CEL_TIMESTAMP, .as.integer = 1700000000};
	if (expression) {
		fuzz_expression(expression, &input, &arena);
	}
	arena_fini(&arena);
	return 0;
}
