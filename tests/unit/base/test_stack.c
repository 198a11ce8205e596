/* SPDX-License-Identifier: BSD-2-Clause */
/* The stack as the library walks it, beside what libgcc's unwinder says of it. */
#include <alloca.h>
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/base.h"
#include "base/stack.h"
#include "base/unwind.h"
#include "base/unwind_table.h"
#include "forbid.h"
#include "support.h"

TestSuite(stack, .init = support_init, .timeout = WATCHDOG_SECONDS);

#if defined(__x86_64__) && __GLIBC_PREREQ(2, 35)

static struct stack_frame frames[STACK_FRAMES];
static unsigned count;
static void *expected[STACK_FRAMES + 8];
static unsigned expected_count;

/* As an exported function of the library's. */
static __attribute__((noinline)) int enter(void)
{
	const void *caller = __builtin_return_address(0);
	int first = 0, all = backtrace(expected, STACK_FRAMES + 8);

	errno = ERRNO_UNTOUCHED;
	count = stack_walk(caller, frames, STACK_FRAMES);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	while (first < all && expected[first] != caller)
		first++;
	expected_count = (unsigned)(all - first);
	memmove(expected, expected + first, expected_count * sizeof expected[0]);
	return 0;
}

static void expect_same(unsigned least)
{
	cr_expect_geq(count, least);
	cr_expect_geq(expected_count, least);
	for (unsigned i = 0; i < count && i < expected_count; i++) {
		struct dl_find_object found;

		cr_assert_eq(_dl_find_object(expected[i], &found), 0);
		cr_expect_eq(frames[i].file, found.dlfo_link_map->l_name, "frame %u", i);
		cr_expect_eq(frames[i].offset, (uintptr_t)expected[i] - found.dlfo_link_map->l_addr,
		             "frame %u", i);
	}
	if (expected_count <= STACK_FRAMES)
		cr_expect_eq(count, expected_count);
}

static __attribute__((noinline)) int plain(void)
{
	return enter() + 1;
}

Test(stack, plain)
{
	cr_expect_eq(plain(), 1);
	expect_same(3);
}

/* The frame's address is in rbp. */
static __attribute__((noinline)) int with_alloca(size_t bytes)
{
	volatile char *block = alloca(bytes);

	block[0] = (char)plain();
	return block[0];
}

Test(stack, alloca)
{
	cr_expect_eq(with_alloca(1000), 1);
	expect_same(4);
}

/* The frame's address is what a word of the stack says: arguments lie there, above a gap. */
static __attribute__((noinline)) int with_arguments(size_t bytes_in, int a, int b, int c, int d,
                                                    int e, int f, int g)
{
	_Alignas(64) volatile char line[64];
	volatile char *block = alloca(bytes_in);

	line[0] = (char)with_alloca(bytes_in);
	block[0] = line[0];
	return block[0] + a + b + c + d + e + f + g;
}

static __attribute__((noinline)) int with_alignment(size_t bytes_in)
{
	return with_arguments(bytes_in, 0, 0, 0, 0, 0, 0, 0) + 0 * (int)bytes_in;
}

Test(stack, alignment)
{
	cr_expect_eq(with_alignment(100), 1);
	expect_same(5);
}

/* Registers that all of these have put away, one after the other. */
static __attribute__((noinline)) long with_registers(long depth, long a, long b, long c, long d)
{
	long result = depth == 0 ? with_alignment((size_t)a)
	                         : with_registers(depth - 1, b, c, d, a + depth);

	return result + a * b - c * d;
}

Test(stack, registers)
{
	with_registers(3, 40, 50, 60, 70);
	expect_same(8);
}

static jmp_buf back;

static __attribute__((noinline, noreturn)) void never_returns(void)
{
	plain();
	longjmp(back, 1);
}

/* Its last instruction is the call: the return address is that of the next function. */
static __attribute__((noinline, noreturn)) void ends_with_a_call(void)
{
	char room[100];

	/* Its frame differs from that of the next function's first instruction. */
	__asm__ volatile("" : : "r"(room) : "memory");
	never_returns();
}

Test(stack, a_call_at_the_end)
{
	if (setjmp(back) == 0)
		ends_with_a_call();
	expect_same(5);
}

static int compare(const void *a, const void *b)
{
	const int *one = a, *other = b;

	plain();
	return *one - *other;
}

Test(stack, through_libc)
{
	int numbers[] = {3, 1, 2};

	qsort(numbers, ARRAY_SIZE(numbers), sizeof numbers[0], compare);
	expect_same(5);
}

static __attribute__((noinline)) int deep(int depth)
{
	int result = depth == 0 ? plain() : deep(depth - 1);

	__asm__ volatile("" : "+r"(result));
	return result + 1;
}

Test(stack, deeper_than_is_shown)
{
	cr_expect_eq(deep(100), 102);
	cr_expect_eq(count, STACK_FRAMES);
	expect_same(STACK_FRAMES);
}

/* To the end of a thread's stack, and not beyond. */
static void walk_in_thread(void)
{
	plain();
}

Test(stack, a_thread)
{
	struct thread thread;

	thread_start(&thread, walk_in_thread);
	thread_join(&thread);
	expect_same(3);
}

static void *walk_at_the_end(void *arg)
{
	plain();
	return arg;
}

