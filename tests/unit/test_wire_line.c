/* wire: changes as lines of JSON, through wire.h. */
#include "wire.h"

#include "failing.h"
#include "proto.h"
#include "random.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#define assert_bytes(actual, expected) assert_true(bytes_equal((actual), (expected)))
#define assert_text(actual, expected) assert_bytes((actual), bytes_of(expected))

#define NOW 1234

/* The line's memory is gone before the result is looked at. */
static enum err parse_bytes(struct bytes line, uint64_t ordinal, struct arena *arena,
	struct model_source_message *ret_message, struct err_info *info)
{
	char *copy = mem_alloc(line.size);
	if (!copy) {
		return ERR_MEMORY;
	}
	memcpy(copy, line.data, line.size);
	enum err err = wire_change_line_parse(
		(struct bytes){copy, line.size}, ordinal, NOW, arena, ret_message, info);
	memset(copy, 0xff, line.size);
	mem_free(copy);
	return err;
}

static struct model_source_message parse(const char *line, uint64_t ordinal, struct arena *arena)
{
	struct model_source_message message;
	struct err_info info = {0};
	assert_int_equal(parse_bytes(bytes_of(line), ordinal, arena, &message, &info), OK);
	assert_int_equal(info.code, OK);
	return message;
}

/* ---- the long form --------------------------------------------------------------------------- */

static void test_long_form(void **state)
{
	(void)state;
	struct arena arena = {0};
	const char *line =
		" {\"event_id\":\"1767225600-1-ab\",\"database\":\"d\\u00e9\",\"mgo_coll\":"
		"\"documents\",\"mgo_doc_id\":\"d:00\",\"op_type\":\"replace\","
		"\"full_doc\": {\"a\" : [1, 9007199254740993], \"b\":\"\\u2028\"} ,"
		"\"update_desc\":{\"removedFields\":[]},"
		"\"cluster_time\":{\"t\":4294967295,\"i\":1},\"timestamp\":-5,"
		"\"txn_number\":9223372036854775807,\"backend\":\"mongo\",\"progress\":\"mark\"}\r";
	struct model_source_message message = parse(line, 7, &arena);
	const struct model_change *change = &message.change;
	assert_true(message.has_change);
	assert_text(message.marker, "mark");
	assert_text(change->event_id, "1767225600-1-ab");
	assert_text(change->database, "d\xc3\xa9");
	assert_text(change->store_collection, "documents");
	assert_text(change->store_id, "d:00");
	assert_int_equal(change->kind, MODEL_CHANGE_REPLACE);
	assert_text(change->full_document, "{\"a\" : [1, 9007199254740993], \"b\":\"\\u2028\"}");
	assert_text(change->update, "{\"removedFields\":[]}");
	assert_int_equal(change->cluster_seconds, UINT32_MAX);
	assert_int_equal(change->cluster_increment, 1);
	assert_true(change->timestamp_ms == -5);
	assert_true(change->transaction == INT64_MAX);
	assert_text(change->backend, "mongo");
	arena_fini(&arena);
}

/* Nothing is made up in it; null is as good as missing; of repeated names the last one counts. */
static void test_long_form_with_little(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct model_source_message message = parse(
		"{\"op_type\":\"delete\",\"full_doc\":null,\"event_id\":null,"
		"\"update_desc\":null,\"cluster_time\":{},\"timestamp\":null,"
		"\"progress\":\"a\",\"\\u0070rogress\":\"b\",\"backend\":\"x\",\"backend\":null}",
		7, &arena);
	assert_true(message.has_change);
	assert_text(message.marker, "b");
	assert_int_equal(message.change.kind, MODEL_CHANGE_DELETE);
	struct model_change empty = {.kind = MODEL_CHANGE_DELETE};
	assert_memory_equal(&message.change, &empty, sizeof(empty));
	arena_fini(&arena);
}

