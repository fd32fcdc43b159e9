/*
 * The slow truth. A subscription's filters are written out as an expression, joined with its own,
 * and made a program by the parser and the compiler alone; of subscriptions that read the same one
 * is run for all. What the engine listed must be exactly the subscriptions whose program gives
 * true, each once.
 */
#include "cel.h"
#include "matching_priv.h"
#include "wire.h"

#include <stdlib.h>

#define TOLD_MAX 10 /* differences */

struct rule {
	uint64_t hash;
	struct bytes database, collection, text;
	struct cel_program *program; /* NULL: match_query_holds must answer */
	struct match_query *query;
	bool holds; /* for the event that is looked at */
};

struct watcher {
	struct bytes id;
	struct rule *rule;
	uint64_t seen; /* the newest event that it was listed for, by its number from 1 */
};

struct matching_oracle {
	struct arena arena; /* what lives as long as the oracle */
	struct arena scratch;
	struct cel_regexes *regexes;
	struct match *match; /* of its own, for match_query_holds */
	struct rule **table; /* by hash; a free place behind each run of them */
	size_t table_size;   /* a power of two, at least twice the subscriptions */
	struct rule **all;
	size_t rules_count;
	struct watcher *each; /* in the order of their ids once all are there */
	size_t watchers_count;
	struct buffer text;
	uint64_t events, compared, different;
	FILE *complain;
};

static const struct cel_limits limits = {
	.source_bytes = UINT32_MAX,
	.depth = 250,
	.nodes = UINT32_MAX,
	.comprehensions = 16,
	.literal_bytes = UINT32_MAX,
	.regex_bytes = 262144,
	.memory_bytes = 1048576,
	.cost = UINT64_MAX,
	.steps = 1000000,
};

/* ---- a subscription as one expression -------------------------------------------------------- */

static enum err print_text(struct buffer *buffer, struct bytes text)
{
	return cel_print_value(buffer,
		(struct cel_value){
			.type = CEL_STRING, .size = (uint32_t)text.size, .as.text = text.data});
}

/* doc["a"]["b"] of a.b */
static enum err print_field(struct buffer *buffer, struct bytes path)
{
	if (bytes_equal(path, bytes_of("_id"))) {
		return buffer_append_text(buffer, "_id");
	}
	enum err err = buffer_append_text(buffer, "doc");
	struct bytes part = {path.data, 0};
	for (size_t i = 0; err == OK && i <= path.size; i++) {
		if (i < path.size && path.data[i] != '.') {
			part.size++;
			continue;
		}
		err = buffer_append_text(buffer, "[");
		err = err == OK ? print_text(buffer, part) : err;
		err = err == OK ? buffer_append_text(buffer, "]") : err;
		part = (struct bytes){path.data + i + 1, 0};
	}
	return err;
}

static enum err print_filter(struct buffer *buffer, const struct model_filter *filter)
{
	struct cel_value value = cel_of_document(filter->value);
	bool is_contains = bytes_equal(filter->op, bytes_of("contains"));
	enum err err = buffer_append_text(buffer, "(");
	if (err == OK) {
		err = is_contains ? cel_print_value(buffer, value)
				  : print_field(buffer, filter->field);
	}
	if (err == OK) {
		err = is_contains ? buffer_append_text(buffer, " in ")
				  : buffer_printf(buffer, " %.*s ", BYTES_FORMAT(filter->op));
	}
	if (err == OK) {
		err = is_contains ? print_field(buffer, filter->field)
				  : cel_print_value(buffer, value);
	}
	return err == OK ? buffer_append_text(buffer, ")") : err;
}

static enum err print_subscription(
	struct buffer *buffer, const struct model_subscription *subscription)
{
	enum err err = buffer_append_text(buffer, "true");
	for (size_t i = 0; err == OK && i < subscription->filters_count; i++) {
		err = buffer_append_text(buffer, " && ");
		err = err == OK ? print_filter(buffer, &subscription->filters[i]) : err;
	}
	if (err == OK && subscription->expression.size > 0) {
		err = buffer_append_text(buffer, " && (");
		/* a line's end, as the expression may end in a comment */
		err = err == OK ? buffer_append(buffer, subscription->expression) : err;
		err = err == OK ? buffer_append_text(buffer, "\n)") : err;
	}
	return err;
}

