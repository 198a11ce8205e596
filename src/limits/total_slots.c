/* SPDX-License-Identifier: BSD-2-Clause */
#include "limits/total_slots.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base/base.h"
#include "limits/total_inside.h"
#include "system/proc_life.h"

/* Slots of this number are scanned for each charge without being felt: above it those that are free
   again are looked for first. */
#define USED_FEW 16
#define REAP_NS (5 * NSEC_PER_MSEC)

static uint64_t owner_of(pid_t pid, uint64_t start_time)
{
	return (start_time << TOTAL_PID_BITS | (uint64_t)pid) & ~TOTAL_TAKING;
}

bool total_is_alive(uint64_t owner, bool is_thorough)
{
	int saved = errno, pid = total_pid_of(owner);
	struct proc_life life;
	bool is_gone;

	/* Another user's process is there as well. */
	is_gone = pid == 0 || (kill(pid, 0) != 0 && errno == ESRCH);
	errno = saved;
	if (is_gone || !is_thorough || !proc_life(pid, &life))
		return !is_gone;
	return !life.has_ended && owner_of(pid, life.start_time) == (owner & ~TOTAL_TAKING);
}

/* At most as often as there are slots: each is freed or not, and none is waited for. */
void total_reap_slots(bool is_thorough)
{
	struct total_slot *slots = total_map.total->slot;

	for (unsigned i = 0; i < total_used(); i++) {
		uint64_t owner = atomic_load(&slots[i].owner);

		/* By now another process may have it. */
		if (owner != 0 && !total_is_alive(owner, is_thorough))
			atomic_compare_exchange_strong(&slots[i].owner, &owner, 0);
	}
}

OOM_NOINLINE void total_reap(bool is_forced)
{
	static _Atomic uint64_t reaped_ns; /* relaxed: a hint */
	struct total_slot *slot = total_slot();
	struct proc_life self;
	int cancel_state;

	if (slot == NULL ||
	    (!is_forced &&
	     now_ns() - atomic_load_explicit(&reaped_ns, memory_order_relaxed) < REAP_NS))
		return;
	atomic_store_explicit(&reaped_ns, now_ns(), memory_order_relaxed);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	/* After a chroot() /proc may be another's. */
	total_reap_slots(proc_life(0, &self) &&
	                 owner_of(getpid(), self.start_time) == atomic_load(&slot->owner));
	pthread_setcancelstate(cancel_state, NULL);
}

/* ---- Taking one ---- */

static bool try_take(struct total_slot *slot, uint64_t before, uint64_t owner)
{
	if (!atomic_compare_exchange_strong(&slot->owner, &before, owner | TOTAL_TAKING))
		return false;
	atomic_store(&slot->own, 0);
	atomic_store(&slot->pending, 0);
	atomic_store(&slot->wanted, 0);
	atomic_store(&slot->calls, 0);
	atomic_store(&slot->has_thread, 0);
	atomic_store(&slot->is_silent, 0);
	atomic_store(&slot->answered, atomic_load(&slot->asked));
	/* From here on it counts. */
	atomic_store(&slot->owner, owner);
	return true;
}

/* With what it had before an exec(). */
static struct total_slot *take_own(uint64_t owner)
{
	struct total_slot *slots = total_map.total->slot;

	for (unsigned i = 0; i < total_used(); i++) {
		uint64_t now = atomic_load(&slots[i].owner);

		if (now != 0 && (now & ~TOTAL_TAKING) == owner && try_take(&slots[i], now, owner))
			return &slots[i];
	}
	return NULL;
}

static struct total_slot *take_free(uint64_t owner)
{
	struct total_slot *slots = total_map.total->slot;

	for (unsigned i = 0; i < total_used(); i++)
		if (atomic_load(&slots[i].owner) == 0 && try_take(&slots[i], 0, owner))
			return &slots[i];
	return NULL;
}

static struct total_slot *take_next(uint64_t owner)
{
	struct total *total = total_map.total;
	unsigned used = total_used();

	while (used < TOTAL_SLOTS)
		/* First it is within what is scanned, then it is taken. */
		if (atomic_compare_exchange_strong(&total->used, &used, used + 1) &&
		    try_take(&total->slot[used], 0, owner))
			return &total->slot[used];
	return NULL;
}

struct total_slot *total_slot_take(const char **reason)
{
	struct total_slot *slot;
	struct proc_life self;
	uint64_t owner;

	if (!proc_life(0, &self)) {
		*reason = "it is of another pid namespace, or /proc can't be read";
		return NULL;
	}
	owner = owner_of(getpid(), self.start_time);
	slot = take_own(owner);
	if (slot == NULL && total_used() >= USED_FEW)
		total_reap_slots(false);
	if (slot == NULL)
		slot = take_free(owner);
	if (slot == NULL)
		slot = take_next(owner);
	if (slot != NULL)
		return slot;
	total_reap_slots(true);
	slot = take_free(owner);
	/* Once for all processes: there may be thousands of them. */
	if (slot == NULL && atomic_exchange(&total_map.total->is_full_noted, 1) == 0)
		*reason = "it has as many processes as it has room for";
	return slot;
}
