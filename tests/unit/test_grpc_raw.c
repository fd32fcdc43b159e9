/* grpc's core against peers made of raw frames: what the protocol asks for, and what hostile peers
 * send. */
#include "failing.h"
#include "grpc_pair.h"
#include "grpc_raw.h"

#include <zlib.h>

static const struct grpc_options defaults;

/* ---- a server and raw bytes ---- */

struct raw_server {
	struct pair *pair; /* its client says nothing */
	struct buffer raw;
	struct reader reader;
};

static struct raw_server raw_server_new(const struct grpc_options *options)
{
	struct raw_server server = {.pair = pair_new(&defaults, options)};
	add_preface(&server.raw);
	return server;
}

static enum err feed(struct raw_server *server, size_t piece)
{
	enum err err = OK;
	for (size_t at = 0; at < server->raw.size && !err; at += piece) {
		size_t size = server->raw.size - at;
		err = pair_input(server->pair, server->pair->server,
			(struct bytes){server->raw.data + at, size < piece ? size : piece});
	}
	server->raw.size = 0;
	return err;
}

static const char *answer(struct raw_server *server, size_t piece)
{
	assert_int_equal(feed(server, piece), OK);
	return read_all(&server->reader, server->pair->server);
}

static void raw_server_free(struct raw_server *server)
{
	pair_free(server->pair);
	reader_fini(&server->reader);
	buffer_fini(&server->raw);
}

static void expect(const char *lines, const char *part)
{
	const char *seen = lines ? lines : "";
	if (!strstr(seen, part)) {
		print_error("no \"%s\" in:\n%s", part, seen);
		fail();
	}
}

static void checks_the_request(void **state)
{
	static const char *const rows[][3] = {
		/* method, content-type, answer */
		{"POST", "application/grpc", " grpc-status=5"},
		{"POST", "application/grpc+proto", " grpc-status=5"},
		{"POST", "application/grpc;charset=utf-8", " grpc-status=5"},
		{"POST", "application/grpcx", "HEADERS 1 end :status=415\n"},
		{"POST", "application/json", "HEADERS 1 end :status=415\n"},
		{"POST", "", "HEADERS 1 end :status=415\n"},
		{"GET", "application/grpc", "HEADERS 1 end :status=405\n"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct raw_server server = raw_server_new(&defaults);
		server.pair->refuse = GRPC_NOT_FOUND;
		const char *const fields[] = {":method", rows[i][0], ":scheme", "http", ":path",
			"/test.Test/Call", ":authority", "x", "content-type", rows[i][1], NULL};
		add_headers(&server.raw, END_STREAM, 1, fields);
		expect(answer(&server, 1), rows[i][2]);
		raw_server_free(&server);
	}
	struct raw_server server = raw_server_new(&defaults);
	server.pair->refuse = GRPC_NOT_FOUND;
	add_request(&server.raw, 0, 1, "x", "y"); /* its half stays open: it is told to stop */
	expect(answer(&server, 1000), "grpc-message=refused: /test.Test/Call\nRST 1 0\n");
	raw_server_free(&server);
}

static void reads_timeouts(void **state)
{
	static const struct {
		const char *text;
		int64_t us; /* -1: malformed */
	} rows[] = {{"1H", 3600000000}, {"2M", 120000000}, {"3S", 3000000}, {"4m", 4000}, {"5u", 5},
		{"6n", 1}, {"1001n", 2}, {"0n", 0}, {"99999999H", 359999996400000000},
		{"100000000m", -1}, {"m", -1}, {"5", -1}, {"", -1}, {"5x", -1}, {"-5m", -1},
		{"5 m", -1}};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct raw_server server = raw_server_new(&defaults);
		int64_t now_us = server.pair->now_us;
		add_request(&server.raw, 0, 1, "grpc-timeout", rows[i].text);
		const char *lines = answer(&server, 7);
		if (rows[i].us < 0) {
			expect(lines, " grpc-status=13 grpc-message=grpc: malformed grpc-timeout");
			raw_server_free(&server);
			continue;
		}
		struct grpc_session *session = server.pair->server;
		if (rows[i].us > 0) {
			assert_int_equal(grpc_session_tick(session, now_us), now_us + rows[i].us);
			(void)grpc_session_tick(session, now_us + rows[i].us - 1);
			assert_int_equal(server.pair->sides[0].ended, 0);
		}
		(void)grpc_session_tick(session, now_us + rows[i].us);
		assert_int_equal(server.pair->sides[0].status, GRPC_DEADLINE_EXCEEDED);
		expect(answer(&server, 1),
			"HEADERS 1 end :status=200 content-type=application/grpc "
			"grpc-accept-encoding=identity,gzip grpc-status=4");
		raw_server_free(&server);
	}
}

