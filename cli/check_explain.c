/*
 * The expression becomes a query of an index of its own, beside the rules; what is told is what
 * that index says.
 */
#include "check_explain.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rules.h"
#include "value.h"

#define SEED 1
#define LINES_MAX 20 /* places and predicates that a person is shown */
#define WIDTH_MAX 200

/* ---- as text --------------------------------------------------------------------------------- */

static bool has_color(void)
{
	const char *none = getenv("NO_COLOR"); /* NOLINT(concurrency-mt-unsafe): set by nobody */
	const char *kind = getenv("TERM");     /* NOLINT(concurrency-mt-unsafe): set by nobody */
	return isatty(STDOUT_FILENO) == 1 && !(none && *none) && kind && *kind &&
		strcmp(kind, "dumb") != 0;
}

static enum err print_title(struct buffer *out, const char *title)
{
	bool is_bold = has_color();
	return buffer_printf(
		out, "%s%s%s\n", is_bold ? "\x1B[1m" : "", title, is_bold ? "\x1B[0m" : "");
}

/* Long lists are cut. */
static enum err print_text(struct buffer *out, struct bytes text)
{
	bool is_long = text.size > WIDTH_MAX;
	text.size = is_long ? WIDTH_MAX : text.size;
	text.size = bytes_utf8_prefix(text);
	enum err err = buffer_append(out, text);
	return err == OK ? buffer_append_text(out, is_long ? "...\n" : "\n") : err;
}

static enum err print_more(struct buffer *out, size_t count)
{
	return count > LINES_MAX ? buffer_printf(out, "          and %zu more\n", count - LINES_MAX)
				 : OK;
}

static enum err print_place(struct buffer *out, const struct match_place *place)
{
	enum err err =
		buffer_printf(out, "%10llu %9llu  %-5s  ", (unsigned long long)place->queries,
			(unsigned long long)place->steps, place->is_proof ? "holds" : "");
	err = err == OK ? print_text(out, place->text) : err;
	if (err == OK && !place->is_proof) {
		err = buffer_printf(out, "%29sto verify: ", "");
		err = err == OK ? print_text(out, place->left) : err;
	}
	return err;
}

static enum err print_explanation(struct buffer *out, const struct match_explanation *explanation)
{
	enum err err = print_title(out, "   queries     steps  found  where it is filed");
	for (size_t i = 0; err == OK && i < explanation->places_count && i < LINES_MAX; i++) {
		err = print_place(out, &explanation->places[i]);
	}
	err = err == OK ? print_more(out, explanation->places_count) : err;
	err = err == OK ? print_title(out, " shared by      cost         predicate") : err;
	for (size_t i = 0; err == OK && i < explanation->parts_count && i < LINES_MAX; i++) {
		const struct match_part *part = &explanation->parts[i];
		err = buffer_printf(out, "%10llu %9s         ", (unsigned long long)part->others,
			part->is_program ? "program" : "1");
		err = err == OK ? print_text(out, part->text) : err;
	}
	err = err == OK ? print_more(out, explanation->parts_count) : err;
	err = err == OK ? buffer_printf(out, "steps     %llu for 1000 changes%s\n",
				  (unsigned long long)explanation->steps,
				  explanation->is_residual ? ", a residual" : "")
			: err;
	for (size_t i = 0; err == OK && i < explanation->advice_count && i < LINES_MAX; i++) {
		err = buffer_append_text(out, "advice    ");
		err = err == OK ? print_text(out, explanation->advice[i]) : err;
	}
	return err;
}

/* ---- as JSON --------------------------------------------------------------------------------- */

static enum err put_place(struct buffer *out, const struct match_place *place)
{
	enum err err = buffer_append_text(out, "{\"place\":");
	err = err == OK ? json_print_string(out, place->text) : err;
	err = err == OK
		? buffer_printf(out, ",\"holds\":%s,\"queries\":%llu,\"steps\":%llu,\"left\":",
			  place->is_proof ? "true" : "false", (unsigned long long)place->queries,
			  (unsigned long long)place->steps)
		: err;
	err = err == OK ? json_print_string(out, place->left) : err;
	return err == OK ? buffer_append_text(out, "}") : err;
}

static enum err put_part(struct buffer *out, const struct match_part *part)
{
	enum err err = buffer_append_text(out, "{\"predicate\":");
	err = err == OK ? json_print_string(out, part->text) : err;
	return err == OK
		? buffer_printf(out, ",\"program\":%s,\"others\":%llu}",
			  part->is_program ? "true" : "false", (unsigned long long)part->others)
		: err;
}

