/* SPDX-License-Identifier: BSD-2-Clause */
#include "system/proc_life.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"
#include "base/io.h"
#include "system/proc.h"

/* pid (name) state ppid ...; counted from 1, as in proc(5). Behind the name's parenthesis and a
   blank stands the third. */
enum { STATE = 3, PPID = 4, THREADS = 20, START_TIME = 22 };

/* The number in that field, where `text` is at the third. */
static bool read_field(const char *text, int field, uint64_t *number)
{
	for (int at = STATE; text != NULL && at < field; at++) {
		text = strchr(text, ' ');
		text = text != NULL ? text + 1 : NULL;
	}
	return text != NULL && proc_parse_number(&text, number);
}

OOM_NOINLINE bool proc_life(pid_t pid, struct proc_life *life)
{
	uint64_t ppid, threads, start_time;
	struct io_lines lines;
	const char *line;
	bool is_read;
	int error = pid == 0 ? proc_open_lines(&lines, "/proc/self/stat")
	                     : proc_open_lines(&lines, "/proc/%d/stat", pid);

	if (error != 0)
		return false;
	line = io_lines_next(&lines);
	line = line != NULL ? strrchr(line, ')') : NULL;
	line = line != NULL && line[1] == ' ' ? line + 2 : NULL;
	is_read = read_field(line, PPID, &ppid) && read_field(line, THREADS, &threads) &&
	          read_field(line, START_TIME, &start_time);
	if (is_read)
		/* A main thread that has ended may have left others that go on. */
		*life = (struct proc_life){.ppid = (pid_t)ppid,
		                           .start_time = start_time,
		                           .has_ended =
		                                   (*line == 'Z' || *line == 'X') && threads <= 1};
	io_lines_close(&lines);
	return is_read;
}

OOM_NOINLINE uint64_t proc_pid_namespace(void)
{
	char path[256];
	struct io_buf buf = {.text = path, .bytes = sizeof path};
	struct stat status;
	int saved = errno;
	bool is_there;

	io_printf(&buf, "%s/proc/self/ns/pid", proc_root);
	is_there = stat(path, &status) == 0;
	errno = saved;
	return is_there ? status.st_ino : 0;
}