/* ---- programs -------------------------------------------------------------------------------- */

/* NULL in *ret_program: as one expression it is refused. */
static enum err compile(
	struct matching_oracle *oracle, struct bytes text, struct cel_program **ret_program)
{
	struct cel_variable variables[MATCH_NAMES_MAX];
	const struct match_name *name = NULL;
	size_t count = 0;
	for (; (name = match_name_at(count)) != NULL; count++) {
		variables[count] =
			(struct cel_variable){bytes_of(name->name), (enum cel_type)name->type};
	}
	const struct cel_scope scope = {
		.variables = variables, .variables_count = count, .has_document = true};
	struct cel_problem problem;
	struct cel_expression *expression = NULL;
	arena_reset(&oracle->scratch);
	enum err err = cel_parse(&oracle->scratch, text, &limits, &problem, &expression);
	if (err == OK) {
		err = cel_check(&oracle->scratch, expression, &scope, &limits, &problem);
	}
	if (err == OK) {
		err = cel_compile(expression, oracle->regexes, &limits, ret_program);
	}
	return err == ERR_MEMORY ? err : OK;
}

static bool reads_alike(const struct rule *a, const struct rule *b)
{
	return a->hash == b->hash && bytes_equal(a->text, b->text) &&
		bytes_equal(a->database, b->database) && bytes_equal(a->collection, b->collection);
}

/* Where the rule that reads like it stands, or is to stand. */
static struct rule **place_of(const struct matching_oracle *oracle, const struct rule *key)
{
	size_t place = key->hash & (oracle->table_size - 1);
	while (oracle->table[place] && !reads_alike(oracle->table[place], key)) {
		place = (place + 1) & (oracle->table_size - 1);
	}
	return &oracle->table[place];
}

static enum err make_rule(struct matching_oracle *oracle, const struct rule *key,
	const struct model_subscription *subscription, struct rule **place)
{
	struct match_refusal refusal = {0};
	struct rule *rule = arena_alloc(&oracle->arena, sizeof(*rule));
	if (!rule) {
		return ERR_MEMORY;
	}
	*rule = (struct rule){.hash = key->hash,
		.database = arena_copy(&oracle->arena, key->database),
		.collection = arena_copy(&oracle->arena, key->collection),
		.text = arena_copy(&oracle->arena, key->text)};
	if (!rule->database.data || !rule->collection.data || !rule->text.data) {
		return ERR_MEMORY;
	}
	*place = rule;
	oracle->all[oracle->rules_count++] = rule;
	enum err err = compile(oracle, rule->text, &rule->program);
	return err == OK ? match_query_get(oracle->match, subscription, &refusal, &rule->query)
			 : err;
}

static enum err add_subscription(
	struct matching_oracle *oracle, const struct model_subscription *subscription)
{
	oracle->text.size = 0;
	enum err err = print_subscription(&oracle->text, subscription);
	if (err != OK) {
		return err;
	}
	struct rule key = {.database = subscription->database,
		.collection = subscription->collection,
		.text = buffer_bytes(&oracle->text)};
	key.hash = bytes_hash(key.text, bytes_hash(key.collection, bytes_hash(key.database, 1)));
	struct rule **place = place_of(oracle, &key);
	if (!*place) {
		err = make_rule(oracle, &key, subscription, place);
	}
	struct watcher *watcher = &oracle->each[oracle->watchers_count];
	*watcher = (struct watcher){
		.id = arena_copy(&oracle->arena, subscription->id), .rule = *place};
	if (err != OK || !watcher->id.data) {
		return err != OK ? err : ERR_MEMORY;
	}
	oracle->watchers_count++;
	return OK;
}

static int by_id(const void *a, const void *b)
{
	return bytes_compare(((const struct watcher *)a)->id, ((const struct watcher *)b)->id);
}

