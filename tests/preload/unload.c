/* SPDX-License-Identifier: BSD-2-Clause */
/* Not preloaded: opens the libraries and modules that are its arguments, and closes them while a
   thread that has used them goes on. */
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "check.h"

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
