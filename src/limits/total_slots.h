/* SPDX-License-Identifier: BSD-2-Clause */
/* Which process has which slot of a total. */
#ifndef OOM_TOTAL_SLOTS_H
#define OOM_TOTAL_SLOTS_H

#include "limits/total.h"

/* One for this process, empty: a free one, or that of the program which this process was before an
   exec(). NULL: there is none, and *reason is why, or NULL where that has been said in another
   process. */
struct total_slot *total_slot_take(const char **reason);

#endif
