/*
 * Signals as something to read. They are blocked in every thread, so none interrupts a call; the
 * second one finds its default again, and ends the program wherever it is.
 */
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* What was ignored from the beginning stays so: a shell gives that to what it runs behind it. */
static void add_unless_ignored(sigset_t *signals, int number)
{
	struct sigaction action;
	if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN) {
		(void)sigaddset(signals, number);
	}
}

static void choose(sigset_t *signals)
{
	(void)sigemptyset(signals);
	add_unless_ignored(signals, SIGINT);
	add_unless_ignored(signals, SIGTERM);
}

int cli_signals_open(const struct cli_command *command)
{
	sigset_t signals;
	choose(&signals);
	int fd = -1;
	if (pthread_sigmask(SIG_BLOCK, &signals, NULL) == 0) {
		fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	}
	if (fd < 0) {
		cli_say(command, "cannot wait for signals: %s", strerrordesc_np(errno));
	}
	return fd;
}

const char *cli_signals_take(int fd)
{
	struct signalfd_siginfo info = {0};
	ssize_t size = read(fd, &info, sizeof(info));
	sigset_t signals;
	choose(&signals);
	(void)pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
	return size == (ssize_t)sizeof(info) && info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM";
}
