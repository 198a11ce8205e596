/* SPDX-License-Identifier: BSD-2-Clause */
#include <new>

static void *const array = ::operator new[](100);

extern "C" void before_delete(void)
{
	::operator delete[](array);
}
