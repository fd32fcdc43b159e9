/* grpc's output: bytes that stay in their calls' buffers until they are sent, whatever becomes of
 * the call meanwhile. */
#include "grpc_pair.h"

#include <sys/uio.h>

#define PIECES_MAX 1000

static const struct grpc_options defaults;

/* The server's side of a call that has begun and has sent nothing. */
static struct side *begun(struct pair *pair)
{
	(void)pair_call(pair, 0);
	pair_run(pair);
	struct side *server = pair_server_side(pair);
	assert_non_null(server);
	return server;
}

static void push(struct side *side, unsigned messages, size_t size)
{
	side->to_send += messages;
	side->message_size = size;
	side_push(side);
}

/* A copy of all that would be written now; nothing of it is sent yet. */
static size_t copy_output(struct grpc_session *session, struct buffer *copy)
{
	struct iovec pieces[PIECES_MAX];
	size_t count = 0;
	assert_int_equal(grpc_session_pieces(session, pieces, PIECES_MAX, &count), OK);
	for (size_t i = 0; i < count; i++) {
		struct bytes bytes = {pieces[i].iov_base, pieces[i].iov_len};
		assert_true(bytes.size > 0);
		assert_int_equal(buffer_append(copy, bytes), OK);
	}
	return count;
}

static void send_all(struct pair *pair, struct grpc_session *session, struct buffer *sent)
{
	struct bytes bytes = {0};
	while (grpc_session_output(session, &bytes) == OK && bytes.size > 0) {
		bytes.size = 1 + test_random_below(&pair->random, bytes.size);
		assert_int_equal(buffer_append(sent, bytes), OK);
		grpc_session_sent(session, bytes.size);
	}
}

static void bytes_outlive_their_call(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 3; how++) {
		struct pair *pair = pair_new(&defaults, &defaults);
		struct side *server = begun(pair);
		struct buffer promised = {0};
		struct buffer sent = {0};
		push(server, 6, 9000);
		assert_true(copy_output(pair->server, &promised) > 3);
		assert_true(promised.size > (size_t)6 * 9000);
		struct bytes some = {promised.data, 12000}; /* ends within a frame */
		assert_int_equal(buffer_append(&sent, some), OK);
		grpc_session_sent(pair->server, some.size);
		grpc_call_cancel(server->call, how == 0 ? GRPC_CANCELLED : GRPC_INTERNAL, "");
		(void)grpc_session_tick(pair->server, pair->now_us);
		assert_int_equal(server->ended, 1); /* and the call is freed */
		if (how < 2) {
			send_all(pair, pair->server, &sent);
			assert_true(sent.size > promised.size); /* the end behind it */
			assert_memory_equal(sent.data, promised.data, promised.size);
		}
		buffer_fini(&promised);
		buffer_fini(&sent);
		pair_free(pair); /* with bytes that nobody takes */
	}
}

static void a_buffer_moves_between_writes(void **state)
{
	(void)state;
	struct pair *pair = pair_new(&defaults, &defaults);
	struct side *server = begun(pair);
	struct buffer promised = {0};
	push(server, 1, 9000);
	assert_true(copy_output(pair->server, &promised) > 1);
	push(server, 20, 9000); /* which the first buffer has no room for */
	pair_run(pair);
	assert_int_equal(pair->sides[0].received, 21); /* each as it was sent */
	buffer_fini(&promised);
	pair_free(pair);
}

/* What has not been sent counts: there is room when the socket has taken enough. */
static void a_buffer_is_full_until_it_is_sent(void **state)
{
	const struct grpc_options options = {.send_buffer_bytes = 100000};
	(void)state;
	struct pair *pair = pair_new(&defaults, &options);
	struct side *server = begun(pair);
	struct buffer promised = {0};
	push(server, 30, 9000);
	unsigned before = server->sent;
	assert_in_range(before, 10, 11);
	(void)copy_output(pair->server, &promised);
	assert_int_equal(server->sent, before);
	grpc_session_sent(pair->server, promised.size);
	promised.size = 0;
	(void)copy_output(pair->server, &promised);
	assert_in_range(server->sent, before + 10, before + 11);
	buffer_fini(&promised);
	pair_free(pair);
}

static void more_frames_than_pieces(void **state)
{
	(void)state;
	struct pair *pair = pair_new(&defaults, &defaults);
	struct buffer promised = {0};
	pair->model.to_send = 1;
	pair->model.message_size = 5000;
	pair->client_is_deaf = true;
	for (unsigned i = 0; i < 100; i++) {
		(void)pair_call(pair, 0);
	}
	pair_run(pair);
	assert_true(copy_output(pair->server, &promised) > 100);
	assert_true(promised.size < (size_t)100 * 5000);
	pair->client_is_deaf = false;
	pair_run(pair);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(pair->sides[i].received, 1);
	}
	buffer_fini(&promised);
	pair_free(pair);
}

/* One buffer goes round; a call that does not get its bytes away keeps it. */
static void calls_are_lent_a_buffer(void **state)
{
	struct grpc_lent lent = {0};
	const struct grpc_options options = {.lent = &lent};
	(void)state;
	struct pair *pair = pair_new(&defaults, &options);
	struct side *first = begun(pair);
	struct side *second = begun(pair);
	assert_ptr_not_equal(first, second);
	push(first, 3, 9000);
	assert_null(lent.data);
	pair_run(pair);
	const char *buffer = lent.data;
	assert_non_null(buffer);
	push(second, 3, 9000);
	assert_null(lent.data); /* the second one has it, */
	push(first, 3, 9000);   /* and the first one another */
	pair_run(pair);
	assert_non_null(lent.data);
	push(first, 1, 9000);
	assert_null(lent.data);
	grpc_call_cancel(first->call, GRPC_CANCELLED, "");
	assert_non_null(lent.data); /* nothing of it was framed */
	pair_run(pair);
	assert_int_equal(pair->sides[2].received, 3);
	pair_free(pair);
	grpc_lent_fini(&lent);
	assert_null(lent.data);
}

static void a_call_is_asked_for_more(void **state)
{
	(void)state;
	struct pair *pair = pair_new(&defaults, &defaults);
	struct side *server = begun(pair);
	unsigned before = server->writable;
	unsigned rings = pair->rings;
	grpc_call_ask(server->call);
	assert_int_equal(server->writable, before); /* later, */
	assert_int_equal(pair->rings, rings + 1);   /* for which the session asks to be called */
	server->to_send = 1;
	server->message_size = 10;
	pair_run(pair);
	assert_int_equal(server->writable, before + 2); /* asked for, and run empty */
	assert_int_equal(pair->sides[0].received, 1);
	grpc_call_finish(server->call, GRPC_OK, NULL);
	grpc_call_ask(server->call); /* nothing more can be sent */
	pair_run(pair);
	assert_int_equal(server->writable, before + 2);
	pair_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_outlive_their_call),
		cmocka_unit_test(a_buffer_moves_between_writes),
		cmocka_unit_test(a_buffer_is_full_until_it_is_sent),
		cmocka_unit_test(more_frames_than_pieces),
		cmocka_unit_test(calls_are_lent_a_buffer),
		cmocka_unit_test(a_call_is_asked_for_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
