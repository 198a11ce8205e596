/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors of our own among those of a program that knows nothing of them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own_fd.h"
#include "forbid.h"
#include "support.h"

TestSuite(own_fd, .init = support_init, .timeout = WATCHDOG_SECONDS);

static struct own_fd taken = OWN_FD_NONE;

static void take(void)
{
	int fd = open("/dev/null", O_RDWR);

	cr_assert_geq(fd, 0);
	errno = ERRNO_UNTOUCHED;
	cr_assert(own_fd_take(&taken, fd));
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
}

Test(own_fd, out_of_the_way)
{
	int lowest = open("/dev/null", O_RDWR);

	close(lowest);
	take();
	cr_expect_geq(taken.fd, 768);
	cr_expect(fcntl(taken.fd, F_GETFD) & FD_CLOEXEC);
	cr_expect(own_fd_get(&taken) >= 0);
	cr_expect_eq(open("/dev/null", O_RDWR), lowest, "as if there was none");
}

Test(own_fd, as_far_as_the_limit_allows)
{
	static const struct {
		rlim_t limit;
		int least;
	} rows[] = {{1000, 768}, {500, 192}, {100, 48}, {40, 16}};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct rlimit limit = {rows[i].limit, rows[0].limit};

		setrlimit(RLIMIT_NOFILE, &limit);
		take();
		cr_expect_geq(taken.fd, rows[i].least);
		cr_expect_lt(taken.fd, (int)rows[i].limit);
		own_fd_close(&taken);
	}
}

/* Another thread may be about to use the first. */
Test(own_fd, a_number_that_the_program_closes_is_not_the_next_ones)
{
	static struct own_fd next = OWN_FD_NONE;

	for (int i = 0; i < 100; i++) {
		take();
		close(taken.fd);
		cr_assert(own_fd_copy(&next, STDIN_FILENO));
		cr_expect_neq(next.fd, taken.fd);
		own_fd_close(&next);
	}
}

Test(own_fd, the_program_closes_it)
{
	take();
	close(taken.fd);
	cr_expect_eq(own_fd_get(&taken), -1);
	own_fd_close(&taken);
	cr_expect_eq(taken.fd, -1);
	cr_expect_eq(own_fd_get(&taken), -1);
}

Test(own_fd, the_program_takes_its_number)
{
	int other = open("/proc/self/status", O_RDONLY), number;

	take();
	number = taken.fd;
	cr_assert_eq(dup2(other, number), number);
	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(own_fd_get(&taken), -1);
	own_fd_close(&taken);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_neq(fcntl(number, F_GETFD), -1, "the program's is left alone");
}

/* ---- A table of the thread's own ---- */

static int others[2];
static bool is_seen_in_copy;

static void unshare_and_look(void)
{
	static struct own_fd none = OWN_FD_NONE;
	struct own_fd *const kept[] = {&none, &taken};

	errno = ERRNO_UNTOUCHED;
	cr_assert_eq(own_fd_unshare(kept, 2), 0);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_geq(own_fd_get(&taken), 0);
	for (int fd = 0; fd < 1024; fd++)
		is_seen_in_copy |= fd != taken.fd && fcntl(fd, F_GETFD) >= 0;
	/* What the program does about its own is not seen here, and what is done here not there. */
	close(taken.fd);
	cr_expect_eq(open("/dev/null", O_RDWR), 0);
}

static void expect_unshared(void)
{
	struct thread thread = {.function = NULL};
	char byte;

	take();
	cr_assert_eq(pipe(others), 0);
	/* On both sides of what is kept. */
	cr_assert_eq(dup2(others[1], taken.fd + 1), taken.fd + 1);
	thread_start(&thread, unshare_and_look);
	thread_join(&thread);
	cr_expect_not(is_seen_in_copy);
	cr_expect_geq(own_fd_get(&taken), 0, "it is open here");
	cr_expect_eq(write(taken.fd + 1, "x", 1), 1);
	close(taken.fd + 1);
	close(others[1]);
	cr_expect_eq(read(others[0], &byte, 1), 1);
	cr_expect_eq(read(others[0], &byte, 1), 0, "nobody else has the other end");
}

Test(own_fd, a_table_of_its_own)
{
	expect_unshared();
}

/* Linux before 5.9. */
Test(own_fd, a_table_of_its_own_without_close_range)
{
	forbid_calls(ENOSYS, SYS_close_range);
	expect_unshared();
}

Test(own_fd, no_table_of_its_own)
{
	struct own_fd *const kept[] = {&taken};
	int number;

	take();
	number = taken.fd;
	forbid_calls(EPERM, SYS_close_range);
	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(own_fd_unshare(kept, 1), -EPERM);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_eq(own_fd_get(&taken), number, "nothing is done in the one that is shared");
	cr_expect_geq(fcntl(STDERR_FILENO, F_GETFD), 0);
}

static void unshare_what_is_closed(void)
{
	struct own_fd *const kept[] = {&taken};

	cr_assert_eq(own_fd_unshare(kept, 1), 0);
	cr_expect_eq(taken.fd, -1);
	cr_expect_eq(open("/dev/null", O_RDWR), 0, "nor is what took its number kept");
}

Test(own_fd, what_the_program_has_closed_is_not_kept)
{
	struct thread thread = {.function = NULL};
	int other = open("/proc/self/status", O_RDONLY), number;

	take();
	number = taken.fd;
	cr_assert_eq(dup2(other, number), number);
	thread_start(&thread, unshare_what_is_closed);
	thread_join(&thread);
	cr_expect_geq(fcntl(number, F_GETFD), 0);
}

Test(own_fd, no_file)
{
	cr_expect_not(own_fd_take(&taken, -1));
	cr_expect_eq(own_fd_get(&taken), -1);
}

Test(own_fd, a_filter_that_hides_files)
{
	int fd = open("/dev/null", O_RDWR);

	forbid_calls(EPERM, SYS_newfstatat, SYS_fstat);
	errno = ERRNO_UNTOUCHED;
	cr_expect_not(own_fd_take(&taken, fd));
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_eq(open("/dev/null", O_RDWR), fd, "closed");
}
