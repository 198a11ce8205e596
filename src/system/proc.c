/* SPDX-License-Identifier: BSD-2-Clause */
#include "system/proc.h"

#include <errno.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/io.h"
#include "base/own_thread.h"
#include "system/proc_cgroup.h"

const char *proc_root = "";

/* Threads have small stacks, and the main thread's can't grow when RLIMIT_AS is used up: nothing
   here takes more of it than it has to, printf() included. */
#define OWN_PATH_BYTES 256

static void path_of(char path[OWN_PATH_BYTES], const char *file)
{
	const char *root = strlen(proc_root) + strlen(file) < OWN_PATH_BYTES ? proc_root : "";

	stpcpy(stpcpy(path, root), file);
}

OOM_NOINLINE int proc_open_lines(struct io_lines *lines, const char *format, ...)
{
	/* Where the lines will be. */
	struct io_buf buf = {.text = lines->text, .bytes = sizeof lines->text};
	va_list args;

	io_puts_clean(&buf, proc_root);
	va_start(args, format);
	io_vprintf(&buf, format, args);
	va_end(args);
	return io_lines_open(lines, lines->text);
}

bool proc_parse_number(const char **text, uint64_t *number)
{
	const char *at = *text;
	uint64_t sum = 0;

	while (*at == ' ' || *at == '\t')
		at++;
	if (*at < '0' || *at > '9')
		return false;
	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)(*at - '0'), &sum))
			return false;
	*text = at;
	*number = sum;
	return true;
}

OOM_NOINLINE bool proc_statm(struct proc_statm *statm)
{
	/* size resident shared text lib data dt, in pages */
	enum { SIZE, RESIDENT, SHARED, DATA = 5, FIELDS };
	uint64_t field[FIELDS], page = (uint64_t)sysconf(_SC_PAGESIZE);
	char path[OWN_PATH_BYTES], text[128];
	const char *at = text;

	path_of(path, "/proc/self/statm");
	if (io_read_file(path, text, sizeof text) <= 0)
		return false;
	for (int i = 0; i < FIELDS; i++)
		if (!proc_parse_number(&at, &field[i]))
			return false;
	statm->total_bytes = field[SIZE] * page;
	statm->resident_bytes = field[RESIDENT] * page;
	/* The counters are not read in one moment. */
	statm->anon_bytes =
		field[RESIDENT] > field[SHARED] ? (field[RESIDENT] - field[SHARED]) * page : 0;
	statm->data_bytes = field[DATA] * page;
	return true;
}

OOM_NOINLINE unsigned proc_threads(void)
{
	struct stat task;
	char path[OWN_PATH_BYTES];
	int saved = errno, error;

	/* A directory has a link from each directory in it, and two of its own; no reading of a
	   file of unknown length is needed. */
	path_of(path, "/proc/self/task");
	error = stat(path, &task);
	errno = saved;
	return error == 0 && task.st_nlink > 2 ? (unsigned)task.st_nlink - 2 : 0;
}

bool proc_is_single_threaded(void)
{
	unsigned threads = proc_threads();

	/* Where nothing can be seen, libc's word; or the test's, which has several itself. */
	return threads == 1 || (threads == 0 && (__libc_single_threaded || proc_root[0] != '\0'));
}

bool proc_is_alone(void)
{
	/* Before and after: one that falls asleep in between was counted as another, and so may be
	   one that has ended. */
	unsigned before = own_threads_idle();
	unsigned threads = proc_threads();
	unsigned after = own_threads_idle();

	return threads == 1 + (before < after ? before : after);
}

OOM_NOINLINE uint64_t proc_map_count(void)
{
	struct io_lines lines;
	uint64_t count = 0;

	if (proc_open_lines(&lines, "/proc/self/maps") != 0)
		return 0;
	while (io_lines_next(&lines) != NULL)
		count++;
	io_lines_close(&lines);
	return count;
}

OOM_NOINLINE void proc_name(char name[PROC_NAME_MAX])
{
	struct io_lines lines;
	const char *line = NULL;

	strcpy(name, "?");
	/* Of the main thread: /proc/self/comm is the file of the thread group. */
	if (proc_open_lines(&lines, "/proc/self/comm") != 0)
		return;
	line = io_lines_next(&lines);
	if (line != NULL && *line != '\0')
		stpncpy(name, line, PROC_NAME_MAX - 1)[0] = '\0';
	io_lines_close(&lines);
}

/* The rest of the first line that begins with `key`. */
static OOM_NOINLINE void read_text(const char *path, const char *key, char text[PROC_TEXT_MAX])
{
	size_t length = strlen(key);
	struct io_lines lines;
	const char *line;

	strcpy(text, "?");
	if (proc_open_lines(&lines, "%s", path) != 0)
		return;
	do
		line = io_lines_next(&lines);
	while (line != NULL && strncmp(line, key, length) != 0);
	if (line != NULL && line[length] != '\0')
		stpncpy(text, line + length, PROC_TEXT_MAX - 1)[0] = '\0';
	io_lines_close(&lines);
}

void proc_cpuset(char cpuset[PROC_TEXT_MAX], char mems_allowed[PROC_TEXT_MAX])
{
	read_text("/proc/self/cpuset", "", cpuset);
	read_text("/proc/self/status", "Mems_allowed_list:\t", mems_allowed);
}

OOM_NOINLINE bool proc_meminfo(const char *field, uint64_t *bytes)
{
	struct io_lines lines;
	size_t length = strlen(field);
	bool is_found = false;
	const char *line;
	uint64_t kib;

	if (proc_open_lines(&lines, "/proc/meminfo") != 0)
		return false;
	while (!is_found && (line = io_lines_next(&lines)) != NULL) {
		if (strncmp(line, field, length) != 0 || line[length] != ':')
			continue;
		line += length + 1;
		is_found = proc_parse_number(&line, &kib);
	}
	io_lines_close(&lines);
	if (is_found)
		*bytes = kib << 10;
	return is_found;
}

OOM_NOINLINE bool proc_read_number(const char *path, uint64_t *number)
{
	struct io_lines lines;
	const char *line;
	uint64_t read;
	bool is_read;

	if (proc_open_lines(&lines, "%s", path) != 0)
		return false;
	line = io_lines_next(&lines);
	is_read = line != NULL && proc_parse_number(&line, &read) && *line == '\0';
	io_lines_close(&lines);
	if (is_read)
		*number = read;
	return is_read;
}

uint64_t proc_rlimit(__rlimit_resource_t resource)
{
	struct rlimit limit;

	/* Fails for no resource there is. */
	if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}
