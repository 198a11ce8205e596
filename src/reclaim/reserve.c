/* SPDX-License-Identifier: BSD-2-Clause */
#include "reclaim/reserve.h"

/* Written once, before main(), by the only thread there is. */
static size_t reserved;

int reserve_init(size_t bytes)
{
	int error = bytes == 0 ? 0 : heap_ops.reserve_create(bytes);

	if (error == 0)
		reserved = bytes;
	return error;
}

void *reserve_alloc(const struct heap_request *request)
{
	/* A larger one can't be in there; and rounding it up could wrap. */
	if (reserved == 0 || request->size > reserved)
		return NULL;
	return heap_ops.reserve_alloc(request);
}

size_t reserve_bytes(void)
{
	return reserved;
}
