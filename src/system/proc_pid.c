/* SPDX-License-Identifier: BSD-2-Clause */
/* proc.h's part about any process. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"
#include "base/io.h"
#include "system/proc.h"

/* Not on the stack: there may be little of it left. Used by one thread at a time, see the
   header. */
static struct io_lines lines;

/* The text behind "Key:" and blanks if the line has that key, else NULL. */
static const char *value_of(const char *line, const char *key)
{
	size_t length = strlen(key);

	if (strncmp(line, key, length) != 0 || line[length] != ':')
		return NULL;
	for (line += length + 1; *line == ' ' || *line == '\t';)
		line++;
	return line;
}

/* The lines of /proc/PID/status that are sizes, in KiB. */
static const struct {
	const char *key;
	size_t offset; /* of the number of pages in struct proc_pid */
} sizes[] = {{"VmSize", offsetof(struct proc_pid, total_vm_pages)},
             {"VmRSS", offsetof(struct proc_pid, rss_pages)},
             {"RssAnon", offsetof(struct proc_pid, rss_anon_pages)},
             {"RssFile", offsetof(struct proc_pid, rss_file_pages)},
             {"RssShmem", offsetof(struct proc_pid, rss_shmem_pages)},
             {"VmSwap", offsetof(struct proc_pid, swap_pages)}};

static void take_size(const char *line, struct proc_pid *process)
{
	const uint64_t page_kib = (uint64_t)sysconf(_SC_PAGESIZE) >> 10;
	const char *value;
	uint64_t kib;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		value = value_of(line, sizes[i].key);
		if (value != NULL && proc_parse_number(&value, &kib))
			*(uint64_t *)(void *)((char *)process + sizes[i].offset) = kib / page_kib;
	}
}

static void take_line(const char *line, struct proc_pid *process)
{
	const char *value;
	uint64_t number;

	if ((value = value_of(line, "Name")) != NULL)
		stpncpy(process->name, value, PROC_NAME_MAX - 1)[0] = '\0';
	else if ((value = value_of(line, "State")) != NULL)
		process->state = *value;
	else if ((value = value_of(line, "Tgid")) != NULL && proc_parse_number(&value, &number))
		process->tgid = (pid_t)number;
	else if ((value = value_of(line, "PPid")) != NULL && proc_parse_number(&value, &number))
		process->ppid = (pid_t)number;
	else if ((value = value_of(line, "Uid")) != NULL && proc_parse_number(&value, &number))
		process->uid = (uid_t)number;
	else if ((value = value_of(line, "VmPTE")) != NULL && proc_parse_number(&value, &number)) {
		process->pgtables_bytes = number << 10;
		/* Shown of those that have memory of their own. */
		process->has_memory = true;
	} else {
		take_size(line, process);
	}
}

/* Of the whole process, or of one thread. */
static OOM_NOINLINE int read_status(pid_t thread, struct proc_pid *process)
{
	const char *line;
	int error = thread == 0 ? proc_open_lines(&lines, "/proc/%d/status", process->pid)
	                        : proc_open_lines(&lines, "/proc/%d/task/%d/status", process->pid,
	                                          thread);

	if (error != 0)
		return error;
	while ((line = io_lines_next(&lines)) != NULL)
		take_line(line, process);
	io_lines_close(&lines);
	return process->tgid > 0 ? 0 : -EINVAL;
}

static bool visit_thread(pid_t thread, void *arg)
{
	struct proc_pid *process = arg, found = *process;

	if (read_status(thread, &found) == 0 && found.has_memory) {
		memcpy(found.name, process->name, sizeof found.name);
		found.state = process->state;
		*process = found;
	}
	return !process->has_memory;
}

static int walk_numbers(const char *path, bool (*visit)(pid_t pid, void *arg), void *arg);

/* find_lock_task_mm(): a main thread that has ended has no memory any more, but the process may go
   on in the others. */
static OOM_NOINLINE void find_memory(struct proc_pid *process)
{
	char path[64];
	struct io_buf buf = {.text = path, .bytes = sizeof path};

	io_printf(&buf, "/proc/%d/task", process->pid);
	walk_numbers(path, visit_thread, process);
}

/* pid (name) state ppid pgrp ... starttime ...; the name may contain anything, so what follows is
   found from the last parenthesis. */
