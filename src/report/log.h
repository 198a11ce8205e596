/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file of the setting `log`. Other users may be able to write to its directory: no link is
 * followed, another user's file is left alone, and a new file is for this user's eyes only.
 */
#ifndef OOM_LOG_H
#define OOM_LOG_H

#include <stddef.h>

/* Appends the text. 0, or -errno: -ENXIO for a FIFO without a reader, -ELOOP for a link, and -EPERM
   for another user's file. */
int log_write(const char *text, size_t bytes);

/* The error that log_write() would come to as things stand, without making the file or opening
   it. */
int log_check(void);

#endif
