/* Every number is drawn from a splitmix64 sequence that begins anew for each thing that is made. */
#include "matching_make.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- numbers --------------------------------------------------------------------------------- */

#define STEP 0x9E3779B97F4A7C15U

static uint64_t stir(uint64_t number)
{
	number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9U;
	number = (number ^ (number >> 27)) * 0x94D049BB133111EBU;
	return number ^ (number >> 31);
}

uint64_t making_mix(uint64_t a, uint64_t b)
{
	return stir(stir(a + STEP) ^ (b * STEP + 1));
}

uint64_t making_next(struct making *making)
{
	making->random += STEP;
	return stir(making->random);
}

uint64_t making_below(struct making *making, uint64_t bound)
{
	uint64_t drawn = making_next(making);
	return bound > 0 ? drawn % bound : 0;
}

double making_part(struct making *making)
{
	return (double)(making_next(making) >> 11) / 9007199254740992.0;
}

bool making_chance(struct making *making, unsigned percent)
{
	return making_below(making, 100) < percent;
}

void making_zipf_init(struct making *making, uint64_t count)
{
	double *sums = mem_alloc(count * sizeof(*sums));
	if (!sums) {
		making->err = ERR_MEMORY;
		return;
	}
	double sum = 0;
	for (uint64_t i = 0; i < count; i++) {
		sum += 1.0 / (double)(i + 1);
		sums[i] = sum;
	}
	for (uint64_t i = 0; i < count; i++) {
		sums[i] /= sum;
	}
	making->zipf = (struct making_zipf){sums, count};
}

uint64_t making_zipf(struct making *making)
{
	double part = making_part(making);
	uint64_t low = 0;
	uint64_t high = making->zipf.count - 1;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		if (making->zipf.sums[middle] > part) {
			high = middle;
		} else {
			low = middle + 1;
		}
	}
	return low;
}

void making_uuid(const struct making *making, const char *kind, uint64_t number, char *ret_text)
{
	uint64_t base = making_mix(making->seed, bytes_hash(bytes_of(kind), 0));
	model_uuid_print(making_mix(base, number), making_mix(base + 1, number), ret_text);
}

/* ---- subscriptions --------------------------------------------------------------------------- */

static void add_filter(
	struct making *making, const char *field, const char *op, const struct value *value)
{
	if (making->filters_count == MAKING_FILTERS_MAX) {
		making->err = ERR_LIMIT;
		return;
	}
	struct value *place = &making->values[making->filters_count];
	if (value->kind != VALUE_LIST) {
		*place = *value;
		value = place;
	}
	struct bytes name = arena_copy(&making->arena, bytes_of(field));
	making->err = name.data ? making->err : ERR_MEMORY;
	making->filters[making->filters_count++] =
		(struct model_filter){.field = name, .op = bytes_of(op), .value = value};
}

static struct bytes keep_text(struct making *making, const char *text)
{
	struct bytes kept = arena_copy(&making->arena, bytes_of(text));
	making->err = kept.data ? making->err : ERR_MEMORY;
	return kept;
}

void making_filter_text(
	struct making *making, const char *field, const char *op, const char *format, ...)
{
	char text[128];
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	struct value value = value_string(keep_text(making, text));
	add_filter(making, field, op, &value);
}

void making_filter_int(struct making *making, const char *field, const char *op, int64_t integer)
{
	struct value value = value_int(integer);
	add_filter(making, field, op, &value);
}

void making_filter_real(struct making *making, const char *field, const char *op, double real)
{
	const struct value value = {.kind = VALUE_DOUBLE, .as.real = real};
	add_filter(making, field, op, &value);
}

