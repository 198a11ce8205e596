/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers that tell processes of the same names apart, and stay the same while a process
   lives. */
#ifndef SLOTS_H
#define SLOTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* When a process was started, in ticks since boot; 0 where there is none. */
uint64_t slots_start(pid_t pid);

/* Those of processes that have ended are free from now on. To be called before new ones come: a
   program that was restarted then gets the slot that it had. */
void slots_forget_ended(void);

/* The slot of a process, its own if it has one under these names. False where there is no
   memory. */
bool slots_take(pid_t pid, uint64_t start, const char *names, unsigned *slot);

#endif
