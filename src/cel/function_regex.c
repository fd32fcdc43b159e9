/*
 * matches, and the library regex. A constant pattern comes compiled with the run; any other is
 * compiled for its one use, in the memory that the run has left, and paid for by what came of it.
 * Every search pays for all the text that is left, because RE2 may have to look at all of it.
 */
#include "function_priv.h"
#include "regex_priv.h"

#include <string.h>

#define SPANS_MAX 10 /* the match, and \1 to \9 */

/* ---- a pattern and where it matches ---------------------------------------------------------- */

/* All matches in a text, one after the other. */
struct search {
	struct cel_run *run;
	const struct cel_regex *regex;
	struct cel_regex *own; /* `regex`, if it goes at the end */
	struct bytes text;
	size_t start;        /* of what is searched next; behind the text: it is over */
	size_t previous_end; /* of the last match; SIZE_MAX: none */
	size_t count;        /* of spans that are asked for */
	struct re2_span spans[SPANS_MAX];
	struct cel_value error; /* CEL_NULL: none */
};

static struct cel_value no_regex(struct cel_run *run, enum err err)
{
	if (err == ERR_INVALID) {
		return cel_error(CEL_FAILED_ARGUMENT, "the pattern is not one of RE2's syntax");
	}
	if (err == ERR_LIMIT) {
		/* RE2 may have built nearly all that fits. */
		if (!cel_spend(run, run->regex_bytes / 64)) {
			return cel_stopped(run);
		}
		return cel_error(CEL_FAILED_ARGUMENT, "the pattern is too large");
	}
	return cel_out_of_memory(run);
}

/* False: `error` says why. */
static bool open_search(
	struct search *search, struct cel_run *run, struct cel_value text, struct cel_value pattern)
{
	*search = (struct search){.run = run,
		.regex = run->regex,
		.text = cel_text(text),
		.previous_end = SIZE_MAX,
		.error = cel_null()};
	if (search->regex) {
		return true;
	}
	uint32_t room = run->memory_bytes < run->regex_bytes ? (uint32_t)run->memory_bytes
							     : run->regex_bytes;
	if (!cel_spend(run, cel_regex_price(cel_text(pattern)))) {
		search->error = cel_stopped(run);
		return false;
	}
	enum err err = cel_regex_new(cel_text(pattern), room, NULL, &search->own);
	if (err) {
		search->error = no_regex(run, err);
		return false;
	}
	search->regex = search->own;
	if (!cel_spend(run, cel_regex_program(search->own))) {
		search->error = cel_stopped(run);
		return false;
	}
	return true;
}

static void close_search(struct search *search)
{
	cel_regex_free(search->own);
}

static size_t code_point_size(struct bytes text, size_t place)
{
	size_t size = 1;
	while (place + size < text.size && ((uint8_t)text.data[place + size] & 0xc0) == 0x80) {
		size++;
	}
	return size;
}

static bool find(struct search *search)
{
	size_t rest = search->text.size - search->start;
	if (!cel_spend(search->run, cel_regex_steps(search->regex, rest))) {
		search->error = cel_stopped(search->run);
		return false;
	}
	enum err err = cel_regex_find(
		search->regex, search->text, search->start, search->spans, search->count);
	if (err == ERR_MEMORY) {
		search->error = cel_out_of_memory(search->run);
	}
	return err == OK;
}

/*
 * The next match; false: there is none, or `error` says why. An empty match right behind the match
 * before it is none.
 */
static bool next_match(struct search *search)
{
	while (search->start <= search->text.size && find(search)) {
		struct re2_span match = search->spans[0];
		bool is_empty = match.end == match.start;
		bool is_match = !is_empty || match.start != search->previous_end;
		search->previous_end = match.end;
		search->start =
			is_empty ? match.end + code_point_size(search->text, match.end) : match.end;
		if (is_match) {
			return true;
		}
	}
	return false;
}

/* What a group holds; empty if it took no part. */
static struct bytes group_of(const struct search *search, size_t group)
{
	struct re2_span span = search->spans[group];
	if (span.start == SIZE_MAX) {
		return (struct bytes){"", 0};
	}
	return (struct bytes){search->text.data + span.start, span.end - span.start};
}

struct cel_value cel_call_matches(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	struct search search;
	bool is_match = open_search(&search, run, arguments[0], arguments[1]) && find(&search);
	close_search(&search);
	return search.error.type == CEL_NULL ? cel_bool(is_match) : search.error;
}

/* ---- what grows ------------------------------------------------------------------------------ */

/* Bytes of the run's memory: twice as much when it is full. */
struct growing {
	char *data;
	size_t size, capacity;
};

/* False: the run has stopped. */
static bool append(struct cel_run *run, struct growing *growing, const void *data, size_t size)
{
	if (!cel_spend(run, cel_steps_of(size))) {
		return false;
	}
	if (growing->capacity - growing->size < size) {
		size_t capacity = 2 * growing->capacity + size + 64;
		char *larger = cel_alloc(run, capacity);
		if (!larger || !cel_spend(run, cel_steps_of(growing->size))) {
			return false;
		}
		if (growing->size > 0) {
			memcpy(larger, growing->data, growing->size);
		}
		growing->data = larger;
		growing->capacity = capacity;
	}
	if (size > 0) {
		memcpy(growing->data + growing->size, data, size);
		growing->size += size;
	}
	return true;
}

