/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/io_write.h"
#include "base/own_fd.h"
#include "config/options.h"

/* The directory, as a descriptor that can't do more than name it, or -errno; and where in the path
   the name begins. */
static int open_directory(const char **name)
{
	const char *path = options.log_path, *slash = strrchr(path, '/');
	char directory[OPTIONS_PATH_MAX + 1] = ".";
	int fd;

	*name = slash != NULL ? slash + 1 : path;
	if (slash != NULL) {
		memcpy(directory, path, (size_t)(slash + 1 - path));
		directory[slash + 1 - path] = '\0';
	}
	fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : -errno;
}

/* True if this user and root alone can have put files there. */
static bool is_private(int directory)
{
	struct stat status;

	return fstat(directory, &status) == 0 && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
	       (status.st_uid == 0 || status.st_uid == geteuid());
}

static int judge(int directory, const struct stat *file)
{
	if (S_ISLNK(file->st_mode))
		return -ELOOP;
	if (S_ISDIR(file->st_mode))
		return -EISDIR;
	if (S_ISSOCK(file->st_mode))
		return -ENXIO;
	if (is_private(directory))
		return 0;
	/* A second name may be that of a file which has nothing to do with us. */
	if ((file->st_uid != geteuid() && file->st_uid != 0) ||
	    (S_ISREG(file->st_mode) && file->st_nlink > 1))
		return -EPERM;
	return 0;
}

/* O_NONBLOCK: a FIFO without a reader, a file under a lease. The file is opened for each text: it
   may be rotated. */
static int open_log(struct own_fd *log)
{
	const int flags =
		O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	const char *name;
	struct stat file;
	int directory = open_directory(&name), fd, error;

	if (directory < 0)
		return directory;
	fd = openat(directory, name, flags, 0600);
	error = fd < 0 || fstat(fd, &file) != 0 ? -errno : judge(directory, &file);
	close(directory);
	if (error == 0)
		return own_fd_take(log, fd) ? 0 : -EBADF;
	if (fd >= 0)
		close(fd);
	return error;
}

int log_write(const char *text, size_t bytes)
{
	struct own_fd log = OWN_FD_NONE;
	struct io_guard guard;
	int error;

	io_guard_begin(&guard);
	error = open_log(&log);
	if (error == 0)
		error = io_write(own_fd_get(&log), text, bytes, IO_WRITE_WAIT_MS);
	own_fd_close(&log);
	io_guard_end(&guard);
	return error;
}

int log_check(void)
{
	int saved = errno, error = 0;
	const char *name;
	struct stat file;
	int directory = open_directory(&name);

	if (directory < 0) {
		errno = saved;
		return directory;
	}
	if (fstatat(directory, name, &file, AT_SYMLINK_NOFOLLOW) == 0) {
		error = judge(directory, &file);
		if (error == 0 && faccessat(directory, name, W_OK, AT_EACCESS) != 0)
			error = -errno;
	} else if (errno != ENOENT || faccessat(directory, ".", W_OK | X_OK, AT_EACCESS) != 0) {
		error = -errno;
	}
	close(directory);
	errno = saved;
	return error;
}
