/*
 * Compiled patterns. A list of them belongs to one thread and holds each pattern once, however many
 * programs use it: it goes when the last of them does. What RE2 allocates is bounded by the limit
 * that a pattern was compiled with; base's allocator does not see it, and is told about how much.
 */
#include "regex_priv.h"

#include <string.h>

struct cel_regex {
	struct re2_pattern *re2;
	size_t references;
	uint32_t groups;
	uint32_t program;
	size_t noted;         /* of RE2's memory */
	struct bytes pattern; /* behind this */
};

struct cel_regexes {
	uint32_t regex_bytes;
	struct map map;
};

/* The memory of one of RE2's instructions. */
#define INSTRUCTION_BYTES 16U

/* What comes of \pL and its like, about: some are larger, rare ones smaller. */
#define CLASS_INSTRUCTIONS 256U

/* What RE2 was seen to take when it had matched for a while: rather more than less. */
static size_t re2_bytes(uint32_t program, uint32_t regex_bytes)
{
	const size_t fixed = 6144;
	size_t of_program = (size_t)program * 144;
	return fixed + (of_program < regex_bytes ? of_program : regex_bytes);
}

static enum err refuse(
	enum re2_outcome outcome, uint32_t regex_bytes, const char *text, struct err_info *info)
{
	switch (outcome) {
	case RE2_TOO_LARGE:
		return err_set(info, ERR_LIMIT, 0,
			"the pattern takes more than %u bytes when it is compiled",
			(unsigned)regex_bytes);
	case RE2_BAD_PATTERN:
		return err_set(info, ERR_INVALID, 0, "not a pattern of RE2: %.*s",
			(int)bytes_utf8_prefix(bytes_of(text)), text);
	case RE2_OK:
	case RE2_NO_MATCH:
	case RE2_NO_MEMORY:
		break;
	}
	return err_set(info, ERR_MEMORY, 0, "out of memory");
}

static bool is_digit(struct bytes text, size_t place)
{
	return place < text.size && text.data[place] >= '0' && text.data[place] <= '9';
}

/* The larger number of {n}, {n,} or {n,m}, which stands behind `place`; RE2 takes no more than
 * 1000.
 */
static uint64_t repetitions_at(struct bytes pattern, size_t place)
{
	uint64_t most = 0;
	uint64_t number = 0;
	for (; is_digit(pattern, place) || (place < pattern.size && pattern.data[place] == ',');
		place++) {
		bool is_number = pattern.data[place] != ',';
		number = is_number ? number * 10 + (uint64_t)(pattern.data[place] - '0') : 0;
		number = number > 1000 ? 1000 : number;
		most = number > most ? number : most;
	}
	return most;
}

/*
 * About how many instructions come of the pattern at least. RE2 counts them only when they are
 * made, and builds a tree before that, with all repetitions spread out and all the ranges of each
 * class of Unicode.
 */
static uint64_t least_program(struct bytes pattern)
{
	uint64_t least = pattern.size;
	for (size_t i = 0; i + 1 < pattern.size; i++) {
		if (pattern.data[i] == '{') {
			least += repetitions_at(pattern, i + 1);
		} else if (pattern.data[i] == '\\' && (pattern.data[i + 1] | 32) == 'p') {
			least += CLASS_INSTRUCTIONS;
		}
	}
	return least;
}

uint64_t cel_regex_price(struct bytes pattern)
{
	return 500 + 4 * least_program(pattern);
}

enum err cel_regex_new(struct bytes pattern, uint32_t regex_bytes, struct err_info *info,
	struct cel_regex **ret_regex)
{
	if (least_program(pattern) > regex_bytes / INSTRUCTION_BYTES) {
		return refuse(RE2_TOO_LARGE, regex_bytes, "", info);
	}
	struct cel_regex *regex = mem_calloc(1, sizeof(*regex) + pattern.size);
	if (!regex) {
		return refuse(RE2_NO_MEMORY, regex_bytes, "", info);
	}
	char text[160] = "";
	enum re2_outcome outcome = cel_re2_new(
		pattern.data, pattern.size, regex_bytes, text, sizeof(text), &regex->re2);
	if (outcome != RE2_OK) {
		mem_free(regex);
		return refuse(outcome, regex_bytes, text, info);
	}
	regex->references = 1;
	regex->groups = cel_re2_groups(regex->re2);
	regex->program = cel_re2_program(regex->re2);
	regex->noted = re2_bytes(regex->program, regex_bytes);
	mem_note(regex->noted, 0);
	if (pattern.size > 0) {
		memcpy(regex + 1, pattern.data, pattern.size);
	}
	regex->pattern = (struct bytes){(const char *)(regex + 1), pattern.size};
	*ret_regex = regex;
	return OK;
}

