/* SPDX-License-Identifier: BSD-2-Clause */
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "lockdep/lockdep.h"

/* The table of locks, by address: a power of two. The kernel gives it pages as they are used. */
#define LOCKS_MAX (1U << 18)
#define PROBES_MAX 64

/* In place of an address in a record whose lock has ended. */
#define GONE ((uintptr_t)1)

struct lock {
	_Atomic(uintptr_t) address;
	_Atomic uint32_t class; /* the class plus one; 0: not known yet */
	_Atomic uint32_t epoch;
};

static struct lock locks[LOCKS_MAX];

/* A bit for each page that has locks, by the lower bits of the page's number. Memory that is freed
   on other pages need not be searched. */
#define PAGE_BITS 20
#define PAGE_SHIFT 12
static _Atomic uint64_t pages[(1U << PAGE_BITS) / WORD_BITS];

/* The key of each class, behind the pseudo-lock's: the address of a lock, the place where locks are
   initialised, or the handle of a callback. Changed under is_naming alone. */
static _Atomic(uintptr_t) keys[CLASSES_MAX];
static table_flag is_naming;
/* The bit of a callback's key. No address has it. */
#define KEY_CALLBACK ((uintptr_t)1 << 63)

static atomic_bool has_complained;

static void complain(const char *what)
{
	if (!atomic_exchange(&has_complained, true))
		io_warn("lock check: more %s than there is room for; some are not watched", what);
}

/* ---- Records ---- */

static uint32_t hash(uintptr_t key)
{
	return (uint32_t)((key >> 2) * 0x9e3779b97f4a7c15ULL >> 32);
}

static uintptr_t page_of(uintptr_t address)
{
	return (address >> PAGE_SHIFT) % (1U << PAGE_BITS);
}

static bool has_locks(uintptr_t page)
{
	uint64_t word = atomic_load_explicit(&pages[page / WORD_BITS], memory_order_relaxed);

	return (word >> (page % WORD_BITS) & 1) != 0;
}

static void note_lock(uintptr_t page)
{
	atomic_fetch_or(&pages[page / WORD_BITS], 1ULL << (page % WORD_BITS));
}

/* Two locks that were at one address, one after the other, never have the same epoch. */
static void renew(struct lock *lock)
{
	static atomic_uint epochs;

	atomic_store(&lock->epoch, 1 + atomic_fetch_add(&epochs, 1));
}

/* The lock's record. NULL: there is none, and *at is a free place for one, which held *was. */
static struct lock *probe(uintptr_t address, struct lock **at, uintptr_t *was)
{
	uint32_t begin = hash(address);

	*at = NULL;
	for (uint32_t i = 0; i < PROBES_MAX; i++) {
		struct lock *lock = &locks[(begin + i) % LOCKS_MAX];
		uintptr_t is = atomic_load(&lock->address);

		if (is == address)
			return lock;
		if ((is == 0 || is == GONE) && *at == NULL) {
			*at = lock;
			*was = is;
		}
		if (is == 0)
			break;
	}
	return NULL;
}

/* NULL if the lock has no record. */
static struct lock *find(const void *address)
{
	struct lock *at;
	uintptr_t was;

	return probe((uintptr_t)address, &at, &was);
}

/* NULL if the table has no room. Two threads that meet a lock for the first time at one moment may
   make two records. One release is then not seen. */
static struct lock *find_or_make(const void *address)
{
	struct lock *lock, *at;
	uintptr_t was;

	while ((lock = probe((uintptr_t)address, &at, &was)) == NULL && at != NULL)
		if (atomic_compare_exchange_strong(&at->address, &was, (uintptr_t)address)) {
			renew(at);
			note_lock(page_of((uintptr_t)address));
			return at;
		}
	if (lock == NULL)
		complain("locks");
	return lock;
}

uint32_t lock_epoch(const void *address)
{
	struct lock *lock = find_or_make(address);

	return lock != NULL ? atomic_load(&lock->epoch) : 0;
}

void lock_released_elsewhere(const void *address)
{
	struct lock *lock = find_or_make(address);

	if (lock != NULL)
		renew(lock);
}

/* ---- Classes ---- */

void table_lock(table_flag *flag)
{
	const pid_t own = getpid();
	pid_t is = 0;

	while (!atomic_compare_exchange_strong(flag, &is, own))
		if (is == own) {
			sched_yield();
			is = 0;
		}
}

void table_unlock(table_flag *flag)
{
	atomic_store(flag, 0);
}

/* True if the key has a class. *class is that class; else a free one, or CLASS_NONE where the table
   has no room. */
