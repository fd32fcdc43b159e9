/*
 * loop_thread: a loop that runs on a thread of its own, until what it serves has been closed there.
 * Owns: the thread; the loop stays its maker's.
 * Threads: one starts and joins it. Errors: ERR_IO if there is no thread.
 */
#ifndef LOOP_THREAD_H
#define LOOP_THREAD_H

#include "loop.h"

#include <pthread.h>

/* Zeroed: not started. Must not move while it runs. */
struct loop_thread {
	struct loop *loop; /* NULL: it does not run */
	pthread_t thread;
	struct loop_posted close;
};
enum err loop_thread_start(struct loop_thread *thread, struct loop *loop) MUST_CHECK;
/* Calls `close` in a turn of the loop, and waits until the loop has been stopped. Nothing if it was
 * not started. */
void loop_thread_join(struct loop_thread *thread, loop_fn close, void *ctx);

#endif
