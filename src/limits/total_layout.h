/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A total: the limit that all processes below `oomreclaim run --total` share, and what each of them
 * has charged to it. The command makes it, the library maps it.
 *
 * The total is a memfd of fixed size, sealed against any other, that is inherited. The environment
 * names its descriptor and its inode. All users that have inherited it may write to it.
 *
 * There is no sum that could lose a charge: what is charged is added up from the slots, anew for
 * each charge. A process that dies in the middle of an update takes its slot with it, and nothing
 * else.
 */
#ifndef OOM_TOTAL_LAYOUT_H
#define OOM_TOTAL_LAYOUT_H

#include <stdatomic.h>
#include <stdint.h>

#define TOTAL_NAME "oomreclaim-total"
#define TOTAL_VARIABLE "OOMRECLAIM_TOTAL" /* DESCRIPTOR:INODE */
#define TOTAL_MAGIC "OOMTOTAL"
#define TOTAL_VERSION 1
#define TOTAL_SLOTS 1024

/* The owner of a slot in one word, so that it is taken and given up at once: the pid, which is
   below the kernel's PID_MAX_LIMIT, and above it when the process started, in clock ticks since
   boot. */
#define TOTAL_PID_BITS 22
/* The slot is being emptied for its owner, and does not count. */
#define TOTAL_TAKING ((uint64_t)1 << 63)

/* One process. A line of the cache for each: they are written to at the same time. */
struct total_slot {
	_Alignas(64) _Atomic uint64_t owner; /* 0: free */
	/* What is charged. A child of fork() begins with nothing. Below 0: it has given back what
	   it inherited. */
	_Atomic int64_t own;
	_Atomic uint64_t pending; /* what is about to be charged, if it fits */
	_Atomic uint64_t wanted;  /* by others: what oomreclaimd is asked for */
	atomic_uint calls;        /* the word that oomreclaimd sleeps on */
	atomic_uint asked;        /* how often, and which of these has been answered */
	atomic_uint answered;
	atomic_uint has_thread; /* 1: oomreclaimd is there */
	atomic_uint is_silent;  /* 1: it was waited for in vain, and has not answered since */
};

struct total {
	char magic[8]; /* TOTAL_MAGIC, without its NUL */
	uint32_t version;
	uint32_t bytes;         /* of this struct */
	uint64_t pid_namespace; /* its inode: pids are those of that namespace */
	uint64_t limit;
	_Atomic uint64_t times_met;
	_Atomic uint64_t peak;
	atomic_uint used;          /* no slot from there on was ever taken */
	atomic_uint is_full_noted; /* 1: it has been said that there are no more slots */
	struct total_slot slot[TOTAL_SLOTS];
};

/* What is told of it. */
struct total_figures {
	uint64_t
		id; /* the same for all that share it; 0: there is none, and nothing else is said */
	uint64_t limit;
	uint64_t charged; /* by all together, */
	uint64_t own;     /* and by this process */
	uint64_t peak;
	uint64_t times_met;
	uint64_t processes;
};

#endif
