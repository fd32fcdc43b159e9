/*
 * cel_conformance DIR...: runs the published suite: every line of every *.jsonl file. Values, those
 * of bindings and the wanted ones, are written as CEL and evaluated, so that nothing but cel.h is
 * used. A line that is checked first must pass the strict checker; the others are evaluated with
 * unknown names left to fail. Exit status 0: nothing failed.
 */
#include "cel.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLES_MAX 16
#define JSON_DEPTH 64

static const struct cel_limits limits = {
	.source_bytes = 1 << 20,
	.depth = 250,
	.nodes = 100000,
	.comprehensions = 16,
	.literal_bytes = 1 << 20,
	.regex_bytes = 1 << 20,
	.memory_bytes = 64 << 20,
	.cost = UINT64_MAX,
	.steps = 10000000,
};

struct counts {
	unsigned passed, failed, skipped;
};

struct suite {
	struct arena arena; /* of one line */
	struct cel_regexes *regexes;
	struct counts counts;
};

static void stop(const char *text)
{
	(void)fprintf(stderr, "cel_conformance: %s\n", text);
	exit(2);
}

static void must(enum err err)
{
	if (err != OK) {
		stop(err_text(err));
	}
}

static struct bytes member(const struct value *object, const char *name)
{
	const struct value *value = value_member(object, bytes_of(name));
	return value && value->kind == VALUE_STRING ? value_text(value) : (struct bytes){0};
}

static bool is_set(const struct value *object, const char *name)
{
	const struct value *value = value_member(object, bytes_of(name));
	return value && value->kind == VALUE_BOOL && value->as.boolean;
}

/* ---- typed values as CEL text ---- */

static void write_string(struct buffer *text, struct bytes string)
{
	must(buffer_append_text(text, "\""));
	for (size_t i = 0; i < string.size;) {
		unsigned char first = (unsigned char)string.data[i++];
		uint32_t code = first;
		int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : first >= 0xC0 ? 1 : 0;
		if (more > 0) {
			code = first & (0x3FU >> more);
		}
		for (; more > 0; more--) {
			code = code << 6 | ((unsigned char)string.data[i++] & 0x3FU);
		}
		must(buffer_printf(text, "\\U%08X", code));
	}
	must(buffer_append_text(text, "\""));
}

static void write_call(struct buffer *text, const char *function, struct bytes argument)
{
	must(buffer_printf(text, "%s(", function));
	write_string(text, argument);
	must(buffer_append_text(text, ")"));
}

