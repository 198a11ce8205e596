/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What jemalloc's settings are by default, on machines of any size, and that whoever sets one has
 * it. The program exports what the heap asks: sched_getaffinity() for the processors, readlink()
 * for /etc/malloc.conf. Each row of the table is a process of its own; without an argument the
 * program starts them all.
 */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "je.h"

struct row {
	const char *processors;
	const char *conf, *malloc_conf, *link; /* OOMRECLAIM_CONF, MALLOC_CONF, /etc/malloc.conf */
	unsigned arenas;
	size_t cache_check_bytes, lg_fit;
};

enum { USUAL_CHECK = 512 << 10, USUAL_FIT = 8 };

static const struct row rows[] = {
	{"1", "", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"2", "", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"3", "", "", "", 2, USUAL_CHECK, USUAL_FIT},
	{"4", "", "", "", 2, USUAL_CHECK, USUAL_FIT},
	{"64", "", "", "", 32, USUAL_CHECK, USUAL_FIT},
	{"256", "", "", "", 128, USUAL_CHECK, USUAL_FIT},
	{"1024", "", "", "", 512, USUAL_CHECK, USUAL_FIT},
	/* An arena for each 64 MiB. */
	{"1", "limit:64M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"2", "limit:64M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"4", "limit:64M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"64", "limit:64M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"256", "limit:64M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"64", "limit:640M", "", "", 10, USUAL_CHECK, USUAL_FIT},
	{"256", "limit:1T", "", "", 128, USUAL_CHECK, USUAL_FIT},
	/* Whoever sets something has that, and the rest as it is. */
	{"64", "", "narenas:3", "", 3, USUAL_CHECK, USUAL_FIT},
	{"64", "", "narenas_ratio:4", "", 256, USUAL_CHECK, USUAL_FIT},
	{"64", "limit:64M", "narenas_ratio:4", "", 256, USUAL_CHECK, USUAL_FIT},
	{"4", "", "tcache_gc_incr_bytes:65536", "", 2, 65536, USUAL_FIT},
	{"4", "", "lg_extent_max_active_fit:6", "", 2, USUAL_CHECK, 6},
	{"64", "", "", "narenas:7,tcache_gc_incr_bytes:65536,lg_extent_max_active_fit:6", 7, 65536,
         6},
	{"64", "", "narenas:3", "narenas:7,tcache_gc_incr_bytes:65536", 3, 65536, USUAL_FIT},
};

__attribute__((visibility("default"))) int sched_getaffinity(pid_t pid, size_t bytes,
                                                             cpu_set_t *set)
{
	const char *processors = getenv("PROCESSORS");
	long count = processors ? strtol(processors, NULL, 10) : 0;

	if (!count)
		return syscall(SYS_sched_getaffinity, pid, bytes, set) < 0 ? -1 : 0;
	CPU_ZERO_S(bytes, set);
	for (int i = 0; i < count; i++)
		CPU_SET_S((size_t)i, bytes, set);
	return 0;
}

__attribute__((visibility("default"))) ssize_t readlink(const char *path, char *to, size_t bytes)
{
	const char *link = getenv("MALLOC_CONF_LINK");
	size_t length = link ? strlen(link) : 0;

	if (strcmp(path, "/etc/malloc.conf"))
		return syscall(SYS_readlink, path, to, bytes);
	if (!length) {
		errno = ENOENT;
		return -1;
	}
	length = length < bytes ? length : bytes;
	memcpy(to, link, length);
	return (ssize_t)length;
}

static void check_row(const struct row *row)
{
	size_t cache_check_bytes, lg_fit;
	unsigned arenas;

	JE_READ("opt.narenas", &arenas);
	JE_READ("opt.tcache_gc_incr_bytes", &cache_check_bytes);
	JE_READ("opt.lg_extent_max_active_fit", &lg_fit);
	CHECK_EQ(arenas, row->arenas);
	CHECK_EQ(cache_check_bytes, row->cache_check_bytes);
	CHECK_EQ(lg_fit, row->lg_fit);
}

static void set(const char *name, const char *value)
{
	if (*value)
		CHECK(setenv(name, value, 1) == 0);
	else
		CHECK(unsetenv(name) == 0);
}

static void start_row(char *program, size_t index)
{
	const struct row *row = &rows[index];
	char number[16];
	char *words[] = {program, number, NULL};
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		snprintf(number, sizeof(number), "%zu", index);
		set("PROCESSORS", row->processors);
		set("OOMRECLAIM_CONF", row->conf);
		set("MALLOC_CONF", row->malloc_conf);
		set("MALLOC_CONF_LINK", row->link);
		execv("/proc/self/exe", words);
		_exit(127);
	}
	if (check_child(pid) == 0)
		return;
	fprintf(stderr, "%s processors, conf \"%s\", MALLOC_CONF \"%s\", link \"%s\"\n",
	        row->processors, row->conf, row->malloc_conf, row->link);
	exit(1);
}

int main(int argc, char **argv)
{
	if (argc == 2) {
		check_row(&rows[strtoul(argv[1], NULL, 10)]);
		return 0;
	}
	for (size_t i = 0; i < COUNT(rows); i++)
		start_row(argv[0], i);
	return 0;
}
