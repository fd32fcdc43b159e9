/*
 * Sixteen bytes at a time: SSE2 or NEON where the machine has them for certain, plain C elsewhere,
 * with the same results. What compares gives 0xFF for yes and 0 for no in each byte; a mask has bit
 * i for byte i.
 */
#ifndef VALUE_STEP_PRIV_H
#define VALUE_STEP_PRIV_H

#include <stdint.h>

#define JSON_STEP 16

#if defined(__SSE2__)

#include <emmintrin.h>

struct json_step {
	__m128i bytes;
};

static inline struct json_step json_step_load(const char *at)
{
	return (struct json_step){_mm_loadu_si128((const __m128i *)(const void *)at)};
}

static inline struct json_step json_step_equal(struct json_step step, char byte)
{
	return (struct json_step){_mm_cmpeq_epi8(step.bytes, _mm_set1_epi8(byte))};
}

/* Which bytes are at most `most`, as numbers without a sign. */
static inline struct json_step json_step_at_most(struct json_step step, uint8_t most)
{
	__m128i limit = _mm_set1_epi8((char)most);
	return (struct json_step){_mm_cmpeq_epi8(_mm_max_epu8(step.bytes, limit), limit)};
}

/* Which bytes are control characters, or over 0x7F: those less than a space, with a sign. */
static inline struct json_step json_step_strange(struct json_step step)
{
	return (struct json_step){_mm_cmplt_epi8(step.bytes, _mm_set1_epi8(' '))};
}

static inline struct json_step json_step_or(struct json_step a, struct json_step b)
{
	return (struct json_step){_mm_or_si128(a.bytes, b.bytes)};
}

static inline struct json_step json_step_set_bits(struct json_step step, uint8_t bits)
{
	return (struct json_step){_mm_or_si128(step.bytes, _mm_set1_epi8((char)bits))};
}

/* The highest bit of each byte. */
static inline uint32_t json_step_mask(struct json_step step)
{
	return (uint32_t)_mm_movemask_epi8(step.bytes);
}

#elif defined(__ARM_NEON) && defined(__aarch64__)

#include <arm_neon.h>

struct json_step {
	uint8x16_t bytes;
};

static inline struct json_step json_step_load(const char *at)
{
	return (struct json_step){vld1q_u8((const uint8_t *)at)};
}

static inline struct json_step json_step_equal(struct json_step step, char byte)
{
	return (struct json_step){vceqq_u8(step.bytes, vdupq_n_u8((uint8_t)byte))};
}

static inline struct json_step json_step_at_most(struct json_step step, uint8_t most)
{
	return (struct json_step){vcleq_u8(step.bytes, vdupq_n_u8(most))};
}

static inline struct json_step json_step_strange(struct json_step step)
{
	int8x16_t bytes = vreinterpretq_s8_u8(step.bytes);
	return (struct json_step){vcltq_s8(bytes, vdupq_n_s8(' '))};
}

static inline struct json_step json_step_or(struct json_step a, struct json_step b)
{
	return (struct json_step){vorrq_u8(a.bytes, b.bytes)};
}

static inline struct json_step json_step_set_bits(struct json_step step, uint8_t bits)
{
	return (struct json_step){vorrq_u8(step.bytes, vdupq_n_u8(bits))};
}

static inline uint32_t json_step_mask(struct json_step step)
{
	static const int8_t places[JSON_STEP] = {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7};
	uint8x16_t bits = vshlq_u8(vshrq_n_u8(step.bytes, 7), vld1q_s8(places));
	return (uint32_t)vaddv_u8(vget_low_u8(bits)) | (uint32_t)vaddv_u8(vget_high_u8(bits)) << 8;
}

#else

#include <string.h>

struct json_step {
	uint8_t bytes[JSON_STEP];
};

static inline struct json_step json_step_load(const char *at)
{
	struct json_step step;
	memcpy(step.bytes, at, sizeof(step.bytes));
	return step;
}

static inline struct json_step json_step_equal(struct json_step step, char byte)
{
	for (int i = 0; i < JSON_STEP; i++) {
		step.bytes[i] = step.bytes[i] == (uint8_t)byte ? 0xFF : 0;
	}
	return step;
}

static inline struct json_step json_step_at_most(struct json_step step, uint8_t most)
{
	for (int i = 0; i < JSON_STEP; i++) {
		step.bytes[i] = step.bytes[i] <= most ? 0xFF : 0;
	}
	return step;
}

static inline struct json_step json_step_strange(struct json_step step)
{
	for (int i = 0; i < JSON_STEP; i++) {
		step.bytes[i] = step.bytes[i] < ' ' || step.bytes[i] > 0x7F ? 0xFF : 0;
	}
	return step;
}

static inline struct json_step json_step_or(struct json_step a, struct json_step b)
{
	for (int i = 0; i < JSON_STEP; i++) {
		a.bytes[i] |= b.bytes[i];
	}
	return a;
}

static inline struct json_step json_step_set_bits(struct json_step step, uint8_t bits)
{
	for (int i = 0; i < JSON_STEP; i++) {
		step.bytes[i] |= bits;
	}
	return step;
}

static inline uint32_t json_step_mask(struct json_step step)
{
	uint32_t mask = 0;
	for (int i = 0; i < JSON_STEP; i++) {
		mask |= (uint32_t)(step.bytes[i] >> 7) << i;
	}
	return mask;
}

#endif

#endif
