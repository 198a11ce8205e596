/* SPDX-License-Identifier: BSD-2-Clause */
/* What the fuzz targets share: one input is a call of LLVMFuzzerTestOneInput(). */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Not assert(): it has to be there in a build without them as well. */
#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
