/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors of the library's own in a process that does not know of them. Their numbers are out
 * of the way of those that the program opens. After the program has closed all descriptors, as a
 * daemon does, another file under such a number is not taken for the library's.
 */
#ifndef OOM_OWN_FD_H
#define OOM_OWN_FD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct own_fd {
	atomic_int fd; /* -1: none */
	_Atomic dev_t device;
	_Atomic ino_t inode;
};
#define OWN_FD_NONE      \
	{                \
		.fd = -1 \
	}

/* Moves `fd` out of the way, as far as there is room, and notes which file it is. On false `fd` is
   closed and `own` has none. fd -1 is none. */
bool own_fd_take(struct own_fd *own, int fd);

/* The same with a copy, if there is a number for it; `fd` stays what it is. */
bool own_fd_copy(struct own_fd *own, int fd);

/* The number, if the file behind it still is the one that was taken; else -1. A descriptor without
   a file (an eventfd) can't be told from others of its kind. */
int own_fd_get(const struct own_fd *own);

/* The record alone: no descriptor is made or closed. */
void own_fd_assign(struct own_fd *to, const struct own_fd *from);
void own_fd_forget(struct own_fd *own);

/* Closes the descriptor if the file behind it is the one that was taken, and forgets it. Not where
   another thread may put one of its own in that place: the calling thread is the only one, or has
   a table of its own. */
void own_fd_close(struct own_fd *own);

/* Gives the calling thread a table of descriptors of its own, with what is left of `kept` in it
   and nothing else: what the program closes is closed. 0 or -errno. */
int own_fd_unshare(struct own_fd *const kept[], size_t count);

#endif
