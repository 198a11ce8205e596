/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread may have to start inside of malloc(), which libc calls with locks of its own held. So
 * what starts it must wait for no lock under which libc allocates. pthread_create() of glibc 2.31
 * to 2.42 takes three:
 *
 *   __default_pthread_attr_lock  where the attributes name no size of the stack. Under it
 *                                pthread_getattr_default_np() allocates. So the size is found out
 *                                at the start, and always given.
 *   dl_stack_cache_lock          for the list of stacks. libc frees under it, which never leads
 *                                here, but does not allocate.
 *   dl_load_tls_lock             for the variables of the thread (2.35 and later; in 2.34
 *                                dl_load_lock). dlopen() allocates under it, but a thread may take
 *                                it twice.
 *
 * Under the last two dlclose() waits for threads that look up a symbol. One that looks up a unique
 * one of C++ may allocate at that, and if the watermark is met there, and never was before, the
 * two wait for each other: that is left.
 *
 * pthread_create() takes none of those under which libc allocates otherwise: a thread's own
 * (pthread_getattr_np()), the loader's, those of atexit(), stdio, setlocale(), the resolver, the
 * time zone. The thread gives itself its name, as pthread_setname_np() for another opens a file.
 */
#include "base/own_thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>

#include "base/fork_data.h"
#include "base/futex.h"

/* Until it is known. glibc's own for RLIM_INFINITY. */
static size_t stack_bytes = (size_t)2 << 20;

/* The word that oomreclaimd sleeps on: its own, or one that other processes have mapped as well.
   Changed where there is no oomreclaimd. */
static atomic_uint own_calls;
static atomic_uint *_Atomic calls = &own_calls;
/* All of them, and those that are at work. */
static atomic_uint threads, awake;

void own_thread_init(void)
{
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_getstacksize(&attributes, &stack_bytes);
	pthread_attr_destroy(&attributes);
}

int own_thread_start(void *(*function)(void *))
{
	sigset_t all, old;
	pthread_t created;
	pthread_attr_t attributes;
	int error;

	/* The program's signals are handled by the program's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, stack_bytes);
	/* Before there is one: it may be over at once. In this order, for own_threads_idle(). */
	atomic_fetch_add(&awake, 1);
	atomic_fetch_add(&threads, 1);
	error = pthread_create(&created, &attributes, function, NULL);
	if (error != 0)
		own_thread_end();
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error;
}

void own_thread_begin(const char *name)
{
	/* A callback may have told the program which thread it was on. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	prctl(PR_SET_NAME, name);
}

void own_thread_end(void)
{
	atomic_fetch_sub(&threads, 1);
	atomic_fetch_sub(&awake, 1);
}

void own_thread_sleep(void)
{
	atomic_fetch_sub(&awake, 1);
}

void own_thread_wake_up(void)
{
	atomic_fetch_add(&awake, 1);
}

void own_thread_share(atomic_uint *word)
{
	/* What it was called for before goes with it. */
	if (word != NULL)
		atomic_fetch_or(word, atomic_exchange(&own_calls, 0));
	atomic_store(&calls, word != NULL ? word : &own_calls);
}

bool own_thread_is_shared(void)
{
	return atomic_load(&calls) != &own_calls;
}

/* A word that processes share may have the bit from one that was killed before it could wake
   anybody, and a thread that sleeps on it all the same. */
void own_thread_call_on(atomic_uint *word, unsigned reasons)
{
	unsigned before = atomic_fetch_or(word, reasons);

	if (word != &own_calls || (before & reasons) != reasons)
		futex_wake(word);
}

void own_thread_call(unsigned reasons)
{
	own_thread_call_on(atomic_load(&calls), reasons);
}

unsigned own_thread_await(uint64_t wait_ns)
{
	atomic_uint *word = atomic_load(&calls);

	own_thread_sleep();
	if (atomic_load(word) == 0)
		futex_wait(word, 0, wait_ns);
	/* In this order, for own_threads_idle(): a call that is taken is work that goes on. */
	own_thread_wake_up();
	return atomic_exchange(word, 0);
}

unsigned own_thread_calls(void)
{
	return atomic_load(atomic_load(&calls));
}

unsigned own_threads_idle(void)
{
	/* In this order: one that begins is at work before it is counted as there, and one that is
	   called is at work before the call is taken. */
	unsigned all = atomic_load(&threads), busy = own_thread_calls() != 0;

	busy += atomic_load(&awake);
	return all > busy ? all - busy : 0;
}

void own_thread_fork_child(void)
{
	if (atomic_load(&threads) > 0)
		atomic_store(atomic_load(&calls), 0);
	fork_reset(threads, 0);
	fork_reset(awake, 0);
}
