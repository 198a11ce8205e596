/* SPDX-License-Identifier: BSD-2-Clause */
/* malloc(3), posix_memalign(3), C17 7.22.3 and C23 7.24.3, to the letter. */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "oomreclaim.h"

void free_sized(void *memory, size_t size) __attribute__((weak));
void free_aligned_sized(void *memory, size_t alignment, size_t size) __attribute__((weak));

static bool is_aligned(const void *memory, size_t alignment)
{
	return ((uintptr_t)memory & (alignment - 1)) == 0;
}

/* A block that can be written, from a call that left errno alone. */
static void *good(void *memory, size_t bytes)
{
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
	CHECK(memory);
	CHECK(malloc_usable_size(memory) >= bytes);
	memset(memory, 0x5a, bytes);
	return memory;
}

static void refused(const void *memory, int error)
{
	CHECK(!memory);
	CHECK(errno == error);
	errno = ERRNO_UNTOUCHED;
}

static void zero(void)
{
	void *first = good(malloc(0), 0), *second = good(malloc(0), 0), *memory = NULL;

	CHECK(first != second);
	free(good(calloc(0, 8), 0));
	free(good(calloc(8, 0), 0));
	free(good(realloc(NULL, 0), 0));
	free(good(reallocarray(NULL, 0, 8), 0));
	free(good(reallocarray(NULL, 8, 0), 0));
	/* A block of no bytes is aligned too. */
	for (size_t shift = 4; shift <= 16; shift++)
		for (int i = 0; i < 10; i++) {
			memory = good(aligned_alloc((size_t)1 << shift, 0), 0);
			CHECK(is_aligned(memory, (size_t)1 << shift));
			memory = good(memalign((size_t)1 << shift, 0), 0);
			CHECK(is_aligned(memory, (size_t)1 << shift));
			CHECK(posix_memalign(&memory, (size_t)1 << shift, 0) == 0);
			CHECK(is_aligned(good(memory, 0), (size_t)1 << shift));
		}
	CHECK(is_aligned(good(valloc(0), 0), 4096) && is_aligned(good(pvalloc(0), 0), 4096));
	/* glibc frees, and has nothing to return. */
	CHECK(!realloc(first, 0));
	CHECK(!reallocarray(second, 0, 8));
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
}

static size_t count_call(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	++*(int *)arg;
	return 0;
}

/* What can never be had, however much is given back: so nobody is asked. */
static void overflow(void)
{
	const size_t half = (size_t)PTRDIFF_MAX + 1;
	char *kept = good(malloc(100), 100);
	void *memory = kept;
	int calls = 0;

	CHECK(oomreclaim_register("count", 0, 0, count_call, &calls, NULL) == 0);
	refused(malloc(half), ENOMEM);
	refused(malloc(PTRDIFF_MAX), ENOMEM);
	refused(malloc(SIZE_MAX), ENOMEM);
	refused(malloc((size_t)1 << 60), ENOMEM);
	refused(calloc((size_t)1 << 24, (size_t)1 << 24), ENOMEM);
	refused(calloc(1, half), ENOMEM);
	refused(calloc(half, 2), ENOMEM);
	refused(calloc(half + 1, 2), ENOMEM);
	refused(calloc(SIZE_MAX, SIZE_MAX), ENOMEM);
	refused(calloc((size_t)1 << 32, (size_t)1 << 32), ENOMEM);
	refused(realloc(kept, half), ENOMEM);
	refused(realloc(NULL, SIZE_MAX), ENOMEM);
	refused(reallocarray(kept, half, 2), ENOMEM);
	refused(reallocarray(kept, SIZE_MAX, SIZE_MAX), ENOMEM);
	refused(reallocarray(NULL, half + 1, 2), ENOMEM);
	refused(aligned_alloc(4096, SIZE_MAX), ENOMEM);
	refused(aligned_alloc(4096, half), ENOMEM);
	refused(memalign(4096, SIZE_MAX - 4096), ENOMEM);
	refused(valloc(SIZE_MAX), ENOMEM);
	refused(pvalloc(SIZE_MAX), ENOMEM);
	refused(pvalloc(SIZE_MAX - 4096), ENOMEM);
	CHECK(posix_memalign(&memory, 4096, SIZE_MAX) == ENOMEM);
	CHECK(posix_memalign(&memory, 4096, half) == ENOMEM);
	CHECK(memory == kept && errno == ERRNO_UNTOUCHED);
	CHECK_EQ(calls, 0);
	for (int i = 0; i < 100; i++)
		CHECK(kept[i] == 0x5a);
	free(kept);
}

