/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What jemalloc's settings are by default, on machines of any size, and that whoever sets one has
 * it. The program exports what the heap asks: sched_getaffinity() for the processors, readlink()
 * for /etc/malloc.conf. Each row of the table is a process of its own; without an argument the
 * program starts them all.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "je.h"

/* The argument of a process whose set of processors changes. */
#define CHANGE "change"

struct row {
	const char *processors;                /* how many, or FIRST-LAST; "none": the call fails */
	const char *conf, *malloc_conf, *link; /* OOMRECLAIM_CONF, MALLOC_CONF, /etc/malloc.conf */
	unsigned arenas;
	size_t cache_check_bytes, lg_fit;
};

/* BY_ONLINE: as many as processors are online. */
enum { USUAL_CHECK = 512 << 10, USUAL_FIT = 8, BY_ONLINE = 0 };

static const struct row rows[] = {
	{"1", "", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"2", "", "", "", 2, USUAL_CHECK, USUAL_FIT},
	{"3", "", "", "", 3, USUAL_CHECK, USUAL_FIT},
	{"4", "", "", "", 4, USUAL_CHECK, USUAL_FIT},
	{"8", "", "", "", 8, USUAL_CHECK, USUAL_FIT},
	{"64", "", "", "", 64, USUAL_CHECK, USUAL_FIT},
	{"256", "", "", "", 256, USUAL_CHECK, USUAL_FIT},
	{"1024", "", "", "", 1024, USUAL_CHECK, USUAL_FIT},
	/* A few of a large machine's. */
	{"255-255", "", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"1020-1023", "", "", "", 4, USUAL_CHECK, USUAL_FIT},
	/* A call that succeeds, and names no processor. */
	{"0", "", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"0", "limit:64M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	/* More processors than a set has bits. */
	{"none", "", "", "", BY_ONLINE, USUAL_CHECK, USUAL_FIT},
	{"none", "limit:64M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	/* An arena for each 64 MiB. */
	{"1", "limit:64M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"2", "limit:64M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"4", "limit:64M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"64", "limit:64M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"256", "limit:64M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"3", "limit:64M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"1024", "limit:64M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"1", "limit:16M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"64", "limit:16M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"1024", "limit:16M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"8", "limit:127M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"8", "limit:128M", "", "", 2, USUAL_CHECK, USUAL_FIT},
	{"1", "limit:1G", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"3", "limit:1G", "", "", 3, USUAL_CHECK, USUAL_FIT},
	{"8", "limit:1G", "", "", 8, USUAL_CHECK, USUAL_FIT},
	{"64", "limit:1G", "", "", 16, USUAL_CHECK, USUAL_FIT},
	{"256", "limit:1G", "", "", 16, USUAL_CHECK, USUAL_FIT},
	{"1023", "limit:1G", "", "", 16, USUAL_CHECK, USUAL_FIT},
	{"1024", "limit:1G", "", "", 16, USUAL_CHECK, USUAL_FIT},
	{"1", "limit:1T", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"1024", "limit:1T", "", "", 1024, USUAL_CHECK, USUAL_FIT},
	{"2", "limit:16M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"3", "limit:16M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"4", "limit:16M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"8", "limit:16M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"256", "limit:16M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"8", "limit:64M", "", "", 1, USUAL_CHECK, USUAL_FIT},
	{"2", "limit:1G", "", "", 2, USUAL_CHECK, USUAL_FIT},
	{"4", "limit:1G", "", "", 4, USUAL_CHECK, USUAL_FIT},
	{"2", "limit:1T", "", "", 2, USUAL_CHECK, USUAL_FIT},
	{"3", "limit:1T", "", "", 3, USUAL_CHECK, USUAL_FIT},
	{"4", "limit:1T", "", "", 4, USUAL_CHECK, USUAL_FIT},
	{"8", "limit:1T", "", "", 8, USUAL_CHECK, USUAL_FIT},
	{"64", "limit:1T", "", "", 64, USUAL_CHECK, USUAL_FIT},
	{"64", "limit:640M", "", "", 10, USUAL_CHECK, USUAL_FIT},
	{"256", "limit:1T", "", "", 256, USUAL_CHECK, USUAL_FIT},
	/* Whoever sets something has that, and the rest as it is. */
	{"64", "", "narenas:3", "", 3, USUAL_CHECK, USUAL_FIT},
	{"64", "", "narenas_ratio:4", "", 256, USUAL_CHECK, USUAL_FIT},
	{"64", "limit:64M", "narenas_ratio:4", "", 256, USUAL_CHECK, USUAL_FIT},
	{"1", "", "narenas:8", "", 8, USUAL_CHECK, USUAL_FIT},
	{"1024", "limit:16M", "narenas:3", "", 3, USUAL_CHECK, USUAL_FIT},
	/* What conflicts: the last one counts, and a number before a ratio. */
	{"64", "", "narenas:3,narenas:5", "", 5, USUAL_CHECK, USUAL_FIT},
	{"64", "", "narenas:3,narenas_ratio:4", "", 3, USUAL_CHECK, USUAL_FIT},
	{"64", "", "narenas_ratio:4,narenas:3", "", 3, USUAL_CHECK, USUAL_FIT},
	{"4", "", "tcache_gc_incr_bytes:65536", "", 4, 65536, USUAL_FIT},
	{"4", "", "lg_extent_max_active_fit:6", "", 4, USUAL_CHECK, 6},
	{"64", "", "", "narenas:7,tcache_gc_incr_bytes:65536,lg_extent_max_active_fit:6", 7, 65536,
         6},
	{"64", "", "narenas:3", "narenas:7,tcache_gc_incr_bytes:65536", 3, 65536, USUAL_FIT},
};

__attribute__((visibility("default"))) int sched_getaffinity(pid_t pid, size_t bytes,
                                                             cpu_set_t *set)
{
	const char *processors = getenv("PROCESSORS");
	long first = 0, last;
	char *rest;

	/* The system call leaves alone what the kernel has no processors for. */
	CPU_ZERO_S(bytes, set);
	if (!processors)
		return syscall(SYS_sched_getaffinity, pid, bytes, set) < 0 ? -1 : 0;
	if (!strcmp(processors, "none")) {
		memset(set, 0xff, bytes);
		errno = EINVAL;
		return -1;
	}
	last = strtol(processors, &rest, 10) - 1;
	if (*rest) {
		first = last + 1;
		last = strtol(rest + 1, NULL, 10);
	}
	for (long i = first; i <= last; i++)
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
	unsigned arenas, online = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);

	JE_READ("opt.narenas", &arenas);
	JE_READ("opt.tcache_gc_incr_bytes", &cache_check_bytes);
	JE_READ("opt.lg_extent_max_active_fit", &lg_fit);
	CHECK_EQ(arenas, row->arenas == BY_ONLINE ? online : row->arenas);
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

static void *use_heap(void *arg)
{
	void *blocks[100];

	for (size_t round = 0; round < 20; round++) {
		for (size_t i = 0; i < COUNT(blocks); i++) {
			blocks[i] = malloc(i * 300 + 1);
			CHECK(blocks[i]);
			memset(blocks[i], 1, i * 300 + 1);
		}
		for (size_t i = 0; i < COUNT(blocks); i++)
			free(blocks[i]);
	}
	return arg;
}

static void use_heap_of(const cpu_set_t *set)
{
	pthread_t threads[4];

	CHECK(sched_setaffinity(0, sizeof(*set), set) == 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		CHECK(pthread_create(&threads[i], NULL, use_heap, NULL) == 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

/* The first processor of the set, or the last. */
static cpu_set_t one_of(const cpu_set_t *set, bool is_last)
{
	cpu_set_t one;
	int found = -1;

	for (int i = 0; i < CPU_SETSIZE && (is_last || found < 0); i++)
		if (CPU_ISSET((size_t)i, set))
			found = i;
	CHECK(found >= 0);
	CPU_ZERO(&one);
	CPU_SET((size_t)found, &one);
	return one;
}

/* Started with one processor: there are more, and then there is another one alone. The number of
   arenas is that of the start. */
static void change(unsigned expected)
{
	cpu_set_t set;
	unsigned arenas, before, now;

	JE_READ("opt.narenas", &arenas);
	CHECK_EQ(arenas, expected);
	JE_READ("arenas.narenas", &before);
	memset(&set, 0xff, sizeof(set));
	use_heap_of(&set);
	CHECK(sched_getaffinity(0, sizeof(set), &set) == 0);
	set = one_of(&set, true);
	use_heap_of(&set);
	JE_READ("arenas.narenas", &now);
	CHECK_EQ(now, before);
}

static void start_change(char *program, const char *malloc_conf, char *arenas)
{
	char *words[] = {program, CHANGE, arenas, NULL};
	cpu_set_t processors;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid > 0) {
		CHECK_EQ(check_child(pid), 0);
		return;
	}
	CHECK(sched_getaffinity(0, sizeof(processors), &processors) == 0);
	processors = one_of(&processors, false);
	CHECK(sched_setaffinity(0, sizeof(processors), &processors) == 0);
	set("MALLOC_CONF", malloc_conf);
	execv("/proc/self/exe", words);
	_exit(127);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], CHANGE)) {
		change((unsigned)strtoul(argv[2], NULL, 10));
		return 0;
	}
	if (argc == 2) {
		check_row(&rows[strtoul(argv[1], NULL, 10)]);
		return 0;
	}
	for (size_t i = 0; i < COUNT(rows); i++)
		start_row(argv[0], i);
	start_change(argv[0], "", "1");
	start_change(argv[0], "narenas:4", "4");
	return 0;
}
