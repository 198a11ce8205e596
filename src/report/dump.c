/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/dump.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/base.h"
#include "base/io.h"
#include "config/options.h"
#include "heap/heap_ops.h"

#define DUMP_PATH_MAX (OPTIONS_PATH_MAX + 64)

/* Once: a program that is short of memory for hours would fill its disk. Relaxed: it orders
   nothing. */
static atomic_bool is_written;

struct sink {
	int fd;
	size_t left_bytes;
};

static void write_piece(void *arg, const char *text)
{
	struct sink *sink = arg;
	size_t bytes = strlen(text);
	ssize_t written;

	/* All or nothing of a piece; and nothing behind one that is missing. */
	if (bytes > sink->left_bytes)
		sink->left_bytes = 0;
	while (bytes > 0 && sink->left_bytes > 0) {
		written = write(sink->fd, text, bytes);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0) {
			sink->left_bytes = 0;
			break;
		}
		text += written;
		bytes -= (size_t)written;
		sink->left_bytes -= (size_t)written;
	}
}

static void put_path(char path[DUMP_PATH_MAX], const char *suffix)
{
	struct io_buf buf = {.text = path, .bytes = DUMP_PATH_MAX};

	io_printf(&buf, "%s/oomreclaim.%d.%s", options.dump_path, getpid(), suffix);
}

static void dump_stats(void)
{
	struct sink sink = {.left_bytes = options.dump_max_bytes};
	char path[DUMP_PATH_MAX];

	put_path(path, "stats.json");
	/* O_EXCL: nobody's file is written over, and nobody's link is followed. */
	sink.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
	if (sink.fd < 0)
		return;
	heap_ops.print_stats(write_piece, &sink);
	close(sink.fd);
}

static void dump_profile(void)
{
	char path[DUMP_PATH_MAX];
	struct stat file;

	put_path(path, "heap");
	if (lstat(path, &file) == 0 || !heap_ops.dump_profile(path))
		return;
	if (stat(path, &file) == 0 && (size_t)file.st_size > options.dump_max_bytes &&
	    truncate(path, (off_t)options.dump_max_bytes) != 0)
		unlink(path);
}

/* jemalloc's printing takes more stack than a small thread has left, so this has one of its own. */
#define DUMP_STACK_BYTES ((size_t)128 << 10)
static _Alignas(16) char stack[DUMP_STACK_BYTES];
static ucontext_t own, caller;

static void dump_on_own_stack(void)
{
	dump_stats();
	dump_profile();
}

void dump_write(void)
{
	int saved = errno;

	if (options.dump_path[0] == '\0' || options.dump_max_bytes == 0 ||
	    atomic_exchange_explicit(&is_written, true, memory_order_relaxed))
		return;
	getcontext(&own);
	own.uc_stack.ss_sp = stack;
	own.uc_stack.ss_size = sizeof stack;
	own.uc_link = &caller;
	makecontext(&own, dump_on_own_stack, 0);
	swapcontext(&caller, &own);
	errno = saved;
}

void dump_fork_child(void)
{
	atomic_store_explicit(&is_written, false, memory_order_relaxed);
}
