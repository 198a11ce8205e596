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
#include "base/fork_data.h"
#include "base/io.h"
#include "base/io_write.h"
#include "base/own_fd.h"
#include "config/options.h"
#include "heap/heap_ops.h"

/* Once at the end, and a few times before: a program that is short of memory for hours would fill
   its disk. Relaxed: it orders nothing. */
static atomic_bool is_written;
#define DUMPS_MAX 3
#define DUMPS_APART_NS (60 * NSEC_PER_SEC)

/* What follows is for one thread at a time; who comes meanwhile goes on without. */
static OOM_FORK_DATA atomic_flag is_busy = ATOMIC_FLAG_INIT;
static struct series {
	const char *name;
	unsigned written;
	uint64_t written_ns; /* the last one */
} refused = {.name = "refused"}, at_high = {.name = "high"}, asked = {.name = "asked"};
static const struct series *current; /* of which one is being written; NULL: the end */
static int error;                    /* the first one, of the statistics; -errno */

struct sink {
	int fd;
	size_t left_bytes;
};

/* Static, as the stack below is: there is one dump. */
static struct io_guard guard;
/* The profile's file once more: the heap closes the one that it writes to. */
static struct own_fd profile = OWN_FD_NONE;

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
			io_guard_failed(&guard, errno);
			error = -errno;
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

	io_printf(&buf, "%s/oomreclaim.%d.", options.dump_path, getpid());
	if (current != NULL)
		io_printf(&buf, "%s.%u.", current->name, current->written);
	io_printf(&buf, "%s", suffix);
}

/* O_EXCL: no file is written over, no link is followed, and the new file is a plain one. */
static bool open_new(struct own_fd *file, const char *path)
{
	return own_fd_take(file,
	                   open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600));
}

static void dump_stats(void)
{
	struct sink sink = {.left_bytes = options.dump_max_bytes};
	struct own_fd file = OWN_FD_NONE;
	char path[DUMP_PATH_MAX];

	put_path(path, "stats.json");
	if (!open_new(&file, path)) {
		error = -errno;
		return;
	}
	sink.fd = own_fd_get(&file);
	heap_ops.print_stats(write_piece, &sink);
	own_fd_close(&file);
}

static int open_profile(const char *path)
{
	struct own_fd copy = OWN_FD_NONE;

	if (!open_new(&profile, path))
		return -1;
	if (own_fd_copy(&copy, own_fd_get(&profile)))
		return own_fd_get(&copy);
	/* jemalloc closes its descriptor; without a copy the file can't be cut to its maximum. */
	unlink(path);
	own_fd_close(&profile);
	return -1;
}

static void dump_profile(void)
{
	char path[DUMP_PATH_MAX];
	struct stat file;
	int fd;

	put_path(path, "heap");
	if (!heap_ops.dump_profile(path, open_profile))
		io_guard_failed(&guard, EFBIG);
	fd = own_fd_get(&profile);
	if (fd >= 0 && fstat(fd, &file) == 0 && (size_t)file.st_size > options.dump_max_bytes &&
	    ftruncate(fd, (off_t)options.dump_max_bytes) != 0)
		unlink(path);
	own_fd_close(&profile);
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

static void write_files(void)
{
	io_guard_begin(&guard);
	getcontext(&own);
	own.uc_stack.ss_sp = stack;
	own.uc_stack.ss_size = sizeof stack;
	own.uc_link = &caller;
	makecontext(&own, dump_on_own_stack, 0);
	swapcontext(&caller, &own);
	io_guard_end(&guard);
}

static bool is_wanted(void)
{
	return options.dump_path[0] != '\0' && options.dump_max_bytes > 0;
}

static bool try_take(void)
{
	return !atomic_flag_test_and_set_explicit(&is_busy, memory_order_acquire);
}

static void give_back(void)
{
	atomic_flag_clear_explicit(&is_busy, memory_order_release);
}

void dump_write(void)
{
	if (!is_wanted() || atomic_exchange_explicit(&is_written, true, memory_order_relaxed) ||
	    !try_take())
		return;
	current = NULL;
	write_files();
	give_back();
}

static void write_next(struct series *series)
{
	series->written++;
	current = series;
	write_files();
	series->written_ns = now_ns();
}

static void write_one_of(struct series *series)
{
	if (!is_wanted() || !try_take())
		return;
	if (series->written < DUMPS_MAX &&
	    (series->written == 0 || now_ns() - series->written_ns >= DUMPS_APART_NS))
		write_next(series);
	give_back();
}

void dump_write_refusal(void)
{
	write_one_of(&refused);
}

void dump_write_high(void)
{
	if (options.is_dump_high)
		write_one_of(&at_high);
}

int dump_write_asked(char path[DUMP_PATH_MAX])
{
	int result;

	if (!is_wanted())
		return -ENOTSUP;
	if (!try_take())
		return -EBUSY;
	error = 0;
	write_next(&asked);
	put_path(path, "stats.json");
	result = error;
	give_back();
	return result;
}

int dump_check(void)
{
	int saved = errno, result = 0;
	struct stat directory;

	if (stat(options.dump_path, &directory) != 0 ||
	    faccessat(AT_FDCWD, options.dump_path, W_OK | X_OK, AT_EACCESS) != 0)
		result = -errno;
	else if (!S_ISDIR(directory.st_mode))
		result = -ENOTDIR;
	errno = saved;
	return result;
}

void dump_fork_child(void)
{
	fork_reset(is_written, false);
	fork_reset(refused.written, 0);
	fork_reset(at_high.written, 0);
	fork_reset(asked.written, 0);
	give_back();
}
