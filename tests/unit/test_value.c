/* value: kinds, members, equality, order, hash, copies and tapes made by hand, through value.h. */
#include "value.h"

#include "failing.h"
#include "random.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct value *parse(struct arena *arena, const char *text)
{
	const struct value *value = NULL;
	struct err_info info;
	if (json_parse(bytes_of(text), 10000, arena, &value, &info) != OK) {
		fail_msg("%s: %s", text, info.text);
	}
	return value;
}

static bool equal_texts(const char *a, const char *b)
{
	struct arena arena = {0};
	const struct value *left = parse(&arena, a);
	const struct value *right = parse(&arena, b);
	bool equal = value_equal(left, right);
	assert_int_equal(value_equal(right, left), equal);
	assert_true(value_equal(left, left));
	assert_true(value_equal(right, right));
	for (uint64_t seed = 0; equal && seed < 3; seed++) {
		if (value_hash(left, seed) != value_hash(right, seed)) {
			fail_msg("%s and %s are equal, their hashes are not", a, b);
		}
	}
	if (!equal && value_hash(left, 1) == value_hash(right, 1)) {
		/* Only integers that round to one double may collide, see test_numbers_equal. */
		assert_true(value_is_number(left) && value_is_number(right));
	}
	arena_fini(&arena);
	return equal;
}

static void test_kinds(void **state)
{
	(void)state;
	struct value text = value_string((struct bytes){"abc", 2});
	assert_int_equal(text.kind, VALUE_STRING);
	assert_int_equal(value_text(&text).size, 2);
	struct value empty = value_string((struct bytes){NULL, 0});
	assert_int_equal(value_text(&empty).size, 0);
	assert_int_equal(value_int(-5).as.integer, -5);
	assert_true(value_bool(true).as.boolean);
	assert_string_equal(value_kind_name(VALUE_LIST), "list");
	assert_string_equal(value_kind_name(VALUE_NONE), "none");
	struct value number = value_int(1);
	assert_true(value_is_number(&number));
	assert_false(value_is_number(&text));
	assert_int_equal(sizeof(struct value), 16);
}

static void test_members(void **state)
{
	(void)state;
	struct arena arena = {0};
	const struct value *object = parse(
		&arena, "{\"a\":1,\"b\":[1,{\"c\":2},3],\"\":4,\"a\":{\"x\":[]},\"\\u0062b\":5}");
	assert_int_equal(object->size, 5);
	assert_int_equal(value_after(object) - object, object->as.span);
	assert_int_equal(value_member(object, bytes_of("a"))->kind, VALUE_OBJECT);
	assert_int_equal(value_member(object, bytes_of(""))->as.integer, 4);
	assert_int_equal(value_member(object, bytes_of("bb"))->as.integer, 5);
	assert_null(value_member(object, bytes_of("c")));
	const struct value *list = value_member(object, bytes_of("b"));
	assert_int_equal(list->size, 3);
	const struct value *item = value_after(value_after(list + 1));
	assert_int_equal(item->as.integer, 3);
	assert_ptr_equal(value_after(item), value_after(list));
	arena_fini(&arena);
}

static void test_numbers_equal(void **state)
{
	(void)state;
	assert_true(equal_texts("25", "25.0"));
	assert_true(equal_texts("25", "2.5e1"));
	assert_true(equal_texts("0", "-0.0"));
	assert_true(equal_texts("-0", "0.0"));
	assert_false(equal_texts("25", "25.5"));
	assert_false(equal_texts("9007199254740993", "9007199254740992"));
	assert_true(equal_texts("9007199254740993", "9007199254740992.0"));
	assert_true(equal_texts("9007199254740991", "9007199254740991.0"));
	assert_true(equal_texts("18446744073709551615", "18446744073709551616.0"));
	assert_true(equal_texts("9223372036854775807", "9223372036854775808.0"));
	assert_false(equal_texts("9223372036854775807", "9223372036854775808"));
	assert_false(equal_texts("18446744073709551615", "18446744073709551614"));
	assert_false(equal_texts("18446744073709551615", "-1"));
	assert_false(equal_texts("1", "\"1\""));
	assert_false(equal_texts("1", "true"));
	struct value five = value_int(5);
	struct value unsigned_five = {.kind = VALUE_UINT, .as.unsigned_integer = 5};
	assert_true(value_equal(&five, &unsigned_five));
	assert_true(value_hash(&five, 9) == value_hash(&unsigned_five, 9));
	struct value nan = {.kind = VALUE_DOUBLE, .as.real = NAN};
	assert_false(value_equal(&nan, &nan));
	struct value none = {0};
	assert_false(value_equal(&none, &none));
}

