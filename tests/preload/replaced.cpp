/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs with an operator new and delete of their own. The forms that they leave out have to lead
 * there, as C++ has it: a block of theirs is none of the heap's. So do those of libstdc++ that
 * nobody sees.
 */
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#include "check.h"

/* In front of each block, and so that free() of it would be one of no block at all. */
struct header {
	size_t magic, offset;
};
static const size_t magic = 0x6f6f6d21;
static long live, made;

#ifdef __clang__
#define OPAQUE __attribute__((noinline))
#else
#define OPAQUE __attribute__((noipa))
#endif

/* The compiler must not see into these two, or it knows that there is nothing in front of a
   block. */
OPAQUE static void *make(size_t bytes, size_t alignment)
{
	const size_t offset = alignment < 64 ? 64 : alignment;
	char *block = static_cast<char *>(aligned_alloc(offset, offset + bytes));
	header *head;

	if (!block)
		throw std::bad_alloc();
	head = reinterpret_cast<header *>(block + offset) - 1;
	*head = header{magic, offset};
	live++;
	made++;
	return block + offset;
}

OPAQUE static void unmake(void *memory)
{
	header *head = static_cast<header *>(memory) - 1;

	if (!memory)
		return;
	CHECK(head->magic == magic);
	head->magic = 0;
	live--;
	free(static_cast<char *>(memory) - head->offset);
}

void *operator new(size_t bytes)
{
	return make(bytes, 16);
}

void operator delete(void *memory) noexcept
{
	unmake(memory);
}

void *operator new(size_t bytes, std::align_val_t alignment)
{
	return make(bytes, static_cast<size_t>(alignment));
}

void operator delete(void *memory, std::align_val_t) noexcept
{
	unmake(memory);
}

#ifdef ARRAYS
void *operator new[](size_t bytes)
{
	return make(bytes, 16);
}

void operator delete[](void *memory) noexcept
{
	unmake(memory);
}
#endif

/* One more block of the program's own, if it is one. */
static void *good(void *memory, long more)
{
	CHECK(memory);
	CHECK_EQ(live, more);
	return memory;
}

static const auto page = std::align_val_t(4096);

static void forms()
{
	const size_t bytes = 1000;

	::operator delete(good(::operator new(bytes), 1), bytes);
	::operator delete(good(::operator new(bytes, std::nothrow), 1));
	::operator delete(good(::operator new(bytes, std::nothrow), 1), std::nothrow);
	::operator delete(good(::operator new(bytes, page), 1), bytes, page);
	::operator delete(good(::operator new(bytes, page, std::nothrow), 1), page);
	::operator delete(good(::operator new(bytes, page, std::nothrow), 1), page, std::nothrow);
	::operator delete[](good(::operator new[](bytes, page), 1), page);
	::operator delete[](good(::operator new[](bytes, page), 1), bytes, page);
	::operator delete[](good(::operator new[](bytes, page, std::nothrow), 1), page,
	                    std::nothrow);
	CHECK_EQ(live, 0);
	/* Without new[] of the program's own, one made of its new would do as well as the
	   heap's. */
	::operator delete[](::operator new[](bytes), bytes);
	::operator delete[](::operator new[](bytes, std::nothrow));
	::operator delete[](::operator new[](bytes, std::nothrow), std::nothrow);
	CHECK_EQ(live, 0);
#ifdef ARRAYS
	::operator delete[](good(::operator new[](bytes), 1), bytes);
	::operator delete[](good(::operator new[](bytes, std::nothrow), 1), std::nothrow);
	CHECK_EQ(live, 0);
#endif
}

/* std::stable_sort() takes its buffer by the form nothrow, and gives it back by another. */
static void library()
{
	long before;

	{
		std::vector<size_t> numbers(10000);

		for (size_t i = 0; i < numbers.size(); i++)
			numbers[i] = i * 7919 % 10007;
		before = made;
		std::stable_sort(numbers.begin(), numbers.end());
		CHECK(std::is_sorted(numbers.begin(), numbers.end()));
	}
	CHECK(made > before);
	CHECK_EQ(live, 0);
}

/* What the program's own throws is caught by the form nothrow. */
static void failing()
{
	CHECK(!::operator new(SIZE_MAX / 4, std::nothrow));
	CHECK(!::operator new(SIZE_MAX / 4, page, std::nothrow));
	CHECK(!::operator new[](SIZE_MAX / 4, page, std::nothrow));
}

int main(int argc, char **argv)
{
	static const check_case cases[] = {
		{"forms", forms},
		{"library", library},
		{"failing", failing},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
