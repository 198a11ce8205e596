/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file of the setting `log`. Somebody else may have a hand in its directory: no link is followed, what
 * is another user's is left alone, and what is made is for this user's eyes only.
 */
#ifndef OOM_LOG_H
#define OOM_LOG_H

#include <stddef.h>

/* Appends all of it. 0, or -errno: a FIFO without a reader is -ENXIO, a link -ELOOP, and -EPERM what
   another user has put there. */
int log_write(const char *text, size_t bytes);

/* The error that log_write() would come to as things stand, without making the file or opening it. */
int log_check(void);

#endif
