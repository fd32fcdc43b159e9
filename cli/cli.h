/*
 * cli: what the commands of the program share: arguments, messages, signals.
 * Owns: nothing; each command owns what it opens.
 * Threads: the main one only; the library's own never see a signal.
 * Errors: an exit status, after a message on stderr that says what would be right.
 * Invariant: stdout carries results only, and nothing but a command writes there.
 */
#ifndef CLI_H
#define CLI_H

#include "streamer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum cli_status { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* ---- commands -------------------------------------------------------------------------------- */

struct cli_command {
	const char *name;
	const char *summary;  /* one line, for the list of commands */
	const char *synopsis; /* what follows the name */
	const char *text;     /* paragraphs of --help, with their line ends */
	const char *examples; /* lines, the first of which stands in the list of commands too */
	/* The arguments are those behind the command's name. */
	enum cli_status (*run)(const struct cli_command *command, int count, char **arguments);
};

extern const struct cli_command cli_bench;
extern const struct cli_command cli_bench_delivery; /* both are commands of bench */
extern const struct cli_command cli_bench_e2e;
extern const struct cli_command cli_check;
extern const struct cli_command cli_serve;
extern const struct cli_command cli_puller;
extern const struct cli_command cli_watch;

/* ---- arguments ------------------------------------------------------------------------------- */

#define CLI_LIST_MAX 256

/* What an option that may be given several times has been given. */
struct cli_list {
	const char *items[CLI_LIST_MAX];
	size_t count;
};

/* Exactly one of the pointers behind `is_required` is set: where the value goes. */
struct cli_option {
	const char *name;     /* "listen" for --listen */
	const char *argument; /* "ADDR"; NULL for a flag */
	const char *help;
	bool is_required;
	bool *flag;
	const char **text;
	struct cli_list *list;
	uint64_t *count; /* a whole number from 1 */
	double *rate;    /* a number above 0 */
};

struct cli_parser {
	const struct cli_command *command;
	const struct cli_option *options; /* up to one without a name */
	struct streamer_options *limits;  /* if not NULL, every limit is an option too */
	const char *operand;              /* "EXPR": one argument that is no option; NULL: none */
	const char **operand_text;        /* where it goes */
};

/*
 * Sets what the arguments say. True: the command may run; false: it ends with *ret_status, after
 * --help (CLI_DONE) or a message (CLI_USAGE). Texts are borrowed from `arguments`.
 */
bool cli_parse(
	const struct cli_parser *parser, int count, char **arguments, enum cli_status *ret_status);

/* Looks for the name that was meant; zeroed but for `written` at first. */
struct cli_nearest {
	const char *written;
	const char *name; /* NULL: none is near */
	size_t distance;
};
/* '-' and '_' are the same. `name` is kept. */
void cli_consider(struct cli_nearest *nearest, const char *name);

/* ---- messages -------------------------------------------------------------------------------- */

/* "streamer serve: ..." on stderr; control characters in the arguments are printed as '?'. */
void cli_say(const struct cli_command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The same with a pointer to --help behind it; CLI_USAGE. `command` may be NULL. */
enum cli_status cli_refuse(const struct cli_command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* For printf's "%.*s". */
#define CLI_BYTES(b) (int)((b).size > 4096 ? 4096 : (b).size), (b).data ? (b).data : ""

/* ---- signals --------------------------------------------------------------------------------- */

/*
 * From now on SIGINT and SIGTERM make the descriptor readable instead of ending the program; to be
 * called before there are threads. -1: the operating system said no, and that has been said.
 */
int cli_signals_open(const struct cli_command *command);
/* Takes the one that came, and lets the next one end the program at once. Its name. */
const char *cli_signals_take(int fd);

#endif
