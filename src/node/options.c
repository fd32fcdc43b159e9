/* Options by name: what options.def says, parsed and bounded. */
#include "node_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(OPTION_COUNT <= STREAMER_LIMITS_MAX, "streamer.h has no room for so many options");

static const struct streamer_option list[] = {
#define OPTION(name, unit, standard, least, most, help) {#name, unit, help, standard, least, most},
#include "options.def"
#undef OPTION
};

bool streamer_option_at(size_t index, struct streamer_option *ret_option)
{
	if (index >= OPTION_COUNT) {
		return false;
	}
	*ret_option = list[index];
	return true;
}

void streamer_options_init(struct streamer_options *options)
{
	*options = (struct streamer_options){.source = STREAMER_PUSH, .log_fd = 2};
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		options->limits[i] = list[i].standard;
	}
}

static bool name_is(const char *written, const char *name)
{
	while (*written && (*written == *name || (*written == '-' && *name == '_'))) {
		written++;
		name++;
	}
	return *written == *name;
}

enum streamer_err streamer_options_set(struct streamer_options *options, const char *name,
	const char *value, struct streamer_failure *failure)
{
	struct err_info info = {0};
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		if (!name_is(name, list[i].name)) {
			continue;
		}
		char *end = NULL;
		errno = 0;
		long long number = strtoll(value, &end, 10);
		if (end == value || *end || errno == ERANGE || number < list[i].least ||
			number > list[i].most) {
			(void)err_set(&info, ERR_INVALID, 0,
				"%s: \"%s\" is not a number from %lld to %lld%s%s; the default is "
				"%lld",
				name, value, (long long)list[i].least, (long long)list[i].most,
				*list[i].unit ? " " : "", list[i].unit,
				(long long)list[i].standard);
			return node_failure(ERR_INVALID, &info, failure);
		}
		options->limits[i] = number;
		return STREAMER_OK;
	}
	(void)err_set(&info, ERR_NOT_FOUND, 0, "there is no option %s", name);
	return node_failure(ERR_NOT_FOUND, &info, failure);
}
