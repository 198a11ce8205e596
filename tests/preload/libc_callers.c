/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libc ends the process where it gets NULL for what a program does not know to be an allocation:
 * under a limit, in a group or under RLIMIT_AS the process goes on.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "oomreclaim.h"
#include "oomreclaim_group.h"

/* glibc's: what a C++ compiler's thread_local with a destructor leads to. By its address, of which
   a program that is linked for a fixed place has another idea than libc. */
int __cxa_thread_atexit_impl(void (*function)(void *), void *object, void *file);
static int (*volatile register_destructor)(void (*function)(void *), void *object,
                                           void *file) = __cxa_thread_atexit_impl;
extern void *__dso_handle;

enum { DESTRUCTORS = 1000, OPENINGS = 200, LIBRARIES = 40 };

static struct pool pool;
static oomreclaim_group group;
static int destroyed;

/* ---- No memory ---- */

static bool is_refused(size_t bytes)
{
	void *block = malloc(bytes);

	free(block);
	return block == NULL;
}

/* Whatever size is asked for. */
static void use_up(void)
{
	for (size_t bytes = MIB; bytes >= 256; bytes /= 2)
		pool_fill(&pool, bytes);
	for (size_t bytes = 256; bytes >= sizeof(void *) + sizeof(size_t); bytes -= 8)
		pool_fill(&pool, bytes);
	errno = ERRNO_UNTOUCHED;
	CHECK(is_refused(64));
	CHECK_EQ(errno, ENOMEM);
}

/* In the group, if there is one. */
static void come_to_the_end(void)
{
	struct rlimit limit;

	if (group != 0) {
		CHECK_EQ(oomreclaim_group_enter(group), OOMRECLAIM_GROUP_ROOT);
		CHECK_EQ(oomreclaim_group_current(), group);
	}
	CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
	if (limit.rlim_cur != RLIM_INFINITY)
		space_fill();
	use_up();
}

static void make_group(void)
{
	CHECK_EQ(oomreclaim_group_create("group", OOMRECLAIM_GROUP_ROOT, &group), 0);
	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_MAX, 16 * MIB), 0);
}

/* ---- What a thread does there ---- */

static void run(void *(*function)(void *arg), void *arg)
{
	pthread_t thread;
	void *result;

	CHECK_EQ(pthread_create(&thread, NULL, function, arg), 0);
	CHECK_EQ(pthread_join(thread, &result), 0);
	CHECK(result == arg);
}

static void *leave(void *arg)
{
	come_to_the_end();
	pthread_exit(arg);
}

static void end_by_exit(void)
{
	run(leave, &pool);
}

static void *cancel_other(void *arg)
{
	pthread_t *other = arg;

	come_to_the_end();
	CHECK_EQ(pthread_cancel(*other), 0);
	return arg;
}

static void cancel(void)
{
	pthread_t other;
	void *result;

	CHECK_EQ(pthread_create(&other, NULL, check_sleep, NULL), 0);
	run(cancel_other, &other);
	CHECK_EQ(pthread_join(other, &result), 0);
	CHECK(result == PTHREAD_CANCELED);
}

static char *(*local)(void);

static void *use_local(void *arg)
{
	come_to_the_end();
	memset(local(), 1, 100 * KIB);
	return arg;
}

/* Of a library that was opened when the program ran: 100 KiB for each thread that comes there. */
static void use_locals(void)
{
	void *library = dlopen(getenv("LIBRARY"), RTLD_NOW);

	CHECK(library);
	local = (char *(*)(void))dlsym(library, "local");
	CHECK(local);
	run(use_local, &pool);
}

static void note_destroyed(void *arg)
{
	(void)arg;
	destroyed++;
}

static void *register_destructors(void *arg)
{
	come_to_the_end();
	for (int i = 0; i < DESTRUCTORS; i++)
		CHECK_EQ(register_destructor(note_destroyed, arg, &__dso_handle), 0);
	/* The thread is where it was: in its group, below the limit. Of the reserve, which is
	   1 MiB, the heap may have got what libc has not. */
	CHECK(group == 0 || is_refused(64));
	CHECK(is_refused(2 * MIB));
	return arg;
}

static void use_destructors(void)
{
	run(register_destructors, &pool);
	CHECK_EQ(destroyed, DESTRUCTORS);
}

