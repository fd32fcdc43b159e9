/* model: names of operations and changes, positions, and made-up ids, through model.h. */
#include "model.h"

#include "random.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static void test_operation_names(void **state)
{
	(void)state;
	assert_string_equal(model_operation_name(MODEL_INSERT), "INSERT");
	assert_string_equal(model_operation_name(MODEL_UPDATE), "UPDATE");
	assert_string_equal(model_operation_name(MODEL_DELETE), "DELETE");
	assert_string_equal(model_operation_name(MODEL_NO_OPERATION), "");
	assert_string_equal(model_operation_name((enum model_operation)3), "");
	/* The wire's numbers. */
	assert_int_equal(MODEL_INSERT, 1);
	assert_int_equal(MODEL_UPDATE, 2);
	assert_int_equal(MODEL_DELETE, 4);
}

static void test_change_kinds(void **state)
{
	(void)state;
	static const char *const names[] = {"insert", "update", "replace", "delete"};
	for (unsigned i = 0; i < 4; i++) {
		enum model_change_kind kind = model_change_kind_of(bytes_of(names[i]));
		assert_int_equal(kind, MODEL_CHANGE_INSERT + i);
		assert_string_equal(model_change_kind_name(kind), names[i]);
	}
	static const char *const unknown[] = {"", "Insert", "inser", "insert ", "drop"};
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		assert_int_equal(model_change_kind_of(bytes_of(unknown[i])), MODEL_CHANGE_UNKNOWN);
	}
	assert_int_equal(model_change_kind_of((struct bytes){"insert\0", 7}), MODEL_CHANGE_UNKNOWN);
	assert_int_equal(model_change_kind_of((struct bytes){NULL, 0}), MODEL_CHANGE_UNKNOWN);
	assert_string_equal(model_change_kind_name(MODEL_CHANGE_UNKNOWN), "");
	assert_string_equal(model_change_kind_name((enum model_change_kind)99), "");
}

/* RFC 9562: version 4, variant 10; every other bit is from the caller. */
static void test_uuid(void **state)
{
	(void)state;
	char text[MODEL_UUID_SIZE];
	model_uuid_print(0, 0, text);
	assert_string_equal(text, "00000000-0000-4000-8000-000000000000");
	model_uuid_print(UINT64_MAX, UINT64_MAX, text);
	assert_string_equal(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
	model_uuid_print(0x0123456789ABCDEF, 0x0123456789ABCDEF, text);
	assert_string_equal(text, "01234567-89ab-4def-8123-456789abcdef");
	assert_int_equal(strlen(text), MODEL_UUID_SIZE - 1);
}

static void assert_position(
	const struct model_position *actual, const struct model_position *expected)
{
	assert_true(actual->epoch == expected->epoch);
	assert_true(actual->sequence == expected->sequence);
	assert_true(actual->backend_hash == expected->backend_hash);
	assert_true(actual->cluster_seconds == expected->cluster_seconds);
	assert_true(actual->cluster_increment == expected->cluster_increment);
	assert_true(actual->event_id_hash == expected->event_id_hash);
}

/* Clients keep these bytes: another version of the program must find the same in them. */
static void test_position_bytes(void **state)
{
	(void)state;
	char bytes[MODEL_POSITION_SIZE];
	struct model_position read;
	const struct model_position position = {.epoch = UINT64_C(0x0102030405060708),
		.sequence = UINT64_C(0x1112131415161718),
		.backend_hash = UINT64_C(0x2122232425262728),
		.cluster_seconds = 0x31323334,
		.cluster_increment = 0x41424344,
		.event_id_hash = UINT64_C(0x5152535455565758)};
	model_position_write(&position, bytes);
	assert_memory_equal(bytes,
		"\x01"
		"\x01\x02\x03\x04\x05\x06\x07\x08\x11\x12\x13\x14\x15\x16\x17\x18"
		"\x21\x22\x23\x24\x25\x26\x27\x28\x31\x32\x33\x34\x41\x42\x43\x44"
		"\x51\x52\x53\x54\x55\x56\x57\x58",
		sizeof(bytes));
	assert_int_equal(model_position_read((struct bytes){bytes, sizeof(bytes)}, &read), OK);
	assert_position(&read, &position);
}

static void test_random_positions(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_random_positions");
	for (int round = 0; round < 3000; round++) {
		char bytes[MODEL_POSITION_SIZE];
		char again[MODEL_POSITION_SIZE];
		struct model_position read;
		const struct model_position position = {
			.epoch = test_random_next(&random) >> test_random_below(&random, 64),
			.sequence = test_random_next(&random) >> test_random_below(&random, 64),
			.backend_hash = test_random_next(&random),
			.cluster_seconds = (uint32_t)test_random_next(&random),
			.cluster_increment = (uint32_t)test_random_next(&random),
			.event_id_hash = test_random_next(&random)};
		model_position_write(&position, bytes);
		assert_int_equal(
			model_position_read((struct bytes){bytes, sizeof(bytes)}, &read), OK);
		assert_position(&read, &position);
		model_position_write(&read, again);
		assert_memory_equal(bytes, again, sizeof(bytes));
	}
}

static void test_bytes_that_are_no_position(void **state)
{
	(void)state;
	char bytes[2 * MODEL_POSITION_SIZE] = {0};
	const struct model_position untouched = {.epoch = 77, .event_id_hash = 78};
	struct model_position read = untouched;
	bytes[0] = 1;
	assert_int_equal(model_position_read((struct bytes){NULL, 0}, &read), ERR_CORRUPT);
	for (size_t size = 0; size <= sizeof(bytes); size++) {
		if (size != MODEL_POSITION_SIZE) {
			assert_int_equal(model_position_read((struct bytes){bytes, size}, &read),
				ERR_CORRUPT);
		}
	}
	for (int version = 0; version < 256; version++) {
		bytes[0] = (char)version;
		if (version != 1) {
			assert_int_equal(model_position_read(
						 (struct bytes){bytes, MODEL_POSITION_SIZE}, &read),
				ERR_CORRUPT);
		}
	}
	assert_position(&read, &untouched);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operation_names),
		cmocka_unit_test(test_change_kinds),
		cmocka_unit_test(test_uuid),
		cmocka_unit_test(test_position_bytes),
		cmocka_unit_test(test_random_positions),
		cmocka_unit_test(test_bytes_that_are_no_position),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
