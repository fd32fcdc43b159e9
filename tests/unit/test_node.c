/*
 * The public library as its users have it, through streamer.h alone: every case that speaks of
 * streams runs on a local one and on one over gRPC, with one worker and with three.
 */
#include "node_rig.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- subscribe, receive ------------------------------------------------------------------------
 */

static void delivers(struct end *end)
{
	const struct streamer_filter adult = {"age", ">", "18"};
	const struct streamer_filter ada = {"_id", "==", "\"ada\""};
	struct streamer_subscription subscription = users("adults", &adult, 1);
	subscribe(end, &subscription);
	subscription = users("ada", &ada, 1);
	subscribe(end, &subscription);
	subscription = users("all", NULL, 0);
	subscribe(end, &subscription);

	struct streamer_item item;
	push_user(end->streamer, "insert", "ada", 36);
	next(end->stream, &item);
	assert_int_equal(item.kind, STREAMER_DELIVERY);
	assert_int_equal(item.operation, STREAMER_INSERT);
	assert_bytes(item.database, "d");
	assert_bytes(item.collection, "users");
	assert_bytes(item.document_id, "ada");
	assert_true(contains(item.document, "\"age\":36"));
	assert_true(item.event_id.size > 0);
	assert_true(item.timestamp_ms > 0);
	assert_true(item.received_us > 0);
	assert_int_equal(item.subscription_ids_count, 3);
	assert_bytes(item.subscription_ids[0], "ada");
	assert_bytes(item.subscription_ids[1], "all");
	assert_bytes(item.subscription_ids[2], "adults");

	push_user(end->streamer, "update", "bob", 3);
	next(end->stream, &item);
	assert_int_equal(item.operation, STREAMER_UPDATE);
	assert_int_equal(item.subscription_ids_count, 1);
	assert_bytes(item.subscription_ids[0], "all");
	assert_int_equal(streamer_receive(end->stream, &item), STREAMER_EMPTY);
}

static void test_delivers(void **state)
{
	(void)state;
	on_both_kinds(delivers);
}

static void refuses(struct end *end)
{
	const struct streamer_filter wrong = {"age", "eq", "18"};
	struct streamer_subscription subscription = users("wrong", &wrong, 1);
	struct streamer_item item;
	assert_int_equal(streamer_subscribe(end->stream, &subscription, NULL, NULL), STREAMER_OK);
	next(end->stream, &item);
	assert_int_equal(item.kind, STREAMER_ANSWER);
	assert_false(item.accepted);
	assert_bytes(item.subscription_id, "wrong");
	assert_true(contains(item.text, "failed to compile filters: unsupported operator: eq"));

	subscription = users("twice", NULL, 0);
	subscribe(end, &subscription);
	assert_int_equal(streamer_subscribe(end->stream, &subscription, NULL, NULL), STREAMER_OK);
	next(end->stream, &item);
	assert_false(item.accepted);
	assert_bytes(item.text, "subscription ID already exists");

	static const char *const no_values[] = {
		"", "nonsense", "null", "{\"a\":1}", "[1,null]", "18446744073709551615"};
	for (size_t i = 0; i < sizeof(no_values) / sizeof(no_values[0]); i++) {
		const struct streamer_filter bad = {"age", "==", no_values[i]};
		struct streamer_failure failure = {0};
		subscription = users("bad", &bad, 1);
		assert_int_equal(streamer_subscribe(end->stream, &subscription, &failure, NULL),
			STREAMER_INVALID);
		assert_true(strlen(failure.text) > 0);
	}
	subscription = (struct streamer_subscription){.id = "none", .database = "d"};
	assert_int_equal(
		streamer_subscribe(end->stream, &subscription, NULL, NULL), STREAMER_INVALID);
	assert_int_equal(streamer_receive(end->stream, &item), STREAMER_EMPTY);
}

static void test_refuses(void **state)
{
	(void)state;
	on_both_kinds(refuses);
}

