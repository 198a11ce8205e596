/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim_headroom(): what the limits leave, and what the heap has free. */
#include "limits/headroom.h"

#include "background/room.h"
#include "base/base.h"
#include "heap/heap_ops.h"
#include "oomreclaim.h"

OOM_EXPORT size_t oomreclaim_headroom(const char **constraint)
{
	struct headroom nearest;

	if (unlikely(!room_is_asked()))
		room_ask();
	headroom_nearest(&nearest, true);
	if (constraint != NULL)
		*constraint = nearest.constraint;
	return headroom_below(&nearest, heap_ops.evictable());
}
