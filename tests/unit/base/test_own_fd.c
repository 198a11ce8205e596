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
