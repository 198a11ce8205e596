/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The module signal: sends this process a signal by which it is told to drop its caches, and waits
 * for the heap to shrink. Only those that a program handles: one that it does not would end it, and
 * is not sent.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "await.h"
#include "oomreclaim_module.h"

static int number_of(const char *name)
{
	static const struct {
		const char *name;
		int number;
	} signals[] = {{"HUP", SIGHUP},     {"USR1", SIGUSR1}, {"USR2", SIGUSR2},
	               {"WINCH", SIGWINCH}, {"URG", SIGURG},   {"CONT", SIGCONT}};

	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		if (strcmp(name, signals[i].name) == 0)
			return signals[i].number;
	return 0;
}

static bool send_signal(const char *name, size_t bytes)
{
	struct sigaction action;
	int number = number_of(name);

	(void)bytes;
	if (sigaction(number, NULL, &action) != 0 ||
	    ((action.sa_flags & SA_SIGINFO) == 0 &&
	     (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)))
		return false;
	return kill(getpid(), number) == 0;
}

OOMRECLAIM_MODULE(argument)
{
	if (number_of(await_what(argument)) == 0)
		return EINVAL;
	return await_register("signal", argument, NULL, send_signal);
}
