/*
 * A document's identity as the store has it: BLAKE3 of its path, the first 16 bytes. Only the case
 * of one chunk (1,024 bytes) is here, which needs no tree: a path that is longer has no identity.
 * Algorithm: the BLAKE3 paper (O'Connor, Aumasson, Neves, Wilcox-O'Hearn, 2020), section 2.
 */
#include "event.h"

#include <string.h>

#define BLOCK_BYTES 64
#define WORDS 16
#define ROUNDS 7

enum { CHUNK_START = 1, CHUNK_END = 2, ROOT = 8 };

static const uint32_t initial[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F,
	0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

/* Which word of the message the next round takes in each place. */
static const uint8_t permutation[WORDS] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};

static uint32_t turned_right(uint32_t word, unsigned bits)
{
	return word >> bits | word << (32 - bits);
}

static void mix(uint32_t state[WORDS], const unsigned at[4], uint32_t first, uint32_t second)
{
	uint32_t *a = &state[at[0]];
	uint32_t *b = &state[at[1]];
	uint32_t *c = &state[at[2]];
	uint32_t *d = &state[at[3]];
	*a = *a + *b + first;
	*d = turned_right(*d ^ *a, 16);
	*c = *c + *d;
	*b = turned_right(*b ^ *c, 12);
	*a = *a + *b + second;
	*d = turned_right(*d ^ *a, 8);
	*c = *c + *d;
	*b = turned_right(*b ^ *c, 7);
}

/* Columns first, then diagonals. */
static void round_of(uint32_t state[WORDS], const uint32_t words[WORDS])
{
	static const unsigned places[8][4] = {{0, 4, 8, 12}, {1, 5, 9, 13}, {2, 6, 10, 14},
		{3, 7, 11, 15}, {0, 5, 10, 15}, {1, 6, 11, 12}, {2, 7, 8, 13}, {3, 4, 9, 14}};
	for (size_t i = 0; i < 8; i++) {
		mix(state, places[i], words[2 * i], words[2 * i + 1]);
	}
}

static void compress(uint32_t chain[8], const char *block, uint32_t size, uint32_t flags)
{
	uint32_t words[WORDS];
	for (size_t i = 0; i < WORDS; i++) {
		const unsigned char *at = (const unsigned char *)block + 4 * i;
		words[i] = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
			(uint32_t)at[3] << 24;
	}
	uint32_t state[WORDS];
	memcpy(state, chain, 8 * sizeof(uint32_t));
	memcpy(state + 8, initial, 4 * sizeof(uint32_t));
	state[12] = 0; /* the chunk's number, 64 bits */
	state[13] = 0;
	state[14] = size;
	state[15] = flags;
	for (int round = 0; round < ROUNDS; round++) {
		round_of(state, words);
		uint32_t permuted[WORDS];
		for (size_t i = 0; i < WORDS; i++) {
			permuted[i] = words[permutation[i]];
		}
		memcpy(words, permuted, sizeof(words));
	}
	for (size_t i = 0; i < 8; i++) {
		chain[i] = state[i] ^ state[i + 8];
	}
}

/* The path in pieces, so that it need not stand together. */
static size_t next_block(struct bytes pieces[3], char block[BLOCK_BYTES])
{
	size_t size = 0;
	for (size_t i = 0; i < 3; i++) {
		size_t room = BLOCK_BYTES - size;
		size_t taken = pieces[i].size < room ? pieces[i].size : room;
		if (taken > 0) {
			memcpy(block + size, pieces[i].data, taken);
			pieces[i].data += taken;
			pieces[i].size -= taken;
			size += taken;
		}
	}
	memset(block + size, 0, BLOCK_BYTES - size);
	return size;
}

bool event_identity_of(
	struct bytes collection, struct bytes id, struct event_identity *ret_identity)
{
	struct bytes pieces[3] = {collection, bytes_of("/"), id};
	size_t left = collection.size + 1 + id.size;
	if (left > EVENT_PATH_BYTES_MAX) {
		return false;
	}
	uint32_t chain[8];
	uint32_t flags = CHUNK_START;
	memcpy(chain, initial, sizeof(chain));
	while (left > 0) { /* never empty: there is the slash */
		char block[BLOCK_BYTES];
		size_t size = next_block(pieces, block);
		left -= size;
		flags |= left == 0 ? CHUNK_END | ROOT : 0;
		compress(chain, block, (uint32_t)size, flags);
		flags = 0;
	}
	for (size_t i = 0; i < EVENT_IDENTITY_SIZE; i++) {
		ret_identity->bytes[i] = (uint8_t)(chain[i / 4] >> (8 * (i % 4)));
	}
	return true;
}

/* Without a jump: whether a digit of a hash is a number or a letter cannot be foreseen. */
static unsigned digit_of(char character, bool *are_digits)
{
	unsigned number = (unsigned)(unsigned char)character - '0';
	unsigned letter = (unsigned)(unsigned char)character - 'a';
	bool is_number = number < 10;
	bool is_letter = letter < 6;
	*are_digits &= is_number | is_letter;
	return is_number * number + is_letter * (letter + 10);
}

bool event_identity_parse(
	struct bytes store_id, struct bytes *ret_database, struct event_identity *ret_identity)
{
	const size_t digits = (size_t)2 * EVENT_IDENTITY_SIZE;
	if (store_id.size < digits + 1 || store_id.data[store_id.size - digits - 1] != ':') {
		return false;
	}
	const char *at = store_id.data + store_id.size - digits;
	struct event_identity identity;
	bool are_digits = true;
	for (size_t i = 0; i < EVENT_IDENTITY_SIZE; i++) {
		unsigned high = digit_of(at[2 * i], &are_digits);
		unsigned low = digit_of(at[2 * i + 1], &are_digits);
		identity.bytes[i] = (uint8_t)(high * 16 + low);
	}
	if (!are_digits) {
		return false;
	}
	*ret_database = (struct bytes){store_id.data, store_id.size - digits - 1};
	*ret_identity = identity;
	return true;
}