static void alignment(void)
{
	/* clang 14 crashes at an alignment of 0 that it knows. */
	static const volatile size_t none = 0;
	const size_t page = (size_t)sysconf(_SC_PAGESIZE), huge = (size_t)1 << 62;
	void *memory = &errno;
	char *block;

	for (size_t shift = 0; shift <= 24; shift++)
		for (size_t bytes = 1; bytes <= 100000; bytes = bytes * 10 + 1) {
			size_t wanted = (size_t)1 << shift;

			block = good(aligned_alloc(wanted, bytes), bytes);
			CHECK(is_aligned(block, wanted));
			free(block);
			block = good(memalign(wanted, bytes), bytes);
			CHECK(is_aligned(block, wanted));
			free(block);
			if (wanted < sizeof(void *))
				continue;
			CHECK(posix_memalign(&memory, wanted, bytes) == 0);
			CHECK(is_aligned(good(memory, bytes), wanted));
			free(memory);
		}
	memory = &errno;
	CHECK(posix_memalign(&memory, 0, 8) == EINVAL);
	CHECK(posix_memalign(&memory, 3, 8) == EINVAL);
	CHECK(posix_memalign(&memory, 4, 8) == EINVAL);
	CHECK(posix_memalign(&memory, 24, 8) == EINVAL);
	CHECK(posix_memalign(&memory, huge, 8) == ENOMEM);
	CHECK(memory == &errno && errno == ERRNO_UNTOUCHED);
	refused(aligned_alloc(none, 8), EINVAL);
	refused(aligned_alloc(3, 9), EINVAL);
	refused(aligned_alloc(24, 48), EINVAL);
	refused(aligned_alloc(huge, 8), ENOMEM);
	refused(aligned_alloc(huge * 2, 8), ENOMEM);
	refused(memalign(huge * 2 + 1, 8), EINVAL);
	refused(memalign(huge, 8), ENOMEM);
	/* Not a multiple of the alignment: allowed since C17's correction, and in glibc ever
	   since. */
	free(good(aligned_alloc(64, 100), 100));
	free(good(memalign(none, 8), 8));
	block = good(memalign(3, 100), 100);
	CHECK(is_aligned(block, 4));
	free(block);
	block = good(memalign(5000, 100), 100);
	CHECK(is_aligned(block, 8192));
	free(block);
	block = good(valloc(1), 1);
	CHECK(is_aligned(block, page));
	free(block);
	block = good(pvalloc(1), page);
	CHECK(is_aligned(block, page));
	free(block);
	block = good(pvalloc(page + 1), 2 * page);
	CHECK(is_aligned(block, page));
	free(block);
	/* What malloc() gives fits any fundamental type. */
	for (size_t bytes = 16; bytes < 100000; bytes += 999) {
		block = good(malloc(bytes), bytes);
		CHECK(is_aligned(block, _Alignof(max_align_t)));
		free(block);
	}
}

static void contents(void)
{
	unsigned char *block = NULL;
	size_t had = 0;

	/* Up and down, with the odd step. */
	for (size_t step = 0; step < 200; step++) {
		size_t bytes = ((step * 7919) % 23 + 1) * ((size_t)1 << (step % 17));
		size_t kept = had < bytes ? had : bytes;

		block = step % 2 ? realloc(block, bytes) : reallocarray(block, bytes, 1);
		CHECK(errno == ERRNO_UNTOUCHED && block);
		for (size_t i = 0; i < kept; i++)
			CHECK(block[i] == (unsigned char)(i * 31));
		for (size_t i = 0; i < bytes; i++)
			block[i] = (unsigned char)(i * 31);
		had = bytes;
	}
	free(block);
	/* Zeroes, also where there was something else before. */
	for (size_t bytes = 8; bytes <= 4 * MIB; bytes *= 4) {
		free(good(malloc(bytes), bytes));
		block = calloc(bytes / 8, 8);
		CHECK(block);
		for (size_t i = 0; i < bytes; i++)
			CHECK(!block[i]);
		free(block);
	}
}

static void release(void)
{
	void (*cfree)(void *);

	*(void **)&cfree = dlsym(RTLD_DEFAULT, "cfree");
	CHECK(cfree && free_sized && free_aligned_sized);
	errno = ERRNO_UNTOUCHED;
	free(NULL);
	cfree(NULL);
	free_sized(NULL, 0);
	free_sized(NULL, 100);
	free_aligned_sized(NULL, 64, 100);
	CHECK(malloc_usable_size(NULL) == 0);
	for (size_t bytes = 0; bytes < 20 * MIB; bytes = bytes * 3 + 1) {
		free(good(malloc(bytes), bytes));
		cfree(good(malloc(bytes), bytes));
		free_sized(good(malloc(bytes), bytes), bytes);
		free_sized(good(calloc(1, bytes), bytes), bytes);
		free_aligned_sized(good(aligned_alloc(8, bytes), bytes), 8, bytes);
		free_aligned_sized(good(aligned_alloc(64, bytes), bytes), 64, bytes);
		free_aligned_sized(good(aligned_alloc(32768, bytes), bytes), 32768, bytes);
	}
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
}

/* None of it is glibc's. */
static void ours(void)
{
	static const char *const names[] = {"malloc",
	                                    "calloc",
	                                    "realloc",
	                                    "reallocarray",
	                                    "free",
	                                    "free_sized",
	                                    "free_aligned_sized",
	                                    "aligned_alloc",
	                                    "posix_memalign",
	                                    "memalign",
	                                    "valloc",
	                                    "pvalloc",
	                                    "malloc_usable_size",
	                                    "cfree",
	                                    "malloc_trim",
	                                    "mallinfo",
	                                    "mallinfo2",
	                                    "malloc_stats",
	                                    "malloc_info",
	                                    "mallopt",
	                                    "mallocx",
	                                    "mallctl",
	                                    "_Znwm",
	                                    "_ZdlPvm"};
	Dl_info library, info;
	void *symbol;

	CHECK(dladdr(dlsym(RTLD_DEFAULT, "oomreclaim_version"), &library));
	for (size_t i = 0; i < COUNT(names); i++) {
		symbol = dlsym(RTLD_DEFAULT, names[i]);
		CHECK(symbol && dladdr(symbol, &info));
		CHECK(info.dli_fbase == library.dli_fbase);
	}
}

/* Loaded with early.so: the process's first malloc(), before our constructor. */
static void first(void)
{
	const int *early_errno = dlsym(RTLD_DEFAULT, "early_errno");

	CHECK(early_errno && *early_errno == ERRNO_UNTOUCHED);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"zero", zero},         {"overflow", overflow}, {"alignment", alignment},
		{"contents", contents}, {"release", release},   {"ours", ours},
		{"first", first},
	};

	errno = ERRNO_UNTOUCHED;
	return check_main(argc, argv, cases, COUNT(cases));
}
