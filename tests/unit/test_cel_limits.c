/*
 * cel: its limits, one by one, and what one evaluation may take. Real memory is counted as base's
 * allocator gives it out, so that what a buffer or an arena takes beyond what the run was charged
 * for is seen too.
 */
#include "cel.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define MEMORY_BYTES 1048576
/* A buffer that grows holds its old half and its new one, and its text is copied at the end. */
#define REAL_BYTES_MAX ((size_t)6 * MEMORY_BYTES)

/* The defaults of options.def, without an estimate: what it lets through is the run's affair. */
static const struct cel_limits usual = {
	.source_bytes = 16384,
	.depth = 100,
	.nodes = 4096,
	.comprehensions = 4,
	.literal_bytes = 65536,
	.regex_bytes = 262144,
	.memory_bytes = MEMORY_BYTES,
	.cost = UINT64_MAX,
	.steps = 200000,
};

/* What options.def says of an expression's limits. */
static uint64_t standard_of(const char *name)
{
	static const struct {
		const char *name;
		uint64_t standard;
	} options[] = {
#define OPTION(name, unit, standard, least, most, help) {#name, standard},
#include "options.def"
#undef OPTION
	};
	for (size_t i = 0; i < LENGTH(options); i++) {
		if (strcmp(options[i].name, name) == 0) {
			return options[i].standard;
		}
	}
	fail_msg("there is no option %s", name);
	return 0;
}

static void test_standards(void **state)
{
	(void)state;
	assert_int_equal(usual.source_bytes, standard_of("expression_bytes_max"));
	assert_int_equal(usual.depth, standard_of("expression_depth_max"));
	assert_int_equal(usual.nodes, standard_of("expression_nodes_max"));
	assert_int_equal(usual.comprehensions, standard_of("expression_macros_max"));
	assert_int_equal(usual.literal_bytes, standard_of("expression_literal_max"));
	assert_int_equal(usual.regex_bytes, standard_of("expression_regex_bytes_max"));
	assert_int_equal(usual.memory_bytes, standard_of("expression_memory_max"));
	assert_int_equal(usual.steps, standard_of("expression_steps_max"));
}

/* ---- limits of what is written --------------------------------------------------------------- */

/* Parses and checks, as a subscription is; *ret_cost is the estimate. */
static enum err try(const char *source, const struct cel_limits *limits,
	struct cel_problem *ret_problem, uint64_t *ret_cost)
{
	const struct cel_variable variables[] = {{bytes_of("doc"), CEL_MAP}};
	struct cel_regexes *regexes = NULL;
	assert_int_equal(cel_regexes_new(limits->regex_bytes, &regexes), OK);
	const struct cel_scope scope = {.variables = variables,
		.variables_count = 1,
		.has_document = true,
		.regexes = regexes};
	struct arena arena = {0};
	struct cel_expression *expression = NULL;
	enum err err = cel_parse(&arena, bytes_of(source), limits, ret_problem, &expression);
	if (err == OK) {
		err = cel_check(&arena, expression, &scope, limits, ret_problem);
	}
	if (err == OK) {
		*ret_cost = cel_estimate(expression);
	}
	arena_fini(&arena);
	cel_regexes_free(regexes);
	return err;
}

static void assert_accepted(const char *source, const struct cel_limits *limits)
{
	struct cel_problem problem = {0};
	uint64_t cost = 0;
	if (try(source, limits, &problem, &cost) != OK) {
		fail_msg("%.200s: %u:%u %s", source, (unsigned)problem.line,
			(unsigned)problem.column, problem.text);
	}
}

static void assert_refused(const char *source, const struct cel_limits *limits,
	enum cel_problem_kind kind, uint32_t line, uint32_t column)
{
	struct cel_problem problem = {0};
	uint64_t cost = 0;
	enum err err = try(source, limits, &problem, &cost);
	if (err != ERR_LIMIT || problem.kind != kind || problem.line != line ||
		problem.column != column || !problem.text[0]) {
		fail_msg("%.200s: %s, kind %d, %u:%u %s", source, err_text(err), problem.kind,
			(unsigned)problem.line, (unsigned)problem.column, problem.text);
	}
}