/* ---- gzip ---- */

static struct buffer gzip(struct bytes plain)
{
	z_stream stream = {0};
	struct buffer packed = {0};
	assert_int_equal(
		deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	size_t bound = deflateBound(&stream, plain.size);
	assert_int_equal(buffer_reserve(&packed, bound), OK);
	stream.next_in = (Bytef *)(uintptr_t)plain.data;
	stream.avail_in = (uInt)plain.size;
	stream.next_out = (Bytef *)packed.data;
	stream.avail_out = (uInt)bound;
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	packed.size = stream.total_out;
	(void)deflateEnd(&stream);
	return packed;
}

static void inflates_messages(void **state)
{
	static const size_t sizes[] = {0, 1, 1000, 4095, 4096, 4097, 99999, 100000};
	(void)state;
	struct grpc_options options = {.message_bytes_max = 100000};
	struct raw_server server = raw_server_new(&options);
	char *plain = malloc(100001);
	assert_non_null(plain);
	add_request(&server.raw, 0, 1, "grpc-encoding", "gzip");
	for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		side_fill(plain, i, sizes[i]);
		struct buffer packed = gzip((struct bytes){plain, sizes[i]});
		add_message(&server.raw, 0, 1, 1, buffer_bytes(&packed));
		buffer_fini(&packed);
	}
	side_fill(plain, 8, 50);
	add_message(
		&server.raw, END_STREAM, 1, 0, (struct bytes){plain, 50}); /* may be plain too */
	expect(answer(&server, 1),
		"HEADERS 1 end :status=200 content-type=application/grpc "
		"grpc-accept-encoding=identity,gzip grpc-status=0\n");
	assert_int_equal(server.pair->sides[0].received, 9);
	raw_server_free(&server);
	free(plain);
}

static void refuses_compressed(
	const char *encoding, unsigned char flag, struct bytes message, const char *what)
{
	struct grpc_options options = {.message_bytes_max = 100000};
	struct raw_server server = raw_server_new(&options);
	add_request(&server.raw, 0, 1, encoding ? "grpc-encoding" : "x", encoding ? encoding : "y");
	add_message(&server.raw, 0, 1, flag, message);
	const char *lines = answer(&server, 1000);
	expect(lines, what);
	expect(lines, "grpc-accept-encoding=identity,gzip");
	expect(lines, "RST 1 0\n");
	assert_int_equal(server.pair->sides[0].received, 0);
	assert_int_equal(server.pair->sides[0].ended, 1);
	raw_server_free(&server);
}

