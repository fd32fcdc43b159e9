/*
 * From names to variables. A name is looked up among the variables of the macros around it,
 * innermost first, then among the scope's, the longest dotted name first and in the container
 * first, then as a field of the document if the scope has one, then as a type. Every variable of a
 * macro has a number of its own in the program: a lazy binding may be evaluated anywhere below it.
 */
#include "function_priv.h"

#include "expression_priv.h"

#include <string.h>

/* A variable of a macro around the place that is looked at. */
struct frame {
	const struct frame *outer;
	struct bytes name;
	uint32_t index;
};

struct resolver {
	struct arena *arena;
	const struct cel_scope *scope;
	struct cel_expression *root;
	struct cel_problem *problem;
};

static enum err resolve(
	struct resolver *resolver, const struct frame *frame, struct cel_expression *node);

static const struct frame *find_local(const struct frame *frame, struct bytes name)
{
	while (frame && !bytes_equal(frame->name, name)) {
		frame = frame->outer;
	}
	return frame;
}

/* Whether a macro's variable is called as a variable of the scope begins: `doc`, or `event`. */
static bool is_hidden(const struct frame *frame, struct bytes variable)
{
	const char *point = memchr(variable.data, '.', variable.size);
	variable.size = point ? (size_t)(point - variable.data) : variable.size;
	return find_local(frame, variable) != NULL;
}

/* ---- dotted names ---- */

#define PARTS_MAX 64 /* a chain of more is no dotted name; its first parts may be */

/* A NAME and the SELECTs on it, innermost first: parts[0] is the name. */
struct chain {
	struct cel_expression *nodes[PARTS_MAX];
	size_t count;
};

/* False: it does not begin with a name. */
static bool chain_of(struct cel_expression *node, struct chain *ret_chain)
{
	size_t count = 1;
	struct cel_expression *first = node;
	while (first->kind == EXPR_SELECT && !first->is_optional) {
		first = first->children[0];
		count++;
	}
	if (first->kind != EXPR_NAME) {
		return false;
	}
	ret_chain->count = count < PARTS_MAX ? count : PARTS_MAX;
	for (size_t place = count; place-- > 0;) {
		if (place < PARTS_MAX) {
			ret_chain->nodes[place] = node;
		}
		node = place > 0 ? node->children[0] : NULL;
	}
	return true;
}

/* Whether `name` is `container` (its first `size` bytes), a point, and `count` parts of the chain.
 */
static bool is_dotted(
	struct bytes name, struct bytes container, const struct chain *chain, size_t count)
{
	size_t at = 0;
	if (container.size > 0) {
		if (name.size <= container.size ||
			memcmp(name.data, container.data, container.size) != 0 ||
			name.data[container.size] != '.') {
			return false;
		}
		at = container.size + 1;
	}
	for (size_t i = 0; i < count; i++) {
		struct bytes part = chain->nodes[i]->text;
		bool is_last = i + 1 == count;
		if (name.size - at < part.size ||
			(part.size > 0 && memcmp(name.data + at, part.data, part.size) != 0)) {
			return false;
		}
		at += part.size;
		if (is_last ? at != name.size : at >= name.size || name.data[at++] != '.') {
			return false;
		}
	}
	return true;
}

/* The container without its last part; from "a" it goes to "", and from "" nowhere. */
static bool outer_container(struct bytes *container)
{
	if (container->size == 0) {
		return false;
	}
	do {
		container->size--;
	} while (container->size > 0 && container->data[container->size] != '.');
	return true;
}

static bool find_variable(const struct resolver *resolver, const struct chain *chain, size_t count,
	uint32_t *ret_index)
{
	const struct cel_scope *scope = resolver->scope;
	struct bytes container = scope->container;
	if (chain->nodes[0]->is_rooted) {
		container.size = 0;
	}
	do {
		for (size_t i = 0; i < scope->variables_count; i++) {
			if (is_dotted(scope->variables[i].name, container, chain, count)) {
				*ret_index = (uint32_t)i;
				return true;
			}
		}
	} while (outer_container(&container));
	return false;
}

/* Whether a variable's name begins with this one and a point: event, of event.id. */
static bool begins_a_variable(const struct resolver *resolver, struct bytes name)
{
	const struct cel_scope *scope = resolver->scope;
	for (size_t i = 0; i < scope->variables_count; i++) {
		struct bytes variable = scope->variables[i].name;
		if (variable.size > name.size && variable.data[name.size] == '.' &&
			memcmp(variable.data, name.data, name.size) == 0) {
			return true;
		}
	}
	return false;
}

static bool find_type(const struct chain *chain, size_t count, enum cel_type *ret_type)
{
	for (int type = CEL_NULL; type < CEL_DYN; type++) {
		struct bytes name = bytes_of(cel_type_name((enum cel_type)type));
		if (is_dotted(name, (struct bytes){0}, chain, count)) {
			*ret_type = (enum cel_type)type;
			return true;
		}
	}
	return false;
}

/* ---- what a name becomes ---- */

