/*
 * Conversions between the simple types, and the text of their values. Nothing depends on a locale.
 * Text of numbers is read strictly: no blanks, no digits of other scripts. Every check of a range
 * comes before the cast.
 */
#include "function_priv.h"
#include "time_priv.h"

#include <inttypes.h>
#include <math.h>

#define TWO_TO_63 9223372036854775808.0
#define TWO_TO_64 18446744073709551616.0

/* ---- the same and the like ------------------------------------------------------------------- */

struct cel_value cel_call_same(struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return arguments[0];
}

struct cel_value cel_call_type(struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_type_value((enum cel_type)arguments[0].type);
}

struct cel_value cel_call_bytes(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_bytes(cel_text(arguments[0]));
}

struct cel_value cel_call_string_of_bytes(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	struct bytes text = cel_text(arguments[0]);
	return bytes_are_utf8(text) ? cel_string(text)
				    : cel_error(CEL_FAILED_ARGUMENT, "bytes that are not UTF-8");
}

struct cel_value cel_call_bool(struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	static const char *const words[2][5] = {
		{"0", "f", "false", "FALSE", "False"},
		{"1", "t", "true", "TRUE", "True"},
	};
	for (size_t i = 0; i < 10; i++) {
		if (bytes_equal(cel_text(arguments[0]), bytes_of(words[i / 5][i % 5]))) {
			return cel_bool(i / 5 == 1);
		}
	}
	return cel_error(CEL_FAILED_ARGUMENT, "text that is neither true nor false");
}

/* ---- numbers of numbers ---------------------------------------------------------------------- */

struct cel_value cel_call_int(struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	struct cel_value value = arguments[0];
	if (value.type == CEL_UINT && value.as.unsigned_integer <= INT64_MAX) {
		return cel_int((int64_t)value.as.unsigned_integer);
	}
	if (value.type == CEL_DOUBLE && value.as.real > -TWO_TO_63 && value.as.real < TWO_TO_63) {
		return cel_int((int64_t)value.as.real);
	}
	return value.type == CEL_INT
		? value
		: cel_error(CEL_FAILED_RANGE, "a number outside the range of int");
}

struct cel_value cel_call_uint(struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	struct cel_value value = arguments[0];
	if (value.type == CEL_INT && value.as.integer >= 0) {
		return cel_uint((uint64_t)value.as.integer);
	}
	if (value.type == CEL_DOUBLE && value.as.real >= 0 && value.as.real < TWO_TO_64) {
		return cel_uint((uint64_t)value.as.real);
	}
	return value.type == CEL_UINT
		? value
		: cel_error(CEL_FAILED_RANGE, "a number outside the range of uint");
}

struct cel_value cel_call_double(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	struct cel_value value = arguments[0];
	if (value.type == CEL_INT) {
		return cel_double((double)value.as.integer);
	}
	return value.type == CEL_UINT ? cel_double((double)value.as.unsigned_integer) : value;
}

/* ---- numbers of text ------------------------------------------------------------------------- */

/* Digits and nothing else, at least one: ERR_INVALID; ERR_LIMIT: beyond 64 bits. */
static enum err read_digits(struct bytes text, uint64_t *ret_number)
{
	uint64_t number = 0;
	enum err err = text.size > 0 ? OK : ERR_INVALID;
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] < '0' || text.data[i] > '9') {
			return ERR_INVALID;
		}
		if (__builtin_mul_overflow(number, 10U, &number) ||
			__builtin_add_overflow(number, (uint64_t)(text.data[i] - '0'), &number)) {
			err = ERR_LIMIT;
		}
	}
	*ret_number = number;
	return err;
}

/* Takes a sign off the front. */
static bool take_sign(struct bytes *text)
{
	bool is_negative = text->size > 0 && text->data[0] == '-';
	if (is_negative || (text->size > 0 && text->data[0] == '+')) {
		*text = (struct bytes){text->data + 1, text->size - 1};
	}
	return is_negative;
}

struct cel_value cel_call_int_of_string(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	struct bytes text = cel_text(arguments[0]);
	bool is_negative = take_sign(&text);
	uint64_t number = 0;
	enum err err = read_digits(text, &number);
	if (err == ERR_INVALID) {
		return cel_error(CEL_FAILED_ARGUMENT, "text that is no int: decimal digits are");
	}
	if (err != OK || number > (uint64_t)INT64_MAX + (is_negative ? 1 : 0)) {
		return cel_error(CEL_FAILED_RANGE, "a number outside the range of int");
	}
	return cel_int(is_negative ? (int64_t)(0 - number) : (int64_t)number);
}

struct cel_value cel_call_uint_of_string(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	uint64_t number = 0;
	enum err err = read_digits(cel_text(arguments[0]), &number);
	if (err == ERR_INVALID) {
		return cel_error(CEL_FAILED_ARGUMENT, "text that is no uint: decimal digits are");
	}
	return err == OK ? cel_uint(number)
			 : cel_error(CEL_FAILED_RANGE, "a number outside the range of uint");
}

static size_t count_digits(struct bytes text, size_t start)
{
	size_t end = start;
	while (end < text.size && text.data[end] >= '0' && text.data[end] <= '9') {
		end++;
	}
	return end - start;
}

