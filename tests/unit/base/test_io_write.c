/* SPDX-License-Identifier: BSD-2-Clause */
/* Text out, to all that may stand in its way. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/base.h"
#include "base/io.h"
#include "base/io_write.h"
#include "forbid.h"
#include "support.h"

/* Longer than what room for a single byte is room for. */
#define LONG_BYTES 20000

static char long_text[LONG_BYTES];

static void init(void)
{
	support_init();
	memset(long_text, 'x', sizeof long_text);
}

TestSuite(io_write, .init = init, .timeout = WATCHDOG_SECONDS);

/* The longest that poll() was allowed to wait. In place of libc's. */
static atomic_int longest_wait_ms;

int poll(struct pollfd *fds, nfds_t count, int wait_ms)
{
	const struct timespec wait = timespec_of_ns((unsigned)wait_ms * NSEC_PER_MSEC);

	if (wait_ms > longest_wait_ms)
		longest_wait_ms = wait_ms;
	return (int)syscall(SYS_ppoll, fds, count, wait_ms < 0 ? NULL : &wait, NULL, 0);
}

/* As io_write(), and what holds for every call of it. */
static int write_to(int fd, const char *text, size_t bytes)
{
	int flags = fcntl(fd, F_GETFL), lowest = lowest_free_fd(), result;

	errno = ERRNO_UNTOUCHED;
	result = io_write(fd, text, bytes, IO_WRITE_WAIT_MS);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_eq(fcntl(fd, F_GETFL), flags, "O_NONBLOCK is the program's");
	cr_expect_eq(lowest_free_fd(), lowest, "left open");
	return result;
}

/* ---- Pipes ---- */

Test(io_write, a_pipe)
{
	char got[16] = "";
	int ends[2];

	cr_assert_eq(pipe(ends), 0);
	cr_expect_eq(write_to(ends[1], "hello", 5), 0);
	cr_expect_eq(read(ends[0], got, sizeof got), 5);
	cr_expect_str_eq(got, "hello");
}

Test(io_write, to_nothing)
{
	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(io_write(4000, "hello", 5, 0), -EBADF);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
}