static void become_leaf(struct cel_expression *node, enum expr_kind kind, uint32_t index)
{
	node->kind = kind;
	node->index = index;
	node->children_count = 0;
}

static void become_type(const struct frame *frame, struct cel_expression *node, enum cel_type type)
{
	become_leaf(node, EXPR_LITERAL, 0);
	node->literal = cel_type_value(type);
	node->is_rooted = is_hidden(frame, bytes_of(cel_type_name(type)));
}

static enum err become_field(
	struct resolver *resolver, const struct frame *frame, struct cel_expression *node)
{
	struct bytes name = resolver->scope->variables[0].name;
	struct cel_expression *document = arena_alloc(resolver->arena, sizeof(*document));
	struct cel_expression **children = arena_alloc(resolver->arena, sizeof(const void *));
	if (!document || !children) {
		return ERR_MEMORY;
	}
	*document = (struct cel_expression){.kind = EXPR_SLOT,
		.offset = node->offset,
		.depth = 1,
		.text = name,
		.is_rooted = is_hidden(frame, name)};
	children[0] = document;
	node->kind = EXPR_SELECT;
	node->is_bare = true;
	node->children = children;
	node->children_count = 1;
	return OK;
}

/* cel.index(0) and its like: known inside of cel.block, and no field anywhere. */
static bool is_of_block(struct bytes name)
{
	return name.size > 0 && name.data[0] == '@';
}

static enum err refuse_name(struct resolver *resolver, const struct cel_expression *name)
{
	if (is_of_block(name->text)) {
		return cel_refuse(resolver->problem, resolver->root->source, name->offset, CEL_NAME,
			"this speaks of a cel.block or a macro that is not around it");
	}
	enum err err = cel_refuse(resolver->problem, resolver->root->source, name->offset, CEL_NAME,
		"there is no variable '%.*s'", BYTES_FORMAT(name->text));
	if (begins_a_variable(resolver, name->text)) {
		struct buffer known = {0};
		const struct cel_scope *scope = resolver->scope;
		for (size_t i = 0; i < scope->variables_count; i++) {
			struct bytes variable = scope->variables[i].name;
			if (variable.size > name->text.size &&
				variable.data[name->text.size] == '.' &&
				buffer_printf(&known, " %.*s", BYTES_FORMAT(variable)) != OK) {
				break;
			}
		}
		cel_advise(resolver->problem, "use one of%.*s", BYTES_FORMAT(buffer_bytes(&known)));
		buffer_fini(&known);
	}
	return err;
}

/* Of a chain that begins with a name: the node that stands for a variable is made one. */
static enum err resolve_chain(
	struct resolver *resolver, const struct frame *frame, struct cel_expression *node)
{
	struct chain chain;
	check(chain_of(node, &chain));
	struct cel_expression *name = chain.nodes[0];
	const struct frame *local = name->is_rooted ? NULL : find_local(frame, name->text);
	if (local) {
		become_leaf(name, EXPR_LOCAL, local->index);
		return OK;
	}
	for (size_t count = chain.count; count > 0; count--) {
		uint32_t index = 0;
		if (find_variable(resolver, &chain, count, &index)) {
			struct cel_expression *variable = chain.nodes[count - 1];
			become_leaf(variable, EXPR_SLOT, index);
			variable->text = resolver->scope->variables[index].name;
			variable->is_rooted = is_hidden(frame, variable->text);
			return OK;
		}
	}
	bool is_known = begins_a_variable(resolver, name->text) || is_of_block(name->text);
	if (resolver->scope->has_document && !is_known) {
		return become_field(resolver, frame, name);
	}
	for (size_t count = chain.count; count > 0; count--) {
		enum cel_type type = CEL_ERROR;
		if (find_type(&chain, count, &type)) {
			become_type(frame, chain.nodes[count - 1], type);
			return OK;
		}
	}
	return resolver->scope->is_lenient ? OK : refuse_name(resolver, name);
}

/* ---- calls ---- */

/* math.greatest(x): the receiver is no value but the first part of the function's name. */
static enum err resolve_receiver(struct resolver *resolver, const struct frame *frame,
	struct cel_expression *call, bool *ret_is_resolved)
{
	struct chain chain;
	struct buffer name = {0};
	*ret_is_resolved = false;
	if (!chain_of(call->children[0], &chain) || find_local(frame, chain.nodes[0]->text)) {
		return OK;
	}
	enum err err = OK;
	for (size_t i = 0; err == OK && i < chain.count; i++) {
		err = buffer_append(&name, chain.nodes[i]->text);
		if (err == OK) {
			err = buffer_append_text(&name, ".");
		}
	}
	if (err == OK) {
		err = buffer_append(&name, call->text);
	}
	size_t count = 0;
	if (err == OK && cel_functions(buffer_bytes(&name), STYLE_GLOBAL, &count)) {
		struct bytes text = arena_copy(resolver->arena, buffer_bytes(&name));
		if (text.data) {
			call->text = text;
			call->is_member = false;
			call->children++;
			call->children_count--;
			*ret_is_resolved = true;
		} else {
			err = ERR_MEMORY;
		}
	}
	buffer_fini(&name);
	return err;
}

