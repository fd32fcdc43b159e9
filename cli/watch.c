/* streamer watch: one subscription at a Streamer, shown until it ends or is ended. */
#include "cli.h"
#include "watch_output.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLANKS " \t"
#define FILTER_EXAMPLE "'age >= 18' or 'name == \"Ada\"'"

struct watch {
	const struct cli_command *command;
	const char *streamer;
	const char *database;
	const char *collection;
	const char *id;
	struct cli_list conditions;
	const char *expression;
	bool is_json;
	bool omits_document;
	bool goes_on; /* --reconnect */
	bool was_connected;
	uint64_t count; /* 0: no end */
	uint64_t shown;
	struct streamer_filter *filters;
	size_t filters_count;
	char *id_json;
	struct streamer_stream *stream;
	struct watch_output output;
	int signals;
};

/* ---- filters --------------------------------------------------------------------------------- */

static bool is_operator(const char *word)
{
	static const char *const operators[] = {"==", "!=", ">", ">=", "<", "<=", "in", "contains"};
	for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
		if (strcmp(word, operators[i]) == 0) {
			return true;
		}
	}
	return false;
}

static enum cli_status no_memory(const struct watch *watch)
{
	cli_say(watch->command, "%s", streamer_err_text(STREAMER_MEMORY));
	return CLI_FAILED;
}

/* "FIELD OP JSON". The value is borrowed, and read by the library. */
static enum cli_status add_condition(struct watch *watch, const char *condition)
{
	const char *field = condition + strspn(condition, BLANKS);
	size_t field_size = strcspn(field, BLANKS);
	const char *op = field + field_size + strspn(field + field_size, BLANKS);
	size_t op_size = strcspn(op, BLANKS);
	const char *value = op + op_size + strspn(op + op_size, BLANKS);
	if (!*value) {
		return cli_refuse(watch->command,
			"--filter: \"%s\" should be FIELD OP JSON with blanks between, such as %s",
			condition, FILTER_EXAMPLE);
	}
	struct streamer_filter *filter = &watch->filters[watch->filters_count++];
	char *op_word = strndup(op, op_size);
	*filter = (struct streamer_filter){
		.field = strndup(field, field_size), .op = op_word, .value = value};
	if (!filter->field || !op_word) {
		return no_memory(watch);
	}
	if (!is_operator(op_word)) {
		return cli_refuse(watch->command,
			"--filter: \"%s\" is no operator; there are == != > >= < <= in contains, "
			"as in %s",
			op_word, FILTER_EXAMPLE);
	}
	return CLI_DONE;
}

static enum cli_status add_id(struct watch *watch)
{
	size_t size = 0;
	FILE *json = open_memstream(&watch->id_json, &size);
	if (!json) {
		return no_memory(watch);
	}
	watch_put_json(json, (struct streamer_bytes){watch->id, strlen(watch->id)});
	if (fclose(json) != 0) {
		return no_memory(watch);
	}
	struct streamer_filter *filter = &watch->filters[watch->filters_count++];
	*filter = (struct streamer_filter){
		.field = strdup("_id"), .op = strdup("=="), .value = watch->id_json};
	return filter->field && filter->op ? CLI_DONE : no_memory(watch);
}

/* Conditions first, so that the library's "filter 2" is the second --filter. */
static enum cli_status make_filters(struct watch *watch)
{
	watch->filters = calloc(watch->conditions.count + 1, sizeof(*watch->filters));
	if (!watch->filters) {
		return no_memory(watch);
	}
	enum cli_status status = CLI_DONE;
	for (size_t i = 0; status == CLI_DONE && i < watch->conditions.count; i++) {
		status = add_condition(watch, watch->conditions.items[i]);
	}
	return status == CLI_DONE && watch->id ? add_id(watch) : status;
}

/* ---- items ----------------------------------------------------------------------------------- */

/* True: there is more to come. */
static bool show_delivery(
	struct watch *watch, const struct streamer_item *item, enum cli_status *ret_status)
{
	switch (watch_output_write(&watch->output, item)) {
	case WATCH_WRITTEN:
		watch->shown++;
		*ret_status = CLI_DONE;
		return watch->shown != watch->count;
	case WATCH_SIGNAL:
	case WATCH_READER_GONE:
		*ret_status = CLI_DONE;
		return false;
	case WATCH_FAILED:
		break;
	}
	cli_say(watch->command, "cannot write: %s", strerrordesc_np(errno));
	*ret_status = CLI_FAILED;
	return false;
}

