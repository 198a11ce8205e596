/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory set aside for threads that are about to give memory back, or about to die: the kernel's
 * ALLOC_NO_WATERMARKS. It is taken at start, since it can't be had when it is needed.
 */
#ifndef OOM_RESERVE_H
#define OOM_RESERVE_H

#include "heap/heap_ops.h"

/* Sets aside `bytes`; 0 turns the reserve off. 0 or -errno; without a reserve the ladder works,
   its callbacks just cannot count on allocating. */
int reserve_init(size_t bytes);

/* A block from the reserve that ordinary free() gives back, or NULL. */
void *reserve_alloc(const struct heap_request *request);

/* Bytes set aside. */
size_t reserve_bytes(void);

#endif
