/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the pages of a large block come from.
 *
 * jemalloc takes new pages for all of a block where no free extent is large enough. A program whose
 * large blocks come and go has free extents that are a little too small then, and the block is
 * faulted in beside them. Here it is put together of what is free and what is retained side by
 * side: only the retained part is new.
 */
#include "base/base.h"
#include "heap/heap_fast.h"
#include "heap/heap_free.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_glue.h"
#include "limits/fault.h"
#include "limits/pages.h"

/* Below this a search costs as much as the faults. */
#define JOINED_MIN ((size_t)1 << 20)

/* An extent that is a smaller part of the block is not worth it. */
#define JOINED_PART 16

/* So many extents are tried, the largest first, each of another size class. */
#define TRIES 32

/* So many extents to each side. */
#define SIDE 3

/* Of the size classes below *class the first extent of the largest, if that is a good part of
   size. */
static edata_t *take_below(tsdn_t *tsdn, pac_t *pac, size_t size, pszind_t *class)
{
	ecache_t *dirty = &pac->ecache_dirty;
	edata_t *extent = NULL;
	ssize_t found;

	malloc_mutex_lock(tsdn, &dirty->mtx);
	found = *class > 0 ? fb_fls(dirty->eset.bitmap, ESET_NPSIZES, *class - 1) : -1;
	if (found >= 0)
		extent = edata_heap_first(&dirty->eset.bins[found].heap);
	if (extent != NULL &&
	    (edata_size_get(extent) >= size || edata_size_get(extent) < size / JOINED_PART))
		extent = NULL;
	if (extent != NULL) {
		take_out(tsdn, pac, dirty, extent);
		*class = (pszind_t)found;
	}
	malloc_mutex_unlock(tsdn, &dirty->mtx);
	return extent;
}

/* Extents side by side, out of their lists, by address. */
struct run {
	struct piece {
		edata_t *extent;
		bool is_retained;
	} pieces[2 * SIDE + 1];
	int first, last;
	size_t bytes;
};

static edata_t *take_neighbour(tsdn_t *tsdn, pac_t *pac, ecache_t *list, edata_t *extent,
                               bool is_behind)
{
	edata_t *neighbour;

	malloc_mutex_lock(tsdn, &list->mtx);
	neighbour = emap_try_acquire_edata_neighbor(tsdn, pac->emap, extent, EXTENT_PAI_PAC,
	                                            list->state, is_behind);
	if (neighbour != NULL)
		take_out(tsdn, pac, list, neighbour);
	malloc_mutex_unlock(tsdn, &list->mtx);
	return neighbour;
}

/* To one side, until that is enough. */
static void extend(tsdn_t *tsdn, pac_t *pac, struct run *run, size_t size, bool is_behind)
{
	for (int i = 0; i < SIDE && run->bytes < size; i++) {
		edata_t *end = run->pieces[is_behind ? run->last : run->first].extent;
		struct piece next = {.is_retained = false};

		next.extent = take_neighbour(tsdn, pac, &pac->ecache_dirty, end, is_behind);
		if (next.extent == NULL) {
			next.is_retained = true;
			next.extent =
				take_neighbour(tsdn, pac, &pac->ecache_retained, end, is_behind);
		}
		if (next.extent == NULL)
			return;
		run->pieces[is_behind ? ++run->last : --run->first] = next;
		run->bytes += edata_size_get(next.extent);
	}
}

static void put_back(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, const struct piece *piece)
{
	if (piece->is_retained)
		extent_record(tsdn, pac, ehooks, &pac->ecache_retained, piece->extent);
	else
		ecache_dalloc(tsdn, pac, ehooks, &pac->ecache_dirty, piece->extent);
}

/* What is too much is a part of the piece that came last. */
static bool trim(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, struct run *run, size_t size)
{
	bool is_first = run->first < SIDE;
	struct piece *end = &run->pieces[is_first ? run->first : run->last], rest = *end;
	size_t excess = run->bytes - size, bytes = edata_size_get(end->extent) - excess;
	edata_t *second;

	if (excess == 0)
		return true;
	second = extent_split_wrapper(tsdn, pac, ehooks, end->extent, is_first ? excess : bytes,
	                              is_first ? bytes : excess, false);
	if (second == NULL)
		return false;
	if (is_first)
		end->extent = second;
	else
		rest.extent = second;
	put_back(tsdn, pac, ehooks, &rest);
	run->bytes = size;
	return true;
}

