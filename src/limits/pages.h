/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one place that maps memory: jemalloc's mmap, munmap, sbrk and madvise come here (heap_glue.h). As
 * the system calls, but errno stays what it was: a failure that the ladder turns into a success must
 * leave no trace. What is mapped counts against the budget.
 */
#ifndef OOM_PAGES_H
#define OOM_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

void *pages_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
int pages_munmap(void *addr, size_t length);
void *pages_sbrk(intptr_t increment);
/* Whether a fault is injected here: before jemalloc looks at sbrk(), for which one failure is the last. */
bool pages_dss_should_fail(size_t bytes);
int pages_madvise(void *addr, size_t length, int advice);

#endif