static void refuses_bad_compression(void **state)
{
	(void)state;
	char *zeros = calloc(1, 80 << 20);
	assert_non_null(zeros);
	struct buffer bomb = gzip((struct bytes){zeros, 80 << 20});
	struct buffer just = gzip((struct bytes){zeros, 100001});
	struct buffer good = gzip(bytes_of("hello"));
	free(zeros);
	assert_true(bomb.size < 100000);
	const char *too_large = "grpc-status=8 grpc-message=grpc: received message after "
				"decompression larger than max (100001 vs. 100000)";
	refuses_compressed("gzip", 1, buffer_bytes(&bomb), too_large);
	refuses_compressed("gzip", 1, buffer_bytes(&just), too_large);
	refuses_compressed("gzip", 1, bytes_of("garbage"), "grpc-status=13");
	refuses_compressed("gzip", 1, (struct bytes){0}, "grpc-status=13");
	refuses_compressed("gzip", 1, (struct bytes){good.data, good.size - 1}, "grpc-status=13");
	assert_int_equal(buffer_append_text(&good, "more"), OK);
	refuses_compressed("gzip", 1, buffer_bytes(&good), "grpc-status=13");
	refuses_compressed("deflate", 1, bytes_of("x"), "grpc-status=12");
	refuses_compressed("snappy", 1, bytes_of("x"), "grpc-status=12");
	refuses_compressed(NULL, 1, bytes_of("x"), "grpc-status=13");
	refuses_compressed("identity", 1, bytes_of("x"), "grpc-status=13");
	refuses_compressed("gzip", 2, bytes_of("x"), "grpc-status=13");
	buffer_fini(&bomb);
	buffer_fini(&just);
	buffer_fini(&good);
}

static void inflating_survives_lack(void **state)
{
	(void)state;
	struct buffer packed = gzip(bytes_of("hello"));
	for (size_t nth = 0; nth < 8; nth++) {
		struct failing failing;
		struct raw_server server = raw_server_new(&defaults);
		server.pair->is_lenient = true;
		add_request(&server.raw, 0, 1, "grpc-encoding", "gzip");
		(void)answer(&server, 1000);
		add_message(&server.raw, 0, 1, 1, buffer_bytes(&packed));
		failing_start(&failing, nth);
		(void)feed(&server, 1000);
		assert_true(failing_stop(&failing) || server.pair->sides[0].received == 1);
		raw_server_free(&server);
	}
	buffer_fini(&packed);
}

static void knows_the_size_from_the_prefix(void **state)
{
	(void)state;
	struct raw_server server = raw_server_new(&defaults);
	add_request(&server.raw, 0, 1, "x", "y");
	add_frame(&server.raw, FRAME_DATA, 0, 1, (struct bytes){"\0\xff\xff\xff\xff", 5});
	expect(answer(&server, 1),
		"grpc-status=8 grpc-message=grpc: received message larger than "
		"max (4294967295 vs. 4194304)");
	raw_server_free(&server);
	server = raw_server_new(&defaults);
	add_request(&server.raw, 0, 1, "x", "y");
	add_frame(&server.raw, FRAME_DATA, END_STREAM, 1, (struct bytes){"\0\0\0\0\2x", 6});
	expect(answer(&server, 1), "grpc-status=13");
	assert_int_equal(server.pair->sides[0].half_closed, 0);
	raw_server_free(&server);
}

/* ---- hostile peers ---- */

static void bounds_headers(void **state)
{
	(void)state;
	char *value = malloc(60001);
	assert_non_null(value);
	memset(value, 'a', 60000);
	for (size_t size = 15000; size <= 60000; size *= 2) {
		value[size] = 0;
		struct raw_server server = raw_server_new(&defaults);
		server.pair->refuse = GRPC_NOT_FOUND;
		add_request(&server.raw, END_STREAM, 1, "x", value);
		const char *lines = answer(&server, 100);
		expect(lines, size == 15000 ? "grpc-status=5" : "grpc-status=8");
		raw_server_free(&server);
		value[size] = 'a';
	}
	free(value);
}