/* ---- life ------------------------------------------------------------------------------------ */

enum err matching_oracle_open(const struct matching_source *source, uint64_t seed,
	struct err_info *info, struct matching_oracle **ret_oracle)
{
	struct matching_oracle *oracle = mem_calloc(1, sizeof(*oracle));
	if (!oracle) {
		return ERR_MEMORY;
	}
	size_t count = source->subscriptions;
	oracle->table_size = 1;
	while (oracle->table_size < 2 * count) {
		oracle->table_size *= 2;
	}
	oracle->table = mem_calloc(oracle->table_size, sizeof(struct rule *));
	oracle->all = mem_calloc(count, sizeof(struct rule *));
	oracle->each = mem_calloc(count, sizeof(*oracle->each));
	enum err err = oracle->table && oracle->all && oracle->each ? OK : ERR_MEMORY;
	if (err == OK) {
		err = cel_regexes_new(limits.regex_bytes, &oracle->regexes);
	}
	if (err == OK) {
		err = match_new(&matching_match_limits, seed, NULL, NULL, &oracle->match);
	}
	for (uint64_t i = 0; err == OK && i < count; i++) {
		struct model_subscription subscription;
		err = source->subscription(source->ctx, i, info, &subscription);
		err = err == OK ? add_subscription(oracle, &subscription) : err;
	}
	if (err != OK) {
		matching_oracle_free(oracle);
		return err;
	}
	qsort(oracle->each, count, sizeof(*oracle->each), by_id);
	*ret_oracle = oracle;
	return OK;
}

void matching_oracle_free(struct matching_oracle *oracle)
{
	if (!oracle) {
		return;
	}
	for (size_t i = 0; i < oracle->rules_count; i++) {
		cel_program_unref(oracle->all[i]->program);
	}
	match_free(oracle->match);
	cel_regexes_free(oracle->regexes);
	buffer_fini(&oracle->text);
	arena_fini(&oracle->scratch);
	arena_fini(&oracle->arena);
	mem_free(oracle->table);
	mem_free(oracle->all);
	mem_free(oracle->each);
	mem_free(oracle);
}

void matching_oracle_counts(
	const struct matching_oracle *oracle, uint64_t *ret_compared, uint64_t *ret_different)
{
	*ret_compared = oracle->compared;
	*ret_different = oracle->different;
}

/* ---- evaluating ------------------------------------------------------------------------------ */

static struct cel_value slot_of_text(struct bytes text)
{
	return (struct cel_value){
		.type = CEL_STRING, .size = (uint32_t)text.size, .as.text = text.data};
}

/* In the order of match_name_at. */
static void fill_slots(const struct event *event, struct cel_value slots[MATCH_NAMES_MAX])
{
	int64_t seconds = event->change.timestamp_ms / 1000;
	int64_t rest_ms = event->change.timestamp_ms % 1000;
	slots[0] = cel_of_document(event->document);
	slots[1] = slot_of_text(event->document_id);
	slots[2] = slot_of_text(event->change.event_id);
	slots[3] = slot_of_text(bytes_of(model_operation_name(event->operation)));
	slots[4] = (struct cel_value){
		.type = CEL_TIMESTAMP, .size = (uint32_t)rest_ms * 1000000, .as.integer = seconds};
	slots[5] = slot_of_text(event->collection);
	slots[6] = slot_of_text(event->change.database);
}

/* Whether programs can be run on it; times before 1970 are left to match_query_holds. */
static bool is_plain(const struct event *event)
{
	return event->document && !event->id_is_unknown && !event->is_purge && !event->is_refused &&
		event->change.timestamp_ms >= 0;
}

static bool program_holds(struct matching_oracle *oracle, const struct cel_program *program,
	const struct cel_value *slots)
{
	struct cel_run run = {.arena = &oracle->scratch,
		.slots = slots,
		.steps = limits.steps,
		.memory_bytes = limits.memory_bytes};
	struct cel_value value = cel_run_program(program, &run);
	arena_reset(&oracle->scratch);
	return value.type == CEL_BOOL && value.as.boolean;
}

