/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lock functions of pthreads and C11, in the place of libc's. Locks of the library itself pass
 * through unseen: they are not held over a callback, and the suites fault and stress hold that.
 *
 * A wait on a condition variable releases its lock. The waiting thread allocates nothing meanwhile,
 * and has the lock again afterwards. So the lock counts as held throughout, and the second wait for
 * the lock is noted.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <threads.h>
#include <time.h>

#include "base/own_code.h"
#include "lockdep/frames.h"
#include "lockdep/lockdep.h"

/* The unwinder's code, which the checker calls (frames.h), and which may take a lock. Set once, in
   the constructor. */
static const char *unwinder, *unwinder_end;

static bool is_own(const void *caller)
{
	return own_code_has(caller) ||
	       ((const char *)caller >= unwinder && (const char *)caller < unwinder_end);
}

/* Names of functions and types, which take no parentheses.
   NOLINTBEGIN(bugprone-macro-parentheses) */
#define FUNCTIONS(DO)                  \
	DO(pthread_mutex_init)         \
	DO(pthread_mutex_destroy)      \
	DO(pthread_mutex_lock)         \
	DO(pthread_mutex_trylock)      \
	DO(pthread_mutex_timedlock)    \
	DO(pthread_mutex_clocklock)    \
	DO(pthread_mutex_unlock)       \
	DO(pthread_rwlock_init)        \
	DO(pthread_rwlock_destroy)     \
	DO(pthread_rwlock_wrlock)      \
	DO(pthread_rwlock_rdlock)      \
	DO(pthread_rwlock_trywrlock)   \
	DO(pthread_rwlock_tryrdlock)   \
	DO(pthread_rwlock_timedwrlock) \
	DO(pthread_rwlock_timedrdlock) \
	DO(pthread_rwlock_clockwrlock) \
	DO(pthread_rwlock_clockrdlock) \
	DO(pthread_rwlock_unlock)      \
	DO(pthread_spin_init)          \
	DO(pthread_spin_destroy)       \
	DO(pthread_spin_lock)          \
	DO(pthread_spin_trylock)       \
	DO(pthread_spin_unlock)        \
	DO(mtx_init)                   \
	DO(mtx_destroy)                \
	DO(mtx_lock)                   \
	DO(mtx_trylock)                \
	DO(mtx_timedlock)              \
	DO(mtx_unlock)                 \
	DO(pthread_cond_wait)          \
	DO(pthread_cond_timedwait)     \
	DO(pthread_cond_clockwait)     \
	DO(cnd_wait)                   \
	DO(cnd_timedwait)

#define MEMBER(function) __typeof__(&function) function;
/* libc's functions; NULL: not looked up yet. Relaxed: every look-up finds the same. */
static struct {
	FUNCTIONS(MEMBER)
} libc;

/* libc has two functions of these names. dlsym() may find the old one, which has another
   pthread_cond_t. */
static void *find(const char *name)
{
	void *found = NULL;

	if (strcmp(name, "pthread_cond_wait") == 0 || strcmp(name, "pthread_cond_timedwait") == 0) {
		found = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
		/* Clears the error, which the program's own dlerror() would return. */
		if (found == NULL)
			(void)dlerror();
	}
	return found != NULL ? found : dlsym(RTLD_NEXT, name);
}