static bool differs_by_case(const char *name, struct bytes text)
{
	size_t i = 0;
	for (; i < text.size && name[i] != '\0'; i++) {
		bool is_letter = (text.data[i] | 0x20) >= 'a' && (text.data[i] | 0x20) <= 'z';
		if (name[i] != text.data[i] &&
			(!is_letter || (name[i] | 0x20) != (text.data[i] | 0x20))) {
			return false;
		}
	}
	return name[i] == '\0' && i == text.size;
}

static void advise_function(struct resolver *resolver, const struct cel_expression *call)
{
	size_t count = 0;
	if (cel_functions(call->text, call->is_member ? STYLE_GLOBAL : STYLE_MEMBER, &count)) {
		cel_advise(resolver->problem,
			call->is_member ? "write %.*s(x) instead of x.%.*s()"
					: "write x.%.*s() instead of %.*s(x)",
			BYTES_FORMAT(call->text), BYTES_FORMAT(call->text));
		return;
	}
	const struct cel_function *function = NULL;
	for (size_t i = 0; (function = cel_function_at(i)) != NULL; i++) {
		if (differs_by_case(function->name, call->text)) {
			cel_advise(resolver->problem, "it is written %s", function->name);
			return;
		}
	}
	if (differs_by_case("not", call->text)) {
		cel_advise(resolver->problem, "write !x for not x");
		return;
	}
	cel_advise(resolver->problem, "man 7 streamer-cel lists the functions there are");
}

static enum err resolve_call(
	struct resolver *resolver, const struct frame *frame, struct cel_expression *call)
{
	bool is_resolved = false;
	enum err err = OK;
	if (call->is_member) {
		err = resolve_receiver(resolver, frame, call, &is_resolved);
	}
	size_t count = 0;
	enum cel_style style = call->is_member ? STYLE_MEMBER : STYLE_GLOBAL;
	if (err != OK || resolver->scope->is_lenient || cel_functions(call->text, style, &count)) {
		return err;
	}
	err = cel_refuse(resolver->problem, resolver->root->source, call->offset, CEL_NAME,
		"there is no %s '%.*s'", call->is_member ? "method" : "function",
		BYTES_FORMAT(call->text));
	advise_function(resolver, call);
	return err;
}

/*
 * `type(x) == int`: next to a type, a type's name means the type, even where the document could
 * have such a field.
 */
static void resolve_type_name(const struct frame *frame, const struct cel_expression *equality)
{
	for (size_t side = 0; side < 2; side++) {
		const struct cel_expression *call = equality->children[side];
		struct cel_expression *name = equality->children[1 - side];
		struct chain chain;
		enum cel_type type = CEL_ERROR;
		if (call->kind == EXPR_CALL && !call->is_member &&
			bytes_equal(call->text, bytes_of("type")) && chain_of(name, &chain) &&
			(chain.nodes[0]->is_rooted || !find_local(frame, chain.nodes[0]->text)) &&
			find_type(&chain, chain.count, &type)) {
			become_type(frame, name, type);
		}
	}
}

/* ---- the walk ---- */

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err resolve_macro(
	struct resolver *resolver, const struct frame *frame, struct cel_expression *macro)
{
	enum err err = resolve(resolver, frame, macro->children[0]);
	macro->index = resolver->root->locals_count;
	resolver->root->locals_count += macro->variables_count;
	const struct frame first = {frame, macro->variables[0], macro->index};
	const struct frame second = {&first, macro->variables[1], macro->index + 1};
	const struct frame *inner = macro->variables_count > 1 ? &second : &first;
	for (uint32_t i = 1; err == OK && i < macro->children_count; i++) {
		err = resolve(resolver, inner, macro->children[i]);
	}
	return err;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the expression, which the parser has bounded */
static enum err resolve(
	struct resolver *resolver, const struct frame *frame, struct cel_expression *node)
{
	struct chain chain;
	if (chain_of(node, &chain)) {
		return resolve_chain(resolver, frame, node);
	}
	if (node->kind == EXPR_MACRO) {
		return resolve_macro(resolver, frame, node);
	}
	enum err err = node->kind == EXPR_CALL ? resolve_call(resolver, frame, node) : OK;
	if (node->kind == EXPR_OPERATOR &&
		(node->operation == OP_EQUAL || node->operation == OP_NOT_EQUAL)) {
		resolve_type_name(frame, node);
	}
	for (uint32_t i = 0; err == OK && i < node->children_count; i++) {
		err = resolve(resolver, frame, node->children[i]);
	}
	return err;
}

enum err cel_resolve(struct arena *arena, struct cel_expression *root,
	const struct cel_scope *scope, struct cel_problem *ret_problem)
{
	struct resolver resolver = {arena, scope, root, ret_problem};
	root->locals_count = 0;
	return resolve(&resolver, NULL, root);
}
