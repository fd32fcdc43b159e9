/*
 * Numbers of JSON. Integers that fit 64 bits are exact. Others are doubles, correctly rounded: at
 * once where mantissa and power of ten are both exact doubles, so that one operation rounds once;
 * otherwise by strtod, on digits and an exponent without a decimal point, which every locale reads
 * the same.
 */
#include "value_priv.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Numbers halfway between two doubles have up to 767 digits. Later ones only say "not quite". */
#define DIGITS_MAX 768
#define MANTISSA_DIGITS_MAX 19 /* that surely fit uint64 */
#define SHORT_MAX 19           /* bytes: 18 digits and what follows them, or a '.' among them */
#define EXPONENT_MAX INT64_C(1000000000000)

/* A number taken apart. The text from `digits` on has at most one '.', which is not first. */
struct parts {
	bool negative;
	bool is_integer;
	const char *digits;
	const char *digits_end;
	size_t digit_count;
	uint64_t mantissa; /* of all digits modulo 2^64: exact if there are at most 19 */
	int64_t fraction_digits;
	int64_t exponent; /* as written */
};

double json_decimal(struct bytes digits, int64_t exponent)
{
	char text[DIGITS_MAX + 32];
	size_t count = 0;
	bool beyond = false;
	bool fraction = false;
	for (size_t i = 0; i < digits.size; i++) {
		char digit = digits.data[i];
		if (digit == '.') {
			fraction = true;
			continue;
		}
		exponent -= fraction ? 1 : 0;
		if (count == 0 && digit == '0') {
			continue;
		}
		if (count < DIGITS_MAX) {
			text[count++] = digit;
		} else {
			exponent++;
			beyond = beyond || digit != '0';
		}
	}
	if (count == 0) {
		return 0.0;
	}
	if (beyond) {
		text[count++] = '1';
		exponent--;
	}
	int64_t magnitude = exponent + (int64_t)count; /* the number is below 10^magnitude */
	if (magnitude > DBL_MAX_10_EXP + 1) {
		return HUGE_VAL;
	}
	if (magnitude < DBL_MIN_10_EXP - DBL_DIG - 2) {
		return 0.0;
	}
	(void)snprintf(text + count, sizeof(text) - count, "e%d", (int)exponent);
	return strtod(text, NULL);
}

static bool is_digit(const struct json_cursor *cursor)
{
	return cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9';
}

/* One digit or more into the mantissa. */
static enum err read_digits(struct json_cursor *cursor, struct parts *parts)
{
	if (!is_digit(cursor)) {
		cursor->expected = "a digit";
		return ERR_CORRUPT;
	}
	const char *start = cursor->at;
	uint64_t mantissa = parts->mantissa;
	do {
		mantissa = mantissa * 10 + (uint64_t)(*cursor->at - '0');
		cursor->at++;
	} while (is_digit(cursor));
	parts->mantissa = mantissa;
	parts->digit_count += (size_t)(cursor->at - start);
	return OK;
}

static enum err read_fraction(struct json_cursor *cursor, struct parts *parts)
{
	size_t before = parts->digit_count;
	cursor->at++;
	enum err err = read_digits(cursor, parts);
	parts->fraction_digits = (int64_t)(parts->digit_count - before);
	return err;
}

static enum err read_exponent(struct json_cursor *cursor, struct parts *parts)
{
	cursor->at++;
	bool negative = false;
	if (cursor->at < cursor->end && (*cursor->at == '+' || *cursor->at == '-')) {
		negative = *cursor->at == '-';
		cursor->at++;
	}
	if (!is_digit(cursor)) {
		cursor->expected = "a digit of the exponent";
		return ERR_CORRUPT;
	}
	int64_t exponent = 0;
	for (; is_digit(cursor); cursor->at++) {
		if (exponent < EXPONENT_MAX) {
			exponent = exponent * 10 + (*cursor->at - '0');
		}
	}
	parts->exponent = negative ? -exponent : exponent;
	return OK;
}

static enum err read_parts(struct json_cursor *cursor, struct parts *parts)
{
	if (*cursor->at == '-') {
		parts->negative = true;
		cursor->at++;
	}
	parts->digits = cursor->at;
	bool zero = is_digit(cursor) && *cursor->at == '0';
	enum err err = read_digits(cursor, parts);
	if (err == OK && zero && parts->digit_count > 1) {
		cursor->at = parts->digits;
		cursor->expected = "a number without leading zeros";
		return ERR_CORRUPT;
	}
	parts->is_integer = true;
	if (err == OK && cursor->at < cursor->end && *cursor->at == '.') {
		parts->is_integer = false;
		err = read_fraction(cursor, parts);
	}
	parts->digits_end = cursor->at;
	if (err == OK && cursor->at < cursor->end && (*cursor->at == 'e' || *cursor->at == 'E')) {
		parts->is_integer = false;
		err = read_exponent(cursor, parts);
	}
	return err;
}

/* Of 20 digits, without leading zeros, those fit that begin with 1 and do not wrap below 10^19. */
static bool fits_uint64(const struct parts *parts)
{
	if (parts->digit_count <= MANTISSA_DIGITS_MAX) {
		return true;
	}
	return parts->digit_count == MANTISSA_DIGITS_MAX + 1 && parts->digits[0] == '1' &&
		parts->mantissa >= UINT64_C(10000000000000000000);
}