static bool look_up(uintptr_t key, uint32_t *class)
{
	uint32_t at = hash(key);

	*class = CLASS_NONE;
	for (uint32_t i = 0; i < PROBES_MAX; i++) {
		uint32_t here = CLASSES_PSEUDO + (at + i) % (CLASSES_MAX - CLASSES_PSEUDO);
		uintptr_t is = atomic_load(&keys[here]);

		if (is == key) {
			*class = here;
			return true;
		}
		if (*class == CLASS_NONE && (is == 0 || is == GONE))
			*class = here;
		if (is == 0)
			break;
	}
	return false;
}

static uint32_t class_of_key(uintptr_t key)
{
	uint32_t class;

	table_lock(&is_naming);
	if (!look_up(key, &class) && class != CLASS_NONE)
		atomic_store(&keys[class], key);
	table_unlock(&is_naming);
	if (class == CLASS_NONE)
		complain("classes of locks");
	return class;
}

static void free_class(uint32_t class)
{
	table_lock(&is_naming);
	atomic_store(&keys[class], GONE);
	table_unlock(&is_naming);
}

/* The edges of the class go with it. */
static void forget_class(uint32_t class)
{
	graph_forget(class);
	free_class(class);
}

bool class_is_callback(uint32_t class)
{
	return class == CLASS_RECLAIM || (atomic_load(&keys[class]) & KEY_CALLBACK) != 0;
}

const void *class_key(uint32_t class)
{
	return (const void *)atomic_load(&keys[class]);
}

uint32_t class_of_callback(oomreclaim_handle handle)
{
	return class_of_key((uintptr_t)handle | KEY_CALLBACK);
}

void class_retire_callback(oomreclaim_handle handle)
{
	uint32_t class;
	bool is_known;

	table_lock(&is_naming);
	is_known = look_up((uintptr_t)handle | KEY_CALLBACK, &class);
	table_unlock(&is_naming);
	if (!is_known)
		return;
	graph_retire(class);
	free_class(class);
}

uint32_t lock_class(const void *address)
{
	struct lock *lock = find_or_make(address);
	uint32_t class;

	if (lock == NULL)
		return CLASS_NONE;
	class = atomic_load(&lock->class);
	if (class == 0) {
		class = class_of_key((uintptr_t)address);
		if (class == CLASS_NONE)
			return CLASS_NONE;
		atomic_store(&lock->class, ++class);
	}
	return class - 1;
}

/* ---- The ends of locks ---- */

/* No thread holds the lock any more, and its class is not known. The lock in a child of fork() is
   such a lock. */
static void begin_anew(struct lock *lock)
{
	uint32_t class = atomic_exchange(&lock->class, 0);

	renew(lock);
	if (class > 0 && atomic_load(&keys[class - 1]) == atomic_load(&lock->address))
		forget_class(class - 1);
}

void lock_initialised(const void *address, const void *where)
{
	struct lock *lock = find_or_make(address);
	uint32_t class;

	if (lock == NULL)
		return;
	begin_anew(lock);
	class = class_of_key((uintptr_t)where);
	atomic_store(&lock->class, class != CLASS_NONE ? class + 1 : 0);
}

void lock_destroyed(const void *address)
{
	struct lock *lock = find(address);

	if (lock == NULL)
		return;
	begin_anew(lock);
	atomic_store(&lock->address, GONE);
}

void locks_freed(const void *memory, size_t bytes)
{
	uintptr_t at = (uintptr_t)memory, end = at + bytes;
	const uintptr_t step = _Alignof(int); /* a spinlock's alignment */

	while (at < end) {
		uintptr_t next = ((at >> PAGE_SHIFT) + 1) << PAGE_SHIFT;

		next = next < end ? next : end;
		if (has_locks(page_of(at)))
			for (at = (at + step - 1) & ~(step - 1); at < next; at += step)
				lock_destroyed((const void *)at);
		at = next;
	}
}

void classes_in_files(struct class_set *set)
{
	memset(set, 0, sizeof *set);
	for (uint32_t class = CLASSES_PSEUDO; class < CLASSES_MAX; class ++) {
		uintptr_t key = atomic_load(&keys[class]);

		if (key > GONE && is_in_file((const void *)key))
			set->words[class / WORD_BITS] |= 1ULL << (class % WORD_BITS);
	}
}

void classes_left_files(const struct class_set *before)
{
	bool has_any = false;

	for (uint32_t class = CLASSES_PSEUDO; class < CLASSES_MAX; class ++) {
		uintptr_t key = atomic_load(&keys[class]);

		if ((before->words[class / WORD_BITS] >> (class % WORD_BITS) & 1) == 0 ||
		    key == GONE || is_in_file((const void *)key))
			continue;
		forget_class(class);
		has_any = true;
	}
	for (uint32_t i = 0; has_any && i < LOCKS_MAX; i++) {
		uint32_t class = atomic_load(&locks[i].class);

		if (class > 0 && atomic_load(&keys[class - 1]) == GONE)
			begin_anew(&locks[i]);
	}
}
