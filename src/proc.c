/* SPDX-License-Identifier: BSD-2-Clause */
#include "proc.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"
#include "io.h"

const char *proc_root = "";

static void path_of(char path[PATH_MAX], const char *file)
{
	struct io_buf buf = {.text = path, .bytes = PATH_MAX};

	io_printf(&buf, "%s%s", proc_root, file);
}

/* Reads a number and moves behind it. */
static bool parse_number(const char **text, uint64_t *number)
{
	const char *at = *text;

	while (*at == ' ')
		at++;
	if (*at < '0' || *at > '9')
		return false;
	for (*number = 0; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, (uint64_t)(*at - '0'), number))
			return false;
	*text = at;
	return true;
}

bool proc_statm(struct proc_statm *statm)
{
	/* size resident shared text lib data dt, in pages */
	enum { SIZE, RESIDENT, DATA = 5, FIELDS };
	uint64_t field[FIELDS], page = (uint64_t)sysconf(_SC_PAGESIZE);
	char path[PATH_MAX], text[256];
	const char *at = text;

	path_of(path, "/proc/self/statm");
	if (io_read_file(path, text, sizeof text) <= 0)
		return false;
	for (int i = 0; i < FIELDS; i++)
		if (!parse_number(&at, &field[i]))
			return false;
	statm->total_bytes = field[SIZE] * page;
	statm->resident_bytes = field[RESIDENT] * page;
	statm->data_bytes = field[DATA] * page;
	return true;
}

unsigned proc_threads(void)
{
	struct stat task;
	char path[PATH_MAX];
	int saved = errno, error;

	/* A directory has a link from each directory in it, and two of its own; no reading of a
	   file of unknown length is needed. */
	path_of(path, "/proc/self/task");
	error = stat(path, &task);
	errno = saved;
	return error == 0 && task.st_nlink > 2 ? (unsigned)task.st_nlink - 2 : 0;
}

void proc_name(char name[PROC_NAME_MAX])
{
	char path[PATH_MAX];
	ssize_t length;

	/* Of the main thread: /proc/self/comm is the file of the thread group. */
	path_of(path, "/proc/self/comm");
	/* With the newline it is one longer than a name. */
	char text[PROC_NAME_MAX + 2];

	length = io_read_file(path, text, sizeof text);
	if (length <= 1) {
		strcpy(name, "?");
		return;
	}
	text[length - 1] = '\0';
	strncpy(name, text, PROC_NAME_MAX - 1);
	name[PROC_NAME_MAX - 1] = '\0';
}