/* Whoever has never been there is not waited for, unless told to; who was is expected back. */
static bool show_state(
	struct watch *watch, const struct streamer_item *item, enum cli_status *ret_status)
{
	bool is_connected = item->connection == STREAMER_CONNECTED;
	if (!is_connected && !watch->was_connected && !watch->goes_on) {
		cli_say(watch->command, "no stream: %.*s", CLI_BYTES(item->text));
		*ret_status = CLI_FAILED;
		return false;
	}
	if (!is_connected) {
		cli_say(watch->command, "%.*s; trying again", CLI_BYTES(item->text));
	} else if (watch->was_connected) {
		cli_say(watch->command, "connected again");
	}
	watch->was_connected = watch->was_connected || is_connected;
	return true;
}

static bool show_answer(
	struct watch *watch, const struct streamer_item *item, enum cli_status *ret_status)
{
	if (item->accepted) {
		cli_say(watch->command, "subscribed to %s/%s at %s", watch->database,
			watch->collection, watch->streamer);
		return true;
	}
	cli_say(watch->command, "the subscription is refused: %.*s%s%.*s", CLI_BYTES(item->text),
		item->hint.size > 0 ? "; " : "", CLI_BYTES(item->hint));
	*ret_status = CLI_FAILED;
	return false;
}

/* The same. */
static bool take_item(
	struct watch *watch, const struct streamer_item *item, enum cli_status *ret_status)
{
	switch (item->kind) {
	case STREAMER_DELIVERY:
		return show_delivery(watch, item, ret_status);
	case STREAMER_ANSWER:
		return show_answer(watch, item, ret_status);
	case STREAMER_NOTICE:
		cli_say(watch->command, "the expression %.*s", CLI_BYTES(item->text));
		return true;
	case STREAMER_GAP:
		cli_say(watch->command, "changes are missing here");
		return true;
	case STREAMER_STATE:
		return show_state(watch, item, ret_status);
	case STREAMER_END:
		cli_say(watch->command, "%s: %.*s",
			watch->shown > 0 ? "the stream has ended" : "no stream",
			CLI_BYTES(item->text));
		break;
	}
	*ret_status = CLI_FAILED;
	return false;
}

/* Until there is an item, or never: a signal, or nobody reads what would be written. */
static bool wait_for_item(struct watch *watch, enum cli_status *ret_status)
{
	struct pollfd ready[] = {{.fd = watch->signals, .events = POLLIN}, {.fd = watch->output.fd},
		{.fd = streamer_stream_fd(watch->stream), .events = POLLIN}};
	*ret_status = CLI_DONE;
	if (poll(ready, 3, -1) < 0) {
		return errno == EINTR;
	}
	if (ready[1].revents & POLLNVAL) {
		cli_say(watch->command, "cannot write: stdout is closed");
		*ret_status = CLI_FAILED;
	}
	return !ready[0].revents && !ready[1].revents;
}

static enum cli_status show_until_end(struct watch *watch)
{
	enum cli_status status = CLI_DONE;
	bool goes_on = true;
	while (goes_on) {
		struct streamer_item item;
		enum streamer_err err = streamer_receive(watch->stream, &item);
		if (err == STREAMER_EMPTY) {
			goes_on = wait_for_item(watch, &status);
		} else if (err == STREAMER_OK) {
			goes_on = take_item(watch, &item, &status);
		} else {
			cli_say(watch->command, "%s", streamer_err_text(err));
			return CLI_FAILED;
		}
	}
	return status;
}

/* ---- the command ----------------------------------------------------------------------------- */

static enum cli_status subscribe(struct watch *watch)
{
	struct streamer_failure failure = {0};
	const struct streamer_subscription subscription = {.database = watch->database,
		.collection = watch->collection,
		.filters = watch->filters,
		.filters_count = watch->filters_count,
		.expression = watch->expression,
		.omit_document = watch->omits_document};
	enum streamer_err err = streamer_connect(watch->streamer, &failure, &watch->stream);
	if (err == STREAMER_OK) {
		err = streamer_subscribe(watch->stream, &subscription, &failure, NULL);
	}
	if (err == STREAMER_INVALID) {
		return cli_refuse(watch->command, "%s", failure.text);
	}
	if (err != STREAMER_OK && err != STREAMER_CLOSED) { /* an END item says why it is closed */
		cli_say(watch->command, "%s", failure.text);
		return CLI_FAILED;
	}
	return CLI_DONE;
}