static void test_equal(void **state)
{
	(void)state;
	assert_true(equal_texts("null", " null "));
	assert_true(equal_texts("true", "true"));
	assert_false(equal_texts("true", "false"));
	assert_false(equal_texts("null", "false"));
	assert_true(equal_texts("\"a\\u0000b\"", "\"\\u0061\\u0000b\""));
	assert_false(equal_texts("\"a\\u0000b\"", "\"a\\u0000c\""));
	assert_true(equal_texts("[]", "[ ]"));
	assert_false(equal_texts("[]", "{}"));
	assert_true(equal_texts("[1,[2,\"x\"],{}]", "[1.0,[2.0,\"x\"],{}]"));
	assert_false(equal_texts("[1,2]", "[2,1]"));
	assert_false(equal_texts("[1,2]", "[1,2,3]"));
	assert_false(equal_texts("[[1],2]", "[[1,2]]"));
	assert_true(equal_texts("{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"a\":1}"));
	assert_false(equal_texts("{\"a\":1}", "{\"b\":1}"));
	assert_false(equal_texts("{\"a\":1}", "{\"a\":2}"));
	assert_false(equal_texts("{\"a\":1}", "{\"a\":1,\"b\":1}"));
	assert_false(equal_texts("{\"a\":1,\"b\":2}", "{\"a\":2,\"b\":1}"));
	/* Repeated names: the last one counts, for the number of names too. */
	assert_true(equal_texts("{\"a\":1,\"a\":2}", "{\"a\":2}"));
	assert_false(equal_texts("{\"a\":2,\"a\":1}", "{\"a\":2}"));
	assert_false(equal_texts("{\"a\":1,\"a\":1}", "{\"a\":1,\"b\":1}"));
	assert_true(
		equal_texts("{\"a\":{\"x\":[]},\"b\":0,\"a\":3}", "{\"b\":7,\"a\":3.0,\"b\":0}"));
}

static int order_of(const char *a, const char *b)
{
	struct arena arena = {0};
	const struct value *left = parse(&arena, a);
	const struct value *right = parse(&arena, b);
	int order = 77;
	int back = 77;
	enum err err = value_compare(left, right, &order);
	assert_int_equal(value_compare(right, left, &back), err);
	arena_fini(&arena);
	if (err != OK) {
		assert_int_equal(err, ERR_INVALID);
		assert_int_equal(order, 77);
		return 77;
	}
	assert_int_equal(order, -back);
	return order;
}

static void test_order(void **state)
{
	(void)state;
	assert_int_equal(order_of("1", "2"), -1);
	assert_int_equal(order_of("-1", "18446744073709551615"), -1);
	assert_int_equal(order_of("9223372036854775807", "9223372036854775808"), -1);
	assert_int_equal(order_of("-9223372036854775808", "-9223372036854775807"), -1);
	assert_int_equal(order_of("9007199254740993", "9007199254740992"), 1);
	assert_int_equal(order_of("9007199254740993", "9007199254740992.0"), 0);
	assert_int_equal(order_of("1", "1.5"), -1);
	assert_int_equal(order_of("-0.0", "0"), 0);
	assert_int_equal(order_of("1e308", "18446744073709551615"), 1);
	assert_int_equal(order_of("\"a\"", "\"b\""), -1);
	assert_int_equal(order_of("\"a\"", "\"\""), 1);
	assert_int_equal(order_of("\"Z\"", "\"\\u00e9\""), -1);
	assert_int_equal(order_of("\"ab\"", "\"ab\""), 0);
	assert_int_equal(order_of("false", "true"), -1);
	assert_int_equal(order_of("null", "null"), 77);
	assert_int_equal(order_of("[]", "[]"), 77);
	assert_int_equal(order_of("1", "\"1\""), 77);
	assert_int_equal(order_of("1", "true"), 77);
	int order = 0;
	struct value nan = {.kind = VALUE_DOUBLE, .as.real = NAN};
	struct value one = value_int(1);
	assert_int_equal(value_compare(&nan, &one, &order), ERR_INVALID);
	assert_int_equal(value_compare(&one, &nan, &order), ERR_INVALID);
}