/*
 * Appends the number as JSON has it: no zeros before the others, digits on both sides of the point,
 * and an exponent, which makes it a double. ERR_INVALID: it is no number.
 */
static enum err append_json(struct buffer *buffer, struct bytes text)
{
	size_t whole = count_digits(text, 0);
	size_t at = whole;
	size_t fraction = 0;
	if (at < text.size && text.data[at] == '.') {
		fraction = count_digits(text, at + 1);
		at += 1 + fraction;
	}
	struct bytes exponent = {"e0", 2};
	if (at < text.size && (text.data[at] == 'e' || text.data[at] == 'E')) {
		exponent = (struct bytes){text.data + at, text.size - at};
		struct bytes digits = {exponent.data + 1, exponent.size - 1};
		(void)take_sign(&digits);
		size_t count = count_digits(digits, 0);
		if (count == 0) {
			return ERR_INVALID;
		}
		at = (size_t)(digits.data - text.data) + count;
	}
	if (at != text.size || whole + fraction == 0) {
		return ERR_INVALID;
	}
	size_t zeros = 0;
	while (zeros < whole && text.data[zeros] == '0') {
		zeros++;
	}
	enum err err = buffer_append(buffer, (struct bytes){text.data + zeros, whole - zeros});
	if (err == OK && zeros == whole) {
		err = buffer_append_text(buffer, "0");
	}
	if (err == OK && fraction > 0) {
		err = buffer_append(buffer, (struct bytes){text.data + whole, fraction + 1});
	}
	return err == OK ? buffer_append(buffer, exponent) : err;
}

/* ERR_INVALID: it is no number, or too large for a double. */
static enum err read_double(struct arena *arena, struct bytes text, double *ret_real)
{
	struct buffer buffer = {0};
	const struct value *value = NULL;
	enum err err = append_json(&buffer, text);
	if (err == OK) {
		err = json_parse(buffer_bytes(&buffer), 1, arena, &value, NULL);
	}
	if (err == OK) {
		*ret_real = value->as.real;
	}
	buffer_fini(&buffer);
	return err;
}

struct cel_value cel_call_double_of_string(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	struct bytes text = cel_text(arguments[0]);
	if (bytes_equal(text, bytes_of("NaN"))) {
		return cel_double((double)NAN);
	}
	double sign = take_sign(&text) ? -1.0 : 1.0;
	if (bytes_equal(text, bytes_of("Infinity"))) {
		return cel_double(sign * (double)INFINITY);
	}
	double real = 0;
	struct arena arena = {0};
	enum err err = read_double(&arena, text, &real);
	arena_fini(&arena);
	if (err == ERR_MEMORY) {
		return cel_out_of_memory(run);
	}
	return err == OK ? cel_double(sign * real)
			 : cel_error(CEL_FAILED_ARGUMENT,
				   "text that is no double: 12, -0.5 and 1e3 are, up to 1.8e308");
}

/* ---- text ------------------------------------------------------------------------------------ */

static enum err print_double(struct buffer *buffer, double real)
{
	if (isnan(real)) {
		return buffer_append_text(buffer, "NaN");
	}
	if (isinf(real)) {
		return buffer_append_text(buffer, real < 0 ? "-Infinity" : "Infinity");
	}
	const struct value value = {.kind = VALUE_DOUBLE, .as.real = real};
	enum err err = json_print(buffer, &value);
	/* JSON's way to say that it is a double; text has no need of it */
	if (err == OK && buffer->size > 2 && buffer->data[buffer->size - 2] == '.' &&
		buffer->data[buffer->size - 1] == '0') {
		buffer->size -= 2;
	}
	return err;
}

enum err cel_print_scalar(struct buffer *buffer, struct cel_value value)
{
	switch (value.type) {
	case CEL_BOOL:
		return buffer_append_text(buffer, value.as.boolean ? "true" : "false");
	case CEL_INT:
		return buffer_printf(buffer, "%" PRId64, value.as.integer);
	case CEL_UINT:
		return buffer_printf(buffer, "%" PRIu64, value.as.unsigned_integer);
	case CEL_DOUBLE:
		return print_double(buffer, value.as.real);
	case CEL_STRING:
		return buffer_append(buffer, cel_text(value));
	case CEL_BYTES:
		return bytes_are_utf8(cel_text(value)) ? buffer_append(buffer, cel_text(value))
						       : ERR_INVALID;
	case CEL_TIMESTAMP:
		return cel_print_timestamp(buffer, value);
	case CEL_DURATION:
		return cel_print_duration(buffer, value);
	default:
		return ERR_INVALID;
	}
}

struct cel_value cel_out_of_memory(struct cel_run *run)
{
	run->has_stopped = true;
	run->failure = CEL_FAILED_MEMORY;
	return cel_stopped(run);
}

struct cel_value cel_finish_text(struct cel_run *run, struct buffer *buffer, enum err err)
{
	struct cel_value text = err == OK && buffer->size <= UINT32_MAX
		? cel_make_string(run, buffer_bytes(buffer))
		: cel_out_of_memory(run);
	buffer_fini(buffer);
	return text;
}

struct cel_value cel_call_string(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	struct buffer buffer = {0};
	enum err err = cel_print_scalar(&buffer, arguments[0]);
	return cel_finish_text(run, &buffer, err);
}
