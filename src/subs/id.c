/* Most ids are UUIDs, and a UUID is sixteen bytes, although it is written as 36. */
#include "subs_priv.h"
#include "wire.h"

#include <string.h>

#define TEXT_SIZE 36

/* Whether a hyphen stands at this place of a UUID's text. */
static bool is_hyphen(size_t at)
{
	return at == 8 || at == 13 || at == 18 || at == 23;
}

/* 16 and more: not a digit in lower case. A table, as no branch can be foretold here. */
static unsigned digit_of(char c)
{
	static const unsigned char one_more[256] = {['0'] = 1,
		['1'] = 2,
		['2'] = 3,
		['3'] = 4,
		['4'] = 5,
		['5'] = 6,
		['6'] = 7,
		['7'] = 8,
		['8'] = 9,
		['9'] = 10,
		['a'] = 11,
		['b'] = 12,
		['c'] = 13,
		['d'] = 14,
		['e'] = 15,
		['f'] = 16};
	return one_more[(unsigned char)c] - 1U;
}

void subs_id_read(struct bytes text, struct subs_id *ret_id)
{
	*ret_id = (struct subs_id){.text = text};
	if (text.size != TEXT_SIZE) {
		return;
	}
	unsigned char *byte = ret_id->uuid;
	for (size_t at = 0; at < TEXT_SIZE; at += 2) {
		if (is_hyphen(at)) {
			if (text.data[at++] != '-') {
				return;
			}
		}
		unsigned high = digit_of(text.data[at]);
		unsigned low = digit_of(text.data[at + 1]);
		if ((high | low) >= 16) {
			return;
		}
		*byte++ = (unsigned char)(high << 4 | low);
	}
	ret_id->is_uuid = true;
}

void subs_id_write_uuid(const unsigned char uuid[SUBS_UUID_BYTES], char *place)
{
	static const char digits[] = "0123456789abcdef";
	char text[TEXT_SIZE];
	size_t at = 0;
	for (size_t i = 0; i < SUBS_UUID_BYTES; i++) {
		if (is_hyphen(at)) {
			text[at++] = '-';
		}
		text[at++] = digits[uuid[i] >> 4];
		text[at++] = digits[uuid[i] & 15];
	}
	size_t size = wire_id_write((struct bytes){text, TEXT_SIZE}, place);
	debug_check(size == SUBS_OWN_BYTES);
	(void)size;
}
