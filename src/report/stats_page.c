/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/stats_page.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/fork_data.h"
#include "base/own_fd.h"
#include "limits/budget.h"
#include "limits/total.h"
#include "reclaim/registry.h"
#include "report/groups_put.h"
#include "report/growth.h"
#include "report/stats.h"
#include "report/stats_layout.h"
#include "system/proc.h"

/* One update takes some tens of microseconds. */
#define SOON_NS (10 * NSEC_PER_MSEC)

/* One thread at a time is at the page. */
static OOM_FORK_DATA atomic_flag is_taken = ATOMIC_FLAG_INIT;

/* The page, if there is one. All members but the first three are for the thread that has the
   flag. */
static struct {
	_Atomic uint64_t written_ns; /* relaxed: a hint */
	atomic_bool is_held;         /* file is in the table of the thread that holds it */
	atomic_bool is_wanting;
	struct stats_page *page;
	struct own_fd file;
	struct registry_line lines[CALLBACKS_SHOWN];
	struct group_line groups[STATS_PAGE_GROUPS];
	struct oomreclaim_stats stats;
	struct growth growth;
	enum stats_pressure pressure;
	char pressure_path[STATS_PAGE_PATH_MAX + 1];
} shared = {.file = OWN_FD_NONE};

/* Where there is one thread. */
static void drop(void)
{
	flight_begin(NULL);
	munmap(shared.page, sizeof *shared.page);
	shared.page = NULL;
	own_fd_close(&shared.file);
}

