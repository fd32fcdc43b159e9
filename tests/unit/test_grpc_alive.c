/* What grpc does about peers that are gone, asleep, or cost too much: on bare sessions with the
 * time as an argument. test_grpc_guard.c has the same over connections. */
#include "grpc_pair.h"
#include "grpc_raw.h"

#define SECOND ((int64_t)1000000)

static const struct grpc_options defaults;

struct server {
	struct pair *pair; /* its client says nothing */
	struct grpc_session *session;
	struct buffer raw;
	struct reader reader;
	struct metrics metrics;
};

static void server_init(struct server *server, const struct grpc_limits *limits)
{
	*server = (struct server){0};
	const struct grpc_options options = {.limits = *limits, .metrics = &server->metrics};
	server->pair = pair_new(&defaults, &options);
	server->session = server->pair->server;
	add_preface(&server->raw);
}

static void server_fini(struct server *server)
{
	pair_free(server->pair);
	reader_fini(&server->reader);
	buffer_fini(&server->raw);
}

static enum err feed(struct server *server)
{
	enum err err = OK;
	if (server->raw.size > 0) {
		err = pair_input(server->pair, server->session, buffer_bytes(&server->raw));
	}
	server->raw.size = 0;
	return err;
}

/* What the server has said since the last time. */
static const char *said(struct server *server)
{
	server->reader.lines.size = 0;
	return read_all(&server->reader, server->session);
}

static int64_t pass(struct server *server, int64_t us)
{
	server->pair->now_us += us;
	return grpc_session_tick(server->session, server->pair->now_us) - server->pair->now_us;
}

static int64_t count(const struct server *server, enum metric metric)
{
	return metrics_get(&server->metrics, metric);
}

static void expect(const char *lines, const char *part)
{
	if (!strstr(lines, part)) {
		print_error("no \"%s\" in:\n%s", part, lines);
		fail();
	}
}

/* A server with a call open on stream 1, all answers read. */
static void server_with_call(struct server *server, const struct grpc_limits *limits)
{
	server_init(server, limits);
	add_request(&server->raw, 0, 1, "x", "y");
	assert_int_equal(feed(server), OK);
	(void)said(server);
}

static void add_ack(struct server *server)
{
	add_frame(&server->raw, FRAME_PING, ACK, 0, (struct bytes){"\0\0\0\0\0\0\0\0", 8});
}

/* ---- PING ---- */

static const struct grpc_limits pings = {.ping_us = 60 * SECOND, .ping_timeout_us = 20 * SECOND};

static void a_dead_peer_is_given_up(void **state)
{
	(void)state;
	struct server server;
	server_with_call(&server, &pings);
	assert_int_equal(pass(&server, 0), 60 * SECOND);
	assert_int_equal(pass(&server, 60 * SECOND - 1), 1);
	assert_string_equal(said(&server), "");
	assert_int_equal(pass(&server, 1), 20 * SECOND);
	assert_string_equal(said(&server), "PING 0\n");
	assert_int_equal(pass(&server, 20 * SECOND - 1), 1);
	assert_false(grpc_session_is_done(server.session));
	assert_int_equal(count(&server, METRIC_grpc_connections_dead), 0);
	assert_int_equal(server.pair->sides[0].ended, 0);
	(void)pass(&server, 1);
	assert_true(grpc_session_is_done(server.session));
	assert_int_equal(count(&server, METRIC_grpc_pings), 1);
	assert_int_equal(count(&server, METRIC_grpc_connections_dead), 1);
	struct side *side = &server.pair->sides[0];
	struct pair *pair = server.pair;
	grpc_session_free(server.session);
	assert_int_equal(side->status, GRPC_UNAVAILABLE);
	assert_int_equal(grpc_session_new_server(&defaults, pair_accept, pair, &pair->server), OK);
	server_fini(&server);
}

