/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What oomreclaimd does for programs that want to know how much room there is: it keeps up to date
 * what oomreclaim_headroom() says, and calls the callbacks that are to be told when there is room
 * again.
 */
#ifndef OOM_ROOM_H
#define OOM_ROOM_H

#include <stdatomic.h>

#include "base/base.h"

/* While it is asked again and again, and while it is not: how old what the kernel knows may be. */
#define ROOM_INTERVAL_MS 100
#define ROOM_IDLE_MS 1000

/* Somebody has asked since the last look, and what the kernel knows has been read. Release,
   acquire: a thread that sees it sees what was read. */
extern atomic_bool room_asked;

static inline bool room_is_asked(void)
{
	return atomic_load_explicit(&room_asked, memory_order_acquire);
}

/* Notes that it is asked. The first time, reads what is not known yet, or waits for the thread that
   does, and calls for oomreclaimd. */
void room_ask(void);

/* A callback is to be told, or something else needs room_look() from now on. Next to nothing but
   for the first time in a process. */
void room_want(void);

/* True if room_look() is needed. */
bool room_is_wanted(void);

/* Milliseconds until room_look() is due; -1: it is not needed. */
int room_due_ms(void);

/* On oomreclaimd, inside the ladder, once it is due. */
void room_look(void);

/* Where there is no such thread yet: only refreshes, if that is due. */
void room_stand_in(void);

/* The first question in a child calls for its thread: a child that maps nothing has no other
   call. */
void room_fork_child(void);

/* ---- When a callback is told ---- */

/* What was seen. */
struct room_state {
	uint64_t rounds;     /* of reclaim, by then */
	uint64_t changed_ns; /* when that was seen to grow */
	bool is_owed;        /* there has been reclaim since they were told last */
};

/* Takes over what is seen now. True where they are to be told, once: there was reclaim, there has
   been none for a while, and an eighth of the nearest limit is free. */
bool room_has_come(struct room_state *state, uint64_t rounds, size_t headroom_bytes,
                   size_t ceiling_bytes, uint64_t at_ns);

#endif
