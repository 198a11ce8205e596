/* SPDX-License-Identifier: BSD-2-Clause */
#include "page.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

/* An update takes some tens of microseconds; a reader that has waited this long for its end gives
   up. */
#define PAUSES 200
#define PAUSE_NS 5000000

#define PATH_BYTES 320

/* ---- Finding the page ---- The owner of a process chooses what its descriptors are, and in a
   namespace of its own what the links of these say. To open a device or a FIFO has effects, and
   even to ask for the attributes of a file may be answered by a process that never answers (FUSE).
   So a descriptor is opened only where it lies on the kernel's own mount of memfds, on which no
   user can mount anything. */

int page_mount_of(int fd)
{
	char path[PATH_BYTES], line[64];
	int mount = -1;
	FILE *info;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "re");
	while (info != NULL && mount < 0 && fgets(line, sizeof line, info) != NULL)
		if (strncmp(line, "mnt_id:", 7) == 0)
			mount = (int)strtol(line + 7, NULL, 10);
	if (info != NULL)
		fclose(info);
	return mount;
}

/* -1 where this process gets no memfd. */
static int mount_of_memfds(void)
{
	static int mount = -1;
	int fd = mount < 0 ? memfd_create("oomreclaim-probe", MFD_CLOEXEC) : -1;

	if (fd >= 0) {
		mount = page_mount_of(fd);
		close(fd);
	}
	return mount;
}

