/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of total.h and total_ask.h share. */
#ifndef OOM_TOTAL_INSIDE_H
#define OOM_TOTAL_INSIDE_H

#include "limits/total.h"

/* What is mapped, and what was found in it at the start: nobody may change that later. */
struct total_map {
	struct total *total; /* NULL: none */
	uint64_t limit;
	uint64_t id;
};
extern struct total_map total_map;

/* In /proc/PID/stat it is a process that lives, and the one that the word means. Where that can't
   be read it lives as long as kill() knows the pid. is_thorough: reads the file. */
bool total_is_alive(uint64_t owner, bool is_thorough);

/* Frees what has ended. */
void total_reap_slots(bool is_thorough);

/* What nobody but a forger can have written is found: this process leaves. */
void total_leave(const char *problem);

/* 0 or more: what it counts for. */
static inline uint64_t total_charge_of(struct total_slot *slot)
{
	int64_t own = atomic_load(&slot->own);

	return own > 0 ? (uint64_t)own : 0;
}

static inline bool total_is_counted(struct total_slot *slot)
{
	uint64_t owner = atomic_load(&slot->owner);

	return owner != 0 && (owner & TOTAL_TAKING) == 0;
}

static inline int total_pid_of(uint64_t owner)
{
	return (int)(owner & (((uint64_t)1 << TOTAL_PID_BITS) - 1));
}

static inline unsigned total_used(void)
{
	unsigned used = atomic_load(&total_map.total->used);

	return used < TOTAL_SLOTS ? used : TOTAL_SLOTS;
}

#endif
