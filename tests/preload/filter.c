/* SPDX-License-Identifier: BSD-2-Clause */
#include "filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

/* What the lists in the manual name, and the library may call on this machine. */
#define CALL(name)                \
	{                         \
#name, SYS_##name \
	}
static const struct {
	const char *name;
	long number;
} calls[] = {
	CALL(brk),
	CALL(clock_gettime),
	CALL(clock_nanosleep),
	CALL(clone),
	CALL(clone3),
	CALL(close),
	CALL(close_range),
	CALL(connect),
	CALL(eventfd2),
	CALL(exit),
	CALL(exit_group),
	CALL(fchmod),
	CALL(fcntl),
	CALL(ftruncate),
	CALL(futex),
	CALL(getdents64),
	CALL(getpgid),
#ifdef SYS_getpgrp
	CALL(getpgrp),
#endif
	CALL(getpid),
	CALL(gettid),
	CALL(getuid),
#ifdef SYS_geteuid
	CALL(geteuid),
#endif
	CALL(ioctl),
	CALL(kcmp),
	CALL(kill),
	CALL(madvise),
	CALL(memfd_create),
	CALL(mmap),
	CALL(mprotect),
	CALL(munmap),
	CALL(newfstatat),
	CALL(openat),
	CALL(pidfd_open),
	CALL(pidfd_send_signal),
#ifdef SYS_poll
	CALL(poll),
#endif
	CALL(ppoll),
	CALL(prctl),
	CALL(prlimit64),
	{"process_mrelease", 448},
	CALL(process_vm_readv),
	CALL(pwritev2),
	CALL(read),
#ifdef SYS_readlink
	CALL(readlink),
#endif
	CALL(readlinkat),
	CALL(rseq),
	CALL(rt_sigaction),
	CALL(rt_sigpending),
	CALL(rt_sigprocmask),
	CALL(rt_sigreturn),
	CALL(rt_sigtimedwait),
	CALL(sched_yield),
	CALL(sendto),
	CALL(set_robust_list),
	CALL(socket),
	CALL(tgkill),
	CALL(timer_create),
	CALL(timer_settime),
	CALL(truncate),
	CALL(unshare),
#ifdef SYS_unlink
	CALL(unlink),
#endif
	CALL(unlinkat),
	CALL(write),
};

/* False for one that is another machine's. */
static bool find_call(const char *name, unsigned *number)
{
	for (size_t i = 0; i < COUNT(calls); i++)
		if (!strcmp(calls[i].name, name)) {
			*number = (unsigned)calls[i].number;
			return true;
		}
	return false;
}

enum { FILTER_MAX = 200 };
static struct sock_filter filter[FILTER_MAX];
static struct sock_fprog program = {.filter = filter};

static void add(struct sock_filter instruction)
{
	CHECK(program.len < FILTER_MAX);
	filter[program.len++] = instruction;
}

static void make(char **names, unsigned otherwise)
{
	unsigned number;

	add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
	                                 offsetof(struct seccomp_data, nr)));
	for (; *names; names++) {
		if (!find_call(*names, &number))
			continue;
		add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
		add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	}
	add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, otherwise));
}

/* What the filter has stopped, and whether the case is over: the main thread, which has no filter,
   sees to it. */
static int stopped_call = -1;
static bool is_over;

static __attribute__((noreturn)) void wait_for_main(void)
{
	for (;;)
		__atomic_store_n(&is_over, true, __ATOMIC_SEQ_CST);
}

static void *(*run)(void *arg);

static void on_stopped(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	stopped_call = info->si_syscall;
	wait_for_main();
}

/* For this thread alone; what the threads that it starts do is held to it as well. */
static void *run_filtered(void *arg)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(77);
	run(arg);
	wait_for_main();
}

static const char *name_of_call(int number)
{
	for (size_t i = 0; i < COUNT(calls); i++)
		if (calls[i].number == number)
			return calls[i].name;
	return "another";
}

void filter_call(char **names, bool is_told, void *(*function)(void *arg))
{
	const struct sigaction action = {.sa_sigaction = on_stopped, .sa_flags = SA_SIGINFO};
	pthread_t thread;

	run = function;
	make(names, is_told ? SECCOMP_RET_TRAP : SECCOMP_RET_ERRNO | EPERM);
	CHECK_EQ(sigaction(SIGSYS, &action, NULL), 0);
	CHECK_EQ(pthread_create(&thread, NULL, run_filtered, NULL), 0);
	while (!__atomic_load_n(&is_over, __ATOMIC_SEQ_CST))
		usleep(1000);
	if (stopped_call < 0)
		_exit(0);
	dprintf(STDERR_FILENO, "not on the list: %s (%d)\n", name_of_call(stopped_call),
	        stopped_call);
	_exit(3);
}
