/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim.hpp: registrations, scopes, the memory resource. Under a limit, with and without the
   library. */
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

#include "oomreclaim.hpp"

#define CHECK(condition)                                                             \
	do {                                                                         \
		if (!(condition)) {                                                  \
			std::fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
			std::exit(1);                                                \
		}                                                                    \
	} while (0)

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
	kept.reset();
	CHECK(!kept && kept.stats().calls == 0);
	CHECK(fill() > 0 && first.calls == calls);

	try {
		oomreclaim::registration nameless("", [](const auto &) { return std::size_t{0}; });
		CHECK(false);
	} catch (const std::system_error &error) {
		CHECK(error.code().value() == EINVAL);
	}
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

void absent()
{
	oomreclaim::registration made("", [](const auto &) { return std::size_t{0}; });
	oomreclaim::scope guard(OOMRECLAIM_SCOPE_NORETRY);
	oomreclaim::scoped_resource memory(OOMRECLAIM_SCOPE_NORETRY);

	CHECK(!oomreclaim_available() && !made && !oomreclaim::kill_disabled(0));
	CHECK(fill(memory) > 0);
}

} // namespace

int main(int argc, char **argv)
{
	const std::string_view name = argc > 1 ? argv[1] : "";

	if (name == "registrations")
		registrations();
	else if (name == "throwing")
		throwing();
	else if (name == "thrown-out")
		thrown_out();
	else if (name == "scopes")
		scopes();
	else if (name == "absent")
		absent();
	else
		return 2;
	return 0;
}
