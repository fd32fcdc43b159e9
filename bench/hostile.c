#include "hostile.h"
#include "event.h"
#include "match.h"
#include "measure.h"
#include "value.h"

#include <stdio.h>
#include <string.h>

#define LARGE ((size_t)1 << 20)
#define RUN_BYTES ((size_t)8 << 20) /* of one measure, about */
#define SEED 1

/* One piece of a document's members or of its list; `number` counts from 0. */
typedef enum err (*piece_fn)(struct buffer *text, unsigned number);

struct document {
	const char *name;
	const char *begin, *end;
	piece_fn piece;
	size_t bytes;    /* pieces are added up to so many, */
	unsigned pieces; /* or this number of them */
};

static enum err plain_member(struct buffer *text, unsigned number)
{
	return buffer_printf(text, "\"field%u\":\"some text %u\"", number, number);
}

static enum err nested_lists(struct buffer *text, unsigned number)
{
	(void)number;
	return buffer_append_text(
		text, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
}

static enum err one_name(struct buffer *text, unsigned number)
{
	return buffer_printf(text, "\"tags\":%u", number % 10);
}

static enum err empty_object(struct buffer *text, unsigned number)
{
	(void)number;
	return buffer_append_text(text, "{}");
}

static enum err digit(struct buffer *text, unsigned number)
{
	return buffer_printf(text, "%u", number % 10);
}

/* Names that differ in the middle alone, so many that they still are compared with each other. */
static enum err alike_names(struct buffer *text, unsigned number)
{
	enum err err = buffer_append_text(text, "{");
	for (unsigned i = 0; err == OK && i < 128; i++) {
		err = buffer_printf(
			text, "%s\"same%03u%usame\":1", i > 0 ? "," : "", i, number % 10);
	}
	return err == OK ? buffer_append_text(text, "}") : err;
}

static enum err escapes(struct buffer *text, unsigned number)
{
	(void)number;
	return buffer_append_text(text, "\"\\u0041\\n\\u00e9\\\\\"");
}

static const struct document documents[] = {
	{"plain, 10 members", "{", "}", plain_member, LARGE, 10},
	{"plain, 100 members", "{", "}", plain_member, LARGE, 100},
	{"2,000 members", "{", "}", plain_member, LARGE, 2000},
	{"1 MB of members", "{", "}", plain_member, LARGE, UINT32_MAX},
	{"1 MB of one name again and again", "{", "}", one_name, LARGE, UINT32_MAX},
	{"1 MB of nested lists", "{\"tags\":[", "]}", nested_lists, LARGE, UINT32_MAX},
	{"1 MB of digits in a list", "{\"tags\":[", "]}", digit, LARGE, UINT32_MAX},
	{"1 MB of empty objects", "{\"tags\":[", "]}", empty_object, LARGE, UINT32_MAX},
	{"1 MB of objects of 128 names alike", "{\"tags\":[", "]}", alike_names, LARGE, UINT32_MAX},
	{"1 MB of escapes", "{\"tags\":[", "]}", escapes, LARGE, UINT32_MAX},
};
#define DOCUMENTS (sizeof(documents) / sizeof(documents[0]))

/* Each way in which a value is looked up, or evaluated wherever its field is. */
static const char *const expressions[] = {"field1 == 'some text 7'",
	"field2.startsWith('some text 7')", "'x' in tags", "3 in tags", "tags == [1]",
	"!(4 in tags)", "field3 > 'some' && field3 < 'somf'", "field4 != 'x'", "tags in [[1], [2]]",
	"has(doc.field5.a)", "field6 in ['a', 'b', 'c']", "field7 == 'a' || field8 == 'b'",
	"doc.tags == {'a': 1}", "size(doc) == 7"};
#define EXPRESSIONS (sizeof(expressions) / sizeof(expressions[0]))

static const struct match_limits limits = {.source_bytes = 1000,
	.depth = 100,
	.nodes = 1000,
	.macros = 4,
	.literal = 1000,
	.regex_bytes = 65536,
	.memory_bytes = 1 << 20,
	.failures = UINT32_MAX,
	.residuals = UINT32_MAX,
	.subscription_bytes = SIZE_MAX,
	.cost = UINT64_MAX,
	.steps = 200000};

const char *hostile_name_at(size_t index)
{
	return index < DOCUMENTS ? documents[index].name : NULL;
}

static enum err make_text(const struct document *document, struct buffer *text)
{
	enum err err = buffer_append_text(text, document->begin);
	for (unsigned i = 0; err == OK && i < document->pieces && text->size < document->bytes;
		i++) {
		err = i > 0 ? buffer_append_text(text, ",") : OK;
		err = err == OK ? document->piece(text, i) : err;
	}
	return err == OK ? buffer_append_text(text, document->end) : err;
}

static enum err subscribe(struct match *match, struct err_info *info)
{
	for (size_t i = 0; i < EXPRESSIONS; i++) {
		const struct model_subscription subscription = {.database = bytes_of("d"),
			.collection = bytes_of("c"),
			.expression = bytes_of(expressions[i])};
		struct match_refusal refusal = {0};
		struct match_query *query = NULL;
		enum err err = match_query_get(match, &subscription, &refusal, &query);
		if (err != OK) {
			return err_set(info, err, 0, "%s: %s", expressions[i], refusal.text);
		}
	}
	return OK;
}

static enum err run_once(
	struct match *match, struct bytes text, struct err_info *info, struct hostile_result *sums)
{
	struct event *event = NULL;
	const struct match_hit *hits = NULL;
	size_t count = 0;
	enum err err = event_new(&event);
	if (err != OK) {
		return err;
	}
	event->operation = MODEL_INSERT;
	event->change.database = bytes_of("d");
	event->collection = bytes_of("c");
	event->document_id = bytes_of("u");
	event->is_read = true;
	int64_t start_ns = measure_now_ns();
	err = json_parse(text, 100, &event->arena, &event->document, info);
	int64_t read_ns = measure_now_ns();
	if (err == OK) {
		err = match_events(match, &event, 1, &hits, &count);
	}
	sums->read_ns += (double)(read_ns - start_ns);
	sums->match_ns += (double)(measure_now_ns() - read_ns);
	event_unref(event);
	return err;
}

enum err hostile_run(size_t index, struct err_info *info, struct hostile_result *ret_result)
{
	struct buffer text = {0};
	struct match *match = NULL;
	struct hostile_result sums = {0};
	struct err_info cause = {0};
	enum err err = make_text(&documents[index], &text);
	if (err == OK) {
		err = match_new(&limits, SEED, NULL, NULL, &match);
	}
	if (err == OK) {
		err = subscribe(match, &cause);
	}
	size_t runs = text.size > 0 ? RUN_BYTES / text.size + 1 : 0;
	for (size_t i = 0; err == OK && i < runs; i++) {
		err = run_once(match, buffer_bytes(&text), &cause, &sums);
	}
	if (err == OK) {
		double bytes = (double)text.size * (double)runs;
		*ret_result = (struct hostile_result){
			text.size, sums.read_ns / bytes, sums.match_ns / bytes};
	} else {
		(void)err_set(info, err, 0, "%s: %s", documents[index].name,
			cause.text[0] ? cause.text : err_text(err));
	}
	match_free(match);
	buffer_fini(&text);
	return err;
}