static void makes_ids_up(struct end *end)
{
	struct streamer_subscription subscription = users(NULL, NULL, 0);
	char first[STREAMER_ID_SIZE] = "";
	char second[STREAMER_ID_SIZE] = "";
	struct streamer_item item;
	assert_int_equal(streamer_subscribe(end->stream, &subscription, NULL, first), STREAMER_OK);
	assert_int_equal(streamer_subscribe(end->stream, &subscription, NULL, second), STREAMER_OK);
	assert_int_equal(strlen(first), STREAMER_ID_SIZE - 1);
	assert_string_not_equal(first, second);
	next(end->stream, &item);
	assert_bytes(item.subscription_id, first);
	next(end->stream, &item);
	assert_bytes(item.subscription_id, second);
}

static void test_makes_ids_up(void **state)
{
	(void)state;
	on_both_kinds(makes_ids_up);
}

static void unsubscribes(struct end *end)
{
	struct streamer_subscription subscription = users("going", NULL, 0);
	struct streamer_item item;
	subscribe(end, &subscription);
	assert_int_equal(streamer_unsubscribe(end->stream, "going"), STREAMER_OK);
	assert_int_equal(streamer_unsubscribe(end->stream, "unknown"), STREAMER_OK);
	subscription = users("staying", NULL, 0);
	subscribe(end, &subscription); /* its answer comes behind the two before */
	push_user(end->streamer, "insert", "ada", 36);
	next(end->stream, &item);
	assert_int_equal(item.subscription_ids_count, 1);
	assert_bytes(item.subscription_ids[0], "staying");
}

static void test_unsubscribes(void **state)
{
	(void)state;
	on_both_kinds(unsubscribes);
}

/* Deletes name their document by a hash: who asked for it by id is told, whoever has seen it. */
static void tells_deletes(struct end *end)
{
	const struct streamer_filter seen = {"_id", "==", "\"seen\""};
	const struct streamer_filter unseen = {"_id", "==", "\"unseen\""};
	const struct streamer_filter purged = {"_id", "in", "[\"other\", \"purged\"]"};
	const struct streamer_filter adult = {"age", ">", "18"};
	struct streamer_subscription subscription = users("seen", &seen, 1);
	subscribe(end, &subscription);
	subscription = users("unseen", &unseen, 1);
	subscribe(end, &subscription);
	subscription = users("purged", &purged, 1);
	subscribe(end, &subscription);
	subscription = users("adults", &adult, 1);
	subscribe(end, &subscription);

	struct streamer_item item;
	push_user(end->streamer, "insert", "seen", 3);
	next(end->stream, &item);
	push_user(end->streamer, "delete", "seen", 3);
	next(end->stream, &item);
	assert_int_equal(item.operation, STREAMER_DELETE);
	assert_bytes(item.document_id, "seen");
	assert_int_equal(item.subscription_ids_count, 1);
	push_user(end->streamer, "delete", "unseen", 3);
	next(end->stream, &item);
	assert_int_equal(item.operation, STREAMER_DELETE);
	assert_bytes(item.document_id, "unseen");
	assert_bytes(item.collection, "users");
	assert_bytes(item.subscription_ids[0], "unseen");

	push_user(end->streamer, "insert", "purged", 3);
	next(end->stream, &item);
	push(end->streamer,
		"{\"op_type\":\"delete\",\"event_id\":\"1767225600-900-00\",\"mgo_doc_id\":"
		"\"d:023c24467c31b8c0025a7ab9c293ce3c\"}");
	next(end->stream, &item);
	assert_bytes(item.document_id, "purged");
	assert_bytes(item.database, "d");
	assert_int_equal(item.document.size, 0);

	subscription = users("all", NULL, 0);
	subscribe(end, &subscription);
	push_user(end->streamer, "delete", "nobody", 3);
	next(end->stream, &item);
	assert_int_equal(item.operation, STREAMER_DELETE);
	assert_int_equal(item.document_id.size, 0);
	assert_int_equal(item.document_hash.size, 16);
	assert_bytes(item.subscription_ids[0], "all");
}

