/*
 * cel: documents whose names somebody has chosen to make evaluation dear. What would take a step
 * for each pair of them would not end in the test's time.
 */
#include "cel.h"

#include "cel_eval.h"

#include <stdlib.h>

enum { NAMES = 300000, NAME_SIZE = 32, WORD = 8 };

/* Names of one hash under the seed 0: eight bytes zero a factor of XXH3. */
static char *make_names(void)
{
	const uint64_t zeroing = UINT64_C(0xBE4BA423396CFEB8);
	char *names = calloc(NAMES, NAME_SIZE);
	assert_non_null(names);
	for (uint64_t i = 0; i < NAMES; i++) {
		char *name = names + i * NAME_SIZE;
		memcpy(name, &zeroing, WORD);
		memcpy(name + WORD, &i, WORD);
		assert_true(bytes_hash((struct bytes){name, NAME_SIZE}, 0) ==
			bytes_hash((struct bytes){names, NAME_SIZE}, 0));
	}
	return names;
}

/* An object of the names, each `times` times, the last of them with the value 1, others 0. */
static void open_object(struct tape *tape, const char *names, size_t times)
{
	size_t place = 0;
	assert_int_equal(tape_open(tape, VALUE_OBJECT, &place), OK);
	for (size_t round = 1; round <= times; round++) {
		for (size_t i = 0; i < NAMES / times; i++) {
			const struct bytes name = {names + i * NAME_SIZE, NAME_SIZE};
			assert_int_equal(tape_push(tape, value_string(name)), OK);
			assert_int_equal(tape_push(tape, value_int(round == times)), OK);
		}
	}
	tape_close(tape, place, NAMES / times * times);
}

static void evaluate(const struct tape *tape, const char *text, const char *wanted)
{
	static const struct cel_limits limits = {.source_bytes = 1000,
		.depth = 100,
		.nodes = 1000,
		.comprehensions = 8,
		.literal_bytes = 1000,
		.regex_bytes = 1000,
		.memory_bytes = 1 << 28,
		.cost = UINT64_MAX,
		.steps = 100000000};
	const struct cel_variable variables[] = {{bytes_of("doc"), CEL_MAP}};
	const struct cel_value slots[] = {cel_of_document(tape->cells)};
	struct cel_eval eval = {.variables = variables,
		.slots = slots,
		.variables_count = 1,
		.has_document = true,
		.limits = &limits};
	cel_eval_assert(&eval, bytes_of(text), wanted);
	buffer_fini(&eval.text);
}

static void test_names_of_one_hash(void **state)
{
	(void)state;
	static const size_t times[] = {1, 2, 3, 1000, NAMES};
	char *names = make_names();
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct tape tape = {0};
		char text[100];
		size_t distinct = NAMES / times[i];
		open_object(&tape, names, times[i]);
		(void)snprintf(text, sizeof(text), "size(doc) == %zu", distinct);
		evaluate(&tape, text, "true");
		evaluate(&tape, "doc.all(k, v, v == 1)", "true");
		(void)snprintf(text, sizeof(text), "doc.map(k, k).size() == %zu", distinct);
		evaluate(&tape, text, "true");
		tape_fini(&tape);
	}
	free(names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_of_one_hash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