/* ---- the short form -------------------------------------------------------------------------- */

static void assert_document(
	const struct model_change *change, uint64_t version, const char *data, bool is_deleted)
{
	struct arena arena = {0};
	const struct value *document;
	const struct value *expected;
	assert_int_equal(json_parse(change->full_document, 100, &arena, &document, NULL), OK);
	assert_int_equal(json_parse(bytes_of(data), 100, &arena, &expected, NULL), OK);
	assert_true(value_equal(value_member(document, bytes_of("data")), expected));
	assert_bytes(value_text(value_member(document, bytes_of("id"))), change->store_id);
	assert_bytes(value_text(value_member(document, bytes_of("database"))), change->database);
	assert_int_equal(value_member(document, bytes_of("version"))->as.integer, version);
	assert_int_equal(value_member(document, bytes_of("updatedAt"))->as.integer, NOW);
	assert_int_equal(value_member(document, bytes_of("createdAt"))->as.integer, NOW);
	assert_int_equal(value_member(document, bytes_of("collectionHash"))->size, 32);
	const struct value *deleted = value_member(document, bytes_of("deleted"));
	assert_true(is_deleted ? deleted && deleted->as.boolean : !deleted);
	arena_fini(&arena);
}

static void test_short_form(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct model_source_message message =
		parse("{\"op\":\"insert\",\"database\":\"db\",\"collection\":\"us\\\"ers\","
		      "\"id\":\"u\\n1\",\"data\":{\"name\":\"Zo\xc3\xab\",\"n\":9007199254740993}}",
			3, &arena);
	const struct model_change *change = &message.change;
	assert_true(message.has_change);
	assert_int_equal(message.marker.size, 0);
	assert_int_equal(change->kind, MODEL_CHANGE_INSERT);
	assert_text(change->database, "db");
	assert_text(change->store_collection, "documents");
	assert_int_equal(change->cluster_seconds, 1767225600);
	assert_int_equal(change->cluster_increment, 3);
	assert_true(change->timestamp_ms == NOW);
	assert_int_equal(change->update.size, 0);
	assert_int_equal(change->backend.size, 0);
	/* db:<32 hex>, <T>-<I>-<16 hex> */
	assert_int_equal(change->store_id.size, 3 + 32);
	assert_memory_equal(change->store_id.data, "db:", 3);
	struct bytes database;
	struct event_identity identity;
	assert_true(event_identity_parse(change->store_id, &database, &identity));
	assert_memory_not_equal(change->store_id.data + 3, change->store_id.data + 19, 16);
	assert_int_equal(change->event_id.size, 13 + 16);
	assert_memory_equal(change->event_id.data, "1767225600-3-", 13);
	assert_document(change, 1,
		"{\"name\":\"Zo\xc3\xab\",\"n\":9007199254740993,\"id\":\"u\\n1\"}", false);
	struct wire_document_head head;
	assert_int_equal(wire_document_head_scan(change->full_document, &arena, &head), OK);
	assert_text(head.collection, "us\"ers");
	arena_fini(&arena);
}

