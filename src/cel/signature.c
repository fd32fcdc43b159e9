/* The list of functions in words, for the manual. */
#include "function_priv.h"

#include <stdarg.h>
#include <stdio.h>

/* A text that is cut where it is full. */
struct words {
	char *text;
	size_t room, size;
};

static void say(struct words *words, const char *format, ...) PRINTF_LIKE(2, 3);

static void say(struct words *words, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int more =
		vsnprintf(words->text + words->size, words->room - words->size, format, arguments);
	va_end(arguments);
	size_t size = words->size + (more > 0 ? (size_t)more : 0);
	words->size = size < words->room ? size : words->room - 1;
}

bool cel_signature_at(size_t index, struct cel_signature *ret_signature)
{
	const struct cel_function *function = cel_function_at(index);
	if (!function) {
		return false;
	}
	struct words words = {ret_signature->text, sizeof(ret_signature->text), 0};
	bool is_member = function->style == STYLE_MEMBER;
	if (is_member) {
		say(&words, "%s.", cel_pattern_text((enum cel_pattern)function->parameters[0]));
	}
	say(&words, "%s(", function->name);
	size_t first = is_member ? 1 : 0;
	for (size_t i = first; i < CEL_PARAMETERS_MAX; i++) {
		if (function->parameters[i] != PATTERN_NONE) {
			say(&words, "%s%s", i > first ? ", " : "",
				cel_pattern_text((enum cel_pattern)function->parameters[i]));
		}
	}
	say(&words, "%s) -> %s", function->is_variadic ? ", ..." : "",
		cel_pattern_text((enum cel_pattern)function->result));
	ret_signature->library = function->library;
	ret_signature->help = function->help;
	return true;
}
