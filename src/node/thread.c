/* Threads of the library, as a guest in somebody's process. */
#include "node_priv.h"

#include <signal.h>

static void *run_loop(void *ctx)
{
	loop_run(ctx);
	return NULL;
}

enum err node_thread_start(struct loop *loop, pthread_t *ret_thread)
{
	/* What a thread does wrong itself must reach it, or nothing tells where. */
	static const int own[] = {SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};
	sigset_t blocked;
	sigset_t before;
	(void)sigfillset(&blocked);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		(void)sigdelset(&blocked, own[i]);
	}
	/* A thread begins with the mask of its maker. */
	check(pthread_sigmask(SIG_SETMASK, &blocked, &before) == 0);
	bool ok = pthread_create(ret_thread, NULL, run_loop, loop) == 0;
	check(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	return ok ? OK : ERR_IO;
}