static void bounds_resets(void **state)
{
	(void)state;
	struct metrics metrics = {0};
	struct grpc_options options = {.metrics = &metrics};
	struct raw_server server = raw_server_new(&options);
	server.pair->refuse = GRPC_NOT_FOUND;
	unsigned streams = 0;
	enum err err = OK;
	for (; streams < 5000 && !err; streams++) {
		add_request(&server.raw, 0, 2 * streams + 1, "x", "y");
		add_frame(
			&server.raw, FRAME_RST, 0, 2 * streams + 1, (struct bytes){"\0\0\0\x8", 4});
		err = feed(&server, 1000);
	}
	assert_int_equal(err, ERR_LIMIT);
	assert_in_range(streams, 400, 600);
	expect(read_all(&server.reader, server.pair->server), "GOAWAY 0 11\n");
	assert_true(grpc_session_is_done(server.pair->server));
	assert_true(metrics_get(&metrics, METRIC_grpc_floods) == 1);
	raw_server_free(&server);

	server = raw_server_new(&defaults); /* slowly it may go on for ever */
	for (streams = 0; streams < 3000; streams++) {
		add_request(&server.raw, 0, 2 * streams + 1, "x", "y");
		add_frame(
			&server.raw, FRAME_RST, 0, 2 * streams + 1, (struct bytes){"\0\0\0\x8", 4});
		server.pair->now_us += 20000;
		server.pair->side_count = 0; /* used again */
		assert_int_equal(feed(&server, 1000), OK);
		assert_int_equal(server.pair->sides[0].status, GRPC_CANCELLED);
		assert_int_equal(server.pair->sides[0].ended, 1);
		server.pair->sides[0].ended = 0;
	}
	server.pair->side_count = 0;
	raw_server_free(&server);
}

static void answers_pings_and_bounds_floods(void **state)
{
	(void)state;
	struct raw_server server = raw_server_new(&defaults);
	add_frame(&server.raw, FRAME_PING, 0, 0, bytes_of("12345678"));
	expect(answer(&server, 1000), "PING 0 ack\n");
	for (unsigned kind = FRAME_SETTINGS; kind <= FRAME_PING; kind += 2) {
		enum err err = OK;
		unsigned count = 0;
		for (; count < 100000 && !err; count++) { /* nobody takes the answers */
			add_frame(&server.raw, kind, 0, 0,
				bytes_of(kind == FRAME_PING ? "12345678" : ""));
			err = feed(&server, 1000);
		}
		assert_true(count < 100000);
		expect(read_all(&server.reader, server.pair->server), "GOAWAY 0 11\n");
		raw_server_free(&server);
		server = raw_server_new(&defaults);
	}
	raw_server_free(&server);
}

static void bounds_unread_answers(void **state)
{
	(void)state;
	struct raw_server server = raw_server_new(&defaults);
	server.pair->refuse = GRPC_NOT_FOUND;
	enum err err = OK;
	unsigned streams = 0;
	for (; streams < 100000 && !err; streams++) {
		add_request(&server.raw, END_STREAM, 2 * streams + 1, "x", "y");
		err = feed(&server, 1000);
	}
	assert_int_equal(err, ERR_LIMIT);
	assert_true(streams < 30000);
	raw_server_free(&server);
}

