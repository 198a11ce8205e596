/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * operator new that fails, seen by code with a C++ runtime of its own choice: a plug-in of a C
 * program (plugin_main.c), or, with -DPROGRAM, a program that is linked to the library. The runtime
 * comes as a shared library or is linked in.
 */
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <typeinfo>

#include "check.h"

static const size_t huge = static_cast<size_t>(1) << 50;
static void *volatile block;

template <typename Exception, typename Function> static bool throws(Function function)
{
	try {
		function();
	} catch (const Exception &) {
#ifndef HIDDEN
		/* What was thrown is caught in the books of this runtime too. */
		CHECK_EQ(std::uncaught_exceptions(), 0);
#endif
		return true;
	}
	return false;
}

#ifndef BASE_ONLY
static const auto page = std::align_val_t(4096);

static void caught()
{
	CHECK(throws<std::bad_alloc>([] { block = ::operator new(huge); }));
	CHECK(throws<std::bad_alloc>([] { block = ::operator new[](huge); }));
	CHECK(throws<std::bad_alloc>([] { block = ::operator new(huge, page); }));
	CHECK(throws<std::bad_alloc>([] { block = ::operator new[](huge, page); }));
}
#endif

/* Nobody names std::bad_alloc here: it may not even be linked in. */
static void base()
{
	CHECK(throws<std::exception>([] { block = ::operator new(huge); }));
}

static void anything()
{
	int caught = 0;

	for (int i = 0; i < 1000; i++)
		try {
			block = ::operator new(huge);
		} catch (...) {
			caught++;
		}
	CHECK_EQ(caught, 1000);
}

/* What is thrown can do all that an object of its class can. */
static void whole()
{
	try {
		block = ::operator new(huge);
	} catch (const std::exception &exception) {
		CHECK(!strcmp(exception.what(), "std::bad_alloc"));
		CHECK(!dynamic_cast<const std::bad_exception *>(&exception));
		CHECK(!strcmp(typeid(exception).name(), "St9bad_alloc"));
		return;
	}
	CHECK(!"caught");
}

/* One that is kept is thrown anew, and freed by the runtime. */
static void kept()
{
	for (int i = 0; i < 1000; i++) {
		std::exception_ptr exception;

		try {
			block = ::operator new(huge);
		} catch (...) {
			exception = std::current_exception();
		}
		CHECK(exception);
		/* Would take its place if it had been freed. */
		for (size_t bytes = 16; bytes <= 256; bytes += 16) {
			block = malloc(bytes);
			memset(block, 0xff, bytes);
			free(block);
		}
		CHECK(throws<std::exception>([&] { std::rethrow_exception(exception); }));
	}
}

/* A function between that has something to clear away. */
static void unwound()
{
	static int cleared;
	struct guard {
		~guard()
		{
			cleared++;
		}
	};

	CHECK(throws<std::exception>([] {
		guard outer;

		block = ::operator new(huge);
	}));
	CHECK_EQ(cleared, 1);
}

#ifndef BASE_ONLY
static void nothrow()
{
	CHECK(!::operator new(huge, std::nothrow));
	CHECK(!::operator new[](huge, std::nothrow));
	CHECK(!::operator new(huge, page, std::nothrow));
	CHECK(!::operator new[](huge, page, std::nothrow));
}

static int handler_calls;

static void give_up()
{
	if (++handler_calls == 3)
		std::set_new_handler(nullptr);
}

static void handler()
{
	std::set_new_handler(give_up);
	CHECK(throws<std::bad_alloc>([] { block = ::operator new(huge); }));
	CHECK_EQ(handler_calls, 3);
	handler_calls = 0;
	std::set_new_handler(give_up);
	CHECK(!::operator new(huge, page, std::nothrow));
	CHECK_EQ(handler_calls, 3);
}

struct failure {
	static int live;

	failure()
	{
		live++;
	}
	failure(const failure &)
	{
		live++;
	}
	~failure()
	{
		live--;
	}
};
int failure::live;

static void throw_something()
{
	throw failure();
}

/* The outer one's handler fails in the same way. */
static void nest()
{
	std::set_new_handler(throw_something);
	CHECK(!::operator new(huge, std::nothrow));
	throw failure();
}

static void handler_throws()
{
	std::set_new_handler(throw_something);
	CHECK(throws<failure>([] { block = ::operator new(huge); }));
	for (int i = 0; i < 100; i++)
		CHECK(!::operator new(huge, std::nothrow));
	CHECK(!::operator new[](huge, page, std::nothrow));
	CHECK_EQ(std::uncaught_exceptions(), 0);
	std::set_new_handler(nest);
	CHECK(!::operator new(huge, std::nothrow));
	CHECK_EQ(std::uncaught_exceptions(), 0);
	CHECK_EQ(failure::live, 0);
}
#endif

/* To the last byte: the runtime has a reserve for its exceptions. */
static void exhausted()
{
	/* What the runtime keeps for each thread is there from its first exception on. */
	CHECK(throws<std::exception>([] { block = ::operator new(huge); }));
	for (size_t bytes = MIB; bytes >= 16; bytes /= 2)
		while (malloc(bytes))
			;
	for (int i = 0; i < 1000; i++) {
		CHECK(throws<std::exception>([] { block = ::operator new(MIB); }));
		CHECK(!::operator new(MIB, std::nothrow));
	}
}

static const check_case cases[] = {
#ifdef BASE_ONLY
	{"base", base}, {"anything", anything}, {"whole", whole},
	{"kept", kept}, {"unwound", unwound},   {"exhausted", exhausted},
#else
	{"caught", caught},       {"base", base},       {"anything", anything},
	{"whole", whole},         {"kept", kept},       {"unwound", unwound},
	{"nothrow", nothrow},     {"handler", handler}, {"handler-throws", handler_throws},
	{"exhausted", exhausted},
#endif
};

extern "C" int plugin_main(int argc, char **argv)
{
	return check_main(argc, argv, cases, COUNT(cases));
}

#ifdef PROGRAM
int main(int argc, char **argv)
{
	return plugin_main(argc, argv);
}
#endif
