/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/io.h"
#include "base/io_read.h"
#include "base/io_write.h"
#include "support.h"

TestSuite(io, .init = support_init, .timeout = WATCHDOG_SECONDS);

/* ---- Buffers ---- */

Test(io, printf_appends)
{
	char text[64];
	struct io_buf buf = {.text = text, .bytes = sizeof text};

	io_printf(&buf, "%d", 12);
	io_printf(&buf, "-%s-%zu", "ab", (size_t)7);
	cr_expect_str_eq(text, "12-ab-7");
	cr_expect_eq(buf.used, 7);
}

/* As printf() has it, for all the conversions that the library uses. */
#define EXPECT_AS_PRINTF(format, ...)                                                   \
	do {                                                                            \
		char own[128], libc[128];                                               \
		struct io_buf own_buf = {.text = own, .bytes = sizeof own};             \
                                                                                        \
		io_printf(&own_buf, format, __VA_ARGS__);                               \
		cr_expect_eq(own_buf.used,                                              \
		             (size_t)snprintf(libc, sizeof libc, format, __VA_ARGS__)); \
		cr_expect_str_eq(own, libc);                                            \
	} while (0)

Test(io, printf_is_printf)
{
	const char *text = "text";

	EXPECT_AS_PRINTF("%d %d %d %d", 0, -1, INT_MAX, INT_MIN);
	EXPECT_AS_PRINTF("%u %u", 0u, UINT_MAX);
	EXPECT_AS_PRINTF("%ld %lld %lu", LONG_MIN, LLONG_MIN, ULONG_MAX);
	EXPECT_AS_PRINTF("%llu %zu %zx", ULLONG_MAX, SIZE_MAX, (size_t)0xabcdef);
	EXPECT_AS_PRINTF("[%10d] [%5u] [%8llu] [%11llu]", -7, 12u, 0ULL, 123456789012ULL);
	EXPECT_AS_PRINTF("[%3d] [%10s] [%2s]", 12345, text, text);
	EXPECT_AS_PRINTF("[%.*s] [%.3s] [%.*s] [%5.2s]", 2, text, text, 20, text, text);
	EXPECT_AS_PRINTF("%p, %d%% of %s", (void *)&text, 50, "100%");
	EXPECT_AS_PRINTF("%s", "");
}

Test(io, printf_ends_at_what_is_unknown)
{
	const char *format = "%d, %f, %s";
	char text[64];
	struct io_buf buf = {.text = text, .bytes = sizeof text};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	io_printf(&buf, format, 1, 2.0, "three");
#pragma GCC diagnostic pop
	cr_expect_str_eq(text, "1, ");
}

Test(io, printf_cuts)
{
	char text[9] = "........";
	struct io_buf buf = {.text = text, .bytes = 8};

	io_printf(&buf, "%s", "12345");
	io_printf(&buf, "%s", "67890");
	cr_expect_str_eq(text, "1234567");
	cr_expect_eq(buf.used, 7);
	io_printf(&buf, "x");
	cr_expect_eq(buf.used, 7);
	cr_expect_eq(text[8], '\0', "nothing is written behind the end");
}

Test(io, put_unsigned)
{
	char text[24];
	struct io_buf buf = {.text = text, .bytes = sizeof text};

	io_put_unsigned(&buf, 0);
	io_put_unsigned(&buf, UINT64_MAX);
	cr_expect_str_eq(text, "018446744073709551615");
	io_put_unsigned(&buf, 12345);
	cr_expect_str_eq(text, "01844674407370955161512", "what does not fit is dropped");
}

Test(io, puts_clean)
{
	char text[64];
	struct io_buf buf = {.text = text, .bytes = sizeof text};

	io_puts_clean(&buf, "a b~\x7f\n\t\x1b[0m\xc3\xa4");
	io_puts_clean(&buf, "!");
	cr_expect_str_eq(text, "a b~???"
	                       "?[0m?"
	                       "?!");
}

Test(io, puts_clean_cuts)
{
	char text[5] = "....";
	struct io_buf buf = {.text = text, .bytes = 4};

	io_puts_clean(&buf, "123456");
	cr_expect_str_eq(text, "123");
	cr_expect_eq(buf.used, 3);
}

/* ---- Lines ---- */

Test(io, warn_is_one_line_in_one_write)
{
	struct capture capture;

	capture_begin(&capture);
	errno = ERRNO_UNTOUCHED;
	io_warn("%d reasons, \"%s\"", 3, "name");
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_str_eq(capture_next(&capture), "oomreclaim: 3 reasons, \"name\"\n");
	cr_expect_str_eq(capture_next(&capture), "");
	capture_end(&capture);
}

Test(io, a_long_line_is_cut)
{
	struct capture capture;
	char text[2 * IO_LINE_BYTES];
	const char *line;

	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\0';
	capture_begin(&capture);
	io_warn("%s", text);
	line = capture_next(&capture);
	cr_expect_leq(strlen(line), IO_LINE_BYTES);
	cr_expect_geq(strlen(line), IO_LINE_BYTES - 1);
	cr_expect_eq(strchr(line, '\n'), line + strlen(line) - 1, "its newline stays");
	capture_end(&capture);
}

