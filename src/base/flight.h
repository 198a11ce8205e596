/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The flight recorder: what has happened last on the failure path and in the background, in memory
 * that other processes can read (report/stats_layout.h). Off, and one look at a pointer, until
 * there is such memory.
 *
 * Nothing here allocates, waits or changes errno: it may be called with any lock held, and in a
 * signal handler.
 */
#ifndef OOM_FLIGHT_H
#define OOM_FLIGHT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define FLIGHT_EVENTS 256
#define FLIGHT_NAME_MAX 31

/* detail, bytes, more and name, as far as an event has them. */
enum flight_kind {
	FLIGHT_NONE,
	FLIGHT_FAILURE,        /* size, offset in the caller's file; name of that file */
	FLIGHT_STEP,           /* enum rung; size, bytes claimed so far */
	FLIGHT_CALLBACK_BEGIN, /* enum oomreclaim_reason; bytes wanted; name */
	FLIGHT_CALLBACK_END,   /* bytes claimed, nanoseconds; name */
	FLIGHT_VERDICT,        /* enum oomreclaim_outcome; size, victim's pid; constraint */
	FLIGHT_WATERMARK,      /* bytes charged, bytes above low */
	FLIGHT_PRESSURE,       /* bytes charged, bytes wanted */
	FLIGHT_KILL,           /* signal; resident bytes, pid */
	FLIGHT_FRAME,          /* number, from 0; offset in its file; name of that file */
	FLIGHT_CONTROL, /* whether it was refused; pid of the process that asked; the command */
	FLIGHT_GROUP,   /* bytes charged, its max; name of the group that has met it */
	FLIGHT_KINDS
};

struct flight_event {
	_Atomic uint64_t number; /* from 1; 0: none yet, FLIGHT_BUSY: being written */
	uint64_t time_ns;        /* CLOCK_REALTIME */
	uint64_t bytes;
	uint64_t more;
	int32_t thread;
	uint16_t kind;   /* enum flight_kind */
	uint16_t detail; /* see there */
	char name[FLIGHT_NAME_MAX + 1];
};
#define FLIGHT_BUSY UINT64_MAX

struct flight {
	_Atomic uint64_t count; /* of all events that there ever were */
	struct flight_event event[FLIGHT_EVENTS];
};

/* Where to write; NULL: nowhere. What was given once stays readable and writable until the next
   call. */
void flight_begin(struct flight *flight);

/* The events so far, to where flight_begin() will lead. Left out are those that are being written.
   `to` is all zeroes. */
void flight_copy(struct flight *to, const struct flight *from);

/* `name` may be NULL. The event is left out where another thread is still writing the event that
   had the same place, 256 events earlier. */
void flight_note(enum flight_kind kind, unsigned detail, size_t bytes, size_t more,
                 const char *name);

/* The stack above that caller, an event for each of up to FLIGHT_FRAMES frames. Not at every call:
   it takes some microseconds. */
#define FLIGHT_FRAMES 12
void flight_note_stack(const void *caller);

/* The ladder begins, for a request made from there; NULL: not known. */
void flight_note_failure(size_t size, const void *caller);

#endif