/* `head`, `count` times `piece`, `tail`, and a NUL; as long as the buffer lives. */
static const char *repeat(
	struct buffer *buffer, const char *head, const char *piece, size_t count, const char *tail)
{
	buffer->size = 0;
	enum err err = buffer_append_text(buffer, head);
	for (size_t i = 0; err == OK && i < count; i++) {
		err = buffer_append_text(buffer, piece);
	}
	err = err == OK ? buffer_append_text(buffer, tail) : err;
	err = err == OK ? buffer_append(buffer, (struct bytes){"", 1}) : err;
	assert_int_equal(err, OK);
	return buffer->data;
}

static void test_source_bytes(void **state)
{
	(void)state;
	struct buffer buffer = {0};
	assert_accepted(repeat(&buffer, "a", " ", usual.source_bytes - 1, ""), &usual);
	assert_refused(
		repeat(&buffer, "a", "\n", usual.source_bytes, ""), &usual, CEL_TOO_LARGE, 1, 1);
	buffer_fini(&buffer);
}

/* Refused where the nesting goes too deep, or at the operator that has too much below it. */
static void test_depth(void **state)
{
	(void)state;
	const uint32_t most = usual.depth;
	struct buffer buffer = {0};
	assert_accepted(repeat(&buffer, "", "!", most - 1, "a"), &usual);
	assert_refused(repeat(&buffer, "", "!", most, "a"), &usual, CEL_TOO_LARGE, 1, 1);
	assert_accepted(repeat(&buffer, "a ==\n", "1+", most - 2, "1"), &usual);
	assert_refused(
		repeat(&buffer, "a ==\n", "1+", most, "1"), &usual, CEL_TOO_LARGE, 2, 2 * most);
	assert_accepted(repeat(&buffer, "a", ".b", most - 1, ""), &usual);
	assert_refused(
		repeat(&buffer, "a", ".b", most, ""), &usual, CEL_TOO_LARGE, 1, 2 * most + 1);
	assert_refused(repeat(&buffer, "\n", "(", 5000, ""), &usual, CEL_TOO_LARGE, 2, most + 1);
	buffer_fini(&buffer);
}

static void test_nodes(void **state)
{
	(void)state;
	const uint32_t most = usual.nodes;
	struct buffer buffer = {0};
	/* a name each, and one for all of the || */
	assert_accepted(repeat(&buffer, "", "a||", most - 2, "a"), &usual);
	assert_refused(repeat(&buffer, "\n ", "a||", most - 1, "a"), &usual, CEL_TOO_LARGE, 2, 3);
	assert_refused(
		repeat(&buffer, "", "a||", most, "a"), &usual, CEL_TOO_LARGE, 1, 3 * most + 1);
	buffer_fini(&buffer);
}

static void test_comprehensions(void **state)
{
	(void)state;
	assert_accepted("l.all(a, l.all(b, l.all(c, l.all(d, a + b + c + d > 0))))", &usual);
	assert_refused("l.all(a, l.all(b, l.all(c, l.all(d, l.all(e, e > 0)))))", &usual,
		CEL_TOO_LARGE, 1, 3);
	assert_refused("l.all(a, l.all(b, l.all(c, l.all(d, l.all(e, l.all(f, l.all(g,\n"
		       "l.all(h, h > 0))))))))",
		&usual, CEL_TOO_LARGE, 1, 30);
	/* whose ranges are macros, side by side */
	assert_accepted("l.map(a, a).map(a, a).map(a, a).map(a, a).map(a, a) == []", &usual);
}

static void test_literal_bytes(void **state)
{
	(void)state;
	struct cel_limits limits = usual;
	limits.literal_bytes = 16;
	struct buffer buffer = {0};
	assert_accepted(repeat(&buffer, "a == '", "x", 16, "'"), &limits);
	assert_refused(repeat(&buffer, "a ==\n '", "x", 17, "'"), &limits, CEL_TOO_LARGE, 2, 2);
	/* as it is meant, not as it is written */
	assert_accepted(repeat(&buffer, "a == b'", "\\x61", 16, "'"), &limits);
	assert_refused(repeat(&buffer, "a == b'", "\\x61", 17, "'"), &limits, CEL_TOO_LARGE, 1, 6);
	assert_accepted(repeat(&buffer, "a in [", "1,", 16, "]"), &limits);
	assert_refused(repeat(&buffer, "a in [", "1,", 17, "]"), &limits, CEL_TOO_LARGE, 1, 40);
	assert_accepted(repeat(&buffer, "a in {", "1:2,", 16, "}"), &limits);
	assert_refused(repeat(&buffer, "a in {", "1:2,", 17, "}"), &limits, CEL_TOO_LARGE, 1, 74);
	buffer_fini(&buffer);
}

