/* SPDX-License-Identifier: BSD-2-Clause */
/* A program with an operator new and delete of its own, and a library whose constructor allocates
   before that of any preloaded library has run. */
#include <cstdlib>
#include <new>

#include "check.h"

extern "C" void before_delete(void);

static int news, deletes;

void *operator new(std::size_t size)
{
	void *memory = std::malloc(size);

	if (!memory)
		throw std::bad_alloc();
	news++;
	return memory;
}

void operator delete(void *memory) noexcept
{
	deletes++;
	std::free(memory);
}

int main()
{
	CHECK_EQ(news, 1);
	before_delete();
	CHECK_EQ(deletes, 1);
	return 0;
}
