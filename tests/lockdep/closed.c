/* SPDX-License-Identifier: BSD-2-Clause */
/* A library with a lock of its own, to be closed. */
#include <pthread.h>

extern pthread_mutex_t closed_lock;

pthread_mutex_t closed_lock = PTHREAD_MUTEX_INITIALIZER;
