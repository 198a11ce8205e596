/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim.hpp: registrations, scopes, the memory resource. Under a limit, with and without the
   library. */
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <future>
#include <list>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <pthread.h>
#include <unistd.h>

#include "check.h"
#include "oomreclaim.hpp"

namespace
{

constexpr std::size_t block_bytes = 1 << 20;

struct cache {
	std::list<std::unique_ptr<char[]>> blocks;
	unsigned calls = 0;

	std::size_t drop()
	{
		std::size_t bytes = blocks.size() * block_bytes;

		calls++;
		blocks.clear();
		return bytes;
	}
};

/* Allocates until it fails. */
std::size_t fill(std::pmr::memory_resource &memory = *std::pmr::new_delete_resource())
{
	std::pmr::list<std::pmr::vector<char>> blocks{&memory};

	try {
		for (;;)
			blocks.emplace_back(block_bytes);
	} catch (const std::bad_alloc &) {
		return blocks.size();
	}
}

void registrations()
{
	cache first;
	oomreclaim::registration kept;

	for (int i = 0; i < 20; i++)
		first.blocks.emplace_back(new char[block_bytes]());
	CHECK(!kept);
	{
		oomreclaim::registration made("first", [&](const oomreclaim_control &control) {
			CHECK(control.bytes_wanted > 0);
			return first.drop();
		});
		CHECK(made);
		kept = std::move(made);
		CHECK(!made && kept);
	}
	CHECK(fill() > 0 && first.calls > 0 && first.blocks.empty());
	CHECK(kept.stats().calls == first.calls);

	unsigned calls = first.calls;
	CHECK(kept.reset() == 0);
	CHECK(!kept && kept.stats().calls == 0);
	CHECK(fill() > 0 && first.calls == calls);

	try {
		oomreclaim::registration nameless("", [](const auto &) { return std::size_t{0}; });
		CHECK(false);
	} catch (const std::system_error &error) {
		CHECK(error.code().value() == EINVAL);
	}
}

/* Says when it ends. */
struct mark {
	unsigned *ends;

	explicit mark(unsigned &count) : ends(&count)
	{
	}

	mark(const mark &other) = default;

	mark(mark &&other) noexcept : ends(std::exchange(other.ends, nullptr))
	{
	}

	~mark()
	{
		if (ends != nullptr)
			++*ends;
	}
};

/* The functions end with their last call, not within. */
void own_end()
{
	oomreclaim::registration first, second;
	oomreclaim::shrinker counting, scanning;
	unsigned ends = 0, calls = 0;
	bool is_cut_short = false;
	auto drop = [&](auto end) {
		return [&, end, kept = mark(ends)](auto...) -> std::size_t {
			/* Not by way of what may be gone. */
			unsigned &now = ends, before = ends;
			bool &is_cut = is_cut_short;

			calls++;
			end();
			if (now != before)
				is_cut = true;
			return 0;
		};
	};
	auto some = [](auto...) { return block_bytes; };
	auto none = [](auto...) { return std::size_t{0}; };

	first = oomreclaim::registration("resets", drop([&] { first.reset(); }));
	second = oomreclaim::registration("moves", drop([&] { second = {"next", none}; }));
	counting = oomreclaim::shrinker("count", drop([&] { counting.reset(); }), some);
	scanning = oomreclaim::shrinker("scan", some, drop([&] { scanning = {}; }));
	ends = 0;
	CHECK(oomreclaim_reclaim(block_bytes) == 0);
	CHECK(calls == 4 && !is_cut_short && ends == 4);
	CHECK(!first && second && !counting && !scanning && second.stats().calls == 0);
	CHECK(oomreclaim_reclaim(block_bytes) == 0);
	CHECK(calls == 4 && second.stats().calls > 0);
}

/* Two functions that end each other. The second waits for the end of the first, which can't wait
   for the second then. */
struct each_other {
	std::promise<void> in_first;
	pid_t waiter = 0;
	int of_first = -1;
	std::atomic<int> of_second{-1};

	template <class End> std::size_t first(End end)
	{
		in_first.set_value();
		check_asleep(&waiter);
		of_first = end();
		return 0;
	}