static void test_copy(void **state)
{
	(void)state;
	static const char *const texts[] = {"null", "5", "\"\"", "\"text\"", "[]",
		"{\"a\":[1,2,{\"\":\"\\n\"}],\"b\":\"\\u00e9\",\"a\":null}"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char *text = strdup(texts[i]);
		assert_non_null(text);
		struct arena first = {0};
		struct arena second = {0};
		const struct value *copy = NULL;
		assert_int_equal(value_copy(&second, parse(&first, text), &copy), OK);
		free(text);
		arena_fini(&first);
		struct buffer buffer = {0};
		assert_int_equal(json_print(&buffer, copy), OK);
		assert_true(value_equal(copy, parse(&second, texts[i])));
		buffer_fini(&buffer);
		arena_fini(&second);
	}
}

static void test_copy_without_memory(void **state)
{
	(void)state;
	struct arena from = {0};
	const struct value *value = parse(&from, "{\"a\":[1,\"two\"],\"b\":\"three\"}");
	bool failed = true;
	for (size_t fail_at = 0; failed; fail_at++) {
		struct arena to = {0};
		const struct value *copy = NULL;
		struct failing failing;
		failing_start(&failing, fail_at);
		enum err err = value_copy(&to, value, &copy);
		arena_fini(&to);
		failed = failing_stop(&failing);
		assert_int_equal(err, failed ? ERR_MEMORY : OK);
		assert_int_equal(copy == NULL, failed);
		assert_int_equal(failing.live, 0);
	}
	arena_fini(&from);
}

/* {"k":[1,"x",[]]} and nothing behind it */
static enum err build(struct tape *tape)
{
	size_t object = 0;
	size_t list = 0;
	size_t inner = 0;
	enum err err = tape_open(tape, VALUE_OBJECT, &object);
	if (err == OK) {
		err = tape_push(tape, value_string(bytes_of("k")));
	}
	if (err == OK) {
		err = tape_open(tape, VALUE_LIST, &list);
	}
	if (err == OK) {
		err = tape_push(tape, value_int(1));
	}
	if (err == OK) {
		err = tape_push(tape, value_string(bytes_of("x")));
	}
	if (err == OK) {
		err = tape_open(tape, VALUE_LIST, &inner);
	}
	if (err == OK) {
		tape_close(tape, inner, 0);
		tape_close(tape, list, 3);
		tape_close(tape, object, 1);
	}
	return err;
}

static void test_tape(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct tape tape = {0};
	for (int round = 0; round < 3; round++) {
		tape_reset(&tape);
		assert_int_equal(build(&tape), OK);
		assert_int_equal(tape.count, 6);
		const struct value *value = NULL;
		assert_int_equal(tape_finish(&tape, &arena, &value), OK);
		assert_true(value_equal(value, parse(&arena, "{\"k\":[1,\"x\",[]]}")));
		assert_int_equal(value->as.span, 6);
	}
	size_t place = 0;
	tape_reset(&tape);
	assert_int_equal(tape_open(&tape, VALUE_LIST, &place), OK);
	for (int i = 0; i < 10000; i++) {
		assert_int_equal(tape_push(&tape, value_int(i)), OK);
	}
	tape_close(&tape, place, 10000);
	const struct value *list = NULL;
	assert_int_equal(tape_finish(&tape, &arena, &list), OK);
	assert_int_equal(list[10000].as.integer, 9999);
	tape_fini(&tape);
	arena_fini(&arena);
}

