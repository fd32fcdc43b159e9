/*
 * ingest: what a change becomes, which changes are repeats, and the source that is pushed into.
 */
#include "failing.h"
#include "ingest_rig.h"
#include "value.h"

#include <stdio.h>

static struct rig *pushed_into(void)
{
	struct rig *rig = rig_new(INGEST_PUSH);
	rig_start(rig);
	assert_int_equal(ingest_state(rig->ingest), INGEST_LIVE);
	return rig;
}

static void push(struct rig *rig, struct model_change change)
{
	struct err_info info = {0};
	assert_int_equal(ingest_push(rig->ingest, &change, &info), OK);
	assert_int_equal(info.code, OK);
}

/* Whether it was handed on; if not it must count as a repeat. */
static bool is_new(struct rig *rig, struct model_change change)
{
	size_t events = rig->events_count;
	int64_t repeats = figure(rig, METRIC_events_repeated);
	push(rig, change);
	assert_int_equal(rig->events_count - events + (size_t)figure(rig, METRIC_events_repeated) -
			(size_t)repeats,
		1);
	return rig->events_count > events;
}

/* ---- operations ------------------------------------------------------------------------------ */

static const char ALIVE[] =
	"{\"id\":\"d:1\",\"collection\":\"users\",\"version\":2,\"updatedAt\":3,\"createdAt\":4,"
	"\"data\":{\"id\":\"u1\",\"n\":5}}";
static const char DELETED[] =
	"{\"id\":\"d:1\",\"collection\":\"users\",\"version\":2,\"updatedAt\":3,\"createdAt\":4,"
	"\"data\":{},\"deleted\":true}";

struct row {
	enum model_change_kind kind;
	const char *document;
	enum model_operation operation;
};

/* docs/ARCHITECTURE.md has the same table in words. */
static const struct row TABLE[] = {
	{MODEL_CHANGE_INSERT, ALIVE, MODEL_INSERT},
	{MODEL_CHANGE_INSERT, DELETED, MODEL_INSERT},
	{MODEL_CHANGE_INSERT, "", MODEL_NO_OPERATION},
	{MODEL_CHANGE_REPLACE, ALIVE, MODEL_INSERT},
	{MODEL_CHANGE_REPLACE, DELETED, MODEL_DELETE},
	{MODEL_CHANGE_REPLACE, "", MODEL_NO_OPERATION},
	{MODEL_CHANGE_UPDATE, ALIVE, MODEL_UPDATE},
	{MODEL_CHANGE_UPDATE, DELETED, MODEL_DELETE},
	{MODEL_CHANGE_UPDATE, "", MODEL_NO_OPERATION},
	{MODEL_CHANGE_DELETE, "", MODEL_NO_OPERATION},
	{MODEL_CHANGE_DELETE, DELETED, MODEL_NO_OPERATION},
	{MODEL_CHANGE_UNKNOWN, ALIVE, MODEL_NO_OPERATION},
	{MODEL_CHANGE_UNKNOWN, "", MODEL_NO_OPERATION},
};

static void check_row(struct rig *rig, const struct row *row, unsigned number)
{
	const struct ingest_facts facts = {.kind = row->kind,
		.has_document = row->document[0] != '\0',
		.is_deleted = row->document == DELETED};
	assert_int_equal(ingest_operation(&facts), row->operation);
	struct model_change change = rig_change(number);
	change.kind = row->kind;
	change.full_document = bytes_of(row->document);
	size_t before = rig->events_count;
	enum err err = ingest_push(rig->ingest, &change, NULL);
	if (row->operation == MODEL_NO_OPERATION) {
		bool is_mistake =
			row->kind != MODEL_CHANGE_DELETE && row->kind != MODEL_CHANGE_UNKNOWN;
		assert_int_equal(err, is_mistake ? ERR_INVALID : OK);
		assert_int_equal(rig->events_count, before);
		return;
	}
	assert_int_equal(err, OK);
	assert_int_equal(rig->events_count, before + 1);
	const struct event *event = rig->events[before];
	assert_int_equal(event->operation, row->operation);
	assert_true(bytes_equal(event->collection, bytes_of("users")));
	assert_true(bytes_equal(event->document_id, bytes_of(row->document == ALIVE ? "u1" : "")));
	assert_true(bytes_equal(event->change.full_document, bytes_of(row->document)));
	assert_true(event->change.full_document.data != row->document); /* a copy */
	assert_true(event->received_us == loop_wall_us(rig->loop));
	assert_true(event->is_read);
	assert_non_null(event->document);
	assert_true(event->encoded.size > 0);
}