static void write_value(struct buffer *text, const struct value *typed);

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the line, which JSON_DEPTH bounds */
static void write_items(struct buffer *text, const struct value *items, bool are_entries)
{
	const struct value *item = items + 1;
	for (uint32_t i = 0; i < items->size; i++) {
		if (i > 0) {
			must(buffer_append_text(text, ", "));
		}
		const struct value *first = are_entries ? item + 1 : item;
		write_value(text, first);
		if (are_entries) {
			must(buffer_append_text(text, ": "));
			write_value(text, value_after(first));
		}
		item = value_after(item);
	}
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the line, which JSON_DEPTH bounds */
static void write_value(struct buffer *text, const struct value *typed)
{
	const struct value *content = value_after(typed + 1);
	struct bytes form = value_text(typed + 1);
	struct bytes plain =
		content->kind == VALUE_STRING ? value_text(content) : (struct bytes){0};
	if (bytes_equal(form, bytes_of("null"))) {
		must(buffer_append_text(text, "null"));
	} else if (bytes_equal(form, bytes_of("bool"))) {
		must(buffer_append_text(text, content->as.boolean ? "true" : "false"));
	} else if (bytes_equal(form, bytes_of("int")) || bytes_equal(form, bytes_of("type"))) {
		must(buffer_append(text, plain));
	} else if (bytes_equal(form, bytes_of("uint"))) {
		must(buffer_printf(text, "%.*su", BYTES_FORMAT(plain)));
	} else if (bytes_equal(form, bytes_of("double"))) {
		write_call(text, "double", plain);
	} else if (bytes_equal(form, bytes_of("string"))) {
		write_string(text, plain);
	} else if (bytes_equal(form, bytes_of("bytes"))) {
		write_call(text, "base64.decode", plain);
	} else if (bytes_equal(form, bytes_of("timestamp"))) {
		write_call(text, "timestamp", plain);
	} else if (bytes_equal(form, bytes_of("duration"))) {
		write_call(text, "duration", plain);
	} else if (bytes_equal(form, bytes_of("list"))) {
		must(buffer_append_text(text, "["));
		write_items(text, content, false);
		must(buffer_append_text(text, "]"));
	} else if (bytes_equal(form, bytes_of("map"))) {
		must(buffer_append_text(text, "{"));
		write_items(text, content, true);
		must(buffer_append_text(text, "}"));
	} else {
		stop("a typed value of an unknown form");
	}
}

/* ---- evaluation ---- */

struct outcome {
	bool is_refused; /* by parser or checker: `problem` */
	struct cel_problem problem;
	struct cel_value value;
	struct cel_program *program; /* which the value borrows from */
};

/* Evaluates over the variables' values. The caller releases the outcome's program. */
static void evaluate(struct suite *suite, struct bytes source, const struct cel_scope *scope,
	const struct cel_value *slots, struct outcome *outcome)
{
	struct cel_expression *expression = NULL;
	enum err err = cel_parse(&suite->arena, source, &limits, &outcome->problem, &expression);
	if (err == OK) {
		err = cel_check(&suite->arena, expression, scope, &limits, &outcome->problem);
	}
	outcome->is_refused = err == ERR_INVALID || err == ERR_LIMIT;
	if (outcome->is_refused) {
		return;
	}
	must(err);
	must(cel_compile(expression, suite->regexes, &limits, &outcome->program));
	struct cel_run run = {
		.arena = &suite->arena,
		.slots = slots,
		.steps = limits.steps,
		.memory_bytes = limits.memory_bytes,
	};
	outcome->value = cel_run_program(outcome->program, &run);
}

/* The value of a typed value. It lives as long as the line. */
static struct outcome value_of(struct suite *suite, const struct value *typed)
{
	struct buffer text = {0};
	write_value(&text, typed);
	struct bytes source = arena_copy(&suite->arena, buffer_bytes(&text));
	buffer_fini(&text);
	const struct cel_scope scope = {0};
	struct outcome outcome = {0};
	evaluate(suite, source, &scope, NULL, &outcome);
	if (outcome.is_refused || outcome.value.type == CEL_ERROR) {
		(void)fprintf(stderr, "%.*s: %s\n", BYTES_FORMAT(source), outcome.problem.text);
		stop("a typed value cannot be made");
	}
	return outcome;
}

static bool same_value(struct cel_value a, struct cel_value b);

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the wanted value, which JSON_DEPTH bounds */
static bool same_map(struct cel_value a, struct cel_value b)
{
	for (uint32_t i = 0; i < a.size; i++) {
		bool is_there = false;
		for (uint32_t k = 0; k < b.size && !is_there; k++) {
			is_there = same_value(a.as.entries[i].key, b.as.entries[k].key) &&
				same_value(a.as.entries[i].value, b.as.entries[k].value);
		}
		if (!is_there) {
			return false;
		}
	}
	return true;
}

/* Of the same type, and the same: NaN is NaN, and zero has a sign. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the wanted value, which JSON_DEPTH bounds */
static bool same_value(struct cel_value a, struct cel_value b)
{
	if (a.type != b.type || a.size != b.size) {
		return false;
	}
	switch ((enum cel_type)a.type) {
	case CEL_NULL:
	case CEL_TYPE:
		return true;
	case CEL_BOOL:
		return a.as.boolean == b.as.boolean;
	case CEL_DOUBLE:
		return isnan(a.as.real)
			? isnan(b.as.real)
			: a.as.real == b.as.real && !signbit(a.as.real) == !signbit(b.as.real);
	case CEL_INT:
	case CEL_UINT:
	case CEL_TIMESTAMP:
	case CEL_DURATION:
		return a.as.integer == b.as.integer;
	case CEL_STRING:
	case CEL_BYTES:
		return a.size == 0 || memcmp(a.as.text, b.as.text, a.size) == 0;
	case CEL_LIST:
		for (uint32_t i = 0; i < a.size; i++) {
			if (!same_value(a.as.items[i], b.as.items[i])) {
				return false;
			}
		}
		return true;
	case CEL_MAP:
		return same_map(a, b);
	case CEL_ERROR:
	case CEL_OPTIONAL:
	case CEL_IP:
	case CEL_CIDR:
	case CEL_DYN:
		break;
	}
	return false;
}

/* ---- one line ---- */

static enum cel_type type_of(struct bytes name)
{
	static const struct {
		const char *name;
		enum cel_type type;
	} types[] = {
		{"null_type", CEL_NULL},
		{"bool", CEL_BOOL},
		{"int", CEL_INT},
		{"uint", CEL_UINT},
		{"double", CEL_DOUBLE},
		{"string", CEL_STRING},
		{"bytes", CEL_BYTES},
		{"list(", CEL_LIST},
		{"map(", CEL_MAP},
		{"timestamp", CEL_TIMESTAMP},
		{"duration", CEL_DURATION},
		{"type", CEL_TYPE},
		{"optional_type(", CEL_OPTIONAL},
	};
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		size_t size = strlen(types[i].name);
		if (name.size >= size && memcmp(name.data, types[i].name, size) == 0) {
			return types[i].type;
		}
	}
	return CEL_DYN;
}

