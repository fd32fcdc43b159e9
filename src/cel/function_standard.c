/* The standard functions of text and of sizes. Text is compared by bytes, and counted in code
 * points. */
#include "function_priv.h"
#include "text_priv.h"

#include <string.h>

struct cel_value cel_call_size_of_string(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_int((int64_t)cel_code_points(cel_text(arguments[0])));
}

struct cel_value cel_call_size_of_bytes(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_int(arguments[0].size);
}

struct cel_value cel_call_size_of_collection(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_int((int64_t)cel_count(arguments[0]));
}

struct cel_value cel_call_contains(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	struct bytes text = cel_text(arguments[0]);
	size_t found = 0;
	return cel_bool(cel_search(text, 0, cel_text(arguments[1]), &found));
}

struct cel_value cel_call_starts_with(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	struct bytes text = cel_text(arguments[0]);
	struct bytes start = cel_text(arguments[1]);
	return cel_bool(start.size <= text.size &&
		bytes_equal((struct bytes){text.data, start.size}, start));
}

struct cel_value cel_call_ends_with(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	struct bytes text = cel_text(arguments[0]);
	struct bytes end = cel_text(arguments[1]);
	return cel_bool(end.size == 0 ||
		(end.size <= text.size &&
			bytes_equal((struct bytes){text.data + (text.size - end.size), end.size},
				end)));
}