/* The four operations, and what they become. */
static void test_short_operations(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		enum model_change_kind kind;
		uint64_t version;
		const char *data;
		bool is_deleted;
	} lines[] = {
		{"{\"op\":\"insert\",\"collection\":\"c\",\"id\":\"i\"}", MODEL_CHANGE_INSERT, 1,
			"{\"id\":\"i\"}", false},
		{"{\"op\":\"replace\",\"collection\":\"c\",\"id\":\"i\",\"data\":null}",
			MODEL_CHANGE_REPLACE, 1, "{\"id\":\"i\"}", false},
		{"{\"op\":\"update\",\"collection\":\"c\",\"id\":\"i\",\"data\":{\"a\":1}}",
			MODEL_CHANGE_UPDATE, 8, "{\"id\":\"i\",\"a\":1}", false},
		{"{\"op\":\"delete\",\"collection\":\"c\",\"id\":\"i\"}", MODEL_CHANGE_UPDATE, 8,
			"{}", true},
		{"{\"op\":\"delete\",\"collection\":\"c\",\"id\":\"i\",\"data\":{\"a\":1}}",
			MODEL_CHANGE_UPDATE, 8, "{}", true},
		/* The id may stand in the data alone, and overrides the one there. */
		{"{\"op\":\"update\",\"collection\":\"c\",\"data\":{\"\\u0069d\":\"\\u0069\"}}",
			MODEL_CHANGE_UPDATE, 8, "{\"id\":\"i\"}", false},
		{"{\"op\":\"update\",\"collection\":\"c\",\"id\":\"i\",\"data\":{\"id\":5,"
		 "\"a\":1,\"\\u0069d\":\"x\"}}",
			MODEL_CHANGE_UPDATE, 8, "{\"id\":\"i\",\"a\":1}", false},
	};
	struct arena arena = {0};
	struct bytes store_id = {NULL, 0};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct model_source_message message = parse(lines[i].line, 7, &arena);
		assert_int_equal(message.change.kind, lines[i].kind);
		assert_text(message.change.database, "default");
		assert_document(
			&message.change, lines[i].version, lines[i].data, lines[i].is_deleted);
		/* A document is the same document in each of them. */
		store_id = store_id.data ? store_id : message.change.store_id;
		assert_bytes(message.change.store_id, store_id);
	}
	arena_fini(&arena);
}

/* Ids differ where documents differ, times go up with the line's number. */
static void test_short_identity(void **state)
{
	(void)state;
	static const char *const lines[] = {
		"{\"op\":\"insert\",\"collection\":\"a\",\"id\":\"bc\"}",
		"{\"op\":\"insert\",\"collection\":\"ab\",\"id\":\"c\"}",
		"{\"op\":\"insert\",\"collection\":\"bc\",\"id\":\"a\"}",
		"{\"op\":\"insert\",\"database\":\"\",\"collection\":\"a\",\"id\":\"bc\"}",
		"{\"op\":\"insert\",\"database\":\"\\\"\",\"collection\":\"a\",\"id\":\"\"}",
	};
	static const char *const data[] = {"{\"id\":\"bc\"}", "{\"id\":\"c\"}", "{\"id\":\"a\"}",
		"{\"id\":\"bc\"}", "{\"id\":\"\"}"};
	static const uint64_t ordinals[] = {1, 2, UINT32_MAX, UINT64_C(1) << 32, UINT64_C(5) << 32};
	struct arena arena = {0};
	struct model_change changes[5];
	for (size_t i = 0; i < 5; i++) {
		changes[i] = parse(lines[i], 1, &arena).change;
		assert_document(&changes[i], 1, data[i], false);
		for (size_t j = 0; j < i; j++) {
			assert_false(bytes_equal(changes[i].store_id, changes[j].store_id));
			assert_false(bytes_equal(changes[i].event_id, changes[j].event_id));
		}
	}
	uint64_t newest = 0;
	for (size_t i = 0; i < 5; i++) {
		struct model_change change = parse(lines[0], ordinals[i], &arena).change;
		uint64_t time = (uint64_t)change.cluster_seconds << 32 | change.cluster_increment;
		assert_true(time > newest);
		newest = time;
		/* The same line is the same change on every day. */
		assert_bytes(parse(lines[0], ordinals[i], &arena).change.event_id, change.event_id);
	}
	arena_fini(&arena);
}