/* ---- extract --------------------------------------------------------------------------------- */

/* Ready to extract the only group, or the match; false: `error` says why. */
static bool open_extract(
	struct search *search, struct cel_run *run, const struct cel_value *arguments)
{
	if (!open_search(search, run, arguments[0], arguments[1])) {
		return false;
	}
	if (cel_regex_groups(search->regex) > 1) {
		search->error = cel_error(CEL_FAILED_ARGUMENT,
			"the pattern has more than one group that captures: (?:...) does not");
		return false;
	}
	search->count = cel_regex_groups(search->regex) + 1;
	return true;
}

/* A match of the only group that is empty counts as none. */
static bool next_extract(struct search *search, struct cel_value *ret_text)
{
	while (next_match(search)) {
		struct bytes text = group_of(search, search->count - 1);
		if (text.size > 0 || search->count == 1) {
			*ret_text = cel_string(text);
			return true;
		}
	}
	return false;
}

struct cel_value cel_call_regex_extract(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	struct search search;
	struct bytes text = {0};
	bool is_found = open_extract(&search, run, arguments) && next_match(&search);
	if (is_found) {
		text = group_of(&search, search.count - 1);
	}
	close_search(&search);
	if (search.error.type != CEL_NULL) {
		return search.error;
	}
	is_found = is_found && (text.size > 0 || search.count == 1);
	return is_found ? cel_make_optional(run, cel_string(text)) : cel_optional(NULL);
}

struct cel_value cel_call_regex_extract_all(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	struct search search;
	struct growing growing = {0};
	struct cel_value text = cel_null();
	bool is_fine = open_extract(&search, run, arguments);
	while (is_fine && next_extract(&search, &text)) {
		is_fine = append(run, &growing, &text, sizeof(text));
	}
	close_search(&search);
	if (search.error.type != CEL_NULL || !is_fine) {
		return search.error.type != CEL_NULL ? search.error : cel_stopped(run);
	}
	return cel_list((const struct cel_value *)(const void *)growing.data,
		growing.size / sizeof(struct cel_value));
}

/* ---- replace --------------------------------------------------------------------------------- */

/* What is wrong behind a backslash of the replacement; NULL: nothing. */
static const char *refusal(const struct search *search, struct bytes text, size_t place)
{
	if (place == text.size) {
		return "regex.replace: a backslash ends the replacement; write two for one";
	}
	char letter = text.data[place];
	if (letter != '\\' && (letter < '0' || letter > '9')) {
		return "regex.replace: in the replacement a digit or a backslash follows a "
		       "backslash";
	}
	if (letter != '\\' && (size_t)(letter - '0') > cel_regex_groups(search->regex)) {
		return "regex.replace: the pattern has fewer groups than the replacement says";
	}
	return NULL;
}

/* Appends the replacement, with what the groups of this match hold. */
static bool append_replacement(
	struct search *search, struct growing *growing, struct bytes replacement)
{
	size_t done = 0;
	for (size_t i = 0; i < replacement.size; i++) {
		if (replacement.data[i] != '\\') {
			continue;
		}
		const char *wrong = refusal(search, replacement, i + 1);
		if (wrong) {
			search->error = cel_error(CEL_FAILED_ARGUMENT, wrong);
			return false;
		}
		char letter = replacement.data[i + 1];
		struct bytes inserted = {&replacement.data[i + 1], 1};
		if (letter != '\\') {
			inserted = group_of(search, (size_t)(letter - '0'));
		}
		if (!append(search->run, growing, replacement.data + done, i - done) ||
			!append(search->run, growing, inserted.data, inserted.size)) {
			return false;
		}
		i++;
		done = i + 1;
	}
	return append(search->run, growing, replacement.data + done, replacement.size - done);
}

/* Replaces `most` matches at most; false: `error`, or the run has stopped. */
static bool replace(
	struct search *search, struct bytes replacement, uint64_t most, struct growing *growing)
{
	size_t done = 0;
	for (uint64_t i = 0; i < most && next_match(search); i++) {
		struct re2_span match = search->spans[0];
		if (!append(search->run, growing, search->text.data + done, match.start - done) ||
			!append_replacement(search, growing, replacement)) {
			return false;
		}
		done = match.end;
	}
	return append(search->run, growing, search->text.data + done, search->text.size - done);
}

struct cel_value cel_call_regex_replace(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	int64_t most = count > 3 ? arguments[3].as.integer : -1;
	if (most == 0) {
		return arguments[0];
	}
	struct search search;
	struct growing growing = {0};
	bool is_fine = open_search(&search, run, arguments[0], arguments[1]);
	if (is_fine) {
		size_t groups = cel_regex_groups(search.regex);
		search.count = groups < SPANS_MAX ? groups + 1 : SPANS_MAX;
		is_fine = replace(&search, cel_text(arguments[2]),
			most < 0 ? UINT64_MAX : (uint64_t)most, &growing);
	}
	close_search(&search);
	if (search.error.type != CEL_NULL || !is_fine) {
		return search.error.type != CEL_NULL ? search.error : cel_stopped(run);
	}
	if (growing.size > UINT32_MAX) {
		return cel_out_of_memory(run);
	}
	return cel_string((struct bytes){growing.data, growing.size});
}
