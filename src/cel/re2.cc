/* The only C++ here, and the only file that sees RE2. Nothing that it throws leaves this file. */
#include "re2_priv.h"

#include <re2/re2.h>

#include <cstdio>

struct re2_pattern {
	RE2 re2;
};

static constexpr size_t spans_max = 10; /* \0 to \9 */

static enum re2_outcome refusal(const RE2 &re2, char *ret_text, size_t text_room)
{
	std::snprintf(ret_text, text_room, "%s", re2.error().c_str());
	return re2.error_code() == RE2::ErrorPatternTooLarge ? RE2_TOO_LARGE : RE2_BAD_PATTERN;
}

enum re2_outcome cel_re2_new(const char *pattern, size_t size, uint32_t memory_bytes,
	char *ret_text, size_t text_room, struct re2_pattern **ret_pattern)
{
	try {
		RE2::Options options;
		options.set_log_errors(false);
		options.set_max_mem(memory_bytes);
		const re2::StringPiece text(size > 0 ? pattern : "", size);
		auto *made = new re2_pattern{RE2(text, options)};
		if (!made->re2.ok()) {
			const enum re2_outcome outcome = refusal(made->re2, ret_text, text_room);
			delete made;
			return outcome;
		}
		*ret_pattern = made;
		return RE2_OK;
	} catch (...) {
		return RE2_NO_MEMORY;
	}
}

void cel_re2_free(struct re2_pattern *pattern)
{
	delete pattern;
}

uint32_t cel_re2_groups(const struct re2_pattern *pattern)
{
	return static_cast<uint32_t>(pattern->re2.NumberOfCapturingGroups());
}

uint32_t cel_re2_program(const struct re2_pattern *pattern)
{
	return static_cast<uint32_t>(pattern->re2.ProgramSize());
}

enum re2_outcome cel_re2_find(const struct re2_pattern *pattern, const char *text, size_t size,
	size_t start, struct re2_span *ret_spans, size_t count)
{
	try {
		/* A group that took no part has no data: empty text must have some. */
		const re2::StringPiece whole(size > 0 ? text : "", size);
		re2::StringPiece groups[spans_max];
		count = count < spans_max ? count : spans_max;
		if (!pattern->re2.Match(
			    whole, start, size, RE2::UNANCHORED, groups, static_cast<int>(count))) {
			return RE2_NO_MATCH;
		}
		for (size_t i = 0; i < count; i++) {
			const char *found = groups[i].data();
			const size_t at =
				found ? static_cast<size_t>(found - whole.data()) : SIZE_MAX;
			ret_spans[i] = re2_span{at, found ? at + groups[i].size() : SIZE_MAX};
		}
		return RE2_OK;
	} catch (...) {
		return RE2_NO_MEMORY;
	}
}
