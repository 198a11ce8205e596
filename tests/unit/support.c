/* SPDX-License-Identifier: BSD-2-Clause */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/io_write.h"
#include "config/options.h"
#include "entry/fork.h"
#include "limits/budget.h"
#include "system/proc.h"

#define PATH_BYTES 1024
#define NO_PROC "/nonexistent"

/* Not assert(): it has to be there in a build without them as well. */
#define MUST(condition) ((condition) ? (void)0 : give_up(__LINE__, #condition))

static void give_up(int line, const char *condition)
{
	dprintf(STDERR_FILENO, "support.c:%d: %s\n", line, condition);
	_exit(EXIT_FAILURE);
}

/* Of a test that hangs, and is ended for it, nothing is to be left. */
static void die_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* There is no oomreclaimd. */
static void wake_nobody(void)
{
}

void support_init(void)
{
	unsetenv("OOMRECLAIM_CONF");
	proc_root = NO_PROC;
	/* Some end by abort(). */
	MUST(setrlimit(RLIMIT_CORE, &(struct rlimit){.rlim_cur = 0}) == 0);
	options_load(NULL);
	/* Who waits here is waited for, however long that takes on a busy machine: tests of the end
	   of waiting set their own. */
	options.wait_ms = 1000ull * WATCHDOG_SECONDS;
	budget_init(wake_nobody);
	MUST(fork_register() == 0);
	MUST(pthread_atfork(NULL, NULL, die_with_parent) == 0);
}

#ifdef COVERAGE
/* In place of libc's: what a process has reached counts, though it ends here. */
void __gcov_dump(void);
void __gcov_reset(void);

/* It may end later after all: then only what comes after this is added. */
static void count_so_far(void)
{
	__gcov_dump();
	__gcov_reset();
}

void _exit(int status)
{
	__gcov_dump();
	for (;;)
		syscall(SYS_exit_group, status);
}

int kill(pid_t pid, int number)
{
	if (pid == getpid())
		count_so_far();
	return (int)syscall(SYS_kill, pid, number);
}

void abort(void)
{
	count_so_far();
	raise(SIGABRT);
	signal(SIGABRT, SIG_DFL);
	raise(SIGABRT);
	_exit(EXIT_FAILURE);
}
#endif

int run_child(void (*function)(void))
{
	int status;
	pid_t child = fork();

	MUST(child >= 0);
	if (child == 0) {
		function();
		_exit(EXIT_SUCCESS);
	}
	MUST(waitpid(child, &status, 0) == child);
	return status;
}

static void (*first_in_namespace)(void);

static void enter_namespace(void)
{
	int status = 0;
	pid_t child;

	if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0)
		_exit(errno == EPERM ? 77 : 1);
	child = fork();
	if (child == 0)
		first_in_namespace();
	waitpid(child, &status, 0);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

