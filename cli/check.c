/*
 * streamer check: what an expression is, whether it can be subscribed to, and with a document, what
 * it gives and why. Everything is found out first and then written, as text or as JSON.
 */
#include "check_explain.h"
#include "cli.h"
#include "condition.h"
#include "match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define JSON_DEPTH_MAX 100
#define PARTS_MAX 1000 /* shown of an expression */

struct check {
	const struct cli_command *command;
	const char *source;
	const char *document_path;
	bool is_json, is_explained;
	struct check_explain_request request; /* where it is explained */
	struct cel_limits limits;
	struct arena arena;
	struct cel_regexes *regexes;
	struct cel_expression *expression;
	const struct cel_node *condition; /* to be released */
	const struct cel_node *tree;      /* the same in its canonical form */
	struct cel_problem problem;
	bool is_refused; /* `problem` says why */
	struct cel_value slots[MATCH_NAMES_MAX];
	bool has_document;
	struct cel_value result;
	struct buffer explanation; /* text, or a JSON object; empty: not asked for */
	struct buffer out;
};

static enum cli_status failed(const struct check *check, enum err err)
{
	cli_say(check->command, "%s", err_text(err));
	return CLI_USAGE;
}

/* ---- the document ---------------------------------------------------------------------------- */

static enum err read_all(FILE *file, struct buffer *text)
{
	for (;;) {
		enum err err = buffer_reserve(text, 65536);
		if (err != OK) {
			return err;
		}
		size_t size = fread(text->data + text->size, 1, 65536, file);
		text->size += size;
		if (size == 0) {
			return ferror(file) ? ERR_IO : OK;
		}
	}
}

static void set_slots(struct check *check, const struct value *document)
{
	const struct cel_value missing = {
		.type = CEL_ERROR, .size = CEL_FAILED_NAME, .as.text = "there is no change here"};
	for (size_t i = 0; i < MATCH_NAMES_MAX; i++) {
		check->slots[i] = missing;
	}
	check->slots[0] = cel_of_document(document);
	const struct value *id = value_member(document, bytes_of("id"));
	if (id && id->kind == VALUE_STRING) {
		check->slots[1] = cel_of_document(id);
	}
}

static enum cli_status read_document(struct check *check)
{
	bool is_stdin = strcmp(check->document_path, "-") == 0;
	FILE *file = is_stdin ? stdin : fopen(check->document_path, "r");
	if (!file) {
		cli_say(check->command, "--doc: cannot open %s: %s", check->document_path,
			strerrordesc_np(errno));
		return CLI_USAGE;
	}
	struct buffer text = {0};
	struct err_info info = {0};
	const struct value *document = NULL;
	enum err err = read_all(file, &text);
	struct bytes kept = {0};
	if (err == OK) {
		kept = arena_copy(&check->arena, buffer_bytes(&text));
		err = kept.data ? OK : ERR_MEMORY;
	}
	if (err == OK) {
		err = json_parse(kept, JSON_DEPTH_MAX, &check->arena, &document, &info);
	}
	buffer_fini(&text);
	if (!is_stdin) {
		(void)fclose(file);
	}
	if (err == OK && document->kind == VALUE_OBJECT) {
		set_slots(check, document);
		return CLI_DONE;
	}
	cli_say(check->command, "--doc: %s is no JSON object: %s", check->document_path,
		err == OK                 ? "an object begins with {"
			: info.code != OK ? info.text
					  : err_text(err));
	return CLI_USAGE;
}

/* ---- finding out ----------------------------------------------------------------------------- */

static enum err check_type(struct check *check)
{
	enum cel_type type = cel_result_type(check->expression);
	if (type == CEL_BOOL || type == CEL_DYN) {
		return OK;
	}
	check->problem = (struct cel_problem){.kind = CEL_TYPES, .line = 1, .column = 1};
	(void)snprintf(check->problem.text, sizeof(check->problem.text),
		"it gives a value of type %s, not a bool", cel_type_name(type));
	(void)snprintf(check->problem.hint, sizeof(check->problem.hint),
		"a subscription needs a condition: compare it with something");
	return ERR_INVALID;
}

