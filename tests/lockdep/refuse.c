/* SPDX-License-Identifier: BSD-2-Clause */
/* To be preloaded: the kernel unmaps nothing, as where the process has vm.max_map_count
   mappings. */
#include <errno.h>
#include <stddef.h>

int munmap(void *address, size_t length);
int munmap(void *address, size_t length)
{
	(void)address, (void)length;
	errno = ENOMEM;
	return -1;
}
