/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A free extent that is smaller than a request is extended where it lies: then no more than the
 * rest has to be unmapped elsewhere, mapped, and faulted in.
 */
#ifndef OOM_HEAP_EXTEND_H
#define OOM_HEAP_EXTEND_H

#include "heap/heap_fast.h"
#include "heap/heap_ops.h"

struct heap_extension {
	pac_t *pac;
	edata_t *extent; /* of no list meanwhile: nobody else takes it */
	char *missing;   /* beside it */
	size_t missing_bytes;
};

/* Chooses one of the thread's arena, the largest beside which enough addresses seem to be free.
   False where there is none. */
bool heap_extend_begin(tsdn_t *tsdn, const struct heap_request *request,
                       struct heap_extension *extension);

/* Maps what is missing. False where the system or the budget refuses that. */
bool heap_extend_map(tsdn_t *tsdn, struct heap_extension *extension);

/* The extent is free again, whatever came of it. */
void heap_extend_end(tsdn_t *tsdn, struct heap_extension *extension);

#endif
