/*
 * What the files of `value` share: a place in a JSON text, and the scanners that stop at the next
 * byte of interest. They read only bytes of the text, sixteen at a time while there are as many.
 */
#ifndef VALUE_PRIV_H
#define VALUE_PRIV_H

#include "step_priv.h"
#include "value.h"

/* A place in a text. A function that fails leaves it at the mistake and says what should be there.
 */
struct json_cursor {
	const char *at;
	const char *end;
	const char *expected;
};

/* The number that begins at the cursor (a digit or '-'), which moves behind it. */
enum err json_number(struct json_cursor *cursor, struct value *ret_value) MUST_CHECK;

/*
 * digits × 10^exponent, correctly rounded, infinite if it is too large. One '.' among the digits is
 * allowed and does not depend on the locale.
 */
double json_decimal(struct bytes digits, int64_t exponent);

/* Undoes the escape at the cursor (a backslash), which moves behind it: 1 to 4 bytes of UTF-8. */
enum err json_unescape(struct json_cursor *cursor, char ret_utf8[4], size_t *ret_size) MUST_CHECK;

/* Room on a tape that has none yet for what a text of this size is likely to have. */
enum err tape_begin(struct tape *tape, size_t text_size) MUST_CHECK;

/* json_skip_space where there is some, which is rare in what programs write. */
const char *json_scan_space(const char *at, const char *end);

/* The first byte from `at` on that is no white space, or `end`. */
static inline const char *json_skip_space(const char *at, const char *end)
{
	return at < end && (unsigned char)*at <= ' ' ? json_scan_space(at, end) : at;
}

/* The first byte from `at` on that is a quote, a backslash, a control character or not ASCII, or
 * `end`. */
static inline const char *json_scan_plain(const char *at, const char *end)
{
	for (; end - at >= JSON_STEP; at += JSON_STEP) {
		struct json_step step = json_step_load(at);
		uint32_t stops = json_step_mask(json_step_or(json_step_strange(step),
			json_step_or(json_step_equal(step, '"'), json_step_equal(step, '\\'))));
		if (stops != 0) {
			return at + __builtin_ctz(stops);
		}
	}
	while (at < end && *at != '"' && *at != '\\' && (unsigned char)(*at - ' ') < 0x60) {
		at++;
	}
	return at;
}

/*
 * The first quote, backslash or control character from `at` on, or `end`. Sets *non_ascii if it
 * passes a byte over 0x7F, and leaves it alone otherwise.
 */
static inline const char *json_scan_string(const char *at, const char *end, bool *non_ascii)
{
	while (end - at >= JSON_STEP) {
		struct json_step step = json_step_load(at);
		uint32_t stops = json_step_mask(json_step_or(json_step_at_most(step, 0x1F),
			json_step_or(json_step_equal(step, '"'), json_step_equal(step, '\\'))));
		uint32_t high = json_step_mask(step);
		if (stops != 0) {
			uint32_t before = (stops & -stops) - 1; /* the bits below the first stop */
			*non_ascii = *non_ascii || (high & before) != 0;
			return at + __builtin_ctz(stops);
		}
		*non_ascii = *non_ascii || high != 0;
		at += JSON_STEP;
	}
	for (; at < end; at++) {
		unsigned char byte = (unsigned char)*at;
		if (byte == '"' || byte == '\\' || byte < 0x20) {
			break;
		}
		*non_ascii = *non_ascii || byte > 0x7F;
	}
	return at;
}

#endif