static enum err compile(struct check *check)
{
	struct cel_variable variables[MATCH_NAMES_MAX];
	const struct match_name *name = NULL;
	size_t count = 0;
	for (; (name = match_name_at(count)) != NULL; count++) {
		variables[count] =
			(struct cel_variable){bytes_of(name->name), (enum cel_type)name->type};
	}
	const struct cel_scope scope = {.variables = variables,
		.variables_count = count,
		.has_document = true,
		.regexes = check->regexes};
	enum err err = cel_parse(&check->arena, bytes_of(check->source), &check->limits,
		&check->problem, &check->expression);
	if (err == OK) {
		err = cel_check(
			&check->arena, check->expression, &scope, &check->limits, &check->problem);
	}
	if (err == OK) {
		err = check_type(check);
	}
	check->is_refused = err == ERR_INVALID || err == ERR_LIMIT;
	if (err != OK) {
		return check->is_refused ? OK : err;
	}
	err = cel_condition(&check->arena, check->expression, check->regexes, &check->limits,
		&check->condition);
	return err == OK ? cel_normalise(&check->arena, check->condition, &check->tree) : err;
}

/* The value of a part, as text in `out`. */
static enum err print_value_of(
	struct check *check, const struct cel_expression *part, struct cel_value *ret_value)
{
	struct cel_program *program = NULL;
	enum err err = cel_compile(part, check->regexes, &check->limits, &program);
	if (err != OK) {
		return err;
	}
	struct cel_run run = {.arena = &check->arena,
		.slots = check->slots,
		.steps = check->limits.steps,
		.memory_bytes = check->limits.memory_bytes};
	*ret_value = cel_run_program(program, &run);
	err = ret_value->type == CEL_ERROR
		? buffer_printf(&check->out, "error: %s", ret_value->as.text)
		: cel_print_value(&check->out, *ret_value);
	cel_program_unref(program);
	return err;
}

/* ---- as text --------------------------------------------------------------------------------- */

static enum err line(struct check *check, const char *title)
{
	return buffer_printf(&check->out, "%-10s", title);
}

static enum err end_line(struct check *check, enum err err)
{
	return err == OK ? buffer_append_text(&check->out, "\n") : err;
}

static enum err print_facts(struct check *check)
{
	enum err err = line(check, "type");
	if (err == OK) {
		err = end_line(check, cel_print_type(&check->out, check->expression));
	}
	if (err == OK) {
		err = line(check, "tree");
	}
	if (err == OK) {
		err = end_line(check, cel_print(&check->out, check->tree));
	}
	if (err == OK) {
		err = line(check, "cost");
	}
	return err == OK ? buffer_printf(&check->out,
				   "%llu steps at most, on a large document (limit %llu)\n",
				   (unsigned long long)cel_estimate(check->expression),
				   (unsigned long long)check->limits.cost)
			 : err;
}

/* What the names that stand alone were taken for, and what is likely to fail. */
static enum err print_remarks(struct check *check)
{
	struct cel_part part;
	enum err err = OK;
	for (size_t i = 0; err == OK && i < PARTS_MAX && cel_part_at(check->expression, i, &part);
		i++) {
		if (part.is_bare_field) {
			err = line(check, "name");
			if (err == OK) {
				err = end_line(
					check, cel_print_expression(&check->out, part.expression));
			}
		}
		if (err == OK && part.advice) {
			err = line(check, "warning");
			if (err == OK) {
				err = cel_print_expression(&check->out, part.expression);
			}
			if (err == OK) {
				err = buffer_printf(&check->out, ": %s\n", part.advice);
			}
		}
	}
	return err;
}

static enum err print_why(struct check *check)
{
	struct cel_part part;
	enum err err = OK;
	for (size_t i = 0; err == OK && i < PARTS_MAX && cel_part_at(check->expression, i, &part);
		i++) {
		if (part.is_inside_macro) {
			continue;
		}
		struct cel_value value;
		err = buffer_printf(&check->out, "  %*s", (int)part.level * 2, "");
		if (err == OK) {
			err = cel_print_expression(&check->out, part.expression);
		}
		if (err == OK) {
			err = buffer_append_text(&check->out, " = ");
		}
		if (err == OK) {
			err = end_line(check, print_value_of(check, part.expression, &value));
		}
	}
	return err;
}

