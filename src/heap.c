/* SPDX-License-Identifier: BSD-2-Clause */
#include "heap.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base.h"
#include "heap_fast.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap_glue.h"
#include "options.h"
#include "pages.h"

/* jemalloc's errno, which nobody reads: see heap_glue.h. */
OOM_TLS int heap_errno;

#define STRING_OF(x) #x
#define STRING(x) STRING_OF(x)

static bool is_limited(__rlimit_resource_t resource)
{
	struct rlimit limit;

	return getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

/*
 * jemalloc asks for MALLOC_CONF once, after its defaults are set and before its first mapping: the
 * moment to read our own options, and to turn retention off where address space is limited. Address
 * space that an arena retains is charged to the limit and of no use to any other arena. What the
 * user says in malloc_conf or MALLOC_CONF is applied after this.
 */
char *heap_conf_getenv(const char *name)
{
	int saved = errno;

	options_load(NULL);
	if (is_limited(RLIMIT_AS) || is_limited(RLIMIT_DATA))
		opt_retain = false;
	errno = saved;
	return secure_getenv(name);
}

ssize_t heap_readlink(const char *path, char *buf, size_t size)
{
	int saved = errno;
	ssize_t length = readlink(path, buf, size);

	errno = saved;
	return length;
}

static void init(void)
{
	uint64_t epoch = 1;

	/* The control interface sets itself up at its first use, which needs memory: not to be left
	   for the day when there is none. */
	je_mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
}

static int flags_of(const struct heap_request *request)
{
	int flags = request->flags;

	if (request->alignment > 0)
		flags |= MALLOCX_ALIGN(request->alignment);
	return flags;
}

static void *alloc(const struct heap_request *request)
{
	size_t size = request->size > 0 ? request->size : 1;
	void *memory;

	/* jemalloc's own functions do not take a size above this from us: some would assert. */
	if (size > SC_LARGE_MAXCLASS)
		return NULL;
	if (request->old != NULL)
		memory = je_rallocx(request->old, size, flags_of(request));
	else
		memory = je_mallocx(size, flags_of(request));
	if (memory != NULL)
		heap_tcache_retry();
	return memory;
}

static void flush_thread(void)
{
	if (malloc_initialized())
		je_mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
}

static void purge_all(void)
{
	if (malloc_initialized())
		je_mallctl("arena." STRING(MALLCTL_ARENAS_ALL) ".purge", NULL, NULL, NULL, 0);
}

static bool is_reentrant(void)
{
	/* Before it is initialised jemalloc has no thread data to ask. */
	return malloc_initialized() && tsd_reentrancy_level_get(tsd_fetch()) > 0;
}

static bool is_ours(const void *memory)
{
	emap_full_alloc_ctx_t found;

	return malloc_initialized() &&
	       !emap_full_alloc_ctx_try_lookup(tsdn_fetch(), &arena_emap_global, memory, &found) &&
	       found.edata != NULL;
}

static void thread_counters(uint64_t *allocated, uint64_t *freed)
{
	tsd_t *tsd;

	*allocated = *freed = 0;
	if (!malloc_initialized())
		return;
	tsd = tsd_fetch();
	*allocated = tsd_thread_allocated_get(tsd);
	*freed = tsd_thread_deallocated_get(tsd);
}

static bool read_size(const char *name, size_t *value)
{
	size_t length = sizeof *value;

	return je_mallctl(name, value, &length, NULL, 0) == 0;
}

static bool stats(struct heap_stats *stats)
{
	uint64_t epoch = 1;
	size_t dirty = 0, muzzy = 0;

	if (!malloc_initialized() || je_mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) != 0)
		return false;
	if (!read_size("stats.arenas." STRING(MALLCTL_ARENAS_ALL) ".pdirty", &dirty) ||
	    !read_size("stats.arenas." STRING(MALLCTL_ARENAS_ALL) ".pmuzzy", &muzzy))
		return false;
	stats->dirty = (dirty + muzzy) * PAGE;
	return read_size("stats.allocated", &stats->allocated) &&
	       read_size("stats.active", &stats->active) &&
	       read_size("stats.metadata", &stats->metadata) &&
	       read_size("stats.resident", &stats->resident) &&
	       read_size("stats.mapped", &stats->mapped) &&
	       read_size("stats.retained", &stats->retained);
}

