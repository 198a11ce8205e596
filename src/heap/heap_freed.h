/* SPDX-License-Identifier: BSD-2-Clause */
/* What the heap takes back, for the lock checker: a lock in it is no more. Only in the debug
   library. */
#ifndef OOM_HEAP_FREED_H
#define OOM_HEAP_FREED_H

/* From now on the heap says so. Once. */
void heap_freed_init(void);

#endif