static void test_tells_deletes(void **state)
{
	(void)state;
	on_both_kinds(tells_deletes);
}

/* ---- many changes ------------------------------------------------------------------------------
 */

#define CHANGES 5000

/* Pushes as fast as it goes; FULL is waited for on the engine's descriptor. */
static int push_all(struct streamer *streamer)
{
	int fulls = 0;
	for (int i = 0; i < CHANGES;) {
		char change[256];
		(void)snprintf(change, sizeof(change),
			"{\"op\":\"insert\",\"database\":\"d\",\"collection\":\"users\","
			"\"id\":\"u%d\",\"data\":{\"age\":%d}}",
			i, i);
		enum streamer_err err = streamer_push(streamer, change, strlen(change), NULL);
		if (err == STREAMER_OK) {
			i++;
			continue;
		}
		assert_int_equal(err, STREAMER_FULL);
		fulls++;
		struct pollfd readable = {.fd = streamer_fd(streamer), .events = POLLIN};
		assert_int_equal(poll(&readable, 1, WAIT_MS), 1);
		struct streamer_status status;
		streamer_status(streamer, &status);
	}
	return fulls;
}

static void test_full_loses_nothing(void **state)
{
	(void)state;
	struct streamer_options options = quiet_options();
	set(&options, "workers", "2");
	set(&options, "ring-events", "16");
	struct streamer *streamer = open_engine(&options);
	struct end ends[4];
	for (size_t i = 0; i < 4; i++) {
		struct streamer_subscription subscription = users("all", NULL, 0);
		ends[i].streamer = streamer;
		assert_int_equal(streamer_stream_open(streamer, &ends[i].stream), STREAMER_OK);
		subscribe(&ends[i], &subscription);
	}
	(void)push_all(streamer);
	for (size_t i = 0; i < 4; i++) {
		for (int number = 0; number < CHANGES; number++) {
			struct streamer_item item;
			char id[32];
			(void)snprintf(id, sizeof(id), "u%d", number);
			next(ends[i].stream, &item);
			assert_int_equal(item.kind, STREAMER_DELIVERY);
			assert_bytes(item.document_id, id);
		}
		streamer_stream_close(ends[i].stream);
	}
	struct streamer_status status;
	streamer_status(streamer, &status);
	assert_int_equal(status.source, STREAMER_SOURCE_LIVE);
	assert_int_equal(status.events, CHANGES);
	assert_int_equal(status.routed, CHANGES);
	streamer_close(streamer);
}

static void closes_with_much_queued(struct end *end)
{
	struct streamer_subscription subscription = users("all", NULL, 0);
	subscribe(end, &subscription);
	(void)push_all(end->streamer);
}

static void test_closes_with_much_queued(void **state)
{
	(void)state;
	on_both_kinds(closes_with_much_queued);
}

static void test_slow_stream_ends(void **state)
{
	(void)state;
	struct streamer_options options = quiet_options();
	set(&options, "queue_hard_bytes", "65536");
	set(&options, "queue_soft_bytes", "65536");
	struct end end = {.streamer = open_engine(&options)};
	struct streamer_subscription subscription = users("all", NULL, 0);
	assert_int_equal(streamer_stream_open(end.streamer, &end.stream), STREAMER_OK);
	subscribe(&end, &subscription);
	(void)push_all(end.streamer);
	struct streamer_item item = {0};
	while (item.kind != STREAMER_END) {
		next(end.stream, &item);
	}
	assert_int_equal(item.why, STREAMER_LIMIT);
	assert_true(contains(item.text, "queue_hard_bytes"));
	assert_int_equal(streamer_receive(end.stream, &item), STREAMER_CLOSED);
	assert_int_equal(
		streamer_subscribe(end.stream, &subscription, NULL, NULL), STREAMER_CLOSED);
	streamer_stream_close(end.stream);
	streamer_close(end.streamer);
}

/* ---- ends and errors ---------------------------------------------------------------------------
 */

