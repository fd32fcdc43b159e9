/* What a program reads of a slot: by name where it selects a member of it, else all of it. */
#include "cel_priv.h"
#include "program_priv.h"

struct reads {
	uint32_t slot;
	cel_member_fn tell;
	void *ctx;
};

static bool is_slot(const struct code *code, const struct reads *reads)
{
	return code->kind == CODE_SLOT && code->index == reads->slot;
}

/* A member of the slot, of which names[0] says the name. */
static bool is_member(const struct code *code, const struct reads *reads)
{
	if (code->kind == CODE_FIELD) {
		return code->index == reads->slot;
	}
	return (code->kind == CODE_SELECT || code->kind == CODE_HAS) &&
		is_slot(&code->children[0], reads);
}

/* NOLINTNEXTLINE(misc-no-recursion): at most depth_max */
static void tell_reads(const struct code *code, const struct reads *reads)
{
	if (is_member(code, reads)) {
		reads->tell(reads->ctx, code->as.names[0]);
	} else if (is_slot(code, reads)) {
		reads->tell(reads->ctx, (struct bytes){NULL, 0});
	} else {
		for (uint32_t i = 0; i < code->children_count; i++) {
			tell_reads(&code->children[i], reads);
		}
	}
}

void cel_program_members(
	const struct cel_program *program, uint32_t slot, cel_member_fn tell, void *ctx)
{
	const struct reads reads = {slot, tell, ctx};
	tell_reads(&program->code, &reads);
}
