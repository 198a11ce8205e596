/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one place that maps memory: jemalloc's mmap, munmap, sbrk and madvise come here
 * (heap_glue.h). As the system calls, but errno stays what it was: a failure that the ladder turns
 * into a success must leave no trace.
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
int pages_madvise(void *addr, size_t length, int advice);

/* Before pages are taken into use: budget_charge(). A refusal is remembered. */
bool pages_charge(size_t bytes);

/* The same for pages of an arena, which may be a group's. */
bool pages_charge_arena(unsigned arena, size_t bytes);

/* What became of the latter: budget_commit_charge() and its like. */
void pages_commit_arena(unsigned arena, size_t bytes);
void pages_cancel_arena(unsigned arena, size_t bytes);
void pages_uncharge_arena(unsigned arena, size_t bytes);

/* Whether a fault is injected here: before jemalloc looks at sbrk(), for which one failure is the
   last. */
bool pages_dss_should_fail(size_t bytes);

/* Which side refused a mapping or a charge to this thread last. The system refuses where addresses
   are short (or the memory that it may promise); the budget refuses where pages are. */
enum pages_refusal {
	PAGES_NOT_REFUSED,
	PAGES_REFUSED_BY_BUDGET,
	PAGES_REFUSED_BY_GROUP, /* group_refuser() */
	PAGES_REFUSED_BY_SYSTEM,
	PAGES_REFUSED_BY_FAULT
};
enum pages_refusal pages_last_refusal(void);

/* Whether a mapping that the system has just refused to this thread would be refused again, so that
   nobody needs to ask: set for attempts after nothing was given back. A smaller one may be had, and
   any once the heap has unmapped something. Returns what it was. */
bool pages_expect_refusal(bool expect);

/* While held, this thread gets no new mapping, and no system call is made for one. Returns what it
   was. */
bool pages_hold(bool hold);

#endif
