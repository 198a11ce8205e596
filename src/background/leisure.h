/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is free goes back to the system when the program is idle. jemalloc gives back by and by, but
 * only where an arena is used; after a peak an idle program keeps all of it. oomreclaimd's thread
 * alone calls these.
 */
#ifndef OOM_LEISURE_H
#define OOM_LEISURE_H

/* Milliseconds until leisure_look() is due; -1: there is nothing to look for, as the heap is below
   the low watermark, or there is none. */
int leisure_due_ms(void);

/* Once it is due. Gives everything back that is free if the heap is as it was the last time. */
void leisure_look(void);

#endif