static void test_engine_gone(void **state)
{
	(void)state;
	struct streamer_options options = quiet_options();
	options.listen_address = "localhost:0";
	struct end end = {.streamer = open_engine(&options)};
	struct streamer_item item;
	assert_int_equal(
		streamer_connect(streamer_address(end.streamer), NULL, &end.stream), STREAMER_OK);
	next(end.stream, &item);
	struct streamer_subscription subscription = users("all", NULL, 0);
	subscribe(&end, &subscription);
	push_user(end.streamer, "insert", "last", 1);
	streamer_close(end.streamer);
	bool is_told = false;
	bool is_delivered = false; /* what was queued still comes */
	while (!is_told || !is_delivered) {
		next(end.stream, &item);
		is_told = is_told || item.kind == STREAMER_STATE;
		is_delivered = is_delivered || item.kind == STREAMER_DELIVERY;
		if (item.kind == STREAMER_STATE) {
			assert_int_equal(item.connection, STREAMER_RECONNECTING);
			assert_true(item.text.size > 0);
		}
	}
	streamer_stream_close(end.stream);
}

/* The signals that a thread of this process has blocked. */
static unsigned long long blocked_by(const char *thread)
{
	char line[512];
	unsigned long long mask = 0;
	(void)snprintf(line, sizeof(line), "/proc/self/task/%s/status", thread);
	FILE *status = fopen(line, "r");
	assert_non_null(status);
	while (fgets(line, sizeof(line), status)) {
		if (strncmp(line, "SigBlk:", 7) == 0) {
			mask = strtoull(line + 7, NULL, 16);
		}
	}
	(void)fclose(status);
	return mask;
}

/* The program's signals come to the program's threads, which may wait for them. */
static void test_threads_see_no_signals(void **state)
{
	(void)state;
	struct streamer_options options = quiet_options();
	options.listen_address = "localhost:0";
	assert_int_equal(streamer_options_set(&options, "workers", "3", NULL), STREAMER_OK);
	struct streamer *streamer = open_engine(&options);
	struct streamer_stream *remote = NULL;
	struct streamer_item item;
	assert_int_equal(streamer_connect(streamer_address(streamer), NULL, &remote), STREAMER_OK);
	next(remote, &item); /* a thread that has not begun sees no signals yet */
	DIR *threads = opendir("/proc/self/task");
	assert_non_null(threads);
	size_t count = 0;
	for (struct dirent *one = readdir(threads); one; one = readdir(threads)) {
		if (one->d_name[0] != '.' && strtol(one->d_name, NULL, 10) != getpid()) {
			unsigned long long mask = blocked_by(one->d_name);
			assert_true(mask & 1ULL << (SIGTERM - 1));
			assert_true(mask & 1ULL << (SIGINT - 1));
			assert_true(mask & 1ULL << (SIGCHLD - 1));
			count++;
		}
	}
	(void)closedir(threads);
	assert_true(count >= 5); /* three workers, the acceptor, the remote stream */
	sigset_t ours;
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &ours), 0);
	assert_false(sigismember(&ours, SIGTERM)); /* the caller's mask is as it was */
	streamer_stream_close(remote);
	streamer_close(streamer);
}

static void wait_for(struct streamer_stream *stream, enum streamer_item_kind kind,
	struct streamer_item *ret_item)
{
	do {
		next(stream, ret_item);
	} while (ret_item->kind != kind);
}