/* Fills it, but for `slots` pages. */
static void fill(const int ends[2], int slots)
{
	char block[4096] = {0};

	cr_assert_eq(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	for (size_t bytes = sizeof block; bytes > 0; bytes /= 2)
		while (write(ends[1], block, bytes) > 0)
			;
	cr_assert_eq(fcntl(ends[1], F_SETFL, 0), 0);
	while (slots-- > 0)
		cr_assert_eq(read(ends[0], block, sizeof block), sizeof block);
}

static void expect_no_wait(const int ends[2])
{
	fill(ends, 0);
	cr_expect_eq(write_to(ends[1], "hello", 5), -EAGAIN);
	/* poll() says that there is room. */
	fill(ends, 1);
	cr_expect_eq(write_to(ends[1], long_text, LONG_BYTES), -EAGAIN);
	cr_expect_leq(longest_wait_ms, IO_WRITE_WAIT_MS);
}

Test(io_write, nobody_reads)
{
	int ends[2];

	cr_assert_eq(pipe(ends), 0);
	expect_no_wait(ends);
}

/* Before Linux 6.4. */
Test(io_write, nobody_reads_and_no_flag)
{
	int ends[2];

	cr_assert_eq(pipe(ends), 0);
	forbid_calls(EOPNOTSUPP, SYS_pwritev2);
	expect_no_wait(ends);
}

/* And without /proc, or after setuid(). */
Test(io_write, nobody_reads_and_no_way)
{
	int ends[2];

	cr_assert_eq(pipe(ends), 0);
	forbid_calls(EACCES, SYS_pwritev2, SYS_openat, SYS_open);
	expect_no_wait(ends);
}

Test(io_write, nobody_reads_a_fifo)
{
	char path[1024];
	int ends[2];

	fake_proc_begin();
	fake_proc_path(path, sizeof path, "/fifo");
	cr_assert_eq(mkfifo(path, 0600), 0);
	ends[0] = open(path, O_RDONLY | O_NONBLOCK);
	ends[1] = open(path, O_WRONLY);
	expect_no_wait(ends);
	fake_proc_end();
}

static int slow_fd;
static size_t taken;

static void read_slowly(void)
{
	const struct timespec pause = {.tv_nsec = 1000 * 1000};
	char piece[1000];
	ssize_t got;

	while ((got = read(slow_fd, piece, sizeof piece)) > 0) {
		taken += (size_t)got;
		nanosleep(&pause, NULL);
	}
}

/* All of it comes, in as many pieces as it takes. */
static void expect_all(const int ends[2], size_t already)
{
	struct thread reader;

	taken = 0;
	slow_fd = ends[0];
	thread_start(&reader, read_slowly);
	cr_expect_eq(io_write(ends[1], long_text, LONG_BYTES, 10000), 0);
	close(ends[1]);
	thread_join(&reader);
	cr_expect_eq(taken, already + LONG_BYTES);
}

static size_t fill_small(int ends[2])
{
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(fcntl(ends[1], F_SETPIPE_SZ, 8192), 8192);
	fill(ends, 1);
	return 4096;
}

Test(io_write, a_slow_reader)
{
	int ends[2];
	size_t already = fill_small(ends);

	expect_all(ends, already);
}

Test(io_write, a_slow_reader_and_no_flag)
{
	int ends[2];
	size_t already = fill_small(ends);

	forbid_calls(EOPNOTSUPP, SYS_pwritev2);
	expect_all(ends, already);
}

Test(io_write, a_slow_reader_and_no_way)
{
	int ends[2];
	size_t already = fill_small(ends);

	forbid_calls(EACCES, SYS_pwritev2, SYS_openat, SYS_open);
	expect_all(ends, already);
}

/* ---- Sockets, terminals, others ---- */

static void expect_no_wait_of_socket(int type)
{
	static const char block[1000];
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, type, 0, ends), 0);
	while (send(ends[1], block, sizeof block, MSG_DONTWAIT) > 0)
		;
	cr_expect_eq(write_to(ends[1], long_text, LONG_BYTES), -EAGAIN);
	cr_expect_leq(longest_wait_ms, IO_WRITE_WAIT_MS);
}

Test(io_write, nobody_reads_a_stream)
{
	expect_no_wait_of_socket(SOCK_STREAM);
}

Test(io_write, nobody_reads_a_datagram)
{
	expect_no_wait_of_socket(SOCK_DGRAM);
}

Test(io_write, a_slow_reader_of_a_stream)
{
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	expect_all(ends, 0);
}

static int open_terminal(int *master)
{
	*master = posix_openpt(O_RDWR | O_NOCTTY);
	cr_assert_geq(*master, 0);
	cr_assert_eq(grantpt(*master), 0);
	cr_assert_eq(unlockpt(*master), 0);
	return open(ptsname(*master), O_RDWR | O_NOCTTY);
}

static void expect_no_wait_of_terminal(int terminal)
{
	/* As by ^S. */
	cr_assert_eq(tcflow(terminal, TCOOFF), 0);
	cr_expect_eq(write_to(terminal, "hello", 5), -EAGAIN);
	cr_expect_eq(tcflow(terminal, TCOON), 0);
	/* Room for some of it. */
	cr_expect_eq(write_to(terminal, long_text, LONG_BYTES), -EAGAIN);
	cr_expect_leq(longest_wait_ms, IO_WRITE_WAIT_MS);
}

Test(io_write, a_terminal_that_is_stopped)
{
	int master, terminal = open_terminal(&master);

	cr_assert_geq(terminal, 0);
	expect_no_wait_of_terminal(terminal);
}

