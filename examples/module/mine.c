/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A module to begin yours with: callbacks for a program that can't be rebuilt. In place of lib_...
 * put the library that the program uses, and which caches something; link with it. Here that cache
 * is a block of as many MiB as the argument says.
 *
 *     cc -shared -fPIC -o mine.so mine.c $(pkg-config --cflags oomreclaim)
 *     OOMRECLAIM_CONF=modules:/path/to/mine.so oomreclaim run --limit 512M -- program
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <oomreclaim_module.h>

static pthread_mutex_t lib_lock = PTHREAD_MUTEX_INITIALIZER;
static void *lib_cache;
static size_t lib_cache_bytes;

/* The thread that fails may be inside the library, with its lock: so trylock, and 0 if it is
   taken. */
static size_t reclaim(const struct oomreclaim_control *control, void *arg)
{
	size_t freed;

	(void)control; /* bytes_wanted: stop there where giving less is possible */
	(void)arg;
	if (pthread_mutex_trylock(&lib_lock) != 0)
		return 0;
	freed = lib_cache_bytes;
	free(lib_cache);
	lib_cache = NULL;
	lib_cache_bytes = 0;
	pthread_mutex_unlock(&lib_lock);
	return freed;
}

OOMRECLAIM_MODULE(argument)
{
	lib_cache_bytes = strtoul(argument, NULL, 10) << 20; /* modules:/path/to/mine.so=20 */
	lib_cache = calloc(1, lib_cache_bytes);
	if (lib_cache == NULL)
		return ENOMEM;
	return oomreclaim_register("mine", OOMRECLAIM_PRIORITY_DEFAULT, 0, reclaim, NULL, NULL);
}