/* An insert without an id gets one, another one on each line. */
static void test_short_without_id(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct bytes ids[2];
	for (uint64_t i = 0; i < 2; i++) {
		struct model_change change =
			parse("{\"op\":\"insert\",\"collection\":\"c\",\"data\":{\"a\":1}}", i + 1,
				&arena)
				.change;
		const struct value *document;
		assert_int_equal(
			json_parse(change.full_document, 100, &arena, &document, NULL), OK);
		const struct value *data = value_member(document, bytes_of("data"));
		ids[i] = value_text(value_member(data, bytes_of("id")));
		assert_int_equal(ids[i].size, MODEL_UUID_SIZE - 1);
		assert_int_equal(value_member(data, bytes_of("a"))->as.integer, 1);
	}
	assert_false(bytes_equal(ids[0], ids[1]));
	arena_fini(&arena);
}

static void test_heartbeat(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct model_source_message message = parse("{\"progress\":\"m\"}", 1, &arena);
	assert_false(message.has_change);
	assert_text(message.marker, "m");
	message = parse(" { \"op\":null, \"progress\" : \"\" } ", 1, &arena);
	assert_false(message.has_change);
	assert_int_equal(message.marker.size, 0);
	message = parse("{\"progress\":\"m\",\"op\":\"insert\",\"collection\":\"c\"}", 1, &arena);
	assert_true(message.has_change);
	assert_text(message.marker, "m");
	arena_fini(&arena);
}

/* ---- mistakes -------------------------------------------------------------------------------- */

static const struct {
	const char *line;
	uint32_t position;
	const char *said; /* part of what is said */
} mistakes[] = {
	{"", 0, "expected a value, found the end of the text"},
	{"  ", 2, "at byte 2: expected a value"},
	{"[1]", 0, "expected an object, found list"},
	{"\"op\"", 0, "expected an object, found string"},
	{"{}", 0, "\"op\" is missing, expected insert, update, replace or delete"},
	{"{\"progress\":null}", 0, "\"op\" is missing"},
	{"{\"op\":null,\"collection\":\"c\"}", 0, "\"op\" is missing"},
	{"{\"op_type\":null,\"full_doc\":{}}", 0, "\"op_type\" is missing"},
	{"{\"id\":\"x\"}", 0, "\"op\" is missing"},
	{"{\"op\":\"insert\",", 15, "at byte 15: expected a member's name"},
	{"{\"op\":\"insert\"} x", 16, "at byte 16: expected the end of the text"},
	{"{\"op\":\"insert\",\"data\":{\"n\":1e999}}", 27, "at byte 27"},
	{"{\"op\":\"insert\",\"id\":\"\xff\"}", 21, "at byte 21: expected UTF-8"},
	{"{\"op\":\"upsert\",\"collection\":\"c\"}", 6,
		"at byte 6: expected op to be insert, update, replace or delete, found "
		"\"upsert\""},
	{"{\"op_type\":\"\"}", 11, "expected op_type to be insert"},
	{"{\"op\":\"update\"}", 0, "\"collection\" is missing"},
	{"{\"op\":\"update\",\"collection\":\"\"}", 0, "\"collection\" is missing"},
	{"{\"op\":\"update\",\"collection\":\"c\"}", 0, "\"id\" is missing"},
	{"{\"op\":\"insert\",\"collection\":\"c\",\"data\":{\"id\":5}}", 0,
		"\"id\" is missing, expected the document's id, a string"},
	{"{\"op\":\"insert\",\"collection\":\"c\",\"id\":5}", 37,
		"at byte 37: expected id to be of kind string, found int"},
	{"{\"op\":\"insert\",\"collection\":\"c\",\"data\":[]}", 39,
		"expected data to be of kind object, found list"},
	{"{\"opp\":\"insert\",\"collection\":\"c\"}", 1,
		"at byte 1: unknown member \"opp\", expected one of op collection id data"},
	{"{ \"op\":\"insert\",\"full_doc\":{}}", 16,
		"at byte 16: unknown member \"full_doc\", expected one of op collection id "
		"data database progress"},
	{"{\"op_type\":\"insert\",\"data\":{}}", 20,
		"unknown member \"data\", expected one of database progress op_type"},
	{"{\"op_type\":\"insert\",\"full_doc\":\"{}\"}", 31,
		"expected full_doc to be of kind object, found string"},
	{"{\"op_type\":\"insert\",\"timestamp\":5.5}", 32,
		"expected timestamp to be of kind int, found double"},
	{"{\"op_type\":\"insert\",\"txn_number\":18446744073709551615}", 33,
		"expected txn_number to be of kind int, found uint"},
	{"{\"op_type\":\"insert\",\"cluster_time\":{\"t\":-1}}", 35,
		"at byte 35: expected cluster_time to be {\"t\":1,\"i\":1}"},
	{"{\"op_type\":\"insert\",\"cluster_time\":{\"i\":4294967296}}", 35, "cluster_time"},
	{"{\"op_type\":\"insert\",\"cluster_time\":{\"t\":\"1\"}}", 35, "cluster_time"},
	{"{\"op_type\":\"insert\",\"cluster_time\":{\"x\":1}}", 35, "cluster_time"},
	{"{\"op_type\":\"insert\",\"cluster_time\":5}", 35, "cluster_time"},
};

