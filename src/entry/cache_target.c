/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim_cache_target() and _regret(): the first of them starts oomreclaimd, which sets the
   targets. */
#include <errno.h>

#include "background/room.h"
#include "base/base.h"
#include "oomreclaim.h"
#include "reclaim/registry.h"

OOM_EXPORT size_t oomreclaim_cache_target(oomreclaim_handle handle)
{
	size_t bytes = SIZE_MAX;

	if (!registry_target(handle, &bytes))
		return SIZE_MAX;
	room_want();
	return bytes;
}

OOM_EXPORT int oomreclaim_cache_regret(oomreclaim_handle handle, size_t bytes)
{
	bool is_cache = registry_regret(handle, bytes);

	if (is_cache)
		room_want();
	return is_cache ? 0 : EINVAL;
}
