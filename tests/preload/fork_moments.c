/* SPDX-License-Identifier: BSD-2-Clause */
/* fork() beside threads that hold what fork() itself waits for, and in a signal handler. */
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static pid_t forker;
static bool is_forking;
static sem_t is_held, may_fork;

/* The heap's locks are of use to the child, and to the thread that holds what main waits for. */
static void use_heap(void)
{
	void *block = malloc(MIB);

	CHECK(block);
	free(block);
}

/* Holds a lock, and needs the heap when main is in fork() and waits for that lock. */
static void allocate_once_waited_for(void)
{
	sem_post(&may_fork);
	while (!__atomic_load_n(&is_forking, __ATOMIC_SEQ_CST))
		usleep(1000);
	check_asleep(&forker);
	use_heap();
}

static void fork_beside(void *(*function)(void *))
{
	pthread_t thread;
	pid_t pid;

	forker = gettid();
	CHECK(sem_init(&is_held, 0, 0) == 0 && sem_init(&may_fork, 0, 0) == 0);
	CHECK(pthread_create(&thread, NULL, function, NULL) == 0);
	sem_wait(&may_fork);
	__atomic_store_n(&is_forking, true, __ATOMIC_SEQ_CST);
	pid = fork();
	if (!pid) {
		use_heap();
		_exit(fflush(NULL) != 0);
	}
	CHECK_EQ(check_child(pid), 0);
	pthread_join(thread, NULL);
	use_heap();
}

/* ---- A stream, and who flushes all of them ---- */

static FILE *stream;
static pid_t flusher;

static void *flush_all(void *arg)
{
	(void)arg;
	sem_wait(&is_held);
	__atomic_store_n(&flusher, gettid(), __ATOMIC_SEQ_CST);
	CHECK(fflush(NULL) == 0);
	return NULL;
}

static void *hold_stream(void *arg)
{
	pthread_t thread;

	flockfile(stream);
	CHECK(pthread_create(&thread, NULL, flush_all, NULL) == 0);
	sem_post(&is_held);
	check_asleep(&flusher);
	allocate_once_waited_for();
	funlockfile(stream);
	pthread_join(thread, NULL);
	return arg;
}

static void streams(void)
{
	stream = fopen("/dev/null", "w");
	CHECK(stream);
	fork_beside(hold_stream);
	CHECK(fclose(stream) == 0);
}

/* ---- A library that takes a lock in its own handlers: fork_early.c ---- */

static void *hold_early_lock(void *arg)
{
	pthread_mutex_t *lock = dlsym(RTLD_DEFAULT, "early_lock");

	CHECK(lock);
	pthread_mutex_lock(lock);
	allocate_once_waited_for();
	pthread_mutex_unlock(lock);
	return arg;
}

static void handlers(void)
{
	fork_beside(hold_early_lock);
}

/* ---- A handler that forks, in the middle of the heap ---- */

static bool is_raising, may_return;
static int raised;

static void fork_in_handler(int number)
{
	bool was_raising = is_raising;
	pid_t pid;

	(void)number;
	is_raising = false;
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0 && (!may_return || raised % 2 == 0))
		_exit(0);
	/* The other half of them go on with what was interrupted. */
	if (pid == 0)
		return;
	CHECK_EQ(check_child(pid), 0);
	raised++;
	is_raising = was_raising;
}

/* In the library's place of libc's: called with the heap's locks held. */
void *mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	if (is_raising)
		raise(SIGUSR1);
	return (void *)syscall(SYS_mmap, at, bytes, prot, flags, fd, offset);
}

int munmap(void *at, size_t bytes)
{
	if (is_raising)
		raise(SIGUSR1);
	return (int)syscall(SYS_munmap, at, bytes);
}

static void catch (void)
{
	const struct sigaction action = {.sa_handler = fork_in_handler};

	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
}

static void in_heap(void)
{
	const pid_t self = getpid();
	void *blocks[32];

	catch ();
	is_raising = may_return = true;
	for (size_t i = 0; i < COUNT(blocks); i++)
		CHECK(blocks[i] = malloc((i + 1) * MIB));
	for (size_t i = 0; i < COUNT(blocks); i++)
		free(blocks[i]);
	is_raising = false;
	if (getpid() != self)
		_exit(0);
	CHECK(raised >= (int)COUNT(blocks));
}

/* ---- A handler that forks, in the middle of fork() ---- */

static __thread int locks_left;

static void count_lock(void)
{
	sigset_t mask;

	if (locks_left == 0 || --locks_left > 0)
		return;
	/* What the thread itself may cause would end it. */
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	CHECK(!sigismember(&mask, SIGSEGV) && !sigismember(&mask, SIGSYS));
	raise(SIGUSR1);
}

/* In the library's place of libc's, which the heap tries first. */
int pthread_mutex_lock(pthread_mutex_t *lock)
{
	static int (*next)(pthread_mutex_t * lock);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "pthread_mutex_lock");
	count_lock();
	return next(lock);
}

int pthread_mutex_trylock(pthread_mutex_t *lock)
{
	static int (*next)(pthread_mutex_t * lock);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "pthread_mutex_trylock");
	count_lock();
	return next(lock);
}

static void *wait_for_end(void *end)
{
	sem_wait(end);
	return NULL;
}

static void check_as_before(void)
{
	sigset_t mask;
	int state;

	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	for (int number = 1; number < SIGRTMIN; number++)
		CHECK(sigismember(&mask, number) == (number == SIGUSR2));
	CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state) == 0);
	CHECK_EQ(state, PTHREAD_CANCEL_ENABLE);
}

enum { WENT_ON = 42 };

static void *fork_when_cancelled(void *forked)
{
	pid_t pid;

	CHECK_EQ(pthread_cancel(pthread_self()), 0);
	pid = fork();
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	if (!pid) {
		use_heap();
		_exit(WENT_ON);
	}
	*(pid_t *)forked = pid;
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	pthread_testcancel();
	return NULL;
}

/* fork() is no cancellation point, and the files that are read and opened for it are. */
static void cancelled(void)
{
	pthread_t thread;
	pid_t pid = 0;
	void *result;
	int status;

	CHECK_EQ(pthread_create(&thread, NULL, fork_when_cancelled, &pid), 0);
	CHECK_EQ(pthread_join(thread, &result), 0);
	CHECK(result == PTHREAD_CANCELED && pid > 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == WENT_ON);
}

static void in_fork(void)
{
	enum { LOCKS_AT_LEAST = 10 };
	pthread_t thread;
	sigset_t mask;
	sem_t end;
	int lock = 0;

	catch ();
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	CHECK(pthread_sigmask(SIG_SETMASK, &mask, NULL) == 0);
	CHECK(sem_init(&end, 0, 0) == 0);
	CHECK(pthread_create(&thread, NULL, wait_for_end, &end) == 0);
	do {
		pid_t pid;

		locks_left = ++lock;
		pid = fork();
		if (!pid) {
			locks_left = 0;
			check_as_before();
			use_heap();
			_exit(0);
		}
		CHECK_EQ(check_child(pid), 0);
		check_as_before();
	} while (locks_left == 0);
	locks_left = 0;
	CHECK(lock > LOCKS_AT_LEAST && raised >= lock - 1);
	sem_post(&end);
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"streams", streams}, {"handlers", handlers},   {"in-heap", in_heap},
		{"in-fork", in_fork}, {"cancelled", cancelled},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