static void refuses_what_is_not_http2(void **state)
{
	(void)state;
	struct raw_server server = raw_server_new(&defaults);
	server.raw.size = 0;
	add(&server.raw, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
	assert_int_equal(feed(&server, 1), ERR_CORRUPT);
	(void)read_all(&server.reader, server.pair->server);
	assert_true(grpc_session_is_done(server.pair->server));
	raw_server_free(&server);
}

/* An exchange with some of everything; the client's side of it can be made again by its calls
 * alone. */
static void make_calls(struct pair *pair)
{
	for (unsigned i = 0; i < 5; i++) {
		struct side *side = pair_call(pair, (int64_t)i * 1000000);
		side->to_send = 5;
		side->message_size = (size_t)200 * i;
		side_push(side);
		if (i == 3) {
			grpc_call_cancel(side->call, GRPC_CANCELLED, "");
		} else {
			grpc_call_finish(side->call, GRPC_OK, NULL);
		}
	}
}

static void mutate(struct buffer *raw, struct test_random *random)
{
	for (uint64_t i = 1 + test_random_below(random, 8); i > 0; i--) {
		/* most often near the start, where the headers are */
		size_t bound = test_random_below(random, 2) ? raw->size : 700;
		raw->data[test_random_below(random, bound)] = (char)test_random_next(random);
	}
}

static void survive(struct pair *pair, struct grpc_session *session, struct buffer *record)
{
	struct test_random *random = &pair->random;
	struct buffer raw = {0};
	enum err err = OK;
	add(&raw, record->data, record->size);
	mutate(&raw, random);
	for (size_t at = 0, size = 0; at < raw.size && !err; at += size) {
		size = 1 + test_random_below(random, 5000);
		size = size < raw.size - at ? size : raw.size - at;
		err = pair_input(pair, session, (struct bytes){raw.data + at, size});
		struct bytes bytes = {0};
		while (!grpc_session_output(session, &bytes) && bytes.size > 0) {
			grpc_session_sent(session, 1 + test_random_below(random, bytes.size));
		}
	}
	buffer_fini(&raw);
	pair_free(pair);
}

static void survives_mutations(void **state)
{
	(void)state;
	struct buffer record = {0};
	struct buffer record_back = {0};
	struct pair *pair = pair_new(&defaults, &defaults);
	pair->record = &record;
	pair->record_back = &record_back;
	pair->chunk_max = 100000;
	pair->model.kind = SIDE_ECHO;
	make_calls(pair);
	pair_run(pair);
	grpc_session_goaway(pair->client);
	pair_run(pair);
	pair_free(pair);
	assert_true(record.size > 5000 && record_back.size > 5000);
	for (unsigned round = 0; round < 500; round++) {
		pair = pair_new(&defaults, &defaults);
		pair->is_lenient = true;
		survive(pair, pair->server, &record);
		pair = pair_new(&defaults, &defaults);
		pair->is_lenient = true;
		make_calls(pair);
		survive(pair, pair->client, &record_back);
	}
	buffer_fini(&record);
	buffer_fini(&record_back);
}

/* ---- a client and raw bytes ---- */

struct raw_client {
	struct pair *pair; /* its server says nothing */
	struct side *side;
	struct buffer raw;
	struct reader reader;
};

static struct raw_client raw_client_new(void)
{
	struct raw_client client = {.pair = pair_new(&defaults, &defaults)};
	client.side = pair_call(client.pair, 2500000);
	(void)read_all(&client.reader, client.pair->client);
	add_frame(&client.raw, FRAME_SETTINGS, 0, 0, (struct bytes){0});
	return client;
}

static void raw_client_feed(struct raw_client *client, size_t piece)
{
	for (size_t at = 0; at < client->raw.size; at += piece) {
		size_t size = client->raw.size - at;
		assert_int_equal(
			pair_input(client->pair, client->pair->client,
				(struct bytes){client->raw.data + at, size < piece ? size : piece}),
			OK);
	}
	client->raw.size = 0;
}

static void raw_client_free(struct raw_client *client)
{
	pair_free(client->pair);
	reader_fini(&client->reader);
	buffer_fini(&client->raw);
}

static void client_ends(const char *const *headers, struct bytes data, const char *const *trailers,
	enum grpc_status status, const char *text)
{
	struct raw_client client = raw_client_new();
	if (headers) {
		add_headers(&client.raw, data.data || trailers ? 0 : END_STREAM, 1, headers);
	}
	if (data.data) {
		add_frame(&client.raw, FRAME_DATA, trailers ? 0 : END_STREAM, 1, data);
	}
	if (trailers) {
		add_headers(&client.raw, END_STREAM, 1, trailers);
	}
	raw_client_feed(&client, 1);
	assert_int_equal(client.side->ended, 1);
	assert_int_equal(client.side->status, status);
	if (text) {
		assert_string_equal(client.side->text, text);
	}
	(void)read_all(&client.reader, client.pair->client);
	raw_client_free(&client);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define GOOD ":status", "200", "content-type", "application/grpc+proto"
#define NOTHING ((struct bytes){0})
#define ONE ((struct bytes){"\0\0\0\0\0", 5})

static void client_says_what_it_must(void **state)
{
	(void)state;
	struct raw_client client = raw_client_new();
	expect(client.reader.lines.data,
		"HEADERS 1 :method=POST :scheme=http :path=/test.Test/Call :authority=test:1 "
		"te=trailers content-type=application/grpc user-agent=streamer/");
	expect(client.reader.lines.data,
		" grpc-accept-encoding=identity,gzip grpc-timeout=2500000u\n");
	raw_client_free(&client);
}

static void client_reads_the_end(void **state)
{
	(void)state;
	client_ends(LIST(GOOD, "grpc-status", "5", "grpc-message", "not%20there%"), NOTHING, NULL,
		GRPC_NOT_FOUND, "not there%");
	client_ends(LIST(GOOD), ONE, LIST("grpc-status", "0"), GRPC_OK, "");
	client_ends(LIST(GOOD), ONE, LIST("grpc-status", "16", "grpc-message", "%e4%B8%96%zz%1"),
		GRPC_UNAUTHENTICATED, "\xe4\xb8\x96%zz%1");
	client_ends(LIST(GOOD), NOTHING, LIST("grpc-status", "9", "grpc-message", "a%FFb"),
		GRPC_FAILED_PRECONDITION, "a?b");
	client_ends(LIST(GOOD), NOTHING, LIST("grpc-status", "17"), GRPC_UNKNOWN, "");
	client_ends(LIST(GOOD), NOTHING, LIST("grpc-status", "x"), GRPC_UNKNOWN, "");
	client_ends(
		LIST(GOOD), NOTHING, LIST("x", "y"), GRPC_UNKNOWN, "grpc: the peer sent no status");
	client_ends(LIST(GOOD), ONE, NULL, GRPC_UNKNOWN, "grpc: the peer sent no status");
	client_ends(LIST(GOOD), (struct bytes){"\0\0\0\0\2x", 6}, LIST("grpc-status", "0"),
		GRPC_INTERNAL, "grpc: the stream ends within a message");
	client_ends(LIST(GOOD), (struct bytes){"\0\0\0\0\2x", 6}, LIST("grpc-status", "8"),
		GRPC_RESOURCE_EXHAUSTED, NULL);
	client_ends(LIST(":status", "503", "content-type", "text/html"), NOTHING, NULL,
		GRPC_UNAVAILABLE, "grpc: the answer is not gRPC's, HTTP status 503");
	client_ends(LIST(":status", "503", "content-type", "text/html"), bytes_of("<html>"), NULL,
		GRPC_UNAVAILABLE, NULL);
	client_ends(LIST(":status", "200", "content-type", "text/html"), NOTHING, NULL,
		GRPC_UNKNOWN, NULL);
	client_ends(LIST(":status", "401"), NOTHING, NULL, GRPC_UNAUTHENTICATED, NULL);
	client_ends(LIST(":status", "404"), NOTHING, NULL, GRPC_UNIMPLEMENTED, NULL);
	client_ends(LIST(":status", "418"), NOTHING, NULL, GRPC_UNKNOWN, NULL);
	client_ends(LIST(":status", "429", "grpc-status", "8"), NOTHING, NULL,
		GRPC_RESOURCE_EXHAUSTED, NULL);
	client_ends(LIST(GOOD, "grpc-encoding", "snappy"), (struct bytes){"\1\0\0\0\1x", 6},
		LIST("grpc-status", "0"), GRPC_INTERNAL, NULL);
	client_ends(LIST(GOOD), (struct bytes){"\1\0\0\0\1x", 6}, LIST("grpc-status", "0"),
		GRPC_INTERNAL, NULL);
}

static void client_passes_information_by(void **state)
{
	(void)state;
	struct raw_client client = raw_client_new();
	add_headers(&client.raw, 0, 1, LIST(":status", "103", "link", "x"));
	raw_client_feed(&client, 1);
	assert_int_equal(client.side->started, 0);
	add_headers(&client.raw, 0, 1, LIST(GOOD));
	add_frame(&client.raw, FRAME_DATA, 0, 1, ONE);
	raw_client_feed(&client, 1);
	assert_int_equal(client.side->started, 1);
	assert_int_equal(client.side->received, 1);
	add_headers(&client.raw, END_STREAM, 1, LIST("grpc-status", "0"));
	raw_client_feed(&client, 1);
	assert_int_equal(client.side->status, GRPC_OK);
	expect(read_all(&client.reader, client.pair->client), "RST 1 0\n");
	raw_client_free(&client);
}

static void client_maps_resets(void **state)
{
	static const enum grpc_status rows[] = {GRPC_INTERNAL, GRPC_INTERNAL, GRPC_INTERNAL,
		GRPC_INTERNAL, GRPC_INTERNAL, GRPC_UNKNOWN, GRPC_INTERNAL, GRPC_UNAVAILABLE,
		GRPC_CANCELLED, GRPC_INTERNAL, GRPC_INTERNAL, GRPC_RESOURCE_EXHAUSTED,
		GRPC_PERMISSION_DENIED};
	(void)state;
	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct raw_client client = raw_client_new();
		char code[4] = {0, 0, 0, (char)i};
		add_frame(&client.raw, FRAME_RST, 0, 1, (struct bytes){code, 4});
		raw_client_feed(&client, 5);
		assert_int_equal(client.side->ended, 1);
		assert_int_equal(client.side->status, rows[i]);
		raw_client_free(&client);
	}
}

static void client_waits_for_the_pause_to_end(void **state)
{
	(void)state;
	struct raw_client client = raw_client_new();
	client.side->pause_each = 1;
	add_headers(&client.raw, 0, 1, LIST(GOOD));
	add_frame(&client.raw, FRAME_DATA, 0, 1, (struct bytes){"\0\0\0\0\0\0\0\0\0\0", 10});
	add_headers(&client.raw, END_STREAM, 1, LIST("grpc-status", "0"));
	raw_client_feed(&client, 100);
	assert_int_equal(client.side->received, 1);
	assert_int_equal(client.side->ended, 0);
	client.side->is_paused = false;
	client.side->pause_each = 0;
	grpc_call_pause(client.side->call, false);
	assert_int_equal(client.side->received, 1);
	(void)read_all(&client.reader, client.pair->client);
	assert_int_equal(client.side->received, 2);
	assert_int_equal(client.side->status, GRPC_OK);
	assert_int_equal(client.side->ended, 1);
	raw_client_free(&client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checks_the_request),
		cmocka_unit_test(reads_timeouts),
		cmocka_unit_test(inflates_messages),
		cmocka_unit_test(refuses_bad_compression),
		cmocka_unit_test(inflating_survives_lack),
		cmocka_unit_test(knows_the_size_from_the_prefix),
		cmocka_unit_test(bounds_headers),
		cmocka_unit_test(bounds_resets),
		cmocka_unit_test(answers_pings_and_bounds_floods),
		cmocka_unit_test(bounds_unread_answers),
		cmocka_unit_test(refuses_what_is_not_http2),
		cmocka_unit_test(survives_mutations),
		cmocka_unit_test(client_says_what_it_must),
		cmocka_unit_test(client_reads_the_end),
		cmocka_unit_test(client_passes_information_by),
		cmocka_unit_test(client_maps_resets),
		cmocka_unit_test(client_waits_for_the_pause_to_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
