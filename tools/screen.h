/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim top on a terminal. */
#ifndef SCREEN_H
#define SCREEN_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "page.h"

struct watch {
	pid_t pid;  /* 0: all */
	long count; /* of frames; 0: until it is ended */
	int delay_ms;
};

/* False where the terminal is not known, or this command was built without ncurses; then nothing
   was shown. Else it has ended, by the user, by *is_ended, or with *error for the process that is
   watched. */
bool screen_watch(const struct watch *watch, const volatile sig_atomic_t *is_ended,
                  enum page_error *error);

#endif