Test(io, warn_with_stderr_closed)
{
	int saved = dup(STDERR_FILENO);

	io_stderr_note();
	close(STDERR_FILENO);
	errno = ERRNO_UNTOUCHED;
	io_warn("nobody is there");
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	dup2(saved, STDERR_FILENO);
}

/* ---- Reading ---- */

/* A file in the fake /proc, whose path is returned. */
static const char *file_of(const char *text, size_t bytes)
{
	static char path[256];
	FILE *file;

	fake_proc_path(path, sizeof path, "/file");
	file = fopen(path, "w");
	cr_assert_not_null(file);
	cr_assert_eq(fwrite(text, 1, bytes, file), bytes);
	fclose(file);
	return path;
}

static void read_init(void)
{
	support_init();
	fake_proc_begin();
}

TestSuite(io_read, .init = read_init, .fini = fake_proc_end, .timeout = WATCHDOG_SECONDS);

/* The lowest descriptor that is free: the same before and after where none is left open. */
static int free_fd(void)
{
	int fd = dup(STDIN_FILENO);

	close(fd);
	return fd;
}

Test(io_read, a_file)
{
	char text[8] = "";
	int fd = free_fd();

	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(io_read_file(file_of("1234567", 7), text, sizeof text), 7);
	cr_expect_str_eq(text, "1234567");
	cr_expect_eq(io_read_file(file_of("", 0), text, sizeof text), 0);
	cr_expect_str_eq(text, "");
	cr_expect_eq(io_read_file(file_of("12345678", 8), text, sizeof text), -EFBIG);
	cr_expect_eq(io_read_file(file_of("123456789", 9), text, sizeof text), -EFBIG);
	cr_expect_eq(io_read_file("/nonexistent", text, sizeof text), -ENOENT);
	cr_expect_eq(io_read_file("/", text, sizeof text), -EISDIR);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_eq(free_fd(), fd, "left open");
}

/* What io_lines gives, each line in brackets with its first 8 characters and its length. */
static const char *lines_of(const char *path)
{
	static char result[4096];
	struct io_buf buf = {.text = result, .bytes = sizeof result};
	struct io_lines lines;
	const char *line;

	result[0] = '\0';
	cr_assert_eq(io_lines_open(&lines, path), 0);
	while ((line = io_lines_next(&lines)) != NULL)
		io_printf(&buf, "[%.8s %zu]", line, strlen(line));
	cr_expect_null(io_lines_next(&lines), "and once more");
	io_lines_close(&lines);
	return result;
}

#define LINES(text) lines_of(file_of(text, sizeof(text) - 1))

Test(io_read, lines)
{
	int fd = free_fd();

	cr_expect_str_eq(LINES("one\ntwo\n\nfour\n"), "[one 3][two 3][ 0][four 4]");
	cr_expect_str_eq(LINES("one\nlast"), "[one 3][last 4]");
	cr_expect_str_eq(LINES(""), "");
	cr_expect_str_eq(LINES("\n"), "[ 0]");
	cr_expect_eq(free_fd(), fd, "left open");
}

/* Lines of one letter each, of these lengths. */
static const char *lines_of_lengths(const size_t *lengths, size_t count)
{
	static char text[65536];
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		memset(text + used, (int)('a' + i), lengths[i]);
		used += lengths[i];
		text[used++] = '\n';
	}
	return lines_of(file_of(text, used));
}

Test(io_read, lines_around_the_size_of_the_buffer)
{
	const size_t fitting[] = {3, 1022, 5, 1023, 600, 600, 600, 2};
	const size_t longer[] = {1, 1024, 2, 5000, 3, 1025, 4};

	/* One of 1023 fills the buffer without its newline. */
	cr_expect_str_eq(lines_of_lengths(fitting, ARRAY_SIZE(fitting)),
	                 "[aaa 3][bbbbbbbb 1022][ccccc 5][dddddddd 1023][eeeeeeee 600]"
	                 "[ffffffff 600][gggggggg 600][hh 2]");
	cr_expect_str_eq(lines_of_lengths(longer, ARRAY_SIZE(longer)),
	                 "[a 1][bbbbbbbb 1023][cc 2][dddddddd 1023][eee 3][ffffffff 1023]"
	                 "[gggg 4]");
}

Test(io_read, a_long_last_line)
{
	char text[3000];

	memset(text, 'x', sizeof text);
	cr_expect_str_eq(lines_of(file_of(text, sizeof text)), "[xxxxxxxx 1023]");
}

Test(io_read, lines_of_no_file)
{
	struct io_lines lines;

	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(io_lines_open(&lines, "/nonexistent"), -ENOENT);
	cr_expect_eq(io_lines_open(&lines, "/"), 0);
	cr_expect_null(io_lines_next(&lines), "a directory");
	io_lines_close(&lines);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
}