/* How large a program comes of a pattern is RE2's affair: where the limit lies is looked for. */
static void test_regex_bytes(void **state)
{
	(void)state;
	struct cel_limits limits = usual;
	limits.regex_bytes = 4096;
	char source[64];
	struct cel_problem problem = {0};
	uint64_t cost = 0;
	unsigned most = 0;
	enum err err = OK;
	while (err == OK && most < 1000) {
		most++;
		(void)snprintf(source, sizeof(source), "a ||\n b.matches('[ab]{%u}')", most);
		err = try(source, &limits, &problem, &cost);
	}
	assert_in_range(most, 20, 300);
	assert_refused(source, &limits, CEL_TOO_LARGE, 2, 12);
	assert_true(problem.hint[0] != '\0');
	assert_accepted(source, &usual);
	assert_accepted("a.matches('[ab]{1000}')", &usual);
	assert_refused("a.matches('(?:\\\\pL{10}){100}')", &usual, CEL_TOO_LARGE, 1, 11);
}

/* Many patterns that are written out: what all are compiled to is bounded too. */
static void test_many_patterns(void **state)
{
	(void)state;
	struct cel_limits limits = usual;
	limits.memory_bytes = 4096;
	struct buffer buffer = {0};
	assert_accepted(repeat(&buffer, "a", " && b.matches('[ab]{20}')", 3, ""), &limits);
	assert_refused(repeat(&buffer, "a", "||\nb.matches('[ab]{100}')", 5, ""), &limits,
		CEL_TOO_LARGE, 4, 11);
	assert_accepted(repeat(&buffer, "a", " && b.matches('[ab]{20}')", 500, ""), &usual);
	assert_accepted(repeat(&buffer, "a", " && b.matches('[ab]{1000}')", 20, ""), &usual);
	buffer_fini(&buffer);
}

static void test_cost(void **state)
{
	(void)state;
	static const char *const sources[] = {"a == 1", "l.all(x, x > 1)",
		"l.all(x, x.m.exists(y, y == 1))", "l.all(x, l.all(y, x == y))", "t.contains(u)",
		"t.matches(u)"};
	for (size_t i = 0; i < LENGTH(sources); i++) {
		struct cel_limits limits = usual;
		struct cel_problem problem = {0};
		assert_int_equal(try(sources[i], &limits, &problem, &limits.cost), OK);
		assert_true(limits.cost > 0 && limits.cost < UINT64_MAX);
		assert_accepted(sources[i], &limits);
		limits.cost--;
		assert_refused(sources[i], &limits, CEL_TOO_DEAR, 1, 1);
	}
	struct cel_limits limits = usual;
	limits.cost = standard_of("expression_cost_max");
	assert_accepted("l.all(x, x.m.exists(y, y == 1))", &limits);
	assert_refused("l.all(x, l.all(y, x == y))", &limits, CEL_TOO_DEAR, 1, 1);
}

/* ---- real memory ----------------------------------------------------------------------------- */

struct meter {
	size_t live, most;
};

#define HEAD 16 /* in front of each piece: its size */

static void *meter_hook(void *ctx, void *pointer, size_t size)
{
	struct meter *meter = ctx;
	char *piece = pointer ? (char *)pointer - HEAD : NULL;
	size_t old = 0;
	if (piece) {
		memcpy(&old, piece, sizeof(old));
	}
	if (size == 0) {
		free(piece);
		meter->live -= old;
		return NULL;
	}
	/* Both are there for a moment while a piece is moved. */
	size_t both = meter->live + size;
	meter->most = both > meter->most ? both : meter->most;
	piece = realloc(piece, size + HEAD);
	assert_non_null(piece);
	memcpy(piece, &size, sizeof(size));
	meter->live += size - old;
	return piece + HEAD;
}