/* Another engine at the same address: everything is subscribed to there, and a gap is told. */
static void test_engine_comes_back(void **state)
{
	(void)state;
	char address[64];
	struct streamer_options options = quiet_options();
	struct streamer_connect_options connect;
	options.listen_address = "localhost:0";
	struct end end = {.streamer = open_engine(&options)};
	struct streamer_item item;
	(void)snprintf(address, sizeof(address), "%s", streamer_address(end.streamer));
	streamer_connect_options_init(&connect);
	connect.address = address;
	connect.gateway_id = "test";
	connect.backoff_min_ms = 1;
	connect.backoff_max_ms = 20;
	assert_int_equal(streamer_connect_with(&connect, NULL, &end.stream), STREAMER_OK);
	next(end.stream, &item);
	assert_int_equal(item.connection, STREAMER_CONNECTED);
	struct streamer_subscription subscription = users("all", NULL, 0);
	subscribe(&end, &subscription);
	push_user(end.streamer, "insert", "before", 1);
	wait_for(end.stream, STREAMER_DELIVERY, &item);
	assert_bytes(item.document_id, "before");
	assert_true(item.position.size > 0);
	assert_false(item.replayed);
	streamer_close(end.streamer);
	options.listen_address = address;
	end.streamer = open_engine(&options);
	wait_for(end.stream, STREAMER_STATE, &item);
	assert_int_equal(item.connection, STREAMER_RECONNECTING);
	wait_for(end.stream, STREAMER_STATE, &item);
	assert_int_equal(item.connection, STREAMER_CONNECTED);
	wait_for(end.stream, STREAMER_GAP, &item);
	assert_int_equal(item.subscription_ids_count, 0);
	push_user(end.streamer, "insert", "after", 1);
	wait_for(end.stream, STREAMER_DELIVERY, &item);
	assert_bytes(item.document_id, "after");
	assert_bytes(item.subscription_ids[0], "all");
	streamer_stream_close(end.stream);
	streamer_close(end.streamer);
}

/* What came between two streams comes to the second, as soon as it has subscribed to everything. */
static void test_goes_on_behind_a_position(void **state)
{
	(void)state;
	char position[256];
	struct streamer_options options = quiet_options();
	struct streamer_connect_options connect;
	options.listen_address = "localhost:0";
	struct end end = {.streamer = open_engine(&options)};
	struct streamer_item item;
	streamer_connect_options_init(&connect);
	connect.address = streamer_address(end.streamer);
	assert_int_equal(streamer_connect_with(&connect, NULL, &end.stream), STREAMER_OK);
	next(end.stream, &item);
	struct streamer_subscription subscription = users("all", NULL, 0);
	subscribe(&end, &subscription);
	push_user(end.streamer, "insert", "first", 1);
	wait_for(end.stream, STREAMER_DELIVERY, &item);
	memcpy(position, item.position.data, item.position.size);
	connect.after = (struct streamer_bytes){position, item.position.size};
	streamer_stream_close(end.stream);
	push_user(end.streamer, "insert", "between", 1);
	assert_int_equal(streamer_connect_with(&connect, NULL, &end.stream), STREAMER_OK);
	next(end.stream, &item);
	subscribe(&end, &subscription);
	assert_int_equal(streamer_resume(end.stream), STREAMER_OK);
	next(end.stream, &item);
	assert_int_equal(item.kind, STREAMER_DELIVERY);
	assert_bytes(item.document_id, "between");
	assert_true(item.replayed);
	streamer_stream_close(end.stream);
	streamer_close(end.streamer);
}

static void test_wrong_connect_options(void **state)
{
	(void)state;
	char long_name[300] = "";
	struct streamer_connect_options good;
	memset(long_name, 'x', sizeof(long_name) - 1);
	streamer_connect_options_init(&good);
	good.address = "localhost:1";
	struct streamer_connect_options wrong[9];
	for (size_t i = 0; i < 9; i++) {
		wrong[i] = good;
	}
	wrong[0].address = NULL;
	wrong[1].gateway_id = long_name;
	wrong[2].gateway_id = "\xFF";
	wrong[3].after = (struct streamer_bytes){long_name, 257};
	wrong[4].heartbeat_ms = 0;
	wrong[5].activity_ms = wrong[5].heartbeat_ms;
	wrong[6].backoff_max_ms = wrong[6].backoff_min_ms - 1;
	wrong[7].message_bytes_max = 65535;
	wrong[8].queue_bytes_max = 0;
	for (size_t i = 0; i < 9; i++) {
		struct streamer_failure failure = {0};
		struct streamer_stream *stream = NULL;
		assert_int_equal(
			streamer_connect_with(&wrong[i], &failure, &stream), STREAMER_INVALID);
		assert_true(failure.text[0]);
		assert_null(stream);
	}
}

