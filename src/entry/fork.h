/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork(): what is locked over it, so that no lock in the child is held by a thread that the child
 * does not have, and what the child begins anew.
 */
#ifndef OOM_FORK_H
#define OOM_FORK_H

/* Registers the handlers, at the first call; 0 or an error number. The handlers that come before a
   lock of the heap is taken are those that others register later, so the earlier this is called the
   better. */
int fork_register(void);

#endif