static void test_operations(void **state)
{
	(void)state;
	struct rig *rig = pushed_into();
	for (size_t i = 0; i < sizeof TABLE / sizeof TABLE[0]; i++) {
		check_row(rig, &TABLE[i], (unsigned)i + 1);
	}
	assert_int_equal(figure(rig, METRIC_events_unmatchable), 3);
	assert_int_equal(figure(rig, METRIC_events_ignored), 4);
	assert_int_equal(figure(rig, METRIC_events_without_id), 2);
	assert_int_equal(figure(rig, METRIC_events_received), sizeof TABLE / sizeof TABLE[0]);
	rig_free(rig);
}

/* A field `deleted` of the user's own says nothing, nor does one that is not `true`. */
static void test_deleted_by_name_only(void **state)
{
	(void)state;
	static const char *const alive[] = {
		"{\"collection\":\"c\",\"data\":{\"id\":\"u1\",\"deleted\":true}}",
		"{\"collection\":\"c\",\"deleted\":false,\"data\":{\"id\":\"u1\"}}",
		"{\"collection\":\"c\",\"deleted\":\"true\",\"data\":{\"id\":\"u1\"}}",
		"{\"collection\":\"c\",\"deleted\":true,\"deleted\":false,\"data\":{}}",
	};
	struct rig *rig = pushed_into();
	for (unsigned i = 0; i < sizeof alive / sizeof alive[0]; i++) {
		struct model_change change = rig_change(i + 1);
		change.kind = MODEL_CHANGE_UPDATE;
		change.full_document = bytes_of(alive[i]);
		push(rig, change);
		assert_int_equal(rig->events[i]->operation, MODEL_UPDATE);
	}
	rig_free(rig);
}

/* Nobody is interested: the document's bytes are kept, and it is not read. */
static void test_interest(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PUSH);
	struct interest *interest = NULL;
	assert_int_equal(interest_new(1, &interest), OK);
	rig->options.interest = interest;
	rig_start(rig);
	push(rig, rig_change(1));
	interest_add(interest, bytes_of("d"), bytes_of("users"));
	push(rig, rig_change(2));
	interest_remove(interest, bytes_of("d"), bytes_of("users"));
	push(rig, rig_change(3));
	for (size_t i = 0; i < 3; i++) {
		const struct event *event = rig->events[i];
		assert_int_equal(event->is_read, i == 1);
		assert_int_equal(event->encoded.size > 0, i == 1);
		assert_true(event->change.full_document.size > 0);
		assert_true(bytes_equal(event->collection, bytes_of("users")));
	}
	rig_free(rig);
	interest_free(interest);
}

/* ---- repeats --------------------------------------------------------------------------------- */

static struct model_change at(uint32_t seconds, uint32_t increment, const char *id)
{
	struct model_change change = rig_change(1);
	change.cluster_seconds = seconds;
	change.cluster_increment = increment;
	change.event_id = bytes_of(id);
	return change;
}

static void test_repeats(void **state)
{
	(void)state;
	struct rig *rig = pushed_into();
	assert_true(is_new(rig, at(10, 5, "a")));
	assert_false(is_new(rig, at(10, 5, "a")));
	assert_true(is_new(rig, at(10, 5, "b"))); /* of the same transaction */
	assert_false(is_new(rig, at(10, 5, "a")));
	assert_false(is_new(rig, at(10, 5, "b")));
	assert_false(is_new(rig, at(10, 4, "c"))); /* older, whatever its id */
	assert_false(is_new(rig, at(9, 9, "d")));
	assert_true(is_new(rig, at(10, 6, "a"))); /* newer, whatever its id */
	assert_true(is_new(rig, at(10, 6, "b")));
	assert_false(is_new(rig, at(10, 5, "e")));
	assert_true(is_new(rig, at(11, 0, "a")));
	assert_true(is_new(rig, at(UINT32_MAX, UINT32_MAX, "a")));
	assert_false(is_new(rig, at(UINT32_MAX, UINT32_MAX, "a")));
	assert_false(is_new(rig, at(UINT32_MAX, UINT32_MAX - 1, "a")));
	rig_free(rig);
}

/* What has no cluster time has no place in an order. */
static void test_no_cluster_time(void **state)
{
	(void)state;
	struct rig *rig = pushed_into();
	assert_true(is_new(rig, at(0, 0, "a")));
	assert_true(is_new(rig, at(0, 0, "a")));
	assert_true(is_new(rig, at(0, 1, "a")));
	assert_true(is_new(rig, at(0, 0, "a")));
	assert_false(is_new(rig, at(0, 1, "a")));
	rig_free(rig);
}