static void evaluate_all(struct matching_oracle *oracle, const struct event *event)
{
	struct cel_value slots[MATCH_NAMES_MAX];
	bool has_slots = is_plain(event);
	if (has_slots) {
		fill_slots(event, slots);
	}
	for (size_t i = 0; i < oracle->rules_count; i++) {
		struct rule *rule = oracle->all[i];
		bool is_meant = event->operation != MODEL_NO_OPERATION &&
			bytes_equal(rule->database, event->change.database) &&
			bytes_equal(rule->collection, event->collection);
		if (is_meant && has_slots && rule->program) {
			rule->holds = program_holds(oracle, rule->program, slots);
		} else {
			rule->holds =
				is_meant && match_query_holds(oracle->match, rule->query, event);
		}
	}
}

/* Whatever has been skipped of the document. */
static enum err evaluate_whole(struct matching_oracle *oracle, const struct event *event)
{
	if (event->skipped == 0) {
		evaluate_all(oracle, event);
		return OK;
	}
	struct event *whole = NULL;
	enum err err = wire_event_read(event, MATCHING_JSON_DEPTH_MAX, &whole);
	if (err == OK) {
		evaluate_all(oracle, whole);
		event_unref(whole);
	}
	return err;
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* On one line, and nothing in it speaks to a terminal. */
static void put_plain(FILE *to, struct bytes text)
{
	for (size_t i = 0; i < text.size; i++) {
		unsigned char byte = (unsigned char)text.data[i];
		(void)fputc(byte < 0x20 || byte == 0x7F ? ' ' : byte, to);
	}
}

static void tell(struct matching_oracle *oracle, const struct event *event, struct bytes id,
	const struct rule *rule, const char *what)
{
	FILE *to = oracle->complain;
	oracle->different++;
	if (oracle->different > TOLD_MAX) {
		return;
	}
	(void)fputs("difference: event ", to);
	put_plain(to, event->change.event_id);
	(void)fputs(", subscription ", to);
	put_plain(to, id);
	(void)fprintf(to, ": %s", what);
	if (rule) {
		(void)fputs(": ", to);
		put_plain(to, rule->text);
	}
	(void)fputc('\n', to);
}

static void take_id(struct matching_oracle *oracle, const struct event *event, struct bytes id)
{
	const struct watcher wanted = {.id = id};
	struct watcher *watcher =
		bsearch(&wanted, oracle->each, oracle->watchers_count, sizeof(wanted), by_id);
	if (!watcher) {
		tell(oracle, event, id, NULL, "was listed, and there is no such subscription");
	} else if (watcher->seen == oracle->events) {
		tell(oracle, event, id, watcher->rule, "was listed twice");
	} else {
		watcher->seen = oracle->events;
	}
}

static void compare_event(struct matching_oracle *oracle, const struct event *event)
{
	for (size_t i = 0; i < oracle->watchers_count; i++) {
		const struct watcher *watcher = &oracle->each[i];
		bool is_listed = watcher->seen == oracle->events;
		if (is_listed != watcher->rule->holds) {
			tell(oracle, event, watcher->id, watcher->rule,
				is_listed ? "was listed, and does not hold"
					  : "holds, and was not listed");
		}
	}
	oracle->compared += oracle->watchers_count;
}

enum err matching_oracle_compare(struct matching_oracle *oracle, struct event *const *events,
	size_t count, const struct matching_engine *engine, FILE *complain)
{
	size_t at = 0;
	oracle->complain = complain;
	for (size_t i = 0; i < count; i++) {
		oracle->events++;
		enum err err = evaluate_whole(oracle, events[i]);
		if (err != OK) {
			return err;
		}
		for (; at < engine->listed_count && engine->listed[at].event == i; at++) {
			struct bytes run = subs_run_ids(&engine->listed[at].run);
			struct bytes id;
			while (wire_id_next(&run, &id)) {
				take_id(oracle, events[i], id);
			}
		}
		compare_event(oracle, events[i]);
	}
	return at == engine->listed_count ? OK : ERR_INTERNAL;
}