static size_t told(size_t count)
{
	return count < MATCH_EXPLAINED_MAX ? count : MATCH_EXPLAINED_MAX;
}

static enum err put_explanation(struct buffer *out, const struct match_explanation *explanation)
{
	enum err err = buffer_printf(out, "{\"residual\":%s,\"steps\":%llu,\"places_count\":%zu",
		explanation->is_residual ? "true" : "false", (unsigned long long)explanation->steps,
		explanation->places_count);
	err = err == OK ? buffer_append_text(out, ",\"places\":[") : err;
	for (size_t i = 0; err == OK && i < told(explanation->places_count); i++) {
		err = buffer_append_text(out, i > 0 ? "," : "");
		err = err == OK ? put_place(out, &explanation->places[i]) : err;
	}
	err = err == OK ? buffer_append_text(out, "],\"predicates\":[") : err;
	for (size_t i = 0; err == OK && i < explanation->parts_count; i++) {
		err = buffer_append_text(out, i > 0 ? "," : "");
		err = err == OK ? put_part(out, &explanation->parts[i]) : err;
	}
	err = err == OK ? buffer_append_text(out, "],\"advice\":[") : err;
	for (size_t i = 0; err == OK && i < explanation->advice_count; i++) {
		err = buffer_append_text(out, i > 0 ? "," : "");
		err = err == OK ? json_print_string(out, explanation->advice[i]) : err;
	}
	return err == OK ? buffer_append_text(out, "]}") : err;
}

/* ---- the index ------------------------------------------------------------------------------- */

static enum cli_status refused(const struct check_explain_request *request, uint64_t line,
	enum err err, const struct match_refusal *refusal)
{
	const char *text = refusal->text[0] ? refusal->text : err_text(err);
	const char *colon = refusal->hint[0] ? ": " : "";
	if (line > 0) {
		cli_say(request->command, "%s: line %llu: %s%s%s", request->rules_path,
			(unsigned long long)line, text, colon, refusal->hint);
	} else {
		cli_say(request->command, "%s%s%s", text, colon, refusal->hint);
	}
	return CLI_USAGE;
}

/* The queries are freed with the index. */
static enum cli_status add_rules(
	const struct check_explain_request *request, const struct rules *rules, struct match *match)
{
	for (size_t i = 0; i < rules->count; i++) {
		struct match_query *query = NULL;
		struct match_refusal refusal = {0};
		enum err err =
			match_query_get(match, &rules->items[i].subscription, &refusal, &query);
		if (err != OK) {
			return refused(request, rules->items[i].line, err, &refusal);
		}
	}
	return CLI_DONE;
}

static struct bytes name_of(const char *given, struct bytes first, const char *otherwise)
{
	if (given) {
		return bytes_of(given);
	}
	return first.size > 0 ? first : bytes_of(otherwise);
}

static enum cli_status explain_beside(const struct check_explain_request *request,
	const struct rules *rules, bool is_json, struct buffer *out)
{
	struct match *match = NULL;
	enum err err = match_new(&request->limits, SEED, NULL, NULL, &match);
	if (err != OK) {
		return refused(request, 0, err, &(struct match_refusal){0});
	}
	const struct model_subscription none = {0};
	const struct model_subscription *first =
		rules->count > 0 ? &rules->items[0].subscription : &none;
	const struct model_subscription subscription = {
		.database = name_of(request->database, first->database, "default"),
		.collection = name_of(request->collection, first->collection, "documents"),
		.expression = bytes_of(request->source)};
	struct arena arena = {0};
	struct match_explanation explanation = {0};
	struct match_refusal refusal = {0};
	enum cli_status status = add_rules(request, rules, match);
	if (status == CLI_DONE) {
		err = match_explain(match, &subscription, &arena, &refusal, &explanation);
		if (err == OK) {
			err = is_json ? put_explanation(out, &explanation)
				      : print_explanation(out, &explanation);
		}
		status = err == OK ? CLI_DONE : refused(request, 0, err, &refusal);
	}
	arena_fini(&arena);
	match_free(match);
	return status;
}

enum cli_status check_explain(
	const struct check_explain_request *request, bool is_json, struct buffer *out)
{
	struct rules rules = {0};
	struct err_info info = {0};
	if (request->rules_path && rules_open(request->rules_path, &info, &rules) != OK) {
		cli_say(request->command, "--rules: %s", info.text);
		return CLI_USAGE;
	}
	enum cli_status status = explain_beside(request, &rules, is_json, out);
	rules_close(&rules);
	return status;
}
