/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile_fd hide FILE DIRECTORY: a process that has a descriptor of FILE, which it need not be
 * able to open, under the name that a page of counters has. Says "ready" and then waits to be
 * ended. It has to have a mount namespace of its own (unshare -m), as any user may who can make
 * user namespaces; there DIRECTORY is its root.
 *
 * hostile_fd watch FILE COMMAND...: runs COMMAND, its output is left away. Exit status: 0, or 1 if
 * FILE was opened meanwhile. O_PATH is no opening.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report/stats_layout.h"

static void hide(const char *file, const char *root)
{
	char name[256], old[256];

	if (mount("none", root, "tmpfs", 0, NULL) != 0)
		err(2, "%s", root);
	snprintf(name, sizeof name, "%s%s", root, STATS_PAGE_LINK);
	snprintf(old, sizeof old, "%s/old", root);
	if (close(open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644)) != 0 ||
	    mount(file, name, NULL, MS_BIND, NULL) != 0)
		err(2, "%s", file);
	/* So that the path from the root is that name alone. */
	if (mkdir(old, 0755) != 0 || syscall(SYS_pivot_root, root, old) != 0 || chdir("/") != 0)
		err(2, "pivot_root");
	if (open(STATS_PAGE_LINK, O_PATH | O_CLOEXEC) < 0)
		err(2, "O_PATH");
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}

static int watch(const char *file, char **command)
{
	int events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), status;
	char event[sizeof(struct inotify_event)];
	pid_t child;

	if (events < 0 || inotify_add_watch(events, file, IN_OPEN) < 0)
		err(2, "%s", file);
	child = fork();
	if (child == 0) {
		dup2(open("/dev/null", O_RDWR | O_CLOEXEC), STDOUT_FILENO);
		dup2(STDOUT_FILENO, STDERR_FILENO);
		execv(command[0], command);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
	    WEXITSTATUS(status) > 1)
		errx(2, "%s did not run", command[0]);
	return read(events, event, sizeof event) == sizeof event;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "hide") == 0)
		hide(argv[2], argv[3]);
	if (argc > 3 && strcmp(argv[1], "watch") == 0)
		return watch(argv[2], argv + 3);
	return 2;
}