	template <class End> std::size_t second(End end)
	{
		in_first.get_future().wait();
		__atomic_store_n(&waiter, gettid(), __ATOMIC_SEQ_CST);
		of_second = end();
		return 0;
	}

	/* The second goes on when the first has returned. */
	void check()
	{
		while (of_second == -1)
			std::this_thread::sleep_for(std::chrono::milliseconds(1));
		CHECK_EQ(of_first, EDEADLK);
		CHECK_EQ(of_second, 0);
	}
};

/* On the thread that needs memory, and on oomreclaimd. What is captured by value lasts. */
void ends_each_other()
{
	oomreclaim::registration first, second;
	each_other both;
	std::atomic<bool> is_kept = false;
	auto text = std::make_shared<std::string>("text");
	const std::weak_ptr<std::string> captured = text;

	first = {"first",
	         [&](const auto &) {
			 return both.first([&] {
				 const int error = second.reset();

				 is_kept = !captured.expired();
				 return error;
			 });
		 },
	         0, OOMRECLAIM_CALLBACK_DIRECT};
	second = {"second",
	          [&, text](const auto &) { return both.second([&] { return first.reset(); }); }, 0,
	          OOMRECLAIM_CALLBACK_BACKGROUND};
	text.reset();
	CHECK(fill() > 0);
	both.check();
	CHECK(is_kept && !first && !second && first.reset() == 0);
	while (!captured.expired())
		std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void throwing()
{
	unsigned calls = 0;
	oomreclaim::registration made("throws", [&](const auto &) -> std::size_t {
		calls++;
		throw std::runtime_error("");
	});

	CHECK(fill() > 0 && calls > 0);
}

struct ends_thread {
	oomreclaim::registration made;
	unsigned calls = 0;
	bool is_unwound = false, has_returned = false;

	void run()
	{
		struct note {
			bool &is_set;
			~note()
			{
				is_set = true;
			}
		} unwound{is_unwound};

		fill();
		has_returned = true;
	}
};

/* Against the rules as well, and no exception: the thread ends, and the process goes on. */
void exiting()
{
	ends_thread ends;
	pthread_t thread;

	ends.made = oomreclaim::registration("exits", [&](const auto &) -> std::size_t {
		if (ends.calls++ == 0)
			pthread_exit(nullptr);
		return 0;
	});
	CHECK(pthread_create(
		      &thread, nullptr,
		      [](void *arg) -> void * {
			      static_cast<ends_thread *>(arg)->run();
			      return nullptr;
		      },
		      &ends) == 0);
	CHECK(pthread_join(thread, nullptr) == 0);
	CHECK(ends.calls == 1 && ends.is_unwound && !ends.has_returned);
	CHECK(fill() > 0 && ends.calls > 1);
}

unsigned thrown;

/* In C, without the wrapper that catches it. */
std::size_t throw_out(const oomreclaim_control *, void *)
{
	/* As long as there is nothing to give. */
	if (thrown++ == 0)
		throw std::runtime_error("");
	return 0;
}

/* Against the rules: the exception comes out of operator new, and nobody pays for it but the one
   who asked. */
void thrown_out()
{
	bool is_caught = false;
	oomreclaim_handle handle;

	CHECK(oomreclaim_register("throws", 0, 0, throw_out, nullptr, &handle) == 0);
	try {
		fill();
	} catch (const std::runtime_error &) {
		is_caught = true;
	}
	CHECK(is_caught && thrown == 1);
	CHECK(fill() > 0 && thrown > 1);
	std::thread([&] { CHECK(oomreclaim_unregister(handle) == 0); }).join();
}

void scopes()
{
	cache held;
	oomreclaim::registration made("held", [&](const auto &) { return held.drop(); });
	oomreclaim::scoped_resource quiet(OOMRECLAIM_SCOPE_NORETRY), same(OOMRECLAIM_SCOPE_NORETRY);
	oomreclaim::scoped_resource other(OOMRECLAIM_SCOPE_RESERVE);

	CHECK(fill(quiet) > 0 && held.calls == 0);
	CHECK(quiet == same && quiet != other);
	{
		oomreclaim::scope guard(OOMRECLAIM_SCOPE_NORETRY);
		CHECK(fill() > 0 && held.calls == 0);
	}
	CHECK(fill() > 0 && held.calls > 0);
	{
		oomreclaim::kill_disabled off(100);
		CHECK(off);
	}
	CHECK(oomreclaim_kill_enable() == EINVAL);
}

void shrinkers()
{
	cache cheap, dear;
	unsigned counts = 0;
	bool is_locked = true;
	for (int i = 0; i < 16; i++) {
		cheap.blocks.emplace_back(new char[block_bytes]());
		dear.blocks.emplace_back(new char[block_bytes]());
	}
	auto count = [&counts](const cache &of) {
		counts++;
		return of.blocks.size() * block_bytes;
	};
	auto drop = [](cache &of, std::size_t wanted) {
		std::size_t freed = 0;

		while (freed < wanted && !of.blocks.empty()) {
			of.blocks.pop_front();
			freed += block_bytes;
		}
		return freed;
	};
	oomreclaim::shrinker kept;
	{
		oomreclaim::shrinker made(
			"cheap", [&] { return count(cheap); },
			[&](std::size_t wanted) { return drop(cheap, wanted); }, {1});
		kept = std::move(made);
		CHECK(!made && kept);
	}
	oomreclaim::shrinker other(
		"dear", [&] { return count(dear); },
		[&](const oomreclaim_control &control) {
			if (is_locked)
				throw std::runtime_error("");
			return drop(dear, control.bytes_wanted);
		},
		{1000});

	CHECK(oomreclaim_reclaim(4 * block_bytes) >= 4 * block_bytes);
	CHECK(counts > 0 && cheap.blocks.size() <= 12 && dear.blocks.size() == 16);
	is_locked = false;
	CHECK(fill() > 0);
	CHECK(cheap.blocks.empty() && dear.blocks.empty());
	CHECK(kept.stats().counts > 0 && kept.stats().bytes_claimed == 16 * block_bytes);
	kept.reset();
	other.reset();
	counts = 0;
	CHECK(oomreclaim_reclaim(1) == 0 && counts == 0);
	try {
		oomreclaim::shrinker wrong(
			"wrong", [] { return 0; }, [](std::size_t) { return 0; }, {1001});
		CHECK(false);
	} catch (const std::system_error &error) {
		CHECK(error.code().value() == EINVAL);
	}
	oomreclaim::shrinker throws(
		"throws", []() -> std::size_t { throw 1; }, [](std::size_t) { return 0; });
	CHECK(oomreclaim_reclaim(1) == 0 && throws.stats().stops > 0);
}

/* A target, and regret that is counted; none for a shrinker that oomreclaimd may not count. */
void targets()
{
	auto count = [] { return block_bytes; };
	auto scan = [](std::size_t) { return std::size_t{0}; };
	oomreclaim::shrinker asks("asks", count, scan), moved;
	oomreclaim::shrinker direct("direct", count, scan, {2, 0, 0, OOMRECLAIM_CALLBACK_DIRECT});

	CHECK(asks.handle() != 0 && asks.handle() != direct.handle());
	while (asks.target() == SIZE_MAX)
		std::this_thread::sleep_for(std::chrono::milliseconds(10));
	CHECK(asks.regret(4096) && asks.stats().bytes_regretted == 4096);
	CHECK(asks.target() > 0 && asks.stats().bytes_target > 0);
	CHECK(oomreclaim_cache_target(asks.handle()) != SIZE_MAX);
	CHECK(direct.target() == SIZE_MAX && !direct.regret(4096));
	moved = std::move(asks);
	CHECK(asks.handle() == 0 && asks.target() == SIZE_MAX && !asks.regret(1));
	CHECK(moved.target() != SIZE_MAX);
}

struct point {
	long x, y;
};

struct fragile {
	bool is_whole = true;

	explicit fragile(bool is_broken = true)
	{
		if (is_broken)
			throw std::runtime_error("");
	}
};

/* A constructor that throws leaves nothing to lock, with the library or without. */
void broken()
{
	oomreclaim::purgeable_ptr<fragile> single;
	oomreclaim::purgeable_ptr<fragile[]> several;
	unsigned caught = 0;

	CHECK(single.make(false)->is_whole && single.lock());
	try {
		(void)single.make(true);
	} catch (const std::runtime_error &) {
		caught++;
	}
	try {
		(void)several.make(3);
	} catch (const std::runtime_error &) {
		caught++;
	}
	CHECK(caught == 2 && !single.lock() && !several.lock());
	CHECK(single.make(false)->is_whole && single.lock());
}

void pointers()
{
	broken();

	oomreclaim::purgeable_ptr<char[]> block, moved(1000);
	oomreclaim::purgeable_ptr<point> single;

	CHECK(!block.lock());
	{
		auto held = block.make(block_bytes);
		std::fill_n(held.get(), block_bytes, 'a');
		CHECK(oomreclaim_reclaim(1) == 0);
		auto again = block.lock();
		CHECK(again && again.get() == held.get() && again[block_bytes - 1] == 'a');
		held.reset();
		CHECK(!held && oomreclaim_reclaim(1) == 0);
		held = std::move(again);
		CHECK(held && !again && oomreclaim_reclaim(1) == 0);
	}
	CHECK(block.lock()[0] == 'a');
	moved = std::move(block);
	CHECK(!block.lock() && moved.lock());
	CHECK(oomreclaim_reclaim(1) >= block_bytes);
	CHECK(!moved.lock());
	CHECK(moved.make(10) && moved.lock());

	CHECK(single.make(point{1, 2})->y == 2 && (*single.lock()).x == 1);
	CHECK(oomreclaim_reclaim(2 * block_bytes) > 0 && !single.lock() && !moved.lock());
	single.reset();
	CHECK(!single.lock());

	try {
		(void)moved.make(static_cast<std::size_t>(-1));
		CHECK(false);
	} catch (const std::bad_array_new_length &) {
	}
	try {
		(void)moved.make(static_cast<std::size_t>(-1) / 4);
		CHECK(false);
	} catch (const std::bad_alloc &) {
	}
	CHECK(!moved.lock());
	try {
		(void)oomreclaim::purgeable_ptr<int>{1001}.make(1);
		CHECK(false);
	} catch (const std::system_error &error) {
		CHECK(error.code().value() == EINVAL);
	}
	/* Under the limit: nothing fails for what is not held. */
	std::vector<oomreclaim::purgeable_ptr<char[]>> many(200);
	for (auto &one : many)
		std::fill_n(one.make(block_bytes).get(), block_bytes, 'b');
	CHECK(!many.front().lock() && many.back().lock()[0] == 'b');
}

void absent()
{
	broken();

	oomreclaim::shrinker shrinks(
		"", [] { return 0; }, [](std::size_t) { return 0; });
	oomreclaim::purgeable_ptr<long[]> block;
	CHECK(!shrinks && shrinks.stats().calls == 0 && !block.lock());
	CHECK(shrinks.handle() == 0 && shrinks.target() == SIZE_MAX && !shrinks.regret(1));
	block.make(10)[9] = 7;
	auto moved = std::move(block);
	CHECK(!block.lock() && moved.lock()[9] == 7);

	oomreclaim::registration made("", [](const auto &) { return std::size_t{0}; });
	oomreclaim::scope guard(OOMRECLAIM_SCOPE_NORETRY);
	oomreclaim::scoped_resource memory(OOMRECLAIM_SCOPE_NORETRY);

	oomreclaim::group job("job");
	oomreclaim::group below("below", job);
	oomreclaim::group_scope inside(job);

	job.set_inherit();
	CHECK(!oomreclaim_available() && !made && !oomreclaim::kill_disabled(0) && !job && !below);
	CHECK(fill(memory) > 0);
}

/* Containers in a group, an exception for the one that has too much, and nothing else. */
void groups()
{
	oomreclaim::group job("job"), moved;
	std::vector<int> inside;
	std::list<std::string> texts;
	bool is_caught = false;

	job.set(OOMRECLAIM_GROUP_MAX, 8 << 20);
	{
		oomreclaim::group_scope guard(job);
		oomreclaim::group child("child", job.get());

		inside.resize(1000);
		texts.emplace_back("a text that is too long to be kept in place");
		CHECK(oomreclaim_group_of(inside.data()) == job.get());
		CHECK(oomreclaim_group_of(texts.front().data()) == job.get());
		{
			oomreclaim::group_scope deeper(child);
			CHECK(oomreclaim_group_current() == child.get());
		}
		CHECK(oomreclaim_group_current() == job.get());
		try {
			for (;;)
				texts.emplace_back(10000, 'x');
		} catch (const std::bad_alloc &) {
			is_caught = true;
		}
	}
	CHECK(is_caught && oomreclaim_group_current() == OOMRECLAIM_GROUP_ROOT);
	CHECK(job.stats().charged <= 8 << 20 && job.stats().max_met > 0);
	CHECK(std::make_unique<char[]>(16 << 20) != nullptr);
	moved = std::move(job);
	CHECK(moved && !job && job.stats().charged == 0);
	try {
		moved.set(OOMRECLAIM_GROUP_MAX, -1);
		CHECK(false);
	} catch (const std::system_error &error) {
		CHECK(error.code().value() == ERANGE);
	}
	moved.reset();
	CHECK(!moved && oomreclaim_group_of(inside.data()) == OOMRECLAIM_GROUP_ROOT);
}

/* An object without a group: to enter it is to stay, under the limits of the group around. */
void without_group()
{
	oomreclaim::group tenant("tenant"), query, moved("moved", tenant.get());
	const oomreclaim::group taken = std::move(moved);
	{
		oomreclaim::group_scope inside(tenant);
		{
			oomreclaim::group_scope stays(query);
			oomreclaim::group_scope stays_too(moved);

			CHECK(oomreclaim_group_current() == tenant.get());
			oomreclaim_group_enter(taken.get());
		}
		CHECK(oomreclaim_group_current() == tenant.get());
		{
			oomreclaim::group_scope leaves(OOMRECLAIM_GROUP_ROOT);

			CHECK(oomreclaim_group_current() == OOMRECLAIM_GROUP_ROOT);
		}
		CHECK(oomreclaim_group_current() == tenant.get());
	}
	CHECK(tenant.stats().children == 1);
	{
		oomreclaim::group below("below", tenant);

		CHECK(below && tenant.stats().children == 2);
	}
	try {
		oomreclaim::group below("below", moved);
		CHECK(false);
	} catch (const std::system_error &error) {
		CHECK(error.code().value() == EINVAL);
	}
	CHECK(oomreclaim::group("at the top", OOMRECLAIM_GROUP_ROOT));

	oomreclaim::group_scope outside(query);

	CHECK(oomreclaim_group_current() == OOMRECLAIM_GROUP_ROOT);
}

/* std::thread, std::async and what they call begin where they are made. */
void threads()
{
	oomreclaim::group job("job");
	const auto where = [] { return oomreclaim_group_current(); };
	oomreclaim_group seen = job.get();
	std::vector<int> made;

	const auto run = [&] {
		std::thread([&] {
			seen = where();
			made = std::vector<int>(1000, 1);
		}).join();
	};
	{
		oomreclaim::group_scope guard(job);
		run();
		CHECK(seen == OOMRECLAIM_GROUP_ROOT);
		job.set_inherit();
		run();
		CHECK(seen == job.get());
		CHECK(oomreclaim_group_of(made.data()) == job.get());
		CHECK(std::async(std::launch::async, where).get() == job.get());
		CHECK(job.stats().threads == 1);
		job.set_inherit(false);
		run();
		CHECK(seen == OOMRECLAIM_GROUP_ROOT);
		job.set_inherit(true);
	}
	run();
	CHECK(seen == OOMRECLAIM_GROUP_ROOT && job.stats().threads == 0);
}

/* The one that has most ends, by an object that may move meanwhile, and by itself. */
void cancels()
{
	oomreclaim::group tenant("tenant"), greedy("greedy", tenant.get()),
		small("small", tenant.get()), moved;
	std::vector<std::unique_ptr<char[]>> blocks;
	unsigned told = 0;

	tenant.set(OOMRECLAIM_GROUP_MAX, 8 << 20);
	tenant.set(OOMRECLAIM_GROUP_POLICY, OOMRECLAIM_POLICY_CANCEL);
	blocks.reserve(1000);
	{
		oomreclaim::group_scope inside(greedy);

		for (int i = 0; i < 50; i++)
			blocks.push_back(std::make_unique<char[]>(100000));
	}
	greedy.on_cancel([] { CHECK(false); });
	greedy.on_cancel([&] {
		told++;
		blocks.clear();
		moved.reset();
		throw 1;
	});
	moved = std::move(greedy);
	CHECK(moved && !greedy);
	{
		oomreclaim::group_scope inside(small);
		auto taken = std::make_unique<char[]>(5 << 20);

		CHECK(taken != nullptr);
	}
	CHECK(told == 1 && !moved);
	small.on_cancel([] { CHECK(false); });
	small.on_cancel({});
	CHECK(oomreclaim_group_on_cancel(small.get(), nullptr, nullptr) == 0);
	moved.on_cancel([] {});
	{
		/* What outlives its object is not told. */
		oomreclaim::group left("left", tenant.get());
		oomreclaim::group below("below", left.get());
		const auto handle = left.get();

		left.on_cancel([] { CHECK(false); });
		CHECK(left.reset() == EBUSY);
		CHECK(below.reset() == 0 && below.reset() == 0);
		CHECK(oomreclaim_group_destroy(handle, 0) == 0);
	}
}

/* A callback that ends a group, and the function of the group, which ends the callback. */
void cancel_and_callback(bool has_child)
{
	oomreclaim::group tenant("tenant"), greedy("greedy", tenant), small("small", tenant), child;
	const auto handle = greedy.get();
	std::vector<std::unique_ptr<char[]>> blocks;
	oomreclaim::registration callback;
	each_other both;

	tenant.set(OOMRECLAIM_GROUP_MAX, 8 << 20);
	tenant.set(OOMRECLAIM_GROUP_POLICY, OOMRECLAIM_POLICY_CANCEL);
	if (has_child)
		child = oomreclaim::group("child", greedy);
	blocks.reserve(50);
	{
		oomreclaim::group_scope inside(greedy);

		for (int i = 0; i < 50; i++)
			blocks.push_back(std::make_unique<char[]>(100000));
	}
	callback = {"callback",
	            [&](const auto &) { return both.first([&] { return greedy.reset(); }); }};
	greedy.on_cancel([&] { both.second([&] { return callback.reset(); }); });
	std::thread asks([&] {
		oomreclaim::group_scope inside(small);

		delete[] new (std::nothrow) char[5 << 20];
	});
	CHECK(oomreclaim_reclaim(1) == 0);
	asks.join();
	both.check();
	CHECK(!greedy && !callback);
	/* With a child it has outlived its object. */
	CHECK_EQ(child.reset(), 0);
	CHECK_EQ(oomreclaim_group_destroy(handle, 0), has_child ? 0 : EINVAL);
}

void cancels_each_other()
{
	cancel_and_callback(false);
	cancel_and_callback(true);
}

} // namespace

int main(int argc, char **argv)
{
	const std::string_view name = argc > 1 ? argv[1] : "";

	if (name == "registrations")
		registrations();
	else if (name == "own-end")
		own_end();
	else if (name == "ends-each-other")
		ends_each_other();
	else if (name == "throwing")
		throwing();
	else if (name == "exiting")
		exiting();
	else if (name == "thrown-out")
		thrown_out();
	else if (name == "scopes")
		scopes();
	else if (name == "shrinkers")
		shrinkers();
	else if (name == "targets")
		targets();
	else if (name == "pointers")
		pointers();
	else if (name == "groups")
		groups();
	else if (name == "without-group")
		without_group();
	else if (name == "threads")
		threads();
	else if (name == "cancels")
		cancels();
	else if (name == "cancels-each-other")
		cancels_each_other();
	else if (name == "absent")
		absent();
	else
		return 2;
	return 0;
}