/* The bytes of the retained pieces, which have new pages: of a run, from the piece `from` on. */
static size_t new_bytes(const struct run *run, int from)
{
	size_t bytes = 0;

	for (int i = from; i <= run->last; i++)
		bytes += run->pieces[i].is_retained ? edata_size_get(run->pieces[i].extent) : 0;
	return bytes;
}

/* NULL where the pieces can't be one: then none is taken. */
static edata_t *merge(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, struct run *run)
{
	edata_t *extent = run->pieces[run->first].extent;

	for (int i = run->first + 1; i <= run->last; i++) {
		if (!extent_merge_wrapper(tsdn, pac, ehooks, extent, run->pieces[i].extent))
			continue;
		pages_uncharge_arena(ecache_ind_get(&pac->ecache_dirty), new_bytes(run, i));
		extent_dalloc_wrapper(tsdn, pac, ehooks, extent);
		run->first = i;
		return NULL;
	}
	return extent;
}

/* The run as one extent, of which *bytes are new; NULL where it can't be had, and all of it is free
   as before. */
static edata_t *take_run(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, struct run *run, size_t size,
                         size_t *bytes)
{
	unsigned arena = ecache_ind_get(&pac->ecache_dirty);
	edata_t *extent = NULL;

	if (run->bytes >= size && trim(tsdn, pac, ehooks, run, size)) {
		*bytes = new_bytes(run, run->first);
		if (heap_charge_grow(tsdn, arena, *bytes)) {
			for (int i = run->first; i <= run->last; i++)
				if (run->pieces[i].is_retained)
					heap_charge_grown(run->pieces[i].extent, arena,
					                  edata_size_get(run->pieces[i].extent));
			extent = merge(tsdn, pac, ehooks, run);
		}
	}
	for (int i = run->first; extent == NULL && i <= run->last; i++)
		put_back(tsdn, pac, ehooks, &run->pieces[i]);
	return extent;
}

/* A fault that is injected shall hit what the program asked for. */
static bool may_join(pac_t *pac, ehooks_t *ehooks, size_t size)
{
	return size >= JOINED_MIN && size <= SC_LARGE_MAXCLASS && opt_retain &&
	       ecache_ind_get(&pac->ecache_dirty) < manual_arena_base &&
	       ehooks_are_default(ehooks) && bytes_in(&pac->ecache_dirty) >= size / JOINED_PART &&
	       !fault_is_armed(&fault_page);
}

static edata_t *join(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, size_t size, size_t *bytes)
{
	pszind_t class = sz_psz2ind(sz_psz_quantize_ceil(size));
	edata_t *extent, *joined = NULL;

	for (int i = 0; i < TRIES && joined == NULL; i++) {
		struct run run = {.first = SIDE, .last = SIDE};

		extent = take_below(tsdn, pac, size, &class);
		if (extent == NULL)
			break;
		run.pieces[SIDE].extent = extent;
		run.bytes = edata_size_get(extent);
		extend(tsdn, pac, &run, size, true);
		extend(tsdn, pac, &run, size, false);
		joined = take_run(tsdn, pac, ehooks, &run, size, bytes);
	}
	return joined;
}

edata_t *heap_ecache_alloc_grow(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, ecache_t *ecache,
                                edata_t *expand, size_t size, size_t alignment, bool zero,
                                bool guarded)
{
	edata_t *extent = NULL;
	size_t bytes = size;

	if (expand == NULL && alignment <= PAGE && !zero && !guarded && may_join(pac, ehooks, size))
		extent = join(tsdn, pac, ehooks, size, &bytes);
	/* The caller takes all of it for newly mapped. */
	if (config_stats && extent != NULL)
		atomic_fetch_sub_zu(&pac->stats->pac_mapped, size - bytes, ATOMIC_RELAXED);
	if (extent == NULL)
		extent = heap_charge_alloc_grow(tsdn, pac, ehooks, ecache, expand, size, alignment,
		                                zero, guarded);
	if (extent != NULL)
		heap_keep_took(tsdn, pac, bytes, size);
	return extent;
}