static enum err print_text(struct check *check)
{
	enum err err = print_facts(check);
	if (err == OK) {
		err = print_remarks(check);
	}
	if (err == OK && check->has_document) {
		err = line(check, "result");
		if (err == OK) {
			err = end_line(
				check, print_value_of(check, check->expression, &check->result));
		}
		if (err == OK) {
			err = buffer_append_text(&check->out, "why\n");
		}
		if (err == OK) {
			err = print_why(check);
		}
	}
	if (err == OK && check->is_explained) {
		err = buffer_append(&check->out, buffer_bytes(&check->explanation));
	}
	return err;
}

/* ---- as JSON --------------------------------------------------------------------------------- */

/* Makes what has been appended since `start` a string. */
static enum err put_text(struct check *check, size_t start)
{
	struct buffer text = {0};
	struct bytes written = {check->out.data + start, check->out.size - start};
	enum err err = buffer_append(&text, written);
	check->out.size = start;
	if (err == OK) {
		err = json_print_string(&check->out, buffer_bytes(&text));
	}
	buffer_fini(&text);
	return err;
}

static enum err put_name(struct check *check, const char *name)
{
	bool is_first = check->out.size == 0 || check->out.data[check->out.size - 1] == '{';
	return buffer_printf(&check->out, "%s\"%s\":", is_first ? "" : ",", name);
}

static enum err put_string(struct check *check, const char *name, const char *text)
{
	enum err err = put_name(check, name);
	return err == OK ? json_print_string(&check->out, bytes_of(text)) : err;
}

typedef enum err (*print_fn)(struct buffer *buffer, const struct cel_expression *expression);

static enum err put_printed(struct check *check, const char *name, print_fn print,
	const struct cel_expression *expression)
{
	enum err err = put_name(check, name);
	size_t start = check->out.size;
	if (err == OK) {
		err = print(&check->out, expression);
	}
	return err == OK ? put_text(check, start) : err;
}

static enum err put_value(struct check *check, const char *name, const struct cel_expression *part)
{
	enum err err = put_name(check, name);
	size_t start = check->out.size;
	if (err == OK) {
		err = print_value_of(check, part, &check->result);
	}
	return err == OK ? put_text(check, start) : err;
}

static enum err put_part(struct check *check, const struct cel_part *part, bool is_first)
{
	enum err err = buffer_append_text(&check->out, is_first ? "{" : ",{");
	if (err == OK) {
		err = put_printed(check, "expression", cel_print_expression, part->expression);
	}
	if (err == OK) {
		err = put_name(check, "level");
	}
	if (err == OK) {
		err = buffer_printf(&check->out, "%u", (unsigned)part->level);
	}
	if (err == OK) {
		err = put_printed(check, "type", cel_print_type, part->expression);
	}
	if (err == OK && part->is_bare_field) {
		err = put_string(check, "name", "a field of the document");
	}
	if (err == OK && part->advice) {
		err = put_string(check, "warning", part->advice);
	}
	if (err == OK && check->has_document && !part->is_inside_macro) {
		err = put_value(check, "value", part->expression);
	}
	return err == OK ? buffer_append_text(&check->out, "}") : err;
}

static enum err put_parts(struct check *check)
{
	struct cel_part part;
	enum err err = put_name(check, "parts");
	if (err == OK) {
		err = buffer_append_text(&check->out, "[");
	}
	for (size_t i = 0; err == OK && i < PARTS_MAX && cel_part_at(check->expression, i, &part);
		i++) {
		err = put_part(check, &part, i == 0);
	}
	return err == OK ? buffer_append_text(&check->out, "]") : err;
}

static enum err put_tree(struct check *check)
{
	enum err err = put_name(check, "tree");
	size_t start = check->out.size;
	if (err == OK) {
		err = cel_print(&check->out, check->tree);
	}
	return err == OK ? put_text(check, start) : err;
}

static enum err put_problem(struct check *check)
{
	const struct cel_problem *problem = &check->problem;
	enum err err = buffer_append_text(&check->out, "{\"valid\":false");
	if (err == OK) {
		err = put_string(check, "error", problem->text);
	}
	if (err == OK) {
		err = put_string(check, "hint", problem->hint);
	}
	return err == OK ? buffer_printf(&check->out, ",\"line\":%u,\"column\":%u}\n",
				   (unsigned)problem->line, (unsigned)problem->column)
			 : err;
}