/* Looked up at the first use where a constructor of another library comes before this library's. */
#define NEXT(function)                                                                            \
	__extension__({                                                                           \
		__typeof__(&function) found_ = __atomic_load_n(&libc.function, __ATOMIC_RELAXED); \
                                                                                                  \
		if (unlikely(found_ == NULL)) {                                                   \
			found_ = (__typeof__(&function))find(#function);                          \
			__atomic_store_n(&libc.function, found_, __ATOMIC_RELAXED);               \
		}                                                                                 \
		found_;                                                                           \
	})

void locks_init(void)
{
	const void *function = frames_init();

	if (function != NULL)
		file_around(function, &unwinder, &unwinder_end);
#define LOOK_UP(function) (void)NEXT(function);
	FUNCTIONS(LOOK_UP)
}

static int taken(const volatile void *lock, enum lock_mode mode, int error)
{
	/* EOWNERDEAD: the owner of a robust mutex has died, and the caller has the lock. */
	if (error == 0 || error == EOWNERDEAD)
		lockdep_hold((const void *)lock, mode);
	return error;
}

#define CALLER __builtin_return_address(0)

#define INITIALISES(function, type, how)                                 \
	OOM_EXPORT int function(type *lock, how)                         \
	{                                                                \
		if (!is_own(CALLER))                                     \
			lockdep_initialised((const void *)lock, CALLER); \
		return NEXT(function)(lock, attributes);                 \
	}
#define DESTROYS(function, type)                               \
	OOM_EXPORT int function(type *lock)                    \
	{                                                      \
		if (!is_own(CALLER))                           \
			lockdep_destroyed((const void *)lock); \
		return NEXT(function)(lock);                   \
	}
#define WAITS(function, type, mode)                             \
	OOM_EXPORT int function(type *lock)                     \
	{                                                       \
		if (is_own(CALLER))                             \
			return NEXT(function)(lock);            \
		lockdep_wait((const void *)lock, mode);         \
		return taken(lock, mode, NEXT(function)(lock)); \
	}
#define TRIES(function, type, mode)                             \
	OOM_EXPORT int function(type *lock)                     \
	{                                                       \
		if (is_own(CALLER))                             \
			return NEXT(function)(lock);            \
		return taken(lock, mode, NEXT(function)(lock)); \
	}
/* A wait with a time limit ends, as a trylock does: it is no wait to the checker. */
#define WAITS_UNTIL(function, type, mode)                               \
	OOM_EXPORT int function(type *lock, const struct timespec *end) \
	{                                                               \
		if (is_own(CALLER))                                     \
			return NEXT(function)(lock, end);               \
		return taken(lock, mode, NEXT(function)(lock, end));    \
	}
#define WAITS_UNTIL_BY(function, type, mode)                                             \
	OOM_EXPORT int function(type *lock, clockid_t clock, const struct timespec *end) \
	{                                                                                \
		if (is_own(CALLER))                                                      \
			return NEXT(function)(lock, clock, end);                         \
		return taken(lock, mode, NEXT(function)(lock, clock, end));              \
	}
#define RELEASES(function, type)                             \
	OOM_EXPORT int function(type *lock)                  \
	{                                                    \
		if (!is_own(CALLER))                         \
			lockdep_release((const void *)lock); \
		return NEXT(function)(lock);                 \
	}

/* Releases the lock, and waits for it at the end. A time limit bounds the wait for the condition
   alone. */
#define WAITS_AGAIN(function, parameters, arguments)      \
	OOM_EXPORT int function parameters                \
	{                                                 \
		if (!is_own(CALLER))                      \
			lockdep_wait_again((void *)lock); \
		return NEXT(function) arguments;          \
	}
/* NOLINTEND(bugprone-macro-parentheses) */

INITIALISES(pthread_mutex_init, pthread_mutex_t, const pthread_mutexattr_t *attributes)
DESTROYS(pthread_mutex_destroy, pthread_mutex_t)
WAITS(pthread_mutex_lock, pthread_mutex_t, LOCK_EXCLUSIVE)
TRIES(pthread_mutex_trylock, pthread_mutex_t, LOCK_EXCLUSIVE)
WAITS_UNTIL(pthread_mutex_timedlock, pthread_mutex_t, LOCK_EXCLUSIVE)
WAITS_UNTIL_BY(pthread_mutex_clocklock, pthread_mutex_t, LOCK_EXCLUSIVE)
RELEASES(pthread_mutex_unlock, pthread_mutex_t)

INITIALISES(pthread_rwlock_init, pthread_rwlock_t, const pthread_rwlockattr_t *attributes)
DESTROYS(pthread_rwlock_destroy, pthread_rwlock_t)
WAITS(pthread_rwlock_wrlock, pthread_rwlock_t, LOCK_EXCLUSIVE)
/* Where writers go first, a reader waits behind a waiting writer, and so for the readers before
   it. */
OOM_EXPORT int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
	bool writers_first = lock->__data.__flags == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP;

	if (is_own(CALLER))
		return NEXT(pthread_rwlock_rdlock)(lock);
	lockdep_wait(lock, writers_first ? LOCK_EXCLUSIVE : LOCK_SHARED);
	return taken(lock, LOCK_SHARED, NEXT(pthread_rwlock_rdlock)(lock));
}
TRIES(pthread_rwlock_trywrlock, pthread_rwlock_t, LOCK_EXCLUSIVE)
TRIES(pthread_rwlock_tryrdlock, pthread_rwlock_t, LOCK_SHARED)
WAITS_UNTIL(pthread_rwlock_timedwrlock, pthread_rwlock_t, LOCK_EXCLUSIVE)
WAITS_UNTIL(pthread_rwlock_timedrdlock, pthread_rwlock_t, LOCK_SHARED)
WAITS_UNTIL_BY(pthread_rwlock_clockwrlock, pthread_rwlock_t, LOCK_EXCLUSIVE)
WAITS_UNTIL_BY(pthread_rwlock_clockrdlock, pthread_rwlock_t, LOCK_SHARED)
RELEASES(pthread_rwlock_unlock, pthread_rwlock_t)

INITIALISES(pthread_spin_init, pthread_spinlock_t, int attributes)
DESTROYS(pthread_spin_destroy, pthread_spinlock_t)
WAITS(pthread_spin_lock, pthread_spinlock_t, LOCK_EXCLUSIVE)
TRIES(pthread_spin_trylock, pthread_spinlock_t, LOCK_EXCLUSIVE)
RELEASES(pthread_spin_unlock, pthread_spinlock_t)

INITIALISES(mtx_init, mtx_t, int attributes)
/* By hand: mtx_destroy() returns nothing. */
OOM_EXPORT void mtx_destroy(mtx_t *lock)
{
	if (!is_own(CALLER))
		lockdep_destroyed(lock);
	NEXT(mtx_destroy)(lock);
}
WAITS(mtx_lock, mtx_t, LOCK_EXCLUSIVE)
TRIES(mtx_trylock, mtx_t, LOCK_EXCLUSIVE)
WAITS_UNTIL(mtx_timedlock, mtx_t, LOCK_EXCLUSIVE)
RELEASES(mtx_unlock, mtx_t)

WAITS_AGAIN(pthread_cond_wait, (pthread_cond_t * condition, pthread_mutex_t *lock),
            (condition, lock))
WAITS_AGAIN(pthread_cond_timedwait,
            (pthread_cond_t * condition, pthread_mutex_t *lock, const struct timespec *end),
            (condition, lock, end))
WAITS_AGAIN(pthread_cond_clockwait,
            (pthread_cond_t * condition, pthread_mutex_t *lock, clockid_t clock,
             const struct timespec *end),
            (condition, lock, clock, end))
WAITS_AGAIN(cnd_wait, (cnd_t * condition, mtx_t *lock), (condition, lock))
WAITS_AGAIN(cnd_timedwait, (cnd_t * condition, mtx_t *lock, const struct timespec *end),
            (condition, lock, end))
