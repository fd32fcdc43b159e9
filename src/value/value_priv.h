/*
 * What the files of `value` share: a place in a JSON text, and the scanners that stop at the next
 * byte of interest. They read only bytes of the text, 16 at a time where the machine has SSE2.
 */
#ifndef VALUE_PRIV_H
#define VALUE_PRIV_H

#include "value.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

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

static inline void json_skip_space(struct json_cursor *cursor)
{
	while (cursor->at < cursor->end && (unsigned char)*cursor->at <= ' ') {
		char byte = *cursor->at;
		if (byte != ' ' && byte != '\n' && byte != '\t' && byte != '\r') {
			return;
		}
		cursor->at++;
	}
}

/*
 * The first quote, backslash or control character from `at` on, or `end`. Sets *non_ascii if it
 * passes a byte over 0x7F, and leaves it alone otherwise.
 */
static inline const char *json_scan_string(const char *at, const char *end, bool *non_ascii)
{
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"');
	const __m128i backslash = _mm_set1_epi8('\\');
	const __m128i last_control = _mm_set1_epi8(0x1F);
	while (end - at >= 16) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
		__m128i control = _mm_cmpeq_epi8(_mm_max_epu8(bytes, last_control), last_control);
		__m128i stops = _mm_or_si128(control,
			_mm_or_si128(
				_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)));
		unsigned mask = (unsigned)_mm_movemask_epi8(stops);
		unsigned high = (unsigned)_mm_movemask_epi8(bytes);
		if (mask != 0) {
			unsigned before = (mask & -mask) - 1; /* the bits below the first stop */
			*non_ascii = *non_ascii || (high & before) != 0;
			return at + __builtin_ctz(mask);
		}
		*non_ascii = *non_ascii || high != 0;
		at += 16;
	}
#endif
	for (; at < end; at++) {
		unsigned char byte = (unsigned char)*at;
		if (byte == '"' || byte == '\\' || byte < 0x20) {
			break;
		}
		*non_ascii = *non_ascii || byte > 0x7F;
	}
	return at;
}

/* The first quote or bracket of either kind from `at` on, or `end`. */
static inline const char *json_scan_structure(const char *at, const char *end)
{
	/* '[' and ']' differ from '{' and '}' in one bit only, and nothing else becomes those. */
	enum { CASE_BIT = 0x20 };
#ifdef __SSE2__
	while (end - at >= 16) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
		__m128i folded = _mm_or_si128(bytes, _mm_set1_epi8(CASE_BIT));
		__m128i brackets = _mm_or_si128(_mm_cmpeq_epi8(folded, _mm_set1_epi8('{')),
			_mm_cmpeq_epi8(folded, _mm_set1_epi8('}')));
		__m128i quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
		unsigned mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(brackets, quotes));
		if (mask != 0) {
			return at + __builtin_ctz(mask);
		}
		at += 16;
	}
#endif
	for (; at < end; at++) {
		int folded = (unsigned char)*at | CASE_BIT;
		if (*at == '"' || folded == '{' || folded == '}') {
			break;
		}
	}
	return at;
}

#endif