static void a_quiet_peer_is_never_given_up(void **state)
{
	(void)state;
	struct server server;
	server_with_call(&server, &pings);
	for (unsigned hour = 0; hour < 24; hour++) {
		for (unsigned i = 0; i < 45; i++) { /* of 80 s */
			(void)pass(&server, 60 * SECOND);
			assert_string_equal(said(&server), "PING 0\n");
			(void)pass(&server, 20 * SECOND - 1);
			add_ack(&server);
			assert_int_equal(feed(&server), OK);
			assert_int_equal(pass(&server, 1), 60 * SECOND - 1);
		}
	}
	assert_int_equal(count(&server, METRIC_grpc_pings), 24 * 45);
	assert_int_equal(count(&server, METRIC_grpc_connections_dead), 0);
	assert_int_equal(server.pair->sides[0].ended, 0);
	server_fini(&server);
}

/* One byte of an unfinished frame, every 79 s. */
static void any_byte_is_a_sign_of_life(void **state)
{
	(void)state;
	struct server server;
	struct buffer message = {0};
	server_with_call(&server, &pings);
	add_message(&message, 0, 1, 0, (struct bytes){"\0\x1f>]|\x9b\xba\xd9\xf8\x17", 10});
	for (size_t i = 0; i < message.size; i++) {
		(void)pass(&server, 60 * SECOND);
		assert_string_equal(said(&server), "PING 0\n");
		(void)pass(&server, 19 * SECOND);
		add(&server.raw, message.data + i, 1);
		server.pair->is_lenient = true;
		assert_int_equal(feed(&server), OK);
	}
	assert_int_equal(server.pair->sides[0].received, 1);
	assert_int_equal(count(&server, METRIC_grpc_connections_dead), 0);
	buffer_fini(&message);
	server_fini(&server);
}

/* A peer that talks is not asked. */
static void who_talks_is_not_pinged(void **state)
{
	(void)state;
	struct server server;
	server_with_call(&server, &pings);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(pass(&server, 59 * SECOND), SECOND);
		add_frame(&server.raw, FRAME_PING, 0, 0, bytes_of("12345678"));
		assert_int_equal(feed(&server), OK);
		assert_string_equal(said(&server), "PING 0 ack\n");
	}
	assert_int_equal(count(&server, METRIC_grpc_pings), 0);
	server_fini(&server);
}

/* Our own loop stood still: the acknowledgement may lie unread in the socket. */
static void a_late_tick_gives_another_chance(void **state)
{
	(void)state;
	struct server server;
	server_with_call(&server, &pings);
	(void)pass(&server, 60 * SECOND);
	assert_int_equal(pass(&server, 300 * SECOND), 20 * SECOND);
	assert_false(grpc_session_is_done(server.session));
	(void)said(&server);
	(void)pass(&server, 20 * SECOND);
	assert_true(grpc_session_is_done(server.session));
	assert_int_equal(count(&server, METRIC_grpc_connections_dead), 1);
	server_fini(&server);
}

static void nothing_is_watched_unless_asked_for(void **state)
{
	(void)state;
	struct server server;
	server_with_call(&server, &(struct grpc_limits){0});
	assert_true(pass(&server, 100000 * SECOND) > 1000000 * SECOND);
	assert_string_equal(said(&server), "");
	server_fini(&server);
}

/* A server of gRPC's Go allows few PINGs; its own are acknowledged at once, whatever waits. */
static void a_client_sends_none_and_acknowledges(void **state)
{
	(void)state;
	const struct grpc_options options = {.limits = pings};
	struct pair *pair = pair_new(&options, &defaults);
	struct reader reader = {0};
	struct buffer raw = {0};
	struct side *side = pair_call(pair, 0);
	grpc_call_pause(side->call, true);
	(void)read_all(&reader, pair->client);
	reader.lines.size = 0;
	add_frame(&raw, FRAME_SETTINGS, 0, 0, (struct bytes){0});
	add_frame(&raw, FRAME_PING, 0, 0, bytes_of("12345678"));
	assert_int_equal(pair_input(pair, pair->client, buffer_bytes(&raw)), OK);
	assert_string_equal(read_all(&reader, pair->client), "SETTINGS 0\nPING 0 ack\n");
	reader.lines.size = 0;
	for (unsigned i = 0; i < 100; i++) {
		pair->now_us += 60 * SECOND;
		assert_true(grpc_session_tick(pair->client, pair->now_us) == INT64_MAX);
	}
	assert_string_equal(read_all(&reader, pair->client), "");
	assert_int_equal(side->ended, 0);
	reader_fini(&reader);
	buffer_fini(&raw);
	pair_free(pair);
}

