/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim_purgeable_alloc() and its kind: they allocate, and free. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "background/background.h"
#include "base/base.h"
#include "entry/dry_run.h"
#include "heap/blocks.h"
#include "heap/heap_ops.h"
#include "oomreclaim.h"
#include "reclaim/outside.h"
#include "reclaim/purgeable.h"
#include "reclaim/registry.h"

/* With no lock held: malloc() may descend the ladder. */
static bool enlist(void)
{
	oomreclaim_handle handle;
	void *memory;

	if (purgeable_is_enlisted())
		return true;
	memory = malloc(registry_entry_bytes);
	if (memory == NULL)
		return false;
	handle = purgeable_enlist(memory, free);
	if (handle == 0) {
		/* Another thread was faster. */
		free(memory);
		return true;
	}
	dry_run_begin(handle, 0);
	background_note_callback();
	return true;
}

static struct oomreclaim_purgeable *make(size_t size, unsigned cost)
{
	struct oomreclaim_purgeable *purgeable;
	int saved = errno;
	void *block;

	purgeable = malloc(sizeof *purgeable);
	block = malloc(size);
	if (purgeable == NULL || block == NULL || !enlist()) {
		free(block);
		free(purgeable);
		errno = ENOMEM;
		return NULL;
	}
	purgeable_init(purgeable, block, malloc_usable_size(block), cost);
	errno = saved;
	return purgeable;
}

OOM_EXPORT struct oomreclaim_purgeable *oomreclaim_purgeable_alloc(size_t size, unsigned cost)
{
	struct oomreclaim_purgeable *purgeable;
	struct outside outside;

	if (cost == 0 || cost > OOMRECLAIM_COST_MAX) {
		errno = EINVAL;
		return NULL;
	}
	outside = outside_begin();
	purgeable = make(size, cost);
	outside_end(&outside);
	return purgeable;
}

OOM_EXPORT void *oomreclaim_purgeable_block(const struct oomreclaim_purgeable *purgeable)
{
	blocks_look_at(purgeable, "asks for");
	return purgeable != NULL ? purgeable_block(purgeable) : NULL;
}

OOM_EXPORT void *oomreclaim_purgeable_pin(struct oomreclaim_purgeable *purgeable)
{
	blocks_look_at(purgeable, "pins");
	return purgeable != NULL ? purgeable_pin(purgeable) : NULL;
}

OOM_EXPORT int oomreclaim_purgeable_unpin(struct oomreclaim_purgeable *purgeable)
{
	blocks_look_at(purgeable, "unpins");
	return purgeable != NULL && purgeable_unpin(purgeable) ? 0 : EINVAL;
}

OOM_EXPORT void *oomreclaim_purgeable_take(struct oomreclaim_purgeable *purgeable)
{
	void *block = NULL;

	blocks_look_at(purgeable, "takes");
	if (purgeable != NULL)
		block = purgeable_take(purgeable);
	if (block != NULL)
		free(purgeable);
	return block;
}

OOM_EXPORT void oomreclaim_purgeable_free(struct oomreclaim_purgeable *purgeable)
{
	blocks_look_at(purgeable, "frees");
	if (purgeable == NULL)
		return;
	free(purgeable_drop(purgeable));
	free(purgeable);
}
