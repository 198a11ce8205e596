/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the unit tests share. Where something that can't go wrong does, the test process ends with a
 * line on stderr. Nothing here is for the tests' threads to assert with: they leave a value behind,
 * and the test looks at it.
 */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A value that nothing sets errno to. */
#define ERRNO_UNTOUCHED 4711

/* Of every suite with threads: a test that hangs fails. */
#define WATCHDOG_SECONDS 120

/* What init.c does before main(): the settings' defaults, and the handlers of fork(). And there is
   no /proc: what a test comes to must not depend on the machine's limits. */
void support_init(void);

/* Runs `function` in a child, which leaves it by returning, with status 0, by _exit() or by a
   signal. Returns the status of waitpid(). */
int run_child(void (*function)(void));

/* The same with `function` as the first process of a pid namespace, which it leaves by _exit().
   Returns its exit status; 77 where this user may not make one. */
int run_in_pid_namespace(void (*function)(void));

/* ---- Threads ---- */

/* Something that a thread waits for, once. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	bool is_open;
};
#define GATE                                                                          \
	{                                                                             \
		.lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER \
	}
void gate_open(struct gate *gate);
void gate_wait(struct gate *gate);

struct thread {
	pthread_t id;
	void (*function)(void);
	atomic_int tid;
	atomic_bool has_ended;
};
void thread_start(struct thread *thread, void (*function)(void));
void thread_join(struct thread *thread);
/* Returns when the thread sleeps in the kernel and goes on doing so, or has ended. */
void thread_wait_asleep(struct thread *thread);

/* ---- CLOCK_MONOTONIC, as this process reads it ---- */

void fake_clock_freeze(void);
void fake_clock_advance(uint64_t ns);

/* ---- stderr ---- */

/* Takes the place of stderr; keeps apart what comes in separate writes. */
struct capture {
	int fd;
	int saved_fd;
};
void capture_begin(struct capture *capture);
/* The next write, or "" if there is none. Valid until the next call. */
const char *capture_next(struct capture *capture);
void capture_end(struct capture *capture);

/* ---- Descriptors ---- */

/* The lowest that is free: the same again where none was left open. */
int lowest_free_fd(void);

/* ---- /proc ---- */

/* Makes an empty directory and sets proc_root to it; it goes when the test process exits by itself
   or calls fake_proc_end(). */
void fake_proc_begin(void);
void fake_proc_end(void);
/* Makes a file below it, and the directories on the way. */
void fake_proc_write(const char *path, const char *text);
void fake_proc_mkdir(const char *path);
void fake_proc_remove(const char *path);
/* Where it really is. */
void fake_proc_path(char *full, size_t bytes, const char *path);

#endif