/* ---- connections without a call ---- */

static const struct grpc_limits idle = {.idle_us = 60 * SECOND};

static void expect_idle_end(struct server *server, const char *last)
{
	assert_int_equal(count(server, METRIC_grpc_connections_idle), 0);
	assert_int_equal(pass(server, 60 * SECOND - 1), 1);
	assert_string_equal(said(server), "");
	(void)pass(server, 1);
	assert_string_equal(said(server), last);
	assert_true(grpc_session_is_done(server->session));
	assert_int_equal(count(server, METRIC_grpc_connections_idle), 1);
	assert_int_equal(count(server, METRIC_grpc_protocol_errors), 0);
}

static void a_connection_is_there_for_calls(void **state)
{
	(void)state;
	struct server server;
	server_init(&server, &idle); /* without a preface */
	server.raw.size = 0;
	(void)said(&server);
	expect_idle_end(&server, "GOAWAY 0 0\n");
	server_fini(&server);

	server_init(&server, &idle); /* with one, and PINGs */
	assert_int_equal(feed(&server), OK);
	assert_int_equal(pass(&server, 50 * SECOND), 10 * SECOND);
	add_frame(&server.raw, FRAME_PING, 0, 0, bytes_of("12345678"));
	assert_int_equal(feed(&server), OK);
	(void)said(&server);
	(void)pass(&server, 10 * SECOND);
	assert_string_equal(said(&server), "GOAWAY 0 0\n");
	server_fini(&server);

	server_init(&server, &idle); /* with headers that do not end */
	add_request(&server.raw, 0, 1, "x", "y");
	/* the frame's type and its flags: END_HEADERS is taken away */
	char *type = memmem(server.raw.data + 24, server.raw.size - 24, "\1\4", 2);
	assert_non_null(type);
	type[1] = 0;
	assert_int_equal(feed(&server), OK);
	(void)said(&server);
	expect_idle_end(&server, "GOAWAY 0 0\n");
	server_fini(&server);

	server_init(&server, &idle); /* with a call that nobody takes */
	server.pair->refuse = GRPC_UNIMPLEMENTED;
	add_request(&server.raw, END_STREAM, 1, "x", "y");
	assert_int_equal(feed(&server), OK);
	expect(said(&server), "grpc-status=12");
	expect_idle_end(&server, "GOAWAY 0 0\n");
	server_fini(&server);
}

static void a_call_keeps_it(void **state)
{
	(void)state;
	struct server server;
	server_with_call(&server, &idle);
	assert_true(pass(&server, 1000 * SECOND) > 1000000 * SECOND);
	add_request(&server.raw, 0, 3, "x", "y");
	assert_int_equal(feed(&server), OK);
	grpc_call_finish(server.pair->sides[0].call, GRPC_OK, NULL);
	(void)said(&server);
	assert_int_equal(server.pair->sides[0].ended, 1);
	assert_true(pass(&server, 1000 * SECOND) > 1000000 * SECOND);
	grpc_call_finish(server.pair->sides[1].call, GRPC_OK, NULL);
	(void)said(&server);
	expect_idle_end(&server, "GOAWAY 0 0\n");
	server_fini(&server);
}

/* ---- what is not read ---- */