static void test_tape_without_memory(void **state)
{
	(void)state;
	bool failed = true;
	for (size_t fail_at = 0; failed; fail_at++) {
		struct arena arena = {0};
		struct tape tape = {0};
		const struct value *value = NULL;
		struct failing failing;
		failing_start(&failing, fail_at);
		enum err err = build(&tape);
		if (err == OK) {
			err = tape_finish(&tape, &arena, &value);
		}
		tape_fini(&tape);
		arena_fini(&arena);
		failed = failing_stop(&failing);
		assert_int_equal(err, failed ? ERR_MEMORY : OK);
		assert_int_equal(failing.live, 0);
	}
}

/* A value at random, with few names and small numbers so that equals come up. */
static void make_random(struct test_random *random, struct tape *tape, int depth)
{
	static const char *const names[] = {"a", "b", "c", ""};
	size_t place = 0;
	uint64_t kind = test_random_below(random, depth > 0 ? 6 : 4);
	if (kind == 0) {
		int64_t integer = (int64_t)test_random_below(random, 3);
		assert_int_equal(tape_push(tape, value_int(integer)), OK);
	} else if (kind == 1) {
		struct value real = {.kind = VALUE_DOUBLE};
		real.as.real = (double)test_random_below(random, 3) * 0.5;
		assert_int_equal(tape_push(tape, real), OK);
	} else if (kind == 2) {
		const char *text = names[test_random_below(random, 4)];
		assert_int_equal(tape_push(tape, value_string(bytes_of(text))), OK);
	} else if (kind == 3) {
		assert_int_equal(tape_push(tape, (struct value){.kind = VALUE_NULL}), OK);
	} else {
		bool object = kind == 4;
		uint64_t count = test_random_below(random, 4);
		assert_int_equal(tape_open(tape, object ? VALUE_OBJECT : VALUE_LIST, &place), OK);
		for (uint64_t i = 0; i < count; i++) {
			const char *name = names[test_random_below(random, 4)];
			if (object) {
				assert_int_equal(tape_push(tape, value_string(bytes_of(name))), OK);
			}
			make_random(random, tape, depth - 1);
		}
		tape_close(tape, place, count);
	}
}

/* What makes two values equal, as text: members sorted by name, the last of each, numbers as
 * doubles. */
static void print_canonical(struct buffer *buffer, const struct value *value)
{
	static const char *const names[] = {"", "a", "b", "c"};
	if (value_is_number(value)) {
		double real = value->kind == VALUE_INT ? (double)value->as.integer : value->as.real;
		assert_int_equal(buffer_printf(buffer, "%g,", real), OK);
	} else if (value->kind == VALUE_STRING) {
		assert_int_equal(
			buffer_printf(buffer, "'%.*s',", BYTES_FORMAT(value_text(value))), OK);
	} else if (value->kind == VALUE_NULL) {
		assert_int_equal(buffer_append_text(buffer, "null,"), OK);
	} else if (value->kind == VALUE_LIST) {
		assert_int_equal(buffer_append_text(buffer, "["), OK);
		const struct value *item = value + 1;
		for (uint32_t i = 0; i < value->size; i++) {
			print_canonical(buffer, item);
			item = value_after(item);
		}
		assert_int_equal(buffer_append_text(buffer, "],"), OK);
	} else {
		assert_int_equal(buffer_append_text(buffer, "{"), OK);
		for (size_t i = 0; i < 4; i++) {
			const struct value *member = value_member(value, bytes_of(names[i]));
			if (member) {
				assert_int_equal(buffer_printf(buffer, "%s:", names[i]), OK);
				print_canonical(buffer, member);
			}
		}
		assert_int_equal(buffer_append_text(buffer, "},"), OK);
	}
}

