/*
 * A tape under construction. Places are counted in 32 bits, as spans are, so a tape has fewer than
 * 2^32 cells.
 */
#include "value_priv.h"

#include <string.h>

#define CAPACITY_MIN 60         /* 960 bytes: small enough for the C library to have at hand */
#define CAPACITY_BEGIN_MAX 4096 /* what is larger grows into its size */
#define TEXT_PER_CELL 8         /* bytes, less than most documents have: one allocation for those */

void tape_fini(struct tape *tape)
{
	mem_free(tape->cells);
	*tape = (struct tape){0};
}

void tape_reset(struct tape *tape)
{
	tape->count = 0;
}

static enum err resize(struct tape *tape, size_t capacity)
{
	struct value *cells = mem_realloc(tape->cells, capacity * sizeof(*cells));
	if (!cells) {
		return ERR_MEMORY;
	}
	tape->cells = cells;
	tape->capacity = capacity;
	return OK;
}

static enum err grow(struct tape *tape)
{
	if (tape->capacity > UINT32_MAX / 2) {
		return ERR_LIMIT;
	}
	return resize(tape, tape->capacity > 0 ? tape->capacity * 2 : CAPACITY_MIN);
}

enum err tape_begin(struct tape *tape, size_t text_size)
{
	if (tape->capacity > 0) {
		return OK;
	}
	size_t likely = text_size / TEXT_PER_CELL;
	likely = likely < CAPACITY_BEGIN_MAX ? likely : CAPACITY_BEGIN_MAX;
	return resize(tape, likely > CAPACITY_MIN ? likely : CAPACITY_MIN);
}

enum err tape_push(struct tape *tape, struct value value)
{
	if (tape->count == tape->capacity) {
		enum err err = grow(tape);
		if (err != OK) {
			return err;
		}
	}
	tape->cells[tape->count++] = value;
	return OK;
}

enum err tape_open(struct tape *tape, enum value_kind kind, size_t *ret_place)
{
	check(kind == VALUE_LIST || kind == VALUE_OBJECT);
	size_t place = tape->count;
	enum err err = tape_push(tape, (struct value){.kind = (uint8_t)kind});
	if (err != OK) {
		return err;
	}
	*ret_place = place;
	return OK;
}

void tape_close(struct tape *tape, size_t place, size_t items_or_members)
{
	check(place < tape->count);
	check(items_or_members <= tape->count - place - 1);
	struct value *container = &tape->cells[place];
	container->size = (uint32_t)items_or_members;
	container->as.span = (uint32_t)(tape->count - place);
	if (container->kind == VALUE_OBJECT) {
		value_seal(container);
	}
}

void tape_seal(struct value *cells, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (cells[i].kind == VALUE_OBJECT) {
			value_seal(&cells[i]);
		}
	}
}

enum err tape_finish(const struct tape *tape, struct arena *arena, const struct value **ret_value)
{
	check(tape->count > 0);
	struct value *cells = arena_alloc(arena, tape->count * sizeof(*cells));
	if (!cells) {
		return ERR_MEMORY;
	}
	memcpy(cells, tape->cells, tape->count * sizeof(*cells));
	*ret_value = cells;
	return OK;
}
