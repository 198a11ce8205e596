/* SPDX-License-Identifier: BSD-2-Clause */
/* /proc and cgroups: the input is the files below, one after the other, NUL between them. */
#include "system/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/options.h"
#include "fuzz.h"
#include "limits/constraint.h"
#include "support.h"
#include "system/proc_cgroup.h"

#define PID 5

static const char *const files[] = {
	"/proc/self/mountinfo",
	"/proc/self/cgroup",
	"/proc/5/cgroup",
	"/cg/own/memory.max",
	"/cg/own/memory.current",
	"/cg/own/memory.stat",
	"/cg/own/memory.oom.group",
	"/cg/own/memory.limit_in_bytes",
	"/cg/own/memory.usage_in_bytes",
	"/proc/meminfo",
	"/proc/self/statm",
	"/proc/self/status",
	"/proc/self/comm",
	"/proc/5/stat",
	"/proc/5/status",
	"/proc/5/oom_score_adj",
	"/proc/sys/vm/overcommit_memory",
	"/proc/5/comm",
	"/proc/5/statm",
};
#define FILES (sizeof files / sizeof files[0])

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	options_load(NULL);
	fake_proc_begin();
	atexit(fake_proc_end);
	for (size_t i = 0; i < FILES; i++)
		fake_proc_write(files[i], "");
	return 0;
}

static void write_file(const char *name, const uint8_t *data, size_t size)
{
	char path[1024];
	int fd;

	fake_proc_path(path, sizeof path, name);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	MUST(fd >= 0);
	MUST(write(fd, data, size) == (ssize_t)size);
	close(fd);
}

static void check_group(struct proc_cgroup *group)
{
	uint64_t bytes;
	unsigned steps = 0;

	do {
		MUST(memchr(group->mount, '\0', sizeof group->mount) != NULL);
		MUST(memchr(group->root, '\0', sizeof group->root) != NULL);
		MUST(memchr(group->path, '\0', sizeof group->path) != NULL);
		proc_cgroup_limit(group, &bytes);
		proc_cgroup_usage(group, &bytes);
		proc_cgroup_contains(group, PID);
		proc_cgroup_has_oom_group(group);
		MUST(++steps <= PROC_CGROUP_MAX);
	} while (proc_cgroup_up(group));
	MUST(group->path[0] == '\0');
}

static void read_groups(void)
{
	struct proc_cgroup group, other;

	if (proc_cgroup_self(&group)) {
		if (proc_cgroup_of(PID, &group, &other))
			check_group(&other);
		check_group(&group);
	}
	if (proc_cgroup_unified(&group)) {
		MUST(group.is_v2);
		check_group(&group);
	}
}

static void read_process(void)
{
	struct proc_pid process;
	int error;

	memset(&process, 0x5a, sizeof process);
	error = proc_pid_read(PID, &process);
	MUST(error <= 0);
	if (error != 0)
		return;
	MUST(process.pid == PID);
	MUST(memchr(process.name, '\0', sizeof process.name) != NULL);
	MUST(process.oom_score_adj >= -1000 && process.oom_score_adj <= 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[PROC_NAME_MAX];
	struct proc_statm statm;
	uint64_t number;

	for (size_t i = 0; i < FILES; i++) {
		const uint8_t *end = size > 0 ? memchr(data, '\0', size) : NULL;
		size_t length = end != NULL ? (size_t)(end - data) : size;

		write_file(files[i], data, length);
		data += end != NULL ? length + 1 : length;
		size -= end != NULL ? length + 1 : length;
	}
	errno = ERRNO_UNTOUCHED;
	read_groups();
	read_process();
	proc_statm(&statm);
	proc_threads();
	proc_name(name);
	MUST(memchr(name, '\0', sizeof name) != NULL);
	proc_meminfo("MemTotal", &number);
	proc_meminfo("CommitLimit", &number);
	proc_read_number("/proc/sys/vm/overcommit_memory", &number);
	MUST(constraint_find(1) < CONSTRAINTS);
	MUST(errno == ERRNO_UNTOUCHED);
	return 0;
}
