/* event: reference counting and the interest filter, through event.h. */
#include "event.h"

#include "failing.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HOLDERS 100000
#define SLOTS_TRIED_MAX 1000000

static void test_new_event_is_empty(void **state)
{
	(void)state;
	struct event *event;
	assert_int_equal(event_new(&event), OK);
	assert_int_equal(atomic_load(&event->holders), 1);
	struct event zero;
	memset(&zero, 0, sizeof(zero));
	atomic_store(&event->holders, 0);
	assert_memory_equal(event, &zero, sizeof(zero));
	atomic_store(&event->holders, 1);
	event_unref(event);
	event_unref(NULL);
}

/* The last holder frees the event and its arena, whoever that is. */
static void test_last_holder_frees(void **state)
{
	(void)state;
	struct failing failing;
	failing_start(&failing, SIZE_MAX);
	struct event *event;
	assert_int_equal(event_new(&event), OK);
	event->change.event_id = arena_copy(&event->arena, bytes_of("1-2-ab"));
	assert_true(event_ref(event) == event);
	assert_true(event_ref(event) == event);
	event_unref(event);
	event_unref(event);
	assert_int_equal(failing.live, 2);
	assert_true(bytes_equal(event->change.event_id, bytes_of("1-2-ab")));
	event_unref(event);
	assert_int_equal(failing.live, 0);
	(void)failing_stop(&failing);
}

static void test_event_without_memory(void **state)
{
	(void)state;
	struct failing failing;
	struct event *event = NULL;
	struct interest *interest = NULL;
	failing_start(&failing, 0);
	enum err event_err = event_new(&event);
	(void)failing_stop(&failing);
	failing_start(&failing, 0);
	enum err interest_err = interest_new(1, &interest);
	(void)failing_stop(&failing);
	assert_int_equal(event_err, ERR_MEMORY);
	assert_int_equal(interest_err, ERR_MEMORY);
	assert_null(event);
	assert_null(interest);
}

static void *hold_and_let_go(void *ctx)
{
	struct event *event = ctx;
	for (int i = 0; i < HOLDERS; i++) {
		event_unref(event_ref(event));
	}
	event_unref(event);
	return NULL;
}

static void test_holders_in_threads(void **state)
{
	(void)state;
	struct event *event;
	pthread_t threads[3];
	assert_int_equal(event_new(&event), OK);
	for (size_t i = 0; i < 3; i++) {
		(void)event_ref(event);
		assert_int_equal(pthread_create(&threads[i], NULL, hold_and_let_go, event), 0);
	}
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	}
	assert_int_equal(atomic_load(&event->holders), 1);
	event_unref(event);
}

/* ---- interest -------------------------------------------------------------------------------- */

static void test_interest(void **state)
{
	(void)state;
	const struct bytes db = bytes_of("db");
	const struct bytes users = bytes_of("users");
	const struct bytes none = {NULL, 0};
	struct interest *interest;
	assert_int_equal(interest_new(42, &interest), OK);
	assert_false(interest_has(interest, db, users));
	assert_false(interest_has(interest, none, none));
	interest_add(interest, db, users);
	interest_add(interest, db, users);
	assert_true(interest_has(interest, db, users));
	/* Where one name ends and the other begins makes a difference, and so does the order. */
	assert_false(interest_has(interest, bytes_of("dbu"), bytes_of("sers")));
	assert_false(interest_has(interest, users, db));
	assert_false(interest_has(interest, db, none));
	interest_remove(interest, db, users);
	assert_true(interest_has(interest, db, users));
	interest_remove(interest, db, users);
	assert_false(interest_has(interest, db, users));
	interest_add(interest, none, none); /* names like others */
	assert_true(interest_has(interest, none, none));
	interest_remove(interest, none, none);
	assert_false(interest_has(interest, none, none));
	interest_free(interest);
	interest_free(NULL);
}

/* Another pair in the slot of ("db", "users"): wanted with it, and it stays when that one goes. */
static void test_shared_slot(void **state)
{
	(void)state;
	const struct bytes db = bytes_of("db");
	const struct bytes users = bytes_of("users");
	struct interest *interest;
	char name[32];
	assert_int_equal(interest_new(42, &interest), OK);
	interest_add(interest, db, users);
	int tried = 0;
	do {
		assert_true(tried < SLOTS_TRIED_MAX);
		(void)snprintf(name, sizeof(name), "other%d", tried++);
	} while (!interest_has(interest, db, bytes_of(name)));
	interest_add(interest, db, bytes_of(name));
	interest_remove(interest, db, users);
	assert_true(interest_has(interest, db, bytes_of(name)));
	assert_true(interest_has(interest, db, users)); /* "yes" may be wrong */
	interest_remove(interest, db, bytes_of(name));
	assert_false(interest_has(interest, db, users));
	assert_false(interest_has(interest, db, bytes_of(name)));
	interest_free(interest);
}

