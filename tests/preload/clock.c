/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preloaded behind the library: the wall clock is set back by a day each time that anybody reads
 * it, and who waits by it ends the test. What counts on it waits for ever.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum { DAY_SECONDS = 24 * 60 * 60 };

static bool is_wall(clockid_t clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

static void set_back(struct timespec *now)
{
	static atomic_long days;

	now->tv_sec -= ++days * DAY_SECONDS;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int error = (int)syscall(SYS_clock_gettime, clock, now);

	if (error == 0 && is_wall(clock))
		set_back(now);
	return error;
}

time_t time(time_t *seconds)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (seconds)
		*seconds = now.tv_sec;
	return now.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           const struct timespec *end)
{
	(void)condition, (void)mutex, (void)end;
	CHECK(!"pthread_cond_timedwait()");
	return -1;
}

int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
                           const struct timespec *end)
{
	int (*wait)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);

	CHECK(!is_wall(clock));
	*(void **)&wait = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
	return wait(condition, mutex, clock, end);
}
