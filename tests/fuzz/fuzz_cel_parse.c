/*
 * Fuzzes lexer, parser and printer. What parses prints as text that parses and prints the same;
 * what does not says where and why.
 */
#include "fuzz_cel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes text = fuzz_text(data, size);
	struct arena arena = {0};
	struct buffer printed = {0};
	struct buffer again = {0};
	const struct cel_expression *expression = fuzz_parse(&arena, text, &fuzz_limits);
	if (expression) {
		check(cel_print_expression(&printed, expression) == OK);
		const struct cel_expression *copy =
			fuzz_parse(&arena, buffer_bytes(&printed), &fuzz_wide_limits);
		check(copy && cel_print_expression(&again, copy) == OK);
		check(bytes_equal(buffer_bytes(&printed), buffer_bytes(&again)));
	}
	buffer_fini(&printed);
	buffer_fini(&again);
	arena_fini(&arena);
	return 0;
}
