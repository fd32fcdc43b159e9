/*
 * A case is made once and then evaluated until a fiftieth of a second has gone; the clock is read
 * once for each thousand. Only the evaluations are inside of what is timed and of what is counted.
 */
#include "language.h"
#include "condition.h"
#include "measure.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLE_NS 20000000
#define BATCH 1000
#define DEPTH_MAX 100

const char language_filter[] =
	"age > 18 && room == \"a\" && kind in [\"text\", \"image\", \"video\"]";

static const struct language_case cases[] = {
	{"two terms", "doc.age > 18 && doc.room == \"a\"", 5, 0},
	{"two terms", "doc.age > 18 && doc.room == \"a\"", 10, 0},
	{"two terms", "doc.age > 18 && doc.room == \"a\"", 30, 0},
	{"two terms", "doc.age > 18 && doc.room == \"a\"", 100, 0},
	{"five terms",
		"doc.age > 18 && doc.room == \"a\" && doc.kind != \"video\" && doc.level <= 3 && "
		"doc.active == true",
		10, 0},
	{"in 3", "doc.kind in [\"image\", \"text\", \"video\"]", 10, 0},
	{"in 10,000", "doc.name in [\"Ada Lovelace\"", 10, 9999},
	{"arithmetic", "doc.age + 1 > 18", 10, 0},
	{"strings", "doc.name.startsWith(\"Ada\") && doc.name.contains(\"Love\")", 10, 0},
	{"exists", "doc.tags.exists(t, t == \"vip\")", 10, 0},
	{"has", "has(doc.address.city)", 10, 0},
	{"matches", "doc.email.matches(\"^[a-z]+@example\\\\.org$\")", 10, 0},
};

const struct language_case *language_case_at(size_t index)
{
	return index < sizeof(cases) / sizeof(cases[0]) ? &cases[index] : NULL;
}

static const struct cel_limits limits = {
	.source_bytes = 1 << 20,
	.depth = 32,
	.nodes = 100000,
	.comprehensions = 4,
	.literal_bytes = 1 << 16,
	.regex_bytes = 1 << 16,
	.memory_bytes = 1 << 16,
	.cost = 1000000,
	.steps = 1000000,
};

/* ---- texts ---- */

static enum err print_source(struct buffer *buffer, const struct language_case *row)
{
	enum err err = buffer_append(buffer, bytes_of(row->source));
	for (uint32_t i = 0; err == OK && i < row->constants; i++) {
		err = buffer_printf(buffer, ", \"kind %u\"", i);
	}
	return err == OK && row->constants > 0 ? buffer_append(buffer, bytes_of("]")) : err;
}

/* The first ten members are what the expressions speak of; the first five suffice for the first. */
static enum err print_document(struct buffer *buffer, uint32_t members)
{
	static const char *const first[] = {
		"\"name\":\"Ada Lovelace\"",
		"\"age\":36",
		"\"email\":\"ada@example.org\"",
		"\"room\":\"a\"",
		"\"kind\":\"text\"",
		"\"level\":3",
		"\"active\":true",
		"\"tags\":[\"new\",\"vip\"]",
		"\"address\":{\"city\":\"London\",\"street\":\"St James's Square\"}",
		"\"created\":\"2026-01-01T00:00:00Z\"",
	};
	enum err err = buffer_append(buffer, bytes_of("{"));
	for (uint32_t i = 0; err == OK && i < members; i++) {
		const char *comma = i > 0 ? "," : "";
		err = i < sizeof(first) / sizeof(first[0])
			? buffer_printf(buffer, "%s%s", comma, first[i])
			: buffer_printf(buffer, "%s\"field_%u\":\"value %u\"", comma, i, i);
	}
	return err == OK ? buffer_append(buffer, bytes_of("}")) : err;
}

/* ---- making ---- */

static enum err make(struct arena *arena, struct bytes source, struct cel_regexes *regexes,
	struct err_info *info, const struct cel_node **ret_tree)
{
	static const struct cel_variable document = {{"doc", 3}, CEL_MAP};
	static const struct cel_scope scope = {
		.variables = &document, .variables_count = 1, .has_document = true};
	struct cel_problem problem = {0};
	struct cel_expression *expression = NULL;
	enum err err = cel_parse(arena, source, &limits, &problem, &expression);
	if (err == OK) {
		err = cel_check(arena, expression, &scope, &limits, &problem);
	}
	if (err == OK) {
		err = cel_condition(arena, expression, regexes, &limits, ret_tree);
	}
	return err == OK ? OK
			 : err_set(info, err, 0, "%.60s: %s", source.data,
				   problem.text[0] ? problem.text : err_text(err));
}

enum err language_make(struct err_info *info, double *ret_ns)
{
	struct arena arena = {0};
	struct cel_regexes *regexes = NULL;
	enum err err = cel_regexes_new(limits.regex_bytes, &regexes);
	uint64_t count = 0;
	int64_t start_ns = measure_now_ns();
	int64_t end_ns = start_ns;
	while (err == OK && end_ns - start_ns < SAMPLE_NS) {
		for (size_t i = 0; err == OK && i < BATCH; i++) {
			const struct cel_node *tree = NULL;
			err = make(&arena, bytes_of(language_filter), regexes, info, &tree);
			if (err == OK) {
				cel_release(tree);
			}
			arena_reset(&arena);
		}
		count += BATCH;
		end_ns = measure_now_ns();
	}
	if (err == OK) {
		*ret_ns = (double)(end_ns - start_ns) / (double)count;
	}
	cel_regexes_free(regexes);
	arena_fini(&arena);
	return err;
}

