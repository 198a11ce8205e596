/* SPDX-License-Identifier: BSD-2-Clause */
/* The socket by which a process takes commands: see src/background/ctl_socket.h. */
#ifndef CTL_SOCKET_H
#define CTL_SOCKET_H

#include <stddef.h>
#include <sys/types.h>

/* Connects to the socket of that process. A descriptor, or -1 where what is wrong has been said. */
int ctl_connect(pid_t pid);

/* NULL, or what is wrong with a request: what the process would say. */
const char *ctl_check(const char *request, size_t bytes);

#endif