/* ---- The reserve: an arena that lives in one mapping, made at start. ---- */

static struct {
	extent_hooks_t hooks;
	void *region; /* handed to the arena whole, once */
	size_t region_bytes;
	unsigned arena;
} reserve;

static void *reserve_extent_alloc(extent_hooks_t *hooks, void *new_addr, size_t size,
                                  size_t alignment, bool *zero, bool *commit, unsigned arena)
{
	void *region = reserve.region;

	(void)hooks, (void)arena;
	if (region == NULL || new_addr != NULL || size > reserve.region_bytes ||
	    ((uintptr_t)region & (alignment - 1)) != 0)
		return NULL;
	/* Asked for by reserve_create() alone at first, so by one thread; never again after. */
	reserve.region = NULL;
	*zero = true;
	*commit = true;
	return region;
}

/* True is "no": what the arena has it keeps, whoever purges. */
static bool reserve_extent_dalloc(extent_hooks_t *hooks, void *addr, size_t size, bool committed,
                                  unsigned arena)
{
	(void)hooks, (void)addr, (void)size, (void)committed, (void)arena;
	return true;
}

static bool reserve_extent_split(extent_hooks_t *hooks, void *addr, size_t size, size_t size_a,
                                 size_t size_b, bool committed, unsigned arena)
{
	(void)hooks, (void)addr, (void)size, (void)size_a, (void)size_b, (void)committed, (void)arena;
	return false;
}

static bool reserve_extent_merge(extent_hooks_t *hooks, void *addr_a, size_t size_a, void *addr_b,
                                 size_t size_b, bool committed, unsigned arena)
{
	(void)hooks, (void)addr_a, (void)size_a, (void)addr_b, (void)size_b, (void)committed;
	(void)arena;
	return false;
}

static int reserve_flags(void)
{
	/* Not through the thread's cache: that would fill itself with a batch. */
	return (int)(MALLOCX_ARENA(reserve.arena) | MALLOCX_TCACHE_NONE);
}

static int reserve_create(size_t bytes)
{
	arena_config_t config = {.extent_hooks = &reserve.hooks, .metadata_use_hooks = false};
	size_t size = bytes <= SC_LARGE_MAXCLASS ? sz_s2u(bytes) : 0, length = sizeof reserve.arena;
	void *region, *whole;

	if (size == 0)
		return -ENOMEM;
	reserve.hooks = (extent_hooks_t){.alloc = reserve_extent_alloc,
	                                 .dalloc = reserve_extent_dalloc,
	                                 .split = reserve_extent_split,
	                                 .merge = reserve_extent_merge};
	/* The heap shifts large blocks within one page more, to spread them over the cache. */
	reserve.region_bytes = PAGE_CEILING(size) + PAGE;
	region = pages_mmap(NULL, reserve.region_bytes, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (region == MAP_FAILED)
		return -ENOMEM;
	reserve.region = region;
	if (je_mallctl("experimental.arenas_create_ext", &reserve.arena, &length, &config,
	               sizeof config) != 0) {
		pages_munmap(region, reserve.region_bytes);
		return -ENOMEM;
	}
	/* Taken whole and given back, the region and every record it needs are in the arena: nothing
	   has to be mapped when it is used. */
	whole = je_mallocx(size, reserve_flags());
	if (whole == NULL)
		return -ENOMEM;
	je_free(whole);
	return 0;
}

static void *reserve_alloc(const struct heap_request *request)
{
	struct heap_request fresh = *request;
	size_t old_bytes;
	void *memory;

	fresh.old = NULL;
	fresh.flags = reserve_flags() | (request->flags & MALLOCX_ZERO);
	memory = alloc(&fresh);
	if (memory == NULL || request->old == NULL)
		return memory;
	old_bytes = isalloc(tsdn_fetch(), request->old);
	memcpy(memory, request->old, old_bytes < request->size ? old_bytes : request->size);
	je_free(request->old);
	return memory;
}

const struct heap_ops heap_ops = {
	.init = init,
	.alloc = alloc,
	.flush_thread = flush_thread,
	.purge_all = purge_all,
	.is_reentrant = is_reentrant,
	.is_ours = is_ours,
	.thread_counters = thread_counters,
	.stats = stats,
	.reserve_create = reserve_create,
	.reserve_alloc = reserve_alloc,
	.max_bytes = SC_LARGE_MAXCLASS,
};
