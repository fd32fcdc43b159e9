/*
 * Errors as codes, their texts, and the one place where the program ends itself: a check that
 * failed. The texts come from the list that makes the codes, so the two cannot drift apart.
 */
#include "base.h"

#include <stdio.h>
#include <stdlib.h>

const char *err_text(enum err code)
{
	static const char *const texts[ERR_COUNT] = {
#define X(code, text) [code] = (text),
		ERR_LIST(X)
#undef X
	};
	return (unsigned)code < ERR_COUNT ? texts[code] : "unknown error";
}

enum err err_set(struct err_info *info, enum err code, uint32_t position, const char *format, ...)
{
	if (info) {
		va_list arguments;
		va_start(arguments, format);
		info->code = code;
		info->position = position;
		if (vsnprintf(info->text, sizeof(info->text), format, arguments) < 0) {
			info->text[0] = '\0';
		}
		va_end(arguments);
	}
	return code;
}

void check_failed(const char *condition, const char *file, int line)
{
	(void)fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
	abort();
}
