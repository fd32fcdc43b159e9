/*
 * The library strings, but for format. Positions are code points for the user and bytes in here;
 * parts of a text share its memory. What can be larger than its arguments is measured first, then
 * paid for, then made.
 */
#include "function_priv.h"
#include "text_priv.h"

/* ---- positions ------------------------------------------------------------------------------- */

static struct cel_value range_error(void)
{
	return cel_error(CEL_FAILED_RANGE, "index out of range of the text");
}

/* Where the code point number `position` starts; the end of the text is a position too. */
static bool offset_of(struct bytes text, int64_t position, size_t *ret_offset)
{
	if (position < 0 || (uint64_t)position > text.size) {
		return false;
	}
	size_t offset = 0;
	int64_t passed = 0;
	while (passed < position && offset < text.size) {
		offset = cel_step(text, offset);
		passed++;
	}
	*ret_offset = offset;
	return passed == position;
}

static struct bytes part(struct bytes text, size_t start, size_t end)
{
	return end > start ? (struct bytes){text.data + start, end - start} : (struct bytes){0};
}

/* The position of what is found at an offset. */
static struct cel_value position_of(struct bytes text, size_t offset)
{
	return cel_int((int64_t)cel_code_points(part(text, 0, offset)));
}

struct cel_value cel_call_char_at(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	struct bytes text = cel_text(arguments[0]);
	size_t offset = 0;
	if (!offset_of(text, arguments[1].as.integer, &offset)) {
		return range_error();
	}
	size_t end = offset < text.size ? cel_step(text, offset) : offset;
	return cel_string(part(text, offset, end));
}

struct cel_value cel_call_index_of(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	struct bytes text = cel_text(arguments[0]);
	size_t start = 0;
	if (count > 2 && !offset_of(text, arguments[2].as.integer, &start)) {
		return range_error();
	}
	size_t found = 0;
	bool is_there = cel_search(text, start, cel_text(arguments[1]), &found);
	return is_there ? position_of(text, found) : cel_int(-1);
}

struct cel_value cel_call_last_index_of(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	struct bytes text = cel_text(arguments[0]);
	struct bytes what = cel_text(arguments[1]);
	size_t start = text.size;
	if (count > 2 && !offset_of(text, arguments[2].as.integer, &start)) {
		return range_error();
	}
	if (what.size > text.size) {
		return cel_int(-1);
	}
	size_t last = text.size - what.size;
	for (size_t at = (start < last ? start : last) + 1; at-- > 0;) {
		if (bytes_equal(part(text, at, at + what.size), what)) {
			return position_of(text, at);
		}
	}
	return cel_int(-1);
}

struct cel_value cel_call_substring(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	struct bytes text = cel_text(arguments[0]);
	size_t start = 0;
	size_t end = text.size;
	if (!offset_of(text, arguments[1].as.integer, &start) ||
		(count > 2 && !offset_of(text, arguments[2].as.integer, &end))) {
		return range_error();
	}
	if (start > end) {
		return cel_error(CEL_FAILED_RANGE, "the end of a substring before its start");
	}
	return cel_string(part(text, start, end));
}

/* ---- white space ----------------------------------------------------------------------------- */

