/* SPDX-License-Identifier: BSD-2-Clause */
#include "background/pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <unistd.h>

#include "background/polled.h"
#include "background/stall.h"
#include "background/systemd_watch.h"
#include "base/fork_data.h"
#include "base/io.h"
#include "base/own_fd.h"
#include "config/options.h"
#include "system/proc.h"
#include "system/proc_cgroup.h"

/* systemd's default, and what an unprivileged process may ask for: 200 ms of stall in 2 s. */
#define PSI_TRIGGER "some 200000 2000000"

/* The open source. Used by one thread. */
static struct source {
	struct own_fd file; /* what poll() watches */
	struct own_fd
		level; /* of version 1: memory.pressure_level, open as long as the eventfd is */
	short events;
	bool has_data; /* a stream whose data has to be read away */
	struct stall stall;
	char path[PRESSURE_PATH_BYTES];
} source = {.file = OWN_FD_NONE, .level = OWN_FD_NONE};

/* The descriptor that is of no use any more in the program's table, and can't be closed from the
   thread with a table of its own, in which `source` lies by then. */
static struct own_fd left_behind = OWN_FD_NONE;
static bool has_left;

bool pressure_is_wanted(void)
{
	return options.pressure_path[0] != '\0';
}

bool pressure_is_open(void)
{
	return atomic_load_explicit(&source.file.fd, memory_order_relaxed) >= 0;
}

int pressure_fd(void)
{
	return own_fd_get(&source.file);
}

short pressure_events(void)
{
	return source.events;
}

enum stats_pressure pressure_means(void)
{
	if (!pressure_is_open())
		return STATS_PRESSURE_NONE;
	return polled_means() != STATS_PRESSURE_NONE ? polled_means() : STATS_PRESSURE_EVENT;
}

int pressure_wait_ms(void)
{
	return pressure_is_open() && polled_means() != STATS_PRESSURE_NONE ? polled_wait_ms() : -1;
}

void pressure_close(void)
{
	polled_end();
	own_fd_close(&source.file);
	own_fd_close(&source.level);
}

bool pressure_is_distinct(void)
{
	/* An eventfd is like all others. */
	return atomic_load_explicit(&source.level.fd, memory_order_relaxed) < 0;
}

struct own_fd *pressure_leave_behind(void)
{
	own_fd_assign(&left_behind, &source.file);
	has_left = true;
	return &source.file;
}

void pressure_fork_child(void)
{
	own_fd_close(has_left ? &left_behind : &source.file);
	own_fd_forget(&source.file);
	own_fd_forget(&source.level);
	polled_end();
	fork_reset(has_left, false);
}

static int connect_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, error;

	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

/* Writes what the source is to be told, if anything. */
static int configure(int fd, bool is_socket, const char *text, size_t bytes)
{
	ssize_t written;

	if (bytes == 0)
		return 0;
	/* A peer that has left already: no reason for the program to get SIGPIPE. */
	written = is_socket ? send(fd, text, bytes, MSG_NOSIGNAL) : write(fd, text, bytes);
	if (written == (ssize_t)bytes)
		return 0;
	return written < 0 ? -errno : -EIO;
}

/* Of the kernel's own, where a write is a request: what is not is somebody's data. */
static bool is_of_kernel(int fd)
{
	struct statfs fs;

	/* A tree of files that a test has made. */
	if (proc_root[0] != '\0')
		return true;
	return fstatfs(fd, &fs) == 0 &&
	       (fs.f_type == PROC_SUPER_MAGIC || fs.f_type == CGROUP2_SUPER_MAGIC ||
	        fs.f_type == CGROUP_SUPER_MAGIC);
}