/* ---- one evaluation -------------------------------------------------------------------------- */

struct outcome {
	struct cel_value value; /* its type and, of an error, its kind; the rest is gone */
	bool has_stopped;
	uint64_t steps;       /* that the run took */
	size_t memory_bytes;  /* that it was charged for */
	size_t real_bytes;    /* of the run, at most at once */
	size_t program_bytes; /* of parser, checker and program, at most at once */
};

static struct cel_program *compile(const char *source, struct cel_regexes *regexes)
{
	const struct cel_variable variables[] = {{bytes_of("doc"), CEL_MAP}};
	const struct cel_scope scope = {
		.variables = variables, .variables_count = 1, .has_document = true};
	struct arena arena = {0};
	struct cel_problem problem = {0};
	struct cel_expression *expression = NULL;
	struct cel_program *program = NULL;
	struct cel_limits limits = usual;
	limits.comprehensions = 8;
	enum err err = cel_parse(&arena, bytes_of(source), &limits, &problem, &expression);
	if (err == OK) {
		err = cel_check(&arena, expression, &scope, &limits, &problem);
	}
	if (err == OK) {
		err = cel_compile(expression, regexes, &limits, &program);
	}
	if (err != OK) {
		fail_msg("%s: %u:%u %s", source, problem.line, problem.column, problem.text);
	}
	arena_fini(&arena);
	return program;
}

/* The document: a list of numbers, and a text. */
static struct cel_value make_document(struct arena *arena)
{
	struct buffer json = {0};
	const struct value *value = NULL;
	enum err err = buffer_append_text(&json, "{\"l\":[0");
	for (int i = 1; err == OK && i < 3000; i++) {
		err = buffer_printf(&json, ",%d", i);
	}
	err = err == OK ? buffer_append_text(&json, "],\"t\":\"") : err;
	for (int i = 0; err == OK && i < 5000; i++) {
		err = buffer_append_text(&json, "abcdefghij");
	}
	err = err == OK ? buffer_append_text(&json, "\"}") : err;
	assert_int_equal(err, OK);
	struct bytes text = arena_copy(arena, buffer_bytes(&json)); /* the document borrows it */
	assert_non_null(text.data);
	assert_int_equal(json_parse(text, 8, arena, &value, NULL), OK);
	buffer_fini(&json);
	return cel_of_document(value);
}

static struct outcome evaluate_within(const char *source, uint64_t steps, size_t memory_bytes)
{
	struct outcome outcome = {0};
	struct meter meter = {0};
	struct cel_regexes *regexes = NULL;
	struct arena kept = {0};
	struct arena arena = {0};
	struct cel_value document = make_document(&kept);
	mem_set_hook(meter_hook, &meter);
	assert_int_equal(cel_regexes_new(usual.regex_bytes, &regexes), OK);
	struct cel_program *program = compile(source, regexes);
	outcome.program_bytes = meter.most;
	size_t before = meter.live;
	meter.most = before;
	struct cel_run run = {
		.arena = &arena, .slots = &document, .steps = steps, .memory_bytes = memory_bytes};
	outcome.value = cel_run_program(program, &run);
	outcome.has_stopped = run.has_stopped;
	outcome.steps = steps - run.steps;
	outcome.memory_bytes = memory_bytes - run.memory_bytes;
	outcome.real_bytes = meter.most - before;
	arena_fini(&arena);
	cel_program_unref(program);
	cel_regexes_free(regexes);
	mem_set_hook(NULL, NULL);
	arena_fini(&kept);
	return outcome;
}

static struct outcome evaluate(const char *source)
{
	return evaluate_within(source, usual.steps, usual.memory_bytes);
}

static void assert_bounded(const char *source, const struct outcome *outcome)
{
	if (outcome->real_bytes > REAL_BYTES_MAX || outcome->program_bytes > REAL_BYTES_MAX) {
		fail_msg("%s takes %zu bytes, and its program %zu", source, outcome->real_bytes,
			outcome->program_bytes);
	}
	assert_true(outcome->steps <= usual.steps);
}

