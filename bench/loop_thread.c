#include "loop_thread.h"

static void *run(void *ctx)
{
	const struct loop_thread *thread = ctx;
	loop_run(thread->loop);
	return NULL;
}

enum err loop_thread_start(struct loop_thread *thread, struct loop *loop)
{
	thread->loop = loop;
	if (pthread_create(&thread->thread, NULL, run, thread) != 0) {
		thread->loop = NULL;
		return ERR_IO;
	}
	return OK;
}

void loop_thread_join(struct loop_thread *thread, loop_fn close, void *ctx)
{
	if (!thread->loop) {
		return;
	}
	thread->close = (struct loop_posted){.fn = close, .ctx = ctx};
	check(loop_post_owned(thread->loop, &thread->close) == OK);
	check(pthread_join(thread->thread, NULL) == 0);
	thread->loop = NULL;
}
