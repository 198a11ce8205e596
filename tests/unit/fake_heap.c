/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake_heap.h"

#include <pthread.h>
#include <unistd.h>

#include "base/base.h"
#include "reclaim/reserve.h"

#define TRACE_MAX 8192
#define RESERVE_BYTES ((size_t)64 << 10)

char fake_heap_block[1], fake_heap_reserve_block[1];
int fake_heap_reserve_error, fake_heap_arena_error;
atomic_uint fake_heap_arena_calls, fake_heap_arena_pause_ms;
size_t fake_heap_reserve_bytes;
bool fake_heap_is_reentrant;
bool fake_heap_has_lists;
bool fake_heap_merges, fake_heap_lends, fake_heap_has_dirty = true, fake_heap_has_cached = true;
unsigned fake_heap_evictions, fake_heap_again;
size_t fake_heap_evict_bytes;
atomic_size_t fake_heap_evictable = SIZE_MAX;
const struct heap_stats *fake_heap_stats;
unsigned fake_heap_group, fake_heap_group_refuser, fake_heap_group_evictions;
enum constraint fake_heap_budget_refuser = CONSTRAINT_NONE;
void (*fake_heap_on_group_evict)(void);
atomic_int fake_heap_keeps;

/* All members are guarded by lock. */
static struct {
	pthread_mutex_t lock;
	unsigned fails;
	unsigned reserve_blocks;
	size_t events;
	char trace[TRACE_MAX + 1];
} heap = {.lock = PTHREAD_MUTEX_INITIALIZER};

static __thread uint64_t allocated_bytes, freed_bytes;

/* With the lock held. What does not fit is lost: no test looks that far. */
static void note(char event)
{
	if (heap.events < TRACE_MAX)
		heap.trace[heap.events++] = event;
}

void fake_heap_note(char event)
{
	pthread_mutex_lock(&heap.lock);
	note(event);
	pthread_mutex_unlock(&heap.lock);
}

const char *fake_heap_trace(void)
{
	return heap.trace;
}

unsigned fake_heap_count(char event)
{
	unsigned count = 0;

	pthread_mutex_lock(&heap.lock);
	for (size_t i = 0; i < heap.events; i++)
		count += heap.trace[i] == event;
	pthread_mutex_unlock(&heap.lock);
	return count;
}

void fake_heap_clear_trace(void)
{
	pthread_mutex_lock(&heap.lock);
	for (size_t i = 0; i < heap.events; i++)
		heap.trace[i] = '\0';
	heap.events = 0;
	pthread_mutex_unlock(&heap.lock);
}

void fake_heap_fail(unsigned attempts)
{
	pthread_mutex_lock(&heap.lock);
	heap.fails = attempts;
	pthread_mutex_unlock(&heap.lock);
}

void fake_heap_freed(size_t bytes)
{
	freed_bytes += bytes;
}

void fake_heap_allocated(size_t bytes)
{
	allocated_bytes += bytes;
}

void fake_heap_fill_reserve(unsigned blocks)
{
	if (reserve_bytes() == 0) {
		reserve_init(RESERVE_BYTES);
		reserve_want_arena();
	}
	pthread_mutex_lock(&heap.lock);
	heap.reserve_blocks += blocks;
	pthread_mutex_unlock(&heap.lock);
}

/* ---- The table ---- */

static void init(void)
{
}

static void *alloc(const struct heap_request *request)
{
	void *memory = NULL;

	(void)request;
	pthread_mutex_lock(&heap.lock);
	note('a');
	if (heap.fails == 0)
		memory = fake_heap_block;
	else if (heap.fails != FAKE_HEAP_ALWAYS)
		heap.fails--;
	pthread_mutex_unlock(&heap.lock);
	return memory;
}

/* An M in front of it, where there is something to move. */
static void *alloc_moved(const struct heap_request *request)
{
	if (request->old != NULL)
		fake_heap_note('M');
	return alloc(request);
}

static void *alloc_again(const struct heap_request *request)
{
	fake_heap_again++;
	return alloc(request);
}

static bool end_lists(void)
{
	bool had_lists = fake_heap_has_lists;

	fake_heap_has_lists = false;
	return had_lists;
}

static bool flush_thread(void)
{
	fake_heap_note('f');
	return fake_heap_has_cached;
}

static size_t evictable(void)
{
	return fake_heap_evictable;
}

static void count_evictable(void)
{
	fake_heap_note('c');
}

static void purge(enum group_keeps keeps)
{
	fake_heap_keeps = keeps;
	fake_heap_note('p');
}

static bool compact(const struct heap_request *request)
{
	(void)request;
	if (fake_heap_merges)
		fake_heap_note('m');
	return fake_heap_merges;
}

static void *borrow(const struct heap_request *request)
{
	(void)request;
	if (!fake_heap_lends)
		return NULL;
	fake_heap_note('b');
	return fake_heap_block;
}