static enum cel_type declared_type(const struct value *line, struct bytes name)
{
	const struct value *declarations = value_member(line, bytes_of("type_env"));
	const struct value *declaration = declarations ? declarations + 1 : NULL;
	for (uint32_t i = 0; declarations && i < declarations->size; i++) {
		if (bytes_equal(member(declaration, "name"), name)) {
			return type_of(member(declaration, "type"));
		}
		declaration = value_after(declaration);
	}
	return CEL_DYN;
}

struct world {
	struct cel_variable variables[VARIABLES_MAX];
	struct cel_value slots[VARIABLES_MAX];
	struct cel_program *programs[VARIABLES_MAX];
	size_t count;
};

static void bind_variables(struct suite *suite, const struct value *line, struct world *world)
{
	const struct value *bindings = value_member(line, bytes_of("bindings"));
	const struct value *name = bindings ? bindings + 1 : NULL;
	for (uint32_t i = 0; bindings && i < bindings->size; i++) {
		if (world->count == VARIABLES_MAX) {
			stop("too many bindings");
		}
		const struct value *typed = value_after(name);
		struct outcome outcome = value_of(suite, typed);
		world->variables[world->count] = (struct cel_variable){
			value_text(name), declared_type(line, value_text(name))};
		world->slots[world->count] = outcome.value;
		world->programs[world->count++] = outcome.program;
		name = value_after(typed);
	}
}

static void fail(struct suite *suite, const struct value *line, const char *got, const char *wanted)
{
	suite->counts.failed++;
	struct bytes id = member(line, "id");
	struct bytes source = member(line, "expr");
	printf("FAILED %.*s\n  %.*s\n  got:    %s\n  wanted: %s\n", BYTES_FORMAT(id),
		BYTES_FORMAT(source), got, wanted);
}