static void test_nobody_there(void **state)
{
	(void)state;
	int taken = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof(address);
	assert_int_equal(bind(taken, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(taken, (struct sockaddr *)&address, &size), 0);
	char text[64];
	(void)snprintf(text, sizeof(text), "127.0.0.1:%d", ntohs(address.sin_port));

	struct streamer_stream *stream = NULL;
	struct streamer_item item;
	assert_int_equal(streamer_connect(text, NULL, &stream), STREAMER_OK);
	next(stream, &item); /* bound, but nobody listens */
	assert_int_equal(item.kind, STREAMER_STATE);
	assert_int_equal(item.connection, STREAMER_RECONNECTING);
	assert_true(contains(item.text, text));
	streamer_stream_close(stream);
	(void)close(taken);

	struct streamer_failure failure = {0};
	assert_int_equal(streamer_connect("no address", &failure, &stream), STREAMER_INVALID);
	assert_non_null(strstr(failure.text, "no address"));
}

static void test_wrong_options(void **state)
{
	(void)state;
	struct streamer_options options = quiet_options();
	struct streamer_failure failure = {0};
	assert_int_equal(
		streamer_options_set(&options, "workers", "0", &failure), STREAMER_INVALID);
	assert_non_null(strstr(failure.text, "1 to 256"));
	assert_int_equal(
		streamer_options_set(&options, "workers", "4x", &failure), STREAMER_INVALID);
	assert_int_equal(
		streamer_options_set(&options, "worker", "4", &failure), STREAMER_NOT_FOUND);
	assert_non_null(strstr(failure.text, "worker"));
	struct streamer *streamer = NULL;
	options.source = STREAMER_PULLER;
	assert_int_equal(streamer_open(&options, &failure, &streamer), STREAMER_INVALID);
	assert_non_null(strstr(failure.text, "source_address"));
	options = quiet_options();
	options.listen_address = "localhost:notaport";
	assert_int_equal(streamer_open(&options, &failure, &streamer), STREAMER_INVALID);
	assert_non_null(strstr(failure.text, "notaport"));

	options.listen_address = "localhost:0";
	streamer = open_engine(&options);
	struct streamer *second = NULL;
	options.listen_address = streamer_address(streamer);
	assert_int_not_equal(streamer_open(&options, &failure, &second), STREAMER_OK);
	assert_non_null(strstr(failure.text, options.listen_address));
	streamer_close(streamer);
}

static void test_options_list(void **state)
{
	(void)state;
	struct streamer_option option;
	size_t count = 0;
	while (streamer_option_at(count, &option)) {
		assert_true(option.least <= option.standard && option.standard <= option.most);
		assert_true(strlen(option.help) > 0);
		count++;
	}
	assert_true(count > 10);
	assert_string_equal(streamer_err_text(STREAMER_OK), "ok");
	assert_string_equal(streamer_operation_name(STREAMER_INSERT), "INSERT");
	assert_string_equal(streamer_operation_name(STREAMER_UPDATE), "UPDATE");
	assert_string_equal(streamer_operation_name(STREAMER_DELETE), "DELETE");
	assert_string_equal(streamer_operation_name((enum streamer_operation)0), "OTHER");
	assert_non_null(strchr(streamer_version(), '.'));
}

static void test_bad_changes(void **state)
{
	(void)state;
	struct streamer_options options = quiet_options();
	struct streamer *streamer = open_engine(&options);
	static const char *const bad[] = {"", "{", "[]", "{}", "{\"op\":\"insert\"}",
		("{\"op\":\"insert\",\"database\":\"d\",\"collection\":\"c\",\"id\":\"i\","
		 "\"data\":{\"a\":1e999}}")};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct streamer_failure failure = {0};
		if (streamer_push(streamer, bad[i], strlen(bad[i]), &failure) != STREAMER_INVALID) {
			fail_msg("taken: %s", bad[i]);
		}
		assert_true(strlen(failure.text) > 0);
	}
	push_user(streamer, "insert", "good", 1);
	streamer_close(streamer);

	options.source = STREAMER_NDJSON;
	options.source_address = "/dev/null";
	streamer = open_engine(&options);
	assert_int_equal(streamer_push(streamer, "{}", 2, NULL), STREAMER_UNSUPPORTED);
	streamer_close(streamer);
}

