/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdatomic.h>

#include "io.h"
#include "lockdep.h"

/* Addresses of locks: powers of two, and no page of them is there before it is used. */
#define LOCKS_MAX (1U << 18)
#define PROBES_MAX 64

struct lock {
	_Atomic(const void *) address;
	_Atomic uint32_t class; /* plus one; 0: not known yet */
	_Atomic uint32_t epoch;
};

static struct lock locks[LOCKS_MAX];
/* By class, behind the pseudo-locks: what makes it one. */
static _Atomic(const void *) keys[CLASSES_MAX];
static atomic_bool has_complained;

static void complain(const char *what)
{
	if (!atomic_exchange(&has_complained, true))
		io_warn("lock check: more %s than there is room for; some are not watched", what);
}

static uint32_t hash(const void *address)
{
	return (uint32_t)(((uintptr_t)address >> 3) * 0x9e3779b97f4a7c15ULL >> 32);
}

/* The lock's record, made if there is none; NULL if there is no room. */
static struct lock *find(const void *address)
{
	uint32_t at = hash(address);

	for (uint32_t i = 0; i < PROBES_MAX; i++) {
		struct lock *lock = &locks[(at + i) % LOCKS_MAX];
		const void *is = atomic_load(&lock->address);

		if (is == NULL && atomic_compare_exchange_strong(&lock->address, &is, address))
			return lock;
		if (is == address)
			return lock;
	}
	complain("locks");
	return NULL;
}

static uint32_t class_of_key(const void *key)
{
	uint32_t at = hash(key);

	for (uint32_t i = 0; i < CLASSES_MAX; i++) {
		uint32_t class = CLASSES_PSEUDO + (at + i) % (CLASSES_MAX - CLASSES_PSEUDO);
		const void *is = atomic_load(&keys[class]);

		if (is == NULL && atomic_compare_exchange_strong(&keys[class], &is, key))
			return class;
		if (is == key)
			return class;
	}
	complain("classes of locks");
	return CLASS_NONE;
}

const void *class_key(uint32_t class)
{
	return atomic_load(&keys[class]);
}

void lock_initialised(const void *address, const void *where)
{
	struct lock *lock = find(address);
	uint32_t class;

	if (lock == NULL)
		return;
	/* Held by nobody any more, whoever had it: as in the child of a fork(). */
	atomic_fetch_add(&lock->epoch, 1);
	class = class_of_key(where);
	atomic_store(&lock->class, class != CLASS_NONE ? class + 1 : 0);
}

void lock_destroyed(const void *address)
{
	struct lock *lock = find(address);

	if (lock == NULL)
		return;
	atomic_fetch_add(&lock->epoch, 1);
	atomic_store(&lock->class, 0);
}

uint32_t lock_class(const void *address)
{
	struct lock *lock = find(address);
	uint32_t class;

	if (lock == NULL)
		return CLASS_NONE;
	class = atomic_load(&lock->class);
	if (class == 0) {
		class = class_of_key(address);
		if (class == CLASS_NONE)
			return CLASS_NONE;
		atomic_store(&lock->class, ++class);
	}
	return class - 1;
}

uint32_t lock_epoch(const void *address)
{
	struct lock *lock = find(address);

	return lock != NULL ? atomic_load(&lock->epoch) : 0;
}

void lock_released_elsewhere(const void *address)
{
	struct lock *lock = find(address);

	if (lock != NULL)
		atomic_fetch_add(&lock->epoch, 1);
}