static int open_file(void)
{
	const off_t bytes = sizeof *shared.page;
	struct rlimit file_bytes;
	int fd, error;

	/* Over that limit ftruncate() would end the program by SIGXFSZ. */
	if (getrlimit(RLIMIT_FSIZE, &file_bytes) == 0 && file_bytes.rlim_cur < (rlim_t)bytes)
		return -EFBIG;
	fd = memfd_create(STATS_PAGE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, bytes) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

static void seal(int fd)
{
	const int size = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	/* Before Linux 5.1 our own mapping forbids the seal against writing: then only the mode
	   keeps others out, and not root. */
	if (fcntl(fd, F_ADD_SEALS, size | F_SEAL_FUTURE_WRITE) != 0) {
		fchmod(fd, S_IRUSR);
		fcntl(fd, F_ADD_SEALS, size);
	}
}

static struct stats_page *map(int fd, void *at)
{
	return mmap(at, sizeof *shared.page, PROT_READ | PROT_WRITE,
	            at != NULL ? MAP_SHARED | MAP_FIXED : MAP_SHARED, fd, 0);
}

static void begin(struct stats_page *page)
{
	/* A reader waits for what is not there yet: an odd sequence. */
	atomic_store_explicit(&page->sequence, 1, memory_order_relaxed);
	page->version = STATS_PAGE_VERSION;
	page->bytes = sizeof *page;
	page->pid = getpid();
	page->interval_ms = STATS_PAGE_INTERVAL_MS;
	stpncpy(page->library, oomreclaim_version(), sizeof page->library - 1);
	memcpy(page->magic, STATS_PAGE_MAGIC, sizeof page->magic);
	atomic_store_explicit(&page->sequence, 2, memory_order_release);
}

/* In place of the page before: a thread may be about to note an event there. What was noted goes
   along. */
static int replace(int fd, struct stats_page *page)
{
	int error = 0;

	flight_copy(&page->flight, &shared.page->flight);
	if (map(fd, shared.page) == MAP_FAILED)
		error = -errno;
	munmap(page, sizeof *page);
	return error;
}

static OOM_NOINLINE int create(void)
{
	struct stats_page *page;
	int fd = open_file(), error = 0;

	if (fd < 0)
		return fd;
	page = map(fd, NULL);
	if (page == MAP_FAILED)
		error = -errno;
	else
		begin(page);
	if (error == 0 && shared.page != NULL)
		error = replace(fd, page);
	else if (error == 0)
		shared.page = page;
	if (error != 0) {
		close(fd);
		return error;
	}
	seal(fd);
	if (!own_fd_take(&shared.file, fd))
		return -EBADF;
	flight_begin(&shared.page->flight);
	return 0;
}

static void put_callback(struct stats_page_callback *to, const struct registry_line *line)
{
	memcpy(to->name, line->name, sizeof to->name);
	to->priority = line->priority;
	to->calls = line->stats.calls;
	to->bytes_claimed = line->stats.bytes_claimed;
	to->bytes_measured = line->stats.bytes_measured;
	to->longest_ns = line->stats.longest_ns;
	to->counts = line->stats.counts;
	to->bytes_counted = line->stats.bytes_counted;
	to->bytes_target = line->stats.bytes_target;
	to->bytes_regretted = line->stats.bytes_regretted;
}

static void put_group(struct stats_page_group *to, const struct group_line *line)
{
	memcpy(to->name, line->name, sizeof to->name);
	to->group = line->handle;
	to->depth = line->depth;
	to->policy = line->policy;
	to->score_adj = line->score_adj;
	to->is_cancelled = line->is_cancelled;
	to->max = line->max;
	to->high = line->high;
	to->low = line->low;
	to->min = line->min;
	to->stats = line->stats;
}

static void fill(void)
{
	struct stats_page *page = shared.page;
	unsigned total, count = registry_lines(shared.lines, CALLBACKS_SHOWN, &total);
	unsigned groups_total,
		groups = groups_gather(0, shared.groups, STATS_PAGE_GROUPS, &groups_total);

	stats_gather(&shared.stats);
	growth_note(&shared.growth, now_ns(), shared.stats.charged);
	/* Acquire: what follows is not to be seen before the sequence is odd. */
	atomic_fetch_add_explicit(&page->sequence, 1, memory_order_acq_rel);
	page->stats = shared.stats;
	total_figures(&page->total);
	page->policy = oomreclaim_get_policy();
	page->callbacks = count;
	page->pressure = shared.pressure;
	page->growth = growth_rate(&shared.growth);
	memcpy(page->pressure_path, shared.pressure_path, sizeof page->pressure_path);
	for (unsigned i = 0; i < count; i++)
		put_callback(&page->callback[i], &shared.lines[i]);
	page->groups = groups;
	page->groups_total = groups_total;
	for (unsigned i = 0; i < groups; i++)
		put_group(&page->group[i], &shared.groups[i]);
	page->updated_ns = now_ns();
	atomic_fetch_add_explicit(&page->sequence, 1, memory_order_release);
}

/* By the calling thread's table, or where it is held. */
static bool is_there(void)
{
	return shared.page != NULL &&
	       (atomic_load(&shared.is_held) || own_fd_get(&shared.file) >= 0);
}

static int renew(void)
{
	own_fd_close(&shared.file);
	return create();
}

OOM_NOINLINE int stats_page_write(void)
{
	int saved = errno, error = 0;

	if (atomic_flag_test_and_set_explicit(&is_taken, memory_order_acquire))
		return 0;
	if (!is_there()) {
		/* Else what memfd_create() returned might be the program's by the next call. */
		if (proc_is_single_threaded())
			error = renew();
		else
			atomic_store(&shared.is_wanting, true);
	}
	if (shared.page != NULL)
		fill();
	atomic_store_explicit(&shared.written_ns, now_ns(), memory_order_relaxed);
	atomic_flag_clear_explicit(&is_taken, memory_order_release);
	errno = saved;
	return error;
}

void stats_page_write_soon(void)
{
	if (now_ns() - atomic_load_explicit(&shared.written_ns, memory_order_relaxed) >= SOON_NS)
		(void)stats_page_write();
}

/* An eighth more than ever before is written at once, which is some tens of times until oomreclaimd
   is due. */
#define GROWN_SHIFT 3

void stats_page_show_growth(void)
{
	static size_t most_shown; /* for the one thread that comes by */
	size_t charged = budget_charged();

	if (charged - (charged >> GROWN_SHIFT) > most_shown) {
		most_shown = charged;
		stats_page_update();
	} else {
		stats_page_update_if_due();
	}
}

bool stats_page_is_wanting(void)
{
	return atomic_load_explicit(&shared.is_wanting, memory_order_relaxed);
}

struct own_fd *stats_page_file(void)
{
	return &shared.file;
}

/* How long it waits for a thread that is at the page; in a signal handler that may be its own. */
#define NOTE_TRIES 100

void stats_page_note_pressure(enum stats_pressure pressure, const char *path)
{
	int saved = errno, tries = 0;

	while (atomic_flag_test_and_set_explicit(&is_taken, memory_order_acquire)) {
		if (++tries == NOTE_TRIES)
			return;
		pause_ns(NSEC_PER_MSEC);
	}
	shared.pressure = pressure;
	stpncpy(shared.pressure_path, path != NULL ? path : "", sizeof shared.pressure_path - 1);
	atomic_flag_clear_explicit(&is_taken, memory_order_release);
	errno = saved;
}

void stats_page_hold(void)
{
	int saved = errno;

	if (!options.is_stats)
		return;
	while (atomic_flag_test_and_set_explicit(&is_taken, memory_order_acquire))
		pause_ns(NSEC_PER_MSEC);
	if (is_there() || renew() == 0) {
		atomic_store(&shared.is_held, true);
		atomic_store(&shared.is_wanting, false);
	}
	atomic_flag_clear_explicit(&is_taken, memory_order_release);
	errno = saved;
}

bool stats_page_is_held(void)
{
	return atomic_load(&shared.is_held);
}

void stats_page_fork_child(void)
{
	int saved = errno;

	atomic_flag_clear_explicit(&is_taken, memory_order_relaxed);
	fork_reset(shared.is_held, false);
	fork_reset(shared.is_wanting, false);
	fork_reset(shared.pressure, STATS_PRESSURE_NONE);
	fork_reset(shared.pressure_path[0], '\0');
	fork_reset(shared.growth.count, 0);
	if (shared.page != NULL)
		drop();
	errno = saved;
}