/* Names that share a slot with one seed do not with another. */
static void test_seed(void **state)
{
	(void)state;
	const struct bytes db = bytes_of("db");
	struct interest *interests[2];
	int both = 0;
	int first = 0;
	char name[32];
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(interest_new(i, &interests[i]), OK);
		interest_add(interests[i], db, bytes_of("users"));
	}
	for (int i = 0; i < SLOTS_TRIED_MAX; i++) {
		(void)snprintf(name, sizeof(name), "other%d", i);
		bool shares = interest_has(interests[0], db, bytes_of(name));
		first += shares;
		both += shares && interest_has(interests[1], db, bytes_of(name));
	}
	assert_true(first > 0);
	assert_int_equal(both, 0);
	interest_free(interests[0]);
	interest_free(interests[1]);
}

/* ---- identity -------------------------------------------------------------------------------- */

static void assert_identity(struct bytes collection, struct bytes id, const char *wanted)
{
	struct event_identity identity;
	char text[2 * EVENT_IDENTITY_SIZE + 1];
	assert_true(event_identity_of(collection, id, &identity));
	for (size_t i = 0; i < EVENT_IDENTITY_SIZE; i++) {
		(void)snprintf(text + 2 * i, 3, "%02x", identity.bytes[i]);
	}
	assert_string_equal(text, wanted);
}

/*
 * Paths of each length around the borders of a block and of the chunk; what they hash to is what
 * the reference implementation (the `blake3` crate, through its Python package) says.
 */
static void test_identity_vectors(void **state)
{
	(void)state;
	static const struct {
		size_t size;
		const char *hash;
	} vectors[] = {
		{2, "6fbf89495ee1dd0d0b30064150002cf6"},
		{3, "189720a490f9170d419af5d8dd197da2"},
		{63, "9aa64a8249f145699e7b9ddf424d8939"},
		{64, "756f4c6a3ca6b5919aa7d982a7104ecd"},
		{65, "2ad009d8d6c80171e50c1de3628b5ddb"},
		{127, "4bf8db4ea895e632a061dbdbd9dcd4ec"},
		{128, "4ea904d792c21ebfde8151f14cc4c1bb"},
		{129, "63eec93d37f4cecce5d6229ab7c720e3"},
		{192, "4f3acd270b07a887107f6292f6c349fa"},
		{1023, "23fa5e8cc1b6a39534da83d4f696e2f5"},
		{1024, "f35f82df9325c39b62156d65a129bae5"},
	};
	char path[1024];
	for (size_t i = 0; i < sizeof(path); i++) {
		path[i] = "abcdefghijklmnopqrstuvwxyz"[i % 26];
	}
	path[1] = '/';
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		assert_identity((struct bytes){path, 1},
			(struct bytes){path + 2, vectors[i].size - 2}, vectors[i].hash);
	}
	/* the store's own: compat notes, section 2.1 */
	assert_identity(bytes_of("users"), bytes_of("doc1"), "c5065b7b91c54be94915e0060d04bc57");
	/* one more byte than a chunk has */
	struct event_identity identity;
	assert_false(
		event_identity_of((struct bytes){path, 1}, (struct bytes){path, 1023}, &identity));
}

static void test_identity_parse(void **state)
{
	(void)state;
	struct event_identity wanted;
	struct event_identity parsed;
	struct bytes database;
	assert_true(event_identity_of(bytes_of("users"), bytes_of("doc1"), &wanted));
	assert_true(event_identity_parse(
		bytes_of("id:7:c5065b7b91c54be94915e0060d04bc57"), &database, &parsed));
	assert_true(bytes_equal(database, bytes_of("id:7")));
	assert_memory_equal(&parsed, &wanted, sizeof(wanted));
	static const char *const none[] = {"", ":", "c5065b7b91c54be94915e0060d04bc57",
		"default:c5065b7b91c54be94915e0060d04bc5",
		"default:C5065b7b91c54be94915e0060d04bc57",
		"default:g5065b7b91c54be94915e0060d04bc57",
		"default.c5065b7b91c54be94915e0060d04bc57"};
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		assert_false(event_identity_parse(bytes_of(none[i]), &database, &parsed));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_event_is_empty),
		cmocka_unit_test(test_last_holder_frees),
		cmocka_unit_test(test_event_without_memory),
		cmocka_unit_test(test_holders_in_threads),
		cmocka_unit_test(test_interest),
		cmocka_unit_test(test_shared_slot),
		cmocka_unit_test(test_seed),
		cmocka_unit_test(test_identity_vectors),
		cmocka_unit_test(test_identity_parse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