static void assert_stopped(const char *source)
{
	struct outcome outcome = evaluate(source);
	assert_bounded(source, &outcome);
	bool is_limit = outcome.value.type == CEL_ERROR &&
		(outcome.value.size == CEL_FAILED_BUDGET ||
			outcome.value.size == CEL_FAILED_MEMORY);
	if (!outcome.has_stopped || !is_limit) {
		fail_msg("%s has not been stopped after %" PRIu64 " steps: type %d, %s", source,
			outcome.steps, outcome.value.type,
			outcome.value.type == CEL_ERROR ? outcome.value.as.text : "");
	}
}

/* What one evaluation takes is just enough, and one less is not. */
static void test_steps_and_memory(void **state)
{
	(void)state;
	static const char *const sources[] = {"doc.l.all(a, a >= 0)", "doc.l.map(a, a + 1) != []",
		"doc.t.upperAscii() + doc.t != 'a'", "doc.l.filter(a, a % 2 == 0).size() == 1500",
		"{'a': doc.t, 'b': [doc.l]}.size() == 2", "doc.t.matches('j$') && true",
		"doc.t.contains(string(doc.l[7])) || true"};
	for (size_t i = 0; i < LENGTH(sources); i++) {
		struct outcome all = evaluate(sources[i]);
		if (all.value.type != CEL_BOOL) {
			fail_msg("%s: type %d", sources[i], all.value.type);
		}
		assert_true(all.steps > 0);
		struct outcome same = evaluate_within(sources[i], all.steps, all.memory_bytes);
		assert_int_equal(same.value.type, CEL_BOOL);
		assert_false(same.has_stopped);
		struct outcome less = evaluate_within(sources[i], all.steps - 1, all.memory_bytes);
		assert_true(less.has_stopped);
		assert_int_equal(less.value.type, CEL_ERROR);
		assert_int_equal(less.value.size, CEL_FAILED_BUDGET);
		if (all.memory_bytes > 0) {
			less = evaluate_within(sources[i], all.steps, all.memory_bytes - 1);
			assert_true(less.has_stopped);
			assert_int_equal(less.value.type, CEL_ERROR);
			assert_int_equal(less.value.size, CEL_FAILED_MEMORY);
		}
	}
	assert_true(evaluate(sources[0]).memory_bytes < 64); /* but for the variable */
	assert_true(evaluate(sources[1]).memory_bytes > 3000 * sizeof(struct cel_value));
}

/* ---- values that are small in memory, and huge when somebody walks them ---------------------- */

/* `seed`, doubled `levels` times by a list or by a sum, and what is done with it; `@` is what was
 * before. */
static void write_doubling(
	struct buffer *source, const char *seed, const char *doubled, int levels, const char *use)
{
	enum err err = buffer_printf(source, "cel.bind(x0, %s, ", seed);
	for (int i = 1; err == OK && i <= levels; i++) {
		char before[16];
		(void)snprintf(before, sizeof(before), "x%d", i - 1);
		err = buffer_printf(source, "cel.bind(x%d, ", i);
		for (const char *at = doubled; err == OK && *at != '\0'; at++) {
			err = *at == '@' ? buffer_append_text(source, before)
					 : buffer_append(source, (struct bytes){at, 1});
		}
		err = err == OK ? buffer_append_text(source, ", ") : err;
	}
	for (const char *at = use; err == OK && *at != '\0'; at++) {
		err = *at == '@' ? buffer_printf(source, "x%d", levels)
				 : buffer_append(source, (struct bytes){at, 1});
	}
	for (int i = 0; err == OK && i <= levels; i++) {
		err = buffer_append_text(source, ")");
	}
	assert_int_equal(err, OK);
	assert_int_equal(buffer_append(source, (struct bytes){"", 1}), OK);
}

static void test_shared_lists(void **state)
{
	(void)state;
	static const char *const uses[] = {
		"@ == [@, @][1]",
		"@ == [doc.l]",
		"'%s'.format([@]) == ''",
		"'%s'.format([{'a': @}]) == ''",
		"@.flatten(50).size() == 0",
		"@.distinct().size() == 0",
		"[@, @].distinct().size() == 0",
		"@ in [@, @]",
		"sets.contains(@, @)",
		"sets.equivalent([@], [@])",
		"sets.intersects([@], [@])",
	};
	size_t stopped = 0;
	for (size_t i = 0; i < LENGTH(uses); i++) {
		struct buffer source = {0};
		write_doubling(&source, "[doc.t, doc.t]", "[@, @]", 30, uses[i]);
		struct outcome outcome = evaluate(source.data);
		assert_bounded(source.data, &outcome);
		stopped += outcome.has_stopped;
		buffer_fini(&source);
	}
	assert_true(stopped >= 8);
}