void making_filter_list(struct making *making, const char *field, const char *prefix,
	const uint64_t *numbers, size_t count)
{
	struct value *cells = arena_alloc(&making->arena, (count + 1) * sizeof(*cells));
	if (!cells) {
		making->err = ERR_MEMORY;
		return;
	}
	cells[0] = (struct value){
		.kind = VALUE_LIST, .size = (uint32_t)count, .as.span = (uint32_t)count + 1};
	for (size_t i = 0; i < count; i++) {
		char text[128];
		(void)snprintf(
			text, sizeof(text), "%s%llu", prefix, (unsigned long long)numbers[i]);
		cells[i + 1] = value_string(keep_text(making, text));
	}
	add_filter(making, field, "in", cells);
}

/* ---- text ------------------------------------------------------------------------------------ */

void making_print(struct making *making, const char *format, ...)
{
	char piece[512];
	va_list arguments;
	va_start(arguments, format);
	int size = vsnprintf(piece, sizeof(piece), format, arguments);
	va_end(arguments);
	check(size >= 0 && (size_t)size < sizeof(piece));
	enum err err = buffer_append(&making->text, (struct bytes){piece, (size_t)size});
	making->err = err == OK ? making->err : err;
}

void making_words(struct making *making, size_t bytes)
{
	static const char *const words[] = {"the ", "meeting ", "is ", "moved ", "to ", "noon ",
		"please ", "bring ", "your ", "notes ", "and ", "a ", "list ", "of ", "open ",
		"questions ", "we ", "ship ", "on ", "Friday ", "if ", "tests ", "stay ", "green ",
		"thanks ", "für ", "alles ", "see ", "you ", "there ", "then ", "all "};
	size_t end = making->text.size + bytes;
	while (making->text.size < end && making->err == OK) {
		size_t word = (size_t)making_below(making, sizeof(words) / sizeof(words[0]));
		making->err = buffer_append_text(&making->text, words[word]);
	}
}

/* ---- predicates ------------------------------------------------------------------------------ */

/* Hashes in an open table, 0 is free; hashes of 64 bits stand for what they are of. */
struct making_parts {
	uint64_t *hashes;
	uint64_t capacity, count;
};

static bool put(struct making_parts *parts, uint64_t hash)
{
	uint64_t place = hash & (parts->capacity - 1);
	while (parts->hashes[place] != 0 && parts->hashes[place] != hash) {
		place = (place + 1) & (parts->capacity - 1);
	}
	bool is_new = parts->hashes[place] == 0;
	parts->hashes[place] = hash;
	return is_new;
}

static enum err grow(struct making_parts *parts)
{
	struct making_parts larger = {.capacity = parts->capacity * 2};
	larger.hashes = mem_calloc(larger.capacity, sizeof(*larger.hashes));
	if (!larger.hashes) {
		return ERR_MEMORY;
	}
	for (uint64_t i = 0; i < parts->capacity; i++) {
		larger.count += parts->hashes[i] != 0 && put(&larger, parts->hashes[i]);
	}
	mem_free(parts->hashes);
	*parts = larger;
	return OK;
}

enum err making_parts_new(struct making_parts **ret_parts)
{
	struct making_parts *parts = mem_calloc(1, sizeof(*parts));
	if (!parts) {
		return ERR_MEMORY;
	}
	parts->capacity = 1024;
	parts->hashes = mem_calloc(parts->capacity, sizeof(*parts->hashes));
	if (!parts->hashes) {
		mem_free(parts);
		return ERR_MEMORY;
	}
	*ret_parts = parts;
	return OK;
}

void making_note_part(struct making *making, uint64_t hash)
{
	struct making_parts *parts = making->parts;
	if (!parts || making->err != OK) {
		return;
	}
	if (parts->count * 2 >= parts->capacity) {
		making->err = grow(parts);
	}
	if (making->err == OK) {
		parts->count += put(parts, hash > 0 ? hash : 1);
	}
}

uint64_t making_parts_count(const struct making_parts *parts)
{
	return parts->count;
}

void making_parts_free(struct making_parts *parts)
{
	if (parts) {
		mem_free(parts->hashes);
		mem_free(parts);
	}
}
