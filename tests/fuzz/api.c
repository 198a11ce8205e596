/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sequences of calls, two bytes each: what to do, and with what. Callbacks do the like. A list of
 * our own says which callbacks are registered, and what has been counted.
 */
#include <errno.h>
#include <string.h>

#include "config/options.h"
#include "fake_heap.h"
#include "fuzz.h"
#include "ladder/ladder.h"
#include "limits/budget.h"
#include "support.h"

#define SLOTS 8
#define DEPTH_MAX 3
#define CALLS_MAX 200 /* in one input: callbacks that register callbacks go on for ever */

static struct slot {
	oomreclaim_handle handle; /* 0: nobody */
	uint8_t behaviour;
	uint64_t calls;
	uint64_t claimed_bytes;
	int inside;
} slots[SLOTS];

static const uint8_t *input;
static size_t left;
static unsigned depth, calls;
static size_t charged;

static uint8_t take(void)
{
	if (left == 0)
		return 0;
	left--;
	return *input++;
}

static void do_one(void);

static size_t callback(const struct oomreclaim_control *control, void *arg)
{
	struct slot *slot = arg;
	size_t claimed = slot->behaviour % 4 * 1000;

	/* Never after unregister, never twice at once. */
	MUST(slot->handle != 0 && slot->inside == 0);
	MUST(control->bytes_wanted > 0 && control->struct_size == sizeof *control);
	slot->inside = 1;
	errno = EIO;
	if (slot->behaviour & 4)
		fake_heap_freed(100);
	if (calls++ < CALLS_MAX && depth < DEPTH_MAX && (slot->behaviour & 8)) {
		depth++;
		do_one();
		depth--;
	}
	slot->inside = 0;
	/* It may have unregistered itself. */
	if (slot->handle != 0) {
		slot->calls++;
		slot->claimed_bytes += claimed;
	}
	return calls < CALLS_MAX ? claimed : 0;
}

static size_t count_any(const struct oomreclaim_control *control, void *arg)
{
	const struct slot *slot = arg;

	MUST(slot->handle != 0 && slot->inside == 0 && control->bytes_wanted > 0);
	errno = EIO;
	/* OOMRECLAIM_STOP, and counts that can't be, among them. */
	return (size_t)(int8_t)take();
}

static int enlist(struct slot *slot, int priority, unsigned flags)
{
	const struct oomreclaim_shrinker shrinker = {.name = "fuzz",
	                                             .priority = priority,
	                                             .flags = flags,
	                                             .count = count_any,
	                                             .scan = callback,
	                                             .arg = slot,
	                                             .cost = 1U + slot->behaviour,
	                                             .batch = slot->behaviour};

	if ((slot->behaviour & 16) == 0)
		return oomreclaim_register("fuzz", priority, flags, callback, slot, &slot->handle);
	return oomreclaim_shrinker_register(&shrinker, sizeof shrinker, &slot->handle);
}

static void do_register(uint8_t with)
{
	struct slot *slot = &slots[with % SLOTS];
	/* Of both kinds, and neither. */
	unsigned flags = with >> 3 & 3;
	int error;

	/* Its call goes on, though it is not registered any more. */
	if (slot->handle != 0 || slot->inside)
		return;
	slot->behaviour = take();
	slot->calls = slot->claimed_bytes = 0;
	error = enlist(slot, (int8_t)with, flags);
	MUST(error == (flags == 3 ? EINVAL : 0));
	MUST((slot->handle != 0) == (error == 0));
}

static void do_unregister(uint8_t with)
{
	struct slot *slot = &slots[with % SLOTS];
	int error = oomreclaim_unregister(slot->handle);

	MUST(error == (slot->handle != 0 ? 0 : EINVAL));
	slot->handle = 0;
}

static void do_descend(uint8_t with)
{
	const struct heap_request request = {
		.size = (size_t)1 << (with & 31),
		.alignment = with & 32 ? 64 : 0,
		.is_arena_explicit = with & 64,
	};
	void *memory;

	fake_heap_fail(with & 128 ? FAKE_HEAP_ALWAYS : with & 7);
	errno = ERRNO_UNTOUCHED;
	memory = ladder_descend(&request);
	MUST(errno == (memory != NULL ? ERRNO_UNTOUCHED : ENOMEM));
	MUST(memory == NULL || memory == fake_heap_block || memory == fake_heap_reserve_block);
}

static void do_stats(uint8_t with)
{
	const struct slot *slot = &slots[with % SLOTS];
	struct oomreclaim_callback_stats stats = {.calls = 0};
	int error = oomreclaim_callback_stats(slot->handle, &stats, with >> 3);

	MUST(error == (slot->handle != 0 ? 0 : EINVAL));
	if (error == 0 && !slot->inside && with >> 3 >= 8)
		MUST(stats.calls == slot->calls);
}

static void do_budget(uint8_t with)
{
	size_t bytes = (size_t)with << 12;

	if (with & 1) {
		if (budget_charge(bytes)) {
			budget_commit_charge(bytes);
			charged += bytes;
		}
	} else if (charged >= bytes) {
		budget_uncharge(bytes);
		charged -= bytes;
	}
	MUST(budget_charged() == charged);
}

static enum oomreclaim_policy decide(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)verdict;
	(void)arg;
	errno = EIO;
	return take() & 1 && calls++ < CALLS_MAX ? OOMRECLAIM_POLICY_RETRY
	                                         : OOMRECLAIM_POLICY_RETURN;
}

static void do_one(void)
{
	uint8_t with;

	if (left < 2)
		return;
	with = input[1];
	switch (take() % 10) {
	case 0 ... 1:
		take();
		do_register(with);
		return;
	case 2:
		do_unregister(with);
		break;
	case 3 ... 4:
		take();
		do_descend(with);
		return;
	case 5:
		errno = ERRNO_UNTOUCHED;
		oomreclaim_reclaim((size_t)with * 100);
		MUST(errno == ERRNO_UNTOUCHED);
		break;
	case 6:
		/* NOFAIL would wait. */
		oomreclaim_scope_restore(with & ~(unsigned)OOMRECLAIM_SCOPE_NOFAIL);
		break;
	case 7:
		do_stats(with);
		break;
	case 8:
		do_budget(with);
		break;
	case 9:
		if (with & 1)
			oomreclaim_set_limit((size_t)with << 16);
		else
			oomreclaim_set_policy_callback(with & 2 ? decide : NULL, NULL);
	}
	take();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	support_init();
	fake_heap_fill_reserve(1);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = data;
	left = size;
	calls = depth = 0;
	while (left >= 2)
		do_one();
	left = 0;
	oomreclaim_set_policy_callback(NULL, NULL);
	oomreclaim_scope_restore(0);
	for (uint8_t i = 0; i < SLOTS; i++)
		do_unregister(i);
	budget_uncharge(charged);
	charged = 0;
	oomreclaim_set_limit(SIZE_MAX);
	fake_heap_clear_trace();
	return 0;
}
