/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A plug-in that brings the C++ runtime, and whose constructor waits for a thread whose operator
 * new fails: the loader's lock is held all that time.
 */
#include <new>
#include <thread>

#include "check.h"

static const size_t huge = static_cast<size_t>(1) << 50;
static bool is_caught, is_null, is_handled;

static void throw_something()
{
	is_handled = true;
	throw 7;
}

static void work()
{
	void *volatile block;

	try {
		block = ::operator new(huge);
	} catch (const std::bad_alloc &) {
		is_caught = true;
	}
	block = ::operator new(huge, std::nothrow);
	is_null = !block;
	std::set_new_handler(throw_something);
	block = ::operator new(huge, std::nothrow);
	std::set_new_handler(nullptr);
}

static struct worker {
	worker()
	{
		std::thread thread(work);

		thread.join();
	}
} worker;

extern "C" int plugin_main(int, char **)
{
	CHECK(is_caught && is_null && is_handled);
	return 0;
}