void cel_regex_free(struct cel_regex *regex)
{
	if (regex) {
		mem_note(0, regex->noted);
		cel_re2_free(regex->re2);
		mem_free(regex);
	}
}

uint32_t cel_regex_groups(const struct cel_regex *regex)
{
	return regex->groups;
}

uint64_t cel_regex_steps(const struct cel_regex *regex, size_t size)
{
	return cel_steps_of(size) * (1 + regex->program / 4);
}

size_t cel_regex_bytes(const struct cel_regex *regex)
{
	return sizeof(*regex) + regex->pattern.size + regex->noted;
}

uint64_t cel_regex_program(const struct cel_regex *regex)
{
	return regex->program;
}

enum err cel_regex_find(const struct cel_regex *regex, struct bytes text, size_t start,
	struct re2_span *ret_spans, size_t count)
{
	switch (cel_re2_find(regex->re2, text.data, text.size, start, ret_spans, count)) {
	case RE2_OK:
		return OK;
	case RE2_NO_MATCH:
		return ERR_NOT_FOUND;
	case RE2_BAD_PATTERN:
	case RE2_TOO_LARGE:
	case RE2_NO_MEMORY:
		break;
	}
	return ERR_MEMORY;
}

/* ---- the list -------------------------------------------------------------------------------- */

static uint64_t hash_pattern(const void *key, uint64_t seed)
{
	return bytes_hash(*(const struct bytes *)key, seed);
}

static uint64_t hash_regex(const void *item, uint64_t seed)
{
	const struct cel_regex *regex = item;
	return bytes_hash(regex->pattern, seed);
}

static bool is_pattern(const void *item, const void *key)
{
	const struct cel_regex *regex = item;
	const struct bytes *pattern = key;
	return bytes_equal(regex->pattern, *pattern);
}

static const struct map_type regex_type = {hash_pattern, hash_regex, is_pattern};

enum err cel_regexes_new(uint32_t regex_bytes, struct cel_regexes **ret_regexes)
{
	struct cel_regexes *regexes = mem_calloc(1, sizeof(*regexes));
	if (!regexes) {
		return ERR_MEMORY;
	}
	regexes->regex_bytes = regex_bytes;
	/* Nobody outside can know the seed: it is an address. */
	map_init(&regexes->map, &regex_type, (uint64_t)(uintptr_t)regexes);
	*ret_regexes = regexes;
	return OK;
}

void cel_regexes_free(struct cel_regexes *regexes)
{
	if (regexes) {
		check(regexes->map.count == 0); /* programs still use them */
		map_fini(&regexes->map);
		mem_free(regexes);
	}
}

enum err cel_regex_get(struct cel_regexes *regexes, struct bytes pattern, struct err_info *info,
	const struct cel_regex **ret_regex)
{
	struct cel_regex *regex = map_find(&regexes->map, &pattern);
	if (regex) {
		regex->references++;
		*ret_regex = regex;
		return OK;
	}
	enum err err = cel_regex_new(pattern, regexes->regex_bytes, info, &regex);
	if (err) {
		return err;
	}
	if (map_insert(&regexes->map, regex)) {
		cel_regex_free(regex);
		return refuse(RE2_NO_MEMORY, regexes->regex_bytes, "", info);
	}
	*ret_regex = regex;
	return OK;
}

void cel_regex_put(struct cel_regexes *regexes, const struct cel_regex *regex)
{
	if (!regex) {
		return;
	}
	struct cel_regex *own = map_find(&regexes->map, &regex->pattern);
	check(own == regex);
	own->references--;
	if (own->references == 0) {
		(void)map_remove(&regexes->map, own);
		cel_regex_free(own);
	}
}

enum err cel_regex_check(struct cel_regexes *regexes, struct bytes pattern, struct err_info *info,
	uint64_t *ret_bytes)
{
	const struct cel_regex *regex = NULL;
	enum err err = cel_regex_get(regexes, pattern, info, &regex);
	if (err == OK) {
		check(regex);
		*ret_bytes = (uint64_t)regex->program * INSTRUCTION_BYTES;
		cel_regex_put(regexes, regex);
	}
	return err;
}
