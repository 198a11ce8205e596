/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * As with pages (page.c) the owner of a process chooses what its descriptors are. A connection has
 * effects: a service manager starts a service for it; and this command may have rights that the
 * owner lacks. So it is made only to a socket with no name, on a file system that answers by
 * itself, and nothing is sent unless the socket is that process's.
 */
#include "ctl_socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/ctl_command.h"
#include "page.h"
#include "tool.h"

/* What leads to a file of a thread fits into a socket's address. */
#define PATH_BYTES 108

/* Those that no process answers for. */
static bool is_local(const char *type)
{
	static const char *const types[] = {"tmpfs", "ramfs", "overlay", "ext4", "ext3",    "ext2",
	                                    "xfs",   "btrfs", "f2fs",    "zfs",  "bcachefs"};

	for (size_t i = 0; i < COUNT(types); i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

/* Whether the file lies on such a one, by the process's own list of mounts. */
static bool is_on_local(pid_t pid, int mount)
{
	char path[PATH_BYTES], line[1024], type[32];
	bool is_found = false;
	FILE *mounts;

	snprintf(path, sizeof path, "/proc/%d/mountinfo", pid);
	mounts = fopen(path, "re");
	while (mounts != NULL && !is_found && fgets(line, sizeof line, mounts) != NULL) {
		const char *behind = strstr(line, " - ");

		is_found = strtol(line, NULL, 10) == mount && behind != NULL &&
		           sscanf(behind, " - %31s", type) == 1 && is_local(type);
	}
	if (mounts != NULL)
		fclose(mounts);
	return is_found;
}

/* A socket that has been removed: none that anybody listens to by name. */
static bool is_nameless_socket(int place)
{
	struct stat file;

	return fstat(place, &file) == 0 && S_ISSOCK(file.st_mode) && file.st_nlink == 0;
}

/* The descriptor of the file, or -1. */
static int open_place(pid_t pid, const char *path)
{
	char link[PATH_BYTES];
	ssize_t length = readlink(path, link, sizeof link - 1);
	int place;

	if (length < 0)
		return -1;
	link[length] = '\0';
	if (strstr(link, "/" CTL_SOCKET_NAME) == NULL)
		return -1;
	place = open(path, O_PATH | O_CLOEXEC);
	if (place < 0)
		return -1;
	if (is_on_local(pid, page_mount_of(place)) && is_nameless_socket(place))
		return place;
	close(place);
	return -1;
}

/* Among the descriptors of a thread. */
static int find_in(pid_t pid, const char *task)
{
	char path[PATH_BYTES];
	struct dirent *entry;
	int place = -1;
	DIR *dir;

	snprintf(path, sizeof path, "%.64s/fd", task);
	dir = opendir(path);
	while (dir != NULL && place < 0 && (entry = readdir(dir)) != NULL) {
		snprintf(path, sizeof path, "%.64s/fd/%.20s", task, entry->d_name);
		place = open_place(pid, path);
	}
	if (dir != NULL)
		closedir(dir);
	return place;
}

static int find(pid_t pid)
{
	char path[PATH_BYTES];
	struct dirent *entry;
	pid_t thread;
	int place = -1;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir != NULL && place < 0 && (entry = readdir(dir)) != NULL) {
		if (!tool_parse_pid(entry->d_name, &thread))
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%d", pid, thread);
		if (page_has_own_table(path))
			place = find_in(pid, path);
	}
	if (dir != NULL)
		closedir(dir);
	return place;
}

static int fail_none(pid_t pid)
{
	enum page_error error = page_may_look(pid);
	char comm[PAGE_COMM_MAX];

	if (error != PAGE_OK)
		return page_fail(pid, error, NULL);
	page_comm(pid, comm);
	if (page_has_library(pid))
		return tool_fail(
			"process %d (%s) runs with oomreclaim, but takes no commands; start it "
			"with OOMRECLAIM_CONF=control:true or oomreclaim run --control",
			pid, comm);
	return tool_fail(
		"process %d (%s) runs without oomreclaim; start it with oomreclaim run --control",
		pid, comm);
}

/* By the descriptor, not by the path: that may lead elsewhere by now. */
static int connect_to(int place)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error;

	if (fd < 0)
		return -1;
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", place);
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* A queue of other clients gets shorter by itself. */
#define QUEUE_TRIES 100
#define QUEUE_PAUSE_US 20000
static int connect_in_turn(int place)
{
	int fd = connect_to(place);

	for (int i = 0; fd < 0 && errno == EAGAIN && i < QUEUE_TRIES; i++) {
		usleep(QUEUE_PAUSE_US);
		fd = connect_to(place);
	}
	return fd;
}

static bool is_of(int fd, pid_t pid)
{
	struct ucred peer = {.pid = 0};
	socklen_t bytes = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 && peer.pid == pid;
}

int ctl_connect(pid_t pid)
{
	int place = find(pid), fd;
	char comm[PAGE_COMM_MAX];

	if (place < 0)
		return fail_none(pid), -1;
	fd = connect_in_turn(place);
	close(place);
	page_comm(pid, comm);
	if (fd < 0 && errno == EAGAIN)
		tool_warn("process %d (%s) has more commands waiting than it takes; try again", pid,
		          comm);
	else if (fd < 0)
		tool_warn("process %d (%s): %s; run this as the user that started it, or as root",
		          pid, comm, strerror(errno));
	if (fd < 0 || is_of(fd, pid))
		return fd;
	close(fd);
	tool_warn("process %d (%s) leads to the socket of another process; nothing was sent", pid,
	          comm);
	return -1;
}

const char *ctl_check(const char *request, size_t bytes)
{
	struct ctl_command command;

	return ctl_parse(request, bytes, &command);
}