static enum cli_status show(struct watch *watch)
{
	enum cli_status status = make_filters(watch);
	if (status != CLI_DONE) {
		return status;
	}
	watch->signals = cli_signals_open(watch->command);
	if (watch->signals < 0) {
		return CLI_FAILED;
	}
	if (!watch_output_init(&watch->output, STDOUT_FILENO, watch->signals, watch->is_json)) {
		return no_memory(watch);
	}
	status = subscribe(watch);
	return status == CLI_DONE ? show_until_end(watch) : status;
}

static void fini(struct watch *watch)
{
	streamer_stream_close(watch->stream);
	watch_output_fini(&watch->output);
	for (size_t i = 0; i < watch->filters_count; i++) {
		free((char *)watch->filters[i].field);
		free((char *)watch->filters[i].op);
	}
	free(watch->filters);
	free(watch->id_json);
	if (watch->signals >= 0) {
		(void)close(watch->signals);
	}
}

static enum cli_status run(const struct cli_command *command, int count, char **arguments)
{
	struct watch watch = {.command = command, .streamer = "localhost:50052", .signals = -1};
	const struct cli_option table[] = {
		{"streamer", "ADDR", "where it listens (default localhost:50052)",
			.text = &watch.streamer},
		{"database", "D", "of the collection", .is_required = true,
			.text = &watch.database},
		{"collection", "C", "whose changes are shown", .is_required = true,
			.text = &watch.collection},
		{"id", "DOC", "only this document", .text = &watch.id},
		{"filter", "'FIELD OP JSON'", "only documents for which all filters hold",
			.list = &watch.conditions},
		{"where", "EXPR", "only changes for which this CEL expression is true",
			.text = &watch.expression},
		{"no-document", NULL, "only that documents change, without their content",
			.flag = &watch.omits_document},
		{"json", NULL, "one JSON object a line", .flag = &watch.is_json},
		{"reconnect", NULL, "wait for a Streamer that is not there yet",
			.flag = &watch.goes_on},
		{"count", "N", "end with status 0 after that many changes", .count = &watch.count},
		{0},
	};
	const struct cli_parser parser = {.command = command, .options = table};
	enum cli_status status = CLI_DONE;
	if (cli_parse(&parser, count, arguments, &status)) {
		status = show(&watch);
		fini(&watch);
	}
	return status;
}

const struct cli_command cli_watch = {
	.name = "watch",
	.summary = "subscribes at a Streamer and shows the changes that arrive",
	.synopsis = "[--streamer ADDR] --database D --collection C [OPTION]...",
	.text = "Subscribes to a collection, or to what filters choose of it, and shows each "
		"change on\n"
		"a line: its time, operation, document and content. A filter is FIELD OP JSON: "
		"FIELD\n"
		"is a path such as author.name, or _id; OP is one of == != > >= < <= in contains;\n"
		"JSON is a string in quotes, a number, true, false or, for in, a list. EXPR is an\n"
		"expression such as age > 18 && room in ['a', 'b']; see streamer check. Ends with\n"
		"status 0 at SIGTERM, SIGINT, --count, or when nobody reads its output; with 1 "
		"when\n"
		"the subscription is refused, or nobody listens at ADDR. A connection that is lost "
		"is\n"
		"made again, and says so on stderr; what came meanwhile is shown then.\n",
	.examples =
		"  streamer watch --database default --collection users --filter 'age >= 18'\n"
		"  streamer watch --database default --collection users --id u1 --json\n"
		"  streamer watch --database default --collection users \\\n"
		"      --where 'age >= 18 && !name.startsWith(\"test-\")'\n"
		"  streamer watch --streamer host:50052 --database default --collection orders \\\n"
		"      --filter 'state in [\"paid\",\"sent\"]' --filter 'total > 99.5' --count "
		"10\n",
	.run = run,
};
