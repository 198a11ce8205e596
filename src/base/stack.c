/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/stack.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/base.h"
#include "base/fork_data.h"
#include "base/unwind.h"

#if __GLIBC_PREREQ(2, 35)

/* dladdr() without the loader's lock. What is on the stack can't be unloaded. */
static OOM_NOINLINE bool find(const void *address, struct stack_frame *frame,
                              struct unwind_file *file)
{
	struct dl_find_object found;

	if (_dl_find_object((void *)(uintptr_t)address, &found) != 0) {
		*frame = (struct stack_frame){.offset = (uintptr_t)address};
		return false;
	}
	frame->file = found.dlfo_link_map->l_name;
	frame->offset = (uintptr_t)address - found.dlfo_link_map->l_addr;
	file->begin = found.dlfo_map_start;
	file->end = found.dlfo_map_end;
	file->header = found.dlfo_eh_frame;
	return file->header != NULL;
}

#else

static bool find(const void *address, struct stack_frame *frame, struct unwind_file *file)
{
	(void)file;
	*frame = (struct stack_frame){.offset = (uintptr_t)address};
	return false;
}

#endif

#ifdef __x86_64__

/* The library's own frames that a walk may begin with. */
#define OWN_FRAMES 40
#define WINDOW_WORDS 256

/* A piece of the stack, and what else is too large for a small one. For the thread that walks. */
static OOM_FORK_DATA atomic_flag is_walking = ATOMIC_FLAG_INIT;
static struct {
	uint64_t begin, words;
	uint64_t word[WINDOW_WORDS];
} window;
static struct unwind_registers registers;

static OOM_NOINLINE void fill(uint64_t address)
{
	const struct iovec to = {.iov_base = window.word, .iov_len = sizeof window.word};
	/* Up to the end of a page: the kernel gives what comes before the first that is not there,
	   but in whole pieces. */
	const struct iovec from[] = {{.iov_base = (void *)address,
	                              .iov_len = 4096 - address % 4096},
	                             {.iov_base = (void *)((address | 4095) + 1), .iov_len = 4096}};
	int saved = errno;
	ssize_t got = process_vm_readv(getpid(), &to, 1, from, 2, 0);

	errno = saved;
	window.begin = address;
	window.words = got > 0 ? (uint64_t)got / sizeof window.word[0] : 0;
}

static bool read_word(uint64_t address, uint64_t *word)
{
	if (address % sizeof *word != 0)
		return false;
	if (address < window.begin || address - window.begin >= window.words * sizeof *word)
		fill(address);
	if (window.words == 0)
		return false;
	*word = window.word[(address - window.begin) / sizeof *word];
	return true;
}

/* This function's own registers, of those that functions leave as they were. */
static inline __attribute__((always_inline)) void begin_here(void)
{
	__asm__ volatile("movq %%rbx, 24(%0)\n\t"
	                 "movq %%rbp, 48(%0)\n\t"
	                 "movq %%rsp, 56(%0)\n\t"
	                 "movq %%r12, 96(%0)\n\t"
	                 "movq %%r13, 104(%0)\n\t"
	                 "movq %%r14, 112(%0)\n\t"
	                 "movq %%r15, 120(%0)\n\t"
	                 "leaq 0f(%%rip), %%rax\n\t"
	                 "movq %%rax, 128(%0)\n"
	                 "0:"
	                 :
	                 : "r"(registers.value)
	                 : "rax", "memory");
	registers.known = 1U << 3 | 1U << 6 | 1U << UNWIND_RSP | 15U << 12 | 1U << UNWIND_PC;
	window.words = 0;
}

static const void *pc(void)
{
	return (const void *)(uintptr_t)registers.value[UNWIND_PC];
}

/* The next frame up; false if there is none. */
static bool step(bool is_call, struct stack_frame *frame)
{
	struct unwind_file file;

	return find((const char *)pc() - is_call, frame, &file) &&
	       unwind_step(&registers, &file, is_call, read_word);
}

/* Through the library's frames, to where it was called from. */
static bool climb_to(const void *caller)
{
	struct stack_frame frame;

	for (unsigned i = 0; i < OWN_FRAMES && pc() != caller; i++)
		if (!step(i > 0, &frame))
			return false;
	return pc() == caller;
}

static OOM_NOINLINE unsigned walk(const void *caller, struct stack_frame *frames, unsigned max)
{
	struct stack_frame below;
	struct unwind_file file;
	unsigned count = 1;

	begin_here();
	if (!climb_to(caller))
		return count;
	while (count < max && step(true, &below))
		find(pc(), &frames[count++], &file);
	return count;
}

unsigned stack_walk(const void *caller, struct stack_frame *frames, unsigned max)
{
	struct unwind_file file;
	unsigned count = 1;

	if (caller == NULL || max == 0)
		return 0;
	find(caller, &frames[0], &file);
	if (max == 1 || atomic_flag_test_and_set_explicit(&is_walking, memory_order_acquire))
		return count;
	count = walk(caller, frames, max);
	atomic_flag_clear_explicit(&is_walking, memory_order_release);
	return count;
}

void stack_fork_child(void)
{
	atomic_flag_clear_explicit(&is_walking, memory_order_relaxed);
}

#else

unsigned stack_walk(const void *caller, struct stack_frame *frames, unsigned max)
{
	struct unwind_file file;

	if (caller == NULL || max == 0)
		return 0;
	find(caller, &frames[0], &file);
	return 1;
}

void stack_fork_child(void)
{
}

#endif
