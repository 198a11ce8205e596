/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What jemalloc has other defaults for here. docs/benchmarks.md has the figures, and what was tried
 * and left. What the user says in malloc_conf, /etc/malloc.conf or MALLOC_CONF is applied after
 * this, and wins.
 */
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "base/base.h"
#include "heap/heap_fast.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_glue.h"

/* Arenas for each processor, as "narenas_ratio" in MALLOC_CONF; jemalloc declares it nowhere. */
extern fxp_t opt_narenas_ratio;

/*
 * An arena for each processor, of which new threads share half (heap_arenas.c). With their caches
 * threads seldom meet in an arena; but each arena has free pages that no other thread can use, and
 * records of its own. jemalloc has four for each processor. The last bit tells this from what a
 * user sets.
 */
#define ARENAS_PER_PROCESSOR (FXP_INIT_INT(1) + 1)

/*
 * Threads of one arena take blocks of up to HEAP_THREAD_SHARDED_BYTES from so many slabs, each
 * thread from one.
 */
#define SHARDS 8

/* Larger blocks of up to this size come from slabs of the processor that the thread runs on. */
#define PROCESSOR_SHARDED_BYTES 1024

/*
 * After so many bytes that a thread has allocated, or freed, one size class of its cache gives back
 * what was of no use. With jemalloc's 64 KiB what a thread takes and frees in turns leaves the
 * cache before it is wanted again.
 */
#define CACHE_CHECK_BYTES ((size_t)512 << 10)

/* Of each small size a cache holds two slabs of blocks, and so many at least, in place of 20. Slabs
   of 2 KiB and more have one block or few, and each is taken and given back by itself. */
#define CACHE_SMALL_SLOTS 32

/* Of each size from 16 KiB on that many blocks are cached, in place of 20: they make up most of a
   cache, which is looked through more seldom. */
#define CACHE_LARGE_SLOTS 8

/*
 * A freed extent of up to two to this power times the size of a request is cut up for it. With
 * jemalloc's 6 a program that frees all of a phase's small blocks has its next phase on new pages,
 * as the old ones lie together by then, and waits for these to decay.
 */
#define LG_MAX_ACTIVE_FIT 8

/* What is set here, and whether it is in force: since before jemalloc has made an arena. */
static fxp_t own_ratio = ARENAS_PER_PROCESSOR;
static bool has_own_ratio;

/* The slabs that each size has in an arena for threads to take blocks from, in jemalloc's table: on
   its stack until it has read its settings. The library's come between, as the limit is known by
   then. */
static unsigned *bin_shards;

bool heap_defaults_have_arenas(void)
{
	return has_own_ratio;
}

/* The processors, once they were counted; 0 before. A process is not to be asked twice. */
static unsigned counted;

static void fill(cpu_set_t *set, size_t bytes, long processors)
{
	CPU_ZERO_S(bytes, set);
	CPU_SET_S(0, bytes, set);
	for (long i = 1; i < processors && i < CPU_SETSIZE; i++)
		CPU_SET_S((size_t)i, bytes, set);
}

/*
 * jemalloc counts the processors in the set, whatever the call said. It fails where the kernel has
 * more processors than the set has bits: then these are the ones that are online.
 */
int heap_getaffinity(pid_t process, size_t bytes, cpu_set_t *set)
{
	int saved = errno;

	/* The last call is jemalloc's, when it has read its settings and before it counts arenas by
	   them. */
	has_own_ratio = opt_narenas == 0 && opt_narenas_ratio == own_ratio &&
	                opt_percpu_arena == percpu_arena_disabled;
	if (counted > 0)
		fill(set, bytes, counted);
	else if (sched_getaffinity(process, bytes, set) != 0)
		fill(set, bytes, sysconf(_SC_NPROCESSORS_ONLN));
	errno = saved;
	return 0;
}

void heap_defaults(void)
{
	opt_narenas_ratio = own_ratio;
	opt_tcache_gc_incr_bytes = CACHE_CHECK_BYTES;
	opt_tcache_nslots_large = CACHE_LARGE_SLOTS;
	opt_lg_extent_max_active_fit = LG_MAX_ACTIVE_FIT;
	/* Its debug build ends the program where a profile can't be written, or a thread of its own
	   not be created. An assertion does so anyway. */
	opt_abort = false;
}

static unsigned count_processors(void)
{
	cpu_set_t set;

	/* What jemalloc does to count them. */
	heap_getaffinity(0, sizeof set, &set);
	counted = (unsigned)CPU_COUNT(&set);
	/* The call may be the program's own, or a sandbox's, and name none. */
	return counted == 0 ? 1 : counted;
}

void heap_defaults_limit(size_t limit)
{
	size_t wanted = limit / LIMIT_BYTES_PER_ARENA;
	fxp_t arenas = wanted == 0 ? 1 : (fxp_t)(wanted < UINT16_MAX ? wanted : UINT16_MAX);
	fxp_t processors = count_processors(), ratio;

	ratio = FXP_INIT_INT(arenas) / processors;
	if (ratio >= own_ratio)
		return;
	/* Still to be told from what a user sets. */
	own_ratio = ratio | 1;
	opt_narenas_ratio = own_ratio;
	if (2 * arenas >= processors)
		return;
	/* Free pages side by side that are more than this are given back at once. In the first
	   arena, which is made now, and where all threads may free, 8 MiB of them come together all
	   the time. */
	if (limit / 4 > oversize_threshold)
		oversize_threshold = limit / 4;
}

void heap_bin_shard_sizes_boot(unsigned sizes[SC_NBINS])
{
	bin_shard_sizes_boot(sizes);
	bin_shards = sizes;
}

/* What is free in a slab or a cache is of no use to another thread: that costs memory, which is not
   short here. */
void heap_defaults_no_limit(void)
{
	unsigned processors = heap_shards_of(count_processors());

	bin_update_shard_size(bin_shards, 1, HEAP_THREAD_SHARDED_BYTES, SHARDS);
	bin_update_shard_size(bin_shards, HEAP_THREAD_SHARDED_BYTES + 1, PROCESSOR_SHARDED_BYTES,
	                      processors);
	opt_tcache_nslots_small_min = CACHE_SMALL_SLOTS;
	heap_pcp_begin();
}
