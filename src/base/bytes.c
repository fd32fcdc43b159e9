/*
 * Borrowed runs of bytes. An empty run may have NULL data, which never reaches libc: memcmp and
 * others forbid it even for size 0.
 */
#include "base.h"

#include <string.h>
#include <xxhash.h>

#define HIGH_BITS 0x8080808080808080U

struct bytes bytes_of(const char *text)
{
	return text ? (struct bytes){text, strlen(text)} : (struct bytes){NULL, 0};
}

bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

int bytes_compare(struct bytes a, struct bytes b)
{
	size_t shorter = a.size < b.size ? a.size : b.size;
	int order = shorter > 0 ? memcmp(a.data, b.data, shorter) : 0;
	return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

uint64_t bytes_hash(struct bytes bytes, uint64_t seed)
{
	return XXH3_64bits_withSeed(bytes.data ? bytes.data : "", bytes.size, seed);
}

static bool continues(unsigned char byte)
{
	return (byte & 0xC0U) == 0x80U;
}

/*
 * Bytes of the well-formed sequence of two to four bytes at `at`, 0 if there is none (Unicode,
 * table 3-7): the second byte's range excludes overlong forms, surrogates and what lies over
 * U+10FFFF.
 */
static size_t sequence_size(const unsigned char *at, size_t left)
{
	unsigned char first = at[0];
	if (first < 0xC2 || first > 0xF4 || left < 2) {
		return 0;
	}
	if (first < 0xE0) {
		return continues(at[1]) ? 2 : 0;
	}
	unsigned char least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
	unsigned char most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
	if (at[1] < least || at[1] > most || left < 3 || !continues(at[2])) {
		return 0;
	}
	if (first < 0xF0) {
		return 3;
	}
	return left >= 4 && continues(at[3]) ? 4 : 0;
}

size_t bytes_utf8_prefix(struct bytes bytes)
{
	const unsigned char *data = (const unsigned char *)bytes.data;
	size_t at = 0;
	while (at < bytes.size) {
		uint64_t eight = HIGH_BITS;
		if (bytes.size - at >= sizeof(eight)) {
			memcpy(&eight, data + at, sizeof(eight));
		}
		if ((eight & HIGH_BITS) == 0) {
			at += sizeof(eight);
			continue;
		}
		size_t size = data[at] < 0x80 ? 1 : sequence_size(data + at, bytes.size - at);
		if (size == 0) {
			break;
		}
		at += size;
	}
	return at;
}

bool bytes_are_utf8(struct bytes bytes)
{
	return bytes_utf8_prefix(bytes) == bytes.size;
}