static void test_mistakes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		struct arena arena = {0};
		struct model_source_message message;
		struct err_info info = {0};
		memset(&message, 0x5a, sizeof(message));
		struct model_source_message before = message;
		assert_int_equal(
			parse_bytes(bytes_of(mistakes[i].line), 1, &arena, &message, &info),
			ERR_CORRUPT);
		assert_int_equal(info.code, ERR_CORRUPT);
		assert_int_equal(info.position, mistakes[i].position);
		assert_non_null(strstr(info.text, mistakes[i].said));
		assert_memory_equal(&message, &before, sizeof(before));
		/* Nobody has to ask why. */
		assert_int_equal(parse_bytes(bytes_of(mistakes[i].line), 1, &arena, &message, NULL),
			ERR_CORRUPT);
		arena_fini(&arena);
	}
}

/* What somebody wrote is said back to them in part, up to a whole character; the text fits. */
static void test_long_mistakes(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct model_source_message message;
	struct err_info info = {0};
	struct buffer line = {0};
	proto_raw(&line, bytes_of("{\""));
	for (size_t i = 0; i < 1000; i++) {
		proto_raw(&line, bytes_of("x\xc3\xa9"));
	}
	proto_raw(&line, bytes_of("\":1}"));
	assert_int_equal(parse_bytes(buffer_bytes(&line), 1, &arena, &message, &info), ERR_CORRUPT);
	assert_true(bytes_are_utf8(bytes_of(info.text)));
	assert_true(strlen(info.text) < sizeof(info.text) - 1);
	assert_string_equal(info.text + strlen(info.text) - strlen(" backend"), " backend");
	buffer_fini(&line);
	arena_fini(&arena);
}

/* A document may be as deep as any option allows, a line not without end. */
static void test_depth(void **state)
{
	(void)state;
	for (size_t depth = 10000; depth <= 100000; depth += 90000) {
		struct arena arena = {0};
		struct model_source_message message;
		struct err_info info = {0};
		struct buffer line = {0};
		proto_raw(&line,
			bytes_of("{\"op\":\"insert\",\"collection\":\"c\",\"data\":{\"a\":"));
		for (size_t i = 0; i < depth; i++) {
			proto_raw(&line, bytes_of("["));
		}
		for (size_t i = 0; i < depth; i++) {
			proto_raw(&line, bytes_of("]"));
		}
		proto_raw(&line, bytes_of("}}"));
		assert_int_equal(parse_bytes(buffer_bytes(&line), 1, &arena, &message, &info),
			depth == 10000 ? OK : ERR_LIMIT);
		assert_int_equal(info.code, depth == 10000 ? OK : ERR_LIMIT);
		buffer_fini(&line);
		arena_fini(&arena);
	}
}

/* ---- lack of memory, random lines ------------------------------------------------------------ */

