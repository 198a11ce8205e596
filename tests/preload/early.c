/* SPDX-License-Identifier: BSD-2-Clause */
/* Preloaded behind the library, and so set up before it: what its constructor allocates is what the
   heap serves first. */
#include <errno.h>
#include <stdlib.h>

#include "check.h"

__attribute__((visibility("default"))) int early_errno;

__attribute__((constructor)) static void early(void)
{
	void *volatile block;

	errno = ERRNO_UNTOUCHED;
	block = malloc(100);
	early_errno = block ? errno : 0;
	free(block);
}
