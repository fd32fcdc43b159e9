/*
 * From a checked expression to a program. What has only constants below it is evaluated now, with a
 * small budget; where that fails the instructions stay, so that it fails when the program runs, and
 * may be absorbed.
 */
#include "program_priv.h"
#include "regex_priv.h"

#include <string.h>

#define FOLD_STEPS 20000
#define FOLD_BYTES ((size_t)64 << 10)

static enum err compile(
	struct cel_program *program, const struct cel_expression *node, struct code *ret_code);

/* ---- children ---- */

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err compile_children(
	struct cel_program *program, const struct cel_expression *node, struct code *code)
{
	struct code *children =
		arena_alloc(&program->arena, node->children_count * sizeof(*children));
	enum err err = children ? OK : ERR_MEMORY;
	for (uint32_t i = 0; err == OK && i < node->children_count; i++) {
		err = compile(program, node->children[i], &children[i]);
	}
	for (uint32_t i = 0; err == OK && i < node->children_count; i++) {
		code->depth = children[i].depth > code->depth ? children[i].depth : code->depth;
	}
	code->depth++;
	code->children = children;
	code->children_count = node->children_count;
	return err;
}

/*
 * A binding is evaluated where it is first used, however deep in the body; that may again be one
 * that uses a binding, and so on. Where this could nest deeper than an expression may, it is
 * evaluated before the body: no value depends on when that is.
 */
static void bound_binding(const struct cel_program *program, struct code *code)
{
	uint32_t depth = 1 + code->children[0].depth + code->children[1].depth;
	code->is_eager = depth > program->depth_max;
	code->depth = code->is_eager ? code->depth : depth;
}

static enum err copy_bytes(struct cel_program *program, struct bytes bytes, struct bytes *ret_bytes)
{
	struct bytes copy = arena_copy(&program->arena, bytes);
	if (!copy.data) {
		return ERR_MEMORY;
	}
	*ret_bytes = copy;
	return OK;
}

/* ---- leaves ---- */

/* A literal's text is the source's, or the parser's arena's. */
static enum err compile_literal(
	struct cel_program *program, const struct cel_expression *node, struct code *code)
{
	code->kind = CODE_CONSTANT;
	code->as.constant = node->literal;
	if (node->literal.type != CEL_STRING && node->literal.type != CEL_BYTES) {
		return OK;
	}
	struct bytes text = {0};
	enum err err = copy_bytes(program, cel_text(node->literal), &text);
	code->as.constant.as.text = text.data;
	return err;
}

static void compile_failure(struct code *code, enum cel_failure failure, const char *text)
{
	code->kind = CODE_CONSTANT;
	code->children_count = 0;
	code->as.constant = cel_error(failure, text);
}

/* ---- fields ---- */

static bool is_path(const struct cel_expression *node)
{
	while (node->kind == EXPR_SELECT && !node->is_optional) {
		node = node->children[0];
	}
	return node->kind == EXPR_SLOT;
}