static const char *const samples[] = {
	"{\"op\":\"insert\",\"database\":\"d\\u00e9\",\"collection\":\"c\\\"\",\"id\":\"\\u0069\","
	"\"data\":{\"a\":[1,2.5,{\"b\":null}],\"id\":\"x\"}}",
	"{\"op\":\"delete\",\"collection\":\"c\",\"data\":{\"id\":\"\\u0069\"}}",
	"{\"op\":\"insert\",\"collection\":\"c\",\"progress\":\"m\"}",
	"{\"op_type\":\"update\",\"event_id\":\"1-2-a\",\"database\":\"d\",\"full_doc\":{\"a\":{}},"
	"\"cluster_time\":{\"t\":1,\"i\":2},\"timestamp\":5,\"update_desc\":{},\"progress\":\"m\"}",
	"{\"progress\":\"m\"}",
};
#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

static void test_lines_without_memory(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		bool failed = true;
		for (size_t fail_at = 0; failed; fail_at++) {
			struct arena arena = {0};
			struct model_source_message message;
			struct err_info info = {0};
			struct failing failing;
			failing_start(&failing, fail_at);
			enum err err =
				parse_bytes(bytes_of(samples[i]), 1, &arena, &message, &info);
			arena_fini(&arena);
			failed = failing_stop(&failing);
			assert_int_equal(err, failed ? ERR_MEMORY : OK);
			assert_int_equal(failing.live, 0);
		}
	}
}

/* What is taken is whole: names are UTF-8 and documents are JSON. */
static void check_message(const struct model_source_message *message)
{
	struct arena arena = {0};
	const struct value *document;
	const struct model_change *change = &message->change;
	assert_true(bytes_are_utf8(message->marker));
	assert_true(bytes_are_utf8(change->event_id));
	assert_true(bytes_are_utf8(change->database));
	assert_true(bytes_are_utf8(change->store_id));
	if (message->has_change) {
		assert_int_not_equal(change->kind, MODEL_CHANGE_UNKNOWN);
	}
	if (change->full_document.size > 0) {
		assert_int_equal(
			json_parse(change->full_document, 100, &arena, &document, NULL), OK);
		assert_int_equal(document->kind, VALUE_OBJECT);
	}
	arena_fini(&arena);
}

static void test_random_lines(void **state)
{
	(void)state;
	static const char letters[] = "{}[]\":,\\ued019.-+Eaxtnl \xc3\xa9\xff";
	struct test_random random = test_random_start("test_random_lines");
	size_t taken = 0;
	for (unsigned round = 0; round < 50000; round++) {
		struct arena arena = {0};
		struct model_source_message message;
		struct err_info info = {0};
		struct buffer line = {0};
		proto_raw(&line, bytes_of(samples[round % SAMPLES]));
		for (uint64_t i = test_random_below(&random, 4); i > 0; i--) {
			size_t at = test_random_below(&random, line.size);
			line.data[at] = letters[test_random_below(&random, sizeof(letters))];
			line.size -= test_random_below(&random, 30) == 0;
		}
		enum err err = parse_bytes(buffer_bytes(&line), 1, &arena, &message, &info);
		assert_true(err == OK || err == ERR_CORRUPT);
		if (err == OK) {
			taken++;
			check_message(&message);
		} else {
			assert_int_equal(info.code, err);
			assert_true(info.text[0] != '\0' && info.position <= line.size);
		}
		buffer_fini(&line);
		arena_fini(&arena);
	}
	assert_true(taken > 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_form),
		cmocka_unit_test(test_long_form_with_little),
		cmocka_unit_test(test_short_form),
		cmocka_unit_test(test_short_operations),
		cmocka_unit_test(test_short_identity),
		cmocka_unit_test(test_short_without_id),
		cmocka_unit_test(test_heartbeat),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_long_mistakes),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_lines_without_memory),
		cmocka_unit_test(test_random_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