Test(io_write, a_terminal)
{
	char got[16] = "";
	int master, terminal = open_terminal(&master);

	cr_expect_eq(write_to(terminal, "hello\n", 6), 0);
	cr_expect_eq(read(master, got, sizeof got), 7);
	cr_expect_str_eq(got, "hello\r\n");
}

/* Opened again by its name it would be the master of another terminal. */
Test(io_write, the_master_of_a_terminal)
{
	char got[16] = "";
	int master, terminal = open_terminal(&master);
	struct termios raw;

	cr_assert_eq(tcgetattr(terminal, &raw), 0);
	cfmakeraw(&raw);
	cr_assert_eq(tcsetattr(terminal, TCSANOW, &raw), 0);
	cr_expect_eq(write_to(master, "hello", 5), 0);
	cr_expect_eq(read(terminal, got, sizeof got), 5);
	cr_expect_str_eq(got, "hello");
}

Test(io_write, devices)
{
	cr_expect_eq(write_to(open("/dev/null", O_WRONLY), long_text, LONG_BYTES), 0);
	cr_expect_eq(write_to(open("/dev/full", O_WRONLY), "hello", 5), -ENOSPC);
}

/* Eight bytes would be a number to it, and it might wait. */
Test(io_write, what_is_not_for_text)
{
	uint64_t count = 0;
	int fd = eventfd(1, EFD_NONBLOCK);

	cr_expect_eq(write_to(fd, "12345678", 8), -EBADF);
	cr_expect_eq(read(fd, &count, sizeof count), sizeof count);
	cr_expect_eq(count, 1);
	cr_expect_eq(write_to(open("/", O_RDONLY), "hello", 5), -EBADF);
}

/* ---- Signals ---- */

static int broken_pipe(void)
{
	int ends[2];

	cr_assert_eq(pipe(ends), 0);
	close(ends[0]);
	return ends[1];
}

/* A file at its limit. The limit stays: Criterion writes no file. */
static int full_file(void)
{
	const struct rlimit little = {3, RLIM_INFINITY};
	int fd = memfd_create("full", MFD_CLOEXEC);

	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &little), 0);
	cr_assert_eq(write(fd, "123", 3), 3);
	return fd;
}

static void lift_limit(void)
{
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
}

/* The default action would end the test. */
static void expect_no_signal(int fd, int signal, int error)
{
	sigset_t before, after;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	cr_expect_eq(write_to(fd, "hello", 5), -error);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	cr_expect_eq(sigismember(&after, signal), sigismember(&before, signal));
	sigpending(&after);
	cr_expect_not(sigismember(&after, signal));
}

Test(io_write, no_sigpipe)
{
	expect_no_signal(broken_pipe(), SIGPIPE, EPIPE);
}

Test(io_write, no_sigpipe_by_a_socket)
{
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	close(ends[0]);
	expect_no_signal(ends[1], SIGPIPE, EPIPE);
}

Test(io_write, no_sigpipe_on_older_kernels)
{
	int fd = broken_pipe();

	forbid_calls(EOPNOTSUPP, SYS_pwritev2);
	expect_no_signal(fd, SIGPIPE, EPIPE);
}

Test(io_write, no_sigxfsz)
{
	expect_no_signal(full_file(), SIGXFSZ, EFBIG);
	lift_limit();
}

/* What the limit leaves room for is written. */
Test(io_write, up_to_the_limit)
{
	const struct rlimit little = {3, RLIM_INFINITY};
	int fd = memfd_create("file", MFD_CLOEXEC);

	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &little), 0);
	expect_no_signal(fd, SIGXFSZ, EFBIG);
	cr_expect_eq(lseek(fd, 0, SEEK_CUR), 3);
	lift_limit();
}

static void expect_to_stay(int fd, int signal, int error)
{
	sigset_t one, pending;

	sigemptyset(&one);
	sigaddset(&one, signal);
	pthread_sigmask(SIG_BLOCK, &one, NULL);
	raise(signal);
	cr_expect_eq(write_to(fd, "hello", 5), -error);
	sigpending(&pending);
	cr_expect(sigismember(&pending, signal));
	sigemptyset(&pending);
	pthread_sigmask(SIG_SETMASK, NULL, &pending);
	cr_expect(sigismember(&pending, signal), "still blocked");
}

