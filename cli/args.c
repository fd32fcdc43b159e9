/*
 * Arguments by a table. An option is written --name, its value behind it or behind '='; nothing is
 * abbreviated, and what is not in the table is answered with the name that is nearest to it.
 */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES_MAX 63

/* ---- the name that was meant ----------------------------------------------------------------- */

static bool same(char a, char b)
{
	return a == b || (a == '-' && b == '_') || (a == '_' && b == '-');
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Letters left out, put in, exchanged, or swapped with their neighbour: how many it takes. */
static size_t distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
	size_t rows[3][NAME_BYTES_MAX + 1];
	size_t *before = rows[0];
	size_t *last = rows[1];
	size_t *row = rows[2];
	for (size_t j = 0; j <= b_size; j++) {
		before[j] = 0;
		last[j] = j;
	}
	for (size_t i = 1; i <= a_size; i++) {
		row[0] = i;
		for (size_t j = 1; j <= b_size; j++) {
			size_t exchanged = last[j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1);
			row[j] = least(exchanged, least(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) &&
				same(a[i - 2], b[j - 1])) {
				row[j] = least(row[j], before[j - 2] + 1);
			}
		}
		size_t *free_row = before;
		before = last;
		last = row;
		row = free_row;
	}
	return last[b_size];
}

static bool begins_with(const char *text, const char *start, size_t start_size)
{
	for (size_t i = 0; i < start_size; i++) {
		if (!same(text[i], start[i])) { /* the text's NUL included */
			return false;
		}
	}
	return true;
}

void cli_consider(struct cli_nearest *nearest, const char *name)
{
	size_t written_size = strlen(nearest->written);
	size_t name_size = strlen(name);
	if (written_size == 0 || written_size > NAME_BYTES_MAX || name_size > NAME_BYTES_MAX) {
		return;
	}
	size_t far = distance(nearest->written, written_size, name, name_size);
	bool is_start = written_size > 2 && begins_with(name, nearest->written, written_size);
	if (is_start) {
		far = 1;
	}
	if (far <= (written_size + 1) / 3 && (!nearest->name || far < nearest->distance)) {
		nearest->name = name;
		nearest->distance = far;
	}
}

/* ---- help ------------------------------------------------------------------------------------ */

static void print_name(const char *name)
{
	for (; *name; name++) {
		(void)fputc(*name == '_' ? '-' : *name, stdout);
	}
}

static void print_limits(void)
{
	struct streamer_option limit;
	(void)printf("\nlimits (N is a whole number):\n");
	for (size_t i = 0; streamer_option_at(i, &limit); i++) {
		(void)printf("  --");
		print_name(limit.name);
		(void)printf(" N\n      %s;\n      %lld to %lld%s%s, default %lld\n", limit.help,
			(long long)limit.least, (long long)limit.most, *limit.unit ? " " : "",
			limit.unit, (long long)limit.standard);
	}
}