#define EVICTED_BYTES 4096

static size_t evict(const struct heap_request *request, size_t bytes, enum group_keeps keeps)
{
	(void)request;
	fake_heap_keeps = keeps;
	fake_heap_evict_bytes = bytes;
	if (bytes == SIZE_MAX) {
		if (fake_heap_has_dirty)
			fake_heap_note('p');
		return fake_heap_has_dirty ? EVICTED_BYTES : 0;
	}
	if (fake_heap_evictions == 0)
		return 0;
	fake_heap_evictions--;
	fake_heap_note('e');
	return EVICTED_BYTES;
}

static bool is_reentrant(void)
{
	return fake_heap_is_reentrant;
}

static bool is_ours(const void *memory)
{
	return memory == fake_heap_block || memory == fake_heap_reserve_block;
}

static void thread_counters(uint64_t *allocated, uint64_t *freed)
{
	*allocated = allocated_bytes;
	*freed = freed_bytes;
}

static bool stats(struct heap_stats *to)
{
	if (fake_heap_stats != NULL)
		*to = *fake_heap_stats;
	return fake_heap_stats != NULL;
}

static void print_stats(void (*put)(void *arg, const char *text), void *arg)
{
	put(arg, "{\"fake\":");
	put(arg, "true}\n");
}

static bool dump_profile(const char *path, int (*open_file)(const char *path))
{
	static const char text[] = "heap_v2/524288\n";
	int fd = open_file(path);
	ssize_t written;

	if (fd < 0)
		return false;
	written = write(fd, text, sizeof text - 1);
	close(fd);
	return written == sizeof text - 1;
}

static int reserve_map(size_t bytes)
{
	fake_heap_reserve_bytes = bytes;
	return fake_heap_reserve_error;
}

static int reserve_make_arena(void)
{
	fake_heap_arena_calls++;
	pause_ns(fake_heap_arena_pause_ms * NSEC_PER_MSEC);
	fake_heap_arena_pause_ms = 0;
	return fake_heap_arena_error;
}

static bool reserve_has_arena(void)
{
	return fake_heap_arena_calls > 0 && fake_heap_arena_error == 0;
}

static void reserve_give(void)
{
	fake_heap_note('g');
}

static void *reserve_alloc_block(const struct heap_request *request)
{
	void *memory = NULL;

	(void)request;
	pthread_mutex_lock(&heap.lock);
	note('r');
	if (heap.reserve_blocks > 0) {
		heap.reserve_blocks--;
		memory = fake_heap_reserve_block;
	}
	pthread_mutex_unlock(&heap.lock);
	return memory;
}

static unsigned group_current(void)
{
	return fake_heap_group;
}

static bool group_enter(unsigned slot)
{
	fake_heap_group = slot;
	return true;
}

static unsigned group_refuser_of_fake(void)
{
	return fake_heap_group_refuser;
}

static enum constraint budget_refuser_of_fake(void)
{
	return fake_heap_budget_refuser;
}

static size_t group_allocated(unsigned slot)
{
	return slot * 1000;
}

static size_t group_evict(unsigned slot, size_t bytes, enum group_keeps keeps)
{
	(void)slot;
	fake_heap_keeps = keeps;
	if (fake_heap_group_evictions == 0)
		return 0;
	fake_heap_group_evictions--;
	fake_heap_note('g');
	if (fake_heap_on_group_evict != NULL)
		fake_heap_on_group_evict();
	return bytes;
}

const struct heap_ops heap_ops = {
	.init = init,
	.alloc = alloc,
	.alloc_again = alloc_again,
	.alloc_moved = alloc_moved,
	.evictable = evictable,
	.count_evictable = count_evictable,
	.end_lists = end_lists,
	.flush_thread = flush_thread,
	.purge = purge,
	.compact = compact,
	.borrow = borrow,
	.evict = evict,
	.is_reentrant = is_reentrant,
	.is_ours = is_ours,
	.thread_counters = thread_counters,
	.stats = stats,
	.print_stats = print_stats,
	.dump_profile = dump_profile,
	.reserve_map = reserve_map,
	.reserve_make_arena = reserve_make_arena,
	.reserve_give = reserve_give,
	.reserve_has_arena = reserve_has_arena,
	.reserve_alloc = reserve_alloc_block,
	.group_current = group_current,
	.group_enter = group_enter,
	.group_refuser = group_refuser_of_fake,
	.budget_refuser = budget_refuser_of_fake,
	.group_evict = group_evict,
	.group_allocated = group_allocated,
	.max_bytes = PTRDIFF_MAX,
};

/* fork() has nothing to lock here. */
void heap_fork_prepare(void)
{
}

void heap_fork_parent(void)
{
}

void heap_fork_child(void)
{
}
