/* SPDX-License-Identifier: BSD-2-Clause */
#include "heap/heap_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "heap/heap_fast.h"
#include "heap/heap_group.h"
#include "heap/heap_maps.h"
#include "heap/heap_prof.h"
#include "limits/budget.h"
#include "limits/constraint.h"
#include "limits/group.h"
#include "limits/pages.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "config/options.h"
#include "heap/heap_glue.h"

/* jemalloc's errno, which nobody reads: see heap_glue.h. */
OOM_TLS int heap_errno;

#define STRING_OF(x) #x
#define STRING(x) STRING_OF(x)

void heap_configure(void)
{
	size_t limit;

	heap_defaults();
	limit = constraint_init();
	/* Address space that an arena retains is charged to the limit and of no use to any other
	   arena. (Our own budget counts pages, not addresses.) */
	if (limit != SIZE_MAX) {
		opt_retain = false;
		heap_maps_init();
	}
	limit = min_size(limit, budget_max_bytes());
	if (limit != SIZE_MAX)
		heap_defaults_limit(limit);
	else
		heap_defaults_no_limit();
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
	if (!malloc_initialized())
		return;
	heap_control_prepare();
	heap_processors_prepare();
	heap_prof_init();
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
	blocks_drain();
	if (request->old != NULL)
		memory = heap_rallocx(request->old, size, flags_of(request));
	else
		memory = heap_mallocx(size, flags_of(request));
	if (memory != NULL)
		heap_tcache_retry();
	return memory;
}

static void *alloc_again(const struct heap_request *request)
{
	bool was_expected = pages_expect_refusal(true);
	void *memory = alloc(request);

	pages_expect_refusal(was_expected);
	return memory;
}

static bool has_cached(tcache_t *tcache)
{
	for (unsigned i = 0; i < nhbins; i++)
		if (cache_bin_ncached_get_local(&tcache->bins[i], &tcache_bin_info[i]) > 0)
			return true;
	return false;
}

static bool flush_thread(void)
{
	tsd_t *tsd;

	if (!malloc_initialized())
		return false;
	tsd = tsd_fetch();
	if (!tcache_available(tsd) || !has_cached(tsd_tcachep_get(tsd)))
		return pages_last_refusal() == PAGES_REFUSED_BY_FAULT;
	tcache_flush(tsd);
	return true;
}

static bool end_lists(void)
{
	return malloc_initialized() && heap_pcp_end(tsdn_fetch());
}

static bool is_reentrant(void)
{
	/* Before it is initialised jemalloc has no thread data to ask. */
	return malloc_initialized() && tsd_reentrancy_level_get(tsd_fetch()) > 0;
}

static bool is_ours(const void *memory)
{
	emap_full_alloc_ctx_t found;

	return malloc_initialized() && heap_is_in_reach(memory, 1) &&
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
	*freed = tsd_thread_deallocated_get(tsd) + (uint64_t)blocks_kept_bytes();
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

static void put_stats(void (*put)(void *arg, const char *text), void *arg)
{
	if (malloc_initialized())
		stats_print(put, arg, "J");
}

static unsigned group_refuser_now(void)
{
	return pages_last_refusal() == PAGES_REFUSED_BY_GROUP ? group_refuser() : 0;
}

static enum constraint budget_refuser_now(void)
{
	return pages_last_refusal() == PAGES_REFUSED_BY_BUDGET ? budget_refuser() : CONSTRAINT_NONE;
}

const struct heap_ops heap_ops = {
	.init = init,
	.alloc = alloc,
	.alloc_again = alloc_again,
	.alloc_moved = heap_alloc_moved,
	.end_lists = end_lists,
	.flush_thread = flush_thread,
	.purge = heap_purge,
	.compact = heap_compact,
	.borrow = heap_borrow,
	.evict = heap_evict,
	.evictable = heap_evictable,
	.count_evictable = heap_count_evictable,
	.is_reentrant = is_reentrant,
	.is_ours = is_ours,
	.thread_counters = thread_counters,
	.stats = stats,
	.print_stats = put_stats,
	.dump_profile = heap_dump_profile,
	.reserve_map = heap_reserve_map,
	.reserve_make_arena = heap_reserve_make_arena,
	.reserve_give = heap_reserve_give,
	.reserve_has_arena = heap_reserve_has_arena,
	.reserve_alloc = heap_reserve_alloc,
	.group_current = heap_group_current,
	.group_enter = heap_group_switch,
	.group_refuser = group_refuser_now,
	.budget_refuser = budget_refuser_now,
	.group_evict = heap_group_evict,
	.group_allocated = heap_group_allocated,
	/* What there are addresses for; SC_LARGE_MAXCLASS is far above that. */
	.max_bytes = SIZE_MAX >> (64 - LG_VADDR),
};
