/*
 * delivery: what a delivery costs from a stream's queue to the socket, with nothing before it: a
 * process that keeps the streams of its gateways full, and gateways here that read and count.
 * Owns: everything that the run needs, and ends it all.
 * Threads: delivery_run one of its own for the gateways; delivery_serve its caller's only.
 * Errors: with text; a message of another size than was asked for is one.
 * Invariant: what serves is `remote`, `grpc`, `stream` and `loop` as a worker has them, on one
 * thread; only who fills the streams is another.
 */
#ifndef DELIVERY_H
#define DELIVERY_H

#include "base.h"

#define DELIVERY_STREAMS_MAX 1000
#define DELIVERY_BYTES_LEAST 100
#define DELIVERY_BYTES_MAX 1000000

struct delivery_shape {
	uint32_t streams;       /* each on a connection of its own */
	uint32_t message_bytes; /* a message as gRPC carries it, without the prefix */
	double seconds;
};

struct delivery_result {
	double messages_per_s, bytes_per_s;
	double cpu_us; /* of the serving process, for a message */
};

/* `program` as for child_start: its `bench delivery --serve` is what is measured. */
enum err delivery_run(const struct delivery_shape *shape, const char *program,
	struct err_info *info, struct delivery_result *ret_result) MUST_CHECK;

/* The process that is measured: until SIGTERM, which must be blocked in all threads. */
enum err delivery_serve(const struct delivery_shape *shape, struct err_info *info) MUST_CHECK;

#endif