static void judge(struct suite *suite, const struct value *line, const struct outcome *outcome)
{
	const struct value *expect = value_member(line, bytes_of("expect"));
	const struct value *typed = expect ? value_member(expect, bytes_of("value")) : NULL;
	bool is_error = outcome->is_refused || outcome->value.type == CEL_ERROR;
	struct buffer got = {0};
	struct buffer wanted = {0};
	bool passed = is_error;
	if (outcome->is_refused) {
		must(buffer_printf(&got, "refused at %u:%u: %s", outcome->problem.line,
			outcome->problem.column, outcome->problem.text));
	} else {
		must(cel_print_value(&got, outcome->value));
	}
	if (typed) {
		struct outcome right = value_of(suite, typed);
		passed = !is_error && same_value(outcome->value, right.value);
		must(cel_print_value(&wanted, right.value));
		cel_program_unref(right.program);
	}
	if (passed) {
		suite->counts.passed++;
	} else {
		must(buffer_append(&got, (struct bytes){"", 1}));
		must(buffer_append(
			&wanted, typed ? (struct bytes){"", 1} : (struct bytes){"an error", 9}));
		fail(suite, line, got.data, wanted.data);
	}
	buffer_fini(&got);
	buffer_fini(&wanted);
}

static void run_line(struct suite *suite, const struct value *line)
{
	struct bytes source = member(line, "expr");
	if (!is_set(line, "applicable")) {
		struct cel_problem problem = {0};
		struct cel_expression *expression = NULL;
		enum err err = cel_parse(&suite->arena, source, &limits, &problem, &expression);
		if (err == OK) {
			suite->counts.skipped++;
		} else {
			fail(suite, line, problem.text, "something that parses");
		}
		return;
	}
	struct world world = {0};
	bind_variables(suite, line, &world);
	const struct cel_scope scope = {
		.variables = world.variables,
		.variables_count = world.count,
		.is_lenient = is_set(line, "disable_check"),
		.container = member(line, "container"),
	};
	struct outcome outcome = {0};
	evaluate(suite, source, &scope, world.slots, &outcome);
	judge(suite, line, &outcome);
	cel_program_unref(outcome.program);
	for (size_t i = 0; i < world.count; i++) {
		cel_program_unref(world.programs[i]);
	}
}

static void run_text(struct suite *suite, struct bytes text)
{
	struct err_info info = {0};
	const struct value *line = NULL;
	if (json_parse(text, JSON_DEPTH, &suite->arena, &line, &info) != OK) {
		stop(info.text);
	}
	run_line(suite, line);
	arena_reset(&suite->arena);
}

/* ---- files ---- */

static void run_file(struct suite *suite, const char *folder, const char *name)
{
	struct buffer path = {0};
	must(buffer_printf(&path, "%s/%s", folder, name));
	must(buffer_append(&path, (struct bytes){"", 1}));
	FILE *file = fopen(path.data, "r");
	if (!file) {
		perror(path.data);
		exit(2);
	}
	char *line = NULL;
	size_t capacity = 0;
	for (;;) {
		ssize_t size = getline(&line, &capacity, file);
		if (size <= 0) {
			break;
		}
		run_text(suite, (struct bytes){line, (size_t)size});
	}
	free(line);
	(void)fclose(file);
	buffer_fini(&path);
}

static int is_suite_file(const struct dirent *entry)
{
	size_t size = strlen(entry->d_name);
	return size > 6 && strcmp(entry->d_name + size - 6, ".jsonl") == 0;
}

static void run_folder(struct suite *suite, const char *folder)
{
	struct dirent **entries = NULL;
	int count = scandir(folder, &entries, is_suite_file, alphasort);
	if (count <= 0) {
		(void)fprintf(stderr, "cel_conformance: no *.jsonl in %s\n", folder);
		exit(2);
	}
	for (int i = 0; i < count; i++) {
		run_file(suite, folder, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		(void)fprintf(stderr, "usage: cel_conformance DIR...\n");
		return 2;
	}
	struct suite suite = {0};
	must(cel_regexes_new(limits.regex_bytes, &suite.regexes));
	for (int i = 1; i < argc; i++) {
		run_folder(&suite, argv[i]);
	}
	cel_regexes_free(suite.regexes);
	arena_fini(&suite.arena);
	printf("%u passed, %u failed, %u skipped\n", suite.counts.passed, suite.counts.failed,
		suite.counts.skipped);
	return suite.counts.failed > 0;
}
