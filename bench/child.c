/*
 * The child's stderr is a pipe: its first line tells the address, and its end is the end of the
 * process. The child has a process group of its own, so that Ctrl-C reaches it through us only.
 */
#include "child.h"
#include "measure.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LISTENING ": listening on "
#define ARGUMENTS_MAX 16
#define START_MS 10000
#define STOP_MS 60000 /* more than it lets gateways take, and a million subscriptions */

struct child {
	pid_t pid;
	int log;
	clockid_t cpu;
	char address[128];
	char newest[200]; /* line of the log, for whoever must say why */
	char text[4096];  /* the beginning of a line */
	size_t size;
};

const char *child_address(const struct child *child)
{
	return child->address;
}

int child_log_fd(const struct child *child)
{
	return child->log;
}

int64_t child_cpu_ns(const struct child *child)
{
	struct timespec used = {0};
	(void)clock_gettime(child->cpu, &used);
	return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

/* ---- the log --------------------------------------------------------------------------------- */

static void take_line(struct child *child, const char *line)
{
	const char *found = strstr(line, LISTENING);
	if (found && !child->address[0]) {
		const char *address = found + strlen(LISTENING);
		(void)snprintf(child->address, sizeof(child->address), "%.*s",
			(int)strcspn(address, ","), address);
	}
	size_t size = strnlen(line, sizeof(child->newest) - 1);
	memcpy(child->newest, line, size);
	child->newest[size] = '\0';
	if (strstr(line, " warning ") || strstr(line, " error ")) {
		(void)fprintf(stderr, "streamer: %s\n", line);
	}
}

/* Lines longer than the place for them are cut into several. */
static void take_lines(struct child *child)
{
	char *line = child->text;
	char *end = child->text + child->size;
	for (;;) {
		char *stop = memchr(line, '\n', (size_t)(end - line));
		if (!stop && child->size == sizeof(child->text) - 1 && line == child->text) {
			stop = end;
		}
		if (!stop) {
			break;
		}
		*stop = '\0';
		take_line(child, line);
		line = stop < end ? stop + 1 : end;
	}
	child->size = (size_t)(end - line);
	memmove(child->text, line, child->size);
}

enum err child_read_log(struct child *child, struct err_info *info)
{
	for (;;) {
		ssize_t size = read(child->log, child->text + child->size,
			sizeof(child->text) - 1 - child->size);
		if (size < 0 && errno == EAGAIN) {
			return OK;
		}
		if (size < 0 && errno == EINTR) {
			continue;
		}
		if (size <= 0) {
			return err_set(
				info, ERR_CLOSED, 0, "streamer has ended: %s", child->newest);
		}
		child->size += (size_t)size;
		take_lines(child);
	}
}

/* Until it says where it listens, or is gone: ERR_CLOSED. */
static enum err follow_log(
	struct child *child, bool until_end, int timeout_ms, struct err_info *info)
{
	int64_t until_ns = measure_now_ns() + (int64_t)timeout_ms * 1000000;
	for (;;) {
		int64_t left_ms = (until_ns - measure_now_ns()) / 1000000;
		struct pollfd ready = {.fd = child->log, .events = POLLIN};
		if (left_ms <= 0) {
			return err_set(info, ERR_TIMEOUT, 0, "streamer does not %s within %d s: %s",
				until_end ? "end" : "listen", timeout_ms / 1000, child->newest);
		}
		(void)poll(&ready, 1, (int)left_ms);
		enum err err = child_read_log(child, info);
		if (err != OK) {
			return err;
		}
		if (!until_end && child->address[0]) {
			return OK;
		}
	}
}

/* ---- the process ----------------------------------------------------------------------------- */

/* In the child; only what may be called between fork and exec. */
static _Noreturn void become(const char *path, char *const *arguments, int log, pid_t parent)
{
	sigset_t none;
	(void)sigemptyset(&none);
	(void)pthread_sigmask(SIG_SETMASK, &none, NULL);
	if (setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent &&
		dup2(log, STDERR_FILENO) >= 0) {
		(void)execv(path, arguments);
		static const char text[] = "cannot be run\n";
		(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	}
	_exit(127);
}

static enum err start_process(
	struct child *child, const char *path, const char *const *arguments, struct err_info *info)
{
	char *all[ARGUMENTS_MAX + 2] = {"streamer"};
	for (size_t i = 0; arguments[i]; i++) {
		check(i < ARGUMENTS_MAX);
		all[i + 1] = (char *)(uintptr_t)arguments[i]; /* execv changes nothing */
	}
	int ends[2];
	pid_t parent = getpid();
	if (pipe2(ends, O_CLOEXEC) != 0) {
		return err_set(info, ERR_IO, 0, "no pipe: %s", strerrordesc_np(errno));
	}
	child->pid = fork();
	if (child->pid == 0) {
		become(path, all, ends[1], parent);
	}
	(void)close(ends[1]);
	child->log = ends[0];
	if (child->pid < 0) {
		return err_set(info, ERR_IO, 0, "no process: %s", strerrordesc_np(errno));
	}
	(void)fcntl(child->log, F_SETFL, O_NONBLOCK);
	if (clock_getcpuclockid(child->pid, &child->cpu) != 0) {
		return err_set(info, ERR_IO, 0, "streamer has ended at once");
	}
	return OK;
}

/* "streamer" in the folder of this program. */
static enum err find_program(char path[PATH_MAX], struct err_info *info)
{
	static const char name[] = "/streamer";
	ssize_t size = readlink("/proc/self/exe", path, PATH_MAX - sizeof(name));
	char *slash = NULL;
	if (size > 0) {
		path[size] = '\0';
		slash = strrchr(path, '/');
	}
	if (!slash) {
		return err_set(info, ERR_IO, 0, "/proc/self/exe tells no path");
	}
	memcpy(slash, name, sizeof(name));
	return OK;
}

enum err child_start(const char *program, const char *const *arguments, struct err_info *info,
	struct child **ret_child)
{
	char beside[PATH_MAX] = "";
	if (!program) {
		enum err err = find_program(beside, info);
		if (err != OK) {
			return err;
		}
		program = beside;
	}
	if (access(program, X_OK) != 0) {
		return err_set(info, ERR_NOT_FOUND, 0, "%s: %s; make build makes it", program,
			strerrordesc_np(errno));
	}
	struct child *child = mem_calloc(1, sizeof(*child));
	if (!child) {
		return err_set(info, ERR_MEMORY, 0, "%s", err_text(ERR_MEMORY));
	}
	child->log = -1;
	enum err err = start_process(child, program, arguments, info);
	err = err != OK ? err : follow_log(child, false, START_MS, info);
	if (err != OK) {
		(void)!child_stop(child, NULL);
		return err;
	}
	*ret_child = child;
	return OK;
}

enum err child_serve(
	const char *program, const char *puller, struct err_info *info, struct child **ret_child)
{
	const char *const arguments[] = {
		"serve", "--puller", puller, "--listen", "127.0.0.1:0", NULL};
	return child_start(program, arguments, info, ret_child);
}

enum err child_stop(struct child *child, struct err_info *info)
{
	if (!child) {
		return OK;
	}
	enum err err = OK;
	if (child->pid > 0) {
		int status = 0;
		(void)kill(child->pid, SIGTERM);
		if (follow_log(child, true, STOP_MS, info) == ERR_TIMEOUT) {
			(void)kill(child->pid, SIGKILL);
		}
		while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
		}
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			err = err_set(info, ERR_INTERNAL, 0, "streamer ended with %s %d: %s",
				WIFEXITED(status) ? "status" : "signal",
				WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
				child->newest);
		}
	}
	if (child->log >= 0) {
		(void)close(child->log);
	}
	mem_free(child);
	return err;
}