static void test_equal_and_hash_at_random(void **state)
{
	(void)state;
	struct test_random random = test_random_start("equal");
	struct tape tapes[2] = {{0}};
	struct buffer texts[2] = {{0}};
	struct arena arena = {0};
	int equals = 0;
	for (int round = 0; round < 30000; round++) {
		for (int i = 0; i < 2; i++) {
			tape_reset(&tapes[i]);
			texts[i].size = 0;
			make_random(&random, &tapes[i], 3);
			print_canonical(&texts[i], tapes[i].cells);
		}
		const struct value *a = tapes[0].cells;
		const struct value *b = tapes[1].cells;
		bool equal = bytes_equal(buffer_bytes(&texts[0]), buffer_bytes(&texts[1]));
		equals += equal;
		if (value_equal(a, b) != equal || (value_hash(a, 5) == value_hash(b, 5)) != equal) {
			fail_msg("%.*s against %.*s", BYTES_FORMAT(buffer_bytes(&texts[0])),
				BYTES_FORMAT(buffer_bytes(&texts[1])));
		}
		const struct value *copy = NULL;
		assert_int_equal(value_copy(&arena, a, &copy), OK);
		assert_true(value_equal(a, copy));
		arena_reset(&arena);
	}
	assert_true(equals > 100);
	for (int i = 0; i < 2; i++) {
		tape_fini(&tapes[i]);
		buffer_fini(&texts[i]);
	}
	arena_fini(&arena);
}

/* So many that a look at all of them for each of them would not end in the test's time. */
static void test_equal_with_a_name_again_and_again(void **state)
{
	(void)state;
	enum { MEMBERS = 1000000 };
	static const char *const texts[] = {"{\"a\":2}", "{\"a\":1}", "{\"a\":2,\"b\":2}",
		"{\"b\":2,\"a\":2,\"a\":2}", "{\"a\":1,\"a\":2}", "{}"};
	static const bool are_equal[] = {true, false, false, false, true, false};
	struct arena arena = {0};
	struct tape tape = {0};
	size_t place = 0;
	assert_int_equal(tape_open(&tape, VALUE_OBJECT, &place), OK);
	for (int i = 1; i <= MEMBERS; i++) {
		assert_int_equal(tape_push(&tape, value_string(bytes_of("a"))), OK);
		assert_int_equal(tape_push(&tape, value_int(i < MEMBERS ? i : 2)), OK);
	}
	tape_close(&tape, place, MEMBERS);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const struct value *other = NULL;
		assert_int_equal(json_parse(bytes_of(texts[i]), 10, &arena, &other, NULL), OK);
		assert_int_equal(value_equal(tape.cells, other), are_equal[i]);
		assert_int_equal(value_equal(other, tape.cells), are_equal[i]);
	}
	tape_fini(&tape);
	arena_fini(&arena);
}

/* The deepest nesting that options allow goes through everything that walks values. */
static void test_deepest(void **state)
{
	(void)state;
	enum { DEPTH = 10000 };
	struct buffer text = {0};
	for (int i = 0; i < DEPTH; i++) {
		assert_int_equal(buffer_append_text(&text, i % 2 == 0 ? "[" : "{\"a\":"), OK);
	}
	assert_int_equal(buffer_append_text(&text, "1"), OK);
	for (int i = DEPTH - 1; i >= 0; i--) {
		assert_int_equal(buffer_append_text(&text, i % 2 == 0 ? "]" : "}"), OK);
	}
	struct arena arena = {0};
	const struct value *value = NULL;
	const struct value *copy = NULL;
	assert_int_equal(json_parse(buffer_bytes(&text), DEPTH, &arena, &value, NULL), OK);
	assert_int_equal(value_copy(&arena, value, &copy), OK);
	assert_true(value_equal(value, copy));
	assert_true(value_hash(value, 1) == value_hash(copy, 1));
	struct buffer printed = {0};
	assert_int_equal(json_print(&printed, copy), OK);
	assert_true(bytes_equal(buffer_bytes(&printed), buffer_bytes(&text)));
	assert_int_equal(
		json_parse(buffer_bytes(&text), DEPTH - 1, &arena, &value, NULL), ERR_LIMIT);
	buffer_fini(&printed);
	buffer_fini(&text);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_numbers_equal),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_copy_without_memory),
		cmocka_unit_test(test_tape),
		cmocka_unit_test(test_tape_without_memory),
		cmocka_unit_test(test_equal_and_hash_at_random),
		cmocka_unit_test(test_equal_with_a_name_again_and_again),
		cmocka_unit_test(test_deepest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