Test(io_write, a_sigpipe_that_was_there_stays)
{
	expect_to_stay(broken_pipe(), SIGPIPE, EPIPE);
}

Test(io_write, a_sigxfsz_that_was_there_stays)
{
	expect_to_stay(full_file(), SIGXFSZ, EFBIG);
	lift_limit();
}

static atomic_int ttous;

static void count_ttou(int signal)
{
	(void)signal;
	ttous++;
}

/* A job in the background of a terminal that stops those that write. */
static void write_from_background(void)
{
	int master, terminal = open_terminal(&master);
	struct termios mode;
	pid_t child;
	int status;

	setsid();
	if (terminal < 0 || ioctl(terminal, TIOCSCTTY, 0) != 0)
		_exit(2);
	tcgetattr(terminal, &mode);
	mode.c_lflag |= TOSTOP;
	tcsetattr(terminal, TCSANOW, &mode);
	child = fork();
	if (child == 0) {
		setpgid(0, 0);
		signal(SIGTTOU, count_ttou);
		_exit(io_write(terminal, "hello", 5, IO_WRITE_WAIT_MS) == 0 && ttous == 0 ? 0 : 3);
	}
	if (waitpid(child, &status, WUNTRACED) != child || !WIFEXITED(status))
		_exit(4);
	_exit(WEXITSTATUS(status));
}

Test(io_write, no_sigttou)
{
	cr_expect_eq(run_child(write_from_background), 0);
}

/* ---- Cancellation ---- */

static int pipe_ends[2], broken;
static bool has_returned;

static void write_cancelled(void)
{
	int state, type;

	pthread_cancel(pthread_self());
	io_write(pipe_ends[1], "a", 1, IO_WRITE_WAIT_MS);
	io_write(broken, "b", 1, IO_WRITE_WAIT_MS);
	io_write_stderr("c", 1);
	io_warn("d");
	has_returned = true;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
	has_returned = state == PTHREAD_CANCEL_ENABLE && type == PTHREAD_CANCEL_DEFERRED;
}

Test(io_write, no_cancellation_point)
{
	struct capture capture;
	struct thread thread;
	char got[4];

	cr_assert_eq(pipe(pipe_ends), 0);
	broken = broken_pipe();
	capture_begin(&capture);
	thread_start(&thread, write_cancelled);
	thread_join(&thread);
	cr_expect(has_returned);
	cr_expect_eq(read(pipe_ends[0], got, sizeof got), 1);
	cr_expect_str_eq(capture_next(&capture), "c");
	cr_expect_str_eq(capture_next(&capture), "oomreclaim: d\n");
	capture_end(&capture);
}

/* ---- stderr ---- */

/* Puts `fd` in the place of descriptor 2; returns what was there. */
static int replace_stderr(int fd)
{
	int saved = dup(STDERR_FILENO);

	cr_assert_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	return saved;
}

