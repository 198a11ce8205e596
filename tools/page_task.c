/* SPDX-License-Identifier: BSD-2-Clause */
/* What /proc says of a process or of one of its threads, by that one's directory. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "page.h"
#include "tool.h"

#define PATH_BYTES 320

const char *page_stat(const char *task, char *text, size_t bytes)
{
	char path[PATH_BYTES];
	ssize_t got;
	int fd;

	snprintf(path, sizeof path, "%s/stat", task);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd >= 0 ? read(fd, text, bytes - 1) : -1;
	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = '\0';
	/* The last one: there may be any in the name. */
	return strrchr(text, ')');
}

/* 0 where that is not known. */
static pid_t parent_of(pid_t pid)
{
	char task[64], text[256];
	const char *state;

	snprintf(task, sizeof task, "/proc/%d", pid);
	state = page_stat(task, text, sizeof text);
	return state != NULL && strlen(state) > 4 ? (pid_t)strtol(state + 4, NULL, 10) : 0;
}

pid_t page_ancestor(pid_t pid, bool (*is_shown)(pid_t pid, const void *arg), const void *arg)
{
	for (unsigned level = 0; level < PAGE_LEVELS_MAX && pid > 1; level++) {
		pid = parent_of(pid);
		if (is_shown(pid, arg))
			return pid;
	}
	return 0;
}

/* Its directory of descriptors is empty, and root's. */
bool page_has_ended(const char *task)
{
	char text[256];
	const char *state = page_stat(task, text, sizeof text);

	return state != NULL && (strncmp(state, ") Z", 3) == 0 || strncmp(state, ") X", 3) == 0);
}

bool page_any_thread(pid_t pid, bool (*is_it)(const char *task, void *arg), void *arg)
{
	char path[PATH_BYTES];
	struct dirent *entry;
	bool is_found = false;
	pid_t thread;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir != NULL && !is_found && (entry = readdir(dir)) != NULL) {
		if (!tool_parse_pid(entry->d_name, &thread))
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%d", pid, thread);
		is_found = is_it(path, arg);
	}
	if (dir != NULL)
		closedir(dir);
	return is_found;
}
