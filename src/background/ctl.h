/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The setting control:true: what others ask for by `oomreclaim ctl`. The thread oomreclaim-poll has
 * the socket (ctl_socket.h) and reads; oomreclaimd does what is asked for, one command at a time,
 * with no lock held.
 */
#ifndef OOM_BACKGROUND_CTL_H
#define OOM_BACKGROUND_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config/ctl_command.h"

/* On oomreclaim-poll. True if a command may be handed over: there is none, nor an answer that was
   not fetched. */
bool ctl_is_free(void);

/* Hands it over. */
void ctl_hand_over(const struct ctl_command *command, const char *request, pid_t by);

/* The answer, with CTL_DONE or CTL_REFUSED in front, until the next command; NULL while there is
   none. Given out once. */
const char *ctl_answer(size_t *bytes);

/* No socket is to be had: oomreclaimd says so. */
void ctl_fail(int error);

/* On oomreclaimd. */
void ctl_serve(void);

/* True where the process is to have its own threads for this alone. A child of fork() has to be a
   second old: most are gone by then. */
bool ctl_is_due(void);

void ctl_fork_child(void);

#endif