static size_t charged(void)
{
	struct oomreclaim_limit_stats stats;

	CHECK_EQ(oomreclaim_limit_stats(&stats, sizeof stats), 0);
	return stats.charged;
}

/* What the loader has to get, the program may have for itself when the loader needs it no more:
   that is no way around the limit, but for an eighth. */
static void open_again(void)
{
	const char *path = getenv("LIBRARY");

	for (int i = 0; i < OPENINGS; i++) {
		void *library;

		use_up();
		library = dlopen(path, RTLD_NOW);
		use_up();
		if (library)
			dlclose(library);
	}
	CHECK(charged() <= oomreclaim_get_limit() + oomreclaim_get_limit() / 8);
}

/* ---- In a group ---- */

/* What libc took is the process's: the group can end with all that is in it. */
static void destroy_group(void)
{
	pool = (struct pool){0};
	CHECK_EQ(oomreclaim_group_destroy(group, OOMRECLAIM_GROUP_FREE), 0);
	CHECK(pool_add(&pool, MIB));
}

static void end_by_exit_in_group(void)
{
	make_group();
	end_by_exit();
	destroy_group();
}

static void cancel_in_group(void)
{
	make_group();
	cancel();
	destroy_group();
}

static void use_locals_in_group(void)
{
	make_group();
	use_locals();
	destroy_group();
}

static void use_destructors_in_group(void)
{
	make_group();
	use_destructors();
	destroy_group();
}

/* ---- With a debug library in which each malloc() fails ---- */

static void *leave_at_once(void *arg)
{
	CHECK_EQ(register_destructor(note_destroyed, arg, &__dso_handle), 0);
	pthread_exit(arg);
}

static void injected(void)
{
	CHECK(is_refused(64));
	run(leave_at_once, &pool);
	CHECK_EQ(destroyed, 1);
}

/* Where failures of the loader are asked for, it is told no. */
static void injected_into_loader(void)
{
	CHECK(!is_refused(64));
	CHECK(!dlopen(getenv("LIBRARY"), RTLD_NOW));
}

/* A file of its own for each, with what is thread-local in it. */
static char *(*open_copy(const char *directory, int number))(void)
{
	char path[200];
	struct stat from;
	int in = open(getenv("LIBRARY"), O_RDONLY | O_CLOEXEC), out;
	char *(*function)(void);

	snprintf(path, sizeof path, "%s/%d.so", directory, number);
	out = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	CHECK(in >= 0 && out >= 0 && fstat(in, &from) == 0);
	CHECK_EQ(sendfile(out, in, NULL, (size_t)from.st_size), from.st_size);
	close(in);
	close(out);
	function = (char *(*)(void))dlsym(dlopen(path, RTLD_NOW), "local");
	CHECK(function && unlink(path) == 0);
	return function;
}

/* The thread's list of such places has grown inside of the group, and grows again, by realloc(). */
static void grow_list_in_group(void)
{
	char directory[] = "/tmp/libc-callers-XXXXXX";
	char *(*functions[LIBRARIES])(void) = {NULL};

	CHECK(mkdtemp(directory));
	make_group();
	for (int i = 0; i < LIBRARIES / 2; i++)
		functions[i] = open_copy(directory, i);
	CHECK_EQ(oomreclaim_group_enter(group), OOMRECLAIM_GROUP_ROOT);
	memset(functions[LIBRARIES / 2 - 1](), 1, 100 * KIB);
	oomreclaim_group_enter(OOMRECLAIM_GROUP_ROOT);
	for (int i = LIBRARIES / 2; i < LIBRARIES; i++)
		functions[i] = open_copy(directory, i);
	CHECK(rmdir(directory) == 0);
	come_to_the_end();
	memset(functions[LIBRARIES - 1](), 1, 100 * KIB);
	CHECK(is_refused(2 * MIB));
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"exit", end_by_exit},
		{"cancel", cancel},
		{"locals", use_locals},
		{"destructors", use_destructors},
		{"group-exit", end_by_exit_in_group},
		{"group-cancel", cancel_in_group},
		{"group-locals", use_locals_in_group},
		{"group-destructors", use_destructors_in_group},
		{"open-again", open_again},
		{"group-list", grow_list_in_group},
		{"injected", injected},
		{"injected-into-loader", injected_into_loader},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
