/*
 * The library encoders: base64 with the alphabet of RFC 4648, section 4. What is read may lack its
 * padding, and may have line ends in it, as mail has them.
 */
#include "function_priv.h"

static const char alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

struct cel_value cel_call_base64_encode(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	const unsigned char *bytes = (const unsigned char *)arguments[0].as.text;
	size_t size = arguments[0].size;
	size_t text_size = (size + 2) / 3 * 4;
	if (text_size > UINT32_MAX) {
		return cel_error(CEL_FAILED_RANGE, "base64.encode: too many bytes for a string");
	}
	char *text = cel_spend(run, cel_steps_of(text_size)) ? cel_alloc(run, text_size) : NULL;
	if (!text) {
		return cel_stopped(run);
	}
	char *place = text;
	for (size_t i = 0; i < size; i += 3, place += 4) {
		size_t rest = size - i;
		uint32_t bits = (uint32_t)bytes[i] << 16 |
			(rest > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
			(rest > 2 ? (uint32_t)bytes[i + 2] : 0);
		place[0] = alphabet[bits >> 18];
		place[1] = alphabet[bits >> 12 & 63];
		place[2] = '=';
		place[3] = '=';
		if (rest > 1) {
			place[2] = alphabet[bits >> 6 & 63];
		}
		if (rest > 2) {
			place[3] = alphabet[bits & 63];
		}
	}
	return cel_string((struct bytes){text, text_size});
}

/* What a letter stands for, 0 to 63; 64: it is none. */
static uint32_t value_of(char letter)
{
	if (letter >= 'A' && letter <= 'Z') {
		return (uint32_t)(letter - 'A');
	}
	if (letter >= 'a' && letter <= 'z') {
		return (uint32_t)(letter - 'a') + 26;
	}
	if (letter >= '0' && letter <= '9') {
		return (uint32_t)(letter - '0') + 52;
	}
	return letter == '+' ? 62 : letter == '/' ? 63 : 64;
}

static bool is_line_end(char letter)
{
	return letter == '\r' || letter == '\n';
}

/* What is behind the last letter: nothing, or what fills the last four. */
static bool is_padding(struct bytes text, size_t letters)
{
	size_t padding = 0;
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] == '=') {
			padding++;
		} else if (!is_line_end(text.data[i])) {
			return false;
		}
	}
	return letters % 4 != 1 && (padding == 0 || (padding < 3 && (letters + padding) % 4 == 0));
}

struct cel_value cel_call_base64_decode(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	struct bytes text = cel_text(arguments[0]);
	bool is_paid = cel_spend(run, cel_steps_of(text.size));
	char *bytes = is_paid ? cel_alloc(run, text.size / 4 * 3 + 3) : NULL;
	if (!bytes) {
		return cel_stopped(run);
	}
	uint32_t bits = 0;
	size_t letters = 0;
	size_t size = 0;
	size_t i = 0;
	for (; i < text.size && (is_line_end(text.data[i]) || value_of(text.data[i]) < 64); i++) {
		if (is_line_end(text.data[i])) {
			continue;
		}
		bits = bits << 6 | value_of(text.data[i]);
		letters++;
		size_t place = (letters - 1) % 4; /* among four letters, which are three bytes */
		if (place > 0) {
			bytes[size++] = (char)(bits >> (6 - 2 * place) & 255);
		}
	}
	if (!is_padding((struct bytes){text.data + i, text.size - i}, letters)) {
		return cel_error(CEL_FAILED_ARGUMENT, "base64.decode: not base64");
	}
	return cel_bytes((struct bytes){bytes, size});
}