static void restore_stderr(int saved)
{
	cr_assert_eq(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
}

Test(io_write, stderr_is_something_else_by_now)
{
	int file = memfd_create("data", MFD_CLOEXEC), saved, before;

	io_stderr_note();
	saved = replace_stderr(file);
	before = lowest_free_fd();
	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(io_write_stderr("hello", 5), -EBADF);
	io_warn("hello");
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_eq(lowest_free_fd(), before);
	restore_stderr(saved);
	cr_expect_eq(lseek(file, 0, SEEK_END), 0);
}

static void see_lock(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	_exit(fcntl(STDERR_FILENO, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? 0 : 1);
}

/* The close of any descriptor of that file would end it. */
Test(io_write, a_lock_of_the_programs_on_stderr_stays)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int file = memfd_create("data", MFD_CLOEXEC), saved = replace_stderr(file), seen;

	cr_assert_eq(fcntl(STDERR_FILENO, F_SETLK, &lock), 0);
	io_stderr_note();
	cr_expect_eq(io_write_stderr("hello", 5), 0);
	seen = run_child(see_lock);
	restore_stderr(saved);
	cr_expect_eq(seen, 0);
	cr_expect_eq(lseek(file, 0, SEEK_END), 5);
}

Test(io_write, a_lock_of_the_programs_on_another_file_stays)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int file = memfd_create("data", MFD_CLOEXEC), saved, seen;

	io_stderr_note();
	saved = replace_stderr(file);
	cr_assert_eq(fcntl(STDERR_FILENO, F_SETLK, &lock), 0);
	cr_expect_eq(io_write_stderr("hello", 5), -EBADF);
	seen = run_child(see_lock);
	restore_stderr(saved);
	cr_expect_eq(seen, 0);
	cr_expect_eq(lseek(file, 0, SEEK_END), 0);
}

Test(io_write, stderr_was_closed_at_the_start)
{
	int file = memfd_create("data", MFD_CLOEXEC), saved = dup(STDERR_FILENO);

	close(STDERR_FILENO);
	io_stderr_note();
	cr_expect_eq(io_write_stderr("hello", 5), -EBADF);
	cr_assert_eq(dup2(file, STDERR_FILENO), STDERR_FILENO);
	cr_expect_eq(io_write_stderr("hello", 5), -EBADF);
	restore_stderr(saved);
	cr_expect_eq(lseek(file, 0, SEEK_END), 0);
}

/* The same again, after it was closed, is stderr as before. */
Test(io_write, stderr_is_put_back)
{
	int ends[2], saved;
	char got[16];

	cr_assert_eq(pipe(ends), 0);
	saved = replace_stderr(ends[1]);
	io_stderr_note();
	close(STDERR_FILENO);
	cr_expect_eq(io_write_stderr("hello", 5), -EBADF);
	dup2(ends[1], STDERR_FILENO);
	cr_expect_eq(io_write_stderr("hello", 5), 0);
	restore_stderr(saved);
	cr_expect_eq(read(ends[0], got, sizeof got), 5);
}

/* Neither does a program wait for it whose every allocation fails. */
Test(io_write, who_does_not_read_is_waited_for_once)
{
	char block[4096];
	int ends[2], saved, results[4];

	cr_assert_eq(pipe(ends), 0);
	fill(ends, 0);
	saved = replace_stderr(ends[1]);
	io_stderr_note();
	results[0] = io_write_stderr("hello", 5);
	cr_expect_gt(longest_wait_ms, 0);
	longest_wait_ms = 0;
	results[1] = io_write_stderr("hello", 5);
	cr_expect_eq(longest_wait_ms, 0);
	/* It has come back. */
	cr_assert_eq(read(ends[0], block, sizeof block), sizeof block);
	results[2] = io_write_stderr("hello", 5);
	fill(ends, 0);
	results[3] = io_write_stderr("hello", 5);
	cr_expect_gt(longest_wait_ms, 0);
	restore_stderr(saved);
	cr_expect_eq(results[0], -EAGAIN);
	cr_expect_eq(results[1], -EAGAIN);
	cr_expect_eq(results[2], 0);
	cr_expect_eq(results[3], -EAGAIN);
}

Test(io_write, stderr_where_there_are_no_descriptors)
{
	struct rlimit all, none;
	char got[16];
	int ends[2], saved;

	cr_assert_eq(pipe(ends), 0);
	saved = replace_stderr(ends[1]);
	io_stderr_note();
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
	none = (struct rlimit){(rlim_t)lowest_free_fd(), all.rlim_max};
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	cr_expect_eq(io_write_stderr("hello", 5), 0);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
	restore_stderr(saved);
	cr_expect_eq(read(ends[0], got, sizeof got), 5);
}
