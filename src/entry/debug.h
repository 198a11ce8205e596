/* SPDX-License-Identifier: BSD-2-Clause */
/* What only liboomreclaim-debug.so does at its start (docs/debugging.md). */
#ifndef OOM_DEBUG_H
#define OOM_DEBUG_H

#ifdef OOM_DEBUG
/* Once the settings are read, before main(). */
void debug_init(void);
#else
#define debug_init() ((void)0)
#endif

#endif
