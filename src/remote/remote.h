/*
 * remote: StreamerService at both ends: the server puts a local stream on a gRPC call, the client
 * puts a gRPC call behind something that looks like a local stream. Owns: the server its
 * connections and their calls; the client its connection. Threads: each on its loop's thread.
 * Errors: a gateway's mistake is an answer where the protocol has one, else it ends that gateway's
 * call. Invariant: answers and acknowledgements overtake deliveries; deliveries keep their order.
 */
#ifndef REMOTE_H
#define REMOTE_H

#include "base.h"
#include "grpc.h"
#include "loop.h"
#include "metrics.h"
#include "model.h"
#include "stream.h"
#include "wire.h"

/* ---- server ---------------------------------------------------------------------------------- */

/*
 * The engine behind a server, called on the loop's thread. What it has to say comes through the
 * stream. `open` gives the consumer's end of a stream and a handle for the rest; `wake` is called
 * when there is something to peek. After `close`, which ends the consumer's end too, neither is
 * used again.
 */
struct remote_engine {
	enum err (*open)(void *ctx, const char *peer, stream_wake_fn wake, void *wake_ctx,
		struct stream **ret_stream, void **ret_handle);
	/* `refusal`: what reading the request has found already (code OK: nothing). */
	void (*subscribe)(void *handle, const struct model_subscription *subscription,
		const struct err_info *refusal);
	/* The same, but nothing comes through the stream; texts are valid until the next call. */
	void (*subscribe_quietly)(void *handle, const struct model_subscription *subscription,
		const struct err_info *refusal, struct model_answer *ret_answer);
	void (*unsubscribe)(void *handle, struct bytes id);
	/* A WELCOME follows, perhaps later; until then nothing else is asked of this handle. */
	void (*hello)(void *handle, const struct model_hello *hello);
	/* An ACK follows. */
	void (*heartbeat)(void *handle, const struct model_heartbeat *heartbeat);
	/* Up to where everything has been put on the stream. Borrowed until the next call. */
	struct bytes (*position)(void *handle);
	void (*send)(void *handle, struct bytes message); /* a MESSAGE follows */
	enum model_source (*source)(void *ctx, int64_t *ret_lag_ms);
	void (*close)(void *handle);
	void *ctx;
};

/* Subscribes of all open bulks in one turn of the loop: well below a millisecond. */
#define REMOTE_BULK_PER_TURN ((size_t)32)

struct remote_server_options {
	struct wire_limits wire;
	uint32_t message_bytes_max;  /* in */
	uint32_t delivery_bytes_max; /* out: a larger one goes without its document, or in parts by
					ids */
	uint32_t calls_max;          /* per connection */
	uint32_t connections_max;
	uint32_t lease_ms;         /* silence that ends the stream of who has said Hello; 0: none */
	uint32_t drain_ms;         /* what a GoingAway tells of the time that is left */
	uint64_t epoch;            /* what a Welcome tells; the same on all servers of an engine */
	struct grpc_limits limits; /* what a connection may cost */
	const struct log *log;
	struct metrics *metrics;
};

struct remote_server;
enum err remote_server_new(struct loop *loop, const struct remote_server_options *options,
	const struct remote_engine *engine, struct remote_server **ret_server) MUST_CHECK;
void remote_server_adopt(struct remote_server *server, int socket); /* serves it, or closes it */
size_t remote_server_connections(const struct remote_server *server);
/* GOAWAY to everybody; connections close as their calls end, and no new ones are served. */
void remote_server_drain(struct remote_server *server);
/* Closes what is left; `closed` in a later turn, once, when nothing is open; then free. */
void remote_server_close(struct remote_server *server, loop_fn closed, void *ctx);
void remote_server_free(struct remote_server *server);

/* ---- client ---------------------------------------------------------------------------------- */

/* A position is that of somebody else, at most so long. */
#define REMOTE_POSITION_BYTES_MAX 256

struct remote_client_options {
	const char *address;
	const char *gateway_id; /* what the server's log calls it; may be NULL */
	struct bytes after;     /* a position to go on from, at most REMOTE_POSITION_BYTES_MAX;
				   empty: from now on */
	uint32_t message_bytes_max;
	size_t pause_bytes;       /* queued on the stream: nothing more is fetched until half of it
				     is taken, which remote_client_resume tells */
	size_t waiting_bytes_max; /* of subscribes that could not be sent yet; more are refused */
	int64_t heartbeat_us;     /* between heartbeats, at most */
	int64_t activity_us;      /* without any message: dead */
	int64_t backoff_min_us;   /* between two connections; doubles from try to try */
	int64_t backoff_max_us;
	const struct log *log;
	struct metrics *metrics;
};

/*
 * The producer of `stream`. It makes a connection whenever it has none, asks for all subscriptions
 * again, and goes on where the last one has ended; STATEs tell, and a gap where that cannot be
 * done. Each subscribe gets one answer, on whichever connection; another one only if it is refused
 * later. Deliveries' events carry only `encoded` and `position`. FINISH when a server refuses in a
 * way that no other try would change.
 */
struct remote_client;
enum err remote_client_open(struct loop *loop, const struct remote_client_options *options,
	struct stream *stream, struct remote_client **ret_client) MUST_CHECK;
/*
 * An encoded GatewayMessage: a subscribe, its id not empty; an unsubscribe, which takes back a
 * subscribe that has no answer yet; or a heartbeat that says `registered`, for which the replay
 * after `options.after` waits. ERR_CLOSED after FINISH.
 */
enum err remote_client_request(struct remote_client *client, struct bytes message) MUST_CHECK;
/* Whether it waits until the consumer makes room. Any thread. */
bool remote_client_is_paused(struct remote_client *client);
void remote_client_resume(struct remote_client *client); /* the consumer has made room */
/* Closes the connection; `closed` in a later turn, once; the client is gone when it returns. */
void remote_client_close(struct remote_client *client, loop_fn closed, void *ctx);

#endif
