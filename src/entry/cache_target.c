/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim_cache_target() and _regret(): the first of them starts oomreclaimd, which sets the
   targets. */
#include <errno.h>

#include "background/background.h"
#include "background/room.h"
#include "base/base.h"
#include "oomreclaim.h"
#include "reclaim/registry.h"

static void want(bool is_new)
{
	room_want();
	/* Without such a cache oomreclaimd looks once a second, and may sleep for as long. */
	if (unlikely(is_new))
		background_look();
}

OOM_EXPORT size_t oomreclaim_cache_target(oomreclaim_handle handle)
{
	size_t bytes = SIZE_MAX;
	bool is_new;

	if (!registry_target(handle, &bytes, &is_new))
		return SIZE_MAX;
	want(is_new);
	return bytes;
}

OOM_EXPORT int oomreclaim_cache_regret(oomreclaim_handle handle, size_t bytes)
{
	bool is_new, is_cache = registry_regret(handle, bytes, &is_new);

	if (is_cache)
		want(is_new);
	return is_cache ? 0 : EINVAL;
}
