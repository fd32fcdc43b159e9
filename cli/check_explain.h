/* What an index makes of an expression, alone or beside the rules of a file. */
#ifndef CHECK_EXPLAIN_H
#define CHECK_EXPLAIN_H

#include "cli.h"
#include "match.h"

struct check_explain_request {
	const struct cli_command *command;
	const char *source;                /* the expression */
	const char *rules_path;            /* NULL: no rules */
	const char *database, *collection; /* NULL: the first rule's */
	struct match_limits limits;
};
/* Appends lines of text, or one JSON object. CLI_USAGE: that has been said. */
enum cli_status check_explain(
	const struct check_explain_request *request, bool is_json, struct buffer *out);

#endif
