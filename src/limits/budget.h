/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A limit of our own on what the heap maps: the settings limit:SIZE and limit:auto. Counting goes
 * on without one, so that a limit can be set at any time.
 *
 * Called by pages.c with the heap's locks held: nothing here allocates, waits for long, or calls
 * the heap. errno is left alone.
 */
#ifndef OOM_BUDGET_H
#define OOM_BUDGET_H

#include "limits/constraint.h"
#include "oomreclaim.h"

/* Takes over the settings. Called whenever they have been read. on_high is called, with locks of
   the heap held, when a charge that is committed goes above the watermark. */
void budget_init(void (*on_high)(void));

/* True if `bytes` more may be mapped; they count from then on. */
bool budget_charge(size_t bytes);

/* This thread's charges go beyond the limit, if need be, until the opposite: for what cannot be
   refused. By an eighth at most; and the total is not passed over. Returns what it was. */
bool budget_force(bool force);

/* What refused the last charge that this thread was refused: BUDGET, TOTAL or CGROUP. */
enum constraint budget_refuser(void);

/* What became of such a charge, as in the kernel's memory controller: the heap has what it is for,
   or never got it. Only the former counts for the peak and for the watermark, and a child of fork()
   is charged for the former alone: the child does not have the thread that would take back the
   latter. */
void budget_commit_charge(size_t bytes);
void budget_cancel_charge(size_t bytes);

/* Of what was committed. */
void budget_uncharge(size_t bytes);

/* limit:auto is read again at once, and which processes have a part in the total: after a kill, and
   before one, a reading of some milliseconds ago won't do. May wait for another thread's reading,
   for about a second, so the heap's locks must not be held here. */
void budget_refresh(void);

/* The same where the last reading is some milliseconds old; waits for nobody. */
void budget_reread(void);

/* What stands in the way of `bytes` more: BUDGET, TOTAL, CGROUP, or NONE. */
enum constraint budget_constraint(size_t bytes);

/* The limit as last read, SIZE_MAX if there is none, and which it is: BUDGET or CGROUP. */
size_t budget_ceiling(enum constraint *constraint);

/* True with limit:auto: the cgroup is read here. */
bool budget_is_auto(void);

/* No request above it can succeed; SIZE_MAX if there is no limit. */
size_t budget_max_bytes(void);

/* The limit in place of the settings' limit:SIZE and limit:auto. Reclaims nothing. */
void budget_set_limit(size_t bytes);

/* The watermark in place of the settings' high. Wakes oomreclaimd where the charge is above it. */
struct watermark;
void budget_set_high(const struct watermark *watermark);

/* Watermarks, by the settings high and low. How far above the low one; 0 if below, or if there is
   none. */
size_t budget_above_low(void);

/* The watermarks high and low in bytes; SIZE_MAX: none is set. */
void budget_watermarks(size_t *high_bytes, size_t *low_bytes);

/* oomreclaimd has done what it could; the watermark high wakes it again. is_below: the charge is
   below low now. */
void budget_watermark_done(bool is_below);

/* A callback was called directly and something came of it: so oomreclaimd may find something, too.
   As the kernel forgets kswapd_failures. */
void budget_reclaimed(void);

/* Bytes counted. */
size_t budget_charged(void);

/* The bytes that may still be charged before the limit, as last read, and before the total. */
size_t budget_room(void);

/* The bytes charged above the limit: the limit was lowered, or others in the cgroup have grown. */
size_t budget_excess(void);

void budget_fork_child(void);

#endif
