/*
 * Our CEL as another implementation can be compared with it. Of every line on stdin, a JSON object
 * with `expression` and `document`, one line: "refused" where the text is no CEL or can never work,
 * "error" where it has no value, or the value in a form that keeps type, bits and order. The
 * document is the variable `doc`; names are CEL's own, unknown ones fail when they are evaluated.
 */
#include "cel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 100
#define LINE_MAX (1 << 20)

static const struct cel_limits limits = {
	.source_bytes = 1 << 16,
	.depth = 250,
	.nodes = 10000,
	.comprehensions = 8,
	.literal_bytes = 1 << 16,
	.regex_bytes = 1 << 20,
	.memory_bytes = 1 << 24,
	.cost = UINT64_MAX,
	.steps = 1000000,
};

static void put(struct buffer *out, const char *text)
{
	check(buffer_append_text(out, text) == OK);
}

/* ---- values ---- */

static void put_hex(struct buffer *out, char kind, struct bytes text)
{
	check(buffer_printf(out, "%c", kind) == OK);
	for (size_t i = 0; i < text.size; i++) {
		check(buffer_printf(out, "%02x", (unsigned)(unsigned char)text.data[i]) == OK);
	}
	put(out, ",");
}

/* Every NaN is one. */
static void put_double(struct buffer *out, double real)
{
	uint64_t bits;
	memcpy(&bits, &real, sizeof(bits));
	enum err err = real == real ? buffer_printf(out, "d%016" PRIx64 ",", bits)
				    : buffer_append_text(out, "dNaN,");
	check(err == OK);
}

static void put_scalar(struct buffer *out, struct cel_value value)
{
	enum err err = OK;
	switch ((enum cel_type)value.type) {
	case CEL_NULL:
		put(out, "n,");
		break;
	case CEL_BOOL:
		put(out, value.as.boolean ? "t," : "f,");
		break;
	case CEL_INT:
		err = buffer_printf(out, "i%" PRId64 ",", value.as.integer);
		break;
	case CEL_UINT:
		err = buffer_printf(out, "u%" PRIu64 ",", value.as.unsigned_integer);
		break;
	case CEL_DOUBLE:
		put_double(out, value.as.real);
		break;
	case CEL_STRING:
	case CEL_BYTES:
		put_hex(out, value.type == CEL_STRING ? 's' : 'b',
			(struct bytes){value.as.text, value.size});
		break;
	case CEL_TIMESTAMP:
		err = buffer_printf(
			out, "T%" PRId64 ":%09" PRIu32 ",", value.as.integer, value.size);
		break;
	case CEL_DURATION:
		err = buffer_printf(out, "D%" PRId64 ",", value.as.integer);
		break;
	case CEL_TYPE:
		put(out, cel_type_name((enum cel_type)value.size));
		put(out, ",");
		break;
	case CEL_LIST:
	case CEL_MAP:
	case CEL_ERROR:
	case CEL_OPTIONAL:
	case CEL_IP:
	case CEL_CIDR:
	case CEL_DYN:
		put(out, "?");
		break;
	}
	check(err == OK);
}

static void put_value(struct buffer *out, struct cel_value value);

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression and the document */
static void put_document(struct buffer *out, struct cel_value value)
{
	bool is_map = value.type == CEL_MAP;
	const struct value *cell = value.as.document + 1;
	for (uint32_t i = 0; i < value.as.document->size; i++) {
		if (is_map) {
			put_value(out, cel_of_document(cell));
			cell = cell + 1;
		}
		put_value(out, cel_of_document(cell));
		cell = value_after(cell);
	}
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression and the document */
static void put_value(struct buffer *out, struct cel_value value)
{
	if (value.type != CEL_LIST && value.type != CEL_MAP) {
		put_scalar(out, value);
		return;
	}
	put(out, value.type == CEL_LIST ? "[" : "{");
	if (value.is_document) {
		put_document(out, value);
	} else {
		for (uint32_t i = 0; i < value.size; i++) {
			if (value.type == CEL_MAP) {
				put_value(out, value.as.entries[i].key);
				put_value(out, value.as.entries[i].value);
			} else {
				put_value(out, value.as.items[i]);
			}
		}
	}
	put(out, value.type == CEL_LIST ? "]" : "}");
}

/* ---- one case ---- */

static void run_program(
	struct buffer *out, const struct cel_program *program, const struct value *document)
{
	struct arena arena = {0};
	struct cel_value slot = cel_of_document(document);
	struct cel_run run = {
		.arena = &arena,
		.slots = &slot,
		.steps = limits.steps,
		.memory_bytes = limits.memory_bytes,
	};
	struct cel_value value = cel_run_program(program, &run);
	if (value.type == CEL_ERROR) {
		put(out,
			value.size == CEL_FAILED_BUDGET || value.size == CEL_FAILED_MEMORY
				? "limit"
				: "error");
	} else {
		put_value(out, value);
	}
	arena_fini(&arena);
}

static void answer(struct bytes source, const struct value *document, struct cel_regexes *regexes)
{
	const struct cel_variable variable = {bytes_of("doc"), CEL_DYN};
	const struct cel_scope scope = {
		.variables = &variable, .variables_count = 1, .is_lenient = true};
	struct arena arena = {0};
	struct buffer out = {0};
	struct cel_problem problem = {0};
	struct cel_expression *expression = NULL;
	struct cel_program *program = NULL;
	enum err err = cel_parse(&arena, source, &limits, &problem, &expression);
	err = err == OK ? cel_check(&arena, expression, &scope, &limits, &problem) : err;
	err = err == OK ? cel_compile(expression, regexes, &limits, &program) : err;
	check(err != ERR_MEMORY);
	if (err == OK) {
		run_program(&out, program, document);
	} else {
		put(&out, "refused");
	}
	struct bytes line = buffer_bytes(&out);
	check(fwrite(line.data, 1, line.size, stdout) == line.size);
	check(putchar('\n') == '\n');
	cel_program_unref(program);
	buffer_fini(&out);
	arena_fini(&arena);
}

int main(void)
{
	struct arena arena = {0};
	struct cel_regexes *regexes = NULL;
	check(cel_regexes_new(limits.regex_bytes, &regexes) == OK);
	char *line = malloc(LINE_MAX);
	check(line);
	while (fgets(line, LINE_MAX, stdin)) {
		const struct value *request = NULL;
		check(json_parse(bytes_of(line), DEPTH_MAX, &arena, &request, NULL) == OK);
		const struct value *source = value_member(request, bytes_of("expression"));
		const struct value *document = value_member(request, bytes_of("document"));
		check(source && document);
		answer(value_text(source), document, regexes);
		arena_reset(&arena);
	}
	free(line);
	cel_regexes_free(regexes);
	arena_fini(&arena);
	return 0;
}
