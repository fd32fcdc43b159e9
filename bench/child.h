/*
 * child: a `streamer` process of our own: started, listened to, measured, ended.
 * Owns: the process and the pipe of its log; the process dies with the thread that started it.
 * Threads: the one that started it.
 * Errors: with text; a child that dies is ERR_CLOSED from child_read_log.
 * Invariant: its warnings and errors are seen on stderr, and no other line.
 */
#ifndef CHILD_H
#define CHILD_H

#include "base.h"

struct child;

/*
 * Returns when it listens, as a line of its log tells. `arguments` are those behind the program's
 * name, up to a NULL. `program` NULL: "streamer" in the folder of this program.
 */
enum err child_start(const char *program, const char *const *arguments, struct err_info *info,
	struct child **ret_child) MUST_CHECK;
/* The same for `streamer serve` on a free port. */
enum err child_serve(const char *program, const char *puller, struct err_info *info,
	struct child **ret_child) MUST_CHECK;
const char *child_address(const struct child *child);
int child_log_fd(const struct child *child); /* readable: call child_read_log */
/* Takes what is there, without waiting. OK; ERR_CLOSED: the process is gone. */
enum err child_read_log(struct child *child, struct err_info *info) MUST_CHECK;
/* Processor time of all its threads so far. */
int64_t child_cpu_ns(const struct child *child);
/* Ends it with SIGTERM and frees it; OK if it ended by itself with status 0. NULL is OK. */
enum err child_stop(struct child *child, struct err_info *info) MUST_CHECK;

#endif
