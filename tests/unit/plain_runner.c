/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs Criterion tests without Criterion's runner, which shares memory with its test processes at
 * addresses where ThreadSanitizer keeps its shadow. Only linked for that sanitizer: what is defined
 * here comes before libcriterion's own. One test after the other, each in a process of its own;
 * fixtures, expected signals and exit codes, and time limits are Criterion's. Exits 0 if all
 * passed.
 */
#include <criterion/criterion.h>
#include <criterion/event.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SKIPPED = 77, SECONDS_MAX = 120 };

/* Made by the linker around what Test() and TestSuite() define. */
extern struct criterion_test *__start_cr_tst[], *__stop_cr_tst[];
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak));
extern struct criterion_suite *__stop_cr_sts[] __attribute__((weak));

static const struct criterion_test *current;
static bool has_failed;

static const struct criterion_test_extra_data *suite_of(const struct criterion_test *test)
{
	for (struct criterion_suite **suite = __start_cr_sts; suite < __stop_cr_sts; suite++)
		if (*suite && strcmp((*suite)->name, test->category) == 0)
			return (*suite)->data;
	return NULL;
}

void criterion_internal_test_setup(void)
{
	const struct criterion_test_extra_data *suite = suite_of(current);

	if (suite && suite->init)
		suite->init();
	if (current->data->init)
		current->data->init();
}

void criterion_internal_test_main(void (*test)(void))
{
	test();
}

void criterion_internal_test_teardown(void)
{
	const struct criterion_test_extra_data *suite = suite_of(current);

	if (current->data->fini)
		current->data->fini();
	if (suite && suite->fini)
		suite->fini();
}

void criterion_send_assert(struct criterion_assert_stats *stats)
{
	if (stats->passed)
		return;
	has_failed = true;
	fprintf(stderr, "%s:%u: %s\n", stats->file, stats->line, stats->message);
}

void criterion_abort_test(void)
{
	exit(EXIT_FAILURE);
}

void criterion_continue_test(void)
{
}

void criterion_skip_test(const char *format, ...)
{
	(void)format;
	exit(SKIPPED);
}

void criterion_test_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	exit(EXIT_FAILURE);
}

static void run_current(void)
{
	alarm(current->data->timeout > 0 ? (unsigned)current->data->timeout + 1 : SECONDS_MAX);
	current->test();
	exit(has_failed ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* True if the test ended as it should, or was not to be run. */
static bool is_passing(const struct criterion_test *test)
{
	const struct criterion_test_extra_data *suite = suite_of(test);
	int signal = test->data->signal, status = 0;
	pid_t child;

	if (test->data->kind_ != CR_TEST_NORMAL) {
		fprintf(stderr, "%s/%s: not a plain test\n", test->category, test->name);
		return false;
	}
	if (test->data->disabled || (suite && suite->disabled))
		return true;
	fflush(NULL);
	current = test;
	child = fork();
	if (child == 0)
		run_current();
	while (child > 0 && waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	if (child > 0 && WIFEXITED(status) && signal == 0 &&
	    (WEXITSTATUS(status) == test->data->exit_code || WEXITSTATUS(status) == SKIPPED))
		return true;
	if (child > 0 && WIFSIGNALED(status) && WTERMSIG(status) == signal && signal != 0)
		return true;
	fprintf(stderr, "%s/%s: FAILED, wait status %#x\n", test->category, test->name,
	        (unsigned)status);
	return false;
}

int main(void)
{
	unsigned tests = 0, failures = 0;

	for (struct criterion_test **test = __start_cr_tst; test < __stop_cr_tst; test++) {
		if (!*test)
			continue;
		tests++;
		if (!is_passing(*test))
			failures++;
	}
	printf("%u tests, %u failed\n", tests, failures);
	return tests == 0 || failures > 0;
}
