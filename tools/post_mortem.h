/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim run --post-mortem: stays beside the program, and says at its end what was known. */
#ifndef POST_MORTEM_H
#define POST_MORTEM_H

#include <signal.h>
#include <sys/types.h>

/* Before the program is started: holds the signals back that post_mortem_watch() takes. *old is the
   mask for the program. */
void post_mortem_begin(sigset_t *old);

/* Waits for the child, and passes on to it what signals come. Returns its exit status, or ends as
   it did. Where that was SIGKILL, SIGABRT or SIGSEGV a report comes before, on stderr. */
int post_mortem_watch(pid_t pid, const char *name);

#endif