/* Stream 1 has 1000 bytes buffered and is finished; the peer's window is 0. */
static void server_with_rest(struct server *server)
{
	server_init(server, &(struct grpc_limits){.linger_us = 20 * SECOND});
	server->pair->model =
		(struct side){.to_send = 1, .message_size = 1000, .finish_when_sent = true};
	add_frame(&server->raw, FRAME_SETTINGS, 0, 0, (struct bytes){"\0\4\0\0\0\0", 6});
	add_request(&server->raw, END_STREAM, 1, "x", "y");
	server->pair->now_us += 1000 * SECOND; /* since anything was heard or ticked */
	assert_int_equal(feed(server), OK);
	expect(said(server), "HEADERS 1 :status=200");
	assert_int_equal(server->pair->sides[0].ended, 0);
	assert_int_equal(pass(server, 0), 20 * SECOND);
	assert_int_equal(pass(server, 20 * SECOND - 1), 1);
	assert_string_equal(said(server), "");
}

static void the_rest_is_waited_for(void **state)
{
	(void)state;
	struct server server;
	server_with_rest(&server);
	add_frame(&server.raw, 8, 0, 1, (struct bytes){"\0\0\x7f\xff", 4});
	assert_int_equal(feed(&server), OK);
	expect(said(&server), "DATA 1\nHEADERS 1 end grpc-status=0\n");
	assert_int_equal(server.pair->sides[0].status, GRPC_OK);
	assert_true(pass(&server, SECOND) > 1000000 * SECOND);
	assert_int_equal(count(&server, METRIC_grpc_calls_cut), 0);
	server_fini(&server);

	server_with_rest(&server);
	(void)pass(&server, 1);
	expect(said(&server), "HEADERS 1 end grpc-status=8");
	assert_int_equal(server.pair->sides[0].ended, 1);
	assert_int_equal(server.pair->sides[0].status, GRPC_RESOURCE_EXHAUSTED);
	assert_int_equal(count(&server, METRIC_grpc_calls_cut), 1);
	server_fini(&server);
}

/* ---- limits ---- */

/* `size` bytes of a message that has one more. */
static void add_unfinished(struct server *server, uint32_t stream, size_t size)
{
	struct buffer message = {0};
	struct buffer frames = {0};
	char *bytes = calloc(1, size + 1);
	assert_non_null(bytes);
	add(&message, "", 1);
	add_u32(&message, (uint32_t)size + 1);
	add(&message, bytes, size);
	for (size_t at = 0; at < message.size; at += 16384) {
		size_t left = message.size - at;
		add_frame(&frames, FRAME_DATA, 0, stream,
			(struct bytes){message.data + at, left < 16384 ? left : 16384});
	}
	add(&server->raw, frames.data, frames.size);
	free(bytes);
	buffer_fini(&message);
	buffer_fini(&frames);
}

static void bounds_unfinished_messages(void **state)
{
	(void)state;
	struct server server;
	/* the least is a message of 4 MiB and a slice */
	server_init(&server, &(struct grpc_limits){.unfinished_bytes_max = 1});
	server.pair->is_lenient = true;
	for (uint32_t stream = 1; stream <= 11; stream += 2) {
		add_request(&server.raw, 0, stream, "x", "y");
		add_unfinished(&server, stream, 1000000);
		assert_int_equal(feed(&server), OK);
		(void)said(&server);
	}
	assert_int_equal(count(&server, METRIC_grpc_messages_unfinished), 2);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(server.pair->sides[i].ended, i < 4 ? 0 : 1);
	}
	assert_int_equal(server.pair->sides[4].status, GRPC_RESOURCE_EXHAUSTED);
	/* what becomes whole, and what is reset, makes room */
	add_frame(&server.raw, FRAME_DATA, 0, 1, (struct bytes){"", 1});
	add_frame(&server.raw, FRAME_RST, 0, 3, (struct bytes){"\0\0\0\x8", 4});
	assert_int_equal(feed(&server), OK);
	(void)said(&server);
	assert_int_equal(server.pair->sides[0].received, 1);
	for (uint32_t stream = 13; stream <= 15; stream += 2) {
		add_request(&server.raw, 0, stream, "x", "y");
		add_unfinished(&server, stream, 1000000);
		assert_int_equal(feed(&server), OK);
		(void)said(&server);
	}
	assert_int_equal(count(&server, METRIC_grpc_messages_unfinished), 2);
	assert_int_equal(server.pair->sides[6].ended + server.pair->sides[7].ended, 0);
	server_fini(&server);
}

