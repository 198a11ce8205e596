/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that wait for a word to change, of this process or of a mapping that several share: with
 * no lock, so that a signal handler may do so as well, and with no descriptor. errno is left alone,
 * and nothing here is a cancellation point.
 */
#ifndef OOM_FUTEX_H
#define OOM_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

/* Sleeps while the word has that value, not longer than that; 0 ns: for ever. May come back
   earlier. */
void futex_wait(atomic_uint *word, unsigned value, uint64_t wait_ns);

/* Until the word is 0, which is soon, and which nobody announces. Any other thread may have the
   processor meanwhile: to yield it gives way to none of a lower real-time priority. */
void futex_wait_zero(atomic_uint *word);

/* Wakes all that sleep on it. */
void futex_wake(atomic_uint *word);

#endif