static int open_file(const char *path, int access)
{
	int fd = open(path, access | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return -errno;
	if (is_of_kernel(fd))
		return fd;
	close(fd);
	return -EINVAL;
}

static int open_fifo(const char *path, bool is_written)
{
	const int flags = O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	/* For writing as well: else the first writer that leaves ends it. */
	int fd = open(path, O_RDWR | flags);

	if (fd < 0 && errno == EACCES && !is_written)
		fd = open(path, O_RDONLY | flags);
	return fd >= 0 ? fd : -errno;
}

/* Takes over what has begun to be polled, or closes it. */
static int take_polled(int fd, bool has_begun)
{
	if (!has_begun) {
		close(fd);
		return -EINVAL;
	}
	source.has_data = false;
	source.events = polled_events();
	return own_fd_take(&source.file, fd) ? 0 : -EBADF;
}

static int open_stall(const char *path, const char *trigger)
{
	int fd = open_file(path, O_RDONLY);

	return fd < 0 ? fd : take_polled(fd, polled_begin_stall(fd, trigger));
}

/* The kind of the file decides: a FIFO or socket sends data, a file of the kernel raises
   POLLPRI. */
static int open_stream(const char *path, const char *text, size_t bytes)
{
	struct stat file;
	int fd, error;

	if (stat(path, &file) != 0)
		return -errno;
	source.has_data = S_ISFIFO(file.st_mode) || S_ISSOCK(file.st_mode);
	if (S_ISSOCK(file.st_mode))
		fd = connect_socket(path);
	else if (S_ISFIFO(file.st_mode))
		fd = open_fifo(path, bytes > 0);
	else if (S_ISREG(file.st_mode))
		fd = open_file(path, bytes > 0 ? O_RDWR : O_RDONLY);
	else
		return -EINVAL;
	if (fd < 0)
		return fd;
	/* Before it is told, so that nothing is missed. */
	stall_begin(&source.stall, fd, S_ISREG(file.st_mode) && bytes > 0 ? text : "");
	error = configure(fd, S_ISSOCK(file.st_mode), text, bytes);
	if (error != 0) {
		close(fd);
		return error;
	}
	source.events = source.has_data ? POLLIN : POLLPRI;
	return own_fd_take(&source.file, fd) ? 0 : -EBADF;
}

/* PSI that may not be written to can be read. */
static int open_source(const char *path, const char *text, size_t bytes)
{
	int error = open_stream(path, text, bytes);

	if (error == 0 || bytes == 0 || open_stall(path, text) != 0)
		return error;
	return 0;
}

#define LEVEL_NAME "memory.pressure_level"

/* Version 1: an eventfd that memory.pressure_level, which source.path names, writes to. */
static int open_level(void)
{
	char control[sizeof source.path], line[64];
	struct io_buf control_path = {.text = control, .bytes = sizeof control};
	struct io_buf text = {.text = line, .bytes = sizeof line};
	int control_fd, level, event, error = 0;

	io_printf(&control_path, "%.*scgroup.event_control",
	          (int)(strlen(source.path) - strlen(LEVEL_NAME)), source.path);
	control_fd = open_file(control, O_WRONLY);
	if (control_fd < 0)
		return control_fd;
	level = open_file(source.path, O_RDONLY);
	event = level < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (event < 0)
		error = level < 0 ? level : -errno;
	else if (!own_fd_take(&source.level, level) || !own_fd_take(&source.file, event))
		error = -EBADF;
	if (error == 0) {
		io_printf(&text, "%d %d medium", own_fd_get(&source.file),
		          own_fd_get(&source.level));
		error = configure(control_fd, false, line, text.used);
	} else if (event < 0 && level >= 0) {
		close(level);
	}
	close(control_fd);
	if (error != 0)
		pressure_close();
	source.has_data = true;
	source.events = POLLIN;
	return error;
}

static bool is_level(const char *path)
{
	size_t length = strlen(path), name = strlen("/" LEVEL_NAME);

	return length >= name && strcmp(path + length - name, "/" LEVEL_NAME) == 0;
}

static int open_psi(void)
{
	/* The terminating NUL belongs to what the kernel expects. */
	return open_source(source.path, PSI_TRIGGER, sizeof PSI_TRIGGER);
}

static int open_group(void)
{
	struct io_buf path = {.text = source.path, .bytes = sizeof source.path};
	int fd;

	if (!polled_find_group(&path))
		return -ENOENT;
	fd = open_file(source.path, O_RDONLY);
	return fd < 0 ? fd : take_polled(fd, polled_begin_group(fd));
}

/* Without anybody's word: the own group's PSI, version 1's levels, how near the group is to its
   limit, the machine's PSI. */
static int open_automatic(void)
{
	struct proc_cgroup group;
	struct io_buf path = {.text = source.path, .bytes = sizeof source.path};
	int error = -ENODEV;

	if (proc_cgroup_unified(&group)) {
		io_printf(&path, "%s%s%s/memory.pressure", proc_root, group.mount, group.path);
		error = open_psi();
	}
	if (error != 0 && proc_cgroup_self(&group) && !group.is_v2) {
		path.used = 0;
		io_printf(&path, "%s%s%s/" LEVEL_NAME, proc_root, group.mount, group.path);
		error = open_level();
	}
	if (error != 0)
		error = open_group();
	if (error != 0) {
		path.used = 0;
		io_printf(&path, "%s/proc/pressure/memory", proc_root);
		error = open_psi();
	}
	return error;
}

void pressure_init(void)
{
	systemd_watch_init();
}

static int open_variable(void)
{
	struct io_buf path = {.text = source.path, .bytes = sizeof source.path};

	io_printf(&path, "%s", systemd_watch.path);
	if (systemd_watch.error != 0)
		return systemd_watch.error;
	return open_source(source.path, systemd_watch.text, systemd_watch.bytes);
}

int pressure_open(const char **path)
{
	struct io_buf buf = {.text = source.path, .bytes = sizeof source.path};
	struct stat file;

	*path = source.path;
	if (strcmp(options.pressure_path, "auto") == 0)
		return systemd_watch.has_path ? open_variable() : open_automatic();
	io_printf(&buf, "%s", options.pressure_path);
	if (is_level(source.path))
		return open_level();
	/* A file of the kernel is told what to wait for; a FIFO or a socket is not. */
	if (stat(source.path, &file) == 0 && S_ISREG(file.st_mode))
		return open_psi();
	return open_source(source.path, NULL, 0);
}

enum pressure_news pressure_take(short revents)
{
	int fd = own_fd_get(&source.file);
	char data[512];
	ssize_t got = 1;

	/* What was watched is gone: a cgroup that was removed, a peer that hung up. */
	if (fd >= 0 && polled_means() != STATS_PRESSURE_NONE)
		return polled_look(fd);
	if (fd < 0 || (revents & (POLLERR | POLLNVAL)) != 0)
		return PRESSURE_GONE;
	if (!source.has_data)
		return stall_is_enough(&source.stall, fd) ? PRESSURE_FELT : PRESSURE_NONE;
	for (int i = 0; got > 0 && i < 64; i++)
		got = read(fd, data, sizeof data);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return PRESSURE_FELT;
	return got > 0 ? PRESSURE_FELT : PRESSURE_GONE;
}
