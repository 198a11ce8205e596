/* SPDX-License-Identifier: BSD-2-Clause */
#include "fields.h"

/* Prometheus wants the unit at the end of a name, and _total behind that of a counter. */
#define BYTES(member, help)                                             \
	{                                                               \
#member, "oomreclaim_" #member "_bytes", "gauge", help, \
			offsetof(struct oomreclaim_stats, member)       \
	}
#define TOTAL(member, help)                                               \
	{                                                                 \
#member, "oomreclaim_" #member "_total", "counter", help, \
			offsetof(struct oomreclaim_stats, member)         \
	}

const struct field fields[] = {
	BYTES(heap_allocated, "Bytes in use by the program."),
	BYTES(heap_active, "Bytes in pages that hold blocks in use."),
	BYTES(heap_dirty, "Bytes freed and kept for the next allocation."),
	BYTES(heap_metadata, "Bytes that the allocator needs for itself."),
	BYTES(heap_resident, "Bytes of the heap in physical memory, at most."),
	BYTES(heap_mapped, "Bytes mapped by the heap and in use or kept."),
	BYTES(heap_retained, "Bytes of address space without memory."),
	BYTES(limit, "The limit of the heap; absent if there is none."),
	BYTES(charged, "Bytes that count against the limit."),
	BYTES(charged_peak, "The most bytes that have counted against the limit."),
	TOTAL(limit_times_met, "Mappings refused at the limit."),
	BYTES(high,
              "The watermark above which background reclaim begins; absent if there is none."),
	BYTES(low, "The watermark below which background reclaim ends; absent if there is none."),
	BYTES(reserve, "Bytes set aside for callbacks."),
	TOTAL(failures, "Requests that the heap refused at first."),
	TOTAL(served, "Failures that a later rung served."),
	TOTAL(refused, "Failures that ended in NULL."),
	TOTAL(impossible, "Failures beyond every limit."),
	TOTAL(own_reclaims, "Failures for which the allocator looked through what it has free."),
	TOTAL(flushes, "Flushes of a thread's cache for a failure."),
	TOTAL(compactions, "Compactions of free extents that may have helped."),
	TOTAL(borrows, "Failures that another arena served."),
	TOTAL(evictions, "Times about what a failure needed was given back to the system."),
	TOTAL(full_evictions, "Times everything was given back to the system for a failure."),
	TOTAL(reserve_uses, "Times the reserve was asked."),
	TOTAL(rounds, "Rounds of callbacks for failures, joined ones included."),
	TOTAL(timeouts, "Waits for another thread's callbacks that were given up."),
	TOTAL(policies, "Times the policy was asked."),
	TOTAL(kills, "Processes killed."),
	TOTAL(waits, "Sleeps of scope NOFAIL."),
	TOTAL(direct_rounds, "Rounds of callbacks by threads that needed the memory."),
	{"direct_bytes_claimed", "oomreclaim_direct_claimed_bytes_total", "counter",
         "Bytes that callbacks in direct rounds said they freed.",
         offsetof(struct oomreclaim_stats, direct_bytes_claimed)},
	{"direct_bytes_measured", "oomreclaim_direct_measured_bytes_total", "counter",
         "Bytes that the heap saw freed in direct rounds.",
         offsetof(struct oomreclaim_stats, direct_bytes_measured)},
	TOTAL(background_rounds, "Rounds of callbacks by oomreclaimd."),
	{"background_bytes_claimed", "oomreclaim_background_claimed_bytes_total", "counter",
         "Bytes that callbacks in background rounds said they freed.",
         offsetof(struct oomreclaim_stats, background_bytes_claimed)},
	{"background_bytes_measured", "oomreclaim_background_measured_bytes_total", "counter",
         "Bytes that the heap saw freed in background rounds.",
         offsetof(struct oomreclaim_stats, background_bytes_measured)},
	BYTES(purgeable, "Bytes of purgeable blocks that could be taken now."),
	{"purged", "oomreclaim_purged_bytes_total", "counter", "Bytes of purgeable blocks taken.",
         offsetof(struct oomreclaim_stats, purged)},
	BYTES(headroom, "Bytes that can still be allocated; absent if nothing is in the way."),
	{"level", "oomreclaim_level", "gauge",
         "How short memory is: 0 not, 50 low, 100 medium, 255 critical.",
         offsetof(struct oomreclaim_stats, level)},
	{"callbacks", "oomreclaim_callbacks", "gauge", "Callbacks registered.",
         offsetof(struct oomreclaim_stats, callbacks)},
};

const size_t fields_count = sizeof fields / sizeof fields[0];