static enum cli_status print_help(const struct cli_parser *parser)
{
	const struct cli_command *command = parser->command;
	(void)printf("usage: streamer %s %s\n\n%s\noptions:\n", command->name, command->synopsis,
		command->text);
	for (const struct cli_option *option = parser->options; option->name; option++) {
		char head[48];
		(void)snprintf(head, sizeof(head), "--%s%s%s", option->name,
			option->argument ? " " : "", option->argument ? option->argument : "");
		(void)printf("  %-24s %s\n", head, option->help);
	}
	(void)printf("  %-24s %s\n", "--help", "this text");
	if (parser->limits) {
		print_limits();
	}
	(void)printf("\nexamples:\n%s", command->examples);
	return fflush(stdout) == 0 ? CLI_DONE : CLI_FAILED;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Each says NULL, or what the value should be. */
static const char *set_count(const char *value, uint64_t *ret_count)
{
	char *end = NULL;
	errno = 0;
	unsigned long long count = strtoull(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end || errno == ERANGE || count == 0) {
		return "a whole number from 1";
	}
	*ret_count = count;
	return NULL;
}

static const char *set_rate(const char *value, double *ret_rate)
{
	char *end = NULL;
	double rate = strtod(value, &end);
	if (end == value || *end || !isfinite(rate) || rate <= 0) {
		return "a number above 0";
	}
	*ret_rate = rate;
	return NULL;
}

static const char *set_value(const struct cli_option *option, const char *value)
{
	if (option->count) {
		return set_count(value, option->count);
	}
	if (option->rate) {
		return set_rate(value, option->rate);
	}
	if (option->text) {
		*option->text = value;
		return NULL;
	}
	if (option->list->count == CLI_LIST_MAX) {
		return "given less often";
	}
	option->list->items[option->list->count++] = value;
	return NULL;
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* The arguments, and the one that is looked at. */
struct cursor {
	char **arguments;
	int count;
	int at;
	char name[NAME_BYTES_MAX + 1]; /* of the option; "" if the argument is none */
	const char *value;             /* NULL: none yet */
};

/* The parts of "--name=value". */
static void split(struct cursor *cursor)
{
	const char *written = cursor->arguments[cursor->at];
	size_t size = strcspn(written, "=");
	cursor->name[0] = '\0';
	cursor->value = written[size] ? written + size + 1 : NULL;
	if (strncmp(written, "--", 2) == 0 && size - 2 <= NAME_BYTES_MAX) {
		memcpy(cursor->name, written + 2, size - 2);
		cursor->name[size - 2] = '\0';
	}
}

/* Looks for the value behind the name, if it is not there yet; what begins with "--" is none. */
static bool take_value(struct cursor *cursor)
{
	const char *next = cursor->at + 1 < cursor->count ? cursor->arguments[cursor->at + 1] : "";
	if (!cursor->value && strncmp(next, "--", 2) != 0) {
		cursor->value = next;
		cursor->at++;
	}
	return cursor->value && cursor->value[0];
}

static const struct cli_option *find_option(const struct cli_parser *parser, const char *name)
{
	const struct cli_option *option = parser->options;
	while (option->name && strcmp(option->name, name) != 0) {
		option++;
	}
	return option->name ? option : NULL;
}

static bool is_limit(const char *name)
{
	struct streamer_option limit;
	for (size_t i = 0; streamer_option_at(i, &limit); i++) {
		if (strlen(name) == strlen(limit.name) &&
			begins_with(limit.name, name, strlen(name))) {
			return true;
		}
	}
	return false;
}

static enum cli_status refuse_name(const struct cli_parser *parser, const struct cursor *cursor)
{
	const char *written = cursor->arguments[cursor->at];
	struct cli_nearest nearest = {.written = cursor->name[0] ? cursor->name : written};
	struct streamer_option limit;
	for (const struct cli_option *option = parser->options; option->name; option++) {
		cli_consider(&nearest, option->name);
	}
	for (size_t i = 0; parser->limits && streamer_option_at(i, &limit); i++) {
		cli_consider(&nearest, limit.name);
	}
	cli_consider(&nearest, "help");
	char meant[NAME_BYTES_MAX + 32] = "";
	if (nearest.name) {
		(void)snprintf(meant, sizeof(meant), "; did you mean --%s?", nearest.name);
		for (char *at = strchr(meant, '_'); at; at = strchr(at, '_')) {
			*at = '-';
		}
	}
	if (written[0] != '-') {
		return cli_refuse(parser->command,
			"what is \"%s\"? Every %sargument is an option%s", written,
			parser->operand ? "other " : "", meant);
	}
	return cli_refuse(parser->command, "there is no option %s%s", written, meant);
}

static enum cli_status take_limit(const struct cli_parser *parser, struct cursor *cursor)
{
	struct streamer_failure failure = {0};
	if (!take_value(cursor)) {
		return cli_refuse(parser->command, "--%s wants a number behind it", cursor->name);
	}
	if (streamer_options_set(parser->limits, cursor->name, cursor->value, &failure) !=
		STREAMER_OK) {
		return cli_refuse(parser->command, "--%s", failure.text);
	}
	return CLI_DONE;
}

static enum cli_status take_option(
	const struct cli_parser *parser, const struct cli_option *option, struct cursor *cursor)
{
	if (option->flag) {
		*option->flag = true;
		return cursor->value
			? cli_refuse(parser->command, "--%s takes no value, not \"%s\"",
				  option->name, cursor->value)
			: CLI_DONE;
	}
	if (!take_value(cursor)) {
		return cli_refuse(parser->command,
			"--%s wants %s behind it (written --%s=... if that begins with --)",
			option->name, option->argument, option->name);
	}
	const char *wanted = set_value(option, cursor->value);
	return wanted ? cli_refuse(parser->command, "--%s: \"%s\" should be %s", option->name,
				cursor->value, wanted)
		      : CLI_DONE;
}

static enum cli_status take_argument(const struct cli_parser *parser, struct cursor *cursor)
{
	const char *written = cursor->arguments[cursor->at];
	if (parser->operand && !*parser->operand_text && strncmp(written, "--", 2) != 0) {
		*parser->operand_text = written;
		return CLI_DONE;
	}
	split(cursor);
	const struct cli_option *option = find_option(parser, cursor->name);
	if (option) {
		return take_option(parser, option, cursor);
	}
	if (parser->limits && is_limit(cursor->name)) {
		return take_limit(parser, cursor);
	}
	return refuse_name(parser, cursor);
}

static bool is_given(const struct cli_option *option)
{
	return option->text ? *option->text != NULL : option->list && option->list->count > 0;
}

static bool asks_for_help(int count, char **arguments)
{
	for (int i = 0; i < count; i++) {
		if (strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0) {
			return true;
		}
	}
	return false;
}

bool cli_parse(
	const struct cli_parser *parser, int count, char **arguments, enum cli_status *ret_status)
{
	struct cursor cursor = {.arguments = arguments, .count = count};
	*ret_status = CLI_DONE;
	if (asks_for_help(count, arguments)) {
		*ret_status = print_help(parser);
		return false;
	}
	for (; cursor.at < count && *ret_status == CLI_DONE; cursor.at++) {
		*ret_status = take_argument(parser, &cursor);
	}
	for (const struct cli_option *option = parser->options;
		option->name && *ret_status == CLI_DONE; option++) {
		if (option->is_required && !is_given(option)) {
			*ret_status = cli_refuse(parser->command, "--%s %s is missing",
				option->name, option->argument);
		}
	}
	if (*ret_status == CLI_DONE && parser->operand && !*parser->operand_text) {
		*ret_status = cli_refuse(parser->command, "%s is missing", parser->operand);
	}
	return *ret_status == CLI_DONE;
}
