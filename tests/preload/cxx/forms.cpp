/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls every form of operator new and delete, and prints which of the replaced ones (form.cpp)
   each came to. */
#include <cstdio>
#include <cstdlib>
#include <new>

static int called[16], calls;

extern "C" void form_called(int form)
{
	called[calls++ % 16] = form;
}

static void *volatile made;

static void tell(int form)
{
	std::printf("%d:", form);
	for (int i = 0; i < calls; i++)
		std::printf(" %d", called[i]);
	std::printf("\n");
	calls = 0;
	/* Not by a form: nobody hears of this. */
	std::free(made);
	made = nullptr;
}

static void *block()
{
	return std::aligned_alloc(64, 192);
}

int main()
{
	const std::size_t size = 192;
	const auto line = std::align_val_t(64);
	const auto &nothrow = std::nothrow;

	/* A buffer of its own, before it would ask for one in between. */
	std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
	made = ::operator new(size), tell(0);
	made = ::operator new[](size), tell(1);
	made = ::operator new(size, nothrow), tell(2);
	made = ::operator new[](size, nothrow), tell(3);
	made = ::operator new(size, line), tell(4);
	made = ::operator new[](size, line), tell(5);
	made = ::operator new(size, line, nothrow), tell(6);
	made = ::operator new[](size, line, nothrow), tell(7);
	::operator delete(block()), tell(8);
	::operator delete[](block()), tell(9);
	::operator delete(block(), nothrow), tell(10);
	::operator delete[](block(), nothrow), tell(11);
	::operator delete(block(), size), tell(12);
	::operator delete[](block(), size), tell(13);
	::operator delete(block(), line), tell(14);
	::operator delete[](block(), line), tell(15);
	::operator delete(block(), line, nothrow), tell(16);
	::operator delete[](block(), line, nothrow), tell(17);
	::operator delete(block(), size, line), tell(18);
	::operator delete[](block(), size, line), tell(19);
	return 0;
}
