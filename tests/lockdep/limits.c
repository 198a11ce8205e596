/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the checker comes to its limits: its tables, small stacks, what it calls itself. Run on
   liboomreclaim-debug.so; what it has to say of each is in meson.build. */
#include <errno.h>
#include <execinfo.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"

void __register_frame(void *begin);

/* The unwinder takes a lock of its own and allocates with it held; a report's stack takes that lock
   too. */
static void unwinder(void)
{
	/* A CIE with nothing but a return address, a description of no function, and the end. */
	static unsigned char frames[64];
	const unsigned char cie[] = {12, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0x78, 16, 0, 0, 0};
	const uint32_t fde[] = {20, 20, 0x1000, 0, 16, 0};
	void *stack[16];

	memcpy(frames, cie, sizeof cie);
	memcpy(frames + sizeof cie, fde, sizeof fde);
	__register_frame(frames);
	CHECK(backtrace(stack, COUNT(stack)) > 0);
}

static void *hold_in_thread(void *arg)
{
	hold_a();
	return arg;
}

static void small_stack(void)
{
	pthread_attr_t attributes;
	pthread_t thread;

	call_back(wait_a);
	CHECK_EQ(pthread_attr_init(&attributes), 0);
	CHECK_EQ(pthread_attr_setstacksize(&attributes, (size_t)sysconf(_SC_THREAD_STACK_MIN)), 0);
	CHECK_EQ(pthread_create(&thread, &attributes, hold_in_thread, NULL), 0);
	pthread_join(thread, NULL);
}

static pthread_mutex_t *make_many(size_t count)
{
	pthread_mutex_t *many = calloc(count, sizeof *many);

	CHECK(many != NULL);
	return many;
}

static void many_held(void)
{
	pthread_mutex_t *many = make_many(100);

	for (int i = 0; i < 100; i++)
		CHECK_EQ(pthread_mutex_lock(&many[i]), 0);
	allocate();
	for (int i = 0; i < 100; i++)
		CHECK_EQ(pthread_mutex_unlock(&many[i]), 0);
}

/* More than there are classes. */
static void take_each(bool is_to_allocate)
{
	const size_t count = 6000;
	pthread_mutex_t *many = make_many(count);

	for (size_t i = 0; i < count; i++) {
		CHECK_EQ(pthread_mutex_lock(&many[i]), 0);
		if (is_to_allocate)
			allocate();
		CHECK_EQ(pthread_mutex_unlock(&many[i]), 0);
	}
}

/* One line, and no more, where there are more than it can watch. */
static void too_many(void)
{
	take_each(true);
}

/* Those that never meet anything cost nothing: there is room for the one that matters. */
static void many_apart(void)
{
	take_each(false);
	hold_a();
	call_back(wait_a);
}

/* More than there are records of locks, but not at a time. */
static void many_freed(void)
{
	const size_t bytes = 16 * MIB;

	for (int i = 0; i < 4; i++) {
		/* Elsewhere each time. */
		char *memory = malloc(bytes + (size_t)i * MIB);
		pthread_mutex_t *lock;

		CHECK(memory != NULL);
		for (size_t j = 0; j < bytes / 128; j++) {
			lock = place_lock(memory + (j * 128 + (size_t)i * 32) % (bytes - 64), 0);
			pthread_mutex_lock(lock);
			pthread_mutex_unlock(lock);
		}
		free(memory);
	}
	hold_a();
	call_back(wait_a);
}

/* More orders than there is room for, of locks that are freed after that. */
static void many_orders(void)
{
	enum { LOCKS = 220 };
	static pthread_mutex_t *locks[LOCKS];

	for (int i = 0; i < LOCKS; i++) {
		char *memory = malloc(64);

		CHECK(memory != NULL);
		locks[i] = place_lock(memory, 0);
	}
	for (int i = 0; i < LOCKS; i++)
		for (int j = i + 1; j < LOCKS; j++) {
			pthread_mutex_lock(locks[i]);
			pthread_mutex_lock(locks[j]);
			pthread_mutex_unlock(locks[j]);
			pthread_mutex_unlock(locks[i]);
		}
	/* These find no room. */
	hold_a();
	for (int i = 0; i < LOCKS; i++)
		free(locks[i]);
	hold_a();
	call_back(wait_a);
}

/* Refused without anybody being asked. */
static void impossible(void)
{
	volatile size_t bytes = SIZE_MAX;
	void *volatile memory;

	call_back(wait_a);
	pthread_mutex_lock(&a);
	memory = malloc(bytes);
	CHECK(memory == NULL && errno == ENOMEM);
	pthread_mutex_unlock(&a);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"unwinder", unwinder},       {"small-stack", small_stack},
		{"many-held", many_held},     {"too-many", too_many},
		{"many-apart", many_apart},   {"many-freed", many_freed},
		{"many-orders", many_orders}, {"impossible", impossible},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