static enum err print_json(struct check *check)
{
	enum err err = buffer_append_text(&check->out, "{\"valid\":true");
	if (err == OK) {
		err = put_printed(check, "type", cel_print_type, check->expression);
	}
	if (err == OK) {
		err = put_tree(check);
	}
	if (err == OK) {
		err = put_name(check, "cost");
	}
	if (err == OK) {
		err = buffer_printf(
			&check->out, "%llu", (unsigned long long)cel_estimate(check->expression));
	}
	if (err == OK) {
		err = put_parts(check);
	}
	if (err == OK && check->has_document) {
		err = put_value(check, "result", check->expression);
	}
	if (err == OK && check->is_explained) {
		err = put_name(check, "explain");
		err = err == OK ? buffer_append(&check->out, buffer_bytes(&check->explanation))
				: err;
	}
	return err == OK ? buffer_append_text(&check->out, "}\n") : err;
}

/* ---- the command ----------------------------------------------------------------------------- */

static enum err print_refusal(struct check *check)
{
	if (check->is_json) {
		return put_problem(check);
	}
	struct buffer caret = {0};
	enum err err = cel_print_problem(&caret, bytes_of(check->source), &check->problem);
	if (err == OK) {
		cli_say(check->command, "line %u, column %u: %s", (unsigned)check->problem.line,
			(unsigned)check->problem.column, check->problem.text);
		(void)fwrite(caret.data, 1, caret.size, stderr);
		if (check->problem.hint[0]) {
			(void)fprintf(stderr, "hint: %s\n", check->problem.hint);
		}
	}
	buffer_fini(&caret);
	return err;
}

static enum cli_status status_of(const struct check *check)
{
	if (check->is_refused) {
		return CLI_USAGE;
	}
	bool is_true = check->result.type == CEL_BOOL && check->result.as.boolean;
	return !check->has_document || is_true ? CLI_DONE : CLI_FAILED;
}

static enum cli_status check_expression(struct check *check)
{
	enum err err = cel_regexes_new(check->limits.regex_bytes, &check->regexes);
	if (err == OK) {
		err = compile(check);
	}
	bool is_fine = err == OK && !check->is_refused;
	if (is_fine && check->is_explained &&
		check_explain(&check->request, check->is_json, &check->explanation) != CLI_DONE) {
		return CLI_USAGE;
	}
	if (err == OK && check->is_refused) {
		err = print_refusal(check);
	} else if (err == OK) {
		err = check->is_json ? print_json(check) : print_text(check);
	}
	if (err != OK) {
		return failed(check, err);
	}
	bool is_written = fwrite(check->out.data, 1, check->out.size, stdout) == check->out.size &&
		fflush(stdout) == 0;
	if (!is_written) {
		cli_say(check->command, "cannot write: %s", strerrordesc_np(errno));
		return CLI_USAGE;
	}
	return status_of(check);
}

static void fini(struct check *check)
{
	if (check->condition) {
		cel_release(check->condition);
	}
	cel_regexes_free(check->regexes);
	buffer_fini(&check->explanation);
	buffer_fini(&check->out);
	arena_fini(&check->arena);
}

static int64_t limit_of(const struct streamer_options *options, const char *name)
{
	struct streamer_option option;
	for (size_t i = 0; streamer_option_at(i, &option); i++) {
		if (strcmp(option.name, name) == 0) {
			return options->limits[i];
		}
	}
	return 0;
}

static void set_limits(struct check *check, const struct streamer_options *options)
{
	check->limits = (struct cel_limits){
		.source_bytes = (uint32_t)limit_of(options, "expression_bytes_max"),
		.depth = (uint32_t)limit_of(options, "expression_depth_max"),
		.nodes = (uint32_t)limit_of(options, "expression_nodes_max"),
		.comprehensions = (uint32_t)limit_of(options, "expression_macros_max"),
		.literal_bytes = (uint32_t)limit_of(options, "expression_literal_max"),
		.regex_bytes = (uint32_t)limit_of(options, "expression_regex_bytes_max"),
		.memory_bytes = (uint32_t)limit_of(options, "expression_memory_max"),
		.cost = (uint64_t)limit_of(options, "expression_cost_max"),
		.steps = (uint64_t)limit_of(options, "expression_steps_max"),
	};
	const struct cel_limits *limits = &check->limits;
	check->request.limits = (struct match_limits){
		.source_bytes = limits->source_bytes,
		.depth = limits->depth,
		.nodes = limits->nodes,
		.macros = limits->comprehensions,
		.literal = limits->literal_bytes,
		.regex_bytes = limits->regex_bytes,
		.memory_bytes = limits->memory_bytes,
		.failures = (uint32_t)limit_of(options, "expression_failures_max"),
		.residuals = (uint32_t)limit_of(options, "residuals_max"),
		.subscription_bytes = (size_t)limit_of(options, "subscription_bytes_max"),
		.cost = limits->cost,
		.steps = limits->steps,
	};
}