static void bounds_headers_and_calls(void **state)
{
	(void)state;
	struct server server;
	char value[1200] = "";
	memset(value, 'a', sizeof value - 1);
	server_init(&server, &(struct grpc_limits){.header_bytes_max = 1024});
	add_request(&server.raw, END_STREAM, 1, "x", value);
	assert_int_equal(feed(&server), OK);
	expect(said(&server), "grpc-status=8 grpc-message=grpc: headers are too large");
	assert_int_equal(count(&server, METRIC_grpc_headers_too_large), 1);
	server_fini(&server);

	for (unsigned knows = 0; knows < 2; knows++) { /* whether it has acknowledged SETTINGS */
		struct metrics metrics = {0};
		const struct grpc_options options = {.calls_max = 2, .metrics = &metrics};
		struct pair *pair = pair_new(&defaults, &options);
		struct reader reader = {0};
		struct buffer raw = {0};
		add_preface(&raw);
		(void)read_all(&reader, pair->server);
		if (knows) {
			add_frame(&raw, FRAME_SETTINGS, ACK, 0, (struct bytes){0});
		}
		for (uint32_t stream = 1; stream <= 5; stream += 2) {
			add_request(&raw, 0, stream, "x", "y");
		}
		(void)pair_input(pair, pair->server, buffer_bytes(&raw));
		expect(read_all(&reader, pair->server), knows ? "GOAWAY 0 1\n" : "RST 5 7\n");
		assert_int_equal(metrics_get(&metrics, METRIC_grpc_calls_refused), 1);
		assert_int_equal(metrics_get(&metrics, METRIC_grpc_calls), 2);
		reader_fini(&reader);
		buffer_fini(&raw);
		pair_free(pair);
	}
}

static void bounds_resets_and_control_frames(void **state)
{
	(void)state;
	struct server server;
	server_init(&server, &(struct grpc_limits){.resets_per_second = 2});
	server.pair->refuse = GRPC_NOT_FOUND;
	unsigned streams = 0;
	for (enum err err = OK; streams < 100 && !err; streams++) {
		add_request(&server.raw, 0, 2 * streams + 1, "x", "y");
		add_frame(
			&server.raw, FRAME_RST, 0, 2 * streams + 1, (struct bytes){"\0\0\0\x8", 4});
		err = feed(&server);
	}
	assert_int_equal(streams, 11);
	expect(said(&server), "GOAWAY 0 11\n");
	assert_int_equal(count(&server, METRIC_grpc_floods), 1);
	server_fini(&server);

	server_init(&server, &(struct grpc_limits){.control_frames_max = 200});
	unsigned frames = 0;
	for (enum err err = OK; frames < 100000 && !err; frames++) {
		add_frame(&server.raw, FRAME_PING, 0, 0, bytes_of("12345678"));
		err = feed(&server);
	}
	/* those in the output are counted no more */
	assert_in_range(frames, 200, 200 + 262144 / 17 + 100);
	expect(said(&server), "GOAWAY 0 11\n");
	assert_int_equal(count(&server, METRIC_grpc_floods), 1);
	server_fini(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dead_peer_is_given_up),
		cmocka_unit_test(a_quiet_peer_is_never_given_up),
		cmocka_unit_test(any_byte_is_a_sign_of_life),
		cmocka_unit_test(who_talks_is_not_pinged),
		cmocka_unit_test(a_late_tick_gives_another_chance),
		cmocka_unit_test(nothing_is_watched_unless_asked_for),
		cmocka_unit_test(a_client_sends_none_and_acknowledges),
		cmocka_unit_test(a_connection_is_there_for_calls),
		cmocka_unit_test(a_call_keeps_it),
		cmocka_unit_test(the_rest_is_waited_for),
		cmocka_unit_test(bounds_unfinished_messages),
		cmocka_unit_test(bounds_headers_and_calls),
		cmocka_unit_test(bounds_resets_and_control_frames),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