static bool read_integer(const struct parts *parts, struct value *ret_value)
{
	const uint64_t least = (uint64_t)INT64_MAX + 1; /* of int64, without its sign */
	if (!parts->is_integer || !fits_uint64(parts)) {
		return false;
	}
	if (parts->mantissa < least) {
		int64_t integer = (int64_t)parts->mantissa;
		*ret_value = value_int(parts->negative ? -integer : integer);
		return true;
	}
	if (!parts->negative) {
		*ret_value = (struct value){
			.kind = VALUE_UINT,
			.as.unsigned_integer = parts->mantissa,
		};
		return true;
	}
	if (parts->mantissa == least) {
		*ret_value = value_int(INT64_MIN);
		return true;
	}
	return false;
}

/* mantissa × 10^exponent where that is one operation on exact doubles, so that it rounds once. */
static inline bool round_once(uint64_t mantissa, int64_t exponent, double *ret_real)
{
	static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10,
		1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
	const int64_t power_max = sizeof(powers) / sizeof(powers[0]) - 1;
	const uint64_t exact_max = UINT64_C(1) << DBL_MANT_DIG;
	if (FLT_EVAL_METHOD != 0 || mantissa > exact_max || exponent > power_max ||
		exponent < -power_max) {
		return false;
	}
	*ret_real = exponent < 0 ? (double)mantissa / powers[-exponent]
				 : (double)mantissa * powers[exponent];
	return true;
}

static double read_real(const struct parts *parts)
{
	double real = 0.0;
	if (parts->digit_count <= MANTISSA_DIGITS_MAX &&
		round_once(parts->mantissa, parts->exponent - parts->fraction_digits, &real)) {
		return real;
	}
	size_t size = (size_t)(parts->digits_end - parts->digits);
	return json_decimal((struct bytes){parts->digits, size}, parts->exponent);
}

/* ---- short numbers --------------------------------------------------------------------------- */

#define EIGHT_ZEROS UINT64_C(0x3030303030303030)

/* Whether each of eight bytes is a digit: its high half is that of '0', also after adding 6. */
static inline bool are_digits(uint64_t eight)
{
	const uint64_t high_halves = UINT64_C(0xF0F0F0F0F0F0F0F0);
	return ((eight & high_halves) |
		       ((eight + UINT64_C(0x0606060606060606)) & high_halves) >> 4) ==
		UINT64_C(0x3333333333333333);
}

/* Of eight digits, the first in the lowest byte: neighbours join to twos, fours and eight. */
static inline uint64_t join_digits(uint64_t eight)
{
	eight -= EIGHT_ZEROS;
	eight = eight * 10 + (eight >> 8);
	uint64_t even = (eight & UINT64_C(0x000000FF000000FF)) * (100 + (UINT64_C(1000000) << 32));
	uint64_t odd = (eight >> 16 & UINT64_C(0x000000FF000000FF)) * (1 + (UINT64_C(10000) << 32));
	return (even + odd) >> 32;
}

/* Behind the digits from `at` on, of which the mantissa takes in each. */
static inline const char *short_digits(const char *at, const char *end, uint64_t *mantissa)
{
	uint64_t eight = 0;
	while (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && end - at >= (int)sizeof(eight)) {
		memcpy(&eight, at, sizeof(eight));
		if (!are_digits(eight)) {
			break;
		}
		*mantissa = *mantissa * 100000000 + join_digits(eight);
		at += sizeof(eight);
	}
	for (; at < end && (unsigned)(*at - '0') <= 9; at++) {
		*mantissa = *mantissa * 10 + (unsigned)(*at - '0');
	}
	return at;
}

/*
 * A number of at most 18 digits and without an exponent, as nearly all are. False, and nothing has
 * changed, for any other, for a wrong one, and at the end of the text.
 */
static bool read_short(struct json_cursor *cursor, struct value *ret_value)
{
	bool negative = *cursor->at == '-';
	const char *digits = cursor->at + negative;
	const char *end = cursor->end - digits > SHORT_MAX ? digits + SHORT_MAX : cursor->end;
	uint64_t mantissa = 0;
	const char *at = short_digits(digits, end, &mantissa);
	if (at == end || at == digits || (*digits == '0' && at - digits > 1) ||
		(*at | 0x20) == 'e') {
		return false;
	}
	if (*at != '.') {
		int64_t integer = (int64_t)mantissa;
		*ret_value = value_int(negative ? -integer : integer);
		cursor->at = at;
		return true;
	}
	const char *fraction = at + 1;
	at = short_digits(fraction, end, &mantissa);
	double real = 0.0;
	if (at == end || at == fraction || (*at | 0x20) == 'e' ||
		!round_once(mantissa, fraction - at, &real)) {
		return false;
	}
	*ret_value = (struct value){.kind = VALUE_DOUBLE, .as.real = negative ? -real : real};
	cursor->at = at;
	return true;
}

enum err json_number(struct json_cursor *cursor, struct value *ret_value)
{
	if (read_short(cursor, ret_value)) {
		return OK;
	}
	const char *start = cursor->at;
	struct parts parts = {0};
	enum err err = read_parts(cursor, &parts);
	if (err != OK || read_integer(&parts, ret_value)) {
		return err;
	}
	double real = read_real(&parts);
	if (isinf(real)) {
		cursor->at = start;
		cursor->expected = "a number that a double can hold";
		return ERR_CORRUPT;
	}
	*ret_value = (struct value){
		.kind = VALUE_DOUBLE,
		.as.real = parts.negative ? -real : real,
	};
	return OK;
}