/* Also what goes to nobody, and a document that is refused, has had its turn. */
static void test_repeats_of_nothing(void **state)
{
	(void)state;
	struct rig *rig = pushed_into();
	struct model_change change = at(10, 5, "a");
	change.kind = MODEL_CHANGE_DELETE;
	push(rig, change);
	assert_int_equal(rig->events_count, 0);
	assert_false(is_new(rig, at(10, 5, "a")));
	rig_free(rig);
}

static struct model_change from(const char *backend, uint32_t increment)
{
	struct model_change change = at(10, increment, "a");
	change.backend = bytes_of(backend);
	return change;
}

static void test_backends(void **state)
{
	(void)state;
	struct rig *rig = pushed_into();
	assert_true(is_new(rig, from("one", 5)));
	assert_true(is_new(rig, from("two", 5))); /* each has a clock of its own */
	assert_true(is_new(rig, from("two", 3) /* older */) == false);
	assert_true(is_new(rig, from("", 1)));
	assert_true(is_new(rig, from("two", 7)));
	assert_true(is_new(rig, from("one", 6)));
	assert_false(is_new(rig, from("one", 5)));
	assert_false(is_new(rig, from("", 1)));
	rig_free(rig);
}

/* Beyond what is remembered, changes come twice; none is lost. */
static void test_limits_of_memory(void **state)
{
	(void)state;
	struct rig *rig = pushed_into();
	char name[32];
	for (uint32_t i = 0; i < 1025; i++) {
		(void)snprintf(name, sizeof name, "b%u", (unsigned)i);
		assert_true(is_new(rig, from(name, 1)));
		assert_int_equal(is_new(rig, from(name, 1)), i == 1024);
	}
	rig_free(rig);

	rig = rig_new(INGEST_PUSH);
	rig->is_forgetful = true;
	rig_start(rig);
	for (unsigned i = 0; i < 4100; i++) {
		(void)snprintf(name, sizeof name, "e%u", i);
		assert_true(is_new(rig, at(10, 5, name)));
		rig->events_count = 0;
		assert_int_equal(is_new(rig, at(10, 5, name)), i >= 4096);
		rig->events_count = 0;
	}
	assert_false(is_new(rig, at(10, 5, "e0")));
	assert_true(is_new(rig, at(10, 6, "e0"))); /* the next point has place again */
	rig->events_count = 0;
	assert_false(is_new(rig, at(10, 6, "e0")));
	rig_free(rig);
}

/* ---- pushing --------------------------------------------------------------------------------- */

static void test_push_full(void **state)
{
	(void)state;
	struct rig *rig = pushed_into();
	struct model_change change = rig_change(1);
	rig->room = 1;
	push(rig, change);
	change = rig_change(2);
	assert_int_equal(ingest_push(rig->ingest, &change, NULL), ERR_FULL);
	assert_int_equal(ingest_state(rig->ingest), INGEST_HELD);
	rig->room = 1;
	assert_int_equal(ingest_push(rig->ingest, &change, NULL), ERR_FULL); /* until resumed */
	assert_int_equal(rig->events_count, 1);
	ingest_resume(rig->ingest);
	assert_int_equal(ingest_state(rig->ingest), INGEST_LIVE);
	push(rig, change); /* nothing of it was taken, so it is no repeat */
	rig->room = 0;
	change = rig_change(3);
	assert_int_equal(ingest_push(rig->ingest, &change, NULL), ERR_FULL);
	change = rig_change(2); /* a repeat, but nobody looks at it now */
	assert_int_equal(ingest_push(rig->ingest, &change, NULL), ERR_FULL);
	ingest_resume(rig->ingest);
	ingest_resume(rig->ingest);
	assert_int_equal(figure(rig, METRIC_events_repeated), 0);
	assert_int_equal(figure(rig, METRIC_source_holds), 2);
	check_log(rig, 0, 2);
	rig_run(rig, SECOND_US);
	rig_free(rig);
}

static void test_push_refused(void **state)
{
	(void)state;
	struct rig *rig = pushed_into();
	struct err_info info = {0};
	struct model_change change = rig_change(1);
	change.full_document = bytes_of("[1]");
	assert_int_equal(ingest_push(rig->ingest, &change, &info), ERR_INVALID);
	assert_int_equal(info.code, ERR_INVALID);
	assert_non_null(strstr(info.text, "no JSON object"));
	change = rig_change(2);
	change.full_document = bytes_of("{\"data\":{}}");
	info = (struct err_info){0};
	assert_int_equal(ingest_push(rig->ingest, &change, &info), ERR_INVALID);
	assert_non_null(strstr(info.text, "no collection"));
	rig->failure = ERR_MEMORY;
	change = rig_change(3);
	assert_int_equal(ingest_push(rig->ingest, &change, &info), ERR_MEMORY);
	assert_int_equal(ingest_state(rig->ingest), INGEST_LIVE);
	rig->failure = OK;
	push(rig, change);
	assert_int_equal(rig->events_count, 1);
	rig_free(rig);
}

