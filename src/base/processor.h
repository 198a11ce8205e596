/* SPDX-License-Identifier: BSD-2-Clause */
/* The processor that a thread runs on, without a system call. */
#ifndef OOM_PROCESSOR_H
#define OOM_PROCESSOR_H

#ifdef __has_builtin
#if __has_builtin(__builtin_thread_pointer) && __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#define OOM_HAS_RSEQ
#endif
#endif

/* Its number, or one below 0 where libc does not know. The kernel keeps it up to date in each
   thread's area for restartable sequences, which glibc registers from 2.35 on. sched_getcpu() is a
   system call elsewhere, which a sandbox may forbid. A thread may run on another processor by the
   time that the number is used: it is good for a choice that is never wrong. */
static inline int processor_now(void)
{
#ifdef OOM_HAS_RSEQ
	const char *thread = __builtin_thread_pointer();
	const volatile struct rseq *area = (const volatile struct rseq *)(thread + __rseq_offset);

	return __rseq_size > 0 ? (int)area->cpu_id : -1;
#else
	return -1;
#endif
}

#endif