/* ---- evaluating ---- */

/* An allocator that counts how often it was asked for memory. */
static void *counting_hook(void *ctx, void *pointer, size_t size)
{
	uint64_t *count = ctx;
	if (size == 0) {
		free(pointer);
		return NULL;
	}
	++*count;
	return realloc(pointer, size);
}

struct evaluation {
	const struct cel_node *tree;
	const struct value *document;
	struct arena memory; /* of programs */
};

/* How many of a batch hold. */
static size_t evaluate_batch(struct evaluation *evaluation)
{
	const struct cel_value slot = cel_of_document(evaluation->document);
	struct cel_run run = {.arena = &evaluation->memory,
		.slots = &slot,
		.steps = limits.steps,
		.memory_bytes = limits.memory_bytes};
	const struct cel_input input = {.document = evaluation->document, .run = &run};
	size_t holds = 0;
	for (size_t i = 0; i < BATCH; i++) {
		holds += cel_evaluate(evaluation->tree, &input) == CEL_IS_TRUE;
		if (evaluation->memory.used > 0) {
			arena_reset(&evaluation->memory);
		}
	}
	return holds;
}

static enum err evaluate(struct evaluation *evaluation, const struct language_case *row,
	struct err_info *info, double *ret_ns)
{
	uint64_t allocations = 0;
	uint64_t count = 0;
	uint64_t holds = 0;
	(void)evaluate_batch(evaluation); /* the memory of programs is there from here on */
	mem_set_hook(counting_hook, &allocations);
	int64_t start_ns = measure_now_ns();
	int64_t end_ns = start_ns;
	while (end_ns - start_ns < SAMPLE_NS) {
		holds += evaluate_batch(evaluation);
		count += BATCH;
		end_ns = measure_now_ns();
	}
	mem_set_hook(NULL, NULL);
	if (holds != count || allocations > 0) {
		return err_set(info, ERR_CORRUPT, 0,
			"%s: %llu of %llu evaluations were true, with %llu allocations", row->name,
			(unsigned long long)holds, (unsigned long long)count,
			(unsigned long long)allocations);
	}
	*ret_ns = (double)(end_ns - start_ns) / (double)count;
	return OK;
}

enum err language_evaluate(const struct language_case *row, struct err_info *info, double *ret_ns)
{
	struct arena arena = {0};
	struct buffer source = {0};
	struct buffer document = {0};
	struct evaluation evaluation = {0};
	struct cel_regexes *regexes = NULL;
	const struct cel_node *made = NULL;
	enum err err = cel_regexes_new(limits.regex_bytes, &regexes);
	if (err == OK) {
		err = print_source(&source, row);
	}
	if (err == OK) {
		err = print_document(&document, row->members);
	}
	if (err == OK) {
		err = json_parse(
			buffer_bytes(&document), DEPTH_MAX, &arena, &evaluation.document, info);
	}
	if (err == OK) {
		err = make(&arena, buffer_bytes(&source), regexes, info, &made);
	}
	if (err == OK) {
		err = cel_normalise(&arena, made, &evaluation.tree);
	}
	if (err == OK) {
		err = evaluate(&evaluation, row, info, ret_ns);
	}
	if (made) {
		cel_release(made);
	}
	cel_regexes_free(regexes);
	arena_fini(&evaluation.memory);
	arena_fini(&arena);
	buffer_fini(&document);
	buffer_fini(&source);
	return err;
}

/* ---- for others ---- */

static enum err print_case(const struct language_case *row, struct buffer *buffer)
{
	struct buffer source = {0};
	enum err err = print_source(&source, row);
	if (err == OK) {
		err = buffer_printf(buffer,
			"{\"name\":\"%s\",\"members\":%u,\"expression\":", row->name, row->members);
	}
	if (err == OK) {
		err = json_print_string(buffer, buffer_bytes(&source));
	}
	if (err == OK) {
		err = buffer_append(buffer, bytes_of(",\"document\":"));
	}
	if (err == OK) {
		err = print_document(buffer, row->members);
	}
	buffer_fini(&source);
	return err == OK ? buffer_append(buffer, bytes_of("}\n")) : err;
}

enum err language_print_cases(FILE *to, struct err_info *info)
{
	struct buffer buffer = {0};
	enum err err = OK;
	const struct language_case *row = NULL;
	for (size_t i = 0; err == OK && (row = language_case_at(i)); i++) {
		err = print_case(row, &buffer);
	}
	struct bytes text = buffer_bytes(&buffer);
	bool is_written = err == OK && fwrite(text.data, 1, text.size, to) == text.size;
	buffer_fini(&buffer);
	if (err == OK && !is_written) {
		err = ERR_IO;
	}
	return err == OK ? OK : err_set(info, err, 0, "the cases cannot be printed");
}