static void test_doubling_texts_and_lists(void **state)
{
	(void)state;
	static const char *const rows[][3] = {
		{"doc.t + 'a'", "@ + @", "@ == 'a'"},
		{"doc.l + [1]", "@ + @", "@ == [1]"},
		{"bytes(doc.t) + b'a'", "@ + @", "@ == b'a'"},
		{"doc.t", "@.replace('a', @)", "@ == 'a'"},
		{"doc.t", "[@, @].join(@)", "@ == 'a'"},
		{"doc.t", "'%s%s%s%s'.format([@, @, @, @])", "@ == 'a'"},
		{"doc.t", "strings.quote(@ + '\"' + @)", "@ == 'a'"},
		{"bytes(doc.t)", "bytes(base64.encode(@ + @))", "@ == b'a'"},
		{"doc.t", "@.split('').join(@)", "@ == 'a'"},
		{"doc.t", "regex.replace(@, 'a', @)", "@ == 'a'"},
		{"'%x'.format([doc.t])", "'%x'.format([@])", "@ == 'a'"},
		{"doc.l", "@.map(i, doc.t + 'a')", "@ == [1]"},
		{"doc.l", "[@, @, @, @].flatten()", "@ == [1]"},
	};
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct buffer source = {0};
		write_doubling(&source, rows[i][0], rows[i][1], 12, rows[i][2]);
		assert_stopped(source.data);
		buffer_fini(&source);
	}
}

/* ---- short expressions that ask for much ----------------------------------------------------- */

static void test_short_and_greedy(void **state)
{
	(void)state;
	static const char *const sources[] = {
		"lists.range(1000000000) == []",
		"doc.l.all(a, doc.l.all(b, doc.l.all(c, true)))",
		"doc.l.map(a, doc.l.map(b, [a, b])).size() == 0",
		"doc.l.map(a, doc.t + string(a)).size() == 0",
		"doc.l.map(a, doc.t.split('')).size() == 0",
		"doc.l.map(a, doc.t.upperAscii()).size() == 0",
		"doc.l.map(a, doc.t.reverse()).size() == 0",
		"doc.l.map(a, doc.l.sort()).size() == 0",
		"doc.l.map(a, doc.l.sortBy(x, -x)).size() == 0",
		"doc.l.map(a, doc.l.distinct()).size() == 0",
		"doc.l.transformMap(i, v, doc.l.transformMap(j, w, j)).size() == 0",
		"doc.l.map(a, '%.1000f%.1000f'.format([double(a), 1e300])).size() == 0",
		"doc.l.map(a, doc.t.matches('(' + string(a) + '{100}){10}')).size() == 0",
		"doc.t.replace('', doc.t) == ''",
		"doc.l.exists(a, doc.t.contains(doc.t + 'a'))",
	};
	for (size_t i = 0; i < LENGTH(sources); i++) {
		assert_stopped(sources[i]);
	}
}

/* Where somebody lets macros nest so deep, the run is stopped. */
static void test_eight_nested_macros(void **state)
{
	(void)state;
	static const char source[] =
		"doc.l.all(a, doc.l.all(b, doc.l.all(c, doc.l.all(d, doc.l.all(e, "
		"doc.l.all(f, doc.l.all(g, doc.l.all(h, h >= 0))))))))";
	struct cel_limits limits = usual;
	limits.comprehensions = 7;
	assert_refused(source, &limits, CEL_TOO_LARGE, 1, 7);
	limits.comprehensions = 8;
	assert_accepted(source, &limits);
	limits.cost = UINT64_MAX - 1;
	assert_refused(source, &limits, CEL_TOO_DEAR, 1, 1);
	assert_stopped(source);
}

