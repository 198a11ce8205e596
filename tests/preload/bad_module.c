/* SPDX-License-Identifier: BSD-2-Clause */
/* Modules that are wrong, one for each way: -DCRASH and so on. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "oomreclaim_module.h"

#if defined CRASH || defined EXIT || defined HANG
__attribute__((constructor)) static void start(void)
{
#if defined CRASH
	__builtin_trap();
#elif defined EXIT
	_exit(0);
#else
	pause();
#endif
}
#endif

#if defined NO_ABI
__attribute__((visibility("default"))) int oomreclaim_module_init(const char *argument);
#else
#if defined OTHER_ABI
#undef OOMRECLAIM_MODULE_ABI
#define OOMRECLAIM_MODULE_ABI 4711U
#endif
OOMRECLAIM_MODULE_C __attribute__((visibility("default"))) const unsigned oomreclaim_module_abi;
const unsigned oomreclaim_module_abi = OOMRECLAIM_MODULE_ABI;
__attribute__((visibility("default"))) int oomreclaim_module_init(const char *argument);
#endif

#if defined MISSING
void there_is_no_such_function(void);
#endif

int oomreclaim_module_init(const char *argument)
{
	(void)argument;
#if defined MISSING
	there_is_no_such_function();
#endif
	return EINVAL;
}
