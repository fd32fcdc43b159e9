/*
 * string.format. The pattern is read by our own code and never handed to printf; what is printed is
 * the same in every locale. The text grows in a buffer that is held against the memory that the run
 * has left after each piece, and each piece is paid for.
 */
#include "function_priv.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRECISION_USUAL 6
#define PRECISION_MAX 1000
#define DEPTH_MAX 1000 /* of lists and maps within each other: printing them recurses */

#define DOUBLE_DIGITS_MAX 310 /* before the point */
#define DOUBLE_BYTES_MAX (DOUBLE_DIGITS_MAX + PRECISION_MAX + 16)

struct printer {
	struct cel_run *run;
	struct buffer text;
	int depth;                /* of lists and maps around what is printed */
	struct cel_value failure; /* why a function gave false */
};

static bool fail(struct printer *printer, const char *text)
{
	printer->failure = cel_error(CEL_FAILED_ARGUMENT, text);
	return false;
}

/* Pays for what has been appended since the text had `size` bytes, with the result of appending. */
static bool settle(struct printer *printer, size_t size, enum err err)
{
	struct cel_run *run = printer->run;
	if (err != OK || printer->text.size > run->memory_bytes) {
		printer->failure = cel_out_of_memory(run);
		return false;
	}
	if (!cel_spend(run, cel_steps_of(printer->text.size - size))) {
		printer->failure = cel_stopped(run);
		return false;
	}
	return true;
}

static bool append(struct printer *printer, struct bytes text)
{
	size_t size = printer->text.size;
	return settle(printer, size, buffer_append(&printer->text, text));
}

/* ---- %s -------------------------------------------------------------------------------------- */

static bool print_any(struct printer *printer, struct cel_value value);

static bool print_scalar(struct printer *printer, struct cel_value value)
{
	if (value.type == CEL_NULL) {
		return append(printer, bytes_of("null"));
	}
	if (value.type == CEL_TYPE) {
		return append(printer, bytes_of(cel_type_name((enum cel_type)value.size)));
	}
	size_t size = printer->text.size;
	enum err err = cel_print_scalar(&printer->text, value);
	return err == ERR_INVALID
		? fail(printer,
			  "%s takes no such value: text, numbers, bools, times, lists and "
			  "maps it does, and bytes that are UTF-8")
		: settle(printer, size, err);
}

/* NOLINTNEXTLINE(misc-no-recursion): once per level, at most DEPTH_MAX */
static bool print_list(struct printer *printer, struct cel_value list)
{
	struct cel_walk walk = cel_walk(list);
	struct cel_value item = {0};
	bool is_fine = append(printer, bytes_of("["));
	for (bool is_first = true; is_fine && cel_next_item(&walk, &item); is_first = false) {
		is_fine =
			append(printer, bytes_of(is_first ? "" : ", ")) && print_any(printer, item);
	}
	return is_fine && append(printer, bytes_of("]"));
}

/* An entry, with its key as it is printed, at its place in the map. */
struct printed_entry {
	struct bytes key;
	struct cel_value value;
	size_t place;
};

static int compare_entries(const void *a, const void *b)
{
	const struct printed_entry *first = a;
	const struct printed_entry *second = b;
	int order = bytes_compare(first->key, second->key);
	return order != 0 ? order : (first->place > second->place) - (first->place < second->place);
}

/* The key's text, in the run's memory. */
static bool print_key(struct printer *printer, struct cel_value key, struct bytes *ret_text)
{
	struct printer aside = {.run = printer->run};
	bool is_fine = print_scalar(&aside, key);
	struct cel_value text = cel_finish_text(printer->run, &aside.text, OK);
	if (!is_fine || cel_is_error(text)) {
		printer->failure = is_fine ? text : aside.failure;
		return false;
	}
	*ret_text = cel_text(text);
	return true;
}

/* Sorted by the keys' text. */
static bool sort_entries(
	struct printer *printer, struct cel_value map, struct printed_entry *ret_entries)
{
	struct cel_walk walk = cel_walk(map);
	struct cel_entry entry = {0};
	size_t count = 0;
	while (cel_next_entry(&walk, &entry)) {
		struct printed_entry *printed = &ret_entries[count];
		*printed = (struct printed_entry){.value = entry.value, .place = count};
		if (!print_key(printer, entry.key, &printed->key)) {
			return false;
		}
		count++;
	}
	if (count > 0) {
		qsort(ret_entries, count, sizeof(*ret_entries), compare_entries);
	}
	return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): once per level, at most DEPTH_MAX */