/* Gigabytes, if anybody made them: of constants, when a subscriber waits, and of a document. */
static void test_short_and_huge(void **state)
{
	(void)state;
	static const char *const sources[] = {
		"cel.bind(a,'0123456789abcdef',cel.bind(b,a.replace('',a),"
		"cel.bind(c,b.replace('',b),c.replace('',c).size()>0)))",
		"cel.bind(a,'0123456789abcdef',cel.bind(b,[a,a,a,a,a,a,a,a].join(a),"
		"[b,b,b,b,b,b].join(b.replace('',b)).replace('',b)))==''",
		"cel.bind(a,doc.t+doc.t+doc.t+doc.t,a.replace('a',a)).size()>0",
		"lists.range(99999).map(a,lists.range(9999)).size()>0",
		"doc.l.map(a,doc.l.map(b,doc.t+doc.t)).size()>0",
	};
	for (size_t i = 0; i < LENGTH(sources); i++) {
		assert_in_range(strlen(sources[i]), 1, 125);
		assert_stopped(sources[i]);
	}
}

/* A pattern is RE2's, and bounded by itself: it is refused, or it is fast. */
static void test_patterns(void **state)
{
	(void)state;
	static const char *const sources[] = {
		"doc.t.matches('((a{100}){100}){100}')",
		"doc.t.matches('(a*)*b')",
		"doc.t.matches('(x+x+)+y')",
		"doc.t.matches('[a-z]{1000}' + '[a-z]{1000}')",
		"doc.t.matches('(?:.{1,500}){1,500}z')",
		"doc.t.matches(doc.t)",
	};
	for (size_t i = 0; i < LENGTH(sources); i++) {
		struct outcome outcome = evaluate(sources[i]);
		assert_bounded(sources[i], &outcome);
	}
}

/* Neither side of `||`, no macro and no optional takes a stop for an error like others. */
static void test_nothing_absorbs_a_stop(void **state)
{
	(void)state;
	static const char loop[] = "doc.l.all(a, doc.l.all(b, doc.l.all(c, true)))";
	static const char *const frames[] = {
		"@ || true",
		"true && @",
		"false || @ || true",
		"!(@ && false)",
		"[1, 2].exists(x, x == 2 || @)",
		"[1, 2].exists(x, @ || x == 1)",
		"optional.of(@).orValue(true)",
		"[@][?0].orValue(true)",
		"cel.bind(v, @, v || true)",
		"(@ ? 1 : 2) == 1",
		"{'a': @}.?a.orValue(true)",
	};
	for (size_t i = 0; i < LENGTH(frames); i++) {
		struct buffer source = {0};
		for (const char *at = frames[i]; *at != '\0'; at++) {
			assert_int_equal(*at == '@' ? buffer_append_text(&source, loop)
						    : buffer_append(&source, (struct bytes){at, 1}),
				OK);
		}
		assert_int_equal(buffer_append(&source, (struct bytes){"", 1}), OK);
		assert_stopped(source.data);
		buffer_fini(&source);
	}
}

/* What a bad start costs is known too: many constants, each of them large. */
static void test_programs_are_bounded(void **state)
{
	(void)state;
	struct buffer source = {0};
	for (int i = 0; i < 400; i++) {
		assert_int_equal(
			buffer_append_text(&source, "lists.range(60000) == doc.l || "), OK);
	}
	assert_int_equal(buffer_append(&source, (struct bytes){"true", 5}), OK);
	struct outcome outcome = evaluate(source.data);
	assert_bounded(source.data, &outcome);
	buffer_fini(&source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_standards),
		cmocka_unit_test(test_source_bytes),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_comprehensions),
		cmocka_unit_test(test_literal_bytes),
		cmocka_unit_test(test_regex_bytes),
		cmocka_unit_test(test_many_patterns),
		cmocka_unit_test(test_cost),
		cmocka_unit_test(test_steps_and_memory),
		cmocka_unit_test(test_shared_lists),
		cmocka_unit_test(test_doubling_texts_and_lists),
		cmocka_unit_test(test_short_and_greedy),
		cmocka_unit_test(test_eight_nested_macros),
		cmocka_unit_test(test_short_and_huge),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_nothing_absorbs_a_stop),
		cmocka_unit_test(test_programs_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