static OOM_NOINLINE int read_stat(struct proc_pid *process)
{
	/* Counted from 1, as in proc(5). */
	enum { PGRP = 5, STARTTIME = 22 };
	const char *line;
	int field = 3, error = proc_open_lines(&lines, "/proc/%d/stat", process->pid);
	uint64_t number;

	if (error != 0)
		return error;
	error = -EINVAL;
	line = io_lines_next(&lines);
	line = line != NULL ? strrchr(line, ')') : NULL;
	/* Behind the parenthesis and a blank stands field 3. */
	for (line = line != NULL && line[1] == ' ' ? line + 2 : NULL; line != NULL; field++) {
		if (field == PGRP || field == STARTTIME) {
			const char *at = line;

			if (!proc_parse_number(&at, &number))
				break;
			if (field == STARTTIME) {
				process->start_time = number;
				error = 0;
				break;
			}
			process->pgrp = (pid_t)number;
		}
		line = strchr(line, ' ');
		line = line != NULL ? line + 1 : NULL;
	}
	io_lines_close(&lines);
	return error;
}

static OOM_NOINLINE int read_oom_score_adj(struct proc_pid *process)
{
	const char *line;
	uint64_t number;
	bool is_negative;
	int error = proc_open_lines(&lines, "/proc/%d/oom_score_adj", process->pid);

	if (error != 0)
		return error;
	error = -EINVAL;
	line = io_lines_next(&lines);
	is_negative = line != NULL && *line == '-';
	line = is_negative ? line + 1 : line;
	if (line != NULL && proc_parse_number(&line, &number) && *line == '\0' &&
	    number <= OOM_SCORE_ADJ_MAX) {
		process->oom_score_adj = is_negative ? -(int)number : (int)number;
		error = 0;
	}
	io_lines_close(&lines);
	return error;
}

int proc_pid_read(pid_t pid, struct proc_pid *process)
{
	struct proc_pid found = {.pid = pid, .state = '?'};
	int error = read_status(0, &found);

	if (error == 0 && !found.has_memory && found.state == 'Z')
		find_memory(&found);
	if (error == 0)
		error = read_stat(&found);
	if (error == 0)
		error = read_oom_score_adj(&found);
	if (error == 0)
		*process = found;
	return error;
}

/* What getdents64() fills in; glibc's struct dirent64 is the same. */
static bool visit_entries(const char *entries, ssize_t bytes, bool (*visit)(pid_t pid, void *arg),
                          void *arg)
{
	const struct dirent64 *entry;

	for (ssize_t at = 0; at < bytes; at += entry->d_reclen) {
		const char *name;
		uint64_t pid;

		entry = (const struct dirent64 *)(const void *)(entries + at);
		name = entry->d_name;
		if (proc_parse_number(&name, &pid) && *name == '\0' && pid > 0 && pid <= INT_MAX &&
		    !visit((pid_t)pid, arg))
			return false;
	}
	return true;
}

/* Room for one entry of the longest name, and some of those that are numbers. */
#define ENTRIES_BYTES 304

static OOM_NOINLINE int walk_numbers(const char *path, bool (*visit)(pid_t pid, void *arg),
                                     void *arg)
{
	/* First the path, then what is in there. Here and not static, as one walk may be inside
	   another. */
	_Alignas(struct dirent64) char entries[ENTRIES_BYTES];
	struct io_buf buf = {.text = entries, .bytes = sizeof entries};
	int saved = errno, error = 0, dir;
	ssize_t bytes;

	io_printf(&buf, "%s%s", proc_root, path);
	/* Not opendir(), which allocates. */
	dir = open(entries, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		error = -errno;
		errno = saved;
		return error;
	}
	while ((bytes = syscall(SYS_getdents64, dir, entries, sizeof entries)) > 0)
		if (!visit_entries(entries, bytes, visit, arg))
			break;
	if (bytes < 0)
		error = -errno;
	close(dir);
	errno = saved;
	return error;
}

int proc_walk(bool (*visit)(pid_t pid, void *arg), void *arg)
{
	return walk_numbers("/proc", visit, arg);
}

/* NStgid has a number for each namespace from the one that /proc shows down to our own. */
OOM_NOINLINE int proc_check_numbers(void)
{
	const char *line, *value;
	uint64_t number, pid = (uint64_t)getpid();
	int error = proc_open_lines(&lines, "/proc/self/status");
	bool is_own = false;

	if (error != 0)
		return error;
	while ((line = io_lines_next(&lines)) != NULL)
		if ((value = value_of(line, "Tgid")) != NULL)
			is_own = proc_parse_number(&value, &number) && number == pid;
		else if ((value = value_of(line, "NStgid")) != NULL)
			is_own = is_own && proc_parse_number(&value, &number) && *value == '\0';
	io_lines_close(&lines);
	return is_own ? 0 : -EXDEV;
}
