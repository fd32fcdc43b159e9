/* model: names of operations and changes, and made-up ids, through model.h. */
#include "model.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operation_names),
		cmocka_unit_test(test_change_kinds),
		cmocka_unit_test(test_uuid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
