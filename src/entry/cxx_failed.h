/* SPDX-License-Identifier: BSD-2-Clause */
/* An operator new that has failed. Alignment 0: that of malloc(). */
#ifndef OOM_CXX_FAILED_H
#define OOM_CXX_FAILED_H

#include <stddef.h>

/* Memory after all, or it throws. */
void *cxx_failed(size_t size, size_t alignment);

/* Memory after all, or NULL. */
void *cxx_failed_nothrow(size_t size, size_t alignment);

#endif
