/* SPDX-License-Identifier: BSD-2-Clause */
/* What the programs about locks have in common: a lock, somebody who has it and allocates, and a
   callback that waits for it. */
#ifndef LOCKDEP_CALLS_H
#define LOCKDEP_CALLS_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../preload/check.h"
#include "oomreclaim.h"

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER;

/* Too large for the compiler to leave out. */
static void allocate(void)
{
	void *volatile memory = malloc(100);

	CHECK(memory != NULL);
	free(memory);
}

/* As a std::mutex: nobody initialises or destroys it. In a large block, in the middle, where the
   heap does not move it by a part of a page. */
static inline pthread_mutex_t *place_lock(char *memory, size_t bytes)
{
	static const pthread_mutex_t initial = PTHREAD_MUTEX_INITIALIZER;
	const uintptr_t page = 4096;
	uintptr_t at = (uintptr_t)memory;

	if (bytes > 2 * page)
		at = (at & ~(page - 1)) + (bytes / 2 & ~(page - 1));
	memcpy((void *)at, &initial, sizeof initial);
	return (pthread_mutex_t *)at;
}

static size_t (*in_callback)(void);

static size_t call(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	return in_callback();
}

/* The callbacks are called, though there is memory. */
static void call_back(size_t (*function)(void))
{
	oomreclaim_handle handle;

	in_callback = function;
	CHECK_EQ(oomreclaim_register("call", 0, 0, call, NULL, &handle), 0);
	oomreclaim_reclaim(1);
	CHECK_EQ(oomreclaim_unregister(handle), 0);
}

static size_t wait_a(void)
{
	pthread_mutex_lock(&a);
	pthread_mutex_unlock(&a);
	return 0;
}

/* The same of one that each test chooses. */
static pthread_mutex_t *chosen;

static inline size_t wait_chosen(void)
{
	pthread_mutex_lock(chosen);
	pthread_mutex_unlock(chosen);
	return 0;
}

static void hold_a(void)
{
	pthread_mutex_lock(&a);
	allocate();
	pthread_mutex_unlock(&a);
}

#endif
