/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/base.h"
#include "oomreclaim.h"

#define STRING_OF(x) #x
#define STRING(x) STRING_OF(x)

OOM_EXPORT const char *oomreclaim_version(void)
{
	return STRING(OOMRECLAIM_VERSION_MAJOR) "." STRING(OOMRECLAIM_VERSION_MINOR) "." STRING(
		OOMRECLAIM_VERSION_PATCH);
}