/* ---- a file as the source
 * ------------------------------------------------------------------------ */

static void await_source(struct streamer *streamer, enum streamer_source_state wanted)
{
	struct streamer_status status;
	for (;;) {
		streamer_status(streamer, &status);
		if (status.source == wanted && status.events == status.routed) {
			return;
		}
		struct pollfd readable = {.fd = streamer_fd(streamer), .events = POLLIN};
		assert_int_equal(poll(&readable, 1, WAIT_MS), 1);
	}
}

static void test_follows_a_pipe(void **state)
{
	(void)state;
	char folder[] = "/tmp/test_node-XXXXXX";
	char path[64];
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/changes", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	struct streamer_options options = quiet_options();
	options.source = STREAMER_NDJSON;
	options.source_address = path;
	struct end end = {.streamer = open_engine(&options)};
	assert_int_equal(streamer_stream_open(end.streamer, &end.stream), STREAMER_OK);
	struct streamer_subscription subscription = users("all", NULL, 0);
	subscribe(&end, &subscription);
	FILE *pipe = fopen(path, "w");
	assert_non_null(pipe);
	for (int i = 0; i < 3; i++) {
		(void)fprintf(pipe,
			"{\"op\":\"insert\",\"database\":\"d\",\"collection\":\"users\","
			"\"id\":\"u%d\",\"data\":{}}\n",
			i);
	}
	assert_int_equal(fclose(pipe), 0);
	for (int i = 0; i < 3; i++) {
		struct streamer_item item;
		next(end.stream, &item);
		assert_int_equal(item.kind, STREAMER_DELIVERY);
	}
	await_source(end.streamer, STREAMER_SOURCE_ENDED);
	char text[65536];
	size_t length = streamer_metrics(end.streamer, text, sizeof(text));
	assert_true(length > 0 && length < sizeof(text));
	assert_non_null(strstr(text, "streamer_events_received_total 3"));
	assert_int_equal(streamer_metrics(end.streamer, text, 10), length);
	assert_int_equal(strlen(text), 9);
	streamer_stream_close(end.stream);
	streamer_close(end.streamer);
	(void)unlink(path);
	(void)rmdir(folder);
}

static void test_no_such_file(void **state)
{
	(void)state;
	struct streamer_options options = quiet_options();
	options.source = STREAMER_NDJSON;
	options.source_address = "/nonexistent/changes.ndjson";
	struct streamer *streamer = open_engine(&options);
	await_source(streamer, STREAMER_SOURCE_FAILED);
	streamer_close(streamer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delivers),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_makes_ids_up),
		cmocka_unit_test(test_unsubscribes),
		cmocka_unit_test(test_tells_deletes),
		cmocka_unit_test(test_full_loses_nothing),
		cmocka_unit_test(test_closes_with_much_queued),
		cmocka_unit_test(test_slow_stream_ends),
		cmocka_unit_test(test_engine_gone),
		cmocka_unit_test(test_threads_see_no_signals),
		cmocka_unit_test(test_engine_comes_back),
		cmocka_unit_test(test_goes_on_behind_a_position),
		cmocka_unit_test(test_wrong_connect_options),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_wrong_options),
		cmocka_unit_test(test_options_list),
		cmocka_unit_test(test_bad_changes),
		cmocka_unit_test(test_follows_a_pipe),
		cmocka_unit_test(test_no_such_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