/* A chain of selections on a variable: one instruction. */
static enum err compile_path(
	struct cel_program *program, const struct cel_expression *node, struct code *code)
{
	uint32_t count = 0;
	for (const struct cel_expression *at = node; at->kind == EXPR_SELECT;
		at = at->children[0]) {
		count++;
	}
	struct bytes *names = arena_alloc(&program->arena, count * sizeof(*names));
	enum err err = names ? OK : ERR_MEMORY;
	code->kind = CODE_FIELD;
	code->as.names = names;
	code->names_count = count;
	while (err == OK && node->kind == EXPR_SELECT) {
		err = copy_bytes(program, node->text, &names[--count]);
		node = node->children[0];
	}
	code->index = node->index;
	return err;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err compile_selection(
	struct cel_program *program, const struct cel_expression *node, struct code *code)
{
	if (node->kind == EXPR_SELECT && is_path(node)) {
		return compile_path(program, node, code);
	}
	struct bytes *name = arena_alloc(&program->arena, sizeof(*name));
	enum err err = name ? copy_bytes(program, node->text, name) : ERR_MEMORY;
	code->kind = node->kind == EXPR_HAS ? CODE_HAS : CODE_SELECT;
	code->is_optional = node->is_optional;
	code->as.names = name;
	code->names_count = 1;
	return err == OK ? compile_children(program, node, code) : err;
}

/* ---- operators ---- */

static enum code_kind kind_of(enum expr_operator operation)
{
	static const uint8_t kinds[] = {
		[OP_CONDITIONAL] = CODE_CONDITIONAL,
		[OP_OR] = CODE_OR,
		[OP_AND] = CODE_AND,
		[OP_EQUAL] = CODE_EQUAL,
		[OP_NOT_EQUAL] = CODE_NOT_EQUAL,
		[OP_LESS] = CODE_ORDER,
		[OP_LESS_OR_EQUAL] = CODE_ORDER,
		[OP_GREATER] = CODE_ORDER,
		[OP_GREATER_OR_EQUAL] = CODE_ORDER,
		[OP_IN] = CODE_IN,
		[OP_ADD] = CODE_ARITHMETIC,
		[OP_SUBTRACT] = CODE_ARITHMETIC,
		[OP_MULTIPLY] = CODE_ARITHMETIC,
		[OP_DIVIDE] = CODE_ARITHMETIC,
		[OP_MODULO] = CODE_ARITHMETIC,
		[OP_NOT] = CODE_NOT,
		[OP_NEGATE] = CODE_NEGATE,
	};
	return (enum code_kind)kinds[operation];
}

/* ---- calls ---- */

static enum err keep_regex(struct cel_program *program, const struct cel_regex *regex)
{
	if (program->kept_count == program->kept_capacity) {
		size_t capacity = program->kept_capacity * 2 + 4;
		const struct cel_regex **kept =
			arena_alloc(&program->arena, capacity * sizeof(const void *));
		if (!kept) {
			return ERR_MEMORY;
		}
		if (program->kept_count > 0) {
			memcpy(kept, program->kept, program->kept_count * sizeof(const void *));
		}
		program->kept = kept;
		program->kept_capacity = capacity;
	}
	program->kept[program->kept_count++] = regex;
	return OK;
}

/* A pattern that is constant is compiled now; one that is wrong fails when it is used. */
static enum err compile_pattern(struct cel_program *program, struct code *code)
{
	const struct code *pattern = code->children_count > 1 ? &code->children[1] : NULL;
	if (!pattern || pattern->kind != CODE_CONSTANT || pattern->as.constant.type != CEL_STRING) {
		return OK;
	}
	struct err_info info = {0};
	const struct cel_regex *regex = NULL;
	enum err err =
		cel_regex_get(program->regexes, cel_text(pattern->as.constant), &info, &regex);
	if (err != OK) {
		return err == ERR_MEMORY ? err : OK;
	}
	code->as.call.regex = regex;
	err = keep_regex(program, regex);
	if (err != OK) {
		cel_regex_put(program->regexes, regex);
	}
	return err;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err compile_call(
	struct cel_program *program, const struct cel_expression *node, struct code *code)
{
	size_t count = 0;
	const struct cel_function *functions =
		cel_functions(node->text, node->is_member ? STYLE_MEMBER : STYLE_GLOBAL, &count);
	const struct cel_function *first = NULL;
	const struct cel_function *last = NULL;
	for (size_t i = 0; i < count; i++) {
		if (cel_function_takes_count(&functions[i], node->children_count)) {
			first = first ? first : &functions[i];
			last = &functions[i];
		}
	}
	if (!first) {
		compile_failure(code, CEL_FAILED_NAME, "no such function");
		return OK;
	}
	code->kind = CODE_CALL;
	code->is_lazy =
		first->call == cel_call_optional_or || first->call == cel_call_optional_or_value;
	code->as.call = (struct code_call){first, (size_t)(last - first) + 1, NULL};
	enum err err = compile_children(program, node, code);
	return err == OK && first->cost == COST_REGEX ? compile_pattern(program, code) : err;
}

/* ---- constants ---- */

static bool is_foldable(const struct code *code)
{
	if (code->kind == CODE_CONSTANT || code->kind == CODE_MACRO || code->children_count == 0) {
		return false;
	}
	for (uint32_t i = 0; i < code->children_count; i++) {
		const struct code *child = &code->children[i];
		if (child->kind != CODE_CONSTANT || child->as.constant.type == CEL_ERROR) {
			return false;
		}
	}
	return true;
}

/*
 * The value borrows from the program's arena, and so may be kept in it. What all folding together
 * may take is bounded: it is done where a subscriber is waiting, and kept as long as the program.
 */
static void fold(struct cel_program *program, struct code *code)
{
	struct cel_run run = {.arena = &program->arena,
		.steps = program->fold_steps,
		.memory_bytes = program->fold_bytes,
		.regex_bytes = program->regex_bytes};
	struct cel_value value = cel_evaluate_code(&run, code);
	program->fold_steps = run.steps;
	program->fold_bytes = run.memory_bytes;
	if (value.type != CEL_ERROR && !run.has_stopped) {
		bool is_optional_item = code->is_optional_item;
		*code = (struct code){.kind = CODE_CONSTANT,
			.is_optional_item = is_optional_item,
			.as.constant = value};
	}
}

/* ---- the walk ---- */

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err compile_kind(
	struct cel_program *program, const struct cel_expression *node, struct code *code)
{
	switch (node->kind) {
	case EXPR_LITERAL:
		return compile_literal(program, node, code);
	case EXPR_NAME:
		compile_failure(code, CEL_FAILED_NAME, "no such variable");
		return OK;
	case EXPR_SLOT:
		code->kind = CODE_SLOT;
		code->index = node->index;
		return OK;
	case EXPR_LOCAL:
		code->kind = CODE_LOCAL;
		code->index = node->index;
		return OK;
	case EXPR_SELECT:
	case EXPR_HAS:
		return compile_selection(program, node, code);
	case EXPR_INDEX:
		code->kind = CODE_INDEX;
		code->is_optional = node->is_optional;
		break;
	case EXPR_OPERATOR:
		code->kind = (uint8_t)kind_of((enum expr_operator)node->operation);
		code->detail = node->operation;
		break;
	case EXPR_CALL:
		return compile_call(program, node, code);
	case EXPR_LIST:
		code->kind = CODE_LIST;
		break;
	case EXPR_MAP:
		code->kind = CODE_MAP;
		break;
	case EXPR_MESSAGE:
		compile_failure(code, CEL_FAILED_TYPE, "there are no messages");
		return OK;
	case EXPR_MACRO:
		code->kind = CODE_MACRO;
		code->detail = node->macro;
		code->index = node->index;
		code->variables_count = node->variables_count;
		break;
	}
	enum err err = compile_children(program, node, code);
	if (err == OK && node->kind == EXPR_MACRO && node->macro == MACRO_BIND) {
		bound_binding(program, code);
	}
	return err;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err compile(
	struct cel_program *program, const struct cel_expression *node, struct code *ret_code)
{
	*ret_code = (struct code){.is_optional_item = node->is_optional_item};
	enum err err = compile_kind(program, node, ret_code);
	if (err == OK && is_foldable(ret_code)) {
		fold(program, ret_code);
	}
	return err;
}

enum err cel_compile(const struct cel_expression *expression, struct cel_regexes *regexes,
	const struct cel_limits *limits, struct cel_program **ret_program)
{
	struct cel_program *program = mem_calloc(1, sizeof(*program));
	if (!program) {
		return ERR_MEMORY;
	}
	program->holders = 1;
	program->regexes = regexes;
	program->regex_bytes = limits->regex_bytes;
	program->depth_max = limits->depth;
	program->fold_steps = FOLD_STEPS;
	program->fold_bytes = FOLD_BYTES;
	program->locals_count = expression->locals_count;
	enum err err = compile(program, expression, &program->code);
	if (err != OK) {
		cel_program_unref(program);
		return err;
	}
	*ret_program = program;
	return OK;
}

struct cel_program *cel_program_ref(struct cel_program *program)
{
	program->holders++;
	return program;
}

void cel_program_unref(struct cel_program *program)
{
	if (!program || --program->holders > 0) {
		return;
	}
	for (size_t i = 0; i < program->kept_count; i++) {
		cel_regex_put(program->regexes, program->kept[i]);
	}
	arena_fini(&program->arena);
	mem_free(program);
}

size_t cel_program_bytes(const struct cel_program *program)
{
	size_t size = sizeof(*program) + program->arena.total +
		program->kept_capacity * sizeof(const void *);
	for (size_t i = 0; i < program->kept_count; i++) {
		size += cel_regex_bytes(program->kept[i]);
	}
	return size;
}