Test(stack, a_small_thread)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 256 << 10);
	cr_assert_eq(pthread_create(&thread, &attributes, walk_at_the_end, NULL), 0);
	pthread_join(thread, NULL);
	expect_same(3);
}

/* ---- Where there is less ---- */

static void expect_caller_alone(void)
{
	cr_expect_eq(count, 1);
	cr_expect(frames[0].offset != 0);
	cr_expect(frames[0].file != NULL);
}

Test(stack, the_call_is_refused)
{
	forbid_calls(EPERM, SYS_process_vm_readv);
	plain();
	expect_caller_alone();
}

Test(stack, a_caller_that_is_not_there)
{
	cr_expect_eq(stack_walk((const void *)0x1234, frames, STACK_FRAMES), 1);
	cr_expect_null(frames[0].file);
	cr_expect_eq(frames[0].offset, 0x1234);
	cr_expect_eq(stack_walk(NULL, frames, STACK_FRAMES), 0);
	cr_expect_eq(stack_walk((const void *)0x1234, frames, 0), 0);
}

/* ---- Whatever is in a file ---- */

Test(stack, bytes_that_are_not_there)
{
	static const unsigned char text[] = {0x81, 0x80, 0x80, 1};
	struct cursor cursor = {.at = text, .end = text + 3};

	cr_expect_eq(unwind_uleb(&cursor), 1);
	cr_expect(cursor.is_bad);
	cursor = (struct cursor){.at = text, .end = text + 3};
	cr_expect_eq(unwind_take(&cursor, 4), 0);
	cr_expect(cursor.is_bad);
	cursor = (struct cursor){.at = text, .end = text + 3};
	unwind_skip(&cursor, UINT64_MAX);
	cr_expect(cursor.is_bad);
	cursor = (struct cursor){.at = text, .end = text + 3};
	cr_expect_eq(unwind_pointer(&cursor, 0x50), 0, "an encoding that is not known");
	cr_expect(cursor.is_bad);
}

static struct unwind_file original, damaged;
static unsigned char *copy;
static size_t bytes;

/* Of this program as it lies in memory, holes as zeros. */
static void copy_image(void)
{
	struct dl_find_object found;

	cr_assert_eq(_dl_find_object((void *)(uintptr_t)plain, &found), 0);
	original =
		(struct unwind_file){found.dlfo_map_start, found.dlfo_map_end, found.dlfo_eh_frame};
	bytes = (size_t)(original.end - original.begin);
	copy = calloc(1, bytes);
	for (size_t at = 0; at < bytes; at += 4096) {
		struct iovec to = {copy + at, min_size(4096, bytes - at)};
		struct iovec from = {(void *)(uintptr_t)(original.begin + at), to.iov_len};

		(void)!process_vm_readv(getpid(), &to, 1, &from, 1, 0);
	}
	damaged =
		(struct unwind_file){copy, copy + bytes, copy + (original.header - original.begin)};
}

static bool read_any(uint64_t address, uint64_t *word)
{
	*word = address;
	return address % 24 != 0;
}

static struct unwind_registers at_random(uint64_t number)
{
	struct unwind_registers registers = {.known = (1U << UNWIND_REGISTERS) - 1};

	for (unsigned i = 0; i < UNWIND_REGISTERS; i++)
		registers.value[i] = (number >> i & 0xff) << 12;
	registers.value[UNWIND_PC] = (uint64_t)(uintptr_t)(copy + number % bytes);
	return registers;
}

static uint64_t next_random(void)
{
	static uint64_t state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Steps from each function; returns how many could be made. */
static unsigned try_all(void)
{
	unsigned made = 0;

	for (int i = 0; i < 2000; i++) {
		struct unwind_registers registers = at_random(next_random());

		uint64_t below = registers.value[UNWIND_RSP];

		if (!unwind_step(&registers, &damaged, i % 2, read_any))
			continue;
		made++;
		cr_assert_gt(registers.value[UNWIND_RSP], below, "up, or it would not end");
	}
	return made;
}

Test(stack, a_file_that_is_damaged)
{
	copy_image();
	cr_expect_gt(try_all(), 0);
	for (int round = 0; round < 200; round++) {
		size_t table = (size_t)(damaged.header - copy), all = bytes - table;

		/* Behind the header lie its table and what it leads to. */
		for (int i = 0; i < 100; i++)
			copy[table + next_random() % min_size(all, 1 << 16)] =
				(unsigned char)next_random();
		if (round % 4 == 0)
			memcpy(copy + table, original.header, 12);
		try_all();
	}
}

Test(stack, a_file_that_ends_early)
{
	copy_image();
	for (size_t end = bytes; end > 64; end = end * 9 / 10) {
		unsigned char *shorter = malloc(end);

		memcpy(shorter, copy, end);
		damaged.header = shorter + min_size((size_t)(damaged.header - damaged.begin), end);
		damaged.begin = shorter;
		damaged.end = shorter + end;
		try_all();
		damaged.header = copy + (damaged.header - damaged.begin);
		damaged.begin = copy;
		free(shorter);
	}
}

#else

Test(stack, the_caller_alone)
{
	struct stack_frame frame;

	cr_expect_eq(stack_walk(__builtin_return_address(0), &frame, 1), 1);
}

#endif