static void test_push_closed(void **state)
{
	(void)state;
	struct rig *rig = rig_new(INGEST_PUSH);
	struct model_change change = rig_change(1);
	assert_int_equal(rig_make(rig), OK);
	assert_int_equal(ingest_push(rig->ingest, &change, NULL), ERR_CLOSED);
	assert_int_equal(ingest_lag_ms(rig->ingest), -1);
	assert_int_equal(ingest_start(rig->ingest), OK);
	rig_run(rig, 5 * SECOND_US);
	push(rig, change);
	assert_int_equal(ingest_lag_ms(rig->ingest), 5000);
	change = rig_change(2);
	change.timestamp_ms = 0; /* the source does not say */
	push(rig, change);
	assert_int_equal(ingest_lag_ms(rig->ingest), 5000);
	change = rig_change(3);
	change.timestamp_ms = INT64_MAX; /* of the future */
	push(rig, change);
	assert_int_equal(ingest_lag_ms(rig->ingest), 0);
	rig_stop(rig);
	change = rig_change(4);
	assert_int_equal(ingest_push(rig->ingest, &change, NULL), ERR_CLOSED);
	ingest_resume(rig->ingest);
	rig_run(rig, SECOND_US);
	assert_int_equal(rig->stopped, 1);
	rig_free(rig);
}

static void test_push_stop_inside(void **state)
{
	(void)state;
	for (size_t room = 0; room < 2; room++) {
		struct rig *rig = pushed_into();
		struct model_change change = rig_change(1);
		rig->stop_in_push = true;
		rig->room = room;
		assert_int_equal(ingest_push(rig->ingest, &change, NULL), room ? OK : ERR_FULL);
		assert_int_equal(ingest_state(rig->ingest), INGEST_STOPPED);
		rig_free(rig);
	}
}

/* For lack of memory nothing is taken, and the same change is taken when there is memory again. */
static void test_push_lack(void **state)
{
	(void)state;
	bool again = true;
	for (size_t fail_at = 0; again; fail_at++) {
		struct rig *rig = rig_new(INGEST_PUSH);
		struct failing failing;
		failing_start(&failing, fail_at);
		enum err made = rig_make(rig);
		again = failing_stop(&failing);
		assert_int_equal(made, again ? ERR_MEMORY : OK);
		if (made) {
			assert_int_equal(failing.live, 0);
			assert_null(rig->ingest);
		}
		rig_free(rig);
	}
	again = true;
	for (size_t fail_at = 0; again; fail_at++) {
		struct rig *rig = pushed_into();
		struct failing failing;
		failing_start(&failing, fail_at);
		for (unsigned i = 1; i <= 20; i++) {
			struct model_change change = rig_change(1);
			char id[8];
			(void)snprintf(id, sizeof id, "%u", i);
			change.event_id = bytes_of(id); /* all of one transaction */
			enum err err = ingest_push(rig->ingest, &change, NULL);
			if (err) {
				assert_int_equal(err, ERR_MEMORY);
				assert_int_equal(rig->events_count, i - 1);
				err = ingest_push(rig->ingest, &change, NULL);
			}
			assert_int_equal(err, OK);
			assert_int_equal(rig->events_count, i);
		}
		again = failing_stop(&failing);
		assert_int_equal(figure(rig, METRIC_events_repeated), 0);
		rig_free(rig);
	}
}

static void test_names(void **state)
{
	(void)state;
	for (int i = 0; i < INGEST_STATE_COUNT; i++) {
		assert_true(ingest_state_name((enum ingest_state)i)[0] != '\0');
	}
	assert_string_equal(ingest_state_name(INGEST_HELD), "held");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operations),
		cmocka_unit_test(test_deleted_by_name_only),
		cmocka_unit_test(test_interest),
		cmocka_unit_test(test_repeats),
		cmocka_unit_test(test_no_cluster_time),
		cmocka_unit_test(test_repeats_of_nothing),
		cmocka_unit_test(test_backends),
		cmocka_unit_test(test_limits_of_memory),
		cmocka_unit_test(test_push_full),
		cmocka_unit_test(test_push_refused),
		cmocka_unit_test(test_push_closed),
		cmocka_unit_test(test_push_stop_inside),
		cmocka_unit_test(test_push_lack),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
