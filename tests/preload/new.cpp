/* SPDX-License-Identifier: BSD-2-Clause */
/* operator new and delete, in all their forms, at the end of memory. */
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "check.h"
#include "oomreclaim.h"
#include "oomreclaim_group.h"

static struct pool pool;
static std::string *order;
static bool is_live;
static int handler_calls;

/* One letter a call; there is room for it. */
static void note(char letter)
{
	if (is_live && order->size() < order->capacity())
		order->push_back(letter);
}

/* Of the requests of this size alone: an exception asks for memory too. */
static const size_t asked = 4096;

static size_t nothing(const oomreclaim_control *control, void *)
{
	if (control->size == asked)
		note('c');
	return 0;
}

static oomreclaim_policy decide(const oomreclaim_verdict *verdict, void *)
{
	if (verdict->size == asked)
		note('p');
	return OOMRECLAIM_POLICY_RETURN;
}

static void prepare()
{
	order = new std::string;
	order->reserve(100);
	CHECK(oomreclaim_register("nothing", 0, 0, nothing, nullptr, nullptr) == 0);
	CHECK(oomreclaim_set_policy_callback(decide, nullptr) == 0);
	exhaust(&pool);
	is_live = true;
}

/* The runtime's emergency pool serves the exception: there is no memory for it. */
template <typename Function> static bool throws(Function function)
{
	try {
		function();
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

static const auto line = std::align_val_t(64);
static const auto page = std::align_val_t(asked);

static void bad_alloc()
{
	void *volatile block;

	prepare();
	CHECK(throws([&] { block = ::operator new(asked); }));
	CHECK(*order == "cp");
	CHECK(throws([&] { block = ::operator new[](asked); }));
	CHECK(throws([&] { block = ::operator new(asked, page); }));
	CHECK(throws([&] { block = ::operator new[](asked, page); }));
	CHECK(throws([&] { block = ::operator new(SIZE_MAX); }));
	CHECK(throws([&] { block = ::operator new(SIZE_MAX / 2, page); }));
	is_live = false;
	for (int i = 0; i < 1000; i++)
		CHECK(throws([&] { block = ::operator new(asked); }));
}

static void nothrow()
{
	prepare();
	CHECK(!::operator new(asked, std::nothrow));
	CHECK(*order == "cp");
	CHECK(!::operator new[](asked, std::nothrow));
	CHECK(!::operator new(asked, page, std::nothrow));
	CHECK(!::operator new[](asked, page, std::nothrow));
	CHECK(!::operator new(SIZE_MAX, std::nothrow));
}

static void hand_back()
{
	note('h');
	handler_calls++;
	if (handler_calls == 3)
		CHECK(space_release(8 * MIB) >= 8 * MIB);
}

/* After the callbacks, and again until there is enough; the policy is not asked. */
static void handler()
{
	void *block;

	prepare();
	std::set_new_handler(hand_back);
	errno = ERRNO_UNTOUCHED;
	block = ::operator new(asked);
	CHECK(block && errno == ERRNO_UNTOUCHED);
	CHECK_EQ(handler_calls, 3);
	CHECK(*order == "chchch");
	::operator delete(block);
	is_live = false;
	exhaust(&pool);
	handler_calls = 0;
	CHECK((block = ::operator new(asked, std::nothrow)));
	CHECK_EQ(handler_calls, 3);
	is_live = false;
	exhaust(&pool);
	handler_calls = 0;
	CHECK((block = ::operator new[](asked, page, std::nothrow)));
	CHECK_EQ(handler_calls, 3);
}

struct failure {
	int value;
};

static void throw_bad_alloc()
{
	note('h');
	throw std::bad_alloc();
}

static void throw_something()
{
	throw failure{7};
}

static void give_up()
{
	note('h');
	std::set_new_handler(nullptr);
}

static void handler_throws()
{
	void *volatile block;
	int value = 0;

	prepare();
	std::set_new_handler(throw_bad_alloc);
	CHECK(throws([&] { block = ::operator new(asked); }));
	CHECK(*order == "ch");
	CHECK(!::operator new(asked, std::nothrow));
	std::set_new_handler(throw_something);
	try {
		block = ::operator new(asked, page);
	} catch (const failure &what) {
		value = what.value;
	}
	CHECK(value == 7);
	/* Once it has taken itself away: the policy, and then bad_alloc. */
	order->clear();
	std::set_new_handler(give_up);
	CHECK(throws([&] { block = ::operator new(asked); }));
	CHECK(*order == "chcp");
	/* The ladder was left each time: callbacks still run. */
	order->clear();
	CHECK(!malloc(asked));
	CHECK(*order == "cp");
}

static void end_group(oomreclaim_group, void *block)
{
	note('g');
	free(block);
}

/* Before a group ends for it. */
static void cancels()
{
	void *volatile block;
	void *taken;
	oomreclaim_group group = 0;

	CHECK(oomreclaim_group_create("job", OOMRECLAIM_GROUP_ROOT, &group) == 0);
	oomreclaim_group_enter(group);
	taken = malloc(8 * MIB);
	oomreclaim_group_enter(OOMRECLAIM_GROUP_ROOT);
	CHECK(taken && oomreclaim_group_on_cancel(group, end_group, taken) == 0);
	prepare();
	std::set_new_handler(give_up);
	block = ::operator new(asked);
	CHECK(block && *order == "chcg");
}

static size_t evict(const oomreclaim_control *control, void *)
{
	return pool_evict(&pool, control->bytes_wanted);
}

static void *filled(void *block, size_t bytes, size_t alignment = 16)
{
	CHECK(block && reinterpret_cast<uintptr_t>(block) % alignment == 0);
	return memset(block, 1, bytes);
}

/* Every new has its delete, at the limit and past it. */
static void forms()
{
	const size_t odd = 3001;

	pool_fill(&pool, 64 * KIB);
	pool_evict(&pool, 64 * KIB); /* room to register */
	CHECK(oomreclaim_register("evict", 0, 0, evict, nullptr, nullptr) == 0);
	errno = ERRNO_UNTOUCHED;
	for (int i = 0; i < 3000; i++) {
		const size_t bytes = odd + static_cast<size_t>(i) * 97;

		::operator delete(filled(::operator new(bytes), bytes));
		::operator delete(filled(::operator new(bytes), bytes), bytes);
		::operator delete(filled(::operator new(bytes, std::nothrow), bytes), std::nothrow);
		::operator delete(filled(::operator new(bytes, line), bytes, 64), line);
		::operator delete(filled(::operator new(bytes, page), bytes, 4096), bytes, page);
		::operator delete(filled(::operator new(bytes, line, std::nothrow), bytes, 64),
		                  line, std::nothrow);
		::operator delete[](filled(::operator new[](bytes), bytes));
		::operator delete[](filled(::operator new[](bytes), bytes), bytes);
		::operator delete[](filled(::operator new[](bytes, std::nothrow), bytes),
		                    std::nothrow);
		::operator delete[](filled(::operator new[](bytes, line), bytes, 64), line);
		::operator delete[](filled(::operator new[](bytes, page), bytes, 4096), bytes,
		                    page);
		::operator delete[](filled(::operator new[](bytes, line, std::nothrow), bytes, 64),
		                    line, std::nothrow);
		CHECK(pool_add(&pool, 64 * KIB));
	}
	::operator delete(nullptr);
	::operator delete(nullptr, 8);
	::operator delete[](nullptr, 8, line);
	filled(::operator new(0), 0, 1);
	filled(::operator new[](0), 0, 1);
	for (int i = 0; i < 10; i++)
		filled(::operator new(0, line), 0, 64);
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
}

int main(int argc, char **argv)
{
	static const check_case cases[] = {
		{"bad-alloc", bad_alloc},           {"nothrow", nothrow}, {"handler", handler},
		{"handler-throws", handler_throws}, {"forms", forms},     {"cancels", cancels},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