static bool print_map(struct printer *printer, struct cel_value map)
{
	map = cel_own_map(printer->run, map);
	size_t count = map.size;
	struct printed_entry *entries =
		cel_is_error(map) ? NULL : cel_alloc(printer->run, count * sizeof(*entries));
	if (!entries) {
		printer->failure = cel_stopped(printer->run);
		return false;
	}
	bool is_fine = sort_entries(printer, map, entries) && append(printer, bytes_of("{"));
	for (size_t i = 0; is_fine && i < count; i++) {
		is_fine = append(printer, bytes_of(i > 0 ? ", " : "")) &&
			append(printer, entries[i].key) && append(printer, bytes_of(": ")) &&
			print_any(printer, entries[i].value);
	}
	return is_fine && append(printer, bytes_of("}"));
}

/* NOLINTNEXTLINE(misc-no-recursion): once per level, at most DEPTH_MAX */
static bool print_any(struct printer *printer, struct cel_value value)
{
	if (value.type != CEL_LIST && value.type != CEL_MAP) {
		return print_scalar(printer, value);
	}
	if (printer->depth == DEPTH_MAX) {
		return fail(printer, "%s takes lists and maps up to 1000 levels deep");
	}
	printer->depth++;
	bool is_fine =
		value.type == CEL_LIST ? print_list(printer, value) : print_map(printer, value);
	printer->depth--;
	return is_fine;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static bool print_decimal(struct printer *printer, struct cel_value value)
{
	return cel_is_number(value) ? print_scalar(printer, value)
				    : fail(printer, "%d takes numbers only");
}

/* A sign and digits of base 2, 8 or 16. */
static bool print_bits(
	struct printer *printer, struct cel_value value, unsigned bits_of_digit, const char *digits)
{
	bool is_negative = value.type == CEL_INT && value.as.integer < 0;
	uint64_t rest =
		value.type == CEL_INT ? (uint64_t)value.as.integer : value.as.unsigned_integer;
	rest = is_negative ? 0 - rest : rest;
	char text[66];
	size_t start = sizeof(text);
	do {
		text[--start] = digits[rest & ((1U << bits_of_digit) - 1U)];
		rest >>= bits_of_digit;
	} while (rest > 0);
	if (is_negative) {
		text[--start] = '-';
	}
	return append(printer, (struct bytes){text + start, sizeof(text) - start});
}

static bool is_integer(struct cel_value value)
{
	return value.type == CEL_INT || value.type == CEL_UINT;
}

static bool print_binary(struct printer *printer, struct cel_value value)
{
	if (value.type == CEL_BOOL) {
		return append(printer, bytes_of(value.as.boolean ? "1" : "0"));
	}
	return is_integer(value) ? print_bits(printer, value, 1, "01")
				 : fail(printer, "%b takes int, uint and bool only");
}

static bool print_octal(struct printer *printer, struct cel_value value)
{
	return is_integer(value) ? print_bits(printer, value, 3, "01234567")
				 : fail(printer, "%o takes int and uint only");
}

static bool print_hexadecimal(struct printer *printer, struct cel_value value, const char *digits)
{
	if (is_integer(value)) {
		return print_bits(printer, value, 4, digits);
	}
	if (value.type != CEL_STRING && value.type != CEL_BYTES) {
		return fail(printer, "%x takes int, uint, string and bytes only");
	}
	bool is_fine = true;
	struct bytes bytes = cel_text(value);
	for (size_t i = 0; is_fine && i < bytes.size; i++) {
		uint8_t byte = (uint8_t)bytes.data[i];
		const char pair[2] = {digits[byte >> 4], digits[byte & 0xFU]};
		is_fine = append(printer, (struct bytes){pair, 2});
	}
	return is_fine;
}

/* Puts a point where a locale has another text between the digits; gives the size. */
static size_t repair_point(char *text)
{
	size_t size = 0;
	bool was_point = false;
	for (const char *at = text; *at != '\0'; at++) {
		bool is_ours = (*at >= '0' && *at <= '9') || strchr("-+e", *at);
		if (is_ours || !was_point) {
			text[size++] = (char)(is_ours ? *at : '.');
		}
		was_point = !is_ours;
	}
	return size;
}

/* `clause` is e or f. */
static bool print_real(struct printer *printer, struct cel_value value, char clause, int precision)
{
	if (!cel_is_number(value)) {
		return fail(
			printer, clause == 'e' ? "%e takes numbers only" : "%f takes numbers only");
	}
	struct cel_value number = cel_call_double(printer->run, &value, 1);
	double real = number.as.real;
	if (!isfinite(real)) {
		return print_scalar(printer, number);
	}
	char text[DOUBLE_BYTES_MAX];
	(void)snprintf(text, sizeof(text), clause == 'e' ? "%.*e" : "%.*f", precision, real);
	return append(printer, (struct bytes){text, repair_point(text)});
}

/* ---- the pattern ----------------------------------------------------------------------------- */

struct clause {
	char letter;
	int precision; /* -1: none is given */
};

/* What is behind a %, which is not %% and ends at *ret_end. */
static bool read_clause(struct printer *printer, struct bytes pattern, size_t at,
	struct clause *ret_clause, size_t *ret_end)
{
	int precision = -1;
	if (at < pattern.size && pattern.data[at] == '.') {
		precision = 0;
		size_t start = ++at;
		for (; at < pattern.size && pattern.data[at] >= '0' && pattern.data[at] <= '9';
			at++) {
			precision = precision * 10 + (pattern.data[at] - '0');
			if (precision > PRECISION_MAX) {
				return fail(printer, "a precision of format over 1000");
			}
		}
		if (at == start) {
			return fail(printer, "no digits behind the point of a %: %.3f has");
		}
	}
	char letter = (char)(at < pattern.size ? pattern.data[at] : '\0');
	if (letter == '\0' || !strchr("sdfexXob", letter)) {
		return fail(printer,
			"a % of format without a letter that it knows: s d f e x X o "
			"b, or % for itself");
	}
	if (precision >= 0 && letter != 'f' && letter != 'e') {
		return fail(printer, "a precision of format for what is neither %f nor %e");
	}
	*ret_clause = (struct clause){.letter = letter, .precision = precision};
	*ret_end = at + 1;
	return true;
}

static bool print_clause(
	struct printer *printer, const struct clause *clause, struct cel_value value)
{
	switch (clause->letter) {
	case 's':
		return print_any(printer, value);
	case 'd':
		return print_decimal(printer, value);
	case 'x':
		return print_hexadecimal(printer, value, "0123456789abcdef");
	case 'X':
		return print_hexadecimal(printer, value, "0123456789ABCDEF");
	case 'o':
		return print_octal(printer, value);
	case 'b':
		return print_binary(printer, value);
	default:
		return print_real(printer, value, clause->letter,
			clause->precision >= 0 ? clause->precision : PRECISION_USUAL);
	}
}

/* The pattern from `at`, which is behind a %; sets *ret_end behind what it stands for. */
static bool print_next(struct printer *printer, struct bytes pattern, size_t at,
	struct cel_walk *walk, size_t *ret_end)
{
	if (at < pattern.size && pattern.data[at] == '%') {
		*ret_end = at + 1;
		return append(printer, bytes_of("%"));
	}
	struct clause clause = {0};
	struct cel_value item = {0};
	if (!read_clause(printer, pattern, at, &clause, ret_end)) {
		return false;
	}
	return cel_next_item(walk, &item) ? print_clause(printer, &clause, item)
					  : fail(printer, "fewer items than clauses of format");
}

struct cel_value cel_call_format(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	struct bytes pattern = cel_text(arguments[0]);
	struct cel_walk walk = cel_walk(arguments[1]);
	struct printer printer = {.run = run};
	bool is_fine = true;
	size_t at = 0;
	while (is_fine && at < pattern.size) {
		const char *start = pattern.data + at;
		const char *found = memchr(start, '%', pattern.size - at);
		size_t plain = found ? (size_t)(found - start) : pattern.size - at;
		at += plain;
		is_fine = append(&printer, (struct bytes){start, plain});
		if (is_fine && found) {
			is_fine = print_next(&printer, pattern, at + 1, &walk, &at);
		}
	}
	if (is_fine) {
		return cel_finish_text(run, &printer.text, OK);
	}
	buffer_fini(&printer.text);
	return printer.failure;
}
