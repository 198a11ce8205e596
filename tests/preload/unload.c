/* SPDX-License-Identifier: BSD-2-Clause */
/* Not preloaded: opens the libraries and modules that are its arguments, and closes them while a
   thread that has used them goes on. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "check.h"
#include "oomreclaim_group.h"

static void *(*allocate)(size_t size);
static void (*release)(void *memory);
static sem_t is_used, is_closed;

static void *use(void *arg)
{
	void *block = allocate(1000);

	CHECK(block);
	release(block);
	sem_post(&is_used);
	sem_wait(&is_closed);
	return arg;
}

#define FIND(function) __typeof__(&(function)) find_##function = dlsym(library, #function)

/* Groups are there, but the program's pthread_create() is libc's. */
static void check_groups(void *library)
{
	FIND(oomreclaim_group_create);
	FIND(oomreclaim_group_set);
	FIND(oomreclaim_group_destroy);
	oomreclaim_group group;

	CHECK_EQ(find_oomreclaim_group_create("group", OOMRECLAIM_GROUP_ROOT, &group), 0);
	CHECK_EQ(find_oomreclaim_group_set(group, OOMRECLAIM_GROUP_INHERIT, 1), ENOTSUP);
	CHECK_EQ(find_oomreclaim_group_set(group, OOMRECLAIM_GROUP_INHERIT, 0), 0);
	CHECK_EQ(find_oomreclaim_group_destroy(group, 0), 0);
}

int main(int argc, char **argv)
{
	void *library, *at;
	pthread_t thread;
	Dl_info info;

	CHECK(argc > 1);
	for (int i = 1; i < argc; i++) {
		library = dlopen(argv[i], RTLD_NOW | RTLD_GLOBAL);
		if (!library)
			CHECK_EQ(*dlerror(), 0);
		at = dlsym(library, i == 1 ? "oomreclaim_version" : "oomreclaim_module_init");
		CHECK(at);
		if (i == 1) {
			*(void **)&allocate = dlsym(library, "malloc");
			*(void **)&release = dlsym(library, "free");
			check_groups(library);
			CHECK(sem_init(&is_used, 0, 0) == 0 && sem_init(&is_closed, 0, 0) == 0);
			CHECK(pthread_create(&thread, NULL, use, NULL) == 0);
			sem_wait(&is_used);
		}
		CHECK(dlclose(library) == 0);
		CHECK(dladdr(at, &info) != 0);
	}
	sem_post(&is_closed);
	pthread_join(thread, NULL);
	return 0;
}
