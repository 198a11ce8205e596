/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket of `oomreclaim ctl`, in the table of descriptors of oomreclaim-poll, whose alone it
 * is: a child of fork() does not have it, and a program that closes all descriptors does not meet
 * it.
 *
 * It has no name that anybody could open: its file is removed before it listens. What leads there
 * is a descriptor of that file in /proc/PID/task/TID/fd, where those alone may look who may trace
 * the process; the file has the mode 0600; and who connects is looked at (SO_PEERCRED).
 *
 * A request and its answer are one packet each. All on oomreclaim-poll, which waits for none.
 */
#ifndef OOM_BACKGROUND_CTL_SOCKET_H
#define OOM_BACKGROUND_CTL_SOCKET_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#define CTL_CLIENTS 4
#define CTL_FDS (1 + CTL_CLIENTS)

/* 0 or -errno. */
int ctl_socket_open(void);
bool ctl_socket_is_open(void);

/* What to wait for: up to CTL_FDS; returns how many. */
size_t ctl_socket_fds(struct pollfd fds[CTL_FDS]);
/* And how long at most, -1: for ever. */
int ctl_socket_wait_ms(void);

/* Does what can be done now. */
void ctl_socket_look(void);

/* The parent's descriptors are not here. */
void ctl_socket_fork_child(void);

#endif
