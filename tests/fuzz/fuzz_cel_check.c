/*
 * Fuzzes what is done with an expression before any event: checked over the names of a change, its
 * parts and types, the condition, its canonical form, packed copies and hashes. What was checked
 * prints as text that checks to the same text, type and estimate, so that equal text is the same
 * condition.
 */
#include "fuzz_cel.h"

#include <stdlib.h>

static void check_parts(const struct cel_expression *expression)
{
	struct cel_part part;
	struct buffer text = {0};
	size_t count = 0;
	while (count < 200 && cel_part_at(expression, count, &part)) {
		text.size = 0;
		check(cel_print_expression(&text, part.expression) == OK && text.size > 0);
		check(cel_print_type(&text, part.expression) == OK);
		check(part.level <= count);
		count++;
	}
	check(count > 0);
	buffer_fini(&text);
}

static void check_text(struct arena *arena, const struct cel_expression *expression)
{
	struct buffer text = {0};
	struct buffer again = {0};
	check(cel_print_expression(&text, expression) == OK);
	const struct cel_expression *copy =
		fuzz_check(arena, buffer_bytes(&text), &fuzz_wide_limits);
	check(copy && cel_print_expression(&again, copy) == OK);
	check(bytes_equal(buffer_bytes(&text), buffer_bytes(&again)));
	check(cel_result_type(copy) == cel_result_type(expression));
	check(cel_estimate(copy) == cel_estimate(expression));
	buffer_fini(&text);
	buffer_fini(&again);
}

static void check_tree(struct arena *arena, const struct cel_node *tree)
{
	const struct cel_node *canonical = NULL;
	const struct cel_node *again = NULL;
	const struct cel_node *packed = NULL;
	struct buffer text = {0};
	check(cel_normalise(arena, tree, &canonical) == OK);
	check(cel_normalise(arena, canonical, &again) == OK);
	check(cel_equal(canonical, again));
	check(cel_hash(canonical, 7) == cel_hash(again, 7));
	check(cel_print(&text, canonical) == OK && text.size > 0);
	size_t size = cel_pack(canonical, NULL, 0, &packed);
	void *memory = malloc(size);
	check(memory && !packed);
	check(cel_pack(canonical, memory, size - 1, &packed) == size && !packed);
	check(cel_pack(canonical, memory, size, &packed) == size && packed);
	check(cel_equal(canonical, packed));
	check(cel_hash(canonical, 7) == cel_hash(packed, 7));
	cel_release(packed);
	free(memory);
	buffer_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = {0};
	struct cel_regexes *regexes = NULL;
	check(cel_regexes_new(fuzz_limits.regex_bytes, &regexes) == OK);
	const struct cel_expression *expression =
		fuzz_check(&arena, fuzz_text(data, size), &fuzz_limits);
	if (expression) {
		check_parts(expression);
		check_text(&arena, expression);
	}
	if (expression && fuzz_is_condition(expression)) {
		const struct cel_node *tree = NULL;
		check(cel_condition(&arena, expression, regexes, &fuzz_limits, &tree) == OK);
		check_tree(&arena, tree);
		cel_release(tree);
	}
	arena_fini(&arena);
	cel_regexes_free(regexes);
	return 0;
}
