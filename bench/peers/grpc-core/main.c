/*
 * The server of `streamer bench delivery --server PROGRAM` on gRPC's C core, which grpcio and gRPC
 * for C++ stand on. It is given what it needs to be fast: an event is encoded before anybody asks,
 * and copied once for each stream, which is the least that ids of the stream's own take; and each
 * write says that another one follows.
 */
#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS 1024 /* distinct ones, as the Streamer has */
#define STREAMS_MAX 1000

struct server {
	grpc_server *core;
	grpc_completion_queue *queue;
	char *events[EVENTS];
	size_t message_bytes;
};

struct call {
	grpc_call *core; /* NULL: it waits for somebody to call */
	grpc_call_details details;
	grpc_metadata_array metadata;
	grpc_byte_buffer *message; /* under way */
	size_t next;               /* event */
};

static void must(int holds, const char *what)
{
	if (!holds) {
		(void)fprintf(stderr, "grpc-core: %s\n", what);
		exit(EXIT_FAILURE);
	}
}

static void wait_for_call(struct server *server, struct call *call)
{
	must(grpc_server_request_call(server->core, &call->core, &call->details, &call->metadata,
		     server->queue, server->queue, call) == GRPC_CALL_OK,
		"no call can be waited for");
}

/* One message at a time is all that a call may have under way. */
static void send_next(struct server *server, struct call *call)
{
	grpc_op operations[2];
	size_t count = 0;
	grpc_slice copy = grpc_slice_from_copied_buffer(
		server->events[call->next % EVENTS], server->message_bytes);
	if (call->message) {
		grpc_byte_buffer_destroy(call->message);
	}
	call->message = grpc_raw_byte_buffer_create(&copy, 1);
	grpc_slice_unref(copy);
	memset(operations, 0, sizeof(operations));
	if (call->next == 0) {
		operations[count++].op = GRPC_OP_SEND_INITIAL_METADATA;
	}
	operations[count].op = GRPC_OP_SEND_MESSAGE;
	/* With this nothing is written before much has come, and a first message is not much. */
	operations[count].flags = call->next > 0 ? GRPC_WRITE_BUFFER_HINT : 0;
	operations[count++].data.send_message.send_message = call->message;
	call->next++;
	must(grpc_call_start_batch(call->core, operations, count, call, NULL) == GRPC_CALL_OK,
		"no message can be sent");
}

static void open_server(struct server *server, size_t message_bytes)
{
	server->message_bytes = message_bytes;
	for (size_t i = 0; i < EVENTS; i++) {
		server->events[i] = malloc(message_bytes);
		must(server->events[i] != NULL, "out of memory");
		memset(server->events[i], 'a' + (int)(i % 26), message_bytes);
	}
	server->core = grpc_server_create(NULL, NULL);
	server->queue = grpc_completion_queue_create_for_next(NULL);
	grpc_server_register_completion_queue(server->core, server->queue, NULL);
	grpc_server_credentials *credentials = grpc_insecure_server_credentials_create();
	int port = grpc_server_add_http2_port(server->core, "127.0.0.1:0", credentials);
	grpc_server_credentials_release(credentials);
	must(port > 0, "no port can be listened on");
	grpc_server_start(server->core);
	(void)fprintf(stderr, "grpc-core: listening on 127.0.0.1:%d\n", port);
}

static size_t message_bytes_of(int count, char **arguments)
{
	for (int i = 1; i + 1 < count; i++) {
		if (strcmp(arguments[i], "--message-bytes") == 0) {
			return strtoul(arguments[i + 1], NULL, 10);
		}
	}
	return 0;
}

static void on_signal(int number)
{
	(void)number;
	_Exit(EXIT_SUCCESS);
}

int main(int count, char **arguments)
{
	static struct server server;
	static struct call calls[STREAMS_MAX];
	size_t message_bytes = message_bytes_of(count, arguments);
	must(message_bytes > 0, "usage: grpc-core bench delivery --serve --message-bytes B");
	(void)signal(SIGTERM, on_signal);
	grpc_init();
	open_server(&server, message_bytes);
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		grpc_metadata_array_init(&calls[i].metadata);
		grpc_call_details_init(&calls[i].details);
		wait_for_call(&server, &calls[i]);
	}
	for (;;) {
		grpc_event event = grpc_completion_queue_next(
			server.queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
		if (event.type == GRPC_OP_COMPLETE && event.success) {
			send_next(&server, event.tag);
		}
	}
}
