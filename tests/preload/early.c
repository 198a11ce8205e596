/* SPDX-License-Identifier: BSD-2-Clause */
/* Preloaded behind the library, and so set up before it: what its constructor allocates is what the
   heap serves first. With EARLY_CONTROL in the environment it uses jemalloc's control interface as
   well. */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "je.h"

__attribute__((visibility("default"))) int early_errno;

__attribute__((constructor)) static void early(void)
{
	uint64_t epoch = 1;
	void *volatile block;

	errno = ERRNO_UNTOUCHED;
	block = malloc(100);
	early_errno = block ? errno : 0;
	free(block);
	if (getenv("EARLY_CONTROL") && mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch)) != 0)
		abort();
}
