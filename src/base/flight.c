/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/flight.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/stack.h"

/* Acquire and release: what it points to is mapped. */
static _Atomic(struct flight *) recorder;

void flight_begin(struct flight *flight)
{
	atomic_store_explicit(&recorder, flight, memory_order_release);
}

static void copy_event(struct flight_event *to, const struct flight_event *from)
{
	uint64_t number = atomic_load_explicit(&from->number, memory_order_acquire);

	if (number == FLIGHT_BUSY)
		return;
	to->time_ns = from->time_ns;
	to->bytes = from->bytes;
	to->more = from->more;
	to->thread = from->thread;
	to->kind = from->kind;
	to->detail = from->detail;
	memcpy(to->name, from->name, sizeof to->name);
	/* What another thread has begun to write meanwhile is not that event any more. */
#ifndef __SANITIZE_THREAD__ /* which knows no fence */
	atomic_thread_fence(memory_order_acquire);
#endif
	if (atomic_load_explicit(&from->number, memory_order_relaxed) == number)
		atomic_store_explicit(&to->number, number, memory_order_relaxed);
}

void flight_copy(struct flight *to, const struct flight *from)
{
	atomic_store_explicit(&to->count, atomic_load_explicit(&from->count, memory_order_relaxed),
	                      memory_order_relaxed);
	for (size_t i = 0; i < FLIGHT_EVENTS; i++)
		copy_event(&to->event[i], &from->event[i]);
}

static uint64_t time_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

/* Takes the next place; NULL if another thread is still at it. */
static struct flight_event *take(struct flight *flight, uint64_t *number)
{
	struct flight_event *event;
	uint64_t old;

	*number = atomic_fetch_add_explicit(&flight->count, 1, memory_order_relaxed) + 1;
	event = &flight->event[(*number - 1) % FLIGHT_EVENTS];
	old = atomic_load_explicit(&event->number, memory_order_relaxed);
	/* Acquire: the rest is not to be seen before. */
	if (old == FLIGHT_BUSY ||
	    !atomic_compare_exchange_strong_explicit(&event->number, &old, FLIGHT_BUSY,
	                                             memory_order_acq_rel, memory_order_relaxed))
		return NULL;
	return event;
}

OOM_NOINLINE void flight_note(enum flight_kind kind, unsigned detail, size_t bytes, size_t more,
                              const char *name)
{
	struct flight *flight = atomic_load_explicit(&recorder, memory_order_acquire);
	struct flight_event *event;
	uint64_t number;

	if (flight == NULL || (event = take(flight, &number)) == NULL)
		return;
	event->time_ns = time_ns();
	event->bytes = bytes;
	event->more = more;
	event->thread = gettid();
	event->kind = (uint16_t)kind;
	event->detail = (uint16_t)detail;
	memset(event->name, 0, sizeof event->name);
	if (name != NULL)
		memcpy(event->name, name, strnlen(name, FLIGHT_NAME_MAX));
	atomic_store_explicit(&event->number, number, memory_order_release);
}

/* Its file without the directories. */
static OOM_NOINLINE void note_place(enum flight_kind kind, unsigned detail, size_t size,
                                    const struct stack_frame *frame)
{
	const char *file = frame->file != NULL ? frame->file : "?", *slash = strrchr(file, '/');

	flight_note(kind, detail, size, frame->offset, slash != NULL ? slash + 1 : file);
}

/* Not more often: where every request fails, nothing else would be seen. Relaxed: a hint. */
#define STACKS_APART_NS (100 * NSEC_PER_MSEC)
static _Atomic uint64_t stack_ns;

OOM_NOINLINE void flight_note_stack(const void *caller)
{
	uint64_t now = now_ns(), before = atomic_load_explicit(&stack_ns, memory_order_relaxed);
	struct stack_frame frames[FLIGHT_FRAMES];
	unsigned count;

	if (atomic_load_explicit(&recorder, memory_order_relaxed) == NULL ||
	    now - before < STACKS_APART_NS ||
	    !atomic_compare_exchange_strong_explicit(&stack_ns, &before, now, memory_order_relaxed,
	                                             memory_order_relaxed))
		return;
	count = stack_walk(caller, frames, FLIGHT_FRAMES);
	for (unsigned i = 0; i < count; i++)
		note_place(FLIGHT_FRAME, i, 0, &frames[i]);
}

OOM_NOINLINE void flight_note_failure(size_t size, const void *caller)
{
	struct stack_frame place = {.file = NULL};

	if (atomic_load_explicit(&recorder, memory_order_relaxed) == NULL)
		return;
	stack_walk(caller, &place, 1);
	note_place(FLIGHT_FAILURE, 0, size, &place);
}