int run_in_pid_namespace(void (*function)(void))
{
	int status;

	first_in_namespace = function;
	status = run_child(enter_namespace);
	MUST(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* ---- Threads ---- */

void gate_open(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->is_open = true;
	pthread_cond_broadcast(&gate->opened);
	pthread_mutex_unlock(&gate->lock);
}

void gate_wait(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	while (!gate->is_open)
		pthread_cond_wait(&gate->opened, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}

static void *run(void *arg)
{
	struct thread *thread = arg;

	atomic_store(&thread->tid, gettid());
	thread->function();
	atomic_store(&thread->has_ended, true);
	return NULL;
}

void thread_start(struct thread *thread, void (*function)(void))
{
	thread->function = function;
	atomic_init(&thread->tid, 0);
	atomic_init(&thread->has_ended, false);
	MUST(pthread_create(&thread->id, NULL, run, thread) == 0);
}

void thread_join(struct thread *thread)
{
	MUST(pthread_join(thread->id, NULL) == 0);
}

static bool is_asleep(const struct thread *thread)
{
	char path[64], text[512];
	const char *state;
	ssize_t bytes;
	int fd;

	snprintf(path, sizeof path, "/proc/self/task/%d/stat", atomic_load(&thread->tid));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bytes = read(fd, text, sizeof text - 1);
	close(fd);
	text[bytes > 0 ? bytes : 0] = '\0';
	state = strrchr(text, ')');
	return state != NULL && state[1] == ' ' && state[2] == 'S';
}

void thread_wait_asleep(struct thread *thread)
{
	/* On its way it may sleep for a moment, on a lock of the sanitizer's, say. */
	enum { ENOUGH = 20 };
	const struct timespec pause = {.tv_nsec = 2 * 1000 * 1000};

	for (int seen = 0; seen < ENOUGH && !atomic_load(&thread->has_ended);) {
		nanosleep(&pause, NULL);
		seen = is_asleep(thread) ? seen + 1 : 0;
	}
}

/* ---- CLOCK_MONOTONIC ---- */

static _Atomic uint64_t frozen_ns; /* 0: it runs */

/* In place of libc's, for all of the process. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
	uint64_t frozen = atomic_load(&frozen_ns);

	if (frozen == 0 || clock != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, clock, now);
	*now = timespec_of_ns(frozen);
	return 0;
}

void fake_clock_freeze(void)
{
	atomic_store(&frozen_ns, now_ns());
}

void fake_clock_advance(uint64_t ns)
{
	atomic_fetch_add(&frozen_ns, ns);
}

/* ---- stderr ---- */

int lowest_free_fd(void)
{
	int fd = dup(STDERR_FILENO);

	MUST(fd >= 0);
	close(fd);
	return fd;
}

void capture_begin(struct capture *capture)
{
	int pair[2];

	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	capture->fd = pair[0];
	capture->saved_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	MUST(capture->saved_fd >= 0);
	MUST(dup2(pair[1], STDERR_FILENO) == STDERR_FILENO);
	close(pair[1]);
	io_stderr_note();
}

const char *capture_next(struct capture *capture)
{
	static char text[65536];
	ssize_t bytes = recv(capture->fd, text, sizeof text - 1, MSG_DONTWAIT);

	text[bytes > 0 ? bytes : 0] = '\0';
	return text;
}

void capture_end(struct capture *capture)
{
	MUST(dup2(capture->saved_fd, STDERR_FILENO) == STDERR_FILENO);
	close(capture->saved_fd);
	close(capture->fd);
	io_stderr_note();
}

/* ---- /proc ---- */

static char root[PATH_BYTES];

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

void fake_proc_end(void)
{
	/* Only the process that made it: not a child of its own. */
	if (root[0] != '\0')
		nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	root[0] = '\0';
	proc_root = NO_PROC;
}

void fake_proc_begin(void)
{
	/* On tmpfs if there is one: there a directory's links are counted, as in /proc. */
	snprintf(root, sizeof root, "/dev/shm/oomreclaim-test-XXXXXX");
	if (mkdtemp(root) == NULL) {
		snprintf(root, sizeof root, "/tmp/oomreclaim-test-XXXXXX");
		MUST(mkdtemp(root) != NULL);
	}
	proc_root = root;
}

void fake_proc_path(char *full, size_t bytes, const char *path)
{
	MUST(root[0] != '\0');
	MUST((size_t)snprintf(full, bytes, "%s%s", root, path) < bytes);
}

static void make_parents(char *full)
{
	for (char *slash = strchr(full + strlen(root) + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0755);
		*slash = '/';
	}
}

void fake_proc_write(const char *path, const char *text)
{
	char full[PATH_BYTES];
	FILE *file;

	fake_proc_path(full, sizeof full, path);
	make_parents(full);
	file = fopen(full, "we");
	MUST(file != NULL);
	MUST(fputs(text, file) >= 0);
	MUST(fclose(file) == 0);
}

void fake_proc_mkdir(const char *path)
{
	char full[PATH_BYTES];

	fake_proc_path(full, sizeof full, path);
	make_parents(full);
	MUST(mkdir(full, 0755) == 0);
}

void fake_proc_remove(const char *path)
{
	char full[PATH_BYTES];

	fake_proc_path(full, sizeof full, path);
	MUST(remove(full) == 0);
}