/* What belongs to --explain is refused without it. */
static enum cli_status check_request(struct check *check)
{
	struct check_explain_request *request = &check->request;
	request->command = check->command;
	request->source = check->source;
	bool is_lost = !check->is_explained &&
		(request->rules_path || request->database || request->collection);
	return is_lost ? cli_refuse(check->command,
				 "--rules, --database and --collection go with --explain")
		       : CLI_DONE;
}

static enum cli_status run(const struct cli_command *command, int count, char **arguments)
{
	struct streamer_options options;
	streamer_options_init(&options);
	struct check check = {.command = command};
	const struct cli_option table[] = {
		{"doc", "FILE", "a document as JSON, - for stdin: what the expression gives for it",
			.text = &check.document_path},
		{"explain", NULL,
			"where an index files it, what is left to verify, what would help",
			.flag = &check.is_explained},
		{"rules", "FILE", "with --explain: beside these, one JSON object a line",
			.text = &check.request.rules_path},
		{"collection", "NAME",
			"with --explain: that it is about; the first rule's if not given",
			.text = &check.request.collection},
		{"database", "NAME",
			"with --explain: that it is about; the first rule's if not given",
			.text = &check.request.database},
		{"json", NULL, "one JSON object", .flag = &check.is_json},
		{0},
	};
	const struct cli_parser parser = {.command = command,
		.options = table,
		.limits = &options,
		.operand = "EXPR",
		.operand_text = &check.source};
	enum cli_status status = CLI_DONE;
	if (!cli_parse(&parser, count, arguments, &status)) {
		return status;
	}
	set_limits(&check, &options);
	check.has_document = check.document_path != NULL;
	status = check_request(&check);
	if (status == CLI_DONE && check.has_document) {
		status = read_document(&check);
	}
	if (status == CLI_DONE) {
		status = check_expression(&check);
	}
	fini(&check);
	return status;
}

const struct cli_command cli_check = {
	.name = "check",
	.summary = "says what an expression means, costs, and gives for a document",
	.synopsis = "EXPR [--doc FILE|-] [--explain [--rules FILE]] [--json] [LIMIT]...",
	.text = "Parses and checks a CEL expression as a subscription would: prints its type, its "
		"tree\n"
		"as it would be indexed, its estimated cost, what names that stand alone were "
		"taken "
		"for,\n"
		"and what is likely to fail; or what is wrong, where, and what would be right. "
		"With "
		"a\n"
		"document, also the result and the value of each part. The document is what a "
		"filter\n"
		"sees: its fields, and id. Ends with status 0 when the expression is valid, and "
		"true if\n"
		"there is a document; 1 when it is false or fails, which is no match; 2 when it is "
		"not\n"
		"valid. man 7 streamer-cel describes the language.\n"
		"\n"
		"--explain tells what leads from a change to the expression, how many queries "
		"stand\n"
		"there, whether that says already that it holds, and what is left to verify. "
		"Rules\n"
		"are {\"id\",\"database\",\"collection\",\"filters\",\"expression\"}, as for "
		"streamer "
		"bench.\n"
		"Steps are for 1000 changes: 1 for being found, 1 for a comparison that is left, "
		"16\n"
		"for what must be run; supposed that 1 document in 100 has a given value, 1 in 4 "
		"is\n"
		"in a range, 1 in 16 in one with two ends.\n",
	.examples = "  streamer check 'age > 18 && room in [\"a\", \"b\"]'\n"
		    "  echo '{\"age\":20,\"room\":\"a\"}' | streamer check 'age > 18' --doc -\n"
		    "  streamer check 'price * 1.1 > 99.0' --json\n"
		    "  streamer check 'age > 18 && room == \"a\"' --explain --rules "
		    "rules.ndjson\n",
	.run = run,
};
