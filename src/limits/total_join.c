/* SPDX-License-Identifier: BSD-2-Clause */
/* How a process finds the total that it was started in. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/io.h"
#include "base/own_thread.h"
#include "limits/total_inside.h"
#include "limits/total_slots.h"
#include "system/proc.h"
#include "system/proc_life.h"

/* A program that closes all descriptors in a child before exec(), as Python's subprocess does,
   still has the total's itself. So may its parent. */
#define ANCESTORS 16

static const char *_Atomic problem;
/* Of a process that has found it once, and of its children. */
static bool has_looked;
static bool has_left;

const char *total_problem(void)
{
	return atomic_load(&problem) != NULL ? atomic_exchange(&problem, NULL) : NULL;
}

static void note_problem(const char *text)
{
	atomic_store(&problem, text);
}

void total_leave(const char *text)
{
	/* The slot stays this process's: another thread may be about to write there. */
	total_own->slot = NULL;
	has_left = true;
	note_problem(text);
}

/* ---- The descriptor ---- */

static bool parse(const char *text, int *fd, uint64_t *inode)
{
	uint64_t number;

	if (!proc_parse_number(&text, &number) || number > INT32_MAX || *text++ != ':' ||
	    !proc_parse_number(&text, inode) || *text != '\0')
		return false;
	*fd = (int)number;
	return true;
}

static OOM_NOINLINE bool is_of_inode(int fd, uint64_t inode)
{
	struct stat status;

	return fstat(fd, &status) == 0 && status.st_ino == inode;
}

/* What the number is there is looked at before it is opened: to open a device or a FIFO has
   effects. */
static OOM_NOINLINE int open_of(pid_t pid, int fd, uint64_t inode)
{
	char path[128];
	struct io_buf buf = {.text = path, .bytes = sizeof path};
	static const char wanted[] = "/memfd:" TOTAL_NAME " (deleted)";
	char link[sizeof wanted];
	int opened;

	io_printf(&buf, "%s/proc/%d/fd/%d", proc_root, pid, fd);
	if (readlink(path, link, sizeof link) != (ssize_t)sizeof wanted - 1 ||
	    memcmp(link, wanted, sizeof wanted - 1) != 0)
		return -1;
	opened = open(path, O_RDWR | O_CLOEXEC);
	if (opened >= 0 && !is_of_inode(opened, inode)) {
		close(opened);
		opened = -1;
	}
	return opened;
}

static int find_in_ancestors(int fd, uint64_t inode)
{
	struct proc_life life;
	pid_t pid = 0;

	for (int i = 0; i < ANCESTORS && proc_life(pid, &life) && life.ppid > 0; i++) {
		int found = open_of(life.ppid, fd, inode);

		if (found >= 0)
			return found;
		pid = life.ppid;
	}
	return -1;
}

/* ---- What it is ---- */

/* Nobody can shorten a file under these seals: to read behind its end would end this process. */
static OOM_NOINLINE bool is_sealed(int fd)
{
	const int size = F_SEAL_SHRINK | F_SEAL_GROW;
	struct stat status;
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & size) == size && fstat(fd, &status) == 0 &&
	       status.st_size == (off_t)sizeof(struct total);
}

static const char *check(const struct total *total)
{
	if (memcmp(total->magic, TOTAL_MAGIC, sizeof total->magic) != 0)
		return "what the environment names is none";
	if (total->version != TOTAL_VERSION || total->bytes != sizeof *total)
		return "it is of another version";
	if (total->limit == 0 || total->limit >> 48 != 0)
		return "what is in it no process can have written";
	/* By another's numbers a process that lives would be taken for one that has ended. */
	if (proc_check_numbers() != 0 || total->pid_namespace != proc_pid_namespace())
		return "it is of another pid namespace, or /proc can't be read";
	return NULL;
}

static const char *map(int fd, uint64_t inode)
{
	const char *reason;
	struct total *total;

	if (!is_sealed(fd))
		return "what the environment names is none";
	total = mmap(NULL, sizeof *total, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (total == MAP_FAILED)
		return "it can't be mapped";
	reason = check(total);
	if (reason != NULL) {
		munmap(total, sizeof *total);
		return reason;
	}
	total_map = (struct total_map){.total = total, .limit = total->limit, .id = inode};
	return NULL;
}

static const char *map_own(void)
{
	struct total_own *page = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
	                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return "there is no memory for it";
	/* Before Linux 4.14 only fork() is noticed. */
	madvise(page, (size_t)sysconf(_SC_PAGESIZE), MADV_WIPEONFORK);
	total_own = page;
	return NULL;
}

/* ---- Joining ---- */

static void take_slot(void)
{
	const char *reason = NULL;
	struct total_slot *slot = total_slot_take(&reason);

	if (slot == NULL) {
		note_problem(reason);
		return;
	}
	total_own->slot = slot;
	own_thread_share(&slot->calls);
}

/* What is said of a total. */
static const char *find(const char *text)
{
	const char *reason;
	uint64_t inode;
	int fd, found;

	if (!parse(text, &fd, &inode))
		return "what the environment names is none";
	if (is_of_inode(fd, inode))
		return map(fd, inode);
	found = find_in_ancestors(fd, inode);
	if (found < 0)
		return "its descriptor is closed, and no ancestor has it";
	reason = map(found, inode);
	close(found);
	return reason;
}

OOM_NOINLINE void total_join(void)
{
	const char *text = has_looked ? NULL : secure_getenv(TOTAL_VARIABLE), *reason;
	int saved = errno, cancel_state;

	has_looked = true;
	if (text == NULL || text[0] == '\0')
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	reason = find(text);
	if (reason == NULL)
		reason = map_own();
	if (reason == NULL)
		take_slot();
	else
		note_problem(reason);
	pthread_setcancelstate(cancel_state, NULL);
	errno = saved;
}

void total_fork_child(void)
{
	int saved = errno;
	bool was_in = own_thread_is_shared() && !has_left;

	if (total_own == NULL)
		return;
	/* Before Linux 4.14 the page is not empty. */
	total_own->slot = NULL;
	own_thread_share(NULL);
	if (was_in && total_map.total->pid_namespace == proc_pid_namespace() &&
	    proc_check_numbers() == 0)
		take_slot();
	else if (was_in)
		note_problem("it is of another pid namespace, or /proc can't be read");
	errno = saved;
}