/* A descriptor to read from, or -1 where that is no memfd. */
static int open_memfd(const char *path)
{
	int place = open(path, O_PATH | O_CLOEXEC), fd = -1;
	char again[PATH_BYTES];

	if (place < 0)
		return -1;
	/* By the descriptor, not by the path: that may lead elsewhere by now. */
	snprintf(again, sizeof again, "/proc/self/fd/%d", place);
	if (mount_of_memfds() >= 0 && page_mount_of(place) == mount_of_memfds())
		fd = open(again, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	close(place);
	if (fd >= 0 && fcntl(fd, F_GET_SEALS) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Of a process or of one of its threads, by that one's directory in /proc: a descriptor, or -1 with
   *error set. */
static int open_page_in(const char *task, enum page_error *error)
{
	char path[PATH_BYTES], link[64];
	struct dirent *entry;
	int fd = -1;
	DIR *dir;

	snprintf(path, sizeof path, "%s/fd", task);
	dir = opendir(path);
	if (dir == NULL) {
		*error = errno == EACCES || errno == EPERM ? PAGE_FORBIDDEN : PAGE_NO_PROCESS;
		return -1;
	}
	*error = PAGE_NONE;
	while (fd < 0 && (entry = readdir(dir)) != NULL) {
		ssize_t length;

		if (snprintf(path, sizeof path, "%s/fd/%s", task, entry->d_name) >= PATH_BYTES)
			continue;
		length = readlink(path, link, sizeof link - 1);
		if (length < 0)
			continue;
		link[length] = '\0';
		if (strcmp(link, STATS_PAGE_LINK) == 0)
			fd = open_memfd(path);
	}
	closedir(dir);
	return fd;
}

static bool is_alive(const char *task)
{
	return !page_has_ended(task);
}

bool page_has_own_table(const char *task)
{
	char path[PATH_BYTES], name[32] = "";
	FILE *comm;

	if (snprintf(path, sizeof path, "%s/comm", task) >= PATH_BYTES)
		return false;
	comm = fopen(path, "re");
	if (comm == NULL)
		return false;
	if (fgets(name, sizeof name, comm) == NULL)
		name[0] = '\0';
	fclose(comm);
	return strcmp(name, "oomreclaim-poll\n") == 0;
}

struct search {
	bool (*is_of_kind)(const char *task);
	enum page_error *error;
	int fd;
};

static bool open_page_by(const char *task, void *arg)
{
	struct search *search = arg;

	if (search->is_of_kind(task))
		search->fd = open_page_in(task, search->error);
	return search->fd >= 0;
}

/* As open_page_in(), by one of the process's threads of that kind. */
static int open_page_of_thread(pid_t pid, bool is_of_kind(const char *task), enum page_error *error)
{
	struct search search = {is_of_kind, error, -1};

	page_any_thread(pid, open_page_by, &search);
	return search.fd;
}

static int open_page(pid_t pid, enum page_error *error)
{
	char path[PATH_BYTES];
	int fd;

	snprintf(path, sizeof path, "/proc/%d", pid);
	fd = open_page_in(path, error);
	/* Of a process whose first thread has ended the others have it. */
	if (fd < 0 && *error != PAGE_NO_PROCESS && page_has_ended(path)) {
		*error = PAGE_ENDED;
		return open_page_of_thread(pid, is_alive, error);
	}
	/* The program may have closed its own. */
	if (fd < 0 && *error == PAGE_NONE)
		fd = open_page_of_thread(pid, page_has_own_table, error);
	return fd;
}

enum page_error page_may_look(pid_t pid)
{
	enum page_error error;
	int fd = open_page(pid, &error);

	if (fd >= 0)
		close(fd);
	return fd >= 0 || error == PAGE_NONE ? PAGE_OK : error;
}

static bool read_at(int fd, void *to, size_t bytes, size_t offset)
{
	return pread(fd, to, bytes, (off_t)offset) == (ssize_t)bytes;
}

/* An event is whole if its number is the same before and after it was copied. */
static bool copy_events(int fd, struct flight *flight)
{
	static struct flight again;
	const size_t at = offsetof(struct stats_page, flight);

	if (!read_at(fd, flight, sizeof *flight, at) || !read_at(fd, &again, sizeof again, at))
		return false;
	for (size_t i = 0; i < FLIGHT_EVENTS; i++)
		if (flight->event[i].number != again.event[i].number ||
		    flight->event[i].number == FLIGHT_BUSY ||
		    flight->event[i].number % FLIGHT_EVENTS != (i + 1) % FLIGHT_EVENTS)
			flight->event[i].number = 0;
	return true;
}

/* Takes from *pauses_left what it has to wait. */
static enum page_error copy(int fd, struct stats_page *page, unsigned *pauses_left)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	const size_t head = offsetof(struct stats_page, sequence);
	uint64_t before, after;

	for (bool is_again = false; !is_again || *pauses_left > 0; is_again = true) {
		if (is_again) {
			nanosleep(&pause, NULL);
			--*pauses_left;
		}
		if (!read_at(fd, page, head, 0))
			continue;
		if (memcmp(page->magic, STATS_PAGE_MAGIC, sizeof page->magic) != 0)
			continue; /* not there yet, or never */
		if (page->version != STATS_PAGE_VERSION || page->bytes != sizeof *page)
			return PAGE_VERSION;
		if (read_at(fd, &before, sizeof before, head) && before % 2 == 0 && before > 2 &&
		    read_at(fd, page, sizeof *page, 0) && read_at(fd, &after, sizeof after, head) &&
		    before == after && copy_events(fd, &page->flight))
			return PAGE_OK;
	}
	return PAGE_BUSY;
}

/* Its pid as it sees it itself: the last of those that it has in the namespaces around it. */
static bool is_own(pid_t pid, int32_t writer)
{
	char path[PATH_BYTES], line[512];
	bool is_same = true;
	FILE *status;

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	status = fopen(path, "re");
	while (status != NULL && fgets(line, sizeof line, status) != NULL)
		if (strncmp(line, "NSpid:", 6) == 0) {
			const char *last = strrchr(line, '\t');

			is_same = last != NULL && strtol(last, NULL, 10) == writer;
		}
	if (status != NULL)
		fclose(status);
	return is_same;
}

static enum page_error read_page(pid_t pid, struct stats_page *page, unsigned *pauses_left)
{
	enum page_error error;
	int fd = open_page(pid, &error);

	if (fd < 0)
		return error;
	error = copy(fd, page, pauses_left);
	close(fd);
	if (error == PAGE_OK && !is_own(pid, page->pid))
		error = PAGE_FOREIGN;
	if (error != PAGE_OK)
		return error;
	page_sanitize(page);
	page_check_total(pid, page);
	return PAGE_OK;
}

int page_open(pid_t pid)
{
	enum page_error error;
	struct stats_page head;
	int fd = open_page(pid, &error);

	if (fd < 0)
		return -1;
	if (read_at(fd, &head, offsetof(struct stats_page, interval_ms), 0) &&
	    is_own(pid, head.pid))
		return fd;
	close(fd);
	return -1;
}

bool page_read_last(int fd, struct stats_page *page)
{
	if (!read_at(fd, page, sizeof *page, 0) ||
	    memcmp(page->magic, STATS_PAGE_MAGIC, sizeof page->magic) != 0 ||
	    page->version != STATS_PAGE_VERSION || page->bytes != sizeof *page ||
	    !copy_events(fd, &page->flight))
		return false;
	page_sanitize(page);
	return true;
}

enum page_error page_read(pid_t pid, struct stats_page *page)
{
	unsigned pauses_left = PAUSES;

	return read_page(pid, page, &pauses_left);
}

void page_comm(pid_t pid, char name[PAGE_COMM_MAX])
{
	char path[PATH_BYTES];
	ssize_t bytes;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	bytes = fd >= 0 ? read(fd, name, PAGE_COMM_MAX - 1) : -1;
	if (fd >= 0)
		close(fd);
	strcpy(name + (bytes > 0 ? bytes : 0), bytes > 0 ? "" : "?");
	name[strcspn(name, "\n")] = '\0';
	tool_clean(name);
}

static int is_pid(const struct dirent *entry)
{
	pid_t pid;

	return tool_parse_pid(entry->d_name, &pid);
}

unsigned page_walk(void (*visit)(pid_t pid, const struct stats_page *page, void *arg), void *arg)
{
	static struct stats_page page;
	struct dirent **entries;
	int count = scandir("/proc", &entries, is_pid, versionsort);
	/* For all together: a thousand pages that are never whole shall not take a thousand times
	   as long. */
	unsigned found = 0, pauses_left = PAUSES;

	for (int i = 0; i < count; i++) {
		pid_t pid;

		if (tool_parse_pid(entries[i]->d_name, &pid) &&
		    read_page(pid, &page, &pauses_left) == PAGE_OK) {
			visit(pid, &page, arg);
			found++;
		}
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return found;
}
