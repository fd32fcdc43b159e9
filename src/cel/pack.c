/*
 * A tree copied into one piece of memory. The same walk measures and copies: pieces are handed out
 * as long as they fit, and what does not fit is only counted.
 */
#include "cel_priv.h"

#include <string.h>

struct pack {
	char *memory;
	size_t room;
	size_t used; /* counts on when there is no room */
};

/* A copy of `size` bytes; NULL when they do not fit. */
static void *pack_bytes(struct pack *pack, const void *bytes, size_t size)
{
	size_t start = pack->used;
	pack->used += (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	if (!pack->memory || pack->used > pack->room) {
		return NULL;
	}
	char *place = pack->memory + start;
	if (size > 0) {
		memcpy(place, bytes, size);
	}
	return place;
}

static struct cel_field pack_field(struct pack *pack, const struct cel_field *field)
{
	struct bytes *parts = pack_bytes(pack, field->parts, field->parts_count * sizeof(*parts));
	for (uint32_t i = 0; i < field->parts_count; i++) {
		const char *text = pack_bytes(pack, field->parts[i].data, field->parts[i].size);
		if (parts) {
			parts[i].data = text;
		}
	}
	return (struct cel_field){field->root, field->parts_count, parts};
}

static const struct value *pack_value(struct pack *pack, const struct value *value)
{
	size_t count = cel_cells(value);
	struct value *cells = pack_bytes(pack, value, count * sizeof(*cells));
	for (size_t i = 0; i < count; i++) {
		if (value[i].kind == VALUE_STRING) {
			const char *text = pack_bytes(pack, value[i].as.text, value[i].size);
			if (cells) {
				cells[i].as.text = text;
			}
		}
	}
	return cells;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static const struct cel_node *pack_node(struct pack *pack, const struct cel_node *node)
{
	struct cel_node *copy = pack_bytes(pack, node, sizeof(*node));
	const struct cel_node **children =
		pack_bytes(pack, node->children, node->children_count * sizeof(const void *));
	for (uint32_t i = 0; i < node->children_count; i++) {
		const struct cel_node *child = pack_node(pack, node->children[i]);
		if (children) {
			children[i] = child;
		}
	}
	struct cel_field field = pack_field(pack, &node->field);
	const struct value *constant = node->constant ? pack_value(pack, node->constant) : NULL;
	const char *text = pack_bytes(pack, node->text.data, node->text.size);
	if (copy) {
		copy->children = children;
		copy->field = field;
		copy->constant = constant;
		copy->text.data = text;
	}
	return copy;
}

/* The copy's references on its programs, once it is whole. */
/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static void hold(const struct cel_node *node)
{
	if (node->kind == CEL_PROGRAM) {
		(void)cel_program_ref(node->program);
	}
	for (uint32_t i = 0; i < node->children_count; i++) {
		hold(node->children[i]);
	}
}

size_t cel_pack(
	const struct cel_node *node, void *memory, size_t room, const struct cel_node **ret_node)
{
	struct pack pack = {memory, memory ? room : 0, 0};
	const struct cel_node *copy = pack_node(&pack, node);
	if (memory && pack.used <= pack.room) {
		hold(copy);
		*ret_node = copy;
	}
	return pack.used;
}

size_t cel_pack_field(
	const struct cel_field *field, void *memory, size_t room, struct cel_field *ret_field)
{
	struct pack pack = {memory, memory ? room : 0, 0};
	struct cel_field copy = pack_field(&pack, field);
	if (memory && pack.used <= pack.room) {
		*ret_field = copy;
	}
	return pack.used;
}