/* The code point at `offset`, which takes up to `end`. */
static uint32_t code_point(struct bytes text, size_t offset, size_t end)
{
	static const uint8_t masks[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
	uint32_t code = (uint8_t)text.data[offset] & (uint32_t)masks[end - offset];
	for (size_t i = offset + 1; i < end; i++) {
		code = code << 6 | ((uint8_t)text.data[i] & 0x3FU);
	}
	return code;
}

/* Unicode's White_Space. */
static bool is_space(struct bytes text, size_t offset, size_t end)
{
	static const uint16_t spaces[] = {
		0x20, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
	uint32_t code = code_point(text, offset, end);
	bool is_one = (code >= 0x09 && code <= 0x0D) || (code >= 0x2000 && code <= 0x200A);
	for (size_t i = 0; !is_one && i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		is_one = code == spaces[i];
	}
	return is_one;
}

struct cel_value cel_call_trim(struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	struct bytes text = cel_text(arguments[0]);
	size_t start = 0;
	while (start < text.size && is_space(text, start, cel_step(text, start))) {
		start = cel_step(text, start);
	}
	size_t end = text.size;
	while (end > start && is_space(text, cel_step_back(text, end), end)) {
		end = cel_step_back(text, end);
	}
	return cel_string(part(text, start, end));
}

/* ---- text that is made ----------------------------------------------------------------------- */

/* Room for a text of that size, paid for; NULL: the run has stopped. */
static char *make_room(struct cel_run *run, uint64_t size)
{
	if (size > UINT32_MAX) {
		(void)cel_out_of_memory(run);
		return NULL;
	}
	return cel_spend(run, cel_steps_of((size_t)size)) ? cel_alloc(run, (size_t)size) : NULL;
}

static char *put(char *at, struct bytes text)
{
	if (text.size > 0) {
		memcpy(at, text.data, text.size);
	}
	return at + text.size;
}

/* A to Z, or a to z, become the other case; `first` is an A or an a. */
static struct cel_value change_case(struct cel_run *run, struct bytes text, char first)
{
	char *changed = make_room(run, text.size);
	if (!changed) {
		return cel_stopped(run);
	}
	for (size_t i = 0; i < text.size; i++) {
		char byte = text.data[i];
		bool is_letter = byte >= first && byte < first + 26;
		changed[i] = (char)(is_letter ? byte ^ 0x20 : byte);
	}
	return cel_string((struct bytes){changed, text.size});
}

struct cel_value cel_call_lower_ascii(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	return change_case(run, cel_text(arguments[0]), 'A');
}

struct cel_value cel_call_upper_ascii(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	return change_case(run, cel_text(arguments[0]), 'a');
}

struct cel_value cel_call_reverse_string(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	struct bytes text = cel_text(arguments[0]);
	char *reversed = make_room(run, text.size);
	if (!reversed) {
		return cel_stopped(run);
	}
	char *at = reversed;
	for (size_t end = text.size; end > 0; end = cel_step_back(text, end)) {
		at = put(at, part(text, cel_step_back(text, end), end));
	}
	return cel_string((struct bytes){reversed, text.size});
}

struct cel_value cel_call_join(struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	struct bytes separator = count > 1 ? cel_text(arguments[1]) : (struct bytes){0};
	struct cel_walk walk = cel_walk(arguments[0]);
	struct cel_value item = {0};
	uint64_t size = 0; /* below 2^32 items of 2^32 bytes */
	for (bool is_first = true; cel_next_item(&walk, &item); is_first = false) {
		size += item.size + (is_first ? 0 : separator.size);
	}
	char *joined = make_room(run, size);
	if (!joined) {
		return cel_stopped(run);
	}
	char *at = joined;
	walk = cel_walk(arguments[0]);
	for (bool is_first = true; cel_next_item(&walk, &item); is_first = false) {
		at = put(at, part(separator, 0, is_first ? 0 : separator.size));
		at = put(at, cel_text(item));
	}
	return cel_string((struct bytes){joined, (size_t)size});
}

/* The letter behind a backslash, NUL: the byte stands for itself. */
static char escape_of(char byte)
{
	static const char bytes[] = "\a\b\f\n\r\t\v\\\"";
	static const char letters[] = "abfnrtv\\\"";
	const char *found = byte != '\0' ? strchr(bytes, byte) : NULL;
	return (char)(found ? letters[found - bytes] : '\0');
}

struct cel_value cel_call_quote(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	struct bytes text = cel_text(arguments[0]);
	uint64_t size = text.size + 2;
	for (size_t i = 0; i < text.size; i++) {
		size += escape_of(text.data[i]) != '\0' ? 1 : 0;
	}
	char *quoted = make_room(run, size);
	if (!quoted) {
		return cel_stopped(run);
	}
	char *at = quoted;
	*at++ = '"';
	for (size_t i = 0; i < text.size; i++) {
		char letter = escape_of(text.data[i]);
		if (letter != '\0') {
			*at++ = '\\';
		}
		*at++ = (char)(letter != '\0' ? letter : text.data[i]);
	}
	*at = '"';
	return cel_string((struct bytes){quoted, (size_t)size});
}

/* ---- places of a text within another --------------------------------------------------------- */

/* Walks the places of `what`: one behind the other, never over each other, `left` at most. */
struct places {
	struct bytes text, what;
	size_t start;  /* the next place is not before it */
	uint64_t left; /* to be found */
};

static struct places places_of(struct bytes text, struct bytes what, int64_t limit)
{
	return (struct places){
		.text = text, .what = what, .left = limit < 0 ? UINT64_MAX : (uint64_t)limit};
}

/* What is empty is found before each code point and at the end. */
static bool next_place(struct places *places, size_t *ret_offset)
{
	if (places->left == 0 || places->start > places->text.size ||
		!cel_search(places->text, places->start, places->what, ret_offset)) {
		return false;
	}
	places->left--;
	if (places->what.size > 0) {
		places->start = *ret_offset + places->what.size;
	} else {
		places->start = *ret_offset < places->text.size
			? cel_step(places->text, *ret_offset)
			: *ret_offset + 1;
	}
	return true;
}

static uint64_t count_places(struct places places)
{
	uint64_t found = 0;
	size_t offset = 0;
	while (next_place(&places, &offset)) {
		found++;
	}
	return found;
}

struct cel_value cel_call_replace(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	struct bytes text = cel_text(arguments[0]);
	struct bytes what = cel_text(arguments[1]);
	struct bytes by = cel_text(arguments[2]);
	struct places places = places_of(text, what, count > 3 ? arguments[3].as.integer : -1);
	uint64_t found = count_places(places);
	uint64_t size = 0;
	if (__builtin_mul_overflow(found, by.size, &size) ||
		__builtin_add_overflow(size, text.size - found * what.size, &size)) {
		size = UINT64_MAX;
	}
	char *replaced = make_room(run, size);
	if (!replaced) {
		return cel_stopped(run);
	}
	char *at = replaced;
	size_t done = 0;
	size_t offset = 0;
	while (next_place(&places, &offset)) {
		at = put(at, part(text, done, offset));
		at = put(at, by);
		done = offset + what.size;
	}
	(void)put(at, part(text, done, text.size));
	return cel_string((struct bytes){replaced, (size_t)size});
}

/* With an empty separator the parts are the code points: it is not looked for at the very ends. */
static struct places separators_of(struct bytes text, struct bytes separator, int64_t limit)
{
	struct places places = places_of(text, separator, limit < 0 ? limit : limit - 1);
	if (separator.size == 0) {
		places.start = cel_step(text, 0);
		size_t inner = cel_code_points(text) - 1;
		places.left = places.left < inner ? places.left : inner;
	}
	return places;
}

struct cel_value cel_call_split(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	struct bytes text = cel_text(arguments[0]);
	struct bytes separator = cel_text(arguments[1]);
	int64_t limit = count > 2 ? arguments[2].as.integer : -1;
	if (limit == 0 || text.size + separator.size == 0) {
		return cel_list(NULL, 0);
	}
	struct places places = text.size > 0 ? separators_of(text, separator, limit)
					     : places_of(text, separator, 0);
	uint64_t parts = count_places(places) + 1;
	if (!cel_spend(run, parts)) {
		return cel_stopped(run);
	}
	struct cel_value *items = cel_alloc(run, (size_t)parts * sizeof(*items));
	if (!items) {
		return cel_stopped(run);
	}
	size_t made = 0;
	size_t done = 0;
	size_t offset = 0;
	while (next_place(&places, &offset)) {
		items[made++] = cel_string(part(text, done, offset));
		done = offset + separator.size;
	}
	items[made++] = cel_string(part(text, done, text.size));
	return cel_list(items, made);
}
